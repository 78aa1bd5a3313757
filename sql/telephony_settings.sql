-- What callers of a tenant hear: settings, what is wrong with them, and previews.
SET client_min_messages = warning;
SET timezone = 'UTC';
\pset tuples_only on
\pset format unaligned
SELECT mulberry.create_tenant(t) IS NOT NULL FROM unnest(ARRAY['clinic', 'other']) AS t;
SELECT mulberry.set_endpoint('phone', 'twilio', purpose => 'telephony', secret => 'x', tenant => 'clinic',
    options => '{"account_sid": "AC0123456789abcdef0123456789abcdef", "from": "+15005550006", "public_url": "https://hooks.example/base"}');

-- everything at once
\set all '{"numbers": ["+12025550100", "+12025550101"], "greeting": "Welcome to the clinic", "voice": "Polly.Amy", "language": "en-GB", "answer_with": "menu", "consent": "This call is recorded.", "recording": "always", "transfer_number": "+12025550199", "emergency_number": "+12025550911", "max_duration": 600.0, "time_zone": "Europe/Berlin", "hours": {"mon": ["09:00-12:00", "13:00-17:30"], "fri": ["22:00-02:00"], "sun": ["00:00-24:00"]}, "holidays": {"12-25": {"closed": "Merry Christmas"}, "2027-01-04": {"hours": ["10:00-11:00"]}}, "closed_menu": "night", "emergency_words": {"en": ["help me"]}, "sentences": {"closed": "We are asleep"}, "menus": {"main": {"text": "1 to hear more, 2 for a person, 3 to leave a message, 4 if it is an emergency, 5 for the assistant, 6 for bills", "timeout": 5.0, "keys": {"1": {"action": "say", "text": "More"}, "2": {"action": "transfer", "text": "One moment"}, "3": {"action": "record", "seconds": 60.0}, "4": {"action": "emergency"}, "5": {"action": "agent"}, "6": {"action": "menu", "menu": "bills"}, "*": {"action": "say", "text": "Bye", "then": "hangup"}}}, "bills": {"text": "1 for the desk", "keys": {"1": {"action": "transfer", "number": "+12025550177"}}}, "night": {"text": "Press 4 if it is an emergency", "keys": {"4": {"action": "emergency", "text": "We connect you to the emergency desk"}}}}}'
SELECT mulberry.set_telephony(:'all', 'clinic');
-- the same again is the same version; another one is another, and the audit log says what changed
SELECT mulberry.set_telephony(:'all', 'clinic'), mulberry.alter_telephony('{}', 'clinic');
SELECT mulberry.alter_telephony('{"greeting": "Good day", "numbers": ["+12025550100"], "voice": null}', 'clinic');
SELECT tenant, version, holds, settings->>'greeting', settings->>'voice', role = current_user FROM mulberry.telephony_status ORDER BY version;
SELECT tenant, number FROM mulberry.phone_number_status;
SELECT action, outcome, evidence FROM mulberry_internal.audit WHERE action = 'TELEPHONY_SETTINGS' ORDER BY at;

-- a number calls one tenant of an account; another account proves with each call that it is its own
SELECT mulberry.set_endpoint('shared', 'twilio', purpose => 'telephony', secret => 'x', tenant => NULL,
    options => '{"account_sid": "AC11111111111111111111111111111111", "from": "+15005550006", "public_url": "https://hooks.example/base"}');
SELECT mulberry.create_tenant('third') IS NOT NULL;
SELECT mulberry.set_telephony('{"greeting": "x", "numbers": ["+12025550100"]}', 'other');
\set VERBOSITY default
SELECT mulberry.set_telephony('{"greeting": "x", "numbers": ["+12025550177", "+12025550100"]}', 'third');
\set VERBOSITY terse
SELECT mulberry.set_telephony('{"greeting": "x", "numbers": ["+12025550101"]}', 'other');
SELECT mulberry.set_telephony('{"greeting": "x", "numbers": ["+12025550100"]}', 'third');
SELECT mulberry.alter_telephony('{"greeting": "y"}', 'third');
SELECT mulberry.set_telephony('{"greeting": "x", "numbers": ["+12025550100"]}', 'other');
SELECT tenant, number FROM mulberry.phone_number_status ORDER BY tenant, number;
SELECT mulberry.alter_telephony('{"numbers": null}', 'other');
SELECT mulberry.alter_telephony('{"voice": "a"}');
SELECT mulberry.set_telephony(NULL, 'other');
SELECT mulberry.alter_telephony(NULL, 'other');
SELECT mulberry.alter_telephony('[]', 'other');

