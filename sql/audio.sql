-- Audio in SQL: conversion, WAV, levels, speech, pictures, and what is refused.
SET search_path = mulberry, mulberry_internal, public;

-- s16le of a list of samples
CREATE FUNCTION pg_temp.s16le(samples integer[]) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT decode(string_agg(substr(hex, 3, 2) || substr(hex, 1, 2), '' ORDER BY i), 'hex')
      FROM (SELECT lpad(to_hex(s & 65535), 4, '0'), i
              FROM unnest(samples) WITH ORDINALITY AS u (s, i)) AS h (hex, i)
$$;
-- samples of s16le
CREATE FUNCTION pg_temp.samples(audio bytea) RETURNS SETOF integer LANGUAGE sql IMMUTABLE AS $$
    SELECT (lsb + 256 * msb + 32768) % 65536 - 32768
      FROM generate_series(0, length(audio) - 2, 2) AS i,
           LATERAL (SELECT get_byte(audio, i), get_byte(audio, i + 1)) AS b (lsb, msb)
$$;
-- a sine with this peak, s16le
CREATE FUNCTION pg_temp.sine(hertz float8, peak float8, ms integer, rate integer DEFAULT 8000) RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$
    SELECT pg_temp.s16le(array_agg(round(peak * sin(2 * pi() * hertz * i / rate))::integer ORDER BY i))
      FROM generate_series(0, ms * rate / 1000 - 1) AS i
$$;
CREATE FUNCTION pg_temp.silence(ms integer, rate integer DEFAULT 8000) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT decode(repeat('0000', ms * rate / 1000), 'hex')
$$;

-- Encodings: the vectors of G.711.
SELECT audio_convert(pg_temp.s16le(ARRAY[0, 4, -4, 8, 100, -100, 1000, -1000, 8031, 32635, 32767, -32768]),
                     's16le', 8000, 'mulaw', 8000);
SELECT array_agg(s) FROM pg_temp.samples(audio_convert('\x00010f107e7f80f0feff', 'mulaw', 8000, 's16le', 8000)) AS s;
SELECT audio_convert('\x7fff', 'mulaw', 8000, 'mulaw', 8000) AS unchanged,
       audio_convert('\xff7f00', 'mulaw', 16000, 'alaw', 16000) AS alaw;

-- Rates: length, level and place of a tone survive; what would alias does not.
SELECT r AS rate, length(c) / 2 AS samples,
       round((audio_level(c, 's16le')).rms_dbfs::numeric, 1) AS dbfs
  FROM unnest(ARRAY[8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000]) AS r,
       audio_convert(pg_temp.sine(1000, 16384, 500), 's16le', 8000, 's16le', r) AS c;
SELECT (audio_level(substr(audio_convert(pg_temp.sine(5000, 16384, 200, 16000), 's16le', 16000, 's16le', 8000), 801, 1600),
                    's16le')).rms_dbfs < -85 AS gone;
SELECT max(abs(a.s - b.s)) <= 2 AS same
  FROM (SELECT s, row_number() OVER () AS i FROM pg_temp.samples(pg_temp.sine(700, 10000, 100)) AS s) AS a
  JOIN (SELECT s, row_number() OVER () AS i
          FROM pg_temp.samples(audio_convert(audio_convert(pg_temp.sine(700, 10000, 100), 's16le', 8000, 's16le', 44100),
                                             's16le', 44100, 's16le', 8000)) AS s) AS b USING (i)
 WHERE i BETWEEN 100 AND 700;

