CREATE OR REPLACE FUNCTION guard_audit() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_guard_audit';
COMMENT ON FUNCTION guard_audit() IS 'trigger: rows of the audit log are added and linked, and otherwise left alone';
CREATE OR REPLACE TRIGGER guard_audit BEFORE INSERT OR UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION guard_audit();
CREATE OR REPLACE TRIGGER guard_audit_truncate BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION guard_audit();

CREATE OR REPLACE FUNCTION record_audit(tenant uuid, action text, outcome text, mandate text DEFAULT NULL, agent uuid DEFAULT NULL,
                             command bigint DEFAULT NULL, method text DEFAULT NULL, evidence jsonb DEFAULT NULL)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
    INSERT INTO mulberry_internal.audit (tenant, role, action, outcome, method, mandate, agent, command, evidence)
    VALUES ($1, mulberry_internal.outer_role_name(), $2, $3, $7, $4, $5, $6,
            CASE WHEN mulberry_internal.acting_token() IS NULL THEN $8
                 ELSE coalesce($8, '{}') || jsonb_build_object('token', mulberry_internal.acting_token()) END)
$$;
COMMENT ON FUNCTION record_audit(uuid, text, text, text, uuid, bigint, text, jsonb) IS
    'writes a row of the audit log in the current transaction (internal)';

CREATE OR REPLACE FUNCTION link_audit(max_rows integer DEFAULT 10000, only_tenant uuid DEFAULT NULL, careful boolean DEFAULT false)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS 'MODULE_PATHNAME', 'mulberry_link_audit';
COMMENT ON FUNCTION link_audit(integer, uuid, boolean) IS
    'gives committed rows of the audit log, of one tenant or (null) of all, their number and hash, the oldest first, and returns how many '
    'those were; nobody else can until the transaction ends. careful: what cannot be hashed is set aside (internal)';

CREATE OR REPLACE FUNCTION link_audit_soon(max_rows integer DEFAULT 10000, singly boolean DEFAULT false) RETURNS bigint
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
    SET lock_timeout = '100ms' AS $$
DECLARE
    waiting uuid;
    linked  bigint := 0;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    IF NOT singly THEN
        RETURN mulberry_internal.link_audit(max_rows);
    END IF;
    FOR waiting IN
        SELECT u.tenant FROM (SELECT DISTINCT a.tenant FROM mulberry_internal.audit a WHERE a.seq IS NULL) AS u
         WHERE NOT mulberry_internal.is_set_aside('linking', u.tenant::text)
         ORDER BY random()
    LOOP
        BEGIN
            linked := linked + mulberry_internal.link_audit(max_rows - linked::integer, waiting, true);
            EXIT WHEN linked >= max_rows;
        EXCEPTION
            WHEN lock_not_available OR transaction_rollback THEN
                PERFORM mulberry_internal.blocked();
            WHEN OTHERS THEN
                PERFORM mulberry_internal.set_aside('linking', waiting::text, waiting, SQLSTATE, SQLERRM);
        END;
    END LOOP;
    RETURN linked;
END
$$;
COMMENT ON FUNCTION link_audit_soon(integer, boolean) IS
    'link_audit() for those who have other things to do: waits for nobody. singly: each tenant by itself, so that who has one locked, or '
    'what cannot be linked, does not keep the others from it (internal)';

CREATE OR REPLACE FUNCTION await_audit_links() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_await_audit_links';
COMMENT ON FUNCTION await_audit_links() IS
    'returns when what was committed before is linked, or after a second: waits for the notifier, links itself when there is none, and '
    'does nothing where it cannot write (internal)';

CREATE OR REPLACE FUNCTION check_audit_chain(tenant uuid, kept_seq bigint, kept_hash bytea,
                                  OUT rows bigint, OUT first_broken bigint, OUT problem text)
LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_check_audit_chain';
COMMENT ON FUNCTION check_audit_chain(uuid, bigint, bytea) IS
    'walks along a tenant''s audit log until something does not fit; kept_seq and kept_hash may be null (internal)';

CREATE OR REPLACE FUNCTION erase_audit(tenant uuid) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_erase_audit';
COMMENT ON FUNCTION erase_audit(uuid) IS 'removes a tenant''s audit log and returns how many rows it had (internal)';

CREATE OR REPLACE FUNCTION mulberry.verify_audit(only_tenant text DEFAULT NULL, kept_seq bigint DEFAULT NULL, kept_hash text DEFAULT NULL)
RETURNS TABLE (tenant text, rows bigint, first_broken bigint, problem text)
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    targets uuid[];
    kept    bytea;
