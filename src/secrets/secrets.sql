CREATE OR REPLACE VIEW mulberry.secret_entry WITH (security_barrier) AS
    SELECT NULL::text AS tenant, NULL::text AS name, NULL::secret_value AS value WHERE false;
COMMENT ON VIEW mulberry.secret_entry IS
    E'where secrets enter: \\copy mulberry.secret_entry (tenant, name, value) FROM ...; it stores or replaces, needs admin access to the '
    'tenant, and always looks empty';
COMMENT ON COLUMN mulberry.secret_entry.tenant IS 'name of the tenant; null: the role''s only one, or "default"';
COMMENT ON COLUMN mulberry.secret_entry.value IS 'at most 65536 bytes of text';

CREATE OR REPLACE FUNCTION enter_secret() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_enter_secret';
COMMENT ON FUNCTION enter_secret() IS 'seals and stores a row of secret_entry';
CREATE OR REPLACE TRIGGER enter_secret INSTEAD OF INSERT ON mulberry.secret_entry
    FOR EACH ROW EXECUTE FUNCTION enter_secret();

CREATE OR REPLACE FUNCTION mulberry.load_secret(name text, server_file text, tenant text DEFAULT NULL) RETURNS void
LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_load_secret';
COMMENT ON FUNCTION mulberry.load_secret(text, text, text) IS
    'stores the content of a file of the server (without the newline at its end) as a secret; needs admin access to all tenants and the '
    'rights of pg_read_server_files';

CREATE OR REPLACE FUNCTION mulberry.drop_secret(name text, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
BEGIN
    PERFORM mulberry_internal.check_texts('name', drop_secret.name);
    -- the prefix is voice_keys.h's
    IF name ~ '^voice-key-' THEN
        RAISE EXCEPTION 'secret "%" belongs to a voice key', name
            USING ERRCODE = 'reserved_name', HINT = 'disable_voice_key() destroys its bytes.';
    END IF;
    DELETE FROM mulberry_internal.secrets s WHERE s.tenant = owner AND s.name = drop_secret.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'secret "%" does not exist', name USING ERRCODE = 'undefined_object';
    END IF;
END
$$;
COMMENT ON FUNCTION mulberry.drop_secret(text, text) IS 'removes a secret of a tenant; needs admin access to it';

CREATE OR REPLACE FUNCTION check_secrets() RETURNS TABLE (tenant uuid, name text, key_fingerprint text, problem text)
LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_check_secrets';
COMMENT ON FUNCTION check_secrets() IS
    'opens every secret and says what is wrong with it (null: nothing); an error when the key file itself cannot be used';

CREATE OR REPLACE FUNCTION mulberry.rotate_secret_key() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_rotate_secret_key';
COMMENT ON FUNCTION mulberry.rotate_secret_key() IS
    'makes a new key, seals all secrets of this database with it and returns their number; the replaced key stays in the file for other '
    'databases. Needs admin access to all tenants';

CREATE OR REPLACE FUNCTION mulberry.forget_secret_keys() RETURNS integer
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_forget_secret_keys';
COMMENT ON FUNCTION mulberry.forget_secret_keys() IS
    'removes replaced keys that no secret of this database needs from the key file, and returns their number; first rotate in all other '
    'databases of the server. Superusers only';

CREATE OR REPLACE VIEW mulberry.secret_names WITH (security_barrier) AS
    SELECT t.name AS tenant, s.name, octet_length(s.ciphertext) AS size, s.key_fingerprint, s.created_at, s.rotated_at
      FROM secrets s
      JOIN tenants t ON t.id = s.tenant
     WHERE s.tenant = ANY ((SELECT current_tenants(true, 'admin'))::uuid[]);
COMMENT ON VIEW mulberry.secret_names IS 'the secrets of the tenants that the current role is admin of, without their values';
COMMENT ON COLUMN mulberry.secret_names.size IS 'bytes';
