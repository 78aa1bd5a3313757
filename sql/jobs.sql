-- The queue, endpoints and run_jobs(), without preloading.
-- The clock is an argument wherever it matters, so that nothing here waits.
SET client_min_messages = warning;
SET timezone = 'UTC';
\set default '''6d756c62-6572-7279-8000-000000000001'''
-- what other tests left behind is not the subject
TRUNCATE mulberry_internal.job_queue, mulberry_internal.job_history;
ALTER SEQUENCE mulberry_internal.job_id RESTART 1000001;
SELECT mulberry_internal.make_partition((now() AT TIME ZONE 'UTC')::date) IS NOT NULL AS partition;

-- the schedule: 1, 2, 4, 8 s, and never more than 60 s together
SELECT n, mulberry_internal.retry_delay(n, '1 s') AS of_1_s, mulberry_internal.retry_delay(n, '4 s') AS of_4_s
  FROM generate_series(0, 7) AS n;
SELECT mulberry_internal.retry_delay(2147483647, '1 ms');

-- endpoints: what is wrong, and that nothing changes
\set VERBOSITY sqlstate
SELECT mulberry.set_endpoint('Bad Name', 'openai', 'https://api.example.com/v1');
SELECT mulberry.set_endpoint(NULL, 'openai', 'https://api.example.com/v1');
SELECT mulberry.set_endpoint('a', 'twilio', 'https://api.example.com/v1');
SELECT mulberry.set_endpoint('a', 'openai', 'https://api.example.com/v1', purpose => 'speech');
SELECT mulberry.set_endpoint('a', 'json', 'https://api.example.com/v1', purpose => 'chat');
SELECT mulberry.set_endpoint('a', 'openai', 'https://api.example.com/v1', timeout => '1 ms');
SELECT mulberry.set_endpoint('a', 'openai', 'https://api.example.com/v1', max_concurrency => 0);
SELECT mulberry.set_endpoint('a', 'openai', 'https://api.example.com/v1', options => '[]');
SELECT mulberry.set_endpoint('a', 'openai', 'https://api.example.com/v1', tenant => 'nobody');
\set VERBOSITY terse
SELECT mulberry.set_endpoint('a', 'openai', 'https://api.example.com/v1', purpose => 'chat');
SELECT mulberry.set_endpoint('a', 'openai', 'https://api.example.com/v1', options => '{"languages": "en", "stream": true}');
SELECT mulberry.set_endpoint('a', 'openai', 'https://api.example.com/v1', options => '{"response_format": "srt"}');
SELECT mulberry.set_endpoint('a', 'openai', 'https://api.example.com/v1', options => '{"max_audio_seconds": 1}');
SELECT mulberry.set_endpoint('a', 'openai', 'https://api.example.com/v1', options => '{"temperature": "hot"}');
SELECT mulberry.set_endpoint('a', 'openai', 'not a url');
SELECT mulberry.set_endpoint('a', 'openai', 'file:///etc/passwd');
SELECT mulberry.set_endpoint('a', 'openai', 'http://api.example.com/v1');
SELECT mulberry.set_endpoint('a', 'openai', 'https://user:password@api.example.com/v1');
SELECT mulberry.set_endpoint('a', 'openai', 'https://api.example.com/v1?key=1');
SELECT mulberry.set_endpoint('a', 'openai', 'https://api.example.com/v1#top');
-- a URL of requests is none of the service; the hint has that
SELECT mulberry.set_endpoint('a', 'openai', 'https://api.example.com/v1/audio/transcriptions');
SELECT mulberry.set_endpoint('a', 'openai', 'https://api.example.com/v1/chat/completions/', purpose => 'chat', model => 'm');
\set VERBOSITY default
SELECT mulberry.set_endpoint('a', 'openai', 'http://10.0.0.1/Audio/Transcriptions', allow_http => true, allow_private => true);
SELECT mulberry_internal.normalize_endpoint_url(url, false, false, 'twilio')
  FROM unnest(ARRAY['https://api.twilio.com', 'https://api.twilio.com/2010-04-01/Accounts']) AS url;
\set VERBOSITY terse
SELECT kind, mulberry_internal.normalize_endpoint_url(url, false, false, kind)
  FROM (VALUES ('json', 'https://a.example/v1/audio/transcriptions'), ('openai', 'https://a.example/transcriptions'),
               ('openai', 'https://a.example/myaudio/transcriptions')) AS v (kind, url);
SELECT url, mulberry_internal.normalize_endpoint_url(url, true, true) FROM unnest(ARRAY[
    'https://api.example.com/v1/', 'HTTPS://API.example.com:8443//', 'http://[::1]:8771/v1']) AS url;

-- addresses that are not public, whatever they are written like
DO $$
DECLARE
    host text;
