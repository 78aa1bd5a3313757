-- Streams of calls that come in: who opens one, what is said first, what keys do, what is kept; prompts; calls that a telephone system offers.
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
SELECT mulberry.create_tenant(t) IS NOT NULL FROM unnest(ARRAY['streams', 'streams2']) AS t;
SELECT mulberry.set_endpoint('phone', 'twilio', purpose => 'telephony', secret => 'token', tenant => t,
    options => jsonb_build_object('account_sid', 'AC' || repeat(n, 32), 'from', '+15005550006', 'public_url', 'https://hooks.example/base')) IS NOT NULL
  FROM (VALUES ('streams', '1'), ('streams2', '2')) AS v (t, n);
COPY mulberry.secret_entry FROM stdin;
streams	token	12345
streams2	token	67890
\.
SELECT mulberry.set_telephony('{"numbers": ["+12025550300"], "greeting": "Welcome", "consent": "1 for yes, 2 for no", "consent_required": true, "recording": "consent", "answer_with": "agent",
    "menus": {"main": {"text": "Menu", "keys": {"3": {"action": "say", "text": "Nothing more"}, "4": {"action": "transfer", "number": "+12025550399"}}}}}', 'streams');
SELECT mulberry.set_telephony('{"numbers": ["+12025550400"], "greeting": "Hello", "recording": "always", "answer_with": "agent"}', 'streams2');

-- sentences that sound; a WAV file of any rate
SELECT mulberry.set_prompt('How can I help you?', mulberry.wav_encode('\x1111', 'mulaw', 8000), 'streams'), mulberry.set_prompt('Welcome', mulberry.wav_encode('\x2222', 'mulaw', 8000), 'streams'),
       mulberry.set_prompt('Nothing more', mulberry.wav_encode(decode(repeat('0000', 160), 'hex'), 's16le', 16000), 'streams');
SELECT mulberry.set_prompt('Welcome', mulberry.wav_encode('\x2222', 'mulaw', 8000), 'streams') AS again, mulberry.set_prompt('Welcome', mulberry.wav_encode('\x3333', 'mulaw', 8000), 'streams') AS other,
       mulberry.set_prompt('nothing', NULL, 'streams') AS gone;
SELECT text, seconds FROM mulberry.prompt_status ORDER BY text COLLATE "C";
\set VERBOSITY terse
\set ON_ERROR_STOP 0
SELECT mulberry.set_prompt('Welcome', 'no file', 'streams');
SELECT mulberry.set_prompt('', 'x', 'streams');
SELECT mulberry.set_prompt('Welcome', mulberry.wav_encode(decode(repeat('ff', 8000 * 121), 'hex'), 'mulaw', 8000), 'streams');

-- a call of Twilio's: a row as a webhook leaves it
\set account 'AC11111111111111111111111111111111'
\set other 'AC22222222222222222222222222222222'
INSERT INTO mulberry_internal.inbound_calls (tenant, sid, token, number, version, place, turn, consent)
SELECT t.id, 'CA' || repeat(n, 32), ('00000000-0000-4000-8000-00000000000' || n)::uuid, '+12025550300', 1, '{"node": "agent"}', 2, consent
  FROM mulberry_internal.tenants t, (VALUES ('streams', 'a', true), ('streams2', 'b', NULL::boolean)) AS v (name, n, consent) WHERE t.name = v.name;
SELECT mulberry.twilio_signature('wss://hooks.example/base/twilio/ws', '{}', '12345') AS ours, mulberry.twilio_signature('wss://hooks.example:443/base/twilio/ws', '{}', '12345') AS with_port,
       mulberry.twilio_signature('wss://hooks.example/base/twilio/ws', '{}', '67890') AS theirs \gset
SELECT l.what, mulberry.check_media_handshake(l.url, l.signature)
  FROM (VALUES (1, 'path', '/twilio/ws', :'ours'), (2, 'url', 'https://hooks.example/base/twilio/ws', :'ours'), (3, 'port', '/twilio/ws', :'with_port'), (4, 'another tenant', '/twilio/ws', :'theirs'),
               (5, 'another path', '/twilio/wss', :'ours'), (6, 'none', '/twilio/ws', NULL), (7, 'no url', NULL, :'ours')) AS l (n, what, url, signature) ORDER BY n;
