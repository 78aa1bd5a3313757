-- Bearer tokens: who gets one, and who loses it.  What one is worth in a transaction is access/narrowing.c's.

CREATE OR REPLACE FUNCTION tell_of_token() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM pg_notify('mulberry_tokens', OLD.id::text);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tell_of_token() IS
    'trigger: tells gateways, which listen to mulberry_tokens, the id of a token that is no longer what it was';
CREATE OR REPLACE TRIGGER tell_of_token AFTER UPDATE OR DELETE ON tokens
    FOR EACH ROW EXECUTE FUNCTION tell_of_token();

CREATE OR REPLACE FUNCTION audit_token(tenant uuid, action text, token text, access text, expires timestamptz) RETURNS void
LANGUAGE sql AS $$
    SELECT mulberry_internal.record_audit(
        coalesce($1, '6d756c62-6572-7279-8000-000000000001'), $2, 'success', NULL, NULL, NULL, NULL,
        jsonb_build_object('name', $3, 'access', $4, 'all_tenants', $1 IS NULL, 'expires_at', $5))
$$;
COMMENT ON FUNCTION audit_token(uuid, text, text, text, timestamptz) IS
    'writes into the audit log of the tenant, or that of "default" for a token of all tenants';

CREATE OR REPLACE FUNCTION random_token() RETURNS text
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mulberry_random_token';
COMMENT ON FUNCTION random_token() IS '256 random bits in base64url';

CREATE OR REPLACE FUNCTION mulberry.create_token(
    name text, access text, tenant text DEFAULT 'default', expires timestamptz DEFAULT NULL
) RETURNS text
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid;
    token  text;
    digest bytea;
BEGIN
    PERFORM mulberry_internal.check_texts('name', create_token.name, 'access', create_token.access, 'tenant', create_token.tenant);
    IF tenant IS NULL THEN
        PERFORM mulberry_internal.require_access_everywhere('admin');
    ELSE
        target := mulberry_internal.resolve_tenant(tenant, 'admin');
    END IF;
    IF name IS NULL OR name !~ '^[a-z0-9][a-z0-9_.-]{0,62}$' THEN
        RAISE EXCEPTION
            'a token''s name is 1 to 63 lower case letters, digits, dots, hyphens and underscores and begins with a letter or digit'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF access IS NULL THEN
        RAISE EXCEPTION 'access must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM mulberry_internal.access_includes(access);   -- says what is allowed
    IF access IN ('gateway', 'worker') THEN
        RAISE EXCEPTION '% access is for programs, which have a role of their own', access
            USING ERRCODE = 'invalid_parameter_value', HINT = 'grant_access() gives it to a role.';
    END IF;
    IF NOT access = ANY (CASE WHEN target IS NULL THEN mulberry_internal.access_includes('admin')
                              ELSE mulberry.held_access(target) END) THEN
        RAISE EXCEPTION 'nobody gives more than he holds: % access', access USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF expires <= clock_timestamp() OR NOT isfinite(expires) THEN
        RAISE EXCEPTION 'a token expires in the future, or never (null)' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    -- 256 bits; both are computed here, where no plan has them as a parameter that could be logged
    token := 'mulberry_' || mulberry_internal.random_token();
    digest := sha256(convert_to(token, 'UTF8'));
    BEGIN
        INSERT INTO mulberry_internal.tokens (tenant, name, access, digest, expires_at, created_by)
        VALUES (target, create_token.name, create_token.access, digest, expires, mulberry_internal.outer_role_name());
    EXCEPTION WHEN unique_violation THEN
        RAISE EXCEPTION 'token "%" already exists', name
            USING ERRCODE = 'duplicate_object', HINT = 'revoke_token() takes it away.';
    END;
    PERFORM mulberry_internal.audit_token(target, 'CREATE_TOKEN', name, access, expires);
    RETURN token;
END
$$;
COMMENT ON FUNCTION mulberry.create_token(text, text, text, timestamptz) IS
    'makes a bearer token for clients of a gateway, with one access to one tenant (null: all tenants), and returns it, this once: only its '
    'digest is stored. expires null: never. Needs admin access to the tenant';

CREATE OR REPLACE FUNCTION mulberry.revoke_token(name text, tenant text DEFAULT 'default') RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid;
    gone   record;
BEGIN
    PERFORM mulberry_internal.check_texts('name', revoke_token.name, 'tenant', revoke_token.tenant);
    IF tenant IS NULL THEN
        PERFORM mulberry_internal.require_access_everywhere('admin');
    ELSE
        target := mulberry_internal.resolve_tenant(tenant, 'admin');
    END IF;
    DELETE FROM mulberry_internal.tokens t
     WHERE t.tenant IS NOT DISTINCT FROM target AND t.name = revoke_token.name
    RETURNING t.access, t.expires_at INTO gone;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'token "%" does not exist', name
            USING ERRCODE = 'undefined_object', HINT = 'The view mulberry.tokens lists them.';
    END IF;
    PERFORM mulberry_internal.audit_token(target, 'REVOKE_TOKEN', name, gone.access, gone.expires_at);
END
$$;
COMMENT ON FUNCTION mulberry.revoke_token(text, text) IS
    'takes a token away: it counts no more from the commit on, within transactions that work for it as well, and gateways are told. '
    'Needs admin access to the tenant (null: all)';

CREATE OR REPLACE FUNCTION mulberry.note_token_uses(tokens uuid[]) RETURNS bigint
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    served uuid[] := mulberry.current_tenants('gateway');
    noted  bigint;
BEGIN
    IF cardinality(tokens) > 10000 THEN
        RAISE EXCEPTION 'at most 10000 tokens at once' USING ERRCODE = 'program_limit_exceeded';
    END IF;
    -- in the order of their ids, so that two gateways do not wait for each other; a token that is being revoked is left out
    WITH used AS (
        SELECT k.id FROM mulberry_internal.tokens k
         WHERE k.id = ANY (note_token_uses.tokens) AND (k.tenant IS NULL OR k.tenant = ANY (served))
         ORDER BY k.id FOR KEY SHARE SKIP LOCKED
    )
    INSERT INTO mulberry_internal.token_uses AS u (token) SELECT used.id FROM used
    ON CONFLICT ON CONSTRAINT token_uses_pkey DO UPDATE SET last_used_at = clock_timestamp();
    GET DIAGNOSTICS noted = ROW_COUNT;
    RETURN noted;
END
$$;
COMMENT ON FUNCTION mulberry.note_token_uses(uuid[]) IS
    'notes that tokens (the ids that authenticate() gave) have been used just now, and returns how many of them there are: a gateway says '
    'so now and then, not with each request. Needs gateway access';
