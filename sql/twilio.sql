-- Telephony in SQL: endpoints of kind twilio, TwiML, signatures of webhooks, plans of calls.
-- What workers do with them is in t/09*_telephone*.pl.
SET client_min_messages = warning;
SET timezone = 'UTC';
\set default '''6d756c62-6572-7279-8000-000000000001'''

-- endpoints: what is wrong, and that nothing changes
\set VERBOSITY terse
\set good '{"account_sid": "AC0123456789abcdef0123456789abcdef", "from": "+15005550006"}'
SELECT mulberry.set_endpoint('t', 'twilio', secret => 'x', options => :'good');
SELECT mulberry.set_endpoint('t', 'twilio', purpose => 'chat', secret => 'x', options => :'good');
SELECT mulberry.set_endpoint('t', 'json', 'https://example.com', purpose => 'telephony');
SELECT mulberry.set_endpoint('t', 'twilio', purpose => 'telephony', options => :'good');
SELECT mulberry.set_endpoint('t', 'twilio', purpose => 'telephony', secret => 'x');
CREATE FUNCTION pg_temp.refusal_of(more jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM mulberry.set_endpoint('t', 'twilio', purpose => 'telephony', secret => 'x',
        options => '{"account_sid": "AC0123456789abcdef0123456789abcdef", "from": "+15005550006"}' || more);
    RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''));
END
$$;
SELECT o.options, pg_temp.refusal_of(o.options::jsonb)
  FROM (VALUES ('{"account_sid": "AC1"}'), ('{"account_sid": 1}'), ('{"from": "5005550006"}'), ('{"from": "+0123"}'), ('{"public_url": "hooks.example"}'),
               ('{"public_url": "http://hooks.example"}'), ('{"public_url": "https://127.0.0.1"}'), ('{"public_url": "https://hooks.example/?x=1"}'),
               ('{"machine_detection": "on"}'), ('{"machine_detection": true}'), ('{"call_timeout": 4}'), ('{"call_timeout": 60.5}'), ('{"call_timeout": "60"}'),
               ('{"time_limit": 1e9}'), ('{"repetitions": 6}'), ('{"poll_interval": 0}'), ('{"language": "english please"}'), ('{"voice": "a b"}'),
               ('{"announcement": ""}'), ('{"announcement": "two\nlines"}'), ('{"record": "yes"}'), ('{"record": false}'),
               ('{"api_key_sid": "SK0123456789abcdef0123456789abcdef"}'), ('{"api_key_secret": "x"}'), ('{"api_key_sid": "SK0123456789abcdef0123456789abcdef", "api_key_secret": "voice-key-x"}'), ('{"token": "x"}')) AS o (options);
SELECT count(*) FROM mulberry_internal.endpoints WHERE name = 't';
-- whole numbers, however JSON writes them
SELECT call_timeout, time_limit, repetitions FROM mulberry_internal.telephony_settings('{"call_timeout": 60.0, "time_limit": 1.2e2, "repetitions": 2.0}');

-- why no call can be placed, step by step
SELECT mulberry_internal.telephony_problem(:default);
SELECT mulberry.set_endpoint('t', 'twilio', purpose => 'telephony', secret => 'twilio-token', options => :'good');
SELECT base_url, purpose, kind FROM mulberry.endpoint_status WHERE name = 't';
SELECT mulberry_internal.telephony_problem(:default);
\copy mulberry.secret_entry (name, value) FROM stdin
twilio-token	12345
\.
SELECT mulberry_internal.telephony_problem(:default);
SELECT mulberry.set_endpoint('t', 'twilio', purpose => 'telephony', secret => 'twilio-token', enabled => false,
    options => :'good'::jsonb || '{"public_url": "https://MyCompany.com/base/", "api_key_sid": "SK0123456789abcdef0123456789abcdef", "api_key_secret": "key"}');
SELECT options->>'public_url' FROM mulberry.endpoint_status WHERE name = 't';
SELECT mulberry_internal.telephony_problem(:default);
UPDATE mulberry_internal.endpoints SET enabled = true WHERE name = 't';
SELECT mulberry_internal.telephony_problem(:default);

-- TwiML
SELECT mulberry.twiml('[{"verb": "say", "text": "1 < 2 & \"so\" on", "voice": "alice", "language": "en-US"}, {"verb": "play", "digits": "w*07#"},
    {"verb": "gather", "action": "https://h.example/a?b=1&c=2", "timeout": 8, "finish_on_key": "#", "verbs": [{"verb": "say", "text": "now"}]},
    {"verb": "gather", "num_digits": 8, "finish_on_key": ""}, {"verb": "pause", "length": 2}, {"verb": "redirect", "url": "/x"}, {"verb": "hangup"}]');
