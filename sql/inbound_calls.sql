-- Calls that come in, by their webhooks: signed, once each, in their turn.  What a whole call hears is in t/100_inbound_call.pl.
SET client_min_messages = warning;
SET timezone = 'UTC';
\pset tuples_only on
\pset format unaligned
SELECT mulberry.create_tenant(t) IS NOT NULL FROM unnest(ARRAY['clinic', 'shop']) AS t;
\copy mulberry.secret_entry (tenant, name, value) FROM stdin
clinic	token	12345
clinic	token-before	54321
shop	token	67890
\.
SELECT mulberry.set_endpoint('phone', 'twilio', purpose => 'telephony', secret => 'token', tenant => t.name,
    options => jsonb_build_object('account_sid', t.account, 'from', '+15005550006', 'public_url', 'https://hooks.example/base'))
  FROM (VALUES ('clinic', 'AC' || repeat('1', 32)), ('shop', 'AC' || repeat('2', 32))) AS t (name, account);
SELECT mulberry.set_telephony('{"numbers": ["+12025550100"], "greeting": "Welcome to the clinic", "recording": "always", "consent": "This call is recorded.", "transfer_number": "+12025550199", "emergency_number": "+12025550911", "menus": {"main": {"text": "Menu", "keys": {"1": {"action": "say", "text": "One"}, "2": {"action": "transfer"}, "3": {"action": "record"}, "4": {"action": "emergency"}, "5": {"action": "agent"}}}}}', 'clinic');
SELECT mulberry.set_telephony('{"numbers": ["+12025550200"], "greeting": "Welcome to the shop"}', 'shop');

-- A request as Twilio makes it: a form, signed with a token.
CREATE FUNCTION pg_temp.form(params jsonb) RETURNS bytea LANGUAGE sql AS $$
    SELECT convert_to(coalesce(string_agg(f.part, '&'), ''), 'UTF8')
      FROM (SELECT p.key || '=' || (SELECT string_agg(CASE WHEN c ~ '[A-Za-z0-9]' THEN c ELSE regexp_replace(upper(encode(convert_to(c, 'UTF8'), 'hex')), '(..)', '%\1', 'g') END, '' ORDER BY n)
                                      FROM string_to_table(p.value, NULL) WITH ORDINALITY AS s (c, n)) AS part
              FROM jsonb_each_text(params) AS p) AS f
$$;
CREATE FUNCTION pg_temp.ask(path text, params jsonb, token text DEFAULT '12345', idempotency text DEFAULT NULL, base jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    url  CONSTANT text := CASE WHEN path ~ '^https' THEN path ELSE 'https://hooks.example/base/twilio/' || path END;
    sent CONSTANT jsonb := coalesce(base, jsonb_build_object('AccountSid', 'AC' || repeat('1', 32), 'CallSid', 'CA' || repeat('a', 32), 'From', '+12025550123', 'To', '+12025550100', 'CallStatus', 'ringing')) || params;
BEGIN
    RETURN (SELECT concat_ws(' ', r.status, r.content_type, regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(r.body, '<[?]xml[^>]*>', ''), 'value="[0-9a-f-]{36}"', 'value="T"'), 'token=[0-9a-f-]{36}', 'token=T', 'g'), 'https://hooks.example/base/twilio', '', 'g'),
        -- a call may last an hour, of which some is over
        'timeLimit="35[0-9]{2}"', 'timeLimit="3600"', 'g'))
              FROM mulberry.handle_twilio_request(url, pg_temp.form(sent), 'application/x-www-form-urlencoded', mulberry.twilio_signature(url, sent, token), idempotency) AS r);
