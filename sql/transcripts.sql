-- Transcripts with times: what becomes of what engines say, who may read it, how it is found, and that it goes with its call.
SET client_min_messages = warning;
\set VERBOSITY terse
\set SHOW_CONTEXT never
\set default '''6d756c62-6572-7279-8000-000000000001'''
TRUNCATE mulberry_internal.job_queue, mulberry_internal.job_history;
SELECT mulberry_internal.make_partition((now() AT TIME ZONE 'UTC')::date) IS NOT NULL AS partition;

-- ---- times that engines tell, of 10 s ----

CREATE FUNCTION pg_temp.heard(answer jsonb, kind text DEFAULT 'openai') RETURNS TABLE (start_ms text, end_ms text, speaker text, said text, confidence text, words text) LANGUAGE sql AS $$
    SELECT s->>'start_ms', s->>'end_ms', s->>'speaker', s->>'text', s->>'confidence',
           (SELECT string_agg(format('%s %s-%s', w->>'word', w->>'start_ms', w->>'end_ms'), ', ' ORDER BY n) FROM jsonb_array_elements(s->'words') WITH ORDINALITY AS w (w, n))
      FROM jsonb_array_elements((mulberry_internal.read_transcription(kind, answer, 10)).segments) WITH ORDINALITY AS s (s, n) ORDER BY n
$$;
-- as they should be: words beside the segments, and within them
SELECT * FROM pg_temp.heard('{"text": "Hello there. Good day.", "segments": [
    {"start": 0.5, "end": 1.5, "text": " Hello there.", "avg_logprob": -0.1}, {"start": 2, "end": 3, "text": " Good day.", "avg_logprob": -0.2}],
    "words": [{"word": "Hello", "start": 0.6, "end": 0.9}, {"word": "there", "start": 0.9, "end": 1.4}, {"word": "Good", "start": 2.1, "end": 2.4}, {"word": "day", "start": 2.5, "end": 2.9}]}');
SELECT * FROM pg_temp.heard('{"transcription": "hello there", "segments": [{"start": 0.5, "end": 1.5, "text": "hello there", "speaker": "A", "words": [
    {"word": " hello", "start": 0.6, "end": 0.9, "probability": 0.5}, {"word": " there", "start": 0.9, "end": 1.4, "probability": 0.75}]}]}', 'json');
-- words alone are cut at pauses and where the speaker changes; nothing at all is one segment
SELECT * FROM pg_temp.heard('{"transcription": "one two three four", "words": [{"word": "one", "start": 1, "end": 1.3}, {"word": "two", "start": 1.4, "end": 1.6},
    {"word": "three", "start": 3, "end": 3.3}, {"word": "four", "start": 3.3, "end": 3.5, "speaker": "B"}]}', 'json');
SELECT * FROM pg_temp.heard('{"text": "only words"}');
SELECT * FROM pg_temp.heard('{"text": "  ", "segments": [{"start": 0, "end": 1, "text": " "}]}');
-- times that run backwards, overlap, are none, lie outside
SELECT * FROM pg_temp.heard('{"text": "a b c d", "segments": [{"start": 1, "end": 2, "text": "a"}, {"start": 9, "end": 9.5, "text": "b"}, {"start": 4, "end": 5, "text": "c"}, {"start": 6, "end": 7, "text": "d"}]}');
SELECT * FROM pg_temp.heard('{"text": "a b c", "segments": [{"start": 8, "end": 9, "text": "a"}, {"start": 5, "end": 6, "text": "b"}, {"start": 2, "end": 3, "text": "c"}]}');
SELECT * FROM pg_temp.heard('{"text": "a b c", "segments": [{"start": 0, "end": 6, "text": "a"}, {"start": 3, "end": 2, "text": "b"}, {"start": 4, "end": 99, "text": "c"}]}');
SELECT * FROM pg_temp.heard('{"text": "a b", "segments": [{"start": 0, "end": 6, "text": "a", "speaker": "A"}, {"start": 3, "end": 8, "text": "b", "speaker": "B"}]}');
SELECT * FROM pg_temp.heard('{"text": "a b c d", "segments": [{"start": null, "end": null, "text": "a"}, {"start": "NaN", "end": "Infinity", "text": "b"}, {"start": {}, "end": [], "text": "c"}, {"start": -1e300, "end": 1e300, "text": "d"}]}');
SELECT * FROM pg_temp.heard('{"text": "a b", "segments": [{"start": 0, "end": 5, "text": "a", "words": [{"word": "a", "start": 4.9, "end": 1}]}, {"start": 5, "end": 10, "text": "b", "words": [{"word": "b", "start": "NaN", "end": "NaN", "probability": "NaN"}]}]}');
-- what the model takes for silence goes with its words
SELECT * FROM pg_temp.heard('{"text": "Thanks for watching! Yes.", "segments": [{"start": 0, "end": 3, "text": " Thanks for watching!", "no_speech_prob": 0.9, "avg_logprob": -1.5}, {"start": 4, "end": 5, "text": " Yes.", "no_speech_prob": 0.1, "avg_logprob": -0.5}],
    "words": [{"word": "Thanks", "start": 0, "end": 1}, {"word": "for", "start": 1, "end": 2}, {"word": "watching", "start": 2, "end": 3}, {"word": "Yes", "start": 4, "end": 5}]}');
