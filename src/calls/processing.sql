CREATE OR REPLACE FUNCTION complete_silent_call(call bigint, silent_since timestamptz) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_complete_silent_call';
COMMENT ON FUNCTION complete_silent_call(bigint, timestamptz) IS
    'internal: completes a call in progress for which nothing has come since then; false when that is not so or the call is busy';

CREATE OR REPLACE FUNCTION advance_transcription(call bigint) RETURNS void
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

CREATE OR REPLACE FUNCTION lock_call(call bigint) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_lock_call_sql';
COMMENT ON FUNCTION lock_call(bigint) IS 'internal: takes the lock of a call until the end of the transaction';

CREATE OR REPLACE FUNCTION call_locks_left() RETURNS integer
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_call_locks_left_sql';
COMMENT ON FUNCTION call_locks_left() IS
    'internal: how many more calls this transaction may lock (mulberry.max_batch_calls); what locks one after the other ends before the '
    'next when it is 0';

CREATE OR REPLACE FUNCTION require_call_locks() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_require_call_locks_sql';
COMMENT ON FUNCTION require_call_locks() IS
    'internal: 54000 when this transaction may lock no further call, so that nobody takes it for being done';

CREATE OR REPLACE FUNCTION lock_call_soon(call bigint) RETURNS boolean
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

CREATE OR REPLACE FUNCTION start_processing(call bigint) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_start_processing';
COMMENT ON FUNCTION start_processing(bigint) IS
    'internal: COMPLETED to PROCESSING_AI, from where a call takes no more packets; true when it is in that state now';

CREATE OR REPLACE FUNCTION finish_call(call bigint, transcription text, sentiment text, confidence double precision, ai_result jsonb)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_finish_call';
COMMENT ON FUNCTION finish_call(bigint, text, text, double precision, jsonb) IS
    'internal: PROCESSING_AI to ARCHIVED with its result, to which what was missing is added; false when the call is gone';

CREATE OR REPLACE FUNCTION fail_call(call bigint, reason text) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_fail_call';
COMMENT ON FUNCTION fail_call(bigint, text) IS
    'internal: PROCESSING_AI to FAILED; false when the call is gone';

CREATE OR REPLACE FUNCTION reopen_call(call bigint) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_reopen_call';
COMMENT ON FUNCTION reopen_call(bigint) IS
    'internal, for retry_job(): FAILED to PROCESSING_AI, with an event that names the role; false when the call is gone';

CREATE OR REPLACE FUNCTION make_partition(day date) RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_make_partition_sql';
COMMENT ON FUNCTION make_partition(date) IS
    'internal: makes the partition of packets for calls that begin on that day (UTC); false when it exists';
