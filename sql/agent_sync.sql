-- The online path, on the side of the cloud: agent_sync().  Two clusters talk to each other in t/096_sync.pl.
SET search_path = mulberry, mulberry_internal, public;
\pset format unaligned
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/sql/include/edge.sql'
\i :include

SELECT create_tenant('syncing') IS NOT NULL AS made;
SELECT id AS tenant FROM tenants WHERE name = 'syncing' \gset
SELECT create_agent('pi', NULL, tenant => 'syncing') AS agent \gset
SELECT create_agent('phoned', '+821012345678', tenant => 'syncing') AS phoned \gset
SELECT create_voice_key('pi', 7, tenant => 'syncing'), create_voice_key('phoned', 8, tenant => 'syncing');
CALL export_voice_key('pi', 7, 'syncing') \gset
INSERT INTO edge_key SELECT split_part(l, ':', 4)::uuid, split_part(l, ':', 3)::uuid, split_part(l, ':', 5)::integer, decode(split_part(l, ':', 6), 'hex') FROM (VALUES (:'line')) AS v (l);
CALL export_voice_key('phoned', 8, 'syncing') \gset
INSERT INTO edge_key SELECT split_part(l, ':', 4)::uuid, split_part(l, ':', 3)::uuid, split_part(l, ':', 5)::integer, decode(split_part(l, ':', 6), 'hex') FROM (VALUES (:'line')) AS v (l);
SELECT count(create_mandate(lpad(m::text, 8, '0'), 'pi', 'sponsor_123', 100, 'USD', '2099-01-01 00:00Z', 'syncing')) AS mandates
  FROM generate_series(1, 3) AS m;
SELECT create_mandate('00000009', 'phoned', 'sponsor_123', 100, 'USD', '2099-01-01 00:00Z', 'syncing');
COPY secret_entry (tenant, name, value) FROM stdin;
syncing	twilio-token	12345678901234567890123456789012
\.

-- What an answer says, without what differs from run to run; the frame as what it commands.
CREATE FUNCTION pg_temp.plain(answer jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'commands', (SELECT jsonb_agg(f.command || ' ' || f.mandate_id || ' by counter ' || f.counter)
                       FROM jsonb_array_elements(answer->'commands') AS c, command_frame_parse(c->>'frame') AS f),
        'acks', (SELECT jsonb_agg(a - 'ack' - 'command_id') FROM jsonb_array_elements(answer->'acks') AS a),
        'mandates', (SELECT jsonb_agg(format('%s %s %s', m->>'mandate_id', m->>'status', m->>'version'))
                       FROM jsonb_array_elements((answer->'updates'->>'data')::jsonb->'mandates') AS m),
        'upto', (answer->'updates'->>'data')::jsonb->'upto', 'more', (answer->'updates'->>'data')::jsonb->'more'))
$$;
CREATE FUNCTION pg_temp.sync(agent text, acks jsonb DEFAULT '[]', since bigint DEFAULT 0) RETURNS jsonb LANGUAGE sql AS $$
    SELECT pg_temp.plain(mulberry.agent_sync(agent, acks, since, 'syncing'))
$$;
CREATE FUNCTION pg_temp.acks(VARIADIC acks text[]) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_agg(jsonb_build_object('ack', a)) FROM unnest(acks) AS a
$$;

-- Nobody is there, and nobody can be phoned.
SELECT pg_temp.error_of($$SELECT suspend_mandate('00000001', tenant => 'syncing')$$) AS offline;

