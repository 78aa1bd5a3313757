-- How far a call is, without workers: what it waits for, its place in the queue, parts, estimates, and who may ask.
SET client_min_messages = warning;
SELECT mulberry.create_tenant('progress-a') AS a \gset
SELECT mulberry.create_tenant('progress-b') AS b \gset
TRUNCATE mulberry_internal.job_queue, mulberry_internal.job_history;
CREATE VIEW seen AS
    SELECT p.state, p.job, p.endpoint, p.running AS runs, p.parts_done AS done, p.parts, p.queue_position AS place, p.waits_for,
           p.until IS NOT NULL AS until, p.attempts, round(p.audio_seconds::numeric, 2) AS audio, round(p.estimated_seconds::numeric) AS estimate, n
      FROM generate_series(1, 6) n, mulberry.call_progress('p' || n, 'progress-a') p;
-- ten seconds each
SELECT count(mulberry.ingest_packet('p' || n, s, decode(repeat('ff', 8000), 'hex'), NULL, 'mulaw', 8000, 'progress-a'))
  FROM generate_series(1, 5) n, generate_series(0, 9) s;
SELECT mulberry.ingest_packet('p6', 0, 'words', NULL, 'text', NULL, 'progress-a') IS NOT NULL AS text;
SELECT * FROM seen WHERE n IN (1, 6);

-- no endpoint, one that is disabled, one that is out, one that serves
UPDATE mulberry_internal.endpoints SET purpose = NULL WHERE name = 'mulberry-speech' AND tenant IS NULL;
SELECT count(mulberry.complete_call('p' || n, CASE n WHEN 5 THEN 12 WHEN 6 THEN 1 ELSE 10 END, 'progress-a')) FROM generate_series(1, 6) n;
SELECT * FROM seen WHERE n = 1;
SELECT mulberry.set_endpoint('engine', 'openai', 'https://engine.example/v1', max_concurrency => 2, enabled => false, tenant => 'progress-a');
SELECT * FROM seen WHERE n = 1;
SELECT mulberry.alter_endpoint('engine', enabled => true, tenant => 'progress-a');
SELECT id AS engine FROM mulberry_internal.endpoints WHERE name = 'engine' \gset
SELECT mulberry_internal.report_endpoint(:engine, 'HTTP 503');
SELECT * FROM seen WHERE n = 1;
UPDATE mulberry_internal.endpoint_state SET state = 'half_open' WHERE endpoint = :engine;
UPDATE mulberry_internal.endpoint_state SET state = 'closed', retry_at = NULL, out_since = NULL, probe = NULL WHERE endpoint = :engine;
-- the fifth waits for packets, which it does not get before its grace period is over
UPDATE mulberry_internal.job_queue q SET run_at = now() + CASE c.call_id WHEN 'p5' THEN interval '1 hour' ELSE - interval '1 minute' * (10 - right(c.call_id, 1)::integer) END
  FROM mulberry_internal.calls c WHERE c.id = q.call;
-- others have a queue of their own
SELECT count(mulberry_internal.enqueue_job('sentiment', :'b', NULL, NULL, NULL, '2020-01-01')) FROM generate_series(1, 3);
SELECT * FROM seen ORDER BY n;

-- two are claimed; one of them is long
UPDATE mulberry_internal.job_queue SET run_at = now() + interval '1 hour' WHERE route = 0;
SELECT id AS job, lease_token AS token FROM mulberry_internal.claim_jobs(1, 1) WHERE route = :engine \gset
SELECT count(*) FROM mulberry_internal.claim_jobs(1, 1) WHERE route = :engine;
SELECT mulberry_internal.note_division(:job, :token, 4, 100, 0);
SELECT * FROM seen WHERE n < 4 ORDER BY n;
UPDATE mulberry_internal.job_queue SET payload = jsonb_set(payload, '{division,began}', to_jsonb(clock_timestamp() - interval '8 seconds')) WHERE id = :job;
SELECT mulberry_internal.save_progress(:job, :token, '{"parts_done": 1, "part_bytes": 100, "text": "good"}');
SELECT * FROM seen WHERE n = 1;
-- divided anew, nothing is done of that
SELECT mulberry_internal.note_division(:job, :token, 8, 50, 0);
SELECT runs, done, parts FROM seen WHERE n = 1;
SELECT mulberry_internal.note_division(:job, :token + 1, 80, 50, 0);
SELECT runs, done, parts FROM seen WHERE n = 1;

