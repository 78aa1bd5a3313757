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

CREATE FUNCTION emit_event(tenant uuid, event text, call bigint, call_id text, payload jsonb) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mulberry_emit_event';
COMMENT ON FUNCTION emit_event(uuid, text, bigint, text, jsonb) IS
    'internal: stores an event in the current transaction; call and call_id may be null';

-- events: end

-- ---------------------------------------------------------------------------
-- jobs and endpoints: begin
-- ---------------------------------------------------------------------------

CREATE SEQUENCE endpoint_id;
COMMENT ON SEQUENCE endpoint_id IS 'endpoints.id';
SELECT pg_catalog.pg_extension_config_dump('endpoint_id', '');

CREATE TABLE endpoints (
    id              bigint PRIMARY KEY DEFAULT nextval('endpoint_id'),
    tenant          uuid REFERENCES tenants (id),
    name            text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,62}$'),
    kind            text NOT NULL CHECK (kind IN ('openai', 'json')),
    base_url        text NOT NULL,
    purpose         text CHECK (purpose IN ('transcription', 'chat')),
    model           text,
    options         jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(options) = 'object'),
    secret          text,
    timeout         interval CHECK (timeout BETWEEN '100 ms' AND '1 hour'),
    max_concurrency integer CHECK (max_concurrency > 0),
    allow_http      boolean NOT NULL DEFAULT false,
    allow_private   boolean NOT NULL DEFAULT false,
    enabled         boolean NOT NULL DEFAULT true,
    seeded          boolean NOT NULL DEFAULT false,
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (tenant, name),
    CHECK (kind = 'openai' OR purpose IS DISTINCT FROM 'chat')
);
CREATE UNIQUE INDEX endpoints_purpose ON endpoints (tenant, purpose) NULLS NOT DISTINCT
    WHERE purpose IS NOT NULL;
COMMENT ON TABLE endpoints IS 'services that workers may talk to; jobs name one of these rows, never a URL';
COMMENT ON COLUMN endpoints.tenant IS 'whose it is; null: serves every tenant that has none of its own for the purpose';
COMMENT ON COLUMN endpoints.kind IS 'form of the requests: openai (audio/transcriptions, chat/completions), json (one POST with the audio, one JSON answer)';
COMMENT ON COLUMN endpoints.purpose IS 'what it serves unless a job names another; null: only jobs that name it';
COMMENT ON COLUMN endpoints.secret IS 'name of the secret that is sent as bearer token; of the endpoint''s tenant, for an endpoint of all tenants the job''s tenant''s own or else that of tenant "default"';
COMMENT ON COLUMN endpoints.timeout IS 'longest duration of one attempt; null: mulberry.http_timeout';
COMMENT ON COLUMN endpoints.max_concurrency IS 'requests under way at once, all workers of the database together; null: no limit';
COMMENT ON COLUMN endpoints.enabled IS 'false: its jobs wait';
COMMENT ON COLUMN endpoints.seeded IS 'true: as the install script made it, so that dumps leave it out';
ALTER TABLE endpoints ENABLE ROW LEVEL SECURITY;
SELECT pg_catalog.pg_extension_config_dump('endpoints', 'WHERE NOT seeded');

-- The speech engine that comes with Mulberry, on the same host.  It is an
-- ordinary row: set_endpoint() changes it, and then dumps carry it.
INSERT INTO endpoints (tenant, name, kind, base_url, purpose, model, allow_http, allow_private, seeded)
VALUES (NULL, 'mulberry-speech', 'openai', 'http://127.0.0.1:8771/v1', 'transcription',
        'pocketsphinx-en-us', true, true, true);

CREATE FUNCTION replace_seeded_endpoint() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, mulberry, pg_temp
AS $$
BEGIN
    IF NOT new.seeded THEN
        DELETE FROM mulberry.endpoints e
         WHERE e.seeded AND e.tenant IS NOT DISTINCT FROM new.tenant
           AND (e.name = new.name OR e.purpose = new.purpose);
    END IF;
    RETURN new;
END
$$;
COMMENT ON FUNCTION replace_seeded_endpoint() IS 'trigger: an endpoint of the same name or purpose takes the place of the one that the install script made, in a restored dump as well';
CREATE TRIGGER replace_seeded BEFORE INSERT ON endpoints
    FOR EACH ROW EXECUTE FUNCTION replace_seeded_endpoint();

-- A job that is queued, or runs under a lease.  Finished jobs move to
-- job_history in the transaction that finishes them, so that this table and its
-- claim index stay small.
CREATE SEQUENCE job_id;
COMMENT ON SEQUENCE job_id IS 'job_queue.id';
SELECT pg_catalog.pg_extension_config_dump('job_id', '');

