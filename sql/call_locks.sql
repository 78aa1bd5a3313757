-- A transaction takes no more locks of calls than one batch may.
SET client_min_messages = warning;
SELECT count(mulberry.create_tenant(t)) FROM unnest(ARRAY['locks']) AS t;
SET mulberry.max_batch_calls = 3;
CREATE FUNCTION pg_temp.packets(first integer, n integer) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(status, ' ') FROM mulberry.ingest_packets(ARRAY(SELECT 'l' || i FROM generate_series(first, first + n - 1) i),
        array_fill(0, ARRAY[n]), array_fill('a word'::bytea, ARRAY[n]), encoding => 'text', tenant => 'locks')
$$;
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    detail text;
    hint   text;
BEGIN
    EXECUTE statement INTO result;
    RETURN coalesce(result, 'done');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n', SQLSTATE || ' ' || SQLERRM, detail, hint);
END
$$;
CREATE FUNCTION pg_temp.held() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 27757 AND pid = pg_backend_pid()
$$;

-- several batches; what is locked already costs nothing
BEGIN;
SELECT pg_temp.packets(1, 2);
SELECT pg_temp.packets(1, 2);
SELECT pg_temp.packets(3, 1), pg_temp.held();
SELECT pg_temp.try('SELECT pg_temp.packets(4, 1)');
SELECT pg_temp.try('SELECT pg_temp.packets(2, 3)'), pg_temp.held();
SELECT pg_temp.try('SELECT pg_temp.packets(1, 3)'), pg_temp.held();
ROLLBACK;
-- a savepoint that is rolled back gives back what was taken since, one that is released does not
BEGIN;
SELECT pg_temp.packets(1, 1);
SAVEPOINT a;
SELECT pg_temp.packets(2, 1);
SAVEPOINT b;
SELECT pg_temp.packets(3, 1);
SELECT pg_temp.try('SELECT pg_temp.packets(4, 1)');
ROLLBACK TO b;
SELECT pg_temp.packets(4, 1), pg_temp.held();
RELEASE b;
RELEASE a;
SELECT pg_temp.try('SELECT pg_temp.packets(5, 1)'), pg_temp.held();
COMMIT;
SELECT pg_temp.packets(5, 3);

-- call by call, by any function
BEGIN;
SELECT pg_temp.try($$SELECT count(mulberry.complete_call('l' || n, 1, 'locks')) FROM generate_series(1, 7) AS n WHERE n <> 3$$);
SELECT pg_temp.try($$SELECT count(mulberry.complete_call('l' || n, 1, 'locks')) FROM generate_series(1, 4) AS n WHERE n <> 3$$);
ROLLBACK;
SELECT name, split_part(pg_temp.try('SELECT count(*) FROM generate_series(1, 7) AS n, ' || call || ' AS done WHERE n <> 3'), E'\n', 1)
  FROM (VALUES ('ingest_packet', $$mulberry.ingest_packet('l' || n, 1, 'a word', tenant => 'locks')$$),
               ('begin_call', $$mulberry.begin_call('new' || n, tenant => 'locks')$$),
               ('erase_call', $$mulberry.erase_call('l' || n, 'locks')$$)) AS v (name, call);

-- what works through many ends there and goes on in the next transaction: silent calls
SELECT count(*) FROM mulberry_internal.calls WHERE call_id ~ '^l\d$' AND state = 'IN_PROGRESS';
ALTER TABLE mulberry_internal.calls DISABLE TRIGGER guard_call;
UPDATE mulberry_internal.calls SET updated_at = now() - interval '1 year' WHERE call_id ~ '^l\d$';
UPDATE mulberry_internal.packets SET received_at = now() - interval '1 year'
 WHERE call IN (SELECT id FROM mulberry_internal.calls WHERE call_id ~ '^l\d$');
ALTER TABLE mulberry_internal.calls ENABLE TRIGGER guard_call;
SELECT mulberry.maintenance();
SELECT count(*) FILTER (WHERE state = 'IN_PROGRESS') FROM mulberry_internal.calls WHERE call_id ~ '^l\d$';
BEGIN;
SELECT mulberry.maintenance();
SELECT pg_temp.try('SELECT mulberry.maintenance()');
COMMIT;
SELECT mulberry.maintenance();
SELECT count(*) FILTER (WHERE state = 'IN_PROGRESS') FROM mulberry_internal.calls WHERE call_id ~ '^l\d$';

-- calls that have waited for their endpoint for too long
SELECT mulberry.set_endpoint('out', 'json', 'https://ai.example.com', purpose => 'transcription', tenant => 'locks');
SELECT mulberry_internal.reroute_jobs();
SELECT mulberry_internal.report_endpoint(id, 'HTTP 500', '2020-01-01') FROM mulberry_internal.endpoints WHERE name = 'out';
CREATE FUNCTION pg_temp.tired() RETURNS bigint LANGUAGE sql AS $$
    WITH tired AS (
        UPDATE mulberry_internal.job_queue q SET waits_since = '2020-01-01', state = 'queued', run_at = '2020-01-01'
         WHERE q.call IN (SELECT id FROM mulberry_internal.calls WHERE call_id ~ '^l\d$') RETURNING 1)
    SELECT count(*) FROM tired
$$;
SELECT pg_temp.tired();
SELECT mulberry_internal.give_up_waiting(1000);
SELECT mulberry_internal.give_up_waiting(1000);
SELECT mulberry_internal.give_up_waiting(1000);

-- ... are tried again
BEGIN;
SELECT mulberry.retry_jobs(since => '-infinity', tenant => 'locks');
SELECT pg_temp.try($$SELECT mulberry.retry_jobs(since => '-infinity', tenant => 'locks')$$);
COMMIT;
SELECT mulberry.retry_jobs(since => '-infinity', tenant => 'locks');
SELECT mulberry.retry_jobs(since => '-infinity', tenant => 'locks');

-- ... and removed by retention
SELECT pg_temp.tired();
SELECT mulberry_internal.give_up_waiting(1000);
SELECT mulberry_internal.give_up_waiting(1000);
SELECT mulberry.alter_tenant('locks', retention => '1 second');
UPDATE mulberry_internal.calls SET finished_at = '2020-01-01' WHERE call_id ~ '^l\d$';
BEGIN;
SELECT action, calls FROM mulberry.retention() WHERE object = 'locks';
SELECT pg_temp.try('SELECT count(*) FROM mulberry.retention()');
COMMIT;
SELECT action, calls FROM mulberry.retention() WHERE object = 'locks';
SELECT action, calls FROM mulberry.retention() WHERE object = 'locks';
SELECT count(*) FROM mulberry_internal.calls WHERE call_id ~ '^l\d$';
RESET mulberry.max_batch_calls;

SELECT mulberry.drop_endpoint('out', 'locks');
TRUNCATE mulberry_internal.job_queue, mulberry_internal.job_history;
DELETE FROM mulberry_internal.events e USING mulberry_internal.tenants t WHERE t.id = e.tenant AND t.name = 'locks';
SELECT mulberry.drop_tenant('locks');
