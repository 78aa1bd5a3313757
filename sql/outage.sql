-- Endpoints that are out: their jobs wait without using up attempts, one asks, the next endpoint is taken.
-- The clock is an argument wherever it matters, so that nothing here waits.
SET client_min_messages = warning;
SET timezone = 'UTC';
\set default '''6d756c62-6572-7279-8000-000000000001'''
\set everybody '''00000000-0000-0000-0000-000000000000'''
TRUNCATE mulberry_internal.job_queue, mulberry_internal.job_history;
DELETE FROM mulberry_internal.events WHERE event LIKE 'endpoint%';
SELECT mulberry.set_endpoint('ai', 'json', 'https://ai.example.com', timeout => '10 s');
SELECT id AS ai FROM mulberry_internal.endpoints WHERE name = 'ai' \gset

-- how often a job is tried where others fail as well
SELECT share, mulberry_internal.attempts_needed(5, share), mulberry_internal.attempts_needed(20, share) AS of_20
  FROM unnest(ARRAY[0, 1e-9, 0.05, 0.1, 0.25, 0.49, 0.5, 1, 'NaN']::float8[]) AS share;

-- the breaker: opens, asks with one job, doubles its patience to half a minute, closes
SELECT count(mulberry_internal.enqueue_job('transcribe', :default, NULL, NULL, NULL, '2030-01-01 00:00')) FROM generate_series(1, 5);
SELECT count(*) FROM mulberry_internal.claim_jobs(1, 1, '2030-01-01 00:00');
SELECT mulberry_internal.report_endpoint(:ai, 'refused', '2030-01-01 00:00');
SELECT mulberry_internal.report_endpoint(:ai, 'refused again', '2030-01-01 00:00');
SELECT mulberry_internal.report_endpoint(-1, 'no such endpoint');
SELECT tenant = :everybody AS all_tenants, state, openings, retry_at, out_since, last_error FROM mulberry_internal.endpoint_state;
SELECT mulberry_internal.fail_attempt(id, lease_token, 'endpoint', 'HTTP 503', NULL, '2030-01-01 00:00') AS outage
  FROM mulberry_internal.job_queue WHERE state = 'running';
SELECT attempts, deferrals, run_at FROM mulberry_internal.job_queue WHERE deferrals > 0;
SELECT count(*) AS while_open FROM mulberry_internal.claim_jobs(1, 10, '2030-01-01 00:00:00.9');
SELECT DISTINCT state, held_because FROM mulberry.jobs WHERE finished_at IS NULL;
SELECT item, status, detail FROM mulberry_internal.health_jobs() WHERE item LIKE 'endpoint%';
SELECT name, breaker, retry_at, last_error, out_since, held_tenants, queued FROM mulberry.endpoint_status WHERE name = 'ai';
SELECT id AS job, probe FROM mulberry_internal.claim_jobs(1, 10, '2030-01-01 00:00:01') \gset
\echo :probe
SELECT count(*) AS while_half_open FROM mulberry_internal.claim_jobs(2, 10, '2030-01-01 00:00:02');
SELECT mulberry_internal.report_probe(:ai, true, :job + 1, NULL, '2030-01-01 00:00:02') AS only_the_probe_counts;
SELECT mulberry_internal.report_probe(:ai, false, :job, 'still refused', '2030-01-01 00:00:02');
SELECT state, openings, retry_at, out_since, last_error FROM mulberry_internal.endpoint_state;
-- a probe that nobody answers for is lost with its lease
UPDATE mulberry_internal.endpoint_state SET openings = 9;
SELECT probe FROM mulberry_internal.claim_jobs(1, 10, '2030-01-01 00:00:10');
SELECT probe FROM mulberry_internal.claim_jobs(2, 10, '2030-01-01 00:00:49');
SELECT id AS job, probe FROM mulberry_internal.claim_jobs(2, 10, '2030-01-01 00:00:50') \gset
SELECT mulberry_internal.report_probe(:ai, false, :job, 'still refused', '2030-01-01 00:01');
SELECT state, openings, retry_at FROM mulberry_internal.endpoint_state;
SELECT id AS job, probe FROM mulberry_internal.claim_jobs(3, 10, '2030-01-01 00:02') \gset
-- a probe that was not sent leaves it to the next job
SELECT mulberry_internal.report_probe(:ai, NULL, :job, NULL, '2030-01-01 00:02');
SELECT id AS job, probe FROM mulberry_internal.claim_jobs(3, 10, '2030-01-01 00:02') \gset
SELECT mulberry_internal.report_probe(:ai, true, :job, NULL, '2030-01-01 00:02');
SELECT state, openings, retry_at, out_since, probe, allowed FROM mulberry_internal.endpoint_state;
UPDATE mulberry_internal.job_queue SET state = 'queued', run_at = '2030-01-01 00:00' WHERE state = 'running';
SELECT count(*) AS flows_again FROM mulberry_internal.claim_jobs(1, 10, '2030-01-01 00:02');
SELECT event, payload FROM mulberry_internal.events WHERE event LIKE 'endpoint%' ORDER BY id;
TRUNCATE mulberry_internal.job_queue, mulberry_internal.endpoint_state;