-- what is wrong
CREATE FUNCTION pg_temp.refusal_of(changes text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM mulberry.alter_telephony(changes::jsonb, 'clinic');
    RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''));
END
$$;
SELECT pg_temp.refusal_of(c)
  FROM unnest(ARRAY['{"colour": "red"}', '{"greeting": null}', '{"greeting": 1}', '{"greeting": ""}', '{"greeting": "  "}', '{"greeting": "two\nlines"}', '{"numbers": "x"}', '{"numbers": ["12345"]}', '{"numbers": [1]}',
    '{"voice": "a b"}', '{"language": "english please"}', '{"answer_with": "person"}', '{"answer_with": "menu", "menus": null, "closed_menu": null}', '{"consent": null, "consent_required": true}', '{"consent_required": "yes"}',
    '{"recording": "sometimes"}', '{"recording": "consent", "consent": null}', '{"transfer_number": "911"}', '{"max_duration": 5}', '{"max_duration": 60.5}', '{"max_duration": "60"}',
    '{"time_zone": "CET+1"}', '{"time_zone": "Europe/berlin"}', '{"time_zone": "posix/Europe/Berlin"}', '{"time_zone": null}', '{"hours": {"monday": []}}', '{"hours": {"mon": "09:00-12:00"}}', '{"hours": {"mon": ["9-12"]}}',
    '{"hours": {"mon": ["09:00-09:00"]}}', '{"hours": {"mon": ["09:00-24:30"]}}', '{"hours": {"mon": [9]}}', '{"holidays": {"13-01": {}}}', '{"holidays": {"02-30": {}}}', '{"holidays": {"2026-02-29": {}}}', '{"holidays": {"tomorrow": {}}}',
    '{"holidays": {"02-29": {"hours": ["x"]}}}', '{"holidays": {"02-29": {"open": true}}}', '{"closed_menu": "day"}', '{"emergency_words": ["x"]}', '{"emergency_words": {"english": []}}', '{"emergency_words": {"en": [1]}}', '{"sentences": {"hello": "x"}}']) AS c;
