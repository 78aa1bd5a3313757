-- What an agent says: plans with services and keys, a tenant's own reply function and tools and whose rights they have, history, speech.
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
\set VERBOSITY terse
SELECT mulberry.create_tenant(t) IS NOT NULL AS made FROM unnest(ARRAY['dialogue-a', 'dialogue-b']) AS t;
CREATE ROLE dialogue_admin_a;
CREATE ROLE dialogue_admin_b;
CREATE ROLE dialogue_gateway;
CREATE ROLE dialogue_gateway_b;
SELECT mulberry.grant_access('dialogue_admin_a', 'admin', 'dialogue-a'), mulberry.grant_access('dialogue_admin_a', 'supervisor', 'dialogue-a'),
       mulberry.grant_access('dialogue_admin_b', 'admin', 'dialogue-b'), mulberry.grant_access('dialogue_admin_b', 'supervisor', 'dialogue-b'),
       mulberry.grant_access('dialogue_gateway', 'gateway', NULL), mulberry.grant_access('dialogue_gateway_b', 'gateway', 'dialogue-b');
CREATE SCHEMA dialogue_a AUTHORIZATION dialogue_admin_a;
GRANT USAGE ON SCHEMA dialogue_a TO PUBLIC;

-- without a reply nobody talks
SET ROLE dialogue_gateway;
SELECT plan FROM mulberry.begin_conversation('silent', '{clear,marks}', 'dialogue-a');
RESET ROLE;

-- ---- a function of the tenant ----

