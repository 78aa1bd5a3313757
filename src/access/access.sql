CREATE OR REPLACE FUNCTION access_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_access_changed';
COMMENT ON FUNCTION access_changed() IS 'makes every session read members, tokens and tenants again';

CREATE OR REPLACE TRIGGER access_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tenants
    FOR EACH STATEMENT EXECUTE FUNCTION access_changed();
CREATE OR REPLACE TRIGGER access_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON members
    FOR EACH STATEMENT EXECUTE FUNCTION access_changed();
-- a new token changes nothing for those who know others
CREATE OR REPLACE TRIGGER access_changed AFTER UPDATE OR DELETE OR TRUNCATE ON tokens
    FOR EACH STATEMENT EXECUTE FUNCTION access_changed();

CREATE OR REPLACE FUNCTION mulberry.current_tenants(VARIADIC access text[] DEFAULT '{}') RETURNS uuid[]
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_current_tenants';
COMMENT ON FUNCTION mulberry.current_tenants(text[]) IS
    'the tenants to which the current role has one of these accesses, or any access when none is named; within a SECURITY DEFINER function '
    'of somebody, those to which both have it; none in a security-restricted operation';

-- Set-returning, because only so a function learns which query calls it.
CREATE OR REPLACE FUNCTION mulberry.current_tenants(through_views boolean, VARIADIC access text[] DEFAULT '{}') RETURNS SETOF uuid[]
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'mulberry_current_tenants_sql';
COMMENT ON FUNCTION mulberry.current_tenants(boolean, text[]) IS
    'for views of mulberry: current_tenants() as far as the owners of views and rules that lie between have the access as well (internal)';

CREATE OR REPLACE FUNCTION mulberry.everywhere_through_views(VARIADIC access text[]) RETURNS SETOF boolean
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'mulberry_everywhere_through_views';
COMMENT ON FUNCTION mulberry.everywhere_through_views(text[]) IS
    'for views of mulberry: has_access_everywhere() of the current role and of the owners of views that lie between (internal)';

CREATE OR REPLACE FUNCTION mulberry.held_access(tenant uuid) RETURNS text[]
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_held_access';
COMMENT ON FUNCTION mulberry.held_access(uuid) IS 'the accesses that the current role has to a tenant, included ones as well';

CREATE OR REPLACE FUNCTION mulberry.has_access_everywhere(VARIADIC access text[]) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_has_access_everywhere_sql';
COMMENT ON FUNCTION mulberry.has_access_everywhere(text[]) IS 'true when the current role has one of these accesses to all tenants';

CREATE OR REPLACE FUNCTION require_access_everywhere(VARIADIC access text[]) RETURNS void
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_require_access_everywhere_sql';
COMMENT ON FUNCTION require_access_everywhere(text[]) IS 'an error (42501) unless has_access_everywhere()';

CREATE OR REPLACE FUNCTION resolve_tenant(name text, VARIADIC access text[]) RETURNS uuid
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_resolve_tenant_sql';
COMMENT ON FUNCTION resolve_tenant(text, text[]) IS
    'the tenant that a call is about, for functions that do one of these accesses; null: the role''s only one, or "default". Errors: '
    '42501 no such access at all, 42704 no such tenant or no such access to it, 42P08 a name is needed';

CREATE OR REPLACE FUNCTION outer_role() RETURNS regrole
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_outer_role';
COMMENT ON FUNCTION outer_role() IS 'the role whose access counts: the session''s, or that of SET ROLE';

CREATE OR REPLACE FUNCTION caller_roles() RETURNS SETOF oid
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_caller_roles';
COMMENT ON FUNCTION caller_roles() IS 'every role with a hand in this call, whose accesses all count';

CREATE OR REPLACE FUNCTION acting_token() RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_acting_token_sql';
COMMENT ON FUNCTION acting_token() IS 'the name of the token for which the transaction works; null where there is none';

CREATE OR REPLACE FUNCTION outer_role_name() RETURNS text
LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN pg_catalog.pg_get_userbyid(mulberry_internal.outer_role()::oid)::text;
COMMENT ON FUNCTION outer_role_name() IS
    'its name, as it is stored: what regrole shows depends on quote_all_identifiers';