-- what is no segment is left out, and nothing of it is an error
SELECT * FROM pg_temp.heard('{"text": "x", "segments": {"start": 1}, "words": "x"}');
SELECT * FROM pg_temp.heard('{"text": "x", "segments": [1, null, "x", [], {"text": 7, "start": 0}, {"text": "x", "words": [1, {"word": null}, {"start": 2}]}]}');
SELECT * FROM mulberry_internal.read_transcription('openai', '{"text": "x"}', 'NaN');

-- ---- a call in two parts ----

CREATE FUNCTION pg_temp.transcribe(call_id text, transcription text, VARIADIC parts jsonb[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    j record;
    done boolean;
BEGIN
    PERFORM mulberry_internal.start_processing(c.id) FROM mulberry_internal.calls c WHERE c.call_id = transcribe.call_id;
    UPDATE mulberry_internal.job_queue q SET state = 'running', lease_token = 7, attempts = 1
      FROM mulberry_internal.calls c WHERE c.id = q.call AND c.call_id = transcribe.call_id RETURNING q.id INTO j;
    FOR part IN 1 .. coalesce(cardinality(parts), 0) LOOP
        PERFORM mulberry_internal.keep_segments(j.id, 7, part - 1, parts[part]);
    END LOOP;
    -- whoever has lost the lease stores nothing
    PERFORM mulberry_internal.keep_segments(j.id, 6, 0, '[{"text": "late"}]');
    SELECT mulberry_internal.finish_transcription(j.id, 7, transcribe.transcription, NULL, NULL, '{"model": "m", "language": "english"}') INTO done;
    RETURN done;
END
$$;
SELECT mulberry.ingest_packet('tr-call', 0, decode(repeat('00', 16000), 'hex'), NULL, 'mulaw', 8000) IS NOT NULL AS sent, mulberry.complete_call('tr-call', 1) IS NOT NULL AS completed;
SELECT * FROM mulberry.call_segments('tr-call');
SELECT mulberry.call_transcript('tr-call') IS NULL AS not_yet;
SELECT pg_temp.transcribe('tr-call', 'that was wonderful & kind it is <b>terrible</b> goodbye',
    '[{"text": "that was wonderful & kind", "start_ms": 120, "end_ms": 1500, "confidence": 0.9, "words": [{"word": "that", "start_ms": 120, "end_ms": 300, "confidence": 0.8}]},
      {"text": "it is <b>terrible</b>", "speaker": "B", "start_ms": 2000, "end_ms": 3000}]',
    '[{"text": "goodbye", "speaker": "B", "start_ms": 3661234, "end_ms": 3662000}]');
SELECT * FROM mulberry.call_segments('tr-call');
SELECT mulberry.call_transcript('tr-call');
SELECT mulberry.call_transcript('tr-call', 'srt');
SELECT mulberry.call_transcript('tr-call', 'vtt');
SELECT jsonb_pretty(mulberry.call_transcript('tr-call', 'json')::jsonb);
-- subtitles of what has no turns: two lines of 42 characters and seven seconds at most, cut at what the engine says of words
CREATE FUNCTION pg_temp.cues(said text, start_ms integer, end_ms integer, words jsonb DEFAULT NULL, speaker_room integer DEFAULT 0)
RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('%s-%s %s', begins, ends, replace(lines, E'\n', ' | ')) FROM mulberry_internal.subtitle_cues($1, $2, $3, $4, $5)
$$;
\set long '''I am calling about the invoice that you have sent me last week because there is something wrong with it, and nobody answers my letters. Please call me back'''
SELECT pg_temp.cues(:long, 0, 8000);
SELECT pg_temp.cues(:long, 0, 8000, speaker_room => 12);
SELECT pg_temp.cues('two lines of forty-two characters, no more, fit into a cue', 100, 7100);
SELECT pg_temp.cues('short', 0, 30000);
SELECT pg_temp.cues('four words in a quarter of a minute', 0, 15000);
-- words with times, said late, and written otherwise than the text has them
SELECT pg_temp.cues('Hello there, Mr. Miller! Twenty-five of them, is it?', 0, 12000, '[
    {"word": "hello", "start_ms": 1000, "end_ms": 1400}, {"word": "there", "start_ms": 1400, "end_ms": 2000}, {"word": "mr", "start_ms": 2100, "end_ms": 2300},
    {"word": "miller", "start_ms": 2300, "end_ms": 3000}, {"word": "twenty", "start_ms": 9000, "end_ms": 9300}, {"word": "five", "start_ms": 9300, "end_ms": 9600},
    {"word": "of", "start_ms": 9600, "end_ms": 9700}, {"word": "them", "start_ms": 9700, "end_ms": 10000}, {"word": "is", "start_ms": 10000, "end_ms": 10500},
    {"word": "it", "start_ms": 10500, "end_ms": 11000}]');
SELECT pg_temp.cues('one two three four five six seven', 0, 14000, '[{"word": "one", "start_ms": 1, "end_ms": 2}, {"word": "two"}]');
SELECT pg_temp.cues('one two three four five six seven', 0, 14000, '[{"word": "...", "start_ms": 1, "end_ms": 2}]');
-- scripts without spaces, and what is no word
SELECT pg_temp.cues(repeat('x', 100), 0, 5000);
SELECT pg_temp.cues('- . - .', 0, 9000);
SELECT pg_temp.cues('', 0, 9000);
SELECT pg_temp.cues('no time', 5, 5);
-- of segments of any kind nothing is lost and nothing too long, and times go forwards within the segment's
SELECT setseed(0.25);
CREATE TEMP TABLE spoken AS
    SELECT n, string_agg(repeat('x', 1 + (random() ^ 3 * 18)::integer) || (ARRAY['', '', ',', '.'])[1 + (random() * 3)::integer], ' ') AS said
      FROM generate_series(1, 300) AS n, generate_series(1, 1 + n % 97) AS k GROUP BY n;
SELECT count(*) > 600 AS many, bool_and(c.lines !~ '\n.*\n') AS two_lines, max(c.ends - c.begins) <= 7000 AS seconds,
       bool_and(length(split_part(c.lines, E'\n', 1)) <= greatest(42 - n % 30, 21)) AS first_line,
       bool_and(length(split_part(c.lines, E'\n', 2)) <= 42) AS second_line
  FROM spoken CROSS JOIN LATERAL mulberry_internal.subtitle_cues(said, n, n + 60 * length(said), NULL, n % 30) AS c;
SELECT bool_and(whole = said) AS nothing_lost, bool_and(forwards) AS forwards
  FROM (SELECT n, said, string_agg(replace(lines, E'\n', ' '), ' ' ORDER BY part) AS whole, bool_and(begins >= before AND ends >= begins) AS forwards
          FROM (SELECT s.n, s.said, c.*, lag(c.ends, 1, s.n) OVER (PARTITION BY s.n ORDER BY c.part) AS before
                  FROM spoken AS s CROSS JOIN LATERAL mulberry_internal.subtitle_cues(said, n, n + 60 * length(said), NULL, n % 30)
                       WITH ORDINALITY AS c (begins, ends, lines, part)) AS x
         GROUP BY n, said) AS y;
-- who speaks is told with each
SELECT mulberry_internal.put_segments(id, 0, 0, jsonb_build_array(
           jsonb_build_object('text', :long, 'speaker', 'A <b>', 'start_ms', 0, 'end_ms', 8000),
           jsonb_build_object('text', 'I see & hear.', 'speaker', 'agent', 'start_ms', 1000, 'end_ms', 2000)))
  FROM mulberry_internal.calls WHERE call_id = 'tr-call';
SELECT mulberry.call_transcript('tr-call', 'srt');
SELECT mulberry.call_transcript('tr-call', 'vtt');
-- the first part again, by a job that began anew: nothing of the earlier one is left
SELECT mulberry_internal.put_segments(id, 0, 0, '[{"text": "anew", "start_ms": 0, "end_ms": 10}]') FROM mulberry_internal.calls WHERE call_id = 'tr-call';
SELECT start_ms, text FROM mulberry.call_segments('tr-call');

-- without times there are no subtitles; an empty transcript has no segment
SELECT mulberry.ingest_packet('tr-text', 0, 'the invoice was wrong', NULL, 'text') IS NOT NULL AS sent, mulberry.complete_call('tr-text', 1) IS NOT NULL AS completed;
SELECT pg_temp.transcribe('tr-text', 'the invoice was wrong', VARIADIC '{}');
SELECT * FROM mulberry.call_segments('tr-text');
SELECT mulberry.call_transcript('tr-text', 'srt');
SELECT mulberry.ingest_packet('tr-empty', 0, '\xff', NULL, 'mulaw', 8000) IS NOT NULL AS sent, mulberry.complete_call('tr-empty', 1) IS NOT NULL AS completed;
SELECT pg_temp.transcribe('tr-empty', '', '[]');
SELECT * FROM mulberry.call_segments('tr-empty');
SELECT format, mulberry.call_transcript('tr-empty', format) FROM unnest(ARRAY['text', 'srt', 'vtt']) AS format;

-- ---- what is wrong ----

\getenv srcdir PG_ABS_SRCDIR
\set errors :srcdir '/sql/include/errors.sql'
\i :errors
SELECT pg_temp.error_of('SELECT mulberry.' || call)
  FROM (VALUES ($$call_segments('nobody')$$), ('call_segments(NULL)'), ($$call_segments('tr-call', 'nowhere')$$), ($$call_transcript('tr-call', 'docx')$$),
               ($$call_transcript('tr-call', NULL)$$), ($$call_transcript('nobody', 'srt')$$), ('search_calls(NULL)'), ($$search_calls('x', max_calls => 0)$$),
               ($$search_calls(repeat('x', 1001))$$), ($$search_calls('x', tenant => 'nowhere')$$), ($$create_tenant('tr-odd', language => 'klingon')$$),
               ($$alter_tenant('default', language => 'english; DROP TABLE calls')$$)) AS t (call);

-- ---- search ----

SELECT mulberry.create_tenant('tr-german', language => 'german') IS NOT NULL AS made;
SELECT mulberry.ingest_packet('tr-call', 0, 'x', NULL, 'text', NULL, 'tr-german') IS NOT NULL AS sent, mulberry.complete_call('tr-call', 1, 'tr-german') IS NOT NULL AS completed;
-- (finished without segments)
SELECT mulberry_internal.start_processing(c.id), mulberry_internal.finish_call(c.id, 'Die Rechnungen waren falsch, invoice', NULL, NULL, NULL)
  FROM mulberry_internal.calls c JOIN mulberry_internal.tenants t ON t.id = c.tenant WHERE t.name = 'tr-german';
SELECT tenant_name, call_id, headline, start_ms FROM mulberry.search_calls('invoices');
SELECT tenant_name, call_id, headline FROM mulberry.search_calls('Rechnung');
SELECT call_id FROM mulberry.search_calls('"wonderful & kind" terrible');
SELECT call_id FROM mulberry.search_calls('kind -terrible');
SELECT call_id FROM mulberry.search_calls('kind or invoice', tenant => 'default');
SELECT call_id FROM mulberry.search_calls('kind or invoice', max_calls => 1, tenant => 'default');
SELECT call_id FROM mulberry.search_calls('kind or invoice', since => now() + interval '1 hour');
SELECT call_id FROM mulberry.search_calls('kind or invoice', since => now() - interval '1 hour', before => now() + interval '1 hour', tenant => 'default');
SELECT call_id FROM mulberry.search_calls('kind or invoice', before => '-infinity');
SELECT call_id FROM mulberry.search_calls('kind', since => '-infinity', before => 'infinity');
SET client_min_messages = notice;
SELECT call_id FROM mulberry.search_calls('the');
SELECT call_id FROM mulberry.search_calls('');
SET client_min_messages = warning;
-- the word that stands for a tenant is nobody's to say
SELECT call_id FROM mulberry.search_calls('mulberry/6d756c62-6572-7279-8000-000000000001/english', tenant => 'tr-german');
-- calls that are there keep their language, new ones have the tenant's
SELECT mulberry.alter_tenant('tr-german', language => 'english');
SELECT call_id FROM mulberry.search_calls('Rechnung', tenant => 'tr-german');
-- everybody finds his own
CREATE ROLE regress_tr_supervisor;
SELECT mulberry.grant_access('regress_tr_supervisor', 'supervisor', 'tr-german');
SET ROLE regress_tr_supervisor;
SELECT tenant_name, call_id FROM mulberry.search_calls('invoice');
SELECT tenant_name, call_id FROM mulberry.search_calls('invoice', tenant => 'default');
SELECT text FROM mulberry.call_segments('tr-call', 'default');
SELECT mulberry.call_transcript('tr-call');
RESET ROLE;
-- a transcript that is too long for an index has its beginning there
DO $$ BEGIN PERFORM mulberry_internal.index_transcript(id, tenant, 'beginning ' || (SELECT string_agg('word' || n, ' ') FROM generate_series(1, 200000) n) || ' ending')
   FROM mulberry_internal.calls WHERE call_id = 'tr-empty'; END $$;
SELECT x.search @@ 'begin' AS beginning, x.search @@ 'end' AS ending FROM mulberry_internal.transcripts x JOIN mulberry_internal.calls c ON c.id = x.call WHERE c.call_id = 'tr-empty';

-- ---- they go with their call ----

SELECT id AS call FROM mulberry_internal.calls WHERE call_id = 'tr-text' \gset
SELECT mulberry.erase_call('tr-text');
SELECT (SELECT count(*) FROM mulberry_internal.segments WHERE call = :call) AS segments, (SELECT count(*) FROM mulberry_internal.transcripts WHERE call = :call) AS transcripts;
SELECT call_id FROM mulberry.search_calls('invoice', tenant => 'default');
SELECT id AS call FROM mulberry_internal.calls WHERE call_id = 'tr-call' AND tenant = :default \gset
UPDATE mulberry_internal.calls SET finished_at = now() - interval '40 days' WHERE id = :call;
SELECT mulberry.alter_tenant('default', retention => '30 days');
SELECT action, object FROM mulberry.retention() WHERE object = 'default';
SELECT mulberry.alter_tenant('default', reset_retention => true);
SELECT (SELECT count(*) FROM mulberry_internal.segments WHERE call = :call) AS segments, (SELECT count(*) FROM mulberry_internal.transcripts WHERE call = :call) AS transcripts;
-- and with a row that is deleted by hand
DELETE FROM mulberry_internal.calls c USING mulberry_internal.tenants t WHERE t.id = c.tenant AND t.name = 'tr-german';
SELECT count(*) AS orphans FROM mulberry_internal.transcripts x WHERE NOT EXISTS (SELECT FROM mulberry_internal.calls c WHERE c.id = x.call);
SELECT mulberry.erase_call('tr-empty');
SELECT mulberry.revoke_access('regress_tr_supervisor', 'supervisor', 'tr-german');
DROP ROLE regress_tr_supervisor;

-- ---- several tracks: a job each, the empty one none, and the whole in order ----

SELECT count(*) FROM mulberry.ingest_packets('{tr-two,tr-two,tr-two}', '{0,0,1}', '{"good morning","I am angry","and I want my money"}',
    encoding => 'text', tracks => '{agent,caller,caller}');
SELECT status FROM mulberry.complete_call('tr-two', NULL, totals => '{"agent": 1, "caller": 2}');
CALL mulberry.run_jobs();
SELECT state, transcription, sentiment, ai_result->'tracks'->0->>'track' AS first, ai_result->'tracks'->1->>'track' AS second FROM mulberry_internal.calls WHERE call_id = 'tr-two';
SELECT track, start_ms, text, sentiment FROM mulberry.call_segments('tr-two');
SELECT mulberry.call_transcript('tr-two');