SET ROLE dialogue_admin_a;
CREATE TABLE dialogue_a.orders (call_id text, what text);
CREATE FUNCTION dialogue_a.reply(call_id text, said text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dialogue_a.orders VALUES (call_id, said);
    IF said = 'rob' THEN
        EXECUTE 'SELECT count(*) FROM mulberry_internal.secrets';
    END IF;
    RETURN CASE said
        WHEN 'who' THEN jsonb_build_object('say', current_user)
        WHEN 'person' THEN '{"say": "One moment.", "transfer": "+4930123456", "attributes": {"topic": "person", "angry": true}}'
        WHEN 'bye' THEN '{"hangup": true}'
        WHEN 'pin' THEN '{"say": "Your pin?", "collect": {"digits": 4, "name": "pin"}}'
        WHEN 'wrong' THEN '{"dance": 1}'
        WHEN 'nothing' THEN NULL
        WHEN 'long' THEN (SELECT '{}'::jsonb FROM pg_sleep(30))
        WHEN 'climb' THEN jsonb_build_object('say', set_config('role', 'none', true))
        WHEN 'keys' THEN (SELECT b.plan FROM mulberry.begin_conversation('stolen', '{}', 'dialogue-a') AS b)
        WHEN 'calls' THEN (SELECT jsonb_build_object('say', count(*)::text) FROM mulberry.conversation_lines)
        ELSE jsonb_build_object('say', 'You said ' || said) END;
END
$$;
SELECT mulberry.set_conversation('{"reply_function": "dialogue_a.reply", "voice": "slt", "reply_timeout_ms": 300, "filler": "Well."}', 'dialogue-a');
RESET ROLE;
-- not one of others, of superusers, of the system, of the extension, of other arguments
CREATE FUNCTION public.dialogue_super(call_id text, said text) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE FUNCTION public.dialogue_twice(a text) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE FUNCTION public.dialogue_twice(a int) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
SET ROLE dialogue_admin_a;
CREATE FUNCTION dialogue_a.other(a int) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE FUNCTION dialogue_a.rows(a text, b text) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
CREATE FUNCTION dialogue_a.unnamed(int) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
SET ROLE dialogue_admin_b;
SELECT mulberry.set_conversation('{"reply_function": "dialogue_a.reply"}', 'dialogue-b');
SET ROLE dialogue_admin_a;
\set VERBOSITY default
SELECT mulberry.set_conversation(s::jsonb, 'dialogue-a') FROM unnest(ARRAY['{"reply_function": "public.dialogue_super"}']) AS s;
\set VERBOSITY terse
SELECT mulberry.set_conversation('{"reply_function": "pg_catalog.jsonb_concat"}', 'dialogue-a');
SELECT mulberry.set_conversation('{"reply_function": "mulberry.erase_call"}', 'dialogue-a');
SELECT mulberry.set_conversation('{"reply_function": "public.dialogue_twice"}', 'dialogue-a');
SELECT mulberry.set_conversation('{"reply_function": "dialogue_a.other"}', 'dialogue-a');
SELECT mulberry.set_conversation('{"reply_function": "dialogue_a.rows"}', 'dialogue-a');
SELECT mulberry.set_conversation('{"reply_function": "reply"}', 'dialogue-a');
SELECT mulberry.set_conversation('{"reply_function": 7}', 'dialogue-a');
SELECT mulberry.set_conversation('{"tools": [{"function": "dialogue_a.unnamed"}]}', 'dialogue-a');
SELECT mulberry.set_conversation('{"tools": [{"description": "x"}]}', 'dialogue-a');
SELECT mulberry.set_conversation('{"tools": 1}', 'dialogue-a');
SELECT mulberry.set_conversation('{"voice": "a b"}', 'dialogue-a');
SELECT mulberry.set_conversation('{"silence": ["", "x"]}', 'dialogue-a');
SELECT mulberry.set_conversation('{"reply_timeout_ms": 5}', 'dialogue-a');
SELECT mulberry.set_conversation('{"whole_utterances": 1}', 'dialogue-a');
SELECT mulberry.set_conversation('{"hedge_reply_ms": "soon"}', 'dialogue-a');
SELECT mulberry.set_conversation('{"hedge_speak_ms": 20001}', 'dialogue-a');
SELECT mulberry.set_conversation(jsonb_build_object('prompt', repeat('x', 16001)), 'dialogue-a');
RESET ROLE;

SET ROLE dialogue_gateway;
SELECT plan->'talk' AS talk, plan->'reply' AS reply, plan->'texts' AS texts, plan->'opening' AS opening,
       plan->'listen'->0->>'form' AS listen, plan->'listen'->0->>'url' AS url, plan->'speak'->0->>'voice' AS voice, plan->'chat' AS chat
  FROM mulberry.begin_conversation('one', '{clear,marks}', 'dialogue-a');
SELECT mulberry.prepare_reply('one', NULL, 'hello', false, 'dialogue-a') AS before_it_is_certain;
SELECT mulberry.prepare_reply('one', NULL, s, true, 'dialogue-a') FROM unnest(ARRAY['hello', 'who', 'person', 'bye', 'pin', 'calls']) AS s;
-- what it may not, and that nothing of it stays
SELECT mulberry.prepare_reply('one', NULL, 'wrong', true, 'dialogue-a');
SELECT mulberry.prepare_reply('one', NULL, 'nothing', true, 'dialogue-a');
\set VERBOSITY sqlstate
SELECT mulberry.prepare_reply('one', NULL, 'long', true, 'dialogue-a');
SELECT mulberry.prepare_reply('one', NULL, 'rob', true, 'dialogue-a');
SELECT mulberry.prepare_reply('one', NULL, 'climb', true, 'dialogue-a');
SELECT mulberry.prepare_reply('one', NULL, 'keys', true, 'dialogue-a');
\set VERBOSITY terse
SHOW search_path;
SELECT current_user;
RESET ROLE;
SELECT count(*) FROM dialogue_a.orders;
SELECT name, value FROM mulberry_internal.conversation_attributes ORDER BY 1;
-- whose function became a superuser's meanwhile
ALTER FUNCTION dialogue_a.reply(text, text) OWNER TO CURRENT_USER;
SET ROLE dialogue_gateway;
SELECT mulberry.prepare_reply('one', NULL, 'hello', true, 'dialogue-a');
RESET ROLE;
ALTER FUNCTION dialogue_a.reply(text, text) OWNER TO dialogue_admin_a;
-- a statement's own time is what it was
SET statement_timeout = '1min';
SET ROLE dialogue_gateway;
SELECT mulberry.prepare_reply('one', NULL, 'hello', true, 'dialogue-a'), pg_sleep(0.5);
RESET ROLE;
RESET statement_timeout;

-- ---- a language model ----

SET ROLE dialogue_admin_a;
CREATE FUNCTION dialogue_a.book(call_id text, day date, people integer, outside boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: booked for %s on %s by %s', $1, $3, $2, current_user) $$;
CREATE FUNCTION dialogue_a.fails() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'closed' USING ERRCODE = 'P0001'; END $$;
CREATE FUNCTION dialogue_a.says_nothing() RETURNS text LANGUAGE sql AS $$ SELECT NULL::text $$;
SELECT mulberry.set_endpoint('model', 'openai', 'https://llm.example.com/v1', 'reply', 'small', 'model-key', tenant => 'dialogue-a');
COPY mulberry.secret_entry (tenant, name, value) FROM stdin;
dialogue-a	model-key	sk-of-a
\.
SELECT mulberry.set_conversation('{"prompt": "You sell tables.", "tools": [{"function": "dialogue_a.book", "description": "Books a table."},
    {"function": "dialogue_a.fails"}, {"function": "dialogue_a.says_nothing"}]}', 'dialogue-a');
RESET ROLE;
SET ROLE dialogue_gateway;
SELECT plan->'reply' AS reply, jsonb_pretty((plan->'chat'->0) - 'voice_key') AS chat FROM mulberry.begin_conversation('two', '{clear,marks}', 'dialogue-a');
SELECT jsonb_pretty(mulberry.prepare_reply('two', '[{"number": 0, "speaker": "agent", "text": "How can I help", "cut": true},
    {"number": 1, "speaker": "caller", "text": "wait"}, {"number": 2, "speaker": "agent", "text": ""}]', 'a table', true, 'dialogue-a'));
SELECT mulberry.prepare_reply('two', NULL, 'a table', false, 'dialogue-a')->'tools' AS tools_before_it_is_certain;
-- a turn that goes on is said again, as a whole
SELECT mulberry.note_lines('two', '[{"number": 1, "speaker": "caller", "text": "wait a moment"}]', '{"pin": "1234"}', 'dialogue-a');
SELECT m->>'role' AS role, m->>'content' AS content FROM jsonb_array_elements(mulberry.prepare_reply('two', NULL, 'x', false, 'dialogue-a')->'messages') AS m;
SELECT mulberry.call_tool('two', 'book', '{"day": "2027-01-02", "people": 4, "call_id": "other"}', 'dialogue-a');
SELECT mulberry.call_tool('two', 'says_nothing', '{}', 'dialogue-a');
SELECT mulberry.call_tool('two', 'fails', '{}', 'dialogue-a');
SELECT mulberry.call_tool('two', 'book', '{"day": "no day", "people": 4}', 'dialogue-a');
SELECT mulberry.call_tool('two', 'book', '{"day); DROP TABLE x; --": "1"}', 'dialogue-a');
SELECT mulberry.call_tool('two', 'reply', '{}', 'dialogue-a');
SELECT mulberry.call_tool('two', 'book', '[]', 'dialogue-a');
SELECT mulberry.note_lines('two', '[{"number": -1, "speaker": "caller", "text": "x"}]', NULL, 'dialogue-a');
SELECT mulberry.note_lines('two', '[{"number": 1, "speaker": "nobody", "text": "x"}]', NULL, 'dialogue-a');
SELECT mulberry.note_lines('two', '{}', NULL, 'dialogue-a');
SELECT mulberry.note_lines('two', NULL, '{"Bad": 1}', 'dialogue-a');

-- ---- who listens when no stream can be had, and who is asked as well ----

RESET ROLE;
SELECT mulberry.set_endpoint('files', 'openai', 'https://files.example.com/v1', model => 'whisper-1', timeout => '5 min', tenant => 'dialogue-a');
SELECT mulberry.set_endpoint('posts', 'json', 'https://posts.example.com/v1', priority => 0, tenant => 'dialogue-a');
SELECT mulberry.set_endpoint('nostream', 'openai', 'https://nostream.example.com/v1', 'listen', options => '{"streaming": false}', priority => 2, tenant => 'dialogue-a');
SELECT mulberry.set_endpoint('nostream', 'openai', 'https://nostream.example.com/v1', 'listen', options => '{"streaming": "no"}', tenant => 'dialogue-a');
SELECT mulberry.set_conversation('{"prompt": "You sell tables.", "hedge_reply_ms": 700, "hedge_speak_ms": "auto"}', 'dialogue-a') > 0 AS set;
-- (who transcribes calls is asked by gateways only when it is meant to be)
SET ROLE dialogue_gateway;
SELECT l->>'name' AS name FROM mulberry.begin_conversation('meant', '{}', 'dialogue-a'), jsonb_array_elements(plan->'listen') AS l;
RESET ROLE;
SELECT mulberry.alter_endpoint('files', options => '{"utterances": 1}', tenant => 'dialogue-a');
SELECT mulberry.alter_endpoint('files', options => '{"utterances": true}', tenant => 'dialogue-a');
SET ROLE dialogue_gateway;
SELECT l->>'name' AS name, l->>'form' AS form, l->'timeout_ms' AS timeout_ms, plan->'hedge_reply_ms' AS reply, plan->'hedge_speak_ms' AS speak
  FROM mulberry.begin_conversation('whole', '{}', 'dialogue-a'), jsonb_array_elements(plan->'listen') AS l;
RESET ROLE;
SELECT mulberry.set_conversation('{"prompt": "You sell tables.", "whole_utterances": false}', 'dialogue-a') > 0 AS set;
SET ROLE dialogue_gateway;
SELECT l->>'name' AS name, plan->'hedge_reply_ms' AS reply FROM mulberry.begin_conversation('streams', '{}', 'dialogue-a'), jsonb_array_elements(plan->'listen') AS l;

-- ---- a whole number, however JSON writes it ----

RESET ROLE;
SELECT mulberry.set_conversation('{"prompt": "You sell tables.", "reply_timeout_ms": 900.0, "hedge_reply_ms": 700.0, "hedge_speak_ms": 7e2, "commit_neutral_ms": 650.0,
    "tools": [{"function": "dialogue_a.book"}]}', 'dialogue-a') > 0 AS set;
SELECT value FROM mulberry.conversation_numbers('dialogue-a') WHERE name = 'commit_neutral_ms';
SET ROLE dialogue_gateway;
SELECT plan->'reply_timeout_ms' AS timeout, plan->'hedge_reply_ms' AS reply, plan->'hedge_speak_ms' AS speak FROM mulberry.begin_conversation('whole-numbers', '{}', 'dialogue-a');
SELECT mulberry.call_tool('whole-numbers', 'book', '{"day": "2027-01-02", "people": 4}', 'dialogue-a');
RESET ROLE;
SELECT mulberry_internal.check_reply('{"wait": 2.0, "collect": {"digits": 4.0, "name": "pin"}}');
SELECT mulberry.set_endpoint('second', 'deepgram', purpose => 'listen', options => '{"version": 2.0}', priority => 3, tenant => 'dialogue-a');
SELECT s->>'form' AS form FROM mulberry_internal.tenants t, jsonb_array_elements(mulberry_internal.dialogue_services(t.id, 'listen', '{}')) AS s
 WHERE t.name = 'dialogue-a' AND s->>'name' = 'second';
SELECT mulberry.drop_endpoint('second', 'dialogue-a');

-- ---- a secret that cannot be read ----

COPY mulberry.secret_entry (tenant, name, value) FROM stdin;
dialogue-a	files-key	sk-of-files
dialogue-a	spare-key	sk-of-spare
\.
SELECT mulberry.alter_endpoint('files', secret => 'files-key', tenant => 'dialogue-a');
SELECT mulberry.set_endpoint('spare', 'openai', 'https://spare.example.com/v1', 'reply', 'small', 'spare-key', priority => 2, tenant => 'dialogue-a');
SELECT mulberry.set_conversation('{"prompt": "You sell tables."}', 'dialogue-a') > 0 AS set;
-- as after the loss of a key: these were sealed with another one
UPDATE mulberry_internal.secrets s SET key_fingerprint = repeat('0', 32) FROM mulberry_internal.tenants t WHERE t.id = s.tenant AND t.name = 'dialogue-a' AND s.name IN ('files-key', 'model-key');
SET ROLE dialogue_gateway;
SELECT plan->'talk' AS talk, (SELECT string_agg(l->>'name', ' ') FROM jsonb_array_elements(plan->'listen') AS l) AS listen,
       (SELECT string_agg(c->>'name' || ' ' || (c->>'key'), ' ') FROM jsonb_array_elements(plan->'chat') AS c) AS chat
  FROM mulberry.begin_conversation('unreadable', '{}', 'dialogue-a');
RESET ROLE;
SELECT mulberry.drop_secret('files-key', 'dialogue-a'), mulberry.drop_secret('spare-key', 'dialogue-a'), mulberry.drop_endpoint('spare', 'dialogue-a');

-- ---- how sentences sound ----

SELECT mulberry.find_speech('Hello.', 'v', 'dialogue-a') IS NULL AS unknown, mulberry.keep_speech('Hello.', 'v', '\xffff', 'dialogue-a') AS new;
SELECT mulberry.keep_speech('Hello.', 'v', '\x00', 'dialogue-a') AS again, (mulberry.find_speech('Hello.', 'v', 'dialogue-a')).sound AS ours,
       (mulberry.find_speech('Hello.', 'w', 'dialogue-a')).sound AS other_voice, (mulberry.find_speech('Hello.', 'v', 'dialogue-b')).sound AS others;
SELECT mulberry.keep_speech('Hello.', 'v', '', 'dialogue-a');
SELECT mulberry.keep_speech('', 'v', '\x00', 'dialogue-a');
SELECT mulberry.keep_speech('Hello you.', 'v', '\xff', 'dialogue-a', '{5,0}');
SELECT words FROM mulberry.find_speech('Hello you.', 'v', 'dialogue-a');
SELECT mulberry.keep_speech('Hello me.', 'v', '\xff', 'dialogue-a', '{5}');
SELECT mulberry.keep_speech('Hello me.', 'v', '\xff', 'dialogue-a', '{}');
SELECT mulberry.keep_speech('Hello me.', 'v', '\xff', 'dialogue-a', '{5,NULL}');
SELECT mulberry.keep_speech('Hello me.', 'v', '\xff', 'dialogue-a', array_fill(1, ARRAY[130]));

-- ---- nothing of it is another tenant's ----

SET ROLE dialogue_gateway_b;
SELECT mulberry.prepare_reply('two', NULL, 'x', false, 'dialogue-b');
SELECT mulberry.prepare_reply('two', NULL, 'x', false, 'dialogue-a');
SELECT mulberry.call_tool('two', 'book', '{}', 'dialogue-b');
SELECT mulberry.note_lines('two', '[]', NULL, 'dialogue-b');
SELECT mulberry.find_speech('Hello.', 'v', 'dialogue-a');
SELECT plan FROM mulberry.begin_conversation('three', '{}', 'dialogue-b');
SET ROLE dialogue_admin_b;
SELECT count(*) FROM mulberry.conversation_lines;
SELECT plan FROM mulberry.begin_conversation('four', '{}', 'dialogue-b');
SET ROLE dialogue_admin_a;
SELECT number, speaker, text, cut FROM mulberry.conversation_lines WHERE call_id = 'two' ORDER BY 1;
RESET ROLE;

-- ---- the end, which may be told again ----

SET ROLE dialogue_gateway;
SELECT mulberry.log_conversation('two', 0, ARRAY['\x01000000'::bytea], 'stopped', 'dialogue-a');
SELECT mulberry.log_conversation('two', 0, ARRAY['\x01000000'::bytea], 'stopped', 'dialogue-a') AS told_again;
SELECT mulberry.log_conversation('two', 0, ARRAY['\x01000001'::bytea], 'stopped', 'dialogue-a') AS told_otherwise;
SELECT mulberry.log_conversation('two', 0, '{}', 'duration', 'dialogue-a') AS for_another_reason;
SELECT mulberry.prepare_reply('two', NULL, 'x', false, 'dialogue-a');
RESET ROLE;
DROP SCHEMA dialogue_a CASCADE;
DROP FUNCTION public.dialogue_super(text, text), public.dialogue_twice(text), public.dialogue_twice(int);
DELETE FROM mulberry_internal.conversations;
SELECT mulberry.drop_secret('model-key', 'dialogue-a'), mulberry.drop_endpoint('model', 'dialogue-a');
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/sql/include/forget_tenant.sql'
SELECT id AS tenant FROM mulberry_internal.tenants WHERE name = 'dialogue-a' \gset
\i :include
SELECT id AS tenant FROM mulberry_internal.tenants WHERE name = 'dialogue-b' \gset
\i :include
SELECT count(*) FROM mulberry_internal.tenants WHERE name LIKE 'dialogue-%';
