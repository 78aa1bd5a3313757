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
    OUT shared boolean, OUT refused text[])
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
    new_route := mulberry_internal.job_route(j.kind, j.tenant, j.call, j.endpoint);
    IF new_route IS DISTINCT FROM j.route THEN
        UPDATE mulberry_internal.job_queue q
           SET route = new_route, state = 'queued', run_at = clock_timestamp(), attempts = q.attempts - 1
         WHERE q.id = job;
        RETURN;
    END IF;
    IF j.call IS NOT NULL AND NOT mulberry_internal.start_processing(j.call) THEN
        PERFORM mulberry_internal.settle_job(job, 'cancelled', 'the call is gone, or has been processed');
        RETURN;
    END IF;
    ready := true;
    IF j.route > 0 THEN
        SELECT * INTO STRICT e FROM mulberry_internal.endpoints x WHERE x.id = j.route;
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
        refused := (SELECT s.refused FROM mulberry_internal.endpoint_state s WHERE s.endpoint = e.id);
    END IF;
END
$$;
COMMENT ON FUNCTION prepare_job(bigint, bigint) IS
    'begins work on a claimed job: moves its call to PROCESSING_AI and names the endpoint; ready is false when there is nothing to do '
    'for the one who holds this token, or the call is busy';

CREATE OR REPLACE FUNCTION fail_attempt(job bigint, token bigint, failure text, error text,
                             retry_after interval DEFAULT NULL, at timestamptz DEFAULT clock_timestamp())
RETURNS text
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    -- An endpoint that asks to come back later for ever must not keep a job alive for ever.
    max_deferrals CONSTANT integer := 100;
    longest_pause CONSTANT interval := interval '1 minute';
    first_delay   CONSTANT interval := current_setting('mulberry.ai_retry_delay')::interval;
    j             mulberry_internal.job_queue;
    breaker       timestamptz;
    delay         interval;
    counts        boolean := true;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    error := left(error, 1000);
    PERFORM mulberry_internal.lock_telephony_job(job);
    j := mulberry_internal.leased_job(job, token);
    IF j.id IS NULL THEN
        RETURN 'stale';
    END IF;
    SELECT s.retry_at INTO breaker FROM mulberry_internal.endpoint_state s
     WHERE s.endpoint = j.route AND s.state <> 'closed';

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
        WHEN 'unreachable' THEN
            counts := false;
            delay := first_delay;
        WHEN 'transient' THEN
            IF j.deferrals < max_deferrals THEN
                IF retry_after IS NOT NULL THEN
                    counts := false;
                    delay := greatest(least(retry_after, '1 hour'), first_delay);
                ELSIF breaker IS NOT NULL THEN
                    -- An outage does not use up attempts.  The job goes behind the
                    -- others, so that it is not the next probe again.
                    counts := false;
                    delay := greatest(breaker - at, '0') + first_delay;
                END IF;
            END IF;
            IF counts THEN
                delay := CASE WHEN j.attempts >= j.max_attempts THEN NULL
                              -- a person shall hear of it, if later
                              WHEN (mulberry_internal.job_kind(j.kind)).persistent
                                  THEN least(first_delay * 2 ^ least(j.attempts, 16), '5 minutes')
                              ELSE mulberry_internal.retry_delay(j.attempts, first_delay) END;
            END IF;
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
            CASE failure WHEN 'permanent' THEN 'AI service failed: ' ELSE 'AI service failed after maximum retries: ' END
            || error);
        RETURN 'dead';
    END IF;
    UPDATE mulberry_internal.job_queue q
       SET state = 'queued', run_at = at + delay, last_error = error, worker = NULL,
           attempts = q.attempts - (NOT counts)::integer, deferrals = q.deferrals + (NOT counts)::integer
     WHERE q.id = job;
    RETURN CASE WHEN counts THEN 'retry' ELSE 'deferred' END;
