-- Live conversations: settings of a tenant, the log of a turn engine, and what it replays to.
SET client_min_messages = warning;
SET timezone = 'UTC';
\pset tuples_only on
\pset format unaligned
SELECT mulberry.create_tenant(t) IS NOT NULL FROM unnest(ARRAY['clinic', 'other']) AS t;

-- settings are versioned, and what is wrong with them is said
SELECT mulberry.set_conversation('{"language": "en", "commit_neutral_ms": 700, "never": ["Bless you!"]}', 'clinic');
SELECT mulberry.set_conversation('{"language": "en", "commit_neutral_ms": 700, "never": ["Bless you!"]}', 'clinic');
SELECT mulberry.set_conversation('{"language": "en", "never": ["Bless you!", "gesundheit"]}', 'clinic');
SELECT version, settings FROM mulberry_internal.conversation_versions ORDER BY version;
SELECT action, outcome, evidence FROM mulberry_internal.audit WHERE action = 'CONVERSATION_SETTINGS' ORDER BY at;
SELECT name, value, standard, minimum, maximum FROM mulberry.conversation_numbers('clinic') WHERE name IN ('commit_neutral_ms', 'stage1_ms', 'never');
SELECT count(*), bool_and(value::integer = standard::integer) FROM mulberry.conversation_numbers('other') WHERE minimum IS NOT NULL;
SELECT count(DISTINCT w.list), w.language FROM mulberry_internal.turn_words() w JOIN mulberry_internal.turn_lists() l ON l.name = w.list GROUP BY 2 ORDER BY 2;
SELECT count(*) FROM mulberry_internal.turn_words() w WHERE w.list NOT IN (SELECT l.name FROM mulberry_internal.turn_lists() l);
\set VERBOSITY terse
SELECT mulberry.set_conversation('{"commit_neutral": 700}', 'clinic');
SELECT mulberry.set_conversation('{"commit_neutral_ms": 7}', 'clinic');
SELECT mulberry.set_conversation('{"commit_neutral_ms": 700.5}', 'clinic');
SELECT mulberry.set_conversation('{"commit_neutral_ms": "700"}', 'clinic');
SELECT mulberry.set_conversation('{"language": "xx"}', 'clinic');
SELECT mulberry.set_conversation('{"always": "stop"}', 'clinic');
SELECT mulberry.set_conversation('{"always": ["stop", 1]}', 'clinic');
SELECT mulberry.set_conversation('[]', 'clinic');
SELECT mulberry.set_conversation(NULL, 'clinic');

-- a session, as its inputs: two turns, of which the second has a pause of a second in it
CREATE TEMP TABLE inputs (at integer, number serial, kind text, voice boolean, said text, generation integer, ms integer);
INSERT INTO inputs (at, kind, voice)
SELECT t, 'frame', t > 1000 AND t <= 2400 OR t > 6000 AND t <= 6800 OR t > 7800 AND t <= 8800 FROM generate_series(20, 14000, 20) AS t;
INSERT INTO inputs (at, kind, said, generation, ms) VALUES
    (2000, 'partial', 'I would like a table', NULL, NULL), (2650, 'final', 'I would like a table.', NULL, NULL),
    (2900, 'piece', 'Certainly, for how many?', 1, 1500), (2900, 'reply_end', NULL, 1, NULL), (2910, 'sent', NULL, 1, 1500),
    (2910, 'mark_sent', NULL, 1, 1), (4550, 'mark', NULL, 1, 1),
    (6700, 'partial', 'for my wife', NULL, NULL), (9050, 'final', 'for my wife and my daughter.', NULL, NULL),
    (9500, 'piece', 'Then it is three.', 3, 1200), (9500, 'reply_end', NULL, 3, NULL), (9510, 'sent', NULL, 3, 1200),
    (9510, 'mark_sent', NULL, 3, 2), (10850, 'mark', NULL, 3, 2), (14000, 'stop', NULL, NULL, NULL);
CREATE FUNCTION pg_temp.leb(v integer) RETURNS bytea LANGUAGE sql AS $$
    SELECT CASE WHEN v < 128 THEN set_byte('\x00', 0, v) ELSE set_byte('\x00', 0, v % 128 + 128) || pg_temp.leb(v / 128) END $$;