SELECT pg_temp.refusal_of(jsonb_build_object('closed_menu', null, 'menus', m)::text)
  FROM unnest(ARRAY['{}', '[]', '{"start": {"text": "x", "keys": {}}}', '{"main": {"keys": {}}}', '{"main": {"text": "x"}}', '{"main": {"text": "x", "keys": {}, "timeout": 0}}', '{"main": {"text": "x", "keys": {}}, "Night Time": {"text": "x", "keys": {}}}',
    '{"main": {"text": "x", "keys": {"A": {"action": "agent"}}}}', '{"main": {"text": "x", "keys": {"10": {"action": "agent"}}}}', '{"main": {"text": "x", "keys": {"1": {"action": "dance"}}}}', '{"main": {"text": "x", "keys": {"1": {}}}}', '{"main": {"text": "x", "keys": {"1": {"action": "say"}}}}',
    '{"main": {"text": "x", "keys": {"1": {"action": "say", "text": "x", "then": "sing"}}}}', '{"main": {"text": "x", "keys": {"1": {"action": "say", "text": "x", "number": "+1202"}}}}', '{"main": {"text": "x", "keys": {"1": {"action": "transfer", "number": "0"}}}}',
    '{"main": {"text": "x", "keys": {"1": {"action": "record", "seconds": 4000}}}}', '{"main": {"text": "x", "keys": {"1": {"action": "menu"}}}}', '{"main": {"text": "x", "keys": {"1": {"action": "menu", "menu": "two"}}}}',
    -- round, through others, and into itself
    '{"main": {"text": "x", "keys": {"1": {"action": "menu", "menu": "main"}}}}', '{"main": {"text": "x", "keys": {"1": {"action": "menu", "menu": "two"}}}, "two": {"text": "x", "keys": {"1": {"action": "menu", "menu": "three"}}}, "three": {"text": "x", "keys": {"1": {"action": "menu", "menu": "two"}}}}',
    -- too deep, and just not
    '{"main": {"text": "x", "keys": {"1": {"action": "menu", "menu": "a"}}}, "a": {"text": "x", "keys": {"1": {"action": "menu", "menu": "b"}}}, "b": {"text": "x", "keys": {"1": {"action": "menu", "menu": "c"}}}, "c": {"text": "x", "keys": {"1": {"action": "menu", "menu": "d"}}}, "d": {"text": "x", "keys": {}}}',
    '{"main": {"text": "x", "keys": {"1": {"action": "menu", "menu": "a"}}}, "a": {"text": "x", "keys": {"1": {"action": "menu", "menu": "b"}}}, "b": {"text": "x", "keys": {"1": {"action": "menu", "menu": "c"}}}, "c": {"text": "x", "keys": {}}}',
    -- no way there
    '{"main": {"text": "x", "keys": {}}, "island": {"text": "x", "keys": {}}}']::jsonb[]) AS m;
-- one document must hold all that is said in one go
SELECT pg_temp.refusal_of(jsonb_build_object('greeting', repeat('g', 1000), 'consent', repeat('c', 1000), 'menus', jsonb_build_object('main',
    jsonb_build_object('text', repeat('&', 1000), 'keys', jsonb '{}')), 'closed_menu', null)::text);
SELECT pg_temp.refusal_of(jsonb_build_object('greeting', repeat('g', 1001))::text);
-- nothing of all that is kept but what was taken
SELECT max(version) FROM mulberry.telephony_status WHERE tenant = 'clinic';
SELECT mulberry.set_telephony(:'all', 'clinic') > 0;

-- previews: who calls on Monday morning, and what follows which key
SELECT digits, mulberry.preview_call('+12025550100', '2026-11-30 10:00+01', digits)
  FROM unnest(ARRAY['', '1', '2', '3', '4', '5', '6', '61', '9', '999', '*', '33', '22', '1x']) AS d (digits) WHERE digits <> '1x';
SELECT mulberry.preview_call('+12025550100', now(), '1x');
SELECT mulberry.preview_call('+12025550102');
SELECT mulberry.preview_call('+12025550100', NULL);
SELECT mulberry.preview_call('+12025550100', 'infinity');

