-- Receiving: what an edge makes of the frames that it hears.

CREATE TABLE key_frames (
    tenant       uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    key_id       integer NOT NULL CHECK (key_id BETWEEN 0 AND 99),
    counter      bigint NOT NULL,
    frame_digest bytea NOT NULL CHECK (octet_length(frame_digest) = 32),
    command      text COLLATE "C",
    mandate      text COLLATE "C",
    ack          text COLLATE "C" NOT NULL,
    ack_status   integer NOT NULL,
    ack_state    integer NOT NULL,
    message      text COLLATE "C" NOT NULL,
    speech       text COLLATE "C" NOT NULL,
    accepted_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, key_id, counter)
);
COMMENT ON TABLE key_frames IS
    'the last frames that each receiver''s key accepted, and the answers to them: what is played again is answered again and does '
    'nothing';
COMMENT ON COLUMN key_frames.frame_digest IS 'SHA-256 of the 32 symbols';
SELECT pg_catalog.pg_extension_config_dump('key_frames', '');

CREATE TABLE key_guard (
    tenant           uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    key_id           integer NOT NULL CHECK (key_id BETWEEN 0 AND 99),
    forgeries        timestamptz[] NOT NULL DEFAULT '{}',
    in_row           bigint NOT NULL DEFAULT 0,
    since_entered    integer NOT NULL DEFAULT 0,
    challenge_until  timestamptz,
    challenge_period interval,
    PRIMARY KEY (tenant, key_id)
);
COMMENT ON TABLE key_guard IS
    'what forgeries have done to a key, known or not. A row beside voice_keys, so that forgeries never rewrite what genuine frames need';
COMMENT ON COLUMN key_guard.forgeries IS 'times of the last ones, the newest first';
COMMENT ON COLUMN key_guard.in_row IS 'forgeries since the last genuine frame';
COMMENT ON COLUMN key_guard.since_entered IS 'forgeries since challenge mode was entered last; those before have done their part';
SELECT pg_catalog.pg_extension_config_dump('key_guard', '');

CREATE TABLE challenges (
    tenant    uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    key_id    integer NOT NULL,
    command   integer NOT NULL,
    mandate   text COLLATE "C" NOT NULL,
    argument  integer NOT NULL,
    nonce     text COLLATE "C" NOT NULL CHECK (nonce ~ '^[0-9]{6}$'),
    counter   bigint NOT NULL,
    drawn_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    played_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, key_id)
);
COMMENT ON TABLE challenges IS 'challenges that were played and not answered yet: one of a key, as it has one outstanding command';
COMMENT ON COLUMN challenges.played_at IS 'when it was played last';
COMMENT ON COLUMN challenges.command IS 'code of the command that was challenged';
COMMENT ON COLUMN challenges.counter IS 'counter of the frame that was challenged';
SELECT pg_catalog.pg_extension_config_dump('challenges', '');

CREATE TABLE received_calls (
    tenant        uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    call_ref      text COLLATE "C" NOT NULL CHECK (length(call_ref) BETWEEN 1 AND 200),
    forgeries     integer NOT NULL DEFAULT 0,
    decode_errors integer NOT NULL DEFAULT 0,
    hang_up       boolean NOT NULL DEFAULT false,
    began_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, call_ref)
);
CREATE INDEX received_calls_age ON received_calls (tenant, began_at);
COMMENT ON TABLE received_calls IS 'what was wrong in the calls of the last day; they hang up by it';
SELECT pg_catalog.pg_extension_config_dump('received_calls', '');

-- What a caller is told.  Whatever is wrong with a frame that could be read, the caller hears the same.

CREATE TYPE received_frame AS (
    symbols    text,
    problem    text,
    key_id     integer,
    command    text,
    code       integer,
    mandate_id text,
    argument   integer,
    counter    integer,
    tag        text
);
COMMENT ON TYPE received_frame IS
    'symbols that an edge has received, and what they are taken apart into, once: "problem" says why they are no frame. The tag is not '
    'verified';

CREATE TYPE mulberry.command_answer AS (
    success       boolean,
    command       text,
    mandate_id    text,
    status        text,
    error         text,
    message       text,
    ack_digits    text,
    ack_audio     bytea,
    speech        text,
    challenge     text,
    verdict       text,
    hang_up       boolean,
    mandate_state text,
    frames        integer
);
COMMENT ON TYPE mulberry.command_answer IS
    'what became of a voice command: success (done, or so before); status applied, already so, unknown mandate, refused, challenge '
    'wanted; error E001 to E010; message for logs; ack_digits and ack_audio to play; speech to say afterwards; challenge: eight digits '
    'that are in ack_audio as well; verdict accepted, duplicate, stale, forgery, decode error, no frame, caller not allowed, not judged, '
    'call ended; hang_up after playing; mandate_state afterwards; frames that were heard';

