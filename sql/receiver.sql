-- The receiving side of voice commands: what is heard, judged, applied, answered, refused and
-- counted.  Frames are made here a second time, in SQL, from the specification alone.
SET client_min_messages = warning;
CREATE ROLE regress_gateway;
CREATE ROLE regress_stranger;
CREATE ROLE regress_supervisor;
RESET client_min_messages;
\set VERBOSITY terse
\set SHOW_CONTEXT never
-- A tenant of this test's own; its rows, whatever other tests have left.
SELECT mulberry.create_tenant('receiving') IS NOT NULL AS made;
SELECT mulberry.grant_access('regress_gateway', 'gateway', 'receiving'), mulberry.grant_access('regress_supervisor', 'supervisor', 'receiving');
SELECT format('CREATE TEMP VIEW %1$s AS SELECT * FROM mulberry_internal.%1$s WHERE tenant = (SELECT id FROM mulberry_internal.tenants WHERE name = ''receiving'')', name)
  FROM unnest('{key_guard,key_frames,challenges,received_calls,voice_keys,mandates,audit,events,secrets,sync_states}'::text[]) AS name \gexec
CREATE TEMP VIEW voice_key_status AS SELECT * FROM mulberry.voice_key_status WHERE tenant = 'receiving';

-- The key, tenant and edge of the specification's vectors.
COPY mulberry.voice_key_entry (tenant, agent, key) FROM stdin;
receiving	pi	mulberry-voice-key:1:00112233-4455-6677-8899-aabbccddeeff:ffeeddcc-bbaa-9988-7766-554433221100:07:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f:none:04e03f6a
receiving	\N	mulberry-voice-key:1:00112233-4455-6677-8899-aabbccddeeff:11111111-2222-3333-4444-555555555555:09:0909090909090909090909090909090909090909090909090909090909090909:none:a3e69d57
\.
SELECT mulberry.create_mandate(id, agent, 'sponsor', 100, 'EUR', '2999-01-01', 'receiving')
  FROM (VALUES ('12345678', 'pi'), ('87654321', 'pi'), ('11112222', 'pi'), ('33334444', 'pi'), ('99999999', 'edge-11111111')) AS m (id, agent);

CREATE FUNCTION pg_temp.tag(k bytea, label text, message bytea, digits integer) RETURNS text LANGUAGE sql AS $$
    SELECT lpad(((n + CASE WHEN n < 0 THEN 18446744073709551616 ELSE 0 END) % (10::numeric ^ digits))::bigint::text, digits, '0')
      FROM (SELECT ('x' || encode(substr(hmac(message, hmac(convert_to(label, 'UTF8'), k, 'sha256'), 'sha256'), 1, 8), 'hex'))::bit(64)::bigint::numeric) AS m (n)
$$;
CREATE FUNCTION pg_temp.checked(digits text) RETURNS text LANGUAGE sql AS $$
    SELECT '*' || digits || lpad((98 - (digits || '00')::numeric % 97)::text, 2, '0') || '#'
$$;
CREATE FUNCTION pg_temp.frame(cmd integer, mandate text, counter bigint, arg integer DEFAULT 0, nonce text DEFAULT '', kid integer DEFAULT 7,
                              k bytea DEFAULT '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
                              tenant uuid DEFAULT '00112233-4455-6677-8899-aabbccddeeff', edge uuid DEFAULT 'ffeeddcc-bbaa-9988-7766-554433221100')
RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.checked(format('%s%s%s%s%s', lpad(kid::text, 2, '0'), lpad(cmd::text, 2, '0'), mandate, lpad(arg::text, 2, '0'),
                                  lpad((counter % 10000)::text, 4, '0'))
           || pg_temp.tag(k, 'mulberry/dtmf/2/cmd',
                          'MLB2'::bytea || '\x01'::bytea || uuid_send(tenant) || uuid_send(edge) || set_byte('\x00', 0, kid) || set_byte('\x00', 0, cmd)
                          || mandate::bytea || set_byte('\x00', 0, arg) || int8send(counter) || set_byte('\x00', 0, length(nonce)) || nonce::bytea, 10))
$$;
-- a frame whose tag is wrong in one digit, with check digits that fit
CREATE FUNCTION pg_temp.forged(frame text, place integer) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.checked(overlay(substr(frame, 2, 28) PLACING ((substr(frame, 19 + place, 1)::integer + 1) % 10)::text FROM 18 + place FOR 1))
$$;
-- what an edge says, in a line
CREATE FUNCTION pg_temp.said(a mulberry.command_answer) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' | ', a.verdict, a.success::text, a.command, a.mandate_id, a.status, a.mandate_state, a.error, regexp_replace(a.ack_digits, '^(\*[0-9]{10}).{11}$', '\1...'),
                     CASE WHEN a.challenge ~ '^[0-9]{8}$' AND a.challenge::bigint % 97 = 1 THEN 'challenge' ELSE a.challenge END, a.speech,
                     CASE WHEN a.hang_up THEN 'hang up' END)