BEGIN
    FOREACH host IN ARRAY ARRAY['127.0.0.1', '127.1', '0x7f.1', '2130706433', '0.0.0.0', '10.1.2.3', '100.64.0.1',
        '169.254.169.254', '172.16.0.1', '172.31.255.255', '192.168.0.1', '198.18.0.1', '224.0.0.1', '255.255.255.255',
        '[::1]', '[::]', '[::ffff:127.0.0.1]', '[::ffff:a00:1]', '[fe80::1]', '[fc00::1]', '[fd12:3456::1]',
        '[ff02::1]', '[64:ff9b::a00:1]', '[2002:7f00:1::]', '[2001:db8::1]', '[fec0::1]']
    LOOP
        BEGIN
            PERFORM mulberry_internal.normalize_endpoint_url('https://' || host || '/v1', false, false);
            RAISE WARNING '% was taken', host;
        EXCEPTION WHEN invalid_parameter_value THEN
            NULL;
        END;
        PERFORM mulberry_internal.normalize_endpoint_url('https://' || host || '/v1', false, true);
    END LOOP;
END
$$;
SELECT mulberry_internal.normalize_endpoint_url('https://' || host || '/v1', false, false)
  FROM unnest(ARRAY['8.8.8.8', '172.32.0.1', '100.128.0.1', '[2606:4700::1111]', '[::ffff:8.8.8.8]', '[64:ff9b::808:808]']) AS host;
\set VERBOSITY default

-- the endpoint of the install script, and those that take its place
SELECT name, tenant, kind, purpose, base_url, seeded, breaker FROM mulberry.endpoint_status;
SELECT mulberry.drop_endpoint('mulberry-speech', NULL);
SELECT mulberry.drop_endpoint('nothing');
SELECT mulberry.set_endpoint('first', 'openai', 'https://api.example.com/v1', model => 'whisper-1');
-- another one for the same purpose comes behind it
SET client_min_messages = notice;
SELECT mulberry.set_endpoint('second', 'json', 'https://ai.example.com');
SELECT mulberry.set_endpoint('second', 'json', 'https://ai.example.com', priority => 0);
SELECT mulberry.set_endpoint('second', 'json', 'https://ai.example.com', priority => 2, enabled => false);
SET client_min_messages = warning;
SELECT mulberry.set_endpoint('second', 'json', 'https://ai.example.com', priority => -1);
SELECT mulberry.set_endpoint('second', 'json', 'https://ai.example.com', priority => NULL);
SELECT mulberry.set_endpoint('second', 'json', 'https://ai.example.com', purpose => NULL);
CREATE FUNCTION pg_temp.route_name(route bigint) RETURNS text LANGUAGE sql
    RETURN (SELECT name FROM mulberry_internal.endpoints WHERE id = route);
BEGIN;
SELECT mulberry.set_endpoint('everybody', 'json', 'https://all.example.com', tenant => NULL);
SELECT name, tenant, kind, purpose, base_url, model FROM mulberry.endpoint_status ORDER BY name;

-- routing: by name, by the tenant's purpose, none; changes of endpoints move queued jobs
SELECT mulberry_internal.enqueue_job('transcribe', :default, NULL, e, NULL, '2030-01-01 00:00') IS NOT NULL AS queued
  FROM unnest(ARRAY[NULL, 'second', 'third']) AS e;
SELECT endpoint, state, held_because FROM mulberry.jobs ORDER BY id;
SELECT mulberry.set_endpoint('third', 'json', 'https://third.example.com', purpose => NULL);
SELECT mulberry.drop_endpoint('first');
SELECT endpoint, state, held_because FROM mulberry.jobs ORDER BY id;
SELECT mulberry.set_endpoint('third', 'json', 'https://third.example.com', purpose => NULL, enabled => false);
SELECT endpoint, state, held_because FROM mulberry.jobs ORDER BY id;
SELECT mulberry.drop_endpoint('everybody', NULL);
SELECT endpoint, state, held_because FROM mulberry.jobs ORDER BY id;
DELETE FROM mulberry_internal.endpoints WHERE name = 'second';
SELECT mulberry_internal.reroute_jobs(true) AS orphans;
SELECT endpoint, state, held_because FROM mulberry.jobs ORDER BY id;
SELECT item, status, detail FROM mulberry_internal.health_jobs() WHERE item = 'jobs without endpoint';
ROLLBACK;
SELECT mulberry.drop_endpoint('first');
SELECT mulberry_internal.enqueue_job('dance', :default);
SELECT mulberry_internal.enqueue_job(NULL, :default);

