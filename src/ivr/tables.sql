-- Whom callers reach and what they hear: the settings of tenants, their numbers, and the calls that came in.

CREATE TABLE telephony_versions (
    tenant     uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    version    integer NOT NULL CHECK (version > 0),
    settings   jsonb NOT NULL CHECK (jsonb_typeof(settings) = 'object'),
    role       text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, version)
);
COMMENT ON TABLE telephony_versions IS
    'telephony settings of tenants: the highest version is the one that holds, earlier ones are those that calls ran under';
COMMENT ON COLUMN telephony_versions.settings IS 'what set_telephony() was given, checked';
COMMENT ON COLUMN telephony_versions.role IS 'who wrote it';
SELECT pg_catalog.pg_extension_config_dump('telephony_versions', '');

CREATE TABLE phone_numbers (
    number     text COLLATE "C" PRIMARY KEY,
    tenant     uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX phone_numbers_tenant ON phone_numbers (tenant);
COMMENT ON TABLE phone_numbers IS 'the tenant that is called by a number: what the version of its settings that holds says';
COMMENT ON COLUMN phone_numbers.number IS 'E.164';
SELECT pg_catalog.pg_extension_config_dump('phone_numbers', '');
