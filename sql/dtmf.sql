-- DTMF in SQL: what dtmf_synthesize() makes is what dtmf_decode() and dtmf_detect() hear.
SET search_path = mulberry, mulberry_internal, public;

-- Every symbol, every rate, every encoding.
SELECT r AS rate, e AS encoding, dtmf_decode(dtmf_synthesize('0123456789ABCD*#', e, r), e, r)
  FROM unnest(ARRAY[8000, 16000, 44100, 48000]) AS r, unnest(ARRAY['mulaw', 'alaw', 's16le']) AS e
 ORDER BY r, e;
-- repeats are told apart, the shortest digits that must be received, a pause in between
SELECT dtmf_decode(dtmf_synthesize('1122##', on_ms => 40, off_ms => 40), 'mulaw', 8000) AS short,
       dtmf_decode(dtmf_synthesize('55w55W55'), 'mulaw', 8000) AS pauses;
-- any way from one encoding and rate to another
SELECT count(*) AS ways,
       count(*) FILTER (WHERE dtmf_decode(audio_convert(dtmf_synthesize('0*9#D', e1, r1), e1, r1, e2, r2), e2, r2) = '0*9#D') AS received
  FROM unnest(ARRAY[8000, 16000, 44100, 48000]) AS r1, unnest(ARRAY['mulaw', 'alaw', 's16le']) AS e1,
       unnest(ARRAY[8000, 16000, 44100, 48000]) AS r2, unnest(ARRAY['mulaw', 'alaw', 's16le']) AS e2;
-- and through a WAV file
SELECT dtmf_decode(audio, encoding, sample_rate)
  FROM wav_decode(wav_encode(dtmf_synthesize('147#', 'alaw', 16000), 'alaw', 16000));

-- Lengths are exact.
SELECT length(dtmf_synthesize('1')) AS one, length(dtmf_synthesize('1', 's16le', 44100)) AS wide,
       length(dtmf_synthesize('1w1W1')) AS pauses, length(dtmf_synthesize('123', on_ms => 50, off_ms => 0)) AS close_together;

-- Times, level and twist are those of the signal.
SELECT digit, abs(start_ms - at) <= 5 AS in_place, abs(duration_ms - 100) <= 10 AS length,
       abs(level_dbm0 + 16) < 0.5 AS level, abs(twist_db - 3) < 0.5 AS twist
  FROM dtmf_detect(dtmf_synthesize('1w5D', on_ms => 100, off_ms => 60, level_dbm0 => -16, twist_db => 3), 'mulaw', 8000)
       WITH ORDINALITY AS d (digit, start_ms, duration_ms, level_dbm0, twist_db, i)
  JOIN unnest(ARRAY[0, 660, 820]) WITH ORDINALITY AS u (at, i) USING (i);
SELECT array_agg(digit ORDER BY start_ms) = '{1,5,D}' AS digits, min(duration_ms) BETWEEN 90 AND 110 AS length,
       bool_and(abs(start_ms - at) <= 5) AS in_place
  FROM dtmf_detect(dtmf_synthesize('1w5D', 's16le', 48000, on_ms => 100, off_ms => 60), 's16le', 48000)
       WITH ORDINALITY AS d (digit, start_ms, duration_ms, level_dbm0, twist_db, i)
  JOIN unnest(ARRAY[0, 660, 820]) WITH ORDINALITY AS u (at, i) USING (i);

-- The defaults are those of the comment.
SELECT dtmf_synthesize('159D', 's16le') = dtmf_synthesize('159D', 's16le', 8000, 80, 80, -10, 0, 2) AS same;

-- The floor is an argument; by default it is that of the comment.
SELECT level AS level_dbm0, dtmf_decode(dtmf_synthesize('12', 's16le', level_dbm0 => level), 's16le', 8000)
  FROM unnest(ARRAY[-46, -48]) AS level;
SELECT dtmf_decode(quiet, 's16le', 8000) AS usual, dtmf_decode(quiet, 's16le', 8000, -60) AS lower,
       dtmf_decode(loud, 's16le', 8000, -20) AS higher
  FROM (SELECT dtmf_synthesize('12', 's16le', level_dbm0 => -52), dtmf_synthesize('12', 's16le', level_dbm0 => -30)) AS l (quiet, loud);
SELECT dtmf_decode('\xffff', 'mulaw', 8000, -60) AS silence, dtmf_decode('\xff', 'mulaw', 48000) AS one_sample,
       dtmf_decode(NULL, 'mulaw', 8000) IS NULL AS none, dtmf_synthesize(NULL) IS NULL AS no_digits;
SELECT count(*) FROM dtmf_detect(NULL, 'mulaw', 8000);