-- the life of a job that fails: claimed at :at, failed a second later
SELECT mulberry.set_endpoint('ai', 'json', 'https://ai.example.com', timeout => '10 s');
SELECT mulberry_internal.enqueue_job('transcribe', :default, NULL, NULL, NULL, '2030-01-01 00:00') AS job \gset
SELECT count(*) AS too_early FROM mulberry_internal.claim_jobs(1, 10, '2029-12-31 23:59:59');
SELECT mulberry_internal.next_job_due();
DO $$
DECLARE
    at      timestamptz := '2030-01-01 00:00';
    claimed record;
    outcome text;
    due     timestamptz;
BEGIN
    FOR n IN 1 .. 10 LOOP
        SELECT * INTO claimed FROM mulberry_internal.claim_jobs(1000 + n, 10, at);
        EXIT WHEN NOT FOUND;
        IF (SELECT run_at FROM mulberry_internal.job_queue) <> at + interval '40 s' THEN
            RAISE WARNING 'lease until %', (SELECT run_at FROM mulberry_internal.job_queue);
        END IF;
        outcome := mulberry_internal.fail_attempt(claimed.id, claimed.lease_token, 'transient', 'HTTP 503', NULL, at + interval '1 s');
        SELECT run_at INTO due FROM mulberry_internal.job_queue;
        RAISE WARNING 'attempt % of %, token %: %, again after %', claimed.attempts, claimed.max_attempts,
            claimed.lease_token, outcome, due - at - interval '1 s';
        at := due;
    END LOOP;
END
$$;
SELECT kind, state, attempts, deferrals, last_error FROM mulberry.jobs;

-- dead jobs are queued again by retry_job(), once, with all attempts
SELECT mulberry.retry_job(:job);
SELECT mulberry.retry_job(:job);
SELECT mulberry.retry_job(-1);
SELECT kind, state, attempts, max_attempts, lease_token, last_error FROM mulberry_internal.job_queue;

-- what does not count: Retry-After (at least the usual delay, an hour at most), an
-- endpoint that cannot be reached, a worker that stops
UPDATE mulberry_internal.job_queue SET run_at = '2030-01-01 00:00';
SELECT id, lease_token AS token FROM mulberry_internal.claim_jobs(1, 10, '2030-01-01 00:00') \gset
SELECT mulberry_internal.fail_attempt(:id, :token, 'transient', 'HTTP 429', '30 s', '2030-01-01 00:00:01');
SELECT run_at, attempts, deferrals FROM mulberry_internal.job_queue;
SELECT id, lease_token AS token FROM mulberry_internal.claim_jobs(1, 10, '2030-01-01 01:00') \gset
SELECT mulberry_internal.fail_attempt(:id, :token, 'transient', 'HTTP 429', '1 day', '2030-01-01 01:00:01');
SELECT run_at, attempts, deferrals FROM mulberry_internal.job_queue;
SELECT id, lease_token AS token FROM mulberry_internal.claim_jobs(1, 10, '2030-01-01 03:00') \gset
SELECT mulberry_internal.fail_attempt(:id, :token, 'transient', 'HTTP 429', '0.1 s', '2030-01-01 03:00:01');
SELECT run_at, attempts, deferrals FROM mulberry_internal.job_queue;
SELECT id, lease_token AS token FROM mulberry_internal.claim_jobs(1, 10, '2030-01-01 04:00') \gset
SELECT mulberry_internal.fail_attempt(:id, :token, 'unreachable', 'refused', NULL, '2030-01-01 04:00:01');
SELECT id, lease_token AS token FROM mulberry_internal.claim_jobs(1, 10, '2030-01-01 05:00') \gset
SELECT mulberry_internal.fail_attempt(:id, :token, 'abandoned', 'stopped', NULL, '2030-01-01 05:00:01');
SELECT run_at, attempts, deferrals, last_error FROM mulberry_internal.job_queue;
SELECT mulberry_internal.fail_attempt(:id, :token, 'abandoned', 'again', NULL, '2030-01-01 05:00:02') AS not_ours_any_more;
-- but not for ever
UPDATE mulberry_internal.job_queue SET deferrals = 100;
SELECT id, lease_token AS token FROM mulberry_internal.claim_jobs(1, 10, '2030-01-01 06:00') \gset
SELECT mulberry_internal.fail_attempt(:id, :token, 'transient', 'HTTP 429', '30 s', '2030-01-01 06:00:01');
SELECT attempts, deferrals FROM mulberry_internal.job_queue;
SELECT id, lease_token AS token FROM mulberry_internal.claim_jobs(1, 10, '2030-01-01 07:00') \gset
SELECT mulberry_internal.fail_attempt(:id, :token, 'permanent', 'HTTP 400', NULL, '2030-01-01 07:00:01');
SELECT mulberry_internal.fail_attempt(:id, :token, 'unknown', 'HTTP 400');
SELECT state, last_error FROM mulberry.jobs;
TRUNCATE mulberry_internal.job_history;

