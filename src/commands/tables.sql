-- Commands to agents.  A command waits until its key has no other outstanding; then it gets
-- counter and frame, which every path and repetition carries.

CREATE SEQUENCE command_id;
COMMENT ON SEQUENCE command_id IS 'commands.id';
SELECT pg_catalog.pg_extension_config_dump('command_id', '');

CREATE TABLE commands (
    id             bigint PRIMARY KEY DEFAULT nextval('command_id'),
    tenant         uuid NOT NULL REFERENCES tenants (id),
    agent          uuid NOT NULL,
    command        text COLLATE "C" NOT NULL,
    mandate        text COLLATE "C",
    argument       integer NOT NULL DEFAULT 0,
    reason         text COLLATE "C",
    requester      text COLLATE "C",
    force_voice    boolean NOT NULL DEFAULT false,
    state          text COLLATE "C" NOT NULL DEFAULT 'waiting'
                   CHECK (state IN ('waiting', 'outstanding', 'confirmed', 'refused', 'escalated', 'cancelled')),
    method         text COLLATE "C" CHECK (method IN ('api', 'voice')),
    attempts       integer NOT NULL DEFAULT 0,
    signatures     integer NOT NULL DEFAULT 0,
    key_id         integer,
    counter        bigint,
    frame          text COLLATE "C",
    nonce          text COLLATE "C",
    message_digest bytea,
    signed_at      timestamptz,
    voice_at       timestamptz,
    ack_frame      text COLLATE "C",
    ack_status     integer,
    ack_state      integer,
    evidence       jsonb,
    error          text COLLATE "C",
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at    timestamptz,
    attempts_before integer NOT NULL DEFAULT 0,
    offered_at     timestamptz,
    challenged_at  timestamptz,
    online_only    boolean NOT NULL DEFAULT false,
    escalated_at   timestamptz,
    retold_as      bigint,
    FOREIGN KEY (tenant, agent) REFERENCES agents (tenant, id),
    FOREIGN KEY (tenant, mandate) REFERENCES mandates (tenant, id),
    CONSTRAINT commands_kind CHECK (mulberry_internal.command_means_something(command, mandate, argument)),
    CHECK ((state = 'outstanding') <= (frame IS NOT NULL AND counter IS NOT NULL AND key_id IS NOT NULL))
);
CREATE UNIQUE INDEX commands_outstanding ON commands (tenant, agent) WHERE state = 'outstanding';
CREATE INDEX commands_open ON commands (tenant, agent, id) WHERE state IN ('waiting', 'outstanding', 'escalated');
CREATE INDEX commands_mandate ON commands (tenant, mandate);
COMMENT ON TABLE commands IS 'commands to agents and what became of them';
COMMENT ON COLUMN commands.argument IS 'what command_kinds() says';
COMMENT ON COLUMN commands.state IS
    'waiting for its turn; outstanding: signed and on its way; confirmed or refused by the agent; escalated: a person must act; cancelled';
COMMENT ON COLUMN commands.method IS 'path of the confirmation, or the one that is being tried';
COMMENT ON COLUMN commands.attempts IS 'calls placed for it';
COMMENT ON COLUMN commands.signatures IS 'how often it was signed: again after it was displaced or a challenge came';
COMMENT ON COLUMN commands.voice_at IS 'when the telephone takes over from the online path';
COMMENT ON COLUMN commands.evidence IS 'what the confirmation rests on';
COMMENT ON COLUMN commands.error IS 'what went wrong last';
COMMENT ON COLUMN commands.attempts_before IS 'attempts of earlier turns, which do not count against this one';
COMMENT ON COLUMN commands.offered_at IS 'when the online path carried its frame first';
COMMENT ON COLUMN commands.challenged_at IS 'when the agent answered the frame by a challenge';
COMMENT ON COLUMN commands.online_only IS 'outstanding, and nobody phones: there is no telephone, or it has failed before';
COMMENT ON COLUMN commands.retold_as IS
    'of an escalated EXTEND that can have no effect any more: the number under which the online path tells its mandate';
COMMENT ON COLUMN commands.escalated_at IS 'when it was first handed to a person in this turn';
SELECT pg_catalog.pg_extension_config_dump('commands', '');

-- An acknowledgement is proof of the signature that it answers, whatever has become of the
-- command since: so every signature is kept.
CREATE TABLE command_signatures (
    command        bigint NOT NULL REFERENCES commands (id) ON DELETE CASCADE,
    signature      integer NOT NULL,
    tenant         uuid NOT NULL REFERENCES tenants (id),
    agent          uuid NOT NULL,
    key_id         integer NOT NULL,
    counter        bigint NOT NULL,
    frame          text COLLATE "C" NOT NULL,
    nonce          text COLLATE "C",
    message_digest bytea NOT NULL,
    signed_at      timestamptz NOT NULL,
    PRIMARY KEY (command, signature)
);
CREATE FUNCTION frame_counter(counter bigint) RETURNS integer
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_frame_counter';
COMMENT ON FUNCTION frame_counter(bigint) IS 'the last digits of a counter, as a frame carries it (internal)';
-- what an acknowledgement says about the signature that it answers
CREATE INDEX command_signatures_counter ON command_signatures (tenant, agent, key_id, frame_counter(counter), counter);
COMMENT ON TABLE command_signatures IS 'every frame that was made for a command: an acknowledgement of an older one counts too';
COMMENT ON COLUMN command_signatures.signature IS '1 for the first';
SELECT pg_catalog.pg_extension_config_dump('command_signatures', '');

-- An extension adds up, so an agent must not get it twice: as a command, and with what the online
-- path tells of the mandate.  The latter waits for the former, and then comes under a number of its own.
CREATE TABLE mandate_retellings (
    tenant  uuid NOT NULL REFERENCES tenants (id),
    mandate text COLLATE "C" NOT NULL,
    number  bigint NOT NULL,
    PRIMARY KEY (tenant, mandate),
    FOREIGN KEY (tenant, mandate) REFERENCES mandates (tenant, id) ON DELETE CASCADE
);
COMMENT ON TABLE mandate_retellings IS
    'mandates that agent_sync() tells an agent once more, now that the extension that kept them back is settled';
COMMENT ON COLUMN mandate_retellings.number IS 'taken from agents.mandates_version, as mandates.agent_version is';
SELECT pg_catalog.pg_extension_config_dump('mandate_retellings', '');

CREATE TYPE received_ack AS (
    problem text,
    key_id  integer,
    status  integer,
    state   integer,
    counter integer,
    tag     text
);
COMMENT ON TYPE received_ack IS
    'what an acknowledgement is taken apart into, once: "problem" says why it is none. The tag is not verified';