BEGIN
    PERFORM mulberry_internal.check_texts('kept_hash', verify_audit.kept_hash);
    IF (kept_seq IS NULL) <> (kept_hash IS NULL) THEN
        RAISE EXCEPTION 'kept_seq and kept_hash belong together' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF kept_seq < 1 OR kept_hash !~ '^[0-9a-f]{64}$' THEN
        RAISE EXCEPTION 'kept_seq is at least 1, and kept_hash has 64 hexadecimal digits'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'audit_head() says both.';
    END IF;
    kept := decode(kept_hash, 'hex');
    IF only_tenant IS NULL AND kept IS NULL THEN
        targets := mulberry.current_tenants('auditor');
    END IF;
    IF targets IS NULL OR targets = '{}' THEN
        targets := ARRAY[mulberry_internal.resolve_tenant(only_tenant, 'auditor')];
    END IF;
    PERFORM mulberry_internal.await_audit_links();
    RETURN QUERY
        SELECT t.name, c.rows, c.first_broken, c.problem
          FROM mulberry_internal.tenants t
               CROSS JOIN LATERAL mulberry_internal.check_audit_chain(t.id, kept_seq, kept) AS c
         WHERE t.id = ANY (targets)
         ORDER BY t.name;
END
$$;
COMMENT ON FUNCTION mulberry.verify_audit(text, bigint, text) IS
    'computes all hashes of the audit logs of a tenant (null: of all that the role may see) anew. rows: how many fit, from the first on; '
    'first_broken and problem say where the log does not and why, null when all is well. kept_seq and kept_hash: what audit_head() once '
    'said and was kept elsewhere, which also finds a log that was written anew. Needs auditor access';

CREATE OR REPLACE FUNCTION mulberry.audit_head(tenant text DEFAULT NULL, OUT seq bigint, OUT hash text, OUT linked_at timestamptz)
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid := mulberry_internal.resolve_tenant(tenant, 'auditor');
BEGIN
    PERFORM mulberry_internal.await_audit_links();
    SELECT h.last_seq, encode(h.hash, 'hex'), h.linked_at INTO seq, hash, linked_at
      FROM mulberry_internal.audit_heads h
     WHERE h.tenant = target;
END
$$;
COMMENT ON FUNCTION mulberry.audit_head(text) IS
    'number and hash of the last row of a tenant''s audit log, to be kept where nobody of this server can write; verify_audit() '
    'compares. Nulls: the log is empty. Needs auditor access';

CREATE OR REPLACE FUNCTION mulberry.erase_audit_log(tenant text, OUT rows bigint, OUT last_seq bigint, OUT hash text)
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid;
BEGIN
    PERFORM mulberry_internal.require_access_everywhere('admin');
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'a tenant must be named' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    target := mulberry_internal.resolve_tenant(tenant, 'admin');
    IF EXISTS (SELECT FROM mulberry_internal.agents a WHERE a.tenant = target) THEN
        RAISE EXCEPTION 'the audit log of tenant "%" cannot be erased while the tenant has agents', tenant
            USING ERRCODE = 'dependent_objects_still_exist', HINT = 'Drop them first, with drop_agent().';
    END IF;
    SELECT h.last_seq, encode(h.hash, 'hex') INTO last_seq, hash FROM mulberry_internal.audit_heads h WHERE h.tenant = target;
    rows := mulberry_internal.erase_audit(target);
    RAISE LOG 'audit log of tenant "%" erased by role "%": % rows, the last was % with hash %',
        tenant, mulberry_internal.outer_role_name(), rows, last_seq, hash;
END
$$;
COMMENT ON FUNCTION mulberry.erase_audit_log(text) IS
    'removes the whole audit log of a tenant without agents, so that the tenant can be dropped; returns what it had, and the server''s '
    'log says so too. Needs admin access to all tenants';

CREATE OR REPLACE FUNCTION note_refusal(tenant uuid, action text, mandate text, agent uuid, error text, message text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_note_refusal';
COMMENT ON FUNCTION note_refusal(uuid, text, text, uuid, text, text) IS
    'has the notifier write a row of the audit log about what is about to fail; without a notifier the server''s log has it (internal)';

CREATE OR REPLACE FUNCTION store_refusals(singly boolean DEFAULT false) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
    SET lock_timeout = '100ms'
AS 'MODULE_PATHNAME', 'mulberry_store_refusals';
COMMENT ON FUNCTION store_refusals(boolean) IS
    'what the notifier does about note_refusal(); singly: what cannot be stored goes to the server''s log, and the rest is (internal)';