-- WAV
SELECT wav_encode('\x0102030405', 'mulaw', 8000);
SELECT * FROM wav_decode(wav_encode('\x0102030405', 'mulaw', 8000));
SELECT * FROM wav_decode(wav_encode('\x01020304', 's16le', 44100));
SELECT * FROM wav_decode(wav_encode('\xd5d555', 'alaw', 16000));
-- two channels: each, and their mean
SELECT c AS channel, d.encoding, d.channels, array_agg(s) AS samples
  FROM (VALUES (1), (2), (NULL)) AS v (c),
       wav_decode(wav_encode(pg_temp.s16le(ARRAY[100, 200, -100, -300]), 's16le', 8000, 2), c) AS d,
       pg_temp.samples(d.audio) AS s
 GROUP BY c, d.encoding, d.channels ORDER BY c;
-- 8-bit PCM comes out as s16le; LIST chunk in front, no pad byte at the end
CREATE TEMP TABLE eight_bit AS
SELECT convert_to('RIFF', 'UTF8') || '\x33000000' || convert_to('WAVELIST', 'UTF8') || '\x04000000' ||
       convert_to('INFOfmt ', 'UTF8') || '\x10000000010001001127000011270000' || '\x01000800' ||
       convert_to('data', 'UTF8') || '\x03000000' || '\x8001ff' AS wav;
SELECT encoding, sample_rate, duration_ms, truncated, array(SELECT pg_temp.samples(audio)) AS samples
  FROM eight_bit, wav_decode(wav);
-- cut short: refused, or what is there
SELECT wav_decode(substr(wav, 1, length(wav) - 1)) FROM eight_bit;
SELECT truncated, array(SELECT pg_temp.samples(audio)) AS samples
  FROM eight_bit, wav_decode(substr(wav, 1, length(wav) - 1), allow_truncated => true);
SELECT wav_decode(substr(wav, 1, length(wav) - 3), allow_truncated => true) FROM eight_bit;
SELECT wav_decode(substr(wav, 1, 30), allow_truncated => true) FROM eight_bit;
SELECT wav_decode(substr(wav, 1, 14), allow_truncated => true) FROM eight_bit;
-- a size that a writer to a pipe could not know
SELECT truncated, array(SELECT pg_temp.samples(audio)) AS samples
  FROM eight_bit, wav_decode(overlay(wav PLACING '\xffffffff' FROM length(wav) - 6));
SELECT wav_decode(NULL);
SELECT wav_decode('RIFX\000\000\000\000WAVE');
-- the other byte order, and sizes of 64 bits
SELECT * FROM wav_decode('RIFX\000\000\000\050WAVEfmt \000\000\000\020\000\001\000\001\000\000\037\100\000\000\076\200\000\002\000\020data\000\000\000\004\0224Vx');
SELECT name, w.* FROM unnest('{RF64,BW64}'::text[]) AS name,
       wav_decode(convert_to(name, 'UTF8') || '\377\377\377\377WAVEds64\034\000\000\000' || decode('4c000000000000000400000000000000020000000000000000000000', 'hex')
                  || substr(wav_encode('\x01020304', 's16le', 8000), 13, 28) || decode('ffffffff01020304', 'hex')) AS w;
SELECT wav_decode('OggS\000\000\000\000\000\000\000\000');
SELECT wav_decode('');
-- IMA ADPCM
SELECT wav_decode(overlay(wav PLACING '\x1100' FROM 33)) FROM eight_bit;
SELECT wav_decode(wav_encode('\xff', 'mulaw', 8000), 2);
SELECT wav_decode(wav_encode('\xff', 'mulaw', 8000), 0);
SELECT wav_encode('\x01020304', 's16le', 0);
SELECT wav_encode('\x01020304', 's16le', 8000, 0);
SELECT wav_encode('\x010203040506', 's16le', 8000, 2);

-- Levels
SELECT samples, round(rms_dbfs::numeric, 2) AS rms_dbfs, round(peak_dbfs::numeric, 2) AS peak_dbfs,
       round(rms_dbm0::numeric, 2) AS rms_dbm0, round(dc_offset::numeric, 4) AS dc_offset, clipped
  FROM unnest(ARRAY[pg_temp.sine(1000, 22651, 100), pg_temp.silence(100), pg_temp.s16le(ARRAY[32767, 32767, -32768, 0]),
                    pg_temp.s16le(ARRAY[3277, 3277])]) WITH ORDINALITY AS u (audio, i), audio_level(audio, 's16le')
 ORDER BY i;
