-- Jobs that were given up, once more.

CREATE OR REPLACE FUNCTION queue_again(h job_history) RETURNS boolean
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

CREATE OR REPLACE FUNCTION mulberry.retry_job(id bigint) RETURNS void
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

CREATE OR REPLACE FUNCTION mulberry.retry_jobs(endpoint text DEFAULT NULL, since timestamptz DEFAULT NULL, error text DEFAULT NULL,
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