-- what was under way, and fails while another asks, waits for the answer to that and not until its time would be up
SELECT count(mulberry_internal.enqueue_job('transcribe', :default, NULL, NULL, NULL, '2030-01-01 00:00')) FROM generate_series(1, 3);
SELECT min(id) AS first, max(id) AS last FROM mulberry_internal.claim_jobs(1, 2, '2030-01-01 00:00') \gset
SELECT mulberry_internal.report_endpoint(:ai, 'HTTP 503', '2030-01-01 00:00');
SELECT mulberry_internal.fail_attempt(id, lease_token, 'endpoint', 'HTTP 503', NULL, '2030-01-01 00:00') AS while_open
  FROM mulberry_internal.job_queue WHERE id = :first;
SELECT probe FROM mulberry_internal.claim_jobs(1, 10, '2030-01-01 00:00:01');
SELECT mulberry_internal.fail_attempt(id, lease_token, 'endpoint', 'HTTP 503', NULL, '2030-01-01 00:00:01') AS while_half_open
  FROM mulberry_internal.job_queue WHERE id = :last;
SELECT id - :first AS job, state, run_at FROM mulberry_internal.job_queue ORDER BY id;
SELECT mulberry_internal.report_probe(:ai, true, probe, NULL, '2030-01-01 00:00:02') FROM mulberry_internal.endpoint_state WHERE state = 'half_open';
SELECT count(*) AS flows_again FROM mulberry_internal.claim_jobs(2, 10, '2030-01-01 00:00:02');
DELETE FROM mulberry_internal.events WHERE event LIKE 'endpoint%';
TRUNCATE mulberry_internal.job_queue, mulberry_internal.endpoint_state;

-- it comes back by degrees: two at once, twice as many after each window in which so many were served, or of ten seconds
SELECT mulberry.alter_endpoint('ai', max_concurrency => 20);
SELECT count(mulberry_internal.enqueue_job('transcribe', :default, NULL, NULL, NULL, '2030-01-01 00:00')) FROM generate_series(1, 200);
CREATE FUNCTION pg_temp.comes_back(at timestamptz) RETURNS void LANGUAGE sql AS $$
    SELECT mulberry_internal.report_probe(c.route, true, c.id, NULL, at) FROM mulberry_internal.claim_jobs(1, 10, at) AS c WHERE c.probe;
    DELETE FROM mulberry_internal.job_queue WHERE state = 'running';
