-- ingest_recording(): a WAV file becomes the packets of a call.
SET search_path = mulberry, mulberry_internal;
SET client_min_messages = warning;
\getenv srcdir PG_ABS_SRCDIR
\set errors :srcdir '/sql/include/errors.sql'
\i :errors

CREATE FUNCTION pg_temp.little(value integer, bytes integer) RETURNS bytea LANGUAGE sql AS $$
    SELECT decode(string_agg(lpad(to_hex((value >> (8 * i)) & 255), 2, '0'), '' ORDER BY i), 'hex') FROM generate_series(0, bytes - 1) AS i
$$;
-- A header as others write it, with 8 bytes of data.
CREATE FUNCTION pg_temp.wav(tag integer, channels integer, rate integer, bits integer, data bytea) RETURNS bytea LANGUAGE sql AS $$
    SELECT 'RIFF'::bytea || pg_temp.little(36 + length(data), 4) || 'WAVEfmt '::bytea || pg_temp.little(16, 4) || pg_temp.little(tag, 2)
           || pg_temp.little(channels, 2) || pg_temp.little(rate, 4) || pg_temp.little(rate * channels * bits / 8, 4)
           || pg_temp.little(channels * bits / 8, 2) || pg_temp.little(bits, 2) || 'data'::bytea || pg_temp.little(length(data), 4) || data
$$;
CREATE FUNCTION pg_temp.interleaved(l bytea, r bytea, size integer) RETURNS bytea LANGUAGE sql AS $$
    SELECT string_agg(substr(l, i * size + 1, size) || substr(r, i * size + 1, size), ''::bytea ORDER BY i)
      FROM generate_series(0, least(length(l), length(r)) / size - 1) AS i
$$;

-- mono, as it is: packets of 100 ms, the last one shorter, at their times
CREATE TEMP TABLE digits AS SELECT dtmf_synthesize('159', 'mulaw', 8000) AS mulaw, dtmf_synthesize('159', 's16le', 8000) AS left, dtmf_synthesize('753', 's16le', 8000) AS right;
SELECT r.*, r.packets = (length(mulaw) + 799) / 800 AS all FROM digits, ingest_recording('mono', wav_encode(mulaw, 'mulaw', 8000), started_at => '2024-02-06 09:30+00', complete => true) r;
SELECT state, started_at = '2024-02-06 09:30+00' AS began_then, encoding, sample_rate, expected_total_packets = total_packets_received AS complete, tracks FROM call_status WHERE call_id = 'mono';
SELECT string_agg(data, ''::bytea ORDER BY sequence) = (SELECT mulaw FROM digits) AS as_it_was,
       bool_and(sent_at = timestamptz '2024-02-06 09:30+00' + sequence * interval '100 ms') AS in_time FROM call_packets WHERE call_id = 'mono';
SELECT string_agg(digit, '' ORDER BY start_ms) AS digits FROM call_dtmf('mono');
-- stereo: a track a channel, each with its own
SELECT r.track, r.encoding, r.sample_rate, r.packets > 5 AS packets FROM digits d, ingest_recording('stereo', wav_encode(pg_temp.interleaved(d.left, d.right, 2), 's16le', 8000, 2), '{caller,agent}', complete => true) r;
SELECT state, tracks, missing_count FROM call_status WHERE call_id = 'stereo';
SELECT t.track, (SELECT string_agg(digit, '' ORDER BY start_ms) FROM call_dtmf('stereo', track => t.track)) AS digits FROM call_tracks t WHERE call_id = 'stereo' ORDER BY number;
SELECT track FROM digits d, ingest_recording('stereo unnamed', wav_encode(pg_temp.interleaved(d.left, d.right, 2), 's16le', 8000, 2));
SELECT state FROM call_status WHERE call_id = 'stereo unnamed';
-- mixed, in another encoding, at another rate, into a call that was told of
SELECT begin_call('mixed', tracks => '{both,later}', encoding => 'alaw', sample_rate => 16000);
SELECT r.track, r.encoding, r.sample_rate FROM digits d, ingest_recording('mixed', wav_encode(pg_temp.interleaved(d.left, d.left, 2), 's16le', 8000, 2), '{both}', packet_ms => 20) r;
SELECT string_agg(digit, '' ORDER BY start_ms) AS digits FROM call_dtmf('mixed');
SELECT r.track, r.encoding, r.sample_rate FROM digits d, ingest_recording('mixed', wav_encode(audio_convert(d.right, 's16le', 8000, 's16le', 22050), 's16le', 22050), '{later}') r;
SELECT string_agg(digit, '' ORDER BY start_ms) AS digits FROM call_dtmf('mixed', track => 'later');
-- rates that calls do not have go up
SELECT rate, (SELECT r.sample_rate FROM ingest_recording('rate ' || rate, pg_temp.wav(1, 1, rate, 16, '\x01020304')) r) AS kept
  FROM unnest('{8000,11025,16000,22050,24000,32000,44100,48000}'::int[]) AS rate;