SELECT l.what, (mulberry.begin_media('twilio', l.token, '/twilio/ws', l.signature, jsonb_build_object('AccountSid', l.account, 'CallSid', 'CA' || repeat(l.call, 32)))).refusal
  FROM (VALUES (1, 'none', NULL, :'ours', :'account', 'a'), (2, 'no uuid', 'x', :'ours', :'account', 'a'), (3, 'another call', '00000000-0000-4000-8000-00000000000a', :'ours', :'account', 'b'),
               (4, 'another account', '00000000-0000-4000-8000-00000000000a', :'ours', :'other', 'a'), (5, 'signed by another', '00000000-0000-4000-8000-00000000000a', :'theirs', :'other', 'a'),
               (6, 'theirs by us', '00000000-0000-4000-8000-00000000000b', :'ours', :'other', 'b')) AS l (n, what, token, signature, account, call) ORDER BY n;
SELECT refusal, tenant, call_id, recorded, seconds BETWEEN 3500 AND 3600 AS seconds, opening, unsaid, session IS NOT NULL AS session
  FROM mulberry.begin_media('twilio', '00000000-0000-4000-8000-00000000000a', '/twilio/ws', :'ours', jsonb_build_object('AccountSid', :'account', 'CallSid', 'CA' || repeat('a', 32)));
SELECT refusal FROM mulberry.begin_media('twilio', '00000000-0000-4000-8000-00000000000a', '/twilio/ws', :'ours', jsonb_build_object('AccountSid', :'account', 'CallSid', 'CA' || repeat('a', 32)));
SELECT refusal FROM mulberry.begin_media('audiosocket', '00000000-0000-4000-8000-00000000000a');
SELECT max(id) AS session FROM mulberry_internal.media_sessions \gset
SELECT k, p.recorded, p.leave, length(p.says) AS says, p.unsaid FROM unnest(ARRAY['1', '3', '9', '4', '4']) WITH ORDINALITY AS u (k, n), mulberry.press_media_key(:session, k) AS p ORDER BY n;
SELECT place FROM mulberry_internal.inbound_calls WHERE sid = 'CA' || repeat('a', 32);
SELECT mulberry.press_media_key(:session, 'x');
SELECT mulberry.press_media_key(-1, '1');
SELECT mulberry.ingest_packet('CA' || repeat('a', 32), 0, '\x1234', encoding => 'mulaw', track => 'caller', tenant => 'streams') IS NOT NULL;
SELECT mulberry.end_media(:session, 'it was over', '{"caller": 1, "agent": 0}', '{"heard_ms": 1}'), mulberry.end_media(:session, 'again');
SELECT call_sid, peer, reason, figures FROM mulberry.media_session_status;
SELECT call_id, state FROM mulberry.call_status WHERE tenant = 'streams';
-- it goes on where the key leads, and comes back: the second stream is a call of its own
SELECT n.verbs->0->>'verb', n.next_place FROM mulberry_internal.inbound_calls i, mulberry_internal.telephony_versions v,
       mulberry_internal.ivr_next(v.settings, '{"base": "https://x", "token": "t", "turn": 3, "seconds": 100, "open": true}', i.place, '{}') AS n
 WHERE i.sid = 'CA' || repeat('a', 32) AND v.tenant = i.tenant AND v.version = i.version;
UPDATE mulberry_internal.inbound_calls SET turn = 5, place = '{"node": "agent"}' WHERE sid = 'CA' || repeat('a', 32);
SELECT refusal, call_id FROM mulberry.begin_media('twilio', '00000000-0000-4000-8000-00000000000a', '/twilio/ws', :'ours', jsonb_build_object('AccountSid', :'account', 'CallSid', 'CA' || repeat('a', 32)));
-- what is erased is erased with it
SELECT mulberry.erase_call('CA' || repeat('a', 32), 'streams');
SELECT count(*) FROM mulberry_internal.media_sessions m JOIN mulberry_internal.inbound_calls i ON i.id = m.inbound JOIN mulberry_internal.tenants t ON t.id = i.tenant WHERE t.name = 'streams';
SELECT count(*) FROM mulberry.call_status WHERE tenant = 'streams';

