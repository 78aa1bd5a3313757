-- A call put together: WAV with silence where packets are missing, text in order.
SET search_path = mulberry, mulberry_internal;
-- samples of a WAV made by call_audio(), behind its header of 44 bytes
CREATE FUNCTION pg_temp.samples(wav bytea) RETURNS text LANGUAGE sql AS
    $$ SELECT encode(substr($1, 45), 'hex') $$;

-- s16le: bytes as they came; a gap in front, inside, and the tail that never came
SELECT count(*) FROM unnest('{1,2,5}'::integer[]) s, ingest_packet('pcm', s, '\x01020304', encoding => 's16le', sample_rate => 8000);
SELECT status FROM complete_call('pcm', 8);
SELECT pg_temp.samples(call_audio('pcm'));
SELECT encode(substr(call_audio('pcm'), 1, 44), 'hex') AS header;
SELECT * FROM call_gaps('pcm');

-- the usual length is the most frequent one
SELECT count(*) FROM (VALUES (0, 2), (1, 8), (2, 8), (4, 8), (5, 6)) v (s, n), ingest_packet('lengths', s, decode(repeat('11', n), 'hex'), encoding => 's16le', sample_rate => 8000);
SELECT pg_temp.samples(call_audio('lengths'));

-- G.711 is decoded: the smallest and the largest code words, and silence for both laws
SELECT status FROM ingest_packet('mu-law', 0, '\xff7f8000', encoding => 'mulaw', sample_rate => 8000);
SELECT pg_temp.samples(call_audio('mu-law'));
SELECT status FROM ingest_packet('a-law', 0, '\xd555aa2a', encoding => 'alaw', sample_rate => 8000);
SELECT pg_temp.samples(call_audio('a-law'));
-- silence is silence of the decoded signal
SELECT status FROM ingest_packet('mu-law', 2, '\xff7f8000');
SELECT pg_temp.samples(call_audio('mu-law'));

-- packets larger than what is decoded at once, and stored out of line
SELECT count(*) FROM generate_series(0, 2) s, ingest_packet('long', s, decode(repeat('80', 5001), 'hex'), encoding => 'mulaw', sample_rate => 8000);
SELECT length(call_audio('long')) = 44 + 2 * 3 * 5001 AS length_is_right,
       pg_temp.samples(call_audio('long')) = repeat('7c7d', 3 * 5001) AS samples_are_right;

-- a run of missing packets is at most a minute of silence, however long it was
SELECT count(*) FROM unnest('{0,99999}'::integer[]) s, ingest_packet('jump', s, decode(repeat('0000', 160), 'hex'), encoding => 's16le', sample_rate => 8000);
SELECT (length(call_audio('jump')) - 44) / 2 / 8000.0 AS seconds;
SELECT * FROM call_gaps('jump');
SELECT status FROM complete_call('jump', 2000000000);
SELECT (length(call_audio('jump')) - 44) / 2 / 8000.0 AS seconds;
SELECT * FROM call_gaps('jump');

-- A call that is nearly all gaps: silence is bounded in proportion to what is there. 300 packets of 20 ms, each after one of a minute.
SELECT count(*) FROM generate_series(1, 300) AS n, ingest_packet('holes', 3001 * n, decode(repeat('80', 160), 'hex'), encoding => 'mulaw', sample_rate => 8000);
SELECT (length(call_audio('holes')) - 44) / 2 / 8000.0 AS seconds, 300 * 0.02 AS of_audio;
-- each gap is as long as every other, and no sample is lost
SELECT count(*), min(duration_ms), max(duration_ms), sum(duration_ms) FROM call_gaps('holes');
SELECT length(replace(pg_temp.samples(call_audio('holes')), '0000', '')) / 4 AS samples_of_packets;
-- what workers get is the same
SELECT length(i.audio) = length(call_audio('holes')) AS same, i.facts->>'audio_seconds' AS seconds
  FROM calls c, mulberry_internal.transcription_input(c.id) AS i WHERE c.call_id = 'holes';
-- Short gaps beside long ones keep their times: one of a packet, then ten of a minute.
SELECT count(*) FROM generate_series(0, 19) AS n, ingest_packet('some-holes', CASE WHEN n < 10 THEN 2 * n ELSE 3000 * n END, decode(repeat('80', 160), 'hex'), encoding => 'mulaw', sample_rate => 8000);
SELECT count(*), min(packets), min(duration_ms), max(duration_ms), sum(duration_ms) FROM call_gaps('some-holes') GROUP BY packets > 1 ORDER BY 2;
-- what never came at the end is cut first
SELECT status FROM complete_call('some-holes', 200000);
SELECT count(*), sum(duration_ms), min(duration_ms) FROM call_gaps('some-holes');
SELECT count(*) FROM generate_series(0, 1) AS n, ingest_packet('tail', 2000 * n, decode(repeat('80', 160), 'hex'), encoding => 'mulaw', sample_rate => 8000);
SELECT status FROM complete_call('tail', 9000);
SELECT packets, start_ms, duration_ms FROM call_gaps('tail');

-- nothing missing
SELECT status FROM ingest_packet('no-gap', 0, '\x0102');
SELECT count(*) FROM call_gaps('no-gap');

-- text: words in order, joined by spaces; there is no audio
SELECT count(*) FROM (VALUES (2, 'world'), (0, 'hello'), (4, 'grüße')) v (s, t), ingest_packet('spoken', s, convert_to(t, 'UTF8'), encoding => 'text');
SELECT call_audio('spoken');
SELECT * FROM call_gaps('spoken');

-- reading works where writing does not
BEGIN READ ONLY;
SELECT length(call_audio('pcm'));
COMMIT;