-- what is left empty is not set
SELECT mulberry.set_endpoint('empty', 'openai', 'https://empty.example.com', purpose => '', model => '', secret => '');
SELECT purpose, model, secret FROM mulberry_internal.endpoints WHERE name = 'empty';
SELECT mulberry.drop_endpoint('empty');

-- a service that has had enough is given time, and that does not count, until patience ends
SELECT mulberry_internal.enqueue_job('transcribe', :default, NULL, NULL, NULL, '2030-01-01 00:00') AS job \gset
CREATE FUNCTION pg_temp.limited(job bigint, told interval, before integer DEFAULT NULL, attempt integer DEFAULT 1)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    q    mulberry_internal.job_queue;
    said text;
BEGIN
    UPDATE mulberry_internal.job_queue x
       SET state = 'running', attempts = attempt, lease_token = 1, deferrals = coalesce(before, deferrals) WHERE x.id = job;
    said := mulberry_internal.fail_attempt(job, 1, 'limited', 'HTTP 429', told, '2030-01-01 00:00');
    SELECT x.* INTO q FROM mulberry_internal.job_queue x WHERE x.id = job;
    RETURN concat_ws(' ', said, q.attempts, q.deferrals,
        (SELECT max(d) FROM unnest(ARRAY[1, 2, 4, 8, 16, 32, 60, 3600]) AS d WHERE q.run_at >= '2030-01-01 00:00'::timestamptz + d * interval '1 s'));
END
$$;
SELECT pg_temp.limited(:job, NULL) FROM generate_series(1, 8);
SELECT pg_temp.limited(:job, '20 s'), pg_temp.limited(:job, '2 days'), pg_temp.limited(:job, '1 ms', 99),
       pg_temp.limited(:job, '20 s', 100), pg_temp.limited(:job, '20 s', 100, 5);
TRUNCATE mulberry_internal.job_history;

-- what a service refuses is remembered, until it is set again
SELECT id AS ai FROM mulberry_internal.endpoints WHERE name = 'ai' \gset
SELECT mulberry_internal.note_objections(:ai, '{temperature}'), mulberry_internal.note_objections(:ai, '{json_schema,temperature}');
SELECT mulberry_internal.note_objections(-1, '{temperature}');
SELECT refused, state FROM mulberry_internal.endpoint_state;
SELECT mulberry_internal.enqueue_job('transcribe', :default, NULL, NULL, NULL, '2030-01-01 00:00') AS job \gset
SELECT id, lease_token AS token FROM mulberry_internal.claim_jobs(111, 1, '2030-01-01 00:00') \gset
SELECT refused FROM mulberry_internal.prepare_job(:id, :token);
TRUNCATE mulberry_internal.job_queue, mulberry_internal.endpoint_state;

-- a transcript is not lost because nobody judges its sentiment, unless somebody cancels that
SELECT status FROM mulberry.ingest_packet('jobs-chat', 0, 'x', NULL, 'text');
SELECT status FROM mulberry.complete_call('jobs-chat', 1);
DELETE FROM mulberry_internal.job_queue;
SELECT id AS call FROM mulberry_internal.calls WHERE call_id = 'jobs-chat' \gset
SELECT mulberry_internal.start_processing(:call);
SELECT mulberry_internal.enqueue_job('sentiment', :default, :call, 'ai', '{"transcription": "that was wonderful", "facts": {"model": "m"}}', '2030-01-01 00:00') AS job \gset
UPDATE mulberry_internal.job_queue SET state = 'running', lease_token = 1, attempts = 1;
SELECT mulberry_internal.fail_attempt(:job, 1, 'permanent', 'the model refused');
SELECT state, transcription, sentiment, ai_result - 'missing_ranges' AS result FROM mulberry_internal.calls WHERE id = :call;
SELECT state, last_error, payload->>'transcription' AS kept FROM mulberry_internal.job_history WHERE id = :job;
TRUNCATE mulberry_internal.job_history;