SELECT encoding, packets FROM ingest_recording('eight bits', pg_temp.wav(1, 1, 8000, 8, '\x80ff'));
-- numbers that begin elsewhere or wrap
SELECT begin_call('wrapping recording', counter_bits => 16, first_sequence => 65530, encoding => 'mulaw', sample_rate => 8000);
SELECT packets FROM digits, ingest_recording('wrapping recording', wav_encode(mulaw, 'mulaw', 8000)) r;
SELECT min(sequence), max(sequence) - min(sequence) + 1 = count(*) AS all FROM call_packets WHERE call_id = 'wrapping recording';

-- What is refused, with nothing stored.
SELECT pg_temp.error_of(format('SELECT ingest_recording(%L, %L)', 'refused', wav))
  FROM (VALUES (NULL::bytea), (''), ('RIFF'), ('no WAV file at all'), ('\x49443304000000000000'), ('OggS....................'), ('fLaC....................'),
               (pg_temp.wav(49, 1, 8000, 0, '\x00')), (pg_temp.wav(17, 1, 8000, 4, '\x00')), (pg_temp.wav(2, 2, 8000, 4, '\x00')),
               (pg_temp.wav(85, 1, 8000, 0, '\x00')), (pg_temp.wav(4711, 1, 8000, 8, '\x00')), (pg_temp.wav(1, 1, 8000, 16, '')),
               (substr(pg_temp.wav(1, 1, 8000, 16, '\x0102030405060708'), 1, 48)), (pg_temp.wav(1, 1, 96000, 16, '\x0102'))) AS t (wav);
SELECT pg_temp.error_of(format('SELECT ingest_recording(%s)', arguments))
  FROM (SELECT quote_literal(pg_temp.wav(1, 2, 8000, 16, '\x01020304')) AS two) AS w
       CROSS JOIN LATERAL (VALUES (format('NULL, %s', two)), (format('%L, %s', 'refused', two) || ', packet_ms => 9'), (format('%L, %s', 'refused', two) || ', packet_ms => NULL'),
               (format('%L, %s', 'refused', two) || $$, '{a,b,c}'$$), (format('%L, %s', 'refused', two) || $$, '{a,a}'$$), (format('%L, %s', 'refused', two) || $$, '{a,NULL}'$$),
               (format('%L, %s', 'refused', two) || $$, '{}'$$), (format('%L, %s', 'refused', two) || $$, encoding => 'text'$$),
               (format('%L, %s', 'refused', two) || $$, sample_rate => 11025$$), (format('%L, %s', 'refused', two) || $$, started_at => 'infinity'$$),
               (format('%L, %s', 'refused', two) || $$, tenant => 'nowhere'$$), (format('%L, %s', 'mixed', two) || $$, '{third}'$$), (format('%L, %s', 'mixed', two) || $$, '{both}'$$),
               (format('%L, %s', 'stereo', two) || $$, '{caller,agent}', encoding => 'alaw'$$), (format('%L, %s', 'mono', two) || $$, '{more}'$$)) AS t (arguments);
SELECT count(*) FROM calls WHERE call_id = 'refused';
SELECT track, total_packets_received FROM call_tracks WHERE call_id = 'mono';
SELECT packets FROM ingest_recording('cut', substr(pg_temp.wav(1, 1, 8000, 16, '\x0102030405060708'), 1, 48), allow_truncated => true);
