-- What webhooks may not do: what is forged, cut off, changed on its way, or comes again or out of its turn changes nothing at all, in no
-- table.  And what the time does: a token that is rotated, a call that lasts too long.
SET client_min_messages = warning;
SET timezone = 'UTC';
\pset tuples_only on
\pset format unaligned
SELECT mulberry.create_tenant('clinic') IS NOT NULL;
\copy mulberry.secret_entry (tenant, name, value) FROM stdin
clinic	token	12345
clinic	token-before	54321
\.
SELECT mulberry.set_endpoint('phone', 'twilio', purpose => 'telephony', secret => 'token', tenant => 'clinic',
    options => jsonb_build_object('account_sid', 'AC' || repeat('1', 32), 'from', '+15005550006', 'public_url', 'https://hooks.example'));
SELECT mulberry.set_telephony('{"numbers": ["+12025550100"], "greeting": "Welcome", "recording": "always", "consent": "This call is recorded.", "max_duration": 600, "sentences": {"time_over": "Time is over."}, "transfer_number": "+12025550199", "menus": {"main": {"text": "Menu", "keys": {"1": {"action": "say", "text": "One"}, "2": {"action": "transfer"}, "3": {"action": "record", "seconds": 300}}}}}', 'clinic');
SELECT mulberry.create_agent('webhook-pi', '+821012345671', tenant => 'clinic') IS NOT NULL;
-- a call that was placed, about a command that was given up
INSERT INTO mulberry_internal.commands (tenant, agent, command, state, escalated_at) SELECT tenant, id, 'PING', 'escalated', now() FROM mulberry_internal.agents WHERE name = 'webhook-pi';
INSERT INTO mulberry_internal.voice_calls (tenant, command, purpose, attempt, to_number, from_number, state, sid, requested_at)
    SELECT c.tenant, c.id, 'escalation', 1, '+12025550177', '+15005550006', 'queued', 'CA' || repeat('9c', 16), now() FROM mulberry_internal.commands c JOIN mulberry_internal.agents a ON a.id = c.agent WHERE a.name = 'webhook-pi';

-- A request as Twilio makes it, signed with a token: its URL, form and signature; and what is answered.
CREATE FUNCTION pg_temp.form(params jsonb) RETURNS bytea LANGUAGE sql AS $$
    SELECT convert_to(string_agg(p.key || '=' || replace(replace(p.value, '+', '%2B'), '#', '%23'), '&' ORDER BY p.key), 'UTF8') FROM jsonb_each_text(params) AS p
$$;
CREATE FUNCTION pg_temp.url(path text) RETURNS text LANGUAGE sql AS $$
    SELECT 'https://hooks.example/twilio/' || replace(replace(path, 'INBOUND', coalesce((SELECT token::text FROM mulberry_internal.inbound_calls WHERE sid ~ '^CA9a9a'), '-')),
        'PLACED', (SELECT token::text FROM mulberry_internal.voice_calls WHERE sid ~ '^CA9c9c'))