-- fencing: a lease that has ended is anybody's, and its first holder's word counts no more
SELECT mulberry_internal.enqueue_job('transcribe', :default, NULL, NULL, NULL, '2030-01-01 00:00') AS job \gset
SELECT id, lease_token AS old_token FROM mulberry_internal.claim_jobs(111, 10, '2030-01-01 00:00') \gset
SELECT count(*) AS still_leased FROM mulberry_internal.claim_jobs(222, 10, '2030-01-01 00:00:39');
SELECT id, lease_token AS new_token, attempts FROM mulberry_internal.claim_jobs(222, 10, '2030-01-01 00:00:40') \gset
SELECT last_error FROM mulberry_internal.job_queue;
SELECT mulberry_internal.fail_attempt(:id, :old_token, 'permanent', 'late news');
SELECT mulberry_internal.finish_transcription(:id, :old_token, 'late', NULL, NULL, '{}');
SELECT mulberry_internal.save_progress(:id, :old_token, '{}');
SELECT (mulberry_internal.prepare_job(:id, :old_token)).ready;
SELECT state, worker, attempts, lease_token = :new_token AS new_token FROM mulberry_internal.job_queue;
-- who dies in each attempt loses the job in the end
UPDATE mulberry_internal.job_queue SET attempts = max_attempts;
SELECT id, lease_token AS token, attempts > max_attempts AS too_often FROM mulberry_internal.claim_jobs(333, 10, '2030-01-02') \gset
SELECT (mulberry_internal.prepare_job(:id, :token)).ready;
SELECT state, attempts, last_error FROM mulberry.jobs;
-- a worker that stops puts back what it holds, and nothing else
SELECT mulberry_internal.enqueue_job('transcribe', :default, NULL, NULL, NULL, '2030-01-01 00:00') IS NOT NULL FROM generate_series(1, 3);
SELECT count(*) FROM mulberry_internal.claim_jobs(111, 2, '2030-01-01 00:00');
SELECT count(*) FROM mulberry_internal.claim_jobs(222, 2, '2030-01-01 00:00');
SELECT mulberry_internal.release_jobs(111);
SELECT state, worker, attempts, deferrals FROM mulberry_internal.job_queue ORDER BY id;
TRUNCATE mulberry_internal.job_queue;

-- fair shares: three endpoints with due jobs share the room, order within one is by time
SELECT mulberry.set_endpoint('b', 'json', 'https://b.example.com', purpose => NULL);
SELECT mulberry.set_endpoint('c', 'json', 'https://c.example.com', purpose => NULL, max_concurrency => 2);
SELECT count(mulberry_internal.enqueue_job('transcribe', :default, NULL, e, jsonb_build_object('n', n),
                                  '2030-01-01 00:00'::timestamptz + n * interval '1 s'))
  FROM unnest(ARRAY['ai', 'b', 'c']) WITH ORDINALITY AS x (e, o), generate_series(1, 10) AS n WHERE e <> 'b' OR n <= 2;
SELECT pg_temp.route_name(route), array_agg(payload->'n' ORDER BY payload->'n') FROM mulberry_internal.claim_jobs(1, 9, '2030-01-02')
 GROUP BY 1 ORDER BY 1;
SELECT pg_temp.route_name(route), array_agg(payload->'n' ORDER BY payload->'n') FROM mulberry_internal.claim_jobs(2, 9, '2030-01-02')
 GROUP BY 1 ORDER BY 1;

-- so do tenants that wait for the same endpoint, however long the queue of one of them is
TRUNCATE mulberry_internal.job_queue;
SELECT mulberry.create_tenant('jobs-small') AS small \gset
SELECT mulberry.set_endpoint('shared', 'json', 'https://shared.example.com', purpose => NULL, tenant => NULL);
SELECT id AS shared FROM mulberry_internal.endpoints WHERE name = 'shared' \gset
SELECT count(mulberry_internal.enqueue_job('transcribe', :default, NULL, 'shared', NULL, '2030-01-01 00:00')) FROM generate_series(1, 1000);
SELECT count(mulberry_internal.enqueue_job('transcribe', :'small', NULL, 'shared', NULL, '2030-01-01 12:00')) FROM generate_series(1, 5);
SELECT tenant = :'small' AS small, count(*) FROM mulberry_internal.claim_jobs(1, 6, '2030-01-02') GROUP BY 1 ORDER BY 1;
-- a tenant that has all slots of a worker gets none of the reserve, another one has less than half of what is left of it
SELECT tenant = :'small' AS small, count(*)
  FROM mulberry_internal.claim_jobs(1, 16, '2030-01-02', 10, 2, array_fill(-1::bigint, '{10}'), array_fill(:default::uuid, '{10}'))
 GROUP BY 1;
SELECT count(*) AS has_its_share
  FROM mulberry_internal.claim_jobs(1, 16, '2030-01-02', 10, 2, array_fill(-1::bigint, '{11}'), array_fill(:default::uuid, '{10}') || :'small'::uuid);
-- what comes free goes to who has least
SELECT tenant = :'small' AS small, count(*)
  FROM mulberry_internal.claim_jobs(1, 1, '2030-01-02', 10, 2, array_fill(-1::bigint, '{9}'), array_fill(:default::uuid, '{8}') || :'small'::uuid)
 GROUP BY 1;
-- nor has an endpoint that has them all, whoever asks
SELECT count(*) AS of_the_endpoint
  FROM mulberry_internal.claim_jobs(1, 16, '2030-01-02', 10, 2, array_fill(:shared::bigint, '{10}'), array_fill(gen_random_uuid(), '{10}'));
TRUNCATE mulberry_internal.job_queue;
SELECT mulberry.drop_endpoint('shared', NULL);
SELECT mulberry.drop_tenant('jobs-small');