-- what the endpoint did lately: ten seconds of audio in four
INSERT INTO mulberry_internal.job_history (id, kind, tenant, call, route, state, attempts, deferrals, max_attempts, lease_token, created_at, started_at, finished_at)
SELECT -n, 'transcribe', :'a', c.id, :engine, 'done', 1, 0, 5, 1, now() - interval '1 hour', now() - interval '1 minute', now() - interval '56 s'
  FROM generate_series(1, 3) n, mulberry_internal.calls c WHERE c.call_id = 'p4' AND c.tenant = :'a';
UPDATE mulberry_internal.calls SET ai_result = '{"audio_seconds": 10}' WHERE call_id = 'p4' AND tenant = :'a';
UPDATE mulberry_internal.job_queue SET started_at = clock_timestamp() - interval '1 s' WHERE state = 'running';
SELECT n, place, waits_for, estimate FROM seen WHERE n < 5 ORDER BY n;

-- tried again, later; set aside; a copy of the database
SELECT mulberry_internal.fail_attempt(:job, :token, 'transient', 'HTTP 500', '1 minute') AS failed;
SELECT * FROM seen WHERE n = 1;
UPDATE mulberry_internal.job_queue SET run_at = 'infinity' WHERE id = :job;
SELECT waits_for, until, estimate FROM seen WHERE n = 1;
-- a lease that has ended
UPDATE mulberry_internal.job_queue SET run_at = now() - interval '1 s' WHERE state = 'running';
SELECT n, runs, waits_for FROM seen WHERE n = 2;
-- given up
SELECT mulberry.cancel_job(:job);
SELECT * FROM seen WHERE n = 1;

-- who may ask
CREATE ROLE regress_progress_ingest;
CREATE ROLE regress_progress_other;
CREATE ROLE regress_progress_monitor;
SELECT mulberry.grant_access('regress_progress_ingest', 'ingest', 'progress-a');
SELECT mulberry.grant_access('regress_progress_other', 'supervisor', 'progress-b');
SELECT mulberry.grant_access('regress_progress_monitor', 'monitor', NULL);
SET ROLE regress_progress_ingest;
SELECT state, waits_for FROM mulberry.call_progress('p3');
SELECT mulberry.call_progress('nobody');
SELECT mulberry.call_progress(NULL);
SET ROLE regress_progress_other;
SELECT mulberry.call_progress('p3');
SELECT mulberry.call_progress('p3', 'progress-a');
SET ROLE regress_progress_monitor;
SELECT mulberry.call_progress('p3', 'progress-a');
RESET ROLE;

-- far behind: counting ends, and costs little
INSERT INTO mulberry_internal.job_queue (kind, tenant, route, run_at, max_attempts)
SELECT 'sentiment', :'a', :engine, now() - interval '1 day', 5 FROM generate_series(1, 10050);
SELECT place FROM seen WHERE n = 3;

UPDATE mulberry_internal.endpoints SET purpose = 'transcription' WHERE name = 'mulberry-speech' AND tenant IS NULL;
DROP VIEW seen;
DELETE FROM mulberry_internal.endpoint_state WHERE endpoint = :engine;
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/sql/include/forget_tenant.sql'
\set tenant :a
\i :include
\set tenant :b
\i :include
DROP OWNED BY regress_progress_ingest, regress_progress_other, regress_progress_monitor;
DROP ROLE regress_progress_ingest, regress_progress_other, regress_progress_monitor;