-- calls that a telephone system brings
SELECT mulberry.offer_media('pbx-1', '+12025550323', '+12025550300', 'streams') AS offered \gset
SELECT mulberry.offer_media('pbx-1', tenant => 'streams');
SELECT mulberry.offer_media('CA' || repeat('c', 32), tenant => 'streams');
SELECT mulberry.offer_media(tenant => 'default');
SELECT refusal, call_id, recorded, opening, unsaid FROM mulberry.begin_media('asterisk', :'offered', encoding => 'mulaw');
SELECT refusal FROM mulberry.begin_media('asterisk', :'offered');
SELECT refusal FROM mulberry.begin_media('phone', :'offered');
SELECT refusal FROM mulberry.begin_media('asterisk', :'offered', encoding => 'text');
SELECT max(id) AS session FROM mulberry_internal.media_sessions \gset
SELECT p.recorded, p.leave FROM mulberry.press_media_key(:session, '1') AS p;
SELECT consent, place FROM mulberry_internal.inbound_calls WHERE sid = 'pbx-1';
SELECT encoding, sample_rate, state FROM mulberry.call_status WHERE call_id = 'pbx-1';
SELECT mulberry.end_media(:session, 'hung up', '{"caller": 0, "agent": 0}');
SELECT status, place FROM mulberry.inbound_call_status WHERE call_sid = 'pbx-1';
SELECT mulberry.media_next(:'offered', 'streams');
UPDATE mulberry_internal.inbound_calls SET place = place || '{"key": "4"}' WHERE sid = 'pbx-1';
SELECT mulberry.media_next(:'offered', 'streams');
SELECT mulberry.media_next(:'offered', 'streams2');
SELECT mulberry.offer_media('pbx-2', tenant => 'streams') AS offered \gset
SELECT session FROM mulberry.begin_media('audiosocket', :'offered', encoding => 's16le') \gset
SELECT p.recorded, p.leave, p.unsaid FROM mulberry.press_media_key(:session, '2') AS p;
SELECT mulberry.end_media(:session, 'no consent');
SELECT mulberry.offer_media('pbx-3', tenant => 'streams') AS offered \gset
UPDATE mulberry_internal.inbound_calls SET created_at = created_at - interval '61 s' WHERE sid = 'pbx-3';
SELECT refusal FROM mulberry.begin_media('audiosocket', :'offered');
SELECT event, payload->>'status' FROM mulberry_internal.events e WHERE e.event = 'inbound_call' AND payload->>'call_sid' LIKE 'pbx-%' ORDER BY e.id;

-- who may not
CREATE ROLE media_gate;
SELECT mulberry.grant_access('media_gate', 'gateway', 'streams2');
SELECT mulberry.offer_media('pbx-4', tenant => 'streams') AS offered \gset
SET ROLE media_gate;
SELECT mulberry.check_media_handshake('/twilio/ws', :'ours'), mulberry.check_media_handshake('/twilio/ws', :'theirs');
SELECT refusal FROM mulberry.begin_media('audiosocket', :'offered');
SELECT mulberry.press_media_key(:session, '1');
SELECT mulberry.end_media(:session, 'x');
SELECT count(*) FROM mulberry.media_session_status;
SELECT mulberry.offer_media(tenant => 'streams');
RESET ROLE;
\set VERBOSITY default
DROP OWNED BY media_gate;
SELECT mulberry.revoke_access('media_gate', 'gateway', 'streams2');
DROP ROLE media_gate;
SELECT count(*) FROM (SELECT mulberry.erase_call(i.sid, t.name) FROM mulberry_internal.inbound_calls i JOIN mulberry_internal.tenants t ON t.id = i.tenant WHERE t.name LIKE 'streams%') AS e;
SELECT count(*) FROM mulberry_internal.media_sessions;
SELECT mulberry.drop_endpoint('phone', t), mulberry.drop_secret('token', t) FROM unnest(ARRAY['streams', 'streams2']) AS t;
SELECT count(*) FROM (SELECT mulberry.erase_audit_log(t) FROM unnest(ARRAY['streams', 'streams2']) AS t) AS e;
DELETE FROM mulberry_internal.events e USING mulberry_internal.tenants t WHERE t.id = e.tenant AND t.name LIKE 'streams%';
SELECT mulberry.drop_tenant(t) FROM unnest(ARRAY['streams', 'streams2']) AS t;
SELECT count(*) FROM mulberry_internal.prompts;