$$;
CREATE FUNCTION pg_temp.heard(frame text, call_ref text DEFAULT NULL, caller text DEFAULT NULL, path text DEFAULT 'voice') RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.said(mulberry.handle_command_symbols(frame, caller, call_ref, path, 'receiving'))
$$;
-- as if it had been so much earlier
CREATE FUNCTION pg_temp.later(by interval) RETURNS void LANGUAGE sql AS $$
    UPDATE key_guard SET forgeries = ARRAY(SELECT f - by FROM unnest(forgeries) WITH ORDINALITY AS u (f, n) ORDER BY n),
           challenge_until = challenge_until - by;
    UPDATE challenges SET drawn_at = drawn_at - by, played_at = played_at - by;
    UPDATE received_calls SET began_at = began_at - by;
$$;
-- the digits of the challenge that is open, as the other side has heard them
CREATE FUNCTION pg_temp.nonce() RETURNS text LANGUAGE sql AS $$ SELECT nonce FROM challenges ORDER BY played_at DESC LIMIT 1 $$;

-- The frames made here are the specification's.
SELECT pg_temp.frame(1, '12345678', 42) = '*070112345678000042608379340855#' AS revoke,
       pg_temp.frame(2, '12345678', 43) = '*070212345678000043840112923938#' AS suspend,
       pg_temp.frame(3, '87654321', 9999, 14) = '*070387654321149999682855456053#' AS extend,
       pg_temp.frame(4, '00000001', 10000) = '*070400000001000000228238911697#' AS query,
       pg_temp.frame(3, '12345678', 10043, 30, '493817') = '*070312345678300043284285852957#' AS answer,
       pg_temp.frame(99, '00000000', 1, kid => 99) = '*999900000000000001869025457877#' AS ping;

-- Heard, applied and answered: symbols and tones.
UPDATE voice_keys SET last_counter = 41 WHERE key_id = 7;
SET ROLE regress_gateway;
SELECT success, command, mandate_id, status, error, message, ack_digits, speech, challenge, verdict, hang_up, mandate_state, frames,
       mulberry.dtmf_decode(ack_audio, 'mulaw', 8000) AS played
  FROM mulberry.handle_call_audio(mulberry.dtmf_synthesize('*070112345678000042608379340855#'), 'mulaw', 8000, '+14155550199', 'CA1') \gx
RESET ROLE;
SELECT status FROM mandates WHERE id = '12345678';
SELECT last_counter FROM voice_keys WHERE key_id = 7;
SELECT action, outcome, method, mandate, agent, evidence - 'frame_sha256' AS evidence
  FROM audit WHERE mandate = '12345678' AND method = 'voice';
SELECT event, payload->>'command' AS command, payload->>'mandate_id' AS mandate_id, payload->>'status' AS status
  FROM events WHERE event = 'voice_command_received';

-- Played again, in this call or another, by anybody: the same answer, and nothing is done.
SELECT version, spent FROM mandates WHERE id = '12345678';
SELECT ack_digits FROM mulberry.handle_command_symbols('*070112345678000042608379340855#', tenant => 'receiving');
SELECT pg_temp.heard('*070112345678000042608379340855#', 'CA2');
SELECT pg_temp.heard('*070112345678000042608379340855#', path => 'sync');
SELECT version, spent FROM mandates WHERE id = '12345678';
SELECT count(*) FROM audit WHERE mandate = '12345678' AND outcome = 'duplicate';

-- Repeats in one audio, the first of them not understood; encodings and rates; nothing at all.
SELECT pg_temp.said(a), a.frames
  FROM mulberry.handle_call_audio(mulberry.dtmf_synthesize('*07021234567800W' || pg_temp.frame(4, '12345678', 43) || 'W' || pg_temp.frame(4, '12345678', 43), 's16le', 48000),
                                  's16le', 48000, tenant => 'receiving') a;
SELECT pg_temp.said(a), mulberry.dtmf_decode(a.ack_audio, 'alaw', 16000) = a.ack_digits AS played
  FROM mulberry.handle_call_audio(mulberry.dtmf_synthesize('17' || pg_temp.frame(99, '00000000', 44) || '5', 'alaw', 16000), 'alaw', 16000, tenant => 'receiving') a;
SELECT pg_temp.said(a), a.frames FROM mulberry.handle_call_audio(decode(repeat('ff', 8000), 'hex'), 'mulaw', 8000, tenant => 'receiving') a;
-- two commands in one audio: both act, the last is answered
SELECT pg_temp.said(a), a.frames
  FROM mulberry.handle_call_audio(mulberry.dtmf_synthesize(pg_temp.frame(2, '87654321', 45) || 'W' || pg_temp.frame(5, '87654321', 46)), 'mulaw', 8000, tenant => 'receiving') a;
SELECT f.counter, f.command, f.mandate, f.ack_status, f.ack_state FROM key_frames f ORDER BY 1;