-- hours: what is said at a time
CREATE FUNCTION pg_temp.at(at timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN d ~ 'Welcome' THEN 'open' WHEN d ~ 'Merry' THEN 'holiday' WHEN d ~ 'asleep' THEN 'closed' ELSE d END
      FROM mulberry.preview_call('+12025550100', at) AS d
$$;
SELECT at, pg_temp.at(at::timestamptz)
  FROM unnest(ARRAY['2026-11-30 08:59:59+01', '2026-11-30 09:00+01', '2026-11-30 11:59:59+01', '2026-11-30 12:00+01', '2026-11-30 12:30+01', '2026-11-30 13:00+01', '2026-11-30 17:29+01', '2026-11-30 17:30+01',
    -- over midnight: Friday's night is Saturday's morning
    '2026-11-27 21:59+01', '2026-11-27 22:00+01', '2026-11-28 01:59+01', '2026-11-28 02:00+01', '2026-11-27 01:00+01',
    -- all Sunday
    '2026-11-28 23:59+01', '2026-11-29 00:00+01', '2026-11-29 23:59:59+01', '2026-11-30 00:00+01',
    -- Christmas 2026 is a Friday: closed all day, and its night does not begin; in 2027 it is a Saturday, and Friday's night still goes on
    '2026-12-25 22:30+01', '2026-12-26 01:00+01', '2027-12-25 01:00+01', '2027-12-25 10:00+01', '2027-12-25 12:00+01',
    -- a holiday with hours of its own, of one year
    '2027-01-04 09:30+01', '2027-01-04 10:30+01', '2028-01-03 09:30+01',
    -- by the clock of the zone: Monday 9:00 in winter and in summer
    '2026-11-30 08:00Z', '2026-11-30 07:00Z', '2026-07-06 07:00Z', '2026-07-06 06:59Z']) AS t (at);
-- the nights in which the clock is set: 02:30 does not come on 2027-03-28, and twice on 2026-10-25
SELECT mulberry.alter_telephony('{"hours": {"sat": ["22:00-02:30"], "sun": ["02:30-03:30"]}}', 'clinic') > 0;
SELECT at, pg_temp.at(at::timestamptz)
  FROM unnest(ARRAY['2027-03-28 00:59:59Z', '2027-03-28 01:00Z', '2027-03-28 01:29Z', '2027-03-28 01:30Z',
                    '2026-10-25 00:29Z', '2026-10-25 00:30Z', '2026-10-25 00:59Z', '2026-10-25 01:00Z', '2026-10-25 01:29Z', '2026-10-25 01:30Z', '2026-10-25 02:29Z', '2026-10-25 02:30Z']) AS t (at);
-- without hours always, but on holidays
SELECT mulberry.alter_telephony('{"hours": null}', 'clinic') > 0;
SELECT pg_temp.at('2026-11-28 03:00+01'), pg_temp.at('2026-12-25 03:00+01'), pg_temp.at('2027-01-04 10:30+01');
-- a zone that this server no longer has: somebody answers all the same
UPDATE mulberry_internal.telephony_versions SET settings = settings || '{"time_zone": "Mars/Olympus"}';
SELECT pg_temp.at('2026-12-25 03:00+01');

-- consent: said, asked, refused
SELECT mulberry.set_telephony('{"numbers": ["+12025550100"], "greeting": "Hello", "consent": "Press 1 to allow a recording, 2 if not", "recording": "consent", "menus": {"main": {"text": "Menu", "keys": {"1": {"action": "agent"}}}}}', 'clinic') > 0;
SELECT digits, mulberry.preview_call('+12025550100', 'epoch', digits) FROM unnest(ARRAY['', '1', '2', '9', '999', '11']) AS d (digits);
SELECT mulberry.alter_telephony('{"consent_required": true, "answer_with": "agent"}', 'clinic') > 0;
SELECT digits, mulberry.preview_call('+12025550100', 'epoch', digits) FROM unnest(ARRAY['', '1', '2', '999', '11']) AS d (digits);
-- nothing but a greeting: the automatic agent
SELECT mulberry.set_telephony('{"numbers": ["+12025550100"], "greeting": "Hello"}', 'clinic') > 0;
SELECT mulberry.preview_call('+12025550100'), mulberry.preview_call('+12025550100', digits => '1');

-- other tenants' numbers are none
CREATE ROLE telephony_of_other;
SELECT mulberry.grant_access('telephony_of_other', 'admin', 'other');
SET ROLE telephony_of_other;
SELECT mulberry.preview_call('+12025550100');
SELECT mulberry.set_telephony('{"greeting": "x"}', 'clinic');
SELECT DISTINCT tenant FROM mulberry.telephony_status;
RESET ROLE;
SELECT mulberry.revoke_access('telephony_of_other', 'admin', 'other');
DROP ROLE telephony_of_other;
SELECT mulberry.drop_endpoint('phone', 'clinic'), mulberry.drop_endpoint('shared', NULL);
SELECT count(*) FROM (SELECT mulberry.erase_audit_log(t) FROM unnest(ARRAY['clinic', 'other', 'third']) AS t) AS e;
SELECT mulberry.drop_tenant(t) FROM unnest(ARRAY['clinic', 'other', 'third']) AS t;
SELECT count(*) FROM mulberry.telephony_status;
