-- Tracks of a call in one file and one time: by sent_at where every track has it, else by arrival.
SET search_path = mulberry, mulberry_internal;
SET client_min_messages = warning;
\getenv srcdir PG_ABS_SRCDIR
\set errors :srcdir '/sql/include/errors.sql'
\i :errors

-- What is heard in a channel of a WAV (from 1; null: all), and when.
CREATE FUNCTION pg_temp.heard(wav bytea, channel integer) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s at %s', d.digit, round(d.start_ms, -1)), ', ' ORDER BY d.start_ms)
      FROM mulberry.wav_decode(wav, channel) w, mulberry.dtmf_detect(w.audio, w.encoding, w.sample_rate) d
$$;
-- A digit of 100 ms in 200 ms, five packets of 40 ms that were sent at a time, and then one after another.
CREATE FUNCTION pg_temp.send(call_id text, track text, digit text, first integer, at interval, rate integer DEFAULT 8000, late interval DEFAULT '0',
                             timed boolean DEFAULT true) RETURNS void LANGUAGE sql AS $$
    SELECT count(mulberry.ingest_packet(call_id, first + p, substr(audio, p * size + 1, size),
               CASE WHEN timed THEN timestamptz '2024-02-06 09:30+00' + at + p * interval '40 ms' + CASE WHEN p % 2 = 1 THEN late ELSE '0' END END,
               's16le', rate, track => track))
      FROM (SELECT mulberry.dtmf_synthesize(digit, 's16le', rate, 100, 100) AS audio, rate / 25 * 2 AS size) AS a, generate_series(0, 4) AS p
$$;

-- The agent answers 1,000 ms after the caller, who then says nothing for 2,000 ms (nothing is sent), and speaks at the same time as the agent.
SELECT pg_temp.send('talked', 'caller', '1', 0, '0 ms');
SELECT pg_temp.send('talked', 'caller', '2', 5, '2200 ms');
SELECT pg_temp.send('talked', 'agent', '7', 0, '1000 ms', late => '80 ms');
SELECT pg_temp.send('talked', 'agent', '8', 5, '2200 ms', late => '80 ms');
SELECT pg_temp.heard(call_audio_stereo('talked'), 1) AS caller, pg_temp.heard(call_audio_stereo('talked'), 2) AS agent;
SELECT pg_temp.heard(call_audio_stereo('talked', left_track => 'agent', right_track => 'caller'), 1) AS agent;
SELECT w.channels, w.sample_rate, w.duration_ms FROM wav_decode(call_audio_stereo('talked')) w;
SELECT k.name, t.place_ms, t.time_ms FROM calls c, track_times(c.id) t JOIN all_tracks k ON k.id = t.track WHERE c.call_id = 'talked' ORDER BY k.number, t.place_ms;
-- mixed: both are heard where they do not overlap
SELECT split_part(pg_temp.heard(call_audio_mixed('talked'), 1), ', ', 1) AS first, split_part(pg_temp.heard(call_audio_mixed('talked'), 1), ', ', 2) AS second;
SELECT w.channels, w.duration_ms FROM wav_decode(call_audio_mixed('talked')) w;
SELECT pg_temp.heard(call_audio_mixed('talked', tracks => '{agent}'), 1) AS agent;

-- Tracks of different rates meet at the higher one, and losses are silence in their place.
SELECT pg_temp.send('two rates', 'caller', '1', 0, '0 ms');
SELECT pg_temp.send('two rates', 'agent', '7', 0, '0 ms', 16000);
SELECT pg_temp.send('two rates', 'agent', '8', 10, '400 ms', 16000);
SELECT w.sample_rate, w.duration_ms, pg_temp.heard(call_audio_stereo('two rates'), 1) AS caller, pg_temp.heard(call_audio_stereo('two rates'), 2) AS agent
  FROM wav_decode(call_audio_stereo('two rates')) w;

-- Without sent_at in one of them it is arrival for both; here the agent's packets come when the caller's are all there.
SELECT pg_temp.send('arrival', 'caller', '1', 0, '0 ms', timed => false);
SELECT pg_temp.send('arrival', 'agent', '7', 0, '9 h');
UPDATE packets p SET received_at = timestamptz '2024-02-06 09:30+00' + p.sequence * interval '40 ms' + CASE WHEN k.number = 0 THEN '0' ELSE interval '500 ms' END
  FROM all_tracks k JOIN calls c ON c.id = k.call WHERE c.call_id = 'arrival' AND p.call = k.id;
SELECT pg_temp.heard(call_audio_stereo('arrival'), 1) AS caller, pg_temp.heard(call_audio_stereo('arrival'), 2) AS agent;

-- One track silent, or there only in name.
SELECT begin_call('one silent', encoding => 's16le', sample_rate => 8000, tracks => '{caller,agent}');
SELECT pg_temp.send('one silent', 'caller', '1', 0, '0 ms');
SELECT pg_temp.heard(call_audio_stereo('one silent'), 1) AS caller, pg_temp.heard(call_audio_stereo('one silent'), 2) AS agent, w.duration_ms, w.channels
  FROM wav_decode(call_audio_stereo('one silent')) w;
SELECT message, missing_count FROM complete_call('one silent', totals => '{"caller": 5, "agent": 0}');
SELECT length(call_audio('one silent', track => 'agent')) AS header_only;

-- A stereo recording comes out as it went in.
SELECT ingest_recording('copied', call_audio_stereo('talked'), '{caller,agent}') IS NOT NULL AS taken;
SELECT (wav_decode(call_audio_stereo('copied'))).audio = (wav_decode(call_audio_stereo('talked'))).audio AS same;

-- What is refused.
SELECT pg_temp.send('only one', 'only', '1', 0, '0 ms');
SELECT pg_temp.error_of($$SELECT call_audio_stereo('only one')$$);
SELECT pg_temp.error_of($$SELECT call_audio_stereo('talked', left_track => 'nobody')$$);
SELECT pg_temp.error_of($$SELECT call_audio_mixed('talked', tracks => '{}')$$);
SELECT pg_temp.error_of($$SELECT call_audio_mixed('talked', tracks => '{caller,nobody}')$$);
SELECT pg_temp.error_of($$SELECT call_audio_stereo('nowhere')$$);
SELECT status FROM ingest_packet('two texts', 0, 'hello', encoding => 'text', track => 'a');
SELECT status FROM ingest_packet('two texts', 0, 'hello', encoding => 'text', track => 'b');
SELECT pg_temp.error_of($$SELECT call_audio_stereo('two texts')$$);
SELECT pg_temp.send('apart', 'caller', '1', 0, '0 ms');
SELECT pg_temp.send('apart', 'agent', '7', 0, '2 h');
SELECT pg_temp.error_of($$SELECT call_audio_stereo('apart')$$);