SELECT mulberry.twiml('[]');
SELECT mulberry.twiml('{}');
SELECT mulberry.twiml('[1]');
SELECT mulberry.twiml('[{"verb": "dance"}]');
SELECT mulberry.twiml('[{"text": "no verb"}]');
SELECT mulberry.twiml('[{"verb": "say", "txt": "x"}]');
SELECT mulberry.twiml('[{"verb": "say", "text": 1}]');
SELECT mulberry.twiml('[{"verb": "pause", "length": "1"}]');
SELECT mulberry.twiml('[{"verb": "pause", "length": 0.4}]');
SELECT mulberry.twiml('[{"verb": "play", "digits": "12E"}]');
SELECT mulberry.twiml('[{"verb": "play"}]');
SELECT mulberry.twiml('[{"verb": "say"}]');
SELECT mulberry.twiml('[{"verb": "gather", "verbs": {"verb": "say", "text": "x"}}]');
SELECT mulberry.twiml('[{"verb": "gather", "verbs": [{"verb": "hangup"}]}]');
SELECT mulberry.twiml(jsonb_build_array(jsonb_build_object('verb', 'say', 'text', repeat('x', 4000))));

-- signatures: the vectors of Twilio's own libraries (token 12345)
\set p '{"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234", "From": "+14158675309", "To": "+18005551212"}'
SELECT mulberry_internal.check_twilio_signature(:default, 'twilio-token', url, params::jsonb, signature)
  FROM (VALUES ('https://mycompany.com/myapp.php?foo=1&bar=2', :'p', 'RSOYDt4T1cUTdK1PDd93/VVr8B8='),
               ('https://mycompany.com/myapp.php?foo=1&bar=2', :'p', 'kvajT1Ptam85bY51eRf/AJRuM3w='),
               ('https://mycompany.com/myapp.php?foo=1&bar=2', '{"MessagingBinding.Address": ["+1325xxxxxxx", "+1415xxxxxxx"]}', '83O6e2vORAoJHUNzJjDWN1jz+BA='),
               ('https://mycompany.com/myapp.php?foo=1&bar=2', '{"Sid": "CA123", "SidAccount": "AC123", "Digits": ["5678", "1234", "1234"]}', 'IK+Dwps556ElfBT0I3Rgjkr1wJU='),
               ('https://mycompany.com/myapp.php?foo=1&bar=2', '{}', 'zYQTYrRWXE7LtzbG4PfP7/bkkGo='),
               -- a digit more, another order of the query, no signature
               ('https://mycompany.com/myapp.php?foo=1&bar=2', replace(:'p', '1234"', '12345"'), 'RSOYDt4T1cUTdK1PDd93/VVr8B8='),
               ('https://mycompany.com/myapp.php?bar=2&foo=1', :'p', 'RSOYDt4T1cUTdK1PDd93/VVr8B8='),
               ('https://mycompany.com/myapp.php?foo=1&bar=2', :'p', ''),
               ('https://mycompany.com/myapp.php?foo=1&bar=2', :'p', NULL)) AS v (url, params, signature);
-- no such secret; and the token that stands in for it is none
SELECT mulberry_internal.check_twilio_signature(:default, 'nobody', 'https://mycompany.com/myapp.php?foo=1&bar=2', :'p', 'RSOYDt4T1cUTdK1PDd93/VVr8B8=');
SELECT mulberry_internal.check_twilio_signature(NULL, NULL, 'https://mycompany.com/', '{}', 'RSOYDt4T1cUTdK1PDd93/VVr8B8=');
SELECT mulberry_internal.check_twilio_signature(:default, 'twilio-token', 'https://mycompany.com/', '[]', 'x');
SELECT mulberry_internal.check_twilio_signature(:default, 'twilio-token', 'https://mycompany.com/', '{"a": {"b": "c"}}', 'x');
SELECT mulberry_internal.check_twilio_signature(:default, 'twilio-token', 'https://mycompany.com/', '{"a": 1}', 'x');
SELECT mulberry_internal.check_twilio_signature(:default, 'twilio-token', 'https://mycompany.com/', jsonb_object_agg('p' || n, ''), 'x') FROM generate_series(1, 513) n;

-- webhooks without a call
SELECT * FROM mulberry.handle_twilio_webhook(NULL, '{}', 'x');
SELECT * FROM mulberry.handle_twilio_webhook('https://mycompany.com/base/twilio/ack?token=00000000-0000-0000-0000-000000000000&step=1', '{}', 'x');
SELECT * FROM mulberry.handle_twilio_webhook('https://mycompany.com/base/twilio/status?token=00000000-0000-0000-0000-000000000000', '{}', 'x');
SELECT * FROM mulberry.handle_twilio_webhook('https://mycompany.com/base/twilio/other?token=x', '{}', 'x');
SELECT * FROM mulberry.handle_twilio_webhook('', '{}', NULL);

-- what confirms when it is said
SELECT command, said, mulberry_internal.confirms(command, said)
  FROM (VALUES ('REVOKE', 'Mandate one two three revoked.'), ('REVOKE', 'it was NOT revoked'), ('REVOKE', 'Mandate revocation'), ('REVOKE', 'suspended'),
               ('SUSPEND', 'it is suspended'), ('RESUME', 'active again'), ('RESUME', 'resumed'), ('EXTEND', 'extended'), ('QUERY', 'it is active'),
               ('PING', 'ready'), ('PING', 'reading'), ('REVOKE', ''), ('REVOKE', NULL)) AS v (command, said);