-- pieces together, in parallel as well
SELECT (l).samples, round((l).rms_dbfs::numeric, 3) AS rms_dbfs, round((l).dc_offset::numeric, 3) AS dc_offset
  FROM (SELECT audio_level_agg(a, 's16le') FROM (VALUES (pg_temp.sine(1000, 20000, 50)), ('\x'), (NULL),
                                                        (pg_temp.s16le(ARRAY[1000, 2000]))) AS v (a)) AS x (l);
SELECT audio_level_agg(NULL::bytea, 's16le') IS NULL AS none, audio_level_agg('\x', 's16le') IS NULL AS empty;
CREATE TABLE pieces AS
SELECT i, pg_temp.s16le(ARRAY[i, -i, 32767 - i]) AS audio FROM generate_series(1, 3000) AS i;
CREATE TEMP TABLE levels AS SELECT audio_level_agg(audio, 's16le') AS l FROM pieces;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT audio_level_agg(audio, 's16le') FROM pieces;
SELECT audio_level_agg(p.audio, 's16le') = (SELECT l FROM levels) AS same FROM pieces AS p;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
DROP TABLE pieces;

-- Speech: 400 ms, a pause of 200 ms, 400 ms, a pause of 600 ms, 300 ms
CREATE TEMP TABLE call AS
SELECT pg_temp.sine(50, 30, 1000) || pg_temp.sine(400, 6000, 400) || pg_temp.sine(50, 30, 200) ||
       pg_temp.sine(400, 6000, 400) || pg_temp.sine(50, 30, 600) || pg_temp.sine(400, 3000, 300) ||
       pg_temp.sine(50, 30, 500) AS audio;
SELECT start_ms, duration_ms, round(level_dbfs::numeric, 1) AS level_dbfs FROM call, speech_segments(audio, 's16le', 8000);
SELECT start_ms, duration_ms FROM call, speech_segments(audio_convert(audio, 's16le', 8000, 'mulaw', 48000), 'mulaw', 48000);
SELECT start_ms, duration_ms FROM call, speech_segments(audio, 's16le', 8000, hangover_ms => 100);
SELECT start_ms, duration_ms FROM call, speech_segments(audio, 's16le', 8000, hangover_ms => 800);
SELECT start_ms, duration_ms FROM call, speech_segments(audio, 's16le', 8000, min_speech_ms => 360, hangover_ms => 100);
SELECT start_ms, duration_ms FROM call, speech_segments(audio, 's16le', 8000, min_dbfs => -20);
-- the defaults are those of the comment
SELECT array(SELECT s FROM speech_segments(audio, 's16le', 8000) AS s) =
       array(SELECT s FROM speech_segments(audio, 's16le', 8000, 9, 6, -50, 100, 250) AS s) AS same FROM call;
SELECT count(*) FROM speech_segments(NULL, 's16le', 8000);
SELECT count(*) FROM call, speech_segments(audio, 's16le', 8000, on_db => 2);
SELECT count(*) FROM call, speech_segments(audio, 's16le', 8000, on_db => 5, off_db => 6);
SELECT count(*) FROM call, speech_segments(audio, 's16le', 8000, min_dbfs => 'NaN');
SELECT count(*) FROM call, speech_segments(audio, 's16le', 8000, hangover_ms => -1);

