-- Digits in a stored call: what call_audio() plays is what call_dtmf() hears, at the same times, unless packets are missing.
SET search_path = mulberry, mulberry_internal;

-- stores a signal as packets of so many bytes, without those in "lost"
CREATE FUNCTION pg_temp.store(call_id text, audio bytea, encoding text, sample_rate integer, size integer, lost integer[] DEFAULT '{}')
RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM generate_series(0, (length(audio) - 1) / size) AS n,
           ingest_packet(call_id, n, substr(audio, 1 + n * size, size), encoding => encoding, sample_rate => sample_rate)
     WHERE n <> ALL (lost) $$;
-- whether it hears just what is in the WAV
CREATE FUNCTION pg_temp.as_in_wav(call_id text, sample_rate integer) RETURNS boolean LANGUAGE sql AS $$
    SELECT (SELECT array_agg(d::text) FROM call_dtmf(call_id) AS d)
           = (SELECT array_agg(d::text) FROM dtmf_detect(substr(call_audio(call_id), 45), 's16le', sample_rate) AS d) $$;

-- All symbols, repeated ones too, cut up in packets of 20 ms
SELECT pg_temp.store('dtmf-all', dtmf_synthesize('0123456789ABCD*##', on_ms => 50, off_ms => 45), 'mulaw', 8000, 160);
SELECT string_agg(digit, '' ORDER BY start_ms) AS digits, max(abs(duration_ms - 50)) <= 2 AS durations,
       max(abs(level_dbm0 + 10)) < 0.5 AS levels, max(abs(twist_db)) < 0.5 AS twists
  FROM call_dtmf('dtmf-all');
SELECT pg_temp.as_in_wav('dtmf-all', 8000);
SELECT digit, abs(start_ms - n * 95) <= 5 AS onset
  FROM call_dtmf('dtmf-all') WITH ORDINALITY AS d, LATERAL (SELECT ordinality - 1) AS o (n) WHERE n IN (0, 8, 16);

-- every encoding and rate, packets of an odd size, of one sample, and of more than is read at once
CREATE TEMP TABLE formats AS
    SELECT format('dtmf-%s-%s', encoding, sample_rate) AS name, *
      FROM (VALUES ('alaw', 8000, 161), ('s16le', 8000, 2), ('s16le', 16000, 638), ('mulaw', 44100, 20001), ('s16le', 48000, 60000)) AS v (encoding, sample_rate, size);
SELECT name, pg_temp.store(name, dtmf_synthesize('2580', encoding, sample_rate), encoding, sample_rate, size) AS packets FROM formats;
SELECT name, (SELECT string_agg(digit, '') FROM call_dtmf(name)) AS digits, pg_temp.as_in_wav(name, sample_rate) FROM formats;

-- Digits keep their places where packets are missing, and go on across two of them, which the WAV's silence would end. Here each digit has four packets and each pause has four;
-- the first digit has lost its last two packets, the second has lost all four, the third two in its middle.
SELECT pg_temp.store('dtmf-lossy', dtmf_synthesize('12345'), 'mulaw', 8000, 160, '{2,3,8,9,10,11,17,18}');
SELECT digit, abs(start_ms - expected) <= 5 AS onset
  FROM call_dtmf('dtmf-lossy') LEFT JOIN (VALUES ('1', 0), ('3', 320), ('4', 480), ('5', 640)) AS v (digit, expected) USING (digit);

-- in front too, and what never came at the end is no digit; a long gap is a minute in both
SELECT pg_temp.store('dtmf-late', dtmf_synthesize('w7w'), 'mulaw', 8000, 160, '{0,1,2,3,4,5,6,7,8,9}');
SELECT count(*) FROM generate_series(0, 3) AS n, ingest_packet('dtmf-late', 100000 + n, substr(dtmf_synthesize('9'), 1 + 160 * n, 160));
SELECT status FROM complete_call('dtmf-late', 200000);
SELECT digit, start_ms / 100 AS tenths FROM call_dtmf('dtmf-late');
SELECT pg_temp.as_in_wav('dtmf-late', 8000);

-- a pair of tones below the floor is none; the argument moves it
SELECT pg_temp.store('dtmf-quiet', dtmf_synthesize('42', 's16le', level_dbm0 => -40), 's16le', 8000, 320);
SELECT (SELECT string_agg(digit, '') FROM call_dtmf('dtmf-quiet')) AS default_floor,
       (SELECT string_agg(digit, '') FROM call_dtmf('dtmf-quiet', floor_dbm0 => -35)) AS higher_floor;

