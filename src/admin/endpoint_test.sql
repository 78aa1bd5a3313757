-- Whether an endpoint works: two seconds of speech, sent by a worker as it would send a call, and what came back.

CREATE OR REPLACE FUNCTION test_input(OUT call_id text, OUT encoding text, OUT sample_rate integer, OUT audio bytea, OUT content text,
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

CREATE OR REPLACE FUNCTION finish_test(job bigint, token bigint, status integer, duration_ms integer, answer text, error text)
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

CREATE OR REPLACE FUNCTION mulberry.start_endpoint_test(name text, tenant text DEFAULT 'default',
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
    IF e.purpose IN ('listen', 'speak', 'reply') THEN
        RAISE EXCEPTION 'an endpoint for % is asked by gateways, and not by workers', e.purpose USING ERRCODE = 'invalid_parameter_value';
    ELSIF NOT mulberry_internal.endpoint_serves(e.kind, mulberry.job_purpose('test')) THEN
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

CREATE OR REPLACE FUNCTION mulberry.endpoint_test(job bigint, cancel boolean DEFAULT false)
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

CREATE OR REPLACE PROCEDURE mulberry.test_endpoint(name text, tenant text DEFAULT 'default', patience interval DEFAULT NULL,
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
