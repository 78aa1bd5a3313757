CREATE TABLE tenants (
    id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name                text COLLATE "C" NOT NULL UNIQUE
                        CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,62}$'),
    default_encoding    text COLLATE "C" NOT NULL DEFAULT 's16le'
                        CHECK (default_encoding IN ('mulaw', 'alaw', 's16le', 'text')),
    default_sample_rate integer NOT NULL DEFAULT 16000
                        CHECK (default_sample_rate IN (8000, 16000, 44100, 48000)),
    -- a sum of parts with unlike signs could be small and yet lead beyond what a timestamp holds
    retention           interval CHECK (retention > '0' AND retention <= '1000 years'
                                        AND least(extract(year FROM retention), extract(month FROM retention),
                                                  extract(day FROM retention), extract(hour FROM retention),
                                                  extract(minute FROM retention), extract(second FROM retention)) >= 0),
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    language            text COLLATE "C" NOT NULL DEFAULT 'english' CHECK (language ~ '^[a-z_]{1,63}$')
);
-- access.c reads columns by position: add new ones at the end
COMMENT ON TABLE tenants IS 'who owns calls, endpoints and secrets; "default" exists from the start';
COMMENT ON COLUMN tenants.id IS 'never shown to users, who name tenants';
COMMENT ON COLUMN tenants.language IS
    'text search configuration of PostgreSQL by which transcripts are indexed; those that are there keep theirs';
COMMENT ON COLUMN tenants.retention IS 'how long finished calls are kept; null: mulberry.retention';

-- The default tenant's id is a constant, so that dumps restore onto it.
INSERT INTO tenants (id, name) VALUES ('6d756c62-6572-7279-8000-000000000001', 'default');
SELECT pg_catalog.pg_extension_config_dump('tenants', '');

CREATE TABLE members (
    role       regrole NOT NULL,
    access     text COLLATE "C" NOT NULL CHECK (access = ANY (mulberry_internal.access_names())),
    tenant     uuid REFERENCES tenants (id) ON DELETE CASCADE,
    granted_by name NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (role, access, tenant),
    CONSTRAINT members_worker_serves_all CHECK (access <> 'worker' OR tenant IS NULL)
);
-- access.c reads columns by position: add new ones at the end
COMMENT ON TABLE members IS 'which role has which access to which tenant; written by grant_access() and revoke_access() only';
COMMENT ON COLUMN members.tenant IS 'null: all tenants, those to come as well';
COMMENT ON COLUMN members.granted_by IS 'the role that called grant_access(), by its name then';
-- without a key over columns that are never null, what publications need is all of the row
ALTER TABLE members REPLICA IDENTITY FULL;
-- a role that has been dropped has no name to restore it by
SELECT pg_catalog.pg_extension_config_dump('members',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = role)');

CREATE TABLE tokens (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant     uuid REFERENCES tenants (id) ON DELETE CASCADE,
    name       text COLLATE "C" NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,62}$'),
    access     text COLLATE "C" NOT NULL
               CHECK (access = ANY (mulberry_internal.access_names()) AND access NOT IN ('gateway', 'worker')),
    digest     bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    expires_at timestamptz,
    created_by name NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (tenant, name)
);
-- narrowing.c reads columns by position: add new ones at the end
COMMENT ON TABLE tokens IS 'bearer tokens, by which strangers prove to a gateway who they are; a token that is revoked is gone';
COMMENT ON COLUMN tokens.id IS 'names the token to gateways without giving it away';
COMMENT ON COLUMN tokens.tenant IS 'null: all tenants, those to come as well';
COMMENT ON COLUMN tokens.digest IS 'SHA-256 of the token, which itself is stored nowhere';
COMMENT ON COLUMN tokens.expires_at IS 'null: never';
COMMENT ON COLUMN tokens.created_by IS 'the role that called create_token(), by its name then';
SELECT pg_catalog.pg_extension_config_dump('tokens', '');

-- By itself, so that nobody who uses a token keeps the row from whoever revokes it.
CREATE TABLE token_uses (
    token        uuid PRIMARY KEY REFERENCES tokens (id) ON DELETE CASCADE,
    last_used_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE token_uses IS 'when tokens were used last, as far as gateways have said';
SELECT pg_catalog.pg_extension_config_dump('token_uses', '');
