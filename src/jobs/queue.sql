CREATE OR REPLACE FUNCTION enqueue_job(kind text, tenant uuid, call bigint DEFAULT NULL, endpoint text DEFAULT NULL,
                            payload jsonb DEFAULT NULL, run_at timestamptz DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'mulberry_enqueue_job_sql';
COMMENT ON FUNCTION enqueue_job(text, uuid, bigint, text, jsonb, timestamptz) IS
    'puts a job into the queue and wakes the workers after commit; run_at null: now; returns its id (internal)';

CREATE OR REPLACE FUNCTION retry_delay(attempts integer, first interval) RETURNS interval
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN attempts BETWEEN 1 AND 30
             AND first * (2 ^ attempts - 1) <= interval '60 seconds'
            THEN first * 2 ^ (attempts - 1) END;
COMMENT ON FUNCTION retry_delay(integer, interval) IS
    'delay after the given number of failed attempts: first, doubled each time; null when all delays of the job together would pass 60 s';

-- Moves a job to the history in its last state.
CREATE OR REPLACE FUNCTION settle_job(job bigint, final_state text, error text) RETURNS void
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
CREATE OR REPLACE FUNCTION give_up_job(job job_queue, final_state text, error text, reason text) RETURNS void
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

CREATE OR REPLACE FUNCTION mulberry.cancel_job(id bigint) RETURNS void
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

CREATE OR REPLACE FUNCTION wake_workers() RETURNS void
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'mulberry_wake_workers_sql';
COMMENT ON FUNCTION wake_workers() IS 'wakes the workers of this database after commit (internal)';

CREATE OR REPLACE FUNCTION reroute_jobs(orphans_only boolean DEFAULT false) RETURNS bigint
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

CREATE OR REPLACE FUNCTION purge_jobs(at timestamptz DEFAULT clock_timestamp(), max_jobs integer DEFAULT 10000) RETURNS bigint
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

CREATE OR REPLACE PROCEDURE mulberry.run_jobs(max_seconds double precision DEFAULT 60)
LANGUAGE c
AS 'MODULE_PATHNAME', 'mulberry_run_jobs';
COMMENT ON PROCEDURE mulberry.run_jobs(double precision) IS
    'does what a worker does, in this session, until no job is due or the time is over; for databases without preloaded workers. '
    'Commits; not inside a transaction block. Needs worker access';
