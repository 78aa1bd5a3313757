-- Secrets: what Mulberry needs to know at other services.  Values go in by COPY
-- into secret_entry or by load_secret(), and come out in C only.

CREATE TABLE secrets (
    tenant          uuid NOT NULL REFERENCES tenants (id),
    name            text COLLATE "C" NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,62}$'),
    nonce           bytea NOT NULL CHECK (octet_length(nonce) = 12),
    ciphertext      bytea NOT NULL CHECK (octet_length(ciphertext) BETWEEN 1 AND 65536),
    tag             bytea NOT NULL CHECK (octet_length(tag) = 16),
    key_fingerprint text COLLATE "C" NOT NULL CHECK (key_fingerprint ~ '^[0-9a-f]{32}$'),
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    rotated_at      timestamptz,
    PRIMARY KEY (tenant, name)
);
-- secrets.c reads columns by position: add new ones at the end
COMMENT ON TABLE secrets IS 'values sealed with AES-256-GCM, bound to tenant and name; the key is in the file of mulberry.secret_key_file';
COMMENT ON COLUMN secrets.key_fingerprint IS 'names the key without giving it away';
COMMENT ON COLUMN secrets.rotated_at IS 'when the value was replaced or sealed with another key';
SELECT pg_catalog.pg_extension_config_dump('secrets', '');

CREATE TYPE mulberry.secret_value;
CREATE FUNCTION secret_value_in(cstring) RETURNS secret_value
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_secret_value_in';
COMMENT ON FUNCTION secret_value_in(cstring) IS 'input of secret_value';
CREATE FUNCTION secret_value_out(secret_value) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_secret_value_out';
COMMENT ON FUNCTION secret_value_out(secret_value) IS 'output of secret_value: asterisks';
CREATE TYPE mulberry.secret_value (
    INPUT = secret_value_in, OUTPUT = secret_value_out,
    INTERNALLENGTH = VARIABLE, STORAGE = extended
);
COMMENT ON TYPE mulberry.secret_value IS 'a text on its way into secret_entry; never shown';