CREATE FUNCTION pg_temp.said(t text) RETURNS bytea LANGUAGE sql AS $$ SELECT pg_temp.leb(octet_length(t)) || convert_to(t, 'UTF8') $$;
CREATE TEMP TABLE records AS
SELECT second, '\x01' || pg_temp.leb(min(at)) || string_agg(CASE kind
           WHEN 'frame' THEN set_byte('\x00', 0, 128 + CASE WHEN voice THEN 3 ELSE 0 END + CASE WHEN first_frame THEN 0 ELSE 32 END)
                || pg_temp.leb(step) || CASE WHEN first_frame THEN pg_temp.leb(2 * (at - 20)) ELSE '' END || '\xd0'
           WHEN 'partial' THEN '\x02' || pg_temp.leb(step) || pg_temp.said(said)
           WHEN 'final' THEN '\x03' || pg_temp.leb(step) || pg_temp.said(said)
           WHEN 'piece' THEN '\x06' || pg_temp.leb(step) || pg_temp.leb(generation) || '\x0000' || pg_temp.leb(2 * ms) || '\x00' || pg_temp.said(said)
           WHEN 'reply_end' THEN '\x08' || pg_temp.leb(step) || pg_temp.leb(generation)
           WHEN 'sent' THEN '\x0a' || pg_temp.leb(step) || pg_temp.leb(generation) || '\x00' || pg_temp.leb(2 * ms)
           WHEN 'mark_sent' THEN '\x0b' || pg_temp.leb(step) || pg_temp.leb(generation) || pg_temp.leb(ms)
           WHEN 'mark' THEN '\x0c' || pg_temp.leb(step) || pg_temp.leb(generation) || pg_temp.leb(ms)
           WHEN 'stop' THEN '\x10' || pg_temp.leb(step) END, '' ORDER BY at, number) AS record
  FROM (SELECT i.*, i.at / 1000 AS second, i.at - coalesce(lag(i.at) OVER w, i.at) AS step,
               i.kind = 'frame' AND row_number() OVER (PARTITION BY i.at / 1000, i.kind ORDER BY i.at, i.number) = 1 AS first_frame
          FROM inputs i WINDOW w AS (PARTITION BY i.at / 1000 ORDER BY i.at, i.number)) AS s
 GROUP BY second;

SELECT cardinality(numbers) = (SELECT count(*) FROM mulberry_internal.turn_numbers()), lists[5], settings_version
  FROM mulberry.begin_conversation('CA1', ARRAY['clear', 'marks'], 'clinic');
SELECT line FROM mulberry_internal.conversations;
SELECT * FROM mulberry.begin_conversation('CA1', '{}', 'clinic');
SELECT * FROM mulberry.begin_conversation('CA2', '{fly}', 'clinic');
SELECT * FROM mulberry.begin_conversation(NULL, '{}', 'clinic');
SELECT mulberry.log_conversation('CA1', 0, ARRAY(SELECT record FROM records WHERE second < 5 ORDER BY second), NULL, 'clinic');
-- what comes again, after an answer that was lost, is there already
SELECT mulberry.log_conversation('CA1', 4, ARRAY(SELECT record FROM records WHERE second IN (4, 5) ORDER BY second), NULL, 'clinic');
SELECT mulberry.log_conversation('CA1', 6, ARRAY['\x01'::bytea, '\x02'], NULL, 'clinic');
SELECT mulberry.log_conversation('CA1', 6, ARRAY[NULL::bytea], NULL, 'clinic');
SELECT mulberry.log_conversation('CA1', -1, '{}', NULL, 'clinic');
SELECT mulberry.log_conversation('CA9', 0, '{}', NULL, 'clinic');
SELECT mulberry.log_conversation('CA1', 0, '{}', NULL, 'other');
-- a report of what there is, while it goes on
SELECT r->'turns', r->'ended_at', r->'list'->0->>'said' FROM mulberry.conversation_report('CA1', 'clinic') AS r;
SELECT mulberry.log_conversation('CA1', 6, ARRAY(SELECT record FROM records WHERE second > 5 ORDER BY second), 'stopped', 'clinic');
SELECT mulberry.log_conversation('CA1', 20, '{}', NULL, 'clinic');
SELECT sum(octet_length(record)) BETWEEN 2000 AND 3000 AS compact FROM mulberry_internal.turn_log;

-- its turns: the second was taken to be over in its pause, and went on
SELECT turn, said, text_class, onset_ms, speech_end_ms, asked_ms, committed_ms, first_piece_ms, first_sent_ms, reply_end_ms, reopened, heard, heard_cut
  FROM mulberry_internal.conversation_turns ORDER BY turn;