-- The first answer brings the registry; the agent is online from then on.
SELECT pg_temp.sync('pi');
SELECT online, seen_at > now() - interval '1 minute' AS seen FROM agent_status WHERE tenant = 'syncing' AND agent = 'pi';
SELECT pg_temp.sync(:'agent', since => 3) AS by_id_and_up_to_date;
-- The code over it is made with the key, of the very text.
SELECT agent_sync('pi', tenant => 'syncing') AS answer \gset
SELECT u->>'mac' = encode(public.hmac(convert_to(u->>'data', 'UTF8'), public.hmac('mulberry/sync/1'::bytea, k.key, 'sha256'), 'sha256'), 'hex') AS code_fits,
       (u->>'data')::jsonb - 'mandates' - 'agent' - 'tenant' AS beside, (u->>'data')::jsonb->>'agent' = :'agent' AS agent,
       (u->>'data')::jsonb->>'tenant' = :'tenant' AS tenant, (u->>'data')::jsonb->'mandates'->0 AS mandate
  FROM (SELECT :'answer'::jsonb->'updates') AS a (u), edge_key k WHERE k.agent = :'agent';

-- A command goes to an agent that is online by this path, and waits for the answer.
SELECT suspend_mandate('00000001', tenant => 'syncing') - 'command_id' AS pending;
SELECT pg_temp.sync('pi', since => 3), pg_temp.sync('pi', since => 3) AS repeated, pg_temp.sync('pi', since => 4) AS not_answered;
SELECT command_id AS suspend FROM command_status WHERE tenant = 'syncing' AND command = 'SUSPEND' \gset
SELECT pg_temp.sync('pi', pg_temp.acks(pg_temp.forged(pg_temp.ack(:suspend, 0, 2)), '*07', pg_temp.ack(:suspend, 0, 2), pg_temp.ack(:suspend, 0, 2)), 4);
SELECT state, method, call_sid, attempts FROM command_status WHERE command_id = :suspend;
-- The answer to that was lost: the acknowledgement comes again, and nothing happens twice.
SELECT pg_temp.sync('pi', pg_temp.acks(pg_temp.ack(:suspend, 0, 2)), 4);
SELECT count(*) AS confirmed_once FROM audit WHERE tenant = :'tenant' AND command = :suspend AND outcome = 'confirmed';
SELECT count(*) AS told_once FROM events WHERE tenant = :'tenant' AND event = 'command_confirmed' AND (payload->>'command_id')::bigint = :suspend;

-- Several wait: one frame at a time, REVOKE first, the next in the answer that takes the acknowledgement.
SELECT resume_mandate('00000001', tenant => 'syncing')->>'method' AS resume, query_mandate('00000002', tenant => 'syncing')->>'method' AS query,
       revoke_mandate('00000003', tenant => 'syncing')->>'method' AS revoke;