-- Each command, and what it says.
SELECT c.cmd, pg_temp.heard(pg_temp.frame(c.cmd, c.mandate, c.counter, c.arg)) AS answer
  FROM (VALUES (2, '87654321', 47, 0), (2, '87654321', 48, 0), (4, '87654321', 49, 0), (5, '87654321', 50, 0), (3, '87654321', 51, 14), (3, '87654321', 52, 1),
               (1, '87654321', 53, 0), (1, '87654321', 54, 0), (5, '87654321', 55, 0), (3, '87654321', 56, 5), (4, '87654321', 57, 0),
               (1, '00000001', 58, 0), (4, '00000001', 59, 0), (99, '00000000', 60, 0)) AS c (cmd, mandate, counter, arg);
SELECT status, expires_at - '2999-01-01'::timestamptz AS extended FROM mandates WHERE id = '87654321';
-- what is genuine and means nothing here is refused, and says so
SELECT pg_temp.heard(pg_temp.frame(77, '12345678', 61)), pg_temp.heard(pg_temp.frame(1, '11112222', 62, 5)), pg_temp.heard(pg_temp.frame(3, '11112222', 63, 0)),
       pg_temp.heard(pg_temp.frame(99, '12345678', 64));
-- another agent's mandate is none of this one's
SELECT pg_temp.heard(pg_temp.frame(1, '99999999', 65));
SELECT id, status FROM mandates WHERE id IN ('11112222', '99999999') ORDER BY 1;

-- No frames: asked for again, counted nowhere but in the call.
SELECT pg_temp.heard(f) FROM unnest(ARRAY['', '*#', '1234', pg_temp.frame(4, '12345678', 66) || '#', translate(pg_temp.frame(4, '12345678', 66), '12', '21'), repeat('*', 5000)]) AS f;
SELECT count(*) FROM key_guard;
SELECT n, pg_temp.heard('*0#', 'CA-noise') FROM generate_series(1, 12) AS n;

-- Counters: what is behind is not judged, what is far ahead is taken for that; nothing is counted.
SELECT pg_temp.heard(pg_temp.frame(1, '11112222', c)) FROM unnest(ARRAY[1, 41, 65, 65 + 5001, 65 + 9999]) AS c;
SELECT pg_temp.heard(pg_temp.forged(pg_temp.frame(1, '11112222', 3), 1));
SELECT count(*) FROM key_guard;
SELECT pg_temp.heard(pg_temp.frame(4, '11112222', 65 + 5000));
-- past 10,000, and out of the memory of 64: an accepted frame that is forgotten is still behind
SELECT count(*) FROM (SELECT pg_temp.heard(pg_temp.frame(4, '11112222', n)) AS a FROM generate_series(9950, 10050) n) x WHERE a LIKE 'accepted%';
SELECT last_counter FROM voice_keys WHERE key_id = 7;
SELECT count(*), min(counter), max(counter) FROM key_frames WHERE key_id = 7;
SELECT pg_temp.heard(pg_temp.frame(4, '11112222', 10000)), pg_temp.heard(pg_temp.frame(4, '11112222', 9960));

-- Forgeries: the same answer wherever the tag differs, for an unknown key, another edge's frame, another tenant's, another key's.
SELECT n, pg_temp.heard(pg_temp.forged(pg_temp.frame(1, '11112222', 10051), n)) FROM unnest('{1,5,10}'::int[]) n;
SELECT pg_temp.heard(pg_temp.frame(1, '11112222', 1, kid => 55)) AS unknown_key;
SELECT pg_temp.heard(pg_temp.frame(1, '11112222', 10051, edge => '11111111-2222-3333-4444-555555555555')) AS other_edge;
DELETE FROM key_guard;
SELECT pg_temp.heard(pg_temp.frame(1, '11112222', 10051, tenant => '6d756c62-6572-7279-8000-000000000001')) AS other_tenant;
SELECT pg_temp.heard(pg_temp.frame(1, '11112222', 1, kid => 9)) AS other_key;
SELECT pg_temp.heard(pg_temp.frame(1, '11112222', 10051, nonce => '493817')) AS answer_to_nothing;
SELECT key_id, cardinality(forgeries), in_row, challenge_until FROM key_guard ORDER BY 1;
SELECT status FROM mandates WHERE id = '11112222';
-- a genuine frame ends the row, not the count
SELECT pg_temp.heard(pg_temp.frame(4, '11112222', 10052));
SELECT key_id, cardinality(forgeries), in_row FROM key_guard ORDER BY 1;
DELETE FROM key_guard;

-- The ladder.  Three forgeries end the call, whatever comes after them; the next call is a new one.
SELECT pg_temp.heard(pg_temp.forged(pg_temp.frame(1, '11112222', 10053), n), 'CA-f') FROM generate_series(1, 3) n;
SELECT pg_temp.heard(pg_temp.frame(2, '11112222', 10053), 'CA-f');
SELECT pg_temp.heard(pg_temp.frame(2, '11112222', 10053), 'CA-g');
SELECT pg_temp.said(a), a.frames
  FROM mulberry.handle_call_audio(mulberry.dtmf_synthesize(concat_ws('W', pg_temp.forged(pg_temp.frame(1, '11112222', 10054), 1), pg_temp.forged(pg_temp.frame(1, '11112222', 10054), 2))), 'mulaw', 8000, tenant => 'receiving') a;