SELECT turn, said, committed_ms, reopened FROM mulberry.replay_turns('CA1', NULL, 'clinic');
-- with more patience it would not have been, and with less neither would have waited
SELECT turn, said, committed_ms, reopened FROM mulberry.replay_turns('CA1', '{"commit_neutral_ms": 1200, "final_wait_ms": 1200}', 'clinic');
SELECT turn, said, committed_ms, reopened FROM mulberry.replay_turns('CA1', '{"commit_terminal_ms": 260}', 'clinic');
SELECT * FROM mulberry.replay_turns('CA1', '{"commit": 260}', 'clinic');
SELECT * FROM mulberry.replay_turns('CA1', NULL, 'other');
-- the same settings end the same turns; of the reply that was given up it is not known how long it would have taken
SELECT count(*) FROM mulberry_internal.conversations c, mulberry_internal.replay_conversation(c, '{}') AS r
  JOIN mulberry_internal.conversation_turns t ON t.conversation = r.conversation AND t.turn = r.turn
 WHERE (t.committed_ms, t.reopened, t.said, t.text_class) = (r.committed_ms, r.reopened, r.said, r.text_class);
SELECT jsonb_pretty(r - 'started_at' - 'ended_at') FROM mulberry.conversation_report('CA1', 'clinic') AS r;
SELECT * FROM mulberry.turn_report('-infinity', 'infinity', '{"commit_neutral_ms": 1200, "final_wait_ms": 1200}', 'clinic');
SELECT * FROM mulberry.turn_report('-infinity', 'infinity', tenant => 'other');
SELECT * FROM mulberry.turn_report(NULL, 'infinity', tenant => 'other');

-- a gateway that is gone: of what callers said last it has told less than its log has, or more
SELECT mulberry.set_telephony('{"numbers": ["+12025550177"], "greeting": "Hello."}', 'clinic');
SELECT count(*) FROM mulberry.begin_conversation('CA4', '{clear,marks}', 'clinic');
SELECT mulberry.log_conversation('CA4', 0, ARRAY(SELECT record FROM records WHERE second < 10 ORDER BY second), NULL, 'clinic');
SELECT mulberry.note_lines('CA4', '[{"number": 2, "speaker": "caller", "text": "I would like a table, please."}, {"number": 3, "speaker": "agent", "text": "Certainly"},
    {"number": 4, "speaker": "caller", "text": "for my wife"}]', NULL, 'clinic');
INSERT INTO mulberry_internal.inbound_calls (id, tenant, sid, number, version, place, state, created_at, ended_at)
SELECT 0, id, 'CA4', '+12025550177', 1, '{}', 'completed', now() - interval '20 min', now() - interval '10 min' FROM mulberry_internal.tenants WHERE name = 'clinic';
INSERT INTO mulberry_internal.media_sessions (id, inbound, turn, tenant, call_id, peer, encoding, begun_at) OVERRIDING SYSTEM VALUE
SELECT 0, i.id, 1, i.tenant, 'CA4', 'twilio', 'mulaw', i.created_at FROM mulberry_internal.inbound_calls i WHERE i.sid = 'CA4';
SELECT mulberry_internal.end_lost_streams(100);
SELECT l.number, l.speaker, l.text FROM mulberry.conversation_lines l WHERE l.call_id = 'CA4' ORDER BY l.number;
DELETE FROM mulberry_internal.media_sessions WHERE call_id = 'CA4';
DELETE FROM mulberry_internal.inbound_calls WHERE sid = 'CA4';
DELETE FROM mulberry_internal.conversations WHERE call_id = 'CA4';

-- a log that breaks off is replayed up to there, and hides no other
UPDATE mulberry_internal.turn_log SET record = '\x09' WHERE number = 8;
SELECT turn, said, committed_ms FROM mulberry.replay_turns('CA1', NULL, 'clinic');

-- erasure takes it along, and so does retention
SELECT * FROM mulberry.begin_conversation('CA3', '{}', 'clinic') \g /dev/null
SELECT mulberry.ingest_packet('CA1', 0, '\xff', NULL, 'mulaw', 8000, 'clinic') \g /dev/null
SELECT mulberry.erase_call('CA1', 'clinic');
SELECT call_id FROM mulberry_internal.conversations;
SELECT (SELECT count(*) FROM mulberry_internal.conversation_turns), (SELECT count(*) FROM mulberry_internal.turn_log);
SELECT mulberry.alter_tenant('clinic', retention => '10 days');
UPDATE mulberry_internal.conversations SET started_at = started_at - interval '10 days 20 hours';
SELECT mulberry_internal.sweep_conversations(100);
SELECT call_id FROM mulberry_internal.conversations;
UPDATE mulberry_internal.conversations SET started_at = started_at - interval '10 hours';
SELECT mulberry_internal.sweep_conversations(100);
SELECT count(*) FROM mulberry_internal.conversations;

\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/sql/include/forget_tenant.sql'
SELECT id AS tenant FROM mulberry_internal.tenants WHERE name = 'clinic' \gset
\i :include
SELECT id AS tenant FROM mulberry_internal.tenants WHERE name = 'other' \gset
\i :include
SELECT count(*) FROM mulberry_internal.tenants WHERE name IN ('clinic', 'other');
