-- Keys of signed frames: shared by the cloud (sender) and one edge (receiver).

CREATE TABLE voice_keys (
    tenant           uuid NOT NULL REFERENCES tenants (id),
    role             text COLLATE "C" NOT NULL CHECK (role IN ('sender', 'receiver')),
    agent            uuid NOT NULL,
    key_id           integer NOT NULL CHECK (key_id BETWEEN 0 AND 99),
    party_tenant     uuid NOT NULL,
    secret           text COLLATE "C" NOT NULL,
    enabled          boolean NOT NULL DEFAULT true,
    challenge_extend boolean NOT NULL DEFAULT false,
    last_counter     bigint NOT NULL DEFAULT 0 CHECK (last_counter >= 0),
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    exported_at      timestamptz,
    disabled_at      timestamptz,
    fingerprint      text COLLATE "C" NOT NULL,
    confirmed_at     timestamptz,
    acked_counter    bigint NOT NULL DEFAULT 0,
    place            text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, role, agent, key_id),
    FOREIGN KEY (tenant, agent) REFERENCES agents (tenant, id),
    CHECK (enabled = (disabled_at IS NULL))
);
-- voice_key_load.c reads columns by position: add new ones at the end
CREATE UNIQUE INDEX voice_keys_receiver ON voice_keys (tenant, key_id) WHERE role = 'receiver';
COMMENT ON TABLE voice_keys IS 'keys of voice commands, without their bytes, which are in secrets';
COMMENT ON COLUMN voice_keys.role IS 'sender: the cloud, which signs commands and checks acknowledgements; receiver: the edge';
COMMENT ON COLUMN voice_keys.party_tenant IS 'tenant in what is signed: that of the cloud, whatever the tenant is called on the edge';
COMMENT ON COLUMN voice_keys.secret IS 'name of the secret with its 32 bytes';
COMMENT ON COLUMN voice_keys.challenge_extend IS 'EXTEND must answer a challenge';
COMMENT ON COLUMN voice_keys.last_counter IS 'sender: last used; receiver: last accepted';
COMMENT ON COLUMN voice_keys.exported_at IS 'when it was given to its edge, which happens once';
COMMENT ON COLUMN voice_keys.disabled_at IS 'disabled keys have lost their bytes; the row remains, so that its line cannot enter again';
COMMENT ON COLUMN voice_keys.fingerprint IS 'names the key without giving it away; the same in the cloud and on the edge';
COMMENT ON COLUMN voice_keys.confirmed_at IS
    'sender: since when it is known that the edge has it: by its first acknowledgement or confirm_voice_key()';
COMMENT ON COLUMN voice_keys.acked_counter IS 'sender: highest counter that was acknowledged';
COMMENT ON COLUMN voice_keys.place IS
    'signing_place() and the time of the installation that used the key last; another one means a restored or promoted copy';
SELECT pg_catalog.pg_extension_config_dump('voice_keys', '');