-- answers of services
CREATE FUNCTION pg_temp.try_read(kind text, answer jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    -- (segments are the subject of transcripts.sql)
    RETURN (SELECT (r.transcription, r.sentiment, r.confidence, r.language, r.dropped_segments, r.ignored)::text
              FROM mulberry_internal.read_transcription(kind, answer) AS r WHERE kind IS NOT NULL);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;
SELECT pg_temp.try_read('openai', '{"text": "hello world", "segments": [{"text": " hello world", "avg_logprob": -1e400, "no_speech_prob": 0.9}]}');
SELECT kind, left(answer::text, 110) AS answer, pg_temp.try_read(kind, answer) FROM (VALUES
    ('openai', '{"text": " hello "}'::jsonb),
    ('openai', '{"text": ""}'),
    ('openai', '{"text": null}'),
    ('openai', '{"text": null, "error": {"message": "overloaded"}}'),
    ('openai', '{"error": {"message": "overloaded"}}'),
    ('openai', '{"text": 1}'),
    ('openai', '{"text": "x", "language": ""}'),
    ('openai', '{"text": "x", "language": 7, "segments": "none"}'),
    ('openai', '{"segments": [{"text": " only"}, 1, null, {"words": []}, {"text": "segments"}]}'),
    ('openai', '{"text": "hello world", "segments": [{"text": " hello world", "avg_logprob": -0.1, "no_speech_prob": null}]}'),
    ('openai', '{"text": "hello world", "segments": [{"text": " hello world", "avg_logprob": null, "no_speech_prob": 0.9}]}'),
    ('openai', '{"text": "hello world", "segments": [{"text": " hello world", "avg_logprob": "-0.1", "no_speech_prob": "0.01"}]}'),
    ('openai', '{"text": "hello world", "segments": [{"text": " hello world", "avg_logprob": "-1.5", "no_speech_prob": "0.9"}]}'),
    ('openai', '{"text": "hello world", "segments": [{"text": " hello world", "avg_logprob": "NaN", "no_speech_prob": "a lot"}]}'),
    ('openai', '{"text": "hello world", "segments": [{"text": " hello world", "avg_logprob": [], "no_speech_prob": true}]}'),
    ('openai', '["text"]'),
    ('openai', '{"text": "x", "language": "english", "segments": []}'),
    ('openai', '{"text": "hello Thanks for watching!", "segments": [{"text": " hello", "no_speech_prob": 0.1, "avg_logprob": -0.3}, {"text": " Thanks for watching!", "no_speech_prob": 0.9, "avg_logprob": -1.4}]}'),
    ('openai', '{"text": "quiet but sure", "segments": [{"text": " quiet but sure", "no_speech_prob": 0.9, "avg_logprob": -0.2}]}'),
    ('json', '{"transcription": "hello", "sentiment": "Positive", "confidence": 0.8}'),
    ('json', '{"transcription": "hello"}'),
    ('json', '{"transcription": "hello", "sentiment": null, "confidence": null}'),
    ('json', '{"transcription": "hello", "sentiment": "cheerful"}'),
    ('json', '{"transcription": "hello", "sentiment": 1}'),
    ('json', '{"transcription": "hello", "sentiment": "neutral", "confidence": 1.5}'),
    ('json', '{"transcription": "hello", "sentiment": "neutral", "confidence": "high"}'),
    ('json', '{"transcription": null, "sentiment": " NEUTRAL ", "confidence": "0.5"}'),
    ('json', '{"transcription": null, "error": "overloaded"}'),
    ('json', '{"transcription": "hello", "sentiment": {"label": "positive"}}'),
    ('json', '{"transcription": "hello", "sentiment": "neutral", "confidence": 1e20}'),
    ('json', '"hello"'),
    ('twilio', '{}'),
    ('json', '{"text": "hello"}')) AS v (kind, answer);
CREATE FUNCTION pg_temp.try_sentiment(message jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN mulberry_internal.read_sentiment(jsonb_build_object('choices', jsonb_build_array(jsonb_build_object('message', message))))::text;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;
SELECT pg_temp.try_read(NULL, '{}'), pg_temp.try_sentiment(NULL);
SELECT message, pg_temp.try_sentiment(message) FROM (VALUES
    ('{"content": "{\"sentiment\": \"negative\", \"confidence\": 0.5}", "refusal": null}'::jsonb),
    ('{"content": "{\"sentiment\": \"bad\", \"confidence\": 0.5}"}'),
    ('{"content": "{\"sentiment\": \"negative\"}"}'),
    ('{"content": "{\"sentiment\": \"negative\", \"confidence\": 2}"}'),
    ('{"content": "negative"}'),
    ('{"content": "[]"}'),
    ('{"content": "Negative."}'),
    ('{"content": "```json\n{\"sentiment\": \"Positive\", \"confidence\": \"0.9\"}\n```"}'),
    ('{"content": "<think>{\"sentiment\": \"positive\"} no, {it}</think>So: {\"sentiment\": \"negative\", \"confidence\": null} I hope {this} helps."}'),
    ('{"content": [{"type": "text", "text": "{\"sentiment\": "}, {"type": "text", "text": "\"neutral\"}"}]}'),
    ('{"content": "I cannot say."}'),
    ('{"content": null, "refusal": "I would rather not"}'),
    ('{}')) AS v (message);

-- run_jobs(): a text call from packets to transcript in this session
SELECT mulberry.drop_endpoint('ai');
SELECT status FROM mulberry.ingest_packet('jobs-text', 0, 'that was a', NULL, 'text');
SELECT status FROM mulberry.ingest_packet('jobs-text', 1, 'wonderful idea', NULL, 'text');
SELECT status FROM mulberry.complete_call('jobs-text', 2);
SELECT kind, call_id, endpoint, state FROM mulberry.jobs WHERE call_id = 'jobs-text';
CALL mulberry.run_jobs();
SELECT kind, call_id, endpoint, state, attempts FROM mulberry.jobs WHERE call_id = 'jobs-text';
SELECT state, transcription, sentiment, ai_result->'sentiment' AS engine FROM mulberry_internal.calls WHERE call_id = 'jobs-text';
BEGIN;
CALL mulberry.run_jobs();
ROLLBACK;
CALL mulberry.run_jobs(-1);
CALL mulberry.run_jobs('NaN');

-- nobody listens there: the job waits, uncounted, and the view says why
SELECT mulberry.set_endpoint('nobody', 'json', 'http://127.0.0.1:1/', allow_http => true, allow_private => true);
SELECT status FROM mulberry.ingest_packet('jobs-nobody', 0, 'hello', NULL, 'text');
SELECT status FROM mulberry.complete_call('jobs-nobody', 1);
CALL mulberry.run_jobs();
SELECT state, attempts, deferrals >= 1 AS deferred, held_because ~ '^endpoint "nobody" is unavailable: .*127[.]0[.]0[.]1( port |:)1\y' AS why
  FROM mulberry.jobs WHERE call_id = 'jobs-nobody';
-- a private address behind a name is not asked either
SELECT mulberry.set_endpoint('nobody', 'json', 'http://localhost:1/', allow_http => true);
UPDATE mulberry_internal.job_queue SET run_at = now();
CALL mulberry.run_jobs();
SELECT attempts, held_because LIKE '%: its address is not public and the endpoint does not allow private addresses' AND held_because !~ '127.0.0.1|::1' AS why
  FROM mulberry.jobs WHERE call_id = 'jobs-nobody';
-- cancelled, its call fails and the result of a request under way would be stale
SELECT id AS job FROM mulberry.jobs WHERE call_id = 'jobs-nobody' \gset
SELECT mulberry.cancel_job(:job);
SELECT mulberry.cancel_job(:job);
SELECT mulberry.cancel_job(-1);
SELECT j.state, j.last_error = 'cancelled by ' || current_user AS by_whom, c.state, c.failure_reason = j.last_error AS reason
  FROM mulberry.jobs j JOIN mulberry_internal.calls c USING (call_id) WHERE j.call_id = 'jobs-nobody';
-- and is tried again on request; without its packets there is nothing to transcribe
SELECT mulberry.retry_job(:job);
SELECT state FROM mulberry_internal.calls WHERE call_id = 'jobs-nobody';
SELECT mulberry.drop_endpoint('nobody');
DELETE FROM mulberry_internal.packets p USING mulberry_internal.calls c WHERE c.id = p.call AND c.call_id = 'jobs-nobody';
CALL mulberry.run_jobs();
SELECT state, failure_reason FROM mulberry_internal.calls WHERE call_id = 'jobs-nobody';
SELECT mulberry.retry_job(id) FROM mulberry.jobs WHERE call_id = 'jobs-text';
SELECT state, jobs, overdue FROM mulberry.job_summary ORDER BY state;

-- finished jobs are kept for mulberry.job_retention
SELECT count(*) > 0 AS some FROM mulberry_internal.job_history;
SELECT mulberry_internal.purge_jobs(now() + interval '29 days');
SELECT mulberry_internal.purge_jobs(now() + interval '31 days', 1);
SELECT mulberry_internal.purge_jobs(now() + interval '31 days') > 0 AS the_rest;
SELECT count(*) FROM mulberry_internal.job_history;
SELECT * FROM mulberry.stat_workers;

-- who may see and do what
CREATE ROLE regress_jobs_operator;
CREATE ROLE regress_jobs_admin;
CREATE ROLE regress_jobs_other;
CREATE ROLE regress_jobs_ingest;
SELECT mulberry.create_tenant('jobs-other') IS NOT NULL AS created;
SELECT mulberry.grant_access('regress_jobs_operator', 'operator');
SELECT mulberry.grant_access('regress_jobs_admin', 'admin');
SELECT mulberry.grant_access('regress_jobs_other', 'operator', 'jobs-other');
SELECT mulberry.grant_access('regress_jobs_other', 'admin', 'jobs-other');
SELECT mulberry.grant_access('regress_jobs_ingest', 'ingest');
SELECT mulberry_internal.enqueue_job('transcribe', :default, NULL, NULL, NULL, '2030-01-01 00:00') AS job \gset
\set VERBOSITY sqlstate
SET ROLE regress_jobs_other;
SELECT count(*) AS others FROM mulberry.jobs;
SELECT mulberry.cancel_job(:job);
SELECT mulberry.retry_job(:job);
SELECT mulberry.set_endpoint('x', 'json', 'https://x.example.com');
SELECT mulberry.set_endpoint('x', 'json', 'https://x.example.com', tenant => NULL);
SELECT mulberry.set_endpoint('x', 'json', 'http://10.0.0.1', allow_http => true, allow_private => true, tenant => 'jobs-other');
SELECT mulberry.set_endpoint('x', 'json', 'https://x.example.com', tenant => 'jobs-other');
SELECT name, tenant FROM mulberry.endpoint_status ORDER BY name;
SELECT mulberry_internal.claim_jobs(1, 1);
SELECT * FROM mulberry_internal.job_queue;
SET ROLE regress_jobs_ingest;
SELECT * FROM mulberry.jobs;
SELECT mulberry_internal.enqueue_job('transcribe', :default);
CALL mulberry.run_jobs();
SET ROLE regress_jobs_admin;
SELECT name, tenant FROM mulberry.endpoint_status ORDER BY name;
SELECT mulberry.drop_endpoint('x', 'jobs-other');
SET ROLE regress_jobs_operator;
SELECT count(*) FROM mulberry.stat_workers;
SELECT state FROM mulberry.job_summary;
SELECT mulberry.set_endpoint('x', 'json', 'https://x.example.com');
SELECT mulberry.cancel_job(:job);
SELECT state, last_error FROM mulberry.jobs;
RESET ROLE;
SELECT payload->>'role' AS role FROM mulberry_internal.events WHERE event = 'job_cancelled' ORDER BY id DESC LIMIT 1;
SELECT mulberry.drop_endpoint('x', 'jobs-other');
SELECT mulberry.drop_endpoint('second');
SELECT mulberry.drop_endpoint('b');
SELECT mulberry.drop_endpoint('c');
SELECT mulberry.revoke_access('regress_jobs_operator', 'operator');
SELECT mulberry.revoke_access('regress_jobs_admin', 'admin');
SELECT mulberry.revoke_access('regress_jobs_other', 'operator', 'jobs-other');
SELECT mulberry.revoke_access('regress_jobs_other', 'admin', 'jobs-other');
SELECT mulberry.revoke_access('regress_jobs_ingest', 'ingest');
SELECT mulberry.drop_tenant('jobs-other');
DROP ROLE regress_jobs_operator, regress_jobs_admin, regress_jobs_other, regress_jobs_ingest;

-- A clock that was set back: what was made or begun later than now is noticed and made due; what is set aside stays so.
BEGIN;
UPDATE mulberry_internal.job_queue SET run_at = 'infinity';
INSERT INTO mulberry_internal.job_queue (kind, tenant, endpoint, payload, state, run_at, max_attempts, created_at, started_at)
SELECT 'escalate', t.id, 'none', '{"command": 0}', s.state, clock_timestamp() + s.due, 5, clock_timestamp() + s.made, clock_timestamp() + s.begun
  FROM mulberry_internal.tenants t,
       (VALUES ('queued', interval '1 day', interval '1 day', NULL::interval), ('queued', '1 day', '-2 days', '1 day'),
               ('queued', '1 hour', '-2 days', '-1 hour'), ('running', '1 day', '1 day', '1 day')) AS s (state, due, made, begun)
 WHERE t.name = 'default';
SELECT status, detail, hint FROM mulberry.health() WHERE item = 'clock';
SELECT mulberry_internal.mend_due_times() AS mended;
SELECT state, run_at <= clock_timestamp() AS due, run_at <= clock_timestamp() + interval '31 seconds' AS soon, isfinite(run_at) AS finite
  FROM mulberry_internal.job_queue WHERE payload = '{"command": 0}' ORDER BY id;
SELECT count(*) AS mended_set_aside FROM mulberry_internal.job_queue WHERE payload <> '{"command": 0}' AND isfinite(run_at);
SELECT count(*) AS complaints FROM mulberry.health() WHERE item = 'clock' AND status <> 'ok';
ROLLBACK;
