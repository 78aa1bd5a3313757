-- Supervisors in calls that are under way: orders for the gateway that has the call, who may listen, emergencies, whose calls they are.
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
\set VERBOSITY terse
SELECT mulberry.create_tenant(t) IS NOT NULL AS made FROM unnest(ARRAY['watch-a', 'watch-b']) AS t;
CREATE ROLE watch_supervisor;
CREATE ROLE watch_supervisor_b;
CREATE ROLE watch_gateway;
CREATE ROLE watch_gateway_b;
CREATE ROLE watch_auditor;
SELECT mulberry.grant_access('watch_supervisor', 'supervisor', 'watch-a'), mulberry.grant_access('watch_supervisor_b', 'supervisor', 'watch-b'),
       mulberry.grant_access('watch_gateway', 'gateway', NULL), mulberry.grant_access('watch_gateway_b', 'gateway', 'watch-b'),
       mulberry.grant_access('watch_auditor', 'auditor', 'watch-a');
SELECT mulberry.set_endpoint('model', 'openai', 'https://llm.example.com/v1', 'reply', 'small', tenant => 'watch-a');
SELECT mulberry.set_conversation('{"prompt": "You sell tables."}', 'watch-a');
SELECT mulberry.set_telephony('{"numbers": ["+12025550300"], "greeting": "Welcome", "consent": "1 for yes, 2 for no", "recording": "consent", "transfer_number": "+12025550309",
    "answer_with": "agent", "emergency_number": "+12025550311"}', 'watch-a');
