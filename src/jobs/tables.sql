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
-- The same engine for live conversations, whom gateways ask.
INSERT INTO endpoints (tenant, name, kind, base_url, purpose, timeout, allow_http, allow_private, seeded)
VALUES (NULL, 'mulberry-listen', 'deepgram', 'http://127.0.0.1:8771/v1', 'listen', '2 seconds', true, true, true),
       (NULL, 'mulberry-speak', 'openai', 'http://127.0.0.1:8771/v1', 'speak', '2 seconds', true, true, true);

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
