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

-- Packets come in the order of their sequences wherever they lie: calls' in turn and each in one piece; in line, backwards, in lines
-- of 10, 30 and 100 that change places, in line but for each 300th that never came, and the second half first.
CREATE TEMP TABLE arrivals AS SELECT call, n, s, int4send(s + 1) AS data FROM generate_series(0, 1199) AS n, LATERAL (VALUES
    ('in line', n), ('backwards', 1199 - n), ('lines of 10', (n / 10 * 7 % 120) * 10 + n % 10),
    ('lines of 30', (n / 30 * 7 % 40) * 30 + n % 30), ('lines of 100', (n / 100 * 7 % 12) * 100 + n % 100),
    ('lost', CASE WHEN n % 300 < 299 THEN n END), ('half first', (n + 600) % 1200)) AS v (call, s) WHERE s IS NOT NULL;
CREATE FUNCTION pg_temp.arrive(name text, s integer, data bytea) RETURNS text LANGUAGE sql AS
    $$ SELECT status FROM ingest_packet($1, $2, $3, encoding => 's16le', sample_rate => 8000) $$;
SELECT status, count(*) FROM (SELECT pg_temp.arrive('in turn ' || call, s, data) AS status FROM arrivals ORDER BY n, call) AS a GROUP BY 1;
SELECT status, count(*) FROM (SELECT pg_temp.arrive('piece ' || call, s, data) AS status FROM arrivals ORDER BY call, n) AS a GROUP BY 1;
-- what was taken back lies right behind
BEGIN;
SELECT count(pg_temp.arrive('taken back', s, data)) FROM arrivals WHERE call = 'in line' AND s < 600;
SAVEPOINT before;
SELECT count(pg_temp.arrive('taken back', s, '\x7f7f7f7f')) FROM arrivals WHERE call = 'in line' AND s >= 600;
ROLLBACK TO before;
SELECT count(pg_temp.arrive('taken back', s, data)) FROM arrivals WHERE call = 'in line' AND s >= 600;
COMMIT;
SELECT c.call_id, substr(call_audio(c.call_id), 45) = string_agg(coalesce(a.data, '\x00000000'), '' ORDER BY g.n) AS is_right
  FROM calls AS c CROSS JOIN generate_series(0, 1199) AS g (n) LEFT JOIN arrivals AS a
       ON a.s = g.n AND a.call = replace(regexp_replace(c.call_id, '^(in turn|piece) ', ''), 'taken back', 'in line')
 WHERE c.call_id ~ '^(in turn|piece|taken back)' AND g.n <= CASE WHEN c.call_id ~ 'lost' THEN 1198 ELSE 1199 END
 GROUP BY 1 ORDER BY 1;
-- what a snapshot does not show is not heard with it
CREATE TEMP TABLE heard AS SELECT c.call_id, md5(call_audio(c.call_id)) FROM calls AS c WHERE c.call_id LIKE 'piece %';
BEGIN;
DECLARE before CURSOR FOR SELECT bool_and(md5(call_audio(c.call_id)) = h.md5) AS same FROM calls AS c JOIN heard AS h USING (call_id);
UPDATE mulberry_internal.packets SET data = '\x7f7f7f7f' WHERE call IN (SELECT id FROM calls WHERE call_id LIKE 'piece %');
FETCH before;
SELECT count(*) FROM heard AS h WHERE md5(call_audio(h.call_id)) = h.md5;
ROLLBACK;

-- text: words in order, joined by spaces; there is no audio
SELECT count(*) FROM (VALUES (2, 'world'), (0, 'hello'), (4, 'grüße')) v (s, t), ingest_packet('spoken', s, convert_to(t, 'UTF8'), encoding => 'text');
SELECT call_audio('spoken');
SELECT * FROM call_gaps('spoken');

-- reading works where writing does not
BEGIN READ ONLY;
SELECT length(call_audio('pcm'));
COMMIT;
