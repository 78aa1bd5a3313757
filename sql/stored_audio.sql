-- Audio is read where it lies, the rows of a page and the chunks of a value at once: whatever else is on the page, it is what the
-- server itself reads.
SET search_path = mulberry, mulberry_internal, public;

-- Values of lengths around those of a chunk (1996) and of what is fetched at a time (262144), among chunks that are dead.
CREATE TEMPORARY TABLE stored (n integer, audio bytea);
ALTER TABLE stored ALTER COLUMN audio SET STORAGE EXTERNAL;
CREATE FUNCTION pg_temp.noise(n integer) RETURNS bytea LANGUAGE sql AS
    $$ SELECT substr(string_agg(sha512(int4send(n + i)), ''), 1, n) FROM generate_series(0, n / 64) AS i $$;
INSERT INTO stored SELECT n, pg_temp.noise(n) FROM unnest(ARRAY[2500, 3991, 3992, 3993]) AS n;
BEGIN;
INSERT INTO stored SELECT n, pg_temp.noise(n) FROM unnest(ARRAY[2500, 3991, 3992, 3993]) AS n;
ROLLBACK;
DELETE FROM stored WHERE n IN (3991, 3993);
INSERT INTO stored SELECT n, pg_temp.noise(n) FROM unnest(ARRAY[3991, 3993, 262143, 262144, 262145, 524289, 700001]) AS n;
SELECT n,
       audio_convert(audio, 'mulaw', 8000, 'alaw', 8000) = audio_convert(audio || '', 'mulaw', 8000, 'alaw', 8000) AS whole,
       wav_encode(audio, 'mulaw', 8000) = wav_encode(audio || '', 'mulaw', 8000) AS copied
  FROM stored ORDER BY n;

-- From a place within a chunk on, and of two bytes a sample.
CREATE TEMPORARY TABLE waves (n integer, wav bytea);
ALTER TABLE waves ALTER COLUMN wav SET STORAGE EXTERNAL;
INSERT INTO waves SELECT n, wav_encode(substr(audio, 1, n - n % 2), 's16le', 8000) FROM stored;
SELECT n, (wav_decode(wav)).audio = substr(wav || '', 45) AS within,
       audio_convert(substr(wav, 1, 44 + n - n % 2), 's16le', 8000, 'mulaw', 8000)
           = audio_convert(wav || '', 's16le', 8000, 'mulaw', 8000) AS of_two_bytes
  FROM waves ORDER BY n;

-- All of it of two bytes a sample, twice as a picture needs it, and by the server in a transaction that has to note what it reads.
SELECT bool_and(audio_convert(wav, 's16le', 8000, 'mulaw', 8000) = audio_convert(wav || '', 's16le', 8000, 'mulaw', 8000)) AS of_two_bytes,
       bool_and(waveform_svg(wav, 's16le', 8000, 400, 200) = waveform_svg(wav || '', 's16le', 8000, 400, 200)) AS twice
  FROM waves;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT bool_and(audio_convert(wav, 's16le', 8000, 'mulaw', 8000) = audio_convert(wav || '', 's16le', 8000, 'mulaw', 8000)) AS by_the_server
  FROM waves;
COMMIT;

-- The packets of two calls in turn, some of them taken back, one of the calls erased.
CREATE FUNCTION pg_temp.send(n integer) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(ingest_packet(c, n, substr(pg_temp.noise(4000), n * 20 + 1, 20), encoding => 'mulaw', sample_rate => 8000))
      FROM unnest(ARRAY['pages', 'pages-other']) AS c $$;
DO $$
BEGIN
    FOR n IN 0..149 LOOP
        PERFORM pg_temp.send(n);
        IF n % 7 = 0 THEN
            BEGIN
                PERFORM pg_temp.send(n + 1);
                RAISE division_by_zero;
            EXCEPTION WHEN division_by_zero THEN NULL;
            END;
        END IF;
    END LOOP;
END $$;
SELECT count(erase_call('pages-other'));
CREATE FUNCTION pg_temp.as_sent(n integer) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT (wav_decode(call_audio('pages'))).audio = audio_convert(substr(pg_temp.noise(4000), 1, n), 'mulaw', 8000, 's16le', 8000) $$;
SELECT pg_temp.as_sent(3000);

-- Rows with a newer version on their page, or elsewhere.
UPDATE packets SET sent_at = now() WHERE call = (SELECT id FROM calls WHERE call_id = 'pages') AND sequence % 3 = 0;
SELECT pg_temp.as_sent(3000);
UPDATE packets SET sent_at = now() WHERE call = (SELECT id FROM calls WHERE call_id = 'pages') AND sequence % 2 = 0;
SELECT pg_temp.as_sent(3000);
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT pg_temp.as_sent(3000);
COMMIT;

-- What a snapshot does not show is not heard, and what it does goes on to be.
BEGIN;
DECLARE before CURSOR FOR SELECT pg_temp.as_sent(3000);
SELECT sum(pg_temp.send(n)) FROM generate_series(150, 160) AS n;
UPDATE packets SET data = '\x00' WHERE call = (SELECT id FROM calls WHERE call_id = 'pages') AND sequence = 149;
FETCH before;
SELECT pg_temp.as_sent(3000) AS since;
ROLLBACK;
SELECT pg_temp.as_sent(3000);
SELECT count(erase_call('pages'));

-- Pages that lie one behind another in their table and not in memory: others come between them; and a long value in a table of all sessions.
CREATE TABLE between (page text);
ALTER TABLE between ALTER COLUMN page SET STORAGE PLAIN;
CREATE TABLE kept (audio bytea);
ALTER TABLE kept ALTER COLUMN audio SET STORAGE EXTERNAL;
INSERT INTO kept VALUES (pg_temp.noise(96000));
DO $$
DECLARE
    noise bytea := pg_temp.noise(96000);
BEGIN
    FOR n IN 0..599 LOOP
        PERFORM ingest_packet('scattered', n, substr(noise, n * 160 + 1, 160), encoding => 'mulaw', sample_rate => 8000);
        IF n % 30 = 29 AND n % 240 >= 60 THEN
            INSERT INTO between VALUES (repeat('x', 8000));
        END IF;
    END LOOP;
END $$;
SELECT (wav_decode(call_audio('scattered'))).audio = audio_convert(audio || '', 'mulaw', 8000, 's16le', 8000) AS scattered,
       audio_convert(audio, 'mulaw', 8000, 's16le', 8000) = audio_convert(audio || '', 'mulaw', 8000, 's16le', 8000) AS kept
  FROM kept;
DROP TABLE between, kept;
SELECT count(erase_call('scattered'));
