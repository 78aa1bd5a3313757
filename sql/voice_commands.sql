-- Commands to agents: how they are given, queued, confirmed, refused, escalated, cancelled and tried again.
-- The edge is sql/include/edge.sql; what telephony and the receiving side do is tested elsewhere.
SET search_path = mulberry, mulberry_internal, public;
\pset format unaligned
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/sql/include/edge.sql'
\i :include

SELECT create_tenant('commanding') IS NOT NULL AS made;
SELECT id AS tenant FROM tenants WHERE name = 'commanding' \gset
SELECT nextval('command_id') AS base \gset
SELECT coalesce(max(id), 0) AS audit_base FROM audit \gset
SELECT coalesce(max(id), 0) AS event_base FROM events \gset
-- answers without what differs from run to run
CREATE FUNCTION pg_temp.plain(answer jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT answer - 'latency' || CASE WHEN answer ? 'command_id'
        THEN jsonb_build_object('command_id', (answer->>'command_id')::bigint - current_setting('test.base')::bigint) ELSE '{}' END
        || CASE WHEN answer ? 'hint' THEN jsonb_build_object('hint', regexp_replace(answer->>'hint', '\(\d+\)', '(N)')) ELSE '{}' END
$$;
SELECT set_config('test.base', :'base', false) = :'base' AS set;
CREATE TEMP VIEW queue AS
    SELECT command_id - current_setting('test.base')::bigint AS n, agent, command, mandate_id, state, method, attempts, signatures,
           regexp_replace(error, 'command \d+', 'command N') AS error
      FROM command_status WHERE tenant = 'commanding' ORDER BY command_id;

SELECT count(create_agent(name, phone, tenant => 'commanding')) AS agents
  FROM (VALUES ('pi-one', '+821012345678'), ('pi-two', '+821012345679'), ('pi-mute', NULL)) AS a (name, phone);
SELECT count(create_mandate(lpad(m::text, 8, '0'), agent, 'sponsor_123', 100, 'USD', now() + interval '30 days', 'commanding')) AS mandates
  FROM (VALUES (11, 'pi-one'), (12, 'pi-one'), (13, 'pi-one'), (14, 'pi-one'), (15, 'pi-one'), (21, 'pi-two'), (22, 'pi-two'),
               (23, 'pi-two'), (31, 'pi-mute'), (32, 'pi-mute')) AS m (m, agent);

-- Without a way to the agent nothing is queued or changed ...
SELECT call, pg_temp.error_of('SELECT ' || call) AS error
  FROM unnest(ARRAY[$$suspend_mandate('00000011', tenant => 'commanding')$$,
                    $$extend_mandate('00000011', 7, tenant => 'commanding')$$,
                    $$query_mandate('00000011', tenant => 'commanding')$$,
                    $$ping_agent('pi-one', tenant => 'commanding')$$]) AS call;
SELECT create_voice_key('pi-one', 7, tenant => 'commanding'), create_voice_key('pi-two', 8, tenant => 'commanding'),
       create_voice_key('pi-mute', 9, tenant => 'commanding');
SELECT pg_temp.error_of($$SELECT ping_agent('pi-one', tenant => 'commanding')$$) AS not_exported;
CALL export_voice_key('pi-one', 7, 'commanding') \gset
INSERT INTO edge_key SELECT split_part(l, ':', 4)::uuid, split_part(l, ':', 3)::uuid, split_part(l, ':', 5)::integer, decode(split_part(l, ':', 6), 'hex') FROM (VALUES (:'line')) AS v (l);
CALL export_voice_key('pi-two', 8, 'commanding') \gset
INSERT INTO edge_key SELECT split_part(l, ':', 4)::uuid, split_part(l, ':', 3)::uuid, split_part(l, ':', 5)::integer, decode(split_part(l, ':', 6), 'hex') FROM (VALUES (:'line')) AS v (l);
CALL export_voice_key('pi-mute', 9, 'commanding') \gset
INSERT INTO edge_key SELECT split_part(l, ':', 4)::uuid, split_part(l, ':', 3)::uuid, split_part(l, ':', 5)::integer, decode(split_part(l, ':', 6), 'hex') FROM (VALUES (:'line')) AS v (l);
SELECT pg_temp.error_of($$SELECT ping_agent('pi-one', tenant => 'commanding')$$) AS no_telephony;
SELECT pg_temp.error_of($$SELECT suspend_mandate('00000031', tenant => 'commanding')$$) AS no_number;
SELECT count(*) AS queued FROM queue;
SELECT DISTINCT status FROM mandate_status WHERE tenant = 'commanding';
-- ... but a revocation is never refused: the registry is revoked, and a person must tell the agent.
SELECT pg_temp.plain(revoke_mandate('00000031', 'stolen card', 'sponsor_123', tenant => 'commanding'));
SELECT mandate_id, status FROM mandate_status WHERE tenant = 'commanding' AND status <> 'ACTIVE';
SELECT n, command, state, method, error FROM queue;

-- With telephony.
COPY secret_entry (tenant, name, value) FROM stdin;
commanding	twilio-token	12345678901234567890123456789012
\.
SELECT set_endpoint('twilio', 'twilio', purpose => 'telephony', secret => 'twilio-token', tenant => 'commanding',
                    options => '{"account_sid": "AC00000000000000000000000000000001", "from": "+12025551234"}');
SELECT pg_temp.plain(revoke_mandate('00000011', 'user_request', 'sponsor_123', tenant => 'commanding'));
SELECT pg_temp.plain(revoke_mandate('00000011', 'user_request', 'sponsor_123', tenant => 'commanding')) AS again;
SELECT status FROM mandate_status WHERE tenant = 'commanding' AND mandate_id = '00000011';
SELECT n, command, mandate_id, state, method, attempts, signatures FROM queue WHERE agent = 'pi-one';
SELECT count(*) AS calls_planned FROM job_queue WHERE tenant = :'tenant' AND kind = 'call';
SELECT (command_frame_parse(frame)).*, signed_at IS NOT NULL AS signed, abs(extract(epoch FROM voice_at - signed_at)) < 1 AS at_once
  FROM commands WHERE tenant = :'tenant' AND mandate = '00000011' \gset f_
SELECT :'f_valid' AS valid, :'f_key_id' AS key_id, :'f_command' AS command, :'f_mandate_id' AS mandate_id, :'f_counter' AS counter, :'f_at_once' AS at_once;

-- Bad input.
SELECT call, pg_temp.error_of('SELECT ' || call) AS error
  FROM unnest(ARRAY[
    $$revoke_mandate('1234567', tenant => 'commanding')$$, $$revoke_mandate('123456789', tenant => 'commanding')$$,
    $$revoke_mandate('1234567a', tenant => 'commanding')$$, $$revoke_mandate('', tenant => 'commanding')$$,
    $$revoke_mandate('00000000', tenant => 'commanding')$$, $$revoke_mandate(NULL, tenant => 'commanding')$$,
    $$revoke_mandate('00000012', force_voice => NULL, tenant => 'commanding')$$,
    $$revoke_mandate('00000099', tenant => 'commanding')$$, $$revoke_mandate('00000012', tenant => 'nowhere')$$,
    $$suspend_mandate('00000011', tenant => 'commanding')$$, $$resume_mandate('00000011', tenant => 'commanding')$$,
    $$extend_mandate('00000011', 7, tenant => 'commanding')$$,
    $$extend_mandate('00000012', 0, tenant => 'commanding')$$, $$extend_mandate('00000012', 100, tenant => 'commanding')$$,
    $$extend_mandate('00000012', NULL, tenant => 'commanding')$$, $$query_mandate('00000099', tenant => 'commanding')$$,
    $$ping_agent('nobody', tenant => 'commanding')$$, $$ping_agent(NULL, tenant => 'commanding')$$,
    $$ping_agent('pi-one', force_voice => NULL, tenant => 'commanding')$$,
    $$ping_agent('pi-mute', tenant => 'commanding')$$,
    $$cancel_command(0)$$, $$retry_command(0)$$, $$cancel_command(NULL)$$]) AS call;
SELECT pg_temp.error_of($$SELECT create_agent('x', '010-1234-5678', tenant => 'commanding')$$) AS not_e164;

-- Acknowledgements.  What is not genuine is written down and changes nothing.
SELECT command_id AS revoke FROM command_status WHERE tenant = 'commanding' AND mandate_id = '00000011' \gset
SELECT accept_ack(:revoke, pg_temp.forged(pg_temp.ack(:revoke, 0, 1)), 'voice') AS forged,
       accept_ack(:revoke, '*0700010001', 'voice') AS torn, accept_ack(:revoke, NULL, 'voice') AS nothing,
       accept_ack(:revoke, '*07000100426040297750#', 'voice') AS foreign;
SELECT state, error FROM queue WHERE mandate_id = '00000011';
SELECT pg_temp.error_of('SELECT accept_ack(0, ''*'', ''voice'')');
SELECT accept_ack(:revoke, pg_temp.ack(:revoke, 0, 1), 'voice', '{"call_sid": "CA123"}') AS genuine;
SELECT accept_ack(:revoke, pg_temp.ack(:revoke, 0, 1), 'voice', '{"call_sid": "CA123"}') AS repeated;
SELECT pg_temp.plain(answer), answer ? 'latency' AS timed FROM command_status WHERE command_id = :revoke;
SELECT evidence - 'acknowledgement' AS evidence, finished_at IS NOT NULL AS finished FROM command_status WHERE command_id = :revoke;
SELECT pg_temp.plain(revoke_mandate('00000011', tenant => 'commanding')) AS already;

-- The queue: one outstanding, in the order given, but REVOKE first.
SELECT pg_temp.plain(suspend_mandate('00000012', 'why', 'me', tenant => 'commanding')) AS one;
SELECT pg_temp.plain(query_mandate('00000013', tenant => 'commanding')) ->> 'status' AS two,
       pg_temp.plain(extend_mandate('00000013', 14, tenant => 'commanding')) ->> 'status' AS three,
       pg_temp.plain(ping_agent('pi-one', tenant => 'commanding')) ->> 'status' AS four;
SELECT n, command, mandate_id, state, method, signatures FROM queue WHERE agent = 'pi-one' AND state IN ('waiting', 'outstanding');
SELECT pg_temp.plain(revoke_mandate('00000014', tenant => 'commanding')) ->> 'status' AS five;
SELECT pg_temp.plain(revoke_mandate('00000015', tenant => 'commanding')) ->> 'status' AS six;
SELECT n, command, mandate_id, state, method, signatures FROM queue WHERE agent = 'pi-one' AND state IN ('waiting', 'outstanding');
-- Nobody was phoned for what was displaced, nor will be before its turn.
SELECT count(*) AS calls_for_others FROM voice_calls v JOIN commands c ON c.id = v.command
 WHERE c.tenant = :'tenant' AND c.state = 'waiting' AND v.state <> 'planned';
-- The acknowledgement of the displaced signature proves that the agent has carried it out.
SELECT command_id AS suspend FROM command_status WHERE tenant = 'commanding' AND mandate_id = '00000012' \gset
SELECT accept_ack(:suspend, pg_temp.ack(:suspend, 0, 2, 1), 'voice');
SELECT state, method, finished_at IS NOT NULL AS finished FROM command_status WHERE command_id = :suspend;
-- Each confirmation gives the turn to the next.
CREATE FUNCTION pg_temp.answer_outstanding(agent text, status integer, state integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    o record;
BEGIN
    SELECT * INTO o FROM mulberry.command_status s WHERE s.tenant = 'commanding' AND s.agent = $1 AND s.state = 'outstanding';
    RETURN o.command || ' ' || coalesce(o.mandate_id, '-') || ': '
           || mulberry_internal.accept_ack(o.command_id, pg_temp.ack(o.command_id, $2, $3), 'voice');
END
$$;
SELECT pg_temp.answer_outstanding('pi-one', 0, 1);
SELECT pg_temp.answer_outstanding('pi-one', 1, 1);
SELECT pg_temp.answer_outstanding('pi-one', 0, 2);
SELECT pg_temp.answer_outstanding('pi-one', 0, 3);
SELECT pg_temp.answer_outstanding('pi-one', 0, 0);
SELECT n, command, mandate_id, state, method, signatures FROM queue WHERE agent = 'pi-one';
-- QUERY says what the agent has, and an event tells where that is not what the registry has.
SELECT answer->'mandate_status' AS agent_has, answer->'registry_status' AS registry_has FROM command_status
 WHERE tenant = 'commanding' AND command = 'QUERY';

-- What waits and became pointless is cancelled: the mandate was revoked meanwhile.
SELECT suspend_mandate('00000021', tenant => 'commanding')->>'status' AS outstanding,
       suspend_mandate('00000022', tenant => 'commanding')->>'status' AS waiting,
       extend_mandate('00000022', 3, tenant => 'commanding')->>'status' AS waiting,
       revoke_mandate('00000022', tenant => 'commanding')->>'status' AS displaces;
SELECT n, command, mandate_id, state, error FROM queue WHERE agent = 'pi-two';

-- The same command that still waits is not queued twice, unless something came between.
SELECT ping_agent('pi-two', tenant => 'commanding')->'command_id' = ping_agent('pi-two', tenant => 'commanding')->'command_id' AS folded,
       query_mandate('00000023', tenant => 'commanding')->'command_id' = query_mandate('00000023', tenant => 'commanding')->'command_id' AS folded;
SELECT suspend_mandate('00000023', tenant => 'commanding')->>'status' AS suspend,
       resume_mandate('00000023', tenant => 'commanding')->>'status' AS resume,
       suspend_mandate('00000023', tenant => 'commanding')->>'status' AS suspend_again,
       extend_mandate('00000023', 2, tenant => 'commanding')->>'status' AS extend,
       extend_mandate('00000023', 2, tenant => 'commanding')->>'status' AS extend_more,
       suspend_mandate('00000023', tenant => 'commanding')->>'status' AS already;
SELECT n, command, mandate_id, state FROM queue WHERE agent = 'pi-two' AND state IN ('waiting', 'outstanding');

-- Cancelling.
SELECT command_id AS on_its_way FROM command_status WHERE tenant = 'commanding' AND agent = 'pi-two' AND state = 'outstanding' \gset
SELECT min(command_id) FILTER (WHERE command = 'SUSPEND' AND mandate_id = '00000021') AS displaced,
       min(command_id) FILTER (WHERE command = 'QUERY') AS query,
       min(command_id) FILTER (WHERE command = 'RESUME') AS resume,
       min(command_id) FILTER (WHERE command = 'PING') AS ping
  FROM command_status WHERE tenant = 'commanding' AND agent = 'pi-two' \gset
SELECT regexp_replace(pg_temp.error_of(format('SELECT cancel_command(%s)', c)), 'command \d+', 'command N') AS error
  FROM unnest(ARRAY[:on_its_way, :displaced, :revoke]) AS c;
SELECT pg_temp.plain(cancel_command(:query, 'not needed')) - 'error' AS query, cancel_command(:resume)->>'status' AS resume,
       regexp_replace(pg_temp.error_of(format('SELECT cancel_command(%s)', :query)), 'command \d+', 'command N') AS again;
-- a harmless one, on its way; its late answer is kept, and changes nothing
SELECT pg_temp.answer_outstanding('pi-two', 0, 1);
SELECT pg_temp.answer_outstanding('pi-two', 0, 2);
SELECT n, command, state, signatures FROM queue WHERE agent = 'pi-two' AND state IN ('waiting', 'outstanding') LIMIT 1;
SELECT cancel_command(:ping)->>'status' AS ping;
SELECT accept_ack(:ping, pg_temp.ack(:ping, 0, 0), 'voice');
SELECT state, acknowledgement FROM command_status WHERE command_id = :ping;

-- Refusals by the agent.
SELECT pg_temp.answer_outstanding('pi-two', 2, 0);
SELECT pg_temp.answer_outstanding('pi-two', 3, 3);
SELECT n, command, mandate_id, state, error FROM queue WHERE agent = 'pi-two' AND state = 'refused';
SELECT pg_temp.plain(answer) FROM command_status WHERE tenant = 'commanding' AND state = 'refused' ORDER BY command_id LIMIT 1;

-- A challenge: status 04, digits, signed anew with them.
SELECT command_id AS extend FROM command_status WHERE tenant = 'commanding' AND agent = 'pi-two' AND state = 'outstanding' \gset
SELECT accept_challenge(:extend, '49381786') AS unasked;
SELECT accept_ack(:extend, pg_temp.ack(:extend, 4, 3), 'voice') AS challenged, accept_ack(:extend, pg_temp.ack(:extend, 4, 3), 'voice') AS repeated;
SELECT (substr('493817', 1, 6) || lpad((98 - ('49381700')::numeric % 97)::text, 2, '0')) AS digits \gset
SELECT accept_challenge(:extend, '49381700') AS misheard, accept_challenge(:extend, NULL) AS unheard;
SELECT accept_challenge(:extend, :'digits') AS answered;
SELECT accept_challenge(:extend, :'digits') AS repeated;
SELECT state, signatures, nonce FROM commands WHERE id = :extend;
SELECT count(*) AS signatures, count(DISTINCT counter) AS counters, count(nonce) AS with_digits FROM command_signatures WHERE command = :extend;
-- of the first signature again: too old to matter
SELECT accept_ack(:extend, pg_temp.ack(:extend, 3, 3, 1), 'voice');
SELECT state FROM command_status WHERE command_id = :extend;
SELECT accept_ack(:extend, pg_temp.ack(:extend, 0, 3), 'voice');
SELECT state, acknowledgement, mandate_state FROM command_status WHERE command_id = :extend;
-- A challenge that nobody has answered in time uses up its frame.
SELECT command_id AS late FROM command_status WHERE tenant = 'commanding' AND agent = 'pi-two' AND state = 'outstanding' \gset
SELECT accept_ack(:late, pg_temp.ack(:late, 4, 3), 'voice') AS challenged;
UPDATE commands SET challenged_at = challenged_at - interval '56 seconds' WHERE id = :late;
SELECT accept_challenge(:late, :'digits') AS answered;
SELECT signatures, nonce, challenged_at IS NULL AS forgotten FROM commands WHERE id = :late;
SELECT pg_temp.answer_outstanding('pi-two', 0, 3);
SELECT count(*) AS left_over FROM queue WHERE state IN ('waiting', 'outstanding');

-- Calls that bring nothing: three of them, then a person.
SELECT (ping_agent('pi-two', 'me', tenant => 'commanding')->>'command_id')::bigint AS ping \gset
CREATE FUNCTION pg_temp.call_fails(command bigint, outcome text) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    call bigint;
BEGIN
    -- what the worker does about a call that has ended
    UPDATE mulberry_internal.voice_calls v SET state = 'requested', placings = 1, requested_at = now()
     WHERE v.command = $1 AND v.purpose = 'command' AND v.finished_at IS NULL RETURNING v.id INTO STRICT call;
    UPDATE mulberry_internal.voice_calls v SET state = 'queued', sid = 'CA' || v.id WHERE v.id = call;
    UPDATE mulberry_internal.voice_calls v SET state = outcome, ended_at = now() WHERE v.id = call;
    PERFORM mulberry_internal.finish_voice_call(call, outcome, 'nobody there');
    -- said twice is said once
    PERFORM mulberry_internal.voice_attempt_ended(call, outcome, 'nobody there');
    RETURN (SELECT format('%s, %s attempts, next in 30 s: %s', c.state, c.attempts,
                          c.voice_at BETWEEN clock_timestamp() + interval '20 seconds' AND clock_timestamp() + interval '30 seconds')
              FROM mulberry_internal.commands c WHERE c.id = $1);
END
$$;
SELECT pg_temp.call_fails(:ping, 'busy');
SELECT answer->>'status' AS status, answer->>'error' AS error, answer->'retry_scheduled' AS retry FROM command_status WHERE command_id = :ping;
SELECT pg_temp.call_fails(:ping, 'no-answer');
SELECT note_spoken_confirmation(:ping, 'yes hello I am here', '{"call_sid": "CA1"}');
SELECT pg_temp.call_fails(:ping, 'failed');
SELECT pg_temp.plain(answer) - 'call_sid', evidence->'spoken'->'transcript' AS spoken FROM command_status WHERE command_id = :ping;
SELECT pg_temp.error_of('SELECT voice_attempt_ended(0, ''busy'')');
-- Again, by a person, with all its attempts; and a late answer of the signature before counts.
SELECT pg_temp.error_of(format('SELECT cancel_command(%s)', :ping)) ~ '^22004' AS wants_a_reason;
SELECT retry_command(:ping)->>'status' AS retried;
SELECT state, signatures FROM command_status WHERE command_id = :ping;
SELECT regexp_replace(pg_temp.error_of(format('SELECT retry_command(%s)', :ping)), 'command \d+', 'command N') AS again;
SELECT pg_temp.call_fails(:ping, 'busy');
SELECT accept_ack(:ping, pg_temp.ack(:ping, 0, 0, 1), 'voice');
SELECT state, error IS NULL AS no_error FROM command_status WHERE command_id = :ping;
-- An acknowledgement ends what waits for a person.
SELECT (ping_agent('pi-two', 'me', tenant => 'commanding')->>'command_id')::bigint AS ping \gset
SELECT pg_temp.call_fails(:ping, 'busy'), pg_temp.call_fails(:ping, 'busy'), pg_temp.call_fails(:ping, 'busy');
SELECT accept_ack(:ping, pg_temp.ack(:ping, 0, 0), 'voice');
SELECT state FROM command_status WHERE command_id = :ping;
-- One that is closed by a person.
SELECT (query_mandate('00000023', tenant => 'commanding')->>'command_id')::bigint AS query \gset
SELECT pg_temp.call_fails(:query, 'busy'), pg_temp.call_fails(:query, 'busy'), pg_temp.call_fails(:query, 'busy');
SELECT cancel_command(:query, 'the device is on my desk')->>'error' ~ '^cancelled by .*: the device is on my desk$' AS closed;
-- A later one makes it pointless.
SELECT (resume_mandate('00000021', tenant => 'commanding')->>'command_id')::bigint AS resume \gset
SELECT pg_temp.call_fails(:resume, 'busy'), pg_temp.call_fails(:resume, 'busy'), pg_temp.call_fails(:resume, 'busy');
SELECT (suspend_mandate('00000021', tenant => 'commanding')->>'command_id')::bigint AS suspend \gset
SELECT regexp_replace(pg_temp.error_of(format('SELECT retry_command(%s)', :resume)), '\d{2,}(?=\D|$)', 'N', 'g') AS out_of_date;
SELECT pg_temp.answer_outstanding('pi-two', 0, 2);
SELECT state, regexp_replace(error, '\d+', 'N') AS error FROM command_status WHERE command_id = :resume;

-- An extension that was sent and displaced may have been carried out: a person decides.
SELECT (extend_mandate('00000023', 5, tenant => 'commanding')->>'command_id')::bigint AS extend \gset
UPDATE voice_calls SET state = 'ringing', placings = 1 WHERE command = :extend;
SELECT revoke_mandate('00000021', tenant => 'commanding')->>'status' AS revoke;
SELECT command, state, error FROM command_status WHERE command_id = :extend;
-- Its answer settles it; without one, and never sent, it would have waited.
SELECT accept_ack(:extend, pg_temp.ack(:extend, 0, 3), 'voice');
SELECT state FROM command_status WHERE command_id = :extend;
SELECT pg_temp.answer_outstanding('pi-two', 0, 1);

-- The telephone is taken away between two calls.
SELECT (ping_agent('pi-two', tenant => 'commanding')->>'command_id')::bigint AS ping \gset
SELECT alter_agent('pi-two', remove_phone => true, tenant => 'commanding');
SELECT pg_temp.call_fails(:ping, 'busy');
SELECT state, error FROM command_status WHERE command_id = :ping;
SELECT pg_temp.error_of(format('SELECT retry_command(%s)', :ping)) AS still_away;
SELECT alter_agent('pi-two', '+821012345679', tenant => 'commanding');
SELECT retry_command(:ping)->>'status' AS retried;
SELECT pg_temp.answer_outstanding('pi-two', 0, 0);

-- A key that is disabled while its frame is out.
SELECT (ping_agent('pi-two', tenant => 'commanding')->>'command_id')::bigint AS ping \gset
SELECT create_voice_key('pi-two', 18, tenant => 'commanding');
CALL export_voice_key('pi-two', 18, 'commanding') \gset
INSERT INTO edge_key SELECT split_part(l, ':', 4)::uuid, split_part(l, ':', 3)::uuid, split_part(l, ':', 5)::integer, decode(split_part(l, ':', 6), 'hex') FROM (VALUES (:'line')) AS v (l);
SELECT disable_voice_key('pi-two', 8, tenant => 'commanding');
SELECT tend_queues();
SELECT state, signatures, key_id FROM command_status WHERE command_id = :ping;
SELECT pg_temp.answer_outstanding('pi-two', 0, 0);

-- Waiting for the outcome.
CALL await_command(:revoke, result => NULL) \gset
SELECT pg_temp.plain(:'result');
SELECT (ping_agent('pi-two', tenant => 'commanding')->>'command_id')::bigint AS ping \gset
CALL await_command(:ping, '0.1 s', NULL) \gset
SELECT pg_temp.plain(:'result');
\set VERBOSITY sqlstate
BEGIN;
CALL await_command(:revoke, result => NULL);
ROLLBACK;
CALL await_command(0, result => NULL);
CALL await_command(NULL, result => NULL);
CALL await_command(:ping, '-1 s', NULL);
CALL await_command(:ping, '2 days', NULL);
CALL await_command(:ping, NULL, NULL);
\set VERBOSITY default

-- Said once more: the original's integration test, test_end_to_end_revocation.
SELECT create_mandate('12345678', 'pi-one', 'test_user', 100, 'USD', now() + interval '30 days', 'commanding');
SELECT result->>'status' IN ('success', 'pending') AS status, result->>'method' = 'voice' AS method, result ? 'call_sid' AS call_sid
  FROM revoke_mandate(mandate_id => '12345678', reason => 'test', requester => 'test_user', force_voice => true, tenant => 'commanding') AS result;
SELECT status AS registry FROM mandate_status WHERE tenant = 'commanding' AND mandate_id = '12345678';
SELECT count(*) AS calls FROM voice_calls v JOIN commands c ON c.id = v.command WHERE c.tenant = :'tenant' AND c.mandate = '12345678' AND v.finished_at IS NULL;

-- Everything was written down ...
SELECT action, outcome, count(*) FROM audit WHERE tenant = :'tenant' AND id > :audit_base AND action ~ '^(REVOKE|SUSPEND|RESUME|EXTEND|QUERY|PING|ACKNOW)'
 GROUP BY 1, 2 ORDER BY 1, 2;
-- ... and told.
SELECT event, count(*) FROM events WHERE tenant = :'tenant' AND id > :event_base AND (event ~ '^command_' OR event IN ('escalated', 'mandate_differs', 'acknowledgement_forged'))
 GROUP BY 1 ORDER BY 1;
SELECT jsonb_object_agg(k, CASE WHEN k IN ('command_id', 'counter', 'latency', 'acknowledgement', 'voice_at') THEN '"..."' ELSE v END) - 'signature' AS confirmed
  FROM (SELECT payload FROM events WHERE tenant = :'tenant' AND event = 'command_confirmed' ORDER BY id LIMIT 1) AS e, jsonb_each(payload) AS x (k, v);
SELECT item, status, hint IS NOT NULL AS hint FROM health_commands() WHERE item IN ('escalated commands', 'reach of agents');
SELECT count(*) AS items FROM health() WHERE item ~ '(commands|reach)';

-- No two signatures share a counter, and every frame was kept.
SELECT count(*) = count(DISTINCT (agent, key_id, counter)) AS unique_counters, count(*) = sum(1) AS all_kept FROM command_signatures WHERE tenant = :'tenant';
SELECT count(*) AS unlike FROM commands c WHERE c.tenant = :'tenant' AND c.signatures <> (SELECT count(*) FROM command_signatures s WHERE s.command = c.id);

-- The other tests know nothing of all that.
\set include :srcdir '/sql/include/forget_tenant.sql'
\i :include