-- a call without digits
SELECT status FROM ingest_packet('dtmf-silent', 0, '\xffffffff', encoding => 'mulaw', sample_rate => 8000);
SELECT * FROM call_dtmf('dtmf-silent');

-- in a query over several calls, in a READ ONLY transaction
BEGIN READ ONLY;
SELECT call_id, string_agg(digit, '' ORDER BY start_ms) AS digits
  FROM call_status, call_dtmf(call_id, tenant) WHERE call_id IN ('dtmf-lossy', 'dtmf-quiet', 'dtmf-silent') GROUP BY call_id ORDER BY call_id;
COMMIT;

-- What is refused
SELECT status FROM ingest_packet('dtmf-words', 0, 'hello', encoding => 'text');
SELECT * FROM call_dtmf('dtmf-words');
SELECT * FROM call_dtmf('unknown');
SELECT * FROM call_dtmf(NULL);
SELECT * FROM call_dtmf('dtmf-quiet', 'unknown');
SELECT * FROM call_dtmf('dtmf-quiet', floor_dbm0 => 0);

-- A call of another tenant might as well not exist; who sees no calls hears none.
CREATE ROLE regress_dtmf_supervisor;
CREATE ROLE regress_dtmf_sender;
SELECT create_tenant('regress-dtmf') IS NOT NULL AS created;
SELECT grant_access('regress_dtmf_supervisor', 'supervisor', 'regress-dtmf');
SELECT grant_access('regress_dtmf_sender', 'ingest', 'regress-dtmf');
SELECT count(*) FROM ingest_packet('dtmf-theirs', 0, dtmf_synthesize('8'), tenant => 'regress-dtmf', encoding => 'mulaw', sample_rate => 8000);
SET ROLE regress_dtmf_supervisor;
SELECT digit FROM call_dtmf('dtmf-theirs');
SELECT digit FROM call_dtmf('dtmf-quiet', 'regress-dtmf');
SELECT digit FROM call_dtmf('unknown', 'regress-dtmf');
\set VERBOSITY sqlstate
SELECT digit FROM call_dtmf('dtmf-quiet', 'regress-dtmf');
SELECT digit FROM call_dtmf('unknown', 'regress-dtmf');
SELECT digit FROM call_dtmf('dtmf-quiet', 'default');
SELECT digit FROM call_dtmf('unknown', 'default');
SET ROLE regress_dtmf_sender;
SELECT digit FROM call_dtmf('dtmf-theirs');
RESET ROLE;
SELECT digit FROM call_dtmf('dtmf-theirs');
\set VERBOSITY default
SELECT revoke_access('regress_dtmf_supervisor', 'supervisor', 'regress-dtmf'), revoke_access('regress_dtmf_sender', 'ingest', 'regress-dtmf');
DROP ROLE regress_dtmf_supervisor, regress_dtmf_sender;

-- It can be cancelled: this call takes many times longer than it may.
SELECT count(*) FROM generate_series(0, 199) AS n,
       ingest_packet('dtmf-long', n, repeat('8aZ3nPq0RtX5vB7mLcD2', 3000)::bytea, encoding => 'mulaw', sample_rate => 48000);
SET statement_timeout = '10ms' \; SELECT count(*) FROM call_dtmf('dtmf-long');
SHOW statement_timeout;

SELECT erase_call('dtmf-theirs', 'regress-dtmf');
SELECT count(erase_call(call_id)) FROM call_status WHERE call_id IN (SELECT name FROM formats) OR call_id IN ('dtmf-all', 'dtmf-lossy', 'dtmf-late', 'dtmf-quiet', 'dtmf-silent', 'dtmf-words', 'dtmf-long');
DELETE FROM events WHERE tenant = (SELECT id FROM tenants WHERE name = 'regress-dtmf');
SELECT drop_tenant('regress-dtmf');

-- A packet lost in the middle of a digit makes no second one; lost in the pause between two equal ones it leaves two.
SELECT count(*)
  FROM mulberry.dtmf_synthesize('55', 'mulaw', 8000, 100, 100) AS d, generate_series(0, 19) AS g,
       mulberry.ingest_packet('dtmf-lost', g, substr(d, g * 160 + 1, 160), encoding => 'mulaw', sample_rate => 8000)
 WHERE g NOT IN (2, 7);
SELECT digit, round(start_ms, -1) AS about_ms, round(duration_ms, -1) AS about_long FROM call_dtmf('dtmf-lost');
