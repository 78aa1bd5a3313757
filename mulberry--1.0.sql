-- Mulberry: the SQL objects of the extension, written by hand.
--
-- Sections follow the data: tenants and access, calls and packets, events,
-- jobs and endpoints, audio, administration.  Rules for every section:
--
--  * A table belongs to the owner of the extension; nobody else gets DML on it.
--    Users get EXECUTE on functions and SELECT on views, through
--    grant_access() only; the last statement of this file takes everything
--    from PUBLIC.
--  * Views and functions filter by current_tenants() themselves, because row
--    level security does nothing for the usual owner, a superuser.  Row level
--    security is the second barrier: every table that carries a tenant has it.
--  * SECURITY DEFINER functions pin search_path to pg_catalog, mulberry, pg_temp.
--  * Every table and sequence is registered with pg_extension_config_dump.
--  * Every object carries a COMMENT.

\echo Use "CREATE EXTENSION mulberry" to load this file. \quit

-- ---------------------------------------------------------------------------
-- tenants and access: begin
-- ---------------------------------------------------------------------------

CREATE TABLE tenants (
    id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name                text NOT NULL UNIQUE
                        CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,62}$'),
    default_encoding    text NOT NULL DEFAULT 's16le'
                        CHECK (default_encoding IN ('mulaw', 'alaw', 's16le', 'text')),
    default_sample_rate integer NOT NULL DEFAULT 16000
                        CHECK (default_sample_rate IN (8000, 16000, 44100, 48000)),
    retention           interval CHECK (retention > '0'),
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE tenants IS 'who owns calls, endpoints and secrets; "default" exists from the start';
COMMENT ON COLUMN tenants.retention IS 'how long finished calls are kept; null: mulberry.retention';

-- The default tenant's id is a constant, so that dumps restore onto it.
INSERT INTO tenants (id, name) VALUES ('6d756c62-6572-7279-8000-000000000001', 'default');
SELECT pg_catalog.pg_extension_config_dump('tenants',
    'WHERE id <> ''6d756c62-6572-7279-8000-000000000001''');

-- tenants and access: end

-- ---------------------------------------------------------------------------
-- calls and packets: begin
-- ---------------------------------------------------------------------------

-- The number in the low 40 bits of a call's id; see calls.id.
CREATE SEQUENCE call_number;
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
    expected_total_packets integer CHECK (expected_total_packets > 0),
    missing_count          bigint NOT NULL DEFAULT 0 CHECK (missing_count >= 0),
    created_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at           timestamptz,
    grace_until            timestamptz,
    finished_at            timestamptz,
    transcription          text,
    sentiment              text CHECK (sentiment IN ('positive', 'neutral', 'negative')),
    confidence             double precision CHECK (confidence BETWEEN 0 AND 1),
    ai_result              jsonb,
    failure_reason         text,
    UNIQUE (tenant, call_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE calls IS 'one row a call; a packet in order does not touch it';
COMMENT ON COLUMN calls.id IS 'UTC day the call began (days since 1970-01-01) << 40 | call_number: names the partition of its packets; never leaves the server';
COMMENT ON COLUMN calls.missing_count IS 'how many sequences lie in the gaps of this call; changes with them, under the call lock';
COMMENT ON COLUMN calls.ai_result IS 'what the engines said beyond text and sentiment, and what was missing when they were asked: {"missing_packets", "missing_sequences", "endpoint", "model", "attempts", …}';
SELECT pg_catalog.pg_extension_config_dump('calls', '');

CREATE TABLE gaps (
    call  bigint NOT NULL,
    first integer NOT NULL CHECK (first >= 0),
    last  integer NOT NULL CHECK (last >= first),
    PRIMARY KEY (call, first)
) WITH (fillfactor = 70);
COMMENT ON TABLE gaps IS 'sequences first..last (both included) of a call that have not arrived although a later one has';
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
SELECT pg_catalog.pg_extension_config_dump('packets', '');

-- calls and packets: end

-- ---------------------------------------------------------------------------
-- events: begin
-- ---------------------------------------------------------------------------

CREATE TABLE events (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant     uuid NOT NULL REFERENCES tenants (id),
    seq        bigint,
    event      text NOT NULL,
    call       bigint,
    call_id    text,
    payload    jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (tenant, seq)
);
COMMENT ON TABLE events IS 'events worth keeping, written by the transaction that causes them and numbered after its commit';
COMMENT ON COLUMN events.seq IS 'number within the tenant, without gaps; null until number_events() has seen the row';

-- events: end

-- ---------------------------------------------------------------------------
-- jobs and endpoints: begin
-- ---------------------------------------------------------------------------

-- jobs and endpoints: end

-- ---------------------------------------------------------------------------
-- audio: begin
-- ---------------------------------------------------------------------------

-- audio: end

-- ---------------------------------------------------------------------------
-- administration: begin
-- ---------------------------------------------------------------------------

-- administration: end

-- Nothing is for everybody: grant_access() decides.
DO $$
DECLARE
    target record;
BEGIN
    FOR target IN
        SELECT format('%s %s', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
                      p.oid::regprocedure) AS object
          FROM pg_proc p
         WHERE p.pronamespace = 'mulberry'::regnamespace
        UNION ALL
        SELECT format('%s %s', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass)
          FROM pg_class c
         WHERE c.relnamespace = 'mulberry'::regnamespace
           AND c.relkind IN ('r', 'p', 'v', 'S')
        UNION ALL
        SELECT 'SCHEMA mulberry'
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', target.object);
    END LOOP;
END
$$;