-- Pieces of one signal, in order; digits may lie across them.
CREATE TEMP TABLE pieces AS
SELECT i, substr(audio, 1 + 160 * i, 160) AS audio
  FROM (SELECT dtmf_synthesize('4711#*D')) AS d (audio), generate_series(0, length(audio) / 160) AS i
 ORDER BY i % 7, i;
INSERT INTO pieces VALUES (3, NULL), (5, '');
SELECT dtmf_decode_agg(audio, 'mulaw', 8000 ORDER BY i) FROM pieces;
SELECT i / 24 AS part, dtmf_decode_agg(audio, 'mulaw', 8000 ORDER BY i) FROM pieces GROUP BY 1 ORDER BY 1;
SELECT dtmf_decode_agg(audio, 'mulaw', 8000) IS NULL AS none FROM pieces WHERE false;
SELECT dtmf_decode_agg('', 'mulaw', 8000) = '' AS empty;
SELECT dtmf_decode_agg(audio, 'mulaw', CASE WHEN i < 5 THEN 8000 ELSE 16000 END ORDER BY i) FROM pieces;
SELECT dtmf_decode_agg(audio, 'mulaw', 11024) FROM pieces;
-- Digits are heard at every rate that audio can be converted from.
SELECT r AS rate, dtmf_decode(audio, 's16le', r), dtmf_decode_agg(audio, 's16le', r), start_ms, duration_ms
  FROM unnest(ARRAY[11025, 12000, 22050, 24000, 32000]) AS r, audio_convert(dtmf_synthesize('159D*0##', 's16le', 48000), 's16le', 48000, 's16le', r) AS audio,
       dtmf_detect(audio, 's16le', r) WHERE digit = 'D'
 GROUP BY r, audio, start_ms, duration_ms ORDER BY r;
SELECT dtmf_decode_agg(audio, 's16le', 8000) FROM (VALUES ('\x000000'::bytea)) AS v (audio);
SELECT i, dtmf_decode_agg(audio, 'mulaw', 8000) OVER (ORDER BY i) FROM pieces LIMIT 1;

-- Digits are no speech in a picture, but marked.
SELECT array_length(xpath('//s:rect[@class="tone"]', svg, n), 1) AS tones,
       xpath('//s:text[@class="digit"]/text()', svg, n) AS labels,
       xpath_exists('//s:rect[@class="bar"]', svg, n) AS speech
  FROM (SELECT waveform_svg(dtmf_synthesize('47w11#', 'mulaw', 16000), 'mulaw', 16000, 300, 200)::xml) AS w (svg),
       (VALUES (ARRAY[ARRAY['s', 'http://www.w3.org/2000/svg']])) AS v (n);

-- What is refused
SELECT dtmf_synthesize('12x4');
SELECT dtmf_synthesize('12a');
SELECT dtmf_synthesize('1 2');
SELECT dtmf_synthesize('');
SELECT dtmf_synthesize('1', on_ms => 9);
SELECT dtmf_synthesize('1', on_ms => 60001);
SELECT dtmf_synthesize('1', off_ms => -1);
SELECT dtmf_synthesize('1', level_dbm0 => 0.1);
SELECT dtmf_synthesize('1', level_dbm0 => 'NaN');
SELECT dtmf_synthesize('1', twist_db => 21);
SELECT dtmf_synthesize('1', on_ms => 20, ramp_ms => 11);
SELECT dtmf_synthesize('1', 'mp3');
SELECT dtmf_synthesize('1', 'mulaw', 22050);
SELECT dtmf_synthesize(repeat('1', 10000), 's16le', 48000, on_ms => 60000);
SELECT dtmf_decode('\x010203', 's16le', 8000);
SELECT dtmf_decode('', 'mulaw', 8000);
SELECT dtmf_decode('\xff', 'gsm', 8000);
SELECT dtmf_decode('\xff', 'mulaw', 11024);
SELECT dtmf_decode('\xff', 'mulaw', 8000, -71);
SELECT dtmf_decode('\xff', 'mulaw', 8000, 'NaN');
\set VERBOSITY sqlstate
SELECT dtmf_synthesize('12x4');
SELECT dtmf_synthesize('1', on_ms => 9);
SELECT dtmf_synthesize(repeat('1', 10000), 's16le', 48000, on_ms => 60000);
SELECT * FROM dtmf_detect('\x010203', 's16le', 8000);
SELECT * FROM dtmf_detect('', 'mulaw', 8000);
SELECT * FROM dtmf_detect('\xff', 'mulaw', 11024);
\set VERBOSITY default
-- a long string can be cancelled (the limit goes with the failed statement)
SET statement_timeout = '4ms' \; SELECT length(dtmf_synthesize(repeat('12', 1000), 's16le', 48000, on_ms => 1000));
SHOW statement_timeout;