-- The edge's side of the online path; agent_sync() is the cloud's.

CREATE TABLE sync_states (
    tenant uuid NOT NULL REFERENCES tenants (id),
    agent  uuid NOT NULL,
    upto   bigint NOT NULL CHECK (upto >= 0),
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, agent),
    FOREIGN KEY (tenant, agent) REFERENCES agents (tenant, id) ON DELETE CASCADE
);
COMMENT ON TABLE sync_states IS
    'up to where an edge has taken the registry''s changes of its mandates: what it asks for next, and what is no news any more';
SELECT pg_catalog.pg_extension_config_dump('sync_states', '');

-- What programs on machines at the edge say of themselves.

CREATE TABLE edge_programs (
    tenant        uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    role          text COLLATE "C" NOT NULL,
    name          text COLLATE "C" NOT NULL CHECK (name <> ''),
    program       text COLLATE "C" NOT NULL CHECK (program IN ('capture', 'sync', 'answer')),
    version       text COLLATE "C",
    state         text COLLATE "C" NOT NULL,
    device        text COLLATE "C",
    heard         double precision NOT NULL CHECK (heard BETWEEN 0 AND 1e9),
    lost          double precision NOT NULL CHECK (lost BETWEEN 0 AND 1e9),
    overruns      bigint NOT NULL CHECK (overruns >= 0),
    suspends      bigint NOT NULL CHECK (suspends >= 0),
    departures    bigint NOT NULL CHECK (departures >= 0),
    late          double precision NOT NULL CHECK (late BETWEEN 0 AND 1e9),
    call_id       text COLLATE "C",
    waiting       bigint NOT NULL CHECK (waiting >= 0),
    acknowledged  bigint NOT NULL CHECK (acknowledged >= 0),
    dropped       bigint NOT NULL CHECK (dropped >= 0),
    spool         bigint CHECK (spool >= 0),
    under_voltage text COLLATE "C" CHECK (under_voltage IN ('now', 'before')),
    problem       text COLLATE "C",
    started_at    timestamptz NOT NULL CHECK (isfinite(started_at)),
    reported_at   timestamptz NOT NULL DEFAULT clock_timestamp() CHECK (isfinite(reported_at)),
    dropped_at    timestamptz CHECK (isfinite(dropped_at)),
    PRIMARY KEY (tenant, role, name, program)
);
COMMENT ON TABLE edge_programs IS
    'what mulberry-edge said of itself last: a row of each name and program, and of the role that reports, so that nobody writes what '
    'is another one''s; at most edge_programs_kept() of a tenant';
COMMENT ON COLUMN edge_programs.name IS 'of the machine, or what its --name says';
COMMENT ON COLUMN edge_programs.state IS
    'recording, in a call, waiting for calls, device away; of sync online, offline; ended: it said so itself, and is not waited for';
COMMENT ON COLUMN edge_programs.heard IS 'seconds of audio since it started';
COMMENT ON COLUMN edge_programs.lost IS 'seconds that it could not hear; what follows says why';
COMMENT ON COLUMN edge_programs.overruns IS 'how often the card was not read in time';
COMMENT ON COLUMN edge_programs.suspends IS 'how often the machine slept';
COMMENT ON COLUMN edge_programs.departures IS 'how often the device was away';
COMMENT ON COLUMN edge_programs.late IS 'seconds that found no room in its memory';
COMMENT ON COLUMN edge_programs.call_id IS 'of the call that is under way; null: none';
COMMENT ON COLUMN edge_programs.waiting IS 'packets that were not posted yet';
COMMENT ON COLUMN edge_programs.acknowledged IS 'packets that this database has, since it started';
COMMENT ON COLUMN edge_programs.dropped IS 'packets that will never come, since it started';
COMMENT ON COLUMN edge_programs.spool IS 'bytes in its spool; null: it has none';
COMMENT ON COLUMN edge_programs.under_voltage IS 'of a Raspberry Pi, now or before since it was switched on; null: no, or not known';
COMMENT ON COLUMN edge_programs.problem IS 'the last; null: all is well';
COMMENT ON COLUMN edge_programs.started_at IS 'when the program started, by the clock of this server';
COMMENT ON COLUMN edge_programs.dropped_at IS 'of the last report of more packets dropped than before';
SELECT pg_catalog.pg_extension_config_dump('edge_programs', '');