$$;
CREATE FUNCTION pg_temp.serves(many integer, at timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    first  integer;
    second integer;
    s      mulberry_internal.endpoint_state;
BEGIN
    first := (SELECT count(*) FROM mulberry_internal.claim_jobs(1, 16, at));
    second := (SELECT count(*) FROM mulberry_internal.claim_jobs(2, 16, at));
    FOR n IN 1 .. many LOOP
        PERFORM mulberry_internal.report_served(x.endpoint, x.tenant, at) FROM mulberry_internal.endpoint_state x;
    END LOOP;
    DELETE FROM mulberry_internal.job_queue WHERE state = 'running';
    SELECT * INTO s FROM mulberry_internal.endpoint_state;
    RETURN format('%s + %s under way, %s served: %s served of %s, %s openings', first, second, many, s.served, s.allowed, s.openings);
END
$$;
SELECT mulberry_internal.report_endpoint(:ai, 'refused', '2030-01-01 00:00');
SELECT pg_temp.comes_back('2030-01-01 00:00:01');
SELECT pg_temp.serves(1, '2030-01-01 00:00:01');
SELECT p.coming_back FROM mulberry_internal.claim_jobs(1, 1, '2030-01-01 00:00:01') AS c, mulberry_internal.prepare_job(c.id, c.lease_token) AS p;
UPDATE mulberry_internal.job_queue SET state = 'queued', run_at = '2030-01-01 00:00' WHERE state = 'running';
SELECT pg_temp.serves(1, '2030-01-01 00:00:01');
SELECT pg_temp.serves(5, '2030-01-01 00:00:02');
SELECT pg_temp.serves(1, '2030-01-01 00:00:11.9');
SELECT pg_temp.serves(1, '2030-01-01 00:00:12');
SELECT pg_temp.serves(16, '2030-01-01 00:00:13');
SELECT p.coming_back FROM mulberry_internal.claim_jobs(1, 1, '2030-01-01 00:00:01') AS c, mulberry_internal.prepare_job(c.id, c.lease_token) AS p;
DELETE FROM mulberry_internal.job_queue WHERE state = 'running';
SELECT pg_temp.serves(1, '2030-01-01 00:00:13');
-- out again while it comes back: it is asked after two seconds, however often
SELECT mulberry_internal.report_endpoint(:ai, 'refused', '2030-01-01 00:01');
SELECT pg_temp.comes_back('2030-01-01 00:01:01');
SELECT mulberry_internal.report_endpoint(:ai, 'refused', '2030-01-01 00:02');
SELECT state, openings, retry_at, allowed FROM mulberry_internal.endpoint_state;
SELECT pg_temp.comes_back('2030-01-01 00:02:02');
SELECT mulberry_internal.report_endpoint(:ai, 'refused', '2030-01-01 00:03');
SELECT pg_temp.comes_back('2030-01-01 00:03:02');
SELECT mulberry_internal.report_endpoint(:ai, 'refused', '2030-01-01 00:04');
SELECT state, openings, retry_at, allowed FROM mulberry_internal.endpoint_state;
-- out while another worker claims, after that one has counted what is allowed: it takes none
SELECT pg_temp.comes_back('2030-01-01 00:05');
SELECT pg_temp.serves(2, '2030-01-01 00:05');
BEGIN;
CREATE OR REPLACE FUNCTION mulberry_internal.lock_endpoint_soon(endpoint bigint) RETURNS boolean LANGUAGE sql AS $$
    SELECT mulberry_internal.report_endpoint(endpoint, 'refused', '2030-01-01 00:06');
    SELECT true;
$$;
SELECT count(*) AS claimed FROM mulberry_internal.claim_jobs(1, 16, '2030-01-01 00:06');
SELECT state, allowed FROM mulberry_internal.endpoint_state;
ROLLBACK;
SELECT mulberry.alter_endpoint('ai', clear => '{max_concurrency}');
TRUNCATE mulberry_internal.job_queue, mulberry_internal.endpoint_state;

-- what counts: a job fails, and others are served or not
CREATE FUNCTION pg_temp.fails(failure text, served boolean, share float8 DEFAULT 0) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    claimed record;
    outcome text;
    q       mulberry_internal.job_queue;
    due     timestamptz := (SELECT x.run_at FROM mulberry_internal.job_queue x);
BEGIN
    SELECT * INTO claimed FROM mulberry_internal.claim_jobs(1, 1, due);
    outcome := mulberry_internal.fail_attempt(claimed.id, claimed.lease_token, failure, 'HTTP 502', NULL, due, served, share);
    SELECT * INTO q FROM mulberry_internal.job_queue;
    RETURN concat_ws(' ', outcome, q.attempts || ' of ' || q.max_attempts, q.deferrals, q.run_at - due);
END
$$;
CREATE FUNCTION pg_temp.one_job() RETURNS void LANGUAGE sql AS $$
    TRUNCATE mulberry_internal.job_queue, mulberry_internal.job_history, mulberry_internal.endpoint_state;
    SELECT mulberry_internal.enqueue_job('transcribe', '6d756c62-6572-7279-8000-000000000001', NULL, NULL, NULL, '2030-01-01 00:00');
$$;
SELECT pg_temp.one_job();
SELECT pg_temp.fails('endpoint', true) FROM generate_series(1, 5);
SELECT state, last_error FROM mulberry.jobs;
SELECT pg_temp.one_job();
SELECT pg_temp.fails('timeout', n = 1) FROM generate_series(1, 7) AS n;
SELECT pg_temp.one_job();
SELECT pg_temp.fails('endpoint', true, 0.25) FROM generate_series(1, 10);
SELECT pg_temp.one_job();
SELECT pg_temp.fails('unreachable', true) FROM generate_series(1, 6);
-- the first failures of those that made it count as out are taken back
SELECT pg_temp.one_job();
SELECT pg_temp.fails('endpoint', false);
SELECT mulberry_internal.report_endpoint(:ai, 'HTTP 502', '2030-01-01 00:00', since => '2029-12-31 23:59:59');
SELECT attempts, deferrals FROM mulberry_internal.job_queue;
-- while it is out
SELECT pg_temp.fails('endpoint', false);
SELECT pg_temp.fails('endpoint', true);

-- patience
SELECT pg_temp.one_job();
UPDATE mulberry_internal.job_queue SET waits_since = '2030-01-01 00:00';
SELECT mulberry_internal.report_endpoint(:ai, 'HTTP 401', '2030-01-01 00:00');
SELECT mulberry_internal.give_up_waiting(10, '2030-01-02 00:00');
SELECT mulberry_internal.give_up_waiting(10, '2030-01-02 00:00:01');
SELECT state, last_error FROM mulberry.jobs;
SELECT pg_temp.one_job();
SELECT mulberry_internal.report_endpoint(:ai, 'HTTP 401', '2030-01-01 00:00');
UPDATE mulberry_internal.job_queue SET run_at = '2030-01-02 00:00:02', waits_since = '2030-01-01 00:00';
SELECT pg_temp.fails('endpoint', false);
SELECT state, attempts, last_error FROM mulberry.jobs;
TRUNCATE mulberry_internal.job_queue, mulberry_internal.job_history, mulberry_internal.endpoint_state;

-- an endpoint of all tenants: what is one tenant's holds its jobs alone
SELECT mulberry.drop_endpoint('ai');
BEGIN;    -- it takes the place of the one that comes with the extension
SELECT mulberry.set_endpoint('shared', 'json', 'https://all.example.com', tenant => NULL);
SELECT id AS shared FROM mulberry_internal.endpoints WHERE name = 'shared' \gset
SELECT mulberry.create_tenant('outage-a') IS NOT NULL AS created;
SELECT id AS a FROM mulberry_internal.tenants WHERE name = 'outage-a' \gset
SELECT count(mulberry_internal.enqueue_job('transcribe', t, NULL, NULL, NULL, '2030-01-01 00:00'))
  FROM unnest(ARRAY[:default, :'a']::uuid[]) AS t, generate_series(1, 3);
SELECT mulberry_internal.report_endpoint(:shared, 'HTTP 401', '2030-01-01 00:00', :'a', '2030-01-01 00:00');
SELECT name, breaker, held_tenants FROM mulberry.endpoint_status WHERE name = 'shared';
SELECT tenant, state, count(*) FROM mulberry.jobs GROUP BY 1, 2 ORDER BY 1, 2;
SELECT item, detail FROM mulberry_internal.health_jobs() WHERE item LIKE 'endpoint%';
SELECT tenant = :'a' AS a, probe, count(*) FROM mulberry_internal.claim_jobs(1, 2, '2030-01-01 00:00:00.5') GROUP BY 1, 2;
SELECT id AS job, tenant = :'a' AS of_a, probe FROM mulberry_internal.claim_jobs(1, 10, '2030-01-01 00:00:01') WHERE probe \gset
\echo :of_a :probe
SELECT mulberry_internal.report_probe(:shared, false, :job, 'HTTP 401', '2030-01-01 00:00:02', :'a');
SELECT tenant = :'a' AS a, state, openings, retry_at FROM mulberry_internal.endpoint_state;
-- what comes back for one tenant does so by degrees for that one alone
SAVEPOINT of_a;
SELECT count(mulberry_internal.enqueue_job('transcribe', t, NULL, NULL, NULL, '2030-01-01 00:00'))
  FROM unnest(ARRAY[:default, :'a']::uuid[]) AS t, generate_series(1, 5);
UPDATE mulberry_internal.job_queue SET state = 'queued', run_at = '2030-01-01 00:00';
SELECT id AS job FROM mulberry_internal.claim_jobs(1, 16, '2030-01-01 00:00:04') WHERE probe \gset
SELECT mulberry_internal.report_probe(:shared, true, :job, NULL, '2030-01-01 00:00:04');
UPDATE mulberry_internal.job_queue SET state = 'queued', run_at = '2030-01-01 00:00';
SELECT tenant = :'a' AS a, count(*) FROM mulberry_internal.claim_jobs(1, 16, '2030-01-01 00:00:04') GROUP BY 1 ORDER BY 1;
ROLLBACK TO of_a;
-- a service that refuses the key of the one who asks is back for the others
SELECT mulberry_internal.report_endpoint(:shared, 'refused', '2030-01-01 00:01');
SELECT name, breaker, held_tenants FROM mulberry.endpoint_status WHERE name = 'shared';
UPDATE mulberry_internal.job_queue SET state = 'queued', run_at = '2030-01-01 00:00';
DELETE FROM mulberry_internal.job_queue WHERE tenant = :default;
SELECT id AS job, probe FROM mulberry_internal.claim_jobs(1, 10, '2030-01-01 00:01:01') \gset
SELECT mulberry_internal.report_probe(:shared, false, :job, 'HTTP 401', '2030-01-01 00:01:02', :'a');
SELECT tenant = :'a' AS a, state FROM mulberry_internal.endpoint_state ORDER BY 1;
-- a tenant that is dropped takes its state along
TRUNCATE mulberry_internal.job_queue;
DELETE FROM mulberry_internal.events WHERE tenant = :'a';
SELECT mulberry.drop_tenant('outage-a');
SELECT mulberry_internal.give_up_waiting(10);
SELECT count(*) FROM mulberry_internal.endpoint_state WHERE tenant <> :everybody;
ROLLBACK;

-- several for one purpose: the jobs of one that is out go to the next one, and one of them asks when it is time
SELECT mulberry.set_endpoint('one', 'json', 'https://one.example.com');
SELECT mulberry.set_endpoint('two', 'json', 'https://two.example.com', priority => 2);
SELECT mulberry.set_endpoint('off', 'json', 'https://off.example.com', priority => 0, enabled => false);
SELECT mulberry.set_endpoint('named', 'json', 'https://named.example.com', purpose => NULL);
SELECT id AS one FROM mulberry_internal.endpoints WHERE name = 'one' \gset
SELECT id AS two FROM mulberry_internal.endpoints WHERE name = 'two' \gset
CREATE FUNCTION pg_temp.claimed(at timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s %s%s', n, e.name, CASE WHEN c.probe THEN ' asks' END), ', ' ORDER BY e.name, c.probe)
      FROM (SELECT count(*) AS n, route, probe FROM mulberry_internal.claim_jobs(1, 10, at) GROUP BY 2, 3) AS c
      JOIN mulberry_internal.endpoints e ON e.id = c.route
$$;
CREATE FUNCTION pg_temp.again() RETURNS void LANGUAGE sql AS $$
    UPDATE mulberry_internal.job_queue SET state = 'queued', run_at = '2030-01-01 00:00'
$$;
SELECT count(mulberry_internal.enqueue_job('transcribe', :default, NULL, CASE WHEN n = 1 THEN 'one' END, NULL, '2030-01-01 00:00'))
  FROM generate_series(1, 5) AS n;
SELECT endpoint, count(*) FROM mulberry.jobs GROUP BY 1;
SELECT mulberry_internal.report_endpoint(:one, 'HTTP 502', '2030-01-01 00:00');
SELECT item, status, detail FROM mulberry_internal.health_jobs() WHERE item LIKE 'endpoint%';
-- the one that names it waits for it
SELECT pg_temp.claimed('2030-01-01 00:00:00.5');
SELECT endpoint, state, count(*) FROM mulberry.jobs GROUP BY 1, 2 ORDER BY 1, 2;
SELECT pg_temp.again();
SELECT pg_temp.claimed('2030-01-01 00:00:01');
SELECT mulberry_internal.report_probe(:one, false, probe, 'HTTP 502', '2030-01-01 00:00:01')
  FROM mulberry_internal.endpoint_state WHERE endpoint = :one;
DELETE FROM mulberry_internal.job_queue WHERE endpoint = 'one';
SELECT pg_temp.again();
-- while it is no time to ask nobody waits for it; when it is, one comes back
SELECT pg_temp.claimed('2030-01-01 00:00:02');
SELECT pg_temp.again();
SELECT pg_temp.claimed('2030-01-01 00:00:03');
SELECT mulberry_internal.report_probe(:one, true, probe, NULL, '2030-01-01 00:00:03')
  FROM mulberry_internal.endpoint_state WHERE endpoint = :one;
-- back: they are sent there when they begin
SELECT DISTINCT mulberry_internal.job_route(q.kind, q.tenant, q.call, q.endpoint, q.passed) = :one AS at_the_first
  FROM mulberry_internal.job_queue q;
TRUNCATE mulberry_internal.job_queue, mulberry_internal.endpoint_state;
-- time is up: the next one at once, and then the first again in its time
SELECT mulberry.set_endpoint('three', 'json', 'https://three.example.com', priority => 3);
SELECT mulberry_internal.enqueue_job('transcribe', :default, NULL, NULL, NULL, '2030-01-01 00:00') IS NOT NULL AS queued;
DO $$
DECLARE
    at      timestamptz := '2030-01-01 00:00';
    claimed record;
    outcome text;
BEGIN
    FOR n IN 1 .. 6 LOOP
        SELECT c.*, e.name INTO claimed
          FROM mulberry_internal.claim_jobs(1, 10, at) c JOIN mulberry_internal.endpoints e ON e.id = c.route;
        EXIT WHEN NOT FOUND;
        outcome := mulberry_internal.fail_attempt(claimed.id, claimed.lease_token, 'timeout', 'time was over', NULL, at, n > 1);
        RAISE WARNING 'attempt % at %: %, again after %', claimed.attempts, claimed.name, outcome,
            (SELECT run_at - at FROM mulberry_internal.job_queue);
        at := (SELECT run_at FROM mulberry_internal.job_queue);
    END LOOP;
END
$$;
SELECT state, endpoint FROM mulberry.jobs;
TRUNCATE mulberry_internal.job_queue, mulberry_internal.job_history, mulberry_internal.endpoint_state;
-- one that serves all tenants is for those that have none of their own, out or not
BEGIN;
SELECT mulberry.set_endpoint('shared', 'json', 'https://all.example.com', tenant => NULL);
SELECT mulberry_internal.report_endpoint(e, 'HTTP 502', '2030-01-01 00:00') FROM unnest(ARRAY[:one, :two]) AS e;
SELECT e.name FROM mulberry_internal.endpoints e WHERE e.id = mulberry_internal.endpoint_for(:default, 'transcription');
ROLLBACK;
SELECT mulberry.drop_endpoint(e) FROM unnest(ARRAY['one', 'two', 'three', 'off', 'named']) AS e;

-- a test of an endpoint that is gone, or that says of none, is over
SELECT count(mulberry_internal.enqueue_job('test', :default, NULL, 'ai', p)) FROM unnest(ARRAY['{"endpoint": -1}', '{}', NULL]::jsonb[]) AS p;
SELECT DISTINCT route FROM mulberry_internal.job_queue;
SELECT p.ready FROM mulberry_internal.claim_jobs(1, 10) AS c, mulberry_internal.prepare_job(c.id, c.lease_token) AS p;
SELECT state, last_error, count(*) FROM mulberry.jobs GROUP BY 1, 2;
TRUNCATE mulberry_internal.job_history;
