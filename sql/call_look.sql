-- A stored call to look at: where somebody speaks in it, and its picture.
SET search_path = mulberry, mulberry_internal;
SET client_min_messages = warning;

-- A voice: a buzz of 140 Hz with the strength of syllables, in bursts of 400 ms behind 200 ms of noise.
CREATE FUNCTION pg_temp.voice(seconds numeric, rate integer, pitch integer DEFAULT 140) RETURNS bytea LANGUAGE sql AS $$
    SELECT string_agg(set_byte(set_byte('\x0000', 0, v.n & 255), 1, (v.n >> 8) & 255), '' ORDER BY t)
      FROM generate_series(0, (seconds * rate)::integer - 1) AS t
           CROSS JOIN LATERAL (SELECT (((t * 7919) % 61) - 30
               + CASE WHEN (t * 1000.0 / rate)::integer % 1000 BETWEEN 200 AND 600
                      THEN 3000 * (sin(2 * pi() * pitch * 3 * t / rate) + sin(2 * pi() * pitch * 5 * t / rate)) ELSE 0 END)::integer) AS v (n)
$$;
CREATE TEMP TABLE voices AS SELECT rate, pg_temp.voice(4.1, rate) AS audio FROM (VALUES (8000), (16000)) AS r (rate);
-- Packets of 20 ms, without those in "lost", said to be sent "at" a time and those from "pause" on two seconds later.
CREATE FUNCTION pg_temp.send(call_id text, rate integer, track text, at interval DEFAULT '0', lost integer[] DEFAULT '{}', pause integer DEFAULT 1000)
RETURNS bigint LANGUAGE sql AS $$
    SELECT count(ingest_packet(call_id, n, substr(audio, 1 + n * rate / 25, rate / 25),
                     timestamptz '2026-02-06 09:30+00' + at + n * interval '20 ms' + CASE WHEN n >= pause THEN interval '2 s' ELSE '0' END,
                     's16le', rate, track => track))
      FROM voices v, generate_series(0, 204) AS n WHERE v.rate = send.rate AND n <> ALL (lost)
$$;
CREATE FUNCTION pg_temp.as_in_wav(call_id text, track text, later integer DEFAULT 0) RETURNS boolean LANGUAGE sql AS $$
    SELECT (SELECT array_agg((s.start_ms - later, s.end_ms - later, round(s.level_dbfs::numeric, 3))::text) FROM call_speech(call_id, track => as_in_wav.track) AS s)
           = (SELECT array_agg((s.start_ms, s.start_ms + s.duration_ms, round(s.level_dbfs::numeric, 3))::text)
                FROM wav_decode(call_audio(call_id, track => as_in_wav.track)) AS w, speech_segments(w.audio, w.encoding, w.sample_rate) AS s)
$$;

-- ---- speech ----

-- one track: what speech_segments() hears in call_audio(), whether packets are missing or not
SELECT pg_temp.send('look-one', 8000, 'main');
SELECT track, start_ms, end_ms, round(level_dbfs) AS level FROM call_speech('look-one');
SELECT pg_temp.as_in_wav('look-one', 'main');
-- (a whole burst is missing, and the middle of another)
SELECT pg_temp.send('look-lossy', 16000, 'caller', lost => ARRAY(SELECT generate_series(55, 85)) || '{120,121}');
SELECT track, start_ms, end_ms FROM call_speech('look-lossy');
SELECT pg_temp.as_in_wav('look-lossy', 'caller');

-- two tracks: in the time of the call; the agent begins a second later, and pauses for two between his second burst and his third
SELECT pg_temp.send('look-two', 8000, 'caller'), pg_temp.send('look-two', 16000, 'agent', '1 s', '{}', 100);
SELECT track, start_ms, end_ms FROM call_speech('look-two');
SELECT track, start_ms, end_ms FROM call_speech('look-two', track => 'agent');
SELECT pg_temp.as_in_wav('look-two', 'caller');
-- as it is in the stereo file
SELECT (SELECT array_agg((s.start_ms, s.end_ms)::text) FROM call_speech('look-two', track => 'agent') AS s)
       = (SELECT array_agg((s.start_ms, s.start_ms + s.duration_ms)::text)
            FROM wav_decode(call_audio_stereo('look-two'), 2) AS w, speech_segments(w.audio, w.encoding, w.sample_rate) AS s) AS as_in_stereo;

-- a track without packets, a call without any, and one of words
SELECT begin_call('look-silent', encoding => 'mulaw', sample_rate => 8000, tracks => '{caller,agent}');
SELECT count(*) FROM call_speech('look-silent');
SELECT pg_temp.send('look-words', 8000, 'caller'), (ingest_packet('look-words', 0, 'hello', encoding => 'text', track => 'notes')).status;
SELECT track, count(*) FROM call_speech('look-words') GROUP BY track;
SELECT status FROM ingest_packet('look-text', 0, 'hello', encoding => 'text');
SELECT * FROM call_speech('look-text');
SELECT * FROM call_speech('look-words', track => 'notes');
SELECT * FROM call_speech('look-one', track => 'nobody');
SELECT * FROM call_speech('unknown');
SELECT * FROM call_speech(NULL);
SELECT * FROM call_speech('look-one', 'unknown');