CREATE TABLE job_queue (
    id           bigint PRIMARY KEY DEFAULT nextval('job_id'),
    kind         text NOT NULL CHECK (kind IN ('transcribe', 'sentiment')),
    tenant       uuid NOT NULL REFERENCES tenants (id),
    call         bigint,
    endpoint     text,
    route        bigint,
    payload      jsonb,
    state        text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running')),
    run_at       timestamptz NOT NULL,
    attempts     integer NOT NULL DEFAULT 0,
    deferrals    integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL CHECK (max_attempts > 0),
    lease_token  bigint NOT NULL DEFAULT 0,
    worker       integer,
    last_error   text,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at   timestamptz
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200,
        autovacuum_analyze_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX job_queue_claim ON job_queue (route, run_at);
CREATE INDEX job_queue_call ON job_queue (call);
COMMENT ON TABLE job_queue IS 'work that is not finished: queued, or running under a lease';
COMMENT ON COLUMN job_queue.endpoint IS 'name of the endpoint that must serve it; null: the one of the tenant for the kind''s purpose';
COMMENT ON COLUMN job_queue.route IS 'endpoints.id that endpoint, tenant and kind resolve to; 0: needs no endpoint; null: none is configured, the job waits';
COMMENT ON COLUMN job_queue.run_at IS 'when a worker may claim it: its due time or, while it runs, the end of the lease';
COMMENT ON COLUMN job_queue.attempts IS 'attempts begun that count against max_attempts';
COMMENT ON COLUMN job_queue.deferrals IS 'attempts that did not count: the endpoint asked to come back later or could not be reached, or the worker was stopped';
COMMENT ON COLUMN job_queue.lease_token IS 'fencing token: grows with each claim; a result is taken only with the token of the last claim';
COMMENT ON COLUMN job_queue.worker IS 'pid of the process that holds the lease';
ALTER TABLE job_queue ENABLE ROW LEVEL SECURITY;
SELECT pg_catalog.pg_extension_config_dump('job_queue', '');

CREATE TABLE job_history (
    id           bigint PRIMARY KEY,
    kind         text NOT NULL,
    tenant       uuid NOT NULL REFERENCES tenants (id),
    call         bigint,
    endpoint     text,
    payload      jsonb,
    state        text NOT NULL CHECK (state IN ('done', 'dead', 'cancelled')),
    attempts     integer NOT NULL,
    deferrals    integer NOT NULL,
    max_attempts integer NOT NULL,
    lease_token  bigint NOT NULL,
    last_error   text,
    created_at   timestamptz NOT NULL,
    started_at   timestamptz,
    finished_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX job_history_finished ON job_history (finished_at);
CREATE INDEX job_history_call ON job_history (call);
CREATE INDEX job_history_dead ON job_history (finished_at) WHERE state = 'dead';
COMMENT ON TABLE job_history IS 'finished jobs: done, dead (given up; retry_job() queues it again) or cancelled';
COMMENT ON COLUMN job_history.payload IS 'kept for dead jobs, which may be tried again';
ALTER TABLE job_history ENABLE ROW LEVEL SECURITY;
SELECT pg_catalog.pg_extension_config_dump('job_history', '');

CREATE FUNCTION job_purpose(kind text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE kind WHEN 'transcribe' THEN 'transcription' WHEN 'sentiment' THEN 'chat' END;
COMMENT ON FUNCTION job_purpose(text) IS 'purpose of the endpoints that serve a kind of job';

CREATE FUNCTION endpoint_for(tenant uuid, purpose text, name text DEFAULT NULL) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, mulberry, pg_temp
AS $$
    SELECT e.id
      FROM mulberry.endpoints e
     WHERE (e.tenant = $1 OR e.tenant IS NULL)
       AND CASE WHEN $3 IS NULL THEN e.purpose = $2 ELSE e.name = $3 END
     ORDER BY e.tenant NULLS LAST
     LIMIT 1
$$;
COMMENT ON FUNCTION endpoint_for(uuid, text, text) IS 'id of the endpoint that serves a tenant: by name, or by purpose; the tenant''s own before one of all tenants; null: there is none';

CREATE FUNCTION job_route(kind text, tenant uuid, call bigint, endpoint text) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, mulberry, pg_temp
AS $$
DECLARE
    found_id bigint := mulberry.endpoint_for(tenant, mulberry.job_purpose(kind), endpoint);
BEGIN
    -- The transcript of a text call is its text: only a service of kind json wants to see it.
    IF kind = 'transcribe'
       AND EXISTS (SELECT FROM mulberry.calls c WHERE c.id = job_route.call AND c.encoding = 'text')
       AND NOT EXISTS (SELECT FROM mulberry.endpoints e WHERE e.id = found_id AND e.kind = 'json')
    THEN
        RETURN 0;
    END IF;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION job_route(text, uuid, bigint, text) IS 'job_queue.route of a job: id of the endpoint that serves it, 0 when it needs none, null when there is none';

CREATE FUNCTION enqueue_job(kind text, tenant uuid, call bigint DEFAULT NULL, endpoint text DEFAULT NULL,
                            payload jsonb DEFAULT NULL, run_at timestamptz DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'mulberry_sql_enqueue_job';
COMMENT ON FUNCTION enqueue_job(text, uuid, bigint, text, jsonb, timestamptz) IS 'puts a job into the queue and wakes the workers after commit; run_at null: now; returns its id (internal)';

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
