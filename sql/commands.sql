-- Voice commands as functions of their arguments: the textual form of the original
-- protocol, and frames taken apart.
SET search_path = mulberry, mulberry_internal, public;
SET timezone = 'UTC';

-- Minute 29,000,000 is 2025-02-19 21:20 UTC.
CREATE FUNCTION pg_temp.minute(minute bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
    $$ SELECT timestamptz 'epoch' + minute * interval '1 minute' $$;
-- what an error says, without its place in the source
CREATE FUNCTION pg_temp.error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; message text; detail text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(': ', state, message, nullif(detail, ''));
END
$$;

-- The vectors of the specification.
SELECT command, v.mandate_id, minute, g.*, g.dtmf_sequence = v.expected AS as_specified
  FROM (VALUES ('REVOKE', '12345678', 29000000, '*#01-12345678-2955##'),
               ('PING', '12345678', 29000000, '*#99-12345678-AD3B##'),
               ('EXTEND', '12345678', 29000001, '*#03-12345678-01E8##'),
               ('QUERY', '00000000', NULL, '*#04-00000000-5A5E##')) AS v (command, mandate_id, minute, expected),
       command_generate(v.command, v.mandate_id, 'test_secret_key', pg_temp.minute(v.minute), v.minute IS NOT NULL) AS g;

-- The tag is that of HMAC-SHA256 over command code, mandate and minute.
SELECT bool_and(right(left(g.dtmf_sequence, -2), 4)
                = upper(left(encode(public.hmac(convert_to(g.payload, 'UTF8'), convert_to(secret, 'UTF8'), 'sha256'), 'hex'), 4))
                AND g.payload = code || mandate || minute) AS all_as_hmac, count(*)
  FROM (VALUES ('REVOKE', '01'), ('SUSPEND', '02'), ('EXTEND', '03'), ('QUERY', '04'), ('PING', '99')) AS c (command, code),
       (VALUES ('00000000'), ('12345678'), ('99999999')) AS m (mandate),
       (VALUES ('test_secret'), ('비밀 열쇠 하나'), (repeat('long', 100))) AS s (secret),
       (VALUES (0), (29000000), (29999999)) AS t (minute),
       command_generate(command, mandate, secret, pg_temp.minute(minute)) AS g;

-- Times within a minute count for it, before 1970 and 2000 too.
SELECT at, right(payload, -10) AS minute
  FROM (VALUES (timestamptz '2025-02-19 21:20:59.999999+00'), ('2025-02-19 21:21:00+00'),
               ('2000-01-01 00:00:00+00'), ('1999-12-31 23:59:59+00'), ('1970-01-01 00:00:59+00'), ('1969-12-31 23:59:59+00'),
               ('1969-12-31 23:59:00+00'), ('294276-12-31 23:59:59+00'), ('4713-01-01 00:00:00+00 BC')) AS v (at),
       command_generate('REVOKE', '12345678', 'test_secret_key', at);

-- Verification: the minute itself and the five before, no later one.
SELECT late, v.*
  FROM generate_series(-1, 7) AS late,
       command_verify('*#01-12345678-2955##', 'test_secret_key', 5, pg_temp.minute(29000000 + late)) AS v;
SELECT w, (command_verify('*#03-12345678-01E8##', 'test_secret_key', w, pg_temp.minute(29000011))).valid
  FROM (VALUES (0), (9), (10), (1440)) AS v (w);
-- two minutes of one window with the same tag: the earlier is said
SELECT * FROM command_verify('*#01-12345678-68ED##', 'test_secret_key', 30, pg_temp.minute(29000048));

-- The original's tests, with the clock as an argument.
-- test_dtmf_generation
SELECT dtmf_sequence LIKE '*#%##' AS marked, dtmf_sequence LIKE '%01%' AS code, dtmf_sequence LIKE '%12345678%' AS mandate,
       array_length(string_to_array(dtmf_sequence, '-'), 1) AS parts
  FROM command_generate('REVOKE', '12345678', 'test_secret_key');
-- test_hmac_verification, test_all_commands
SELECT c.command, v.valid, v.command = c.command AS same, v.mandate_id
  FROM unnest(ARRAY['REVOKE', 'SUSPEND', 'EXTEND', 'QUERY', 'PING']) AS c (command),
       command_verify((command_generate(c.command, '12345678', 'test_secret_key')).dtmf_sequence, 'test_secret_key') AS v
 ORDER BY v.command_code;
-- test_replay_attack_prevention
SELECT (command_verify(dtmf_sequence, 'test_secret_key', 5, pg_temp.minute(29000003))).valid AS in_time,
       (command_verify(dtmf_sequence, 'test_secret_key', 0, pg_temp.minute(29000001))).valid AS too_late
  FROM command_generate('REVOKE', '12345678', 'test_secret_key', pg_temp.minute(29000000));
-- test_invalid_format, and more of that kind
SELECT sequence, v.valid, v.command, v.minute, v.error
  FROM unnest(ARRAY['12345678', '*12345678#', '*#12345678', '*#01-1234-AAAA##', '', '*##', '*#-##', '*#---##',
                    '*#05-12345678-D75A##', '*#1-12345678-2955##', '*#01-1234567x-2955##',
                    '*#01-12345678-##', '*#99-12345678-ad3b##', '*#01-12345678-2955## ']) AS sequence,
       command_verify(sequence, 'test_secret_key', 5, pg_temp.minute(29000000)) AS v;
-- signed, but for a mandate that is not one (the original took both)
SELECT (command_verify(s, 'test_secret_key', 0, pg_temp.minute(29000000))).error
  FROM unnest(ARRAY['*#01-1234-2EC1##', '*#01--1355##']) AS s;
-- test_wrong_hmac
SELECT * FROM command_verify(replace('*#01-12345678-2955##', '2955', '0000'), 'test_secret_key', 5, pg_temp.minute(29000000));
SELECT (command_verify('*#01-12345678-2955##', 'another_secret_key', 5, pg_temp.minute(29000000))).valid;

-- What is refused.
SELECT call, pg_temp.error_of('SELECT ' || call) AS error
  FROM unnest(ARRAY[
    $$command_generate('revoke', '12345678', 'test_secret_key')$$,
    $$command_generate('RESUME', '12345678', 'test_secret_key')$$,
    $$command_generate('', '12345678', 'test_secret_key')$$,
    $$command_generate('REVOKE', '1234567', 'test_secret_key')$$,
    $$command_generate('REVOKE', '123456789', 'test_secret_key')$$,
    $$command_generate('REVOKE', '1234 678', 'test_secret_key')$$,
    $$command_generate('REVOKE', '12345678', '')$$,
    $$command_generate('REVOKE', '12345678', 'seven77')$$,
    $$command_generate('REVOKE', '12345678', 'eight888', 'infinity')$$,
    $$command_generate('REVOKE', '12345678', 'eight888', '-infinity')$$,
    $$command_generate(NULL, '12345678', 'test_secret_key')$$,
    $$command_generate('REVOKE', NULL, 'test_secret_key')$$,
    $$command_generate('REVOKE', '12345678', NULL)$$,
    $$command_generate('REVOKE', '12345678', 'test_secret_key', NULL)$$,
    $$command_generate('REVOKE', '12345678', 'test_secret_key', NULL, false)$$,
    $$command_generate('REVOKE', '12345678', 'test_secret_key', include_timestamp => NULL)$$,
    $$command_verify(NULL, 'test_secret_key')$$,
    $$command_verify('*#01-12345678-2955##', NULL)$$,
    $$command_verify('*#01-12345678-2955##', 'short')$$,
    $$command_verify('*#01-12345678-2955##', 'test_secret_key', -1)$$,
    $$command_verify('*#01-12345678-2955##', 'test_secret_key', 1441)$$,
    $$command_verify('*#01-12345678-2955##', 'test_secret_key', NULL)$$,
    $$command_verify('*#01-12345678-2955##', 'test_secret_key', 5, NULL)$$,
    $$command_verify('*#01-12345678-2955##', 'test_secret_key', 5, 'infinity')$$,
    $$command_frame_parse(NULL)$$,
    $$ack_frame_parse(NULL)$$]) AS call;

-- Frames: the vectors of the specification.
SELECT p.*
  FROM unnest(ARRAY['*070112345678000042608379340855#', '*070212345678000043840112923938#',
                    '*070387654321149999682855456053#', '*070400000001000000228238911697#',
                    '*070312345678300043284285852957#', '*999900000000000001869025457877#']) AS frame,
       command_frame_parse(frame) AS p;
SELECT p.*
  FROM unnest(ARRAY['*07000100426040297750#', '*07000300434898431540#', '*07000399994103607010#',
                    '*07000300007647908056#', '*99000300014450438767#']) AS frame,
       ack_frame_parse(frame) AS p;
-- a code without a meaning has no name
SELECT valid, command, command_code FROM command_frame_parse('*075512345678000042608379340830#');
SELECT frame, p.valid, p.key_id, p.error
  FROM unnest(ARRAY['', '*', '*070112345678000042608379340856#', '*070112345678000042608379340855', '070112345678000042608379340855',
                    '*07011234567800004260837934085*#', '*07011234567800004260837934A855#', '#070112345678000042608379340855*',
                    '*07000100426040297750#']) AS frame,
       command_frame_parse(frame) AS p;
SELECT frame, p.valid, p.status, p.error
  FROM unnest(ARRAY['*07000100426040297751#', '*0700010042604029775#', '*07000100426040297750*',
                    '*070112345678000042608379340855#']) AS frame,
       ack_frame_parse(frame) AS p;

-- No digit of a frame can change, and no two neighbours change places, unnoticed.
SELECT count(*) AS damaged, count(*) FILTER (WHERE (command_frame_parse(overlay(frame PLACING d FROM i))).valid) AS unnoticed
  FROM (VALUES ('*070112345678000042608379340855#')) AS f (frame), generate_series(1, 32) AS i,
       unnest(string_to_array('0123456789*#', NULL)) AS d
 WHERE substr(frame, i, 1) <> d;
SELECT count(*) AS damaged,
       count(*) FILTER (WHERE (command_frame_parse(overlay(frame PLACING reverse(substr(frame, i, 2)) FROM i))).valid) AS unnoticed
  FROM (VALUES ('*070112345678000042608379340855#')) AS f (frame), generate_series(1, 31) AS i
 WHERE substr(frame, i, 1) <> substr(frame, i + 1, 1);

-- Functions of their arguments, and marked so.
SELECT proname, provolatile, proparallel, proisstrict
  FROM pg_proc
 WHERE pronamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace)
   AND proname IN ('command_generate', 'command_verify', 'command_frame_parse', 'ack_frame_parse')
 ORDER BY 1;