END
$$;
COMMENT ON FUNCTION fail_attempt(bigint, bigint, text, text, interval, timestamptz) IS
    'ends an attempt that failed (transient, limited, permanent, unreachable, blocked, abandoned): retry, deferred (tried again '
    'without counting), dead, or stale when the token is no longer the job''s';

CREATE OR REPLACE FUNCTION release_jobs(worker integer) RETURNS integer
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    routes bigint[];
BEGIN
    WITH released AS (
        UPDATE mulberry_internal.job_queue q
           SET state = 'queued', run_at = clock_timestamp(), attempts = q.attempts - 1, deferrals = q.deferrals + 1,
               worker = NULL
         WHERE q.state = 'running' AND q.worker = release_jobs.worker
     RETURNING q.route
    )
    SELECT array_agg(r.route) INTO routes FROM released r;
    -- A probe that will not be answered.
    UPDATE mulberry_internal.endpoint_state s SET state = 'open', retry_at = clock_timestamp()
     WHERE s.state = 'half_open' AND s.endpoint = ANY (routes);
    RETURN coalesce(cardinality(routes), 0);
END
$$;
COMMENT ON FUNCTION release_jobs(integer) IS
    'puts back, uncounted, what the process with this pid has claimed and not finished; returns how many';

CREATE OR REPLACE FUNCTION report_endpoint(endpoint bigint, available boolean, probe boolean, error text DEFAULT NULL,
                                at timestamptz DEFAULT clock_timestamp()) RETURNS text
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    e       mulberry_internal.endpoints;
    s       mulberry_internal.endpoint_state;
    changed text;
BEGIN
    SELECT x.* INTO e FROM mulberry_internal.endpoints x WHERE x.id = report_endpoint.endpoint;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    error := left(error, 1000);
    IF NOT available THEN
        INSERT INTO mulberry_internal.endpoint_state (endpoint, state, changed_at)
        VALUES (e.id, 'closed', at) ON CONFLICT DO NOTHING;
    END IF;
    SELECT x.* INTO s FROM mulberry_internal.endpoint_state x WHERE x.endpoint = e.id FOR UPDATE;
    IF available AND s.state <> 'closed' AND probe THEN
        UPDATE mulberry_internal.endpoint_state x
           SET state = 'closed', openings = 0, retry_at = NULL, changed_at = at
         WHERE x.endpoint = e.id;
        changed := 'endpoint_available';
    ELSIF available IS NULL THEN
        UPDATE mulberry_internal.endpoint_state x SET state = 'open', retry_at = at
         WHERE x.endpoint = e.id AND x.state = 'half_open' AND probe;
    ELSIF NOT available AND (s.state = 'closed' OR (s.state = 'half_open' AND probe)) THEN
        UPDATE mulberry_internal.endpoint_state x
           SET state = 'open', openings = x.openings + 1, last_error = error, changed_at = at,
               retry_at = at + least(interval '1 second' * 2 ^ least(x.openings, 10), interval '60 seconds')
         WHERE x.endpoint = e.id;
        IF s.state = 'closed' THEN
            changed := 'endpoint_unavailable';
        END IF;
    END IF;
    IF changed IS NOT NULL THEN
        PERFORM mulberry_internal.emit_event(
            coalesce(e.tenant, (SELECT t.id FROM mulberry_internal.tenants t WHERE t.name = 'default')),
            changed, NULL, NULL,
            jsonb_strip_nulls(jsonb_build_object('endpoint', e.name, 'error', CASE WHEN NOT available THEN error END)));
        RAISE LOG 'mulberry: endpoint "%" is %', e.name,
            CASE WHEN available THEN 'available again' ELSE 'unavailable: ' || coalesce(error, '') END;
    END IF;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION report_endpoint(bigint, boolean, boolean, text, timestamptz) IS
    'what a worker learnt of an endpoint: opens its breaker, keeps it open after a probe, or closes it after one; available null: a '
    'probe was not sent after all. Returns the event that this was, if any';

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