$$;
CREATE FUNCTION pg_temp.sent(params jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('AccountSid', 'AC' || repeat('1', 32), 'CallSid', 'CA' || repeat('9a', 16), 'From', '+12025550123', 'To', '+12025550100', 'CallStatus', 'in-progress') || params
$$;
CREATE FUNCTION pg_temp.ask(path text, params jsonb, token text DEFAULT '12345', idempotency text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT r.status || ' ' || regexp_replace(regexp_replace(r.body, '^<[?].*[?]>', ''), 'token=[0-9a-f-]+', 'token=T', 'g')
      FROM mulberry.handle_twilio_request(pg_temp.url(path), pg_temp.form(pg_temp.sent(params)), 'application/x-www-form-urlencoded',
               mulberry.twilio_signature(pg_temp.url(path), pg_temp.sent(params), token), idempotency) AS r
$$;
-- What has been written since a point in a transaction, whether it was undone or not.
CREATE TEMP TABLE before AS SELECT relid, relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_xact_all_tables WHERE schemaname IN ('mulberry', 'mulberry_internal') LIMIT 0;
CREATE VIEW pg_temp.written_since AS
    SELECT x.relname, x.n_tup_ins - b.n_tup_ins AS inserted, x.n_tup_upd - b.n_tup_upd AS updated, x.n_tup_del - b.n_tup_del AS deleted
      FROM pg_stat_xact_all_tables x JOIN before b USING (relid)
     WHERE (x.n_tup_ins, x.n_tup_upd, x.n_tup_del) <> (b.n_tup_ins, b.n_tup_upd, b.n_tup_del);

-- a call that comes in, two steps far, and one that was placed
SELECT pg_temp.ask('voice', '{"CallStatus": "ringing"}', idempotency => 'first');
SELECT pg_temp.ask('dtmf?step=1&token=INBOUND', '{"Digits": "1"}', idempotency => 'second');
SELECT pg_temp.ask('status?token=PLACED', '{"CallSid": "CA9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c", "CallStatus": "in-progress", "SequenceNumber": "2"}');
SELECT state, sequence FROM mulberry_internal.voice_calls WHERE sid ~ '^CA9c9c';

-- every path, in every way in which it may be wrong: what is answered, and that nothing is another than before
CREATE TEMP TABLE wrong (way text, path text, status integer);
BEGIN;
INSERT INTO before SELECT relid, relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_xact_all_tables WHERE schemaname IN ('mulberry', 'mulberry_internal');
WITH requests (path, params) AS (
    VALUES ('voice', jsonb '{"CallSid": "CA9d9d9d9d9d9d9d9d9d9d9d9d9d9d9d9d"}'), ('dtmf?step=2&token=INBOUND', '{"Digits": "2"}'), ('transfer?step=2&token=INBOUND', '{"DialCallStatus": "busy"}'),
           ('status?token=INBOUND', '{"CallStatus": "completed", "SequenceNumber": "7"}'), ('status', '{"CallStatus": "completed", "SequenceNumber": "7"}'),
           ('recording?token=INBOUND', '{"RecordingSid": "RE11111111111111111111111111111111", "RecordingStatus": "completed"}'),
           ('transcription?token=INBOUND', '{"TranscriptionSid": "TR1", "TranscriptionStatus": "completed", "TranscriptionText": "he is bleeding"}'),
           ('ack?step=1&token=PLACED', '{"CallSid": "CA9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c", "Digits": "5"}'),
           ('status?token=PLACED', '{"CallSid": "CA9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c", "CallStatus": "completed", "SequenceNumber": "7"}'),
           ('recording?token=PLACED', '{"CallSid": "CA9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c", "RecordingSid": "RE11111111111111111111111111111111", "RecordingStatus": "completed"}')),
signed AS (
    SELECT path, pg_temp.url(path) AS url, pg_temp.form(pg_temp.sent(params)) AS body, mulberry.twilio_signature(pg_temp.url(path), pg_temp.sent(params), '12345') AS signature, pg_temp.sent(params) AS params
      FROM requests),
ways AS (
    SELECT 'no signature' AS way, path, url, body, 'application/x-www-form-urlencoded' AS type, NULL::text AS signature FROM signed
    UNION ALL SELECT 'forged', path, url, body, 'application/x-www-form-urlencoded', mulberry.twilio_signature(url, params, 'guessed') FROM signed
    UNION ALL SELECT 'the token before', path, url, body, 'application/x-www-form-urlencoded', mulberry.twilio_signature(url, params, '54321') FROM signed
    UNION ALL SELECT 'the signature of another', path, url, body, 'application/x-www-form-urlencoded', lag(signature, 1, 'x') OVER (ORDER BY path) FROM signed
    UNION ALL SELECT 'truncated', path, url, substr(body, 1, length(body) - 1), 'application/x-www-form-urlencoded', signature FROM signed
    UNION ALL SELECT 'nothing left', path, url, '', 'application/x-www-form-urlencoded', signature FROM signed
    UNION ALL SELECT 'a field more', path, url, body || '&Extra=1', 'application/x-www-form-urlencoded', signature FROM signed
    UNION ALL SELECT 'another caller', path, url, convert_to(replace(convert_from(body, 'UTF8'), '0123', '0124'), 'UTF8'), 'application/x-www-form-urlencoded', signature FROM signed
    UNION ALL SELECT 'another path', path, replace(url, '/twilio/', '/x/twilio/'), body, 'application/x-www-form-urlencoded', signature FROM signed
    UNION ALL SELECT 'another query', path, url || CASE WHEN url ~ '[?]' THEN '&' ELSE '?' END || 'x=1', body, 'application/x-www-form-urlencoded', signature FROM signed
    UNION ALL SELECT 'as JSON', path, url, convert_to(params::text, 'UTF8'), 'application/json', mulberry.twilio_signature(url, '{}', '12345') FROM signed
    UNION ALL SELECT 'of another account', path, url, pg_temp.form(params || '{"AccountSid": "AC22222222222222222222222222222222"}'), 'application/x-www-form-urlencoded',
        mulberry.twilio_signature(url, params || '{"AccountSid": "AC22222222222222222222222222222222"}', '12345') FROM signed
    UNION ALL SELECT 'of no call', path, url, pg_temp.form(params - 'CallSid'), 'application/x-www-form-urlencoded', mulberry.twilio_signature(url, params - 'CallSid', '12345') FROM signed)
INSERT INTO wrong SELECT w.way, w.path, r.status FROM ways w CROSS JOIN LATERAL mulberry.handle_twilio_request(w.url, w.body, w.type, w.signature, w.way) AS r;
SELECT way, count(*), string_agg(DISTINCT status::text, ' ') FROM wrong GROUP BY way ORDER BY way COLLATE "C";
SELECT * FROM pg_temp.written_since;
TRUNCATE before;
COMMIT;
-- genuine, but again, or out of its turn
BEGIN;
INSERT INTO before SELECT relid, relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_xact_all_tables WHERE schemaname IN ('mulberry', 'mulberry_internal');
SELECT pg_temp.ask('voice', '{"CallStatus": "ringing"}', idempotency => 'first') ~ 'Welcome' AS voice, pg_temp.ask('voice', '{}') ~ 'Welcome' AS voice_without, pg_temp.ask('dtmf?step=1&token=INBOUND', '{"Digits": "1"}', idempotency => 'second') ~ 'One' AS dtmf,
       pg_temp.ask('dtmf?step=1&token=INBOUND', '{"Digits": "2"}') ~ 'One' AS another_key, pg_temp.ask('status?token=PLACED', '{"CallSid": "CA9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c", "CallStatus": "in-progress", "SequenceNumber": "2"}') AS status;
SELECT pg_temp.ask('dtmf?step=3&token=INBOUND', '{"Digits": "2"}') AS ahead, pg_temp.ask('dtmf?step=0&token=INBOUND', '{"Digits": "2"}') AS before, pg_temp.ask('transfer?step=9&token=INBOUND', '{}') AS nowhere,
       pg_temp.ask('dtmf?step=2&token=PLACED', '{"CallSid": "CA9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c"}') AS of_another_kind, pg_temp.ask('ack?step=1&token=INBOUND', '{"Digits": "1"}') AS of_none,
       pg_temp.ask('dtmf?step=2&token=INBOUND', '{"CallSid": "CA9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c"}') AS of_another;
SELECT * FROM pg_temp.written_since;
-- an older status, which was not answered yet: its answer is kept, and nothing else
SELECT pg_temp.ask('status?token=PLACED', '{"CallSid": "CA9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c", "CallStatus": "ringing", "SequenceNumber": "1"}') AS older;
SELECT * FROM pg_temp.written_since;
TRUNCATE before;
COMMIT;
SELECT state, sequence FROM mulberry_internal.voice_calls WHERE sid ~ '^CA9c9c';

-- by GET: all of it is in the URL, which is signed
CREATE FUNCTION pg_temp.get(path text, params jsonb, token text DEFAULT '12345') RETURNS text LANGUAGE sql AS $$
    SELECT r.status || ' ' || regexp_replace(regexp_replace(r.body, '^<[?].*[?]>', ''), 'token=[0-9a-f-]+', 'token=T', 'g')
      FROM (SELECT pg_temp.url(path) || CASE WHEN path ~ '[?]' THEN '&' ELSE '?' END || convert_from(pg_temp.form(pg_temp.sent(params)), 'UTF8') AS url) AS u,
           mulberry.handle_twilio_request(u.url, '', NULL, mulberry.twilio_signature(u.url, '{}', token)) AS r
$$;
SELECT pg_temp.get('dtmf?step=2&token=INBOUND', '{"Digits": "1"}', 'guessed');
SELECT pg_temp.get('dtmf?step=2&token=INBOUND', '{"Digits": "1"}');
SELECT pg_temp.get('dtmf?step=2&token=INBOUND', '{"Digits": "1"}') ~ 'One' AS again;
SELECT pg_temp.get('status?token=PLACED', '{"CallSid": "CA9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c9c", "CallStatus": "in-progress", "SequenceNumber": "3"}');
SELECT state, sequence FROM mulberry_internal.voice_calls WHERE sid ~ '^CA9c9c';

-- a token that is rotated: both are good, then the new one alone; for calls that came in and that were placed, and for parameters that were decoded
CREATE FUNCTION pg_temp.rotation(step integer, token text) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', split_part(pg_temp.ask('status?token=INBOUND', jsonb_build_object('CallStatus', 'in-progress', 'SequenceNumber', step::text), token), ' ', 1),
        split_part(pg_temp.ask('status?token=PLACED', jsonb_build_object('CallSid', 'CA' || repeat('9c', 16), 'CallStatus', 'in-progress', 'SequenceNumber', step::text), token), ' ', 1),
        (SELECT w.status FROM (SELECT pg_temp.url('status?token=PLACED') AS url, pg_temp.sent(jsonb_build_object('CallSid', 'CA' || repeat('9c', 16), 'CallStatus', 'in-progress', 'SequenceNumber', (step + 1)::text)) AS params) AS p,
             mulberry.handle_twilio_webhook(p.url, p.params, mulberry.twilio_signature(p.url, p.params, token)) AS w))
$$;
SELECT 'not rotated', pg_temp.rotation(10, '12345'), pg_temp.rotation(12, '54321');
SELECT mulberry.alter_endpoint('phone', options => '{"previous_secret": "token-before"}', tenant => 'clinic');
SELECT 'both', pg_temp.rotation(20, '12345'), pg_temp.rotation(22, '54321'), pg_temp.rotation(24, 'neither');
SELECT mulberry.alter_endpoint('phone', secret => 'token-before', options => '{"previous_secret": "token"}', tenant => 'clinic');
SELECT 'the other way round', pg_temp.rotation(30, '12345'), pg_temp.rotation(32, '54321'), pg_temp.rotation(34, 'neither');
SELECT mulberry.alter_endpoint('phone', options => '{"previous_secret": null}', tenant => 'clinic');
SELECT 'over', pg_temp.rotation(40, '12345'), pg_temp.rotation(42, '54321');
-- a name without a secret is nobody's
SELECT mulberry.alter_endpoint('phone', options => '{"previous_secret": "nothing"}', tenant => 'clinic');
SELECT 'of nobody', pg_temp.rotation(50, '12345'), pg_temp.rotation(52, '54321'), pg_temp.rotation(54, ''), pg_temp.rotation(56, 'no such account, and no such token');
SELECT mulberry.alter_endpoint('phone', secret => 'token', options => '{"previous_secret": null}', tenant => 'clinic');

-- a call that lasts: who is put through, or leaves a message, gets what is left of its time; then it is over, with its next step
UPDATE mulberry_internal.inbound_calls SET created_at = clock_timestamp() - interval '570 seconds' WHERE sid ~ '^CA9a9a';
SELECT substring(pg_temp.ask('dtmf?step=3&token=INBOUND', '{"Digits": "2"}') FROM 'timeLimit="(\d+)"')::integer BETWEEN 1 AND 30 AS put_through;
SELECT pg_temp.ask('transfer?step=4&token=INBOUND', '{"DialCallStatus": "busy"}') ~ 'Menu' AS menu;
SELECT substring(pg_temp.ask('dtmf?step=5&token=INBOUND', '{"Digits": "3"}') FROM 'maxLength="(\d+)"')::integer BETWEEN 1 AND 30 AS a_message;
UPDATE mulberry_internal.inbound_calls SET created_at = clock_timestamp() - interval '600 seconds', place = '{"node": "menu", "menu": "main", "misses": 0}' WHERE sid ~ '^CA9a9a';
SELECT pg_temp.ask('dtmf?step=6&token=INBOUND', '{"Digits": "1"}');
SELECT place FROM mulberry_internal.inbound_calls WHERE sid ~ '^CA9a9a';
SELECT pg_temp.ask('dtmf?step=7&token=INBOUND', '{"Digits": "1"}') AS still_over;

SELECT mulberry.erase_call('CA' || repeat('9a', 16), 'clinic');
DELETE FROM mulberry_internal.webhook_answers WHERE voice_call = (SELECT id FROM mulberry_internal.voice_calls WHERE sid ~ '^CA9c9c');
DELETE FROM mulberry_internal.voice_calls WHERE sid ~ '^CA9c9c';
DELETE FROM mulberry_internal.commands WHERE agent IN (SELECT id FROM mulberry_internal.agents WHERE name = 'webhook-pi');
SELECT mulberry.drop_agent('webhook-pi', 'clinic');
DELETE FROM mulberry_internal.events WHERE tenant IN (SELECT id FROM mulberry_internal.tenants WHERE name = 'clinic');
SELECT mulberry.drop_endpoint('phone', 'clinic');
SELECT mulberry.drop_secret(s, 'clinic') FROM unnest(ARRAY['token', 'token-before']) AS s;
SELECT count(*) > 0 FROM (SELECT mulberry.erase_audit_log('clinic')) AS e;
SELECT mulberry.drop_tenant('clinic');
