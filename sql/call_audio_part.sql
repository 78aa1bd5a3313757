-- The file of call_audio() part by part: put together they are the file, whatever their size and wherever they are cut.
SET search_path = mulberry, public;
CREATE FUNCTION pg_temp.in_parts(call_id text, part integer) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    file bytea := '';
    got  record;
    version text;
BEGIN
    LOOP
        SELECT * INTO got FROM mulberry.call_audio_part(call_id, start => length(file), max_bytes => part);
        IF got.version <> version THEN
            RAISE 'another version';
        END IF;
        version := got.version;
        EXIT WHEN got.bytes = '';
        file := file || got.bytes;
    END LOOP;
    IF got.total_bytes <> length(file) THEN
        RAISE 'another length';
    END IF;
    RETURN file;
END $$;

-- packets of odd lengths in all encodings, with gaps at the beginning, within, and at the end
SELECT format('part %s', encoding) AS call, count(*) AS packets, count(*) FILTER (WHERE status = 'accepted') AS accepted
  FROM unnest(ARRAY['mulaw', 'alaw', 's16le']) AS e (encoding)
       CROSS JOIN LATERAL generate_series(2, 60) AS s
       CROSS JOIN LATERAL ingest_packet(format('part %s', encoding), s, decode(repeat(lpad(to_hex((s * 7) % 256), 2, '0'), 20 + 2 * (s % 5)), 'hex'),
                                        encoding => encoding, sample_rate => 8000) AS i
 WHERE s % 11 <> 0
 GROUP BY encoding ORDER BY encoding;
SELECT complete_call('part ' || e, 64) IS NOT NULL AS complete FROM unnest(ARRAY['mulaw', 'alaw', 's16le']) AS e;
SELECT call_id, part, pg_temp.in_parts(call_id, part) = call_audio(call_id) AS same
  FROM unnest(ARRAY['part alaw', 'part mulaw', 'part s16le']) AS c (call_id), unnest(ARRAY[1, 7, 44, 45, 1000, 16777216]) AS p (part)
 ORDER BY 1, 2;
SELECT bool_and(p.bytes = substr(call_audio('part mulaw'), s + 1, 33)) AS anywhere
  FROM generate_series(0, 300, 13) AS s, call_audio_part('part mulaw', start => s, max_bytes => 33) AS p;
SELECT p.bytes = substr(a, length(a) - 9) AS its_end, total_bytes = length(a) AS total
  FROM call_audio('part mulaw') AS a, call_audio_part('part mulaw', start => -10) AS p;
SELECT length(bytes) = total_bytes AS all_of_it FROM call_audio_part('part mulaw', start => -1000000000000);
SELECT length(bytes), total_bytes > 0 AS total FROM call_audio_part('part mulaw', max_bytes => 0);
SELECT length(bytes), total_bytes > 0 AS total FROM call_audio_part('part mulaw', start => 9223372036854775807);
SELECT length(bytes), total_bytes > 0 AS total FROM call_audio_part('part mulaw', start => -9223372036854775808, max_bytes => 5);

-- a version is that of what is there
SELECT status FROM ingest_packet('grows', 0, '\x0102', encoding => 'mulaw', sample_rate => 8000);
SELECT status FROM ingest_packet('grows', 2, '\x0102', encoding => 'mulaw', sample_rate => 8000);
SELECT version AS before FROM call_audio_part('grows') \gset
SELECT version = :'before' AS same FROM call_audio_part('grows', start => 5);
SELECT status FROM ingest_packet('grows', 1, '\x0304', encoding => 'mulaw', sample_rate => 8000);
SELECT version = :'before' AS same, total_bytes FROM call_audio_part('grows');
SELECT count(DISTINCT v) FROM call_audio_part('part alaw') AS a (bytes, total, version)
 CROSS JOIN LATERAL (VALUES (a.version), ((call_audio_part('part mulaw')).version)) AS v (v);

-- what there is not
SELECT call_audio_part('nobody');
SELECT call_audio_part('grows', track => 'nobody');
SELECT call_audio_part('grows', max_bytes => -1);
SELECT call_audio_part('grows', max_bytes => 16777217);
SELECT call_audio_part(NULL);
SELECT status FROM ingest_packet('spoken part', 0, 'hello', encoding => 'text');
SELECT call_audio_part('spoken part');