-- contacts
SELECT mulberry.set_escalation_contact('12345');
SELECT mulberry.set_escalation_contact(NULL, 'nobody');
SELECT mulberry.set_escalation_contact('+491701234567');
SELECT mulberry.set_endpoint('alarm', 'json', 'https://alarm.example', NULL);
SELECT mulberry.set_escalation_contact('+491701234567', 'alarm');
SELECT tenant, phone, endpoint FROM mulberry.escalation_contact_status;

-- a command that is given up at once is told to both of them
SELECT mulberry.create_agent('twilio-agent', '+15551234567') IS NOT NULL AS agent;
INSERT INTO mulberry_internal.commands (tenant, agent, command, state, attempts) SELECT tenant, id, 'PING', 'escalated', 3 FROM mulberry_internal.agents WHERE name = 'twilio-agent'
RETURNING id AS command \gset
\copy mulberry.secret_entry (name, value) FROM stdin
key	s
\.
SELECT mulberry_internal.place_escalation(:command);
SELECT kind, endpoint, payload ? 'voice_call' AS call, max_attempts FROM mulberry_internal.job_queue WHERE kind IN ('call', 'escalate') ORDER BY kind;
SELECT mulberry_internal.place_escalation(:command);
SELECT purpose, attempt, to_number, from_number, state FROM mulberry_internal.voice_calls WHERE command = :command;
SELECT mulberry_internal.escalation_report(:command) - 'created_at' - 'command_id';
-- a query in alphabetical order stays the same when it is sorted on its way
SELECT mulberry_internal.gather_verb('https://h.example', '5085bb43-a09a-4100-b65e-6fa7516d57ae', 1, 'challenge')->>'action' AS sorted;
SELECT regexp_replace(mulberry_internal.voice_document(v.id, e.options), 'token=[0-9a-f-]+', 'token=...', 'g')
  FROM mulberry_internal.voice_calls v, mulberry_internal.endpoints e WHERE v.command = :command AND e.name = 't';
-- webhooks without an idempotency token, which some send empty: each is another one
CREATE FUNCTION pg_temp.status_callback(state text, number integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    url    CONSTANT text := (SELECT format('https://mycompany.com/base/twilio/status?token=%s', token) FROM mulberry_internal.voice_calls
                              WHERE purpose = 'escalation');
    params CONSTANT jsonb := jsonb_build_object('AccountSid', 'AC0123456789abcdef0123456789abcdef', 'CallSid', 'CA' || repeat('0', 32),
                                                'CallStatus', state, 'SequenceNumber', number::text);
    signed text;
BEGIN
    SELECT url || string_agg(p.key || p.value, '' ORDER BY p.key COLLATE "C") INTO signed FROM jsonb_each_text(params) AS p;
    RETURN (SELECT w.status FROM mulberry.handle_twilio_webhook(url, params, encode(hmac(signed, '12345', 'sha1'), 'base64'), '') AS w);
END
$$;
UPDATE mulberry_internal.voice_calls SET state = 'requested', sid = 'CA' || repeat('0', 32), requested_at = now() WHERE command = :command;
SELECT pg_temp.status_callback('ringing', 1), pg_temp.status_callback('in-progress', 2);
SELECT state, sequence FROM mulberry_internal.voice_calls WHERE command = :command;
SELECT count(*) FROM mulberry_internal.webhook_answers WHERE key LIKE 'token%';
ALTER TABLE mulberry_internal.voice_calls DISABLE TRIGGER guard_state;     -- back to the beginning
UPDATE mulberry_internal.voice_calls SET state = 'planned', sid = NULL WHERE command = :command;
ALTER TABLE mulberry_internal.voice_calls ENABLE TRIGGER guard_state;
DELETE FROM mulberry_internal.webhook_answers;
-- a job of that kind is not tried again by hand
SELECT mulberry.cancel_job(job) FROM mulberry_internal.voice_calls WHERE command = :command;
SELECT outcome, detail = 'cancelled by ' || current_user AS by_whom FROM mulberry_internal.voice_calls WHERE command = :command;
\set VERBOSITY sqlstate
SELECT mulberry.retry_job(job) FROM mulberry_internal.voice_calls WHERE command = :command;

-- it is as if nothing had been
SELECT mulberry.set_escalation_contact();
SELECT count(*) FROM mulberry.escalation_contact_status;
DELETE FROM mulberry_internal.job_queue WHERE kind IN ('call', 'escalate');
DELETE FROM mulberry_internal.job_history WHERE kind IN ('call', 'escalate');
DELETE FROM mulberry_internal.voice_calls WHERE command = :command;
DELETE FROM mulberry_internal.commands WHERE id = :command;
DELETE FROM mulberry_internal.agents WHERE name = 'twilio-agent';
SELECT mulberry.drop_endpoint('t');
SELECT mulberry.drop_endpoint('alarm');
SELECT mulberry.drop_secret('twilio-token');
SELECT mulberry.drop_secret('key');