-- five in an hour: challenge mode for an hour, and a genuine command gets through
SELECT mode, challenge_until - last_forgery_at AS for_the_next, forgeries_in_row FROM voice_key_status WHERE key_id = 7;
SELECT pg_temp.heard(pg_temp.frame(1, '11112222', 10054), 'CA-h');
SELECT status FROM mandates WHERE id = '11112222';
SELECT pg_temp.heard(pg_temp.frame(1, '11112222', 10054), 'CA-h') AS repeated;
-- the same digits in another call, because the answer may come in one; and not with other digits
SELECT count(*) AS open, min(nonce) AS digits FROM challenges \gset
SELECT :open AS open, left(challenge, 6) = :'digits' AS same, verdict
  FROM mulberry.handle_command_symbols(pg_temp.frame(1, '11112222', 10054), call_ref => 'CA-i', tenant => 'receiving');
SELECT pg_temp.heard(pg_temp.frame(1, '11112222', 10055, nonce => lpad(((pg_temp.nonce()::int + 1) % 1000000)::text, 6, '0')), 'CA-i');
SELECT pg_temp.heard(pg_temp.frame(1, '11112222', 10055, nonce => pg_temp.nonce()), 'CA-i2');
SELECT status FROM mandates WHERE id = '11112222';
SELECT count(*) AS open FROM challenges;
-- once only: neither frame does anything any more
SELECT pg_temp.heard(pg_temp.frame(1, '11112222', 10055, nonce => :'digits'), 'CA-i2') AS answer_repeated;
SELECT pg_temp.heard(pg_temp.frame(1, '11112222', 10054), 'CA-i2') AS challenged_frame_repeated;
-- It holds for 60 s from when it was played last, in whatever call, but not beyond two minutes.
SELECT pg_temp.heard(pg_temp.frame(5, '33334444', 10056), 'CA-j');
SELECT nonce AS digits FROM challenges \gset
SELECT pg_temp.later('50 s');
SELECT pg_temp.heard(pg_temp.frame(5, '33334444', 10056), 'CA-j2') AS after_50_s;
SELECT pg_temp.later('50 s');
SELECT pg_temp.heard(pg_temp.frame(5, '33334444', 10056), 'CA-j2') AS after_100_s;
SELECT nonce = :'digits' AS same, date_trunc('minute', played_at - drawn_at) FROM challenges;
SELECT pg_temp.later('21 s');
SELECT pg_temp.heard(pg_temp.frame(5, '33334444', 10056), 'CA-j2') AS after_121_s;
-- a late answer is understood, and challenged anew
SELECT pg_temp.heard(pg_temp.frame(5, '33334444', 10057, nonce => pg_temp.nonce()), 'CA-j3') AS late;
SELECT nonce = :'digits' AS same, counter FROM challenges;
SELECT pg_temp.later('59 s');
SELECT pg_temp.heard(pg_temp.frame(5, '33334444', 10058, nonce => pg_temp.nonce()), 'CA-j4');
SELECT pg_temp.heard(pg_temp.frame(5, '33334444', 10059), 'CA-j5');
SELECT nonce AS digits FROM challenges \gset
SELECT pg_temp.later('61 s');
SELECT pg_temp.heard(pg_temp.frame(5, '33334444', 10059), 'CA-j5') AS repeated;
-- Who has given the challenge up signs without it. While it holds, the counter after the challenged frame is
-- its answer's, and the command signed anew has another.
SELECT pg_temp.heard(pg_temp.frame(5, '33334444', 10060), 'CA-j6') AS given_up;
SELECT pg_temp.heard(pg_temp.frame(5, '33334444', 10061), 'CA-j6') AS the_answers_counter;
SELECT pg_temp.heard(pg_temp.frame(5, '33334444', 10062), 'CA-j6') AS signed_anew;
SELECT nonce <> :'digits' AS other_digits FROM challenges;
-- on whatever path
SELECT pg_temp.heard(pg_temp.frame(5, '33334444', 10063, nonce => pg_temp.nonce()), path => 'sync') AS answer;
DELETE FROM key_frames WHERE counter > 10055;
UPDATE voice_keys SET last_counter = 10058 WHERE key_id = 7;
-- another command may overtake the answer, and closes the challenge
SELECT pg_temp.heard(pg_temp.frame(2, '33334444', 10059), 'CA-k');
SELECT pg_temp.heard(pg_temp.frame(4, '33334444', 10060), 'CA-k');
SELECT count(*) AS open FROM challenges;
-- the specification's answer, to the challenge of its digits
SELECT pg_temp.heard(pg_temp.frame(3, '12345678', 10061, 30), 'CA-l');
UPDATE challenges SET nonce = '493817', counter = 10042;
DELETE FROM key_frames WHERE counter > 10042;
UPDATE voice_keys SET last_counter = 10042 WHERE key_id = 7;
SELECT pg_temp.heard('*070312345678300043284285852957#', 'CA-l');
UPDATE voice_keys SET last_counter = 10061 WHERE key_id = 7;
-- the hour over
SELECT pg_temp.later('1 hour');
SELECT mode, forgeries_in_row FROM voice_key_status WHERE key_id = 7;
SELECT pg_temp.heard(pg_temp.frame(2, '33334444', 10062));

