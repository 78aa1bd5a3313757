-- Assembled by `make sql` from the files that src/install/order lists: change
-- those, not this.

-- src/install/open.sql
-- What begins the install script.  Rules for every file of src/SUBJECT/:
--
--  * tables.sql holds what exists once and is changed by hand-written updates only: tables,
--    sequences, types, indexes.  All other files can be run again: they say CREATE OR REPLACE.
--  * A table belongs to the owner of the extension; nobody else gets DML on it.
--    Users get EXECUTE on functions and SELECT on views, through
--    grant_access() only; close.sql takes everything from PUBLIC.
--  * Views and functions filter by current_tenants() themselves, because row
--    level security does nothing for the usual owner, a superuser.  Row level
--    security is the second barrier: every table that carries a tenant has it.
--  * What users call and needs the owner's rights is LANGUAGE mulberry, which is PL/pgSQL as
--    the owner that still knows who calls (access/callers.c); SECURITY DEFINER is for triggers.
--    Both pin search_path to pg_catalog, mulberry, mulberry_internal, pg_temp.
--  * mulberry holds what users see, mulberry_internal tables and everything else.
--  * Every table and sequence is registered with pg_extension_config_dump.
--  * Every object carries a COMMENT.

\echo Use "CREATE EXTENSION mulberry" to load this file. \quit

-- CREATE EXTENSION has the schemas of required extensions in the search path, and
-- those may be open to others, whose operators for odd pairs of types would run as
-- the superuser who installs us.
SET LOCAL search_path = pg_catalog, pg_temp;

-- Whoever may create objects in a schema of ours, or has put some there before us,
-- could capture what SECURITY DEFINER functions call.  CREATE EXTENSION has made the
-- first schema unless it was there; the second is always ours to make.
DO $$
DECLARE
    problem text;
    taken   text := 'mulberry';
BEGIN
    SELECT CASE
               WHEN n.nspowner <> CURRENT_USER::pg_catalog.regrole AND NOT o.rolsuper
                   THEN pg_catalog.format('it belongs to "%s"', o.rolname)
               WHEN EXISTS (SELECT FROM pg_catalog.aclexplode(n.nspacl) a
                             WHERE a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner)
                   THEN 'others have CREATE on it'
               WHEN EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = n.oid)
                   OR EXISTS (SELECT FROM pg_catalog.pg_proc WHERE pronamespace = n.oid)
                   OR EXISTS (SELECT FROM pg_catalog.pg_operator WHERE oprnamespace = n.oid)
                   OR EXISTS (SELECT FROM pg_catalog.pg_type WHERE typnamespace = n.oid)
                   THEN 'it is not empty'
           END
      INTO problem
      FROM pg_catalog.pg_namespace n
      JOIN pg_catalog.pg_roles o ON o.oid = n.nspowner
     WHERE n.oid = 'mulberry'::pg_catalog.regnamespace;
    IF problem IS NULL AND EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'mulberry_internal') THEN
        taken := 'mulberry_internal';
        problem := 'it exists already';
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'schema "%" cannot be used: %', taken, problem
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop or rename the schema; CREATE EXTENSION makes its own.';
    END IF;
END
$$;

CREATE SCHEMA mulberry_internal;
COMMENT ON SCHEMA mulberry_internal IS
    'tables of mulberry and functions that no user calls; nothing in it is granted but through the access "worker"';

-- What is written without a schema is internal; what users see says "mulberry."
SET LOCAL search_path = mulberry_internal, mulberry, pg_catalog, pg_temp;

-- src/access/languages.sql
-- The language of functions that run as the owner of the extension and know who called them
-- (callers.c): what users call is in it.  Nobody but a superuser can write in it.

CREATE FUNCTION call_as_owner() RETURNS language_handler
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_call_as_owner';
COMMENT ON FUNCTION call_as_owner() IS 'handler of the language mulberry (internal)';

-- Not the validator of PL/pgSQL itself: pg_upgrade makes languages anew with functions of the same extension only.
CREATE FUNCTION validate_as_plpgsql(oid) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mulberry_validate_as_plpgsql';
COMMENT ON FUNCTION validate_as_plpgsql(oid) IS 'validator of the language mulberry (internal)';

CREATE LANGUAGE mulberry HANDLER mulberry_internal.call_as_owner VALIDATOR mulberry_internal.validate_as_plpgsql;
COMMENT ON LANGUAGE mulberry IS 'PL/pgSQL as the owner of the extension mulberry, on behalf of whoever calls';

-- src/access/names.sql
-- Functions of this section that ask who the user is are PARALLEL RESTRICTED:
-- what narrows a session's rights lives in the memory of its leader.

CREATE FUNCTION access_names() RETURNS text[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_access_names';
COMMENT ON FUNCTION access_names() IS 'the accesses that grant_access() can give';

CREATE FUNCTION access_includes(access text) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_access_includes';
COMMENT ON FUNCTION access_includes(text) IS 'the accesses that holding one access means, itself among them';

-- src/access/tables.sql
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

-- src/server/tables.sql
-- Where this database lives.  A copy of it (a restored dump, CREATE DATABASE ...
-- TEMPLATE, an upgraded server) finds something else than itself here, and its
-- workers leave outgoing work alone.

CREATE TABLE installation (
    system_identifier bigint NOT NULL,
    database          oid NOT NULL,
    since             timestamptz NOT NULL DEFAULT clock_timestamp(),
    approved_by       name NOT NULL
);
-- installation.c reads columns by position: add new ones at the end
COMMENT ON TABLE installation IS 'the server and database whose outgoing work may be done; more than one row: a dump was restored';
COMMENT ON COLUMN installation.system_identifier IS 'as pg_control_system() says; 0: a dump was restored here';
COMMENT ON COLUMN installation.database IS 'pg_database.oid; 0: a dump was restored here';
COMMENT ON COLUMN installation.approved_by IS 'who created the extension, called resume_outbound() or restored the dump';
INSERT INTO installation (system_identifier, database, approved_by)
SELECT c.system_identifier, d.oid, SESSION_USER
  FROM pg_control_system() c, pg_database d
 WHERE d.datname = current_database();
ALTER TABLE installation REPLICA IDENTITY FULL;
SELECT pg_catalog.pg_extension_config_dump('installation', '');

CREATE TABLE set_aside (
    unit     text COLLATE "C",
    item     text COLLATE "C",
    tenant   uuid,
    sqlstate text COLLATE "C" NOT NULL,
    error    text COLLATE "C" NOT NULL,
    times    integer NOT NULL DEFAULT 1,
    since    timestamptz NOT NULL DEFAULT clock_timestamp(),
    retry_at timestamptz NOT NULL,
    PRIMARY KEY (unit, item)
);
COMMENT ON TABLE set_aside IS 'what shared work could not do, so that the rest goes on: tried again at retry_at';
COMMENT ON COLUMN set_aside.unit IS 'which work: linking, numbering, maintenance, ...';
COMMENT ON COLUMN set_aside.item IS 'a row by its key, a tenant, or a step';
SELECT pg_catalog.pg_extension_config_dump('set_aside', 'WHERE false');

-- src/secrets/tables.sql
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

-- src/audit/tables.sql
-- The audit log: append-only, chained by hashes per tenant.  Rows are linked in the order of
-- their ids by one writer after commit, so that commands do not queue on the head of the chain.
-- core/audit_record.h says what is hashed.

CREATE SEQUENCE audit_id;
COMMENT ON SEQUENCE audit_id IS 'audit.id';
SELECT pg_catalog.pg_extension_config_dump('audit_id', '');

CREATE TABLE audit (
    id       bigint PRIMARY KEY DEFAULT nextval('audit_id'),
    tenant   uuid NOT NULL REFERENCES tenants (id),
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    role     name NOT NULL,
    action   text COLLATE "C" NOT NULL,
    outcome  text COLLATE "C" NOT NULL,
    method   text COLLATE "C",
    mandate  text COLLATE "C",
    agent    uuid,
    command  bigint,
    evidence jsonb,
    seq      bigint,
    hash     bytea,
    UNIQUE (tenant, seq),
    CHECK ((seq IS NULL) = (hash IS NULL))
);
-- audit.c reads columns by position
CREATE INDEX audit_unlinked ON audit (id) WHERE seq IS NULL;
CREATE INDEX audit_mandate ON audit (tenant, mandate, id);
COMMENT ON TABLE audit IS 'who did what, when, with which outcome, by which way, and on which evidence; rows never change';
COMMENT ON COLUMN audit.role IS 'the database role that asked';
COMMENT ON COLUMN audit.seq IS 'number in the tenant''s chain, from 1 without gaps; null until it is linked';
COMMENT ON COLUMN audit.hash IS 'SHA-256 of the row and the hash before it';
SELECT pg_catalog.pg_extension_config_dump('audit', '');

CREATE TABLE audit_heads (
    tenant    uuid PRIMARY KEY REFERENCES tenants (id),
    last_seq  bigint NOT NULL CHECK (last_seq > 0),
    hash      bytea NOT NULL CHECK (octet_length(hash) = 32),
    linked_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
COMMENT ON TABLE audit_heads IS 'the last row of each tenant''s audit log, so that one that is cut off is missed';
SELECT pg_catalog.pg_extension_config_dump('audit_heads', '');

-- src/events/tables.sql
-- seq is given after commit by number_events().  id respects causality: who
-- begins after an event was committed gets a larger one.
CREATE TABLE events (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant     uuid NOT NULL REFERENCES tenants (id),
    seq        bigint CHECK (seq > 0),
    event      text COLLATE "C" NOT NULL CHECK (octet_length(event) BETWEEN 1 AND 63),
    call       bigint,
    call_id    text COLLATE "C",
    payload    jsonb NOT NULL CHECK (jsonb_typeof(payload) = 'object'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (tenant, seq)
);
CREATE INDEX events_unnumbered ON events (id) WHERE seq IS NULL;
COMMENT ON TABLE events IS 'events worth keeping, written by the transaction that causes them and numbered after its commit';
COMMENT ON COLUMN events.seq IS 'number within the tenant, without gaps; null until number_events() has seen the row';
COMMENT ON COLUMN events.payload IS 'fields of the message beside event, call_id, seq and prev';
SELECT pg_catalog.pg_extension_config_dump('events', '');
SELECT pg_catalog.pg_extension_config_dump('events_id_seq', '');

CREATE INDEX events_created_at ON events USING brin (created_at) WITH (pages_per_range = 16);

CREATE TABLE event_counters (
    tenant   uuid PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    last_seq bigint NOT NULL CHECK (last_seq > 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE event_counters IS 'the last number given to an event of a tenant; outlives the events';
SELECT pg_catalog.pg_extension_config_dump('event_counters', '');

-- One for all who want all of a tenant's events, several only when its first subscribers came at once: nobody waits for
-- another's commit.  Who wants some of them has one of his own, which goes with his session.
CREATE TABLE event_channels (
    tenant     uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    channel    text COLLATE "C" PRIMARY KEY CHECK (channel ~ '^mulberry_[0-9a-f]{32}$'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    listener   integer,
    calls      text[] COLLATE "C",
    kinds      text[] COLLATE "C",
    CHECK (listener IS NOT NULL OR (calls IS NULL AND kinds IS NULL))
);
CREATE INDEX event_channels_tenant ON event_channels (tenant);
CREATE INDEX event_channels_listener ON event_channels (listener) WHERE listener IS NOT NULL;
COMMENT ON TABLE event_channels IS
    'NOTIFY channel of a tenant, made by the first subscribe() and dropped by revoke_access(); a secret, because any role may LISTEN to '
    'what it can name';
COMMENT ON COLUMN event_channels.listener IS 'process of the only session that listens there; null: all who want everything';
COMMENT ON COLUMN event_channels.calls IS 'call ids that it wants to hear of, sorted; null: all';
COMMENT ON COLUMN event_channels.kinds IS 'events that it wants to hear, sorted; null: all';
-- elsewhere these sessions do not exist
SELECT pg_catalog.pg_extension_config_dump('event_channels', 'WHERE listener IS NULL');

CREATE TYPE mulberry.subscription AS (
    tenant      text,
    channel     text,
    last_seq    bigint,
    backend_pid integer
);
COMMENT ON TYPE mulberry.subscription IS 'answer of subscribe(): where the events of a tenant come';
COMMENT ON COLUMN mulberry.subscription.channel IS 'that the session listens to';
COMMENT ON COLUMN mulberry.subscription.last_seq IS
    'number of the last event so far: what comes later is sent, what came before is in events_since()';
COMMENT ON COLUMN mulberry.subscription.backend_pid IS
    'process of the server that listens. A client whose library knows another one (PQbackendPID()) is connected through a pooler';

-- Only inserted by subscribe(), and referring to nothing, so that an open subscribe() is in nobody's way.
CREATE TABLE channel_listeners (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel text COLLATE "C" NOT NULL,
    tenant  uuid NOT NULL,
    role    oid NOT NULL
);
CREATE INDEX channel_listeners_channel ON channel_listeners (channel);
COMMENT ON TABLE channel_listeners IS 'roles to which subscribe() has said the name of a channel; for a while also of one that is gone';
-- elsewhere roles have other oids: there the channels get new names
SELECT pg_catalog.pg_extension_config_dump('channel_listeners', '');
SELECT pg_catalog.pg_extension_config_dump('channel_listeners_id_seq', '');

-- src/calls/tables.sql
-- The number in the low 40 bits of a call's id; see calls.id.
CREATE SEQUENCE call_number MAXVALUE 1099511627775 CYCLE;
COMMENT ON SEQUENCE call_number IS 'low 40 bits of calls.id';
SELECT pg_catalog.pg_extension_config_dump('call_number', '');

CREATE TABLE calls (
    id                     bigint PRIMARY KEY,
    tenant                 uuid NOT NULL REFERENCES tenants (id),
    call_id                text COLLATE "C" NOT NULL CHECK (octet_length(call_id) BETWEEN 1 AND 128),
    state                  text COLLATE "C" NOT NULL DEFAULT 'IN_PROGRESS'
                           CHECK (state IN ('IN_PROGRESS', 'COMPLETED', 'PROCESSING_AI', 'ARCHIVED', 'FAILED')),
    encoding               text COLLATE "C" NOT NULL CHECK (encoding IN ('mulaw', 'alaw', 's16le', 'text')),
    sample_rate            integer NOT NULL CHECK (sample_rate IN (8000, 16000, 44100, 48000)),
    expected_total_packets integer CHECK (expected_total_packets >= 0),
    missing_count          bigint NOT NULL DEFAULT 0 CHECK (missing_count >= 0),
    first_sequence         bigint DEFAULT 0 CHECK (first_sequence BETWEEN 0 AND 4294967295),
    counter_bits           smallint CHECK (counter_bits IN (16, 32)),
    tracks_named           boolean NOT NULL DEFAULT false,
    track                  text COLLATE "C" NOT NULL DEFAULT 'main' CHECK (octet_length(track) BETWEEN 1 AND 64),
    created_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at           timestamptz,
    grace_until            timestamptz,
    finished_at            timestamptz,
    transcription          text COLLATE "C",
    sentiment              text COLLATE "C" CHECK (sentiment IN ('positive', 'neutral', 'negative')),
    confidence             double precision CHECK (confidence BETWEEN 0 AND 1),
    ai_result              jsonb,
    failure_reason         text COLLATE "C",
    started_at             timestamptz,
    UNIQUE (tenant, call_id),
    CHECK (first_sequence IS NOT NULL OR counter_bits IS NOT NULL)
) WITH (fillfactor = 70);
COMMENT ON TABLE calls IS 'one row a call; a packet in order does not touch it';
COMMENT ON COLUMN calls.id IS
    'UTC day the call began (days since 1970-01-01) << 40 | call_number: names the partition of its packets; never leaves the server';
COMMENT ON COLUMN calls.missing_count IS 'how many sequences lie in the gaps of this call; changes with them, under the call lock';
COMMENT ON COLUMN calls.first_sequence IS
    'the sender''s number for packets.sequence 0 of the first track; null: a counter whose first packet says it';
COMMENT ON COLUMN calls.counter_bits IS 'the sender counts in so many bits and begins at 0 again; null: its numbers do not wrap';
COMMENT ON COLUMN calls.tracks_named IS 'begin_call() said which tracks there are';
COMMENT ON COLUMN calls.track IS
    'name of the first track, whose encoding, sample_rate, total, missing_count and sequences are in this row; the others are in tracks';
COMMENT ON COLUMN calls.started_at IS 'when it began as begin_call() says; null: nobody said it, so when its first packet came';
COMMENT ON COLUMN calls.ai_result IS
    'what the engines said beyond text and sentiment, and what was missing when they were asked: {"missing_packets", "missing_ranges", '
    '"endpoint", "model", "attempts", ...}';
SELECT pg_catalog.pg_extension_config_dump('calls', '');

-- "The calls of last Tuesday": every call has an entry, which a packet does not touch.
CREATE INDEX calls_started ON calls (tenant, coalesce(started_at, created_at));

-- Calls that silence may complete, and those that retention may take.
CREATE INDEX calls_in_progress ON calls (id) WHERE state = 'IN_PROGRESS';
CREATE INDEX calls_finished ON calls (tenant, finished_at) WHERE finished_at IS NOT NULL;
-- Those that metrics() counts each time.
CREATE INDEX calls_unfinished ON calls (tenant, state) WHERE finished_at IS NULL;

-- What the first track of a call has in the row of the call, so that a call with one track is one row.
CREATE TABLE tracks (
    call                   bigint NOT NULL,
    number                 smallint NOT NULL CHECK (number BETWEEN 1 AND 15),
    id                     bigint NOT NULL UNIQUE,
    name                   text COLLATE "C" NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 64),
    encoding               text COLLATE "C" NOT NULL CHECK (encoding IN ('mulaw', 'alaw', 's16le', 'text')),
    sample_rate            integer NOT NULL CHECK (sample_rate IN (8000, 16000, 44100, 48000)),
    expected_total_packets integer CHECK (expected_total_packets >= 0),
    missing_count          bigint NOT NULL DEFAULT 0 CHECK (missing_count >= 0),
    first_sequence         bigint DEFAULT 0 CHECK (first_sequence BETWEEN 0 AND 4294967295),
    counter_bits           smallint CHECK (counter_bits IN (16, 32)),
    updated_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (call, number),
    UNIQUE (call, name),
    CHECK (first_sequence IS NOT NULL OR counter_bits IS NOT NULL)
) WITH (fillfactor = 70);
COMMENT ON TABLE tracks IS 'tracks of calls beside the first, each with sequences of its own; changes under the lock of the call';
COMMENT ON COLUMN tracks.call IS 'calls.id';
COMMENT ON COLUMN tracks.number IS 'the first track, 0, is the row of the call';
COMMENT ON COLUMN tracks.id IS
    'names its packets and gaps as calls.id does those of the first track: of the same day as the call, with a call_number of its own';
SELECT pg_catalog.pg_extension_config_dump('tracks', '');

-- Beside calls, whose rows change with every state: metadata comes once or twice.
CREATE TABLE call_details (
    call        bigint PRIMARY KEY,
    tenant      uuid NOT NULL,
    direction   text COLLATE "C" CHECK (direction IN ('inbound', 'outbound', 'internal')),
    from_number text COLLATE "C" CHECK (octet_length(from_number) BETWEEN 1 AND 255),
    to_number   text COLLATE "C" CHECK (octet_length(to_number) BETWEEN 1 AND 255),
    attributes  jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    endpoint    text COLLATE "C" CHECK (octet_length(endpoint) BETWEEN 1 AND 255)
);
COMMENT ON TABLE call_details IS 'what begin_call() and describe_call() say of a call; no row: nothing';
COMMENT ON COLUMN call_details.from_number IS 'E.164, a SIP URI, or text as it came';
COMMENT ON COLUMN call_details.attributes IS 'whatever the sender wants to find calls by: {"queue": "sales"}';
COMMENT ON COLUMN call_details.endpoint IS 'which transcribes it; null: the first for the purpose that is there';
SELECT pg_catalog.pg_extension_config_dump('call_details', '');

CREATE INDEX call_details_from ON call_details (tenant, from_number) WHERE from_number IS NOT NULL;
CREATE INDEX call_details_to ON call_details (tenant, to_number) WHERE to_number IS NOT NULL;
CREATE INDEX call_details_attributes ON call_details USING gin (attributes jsonb_path_ops);

CREATE TABLE gaps (
    call  bigint NOT NULL,
    first integer NOT NULL CHECK (first >= 0),
    last  integer NOT NULL CHECK (last >= first),
    PRIMARY KEY (call, first)
) WITH (fillfactor = 70);
COMMENT ON TABLE gaps IS
    'sequences first..last (both included) of a track (call is calls.id or tracks.id) that have not arrived although a later one has';
SELECT pg_catalog.pg_extension_config_dump('gaps', '');

-- No key on the parent: each partition carries its own unique (call, sequence).
-- The partitions are made at run time and are no members of the extension, so
-- that dumps keep them.
CREATE TABLE packets (
    call        bigint NOT NULL,
    sequence    integer NOT NULL,
    sent_at     timestamptz,
    received_at timestamptz NOT NULL,
    data        bytea NOT NULL
) PARTITION BY RANGE (call);
ALTER TABLE packets ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE packets IS 'the audio as it arrived; one partition a UTC day of calls';
COMMENT ON COLUMN packets.call IS 'calls.id or tracks.id';
COMMENT ON COLUMN packets.sequence IS
    'counted from 0 whatever number the sender begins at: first_sequence is taken off, and counters are unwrapped';
SELECT pg_catalog.pg_extension_config_dump('packets', '');

CREATE TABLE segments (
    call                 bigint NOT NULL,
    track                smallint NOT NULL CHECK (track >= 0),
    number               integer NOT NULL CHECK (number >= 0),
    speaker              text COLLATE "C",
    start_ms             integer CHECK (start_ms >= 0),
    end_ms               integer CHECK (end_ms >= start_ms),
    text                 text COLLATE "C" NOT NULL,
    confidence           double precision CHECK (confidence BETWEEN 0 AND 1),
    sentiment            text COLLATE "C" CHECK (sentiment IN ('positive', 'neutral', 'negative')),
    sentiment_confidence double precision CHECK (sentiment_confidence BETWEEN 0 AND 1),
    words                jsonb CHECK (jsonb_typeof(words) = 'array'),
    PRIMARY KEY (call, track, number),
    CHECK ((start_ms IS NULL) = (end_ms IS NULL))
);
COMMENT ON TABLE segments IS 'what was said in a call, piece by piece, and when';
COMMENT ON COLUMN segments.track IS 'whose packets it was heard in: 0 is the first track';
COMMENT ON COLUMN segments.number IS 'from 0, in the order of what was said in the track';
COMMENT ON COLUMN segments.speaker IS 'as the engine tells speakers of one track apart; null: it does not';
COMMENT ON COLUMN segments.start_ms IS 'in the audio of the call; null: it is a text';
COMMENT ON COLUMN segments.words IS '[{"word", "start_ms", "end_ms", "confidence"}, ...]; null: the engine told none';
SELECT pg_catalog.pg_extension_config_dump('segments', '');

-- Apart from calls, whose rows stay small.
CREATE TABLE transcripts (
    call     bigint PRIMARY KEY,
    tenant   uuid NOT NULL,
    language text COLLATE "C" NOT NULL,
    search   tsvector NOT NULL
);
-- At once: what is searched is seconds old, and nobody waits for a list of pending entries.
CREATE INDEX transcripts_search ON transcripts USING gin (search) WITH (fastupdate = off);
CREATE INDEX transcripts_newest ON transcripts (tenant, language, call);
COMMENT ON TABLE transcripts IS 'what search_calls() looks in';
COMMENT ON COLUMN transcripts.language IS 'text search configuration that made search: the tenant''s, when the call was finished';
COMMENT ON COLUMN transcripts.search IS
    'the words of the transcript, what stands for pairs of them (search_pair()), and one that stands for tenant and language, so that the '
    'index finds what one tenant''s calls say';
SELECT pg_catalog.pg_extension_config_dump('transcripts', '');

CREATE TYPE mulberry.packet_result AS (
    status            text,
    message           text,
    call_id           text,
    sequence          bigint,
    total_received    bigint,
    missing_count     bigint,
    missing_sequences text,
    duplicate         boolean
);
COMMENT ON TYPE mulberry.packet_result IS 'answer to a packet: status is accepted, duplicate or rejected';
COMMENT ON COLUMN mulberry.packet_result.missing_count IS 'sequences below the largest one received that have not arrived';
COMMENT ON COLUMN mulberry.packet_result.missing_sequences IS 'the first 100 ranges of them, in the form of an int8multirange';

CREATE TYPE mulberry.batch_result AS (
    status            text,
    message           text,
    call_id           text,
    sequence          bigint,
    total_received    bigint,
    missing_count     bigint,
    missing_sequences text,
    duplicate         boolean,
    sqlstate          text,
    received_at       timestamptz
);
COMMENT ON TYPE mulberry.batch_result IS
    'answer to one packet of a batch: as packet_result, with the figures of its call after the whole batch; status is also error, and '
    'then sqlstate says which. received_at: when the packet came that is stored, which for a duplicate is the one before';

CREATE TYPE mulberry.completion_result AS (
    status                 text,
    message                text,
    call_id                text,
    expected_total_packets integer,
    total_received         bigint,
    missing_count          bigint,
    extra_packets          bigint
);
COMMENT ON TYPE mulberry.completion_result IS
    'answer to complete_call(): missing_count includes announced packets behind the last one received, extra_packets came beyond the total';

CREATE TYPE mulberry.call_summary AS (
    tenant       text,
    call_id      text,
    state        text,
    direction    text,
    from_number  text,
    to_number    text,
    attributes   jsonb,
    tracks       text[],
    started_at   timestamptz,
    completed_at timestamptz,
    finished_at  timestamptz,
    sentiment    text
);
COMMENT ON TYPE mulberry.call_summary IS 'a call that calls() found; more of it is in call_status';

CREATE TYPE mulberry.recording_track AS (
    track       text,
    encoding    text,
    sample_rate integer,
    packets     integer,
    duration_ms bigint
);
COMMENT ON TYPE mulberry.recording_track IS 'what ingest_recording() made of a channel';

CREATE TYPE mulberry.speech_segment AS (
    track      text,
    start_ms   bigint,
    end_ms     bigint,
    level_dbfs double precision
);
COMMENT ON TYPE mulberry.speech_segment IS
    'where somebody speaks, as call_speech() tells it; track is null for the only one that nobody named';

-- src/jobs/kinds.sql
-- The kinds of jobs and of endpoints: what src/jobs/kinds.c defines.

CREATE FUNCTION mulberry.job_kinds()
RETURNS TABLE (kind text, purpose text, subject text, text_is_result boolean, retriable boolean, persistent boolean, meaning text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 5
AS 'MODULE_PATHNAME', 'mulberry_job_kinds';
COMMENT ON FUNCTION mulberry.job_kinds() IS
    'the kinds of jobs: purpose of the endpoints that serve them; subject (a call that is processed and fails with its job, a voice_call '
    'that we placed, a command, a recording, or an endpoint); text_is_result: of a text call only an endpoint is asked that takes text; '
    'retriable: retry_job() takes them; persistent: tried again every few minutes';

CREATE FUNCTION job_kind(kind text,
    OUT purpose text, OUT subject text, OUT text_is_result boolean, OUT retriable boolean, OUT persistent boolean)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'mulberry_job_kind_sql';
COMMENT ON FUNCTION job_kind(text) IS 'properties of a kind of job, as job_kinds() has them; 22023: there is no such kind (internal)';

CREATE FUNCTION mulberry.job_purpose(kind text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'mulberry_job_purpose';
COMMENT ON FUNCTION mulberry.job_purpose(text) IS 'purpose of the endpoints that serve a kind of job; null: there is no such kind';

CREATE FUNCTION mulberry.endpoint_kinds()
RETURNS TABLE (kind text, purpose text, default_url text, takes_text boolean, needs_model boolean, options text[], meaning text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 5
AS 'MODULE_PATHNAME', 'mulberry_endpoint_kinds';
COMMENT ON FUNCTION mulberry.endpoint_kinds() IS
    'the kinds of endpoints with each purpose that they serve, and what set_endpoint() takes for it';

CREATE FUNCTION endpoint_kind(kind text, purpose text,
    OUT default_url text, OUT takes_text boolean, OUT needs_model boolean, OUT options text[])
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'mulberry_endpoint_kind_sql';
COMMENT ON FUNCTION endpoint_kind(text, text) IS
    'properties of a kind of endpoint for a purpose, or for none (null), as endpoint_kinds() has them; 22023: there is no such kind or '
    'purpose, or it cannot serve it (internal)';

CREATE FUNCTION endpoint_serves(kind text, purpose text) RETURNS boolean
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'mulberry_endpoint_serves';
COMMENT ON FUNCTION endpoint_serves(text, text) IS
    'whether endpoint_kind() takes these, for the table''s constraint (internal)';

-- src/jobs/tables.sql
CREATE SEQUENCE endpoint_id;
COMMENT ON SEQUENCE endpoint_id IS 'endpoints.id';
SELECT pg_catalog.pg_extension_config_dump('endpoint_id', '');

CREATE TABLE endpoints (
    id              bigint PRIMARY KEY DEFAULT nextval('endpoint_id'),
    tenant          uuid REFERENCES tenants (id),
    name            text COLLATE "C" NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,62}$'),
    kind            text COLLATE "C" NOT NULL,
    base_url        text COLLATE "C" NOT NULL,
    purpose         text COLLATE "C",
    priority        integer NOT NULL DEFAULT 1 CHECK (priority >= 0),
    model           text COLLATE "C",
    options         jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(options) = 'object'),
    secret          text COLLATE "C" CONSTRAINT secret_of_no_voice_key CHECK (secret !~ '^voice-key-'),
    timeout         interval CHECK (extract(epoch FROM timeout) BETWEEN 0.1 AND 3600),
    max_concurrency integer CHECK (max_concurrency > 0),
    allow_http      boolean NOT NULL DEFAULT false,
    allow_private   boolean NOT NULL DEFAULT false,
    enabled         boolean NOT NULL DEFAULT true,
    seeded          boolean NOT NULL DEFAULT false,
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (tenant, name),
    CONSTRAINT endpoints_kind CHECK (mulberry_internal.endpoint_serves(kind, purpose)),
    CONSTRAINT api_key_secret_of_no_voice_key CHECK (options->>'api_key_secret' !~ '^voice-key-')
);
CREATE INDEX endpoints_purpose ON endpoints (tenant, purpose);
COMMENT ON TABLE endpoints IS 'services that workers may talk to; jobs name one of these rows, never a URL';
COMMENT ON COLUMN endpoints.tenant IS 'whose it is; null: serves every tenant that has none of its own for the purpose';
COMMENT ON COLUMN endpoints.kind IS
    'form of the requests, see endpoint_kinds()';
COMMENT ON COLUMN endpoints.purpose IS 'what it serves unless a job names another; null: only jobs that name it';
COMMENT ON COLUMN endpoints.priority IS
    'of those that serve a purpose for one owner the lowest comes first; the next is taken while it is out, or disabled';
COMMENT ON COLUMN endpoints.secret IS
    'name of the secret that is sent as bearer token, of kind twilio the auth token; of the endpoint''s tenant, for an endpoint of all '
    'tenants the job''s tenant''s own or else that of tenant "default"';
COMMENT ON COLUMN endpoints.timeout IS 'longest duration of one attempt; null: mulberry.http_timeout';
COMMENT ON COLUMN endpoints.max_concurrency IS 'requests under way at once, all workers of the database together; null: no limit';
COMMENT ON COLUMN endpoints.enabled IS 'false: its jobs wait';
COMMENT ON COLUMN endpoints.seeded IS 'true: as the install script made it, so that dumps leave it out';
SELECT pg_catalog.pg_extension_config_dump('endpoints', 'WHERE NOT seeded');

-- The speech engine that comes with Mulberry, on the same host.  It is an
-- ordinary row: set_endpoint() changes it, and then dumps carry it.
-- It recognizes about as fast as people speak, so long calls go in parts, few at once.
INSERT INTO endpoints (tenant, name, kind, base_url, purpose, model, options, timeout, max_concurrency,
                       allow_http, allow_private, seeded)
VALUES (NULL, 'mulberry-speech', 'openai', 'http://127.0.0.1:8771/v1', 'transcription',
        'pocketsphinx-en-us', '{"max_audio_seconds": 60}', '5 minutes', 4, true, true, true);

-- A job that is queued, or runs under a lease.  Finished jobs move to
-- job_history in the transaction that finishes them, so that this table and its
-- claim index stay small.
CREATE SEQUENCE job_id;
COMMENT ON SEQUENCE job_id IS 'job_queue.id';
SELECT pg_catalog.pg_extension_config_dump('job_id', '');

CREATE TABLE job_queue (
    id           bigint PRIMARY KEY DEFAULT nextval('job_id'),
    kind         text COLLATE "C" NOT NULL CONSTRAINT known_kind CHECK (mulberry.job_purpose(kind) IS NOT NULL),
    tenant       uuid NOT NULL REFERENCES tenants (id),
    call         bigint,
    endpoint     text COLLATE "C",
    route        bigint,
    payload      jsonb,
    state        text COLLATE "C" NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running')),
    run_at       timestamptz NOT NULL,
    attempts     integer NOT NULL DEFAULT 0,
    deferrals    integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL CHECK (max_attempts > 0),
    lease_token  bigint NOT NULL DEFAULT 0,
    worker       integer,
    last_error   text COLLATE "C",
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at   timestamptz,
    waits_since  timestamptz NOT NULL DEFAULT clock_timestamp(),
    failed_at    timestamptz,
    passed       bigint[]
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200,
        autovacuum_analyze_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX job_queue_claim ON job_queue (route, tenant, run_at);
CREATE INDEX job_queue_running ON job_queue (route) WHERE state = 'running';
CREATE INDEX job_queue_call ON job_queue (call);
CREATE INDEX job_queue_failed ON job_queue (route, failed_at) WHERE failed_at IS NOT NULL;
COMMENT ON TABLE job_queue IS 'work that is not finished: queued, or running under a lease';
COMMENT ON COLUMN job_queue.endpoint IS 'name of the endpoint that must serve it; null: the one of the tenant for the kind''s purpose';
COMMENT ON COLUMN job_queue.route IS
    'endpoints.id that endpoint, tenant and kind resolve to; 0: needs no endpoint; null: none is configured, the job waits';
COMMENT ON COLUMN job_queue.run_at IS 'when a worker may claim it: its due time or, while it runs, the end of the lease';
COMMENT ON COLUMN job_queue.attempts IS 'attempts begun that count against max_attempts';
COMMENT ON COLUMN job_queue.deferrals IS
    'attempts that did not count: the endpoint asked to come back later or could not be reached, or the worker was stopped';
COMMENT ON COLUMN job_queue.lease_token IS 'fencing token: grows with each claim; a result is taken only with the token of the last claim';
COMMENT ON COLUMN job_queue.waits_since IS
    'when it was queued, or queued again by retry_job(); from then mulberry.endpoint_patience counts';
COMMENT ON COLUMN job_queue.failed_at IS 'when an attempt failed last through its endpoint; null: never';
COMMENT ON COLUMN job_queue.passed IS 'endpoints whose time was up, so that the next one is taken; null: none';
COMMENT ON COLUMN job_queue.worker IS 'pid of the process that holds the lease';
SELECT pg_catalog.pg_extension_config_dump('job_queue', '');

CREATE TABLE job_history (
    id           bigint PRIMARY KEY,
    kind         text COLLATE "C" NOT NULL,
    tenant       uuid NOT NULL REFERENCES tenants (id),
    call         bigint,
    endpoint     text COLLATE "C",
    route        bigint,
    payload      jsonb,
    state        text COLLATE "C" NOT NULL CHECK (state IN ('done', 'dead', 'cancelled')),
    attempts     integer NOT NULL,
    deferrals    integer NOT NULL,
    max_attempts integer NOT NULL,
    lease_token  bigint NOT NULL,
    last_error   text COLLATE "C",
    created_at   timestamptz NOT NULL,
    started_at   timestamptz,
    finished_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX job_history_finished ON job_history (finished_at);
CREATE INDEX job_history_call ON job_history (call);
CREATE INDEX job_history_dead ON job_history (finished_at) WHERE state = 'dead';
COMMENT ON TABLE job_history IS 'finished jobs: done, dead (given up; retry_job() queues it again) or cancelled';
COMMENT ON COLUMN job_history.payload IS 'kept for dead jobs, which may be tried again';
SELECT pg_catalog.pg_extension_config_dump('job_history', '');

-- What the workers of a database have learnt about an endpoint.  A row is
-- written when the state changes only: the outcomes of single requests are in memory.
-- Closed: requests flow, and while it comes back from an outage as many at once as are allowed.  Open: none until retry_at.
-- Half open: one job asks whether it is back, and has until retry_at.
CREATE TABLE endpoint_state (
    endpoint   bigint NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    tenant     uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    state      text COLLATE "C" NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
    openings   integer NOT NULL DEFAULT 0,
    retry_at   timestamptz,
    last_error text COLLATE "C",
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    out_since  timestamptz,
    probe      bigint,
    allowed    integer CHECK (allowed > 0),
    served     integer NOT NULL DEFAULT 0,
    refused    text[] COLLATE "C" NOT NULL DEFAULT '{}',
    PRIMARY KEY (endpoint, tenant)
);
COMMENT ON TABLE endpoint_state IS
    'breaker of each endpoint that has ever failed, or of what one tenant has at an endpoint of all tenants, and what a service does '
    'not take';
COMMENT ON COLUMN endpoint_state.tenant IS 'whose jobs are held; 00000000-0000-0000-0000-000000000000: all that the endpoint serves';
COMMENT ON COLUMN endpoint_state.refused IS
    'parameters that are always sent and that the service has refused, so that they are left out, and limits that it has named '
    '(max_audio_seconds=...); forgotten when the endpoint is set again';
COMMENT ON COLUMN endpoint_state.openings IS
    'times in a row that it opened; each doubles the time to the next probe, from 1 s to 30 s; at most one is kept while it comes back';
COMMENT ON COLUMN endpoint_state.out_since IS 'when it opened; null while it is closed';
COMMENT ON COLUMN endpoint_state.probe IS 'job that asks whether it is back';
COMMENT ON COLUMN endpoint_state.allowed IS
    'requests at once that it may have while it comes back, see report_served(); null: it has come back, or is out';
COMMENT ON COLUMN endpoint_state.served IS 'requests that were served since it may have that many';
SELECT pg_catalog.pg_extension_config_dump('endpoint_state', 'WHERE false');

-- src/audio/tables.sql
CREATE TYPE mulberry.loudness AS (
    samples   bigint,
    rms_dbfs  double precision,
    peak_dbfs double precision,
    rms_dbm0  double precision,
    dc_offset double precision,
    clipped   bigint
);
COMMENT ON TYPE mulberry.loudness IS
    'how loud audio is: RMS and peak (-Infinity for digital silence), mean as a fraction of full scale, samples at the ends of the range';

-- src/mandates/phones.sql
-- Agents: the devices on the edge that a mandate is spent by, and that voice commands reach.

CREATE FUNCTION phone_valid(number text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_phone_valid';
COMMENT ON FUNCTION phone_valid(text) IS 'true for an international telephone number as ITU-T E.164 writes it, with its plus sign';

CREATE FUNCTION refuse_phone(number text, place text DEFAULT '') RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'invalid phone number "%"%', left(number, 40), place
        USING ERRCODE = 'invalid_parameter_value',
              DETAIL = 'E.164 has a plus sign, a country code that does not begin with 0, and at most 15 digits in all.',
              HINT = 'Write it without spaces or dashes, as in +12025550100.';
END
$$;
COMMENT ON FUNCTION refuse_phone(text, text) IS 'raises the error of a number that phone_valid() refuses (internal)';

-- src/mandates/protocol.sql
-- The numbers of the protocol, which stand in the core alone.

CREATE FUNCTION ack_status_code(name text) RETURNS integer
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_ack_status_code';
COMMENT ON FUNCTION ack_status_code(text) IS
    'SS of an acknowledgement: applied, already so, unknown mandate, refused, challenge wanted (internal)';

CREATE FUNCTION mandate_state_code(name text) RETURNS integer
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_mandate_state_code';
COMMENT ON FUNCTION mandate_state_code(text) IS 'QQ of an acknowledgement: NONE, REVOKED, SUSPENDED, ACTIVE, EXPIRED (internal)';

CREATE FUNCTION counter_window() RETURNS integer
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_counter_window';
COMMENT ON FUNCTION counter_window() IS 'a counter further ahead of the last accepted one is taken for an old one (internal)';

CREATE FUNCTION frames_remembered() RETURNS integer
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_frames_remembered';
COMMENT ON FUNCTION frames_remembered() IS 'accepted frames of a key that are kept, to tell a repeated one from a new one (internal)';

CREATE FUNCTION challenge_lifetime() RETURNS interval
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_challenge_lifetime';
COMMENT ON FUNCTION challenge_lifetime() IS 'for how long an edge waits for the answer to a challenge (internal)';

CREATE FUNCTION alarm_forgeries() RETURNS integer
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_alarm_forgeries';
COMMENT ON FUNCTION alarm_forgeries() IS 'so many forgeries in a row raise an alarm (internal)';

-- src/mandates/tables.sql
CREATE TABLE agents (
    tenant           uuid NOT NULL REFERENCES tenants (id),
    id               uuid NOT NULL DEFAULT gen_random_uuid(),
    name             text COLLATE "C" NOT NULL CHECK (name <> '' AND length(name) <= 100),
    phone            text COLLATE "C" CHECK (mulberry_internal.phone_valid(phone)),
    allowed_callers  text[] COLLATE "C" NOT NULL DEFAULT '{}',
    seen_at          timestamptz,
    online_until     timestamptz,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    queue_changes    bigint NOT NULL DEFAULT 0,
    mandates_version bigint NOT NULL DEFAULT 0 CHECK (mandates_version >= 0),
    forged_acks      integer NOT NULL DEFAULT 0,
    forged_since     timestamptz,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, name)
);
COMMENT ON TABLE agents IS 'edge agents of a tenant; on the edge itself the one row that stands for it';
COMMENT ON COLUMN agents.id IS 'the edge in the signed frames: the same in the cloud and on the edge';
COMMENT ON COLUMN agents.phone IS 'number that commands are phoned to, E.164; null: it cannot be phoned';
COMMENT ON COLUMN agents.allowed_callers IS 'numbers from which the receiving side takes calls; empty: any. A filter, never a proof';
COMMENT ON COLUMN agents.seen_at IS 'last heartbeat on the online path';
COMMENT ON COLUMN agents.queue_changes IS 'grows whenever the lock of its commands is taken';
COMMENT ON COLUMN agents.online_until IS 'until when the online path is tried before the telephone; null: never seen';
COMMENT ON COLUMN agents.mandates_version IS 'counts the changes of its mandates, under the lock of this row';
COMMENT ON COLUMN agents.forged_acks IS 'forged acknowledgements on the online path in the hour that began at forged_since';
SELECT pg_catalog.pg_extension_config_dump('agents', '');

-- Mandates: what an agent may spend.  A trigger in C guards status and fixed columns, whoever
-- writes; it numbers each change in the mandate (version) and in its agent (agent_version).
-- Lock order: the agent's row, then the mandate's.

CREATE TABLE mandates (
    tenant        uuid NOT NULL REFERENCES tenants (id),
    id            text COLLATE "C" NOT NULL CHECK (id ~ '^[0-9]{8}$' AND id <> '00000000'),
    agent         uuid NOT NULL,
    sponsor       text COLLATE "C" NOT NULL,
    status        text COLLATE "C" NOT NULL DEFAULT 'ACTIVE'
                  CHECK (status IN ('ACTIVE', 'SUSPENDED', 'REVOKED', 'EXPIRED')),
    max_amount    numeric(20, 4) NOT NULL CHECK (max_amount > 0 AND max_amount <> 'NaN'),
    spent         numeric(20, 4) NOT NULL DEFAULT 0 CHECK (spent >= 0 AND spent <= max_amount),
    currency      text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    expires_at    timestamptz NOT NULL CHECK (isfinite(expires_at)),
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    agent_version bigint NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, agent) REFERENCES agents (tenant, id)
) WITH (fillfactor = 70);
-- mandates.c reads columns by position: add new ones at the end
CREATE INDEX mandates_agent ON mandates (tenant, agent, agent_version);
CREATE INDEX mandates_active ON mandates (tenant, expires_at) WHERE status = 'ACTIVE';
COMMENT ON TABLE mandates IS 'permissions to spend, in the cloud (the registry) and on the edge that they are for';
COMMENT ON COLUMN mandates.id IS 'eight digits; 00000000 is the one that PING carries';
COMMENT ON COLUMN mandates.sponsor IS 'whose money it is';
COMMENT ON COLUMN mandates.status IS 'an ACTIVE mandate past expires_at becomes EXPIRED when somebody looks';
COMMENT ON COLUMN mandates.currency IS 'ISO 4217';
COMMENT ON COLUMN mandates.version IS 'grows with each change but spending';
COMMENT ON COLUMN mandates.agent_version IS 'mandates_version that its agent got by the last change but spending';
SELECT pg_catalog.pg_extension_config_dump('mandates', '');

CREATE TABLE mandate_versions (
    tenant      uuid NOT NULL REFERENCES tenants (id),
    mandate     text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    role        name NOT NULL,
    from_status text COLLATE "C",
    status      text COLLATE "C" NOT NULL,
    max_amount  numeric(20, 4) NOT NULL,
    expires_at  timestamptz NOT NULL,
    sponsor     text COLLATE "C" NOT NULL,
    cause       text COLLATE "C",
    command     bigint,
    PRIMARY KEY (tenant, mandate, version)
);
COMMENT ON TABLE mandate_versions IS 'what each mandate was after each of its changes but spending';
COMMENT ON COLUMN mandate_versions.role IS 'the database role that changed it';
COMMENT ON COLUMN mandate_versions.from_status IS 'null: the mandate was made';
COMMENT ON COLUMN mandate_versions.cause IS 'why it changed';
COMMENT ON COLUMN mandate_versions.command IS 'commands.id, when a command changed it';
SELECT pg_catalog.pg_extension_config_dump('mandate_versions', '');

CREATE TABLE spendings (
    tenant    uuid NOT NULL REFERENCES tenants (id),
    mandate   text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL CHECK (reference <> '' AND length(reference) <= 200),
    amount    numeric(20, 4) NOT NULL CHECK (amount > 0 AND amount <> 'NaN'),
    remaining numeric(20, 4) NOT NULL CHECK (remaining >= 0),
    role      name NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, mandate, reference),
    FOREIGN KEY (tenant, mandate) REFERENCES mandates (tenant, id)
);
COMMENT ON TABLE spendings IS 'what spend() has accepted, once for each reference';
COMMENT ON COLUMN spendings.reference IS 'the payment''s own name; the same one again is the same payment';
COMMENT ON COLUMN spendings.remaining IS 'of the mandate, after it';
SELECT pg_catalog.pg_extension_config_dump('spendings', '');

-- The latest time that this database has known.  A mandate's time does not come back when the clock of its server is set back.

CREATE TABLE mandate_clock (
    at timestamptz PRIMARY KEY CHECK (isfinite(at))
);
COMMENT ON TABLE mandate_clock IS
    'the latest time that this database has known, to the minute: what mandates expire by while the clock of the server is behind it';
COMMENT ON COLUMN mandate_clock.at IS 'the greatest counts: a restored dump brings a row of its own';
SELECT pg_catalog.pg_extension_config_dump('mandate_clock', '');

-- src/keys/tables.sql
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
-- voice_keys.c reads columns by position: add new ones at the end
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

-- src/commands/kinds.sql
-- The kinds of commands: what src/core/command/command_kinds.c defines.

CREATE FUNCTION mulberry.command_kinds()
RETURNS TABLE (command text, code text, has_mandate boolean, least_argument integer, most_argument integer, changes_registry boolean,
               sets_status text, urgent boolean, final boolean, adds_up boolean, challenged boolean, asks boolean, announcement text,
               done text, confirmation text, meaning text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 6
AS 'MODULE_PATHNAME', 'mulberry_command_kinds';
COMMENT ON FUNCTION mulberry.command_kinds() IS
    'the commands that agents know: whether it is about a mandate, the range of its argument, the status that it gives the mandate; '
    'urgent: goes before others; final: cannot be taken back; adds_up: twice is not once; challenged: by keys made with '
    'challenge_extend; asks: the answer is compared with the registry; and the words that are spoken about it';

CREATE FUNCTION command_kind(command text,
    OUT has_mandate boolean, OUT least_argument integer, OUT most_argument integer, OUT changes_registry boolean, OUT sets_status text,
    OUT urgent boolean, OUT final boolean, OUT adds_up boolean, OUT challenged boolean, OUT asks boolean, OUT announcement text,
    OUT done text, OUT confirmation text)
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'mulberry_command_kind';
COMMENT ON FUNCTION command_kind(text) IS
    'properties of a command, as command_kinds() has them; 22023: there is no such command (internal)';

CREATE FUNCTION command_reversible(command text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (mulberry_internal.command_kind(command)).sets_status IS NOT NULL AND NOT (mulberry_internal.command_kind(command)).final;
COMMENT ON FUNCTION command_reversible(text) IS
    'whether a command gives its mandate a status that another one may take away, so that the later one of two counts (internal)';

CREATE FUNCTION command_means_something(command text, mandate text, argument integer) RETURNS boolean
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'mulberry_command_means_something';
COMMENT ON FUNCTION command_means_something(text, text, integer) IS
    'whether there is such a command, it has a mandate if it must, and the argument is in its range; for the table''s constraint '
    '(internal)';

-- src/commands/tables.sql
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

-- src/edge/tables.sql
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

-- src/telephony/tables.sql
-- Calls that were placed for a command.

CREATE SEQUENCE voice_call_id;
COMMENT ON SEQUENCE voice_call_id IS 'voice_calls.id';
SELECT pg_catalog.pg_extension_config_dump('voice_call_id', '');

CREATE TABLE voice_calls (
    id               bigint PRIMARY KEY DEFAULT nextval('voice_call_id'),
    tenant           uuid NOT NULL REFERENCES tenants (id),
    command          bigint NOT NULL REFERENCES commands (id),
    purpose          text COLLATE "C" NOT NULL DEFAULT 'command' CHECK (purpose IN ('command', 'escalation')),
    attempt          integer NOT NULL,
    to_number        text COLLATE "C" NOT NULL,
    from_number      text COLLATE "C" NOT NULL,
    token            uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    frame            text COLLATE "C",
    job              bigint,
    state            text COLLATE "C" NOT NULL DEFAULT 'planned'
                     CHECK (state IN ('planned', 'requested', 'uncertain', 'queued', 'ringing', 'in-progress',
                                      'completed', 'busy', 'failed', 'no-answer', 'canceled')),
    sid              text COLLATE "C" UNIQUE,
    stray_sids       text[] COLLATE "C" NOT NULL DEFAULT '{}',
    answered_by      text COLLATE "C",
    sequence         integer,
    request          text COLLATE "C",
    page             text COLLATE "C",
    placings         integer NOT NULL DEFAULT 0,
    looks            integer NOT NULL DEFAULT 0,
    failures         integer NOT NULL DEFAULT 0,
    turn             integer NOT NULL DEFAULT 0,
    acknowledged     boolean NOT NULL DEFAULT false,
    recording_sid    text COLLATE "C",
    recording        bytea,
    listen_job       bigint,
    transcript       text COLLATE "C",
    delete_recording boolean NOT NULL DEFAULT false,
    due_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    give_up_at       timestamptz,
    requested_at     timestamptz,
    uncertain_since  timestamptz,
    answered_at      timestamptz,
    ended_at         timestamptz,
    successor_at     timestamptz,
    outcome          text COLLATE "C",
    detail           text COLLATE "C",
    finished_at      timestamptz,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX voice_calls_live ON voice_calls (command, purpose) WHERE finished_at IS NULL;
CREATE INDEX voice_calls_line ON voice_calls (tenant, to_number) WHERE finished_at IS NULL;
CREATE INDEX voice_calls_command ON voice_calls (command);
COMMENT ON TABLE voice_calls IS 'telephone calls that were placed for commands, from before the request on';
COMMENT ON COLUMN voice_calls.purpose IS 'command: to the agent; escalation: to the person who must act';
COMMENT ON COLUMN voice_calls.token IS 'names the call in the URLs of its webhooks';
COMMENT ON COLUMN voice_calls.frame IS 'what it plays; when the command has another one, or is settled, the call is of no use';
COMMENT ON COLUMN voice_calls.job IS 'the job of kind "call" that drives it';
COMMENT ON COLUMN voice_calls.state IS
    'planned; requested: the request is under way; uncertain: it is not known whether there is a call; then as Twilio says';
COMMENT ON COLUMN voice_calls.sid IS 'Twilio''s name of it';
COMMENT ON COLUMN voice_calls.stray_sids IS 'calls that were placed beside it, unknown to us at the time, and are to be ended';
COMMENT ON COLUMN voice_calls.sequence IS 'SequenceNumber of the last status callback that counted';
COMMENT ON COLUMN voice_calls.request IS 'what Twilio is being asked; left behind by a worker that died, it says what is not known';
COMMENT ON COLUMN voice_calls.page IS 'where the list of calls goes on';
COMMENT ON COLUMN voice_calls.placings IS 'requests to place it that were sent';
COMMENT ON COLUMN voice_calls.looks IS 'times that the list of calls was read and it was not in it';
COMMENT ON COLUMN voice_calls.failures IS 'requests in a row that failed';
COMMENT ON COLUMN voice_calls.turn IS 'number of the last gathering of digits in its TwiML';
COMMENT ON COLUMN voice_calls.acknowledged IS 'its acknowledgement settled the command';
COMMENT ON COLUMN voice_calls.recording IS 'WAV file that is being transcribed, then null';
COMMENT ON COLUMN voice_calls.delete_recording IS 'the recording is to be deleted at Twilio';
COMMENT ON COLUMN voice_calls.give_up_at IS
    'when no more is tried to place it; later, until when the transcript of its recording is waited for';
COMMENT ON COLUMN voice_calls.successor_at IS 'another call was asked for while this one was under way, and is placed after it';
COMMENT ON COLUMN voice_calls.outcome IS
    'what it brought, once it is finished: acknowledged, delivered, no acknowledgement, machine, spoken confirmation, challenged (the '
    'next call answers), refused, superseded, or as Twilio says';
COMMENT ON COLUMN voice_calls.finished_at IS 'when that was known: after the end of the call, because recordings come late';
SELECT pg_catalog.pg_extension_config_dump('voice_calls', '');

-- The telephone.

-- Webhooks that were answered.  Twilio's signature has no nonce: what comes twice gets the same answer.
CREATE TABLE webhook_answers (
    voice_call   bigint NOT NULL,
    key          text COLLATE "C" NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    status       integer NOT NULL,
    content_type text COLLATE "C" NOT NULL,
    body         text COLLATE "C" NOT NULL,
    PRIMARY KEY (voice_call, key)
);
CREATE INDEX webhook_answers_at ON webhook_answers (at);
COMMENT ON TABLE webhook_answers IS 'what webhooks were answered, for a day, so that a replay gets the same';
COMMENT ON COLUMN webhook_answers.key IS
    'I-Twilio-Idempotency-Token, and what the webhook itself says that is not repeated: path with step, or event with SequenceNumber';
SELECT pg_catalog.pg_extension_config_dump('webhook_answers', '');

CREATE TABLE escalation_contacts (
    tenant     uuid PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    phone      text COLLATE "C",
    endpoint   text COLLATE "C",
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (phone IS NOT NULL OR endpoint IS NOT NULL)
);
COMMENT ON TABLE escalation_contacts IS 'who is told when a command reached nobody';
COMMENT ON COLUMN escalation_contacts.phone IS 'E.164 number that is called and told';
COMMENT ON COLUMN escalation_contacts.endpoint IS 'name of an endpoint of kind json that is sent a report';
SELECT pg_catalog.pg_extension_config_dump('escalation_contacts', '');

-- src/ivr/tables.sql
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
    number     text COLLATE "C" NOT NULL,
    tenant     uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (number, tenant)
);
CREATE INDEX phone_numbers_tenant ON phone_numbers (tenant);
COMMENT ON TABLE phone_numbers IS
    'the numbers of tenants, as the version of their settings that holds says. Several may name one: a call is the first one''s whose '
    'account signs it';
COMMENT ON COLUMN phone_numbers.number IS 'E.164';
SELECT pg_catalog.pg_extension_config_dump('phone_numbers', '');

CREATE TABLE inbound_calls (
    id         bigint PRIMARY KEY DEFAULT nextval('voice_call_id'),
    tenant     uuid NOT NULL REFERENCES tenants (id),
    sid        text COLLATE "C" NOT NULL,
    token      uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    number     text COLLATE "C" NOT NULL,
    caller     text COLLATE "C",
    version    integer NOT NULL,
    place      jsonb NOT NULL CHECK (jsonb_typeof(place) = 'object'),
    turn       integer NOT NULL DEFAULT 0,
    consent    boolean,
    recorded   boolean NOT NULL DEFAULT false,
    recordings text[] COLLATE "C" NOT NULL DEFAULT '{}',
    transcript text COLLATE "C",
    state      text COLLATE "C" NOT NULL DEFAULT 'in-progress'
               CHECK (state IN ('queued', 'ringing', 'in-progress', 'completed', 'busy', 'failed', 'no-answer', 'canceled')),
    sequence   integer,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    UNIQUE (tenant, sid),
    FOREIGN KEY (tenant, version) REFERENCES telephony_versions (tenant, version)
);
CREATE INDEX inbound_calls_created ON inbound_calls (tenant, created_at);
CREATE INDEX inbound_calls_version ON inbound_calls (tenant, version);
COMMENT ON TABLE inbound_calls IS 'telephone calls that came in, and how far each has come';
COMMENT ON COLUMN inbound_calls.id IS 'of the same sequence as voice_calls.id, because webhook_answers has both';
COMMENT ON COLUMN inbound_calls.sid IS 'Twilio''s name of it; what is heard in it is the call of that call_id';
COMMENT ON COLUMN inbound_calls.token IS 'names the call in the URLs of its webhooks';
COMMENT ON COLUMN inbound_calls.number IS 'the number that was called';
COMMENT ON COLUMN inbound_calls.caller IS 'who calls, as Twilio says it: E.164, client:, sip:, or anonymous';
COMMENT ON COLUMN inbound_calls.version IS 'of the settings that held when it began';
COMMENT ON COLUMN inbound_calls.place IS
    'where the caller is: {"node": "begin", "consent", "menu", "agent", "transfer", "record" or "over", "menu", "misses"}';
COMMENT ON COLUMN inbound_calls.turn IS 'number of the webhook that is next in its turn';
COMMENT ON COLUMN inbound_calls.consent IS 'what the caller said to the question; null: it was not asked, or not answered';
COMMENT ON COLUMN inbound_calls.recorded IS 'the whole call is recorded';
COMMENT ON COLUMN inbound_calls.recordings IS 'Twilio''s names of recordings that are there';
COMMENT ON COLUMN inbound_calls.transcript IS 'what Twilio transcribed';
COMMENT ON COLUMN inbound_calls.state IS 'as Twilio says';
COMMENT ON COLUMN inbound_calls.sequence IS 'SequenceNumber of the last status callback that counted';
SELECT pg_catalog.pg_extension_config_dump('inbound_calls', '');

CREATE TABLE emergencies (
    tenant   uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    call_id  text COLLATE "C" NOT NULL,
    phrase   text COLLATE "C" NOT NULL,
    language text COLLATE "C",
    source   text COLLATE "C" NOT NULL CHECK (source IN ('segment', 'partial', 'transcript', 'key')),
    track    text COLLATE "C",
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, call_id, phrase)
);
COMMENT ON TABLE emergencies IS 'what was taken for an emergency in calls, once for each call and phrase';
COMMENT ON COLUMN emergencies.call_id IS 'calls.call_id, or inbound_calls.sid';
COMMENT ON COLUMN emergencies.phrase IS 'as the list of words has it, or the key of a menu';
COMMENT ON COLUMN emergencies.source IS
    'where it was found: what is stored of a call, what was heard so far, what Twilio transcribed, a key';
SELECT pg_catalog.pg_extension_config_dump('emergencies', '');

CREATE INDEX inbound_calls_agent ON inbound_calls (tenant) WHERE place->>'node' = 'agent' AND ended_at IS NULL;

CREATE TABLE media_sessions (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    inbound  bigint NOT NULL REFERENCES inbound_calls (id) ON DELETE CASCADE,
    turn     integer NOT NULL,
    tenant   uuid NOT NULL,
    call_id  text COLLATE "C" NOT NULL,
    peer     text COLLATE "C" NOT NULL,
    encoding text COLLATE "C" NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    reason   text COLLATE "C",
    figures  jsonb,
    UNIQUE (inbound, turn)
);
CREATE INDEX media_sessions_begun ON media_sessions (tenant, begun_at);
COMMENT ON TABLE media_sessions IS 'audio that a call that came in had with us, both ways: one for each time that it came to the agent';
COMMENT ON COLUMN media_sessions.turn IS 'inbound_calls.turn when it began: the token of a call opens one for each';
COMMENT ON COLUMN media_sessions.call_id IS
    'of the call that has its audio, where that is kept: the sid of the call, and from the second on its turn behind it';
COMMENT ON COLUMN media_sessions.peer IS 'who speaks to us: twilio, asterisk, audiosocket';
COMMENT ON COLUMN media_sessions.encoding IS 'of the audio, both ways, with 8000 samples a second';
COMMENT ON COLUMN media_sessions.reason IS 'why it ended; null: it has not, or nobody could say so';
COMMENT ON COLUMN media_sessions.figures IS 'what went through it, as the gateway counted';
SELECT pg_catalog.pg_extension_config_dump('media_sessions', '');
SELECT pg_catalog.pg_extension_config_dump('media_sessions_id_seq', '');

CREATE TABLE prompts (
    tenant     uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    digest     bytea NOT NULL,
    text       text COLLATE "C" NOT NULL,
    audio      bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, digest)
);
COMMENT ON TABLE prompts IS 'how sentences of tenants sound, where a call is spoken to as a stream';
COMMENT ON COLUMN prompts.digest IS 'SHA-256 of the text in UTF-8';
COMMENT ON COLUMN prompts.audio IS 'mu-law, 8000 samples a second';
SELECT pg_catalog.pg_extension_config_dump('prompts', '');

-- src/conversation/tables.sql
-- Conversations of callers with a tenant's agent: what they were conducted by, what went into the turn engine, and its turns.

CREATE TABLE conversation_versions (
    tenant     uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    version    integer NOT NULL CHECK (version > 0),
    settings   jsonb NOT NULL CHECK (jsonb_typeof(settings) = 'object'),
    role       text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, version)
);
COMMENT ON TABLE conversation_versions IS
    'settings of tenants for conversations: the highest version is the one that holds, earlier ones are those that calls ran under';
COMMENT ON COLUMN conversation_versions.settings IS 'what set_conversation() was given, checked';
COMMENT ON COLUMN conversation_versions.role IS 'who wrote it';
SELECT pg_catalog.pg_extension_config_dump('conversation_versions', '');

CREATE SEQUENCE conversation_id;
COMMENT ON SEQUENCE conversation_id IS 'conversations.id';
SELECT pg_catalog.pg_extension_config_dump('conversation_id', '');

CREATE TABLE conversations (
    id         bigint PRIMARY KEY DEFAULT nextval('conversation_id'),
    tenant     uuid NOT NULL REFERENCES tenants (id),
    call_id    text COLLATE "C" NOT NULL CHECK (octet_length(call_id) BETWEEN 1 AND 128),
    version    integer,
    numbers    integer[] NOT NULL,
    lists      text[] COLLATE "C" NOT NULL,
    line       boolean[] NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    reason     text COLLATE "C",
    UNIQUE (tenant, call_id)
);
CREATE INDEX conversations_started ON conversations (tenant, started_at);
COMMENT ON TABLE conversations IS 'conversations with agents, one a call; what is heard in it is the call of that name';
COMMENT ON COLUMN conversations.version IS 'of the settings of its tenant that held when it began; null: it had none';
COMMENT ON COLUMN conversations.numbers IS 'what the turn engine was given, in the order of turn_numbers(), so that a replay has the same';
COMMENT ON COLUMN conversations.lists IS 'its lists of phrases, in the order of turn_lists(), one a line';
COMMENT ON COLUMN conversations.line IS 'what the peer can: clear, pause, marks, marks that tell, exact queue, paced by us';
COMMENT ON COLUMN conversations.reason IS 'why it ended, as the turn engine says';
SELECT pg_catalog.pg_extension_config_dump('conversations', '');

CREATE TABLE turn_log (
    conversation bigint NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    number       integer NOT NULL CHECK (number >= 0),
    record       bytea NOT NULL CHECK (octet_length(record) BETWEEN 1 AND 3072),
    PRIMARY KEY (conversation, number)
);
COMMENT ON TABLE turn_log IS 'the inputs of turn engines, about a row a second, from which their decisions follow';
COMMENT ON COLUMN turn_log.number IS 'their order';
COMMENT ON COLUMN turn_log.record IS 'in the form of core/conversation/turn_log.h';
SELECT pg_catalog.pg_extension_config_dump('turn_log', '');

-- The times are ms of the session, null when it did not happen.
CREATE TABLE conversation_turns (
    conversation       bigint NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    turn               integer NOT NULL,
    onset_ms           integer NOT NULL,
    speech_end_ms      integer,
    final_text_ms      integer,
    asked_ms           integer,
    committed_ms       integer,
    first_piece_ms     integer,
    first_sent_ms      integer,
    interrupt_onset_ms integer,
    interrupted_ms     integer,
    reply_end_ms       integer,
    text_class         text COLLATE "C" NOT NULL,
    interrupt_reason   text COLLATE "C",
    speculations       integer NOT NULL,
    reopened           integer NOT NULL,
    cut_offs           integer NOT NULL,
    pauses             integer NOT NULL,
    false_pauses       integer NOT NULL,
    backchannels       integer NOT NULL,
    filler             boolean NOT NULL,
    apology            boolean NOT NULL,
    said               text COLLATE "C" NOT NULL,
    heard              text COLLATE "C" NOT NULL,
    heard_cut          boolean NOT NULL,
    PRIMARY KEY (conversation, turn)
);
COMMENT ON TABLE conversation_turns IS
    'turns of callers in conversations that are over, each with the reply to it; times are ms of the session';
COMMENT ON COLUMN conversation_turns.onset_ms IS 'the caller began to speak';
COMMENT ON COLUMN conversation_turns.speech_end_ms IS 'his last frame of speech';
COMMENT ON COLUMN conversation_turns.final_text_ms IS 'the last final text of the recogniser before the reply';
COMMENT ON COLUMN conversation_turns.asked_ms IS 'the reply that was said was asked for, perhaps before the turn was over';
COMMENT ON COLUMN conversation_turns.committed_ms IS 'the turn was taken to be over';
COMMENT ON COLUMN conversation_turns.first_piece_ms IS 'the first piece of the reply had its text and audio';
COMMENT ON COLUMN conversation_turns.first_sent_ms IS 'its first frame was sent';
COMMENT ON COLUMN conversation_turns.interrupt_onset_ms IS 'the speech began that interrupted it';
COMMENT ON COLUMN conversation_turns.interrupted_ms IS 'and was taken to be an interruption';
COMMENT ON COLUMN conversation_turns.reply_end_ms IS 'it was played to its end, or given up';
COMMENT ON COLUMN conversation_turns.text_class IS 'how what was said ended, which says how long was waited';
COMMENT ON COLUMN conversation_turns.reopened IS 'times that it went on after it had been taken to be over';
COMMENT ON COLUMN conversation_turns.cut_offs IS 'of them after the reply had begun';
COMMENT ON COLUMN conversation_turns.false_pauses IS 'pauses of the agent that were for nothing';
COMMENT ON COLUMN conversation_turns.heard IS 'of the reply, to the last whole word';
COMMENT ON COLUMN conversation_turns.heard_cut IS 'it was not heard to its end';
SELECT pg_catalog.pg_extension_config_dump('conversation_turns', '');

-- src/server/transactions.sql
CREATE FUNCTION mulberry.notifier_lives() RETURNS boolean
LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_notifier_lives_sql';
COMMENT ON FUNCTION mulberry.notifier_lives() IS 'true when a notifier serves this database, so that events are sent';

CREATE FUNCTION mulberry.process_statistics()
RETURNS TABLE (place integer, type text, pid integer, started_at timestamptz, starts bigint, in_flight integer,
               done bigint, failed bigint, last_activity timestamptz)
LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_process_statistics';
COMMENT ON FUNCTION mulberry.process_statistics() IS
    'the notifier (place 0) and the workers of this database, alive (pid) or not, with what they did since the server started: a '
    'notifier sends messages, a worker does jobs (internal)';

CREATE FUNCTION require_durable_commit() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_require_durable_commit_sql';
COMMENT ON FUNCTION require_durable_commit() IS
    'has this transaction on disk, and on synchronous standbys, when it has committed, whatever synchronous_commit says (internal)';

CREATE FUNCTION mulberry.in_transaction_block() RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mulberry_in_transaction_block';
COMMENT ON FUNCTION mulberry.in_transaction_block() IS 'whether the session is between BEGIN and COMMIT (internal)';

-- Shared work waits for nobody.  A function of it says SET lock_timeout, so that its limit ends with it,
-- calls limit_waits() first, and blocked() where it has caught lock_not_available.
CREATE FUNCTION limit_waits() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mulberry_limit_waits_sql';
COMMENT ON FUNCTION limit_waits() IS
    'sets lock_timeout to what shared work may still wait, at most 100 ms and a tenth of the time in all, until the function ends '
    '(internal)';

CREATE FUNCTION blocked() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mulberry_blocked';
COMMENT ON FUNCTION blocked() IS 'counts a wait that was in vain, and limits the next ones (internal)';

CREATE FUNCTION try_maintenance_lock() RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_try_maintenance_lock';
COMMENT ON FUNCTION try_maintenance_lock() IS
    'internal: false when another session does maintenance or retention; held until the end of the transaction';

-- src/server/texts.sql
-- Texts that enter are bounded and can be said in UTF-8; texts.c says how long each may be, by the name of the
-- argument.

CREATE FUNCTION check_texts(VARIADIC pairs text[]) RETURNS void
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'mulberry_check_texts';
COMMENT ON FUNCTION check_texts(text[]) IS
    'name and value of each argument: raises 22001 when one is longer than text_limits() says, 22P05 when one cannot be said in UTF-8, '
    'or in a database in SQL_ASCII is none; nulls are fine (internal)';

CREATE FUNCTION check_json(argument text, value jsonb) RETURNS void
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mulberry_check_json';
COMMENT ON FUNCTION check_json(text, jsonb) IS 'check_texts() for JSON (internal)';

CREATE FUNCTION text_limits() RETURNS TABLE (argument text, max_bytes integer)
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'mulberry_text_limits';
COMMENT ON FUNCTION text_limits() IS 'how many bytes the text or JSON in an argument of that name may have (internal)';

CREATE FUNCTION has_controls(value text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'mulberry_has_controls';
COMMENT ON FUNCTION has_controls(text) IS 'whether a text has a control character, in whatever encoding (internal)';

-- src/server/set_aside.sql
-- Shared work cannot be failed by one row: what fails is set aside, reported once in the server's log and
-- by health(), tried again later and later, and the rest goes on.

CREATE FUNCTION set_aside(unit text, item text, tenant uuid, state text, error text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    entry mulberry_internal.set_aside;
BEGIN
    INSERT INTO mulberry_internal.set_aside AS s (unit, item, tenant, sqlstate, error, retry_at)
    VALUES (set_aside.unit, set_aside.item, set_aside.tenant, state, left(set_aside.error, 1000),
            clock_timestamp() + interval '1 minute')
        ON CONFLICT ON CONSTRAINT set_aside_pkey DO UPDATE
       SET sqlstate = excluded.sqlstate, error = excluded.error, times = least(s.times, 2147483646) + 1,
           retry_at = clock_timestamp() + least(interval '1 minute' * 2 ^ least(s.times, 10), interval '1 hour')
    RETURNING * INTO entry;
    IF entry.times = 1 THEN
        RAISE LOG 'mulberry: % "%" is set aside: %', unit, item, entry.error
            USING DETAIL = 'The rest goes on. It is tried again later; health() lists what is set aside.';
    END IF;
END
$$;
COMMENT ON FUNCTION set_aside(text, text, uuid, text, text) IS
    'has shared work go on without one item, which failed with an error, and try it again later (internal)';

CREATE FUNCTION is_set_aside(unit text, item text) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (SELECT FROM mulberry_internal.set_aside s WHERE s.unit = $1 AND s.item = $2 AND s.retry_at > clock_timestamp());
COMMENT ON FUNCTION is_set_aside(text, text) IS 'whether an item failed and is not to be tried again yet (internal)';

CREATE FUNCTION forget_set_aside() RETURNS void
LANGUAGE sql VOLATILE
AS $$
    -- it was to be tried again long ago, and has not failed since
    DELETE FROM mulberry_internal.set_aside s WHERE s.retry_at < clock_timestamp() - interval '1 hour'
$$;
COMMENT ON FUNCTION forget_set_aside() IS 'forgets what was set aside and is well again or gone; part of maintenance (internal)';

-- src/server/blockers.sql
-- Who is in the way.

CREATE FUNCTION transaction_of(locker xid) RETURNS TABLE (pid integer, role name, since timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    lockers xid[] := ARRAY[locker];
BEGIN
    FOR attempt IN 1 .. 2 LOOP
        RETURN QUERY
            SELECT a.pid, a.usename, a.xact_start
              FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
             WHERE l.locktype = 'transactionid' AND l.granted AND l.transactionid = ANY (lockers) AND l.pid <> pg_backend_pid()
             ORDER BY a.xact_start LIMIT 1;
        EXIT WHEN FOUND OR attempt = 2;
        -- several have the row locked: the number is that of a list
        BEGIN
            lockers := ARRAY(SELECT m.xid FROM pg_get_multixact_members(locker) m);
        EXCEPTION WHEN OTHERS THEN
            EXIT;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION transaction_of(xid) IS
    'the process, role and beginning of the transaction that has a row locked, by the row''s xmax; no row when it is over (internal)';

CREATE FUNCTION refuse_to_wait(what text, locker xid) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    other record;
BEGIN
    SELECT * INTO other FROM mulberry_internal.transaction_of(locker);
    RAISE EXCEPTION '% is locked by another transaction', what
        USING ERRCODE = 'lock_not_available',
              DETAIL = coalesce(format('Process %s of role "%s" has been in it since %s.', other.pid, other.role, other.since),
                                'It is over by now, or prepared.'),
              HINT = 'Nothing was changed; try again. A client that leaves a transaction open is ended by '
                     'idle_in_transaction_session_timeout.';
END
$$;
COMMENT ON FUNCTION refuse_to_wait(text, xid) IS 'raises 55P03 and names the transaction that has a row locked (internal)';

CREATE FUNCTION limit_wait_for_row() RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    longest CONSTANT interval := interval '3 seconds';
    before  CONSTANT text := current_setting('lock_timeout');
BEGIN
    IF before::interval = '0' OR before::interval > longest THEN
        PERFORM set_config('lock_timeout', (1000 * extract(epoch FROM longest))::integer::text, true);
    END IF;
    RETURN before;
END
$$;
COMMENT ON FUNCTION limit_wait_for_row() IS
    'sets lock_timeout to what who is called by a person waits for another transaction of the same tenant, and returns what it was '
    '(internal)';

CREATE FUNCTION health_open_transactions() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    -- a transaction that only does its work is over by then
    patience CONSTANT interval := interval '5 seconds';
    other    record;
    any_open boolean := false;
BEGIN
    FOR other IN
        SELECT coalesce(format('open transaction of process %s', l.pid), format('prepared transaction "%s"', p.gid)) AS name,
               l.pid, coalesce(a.usename, p.owner) AS role, coalesce(a.state, 'prepared') AS state,
               coalesce(a.xact_start, p.prepared) AS since,
               string_agg(DISTINCT CASE WHEN l.locktype = 'relation' THEN c.relname::text
                                        WHEN l.objsubid = 27757 THEN 'calls' WHEN l.objsubid = 27758 THEN 'packets'
                                        WHEN l.objsubid = 27759 THEN 'the numbers of events'
                                        WHEN l.objsubid = 27760 THEN 'maintenance' ELSE 'the links of the audit log' END, ', ') AS held
          FROM pg_locks l
          LEFT JOIN pg_class c ON l.locktype = 'relation' AND c.oid = l.relation
                              AND c.relnamespace = 'mulberry_internal'::regnamespace AND c.relkind IN ('r', 'p')
          LEFT JOIN pg_stat_activity a ON a.pid = l.pid
          LEFT JOIN pg_prepared_xacts p ON l.pid IS NULL AND l.virtualtransaction = '-1/' || p.transaction
         WHERE l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
           AND l.granted AND l.mode <> 'AccessShareLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
           AND (c.oid IS NOT NULL OR (l.locktype = 'advisory' AND l.objsubid BETWEEN 27757 AND 27761))
           AND a.backend_type IS DISTINCT FROM 'mulberry worker' AND a.backend_type IS DISTINCT FROM 'mulberry notifier'
           AND coalesce(a.xact_start, p.prepared) < clock_timestamp() - patience
         GROUP BY l.pid, p.gid, a.usename, p.owner, a.state, a.xact_start, p.prepared
         ORDER BY since LIMIT 20
    LOOP
        any_open := true;
        item := other.name;
        status := 'warning';
        detail := format('role "%s" (%s) since %s holds rows or locks of %s', other.role, other.state, other.since, other.held);
        hint := CASE WHEN other.pid IS NULL THEN 'COMMIT PREPARED or ROLLBACK PREPARED ends it.'
            ELSE format('What it holds waits for its end. SELECT pg_terminate_backend(%s) ends it; idle_in_transaction_session_timeout '
                        'ends such transactions by itself.', other.pid) END;
        RETURN NEXT;
    END LOOP;
    IF NOT any_open THEN
        item := 'transactions';
        status := 'ok';
        detail := format('none that is older than %s holds anything', patience);
        hint := NULL;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION health_open_transactions() IS 'health of locks: transactions that were left open and are in the way';

-- src/server/states.sql
-- The state machines, which src/core/state/machine.c defines.

CREATE FUNCTION mulberry.state_machines()
RETURNS TABLE (table_name text, machine text, from_state text, to_state text, conditional boolean, description text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 70
AS 'MODULE_PATHNAME', 'mulberry_state_machines';
COMMENT ON FUNCTION mulberry.state_machines() IS
    'every change of a state that there is, of calls, mandates, commands, voice calls and the breakers of endpoints; from_state null:'
    ' where it begins; conditional: only under the condition that the description names';

CREATE FUNCTION guard_state() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_guard_state';
COMMENT ON FUNCTION guard_state() IS
    'trigger: keeps every statement to the state machine of its table, see state_machines(); 55000 names both states';

-- src/calls/state.sql
CREATE FUNCTION guard_call() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_guard_call';
COMMENT ON FUNCTION guard_call() IS
    'keeps statements written by hand to the state machine and to the call lock; a deleted call takes its packets along';

CREATE TRIGGER guard_call BEFORE UPDATE OR DELETE ON calls
    FOR EACH ROW EXECUTE FUNCTION guard_call();

-- src/access/access.sql
CREATE FUNCTION access_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_access_changed';
COMMENT ON FUNCTION access_changed() IS 'makes every session read members, tokens and tenants again';

CREATE TRIGGER access_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tenants
    FOR EACH STATEMENT EXECUTE FUNCTION access_changed();
CREATE TRIGGER access_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON members
    FOR EACH STATEMENT EXECUTE FUNCTION access_changed();
-- a new token changes nothing for those who know others
CREATE TRIGGER access_changed AFTER UPDATE OR DELETE OR TRUNCATE ON tokens
    FOR EACH STATEMENT EXECUTE FUNCTION access_changed();

CREATE FUNCTION mulberry.current_tenants(VARIADIC access text[] DEFAULT '{}') RETURNS uuid[]
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_current_tenants';
COMMENT ON FUNCTION mulberry.current_tenants(text[]) IS
    'the tenants to which the current role has one of these accesses, or any access when none is named; within a SECURITY DEFINER function '
    'of somebody, those to which both have it; none in a security-restricted operation';

-- Set-returning, because only so a function learns which query calls it.
CREATE FUNCTION mulberry.current_tenants(through_views boolean, VARIADIC access text[] DEFAULT '{}') RETURNS SETOF uuid[]
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'mulberry_current_tenants_sql';
COMMENT ON FUNCTION mulberry.current_tenants(boolean, text[]) IS
    'for views of mulberry: current_tenants() as far as the owners of views and rules that lie between have the access as well (internal)';

CREATE FUNCTION mulberry.everywhere_through_views(VARIADIC access text[]) RETURNS SETOF boolean
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'mulberry_everywhere_through_views';
COMMENT ON FUNCTION mulberry.everywhere_through_views(text[]) IS
    'for views of mulberry: has_access_everywhere() of the current role and of the owners of views that lie between (internal)';

CREATE FUNCTION mulberry.held_access(tenant uuid) RETURNS text[]
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_held_access';
COMMENT ON FUNCTION mulberry.held_access(uuid) IS 'the accesses that the current role has to a tenant, included ones as well';

CREATE FUNCTION mulberry.has_access_everywhere(VARIADIC access text[]) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_has_access_everywhere_sql';
COMMENT ON FUNCTION mulberry.has_access_everywhere(text[]) IS 'true when the current role has one of these accesses to all tenants';

CREATE FUNCTION require_access_everywhere(VARIADIC access text[]) RETURNS void
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_require_access_everywhere_sql';
COMMENT ON FUNCTION require_access_everywhere(text[]) IS 'an error (42501) unless has_access_everywhere()';

CREATE FUNCTION resolve_tenant(name text, VARIADIC access text[]) RETURNS uuid
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_resolve_tenant_sql';
COMMENT ON FUNCTION resolve_tenant(text, text[]) IS
    'the tenant that a call is about, for functions that do one of these accesses; null: the role''s only one, or "default". Errors: '
    '42501 no such access at all, 42704 no such tenant or no such access to it, 42P08 a name is needed';

CREATE FUNCTION outer_role() RETURNS regrole
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_outer_role';
COMMENT ON FUNCTION outer_role() IS 'the role whose access counts: the session''s, or that of SET ROLE';

CREATE FUNCTION caller_roles() RETURNS SETOF oid
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_caller_roles';
COMMENT ON FUNCTION caller_roles() IS 'every role with a hand in this call, whose accesses all count';

CREATE FUNCTION acting_token() RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_acting_token_sql';
COMMENT ON FUNCTION acting_token() IS 'the name of the token for which the transaction works; null where there is none';

CREATE FUNCTION outer_role_name() RETURNS text
LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN pg_catalog.pg_get_userbyid(mulberry_internal.outer_role()::oid)::text;
COMMENT ON FUNCTION outer_role_name() IS
    'its name, as it is stored: what regrole shows depends on quote_all_identifiers';

CREATE FUNCTION mulberry.grant_access(role regrole, access text, tenant text DEFAULT 'default') RETURNS void
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

CREATE FUNCTION mulberry.revoke_access(role regrole, access text, tenant text DEFAULT 'default') RETURNS void
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
CREATE FUNCTION end_open_grants(role regrole) RETURNS void
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

CREATE FUNCTION mulberry.refresh_grants() RETURNS void
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

CREATE FUNCTION check_member(role regrole, access text) RETURNS void
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

CREATE VIEW mulberry.tenant_access WITH (security_barrier) AS
    SELECT t.name, held_access(t.id) AS access, t.default_encoding, t.default_sample_rate, t.retention, t.created_at
      FROM tenants t
     WHERE t.id = ANY ((SELECT current_tenants(true))::uuid[]);
COMMENT ON VIEW mulberry.tenant_access IS 'the tenants to which the current role has access, and which';

CREATE VIEW mulberry.memberships WITH (security_barrier) AS
    SELECT m.role, m.access, t.name AS tenant, m.granted_by, m.granted_at
      FROM members m
      LEFT JOIN tenants t ON t.id = m.tenant
     WHERE m.tenant = ANY ((SELECT current_tenants(true, 'admin', 'auditor'))::uuid[])
        OR (m.tenant IS NULL AND (SELECT everywhere_through_views('admin', 'auditor')));
COMMENT ON VIEW mulberry.memberships IS
    'what grant_access() has given, as far as the current role is admin or auditor; tenant null: all tenants';

CREATE VIEW mulberry.tokens WITH (security_barrier) AS
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

-- src/access/tenants.sql
CREATE FUNCTION mulberry.create_tenant(
    name                text,
    default_encoding    text DEFAULT 's16le',
    default_sample_rate integer DEFAULT 16000,
    retention           interval DEFAULT NULL,
    language            text DEFAULT 'english'
) RETURNS uuid
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    made uuid;
BEGIN
    PERFORM mulberry_internal.check_texts('name', create_tenant.name, 'default_encoding', create_tenant.default_encoding,
                                          'language', create_tenant.language);
    PERFORM mulberry_internal.require_access_everywhere('admin');
    PERFORM mulberry_internal.check_tenant_settings(name, default_encoding, default_sample_rate, retention, language);
    INSERT INTO mulberry_internal.tenants (name, default_encoding, default_sample_rate, retention, language)
    VALUES (name, default_encoding, default_sample_rate, retention, language)
    ON CONFLICT DO NOTHING
    RETURNING id INTO made;
    IF made IS NULL THEN
        RAISE EXCEPTION 'tenant "%" already exists', name USING ERRCODE = 'duplicate_object';
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION mulberry.create_tenant(text, text, integer, interval, text) IS
    'makes a tenant; retention null: mulberry.retention; '
    'language: the text search configuration for its transcripts. Needs admin access to all tenants';

CREATE FUNCTION mulberry.alter_tenant(
    name                text,
    default_encoding    text DEFAULT NULL,
    default_sample_rate integer DEFAULT NULL,
    retention           interval DEFAULT NULL,
    reset_retention     boolean DEFAULT false,
    language            text DEFAULT NULL
) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid := mulberry_internal.resolve_tenant(name, 'admin');
BEGIN
    PERFORM mulberry_internal.check_texts('name', alter_tenant.name, 'default_encoding', alter_tenant.default_encoding,
                                          'language', alter_tenant.language);
    IF retention IS NOT NULL AND reset_retention THEN
        RAISE EXCEPTION 'retention cannot be set and reset at once' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM mulberry_internal.check_tenant_settings(coalesce(name, 'default'), coalesce(default_encoding, 's16le'),
                                           coalesce(default_sample_rate, 16000), retention,
                                           coalesce(language, 'english'));
    UPDATE mulberry_internal.tenants t
       SET default_encoding    = coalesce(alter_tenant.default_encoding, t.default_encoding),
           default_sample_rate = coalesce(alter_tenant.default_sample_rate, t.default_sample_rate),
           retention           = CASE WHEN reset_retention THEN NULL
                                      ELSE coalesce(alter_tenant.retention, t.retention) END,
           language            = coalesce(alter_tenant.language, t.language)
     WHERE t.id = target;
END
$$;
COMMENT ON FUNCTION mulberry.alter_tenant(text, text, integer, interval, boolean, text) IS
    'changes what is not null of a tenant; reset_retention goes back to mulberry.retention; calls that are transcribed from then on '
    'are indexed in the new language. Needs admin access to it';

-- The limits are the CHECK constraints of tenants; this only says more clearly
-- what is wrong, and with which SQLSTATE.
CREATE FUNCTION check_tenant_settings(
    name text, default_encoding text, default_sample_rate integer, retention interval, language text
) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    broken text;
BEGIN
    IF name IS NULL OR default_encoding IS NULL OR default_sample_rate IS NULL OR language IS NULL THEN
        RAISE EXCEPTION 'name, default_encoding, default_sample_rate and language of a tenant must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    FOR broken IN
        SELECT m.message
          FROM (VALUES
                (name ~ '^[a-z0-9][a-z0-9_.-]{0,62}$',
                 'a tenant''s name is 1 to 63 lower case letters, digits, dots, hyphens and underscores and begins with a letter or digit'),
                (default_encoding IN ('mulaw', 'alaw', 's16le', 'text'),
                 'default_encoding is mulaw, alaw, s16le or text'),
                (default_sample_rate IN (8000, 16000, 44100, 48000),
                 'default_sample_rate is 8000, 16000, 44100 or 48000'),
                (retention IS NULL OR retention > '0', 'retention is longer than nothing'),
                (retention IS NULL
                 OR (retention <= '1000 years'
                     AND least(extract(year FROM retention), extract(month FROM retention),
                               extract(day FROM retention), extract(hour FROM retention),
                               extract(minute FROM retention), extract(second FROM retention)) >= 0),
                 'retention is at most 1000 years, and no part of it is negative'),
                (EXISTS (SELECT FROM pg_ts_config g WHERE g.cfgname = language AND g.cfgnamespace = 'pg_catalog'::regnamespace),
                 'language is a text search configuration of PostgreSQL, such as english, german or simple')
               ) AS m (holds, message)
         WHERE NOT m.holds
    LOOP
        RAISE EXCEPTION '%', broken USING ERRCODE = 'invalid_parameter_value';
    END LOOP;
END
$$;
COMMENT ON FUNCTION check_tenant_settings(text, text, integer, interval, text) IS
    'raises an error that says which setting of a tenant is out of range';

CREATE FUNCTION mulberry.drop_tenant(name text) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid;
    member record;
    before text;
BEGIN
    PERFORM mulberry_internal.check_texts('name', drop_tenant.name);
    PERFORM mulberry_internal.require_access_everywhere('admin');
    IF name IS NULL THEN
        RAISE EXCEPTION 'a tenant must be named' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    target := mulberry_internal.resolve_tenant(name, 'admin');
    IF name = 'default' THEN
        RAISE EXCEPTION 'tenant "default" cannot be dropped' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    FOR member IN
        SELECT m.role, m.access FROM mulberry_internal.members m WHERE m.tenant = target
    LOOP
        PERFORM mulberry.revoke_access(member.role, member.access, name);
    END LOOP;
    -- whoever stores the first of anything for this tenant keeps its row
    before := mulberry_internal.limit_wait_for_row();
    BEGIN
        DELETE FROM mulberry_internal.tenants t WHERE t.id = target;
    EXCEPTION
        WHEN foreign_key_violation THEN
            RAISE EXCEPTION 'tenant "%" cannot be dropped because it still has something', name
                USING ERRCODE = 'dependent_objects_still_exist', DETAIL = SQLERRM,
                      HINT = 'Calls and events go by retention; secrets, endpoints and agents must be dropped, the audit log erased.';
        WHEN lock_not_available THEN
            PERFORM mulberry_internal.refuse_to_wait(format('tenant "%s"', drop_tenant.name), t.xmax)
               FROM mulberry_internal.tenants t WHERE t.id = target;
            RAISE;
    END;
    PERFORM set_config('lock_timeout', before, true);
END
$$;
COMMENT ON FUNCTION mulberry.drop_tenant(text) IS
    'drops a tenant that has nothing left, and revokes access to it; 55P03 when another transaction keeps it, which is named. Needs admin '
    'access to all tenants';

-- A dump brings the default tenant's row, which is there already: its settings
-- are taken from the dump.  That row comes before everything that refers to a
-- tenant, so from the first restored job on outgoing work is held, whatever
-- order the dump restores its tables in.
CREATE FUNCTION restore_default_tenant() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    UPDATE mulberry_internal.tenants t
       SET default_encoding = NEW.default_encoding,
           default_sample_rate = NEW.default_sample_rate,
           retention = NEW.retention,
           language = NEW.language,
           created_at = NEW.created_at
     WHERE t.id = NEW.id;
    IF NOT FOUND THEN
        RETURN NEW;
    END IF;
    INSERT INTO mulberry_internal.installation (system_identifier, database, approved_by)
    VALUES (0, 0, SESSION_USER);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION restore_default_tenant() IS
    'lets a dump be restored over the tenant that CREATE EXTENSION makes, and holds outgoing work then';
CREATE TRIGGER restore_default_tenant BEFORE INSERT ON tenants
    FOR EACH ROW WHEN (NEW.id = '6d756c62-6572-7279-8000-000000000001')
    EXECUTE FUNCTION restore_default_tenant();
-- also for the initial copy of a subscription
ALTER TABLE tenants ENABLE ALWAYS TRIGGER restore_default_tenant;

-- src/access/rules.sql
-- What each access may use: an object (all functions of that name, or the view)
-- and the accesses that need it, without those that include them
-- (access_includes).  Each folder says it in a function access_rules_...() beside the
-- objects; what is not named is for the owner alone.

CREATE FUNCTION access_rules() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    part name;
BEGIN
    FOR part IN
        SELECT p.proname FROM pg_proc p
         WHERE p.pronamespace = 'mulberry_internal'::regnamespace AND p.proname ~ '^access_rules_' AND p.pronargs = 0
         ORDER BY p.proname
    LOOP
        RETURN QUERY EXECUTE format('SELECT object, privilege, accesses FROM mulberry_internal.%I()', part);
    END LOOP;
END
$$;
COMMENT ON FUNCTION access_rules() IS 'which access needs which object, of all folders, before included accesses are added';

CREATE FUNCTION mulberry.access_objects() RETURNS TABLE (access text, privilege text, object text)
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    RETURN QUERY
        WITH named AS (
            SELECT p.proname AS name, 'EXECUTE' AS privilege,
                   format('%s %I.%I(%s)', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
                          s.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS object
              FROM pg_proc p
              JOIN pg_namespace s ON s.oid = p.pronamespace AND s.nspname IN ('mulberry', 'mulberry_internal')
            UNION ALL
            SELECT c.relname, w.privilege, format('%I.%I', 'mulberry', c.relname)
              FROM pg_class c, (VALUES ('SELECT'), ('INSERT')) AS w (privilege)
             WHERE c.relnamespace = 'mulberry'::regnamespace AND c.relkind = 'v'
        )
        SELECT DISTINCT a.access, n.privilege, n.object
          FROM mulberry_internal.access_rules() r
          JOIN named n ON n.name = r.object AND n.privilege = r.privilege
          JOIN unnest(mulberry_internal.access_names()) AS a (access)
            ON string_to_array(r.accesses, ' ') && mulberry_internal.access_includes(a.access)
         UNION ALL
        SELECT a.access, 'USAGE', s.object
          FROM unnest(mulberry_internal.access_names()) AS a (access)
          JOIN (VALUES ('SCHEMA mulberry', NULL), ('SCHEMA mulberry_internal', 'worker')) AS s (object, access)
            ON s.access IS NULL OR s.access = a.access;
END
$$;
COMMENT ON FUNCTION mulberry.access_objects() IS
    'what each access may do with which object, included accesses counted: "privilege" ON "object"';

-- src/access/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE FUNCTION access_rules_access() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('current_tenants', 'EXECUTE', 'ingest supervisor auditor gateway worker monitor agent'),
    ('held_access', 'EXECUTE', 'ingest supervisor auditor gateway worker monitor agent'),
    ('has_access_everywhere', 'EXECUTE', 'auditor admin'),
    ('everywhere_through_views', 'EXECUTE', 'auditor admin'),
    ('tenant_access', 'SELECT', 'ingest supervisor auditor gateway worker monitor agent'),
    ('memberships', 'SELECT', 'auditor admin'),
    ('tokens', 'SELECT', 'auditor admin'),
    ('create_tenant', 'EXECUTE', 'admin'),
    ('alter_tenant', 'EXECUTE', 'admin'),
    ('drop_tenant', 'EXECUTE', 'admin'),
    ('grant_access', 'EXECUTE', 'admin'),
    ('revoke_access', 'EXECUTE', 'admin'),
    ('refresh_grants', 'EXECUTE', 'admin'),
    ('access_objects', 'EXECUTE', 'auditor admin')
$$;
COMMENT ON FUNCTION access_rules_access() IS 'which access needs which object of access';

-- src/server/installation.sql
CREATE FUNCTION mulberry.outbound_allowed() RETURNS boolean
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_outbound_allowed';
COMMENT ON FUNCTION mulberry.outbound_allowed() IS
    'false in a copy of another database: its workers call nobody until resume_outbound()';

CREATE FUNCTION library_version() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_library_version_sql';
COMMENT ON FUNCTION library_version() IS 'the version of the library that runs; that of the SQL is in pg_extension';

CREATE FUNCTION version_hint(version text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_version_hint_sql';
COMMENT ON FUNCTION version_hint(text) IS 'what to do about SQL of this version; null when it fits the library that runs';

-- src/server/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE FUNCTION access_rules_server() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('outbound_allowed', 'EXECUTE', 'operator auditor worker'),
    ('state_machines', 'EXECUTE', 'ingest supervisor auditor'),
    ('notifier_lives', 'EXECUTE', 'supervisor auditor'),
    ('process_statistics', 'EXECUTE', 'operator auditor admin monitor'),
    ('in_transaction_block', 'EXECUTE', 'operator admin')
$$;
COMMENT ON FUNCTION access_rules_server() IS 'which access needs which object of server';

-- src/metrics/metrics.sql
-- What is measured: what src/metrics/metric_kinds.c defines.

CREATE FUNCTION mulberry.metric_kinds()
RETURNS TABLE (metric text, type text, subject text, labels text[], of_server boolean, help text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 30
AS 'MODULE_PATHNAME', 'mulberry_metric_kinds';
COMMENT ON FUNCTION mulberry.metric_kinds() IS
    'the metrics that metrics() has: type (counter, gauge or histogram), labels, and what it means. of_server: of the processes as a '
    'whole, the others are also told by tenant';

CREATE FUNCTION count_metric(metric text, tenant uuid, first text DEFAULT NULL, second text DEFAULT NULL) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_count_metric';
COMMENT ON FUNCTION count_metric(text, uuid, text, text) IS
    'adds 1 to a counter when the transaction commits; first, second: values of its labels (internal)';

CREATE FUNCTION observe_metric(metric text, tenant uuid, value double precision, label text DEFAULT NULL) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_observe_metric';
COMMENT ON FUNCTION observe_metric(text, uuid, double precision, text) IS
    'adds a value to a histogram when the transaction commits; null, or one that no clock can mean, is left out (internal)';

CREATE FUNCTION counted(everything boolean, tenants uuid[], by_tenant boolean)
RETURNS TABLE (metric text, tenant uuid, suffix text, labels jsonb, value double precision, place integer)
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 300 AS 'MODULE_PATHNAME', 'mulberry_counted';
COMMENT ON FUNCTION counted(boolean, uuid[], boolean) IS
    'the counters of some or (everything) all tenants, together or, without what is 0, each by itself; tenant null: together, or of those '
    'for which there was no room. Nothing without preloading (internal)';

CREATE FUNCTION counting_since() RETURNS timestamptz
LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_counting_since';
COMMENT ON FUNCTION counting_since() IS 'when the counters of this database began at 0; null: nothing is counted (internal)';

-- What is read when it is asked for.  Each metrics_...() function answers for one subject, of the tenants given, together or each by
-- itself; metrics() calls all of them, so that a part adds its figures by adding such a function.

CREATE FUNCTION metrics_processes(tenants uuid[], by_tenant boolean)
RETURNS TABLE (metric text, tenant uuid, labels jsonb, value double precision)
LANGUAGE sql VOLATILE
AS $$
    SELECT 'mulberry_build_info', NULL::uuid, jsonb_build_object('version', e.extversion), 1.0::double precision
      FROM pg_extension e WHERE e.extname = 'mulberry'
     UNION ALL
    SELECT 'mulberry_counting_start_time_seconds', NULL, '{}', extract(epoch FROM s.since)
      FROM mulberry_internal.counting_since() AS s (since) WHERE s.since IS NOT NULL
     UNION ALL
    SELECT m.metric, NULL, m.labels, sum(m.value)::double precision
      FROM mulberry.process_statistics() p
     CROSS JOIN LATERAL (VALUES
            ('mulberry_processes', jsonb_build_object('type', p.type), (p.pid IS NOT NULL)::integer),
            ('mulberry_process_starts_total', jsonb_build_object('type', p.type), p.starts),
            (CASE p.type WHEN 'notifier' THEN 'mulberry_notifications_total' END, '{}', p.done),
            (CASE p.type WHEN 'notifier' THEN 'mulberry_notifications_failed_total' END, '{}', p.failed),
            (CASE p.type WHEN 'worker' THEN 'mulberry_job_attempts_failed_total' END, '{}', p.failed),
            (CASE p.type WHEN 'worker' THEN 'mulberry_requests_in_flight' END, '{}', p.in_flight)) AS m (metric, labels, value)
     WHERE m.metric IS NOT NULL
     GROUP BY m.metric, m.labels
$$;
COMMENT ON FUNCTION metrics_processes(uuid[], boolean) IS 'metrics of what runs (internal)';

CREATE FUNCTION mulberry.metrics(by_tenant boolean DEFAULT false)
RETURNS TABLE (metric text, type text, help text, name text, labels jsonb, value double precision)
LANGUAGE mulberry VOLATILE ROWS 300 SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    everything CONSTANT boolean := mulberry.has_access_everywhere('operator', 'auditor', 'admin', 'monitor');
    tenants    CONSTANT uuid[] := mulberry.current_tenants('operator', 'auditor', 'admin', 'monitor');
    parts      text;
BEGIN
    IF by_tenant IS NULL THEN
        RAISE EXCEPTION 'by_tenant must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT everything AND tenants = '{}' THEN
        RAISE EXCEPTION 'role "%" has no operator, auditor, admin or monitor access', mulberry_internal.outer_role_name()
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'An administrator can give it with mulberry.grant_access(role, access, tenant).';
    END IF;
    SELECT string_agg(format('SELECT m.metric, m.tenant, %L, m.labels, m.value, 0 FROM mulberry_internal.%I($1, $2) m', '', p.proname),
                      ' UNION ALL ' ORDER BY p.proname)
      INTO parts
      FROM pg_proc p
     WHERE p.pronamespace = 'mulberry_internal'::regnamespace AND p.proname ~ '^metrics_' AND p.pronargs = 2;
    RETURN QUERY EXECUTE format(
        $query$
        WITH samples AS MATERIALIZED (
            SELECT c.metric, c.tenant, c.suffix, c.labels, c.value, c.place FROM mulberry_internal.counted($3, $1, $2) c UNION ALL %s
        )
        SELECT s.metric, k.type, k.help, s.metric || s.suffix,
               CASE WHEN $2 AND NOT k.of_server THEN s.labels || jsonb_build_object('tenant', coalesce(t.name, '(others)'))
                    ELSE s.labels END,
               s.value
          FROM samples s
          LEFT JOIN mulberry.metric_kinds() WITH ORDINALITY AS k (metric, type, subject, labels, of_server, help, number)
            ON k.metric = s.metric
          LEFT JOIN mulberry_internal.tenants t ON t.id = s.tenant
         -- tenants that were dropped have no name to be told by
         WHERE s.tenant IS NULL OR t.id IS NOT NULL
         ORDER BY k.number, t.name NULLS LAST, s.labels - 'le', s.place
        $query$, parts) USING tenants, by_tenant, everything;
END
$$;
COMMENT ON FUNCTION mulberry.metrics(boolean) IS
    'what was counted and what is, as Prometheus has it: a row a sample, with its name, labels and value, and the metric that it belongs '
    'to with type and help (a histogram has several names). Of the tenants to which the caller has operator, auditor, admin or monitor '
    'access, together or by_tenant with the label tenant. Counters begin at 0 when the server starts '
    '(mulberry_counting_start_time_seconds), and are absent without preloading';

CREATE FUNCTION mulberry.metrics_text(by_tenant boolean DEFAULT false) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, mulberry, pg_temp SET extra_float_digits = 1 AS $$
    WITH samples AS MATERIALIZED (
        SELECT m.*, row_number() OVER () AS number, row_number() OVER (PARTITION BY m.metric) AS within
          FROM mulberry.metrics($1) m
    )
    SELECT string_agg(
               CASE WHEN s.within = 1
                    THEN format(E'# HELP %s %s\n# TYPE %s %s\n', s.metric, replace(replace(s.help, E'\\', E'\\\\'), E'\n', E'\\n'),
                                s.metric, s.type)
                    ELSE '' END
               || s.name || coalesce('{' || l.list || '}', '') || ' ' || s.value || E'\n', '' ORDER BY s.number)
      FROM samples s
     CROSS JOIN LATERAL (SELECT string_agg(format('%s="%s"', e.key, replace(replace(replace(e.value, E'\\', E'\\\\'), '"', E'\\"'),
                                                                            E'\n', E'\\n')), ',' ORDER BY e.key) AS list
                           FROM jsonb_each_text(s.labels) e) AS l
$$;
COMMENT ON FUNCTION mulberry.metrics_text(boolean) IS
    'metrics() in the text format of Prometheus (0.0.4), to be served or written to a file as it is';

-- src/metrics/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE FUNCTION access_rules_metrics() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('metric_kinds', 'EXECUTE', 'operator auditor admin monitor'),
    ('metrics', 'EXECUTE', 'operator auditor admin monitor'),
    ('metrics_text', 'EXECUTE', 'operator auditor admin monitor')
$$;
COMMENT ON FUNCTION access_rules_metrics() IS 'which access needs which object of metrics';

-- src/secrets/secrets.sql
CREATE VIEW mulberry.secret_entry WITH (security_barrier) AS
    SELECT NULL::text AS tenant, NULL::text AS name, NULL::secret_value AS value WHERE false;
COMMENT ON VIEW mulberry.secret_entry IS
    E'where secrets enter: \\copy mulberry.secret_entry (tenant, name, value) FROM ...; it stores or replaces, needs admin access to the '
    'tenant, and always looks empty';
COMMENT ON COLUMN mulberry.secret_entry.tenant IS 'name of the tenant; null: the role''s only one, or "default"';
COMMENT ON COLUMN mulberry.secret_entry.value IS 'at most 65536 bytes of text';

CREATE FUNCTION enter_secret() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_enter_secret';
COMMENT ON FUNCTION enter_secret() IS 'seals and stores a row of secret_entry';
CREATE TRIGGER enter_secret INSTEAD OF INSERT ON mulberry.secret_entry
    FOR EACH ROW EXECUTE FUNCTION enter_secret();

CREATE FUNCTION mulberry.load_secret(name text, server_file text, tenant text DEFAULT NULL) RETURNS void
LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_load_secret';
COMMENT ON FUNCTION mulberry.load_secret(text, text, text) IS
    'stores the content of a file of the server (without the newline at its end) as a secret; needs admin access to all tenants and the '
    'rights of pg_read_server_files';

CREATE FUNCTION mulberry.drop_secret(name text, tenant text DEFAULT NULL) RETURNS void
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

CREATE FUNCTION check_secrets() RETURNS TABLE (tenant uuid, name text, key_fingerprint text, problem text)
LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_check_secrets';
COMMENT ON FUNCTION check_secrets() IS
    'opens every secret and says what is wrong with it (null: nothing); an error when the key file itself cannot be used';

CREATE FUNCTION mulberry.rotate_secret_key() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_rotate_secret_key';
COMMENT ON FUNCTION mulberry.rotate_secret_key() IS
    'makes a new key, seals all secrets of this database with it and returns their number; the replaced key stays in the file for other '
    'databases. Needs admin access to all tenants';

CREATE FUNCTION mulberry.forget_secret_keys() RETURNS integer
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_forget_secret_keys';
COMMENT ON FUNCTION mulberry.forget_secret_keys() IS
    'removes replaced keys that no secret of this database needs from the key file, and returns their number; first rotate in all other '
    'databases of the server. Superusers only';

CREATE VIEW mulberry.secret_names WITH (security_barrier) AS
    SELECT t.name AS tenant, s.name, octet_length(s.ciphertext) AS size, s.key_fingerprint, s.created_at, s.rotated_at
      FROM secrets s
      JOIN tenants t ON t.id = s.tenant
     WHERE s.tenant = ANY ((SELECT current_tenants(true, 'admin'))::uuid[]);
COMMENT ON VIEW mulberry.secret_names IS 'the secrets of the tenants that the current role is admin of, without their values';
COMMENT ON COLUMN mulberry.secret_names.size IS 'bytes';

-- src/secrets/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE FUNCTION access_rules_secrets() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('secret_entry', 'INSERT', 'admin'),
    ('secret_names', 'SELECT', 'admin'),
    ('load_secret', 'EXECUTE', 'admin'),
    ('drop_secret', 'EXECUTE', 'admin'),
    ('rotate_secret_key', 'EXECUTE', 'admin'),
    ('forget_secret_keys', 'EXECUTE', 'admin')
$$;
COMMENT ON FUNCTION access_rules_secrets() IS 'which access needs which object of secrets';

-- src/audit/audit.sql
CREATE FUNCTION guard_audit() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_guard_audit';
COMMENT ON FUNCTION guard_audit() IS 'trigger: rows of the audit log are added and linked, and otherwise left alone';
CREATE TRIGGER guard_audit BEFORE INSERT OR UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION guard_audit();
CREATE TRIGGER guard_audit_truncate BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION guard_audit();

CREATE FUNCTION record_audit(tenant uuid, action text, outcome text, mandate text DEFAULT NULL, agent uuid DEFAULT NULL,
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

CREATE FUNCTION link_audit(max_rows integer DEFAULT 10000, only_tenant uuid DEFAULT NULL, careful boolean DEFAULT false)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS 'MODULE_PATHNAME', 'mulberry_link_audit';
COMMENT ON FUNCTION link_audit(integer, uuid, boolean) IS
    'gives committed rows of the audit log, of one tenant or (null) of all, their number and hash, the oldest first, and returns how many '
    'those were; nobody else can until the transaction ends. careful: what cannot be hashed is set aside (internal)';

CREATE FUNCTION link_audit_soon(max_rows integer DEFAULT 10000, singly boolean DEFAULT false) RETURNS bigint
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

CREATE FUNCTION await_audit_links() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_await_audit_links';
COMMENT ON FUNCTION await_audit_links() IS
    'returns when what was committed before is linked, or after a second: waits for the notifier, links itself when there is none, and '
    'does nothing where it cannot write (internal)';

CREATE FUNCTION check_audit_chain(tenant uuid, kept_seq bigint, kept_hash bytea,
                                  OUT rows bigint, OUT first_broken bigint, OUT problem text)
LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_check_audit_chain';
COMMENT ON FUNCTION check_audit_chain(uuid, bigint, bytea) IS
    'walks along a tenant''s audit log until something does not fit; kept_seq and kept_hash may be null (internal)';

CREATE FUNCTION erase_audit(tenant uuid) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_erase_audit';
COMMENT ON FUNCTION erase_audit(uuid) IS 'removes a tenant''s audit log and returns how many rows it had (internal)';

CREATE FUNCTION mulberry.verify_audit(only_tenant text DEFAULT NULL, kept_seq bigint DEFAULT NULL, kept_hash text DEFAULT NULL)
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

CREATE FUNCTION mulberry.audit_head(tenant text DEFAULT NULL, OUT seq bigint, OUT hash text, OUT linked_at timestamptz)
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

CREATE FUNCTION mulberry.erase_audit_log(tenant text, OUT rows bigint, OUT last_seq bigint, OUT hash text)
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

CREATE FUNCTION note_refusal(tenant uuid, action text, mandate text, agent uuid, error text, message text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_note_refusal';
COMMENT ON FUNCTION note_refusal(uuid, text, text, uuid, text, text) IS
    'has the notifier write a row of the audit log about what is about to fail; without a notifier the server''s log has it (internal)';

CREATE FUNCTION store_refusals(singly boolean DEFAULT false) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
    SET lock_timeout = '100ms'
AS 'MODULE_PATHNAME', 'mulberry_store_refusals';
COMMENT ON FUNCTION store_refusals(boolean) IS
    'what the notifier does about note_refusal(); singly: what cannot be stored goes to the server''s log, and the rest is (internal)';

-- src/access/narrowing.sql
-- For whom a transaction of a gateway works.

CREATE FUNCTION mulberry.authenticate(
    token text, OUT id uuid, OUT name text, OUT access text[], OUT tenant text, OUT expires_at timestamptz,
    OUT seconds_left double precision
)
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_authenticate';
COMMENT ON FUNCTION mulberry.authenticate(text) IS
    'narrows the transaction, until its end, to the access and the tenant of a token, and says which those are (tenant null: all, '
    'expires_at null: never). Nothing takes it back: no savepoint, no role; a second call is an error (55000), and a token that is '
    'unknown or revoked (28P01) or has expired (28000) leaves nothing. Needs gateway access to the tenant';

CREATE FUNCTION mulberry.authenticate_anonymous(access text, tenant text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_authenticate_anonymous';
COMMENT ON FUNCTION mulberry.authenticate_anonymous(text, text) IS
    'authenticate() for somebody who has no token: narrows the transaction to one access to one tenant, which the role itself must hold. '
    'Needs gateway access';

CREATE FUNCTION mulberry.require_authentication() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_require_authentication';
COMMENT ON FUNCTION mulberry.require_authentication() IS
    'from now on, as long as the session lasts, its transactions hold nothing before they have called authenticate() or '
    'authenticate_anonymous(). Needs gateway access';

-- src/tokens/tokens.sql
-- Bearer tokens: who gets one, and who loses it.  What one is worth in a transaction is access/narrowing.c's.

CREATE FUNCTION tell_of_token() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM pg_notify('mulberry_tokens', OLD.id::text);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tell_of_token() IS
    'trigger: tells gateways, which listen to mulberry_tokens, the id of a token that is no longer what it was';
CREATE TRIGGER tell_of_token AFTER UPDATE OR DELETE ON tokens
    FOR EACH ROW EXECUTE FUNCTION tell_of_token();

CREATE FUNCTION audit_token(tenant uuid, action text, token text, access text, expires timestamptz) RETURNS void
LANGUAGE sql AS $$
    SELECT mulberry_internal.record_audit(
        coalesce($1, '6d756c62-6572-7279-8000-000000000001'), $2, 'success', NULL, NULL, NULL, NULL,
        jsonb_build_object('name', $3, 'access', $4, 'all_tenants', $1 IS NULL, 'expires_at', $5))
$$;
COMMENT ON FUNCTION audit_token(uuid, text, text, text, timestamptz) IS
    'writes into the audit log of the tenant, or that of "default" for a token of all tenants';

CREATE FUNCTION random_token() RETURNS text
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mulberry_random_token';
COMMENT ON FUNCTION random_token() IS '256 random bits in base64url';

CREATE FUNCTION mulberry.create_token(
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

CREATE FUNCTION mulberry.revoke_token(name text, tenant text DEFAULT 'default') RETURNS void
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

CREATE FUNCTION mulberry.note_token_uses(tokens uuid[]) RETURNS bigint
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

-- src/tokens/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE FUNCTION access_rules_tokens() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('authenticate', 'EXECUTE', 'gateway'),
    ('authenticate_anonymous', 'EXECUTE', 'gateway'),
    ('require_authentication', 'EXECUTE', 'gateway'),
    ('note_token_uses', 'EXECUTE', 'gateway'),
    ('create_token', 'EXECUTE', 'admin'),
    ('revoke_token', 'EXECUTE', 'admin')
$$;
COMMENT ON FUNCTION access_rules_tokens() IS 'which access needs which object of tokens';

-- src/events/kinds.sql
-- The kinds of events: what src/events/event_kinds.c defines.

CREATE FUNCTION mulberry.event_kinds()
RETURNS TABLE (event text, subject text, delivery text, evidence boolean, meaning text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 35
AS 'MODULE_PATHNAME', 'mulberry_event_kinds';
COMMENT ON FUNCTION mulberry.event_kinds() IS
    'the events that subscribers hear: what each is about; delivery: stored (a row with a number, in events_since() as well), packet (from '
    'memory, may be lost) or control (about the subscription); evidence: has more fields than event_fields() names';

CREATE FUNCTION mulberry.event_fields()
RETURNS TABLE (event text, field text, type text, optional boolean, meaning text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 200
AS 'MODULE_PATHNAME', 'mulberry_event_fields';
COMMENT ON FUNCTION mulberry.event_fields() IS
    'the fields of each event beside event, call_id, tenant, seq and prev: type in JSON, and whether it may be absent or null';

-- src/events/events.sql
CREATE FUNCTION channels_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_channels_changed';
COMMENT ON FUNCTION channels_changed() IS 'trigger: has the notifier look again after commit who listens where';
CREATE TRIGGER channels_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON event_channels
    FOR EACH STATEMENT EXECUTE FUNCTION channels_changed();
CREATE TRIGGER channels_changed AFTER INSERT ON channel_listeners
    FOR EACH STATEMENT EXECUTE FUNCTION channels_changed();

CREATE FUNCTION emit_event(tenant uuid, event text, call bigint, call_id text, payload jsonb) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_emit_event';
COMMENT ON FUNCTION emit_event(uuid, text, bigint, text, jsonb) IS
    'stores an event in the current transaction; call, call_id and payload may be null (internal)';

CREATE FUNCTION event_message(event text, call_id text, tenant text, seq bigint, created_at timestamptz, payload jsonb,
                              max_bytes integer DEFAULT NULL) RETURNS json
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_event_message';
COMMENT ON FUNCTION event_message(text, text, text, bigint, timestamptz, jsonb, integer) IS
    'the message of a stored event as subscribers get it, cut to max_bytes with "truncated": true; null: whole (internal)';

CREATE FUNCTION number_events(max_rows integer DEFAULT 10000, only_tenant uuid DEFAULT NULL)
RETURNS TABLE (tenant uuid, seq bigint, event text, call_id text, payload jsonb, created_at timestamptz)
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS 'MODULE_PATHNAME', 'mulberry_number_events';
COMMENT ON FUNCTION number_events(integer, uuid) IS
    'gives committed events, of one tenant or (null) of all, their numbers, the oldest first, and returns them; nobody else can until '
    'the transaction ends (internal)';

CREATE FUNCTION number_events_singly(max_rows integer)
RETURNS TABLE (tenant uuid, seq bigint, event text, call_id text, payload jsonb, created_at timestamptz)
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
    SET lock_timeout = '100ms'
AS $$
DECLARE
    waiting  uuid;
    more     integer := max_rows;
    numbered integer;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    FOR waiting IN
        SELECT u.tenant FROM (SELECT DISTINCT e.tenant FROM mulberry_internal.events e WHERE e.seq IS NULL) AS u
         WHERE NOT mulberry_internal.is_set_aside('numbering', u.tenant::text)
         ORDER BY random()
    LOOP
        BEGIN
            RETURN QUERY
                SELECT n.tenant, n.seq, n.event, n.call_id, n.payload, n.created_at
                  FROM mulberry_internal.number_events(more, waiting) n;
            GET DIAGNOSTICS numbered = ROW_COUNT;
            more := more - numbered;
            EXIT WHEN more <= 0;
        EXCEPTION
            WHEN lock_not_available OR transaction_rollback THEN
                PERFORM mulberry_internal.blocked();
            WHEN OTHERS THEN
                PERFORM mulberry_internal.set_aside('numbering', waiting::text, waiting, SQLSTATE, SQLERRM);
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION number_events_singly(integer) IS
    'number_events() when that does not work for all at once: tenants whose events somebody has locked wait, those whose events cannot be '
    'numbered are set aside (internal)';

CREATE FUNCTION await_event_numbers() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_await_event_numbers';
COMMENT ON FUNCTION await_event_numbers() IS
    'returns when what was committed before has its number, or after a second: waits for the notifier, numbers itself when there is '
    'none, and does nothing where it cannot write (internal)';

CREATE FUNCTION mulberry.events_since(since bigint, max_rows integer DEFAULT 1000, tenant text DEFAULT NULL)
RETURNS TABLE (seq bigint, prev bigint, event text, call_id text, message json, created_at timestamptz)
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid := mulberry_internal.resolve_tenant(tenant, 'supervisor', 'auditor');
BEGIN
    IF since IS NULL OR since < 0 THEN
        RAISE EXCEPTION 'events_since() begins after a number of 0 or more'
            USING ERRCODE = CASE WHEN since IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
                  HINT = 'Give the last number you have seen, 0 for all.';
    END IF;
    IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'max_rows must be between 1 and 10000' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM mulberry_internal.await_event_numbers();
    RETURN QUERY
        SELECT e.seq, e.seq - 1, e.event, e.call_id,
               mulberry_internal.event_message(e.event, e.call_id, t.name, e.seq, e.created_at, e.payload), e.created_at
          FROM mulberry_internal.events e
          JOIN mulberry_internal.tenants t ON t.id = e.tenant
         WHERE e.tenant = target AND e.seq > since
         ORDER BY e.seq
         LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION mulberry.events_since(bigint, integer, text) IS
    'the stored events of a tenant after a number, at most max_rows (1 to 10000), as their messages. The prev of the first row is '
    'greater than "since" when older events have been purged. Needs supervisor or auditor access';

CREATE FUNCTION purge_events(max_rows integer DEFAULT 10000, dry_run boolean DEFAULT false) RETURNS bigint
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    purged bigint;
BEGIN
    IF max_rows IS NULL OR max_rows < 1 THEN
        RAISE EXCEPTION 'max_rows must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    WITH kept AS (
        SELECT t.id AS tenant,
               now() - coalesce(t.retention, nullif(current_setting('mulberry.retention', true), '')::interval) AS since
          FROM mulberry_internal.tenants t
    ), old AS (
        SELECT e.id
          FROM mulberry_internal.events e
          JOIN kept k ON k.tenant = e.tenant
         WHERE e.created_at < (SELECT max(since) FROM kept)
           AND e.created_at < k.since
           AND e.seq IS NOT NULL
         LIMIT max_rows
           FOR UPDATE OF e SKIP LOCKED
    ), gone AS (
        DELETE FROM mulberry_internal.events e USING old WHERE e.id = old.id AND NOT dry_run RETURNING 1
    )
    SELECT CASE WHEN dry_run THEN (SELECT count(*) FROM old) ELSE (SELECT count(*) FROM gone) END
      INTO purged;
    RETURN purged;
END
$$;
COMMENT ON FUNCTION purge_events(integer, boolean) IS
    'deletes numbered events older than their tenant''s retention, at most max_rows, and returns how many; dry_run only counts. Numbers '
    'go on where they were (internal)';

CREATE FUNCTION packet_event_statistics(OUT taken bigint, OUT dropped bigint, OUT waiting integer, OUT room integer)
LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_packet_event_statistics';
COMMENT ON FUNCTION packet_event_statistics() IS
    'packet events of this database in shared memory: taken over, lost to a full ring or a full NOTIFY queue, waiting, and how many may '
    'wait; null without preloading (internal)';

CREATE FUNCTION metrics_events(tenants uuid[], by_tenant boolean)
RETURNS TABLE (metric text, tenant uuid, labels jsonb, value double precision)
LANGUAGE sql VOLATILE
AS $$
    SELECT 'mulberry_events_unnumbered', u.tenant, '{}'::jsonb, sum(u.number)::double precision
      FROM (SELECT CASE WHEN by_tenant THEN e.tenant END AS tenant, 1 AS number
              FROM mulberry_internal.events e WHERE e.seq IS NULL AND e.tenant = ANY (tenants)
             UNION ALL
            SELECT NULL, 0 WHERE NOT by_tenant) AS u
     GROUP BY u.tenant
     UNION ALL
    SELECT m.metric, NULL, '{}', m.value
      FROM mulberry_internal.packet_event_statistics() p
     CROSS JOIN LATERAL (VALUES ('mulberry_packet_events_total', p.taken),
                                ('mulberry_packet_events_lost_total', p.dropped)) AS m (metric, value)
     WHERE m.value IS NOT NULL
$$;
COMMENT ON FUNCTION metrics_events(uuid[], boolean) IS 'metrics of events (internal)';

CREATE FUNCTION health_events() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    waiting bigint;
    oldest  interval;
    packets record;
BEGIN
    item := 'events';
    SELECT count(*), clock_timestamp() - min(e.created_at) INTO waiting, oldest
      FROM mulberry_internal.events e WHERE e.seq IS NULL;
    detail := format('%s stored events wait for their number', waiting);
    IF waiting = 0 OR oldest < interval '1 minute' OR NOT mulberry.notifier_lives() THEN
        status := 'ok';     -- without a notifier events_since() numbers them
    ELSE
        status := 'warning';
        detail := format('%s, the oldest since %s', detail, oldest);
        hint := 'Look for "mulberry notifier" in pg_stat_activity and in the server''s log.';
    END IF;
    RETURN NEXT;

    packets := mulberry_internal.packet_event_statistics();
    IF packets.taken IS NOT NULL THEN
        item := 'packet events';
        detail := format('%s of %s have been lost, %s wait', packets.dropped, packets.taken + packets.dropped, packets.waiting);
        IF packets.dropped * 100 <= packets.taken THEN
            status := 'ok';
            hint := NULL;
        ELSE
            status := 'warning';
            hint := 'Raise mulberry.event_ring_size, or look for sessions that listen and stay in a transaction.';
        END IF;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION health_events() IS 'health of the way from an event to its subscribers';

-- src/events/subscriptions.sql
CREATE FUNCTION listen_channel(channel text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_listen_channel';
COMMENT ON FUNCTION listen_channel(text) IS 'LISTEN (internal)';

CREATE FUNCTION unlisten_channel(channel text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_unlisten_channel';
COMMENT ON FUNCTION unlisten_channel(text) IS 'UNLISTEN (internal)';

CREATE FUNCTION remembered_channels() RETURNS SETOF text
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_remembered_channels';
COMMENT ON FUNCTION remembered_channels() IS 'what this session has subscribed to, the current transaction included (internal)';

CREATE FUNCTION session_lives(pid integer) RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_session_lives';
COMMENT ON FUNCTION session_lives(integer) IS 'whether a process of this number serves this database (internal)';

-- A pooler does not know yet for whom it connects: it asks for no setting, and sets the application_name of each
-- client to whom it gives the session.  Clients say theirs when they connect, or later, but have asked for something else.
CREATE FUNCTION looks_pooled() RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT s.setting <> '' AND s.reset_val = '' AND NOT EXISTS (SELECT FROM pg_settings AS asked WHERE asked.source = 'client')
      FROM pg_settings AS s WHERE s.name = 'application_name'
$$;
COMMENT ON FUNCTION looks_pooled() IS 'whether a pooler seems to have opened this session (internal)';

-- Sorted, each once; null stays null, and an empty one is refused: it would mean to hear nothing.
CREATE FUNCTION subscription_filter(what text, wanted text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF wanted IS NULL THEN
        RETURN NULL;
    END IF;
    IF array_position(wanted, NULL) IS NOT NULL THEN
        RAISE EXCEPTION '% to subscribe to must not be null', what USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF '' = ANY (wanted) THEN
        RAISE EXCEPTION '% to subscribe to must not be empty', what USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF cardinality(wanted) NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'a subscription names 1 to 1000 %, not %', what, cardinality(wanted)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave them out to hear of all.';
    END IF;
    RETURN ARRAY(SELECT DISTINCT w COLLATE "C" FROM unnest(wanted) AS w ORDER BY 1);
END
$$;
COMMENT ON FUNCTION subscription_filter(text, text[]) IS 'calls or kinds of a subscription as they are stored';

CREATE FUNCTION check_event_kinds(kinds text[]) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    unknown text;
BEGIN
    SELECT u INTO unknown
      FROM unnest(check_event_kinds.kinds) AS u
     WHERE NOT EXISTS (SELECT FROM mulberry.event_kinds() k WHERE k.event = u AND k.delivery <> 'control')
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'cannot subscribe to events of the kind "%"', unknown
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('Allowed are %s.',
                                  (SELECT string_agg(k.event, ', ') FROM mulberry.event_kinds() k WHERE k.delivery <> 'control')),
                  HINT = format('What is about the subscription itself comes always: %s.',
                                (SELECT string_agg(k.event, ', ') FROM mulberry.event_kinds() k WHERE k.delivery = 'control'));
    END IF;
END
$$;
COMMENT ON FUNCTION check_event_kinds(text[]) IS 'an error (22023) unless each is an event that subscribers may ask for';

-- Nobody waits for it, nor does it wait: what somebody holds goes with the session.
CREATE FUNCTION drop_own_channels(channels text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    gone text[] := ARRAY(SELECT c.channel FROM mulberry_internal.event_channels c
                          WHERE c.channel = ANY (drop_own_channels.channels) AND c.listener IS NOT NULL
                          ORDER BY c.channel FOR UPDATE SKIP LOCKED);
BEGIN
    IF gone <> '{}' THEN
        DELETE FROM mulberry_internal.event_channels c WHERE c.channel = ANY (gone);
        DELETE FROM mulberry_internal.channel_listeners l WHERE l.channel = ANY (gone);
    END IF;
END
$$;
COMMENT ON FUNCTION drop_own_channels(text[]) IS 'takes channels out of use whose only listener has left';

-- The channels of the session for some of the events of these tenants, made where they are missing; null when one was taken
-- away meanwhile.
CREATE FUNCTION own_channels(targets uuid[], calls text[], kinds text[]) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    chosen text[];
BEGIN
    -- of an earlier transaction, and given up since: by UNLISTEN, or DISCARD ALL of a pooler between two clients
    PERFORM mulberry_internal.drop_own_channels(ARRAY(
        SELECT c.channel FROM mulberry_internal.event_channels c
         WHERE c.listener = pg_backend_pid() AND c.created_at < now()
           AND c.channel NOT IN (SELECT pg_listening_channels())));
    INSERT INTO mulberry_internal.event_channels (tenant, channel, listener, calls, kinds)
    SELECT wanted, 'mulberry_' || replace(gen_random_uuid()::text, '-', ''), pg_backend_pid(), own_channels.calls, own_channels.kinds
      FROM unnest(targets) AS wanted
     WHERE NOT EXISTS (SELECT FROM mulberry_internal.event_channels c
                        WHERE c.tenant = wanted AND c.listener = pg_backend_pid()
                          AND c.calls IS NOT DISTINCT FROM own_channels.calls AND c.kinds IS NOT DISTINCT FROM own_channels.kinds);
    IF (SELECT count(*) FROM mulberry_internal.event_channels c WHERE c.listener = pg_backend_pid()) > 1000 THEN
        RAISE EXCEPTION 'a session may have at most 1000 subscriptions with a filter, one a tenant'
            USING ERRCODE = 'program_limit_exceeded',
                  HINT = 'Name the tenant, several calls in one subscription, or call unsubscribe() first.';
    END IF;
    chosen := ARRAY(SELECT c.channel FROM mulberry_internal.event_channels c
                     WHERE c.tenant = ANY (targets) AND c.listener = pg_backend_pid()
                       AND c.calls IS NOT DISTINCT FROM own_channels.calls AND c.kinds IS NOT DISTINCT FROM own_channels.kinds);
    RETURN CASE WHEN cardinality(chosen) = cardinality(targets) THEN chosen END;
END
$$;
COMMENT ON FUNCTION own_channels(uuid[], text[], text[]) IS 'channels of this session alone, for what it wants to hear of each tenant';

-- The channels for all events of these tenants, made where they are missing; null likewise.
CREATE FUNCTION shared_channels(targets uuid[]) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    chosen text[];
BEGIN
    INSERT INTO mulberry_internal.event_channels (tenant, channel)
    SELECT wanted, 'mulberry_' || replace(gen_random_uuid()::text, '-', '')
      FROM unnest(targets) AS wanted
     WHERE NOT EXISTS (SELECT FROM mulberry_internal.event_channels c WHERE c.tenant = wanted AND c.listener IS NULL);
    -- one for each tenant, that on which the session listens already, if any
    chosen := ARRAY(SELECT DISTINCT ON (c.tenant) c.channel
                      FROM mulberry_internal.event_channels c
                     WHERE c.tenant = ANY (targets) AND c.listener IS NULL
                     ORDER BY c.tenant, c.channel IN (SELECT r FROM mulberry_internal.remembered_channels() AS r) DESC,
                              c.created_at, c.channel);
    RETURN CASE WHEN cardinality(chosen) = cardinality(targets) THEN chosen END;
END
$$;
COMMENT ON FUNCTION shared_channels(uuid[]) IS 'channels on which all events of each tenant are sent';

CREATE FUNCTION mulberry.subscribe(calls text[] DEFAULT NULL, kinds text[] DEFAULT NULL, tenant text DEFAULT NULL)
RETURNS SETOF mulberry.subscription
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    targets uuid[];
    chosen  text[];
BEGIN
    PERFORM mulberry_internal.check_texts('tenant', subscribe.tenant, 'calls', subscribe.calls::text, 'kinds', subscribe.kinds::text);
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'cannot subscribe during recovery'
            USING ERRCODE = 'read_only_sql_transaction',
                  HINT = 'Subscribe on the primary, or poll events_since() here.';
    END IF;
    subscribe.calls := mulberry_internal.subscription_filter('calls', subscribe.calls);
    subscribe.kinds := mulberry_internal.subscription_filter('kinds', subscribe.kinds);
    PERFORM mulberry_internal.check_event_kinds(subscribe.kinds);
    -- No row is locked: revoke_access() must not wait for whom it revokes.  Should it take a channel away before
    -- we listen to it, the notifier finds our row of channel_listeners and sends the last word again.
    LOOP
        IF subscribe.tenant IS NULL THEN
            targets := mulberry.current_tenants('supervisor');
        END IF;
        IF subscribe.tenant IS NOT NULL OR targets = '{}' THEN
            targets := ARRAY[mulberry_internal.resolve_tenant(subscribe.tenant, 'supervisor')];
        END IF;
        chosen := CASE WHEN subscribe.calls IS NULL AND subscribe.kinds IS NULL THEN mulberry_internal.shared_channels(targets)
                       ELSE mulberry_internal.own_channels(targets, subscribe.calls, subscribe.kinds) END;
        EXIT WHEN chosen IS NOT NULL;
    END LOOP;
    -- names that a revoke_access() has taken out of use
    PERFORM mulberry_internal.unlisten_channel(old)
       FROM mulberry_internal.remembered_channels() AS old
      WHERE NOT EXISTS (SELECT FROM mulberry_internal.event_channels c WHERE c.channel = old);
    INSERT INTO mulberry_internal.channel_listeners (channel, tenant, role)
    SELECT c.channel, c.tenant, r
      FROM mulberry_internal.event_channels c, mulberry_internal.caller_roles() AS r
     WHERE c.channel = ANY (chosen);
    PERFORM mulberry_internal.listen_channel(c) FROM unnest(chosen) AS c;
    IF NOT mulberry.notifier_lives() THEN
        RAISE WARNING 'no notifier serves this database, so no events are sent'
            USING HINT = 'Add mulberry to shared_preload_libraries and the database to mulberry.databases, or poll events_since().';
    END IF;
    IF mulberry_internal.looks_pooled() THEN
        RAISE WARNING 'this session seems to belong to a connection pooler, which may keep its events from who subscribes'
            USING DETAIL = 'Its application_name was set after it began. Events come to a session; a pooler of transactions drops what '
                           'comes while no client uses that session, and may give it to another.',
                  HINT = 'Subscribe by a connection of its own, or one whose pool_mode is session; or poll events_since().';
    END IF;

    RETURN QUERY
        SELECT t.name, c.channel, coalesce(n.last_seq, 0), pg_backend_pid()
          FROM mulberry_internal.event_channels c
          JOIN mulberry_internal.tenants t ON t.id = c.tenant
          LEFT JOIN mulberry_internal.event_counters n ON n.tenant = c.tenant
         WHERE c.channel = ANY (chosen)
         ORDER BY t.name;
END
$$;
COMMENT ON FUNCTION mulberry.subscribe(text[], text[], text) IS
    'puts the session on LISTEN for the events of a tenant (null: all that the role may hear) from its commit on, and says where they '
    'come and what their last number is: what came before, and whatever is missed, is in events_since(). calls: only events about these '
    'calls, which need not have begun; kinds: only these events, see event_kinds(). Subscriptions of a session add up. On a message '
    '"resubscribe" call it again; on "resync" read the state anew. Needs a session of its own, which a pooler of transactions does not '
    'give, and supervisor access';

CREATE FUNCTION mulberry.unsubscribe() RETURNS void
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM mulberry_internal.unlisten_channel(known.channel)
      FROM (SELECT mulberry_internal.remembered_channels() AS channel
            UNION
            SELECT l FROM pg_listening_channels() AS l WHERE l ~ '^mulberry_[0-9a-f]{32}$') AS known;
    IF NOT current_setting('transaction_read_only')::boolean THEN
        PERFORM mulberry_internal.drop_own_channels(ARRAY(
            SELECT c.channel FROM mulberry_internal.event_channels c WHERE c.listener = pg_backend_pid()));
    END IF;
END
$$;
COMMENT ON FUNCTION mulberry.unsubscribe() IS 'takes back every subscribe() of this session';

-- The channel is gone with its row; the next subscribe() makes another one.
CREATE FUNCTION retire_channels(channels text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    old record;
BEGIN
    IF channels = '{}' THEN
        RETURN;     -- a statement without rows would have the notifier look again, too
    END IF;
    FOR old IN
        DELETE FROM mulberry_internal.event_channels c WHERE c.channel = ANY (channels) RETURNING c.channel, c.tenant
    LOOP
        PERFORM mulberry_internal.say_resubscribe(old.channel, old.tenant);
    END LOOP;
    DELETE FROM mulberry_internal.channel_listeners l WHERE l.channel = ANY (channels);
END
$$;
COMMENT ON FUNCTION retire_channels(text[]) IS 'takes channels out of use; who may still hear their tenants is told to subscribe() again';

CREATE FUNCTION say_resubscribe(channel text, tenant uuid) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
    SELECT pg_notify($1, json_build_object('event', 'resubscribe',
                                           'time', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                                           'tenant', (SELECT t.name FROM mulberry_internal.tenants t WHERE t.id = $2))::text)
$$;
COMMENT ON FUNCTION say_resubscribe(text, uuid) IS 'the last word on a channel that is taken out of use';

-- Who hears all tenants listens to the oldest channel that is shared, whatever else he hears, or to one of his own. Nothing is taken out of
-- use: who hears one tenant alone subscribes to it anew, and gets the channel that he has.
CREATE FUNCTION tell_of_tenant() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM mulberry_internal.say_resubscribe(one.channel, one.tenant)
       FROM (SELECT DISTINCT ON (c.listener) c.channel, c.tenant FROM mulberry_internal.event_channels c
              ORDER BY c.listener, c.created_at, c.channel) AS one;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tell_of_tenant() IS 'trigger: has those subscribe again who hear all tenants, and so do not hear a new one yet';
CREATE TRIGGER tell_of_tenant AFTER INSERT ON tenants FOR EACH STATEMENT EXECUTE FUNCTION tell_of_tenant();

CREATE FUNCTION rotate_channels(tenant uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM mulberry_internal.retire_channels(ARRAY(
        SELECT c.channel FROM mulberry_internal.event_channels c
         WHERE c.listener IS NULL AND (rotate_channels.tenant IS NULL OR c.tenant = rotate_channels.tenant)));
    -- one that its only listener is giving up is not waited for: should he keep it after all, the notifier knows who he is
    PERFORM mulberry_internal.retire_channels(ARRAY(
        SELECT c.channel FROM mulberry_internal.event_channels c
         WHERE c.listener IS NOT NULL AND (rotate_channels.tenant IS NULL OR c.tenant = rotate_channels.tenant)
         ORDER BY c.channel FOR UPDATE SKIP LOCKED));
END
$$;
COMMENT ON FUNCTION rotate_channels(uuid) IS
    'gives a tenant (null: all) a new channel; who may still hear it is told to subscribe() again (internal)';

-- revoke_access() is not the only way to lose access: a role may be taken out of
-- the group that has it, or dropped.  And it does not see who is about to subscribe.
CREATE FUNCTION lost_channels() RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
    WITH hearing AS MATERIALIZED (
        SELECT a AS access FROM unnest(mulberry_internal.access_names()) AS a
         WHERE 'supervisor' = ANY (mulberry_internal.access_includes(a))
    )
    SELECT c.channel FROM mulberry_internal.event_channels c
     WHERE EXISTS (
           SELECT FROM (SELECT DISTINCT l.role FROM mulberry_internal.channel_listeners l WHERE l.channel = c.channel) AS told
            WHERE NOT EXISTS (SELECT FROM pg_roles r
                               WHERE r.oid = told.role
                                 AND pg_has_role(r.oid, (SELECT t.relowner FROM pg_class t
                                                          WHERE t.oid = 'mulberry_internal.members'::regclass), 'USAGE'))
              AND NOT EXISTS (SELECT FROM pg_roles r
                                JOIN mulberry_internal.members m ON pg_has_role(r.oid, m.role::oid, 'USAGE')
                               WHERE r.oid = told.role AND m.access IN (SELECT access FROM hearing)
                                 AND (m.tenant = c.tenant OR m.tenant IS NULL)))
$$;
COMMENT ON FUNCTION lost_channels() IS 'channels that a role knows which may not hear them any more; nothing is sent on them (internal)';

-- Waits for nobody: what somebody holds is looked at again when he has finished.
CREATE FUNCTION rotate_lost_channels() RETURNS void
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    dead record;
BEGIN
    PERFORM mulberry_internal.retire_channels(ARRAY(
        SELECT c.channel FROM mulberry_internal.event_channels c
         WHERE c.channel IN (SELECT mulberry_internal.lost_channels())
         ORDER BY c.channel FOR UPDATE SKIP LOCKED));
    PERFORM mulberry_internal.drop_own_channels(ARRAY(
        SELECT c.channel FROM mulberry_internal.event_channels c
         WHERE c.listener IS NOT NULL AND NOT mulberry_internal.session_lives(c.listener)));
    -- who listens to a channel that was gone before its commit, and what was said more than once
    FOR dead IN
        WITH over AS (
            SELECT l.id, e.channel IS NULL AS dead
              FROM mulberry_internal.channel_listeners l
              LEFT JOIN mulberry_internal.event_channels e ON e.channel = l.channel
             WHERE e.channel IS NULL
                OR EXISTS (SELECT FROM mulberry_internal.channel_listeners o
                            WHERE o.channel = l.channel AND o.role = l.role AND o.id < l.id)
               FOR UPDATE OF l SKIP LOCKED
        ), gone AS (
            DELETE FROM mulberry_internal.channel_listeners l USING over o WHERE l.id = o.id
            RETURNING l.channel, l.tenant, o.dead
        )
        SELECT DISTINCT g.channel, g.tenant FROM gone g WHERE g.dead
    LOOP
        PERFORM mulberry_internal.say_resubscribe(dead.channel, dead.tenant);
    END LOOP;
END
$$;
COMMENT ON FUNCTION rotate_lost_channels() IS
    'gives new channels to the tenants whose channel is known to a role that may not hear them any more, and takes those out of use whose '
    'session has ended; the notifier calls it when somebody has subscribed, or rights have changed (internal)';

CREATE FUNCTION notifier_channels()
RETURNS TABLE (tenant uuid, name text, channel text, listener integer, calls text[], kinds text[], last_seq bigint)
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT t.id, t.name, c.channel, coalesce(c.listener, 0), c.calls, c.kinds, coalesce(n.last_seq, 0)
          FROM mulberry_internal.event_channels c
          JOIN mulberry_internal.tenants t ON t.id = c.tenant
          LEFT JOIN mulberry_internal.event_counters n ON n.tenant = c.tenant
         WHERE c.channel NOT IN (SELECT mulberry_internal.lost_channels());
END
$$;
COMMENT ON FUNCTION notifier_channels() IS
    'where the notifier sends the events of each tenant, who alone listens there (0: all), what he wants, and the last number (internal)';

-- src/events/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE FUNCTION access_rules_events() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('subscribe', 'EXECUTE', 'supervisor'),
    ('unsubscribe', 'EXECUTE', 'supervisor'),
    ('events_since', 'EXECUTE', 'supervisor auditor'),
    ('event_kinds', 'EXECUTE', 'supervisor auditor'),
    ('event_fields', 'EXECUTE', 'supervisor auditor'),
    ('number_events', 'EXECUTE', 'worker'),
    ('number_events_singly', 'EXECUTE', 'worker'),
    ('notifier_channels', 'EXECUTE', 'worker'),
    ('rotate_lost_channels', 'EXECUTE', 'worker'),
    ('purge_events', 'EXECUTE', 'worker')
$$;
COMMENT ON FUNCTION access_rules_events() IS 'which access needs which object of events';

-- src/calls/ingest.sql
CREATE FUNCTION mulberry.ingest_packet(
    call_id        text,
    sequence       bigint,
    data           bytea,
    sent_at        timestamptz DEFAULT NULL,
    encoding       text DEFAULT NULL,
    sample_rate    integer DEFAULT NULL,
    tenant         text DEFAULT NULL,
    track          text DEFAULT NULL,
    counter_bits   integer DEFAULT NULL,
    first_sequence bigint DEFAULT NULL
) RETURNS packet_result
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_ingest_packet';
COMMENT ON FUNCTION mulberry.ingest_packet(text, bigint, bytea, timestamptz, text, integer, text, text, integer, bigint) IS
    'takes one packet of a track of a call; both begin with their first packet. track null: the call''s first. Encoding and sample rate '
    'null: the track''s, for a new track the call''s, for a new call its tenant''s default. first_sequence is what the sender begins to '
    'count at (null: 0). A counter of 16 or 32 counter_bits begins anywhere and wraps: each number is taken for the one nearest to the '
    'expected one, and answers and views tell it unwrapped';

CREATE FUNCTION mulberry.ingest_packets(
    call_ids       text[],
    sequences      bigint[],
    data           bytea[],
    sent_at        timestamptz[] DEFAULT NULL,
    encoding       text DEFAULT NULL,
    sample_rate    integer DEFAULT NULL,
    tenant         text DEFAULT NULL,
    tracks         text[] DEFAULT NULL,
    counter_bits   integer DEFAULT NULL
) RETURNS SETOF batch_result
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 50 AS 'MODULE_PATHNAME', 'mulberry_ingest_packets';
COMMENT ON FUNCTION mulberry.ingest_packets(text[], bigint[], bytea[], timestamptz[], text, integer, text, text[], integer) IS
    'takes packets of several calls; one row each, in the order of the arrays. tracks has one element for each, or one for all. A track''s '
    'packets are taken by sequence, those of a counter in the order of the arrays. A bad packet is a row with status error, a malformed '
    'array fails the batch';

CREATE FUNCTION ingest_packets_of(
    call_ids text[], sequences bigint[], data bytea[], sent_at timestamptz[], encoding text, sample_rate integer, owner uuid,
    tracks text[] DEFAULT NULL, counter_bits integer DEFAULT NULL
) RETURNS SETOF batch_result
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 50 AS 'MODULE_PATHNAME', 'mulberry_ingest_packets_of';
COMMENT ON FUNCTION ingest_packets_of(text[], bigint[], bytea[], timestamptz[], text, integer, uuid, text[], integer) IS
    'ingest_packets() for a tenant by its id: whoever calls it has looked who asks (internal)';

CREATE FUNCTION complete_call_of(call_id text, total_packets integer, owner uuid, track text, totals jsonb)
RETURNS completion_result
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_complete_call_of';
COMMENT ON FUNCTION complete_call_of(text, integer, uuid, text, jsonb) IS
    'complete_call() for a tenant by its id: whoever calls it has looked who asks (internal)';

CREATE FUNCTION mulberry.complete_call(
    call_id        text,
    total_packets  integer DEFAULT NULL,
    tenant         text DEFAULT NULL,
    track          text DEFAULT NULL,
    totals         jsonb DEFAULT NULL
) RETURNS completion_result
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_complete_call';
COMMENT ON FUNCTION mulberry.complete_call(text, integer, text, text, jsonb) IS
    'the sender has sent everything in a track (null: the first), or in those that totals names with their numbers, {"caller": 1200, '
    '"agent": 0}. When all tracks are complete the call is COMPLETED and transcribed after mulberry.grace_period, at once when nothing is '
    'missing. Said again with the same total it answers the same';

-- src/calls/processing.sql
CREATE FUNCTION complete_silent_call(call bigint, silent_since timestamptz) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_complete_silent_call';
COMMENT ON FUNCTION complete_silent_call(bigint, timestamptz) IS
    'internal: completes a call in progress for which nothing has come since then; false when that is not so or the call is busy';

CREATE FUNCTION advance_transcription(call bigint) RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
    -- a job that is locked has been claimed; waiting for it under the call lock could deadlock
    UPDATE mulberry_internal.job_queue q SET run_at = clock_timestamp()
     WHERE q.id = (SELECT j.id FROM mulberry_internal.job_queue j
                    WHERE j.call = $1 AND j.kind = 'transcribe' AND j.state = 'queued' AND j.run_at > clock_timestamp()
                      AND j.attempts = 0
                      FOR UPDATE SKIP LOCKED)
$$;
COMMENT ON FUNCTION advance_transcription(bigint) IS
    'internal: makes the first transcription of a call due now, because nothing is missing any more';

CREATE FUNCTION lock_call(call bigint) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_lock_call_sql';
COMMENT ON FUNCTION lock_call(bigint) IS 'internal: takes the lock of a call until the end of the transaction';

CREATE FUNCTION call_locks_left() RETURNS integer
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_call_locks_left_sql';
COMMENT ON FUNCTION call_locks_left() IS
    'internal: how many more calls this transaction may lock (mulberry.max_batch_calls); what locks one after the other ends before the '
    'next when it is 0';

CREATE FUNCTION require_call_locks() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_require_call_locks_sql';
COMMENT ON FUNCTION require_call_locks() IS
    'internal: 54000 when this transaction may lock no further call, so that nobody takes it for being done';

CREATE FUNCTION lock_call_soon(call bigint) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
BEGIN
    PERFORM mulberry_internal.limit_waits();
    PERFORM mulberry_internal.lock_call(call);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    PERFORM mulberry_internal.blocked();
    RETURN false;
END
$$;
COMMENT ON FUNCTION lock_call_soon(bigint) IS
    'internal: takes the lock of a call until the end of the transaction; false when another transaction keeps it for longer than one '
    'that commits';

CREATE FUNCTION start_processing(call bigint) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_start_processing';
COMMENT ON FUNCTION start_processing(bigint) IS
    'internal: COMPLETED to PROCESSING_AI, from where a call takes no more packets; true when it is in that state now';

CREATE FUNCTION finish_call(call bigint, transcription text, sentiment text, confidence double precision, ai_result jsonb)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_finish_call';
COMMENT ON FUNCTION finish_call(bigint, text, text, double precision, jsonb) IS
    'internal: PROCESSING_AI to ARCHIVED with its result, to which what was missing is added; false when the call is gone';

CREATE FUNCTION fail_call(call bigint, reason text) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_fail_call';
COMMENT ON FUNCTION fail_call(bigint, text) IS
    'internal: PROCESSING_AI to FAILED; false when the call is gone';

CREATE FUNCTION reopen_call(call bigint) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_reopen_call';
COMMENT ON FUNCTION reopen_call(bigint) IS
    'internal, for retry_job(): FAILED to PROCESSING_AI, with an event that names the role; false when the call is gone';

CREATE FUNCTION make_partition(day date) RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_make_partition_sql';
COMMENT ON FUNCTION make_partition(date) IS
    'internal: makes the partition of packets for calls that begin on that day (UTC); false when it exists';

-- src/calls/sentiment.sql
-- Sentiment by a word list: the default, when no chat endpoint is configured.
CREATE FUNCTION mulberry.sentiment(
    text,
    OUT sentiment text, OUT confidence double precision, OUT score double precision,
    OUT positive double precision, OUT negative double precision, OUT words integer, OUT hits integer
) LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_sentiment';
COMMENT ON FUNCTION mulberry.sentiment(text) IS
    'sentiment of an English text by AFINN-165 and the words of telephone calls: positive, neutral or negative; score from -1 to 1, '
    'neutral between -0.25 and 0.25; confidence from 0.5 to 1 by distance from the threshold and number of words, 0 for a text without '
    'words; positive and negative are the sums behind the score, hits the words that carried them';

-- src/calls/ai.sql
-- Input and results of the AI kinds; requests and answers are in src/worker, a file a kind of service.

CREATE FUNCTION next_track(call bigint, after integer) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
    SELECT min(t.number) FROM mulberry_internal.all_tracks t
     WHERE t.call = $1 AND t.number > $2 AND EXISTS (SELECT FROM mulberry_internal.packets p WHERE p.call = t.id)
$$;
COMMENT ON FUNCTION next_track(bigint, integer) IS
    'the number of the next track of a call, behind that number, in which anything was sent; null: there is none (internal)';

CREATE FUNCTION track_of_job(j job_queue) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT coalesce((j.payload->>'track')::integer, mulberry_internal.next_track(j.call, -1), 0)
$$;
COMMENT ON FUNCTION track_of_job(job_queue) IS
    'which track a job of kind transcribe is about: what its payload says, or the first (internal)';

CREATE FUNCTION transcription_input(call bigint, track integer DEFAULT NULL,
    OUT call_id text, OUT encoding text, OUT sample_rate integer, OUT audio bytea, OUT content text, OUT facts jsonb)
LANGUAGE c VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS 'MODULE_PATHNAME', 'mulberry_transcription_input';
COMMENT ON FUNCTION transcription_input(bigint, integer) IS
    'what is transcribed of a track of a call (null: the first in which anything was sent): audio as WAV (PCM16, gaps as silence), or the '
    'content of a text call; both null when it has no packets';

CREATE FUNCTION read_transcription(kind text, answer jsonb, seconds double precision DEFAULT 60,
    OUT transcription text, OUT sentiment text, OUT confidence double precision, OUT language text,
    OUT dropped_segments integer, OUT ignored text, OUT segments jsonb)
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'mulberry_read_transcription';
COMMENT ON FUNCTION read_transcription(text, jsonb, double precision) IS
    'what a worker makes of an answer of a transcription endpoint of this kind to so many seconds of audio: segments that the model '
    'itself takes for silence are dropped and counted, what cannot be used is named, times that cannot be right are mended; 08P01 when it '
    'is not of the endpoint''s form. For whoever sets up a service (internal)';

CREATE FUNCTION read_sentiment(answer jsonb, OUT sentiment text, OUT confidence double precision)
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'mulberry_read_sentiment_sql';
COMMENT ON FUNCTION read_sentiment(jsonb) IS
    'what a worker makes of the answer of a chat endpoint, in which JSON may be wrapped in prose or fences (08P01 when it is not of that '
    'form, P0002 when the model refused). For whoever sets up a service (internal)';

CREATE FUNCTION finish_transcription(job bigint, token bigint, transcription text, sentiment text,
                                     confidence double precision, facts jsonb) RETURNS boolean
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    j        mulberry_internal.job_queue;
    track    integer;
    upcoming integer;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    j := mulberry_internal.leased_job(job, token);
    IF j.id IS NULL THEN
        RETURN false;
    END IF;
    facts := facts || jsonb_strip_nulls(jsonb_build_object(
        'attempts', j.attempts,
        'endpoint', (SELECT e.name FROM mulberry_internal.endpoints e WHERE e.id = j.route)));
    PERFORM mulberry_internal.settle_job(job, 'done', NULL);
    IF NOT mulberry_internal.start_processing(j.call) THEN
        RETURN false;
    END IF;
    track := mulberry_internal.track_of_job(j);
    PERFORM mulberry_internal.require_segments(j.call, track, transcription);
    -- each track has a job of its own, one after the other; the last one has the whole
    upcoming := mulberry_internal.next_track(j.call, track);
    IF upcoming IS NOT NULL OR j.payload ? 'earlier' THEN
        facts := jsonb_build_object('tracks', coalesce(j.payload->'earlier', '[]') || jsonb_build_array(facts || jsonb_build_object(
            'track', (SELECT t.name FROM mulberry_internal.all_tracks t WHERE t.call = j.call AND t.number = track))));
        IF upcoming IS NOT NULL THEN
            PERFORM mulberry_internal.enqueue_job('transcribe', j.tenant, j.call, j.endpoint,
                jsonb_build_object('track', upcoming, 'earlier', facts->'tracks'));
            RETURN true;
        END IF;
        transcription := coalesce((SELECT string_agg(t.text, E'\n') FROM mulberry_internal.turns(j.call) AS t), '');
        sentiment := NULL;
        confidence := NULL;
    END IF;
    IF sentiment IS NULL AND transcription <> ''
       AND mulberry_internal.endpoint_for(j.tenant, mulberry.job_purpose('sentiment')) IS NOT NULL THEN
        PERFORM mulberry_internal.enqueue_job('sentiment', j.tenant, j.call, NULL,
            jsonb_build_object('transcription', transcription, 'facts', facts));
        RETURN true;
    END IF;
    IF sentiment IS NULL THEN
        SELECT s.sentiment, s.confidence INTO sentiment, confidence
          FROM mulberry.sentiment(transcription) AS s;
        facts := facts || jsonb_build_object('sentiment', jsonb_build_object('engine', 'lexicon'));
    END IF;
    PERFORM mulberry_internal.finish_call(j.call, transcription, sentiment, confidence, facts);
    RETURN true;
END
$$;
COMMENT ON FUNCTION finish_transcription(bigint, bigint, text, text, double precision, jsonb) IS
    'stores a transcript and finishes its job; without a sentiment, asks the chat endpoint or else the lexicon; false when the token is '
    'no longer the job''s or the call is gone';

CREATE FUNCTION finish_sentiment(job bigint, token bigint, sentiment text, confidence double precision,
                                 model text, request_id text, request_ms integer) RETURNS boolean
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    j mulberry_internal.job_queue;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    j := mulberry_internal.leased_job(job, token);
    IF j.id IS NULL THEN
        RETURN false;
    END IF;
    PERFORM mulberry_internal.settle_job(job, 'done', NULL);
    RETURN mulberry_internal.start_processing(j.call) AND mulberry_internal.finish_call(j.call, j.payload->>'transcription', sentiment,
        confidence,
        (j.payload->'facts') || jsonb_build_object('sentiment', jsonb_strip_nulls(jsonb_build_object(
            'engine', 'chat', 'endpoint', (SELECT e.name FROM mulberry_internal.endpoints e WHERE e.id = j.route),
            'model', model, 'attempts', j.attempts, 'request_id', request_id, 'request_ms', request_ms))));
END
$$;
COMMENT ON FUNCTION finish_sentiment(bigint, bigint, text, double precision, text, text, integer) IS
    'stores a transcript with the sentiment that a chat endpoint found, and finishes the job; false when the token is no longer the '
    'job''s or the call is gone';

-- A transcript that is there is worth more than a sentiment that is not.
CREATE FUNCTION finish_without_chat(job job_queue, error text) RETURNS void
LANGUAGE sql
AS $$
    SELECT mulberry_internal.finish_call((job).call, (job).payload->>'transcription', s.sentiment, s.confidence,
               ((job).payload->'facts') || jsonb_build_object('sentiment', jsonb_strip_nulls(jsonb_build_object(
                   'engine', 'lexicon', 'endpoint', (SELECT e.name FROM mulberry_internal.endpoints e WHERE e.id = (job).route),
                   'error', error))))
      FROM mulberry.sentiment((job).payload->>'transcription') AS s
$$;
COMMENT ON FUNCTION finish_without_chat(job_queue, text) IS
    'stores the transcript of a call whose sentiment no chat endpoint would judge, with the lexicon''s sentiment and the error; the call '
    'is in PROCESSING_AI (internal)';

-- src/calls/segments.sql
-- What was said when: segments of an engine's answers, as workers store and users read them.

CREATE FUNCTION put_segments(call bigint, track integer, part integer, segments jsonb) RETURNS void
LANGUAGE sql AS $$
    -- the first part begins the track anew: there may be what an earlier job left
    DELETE FROM mulberry_internal.segments s WHERE s.call = $1 AND s.track = $2 AND $3 = 0;
    INSERT INTO mulberry_internal.segments (call, track, number, speaker, start_ms, end_ms, text, confidence, sentiment,
                                            sentiment_confidence, words)
    SELECT $1, $2, before.n + e.place - 1, e.segment->>'speaker', (e.segment->>'start_ms')::integer, (e.segment->>'end_ms')::integer,
           e.segment->>'text', (e.segment->>'confidence')::double precision, f.sentiment, f.confidence, e.segment->'words'
      FROM (SELECT coalesce(max(s.number) + 1, 0) AS n FROM mulberry_internal.segments s WHERE s.call = $1 AND s.track = $2) AS before
           CROSS JOIN jsonb_array_elements($4) WITH ORDINALITY AS e (segment, place)
           CROSS JOIN LATERAL mulberry.sentiment(e.segment->>'text') AS f
$$;
COMMENT ON FUNCTION put_segments(bigint, integer, integer, jsonb) IS
    'stores the segments of a part of a track behind those of the parts before it, each with its sentiment by the lexicon (internal)';

CREATE FUNCTION keep_segments(job bigint, token bigint, part integer, segments jsonb) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    j mulberry_internal.job_queue;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    j := mulberry_internal.leased_job(job, token);
    IF j.call IS NOT NULL THEN
        PERFORM mulberry_internal.put_segments(j.call, mulberry_internal.track_of_job(j), part, segments);
    END IF;
END
$$;
COMMENT ON FUNCTION keep_segments(bigint, bigint, integer, jsonb) IS
    'stores when it was said what an engine heard in a part of a call; nothing when the token is no longer the job''s';

CREATE FUNCTION require_segments(call bigint, track integer, transcription text) RETURNS void
LANGUAGE sql AS $$
    SELECT mulberry_internal.put_segments($1, $2, 0, jsonb_build_array(jsonb_build_object('text', $3)))
     WHERE $3 <> '' AND NOT EXISTS (SELECT FROM mulberry_internal.segments s WHERE s.call = $1 AND s.track = $2)
$$;
COMMENT ON FUNCTION require_segments(bigint, integer, text) IS
    'makes a transcript of a track without segments one segment, without times (internal)';

CREATE FUNCTION find_call(owner uuid, call_id text) RETURNS mulberry_internal.calls
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found_call mulberry_internal.calls;
BEGIN
    IF call_id IS NULL THEN
        RAISE EXCEPTION 'call id must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT c.* INTO found_call FROM mulberry_internal.calls c WHERE c.tenant = owner AND c.call_id = find_call.call_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'call "%" does not exist', call_id USING ERRCODE = 'undefined_object';
    END IF;
    RETURN found_call;
END
$$;
COMMENT ON FUNCTION find_call(uuid, text) IS 'a call of a tenant by its name; 42704 when there is none (internal)';

CREATE FUNCTION segments_in_time(call bigint)
RETURNS TABLE (track text, speaker text, start_ms integer, end_ms integer, text text, confidence double precision,
               sentiment text, sentiment_confidence double precision, words jsonb)
LANGUAGE plpgsql STABLE ROWS 100 AS $$
DECLARE
    place jsonb;
BEGIN
    -- most calls have one track, whose time is that of call_audio()
    IF NOT EXISTS (SELECT FROM mulberry_internal.tracks t WHERE t.call = segments_in_time.call) THEN
        RETURN QUERY
            SELECT nullif(c.track, 'main'), s.speaker, s.start_ms, s.end_ms, s.text, s.confidence, s.sentiment,
                   s.sentiment_confidence, s.words
              FROM mulberry_internal.segments s
              JOIN mulberry_internal.calls c ON c.id = s.call
             WHERE s.call = segments_in_time.call
             ORDER BY s.start_ms, s.number;
        RETURN;
    END IF;
    -- from which place of a track on how much later it was in the call
    SELECT coalesce(jsonb_object_agg(t.track, t.places), '{}') INTO place
      FROM (SELECT p.track, jsonb_agg(jsonb_build_array(p.place_ms, p.time_ms - p.place_ms) ORDER BY p.place_ms DESC) AS places
              FROM mulberry_internal.track_times(segments_in_time.call) AS p GROUP BY p.track) AS t;
    RETURN QUERY
        SELECT k.name, s.speaker, (s.start_ms + later.ms)::integer, (s.end_ms + later.ms)::integer, s.text, s.confidence,
               s.sentiment, s.sentiment_confidence,
               CASE WHEN later.ms = 0 OR s.words IS NULL THEN s.words
                    ELSE (SELECT jsonb_agg(w.word || jsonb_strip_nulls(jsonb_build_object(
                                     'start_ms', (w.word->>'start_ms')::integer + later.ms,
                                     'end_ms', (w.word->>'end_ms')::integer + later.ms)) ORDER BY w.n)
                            FROM jsonb_array_elements(s.words) WITH ORDINALITY AS w (word, n)) END
          FROM mulberry_internal.segments s
          JOIN mulberry_internal.all_tracks k ON k.call = s.call AND k.number = s.track
          CROSS JOIN LATERAL (SELECT coalesce((SELECT (a.e->>1)::bigint FROM jsonb_array_elements(place->(k.id::text)) AS a (e)
                                                WHERE (a.e->>0)::bigint <= s.start_ms ORDER BY (a.e->>0)::bigint DESC LIMIT 1),
                                              0) AS ms) AS later
         WHERE s.call = segments_in_time.call
         ORDER BY 3, s.track, s.number;
END
$$;
COMMENT ON FUNCTION segments_in_time(bigint) IS
    'the segments of a call, by their begin in the time of all its tracks; a track that is called main and the only one has no name '
    '(internal)';

CREATE FUNCTION mulberry.call_segments(call_id text, tenant text DEFAULT NULL)
RETURNS TABLE (track text, speaker text, start_ms integer, end_ms integer, text text, confidence double precision,
               sentiment text, sentiment_confidence double precision, words jsonb)
LANGUAGE mulberry STABLE ROWS 100 SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', call_segments.call_id);
    RETURN QUERY SELECT s.*
                   FROM mulberry_internal.segments_in_time(
                       (mulberry_internal.find_call(mulberry_internal.resolve_tenant(call_segments.tenant, 'supervisor', 'auditor'),
                                                    call_segments.call_id)).id) AS s;
END
$$;
COMMENT ON FUNCTION mulberry.call_segments(text, text) IS
    'what was said in a call, piece by piece in order of time; times are those of call_audio() '
    'or, of several tracks, of call_audio_stereo(), null for a call of encoding text. '
    'words: [{"word", "start_ms", "end_ms", "confidence"}, ...]; confidence is the engine''s, 0 to 1';

CREATE FUNCTION turns(call bigint) RETURNS TABLE (speaker text, text text, start_ms integer)
LANGUAGE sql STABLE AS $$
    SELECT t.speaker, string_agg(t.text, ' ' ORDER BY t.n), min(t.start_ms)
      FROM (SELECT c.*, count(*) FILTER (WHERE c.changes) OVER (ORDER BY c.n) AS turn
              FROM (SELECT s.n, coalesce(s.speaker, s.track) AS speaker, s.text, s.start_ms,
                           coalesce(s.speaker, s.track) IS DISTINCT FROM lag(coalesce(s.speaker, s.track)) OVER (ORDER BY s.n) AS changes
                      FROM mulberry_internal.segments_in_time($1) WITH ORDINALITY
                           AS s (track, speaker, start_ms, end_ms, text, confidence, sentiment, sentiment_confidence, words, n)) AS c) AS t
     GROUP BY t.turn, t.speaker
     ORDER BY t.turn
$$;
COMMENT ON FUNCTION turns(bigint) IS 'the segments of a call, those of one speaker that follow each other together (internal)';

CREATE FUNCTION mulberry.call_transcript(call_id text, format text DEFAULT 'text', tenant text DEFAULT NULL) RETURNS text
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    c mulberry_internal.calls;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', call_transcript.call_id, 'format', call_transcript.format);
    IF format IS NULL THEN
        RAISE EXCEPTION 'format must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF format NOT IN ('text', 'srt', 'vtt', 'json') THEN
        RAISE EXCEPTION 'unknown format "%" of a transcript', format
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Formats are text, srt, vtt and json.';
    END IF;
    c := mulberry_internal.find_call(mulberry_internal.resolve_tenant(call_transcript.tenant, 'supervisor', 'auditor'),
                                     call_transcript.call_id);
    IF c.transcription IS NULL THEN
        RETURN NULL;
    END IF;
    IF format IN ('srt', 'vtt') AND c.encoding = 'text' THEN
        RAISE EXCEPTION 'call "%" has text and no audio', c.call_id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Its transcript has no times: ask for text or json.';
    END IF;
    CASE format
        WHEN 'text' THEN
            RETURN coalesce((SELECT string_agg(concat_ws(': ', t.speaker, t.text), E'\n') FROM mulberry_internal.turns(c.id) AS t),
                            c.transcription);
        WHEN 'json' THEN
            RETURN jsonb_build_object('call_id', c.call_id, 'text', c.transcription, 'language', c.ai_result->'language',
                'sentiment', c.sentiment, 'confidence', c.confidence,
                'segments', coalesce((SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(s)))
                                        FROM mulberry_internal.segments_in_time(c.id) AS s), '[]'));
        ELSE
            RETURN mulberry_internal.subtitles(c.id, format = 'vtt');
    END CASE;
END
$$;
COMMENT ON FUNCTION mulberry.call_transcript(text, text, text) IS
    'the transcript of a call in order of time: as text, a line a turn with its speaker; as subtitles srt (SubRip) or vtt (WebVTT); or as '
    'json with its segments and words. null: there is none yet';

-- src/calls/subtitles.sql
-- Subtitles: what was said, in pieces as people can read them. A cue has at most two lines of 42 characters and seven seconds.

CREATE FUNCTION subtitle_time(ms integer, separator text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN format('%s:%s:%s%s%s', lpad((ms / 3600000)::text, 2, '0'), lpad((ms / 60000 % 60)::text, 2, '0'),
              lpad((ms / 1000 % 60)::text, 2, '0'), separator, lpad((ms % 1000)::text, 3, '0'));
COMMENT ON FUNCTION subtitle_time(integer, text) IS 'a time as subtitles write it, 00:00:00,000 or 00:00:00.000 (internal)';

-- An engine's words have no punctuation, or are cut elsewhere: letters are counted.
CREATE FUNCTION subtitle_letters(word text) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN length(translate(word, ' .,;:!?-"()', ''));
COMMENT ON FUNCTION subtitle_letters(text) IS 'letters of a word, by which places of a text are found among an engine''s words (internal)';

CREATE FUNCTION subtitle_words(said text, start_ms integer, end_ms integer, words jsonb,
    OUT word text, OUT begins integer, OUT ends integer, OUT is_glued boolean) RETURNS SETOF record
LANGUAGE plpgsql IMMUTABLE ROWS 20 AS $$
DECLARE
    said_letters CONSTANT integer := greatest(mulberry_internal.subtitle_letters(said), 1);
    -- the engine's: how many letters come before each, and its times
    place    integer[];
    starts   integer[];
    stops    integer[];
    all_heard integer;
    piece    record;
    first    double precision;
    last     double precision;
    done     integer := 0;
    k        integer := 1;
BEGIN
    SELECT array_agg(w.before ORDER BY w.n), array_agg(w.start_ms ORDER BY w.n), array_agg(w.end_ms ORDER BY w.n), sum(w.letters)
      INTO place, starts, stops, all_heard
      FROM (SELECT e.n, x.letters, (sum(x.letters) OVER (ORDER BY e.n) - x.letters)::integer AS before,
                   (e.word->>'start_ms')::integer AS start_ms, (e.word->>'end_ms')::integer AS end_ms
              FROM jsonb_array_elements(words) WITH ORDINALITY AS e (word, n)
                   CROSS JOIN LATERAL (SELECT mulberry_internal.subtitle_letters(e.word->>'word') AS letters) AS x) AS w;
    IF all_heard IS NULL OR all_heard = 0 OR array_position(starts, NULL) IS NOT NULL OR array_position(stops, NULL) IS NOT NULL THEN
        -- no times of words: as if it were one
        place := ARRAY[0];
        starts := ARRAY[start_ms];
        stops := ARRAY[end_ms];
        all_heard := said_letters;
    END IF;
    -- what is longer than a line is cut
    FOR piece IN SELECT m[1] AS space, m[2] AS word
                   FROM regexp_matches(said COLLATE "C", '([[:space:]]*)([^[:space:]]{1,42})', 'g') AS m LOOP
        word := piece.word;
        is_glued := piece.space = '';
        first := done::double precision * all_heard / said_letters;
        done := done + mulberry_internal.subtitle_letters(word);
        last := done::double precision * all_heard / said_letters;
        WHILE k < cardinality(place) AND place[k + 1] <= first LOOP
            k := k + 1;
        END LOOP;
        begins := starts[k] + (stops[k] - starts[k]) * least((first - place[k])
                  / greatest(coalesce(place[k + 1], all_heard) - place[k], 1), 1);
        WHILE k < cardinality(place) AND place[k + 1] < last LOOP
            k := k + 1;
        END LOOP;
        ends := greatest(begins, starts[k] + (stops[k] - starts[k]) * least(greatest(last - place[k], 0)
                / greatest(coalesce(place[k + 1], all_heard) - place[k], 1), 1));
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION subtitle_words(text, integer, integer, jsonb) IS
    'the words of a segment with times: those of the engine''s words, or else by their place in the text; glued: without a space before it '
    '(internal)';

CREATE FUNCTION subtitle_lines(words text[], glued boolean[], first_room integer) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    room   CONSTANT integer := 42;
    line   text := '';
    whole  text := '';
    rest   integer;
    best   integer := 0;
    least_bad integer;
    bad    integer;
BEGIN
    FOR n IN 1 .. cardinality(words) LOOP
        whole := whole || CASE WHEN n = 1 OR glued[n] THEN '' ELSE ' ' END || words[n];
    END LOOP;
    IF length(whole) <= first_room THEN
        RETURN whole;
    END IF;
    -- two lines that are about as long, or a first one that ends with a part of the sentence
    FOR n IN 1 .. cardinality(words) - 1 LOOP
        line := line || CASE WHEN n = 1 OR glued[n] THEN '' ELSE ' ' END || words[n];
        rest := length(whole) - length(line) - CASE WHEN glued[n + 1] THEN 0 ELSE 1 END;
        CONTINUE WHEN length(line) > first_room OR rest > room;
        bad := abs(length(line) - rest) - CASE WHEN words[n] ~ '[.,;:!?]$' THEN 15 ELSE 0 END;
        IF least_bad IS NULL OR bad < least_bad THEN
            best := length(line);
            least_bad := bad;
        END IF;
    END LOOP;
    RETURN CASE WHEN best = 0 THEN whole ELSE left(whole, best) || E'\n' || ltrim(substr(whole, best + 1), ' ') END;
END
$$;
COMMENT ON FUNCTION subtitle_lines(text[], boolean[], integer) IS
    'the words of a cue in one line, or two; first_room: characters in the first one (internal)';

CREATE FUNCTION subtitle_cues(said text, start_ms integer, end_ms integer, words jsonb, speaker_room integer,
    OUT begins integer, OUT ends integer, OUT lines text) RETURNS SETOF record
LANGUAGE plpgsql IMMUTABLE ROWS 2 AS $$
DECLARE
    longest    CONSTANT integer := 7000;
    room       CONSTANT integer := 42;
    first_room CONSTANT integer := greatest(room - speaker_room, room / 2);
    w          text[];
    from_ms    integer[];
    to_ms      integer[];
    glued      boolean[];
    first      integer := 1;
    stop       integer;
    best       integer;
    best_worth integer;
    worth      integer;
    line       integer;
    used       integer;
    size       integer;
BEGIN
    IF length(said) <= first_room AND end_ms - start_ms <= longest THEN
        lines := btrim(regexp_replace(said COLLATE "C", '[[:space:]]+', ' ', 'g'), ' ');
        begins := start_ms;
        ends := end_ms;
        IF lines <> '' THEN
            RETURN NEXT;
        END IF;
        RETURN;
    END IF;
    SELECT array_agg(t.word), array_agg(t.begins), array_agg(t.ends), array_agg(t.is_glued)
      INTO w, from_ms, to_ms, glued
      FROM mulberry_internal.subtitle_words(said, start_ms, end_ms, words) AS t;
    WHILE first <= cardinality(w) LOOP
        -- how many fit
        line := 1;
        used := 0;
        stop := first - 1;
        WHILE stop < cardinality(w) LOOP
            size := length(w[stop + 1]) + CASE WHEN used = 0 OR glued[stop + 1] THEN 0 ELSE 1 END;
            IF used > 0 AND used + size > (CASE line WHEN 1 THEN first_room ELSE room END) THEN
                EXIT WHEN line = 2;
                line := 2;
                used := length(w[stop + 1]);
            ELSE
                used := used + size;
            END IF;
            EXIT WHEN stop >= first
                AND CASE WHEN stop + 1 = cardinality(w) THEN end_ms ELSE to_ms[stop + 1] END
                    - CASE first WHEN 1 THEN start_ms ELSE from_ms[first] END > longest;
            stop := stop + 1;
        END LOOP;
        -- where it is cut: behind a sentence, a part of one, at a pause; else so that no short rest is left
        best := stop;
        IF stop < cardinality(w) THEN
            best_worth := 0;
            FOR n IN (first + stop) / 2 .. stop LOOP
                worth := CASE WHEN w[n] ~ '[.!?][")]*$' THEN 3
                              WHEN w[n] ~ '[,;:]$' THEN 2
                              WHEN from_ms[n + 1] - to_ms[n] >= 250 THEN 1
                              ELSE 0 END;
                IF worth > 0 AND worth >= best_worth THEN
                    best := n;
                    best_worth := worth;
                END IF;
            END LOOP;
            IF best_worth = 0 AND 3 * (cardinality(w) - stop) < stop - first + 1 THEN
                best := (first + cardinality(w)) / 2;
            END IF;
        END IF;
        begins := CASE first WHEN 1 THEN start_ms ELSE from_ms[first] END;
        ends := least(CASE best WHEN cardinality(w) THEN end_ms ELSE to_ms[best] END, begins + longest);
        ends := greatest(begins, ends);
        lines := mulberry_internal.subtitle_lines(w[first:best], glued[first:best], first_room);
        RETURN NEXT;
        first := best + 1;
    END LOOP;
END
$$;
COMMENT ON FUNCTION subtitle_cues(text, integer, integer, jsonb, integer) IS
    'a segment cut into cues of at most two lines of 42 characters and 7 s; speaker_room: characters that stand before the first line '
    '(internal)';

CREATE FUNCTION subtitles(call bigint, vtt boolean) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN $2 THEN E'WEBVTT\n\n' ELSE '' END || coalesce(string_agg(
               CASE WHEN $2 THEN '' ELSE q.number || E'\n' END
               || mulberry_internal.subtitle_time(q.begins, q.separator) || ' --> '
               || mulberry_internal.subtitle_time(q.ends, q.separator) || E'\n'
               || CASE WHEN q.speaker IS NULL THEN '' WHEN $2 THEN format('<v %s>', q.speaker) ELSE q.speaker || ': ' END
               || q.lines || E'\n\n', '' ORDER BY q.number), '')
      FROM (SELECT row_number() OVER (ORDER BY c.begins, s.n, c.part) AS number, c.begins, c.ends,
                   CASE WHEN $2 THEN '.' ELSE ',' END AS separator,
                   -- WebVTT reads < and & as markup
                   CASE WHEN $2 THEN replace(replace(replace(c.lines, '&', '&amp;'), '<', '&lt;'), '>', '&gt;') ELSE c.lines END AS lines,
                   CASE WHEN $2 THEN translate(l.speaker, '<>&', '') ELSE l.speaker END AS speaker
              FROM mulberry_internal.segments_in_time($1) WITH ORDINALITY
                   AS s (track, speaker, start_ms, end_ms, text, confidence, sentiment, sentiment_confidence, words, n)
                   -- a line of its own would end a subtitle
                   CROSS JOIN LATERAL (SELECT regexp_replace(coalesce(s.speaker, s.track) COLLATE "C", E'\\s+', ' ', 'g') AS speaker) AS l
                   CROSS JOIN LATERAL mulberry_internal.subtitle_cues(
                       s.text, s.start_ms, s.end_ms, s.words, CASE WHEN $2 OR l.speaker IS NULL THEN 0 ELSE length(l.speaker) + 2 END)
                       WITH ORDINALITY AS c (begins, ends, lines, part)
             WHERE s.start_ms IS NOT NULL) AS q
$$;
COMMENT ON FUNCTION subtitles(bigint, boolean) IS 'the segments of a call as SubRip or WebVTT (internal)';

-- src/calls/waveform.sql
-- A call as a picture.

CREATE FUNCTION draw_call(call bigint, title text, width integer, height integer, tracks text[], words text[], starts bigint[],
    ends bigint[], firsts boolean[]) RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED COST 20000 AS 'MODULE_PATHNAME', 'mulberry_draw_call';
COMMENT ON FUNCTION draw_call(bigint, text, integer, integer, text[], text[], bigint[], bigint[], boolean[]) IS
    'draws a call; of each word, in order of time, its track (null: the only one), its text, its times in ms, and whether it begins a '
    'segment (internal)';

CREATE FUNCTION words_in_time(call bigint)
RETURNS TABLE (track text, word text, start_ms bigint, end_ms bigint, first boolean)
LANGUAGE sql STABLE ROWS 1000 AS $$
    SELECT s.track, w.word, w.start_ms, w.end_ms, w.n = 1
      FROM mulberry_internal.segments_in_time($1) WITH ORDINALITY
           AS s (track, speaker, start_ms, end_ms, text, confidence, sentiment, sentiment_confidence, words, place)
           CROSS JOIN LATERAL (
               SELECT e.word->>'word', coalesce((e.word->>'start_ms')::bigint, s.start_ms),
                      coalesce((e.word->>'end_ms')::bigint, s.end_ms), e.n
                 FROM jsonb_array_elements(s.words) WITH ORDINALITY AS e (word, n)
                WHERE e.word->>'word' IS NOT NULL
               UNION ALL
               SELECT s.text, s.start_ms, s.end_ms, 1 WHERE s.words IS NULL OR s.words = '[]') AS w (word, start_ms, end_ms, n)
     WHERE s.start_ms IS NOT NULL
     ORDER BY w.start_ms, s.place, w.n
$$;
COMMENT ON FUNCTION words_in_time(bigint) IS
    'the words of a call in order of time; of a segment whose words have none, all of it (internal)';

CREATE FUNCTION mulberry.call_waveform(call_id text, tenant text DEFAULT NULL, width integer DEFAULT 1000,
    height integer DEFAULT NULL, title text DEFAULT NULL) RETURNS text
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    c mulberry_internal.calls;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', call_waveform.call_id, 'title', call_waveform.title);
    c := mulberry_internal.find_call(mulberry_internal.resolve_tenant(call_waveform.tenant, 'supervisor'), call_waveform.call_id);
    RETURN (SELECT mulberry_internal.draw_call(c.id, coalesce(nullif(call_waveform.title, ''), c.call_id),
                       coalesce(call_waveform.width, 1000), call_waveform.height, array_agg(w.track),
                       array_agg(w.word), array_agg(w.start_ms), array_agg(w.end_ms),
                       array_agg(w.first))
              FROM mulberry_internal.words_in_time(c.id) AS w);
END
$$;
COMMENT ON FUNCTION mulberry.call_waveform(text, text, integer, integer, text) IS
    'a call as an SVG picture: its tracks one below the other in one time, each with its wave, what is missing of it, the digits, where '
    'somebody speaks, and below it the words of the transcript, as many as have room. A height of null fits what there is to see; the '
    'title is the call''s id unless one is given';

-- src/calls/search.sql
-- Full-text search over transcripts.  The index holds the calls of all tenants; a word of its own in each entry stands
-- for tenant and language, so that a search reads what is its tenant's and no more.

CREATE FUNCTION search_scope(tenant uuid, language text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN 'mulberry/' || tenant || '/' || language;
COMMENT ON FUNCTION search_scope(uuid, text) IS 'the word that stands for a tenant''s calls of a language in transcripts.search (internal)';

-- The index knows no positions: of a phrase it says which calls have its words, and each of those has to be read. So words
-- that stand next to each other are in an entry as pairs, too. What is indexed and what is asked for make them alike; two
-- pairs may have one hash, because what the index tells of phrases is looked at in any case.
CREATE FUNCTION search_pair(word text, next_word text, distance integer) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_search_pair';
COMMENT ON FUNCTION search_pair(text, text, integer) IS
    'what stands in transcripts.search for two words 1 or 2 places apart; begins with a blank, as no word does (internal)';

CREATE FUNCTION search_pairs(search tsvector) RETURNS tsvector
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_search_pairs';
COMMENT ON FUNCTION search_pairs(tsvector) IS 'the pairs of a transcript (internal)';

CREATE FUNCTION search_query(words tsquery) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    word   CONSTANT text := $re$'(?:[^'\\]|''|\\.)*'$re$;
    tokens CONSTANT text[] := ARRAY(SELECT m[1] FROM regexp_matches(words::text, '(' || word || '|<-|<[0-9]+|[&|!()])', 'g') AS m);
    asked  tsquery := words;
    denied integer := 0;
BEGIN
    -- one alternative may do without the other's phrase
    IF '|' = ANY (tokens) THEN
        RETURN asked;
    END IF;
    FOR n IN 1 .. cardinality(tokens) LOOP
        -- within !( ... ) nothing is asked for
        denied := CASE WHEN tokens[n] = '(' AND (denied > 0 OR tokens[n - 1] = '!') THEN denied + 1
                       WHEN tokens[n] = ')' AND denied > 0 THEN denied - 1
                       ELSE denied END;
        IF denied = 0 AND tokens[n] IN ('<-', '<1', '<2') AND tokens[n - 1] ^@ '''' AND tokens[n + 1] ^@ ''''
           AND tokens[n - 2] IS DISTINCT FROM '!' THEN
            asked := asked && quote_literal(mulberry_internal.search_pair(
                         (tsvector_to_array(tokens[n - 1]::tsvector))[1], (tsvector_to_array(tokens[n + 1]::tsvector))[1],
                         CASE tokens[n] WHEN '<2' THEN 2 ELSE 1 END))::tsquery;
        END IF;
    END LOOP;
    RETURN asked;
END
$$;
COMMENT ON FUNCTION search_query(tsquery) IS 'the same with the pairs that a transcript has if it matches (internal)';

CREATE FUNCTION search_entry(tenant uuid, language text, transcription text) RETURNS tsvector
LANGUAGE sql IMMUTABLE AS $$
    SELECT v.words || mulberry_internal.search_pairs(v.words) || array_to_tsvector(ARRAY[mulberry_internal.search_scope($1, $2)])
      FROM to_tsvector(('pg_catalog.' || $2)::regconfig, $3) AS v (words)
$$;
COMMENT ON FUNCTION search_entry(uuid, text, text) IS 'what transcripts.search has of a transcript (internal)';

CREATE FUNCTION index_transcript(call bigint, tenant uuid, transcription text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    config text;
    length integer := length(transcription);
BEGIN
    SELECT t.language INTO config
      FROM mulberry_internal.tenants t
      JOIN pg_ts_config g ON g.cfgname = t.language AND g.cfgnamespace = 'pg_catalog'::regnamespace
     WHERE t.id = index_transcript.tenant;
    config := coalesce(config, 'simple');
    LOOP
        BEGIN
            INSERT INTO mulberry_internal.transcripts AS x (call, tenant, language, search)
            VALUES (index_transcript.call, index_transcript.tenant, config,
                    mulberry_internal.search_entry(index_transcript.tenant, config, left(transcription, length)))
            ON CONFLICT ON CONSTRAINT transcripts_pkey
            DO UPDATE SET language = excluded.language, search = excluded.search;
            RETURN;
        EXCEPTION WHEN program_limit_exceeded THEN
            -- more words than a tsvector can hold
            IF length = 0 THEN
                RAISE;
            END IF;
            length := length / 2;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION index_transcript(bigint, uuid, text) IS
    'makes a transcript one that search_calls() finds; of one that is too long for that, its beginning (internal)';

CREATE FUNCTION languages_in_use(tenants uuid[]) RETURNS TABLE (tenant uuid, language text)
LANGUAGE sql STABLE ROWS 10 AS $$
    -- from one to the next by the index, however many transcripts there are
    WITH RECURSIVE used (tenant, language) AS (
        (SELECT x.tenant, x.language
           FROM unnest($1) AS t (id)
                CROSS JOIN LATERAL (SELECT y.tenant, y.language FROM mulberry_internal.transcripts y
                                     WHERE y.tenant = t.id ORDER BY y.tenant, y.language LIMIT 1) AS x)
        UNION ALL
        SELECT u.tenant, (SELECT y.language FROM mulberry_internal.transcripts y
                           WHERE y.tenant = u.tenant AND y.language > u.language ORDER BY y.language LIMIT 1)
          FROM used u
         WHERE u.language IS NOT NULL
    )
    SELECT u.tenant, u.language FROM used u WHERE u.language IS NOT NULL
$$;
COMMENT ON FUNCTION languages_in_use(uuid[]) IS 'the languages in which transcripts of these tenants are indexed (internal)';

CREATE FUNCTION newest_matches(tenant uuid, language text, words tsquery, scoped tsquery, since timestamptz,
                                          before timestamptz, max_calls integer, older_than bigint) RETURNS bigint[]
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_newest_matches';
COMMENT ON FUNCTION newest_matches(uuid, text, tsquery, tsquery, timestamptz, timestamptz, integer, bigint) IS
    'the newest calls of a tenant and language whose transcripts match, newest first, all older than a call; scoped: words, and '
    'search_scope() (internal)';

CREATE FUNCTION matching_calls(tenants uuid[], query text, since timestamptz, before timestamptz, max_calls integer,
                                          older_than bigint)
RETURNS TABLE (call bigint, language regconfig, words tsquery)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    used record;
BEGIN
    FOR used IN SELECT u.tenant, u.language FROM mulberry_internal.languages_in_use(tenants) u LOOP
        language := ('pg_catalog.' || used.language)::regconfig;
        words := websearch_to_tsquery(language, query);
        CONTINUE WHEN numnode(words) = 0;
        RETURN QUERY
            SELECT f.call, language, words
              FROM unnest(mulberry_internal.newest_matches(
                       used.tenant, used.language, words,
                       quote_literal(mulberry_internal.search_scope(used.tenant, used.language))::tsquery
                       && mulberry_internal.search_query(words),
                       coalesce(since, '-infinity'), coalesce(before, 'infinity'), max_calls,
                       coalesce(older_than, 9223372036854775807))) AS f (call);
    END LOOP;
END
$$;
COMMENT ON FUNCTION matching_calls(uuid[], text, timestamptz, timestamptz, integer, bigint) IS
    'the newest calls of each of these tenants and languages whose transcripts match, and by which words (internal)';

CREATE FUNCTION mulberry.search_calls(
    query      text,
    since      timestamptz DEFAULT NULL,
    before     timestamptz DEFAULT NULL,
    max_calls  integer DEFAULT 20,
    tenant     text DEFAULT NULL,
    older_than text[] DEFAULT NULL
)
RETURNS TABLE (tenant_name text, call_id text, created_at timestamptz, headline text, rank real,
               track text, speaker text, start_ms integer)
LANGUAGE mulberry STABLE ROWS 20 SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    -- of a transcript that is longer, headline and place come from its beginning
    looked_at CONSTANT integer := 100000;
    tenants uuid[];
    last    bigint;
BEGIN
    PERFORM mulberry_internal.check_texts('query', search_calls.query, 'tenant', search_calls.tenant, 'older_than', older_than[1],
        'older_than', older_than[2]);
    IF query IS NULL THEN
        RAISE EXCEPTION 'query must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF max_calls IS NULL OR max_calls NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'max_calls % is out of range', coalesce(max_calls::text, 'null')
            USING ERRCODE = 'numeric_value_out_of_range', DETAIL = 'It must lie between 1 and 1000.';
    END IF;
    IF search_calls.tenant IS NULL THEN
        tenants := mulberry.current_tenants('supervisor', 'auditor');
    ELSE
        tenants := ARRAY[mulberry_internal.resolve_tenant(search_calls.tenant, 'supervisor', 'auditor')];
    END IF;
    IF older_than IS NOT NULL THEN
        IF older_than <> ARRAY[older_than[1], older_than[2]] OR array_position(older_than, NULL) IS NOT NULL THEN
            RAISE EXCEPTION 'older_than must have two elements' USING ERRCODE = 'invalid_parameter_value',
                DETAIL = 'They are tenant_name and call_id of a row.';
        END IF;
        SELECT c.id INTO last
          FROM mulberry_internal.tenants t JOIN mulberry_internal.calls c ON c.tenant = t.id
         WHERE t.name = older_than[1] COLLATE "C" AND t.id = ANY (tenants) AND c.call_id = older_than[2] COLLATE "C";
        IF NOT FOUND THEN
            RAISE EXCEPTION 'call "%" does not exist', left(older_than[2], 40) USING ERRCODE = 'undefined_object',
                HINT = 'It may have been erased: begin again, with "before".';
        END IF;
    END IF;
    RETURN QUERY
        SELECT t.name, c.call_id, c.created_at,
               ts_headline(m.language, left(c.transcription, looked_at), m.words,
                           'StartSel=**, StopSel=**, MaxFragments=2, MaxWords=20, MinWords=8, FragmentDelimiter=" ... "'),
               ts_rank(x.search, m.words), p.track, p.speaker, p.start_ms
          FROM (SELECT h.* FROM mulberry_internal.matching_calls(tenants, query, since, before, max_calls, last) AS h
                 ORDER BY h.call DESC LIMIT max_calls) AS m
          JOIN mulberry_internal.calls c ON c.id = m.call
          JOIN mulberry_internal.tenants t ON t.id = c.tenant
          JOIN mulberry_internal.transcripts x ON x.call = m.call
               -- where it is said: the segment that has most of the words
               LEFT JOIN LATERAL (
                   SELECT s.track, s.speaker, s.start_ms
                     FROM mulberry_internal.segments_in_time(m.call) WITH ORDINALITY
                          AS s (track, speaker, start_ms, end_ms, text, confidence, sentiment, sentiment_confidence, words, n)
                    WHERE s.n <= 2000
                    ORDER BY ts_rank(to_tsvector(m.language, s.text), replace(m.words::text, '&', '|')::tsquery) DESC, s.n
                    LIMIT 1) AS p ON true
         ORDER BY m.call DESC;
END
$$;
COMMENT ON FUNCTION mulberry.search_calls(text, timestamptz, timestamptz, integer, text, text[]) IS
    'calls whose transcripts match a query as web search has it (words that all must be there, "a phrase", or, -without), newest '
    'first: of one tenant or, for null, of all to which the role has supervisor or auditor access. The words found stand between ** in '
    'the headline, which is text as it was said and no HTML; track, speaker and start_ms tell where most of them are said together. The '
    'next page has tenant_name and call_id of the last row as older_than. Errors: 22003, 22004, 22023, 42704 no such tenant, or call';

-- src/calls/views.sql
-- Every track in the form of "tracks".
CREATE VIEW all_tracks AS
    SELECT c.id AS call, 0::smallint AS number, c.id, c.track AS name, c.encoding, c.sample_rate, c.expected_total_packets,
           c.missing_count, coalesce(c.first_sequence, 0) AS first_sequence, c.counter_bits
      FROM calls c
    UNION ALL
    SELECT t.call, t.number, t.id, t.name, t.encoding, t.sample_rate, t.expected_total_packets,
           t.missing_count, coalesce(t.first_sequence, 0), t.counter_bits
      FROM tracks t;
COMMENT ON VIEW all_tracks IS 'every track of every call: the first, which is in calls, and those in tracks (internal)';

CREATE VIEW mulberry.call_status WITH (security_barrier) AS
    SELECT t.name AS tenant,
           c.call_id,
           c.state,
           c.encoding,
           c.sample_rate,
           next.sequence - c.missing_count + others.received AS total_packets_received,
           next.sequence + coalesce(c.first_sequence, 0) AS expected_next_sequence,
           c.expected_total_packets,
           c.missing_count + tail.missing + others.missing AS missing_count,
           (SELECT coalesce(range_agg(int8range(c.first_sequence + g.first, c.first_sequence + g.last, '[]')), '{}')
              FROM gaps g
             WHERE g.call = c.id)
           + CASE WHEN tail.missing > 0
                  THEN int8multirange(int8range(coalesce(c.first_sequence, 0) + next.sequence,
                                                coalesce(c.first_sequence, 0) + c.expected_total_packets))
                  ELSE '{}' END AS missing_sequences,
           ARRAY(SELECT coalesce(c.first_sequence, 0) + s.sequence
                   FROM ((SELECT generate_series(g.first, g.last) AS sequence
                            FROM gaps g
                           WHERE g.call = c.id
                           ORDER BY g.first
                           LIMIT 100)
                         UNION ALL
                         SELECT generate_series(next.sequence::integer, next.sequence::integer
                                                + least(tail.missing, 100)::integer - 1)) AS s
                  ORDER BY s.sequence
                  LIMIT 100) AS first_missing_sequences,
           greatest(next.sequence - c.expected_total_packets, 0) + others.extra AS extra_packets,
           greatest(next.received_at, others.received_at) AS last_packet_at,
           c.created_at,
           c.updated_at,
           c.completed_at,
           c.grace_until,
           c.finished_at,
           c.transcription,
           c.sentiment,
           c.confidence,
           c.ai_result,
           c.failure_reason,
           coalesce(c.started_at, c.created_at) AS started_at,
           d.direction,
           CASE WHEN seen.numbers THEN d.from_number END AS from_number,
           CASE WHEN seen.numbers THEN d.to_number END AS to_number,
           CASE WHEN seen.numbers THEN d.attributes END AS attributes,
           c.track || others.names AS tracks,
           d.endpoint
      FROM calls c
      JOIN tenants t ON t.id = c.tenant
      LEFT JOIN call_details d ON d.call = c.id
           CROSS JOIN LATERAL (
               SELECT coalesce(max(l.sequence) + 1, 0)::bigint AS sequence, max(l.received_at) AS received_at
                 FROM (SELECT p.sequence, p.received_at
                         FROM packets p
                        WHERE p.call = c.id
                        ORDER BY p.sequence DESC
                        LIMIT 1) AS l) AS next
           CROSS JOIN LATERAL (
               SELECT greatest(c.expected_total_packets - next.sequence, 0) AS missing) AS tail
           CROSS JOIN LATERAL (
               SELECT coalesce(array_agg(o.name ORDER BY o.number), '{}') AS names,
                      coalesce(sum(n.sequence - o.missing_count), 0)::bigint AS received,
                      coalesce(sum(o.missing_count + greatest(o.expected_total_packets - n.sequence, 0)), 0)::bigint AS missing,
                      coalesce(sum(greatest(n.sequence - o.expected_total_packets, 0)), 0)::bigint AS extra,
                      max(n.received_at) AS received_at
                 FROM tracks o
                      CROSS JOIN LATERAL (
                          SELECT coalesce(max(l.sequence) + 1, 0)::bigint AS sequence, max(l.received_at) AS received_at
                            FROM (SELECT p.sequence, p.received_at
                                    FROM packets p
                                   WHERE p.call = o.id
                                   ORDER BY p.sequence DESC
                                   LIMIT 1) AS l) AS n
                WHERE o.call = c.id) AS others
           CROSS JOIN LATERAL (
               SELECT c.tenant = ANY ((SELECT current_tenants(true, 'supervisor'))::uuid[]) AS numbers) AS seen
     WHERE c.tenant = ANY ((SELECT current_tenants(true, 'ingest', 'supervisor', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.call_status IS
    'the calls of the current role''s tenants, and what each has received: counts over all its tracks, encoding, total and sequences of '
    'its first; those of each are in call_tracks';
COMMENT ON COLUMN mulberry.call_status.total_packets_received IS 'packets stored; doubled ones count once';
COMMENT ON COLUMN mulberry.call_status.expected_next_sequence IS 'one more than the largest sequence received';
COMMENT ON COLUMN mulberry.call_status.missing_count IS
    'sequences that have not arrived: gaps, and announced packets behind the last one received';
COMMENT ON COLUMN mulberry.call_status.missing_sequences IS 'all of them';
COMMENT ON COLUMN mulberry.call_status.first_missing_sequences IS 'the first 100 of them, one by one';
COMMENT ON COLUMN mulberry.call_status.extra_packets IS 'how far the call went beyond expected_total_packets; null: no total was announced';
COMMENT ON COLUMN mulberry.call_status.last_packet_at IS 'when the packet with the largest sequence arrived';
COMMENT ON COLUMN mulberry.call_status.endpoint IS 'which must transcribe it; null: none was named';
COMMENT ON COLUMN mulberry.call_status.started_at IS 'as begin_call() says, else when its first packet came';
COMMENT ON COLUMN mulberry.call_status.from_number IS
    'shown to who has supervisor access, which operators and admins have, as are to_number and attributes';

CREATE VIEW mulberry.call_tracks WITH (security_barrier) AS
    SELECT t.name AS tenant,
           c.call_id,
           k.name AS track,
           k.number,
           k.encoding,
           k.sample_rate,
           next.sequence - k.missing_count AS total_packets_received,
           k.first_sequence,
           k.counter_bits,
           k.first_sequence + next.sequence AS expected_next_sequence,
           k.expected_total_packets,
           k.missing_count + greatest(k.expected_total_packets - next.sequence, 0) AS missing_count,
           (SELECT coalesce(range_agg(int8range(k.first_sequence + g.first, k.first_sequence + g.last, '[]')), '{}')
              FROM gaps g
             WHERE g.call = k.id)
           + CASE WHEN k.expected_total_packets > next.sequence
                  THEN int8multirange(int8range(k.first_sequence + next.sequence, k.first_sequence + k.expected_total_packets))
                  ELSE '{}' END AS missing_sequences,
           greatest(next.sequence - k.expected_total_packets, 0) AS extra_packets,
           next.received_at AS last_packet_at
      FROM calls c
      JOIN tenants t ON t.id = c.tenant
      JOIN all_tracks k ON k.call = c.id
           CROSS JOIN LATERAL (
               SELECT coalesce(max(l.sequence) + 1, 0)::bigint AS sequence, max(l.received_at) AS received_at
                 FROM (SELECT p.sequence, p.received_at
                         FROM packets p
                        WHERE p.call = k.id
                        ORDER BY p.sequence DESC
                        LIMIT 1) AS l) AS next
     WHERE c.tenant = ANY ((SELECT current_tenants(true, 'ingest', 'supervisor', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.call_tracks IS
    'the tracks of the calls of the current role''s tenants, each with sequences of its own; columns as in call_status';
COMMENT ON COLUMN mulberry.call_tracks.number IS '0: the first track, which is meant where none is named';
COMMENT ON COLUMN mulberry.call_tracks.first_sequence IS 'the number of its first packet';
COMMENT ON COLUMN mulberry.call_tracks.counter_bits IS
    'the sender counts in so many bits and begins at 0 again, which is unwrapped here; null: its numbers do not wrap';

CREATE VIEW mulberry.call_packets WITH (security_barrier) AS
    SELECT t.name AS tenant, c.call_id, k.first_sequence + p.sequence AS sequence, p.sent_at, p.received_at, length(p.data) AS size,
           p.data, k.name AS track
      FROM calls c
      JOIN tenants t ON t.id = c.tenant
      JOIN all_tracks k ON k.call = c.id
      JOIN packets p ON p.call = k.id
     WHERE c.tenant = ANY ((SELECT current_tenants(true, 'supervisor'))::uuid[]);
COMMENT ON VIEW mulberry.call_packets IS 'the packets of the calls of the current role''s tenants, as they arrived';
COMMENT ON COLUMN mulberry.call_packets.size IS 'bytes of data';

CREATE FUNCTION mulberry.call_audio(call_id text, tenant text DEFAULT NULL, track text DEFAULT NULL) RETURNS bytea
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_call_audio';
COMMENT ON FUNCTION mulberry.call_audio(text, text, text) IS
    'a track of a call (null: the first) as a WAV file (16-bit PCM at its rate); each missing packet is silence of its usual packet '
    'length, at most 60 s for a run of them. All silence together is at most a minute and four times the audio: where there are more '
    'gaps, the end that '
    'never came is cut, then the longest of them. call_gaps() lists where they lie';

CREATE FUNCTION mulberry.call_audio_part(call_id text, tenant text DEFAULT NULL, track text DEFAULT NULL,
    start bigint DEFAULT 0, max_bytes integer DEFAULT 1048576, OUT bytes bytea, OUT total_bytes bigint, OUT version text)
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_call_audio_part';
COMMENT ON FUNCTION mulberry.call_audio_part(text, text, text, bigint, integer) IS
    'bytes of the file that call_audio() makes, from start (negative: so many before its end; 0: its beginning) on, at most max_bytes (up '
    'to 16 MB), without making the rest of it. Parts of one version are of one file: it changes with each packet that comes. Files may '
    'have 4 GB here';

CREATE FUNCTION mulberry.call_audio_stereo(call_id text, tenant text DEFAULT NULL, left_track text DEFAULT NULL,
    right_track text DEFAULT NULL) RETURNS bytea
LANGUAGE c STABLE PARALLEL RESTRICTED COST 10000 AS 'MODULE_PATHNAME', 'mulberry_call_audio_stereo';
COMMENT ON FUNCTION mulberry.call_audio_stereo(text, text, text, text) IS
    'two tracks of a call (null: its first and its second) as a stereo WAV file at the higher of their rates, in time: by sent_at where '
    'the first packet of each has it, else by arrival. A packet that is late moves nothing; where nothing was sent for more than 100 ms '
    'there is silence';

CREATE FUNCTION mulberry.call_audio_mixed(call_id text, tenant text DEFAULT NULL, tracks text[] DEFAULT NULL) RETURNS bytea
LANGUAGE c STABLE PARALLEL RESTRICTED COST 10000 AS 'MODULE_PATHNAME', 'mulberry_call_audio_mixed';
COMMENT ON FUNCTION mulberry.call_audio_mixed(text, text, text[]) IS
    'tracks of a call (null: all) in one channel of a WAV file, their sum, in time as in call_audio_stereo()';

CREATE FUNCTION track_times(call bigint) RETURNS TABLE (track bigint, place_ms bigint, time_ms bigint)
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 10000 ROWS 10 AS 'MODULE_PATHNAME', 'mulberry_track_times';
COMMENT ON FUNCTION track_times(bigint) IS
    'where the audio of each track (tracks.id) lies in the time of its call, as call_audio_stereo() has it: from place_ms of call_audio() '
    'on it is time_ms and what follows, until the next row (internal)';

CREATE FUNCTION mulberry.call_gaps(call_id text, tenant text DEFAULT NULL, track text DEFAULT NULL)
RETURNS TABLE (first bigint, last bigint, packets bigint, start_ms bigint, duration_ms bigint)
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_call_gaps';
COMMENT ON FUNCTION mulberry.call_gaps(text, text, text) IS
    'runs of missing sequences of a track of a call (null: the first; both ends included), and where call_audio() has silence for them; '
    'times are null for a track of encoding text';

CREATE FUNCTION mulberry.call_dtmf(call_id text, tenant text DEFAULT NULL, floor_dbm0 real DEFAULT NULL,
    track text DEFAULT NULL)
RETURNS TABLE (digit text, start_ms bigint, duration_ms bigint, level_dbm0 real, twist_db real)
LANGUAGE c STABLE PARALLEL RESTRICTED COST 10000 ROWS 20 AS 'MODULE_PATHNAME', 'mulberry_call_dtmf';
COMMENT ON FUNCTION mulberry.call_dtmf(text, text, real, text) IS
    'the DTMF digits in a track of a call (null: the first), as dtmf_detect() tells them; times are those of call_audio(); '
    'a digit goes on across missing packets of up to 40 ms together, what is longer is silence';

CREATE FUNCTION mulberry.call_speech(call_id text, tenant text DEFAULT NULL, track text DEFAULT NULL)
RETURNS SETOF speech_segment
LANGUAGE c STABLE PARALLEL RESTRICTED COST 10000 ROWS 100 AS 'MODULE_PATHNAME', 'mulberry_call_speech';
COMMENT ON FUNCTION mulberry.call_speech(text, text, text) IS
    'where somebody speaks in a call, track by track (or only in the one named), as speech_segments() tells it with its own settings; what '
    'is missing is silence. Times are those of call_segments(): of call_audio() or, in a call of several tracks, of call_audio_stereo()';

-- src/calls/metadata.sql
-- What is known of a call beside its audio: who calls whom, which way, and whatever the sender wants to find it by.

CREATE FUNCTION begin_tracks(call_id text, tenant text, encoding text, sample_rate integer, tracks text[],
    started_at timestamptz, first_sequence bigint, counter_bits integer, OUT call bigint, OUT begun boolean)
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_begin_tracks';
COMMENT ON FUNCTION begin_tracks(text, text, text, integer, text[], timestamptz, bigint, integer) IS
    'begin_call() without details: takes the lock of the call, creates it and its tracks, or makes sure that they are as said (internal)';

CREATE FUNCTION check_details(direction text, from_number text, to_number text, attributes jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF direction NOT IN ('inbound', 'outbound', 'internal') THEN
        RAISE EXCEPTION 'unknown direction "%"', direction
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Directions are inbound, outbound and internal.';
    END IF;
    IF from_number = '' OR to_number = '' THEN
        RAISE EXCEPTION 'a number must not be empty'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'One that is not known is null.';
    END IF;
    IF jsonb_typeof(attributes) <> 'object' THEN
        RAISE EXCEPTION 'attributes must be a JSON object'
            USING ERRCODE = 'invalid_parameter_value', DETAIL = format('This is of type %s.', jsonb_typeof(attributes));
    END IF;
END
$$;
COMMENT ON FUNCTION check_details(text, text, text, jsonb) IS 'raises 22023 for what cannot be said of a call; nulls are fine (internal)';

CREATE FUNCTION check_call_endpoint(tenant uuid, endpoint text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    wanted CONSTANT text := mulberry.job_purpose('transcribe');
    named  mulberry_internal.endpoints;
BEGIN
    IF endpoint IS NULL OR endpoint = '' THEN
        RETURN;
    END IF;
    SELECT e.* INTO named FROM mulberry_internal.endpoints e
     WHERE e.id = mulberry_internal.endpoint_for(check_call_endpoint.tenant, wanted, check_call_endpoint.endpoint);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'endpoint "%" does not exist', endpoint USING ERRCODE = 'undefined_object';
    END IF;
    IF coalesce(named.purpose, wanted) <> wanted OR NOT mulberry_internal.endpoint_serves(named.kind, wanted) THEN
        RAISE EXCEPTION 'endpoint "%" does not serve %', endpoint, wanted
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('It is of kind %s for %s.', named.kind, coalesce(named.purpose, 'nothing in particular'));
    END IF;
END
$$;
COMMENT ON FUNCTION check_call_endpoint(uuid, text) IS
    'raises 42704 or 22023 for an endpoint that cannot transcribe a call; null and empty are fine (internal)';

CREATE FUNCTION call_endpoint(call bigint) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
    SELECT d.endpoint FROM mulberry_internal.call_details d WHERE d.call = $1
$$;
COMMENT ON FUNCTION call_endpoint(bigint) IS 'the endpoint that must transcribe a call; null: none was named (internal)';

CREATE FUNCTION move_transcription(call bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE mulberry_internal.job_queue q
       SET endpoint = mulberry_internal.call_endpoint(q.call),
           route = mulberry_internal.job_route(q.kind, q.tenant, q.call, mulberry_internal.call_endpoint(q.call), q.passed)
     WHERE q.call = move_transcription.call AND q.kind = 'transcribe' AND q.state = 'queued'
       AND q.endpoint IS DISTINCT FROM mulberry_internal.call_endpoint(q.call);
    IF FOUND THEN
        PERFORM mulberry_internal.wake_workers();
    END IF;
END
$$;
COMMENT ON FUNCTION move_transcription(bigint) IS
    'sends the transcription of a call that waits to the endpoint that the call names now; its lock is held (internal)';

CREATE FUNCTION lock_named_call(tenant uuid, call_id text) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_lock_named_call';
COMMENT ON FUNCTION lock_named_call(uuid, text) IS
    'takes the lock of a call until the end of the transaction and returns its id; null when there is none (internal)';

CREATE FUNCTION tell_details(event text, call bigint) RETURNS void
LANGUAGE sql AS $$
    SELECT mulberry_internal.emit_event(c.tenant, $1, c.id, c.call_id, jsonb_strip_nulls(jsonb_build_object(
               'direction', d.direction, 'from_number', d.from_number, 'to_number', d.to_number,
               'attributes', nullif(d.attributes, '{}'), 'endpoint', d.endpoint,
               'tracks', CASE WHEN c.tracks_named THEN (SELECT jsonb_agg(t.name ORDER BY t.number)
                                                          FROM mulberry_internal.all_tracks t WHERE t.call = c.id) END,
               'started_at', to_char(c.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))))
      FROM mulberry_internal.calls c
      LEFT JOIN mulberry_internal.call_details d ON d.call = c.id
     WHERE c.id = $2
$$;
COMMENT ON FUNCTION tell_details(text, bigint) IS 'stores an event with all that is known of a call (internal)';

CREATE FUNCTION mulberry.begin_call(
    call_id        text,
    direction      text DEFAULT NULL,
    from_number    text DEFAULT NULL,
    to_number      text DEFAULT NULL,
    attributes     jsonb DEFAULT NULL,
    encoding       text DEFAULT NULL,
    sample_rate    integer DEFAULT NULL,
    tracks         text[] DEFAULT NULL,
    started_at     timestamptz DEFAULT NULL,
    tenant         text DEFAULT NULL,
    first_sequence bigint DEFAULT NULL,
    counter_bits   integer DEFAULT NULL,
    endpoint       text DEFAULT NULL
) RETURNS boolean
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner uuid := mulberry_internal.resolve_tenant(begin_call.tenant, 'ingest');
    began record;
    known record;
    other text;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', begin_call.call_id, 'direction', begin_call.direction,
        'from_number', begin_call.from_number, 'to_number', begin_call.to_number, 'encoding', begin_call.encoding,
        'endpoint', begin_call.endpoint);
    PERFORM mulberry_internal.check_json('attributes', begin_call.attributes);
    PERFORM mulberry_internal.check_details(begin_call.direction, begin_call.from_number, begin_call.to_number, begin_call.attributes);
    begin_call.endpoint := nullif(begin_call.endpoint, '');
    IF NOT isfinite(begin_call.started_at) THEN
        RAISE EXCEPTION 'started_at must be finite' USING ERRCODE = 'datetime_field_overflow';
    END IF;
    SELECT b.call, b.begun INTO began
      FROM mulberry_internal.begin_tracks(begin_call.call_id, begin_call.tenant, begin_call.encoding, begin_call.sample_rate,
               begin_call.tracks, begin_call.started_at, begin_call.first_sequence, begin_call.counter_bits) AS b;
    SELECT c.started_at, d.call IS NOT NULL AS described, d.direction, d.from_number, d.to_number,
           nullif(d.attributes, '{}') AS attributes, d.endpoint
      INTO known
      FROM mulberry_internal.calls c
      LEFT JOIN mulberry_internal.call_details d ON d.call = c.id
     WHERE c.id = began.call;
    other := CASE WHEN known.direction <> begin_call.direction THEN format('Its direction is %s.', known.direction)
                  WHEN known.from_number <> begin_call.from_number THEN 'It comes from another number.'
                  WHEN known.to_number <> begin_call.to_number THEN 'It goes to another number.'
                  WHEN known.attributes <> begin_call.attributes THEN 'It has other attributes.'
                  WHEN known.endpoint <> begin_call.endpoint THEN format('Its endpoint is "%s".', known.endpoint)
                  WHEN known.started_at <> begin_call.started_at THEN 'It began at another time.' END;
    IF other IS NOT NULL THEN
        RAISE EXCEPTION 'call "%" has begun with other values', begin_call.call_id
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = other, HINT = 'describe_call() changes what is known of it.';
    END IF;
    IF begin_call.endpoint IS DISTINCT FROM known.endpoint THEN
        PERFORM mulberry_internal.check_call_endpoint(owner, begin_call.endpoint);
    END IF;
    IF begin_call.direction IS NULL AND begin_call.from_number IS NULL AND begin_call.to_number IS NULL
       AND begin_call.attributes IS NULL AND begin_call.endpoint IS NULL THEN
        NULL;
    ELSIF NOT known.described THEN
        INSERT INTO mulberry_internal.call_details (call, tenant, direction, from_number, to_number, attributes, endpoint)
        VALUES (began.call, owner, begin_call.direction, begin_call.from_number, begin_call.to_number,
                coalesce(begin_call.attributes, '{}'), begin_call.endpoint);
    ELSE
        UPDATE mulberry_internal.call_details d
           SET direction = coalesce(d.direction, begin_call.direction), from_number = coalesce(d.from_number, begin_call.from_number),
               to_number = coalesce(d.to_number, begin_call.to_number),
               attributes = coalesce(nullif(d.attributes, '{}'), begin_call.attributes, '{}'),
               endpoint = coalesce(d.endpoint, begin_call.endpoint)
         WHERE d.call = began.call
           AND (d.direction, d.from_number, d.to_number, nullif(d.attributes, '{}'), d.endpoint)
               IS DISTINCT FROM (coalesce(d.direction, begin_call.direction), coalesce(d.from_number, begin_call.from_number),
                                 coalesce(d.to_number, begin_call.to_number),
                                 coalesce(nullif(d.attributes, '{}'), nullif(begin_call.attributes, '{}')),
                                 coalesce(d.endpoint, begin_call.endpoint));
    END IF;
    IF NOT began.begun AND known.endpoint IS NULL AND begin_call.endpoint IS NOT NULL THEN
        PERFORM mulberry_internal.move_transcription(began.call);
    END IF;
    IF NOT began.begun AND known.started_at IS NULL AND begin_call.started_at IS NOT NULL THEN
        UPDATE mulberry_internal.calls c SET started_at = begin_call.started_at WHERE c.id = began.call;
    END IF;
    IF began.begun THEN
        PERFORM mulberry_internal.tell_details('call_began', began.call);
    ELSIF (known.direction, known.from_number, known.to_number, known.attributes, known.endpoint, known.started_at)
          IS DISTINCT FROM (coalesce(known.direction, begin_call.direction), coalesce(known.from_number, begin_call.from_number),
                            coalesce(known.to_number, begin_call.to_number),
                            coalesce(known.attributes, nullif(begin_call.attributes, '{}')),
                            coalesce(known.endpoint, begin_call.endpoint),
                            coalesce(known.started_at, begin_call.started_at)) THEN
        PERFORM mulberry_internal.tell_details('call_described', began.call);
    END IF;
    RETURN began.begun;
END
$$;
COMMENT ON FUNCTION mulberry.begin_call(text, text, text, text, jsonb, text, integer, text[], timestamptz, text, bigint, integer, text) IS
    'tells of a call before its first packet, which needs no such thing: direction inbound, outbound or internal; numbers as E.164, SIP '
    'URI or as they came; attributes, an object of at most 8 kB. It has the tracks that are named and no others, all of one encoding, rate '
    'and way of counting; see ingest_packet(). endpoint: the one that must transcribe it, also while it is out. Said again it changes '
    'nothing, and 55000 when the call has begun with other values. True when it has begun now. Needs ingest access. Errors: 42704 no such '
    'endpoint, 22023 it serves something else';

CREATE FUNCTION mulberry.describe_call(
    call_id        text,
    direction      text DEFAULT NULL,
    from_number    text DEFAULT NULL,
    to_number      text DEFAULT NULL,
    attributes     jsonb DEFAULT NULL,
    tenant         text DEFAULT NULL,
    endpoint       text DEFAULT NULL
) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner    uuid := mulberry_internal.resolve_tenant(describe_call.tenant, 'ingest', 'operator');
    described bigint;
    known    mulberry_internal.call_details;
    merged   jsonb;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', describe_call.call_id, 'direction', describe_call.direction,
        'from_number', describe_call.from_number, 'to_number', describe_call.to_number, 'endpoint', describe_call.endpoint);
    PERFORM mulberry_internal.check_json('attributes', describe_call.attributes);
    PERFORM mulberry_internal.check_details(describe_call.direction, describe_call.from_number, describe_call.to_number,
        describe_call.attributes);
    PERFORM mulberry_internal.check_call_endpoint(owner, describe_call.endpoint);
    IF describe_call.call_id IS NULL THEN
        RAISE EXCEPTION 'call id must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    described := mulberry_internal.lock_named_call(owner, describe_call.call_id);
    IF described IS NULL THEN
        RAISE EXCEPTION 'call "%" does not exist', describe_call.call_id USING ERRCODE = 'undefined_object';
    END IF;
    SELECT d.* INTO known FROM mulberry_internal.call_details d WHERE d.call = described;
    -- what is null in it goes
    merged := jsonb_strip_nulls(coalesce(known.attributes, '{}') || coalesce(describe_call.attributes, '{}'));
    PERFORM mulberry_internal.check_json('attributes', merged);
    IF known.call IS NULL THEN
        INSERT INTO mulberry_internal.call_details (call, tenant, direction, from_number, to_number, attributes, endpoint)
        VALUES (described, owner, describe_call.direction, describe_call.from_number, describe_call.to_number, merged,
                nullif(describe_call.endpoint, ''));
    ELSE
        UPDATE mulberry_internal.call_details d
           SET direction = coalesce(describe_call.direction, d.direction),
               from_number = coalesce(describe_call.from_number, d.from_number),
               to_number = coalesce(describe_call.to_number, d.to_number), attributes = merged,
               endpoint = nullif(coalesce(describe_call.endpoint, d.endpoint), '')
         WHERE d.call = described;
    END IF;
    IF describe_call.endpoint IS NOT NULL THEN
        PERFORM mulberry_internal.move_transcription(described);
    END IF;
    PERFORM mulberry_internal.tell_details('call_described', described);
END
$$;
COMMENT ON FUNCTION mulberry.describe_call(text, text, text, text, jsonb, text, text) IS
    'tells more of a call, whatever its state: what is not null takes the place of what was known, attributes are added to those that it '
    'has, and go where their value is null. endpoint: the one that must transcribe it, if that has not begun yet; empty: any. Needs ingest '
    'or operator access. Errors: 42704 no such call or endpoint, 22023 the endpoint serves something else';

-- Filters that are not given are not in the query, so that each finds its index.
CREATE FUNCTION calls_query(number text, since timestamptz, until timestamptz, attributes jsonb, direction text, state text)
RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT concat('SELECT c.id FROM mulberry_internal.calls c',
               CASE WHEN num_nonnulls(number, attributes, direction) > 0 THEN
                   concat(' JOIN mulberry_internal.call_details d ON d.call = c.id AND d.tenant = ANY ($1)',
                       CASE WHEN number IS NOT NULL THEN ' AND (d.from_number = $2 OR d.to_number = $2)' END,
                       CASE WHEN attributes IS NOT NULL THEN ' AND d.attributes @> $5' END,
                       CASE WHEN direction IS NOT NULL THEN ' AND d.direction = $6' END) END,
               ' WHERE c.tenant = ANY ($1)',
               CASE WHEN since IS NOT NULL THEN ' AND coalesce(c.started_at, c.created_at) >= $3' END,
               CASE WHEN until IS NOT NULL THEN ' AND coalesce(c.started_at, c.created_at) < $4' END,
               CASE WHEN state IS NOT NULL THEN ' AND c.state = $7' END,
               ' ORDER BY coalesce(c.started_at, c.created_at) DESC, c.id DESC LIMIT $8')
$$;
COMMENT ON FUNCTION calls_query(text, timestamptz, timestamptz, jsonb, text, text) IS
    'the query by which calls() finds calls; its parameters are the tenants and, in order, the arguments of calls() (internal)';

CREATE FUNCTION mulberry.calls(
    number     text DEFAULT NULL,
    since      timestamptz DEFAULT NULL,
    until      timestamptz DEFAULT NULL,
    attributes jsonb DEFAULT NULL,
    direction  text DEFAULT NULL,
    state      text DEFAULT NULL,
    tenant     text DEFAULT NULL,
    max_rows   integer DEFAULT 100
) RETURNS SETOF mulberry.call_summary
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    targets uuid[] := mulberry.current_tenants('supervisor');
BEGIN
    IF calls.tenant IS NOT NULL OR targets = '{}' THEN
        targets := ARRAY[mulberry_internal.resolve_tenant(calls.tenant, 'supervisor')];
    END IF;
    PERFORM mulberry_internal.check_texts('number', calls.number, 'direction', calls.direction, 'state', calls.state);
    PERFORM mulberry_internal.check_json('attributes', calls.attributes);
    PERFORM mulberry_internal.check_details(calls.direction, calls.number, NULL, calls.attributes);
    IF calls.attributes = '{}' THEN
        RAISE EXCEPTION 'attributes name nothing' USING ERRCODE = 'invalid_parameter_value', HINT = 'Null is for calls with any.';
    END IF;
    IF calls.until <= calls.since THEN
        RAISE EXCEPTION 'until must lie behind since' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF calls.state NOT IN (SELECT m.to_state FROM mulberry.state_machines() m WHERE m.table_name = 'calls') THEN
        RAISE EXCEPTION 'unknown state "%"', calls.state
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'States are IN_PROGRESS, COMPLETED, PROCESSING_AI, ARCHIVED and FAILED.';
    END IF;
    IF calls.max_rows IS NULL OR calls.max_rows < 1 OR calls.max_rows > 10000 THEN
        RAISE EXCEPTION 'max_rows must lie between 1 and 10000' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    EXECUTE format('SELECT t.name, c.call_id, c.state, d.direction, d.from_number, d.to_number, coalesce(d.attributes, ''{}''),'
                   ' c.track || coalesce((SELECT array_agg(k.name ORDER BY k.number) FROM mulberry_internal.tracks k'
                   ' WHERE k.call = c.id), ''{}''),'
                   ' coalesce(c.started_at, c.created_at), c.completed_at, c.finished_at, c.sentiment'
                   ' FROM (%s) AS found (id)'
                   ' JOIN mulberry_internal.calls c ON c.id = found.id'
                   ' JOIN mulberry_internal.tenants t ON t.id = c.tenant'
                   ' LEFT JOIN mulberry_internal.call_details d ON d.call = c.id'
                   ' ORDER BY coalesce(c.started_at, c.created_at) DESC, c.id DESC',
                mulberry_internal.calls_query(calls.number, calls.since, calls.until, calls.attributes, calls.direction, calls.state))
      USING targets, calls.number, calls.since, calls.until, calls.attributes, calls.direction, calls.state, calls.max_rows;
END
$$;
COMMENT ON FUNCTION mulberry.calls(text, timestamptz, timestamptz, jsonb, text, text, text, integer) IS
    'calls, the newest first: of a number (either side), that began since and before until, with these attributes ({"queue": "sales"}), '
    'of a direction, in a state; null: any. For the next ones say until => the started_at of the last. Needs supervisor access';

-- src/calls/metrics.sql
CREATE FUNCTION metrics_calls(tenants uuid[], by_tenant boolean)
RETURNS TABLE (metric text, tenant uuid, labels jsonb, value double precision)
LANGUAGE sql STABLE
AS $$
    WITH unfinished AS (
        SELECT CASE WHEN by_tenant THEN c.tenant END AS tenant, c.state, count(*) AS number
          FROM mulberry_internal.calls c
         WHERE c.finished_at IS NULL AND c.tenant = ANY (tenants)
         GROUP BY 1, 2
    )
    SELECT 'mulberry_calls', u.tenant, jsonb_build_object('state', s.state), coalesce(n.number, 0)::double precision
      FROM (SELECT DISTINCT x.tenant FROM unfinished x UNION SELECT NULL WHERE NOT by_tenant) AS u
     CROSS JOIN (VALUES ('IN_PROGRESS'), ('COMPLETED'), ('PROCESSING_AI')) AS s (state)
      LEFT JOIN unfinished n ON n.tenant IS NOT DISTINCT FROM u.tenant AND n.state = s.state
$$;
COMMENT ON FUNCTION metrics_calls(uuid[], boolean) IS 'metrics of calls (internal)';

-- src/calls/progress.sql
-- How far a call is, for who waits for its transcript.

CREATE FUNCTION seconds_of_audio(call bigint, from_track integer) RETURNS double precision
LANGUAGE sql STABLE AS $$
    SELECT sum((last.sequence + 1 - k.missing_count) * last.size / CASE k.encoding WHEN 's16le' THEN 2 ELSE 1 END
               / k.sample_rate::double precision)
      FROM mulberry_internal.all_tracks k
     CROSS JOIN LATERAL (SELECT p.sequence, length(p.data) AS size FROM mulberry_internal.packets p
                          WHERE p.call = k.id ORDER BY p.sequence DESC LIMIT 1) AS last
     WHERE k.call = $1 AND k.number >= $2 AND k.encoding <> 'text'
$$;
COMMENT ON FUNCTION seconds_of_audio(bigint, integer) IS
    'about how much audio the tracks of a call have from that number on, as if all packets were as long as the last one; null: none '
    '(internal)';

CREATE FUNCTION place_in_queue(j job_queue) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT count(*)::integer + 1
      FROM (SELECT FROM mulberry_internal.job_queue q
             WHERE q.route = (j).route AND q.tenant = (j).tenant AND q.run_at <= (j).run_at AND q.state = 'queued'
               AND (q.run_at < (j).run_at OR q.id < (j).id)
             LIMIT 10000) AS before
$$;
COMMENT ON FUNCTION place_in_queue(job_queue) IS
    'which of the waiting jobs of its tenant at its endpoint a job is, 1 for the next one; whoever is behind 10,000 is behind 10,000 '
    '(internal)';

CREATE FUNCTION recent_speed(route bigint, kind text, OUT a_job double precision, OUT a_second double precision)
LANGUAGE sql STABLE AS $$
    -- started_at is when the last part of a divided one began
    SELECT avg(s.taken), sum(s.taken) FILTER (WHERE s.audio > 0) / sum(s.audio) FILTER (WHERE s.audio > 0)
      FROM (SELECT extract(epoch FROM h.finished_at - h.started_at)
                   * CASE jsonb_typeof(c.ai_result->'parts') WHEN 'number' THEN (c.ai_result->>'parts')::double precision
                          ELSE 1 END AS taken,
                   CASE jsonb_typeof(c.ai_result->'audio_seconds') WHEN 'number'
                        THEN (c.ai_result->>'audio_seconds')::double precision END AS audio
              FROM (SELECT * FROM mulberry_internal.job_history x ORDER BY x.finished_at DESC LIMIT 200) AS h
              LEFT JOIN mulberry_internal.calls c ON c.id = h.call
             WHERE h.route = $1 AND h.kind = $2 AND h.state = 'done') AS s
$$;
COMMENT ON FUNCTION recent_speed(bigint, text) IS
    'how many seconds an endpoint took for a job, and for a second of audio, among the last 200 jobs that ended; null: there was none '
    '(internal)';

CREATE FUNCTION mulberry.call_progress(call_id text, tenant text DEFAULT NULL,
    OUT state text, OUT job text, OUT track text, OUT endpoint text, OUT running boolean, OUT parts_done integer, OUT parts integer,
    OUT queue_position integer, OUT waits_for text, OUT until timestamptz, OUT attempts integer,
    OUT audio_seconds double precision, OUT estimated_seconds double precision)
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner    CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'ingest', 'supervisor', 'auditor');
    at       CONSTANT timestamptz := clock_timestamp();
    c        mulberry_internal.calls;
    j        mulberry_internal.job_queue;
    e        mulberry_internal.endpoints;
    breaker  mulberry_internal.endpoint_state;
    of_track integer;
    division jsonb;
    speed    record;
    slots    double precision;
    own      double precision;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', call_progress.call_id);
    c := mulberry_internal.find_call(owner, call_progress.call_id);
    state := c.state;
    SELECT q.* INTO j FROM mulberry_internal.job_queue q WHERE q.call = c.id ORDER BY q.id LIMIT 1;
    IF NOT FOUND THEN
        waits_for := CASE c.state WHEN 'IN_PROGRESS' THEN 'end of call' END;
        RETURN;
    END IF;
    SELECT x.* INTO e FROM mulberry_internal.endpoints x WHERE x.id = j.route;
    breaker := mulberry_internal.open_breaker(j.route, j.tenant);
    job := j.kind;
    endpoint := coalesce(e.name, j.endpoint);
    attempts := j.attempts;
    running := j.state = 'running' AND j.run_at > at;
    of_track := CASE j.kind WHEN 'transcribe' THEN mulberry_internal.track_of_job(j) END;
    track := (SELECT t.name FROM mulberry_internal.all_tracks t WHERE t.call = c.id AND t.number = of_track);
    division := j.payload->'division';
    IF of_track IS NOT NULL THEN
        audio_seconds := mulberry_internal.seconds_of_audio(c.id, of_track);
        parts := coalesce((division->>'parts')::integer, CASE WHEN running THEN 1 END);
        -- what was done of another division counts for nothing
        parts_done := CASE WHEN parts IS NULL THEN NULL
                           WHEN j.payload->'part_bytes' = division->'part_bytes' THEN coalesce((j.payload->>'parts_done')::integer, 0)
                           ELSE 0 END;
    END IF;

    IF NOT running THEN
        waits_for := CASE
            WHEN NOT mulberry.outbound_allowed() THEN 'resume_outbound()'
            WHEN j.route IS NULL OR e.enabled IS FALSE OR breaker.endpoint IS NOT NULL THEN 'endpoint'
            WHEN NOT isfinite(j.run_at) THEN 'retry_job()'
            WHEN j.run_at <= at THEN 'turn'
            WHEN j.attempts > 0 OR j.deferrals > 0 THEN 'next attempt'
            ELSE 'late packets' END;
        until := CASE waits_for WHEN 'endpoint' THEN breaker.retry_at WHEN 'next attempt' THEN j.run_at
                                WHEN 'late packets' THEN j.run_at END;
        queue_position := CASE WHEN j.route IS NOT NULL THEN mulberry_internal.place_in_queue(j) END;
    END IF;

    IF waits_for IN ('resume_outbound()', 'endpoint', 'retry_job()') THEN
        RETURN;    -- nobody knows
    END IF;
    speed := mulberry_internal.recent_speed(j.route, j.kind);
    own := coalesce(audio_seconds * speed.a_second * (1 - coalesce(parts_done::double precision / parts, 0)), speed.a_job);
    IF parts_done > (division->>'done_before')::integer THEN
        own := (parts - parts_done) * extract(epoch FROM j.started_at - (division->>'began')::timestamptz)
               / (parts_done - (division->>'done_before')::integer);
    END IF;
    IF running THEN
        estimated_seconds := CASE WHEN own IS NOT NULL THEN greatest(own - extract(epoch FROM at - j.started_at), 0) END;
    ELSE
        -- tenants with jobs there have turns; of those that are under way each is half done
        slots := least(e.max_concurrency,
                       current_setting('mulberry.workers')::integer * current_setting('mulberry.http_concurrency')::integer)
                 / (SELECT greatest(count(*), 1)::double precision
                      FROM mulberry_internal.job_lanes() l WHERE l.route = j.route AND l.run_at <= at);
        estimated_seconds := greatest(extract(epoch FROM until - at), 0,
                                      (queue_position - 1
                                       + (SELECT count(*) FROM mulberry_internal.job_queue q
                                           WHERE q.route = j.route AND q.tenant = j.tenant AND q.state = 'running' AND q.run_at > at) * 0.5)
                                      * speed.a_job / slots) + own;
    END IF;
END
$$;
COMMENT ON FUNCTION mulberry.call_progress(text, text) IS
    'how far a call is: its state, the job that is next or under way, of which track, at which endpoint; parts_done of parts, in which a '
    'long call is transcribed (null: not known before it begins); queue_position among the waiting jobs of its tenant at that endpoint (1: '
    'next). waits_for: end of call, late packets, turn, next attempt, endpoint (none, disabled, or out), retry_job() or resume_outbound() '
    'by somebody; until when, where that is known. estimated_seconds until that job is done, by what its endpoint did lately; null: '
    'there is nothing to go by. Errors: 42704 no such call';

-- src/calls/recordings.sql
-- Whole recordings: a WAV file that becomes the packets of a call.

CREATE FUNCTION recording_rate(rate integer) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN rate <= 8000 THEN 8000 WHEN rate <= 16000 THEN 16000 WHEN rate IN (22050, 44100) THEN 44100 ELSE 48000 END;
COMMENT ON FUNCTION recording_rate(integer) IS
    'at which rate a recording of another is kept: a higher one, as far as there is one (internal)';

CREATE FUNCTION ingest_channel(call_id text, track all_tracks, audio bytea, packet_ms integer, first_sent_at timestamptz,
    owner uuid) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    samples CONSTANT integer := track.sample_rate * packet_ms / 1000;
    size    CONSTANT integer := samples * CASE track.encoding WHEN 's16le' THEN 2 ELSE 1 END;
    total   CONSTANT integer := (length(audio) + size - 1) / size;
    many    CONSTANT integer := least(200, current_setting('mulberry.max_batch_packets')::integer);
    refused record;
BEGIN
    FOR start IN 0 .. total - 1 BY many LOOP
        SELECT r.status, r.message, r.sqlstate INTO refused
          FROM (SELECT array_agg(CASE WHEN track.counter_bits IS NULL THEN track.first_sequence + s
                                      ELSE (track.first_sequence + s) % (1::bigint << track.counter_bits) END ORDER BY s) AS sequences,
                       array_agg(substr(audio, s * size + 1, size) ORDER BY s) AS data,
                       array_agg(first_sent_at + s * (samples::double precision / track.sample_rate) * interval '1 s' ORDER BY s) AS sent_at
                  FROM generate_series(start, least(start + many, total) - 1) AS s) AS b
               CROSS JOIN LATERAL mulberry_internal.ingest_packets_of(
                   array_fill(ingest_channel.call_id, ARRAY[cardinality(b.sequences)]), b.sequences, b.data, b.sent_at,
                   track.encoding, track.sample_rate, ingest_channel.owner, tracks => ARRAY[track.name]) AS r
         WHERE r.status <> 'accepted'
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION '%', CASE refused.status
                    WHEN 'duplicate' THEN format('track "%s" of call "%s" has packets already', track.name, ingest_channel.call_id)
                    ELSE refused.message END
                USING ERRCODE = coalesce(refused.sqlstate, '55000');
        END IF;
    END LOOP;
    RETURN total;
END
$$;
COMMENT ON FUNCTION ingest_channel(text, all_tracks, bytea, integer, timestamptz, uuid) IS
    'cuts audio into the packets of a track that has none, and returns how many (internal)';

CREATE FUNCTION store_recording(owner uuid, call_id text, wav bytea, tracks text[], encoding text, sample_rate integer,
    started_at timestamptz, complete boolean, packet_ms integer, allow_truncated boolean) RETURNS SETOF mulberry.recording_track
LANGUAGE plpgsql AS $$
DECLARE
    names  text[] := store_recording.tracks;
    file   record;
    known  record;
    track  mulberry_internal.all_tracks;
    part   record;
    made   mulberry.recording_track;
    totals jsonb := jsonb '{}';
BEGIN
    IF store_recording.call_id IS NULL OR store_recording.wav IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN store_recording.call_id IS NULL THEN 'call id' ELSE 'wav' END
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF store_recording.packet_ms IS NULL OR store_recording.packet_ms NOT BETWEEN 10 AND 1000 THEN
        RAISE EXCEPTION 'packet_ms must lie between 10 and 1000' USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    IF NOT isfinite(store_recording.started_at) THEN
        RAISE EXCEPTION 'started_at must be finite' USING ERRCODE = 'datetime_field_overflow';
    END IF;
    IF store_recording.encoding NOT IN ('mulaw', 'alaw', 's16le') THEN
        RAISE EXCEPTION 'a recording cannot be kept in encoding "%"', store_recording.encoding
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It can be kept as mulaw, alaw or s16le.';
    END IF;
    SELECT d.encoding, d.sample_rate, d.channels INTO file
      FROM mulberry.wav_decode(store_recording.wav, 1, store_recording.allow_truncated) AS d;
    IF names IS NULL THEN
        names := CASE file.channels WHEN 1 THEN ARRAY[NULL] WHEN 2 THEN ARRAY['left', 'right']
                                    ELSE ARRAY(SELECT 'channel ' || c FROM generate_series(1, file.channels) AS c) END;
    END IF;
    IF cardinality(names) NOT IN (1, file.channels) OR array_ndims(names) <> 1 THEN
        RAISE EXCEPTION 'the recording has % channels, and % tracks are named', file.channels, cardinality(names)
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'One name is for all channels together, else each needs one.';
    END IF;
    IF cardinality(names) > 1 AND (array_position(names, NULL) IS NOT NULL
                                   OR (SELECT count(DISTINCT n) FROM unnest(names) AS n) < cardinality(names)) THEN
        RAISE EXCEPTION 'each channel needs a track of its own' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT c.id, coalesce(c.started_at, c.created_at) AS began INTO known
      FROM mulberry_internal.calls c WHERE c.tenant = owner AND c.call_id = store_recording.call_id;
    FOR channel IN 1 .. cardinality(names) LOOP
        track := NULL;
        SELECT t.* INTO track
          FROM mulberry_internal.all_tracks t
          JOIN mulberry_internal.calls c ON c.id = t.call
         WHERE c.tenant = owner AND c.call_id = store_recording.call_id
           AND CASE WHEN names[channel] IS NULL THEN t.number = 0 ELSE t.name = names[channel] END;
        track.name := coalesce(names[channel], track.name, 'main');
        track.first_sequence := coalesce(track.first_sequence, 0);
        track.encoding := coalesce(store_recording.encoding, track.encoding,
            CASE WHEN file.encoding IN ('mulaw', 'alaw') THEN file.encoding ELSE 's16le' END);
        track.sample_rate := coalesce(store_recording.sample_rate, track.sample_rate,
            mulberry_internal.recording_rate(file.sample_rate));
        SELECT mulberry.audio_convert(d.audio, d.encoding, d.sample_rate, track.encoding, track.sample_rate) AS audio, d.duration_ms
          INTO part
          FROM mulberry.wav_decode(store_recording.wav, CASE WHEN cardinality(names) > 1 THEN channel END,
                   store_recording.allow_truncated) AS d;
        made := (track.name, track.encoding, track.sample_rate,
                 mulberry_internal.ingest_channel(store_recording.call_id, track, part.audio, store_recording.packet_ms,
                     coalesce(store_recording.started_at, known.began, statement_timestamp()), owner),
                 part.duration_ms);
        totals := totals || jsonb_build_object(made.track, made.packets);
        RETURN NEXT made;
    END LOOP;
    IF known.id IS NULL THEN
        UPDATE mulberry_internal.calls c SET started_at = store_recording.started_at
         WHERE c.tenant = owner AND c.call_id = store_recording.call_id AND store_recording.started_at IS NOT NULL;
    END IF;
    IF store_recording.complete THEN
        PERFORM mulberry_internal.complete_call_of(store_recording.call_id, NULL, owner, NULL, totals);
    END IF;
END
$$;
COMMENT ON FUNCTION store_recording(uuid, text, bytea, text[], text, integer, timestamptz, boolean, integer, boolean) IS
    'ingest_recording() for a tenant by its id: whoever calls it has looked who asks (internal)';

CREATE FUNCTION mulberry.ingest_recording(
    call_id         text,
    wav             bytea,
    tracks          text[] DEFAULT NULL,
    encoding        text DEFAULT NULL,
    sample_rate     integer DEFAULT NULL,
    started_at      timestamptz DEFAULT NULL,
    complete        boolean DEFAULT false,
    packet_ms       integer DEFAULT 100,
    tenant          text DEFAULT NULL,
    allow_truncated boolean DEFAULT false
) RETURNS SETOF mulberry.recording_track
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(ingest_recording.tenant, 'ingest');
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', ingest_recording.call_id, 'encoding', ingest_recording.encoding);
    RETURN QUERY SELECT r.* FROM mulberry_internal.store_recording(owner, ingest_recording.call_id, ingest_recording.wav,
        ingest_recording.tracks, ingest_recording.encoding, ingest_recording.sample_rate, ingest_recording.started_at,
        ingest_recording.complete, ingest_recording.packet_ms, ingest_recording.allow_truncated) AS r;
END
$$;
COMMENT ON FUNCTION mulberry.ingest_recording(text, bytea, text[], text, integer, timestamptz, boolean, integer, text, boolean) IS
    'takes a whole WAV file: cuts it into packets of packet_ms, which become a track for each channel (tracks null: the first track of a '
    'mono file, left and right of a stereo one), or one of the mean of all channels where tracks has one name. Encoding and rate null: '
    'those of the track, for a new one the file''s as far as calls can have them. started_at is when it begins (null: when the call '
    'began). complete: the tracks have nothing further. allow_truncated as in wav_decode(). Needs ingest access';

-- src/calls/retention.sql
CREATE FUNCTION remove_call(tenant uuid, call_id text) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_remove_call';
COMMENT ON FUNCTION remove_call(uuid, text) IS
    'internal: removes a call with its packets under its lock and returns its id; null when there is none';

CREATE FUNCTION remove_finished_call(call bigint, with_packets boolean) RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_remove_finished_call';
COMMENT ON FUNCTION remove_finished_call(bigint, boolean) IS
    'internal: removes a call that is ARCHIVED or FAILED; false when it is gone, busy, or in another state. Without packets when their '
    'partition is about to be dropped';

CREATE FUNCTION erase_call_of(owner uuid, call_id text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    erased bigint;
    beside boolean;
BEGIN
    -- Whoever works on a job holds its row before the call lock, so jobs go
    -- first; and once more, because one may have come meanwhile.
    DELETE FROM mulberry_internal.job_queue j USING mulberry_internal.calls c
     WHERE c.tenant = owner AND c.call_id = erase_call_of.call_id AND j.call = c.id;
    DELETE FROM mulberry_internal.job_history j USING mulberry_internal.calls c
     WHERE c.tenant = owner AND c.call_id = erase_call_of.call_id AND j.call = c.id;
    erased := mulberry_internal.remove_call(owner, call_id);
    PERFORM mulberry_internal.forget_conversation(owner, call_id);
    beside := mulberry_internal.forget_inbound_call(owner, call_id);
    IF erased IS NULL AND NOT beside THEN
        RETURN false;
    END IF;
    DELETE FROM mulberry_internal.job_queue j WHERE j.call = erased;
    DELETE FROM mulberry_internal.job_history j WHERE j.call = erased;
    -- the events keep their numbers, which have no gaps
    UPDATE mulberry_internal.events e SET payload = '{"erased": true}' WHERE e.call = erased;
    PERFORM mulberry_internal.emit_event(owner, 'call_erased', NULL, call_id,
                                jsonb_build_object('role', mulberry_internal.outer_role_name()));
    RETURN true;
END
$$;
COMMENT ON FUNCTION erase_call_of(uuid, text) IS
    'erase_call() for a tenant by its id; false when there is nothing of that name (internal)';

CREATE FUNCTION mulberry.erase_call(call_id text, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', erase_call.call_id);
    IF call_id IS NULL THEN
        RAISE EXCEPTION 'call id must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF NOT mulberry_internal.erase_call_of(owner, call_id) THEN
        RAISE EXCEPTION 'call "%" does not exist', call_id USING ERRCODE = 'undefined_object';
    END IF;
END
$$;
COMMENT ON FUNCTION mulberry.erase_call(text, text) IS
    'removes a call, whatever its state: packets, transcript, jobs and what its events said; leaves the event call_erased. Needs admin '
    'access';

CREATE FUNCTION packet_partitions()
RETURNS TABLE (partition regclass, relname name, day date, first_call bigint, end_call bigint)
LANGUAGE sql STABLE AS $$
    SELECT c.oid::regclass, c.relname, d.day,
           (d.day - date '1970-01-01')::bigint << 40, (d.day - date '1970-01-01' + 1)::bigint << 40
      FROM pg_inherits i
      JOIN pg_class c ON c.oid = i.inhrelid
           CROSS JOIN LATERAL (SELECT to_date(substr(c.relname, 9), 'YYYYMMDD') AS day) AS d
     WHERE i.inhparent = 'mulberry_internal.packets'::regclass AND c.relname ~ '^packets_[0-9]{8}$'
$$;
COMMENT ON FUNCTION packet_partitions() IS
    'internal: partitions of packets, their days (UTC), and the calls (from first_call to before end_call) they are for';

CREATE FUNCTION drop_partition(partition regclass) RETURNS boolean
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms' AS $$
BEGIN
    PERFORM mulberry_internal.limit_waits();
    -- waiting for long readers would keep new ones out: better the next time
    LOCK TABLE ONLY mulberry_internal.packets IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', partition);
    -- A transaction that was open for long may just have committed a call that
    -- began on that day; an older snapshot would not show it.
    IF current_setting('transaction_isolation') <> 'read committed'
       OR EXISTS (SELECT FROM mulberry_internal.packet_partitions() p
                    JOIN mulberry_internal.calls c ON c.id >= p.first_call AND c.id < p.end_call
                   WHERE p.partition = drop_partition.partition) THEN
        RAISE lock_not_available;
    END IF;
    EXECUTE format('DROP TABLE %s', partition);
    RETURN true;
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    PERFORM mulberry_internal.blocked();
    RETURN false;
END
$$;
COMMENT ON FUNCTION drop_partition(regclass) IS
    'internal: drops a partition of packets that no call needs; false when one does after all, or somebody is reading';

CREATE FUNCTION retention_limits() RETURNS TABLE (tenant uuid, name text, kept_since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT t.id, t.name,
           clock_timestamp() - coalesce(t.retention, nullif(current_setting('mulberry.retention'), '')::interval)
      FROM mulberry_internal.tenants t
$$;
COMMENT ON FUNCTION retention_limits() IS
    'internal: since when a call of each tenant must have finished to be kept still; null: calls are kept for ever';

CREATE FUNCTION day_expired(partition_day date) RETURNS boolean
LANGUAGE sql STABLE AS $$
    -- a day on which a slow clock might still begin calls is not over
    SELECT p.day < (clock_timestamp() AT TIME ZONE 'UTC')::date - 1
       AND NOT EXISTS (SELECT FROM mulberry_internal.calls c
                         JOIN mulberry_internal.retention_limits() r ON r.tenant = c.tenant
                        WHERE c.id >= p.first_call AND c.id < p.end_call
                          AND (c.finished_at < r.kept_since) IS NOT TRUE)
      FROM mulberry_internal.packet_partitions() p
     WHERE p.day = partition_day
$$;
COMMENT ON FUNCTION day_expired(date) IS
    'internal: true when no call that began on that day is kept any longer, so that its partition can go as a whole; null: there is no '
    'such partition';

CREATE FUNCTION apply_retention(dry_run boolean, max_calls integer, drop_partitions boolean)
RETURNS TABLE (action text, object text, calls bigint)
LANGUAGE plpgsql
    SET lock_timeout = '100ms' AS $$
DECLARE
    limits  record;
    expired record;
    day     record;
    whole   jsonb := jsonb '{}'; -- day -> day_expired(day)
    left_to_do integer := max_calls;
    erased  bigint;
BEGIN
    IF NOT dry_run AND NOT mulberry_internal.try_maintenance_lock() THEN
        RETURN;
    END IF;
    PERFORM mulberry_internal.limit_waits();

    FOR limits IN
        SELECT r.tenant, r.name, r.kept_since FROM mulberry_internal.retention_limits() r WHERE r.kept_since IS NOT NULL ORDER BY r.name
    LOOP
        erased := 0;
        FOR expired IN
            SELECT c.id, date '1970-01-01' + (c.id >> 40)::integer AS day
              FROM mulberry_internal.calls c
             WHERE c.tenant = limits.tenant AND c.finished_at < limits.kept_since
               AND (dry_run OR NOT mulberry_internal.is_set_aside('retention', c.id::text))
             ORDER BY c.finished_at
             LIMIT CASE WHEN NOT dry_run THEN left_to_do END
        LOOP
            EXIT WHEN NOT dry_run AND mulberry_internal.call_locks_left() = 0;
            IF NOT dry_run THEN
                IF NOT whole ? expired.day::text THEN
                    whole := whole || jsonb_build_object(expired.day::text, mulberry_internal.day_expired(expired.day));
                END IF;
                BEGIN
                    CONTINUE WHEN NOT mulberry_internal.remove_finished_call(expired.id,
                        (whole ->> expired.day::text)::boolean IS NOT TRUE);
                EXCEPTION
                    WHEN lock_not_available OR transaction_rollback THEN
                        PERFORM mulberry_internal.blocked();
                        CONTINUE;
                    WHEN OTHERS THEN
                        PERFORM mulberry_internal.set_aside('retention', expired.id::text, limits.tenant, SQLSTATE, SQLERRM);
                        CONTINUE;
                END;
                left_to_do := left_to_do - 1;
            END IF;
            erased := erased + 1;
        END LOOP;
        IF erased > 0 THEN
            action := 'erase calls';
            object := limits.name;
            calls := erased;
            RETURN NEXT;
        END IF;
    END LOOP;

    FOR day IN
        SELECT p.partition, p.relname FROM mulberry_internal.packet_partitions() p
         WHERE CASE WHEN dry_run THEN mulberry_internal.day_expired(p.day)
                    ELSE p.day < (clock_timestamp() AT TIME ZONE 'UTC')::date - 1
                         AND NOT EXISTS (SELECT FROM mulberry_internal.calls c WHERE c.id >= p.first_call AND c.id < p.end_call)
               END
         ORDER BY p.day
    LOOP
        -- the lock of all packets, which nobody may keep
        CONTINUE WHEN NOT dry_run AND (NOT drop_partitions OR NOT mulberry_internal.drop_partition(day.partition));
        action := 'drop partition';
        object := day.relname;
        calls := NULL;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION apply_retention(boolean, integer, boolean) IS
    'retention(), which says what it is; drop_partitions is false in a transaction block, which might keep the lock of all packets '
    '(internal)';

CREATE FUNCTION mulberry.retention(dry_run boolean DEFAULT false, max_calls integer DEFAULT 500)
RETURNS TABLE (action text, object text, calls bigint)
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM mulberry_internal.require_access_everywhere('admin', 'worker');
    IF dry_run IS NULL OR max_calls IS NULL OR max_calls < 1 THEN
        RAISE EXCEPTION 'dry_run must not be null and max_calls must be at least 1'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT dry_run THEN
        PERFORM mulberry_internal.require_call_locks();
    END IF;
    RETURN QUERY
        SELECT r.action, r.object, r.calls
          FROM mulberry_internal.apply_retention(dry_run, max_calls, NOT mulberry.in_transaction_block()) r;
END
$$;
COMMENT ON FUNCTION mulberry.retention(boolean, integer) IS
    'removes at most max_calls calls that finished longer ago than their tenant''s retention, and partitions of past days that no call '
    'needs; dry_run tells what it would do. Needs admin access to all tenants';

-- src/calls/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().  A gateway erases for those whom it
-- works for (authenticate()): the function asks for admin access itself.
CREATE FUNCTION access_rules_calls() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('begin_call', 'EXECUTE', 'ingest'),
    ('describe_call', 'EXECUTE', 'ingest operator'),
    ('calls', 'EXECUTE', 'supervisor'),
    ('ingest_packet', 'EXECUTE', 'ingest'),
    ('ingest_packets', 'EXECUTE', 'ingest'),
    ('ingest_recording', 'EXECUTE', 'ingest'),
    ('complete_call', 'EXECUTE', 'ingest operator'),
    ('call_status', 'SELECT', 'ingest supervisor auditor'),
    ('call_tracks', 'SELECT', 'ingest supervisor auditor'),
    ('call_progress', 'EXECUTE', 'ingest supervisor auditor'),
    ('call_packets', 'SELECT', 'supervisor'),
    ('call_audio', 'EXECUTE', 'supervisor'),
    ('call_audio_part', 'EXECUTE', 'supervisor'),
    ('call_audio_stereo', 'EXECUTE', 'supervisor'),
    ('call_audio_mixed', 'EXECUTE', 'supervisor'),
    ('call_gaps', 'EXECUTE', 'supervisor'),
    ('call_dtmf', 'EXECUTE', 'supervisor'),
    ('call_speech', 'EXECUTE', 'supervisor'),
    ('call_waveform', 'EXECUTE', 'supervisor'),
    ('call_segments', 'EXECUTE', 'supervisor auditor'),
    ('call_transcript', 'EXECUTE', 'supervisor auditor'),
    ('search_calls', 'EXECUTE', 'supervisor auditor'),
    ('erase_call', 'EXECUTE', 'admin gateway'),
    ('retention', 'EXECUTE', 'admin worker'),
    ('complete_silent_call', 'EXECUTE', 'worker'),
    ('start_processing', 'EXECUTE', 'worker'),
    ('finish_call', 'EXECUTE', 'worker'),
    ('transcription_input', 'EXECUTE', 'worker'),
    ('finish_transcription', 'EXECUTE', 'worker'),
    ('finish_sentiment', 'EXECUTE', 'worker'),
    ('fail_call', 'EXECUTE', 'worker'),
    ('keep_segments', 'EXECUTE', 'worker'),
    ('sentiment', 'EXECUTE', 'supervisor auditor gateway worker')
$$;
COMMENT ON FUNCTION access_rules_calls() IS 'which access needs which object of calls';

-- src/jobs/endpoints.sql
CREATE FUNCTION replace_seeded_endpoint() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    IF NOT new.seeded THEN
        DELETE FROM mulberry_internal.endpoints e
         WHERE e.seeded AND e.tenant IS NOT DISTINCT FROM new.tenant AND e.id <> new.id
           AND (e.name = new.name OR e.purpose = new.purpose);
    ELSIF TG_OP = 'INSERT' AND EXISTS (SELECT FROM mulberry_internal.endpoints e WHERE e.id = new.id) THEN
        -- a subscription copies what was seeded here as well
        RETURN NULL;
    END IF;
    RETURN new;
END
$$;
COMMENT ON FUNCTION replace_seeded_endpoint() IS
    'trigger: an endpoint of the same name or purpose takes the place of the one that the install script made, in a restored dump and a '
    'subscription as well';
CREATE TRIGGER replace_seeded BEFORE INSERT OR UPDATE ON endpoints
    FOR EACH ROW EXECUTE FUNCTION replace_seeded_endpoint();
-- also for the initial copy of a subscription
ALTER TABLE endpoints ENABLE ALWAYS TRIGGER replace_seeded;

-- A secret of the endpoint's tenant; of an endpoint of all tenants, the job's tenant's own or that of "default".
CREATE FUNCTION secret_tenant(owner uuid, secret text, tenant uuid) RETURNS uuid
LANGUAGE sql STABLE
AS $$
    SELECT coalesce($1,
        (SELECT s.tenant FROM mulberry_internal.secrets s
           JOIN mulberry_internal.tenants t ON t.id = s.tenant
          WHERE s.name = $2 AND (s.tenant = $3 OR t.name = 'default')
          ORDER BY s.tenant = $3 DESC LIMIT 1))
$$;
COMMENT ON FUNCTION secret_tenant(uuid, text, uuid) IS
    'whose secret of this name an endpoint uses for a tenant: its owner''s, or of an endpoint of all tenants (owner null) the tenant''s '
    'own before that of tenant "default"; null: there is none (internal)';

CREATE FUNCTION normalize_endpoint_url(url text, allow_http boolean, allow_private boolean, kind text DEFAULT '') RETURNS text
LANGUAGE c IMMUTABLE STRICT
AS 'MODULE_PATHNAME', 'mulberry_normalize_endpoint_url';
COMMENT ON FUNCTION normalize_endpoint_url(text, boolean, boolean, text) IS
    'checks the base URL of an endpoint, of a kind as well what its path must not end in, and returns it without a slash at its end '
    '(internal)';

-- What set_endpoint() and alter_endpoint() are about to write; "before" is what is there, null when nothing counts of it.
CREATE FUNCTION check_endpoint(INOUT e endpoints, before endpoints)
LANGUAGE plpgsql
AS $$
DECLARE
    service record;
    wrong   text;
BEGIN
    SELECT * INTO service FROM mulberry_internal.endpoint_kind(e.kind, e.purpose);
    e.base_url := coalesce(e.base_url, (SELECT max(k.default_url) FROM mulberry.endpoint_kinds() k WHERE k.kind = e.kind));
    IF e.base_url IS NULL THEN
        RAISE EXCEPTION 'an endpoint of kind % needs a base_url', e.kind USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF service.needs_model AND e.model IS NULL THEN
        RAISE EXCEPTION 'an endpoint for % needs a model', e.purpose USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF extract(epoch FROM e.timeout) NOT BETWEEN 0.1 AND 3600 THEN
        RAISE EXCEPTION 'timeout must be between 100 ms and 1 hour' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- years less as many days are an hour, too; added to a time they would lead out of its range
    e.timeout := make_interval(secs => extract(epoch FROM e.timeout));
    IF e.max_concurrency < 1 THEN
        RAISE EXCEPTION 'max_concurrency must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF e.priority < 0 THEN
        RAISE EXCEPTION 'priority must not be negative' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF jsonb_typeof(e.options) <> 'object' THEN
        RAISE EXCEPTION 'options must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT string_agg(format('"%s"', k), ', ' ORDER BY k) INTO wrong
      FROM jsonb_object_keys(e.options) AS k WHERE k <> ALL (service.options);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'unknown options: %', wrong
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('An endpoint of kind %s for %s takes: %s.', e.kind, coalesce(e.purpose, 'nothing in particular'),
                                  coalesce(nullif(array_to_string(service.options, ', '), ''), 'none'));
    END IF;
    IF e.options->>'response_format' NOT IN ('json', 'verbose_json') THEN
        RAISE EXCEPTION 'option response_format must be json or verbose_json' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF e.options ? 'max_audio_seconds'
       AND (jsonb_typeof(e.options->'max_audio_seconds') <> 'number'
            OR (e.options->>'max_audio_seconds')::numeric NOT BETWEEN 10 AND 14400) THEN
        RAISE EXCEPTION 'option max_audio_seconds must be a number from 10 to 14400' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF e.options ? 'temperature'
       AND (jsonb_typeof(e.options->'temperature') <> 'number'
            OR (e.options->>'temperature')::numeric NOT BETWEEN 0 AND 2) THEN
        RAISE EXCEPTION 'option temperature must be a number from 0 to 2' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    e.base_url := mulberry_internal.normalize_endpoint_url(e.base_url, e.allow_http, e.allow_private, e.kind);
    -- Somebody who administers one tenant must not reach into the server's own network, nor to another place there.
    IF e.allow_private AND NOT mulberry.has_access_everywhere('admin')
       AND (e.kind, e.base_url, e.allow_http, e.allow_private)
           IS DISTINCT FROM (before.kind, before.base_url, before.allow_http, before.allow_private) THEN
        RAISE EXCEPTION 'only an admin of all tenants may allow private addresses' USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- no ELSE: a kind whose options are checked nowhere is an error
    CASE e.kind
    WHEN 'openai', 'json' THEN
        NULL;    -- above
    WHEN 'twilio' THEN
        e.options := mulberry_internal.check_twilio_options(e.options, e.secret, e.allow_http, e.allow_private);
    END CASE;
END
$$;
COMMENT ON FUNCTION check_endpoint(endpoints, endpoints) IS
    'an endpoint as it is written, with its defaults, after what is not allowed in it was refused with an error (internal)';

CREATE FUNCTION write_endpoint(e endpoints, before endpoints) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    written bigint;
    other   text;
BEGIN
    -- One statement changes the row, so that two admins at once do not meet half way.
    UPDATE mulberry_internal.endpoints x
       SET kind = e.kind, base_url = e.base_url, purpose = e.purpose, priority = e.priority, model = e.model, secret = e.secret,
           options = e.options, timeout = e.timeout, max_concurrency = e.max_concurrency, allow_http = e.allow_http,
           allow_private = e.allow_private, enabled = e.enabled, seeded = false, updated_at = clock_timestamp()
     WHERE x.tenant IS NOT DISTINCT FROM e.tenant AND x.name = e.name
    RETURNING x.id INTO written;
    IF NOT FOUND THEN
        INSERT INTO mulberry_internal.endpoints (tenant, name, kind, base_url, purpose, priority, model, secret, options, timeout,
                                        max_concurrency, allow_http, allow_private, enabled)
        VALUES (e.tenant, e.name, e.kind, e.base_url, e.purpose, e.priority, e.model, e.secret, e.options, e.timeout,
                e.max_concurrency, e.allow_http, e.allow_private, e.enabled)
        RETURNING id INTO written;
    END IF;
    -- What was learnt of it is of what it was.
    IF (e.kind, e.base_url, e.purpose, e.model, e.secret, e.options, e.timeout, e.allow_http, e.allow_private)
       IS DISTINCT FROM (before.kind, before.base_url, before.purpose, before.model, before.secret, before.options, before.timeout,
                         before.allow_http, before.allow_private) THEN
        DELETE FROM mulberry_internal.endpoint_state s WHERE s.endpoint = written;
    END IF;
    PERFORM mulberry_internal.reroute_jobs();
    SELECT x.name INTO other FROM mulberry_internal.endpoints x
     WHERE x.tenant IS NOT DISTINCT FROM e.tenant AND x.purpose = e.purpose AND x.enabled ORDER BY x.priority, x.id LIMIT 1;
    IF other <> e.name AND e.enabled THEN
        RAISE NOTICE 'endpoint "%" comes first for %', other, e.purpose
            USING HINT = format('"%s" is asked while that one is out or disabled; a lower priority comes first, '
                                'with purpose null only jobs use it that name it.', e.name);
    END IF;
END
$$;
COMMENT ON FUNCTION write_endpoint(endpoints, endpoints) IS
    'adds an endpoint or replaces it, and finds its jobs; what is known of the service is forgotten unless it is asked as before '
    '(internal)';

CREATE FUNCTION mulberry.set_endpoint(name text, kind text, base_url text DEFAULT NULL, purpose text DEFAULT 'transcription',
    model text DEFAULT NULL, secret text DEFAULT NULL, options jsonb DEFAULT '{}', timeout interval DEFAULT NULL,
    max_concurrency integer DEFAULT NULL, allow_http boolean DEFAULT false, allow_private boolean DEFAULT false,
    enabled boolean DEFAULT true, priority integer DEFAULT 1, tenant text DEFAULT 'default') RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    e mulberry_internal.endpoints;
BEGIN
    PERFORM mulberry_internal.check_texts('name', set_endpoint.name, 'kind', set_endpoint.kind, 'base_url', set_endpoint.base_url,
        'purpose', set_endpoint.purpose, 'model', set_endpoint.model, 'secret', set_endpoint.secret);
    PERFORM mulberry_internal.check_json('options', set_endpoint.options);
    IF set_endpoint.tenant IS NULL THEN
        PERFORM mulberry_internal.require_access_everywhere('admin');
    ELSE
        e.tenant := mulberry_internal.resolve_tenant(set_endpoint.tenant, 'admin');
    END IF;
    IF set_endpoint.name IS NULL OR set_endpoint.kind IS NULL OR set_endpoint.options IS NULL OR set_endpoint.allow_http IS NULL
       OR set_endpoint.allow_private IS NULL OR set_endpoint.enabled IS NULL OR set_endpoint.priority IS NULL THEN
        RAISE EXCEPTION 'name, kind, options, allow_http, allow_private, enabled and priority must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF set_endpoint.name !~ '^[a-z0-9][a-z0-9_.-]{0,62}$' THEN
        RAISE EXCEPTION 'invalid name "%" of an endpoint', left(set_endpoint.name, 80)
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'A name has 1 to 63 lower-case letters, digits, underscores, dots or hyphens and begins with a letter or digit.';
    END IF;
    e.name := set_endpoint.name;
    e.kind := set_endpoint.kind;
    -- who fills in a form leaves fields empty
    e.base_url := nullif(set_endpoint.base_url, '');
    e.purpose := nullif(set_endpoint.purpose, '');
    e.model := nullif(set_endpoint.model, '');
    e.secret := nullif(set_endpoint.secret, '');
    e.options := set_endpoint.options;
    e.timeout := set_endpoint.timeout;
    e.max_concurrency := set_endpoint.max_concurrency;
    e.allow_http := set_endpoint.allow_http;
    e.allow_private := set_endpoint.allow_private;
    e.enabled := set_endpoint.enabled;
    e.priority := set_endpoint.priority;
    PERFORM mulberry_internal.write_endpoint(mulberry_internal.check_endpoint(e, NULL), NULL);
END
$$;
COMMENT ON FUNCTION mulberry.set_endpoint(text, text, text, text, text, text, jsonb, interval, integer, boolean, boolean, boolean, integer,
                                          text) IS
    'adds an endpoint or replaces all of it; tenant null: for all tenants that have none of their own. Of several for a purpose that with '
    'the lowest priority comes first, the next while it is out or disabled. Needs admin access; allow_private needs it for all tenants. '
    'Options of kind openai: language, prompt, temperature, response_format (json, verbose_json), max_audio_seconds (longer calls go in '
    'parts). Kind twilio: purpose telephony, base_url null for https://api.twilio.com, secret the auth token, options as '
    'docs/endpoints.md describes them';

CREATE FUNCTION refuse_unknown_endpoint(owner uuid, name text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'endpoint "%" does not exist', name
        USING ERRCODE = 'undefined_object',
              HINT = CASE WHEN owner IS NULL THEN 'Of all tenants, that is: for an endpoint of one of them say its name.'
                          ELSE 'Of this tenant, that is: for an endpoint of all of them say tenant => NULL.' END;
END
$$;
COMMENT ON FUNCTION refuse_unknown_endpoint(uuid, text) IS 'raises 42704, with where else to look (internal)';

CREATE FUNCTION mulberry.alter_endpoint(name text, kind text DEFAULT NULL, base_url text DEFAULT NULL,
    purpose text DEFAULT NULL, model text DEFAULT NULL, secret text DEFAULT NULL, options jsonb DEFAULT NULL,
    timeout interval DEFAULT NULL, max_concurrency integer DEFAULT NULL, allow_http boolean DEFAULT NULL,
    allow_private boolean DEFAULT NULL, enabled boolean DEFAULT NULL, priority integer DEFAULT NULL, tenant text DEFAULT 'default',
    clear text[] DEFAULT '{}') RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    clearable CONSTANT text[] := ARRAY['base_url', 'purpose', 'model', 'secret', 'options', 'timeout', 'max_concurrency'];
    owner     uuid;
    given     text[];
    wrong     text;
    before    mulberry_internal.endpoints;
    e         mulberry_internal.endpoints;
BEGIN
    PERFORM mulberry_internal.check_texts('name', alter_endpoint.name, 'kind', alter_endpoint.kind, 'base_url', alter_endpoint.base_url,
        'purpose', alter_endpoint.purpose, 'model', alter_endpoint.model, 'secret', alter_endpoint.secret,
        'clear', array_to_string(alter_endpoint.clear, ' '));
    PERFORM mulberry_internal.check_json('options', alter_endpoint.options);
    IF alter_endpoint.tenant IS NULL THEN
        PERFORM mulberry_internal.require_access_everywhere('admin');
    ELSE
        owner := mulberry_internal.resolve_tenant(alter_endpoint.tenant, 'admin');
    END IF;
    -- who fills in a form leaves fields empty
    alter_endpoint.clear := coalesce(alter_endpoint.clear, '{}');
    alter_endpoint.kind := nullif(alter_endpoint.kind, '');
    alter_endpoint.base_url := nullif(alter_endpoint.base_url, '');
    alter_endpoint.purpose := nullif(alter_endpoint.purpose, '');
    alter_endpoint.model := nullif(alter_endpoint.model, '');
    alter_endpoint.secret := nullif(alter_endpoint.secret, '');
    SELECT string_agg(coalesce('"' || c || '"', 'null'), ', ' ORDER BY c) INTO wrong
      FROM unnest(alter_endpoint.clear) AS c WHERE c IS NULL OR c <> ALL (clearable);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'cannot clear %', wrong
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('What can be cleared: %s.', array_to_string(clearable, ', '));
    END IF;
    SELECT array_agg(g.key) INTO given
      FROM jsonb_each(jsonb_strip_nulls(jsonb_build_object('base_url', alter_endpoint.base_url, 'purpose', alter_endpoint.purpose,
               'model', alter_endpoint.model, 'secret', alter_endpoint.secret, 'options', alter_endpoint.options,
               'timeout', alter_endpoint.timeout, 'max_concurrency', alter_endpoint.max_concurrency))) AS g;
    IF given && alter_endpoint.clear THEN
        RAISE EXCEPTION 'a setting cannot be set and cleared at once' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF jsonb_typeof(alter_endpoint.options) <> 'object' THEN
        RAISE EXCEPTION 'options must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT x.* INTO before FROM mulberry_internal.endpoints x
     WHERE x.tenant IS NOT DISTINCT FROM owner AND x.name = alter_endpoint.name FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM mulberry_internal.refuse_unknown_endpoint(owner, alter_endpoint.name);
    END IF;
    e := before;
    e.kind := coalesce(alter_endpoint.kind, e.kind);
    e.base_url := CASE WHEN 'base_url' <> ALL (alter_endpoint.clear) THEN coalesce(alter_endpoint.base_url, e.base_url) END;
    e.purpose := CASE WHEN 'purpose' <> ALL (alter_endpoint.clear) THEN coalesce(alter_endpoint.purpose, e.purpose) END;
    e.model := CASE WHEN 'model' <> ALL (alter_endpoint.clear) THEN coalesce(alter_endpoint.model, e.model) END;
    e.secret := CASE WHEN 'secret' <> ALL (alter_endpoint.clear) THEN coalesce(alter_endpoint.secret, e.secret) END;
    -- what is null in them goes
    e.options := CASE WHEN 'options' = ANY (alter_endpoint.clear) THEN '{}'
                      ELSE jsonb_strip_nulls(e.options || coalesce(alter_endpoint.options, '{}')) END;
    e.timeout := CASE WHEN 'timeout' <> ALL (alter_endpoint.clear) THEN coalesce(alter_endpoint.timeout, e.timeout) END;
    e.max_concurrency := CASE WHEN 'max_concurrency' <> ALL (alter_endpoint.clear)
                              THEN coalesce(alter_endpoint.max_concurrency, e.max_concurrency) END;
    e.allow_http := coalesce(alter_endpoint.allow_http, e.allow_http);
    e.allow_private := coalesce(alter_endpoint.allow_private, e.allow_private);
    e.enabled := coalesce(alter_endpoint.enabled, e.enabled);
    e.priority := coalesce(alter_endpoint.priority, e.priority);
    PERFORM mulberry_internal.write_endpoint(mulberry_internal.check_endpoint(e, before), before);
END
$$;
COMMENT ON FUNCTION mulberry.alter_endpoint(text, text, text, text, text, text, jsonb, interval, integer, boolean, boolean, boolean,
                                            integer, text, text[]) IS
    'changes what is not null of an endpoint, and leaves the rest; options are added to those that it has, and go where their value is '
    'null. clear: names of settings that shall have no value (base_url, purpose, model, secret, options, timeout, max_concurrency). Needs '
    'admin access to the tenant, for allow_private or another address there to all tenants. Errors: 42704 no such endpoint, 22023 a value '
    'or a name in clear that there is not';

CREATE FUNCTION mulberry.drop_endpoint(name text, tenant text DEFAULT 'default') RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner uuid;
    e     mulberry_internal.endpoints;
BEGIN
    PERFORM mulberry_internal.check_texts('name', drop_endpoint.name);
    IF drop_endpoint.tenant IS NULL THEN
        PERFORM mulberry_internal.require_access_everywhere('admin');
    ELSE
        owner := mulberry_internal.resolve_tenant(drop_endpoint.tenant, 'admin');
    END IF;
    SELECT x.* INTO e FROM mulberry_internal.endpoints x
     WHERE x.tenant IS NOT DISTINCT FROM owner AND x.name = drop_endpoint.name FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM mulberry_internal.refuse_unknown_endpoint(owner, drop_endpoint.name);
    END IF;
    IF e.seeded THEN
        RAISE EXCEPTION 'endpoint "%" comes with the extension and cannot be dropped', e.name
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Set one of your own for its purpose, which takes its place, or set it again with enabled => false.';
    END IF;
    DELETE FROM mulberry_internal.endpoints x WHERE x.id = e.id;
    PERFORM mulberry_internal.reroute_jobs();
END
$$;
COMMENT ON FUNCTION mulberry.drop_endpoint(text, text) IS
    'removes an endpoint; its jobs go to another one that serves their purpose, or wait. Needs admin access. Errors: 42704 no such '
    'endpoint, 55000 it comes with the extension';

CREATE FUNCTION telephony_endpoint(tenant uuid) RETURNS endpoints
LANGUAGE sql STABLE
AS $$
    SELECT e.* FROM mulberry_internal.endpoints e WHERE e.id = mulberry_internal.endpoint_for($1, 'telephony')
$$;
COMMENT ON FUNCTION telephony_endpoint(uuid) IS 'the endpoint that places calls for a tenant (internal)';

-- src/jobs/queue.sql
CREATE FUNCTION enqueue_job(kind text, tenant uuid, call bigint DEFAULT NULL, endpoint text DEFAULT NULL,
                            payload jsonb DEFAULT NULL, run_at timestamptz DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'mulberry_enqueue_job_sql';
COMMENT ON FUNCTION enqueue_job(text, uuid, bigint, text, jsonb, timestamptz) IS
    'puts a job into the queue and wakes the workers after commit; run_at null: now; returns its id (internal)';

CREATE FUNCTION retry_delay(attempts integer, first interval) RETURNS interval
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN attempts BETWEEN 1 AND 30
             AND first * (2 ^ attempts - 1) <= interval '60 seconds'
            THEN first * 2 ^ (attempts - 1) END;
COMMENT ON FUNCTION retry_delay(integer, interval) IS
    'delay after the given number of failed attempts: first, doubled each time; null when all delays of the job together would pass 60 s';

-- Moves a job to the history in its last state.
CREATE FUNCTION settle_job(job bigint, final_state text, error text) RETURNS void
LANGUAGE sql
AS $$
    WITH gone AS (DELETE FROM mulberry_internal.job_queue q WHERE q.id = $1 RETURNING *), kept AS (
    INSERT INTO mulberry_internal.job_history (id, kind, tenant, call, endpoint, route, payload, state, attempts, deferrals,
                                      max_attempts, lease_token, last_error, created_at, started_at)
    SELECT id, kind, tenant, call, endpoint, route, CASE WHEN $2 <> 'done' THEN payload END, $2, attempts, deferrals,
           max_attempts, lease_token, coalesce($3, last_error), created_at, started_at
      FROM gone
    )
    SELECT mulberry_internal.count_metric('mulberry_jobs_total', g.tenant, g.kind, $2),
           mulberry_internal.observe_metric('mulberry_job_duration_seconds', g.tenant,
               CASE WHEN $2 = 'done' THEN extract(epoch FROM clock_timestamp() - g.waits_since) END, g.kind)
      FROM gone g
$$;
COMMENT ON FUNCTION settle_job(bigint, text, text) IS 'moves a job from the queue to the history, and counts it (internal)';

-- A transcript is work on a call: it fails with its job.  A telephone call for a command has its own way to fail.
CREATE FUNCTION give_up_job(job job_queue, final_state text, error text, reason text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM mulberry_internal.settle_job(job.id, final_state, error);
    IF (mulberry_internal.job_kind(job.kind)).subject IN ('voice_call', 'command') THEN
        PERFORM mulberry_internal.give_up_telephony(job, final_state, coalesce(error, reason));
    END IF;
    IF job.call IS NOT NULL AND mulberry_internal.start_processing(job.call) THEN
        IF job.kind = 'sentiment' AND final_state = 'dead' THEN
            PERFORM mulberry_internal.finish_without_chat(job, coalesce(error, reason));
        ELSE
            PERFORM mulberry_internal.fail_call(job.call, reason);
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION give_up_job(job_queue, text, text, text) IS
    'ends a job without a result, and fails its call; one whose transcript is there has the lexicon''s sentiment instead (internal)';

-- Jobs and endpoints for people.

CREATE FUNCTION mulberry.cancel_job(id bigint) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    j      mulberry_internal.job_queue;
    reason text;
BEGIN
    PERFORM mulberry_internal.lock_telephony_job(cancel_job.id);
    SELECT q.* INTO j FROM mulberry_internal.job_queue q
     WHERE q.id = cancel_job.id AND q.tenant = ANY (mulberry.current_tenants('operator')) FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM FROM mulberry_internal.job_history x
          WHERE x.id = cancel_job.id AND x.tenant = ANY (mulberry.current_tenants('operator'));
        IF FOUND THEN
            RAISE EXCEPTION 'job % is finished', cancel_job.id USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        RAISE EXCEPTION 'job % does not exist', cancel_job.id USING ERRCODE = 'undefined_object';
    END IF;
    reason := format('cancelled by %s', mulberry_internal.outer_role_name());
    PERFORM mulberry_internal.give_up_job(j, 'cancelled', reason, reason);
    PERFORM mulberry_internal.emit_event(j.tenant, 'job_cancelled', j.call, NULL,
        jsonb_build_object('job', j.id, 'kind', j.kind, 'role', mulberry_internal.outer_role_name()));
END
$$;
COMMENT ON FUNCTION mulberry.cancel_job(bigint) IS
    'takes a job out of the queue and fails its call; the result of a request under way is dropped. Needs operator access. Errors: 42704 '
    'no such job, 55000 it is finished';

CREATE FUNCTION wake_workers() RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'mulberry_wake_workers_sql';
COMMENT ON FUNCTION wake_workers() IS 'wakes the workers of this database after commit (internal)';

CREATE FUNCTION reroute_jobs(orphans_only boolean DEFAULT false) RETURNS bigint
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    changed bigint;
BEGIN
    -- Jobs that run as well: should their lease end, they must be found.
    UPDATE mulberry_internal.job_queue q
       SET route = r.route
      -- One that somebody has locked is looked at again when it starts, and by maintenance when its endpoint
      -- is gone.
      FROM (SELECT x.id, mulberry_internal.job_route(x.kind, x.tenant, x.call, x.endpoint, x.passed) AS route
              FROM mulberry_internal.job_queue x
             WHERE (NOT orphans_only OR x.route IS NULL
                OR (x.route <> 0 AND NOT EXISTS (SELECT FROM mulberry_internal.endpoints e WHERE e.id = x.route)))
               AND mulberry.job_purpose(x.kind) IS NOT NULL
               FOR UPDATE OF x SKIP LOCKED) AS r
     WHERE q.id = r.id AND q.route IS DISTINCT FROM r.route;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed > 0 OR NOT orphans_only THEN
        PERFORM mulberry_internal.wake_workers();
    END IF;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION reroute_jobs(boolean) IS
    'looks again which endpoint serves each job, or only those whose endpoint is gone or was never there; part of every change of an '
    'endpoint, and of maintenance (internal)';

CREATE FUNCTION purge_jobs(at timestamptz DEFAULT clock_timestamp(), max_jobs integer DEFAULT 10000) RETURNS bigint
LANGUAGE sql
AS $$
    WITH old AS (
        SELECT h.id FROM mulberry_internal.job_history h
         WHERE h.finished_at < at - current_setting('mulberry.job_retention')::interval
         ORDER BY h.finished_at LIMIT max_jobs
           FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM mulberry_internal.job_history h USING old WHERE h.id = old.id RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
COMMENT ON FUNCTION purge_jobs(timestamptz, integer) IS
    'removes finished jobs older than mulberry.job_retention, at most max_jobs; returns how many (part of maintenance)';

CREATE PROCEDURE mulberry.run_jobs(max_seconds double precision DEFAULT 60)
LANGUAGE c
AS 'MODULE_PATHNAME', 'mulberry_run_jobs';
COMMENT ON PROCEDURE mulberry.run_jobs(double precision) IS
    'does what a worker does, in this session, until no job is due or the time is over; for databases without preloaded workers. '
    'Commits; not inside a transaction block. Needs worker access';

-- src/jobs/retry.sql
-- Jobs that were given up, once more.

CREATE FUNCTION queue_again(h job_history) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    IF h.call IS NOT NULL AND NOT mulberry_internal.reopen_call(h.call) THEN
        RETURN false;
    END IF;
    -- it may name another one since
    IF h.call IS NOT NULL AND h.kind = 'transcribe' THEN
        h.endpoint := mulberry_internal.call_endpoint(h.call);
    END IF;
    DELETE FROM mulberry_internal.job_history x WHERE x.id = h.id;
    INSERT INTO mulberry_internal.job_queue (id, kind, tenant, call, endpoint, route, payload, run_at, max_attempts, lease_token,
                                    last_error, created_at)
    VALUES (h.id, h.kind, h.tenant, h.call, h.endpoint, mulberry_internal.job_route(h.kind, h.tenant, h.call, h.endpoint),
            h.payload, clock_timestamp(), current_setting('mulberry.ai_max_attempts')::integer, h.lease_token,
            h.last_error, h.created_at);
    PERFORM mulberry_internal.emit_event(h.tenant, 'job_retried', h.call, NULL,
        jsonb_build_object('job', h.id, 'kind', h.kind, 'role', mulberry_internal.outer_role_name()));
    PERFORM mulberry_internal.wake_workers();
    RETURN true;
END
$$;
COMMENT ON FUNCTION queue_again(job_history) IS
    'queues a finished job, which is locked, with all its attempts, and its call goes back to PROCESSING_AI; false when that is gone '
    '(internal)';

CREATE FUNCTION mulberry.retry_job(id bigint) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    h   mulberry_internal.job_history;
    due timestamptz;
BEGIN
    SELECT x.* INTO h FROM mulberry_internal.job_history x
     WHERE x.id = retry_job.id AND x.tenant = ANY (mulberry.current_tenants('operator')) FOR UPDATE;
    IF NOT FOUND THEN
        SELECT x.run_at INTO due FROM mulberry_internal.job_queue x
         WHERE x.id = retry_job.id AND x.tenant = ANY (mulberry.current_tenants('operator'));
        IF due = 'infinity' THEN
            UPDATE mulberry_internal.job_queue x SET run_at = clock_timestamp() WHERE x.id = retry_job.id AND x.run_at = 'infinity';
            PERFORM mulberry_internal.wake_workers();
            RETURN;
        ELSIF FOUND THEN
            RAISE EXCEPTION 'job % is not finished', retry_job.id USING ERRCODE = 'object_not_in_prerequisite_state';
        END IF;
        RAISE EXCEPTION 'job % does not exist', retry_job.id USING ERRCODE = 'undefined_object';
    END IF;
    IF h.state = 'done' THEN
        RAISE EXCEPTION 'job % is done', retry_job.id
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Only dead and cancelled jobs are tried again.';
    END IF;
    IF NOT (mulberry_internal.job_kind(h.kind)).retriable THEN
        RAISE EXCEPTION 'job % was part of a telephone call that is over', retry_job.id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'What became of its command is in command_status; give the command again.';
    END IF;
    IF NOT mulberry_internal.queue_again(h) THEN
        RAISE EXCEPTION 'the call of job % does not exist any more', retry_job.id
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END
$$;
COMMENT ON FUNCTION mulberry.retry_job(bigint) IS
    'queues a dead or cancelled job again with all its attempts; its call goes from FAILED back to PROCESSING_AI. One that was set aside '
    'because it could not be claimed is due at once. Needs operator access. '
    'Errors: 42704 no such job, 55000 it is not finished, is done, or its call is not FAILED';

CREATE FUNCTION mulberry.retry_jobs(endpoint text DEFAULT NULL, since timestamptz DEFAULT NULL, error text DEFAULT NULL,
    tenant text DEFAULT NULL, max_jobs integer DEFAULT NULL) RETURNS integer
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    -- each takes a lock of the lock table, as a packet of a batch does
    most    CONSTANT integer := current_setting('mulberry.max_batch_calls')::integer;
    targets uuid[] := mulberry.current_tenants('operator');
    dead    mulberry_internal.job_history;
    done    integer := 0;
BEGIN
    PERFORM mulberry_internal.check_texts('endpoint', retry_jobs.endpoint, 'error', retry_jobs.error);
    IF retry_jobs.tenant IS NOT NULL OR targets = '{}' THEN
        targets := ARRAY[mulberry_internal.resolve_tenant(retry_jobs.tenant, 'operator')];
    END IF;
    IF num_nonnulls(retry_jobs.endpoint, retry_jobs.since, retry_jobs.error) = 0 THEN
        RAISE EXCEPTION 'it must be said which jobs to try again'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'By endpoint, since when they were given up, or what their last error contains; since => ''-infinity'' for all.';
    END IF;
    IF retry_jobs.error = '' THEN
        RAISE EXCEPTION 'error names nothing' USING ERRCODE = 'invalid_parameter_value', HINT = 'Null is for jobs with any.';
    END IF;
    IF coalesce(max_jobs, 1) NOT BETWEEN 1 AND most THEN
        RAISE EXCEPTION 'max_jobs must lie between 1 and %', most
            USING ERRCODE = 'invalid_parameter_value', HINT = 'That is mulberry.max_batch_calls; repeat the call until it returns 0.';
    END IF;
    IF retry_jobs.endpoint IS NOT NULL
       AND NOT EXISTS (SELECT FROM mulberry_internal.endpoints e
                        WHERE e.name = retry_jobs.endpoint AND (e.tenant IS NULL OR e.tenant = ANY (targets)))
       AND NOT EXISTS (SELECT FROM mulberry_internal.job_history h
                        WHERE h.endpoint = retry_jobs.endpoint AND h.state = 'dead' AND h.tenant = ANY (targets)) THEN
        RAISE EXCEPTION 'endpoint "%" does not exist', retry_jobs.endpoint USING ERRCODE = 'undefined_object';
    END IF;
    PERFORM mulberry_internal.require_call_locks();
    FOR dead IN
        SELECT h.*
          FROM mulberry_internal.job_history h
         WHERE h.state = 'dead' AND h.tenant = ANY (targets) AND (mulberry_internal.job_kind(h.kind)).retriable
           AND (retry_jobs.since IS NULL OR h.finished_at >= retry_jobs.since)
           AND (retry_jobs.error IS NULL OR strpos(lower(h.last_error), lower(retry_jobs.error)) > 0)
           AND (retry_jobs.endpoint IS NULL OR h.endpoint = retry_jobs.endpoint
                OR h.route IN (SELECT e.id FROM mulberry_internal.endpoints e WHERE e.name = retry_jobs.endpoint))
           AND (h.call IS NULL OR EXISTS (SELECT FROM mulberry_internal.calls c WHERE c.id = h.call AND c.state = 'FAILED'))
         ORDER BY h.finished_at
           FOR UPDATE SKIP LOCKED
    LOOP
        EXIT WHEN mulberry_internal.call_locks_left() = 0;
        -- somebody else has the call, or has changed it: with the next batch
        CONTINUE WHEN dead.call IS NOT NULL
            AND (NOT mulberry_internal.lock_call_soon(dead.call)
                 OR NOT EXISTS (SELECT FROM mulberry_internal.calls c WHERE c.id = dead.call AND c.state = 'FAILED'));
        done := done + mulberry_internal.queue_again(dead)::integer;
        EXIT WHEN done >= coalesce(max_jobs, most);
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION mulberry.retry_jobs(text, timestamptz, text, text, integer) IS
    'queues dead jobs again with all their attempts, as retry_job() does: those that an endpoint served, that were given up since a time, '
    'whose last error contains a text (in upper or lower case), or what is said of these together; the oldest first, at most max_jobs '
    '(null: mulberry.max_batch_calls), and returns how many. Repeat it until that is 0. tenant null: all that the caller operates. Needs '
    'operator access. Errors: 22023 nothing is said, 42704 no such endpoint, 54000 this transaction has changed as many calls as it may';

-- src/jobs/outage.sql
-- Endpoints that are out: which, since when, who asks whether they are back, and what their jobs do meanwhile.

CREATE FUNCTION every_tenant() RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '00000000-0000-0000-0000-000000000000'::uuid;
COMMENT ON FUNCTION every_tenant() IS 'endpoint_state.tenant of an endpoint as such (internal)';

CREATE FUNCTION open_breaker(endpoint bigint, tenant uuid) RETURNS mulberry_internal.endpoint_state
LANGUAGE sql STABLE
AS $$
    SELECT s.* FROM mulberry_internal.endpoint_state s
     WHERE s.endpoint = $1 AND s.tenant IN (mulberry_internal.every_tenant(), $2) AND s.state <> 'closed'
     ORDER BY s.tenant LIMIT 1
$$;
COMMENT ON FUNCTION open_breaker(bigint, uuid) IS
    'what holds a tenant''s jobs for an endpoint: the state of the endpoint as such, or that of the tenant there; null: nothing (internal)';

CREATE FUNCTION is_probe(job job_queue) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (SELECT FROM mulberry_internal.endpoint_state s
                    WHERE s.endpoint = (job).route AND s.state = 'half_open' AND s.probe = (job).id)
$$;
COMMENT ON FUNCTION is_probe(job_queue) IS 'whether a job asks an endpoint that is out whether it is back (internal)';

CREATE FUNCTION endpoint_for(tenant uuid, purpose text, name text DEFAULT NULL, passed bigint[] DEFAULT NULL) RETURNS bigint
LANGUAGE sql STABLE
AS $$
    SELECT e.id
      FROM mulberry_internal.endpoints e
     WHERE (e.tenant = $1 OR e.tenant IS NULL)
       AND CASE WHEN $3 IS NULL THEN e.purpose = $2 ELSE e.name = $3 END
     ORDER BY e.tenant NULLS LAST, NOT e.enabled, e.id = ANY (coalesce($4, '{}'))
              OR EXISTS (SELECT FROM mulberry_internal.endpoint_state s
                          WHERE s.endpoint = e.id AND s.tenant IN (mulberry_internal.every_tenant(), $1) AND s.state <> 'closed'),
              e.priority, e.id
     LIMIT 1
$$;
COMMENT ON FUNCTION endpoint_for(uuid, text, text, bigint[]) IS
    'id of the endpoint that serves a tenant: by name, or by purpose the first in the order of priority that is enabled, not out and not '
    '"passed"; where none is the first; the tenant''s own before those of all tenants; null: there is none (internal)';

CREATE FUNCTION job_route(kind text, tenant uuid, call bigint, endpoint text, passed bigint[] DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    found_id CONSTANT bigint := mulberry_internal.endpoint_for(tenant, (mulberry_internal.job_kind(kind)).purpose, endpoint, passed);
BEGIN
    -- it asks whatever the state of its endpoint, which it therefore does not wait for
    IF (mulberry_internal.job_kind(kind)).subject = 'endpoint' THEN
        RETURN 0;
    END IF;
    IF (mulberry_internal.job_kind(kind)).text_is_result
       AND EXISTS (SELECT FROM mulberry_internal.calls c WHERE c.id = job_route.call AND c.encoding = 'text')
       AND NOT EXISTS (SELECT FROM mulberry_internal.endpoints e
                        WHERE e.id = found_id AND (mulberry_internal.endpoint_kind(e.kind, e.purpose)).takes_text)
    THEN
        RETURN 0;
    END IF;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION job_route(text, uuid, bigint, text, bigint[]) IS
    'job_queue.route of a job: id of the endpoint that serves it, 0 when it needs none, null when there is none';

-- The attempts that made an endpoint count as out were its own failures: those that were a job's first are given back.  Later ones
-- are counted only where others were served in between.
CREATE FUNCTION give_attempts_back(endpoint bigint, tenant uuid, since timestamptz) RETURNS void
LANGUAGE sql
AS $$
    UPDATE mulberry_internal.job_queue q
       SET attempts = 0, deferrals = q.deferrals + 1
     WHERE q.id IN (SELECT x.id FROM mulberry_internal.job_queue x
                     WHERE x.route = $1 AND ($2 = mulberry_internal.every_tenant() OR x.tenant = $2) AND x.failed_at >= $3
                       AND x.state = 'queued' AND x.attempts = 1
                       FOR UPDATE SKIP LOCKED)
$$;
COMMENT ON FUNCTION give_attempts_back(bigint, uuid, timestamptz) IS
    'takes back the first attempts of jobs that failed through an endpoint since a time (internal)';

CREATE FUNCTION announce_endpoint(endpoint bigint, tenant uuid, available boolean, error text) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    e     mulberry_internal.endpoints;
    event CONSTANT text := CASE WHEN available THEN 'endpoint_available' ELSE 'endpoint_unavailable' END;
BEGIN
    SELECT x.* INTO STRICT e FROM mulberry_internal.endpoints x WHERE x.id = endpoint;
    PERFORM mulberry_internal.emit_event(
        coalesce(e.tenant, nullif(tenant, mulberry_internal.every_tenant()),
                 (SELECT t.id FROM mulberry_internal.tenants t WHERE t.name = 'default')),
        event, NULL, NULL, jsonb_strip_nulls(jsonb_build_object('endpoint', e.name, 'error', CASE WHEN NOT available THEN error END)));
    RAISE LOG 'mulberry: endpoint "%" is %', e.name,
        CASE WHEN available THEN 'available again' ELSE 'unavailable: ' || coalesce(error, '') END;
    RETURN event;
END
$$;
COMMENT ON FUNCTION announce_endpoint(bigint, uuid, boolean, text) IS
    'event and log that an endpoint, or a tenant''s use of it, has failed or is back (internal)';

CREATE FUNCTION report_probe(endpoint bigint, available boolean, probe bigint, error text DEFAULT NULL,
                             at timestamptz DEFAULT clock_timestamp(), key_of uuid DEFAULT NULL) RETURNS text
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    s mulberry_internal.endpoint_state;
BEGIN
    SELECT x.* INTO s FROM mulberry_internal.endpoint_state x
     WHERE x.endpoint = report_probe.endpoint AND x.probe = report_probe.probe AND x.state = 'half_open' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- a service that refuses a tenant's key is there for the others
    IF NOT available AND key_of <> s.tenant THEN
        available := true;
    END IF;
    IF available THEN
        UPDATE mulberry_internal.endpoint_state x
           SET state = 'closed', openings = least(x.openings, 1), retry_at = NULL, out_since = NULL, probe = NULL, changed_at = at,
               allowed = 2, served = 0
         WHERE x.endpoint = s.endpoint AND x.tenant = s.tenant;
        RETURN mulberry_internal.announce_endpoint(s.endpoint, s.tenant, true, NULL);
    END IF;
    UPDATE mulberry_internal.endpoint_state x
       SET state = 'open', probe = NULL, changed_at = at,
           openings = x.openings + (available IS NOT NULL)::integer,
           last_error = CASE WHEN available IS NULL THEN x.last_error ELSE left(report_probe.error, 1000) END,
           retry_at = at + CASE WHEN available IS NOT NULL
                                THEN least(interval '1 second' * 2 ^ least(x.openings, 10), interval '30 seconds')
                                ELSE '0' END
     WHERE x.endpoint = s.endpoint AND x.tenant = s.tenant;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION report_probe(bigint, boolean, bigint, text, timestamptz, uuid) IS
    'what a job learnt that asked an endpoint that is out: it is back, it is not, or (null) the request was not sent after all. key_of: '
    'tenant whose own key was refused. Returns the event that this was, if any';

-- All that have waited would fall upon it at once: it gets two at a time, and twice as many after each window in which it has
-- served them.  The first failure, where it does not fail now and then anyway, has it asked by one again: see MB_RUN_BY_CHANCE_BACK.
CREATE FUNCTION report_served(endpoint bigint, tenant uuid, at timestamptz DEFAULT clock_timestamp()) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    -- whoever meets another who counts is not counted himself
    UPDATE mulberry_internal.endpoint_state x
       SET served = CASE WHEN w.is_over THEN 0 ELSE x.served + 1 END,
           allowed = CASE WHEN NOT w.is_over THEN x.allowed WHEN 2 * x.allowed < w.most THEN 2 * x.allowed END,
           openings = CASE WHEN w.is_over AND 2 * x.allowed >= w.most THEN 0 ELSE x.openings END,
           changed_at = CASE WHEN w.is_over THEN at ELSE x.changed_at END
      FROM (SELECT s.endpoint, s.tenant, s.served + 1 >= s.allowed OR s.changed_at <= at - interval '10 seconds' AS is_over,
                   coalesce(e.max_concurrency,
                            greatest(current_setting('mulberry.workers')::integer, 1)
                            * current_setting('mulberry.http_concurrency')::integer) AS most
              FROM mulberry_internal.endpoint_state s
              JOIN mulberry_internal.endpoints e ON e.id = s.endpoint
             WHERE s.endpoint = report_served.endpoint AND s.tenant IN (mulberry_internal.every_tenant(), report_served.tenant)
               AND s.allowed IS NOT NULL
               FOR NO KEY UPDATE OF s SKIP LOCKED) AS w
     WHERE x.endpoint = w.endpoint AND x.tenant = w.tenant;
END
$$;
COMMENT ON FUNCTION report_served(bigint, uuid, timestamptz) IS
    'counts a request that an endpoint has served which comes back from an outage: after as many as it may have at once, or ten seconds, '
    'it may have twice as many, until it may have all';

CREATE FUNCTION report_endpoint(endpoint bigint, error text, at timestamptz DEFAULT clock_timestamp(),
                                tenant uuid DEFAULT '00000000-0000-0000-0000-000000000000', since timestamptz DEFAULT NULL) RETURNS text
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner uuid;
BEGIN
    SELECT e.tenant INTO owner FROM mulberry_internal.endpoints e WHERE e.id = report_endpoint.endpoint;
    IF NOT FOUND OR (mulberry_internal.open_breaker(endpoint, tenant)).endpoint IS NOT NULL THEN
        RETURN NULL;
    END IF;
    error := left(error, 1000);
    INSERT INTO mulberry_internal.endpoint_state (endpoint, tenant, state, changed_at)
    VALUES (report_endpoint.endpoint, report_endpoint.tenant, 'closed', at) ON CONFLICT DO NOTHING;
    UPDATE mulberry_internal.endpoint_state x
       SET state = 'open', openings = x.openings + 1, last_error = error, changed_at = at, out_since = at,
           retry_at = at + interval '1 second' * 2 ^ x.openings, allowed = NULL
     WHERE x.endpoint = report_endpoint.endpoint AND x.tenant = report_endpoint.tenant AND x.state = 'closed';
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM mulberry_internal.give_attempts_back(endpoint, tenant, since);
    RETURN mulberry_internal.announce_endpoint(endpoint, tenant, false, error);
END
$$;
COMMENT ON FUNCTION report_endpoint(bigint, text, timestamptz, uuid, timestamptz) IS
    'what a worker learnt of an endpoint: it fails, or what one tenant asks of it does; holds its jobs and gives back the attempts that '
    'have failed since a time. Returns the event that this was, if any';

-- Jobs whose endpoint is out go to the next one, some with each claim; one of them remains, or comes back, to ask.
CREATE FUNCTION divert_jobs(at timestamptz, many integer) RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    gone  record;
    stays integer;
BEGIN
    FOR gone IN
        SELECT s.endpoint, s.tenant, s.state = 'open' AND s.retry_at <= at AS due, e.tenant AS owner, e.purpose
          FROM mulberry_internal.endpoint_state s
          JOIN mulberry_internal.endpoints e ON e.id = s.endpoint
         WHERE s.state <> 'closed' AND e.enabled
           AND EXISTS (SELECT FROM mulberry_internal.endpoints other
                        WHERE other.purpose = e.purpose AND other.tenant IS NOT DISTINCT FROM e.tenant AND other.enabled
                          AND other.id <> e.id)
         ORDER BY s.endpoint, s.tenant
    LOOP
        stays := gone.due::integer;
        UPDATE mulberry_internal.job_queue q SET route = r.route
          FROM (SELECT x.id, mulberry_internal.job_route(x.kind, x.tenant, x.call, x.endpoint, x.passed) AS route
                  FROM mulberry_internal.job_queue x
                 WHERE x.id IN (SELECT y.id FROM mulberry_internal.job_queue y
                                 WHERE y.route = gone.endpoint AND gone.tenant IN (mulberry_internal.every_tenant(), y.tenant)
                                   AND y.endpoint IS NULL AND y.state = 'queued' AND y.run_at <= at
                                OFFSET stays LIMIT many FOR UPDATE SKIP LOCKED)) AS r
         WHERE q.id = r.id AND q.route <> r.route;
        IF gone.due AND NOT EXISTS (SELECT FROM mulberry_internal.job_queue q
                                     WHERE q.route = gone.endpoint AND gone.tenant IN (mulberry_internal.every_tenant(), q.tenant)
                                       AND q.run_at <= at) THEN
            UPDATE mulberry_internal.job_queue q SET route = gone.endpoint
             WHERE q.id = (SELECT x.id
                             FROM mulberry_internal.endpoints other
                             JOIN mulberry_internal.job_queue x ON x.route = other.id
                            WHERE other.purpose = gone.purpose AND other.tenant IS NOT DISTINCT FROM gone.owner
                              AND other.id <> gone.endpoint
                              AND gone.tenant IN (mulberry_internal.every_tenant(), x.tenant)
                              AND x.endpoint IS NULL AND x.state = 'queued' AND x.run_at <= at
                            LIMIT 1 FOR UPDATE OF x SKIP LOCKED);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION divert_jobs(timestamptz, integer) IS
    'sends due jobs of endpoints that are out to the next one of their purpose, and sees to it that one is there to ask when it is time '
    '(internal)';

CREATE FUNCTION give_up_waiting(max_jobs integer, at timestamptz DEFAULT clock_timestamp()) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    patience CONSTANT interval := current_setting('mulberry.endpoint_patience')::interval;
    tired    record;
    done     integer := 0;
BEGIN
    FOR tired IN
        SELECT q AS job, s.last_error AS why
          FROM mulberry_internal.endpoint_state s
          JOIN mulberry_internal.job_queue q ON q.route = s.endpoint
         WHERE s.state <> 'closed' AND s.out_since < at - patience AND s.tenant IN (mulberry_internal.every_tenant(), q.tenant)
           AND q.state = 'queued' AND q.waits_since < at - patience AND isfinite(q.run_at)
         LIMIT max_jobs
           FOR UPDATE OF q SKIP LOCKED
    LOOP
        EXIT WHEN mulberry_internal.call_locks_left() = 0;
        CONTINUE WHEN (tired.job).call IS NOT NULL AND NOT mulberry_internal.lock_call_soon((tired.job).call);
        BEGIN
            PERFORM mulberry_internal.give_up_job(tired.job, 'dead', tired.why,
                format('AI service was unavailable for %s: %s', current_setting('mulberry.endpoint_patience'), tired.why));
            done := done + 1;
        EXCEPTION
            WHEN lock_not_available OR transaction_rollback THEN
                PERFORM mulberry_internal.blocked();
        END;
    END LOOP;
    -- a tenant that was dropped
    DELETE FROM mulberry_internal.endpoint_state s
     WHERE s.tenant <> mulberry_internal.every_tenant()
       AND NOT EXISTS (SELECT FROM mulberry_internal.tenants t WHERE t.id = s.tenant);
    RETURN done;
END
$$;
COMMENT ON FUNCTION give_up_waiting(integer, timestamptz) IS
    'fails jobs whose endpoint has been out for mulberry.endpoint_patience, as long as they have waited, at most max_jobs, and returns how '
    'many; part of maintenance (internal)';

-- src/jobs/claim.sql
-- A lane is what one tenant has in the queue for one endpoint; endpoint 0 stands for none.
--
-- The tenants of what several share are found by a loose index scan, which costs a probe for each of
-- them however long their queues are.  Of very many it sees some, others each time.
CREATE FUNCTION job_lanes()
RETURNS TABLE (route bigint, tenant uuid, max_concurrency integer, held_for uuid, not_before timestamptz,
               allowed integer, allowed_for uuid, lease interval, run_at timestamptz)
LANGUAGE plpgsql VOLATILE
-- a plan made while the queue was short must not read all of a long one
SET enable_seqscan = off
-- the price of what is switched off would have it compiled each time
SET jit = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN QUERY
        WITH RECURSIVE routes AS (
            SELECT e.id, e.tenant, e.max_concurrency,
                   coalesce(e.timeout, current_setting('mulberry.http_timeout')::interval)
                   + current_setting('mulberry.lease_time')::interval AS lease
              FROM mulberry_internal.endpoints e
             WHERE e.enabled
             UNION ALL
            SELECT 0, NULL, NULL, current_setting('mulberry.lease_time')::interval
        ), walk AS (
            SELECT r.id AS route, first.tenant, 1 AS step
              FROM routes r
             CROSS JOIN (VALUES (gen_random_uuid()), ('00000000-0000-0000-0000-000000000000')) AS start (tenant)
             CROSS JOIN LATERAL (SELECT q.tenant FROM mulberry_internal.job_queue q
                                  WHERE q.route = r.id AND q.tenant >= start.tenant ORDER BY q.tenant LIMIT 1) AS first
             WHERE r.tenant IS NULL
             UNION ALL
            SELECT w.route, following.tenant, w.step + 1
              FROM walk w
             CROSS JOIN LATERAL (SELECT q.tenant FROM mulberry_internal.job_queue q
                                  WHERE q.route = w.route AND q.tenant > w.tenant ORDER BY q.tenant LIMIT 1) AS following
             WHERE w.step < 64
        ), lanes AS (
            SELECT r.id AS route, r.tenant FROM routes r WHERE r.tenant IS NOT NULL
             UNION
            SELECT w.route, w.tenant FROM walk w
        )
        SELECT r.id, l.tenant, r.max_concurrency, held.tenant, held.retry_at, back.allowed, back.tenant, r.lease, due.run_at
          FROM lanes l
          JOIN routes r ON r.id = l.route
          LEFT JOIN LATERAL (SELECT s.tenant, s.retry_at FROM mulberry_internal.endpoint_state s
                              WHERE s.endpoint = r.id AND s.tenant IN (mulberry_internal.every_tenant(), l.tenant)
                                AND s.state <> 'closed'
                              ORDER BY s.tenant LIMIT 1) AS held ON true
          LEFT JOIN LATERAL (SELECT s.tenant, s.allowed FROM mulberry_internal.endpoint_state s
                              WHERE s.endpoint = r.id AND s.tenant IN (mulberry_internal.every_tenant(), l.tenant)
                                AND s.allowed IS NOT NULL
                              ORDER BY s.allowed LIMIT 1) AS back ON true
         CROSS JOIN LATERAL (SELECT q.run_at FROM mulberry_internal.job_queue q
                              WHERE q.route = l.route AND q.tenant = l.tenant
                              ORDER BY q.run_at LIMIT 1) AS due;
END
$$;
COMMENT ON FUNCTION job_lanes() IS
    'enabled endpoints with the tenants that have jobs there, all or a hundred of each endpoint, and when the first of these jobs is due; '
    'held_for, not_before: endpoint_state.tenant of the breaker that holds them, and until when; allowed, allowed_for: how many the '
    'endpoint may have while it comes back, and of whom (internal)';

CREATE FUNCTION lock_endpoint_soon(endpoint bigint) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
BEGIN
    PERFORM mulberry_internal.limit_waits();
    PERFORM FROM mulberry_internal.endpoints e WHERE e.id = endpoint FOR NO KEY UPDATE;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    PERFORM mulberry_internal.blocked();
    RETURN false;
END
$$;
COMMENT ON FUNCTION lock_endpoint_soon(bigint) IS
    'locks the row of an endpoint until the end of the transaction; false when another transaction keeps it for longer than one that '
    'commits (internal)';

CREATE FUNCTION claim_jobs(worker integer, max_jobs integer, at timestamptz DEFAULT clock_timestamp(),
                           slots integer DEFAULT NULL, reserve integer DEFAULT 0,
                           held_routes bigint[] DEFAULT '{}', held_tenants uuid[] DEFAULT '{}')
RETURNS TABLE (id bigint, lease_token bigint, kind text, tenant uuid, call bigint, payload jsonb,
               attempts integer, max_attempts integer, route bigint, probe boolean, failed_at timestamptz)
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
-- a plan made while the queue was empty must not read all of a long one
SET enable_seqscan = off
-- the price of what is switched off would have it compiled each time
SET jit = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    candidate  record;
    lanes      record;
    -- by number of the lane, the endpoint, the tenant
    granted    integer[];
    of_route   integer[] := ARRAY[]::integer[];
    of_tenant  integer[] := ARRAY[]::integer[];
    more       integer := max_jobs;
    free       integer := coalesce(slots, max_jobs + cardinality(held_routes)) - cardinality(held_routes);
    -- how far to look into one lane when there are many
    deep       integer;
    room       integer;
    is_probe   boolean;
    ids        bigint[];
BEGIN
    IF NOT mulberry.outbound_allowed() THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM mulberry_internal.endpoint_state s WHERE s.state <> 'closed') THEN
        PERFORM mulberry_internal.divert_jobs(at, 4 * max_jobs);
    END IF;
    SELECT array_agg(l.route) AS routes, array_agg(l.tenant) AS tenants, array_agg(l.room) AS rooms,
           array_agg(l.held_for) AS held_for, array_agg(coalesce(l.held_for, l.allowed_for)) AS limited_for,
           array_agg(l.lease) AS leases,
           array_agg(l.route_number) AS route_numbers, array_agg(l.tenant_number) AS tenant_numbers,
           count(*) AS number
      INTO lanes
      FROM (SELECT j.*, dense_rank() OVER (ORDER BY j.route)::integer AS route_number,
                   dense_rank() OVER (ORDER BY j.tenant)::integer AS tenant_number, r.room
              FROM mulberry_internal.job_lanes() j
             -- how many more the endpoint may have; null: any number
             CROSS JOIN LATERAL (SELECT CASE WHEN j.held_for IS NOT NULL THEN 1
                                             WHEN j.max_concurrency IS NOT NULL OR j.allowed IS NOT NULL THEN
                                                 (SELECT least(j.max_concurrency - count(*), j.allowed - count(*) FILTER
                                                               (WHERE j.allowed_for IN (mulberry_internal.every_tenant(), q.tenant)))
                                                    FROM mulberry_internal.job_queue q
                                                   WHERE q.route = j.route AND q.state = 'running' AND q.run_at > at)::integer
                                        END AS room) AS r
             WHERE j.run_at <= at AND (j.not_before IS NULL OR j.not_before <= at) AND (r.room IS NULL OR r.room > 0)
             -- locks of endpoints are taken in this order
             ORDER BY j.route, j.tenant) AS l;

    -- Who shall have how many.  The next job is that of the lane whose tenant or endpoint has least
    -- under way; chance decides between equals, so that with one slot, too, everybody has a turn.
    IF lanes.number = 1 AND free >= max_jobs THEN
        granted := ARRAY[least(max_jobs, lanes.rooms[1])];
    ELSIF lanes.number > 0 THEN
        granted := array_fill(0, ARRAY[lanes.number::integer]);
        deep := least(max_jobs, ceil(4.0 * max_jobs / lanes.number));
        FOR candidate IN
            WITH held AS MATERIALIZED (
                SELECT h.route, h.tenant FROM unnest(held_routes, held_tenants) AS h (route, tenant)
            )
            SELECT l.lane, l.route, l.route_number, l.tenant_number, l.room, l.by_route, l.by_tenant
              FROM (SELECT u.*, h.by_route,
                           -- at an endpoint with a limit what other workers run for the tenant counts
                           CASE WHEN u.room IS NULL THEN h.by_tenant
                                ELSE greatest(h.by_tenant,
                                    (SELECT count(*) FROM mulberry_internal.job_queue q
                                      WHERE q.route = u.route AND q.tenant = u.tenant AND q.run_at > at AND q.state = 'running'))
                           END AS by_tenant
                      FROM unnest(lanes.routes, lanes.tenants, lanes.rooms, lanes.route_numbers, lanes.tenant_numbers)
                           WITH ORDINALITY AS u (route, tenant, room, route_number, tenant_number, lane)
                     CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE h.route = u.route) AS by_route,
                                                count(*) FILTER (WHERE h.tenant = u.tenant) AS by_tenant
                                           FROM held h) AS h) AS l
             CROSS JOIN LATERAL (SELECT row_number() OVER () - 1 AS before
                                   FROM (SELECT FROM mulberry_internal.job_queue q
                                          WHERE q.route = l.route AND q.tenant = l.tenant AND q.run_at <= at
                                          ORDER BY q.run_at LIMIT deep) AS due) AS due
             ORDER BY greatest(l.by_route, l.by_tenant) + due.before, l.by_tenant + due.before, random()
        LOOP
            -- of what is held for one tenant one job asks, or so many are allowed, whatever the endpoint does for others
            CONTINUE WHEN CASE WHEN lanes.limited_for[candidate.lane] <> mulberry_internal.every_tenant() THEN granted[candidate.lane]
                               ELSE coalesce(of_route[candidate.route_number], 0) END >= candidate.room;
            IF candidate.route <> 0 THEN
                -- What is kept in reserve is for those who have less than half of what is left of it.
                CONTINUE WHEN free <= 0
                    AND 2 * greatest(candidate.by_route + coalesce(of_route[candidate.route_number], 0),
                                     candidate.by_tenant + coalesce(of_tenant[candidate.tenant_number], 0)) >= free + reserve;
                free := free - 1;
                of_tenant[candidate.tenant_number] := coalesce(of_tenant[candidate.tenant_number], 0) + 1;
            END IF;
            of_route[candidate.route_number] := coalesce(of_route[candidate.route_number], 0) + 1;
            granted[candidate.lane] := granted[candidate.lane] + 1;
            more := more - 1;
            EXIT WHEN more <= 0;
        END LOOP;
    END IF;

    -- Lanes without a limit together.
    RETURN QUERY
        WITH due AS (
            SELECT q.id, l.lease
              FROM unnest(lanes.routes, lanes.tenants, lanes.leases, lanes.rooms, granted) AS l (route, tenant, lease, room, granted)
             CROSS JOIN LATERAL (SELECT q.id FROM mulberry_internal.job_queue q
                                  WHERE q.route = l.route AND q.tenant = l.tenant AND q.run_at <= at
                                  ORDER BY q.run_at
                                  LIMIT l.granted
                                    FOR UPDATE SKIP LOCKED) AS q
             WHERE l.room IS NULL AND l.granted > 0
        )
        UPDATE mulberry_internal.job_queue q
           SET state = 'running', run_at = at + due.lease, attempts = q.attempts + 1,
               lease_token = q.lease_token + 1, worker = claim_jobs.worker, started_at = at,
               last_error = CASE q.state
                   WHEN 'running' THEN format('worker %s did not finish it within its lease', q.worker)
                   ELSE q.last_error END
          FROM due
         WHERE q.id = due.id
     RETURNING q.id, q.lease_token, q.kind, q.tenant, q.call, q.payload, q.attempts, q.max_attempts, q.route, false, q.failed_at;

    -- The others one by one, under a lock of their endpoint.
    FOR lane IN 1 .. lanes.number LOOP
        room := granted[lane];
        CONTINUE WHEN room = 0 OR lanes.rooms[lane] IS NULL;
        is_probe := false;
        IF lanes.held_for[lane] IS NOT NULL THEN
            -- One worker gets to ask; while an admin changes the endpoint nobody does.
            UPDATE mulberry_internal.endpoint_state s SET state = 'half_open', retry_at = at + lanes.leases[lane]
              FROM (SELECT x.endpoint, x.tenant FROM mulberry_internal.endpoint_state x
                     WHERE x.endpoint = lanes.routes[lane] AND x.tenant = lanes.held_for[lane]
                       AND x.state <> 'closed' AND x.retry_at <= at
                       FOR NO KEY UPDATE SKIP LOCKED) AS free
             WHERE s.endpoint = free.endpoint AND s.tenant = free.tenant;
            CONTINUE WHEN NOT FOUND;
            is_probe := true;
        END IF;
        -- Whoever counts here also claims here before the next one counts.
        room := CASE WHEN mulberry_internal.lock_endpoint_soon(lanes.routes[lane]) THEN room ELSE 0 END;
        -- Out meanwhile: what is allowed says nothing any more.
        IF NOT is_probe AND (mulberry_internal.open_breaker(lanes.routes[lane], lanes.tenants[lane])).endpoint IS NOT NULL THEN
            room := 0;
        END IF;
        room := least(room, (
            SELECT least((SELECT e.max_concurrency FROM mulberry_internal.endpoints e WHERE e.id = lanes.routes[lane]) - count(*),
                         (SELECT s.allowed FROM mulberry_internal.endpoint_state s
                           WHERE s.endpoint = lanes.routes[lane] AND s.tenant = lanes.limited_for[lane])
                         - count(*) FILTER (WHERE lanes.limited_for[lane] IN (mulberry_internal.every_tenant(), q.tenant)))
              FROM mulberry_internal.job_queue q
             WHERE q.route = lanes.routes[lane] AND q.state = 'running' AND q.run_at > at));

        ids := '{}';
        IF room > 0 THEN
            ids := ARRAY(SELECT q.id FROM mulberry_internal.job_queue q
                          WHERE q.route = lanes.routes[lane] AND q.tenant = lanes.tenants[lane] AND q.run_at <= at
                          ORDER BY q.run_at
                          LIMIT room
                            FOR UPDATE SKIP LOCKED);
            RETURN QUERY
                UPDATE mulberry_internal.job_queue q
                   SET state = 'running', run_at = at + lanes.leases[lane], attempts = q.attempts + 1,
                       lease_token = q.lease_token + 1, worker = claim_jobs.worker, started_at = at,
                       last_error = CASE q.state
                           WHEN 'running' THEN format('worker %s did not finish it within its lease', q.worker)
                           ELSE q.last_error END
                 WHERE q.id = ANY (ids)
             RETURNING q.id, q.lease_token, q.kind, q.tenant, q.call, q.payload, q.attempts, q.max_attempts,
                       q.route, is_probe, q.failed_at;
        END IF;
        IF is_probe THEN
            UPDATE mulberry_internal.endpoint_state s
               SET probe = ids[1], state = CASE WHEN ids = '{}' THEN 'open' ELSE s.state END,
                   retry_at = CASE WHEN ids = '{}' THEN at ELSE s.retry_at END
             WHERE s.endpoint = lanes.routes[lane] AND s.tenant = lanes.held_for[lane];
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION claim_jobs(integer, integer, timestamptz, integer, integer, bigint[], uuid[]) IS
    'takes jobs that are due under a lease of the endpoint''s timeout plus mulberry.lease_time, those whose lease has ended among them; '
    'the next is always of the tenant and the endpoint that have least under way. slots: transfers that the worker may run; reserve: '
    'further ones for tenants and endpoints that run few; held: endpoint and tenant of each that it runs';

-- A job that cannot be claimed is out of the way for good (run_at), until somebody has mended what it fails for.
CREATE FUNCTION sift_job(job bigint, tenant uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE mulberry_internal.job_queue q SET attempts = q.attempts + 1, lease_token = q.lease_token + 1 WHERE q.id = job;
    RAISE SQLSTATE 'MB000';    -- it can be claimed, and is not claimed here
EXCEPTION
    WHEN SQLSTATE 'MB000' THEN
        RETURN true;
    WHEN OTHERS THEN
        PERFORM mulberry_internal.set_aside('claiming', job::text, tenant, SQLSTATE, SQLERRM);
        BEGIN
            UPDATE mulberry_internal.job_queue q SET state = 'queued', worker = NULL, run_at = 'infinity', last_error = SQLERRM
             WHERE q.id = job;
        EXCEPTION WHEN OTHERS THEN
            -- nothing of it can be changed
            PERFORM mulberry_internal.settle_job(job, 'dead', SQLERRM);
        END;
        RETURN false;
END
$$;
COMMENT ON FUNCTION sift_job(bigint, uuid) IS 'whether a locked job can be claimed; one that cannot is set aside (internal)';

CREATE FUNCTION retry_jobs_set_aside(max_jobs integer) RETURNS integer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    waiting record;
    well    integer := 0;
BEGIN
    FOR waiting IN
        SELECT q.id, q.tenant FROM mulberry_internal.job_queue q
         WHERE q.run_at = 'infinity' AND NOT mulberry_internal.is_set_aside('claiming', q.id::text)
         LIMIT max_jobs FOR UPDATE SKIP LOCKED
    LOOP
        IF mulberry_internal.sift_job(waiting.id, waiting.tenant) THEN
            UPDATE mulberry_internal.job_queue q SET run_at = clock_timestamp() WHERE q.id = waiting.id;
            well := well + 1;
        END IF;
    END LOOP;
    IF well > 0 THEN
        PERFORM mulberry_internal.wake_workers();
    END IF;
    RETURN well;
END
$$;
COMMENT ON FUNCTION retry_jobs_set_aside(integer) IS
    'makes jobs due again that were set aside because they could not be claimed and now can, and returns how many; part of maintenance '
    '(internal)';

CREATE FUNCTION sift_jobs() RETURNS integer
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    due  record;
    bad  integer := 0;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    FOR due IN
        SELECT q.id, q.tenant FROM mulberry_internal.job_queue q
         WHERE q.run_at <= clock_timestamp() ORDER BY random() LIMIT 1000 FOR UPDATE SKIP LOCKED
    LOOP
        IF NOT mulberry_internal.sift_job(due.id, due.tenant) THEN
            bad := bad + 1;
        END IF;
    END LOOP;
    RETURN bad;
END
$$;
COMMENT ON FUNCTION sift_jobs() IS
    'sets aside due jobs that cannot be claimed, because claiming has failed, and returns how many; for workers (internal)';

CREATE FUNCTION next_job_due() RETURNS timestamptz
LANGUAGE mulberry VOLATILE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    RETURN (SELECT min(greatest(j.run_at, j.not_before)) FROM mulberry_internal.job_lanes() j WHERE mulberry.outbound_allowed());
END
$$;
COMMENT ON FUNCTION next_job_due() IS 'when a job may be claimed next, if nothing changes; null: there is none';

-- src/jobs/attempt.sql
CREATE TRIGGER guard_state AFTER UPDATE ON endpoint_state
    FOR EACH ROW WHEN (old.state <> new.state) EXECUTE FUNCTION guard_state();

-- The fence of a lease: whoever has lost his has no say in the job any more.
CREATE FUNCTION leased_job(job bigint, token bigint) RETURNS mulberry_internal.job_queue
LANGUAGE plpgsql AS $$
DECLARE
    found_job mulberry_internal.job_queue;
BEGIN
    SELECT q.* INTO found_job
      FROM mulberry_internal.job_queue q
     WHERE q.id = leased_job.job AND q.lease_token = leased_job.token AND q.state = 'running'
       FOR UPDATE;
    RETURN found_job;
END
$$;
COMMENT ON FUNCTION leased_job(bigint, bigint) IS
    'the row of a job, locked, for who holds its lease; null for anybody else (internal)';

CREATE FUNCTION defer_job(job bigint, token bigint, reason text) RETURNS void
LANGUAGE sql
AS $$
    UPDATE mulberry_internal.job_queue q
       SET state = 'queued', run_at = clock_timestamp() + interval '1 second' * least(q.deferrals + 1, 10), worker = NULL,
           attempts = q.attempts - 1, deferrals = q.deferrals + 1, last_error = coalesce(q.last_error, $3)
     WHERE q.id = (SELECT j.id FROM mulberry_internal.leased_job($1, $2) j)
$$;
COMMENT ON FUNCTION defer_job(bigint, bigint, text) IS
    'puts a job back for some seconds, uncounted, because somebody has locked what it is about (internal)';

CREATE FUNCTION prepare_job(job bigint, token bigint,
    OUT ready boolean, OUT endpoint text, OUT kind text, OUT secret_tenant uuid, OUT base_url text, OUT model text,
    OUT secret text, OUT options jsonb, OUT timeout_ms integer, OUT allow_http boolean, OUT allow_private boolean,
    OUT shared boolean, OUT refused text[], OUT configuration bigint,
    OUT own_key boolean, OUT coming_back boolean)
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    j         mulberry_internal.job_queue;
    e         mulberry_internal.endpoints;
    new_route bigint;
BEGIN
    ready := false;
    j := mulberry_internal.leased_job(job, token);
    IF j.id IS NULL THEN
        RETURN;
    END IF;
    -- A sender that takes its time to commit must not keep the worker from the jobs of others.
    IF NOT mulberry_internal.lock_call_soon(j.call) THEN
        PERFORM mulberry_internal.defer_job(job, token, 'the call is locked by another transaction');
        RETURN;
    END IF;
    IF j.attempts > j.max_attempts THEN
        PERFORM mulberry_internal.give_up_job(j, 'dead', j.last_error,
            'AI service failed after maximum retries: ' || coalesce(j.last_error, 'lease lost'));
        RETURN;
    END IF;
    -- The configuration may have changed since the job was routed.
    new_route := mulberry_internal.job_route(j.kind, j.tenant, j.call, j.endpoint, j.passed);
    IF new_route IS DISTINCT FROM j.route AND NOT mulberry_internal.is_probe(j) THEN
        UPDATE mulberry_internal.job_queue q
           SET route = new_route, state = 'queued', run_at = clock_timestamp(), attempts = q.attempts - 1
         WHERE q.id = job;
        RETURN;
    END IF;
    IF j.call IS NOT NULL AND NOT mulberry_internal.start_processing(j.call) THEN
        PERFORM mulberry_internal.settle_job(job, 'cancelled', 'the call is gone, or has been processed');
        RETURN;
    END IF;
    IF (mulberry_internal.job_kind(j.kind)).subject = 'endpoint' THEN
        SELECT * INTO e FROM mulberry_internal.endpoints x WHERE x.id = (j.payload->>'endpoint')::bigint;
        IF NOT FOUND THEN
            PERFORM mulberry_internal.settle_job(job, 'cancelled', 'the endpoint is gone');
            RETURN;
        END IF;
    ELSIF j.route > 0 THEN
        SELECT * INTO STRICT e FROM mulberry_internal.endpoints x WHERE x.id = j.route;
    END IF;
    ready := true;
    IF e.id IS NOT NULL THEN
        endpoint := e.name;
        kind := e.kind;
        base_url := e.base_url;
        model := e.model;
        secret := e.secret;
        secret_tenant := mulberry_internal.secret_tenant(e.tenant, e.secret, j.tenant);
        options := e.options;
        timeout_ms := extract(epoch FROM
            coalesce(e.timeout, current_setting('mulberry.http_timeout')::interval)) * 1000;
        allow_http := e.allow_http;
        allow_private := e.allow_private;
        shared := e.tenant IS NULL;
        SELECT min(s.refused) FILTER (WHERE s.tenant = mulberry_internal.every_tenant()), coalesce(bool_or(s.allowed IS NOT NULL), false)
          INTO refused, coming_back
          FROM mulberry_internal.endpoint_state s
         WHERE s.endpoint = e.id AND s.tenant IN (mulberry_internal.every_tenant(), j.tenant);
        -- that of tenant "default" serves all that have none
        own_key := e.tenant IS NULL AND e.secret IS NOT NULL
            AND (secret_tenant IS NULL
                 OR (secret_tenant = j.tenant
                     AND secret_tenant <> (SELECT t.id FROM mulberry_internal.tenants t WHERE t.name = 'default')));
        configuration := extract(epoch FROM e.updated_at) * 1000000;
    END IF;
END
$$;
COMMENT ON FUNCTION prepare_job(bigint, bigint) IS
    'begins work on a claimed job: moves its call to PROCESSING_AI and names the endpoint; ready is false when there is nothing to do '
    'for the one who holds this token, or the call is busy';

CREATE FUNCTION attempts_needed(max_attempts integer, others_failing double precision) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN others_failing <= 0 THEN max_attempts
            WHEN others_failing >= 0.5 THEN greatest(max_attempts, 20)
            ELSE greatest(max_attempts, ceil(ln(1e-6) / ln(others_failing))::integer) END;
COMMENT ON FUNCTION attempts_needed(integer, double precision) IS
    'how often a job is tried: max_attempts, or where a share of the other jobs'' requests fails as well so often that chance fails one '
    'job in a million, at most 20 times (internal)';

CREATE FUNCTION fail_attempt(job bigint, token bigint, failure text, error text,
                             retry_after interval DEFAULT NULL, at timestamptz DEFAULT clock_timestamp(),
                             serves_others boolean DEFAULT true, others_failing double precision DEFAULT 0)
RETURNS text
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    -- An endpoint that asks to come back later for ever must not keep a job alive for ever.
    max_deferrals CONSTANT integer := 100;
    longest_pause CONSTANT interval := interval '1 minute';
    first_delay   CONSTANT interval := current_setting('mulberry.ai_retry_delay')::interval;
    by_endpoint   CONSTANT boolean := failure IN ('unreachable', 'endpoint', 'timeout');
    j             mulberry_internal.job_queue;
    breaker       mulberry_internal.endpoint_state;
    next_route    bigint;
    next_one      boolean;
    delay         interval;
    counts        boolean := true;
    needed        integer;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    error := left(error, 1000);
    PERFORM mulberry_internal.lock_telephony_job(job);
    j := mulberry_internal.leased_job(job, token);
    IF j.id IS NULL THEN
        RETURN 'stale';
    END IF;
    breaker := mulberry_internal.open_breaker(j.route, j.tenant);
    needed := mulberry_internal.attempts_needed(j.max_attempts, others_failing);

    CASE failure
        WHEN 'abandoned' THEN
            counts := false;
            delay := '0';
            error := j.last_error;
        WHEN 'blocked' THEN
            -- somebody has locked what it is about: as defer_job() does
            counts := false;
            delay := interval '1 second' * least(j.deferrals + 1, 10);
            error := coalesce(j.last_error, error);
        WHEN 'unreachable', 'endpoint', 'timeout', 'transient' THEN
            IF retry_after IS NOT NULL AND j.deferrals < max_deferrals THEN
                counts := false;
                delay := greatest(least(retry_after, '1 hour'), first_delay);
            ELSIF failure = 'transient' THEN
                counts := breaker.endpoint IS NULL;
            ELSIF failure = 'unreachable' THEN
                counts := false;
            ELSIF j.failed_at IS NULL THEN
                -- taken back should more fail, see report_endpoint()
                counts := breaker.endpoint IS NULL;
            ELSE
                counts := serves_others;
            END IF;
            IF counts THEN
                delay := CASE WHEN j.attempts >= needed THEN NULL
                              -- a person shall hear of it, if later
                              WHEN (mulberry_internal.job_kind(j.kind)).persistent
                                  THEN least(first_delay * 2 ^ least(j.attempts, 16), '5 minutes')
                              WHEN j.attempts < j.max_attempts THEN mulberry_internal.retry_delay(j.attempts, first_delay)
                              ELSE least(first_delay * 8, longest_pause) END;
            ELSIF delay IS NULL AND breaker.endpoint IS NULL THEN
                delay := least(first_delay * 2 ^ least(j.deferrals, 16), '30 seconds');
            ELSIF delay IS NULL AND at - greatest(j.waits_since, breaker.out_since)
                                    <= current_setting('mulberry.endpoint_patience')::interval THEN
                delay := first_delay;
            END IF;
            -- It goes behind the others, so that it is not the next probe again.
            delay := delay + coalesce(greatest(breaker.retry_at - at, '0'), '0');
        WHEN 'limited' THEN
            -- A quota is a matter of waiting, a minute for one of requests a minute.  Not all come back at once.
            counts := j.deferrals >= max_deferrals;
            delay := CASE WHEN counts THEN CASE WHEN j.attempts < j.max_attempts THEN longest_pause END
                          WHEN retry_after IS NOT NULL THEN greatest(least(retry_after, '1 hour'), first_delay)
                          ELSE least(first_delay * 2 ^ least(j.deferrals, 16), longest_pause) * (1 + random() / 4) END;
        WHEN 'permanent' THEN
            NULL;
        ELSE
            RAISE EXCEPTION 'unknown kind of failure "%"', failure USING ERRCODE = 'invalid_parameter_value';
    END CASE;

    IF delay IS NULL THEN
        PERFORM mulberry_internal.give_up_job(j, 'dead', error,
            CASE WHEN failure = 'permanent' THEN 'AI service failed: '
                 WHEN counts THEN 'AI service failed after maximum retries: '
                 ELSE format('AI service was unavailable for %s: ', current_setting('mulberry.endpoint_patience')) END || error);
        RETURN 'dead';
    END IF;
    IF by_endpoint THEN
        -- While it is out, or when its time was up, the next one is asked, and at once; after the last one it begins anew.
        next_one := true;
        IF failure = 'timeout' THEN
            j.passed := j.passed || j.route;
            next_one := mulberry_internal.job_route(j.kind, j.tenant, j.call, j.endpoint, j.passed) <> ALL (j.passed);
            j.passed := CASE WHEN next_one THEN j.passed END;
        END IF;
        next_route := mulberry_internal.job_route(j.kind, j.tenant, j.call, j.endpoint, j.passed);
        IF next_one AND next_route <> j.route AND (mulberry_internal.open_breaker(next_route, j.tenant)).endpoint IS NULL THEN
            delay := '0';
        END IF;
    END IF;
    UPDATE mulberry_internal.job_queue q
       SET state = 'queued', run_at = at + delay, last_error = error, worker = NULL,
           attempts = q.attempts - (NOT counts)::integer, deferrals = q.deferrals + (NOT counts)::integer,
           max_attempts = CASE WHEN counts THEN greatest(q.max_attempts, q.attempts + 1) ELSE q.max_attempts END,
           failed_at = CASE WHEN by_endpoint THEN at ELSE q.failed_at END,
           passed = j.passed, route = CASE WHEN by_endpoint THEN next_route ELSE q.route END
     WHERE q.id = job;
    RETURN CASE WHEN counts THEN 'retry' ELSE 'deferred' END;
END
$$;
COMMENT ON FUNCTION fail_attempt(bigint, bigint, text, text, interval, timestamptz, boolean, double precision) IS
    'ends an attempt that failed (transient, limited, permanent, unreachable, endpoint, timeout, blocked, abandoned): retry, deferred '
    '(tried again without counting), dead, or stale when the token is no longer the job''s. A failure of the endpoint counts when it '
    'serves others; others_failing: the share of their requests that fails';

CREATE FUNCTION release_jobs(worker integer) RETURNS integer
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    jobs bigint[];
BEGIN
    WITH released AS (
        UPDATE mulberry_internal.job_queue q
           SET state = 'queued', run_at = clock_timestamp(), attempts = q.attempts - 1, deferrals = q.deferrals + 1,
               worker = NULL
         WHERE q.state = 'running' AND q.worker = release_jobs.worker
     RETURNING q.id
    )
    SELECT array_agg(r.id) INTO jobs FROM released r;
    -- A probe that will not be answered; it may have been sent, so not at once.
    UPDATE mulberry_internal.endpoint_state s SET state = 'open', retry_at = clock_timestamp() + interval '1 second'
     WHERE s.state = 'half_open' AND s.probe = ANY (jobs);
    RETURN coalesce(cardinality(jobs), 0);
END
$$;
COMMENT ON FUNCTION release_jobs(integer) IS
    'puts back, uncounted, what the process with this pid has claimed and not finished; returns how many';

CREATE FUNCTION note_objections(endpoint bigint, refused text[]) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    INSERT INTO mulberry_internal.endpoint_state AS s (endpoint, state, refused)
    SELECT e.id, 'closed', note_objections.refused FROM mulberry_internal.endpoints e WHERE e.id = note_objections.endpoint
    ON CONFLICT ON CONSTRAINT endpoint_state_pkey DO UPDATE
       SET refused = ARRAY(SELECT r FROM unnest(s.refused || excluded.refused) WITH ORDINALITY AS x (r, n) GROUP BY r ORDER BY min(n));
END
$$;
COMMENT ON FUNCTION note_objections(bigint, text[]) IS
    'remembers what a service has refused of its requests and was satisfied without, so that nobody sends it again';

CREATE FUNCTION note_division(job bigint, token bigint, parts integer, part_bytes bigint, done integer) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    UPDATE mulberry_internal.job_queue q
       SET payload = coalesce(q.payload, '{}') || jsonb_build_object('division', jsonb_build_object(
               'parts', parts, 'part_bytes', note_division.part_bytes, 'done_before', done, 'began', clock_timestamp()))
     WHERE q.id = (SELECT j.id FROM mulberry_internal.leased_job(job, token) j);
END
$$;
COMMENT ON FUNCTION note_division(bigint, bigint, integer, bigint, integer) IS
    'keeps into how many requests a job was divided, and how many were done when this attempt began, for call_progress()';

CREATE FUNCTION save_progress(job bigint, token bigint, progress jsonb) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    -- What is done is not done again, and the next part has all attempts.
    UPDATE mulberry_internal.job_queue q
       SET payload = coalesce(q.payload, '{}') || progress, attempts = 1,
           run_at = clock_timestamp() + (q.run_at - q.started_at), started_at = clock_timestamp()
     WHERE q.id = (SELECT j.id FROM mulberry_internal.leased_job(job, token) j);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the lease of job % is lost', job USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END
$$;
COMMENT ON FUNCTION save_progress(bigint, bigint, jsonb) IS
    'keeps what a job that consists of several requests has reached, and its lease; 55000 when that is lost';

-- src/jobs/views.sql
CREATE VIEW mulberry.jobs WITH (security_barrier) AS
    WITH visible AS (SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin') AS tenants)
    SELECT q.id, q.kind, t.name AS tenant, c.call_id, coalesce(e.name, q.endpoint) AS endpoint,
           CASE WHEN q.state = 'running' AND q.run_at > now() THEN 'running'
                WHEN w.reason IS NOT NULL THEN 'held'
                ELSE 'queued' END AS state,
           CASE WHEN q.state = 'queued' OR q.run_at <= now() THEN w.reason END AS held_because,
           CASE WHEN q.state = 'queued' THEN q.run_at END AS run_at,
           CASE WHEN q.state = 'running' THEN q.run_at END AS lease_until,
           q.attempts, q.max_attempts, q.deferrals, CASE WHEN q.state = 'running' THEN q.worker END AS worker,
           q.last_error, q.created_at, q.started_at, NULL::timestamptz AS finished_at
      FROM mulberry_internal.job_queue q
      JOIN mulberry_internal.tenants t ON t.id = q.tenant
      LEFT JOIN mulberry_internal.calls c ON c.id = q.call
      LEFT JOIN mulberry_internal.endpoints e ON e.id = q.route
      LEFT JOIN LATERAL (SELECT b.endpoint, b.last_error FROM mulberry_internal.endpoint_state b
                          WHERE b.endpoint = q.route AND b.tenant IN ('00000000-0000-0000-0000-000000000000', q.tenant)
                            AND b.state <> 'closed'
                          ORDER BY b.tenant LIMIT 1) AS s ON true
     CROSS JOIN LATERAL (SELECT CASE
                WHEN NOT (SELECT mulberry.outbound_allowed())
                    THEN 'outgoing work of this copy of the database is held: resume_outbound()'
                WHEN q.route IS NULL AND q.endpoint IS NOT NULL THEN format('there is no endpoint "%s"', q.endpoint)
                WHEN q.route IS NULL THEN format('no endpoint serves %s', mulberry.job_purpose(q.kind))
                WHEN NOT e.enabled THEN format('endpoint "%s" is disabled', e.name)
                WHEN s.endpoint IS NOT NULL THEN format('endpoint "%s" is unavailable: %s', e.name, s.last_error)
            END AS reason) AS w
     WHERE q.tenant = ANY ((SELECT tenants FROM visible)::uuid[])
     UNION ALL
    SELECT h.id, h.kind, t.name, c.call_id, coalesce(e.name, h.endpoint), h.state, NULL, NULL, NULL,
           h.attempts, h.max_attempts, h.deferrals, NULL, h.last_error, h.created_at, h.started_at, h.finished_at
      FROM mulberry_internal.job_history h
      JOIN mulberry_internal.tenants t ON t.id = h.tenant
      LEFT JOIN mulberry_internal.calls c ON c.id = h.call
      LEFT JOIN mulberry_internal.endpoints e ON e.id = h.route
     WHERE h.tenant = ANY ((SELECT tenants FROM visible)::uuid[]);
COMMENT ON VIEW mulberry.jobs IS 'every job: queued, held (waits for what held_because says), running, done, dead, cancelled';
COMMENT ON COLUMN mulberry.jobs.attempts IS 'attempts that count; deferrals are those that do not';

-- Finished jobs are counted in the table itself: as part of the view jobs each would be joined to its call.
CREATE VIEW mulberry.job_summary WITH (security_barrier) AS
    SELECT kind, state, count(*) AS jobs, min(created_at) AS oldest,
           count(*) FILTER (WHERE state IN ('queued', 'held') AND run_at < now()) AS overdue
      FROM mulberry.jobs
     -- decided once, before any job is looked at
     WHERE (SELECT cardinality(mulberry.current_tenants(true, 'operator', 'auditor', 'admin')) > 0)
       AND finished_at IS NULL
     GROUP BY kind, state
     UNION ALL
    SELECT kind, state, count(*), min(created_at), 0
      FROM mulberry_internal.job_history
     WHERE tenant = ANY ((SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin'))::uuid[])
     GROUP BY kind, state;
COMMENT ON VIEW mulberry.job_summary IS 'jobs by kind and state: how many, since when, and how many should have begun by now';

CREATE VIEW mulberry.endpoint_status WITH (security_barrier) AS
    SELECT e.name, t.name AS tenant, e.kind, e.purpose, e.priority, e.base_url, e.model, e.options, e.secret, e.timeout,
           e.max_concurrency, e.allow_http, e.allow_private, e.enabled, e.seeded,
           coalesce(s.state, 'closed') AS breaker, s.retry_at, s.last_error, s.out_since, held.tenants AS held_tenants,
           q.queued, q.running
      FROM mulberry_internal.endpoints e
      LEFT JOIN mulberry_internal.tenants t ON t.id = e.tenant
      LEFT JOIN mulberry_internal.endpoint_state s ON s.endpoint = e.id AND s.tenant = '00000000-0000-0000-0000-000000000000'
     CROSS JOIN LATERAL (SELECT coalesce(array_agg(u.name::text ORDER BY u.name), '{}') AS tenants
                           FROM mulberry_internal.endpoint_state h
                           JOIN mulberry_internal.tenants u ON u.id = h.tenant
                          WHERE h.endpoint = e.id AND h.state <> 'closed'
                            AND h.tenant = ANY ((SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin'))::uuid[])) AS held
     CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE x.state = 'queued') AS queued,
                                count(*) FILTER (WHERE x.state = 'running' AND x.run_at > now()) AS running
                           FROM mulberry_internal.job_queue x
                          WHERE x.route = e.id
                            AND x.tenant = ANY ((SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin'))::uuid[])) AS q
     WHERE CASE WHEN e.tenant IS NULL
                THEN cardinality((SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin'))::uuid[]) > 0
                ELSE e.tenant = ANY ((SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin'))::uuid[]) END;
COMMENT ON VIEW mulberry.endpoint_status IS
    'endpoints as configured, whether they can be reached, and the jobs of one''s tenants that they serve';
COMMENT ON COLUMN mulberry.endpoint_status.tenant IS 'null: serves all tenants';
COMMENT ON COLUMN mulberry.endpoint_status.breaker IS
    'closed: requests flow; open: none until retry_at; half_open: one request asks whether it is back';
COMMENT ON COLUMN mulberry.endpoint_status.out_since IS 'when it began to fail; null: it does not';
COMMENT ON COLUMN mulberry.endpoint_status.held_tenants IS
    'of an endpoint of all tenants, those of one''s tenants whose own key is refused, or for whom alone it fails: their jobs wait';

CREATE VIEW mulberry.stat_workers WITH (security_barrier) AS
    SELECT p.place AS worker, p.pid, p.started_at, p.starts, p.in_flight, p.done, p.failed, p.last_activity
      FROM mulberry.process_statistics() p
     WHERE p.type = 'worker'
       AND cardinality((SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin', 'monitor'))::uuid[]) > 0;
COMMENT ON VIEW mulberry.stat_workers IS 'the workers of this database, alive (pid) or not; empty without preloading';
COMMENT ON COLUMN mulberry.stat_workers.starts IS 'how often a process has taken this place since the server started';
COMMENT ON COLUMN mulberry.stat_workers.in_flight IS 'requests under way';
COMMENT ON COLUMN mulberry.stat_workers.done IS 'jobs dealt with since the server started';
COMMENT ON COLUMN mulberry.stat_workers.failed IS 'attempts that failed since the server started';

CREATE FUNCTION health_jobs() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE sql STABLE
AS $$
    WITH unavailable AS (
        SELECT e.id, e.name, s.tenant, t.name AS of_tenant, s.out_since, s.retry_at, s.last_error, other.name AS instead,
               coalesce(e.tenant, nullif(s.tenant, mulberry_internal.every_tenant())) IS NULL
               OR coalesce(e.tenant, s.tenant) = ANY ((SELECT mulberry.current_tenants())::uuid[]) AS known,
               -- what a service answers may repeat what it was sent
               cardinality((SELECT mulberry.current_tenants('operator', 'auditor', 'gateway', 'worker'))::uuid[]) > 0 AS tells
          FROM mulberry_internal.endpoint_state s
          JOIN mulberry_internal.endpoints e ON e.id = s.endpoint
          LEFT JOIN mulberry_internal.tenants t ON t.id = s.tenant
          LEFT JOIN LATERAL (SELECT o.name FROM mulberry_internal.endpoints o
                              WHERE o.tenant IS NOT DISTINCT FROM e.tenant AND o.purpose = e.purpose AND o.enabled AND o.id <> e.id
                                AND NOT EXISTS (SELECT FROM mulberry_internal.endpoint_state x
                                                 WHERE x.endpoint = o.id AND x.tenant IN (mulberry_internal.every_tenant(), s.tenant)
                                                   AND x.state <> 'closed')
                              ORDER BY o.priority, o.id LIMIT 1) AS other ON true
         WHERE s.state <> 'closed'
    )
    SELECT 'endpoint ' || u.name, CASE WHEN u.instead IS NULL THEN 'error' ELSE 'warning' END,
           concat(format('unavailable%s since %s, ', ' for tenant "' || u.of_tenant || '"', u.out_since),
                  'endpoint "' || u.instead || '" takes its place, ',
                  format('%s jobs wait, asked again at %s%s',
                         (SELECT count(*) FROM mulberry_internal.job_queue q
                           WHERE q.route = u.id AND u.tenant IN (mulberry_internal.every_tenant(), q.tenant)
                             AND q.tenant = ANY ((SELECT mulberry.current_tenants())::uuid[])),
                         u.retry_at, CASE WHEN u.tells THEN ': ' || u.last_error END)),
           'Its jobs wait, use up no attempts, and go on by themselves. See endpoint_status; test_endpoint() shows what it answers, '
           'alter_endpoint() changes it.'
      FROM unavailable u WHERE u.known
     UNION ALL
    -- no names: who may see health may not see every tenant
    SELECT 'endpoints of other tenants', 'error', format('%s are unavailable', count(*)),
           'Their jobs wait and go on by themselves.'
      FROM unavailable u WHERE NOT u.known HAVING count(*) > 0
     UNION ALL
    SELECT 'jobs without endpoint', 'error', format('%s jobs wait because no endpoint serves them', count(*)),
           'Configure one with set_endpoint().'
      FROM mulberry_internal.job_queue q WHERE q.route IS NULL HAVING count(*) > 0
     UNION ALL
    SELECT 'job queue',
           CASE WHEN count(*) FILTER (WHERE q.run_at < now() - interval '5 minutes') > 0 THEN 'warning' ELSE 'ok' END,
           format('%s jobs, %s of them more than 5 minutes overdue', count(*),
                  count(*) FILTER (WHERE q.run_at < now() - interval '5 minutes')),
           CASE WHEN count(*) FILTER (WHERE q.run_at < now() - interval '5 minutes') > 0
                THEN 'The view jobs says what each waits for. Without workers, a role with access worker calls run_jobs().' END
      FROM mulberry_internal.job_queue q
     UNION ALL
    SELECT 'dead jobs', CASE WHEN count(*) > 0 THEN 'warning' ELSE 'ok' END,
           format('%s were given up in the last 24 hours', count(*)),
           CASE WHEN count(*) > 0 THEN 'The view jobs has their last errors; retry_job() tries one again, retry_jobs() many.' END
      FROM mulberry_internal.job_history h WHERE h.state = 'dead' AND h.finished_at > now() - interval '1 day'
$$;
COMMENT ON FUNCTION health_jobs() IS 'health of jobs and endpoints';

-- src/jobs/metrics.sql
CREATE FUNCTION metrics_jobs(tenants uuid[], by_tenant boolean)
RETURNS TABLE (metric text, tenant uuid, labels jsonb, value double precision)
LANGUAGE sql STABLE
AS $$
    WITH queue AS (
        SELECT CASE WHEN by_tenant THEN q.tenant END AS tenant, q.kind,
               count(*) FILTER (WHERE q.state = 'queued' OR q.run_at <= now()) AS waiting,
               count(*) FILTER (WHERE q.state = 'running' AND q.run_at > now()) AS running,
               min(q.run_at) FILTER (WHERE q.run_at <= now()) AS oldest
          FROM mulberry_internal.job_queue q
         WHERE q.tenant = ANY (tenants)
         GROUP BY 1, 2
    ), owners AS (
        SELECT q.tenant, min(q.oldest) AS oldest FROM queue q GROUP BY q.tenant
         UNION ALL
        SELECT NULL, NULL WHERE NOT by_tenant AND NOT EXISTS (SELECT FROM queue)
    ), services AS (
        -- what one tenant's own key does at an endpoint of all is told of that tenant
        SELECT t.tenant, e.name,
               bool_and(NOT EXISTS (SELECT FROM mulberry_internal.endpoint_state s
                                     WHERE s.endpoint = e.id AND s.tenant IN (mulberry_internal.every_tenant(), t.tenant)
                                       AND s.state <> 'closed')) AS up
          FROM (SELECT x.tenant FROM unnest(tenants) AS x (tenant) WHERE by_tenant UNION ALL SELECT NULL WHERE NOT by_tenant) AS t
          JOIN mulberry_internal.endpoints e
            ON e.tenant IS NULL OR e.tenant = t.tenant OR (t.tenant IS NULL AND e.tenant = ANY (tenants))
         WHERE e.enabled
         GROUP BY 1, 2
    )
    SELECT m.metric, o.tenant, jsonb_build_object('kind', k.kind), m.value::double precision
      FROM owners o
     CROSS JOIN mulberry.job_kinds() k
      LEFT JOIN queue q ON q.tenant IS NOT DISTINCT FROM o.tenant AND q.kind = k.kind
     CROSS JOIN LATERAL (VALUES ('mulberry_jobs_waiting', coalesce(q.waiting, 0)),
                                ('mulberry_jobs_running', coalesce(q.running, 0))) AS m (metric, value)
     UNION ALL
    SELECT 'mulberry_job_queue_age_seconds', o.tenant, '{}',
           coalesce(extract(epoch FROM greatest(clock_timestamp() - o.oldest, '0')), 0)
      FROM owners o
     UNION ALL
    SELECT 'mulberry_endpoint_up', s.tenant, jsonb_build_object('endpoint', s.name), s.up::integer
      FROM services s
$$;
COMMENT ON FUNCTION metrics_jobs(uuid[], boolean) IS 'metrics of jobs and endpoints (internal)';

-- src/jobs/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE FUNCTION access_rules_jobs() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('jobs', 'SELECT', 'operator auditor admin'),
    ('job_summary', 'SELECT', 'operator auditor admin'),
    ('endpoint_status', 'SELECT', 'operator auditor admin'),
    ('stat_workers', 'SELECT', 'operator auditor admin monitor'),
    ('job_purpose', 'EXECUTE', 'operator auditor admin'),
    ('job_kinds', 'EXECUTE', 'operator auditor admin'),
    ('endpoint_kinds', 'EXECUTE', 'operator auditor admin'),
    ('retry_job', 'EXECUTE', 'operator'),
    ('retry_jobs', 'EXECUTE', 'operator'),
    ('cancel_job', 'EXECUTE', 'operator'),
    ('set_endpoint', 'EXECUTE', 'admin'),
    ('alter_endpoint', 'EXECUTE', 'admin'),
    ('drop_endpoint', 'EXECUTE', 'admin'),
    ('claim_jobs', 'EXECUTE', 'worker'),
    ('sift_jobs', 'EXECUTE', 'worker'),
    ('next_job_due', 'EXECUTE', 'worker'),
    ('prepare_job', 'EXECUTE', 'worker'),
    ('fail_attempt', 'EXECUTE', 'worker'),
    ('release_jobs', 'EXECUTE', 'worker'),
    ('report_endpoint', 'EXECUTE', 'worker'),
    ('report_probe', 'EXECUTE', 'worker'),
    ('report_served', 'EXECUTE', 'worker'),
    ('note_objections', 'EXECUTE', 'worker'),
    ('note_division', 'EXECUTE', 'worker'),
    ('save_progress', 'EXECUTE', 'worker'),
    ('run_jobs', 'EXECUTE', 'worker')
$$;
COMMENT ON FUNCTION access_rules_jobs() IS 'which access needs which object of jobs';

-- src/audio/audio.sql
-- Functions of their arguments alone.  Audio is raw: one channel, without header,
-- in one of the encodings mulaw, alaw (ITU-T G.711) and s16le (linear, 16 bits, little
-- endian).  Levels in dBFS are relative to a square wave of full scale
-- (ITU-T P.56 calls them dBov), levels in dBm0 to the network's reference (G.711).
-- Empty audio is an error, but nothing to aggregates, as are nulls.

CREATE FUNCTION mulberry.audio_convert(audio bytea, from_encoding text, from_rate integer, to_encoding text, to_rate integer)
RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'mulberry_audio_convert';
COMMENT ON FUNCTION mulberry.audio_convert(bytea, text, integer, text, integer) IS
    'audio in another encoding and at another sample rate (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000); aliases are at '
    'least 80 dB down';

CREATE FUNCTION mulberry.wav_encode(audio bytea, encoding text, sample_rate integer, channels integer DEFAULT 1) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'mulberry_wav_encode';
COMMENT ON FUNCTION mulberry.wav_encode(bytea, text, integer, integer) IS
    'a WAV file of the audio, which has interleaved samples where there are several channels';

CREATE FUNCTION mulberry.wav_decode(wav bytea, channel integer DEFAULT NULL, allow_truncated boolean DEFAULT false,
                           OUT audio bytea, OUT encoding text, OUT sample_rate integer,
                           OUT channels integer, OUT duration_ms bigint, OUT truncated boolean)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 5000 AS 'MODULE_PATHNAME', 'mulberry_wav_decode';
COMMENT ON FUNCTION mulberry.wav_decode(bytea, integer, boolean) IS
    'the audio in a WAV file: one channel (from 1), or the mean of all for null; 16-bit PCM, mu-law and A-law of one channel as they '
    'are, everything else as s16le';

CREATE FUNCTION mulberry.audio_level(audio bytea, encoding text) RETURNS loudness
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 5000 AS 'MODULE_PATHNAME', 'mulberry_audio_level';
COMMENT ON FUNCTION mulberry.audio_level(bytea, text) IS 'how loud the audio is';

CREATE FUNCTION audio_level_transition(state internal, audio bytea, encoding text) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'mulberry_audio_level_transition';
COMMENT ON FUNCTION audio_level_transition(internal, bytea, text) IS 'part of audio_level_agg()';

CREATE FUNCTION audio_level_combine(state internal, other internal) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_audio_level_combine';
COMMENT ON FUNCTION audio_level_combine(internal, internal) IS 'part of audio_level_agg()';

CREATE FUNCTION audio_level_serialize(state internal) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_audio_level_serialize';
COMMENT ON FUNCTION audio_level_serialize(internal) IS 'part of audio_level_agg()';

CREATE FUNCTION audio_level_deserialize(serialized bytea, state internal) RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_audio_level_deserialize';
COMMENT ON FUNCTION audio_level_deserialize(bytea, internal) IS 'part of audio_level_agg()';

CREATE FUNCTION audio_level_final(state internal) RETURNS loudness
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_audio_level_final';
COMMENT ON FUNCTION audio_level_final(internal) IS 'part of audio_level_agg()';

CREATE AGGREGATE mulberry.audio_level_agg(audio bytea, encoding text) (
    SFUNC = audio_level_transition,
    STYPE = internal,
    SSPACE = 64,
    COMBINEFUNC = audio_level_combine,
    SERIALFUNC = audio_level_serialize,
    DESERIALFUNC = audio_level_deserialize,
    FINALFUNC = audio_level_final,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE mulberry.audio_level_agg(bytea, text) IS 'audio_level() of all pieces together';

CREATE FUNCTION mulberry.speech_segments(audio bytea, encoding text, sample_rate integer,
                                on_db double precision DEFAULT NULL, off_db double precision DEFAULT NULL,
                                min_dbfs double precision DEFAULT NULL, min_speech_ms integer DEFAULT NULL,
                                hangover_ms integer DEFAULT NULL)
RETURNS TABLE (start_ms integer, duration_ms integer, level_dbfs double precision)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 100 AS 'MODULE_PATHNAME', 'mulberry_speech_segments';
COMMENT ON FUNCTION mulberry.speech_segments(bytea, text, integer, double precision, double precision, double precision, integer,
    integer) IS
    'where somebody speaks: of what is above 250 Hz, energy over an adaptive noise floor (on_db above it, null: 9, starts, off_db, 6, '
    'goes on) or pitch; below min_dbfs (-50) nothing is speech; segments have at least min_speech_ms (100) and are joined over pauses up '
    'to hangover_ms (250)';

CREATE FUNCTION mulberry.waveform_svg(audio bytea, encoding text, sample_rate integer,
                             width integer DEFAULT 1000, height integer DEFAULT 260, title text DEFAULT NULL)
RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 20000 AS 'MODULE_PATHNAME', 'mulberry_waveform_svg';
COMMENT ON FUNCTION mulberry.waveform_svg(bytea, text, integer, integer, integer, text) IS
    'the audio as an SVG picture in which digits and speech are marked';

CREATE FUNCTION mulberry.dtmf_decode(audio bytea, encoding text, sample_rate integer, floor_dbm0 real DEFAULT NULL) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'mulberry_dtmf_decode';
COMMENT ON FUNCTION mulberry.dtmf_decode(bytea, text, integer, real) IS
    'the DTMF digits in the audio (0-9, A-D, *, #), in order; pairs of tones below floor_dbm0 (null: -47) are ignored';

CREATE FUNCTION mulberry.dtmf_detect(audio bytea, encoding text, sample_rate integer, floor_dbm0 real DEFAULT NULL)
RETURNS TABLE (digit text, start_ms integer, duration_ms integer, level_dbm0 real, twist_db real)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 20 AS 'MODULE_PATHNAME', 'mulberry_dtmf_detect';
COMMENT ON FUNCTION mulberry.dtmf_detect(bytea, text, integer, real) IS
    'the DTMF digits in the audio with times, level of both tones together, and twist (low tone over high tone)';

CREATE FUNCTION dtmf_decode_transition(state internal, audio bytea, encoding text, sample_rate integer) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'mulberry_dtmf_decode_transition';
COMMENT ON FUNCTION dtmf_decode_transition(internal, bytea, text, integer) IS 'part of dtmf_decode_agg()';

CREATE FUNCTION dtmf_decode_final(state internal) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_dtmf_decode_final';
COMMENT ON FUNCTION dtmf_decode_final(internal) IS 'part of dtmf_decode_agg()';

CREATE AGGREGATE mulberry.dtmf_decode_agg(audio bytea, encoding text, sample_rate integer) (
    SFUNC = dtmf_decode_transition,
    STYPE = internal,
    SSPACE = 80000,
    FINALFUNC = dtmf_decode_final,
    FINALFUNC_MODIFY = READ_WRITE,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE mulberry.dtmf_decode_agg(bytea, text, integer) IS
    'the DTMF digits in the pieces of one signal, given in order: dtmf_decode_agg(data, ''mulaw'', 8000 ORDER BY sequence)';

CREATE FUNCTION mulberry.dtmf_synthesize(digits text, encoding text DEFAULT 'mulaw', sample_rate integer DEFAULT 8000,
                                on_ms integer DEFAULT NULL, off_ms integer DEFAULT NULL,
                                level_dbm0 double precision DEFAULT NULL, twist_db double precision DEFAULT NULL,
                                ramp_ms integer DEFAULT NULL)
RETURNS bytea
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 5000 AS 'MODULE_PATHNAME', 'mulberry_dtmf_synthesize';
COMMENT ON FUNCTION mulberry.dtmf_synthesize(text, text, integer, integer, integer, double precision, double precision, integer) IS
    'the tones of digits (0-9, A-D, *, #; w and W are pauses of half a second and a second): each on_ms (null: 80) long and followed by '
    'off_ms (80) of silence, both tones together at level_dbm0 (-10), the low one twist_db (0) stronger, with ramps of ramp_ms (2)';

-- src/audio/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE FUNCTION access_rules_audio() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('audio_convert', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('wav_encode', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('wav_decode', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('audio_level', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('audio_level_agg', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('speech_segments', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('waveform_svg', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('dtmf_decode', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('dtmf_decode_agg', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('dtmf_detect', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('dtmf_synthesize', 'EXECUTE', 'ingest supervisor auditor gateway worker')
$$;
COMMENT ON FUNCTION access_rules_audio() IS 'which access needs which object of audio';

-- src/mandates/locks.sql
-- The rows of an agent and of a mandate are what commands and payments queue for.  Who must wait long for one
-- hears who has it.

CREATE FUNCTION hold_agent(tenant uuid, agent uuid) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    before text;
BEGIN
    PERFORM FROM mulberry_internal.agents a WHERE a.tenant = hold_agent.tenant AND a.id = hold_agent.agent FOR NO KEY UPDATE SKIP LOCKED;
    IF FOUND OR NOT EXISTS (SELECT FROM mulberry_internal.agents a WHERE a.tenant = hold_agent.tenant AND a.id = hold_agent.agent) THEN
        RETURN;
    END IF;
    before := mulberry_internal.limit_wait_for_row();
    BEGIN
        PERFORM FROM mulberry_internal.agents a WHERE a.tenant = hold_agent.tenant AND a.id = hold_agent.agent FOR NO KEY UPDATE;
    EXCEPTION WHEN lock_not_available THEN
        PERFORM mulberry_internal.refuse_to_wait(format('agent "%s"', a.name), a.xmax)
           FROM mulberry_internal.agents a WHERE a.tenant = hold_agent.tenant AND a.id = hold_agent.agent;
        RAISE;
    END;
    PERFORM set_config('lock_timeout', before, true);
END
$$;
COMMENT ON FUNCTION hold_agent(uuid, uuid) IS
    'locks the row of an agent until the end of the transaction; 55P03 when another transaction keeps it, which is named (internal)';

CREATE FUNCTION hold_mandate(tenant uuid, mandate text) RETURNS mandates
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    before text;
    held   mulberry_internal.mandates;
BEGIN
    SELECT * INTO held FROM mulberry_internal.mandates m WHERE m.tenant = hold_mandate.tenant AND m.id = mandate
       FOR NO KEY UPDATE SKIP LOCKED;
    IF FOUND OR NOT EXISTS (SELECT FROM mulberry_internal.mandates m WHERE m.tenant = hold_mandate.tenant AND m.id = mandate) THEN
        RETURN held;
    END IF;
    before := mulberry_internal.limit_wait_for_row();
    BEGIN
        SELECT * INTO held FROM mulberry_internal.mandates m WHERE m.tenant = hold_mandate.tenant AND m.id = mandate FOR NO KEY UPDATE;
    EXCEPTION WHEN lock_not_available THEN
        PERFORM mulberry_internal.refuse_to_wait(format('mandate "%s"', mandate), m.xmax)
           FROM mulberry_internal.mandates m WHERE m.tenant = hold_mandate.tenant AND m.id = mandate;
        RAISE;
    END;
    PERFORM set_config('lock_timeout', before, true);
    RETURN held;
END
$$;
COMMENT ON FUNCTION hold_mandate(uuid, text) IS
    'locks the row of a mandate until the end of the transaction and returns it, null when there is none; 55P03 when another transaction '
    'keeps it, which is named (internal)';

-- src/mandates/clock.sql
-- The time that mandates expire by.  A device may have no clock that runs without power, and whoever holds it may set it: time
-- that was known once is not given back.

CREATE FUNCTION mandate_now() RETURNS timestamptz
LANGUAGE sql VOLATILE
RETURN greatest(clock_timestamp(), (SELECT max(c.at) FROM mulberry_internal.mandate_clock AS c));
COMMENT ON FUNCTION mandate_now() IS
    'now, or the latest time that this database has known, when the clock of the server was set back behind it (internal)';

CREATE FUNCTION keep_mandate_time() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    -- Once a minute, and nobody waits for who is doing it.  Nor is anybody refused with 40001 for it: who works on a snapshot leaves
    -- it to others, of which maintenance is one.
    IF current_setting('transaction_isolation') LIKE 'read %committed'
       AND coalesce((SELECT max(c.at) FROM mulberry_internal.mandate_clock AS c) < clock_timestamp() - interval '1 minute', true) THEN
        WITH gone AS (
            DELETE FROM mulberry_internal.mandate_clock AS c
             WHERE c.ctid IN (SELECT k.ctid FROM mulberry_internal.mandate_clock AS k FOR UPDATE SKIP LOCKED)
        )
        INSERT INTO mulberry_internal.mandate_clock (at) VALUES (clock_timestamp()) ON CONFLICT DO NOTHING;
    END IF;
END
$$;
COMMENT ON FUNCTION keep_mandate_time() IS
    'remembers what time it is, to the minute: part of maintenance, of payments and of what a device hears of its mandates (internal)';

CREATE FUNCTION mulberry.reset_mandate_clock(reason text) RETURNS timestamptz
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    known timestamptz;
BEGIN
    PERFORM mulberry_internal.require_access_everywhere('admin');
    PERFORM mulberry_internal.check_texts('reason', reset_mandate_clock.reason);
    IF coalesce(reason, '') = '' THEN
        RAISE EXCEPTION 'a reason is needed' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'The audit log keeps why mandates got time back.';
    END IF;
    known := (SELECT max(c.at) FROM mulberry_internal.mandate_clock AS c);
    -- what somebody else has in hand is no time that lies ahead, or is being reset
    DELETE FROM mulberry_internal.mandate_clock AS c
     WHERE c.ctid IN (SELECT k.ctid FROM mulberry_internal.mandate_clock AS k FOR UPDATE SKIP LOCKED);
    INSERT INTO mulberry_internal.mandate_clock (at) VALUES (clock_timestamp());
    IF known > clock_timestamp() THEN
        PERFORM mulberry_internal.record_audit(t.id, 'MANDATE_CLOCK_RESET', 'applied', NULL, NULL, NULL, NULL,
                                      jsonb_build_object('from', mulberry_internal.utc_text(known), 'to',
                                          mulberry_internal.utc_text(clock_timestamp()), 'reason', reason))
           FROM mulberry_internal.tenants AS t;
    END IF;
    PERFORM mulberry_internal.require_durable_commit();
    RETURN known;
END
$$;
COMMENT ON FUNCTION mulberry.reset_mandate_clock(text) IS
    'has mandates expire by the clock of the server again, where that was far ahead for a while and has been set right, and returns the '
    'time they expired by until now. Mandates that have become EXPIRED meanwhile stay so until they are extended. The audit log of every '
    'tenant keeps it. Needs admin access to all tenants';

CREATE FUNCTION health_mandate_clock() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    known CONSTANT timestamptz := (SELECT max(c.at) FROM mulberry_internal.mandate_clock AS c);
BEGIN
    item := 'mandate clock';
    status := CASE WHEN known > clock_timestamp() + interval '1 minute' THEN 'warning' ELSE 'ok' END;
    detail := CASE WHEN status = 'ok' THEN 'mandates expire by the clock of the server'
                   ELSE format('the clock of the server is behind %s, which was known once: mandates expire by that',
                       mulberry_internal.utc_text(known)) END;
    hint := CASE WHEN status <> 'ok' THEN 'Set the clock right. If it was too far ahead before: reset_mandate_clock(reason).' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_mandate_clock() IS 'health of the time that mandates expire by';

-- src/mandates/agents.sql
CREATE FUNCTION check_agent_settings(name text, phone text, allowed_callers text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    caller text;
BEGIN
    IF name IS NULL THEN
        RAISE EXCEPTION 'an agent''s name must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF name = '' OR length(name) > 100 OR mulberry_internal.has_controls(name) OR name COLLATE "C" ~ E'^\\s|\\s$' THEN
        RAISE EXCEPTION 'an agent''s name is 1 to 100 characters, none of them a control character, without space at its ends'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF name COLLATE "C" ~* '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' THEN
        RAISE EXCEPTION 'an agent''s name must not look like an id' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT mulberry_internal.phone_valid(phone) THEN
        PERFORM mulberry_internal.refuse_phone(phone);
    END IF;
    IF array_ndims(allowed_callers) > 1 OR cardinality(allowed_callers) > 100 THEN
        RAISE EXCEPTION 'allowed_callers has one dimension and at most 100 numbers' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOREACH caller IN ARRAY coalesce(allowed_callers, '{}') LOOP
        IF caller IS NULL OR NOT mulberry_internal.phone_valid(caller) THEN
            PERFORM mulberry_internal.refuse_phone(coalesce(caller, 'null'), ' in allowed_callers');
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION check_agent_settings(text, text, text[]) IS 'raises an error that says which setting of an agent is wrong';

CREATE FUNCTION find_agent(tenant uuid, name text) RETURNS uuid
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found uuid;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', find_agent.name);
    IF name IS NULL THEN
        RAISE EXCEPTION 'an agent must be named' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT a.id INTO found FROM mulberry_internal.agents a WHERE a.tenant = find_agent.tenant AND a.name = find_agent.name;
    IF found IS NULL THEN
        RAISE EXCEPTION 'agent "%" does not exist', name USING ERRCODE = 'undefined_object';
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION find_agent(uuid, text) IS 'id of the agent with that name; an error (42704) when there is none (internal)';

CREATE FUNCTION mulberry.create_agent(name text, phone text DEFAULT NULL, allowed_callers text[] DEFAULT '{}',
                             id uuid DEFAULT NULL, tenant text DEFAULT NULL) RETURNS uuid
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
    made   uuid;
BEGIN
    PERFORM mulberry_internal.check_texts('name', create_agent.name,
        'phone', create_agent.phone, 'allowed_callers', array_to_string(create_agent.allowed_callers, ' '));
    PERFORM mulberry_internal.check_agent_settings(name, phone, allowed_callers);
    INSERT INTO mulberry_internal.agents (tenant, id, name, phone, allowed_callers)
    VALUES (target, coalesce(id, gen_random_uuid()), name, phone, coalesce(allowed_callers, '{}'))
    ON CONFLICT DO NOTHING
    RETURNING agents.id INTO made;
    IF made IS NULL THEN
        RAISE EXCEPTION 'an agent with the name "%" or that id already exists', name USING ERRCODE = 'unique_violation';
    END IF;
    PERFORM mulberry_internal.record_audit(target, 'AGENT_CREATED', 'applied', NULL, made, NULL, NULL,
                                  jsonb_build_object('name', name, 'phone', phone, 'allowed_callers', coalesce(allowed_callers, '{}')));
    RETURN made;
END
$$;
COMMENT ON FUNCTION mulberry.create_agent(text, text, text[], uuid, text) IS
    'makes an agent and returns its id, which is signed in its frames (null: a new one; on the edge, that of the cloud); phone is where '
    'commands are phoned to, allowed_callers from where the receiving side takes calls (empty: from anywhere), both E.164. Needs admin '
    'access';

CREATE FUNCTION mulberry.alter_agent(name text, phone text DEFAULT NULL, allowed_callers text[] DEFAULT NULL,
                            new_name text DEFAULT NULL, remove_phone boolean DEFAULT false, tenant text DEFAULT NULL)
RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target  uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
    changed uuid := mulberry_internal.find_agent(target, name);
BEGIN
    PERFORM mulberry_internal.check_texts('name', alter_agent.name, 'phone', alter_agent.phone,
        'new_name', alter_agent.new_name, 'allowed_callers', array_to_string(alter_agent.allowed_callers, ' '));
    IF phone IS NOT NULL AND remove_phone THEN
        RAISE EXCEPTION 'phone cannot be set and removed at once' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM mulberry_internal.check_agent_settings(coalesce(new_name, name), phone, allowed_callers);
    BEGIN
        UPDATE mulberry_internal.agents a
           SET name = coalesce(alter_agent.new_name, a.name),
               phone = CASE WHEN remove_phone THEN NULL ELSE coalesce(alter_agent.phone, a.phone) END,
               allowed_callers = coalesce(alter_agent.allowed_callers, a.allowed_callers)
         WHERE a.tenant = target AND a.id = changed;
    EXCEPTION WHEN unique_violation THEN
        RAISE EXCEPTION 'agent "%" already exists', new_name USING ERRCODE = 'unique_violation';
    END;
    PERFORM mulberry_internal.record_audit(target, 'AGENT_ALTERED', 'applied', NULL, changed, NULL, NULL,
                                  (SELECT jsonb_build_object('name', a.name, 'phone', a.phone, 'allowed_callers', a.allowed_callers)
                                     FROM mulberry_internal.agents a WHERE a.tenant = target AND a.id = changed));
END
$$;
COMMENT ON FUNCTION mulberry.alter_agent(text, text, text[], text, boolean, text) IS
    'changes what is not null of an agent; remove_phone: commands do not phone it any more. Needs admin access';

-- src/mandates/mandates.sql
CREATE FUNCTION guard_mandate() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_guard_mandate';
COMMENT ON FUNCTION guard_mandate() IS
    'lets the status of a mandate change as its state machine has it and fixed columns not at all, and has each change numbered and '
    'written down';
CREATE TRIGGER guard_mandate BEFORE INSERT OR UPDATE OR DELETE ON mandates
    FOR EACH ROW EXECUTE FUNCTION guard_mandate();

CREATE FUNCTION record_mandate_change(tenant uuid, mandate text, agent uuid, status text, max_amount numeric,
    expires_at timestamptz,
                                      sponsor text, version bigint, from_status text, cause text, command bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    facts jsonb := jsonb_build_object('mandate_id', mandate, 'from_status', from_status, 'to_status', status, 'version', version,
                                      'max_amount', max_amount, 'expires_at', to_char(expires_at AT TIME ZONE 'UTC',
                                          'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                                      'cause', cause);
BEGIN
    INSERT INTO mulberry_internal.mandate_versions (tenant, mandate, version, role, from_status, status, max_amount, expires_at,
        sponsor, cause, command)
    VALUES (tenant, mandate, version, mulberry_internal.outer_role_name(), from_status, status, max_amount, expires_at, sponsor,
        cause, command);
    PERFORM mulberry_internal.record_audit(tenant, 'MANDATE_CHANGED', status, mandate, agent, command, NULL, facts
        || jsonb_build_object('sponsor', sponsor));
    PERFORM mulberry_internal.emit_event(tenant, 'mandate_changed', NULL, NULL,
                                facts || jsonb_build_object('agent', (SELECT a.name FROM mulberry_internal.agents a
                                    WHERE a.tenant = record_mandate_change.tenant AND a.id = agent),
                                                            'command_id', command));
END
$$;
COMMENT ON FUNCTION record_mandate_change(uuid, text, uuid, text, numeric, timestamptz, text, bigint, text, text, bigint) IS
    'history, audit row and event of a change; called by guard_mandate() (internal)';

CREATE FUNCTION forget_mandate(tenant uuid, mandate text, agent uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    DELETE FROM mulberry_internal.spendings s WHERE s.tenant = forget_mandate.tenant AND s.mandate = forget_mandate.mandate;
    DELETE FROM mulberry_internal.mandate_versions v WHERE v.tenant = forget_mandate.tenant AND v.mandate = forget_mandate.mandate;
    PERFORM mulberry_internal.record_audit(tenant, 'MANDATE_REMOVED', 'applied', mandate, agent);
END
$$;
COMMENT ON FUNCTION forget_mandate(uuid, text, uuid) IS
    'removes what hangs on a mandate that is being deleted; called by guard_mandate() (internal)';

CREATE FUNCTION change_mandate(tenant uuid, mandate text, status text, expires_at timestamptz, max_amount numeric, sponsor text,
                               cause text, command bigint) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_change_mandate';
COMMENT ON FUNCTION change_mandate(uuid, text, text, timestamptz, numeric, text, text, bigint) IS
    'changes what is not null of a mandate whose agent and which are locked; cause and command go to the history (internal)';

CREATE FUNCTION check_amount(amount numeric, what text, zero boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    problem text;
BEGIN
    IF amount IS NULL THEN
        RAISE EXCEPTION '% must not be null', what USING ERRCODE = 'null_value_not_allowed';
    END IF;
    problem := CASE
        WHEN amount = 'NaN' THEN 'is not a number'
        WHEN amount IN ('Infinity', '-Infinity') THEN 'is infinite'
        WHEN amount < 0 THEN 'is negative'
        WHEN amount = 0 AND NOT zero THEN 'is zero'
        WHEN amount >= 1e16 THEN 'has more than 16 digits before the point'
        WHEN min_scale(amount) > 4 THEN 'has more than 4 decimals'
    END;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION '% %', what, problem
            USING ERRCODE = 'numeric_value_out_of_range',
                  DETAIL = format('Amounts are %s, with at most 16 digits before the point and 4 after it.',
                                  CASE WHEN zero THEN 'not negative' ELSE 'greater than 0' END);
    END IF;
END
$$;
COMMENT ON FUNCTION check_amount(numeric, text, boolean) IS 'raises an error that says what is wrong with an amount of money';

CREATE FUNCTION check_mandate_id(mandate_id text) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF mandate_id IS NULL THEN
        RAISE EXCEPTION 'mandate_id must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF mandate_id !~ '^[0-9]{8}$' OR mandate_id = '00000000' THEN
        RAISE EXCEPTION 'invalid mandate_id "%"', left(mandate_id, 40)
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It has eight digits, not all of them 0.';
    END IF;
END
$$;
COMMENT ON FUNCTION check_mandate_id(text) IS 'raises an error unless it is eight digits, not all of them 0';

CREATE FUNCTION latest_expiry() RETURNS timestamptz
LANGUAGE sql IMMUTABLE
RETURN timestamptz '9999-12-31 23:59:59Z';
COMMENT ON FUNCTION latest_expiry() IS
    'where the time of a mandate ends at the latest: years have four digits in all that is told of it (internal)';

CREATE FUNCTION check_mandate_settings(sponsor text, currency text, expires_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF sponsor IS NULL OR currency IS NULL OR expires_at IS NULL THEN
        RAISE EXCEPTION 'sponsor, currency and expires_at must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF sponsor = '' OR length(sponsor) > 200 OR mulberry_internal.has_controls(sponsor) THEN
        RAISE EXCEPTION 'sponsor is 1 to 200 characters, none of them a control character' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF currency !~ '^[A-Z]{3}$' THEN
        RAISE EXCEPTION 'invalid currency "%"', left(currency, 40)
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It is a code of ISO 4217: three capital letters.';
    END IF;
    IF NOT isfinite(expires_at) OR expires_at <= mulberry_internal.mandate_now()
       OR expires_at > mulberry_internal.latest_expiry() THEN
        RAISE EXCEPTION 'expires_at must be in the future and before the year 10000' USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
COMMENT ON FUNCTION check_mandate_settings(text, text, timestamptz) IS 'raises an error that says which setting of a mandate is wrong';

CREATE FUNCTION mulberry.create_mandate(mandate_id text, agent text, sponsor text, max_amount numeric, currency text,
    expires_at timestamptz,
                               tenant text DEFAULT NULL) RETURNS text
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid := mulberry_internal.resolve_tenant(tenant, 'operator');
    holder uuid;
BEGIN
    PERFORM mulberry_internal.check_texts('mandate_id', create_mandate.mandate_id, 'agent', create_mandate.agent,
        'sponsor', create_mandate.sponsor, 'currency', create_mandate.currency);
    PERFORM mulberry_internal.check_mandate_id(mandate_id);
    PERFORM mulberry_internal.check_amount(max_amount, 'max_amount');
    PERFORM mulberry_internal.check_mandate_settings(sponsor, currency, expires_at);
    holder := mulberry_internal.find_agent(target, agent);
    PERFORM mulberry_internal.hold_agent(target, holder);
    IF EXISTS (SELECT FROM mulberry_internal.mandates m WHERE m.tenant = target AND m.id = mandate_id) THEN
        RAISE EXCEPTION 'mandate "%" already exists', mandate_id USING ERRCODE = 'unique_violation';
    END IF;
    BEGIN
        INSERT INTO mulberry_internal.mandates (tenant, id, agent, sponsor, max_amount, currency, expires_at)
        VALUES (target, mandate_id, holder, sponsor, max_amount, currency, expires_at);
    EXCEPTION WHEN unique_violation THEN   -- at the same time, for another agent
        RAISE EXCEPTION 'mandate "%" already exists', mandate_id USING ERRCODE = 'unique_violation';
    END;
    PERFORM mulberry_internal.require_durable_commit();
    RETURN mandate_id;
END
$$;
COMMENT ON FUNCTION mulberry.create_mandate(text, text, text, numeric, text, timestamptz, text) IS
    'lets an agent (by its name) spend max_amount of a sponsor''s money until expires_at; mandate_id has eight digits. Returns '
    'mandate_id. Needs operator access';

-- Both rows, in their order.  The agent of a mandate never changes.
CREATE FUNCTION lock_mandate(tenant uuid, mandate text) RETURNS mandates
LANGUAGE plpgsql AS $$
DECLARE
    holder uuid;
    locked mulberry_internal.mandates;
BEGIN
    SELECT m.agent INTO holder FROM mulberry_internal.mandates m WHERE m.tenant = lock_mandate.tenant AND m.id = mandate;
    IF holder IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM mulberry_internal.hold_agent(tenant, holder);
    locked := mulberry_internal.hold_mandate(tenant, mandate);
    IF locked.status = 'ACTIVE' AND locked.expires_at <= mulberry_internal.mandate_now() THEN
        PERFORM mulberry_internal.change_mandate(tenant, mandate, 'EXPIRED', NULL, NULL, NULL, 'expired', NULL);
        SELECT * INTO locked FROM mulberry_internal.mandates m WHERE m.tenant = lock_mandate.tenant AND m.id = mandate;
    END IF;
    RETURN locked;
END
$$;
COMMENT ON FUNCTION lock_mandate(uuid, text) IS
    'locks a mandate after its agent, has it EXPIRED when its time is over, and returns it; null when there is none (internal)';

CREATE FUNCTION set_mandate_status(tenant uuid, mandate text, status text, cause text, command bigint DEFAULT NULL) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    target mulberry_internal.mandates;
BEGIN
    IF status IS NULL OR status NOT IN ('ACTIVE', 'SUSPENDED', 'REVOKED', 'EXPIRED') THEN
        RAISE EXCEPTION 'unknown status "%" of a mandate', coalesce(status, 'null')
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'There are ACTIVE, SUSPENDED, REVOKED and EXPIRED.';
    END IF;
    target := mulberry_internal.lock_mandate(tenant, mandate);
    CASE
        WHEN target.id IS NULL THEN
            RETURN 'E003';
        WHEN target.status = status THEN
            RETURN 'already so';
        WHEN target.status = 'REVOKED' THEN
            RETURN 'E004';
        WHEN target.status = 'EXPIRED' AND status <> 'REVOKED' THEN
            RETURN 'expired';
        ELSE
            PERFORM mulberry_internal.change_mandate(tenant, mandate, status, NULL, NULL, NULL, cause, command);
    END CASE;
    IF status = 'ACTIVE' THEN
        PERFORM mulberry_internal.lock_mandate(tenant, mandate);   -- its time may have come while it was suspended
    END IF;
    PERFORM mulberry_internal.require_durable_commit();
    RETURN 'changed';
END
$$;
COMMENT ON FUNCTION set_mandate_status(uuid, text, text, text, bigint) IS
    'changes the status of a mandate: "changed", "already so", "E003" (no such mandate), "E004" (REVOKED, which is final) or "expired" '
    '(only an extension or REVOKED changes that). A suspension that is lifted after expires_at leaves an EXPIRED mandate (internal)';

CREATE FUNCTION extend_mandate_expiry(tenant uuid, mandate text, days integer, cause text, command bigint DEFAULT NULL)
    RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    target   mulberry_internal.mandates;
    extended timestamptz;
BEGIN
    IF days IS NULL OR days NOT BETWEEN 1 AND 99 THEN
        RAISE EXCEPTION 'a mandate is extended by 1 to 99 days' USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    target := mulberry_internal.lock_mandate(tenant, mandate);
    IF target.id IS NULL THEN
        RETURN 'E003';
    ELSIF target.status = 'REVOKED' THEN
        RETURN 'E004';
    END IF;
    -- days of 24 hours, whatever the session's time zone does meanwhile
    extended := least(greatest(target.expires_at, mulberry_internal.mandate_now()) + make_interval(hours => 24 * days),
                      mulberry_internal.latest_expiry());
    PERFORM mulberry_internal.change_mandate(tenant, mandate, CASE WHEN target.status = 'EXPIRED' THEN 'ACTIVE' END,
                                    extended, NULL, NULL, cause, command);
    PERFORM mulberry_internal.require_durable_commit();
    RETURN 'changed';
END
$$;
COMMENT ON FUNCTION extend_mandate_expiry(uuid, text, integer, text, bigint) IS
    'extends a mandate by 1 to 99 days of 24 hours from expires_at, or from now when that is over: "changed", "E003" (no such mandate) '
    'or "E004" (REVOKED); to the end of the year 9999 at most. EXPIRED becomes ACTIVE, SUSPENDED stays (internal)';

CREATE FUNCTION mulberry.alter_mandate(mandate_id text, max_amount numeric DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
                              sponsor text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner  uuid := mulberry_internal.resolve_tenant(tenant, 'operator');
    target mulberry_internal.mandates;
BEGIN
    PERFORM mulberry_internal.check_texts('mandate_id', alter_mandate.mandate_id, 'sponsor', alter_mandate.sponsor);
    PERFORM mulberry_internal.check_mandate_id(mandate_id);
    IF max_amount IS NOT NULL THEN
        PERFORM mulberry_internal.check_amount(max_amount, 'max_amount');
    END IF;
    PERFORM mulberry_internal.check_mandate_settings(coalesce(sponsor, 'as it is'), 'EUR', coalesce(expires_at,
        mulberry_internal.mandate_now() + interval '1 day'));
    target := mulberry_internal.lock_mandate(owner, mandate_id);
    IF target.id IS NULL THEN
        RAISE EXCEPTION 'mandate "%" does not exist', mandate_id
            USING ERRCODE = 'undefined_object', DETAIL = 'Protocol error E003.';
    END IF;
    IF max_amount < target.spent THEN
        RAISE EXCEPTION 'max_amount of mandate "%" cannot be less than what is spent', mandate_id
            USING ERRCODE = 'numeric_value_out_of_range', DETAIL = format('Spent are %s %s.', trim_scale(target.spent), target.currency);
    END IF;
    PERFORM mulberry_internal.change_mandate(owner, mandate_id,
                                    CASE WHEN target.status = 'EXPIRED' AND expires_at > target.expires_at THEN 'ACTIVE' END,
                                    expires_at, max_amount, sponsor, 'altered', NULL);
    PERFORM mulberry_internal.require_durable_commit();
END
$$;
COMMENT ON FUNCTION mulberry.alter_mandate(text, numeric, timestamptz, text, text) IS
    'changes what is not null of a mandate that is not REVOKED; a later expires_at makes an EXPIRED one ACTIVE. Agents learn of it on '
    'the online path. Needs operator access';

CREATE FUNCTION mandate_ack_state(tenant uuid, agent uuid, mandate text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT CASE WHEN m.status <> 'REVOKED' AND m.expires_at <= mulberry_internal.mandate_now() THEN 'EXPIRED'
                                 ELSE m.status END
                       FROM mulberry_internal.mandates m WHERE m.tenant = $1 AND m.agent = $2 AND m.id = $3), 'NONE')
$$;
COMMENT ON FUNCTION mandate_ack_state(uuid, uuid, text) IS
    'state of an agent''s mandate as an acknowledgement names it; NONE: it has no such mandate (internal)';

-- src/mandates/spend.sql
CREATE FUNCTION utc_text(at timestamptz) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
COMMENT ON FUNCTION utc_text(timestamptz) IS 'a time for messages, to the second, whatever the session''s settings (ISO 8601)';

-- Why a mandate does not allow an amount; null: it does.
CREATE FUNCTION mandate_refusal(target mandates, amount numeric, at timestamptz,
                                OUT reason text, OUT error text, OUT message text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    reason := CASE
        WHEN target.id IS NULL THEN 'unknown'
        WHEN target.status = 'REVOKED' THEN 'revoked'
        WHEN target.status = 'EXPIRED' OR target.expires_at <= at THEN 'expired'
        WHEN target.status = 'SUSPENDED' THEN 'suspended'
        WHEN target.spent + amount > target.max_amount THEN 'limit'
    END;
    error := CASE reason WHEN 'unknown' THEN 'E003' WHEN 'revoked' THEN 'E004' END;
    message := CASE reason
        WHEN 'unknown' THEN 'there is no such mandate'
        WHEN 'revoked' THEN 'the mandate is revoked'
        WHEN 'suspended' THEN 'the mandate is suspended'
        WHEN 'expired' THEN format('the mandate expired at %s', mulberry_internal.utc_text(target.expires_at))
        WHEN 'limit' THEN format('%s %s are more than the %s that are left',
                                    trim_scale(amount), target.currency, trim_scale(target.max_amount - target.spent))
    END;
END
$$;
COMMENT ON FUNCTION mandate_refusal(mandates, numeric, timestamptz) IS
    'why a mandate does not allow an amount at a time; nulls: it does (internal)';

CREATE FUNCTION mulberry.check_mandate(mandate_id text, amount numeric DEFAULT 0, tenant text DEFAULT NULL,
                              OUT allowed boolean, OUT error text, OUT message text, OUT status text, OUT remaining numeric,
                              OUT expires_at timestamptz, OUT reason text)
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner   uuid := mulberry_internal.resolve_tenant(tenant, 'operator', 'gateway');
    target  mulberry_internal.mandates;
    now     timestamptz;
    refusal record;
BEGIN
    PERFORM mulberry_internal.check_texts('mandate_id', check_mandate.mandate_id);
    PERFORM mulberry_internal.check_mandate_id(mandate_id);
    PERFORM mulberry_internal.check_amount(amount, 'amount', true);
    SELECT * INTO target FROM mulberry_internal.mandates m WHERE m.tenant = owner AND m.id = mandate_id;
    now := mulberry_internal.mandate_now();
    IF target.status = 'ACTIVE' AND target.expires_at <= now AND current_setting('transaction_read_only') = 'off' THEN
        target := mulberry_internal.lock_mandate(owner, mandate_id);
    END IF;
    IF target.status = 'ACTIVE' AND target.expires_at <= now THEN
        target.status := 'EXPIRED';   -- and nothing can be stored here
    END IF;
    refusal := mulberry_internal.mandate_refusal(target, amount, now);
    allowed := refusal.reason IS NULL;
    error := refusal.error;
    message := coalesce(refusal.message, 'the mandate allows it');
    status := target.status;
    remaining := target.max_amount - target.spent;
    expires_at := target.expires_at;
    reason := refusal.reason;
END
$$;
COMMENT ON FUNCTION mulberry.check_mandate(text, numeric, text) IS
    'whether a mandate allows to spend an amount (0 or more) now: not revoked, suspended or expired, and within the limit; otherwise '
    'reason is unknown (error E003), revoked (E004), suspended, expired or limit. A mandate whose time is over becomes EXPIRED, where '
    'something can be stored. Only spend() reserves anything. Needs operator or gateway access';

CREATE FUNCTION mulberry.spend(mandate_id text, amount numeric, reference text, tenant text DEFAULT NULL,
                      OUT accepted boolean, OUT duplicate boolean, OUT error text, OUT message text, OUT remaining numeric,
                      OUT status text, OUT reason text)
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner    uuid := mulberry_internal.resolve_tenant(tenant, 'operator', 'gateway');
    target   mulberry_internal.mandates;
    earlier  mulberry_internal.spendings;
    now      timestamptz;
    refusal  record;
    evidence jsonb;
BEGIN
    PERFORM mulberry_internal.check_texts('mandate_id', spend.mandate_id, 'reference', spend.reference);
    PERFORM mulberry_internal.check_mandate_id(mandate_id);
    PERFORM mulberry_internal.check_amount(amount, 'amount');
    IF reference IS NULL THEN
        RAISE EXCEPTION 'reference must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF reference = '' OR length(reference) > 200 OR mulberry_internal.has_controls(reference) THEN
        RAISE EXCEPTION 'a reference is 1 to 200 characters, none of them a control character' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    -- What expires changes its agent's row too, which is locked first.
    SELECT * INTO target FROM mulberry_internal.mandates m WHERE m.tenant = owner AND m.id = mandate_id;
    IF target.status = 'ACTIVE' AND target.expires_at <= mulberry_internal.mandate_now() THEN
        target := mulberry_internal.lock_mandate(owner, mandate_id);
    ELSE
        SELECT * INTO target FROM mulberry_internal.mandates m WHERE m.tenant = owner AND m.id = mandate_id FOR NO KEY UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            target := mulberry_internal.hold_mandate(owner, mandate_id);
        END IF;
    END IF;
    now := mulberry_internal.mandate_now();   -- after what had to be waited for

    SELECT * INTO earlier FROM mulberry_internal.spendings s
     WHERE s.tenant = owner AND s.mandate = mandate_id AND s.reference = spend.reference;
    IF earlier.amount <> amount THEN
        RAISE EXCEPTION 'reference "%" of mandate "%" has been used for another amount', reference, mandate_id
            USING ERRCODE = 'unique_violation',
                  DETAIL = format('%s %s were spent at %s.', trim_scale(earlier.amount), target.currency,
                      mulberry_internal.utc_text(earlier.at)),
                  HINT = 'Each payment needs a reference of its own.';
    END IF;
    refusal := mulberry_internal.mandate_refusal(target, amount, now);
    accepted := earlier.amount IS NOT NULL OR refusal.reason IS NULL;
    duplicate := earlier.amount IS NOT NULL;
    status := CASE WHEN target.status = 'ACTIVE' AND target.expires_at <= now THEN 'EXPIRED' ELSE target.status END;
    remaining := CASE WHEN duplicate THEN earlier.remaining ELSE target.max_amount - target.spent END;
    IF duplicate THEN
        message := format('this was accepted at %s', mulberry_internal.utc_text(earlier.at));
        PERFORM mulberry_internal.require_durable_commit();
        RETURN;
    END IF;

    evidence := jsonb_build_object('amount', amount::numeric(20, 4), 'currency', target.currency, 'reference', reference);
    IF NOT accepted THEN
        error := refusal.error;
        message := refusal.message;
        reason := refusal.reason;
        PERFORM mulberry_internal.record_audit(owner, 'SPEND', 'refused', mandate_id, target.agent, NULL, NULL,
                                      evidence || jsonb_build_object('reason', reason, 'remaining', remaining));
        RETURN;
    END IF;
    remaining := (remaining - amount)::numeric(20, 4);
    message := 'accepted';
    INSERT INTO mulberry_internal.spendings (tenant, mandate, reference, amount, remaining, role)
    VALUES (owner, mandate_id, reference, amount, remaining, mulberry_internal.outer_role_name());
    UPDATE mulberry_internal.mandates m SET spent = m.spent + amount WHERE m.tenant = owner AND m.id = mandate_id;
    PERFORM mulberry_internal.record_audit(owner, 'SPEND', 'accepted', mandate_id, target.agent, NULL, NULL,
                                  evidence || jsonb_build_object('remaining', remaining));
    PERFORM mulberry_internal.keep_mandate_time();
    PERFORM mulberry_internal.require_durable_commit();
END
$$;
COMMENT ON FUNCTION mulberry.spend(text, numeric, text, text) IS
    'spends an amount from a mandate, once for each reference: the same reference and amount again is answered as the first time and '
    'marked duplicate, with another amount it is an error (23505). Never exceeds max_amount; refused as check_mandate() says, and a '
    'refusal is not remembered. Needs operator or gateway access';

-- src/mandates/views.sql
CREATE VIEW mulberry.agent_status WITH (security_barrier) AS
    SELECT t.name AS tenant, a.name AS agent, a.id, a.phone, a.allowed_callers,
           coalesce(a.online_until > clock_timestamp(), false) AS online, a.seen_at, a.online_until,
           (SELECT count(*) FROM mandates m WHERE m.tenant = a.tenant AND m.agent = a.id) AS mandates,
           a.mandates_version, a.created_at
      FROM agents a
      JOIN tenants t ON t.id = a.tenant
     WHERE a.tenant = ANY ((SELECT current_tenants(true, 'operator', 'auditor', 'gateway'))::uuid[]);
COMMENT ON VIEW mulberry.agent_status IS 'the agents, and whether they are on the online path now';
COMMENT ON COLUMN mulberry.agent_status.mandates_version IS 'grows with each change of one of its mandates';

CREATE VIEW mulberry.mandate_status WITH (security_barrier) AS
    SELECT t.name AS tenant, m.id AS mandate_id, a.name AS agent, m.sponsor,
           CASE WHEN m.status = 'ACTIVE' AND m.expires_at <= greatest(clock_timestamp(), (SELECT max(c.at) FROM mandate_clock c))
                THEN 'EXPIRED' ELSE m.status END AS status,
           m.max_amount, m.spent, m.max_amount - m.spent AS remaining, m.currency, m.expires_at, m.version,
           m.created_at, m.updated_at
      FROM mandates m
      JOIN agents a ON a.tenant = m.tenant AND a.id = m.agent
      JOIN tenants t ON t.id = m.tenant
     WHERE m.tenant = ANY ((SELECT current_tenants(true, 'operator', 'auditor', 'gateway'))::uuid[]);
COMMENT ON VIEW mulberry.mandate_status IS 'the mandates as they are now';
COMMENT ON COLUMN mulberry.mandate_status.status IS 'EXPIRED as soon as expires_at is over';
COMMENT ON COLUMN mulberry.mandate_status.version IS 'grows with each change but spending';

CREATE VIEW mulberry.mandate_history WITH (security_barrier) AS
    SELECT t.name AS tenant, v.mandate AS mandate_id, v.version, v.at, v.role, v.from_status, v.status, v.max_amount,
           v.expires_at, v.sponsor, v.cause, v.command AS command_id
      FROM mandate_versions v
      JOIN tenants t ON t.id = v.tenant
     WHERE v.tenant = ANY ((SELECT current_tenants(true, 'operator', 'auditor', 'gateway'))::uuid[]);
COMMENT ON VIEW mulberry.mandate_history IS 'what each mandate was after each of its changes but spending, and why';

CREATE VIEW mulberry.mandate_spendings WITH (security_barrier) AS
    SELECT t.name AS tenant, s.mandate AS mandate_id, s.reference, s.amount, s.remaining, s.role, s.at
      FROM spendings s
      JOIN tenants t ON t.id = s.tenant
     WHERE s.tenant = ANY ((SELECT current_tenants(true, 'operator', 'auditor', 'gateway'))::uuid[]);
COMMENT ON VIEW mulberry.mandate_spendings IS 'what spend() has accepted';
COMMENT ON COLUMN mulberry.mandate_spendings.reference IS 'the payment: the same reference counts once';
COMMENT ON COLUMN mulberry.mandate_spendings.remaining IS 'of the mandate, after it';

CREATE FUNCTION metrics_mandates(tenants uuid[], by_tenant boolean)
RETURNS TABLE (metric text, tenant uuid, labels jsonb, value double precision)
LANGUAGE sql STABLE
AS $$
    SELECT 'active_mandates', g.tenant, '{}'::jsonb, count(m.id)::double precision
      FROM (SELECT t.tenant FROM unnest(tenants) AS t (tenant) WHERE by_tenant UNION ALL SELECT NULL WHERE NOT by_tenant) AS g
      LEFT JOIN mulberry_internal.mandates m
        ON m.status = 'ACTIVE' AND m.expires_at > (SELECT mulberry_internal.mandate_now()) AND m.tenant = ANY (tenants)
       AND m.tenant = coalesce(g.tenant, m.tenant)
     GROUP BY g.tenant
$$;
COMMENT ON FUNCTION metrics_mandates(uuid[], boolean) IS 'metrics of mandates (internal)';

-- src/mandates/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().  A gateway creates and alters for those whom it works for.
CREATE FUNCTION access_rules_mandates() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('create_agent', 'EXECUTE', 'admin'),
    ('alter_agent', 'EXECUTE', 'admin'),
    ('agent_status', 'SELECT', 'operator auditor gateway'),
    ('create_mandate', 'EXECUTE', 'operator gateway'),
    ('alter_mandate', 'EXECUTE', 'operator gateway'),
    ('check_mandate', 'EXECUTE', 'operator gateway'),
    ('spend', 'EXECUTE', 'operator gateway'),
    ('mandate_status', 'SELECT', 'operator auditor gateway'),
    ('mandate_history', 'SELECT', 'operator auditor gateway'),
    ('reset_mandate_clock', 'EXECUTE', 'admin'),
    ('mandate_spendings', 'SELECT', 'operator auditor gateway')
$$;
COMMENT ON FUNCTION access_rules_mandates() IS 'which access needs which object of mandates';

-- src/audit/views.sql
CREATE VIEW mulberry.audit_log WITH (security_barrier) AS
    SELECT t.name AS tenant, a.seq, a.at, a.role, a.action, a.outcome, a.method, a.mandate AS mandate_id,
           g.name AS agent, a.agent AS agent_id, a.command AS command_id, a.evidence, encode(a.hash, 'hex') AS hash, a.id
      FROM audit a
      JOIN tenants t ON t.id = a.tenant
      LEFT JOIN agents g ON g.tenant = a.tenant AND g.id = a.agent
     WHERE a.tenant = ANY ((SELECT current_tenants(true, 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.audit_log IS 'who did what, when, with which outcome, by which way, and on which evidence';
COMMENT ON COLUMN mulberry.audit_log.seq IS 'number in the tenant''s log, without gaps; null for a moment after commit';
COMMENT ON COLUMN mulberry.audit_log.role IS 'the database role that asked';
COMMENT ON COLUMN mulberry.audit_log.agent IS 'its name now; null when it has been dropped';
COMMENT ON COLUMN mulberry.audit_log.evidence IS 'what the decision rests on; amounts and times as they were then';
COMMENT ON COLUMN mulberry.audit_log.hash IS 'SHA-256 of the row and the hash before it';

-- src/audit/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE FUNCTION access_rules_audit() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('audit_log', 'SELECT', 'auditor'),
    ('verify_audit', 'EXECUTE', 'auditor'),
    ('audit_head', 'EXECUTE', 'auditor'),
    ('erase_audit_log', 'EXECUTE', 'admin'),
    ('link_audit', 'EXECUTE', 'worker'),
    ('link_audit_soon', 'EXECUTE', 'worker'),
    ('store_refusals', 'EXECUTE', 'worker')
$$;
COMMENT ON FUNCTION access_rules_audit() IS 'which access needs which object of audit';

-- src/keys/voice_keys.sql
-- Where keys are used.  A copy (a restored dump, a promoted standby, a server recovered to a point in
-- time) may lack the last counters, which its place tells: a sender then jumps ahead, a receiver wants
-- challenges answered, because it may have forgotten what it has accepted.

CREATE FUNCTION signing_place() RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_signing_place';
COMMENT ON FUNCTION signing_place() IS 'server, database and timeline that this session runs on (internal)';

CREATE FUNCTION keys_have_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_keys_have_changed';
COMMENT ON FUNCTION keys_have_changed() IS 'has every process forget the keys that it keeps unsealed (internal)';

-- Counters change with each frame, and are not kept. For each row and always, because a subscription fires nothing else.
CREATE TRIGGER keys_have_changed
    AFTER INSERT OR DELETE OR UPDATE OF tenant, role, agent, key_id, party_tenant, secret, enabled ON voice_keys
    FOR EACH ROW EXECUTE FUNCTION keys_have_changed();
COMMENT ON TRIGGER keys_have_changed ON voice_keys IS 'no process keeps a key that was disabled';
ALTER TABLE voice_keys ENABLE ALWAYS TRIGGER keys_have_changed;
CREATE TRIGGER keys_have_changed AFTER INSERT OR DELETE OR UPDATE ON secrets FOR EACH ROW EXECUTE FUNCTION keys_have_changed();
COMMENT ON TRIGGER keys_have_changed ON secrets IS 'no process keeps a key whose bytes were replaced or destroyed';
ALTER TABLE secrets ENABLE ALWAYS TRIGGER keys_have_changed;
CREATE TRIGGER keys_have_gone AFTER TRUNCATE ON secrets FOR EACH STATEMENT EXECUTE FUNCTION keys_have_changed();
COMMENT ON TRIGGER keys_have_gone ON secrets IS 'the same when all are removed at once';
ALTER TABLE secrets ENABLE ALWAYS TRIGGER keys_have_gone;

CREATE FUNCTION voice_key_place() RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT format('%s/%s', mulberry_internal.signing_place(),
                  (SELECT extract(epoch FROM max(i.since)) FROM mulberry_internal.installation i))
$$;
COMMENT ON FUNCTION voice_key_place() IS 'what voice_keys.place is compared with (internal)';

CREATE FUNCTION voice_key_secret(role text, agent uuid, key_id integer) RETURNS text
LANGUAGE sql IMMUTABLE
-- the prefix is voice_keys.h's
RETURN format('voice-key-%s-%s-%s', left(role, 1), agent, lpad(key_id::text, 2, '0'));
COMMENT ON FUNCTION voice_key_secret(text, uuid, integer) IS 'name of the secret with a key''s bytes (internal)';

CREATE FUNCTION make_voice_key(tenant uuid, secret text) RETURNS text
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mulberry_make_voice_key';
COMMENT ON FUNCTION make_voice_key(uuid, text) IS
    'draws 32 random bytes, stores them under that name and returns their fingerprint (internal)';

CREATE FUNCTION remember_exported_voice_key(tenant uuid, agent uuid, key_id integer, challenge_extend boolean,
    fingerprint text) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mulberry_remember_exported_voice_key';
COMMENT ON FUNCTION remember_exported_voice_key(uuid, uuid, integer, boolean, text) IS
    'lets this session take the line of a sender''s key once, when this transaction has been committed (internal)';

CREATE FUNCTION mulberry.take_exported_voice_key() RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_take_exported_voice_key';
COMMENT ON FUNCTION mulberry.take_exported_voice_key() IS
    'second half of export_voice_key(): the line of the key that mark_voice_key_exported() has marked in this session, once';

CREATE FUNCTION sync_mac(tenant uuid, role text, agent uuid, key_id integer, data bytea) RETURNS bytea
LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'mulberry_sync_mac';
COMMENT ON FUNCTION sync_mac(uuid, text, uuid, integer, bytea) IS
    'HMAC-SHA256 by the key that is derived from an enabled voice key with the label mulberry/sync/1; null without such a key (internal)';

CREATE FUNCTION check_key_id(key_id integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF key_id NOT BETWEEN 0 AND 99 THEN
        RAISE EXCEPTION 'key_id % is out of range', key_id
            USING ERRCODE = 'numeric_value_out_of_range', DETAIL = 'It can be 0 to 99.';
    END IF;
END
$$;
COMMENT ON FUNCTION check_key_id(integer) IS 'an error (22003) unless it is 0 to 99 or null (internal)';

CREATE FUNCTION mulberry.create_voice_key(agent text, key_id integer DEFAULT NULL, challenge_extend boolean DEFAULT false,
                                 tenant text DEFAULT NULL) RETURNS integer
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner  uuid := mulberry_internal.resolve_tenant(create_voice_key.tenant, 'admin');
    target uuid := mulberry_internal.find_agent(owner, create_voice_key.agent);
    chosen integer := create_voice_key.key_id;
    name   text;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', create_voice_key.agent);
    PERFORM mulberry_internal.check_key_id(chosen);
    IF create_voice_key.challenge_extend IS NULL THEN
        RAISE EXCEPTION 'challenge_extend must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM mulberry_internal.hold_agent(owner, target);
    IF chosen IS NULL THEN
        -- one that was never used, then the one that has been disabled for longest
        SELECT n INTO chosen
          FROM generate_series(0, 99) AS n
          LEFT JOIN mulberry_internal.voice_keys k ON k.tenant = owner AND k.role = 'sender' AND k.agent = target AND k.key_id = n
         WHERE k.enabled IS NOT TRUE
         ORDER BY k.disabled_at NULLS FIRST, n = 0, n
         LIMIT 1;
        IF chosen IS NULL THEN
            RAISE EXCEPTION 'agent "%" has 100 voice keys', create_voice_key.agent
                USING ERRCODE = 'program_limit_exceeded', HINT = 'Disable one of them.';
        END IF;
    END IF;
    DELETE FROM mulberry_internal.voice_keys k
     WHERE k.tenant = owner AND k.role = 'sender' AND k.agent = target AND k.key_id = chosen AND NOT k.enabled;
    PERFORM FROM mulberry_internal.voice_keys k
      WHERE k.tenant = owner AND k.role = 'sender' AND k.agent = target AND k.key_id = chosen;
    IF FOUND THEN
        RAISE EXCEPTION 'agent "%" has a voice key % already', create_voice_key.agent, chosen
            USING ERRCODE = 'duplicate_object', HINT = 'Without a key_id the next free one is taken.';
    END IF;
    name := mulberry_internal.voice_key_secret('sender', target, chosen);
    INSERT INTO mulberry_internal.voice_keys (tenant, role, agent, key_id, party_tenant, secret, challenge_extend, fingerprint, place)
    VALUES (owner, 'sender', target, chosen, owner, name, create_voice_key.challenge_extend,
            mulberry_internal.make_voice_key(owner, name), mulberry_internal.voice_key_place());
    PERFORM mulberry_internal.record_audit(owner, 'VOICE_KEY_CREATED', 'created', NULL, target, NULL, NULL,
                                  jsonb_build_object('key_id', chosen));
    RETURN chosen;
END
$$;
COMMENT ON FUNCTION mulberry.create_voice_key(text, integer, boolean, text) IS
    'makes a key of an agent, of 32 random bytes that nobody sees, and returns its id (null: the next free of 0 to 99); '
    'challenge_extend: its edge wants a challenge answered before it extends a mandate. Export it, enter it on the edge. Needs admin '
    'access';

CREATE FUNCTION mulberry.rotate_voice_key(agent text, tenant text DEFAULT NULL) RETURNS integer
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner  uuid := mulberry_internal.resolve_tenant(rotate_voice_key.tenant, 'admin');
    target uuid := mulberry_internal.find_agent(owner, rotate_voice_key.agent);
    policy boolean;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', rotate_voice_key.agent);
    SELECT k.challenge_extend INTO policy
      FROM mulberry_internal.voice_keys k
     WHERE k.tenant = owner AND k.role = 'sender' AND k.agent = target AND k.enabled
     ORDER BY k.created_at DESC LIMIT 1;
    IF policy IS NULL THEN
        RAISE EXCEPTION 'agent "%" has no voice key to rotate', rotate_voice_key.agent
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Protocol error E002.',
                  HINT = 'Make one with create_voice_key().';
    END IF;
    RETURN mulberry.create_voice_key(rotate_voice_key.agent, NULL, policy, rotate_voice_key.tenant);
END
$$;
COMMENT ON FUNCTION mulberry.rotate_voice_key(text, text) IS
    'makes the successor of an agent''s key and returns its id. The old key goes on signing until confirm_voice_key() says that the edge '
    'has the new one; the first acknowledgement by the new one disables it. Needs admin access';

CREATE FUNCTION voice_key_row(tenant uuid, agent uuid, key_id integer, role text) RETURNS voice_keys
LANGUAGE plpgsql AS $$
DECLARE
    found mulberry_internal.voice_keys;
BEGIN
    IF voice_key_row.key_id IS NULL THEN
        RAISE EXCEPTION 'key_id must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    -- those who sign have the agent before they look for a key
    PERFORM mulberry_internal.hold_agent(voice_key_row.tenant, voice_key_row.agent);
    SELECT k.* INTO found
      FROM mulberry_internal.voice_keys k
     WHERE k.tenant = voice_key_row.tenant AND k.agent = voice_key_row.agent AND k.key_id = voice_key_row.key_id
       AND (k.role = voice_key_row.role OR voice_key_row.role IS NULL)
     ORDER BY k.enabled DESC, k.role
     LIMIT 1 FOR NO KEY UPDATE;
    IF found.tenant IS NULL THEN
        RAISE EXCEPTION 'voice key % does not exist', voice_key_row.key_id USING ERRCODE = 'undefined_object';
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION voice_key_row(uuid, uuid, integer, text) IS
    'the row of a key, locked after its agent; role null: either. 42704 when there is none (internal)';

CREATE FUNCTION disable_voice_key_row(key voice_keys, cause text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE mulberry_internal.voice_keys k
       SET enabled = false, disabled_at = clock_timestamp()
     WHERE k.tenant = key.tenant AND k.role = key.role AND k.agent = key.agent AND k.key_id = key.key_id;
    DELETE FROM mulberry_internal.secrets s WHERE s.tenant = key.tenant AND s.name = key.secret;
    PERFORM mulberry_internal.record_audit(key.tenant, 'VOICE_KEY_DISABLED', cause, NULL, key.agent, NULL, NULL,
                                  jsonb_build_object('key_id', key.key_id, 'role', key.role));
END
$$;
COMMENT ON FUNCTION disable_voice_key_row(voice_keys, text) IS 'disables a key for good and destroys its bytes (internal)';

CREATE FUNCTION mulberry.disable_voice_key(agent text, key_id integer, role text DEFAULT NULL, tenant text DEFAULT NULL)
    RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
    key   mulberry_internal.voice_keys;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', disable_voice_key.agent, 'role', disable_voice_key.role);
    IF role NOT IN ('sender', 'receiver') THEN
        RAISE EXCEPTION 'unknown role "%" of a voice key', role
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Roles are sender and receiver.';
    END IF;
    key := mulberry_internal.voice_key_row(owner, mulberry_internal.find_agent(owner, agent), key_id, role);
    IF NOT key.enabled THEN
        RAISE EXCEPTION 'voice key % is disabled already', key_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM mulberry_internal.disable_voice_key_row(key, 'by hand');
    PERFORM mulberry_internal.require_durable_commit();
END
$$;
COMMENT ON FUNCTION mulberry.disable_voice_key(text, integer, text, text) IS
    'disables a key for good and destroys its bytes; what it has signed and is not acknowledged cannot be acknowledged any more. role: '
    'sender or receiver where a database has both. Needs admin access';

-- A line that was seen cannot be taken back, so that it is given out is on disk before it is: by a procedure that
-- commits in between.  Whatever the caller does then, the key counts as exported, and the audit log says so.

CREATE FUNCTION mulberry.mark_voice_key_exported(agent text, key_id integer, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner uuid := mulberry_internal.resolve_tenant(mark_voice_key_exported.tenant, 'admin');
    key   mulberry_internal.voice_keys;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', mark_voice_key_exported.agent);
    key := mulberry_internal.voice_key_row(owner, mulberry_internal.find_agent(owner, mark_voice_key_exported.agent),
                                  mark_voice_key_exported.key_id, 'sender');
    IF NOT key.enabled THEN
        RAISE EXCEPTION 'voice key % is disabled', key.key_id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Make a new one with create_voice_key().';
    END IF;
    IF key.exported_at IS NOT NULL THEN
        RAISE EXCEPTION 'voice key % was exported at %', key.key_id, key.exported_at
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'A key is exported once.',
                  HINT = CASE WHEN key.confirmed_at IS NULL
                                  THEN 'When the line did not arrive: allow_voice_key_export(agent, key_id, reason).'
                                  ELSE 'The edge has it. For another one there is rotate_voice_key().' END;
    END IF;
    UPDATE mulberry_internal.voice_keys k
       SET exported_at = clock_timestamp()
     WHERE k.tenant = key.tenant AND k.role = key.role AND k.agent = key.agent AND k.key_id = key.key_id;
    PERFORM mulberry_internal.record_audit(owner, 'VOICE_KEY_EXPORTED', 'exported', NULL, key.agent, NULL, NULL,
                                  jsonb_build_object('key_id', key.key_id));
    PERFORM mulberry_internal.require_durable_commit();
    PERFORM mulberry_internal.remember_exported_voice_key(owner, key.agent, key.key_id, key.challenge_extend, key.fingerprint);
END
$$;
COMMENT ON FUNCTION mulberry.mark_voice_key_exported(text, integer, text) IS
    'first half of export_voice_key(): the key counts as exported, and its line can be taken by this session once this has been '
    'committed. Needs admin access';

-- SECURITY INVOKER and without SET, because it commits.
CREATE PROCEDURE mulberry.export_voice_key(agent text, key_id integer, tenant text DEFAULT NULL, INOUT line text DEFAULT NULL)
LANGUAGE plpgsql
AS $$
BEGIN
    IF mulberry.in_transaction_block() THEN
        RAISE EXCEPTION 'export_voice_key() cannot run inside a transaction block' USING ERRCODE = 'active_sql_transaction',
            DETAIL = 'A rollback would take back that it has happened.';
    END IF;
    PERFORM mulberry.mark_voice_key_exported(agent, key_id, tenant);
    COMMIT;
    line := mulberry.take_exported_voice_key();
END
$$;
COMMENT ON PROCEDURE mulberry.export_voice_key(text, integer, text, text) IS
    'CALL export_voice_key(agent, key_id): the line with which a key enters its edge through voice_key_entry, given out once; afterwards '
    '55000. It commits, and so cannot run inside a transaction block (25001). Needs admin access';

CREATE FUNCTION mulberry.allow_voice_key_export(agent text, key_id integer, reason text, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner uuid := mulberry_internal.resolve_tenant(allow_voice_key_export.tenant, 'admin');
    key   mulberry_internal.voice_keys;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', allow_voice_key_export.agent, 'reason', allow_voice_key_export.reason);
    IF coalesce(allow_voice_key_export.reason, '') = '' THEN
        RAISE EXCEPTION 'a reason is needed' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'The audit log keeps why a key was given out twice.';
    END IF;
    key := mulberry_internal.voice_key_row(owner, mulberry_internal.find_agent(owner, allow_voice_key_export.agent),
                                  allow_voice_key_export.key_id, 'sender');
    IF NOT key.enabled OR key.exported_at IS NULL OR key.confirmed_at IS NOT NULL THEN
        RAISE EXCEPTION 'voice key % %', key.key_id,
            CASE WHEN NOT key.enabled THEN 'is disabled' WHEN key.exported_at IS NULL THEN 'was not exported'
                 ELSE 'is in use by the edge' END
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Only a key that was exported and has not arrived can be exported again.';
    END IF;
    UPDATE mulberry_internal.voice_keys k
       SET exported_at = NULL
     WHERE k.tenant = key.tenant AND k.role = key.role AND k.agent = key.agent AND k.key_id = key.key_id;
    PERFORM mulberry_internal.record_audit(owner, 'VOICE_KEY_EXPORTED', 'allowed again', NULL, key.agent, NULL, NULL,
                                  jsonb_build_object('key_id', key.key_id, 'reason', allow_voice_key_export.reason,
                                                     'exported_at', key.exported_at));
END
$$;
COMMENT ON FUNCTION mulberry.allow_voice_key_export(text, integer, text, text) IS
    'lets export_voice_key() give out a key once more whose line did not arrive, with the reason in the audit log. Needs admin access. '
    'Errors: 55000 the key was not exported, or the edge has confirmed or used it, or it is disabled';

CREATE FUNCTION mulberry.confirm_voice_key(agent text, key_id integer, fingerprint text DEFAULT NULL,
    tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner uuid := mulberry_internal.resolve_tenant(confirm_voice_key.tenant, 'admin');
    key   mulberry_internal.voice_keys;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', confirm_voice_key.agent, 'fingerprint', confirm_voice_key.fingerprint);
    key := mulberry_internal.voice_key_row(owner, mulberry_internal.find_agent(owner, confirm_voice_key.agent),
                                  confirm_voice_key.key_id, 'sender');
    IF NOT key.enabled OR key.exported_at IS NULL THEN
        RAISE EXCEPTION 'voice key % %', key.key_id, CASE WHEN key.enabled THEN 'was not exported' ELSE 'is disabled' END
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF confirm_voice_key.fingerprint <> key.fingerprint THEN
        RAISE EXCEPTION 'the fingerprint is not that of voice key %', key.key_id
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('The key''s is %s; the edge''s is in its view voice_key_status.', key.fingerprint);
    END IF;
    UPDATE mulberry_internal.voice_keys k
       SET confirmed_at = clock_timestamp()
     WHERE k.tenant = key.tenant AND k.role = key.role AND k.agent = key.agent AND k.key_id = key.key_id;
    PERFORM mulberry_internal.record_audit(owner, 'VOICE_KEY_CONFIRMED', 'by hand', NULL, key.agent, NULL, NULL,
                                  jsonb_build_object('key_id', key.key_id));
END
$$;
COMMENT ON FUNCTION mulberry.confirm_voice_key(text, integer, text, text) IS
    'says that the edge has entered a key: commands are signed with it from now on. With the fingerprint that the edge shows, a mistake '
    'is noticed. Needs admin access';

CREATE VIEW mulberry.voice_key_entry WITH (security_barrier) AS
    SELECT NULL::text AS tenant, NULL::text AS agent, NULL::secret_value AS key WHERE false;
COMMENT ON VIEW mulberry.voice_key_entry IS
    E'where keys enter an edge: \\copy mulberry.voice_key_entry (key) FROM ...; needs admin access to the tenant, and always looks empty';
COMMENT ON COLUMN mulberry.voice_key_entry.tenant IS 'name of the tenant on the edge; null: the role''s only one, or "default"';
COMMENT ON COLUMN mulberry.voice_key_entry.agent IS
    'name for the agent where there is none yet; null: edge- and the first 8 digits of its uuid';
COMMENT ON COLUMN mulberry.voice_key_entry.key IS 'the line that export_voice_key() gave';

CREATE FUNCTION enter_voice_key() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_enter_voice_key';
COMMENT ON FUNCTION enter_voice_key() IS 'stores a row of voice_key_entry';
CREATE TRIGGER enter_voice_key INSTEAD OF INSERT ON mulberry.voice_key_entry
    FOR EACH ROW EXECUTE FUNCTION enter_voice_key();

CREATE FUNCTION import_voice_key(tenant uuid, agent_name text, party_tenant uuid, agent uuid, key_id integer,
                                 challenge_extend boolean, fingerprint text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    known mulberry_internal.voice_keys;
    name  text := mulberry_internal.voice_key_secret('receiver', import_voice_key.agent, import_voice_key.key_id);
    called text := coalesce(import_voice_key.agent_name, 'edge-' || left(import_voice_key.agent::text, 8));
BEGIN
    PERFORM mulberry_internal.check_agent_settings(called, NULL, '{}');
    BEGIN
        INSERT INTO mulberry_internal.agents (tenant, id, name)
        VALUES (import_voice_key.tenant, import_voice_key.agent, called)
        ON CONFLICT ON CONSTRAINT agents_pkey DO NOTHING;
    EXCEPTION WHEN unique_violation THEN
        RAISE EXCEPTION 'there is another agent "%"', called USING ERRCODE = 'duplicate_object';
    END;
    PERFORM mulberry_internal.hold_agent(import_voice_key.tenant, import_voice_key.agent);
    SELECT k.* INTO known
      FROM mulberry_internal.voice_keys k
     WHERE k.tenant = import_voice_key.tenant AND k.role = 'receiver' AND k.key_id = import_voice_key.key_id
       FOR UPDATE;
    IF known.enabled THEN
        RAISE EXCEPTION 'there is a voice key % already', known.key_id
            USING ERRCODE = 'duplicate_object',
                  DETAIL = format('Its fingerprint is %s, that of the line is %s.', known.fingerprint, import_voice_key.fingerprint),
                  HINT = 'Disable that one first. A tenant of an edge is one agent: the key of another agent goes into another tenant '
                      'or database.';
    ELSIF known.fingerprint = import_voice_key.fingerprint
          -- the row makes way to another key of that id, and goes with its agent; the audit log remains
          OR EXISTS (SELECT FROM mulberry_internal.audit u
                      WHERE u.tenant = import_voice_key.tenant AND u.mandate IS NULL AND u.action = 'VOICE_KEY_IMPORTED'
                        AND u.evidence->>'fingerprint' = import_voice_key.fingerprint) THEN
        RAISE EXCEPTION 'voice key % was disabled here and cannot come back', import_voice_key.key_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'What was once played for it could be played again.',
                  HINT = 'Make a new one with rotate_voice_key() in the cloud.';
    END IF;
    DELETE FROM mulberry_internal.voice_keys k
     WHERE k.tenant = import_voice_key.tenant AND k.role = 'receiver' AND k.key_id = import_voice_key.key_id;
    INSERT INTO mulberry_internal.voice_keys (tenant, role, agent, key_id, party_tenant, secret, challenge_extend, fingerprint, place)
    VALUES (import_voice_key.tenant, 'receiver', import_voice_key.agent, import_voice_key.key_id,
            import_voice_key.party_tenant, name, import_voice_key.challenge_extend, import_voice_key.fingerprint,
            mulberry_internal.voice_key_place());
    PERFORM mulberry_internal.record_audit(import_voice_key.tenant, 'VOICE_KEY_IMPORTED', 'imported', NULL, import_voice_key.agent,
                                  NULL, NULL, jsonb_build_object('key_id', import_voice_key.key_id,
                                                                 'fingerprint', import_voice_key.fingerprint));
    RETURN name;
END
$$;
COMMENT ON FUNCTION import_voice_key(uuid, text, uuid, uuid, integer, boolean, text) IS
    'makes the rows of a key that enters an edge, and returns the name for its bytes (internal)';

-- src/commands/frames.sql
-- The textual form of the original protocol, *#CC-MMMMMMMM-HHHH##, for its callers and for
-- logs: functions of their arguments alone.  It is not fit for the air.  The secret stands in the
-- statement's text, as it did in the original's calls; the keys of played frames do not.

CREATE FUNCTION mulberry.command_generate(command text, mandate_id text, secret text,
                                 at timestamptz DEFAULT clock_timestamp(), include_timestamp boolean DEFAULT true,
                                 OUT dtmf_sequence text, OUT payload text)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'mulberry_command_generate';
COMMENT ON FUNCTION mulberry.command_generate(text, text, text, timestamptz, boolean) IS
    'the textual form of a command (REVOKE, SUSPEND, EXTEND, QUERY, PING) for a mandate of eight digits, and the payload that its tag '
    'signs; without a timestamp it can never be verified';

CREATE FUNCTION mulberry.command_verify(sequence text, secret text, window_minutes integer DEFAULT 5,
                               at timestamptz DEFAULT clock_timestamp(),
                               OUT valid boolean, OUT command text, OUT command_code text, OUT mandate_id text,
                               OUT minute bigint, OUT error text)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 500 AS 'MODULE_PATHNAME', 'mulberry_command_verify';
COMMENT ON FUNCTION mulberry.command_verify(text, text, integer, timestamptz) IS
    'what a command in the textual form says, when it was signed in the minute of "at" or up to window_minutes (0 to 1440) before it; '
    '"minute" is Unix time / 60, the earliest that fits. Otherwise "error" begins with E001 (malformed) or E002 (not verified)';

-- What is played, taken apart.  Without the key nothing is known about who made it.

CREATE FUNCTION mulberry.command_frame_parse(frame text,
                                    OUT valid boolean, OUT key_id integer, OUT command text, OUT command_code text,
                                    OUT mandate_id text, OUT argument integer, OUT counter integer, OUT tag text,
                                    OUT check_digits text, OUT error text)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'mulberry_command_frame_parse';
COMMENT ON FUNCTION mulberry.command_frame_parse(text) IS
    'the fields of a command frame of 32 symbols whose check digits fit (ISO 7064 MOD 97-10); "counter" is modulo 10,000, "command" null '
    'for a code without a meaning. The tag is not verified. Otherwise "error" begins with E007';

CREATE FUNCTION mulberry.ack_frame_parse(frame text,
                                OUT valid boolean, OUT key_id integer, OUT status text, OUT status_code text,
                                OUT mandate_state text, OUT state_code text, OUT counter integer, OUT tag text,
                                OUT check_digits text, OUT error text)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'mulberry_ack_frame_parse';
COMMENT ON FUNCTION mulberry.ack_frame_parse(text) IS
    'the fields of an acknowledgement of 22 symbols whose check digits fit. The tag is not verified. Otherwise "error" begins with E007';

-- src/commands/signing.sql
-- Signing.  The key of an agent is the one that was confirmed last, as long as none was the
-- one that was exported first.

CREATE FUNCTION signing_key(tenant uuid, agent uuid) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT k.key_id
      FROM mulberry_internal.voice_keys k
     WHERE k.tenant = $1 AND k.role = 'sender' AND k.agent = $2 AND k.enabled AND k.exported_at IS NOT NULL
     ORDER BY k.confirmed_at DESC NULLS LAST, k.exported_at, k.key_id
     LIMIT 1
$$;
COMMENT ON FUNCTION signing_key(uuid, uuid) IS
    'id of the key that an agent''s commands are signed with; null: none was exported (internal)';

CREATE FUNCTION voice_key_problem(tenant uuid, agent uuid) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE
               WHEN mulberry_internal.signing_key($1, $2) IS NOT NULL THEN NULL
               WHEN EXISTS (SELECT FROM mulberry_internal.voice_keys k
                             WHERE k.tenant = $1 AND k.role = 'sender' AND k.agent = $2 AND k.enabled)
                   THEN 'its voice key was not exported to the edge'
               ELSE 'it has no voice key'
           END
$$;
COMMENT ON FUNCTION voice_key_problem(uuid, uuid) IS 'why no command to an agent can be signed; null: one can (internal)';

CREATE FUNCTION sign_frame(tenant uuid, agent uuid, key_id integer, command text, mandate text, argument integer,
                           counter bigint, nonce text, OUT frame text, OUT message_digest bytea)
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_sign_frame';
COMMENT ON FUNCTION sign_frame(uuid, uuid, integer, text, text, integer, bigint, text) IS 'signs a command with a sender''s key (internal)';

CREATE FUNCTION advanced_counter(key voice_keys, by integer) RETURNS bigint
LANGUAGE sql IMMUTABLE
-- with room for what is signed next
RETURN least(key.last_counter + by, greatest(key.last_counter, key.acked_counter + mulberry_internal.counter_window() - 100));
COMMENT ON FUNCTION advanced_counter(voice_keys, integer) IS
    'a sender''s counter after a jump, which stays inside the receiver''s window as far as is known (internal)';

CREATE FUNCTION present_counter(key voice_keys) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    here    CONSTANT text := mulberry_internal.voice_key_place();
    counter bigint := key.last_counter;
BEGIN
    -- what a copy signs would use up counters that the original uses as well
    IF key.place <> here AND counter > 0 AND mulberry.outbound_allowed() THEN
        counter := mulberry_internal.advanced_counter(key, 1000);
        UPDATE mulberry_internal.voice_keys k SET last_counter = counter, place = here
         WHERE k.tenant = key.tenant AND k.role = key.role AND k.agent = key.agent AND k.key_id = key.key_id;
        PERFORM mulberry_internal.record_audit(key.tenant, 'VOICE_KEY_ADVANCED', 'another server signs', NULL, key.agent, NULL, NULL,
                                      jsonb_build_object('key_id', key.key_id, 'counter', counter));
        PERFORM mulberry_internal.require_durable_commit();
    END IF;
    RETURN counter;
END
$$;
COMMENT ON FUNCTION present_counter(voice_keys) IS
    'the last counter of a sender''s key, whose row is locked; it jumps ahead first when another server used the key last (internal)';

CREATE FUNCTION sign_command(command_id bigint, nonce text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    ordered mulberry_internal.commands;
    key     mulberry_internal.voice_keys;
    chosen  integer;
    here    text := mulberry_internal.voice_key_place();
    signed  record;
BEGIN
    SELECT c.* INTO ordered FROM mulberry_internal.commands c WHERE c.id = sign_command.command_id;
    IF ordered.id IS NULL THEN
        RAISE EXCEPTION 'command % does not exist', sign_command.command_id USING ERRCODE = 'undefined_object';
    END IF;
    PERFORM mulberry_internal.hold_agent(ordered.tenant, ordered.agent);
    SELECT c.* INTO ordered FROM mulberry_internal.commands c WHERE c.id = sign_command.command_id FOR NO KEY UPDATE;
    IF ordered.state NOT IN ('waiting', 'outstanding') THEN
        RAISE EXCEPTION 'command % is %', ordered.id, ordered.state USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- what a copy signs would use up counters that the original uses as well
    IF NOT mulberry.outbound_allowed() THEN
        RETURN false;
    END IF;
    chosen := mulberry_internal.signing_key(ordered.tenant, ordered.agent);
    IF chosen IS NULL THEN
        RAISE EXCEPTION 'no command to agent "%" can be signed: %',
                (SELECT a.name FROM mulberry_internal.agents a WHERE a.tenant = ordered.tenant AND a.id = ordered.agent),
                mulberry_internal.voice_key_problem(ordered.tenant, ordered.agent)
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'create_voice_key() makes one; export_voice_key() gives its line for the edge.';
    END IF;
    key := mulberry_internal.voice_key_row(ordered.tenant, ordered.agent, chosen, 'sender');
    key.last_counter := mulberry_internal.present_counter(key);
    -- The number after a frame belongs to the answer to its challenge, of which we may not have heard.
    IF sign_command.nonce IS NULL
       AND EXISTS (SELECT FROM mulberry_internal.command_signatures s
                     JOIN mulberry_internal.commands c ON c.id = s.command
                    WHERE s.tenant = key.tenant AND s.agent = key.agent AND s.key_id = key.key_id
                      AND mulberry_internal.frame_counter(s.counter) = mulberry_internal.frame_counter(key.last_counter)
                      AND s.counter = key.last_counter AND s.nonce IS NULL
                      AND c.state NOT IN ('confirmed', 'refused')
                      AND c.command = ordered.command AND c.argument = ordered.argument
                      AND c.mandate IS NOT DISTINCT FROM ordered.mandate) THEN
        key.last_counter := key.last_counter + 1;
    END IF;
    key.last_counter := key.last_counter + 1;
    signed := mulberry_internal.sign_frame(key.tenant, key.agent, key.key_id, ordered.command, ordered.mandate, ordered.argument,
                                  key.last_counter, sign_command.nonce);
    UPDATE mulberry_internal.voice_keys k
       SET last_counter = key.last_counter, place = here
     WHERE k.tenant = key.tenant AND k.role = 'sender' AND k.agent = key.agent AND k.key_id = key.key_id;
    UPDATE mulberry_internal.commands c
       SET state = 'outstanding', key_id = key.key_id, counter = key.last_counter, frame = signed.frame,
           nonce = sign_command.nonce, message_digest = signed.message_digest, signed_at = clock_timestamp(),
           signatures = c.signatures + 1
     WHERE c.id = ordered.id;
    -- a frame whose counter a crash forgets would be followed by another with the same one
    PERFORM mulberry_internal.require_durable_commit();
    RETURN true;
END
$$;
COMMENT ON FUNCTION sign_command(bigint, text) IS
    'gives a command the next counter of its agent''s key and the frame that carries it; nonce: the six digits of a challenge that its '
    'frame was answered with. Without, the counter after its last frame is left out, which only such an answer has. False, and nothing '
    'is done, while this database is a copy that resume_outbound() has not let loose (internal)';

CREATE FUNCTION mulberry.command_frame(command_id bigint) RETURNS text
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    ordered mulberry_internal.commands;
BEGIN
    SELECT c.* INTO ordered
      FROM mulberry_internal.commands c
     WHERE c.id = command_id AND c.tenant = ANY (mulberry.current_tenants('operator', 'gateway'));
    IF ordered.id IS NULL THEN
        RAISE EXCEPTION 'command % does not exist', command_id USING ERRCODE = 'undefined_object';
    END IF;
    RETURN CASE WHEN ordered.state = 'outstanding' THEN ordered.frame END;
END
$$;
COMMENT ON FUNCTION mulberry.command_frame(bigint) IS
    'the 32 symbols to play for a command that is outstanding; null before its turn and after its end. Needs operator or gateway access';

CREATE FUNCTION take_ack(symbols text) RETURNS received_ack
LANGUAGE c STRICT IMMUTABLE AS 'MODULE_PATHNAME', 'mulberry_take_ack';
COMMENT ON FUNCTION take_ack(text) IS 'takes the 22 symbols of an acknowledgement apart (internal)';

CREATE FUNCTION verify_ack_frame(tenant uuid, agent uuid, key_id integer, counter bigint, message_digest bytea,
                                 ack received_ack,
                                 OUT verdict text, OUT status integer, OUT state integer, OUT status_name text, OUT state_name text)
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mulberry_verify_ack_frame';
COMMENT ON FUNCTION verify_ack_frame(uuid, uuid, integer, bigint, bytea, received_ack) IS
    'what an acknowledgement is worth, judged with a sender''s key (internal)';

CREATE FUNCTION note_acked_key(tenant uuid, agent uuid, key_id integer, counter bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    key   mulberry_internal.voice_keys;
    older mulberry_internal.voice_keys;
BEGIN
    -- the edge has this key: those before it have done their service
    key := mulberry_internal.voice_key_row(note_acked_key.tenant, note_acked_key.agent, note_acked_key.key_id, 'sender');
    UPDATE mulberry_internal.voice_keys k
       SET acked_counter = greatest(k.acked_counter, note_acked_key.counter),
           confirmed_at = coalesce(k.confirmed_at, clock_timestamp())
     WHERE k.tenant = key.tenant AND k.role = 'sender' AND k.agent = key.agent AND k.key_id = key.key_id;
    FOR older IN
        SELECT k.* FROM mulberry_internal.voice_keys k
         WHERE k.tenant = key.tenant AND k.role = 'sender' AND k.agent = key.agent AND k.enabled
           AND k.created_at < key.created_at
         ORDER BY k.key_id FOR NO KEY UPDATE
    LOOP
        PERFORM mulberry_internal.disable_voice_key_row(older, 'succeeded');
    END LOOP;
END
$$;
COMMENT ON FUNCTION note_acked_key(uuid, uuid, integer, bigint) IS
    'the edge has acknowledged a counter of a key, and so has the key (internal)';

CREATE FUNCTION mulberry.advance_counters(by integer DEFAULT 1000, tenant text DEFAULT NULL) RETURNS bigint
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner    uuid := mulberry_internal.resolve_tenant(advance_counters.tenant, 'admin');
    advanced bigint;
BEGIN
    IF by IS NULL THEN
        RAISE EXCEPTION 'by must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF by NOT BETWEEN 1 AND mulberry_internal.counter_window() - 1000 THEN
        RAISE EXCEPTION 'by % is out of range', by
            USING ERRCODE = 'numeric_value_out_of_range',
                  DETAIL = format('It can be 1 to %s: a receiver takes a counter %s ahead for an old one.',
                                  mulberry_internal.counter_window() - 1000, mulberry_internal.counter_window());
    END IF;
    PERFORM FROM mulberry_internal.agents a WHERE a.tenant = owner ORDER BY a.id FOR NO KEY UPDATE;
    UPDATE mulberry_internal.voice_keys k
       SET last_counter = mulberry_internal.advanced_counter(k, advance_counters.by), place = mulberry_internal.voice_key_place()
     WHERE k.tenant = owner AND k.role = 'sender' AND k.enabled AND k.last_counter > 0;
    GET DIAGNOSTICS advanced = ROW_COUNT;
    PERFORM mulberry_internal.record_audit(owner, 'VOICE_KEY_ADVANCED', 'by hand', NULL, NULL, NULL, NULL,
                                  jsonb_build_object('by', by, 'keys', advanced));
    PERFORM mulberry_internal.require_durable_commit();
    RETURN advanced;
END
$$;
COMMENT ON FUNCTION mulberry.advance_counters(integer, text) IS
    'has the sender''s keys of a tenant that have signed something jump ahead, and returns their number. Restored dumps, promoted '
    'standbys and recovered servers do it by themselves when they sign; after the return of a file system or machine to an earlier state '
    'somebody must. Needs admin access';

CREATE FUNCTION keep_signature() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    INSERT INTO mulberry_internal.command_signatures
           (command, signature, tenant, agent, key_id, counter, frame, nonce, message_digest, signed_at)
    SELECT new.id, 1 + count(*), new.tenant, new.agent, new.key_id, new.counter, new.frame, new.nonce,
           new.message_digest, new.signed_at
      FROM mulberry_internal.command_signatures s WHERE s.command = new.id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION keep_signature() IS 'trigger: writes the new frame of a command into command_signatures';
CREATE TRIGGER keep_signature AFTER UPDATE OF frame ON commands
    FOR EACH ROW WHEN (new.frame IS NOT NULL AND new.frame IS DISTINCT FROM old.frame)
    EXECUTE FUNCTION keep_signature();

-- src/commands/queue.sql
-- Commands: how they are given, queued, sent and settled.
--
-- The lock of a queue is its agent's row: whoever changes a command holds it.  Each agent has at
-- most one command outstanding; urgent ones go first, all others in the order in which they were given.

CREATE TRIGGER guard_state AFTER UPDATE ON commands
    FOR EACH ROW WHEN (old.state <> new.state) EXECUTE FUNCTION guard_state();

CREATE FUNCTION lock_agent(tenant uuid, agent uuid) RETURNS agents
LANGUAGE sql VOLATILE
AS $$
    SELECT mulberry_internal.hold_agent($1, $2);
    -- A change and not only a lock: a transaction whose snapshot is older must fail with a
    -- serialization error, not judge a queue that it does not see.
    UPDATE mulberry_internal.agents a SET queue_changes = a.queue_changes + 1
     WHERE a.tenant = $1 AND a.id = $2
    RETURNING a.*
$$;
COMMENT ON FUNCTION lock_agent(uuid, uuid) IS 'takes the lock of an agent''s commands until the end of the transaction (internal)';

CREATE FUNCTION lock_command(command bigint) RETURNS commands
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c mulberry_internal.commands;
BEGIN
    SELECT x.* INTO c FROM mulberry_internal.commands x WHERE x.id = lock_command.command;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'command % does not exist', command USING ERRCODE = 'undefined_object';
    END IF;
    PERFORM mulberry_internal.lock_agent(c.tenant, c.agent);
    SELECT x.* INTO c FROM mulberry_internal.commands x WHERE x.id = lock_command.command FOR NO KEY UPDATE;
    RETURN c;
END
$$;
COMMENT ON FUNCTION lock_command(bigint) IS
    'takes the locks of a command''s agent and of the command, and returns it; 42704: there is none (internal)';

CREATE FUNCTION name_or_id_of_agent(tenant uuid, agent text) RETURNS uuid
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    found_id uuid;
BEGIN
    IF agent IS NULL THEN
        RAISE EXCEPTION 'an agent must be named' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT a.id INTO found_id FROM mulberry_internal.agents a
     WHERE a.tenant = name_or_id_of_agent.tenant
       AND (a.name = name_or_id_of_agent.agent OR a.id::text = lower(name_or_id_of_agent.agent COLLATE "C"))
     ORDER BY a.name = name_or_id_of_agent.agent DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'agent "%" does not exist', left(agent, 80) USING ERRCODE = 'undefined_object';
    END IF;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION name_or_id_of_agent(uuid, text) IS 'an agent of a tenant by its name or its uuid; 42704: there is none (internal)';

CREATE FUNCTION command_action(command text, outcome text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN command || '_' || upper(replace(outcome, ' ', '_') COLLATE "C");
COMMENT ON FUNCTION command_action(text, text) IS 'what the audit log calls a step of a command, as REVOKE_INITIATED (internal)';

CREATE FUNCTION note_command(c commands, outcome text, event text DEFAULT NULL, more jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM mulberry_internal.record_audit(c.tenant, mulberry_internal.command_action(c.command, outcome), outcome, c.mandate, c.agent,
        c.id,
                                  c.method, nullif(jsonb_strip_nulls(more), '{}'));
    IF event IS NOT NULL THEN
        PERFORM mulberry_internal.emit_event(c.tenant, event, NULL, NULL, jsonb_strip_nulls(jsonb_build_object(
            'command_id', c.id, 'command', c.command, 'mandate_id', c.mandate,
            'agent', (SELECT a.name FROM mulberry_internal.agents a WHERE a.tenant = c.tenant AND a.id = c.agent),
            'state', c.state, 'method', c.method, 'attempts', c.attempts) || more));
    END IF;
END
$$;
COMMENT ON FUNCTION note_command(commands, text, text, jsonb) IS
    'writes what happened to a command into the audit log and, under the name given, as an event (internal)';

CREATE FUNCTION path_problem(a agents, force_voice boolean) RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    problem CONSTANT text := mulberry_internal.voice_key_problem(a.tenant, a.id);
BEGIN
    IF problem IS NOT NULL OR (a.online_until > clock_timestamp() AND NOT force_voice) THEN
        RETURN problem;
    END IF;
    IF a.phone IS NULL THEN
        RETURN CASE WHEN force_voice THEN 'it has no telephone number' ELSE 'it is offline and has no telephone number' END;
    END IF;
    RETURN mulberry_internal.telephony_problem(a.tenant);
END
$$;
COMMENT ON FUNCTION path_problem(agents, boolean) IS
    'why no command can reach an agent now, neither online (unless force_voice) nor by telephone; null: one can (internal)';

-- What later commands have made pointless.
CREATE FUNCTION command_obsolete(c commands) RETURNS text
LANGUAGE sql STABLE
AS $$
    SELECT CASE WHEN (mulberry_internal.command_kind(c.command)).changes_registry AND NOT (mulberry_internal.command_kind(c.command)).final
                 AND (SELECT m.status FROM mulberry_internal.mandates m WHERE m.tenant = c.tenant AND m.id = c.mandate) = 'REVOKED'
                THEN 'the mandate was revoked meanwhile' END
$$;
COMMENT ON FUNCTION command_obsolete(commands) IS 'why a command need not reach its agent any more; null: it must (internal)';

CREATE FUNCTION retell_mandate(c commands) RETURNS bigint
LANGUAGE sql VOLATILE
AS $$
    WITH numbered AS (
        UPDATE mulberry_internal.agents a SET mandates_version = a.mandates_version + 1
         WHERE a.tenant = c.tenant AND a.id = c.agent RETURNING a.mandates_version)
    INSERT INTO mulberry_internal.mandate_retellings AS r (tenant, mandate, number)
    SELECT c.tenant, c.mandate, n.mandates_version FROM numbered n
        ON CONFLICT ON CONSTRAINT mandate_retellings_pkey DO UPDATE SET number = excluded.number
    RETURNING r.number
$$;
COMMENT ON FUNCTION retell_mandate(commands) IS
    'has agent_sync() tell the mandate of a command once more, and returns under which number (internal)';

CREATE FUNCTION finish_command(command bigint, state text, outcome text, event text, error text DEFAULT NULL,
                               more jsonb DEFAULT '{}') RETURNS commands
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c mulberry_internal.commands;
BEGIN
    UPDATE mulberry_internal.commands x
       SET state = finish_command.state, error = finish_command.error, finished_at = clock_timestamp(), voice_at = NULL
     WHERE x.id = finish_command.command RETURNING x.* INTO c;
    PERFORM mulberry_internal.note_command(c, outcome, event, jsonb_build_object('error', error) || more);
    IF (mulberry_internal.command_kind(c.command)).adds_up THEN
        PERFORM mulberry_internal.retell_mandate(c);
    END IF;
    RETURN c;
END
$$;
COMMENT ON FUNCTION finish_command(bigint, text, text, text, text, jsonb) IS 'brings a command into its last state (internal)';

CREATE FUNCTION escalate_command(command bigint, error text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c     mulberry_internal.commands;
    again boolean;
BEGIN
    SELECT x.escalated_at IS NOT NULL INTO again FROM mulberry_internal.commands x WHERE x.id = escalate_command.command;
    UPDATE mulberry_internal.commands x
       SET state = 'escalated', error = escalate_command.error, voice_at = NULL,
           escalated_at = coalesce(x.escalated_at, clock_timestamp())
     WHERE x.id = escalate_command.command RETURNING x.* INTO c;
    IF again THEN
        -- the person knows of it; that the agent was back for a moment has not helped
        PERFORM mulberry_internal.note_command(c, 'escalated', NULL, jsonb_build_object('error', error, 'again', true));
        PERFORM mulberry_internal.resume_escalation(c);
        RETURN;
    END IF;
    PERFORM mulberry_internal.note_command(c, 'escalated', 'escalated',
        jsonb_build_object('error', error, 'reason', c.reason, 'requester', c.requester,
                           'spoken', c.evidence->'spoken'));
    PERFORM mulberry_internal.place_escalation(command);
END
$$;
COMMENT ON FUNCTION escalate_command(bigint, text) IS
    'hands a command that did not reach its agent to a person; who calls it gives the turn to the next one (internal)';

-- A frame has left when an answer of agent_sync() carried it or a call was asked for.
CREATE FUNCTION command_has_left(c commands) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT c.offered_at IS NOT NULL
        OR EXISTS (SELECT FROM mulberry_internal.voice_calls v
                    WHERE v.command = c.id AND v.purpose = 'command' AND v.attempt > c.attempts_before AND v.state <> 'planned')
$$;
COMMENT ON FUNCTION command_has_left(commands) IS 'whether the agent may have received the frame of an outstanding command (internal)';

CREATE FUNCTION displace_command(held commands) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c        mulberry_internal.commands;
    has_left CONSTANT boolean := mulberry_internal.command_has_left(held);
BEGIN
    IF held.escalated_at IS NOT NULL THEN
        PERFORM mulberry_internal.escalate_command(held.id, held.error);
        RETURN;
    END IF;
    UPDATE mulberry_internal.commands x
       SET state = 'waiting', method = NULL, voice_at = NULL, challenged_at = NULL, online_only = false
     WHERE x.id = held.id RETURNING x.* INTO c;
    PERFORM mulberry_internal.note_command(c, 'displaced', 'command_displaced');
    -- The others set a state, so saying them twice does no harm; two extensions add up.
    IF (mulberry_internal.command_kind(c.command)).adds_up AND has_left AND mulberry_internal.command_obsolete(c) IS NULL THEN
        PERFORM mulberry_internal.escalate_command(c.id,
            'a revocation took its turn after it was sent, so the agent may have carried it out; retry_command() extends again');
    END IF;
END
$$;
COMMENT ON FUNCTION displace_command(commands) IS 'takes the turn from the outstanding command of an agent (internal)';

CREATE FUNCTION send_command(a agents, command bigint, online_only boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c        mulberry_internal.commands;
    online   boolean;
    by_voice boolean;
BEGIN
    -- Calls of earlier turns do not count against this one.
    UPDATE mulberry_internal.commands x
       SET attempts_before = greatest(x.attempts, (SELECT max(v.attempt) FROM mulberry_internal.voice_calls v
                                                    WHERE v.command = x.id AND v.purpose = 'command' AND v.state <> 'planned')),
           offered_at = NULL, challenged_at = NULL
     WHERE x.id = send_command.command RETURNING x.* INTO c;
    IF NOT mulberry_internal.sign_command(command) THEN
        RETURN;     -- a copy that may do no outgoing work: the command waits until it may
    END IF;
    online := a.online_until > clock_timestamp() AND NOT c.force_voice;
    by_voice := NOT online_only AND mulberry_internal.path_problem(a, true) IS NULL;
    UPDATE mulberry_internal.commands x
       SET method = CASE WHEN online THEN 'api' ELSE 'voice' END, online_only = NOT by_voice,
           voice_at = CASE WHEN NOT by_voice THEN NULL
                           WHEN online THEN clock_timestamp() + current_setting('mulberry.command_online_wait')::interval
                           ELSE clock_timestamp() END
     WHERE x.id = send_command.command RETURNING x.* INTO c;
    PERFORM mulberry_internal.note_command(c, 'sent', 'command_sent',
        jsonb_build_object('key_id', c.key_id, 'counter', c.counter, 'voice_at', c.voice_at));
    IF by_voice THEN
        PERFORM mulberry_internal.place_call(command, c.voice_at);
    END IF;
END
$$;
COMMENT ON FUNCTION send_command(agents, bigint, boolean) IS
    'signs a command, so that it is outstanding, and puts it on its way: to the online path when the agent is there, and to the '
    'telephone at once or when the online path had its time (internal)';

CREATE FUNCTION next_command(tenant uuid, agent uuid) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    a       CONSTANT mulberry_internal.agents := mulberry_internal.lock_agent(tenant, agent);
    c       mulberry_internal.commands;
    held    mulberry_internal.commands;
    problem text;
BEGIN
    SELECT x.* INTO held FROM mulberry_internal.commands x
     WHERE x.tenant = next_command.tenant AND x.agent = next_command.agent AND x.state = 'outstanding' FOR NO KEY UPDATE;
    -- A revocation waits for nobody but another one; what was given up already makes way to all.
    IF FOUND AND EXISTS (SELECT FROM mulberry_internal.commands x
                          WHERE x.tenant = next_command.tenant AND x.agent = next_command.agent AND x.state = 'waiting'
                            AND (held.escalated_at IS NOT NULL
                                 OR (mulberry_internal.command_kind(x.command)).urgent
                                    AND NOT (mulberry_internal.command_kind(held.command)).urgent)) THEN
        PERFORM mulberry_internal.displace_command(held);
        held := NULL;
    END IF;
    FOR c IN
        SELECT x.* FROM mulberry_internal.commands x
         WHERE x.tenant = next_command.tenant AND x.agent = next_command.agent AND x.state = 'waiting'
           AND mulberry_internal.command_obsolete(x) IS NOT NULL
         ORDER BY x.id FOR NO KEY UPDATE
    LOOP
        PERFORM mulberry_internal.finish_command(c.id, 'cancelled', 'cancelled', 'command_cancelled',
            mulberry_internal.command_obsolete(c));
    END LOOP;
    IF held.id IS NOT NULL THEN
        RETURN;
    END IF;
    LOOP
        SELECT x.* INTO c FROM mulberry_internal.commands x
         WHERE x.tenant = next_command.tenant AND x.agent = next_command.agent AND x.state = 'waiting'
         ORDER BY (mulberry_internal.command_kind(x.command)).urgent DESC, x.id LIMIT 1 FOR NO KEY UPDATE;
        EXIT WHEN NOT FOUND;
        problem := mulberry_internal.path_problem(a, c.force_voice);
        IF problem IS NULL THEN
            BEGIN
                PERFORM mulberry_internal.send_command(a, c.id);
                EXIT;
            EXCEPTION WHEN data_corrupted OR config_file_error OR undefined_file OR io_error OR insufficient_privilege THEN
                -- A key that cannot be read must not take back that the registry is revoked.
                problem := 'no command can be signed: ' || SQLERRM;
            END;
        END IF;
        PERFORM mulberry_internal.escalate_command(c.id, 'the agent cannot be reached: ' || problem);
    END LOOP;
END
$$;
COMMENT ON FUNCTION next_command(uuid, uuid) IS
    'gives the turn to the next waiting command of an agent, if nothing is outstanding that it has to wait for (internal)';

CREATE FUNCTION phone_again(c commands, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    a       CONSTANT mulberry_internal.agents := mulberry_internal.lock_agent(c.tenant, c.agent);
    problem CONSTANT text := mulberry_internal.path_problem(a, true);
    online  CONSTANT boolean := coalesce(a.online_until > clock_timestamp(), false) AND NOT c.force_voice;
BEGIN
    IF problem IS NULL THEN
        UPDATE mulberry_internal.commands x SET voice_at = at WHERE x.id = c.id;
        PERFORM mulberry_internal.place_call(c.id, at);
    ELSIF online THEN
        UPDATE mulberry_internal.commands x SET voice_at = NULL, online_only = true WHERE x.id = c.id;
    ELSE
        -- the number or the endpoint was taken away meanwhile
        PERFORM mulberry_internal.escalate_command(c.id, 'the agent cannot be reached any more: ' || problem);
        PERFORM mulberry_internal.next_command(c.tenant, c.agent);
    END IF;
END
$$;
COMMENT ON FUNCTION phone_again(commands, timestamptz) IS
    'plans another call for an outstanding command, or finds another way when there can be none (internal)';

CREATE FUNCTION voice_attempt_ended(voice_call bigint, outcome text, detail text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c       mulberry_internal.commands;
    v       mulberry_internal.voice_calls;
    made    integer;
    answers boolean;
    problem CONSTANT text := concat_ws(': ', outcome, detail);
BEGIN
    SELECT x.* INTO v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'voice call % does not exist', voice_call USING ERRCODE = 'undefined_object';
    END IF;
    c := mulberry_internal.lock_command(v.command);
    -- The calls of an earlier turn, and of what is settled, change nothing.
    IF c.state <> 'outstanding' OR v.attempt <= c.attempts_before
       OR v.attempt < (SELECT max(x.attempt) FROM mulberry_internal.voice_calls x WHERE x.command = c.id AND x.purpose = 'command') THEN
        RETURN;
    END IF;
    made := v.attempt - c.attempts_before;
    answers := outcome = 'challenged' AND c.nonce IS NOT NULL;
    IF NOT answers THEN
        UPDATE mulberry_internal.commands x SET error = problem WHERE x.id = c.id RETURNING x.* INTO c;
        PERFORM mulberry_internal.note_command(c, 'attempt failed', 'command_attempt_failed',
            jsonb_build_object('attempt', made, 'outcome', outcome, 'error', detail, 'call_sid', v.sid));
    END IF;
    IF made >= current_setting('mulberry.command_max_attempts')::integer THEN
        PERFORM mulberry_internal.escalate_command(c.id, format('%s calls brought no acknowledgement, the last: %s', made, problem));
        PERFORM mulberry_internal.next_command(c.tenant, c.agent);
        RETURN;
    END IF;
    IF answers THEN
        -- the answer is signed, and the agent does not wait for it for long
        PERFORM mulberry_internal.phone_again(c, clock_timestamp());
        RETURN;
    END IF;
    PERFORM mulberry_internal.refresh_signature(c);
    PERFORM mulberry_internal.phone_again(c, clock_timestamp() + current_setting('mulberry.command_retry_delay')::interval);
END
$$;
COMMENT ON FUNCTION voice_attempt_ended(bigint, text, text) IS
    'a call for a command has ended without an acknowledgement: calls again after mulberry.command_retry_delay, or escalates after '
    'mulberry.command_max_attempts. With the outcome challenged, when accept_challenge() has signed the answer, at once. Said again, or '
    'about a call of an earlier turn, it does nothing (internal)';

-- The online path.

CREATE FUNCTION online_patience() RETURNS interval
LANGUAGE sql STABLE
RETURN current_setting('mulberry.command_online_wait')::interval
        + current_setting('mulberry.command_max_attempts')::integer * current_setting('mulberry.command_retry_delay')::interval;
COMMENT ON FUNCTION online_patience() IS
    'how long a command is tried on the online path alone before a person is told: as long as the calls would take (internal)';

CREATE FUNCTION next_command_due() RETURNS timestamptz
LANGUAGE sql STABLE
AS $$
    SELECT min(c.signed_at) + mulberry_internal.online_patience()
      FROM mulberry_internal.commands c WHERE c.state = 'outstanding' AND c.online_only
$$;
COMMENT ON FUNCTION next_command_due() IS
    'when tend_queues() has to give up a command that no call is placed for; null: there is none (internal)';

CREATE FUNCTION tend_queue(tenant uuid, agent uuid) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    a CONSTANT mulberry_internal.agents := mulberry_internal.lock_agent(tenant, agent);
    c mulberry_internal.commands;
BEGIN
    SELECT x.* INTO c FROM mulberry_internal.commands x
     WHERE x.tenant = tend_queue.tenant AND x.agent = tend_queue.agent AND x.state = 'outstanding' FOR NO KEY UPDATE;
    IF FOUND THEN
        IF NOT EXISTS (SELECT FROM mulberry_internal.voice_keys k
                        WHERE k.tenant = c.tenant AND k.role = 'sender' AND k.agent = c.agent AND k.key_id = c.key_id
                          AND k.enabled) THEN
            -- nobody can acknowledge what a disabled key has signed
            PERFORM mulberry_internal.displace_command(c);
        ELSIF c.online_only AND c.signed_at < clock_timestamp() - mulberry_internal.online_patience() THEN
            PERFORM mulberry_internal.escalate_command(c.id, CASE WHEN a.online_until > clock_timestamp()
                THEN 'the agent is online and does not answer' ELSE 'the agent went offline without an answer' END
                || coalesce('; ' || mulberry_internal.path_problem(a, true), ''));
        ELSIF NOT c.online_only AND c.voice_at < clock_timestamp() - interval '1 minute'
              AND NOT EXISTS (SELECT FROM mulberry_internal.voice_calls v
                               WHERE v.command = c.id AND v.purpose = 'command' AND v.finished_at IS NULL) THEN
            -- a call that nobody knows about any more
            PERFORM mulberry_internal.note_command(c, 'call lost');
            PERFORM mulberry_internal.phone_again(c, clock_timestamp());
        ELSIF c.challenged_at IS NOT NULL AND NOT mulberry_internal.challenge_is_open(c) AND a.online_until > clock_timestamp() THEN
            PERFORM mulberry_internal.refresh_signature(c);
        END IF;
    END IF;
    PERFORM mulberry_internal.next_command(tenant, agent);
END
$$;
COMMENT ON FUNCTION tend_queue(uuid, uuid) IS
    'gives up what was only tried online and has had its time, sends what was lost, and gives the turn to whoever waits (internal)';

CREATE FUNCTION tend_queues() RETURNS void
LANGUAGE plpgsql VOLATILE SET lock_timeout = '100ms'
AS $$
DECLARE
    queue record;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    -- A copy has nobody to wait for: the agents talk to the original.
    IF NOT mulberry.outbound_allowed() THEN
        RETURN;
    END IF;
    FOR queue IN
        SELECT DISTINCT c.tenant, c.agent FROM mulberry_internal.commands c
         WHERE c.state IN ('waiting', 'outstanding') AND NOT mulberry_internal.is_set_aside('commands', c.agent::text) ORDER BY 1, 2
    LOOP
        BEGIN
            -- Whoever has it locked is at work on it, or does not end: the next time.
            PERFORM FROM mulberry_internal.agents a
              WHERE a.tenant = queue.tenant AND a.id = queue.agent FOR NO KEY UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
            PERFORM mulberry_internal.tend_queue(queue.tenant, queue.agent);
        EXCEPTION
            WHEN lock_not_available OR transaction_rollback THEN
                PERFORM mulberry_internal.blocked();
            WHEN OTHERS THEN
                -- one agent's trouble must not be that of all
                PERFORM mulberry_internal.set_aside('commands', queue.agent::text, queue.tenant, SQLSTATE, SQLERRM);
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION tend_queues() IS 'tend_queue() for every agent with commands; part of maintenance() (internal)';

-- src/commands/give.sql
-- Giving commands.

CREATE FUNCTION give_command(a agents, command text, mandate text, argument integer, reason text, requester text,
                             force_voice boolean, id bigint DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c mulberry_internal.commands;
BEGIN
    -- The same command that still waits, with nothing about the mandate behind it, will do.  Not so
    -- for extensions, which add up.
    SELECT x.* INTO c
      FROM mulberry_internal.commands x
     WHERE x.tenant = a.tenant AND x.agent = a.id AND x.state = 'waiting'
       AND x.command = give_command.command AND x.mandate IS NOT DISTINCT FROM give_command.mandate
       AND x.argument = give_command.argument AND NOT (mulberry_internal.command_kind(give_command.command)).adds_up
       AND NOT EXISTS (SELECT FROM mulberry_internal.commands y
                        WHERE y.tenant = x.tenant AND y.agent = x.agent AND y.state IN ('waiting', 'outstanding')
                          AND y.mandate IS NOT DISTINCT FROM x.mandate AND y.id > x.id)
       FOR NO KEY UPDATE;
    IF FOUND THEN
        UPDATE mulberry_internal.commands x SET force_voice = x.force_voice OR give_command.force_voice WHERE x.id = c.id;
        PERFORM mulberry_internal.note_command(c, 'folded', NULL, jsonb_build_object('reason', reason, 'requester', requester));
        RETURN c.id;
    END IF;
    INSERT INTO mulberry_internal.commands (id, tenant, agent, command, mandate, argument, reason, requester, force_voice)
    VALUES (coalesce(id, nextval('mulberry_internal.command_id')), a.tenant, a.id, command, mandate, argument, reason, requester,
        force_voice)
    RETURNING * INTO c;
    PERFORM mulberry_internal.note_command(c, 'initiated', 'command_queued',
        jsonb_build_object('reason', reason, 'requester', requester, 'argument', nullif(argument, 0),
                           'force_voice', nullif(force_voice, false)));
    PERFORM mulberry_internal.next_command(a.tenant, a.id);
    RETURN c.id;
END
$$;
COMMENT ON FUNCTION give_command(agents, text, text, integer, text, text, boolean, bigint) IS
    'queues a command for an agent whose lock is held, or folds it with the same one that waits, and says which (internal)';

CREATE FUNCTION refuse_command(tenant uuid, command text, mandate text, agent uuid, sqlstate text, code text, message text,
                               hint text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    -- the error takes back what this transaction writes
    PERFORM mulberry_internal.note_refusal(tenant, mulberry_internal.command_action(command, 'refused'), mandate, agent, code, message);
    IF code IS NULL THEN
        RAISE EXCEPTION USING MESSAGE = message, ERRCODE = sqlstate, HINT = hint;
    END IF;
    RAISE EXCEPTION USING MESSAGE = message, ERRCODE = sqlstate, HINT = hint, DETAIL = format('Protocol error %s.', code);
END
$$;
COMMENT ON FUNCTION refuse_command(uuid, text, text, uuid, text, text, text, text) IS
    'raises the error of a command that is not given, and has it written down (internal)';

CREATE FUNCTION already_answer(a agents, command text, mandate text, status text) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT jsonb_build_object('status', 'already_' || lower(status COLLATE "C"), 'method', 'none', 'mandate_id', mandate, 'agent', a.name,
                              'call_sid', NULL, 'confirmed', coalesce(c.state = 'confirmed', false))
           || jsonb_strip_nulls(jsonb_build_object('command_id', c.id, 'command_state', c.state,
                  'hint', CASE WHEN c.state = 'escalated'
                               THEN format('The agent has not confirmed it; retry_command(%s) tries again.', c.id) END))
      FROM (SELECT) AS one
      LEFT JOIN LATERAL (SELECT x.id, x.state FROM mulberry_internal.commands x
                          WHERE x.tenant = a.tenant AND x.mandate = $3 AND x.command = $2
                          ORDER BY x.id DESC LIMIT 1) AS c ON true
$$;
COMMENT ON FUNCTION already_answer(agents, text, text, text) IS
    'the answer to a command that the registry needs not, with the last one of its kind (internal)';

CREATE FUNCTION command_mandate(tenant uuid, command text, mandate_id text, argument integer, reason text, requester text,
                                force_voice boolean) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    given   CONSTANT bigint := nextval('mulberry_internal.command_id');
    cause   CONSTANT text := concat_ws(': ', lower(command COLLATE "C"), nullif(reason, ''));
    kind    record;
    owner   uuid;
    a       mulberry_internal.agents;
    outcome text := 'changed';
    problem text;
    answer  jsonb;
BEGIN
    PERFORM mulberry_internal.check_texts('mandate_id', command_mandate.mandate_id,
        'reason', command_mandate.reason, 'requester', command_mandate.requester);
    PERFORM mulberry_internal.check_mandate_id(mandate_id);
    -- who fills in a form leaves fields empty
    reason := nullif(reason, '');
    requester := nullif(requester, '');
    IF force_voice IS NULL OR argument IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN argument IS NULL THEN 'days' ELSE 'force_voice' END
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT * INTO kind FROM mulberry_internal.command_kind(command);
    IF argument NOT BETWEEN kind.least_argument AND kind.most_argument THEN
        RAISE EXCEPTION 'a mandate cannot be extended by % days', argument
            USING ERRCODE = 'numeric_value_out_of_range',
                  DETAIL = format('It can be extended by %s to %s days at a time.', kind.least_argument, kind.most_argument);
    END IF;

    SELECT m.agent INTO owner FROM mulberry_internal.mandates m WHERE m.tenant = command_mandate.tenant AND m.id = mandate_id;
    IF NOT FOUND THEN
        PERFORM mulberry_internal.refuse_command(tenant, command, mandate_id, NULL, 'undefined_object', 'E003',
                                        format('mandate "%s" does not exist', mandate_id),
                                        'The view mandate_status shows the mandates of every tenant that you have access to.');
    END IF;
    a := mulberry_internal.lock_agent(tenant, owner);

    -- The registry first: payments are stopped here even if the agent is never reached.
    CASE
    WHEN NOT kind.changes_registry THEN
        NULL;
    WHEN kind.sets_status IS NOT NULL THEN
        outcome := mulberry_internal.set_mandate_status(tenant, mandate_id, kind.sets_status, cause, given);
    WHEN command = 'EXTEND' THEN
        outcome := mulberry_internal.extend_mandate_expiry(tenant, mandate_id, argument, cause, given);
    END CASE;
    IF outcome = 'already so' THEN
        answer := mulberry_internal.already_answer(a, command, mandate_id, kind.sets_status);
        PERFORM mulberry_internal.record_audit(tenant, mulberry_internal.command_action(command, outcome), outcome, mandate_id, a.id,
            (answer->>'command_id')::bigint, NULL,
            jsonb_strip_nulls(jsonb_build_object('reason', reason, 'requester', requester)));
        RETURN answer;
    ELSIF outcome = 'E004' THEN
        PERFORM mulberry_internal.refuse_command(tenant, command, mandate_id, a.id, 'object_not_in_prerequisite_state', 'E004',
                                        format('mandate "%s" is revoked', mandate_id), 'A revocation is final: make a new mandate.');
    ELSIF outcome = 'expired' THEN
        PERFORM mulberry_internal.refuse_command(tenant, command, mandate_id, a.id, 'object_not_in_prerequisite_state', NULL,
                                        format('mandate "%s" has expired', mandate_id), 'extend_mandate() gives it more time.');
    ELSIF outcome <> 'changed' THEN
        RAISE EXCEPTION 'a mandate''s change is "%"', outcome USING ERRCODE = 'internal_error';
    END IF;

    -- A revocation stands whether or not there is a way to the agent; next_command() hands it to a
    -- person then.  Anything else is refused whole.
    problem := mulberry_internal.path_problem(a, force_voice);
    IF problem IS NOT NULL AND NOT kind.final THEN
        PERFORM mulberry_internal.refuse_command(tenant, command, mandate_id, a.id, 'object_not_in_prerequisite_state', NULL,
            format('agent "%s" cannot be reached: %s', a.name, problem),
            'Nothing was changed. Commands need an exported voice key and, unless the agent is online, its telephone number and an '
                'endpoint for telephony.');
    END IF;
    answer := mulberry_internal.answer_of_command(mulberry_internal.give_command(a, command, mandate_id, argument, reason, requester,
        force_voice, given));
    IF problem IS NOT NULL THEN
        answer := answer || jsonb_build_object('hint',
            format('The registry is revoked. Tell the agent by other means, or mend this and say retry_command(%s).',
            answer->>'command_id'));
    END IF;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION command_mandate(uuid, text, text, integer, text, text, boolean) IS
    'changes the registry and gives the agent of a mandate the command (internal)';

CREATE FUNCTION mulberry.revoke_mandate(mandate_id text, reason text DEFAULT NULL, requester text DEFAULT NULL,
                               force_voice boolean DEFAULT false, tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    RETURN mulberry_internal.command_mandate(mulberry_internal.resolve_tenant(tenant, 'operator'), 'REVOKE', mandate_id, 0, reason,
        requester, force_voice);
END
$$;
COMMENT ON FUNCTION mulberry.revoke_mandate(text, text, text, boolean, text) IS
    'revokes a mandate in the registry and commands its agent to do the same: online when it is there (unless force_voice), otherwise by '
    'telephone. Answers at once: status "pending" (await_command() waits for the outcome), "already_revoked", or "escalated" when there '
    'is no way to the agent, in which case the registry is revoked nevertheless. Needs operator access. Errors: 22023 not eight digits, '
    '42704 (E003) unknown mandate';

CREATE FUNCTION mulberry.suspend_mandate(mandate_id text, reason text DEFAULT NULL, requester text DEFAULT NULL,
                                force_voice boolean DEFAULT false, tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    RETURN mulberry_internal.command_mandate(mulberry_internal.resolve_tenant(tenant, 'operator'), 'SUSPEND', mandate_id, 0, reason,
        requester, force_voice);
END
$$;
COMMENT ON FUNCTION mulberry.suspend_mandate(text, text, text, boolean, text) IS
    'suspends a mandate in the registry and on its agent, see revoke_mandate(); "already_suspended". Needs operator access. Errors '
    'besides: 55000 (E004) it is revoked, it has expired, or there is no way to the agent; then nothing is changed';

CREATE FUNCTION mulberry.resume_mandate(mandate_id text, reason text DEFAULT NULL, requester text DEFAULT NULL,
                               force_voice boolean DEFAULT false, tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    RETURN mulberry_internal.command_mandate(mulberry_internal.resolve_tenant(tenant, 'operator'), 'RESUME', mandate_id, 0, reason,
        requester, force_voice);
END
$$;
COMMENT ON FUNCTION mulberry.resume_mandate(text, text, text, boolean, text) IS
    'ends the suspension of a mandate in the registry and on its agent, see revoke_mandate() and suspend_mandate(); "already_active". '
    'Needs operator access';

CREATE FUNCTION mulberry.extend_mandate(mandate_id text, days integer, reason text DEFAULT NULL, requester text DEFAULT NULL,
                               force_voice boolean DEFAULT false, tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    RETURN mulberry_internal.command_mandate(mulberry_internal.resolve_tenant(tenant, 'operator'), 'EXTEND', mandate_id, days, reason,
        requester, force_voice);
END
$$;
COMMENT ON FUNCTION mulberry.extend_mandate(text, integer, text, text, boolean, text) IS
    'extends a mandate by 1 to 99 days, from its expiry or from now if that is past, in the registry and on its agent; see '
    'revoke_mandate(). Needs operator access. Errors besides: 22003 days, 55000 (E004) it is revoked, or there is no way to the agent; '
    'then nothing is changed';

CREATE FUNCTION mulberry.query_mandate(mandate_id text, requester text DEFAULT NULL, force_voice boolean DEFAULT false,
                              tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    RETURN mulberry_internal.command_mandate(mulberry_internal.resolve_tenant(tenant, 'operator'), 'QUERY', mandate_id, 0, NULL,
        requester, force_voice);
END
$$;
COMMENT ON FUNCTION mulberry.query_mandate(text, text, boolean, text) IS
    'asks the agent of a mandate which state it has there; await_command() brings it as mandate_status, beside registry_status. Needs '
    'operator access. Errors: 22023, 42704 (E003), 55000 there is no way to the agent';

CREATE FUNCTION mulberry.ping_agent(agent text, requester text DEFAULT NULL, force_voice boolean DEFAULT false,
                           tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner   CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'operator');
    a       mulberry_internal.agents;
    problem text;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', ping_agent.agent, 'requester', ping_agent.requester);
    IF force_voice IS NULL THEN
        RAISE EXCEPTION 'force_voice must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    a := mulberry_internal.lock_agent(owner, mulberry_internal.name_or_id_of_agent(owner, agent));
    problem := mulberry_internal.path_problem(a, force_voice);
    IF problem IS NOT NULL THEN
        PERFORM mulberry_internal.refuse_command(owner, 'PING', NULL, a.id, 'object_not_in_prerequisite_state', NULL,
            format('agent "%s" cannot be reached: %s', a.name, problem),
            'Commands need an exported voice key and, unless the agent is online, its telephone number and an endpoint for telephony.');
    END IF;
    RETURN mulberry_internal.answer_of_command(mulberry_internal.give_command(a, 'PING', NULL, 0, NULL, nullif(requester, ''),
        force_voice));
END
$$;
COMMENT ON FUNCTION mulberry.ping_agent(text, text, boolean, text) IS
    'commands an agent (name or uuid) to answer and do nothing else. Needs operator access. Errors: 42704 unknown agent, 55000 there is '
    'no way to it';

-- src/commands/acknowledge.sql
-- Acknowledgements.

CREATE FUNCTION settle_ack(tenant uuid, agent uuid, symbols text, method text, evidence jsonb, wanted bigint,
                           OUT verdict text, OUT command bigint)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    said    CONSTANT mulberry_internal.received_ack := mulberry_internal.take_ack(coalesce(symbols, ''));
    judged  record;
    s       mulberry_internal.command_signatures;
    c       mulberry_internal.commands;
    current boolean;
    proof   jsonb;
BEGIN
    verdict := 'decode error';
    IF said.problem IS NULL THEN
        verdict := 'other command';
        -- Key and counter name one signature; an older one with the same digits is thousands of commands back.
        SELECT x.* INTO s FROM mulberry_internal.command_signatures x
         WHERE x.tenant = settle_ack.tenant AND x.agent = settle_ack.agent AND x.key_id = said.key_id
           AND mulberry_internal.frame_counter(x.counter) = said.counter
           -- ids are given again: what a former key of that id signed is none of this one's
           AND x.signed_at >= (SELECT k.created_at FROM mulberry_internal.voice_keys k
                                WHERE k.tenant = settle_ack.tenant AND k.role = 'sender' AND k.agent = settle_ack.agent
                                  AND k.key_id = said.key_id)
         ORDER BY x.counter DESC LIMIT 1;
        IF FOUND THEN
            SELECT v.* INTO judged
              FROM mulberry_internal.verify_ack_frame(tenant, agent, s.key_id, s.counter, s.message_digest, said) AS v;
            verdict := judged.verdict;
        END IF;
    END IF;
    IF verdict <> 'genuine' THEN
        PERFORM mulberry_internal.record_audit(tenant, 'ACKNOWLEDGEMENT_REJECTED', verdict, NULL, agent, wanted, method,
            coalesce(evidence, '{}') || jsonb_build_object('symbols', left(symbols, 100)));
        IF verdict = 'forgery' THEN
            PERFORM mulberry_internal.emit_event(tenant, 'acknowledgement_forged', NULL, NULL, jsonb_strip_nulls(jsonb_build_object(
                'command_id', wanted, 'agent', (SELECT a.name FROM mulberry_internal.agents a
                                                   WHERE a.tenant = settle_ack.tenant AND a.id = settle_ack.agent),
                'method', method)));
        END IF;
        RETURN;
    END IF;

    PERFORM mulberry_internal.note_acked_key(tenant, agent, s.key_id, s.counter);
    command := s.command;
    SELECT x.* INTO c FROM mulberry_internal.commands x WHERE x.id = s.command FOR NO KEY UPDATE;
    current := (s.key_id, s.counter) = (c.key_id, c.counter);
    proof := coalesce(c.evidence, '{}') || coalesce(evidence, '{}')
             || jsonb_build_object('acknowledgement', symbols, 'signature', s.signature);
    IF wanted <> s.command THEN
        verdict := 'other command';
    END IF;

    IF c.state IN ('confirmed', 'refused', 'cancelled') THEN
        -- What is settled stays so, but that the agent has spoken is kept.
        IF c.ack_frame IS DISTINCT FROM symbols THEN
            PERFORM mulberry_internal.note_command(c, 'acknowledged after it was ' || c.state, NULL,
                                          proof || jsonb_build_object('status', judged.status_name));
            IF c.state = 'cancelled' THEN
                UPDATE mulberry_internal.commands x
                   SET ack_frame = symbols, ack_status = judged.status, ack_state = judged.state, evidence = proof
                 WHERE x.id = c.id;
            END IF;
        END IF;
    ELSIF judged.status_name IN ('applied', 'already so') THEN
        -- Of whatever signature: the agent has carried it out.
        PERFORM mulberry_internal.confirm_command(c.id, symbols, judged.status, judged.state, method, proof,
            jsonb_build_object('status', judged.status_name, 'mandate_state', judged.state_name,
                               'after', nullif(c.state, 'outstanding')));
    ELSIF judged.status_name IN ('unknown mandate', 'refused') AND (current OR c.state <> 'outstanding') THEN
        UPDATE mulberry_internal.commands x
           SET ack_frame = symbols, ack_status = judged.status, ack_state = judged.state, evidence = proof,
               method = settle_ack.method
         WHERE x.id = c.id;
        PERFORM mulberry_internal.finish_command(c.id, 'refused', 'refused by agent', 'command_refused',
            CASE judged.status_name WHEN 'unknown mandate' THEN 'E003: the agent does not know the mandate'
                                    ELSE 'the agent has refused it' END,
            proof || jsonb_build_object('status', judged.status_name, 'mandate_state', judged.state_name));
    ELSIF judged.status_name = 'challenge wanted' AND current AND c.state = 'outstanding' THEN
        verdict := 'challenge wanted';
        IF c.ack_frame IS DISTINCT FROM symbols THEN
            UPDATE mulberry_internal.commands x SET challenged_at = clock_timestamp(), ack_frame = symbols WHERE x.id = c.id;
            PERFORM mulberry_internal.note_command(c, 'challenge wanted', 'command_challenged', proof);
        END IF;
    ELSE
        PERFORM mulberry_internal.note_command(c, CASE WHEN judged.status_name IS NOT NULL THEN 'superseded acknowledgement'
                                              ELSE 'acknowledgement without a meaning' END,
                                      NULL, proof || jsonb_build_object('status', lpad(said.status::text, 2, '0')));
    END IF;
END
$$;
COMMENT ON FUNCTION settle_ack(uuid, uuid, text, text, jsonb, bigint) IS
    'judges an acknowledgement and settles the command whose signature it answers, which may be an older one; the agent''s lock is held, '
    'and who calls gives the turn to the next command (internal)';

CREATE FUNCTION confirm_command(command bigint, symbols text, status integer, state integer, method text, evidence jsonb,
                                more jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c        mulberry_internal.commands;
    moot     bigint;
    registry text;
BEGIN
    UPDATE mulberry_internal.commands x
       SET ack_frame = symbols, ack_status = status, ack_state = confirm_command.state, evidence = confirm_command.evidence,
           method = confirm_command.method
     WHERE x.id = confirm_command.command RETURNING x.* INTO c;
    PERFORM mulberry_internal.finish_command(command, 'confirmed', 'confirmed', 'command_confirmed', NULL,
        evidence || more || jsonb_build_object(
            'latency', round(extract(epoch FROM clock_timestamp() - c.created_at)::numeric, 3)));
    -- Of those that wait for a person, the ones that this one has made pointless are closed.
    FOR moot IN
        SELECT x.id FROM mulberry_internal.commands x
         WHERE x.tenant = c.tenant AND x.mandate = c.mandate AND x.state = 'escalated' AND x.id < c.id
           AND ((mulberry_internal.command_kind(c.command)).final AND NOT (mulberry_internal.command_kind(x.command)).final
                OR mulberry_internal.command_reversible(c.command) AND mulberry_internal.command_reversible(x.command))
         ORDER BY x.id FOR NO KEY UPDATE
    LOOP
        PERFORM mulberry_internal.finish_command(moot, 'cancelled', 'cancelled', 'command_cancelled',
                                        format('command %s came after it and was confirmed', command));
    END LOOP;
    IF (mulberry_internal.command_kind(c.command)).asks THEN
        SELECT m.status INTO registry FROM mulberry_internal.mandates m WHERE m.tenant = c.tenant AND m.id = c.mandate;
        IF registry <> more->>'mandate_state' THEN
            PERFORM mulberry_internal.note_command(c, 'mandate differs', 'mandate_differs',
                jsonb_build_object('mandate_state', more->'mandate_state', 'registry_state', registry));
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION confirm_command(bigint, text, integer, integer, text, jsonb, jsonb) IS
    'settles a command as confirmed by its agent (internal)';

CREATE FUNCTION accept_ack(command bigint, symbols text, method text, evidence jsonb DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c       CONSTANT mulberry_internal.commands := mulberry_internal.lock_command(command);
    settled record;
BEGIN
    SELECT x.* INTO settled FROM mulberry_internal.settle_ack(c.tenant, c.agent, symbols, method, evidence, command) AS x;
    IF settled.command IS NOT NULL THEN
        PERFORM mulberry_internal.next_command(c.tenant, c.agent);
    END IF;
    RETURN settled.verdict;
END
$$;
COMMENT ON FUNCTION accept_ack(bigint, text, text, jsonb) IS
    'takes the symbols that an agent answered a command with by the method voice or api: genuine (the command''s state says what '
    'follows), challenge wanted (accept_challenge() takes its digits), other command (which is settled, if it is genuine for that one), '
    'forgery, decode error (internal)';

-- An edge knows its challenge for so long from when it was played, which is before we hear of it.  The answer must
-- have the next counter of the same key.
CREATE FUNCTION challenge_is_open(c commands) RETURNS boolean
LANGUAGE sql VOLATILE
AS $$
    SELECT coalesce(c.challenged_at > clock_timestamp() - (mulberry_internal.challenge_lifetime() - interval '5 seconds'), false)
       AND EXISTS (SELECT FROM mulberry_internal.voice_keys k
                    WHERE k.tenant = c.tenant AND k.role = 'sender' AND k.agent = c.agent AND k.key_id = c.key_id
                      AND k.last_counter = c.counter AND k.place = mulberry_internal.voice_key_place()
                      AND k.key_id = mulberry_internal.signing_key(c.tenant, c.agent))
$$;
COMMENT ON FUNCTION challenge_is_open(commands) IS 'whether the agent still knows the challenge that it answered a command with (internal)';

CREATE FUNCTION challenge_nonce(digits text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_challenge_nonce';
COMMENT ON FUNCTION challenge_nonce(text) IS 'the six digits of a challenge of eight whose check digits fit; null otherwise (internal)';

CREATE FUNCTION accept_challenge(command bigint, digits text) RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c     mulberry_internal.commands := mulberry_internal.lock_command(command);
    nonce CONSTANT text := mulberry_internal.challenge_nonce(digits);
BEGIN
    IF c.state <> 'outstanding' OR c.challenged_at IS NULL THEN
        RETURN 'not wanted';
    ELSIF nonce IS NULL THEN
        PERFORM mulberry_internal.note_command(c, 'challenge not understood', NULL, jsonb_build_object('digits', left(digits, 100)));
        RETURN 'decode error';
    ELSIF c.nonce = nonce THEN
        RETURN 'signed';
    ELSIF NOT mulberry_internal.challenge_is_open(c) THEN
        PERFORM mulberry_internal.refresh_signature(c);
        RETURN 'too late';
    END IF;
    PERFORM mulberry_internal.sign_command(command, nonce);
    SELECT x.* INTO c FROM mulberry_internal.commands x WHERE x.id = accept_challenge.command;
    PERFORM mulberry_internal.note_command(c, 'challenge answered', NULL, jsonb_build_object('counter', c.counter));
    RETURN 'signed';
END
$$;
COMMENT ON FUNCTION accept_challenge(bigint, text) IS
    'takes the eight digits of a challenge that an outstanding command was answered with, and signs it with them: "signed" '
    '(commands.frame is to be sent now, within the 60 s), "decode error" (hear them again), "too late" (commands.frame is a new one '
    'without them), "not wanted" (internal)';

-- The frame that was answered by a challenge is used up, and so is one that answers a challenge
-- of which the agent knows no more.  Only an extension keeps the latter, unless it was challenged again: it may have
-- been carried out, and two add up.
CREATE FUNCTION refresh_signature(c commands) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    IF c.challenged_at IS NULL
       OR ((mulberry_internal.command_kind(c.command)).adds_up AND c.nonce IS NOT NULL AND c.challenged_at < c.signed_at) THEN
        RETURN;
    END IF;
    UPDATE mulberry_internal.commands x SET challenged_at = NULL WHERE x.id = c.id;
    PERFORM mulberry_internal.sign_command(c.id);
    PERFORM mulberry_internal.note_command(c, 'signed anew');
END
$$;
COMMENT ON FUNCTION refresh_signature(commands) IS 'signs an outstanding command anew whose frame a challenge has used up (internal)';

CREATE FUNCTION note_spoken_confirmation(command bigint, transcript text, evidence jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c mulberry_internal.commands := mulberry_internal.lock_command(command);
BEGIN
    UPDATE mulberry_internal.commands x
       SET evidence = coalesce(x.evidence, '{}') || jsonb_build_object('spoken',
               coalesce(note_spoken_confirmation.evidence, '{}')
               || jsonb_build_object('transcript', left(transcript, 1000), 'at', clock_timestamp()))
     WHERE x.id = note_spoken_confirmation.command RETURNING x.* INTO c;
    PERFORM mulberry_internal.note_command(c, 'spoken confirmation', 'command_spoken', coalesce(evidence, '{}')
        || jsonb_build_object('transcript', left(transcript, 1000)));
END
$$;
COMMENT ON FUNCTION note_spoken_confirmation(bigint, text, jsonb) IS
    'keeps what a voice said on the telephone as evidence of a command. It settles nothing, because anybody can say it; it tells the '
    'person to whom the command is escalated (internal)';

-- src/commands/online.sql
CREATE FUNCTION mandate_updates(a agents, since bigint) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    most   CONSTANT integer := 500;
    key    CONSTANT integer := mulberry_internal.signing_key(a.tenant, a.id);
    latest bigint := a.mandates_version;
    after  bigint := since;
    upto   bigint;
    rows   jsonb;
    data   text;
BEGIN
    IF key IS NULL THEN
        RETURN NULL;
    END IF;
    IF since > latest THEN
        -- The agent knows of changes that we have forgotten (a restored dump): all mandates again, by a
        -- number that is new to it.
        after := 0;
        latest := since + 1;
        UPDATE mulberry_internal.agents x SET mandates_version = latest WHERE x.tenant = a.tenant AND x.id = a.id;
    END IF;
    SELECT jsonb_agg(x.row ORDER BY x.number), max(x.number) INTO rows, upto
      FROM (SELECT t.number,
                   jsonb_build_object('mandate_id', m.id, 'sponsor', m.sponsor, 'status', m.status, 'max_amount', m.max_amount,
                                      'currency', m.currency, 'expires_at', m.expires_at, 'version', m.version) AS row
              FROM mulberry_internal.mandates m
              LEFT JOIN mulberry_internal.mandate_retellings r ON r.tenant = m.tenant AND r.mandate = m.id
             CROSS JOIN LATERAL (SELECT greatest(m.agent_version, r.number) AS number) AS t
             WHERE m.tenant = a.tenant AND m.agent = a.id AND t.number > after
               -- see mandate_retellings
               AND NOT EXISTS (SELECT FROM mulberry_internal.commands c
                                WHERE c.tenant = m.tenant AND c.mandate = m.id AND (mulberry_internal.command_kind(c.command)).adds_up
                                  AND (c.state IN ('waiting', 'outstanding') OR c.state = 'escalated' AND c.retold_as IS NULL))
             ORDER BY t.number LIMIT CASE WHEN after = since THEN most END) AS x;
    IF rows IS NULL THEN
        RETURN NULL;
    END IF;
    IF after <> since THEN
        upto := latest;
    END IF;
    -- As text, because what is signed are these bytes and not what some parser makes of them.
    data := jsonb_build_object('protocol', 'mulberry/sync/1', 'tenant', a.tenant, 'agent', a.id, 'key_id', key,
                               -- commands up to this one are in it: an agent that knows a later one wants no older news
                               'counter', mulberry_internal.present_counter(mulberry_internal.voice_key_row(a.tenant, a.id, key, 'sender')),
                               'since', after, 'upto', upto, 'more', after = since AND jsonb_array_length(rows) = most, 'mandates',
                                   rows)::text;
    RETURN jsonb_build_object('key_id', key, 'data', data,
                              'mac', encode(mulberry_internal.sync_mac(a.tenant, 'sender', a.id, key, convert_to(data, 'UTF8')), 'hex'));
END
$$;
COMMENT ON FUNCTION mandate_updates(agents, bigint) IS
    'what has changed in the registry of an agent''s mandates after a number (mandates.agent_version), at most 500 of them and none that '
    'a command is about to extend, and the code over it; null: nothing (internal)';

-- The tag of an acknowledgement has eight digits, and whoever has the credentials of a gateway could try them all in
-- hours.  With this many tries an hour it takes a century, and the telephone is there meanwhile.
CREATE FUNCTION sync_acks(a agents, acks jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    most      CONSTANT integer := 100;
    since     timestamptz := a.forged_since;
    forged    integer := a.forged_acks;
    item      jsonb;
    settled   record;
    challenge text;
    verdicts  jsonb := '[]'::jsonb;
BEGIN
    IF since IS NULL OR since < clock_timestamp() - interval '1 hour' THEN
        since := clock_timestamp();
        forged := 0;
    END IF;
    FOR item IN SELECT x.value FROM jsonb_array_elements(acks) WITH ORDINALITY AS x ORDER BY x.ordinality LOOP
        IF forged >= most THEN
            verdicts := verdicts || jsonb_build_array(jsonb_build_object('ack', item->'ack', 'verdict', 'not judged'));
            CONTINUE;
        END IF;
        SELECT x.* INTO settled FROM mulberry_internal.settle_ack(a.tenant, a.id, item->>'ack', 'api', NULL, NULL) AS x;
        challenge := NULL;
        IF settled.command IS NOT NULL AND item->>'challenge' IS NOT NULL THEN
            challenge := mulberry_internal.accept_challenge(settled.command, item->>'challenge');
        END IF;
        IF settled.verdict = 'forgery' THEN
            forged := forged + 1;
            UPDATE mulberry_internal.agents x SET forged_acks = forged, forged_since = since WHERE x.tenant = a.tenant AND x.id = a.id;
        END IF;
        verdicts := verdicts || jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
            'ack', item->'ack', 'verdict', settled.verdict, 'command_id', settled.command, 'challenge', challenge)));
    END LOOP;
    RETURN verdicts;
END
$$;
COMMENT ON FUNCTION sync_acks(agents, jsonb) IS
    'takes the acknowledgements that an agent has sent on the online path, and says what each was worth: not judged once 100 were forged '
    'within an hour (internal)';

CREATE FUNCTION revive_command(a agents) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    again bigint;
BEGIN
    -- not what an agent may have carried out already and would do twice
    SELECT x.id INTO again FROM mulberry_internal.commands x
     WHERE x.tenant = a.tenant AND x.agent = a.id AND x.state = 'escalated' AND NOT x.force_voice
       AND (NOT (mulberry_internal.command_kind(x.command)).adds_up OR NOT mulberry_internal.command_has_left(x))
       AND mulberry_internal.command_obsolete(x) IS NULL
       AND NOT EXISTS (SELECT FROM mulberry_internal.commands y
                        WHERE y.tenant = x.tenant AND y.mandate = x.mandate AND y.id > x.id AND y.state <> 'cancelled'
                          AND mulberry_internal.command_reversible(x.command)
                          AND (mulberry_internal.command_kind(y.command)).sets_status IS NOT NULL)
     ORDER BY (mulberry_internal.command_kind(x.command)).urgent DESC, x.id LIMIT 1 FOR NO KEY UPDATE;
    IF NOT FOUND OR mulberry_internal.voice_key_problem(a.tenant, a.id) IS NOT NULL THEN
        RETURN;
    END IF;
    UPDATE mulberry_internal.commands x SET state = 'waiting' WHERE x.id = again;
    PERFORM mulberry_internal.send_command(a, again, online_only => true);
END
$$;
COMMENT ON FUNCTION revive_command(agents) IS
    'an agent is back online and has nothing to do: sends it what was handed to a person, by this path alone (internal)';

-- An extension that was overtaken may have been carried out before, and cannot be from the moment in which
-- the agent has acknowledged a later counter.  From then on the mandate itself can be told, whose expiry is right either way.
CREATE FUNCTION retell_extensions(a agents, since bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c mulberry_internal.commands;
BEGIN
    FOR c IN
        SELECT x.* FROM mulberry_internal.commands x
         WHERE x.tenant = a.tenant AND x.agent = a.id AND x.state = 'escalated' AND (mulberry_internal.command_kind(x.command)).adds_up
         ORDER BY x.id FOR NO KEY UPDATE
    LOOP
        IF c.retold_as <= since THEN
            UPDATE mulberry_internal.commands x
               SET method = 'api', evidence = coalesce(x.evidence, '{}') || jsonb_build_object('told_as', x.retold_as)
             WHERE x.id = c.id;
            PERFORM mulberry_internal.finish_command(c.id, 'confirmed', 'confirmed', 'command_confirmed', NULL,
                                            jsonb_build_object('told_as', c.retold_as));
        ELSIF c.retold_as IS NULL AND EXISTS (SELECT FROM mulberry_internal.voice_keys k
                                               WHERE k.tenant = a.tenant AND k.role = 'sender' AND k.agent = a.id
                                                 AND k.key_id = c.key_id AND k.acked_counter > c.counter) THEN
            UPDATE mulberry_internal.commands x SET retold_as = mulberry_internal.retell_mandate(c) WHERE x.id = c.id;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION retell_extensions(agents, bigint) IS
    'settles escalated extensions of an agent that is online by telling it the mandates, up to a number that it knows (internal)';

CREATE FUNCTION mulberry.agent_sync(agent text, acks jsonb DEFAULT '[]', since bigint DEFAULT 0, tenant text DEFAULT NULL)
    RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner    CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'agent');
    most     CONSTANT integer := 100;
    most_ahead CONSTANT bigint := 1000000;
    asked    uuid;
    a        mulberry_internal.agents;
    c        mulberry_internal.commands;
    verdicts jsonb;
    updates  jsonb;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', agent_sync.agent);
    PERFORM mulberry_internal.check_json('acks', agent_sync.acks);
    IF acks IS NULL OR since IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN acks IS NULL THEN 'acks' ELSE 'since' END
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF since NOT BETWEEN 0 AND 1000000000000000 THEN
        RAISE EXCEPTION 'since % is out of range', since
            USING ERRCODE = 'numeric_value_out_of_range', DETAIL = 'It is the "upto" of the last answer that was applied, 0 for none.';
    END IF;
    IF jsonb_typeof(acks) <> 'array' OR EXISTS (SELECT FROM jsonb_array_elements(acks) AS x
                                                 WHERE jsonb_typeof(x) <> 'object' OR jsonb_typeof(x->'ack') IS DISTINCT FROM 'string') THEN
        RAISE EXCEPTION 'acks must be an array of objects with "ack"' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'As apply_agent_sync() returns it: [{"ack": symbols, "challenge": digits}, ...], challenge where one was made.';
    ELSIF jsonb_array_length(acks) > most THEN
        RAISE EXCEPTION '% acknowledgements are too many', jsonb_array_length(acks)
            USING ERRCODE = 'program_limit_exceeded', DETAIL = format('At most %s are taken at once.', most);
    END IF;

    asked := mulberry_internal.name_or_id_of_agent(owner, agent);
    -- A token is that of the agent of its name: one that somebody takes from a device is no other one's.
    IF mulberry_internal.acting_token() IS NOT NULL
       AND NOT EXISTS (SELECT FROM mulberry_internal.agents x
                        WHERE x.tenant = owner AND x.id = asked AND mulberry_internal.acting_token() IN (x.name, x.id::text)) THEN
        RAISE EXCEPTION 'token "%" is not that of agent "%"', mulberry_internal.acting_token(), left(agent, 80)
            USING ERRCODE = 'insufficient_privilege', HINT = 'A token of an agent is called as the agent, or by its uuid.';
    END IF;
    a := mulberry_internal.lock_agent(owner, asked);
    -- What is ahead of us raises our own number, which must not be driven to its end in one step.
    IF since > a.mandates_version + most_ahead THEN
        RAISE EXCEPTION 'since % is out of range', since
            USING ERRCODE = 'numeric_value_out_of_range',
                  DETAIL = format('The registry''s changes are numbered up to %s; a restored one may have forgotten %s.',
                                  a.mandates_version, most_ahead);
    END IF;
    verdicts := mulberry_internal.sync_acks(a, acks);
    UPDATE mulberry_internal.agents x
       SET seen_at = clock_timestamp(),
           online_until = clock_timestamp() + current_setting('mulberry.agent_online_time')::interval
     WHERE x.tenant = a.tenant AND x.id = a.id RETURNING x.* INTO a;
    PERFORM mulberry_internal.retell_extensions(a, since);
    PERFORM mulberry_internal.tend_queue(a.tenant, a.id);
    IF NOT EXISTS (SELECT FROM mulberry_internal.commands x
                    WHERE x.tenant = a.tenant AND x.agent = a.id AND x.state IN ('waiting', 'outstanding')) THEN
        PERFORM mulberry_internal.revive_command(a);
    END IF;
    -- Whatever the telephone does meanwhile carries the same frame.  Only force_voice keeps it off this path.
    UPDATE mulberry_internal.commands x SET offered_at = coalesce(x.offered_at, clock_timestamp())
     WHERE x.tenant = a.tenant AND x.agent = a.id AND x.state = 'outstanding' AND NOT x.force_voice
    RETURNING x.* INTO c;
    SELECT x.* INTO a FROM mulberry_internal.agents x WHERE x.tenant = a.tenant AND x.id = a.id;
    updates := mulberry_internal.mandate_updates(a, since);
    PERFORM mulberry_internal.require_durable_commit();
    RETURN jsonb_build_object(
               'agent', a.id, 'online_until', a.online_until, 'acks', verdicts,
               'commands', CASE WHEN c.id IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object('command_id', c.id, 'frame',
                   c.frame)) END)
           || CASE WHEN updates IS NULL THEN '{}' ELSE jsonb_build_object('updates', updates) END;
END
$$;
COMMENT ON FUNCTION mulberry.agent_sync(text, jsonb, bigint, text) IS
    'what an agent (name or uuid) calls, through the gateway, as long as it is online: hands over its acknowledgements, [{"ack": '
    'symbols, "challenge": digits}, ...], and says up to which number it knows the registry. The answer has the verdict on each '
    'acknowledgement, "commands" with the frame that is outstanding, and "updates": the changes of its mandates after "since", as text '
    'with a code over it (sync_mac()). It may be repeated at will, and answers may be lost. Needs agent access, and '
    'with a token one that is called as the agent or by its uuid. Errors: 42704 unknown agent, 22023 and 54000 acks, 22003 since';

-- src/commands/operate.sql
-- What a person may do about a command.

CREATE FUNCTION visible_command(command bigint) RETURNS commands
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    IF command IS NULL THEN
        RAISE EXCEPTION 'command_id must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM FROM mulberry_internal.commands x
      WHERE x.id = visible_command.command AND x.tenant = ANY (mulberry.current_tenants('operator'));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'command % does not exist', command USING ERRCODE = 'undefined_object';
    END IF;
    RETURN mulberry_internal.lock_command(command);
END
$$;
COMMENT ON FUNCTION visible_command(bigint) IS
    'a command of a tenant that the outer user is operator of, locked; 42704: there is none (internal)';

CREATE FUNCTION mulberry.cancel_command(command_id bigint, reason text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    -- operators only: visible_command() asks current_tenants()
    c        CONSTANT mulberry_internal.commands := mulberry_internal.visible_command(command_id);
    harmless CONSTANT boolean := NOT (mulberry_internal.command_kind(c.command)).changes_registry;
BEGIN
    PERFORM mulberry_internal.check_texts('reason', cancel_command.reason);
    IF c.state IN ('confirmed', 'refused', 'cancelled') THEN
        RAISE EXCEPTION 'command % is %', c.id, c.state USING ERRCODE = 'object_not_in_prerequisite_state';
    ELSIF c.state = 'escalated' AND nullif(btrim(reason), '') IS NULL THEN
        RAISE EXCEPTION 'command % waits for a person and is closed with a reason only', c.id
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Say what was found out about the agent.';
    ELSIF c.state <> 'escalated' AND (mulberry_internal.command_kind(c.command)).final THEN
        RAISE EXCEPTION 'a revocation cannot be cancelled' USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'The registry is revoked, and the agent must learn of it.';
    ELSIF c.state <> 'escalated' AND c.signatures > 0 AND NOT harmless THEN
        RAISE EXCEPTION 'command % is on its way', c.id USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'The agent may have carried it out without having said so.',
            HINT = 'Give the opposite command; it goes out when this one is settled.';
    END IF;
    PERFORM mulberry_internal.finish_command(c.id, 'cancelled', 'cancelled', 'command_cancelled',
        concat_ws(': ', format('cancelled by %s', mulberry_internal.outer_role_name()), nullif(btrim(reason), '')),
        jsonb_build_object('from_state', c.state));
    PERFORM mulberry_internal.next_command(c.tenant, c.agent);
    PERFORM mulberry_internal.require_durable_commit();
    RETURN mulberry_internal.answer_of_command(c.id);
END
$$;
COMMENT ON FUNCTION mulberry.cancel_command(bigint, text) IS
    'takes a command out of the queue that was never sent, or QUERY and PING at any time, or closes an escalated one with the reason of '
    'the person who has dealt with it. The registry stays as it is. Needs operator access. Errors: 42704 no such command; 55000 it is '
    'settled, is a revocation that is not escalated, or has been sent, so that the agent may have carried it out; 22004 no reason';

CREATE FUNCTION mulberry.retry_command(command_id bigint) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    -- operators only: visible_command() asks current_tenants()
    c       mulberry_internal.commands := mulberry_internal.visible_command(command_id);
    a       mulberry_internal.agents;
    later   bigint;
    problem text;
BEGIN
    IF c.state <> 'escalated' THEN
        RAISE EXCEPTION 'command % is %', c.id, c.state
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Only escalated commands are tried again.';
    END IF;
    problem := mulberry_internal.command_obsolete(c);
    IF c.retold_as IS NOT NULL THEN
        problem := 'the online path tells the new expiry';
    ELSIF problem IS NULL AND mulberry_internal.command_reversible(c.command) THEN
        SELECT max(x.id) INTO later FROM mulberry_internal.commands x
         WHERE x.tenant = c.tenant AND x.mandate = c.mandate AND x.id > c.id AND x.state <> 'cancelled'
           AND mulberry_internal.command_reversible(x.command);
        IF later IS NOT NULL THEN
            problem := format('command %s about the same mandate came after it', later);
        END IF;
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'command % is out of date', c.id USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = problem || '.', HINT = format('Close it: cancel_command(%s, reason).', c.id);
    END IF;
    a := mulberry_internal.lock_agent(c.tenant, c.agent);
    problem := mulberry_internal.path_problem(a, c.force_voice);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'agent "%" cannot be reached: %', a.name, problem USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE mulberry_internal.commands x SET state = 'waiting', method = NULL, error = NULL, escalated_at = NULL
     WHERE x.id = c.id RETURNING x.* INTO c;
    PERFORM mulberry_internal.note_command(c, 'retried', 'command_queued', jsonb_build_object('role',
        mulberry_internal.outer_role_name()));
    PERFORM mulberry_internal.next_command(c.tenant, c.agent);
    RETURN mulberry_internal.answer_of_command(c.id);
END
$$;
COMMENT ON FUNCTION mulberry.retry_command(bigint) IS
    'gives an escalated command its turn again, signed anew and with all its attempts; an extension that the agent carried out without '
    'saying so is carried out twice. Needs operator access. Errors: 42704 no such command; 55000 it is not escalated, a later command '
    'has made it pointless, or there is no way to the agent';

-- SECURITY INVOKER and without SET, because it commits: it sees what its caller sees.
CREATE PROCEDURE mulberry.await_command(command_id bigint, timeout interval DEFAULT '3 minutes', INOUT result jsonb DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE
    began    CONSTANT timestamptz := pg_catalog.clock_timestamp();
    seconds  double precision;
    pause    double precision := 0.02;
    finished boolean;
BEGIN
    IF mulberry.in_transaction_block() THEN
        RAISE EXCEPTION 'await_command() cannot run inside a transaction block' USING ERRCODE = 'active_sql_transaction',
            DETAIL = 'It would never see what others commit.', HINT = 'Commit first: a command is given when its transaction is.';
    END IF;
    IF command_id IS NULL OR timeout IS NULL THEN
        RAISE EXCEPTION 'command_id and timeout must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    seconds := EXTRACT(epoch FROM timeout);
    IF seconds OPERATOR(pg_catalog.<) 0 OR seconds OPERATOR(pg_catalog.>) 86400 THEN
        RAISE EXCEPTION 'timeout must be between 0 and 24 hours' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    LOOP
        SELECT s.answer, s.finished_at IS NOT NULL OR s.status OPERATOR(pg_catalog.=) 'escalated'
          INTO result, finished
          FROM mulberry.command_status s WHERE s.command_id OPERATOR(pg_catalog.=) await_command.command_id;
        IF result IS NULL THEN
            RAISE EXCEPTION 'command % does not exist', command_id USING ERRCODE = 'undefined_object';
        END IF;
        EXIT WHEN finished;
        IF EXTRACT(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) began) OPERATOR(pg_catalog.>=) seconds THEN
            result := result OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('timed_out', true);
            EXIT;
        END IF;
        COMMIT;
        PERFORM pg_catalog.pg_sleep(pause);
        pause := LEAST(pause OPERATOR(pg_catalog.*) 1.5, 0.5);
    END LOOP;
END
$$;
COMMENT ON PROCEDURE mulberry.await_command(bigint, interval, jsonb) IS
    'waits until a command is settled or escalated, or for the timeout (at most 24 hours), and returns its answer: status success, '
    'failed, escalated, cancelled, or pending with "timed_out". Commits between looks; not inside a transaction block (25001). Needs '
    'operator access. Errors: 42704 no such command';

-- src/commands/views.sql
-- What is known about commands.

CREATE VIEW command_states WITH (security_barrier) AS
    SELECT c.id AS command_id, c.tenant, a.name AS agent, c.command, c.mandate AS mandate_id, c.argument, c.state,
           CASE c.state WHEN 'confirmed' THEN 'success' WHEN 'refused' THEN 'failed'
                        WHEN 'escalated' THEN 'escalated' WHEN 'cancelled' THEN 'cancelled' ELSE 'pending' END AS status,
           coalesce(c.method, 'none') AS method, c.state = 'confirmed' AS confirmed, v.sid AS call_sid, v.state AS call_state,
           c.attempts, c.key_id, c.counter, c.signatures, ack.status AS acknowledgement, ack.mandate_state, m.status AS registry_status,
           c.reason, c.requester, c.force_voice, c.evidence, c.error, c.created_at, c.signed_at, c.voice_at, c.challenged_at,
           c.escalated_at, c.finished_at,
           -- in the form in which the original answered
           jsonb_build_object('status', CASE c.state WHEN 'confirmed' THEN 'success' WHEN 'refused' THEN 'failed'
                                                     WHEN 'escalated' THEN 'escalated' WHEN 'cancelled' THEN 'cancelled' ELSE 'pending' END,
                              'method', coalesce(c.method, 'none'), 'command_id', c.id, 'command', c.command,
                              'mandate_id', c.mandate, 'agent', a.name, 'call_sid', v.sid, 'confirmed', c.state = 'confirmed',
                              'attempts', c.attempts)
           || jsonb_strip_nulls(jsonb_build_object(
                  'error', c.error, 'registry_status', m.status,
                  'acknowledgement', CASE WHEN c.state IN ('confirmed', 'refused') THEN ack.status END,
                  'mandate_status', CASE WHEN c.state IN ('confirmed', 'refused') THEN nullif(ack.mandate_state, 'NONE') END,
                  'retry_scheduled', CASE WHEN c.state = 'outstanding' AND c.error IS NOT NULL THEN true END,
                  'latency', CASE WHEN c.state = 'confirmed' THEN round(extract(epoch FROM c.finished_at - c.created_at), 3) END)) AS answer
      FROM commands c
      JOIN agents a ON a.tenant = c.tenant AND a.id = c.agent
      LEFT JOIN mandates m ON m.tenant = c.tenant AND m.id = c.mandate
      LEFT JOIN LATERAL (SELECT x.sid, x.state FROM voice_calls x
                          WHERE x.command = c.id AND x.purpose = 'command' AND x.sid IS NOT NULL ORDER BY x.attempt DESC LIMIT 1) AS v
                              ON true
     CROSS JOIN LATERAL ack_frame_parse(coalesce(c.ack_frame, '')) AS ack;
COMMENT ON VIEW command_states IS 'commands of all tenants, for command_status and functions that have asked for access (internal)';

CREATE FUNCTION answer_of_command(command bigint) RETURNS jsonb
-- not STABLE: it must see what the expression that calls it has done
LANGUAGE sql VOLATILE
AS $$
    SELECT s.answer FROM mulberry_internal.command_states s WHERE s.command_id = $1
$$;
COMMENT ON FUNCTION answer_of_command(bigint) IS 'a command in the form in which the original answered (internal)';

CREATE VIEW mulberry.command_status WITH (security_barrier) AS
    SELECT s.command_id, t.name AS tenant, s.agent, s.command, s.mandate_id, s.argument, s.state, s.status, s.method,
           s.confirmed, s.call_sid, s.call_state, s.attempts, s.key_id, s.counter, s.signatures, s.acknowledgement,
           s.mandate_state, s.registry_status, s.reason, s.requester, s.force_voice, s.evidence, s.error, s.created_at,
           s.signed_at, s.voice_at, s.challenged_at, s.escalated_at, s.finished_at, s.answer
      FROM command_states s
      JOIN tenants t ON t.id = s.tenant
     WHERE s.tenant = ANY ((SELECT current_tenants(true, 'supervisor', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.command_status IS 'commands to agents of the tenants that one may see, and what became of them';
COMMENT ON COLUMN mulberry.command_status.state IS
    'waiting for its turn; outstanding: on its way; confirmed or refused by the agent; escalated: a person must act; cancelled';
COMMENT ON COLUMN mulberry.command_status.status IS 'the same as answers say it: pending, success, failed, escalated, cancelled';
COMMENT ON COLUMN mulberry.command_status.method IS 'api or voice: path of the answer, or the one that is being tried; none';
COMMENT ON COLUMN mulberry.command_status.call_sid IS 'Twilio''s name of the last call that was placed for it';
COMMENT ON COLUMN mulberry.command_status.mandate_state IS 'state of the mandate on the agent, by its answer; registry_status is ours';
COMMENT ON COLUMN mulberry.command_status.answer IS 'what await_command() returns';
COMMENT ON COLUMN mulberry.command_status.voice_at IS 'when the agent is phoned, if it has not answered by then';

-- src/commands/health.sql
CREATE FUNCTION health_commands() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    number   bigint;
    urgent   bigint;
    oldest   timestamptz;
    patience CONSTANT interval := current_setting('mulberry.command_online_wait')::interval
        + current_setting('mulberry.command_max_attempts')::integer
          * (current_setting('mulberry.command_retry_delay')::interval + interval '3 minutes');
BEGIN
    -- no names: who may see health may not see every tenant
    item := 'escalated commands';
    SELECT count(*), count(*) FILTER (WHERE (mulberry_internal.command_kind(c.command)).urgent), min(c.escalated_at)
      INTO number, urgent, oldest
      FROM mulberry_internal.commands c WHERE c.state = 'escalated';
    status := CASE WHEN number = 0 THEN 'ok' WHEN urgent = 0 THEN 'warning' ELSE 'error' END;
    detail := format('%s wait for a person, %s of them revocations', number, urgent)
              || coalesce(', the oldest since ' || oldest, '');
    hint := CASE WHEN number > 0
                 THEN 'The view command_status says why. retry_command() sends one again, cancel_command() with a reason closes it.' END;
    RETURN NEXT;

    item := 'outstanding commands';
    SELECT count(*), count(*) FILTER (WHERE c.signed_at < clock_timestamp() - patience), min(c.signed_at)
      INTO number, urgent, oldest
      FROM mulberry_internal.commands c WHERE c.state = 'outstanding';
    status := CASE WHEN urgent = 0 THEN 'ok' ELSE 'warning' END;
    detail := format('%s are on their way, %s of them for longer than all their calls should take', number, urgent)
              || coalesce('; the oldest was signed at ' || oldest, '');
    hint := CASE WHEN urgent > 0 THEN 'See command_status and the jobs of kind call. Without workers nobody is phoned.' END;
    RETURN NEXT;

    item := 'waiting commands';
    SELECT count(*), min(c.created_at) INTO number, oldest
      FROM mulberry_internal.commands c
     WHERE c.state = 'waiting' AND NOT EXISTS (SELECT FROM mulberry_internal.commands o
                                                WHERE o.tenant = c.tenant AND o.agent = c.agent AND o.state = 'outstanding');
    status := CASE WHEN number = 0 THEN 'ok' ELSE 'warning' END;
    detail := CASE WHEN number = 0 THEN 'every one that waits has another one before it'
                   ELSE format('%s wait although nothing is outstanding, the oldest since %s', number, oldest) END;
    hint := CASE WHEN number > 0
                 THEN 'A copy sends nothing before resume_outbound(); otherwise maintenance(), which workers run, sends them.' END;
    RETURN NEXT;

    item := 'reach of agents';
    SELECT count(*) INTO number
      FROM mulberry_internal.agents a
     WHERE EXISTS (SELECT FROM mulberry_internal.mandates m
                    WHERE m.tenant = a.tenant AND m.agent = a.id AND m.status IN ('ACTIVE', 'SUSPENDED'))
       -- on the edge itself nobody sends commands
       AND NOT EXISTS (SELECT FROM mulberry_internal.voice_keys k WHERE k.tenant = a.tenant AND k.agent = a.id AND k.role = 'receiver')
       AND (mulberry_internal.voice_key_problem(a.tenant, a.id) IS NOT NULL OR a.phone IS NULL
            OR mulberry_internal.telephony_problem(a.tenant) IS NOT NULL);
    status := CASE WHEN number = 0 THEN 'ok' ELSE 'warning' END;
    detail := CASE WHEN number = 0 THEN 'every agent with a mandate can be phoned'
                   ELSE format('%s agents with mandates cannot be phoned', number) END;
    hint := CASE WHEN number > 0 THEN 'They need a voice key that was exported, a telephone number, and an endpoint for telephony of '
        'their tenant.' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_commands() IS
    'health of commands to agents: those that wait for a person or for too long, and agents that could not be phoned';

-- src/commands/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().  A gateway calls what operators may for
-- those whom it works for (authenticate()): the functions ask for operator access themselves.
CREATE FUNCTION access_rules_commands() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('command_generate', 'EXECUTE', 'operator gateway worker'),
    ('command_verify', 'EXECUTE', 'operator auditor gateway worker'),
    ('command_kinds', 'EXECUTE', 'supervisor auditor gateway worker'),
    ('command_frame_parse', 'EXECUTE', 'supervisor auditor gateway worker'),
    ('ack_frame_parse', 'EXECUTE', 'supervisor auditor gateway worker'),
    ('command_frame', 'EXECUTE', 'operator gateway'),
    ('advance_counters', 'EXECUTE', 'admin'),
    ('revoke_mandate', 'EXECUTE', 'operator gateway'),
    ('suspend_mandate', 'EXECUTE', 'operator gateway'),
    ('resume_mandate', 'EXECUTE', 'operator gateway'),
    ('extend_mandate', 'EXECUTE', 'operator gateway'),
    ('query_mandate', 'EXECUTE', 'operator gateway'),
    ('ping_agent', 'EXECUTE', 'operator gateway'),
    ('cancel_command', 'EXECUTE', 'operator gateway'),
    ('retry_command', 'EXECUTE', 'operator gateway'),
    ('await_command', 'EXECUTE', 'operator'),
    ('command_status', 'SELECT', 'supervisor auditor'),
    ('agent_sync', 'EXECUTE', 'agent')
$$;
COMMENT ON FUNCTION access_rules_commands() IS 'which access needs which object of commands';

-- src/keys/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE FUNCTION access_rules_keys() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('create_voice_key', 'EXECUTE', 'admin'),
    ('rotate_voice_key', 'EXECUTE', 'admin'),
    ('confirm_voice_key', 'EXECUTE', 'admin'),
    ('disable_voice_key', 'EXECUTE', 'admin'),
    ('export_voice_key', 'EXECUTE', 'admin'),
    ('allow_voice_key_export', 'EXECUTE', 'admin'),
    ('mark_voice_key_exported', 'EXECUTE', 'admin'),
    ('take_exported_voice_key', 'EXECUTE', 'admin'),
    ('voice_key_entry', 'INSERT', 'admin')
$$;
COMMENT ON FUNCTION access_rules_keys() IS 'which access needs which object of keys';

-- src/edge/apply.sql
-- What a command does to a mandate.

CREATE FUNCTION apply_mandate_command(tenant uuid, command text, mandate text, argument integer, cause text, command_id bigint,
                                      OUT ack_status integer, OUT ack_state integer)
LANGUAGE plpgsql AS $$
DECLARE
    kind   record;
    answer text;
    result text;
BEGIN
    ack_state := mulberry_internal.mandate_state_code('NONE');
    SELECT k.* INTO kind FROM mulberry.command_kinds() k WHERE k.command = apply_mandate_command.command;
    IF NOT kind.has_mandate THEN
        ack_status := mulberry_internal.ack_status_code(
            CASE WHEN mandate = '00000000' AND argument BETWEEN kind.least_argument AND kind.most_argument THEN 'applied'
                 ELSE 'refused' END);
        RETURN;
    END IF;
    CASE
    WHEN kind.command IS NULL OR (argument BETWEEN kind.least_argument AND kind.most_argument) IS NOT TRUE THEN
        answer := 'meaningless';
    WHEN kind.sets_status IS NOT NULL THEN
        answer := mulberry_internal.set_mandate_status(tenant, mandate, kind.sets_status, cause, command_id);
    WHEN command = 'EXTEND' THEN
        answer := mulberry_internal.extend_mandate_expiry(tenant, mandate, argument, cause, command_id);
    WHEN kind.asks THEN
        answer := CASE WHEN (mulberry_internal.lock_mandate(tenant, mandate)).id IS NULL THEN 'E003' ELSE 'changed' END;
    END CASE;
    SELECT m.status INTO result FROM mulberry_internal.mandates m
     WHERE m.tenant = apply_mandate_command.tenant AND m.id = mandate;
    ack_state := mulberry_internal.mandate_state_code(coalesce(result, 'NONE'));
    ack_status := mulberry_internal.ack_status_code(CASE answer WHEN 'changed' THEN 'applied' WHEN 'already so' THEN 'already so'
                                                                WHEN 'E003' THEN 'unknown mandate' ELSE 'refused' END);
END
$$;
COMMENT ON FUNCTION apply_mandate_command(uuid, text, text, integer, text, bigint) IS
    'does to a mandate what REVOKE, SUSPEND, RESUME, EXTEND (argument: days), QUERY or PING say, and returns status and state of the '
    'acknowledgement; what means nothing is refused (internal)';

-- src/edge/judge.sql
CREATE FUNCTION heard_frames(audio bytea, encoding text, sample_rate integer,
                             OUT frame text, OUT at_ms integer, OUT whole boolean) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10000 ROWS 3 AS 'MODULE_PATHNAME', 'mulberry_heard_frames';
COMMENT ON FUNCTION heard_frames(bytea, text, integer) IS
    'what was played from * to # (whole), or to a pause of 3 s or the end, in the order of the audio; at_ms is where the * began '
    '(internal)';

CREATE FUNCTION heard_challenge(audio bytea, encoding text, sample_rate integer, ack text, OUT digits text,
    OUT ms_to_end integer)
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'mulberry_heard_challenge';
COMMENT ON FUNCTION heard_challenge(bytea, text, integer, text) IS
    'the eight digits that follow an acknowledgement in audio, the last time that they were understood, and how long before the end of '
    'the audio it began; when their check digits never fit, what followed it last (internal)';

CREATE FUNCTION take_frame(symbols text) RETURNS received_frame
LANGUAGE c STRICT IMMUTABLE AS 'MODULE_PATHNAME', 'mulberry_take_frame';
COMMENT ON FUNCTION take_frame(text) IS 'takes the 32 symbols of a command frame apart (internal)';

CREATE FUNCTION judge_frame(tenant uuid, frame received_frame, last_counter bigint, digests bytea[], challenge_all boolean,
                            challenge_extend boolean, challenge_command integer, challenge_mandate text,
                            challenge_argument integer, challenge_nonce text, challenge_counter bigint, challenge_expired boolean,
                            OUT verdict text, OUT error text, OUT meaningful boolean, OUT frame_digest bytea,
                            OUT duplicate_of integer, OUT counter bigint, OUT message_digest bytea,
                            OUT challenge_wanted boolean, OUT challenge_answered boolean)
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_judge_frame';
COMMENT ON FUNCTION judge_frame(uuid, received_frame, bigint, bytea[], boolean, boolean, integer, text, integer, text, bigint, boolean) IS
    'what a frame is worth to the receiver''s key that it names, given what is stored about it; one tag is computed, two in the place of '
    'a late answer (internal)';

CREATE FUNCTION build_ack(tenant uuid, agent uuid, key_id integer, status integer, state integer, counter bigint,
    message_digest bytea)
RETURNS text
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'mulberry_build_ack';
COMMENT ON FUNCTION build_ack(uuid, uuid, integer, integer, integer, bigint, bytea) IS
    'the 22 symbols of an acknowledgement, signed with a receiver''s key (internal)';

CREATE FUNCTION ack_names(status integer, state integer, OUT status_name text, OUT state_name text)
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_ack_names';
COMMENT ON FUNCTION ack_names(integer, integer) IS 'what the numbers of an acknowledgement mean (internal)';

CREATE FUNCTION draw_challenge() RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_draw_challenge';
COMMENT ON FUNCTION draw_challenge() IS 'six random digits (internal)';

CREATE FUNCTION challenge_digits(nonce text) RETURNS text
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_challenge_digits';
COMMENT ON FUNCTION challenge_digits(text) IS 'the eight digits that are played for a challenge of six (internal)';

-- src/edge/answers.sql
CREATE FUNCTION spoken_result(command text, mandate text, argument integer, status text, state text,
                              OUT message text, OUT speech text)
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT format('%s: %s', coalesce(s.what || ' ' || mandate, s.what), s.becomes),
           format('%s %s.', coalesce(s.what || ' ' || array_to_string(string_to_array(mandate, NULL), ' '), s.what), s.becomes)
      FROM (SELECT CASE WHEN k.has_mandate THEN 'Mandate' WHEN command IS NULL OR status = 'refused' THEN 'Command'
                        ELSE 'Agent' END AS what,
                   CASE
                       WHEN status = 'challenge wanted' THEN 'must be confirmed'
                       WHEN status = 'refused' AND state = 'REVOKED' THEN 'is revoked and stays so'
                       WHEN status = 'refused' THEN 'refused'
                       WHEN status = 'unknown mandate' THEN 'is not known'
                       WHEN NOT k.has_mandate THEN k.done
                       WHEN k.asks OR status = 'already so'
                           THEN CASE state WHEN 'NONE' THEN 'is not known' ELSE 'is ' || lower(state COLLATE "C") END
                       WHEN k.most_argument > 0
                           THEN format('%s by %s %s', k.done, argument, CASE argument WHEN 1 THEN 'day' ELSE 'days' END)
                       ELSE coalesce(k.done, 'done')
                   END AS becomes
              FROM (SELECT) AS one
              LEFT JOIN LATERAL mulberry_internal.command_kind(command) AS k ON true) AS s;
END;
COMMENT ON FUNCTION spoken_result(text, text, integer, text, text) IS
    'an acknowledgement in words, for logs and to be spoken (internal)';

CREATE FUNCTION refusal(verdict text, error text, message text) RETURNS command_answer
LANGUAGE sql IMMUTABLE
-- A: play it again; D: no, whatever the reason.  Neither is ever part of a frame.
RETURN ROW(false, NULL, NULL, NULL, error, message,
            CASE WHEN verdict IN ('decode error', 'no frame', 'not judged') THEN 'A' ELSE 'D' END, NULL,
            CASE WHEN verdict IN ('decode error', 'no frame', 'not judged') THEN 'Please repeat the command.'
                 ELSE 'Invalid command.' END,
            NULL, verdict, false, NULL, 1)::mulberry.command_answer;
COMMENT ON FUNCTION refusal(text, text, text) IS 'the answer to what was not accepted: one tone pair without a signature (internal)';

-- src/edge/lockout.sql
-- The lockout ladder.  It tightens and never deafens: whatever has been forged, every frame is judged, and a genuine
-- command gets through, if need be by answering a challenge.  Its arithmetic is the core's (core/command/lockout.h);
-- here is what is stored and who is told.

CREATE FUNCTION lockout_mode(guard key_guard, at timestamptz) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_lockout_mode';
COMMENT ON FUNCTION lockout_mode(key_guard, timestamptz) IS
    'normal; challenge: a genuine command must answer one; strict: likewise, and a call ends with its first forgery (internal)';

CREATE FUNCTION lockout_forgery(guard key_guard, at timestamptz, OUT forgeries timestamptz[], OUT in_row bigint,
                                OUT since_entered integer, OUT challenge_until timestamptz, OUT challenge_period interval,
                                OUT entered boolean, OUT alarm boolean)
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_lockout_forgery';
COMMENT ON FUNCTION lockout_forgery(key_guard, timestamptz) IS
    'the row after one more forgery, and whether challenge mode was entered or an alarm is due (internal)';

CREATE FUNCTION call_is_over(forgeries integer, decode_errors integer, strict boolean) RETURNS boolean
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_call_is_over';
COMMENT ON FUNCTION call_is_over(integer, integer, boolean) IS
    'whether a call with so many faults is to be hung up; strict: of a key in that mode (internal)';

CREATE FUNCTION challenge_holds(drawn_at timestamptz, played_at timestamptz, at timestamptz) RETURNS boolean
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_challenge_holds';
COMMENT ON FUNCTION challenge_holds(timestamptz, timestamptz, timestamptz) IS
    'whether the answer to a challenge acts; false: it is understood and challenged anew; null: no more (internal)';

CREATE FUNCTION note_forgery(tenant uuid, key_id integer, agent uuid, at timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    guard mulberry_internal.key_guard;
    after record;
    what  jsonb;
BEGIN
    INSERT INTO mulberry_internal.key_guard (tenant, key_id) VALUES (note_forgery.tenant, note_forgery.key_id)
    ON CONFLICT DO NOTHING;
    SELECT g.* INTO guard
      FROM mulberry_internal.key_guard g
     WHERE g.tenant = note_forgery.tenant AND g.key_id = note_forgery.key_id FOR UPDATE;
    after := mulberry_internal.lockout_forgery(guard, note_forgery.at);
    UPDATE mulberry_internal.key_guard g
       SET forgeries = after.forgeries, in_row = after.in_row, since_entered = after.since_entered,
           challenge_until = after.challenge_until, challenge_period = after.challenge_period
     WHERE g.tenant = note_forgery.tenant AND g.key_id = note_forgery.key_id RETURNING g.* INTO guard;
    IF after.entered THEN
        what := jsonb_build_object('key_id', note_forgery.key_id, 'until', guard.challenge_until);
        PERFORM mulberry_internal.record_audit(note_forgery.tenant, 'VOICE_KEY_CHALLENGE_MODE', 'entered', NULL, note_forgery.agent,
                                      NULL, NULL, what);
        PERFORM mulberry_internal.emit_event(note_forgery.tenant, 'voice_key_challenge_mode', NULL, NULL,
                                    what || jsonb_build_object('agent', note_forgery.agent));
    END IF;
    IF after.alarm THEN
        what := jsonb_build_object('key_id', note_forgery.key_id, 'forgeries_in_row', guard.in_row);
        PERFORM mulberry_internal.record_audit(note_forgery.tenant, 'VOICE_KEY_ALARM', 'raised', NULL, note_forgery.agent, NULL, NULL,
            what);
        PERFORM mulberry_internal.emit_event(note_forgery.tenant, 'voice_key_alarm', NULL, NULL,
                                    what || jsonb_build_object('agent', note_forgery.agent));
    END IF;
    RETURN mulberry_internal.lockout_mode(guard, note_forgery.at);
END
$$;
COMMENT ON FUNCTION note_forgery(uuid, integer, uuid, timestamptz) IS
    'counts a forgery against a key, tells what follows from it, and returns the mode that the key is in now (internal)';

CREATE FUNCTION note_call_fault(tenant uuid, call_ref text, verdict text, mode text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    ends boolean;
BEGIN
    IF note_call_fault.call_ref IS NULL THEN
        RETURN false;
    END IF;
    DELETE FROM mulberry_internal.received_calls c
     WHERE c.ctid IN (SELECT o.ctid FROM mulberry_internal.received_calls o
                       WHERE o.tenant = note_call_fault.tenant AND o.began_at < clock_timestamp() - interval '1 day'
                       LIMIT 100 FOR UPDATE SKIP LOCKED);
    INSERT INTO mulberry_internal.received_calls AS c (tenant, call_ref, forgeries, decode_errors)
    VALUES (note_call_fault.tenant, note_call_fault.call_ref,
            (note_call_fault.verdict = 'forgery')::integer, (note_call_fault.verdict = 'decode error')::integer)
    ON CONFLICT ON CONSTRAINT received_calls_pkey DO UPDATE
       SET forgeries = c.forgeries + EXCLUDED.forgeries, decode_errors = c.decode_errors + EXCLUDED.decode_errors
    RETURNING mulberry_internal.call_is_over(c.forgeries, c.decode_errors, coalesce(note_call_fault.mode = 'strict', false)) INTO ends;
    IF ends THEN
        UPDATE mulberry_internal.received_calls c SET hang_up = true
         WHERE c.tenant = note_call_fault.tenant AND c.call_ref = note_call_fault.call_ref;
    END IF;
    RETURN ends;
END
$$;
COMMENT ON FUNCTION note_call_fault(uuid, text, text, text) IS
    'counts a forgery, of a key in that mode, or a decode error against a call and says whether to hang up (internal)';

-- src/edge/receive.sql
CREATE FUNCTION forget_receiver_key() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    DELETE FROM mulberry_internal.key_frames f WHERE f.tenant = OLD.tenant AND f.key_id = OLD.key_id;
    DELETE FROM mulberry_internal.challenges c WHERE c.tenant = OLD.tenant AND c.key_id = OLD.key_id;
    DELETE FROM mulberry_internal.key_guard g WHERE g.tenant = OLD.tenant AND g.key_id = OLD.key_id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION forget_receiver_key() IS 'trigger: removes what was stored about the frames of a receiver''s key with the key';
CREATE TRIGGER forget_receiver_key AFTER DELETE ON voice_keys
    FOR EACH ROW WHEN (OLD.role = 'receiver') EXECUTE FUNCTION forget_receiver_key();

CREATE FUNCTION agent_takes_call(tenant uuid, agent uuid, caller text, path text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    -- without a known agent, whether any takes it, so that an unknown key looks like a known one
    SELECT path = 'sync'
           OR coalesce(bool_or(cardinality(a.allowed_callers) = 0 OR coalesce(caller = ANY (a.allowed_callers), false)), true)
      FROM mulberry_internal.agents a
     WHERE a.tenant = $1 AND (a.id = agent OR agent IS NULL)
$$;
COMMENT ON FUNCTION agent_takes_call(uuid, uuid, text, text) IS
    'whether calls of that number are taken (allowed_callers); a filter, never a proof (internal)';

-- One frame, from the symbols to the stored effect.  Locks: agent and key, then what the command changes,
-- then the key's guard.

CREATE FUNCTION lock_receiver_keys(tenant uuid, key_ids integer[]) RETURNS void
LANGUAGE sql AS $$
    SELECT FROM mulberry_internal.agents a
     WHERE a.tenant = $1
       AND a.id IN (SELECT k.agent FROM mulberry_internal.voice_keys k WHERE k.tenant = $1 AND k.role = 'receiver' AND k.key_id = ANY ($2))
     ORDER BY a.id FOR NO KEY UPDATE;
    SELECT FROM mulberry_internal.voice_keys k
     WHERE k.tenant = $1 AND k.role = 'receiver' AND k.key_id = ANY ($2)
     ORDER BY k.key_id FOR NO KEY UPDATE;
$$;
COMMENT ON FUNCTION lock_receiver_keys(uuid, integer[]) IS
    'locks agents and keys, so that frames of a key are judged one after another (internal)';

CREATE FUNCTION receive_frame(tenant uuid, frame received_frame, caller text, call_ref text, count_ref text, path text)
RETURNS command_answer
LANGUAGE plpgsql AS $$
DECLARE
    method   CONSTANT text := CASE receive_frame.path WHEN 'sync' THEN 'api' ELSE 'voice' END;
    here     CONSTANT text := mulberry_internal.voice_key_place();
    key      mulberry_internal.voice_keys;
    guard    mulberry_internal.key_guard;
    mode     text;
    asked    mulberry_internal.challenges;
    open     boolean;
    former   mulberry_internal.key_frames;
    older    mulberry_internal.voice_keys;
    digests  bytea[];
    judged   record;
    at       timestamptz;
    restored boolean;
    status   text;
    state    text;
    nonce    text;
    said     record;
    evidence jsonb;
    answer   mulberry.command_answer;
BEGIN
    evidence := jsonb_strip_nulls(jsonb_build_object('caller', receive_frame.caller, 'call_ref', receive_frame.call_ref));
    PERFORM mulberry_internal.require_durable_commit();
    IF EXISTS (SELECT FROM mulberry_internal.received_calls c
                WHERE c.tenant = receive_frame.tenant AND c.call_ref = receive_frame.count_ref AND c.hang_up) THEN
        answer := mulberry_internal.refusal('call ended', 'E002', 'the call was to be hung up');
        answer.hang_up := true;
        PERFORM mulberry_internal.record_audit(receive_frame.tenant, 'VOICE_FRAME', answer.verdict, NULL, NULL, NULL, method, evidence);
        RETURN answer;
    END IF;

    -- what is no frame costs nothing but a repeat
    IF frame.problem IS NOT NULL THEN
        answer := mulberry_internal.refusal('decode error', 'E007', frame.problem);
        answer.hang_up := mulberry_internal.note_call_fault(receive_frame.tenant, receive_frame.count_ref, answer.verdict, NULL);
        PERFORM mulberry_internal.record_audit(receive_frame.tenant, 'VOICE_FRAME', answer.verdict, NULL, NULL, NULL, method,
                                      evidence || jsonb_build_object('symbols', left(frame.symbols, 40), 'problem', frame.problem));
        RETURN answer;
    END IF;

    PERFORM mulberry_internal.lock_receiver_keys(receive_frame.tenant, ARRAY[frame.key_id]);
    SELECT k.* INTO key
      FROM mulberry_internal.voice_keys k
     WHERE k.tenant = receive_frame.tenant AND k.role = 'receiver' AND k.key_id = frame.key_id;
    evidence := evidence || jsonb_build_object('key_id', frame.key_id, 'counter', frame.counter,
                                               'frame_sha256', encode(sha256(convert_to(frame.symbols, 'SQL_ASCII')), 'hex'));
    IF NOT mulberry_internal.agent_takes_call(receive_frame.tenant, key.agent, receive_frame.caller, receive_frame.path) THEN
        answer := mulberry_internal.refusal('caller not allowed', 'E006', 'calls of this number are not taken');
        answer.hang_up := true;
        PERFORM mulberry_internal.record_audit(receive_frame.tenant, 'VOICE_FRAME', answer.verdict, NULL, key.agent, NULL, method,
            evidence);
        RETURN answer;
    END IF;

    -- what is stored about the key, as committed now that it is locked
    at := clock_timestamp();
    SELECT g.* INTO guard
      FROM mulberry_internal.key_guard g WHERE g.tenant = receive_frame.tenant AND g.key_id = frame.key_id;
    SELECT c.* INTO asked
      FROM mulberry_internal.challenges c
     WHERE c.tenant = receive_frame.tenant AND c.key_id = frame.key_id AND c.counter = key.last_counter
       AND mulberry_internal.challenge_holds(c.drawn_at, c.played_at, at) IS NOT NULL;
    open := coalesce(mulberry_internal.challenge_holds(asked.drawn_at, asked.played_at, at), false);
    digests := ARRAY(SELECT f.frame_digest FROM mulberry_internal.key_frames f
                      WHERE f.tenant = receive_frame.tenant AND f.key_id = frame.key_id
                      ORDER BY f.counter DESC LIMIT mulberry_internal.frames_remembered());
    restored := key.enabled AND key.place <> here;

    judged := mulberry_internal.judge_frame(receive_frame.tenant, frame, coalesce(key.last_counter, 0), digests,
                                   mulberry_internal.lockout_mode(guard, at) <> 'normal' OR coalesce(restored, false),
                                   coalesce(key.challenge_extend, false), asked.command, asked.mandate, asked.argument, asked.nonce,
                                   asked.counter, NOT open);

    IF judged.verdict IN ('forgery', 'stale', 'not judged') THEN
        answer := mulberry_internal.refusal(judged.verdict, judged.error,
                                   CASE judged.verdict WHEN 'stale' THEN 'the counter is behind'
                                                       WHEN 'forgery' THEN 'the tag is wrong'
                                                       ELSE 'the frame could not be judged' END);
        IF judged.verdict = 'forgery' THEN
            mode := mulberry_internal.note_forgery(receive_frame.tenant, frame.key_id, key.agent, at);
            IF receive_frame.path <> 'sync' THEN
                answer.hang_up := mulberry_internal.note_call_fault(receive_frame.tenant, receive_frame.count_ref, judged.verdict, mode);
            END IF;
        END IF;
        PERFORM mulberry_internal.record_audit(receive_frame.tenant, 'VOICE_FRAME', judged.verdict, NULL, key.agent, NULL, method,
            evidence);
        RETURN answer;
    END IF;

    IF judged.verdict = 'duplicate' THEN
        SELECT f.* INTO former
          FROM mulberry_internal.key_frames f
         WHERE f.tenant = receive_frame.tenant AND f.key_id = frame.key_id AND f.frame_digest = judged.frame_digest;
        PERFORM mulberry_internal.record_audit(receive_frame.tenant, 'VOICE_FRAME', judged.verdict, former.mandate, key.agent, NULL, method,
                                      evidence || jsonb_build_object('ack', former.ack));
        said := mulberry_internal.ack_names(former.ack_status, former.ack_state);
        IF open AND asked.counter = former.counter THEN
            UPDATE mulberry_internal.challenges c SET played_at = at WHERE c.tenant = key.tenant AND c.key_id = key.key_id;
        END IF;
        RETURN ROW(said.status_name IN ('applied', 'already so'), former.command, former.mandate, said.status_name, NULL, former.message,
                   former.ack, NULL, former.speech,
                   CASE WHEN open AND asked.counter = former.counter
                        THEN mulberry_internal.challenge_digits(asked.nonce) END,
                   judged.verdict, false, said.state_name, 1)::mulberry.command_answer;
    END IF;

    -- accepted: counter, digest, effect, acknowledgement and audit row in this one transaction
    answer := ROW(false, frame.command,
                  CASE WHEN (mulberry_internal.command_kind(frame.command)).has_mandate IS NOT FALSE THEN frame.mandate_id END,
                  NULL, NULL, NULL, NULL, NULL, NULL, NULL, judged.verdict, false, NULL, 1)::mulberry.command_answer;
    IF NOT judged.meaningful THEN
        status := 'refused';
        state := 'NONE';
        answer.error := 'E001';
    ELSIF judged.challenge_wanted THEN
        status := 'challenge wanted';
        nonce := mulberry_internal.draw_challenge();
        answer.challenge := mulberry_internal.challenge_digits(nonce);
        INSERT INTO mulberry_internal.challenges AS c (tenant, key_id, command, mandate, argument, nonce, counter)
        VALUES (key.tenant, key.key_id, frame.code, frame.mandate_id, frame.argument, nonce, judged.counter)
        ON CONFLICT ON CONSTRAINT challenges_pkey DO UPDATE
           SET command = EXCLUDED.command, mandate = EXCLUDED.mandate, argument = EXCLUDED.argument, nonce = EXCLUDED.nonce,
               counter = EXCLUDED.counter, drawn_at = EXCLUDED.drawn_at, played_at = EXCLUDED.played_at;
        state := mulberry_internal.mandate_ack_state(key.tenant, key.agent, answer.mandate_id);
    ELSIF (mulberry_internal.command_kind(frame.command)).has_mandate
          AND mulberry_internal.mandate_ack_state(key.tenant, key.agent, frame.mandate_id) = 'NONE' THEN
        -- another agent's mandate is none
        status := 'unknown mandate';
        state := 'NONE';
        answer.error := 'E003';
    ELSE
        SELECT n.status_name, n.state_name INTO status, state
          FROM mulberry_internal.apply_mandate_command(key.tenant, frame.command, frame.mandate_id, frame.argument,
                                              format('voice command by key %s', lpad(key.key_id::text, 2, '0')), NULL) r,
               mulberry_internal.ack_names(r.ack_status, r.ack_state) n;
        answer.error := CASE WHEN status = 'unknown mandate' THEN 'E003' WHEN status = 'refused' AND state = 'REVOKED' THEN 'E004'
                             WHEN status = 'refused' THEN 'E001' END;
    END IF;
    -- answered, or overtaken: its answer would have a counter that is used up
    DELETE FROM mulberry_internal.challenges c
     WHERE c.tenant = key.tenant AND c.key_id = key.key_id AND c.counter < judged.counter;

    said := mulberry_internal.spoken_result(frame.command, answer.mandate_id, frame.argument, status, state);
    answer.message := said.message;
    answer.speech := said.speech;
    answer.success := status IN ('applied', 'already so');
    answer.status := status;
    answer.mandate_state := state;
    answer.ack_digits := mulberry_internal.build_ack(key.tenant, key.agent, key.key_id, mulberry_internal.ack_status_code(status),
        mulberry_internal.mandate_state_code(state), judged.counter, judged.message_digest);

    INSERT INTO mulberry_internal.key_frames (tenant, key_id, counter, frame_digest, command, mandate, ack, ack_status, ack_state,
        message, speech)
    VALUES (key.tenant, key.key_id, judged.counter, judged.frame_digest, frame.command, answer.mandate_id, answer.ack_digits,
            mulberry_internal.ack_status_code(status), mulberry_internal.mandate_state_code(state), answer.message, answer.speech);
    DELETE FROM mulberry_internal.key_frames f
     WHERE f.tenant = key.tenant AND f.key_id = key.key_id
       AND f.counter <= (SELECT o.counter FROM mulberry_internal.key_frames o
                          WHERE o.tenant = key.tenant AND o.key_id = key.key_id ORDER BY o.counter DESC
                         OFFSET mulberry_internal.frames_remembered() LIMIT 1);
    UPDATE mulberry_internal.voice_keys k
       SET last_counter = judged.counter,
           place = CASE WHEN judged.challenge_answered OR NOT restored THEN here ELSE k.place END
     WHERE k.tenant = key.tenant AND k.role = 'receiver' AND k.key_id = key.key_id;
    UPDATE mulberry_internal.key_guard g SET in_row = 0
     WHERE g.tenant = key.tenant AND g.key_id = key.key_id AND g.in_row > 0;
    PERFORM mulberry_internal.record_audit(key.tenant, coalesce(frame.command, 'VOICE_FRAME'), answer.status, answer.mandate_id,
        key.agent, NULL, method,
                                  evidence || jsonb_strip_nulls(jsonb_build_object('counter', judged.counter, 'argument',
                                      nullif(frame.argument, 0),
                                      'ack', answer.ack_digits, 'challenge_answered', nullif(judged.challenge_answered, false),
                                      'error', answer.error)));
    PERFORM mulberry_internal.emit_event(key.tenant, 'voice_command_received', NULL, NULL,
                                jsonb_build_object('agent', key.agent, 'command', frame.command, 'mandate_id', answer.mandate_id,
                                                   'status', answer.status, 'mandate_state', answer.mandate_state, 'method', method));
    -- the cloud signs with this key now: those before it are not needed any more
    FOR older IN
        SELECT k.* FROM mulberry_internal.voice_keys k
         WHERE k.tenant = key.tenant AND k.role = 'receiver' AND k.agent = key.agent AND k.enabled
           AND k.created_at < key.created_at
         ORDER BY k.key_id FOR NO KEY UPDATE
    LOOP
        PERFORM mulberry_internal.disable_voice_key_row(older, 'succeeded');
    END LOOP;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION receive_frame(uuid, received_frame, text, text, text, text) IS
    'judges and applies one frame; count_ref names the call whose faults are counted (internal)';

CREATE FUNCTION check_reception(path text, call_ref text) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF path IS NULL THEN
        RAISE EXCEPTION 'path must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF path NOT IN ('voice', 'sync') THEN
        RAISE EXCEPTION 'unknown path "%" of a command', path
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Paths are voice and sync.';
    ELSIF length(call_ref) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'call_ref has % characters', length(call_ref)
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It can have 1 to 200.';
    END IF;
END
$$;
COMMENT ON FUNCTION check_reception(text, text) IS 'raises an error for a path or call_ref that cannot be (internal)';

CREATE FUNCTION mulberry.handle_command_symbols(symbols text, caller text DEFAULT NULL, call_ref text DEFAULT NULL,
                                       path text DEFAULT 'voice', tenant text DEFAULT NULL) RETURNS command_answer
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner uuid := mulberry_internal.resolve_tenant(handle_command_symbols.tenant, 'gateway', 'operator');
BEGIN
    PERFORM mulberry_internal.check_texts('symbols', handle_command_symbols.symbols, 'caller', handle_command_symbols.caller,
        'call_ref', handle_command_symbols.call_ref, 'path', handle_command_symbols.path);
    IF handle_command_symbols.symbols IS NULL THEN
        RAISE EXCEPTION 'symbols must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM mulberry_internal.check_reception(handle_command_symbols.path, handle_command_symbols.call_ref);
    RETURN mulberry_internal.receive_frame(owner, mulberry_internal.take_frame(handle_command_symbols.symbols),
                                  handle_command_symbols.caller, handle_command_symbols.call_ref, handle_command_symbols.call_ref,
                                  handle_command_symbols.path);
END
$$;
COMMENT ON FUNCTION mulberry.handle_command_symbols(text, text, text, text, text) IS
    'judges, applies and answers one command that an edge has received: a frame of 32 symbols. path: voice, or sync for what came '
    'online; call_ref names the call, so that faults are counted in it. ack_audio is null: dtmf_synthesize() makes it. Needs gateway or '
    'operator access';

CREATE FUNCTION mulberry.handle_call_audio(audio bytea, encoding text, sample_rate integer, caller text DEFAULT NULL,
                                  call_ref text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS command_answer
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner  uuid := mulberry_internal.resolve_tenant(handle_call_audio.tenant, 'gateway', 'operator');
    -- without a name for the call, what is wrong in it is counted for this audio alone
    counts text := coalesce(handle_call_audio.call_ref, gen_random_uuid()::text);
    -- Whoever calls can fill the audio with frames.  A sender plays a command a few times.
    most   CONSTANT integer := 100;
    heard  mulberry_internal.received_frame[];
    frame  mulberry_internal.received_frame;
    one    mulberry.command_answer;
    answer mulberry.command_answer;
    ranks  CONSTANT text[] := ARRAY['accepted', 'duplicate', 'stale', 'forgery', 'not judged', 'decode error', 'call ended',
        'caller not allowed'];
    ends   boolean := false;
BEGIN
    PERFORM mulberry_internal.check_texts('encoding', handle_call_audio.encoding,
        'caller', handle_call_audio.caller, 'call_ref', handle_call_audio.call_ref);
    IF handle_call_audio.audio IS NULL OR handle_call_audio.encoding IS NULL OR handle_call_audio.sample_rate IS NULL THEN
        RAISE EXCEPTION 'audio, encoding and sample_rate must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM mulberry_internal.check_reception('voice', handle_call_audio.call_ref);
    heard := ARRAY(SELECT mulberry_internal.take_frame(h.frame)
                     FROM mulberry_internal.heard_frames(handle_call_audio.audio, handle_call_audio.encoding,
                                                         handle_call_audio.sample_rate) h);
    -- keys are locked in one order, whatever order they are heard in
    PERFORM mulberry_internal.lock_receiver_keys(owner, ARRAY(SELECT h.key_id FROM unnest(heard[:most]) AS h));
    FOREACH frame IN ARRAY heard[:most] LOOP
        one := mulberry_internal.receive_frame(owner, frame, handle_call_audio.caller, handle_call_audio.call_ref, counts, 'voice');
        -- the last of the best: a repeat that was understood, whatever came before it
        IF answer.verdict IS NULL
           OR array_position(ranks, one.verdict) <= array_position(ranks, answer.verdict) THEN
            -- a repeat of what was done in this audio is no news
            IF NOT (one.verdict = 'duplicate' AND answer.verdict IS NOT DISTINCT FROM 'accepted') THEN
                answer := one;
            END IF;
        END IF;
        ends := ends OR one.hang_up;
        EXIT WHEN one.hang_up;
    END LOOP;
    IF answer.verdict IS NULL THEN
        answer := mulberry_internal.refusal('no frame', 'E007', 'no command was heard');
    END IF;
    IF NOT ends AND cardinality(heard) > most THEN
        PERFORM mulberry_internal.record_audit(owner, 'VOICE_FRAME', 'not judged', NULL, NULL, NULL, 'voice', jsonb_strip_nulls(
            jsonb_build_object('caller', handle_call_audio.caller, 'call_ref', handle_call_audio.call_ref, 'judged', most,
                               'not_judged', cardinality(heard) - most)));
    END IF;
    answer.hang_up := ends;
    answer.frames := cardinality(heard);
    answer.ack_audio := mulberry.dtmf_synthesize(concat_ws('W', answer.ack_digits, answer.challenge),
                                                 handle_call_audio.encoding, handle_call_audio.sample_rate);
    IF handle_call_audio.call_ref IS NULL THEN
        DELETE FROM mulberry_internal.received_calls c WHERE c.tenant = owner AND c.call_ref = counts;
    END IF;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION mulberry.handle_call_audio(bytea, text, integer, text, text, text) IS
    'hears the frames in the audio of a call (mulaw, alaw or s16le at 8, 16, 44.1 or 48 kHz; repeats do no harm), judges and applies '
    'them, the first 100 at most, and answers with the tones and the sentence to play, in the encoding and at the rate of the audio. '
    'call_ref names the call, so that faults are counted in it. Needs gateway or operator access';

-- src/edge/sync.sql
CREATE FUNCTION sync_mac_fits(tenant uuid, role text, agent uuid, key_id integer, data bytea, mac bytea) RETURNS boolean
LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'mulberry_sync_mac_fits';
COMMENT ON FUNCTION sync_mac_fits(uuid, text, uuid, integer, bytea, bytea) IS
    'whether mac is sync_mac() of data, compared in constant time; false without such a key (internal)';

CREATE FUNCTION take_mandate(tenant uuid, agent uuid, told jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    m       mulberry_internal.mandates;
    id      CONSTANT text := told->>'mandate_id';
    wanted  CONSTANT text := told->>'status';
    until   CONSTANT timestamptz := least((told->>'expires_at')::timestamptz, mulberry_internal.latest_expiry());
    most    CONSTANT numeric := (told->>'max_amount')::numeric;
    cause   CONSTANT text := 'told by the registry';
BEGIN
    m := mulberry_internal.lock_mandate(tenant, id);
    IF m.id IS NULL THEN
        INSERT INTO mulberry_internal.mandates (tenant, id, agent, sponsor, status, max_amount, currency, expires_at)
        VALUES (tenant, id, agent, told->>'sponsor', wanted, most, told->>'currency', until);
        RETURN NULL;
    ELSIF m.agent <> agent THEN
        RETURN 'belongs to another agent here';
    ELSIF m.status = 'REVOKED' THEN
        RETURN CASE WHEN wanted <> 'REVOKED' THEN 'is REVOKED here and stays so' END;
    ELSIF m.currency <> told->>'currency' THEN
        RETURN 'has another currency here';
    END IF;
    IF m.status = 'EXPIRED' AND wanted IN ('ACTIVE', 'SUSPENDED') THEN
        IF until <= m.expires_at OR until <= mulberry_internal.mandate_now() THEN
            RETURN NULL;    -- its time is over by the clock of this edge
        END IF;
        PERFORM mulberry_internal.change_mandate(tenant, id, 'ACTIVE', until, NULL, NULL, cause, NULL);
        m.status := 'ACTIVE';
    END IF;
    -- what was spent here already is spent
    PERFORM mulberry_internal.change_mandate(tenant, id, CASE WHEN wanted <> m.status THEN wanted END, until,
                                    greatest(most, m.spent), told->>'sponsor', cause, NULL);
    PERFORM mulberry_internal.lock_mandate(tenant, id);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION take_mandate(uuid, uuid, jsonb) IS
    'makes an edge''s copy of a mandate what the registry says, as far as the state machine lets it; returns what hinders, null: nothing '
    '(internal)';

CREATE FUNCTION take_mandates(tenant uuid, agent uuid, updates jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    key      mulberry_internal.voice_keys;
    data     jsonb;
    known    bigint;
    told     jsonb;
    problem  text;
    problems jsonb := jsonb '[]';
    taken    integer := 0;
BEGIN
    SELECT k.* INTO key
      FROM mulberry_internal.voice_keys k
     WHERE k.tenant = take_mandates.tenant AND k.role = 'receiver' AND k.agent = take_mandates.agent AND k.enabled
       AND k.key_id = (updates->>'key_id')::integer;
    IF NOT coalesce(mulberry_internal.sync_mac_fits(tenant, 'receiver', agent, key.key_id, convert_to(updates->>'data', 'UTF8'),
                                           decode(updates->>'mac', 'hex')), false) THEN
        PERFORM mulberry_internal.record_audit(tenant, 'SYNC_UPDATE', 'forgery', NULL, agent, NULL, 'api',
                                      jsonb_build_object('key_id', updates->'key_id'));
        RETURN jsonb_build_object('problems', jsonb_build_array('the code over the updates is wrong'));
    END IF;
    data := (updates->>'data')::jsonb;
    IF data->>'protocol' <> 'mulberry/sync/1' OR data->>'tenant' <> key.party_tenant::text OR data->>'agent' <> agent::text
       OR data->>'key_id' <> key.key_id::text THEN
        PERFORM mulberry_internal.record_audit(tenant, 'SYNC_UPDATE', 'refused', NULL, agent, NULL, 'api', NULL);
        RETURN jsonb_build_object('problems', jsonb_build_array('the updates are for somebody else'));
    END IF;
    -- told before a command that has come since, which it would undo; what is asked for next knows that command
    IF coalesce((data->>'counter')::bigint < key.last_counter, true) THEN
        PERFORM mulberry_internal.record_audit(tenant, 'SYNC_UPDATE', 'stale', NULL, agent, NULL, 'api', jsonb_build_object('counter',
            data->'counter'));
        RETURN jsonb_build_object('problems', '[]'::jsonb);
    END IF;
    INSERT INTO mulberry_internal.sync_states (tenant, agent, upto) VALUES (tenant, agent, 0) ON CONFLICT DO NOTHING;
    SELECT s.upto INTO known FROM mulberry_internal.sync_states s
     WHERE s.tenant = take_mandates.tenant AND s.agent = take_mandates.agent FOR UPDATE;
    -- an answer that came twice, or one that was recorded long ago; and one that leaves something out
    IF (data->>'upto')::bigint <= known OR (data->>'since')::bigint > known THEN
        RETURN jsonb_build_object('problems', '[]'::jsonb);
    END IF;
    FOR told IN SELECT x.value FROM jsonb_array_elements(data->'mandates') WITH ORDINALITY AS x ORDER BY x.ordinality LOOP
        problem := mulberry_internal.take_mandate(tenant, agent, told);
        IF problem IS NOT NULL THEN
            problems := problems || to_jsonb(format('mandate %s %s', told->>'mandate_id', problem));
        ELSE
            taken := taken + 1;
        END IF;
    END LOOP;
    UPDATE mulberry_internal.sync_states s SET upto = (data->>'upto')::bigint, at = clock_timestamp()
     WHERE s.tenant = take_mandates.tenant AND s.agent = take_mandates.agent;
    PERFORM mulberry_internal.record_audit(tenant, 'SYNC_UPDATE', 'applied', NULL, agent, NULL, 'api',
                                  jsonb_build_object('upto', data->'upto', 'mandates', taken, 'problems', problems));
    RETURN jsonb_build_object('problems', problems, 'more', data->'more');
END
$$;
COMMENT ON FUNCTION take_mandates(uuid, uuid, jsonb) IS
    'takes the "updates" of an answer of agent_sync(), if their code is right and they are news (internal)';

CREATE FUNCTION mulberry.apply_agent_sync(answer jsonb, tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner  CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'gateway', 'operator');
    a      mulberry_internal.agents;
    item   jsonb;
    one    mulberry.command_answer;
    acks   jsonb := jsonb '[]';
    taken  jsonb := jsonb '{}';
BEGIN
    PERFORM mulberry_internal.check_json('answer', apply_agent_sync.answer);
    IF answer IS NULL THEN
        RAISE EXCEPTION 'answer must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF jsonb_typeof(answer) <> 'object' OR jsonb_typeof(answer->'agent') IS DISTINCT FROM 'string'
       OR jsonb_typeof(answer->'commands') IS DISTINCT FROM 'array'
       OR EXISTS (SELECT FROM jsonb_path_query(answer, '$.commands[*]') AS c
                   WHERE jsonb_typeof(c) <> 'object' OR jsonb_typeof(c->'frame') IS DISTINCT FROM 'string')
       OR (answer ? 'updates'
           AND (jsonb_typeof(answer->'updates'->'data') IS DISTINCT FROM 'string'
                OR coalesce(answer->'updates'->>'mac' !~ '^([0-9a-f]{2}){32}$', true)
                OR coalesce(answer->'updates'->>'key_id' !~ '^[0-9]{1,2}$', true))) THEN
        RAISE EXCEPTION 'this is no answer of agent_sync()'
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'It is an object with "agent", "commands", an array of objects with "frame", and perhaps "updates" with '
                      '"key_id", "data" and "mac".';
    ELSIF jsonb_array_length(answer->'commands') > 100 THEN
        RAISE EXCEPTION '% commands are too many', jsonb_array_length(answer->'commands')
            USING ERRCODE = 'program_limit_exceeded', DETAIL = 'At most 100 are taken at once.';
    END IF;
    SELECT x.* INTO a FROM mulberry_internal.agents x WHERE x.tenant = owner AND x.id::text = lower(answer->>'agent' COLLATE "C");
    IF a.id IS NULL THEN
        RAISE EXCEPTION 'agent "%" does not exist', left(answer->>'agent', 80) USING ERRCODE = 'undefined_object';
    END IF;
    PERFORM mulberry_internal.hold_agent(a.tenant, a.id);
    -- the registry first: a command is about what it knows
    IF answer ? 'updates' THEN
        taken := mulberry_internal.take_mandates(a.tenant, a.id, answer->'updates');
    END IF;
    FOR item IN SELECT x.value FROM jsonb_array_elements(answer->'commands') WITH ORDINALITY AS x ORDER BY x.ordinality LOOP
        one := mulberry_internal.receive_frame(a.tenant, mulberry_internal.take_frame(item->>'frame'), NULL, NULL, NULL, 'sync');
        IF one.verdict IN ('accepted', 'duplicate') THEN
            acks := acks || jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('ack', one.ack_digits, 'challenge', one.challenge)));
        END IF;
    END LOOP;
    UPDATE mulberry_internal.agents x SET seen_at = clock_timestamp() WHERE x.tenant = a.tenant AND x.id = a.id;
    PERFORM mulberry_internal.keep_mandate_time();
    PERFORM mulberry_internal.require_durable_commit();
    RETURN jsonb_build_object('acks', acks,
                              'since', coalesce((SELECT s.upto FROM mulberry_internal.sync_states s WHERE s.tenant = a.tenant
                                  AND s.agent = a.id), 0),
                              'more', coalesce((taken->>'more')::boolean, false) OR jsonb_array_length(acks) > 0,
                              'problems', coalesce(taken->'problems', '[]'));
END
$$;
COMMENT ON FUNCTION mulberry.apply_agent_sync(jsonb, text) IS
    'on the edge: takes an answer of the cloud''s agent_sync(). Frames are judged and applied as those from the telephone, mandates are '
    'taken over when the code over them is right. Returns "acks" and "since" for the next agent_sync(), "more" when that should be at '
    'once, and "problems". An answer may come twice. Needs gateway or operator access. Errors: 22023 no such answer, 42704 another '
    'agent''s, 54000';

-- src/edge/programs.sql
-- What programs on machines at the edge say of themselves.

CREATE FUNCTION edge_programs_kept() RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 100;
COMMENT ON FUNCTION edge_programs_kept() IS
    'how many programs of a tenant may have reported; then the one that is silent longest is forgotten';

CREATE FUNCTION forget_edge_programs() RETURNS void
LANGUAGE sql AS $$
    DELETE FROM mulberry_internal.edge_programs p WHERE p.reported_at < clock_timestamp() - interval '7 days'
$$;
COMMENT ON FUNCTION forget_edge_programs() IS 'forgets the programs that were silent for a week; part of maintenance (internal)';

CREATE FUNCTION check_edge_report(report jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    item    record;
    number  numeric;
    seconds CONSTANT text[] := ARRAY['running', 'heard', 'lost', 'late'];
    counts  CONSTANT text[] := ARRAY['overruns', 'suspends', 'departures', 'waiting', 'acknowledged', 'dropped', 'spool'];
    texts   CONSTANT text[] := ARRAY['version', 'state', 'device', 'call_id', 'under_voltage', 'problem'];
BEGIN
    IF report IS NULL OR jsonb_typeof(report) <> 'object' OR jsonb_typeof(report->'state') IS DISTINCT FROM 'string' THEN
        RAISE EXCEPTION 'report must be an object with a "state"' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR item IN SELECT * FROM jsonb_each(report) LOOP
        CONTINUE WHEN jsonb_typeof(item.value) = 'null';
        CONTINUE WHEN jsonb_typeof(item.value) = 'string' AND item.key = ANY (texts);
        IF jsonb_typeof(item.value) <> 'number' OR NOT item.key = ANY (seconds || counts) THEN
            RAISE EXCEPTION 'a report has no "%" of this type', left(item.key, 80)
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = format('Numbers are %s, texts %s.', array_to_string(seconds || counts, ', '),
                                      array_to_string(texts, ', '));
        END IF;
        number := (item.value #>> '{}')::numeric;
        IF number < 0 OR number > (CASE WHEN item.key = ANY (seconds) THEN 1e9 ELSE 1e18 END)
           OR (item.key = ANY (counts) AND number <> trunc(number)) THEN
            RAISE EXCEPTION '"%" of a report must be a number from 0 on', item.key
                USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Seconds are 10^9 at most, others whole, and 10^18 at most.';
        END IF;
    END LOOP;
    IF report->>'under_voltage' NOT IN ('now', 'before') THEN
        RAISE EXCEPTION '"under_voltage" of a report must be "now", "before" or null' USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
COMMENT ON FUNCTION check_edge_report(jsonb) IS 'an error (22023) unless that is a report of a program at the edge (internal)';

CREATE FUNCTION mulberry.report_edge_status(name text, program text, report jsonb, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
    SET lock_timeout = '100ms' AS $$
DECLARE
    owner  CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'ingest', 'operator');
    at     CONSTANT timestamptz := clock_timestamp();
    r      mulberry_internal.edge_programs;
BEGIN
    PERFORM mulberry_internal.check_texts('name', report_edge_status.name, 'program', report_edge_status.program);
    PERFORM mulberry_internal.check_json('report', report_edge_status.report);
    IF coalesce(name, '') = '' THEN
        RAISE EXCEPTION 'name must not be empty' USING ERRCODE = 'invalid_parameter_value';
    ELSIF program IS NULL OR program NOT IN ('capture', 'sync', 'answer') THEN
        RAISE EXCEPTION 'program must be capture, sync or answer' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM mulberry_internal.check_edge_report(report);
    r := jsonb_populate_record(NULL::mulberry_internal.edge_programs,
             jsonb '{"heard": 0, "lost": 0, "overruns": 0, "suspends": 0, "departures": 0, "late": 0, "waiting": 0, "acknowledged": 0,
                     "dropped": 0}'
             || jsonb_strip_nulls(report));
    r.tenant := owner;
    r.role := mulberry_internal.outer_role_name();
    r.name := name;
    r.program := program;
    r.reported_at := at;
    r.started_at := at - make_interval(secs => coalesce((report->>'running')::double precision, 0));
    r.dropped_at := CASE WHEN r.dropped > 0 THEN at END;
    IF NOT EXISTS (SELECT FROM mulberry_internal.edge_programs p
                    WHERE p.tenant = owner AND p.role = r.role AND p.name = r.name AND p.program = r.program) THEN
        DELETE FROM mulberry_internal.edge_programs p
         WHERE (p.tenant, p.role, p.name, p.program) IN
               (SELECT o.tenant, o.role, o.name, o.program FROM mulberry_internal.edge_programs o
                 WHERE o.tenant = owner
                 ORDER BY o.reported_at DESC OFFSET mulberry_internal.edge_programs_kept() - 1 FOR UPDATE SKIP LOCKED);
    END IF;
    INSERT INTO mulberry_internal.edge_programs AS p SELECT r.*
        ON CONFLICT ON CONSTRAINT edge_programs_pkey DO UPDATE
       SET version = excluded.version, state = excluded.state, device = excluded.device, heard = excluded.heard, lost = excluded.lost,
           overruns = excluded.overruns, suspends = excluded.suspends, departures = excluded.departures, late = excluded.late,
           call_id = excluded.call_id, waiting = excluded.waiting, acknowledged = excluded.acknowledged, dropped = excluded.dropped,
           spool = excluded.spool, under_voltage = excluded.under_voltage, problem = excluded.problem,
           started_at = excluded.started_at, reported_at = excluded.reported_at,
           -- a program that was started anew counts anew
           dropped_at = CASE WHEN excluded.dropped > CASE WHEN excluded.started_at > p.reported_at THEN 0 ELSE p.dropped END
                             THEN excluded.dropped_at ELSE p.dropped_at END;
END
$$;
COMMENT ON FUNCTION mulberry.report_edge_status(text, text, jsonb, text) IS
    'for programs at the edge: what one of them is and does, for the view edge_status. "program" is capture, sync or answer; "report" has '
    'a state and what else is known: version, running (seconds since its start), device, heard, lost and late (seconds), overruns, '
    'suspends, departures, call_id, waiting, acknowledged and dropped (packets), spool (bytes), under_voltage, problem. It takes the '
    'place of the one before of the same role, name and program. It waits for nobody. Needs ingest or operator access. Errors: 22023, '
    '55P03 somebody holds the row';

-- Silent: capture reports every 10 s, sync between two requests, which may take 45 s, and a pause of a minute between them.
CREATE VIEW mulberry.edge_status WITH (security_barrier) AS
    SELECT t.name AS tenant, p.name, p.program, p.role, p.version, p.state, p.reported_at,
           p.state <> 'ended' AND p.reported_at < clock_timestamp() - interval '3 minutes' AS silent,
           p.started_at, p.device, p.heard, p.lost, p.overruns, p.suspends, p.departures, p.late, p.call_id,
           p.waiting, p.acknowledged, p.dropped, p.dropped_at, p.spool, p.under_voltage, p.problem
      FROM edge_programs p
      JOIN tenants t ON t.id = p.tenant
     WHERE p.tenant = ANY ((SELECT current_tenants(true, 'operator', 'auditor', 'ingest'))::uuid[]);
COMMENT ON VIEW mulberry.edge_status IS 'what the programs at the edge said of themselves last, as report_edge_status() was told';
COMMENT ON COLUMN mulberry.edge_status.silent IS 'it did not say that it ended, and has not reported for three minutes';

CREATE FUNCTION health_edge_programs() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    n record;
BEGIN
    item := 'edge programs';
    SELECT count(*) AS known,
           count(*) FILTER (WHERE p.reported_at < clock_timestamp() - interval '3 minutes') AS silent,
           count(*) FILTER (WHERE p.dropped_at > clock_timestamp() - interval '1 hour') AS dropping,
           count(*) FILTER (WHERE p.state = 'device away') AS away,
           count(*) FILTER (WHERE p.under_voltage = 'now') AS weak
      INTO n
      FROM mulberry_internal.edge_programs p
     WHERE p.state <> 'ended';
    status := CASE WHEN n.silent + n.dropping + n.away + n.weak > 0 THEN 'warning' ELSE 'ok' END;
    detail := format('%s programs report', n.known - n.silent)
              || CASE WHEN n.silent > 0 THEN format('; %s fell silent', n.silent) ELSE '' END
              || CASE WHEN n.dropping > 0 THEN format('; %s dropped packets within the last hour', n.dropping) ELSE '' END
              || CASE WHEN n.away > 0 THEN format('; %s have lost their device', n.away) ELSE '' END
              || CASE WHEN n.weak > 0 THEN format('; %s have too little voltage', n.weak) ELSE '' END;
    hint := CASE WHEN status <> 'ok'
                 THEN 'The view edge_status says which. One that was taken out of service is forgotten a week later.' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_edge_programs() IS 'health of the programs at the edge: whether they report, and drop nothing';

-- src/edge/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE FUNCTION access_rules_edge() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('handle_command_symbols', 'EXECUTE', 'operator gateway'),
    ('handle_call_audio', 'EXECUTE', 'operator gateway'),
    ('apply_agent_sync', 'EXECUTE', 'operator gateway'),
    ('report_edge_status', 'EXECUTE', 'ingest operator'),
    ('edge_status', 'SELECT', 'operator auditor ingest')
$$;
COMMENT ON FUNCTION access_rules_edge() IS 'which access needs which object of edge';

-- src/telephony/twilio_options.sql
-- Endpoints of kind twilio: their options.

CREATE FUNCTION check_twilio_options(options jsonb, secret text, allow_http boolean, allow_private boolean) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    rule  record;
    value jsonb;
BEGIN
    IF secret IS NULL THEN
        RAISE EXCEPTION 'an endpoint of kind twilio needs a secret' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'It is the name under which the auth token of the account is stored.';
    END IF;
    FOR rule IN
        SELECT o.name AS option, r.* FROM (VALUES
            ('account_sid', 'string', true, '^AC[0-9a-f]{32}$', 'AC and 32 lower-case hexadecimal digits', NULL::numeric, NULL::numeric),
            ('from', 'string', true, E'^\\+[1-9][0-9]{1,14}$', 'an E.164 number (+, country code, number, at most 15 digits)', NULL, NULL),
            ('api_key_sid', 'string', false, '^SK[0-9a-f]{32}$', 'SK and 32 lower-case hexadecimal digits', NULL, NULL),
            ('api_key_secret', 'string', false, '^(?!voice-key-)[^[:cntrl:]]{1,63}$', 'the name of a secret that is no voice key',
                NULL, NULL),
            ('public_url', 'string', false, '^https?://', 'an http or https URL', NULL, NULL),
            ('machine_detection', 'string', false, '^(Enable|DetectMessageEnd)$', 'Enable or DetectMessageEnd', NULL, NULL),
            ('announcement', 'string', false, '^[^[:cntrl:]]+$', '1 to 500 characters on one line', NULL, NULL),
            ('language', 'string', false, '^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$', 'a language tag such as en-US', NULL, NULL),
            ('voice', 'string', false, '^[A-Za-z0-9._-]{1,100}$', 'the name of a voice', NULL, NULL),
            ('call_timeout', 'number', false, NULL, NULL, 5, 600),
            ('time_limit', 'number', false, NULL, NULL, 30, 3600),
            ('repetitions', 'number', false, NULL, NULL, 1, 5),
            ('poll_interval', 'number', false, NULL, NULL, 0.1, 60),
            ('previous_secret', 'string', false, '^(?!voice-key-)[^[:cntrl:]]{1,63}$', 'the name of a secret that is no voice key',
                NULL, NULL),
            ('record', 'boolean', false, NULL, NULL, NULL, NULL),
            ('delete_recordings', 'boolean', false, NULL, NULL, NULL, NULL)
        ) AS r (name, type, needed, form, form_text, least, most)
         RIGHT JOIN unnest((mulberry_internal.endpoint_kind('twilio', NULL)).options) WITH ORDINALITY AS o (name, place) USING (name)
         ORDER BY o.place
    LOOP
        IF rule.type IS NULL THEN
            RAISE EXCEPTION 'option % of an endpoint of kind twilio has no rule', rule.option;
        END IF;
        value := options->rule.name;
        IF value IS NULL THEN
            IF rule.needed THEN
                RAISE EXCEPTION 'an endpoint of kind twilio needs the option "%"', rule.name
                    USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', rule.form_text);
            END IF;
        ELSIF jsonb_typeof(value) <> rule.type THEN
            RAISE EXCEPTION 'option % must be a %', rule.name, rule.type USING ERRCODE = 'invalid_parameter_value';
        ELSIF rule.form IS NOT NULL AND value #>> '{}' !~ rule.form THEN
            RAISE EXCEPTION 'invalid option %', rule.name USING ERRCODE = 'invalid_parameter_value',
                DETAIL = format('It must be %s.', rule.form_text);
        ELSIF rule.least IS NOT NULL AND ((value #>> '{}')::numeric NOT BETWEEN rule.least AND rule.most
              OR (rule.name <> 'poll_interval' AND (value #>> '{}')::numeric % 1 <> 0)) THEN
            RAISE EXCEPTION 'option % must be a % from % to %', rule.name,
                CASE rule.name WHEN 'poll_interval' THEN 'number' ELSE 'whole number' END, rule.least, rule.most
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;
    IF (options ? 'api_key_sid') <> (options ? 'api_key_secret') THEN
        RAISE EXCEPTION 'options api_key_sid and api_key_secret go together' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'api_key_secret is the name under which the key''s secret is stored.';
    END IF;
    IF options ? 'public_url' THEN
        BEGIN
            options := jsonb_set(options, '{public_url}',
                to_jsonb(mulberry_internal.normalize_endpoint_url(options->>'public_url', allow_http, allow_private)));
        EXCEPTION WHEN invalid_parameter_value THEN
            RAISE EXCEPTION 'invalid option public_url' USING ERRCODE = 'invalid_parameter_value',
                DETAIL = 'The rules are those of an endpoint''s own address: ' || SQLERRM || '.';
        END;
        IF length(options->>'public_url') > 200 THEN
            RAISE EXCEPTION 'option public_url has more than 200 characters' USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END IF;
    IF length(options->>'announcement') > 500 THEN
        RAISE EXCEPTION 'option announcement has more than 500 characters' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF coalesce((options->>'record')::boolean, true) = false AND NOT options ? 'public_url' THEN
        RAISE EXCEPTION 'without public_url acknowledgements are heard in recordings alone' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Set public_url, or leave record on.';
    END IF;
    RETURN options;
END
$$;
COMMENT ON FUNCTION check_twilio_options(jsonb, text, boolean, boolean) IS
    'checks the options of an endpoint of kind twilio and returns them with public_url in its normal form; 22023 says what is wrong '
    '(internal)';

CREATE FUNCTION telephony_settings(options jsonb,
    OUT account_sid text, OUT api_key_sid text, OUT api_key_secret text, OUT from_number text, OUT public_url text,
    OUT machine_detection text, OUT call_timeout integer, OUT time_limit integer, OUT repetitions integer,
    OUT announcement text, OUT language text, OUT voice text, OUT record boolean, OUT delete_recordings boolean,
    OUT poll_interval interval)
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT options->>'account_sid', options->>'api_key_sid', options->>'api_key_secret', options->>'from',
           options->>'public_url', options->>'machine_detection', coalesce((options->>'call_timeout')::integer, 60),
           coalesce((options->>'time_limit')::integer, 180), coalesce((options->>'repetitions')::integer, 3),
           options->>'announcement', options->>'language', options->>'voice',
           coalesce((options->>'record')::boolean, true), coalesce((options->>'delete_recordings')::boolean, false),
           -- callbacks tell what happens; polling is then for those that get lost
           make_interval(secs => coalesce((options->>'poll_interval')::double precision,
                                          CASE WHEN options ? 'public_url' THEN 10 ELSE 3 END));
END;
COMMENT ON FUNCTION telephony_settings(jsonb) IS
    'options of an endpoint of kind twilio, with the defaults of those that are not set (internal)';

CREATE FUNCTION telephony_problem(tenant uuid) RETURNS text
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    e      CONSTANT mulberry_internal.endpoints := mulberry_internal.telephony_endpoint(tenant);
    needed text;
BEGIN
    IF e.id IS NULL THEN
        RETURN 'no endpoint serves telephony';
    END IF;
    IF NOT e.enabled THEN
        RETURN format('endpoint "%s" is disabled', e.name);
    END IF;
    FOREACH needed IN ARRAY array_remove(ARRAY[e.secret, e.options->>'api_key_secret'], NULL) LOOP
        IF NOT EXISTS (SELECT FROM mulberry_internal.secrets s
                        WHERE s.name = needed
                          AND s.tenant = mulberry_internal.secret_tenant(e.tenant, needed, telephony_problem.tenant)) THEN
            RETURN format('secret "%s" of endpoint "%s" does not exist', needed, e.name);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION telephony_problem(uuid) IS 'why no call can be placed for a tenant, one sentence; null: one can (internal)';

-- src/telephony/verbs.sql
-- The verbs of TwiML, one function each: what twiml() takes.  Null leaves an attribute to Twilio's default.

CREATE FUNCTION mulberry.twiml_say(text text, voice text DEFAULT NULL, language text DEFAULT NULL, loop integer DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'say', 'text', nullif(text, ''), 'voice', nullif(voice, ''),
                                            'language', nullif(language, ''), 'loop', loop));
COMMENT ON FUNCTION mulberry.twiml_say(text, text, text, integer) IS
    'the TwiML verb Say, for twiml(): a sentence, the voice that says it, its language as in en-US, how often (0: until the call ends)';

CREATE FUNCTION mulberry.twiml_play(url text DEFAULT NULL, digits text DEFAULT NULL, loop integer DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'play', 'url', nullif(url, ''), 'digits', nullif(digits, ''), 'loop', loop));
COMMENT ON FUNCTION mulberry.twiml_play(text, text, integer) IS
    'the TwiML verb Play, for twiml(): a sound file, or tones of 0-9 A-D * # with w for half a second of silence and W for a whole one';

CREATE FUNCTION mulberry.twiml_pause(seconds integer DEFAULT 1) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_build_object('verb', 'pause', 'length', coalesce(seconds, 1));
COMMENT ON FUNCTION mulberry.twiml_pause(integer) IS 'the TwiML verb Pause, for twiml()';

CREATE FUNCTION mulberry.twiml_gather(action text DEFAULT NULL, verbs jsonb DEFAULT NULL, num_digits integer DEFAULT NULL,
    timeout integer DEFAULT NULL, finish_on_key text DEFAULT NULL, input text DEFAULT NULL, action_on_empty_result boolean DEFAULT NULL,
    method text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'gather', 'action', nullif(action, ''), 'verbs', verbs, 'num_digits', num_digits,
    'timeout', timeout, 'finish_on_key', CASE finish_on_key COLLATE "C" WHEN '' THEN NULL WHEN 'none' THEN '' ELSE finish_on_key END,
    'input', nullif(input, ''), 'action_on_empty_result', action_on_empty_result, 'method', nullif(method, '')));
COMMENT ON FUNCTION mulberry.twiml_gather(text, jsonb, integer, integer, text, text, boolean, text) IS
    'the TwiML verb Gather, for twiml(): waits for keys and has them sent to action; verbs (say, play, pause) are heard meanwhile; '
    'finish_on_key is a key, or none, with which # is gathered like the others; input is dtmf, speech or both';

CREATE FUNCTION mulberry.twiml_record(action text DEFAULT NULL, max_length integer DEFAULT NULL, timeout integer DEFAULT NULL,
    finish_on_key text DEFAULT NULL, play_beep boolean DEFAULT NULL, trim_silence boolean DEFAULT NULL,
    recording_status_callback text DEFAULT NULL, transcribe_callback text DEFAULT NULL, method text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'record', 'action', nullif(action, ''), 'max_length', max_length,
    'timeout', timeout,
    'finish_on_key', CASE finish_on_key COLLATE "C" WHEN '' THEN NULL WHEN 'none' THEN '' ELSE finish_on_key END,
    'play_beep', play_beep, 'trim', CASE trim_silence WHEN true THEN 'trim-silence' WHEN false THEN 'do-not-trim' END,
    'recording_status_callback', nullif(recording_status_callback, ''),
    'transcribe_callback', nullif(transcribe_callback, ''), 'method', nullif(method, '')));
COMMENT ON FUNCTION mulberry.twiml_record(text, integer, integer, text, boolean, boolean, text, text, text) IS
    'the TwiML verb Record, for twiml(): records what is said until a key or a silence, and then asks action how the call goes on';

CREATE FUNCTION mulberry.twiml_dial(numbers text[], action text DEFAULT NULL, timeout integer DEFAULT NULL,
    time_limit integer DEFAULT NULL, caller_id text DEFAULT NULL, record text DEFAULT NULL, recording_status_callback text DEFAULT NULL,
    send_digits text DEFAULT NULL, answer_on_bridge boolean DEFAULT NULL, method text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'dial', 'number', array_replace(numbers, '', NULL), 'action', nullif(action, ''),
    'timeout', timeout, 'time_limit', time_limit, 'caller_id', nullif(caller_id, ''), 'record', nullif(record, ''),
    'recording_status_callback', nullif(recording_status_callback, ''), 'send_digits', nullif(send_digits, ''),
    'answer_on_bridge', answer_on_bridge, 'method', nullif(method, '')));
COMMENT ON FUNCTION mulberry.twiml_dial(text[], text, integer, integer, text, text, text, text, boolean, text) IS
    'the TwiML verb Dial, for twiml(): joins the call to whichever of these E.164 numbers answers first';

CREATE FUNCTION mulberry.twiml_connect(url text, parameters jsonb DEFAULT NULL, name text DEFAULT NULL,
    status_callback text DEFAULT NULL, action text DEFAULT NULL, method text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'connect', 'url', nullif(url, ''), 'parameters', parameters, 'name', nullif(name, ''),
    'status_callback', nullif(status_callback, ''), 'action', nullif(action, ''), 'method', nullif(method, '')));
COMMENT ON FUNCTION mulberry.twiml_connect(text, jsonb, text, text, text, text) IS
    'the TwiML verb Connect with a media stream in both directions, for twiml(): url is wss:// and has no query; what the other side is to '
    'know goes into parameters, {"name": "value"} of less than 500 characters each';

CREATE FUNCTION mulberry.twiml_start_recording(recording_status_callback text DEFAULT NULL, channels text DEFAULT NULL,
    track text DEFAULT NULL, trim_silence boolean DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'start_recording',
    'recording_status_callback', nullif(recording_status_callback, ''),
    'channels', nullif(channels, ''), 'track', nullif(track, ''),
    'trim', CASE trim_silence WHEN true THEN 'trim-silence' WHEN false THEN 'do-not-trim' END));
COMMENT ON FUNCTION mulberry.twiml_start_recording(text, text, text, boolean) IS
    'the TwiML verb Start with a recording of the whole call, for twiml(): mono, or dual with caller and the other side apart';

CREATE FUNCTION mulberry.twiml_redirect(url text, method text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'redirect', 'url', nullif(url, ''), 'method', nullif(method, '')));
COMMENT ON FUNCTION mulberry.twiml_redirect(text, text) IS 'the TwiML verb Redirect, for twiml(): the call goes on with the TwiML of a URL';

CREATE FUNCTION mulberry.twiml_reject(reason text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'reject', 'reason', nullif(reason, '')));
COMMENT ON FUNCTION mulberry.twiml_reject(text) IS
    'the TwiML verb Reject, for twiml(), as the only verb: a call is not answered; reason is rejected or busy';

CREATE FUNCTION mulberry.twiml_hangup() RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_build_object('verb', 'hangup');
COMMENT ON FUNCTION mulberry.twiml_hangup() IS 'the TwiML verb Hangup, for twiml()';

-- src/telephony/twiml.sql
-- What calls say: TwiML.

CREATE FUNCTION mulberry.twiml(verbs jsonb) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_twiml';
COMMENT ON FUNCTION mulberry.twiml(jsonb) IS
    'a TwiML document of less than 4,000 characters from a list of verbs as twiml_say() and its like make them: say, play, pause, gather, '
    'record, dial, connect, start_recording, redirect, reject, hangup. Texts are escaped and lose what XML does not allow; 22023 says '
    'which verb is wrong';

CREATE FUNCTION say_verb(sentence text, options jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'say', 'text', sentence, 'voice', options->'voice', 'language',
     options->'language'));
COMMENT ON FUNCTION say_verb(text, jsonb) IS 'the TwiML verb that says a sentence as the options of an endpoint want it said (internal)';

CREATE FUNCTION gather_verb(public_url text, token uuid, step integer, expected text) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_build_object('verb', 'gather', 'input', 'dtmf', 'method', 'POST',
            -- in alphabetical order: what sorts the query of a URL on its way must not change what was signed
            'action', format('%s/twilio/ack?%sstep=%s&token=%s', public_url,
                             CASE expected WHEN 'challenge' THEN 'for=challenge&' END, step, token))
        || CASE expected
             WHEN 'acknowledgement' THEN '{"timeout": 8, "finish_on_key": "#"}'
             WHEN 'challenge' THEN '{"timeout": 15, "num_digits": 8, "finish_on_key": ""}'
             WHEN 'key' THEN '{"timeout": 5, "num_digits": 1, "finish_on_key": ""}'
           END::jsonb;
COMMENT ON FUNCTION gather_verb(text, uuid, integer, text) IS
    'the TwiML verb that waits for tones: an acknowledgement up to its #, the eight digits of a challenge, or one key. The step makes '
    'each request of a call another one (internal)';

CREATE FUNCTION play_verb(frame text) RETURNS jsonb
LANGUAGE sql IMMUTABLE
-- half a second of silence before it, so that nothing said covers its first tone
RETURN jsonb_build_object('verb', 'play', 'digits', 'w' || frame);
COMMENT ON FUNCTION play_verb(text) IS 'the TwiML verb that plays a frame (internal)';

CREATE FUNCTION spaced(digits text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN trim(regexp_replace(digits, '(.)', E'\\1 ', 'g'));
COMMENT ON FUNCTION spaced(text) IS 'digits apart from each other, so that a voice reads them one by one (internal)';

CREATE FUNCTION voice_document(voice_call bigint, options jsonb) RETURNS text
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    s     record;
    v     mulberry_internal.voice_calls;
    c     mulberry_internal.commands;
    verbs jsonb;
BEGIN
    SELECT * INTO s FROM mulberry_internal.telephony_settings(options);
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    SELECT x.* INTO STRICT c FROM mulberry_internal.commands x WHERE x.id = v.command;
    IF v.purpose = 'escalation' THEN
        verbs := jsonb_build_array(mulberry_internal.say_verb(mulberry_internal.escalation_sentence(c.id), options),
            '{"verb": "pause", "length": 1}'::jsonb);
        FOR step IN 1 .. s.repetitions LOOP
            verbs := verbs || mulberry_internal.say_verb(mulberry_internal.escalation_sentence(c.id), options);
            IF s.public_url IS NOT NULL THEN
                verbs := verbs || (mulberry_internal.gather_verb(s.public_url, v.token, step, 'key')
                    || jsonb_build_object('verbs', jsonb_build_array(mulberry_internal.say_verb('Press any key to confirm that you '
                        'have heard this.', options))));
            ELSE
                verbs := verbs || '{"verb": "pause", "length": 2}'::jsonb;
            END IF;
        END LOOP;
        RETURN mulberry.twiml(verbs || '{"verb": "hangup"}'::jsonb);
    END IF;
    -- Words that would confirm (see confirming_words) are not among ours: recordings hold both sides.
    verbs := jsonb_build_array(mulberry_internal.say_verb(coalesce(s.announcement,
        (mulberry_internal.command_kind(c.command)).announcement), options));
    FOR step IN 1 .. s.repetitions LOOP
        verbs := verbs || mulberry_internal.play_verb(v.frame)
            || CASE WHEN s.public_url IS NOT NULL THEN mulberry_internal.gather_verb(s.public_url, v.token, step, 'acknowledgement')
                    ELSE '{"verb": "pause", "length": 8}' END;
    END LOOP;
    -- Without webhooks a challenge is answered in the next call, so that the last pause just holds one, and ends the call.
    IF s.public_url IS NOT NULL THEN
        verbs := verbs || mulberry_internal.say_verb('Goodbye', options);
    END IF;
    RETURN mulberry.twiml(verbs || '{"verb": "hangup"}'::jsonb);
END
$$;
COMMENT ON FUNCTION voice_document(bigint, jsonb) IS
    'the TwiML that a call begins with: announcement and frame, with gatherings of the acknowledgement where webhooks reach us and '
    'pauses for the recording where they do not; for an escalation, what happened (internal)';

-- src/telephony/signatures.sql
-- Who sent a webhook: Twilio's signature.

CREATE FUNCTION mulberry.twilio_signature(url text, params jsonb, token text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_twilio_signature';
COMMENT ON FUNCTION mulberry.twilio_signature(text, jsonb, text) IS
    'the X-Twilio-Signature of exactly this URL with these parameters, {"name": "value" or ["value", ...]}, by an auth token';

CREATE FUNCTION mulberry.twilio_signature_valid(url text, params jsonb, signature text, token text, body bytea DEFAULT NULL,
    websocket boolean DEFAULT false) RETURNS boolean
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_twilio_signature_valid';
COMMENT ON FUNCTION mulberry.twilio_signature_valid(text, jsonb, text, text, bytea, boolean) IS
    'whether X-Twilio-Signature is that of a request, by an auth token, with or without the port in the URL: of a form with these '
    'parameters; of a body that is none, whose SHA-256 the URL must have as bodySHA256; or of the upgrade to a WebSocket';

CREATE FUNCTION check_twilio_signature(tenant uuid, secret text, url text, params jsonb, signature text) RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mulberry_check_twilio_signature';
COMMENT ON FUNCTION check_twilio_signature(uuid, text, text, jsonb, text) IS
    'whether X-Twilio-Signature is that of URL and parameters, by the auth token that is stored under this name; false without one, '
    'after the same work. What the transaction does will be on disk when it is committed (internal)';

CREATE FUNCTION check_twilio_body(tenant uuid, secret text, url text, content_type text, body bytea, signature text)
RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mulberry_check_twilio_body';
COMMENT ON FUNCTION check_twilio_body(uuid, text, text, text, bytea, text) IS
    'check_twilio_signature() for a body as it came: a form, or anything else, whose SHA-256 the URL must have (internal)';

CREATE FUNCTION check_twilio_socket(tenant uuid, secret text, url text, signature text) RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'mulberry_check_twilio_socket';
COMMENT ON FUNCTION check_twilio_socket(uuid, text, text, text) IS
    'check_twilio_signature() for the upgrade to a WebSocket, whose URL is signed as wss://; promises nothing of the disk (internal)';

CREATE FUNCTION twilio_parameters(content_type text, body bytea) RETURNS jsonb
LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'mulberry_twilio_parameters';
COMMENT ON FUNCTION twilio_parameters(text, bytea) IS
    'the fields of a form, {"name": "value" or ["value", ...]}; what is no text here has question marks; null: the body is none (internal)';

-- src/telephony/calls.sql
-- A call's way.  Locks are taken in the order agent, command, call, job.

CREATE TRIGGER guard_state AFTER UPDATE ON voice_calls
    FOR EACH ROW WHEN (old.state <> new.state) EXECUTE FUNCTION guard_state();

CREATE FUNCTION lock_voice_call(voice_call bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM FROM mulberry_internal.agents a
      JOIN mulberry_internal.commands c ON c.tenant = a.tenant AND c.agent = a.id
      JOIN mulberry_internal.voice_calls v ON v.command = c.id
     WHERE v.id = voice_call FOR NO KEY UPDATE OF a;
    PERFORM FROM mulberry_internal.commands c
      JOIN mulberry_internal.voice_calls v ON v.command = c.id
     WHERE v.id = voice_call FOR NO KEY UPDATE OF c;
    PERFORM FROM mulberry_internal.voice_calls v WHERE v.id = voice_call FOR UPDATE;
END
$$;
COMMENT ON FUNCTION lock_voice_call(bigint) IS 'locks the agent, the command and the row of a telephone call, in that order (internal)';

CREATE FUNCTION lock_telephony_job(job bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM mulberry_internal.lock_voice_call((q.payload->>'voice_call')::bigint)
       FROM mulberry_internal.job_queue q WHERE q.id = job AND (mulberry_internal.job_kind(q.kind)).subject = 'voice_call';
END
$$;
COMMENT ON FUNCTION lock_telephony_job(bigint) IS
    'locks what a job is about that has a telephone call as its subject, before the job itself; of other kinds, and of a job that is '
    'gone, nothing (internal)';

CREATE FUNCTION lock_telephony_job_soon(job bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
BEGIN
    PERFORM mulberry_internal.limit_waits();
    PERFORM mulberry_internal.lock_telephony_job(job);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    PERFORM mulberry_internal.blocked();
    RETURN false;
END
$$;
COMMENT ON FUNCTION lock_telephony_job_soon(bigint) IS
    'lock_telephony_job(); false when another transaction keeps it from that, so that the worker can go on with other jobs '
    '(internal)';

CREATE FUNCTION voice_call_wanted(v voice_calls) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (SELECT FROM mulberry_internal.commands c
                    WHERE c.id = v.command
                      AND CASE v.purpose WHEN 'command' THEN c.state = 'outstanding' AND c.frame = v.frame
                                         ELSE c.state = 'escalated' END)
$$;
COMMENT ON FUNCTION voice_call_wanted(voice_calls) IS 'whether the command of a call still waits for what the call plays (internal)';

CREATE FUNCTION voice_call_rank(state text) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN CASE state WHEN 'planned' THEN 0 WHEN 'requested' THEN 1 WHEN 'uncertain' THEN 2 WHEN 'queued' THEN 3 WHEN 'initiated' THEN 3
                  WHEN 'ringing' THEN 4 WHEN 'in-progress' THEN 5 WHEN 'completed' THEN 6 WHEN 'busy' THEN 6 WHEN 'failed' THEN 6
                  WHEN 'no-answer' THEN 6 WHEN 'canceled' THEN 6 END;
COMMENT ON FUNCTION voice_call_rank(text) IS
    'how far a call has come: 0 planned to 6 ended; null for a status that is not known. States only go up, whatever order callbacks '
    'arrive in (internal)';

CREATE FUNCTION count_calls(command bigint) RETURNS void
LANGUAGE sql
AS $$
    UPDATE mulberry_internal.commands c SET attempts = n.placed
      FROM (SELECT count(*) AS placed FROM mulberry_internal.voice_calls v
             WHERE v.command = $1 AND v.purpose = 'command' AND v.placings > 0) AS n
     WHERE c.id = $1 AND c.attempts <> n.placed
$$;
COMMENT ON FUNCTION count_calls(bigint) IS 'brings commands.attempts up to date: what Twilio refused or never got is no call (internal)';

CREATE FUNCTION wake_voice_call(voice_call bigint, at timestamptz DEFAULT clock_timestamp()) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE mulberry_internal.job_queue q SET run_at = at
      FROM mulberry_internal.voice_calls v
     WHERE v.id = voice_call AND q.id = v.job AND q.state = 'queued' AND q.run_at > at;
    IF FOUND THEN
        PERFORM mulberry_internal.wake_workers();
    END IF;
END
$$;
COMMENT ON FUNCTION wake_voice_call(bigint, timestamptz) IS 'lets the job of a call run earlier than it would (internal)';

CREATE FUNCTION place_call(command bigint, run_at timestamptz) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    c mulberry_internal.commands;
    a mulberry_internal.agents;
    v mulberry_internal.voice_calls;
    e mulberry_internal.endpoints;
    n integer;
BEGIN
    SELECT x.* INTO STRICT c FROM mulberry_internal.commands x WHERE x.id = place_call.command;
    SELECT x.* INTO STRICT a FROM mulberry_internal.agents x WHERE x.tenant = c.tenant AND x.id = c.agent;
    e := mulberry_internal.telephony_endpoint(c.tenant);
    IF a.phone IS NULL THEN
        RAISE EXCEPTION 'agent "%" has no telephone number', a.name USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT x.* INTO v FROM mulberry_internal.voice_calls x
     WHERE x.command = c.id AND x.purpose = 'command' AND x.finished_at IS NULL FOR UPDATE;
    -- one that was given up before it was placed, because it was of no use any more, is no attempt
    SELECT greatest(max(x.attempt), c.attempts_before) + 1 INTO n FROM mulberry_internal.voice_calls x
     WHERE x.command = c.id AND x.purpose = 'command' AND x.state <> 'planned' AND x.id IS DISTINCT FROM v.id;
    IF v.state = 'planned' THEN
        -- Nothing has been asked for yet: it is this call, another time and with what is to be played now.
        UPDATE mulberry_internal.voice_calls x
           SET frame = c.frame, to_number = a.phone, due_at = place_call.run_at, attempt = n, give_up_at = NULL
         WHERE x.id = v.id;
        UPDATE mulberry_internal.job_queue q SET run_at = place_call.run_at WHERE q.id = v.job AND q.state = 'queued';
        PERFORM mulberry_internal.wake_workers();
    ELSIF v.id IS NOT NULL THEN
        UPDATE mulberry_internal.voice_calls x SET successor_at = place_call.run_at WHERE x.id = v.id;
        PERFORM mulberry_internal.wake_voice_call(v.id);
    ELSE
        INSERT INTO mulberry_internal.voice_calls (tenant, command, attempt, to_number, from_number, frame, due_at)
        VALUES (c.tenant, c.id, n, a.phone, coalesce(e.options->>'from', ''), c.frame, place_call.run_at)
        RETURNING * INTO v;
        UPDATE mulberry_internal.voice_calls x
           SET job = mulberry_internal.enqueue_job('call', c.tenant, NULL, NULL, jsonb_build_object('voice_call', v.id), place_call.run_at)
         WHERE x.id = v.id;
    END IF;
END
$$;
COMMENT ON FUNCTION place_call(bigint, timestamptz) IS
    'plans a telephone call for a command that is outstanding, in the caller''s transaction; while another call for it is under way, the '
    'call comes after that one. The caller has locked agent and command (internal)';

-- What Twilio said of a call, by an answer or by a callback.
CREATE FUNCTION advance_voice_call(voice_call bigint, sid text, status text, answered_by text DEFAULT NULL,
    detail text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    rank    CONSTANT integer := mulberry_internal.voice_call_rank(status);
    at      CONSTANT timestamptz := clock_timestamp();
    v       mulberry_internal.voice_calls;
BEGIN
    UPDATE mulberry_internal.voice_calls x
       SET sid = coalesce(x.sid, advance_voice_call.sid), answered_by = coalesce(advance_voice_call.answered_by, x.answered_by)
     WHERE x.id = voice_call RETURNING x.* INTO STRICT v;
    IF v.finished_at IS NOT NULL OR rank IS NULL OR rank <= mulberry_internal.voice_call_rank(v.state) THEN
        RETURN;
    END IF;
    UPDATE mulberry_internal.voice_calls x
       SET state = CASE status WHEN 'initiated' THEN 'queued' ELSE status END, page = NULL, failures = 0,
           answered_at = CASE WHEN status = 'in-progress' THEN at ELSE x.answered_at END,
           ended_at = CASE WHEN rank = 6 THEN at ELSE x.ended_at END,
           -- a request that failed before has been got over
           detail = advance_voice_call.detail
     WHERE x.id = v.id;
    PERFORM mulberry_internal.emit_event(v.tenant, 'voice_call', NULL, NULL, jsonb_strip_nulls(jsonb_build_object(
        'command_id', v.command, 'purpose', v.purpose, 'attempt', v.attempt, 'call_sid', v.sid, 'status', status,
        'answered_by', v.answered_by)));
    IF rank = 6 THEN
        PERFORM mulberry_internal.voice_call_over(v.id);
    ELSE
        PERFORM mulberry_internal.wake_voice_call(v.id, CASE WHEN mulberry_internal.voice_call_wanted(v) OR v.acknowledged
            THEN at + (SELECT s.poll_interval
                         FROM mulberry_internal.telephony_settings((mulberry_internal.telephony_endpoint(v.tenant)).options) s)
            ELSE at END);
    END IF;
END
$$;
COMMENT ON FUNCTION advance_voice_call(bigint, text, text, text, text) IS
    'moves a call on to what Twilio said of it; what is old, or not known, changes nothing. The caller has locked it (internal)';

CREATE FUNCTION voice_call_over(voice_call bigint) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v       mulberry_internal.voice_calls;
    machine text;
BEGIN
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    machine := CASE WHEN v.answered_by ~ '^(machine|fax)' THEN 'machine' END;
    IF v.acknowledged THEN
        PERFORM mulberry_internal.finish_voice_call(v.id, 'acknowledged', NULL);
    ELSIF NOT mulberry_internal.voice_call_wanted(v) THEN
        PERFORM mulberry_internal.finish_voice_call(v.id, 'superseded', 'the command was settled or signed anew meanwhile');
    ELSIF v.state <> 'completed' THEN
        PERFORM mulberry_internal.finish_voice_call(v.id, v.state, coalesce(v.detail, 'Twilio says ' || v.state));
    ELSIF v.purpose = 'escalation' THEN
        PERFORM mulberry_internal.finish_voice_call(v.id, coalesce(machine, 'delivered'), v.answered_by);
    ELSIF (SELECT s.record
             FROM mulberry_internal.telephony_settings((mulberry_internal.telephony_endpoint(v.tenant)).options) s) IS NOT FALSE THEN
        -- the recording is what is left to listen to
        PERFORM mulberry_internal.wake_voice_call(v.id);
    ELSE
        PERFORM mulberry_internal.finish_voice_call(v.id, coalesce(machine, 'no acknowledgement'), v.answered_by);
    END IF;
END
$$;
COMMENT ON FUNCTION voice_call_over(bigint) IS
    'what follows from the end of a call: its recording is fetched, or it is finished (internal)';

CREATE FUNCTION finish_voice_call(voice_call bigint, outcome text, detail text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v         mulberry_internal.voice_calls;
    wanted    boolean;
    delete_it boolean;
    other     bigint;
BEGIN
    SELECT x.* INTO v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    IF NOT FOUND OR v.finished_at IS NOT NULL THEN    -- it may have gone with its agent
        RETURN;
    END IF;
    wanted := mulberry_internal.voice_call_wanted(v);
    delete_it := (v.answered_at IS NOT NULL OR v.state = 'completed')
        AND (SELECT s.delete_recordings AND s.record
            FROM mulberry_internal.telephony_settings((mulberry_internal.telephony_endpoint(v.tenant)).options) s);
    UPDATE mulberry_internal.voice_calls x
       SET finished_at = clock_timestamp(), outcome = finish_voice_call.outcome, detail = left(finish_voice_call.detail, 500),
           state = CASE WHEN x.state = 'planned' AND finish_voice_call.outcome <> 'superseded' THEN 'failed' ELSE x.state END,
           request = NULL, page = NULL, recording = NULL, failures = 0, delete_recording = coalesce(delete_it, false)
     WHERE x.id = v.id;
    PERFORM mulberry_internal.count_metric('voice_calls_total', x.tenant, x.state),
            mulberry_internal.observe_metric('voice_call_duration_seconds', x.tenant,
                                             extract(epoch FROM coalesce(x.ended_at, x.finished_at) - x.answered_at))
       FROM mulberry_internal.voice_calls x WHERE x.id = v.id AND x.state <> 'planned';
    PERFORM mulberry_internal.count_calls(v.command);
    PERFORM mulberry_internal.record_audit(v.tenant, CASE v.purpose WHEN 'command' THEN 'VOICE_CALL' ELSE 'ESCALATION_CALL' END,
        finish_voice_call.outcome,
        c.mandate, c.agent, c.id, 'voice', jsonb_strip_nulls(jsonb_build_object('attempt', v.attempt, 'call_sid', v.sid, 'state', v.state,
            'answered_by', v.answered_by, 'detail', left(finish_voice_call.detail, 500), 'requested_at', v.requested_at, 'ended_at',
                v.ended_at)))
       FROM mulberry_internal.commands c WHERE c.id = v.command AND outcome <> 'superseded';
    IF v.listen_job IS NOT NULL THEN
        PERFORM mulberry_internal.settle_job(v.listen_job, 'cancelled', 'the call is finished');
    END IF;
    IF coalesce(delete_it, false) OR cardinality(v.stray_sids) > 0 THEN
        PERFORM mulberry_internal.wake_voice_call(v.id);
    ELSE
        PERFORM mulberry_internal.settle_job(v.job, 'done', NULL);
    END IF;
    -- Whoever waits for the line.
    FOR other IN SELECT x.id FROM mulberry_internal.voice_calls x
                  WHERE x.tenant = v.tenant AND x.to_number = v.to_number AND x.finished_at IS NULL
                    AND x.state = 'planned' AND x.due_at <= clock_timestamp() ORDER BY x.id LIMIT 1
    LOOP
        PERFORM mulberry_internal.wake_voice_call(other);
    END LOOP;
    IF v.purpose = 'escalation' THEN
        PERFORM mulberry_internal.escalation_call_ended(v.id, wanted);
    ELSIF wanted AND outcome = 'refused' THEN
        -- the same request would be refused again, so a person hears of it now
        PERFORM mulberry_internal.escalate_command(v.command, 'Twilio refused the call: ' || left(finish_voice_call.detail, 500));
        PERFORM mulberry_internal.next_command(c.tenant, c.agent) FROM mulberry_internal.commands c WHERE c.id = v.command;
    ELSIF wanted OR outcome = 'challenged' THEN
        PERFORM mulberry_internal.voice_attempt_ended(v.id, outcome, left(finish_voice_call.detail, 500));
    ELSIF v.successor_at IS NOT NULL
       AND EXISTS (SELECT FROM mulberry_internal.commands c WHERE c.id = v.command AND c.state = 'outstanding') THEN
        PERFORM mulberry_internal.place_call(v.command, greatest(v.successor_at, clock_timestamp()));
    END IF;
END
$$;
COMMENT ON FUNCTION finish_voice_call(bigint, text, text) IS
    'ends our interest in a call, and says what follows for its command. The caller has locked it (internal)';

CREATE FUNCTION commands_moved_on() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    PERFORM mulberry_internal.wake_voice_call(v.id) FROM mulberry_internal.voice_calls v
      WHERE v.command = new.id AND v.finished_at IS NULL AND NOT v.acknowledged;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION commands_moved_on() IS 'trigger: a call for a command that is settled, or has another frame, is ended at once';
CREATE TRIGGER commands_moved_on AFTER UPDATE OF state, frame ON commands FOR EACH ROW
    WHEN (old.state = 'outstanding' AND (new.state <> 'outstanding' OR new.frame IS DISTINCT FROM old.frame))
    EXECUTE FUNCTION commands_moved_on();

-- A job was given up: its worker died again and again, or somebody cancelled it.
CREATE FUNCTION give_up_telephony(job job_queue, final_state text, error text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    c mulberry_internal.commands;
BEGIN
    CASE job.kind
    WHEN 'call' THEN
        PERFORM mulberry_internal.finish_voice_call((job.payload->>'voice_call')::bigint,
            CASE final_state WHEN 'cancelled' THEN 'canceled' ELSE 'failed' END, error);
    WHEN 'listen' THEN
        PERFORM mulberry_internal.wake_voice_call((job.payload->>'voice_call')::bigint);
    WHEN 'escalate' THEN
        PERFORM mulberry_internal.record_audit(job.tenant, 'EMERGENCY_REPORT', 'failed',
            evidence => jsonb_build_object('endpoint', job.endpoint, 'error', error, 'reference', job.payload->'report'->'reference'))
          WHERE job.payload ? 'report';
        SELECT x.* INTO c FROM mulberry_internal.commands x WHERE x.id = (job.payload->>'command')::bigint;
        IF FOUND THEN
            PERFORM mulberry_internal.record_audit(c.tenant, 'ESCALATION_REPORT', 'failed', c.mandate, c.agent, c.id, NULL,
                jsonb_build_object('endpoint', job.endpoint, 'error', error));
            PERFORM mulberry_internal.emit_event(c.tenant, 'escalation_failed', NULL, NULL,
                jsonb_build_object('command_id', c.id, 'endpoint', job.endpoint, 'error', error));
        END IF;
    END CASE;
END
$$;
COMMENT ON FUNCTION give_up_telephony(job_queue, text, text) IS
    'what follows when a job of kind call, listen or escalate is given up (internal)';

-- A call whose job cannot be claimed, because the endpoint is gone or disabled, must not be forgotten.
CREATE FUNCTION sweep_voice_calls(at timestamptz DEFAULT clock_timestamp()) RETURNS integer
LANGUAGE plpgsql SET lock_timeout = '100ms'
AS $$
DECLARE
    patience CONSTANT interval := interval '2 minutes';
    stuck    record;
    n        integer := 0;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    DELETE FROM mulberry_internal.webhook_answers w
     WHERE w.ctid = ANY (ARRAY(SELECT x.ctid FROM mulberry_internal.webhook_answers x
                                WHERE x.at < sweep_voice_calls.at - interval '1 day' FOR UPDATE SKIP LOCKED));
    IF NOT mulberry.outbound_allowed() THEN
        RETURN 0;
    END IF;
    FOR stuck IN
        SELECT v.id, v.tenant, coalesce(mulberry_internal.telephony_problem(v.tenant), 'its job is gone') AS problem
          FROM mulberry_internal.voice_calls v
          LEFT JOIN mulberry_internal.job_queue q ON q.id = v.job
          LEFT JOIN mulberry_internal.endpoints e ON e.id = q.route
         WHERE v.finished_at IS NULL
           AND greatest(v.due_at, v.requested_at, v.ended_at) < sweep_voice_calls.at - patience
           AND (q.id IS NULL OR ((e.id IS NULL OR NOT e.enabled) AND q.run_at < sweep_voice_calls.at - patience))
           AND NOT mulberry_internal.is_set_aside('voice calls', v.id::text)
         ORDER BY v.id
    LOOP
        BEGIN
            PERFORM mulberry_internal.lock_voice_call(stuck.id);
            PERFORM mulberry_internal.finish_voice_call(stuck.id, 'failed', stuck.problem);
            n := n + 1;
        EXCEPTION
            WHEN lock_not_available OR transaction_rollback THEN
                PERFORM mulberry_internal.blocked();    -- the next time
            WHEN OTHERS THEN
                PERFORM mulberry_internal.set_aside('voice calls', stuck.id::text, stuck.tenant, SQLSTATE, SQLERRM);
        END;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION sweep_voice_calls(timestamptz) IS
    'ends calls that nothing drives any more, and forgets answers to webhooks after a day; part of maintenance (internal)';

-- src/telephony/requests.sql
-- What the worker asks Twilio next.

CREATE FUNCTION next_voice_request(voice_call bigint) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    at     CONSTANT timestamptz := clock_timestamp();
    v      mulberry_internal.voice_calls;
    s      record;
    wanted boolean;
    u      mulberry_internal.voice_calls;
    reason text;
BEGIN
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    SELECT * INTO s FROM mulberry_internal.telephony_settings((mulberry_internal.telephony_endpoint(v.tenant)).options);
    wanted := mulberry_internal.voice_call_wanted(v);
    IF v.state = 'requested' THEN
        -- Whoever asked for it died, or could not store the answer.
        UPDATE mulberry_internal.voice_calls x SET state = 'uncertain', uncertain_since = at, looks = 0, page = NULL WHERE x.id = v.id;
        v.state := 'uncertain';
        v.uncertain_since := at;
    END IF;
    IF cardinality(v.stray_sids) > 0 THEN
        RETURN 'end stray';
    END IF;
    IF v.finished_at IS NOT NULL THEN
        IF v.delete_recording AND v.failures < 5 THEN
            RETURN CASE WHEN v.recording_sid IS NULL THEN 'recordings' ELSE 'delete recording' END;
        END IF;
        PERFORM mulberry_internal.settle_job(v.job, 'done', NULL);
        RETURN NULL;
    END IF;

    CASE mulberry_internal.voice_call_rank(v.state)
    WHEN 0 THEN
        IF NOT wanted THEN
            PERFORM mulberry_internal.finish_voice_call(v.id, 'superseded',
                'the command was settled or signed anew before the call was placed');
            RETURN NULL;
        END IF;
        reason := mulberry_internal.telephony_problem(v.tenant);
        IF reason IS NOT NULL OR at > v.give_up_at THEN
            PERFORM mulberry_internal.finish_voice_call(v.id, 'failed', coalesce(reason, 'it could not be placed: ' || v.detail));
            RETURN NULL;
        END IF;
        -- An earlier call of which nobody knows how it ended is taken over, never dialled beside.
        SELECT x.* INTO u FROM mulberry_internal.voice_calls x
         WHERE x.command = v.command AND x.purpose = v.purpose AND x.id < v.id AND x.finished_at IS NOT NULL
           AND mulberry_internal.voice_call_rank(x.state) BETWEEN 1 AND 5
         ORDER BY x.id DESC LIMIT 1;
        IF FOUND THEN
            UPDATE mulberry_internal.voice_calls x SET state = 'failed', sid = NULL WHERE x.id = u.id;
            UPDATE mulberry_internal.voice_calls x
               SET state = CASE WHEN u.sid IS NULL THEN 'uncertain' ELSE u.state END, sid = u.sid, requested_at = u.requested_at,
                   frame = u.frame, uncertain_since = at, looks = 0,
                   successor_at = CASE WHEN u.frame IS DISTINCT FROM v.frame THEN at END
             WHERE x.id = v.id;
            RETURN mulberry_internal.next_voice_request(v.id);
        END IF;
        -- The agent has one line, and so has the contact of many agents: who looks whether it is free
        -- has the oldest call for it locked.
        PERFORM FROM mulberry_internal.voice_calls x
          WHERE x.id = (SELECT min(y.id) FROM mulberry_internal.voice_calls y
                         WHERE y.tenant = v.tenant AND y.to_number = v.to_number AND y.finished_at IS NULL)
            FOR NO KEY UPDATE SKIP LOCKED;
        IF NOT FOUND OR EXISTS (SELECT FROM mulberry_internal.voice_calls x
                    WHERE x.tenant = v.tenant AND x.to_number = v.to_number AND x.id <> v.id AND x.finished_at IS NULL
                      AND mulberry_internal.voice_call_rank(x.state) BETWEEN 1 AND 5) THEN
            PERFORM mulberry_internal.rest_voice_call(v.id, at + interval '2 seconds');
            RETURN NULL;
        END IF;
        UPDATE mulberry_internal.voice_calls x
           SET state = 'requested', requested_at = at, placings = x.placings + 1, from_number = s.from_number, turn = s.repetitions,
               give_up_at = coalesce(x.give_up_at, at + interval '1 minute')
         WHERE x.id = v.id;
        PERFORM mulberry_internal.count_calls(v.command);
        RETURN 'create';
    WHEN 2 THEN
        IF at > v.uncertain_since + make_interval(secs => s.call_timeout + s.time_limit) + interval '1 minute' THEN
            -- Twilio does not even say what it has.  If there was a call, it is over.
            PERFORM mulberry_internal.finish_voice_call(v.id, 'failed', 'it is not known whether it was placed: ' || coalesce(v.detail,
                'no answer'));
            RETURN NULL;
        END IF;
        RETURN 'look';
    WHEN 6 THEN
        IF NOT wanted THEN
            PERFORM mulberry_internal.voice_call_over(v.id);
            RETURN NULL;
        ELSIF v.listen_job IS NOT NULL THEN
            PERFORM mulberry_internal.judge_transcript(v.id);
            RETURN NULL;
        END IF;
        RETURN CASE WHEN v.recording_sid IS NULL THEN 'recordings' ELSE 'media' END;
    ELSE
        IF NOT wanted AND NOT v.acknowledged THEN
            RETURN 'end';
        ELSIF at > v.requested_at + make_interval(secs => s.call_timeout + s.time_limit) + interval '10 minutes' THEN
            PERFORM mulberry_internal.finish_voice_call(v.id, 'failed', 'Twilio never said how it ended');
            RETURN NULL;
        END IF;
        RETURN 'poll';
    END CASE;
END
$$;
COMMENT ON FUNCTION next_voice_request(bigint) IS
    'what Twilio is asked next about a call: create, look (is there such a call?), poll, end, end stray, recordings, media, delete '
    'recording; null: nothing, the call is finished or rests. What has to be known should the answer be lost is written first. The '
    'caller has locked it (internal)';

CREATE FUNCTION rest_voice_call(voice_call bigint, until timestamptz, error text DEFAULT NULL) RETURNS void
LANGUAGE sql
AS $$
    -- a step that came to its end leaves all attempts to the next one
    UPDATE mulberry_internal.job_queue q
       SET state = 'queued', run_at = $2, attempts = 0, deferrals = 0, worker = NULL, last_error = coalesce(left($3, 500), q.last_error)
      FROM mulberry_internal.voice_calls v WHERE v.id = $1 AND q.id = v.job
$$;
COMMENT ON FUNCTION rest_voice_call(bigint, timestamptz, text) IS 'puts the job of a call back into the queue until a time (internal)';

CREATE FUNCTION telephony_step(job bigint, token bigint,
    OUT ready boolean, OUT kind text, OUT base_url text, OUT secret text, OUT secret_tenant uuid, OUT timeout_ms integer,
    OUT allow_http boolean, OUT allow_private boolean, OUT report jsonb,
    OUT request text, OUT account text, OUT user_name text, OUT sid text, OUT to_number text, OUT from_number text, OUT document text,
    OUT call_timeout integer, OUT time_limit integer, OUT machine_detection text, OUT recorded boolean, OUT status_callback text,
    OUT recording_callback text, OUT end_status text, OUT page text)
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    p record;
    j mulberry_internal.job_queue;
    v mulberry_internal.voice_calls;
    s record;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    ready := false;
    -- a client that takes its time to commit must not keep the worker from the jobs of others
    IF NOT mulberry_internal.lock_telephony_job_soon(job) THEN
        PERFORM mulberry_internal.defer_job(job, token, 'the agent is locked by another transaction');
        RETURN;
    END IF;
    PERFORM mulberry_internal.require_durable_commit();
    SELECT * INTO p FROM mulberry_internal.prepare_job(job, token);
    IF NOT p.ready THEN
        RETURN;
    END IF;
    SELECT q.* INTO STRICT j FROM mulberry_internal.job_queue q WHERE q.id = job;
    kind := p.kind;
    base_url := p.base_url;
    secret := p.secret;
    secret_tenant := p.secret_tenant;
    timeout_ms := p.timeout_ms;
    allow_http := p.allow_http;
    allow_private := p.allow_private;
    IF j.kind = 'escalate' THEN
        ready := true;
        report := coalesce(j.payload->'report', mulberry_internal.escalation_report((j.payload->>'command')::bigint));
        RETURN;
    END IF;

    IF j.kind = 'fetch' THEN
        request := 'media';
        v.recording_sid := j.payload->>'recording_sid';
    ELSE
        SELECT x.* INTO v FROM mulberry_internal.voice_calls x WHERE x.id = (j.payload->>'voice_call')::bigint;
        IF NOT FOUND THEN
            PERFORM mulberry_internal.settle_job(job, 'cancelled', 'the call is gone');
            RETURN;
        END IF;
        request := mulberry_internal.next_voice_request(v.id);
        IF request IS NULL THEN
            RETURN;
        END IF;
        UPDATE mulberry_internal.voice_calls x SET request = telephony_step.request WHERE x.id = v.id RETURNING x.* INTO v;
    END IF;

    SELECT * INTO s FROM mulberry_internal.telephony_settings(p.options);
    ready := true;
    account := s.account_sid;
    user_name := coalesce(s.api_key_sid, s.account_sid);
    IF s.api_key_sid IS NOT NULL THEN
        secret := s.api_key_secret;
        secret_tenant := mulberry_internal.secret_tenant((SELECT e.tenant FROM mulberry_internal.endpoints e WHERE e.id = j.route),
            secret, j.tenant);
    END IF;
    sid := v.sid;
    to_number := v.to_number;
    from_number := v.from_number;
    CASE request
    WHEN 'create' THEN
        call_timeout := s.call_timeout;
        time_limit := s.time_limit;
        machine_detection := s.machine_detection;
        document := mulberry_internal.voice_document(v.id, p.options);
        recorded := s.record AND v.purpose = 'command';
        IF s.public_url IS NOT NULL THEN
            status_callback := format('%s/twilio/status?token=%s', s.public_url, v.token);
            recording_callback := CASE WHEN recorded THEN format('%s/twilio/recording?token=%s', s.public_url, v.token) END;
        END IF;
    WHEN 'look' THEN
        page := v.page;
    WHEN 'end' THEN
        end_status := CASE WHEN v.state = 'in-progress' THEN 'completed' ELSE 'canceled' END;
    WHEN 'end stray' THEN
        request := 'end';
        sid := v.stray_sids[1];
        end_status := 'completed';
    WHEN 'media', 'delete recording' THEN
        sid := v.recording_sid;
    WHEN 'poll', 'recordings' THEN
        NULL;
    END CASE;
END
$$;
COMMENT ON FUNCTION telephony_step(bigint, bigint) IS
    'what a service is asked next for a job of kind call, escalate or fetch, in plain parameters, for the one who holds its token; ready '
    'is false when there is nothing: the job is settled or waits. report: it is sent that; otherwise request names what is wanted of a '
    'call: create, look (for calls between these numbers, or at a further page), poll, end, recordings, media, delete recording. The '
    'commit must be on disk before the request is sent';

-- src/telephony/answers.sql
-- What the answer means.

CREATE FUNCTION telephony_answer(job bigint, token bigint, outcome text, status integer, retry_after interval, problem text,
    sids text[], to_numbers text[], from_numbers text[], inbound boolean[], created timestamptz[], states text[], answered_by text[],
    next_page text, recording bytea)
RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    at      CONSTANT timestamptz := clock_timestamp();
    j       mulberry_internal.job_queue;
    v       mulberry_internal.voice_calls;
    request text;
    rest    timestamptz;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    IF NOT mulberry_internal.lock_telephony_job_soon(job) THEN
        -- what has become of the request is found out by the next step
        PERFORM mulberry_internal.defer_job(job, token, 'the agent is locked by another transaction');
        RETURN;
    END IF;
    j := mulberry_internal.leased_job(job, token);
    IF j.id IS NULL THEN
        RETURN;
    END IF;
    IF j.kind = 'escalate' THEN
        PERFORM mulberry_internal.settle_job(job, 'done', NULL);
        PERFORM mulberry_internal.record_audit(c.tenant, 'ESCALATION_REPORT', 'delivered', c.mandate, c.agent, c.id, NULL,
            jsonb_build_object('endpoint', j.endpoint, 'status', status))
           FROM mulberry_internal.commands c WHERE c.id = (j.payload->>'command')::bigint;
        PERFORM mulberry_internal.record_audit(j.tenant, 'EMERGENCY_REPORT', 'delivered',
            evidence => jsonb_build_object('endpoint', j.endpoint, 'status', status, 'reference', j.payload->'report'->'reference'))
          WHERE j.payload ? 'report';
        RETURN;
    END IF;
    IF j.kind = 'fetch' THEN
        PERFORM mulberry_internal.take_fetched(j, recording);
        RETURN;
    END IF;
    SELECT x.* INTO v FROM mulberry_internal.voice_calls x WHERE x.id = (j.payload->>'voice_call')::bigint;
    IF NOT FOUND THEN
        PERFORM mulberry_internal.settle_job(job, 'cancelled', 'the call is gone');
        RETURN;
    END IF;
    request := v.request;
    status := coalesce(status, 0);
    problem := coalesce(problem, CASE WHEN status = 0 THEN 'no answer' ELSE format('HTTP %s', status) END);
    UPDATE mulberry_internal.voice_calls x SET request = NULL,
           failures = CASE WHEN telephony_answer.status BETWEEN 200 AND 299 THEN 0 ELSE x.failures + 1 END,
           detail = CASE WHEN telephony_answer.status BETWEEN 200 AND 299 THEN x.detail ELSE telephony_answer.problem END
     WHERE x.id = v.id RETURNING x.* INTO v;

    CASE request
    WHEN 'create' THEN
        rest := mulberry_internal.answer_to_create(v, outcome, status, sids[1], states[1], retry_after, problem);
    WHEN 'look' THEN
        rest := mulberry_internal.answer_to_look(v, status, sids, to_numbers, from_numbers, inbound, created, states, answered_by,
            next_page);
    WHEN 'poll' THEN
        IF status BETWEEN 200 AND 299 THEN
            PERFORM mulberry_internal.advance_voice_call(v.id, NULL, states[1], answered_by[1]);
        ELSIF status = 404 AND v.failures >= 3 THEN
            PERFORM mulberry_internal.advance_voice_call(v.id, NULL, 'failed', NULL, problem);
        END IF;
    WHEN 'end' THEN
        IF status BETWEEN 200 AND 299 THEN
            PERFORM mulberry_internal.advance_voice_call(v.id, NULL, states[1], answered_by[1]);
        ELSIF status = 404 THEN
            PERFORM mulberry_internal.advance_voice_call(v.id, NULL, 'canceled', NULL, problem);
        ELSIF status = 400 AND v.state = 'queued' THEN
            -- 21220: no longer to be cancelled, because it has begun
            PERFORM mulberry_internal.advance_voice_call(v.id, NULL, 'in-progress');
        ELSIF status = 400 AND v.failures >= 3 THEN
            PERFORM mulberry_internal.advance_voice_call(v.id, NULL, 'completed', NULL, problem);
        ELSIF status = 400 AND v.state = 'ringing' THEN
            UPDATE mulberry_internal.voice_calls x SET state = 'in-progress' WHERE x.id = v.id;
        END IF;
    WHEN 'end stray' THEN
        IF status BETWEEN 200 AND 299 OR status IN (400, 404) OR v.failures >= 10 THEN
            UPDATE mulberry_internal.voice_calls x SET stray_sids = x.stray_sids[2:] WHERE x.id = v.id;
            PERFORM mulberry_internal.record_audit(v.tenant, 'STRAY_CALL', CASE WHEN status = 0 THEN 'not ended' ELSE 'ended' END,
                c.mandate, c.agent, c.id, 'voice', jsonb_build_object('call_sid', v.stray_sids[1], 'status', status))
               FROM mulberry_internal.commands c WHERE c.id = v.command;
            rest := at;
        END IF;
    WHEN 'recordings' THEN
        rest := mulberry_internal.answer_to_recordings(v, sids, states, problem);
    WHEN 'media' THEN
        rest := mulberry_internal.answer_to_media(v, status, recording, problem);
    WHEN 'delete recording' THEN
        IF status BETWEEN 200 AND 299 OR status = 404 THEN
            UPDATE mulberry_internal.voice_calls x SET delete_recording = false WHERE x.id = v.id;
            rest := at;
        END IF;
    ELSE
        NULL;    -- another step has been taken meanwhile
    END CASE;

    -- When to go on, unless something above has said so, or has finished the call.
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = v.id;
    IF rest IS NULL THEN
        IF v.failures > 0 THEN
            rest := at + greatest(least(coalesce(nullif(retry_after, '0'), '0'), '1 minute'),
                                  least(interval '1 second' * 2 ^ least(v.failures - 1, 10), '15 seconds'));
        ELSIF mulberry_internal.voice_call_rank(v.state) = 6 OR v.finished_at IS NOT NULL OR NOT (v.acknowledged
            OR mulberry_internal.voice_call_wanted(v)) THEN
            rest := at;
        ELSE
            rest := at + (SELECT s.poll_interval
                            FROM mulberry_internal.telephony_settings((mulberry_internal.telephony_endpoint(v.tenant)).options) s);
        END IF;
    END IF;
    PERFORM mulberry_internal.rest_voice_call(v.id, rest, CASE WHEN status NOT BETWEEN 200 AND 299 THEN problem END);
END
$$;
COMMENT ON FUNCTION telephony_answer(bigint, bigint, text, integer, interval, text, text[], text[], text[], boolean[], timestamptz[],
    text[], text[], text, bytea) IS
    'takes what became of the request of telephony_step(): outcome (answered, unreachable: never sent, broken: sent and no whole answer, '
    'too large), HTTP status, what the service says is wrong; calls or recordings, a column each and null when there was no list; '
    'where the list goes on; sound. Drops it when the token is no longer the job''s';

CREATE FUNCTION answer_to_create(v voice_calls, outcome text, status integer, sid text, state text, retry_after interval,
    problem text) RETURNS timestamptz
LANGUAGE plpgsql
AS $$
DECLARE
    at    CONSTANT timestamptz := clock_timestamp();
    pause interval;
    last_try timestamptz;
BEGIN
    IF v.state <> 'requested' THEN
        RETURN NULL;    -- a callback was faster than the answer
    END IF;
    IF status BETWEEN 200 AND 299 AND sid IS NOT NULL THEN
        PERFORM mulberry_internal.advance_voice_call(v.id, sid, 'queued');
        PERFORM mulberry_internal.advance_voice_call(v.id, sid, state);
        RETURN NULL;
    END IF;
    IF status BETWEEN 400 AND 499 AND status NOT IN (408, 429) THEN
        UPDATE mulberry_internal.voice_calls x SET state = 'planned', placings = x.placings - 1 WHERE x.id = v.id;
        PERFORM mulberry_internal.finish_voice_call(v.id, 'refused', problem);
        RETURN NULL;
    END IF;
    IF status = 429 OR outcome = 'unreachable' THEN
        -- Not placed.  Too many requests are a matter of waiting; a service that cannot be reached may be so for long.
        pause := greatest(coalesce(retry_after, '0'), least(interval '1 second' * 2 ^ least(v.failures - 1, 10), '15 seconds'));
        UPDATE mulberry_internal.voice_calls x
           SET state = 'planned', placings = x.placings - 1,
               give_up_at = CASE WHEN status = 429 THEN greatest(x.give_up_at, x.due_at + interval '10 minutes') ELSE x.give_up_at END
         WHERE x.id = v.id RETURNING x.give_up_at INTO last_try;
        RETURN least(at + pause, last_try + interval '1 second');
    END IF;
    UPDATE mulberry_internal.voice_calls x SET state = 'uncertain', uncertain_since = at, looks = 0, page = NULL, failures = 0
        WHERE x.id = v.id;
    RETURN at + interval '1 second';
END
$$;
COMMENT ON FUNCTION answer_to_create(voice_calls, text, integer, text, text, interval, text) IS
    'what the answer to POST Calls means: placed, refused for good, not placed (429, never sent), or not known. Returns when to go on; '
    'null: by the state of the call (internal)';

CREATE FUNCTION answer_to_look(v voice_calls, status integer, sids text[], to_numbers text[], from_numbers text[],
    inbound boolean[], created timestamptz[], states text[], answered_by text[], next_page text) RETURNS timestamptz
LANGUAGE plpgsql
AS $$
DECLARE
    at           CONSTANT timestamptz := clock_timestamp();
    clock_skew   CONSTANT interval := interval '30 seconds';    -- between Twilio's clock and ours
    looks_needed CONSTANT integer := 4;
    placings_max CONSTANT integer := 5;
    since        CONSTANT timestamptz := v.requested_at - clock_skew;
    adopted      record;
BEGIN
    IF v.state <> 'uncertain' OR status NOT BETWEEN 200 AND 299 OR sids IS NULL THEN
        UPDATE mulberry_internal.voice_calls x SET failures = greatest(x.failures, 1) WHERE x.id = v.id AND x.state = 'uncertain';
        RETURN NULL;
    END IF;
    SELECT c.* INTO adopted
      FROM unnest(sids, to_numbers, from_numbers, inbound, created, states, answered_by)
           AS c (sid, to_number, from_number, inbound, created, state, answered_by)
     WHERE c.to_number = v.to_number AND c.from_number = v.from_number AND NOT c.inbound AND c.created >= since
       AND NOT EXISTS (SELECT FROM mulberry_internal.voice_calls k WHERE k.sid = c.sid OR c.sid = ANY (k.stray_sids))
     ORDER BY c.created LIMIT 1;
    IF FOUND THEN
        PERFORM mulberry_internal.advance_voice_call(v.id, adopted.sid, 'queued');
        PERFORM mulberry_internal.advance_voice_call(v.id, adopted.sid, adopted.state, adopted.answered_by);
        RETURN NULL;
    END IF;
    -- older ones follow newer ones
    IF next_page IS NOT NULL AND EXISTS (SELECT FROM unnest(created) AS c (at) WHERE c.at >= since) THEN
        UPDATE mulberry_internal.voice_calls x SET page = next_page WHERE x.id = v.id;
        RETURN at;
    END IF;
    UPDATE mulberry_internal.voice_calls x SET looks = x.looks + 1, page = NULL WHERE x.id = v.id RETURNING x.looks INTO v.looks;
    IF v.looks < looks_needed THEN
        RETURN at + interval '1 second' * 2 ^ v.looks;
    END IF;
    IF v.placings >= placings_max THEN
        UPDATE mulberry_internal.voice_calls x SET state = 'planned' WHERE x.id = v.id;
        PERFORM mulberry_internal.finish_voice_call(v.id, 'failed', format('it could not be placed in %s tries: %s', v.placings, v.detail));
        RETURN NULL;
    END IF;
    -- Four looks over 14 s did not show it: it was not placed, and may be.
    UPDATE mulberry_internal.voice_calls x SET state = 'planned', uncertain_since = NULL, give_up_at = greatest(x.give_up_at,
        at + interval '1 minute')
     WHERE x.id = v.id;
    RETURN at;
END
$$;
COMMENT ON FUNCTION answer_to_look(voice_calls, integer, text[], text[], text[], boolean[], timestamptz[], text[], text[], text) IS
    'looks for a call that may have been placed in a page of the list of calls: adopts it, reads on, looks again later, or takes it for '
    'not placed. Returns when to go on; null: by the state of the call (internal)';

-- src/telephony/recordings.sql
-- Recordings: the acknowledgement that no webhook brought, or a spoken confirmation.

CREATE FUNCTION unheard(v voice_calls, why text) RETURNS void
LANGUAGE sql
AS $$
    SELECT mulberry_internal.finish_voice_call($1.id, CASE WHEN $1.answered_by ~ '^(machine|fax)' THEN 'machine'
        ELSE 'no acknowledgement' END,
                                      concat_ws('; ', $2, 'answered by ' || $1.answered_by))
$$;
COMMENT ON FUNCTION unheard(voice_calls, text) IS 'finishes a call that was answered and brought no acknowledgement (internal)';

CREATE FUNCTION answer_to_recordings(v voice_calls, sids text[], states text[], problem text) RETURNS timestamptz
LANGUAGE plpgsql
AS $$
DECLARE
    at       CONSTANT timestamptz := clock_timestamp();
    patience CONSTANT interval := interval '1 minute';    -- in which a recording gets ready
    listed   CONSTANT boolean := sids IS NOT NULL;
    ready    text;
BEGIN
    SELECT r.sid INTO ready FROM unnest(sids, states) AS r (sid, state) WHERE r.state = 'completed' LIMIT 1;
    IF ready IS NOT NULL THEN
        UPDATE mulberry_internal.voice_calls x SET recording_sid = ready WHERE x.id = v.id;
        RETURN at;
    END IF;
    IF v.finished_at IS NOT NULL THEN
        UPDATE mulberry_internal.voice_calls x SET delete_recording = false
         WHERE x.id = v.id AND listed AND at > v.finished_at + patience;
        RETURN CASE WHEN listed THEN at + interval '5 seconds' END;
    END IF;
    IF mulberry_internal.voice_call_rank(v.state) <> 6 THEN
        RETURN NULL;
    END IF;
    IF at > v.ended_at + patience
       OR (cardinality(sids) > 0
           AND NOT EXISTS (SELECT FROM unnest(states) AS r (state)
                            WHERE r.state IN ('in-progress', 'paused', 'stopped', 'processing'))) THEN
        PERFORM mulberry_internal.unheard(v, CASE WHEN NOT listed THEN problem ELSE 'there is no recording' END);
        RETURN NULL;
    END IF;
    RETURN CASE WHEN listed THEN at + interval '2 seconds' END;
END
$$;
COMMENT ON FUNCTION answer_to_recordings(voice_calls, text[], text[], text) IS
    'looks for a recording that is ready, for a minute after the end of the call. Returns when to go on; null: by the state of the call '
    '(internal)';

CREATE FUNCTION answer_to_media(v voice_calls, status integer, body bytea, problem text) RETURNS timestamptz
LANGUAGE plpgsql
AS $$
DECLARE
    at CONSTANT timestamptz := clock_timestamp();
BEGIN
    IF mulberry_internal.voice_call_rank(v.state) <> 6 OR v.finished_at IS NOT NULL THEN
        RETURN NULL;
    END IF;
    IF status BETWEEN 200 AND 299 AND body IS NOT NULL THEN
        RETURN mulberry_internal.judge_recording(v, body);
    ELSIF at > v.ended_at + interval '2 minutes' THEN
        PERFORM mulberry_internal.unheard(v, 'the recording could not be fetched: ' || problem);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION answer_to_media(voice_calls, integer, bytea, text) IS
    'takes the recording of a call. Returns when to go on; null: by the state of the call (internal)';

CREATE FUNCTION judge_recording(v voice_calls, wav bytea) RETURNS timestamptz
LANGUAGE plpgsql
AS $$
DECLARE
    at        CONSTANT timestamptz := clock_timestamp();
    time_for_listening CONSTANT interval := interval '30 seconds';
    -- what is said after our frame is said soon, and a recording may have any length
    seconds_listened_to CONSTANT integer := 300;
    -- Whoever answers the telephone can fill a recording with acknowledgements.  An agent has one for each frame.
    most      CONSTANT integer := 20;
    judged    integer := 0;
    unjudged  integer := 0;
    answers   CONSTANT text[] := ARRAY(SELECT lpad(s.key_id::text, 2, '0') || lpad(mulberry_internal.frame_counter(s.counter)::text, 4, '0')
                                         FROM mulberry_internal.command_signatures s WHERE s.command = v.command);
    source    CONSTANT jsonb := jsonb_build_object('call_sid', v.sid, 'recording_sid', v.recording_sid,
                                                   'sha256', encode(sha256(wav), 'hex'));
    part      record;
    heard     record;
    channel   integer := 1;
    channels  integer := 1;
    ours      integer;
    verdict   text;
    answered  text;
    challenged boolean := false;
    asked     record;
    e         mulberry_internal.endpoints;
    id_of_job bigint;
BEGIN
    WHILE channel <= channels LOOP
        BEGIN
            SELECT * INTO part FROM mulberry.wav_decode(wav, channel, true);
            IF part.sample_rate NOT IN (8000, 16000, 44100, 48000) THEN
                part.audio := mulberry.audio_convert(part.audio, part.encoding, part.sample_rate, part.encoding, 8000);
                part.sample_rate := 8000;
            END IF;
        EXCEPTION WHEN data_exception OR feature_not_supported OR program_limit_exceeded THEN
            PERFORM mulberry_internal.unheard(v, 'the recording cannot be read: ' || SQLERRM);
            RETURN NULL;
        END;
        channels := least(part.channels, 2);
        FOR heard IN
            -- each once, however often it is heard, and those first that answer this command
            SELECT f.frame, min(f.at_ms) AS at_ms
              FROM mulberry_internal.heard_frames(part.audio, part.encoding, part.sample_rate) f
             WHERE length(part.audio) > 0 AND (f.frame = v.frame OR length(f.frame) = 22)
             GROUP BY f.frame
             ORDER BY substr(f.frame, 2, 2) || substr(f.frame, 8, 4) = ANY (answers) DESC, min(f.at_ms)
        LOOP
            IF heard.frame = v.frame THEN
                ours := channel;
            ELSIF judged = most THEN
                unjudged := unjudged + 1;
            ELSE
                judged := judged + 1;
                verdict := mulberry_internal.accept_ack(v.command, heard.frame, 'voice',
                    source || jsonb_build_object('channel', channel, 'at_ms', heard.at_ms));
                IF NOT mulberry_internal.voice_call_wanted(v) THEN
                    UPDATE mulberry_internal.voice_calls x SET acknowledged = true WHERE x.id = v.id;
                    PERFORM mulberry_internal.finish_voice_call(v.id, 'acknowledged', NULL);
                    RETURN NULL;
                ELSIF verdict = 'challenge wanted' THEN
                    answered := heard.frame;
                END IF;
            END IF;
        END LOOP;
        IF answered IS NOT NULL AND NOT challenged THEN
            challenged := true;
            SELECT h.* INTO asked FROM mulberry_internal.heard_challenge(part.audio, part.encoding, part.sample_rate, answered) AS h;
        END IF;
        channel := channel + 1;
    END LOOP;
    IF unjudged > 0 THEN
        PERFORM mulberry_internal.record_audit(v.tenant, 'ACKNOWLEDGEMENT_REJECTED', 'not judged', NULL,
            (SELECT c.agent FROM mulberry_internal.commands c WHERE c.id = v.command), v.command, 'voice',
            source || jsonb_build_object('judged', judged, 'not_judged', unjudged));
    END IF;

    IF challenged THEN
        -- What was played in the call that is over is answered by the next one, if that is soon enough.
        UPDATE mulberry_internal.commands c
           SET challenged_at = least(c.challenged_at, v.ended_at - make_interval(secs => asked.ms_to_end / 1000.0))
         WHERE c.id = v.command AND asked.ms_to_end IS NOT NULL;
        verdict := mulberry_internal.accept_challenge(v.command, asked.digits);
        IF verdict = 'signed' THEN
            PERFORM mulberry_internal.finish_voice_call(v.id, 'challenged',
                'the agent wants a challenge answered, which the next call does');
        ELSIF verdict = 'too late' THEN
            PERFORM mulberry_internal.finish_voice_call(v.id, 'challenged', 'the agent''s challenge was heard too late to be answered');
        ELSE
            PERFORM mulberry_internal.unheard(v, 'the agent wants a challenge answered, and its digits were not understood');
        END IF;
        RETURN NULL;
    END IF;

    -- Nothing that is signed.  What was said is weaker, but better than nothing: without our own channel.
    SELECT x.* INTO e FROM mulberry_internal.endpoints x WHERE x.id = mulberry_internal.endpoint_for(v.tenant, 'transcription');
    IF e.id IS NULL OR NOT e.enabled
       OR (mulberry_internal.open_breaker(e.id, v.tenant)).endpoint IS NOT NULL THEN
        PERFORM mulberry_internal.unheard(v, coalesce('last frame heard: ' || verdict, 'no frame in the recording'));
        RETURN NULL;
    END IF;
    SELECT * INTO part FROM mulberry.wav_decode(wav, CASE WHEN channels = 2 AND ours IS NOT NULL THEN 3 - ours END, true);
    IF length(part.audio) = 0 THEN
        PERFORM mulberry_internal.unheard(v, 'the recording is empty');
        RETURN NULL;
    END IF;
    part.audio := substr(part.audio, 1, seconds_listened_to * part.sample_rate * CASE part.encoding WHEN 's16le' THEN 2 ELSE 1 END);
    UPDATE mulberry_internal.voice_calls x
       SET recording = mulberry.wav_encode(mulberry.audio_convert(part.audio, part.encoding, part.sample_rate, 's16le', 8000), 's16le',
           8000),
           give_up_at = at + time_for_listening
     WHERE x.id = v.id;
    id_of_job := mulberry_internal.enqueue_job('listen', v.tenant, NULL, NULL, jsonb_build_object('voice_call', v.id));
    UPDATE mulberry_internal.voice_calls x SET listen_job = id_of_job WHERE x.id = v.id;
    RETURN at + time_for_listening;
END
$$;
COMMENT ON FUNCTION judge_recording(voice_calls, bytea) IS
    'looks for the acknowledgement in a recording, on each of its channels, and judges 20 different ones at most; without one, has its '
    'first five minutes transcribed where an endpoint does that. Returns when to go on; null: by the state of the call (internal)';

CREATE FUNCTION recording_input(voice_call bigint,
    OUT call_id text, OUT encoding text, OUT sample_rate integer, OUT audio bytea, OUT content text, OUT facts jsonb)
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    SELECT v.sid, 's16le', 8000, v.recording, NULL::text, '{}'::jsonb
      INTO call_id, encoding, sample_rate, audio, content, facts
      FROM mulberry_internal.voice_calls v WHERE v.id = recording_input.voice_call;
END
$$;
COMMENT ON FUNCTION recording_input(bigint) IS
    'what is transcribed of the recording of a telephone call, in the form of transcription_input()';

CREATE FUNCTION finish_listening(job bigint, token bigint, transcription text) RETURNS boolean
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    j mulberry_internal.job_queue;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    PERFORM mulberry_internal.lock_telephony_job(job);
    j := mulberry_internal.leased_job(job, token);
    IF j.id IS NULL THEN
        RETURN false;
    END IF;
    PERFORM mulberry_internal.settle_job(job, 'done', NULL);
    UPDATE mulberry_internal.voice_calls v SET transcript = left(transcription, 10000) WHERE v.id = (j.payload->>'voice_call')::bigint;
    PERFORM mulberry_internal.wake_voice_call((j.payload->>'voice_call')::bigint);
    RETURN true;
END
$$;
COMMENT ON FUNCTION finish_listening(bigint, bigint, text) IS
    'stores what was said in a recording, and finishes its job; false when the token is no longer the job''s';

CREATE FUNCTION confirms(command text, transcript text) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN transcript COLLATE "C" ~* (mulberry_internal.command_kind(command)).confirmation
   AND transcript COLLATE "C" !~* E'\\m(not|cannot|can''t|couldn''t|refused|failed|failure|error|unknown|invalid)\\M';
COMMENT ON FUNCTION confirms(text, text) IS 'whether what was said sounds like the confirmation of a command (internal)';

CREATE FUNCTION judge_transcript(voice_call bigint) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v mulberry_internal.voice_calls;
    c mulberry_internal.commands;
BEGIN
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    SELECT x.* INTO STRICT c FROM mulberry_internal.commands x WHERE x.id = v.command;
    IF v.transcript IS NULL AND clock_timestamp() < v.give_up_at
       AND EXISTS (SELECT FROM mulberry_internal.job_queue q WHERE q.id = v.listen_job) THEN
        PERFORM mulberry_internal.rest_voice_call(v.id, v.give_up_at);
        RETURN;
    END IF;
    IF mulberry_internal.confirms(c.command, v.transcript) THEN
        PERFORM mulberry_internal.note_spoken_confirmation(c.id, v.transcript,
            jsonb_build_object('call_sid', v.sid, 'recording_sid', v.recording_sid, 'attempt', v.attempt));
        PERFORM mulberry_internal.finish_voice_call(v.id, 'spoken confirmation', left(v.transcript, 200));
    ELSE
        PERFORM mulberry_internal.unheard(v, CASE WHEN v.transcript IS NULL THEN 'the recording was not transcribed in time'
            ELSE 'nothing said confirms it' END);
    END IF;
END
$$;
COMMENT ON FUNCTION judge_transcript(bigint) IS
    'draws the conclusion from the transcript of a recording, once it is there or its time is over (internal)';

-- Of a call that came in.  The job's lease has been checked: that is what lets a worker store packets of this tenant, and no others.
CREATE FUNCTION take_fetched(j job_queue, wav bytea) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    call_sid CONSTANT text := j.payload->>'call_sid';
    -- a call of that name is what the automatic agent heard, or an earlier recording
    name     text := CASE WHEN EXISTS (SELECT FROM mulberry_internal.calls c
                                        WHERE c.tenant = j.tenant AND c.call_id = j.payload->>'call_sid')
                          THEN concat_ws('/', j.payload->>'call_sid', j.payload->>'recording_sid') ELSE j.payload->>'call_sid' END;
BEGIN
    IF coalesce(length(wav), 0) = 0 THEN
        PERFORM mulberry_internal.settle_job(j.id, 'dead', 'the recording is empty');
        RETURN;
    END IF;
    LOOP
        BEGIN
            PERFORM mulberry_internal.store_recording(j.tenant, name, wav,
                -- the second channel is what we said, or somebody to whom the caller was put through
                CASE d.channels WHEN 2 THEN ARRAY['caller', 'agent'] ELSE ARRAY['caller'] END, NULL, NULL,
                (j.payload->>'started_at')::timestamptz, true, 100, true)
               FROM mulberry.wav_decode(wav, 1, true) AS d;
            PERFORM mulberry_internal.settle_job(j.id, 'done', NULL);
            RETURN;
        EXCEPTION
            WHEN object_not_in_prerequisite_state THEN
                -- another recording of this call has come first
                IF name <> call_sid THEN
                    RAISE;
                END IF;
                name := concat_ws('/', call_sid, j.payload->>'recording_sid');
            WHEN data_exception OR feature_not_supported OR program_limit_exceeded THEN
                PERFORM mulberry_internal.settle_job(j.id, 'dead', left('the recording cannot be kept: ' || SQLERRM, 500));
                RETURN;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION take_fetched(job_queue, bytea) IS
    'stores the recording of a telephone call that came in as the tracks of the call of its name, caller and agent, or of one beside it, '
    'which is complete then, and finishes its job, whose lease the caller has checked (internal)';

-- src/telephony/escalation.sql
CREATE FUNCTION mulberry.set_escalation_contact(phone text DEFAULT NULL, endpoint text DEFAULT NULL,
    tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
BEGIN
    PERFORM mulberry_internal.check_texts('phone', set_escalation_contact.phone, 'endpoint', set_escalation_contact.endpoint);
    IF NOT mulberry_internal.phone_valid(phone) THEN
        PERFORM mulberry_internal.refuse_phone(phone);
    END IF;
    IF endpoint IS NOT NULL
       AND NOT EXISTS (SELECT FROM mulberry_internal.endpoints e
                        WHERE e.id = mulberry_internal.endpoint_for(owner, 'escalation', set_escalation_contact.endpoint)
                            AND (e.kind, 'escalation') IN (SELECT k.kind, k.purpose FROM mulberry.endpoint_kinds() k)) THEN
        RAISE EXCEPTION 'endpoint "%" of kind json does not exist', endpoint USING ERRCODE = 'undefined_object';
    END IF;
    IF phone IS NULL AND endpoint IS NULL THEN
        DELETE FROM mulberry_internal.escalation_contacts x WHERE x.tenant = owner;
    ELSE
        INSERT INTO mulberry_internal.escalation_contacts AS x (tenant, phone, endpoint)
        VALUES (owner, set_escalation_contact.phone, set_escalation_contact.endpoint)
        ON CONFLICT ON CONSTRAINT escalation_contacts_pkey DO UPDATE
           SET phone = excluded.phone, endpoint = excluded.endpoint, updated_at = clock_timestamp();
    END IF;
    PERFORM mulberry_internal.record_audit(owner, 'ESCALATION_CONTACT', CASE WHEN phone IS NULL AND endpoint IS NULL THEN 'removed'
        ELSE 'set' END,
        evidence => jsonb_strip_nulls(jsonb_build_object('phone', phone, 'endpoint', endpoint)));
END
$$;
COMMENT ON FUNCTION mulberry.set_escalation_contact(text, text, text) IS
    'who is told when a command was confirmed by nobody: a person by telephone (E.164), an endpoint of kind json by POST, or both; both '
    'null: nobody. Needs admin access. Errors: 22023 no such form of a number, 42704 no such endpoint';

CREATE VIEW mulberry.escalation_contact_status WITH (security_barrier) AS
    SELECT t.name AS tenant, x.phone, x.endpoint, x.updated_at
      FROM mulberry_internal.escalation_contacts x
      JOIN mulberry_internal.tenants t ON t.id = x.tenant
     WHERE x.tenant = ANY ((SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin'))::uuid[]);
COMMENT ON VIEW mulberry.escalation_contact_status IS 'who is told when a command was confirmed by nobody';

-- Escalation: a person must act.

CREATE FUNCTION escalation_sentence(command bigint) RETURNS text
LANGUAGE sql STABLE
AS $$
    SELECT format('This is Mulberry. %s by agent %s. Calls placed: %s. Please act.',
               CASE WHEN NOT (mulberry_internal.command_kind(c.command)).has_mandate THEN 'A line test was not answered'
                    ELSE format('The command %s for mandate %s was not confirmed', lower(c.command COLLATE "C"),
                        coalesce(mulberry_internal.spaced(c.mandate), 'unknown')) END,
               left(regexp_replace(a.name, '[_.-]+', ' ', 'g'), 80), c.attempts)
      FROM mulberry_internal.commands c
      JOIN mulberry_internal.agents a ON a.tenant = c.tenant AND a.id = c.agent
     WHERE c.id = $1
$$;
COMMENT ON FUNCTION escalation_sentence(bigint) IS 'what a person is told by telephone of a command that nobody confirmed (internal)';

CREATE FUNCTION escalation_report(command bigint) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT jsonb_build_object('event', 'command_escalated', 'command_id', c.id, 'command', c.command, 'mandate_id', c.mandate,
               'agent', a.name, 'tenant', t.name, 'reason', c.reason, 'requester', c.requester, 'created_at', c.created_at,
               'error', c.error, 'message', mulberry_internal.escalation_sentence(c.id),
               'calls', coalesce((SELECT jsonb_agg(jsonb_build_object('attempt', v.attempt, 'call_sid', v.sid, 'state', v.state,
                                             'outcome', v.outcome, 'detail', v.detail, 'requested_at', v.requested_at, 'ended_at',
                                                 v.ended_at)
                                         ORDER BY v.id)
                                    FROM mulberry_internal.voice_calls v WHERE v.command = c.id AND v.purpose = 'command'), '[]'))
      FROM mulberry_internal.commands c
      JOIN mulberry_internal.agents a ON a.tenant = c.tenant AND a.id = c.agent
      JOIN mulberry_internal.tenants t ON t.id = c.tenant
     WHERE c.id = $1
$$;
COMMENT ON FUNCTION escalation_report(bigint) IS 'what an endpoint is sent of a command that nobody confirmed (internal)';

CREATE FUNCTION place_escalation_call(command bigint, phone text, attempt integer, run_at timestamptz) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    owner  uuid;
    placed bigint;
BEGIN
    SELECT c.tenant INTO STRICT owner FROM mulberry_internal.commands c WHERE c.id = place_escalation_call.command;
    INSERT INTO mulberry_internal.voice_calls (tenant, command, purpose, attempt, to_number, from_number, due_at)
    VALUES (owner, place_escalation_call.command, 'escalation', place_escalation_call.attempt, phone,
            coalesce((mulberry_internal.telephony_endpoint(owner)).options->>'from', ''), run_at)
    ON CONFLICT DO NOTHING
    RETURNING id INTO placed;
    IF placed IS NOT NULL THEN
        UPDATE mulberry_internal.voice_calls v
           SET job = mulberry_internal.enqueue_job('call', owner, NULL, NULL, jsonb_build_object('voice_call', placed), run_at)
         WHERE v.id = placed;
    END IF;
END
$$;
COMMENT ON FUNCTION place_escalation_call(bigint, text, integer, timestamptz) IS
    'plans a call to the person who must act on a command (internal)';

CREATE FUNCTION place_escalation(command bigint) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    report_attempts CONSTANT integer := 12;    -- over half an hour
    x      mulberry_internal.escalation_contacts;
    report bigint;
BEGIN
    SELECT k.* INTO x FROM mulberry_internal.escalation_contacts k
      JOIN mulberry_internal.commands c ON c.tenant = k.tenant WHERE c.id = place_escalation.command;
    IF x.phone IS NOT NULL AND mulberry_internal.telephony_problem(x.tenant) IS NULL THEN
        PERFORM mulberry_internal.place_escalation_call(place_escalation.command, x.phone, 1, clock_timestamp());
    END IF;
    IF x.endpoint IS NOT NULL THEN
        report := mulberry_internal.enqueue_job('escalate', x.tenant, NULL, x.endpoint, jsonb_build_object('command',
            place_escalation.command));
        UPDATE mulberry_internal.job_queue q SET max_attempts = report_attempts WHERE q.id = report;
    END IF;
END
$$;
COMMENT ON FUNCTION place_escalation(bigint) IS
    'tells the tenant''s contact, if there is one, that nobody confirmed a command: by telephone, by POST, or both (internal)';

CREATE FUNCTION resume_escalation(c commands) RETURNS void
LANGUAGE sql
AS $$
    SELECT mulberry_internal.place_escalation_call(c.id, x.phone, 1, clock_timestamp())
      FROM mulberry_internal.escalation_contacts x
     WHERE x.tenant = c.tenant AND x.phone IS NOT NULL AND mulberry_internal.telephony_problem(x.tenant) IS NULL
       AND (SELECT bool_or(v.outcome = 'superseded') AND NOT bool_or(coalesce(v.outcome, '') IN ('delivered', 'acknowledged'))
              FROM mulberry_internal.voice_calls v
             WHERE v.command = c.id AND v.purpose = 'escalation' AND v.created_at >= c.escalated_at)
$$;
COMMENT ON FUNCTION resume_escalation(commands) IS
    'a command is escalated again whose agent was back for a moment: calls the contact once more, if the call was broken off by that and '
    'nobody was reached (internal)';

CREATE FUNCTION escalation_call_ended(voice_call bigint, wanted boolean) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    attempts_max CONSTANT integer := 3;
    pause        CONSTANT interval := interval '1 minute';
    v            mulberry_internal.voice_calls;
    heard        boolean;
BEGIN
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    heard := v.outcome IN ('delivered', 'acknowledged');
    IF NOT heard AND wanted AND v.outcome NOT IN ('refused', 'canceled') AND v.attempt < attempts_max THEN
        PERFORM mulberry_internal.place_escalation_call(v.command, v.to_number, v.attempt + 1, clock_timestamp() + pause);
        RETURN;
    END IF;
    PERFORM mulberry_internal.emit_event(v.tenant, CASE WHEN heard THEN 'escalation_delivered' ELSE 'escalation_failed' END, NULL, NULL,
        jsonb_strip_nulls(jsonb_build_object('command_id', v.command, 'phone', v.to_number, 'outcome', v.outcome, 'error', v.detail)));
END
$$;
COMMENT ON FUNCTION escalation_call_ended(bigint, boolean) IS
    'what follows a call to the contact: another one a minute later, up to three, or an event (internal)';

-- src/telephony/webhooks.sql
-- Webhooks.

CREATE FUNCTION take_webhook(v voice_calls, e endpoints, kind text, query text, params jsonb, idempotency_token text,
    OUT status integer, OUT content_type text, OUT body text)
LANGUAGE plpgsql
AS $$
DECLARE
    keys text[];
BEGIN
    PERFORM mulberry_internal.lock_voice_call(v.id);
    keys := array_remove(ARRAY['token ' || nullif(idempotency_token, ''), concat_ws(' ', kind, params->>'CallSid', CASE kind
        WHEN 'ack' THEN substring(query FROM '&step=([0-9]+)')
        WHEN 'status' THEN coalesce(params->>'SequenceNumber', params->>'CallStatus')
        WHEN 'recording' THEN concat_ws(' ', params->>'RecordingSid', params->>'RecordingStatus') END)], NULL);
    SELECT w.status, w.content_type, w.body INTO status, content_type, body
      FROM mulberry_internal.webhook_answers w WHERE w.voice_call = v.id AND w.key = ANY (keys) LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;

    status := 204;
    content_type := 'text/plain';
    body := '';
    CASE kind
    WHEN 'ack' THEN
        status := 200;
        content_type := 'text/xml';
        body := mulberry_internal.take_digits(v.id, params->>'CallSid',
            -- a redirection of ours has them in its URL
            coalesce(params->>'Digits', replace(substring(query FROM '&digits=([^&]*)'), '%23', '#')), query ~ '&for=challenge(&|$)',
                e.options);
    WHEN 'status' THEN
        PERFORM mulberry_internal.take_call_status(v.id, params);
    WHEN 'recording' THEN
        PERFORM mulberry_internal.take_recording_status(v.id, params);
    END CASE;
    INSERT INTO mulberry_internal.webhook_answers (voice_call, key, status, content_type, body)
    SELECT v.id, k, take_webhook.status, take_webhook.content_type, take_webhook.body FROM unnest(keys) AS k;
END
$$;
COMMENT ON FUNCTION take_webhook(voice_calls, endpoints, text, text, jsonb, text) IS
    'takes a genuine webhook of a call that was placed, once; a replay gets the answer of the first time (internal)';

CREATE FUNCTION of_account(e endpoints, params jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN coalesce(params->>'AccountSid' = e.options->>'account_sid' AND params->>'CallSid' ~ '^CA[0-9a-f]{32}$', false);
COMMENT ON FUNCTION of_account(endpoints, jsonb) IS 'whether a webhook is of a call of the account of an endpoint (internal)';

CREATE FUNCTION account_secrets(e endpoints) RETURNS SETOF text
LANGUAGE sql IMMUTABLE
AS $$ SELECT $1.secret UNION ALL SELECT $1.options->>'previous_secret' WHERE $1.options ? 'previous_secret' $$;
COMMENT ON FUNCTION account_secrets(endpoints) IS
    'the names of the auth tokens that webhooks of an endpoint may be signed with: its own and, while that is rotated, the one before '
    '(internal)';

CREATE FUNCTION requested_url(e endpoints, url text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN url !~ '^/' THEN url
            WHEN starts_with(url, substring(e.options->>'public_url' FROM '^https?://[^/]+(/.*)?$') || '/twilio/')
            THEN substring(e.options->>'public_url' FROM '^https?://[^/]+') || url
            ELSE coalesce(e.options->>'public_url', 'https://localhost') || url END;
COMMENT ON FUNCTION requested_url(endpoints, text) IS
    'a URL as Twilio requested it: a path and query alone are completed by the public URL of an endpoint, with the path that this may have '
    'in front of /twilio/ or without it (internal)';

CREATE FUNCTION mulberry.handle_twilio_webhook(url text, params jsonb, signature text, idempotency_token text DEFAULT NULL,
                                      OUT status integer, OUT content_type text, OUT body text)
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    parts   text[];
    v       mulberry_internal.voice_calls;
    e       mulberry_internal.endpoints;
    genuine boolean;
BEGIN
    PERFORM mulberry_internal.check_texts('url', handle_twilio_webhook.url,
        'signature', handle_twilio_webhook.signature, 'idempotency_token', handle_twilio_webhook.idempotency_token);
    PERFORM mulberry_internal.check_json('params', handle_twilio_webhook.params);
    IF url IS NULL OR params IS NULL THEN
        RAISE EXCEPTION 'url and params must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    parts := regexp_match(url, E'/twilio/(ack|status|recording)\\?([^#]*)(?:#.*)?$');
    content_type := CASE WHEN url ~ '/twilio/ack' THEN 'text/xml' ELSE 'text/plain' END;
    body := CASE WHEN url ~ '/twilio/ack' THEN mulberry.twiml('[]') ELSE '' END;

    SELECT x.* INTO v FROM mulberry_internal.voice_calls x
     WHERE x.token = substring('&' || parts[2] FROM '&token=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:&|$)')::uuid
       AND x.tenant = ANY (mulberry.current_tenants('gateway'));
    e := mulberry_internal.telephony_endpoint(v.tenant);
    -- each is tried, whether there is such a call or not, and whichever fits: the answer's time says nothing
    SELECT bool_or(mulberry_internal.check_twilio_signature(mulberry_internal.secret_tenant(e.tenant, s.name, v.tenant), s.name,
               mulberry_internal.requested_url(e, url), params, signature)) INTO genuine
      FROM mulberry_internal.account_secrets(e) AS s (name);
    IF v.id IS NULL THEN
        status := 404;
    ELSIF NOT genuine OR NOT mulberry_internal.of_account(e, params) THEN
        status := 403;
    ELSE
        SELECT w.* INTO status, content_type, body
          FROM mulberry_internal.take_webhook(v, e, parts[1], '&' || parts[2], params, idempotency_token) AS w;
    END IF;
END
$$;
COMMENT ON FUNCTION mulberry.handle_twilio_webhook(text, jsonb, text, text) IS
    'answers a webhook of Twilio for a call that was placed: url as Twilio requested it (or path and query, which the endpoint''s '
    'public_url completes), params the decoded form {"name": "value" or ["value", ...]}, signature the header X-Twilio-Signature, '
    'idempotency_token I-Twilio-Idempotency-Token. Paths /twilio/ack, /twilio/status, /twilio/recording. 403: not signed by the account '
    'of the call; 404: no such call; a replay gets the answer of the first time. What is answered is on disk. Needs gateway access. '
    'Errors: 22004, 22023 parameters that are no form';

-- A call that is not the one we know of: the one that was asked for without an answer, or a stray one.
CREATE FUNCTION meet_call(voice_call bigint, call_sid text) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v mulberry_internal.voice_calls;
BEGIN
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    IF v.sid = call_sid THEN
        RETURN true;
    ELSIF v.sid IS NULL AND v.requested_at IS NOT NULL AND v.finished_at IS NULL THEN
        IF v.state = 'planned' THEN
            -- taken for not placed; it counts after all
            UPDATE mulberry_internal.voice_calls x SET state = 'uncertain', placings = greatest(x.placings, 1) WHERE x.id = v.id;
        END IF;
        PERFORM mulberry_internal.advance_voice_call(v.id, call_sid, 'queued');
        RETURN true;
    ELSIF NOT EXISTS (SELECT FROM mulberry_internal.voice_calls k WHERE k.sid = call_sid OR call_sid = ANY (k.stray_sids)) THEN
        UPDATE mulberry_internal.voice_calls x SET stray_sids = x.stray_sids || call_sid WHERE x.id = v.id;
        IF EXISTS (SELECT FROM mulberry_internal.job_queue q WHERE q.id = v.job) THEN
            PERFORM mulberry_internal.wake_voice_call(v.id);
        ELSE
            UPDATE mulberry_internal.voice_calls x
               SET job = mulberry_internal.enqueue_job('call', v.tenant, NULL, NULL, jsonb_build_object('voice_call', v.id))
             WHERE x.id = v.id;
        END IF;
    END IF;
    RETURN false;
END
$$;
COMMENT ON FUNCTION meet_call(bigint, text) IS
    'whether a webhook is of the call that is known; it becomes known when its request had no answer, and is ended when there is another '
    '(internal)';

CREATE FUNCTION take_call_status(voice_call bigint, params jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    call_status CONSTANT text := params->>'CallStatus';
    number      CONSTANT integer := CASE WHEN params->>'SequenceNumber' ~ '^[0-9]{1,9}$' THEN (params->>'SequenceNumber')::integer END;
    v           mulberry_internal.voice_calls;
BEGIN
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    -- one that was taken over by a later attempt is known there
    SELECT coalesce(max(x.id), v.id) INTO v.id FROM mulberry_internal.voice_calls x
     WHERE x.command = v.command AND x.sid = params->>'CallSid';
    IF mulberry_internal.voice_call_rank(call_status) = 6 AND v.sid IS DISTINCT FROM params->>'CallSid' AND v.sid IS NOT NULL THEN
        RETURN;    -- a stray call has ended
    END IF;
    IF NOT mulberry_internal.meet_call(v.id, params->>'CallSid') THEN
        RETURN;
    END IF;
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = v.id;
    IF number <= v.sequence THEN
        RETURN;
    END IF;
    UPDATE mulberry_internal.voice_calls x SET sequence = coalesce(number, x.sequence) WHERE x.id = v.id;
    PERFORM mulberry_internal.advance_voice_call(v.id, NULL, call_status, params->>'AnsweredBy',
        'SIP response ' || (params->>'SipResponseCode'));
END
$$;
COMMENT ON FUNCTION take_call_status(bigint, jsonb) IS 'takes a status callback, unless a later one has come before it (internal)';

CREATE FUNCTION take_recording_status(voice_call bigint, params jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE mulberry_internal.voice_calls v SET recording_sid = params->>'RecordingSid'
     WHERE v.id = voice_call AND v.sid = params->>'CallSid' AND params->>'RecordingStatus' = 'completed'
       AND params->>'RecordingSid' ~ '^RE[0-9a-f]{32}$' AND v.recording_sid IS NULL;
    IF FOUND THEN
        PERFORM mulberry_internal.wake_voice_call(v.id) FROM mulberry_internal.voice_calls v
          WHERE v.id = voice_call AND mulberry_internal.voice_call_rank(v.state) = 6;
    ELSIF params->>'RecordingStatus' IN ('absent', 'failed') THEN
        PERFORM mulberry_internal.unheard(v, 'there is no recording') FROM mulberry_internal.voice_calls v
          WHERE v.id = voice_call AND v.sid = params->>'CallSid' AND v.state = 'completed' AND v.finished_at IS NULL
            AND v.listen_job IS NULL AND v.purpose = 'command';
    END IF;
END
$$;
COMMENT ON FUNCTION take_recording_status(bigint, jsonb) IS 'takes a recording callback: what is ready is fetched at once (internal)';

CREATE FUNCTION take_digits(voice_call bigint, call_sid text, digits text, answers_challenge boolean, options jsonb) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    rounds   CONSTANT integer := 5;    -- answered beside the repetitions that the call began with
    thanks   CONSTANT jsonb := jsonb_build_array(mulberry_internal.say_verb('Thank you', options), '{"verb": "hangup"}'::jsonb);
    s        record;
    v        mulberry_internal.voice_calls;
    evidence CONSTANT jsonb := jsonb_build_object('call_sid', call_sid, 'digits', left(digits, 100));
    verdict  text;
    symbols  text;
BEGIN
    SELECT * INTO s FROM mulberry_internal.telephony_settings(options);
    PERFORM mulberry_internal.meet_call(voice_call, call_sid);
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    digits := regexp_replace(coalesce(digits, ''), '[^0-9A-D*#]', '', 'g');
    IF v.purpose = 'escalation' THEN
        IF digits <> '' AND NOT v.acknowledged THEN
            UPDATE mulberry_internal.voice_calls x SET acknowledged = true WHERE x.id = v.id;
            PERFORM mulberry_internal.emit_event(v.tenant, 'escalation_acknowledged', NULL, NULL,
                jsonb_build_object('command_id', v.command, 'phone', v.to_number, 'call_sid', call_sid));
        END IF;
        RETURN mulberry.twiml(thanks);
    END IF;
    IF NOT mulberry_internal.voice_call_wanted(v) THEN
        RETURN mulberry.twiml(thanks);
    END IF;

    IF answers_challenge THEN
        verdict := mulberry_internal.accept_challenge(v.command, digits);
    ELSE
        -- Twilio keeps the key that ended it to itself.
        symbols := coalesce((regexp_match(digits || '#', E'\\*[0-9]{20}#'))[1], CASE WHEN digits ~ '#$' THEN digits ELSE digits || '#' END);
        verdict := mulberry_internal.accept_ack(v.command, symbols, 'voice', evidence);
    END IF;
    IF NOT mulberry_internal.voice_call_wanted(v) THEN
        -- Settled, or signed anew for the challenge that was answered.
        UPDATE mulberry_internal.voice_calls x SET frame = c.frame
          FROM mulberry_internal.commands c
         WHERE x.id = v.id AND c.id = v.command AND c.state = 'outstanding' AND x.finished_at IS NULL
     RETURNING x.frame INTO v.frame;
        IF NOT FOUND THEN
            UPDATE mulberry_internal.voice_calls x SET acknowledged = true WHERE x.id = v.id;
            RETURN mulberry.twiml(thanks);
        END IF;
    END IF;

    UPDATE mulberry_internal.voice_calls x SET turn = x.turn + 2 WHERE x.id = v.id
        AND x.turn < s.repetitions + 2 * rounds RETURNING x.turn INTO v.turn;
    IF NOT FOUND THEN
        RETURN mulberry.twiml(jsonb_build_array(mulberry_internal.say_verb('Goodbye', options), '{"verb": "hangup"}'::jsonb));
    END IF;
    IF verdict = 'challenge wanted' THEN
        RETURN mulberry.twiml(jsonb_build_array(
            mulberry_internal.gather_verb(s.public_url, v.token, v.turn - 1, 'challenge'),
            mulberry_internal.play_verb(v.frame), mulberry_internal.gather_verb(s.public_url, v.token, v.turn, 'acknowledgement'),
            '{"verb": "hangup"}'::jsonb));
    END IF;
    RETURN mulberry.twiml(jsonb_build_array(
        mulberry_internal.play_verb(v.frame), mulberry_internal.gather_verb(s.public_url, v.token, v.turn - 1, 'acknowledgement'),
        mulberry_internal.play_verb(v.frame), mulberry_internal.gather_verb(s.public_url, v.token, v.turn, 'acknowledgement'),
        '{"verb": "hangup"}'::jsonb));
END
$$;
COMMENT ON FUNCTION take_digits(bigint, text, text, boolean, jsonb) IS
    'takes the digits that were gathered and says, in TwiML, how the call goes on: thanks when the command is settled, the digits of a '
    'challenge when one is wanted, else the frame once more, five times at most (internal)';

-- src/telephony/views.sql
CREATE VIEW mulberry.voice_call_status WITH (security_barrier) AS
    SELECT v.id, t.name AS tenant, v.purpose, v.command AS command_id, c.command, c.mandate AS mandate_id, a.name AS agent, v.attempt,
           v.to_number, v.from_number, v.state, v.sid AS call_sid, v.answered_by, v.acknowledged, v.outcome, v.detail, v.transcript,
           v.due_at, v.requested_at, v.answered_at, v.ended_at, v.finished_at
      FROM mulberry_internal.voice_calls v
      JOIN mulberry_internal.tenants t ON t.id = v.tenant
      JOIN mulberry_internal.commands c ON c.id = v.command
      JOIN mulberry_internal.agents a ON a.tenant = c.tenant AND a.id = c.agent
     WHERE v.tenant = ANY ((SELECT mulberry.current_tenants(true, 'operator', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.voice_call_status IS
    'telephone calls for commands, and to the contacts of escalations: where each stands and what it brought';

-- src/telephony/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE FUNCTION access_rules_telephony() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('telephony_step', 'EXECUTE', 'worker'),
    ('telephony_answer', 'EXECUTE', 'worker'),
    ('recording_input', 'EXECUTE', 'worker'),
    ('finish_listening', 'EXECUTE', 'worker'),
    ('twiml', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_say', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_play', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_pause', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_gather', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_record', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_dial', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_connect', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_start_recording', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_redirect', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_reject', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_hangup', 'EXECUTE', 'operator gateway worker admin'),
    ('twilio_signature', 'EXECUTE', 'operator gateway worker admin'),
    ('twilio_signature_valid', 'EXECUTE', 'operator gateway worker admin'),
    ('handle_twilio_webhook', 'EXECUTE', 'gateway'),
    ('voice_call_status', 'SELECT', 'operator auditor'),
    ('set_escalation_contact', 'EXECUTE', 'admin'),
    ('escalation_contact_status', 'SELECT', 'operator auditor admin')
$$;
COMMENT ON FUNCTION access_rules_telephony() IS 'which access needs which object of telephony';

-- src/ivr/hours.sql
-- Business hours: intervals of a weekday or of a holiday, by the clock on the wall of a time zone.

CREATE FUNCTION hours_valid(interval_of_day text) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN interval_of_day COLLATE "C" ~ '^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$'
   AND left(interval_of_day, 5) COLLATE "C" <> right(interval_of_day, 5) COLLATE "C";
COMMENT ON FUNCTION hours_valid(text) IS
    'whether a text is an interval of business hours, as in 09:00-17:30, 22:00-02:00 over midnight, or 00:00-24:00 (internal)';

CREATE FUNCTION holiday(settings jsonb, day date) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN coalesce(settings->'holidays'->to_char(day::timestamp, 'YYYY-MM-DD'), settings->'holidays'->to_char(day::timestamp, 'MM-DD'));
COMMENT ON FUNCTION holiday(jsonb, date) IS
    'what settings say of a day that is a holiday, of that year or of every year: {"hours", "closed"}; null: it is none (internal)';

CREATE FUNCTION hours_of(settings jsonb, day date) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN mulberry_internal.holiday(settings, day) IS NOT NULL
            THEN coalesce(mulberry_internal.holiday(settings, day)->'hours', '[]')
            ELSE coalesce(settings->'hours'->(ARRAY['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])[extract(isodow FROM day)::integer],
                          '[]') END;
COMMENT ON FUNCTION hours_of(jsonb, date) IS 'the intervals that begin on a day, ["09:00-17:30", ...] (internal)';

CREATE FUNCTION business_hours(settings jsonb, at timestamptz, OUT open boolean, OUT closed text)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    clock timestamp;
    day   date;
    now   time;
BEGIN
    open := true;
    IF NOT settings ? 'hours' AND NOT settings ? 'holidays' THEN
        RETURN;
    END IF;
    BEGIN
        clock := at AT TIME ZONE coalesce(settings->>'time_zone', 'UTC');
    EXCEPTION WHEN invalid_parameter_value THEN
        -- it was there when the settings were written: a server that has another list of zones answers all the same
        RETURN;
    END;
    day := clock::date;
    now := clock::time;
    IF NOT settings ? 'hours' AND mulberry_internal.holiday(settings, day) IS NULL THEN
        RETURN;
    END IF;
    -- what goes over midnight belongs to the day on which it begins
    open := EXISTS (SELECT FROM jsonb_array_elements_text(mulberry_internal.hours_of(settings, day)) AS h (span)
                     WHERE now >= left(h.span, 5)::time
                       AND (now < right(h.span, 5)::time OR right(h.span, 5) COLLATE "C" < left(h.span, 5) COLLATE "C"))
         OR EXISTS (SELECT FROM jsonb_array_elements_text(mulberry_internal.hours_of(settings, day - 1)) AS h (span)
                     WHERE right(h.span, 5) COLLATE "C" < left(h.span, 5) COLLATE "C" AND now < right(h.span, 5)::time);
    closed := CASE WHEN NOT open THEN mulberry_internal.holiday(settings, day)->>'closed' END;
END
$$;
COMMENT ON FUNCTION business_hours(jsonb, timestamptz) IS
    'whether a tenant with these settings is there at a time, by the clock on the wall in its time zone, whatever summer time does to it; '
    'and, on a holiday, what callers are told. Without hours it is always there, but on holidays (internal)';

-- src/ivr/flow.sql
-- What a caller hears next: TwiML by settings, by where the caller is and by what came.  Nothing here reads or writes a table, so
-- that a preview is what a call gets.

CREATE FUNCTION ivr_say(settings jsonb, sentence text) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN sentence IS NULL THEN '[]'::jsonb
            ELSE jsonb_build_array(mulberry.twiml_say(sentence, settings->>'voice', settings->>'language')) END;
COMMENT ON FUNCTION ivr_say(jsonb, text) IS 'the verbs that say a sentence, if there is one, as settings want it said (internal)';

CREATE FUNCTION ivr_sentence(settings jsonb, name text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN coalesce(settings->'sentences'->>name,
    CASE name COLLATE "C"
      WHEN 'closed' THEN 'Thank you for calling. We are closed at the moment.'
      WHEN 'goodbye' THEN 'Goodbye.'
      WHEN 'thanks' THEN 'Thank you.'
      WHEN 'unavailable' THEN 'Nobody can take your call at the moment.'
      WHEN 'not_understood' THEN 'That key is not in use.'
      WHEN 'time_over' THEN 'This call has reached its longest duration.'
      WHEN 'consent_refused' THEN 'We cannot go on without your consent.'
      WHEN 'agent' THEN 'How can I help you?'
      WHEN 'record' THEN 'Please leave a message after the tone, and press the hash key when you are done.'
      WHEN 'emergency' THEN 'This sounds like an emergency. If anybody is in danger, hang up and call your local emergency number now.'
    END);
COMMENT ON FUNCTION ivr_sentence(jsonb, text) IS 'a sentence that settings may have in their own words (internal)';

CREATE FUNCTION sentence_names() RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN ARRAY['closed', 'goodbye', 'thanks', 'unavailable', 'not_understood', 'time_over', 'consent_refused', 'record', 'emergency',
             'agent'];
COMMENT ON FUNCTION sentence_names() IS 'the sentences that ivr_sentence() knows (internal)';

CREATE FUNCTION ivr_url(context jsonb, path text) RETURNS text
LANGUAGE sql IMMUTABLE
-- in alphabetical order: what sorts the query of a URL on its way must not change what was signed
RETURN format('%s/twilio/%s?step=%s&token=%s', context->>'base', path, context->>'turn', context->>'token');
COMMENT ON FUNCTION ivr_url(jsonb, text) IS 'where the next webhook of a call goes; its step makes each another one (internal)';

CREATE FUNCTION asks_consent(settings jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN coalesce((settings->>'consent_required')::boolean, false) OR coalesce(settings->>'recording' = 'consent', false);
COMMENT ON FUNCTION asks_consent(jsonb) IS 'whether a caller is asked for consent, and not only told (internal)';

CREATE FUNCTION may_be_recorded(settings jsonb, consent boolean) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN CASE settings->>'recording' WHEN 'always' THEN true WHEN 'consent' THEN consent ELSE false END IS TRUE;
COMMENT ON FUNCTION may_be_recorded(jsonb, boolean) IS 'whether settings have a call recorded whose caller has answered so (internal)';

CREATE FUNCTION ivr_keys(settings jsonb, context jsonb, sentence text, seconds integer DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_build_array(mulberry.twiml_gather(mulberry_internal.ivr_url(context, 'dtmf'), mulberry_internal.ivr_say(settings, sentence),
                                               1, coalesce(seconds, 8), 'none', 'dtmf', true, 'POST'));
COMMENT ON FUNCTION ivr_keys(jsonb, jsonb, text, integer) IS 'the verbs that say a sentence and wait for a key (internal)';

CREATE FUNCTION ivr_agent(settings jsonb, context jsonb, recorded boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_build_array(
    mulberry.twiml_connect(regexp_replace(coalesce(nullif(context->>'base', ''), 'https://localhost'), '^https?', 'wss') || '/twilio/ws',
        jsonb_strip_nulls(jsonb_build_object('token', context->>'token', 'call_sid', context->>'sid', 'to_number', context->>'number',
            'from_number', left(context->>'caller', 200), 'settings', context->>'version', 'seconds', context->>'seconds',
            'recorded', recorded::text))),
    mulberry.twiml_redirect(mulberry_internal.ivr_url(context, 'transfer'), 'POST'));
COMMENT ON FUNCTION ivr_agent(jsonb, jsonb, boolean) IS
    'the verbs that connect a call to the automatic agent, and ask how it goes on when that has left it (internal)';

CREATE FUNCTION ivr_dial(settings jsonb, context jsonb, number text, recorded boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_build_array(mulberry.twiml_dial(ARRAY[number], mulberry_internal.ivr_url(context, 'transfer'), 20,
                                             greatest((context->>'seconds')::integer, 1), method => 'POST'));
COMMENT ON FUNCTION ivr_dial(jsonb, jsonb, text, boolean) IS 'the verbs that hand a call to a person (internal)';

CREATE FUNCTION ivr_end(settings jsonb, sentence text) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN mulberry_internal.ivr_say(settings, sentence) || jsonb_build_array(mulberry.twiml_hangup());
COMMENT ON FUNCTION ivr_end(jsonb, text) IS 'the verbs that end a call (internal)';

-- Whoever is in the call and has heard greeting and consent gets the menu or the agent.
CREATE FUNCTION ivr_answer(settings jsonb, context jsonb, place jsonb, OUT verbs jsonb, OUT next_place jsonb, OUT deed jsonb)
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    recorded CONSTANT boolean := mulberry_internal.may_be_recorded(settings, (place->'consent')::boolean);
BEGIN
    deed := '{}';
    IF coalesce(settings->>'answer_with', CASE WHEN settings ? 'menus' THEN 'menu' ELSE 'agent' END) = 'agent' THEN
        -- what the agent hears is the recording
        next_place := place || '{"node": "agent", "misses": 0}';
        verbs := mulberry_internal.ivr_agent(settings, context, recorded);
        RETURN;
    END IF;
    next_place := place || '{"node": "menu", "menu": "main", "misses": 0}';
    verbs := mulberry_internal.ivr_keys(settings, context, settings->'menus'->'main'->>'text',
        (settings->'menus'->'main'->>'timeout')::integer);
    IF recorded THEN
        verbs := jsonb_build_array(mulberry.twiml_start_recording(
            format('%s/twilio/recording?token=%s', context->>'base', context->>'token'), 'dual')) || verbs;
        deed := '{"recorded": true}';
    END IF;
END
$$;
COMMENT ON FUNCTION ivr_answer(jsonb, jsonb, jsonb) IS 'how a call is answered once that is allowed: menu or automatic agent (internal)';

CREATE FUNCTION ivr_begin(settings jsonb, context jsonb, OUT verbs jsonb, OUT next_place jsonb, OUT deed jsonb)
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    answer record;
BEGIN
    deed := '{}';
    IF NOT (context->>'open')::boolean THEN
        verbs := mulberry_internal.ivr_say(settings, coalesce(context->>'closed', mulberry_internal.ivr_sentence(settings, 'closed')));
        IF settings ? 'closed_menu' THEN
            next_place := jsonb_build_object('node', 'menu', 'menu', settings->>'closed_menu', 'misses', 0);
            verbs := verbs || mulberry_internal.ivr_keys(settings, context, settings->'menus'->(settings->>'closed_menu')->>'text',
                (settings->'menus'->(settings->>'closed_menu')->>'timeout')::integer);
        ELSE
            next_place := '{"node": "over"}';
            verbs := mulberry_internal.ivr_end(settings, coalesce(context->>'closed',
                mulberry_internal.ivr_sentence(settings, 'closed')));
        END IF;
        RETURN;
    END IF;
    verbs := mulberry_internal.ivr_say(settings, settings->>'greeting');
    IF mulberry_internal.asks_consent(settings) THEN
        next_place := '{"node": "consent", "misses": 0}';
        verbs := verbs || mulberry_internal.ivr_keys(settings, context, settings->>'consent');
        RETURN;
    END IF;
    verbs := verbs || mulberry_internal.ivr_say(settings, settings->>'consent');
    answer := mulberry_internal.ivr_answer(settings, context, '{}');
    verbs := verbs || answer.verbs;
    next_place := answer.next_place;
    deed := answer.deed;
END
$$;
COMMENT ON FUNCTION ivr_begin(jsonb, jsonb) IS 'what a caller hears first (internal)';

CREATE FUNCTION ivr_consent(settings jsonb, context jsonb, place jsonb, digits text,
    OUT verbs jsonb, OUT next_place jsonb, OUT deed jsonb)
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    attempts_max CONSTANT integer := 3;
    misses       CONSTANT integer := coalesce((place->>'misses')::integer, 0) + 1;
    answer       record;
BEGIN
    IF digits IS DISTINCT FROM '1' AND digits IS DISTINCT FROM '2' AND misses < attempts_max THEN
        deed := '{}';
        next_place := place || jsonb_build_object('misses', misses);
        verbs := mulberry_internal.ivr_keys(settings, context, settings->>'consent');
    ELSIF digits IS DISTINCT FROM '1' AND (settings->>'consent_required')::boolean THEN
        deed := '{"consent": false}';
        next_place := '{"node": "over"}';
        verbs := mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'consent_refused'));
    ELSE
        answer := mulberry_internal.ivr_answer(settings, context, jsonb_build_object('consent', digits IS NOT DISTINCT FROM '1'));
        verbs := answer.verbs;
        next_place := answer.next_place;
        deed := answer.deed || jsonb_build_object('consent', digits IS NOT DISTINCT FROM '1');
    END IF;
END
$$;
COMMENT ON FUNCTION ivr_consent(jsonb, jsonb, jsonb, text) IS
    'what follows the question for consent: 1 gives it, 2 refuses it, and so does silence after three times (internal)';

CREATE FUNCTION ivr_menu(settings jsonb, context jsonb, place jsonb, sentence text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN mulberry_internal.ivr_say(settings, sentence)
    || mulberry_internal.ivr_keys(settings, context, settings->'menus'->(place->>'menu')->>'text',
           (settings->'menus'->(place->>'menu')->>'timeout')::integer);
COMMENT ON FUNCTION ivr_menu(jsonb, jsonb, jsonb, text) IS 'the verbs of the menu where a caller is, behind a sentence (internal)';

CREATE FUNCTION ivr_key(settings jsonb, context jsonb, place jsonb, digits text,
    OUT verbs jsonb, OUT next_place jsonb, OUT deed jsonb)
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    attempts_max CONSTANT integer := 3;
    misses       CONSTANT integer := coalesce((place->>'misses')::integer, 0) + 1;
    key          CONSTANT jsonb := settings->'menus'->(place->>'menu')->'keys'->left(digits, 1);
    said         CONSTANT jsonb := mulberry_internal.ivr_say(settings, key->>'text');
BEGIN
    deed := '{}';
    IF key IS NULL THEN
        IF misses >= attempts_max THEN
            next_place := '{"node": "over"}';
            verbs := mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'goodbye'));
        ELSE
            next_place := place || jsonb_build_object('misses', misses);
            verbs := mulberry_internal.ivr_menu(settings, context, place,
                CASE WHEN digits <> '' THEN mulberry_internal.ivr_sentence(settings, 'not_understood') END);
        END IF;
        RETURN;
    END IF;
    deed := jsonb_build_object('key', left(digits, 1), 'menu', place->>'menu', 'action', key->>'action');
    next_place := place || '{"misses": 0}';
    CASE key->>'action'
    WHEN 'say' THEN
        IF key->>'then' = 'hangup' THEN
            next_place := '{"node": "over"}';
            verbs := mulberry_internal.ivr_end(settings, key->>'text');
        ELSE
            verbs := said || mulberry_internal.ivr_menu(settings, context, place);
        END IF;
    WHEN 'menu' THEN
        next_place := next_place || jsonb_build_object('menu', key->>'menu');
        verbs := said || mulberry_internal.ivr_menu(settings, context, next_place);
    WHEN 'transfer' THEN
        next_place := next_place || '{"node": "transfer"}';
        verbs := said || mulberry_internal.ivr_dial(settings, context, coalesce(key->>'number', settings->>'transfer_number'), false);
    WHEN 'record' THEN
        next_place := next_place || '{"node": "record"}';
        verbs := mulberry_internal.ivr_say(settings, coalesce(key->>'text', mulberry_internal.ivr_sentence(settings, 'record')))
            || jsonb_build_array(mulberry.twiml_record(mulberry_internal.ivr_url(context, 'dtmf'),
                   least(coalesce((key->>'seconds')::integer, 120), greatest((context->>'seconds')::integer, 1)), 5, '#',
                   recording_status_callback => format('%s/twilio/recording?token=%s', context->>'base', context->>'token'),
                   method => 'POST'))
            -- nothing was said
            || mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'goodbye'));
    WHEN 'agent' THEN
        next_place := next_place || '{"node": "agent"}';
        verbs := said || mulberry_internal.ivr_agent(settings, context, (context->'recorded')::boolean IS TRUE);
    WHEN 'emergency' THEN
        deed := deed || '{"emergency": true}';
        SELECT e.verbs, e.next_place INTO verbs, next_place FROM mulberry_internal.ivr_emergency(settings, context, key->>'text') AS e;
    END CASE;
END
$$;
COMMENT ON FUNCTION ivr_key(jsonb, jsonb, jsonb, text) IS
    'what a key does in the menu where the caller is; one that is not in use, and none, has the menu said again, three times in all '
    '(internal)';

CREATE FUNCTION ivr_emergency(settings jsonb, context jsonb, sentence text DEFAULT NULL, OUT verbs jsonb, OUT next_place jsonb)
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    sentence := coalesce(sentence, mulberry_internal.ivr_sentence(settings, 'emergency'));
    IF settings ? 'emergency_number' THEN
        next_place := '{"node": "transfer", "emergency": true}';
        verbs := mulberry_internal.ivr_say(settings, sentence)
            || mulberry_internal.ivr_dial(settings, context, settings->>'emergency_number', false);
    ELSE
        next_place := '{"node": "over"}';
        verbs := mulberry_internal.ivr_end(settings, sentence);
    END IF;
END
$$;
COMMENT ON FUNCTION ivr_emergency(jsonb, jsonb, text) IS
    'the scripted answer to an emergency: a sentence, and then the number that settings have for it, or the end of the call (internal)';

CREATE FUNCTION ivr_next(settings jsonb, context jsonb, place jsonb, input jsonb,
    OUT verbs jsonb, OUT next_place jsonb, OUT deed jsonb)
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    dialled CONSTANT text := input->>'dial_status';
BEGIN
    deed := '{}';
    IF place->>'node' <> 'begin' AND (context->>'seconds')::integer <= 0 THEN
        next_place := '{"node": "over"}';
        verbs := mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'time_over'));
        RETURN;
    ELSIF (input->'emergency')::boolean AND NOT place ? 'emergency' THEN
        SELECT e.verbs, e.next_place INTO verbs, next_place FROM mulberry_internal.ivr_emergency(settings, context) AS e;
        RETURN;
    END IF;
    CASE place->>'node'
    WHEN 'begin' THEN
        SELECT n.* INTO verbs, next_place, deed FROM mulberry_internal.ivr_begin(settings, context) AS n;
    WHEN 'consent' THEN
        SELECT n.* INTO verbs, next_place, deed FROM mulberry_internal.ivr_consent(settings, context, place, input->>'digits') AS n;
    WHEN 'menu' THEN
        SELECT n.* INTO verbs, next_place, deed FROM mulberry_internal.ivr_key(settings, context, place, input->>'digits') AS n;
    WHEN 'record' THEN
        next_place := '{"node": "over"}';
        verbs := mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'thanks'));
    WHEN 'agent' THEN
        -- the agent has left the call, or could not be reached: for a key that was pressed there, or who has not come from the menu gets
        -- it, as far as there is one
        IF settings->'menus' ? 'main' AND place ? 'key' THEN
            SELECT n.* INTO verbs, next_place, deed
              FROM mulberry_internal.ivr_key(settings, context, place - 'key' || '{"node": "menu", "menu": "main", "misses": 0}',
                       place->>'key') AS n;
        ELSIF settings->'menus' ? 'main' AND NOT place ? 'menu' THEN
            next_place := place || '{"node": "menu", "menu": "main"}';
            verbs := mulberry_internal.ivr_menu(settings, context, next_place);
        ELSE
            next_place := '{"node": "over"}';
            verbs := mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'goodbye'));
        END IF;
    WHEN 'transfer' THEN
        deed := jsonb_strip_nulls(jsonb_build_object('transfer', dialled));
        IF dialled IN ('completed', 'answered') OR NOT place ? 'menu' THEN
            next_place := '{"node": "over"}';
            verbs := CASE WHEN dialled IN ('completed', 'answered') THEN mulberry_internal.ivr_end(settings, NULL)
                          ELSE mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'unavailable')) END;
        ELSIF coalesce((place->>'refused')::integer, 0) >= 2 THEN
            next_place := '{"node": "over"}';
            verbs := mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'unavailable'));
        ELSE
            next_place := place || jsonb_build_object('node', 'menu', 'refused', coalesce((place->>'refused')::integer, 0) + 1);
            verbs := mulberry_internal.ivr_menu(settings, context, place, mulberry_internal.ivr_sentence(settings, 'unavailable'));
        END IF;
    ELSE
        next_place := '{"node": "over"}';
        verbs := jsonb_build_array(mulberry.twiml_hangup());
    END CASE;
END
$$;
COMMENT ON FUNCTION ivr_next(jsonb, jsonb, jsonb, jsonb) IS
    'what a caller hears next, where that leads, and what is to be noted, by settings, place and input ({"digits", "dial_status", '
    '"emergency"}); context: {"base", "token", "turn", "sid", "number", "caller", "version", "seconds", "open", "closed", "recorded"} '
    '(internal)';

-- src/ivr/check.sql
-- What telephony settings may say.  Whatever is wrong is said with what is allowed, when they are written.

CREATE FUNCTION refuse_setting(place text, problem text, allowed text) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RAISE EXCEPTION 'invalid setting %: %', left(place, 200), left(problem, 300) USING ERRCODE = 'invalid_parameter_value',
        DETAIL = allowed;
END
$$;
COMMENT ON FUNCTION refuse_setting(text, text, text) IS 'raises 22023 for a telephony setting (internal)';

CREATE FUNCTION check_setting(place text, value jsonb, type text, form text DEFAULT NULL,
    form_text text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    words CONSTANT text := value #>> '{}';
BEGIN
    IF value IS NULL THEN
        RETURN;
    END IF;
    IF jsonb_typeof(value) <> (CASE WHEN type IN ('sentence', 'number of a telephone') THEN 'string' ELSE type END) THEN
        PERFORM mulberry_internal.refuse_setting(place, format('it is of type %s', jsonb_typeof(value)),
            format('It must be %s.', CASE WHEN type IN ('array', 'object') THEN 'an ' || type
                WHEN type IN ('sentence', 'number of a telephone') THEN 'a string' ELSE 'a ' || type END));
    ELSIF type = 'sentence' AND (length(words) NOT BETWEEN 1 AND 1000 OR trim(words) = '' OR mulberry_internal.has_controls(words)) THEN
        PERFORM mulberry_internal.refuse_setting(place, CASE WHEN length(words) > 1000 THEN format('it has %s characters', length(words))
            WHEN mulberry_internal.has_controls(words) THEN 'it has control characters' ELSE 'it is empty' END,
            'A sentence that is said has 1 to 1000 characters on one line.');
    ELSIF type = 'number of a telephone' AND NOT mulberry_internal.phone_valid(words) THEN
        PERFORM mulberry_internal.refuse_setting(place, format('"%s" is no telephone number', left(words, 40)),
            'E.164 has a plus sign, a country code that does not begin with 0, and at most 15 digits in all.');
    ELSIF form IS NOT NULL AND words COLLATE "C" !~ form THEN
        PERFORM mulberry_internal.refuse_setting(place, format('"%s" is not allowed', left(words, 60)), format('It must be %s.',
            form_text));
    END IF;
END
$$;
COMMENT ON FUNCTION check_setting(text, jsonb, text, text, text) IS
    'checks one telephony setting: its type in JSON, or a sentence that is said, or the number of a telephone; and its form (internal)';

CREATE FUNCTION check_members(place text, value jsonb, allowed text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    unknown text;
BEGIN
    PERFORM mulberry_internal.check_setting(place, value, 'object');
    SELECT k.name INTO unknown FROM jsonb_object_keys(value) AS k (name) WHERE k.name <> ALL (allowed) ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        PERFORM mulberry_internal.refuse_setting(place, format('"%s" is not known', left(unknown, 60)),
            format('Known are %s.', array_to_string(allowed, ', ')));
    END IF;
END
$$;
COMMENT ON FUNCTION check_members(text, jsonb, text[]) IS 'raises 22023 for a member of an object that is not known (internal)';

CREATE FUNCTION check_whole_number(place text, value jsonb, minimum integer, maximum integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    PERFORM mulberry_internal.check_setting(place, value, 'number');
    IF (value #>> '{}')::numeric NOT BETWEEN minimum AND maximum OR (value #>> '{}')::numeric % 1 <> 0 THEN
        PERFORM mulberry_internal.refuse_setting(place, format('%s is out of range', value),
            format('It must be a whole number from %s to %s.', minimum, maximum));
    END IF;
END
$$;
COMMENT ON FUNCTION check_whole_number(text, jsonb, integer, integer) IS
    'raises 22023 for a setting that is no number in a range (internal)';

CREATE FUNCTION check_hours(settings jsonb) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    days CONSTANT text[] := ARRAY['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
    part record;
    span record;
BEGIN
    PERFORM mulberry_internal.check_setting('time_zone', settings->'time_zone', 'string');
    IF settings ? 'time_zone' AND (settings->>'time_zone' ~ '^(posix|right)/'
       OR NOT EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = settings->>'time_zone')) THEN
        PERFORM mulberry_internal.refuse_setting('time_zone', format('"%s" is not known', left(settings->>'time_zone', 60)),
            'It must be the name of a zone as IANA writes it, such as Europe/Berlin.');
    END IF;
    PERFORM mulberry_internal.check_members('hours', settings->'hours', days);
    PERFORM mulberry_internal.check_setting('holidays', settings->'holidays', 'object');
    IF (settings ? 'hours' OR settings ? 'holidays') AND NOT settings ? 'time_zone' THEN
        PERFORM mulberry_internal.refuse_setting('time_zone', 'it is missing', 'Hours and holidays need one, such as Europe/Berlin.');
    END IF;
    FOR part IN
        SELECT 'hours.' || h.name AS place, h.value AS spans, NULL::text AS day FROM jsonb_each(settings->'hours') AS h (name, value)
        UNION ALL
        SELECT 'holidays.' || h.name, h.value, h.name FROM jsonb_each(settings->'holidays') AS h (name, value)
         ORDER BY 1
    LOOP
        IF part.day IS NOT NULL THEN
            PERFORM mulberry_internal.check_members(part.place, part.spans, ARRAY['hours', 'closed']);
            PERFORM mulberry_internal.check_setting(part.place || '.closed', part.spans->'closed', 'sentence');
            BEGIN
                -- of a leap year, so that 02-29 is a day
                IF part.day COLLATE "C" !~ '^([0-9]{4}-)?[0-9]{2}-[0-9]{2}$'
                   OR to_char((CASE length(part.day) WHEN 5 THEN '2000-' ELSE '' END || part.day)::date, 'MM-DD') <> right(part.day, 5) THEN
                    RAISE datetime_field_overflow;
                END IF;
            EXCEPTION WHEN data_exception THEN
                PERFORM mulberry_internal.refuse_setting(part.place, 'this is no day', 'A holiday is YYYY-MM-DD, or MM-DD for every year.');
            END;
            part.spans := part.spans->'hours';
            part.place := part.place || '.hours';
        END IF;
        PERFORM mulberry_internal.check_setting(part.place, part.spans, 'array');
        FOR span IN SELECT s.value FROM jsonb_array_elements(part.spans) AS s (value) LOOP
            PERFORM mulberry_internal.check_setting(part.place, span.value, 'string');
            IF NOT mulberry_internal.hours_valid(span.value #>> '{}') THEN
                PERFORM mulberry_internal.refuse_setting(part.place, format('"%s" is no interval', left(span.value #>> '{}', 60)),
                    'Hours are written 09:00-17:30, 22:00-02:00 over midnight, or 00:00-24:00.');
            END IF;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION check_hours(jsonb) IS 'checks the business hours of telephony settings (internal)';

CREATE FUNCTION check_key(settings jsonb, place text, key jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    PERFORM mulberry_internal.check_setting(place, key, 'object');
    PERFORM mulberry_internal.check_setting(place || '.action', coalesce(key->'action', 'null'), 'string',
        '^(say|transfer|record|emergency|agent|menu)$', 'say, transfer, record, emergency, agent or menu');
    PERFORM mulberry_internal.check_members(place, key, ARRAY['action', 'text'] || CASE key->>'action'
        WHEN 'say' THEN ARRAY['then'] WHEN 'transfer' THEN ARRAY['number'] WHEN 'record' THEN ARRAY['seconds']
        WHEN 'menu' THEN ARRAY['menu']
        ELSE '{}' END);
    PERFORM mulberry_internal.check_setting(place || '.text', key->'text', 'sentence');
    PERFORM mulberry_internal.check_setting(place || '.then', key->'then', 'string', '^(menu|hangup)$', 'menu or hangup');
    PERFORM mulberry_internal.check_setting(place || '.number', key->'number', 'number of a telephone');
    PERFORM mulberry_internal.check_whole_number(place || '.seconds', key->'seconds', 1, 3600);
    PERFORM mulberry_internal.check_setting(place || '.menu', key->'menu', 'string');
    IF key->>'action' = 'say' AND NOT key ? 'text' THEN
        PERFORM mulberry_internal.refuse_setting(place || '.text', 'it is missing', 'What is said must be there.');
    ELSIF key->>'action' = 'transfer' AND NOT key ? 'number' AND NOT settings ? 'transfer_number' THEN
        PERFORM mulberry_internal.refuse_setting(place || '.number', 'it is missing',
            'A transfer needs a number, here or as transfer_number.');
    ELSIF key->>'action' = 'menu' AND NOT settings->'menus' ? coalesce(key->>'menu', '') THEN
        PERFORM mulberry_internal.refuse_setting(place || '.menu',
            CASE WHEN key ? 'menu' THEN format('there is no menu "%s"', left(key->>'menu', 60)) ELSE 'it is missing' END,
            format('Menus are %s.', (SELECT string_agg(m.name, ', ' ORDER BY m.name)
                FROM jsonb_object_keys(settings->'menus') AS m (name))));
    END IF;
END
$$;
COMMENT ON FUNCTION check_key(jsonb, text, jsonb) IS 'checks what a key of a menu does (internal)';

CREATE FUNCTION check_menus(settings jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    menus_max CONSTANT integer := 20;
    depth_max CONSTANT integer := 4;
    menus     CONSTANT jsonb := settings->'menus';
    m         record;
    k         record;
BEGIN
    PERFORM mulberry_internal.check_setting('menus', menus, 'object');
    IF (SELECT count(*) FROM jsonb_object_keys(menus)) > menus_max THEN
        PERFORM mulberry_internal.refuse_setting('menus', format('there are %s', (SELECT count(*) FROM jsonb_object_keys(menus))),
            format('There may be %s menus at most.', menus_max));
    ELSIF menus IS NOT NULL AND NOT menus ? 'main' THEN
        PERFORM mulberry_internal.refuse_setting('menus', 'there is none called main', 'The menu main is the first that a caller hears.');
    ELSIF settings->>'answer_with' = 'menu' AND menus IS NULL THEN
        PERFORM mulberry_internal.refuse_setting('answer_with', 'there is no menu',
            'Give menus with one called main, or answer with the agent.');
    ELSIF settings ? 'closed_menu' AND NOT coalesce(menus ? (settings->>'closed_menu'), false) THEN
        PERFORM mulberry_internal.refuse_setting('closed_menu', format('there is no menu "%s"', left(settings->>'closed_menu', 60)),
            'It must be the name of one of the menus.');
    END IF;
    FOR m IN SELECT e.key AS name, e.value FROM jsonb_each(menus) AS e ORDER BY e.key LOOP
        IF m.name COLLATE "C" !~ '^[a-z][a-z0-9_-]{0,31}$' THEN
            PERFORM mulberry_internal.refuse_setting('menus', format('"%s" is no name of a menu', left(m.name, 60)),
                'Names have a small letter and then at most 31 small letters, digits, - or _.');
        END IF;
        PERFORM mulberry_internal.check_members('menus.' || m.name, m.value, ARRAY['text', 'keys', 'timeout']);
        PERFORM mulberry_internal.check_setting(format('menus.%s.text', m.name), coalesce(m.value->'text', 'null'), 'sentence');
        PERFORM mulberry_internal.check_whole_number(format('menus.%s.timeout', m.name), m.value->'timeout', 1, 60);
        PERFORM mulberry_internal.check_setting(format('menus.%s.keys', m.name), coalesce(m.value->'keys', 'null'), 'object');
        FOR k IN SELECT e.key AS digit, e.value FROM jsonb_each(m.value->'keys') AS e ORDER BY e.key LOOP
            IF k.digit COLLATE "C" !~ '^[0-9*#]$' THEN
                PERFORM mulberry_internal.refuse_setting(format('menus.%s.keys', m.name), format('"%s" is no key of a telephone',
                    left(k.digit, 60)), 'Keys are 0 to 9, * and #.');
            END IF;
            PERFORM mulberry_internal.check_key(settings, format('menus.%s.keys.%s', m.name, k.digit), k.value);
        END LOOP;
    END LOOP;
    FOR m IN
        WITH RECURSIVE way AS (
            SELECT ARRAY[s.name] AS path, s.name FROM (SELECT DISTINCT u.name FROM unnest(ARRAY['main',
                settings->>'closed_menu']) AS u (name)
                                                        WHERE menus ? u.name) AS s
            UNION ALL
            SELECT w.path || (e.value->>'menu'), e.value->>'menu'
              FROM way w CROSS JOIN LATERAL jsonb_each(menus->w.name->'keys') AS e
             WHERE e.value->>'action' = 'menu' AND w.name <> ALL (trim_array(w.path, 1)) AND cardinality(w.path) <= depth_max
        )
        SELECT w.path, w.name <> ALL (trim_array(w.path, 1)) AS too_deep FROM way w
         WHERE w.name = ANY (trim_array(w.path, 1)) OR cardinality(w.path) > depth_max
         ORDER BY 2, 1 LIMIT 1
    LOOP
        PERFORM mulberry_internal.refuse_setting('menus',
            format(CASE WHEN m.too_deep THEN 'they lie too deep: %s' ELSE 'they go round: %s' END,
            array_to_string(m.path, ' > ')), format('A menu leads to others, %s in all behind each other, and to none that led to it.',
                depth_max));
    END LOOP;
    FOR m IN
        WITH RECURSIVE reached AS (
            SELECT s.name FROM unnest(ARRAY['main', settings->>'closed_menu']) AS s (name) WHERE menus ? s.name
            UNION
            SELECT e.value->>'menu' FROM reached r CROSS JOIN LATERAL jsonb_each(menus->r.name->'keys') AS e
                WHERE e.value->>'action' = 'menu'
        )
        SELECT n.name FROM jsonb_object_keys(menus) AS n (name) WHERE NOT EXISTS (SELECT FROM reached r
            WHERE r.name = n.name) ORDER BY 1 LIMIT 1
    LOOP
        PERFORM mulberry_internal.refuse_setting('menus.' || m.name, 'no key leads to it',
            'A menu is main, closed_menu, or where a key leads.');
    END LOOP;
END
$$;
COMMENT ON FUNCTION check_menus(jsonb) IS
    'checks the menus of telephony settings: keys, actions, names, depth, and that none goes round (internal)';

CREATE FUNCTION check_documents(settings jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    -- as long as such a thing can be
    context CONSTANT jsonb := jsonb_build_object('base', 'https://' || repeat('x', 192), 'turn', 999999,
        'token', '00000000-0000-0000-0000-000000000000', 'sid', 'CA' || repeat('0', 32), 'number', '+000000000000000',
        'caller', repeat('x', 200), 'version', 999999, 'seconds', 3600, 'open', true);
    entry   record;
    made    record;
    problem text;
BEGIN
    FOR entry IN
        SELECT 'greeting' AS place, jsonb '{"node": "begin"}' AS state, jsonb '{}' AS input, jsonb '{}' AS more
        UNION ALL SELECT 'closed', '{"node": "begin"}', '{}', '{"open": false}'
        UNION ALL SELECT 'holidays.' || h.key, '{"node": "begin"}', '{}', jsonb_build_object('open', false, 'closed', h.value->>'closed')
                    FROM jsonb_each(settings->'holidays') AS h
        UNION ALL SELECT 'consent', '{"node": "consent"}', '{"digits": "1"}', '{}'
        UNION ALL SELECT 'menus.' || m.key, jsonb_build_object('node', 'menu', 'menu', m.key), '{"digits": "?"}', '{}'
                    FROM jsonb_each(settings->'menus') AS m
        UNION ALL SELECT format('menus.%s.keys.%s', m.key, k.key), jsonb_build_object('node', 'menu', 'menu', m.key),
                         jsonb_build_object('digits', k.key), '{}'
                    FROM jsonb_each(settings->'menus') AS m CROSS JOIN LATERAL jsonb_each(m.value->'keys') AS k
        UNION ALL SELECT 'sentences.unavailable', jsonb_build_object('node', 'transfer', 'menu', m.key), '{"dial_status": "busy"}', '{}'
                    FROM jsonb_each(settings->'menus') AS m
         ORDER BY 1
    LOOP
        BEGIN
            made := mulberry_internal.ivr_next(settings, context || entry.more, entry.state, entry.input);
            PERFORM mulberry.twiml(made.verbs);
        EXCEPTION WHEN invalid_parameter_value THEN
            GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT;
            PERFORM mulberry_internal.refuse_setting(entry.place, problem, 'All that is said in one go is one TwiML document.');
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION check_documents(jsonb) IS
    'makes every document that callers can get by settings once, so that none fails then (internal)';

CREATE FUNCTION check_telephony(settings jsonb) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    numbers_max CONSTANT integer := 100;
    words_max   CONSTANT integer := 200;
    e           record;
    w           record;
BEGIN
    IF settings IS NULL THEN
        RAISE EXCEPTION 'settings must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM mulberry_internal.check_members('telephony', settings, ARRAY['numbers', 'greeting', 'voice', 'language',
        'answer_with', 'consent', 'consent_required', 'recording', 'menus', 'transfer_number', 'max_duration', 'time_zone', 'hours',
        'holidays', 'closed_menu', 'emergency_words', 'emergency_number', 'sentences']);
    PERFORM mulberry_internal.check_setting('numbers', coalesce(settings->'numbers', '[]'), 'array');
    IF jsonb_array_length(settings->'numbers') > numbers_max THEN
        PERFORM mulberry_internal.refuse_setting('numbers', format('there are %s', jsonb_array_length(settings->'numbers')),
            format('A tenant may have %s numbers at most.', numbers_max));
    END IF;
    PERFORM mulberry_internal.check_setting('numbers', n.value, 'number of a telephone')
       FROM jsonb_array_elements(settings->'numbers') WITH ORDINALITY AS n (value, place) ORDER BY n.place;
    PERFORM mulberry_internal.check_setting('greeting', coalesce(settings->'greeting', 'null'), 'sentence');
    PERFORM mulberry_internal.check_setting('voice', settings->'voice', 'string', '^[A-Za-z0-9._-]{1,100}$', 'the name of a voice');
    PERFORM mulberry_internal.check_setting('language', settings->'language', 'string', '^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$',
        'a language tag such as en-US');
    PERFORM mulberry_internal.check_setting('answer_with', settings->'answer_with', 'string', '^(menu|agent)$', 'menu or agent');
    PERFORM mulberry_internal.check_setting('consent', settings->'consent', 'sentence');
    PERFORM mulberry_internal.check_setting('consent_required', settings->'consent_required', 'boolean');
    PERFORM mulberry_internal.check_setting('recording', settings->'recording', 'string', '^(never|consent|always)$',
        'never, consent or always');
    IF mulberry_internal.asks_consent(settings) AND NOT settings ? 'consent' THEN
        PERFORM mulberry_internal.refuse_setting('consent', 'it is missing',
            'Where consent is asked for, it is the question, which says that 1 means yes and 2 means no.');
    END IF;
    PERFORM mulberry_internal.check_setting('transfer_number', settings->'transfer_number', 'number of a telephone');
    PERFORM mulberry_internal.check_setting('emergency_number', settings->'emergency_number', 'number of a telephone');
    PERFORM mulberry_internal.check_whole_number('max_duration', settings->'max_duration', 30, 14400);
    PERFORM mulberry_internal.check_setting('closed_menu', settings->'closed_menu', 'string');
    PERFORM mulberry_internal.check_members('sentences', settings->'sentences', mulberry_internal.sentence_names());
    PERFORM mulberry_internal.check_setting('sentences.' || s.key, s.value, 'sentence') FROM jsonb_each(settings->'sentences') AS s;
    PERFORM mulberry_internal.check_setting('emergency_words', settings->'emergency_words', 'object');
    FOR e IN SELECT x.key, x.value FROM jsonb_each(settings->'emergency_words') AS x ORDER BY x.key LOOP
        IF e.key COLLATE "C" !~ '^[a-z]{2,3}$' THEN
            PERFORM mulberry_internal.refuse_setting('emergency_words', format('"%s" is no language', left(e.key, 60)),
                'Languages are written as en or de.');
        END IF;
        PERFORM mulberry_internal.check_setting('emergency_words.' || e.key, e.value, 'array');
        IF jsonb_array_length(e.value) > words_max THEN
            PERFORM mulberry_internal.refuse_setting('emergency_words.' || e.key, format('there are %s', jsonb_array_length(e.value)),
                format('There may be %s at most.', words_max));
        END IF;
        FOR w IN SELECT x.value FROM jsonb_array_elements(e.value) AS x LOOP
            PERFORM mulberry_internal.check_setting('emergency_words.' || e.key, w.value, 'sentence');
        END LOOP;
    END LOOP;
    PERFORM mulberry_internal.check_hours(settings);
    PERFORM mulberry_internal.check_menus(settings);
    PERFORM mulberry_internal.check_documents(settings);
END
$$;
COMMENT ON FUNCTION check_telephony(jsonb) IS 'raises 22023 for settings that cannot be, and says what is allowed (internal)';

-- src/ivr/settings.sql
-- Telephony settings of tenants, and what a caller would hear.

CREATE FUNCTION telephony_version(tenant uuid) RETURNS telephony_versions
LANGUAGE sql STABLE
AS $$
    SELECT v.* FROM mulberry_internal.telephony_versions v WHERE v.tenant = $1 ORDER BY v.version DESC LIMIT 1
$$;
COMMENT ON FUNCTION telephony_version(uuid) IS 'the settings of a tenant that hold (internal)';

CREATE FUNCTION write_telephony(owner uuid, settings jsonb) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    before CONSTANT mulberry_internal.telephony_versions := mulberry_internal.telephony_version(owner);
    taken  text;
    made   integer;
BEGIN
    PERFORM mulberry_internal.check_telephony(settings);
    IF before.settings = settings THEN
        RETURN before.version;
    END IF;
    -- one after the other: of two who name the same number at once each would find it free
    LOCK TABLE mulberry_internal.phone_numbers IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM mulberry_internal.phone_numbers n WHERE n.tenant = owner AND NOT coalesce(settings->'numbers', '[]') ? n.number;
    -- of those whose calls one endpoint signs only the first would be called; others prove that it is theirs with each call
    SELECT n.number INTO taken
      FROM jsonb_array_elements_text(settings->'numbers') AS n (number)
      JOIN mulberry_internal.phone_numbers p ON p.number = n.number AND p.tenant <> owner
     WHERE mulberry_internal.endpoint_for(p.tenant, 'telephony') = mulberry_internal.endpoint_for(owner, 'telephony')
       AND NOT EXISTS (SELECT FROM mulberry_internal.phone_numbers o WHERE o.number = n.number AND o.tenant = owner)
     ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'number "%" is taken', taken USING ERRCODE = 'unique_violation',
            DETAIL = 'A number calls one tenant of an account.';
    END IF;
    INSERT INTO mulberry_internal.phone_numbers (number, tenant)
    SELECT DISTINCT n.number, owner FROM jsonb_array_elements_text(settings->'numbers') AS n (number) ORDER BY 1
    ON CONFLICT ON CONSTRAINT phone_numbers_pkey DO NOTHING;
    INSERT INTO mulberry_internal.telephony_versions (tenant, version, settings, role)
    VALUES (owner, coalesce(before.version, 0) + 1, settings, mulberry_internal.outer_role_name())
    RETURNING version INTO made;
    PERFORM mulberry_internal.record_audit(owner, 'TELEPHONY_SETTINGS', 'set', evidence => jsonb_build_object('version', made,
        'changed', (SELECT coalesce(jsonb_agg(k.name ORDER BY k.name), '[]')
                      FROM (SELECT jsonb_object_keys(settings) UNION SELECT jsonb_object_keys(before.settings)) AS k (name)
                     WHERE settings->k.name IS DISTINCT FROM before.settings->k.name)));
    RETURN made;
END
$$;
COMMENT ON FUNCTION write_telephony(uuid, jsonb) IS
    'checks settings and makes them those that hold; returns their version, which is another one only when they are. The caller has locked '
    'the tenant (internal)';

CREATE FUNCTION mulberry.set_telephony(settings jsonb, tenant text DEFAULT NULL) RETURNS integer
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
BEGIN
    PERFORM mulberry_internal.check_json('settings', set_telephony.settings);
    PERFORM FROM mulberry_internal.tenants t WHERE t.id = owner FOR NO KEY UPDATE;
    RETURN mulberry_internal.write_telephony(owner, set_telephony.settings);
END
$$;
COMMENT ON FUNCTION mulberry.set_telephony(jsonb, text) IS
    'what callers of a tenant hear, as a whole, and returns the number of this version: {"numbers", "greeting", "voice", "language", '
    '"answer_with", "consent", "consent_required", "recording", "menus", "transfer_number", "max_duration", "time_zone", "hours", '
    '"holidays", '
    '"closed_menu", "emergency_words", "emergency_number", "sentences"}. Calls that are under way keep the version they began with. Needs '
    'admin access. Errors: 22023 names the setting and what is allowed, 23505 the number is another tenant''s of the same account';

CREATE FUNCTION mulberry.alter_telephony(changes jsonb, tenant text DEFAULT NULL) RETURNS integer
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner  CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
    before mulberry_internal.telephony_versions;
BEGIN
    PERFORM mulberry_internal.check_json('changes', alter_telephony.changes);
    IF changes IS NULL THEN
        RAISE EXCEPTION 'changes must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF jsonb_typeof(changes) <> 'object' THEN
        RAISE EXCEPTION 'changes must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM FROM mulberry_internal.tenants t WHERE t.id = owner FOR NO KEY UPDATE;
    before := mulberry_internal.telephony_version(owner);
    IF before.version IS NULL THEN
        RAISE EXCEPTION 'the tenant has no telephony settings' USING ERRCODE = 'undefined_object',
            HINT = 'set_telephony() makes the first ones.';
    END IF;
    RETURN mulberry_internal.write_telephony(owner, jsonb_strip_nulls(before.settings || changes));
END
$$;
COMMENT ON FUNCTION mulberry.alter_telephony(jsonb, text) IS
    'set_telephony() with the settings that hold, in which these take the place of those of the same name; null takes one away. Needs '
    'admin access. Errors: those of set_telephony(), 42704 there are none';

CREATE FUNCTION ivr_context(settings jsonb, base text, token uuid, turn integer, sid text, number text, caller text,
    version integer, began timestamptz, at timestamptz, recorded boolean DEFAULT false) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT jsonb_build_object('base', base, 'token', token, 'turn', turn, 'sid', sid, 'number', number, 'caller', caller,
               'version', version, 'seconds', coalesce((settings->>'max_duration')::integer, 3600) - floor(extract(epoch FROM at - began)),
               'open', h.open, 'closed', h.closed, 'recorded', recorded)
      FROM mulberry_internal.business_hours(settings, at) AS h
$$;
COMMENT ON FUNCTION ivr_context(jsonb, text, uuid, integer, text, text, text, integer, timestamptz, timestamptz, boolean) IS
    'what ivr_next() is to know of a call (internal)';

CREATE FUNCTION mulberry.preview_call(number text, at timestamptz DEFAULT now(), digits text DEFAULT NULL) RETURNS text
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner uuid;
    v     mulberry_internal.telephony_versions;
    made  record;
    place jsonb := '{"node": "begin"}'::jsonb;
    turn  integer := 0;
    digit text;
BEGIN
    PERFORM mulberry_internal.check_texts('number', preview_call.number, 'digits', preview_call.digits);
    SELECT n.tenant INTO owner FROM mulberry_internal.phone_numbers n
     WHERE n.number = preview_call.number COLLATE "C" AND n.tenant = ANY (mulberry.current_tenants('supervisor', 'operator', 'admin'))
     ORDER BY n.created_at, n.tenant LIMIT 1;
    IF owner IS NULL THEN
        RAISE EXCEPTION 'number "%" does not exist', left(number, 40) USING ERRCODE = 'undefined_object',
            HINT = 'The setting numbers of a tenant says which call it.';
    ELSIF at IS NULL OR NOT isfinite(at) THEN
        RAISE EXCEPTION 'at must be a time' USING ERRCODE = 'datetime_field_overflow';
    ELSIF digits COLLATE "C" !~ '^[0-9*#]{0,100}$' THEN
        RAISE EXCEPTION 'invalid digits "%"', left(digits, 40) USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'They are at most 100 of 0 to 9, * and #.';
    END IF;
    v := mulberry_internal.telephony_version(owner);
    FOREACH digit IN ARRAY ARRAY[''] || CASE WHEN digits <> '' THEN string_to_array(digits, NULL) ELSE '{}' END LOOP
        turn := turn + 1;
        made := mulberry_internal.ivr_next(v.settings,
            mulberry_internal.ivr_context(v.settings,
                coalesce((mulberry_internal.telephony_endpoint(owner)).options->>'public_url', 'https://localhost'),
                '00000000-0000-0000-0000-000000000000', turn, 'CA' || repeat('0', 32), number, 'anonymous', v.version, at, at),
            place, jsonb_build_object('digits', digit));
        place := made.next_place;
    END LOOP;
    RETURN mulberry.twiml(made.verbs);
END
$$;
COMMENT ON FUNCTION mulberry.preview_call(text, timestamptz, text) IS
    'the TwiML that a caller of a number gets who calls at a time, after these digits one by one; where no menu waits for a key, a digit '
    'stands for the end of what goes on there. Needs supervisor, operator or admin access. Errors: 42704 no such number, 22008, 22023';

-- src/ivr/emergency.sql
-- Emergencies: found in what was said, or meant by a key; told once for each call and phrase.

CREATE FUNCTION mulberry.emergency_words() RETURNS TABLE (language text, phrase text)
LANGUAGE c STABLE ROWS 300 AS 'MODULE_PATHNAME', 'mulberry_emergency_words';
COMMENT ON FUNCTION mulberry.emergency_words() IS
    'what is taken for an emergency when it is said, for tenants whose setting emergency_words does not name others';

CREATE FUNCTION find_emergencies(text text, languages text[], phrases text[])
RETURNS TABLE (language text, phrase text, excerpt text)
LANGUAGE c STABLE ROWS 1 AS 'MODULE_PATHNAME', 'mulberry_find_emergencies';
COMMENT ON FUNCTION find_emergencies(text, text[], text[]) IS
    'phrases that a text has as whole words, in whatever spelling, and does not deny; languages and phrases belong together, null: those '
    'of emergency_words() (internal)';

CREATE FUNCTION emergencies_in(tenant uuid, text text) RETURNS TABLE (language text, phrase text, excerpt text)
LANGUAGE sql STABLE ROWS 1
AS $$
    SELECT f.language, f.phrase, f.excerpt
      FROM (SELECT (mulberry_internal.telephony_version($1)).settings->'emergency_words' AS words) AS own
     CROSS JOIN LATERAL (SELECT array_agg(l.key ORDER BY l.key, w.n) AS languages, array_agg(w.phrase ORDER BY l.key, w.n) AS phrases
                           FROM jsonb_each(own.words) AS l
                          CROSS JOIN LATERAL jsonb_array_elements_text(l.value) WITH ORDINALITY AS w (phrase, n)) AS list
     CROSS JOIN LATERAL mulberry_internal.find_emergencies($2, CASE WHEN own.words IS NOT NULL THEN coalesce(list.languages, '{}') END,
                                                           CASE WHEN own.words IS NOT NULL THEN coalesce(list.phrases, '{}') END) AS f
$$;
COMMENT ON FUNCTION emergencies_in(uuid, text) IS 'what a tenant takes for an emergency in a text (internal)';

CREATE FUNCTION mulberry.detect_emergency(text text, tenant text DEFAULT NULL)
RETURNS TABLE (language text, phrase text, excerpt text)
LANGUAGE mulberry STABLE ROWS 1
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT e.* FROM mulberry_internal.emergencies_in(
        mulberry_internal.resolve_tenant(detect_emergency.tenant, 'supervisor', 'operator', 'gateway', 'admin'),
            detect_emergency.text) AS e;
END
$$;
COMMENT ON FUNCTION mulberry.detect_emergency(text, text) IS
    'the phrases in a text that the tenant takes for an emergency: whole words in whatever spelling, not those that are denied ("it is not '
    'an emergency"), with what stands around them. What is stored of a call is looked through by itself. Needs supervisor, operator, '
    'gateway or admin access';

CREATE FUNCTION has_emergency(tenant uuid, call_id text) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (SELECT FROM mulberry_internal.emergencies e WHERE e.tenant = $1 AND e.call_id = $2)
$$;
COMMENT ON FUNCTION has_emergency(uuid, text) IS 'whether an emergency was found in a call (internal)';

CREATE FUNCTION emergency_answer(tenant uuid, OUT sentence text, OUT number text)
LANGUAGE sql STABLE
AS $$
    SELECT mulberry_internal.ivr_sentence(s.settings, 'emergency'), s.settings->>'emergency_number'
      FROM (SELECT coalesce((mulberry_internal.telephony_version($1)).settings, '{}') AS settings) AS s
$$;
COMMENT ON FUNCTION emergency_answer(uuid) IS 'what is said in an emergency, and who is called (internal)';

CREATE FUNCTION note_emergency(tenant uuid, call_id text, call bigint, phrase text, language text, source text, excerpt text,
    track text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    report_attempts CONSTANT integer := 12;    -- over half an hour
    answer  record;
    report  jsonb;
    told    text;
    job     bigint;
BEGIN
    INSERT INTO mulberry_internal.emergencies (tenant, call_id, phrase, language, source, track)
    VALUES (note_emergency.tenant, note_emergency.call_id, note_emergency.phrase, note_emergency.language, note_emergency.source,
            note_emergency.track)
    ON CONFLICT ON CONSTRAINT emergencies_pkey DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    answer := mulberry_internal.emergency_answer(note_emergency.tenant);
    report := jsonb_strip_nulls(jsonb_build_object('reference', note_emergency.call_id, 'phrase', phrase, 'language', language,
        'source', source, 'track', track, 'excerpt', excerpt, 'answer', answer.sentence, 'emergency_number', answer.number));
    PERFORM mulberry_internal.emit_event(note_emergency.tenant, 'emergency_detected', c.id,
                                         coalesce(c.call_id, note_emergency.call_id), report)
       FROM (SELECT) AS one
       LEFT JOIN mulberry_internal.calls c ON c.tenant = note_emergency.tenant AND c.call_id = note_emergency.call_id;
    PERFORM mulberry_internal.record_audit(note_emergency.tenant, 'EMERGENCY', 'detected', evidence => report - 'excerpt' - 'answer');
    -- who acts on what machines cannot: the same contact that is told of commands nobody confirmed
    SELECT x.endpoint INTO told FROM mulberry_internal.escalation_contacts x WHERE x.tenant = note_emergency.tenant;
    IF told IS NOT NULL THEN
        job := mulberry_internal.enqueue_job('escalate', note_emergency.tenant, NULL, told, jsonb_build_object('report',
            report || jsonb_build_object('event', 'emergency_detected', 'at', to_char(clock_timestamp() AT TIME ZONE 'UTC',
                'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))));
        UPDATE mulberry_internal.job_queue q SET max_attempts = report_attempts WHERE q.id = job;
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION note_emergency(uuid, text, bigint, text, text, text, text, text) IS
    'stores an emergency of a call with its event, audit row and report to the contact; false when it is known (internal)';

CREATE FUNCTION note_emergencies(tenant uuid, call_id text, call bigint, said text, source text, track text DEFAULT NULL)
RETURNS integer
LANGUAGE sql
AS $$
    SELECT count(*) FILTER (WHERE mulberry_internal.note_emergency($1, $2, $3, e.phrase, e.language, $5, e.excerpt, $6))::integer
      FROM mulberry_internal.emergencies_in($1, $4) AS e
$$;
COMMENT ON FUNCTION note_emergencies(uuid, text, bigint, text, text, text) IS
    'looks through what was said in a call, and returns how many emergencies were new (internal)';

CREATE FUNCTION segments_said() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    problem text;
BEGIN
    -- What our side says is no emergency.  A phrase may go on in the next segment, and what one denies is not in the other.
    PERFORM mulberry_internal.note_emergencies(c.tenant, c.call_id, c.id, s.said, 'segment', k.name)
       FROM (SELECT n.call, n.track, string_agg(n.text, ' ' ORDER BY n.number) || E'\n' || string_agg(n.text,
           E'\n' ORDER BY n.number) AS said
               FROM new_segments n GROUP BY n.call, n.track) AS s
       JOIN mulberry_internal.calls c ON c.id = s.call
       JOIN mulberry_internal.all_tracks k ON k.call = s.call AND k.number = s.track
      WHERE k.name <> 'agent'
      ORDER BY c.id, k.number;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    -- what passes has the whole stored once more; anything else would cost the transcript, each time
    IF SQLSTATE ~ '^(40|53|55)' THEN
        RAISE;
    END IF;
    GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT;
    RAISE WARNING 'what was said was not looked through for emergencies: %', problem USING ERRCODE = SQLSTATE;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION segments_said() IS 'trigger: looks for emergencies in what is stored of a call';
CREATE TRIGGER segments_said AFTER INSERT ON segments REFERENCING NEW TABLE AS new_segments
    FOR EACH STATEMENT EXECUTE FUNCTION segments_said();

CREATE FUNCTION mulberry.note_partial(call_id text, text text, track text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS text
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(note_partial.tenant, 'gateway');
    found mulberry_internal.calls;
    known boolean;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', note_partial.call_id, 'text', note_partial.text, 'track', note_partial.track);
    SELECT c.* INTO found FROM mulberry_internal.calls c WHERE c.tenant = owner AND c.call_id = note_partial.call_id;
    known := found.id IS NOT NULL
        OR EXISTS (SELECT FROM mulberry_internal.inbound_calls i WHERE i.tenant = owner AND i.sid = note_partial.call_id);
    IF note_partial.call_id IS NULL THEN
        RAISE EXCEPTION 'call id must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF NOT known THEN
        RAISE EXCEPTION 'call "%" does not exist', note_partial.call_id USING ERRCODE = 'undefined_object';
    END IF;
    IF mulberry_internal.note_emergencies(owner, note_partial.call_id, found.id, note_partial.text, 'partial', nullif(note_partial.track,
        '')) > 0
    THEN
        RETURN (mulberry_internal.emergency_answer(owner)).sentence;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mulberry.note_partial(text, text, text, text) IS
    'looks through what has been heard so far of somebody who is still speaking: null, or what is to be said because it is an emergency, '
    'once for each phrase of a call. The text is not kept. Needs gateway access. Errors: 42704 no such call, 22004';

CREATE VIEW mulberry.emergency_status WITH (security_barrier) AS
    SELECT t.name AS tenant, e.call_id, e.phrase, e.language, e.source, e.track, e.at
      FROM mulberry_internal.emergencies e
      JOIN mulberry_internal.tenants t ON t.id = e.tenant
     WHERE e.tenant = ANY ((SELECT mulberry.current_tenants(true, 'supervisor', 'operator', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.emergency_status IS 'emergencies that were found in calls, or meant by a key';

-- src/ivr/webhooks.sql
-- Webhooks of calls that come in.  Locks are taken in the order call, what is heard in it.

CREATE FUNCTION signed_by_account(tenant uuid, e endpoints, url text, content_type text, body bytea, signature text)
RETURNS boolean
LANGUAGE sql
AS $$
    -- each is tried, whichever fits: the answer's time says nothing
    SELECT bool_or(mulberry_internal.check_twilio_body(mulberry_internal.secret_tenant(e.tenant, s.name, $1), s.name, $3, $4, $5, $6))
      FROM mulberry_internal.account_secrets(e) AS s (name)
$$;
COMMENT ON FUNCTION signed_by_account(uuid, endpoints, text, text, bytea, text) IS
    'whether a request is signed with the auth token of an endpoint, or the one before it while it is rotated (internal)';

CREATE FUNCTION meet_inbound_call(owner uuid, params jsonb) RETURNS inbound_calls
LANGUAGE plpgsql
AS $$
DECLARE
    i mulberry_internal.inbound_calls;
BEGIN
    INSERT INTO mulberry_internal.inbound_calls (tenant, sid, number, caller, version, place)
    SELECT owner, params->>'CallSid', coalesce(params->>'To', params->>'Called'), nullif(left(coalesce(params->>'From',
        params->>'Caller'), 255), ''),
           v.version, '{"node": "begin"}'
      FROM mulberry_internal.telephony_version(owner) AS v
    ON CONFLICT ON CONSTRAINT inbound_calls_tenant_sid_key DO NOTHING;
    SELECT x.* INTO STRICT i FROM mulberry_internal.inbound_calls x WHERE x.tenant = owner AND x.sid = params->>'CallSid' FOR UPDATE;
    RETURN i;
END
$$;
COMMENT ON FUNCTION meet_inbound_call(uuid, jsonb) IS
    'the row of a call that comes in, locked; a new one gets the settings that hold now for all of its time (internal)';

CREATE FUNCTION tell_inbound_call(i inbound_calls, seconds integer DEFAULT NULL) RETURNS void
LANGUAGE sql
AS $$
    SELECT mulberry_internal.emit_event(i.tenant, 'inbound_call', NULL, i.sid, jsonb_strip_nulls(jsonb_build_object('call_sid', i.sid,
               'from_number', i.caller, 'to_number', i.number, 'status', i.state, 'settings_version', i.version, 'seconds', $2)))
$$;
COMMENT ON FUNCTION tell_inbound_call(inbound_calls, integer) IS 'stores the event of a call that came in, or went on (internal)';

CREATE FUNCTION go_on(INOUT i inbound_calls, base text, input jsonb, OUT document text)
LANGUAGE plpgsql
AS $$
DECLARE
    at       CONSTANT timestamptz := clock_timestamp();
    settings jsonb;
    made     record;
BEGIN
    SELECT v.settings INTO STRICT settings FROM mulberry_internal.telephony_versions v WHERE v.tenant = i.tenant AND v.version = i.version;
    made := mulberry_internal.ivr_next(settings,
        mulberry_internal.ivr_context(settings, base, i.token, i.turn + 1, i.sid, i.number, i.caller, i.version, i.created_at, at,
            i.recorded),
        i.place, input || jsonb_build_object('emergency', i.place->>'node' = 'agent' AND mulberry_internal.has_emergency(i.tenant, i.sid)));
    document := mulberry.twiml(made.verbs);
    UPDATE mulberry_internal.inbound_calls x
       SET place = made.next_place, turn = x.turn + 1, consent = coalesce((made.deed->>'consent')::boolean, x.consent),
           recorded = x.recorded OR made.deed ? 'recorded'
     WHERE x.id = i.id RETURNING x.* INTO i;
    IF made.deed ? 'key' THEN
        PERFORM mulberry_internal.emit_event(i.tenant, 'inbound_key', NULL, i.sid, jsonb_build_object('call_sid', i.sid,
            'menu', made.deed->'menu', 'key', made.deed->'key', 'action', made.deed->'action'));
    END IF;
    IF made.deed ? 'emergency' THEN
        PERFORM mulberry_internal.note_emergency(i.tenant, i.sid, NULL, 'key ' || (made.deed->>'key'), NULL, 'key',
            format('key %s of menu %s', made.deed->>'key', made.deed->>'menu'));
    END IF;
    IF made.deed ? 'transfer' THEN
        PERFORM mulberry_internal.emit_event(i.tenant, 'inbound_transfer', NULL, i.sid, jsonb_build_object('call_sid', i.sid,
            'status', made.deed->'transfer'));
    END IF;
END
$$;
COMMENT ON FUNCTION go_on(inbound_calls, text, jsonb) IS
    'takes a call that came in one step on, by the settings that it began with, and returns what is heard next (internal)';

CREATE FUNCTION take_inbound_status(i inbound_calls, params jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    rank         CONSTANT integer := mulberry_internal.voice_call_rank(params->>'CallStatus');
    order_number CONSTANT integer := CASE WHEN params->>'SequenceNumber' ~ '^[0-9]{1,9}$' THEN (params->>'SequenceNumber')::integer END;
BEGIN
    IF rank IS NULL OR rank < 3 OR order_number <= i.sequence OR rank <= mulberry_internal.voice_call_rank(i.state) THEN
        RETURN;
    END IF;
    UPDATE mulberry_internal.inbound_calls x
       SET sequence = coalesce(order_number, x.sequence), state = params->>'CallStatus',
           ended_at = CASE WHEN rank = 6 THEN clock_timestamp() END
     WHERE x.id = i.id RETURNING x.* INTO i;
    PERFORM mulberry_internal.tell_inbound_call(i,
        CASE WHEN params->>'CallDuration' ~ '^[0-9]{1,6}$' THEN (params->>'CallDuration')::integer END);
END
$$;
COMMENT ON FUNCTION take_inbound_status(inbound_calls, jsonb) IS
    'takes a status callback of a call that came in; what is old, or not known, changes nothing (internal)';

CREATE FUNCTION take_inbound_recording(i inbound_calls, params jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF params->>'RecordingStatus' IS DISTINCT FROM 'completed' OR coalesce(params->>'RecordingSid', '') !~ '^RE[0-9a-f]{32}$'
       OR params->>'RecordingSid' = ANY (i.recordings) THEN
        RETURN;
    END IF;
    UPDATE mulberry_internal.inbound_calls x SET recordings = x.recordings || (params->>'RecordingSid') WHERE x.id = i.id;
    PERFORM mulberry_internal.enqueue_job('fetch', i.tenant, NULL, NULL, jsonb_build_object('call_sid', i.sid,
        'recording_sid', params->>'RecordingSid',
        'started_at', clock_timestamp() - make_interval(secs => CASE WHEN params->>'RecordingDuration' ~ '^[0-9]{1,6}$'
            THEN (params->>'RecordingDuration')::integer ELSE 0 END)));
    PERFORM mulberry_internal.emit_event(i.tenant, 'inbound_recording', NULL, i.sid, jsonb_strip_nulls(jsonb_build_object(
        'call_sid', i.sid, 'recording_sid', params->>'RecordingSid',
        'seconds', CASE WHEN params->>'RecordingDuration' ~ '^[0-9]{1,6}$' THEN (params->>'RecordingDuration')::integer END,
        'channels', CASE WHEN params->>'RecordingChannels' ~ '^[12]$' THEN (params->>'RecordingChannels')::integer END)));
END
$$;
COMMENT ON FUNCTION take_inbound_recording(inbound_calls, jsonb) IS
    'takes a recording callback: notes that it is there, and has it fetched, once. Its URL is not looked at: the account is asked for it '
    'by its name (internal)';

CREATE FUNCTION json_parameters(body bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each_text(convert_from(body, 'UTF8')::jsonb) AS e);
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION json_parameters(bytea) IS 'the members of a JSON object as texts; null: it is none (internal)';

CREATE FUNCTION take_transcription(i inbound_calls, params jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF params->>'TranscriptionStatus' = 'completed' AND params->>'TranscriptionText' <> '' THEN
        UPDATE mulberry_internal.inbound_calls x SET transcript = left(concat_ws(E'\n', x.transcript, params->>'TranscriptionText'), 10000)
         WHERE x.id = i.id;
        PERFORM mulberry_internal.note_emergencies(i.tenant, i.sid, NULL, params->>'TranscriptionText', 'transcript');
    END IF;
END
$$;
COMMENT ON FUNCTION take_transcription(inbound_calls, jsonb) IS 'takes what Twilio heard in a recording (internal)';

-- What a caller hears when something goes wrong here.
CREATE FUNCTION apology(url text, digits text, wait boolean) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN mulberry.twiml(CASE
    -- somebody else is busy with this call for a moment; a redirection has no digits but those in its URL
    WHEN wait THEN jsonb_build_array(mulberry.twiml_pause(1), mulberry.twiml_redirect(
        CASE WHEN digits <> '' AND url !~ '[?&]digits=' THEN replace(url, '?', format('?digits=%s&', replace(digits, '#',
            '%23'))) ELSE url END,
        'POST'))
    ELSE jsonb_build_array(mulberry.twiml_say(mulberry_internal.ivr_sentence('{}', 'unavailable')), mulberry.twiml_hangup()) END);
COMMENT ON FUNCTION apology(text, text, boolean) IS
    'the TwiML of a webhook that failed: try again in a second, or an apology and the end of the call (internal)';

CREATE FUNCTION answer_inbound(owner uuid, i inbound_calls, kind text, query text, base text, params jsonb,
    idempotency_token text, OUT status integer, OUT document text)
LANGUAGE plpgsql
AS $$
DECLARE
    step   CONSTANT text := substring(query FROM '&step=([0-9]{1,9})(?:&|$)');
    digits CONSTANT text := regexp_replace(coalesce(params->>'Digits', replace(substring(query FROM '&digits=([^&]*)'), '%23', '#'), ''),
                                           '[^0-9*#]', '', 'g');
    keys   text[];
    made   record;
BEGIN
    IF i.id IS NULL AND kind = 'voice' THEN
        i := mulberry_internal.meet_inbound_call(owner, params);
    ELSE
        SELECT x.* INTO i FROM mulberry_internal.inbound_calls x
         WHERE x.id = i.id OR (x.tenant = owner AND x.sid = params->>'CallSid') FOR UPDATE;
    END IF;
    status := CASE WHEN kind IN ('voice', 'dtmf', 'transfer') THEN 200 ELSE 204 END;
    IF i.id IS NULL THEN
        -- the status of a call that was never answered here
        document := '';
        RETURN;
    END IF;
    keys := array_remove(ARRAY[format('token %s ', kind) || nullif(idempotency_token, ''), concat_ws(' ', kind, i.sid, CASE kind
        WHEN 'dtmf' THEN step
        WHEN 'transfer' THEN step
        WHEN 'status' THEN coalesce(params->>'SequenceNumber', params->>'CallStatus')
        WHEN 'recording' THEN concat_ws(' ', params->>'RecordingSid', params->>'RecordingStatus')
        WHEN 'transcription' THEN params->>'TranscriptionSid' END)], NULL);
    SELECT w.status, w.body INTO made FROM mulberry_internal.webhook_answers w
     WHERE w.voice_call = i.id AND w.key = ANY (keys) LIMIT 1;
    IF FOUND THEN
        status := made.status;
        document := made.body;
        RETURN;
    END IF;
    CASE kind
    WHEN 'voice' THEN
        IF i.turn > 0 THEN
            -- it came before, and what was answered is forgotten
            status := 404;
            document := mulberry.twiml('[]');
            RETURN;
        END IF;
        made := mulberry_internal.go_on(i, base, '{}');
        document := made.document;
        PERFORM mulberry_internal.tell_inbound_call(made.i);
    WHEN 'dtmf', 'transfer' THEN
        IF step IS NULL OR step::integer <> i.turn OR i.ended_at IS NOT NULL THEN
            status := 404;
            document := mulberry.twiml('[]');
            RETURN;
        END IF;
        document := (mulberry_internal.go_on(i, base, jsonb_strip_nulls(jsonb_build_object('digits', digits,
            'dial_status', params->>'DialCallStatus')))).document;
    WHEN 'status' THEN
        PERFORM mulberry_internal.take_inbound_status(i, params);
    WHEN 'recording' THEN
        PERFORM mulberry_internal.take_inbound_recording(i, params);
    WHEN 'transcription' THEN
        PERFORM mulberry_internal.take_transcription(i, params);
    END CASE;
    document := coalesce(document, '');
    INSERT INTO mulberry_internal.webhook_answers (voice_call, key, status, content_type, body)
    SELECT i.id, k, answer_inbound.status, CASE answer_inbound.status WHEN 200 THEN 'text/xml' ELSE 'text/plain' END, document
      FROM unnest(keys) AS k;
END
$$;
COMMENT ON FUNCTION answer_inbound(uuid, inbound_calls, text, text, text, jsonb, text) IS
    'answers a genuine webhook of a call that comes in, once; a replay gets the answer of the first time (internal)';

CREATE FUNCTION mulberry.handle_twilio_request(url text, request_body bytea, request_type text, signature text,
    idempotency_token text DEFAULT NULL, OUT status integer, OUT content_type text, OUT body text)
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '500ms'
AS $$
DECLARE
    parts   text[];
    kind    text;
    query   text;
    params  jsonb;
    named   uuid;
    owner   uuid;
    claimant uuid;
    genuine boolean;
    v       mulberry_internal.voice_calls;
    i       mulberry_internal.inbound_calls;
    e       mulberry_internal.endpoints;
    spoken  boolean;
    problem text;
BEGIN
    PERFORM mulberry_internal.check_texts('url', handle_twilio_request.url, 'request_type', handle_twilio_request.request_type,
        'signature', handle_twilio_request.signature, 'idempotency_token', handle_twilio_request.idempotency_token);
    IF url IS NULL OR request_body IS NULL THEN
        RAISE EXCEPTION 'url and request_body must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF length(request_body) > 65536 THEN
        RAISE EXCEPTION 'request_body is too long' USING ERRCODE = 'string_data_right_truncation',
            DETAIL = format('It may have at most 65536 bytes and has %s.', length(request_body));
    END IF;
    parts := regexp_match(url, E'/twilio/(voice|dtmf|status|recording|transcription|transfer|ack)(?:\\?([^#]*))?(?:#.*)?$');
    kind := parts[1];
    query := '&' || coalesce(parts[2], '');
    spoken := coalesce(kind IN ('voice', 'dtmf', 'transfer', 'ack'), false);
    named := substring(query FROM '&token=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:&|$)')::uuid;
    -- a request without a body has them in its query: GET
    params := coalesce(CASE WHEN length(request_body) > 0
                            THEN coalesce(mulberry_internal.twilio_parameters(coalesce(request_type, ''), request_body),
                                          mulberry_internal.json_parameters(request_body))
                            ELSE mulberry_internal.twilio_parameters('application/x-www-form-urlencoded',
                                     convert_to(substr(query, 2), 'UTF8')) END, '{}');
    content_type := CASE WHEN spoken THEN 'text/xml' ELSE 'text/plain' END;
    body := CASE WHEN spoken THEN mulberry.twiml('[]') ELSE '' END;
    IF kind IS NULL THEN
        status := 404;
        RETURN;
    END IF;

    -- a call that was placed, or came in
    SELECT x.* INTO v FROM mulberry_internal.voice_calls x
     WHERE x.token = named AND x.tenant = ANY (mulberry.current_tenants('gateway'));
    SELECT x.* INTO i FROM mulberry_internal.inbound_calls x
     WHERE x.token = named AND x.tenant = ANY (mulberry.current_tenants('gateway'));
    owner := coalesce(v.tenant, i.tenant);
    IF named IS NULL AND kind IN ('voice', 'status') THEN
        -- whose a number is its account says, not who names it first
        FOR claimant IN SELECT n.tenant FROM mulberry_internal.phone_numbers n
                         WHERE n.number = coalesce(params->>'To', params->>'Called') COLLATE "C"
                           AND n.tenant = ANY (mulberry.current_tenants('gateway'))
                         ORDER BY n.created_at, n.tenant LOOP
            e := mulberry_internal.telephony_endpoint(claimant);
            CONTINUE WHEN NOT mulberry_internal.of_account(e, params);
            owner := claimant;
            genuine := mulberry_internal.signed_by_account(owner, e, mulberry_internal.requested_url(e, url),
                           coalesce(request_type, ''), request_body, signature);
            EXIT WHEN genuine;
        END LOOP;
    END IF;
    e := mulberry_internal.telephony_endpoint(owner);
    url := mulberry_internal.requested_url(e, url);
    -- the same work, and the same answer, whether there is such a number or call or not
    IF NOT coalesce(genuine, mulberry_internal.signed_by_account(owner, e, url, coalesce(request_type, ''), request_body, signature))
       OR NOT mulberry_internal.of_account(e, params) OR params->>'CallSid' <> i.sid THEN
        status := 403;
        RETURN;
    ELSIF (kind = 'ack' AND v.id IS NULL) OR (kind NOT IN ('ack', 'status', 'recording') AND v.id IS NOT NULL) THEN
        status := 404;
        RETURN;
    END IF;
    BEGIN
        IF v.id IS NOT NULL THEN
            SELECT w.* INTO status, content_type, body
              FROM mulberry_internal.take_webhook(v, e, kind, query, params, idempotency_token) AS w;
        ELSE
            SELECT a.status, a.document INTO status, body
              FROM mulberry_internal.answer_inbound(owner, i, kind, query,
                       coalesce(e.options->>'public_url', substring(url FROM '^(https?://.*)/twilio/')), params, idempotency_token) AS a;
        END IF;
    EXCEPTION
        WHEN lock_not_available THEN
            -- a client holds the call, or its agent
            status := CASE WHEN spoken THEN 200 ELSE 503 END;
            body := CASE WHEN spoken
                THEN mulberry_internal.apology(url, regexp_replace(params->>'Digits', '[^0-9A-D*#]', '', 'g'), true) ELSE '' END;
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT;
            RAISE WARNING 'webhook /twilio/% failed: %', kind, problem USING ERRCODE = SQLSTATE;
            status := CASE WHEN spoken THEN 200 ELSE 503 END;
            body := CASE WHEN spoken THEN mulberry_internal.apology(url, NULL, false) ELSE '' END;
    END;
END
$$;
COMMENT ON FUNCTION mulberry.handle_twilio_request(text, bytea, text, text, text) IS
    'answers a webhook of Twilio, of a call that comes in or was placed: url as Twilio requested it (or path and query, which the '
    'endpoint''s public_url completes), request_body and request_type as they came, signature the header X-Twilio-Signature, '
    'idempotency_token I-Twilio-Idempotency-Token. Paths /twilio/voice, dtmf, status, recording, transcription, transfer, ack. The tenant '
    'is that of the call, or the one who named the number first among those whose account signed it. 403: not signed with its auth token, '
    'or the one before it; 404: out of turn; 503: not now; a replay gets the answer of the first time. It waits for nobody longer than 0.5 s: then what is spoken is asked for '
    'again a second later. What is answered is on disk. Needs gateway access';

-- src/ivr/prompts.sql
-- How sentences sound: audio that tenants have had spoken, for calls that are a stream and no TwiML.

CREATE FUNCTION mulberry.set_prompt(text text, wav bytea, tenant text DEFAULT NULL) RETURNS boolean
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    seconds_max CONSTANT integer := 120;
    owner       CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
    file        record;
    spoken      bytea;
BEGIN
    PERFORM mulberry_internal.check_texts('text', set_prompt.text);
    IF set_prompt.text IS NULL OR set_prompt.text = '' THEN
        RAISE EXCEPTION 'text must not be empty' USING ERRCODE = 'null_value_not_allowed';
    ELSIF wav IS NULL THEN
        DELETE FROM mulberry_internal.prompts p WHERE p.tenant = owner AND p.digest = sha256(convert_to(set_prompt.text, 'UTF8'));
        RETURN FOUND;
    END IF;
    file := mulberry.wav_decode(wav);
    IF file.duration_ms > seconds_max * 1000 THEN
        RAISE EXCEPTION 'the prompt is too long' USING ERRCODE = 'program_limit_exceeded',
            DETAIL = format('It may last %s seconds and lasts %s.', seconds_max, file.duration_ms / 1000);
    END IF;
    spoken := mulberry.audio_convert(file.audio, file.encoding, file.sample_rate, 'mulaw', 8000);
    INSERT INTO mulberry_internal.prompts (tenant, digest, text, audio)
    VALUES (owner, sha256(convert_to(set_prompt.text, 'UTF8')), set_prompt.text, spoken)
    ON CONFLICT ON CONSTRAINT prompts_pkey DO UPDATE SET audio = excluded.audio, created_at = excluded.created_at
     WHERE prompts.audio <> excluded.audio;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION mulberry.set_prompt(text, bytea, text) IS
    'how a sentence sounds when it is said in a stream: a WAV file of two minutes at most, of any rate; null takes it away. The sentence '
    'is written as settings have it, or as it is built in. True when that is new. Needs admin access. Errors: 22023 no WAV file, 54000 '
    'too long';

CREATE FUNCTION prompt_of(tenant uuid, text text) RETURNS bytea
LANGUAGE sql STABLE
AS $$
    SELECT p.audio FROM mulberry_internal.prompts p WHERE p.tenant = $1 AND p.digest = sha256(convert_to($2, 'UTF8'))
$$;
COMMENT ON FUNCTION prompt_of(uuid, text) IS 'the audio of a sentence of a tenant; null: there is none (internal)';

CREATE VIEW mulberry.prompt_status WITH (security_barrier) AS
    SELECT t.name AS tenant, p.text, length(p.audio) / 8000.0 AS seconds, p.created_at
      FROM mulberry_internal.prompts p
      JOIN mulberry_internal.tenants t ON t.id = p.tenant
     WHERE p.tenant = ANY ((SELECT mulberry.current_tenants(true, 'supervisor', 'operator', 'admin'))::uuid[]);
COMMENT ON VIEW mulberry.prompt_status IS 'sentences of a tenant that have audio';

-- src/ivr/media.sql
-- Audio of calls that come in, both ways, as a stream: who may open one, what is heard first, and what became of it.

CREATE FUNCTION mulberry.offer_media(call_id text DEFAULT NULL, from_number text DEFAULT NULL, to_number text DEFAULT NULL,
    tenant text DEFAULT NULL) RETURNS uuid
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner   CONSTANT uuid := mulberry_internal.resolve_tenant(offer_media.tenant, 'ingest');
    name    CONSTANT text := coalesce(offer_media.call_id, 'pbx-' || gen_random_uuid());
    version CONSTANT integer := (mulberry_internal.telephony_version(owner)).version;
    made    uuid;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', offer_media.call_id, 'from_number', offer_media.from_number,
        'to_number', offer_media.to_number);
    IF version IS NULL THEN
        RAISE EXCEPTION 'the tenant has no telephony settings' USING ERRCODE = 'undefined_object',
            HINT = 'set_telephony() makes the first ones.';
    ELSIF name = '' OR name ~ '^CA[0-9a-f]{32}$' THEN
        RAISE EXCEPTION 'invalid call id "%"', name USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'It must not be empty, and those of the form CA and 32 hexadecimal digits are Twilio''s.';
    END IF;
    INSERT INTO mulberry_internal.inbound_calls (tenant, sid, number, caller, version, place, state)
    VALUES (owner, name, coalesce(nullif(offer_media.to_number, ''), 'unknown'), nullif(offer_media.from_number, ''), version, '{"node": "begin"}', 'queued')
    ON CONFLICT ON CONSTRAINT inbound_calls_tenant_sid_key DO NOTHING
    RETURNING token INTO made;
    IF made IS NULL THEN
        RAISE EXCEPTION 'call "%" exists', name USING ERRCODE = 'unique_violation';
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION mulberry.offer_media(text, text, text, text) IS
    'tells of a call that a telephone system is about to bring as a stream of audio (AudioSocket, chan_websocket), and returns the token '
    'that opens it, once and within 60 seconds. call_id null: one is made up. Needs ingest access. Errors: 42704 the tenant has no '
    'telephony settings, 23505 there is such a call, 22023';

CREATE FUNCTION mulberry.check_media_handshake(url text, signature text) RETURNS boolean
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    tenants CONSTANT uuid[] := mulberry.current_tenants('gateway');
BEGIN
    PERFORM mulberry_internal.check_texts('url', check_media_handshake.url, 'signature', check_media_handshake.signature);
    IF tenants = '{}' THEN
        PERFORM mulberry_internal.resolve_tenant(NULL, 'gateway');
    END IF;
    -- the accounts of those who have a call that waits for its stream; all of them are tried, and nobody's where there is none
    RETURN (SELECT coalesce(bool_or(mulberry_internal.check_twilio_socket(mulberry_internal.secret_tenant((w.e).tenant, s.name, w.tenant),
                       s.name, mulberry_internal.requested_url(w.e, check_media_handshake.url), check_media_handshake.signature)), false)
              FROM (SELECT i.tenant, mulberry_internal.telephony_endpoint(i.tenant) AS e
                      FROM (SELECT DISTINCT x.tenant FROM mulberry_internal.inbound_calls x
                             WHERE x.tenant = ANY (tenants) AND x.place->>'node' = 'agent' AND x.ended_at IS NULL
                               AND x.created_at > clock_timestamp() - interval '5 hours'
                             UNION ALL SELECT NULL) AS i) AS w
              LEFT JOIN LATERAL mulberry_internal.account_secrets(w.e) AS s (name) ON true);
END
$$;
COMMENT ON FUNCTION mulberry.check_media_handshake(text, text) IS
    'whether the upgrade to a WebSocket is signed by the account of any tenant that has a call that waits for its stream: url as Twilio '
    'requested it (or its path), signature the header X-Twilio-Signature. begin_media() then asks whose the call is. Needs gateway access';

-- What is said first, as far as there is audio for it, and what there is none for.
CREATE FUNCTION media_opening(tenant uuid, sentences text[], OUT audio bytea, OUT unsaid text[])
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(string_agg(mulberry_internal.prompt_of($1, s.text), ''::bytea ORDER BY s.n), ''::bytea),
           coalesce(array_agg(s.text ORDER BY s.n) FILTER (WHERE mulberry_internal.prompt_of($1, s.text) IS NULL), '{}')
      FROM unnest($2) WITH ORDINALITY AS s (text, n) WHERE s.text IS NOT NULL
$$;
COMMENT ON FUNCTION media_opening(uuid, text[]) IS 'the audio of sentences behind each other, and those that have none (internal)';

CREATE FUNCTION keep_media(m media_sessions, i inbound_calls, owner_name text) RETURNS void
LANGUAGE sql
AS $$
    SELECT mulberry.begin_call($1.call_id, 'inbound', $2.caller, nullif($2.number, ''), encoding => $1.encoding,
        sample_rate => 8000, tracks => '{caller,agent}', tenant => $3)
$$;
COMMENT ON FUNCTION keep_media(media_sessions, inbound_calls, text) IS 'begins the call that keeps the audio of a session (internal)';

CREATE FUNCTION mulberry.begin_media(peer text, token text, url text DEFAULT NULL, signature text DEFAULT NULL,
    params jsonb DEFAULT NULL, encoding text DEFAULT 'mulaw', OUT refusal text, OUT session bigint, OUT tenant text, OUT call_id text,
    OUT recorded boolean, OUT seconds integer, OUT opening bytea, OUT unsaid text[])
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    i        mulberry_internal.inbound_calls;
    e        mulberry_internal.endpoints;
    m        mulberry_internal.media_sessions;
    settings jsonb;
    genuine  boolean;
BEGIN
    PERFORM mulberry_internal.check_texts('peer', begin_media.peer, 'token', begin_media.token, 'url', begin_media.url,
        'signature', begin_media.signature, 'encoding', begin_media.encoding);
    PERFORM mulberry_internal.check_json('params', begin_media.params);
    IF peer IS NULL OR peer NOT IN ('twilio', 'asterisk', 'audiosocket') THEN
        RAISE EXCEPTION 'invalid peer "%"', peer USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'Allowed are twilio, asterisk and audiosocket.';
    ELSIF encoding IS NULL OR encoding NOT IN ('mulaw', 's16le') THEN
        RAISE EXCEPTION 'invalid encoding "%"', encoding USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Allowed are mulaw and s16le.';
    END IF;
    SELECT x.* INTO i FROM mulberry_internal.inbound_calls x
     WHERE x.tenant = ANY (mulberry.current_tenants('gateway'))
       AND x.token = CASE WHEN begin_media.token ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN begin_media.token::uuid END
       FOR UPDATE;
    IF peer = 'twilio' THEN
        e := mulberry_internal.telephony_endpoint(i.tenant);
        SELECT bool_or(mulberry_internal.check_twilio_socket(mulberry_internal.secret_tenant(e.tenant, s.name, i.tenant), s.name,
                   mulberry_internal.requested_url(e, begin_media.url), begin_media.signature)) INTO genuine
          FROM mulberry_internal.account_secrets(e) AS s (name);
        refusal := CASE WHEN i.id IS NULL THEN 'there is no such token'
                        WHEN NOT genuine OR genuine IS NULL OR NOT mulberry_internal.of_account(e, params) OR params->>'CallSid' <> i.sid
                            THEN 'it is not the account of the call'
                        WHEN i.place->>'node' <> 'agent' OR i.ended_at IS NOT NULL THEN 'the call does not wait for a stream' END;
    ELSE
        refusal := CASE WHEN i.id IS NULL THEN 'there is no such token'
                        -- who shows the token has shown another one before, of a tenant
                        WHEN params ? 'tenant'
                             AND params->>'tenant' <> (SELECT t.name FROM mulberry_internal.tenants t WHERE t.id = i.tenant)
                            THEN 'there is no such token'
                        WHEN i.turn > 0 THEN 'the token has been used'
                        WHEN i.state <> 'queued' OR i.place->>'node' <> 'begin' THEN 'the call does not wait for a stream'
                        WHEN i.created_at < clock_timestamp() - interval '60 s' THEN 'the token has expired' END;
        IF refusal IS NULL THEN
            UPDATE mulberry_internal.inbound_calls x SET state = 'in-progress', turn = 1, place = '{"node": "agent", "misses": 0}'
             WHERE x.id = i.id RETURNING x.* INTO i;
            PERFORM mulberry_internal.tell_inbound_call(i);
        END IF;
    END IF;
    IF refusal IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT v.settings INTO STRICT settings FROM mulberry_internal.telephony_versions v WHERE v.tenant = i.tenant AND v.version = i.version;
    INSERT INTO mulberry_internal.media_sessions (inbound, turn, tenant, call_id, peer, encoding)
    SELECT i.id, i.turn, i.tenant, i.sid || CASE WHEN EXISTS (SELECT FROM mulberry_internal.media_sessions k WHERE k.inbound = i.id)
                                                 THEN '/' || i.turn ELSE '' END, begin_media.peer,
           begin_media.encoding
    ON CONFLICT ON CONSTRAINT media_sessions_inbound_turn_key DO NOTHING
    RETURNING * INTO m;
    IF m.id IS NULL THEN
        refusal := 'the token has been used';
        RETURN;
    END IF;
    SELECT t.name INTO STRICT tenant FROM mulberry_internal.tenants t WHERE t.id = i.tenant;
    session := m.id;
    call_id := m.call_id;
    recorded := i.recorded OR mulberry_internal.may_be_recorded(settings, i.consent);
    seconds := greatest(1, coalesce((settings->>'max_duration')::integer, 3600)
                           - floor(extract(epoch FROM clock_timestamp() - i.created_at))::integer);
    SELECT o.audio, o.unsaid INTO opening, unsaid
      FROM mulberry_internal.media_opening(i.tenant, CASE WHEN peer <> 'twilio' THEN ARRAY[settings->>'greeting', settings->>'consent'] END
               || mulberry_internal.ivr_sentence(settings, 'agent')) AS o;
    IF recorded THEN
        PERFORM mulberry_internal.keep_media(m, i, tenant);
    END IF;
END
$$;
COMMENT ON FUNCTION mulberry.begin_media(text, text, text, text, jsonb, text) IS
    'opens the stream of a call that came in, by its token, once: peer twilio (url and signature of the upgrade, params AccountSid and '
    'CallSid), asterisk or audiosocket (a token of offer_media()). refusal: why not; else session, whether its audio is kept in the call '
    'call_id with the tracks caller and agent, how many seconds it may last, and the audio (mu-law, 8000 a second) that is said first: '
    'the sentence "agent", where nobody has greeted yet after greeting and consent; unsaid are those that have no audio. Needs gateway '
    'access';

CREATE FUNCTION media_call(session bigint, tenants uuid[], OUT m media_sessions, OUT i inbound_calls)
LANGUAGE plpgsql
AS $$
BEGIN
    SELECT x.* INTO m FROM mulberry_internal.media_sessions x
     WHERE x.id = session AND x.tenant = ANY (tenants);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'media session % does not exist', session USING ERRCODE = 'undefined_object';
    END IF;
    SELECT x.* INTO STRICT i FROM mulberry_internal.inbound_calls x WHERE x.id = m.inbound FOR UPDATE;
END
$$;
COMMENT ON FUNCTION media_call(bigint, uuid[]) IS 'a media session of these tenants, and its call, which is locked (internal)';

CREATE FUNCTION mulberry.press_media_key(session bigint, digits text, OUT recorded boolean, OUT leave boolean, OUT says bytea,
    OUT unsaid text[])
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '500ms'
AS $$
DECLARE
    found     record;
    i         mulberry_internal.inbound_calls;
    m         mulberry_internal.media_sessions;
    settings  jsonb;
    sentences text[];
    key       jsonb;
BEGIN
    PERFORM mulberry_internal.check_texts('digits', press_media_key.digits);
    IF digits IS NULL OR digits COLLATE "C" !~ '^[0-9A-D*#]$' THEN
        RAISE EXCEPTION 'invalid digits "%"', digits USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'It is one of 0 to 9, A to D, * and #.';
    END IF;
    found := mulberry_internal.media_call(session, mulberry.current_tenants('gateway'));
    m := found.m;
    i := found.i;
    SELECT v.settings INTO STRICT settings FROM mulberry_internal.telephony_versions v WHERE v.tenant = i.tenant AND v.version = i.version;
    key := settings->'menus'->'main'->'keys'->digits;
    leave := false;
    IF m.ended_at IS NOT NULL OR i.ended_at IS NOT NULL THEN
        NULL;
    ELSIF m.peer <> 'twilio' AND i.consent IS NULL AND mulberry_internal.asks_consent(settings) AND digits IN ('1', '2') THEN
        -- others have not been asked before
        UPDATE mulberry_internal.inbound_calls x SET consent = digits = '1' WHERE x.id = i.id RETURNING x.* INTO i;
        IF mulberry_internal.may_be_recorded(settings, i.consent) THEN
            PERFORM mulberry_internal.keep_media(m, i, t.name) FROM mulberry_internal.tenants t WHERE t.id = i.tenant;
        ELSIF NOT i.consent AND (settings->>'consent_required')::boolean THEN
            leave := true;
            sentences := ARRAY[mulberry_internal.ivr_sentence(settings, 'consent_refused')];
        END IF;
    ELSIF key->>'action' = 'say' AND coalesce(key->>'then', 'menu') = 'menu' THEN
        sentences := ARRAY[key->>'text'];
        PERFORM mulberry_internal.emit_event(i.tenant, 'inbound_key', NULL, i.sid, jsonb_build_object('call_sid', i.sid,
            'menu', 'main', 'key', digits, 'action', 'say'));
    ELSIF key IS NOT NULL AND NOT i.place ? 'key' THEN
        -- what it does is done where the call goes on, as if it had been pressed in the menu
        leave := true;
        UPDATE mulberry_internal.inbound_calls x SET place = x.place || jsonb_build_object('key', digits) WHERE x.id = i.id;
    END IF;
    recorded := i.recorded OR mulberry_internal.may_be_recorded(settings, i.consent);
    SELECT o.audio, o.unsaid INTO says, unsaid FROM mulberry_internal.media_opening(i.tenant, sentences) AS o;
END
$$;
COMMENT ON FUNCTION mulberry.press_media_key(bigint, text) IS
    'takes a key that was pressed during a stream: it is that of the menu "main", or where nobody has asked before the answer to the '
    'question for consent. What it says is returned as audio (unsaid: what has none); leave: the stream is to end behind that, because '
    'what the key does is done where the call goes on. Needs gateway access. Errors: 42704 no such session, 22023';

CREATE FUNCTION mulberry.end_media(session bigint, reason text, totals jsonb DEFAULT NULL, figures jsonb DEFAULT NULL)
RETURNS boolean
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    found record;
    m     mulberry_internal.media_sessions;
    i     mulberry_internal.inbound_calls;
BEGIN
    PERFORM mulberry_internal.check_texts('reason', end_media.reason);
    PERFORM mulberry_internal.check_json('totals', end_media.totals);
    PERFORM mulberry_internal.check_json('figures', end_media.figures);
    found := mulberry_internal.media_call(session, mulberry.current_tenants('gateway'));
    m := found.m;
    i := found.i;
    IF m.ended_at IS NOT NULL THEN
        RETURN false;
    END IF;
    UPDATE mulberry_internal.media_sessions x
       SET ended_at = clock_timestamp(), reason = nullif(end_media.reason, ''), figures = end_media.figures WHERE x.id = m.id;
    -- a call without any audio is left to its silence, which fails it
    IF EXISTS (SELECT FROM jsonb_each(totals) AS t WHERE t.value <> '0') THEN
        PERFORM mulberry_internal.complete_call_of(m.call_id, NULL, m.tenant, NULL, totals);
    END IF;
    IF m.peer <> 'twilio' AND i.ended_at IS NULL THEN
        UPDATE mulberry_internal.inbound_calls x SET state = 'completed', ended_at = clock_timestamp()
         WHERE x.id = i.id RETURNING x.* INTO i;
        PERFORM mulberry_internal.tell_inbound_call(i, extract(epoch FROM i.ended_at - m.begun_at)::integer);
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION mulberry.end_media(bigint, text, jsonb, jsonb) IS
    'says that a stream is over and why, once: totals completes the call that has its audio, as complete_call() does; figures is what went '
    'through it. False when it was over. Needs gateway access. Errors: 42704 no such session, those of complete_call()';

CREATE FUNCTION mulberry.media_next(token uuid, tenant text DEFAULT NULL) RETURNS text
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner    CONSTANT uuid := mulberry_internal.resolve_tenant(media_next.tenant, 'ingest');
    i        mulberry_internal.inbound_calls;
    settings jsonb;
    key      jsonb;
    number   text;
BEGIN
    SELECT x.* INTO i FROM mulberry_internal.inbound_calls x WHERE x.token = media_next.token AND x.tenant = owner;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the call does not exist' USING ERRCODE = 'undefined_object';
    END IF;
    SELECT v.settings INTO STRICT settings FROM mulberry_internal.telephony_versions v WHERE v.tenant = i.tenant AND v.version = i.version;
    key := settings->'menus'->'main'->'keys'->(i.place->>'key');
    number := CASE WHEN mulberry_internal.has_emergency(i.tenant, i.sid) OR key->>'action' = 'emergency' THEN settings->>'emergency_number'
                   WHEN key->>'action' = 'transfer' THEN coalesce(key->>'number', settings->>'transfer_number') END;
    RETURN coalesce('transfer:' || number, 'hangup');
END
$$;
COMMENT ON FUNCTION mulberry.media_next(uuid, text) IS
    'where a call goes on whose stream is over and which a telephone system has brought, by the token of offer_media(): transfer:NUMBER '
    'for a key that puts through and for an emergency, else hangup. Needs ingest access. Errors: 42704 no such call';

CREATE VIEW mulberry.media_session_status WITH (security_barrier) AS
    SELECT t.name AS tenant, i.sid AS call_sid, m.call_id, m.peer, m.begun_at, m.ended_at, m.reason, m.figures
      FROM mulberry_internal.media_sessions m
      JOIN mulberry_internal.inbound_calls i ON i.id = m.inbound
      JOIN mulberry_internal.tenants t ON t.id = m.tenant
     WHERE m.tenant = ANY ((SELECT mulberry.current_tenants(true, 'supervisor', 'operator', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.media_session_status IS 'streams of audio that calls had with us, and how each ended';

-- src/ivr/sweep.sql
-- What is forgotten of calls that came in, and when.

CREATE FUNCTION forget_inbound_call(tenant uuid, call_id text) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    known boolean;
    beside text;
BEGIN
    -- recordings that wait to be fetched, and those that are calls of their own
    DELETE FROM mulberry_internal.job_queue j
     WHERE j.kind = 'fetch' AND j.tenant = forget_inbound_call.tenant AND j.payload->>'call_sid' = forget_inbound_call.call_id;
    DELETE FROM mulberry_internal.job_history j
     WHERE j.kind = 'fetch' AND j.tenant = forget_inbound_call.tenant AND j.payload->>'call_sid' = forget_inbound_call.call_id;
    FOR beside IN
        SELECT c.call_id
          FROM mulberry_internal.inbound_calls i CROSS JOIN unnest(i.recordings) AS r (sid)
          JOIN mulberry_internal.calls c ON c.tenant = i.tenant AND c.call_id = concat_ws('/', i.sid, r.sid)
         WHERE i.tenant = forget_inbound_call.tenant AND i.sid = forget_inbound_call.call_id
        UNION
        SELECT c.call_id
          FROM mulberry_internal.inbound_calls i
          JOIN mulberry_internal.media_sessions m ON m.inbound = i.id AND m.call_id <> i.sid
          JOIN mulberry_internal.calls c ON c.tenant = i.tenant AND c.call_id = m.call_id
         WHERE i.tenant = forget_inbound_call.tenant AND i.sid = forget_inbound_call.call_id
    LOOP
        PERFORM mulberry_internal.erase_call_of(forget_inbound_call.tenant, beside);
    END LOOP;
    DELETE FROM mulberry_internal.webhook_answers w USING mulberry_internal.inbound_calls i
     WHERE i.tenant = forget_inbound_call.tenant AND i.sid = forget_inbound_call.call_id AND w.voice_call = i.id;
    DELETE FROM mulberry_internal.inbound_calls i
     WHERE i.tenant = forget_inbound_call.tenant AND i.sid = forget_inbound_call.call_id;
    known := FOUND;
    DELETE FROM mulberry_internal.emergencies e
     WHERE e.tenant = forget_inbound_call.tenant AND e.call_id = forget_inbound_call.call_id;
    known := known OR FOUND;
    DELETE FROM mulberry_internal.job_queue j
     WHERE j.kind = 'escalate' AND j.tenant = forget_inbound_call.tenant
         AND j.payload->'report'->>'reference' = forget_inbound_call.call_id;
    DELETE FROM mulberry_internal.job_history j
     WHERE j.kind = 'escalate' AND j.tenant = forget_inbound_call.tenant
         AND j.payload->'report'->>'reference' = forget_inbound_call.call_id;
    -- the events keep their numbers, which have no gaps
    UPDATE mulberry_internal.events e SET payload = '{"erased": true}'
     WHERE e.tenant = forget_inbound_call.tenant AND e.call IS NULL AND known
       AND forget_inbound_call.call_id IN (e.payload->>'call_sid', e.payload->>'reference');
    RETURN known;
END
$$;
COMMENT ON FUNCTION forget_inbound_call(uuid, text) IS
    'erases what is known of a telephone call beside what was heard in it; false when nothing was (internal)';

-- With the calls of the same name, whose retention is a step before.
CREATE FUNCTION sweep_inbound_calls(max_rows integer) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '100ms'
AS $$
DECLARE
    n integer;
    m integer;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    DELETE FROM mulberry_internal.inbound_calls x
     WHERE x.id = ANY (ARRAY(
               SELECT i.id FROM mulberry_internal.retention_limits() l
                 JOIN mulberry_internal.inbound_calls i ON i.tenant = l.tenant AND i.created_at < l.kept_since - interval '1 day'
                WHERE NOT EXISTS (SELECT FROM mulberry_internal.calls c WHERE c.tenant = i.tenant AND c.call_id = i.sid)
                LIMIT max_rows FOR UPDATE OF i SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    DELETE FROM mulberry_internal.emergencies x
     WHERE x.ctid = ANY (ARRAY(
               SELECT e.ctid FROM mulberry_internal.retention_limits() l
                 JOIN mulberry_internal.emergencies e ON e.tenant = l.tenant AND e.at < l.kept_since - interval '1 day'
                WHERE NOT EXISTS (SELECT FROM mulberry_internal.calls c WHERE c.tenant = e.tenant AND c.call_id = e.call_id)
                LIMIT max_rows FOR UPDATE OF e SKIP LOCKED));
    GET DIAGNOSTICS m = ROW_COUNT;
    -- a call that begins now refers to the last version, or waits for this to be over and then fails on its key: never to another
    DELETE FROM mulberry_internal.telephony_versions v
     WHERE v.version < (SELECT max(x.version) FROM mulberry_internal.telephony_versions x WHERE x.tenant = v.tenant)
       AND v.created_at < clock_timestamp() - interval '1 day'
       AND NOT EXISTS (SELECT FROM mulberry_internal.inbound_calls i WHERE i.tenant = v.tenant AND i.version = v.version);
    RETURN greatest(n, m) >= max_rows;
END
$$;
COMMENT ON FUNCTION sweep_inbound_calls(integer) IS
    'forgets telephone calls and emergencies a day after retention says so, and versions of settings that no call refers to any more; true '
    'when there is more to do; part of maintenance (internal)';

-- src/ivr/sessions.sql
-- The telephone calls that are under way: those that came in, and those that were placed.

CREATE FUNCTION telephone_calls(tenants uuid[])
RETURNS TABLE (tenant uuid, call_sid text, direction text, from_number text, to_number text, status text, started_at timestamptz,
    place text, menu text, recorded boolean, settings_version integer, purpose text)
LANGUAGE sql STABLE
AS $$
    -- nobody may tell us that a call is over: then its longest duration does
    SELECT i.tenant, i.sid, 'inbound', i.caller, i.number, i.state, i.created_at, i.place->>'node', i.place->>'menu', i.recorded,
           i.version, NULL::text
      FROM mulberry_internal.inbound_calls i
      JOIN mulberry_internal.telephony_versions v ON v.tenant = i.tenant AND v.version = i.version
     WHERE i.tenant = ANY ($1) AND i.ended_at IS NULL AND i.place->>'node' <> 'over'
       AND (i.state <> 'queued' OR i.created_at > clock_timestamp() - interval '2 minutes')
       AND i.created_at > clock_timestamp() - interval '4 hours 5 minutes'
       AND i.created_at > clock_timestamp() - make_interval(secs => coalesce((v.settings->>'max_duration')::integer, 3600) + 60)
    UNION ALL
    SELECT v.tenant, v.sid, 'outbound', v.from_number, v.to_number, v.state, v.requested_at, NULL, NULL, NULL, NULL, v.purpose
      FROM mulberry_internal.voice_calls v
     WHERE v.tenant = ANY ($1) AND v.finished_at IS NULL AND v.sid IS NOT NULL
       AND mulberry_internal.voice_call_rank(v.state) BETWEEN 3 AND 5
$$;
COMMENT ON FUNCTION telephone_calls(uuid[]) IS 'the telephone calls of tenants that are under way (internal)';

CREATE FUNCTION mulberry.telephony_sessions(tenant text DEFAULT NULL, max_sessions integer DEFAULT 1000) RETURNS jsonb
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    tenants uuid[];
BEGIN
    PERFORM mulberry_internal.check_texts('tenant', telephony_sessions.tenant);
    IF max_sessions IS NULL OR max_sessions NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'max_sessions must lie between 1 and 10000' USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    tenants := mulberry.current_tenants('supervisor', 'operator', 'auditor');
    IF tenant IS NOT NULL OR tenants = '{}' THEN
        tenants := ARRAY[mulberry_internal.resolve_tenant(tenant, 'supervisor', 'operator', 'auditor')];
    END IF;
    RETURN (WITH active AS MATERIALIZED (SELECT c.* FROM mulberry_internal.telephone_calls(tenants) AS c)
            SELECT jsonb_build_object('active_sessions', (SELECT count(*) FROM active), 'sessions', coalesce(jsonb_agg(
                       jsonb_strip_nulls(jsonb_build_object('call_sid', s.call_sid, 'tenant', t.name, 'direction', s.direction,
                           'from', s.from_number, 'to', s.to_number, 'status', s.status, 'started_at', s.started_at,
                           'duration_seconds', floor(extract(epoch FROM clock_timestamp() - s.started_at))::bigint, 'place', s.place,
                           'menu', s.menu, 'recorded', s.recorded, 'settings_version', s.settings_version, 'purpose', s.purpose))
                       ORDER BY s.started_at DESC, s.call_sid), '[]'))
              FROM (SELECT a.* FROM active a ORDER BY a.started_at DESC, a.call_sid LIMIT max_sessions) AS s
              JOIN mulberry_internal.tenants t ON t.id = s.tenant);
END
$$;
COMMENT ON FUNCTION mulberry.telephony_sessions(text, integer) IS
    'the telephone calls that are under way, of a tenant (null: of all that one sees), the youngest first and max_sessions at most: '
    '{"active_sessions": number of all, "sessions": [{"call_sid", "tenant", "direction", "from", "to", "status", "started_at", '
    '"duration_seconds", "place", ...}]}. Needs supervisor, operator or auditor access';

CREATE FUNCTION mulberry.active_telephone_calls() RETURNS bigint
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    tenants uuid[] := mulberry.current_tenants('gateway', 'monitor');
BEGIN
    IF tenants = '{}' THEN
        PERFORM mulberry_internal.resolve_tenant(NULL, 'gateway', 'monitor');
    END IF;
    RETURN (SELECT count(*) FROM mulberry_internal.telephone_calls(tenants));
END
$$;
COMMENT ON FUNCTION mulberry.active_telephone_calls() IS
    'how many telephone calls are under way, of all tenants that one serves. Needs gateway or monitor access';

-- src/ivr/views.sql
CREATE VIEW mulberry.telephony_status WITH (security_barrier) AS
    SELECT t.name AS tenant, v.version,
           v.version = (SELECT max(x.version) FROM mulberry_internal.telephony_versions x WHERE x.tenant = v.tenant) AS holds,
           v.settings, v.role, v.created_at
      FROM mulberry_internal.telephony_versions v
      JOIN mulberry_internal.tenants t ON t.id = v.tenant
     WHERE v.tenant = ANY ((SELECT mulberry.current_tenants(true, 'supervisor', 'operator', 'auditor', 'admin'))::uuid[]);
COMMENT ON VIEW mulberry.telephony_status IS
    'what callers of a tenant hear: the version of its telephony settings that holds, and earlier ones that calls ran under';

CREATE VIEW mulberry.phone_number_status WITH (security_barrier) AS
    SELECT t.name AS tenant, n.number, n.created_at
      FROM mulberry_internal.phone_numbers n
      JOIN mulberry_internal.tenants t ON t.id = n.tenant
     WHERE n.tenant = ANY ((SELECT mulberry.current_tenants(true, 'supervisor', 'operator', 'auditor', 'admin'))::uuid[]);
COMMENT ON VIEW mulberry.phone_number_status IS 'the numbers that call a tenant';

CREATE VIEW mulberry.inbound_call_status WITH (security_barrier) AS
    SELECT t.name AS tenant, i.sid AS call_sid, i.number AS to_number, i.caller AS from_number, i.state AS status,
           i.version AS settings_version, i.place->>'node' AS place, i.place->>'menu' AS menu, i.consent, i.recorded, i.recordings,
           i.transcript, i.created_at, i.ended_at
      FROM mulberry_internal.inbound_calls i
      JOIN mulberry_internal.tenants t ON t.id = i.tenant
     WHERE i.tenant = ANY ((SELECT mulberry.current_tenants(true, 'supervisor', 'operator', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.inbound_call_status IS
    'telephone calls that came in: where each stands; what was heard in it is the call of that name';

-- src/ivr/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE FUNCTION access_rules_ivr() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('set_telephony', 'EXECUTE', 'admin'),
    ('alter_telephony', 'EXECUTE', 'admin'),
    ('preview_call', 'EXECUTE', 'supervisor admin'),
    ('handle_twilio_request', 'EXECUTE', 'gateway'),
    ('emergency_words', 'EXECUTE', 'supervisor gateway admin'),
    ('detect_emergency', 'EXECUTE', 'supervisor gateway admin'),
    ('note_partial', 'EXECUTE', 'gateway'),
    ('set_prompt', 'EXECUTE', 'admin'),
    ('prompt_status', 'SELECT', 'supervisor admin'),
    ('offer_media', 'EXECUTE', 'ingest'),
    ('media_next', 'EXECUTE', 'ingest'),
    ('check_media_handshake', 'EXECUTE', 'gateway'),
    ('begin_media', 'EXECUTE', 'gateway'),
    ('press_media_key', 'EXECUTE', 'gateway'),
    ('end_media', 'EXECUTE', 'gateway'),
    ('media_session_status', 'SELECT', 'supervisor auditor'),
    ('telephony_sessions', 'EXECUTE', 'supervisor operator auditor'),
    ('active_telephone_calls', 'EXECUTE', 'gateway monitor'),
    ('inbound_call_status', 'SELECT', 'supervisor auditor'),
    ('emergency_status', 'SELECT', 'supervisor auditor'),
    ('telephony_status', 'SELECT', 'supervisor auditor admin'),
    ('phone_number_status', 'SELECT', 'supervisor auditor admin')
$$;
COMMENT ON FUNCTION access_rules_ivr() IS 'which access needs which object of ivr';

-- src/conversation/words.sql
-- The language table of conversations: which words ask for more, are digits, answer, or mean only "I am listening".

CREATE FUNCTION turn_words() RETURNS TABLE (language text, list text, phrases text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('en', 'open_ends', 'and|or|but|so|because|if|when|that|which|who|than|then|as|to|of|for|with|without|at|in|on|from|by|about|into|'
        'the|a|an|my|your|our|his|her|their|its|this|um|uh|er|erm|hmm|well|like|is|are|was|were|have|has|want|need|i|we'),
    ('en', 'number_words', 'zero|oh|one|two|three|four|five|six|seven|eight|nine'),
    ('en', 'closed_answers', 'yes|yeah|yep|yes please|no|nope|no thanks|no thank you|ok|okay|sure|of course|right|correct|thats right|'
        'please|not really|maybe'),
    ('en', 'backchannels', 'mhm|mm|mm hmm|mmhmm|hmm|uh huh|uhhuh|oh|ah|um|yes|yeah|yep|sure|right|quite|ok|okay|i see|'
        'of course|makes sense|'
        'thats right|got it|really|wow|great|good|fine|alright|all right'),
    ('en', 'always', 'stop|wait|help|hold on|hang on|no|excuse me|one moment|operator'),
    ('en', 'emergency', 'ambulance|heart attack|cannot breathe|cant breathe|choking|stroke|call 911|call 112|call 999|fire|unconscious|'
        'bleeding'),
    ('de', 'open_ends', 'und|oder|aber|weil|dass|wenn|als|ob|zu|zum|zur|von|vom|fur|mit|ohne|bei|im|in|an|am|auf|aus|uber|nach|der|die|'
        'das|den|dem|des|ein|eine|einen|einem|einer|mein|meine|meinen|dein|ihr|ihre|unser|unsere|ah|ahm|also|ich|wir|ist|sind|habe|hatte|'
        'mochte|brauche'),
    ('de', 'number_words', 'null|eins|zwei|zwo|drei|vier|funf|sechs|sieben|acht|neun'),
    ('de', 'closed_answers', 'ja|ja bitte|ja gerne|nein|nein danke|nee|ok|okay|klar|genau|richtig|stimmt|naturlich|gerne|bitte|vielleicht'),
    ('de', 'backchannels', 'mhm|hm|hmm|aha|ach so|ja|jaja|genau|richtig|stimmt|ok|okay|klar|gut|verstehe|naturlich|sicher|ah|oh|alles klar|'
        'in ordnung'),
    ('de', 'always', 'stopp|stop|halt|moment|warte|warten sie|hilfe|nein|entschuldigung'),
    ('de', 'emergency', 'notarzt|krankenwagen|herzinfarkt|schlaganfall|keine luft|feuer|bewusstlos|blutet|erstickt'),
    ('es', 'open_ends', 'y|e|o|u|pero|porque|que|si|cuando|como|a|al|de|del|para|por|con|sin|en|sobre|desde|el|la|los|las|un|una|unos|unas|'
        'mi|mis|tu|su|sus|nuestro|nuestra|eh|pues|es|son|quiero|necesito|yo'),
    ('es', 'number_words', 'cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve'),
    ('es', 'closed_answers', 'si|si|claro|no|no gracias|vale|bueno|de acuerdo|correcto|exacto|por favor|quizas'),
    ('es', 'backchannels', 'aja|mhm|si|si|claro|vale|ya|bien|bueno|de acuerdo|entiendo|ah|oh|exacto|por supuesto'),
    ('es', 'always', 'para|pare|espera|espere|alto|ayuda|no|un momento|perdon'),
    ('es', 'emergency', 'ambulancia|infarto|no respira|no puedo respirar|fuego|incendio|inconsciente|sangrando'),
    ('fr', 'open_ends', 'et|ou|mais|parce que|que|qui|si|quand|comme|a|au|aux|de|du|des|pour|par|avec|sans|en|dans|sur|le|la|'
        'les|un|une|mon|'
        'ma|mes|votre|notre|son|sa|ses|euh|alors|est|sont|je|nous|voudrais'),
    ('fr', 'number_words', 'zero|un|deux|trois|quatre|cinq|six|sept|huit|neuf'),
    ('fr', 'closed_answers', 'oui|ouais|oui merci|non|non merci|d accord|ok|bien sur|exactement|voila|s il vous plait|peut-etre'),
    ('fr', 'backchannels', 'mhm|hum|oui|ouais|d accord|ok|ah|oh|bien|bien sur|je vois|voila|exactement|tres bien|entendu'),
    ('fr', 'always', 'stop|arretez|attendez|attends|aidez-moi|au secours|non|un instant|pardon'),
    ('fr', 'emergency', 'ambulance|infarctus|crise cardiaque|ne respire plus|peux plus respirer|feu|incendie|inconscient|saigne')
$$;
COMMENT ON FUNCTION turn_words() IS
    'phrases of each language for the lists of the turn engine, folded as the engine folds them, a bar between (internal). "never" has '
    'none: it is the tenant''s';

-- src/conversation/settings.sql
-- What conversations of a tenant are conducted by.

CREATE FUNCTION turn_numbers()
RETURNS TABLE (number integer, name text, minimum integer, maximum integer, standard integer, meaning text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 50 AS 'MODULE_PATHNAME', 'mulberry_turn_numbers';
COMMENT ON FUNCTION turn_numbers() IS 'the numbers of the turn engine, in their order (internal)';

CREATE FUNCTION turn_lists() RETURNS TABLE (number integer, name text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 10 AS 'MODULE_PATHNAME', 'mulberry_turn_lists';
COMMENT ON FUNCTION turn_lists() IS 'its lists of phrases, in their order (internal)';

CREATE FUNCTION conversation_version(tenant uuid) RETURNS conversation_versions
LANGUAGE sql STABLE
AS $$
    SELECT v.* FROM mulberry_internal.conversation_versions v WHERE v.tenant = $1 ORDER BY v.version DESC LIMIT 1
$$;
COMMENT ON FUNCTION conversation_version(uuid) IS 'the settings of a tenant that hold (internal)';

CREATE FUNCTION check_conversation(settings jsonb) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    known CONSTANT text[] := ARRAY(SELECT n.name FROM mulberry_internal.turn_numbers() n
                                   UNION ALL SELECT l.name FROM mulberry_internal.turn_lists() l UNION ALL SELECT 'language' ORDER BY 1);
    part  record;
BEGIN
    IF settings IS NULL THEN
        RAISE EXCEPTION 'settings must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM mulberry_internal.check_members('settings', settings, known);
    IF settings ? 'language' AND NOT EXISTS (SELECT FROM mulberry_internal.turn_words() w WHERE w.language = settings->>'language') THEN
        PERFORM mulberry_internal.refuse_setting('language', format('%s is not known', left(settings->>'language', 40)),
            format('Known are %s.', (SELECT string_agg(DISTINCT w.language, ', ' ORDER BY w.language)
                                       FROM mulberry_internal.turn_words() w)));
    END IF;
    FOR part IN SELECT n.* FROM mulberry_internal.turn_numbers() n WHERE settings ? n.name LOOP
        PERFORM mulberry_internal.check_whole_number(part.name, settings->part.name, part.minimum, part.maximum);
    END LOOP;
    FOR part IN SELECT l.* FROM mulberry_internal.turn_lists() l WHERE settings ? l.name LOOP
        PERFORM mulberry_internal.check_setting(part.name, settings->part.name, 'array');
        IF jsonb_array_length(settings->part.name) > 200 THEN
            PERFORM mulberry_internal.refuse_setting(part.name, format('it has %s phrases', jsonb_array_length(settings->part.name)),
                'There are at most 200.');
        END IF;
        PERFORM mulberry_internal.check_setting(format('%s[%s]', part.name, e.place), e.phrase, 'sentence')
           FROM jsonb_array_elements(settings->part.name) WITH ORDINALITY AS e (phrase, place);
    END LOOP;
END
$$;
COMMENT ON FUNCTION check_conversation(jsonb) IS 'raises 22023 for settings of conversations that are not allowed (internal)';

CREATE FUNCTION turn_number_values(settings jsonb, base integer[] DEFAULT NULL) RETURNS integer[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT array_agg(coalesce((settings->>n.name)::integer, base[n.number + 1], n.standard) ORDER BY n.number)
      FROM mulberry_internal.turn_numbers() AS n
$$;
COMMENT ON FUNCTION turn_number_values(jsonb, integer[]) IS
    'the numbers of the turn engine by settings: those that they do not name as in base, or the start values (internal)';

CREATE FUNCTION turn_list_values(settings jsonb, base text[] DEFAULT NULL) RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT array_agg(coalesce((SELECT string_agg(e.phrase, E'\n' ORDER BY e.place)
                                 FROM jsonb_array_elements_text(settings->l.name) WITH ORDINALITY AS e (phrase, place)),
                              CASE WHEN settings ? l.name THEN '' END,
                              CASE WHEN NOT settings ? 'language' THEN base[l.number + 1] END,
                              (SELECT replace(w.phrases, '|', E'\n') FROM mulberry_internal.turn_words() w
                                WHERE w.list = l.name AND w.language = coalesce(settings->>'language', 'en')), '') ORDER BY l.number)
      FROM mulberry_internal.turn_lists() AS l
$$;
COMMENT ON FUNCTION turn_list_values(jsonb, text[]) IS
    'its lists by settings, one phrase a line: those that they do not name as in base, or by the language (internal)';

CREATE FUNCTION mulberry.set_conversation(settings jsonb, tenant text DEFAULT NULL) RETURNS integer
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner  CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
    before mulberry_internal.conversation_versions;
    made   integer;
BEGIN
    PERFORM mulberry_internal.check_json('settings', set_conversation.settings);
    PERFORM FROM mulberry_internal.tenants t WHERE t.id = owner FOR NO KEY UPDATE;
    PERFORM mulberry_internal.check_conversation(set_conversation.settings);
    before := mulberry_internal.conversation_version(owner);
    IF before.settings = set_conversation.settings THEN
        RETURN before.version;
    END IF;
    INSERT INTO mulberry_internal.conversation_versions (tenant, version, settings, role)
    VALUES (owner, coalesce(before.version, 0) + 1, set_conversation.settings, mulberry_internal.outer_role_name())
    RETURNING version INTO made;
    PERFORM mulberry_internal.record_audit(owner, 'CONVERSATION_SETTINGS', 'set', evidence => jsonb_build_object('version', made));
    RETURN made;
END
$$;
COMMENT ON FUNCTION mulberry.set_conversation(jsonb, text) IS
    'what conversations of a tenant are conducted by, as a whole, and returns the number of this version: {"language", numbers and lists '
    'of conversation_numbers()}. Conversations that are under way keep theirs. Needs admin access. Errors: 22023 names the setting and '
    'what is allowed';

CREATE FUNCTION mulberry.conversation_numbers(tenant text DEFAULT NULL)
RETURNS TABLE (name text, value text, standard text, minimum integer, maximum integer, meaning text)
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'supervisor', 'admin');
    held  CONSTANT jsonb := coalesce((mulberry_internal.conversation_version(owner)).settings, '{}');
BEGIN
    PERFORM mulberry_internal.check_texts('tenant', conversation_numbers.tenant);
    RETURN QUERY
    SELECT n.name, (mulberry_internal.turn_number_values(held))[n.number + 1]::text, n.standard::text, n.minimum, n.maximum, n.meaning
      FROM mulberry_internal.turn_numbers() n
    UNION ALL
    SELECT l.name, replace((mulberry_internal.turn_list_values(held))[l.number + 1], E'\n', ', '),
           replace((mulberry_internal.turn_list_values('{}'))[l.number + 1], E'\n', ', '), NULL, NULL, 'a list of phrases'
      FROM mulberry_internal.turn_lists() l;
END
$$;
COMMENT ON FUNCTION mulberry.conversation_numbers(text) IS
    'the settings of conversations of a tenant: what holds, what it would be without, and what is allowed. Times are in ms. Needs '
    'supervisor or admin access';

-- src/conversation/sessions.sql
-- Conversations as the gateway runs them: what it gives the turn engine, and what went into it, stored after the fact.

CREATE FUNCTION turn_log_problem(records bytea[]) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_turn_log_problem';
COMMENT ON FUNCTION turn_log_problem(bytea[]) IS 'what is wrong with records of a turn log; null: nothing (internal)';

CREATE FUNCTION replay_log(records bytea[], line boolean[], numbers integer[], lists text[],
    other_numbers integer[] DEFAULT NULL, other_lists text[] DEFAULT NULL)
RETURNS TABLE (turn integer, onset_ms integer, speech_end_ms integer, final_text_ms integer, asked_ms integer, committed_ms integer,
    first_piece_ms integer, first_sent_ms integer, interrupt_onset_ms integer, interrupted_ms integer, reply_end_ms integer,
    text_class text, interrupt_reason text, speculations integer, reopened integer, cut_offs integer, pauses integer,
    false_pauses integer, backchannels integer, filler boolean, apology boolean, said text, heard text, heard_cut boolean)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100000 ROWS 20 AS 'MODULE_PATHNAME', 'mulberry_replay_log';
COMMENT ON FUNCTION replay_log(bytea[], boolean[], integer[], text[], integer[], text[]) IS
    'the turns of a log, as they were, or as they would have been by other numbers and lists; a log that cannot be read is replayed up to '
    'there (internal)';

CREATE FUNCTION find_conversation(owner uuid, call_id text) RETURNS mulberry_internal.conversations
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found_one mulberry_internal.conversations;
BEGIN
    IF call_id IS NULL THEN
        RAISE EXCEPTION 'call id must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT c.* INTO found_one FROM mulberry_internal.conversations c WHERE c.tenant = owner AND c.call_id = find_conversation.call_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'call "%" has no conversation', call_id USING ERRCODE = 'undefined_object';
    END IF;
    RETURN found_one;
END
$$;
COMMENT ON FUNCTION find_conversation(uuid, text) IS 'the conversation of a call; 42704 when there is none (internal)';

CREATE FUNCTION replay_conversation(conversation mulberry_internal.conversations, settings jsonb DEFAULT NULL)
RETURNS SETOF mulberry_internal.conversation_turns
LANGUAGE sql STABLE AS $$
    SELECT conversation.id, r.*
      FROM mulberry_internal.replay_log(
               ARRAY(SELECT l.record FROM mulberry_internal.turn_log l WHERE l.conversation = conversation.id ORDER BY l.number),
               conversation.line, conversation.numbers, conversation.lists,
               CASE WHEN settings IS NOT NULL THEN mulberry_internal.turn_number_values(settings, conversation.numbers) END,
               CASE WHEN settings IS NOT NULL THEN mulberry_internal.turn_list_values(settings, conversation.lists) END) AS r
$$;
COMMENT ON FUNCTION replay_conversation(mulberry_internal.conversations, jsonb) IS
    'the turns of a conversation by its log, as they were, or with other settings (internal)';

CREATE FUNCTION mulberry.begin_conversation(call_id text, abilities text[] DEFAULT '{}', tenant text DEFAULT NULL)
RETURNS TABLE (numbers integer[], lists text[], settings_version integer)
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner   CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'gateway');
    known   CONSTANT text[] := ARRAY['clear', 'pause', 'marks', 'marks_tell', 'exact_queue', 'we_pace'];
    held    CONSTANT mulberry_internal.conversation_versions := mulberry_internal.conversation_version(owner);
    unknown text;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', begin_conversation.call_id,
        'abilities', array_to_string(begin_conversation.abilities, ' '));
    IF call_id IS NULL OR abilities IS NULL THEN
        RAISE EXCEPTION 'call id and abilities must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF call_id = '' THEN
        RAISE EXCEPTION 'call id must not be empty' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT a.name INTO unknown FROM unnest(abilities) AS a (name) WHERE (a.name = ANY (known)) IS NOT TRUE LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ability "%" is not known', left(unknown, 40) USING ERRCODE = 'invalid_parameter_value',
            DETAIL = format('Known are %s.', array_to_string(known, ', '));
    END IF;
    numbers := mulberry_internal.turn_number_values(coalesce(held.settings, '{}'));
    lists := mulberry_internal.turn_list_values(coalesce(held.settings, '{}'));
    settings_version := held.version;
    INSERT INTO mulberry_internal.conversations (tenant, call_id, version, numbers, lists, line)
    VALUES (owner, begin_conversation.call_id, held.version, numbers, lists,
            ARRAY(SELECT k.name = ANY (abilities) FROM unnest(known) WITH ORDINALITY AS k (name, place) ORDER BY k.place));
    RETURN NEXT;
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'call "%" has a conversation', call_id USING ERRCODE = 'duplicate_object';
END
$$;
COMMENT ON FUNCTION mulberry.begin_conversation(text, text[], text) IS
    'a conversation begins in a call; returns what the turn engine is to be given, by the settings that hold now. abilities of the peer: '
    'clear, pause, marks, marks_tell, exact_queue, we_pace. Needs gateway access. Errors: 22023, 42710 the call has one';

CREATE FUNCTION mulberry.log_conversation(call_id text, first integer, records bytea[], ended text DEFAULT NULL,
    tenant text DEFAULT NULL) RETURNS integer
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner   CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'gateway');
    one     mulberry_internal.conversations;
    problem text;
    stored  integer;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', log_conversation.call_id, 'ended', log_conversation.ended);
    one := mulberry_internal.find_conversation(owner, call_id);
    IF first IS NULL OR records IS NULL THEN
        RAISE EXCEPTION 'first and records must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF first < 0 OR first > 10000000 OR cardinality(records) > 10000 THEN
        RAISE EXCEPTION 'records out of range' USING ERRCODE = 'numeric_value_out_of_range',
            DETAIL = 'They are numbered from 0 to 10000000, and at most 10000 at once.';
    END IF;
    problem := mulberry_internal.turn_log_problem(records);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'invalid records: %', problem USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM FROM mulberry_internal.conversations c WHERE c.id = one.id AND c.ended_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the conversation of call "%" is over', call_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    INSERT INTO mulberry_internal.turn_log (conversation, number, record)
    SELECT one.id, log_conversation.first + r.place::integer - 1, r.record FROM unnest(records) WITH ORDINALITY AS r (record, place)
    ON CONFLICT ON CONSTRAINT turn_log_pkey DO NOTHING;
    GET DIAGNOSTICS stored = ROW_COUNT;
    IF ended <> '' THEN
        UPDATE mulberry_internal.conversations c SET ended_at = clock_timestamp(), reason = ended WHERE c.id = one.id;
        INSERT INTO mulberry_internal.conversation_turns SELECT r.* FROM mulberry_internal.replay_conversation(one) AS r;
    END IF;
    RETURN stored;
END
$$;
COMMENT ON FUNCTION mulberry.log_conversation(text, integer, bytea[], text, text) IS
    'stores what went into the turn engine of a call, records from number first on; a record that comes again is left as it is. ended: the '
    'reason why the conversation is over, and then its turns are stored. Returns how many records were new. Needs gateway access. Errors: '
    '42704 no conversation, 55000 it is over, 22023, 22003';

CREATE FUNCTION forget_conversation(owner uuid, call_id text) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM mulberry_internal.conversations c WHERE c.tenant = $1 AND c.call_id = $2
$$;
COMMENT ON FUNCTION forget_conversation(uuid, text) IS 'erases the conversation of a call, with its turns and its log (internal)';

CREATE FUNCTION sweep_conversations(max_rows integer) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '100ms'
AS $$
DECLARE
    n integer;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    DELETE FROM mulberry_internal.conversations x
     WHERE x.id = ANY (ARRAY(
               SELECT c.id FROM mulberry_internal.retention_limits() l
                 JOIN mulberry_internal.conversations c ON c.tenant = l.tenant AND c.started_at < l.kept_since - interval '1 day'
                WHERE NOT EXISTS (SELECT FROM mulberry_internal.calls k WHERE k.tenant = c.tenant AND k.call_id = c.call_id)
                LIMIT max_rows FOR UPDATE OF c SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n >= max_rows;
END
$$;
COMMENT ON FUNCTION sweep_conversations(integer) IS
    'forgets conversations a day after retention says so, when their calls are gone; true when there is more to do; part of maintenance '
    '(internal)';

-- src/conversation/reports.sql
-- What conversations were like, and what other settings would have made of them.

CREATE FUNCTION mulberry.replay_turns(call_id text, settings jsonb DEFAULT NULL, tenant text DEFAULT NULL)
RETURNS TABLE (turn integer, said text, text_class text, onset_ms integer, speech_end_ms integer, committed_ms integer,
    first_sent_ms integer, interrupted_ms integer, interrupt_reason text, reopened integer, cut_offs integer, false_pauses integer,
    backchannels integer, heard text, heard_cut boolean)
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'supervisor', 'auditor');
    one   mulberry_internal.conversations;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', replay_turns.call_id);
    PERFORM mulberry_internal.check_json('settings', replay_turns.settings);
    one := mulberry_internal.find_conversation(owner, call_id);
    IF settings IS NOT NULL THEN
        PERFORM mulberry_internal.check_conversation(settings);
    END IF;
    RETURN QUERY
    SELECT r.turn, r.said, r.text_class, r.onset_ms, r.speech_end_ms, r.committed_ms, r.first_sent_ms, r.interrupted_ms,
           r.interrupt_reason, r.reopened, r.cut_offs, r.false_pauses, r.backchannels, r.heard, r.heard_cut
      FROM mulberry_internal.replay_conversation(one, settings) AS r ORDER BY r.turn;
END
$$;
COMMENT ON FUNCTION mulberry.replay_turns(text, jsonb, text) IS
    'the turns of a conversation, decided anew from the log of what went into the turn engine: the same as they were, or with some '
    'settings otherwise (as in set_conversation()) what would have been. What the caller would have done otherwise is not known; replies '
    'take as long and are as long as they were. Needs supervisor or auditor access. Errors: 42704 no conversation, 22023';

CREATE FUNCTION turn_figures(owner uuid, "from" timestamptz, "to" timestamptz, settings jsonb)
RETURNS TABLE (conversations bigint, turns bigint, cut_offs bigint, additions bigint, interruptions bigint, false_pauses bigint,
    backchannels bigint, end_of_turn_p50 integer, end_of_turn_p95 integer, voice_to_voice_p50 integer, voice_to_voice_p95 integer)
LANGUAGE sql STABLE AS $$
    SELECT count(DISTINCT c.id), count(r.turn), sum(r.cut_offs), sum(r.reopened - r.cut_offs), count(r.interrupted_ms),
           sum(r.false_pauses), sum(r.backchannels),
           percentile_disc(0.5) WITHIN GROUP (ORDER BY r.committed_ms - r.speech_end_ms)::integer,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY r.committed_ms - r.speech_end_ms)::integer,
           percentile_disc(0.5) WITHIN GROUP (ORDER BY r.first_sent_ms - r.speech_end_ms)::integer,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY r.first_sent_ms - r.speech_end_ms)::integer
      FROM mulberry_internal.conversations c
           LEFT JOIN LATERAL mulberry_internal.replay_conversation(c, settings) AS r ON true
     WHERE c.tenant = owner AND c.started_at >= "from" AND c.started_at < "to"
$$;
COMMENT ON FUNCTION turn_figures(uuid, timestamptz, timestamptz, jsonb) IS
    'the sums of turn_report() for conversations of a time, as they were or with other settings (internal)';

CREATE FUNCTION mulberry.turn_report("from" timestamptz, "to" timestamptz, settings jsonb DEFAULT NULL,
    tenant text DEFAULT NULL)
RETURNS TABLE (case_of text, conversations bigint, turns bigint, cut_offs bigint, cut_off_percent numeric, interruptions bigint,
    false_pauses bigint, backchannels bigint, end_of_turn_p50 integer, end_of_turn_p95 integer, voice_to_voice_p50 integer,
    voice_to_voice_p95 integer)
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'supervisor', 'auditor');
BEGIN
    PERFORM mulberry_internal.check_json('settings', turn_report.settings);
    IF "from" IS NULL OR "to" IS NULL THEN
        RAISE EXCEPTION 'from and to must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF settings IS NOT NULL THEN
        PERFORM mulberry_internal.check_conversation(settings);
    END IF;
    RETURN QUERY
    SELECT k.name, f.conversations, f.turns, f.cut_offs + f.additions,
           round(100.0 * (f.cut_offs + f.additions) / nullif(f.turns, 0), 1),
           f.interruptions, f.false_pauses, f.backchannels, f.end_of_turn_p50, f.end_of_turn_p95, f.voice_to_voice_p50,
           f.voice_to_voice_p95
      FROM (VALUES ('as it was', NULL::jsonb), ('with these settings', settings)) AS k (name, settings)
           CROSS JOIN LATERAL mulberry_internal.turn_figures(owner, "from", "to", k.settings) AS f
     WHERE k.name = 'as it was' OR k.settings IS NOT NULL
     ORDER BY k.name;
END
$$;
COMMENT ON FUNCTION mulberry.turn_report(timestamptz, timestamptz, jsonb, text) IS
    'conversations that began in a time (from included, to not), as they were and, with settings (as in set_conversation()), as they would '
    'have been: turns, those that were taken to be over too early, interruptions, pauses of the agent for nothing; ms from the end of '
    'speech to the end of the turn and to the first frame of the reply. Needs supervisor or auditor access. Errors: 22023, 22004';

CREATE FUNCTION mulberry.conversation_report(call_id text, tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'supervisor', 'auditor');
    one   mulberry_internal.conversations;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', conversation_report.call_id);
    one := mulberry_internal.find_conversation(owner, call_id);
    RETURN (WITH t AS MATERIALIZED (
                SELECT x.* FROM mulberry_internal.conversation_turns x WHERE x.conversation = one.id AND one.ended_at IS NOT NULL
                UNION ALL
                -- one that is under way, or that nobody could end
                SELECT r.* FROM mulberry_internal.replay_conversation(one) AS r WHERE one.ended_at IS NULL)
            SELECT jsonb_build_object('call_id', one.call_id, 'started_at', one.started_at, 'ended_at', one.ended_at,
                       'reason', one.reason, 'settings_version', one.version, 'turns', count(t.turn),
                       'cut_offs', coalesce(sum(t.cut_offs), 0), 'additions', coalesce(sum(t.reopened - t.cut_offs), 0),
                       'interruptions', count(t.interrupted_ms), 'false_pauses', coalesce(sum(t.false_pauses), 0),
                       'backchannels', coalesce(sum(t.backchannels), 0), 'speculations', coalesce(sum(t.speculations), 0),
                       'fillers', count(*) FILTER (WHERE t.filler), 'apologies', count(*) FILTER (WHERE t.apology),
                       'end_of_turn_ms', percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY t.committed_ms - t.speech_end_ms),
                       'voice_to_voice_ms', percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY t.first_sent_ms - t.speech_end_ms),
                       'list', coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('turn', t.turn, 'said', t.said,
                           'heard', t.heard, 'heard_cut', t.heard_cut, 'text_class', t.text_class, 'onset_ms', t.onset_ms,
                           'speech_end_ms', t.speech_end_ms, 'end_of_turn_ms', t.committed_ms - t.speech_end_ms,
                           'final_text_ms', t.final_text_ms - t.speech_end_ms, 'reply_ms', t.first_piece_ms - t.asked_ms,
                           'first_frame_ms', t.first_sent_ms - t.first_piece_ms, 'voice_to_voice_ms', t.first_sent_ms - t.speech_end_ms,
                           'interrupted_ms', t.interrupted_ms, 'interruption_detection_ms', t.interrupted_ms - t.interrupt_onset_ms,
                           'interrupt_reason', t.interrupt_reason, 'cut_offs', nullif(t.cut_offs, 0),
                           'false_pauses', nullif(t.false_pauses, 0))) ORDER BY t.turn) FILTER (WHERE t.turn IS NOT NULL), '[]'))
              FROM t);
END
$$;
COMMENT ON FUNCTION mulberry.conversation_report(text, text) IS
    'a conversation in figures, and its turns one by one: what was said, what of the reply was heard, and the stages of its latency in ms '
    '(end_of_turn, reply: from asking to its first audio, first_frame, voice_to_voice). Needs supervisor or auditor access. Errors: 42704';

-- src/conversation/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE FUNCTION access_rules_conversation() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('set_conversation', 'EXECUTE', 'admin'),
    ('conversation_numbers', 'EXECUTE', 'supervisor admin'),
    ('begin_conversation', 'EXECUTE', 'gateway'),
    ('log_conversation', 'EXECUTE', 'gateway'),
    ('replay_turns', 'EXECUTE', 'supervisor auditor'),
    ('turn_report', 'EXECUTE', 'supervisor auditor'),
    ('conversation_report', 'EXECUTE', 'supervisor auditor')
$$;
COMMENT ON FUNCTION access_rules_conversation() IS 'which access needs which object of conversation';

-- src/admin/outbound.sql
CREATE FUNCTION mulberry.resume_outbound() RETURNS boolean
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    held boolean;
BEGIN
    PERFORM mulberry_internal.require_access_everywhere('admin');
    LOCK TABLE mulberry_internal.installation IN SHARE ROW EXCLUSIVE MODE;
    held := NOT mulberry.outbound_allowed();
    IF held THEN
        DELETE FROM mulberry_internal.installation;
        INSERT INTO mulberry_internal.installation (system_identifier, database, approved_by)
        SELECT c.system_identifier, d.oid, mulberry_internal.outer_role_name()
          FROM pg_control_system() c, pg_database d
         WHERE d.datname = current_database();
    END IF;
    RETURN held;
END
$$;
COMMENT ON FUNCTION mulberry.resume_outbound() IS
    'lets the workers of this database do outgoing work although it is a copy; returns whether it was held. First cancel what the '
    'original does as well. Needs admin access to all tenants';

-- src/admin/agents.sql
CREATE FUNCTION mulberry.drop_agent(name text, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target  uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
    dropped uuid := mulberry_internal.find_agent(target, name);
    problem text;
    hint    text;
BEGIN
    PERFORM mulberry_internal.check_texts('name', drop_agent.name);
    PERFORM FROM mulberry_internal.agents a WHERE a.tenant = target AND a.id = dropped FOR UPDATE;
    SELECT format('Mandate "%s" is %s.', m.id, m.status), 'Revoke its mandates first.'
      INTO problem, hint
      FROM mulberry_internal.mandates m
     WHERE m.tenant = target AND m.agent = dropped AND m.status NOT IN ('REVOKED', 'EXPIRED')
     ORDER BY m.id
     LIMIT 1;
    IF problem IS NULL THEN
        SELECT format('Command %s is %s.', c.id, c.state), 'Wait for its commands, or cancel them, first.'
          INTO problem, hint
          FROM mulberry_internal.commands c
         WHERE c.tenant = target AND c.agent = dropped AND c.state IN ('waiting', 'outstanding')
         ORDER BY c.id
         LIMIT 1;
    END IF;
    IF problem IS NULL THEN
        SELECT format('Voice key %s is enabled.', k.key_id), 'Disable its voice keys first.'
          INTO problem, hint
          FROM mulberry_internal.voice_keys k
         WHERE k.tenant = target AND k.agent = dropped AND k.enabled
         ORDER BY k.key_id
         LIMIT 1;
    END IF;
    IF problem IS NULL THEN
        BEGIN
            DELETE FROM mulberry_internal.voice_calls v USING mulberry_internal.commands c
             WHERE v.command = c.id AND c.tenant = target AND c.agent = dropped;
            DELETE FROM mulberry_internal.commands c WHERE c.tenant = target AND c.agent = dropped;
            DELETE FROM mulberry_internal.secrets s USING mulberry_internal.voice_keys k
             WHERE k.tenant = target AND k.agent = dropped AND s.tenant = target AND s.name = k.secret;
            DELETE FROM mulberry_internal.voice_keys k WHERE k.tenant = target AND k.agent = dropped;
            DELETE FROM mulberry_internal.mandates m WHERE m.tenant = target AND m.agent = dropped;
            DELETE FROM mulberry_internal.agents a WHERE a.tenant = target AND a.id = dropped;
        EXCEPTION WHEN foreign_key_violation THEN
            problem := SQLERRM;
            hint := 'Something was added to it meanwhile: try again.';
        END;
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'agent "%" cannot be dropped because it is still in use', name
            USING ERRCODE = 'dependent_objects_still_exist', DETAIL = problem, HINT = hint;
    END IF;
    PERFORM mulberry_internal.record_audit(target, 'AGENT_DROPPED', 'applied', NULL, dropped, NULL, NULL, jsonb_build_object('name', name));
END
$$;
COMMENT ON FUNCTION mulberry.drop_agent(text, text) IS
    'drops an agent with its settled commands, disabled voice keys and REVOKED or EXPIRED mandates; refused while it has others. The '
    'audit log keeps what was. Needs admin access';

-- src/admin/voice_key_status.sql
-- What people are told about keys.

CREATE FUNCTION mulberry.voice_key_modes() RETURNS TABLE (tenant uuid, role text, agent uuid, key_id integer, signs boolean,
    mode text,
                                                 challenge_until timestamptz, forgeries_in_row bigint, last_forgery_at timestamptz)
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT k.tenant, k.role, k.agent, k.key_id,
               CASE k.role WHEN 'sender' THEN k.key_id IS NOT DISTINCT FROM mulberry_internal.signing_key(k.tenant, k.agent) END,
               CASE WHEN k.role = 'sender' OR NOT k.enabled THEN NULL
                    WHEN l.mode = 'normal' AND k.place <> mulberry_internal.voice_key_place() THEN 'challenge'
                    ELSE l.mode END,
               CASE WHEN k.role = 'receiver' AND k.enabled AND g.challenge_until > clock_timestamp() THEN g.challenge_until END,
               CASE k.role WHEN 'receiver' THEN coalesce(g.in_row, 0) END,
               g.forgeries[1]
          FROM mulberry_internal.voice_keys k
          LEFT JOIN mulberry_internal.key_guard g ON g.tenant = k.tenant AND g.key_id = k.key_id AND k.role = 'receiver'
         CROSS JOIN LATERAL mulberry_internal.lockout_mode(g, clock_timestamp()) AS l (mode)
         WHERE k.tenant = ANY (mulberry.current_tenants('operator', 'auditor'));
END
$$;
COMMENT ON FUNCTION mulberry.voice_key_modes() IS
    'what voice_key_status says beyond the rows of voice_keys, for the tenants of the current role';

CREATE VIEW mulberry.voice_key_status WITH (security_barrier) AS
    SELECT t.name AS tenant, a.name AS agent, k.key_id, k.role, k.enabled, k.fingerprint, k.challenge_extend, m.signs,
           k.last_counter, CASE k.role WHEN 'sender' THEN k.acked_counter END AS acked_counter,
           k.created_at, k.exported_at, k.confirmed_at, k.disabled_at, m.mode, m.challenge_until, m.forgeries_in_row, m.last_forgery_at
      FROM voice_keys k
      JOIN tenants t ON t.id = k.tenant
      JOIN agents a ON a.tenant = k.tenant AND a.id = k.agent
      JOIN voice_key_modes() m ON m.tenant = k.tenant AND m.role = k.role AND m.agent = k.agent AND m.key_id = k.key_id
     WHERE k.tenant = ANY ((SELECT current_tenants(true, 'operator', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.voice_key_status IS 'the keys of voice commands, without their bytes';
COMMENT ON COLUMN mulberry.voice_key_status.role IS 'sender in the cloud, receiver on the edge';
COMMENT ON COLUMN mulberry.voice_key_status.fingerprint IS 'the same on both sides; for confirm_voice_key()';
COMMENT ON COLUMN mulberry.voice_key_status.signs IS 'sender: whether the agent''s next command is signed with it';
COMMENT ON COLUMN mulberry.voice_key_status.mode IS
    'receiver: normal; challenge: every command must answer one; strict: likewise, and a call is hung up after its first forgery';
COMMENT ON COLUMN mulberry.voice_key_status.forgeries_in_row IS 'since the last genuine frame';

CREATE FUNCTION health_voice_keys() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    total      bigint;
    unexported bigint;
    far        bigint;
    alarmed    bigint;
    severe     bigint;
    challenged bigint;
BEGIN
    item := 'voice keys';
    SELECT count(*), count(*) FILTER (WHERE k.role = 'sender' AND k.exported_at IS NULL),
           count(*) FILTER (WHERE k.role = 'sender' AND k.last_counter - k.acked_counter > mulberry_internal.counter_window() - 1000)
      INTO total, unexported, far
      FROM mulberry_internal.voice_keys k WHERE k.enabled;
    status := CASE WHEN far > 0 OR unexported > 0 THEN 'warning' ELSE 'ok' END;
    detail := format('%s keys are in use', total)
              || CASE WHEN unexported > 0 THEN format('; %s were not exported to their edge', unexported) ELSE '' END
              || CASE WHEN far > 0 THEN format('; %s are more than %s commands ahead of what was acknowledged', far,
                                                  mulberry_internal.counter_window() - 1000) ELSE '' END;
    hint := CASE WHEN far > 0 THEN format('An edge takes a counter %s ahead for an old one: rotate_voice_key().',
                                         mulberry_internal.counter_window())
                 WHEN unexported > 0 THEN 'export_voice_key() gives the line for the edge; see mulberry.voice_key_status.' END;
    RETURN NEXT;

    item := 'voice key forgeries';
    SELECT count(*) FILTER (WHERE g.in_row >= mulberry_internal.alarm_forgeries()),
           count(*) FILTER (WHERE m.mode = 'strict'), count(*) FILTER (WHERE m.mode <> 'normal')
      INTO alarmed, severe, challenged
      FROM mulberry_internal.key_guard g CROSS JOIN LATERAL mulberry_internal.lockout_mode(g, clock_timestamp()) AS m (mode);
    status := CASE WHEN alarmed > 0 THEN 'error' WHEN challenged > 0 THEN 'warning' ELSE 'ok' END;
    detail := CASE WHEN challenged = 0 AND alarmed = 0 THEN 'no key is in challenge mode'
                   ELSE format('%s keys are in challenge mode, for %s of them a call is hung up after its first forgery, and %s have '
                       'had %s forgeries in a row',
                               challenged, severe, alarmed, mulberry_internal.alarm_forgeries()) END;
    hint := CASE WHEN alarmed > 0 OR challenged > 0
                 THEN 'Somebody tries to forge commands, or the sender signs with another key: compare fingerprints in '
                     'mulberry.voice_key_status.' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_voice_keys() IS 'health of the keys of voice commands on both sides';

-- src/admin/column_comments.sql
-- A column that a view takes over from a table means there what it means here.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT v.attrelid::regclass AS view, v.attname, col_description(t.attrelid, t.attnum) AS meaning
          FROM (VALUES ('mulberry.command_status', 'mulberry_internal.commands'), ('mulberry.voice_call_status',
              'mulberry_internal.voice_calls'),
                       ('mulberry.voice_key_status', 'mulberry_internal.voice_keys'), ('mulberry.agent_status', 'mulberry_internal.agents'),
                       ('mulberry.mandate_status', 'mulberry_internal.mandates'), ('mulberry.mandate_history',
                           'mulberry_internal.mandate_versions'),
                       ('mulberry.edge_status', 'mulberry_internal.edge_programs'),
                       ('mulberry.escalation_contact_status', 'mulberry_internal.escalation_contacts')) AS pair (view, base)
          JOIN pg_attribute v ON v.attrelid = pair.view::regclass
          JOIN pg_attribute t ON t.attrelid = pair.base::regclass AND t.attname = v.attname AND t.atttypid = v.atttypid
         WHERE v.attnum > 0 AND t.attnum > 0 AND col_description(t.attrelid, t.attnum) IS NOT NULL
           AND col_description(v.attrelid, v.attnum) IS NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', c.view, c.attname, c.meaning);
    END LOOP;
END
$$;

-- src/admin/clock.sql
-- A server's clock that is set back.  What has happened is in the past: where something later waits for a time, or counts
-- from it, and that time lies ahead, the clock has been set back since, and all times of the row by as much.

CREATE FUNCTION time_columns() RETURNS TABLE (relation text, name text, meaning text, live text, longest interval, remark text)
LANGUAGE sql STABLE AS $$
    SELECT c.relation, n.name, c.meaning, l.live, c.longest, c.remark
      FROM (VALUES
            ('agents', 'begun', 'seen_at forged_since', NULL::interval, NULL),
            ('agents', 'due', 'online_until', current_setting('mulberry.agent_online_time')::interval, NULL),
            ('calls', 'begun', 'updated_at', NULL, NULL),
            ('commands', 'begun', 'signed_at offered_at challenged_at escalated_at', NULL, NULL),
            ('commands', 'due', 'voice_at', NULL, NULL),
            ('edge_programs', 'begun', 'reported_at dropped_at', NULL, NULL),
            ('endpoint_state', 'begun', 'changed_at out_since', NULL, NULL),
            ('endpoint_state', 'due', 'retry_at', '2 hours', NULL),
            ('job_queue', 'begun', 'created_at started_at waits_since failed_at', NULL, NULL),
            ('job_queue', 'due', 'run_at', NULL, NULL),
            ('set_aside', 'begun', 'since', NULL, NULL),
            ('set_aside', 'due', 'retry_at', '1 hour', NULL),
            ('tracks', 'begun', 'updated_at', NULL, NULL),
            ('voice_calls', 'begun', 'created_at requested_at uncertain_since answered_at ended_at', NULL, NULL),
            ('voice_calls', 'due', 'due_at give_up_at successor_at', NULL, NULL),
            ('voice_keys', 'begun', 'created_at exported_at disabled_at confirmed_at', NULL, NULL),
            ('agents', 'record', 'created_at', NULL, 'tells when'),
            ('audit', 'record', 'at', NULL, 'tells when; the hash covers it'),
            ('audit_heads', 'record', 'linked_at', NULL, 'tells when'),
            ('calls', 'record', 'created_at completed_at finished_at started_at', NULL, 'tells when; kept longer by as much'),
            ('calls', 'record', 'grace_until', NULL, 'tells when: the job is due then'),
            ('challenges', 'record', 'drawn_at played_at', NULL, 'lockout.c counts the distance, ahead as well'),
            ('command_signatures', 'record', 'signed_at', NULL, 'tells when; later than its key'),
            ('commands', 'record', 'created_at finished_at', NULL, 'tells when'),
            ('edge_programs', 'record', 'started_at', NULL, 'tells when'),
            ('conversation_versions', 'record', 'created_at', NULL, 'tells when'),
            ('conversations', 'record', 'started_at ended_at', NULL, 'tells when; kept longer by as much'),
            ('endpoints', 'record', 'updated_at', NULL, 'tells when'),
            ('escalation_contacts', 'record', 'updated_at', NULL, 'tells when'),
            ('event_channels', 'record', 'created_at', NULL, 'tells when'),
            ('events', 'record', 'created_at', NULL, 'tells when; kept longer by as much'),
            ('emergencies', 'record', 'at', NULL, 'kept longer by as much'),
            ('inbound_calls', 'record', 'created_at ended_at', NULL, 'tells when; kept longer by as much'),
            ('installation', 'record', 'since', NULL, 'tells when'),
            ('media_sessions', 'record', 'begun_at ended_at', NULL, 'tells when'),
            ('prompts', 'record', 'created_at', NULL, 'tells when'),
            ('job_history', 'record', 'created_at started_at finished_at', NULL, 'tells when; kept longer by as much'),
            ('key_frames', 'record', 'accepted_at', NULL, 'tells when'),
            ('key_guard', 'record', 'forgeries challenge_until', NULL, 'lockout.c counts the distance, ahead as well'),
            ('mandate_versions', 'record', 'at expires_at', NULL, 'tells what was agreed'),
            ('mandates', 'record', 'created_at updated_at', NULL, 'tells when'),
            ('mandates', 'record', 'expires_at', NULL, 'agreed by people'),
            ('mandate_clock', 'record', 'at', NULL, 'is the latest that was known'),
            ('members', 'record', 'granted_at', NULL, 'tells when'),
            ('packets', 'record', 'sent_at', NULL, 'as the sender says'),
            ('packets', 'record', 'received_at', NULL, 'tells when; one that lies ahead keeps no call open'),
            ('received_calls', 'record', 'began_at', NULL, 'kept longer by as much'),
            ('phone_numbers', 'record', 'created_at', NULL, 'tells when'),
            ('secrets', 'record', 'created_at rotated_at', NULL, 'tells when'),
            ('spendings', 'record', 'at', NULL, 'tells when'),
            ('sync_states', 'record', 'at', NULL, 'tells when'),
            ('telephony_versions', 'record', 'created_at', NULL, 'tells when'),
            ('tenants', 'record', 'created_at', NULL, 'tells when'),
            ('token_uses', 'record', 'last_used_at', NULL, 'tells when'),
            ('tokens', 'record', 'created_at', NULL, 'tells when'),
            ('tokens', 'record', 'expires_at', NULL, 'agreed by people'),
            ('voice_calls', 'record', 'finished_at', NULL, 'tells when'),
            ('webhook_answers', 'record', 'at', NULL, 'kept longer by as much')
           ) AS c (relation, meaning, names, longest, remark)
     CROSS JOIN LATERAL string_to_table(c.names, ' ') AS n (name)
      LEFT JOIN (VALUES
            ('calls', $c$t.state = 'IN_PROGRESS'$c$),
            ('commands', $c$t.state IN ('waiting', 'outstanding', 'escalated')$c$),
            ('tracks', $c$t.call IN (SELECT c.id FROM mulberry_internal.calls c WHERE c.state = 'IN_PROGRESS')$c$),
            ('voice_calls', 't.finished_at IS NULL')
           ) AS l (relation, live) ON l.relation = c.relation
$$;
COMMENT ON FUNCTION time_columns() IS
    'what each time in our tables means: begun (never ahead), due (waited for, at most so long) or only a record, and why; '
    '"live": of which rows t. A column that is not here fails the test of the catalog (internal)';

-- Where the rows are whose times lie ahead, as SQL: alias t, "by" how far.
CREATE FUNCTION times_ahead() RETURNS TABLE (relation text, query text, shifted text, due text[])
LANGUAGE sql STABLE AS $$
    SELECT c.relation,
           format('SELECT t.ctid AS place, make_interval(secs => extract(epoch FROM greatest(%1$s) - clock_timestamp())::float8) AS by '
                  'FROM mulberry_internal.%2$I AS t WHERE (%3$s) AND greatest(%1$s) > clock_timestamp() + interval ''1 minute''',
                  string_agg(format('t.%I', c.name), ', ') FILTER (WHERE c.meaning = 'begun'), c.relation, coalesce(min(c.live), 'true')),
           string_agg(format('%1$I = t.%1$I - a.by', c.name), ', '),
           array_agg(format('UPDATE mulberry_internal.%1$I AS x SET %2$I = clock_timestamp() WHERE x.ctid = ANY (ARRAY('
                            'SELECT t.ctid FROM mulberry_internal.%1$I AS t WHERE (%3$s) AND isfinite(t.%2$I) '
                            'AND t.%2$I > clock_timestamp() + %4$L::interval + interval ''1 minute'' FOR UPDATE SKIP LOCKED))',
                            c.relation, c.name, coalesce(c.live, 'true'), c.longest)) FILTER (WHERE c.longest IS NOT NULL)
      FROM mulberry_internal.time_columns() c
     WHERE c.meaning <> 'record'
     GROUP BY c.relation
$$;
COMMENT ON FUNCTION times_ahead() IS
    'per table the query that finds rows whose past lies ahead, what sets them right, and what does so for times that lie '
    'further ahead than anything sets them (internal)';

CREATE FUNCTION mend_due_times() RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    ahead   record;
    command text;
    n       bigint;
    mended  bigint := 0;
BEGIN
    FOR ahead IN SELECT * FROM mulberry_internal.times_ahead() LOOP
        EXECUTE format('WITH a AS (%s FOR UPDATE OF t SKIP LOCKED) UPDATE mulberry_internal.%I AS t SET %s FROM a WHERE t.ctid = a.place',
                       ahead.query, ahead.relation, ahead.shifted);
        GET DIAGNOSTICS n = ROW_COUNT;
        mended := mended + n;
        FOREACH command IN ARRAY coalesce(ahead.due, '{}') LOOP
            EXECUTE command;
            GET DIAGNOSTICS n = ROW_COUNT;
            mended := mended + n;
        END LOOP;
    END LOOP;
    IF mended > 0 THEN
        RAISE LOG 'mulberry: the clock was set back: the times of % rows lay ahead and were set back as well', mended;
        PERFORM mulberry_internal.wake_workers();
    END IF;
    RETURN mended;
END
$$;
COMMENT ON FUNCTION mend_due_times() IS
    'sets times back that lie ahead because the clock was set back, so that what waits for them waits no longer than it would have, and '
    'returns of how many rows; part of maintenance (internal)';

CREATE FUNCTION health_clock() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    ahead record;
    n     bigint;
    rows  bigint := 0;
BEGIN
    FOR ahead IN SELECT * FROM mulberry_internal.times_ahead() LOOP
        EXECUTE format('SELECT count(*) FROM (%s) AS a', ahead.query) INTO n;
        rows := rows + n;
    END LOOP;
    item := 'clock';
    status := CASE WHEN rows > 0 THEN 'warning' ELSE 'ok' END;
    detail := CASE WHEN rows > 0 THEN format('%s rows tell of what happened later than now', rows)
                   ELSE 'nothing happened later than now' END;
    hint := CASE WHEN rows > 0 THEN 'The clock was set back. maintenance() sets what is due back as well; workers call it.' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_clock() IS 'health of the clock: whether it was set back';

-- src/admin/maintenance.sql
CREATE FUNCTION complete_silent_calls(max_calls integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    silence CONSTANT interval := current_setting('mulberry.idle_call_timeout')::interval;
    silent  record;
    done    integer := 0;
BEGIN
    IF silence <= '0' THEN
        RETURN 0;
    END IF;
    FOR silent IN
        SELECT c.id, c.tenant
          FROM mulberry_internal.calls c
               CROSS JOIN LATERAL (SELECT max((SELECT p.received_at FROM mulberry_internal.packets p
                                                WHERE p.call = k.id ORDER BY p.sequence DESC LIMIT 1)) AS received_at
                                     FROM mulberry_internal.all_tracks k
                                    WHERE k.call = c.id) AS last
         WHERE c.state = 'IN_PROGRESS'
           -- a packet that came later than now came before the clock was set back
           AND greatest(c.updated_at, CASE WHEN last.received_at < clock_timestamp() + interval '1 minute' THEN last.received_at END)
               < clock_timestamp() - silence
           AND NOT mulberry_internal.is_set_aside('silent calls', c.id::text)
         LIMIT max_calls
    LOOP
        EXIT WHEN mulberry_internal.call_locks_left() = 0;
        BEGIN
            IF mulberry_internal.complete_silent_call(silent.id, clock_timestamp() - silence) THEN
                done := done + 1;
            END IF;
        EXCEPTION
            WHEN lock_not_available OR transaction_rollback THEN
                PERFORM mulberry_internal.blocked();
            WHEN OTHERS THEN
                PERFORM mulberry_internal.set_aside('silent calls', silent.id::text, silent.tenant, SQLSTATE, SQLERRM);
        END;
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION complete_silent_calls(integer) IS
    'completes calls whose sender fell silent, at most max_calls, and returns how many; part of maintenance (internal)';

-- Steps in their order; the last ones take the locks of agents, and that of the audit log.
CREATE FUNCTION maintenance_step(step text, max_calls integer, drop_partitions boolean) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    many CONSTANT integer := 10 * max_calls;
BEGIN
    CASE step
    WHEN 'partitions' THEN
        FOR ahead IN 0 .. current_setting('mulberry.partitions_ahead')::integer LOOP
            PERFORM mulberry_internal.make_partition((clock_timestamp() AT TIME ZONE 'UTC')::date + ahead);
        END LOOP;
    WHEN 'silent calls' THEN
        RETURN mulberry_internal.complete_silent_calls(max_calls) >= max_calls;
    WHEN 'retention' THEN
        RETURN (SELECT coalesce(sum(r.calls), 0) FROM mulberry_internal.apply_retention(false, max_calls, drop_partitions) r) >= max_calls;
    WHEN 'routes of jobs' THEN
        PERFORM mulberry_internal.reroute_jobs(true);
    WHEN 'patience' THEN
        RETURN mulberry_internal.give_up_waiting(many) >= many;
    WHEN 'clock' THEN
        PERFORM mulberry_internal.keep_mandate_time();
        PERFORM mulberry_internal.mend_due_times();
    WHEN 'old events' THEN
        RETURN mulberry_internal.purge_events(many) >= many;
    WHEN 'old jobs' THEN
        RETURN mulberry_internal.purge_jobs(clock_timestamp(), many) >= many;
    WHEN 'what was set aside' THEN
        PERFORM mulberry_internal.forget_set_aside();
        RETURN mulberry_internal.retry_jobs_set_aside(many) >= many;
    WHEN 'voice calls' THEN
        PERFORM mulberry_internal.sweep_voice_calls();
    WHEN 'inbound calls' THEN
        RETURN (SELECT bool_or(s.more) FROM (VALUES (mulberry_internal.sweep_inbound_calls(many)),
                                             (mulberry_internal.sweep_conversations(many))) AS s (more));
    WHEN 'edge programs' THEN
        PERFORM mulberry_internal.forget_edge_programs();
    WHEN 'commands' THEN
        PERFORM mulberry_internal.tend_queues();
    WHEN 'audit log' THEN
        -- nobody else can link until the end, so the notifier does where there is one
        IF current_setting('transaction_isolation') LIKE 'read %committed' AND NOT mulberry.notifier_lives() THEN
            PERFORM mulberry_internal.link_audit_soon(singly => true);
        END IF;
    END CASE;
    RETURN false;
END
$$;
COMMENT ON FUNCTION maintenance_step(text, integer, boolean) IS 'a step of maintenance(); true: there is more to do (internal)';

CREATE FUNCTION maintenance_due() RETURNS timestamptz
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM mulberry_internal.require_access_everywhere('worker');
    RETURN (SELECT mulberry_internal.next_command_due() WHERE mulberry.outbound_allowed());
END
$$;
COMMENT ON FUNCTION maintenance_due() IS
    'when maintenance() has something to do that must not wait for mulberry.maintenance_interval; null: nothing';

CREATE FUNCTION mulberry.maintenance(max_calls integer DEFAULT 500) RETURNS boolean
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
    SET lock_timeout = '100ms' AS $$
DECLARE
    alone CONSTANT boolean := NOT mulberry.in_transaction_block();
    step  text;
    more  boolean := false;
BEGIN
    PERFORM mulberry_internal.require_access_everywhere('admin', 'worker');
    IF max_calls IS NULL OR max_calls < 1 THEN
        RAISE EXCEPTION 'max_calls must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM mulberry_internal.require_call_locks();
    IF NOT mulberry_internal.try_maintenance_lock() THEN
        RETURN false;
    END IF;
    FOREACH step IN ARRAY ARRAY['partitions', 'silent calls', 'retention', 'routes of jobs', 'patience', 'clock', 'old events', 'old jobs',
                                'what was set aside', 'voice calls', 'inbound calls', 'edge programs', 'commands', 'audit log']
    LOOP
        CONTINUE WHEN mulberry_internal.is_set_aside('maintenance', step);
        BEGIN
            PERFORM mulberry_internal.limit_waits();
            more := mulberry_internal.maintenance_step(step, max_calls, alone) OR more;
        EXCEPTION
            -- a step that fails is not the end of the others
            WHEN lock_not_available OR transaction_rollback THEN
                PERFORM mulberry_internal.blocked();
            WHEN OTHERS THEN
                PERFORM mulberry_internal.set_aside('maintenance', step, NULL, SQLSTATE, SQLERRM);
        END;
    END LOOP;
    -- what ended because this transaction may lock no more calls goes on in the next
    RETURN more OR mulberry_internal.call_locks_left() = 0;
END
$$;
COMMENT ON FUNCTION mulberry.maintenance(integer) IS
    'what workers do from time to time, and without workers a scheduler should: partitions ahead, calls whose sender fell silent, '
    'retention. It waits for nobody, and what fails is set aside and reported by health(). True: there is more to do, call it again. '
    'Needs admin access to all tenants';

-- src/admin/test_speech.sql
-- Made by scripts/make-test-speech; not to be edited.

CREATE FUNCTION test_speech() RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN decode(
    '///////////////////+//7+//7+/v7+/v///v///v/+//////////9+fv//fv/+fv7///7//v7+/v7+/v3+/v3+/v7+//7/fn1+fn19fXx8fHx8fHx9fn5+/37+/v/+/v3+'
    '/f7+/f39/f39/f39/Pz8+/z7/Pz8/P39/f3+/v9+fn19fHt7fHp8e3t8e3x9fX3/fn79/v7+/f79/P39/Pz8/Pz7/Pz8/P79/v7+fn59fX18e3x7ent5eXp6enp7e3x8fH5+'
    'fv7+/v39/Pz8/Pv8/fv9/Pz9/f79/v/+fn5+fv99fn59fn5+fX19fX18fX19fn5+//5+/v3+/f38/fz8/fv8/fz8/f38/f39/f39/f79/f3+/v39/fz9/fz9/f39/v7///9+'
    'fn59fH18fH18fHx9fH19fX19/37//v7+/vz9/P39/Pz8/fz8/fz8/f39/f7+//9+fX59fHx7fHt7e3p6ent7e3x8fHx9fX1+fv/+/v39/Pz8/Pz8/Pv7/Pz8/Pz9/P3+/f39'
    '/f7+//7/fn5+fn5+fX19fn1+fX1+fX5+fn5+fn5+fn5+/////35+fn59fn59fX59fn59fn5+fv///v79/fz8/Pv7+/r6+/r6+vr7+vv6+/v7/Pz9/v7+/v9+fX19fX17fHt7'
    'enp6eXl6eXl6eXp6e3t7fHx9fX5+///+/v7+/f39/f39/v39/v7+/v5+//9+fn59fX59fX19fX1+fn7/fn7///7+/f39/f39/f39/f39/P39/f79/v7+//7+//////////9+'
    '/35+fn5+fn59fn19fX1+fH18fX19fX19fn7///7+/f38/Pz8+/r7+/r7+/r6+/v7/Pz8/Pz9/v7//359fX18fHt7e3p7enp6enp6ent7e3x7fHx9fH1+fX5+///+/v7+/f7+'
    '/v3+/v3+/v7+/v7+/v/+//////7/fv/+fv/+/////////v7+/v7+/v7+/f3+/f39/f39/f39/f7+/v//fn5+fX19fX18fHx8fHx8fH19fX59/////v79/fz8/Pz8+/z8/Pv8'
    '+/z8/Pz9/f3+/v7+fn5+fn19fX19fXx9fXx8fX19fX19fX59fn5+fv////7+/v7+/f39/f39/P39/f3+/f3+/v7+/v7+//9+fn5+fX19fX19fHx8fH18fH18fH19fX5+fv/+'
    '/v38/Pv6+vr5+fj4+Pj4+Pj5+fr6+/z8/v5+fn18fHx7enp6eXp6eXp6enp7e3x8fX1+fv/+/v79/fz8/fz8/Pz7/Pz8/Pz8/P39/f7+/n5+fn5+fn19fX19fH18fX19fX19'
    'fn19fn5+fv//fv///v/+/v7+/v7+/v7///5+////fn7/fv9+fn5+fv//fv7+/f79/fz8/Pv8+/v7+/v7+/z8/Pz8/f39/f7+//9+/359fn19fX18fHx8fHx8fHx8fX19fX5+'
    'fv9+//7+/v7+/v3+/v7+/v7+/v7+//7+/v/+/v/+/v3+/v39/P38/Pz8/Pz8/Pz8/P39/f39/f7+/v7+///////////+/v7+/v3+/f79/f39/f3+/f7+/f7+/v7//v9+fn59'
    'fX19fHx9fHx8fHx8e3x7fHx8fH19fX19fn5+fn7///7//v7//v7+/f79/f39/f39/f39/f39/f7+/f7+/f7+/f7+/f7+/v7+/v7+/v/+/////////n7///9+fv9+fv9+////'
    'fv9+/37/fn5+fn5+fn5+fn5+fn5+fn5+fv9+fn7////////////+///+/v////9+fv9+fn5+fn59fX59fX1+fX59fn5+fn7+fv7+//7//v////9+fn5+fX18fHx8e3t7e3t7'
    'e3t8e3x8fHx9fX1+fv////7+/v7+/f3+/f39/f3+/v///359fX18fHx8fHt7e3t7e3t7fHx8fX19fn7//v7+/f39/P39/P39/f39/f7+/v7//v9+fn5+fn5+fn5+fn5+fn5+'
    '/37/fv////7//v7+//7+/v7+/v7+/v39/f38/Pz8/Pv7+/z7/Pz8/fz+/f7//n5+fX19fHx8fHx8fHx8fH19fX5+//7+/v39/fz8/Pz8+/z8+/z8/Pz8/Pz9/f39/f3+/f39'
    '/f39/f39/f38/Pz8/Pz8/Pz7/Pz8/Pz9/f39/v7+fv9+fn19fXx9fH18fH19fX1+fn5+fv///v7//v7+/v7//////35+fn5+fn19fn19fX1+fX1+fX1+fX19fX1+fX1+fX19'
    'fX19fHx8fHx7e3t7e3t7fHx9fX1+//79/v38/Pv8+/v8/Pz+/v5+fX18fHt7e3t8fH19fn7//v39/Pz7+vr6+vr7+/z8/f5+fn19fH18fX1+fv79/Pv7+vr4+fn5+vr7+vz8'
    '/P7+fXt6eHZ1c3Bwb29vcXFzdXl+/fn28/Du7Ojl39fRzMjFwsHCw8fL0t33YlVNSERCQD8/Pz9AQkRHSk1TW2n75NrTzsvIxcO/vbu5t7a3uLu+xtL1V0g/Ozg2NDQ0NTY4'
    'Oz1ARktSXv/e0crFwL68u7q5ubm2s6+ura2vtb7PX0M3LywqKSkqKy0vMzc7P0RKU2Pq0se+uraysK+urq6vsK6tqqelpqmvvfQ+LyghHhwcHB0fIygsMTk/SVZv3My/ubGt'
    'qqempaSlpaeoqKajoqKnrsVJLyYfHBoZGhseISYrLzQ6PkdPY97LvrWuqaakoqOjpaaoqqqppaKhpa3FPyofHBkYGBkbHSIoLTM4PD9HU3jPv7WtqKShn5+go6aprK+xr6ul'
    'oaGpvjwkGhYUFRcaHSMrMjw/Pz08P0z6x7iuqaWhn5+hpKirrrCyt7KtpZ+fpb80HRYSExUZHSAnLTU5OjQwLzVG2LquqaWin56dn6Gmqaytr6+sp5+eobE/HxYSEhYaHiEm'
    'Ki4xLy0qKzBC17mvrKmnpKGgoqWoqqurq66uqaKbm6C/KhgRERYcICUmKSsuLSkjIiYzaruwr6+tqaOfn5+kpqemp6iuqqWcmZ2tMBoREhgfJigmJScpKCIfHiY4zLSxusO+'
    'saegn6Clpqakpaetr6adlZejPhoQERgkLi0mISMlJyEdHCAv4beyvdTTu6qhnp+hpKOioqOqrKKak5ioLxcRFSAuNSoiHyIiHxsZHCpXu7nQTEbfs6ehn6GioqGipqirqJuV'
    'kJm4IxUVHCw5MiUgHh8cGRcYHzLjyNZLQlDHr6agn56fnp+gpKWopZqTj5rDHxUXHzA3KyIfHh0YFBQaJ0vQ0k08Pli/rqSfnZ2en6KipKKlm5OPk60rFxggMjstIx4eHBYS'
    'ERcjOmhSPjg6T82wpp6bnJ6fn56fn6OflY+PoDgbGCEuMyokIiAaEg4PGixESTg5O0NPe7imnJmanaOkoZ6fn6OflZCSrC0aGiIpKyYlIh0WDw8SGiU1RU1LQj1K1K6hm5ma'
    'nJ6foJ+gnaCYkZCbQx8aISsnIyQoIhYODRIdKC8zPk5LOzlcsqGcmpydn5+gn6Cen56SkJS2KR8gKCEfJSwmGQ8ODxYcIi9Cb0o9OE6/qp+bmZqcnp6enp+doZePkJxGKSEk'
    'HxwhKioeEw8OERYcJjhSXUc9Pnm4p52amJmcn5+fnp+dn5ePkZ1NLiUiHBogJyQaExAPDxIZIzJAUldUVNm3p56amJeZnJyenp+doJePkp1xNykhGxkgJiEZExEPDhAXISw5'
    'VFxsWNS3qJ+bl5aYmZqbnZ6dn5aPkpu47S8eGRcdHRoXFBIODQ4SGB4rRF7s176zqqGblpSUlJOWmJqanJaRk5emr0YpHRkZFxYTEQ8ODQ0PExgfLDta2L6zq6OdmJaUlJSU'
    'lpmZm5uTlJWdqrswJBoZGBQUEhIPDg0ODxIYHyw7X8u5r6mgnJiVk5GRkZOUlpeSk5OXnKK7TiwiGxYSDw4NDAwMDA0PExkeJzRLyrOon5uXlJGPj46Pj5CRj5GSlZmcp7Zw'
    'NCQbFhAODAsKCgoKCw0PExkeJzd9uKifmpWRj42MjIyMjIyNjo+Sl5yltV0uIBgSDgwKCQkJCQoMDhIXHSY1YrmqoJuXlJGPjo6Ojo6Oj4+RlJeboavBQSodFhANCgkHBgcH'
    'CAoMDxQaIi9bt6adl5KOjIuKiYmJiouLjY+RlpujsN02JRwVEA4MCwoKCgsNDhEWGyEsPt24q6OdmpeVk5KRkZCQkJGSlJaZnKKrvVcyJRwXEg4MCwoKCgsMDQ8UGR8pO9iz'
    'pp2ZlZGPjo2NjY2Njo+RlZmdpbHQPywiHBcUEQ8ODg4PEBMWGR0iKzdPyrWrpJ+cmpiWlZSUlJSVlpianaGosMRYNyoiHBgVEhAPDw8QEhQXGh4kLDlXyLWrpaCdnJuampqb'
    'nJ6fo6its73M9U5BOjUxLy4tLS4vMDM2OT1CSVJed+Pa0s7My8rLy8zP0NXa3OTr8f54cG5sbGxrbnBveHl5+/vx7Ozo5uPg397d3t7f4OHm6e75e3JpZWFdW1lYWFdWWFlZ'
    'XF9iZ21yevfy7urq6ejo6ujr7ezv8u/z9fPz8fLv7ezr6eno5+jo6uzt7/T4/nl2c29wbm1ubG9vcHV2eHt+fP79/v1+fv17fn59fHp9fHt8fXt+fHx9fH18fHl8fHl+enx+'
    'fHr8fnz6fvz5+ff49vn2+/n4fvj6fX7+ePx4fH16fXX7ef38dPJ3/X169XP5d3t9eXr+dvd6fPl87nXmdfHtduv79Xrvbu5+e/Fq8Wp9Y/p1de5p72r4b/RtaOlsb/R8a+pi'
    '7+9n6F3jdnLvcOJ27W3s73vffeLw6uTt5nbxYf5fYWtcbG9pb+x26evkfuv39u7v/Xjxbulr5vpy33Hz9nDvb/z6bfx8b/Z8avJjffxp5nDp7nLhbO76betq6v738Xzvcfxx'
    'aHZxZf1p9m/1+nX0++1143f3+3hu8mX59Wbg+vfcc+bnZt1e/ndmem1ybnP9/m7o/vTrfet4beZf+XNg51/h93becfLvd/56eHt7/nX0aOxne+9e6m9v7mrn/XTcYufvbehm'
    '8XNu62rseuz+cuVt9/bwaOv+e+tx7Wj1+Gfy9mHmZ23nXOZm9vNy5n797uxk32H38F7aXuPqYNdk9edo7XH5au9k6ntg1lbn7FfYWezuWdhc9f9tevRp9Oxc113g7mvcaen4'
    '9Ox4et9a5u5Z1Vnk+lvWWfHhW+Rs9m158GnrcOxv7uZi3HFl11fkeWLcVeDsWtv//fN56Wfr/XbvYeJket9W02Fm1FDaZWTVUdf+X9Zc5/Rg5XBr5HVz3FrbcVrSUu7oWuFr'
    '++1h2mly217m72vrbXzwaHTxb2rfbPfpY99g9/db4Vx+4Vza+G7TYOLoYt5j9vpk5XV28/tz/3hv/3X7b/h+/Hn2+Wjta/52aORg6PRm1Vnr21TYbHHjWtZgcN5d317p7Vnb'
    'Ye96X9dadttY6fVg4F/z617oeHT7de5tfu5t/O379eFu0+Hrze3X1/XV7W7ZX275WfxaWXxRXGFSXldZXFZfY1tr7WXv0HfMx9K9yL68zL3E3czvXVRKRz4/Pjw+PkFFRE9V'
    'Tep8+87PzsS/w7i1t6+usK+xtr3OZ0k3LispJSYoKSwyOz9l4MrAvrm4ubi1ubW0sqytqaaqqKyyu11ELyQgHRobGxwgJyw8UuK8t7SurbGtra6tqaymnqWem6Gho7XMPyke'
    'FxQRDxATFhwlNFy8raaioJ+ho6Snqaqpq6Ghp5ydqKWr7z4pHBUPDgwMDhEVHitHuqqgnJuampudnqCipKOnnp+mnZ+sqrREMSMZEw8NDQwOEhYeLUu9qqGdnJuanZ2eoaOi'
    'p6WdpaOcpK2qxjorHhYPDgwMDA8TGiU7za2hnJqYmJqbnJ+goqSmpJ6mpJ2nsK7UMicdFQ8ODAwNDxQaJTzNr6Kdm5mZmpucn6CjpKamn6amnqizseAyJxwVDw4NDA0QFBso'
    'PseroZyamJmZm5yeoKOjp6afp6eeqLSw3TInHRUPDg0MDQ8UGiU60a6jnZqZmZmbnJ6goaKnpZ6mp5+ntLLZMicdFRAODQ0NDxUbJTvOrqOdmpmZmZucnp+io6aln6Wmn6ax'
    'sdI1KB0WEA4NDA0PExkjNeuypZ6bmZmam5yen6GjpKiioamloq23vkgtIRoUDw4NDQ8SGB4sSL+rop2bmpqbnJ2foKKkpqagpKiipbC3yjspHxgSDw0NDg8TGSAuWLqqoZ2b'
    'mpqbnJ2foKKjp6OgpqahqLO7+DQlHBYSDg4ODxEWHSc51rGnn52bm5ucnZ+ho6SmqaWip6ejqbO88jcmHRcSDw4ODhEWHCY42LGnn5ybm5ucnZ+ho6Wmqqajp6ikqLK97Tgn'
    'HRcTDw4ODxIXHSg707GnoJ2cnJydnqCipaanqqejp6ikp6+72jwpHhgTDw4ODxEVGyQ087WooJ2bm5ucnZ+ipKeoqqulpqmmpay2xFUwIxsWEg8ODxAUGR8sRcSupZ+dnJyd'
    'nqCipaepqauopKamo6attclFLB8ZFRAODg8QFBohLlG9rKSenZycnZ+go6WnqamrqKSnp6OmrbbLRC0gGhURDw8PERYbJDFbvKykn56dnp+goqWnqaqqq6ejpqWhpKuxwU8v'
    'IRsWEQ8ODxAUGR8rQsivp6GenZ6en6GjpaeoqKmloqSjoKOqr79QLyEbFhEPDw8RFRohLknEr6ejn56foKKkpqipqqmqqaOjpKGgpau1zEIqHhoUDw4ODxAVGiEtRsawqaSg'
    'n5+goaKkpaWlpaain6Ggn6Gnrbt8NiYdGBMQDw8QExcdJDBMyrSrp6SioqOjpKSlpaSkpaGfoaCfoqesttI+KyEbFhMRDxASFRkeJzNKzriuqqelpKOjo6OioqGin56fn5+g'
    'pauzx0ouJR0YFRMSEhQWGh4mL0HvwbavrKmop6alpKOioaCenp2dnZ6gpaq00kIuJB0YFRMRERIUFxoeJSw2S+rEuLGsqKajoJ6dnJuampqampyeoaauvOFCLyghHRsZGBcY'
    'GRobHR8jKC01P1TawbauqqWhn52bm5qZmZqcnaCmrbjOSzYtJiAeHBsbGxscHB4fIiYqLjY/WdrBt6+rp6Ogn56dnZ2enp+jpqqutr/XXUU5Mi0qKCUkIyIjIyQmJyosLzQ7'
    'Qk5u1sa+ubOwrq2sq6urrK2usLO3u8DI0ellUkpDPjw6OTc3Nzc4OTs9P0RJT1pt7trPzMfEwcC/v7/Aw8XIzM/X3+15ZV1ZU1JPTk5OT09TVFhbXmFpc3r17ujj4N7d3Nzc'
    '3d7e4uTo7fH6e3JtamZkYF9eX15fYGBjZGhsb3N98fDs5OXf3t3c3Nvd3N7e4ebl7PD1fXxwbWtnZmFiYF9gX19iYmVoamxyfP7z7+vq5+Xl5eXk5ubq6uzy8vl9eXNxbWxs'
    'aWpqamtrbW5wdXZ7/Pr17u3s6+rp6Onp6urs7e708v37e3x3cnhvcnFucnJydHR4dnx8fP7//vv49PP28/Dx8vP18vX79vt+/3h5dXJzbm5vbW5sb25sc290cHp7eHz//v33'
    '/fT59/Lz8e/x9PDy8vT59fr7/vx+e315e3V5dnh3dnZ5dXx5ef15+379/H74+v/0/vz1/vj6+Pr8+f71/vr5fvZ++f789/76+/37/Pn7/fz8/Hr+/3n/eXt8enh9enj7d/7+'
    '//59/f19/P9+/v39e/h9+3r8/nn7d/x6fnt8+3r8/nz7/vx9fv19e3z9enn+/31++n7//P5+/X59/Xf5en59/f56+Xr6/378ffp9/fz8/Xz2fPt+/v18fn1+/3x6/nr+ev57'
    'fH59/n78e/77fv38/f3++337fH5+fn56/H5+evl6/n59/3r+eX58fP15/vt5+338fX38/H1++nz6fvz8/H35/v39fPd3+3t9fnd+eXt7enl+eXl9e3l+en5+fft++X37+3z3'
    '/f77+/l++/v++379/X76ffz8e/h3+X56+HX6fP7/efd3/v55/Xt9fnj/fXj+eH58ev95/n3/fnx+/319/v9+/v19//t9//7+///9//16+3x9/nn+fHt+fHn/ef56e/96fP19'
    'fPx9//77ffx9/n5++X3++v/6/v33fvx8+Hv7/H32dfZ9/f19/n38evt7/X5++3z6efv7ff3//Pz/ffh8fPt9/f56/v16fn18fHv+fXn7dfv/dPJz/P17+Xj6eP97fn18/Hp9'
    '/Xx69Xb6+3f2dnr6enn9/nx9//p69/5983z/+nV99XX+fvt49fd88Xjsefv+dfxu+m5wcnJ8cX3x93Tr+3x8be5o/XZz+XHob/7ucPH0dujv/O7ne+/ufOpofnb/endxbndo'
    '8m9neGJqbWJ5Y/p7ffB+6vDu9PB07e937Ozs+fbx/vtxdG7+dmfyfGzveXLybHj+bnftcn7gdt3b69nn4eXq7u3obvbzb/x8am9rYmpiY2VeYWJfaWRib21vcf719urp5t/a'
    '2tvY1Nna1dzf3+fv9nlvamViXl1bV1dZVlVYWFpcXWNrb3Tz5+Xe2dfOysnGxMPDxcfL0NvyZVZNSURAPz8+P0BDRUlNUFhhc+ve2dLNycjGxcLCv7u5ubi4ubzBy+RZRz03'
    'MjAvLzAyNjo9QkdOWGj03NDKw7+8u7m4t7i4ubi1tLW1tbe7w9BtSTsyLCooJycoKi0wNjxFU3He0Me/u7m2s7GwsLCwsbS0sa+ws7S1u8r3TTkuKSYiICEjJiktNT5JXeLR'
    'ysO/vLm2s7Kwrq2ur6+xsq2pqq6urbPGYT4vJyAdHBscHiAlLDQ9THTYzcW9uraxrqupqKenp6mrrbCvq6qvtbO53z0vKB8bGRgZGh0hJy4+ZdHFvLazsrGurKupqKemp6ir'
    'rrO6vbWvtL24tss+LigfGRUUFRYZHiYyTca0rqupqaytrKytraqnqKmoqKyytby6sLC8v7jBQiwmHxkTEhMVFxwjMljBsaqlpaepqauur6yqq6upp6qusrXA1Lyutcy9sdAv'
    'JyQbExARExUZIC5LxrCppqWmqautr6+urKqpp6eoqq21u8bUu62yxret1SwkIRgPDg8RExcfLkvGrqajo6SmqausrKqopaOioqKlqa+3xuK/sb3curFcKiciGA8PEBETGCAu'
    'QtGzqqioqKmsrq6tq6mmpKKjo6WorrO7xbarsr+vrOguLCQXDw8PDw8VHCUxUr2uqqmoqaqtrqypqKShn5+foaWqsLrQxLK5z7aszTY4LhoTExEODxUaHixKxbKrp6anqqur'
    'rKyppqOhoKGgo6qwtsRQ3bjOZ7KtZ0LwLxoZGA8NEBITGiYvVLasqKKgpKWkpqmopKOkoZ+hpaess8LPur95w7HUQFQ4HxoZEg4PEREXHyY2zLKspaChoqKjpaalo6GioaCi'
    'pqmuu8dy4dNT3LnSYspMKicgFhITDw8UGBsmOGS8q6ajoKCioaKjo6KioqGjpKirsbnN2MDc6Lq93MvpNyskGxUTEA8QFRgdKjtjuKqopJ+hop+hoqGgoaChoqWorLK8zb/K'
    '6by71cHHPzYsHhkWEA8QEBMZHSY7ebyrp6Ofn6Cen6Cenp+en6GjpqyxutrE0F3Bxe/J3D01Kh4ZFhEPEBETGR4nPOG4qqWgnp6enp+fn5+foKGjpqmttL3Xx+ZfxNbxyG09'
    'OikeGhUQDw4PERUaIS9YvKqhnpyampqam5ycnZ+foKWoq7i91lf9QU/5RGJnOTguIB0ZExEQDxEVGR8rRMGtoZ2bmJiYmJqbm52en6Gjpaqtub90T1M0RD4ySDcuMyYfHRYS'
    'EA4NDg8TGiEzy66fmJWSj5CRkZSWmJudnqKmqq65wmVSQy88Lyw0KigpHx0bFRMRDw8PERYbJDbQrp+alZKQj5CRk5aYmp2foqarrrrEbVFBMTkuLC4oJyUfHBoWExIPDxES'
    'FxwkONSvoZuWk5KRkZOUlpmanZ+jp6uwuMh7SEIxMTIpLysoKyQgHhoYFRMSEhMWGiAtS72pnpqVlJKRk5SXmZudn6WnrLC2xNdVPT4tMS8pMywsLigmIx4bGRYVFBUXGh8p'
    'PNexpZ2al5WVlZaYmZudn6Kmqa2zus7tRkQ0MzUsNC8tLyooJB8cGRcVFRUXGh4nNmm3qp+cmZeXlpeYmpudnqCjpautssPGX01COj01PDs3PTQvLSUfHRgXFRMVFhccIis/'
    '0repop6cmpqamZqbmpydnZ+hpKqttb3W5ltBSzo5OS4uKiIgHBkYFRUWFRgbHSQtOmjAtKumo5+enZycm5ubnJyen6Gmq662wMXcaGZJRj43MiwoJB8dHBkZGRkbHR8mLDNC'
    'aNG8tK+qqaajo5+fn56fn6CjpKeqrK+yt7u/yNd0TkA2LyolIh8dHBwcHB0eHyMmKi81PlH8ybu1rqqnpKGgn5+fn5+goaSlp6qsrrS6xNdiRDo0LConIyMgICAfISEjJScq'
    'LC82PUhf3sa+t7GurKqpqKempqanp6ipq62vsri+xtT1VUc+OjUwLy0sKyoqKiorLC0vMzU5PkROXfDWy8S/u7m3tbS0s7W1tri6vL7Ex8zW3vlnYVNPTEpJR0ZHRkdJSU1N'
    'UVJZXWRrdfj36uvd6OLc59vm5tv55Oj/8HPyaW1yZWxoZGxnaW5p/Wl6fP718vjz6vbp+ef07+zu8fTrcvfy/W9x+3J3c/1zevR0+/r09Xvs82/jbu/1c+Zp6+5r8fV7+Hn6'
    '/f5yem78bX75ZfB2dW7x+G188fN5ePrxdvbz+fBz8+1z+fjx/XX5/PD8b/Z48m1t72vua3ToZ3Xv+3N16nD9ev/3Z+dtev906Wd66215eHfv92x79Pr7cPXw7nj5+uxye/N9'
    '7WHq/XPpdXb9fXp3bf51+XZ3+W/tcnnqb+9tfXv97W3vaPT8dvN3+Hp8+33wa+/9dOpo83Vz7/x7+2/+/vL2d/V7d3tv7/9t9G3refD8+/l+8nf1d/D+eHR89vx5dXh17vdx'
    '/Xn1c235+G5463d6fPv+e+tsfO/7cnXnbW7+fvV4eehu8e9x7WPpaP70ZOxl9Hxv8+569v3z7WLr+Gn69/FrdOl4fOz5dnTvdm/qeP17cfFvcu90eP708P546/d8+3Xyb3v7'
    'dm7qfG/y+352/vn+af51c/d2/3v7+m19e/h1e/3+9nn8e/D89/Rt63n292/lb/v7/vf87vx7+Xdtevlrd+1o/Xd9+W/0/3h2fHpq93R3/Gf5avF5euxv7v3uenZ9+29y8G1x'
    '7G/u82fna/fobOj4ee9q5nx263Tjee/1feht7fr09/Lza+xyeWt7fl/5aXl7c+pt7X3wfXLqd/t+5nd39ff2d+d9aPTtaf18du9493jg3enl69nq8ODx6u5+6Hj983T8aXxr'
    'YmtkXmNdXmFcZ2Vma25wef715eHg2NjLxcPBw8XL0+LuX1ROR0VGRkdJSkxNTlVbXWdv9OLX0s/MysvO0tLV0s/NzcO1ramoq7XKSzUrJyQkJSgtMz1KWl9qXVlUWmjf0cW9'
    'uLOvrq6vsrS5u8PEzr+0rKmrtNk+KyQfHh4fIyguOUZPWllcXG3s2czEvbiyrq2tra+xtbi6vL2/vrOrpaWrvUEnHRkXGBoeJi9D4cfAxtpdSkRHUfvLvLGsqKalqKuyu8fP'
    '2NXYzLOon56jtzwgGBQUFxshKjlZxbu6yG5DOzk/T+bGua+qpqSjpquxucDEycjNuaqgnZ+raikaFRMVGBwiLD7twr/MXT84OT5P3cO4r6qlo6OmqrC5v8PGxcjCr6SenqfQ'
    'LBwVExUZHSMsPv3Gxt5INzM3QF/RwLivqqakpKWprrS5vr/GxcrAq5+bnqnsKxwXFBQWGR4qPF/eakY5NjhBVtzCtq6oo6Kio6WorbO5vsLJxsi/q56coa9cKhwXExIVGR4n'
    'MT9FPjg0NDdAVN7BtKumoZ+en5+jqK2xt7vDw8bBrZ+ep7b6Lx0WExIUGB0lMD5IPzo3OT1CWM24rqijn56enp+jp6yzu8DEy8vPu6ukqLC/WCwdGRYWFhkcICYrLS4vMjU9'
    'THrItq2po5+enZ2dnqKmqa2zur3Ew7GpqrG2xjwlHRoWFRYZHB4hJScpKi84QVDSurCspqGenZybnJyeoqaprra7vsK2sLO7vts7KyIdGhkYGRocHR4gJCcrMDlGaMq7r6qm'
    'oJ6dnJucnZ+hpaisrrS3r66xuLjDUjMrJR8cGhsaGhscHR4gJCgsNT5U1LuxrKahnp6dnJydn6ChpqqsrKqsrrCwvOtDNywlHx0cGxoaGxscHR4gJSgsNkVfzbitqKSfnZ2c'
    'm5ydnZ+goqSkpaisrrXIXz80KiMfHhwaGhoaGxscHiEkKS44SvnFta2opJ+enZ2cnJ2en6CkpKOnrK2vvNhbQjMrJyMfHhwcGxsbHB0fICMoLTI9X9C+squoo5+fnp2dnZ6f'
    'n6Kio6eprK+5x+xLOzErJyMgHh0cHBwcHR4fISUpLTRBWNC+tK2opaOgnp6enp6fn56hpKWnrLK5xutMPDMsKCQhHx4dHR0dHR8gIiYqLzhCX8u8ta6ppqWin5+fn5+fn6Kj'
    'pKerrrS7yvNWPzUvKyckIh8fHh4eHh8gIiYpLDM5RmvZwbexramnpqShoqGgoaKjpaeqrbG4wM90T0E4NC4sKygnJiYmJigpKi0vMzo9SF361Me/urezsa+uraytra2tr7Gy'
    'tri9wcjR5mxXTEQ/Ozk3NTQyMzIyMzQ3Nzs8P0ZKUFn979zRzMnFxMG/wr6/v8LBwsnGy83P1dXd5u7vb2ZmXlxVW1dQVlFTVlFUVlZYWF5iXWpuc3F97fPs7t/k5uLf3e3f'
    '4eni7ert6fN763P9fnBybnVqbXhra35ofG9s92d9+nlz7/587Hzn9Orqfuro/fPw7e9z+nnwfHVx925seGv7b290eHttcPBs8nf89G7lbezyfvRs7XRwfW//dHx49/T78HL7'
    'd/T6bvRvev5zfe/+fn767HHy+Pr2b/Vt//tr/PFt+vT2+nfxffFr+/12em94+nH+9v3s/+t67vh3+n39cW7xcHnudHT9+3b9bvFx+Px18nz3/Pfvdfzzevv7/3t8/X1x7Xn3'
    'dfj4e3t59G///Plt7276fW3tdXr6+2/ycv7vb357/n18+n33b+19b+pw/vx7//Nv7/N4fvz0be53+Pxt7f5x7Xb5/WrybnvzbHx1/H1++3Tsbff7/O5y++79/n368G/tbutv'
    '/O5s7mvvb/ZwdvNs9P14cnnuavn4bu5r73H99m/0fXrxcnvrcvF8+fV17Hb0fnbtdfr2cX3wcvt6cPD+c/d3//X+env193DwfWzobXf2fnT7+Hb4/nV7/Hp78W/67Wnq+G/s'
    'e3f6efZ1fO94fO58+/z7/HP5b/34cfv9b/t98n5383N++PlzeO1v+/38/Xv0bvVx7H78+Hnvde95/Xr0cf73cO1u+/tv/e9ycPJ1cfX7ce5veP74c/l9cOlu73fvfvz1ce1o'
    '5XVt5WrzeHnscfn7fO91e/F2fPp7//x8cO94buhte/n7fHb+fHr7/Wv5/XN79nz8e/j+ef1+e/r0bvrvenP8/vV9efN3eO93cOtseO1u9H1z93Zz/nH8/n7+/PB+8f947Hpx'
    '8nzv+m7t8ndzeuxseXb+92rsa+5udO5n+v18b//3bnbxae/+dP7/9W/0cfB8d/J07nR9/HJ9dHV6c31+c+dk7fR49G3tdP9v7nhr8P/5+331ePN8/XLu9Wz3fvz5bPnpZvR0'
    '9H559nT88v13+/v9e3d9fGTmZm91bm516mHz7PVs4vX86X5x2uRt33Dtfm72525z6vFsffv+8mjsdnd+7f9v7HDpdGfme3Zr83tv+Gd8eXD4afDc+3nt4/b1cenxafrsevJv'
    '7+1n5mfwdXb6cHBu72Zu9319e330+H399nTte/vq4Njp3ODc2+bo5+P7+/z+b2RlZmdiYWNfZGZodH5z+fB7d/7r4u196uHk5+Tg39O+t7a2u7/F12ZSTUg/Pz06OTU0ODk8'
    'P0FFT1Zv1dbHxsXAu7i6v8a/vMHAxMTBvKumqa6/410/NzQyMzAuLSopKCgrMTlGUFTz1MnDv7murq6usK+yv8C6trjCw8Krnp6pYywnKSksLi8uKiUiIB8jKTA5TOXM1NPO'
    'wravqqakpaerrrK2tbK0ub/A3LCgo687JycmKCksNzMrIx8iJSkuOF/Pzs/YzMi+ta2pp6mrrbG4vsO6tLW+yNnIn5yjaB8dIykvMD5MMSUeHyUnKjZO0MjW5frmxritqKel'
    'qKuvs7m8vri1tsPL8OWgnKdHHh4fISYuP0EtJB8gIyYrO/zFvL/DxcO6sqqkoaOmqq20vsG9tbjC1NRFsZyn1CMdHx0hLT9LMCUhICQoLjtnzLy7wMHDvLCspqOipaqts7zA'
    'xr+6vsl93z64nqfZJB0eHR8tQk8zJyUjIycsPfvFuLe3wce+s62noqGkqq21usLKzb7Cy/h+Tkqjorw3IB8eHCQ7Tz4tKickIyk0Tc+7tra6xMS6r6qmo6KmrK+4wcXav7rG'
    '2uNkWqOhvj8nIBwZIjg9OjIuJh8fIyw86Lu0s7a/w72yq6Wgn6CmrK29ysXCv8fB0+07tJ+71EMrHRYcJygxPTwvJB8gISQ1772xra+yuLquqaWfnp+hqKu5wMDIwsLSylJq'
    'p6/AyzwoGxgcHiIqMDApJSEfICYxW8a0r6uus62ppqOenJ6hoqmyur6/wMzUxUm4psS+8S8hGBocGyQsLiwqJSAfICgwTr+zrqutq66qoqKenJ2fo6etvLq9xc3B4eaosMG8'
    'USwdGhsZHCMnKiooIyAfIiczU8ezraytrKyqp6Kfnp6eoqmutrrFxMnD5M+ltLqwXjAfHBsXGyIiKi0tKSQkIyQuQO67r6urrKqrqaWin5+foaastbzDzsvMx2OuqL6su0Yt'
    'Hx0ZFx4hIywvLigmJSEkL0Bwva2rrKuqq6ymo6Kgn6Ooq7S6wszIxtusp6+msu81HxsXExcbHikvMzcwKyknKzZFzbiuqaqnp6impKGioqGnrLC3yM3P0/TFqrCuqLtSLiIb'
    'FRYYGR0mLTA3NzQvMDY9UM+6sayop6Wlo6Kjo6Onqq+2vczT3dVrsqyyp63ASSsgGBMVFBccIiw1PD8+Ojs8QVThwbWtqKSgn56enp+ipquxusTV3GrxW72zu6uvwO0zJh0X'
    'FRQVGR0jLDdBTFVcUFz858y7tK2no5+enZ2en6OorrW/zuZdXE7MwsGytb3LSTEmHRoWFRYYGx4lLDM+R1lvb9vOx7yzraejn52cnJydoKWpr7e/0Nxj2cvKvry+xOZLOCsk'
    'HhwaGRobHR8kKCwxNz1GTmXayL2zraikoZ+enZ2en6Kmqq2zuby+wsPFyMzaa0w9MywoIyAeHh4eHyAiJScqLTI4P014zr62rqqnpKKgn5+foKKkpqmsra+zt7q+xNPzVkQ6'
    'Mi0qJyQiIB8fHx8gIiMlKCotMTg/TvnMvravrKmmpKKhoaChoaKjpaaoqqyvs7i/yt5eSj85My4sKignJSUkJCQlJicpKy4xNjxDUH7ayL+6trKvrq2sq6urq6ysra6ws7e6'
    'vsTM2f5fTkdBPDs4NjQzMjEyMjQ1Njk7PUJGTFZi9uLVzcnFwr+8vLu6urm6ury8vb/AxMjL0Njf8HhdW1NOTEhIRUZDRERDREZHSEtMT09WWl9navHu597d1tbU0dHP0M/R'
    '0NPU19rZ3+Hi7fb0endsYm1gX2ZeZF5mZ2RrbWx2ff78//n773zv73nvfXzwdvZ4fXZv/nJ4enpueXp3cn15dnpz/H368/bv7fP36+308vb09P3z7Xb58fz4b+74de988/7+'
    '8Pf28PX08Hnz+3v+dn11d/pwenFtfXH8dG7+dXR69H1v9P70fffvffL28P588Xr19337c+18dvX59HNx9Xdsfm55eW7sdvnvd/D68/93/ft7eP36fPX/7/N47HL3/G3veHb+'
    'eflxfH7/dXD6c3P9ev11cftu+PZv/nxz/Hr7dHj5/Xn77nru9On29ev6+3nvcXv7e/dv7vRv/P38av14ef5t83r+fHntdnL4bvf+be14+/x69nd5d3Rufntte/l2dnz9dXX0'
    '+nT29vztdez5d+937nv19n7xfPT+93Z5+3z+eHp+b3n+/XFy/Hb6fv5+/v7wfv/1e/r6fPp5/Xl6/Hn2dPn4fXr++Hp28/l++Pv9ffx6efx4+Xp97m/xeHN8bPt1fnp47/3t'
    '+f3ze/V8fff3evz1+/xx+n1veH52dnl79m76fnvxevD3+3t6fHX5cnd+cP7+fPxz9nx+83zudfl9d/1x+f5+/n7+evz3fP79d335/ft4/Hl6+v34+vz19/vv/PD6ePr7/nx7'
    '/nZ2/n59fXr//nvzcf54c/53+/7//fZ5/Hr8/Hv9evz+9vf1/nf1e/z3ffZ+/PJ79f559HD3dXf+cv1x+Xl2eHR3dXx8fPj5+/T78n34/H32/fD9/vt7+/x8fXb6ennzePt8'
    'evt6eHx+dXl8fXp3/Hd6fHn9dPp+ffV69H37+3vz/Pv8+P/2+/j+/fR6fn75enx4dnh4fnlyfH54/nf9eHv1/Pn7/P59+f16fvz9+nv4/X33e/p5/H11+Hl9fHZ+eP34ffn7'
    'fvh59f5893r6ff78fv/+fnx9e33+fH7+fH57d/53+/v8+Xr2e/n5dfV+fvx38nb993X4eHr5e335ffh3fvx4+3r7ef30//f3+fp9/nv/e3T2dv35ef15+fd8ffl2e3l7c3r/'
    'dvt673j29X71/vF4+f91+3b++nx+e/19/f7+fX31efr+efxyeXN2dHR2c/17fHj8dH3+dP9w93r+/Hn7//x5/n17e33w//f0e/J78Xz/9nf5fPz8+v39en39+vz7eHx7e/x4'
    'fP99+Pjy9Xbz+vx3+n10eX34b/F2fe9v7nX9+231aX16b/5yd3t0ePd+/fn8+nV2+W78/v34eOn+9/L383Pu9Xz49+399+r3/fTy/vt793507X727vju9u3y/u528vx893ru'
    'd9/n79zn3+vh4/zn/Ph0bvlpc31ydG52cWdzbGNkZWReZ2hia2tucHP2fn3u8PPt4ujf09TOysjHx8bHy87S3/lrV1BMRkVEQENCQ0dGTU9RXGp36tzYz87MysvMzc3V09Tc'
    '1djHw8C4ube5vsLbV0Q5MS4sKywtLjM3PkhN9eTYxsTBvbm4ubW1tbW4t7zCxMrc6eNve8a+uLCvrbHD1kYtJx8cGxocHyQsOUrXxLy1trO2t7W6s7Kxrq2sr7G2vczZ/15S'
    'Yl/OrK2moaWnu1s1HxkVEhIUGR8qO+7CuLW3ucPMzt3SxryxrKejoqCgpaquusxrTUJCPWexs6qho6i+US8cFRAODg8TGiEuVsm3r66us7a3vbu1s6ynpJ+fn56hp621xWpO'
    'RT87yLO3qKWpt0s3IhYSEA4PExkgKj3XxLm0tLW4ubm5ta+rp6Kfnp2dnqKorrjWZUZBOkO/xrerrrPsPCwcFhQRERQYHiYxSeTJvLq5uLazs66rqaWloaGho6Wpr7nB01lJ'
    'S0o/v7C1p6muvT4uHxcVEhMWGR8pL0Bcb9XSy8XDuraxrKqmpKKhoaKlqKy2v8d8VktZRlqts6+mrLhGLicZFRYVFhsgKTE6S1JUW3vd08a5sa6qpKOioKChpaaqs73H1GNL'
    'WllDuKu5p6m61C8nHRUWFRUaHiYvOklVWFfr4ebBu7muq6iko6Ggo6Omqq66v8pkY1NlRuOota6ir8A/KiIWFBYUFx4kKzZBSkhMWl9kyr67sKqppqOioaSipaqssr7E2uhY'
    'W1vaqrKuo6/EQCshFxUWFRkdJSw0RUZMUkvv9t69vbGuraalqKOipaeoqrK5v9luTUNKO8Cww6amvLxEKiEZGBkXHSQpNT1gUkb5Skz1Yc6+v6+srKSlpaCkqKituL7KaFlN'
    'TEJ6tsS1qLK7yEIyJB4dGhoeHyIrNDlBUVhlcOrZz8e+ubGvq6enpaWmqK2xs8nX1WNL+bzKva62v8hfNywkHx0bHB4fJSsvOkBS82/SyM7Du7i1rquqpqSjpKWmq6yyu77Q'
    '9NrS2sa+wMHOeEk0LCYfHh0dHh8kKS03Qkr90c7Cvbu3s6+uraqpqqqqrK+yuL/Hz9xsz8zRu7u8ucHOd0A0LCYhHx4dHiEiJywuNzxDVV7kzMS6tK2qp6ShoKCho6arr7nH'
    '3mpKQ0Q9Pj47PDo2NjQyNDQ2OzxCTE5eb3zt5unh3+LY19XLzcnEycXEyMXIysnLzc/Mz9HP09jd4vtnX1ZOTUtISElHSEhISklMTk5TWl1r9/Xh2trV0M/Qz9HR1NnY2NzZ'
    '0c/NyMXFxMXHytLZ52tdUkxIREE/Pj09PT5AREhOWWjt3dPMy8jGx8fHycrMztHV2tvb5eTj6evu7vR8emxkXVlVUE5MTEtLTU9SV15qd+3i29rW0tTT0tPW19nb4OXp9Hn+'
    'dm14cnt8/vv2/X79cm9saWZjYmJgYmJkZWdsbXB3fPf07+jm5N/f39/i4+bv9Plwenlx+/jw6ufi4eHh5Ofr7vT8eXJta2hiYWBdXF1bW1xcXl5iZmhudXv67+3q5OHf3dnX'
    '1dHPzs3MzMzNzs/S19zg6/1uZFxXVE9OTEtLSktLTE5PU1dcYGl0+Ozl4N3b2tnZ2dna3N3f4uXq7fL6/np1cm9ubW1tbW1ub29xc3V3eXt8fv38+vr59/j39/f4+fr9/n18'
    'enh2dHRzc3N0dXZ4enx+/vz7+vj49/f39/j5+fr7/Pz9/f7+/f7+/v7+/v7//35+fn5+fn5+fn5+fn5+fv7+/fz8+/r6+vr6+vn6+/r6+/v8/v39fX58fnx8fv7/ffr7/f3+'
    '/f3/fv57ev17eX57fHd6fHt7eH55fP38fX3+fv97+/16fP39/vr8/fr69/f59/b3+/r9+v96+Xx3d/36/X79+nt++XX8+HX3/PX19fv2/f3tfnP66P5v9+/6dn3+eGx0+W/+'
    '9/14efN9cmz+9njt8vP6fO3z/WpwdnR2eHd47vB0e/Zt/un3aWz97/1q/2546OjvfeLp+u9+cX1wae7xbfzk3mr55Pl3ZONtY//t72nz/fn9a2lx/WFtffXzaPnrc2356vxt'
    '8urz83v89vn6ZPf9cf5s+ud4au/t8HRz7ulrd/nqfl7m7Gtz8Ot3dv3u92x37/5ubnj+cm7/+Wr0ef/rc+3pa/zm/W766H54fOn7/H7u72Xw63R5/PH0cW5y+G5ib3x0b+/t'
    'fe/t72nt/WxzcP9r/nzu9/z05O117OZ3fWn87V1xc/l8d3ny4fRzcOH3XWvr8GFk4+JmbuHoc2ns5WB78XJ3+P9x7/V+du7ucn59+Hhu+P18ae7xbnL/8mzxcXPob3xw/u1i'
    'd+16fnX47237/O94celt9PFs9/H7fG/q8m3+8e9ne+53enX1+3p7/Pp6dnZ8eHh49vpyfPb+c/f9fnt78Xb5937xev70fvV39/R4fXzyeHf/+nl4+fp+e37yeP3/evd4/3T6'
    '+/14e/3+fv37/vl8evp+e/50/Hr8fnr3fPh6/Pp7+n7+fHv5fH3+/X3+fv78e/z//X3+eX19ePx7fn19/Xt5fvx2fn59+Xb5efn+fv54+3b/d//4/Xz3+/V8/fp7+Hv8fP7+'
    'e37+ffl+//59+3x+fn75ev19/fl5/Xj/e35+fvz7ffz//v57/Hn7d/x7//78+3r8/fV8/vp+/v58+Hr8ev3+fPx89Xr+fv/7fXr6ev15/3t9e336evl493v+enl7e3l+/vf/'
    '//d5+XX+fP38ffh9+H7++nn7ef18efl4/nv//n1++v7/+/7+ff99e3h7fv79/vn+//v+/X59/Xt7fXv8+/3+fP18fn59fH1++n1++3v9ePp1/Pp8+Xf+/f3+env+fv98fn1+'
    'fn5+fP5+/f97fnv9eP5+//x5/338//9+fvv6e/l6/Pl+/Xr6+fr5/X37/Pr8fX7/+vp7+/78/nl7eHt5fXh+evz+/n58/X7+fnv5ff19eO/7/v/8/vt9/P98/H79/f/3//v6'
    'ffZ++/t+/3x6/np++/3++336fvl9fPx5/Hn8dvv3fvx+/PV9+/5++3r+fv59+v/8+f59/n18fHv+d379fP3+//t7fvl++vv8/Pf7+Pr69v32/vr8/P36fXv+ef55e353fHt6'
    'fXn+fnz/ev39fPp++fn79/v3/Pj8/ft9/H78/339/Pz9/f75fPz9fH56/Hx7/n79e3x7dn13d3dyfHl9fP/+/f1++Pz7/Pb6/f38/Pv9/fl9ff5+fHl9fHt8eP99fXp4eXl6'
    'eXp7fHt9/X59/Pr5/fn1+fX29fX7+fj69fz5+v74e/v/ff56enh8eHt8eXd2dXh6dHt8eXp6/f7++/v6+/v5+Pr7+vj5/fv7/vx+/v3+fnx+fXx5eXl6d3Z5eXl6e3p8fX59'
    '/v36+Pn4+PX4+Pf49vj5+Pn6/Pz7+/z+/P3+/379/v9+fH59fX58fn18fXt7e3l7e3p7eXp7fH19/37+/Pv6+fr4+Pj4+ff4+fj6+/z//359fHt7e3l3eHh4eHh6enx7e3x9'
    'fX7//v39/f7+/v7/fv5+fn5+/35+fn5+fv7+/vz9/Pv7+/v5+vn5+fr5+vr6+/z9/P3//359fHt6eXl5eXl6eXp5e3t7fHx9fn7+/fz7/Pr6+vn5+fr5+vv6+/v7/fz9/f7+'
    '/n7/fn5+fn59fXx8fHx9fX18fX19fX1+fX5+fn5+fn19fX19fH19fHx8fHx8fH19fX18fX59fn7///7+/v39/f39/fz9/f3+/f7//n5+fn59fX18e3x8e3t8fHx8fH19fX5+'
    'fn5+//////9+fn5+fn5+fv9+fn5+/35+/35+/37//35+/////v7+/v7//v/+/v/+////////fn5+fn59fX19fH18fHx8fHx8fXx9fX1+fv///v39/fz8/Pv7+/v7/Pz8/Pz9'
    '/f7+/v//fn5+fn7/fv7//v7+/f39/f39/f39/f39/v7+fn5+fX19fHx8fHx8fHx8fX19fX5+fv////7+/f39/fz9/P39/f39/f7+//9+fn59fXx9fHx9fH19fX19fX1+fn7/'
    '//7//v7+/v39/v39/v7+/v7+//9+fn5+fn1+fX5+fn5+fn1+fn5+fg==', 'base64');
COMMENT ON FUNCTION test_speech() IS
    'two seconds of speech, mu-law of 8 kHz: "one two three four five six", said by flite''s voice slt (internal)';

-- src/admin/endpoint_test.sql
-- Whether an endpoint works: two seconds of speech, sent by a worker as it would send a call, and what came back.

CREATE FUNCTION test_input(OUT call_id text, OUT encoding text, OUT sample_rate integer, OUT audio bytea, OUT content text,
    OUT facts jsonb)
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    call_id := 'test';
    encoding := 's16le';
    sample_rate := 8000;
    audio := mulberry.wav_encode(mulberry.audio_convert(mulberry_internal.test_speech(), 'mulaw', 8000, 's16le', 8000), 's16le', 8000);
    facts := '{}';
END
$$;
COMMENT ON FUNCTION test_input() IS 'what a job of kind test transcribes, as transcription_input() has it';

CREATE FUNCTION finish_test(job bigint, token bigint, status integer, duration_ms integer, answer text, error text)
RETURNS boolean
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    j mulberry_internal.job_queue;
BEGIN
    j := mulberry_internal.leased_job(job, token);
    IF j.id IS NULL THEN
        RETURN false;
    END IF;
    PERFORM mulberry_internal.settle_job(job, 'done', left(error, 1000));
    UPDATE mulberry_internal.job_history h
       SET payload = jsonb_build_object('status', nullif(finish_test.status, 0), 'duration_ms', finish_test.duration_ms,
                                        'answer', left(finish_test.answer, 1000), 'error', left(finish_test.error, 1000))
     WHERE h.id = job;
    RETURN true;
END
$$;
COMMENT ON FUNCTION finish_test(bigint, bigint, integer, integer, text, text) IS
    'ends a job of kind test with what came back; false when the token is no longer the job''s';

CREATE FUNCTION mulberry.start_endpoint_test(name text, tenant text DEFAULT 'default',
    OUT job bigint, OUT seconds double precision)
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner uuid;
    e     mulberry_internal.endpoints;
BEGIN
    PERFORM mulberry_internal.check_texts('name', start_endpoint_test.name);
    IF start_endpoint_test.tenant IS NULL THEN
        PERFORM mulberry_internal.require_access_everywhere('admin');
    ELSE
        owner := mulberry_internal.resolve_tenant(start_endpoint_test.tenant, 'admin');
    END IF;
    SELECT x.* INTO e FROM mulberry_internal.endpoints x
     WHERE x.tenant IS NOT DISTINCT FROM owner AND x.name = start_endpoint_test.name;
    IF NOT FOUND THEN
        PERFORM mulberry_internal.refuse_unknown_endpoint(owner, start_endpoint_test.name);
    END IF;
    IF NOT mulberry_internal.endpoint_serves(e.kind, mulberry.job_purpose('test')) THEN
        RAISE EXCEPTION 'an endpoint of kind % takes no speech', e.kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT mulberry.outbound_allowed() THEN
        RAISE EXCEPTION 'outgoing work of this copy of the database is held'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'resume_outbound() lets it go on.';
    END IF;
    -- the text is for an endpoint that judges one
    job := mulberry_internal.enqueue_job('test',
        coalesce(owner, (SELECT t.id FROM mulberry_internal.tenants t WHERE t.name = 'default')), NULL, e.name,
        jsonb_strip_nulls(jsonb_build_object('endpoint', e.id, 'transcription',
            CASE WHEN e.purpose = mulberry.job_purpose('sentiment') THEN 'Thank you, that was wonderful.' END)));
    seconds := extract(epoch FROM coalesce(e.timeout, current_setting('mulberry.http_timeout')::interval)) + 10;
END
$$;
COMMENT ON FUNCTION mulberry.start_endpoint_test(text, text) IS
    'has a worker send two seconds of speech to an endpoint, whether it is enabled and available or not; returns the job, for '
    'endpoint_test(), and within how many seconds it is over: what test_endpoint() does in one. Needs admin access. Errors: 42704 no such '
    'endpoint, 22023 it is for something else, 55000 outgoing work is held';

CREATE FUNCTION mulberry.endpoint_test(job bigint, cancel boolean DEFAULT false)
RETURNS TABLE (status integer, duration_ms integer, answer text, error text)
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    targets CONSTANT uuid[] := mulberry.current_tenants('admin');
    ended   mulberry_internal.job_history;
BEGIN
    -- Without a lock, which workers would pass by; from here it goes there, and not back.
    PERFORM FROM mulberry_internal.job_queue q WHERE q.id = endpoint_test.job AND q.kind = 'test' AND q.tenant = ANY (targets);
    IF FOUND THEN
        IF cancel THEN
            PERFORM mulberry_internal.settle_job(job, 'cancelled', 'nobody waits for it any more');
        END IF;
        RETURN;
    END IF;
    SELECT h.* INTO ended FROM mulberry_internal.job_history h
     WHERE h.id = endpoint_test.job AND h.kind = 'test' AND h.tenant = ANY (targets);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'test % does not exist', job USING ERRCODE = 'undefined_object';
    END IF;
    RETURN QUERY SELECT (ended.payload->>'status')::integer, (ended.payload->>'duration_ms')::integer, ended.payload->>'answer',
                        CASE WHEN ended.state = 'done' THEN ended.payload->>'error' ELSE coalesce(ended.last_error, ended.state) END;
END
$$;
COMMENT ON FUNCTION mulberry.endpoint_test(bigint, boolean) IS
    'what came back of a start_endpoint_test(): status of HTTP (null: none came), how long it took, what was answered, or the error as '
    'it was; no row: nothing yet. cancel: then it is given up. Needs admin access. Errors: 42704 there is no such test';

CREATE PROCEDURE mulberry.test_endpoint(name text, tenant text DEFAULT 'default', patience interval DEFAULT NULL,
    INOUT status integer DEFAULT NULL, INOUT duration_ms integer DEFAULT NULL, INOUT answer text DEFAULT NULL,
    INOUT error text DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE
    began CONSTANT timestamptz := pg_catalog.clock_timestamp();
    test  record;
    ended boolean;
    most  double precision;
BEGIN
    IF mulberry.in_transaction_block() THEN
        RAISE EXCEPTION 'test_endpoint() cannot run inside a transaction block' USING ERRCODE = 'active_sql_transaction',
            DETAIL = 'A worker sends it, and would never see it.';
    END IF;
    SELECT s.job, s.seconds INTO test FROM mulberry.start_endpoint_test(name, tenant) AS s;
    most := COALESCE(EXTRACT(epoch FROM patience), test.seconds);
    COMMIT;
    LOOP
        SELECT t.status, t.duration_ms, t.answer, t.error INTO status, duration_ms, answer, error
          FROM mulberry.endpoint_test(test.job) AS t;
        ended := FOUND;
        EXIT WHEN ended OR EXTRACT(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) began) OPERATOR(pg_catalog.>) most;
        COMMIT;
        PERFORM pg_catalog.pg_sleep(0.05);
    END LOOP;
    IF NOT ended THEN
        SELECT t.status, t.duration_ms, t.answer, t.error INTO status, duration_ms, answer, error
          FROM mulberry.endpoint_test(test.job, true) AS t;
        ended := FOUND;
    END IF;
    IF NOT ended THEN
        error := pg_catalog.format('no worker has done it within %s s', most);
        RAISE NOTICE '%', error USING HINT = 'stat_workers shows the workers of this database; without them it takes run_jobs() elsewhere.';
    END IF;
END
$$;
COMMENT ON PROCEDURE mulberry.test_endpoint(text, text, interval, integer, integer, text, text) IS
    'sends two seconds of speech ("one two three four five six") to an endpoint, or to one for chat a sentence, through a worker, and '
    'shows what came back: status of HTTP, milliseconds, the answer, or the error as it was. It touches no call, counts for nothing, and '
    'asks an endpoint that is disabled or out as well. Waits for the endpoint''s timeout and ten seconds, or for patience. Not inside a '
    'transaction block (25001). Needs admin access. Errors: as start_endpoint_test()';

-- src/admin/grants.sql
-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE FUNCTION access_rules_admin() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('maintenance', 'EXECUTE', 'admin worker'),
    ('maintenance_due', 'EXECUTE', 'worker'),
    ('test_endpoint', 'EXECUTE', 'admin'),
    ('start_endpoint_test', 'EXECUTE', 'admin'),
    ('endpoint_test', 'EXECUTE', 'admin'),
    ('test_input', 'EXECUTE', 'worker'),
    ('finish_test', 'EXECUTE', 'worker'),
    ('health', 'EXECUTE', 'operator auditor gateway worker monitor'),
    ('resume_outbound', 'EXECUTE', 'admin'),
    ('drop_agent', 'EXECUTE', 'admin'),
    ('voice_key_status', 'SELECT', 'operator auditor'),
    ('voice_key_modes', 'EXECUTE', 'operator auditor')
$$;
COMMENT ON FUNCTION access_rules_admin() IS 'which access needs which object of admin';

-- src/admin/shared_work.sql
-- What shared work had to leave.

CREATE FUNCTION health_set_aside() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    entry record;
    more  bigint;
BEGIN
    SELECT count(*) INTO more FROM mulberry_internal.set_aside s WHERE s.retry_at > clock_timestamp() - interval '10 minutes';
    item := 'shared work';
    status := CASE WHEN more = 0 THEN 'ok' ELSE 'error' END;
    detail := CASE WHEN more = 0 THEN 'nothing is set aside' ELSE format('%s items are set aside', more) END;
    hint := CASE WHEN more > 0 THEN 'Mend or remove what is named; it is tried again by itself, at least once an hour.' END;
    RETURN NEXT;
    FOR entry IN
        SELECT s.*, t.name FROM mulberry_internal.set_aside s LEFT JOIN mulberry_internal.tenants t ON t.id = s.tenant
         WHERE s.retry_at > clock_timestamp() - interval '10 minutes' ORDER BY s.since, s.unit, s.item LIMIT 10
    LOOP
        item := format('set aside by %s', entry.unit);
        status := 'error';
        -- what an error quotes may be another tenant's, or what a monitor is not to see
        detail := format('"%s"%s since %s, %s times', entry.item, coalesce(format(' of tenant "%s"', entry.name), ''), entry.since,
            entry.times)
            || CASE WHEN entry.tenant = ANY (mulberry.current_tenants('operator', 'auditor', 'gateway', 'worker'))
                      OR mulberry.has_access_everywhere('admin')
                    THEN ': ' || entry.error ELSE format(' (SQLSTATE %s)', entry.sqlstate) END;
        hint := CASE entry.unit WHEN 'claiming' THEN format('When it is mended: maintenance tries it again after %s, and '
            'retry_job(%s) at once.', entry.retry_at, entry.item) END;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION health_set_aside() IS 'health of shared work: what it had to set aside, so that the rest could go on';

-- src/admin/health.sql
-- Health.  Each health_...() function answers for one subject; health() calls all
-- of them, so that a part adds its facts by adding such a function.

CREATE FUNCTION is_preloaded() RETURNS boolean
LANGUAGE sql STABLE
RETURN current_setting('shared_preload_libraries') ~ '(^|[,/"[:space:]])mulberry($|[,"[:space:]])';
COMMENT ON FUNCTION is_preloaded() IS 'whether shared_preload_libraries names mulberry (internal)';

CREATE FUNCTION is_listed() RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT quote_ident(current_database()) = ANY (d.names) OR current_database() = ANY (d.names)
      FROM string_to_array(replace(current_setting('mulberry.databases'), ' ', ''), ',') AS d (names)
$$;
COMMENT ON FUNCTION is_listed() IS 'whether mulberry.databases names this database (internal)';

CREATE FUNCTION health_server() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    preloaded boolean := mulberry_internal.is_preloaded();
    listed    boolean := mulberry_internal.is_listed();
    wanted    integer := current_setting('mulberry.workers')::integer;
    usage     double precision := pg_notification_queue_usage();
    version   text := (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'mulberry');
    unfit     text := mulberry_internal.version_hint(version);
    workers   bigint;
    notifiers bigint;
BEGIN
    item := 'version';
    IF unfit IS NULL THEN
        status := 'ok';
        detail := format('library and SQL are %s', version);
    ELSE
        status := 'error';
        detail := format('the library is %s, the SQL of this database %s: workers wait', mulberry_internal.library_version(), version);
        hint := unfit;
    END IF;
    RETURN NEXT;

    item := 'preloaded';
    hint := NULL;
    IF preloaded THEN
        status := 'ok';
        detail := 'mulberry is in shared_preload_libraries';
    ELSE
        status := 'warning';
        detail := 'no workers run: calls are taken, but not transcribed, and events are not announced';
        hint := 'Add mulberry to shared_preload_libraries and restart the server.';
    END IF;
    RETURN NEXT;

    item := 'workers';
    hint := NULL;
    SELECT count(*) FILTER (WHERE a.backend_type = 'mulberry worker'),
           count(*) FILTER (WHERE a.backend_type = 'mulberry notifier')
      INTO workers, notifiers
      FROM pg_stat_activity a
     WHERE a.datname = current_database();
    detail := format('%s of %s workers and %s of 1 notifiers are alive', workers, wanted, notifiers);
    IF pg_is_in_recovery() THEN
        status := 'ok';
        detail := 'this server is a standby; workers start when it is promoted';
    ELSIF NOT preloaded THEN
        status := 'warning';
    ELSIF NOT listed THEN
        status := 'warning';
        hint := format('Add %s to mulberry.databases and reload the server.', current_database());
    ELSIF workers < wanted OR notifiers < 1 THEN
        status := 'error';
        hint := CASE WHEN unfit IS NOT NULL THEN 'They wait until library and SQL are of one version.'
                     ELSE 'The server''s log says why; max_worker_processes may be too small.' END;
    ELSE
        status := 'ok';
    END IF;
    RETURN NEXT;

    item := 'notification queue';
    status := CASE WHEN usage < 0.5 THEN 'ok' WHEN usage < 0.9 THEN 'warning' ELSE 'error' END;
    detail := format('%s %% of the server''s queue is in use', round((100 * usage)::numeric, 1));
    hint := CASE WHEN usage >= 0.5 THEN 'A listening session sits in a long transaction; end it, or commits will fail.' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_server() IS 'health of what the server gives us: preloading, processes, notifications';

CREATE FUNCTION health_access() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    stored  bigint;
    broken  bigint;
    example text;
    worker  text := current_setting('mulberry.worker_role');
    role    pg_roles;
    missing text;
BEGIN
    item := 'secrets';
    BEGIN
        -- no names: who may see health may not see every tenant
        SELECT count(*), count(s.problem), min(s.problem)
          INTO stored, broken, example
          FROM mulberry_internal.check_secrets() s;
        IF broken > 0 THEN
            status := 'error';
            detail := format('%s of %s secrets cannot be read; of one of them, %s', broken, stored, example);
            hint := 'Put the key file that they were stored with where mulberry.secret_key_file says.';
        ELSE
            SELECT count(*), min(w.what)
              INTO broken, example
              FROM (SELECT k.tenant, k.secret AS name, 'a voice key' AS what
                      FROM mulberry_internal.voice_keys k WHERE k.enabled
                    UNION ALL
                    SELECT e.tenant, needed.name, 'an endpoint'
                      FROM mulberry_internal.endpoints e, unnest(ARRAY[e.secret, e.options->>'api_key_secret']) AS needed (name)
                     WHERE needed.name IS NOT NULL) AS w
             WHERE NOT EXISTS (SELECT FROM mulberry_internal.secrets s
                                WHERE s.name = w.name AND (s.tenant = w.tenant OR w.tenant IS NULL));
            status := CASE WHEN broken = 0 THEN 'ok' ELSE 'error' END;
            detail := format('%s secrets can be read', stored)
                      || CASE WHEN broken > 0 THEN format('; %s are missing, as that of %s', broken, example) ELSE '' END;
            hint := CASE WHEN broken > 0
                THEN 'Enter them through mulberry.secret_entry; a voice key cannot be entered again: rotate it.' END;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        status := 'error';
        detail := SQLERRM;
        hint := 'A standby or restored server needs a copy of the key file (mulberry.secret_key_file), owned by the server''s user '
            'with mode 0600.';
    END;
    RETURN NEXT;

    item := 'outgoing work';
    hint := NULL;
    IF mulberry.outbound_allowed() THEN
        status := 'ok';
        detail := 'workers may call and post';
    ELSE
        status := 'warning';
        detail := 'held, because this database is a restored dump or another kind of copy';
        hint := 'When the original is out of service, and jobs that it has done are cancelled: SELECT mulberry.resume_outbound().';
    END IF;
    RETURN NEXT;

    item := 'worker role';
    hint := NULL;
    SELECT * INTO role FROM pg_roles r WHERE r.rolname = worker;
    IF worker = '' THEN
        status := 'warning';
        detail := 'workers run as the owner of the extension';
        hint := 'Make a LOGIN role, say SELECT mulberry.grant_access(role, ''worker'', NULL), and set mulberry.worker_role to it.';
    ELSIF role.rolname IS NULL THEN
        status := 'error';
        detail := format('mulberry.worker_role is "%s", and there is no such role', worker);
    ELSIF NOT role.rolcanlogin THEN
        status := 'error';
        detail := format('role "%s" may not log in', worker);
    ELSE
        SELECT CASE WHEN NOT EXISTS (SELECT FROM mulberry_internal.members m
                                      WHERE m.access = 'worker' AND pg_has_role(role.oid, m.role, 'USAGE'))
                    THEN format('worker access in database "%s": workers wait', current_database())
                    ELSE (SELECT CASE WHEN count(*) = 1 THEN min(lack.what)
                                      ELSE format('%s rights that workers need, among them %s', count(*), min(lack.what)) END
                            FROM (SELECT format('%s on %s', o.privilege, o.object) AS what
                                    FROM mulberry.access_objects() o
                                   WHERE o.access = 'worker'
                                     AND NOT mulberry_internal.has_object_privilege(role.rolname, o.privilege, o.object)) AS lack
                          HAVING count(*) > 0) END
          INTO missing;
        IF missing IS NOT NULL THEN
            status := 'error';
            detail := format('role "%s" lacks %s', worker, missing);
            hint := format('SELECT mulberry.grant_access(%L, ''worker'', NULL);', worker);
        ELSIF role.rolsuper THEN
            status := 'warning';
            detail := format('role "%s" is a superuser', worker);
            hint := 'Workers need a LOGIN role with worker access and nothing else.';
        ELSE
            status := 'ok';
            detail := format('role "%s" has what workers need', worker);
        END IF;
    END IF;
    RETURN NEXT;

    item := 'members';
    hint := NULL;
    IF NOT EXISTS (SELECT FROM mulberry_internal.members) AND EXISTS (SELECT FROM mulberry_internal.calls) THEN
        status := 'warning';
        detail := 'there are calls, and nobody has access to anything: if this is a restored dump, the rows of members were lost';
        hint := 'Restore mulberry_internal.members again, where the roles exist, or give access anew: SELECT mulberry.grant_access(...).';
        RETURN NEXT;
        hint := NULL;
    END IF;
    SELECT string_agg(m.role::text, ', ') INTO missing
      FROM mulberry_internal.members m WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = m.role);
    IF missing IS NOT NULL THEN
        status := 'warning';
        detail := format('access was given to roles that have been dropped: %s', missing);
        hint := 'The next grant_access() forgets them.';
        RETURN NEXT;
    END IF;
    SELECT count(DISTINCT (o.privilege, o.object, r.rolname)), min(format('%s on %s to %s', o.privilege, o.object, r.rolname))
      INTO broken, example
      FROM mulberry_internal.members m
      JOIN pg_roles r ON r.oid = m.role
      JOIN mulberry.access_objects() o ON o.access = m.access
     WHERE NOT mulberry_internal.has_object_privilege(r.rolname, o.privilege, o.object);
    IF broken = 0 THEN
        status := 'ok';
        detail := 'every member has the rights that its access needs';
    ELSE
        status := 'error';
        detail := format('missing are %s rights of members, as %s', broken, example);
        hint := 'SELECT mulberry.refresh_grants();';
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_access() IS 'health of secrets, outgoing work, the workers'' role and members';

CREATE FUNCTION has_object_privilege(role name, privilege text, object text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT CASE
               WHEN object ~ '^SCHEMA ' THEN has_schema_privilege(role, substr(object, 8), privilege)
               WHEN object ~ '^(FUNCTION|PROCEDURE) '
                   THEN (SELECT bool_or(has_function_privilege(role, p.oid, privilege))
                           FROM pg_proc p
                           JOIN pg_namespace s ON s.oid = p.pronamespace AND s.nspname IN ('mulberry', 'mulberry_internal')
                          WHERE object = format('%s %I.%I(%s)', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
                                                s.nspname, p.proname, pg_get_function_identity_arguments(p.oid)))
               ELSE has_table_privilege(role, object, privilege)
           END
$$;
COMMENT ON FUNCTION has_object_privilege(name, text, text) IS 'whether a role has a right that access_objects() lists';

CREATE FUNCTION health_calls() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    today   bigint := floor(extract(epoch FROM clock_timestamp()) / 86400);
    ahead   integer := current_setting('mulberry.partitions_ahead')::integer;
    missing bigint;
    kept    interval;
    oldest  timestamptz;
    young   CONSTANT interval := interval '10 minutes';
    slots   CONSTANT integer := current_setting('max_connections')::integer + current_setting('max_prepared_transactions')::integer;
    room    CONSTANT integer := slots * current_setting('max_locks_per_transaction')::integer;
    batch   CONSTANT integer := current_setting('mulberry.max_batch_calls')::integer;
BEGIN
    item := 'partitions';
    SELECT count(*) INTO missing
      FROM generate_series(today, today + ahead) AS day
     WHERE NOT EXISTS (
               SELECT FROM pg_inherits i
                 JOIN pg_class c ON c.oid = i.inhrelid,
                      regexp_match(pg_get_expr(c.relpartbound, c.oid), E'\\(''?([0-9]+)''?\\) TO \\(''?([0-9]+)''?\\)') AS bound
                WHERE i.inhparent = 'mulberry_internal.packets'::regclass
                  AND bound[1]::bigint <= day << 40 AND bound[2]::bigint > day << 40);
    detail := format('%s of the partitions for today and the next %s days are missing', missing, ahead);
    IF missing = 0 THEN
        status := 'ok';
    ELSIF mulberry_internal.is_preloaded() AND mulberry_internal.is_listed()
          AND EXISTS (SELECT FROM mulberry_internal.installation i WHERE i.since > clock_timestamp() - young) THEN
        status := 'ok';
        detail := detail || ': this installation is new, and its workers are about to make them';
    ELSE
        status := CASE WHEN pg_is_in_recovery() THEN 'ok' ELSE 'warning' END;
        hint := 'Workers make them; without workers, call mulberry.maintenance() daily. A call''s first packet makes its day''s.';
    END IF;
    RETURN NEXT;

    -- a transaction takes a lock for each call that it changes, and no more than the largest batch
    item := 'lock table';
    hint := NULL;
    detail := format('room for %s locks; a batch may take %s (mulberry.max_batch_calls), and a transaction no more', room, batch);
    IF room >= 16 * batch THEN
        status := 'ok';
    ELSE
        status := 'warning';
        hint := format('For 16 such batches at once set max_locks_per_transaction = %s and restart, or lower mulberry.max_batch_calls.',
                       ceil(16.0 * batch / slots));
    END IF;
    RETURN NEXT;

    item := 'retention';
    hint := NULL;
    kept := nullif(current_setting('mulberry.retention'), '')::interval;
    SELECT min(c.finished_at) INTO oldest
      FROM mulberry_internal.calls c
      JOIN mulberry_internal.tenants t ON t.id = c.tenant
     WHERE c.finished_at < clock_timestamp() - coalesce(t.retention, kept) - interval '2 days';
    IF oldest IS NOT NULL THEN
        status := 'warning';
        detail := format('calls that finished at %s are still here', oldest);
        hint := 'Workers apply retention; without workers, call mulberry.maintenance() daily.';
    ELSE
        status := 'ok';
        detail := format('finished calls are kept for %s, unless their tenant says otherwise', coalesce(kept::text, 'ever'));
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_calls() IS 'health of the storage of calls: partitions made ahead, retention';

CREATE FUNCTION health_audit() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    late bigint;
BEGIN
    item := 'audit log';
    SELECT count(*) INTO late
      FROM mulberry_internal.audit a
     WHERE a.seq IS NULL AND a.at < clock_timestamp() - interval '1 minute';
    IF late = 0 OR pg_is_in_recovery() THEN
        status := 'ok';
        detail := 'every row that is older than a minute is linked';
    ELSE
        status := 'warning';
        detail := format('%s rows that are older than a minute are not linked', late);
        hint := 'The notifier links them; without one, maintenance() and verify_audit() do. The server''s log says when it fails.';
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_audit() IS 'health of the audit log: whether it is linked';

CREATE FUNCTION mulberry.health() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    subject name;
BEGIN
    -- a session that has not called C before does not know our settings
    PERFORM mulberry.outbound_allowed();
    FOR subject IN
        SELECT p.proname FROM pg_proc p
         WHERE p.pronamespace = 'mulberry_internal'::regnamespace AND p.proname ~ '^health_' AND p.pronargs = 0
         ORDER BY array_position(ARRAY['health_server', 'health_access'], p.proname::text), p.proname
    LOOP
        BEGIN
            RETURN QUERY EXECUTE format('SELECT item, status, detail, hint FROM mulberry_internal.%I()', subject);
        EXCEPTION WHEN OTHERS THEN
            -- one broken check must not hide what the others have to say
            item := replace(substr(subject, 8), '_', ' ');
            status := 'error';
            detail := format('the check itself failed: %s', SQLERRM);
            hint := NULL;
            RETURN NEXT;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mulberry.health() IS
    'whether everything works: one row an item with status ok, warning or error, and what to do about it';

-- src/install/close.sql
-- What ends every install and every update: the rules that hold for all objects, those that an
-- update adds as well.  Only what lacks them is touched, because the rights that an object has after
-- an ALTER inside a script count as the extension's own from then on, and pg_dump leaves them out:
-- members would lose theirs by a restore. Partitions of packets, which are no members of the extension,
-- get their row security when they are made and have no rights of their own.

-- The second barrier.  There are no policies: who is granted a table by mistake
-- sees nothing of it, not even rows of the own tenant that the access does not
-- cover.  (And pg_dump before 15.6 writes policies that a script makes, so that
-- the restored copy would make them twice.)
DO $$
DECLARE
    target record;
BEGIN
    FOR target IN
        SELECT c.oid::regclass AS name
          FROM pg_class c
         WHERE c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
           AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT c.relrowsecurity
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target.name);
    END LOOP;
END
$$;

-- Nothing is for everybody: grant_access() decides.
DO $$
DECLARE
    target record;
BEGIN
    FOR target IN
        SELECT o.object
          FROM (
            SELECT format('%s %s', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, p.oid::regprocedure) AS object,
                   p.pronamespace AS namespace, p.proacl AS acl
              FROM pg_proc p
            UNION ALL
            SELECT format('%s %s', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass),
                   c.relnamespace, c.relacl
              FROM pg_class c
             WHERE c.relkind IN ('r', 'p', 'v', 'S') AND NOT c.relispartition
            UNION ALL
            SELECT format('TYPE %s', t.oid::regtype), t.typnamespace, t.typacl
              FROM pg_type t
             WHERE NOT (t.typcategory = 'A' AND t.typelem <> 0)
               -- row types of tables follow their tables
               AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
            UNION ALL
            SELECT format('SCHEMA %s', n.nspname), n.oid, n.nspacl
              FROM pg_namespace n
          ) AS o
         WHERE o.namespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
           AND (o.acl IS NULL OR EXISTS (SELECT FROM aclexplode(o.acl) a WHERE a.grantee = 0))
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', target.object);
    END LOOP;
END
$$;