SELECT pg_temp.sync('pi', since => 4);
CREATE FUNCTION pg_temp.answer(status integer, state integer, since bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT pg_temp.sync('pi', pg_temp.acks(pg_temp.ack(c.id, $1, $2)), $3)
      FROM mulberry_internal.commands c JOIN mulberry_internal.agents a ON a.tenant = c.tenant AND a.id = c.agent
     WHERE c.state = 'outstanding' AND a.name = 'pi' AND c.tenant = (SELECT t.id FROM mulberry_internal.tenants t WHERE t.name = 'syncing')
$$;
SELECT pg_temp.answer(0, 1, 6);
SELECT pg_temp.answer(0, 3, 6);
SELECT pg_temp.answer(0, 3, 6);

-- A challenge and its digits.
SELECT (extend_mandate('00000002', 7, tenant => 'syncing')->>'command_id')::bigint AS extend \gset
SELECT '493817' || lpad((98 - 49381700::numeric % 97)::text, 2, '0') AS digits \gset
SELECT pg_temp.sync('pi', since => 7) -> 'commands' AS sent;
SELECT pg_temp.sync('pi', jsonb_build_array(jsonb_build_object('ack', pg_temp.ack(:extend, 4, 3), 'challenge', :'digits')), 7);
SELECT nonce, signatures FROM commands WHERE id = :extend;
SELECT pg_temp.sync('pi', jsonb_build_array(jsonb_build_object('ack', pg_temp.ack(:extend, 4, 3, 1), 'challenge', :'digits')), 7) AS repeated;
-- What was extended is told when the command is settled, not before: the agent would extend it twice.
SELECT pg_temp.answer(0, 3, 7);
-- One that stays without an answer is signed anew, without the digits.
SELECT (revoke_mandate('00000002', tenant => 'syncing')->>'command_id')::bigint AS revoke \gset
SELECT pg_temp.sync('pi', jsonb_build_array(jsonb_build_object('ack', pg_temp.ack(:revoke, 4, 3), 'challenge', :'digits')), 8) -> 'commands' AS with_digits;
UPDATE commands SET challenged_at = challenged_at - interval '1 minute' WHERE id = :revoke;
SELECT pg_temp.sync('pi', since => 8) -> 'commands' AS without;
SELECT nonce, signatures FROM commands WHERE id = :revoke;
SELECT pg_temp.answer(1, 1, 8) -> 'acks' AS acks;

-- An agent that says nothing, and cannot be phoned: a person.
SELECT (ping_agent('pi', tenant => 'syncing')->>'command_id')::bigint AS ping \gset
UPDATE commands SET signed_at = signed_at - interval '2 minutes' WHERE id = :ping;
UPDATE agents SET online_until = now() - interval '1 minute' WHERE id = :'agent';
-- a copy that is held gives up nothing: the agent talks to the original
BEGIN;
INSERT INTO installation (system_identifier, database, approved_by) VALUES (0, 0, 'a dump');
SELECT tend_queues();
SELECT state FROM command_status WHERE command_id = :ping;
ROLLBACK;
SELECT tend_queues();
SELECT state, error FROM command_status WHERE command_id = :ping;
-- When it is back it gets it again, signed anew, by this path alone; and gives it up once more without a second alarm.
SELECT pg_temp.sync('pi', since => 9) -> 'commands' AS back;
SELECT state, signatures, method, voice_at FROM command_status WHERE command_id = :ping;
UPDATE commands SET signed_at = signed_at - interval '2 minutes' WHERE id = :ping;
SELECT tend_queues();
SELECT state FROM command_status WHERE command_id = :ping;
SELECT count(*) AS alarms FROM events WHERE tenant = :'tenant' AND event = 'escalated';
SELECT pg_temp.sync('pi', pg_temp.acks(pg_temp.ack(:ping, 0, 0)), 9);
SELECT state FROM command_status WHERE command_id = :ping;

-- An agent that is offline is phoned; when it comes online meanwhile, it gets the same frame.
SELECT set_endpoint('twilio', 'twilio', purpose => 'telephony', secret => 'twilio-token', tenant => 'syncing',
                    options => '{"account_sid": "AC00000000000000000000000000000001", "from": "+12025551234"}');
SELECT revoke_mandate('00000009', tenant => 'syncing')->>'method' AS method;
SELECT agent_sync('phoned', tenant => 'syncing')->'commands'->0->>'frame' = v.frame AS same_frame
  FROM voice_calls v WHERE v.tenant = :'tenant' AND v.finished_at IS NULL;
SELECT method FROM command_status WHERE tenant = 'syncing' AND agent = 'phoned';
SELECT agent_sync('phoned', pg_temp.acks(pg_temp.ack(c.id, 0, 1)), 0, 'syncing') IS NOT NULL AS acknowledged FROM commands c WHERE c.agent = :'phoned';
SELECT state, method, attempts FROM command_status WHERE tenant = 'syncing' AND agent = 'phoned';
-- When it is online, the telephone takes over after ten seconds; with force_voice at once, and that frame stays off this path.
SELECT ping_agent('phoned', tenant => 'syncing')->>'method' AS method;
SELECT c.voice_at BETWEEN c.signed_at + interval '9 seconds' AND c.signed_at + interval '15 seconds' AS later,
       (SELECT count(*) FROM job_queue q WHERE q.id = v.job AND q.run_at = c.voice_at) AS jobs
  FROM commands c JOIN voice_calls v ON v.command = c.id WHERE c.agent = :'phoned' AND c.state = 'outstanding';
SELECT cancel_command(command_id) ->> 'status' AS status FROM command_status WHERE tenant = 'syncing' AND agent = 'phoned' AND state = 'outstanding';
SELECT ping_agent('phoned', force_voice => true, tenant => 'syncing')->>'method' AS method;
SELECT pg_temp.sync('phoned', since => 2);

-- An agent that knows more changes than we do (our database is a restored dump) hears all of them again.
SELECT pg_temp.sync('pi', since => 5000);
SELECT pg_temp.sync('pi', since => 5001) AS then;

-- Whoever guesses at tags gets a hundred tries an hour.
SELECT (ping_agent('pi', tenant => 'syncing')->>'command_id')::bigint AS ping \gset
CREATE FUNCTION pg_temp.forged(ack text, guess integer) RETURNS text LANGUAGE sql AS $$
    SELECT '*' || d.digits || lpad((98 - (d.digits || '00')::numeric % 97)::text, 2, '0') || '#'
      FROM (SELECT substr(ack, 2, 10) || lpad(((substr(ack, 12, 8)::integer + guess) % 100000000)::text, 8, '0')) AS d (digits)
$$;
SELECT v.value->>'verdict' AS verdict, count(*)
  FROM jsonb_array_elements(agent_sync('pi', (SELECT jsonb_agg(jsonb_build_object('ack', pg_temp.forged(pg_temp.ack(:ping, 0, 0), i)))
                                                FROM generate_series(1, 99) i), 9, 'syncing')->'acks') v GROUP BY 1;
SELECT pg_temp.sync('pi', jsonb_build_array(jsonb_build_object('ack', pg_temp.forged(pg_temp.ack(:ping, 0, 0), 100)),
                                            jsonb_build_object('ack', pg_temp.ack(:ping, 0, 0))), 9)->'acks'->1->>'verdict' AS after_a_hundred;
SELECT pg_temp.sync('pi', pg_temp.acks(pg_temp.ack(:ping, 0, 0)), 9)->'acks'->0->>'verdict' AS in_the_next_exchange;
SELECT state FROM command_status WHERE command_id = :ping;
UPDATE agents SET forged_since = forged_since - interval '1 hour' WHERE id = :'agent';
SELECT pg_temp.sync('pi', pg_temp.acks(pg_temp.ack(:ping, 0, 0)), 9)->'acks'->0->>'verdict' AS an_hour_later;
SELECT state FROM command_status WHERE command_id = :ping;

-- Bad input.
SELECT call, pg_temp.error_of('SELECT ' || call) AS error
  FROM unnest(ARRAY[$$agent_sync('nobody', tenant => 'syncing')$$, $$agent_sync(NULL, tenant => 'syncing')$$,
                    $$agent_sync('pi', tenant => 'nowhere')$$, $$agent_sync('00000000-0000-0000-0000-000000000000', tenant => 'syncing')$$,
                    $$agent_sync('pi', NULL, tenant => 'syncing')$$, $$agent_sync('pi', '{}', tenant => 'syncing')$$,
                    $$agent_sync('pi', '["*07"]', tenant => 'syncing')$$, $$agent_sync('pi', '[{"ack": 7}]', tenant => 'syncing')$$,
                    $$agent_sync('pi', '[{}]', tenant => 'syncing')$$,
                    $$agent_sync('pi', (SELECT jsonb_agg('{"ack": ""}'::jsonb) FROM generate_series(1, 101)), tenant => 'syncing')$$,
                    $$agent_sync('pi', since => NULL, tenant => 'syncing')$$, $$agent_sync('pi', since => -1, tenant => 'syncing')$$,
                    $$agent_sync('pi', since => 9223372036854775807, tenant => 'syncing')$$]) AS call;

-- The other tests know nothing of all that.
\set include :srcdir '/sql/include/forget_tenant.sql'
\i :include