-- Five more: two hours, four, and so on to a day; after a quiet day an hour again.
CREATE FUNCTION pg_temp.five() RETURNS interval LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 1..5 LOOP
        PERFORM mulberry_internal.note_forgery(tenant, 7, agent, clock_timestamp()) FROM voice_keys WHERE key_id = 7;
    END LOOP;
    RETURN (SELECT challenge_period FROM key_guard WHERE key_id = 7);
END $$;
SELECT pg_temp.five(), pg_temp.five(), pg_temp.five(), pg_temp.five(), pg_temp.five(), pg_temp.five();
SELECT count(*) AS entered, count(DISTINCT payload->>'until') AS untils FROM events WHERE event = 'voice_key_challenge_mode';
SELECT pg_temp.later('24 h');
SELECT pg_temp.five();
SELECT pg_temp.later('49 h');
SELECT pg_temp.five();

-- Past 20 in a day: a call ends with its first forgery, and still every frame is judged.
DELETE FROM key_guard;
SELECT pg_temp.five(), pg_temp.five(), pg_temp.five(), pg_temp.five();
SELECT mode FROM voice_key_status WHERE key_id = 7;
SELECT mulberry_internal.note_forgery(tenant, 7, agent, clock_timestamp()) FROM voice_keys WHERE key_id = 7;
SELECT mode FROM voice_key_status WHERE key_id = 7;
SELECT item, status, detail FROM mulberry.health() WHERE item = 'voice key forgeries';
SELECT pg_temp.heard(pg_temp.forged(pg_temp.frame(1, '33334444', 10063), 1), 'CA-n') AS forged;
SELECT pg_temp.heard(pg_temp.frame(1, '33334444', 10063), 'CA-n') AS in_the_same_call;
SELECT pg_temp.heard(pg_temp.frame(2, '33334444', 10062)) AS what_was_accepted_is_answered;
SELECT pg_temp.heard(pg_temp.frame(1, '33334444', 10063), 'CA-m') AS genuine;
-- a forgery on another line does not spoil the answer
SELECT pg_temp.heard(pg_temp.forged(pg_temp.frame(1, '33334444', 10064), 1), 'CA-n2');
SELECT pg_temp.heard(pg_temp.frame(1, '33334444', 10064, nonce => pg_temp.nonce()), 'CA-m') AS answer;
SELECT status FROM mandates WHERE id = '33334444';
-- a day after them it is over
SELECT pg_temp.later('1 day');
SELECT mode FROM voice_key_status WHERE key_id = 7;
DELETE FROM key_guard;

