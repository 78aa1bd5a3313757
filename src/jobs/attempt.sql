CREATE OR REPLACE TRIGGER guard_state AFTER UPDATE ON endpoint_state
    FOR EACH ROW WHEN (old.state <> new.state) EXECUTE FUNCTION guard_state();

-- The fence of a lease: whoever has lost his has no say in the job any more.
CREATE OR REPLACE FUNCTION leased_job(job bigint, token bigint) RETURNS mulberry_internal.job_queue
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

CREATE OR REPLACE FUNCTION defer_job(job bigint, token bigint, reason text) RETURNS void
LANGUAGE sql
AS $$
    UPDATE mulberry_internal.job_queue q
       SET state = 'queued', run_at = clock_timestamp() + interval '1 second' * least(q.deferrals + 1, 10), worker = NULL,
           attempts = q.attempts - 1, deferrals = q.deferrals + 1, last_error = coalesce(q.last_error, $3)
     WHERE q.id = (SELECT j.id FROM mulberry_internal.leased_job($1, $2) j)
$$;
COMMENT ON FUNCTION defer_job(bigint, bigint, text) IS
    'puts a job back for some seconds, uncounted, because somebody has locked what it is about (internal)';

CREATE OR REPLACE FUNCTION prepare_job(job bigint, token bigint,
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

CREATE OR REPLACE FUNCTION attempts_needed(max_attempts integer, others_failing double precision) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN others_failing <= 0 THEN max_attempts
            WHEN others_failing >= 0.5 THEN greatest(max_attempts, 20)
            ELSE greatest(max_attempts, ceil(ln(1e-6) / ln(others_failing))::integer) END;
COMMENT ON FUNCTION attempts_needed(integer, double precision) IS
    'how often a job is tried: max_attempts, or where a share of the other jobs'' requests fails as well so often that chance fails one '
    'job in a million, at most 20 times (internal)';

CREATE OR REPLACE FUNCTION fail_attempt(job bigint, token bigint, failure text, error text,
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
            -- It goes behind the others, so that it is not the next probe again.  While one asks, retry_at is until when it may.
            delay := delay + CASE WHEN breaker.state = 'open' THEN greatest(breaker.retry_at - at, '0') ELSE '0' END;
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

CREATE OR REPLACE FUNCTION release_jobs(worker integer) RETURNS integer
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

CREATE OR REPLACE FUNCTION note_objections(endpoint bigint, refused text[]) RETURNS void
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

CREATE OR REPLACE FUNCTION note_division(job bigint, token bigint, parts integer, part_bytes bigint, done integer) RETURNS void
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

CREATE OR REPLACE FUNCTION save_progress(job bigint, token bigint, progress jsonb) RETURNS void
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
