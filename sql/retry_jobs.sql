-- Dead jobs once more, many at a time.
SET client_min_messages = warning;
TRUNCATE mulberry_internal.job_queue, mulberry_internal.job_history;
SELECT count(mulberry.create_tenant(t)) FROM unnest(ARRAY['retry-a', 'retry-b']) AS t;
SELECT mulberry.set_endpoint(e, 'json', 'https://ai.example.com', purpose => p, tenant => t)
  FROM (VALUES ('main', 'transcription', 'retry-a'), ('spare', NULL, 'retry-a'), ('main', 'transcription', 'retry-b')) AS v (e, p, t);

-- A call that failed for a reason at a time.
CREATE FUNCTION pg_temp.failed(call_id text, tenant text, endpoint text, error text, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    c       bigint;
    claimed record;
BEGIN
    PERFORM mulberry.ingest_packet(call_id, 0, '\x7f7f', NULL, 'mulaw', 8000, tenant), mulberry.complete_call(call_id, 1, tenant);
    SELECT max(id) INTO c FROM mulberry_internal.calls;
    UPDATE mulberry_internal.job_queue q SET endpoint = failed.endpoint, run_at = '2020-01-01' WHERE q.call = c;
    PERFORM mulberry_internal.reroute_jobs();
    SELECT j.* INTO claimed FROM mulberry_internal.claim_jobs(1, 1) j;
    PERFORM mulberry_internal.prepare_job(claimed.id, claimed.lease_token);
    PERFORM mulberry_internal.fail_attempt(claimed.id, claimed.lease_token, 'permanent', error);
    UPDATE mulberry_internal.job_history h SET finished_at = at WHERE h.call = c;
END
$$;
CREATE FUNCTION pg_temp.fail_all() RETURNS void LANGUAGE sql AS $$
    SELECT pg_temp.failed('1', 'retry-a', NULL, 'HTTP 400: too short', '2030-01-01');
    SELECT pg_temp.failed('2', 'retry-a', NULL, 'HTTP 400: Bad Format 100%', '2030-01-02');
    SELECT pg_temp.failed('3', 'retry-a', 'spare', 'HTTP 400: 100% wrong_', '2030-01-03');
    SELECT pg_temp.failed('4', 'retry-b', NULL, 'HTTP 400: too short', '2030-01-04');
$$;
SELECT pg_temp.fail_all();
SELECT c.call_id, c.state, j.endpoint, j.state AS job, j.last_error FROM mulberry_internal.calls c
  JOIN mulberry.jobs j ON j.call_id = c.call_id AND j.kind = 'transcribe' WHERE j.tenant LIKE 'retry-%' ORDER BY 1;
-- what is no more to be tried: one that was cancelled, one whose call is gone
UPDATE mulberry_internal.job_history SET state = 'cancelled' WHERE finished_at = '2030-01-03';
INSERT INTO mulberry_internal.job_history
SELECT (jsonb_populate_record(h, '{"id": -1, "call": -1}')).* FROM mulberry_internal.job_history h WHERE finished_at = '2030-01-01';

-- which ones; nothing remains of these questions
CREATE FUNCTION pg_temp.would(arguments text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    n     integer;
    calls text;
BEGIN
    EXECUTE format('SELECT mulberry.retry_jobs(%s)', arguments) INTO n;
    SELECT string_agg(c.call_id, ',' ORDER BY c.call_id) INTO calls
      FROM mulberry_internal.job_queue q JOIN mulberry_internal.calls c ON c.id = q.call AND c.state = 'PROCESSING_AI';
    RAISE SQLSTATE 'MB000' USING MESSAGE = n || ': ' || coalesce(calls, 'none');
EXCEPTION WHEN OTHERS THEN
    RETURN concat(CASE WHEN SQLSTATE <> 'MB000' THEN SQLSTATE || ' ' END, SQLERRM);
END
$$;
CREATE FUNCTION pg_temp.answers() RETURNS TABLE (arguments text, answer text) LANGUAGE sql AS $$
    SELECT a, pg_temp.would(a) FROM unnest(ARRAY['', 'since => ''-infinity''', 'since => ''2030-01-02''', 'endpoint => ''main''',
        'endpoint => ''spare''', 'endpoint => ''main'', tenant => ''retry-a''', 'tenant => ''retry-b'', since => ''-infinity''',
        'error => ''TOO''', 'error => ''bad format''', 'error => ''%''', 'error => ''t_o''', 'error => ''''',
        'endpoint => ''main'', error => ''too'', since => ''2030-01-02''', 'since => ''2031-01-01''', 'endpoint => ''nobody''',
        'endpoint => ''main'', tenant => ''nobody''', 'since => ''-infinity'', max_jobs => 2', 'since => ''-infinity'', max_jobs => 0',
        'since => ''-infinity'', max_jobs => 251', 'error => repeat(''x'', 5000)']) AS a
$$;
SELECT * FROM pg_temp.answers();
-- nobody's but one's own
CREATE ROLE retries LOGIN;
SELECT mulberry.grant_access('retries', 'operator', 'retry-b');
SET ROLE retries;
SELECT mulberry.retry_jobs(since => '-infinity', tenant => 'retry-a');
SELECT mulberry.retry_jobs('spare');
SELECT mulberry.retry_jobs(since => '-infinity');
RESET ROLE;
SELECT c.call_id, q.attempts, q.max_attempts, q.last_error
  FROM mulberry_internal.job_queue q JOIN mulberry_internal.calls c ON c.id = q.call;
-- all, in two batches
SELECT mulberry.retry_jobs(since => '-infinity', max_jobs => 1) FROM generate_series(1, 3);
SELECT c.call_id, c.state, j.state AS job FROM mulberry_internal.calls c
  JOIN mulberry.jobs j ON j.call_id = c.call_id AND j.kind = 'transcribe' WHERE j.tenant LIKE 'retry-%' ORDER BY 1;
SELECT e.event, e.payload->'kind' AS kind, count(*) FROM mulberry_internal.events e JOIN mulberry_internal.tenants t ON t.id = e.tenant
 WHERE t.name LIKE 'retry-%' AND e.event IN ('job_retried', 'call_reopened') GROUP BY 1, 2 ORDER BY 1;

TRUNCATE mulberry_internal.job_queue, mulberry_internal.job_history;
SELECT mulberry.erase_call(c.call_id, t.name) FROM mulberry_internal.calls c JOIN mulberry_internal.tenants t ON t.id = c.tenant
 WHERE t.name LIKE 'retry-%';
SELECT mulberry.drop_endpoint(e.name, e.tenant) FROM mulberry.endpoint_status e WHERE e.tenant LIKE 'retry-%';
SELECT mulberry.revoke_access('retries', 'operator', 'retry-b');
DELETE FROM mulberry_internal.events e USING mulberry_internal.tenants t WHERE t.id = e.tenant AND t.name LIKE 'retry-%';
SELECT mulberry.drop_tenant('retry-b');
DROP ROLE retries;