END
$$;
CREATE FUNCTION pg_temp.next(path text, params jsonb, step integer DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT pg_temp.ask(format('%s?step=%s&token=%s', path, coalesce(step, i.turn), i.token), params) FROM mulberry_internal.inbound_calls i WHERE i.sid = 'CA' || repeat('a', 32)
$$;

-- who is refused: the same for all of them, and nothing is kept
SELECT what, pg_temp.ask(path, params, token)
  FROM (VALUES ('another token', 'voice', jsonb '{}', 'wrong'), ('another account', 'voice', '{"AccountSid": "AC22222222222222222222222222222222"}', '12345'), ('the token of another tenant', 'voice', '{}', '67890'),
               ('a number of nobody', 'voice', '{"To": "+12025550111"}', '12345'), ('the number of another', 'voice', '{"To": "+12025550200"}', '12345'), ('no name of a call', 'voice', '{"CallSid": "CA1"}', '12345'),
               ('no such call', 'dtmf?step=1&token=00000000-0000-0000-0000-000000000000', '{}', '12345'), ('no token', 'dtmf', '{}', '12345'), ('a path of nobody', 'dance', '{}', '12345'), ('an answer of nobody', 'ack?step=1&token=00000000-0000-0000-0000-000000000000', '{}', '12345')) AS v (what, path, params, token);
SELECT r.status, r.content_type FROM mulberry.handle_twilio_request('https://hooks.example/base/twilio/voice', 'AccountSid=AC1', 'application/x-www-form-urlencoded', NULL) AS r;
SELECT count(*) FROM mulberry_internal.inbound_calls;
\set VERBOSITY terse
SELECT mulberry.handle_twilio_request(NULL, '', '', '');
SELECT mulberry.handle_twilio_request('https://x.example/twilio/voice', NULL, '', '');
SELECT mulberry.handle_twilio_request('https://x.example/twilio/voice', convert_to(repeat('x', 65537), 'UTF8'), '', '');

-- who names the number of another before him, and even his account, keeps nobody from being called
SELECT mulberry.create_tenant('thief') IS NOT NULL;
\copy mulberry.secret_entry (tenant, name, value) FROM stdin
thief	token	guessed
\.
SELECT mulberry.set_endpoint('phone', 'twilio', purpose => 'telephony', secret => 'token', tenant => 'thief',
    options => jsonb_build_object('account_sid', 'AC' || repeat('2', 32), 'from', '+15005550006', 'public_url', 'https://hooks.example/base'));
SELECT mulberry.set_telephony('{"numbers": ["+12025550300"], "greeting": "Give me your money"}', 'thief');
SELECT mulberry.alter_telephony('{"numbers": ["+12025550200", "+12025550300"]}', 'shop');
BEGIN;
SELECT pg_temp.ask('voice', v.params || '{"To": "+12025550300"}', v.token)
  FROM (VALUES (jsonb_build_object('AccountSid', 'AC' || repeat('2', 32)), '67890'), (jsonb_build_object('AccountSid', 'AC' || repeat('2', 32)), 'wrong'), ('{}', '12345')) AS v (params, token);
SELECT t.name, i.number FROM mulberry_internal.inbound_calls i JOIN mulberry_internal.tenants t ON t.id = i.tenant;
ROLLBACK;

-- a call: greeting, consent, menu; the same again is answered the same
SELECT pg_temp.ask('voice', '{}') AS voice \gset
SELECT :'voice';
SELECT pg_temp.ask('voice', '{}') = :'voice' AS same, pg_temp.ask('voice', '{"CallStatus": "in-progress"}', idempotency => 'x') = :'voice' AS same_call;
SELECT count(*), max(turn), max(version), bool_and(recorded) FROM mulberry_internal.inbound_calls;
-- keys, in their turn
SELECT pg_temp.next('dtmf', '{"Digits": "1"}', 1) AS one \gset
SELECT :'one';
SELECT pg_temp.next('dtmf', '{"Digits": "1"}', 1) = :'one' AS same;
SELECT pg_temp.next('dtmf', '{"Digits": "2"}', 7) AS ahead;
SELECT pg_temp.ask(format('dtmf?step=2&token=%s', i.token), '{"CallSid": "CAbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}') AS another_call FROM mulberry_internal.inbound_calls i;
SELECT pg_temp.ask(format('dtmf?step=2&token=%s', i.token), '{}', 'wrong') AS forged FROM mulberry_internal.inbound_calls i;
-- cut off: what is signed is not what came
SELECT r.status AS truncated FROM (SELECT jsonb_build_object('AccountSid', 'AC' || repeat('1', 32), 'CallSid', 'CA' || repeat('a', 32), 'Digits', '2') AS p) AS q, mulberry_internal.inbound_calls i,
    mulberry.handle_twilio_request(format('https://hooks.example/base/twilio/dtmf?step=2&token=%s', i.token), substr(pg_temp.form(p), 1, 60), 'application/x-www-form-urlencoded',
        mulberry.twilio_signature(format('https://hooks.example/base/twilio/dtmf?step=2&token=%s', i.token), p, '12345')) AS r;
SELECT turn, place FROM mulberry_internal.inbound_calls;
-- new settings are for new calls; a token that is rotated is good for a while
SELECT mulberry.alter_telephony('{"greeting": "New", "transfer_number": "+12025550188"}', 'clinic');
SELECT mulberry.alter_endpoint('phone', options => options || '{"previous_secret": "token-before"}', tenant => 'clinic') FROM mulberry_internal.endpoints WHERE tenant = (SELECT id FROM mulberry_internal.tenants WHERE name = 'clinic');
SELECT pg_temp.ask(format('dtmf?step=2&token=%s', i.token), '{"Digits": "2"}', '54321') FROM mulberry_internal.inbound_calls i;
SELECT pg_temp.next('transfer', '{"DialCallStatus": "busy"}');
SELECT pg_temp.next('dtmf', '{"Digits": "2"}');
SELECT pg_temp.next('transfer', '{"DialCallStatus": "completed"}');
-- an emergency by key: one event, one row, whatever is said again
SELECT pg_temp.ask('voice', '{"CallSid": "CAbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}') ~ 'New' AS new_settings;
SELECT pg_temp.ask(format('dtmf?step=1&token=%s', i.token), '{"CallSid": "CAbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "Digits": "4"}') FROM mulberry_internal.inbound_calls i WHERE sid ~ 'bb';
SELECT pg_temp.ask(format('dtmf?step=1&token=%s', i.token), '{"CallSid": "CAbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "Digits": "4"}') ~ '12025550911' FROM mulberry_internal.inbound_calls i WHERE sid ~ 'bb';
SELECT call_id, phrase, source FROM mulberry.emergency_status;
-- the agent hears one: when it has left, the scripted answer comes, and once
SELECT pg_temp.ask('voice', '{"CallSid": "CAcccccccccccccccccccccccccccccccc", "From": "sip:x@y", "Extra": "\u20ac"}') ~ 'New' AS new_settings;
SELECT pg_temp.ask(format('dtmf?step=1&token=%s', i.token), '{"CallSid": "CAcccccccccccccccccccccccccccccccc", "Digits": "5"}') FROM mulberry_internal.inbound_calls i WHERE sid ~ 'cc';
SELECT mulberry.note_partial('CAcccccccccccccccccccccccccccccccc', 'he is', 'caller', 'clinic'), mulberry.note_partial('CAcccccccccccccccccccccccccccccccc', 'he is bleeding', 'caller', 'clinic'),
       mulberry.note_partial('CAcccccccccccccccccccccccccccccccc', 'he is bleeding badly', 'caller', 'clinic');
SELECT mulberry.note_partial('nothing', 'x', 'caller', 'clinic');
SELECT pg_temp.ask(format('transfer?step=2&token=%s', i.token), '{"CallSid": "CAcccccccccccccccccccccccccccccccc"}') FROM mulberry_internal.inbound_calls i WHERE sid ~ 'cc';
SELECT pg_temp.ask(format('transfer?step=3&token=%s', i.token), '{"CallSid": "CAcccccccccccccccccccccccccccccccc", "DialCallStatus": "no-answer"}') FROM mulberry_internal.inbound_calls i WHERE sid ~ 'cc';
-- statuses: only forward, by number, and none of a call that is not known
SELECT pg_temp.ask('status', jsonb_build_object('CallStatus', s, 'SequenceNumber', n, 'CallDuration', '42'))
  FROM (VALUES ('completed', '3'), ('in-progress', '2'), ('ringing', '4'), ('completed', '3'), ('dancing', '9')) AS v (s, n);
SELECT pg_temp.ask('status', '{"CallStatus": "completed", "CallSid": "CA00000000000000000000000000000000"}');
SELECT state, sequence, ended_at IS NOT NULL FROM mulberry_internal.inbound_calls WHERE sid ~ 'aa';
SELECT pg_temp.next('dtmf', '{"Digits": "1"}') AS after_the_end;
-- recordings and what Twilio heard in them
SELECT pg_temp.ask(format('recording?token=%s', i.token), jsonb_build_object('RecordingSid', 'RE' || repeat('1', 32), 'RecordingStatus', s, 'RecordingDuration', '7', 'RecordingChannels', '2', 'RecordingUrl', 'https://evil.example/'))
  FROM mulberry_internal.inbound_calls i, unnest(ARRAY['in-progress', 'completed', 'completed']) AS s WHERE sid ~ 'aa';
SELECT pg_temp.ask(format('transcription?token=%s', i.token), '{"TranscriptionSid": "TR1", "TranscriptionStatus": "completed", "TranscriptionText": "Please call, it is not urgent. But he is choking"}') FROM mulberry_internal.inbound_calls i WHERE sid ~ 'aa';
SELECT recordings, transcript FROM mulberry_internal.inbound_calls WHERE sid ~ 'aa';
-- what is heard of it
SELECT event, payload - 'answer' FROM mulberry_internal.events e WHERE tenant = (SELECT id FROM mulberry_internal.tenants WHERE name = 'clinic') ORDER BY e.id;
SELECT call_sid, from_number, to_number, status, settings_version, consent, recorded FROM mulberry.inbound_call_status ORDER BY call_sid;
-- JSON: the body's hash must be in the URL
SELECT r.status, r.body FROM (SELECT '{"AccountSid": "AC11111111111111111111111111111111", "CallSid": "CAdddddddddddddddddddddddddddddddd", "To": "+12025550100", "CallStatus": "completed"}'::text AS b) AS j,
    LATERAL (SELECT 'https://hooks.example/base/twilio/status?bodySHA256=' || encode(sha256(convert_to(b, 'UTF8')), 'hex') AS u) AS l,
    mulberry.handle_twilio_request(l.u, convert_to(b, 'UTF8'), 'application/json', mulberry.twilio_signature(l.u, '{}', '12345')) AS r;
-- a path alone: the endpoint's public URL is in front of it, whether its own path was kept on the way or not
SELECT p.path, r.status FROM (VALUES ('/base/twilio/status'), ('/twilio/status'), ('/other/twilio/status'), ('/twilio/twilio/status')) AS p (path),
    (SELECT jsonb_build_object('AccountSid', 'AC' || repeat('1', 32), 'CallSid', 'CA' || repeat('d', 32), 'To', '+12025550100', 'CallStatus', 'completed') AS params) AS q,
    mulberry.handle_twilio_request(p.path, pg_temp.form(q.params), 'application/x-www-form-urlencoded', mulberry.twilio_signature('https://hooks.example/base/twilio/status', q.params, '12345')) AS r;
-- something is broken here: the caller hears that nobody can take the call, and never a failure
ALTER TABLE mulberry_internal.webhook_answers ADD CONSTRAINT broken CHECK (status <> 200) NOT VALID;
SET client_min_messages = error;
SELECT pg_temp.ask('voice', '{"CallSid": "CAeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"}');
SET client_min_messages = warning;
ALTER TABLE mulberry_internal.webhook_answers DROP CONSTRAINT broken;
SELECT pg_temp.ask('voice', '{"CallSid": "CAeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"}') ~ 'New' AS answered_then;

-- what is forgotten: an erased call; after retention all of it, and versions to which no call refers
SELECT mulberry.erase_call('CA' || repeat('a', 32), 'clinic');
SELECT mulberry.erase_call('CA' || repeat('a', 32), 'clinic');
SELECT count(*) FROM mulberry_internal.emergencies WHERE call_id ~ 'aa';
SELECT mulberry.alter_tenant('clinic', retention => '1 day');
UPDATE mulberry_internal.telephony_versions SET created_at = created_at - interval '3 days';
SELECT mulberry_internal.sweep_inbound_calls(100);
SELECT (SELECT count(*) FROM mulberry_internal.inbound_calls) AS calls, (SELECT string_agg(version::text, ' ' ORDER BY version) FROM mulberry.telephony_status WHERE tenant = 'clinic') AS versions;
UPDATE mulberry_internal.inbound_calls SET created_at = created_at - interval '3 days';
UPDATE mulberry_internal.emergencies SET at = at - interval '3 days';
SELECT mulberry_internal.sweep_inbound_calls(2), mulberry_internal.sweep_inbound_calls(2);
SELECT (SELECT count(*) FROM mulberry_internal.inbound_calls) AS calls, (SELECT count(*) FROM mulberry_internal.emergencies) AS emergencies;

DELETE FROM mulberry_internal.events WHERE tenant IN (SELECT id FROM mulberry_internal.tenants WHERE name IN ('clinic', 'shop', 'thief'));
DELETE FROM mulberry_internal.webhook_answers;
SELECT mulberry.drop_endpoint('phone', t), mulberry.drop_secret('token', t) FROM unnest(ARRAY['clinic', 'shop', 'thief']) AS t;
SELECT mulberry.drop_secret('token-before', 'clinic');
SELECT count(*) FROM (SELECT mulberry.erase_audit_log(t) FROM unnest(ARRAY['clinic', 'shop', 'thief']) AS t) AS e;
SELECT mulberry.drop_tenant(t) FROM unnest(ARRAY['clinic', 'shop', 'thief']) AS t;