SELECT mulberry.set_telephony('{"numbers": ["+12025550400"], "greeting": "Hello", "answer_with": "agent"}', 'watch-b');
SELECT mulberry.set_telephony('{"greeting": "Hello", "listening": "sometimes"}', 'watch-b');
-- a stream of each, with a conversation
CREATE FUNCTION pg_temp.stream(call_id text, tenant text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE s bigint := (SELECT m.session FROM mulberry.begin_media('audiosocket', mulberry.offer_media($1, tenant => $2)::text) AS m);
BEGIN
    PERFORM mulberry.begin_conversation($1, '{}', $2);
    RETURN s;
END $$;
SELECT pg_temp.stream('one', 'watch-a') AS one \gset
SELECT pg_temp.stream('two', 'watch-a') AS two \gset
SELECT pg_temp.stream('three', 'watch-a') AS three \gset
SELECT pg_temp.stream('prompts', 'watch-b') AS prompts \gset

-- ---- what is said, and who is told of it ----

SET ROLE watch_supervisor;
SELECT mulberry.say_in_call('one', 'A colleague will be with you soon.', 'watch-a');
SELECT mulberry.say_in_call('one', 'Please hold on.');
SELECT mulberry.say_in_call('one', '', 'watch-a');
SELECT mulberry.say_in_call('one', NULL, 'watch-a');
SELECT mulberry.say_in_call(NULL, 'x', 'watch-a');
SELECT mulberry.say_in_call('nobody', 'x', 'watch-a');
SELECT mulberry.say_in_call('prompts', 'x', 'watch-a');
SELECT mulberry.say_in_call('prompts', 'x', 'watch-b');
SET ROLE watch_auditor;
SELECT mulberry.say_in_call('one', 'x', 'watch-a');
SET ROLE watch_supervisor_b;
\set VERBOSITY default
SELECT mulberry.say_in_call('prompts', 'x');
\set VERBOSITY terse
SET ROLE watch_gateway;
SELECT row_number() OVER (ORDER BY o.id), o.kind, o.text FROM mulberry.read_call_orders(:one) AS o;
SELECT count(*) FROM mulberry.read_call_orders(:two);
SELECT max(o.id) AS seen FROM mulberry.read_call_orders(:one) AS o \gset
SELECT count(*) AS "behind the last" FROM mulberry.read_call_orders(:one, :seen);
SET ROLE watch_gateway_b;
\set VERBOSITY sqlstate
SELECT count(*) AS theirs FROM mulberry.read_call_orders(:one);
\set VERBOSITY terse
RESET ROLE;
-- one that nobody has read in time is not carried out late
UPDATE mulberry_internal.call_orders SET at = at - interval '2 minutes';
SET ROLE watch_gateway;
SELECT count(*) AS old FROM mulberry.read_call_orders(:one);
SET ROLE watch_supervisor;
SELECT count(mulberry.say_in_call('one', 'Sentence ' || n)) FROM generate_series(1, 20) AS n;
SELECT mulberry.say_in_call('one', 'one too many');
RESET ROLE;
SELECT count(*) FROM mulberry_internal.call_orders;

-- ---- a word to the agent ----

SET ROLE watch_gateway;
SELECT mulberry.note_lines('one', '[{"number": 0, "speaker": "agent", "text": "Hello"}, {"number": 1, "speaker": "caller", "text": "a table please"}]', NULL, 'watch-a');
SET ROLE watch_supervisor;
SELECT mulberry.whisper_to_agent('one', 'He is a friend.');
SELECT mulberry.whisper_to_agent('one', 'Offer ten percent.');
SELECT mulberry.whisper_to_agent('prompts', 'x');
SELECT mulberry.whisper_to_agent('one', ' ');
SET ROLE watch_supervisor_b;
SELECT mulberry.whisper_to_agent('prompts', 'x');
SET ROLE watch_gateway;
SELECT mulberry.note_lines('one', '[{"number": 2, "speaker": "agent", "text": "Of course"}]', NULL, 'watch-a');
SELECT m->>'role' AS role, m->>'content' AS content
  FROM jsonb_array_elements(mulberry.prepare_reply('one', NULL, 'how much', false, 'watch-a')->'messages') WITH ORDINALITY AS x (m, n) WHERE n > 1 ORDER BY n;

-- before anything was said, and behind the last line that there can be
SET ROLE watch_supervisor;
SELECT mulberry.whisper_to_agent('two', 'A difficult one.');
SET ROLE watch_gateway;
SELECT mulberry.note_lines('two', '[{"number": 100000, "speaker": "agent", "text": "At last"}]', NULL, 'watch-a');
SET ROLE watch_supervisor;
SELECT mulberry.whisper_to_agent('two', 'Very difficult.');
SELECT number, speaker, text FROM mulberry.conversation_lines WHERE call_id = 'two' ORDER BY number;

-- ---- listening ----

SET ROLE watch_supervisor;
\set VERBOSITY default
SELECT mulberry.listen_to_call('one', 'watch-a');
\set VERBOSITY terse
SET ROLE watch_gateway;
SELECT recorded FROM mulberry.press_media_key(:one, '1');
SET ROLE watch_supervisor;
SELECT session = :one AS session, tenant_name FROM mulberry.listen_to_call('one', 'watch-a');
SELECT mulberry.listen_to_call('two', 'watch-a');
SET ROLE watch_supervisor_b;
SELECT mulberry.listen_to_call('one', 'watch-a');
SELECT mulberry.listen_to_call('prompts');
RESET ROLE;
SELECT mulberry.alter_telephony('{"listening": "always"}', 'watch-b'), mulberry.alter_telephony('{"listening": "never"}', 'watch-a');
SELECT pg_temp.stream('prompts2', 'watch-b') AS prompts2 \gset
SELECT pg_temp.stream('four', 'watch-a') AS four \gset
SELECT recorded FROM mulberry.press_media_key(:four, '1');
SET ROLE watch_supervisor_b;
SELECT session = :prompts2 AS session FROM mulberry.listen_to_call('prompts2');
SET ROLE watch_supervisor;
SELECT mulberry.listen_to_call('four');

-- ---- taking over, and the end ----

SELECT mulberry.take_over_call('one', 'me');
SELECT mulberry.take_over_call('one', '+12025550312');
SELECT mulberry.take_over_call('two');
SELECT mulberry.end_call('three', 'rude');
SET ROLE watch_supervisor_b;
SELECT mulberry.take_over_call('prompts');
SELECT mulberry.end_call('one', NULL, 'watch-a');
RESET ROLE;
SELECT m.call_id, mulberry.media_next(i.token, 'watch-a') FROM mulberry_internal.media_sessions m JOIN mulberry_internal.inbound_calls i ON i.id = m.inbound
 WHERE m.call_id IN ('one', 'two', 'three') ORDER BY m.id;
SELECT o.kind, o.text FROM mulberry_internal.call_orders o WHERE o.kind = 'leave' ORDER BY o.id;
-- an emergency goes its way
SELECT mulberry.leave_media(:four, 'emergency', 'there is a fire');
SET ROLE watch_supervisor;
SELECT mulberry.end_call('four');
SELECT mulberry.take_over_call('four', '+12025550312');
SELECT mulberry.say_in_call('four', 'Help is on its way.');
RESET ROLE;
-- who is gone hears nothing
SELECT mulberry.end_media(:one, 'taken over by a supervisor');
SELECT mulberry.log_conversation('one', 0, '{}', 'stopped', 'watch-a');
-- but an emergency that is told late is one
SELECT mulberry.leave_media(:one, 'hangup');
SELECT mulberry.leave_media(:one, 'emergency', 'there is a fire');
SELECT phrase FROM mulberry_internal.emergencies WHERE call_id = 'one';
SET ROLE watch_supervisor;
SELECT mulberry.say_in_call('one', 'x');
SELECT mulberry.end_call('one');
SELECT mulberry.listen_to_call('one');
SET ROLE watch_gateway;
SELECT count(*) FROM mulberry.read_call_orders(:one);
RESET ROLE;
SELECT count(*) FROM mulberry_internal.call_orders o JOIN mulberry_internal.conversations c ON c.id = o.conversation WHERE c.call_id = 'one';
SELECT a.role, a.outcome, a.evidence->>'call_id' AS call_id, a.evidence->>'target' AS target, count(*) FROM mulberry_internal.audit a
 WHERE a.action = 'CALL_SUPERVISION' GROUP BY 1, 2, 3, 4 ORDER BY 2, 3, 1;
SELECT count(*) AS "words in the audit log" FROM mulberry_internal.audit a WHERE a.evidence::text ~ '(colleague|friend|percent|Help)';
-- with the call goes what was ordered in it
SELECT mulberry.say_in_call('two', 'Something about him.', 'watch-a');
SELECT mulberry_internal.forget_conversation(t.id, 'two') FROM mulberry_internal.tenants t WHERE t.name = 'watch-a';
SELECT count(*) FROM mulberry_internal.call_orders WHERE text ~ 'about him';

-- ---- a function that is not the one that was meant ----

CREATE ROLE watch_author;
CREATE ROLE watch_stranger;
CREATE SCHEMA "Watched" AUTHORIZATION watch_author;
GRANT CREATE, USAGE ON SCHEMA "Watched" TO PUBLIC;
SET ROLE watch_author;
CREATE FUNCTION "Watched"."Reply"(call_id text, said text) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('say', 'by ' || current_user) $$;
CREATE FUNCTION "Watched"."Tool"(call_id text) RETURNS text LANGUAGE sql AS $$ SELECT 'by ' || current_user $$;
RESET ROLE;
SELECT mulberry.set_conversation('{"reply_function": "Watched.Reply", "tools": [{"function": "Watched.Tool"}]}', 'watch-a');
SELECT pg_temp.stream('five', 'watch-a') AS five \gset
SET ROLE watch_gateway;
SELECT mulberry.prepare_reply('five', NULL, 'secret words', true, 'watch-a'), mulberry.call_tool('five', 'Tool', '{}', 'watch-a');
SET ROLE watch_supervisor;
SELECT mulberry.whisper_to_agent('five', 'x');
RESET ROLE;
SET ROLE watch_author;
DROP FUNCTION "Watched"."Reply", "Watched"."Tool";
SET ROLE watch_stranger;
CREATE FUNCTION "Watched"."Reply"(call_id text, said text) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('say', 'by ' || current_user) $$;
CREATE FUNCTION "Watched"."Tool"(call_id text) RETURNS text LANGUAGE sql AS $$ SELECT 'by ' || current_user $$;
SET ROLE watch_gateway;
SELECT mulberry.prepare_reply('five', NULL, 'secret words', true, 'watch-a');
SELECT mulberry.call_tool('five', 'Tool', '{}', 'watch-a');
RESET ROLE;
-- who says that it is meant has it called in calls that begin then
SELECT mulberry.set_conversation('{"reply_function": "Watched.Reply", "tools": [{"function": "Watched.Tool"}]}', 'watch-a');
SELECT pg_temp.stream('six', 'watch-a') AS six \gset
SET ROLE watch_gateway;
SELECT mulberry.prepare_reply('six', NULL, 'words', true, 'watch-a');
RESET ROLE;

-- sentences go when nobody has said them for as long as calls are kept
SELECT mulberry.alter_tenant('watch-a', retention => '30 days');
SELECT mulberry.keep_speech('Hello Mr Smith.', 'v', '\xff', 'watch-a'), mulberry.keep_speech('Hello.', 'v', '\xff', 'watch-a');
UPDATE mulberry_internal.speech_cache SET used_at = now() - interval '40 days' WHERE digest = mulberry_internal.speech_digest('Hello Mr Smith.', 'v');
SELECT mulberry_internal.sweep_conversations(1000);
SELECT mulberry.find_speech('Hello Mr Smith.', 'v', 'watch-a') IS NULL AS gone, (mulberry.find_speech('Hello.', 'v', 'watch-a')).sound AS kept;

DROP FUNCTION "Watched"."Reply", "Watched"."Tool";
DROP SCHEMA "Watched";
DROP OWNED BY watch_supervisor, watch_supervisor_b, watch_gateway, watch_gateway_b, watch_auditor;
DROP ROLE watch_author, watch_stranger, watch_supervisor, watch_supervisor_b, watch_gateway, watch_gateway_b, watch_auditor;