CREATE OR REPLACE FUNCTION mulberry.grant_access(role regrole, access text, tenant text DEFAULT 'default') RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid;
    object record;
BEGIN
    PERFORM mulberry_internal.check_texts('access', grant_access.access);
    PERFORM mulberry_internal.require_access_everywhere('admin');
    PERFORM mulberry_internal.check_member(role, access);
    IF tenant IS NOT NULL THEN
        target := mulberry_internal.resolve_tenant(tenant, 'admin');
    END IF;
    IF access = 'worker' AND target IS NOT NULL THEN
        RAISE EXCEPTION 'worker access is for all tenants'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('Say grant_access(%L, %L, NULL).', role, access);
    END IF;

    -- two grants at once would meet in the same rows of the catalog
    LOCK TABLE mulberry_internal.members IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM mulberry_internal.members m WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = m.role);
    INSERT INTO mulberry_internal.members (role, access, tenant, granted_by)
    VALUES (grant_access.role, grant_access.access, target, mulberry_internal.outer_role_name())
    ON CONFLICT DO NOTHING;

    FOR object IN
        SELECT o.privilege, o.object FROM mulberry.access_objects() o WHERE o.access = grant_access.access
    LOOP
        EXECUTE format('GRANT %s ON %s TO %s', object.privilege, object.object, role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mulberry.grant_access(regrole, text, text) IS
    'gives a role access to a tenant (null: all tenants) and the rights on the objects it needs for that. Needs admin access to all '
    'tenants';

CREATE OR REPLACE FUNCTION mulberry.revoke_access(role regrole, access text, tenant text DEFAULT 'default') RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid;
    object record;
BEGIN
    PERFORM mulberry_internal.check_texts('access', revoke_access.access);
    PERFORM mulberry_internal.require_access_everywhere('admin');
    PERFORM mulberry_internal.check_member(role, access);
    IF tenant IS NOT NULL THEN
        target := mulberry_internal.resolve_tenant(tenant, 'admin');
    END IF;

    BEGIN
        LOCK TABLE mulberry_internal.members IN SHARE ROW EXCLUSIVE MODE NOWAIT;
    EXCEPTION WHEN lock_not_available THEN
        PERFORM mulberry_internal.end_open_grants(role);
        LOCK TABLE mulberry_internal.members IN SHARE ROW EXCLUSIVE MODE;
    END;
    DELETE FROM mulberry_internal.members m
     WHERE m.role = revoke_access.role AND m.access = revoke_access.access
       AND m.tenant IS NOT DISTINCT FROM target;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'role % has no % access to %', role, access,
            CASE WHEN tenant IS NULL THEN 'all tenants' ELSE format('tenant "%s"', tenant) END
            USING ERRCODE = 'undefined_object',
                  HINT = 'The view mulberry.memberships lists what has been granted.';
    END IF;

    FOR object IN
        SELECT o.privilege, o.object FROM mulberry.access_objects() o WHERE o.access = revoke_access.access
        EXCEPT
        SELECT o.privilege, o.object
          FROM mulberry.access_objects() o
          JOIN mulberry_internal.members m ON m.access = o.access
         WHERE m.role = revoke_access.role
    LOOP
        EXECUTE format('REVOKE %s ON %s FROM %s', object.privilege, object.object, role);
    END LOOP;

    -- whoever could hear this tenant's events until now must not guess where they go next
    PERFORM mulberry_internal.rotate_channels(target);
END
$$;
COMMENT ON FUNCTION mulberry.revoke_access(regrole, text, text) IS
    'takes back what grant_access() gave with the same arguments; open sessions lose it at once. Waits for no transaction of the role '
    'but ends one that has left a grant_access() of its own open. Needs admin access to all tenants';

-- Who is revoked must not hold that up with a grant_access() of his own that he leaves open.
CREATE OR REPLACE FUNCTION end_open_grants(role regrole) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
    SELECT pg_terminate_backend(a.pid, 10000)
      FROM pg_locks l
      JOIN pg_stat_activity a ON a.pid = l.pid
      JOIN pg_roles r ON r.oid = a.usesysid
     WHERE l.locktype = 'relation' AND l.relation = 'mulberry_internal.members'::regclass AND l.granted
       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
       AND l.mode = 'ShareRowExclusiveLock' AND a.state LIKE 'idle in transaction%' AND a.pid <> pg_backend_pid()
       AND NOT r.rolsuper AND pg_has_role(r.oid, $1::oid, 'MEMBER')
$$;
COMMENT ON FUNCTION end_open_grants(regrole) IS
    'ends sessions of a role that keep access from being changed by a transaction they leave open (internal)';

CREATE OR REPLACE FUNCTION mulberry.refresh_grants() RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    wanted record;
BEGIN
    PERFORM mulberry_internal.require_access_everywhere('admin');
    LOCK TABLE mulberry_internal.members IN SHARE ROW EXCLUSIVE MODE;
    FOR wanted IN
        SELECT DISTINCT o.privilege, o.object, r.oid::regrole AS role
          FROM mulberry_internal.members m
          JOIN pg_roles r ON r.oid = m.role
          JOIN mulberry.access_objects() o ON o.access = m.access
    LOOP
        EXECUTE format('GRANT %s ON %s TO %s', wanted.privilege, wanted.object, wanted.role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mulberry.refresh_grants() IS
    'gives all members the rights of their accesses anew: after a restore without privileges, or an update of the extension. Needs admin '
    'access to all tenants';

CREATE OR REPLACE FUNCTION check_member(role regrole, access text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF role IS NULL OR access IS NULL THEN
        RAISE EXCEPTION 'role and access must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM mulberry_internal.access_includes(access);   -- says what is allowed
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = role) THEN
        -- 0 is PUBLIC; a number is what regrole takes for a role that may not exist
        RAISE EXCEPTION 'role % does not exist', role
            USING ERRCODE = 'undefined_object', HINT = 'Access is given to roles, not to PUBLIC.';
    END IF;
END
$$;
COMMENT ON FUNCTION check_member(regrole, text) IS 'raises an error unless role and access exist';

CREATE OR REPLACE VIEW mulberry.tenant_access WITH (security_barrier) AS
    SELECT t.name, held_access(t.id) AS access, t.default_encoding, t.default_sample_rate, t.retention, t.created_at
      FROM tenants t
     WHERE t.id = ANY ((SELECT current_tenants(true))::uuid[]);
COMMENT ON VIEW mulberry.tenant_access IS 'the tenants to which the current role has access, and which';

CREATE OR REPLACE VIEW mulberry.memberships WITH (security_barrier) AS
    SELECT m.role, m.access, t.name AS tenant, m.granted_by, m.granted_at
      FROM members m
      LEFT JOIN tenants t ON t.id = m.tenant
     WHERE m.tenant = ANY ((SELECT current_tenants(true, 'admin', 'auditor'))::uuid[])
        OR (m.tenant IS NULL AND (SELECT everywhere_through_views('admin', 'auditor')));
COMMENT ON VIEW mulberry.memberships IS
    'what grant_access() has given, as far as the current role is admin or auditor; tenant null: all tenants';

CREATE OR REPLACE VIEW mulberry.tokens WITH (security_barrier) AS
    SELECT k.name, k.access, t.name AS tenant, k.expires_at, u.last_used_at, k.created_by, k.created_at, k.id
      FROM tokens k
      LEFT JOIN tenants t ON t.id = k.tenant
      LEFT JOIN token_uses u ON u.token = k.id
     WHERE k.tenant = ANY ((SELECT current_tenants(true, 'admin', 'auditor'))::uuid[])
        OR (k.tenant IS NULL AND (SELECT everywhere_through_views('admin', 'auditor')));
COMMENT ON VIEW mulberry.tokens IS
    'the bearer tokens of the tenants that the current role is admin or auditor of; tenant null: all tenants';
COMMENT ON COLUMN mulberry.tokens.last_used_at IS 'to about a minute; null: never';
COMMENT ON COLUMN mulberry.tokens.id IS 'by which gateways name it in their logs';