-- A second line that forges, replays and answers at random, and dials again whenever it is hung up: whatever it plays
-- between the frames of twenty revocations, each gets through by its second call.  (The ladder alone: test_lockout_simulation.)
CREATE FUNCTION pg_temp.second_line(round integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    last    bigint := (SELECT last_counter FROM voice_keys WHERE key_id = 7);
    mandate text := '2' || lpad(round::text, 7, '0');
    symbols text;
    refused integer := 0;
BEGIN
    FOR n IN 1..8 LOOP
        symbols := CASE n % 4
            WHEN 0 THEN pg_temp.frame(1, mandate, last)                                          -- what was played before
            WHEN 1 THEN pg_temp.forged(pg_temp.frame(1, mandate, last + 1 + n), n)
            WHEN 2 THEN pg_temp.forged(pg_temp.frame(1, mandate, last + 1, nonce => coalesce(pg_temp.nonce(), '')), n)
            ELSE pg_temp.forged(pg_temp.frame(1, mandate, last + 1), n) END;
        refused := refused + ((mulberry.handle_command_symbols(symbols, call_ref => format('CA-second-%s-%s', round, gen_random_uuid()),
                                                               tenant => 'receiving')).verdict = 'forgery')::integer;
    END LOOP;
    RETURN refused;
END $$;
CREATE FUNCTION pg_temp.revoked(round integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    mandate text := '2' || lpad(round::text, 7, '0');
    next    bigint := (SELECT last_counter + 1 FROM voice_keys WHERE key_id = 7);
    first   mulberry.command_answer;
    second  mulberry.command_answer;
BEGIN
    PERFORM mulberry.create_mandate(mandate, 'pi', 'sponsor', 100, 'EUR', '2999-01-01', 'receiving');
    PERFORM pg_temp.second_line(round);
    first := mulberry.handle_command_symbols(pg_temp.frame(1, mandate, next), call_ref => 'CA-first-' || round, tenant => 'receiving');
    PERFORM pg_temp.second_line(round);
    IF first.challenge IS NOT NULL THEN
        second := mulberry.handle_command_symbols(pg_temp.frame(1, mandate, next + 1, nonce => left(first.challenge, 6)),
                                                  call_ref => 'CA-next-' || round, tenant => 'receiving');
        PERFORM pg_temp.second_line(round);
    END IF;
    RETURN concat_ws(', ', first.status, second.status, (SELECT m.status FROM mandates m WHERE m.id = mandate));
END $$;
SELECT pg_temp.revoked(n), count(*) FROM generate_series(1, 20) AS n GROUP BY 1;
SELECT mode FROM voice_key_status WHERE key_id = 7;
SELECT count(*) > 300 AS forged FROM audit WHERE outcome = 'forgery' AND evidence->>'call_ref' LIKE 'CA-second%';
SELECT count(*) AS not_judged FROM audit WHERE outcome IN ('not judged', 'call ended') AND evidence->>'call_ref' ~ '^CA-(first|next|second)';
SELECT bool_and(hang_up) AS each_hung_up, max(forgeries) AS by_its FROM received_calls WHERE call_ref LIKE 'CA-second-20-%' AND forgeries > 0;
DELETE FROM key_guard;
UPDATE voice_keys SET last_counter = 10064 WHERE key_id = 7;
DELETE FROM key_frames WHERE counter > 10064;

-- A hundred in a row: an alarm, and still not deaf.
SELECT pg_temp.heard(pg_temp.forged(pg_temp.frame(1, '33334444', 10065), 1));
UPDATE key_guard SET in_row = 98;
SELECT pg_temp.heard(pg_temp.forged(pg_temp.frame(1, '33334444', 10065), 1));
SELECT count(*) FROM events WHERE event = 'voice_key_alarm';
SELECT pg_temp.heard(pg_temp.forged(pg_temp.frame(1, '33334444', 10065), 1));
SELECT payload - 'agent' AS payload FROM events WHERE event = 'voice_key_alarm';
SELECT item, status FROM mulberry.health() WHERE item = 'voice key forgeries';
SELECT pg_temp.heard(pg_temp.frame(1, '33334444', 10065), 'CA-o');
SELECT in_row FROM key_guard;
DELETE FROM key_guard;

-- The policy of a key: EXTEND must answer a challenge, other commands need not.
UPDATE voice_keys SET challenge_extend = true WHERE key_id = 7;
SELECT mulberry.create_mandate('55556666', 'pi', 'sponsor', 100, 'EUR', '2999-01-01', 'receiving');
SELECT pg_temp.heard(pg_temp.frame(3, '55556666', 10067, 30), path => 'sync');
SELECT pg_temp.heard(pg_temp.frame(3, '55556666', 10068, 30, pg_temp.nonce()), path => 'sync');
SELECT pg_temp.heard(pg_temp.frame(2, '55556666', 10069), path => 'sync');
UPDATE voice_keys SET challenge_extend = false WHERE key_id = 7;

-- An edge that was restored or promoted may have forgotten what it accepted: it asks, until it was answered once.
UPDATE voice_keys SET place = 'elsewhere' WHERE key_id = 7;
SELECT mode FROM voice_key_status WHERE key_id = 7;
SELECT pg_temp.heard(pg_temp.frame(1, '55556666', 10070), 'CA-p');
SELECT pg_temp.heard(pg_temp.frame(1, '55556666', 10071, nonce => pg_temp.nonce()), 'CA-p');
SELECT mode FROM voice_key_status WHERE key_id = 7;
SELECT pg_temp.heard(pg_temp.frame(4, '55556666', 10072));

-- Callers: a filter for the telephone.
SELECT mulberry.alter_agent('pi', allowed_callers => '{+14155550199}', tenant => 'receiving'), mulberry.alter_agent('edge-11111111', allowed_callers => '{+14155550198}', tenant => 'receiving');
SELECT pg_temp.heard(pg_temp.frame(4, '55556666', 10073), caller => '+14155550100');
SELECT pg_temp.heard(pg_temp.frame(4, '55556666', 10073));
SELECT pg_temp.heard(pg_temp.frame(4, '55556666', 10073, kid => 54), caller => '+14155550100') AS unknown_key;
SELECT count(*) FROM key_guard;
SELECT pg_temp.heard(pg_temp.frame(4, '55556666', 10073), caller => '+14155550199');
SELECT pg_temp.heard(pg_temp.frame(4, '55556666', 10074), path => 'sync');
SELECT mulberry.alter_agent('pi', allowed_callers => '{}', tenant => 'receiving');

-- A newer key takes over with its first frame; the older one's bytes are destroyed.
COPY mulberry.voice_key_entry (tenant, key) FROM stdin;
receiving	mulberry-voice-key:1:00112233-4455-6677-8899-aabbccddeeff:ffeeddcc-bbaa-9988-7766-554433221100:08:1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100:extend:2e591e3d
\.
SELECT pg_temp.heard(pg_temp.frame(99, '00000000', 10075));
SELECT pg_temp.heard(pg_temp.frame(99, '00000000', 1, kid => 8, k => '\x1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100'));
SELECT k.key_id, k.enabled, s.name IS NOT NULL AS has_bytes
  FROM voice_keys k LEFT JOIN secrets s ON s.tenant = k.tenant AND s.name = k.secret ORDER BY 1;
SELECT pg_temp.heard(pg_temp.frame(99, '00000000', 10076)) AS old_key;
SELECT pg_temp.heard(pg_temp.frame(99, '00000000', 10075)) AS old_key_repeated;
-- its policy came with the line
SELECT challenge_extend FROM voice_keys WHERE key_id = 8;

-- The textual form of the original protocol is no frame, whoever made it.
SELECT pg_temp.heard(g.dtmf_sequence) FROM mulberry.command_generate('PING', '12345678', 'test_secret_key') g;

-- Who may, and bad input.
\set VERBOSITY sqlstate
SELECT mulberry.handle_command_symbols(NULL);
SELECT mulberry.handle_command_symbols('*#', path => 'post');
SELECT mulberry.handle_command_symbols('*#', path => NULL);
SELECT mulberry.handle_command_symbols('*#', call_ref => '');
SELECT mulberry.handle_command_symbols('*#', call_ref => repeat('x', 201));
SELECT mulberry.handle_command_symbols('*#', tenant => 'nowhere');
SELECT mulberry.handle_call_audio(NULL, 'mulaw', 8000);
SELECT mulberry.handle_call_audio('\xff', NULL, 8000);
SELECT mulberry.handle_call_audio('\xff', 'opus', 8000);
SELECT mulberry.handle_call_audio('\xff', 'mulaw', 11025);
SELECT mulberry.handle_call_audio('\xff', 's16le', 8000);
SELECT mulberry.handle_call_audio('', 'mulaw', 8000);
SELECT mulberry.apply_agent_sync(NULL);
SELECT mulberry.apply_agent_sync('[]');
SELECT mulberry.apply_agent_sync('{"agent": "ffeeddcc-bbaa-9988-7766-554433221100", "commands": [{}]}');
SELECT mulberry.apply_agent_sync('{"agent": "ffeeddcc-bbaa-9988-7766-554433221100", "commands": [], "updates": {"key_id": 8, "data": "{}", "mac": "00"}}');
SELECT mulberry.apply_agent_sync('{"agent": "00000000-bbaa-9988-7766-554433221100", "commands": []}', 'receiving');
SELECT mulberry.apply_agent_sync(jsonb_build_object('agent', 'ffeeddcc-bbaa-9988-7766-554433221100', 'commands',
    (SELECT jsonb_agg('{"frame": "*#"}'::jsonb) FROM generate_series(1, 101))));
SET ROLE regress_stranger;
SELECT mulberry.handle_command_symbols('*#');
SET ROLE regress_supervisor;
SELECT mulberry.handle_command_symbols('*#');
SELECT mulberry.handle_call_audio('\xff', 'mulaw', 8000);
SELECT mulberry.apply_agent_sync('{}');
SELECT * FROM mulberry_internal.key_frames;
SELECT * FROM mulberry_internal.challenges;
RESET ROLE;
\set VERBOSITY terse

-- The online path: an answer of agent_sync() with a frame and what the registry has changed.
CREATE FUNCTION pg_temp.updates(since bigint, upto bigint, mandates jsonb, key_id integer DEFAULT 8, agent text DEFAULT 'ffeeddcc-bbaa-9988-7766-554433221100') RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('key_id', key_id, 'data', d.data,
                              'mac', encode(mulberry_internal.sync_mac(k.tenant, 'receiver', k.agent, k.key_id, convert_to(d.data, 'UTF8')), 'hex'))
      FROM voice_keys k,
           (SELECT jsonb_build_object('protocol', 'mulberry/sync/1', 'tenant', '00112233-4455-6677-8899-aabbccddeeff', 'agent', agent, 'key_id', key_id, 'counter', (SELECT max(v.last_counter) FROM voice_keys v WHERE v.key_id = $4),
                                      'since', since, 'upto', upto, 'more', false, 'mandates', mandates)::text) AS d (data)
     WHERE k.role = 'receiver' AND k.key_id = updates.key_id
$$;
CREATE FUNCTION pg_temp.told(id text, status text, amount numeric DEFAULT 100, expires text DEFAULT '2999-01-01Z', currency text DEFAULT 'EUR') RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('mandate_id', id, 'sponsor', 'registry', 'status', status, 'max_amount', amount, 'currency', currency, 'expires_at', expires, 'version', 1)
$$;
CREATE FUNCTION pg_temp.sync(updates jsonb DEFAULT NULL, VARIADIC frames text[] DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT mulberry.apply_agent_sync(jsonb_strip_nulls(jsonb_build_object('agent', 'ffeeddcc-bbaa-9988-7766-554433221100', 'updates', updates,
               'commands', coalesce((SELECT jsonb_agg(jsonb_build_object('command_id', 1, 'frame', f)) FROM unnest(frames) f), '[]'))), 'receiving')
$$;
SET ROLE regress_gateway;
SELECT mulberry.apply_agent_sync('{"agent": "FFEEDDCC-BBAA-9988-7766-554433221100", "commands": []}');
RESET ROLE;
-- new, changed, and the command that is about it
SELECT pg_temp.sync(pg_temp.updates(0, 5, jsonb_build_array(pg_temp.told('70000001', 'ACTIVE'), pg_temp.told('70000002', 'SUSPENDED', 50), pg_temp.told('70000003', 'REVOKED'))),
                    pg_temp.frame(1, '70000001', 2, kid => 8, k => '\x1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100'));
SELECT id, sponsor, status, max_amount, currency, expires_at = '2999-01-01Z' AS as_told FROM mandates WHERE id LIKE '7%' ORDER BY 1;
-- twice; from long ago; with a part missing; forged; changed; for somebody else; by an unknown key: nothing is taken
SELECT pg_temp.sync(pg_temp.updates(0, 5, jsonb_build_array(pg_temp.told('70000002', 'ACTIVE'))),
                    pg_temp.frame(1, '70000001', 2, kid => 8, k => '\x1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100'));
SELECT pg_temp.sync(pg_temp.updates(0, 4, jsonb_build_array(pg_temp.told('70000002', 'ACTIVE'))));
SELECT pg_temp.sync(pg_temp.updates(6, 7, jsonb_build_array(pg_temp.told('70000002', 'ACTIVE'))));
SELECT pg_temp.sync(jsonb_set(pg_temp.updates(5, 6, jsonb_build_array(pg_temp.told('70000002', 'ACTIVE'))), '{mac}', to_jsonb(repeat('00', 32))));
SELECT pg_temp.sync(jsonb_set(u, '{data}', to_jsonb(replace(u->>'data', 'SUSPENDED', 'ACTIVE')))) FROM pg_temp.updates(5, 6, jsonb_build_array(pg_temp.told('70000002', 'SUSPENDED'))) u;
SELECT pg_temp.sync(pg_temp.updates(5, 6, jsonb_build_array(pg_temp.told('70000002', 'ACTIVE')), agent => '11111111-2222-3333-4444-555555555555'));
SELECT pg_temp.sync(pg_temp.updates(5, 6, jsonb_build_array(pg_temp.told('70000002', 'ACTIVE')), key_id => 9));
SELECT id, status FROM mandates WHERE id LIKE '7%' ORDER BY 1;
-- what cannot be is told and hinders nothing else: REVOKED is final, spent is spent, what is over is over
UPDATE mandates SET spent = 40 WHERE id = '70000002';
SELECT pg_temp.sync(pg_temp.updates(5, 9, jsonb_build_array(pg_temp.told('70000001', 'ACTIVE'), pg_temp.told('99999999', 'REVOKED'), pg_temp.told('70000002', 'ACTIVE', 10), pg_temp.told('70000004', 'ACTIVE', 5, '2000-01-01Z'))));
SELECT id, status, max_amount, spent FROM mandates WHERE id LIKE '7%' OR id = '99999999' ORDER BY 1;
SELECT pg_temp.sync(pg_temp.updates(9, 12, jsonb_build_array(pg_temp.told('70000004', 'ACTIVE', 5, '2000-02-01Z'), pg_temp.told('70000002', 'ACTIVE', 60, currency => 'USD'))));
SELECT pg_temp.sync(pg_temp.updates(9, 13, jsonb_build_array(pg_temp.told('70000004', 'SUSPENDED', 5, '2999-02-01Z'))));
SELECT id, status, max_amount FROM mandates WHERE id IN ('70000002', '70000004') ORDER BY 1;
-- a challenge on this path
SELECT (pg_temp.sync(NULL, pg_temp.frame(3, '70000004', 3, 30, kid => 8, k => '\x1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100'))->'acks'->0->>'challenge') ~ '^[0-9]{8}$' AS challenged;
SELECT jsonb_array_length(pg_temp.sync(NULL, pg_temp.frame(3, '70000004', 4, 30, pg_temp.nonce(), kid => 8, k => '\x1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100'), '*#', pg_temp.frame(3, '70000004', 1))->'acks') AS acks;
SELECT expires_at - '2999-02-01Z' AS extended FROM mandates WHERE id = '70000004';
-- News that were told before a command do not undo it when they come after it.
CREATE TEMP TABLE kept AS SELECT pg_temp.updates(13, 14, jsonb_build_array(pg_temp.told('70000002', 'ACTIVE'))) AS updates;
SELECT pg_temp.heard(pg_temp.frame(2, '70000002', 7, kid => 8, k => '\x1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100'));
SELECT pg_temp.sync(updates) FROM kept;
SELECT status FROM mandates WHERE id = '70000002';
SELECT upto FROM sync_states;

-- Traces go with the key, and with the agent.
SELECT outcome, count(*) FROM audit WHERE action = 'VOICE_FRAME' GROUP BY 1 ORDER BY 1;
UPDATE voice_keys SET enabled = false, disabled_at = now() WHERE key_id = 9;
DELETE FROM voice_keys WHERE role = 'receiver';
SELECT count(*) FROM key_frames;
DELETE FROM secrets;
DROP OWNED BY regress_gateway, regress_stranger, regress_supervisor;
DROP ROLE regress_gateway, regress_stranger, regress_supervisor;