-- Pictures are well-formed XML and show what is heard.
CREATE TEMP TABLE picture AS
SELECT xmlparse(DOCUMENT waveform_svg(audio, 's16le', 8000, title => 'a < b & "c"')) AS svg FROM call;
SELECT xpath('string(/s:svg/s:text[@class="title"])', svg, n) AS title,
       xpath_exists('//s:text[contains(., "3.40 s") and contains(., "8000 Hz") and contains(., "0 digits") and contains(., "2 speech segments")]', svg, n) AS figures,
       xpath('/s:svg/@width', svg, n) AS width,
       array_length(xpath('//s:rect[@class="bar"]', svg, n), 1) AS segments,
       xpath_exists('//s:rect[@class="label"]', svg, n) AS digits
  FROM picture, (VALUES (ARRAY[ARRAY['s', 'http://www.w3.org/2000/svg']])) AS v (n);
SELECT xml_is_well_formed_document(waveform_svg('\xff', 'mulaw', 8000, 300, 150)) AS one_sample,
       waveform_svg(NULL, 'mulaw', 8000) IS NULL AS none;
SELECT waveform_svg('\xff', 'mulaw', 8000, 10, 150);
SELECT waveform_svg('\xff', 'mulaw', 8000, 300, 1000000);

-- What is refused, everywhere alike
\set VERBOSITY sqlstate
SELECT audio_convert('\x010203', 's16le', 8000, 'mulaw', 8000);
SELECT audio_level('\x010203', 's16le');
SELECT audio_level('', 'mulaw');
SELECT audio_convert('', 's16le', 8000, 'mulaw', 8000);
SELECT wav_encode('', 's16le', 8000);
SELECT waveform_svg('', 's16le', 8000);
SELECT * FROM speech_segments('', 's16le', 8000);
SELECT * FROM speech_segments('\xff', 'mulaw', 22050);
SELECT waveform_svg('\xff', 'mulaw', 0);
SELECT audio_convert('\xff', 'mulaw', 8000, 'mulaw', 96000);
SELECT audio_convert('\xff', 'ulaw', 8000, 'mulaw', 8000);
SELECT audio_convert('\xff', 'mulaw', 8000, 'MULAW', 8000);
SELECT wav_decode('RIFX\000\000\000\000WAVE');
SELECT wav_decode('RIFF\000\000\000\000WAVE');
\set VERBOSITY default
SELECT audio_level('\x010203', 's16le');
SELECT audio_level('', 'mulaw');
SELECT audio_level('\xff', 'text');
SELECT * FROM speech_segments('\xff', 'mulaw', 22050);
SELECT audio_convert('\xff', 'mulaw', 8000, 'mulaw', 96000);
-- 12 times 90 MB would not fit a value
SELECT audio_convert(repeat('a', 90000000)::bytea, 'mulaw', 8000, 's16le', 48000);

-- Everything can be cancelled: each of these takes several times longer than it may.
CREATE TEMP TABLE long_call (audio bytea);
ALTER TABLE long_call ALTER COLUMN audio SET STORAGE EXTERNAL;
INSERT INTO long_call SELECT repeat('8aZ3nPq0RtX5vB7mLcD2', 1000000)::bytea;
-- (The limit goes with the failed statement, so that it cannot hit another one.)
SET statement_timeout = '4ms' \; SELECT dtmf_decode(audio, 'mulaw', 8000) FROM long_call;
SET statement_timeout = '4ms' \; SELECT count(*) FROM long_call, dtmf_detect(audio, 'mulaw', 48000);
SET statement_timeout = '4ms' \; SELECT count(*) FROM long_call, speech_segments(audio, 'alaw', 8000);
SET statement_timeout = '4ms' \; SELECT length(waveform_svg(audio, 'alaw', 16000)) FROM long_call;
SET statement_timeout = '4ms' \; SELECT audio_level(audio, 's16le') FROM long_call;
SET statement_timeout = '4ms' \; SELECT audio_level_agg(audio, 's16le') FROM long_call;
SET statement_timeout = '4ms' \; SELECT dtmf_decode_agg(audio, 'mulaw', 16000) FROM long_call;
SET statement_timeout = '4ms' \; SELECT length(audio_convert(audio, 'mulaw', 8000, 'alaw', 16000)) FROM long_call;
CREATE TEMP TABLE long_wav (wav bytea);
ALTER TABLE long_wav ALTER COLUMN wav SET STORAGE EXTERNAL;
INSERT INTO long_wav SELECT wav_encode(audio, 's16le', 8000, 2) FROM long_call;
SET statement_timeout = '4ms' \; SELECT length(audio) FROM long_wav, wav_decode(wav);
SHOW statement_timeout;
-- and without a limit they end
SELECT length(wav_encode(audio, 's16le', 8000)) AS wav,
       length(audio_convert(audio, 'mulaw', 8000, 'alaw', 16000)) AS alaw FROM long_call;

