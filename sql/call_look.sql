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

-- ---- its picture ----

\set SHOW_CONTEXT never

CREATE FUNCTION pg_temp.n(svg text, path text) RETURNS integer LANGUAGE sql AS $$
    SELECT coalesce(array_length(xpath(path, svg::xml, '{{s,http://www.w3.org/2000/svg}}'), 1), 0)
$$;
CREATE FUNCTION pg_temp.texts(svg text, path text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(btrim(t::text), ' | ' ORDER BY n) FROM unnest(xpath(path, svg::xml, '{{s,http://www.w3.org/2000/svg}}')) WITH ORDINALITY AS u (t, n)
$$;
-- where a word stands, in seconds, in a picture of a plot of 932 pixels
CREATE FUNCTION pg_temp.second_of(svg text, word text, seconds numeric) RETURNS numeric LANGUAGE sql AS $$
    SELECT round(((xpath(format('//s:text[@class="word"][.="%s"]/@x', word), svg::xml, '{{s,http://www.w3.org/2000/svg}}'))[1]::text::numeric - 52) / 932 * seconds, 1)
$$;

-- the call of two tracks, with a transcript: what stood in call_audio() of the agent at 2.1 s was said 2 s later, and a second later that he began
SELECT put_segments(c.id, 0, 0, '[{"text": "hello <b>you</b>", "start_ms": 200, "end_ms": 1600, "words": [{"word": "hello", "start_ms": 200, "end_ms": 600}, {"word": "<b>you</b>", "start_ms": 1200, "end_ms": 1600}]},
                                  {"text": "& me", "start_ms": 2200, "end_ms": 2600}]'),
       put_segments(c.id, 1, 0, '[{"text": "good evening", "start_ms": 200, "end_ms": 2600, "words": [{"word": "good", "start_ms": 200, "end_ms": 600}, {"word": "evening", "start_ms": 2200, "end_ms": 2600}]}]')
  FROM calls c WHERE c.call_id = 'look-two';
SELECT call_waveform('look-two') AS svg \gset two_
SELECT xml_is_well_formed_document(:'two_svg') AS well_formed, pg_temp.texts(:'two_svg', '/s:svg/@width') AS width, pg_temp.texts(:'two_svg', '/s:svg/s:text[@class="title"]/text()') AS title,
       pg_temp.texts(:'two_svg', '//s:tspan[@class="name"]/text()') AS tracks, pg_temp.texts(:'two_svg', '//s:tspan[@class="speech"]/text()') AS speech;
SELECT pg_temp.texts(:'two_svg', '//s:text[@class="word"]/text()') AS words;
SELECT word, pg_temp.second_of(:'two_svg', word, 7.1) AS at FROM unnest('{hello,& me,good,evening}'::text[]) AS word;
-- the picture shows the segments that call_speech() tells
SELECT pg_temp.n(:'two_svg', '//s:rect[@class="bar"]') AS bars, (SELECT count(*) FROM call_speech('look-two')) AS segments;

-- of a conversation also its turns: when whose turn it was, what was said and heard, what was interrupted and what was taken to be
INSERT INTO conversations (tenant, call_id, numbers, lists, line, started_at, ended_at)
SELECT c.tenant, c.call_id, '{}', '{}', '{}', timestamptz '2026-02-06 09:30+00' + interval '0.5 s', timestamptz '2026-02-06 09:31+00' FROM calls c WHERE c.call_id = 'look-two';
INSERT INTO conversation_turns (conversation, turn, onset_ms, speech_end_ms, committed_ms, first_sent_ms, interrupt_onset_ms, interrupted_ms, reply_end_ms, text_class, interrupt_reason,
                                speculations, reopened, cut_offs, pauses, false_pauses, backchannels, filler, apology, said, heard, heard_cut)
SELECT v.id, t.* FROM conversations v, (VALUES
    (1, 100, 1000, 1400, 1500, 2800, 3200, 3300, 'neutral', 'words', 1, 0, 0, 2, 1, 0, false, false, 'hello <you>', 'good', true),
    (2, 2800, 4000, 4400, 4500, NULL, NULL, 5000, 'neutral', NULL, 1, 0, 0, 0, 0, 0, false, false, '& me', 'evening', false),
    (3, 5800, 6000, NULL, NULL, NULL, NULL, NULL, 'neutral', NULL, 0, 0, 0, 0, 0, 0, false, false, '', '', false)) AS t
 WHERE v.call_id = 'look-two';
SELECT call_waveform('look-two') AS svg \gset turns_
SELECT xml_is_well_formed_document(:'turns_svg') AS well_formed, pg_temp.texts(:'turns_svg', '//s:text[@class="number"]/text()') AS numbers, pg_temp.n(:'turns_svg', '//s:line[@class="cut"]') AS cut,
       round((pg_temp.texts(:'turns_svg', '//s:line[@class="cut"]/@x1')::numeric - 52) / 932 * 7.1, 1) AS cut_at;
SELECT unnest(xpath('//s:g/s:title/text()', :'turns_svg'::xml, '{{s,http://www.w3.org/2000/svg}}')) AS turns;
SELECT pg_temp.texts(:'turns_svg', '//s:text[.="turns" or .="replies"]/text()') AS rows, pg_temp.texts(:'turns_svg', '//s:tspan[@class="speech"]/text()') AS figures, pg_temp.texts(:'turns_svg', '//s:tspan[@class="cuts"]/text()') AS cuts,
       :'turns_svg' ~ '1 false interruption' AS false_one;
-- in the time of the wave: by arrival where the first packet of a track has no time, or one that cannot be
BEGIN;
UPDATE packets p SET received_at = p.sent_at FROM all_tracks k, calls c WHERE c.call_id = 'look-two' AND k.call = c.id AND p.call = k.id;
UPDATE packets p SET sent_at = CASE WHEN k.name = 'agent' THEN timestamptz '-infinity' END
  FROM all_tracks k, calls c WHERE c.call_id = 'look-two' AND k.call = c.id AND p.call = k.id AND p.sequence = 0;
SELECT call_waveform('look-two') = :'turns_svg' AS same;
ROLLBACK;
BEGIN;
UPDATE packets p SET sent_at = 'infinity' FROM all_tracks k, calls c WHERE c.call_id = 'look-two' AND k.call = c.id AND p.call = k.id AND p.sequence = 50;
SELECT call_waveform('look-two') = :'turns_svg' AS same;
ROLLBACK;
-- what is missing in front of the first packet belongs to it, in a track alone too: a turn that begins 0.6 s after the call
SELECT pg_temp.send('look-alone', 8000, 'caller', lost => ARRAY(SELECT generate_series(0, 49)));
INSERT INTO conversations (tenant, call_id, numbers, lists, line, started_at, ended_at)
SELECT c.tenant, c.call_id, '{}', '{}', '{}', timestamptz '2026-02-06 09:30+00' + interval '0.5 s', timestamptz '2026-02-06 09:31+00' FROM calls c WHERE c.call_id = 'look-alone';
INSERT INTO conversation_turns (conversation, turn, onset_ms, speech_end_ms, text_class, speculations, reopened, cut_offs, pauses, false_pauses, backchannels, filler, apology, said, heard, heard_cut)
SELECT v.id, 1, 100, 1100, 'neutral', 0, 0, 0, 0, 0, 0, false, false, 'hello', '', false FROM conversations v WHERE v.call_id = 'look-alone';
SELECT round((pg_temp.texts(call_waveform('look-alone'), '//s:rect[@class="turn"]/@x')::numeric - 52) / 932 * 4.1, 1) AS turn_at;
DELETE FROM conversations WHERE call_id = 'look-alone';
-- a thousand of them are as many as have room
INSERT INTO conversation_turns (conversation, turn, onset_ms, speech_end_ms, first_sent_ms, reply_end_ms, text_class, speculations, reopened, cut_offs, pauses, false_pauses, backchannels,
                                filler, apology, said, heard, heard_cut)
SELECT v.id, n, 3 * n, 3 * n + 1, 3 * n + 1, 3 * n + 2, 'neutral', 0, 0, 0, 0, 0, 0, false, false, 'x', 'y', true FROM conversations v, generate_series(4, 1000) AS n WHERE v.call_id = 'look-two';
SELECT pg_temp.n(call_waveform('look-two'), '//s:g/s:title') < 500 AS few_turns, pg_temp.n(call_waveform('look-two'), '//s:line[@class="cut"]') < 300 AS few_cuts;
DELETE FROM conversations WHERE call_id = 'look-two';

-- a track alone has no name; gaps are marked in the wave and in the row of speech
SELECT call_waveform('look-one', title => 'a < b & "c"') AS svg \gset one_
SELECT pg_temp.texts(:'one_svg', '/s:svg/s:text[@class="title"]/text()') AS title, pg_temp.n(:'one_svg', '//s:tspan[@class="name"]') AS names, pg_temp.n(:'one_svg', '//s:text[@class="word"]') AS words;
-- and is the picture of its audio
SELECT :'one_svg' = waveform_svg(w.audio, w.encoding, w.sample_rate, 1000, h.height, 'a < b & "c"') AS same
  FROM wav_decode(call_audio('look-one')) AS w, (SELECT pg_temp.texts(:'one_svg', '/s:svg/@height')::integer AS height) AS h;
SELECT call_waveform('look-lossy') AS svg \gset lossy_
SELECT pg_temp.texts(:'lossy_svg', '//s:tspan[@class="gaps"]/text()') AS gaps, pg_temp.n(:'lossy_svg', '//s:rect[@class="lost"]') AS lost, pg_temp.n(:'lossy_svg', '//s:rect[@class="gap"]') AS in_the_row;

-- digits are marked, and are no speech
SELECT count(ingest_packet('look-digits', n, substr(d, 1 + n * 160, 160), encoding => 'mulaw', sample_rate => 8000)) FROM dtmf_synthesize('w12#w', on_ms => 200, off_ms => 200) AS d, generate_series(0, (length(d) - 1) / 160) AS n WHERE n <> 36;
SELECT call_waveform('look-digits') AS svg \gset digits_
SELECT pg_temp.texts(:'digits_svg', '//s:text[@class="digit"]/text()') AS digits, pg_temp.n(:'digits_svg', '//s:rect[@class="tone"]') AS tones, pg_temp.n(:'digits_svg', '//s:rect[@class="bar"]') AS speech;

-- no audio at all, of tracks without packets; and a size
SELECT call_waveform('look-silent', width => 300, height => 240) AS svg \gset silent_
SELECT xml_is_well_formed_document(:'silent_svg') AS well_formed, pg_temp.n(:'silent_svg', '//s:text[.="no audio"]') AS silent, pg_temp.texts(:'silent_svg', '/s:svg/@width | /s:svg/@height') AS size;
SELECT pg_temp.texts(call_waveform('look-words'), '//s:tspan[@class="name"]/text()') AS audio_only;
SELECT call_waveform('look-text');
SELECT call_waveform('look-two', width => 10);
SELECT call_waveform('look-two', height => 150);
SELECT call_waveform('look-two', height => 100000);
SELECT call_waveform('unknown');
SELECT call_waveform(NULL);
SELECT call_waveform('look-one', title => repeat('x', 100000));

-- However much there is, the picture stays small and whole: 16 tracks of an hour, 1,000 words and 1,000 gaps each
SELECT count(ingest_packet('look-large', n * 30, convert_to(repeat(chr(33 + n % 90), 8000), 'UTF8'), encoding => 'mulaw', sample_rate => 8000, track => 'track ' || t))
  FROM generate_series(1, 16) AS t, generate_series(0, 119) AS n WHERE t = 1 OR n % 20 = 0;
SELECT count(*) FROM (SELECT put_segments(c.id, t, 0, (SELECT jsonb_agg(jsonb_build_object('text', 'word' || n, 'start_ms', n * 3600, 'end_ms', n * 3600 + 500)) FROM generate_series(0, 999) AS n))
                        FROM calls c, generate_series(0, 2) AS t WHERE c.call_id = 'look-large') AS put;
SELECT call_waveform('look-large') AS svg \gset large_
SELECT xml_is_well_formed_document(:'large_svg') AS well_formed, length(:'large_svg') < 2000000 AS small, pg_temp.n(:'large_svg', '//s:tspan[@class="name"]') AS tracks,
       pg_temp.n(:'large_svg', '//s:text[@class="word"]') < 150 AS few_words, pg_temp.n(:'large_svg', '//s:rect') < 2000 AS few_marks;

-- only who may hear a call sees it
CREATE ROLE regress_look_auditor;
SELECT grant_access('regress_look_auditor', 'auditor', 'default');
SET ROLE regress_look_auditor;
SELECT call_waveform('look-one');
SELECT call_speech('look-one');
RESET ROLE;
SELECT revoke_access('regress_look_auditor', 'auditor', 'default');
DROP ROLE regress_look_auditor;
SELECT count(erase_call(call_id)) FROM call_status WHERE call_id LIKE 'look-%';