-- A value is read in parts where that is possible; the result is the same.
CREATE TEMP TABLE stored (kind text, audio bytea);
ALTER TABLE stored ALTER COLUMN audio SET STORAGE EXTERNAL;
INSERT INTO stored SELECT 'in parts', audio || audio || '\x0102' FROM (SELECT string_agg(audio, '') FROM call, generate_series(1, 12)) AS c (audio);
ALTER TABLE stored ALTER COLUMN audio SET STORAGE EXTENDED;
INSERT INTO stored SELECT 'compressed', audio || '' FROM stored;
SELECT kind, md5(wav_encode(audio, 's16le', 8000)) = md5(wav_encode(audio || '', 's16le', 8000)) AS wav,
       md5(audio_convert(audio, 's16le', 8000, 'mulaw', 16000)) = md5(audio_convert(audio || '', 's16le', 8000, 'mulaw', 16000)) AS converted,
       audio_level(audio, 's16le') = audio_level(audio || '', 's16le') AS level,
       (SELECT array_agg(s) FROM speech_segments(audio, 's16le', 8000) AS s) = (SELECT array_agg(s) FROM speech_segments(audio || '', 's16le', 8000) AS s) AS speech,
       waveform_svg(audio, 's16le', 8000) = waveform_svg(audio || '', 's16le', 8000) AS picture,
       length(audio) > 1000000 AS long
  FROM stored ORDER BY kind DESC;

-- WAV files too, wherever their audio begins
CREATE TEMP TABLE stored_wav (kind text, wav bytea);
ALTER TABLE stored_wav ALTER COLUMN wav SET STORAGE EXTERNAL;
INSERT INTO stored_wav SELECT 'as it is', wav_encode(audio, 's16le', 8000) FROM stored WHERE kind = 'in parts';
INSERT INTO stored_wav SELECT 'two channels', wav_encode(substr(audio, 3), 's16le', 8000, 2) FROM stored WHERE kind = 'in parts';
INSERT INTO stored_wav SELECT 'late', substr(wav, 1, 36) || 'LIST'::bytea || '\xe0930400' || decode(repeat('00', 300000), 'hex') || substr(wav, 37) FROM stored_wav WHERE kind = 'as it is';
INSERT INTO stored_wav SELECT 'cut off', substr(wav, 1, length(wav) - 100000) FROM stored_wav WHERE kind = 'late';
SELECT kind, md5(wav_decode(wav, NULL, true)::text) = md5(wav_decode(wav || '', NULL, true)::text) AS same,
       (d).truncated, (d).duration_ms > 60000 AS long
  FROM stored_wav, wav_decode(wav, NULL, true) AS d ORDER BY kind;
SELECT md5((SELECT audio FROM stored_wav, wav_decode(wav) WHERE kind = 'late')) = md5(audio) AS same_audio FROM stored WHERE kind = 'in parts';
SELECT wav_decode(wav) FROM stored_wav WHERE kind = 'cut off';

-- All of it may run in a parallel worker and in an index.
SELECT proname, provolatile, proparallel FROM pg_proc
 WHERE pronamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND proname ~ '^(audio|wav|speech|waveform|dtmf)_'
   AND (provolatile <> 'i' OR proparallel <> 's');
