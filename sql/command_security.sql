-- What voice commands refuse to those who have some access and want more, and to those who want a
-- revocation not to arrive.
SET client_min_messages = warning;
CREATE ROLE regress_secure_admin;
CREATE ROLE regress_secure_other;
CREATE ROLE regress_secure_gateway;
RESET client_min_messages;
\set VERBOSITY terse
\set SHOW_CONTEXT never
SELECT mulberry.create_tenant('secure') IS NOT NULL AND mulberry.create_tenant('secure-edge') IS NOT NULL AS made;
SELECT id AS tenant FROM mulberry_internal.tenants WHERE name = 'secure' \gset
SELECT mulberry.grant_access('regress_secure_admin', a, 'secure') FROM unnest('{admin,operator,auditor}'::text[]) a;
SELECT mulberry.grant_access('regress_secure_other', 'admin', 'secure'), mulberry.grant_access('regress_secure_gateway', 'gateway', 'secure');
SET ROLE regress_secure_admin;
SELECT mulberry.create_agent('pi', '+14155550100', id => '5ec00000-0000-4000-8000-000000000001') IS NOT NULL AS made;
SELECT mulberry.create_mandate(id, 'pi', 'sponsor', 100, 'EUR', '2999-01-01') FROM unnest('{12345678,22222222,33333333}'::text[]) id;
SELECT mulberry.create_voice_key('pi');

-- A line that was seen counts as exported, whatever becomes of the statement that showed it.
SELECT mulberry.take_exported_voice_key();
BEGIN;
SELECT mulberry.mark_voice_key_exported('pi', 1);
SELECT mulberry.take_exported_voice_key();
ROLLBACK;
SELECT mulberry.take_exported_voice_key();
BEGIN;
SAVEPOINT s;
SELECT mulberry.mark_voice_key_exported('pi', 1);
ROLLBACK TO s;
COMMIT;
SELECT mulberry.take_exported_voice_key();
SELECT exported_at FROM mulberry.voice_key_status;
DO $$
DECLARE
    line text;
BEGIN
    CALL mulberry.export_voice_key('pi', 1, NULL, line);
    RAISE EXCEPTION 'the line has % characters', length(line);
END
$$;
SELECT exported_at IS NOT NULL AS exported FROM mulberry.voice_key_status;
\set VERBOSITY sqlstate
CALL mulberry.export_voice_key('pi', 1);
\set VERBOSITY terse
SELECT mulberry.take_exported_voice_key();
SELECT outcome FROM mulberry.audit_log WHERE action = 'VOICE_KEY_EXPORTED';
SELECT mulberry.create_voice_key('pi');
SELECT mulberry.mark_voice_key_exported('pi', 2);
SET ROLE regress_secure_other;
SELECT mulberry.take_exported_voice_key();
SET ROLE regress_secure_admin;
SELECT mulberry.create_voice_key('pi');
SELECT mulberry.mark_voice_key_exported('pi', 3);
SELECT mulberry.disable_voice_key('pi', 3), mulberry.create_voice_key('pi', 3);
SELECT mulberry.take_exported_voice_key();
SELECT mulberry.disable_voice_key('pi', 2), mulberry.disable_voice_key('pi', 3);

-- Nor do a key's bytes leave as somebody's password, or get lost beside the key.
SELECT mulberry.set_endpoint('telephone', 'twilio', 'https://example.com', 'telephony', secret => 'token', tenant => 'secure',
    options => '{"account_sid": "AC0123456789abcdef0123456789abcdef", "from": "+15005550006", "api_key_sid": "SK0123456789abcdef0123456789abcdef",
                 "api_key_secret": "voice-key-s-5ec00000-0000-4000-8000-000000000001-01"}');
SELECT mulberry.set_endpoint('telephone', 'twilio', 'https://example.com', 'telephony', secret => 'voice-key-x', tenant => 'secure',
    options => '{"account_sid": "AC0123456789abcdef0123456789abcdef", "from": "+15005550006"}');
SELECT mulberry.drop_secret('voice-key-s-5ec00000-0000-4000-8000-000000000001-01');
RESET ROLE;
-- whoever writes the table
INSERT INTO mulberry_internal.endpoints (tenant, name, kind, base_url, options)
VALUES (:'tenant', 'e', 'twilio', 'https://example.com', '{"api_key_secret": "voice-key-x"}');

-- The number up to which an agent says that it knows the registry cannot be driven to its end.
SET ROLE regress_secure_gateway;
SELECT mulberry.agent_sync('pi', since => 1000000000000000);
SELECT mulberry.agent_sync('pi', since => 1000)->'updates'->>'data' ~ '"upto": 1001,' AS told;
SELECT mulberry.agent_sync('pi', since => 1001) ? 'updates' AS told;
RESET ROLE;

-- Webhooks that name no call.
SET ROLE regress_secure_gateway;
SELECT t.token, w.status FROM (VALUES ('5ec00000-0000-4000-8000-000000000001'), ('------------------------------------'), ('5ec000000000400080000000000000010000')) t (token)
 CROSS JOIN LATERAL mulberry.handle_twilio_webhook('/twilio/ack?token=' || t.token, '{"CallSid": "CA1"}', 'x') w;
RESET ROLE;

-- Internal functions in the hands of an owner who tries them out.
SELECT mulberry_internal.judge_frame(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT mulberry_internal.judge_frame(:'tenant', mulberry_internal.take_frame('*070112345678000042608379340855#'), 0, '{}', false, false, NULL, NULL, NULL, '123456', 41, false);
SELECT verdict FROM mulberry_internal.judge_frame(:'tenant', mulberry_internal.take_frame('*070112345678000042608379340855#'), 0, '{}', false, false, 1, '12345678', 0, '123456', 41, false);

-- A key id that is given again: what the former key has signed stands in nobody's way.
SET ROLE regress_secure_admin;
SELECT mulberry.disable_voice_key('pi', 1), mulberry.create_voice_key('pi', 3);
RESET ROLE;
UPDATE mulberry_internal.agents SET online_until = 'infinity' WHERE tenant = :'tenant';
UPDATE mulberry_internal.voice_keys SET last_counter = 10000 WHERE tenant = :'tenant' AND key_id = 3;
SET ROLE regress_secure_admin;
CALL mulberry.export_voice_key('pi', 3) \gset
SELECT mulberry.query_mandate('22222222')->>'status' AS status;
SELECT mulberry.disable_voice_key('pi', 3), mulberry.create_voice_key('pi', 3);
SELECT mulberry.cancel_command(command_id)->>'status' AS status FROM mulberry.command_status WHERE state = 'outstanding';
CALL mulberry.export_voice_key('pi', 3) \gset
RESET ROLE;
\set ECHO none
SELECT format('COPY mulberry.voice_key_entry (tenant, key) FROM PROGRAM %L', format(E'printf ''secure-edge\t%%s\\n'' %s', :'line')) \gexec
\set ECHO all
SELECT id AS edge FROM mulberry_internal.tenants WHERE name = 'secure-edge' \gset
SET ROLE regress_secure_admin;
SELECT (mulberry.query_mandate('22222222')->>'command_id')::bigint AS command \gset
SELECT key_id, counter FROM mulberry.command_status WHERE command_id = :command;
RESET ROLE;
SELECT mulberry_internal.accept_ack(c.id, mulberry_internal.build_ack(:'edge', c.agent, 3, 0, 3, c.counter, c.message_digest), 'api')
  FROM mulberry_internal.commands c WHERE c.id = :command;
SELECT state FROM mulberry_internal.commands WHERE id = :command;

-- An edge takes no line twice, whatever has had its id since: what was played for it could be played again.
\set first :line
SET ROLE regress_secure_admin;
SELECT mulberry.disable_voice_key('pi', 3), mulberry.create_voice_key('pi', 3);
CALL mulberry.export_voice_key('pi', 3) \gset
RESET ROLE;
SELECT mulberry.disable_voice_key('edge-5ec00000', 3, tenant => 'secure-edge');
\set ECHO none
SELECT format('COPY mulberry.voice_key_entry (tenant, key) FROM PROGRAM %L', format(E'printf ''secure-edge\t%%s\\n'' %s', :'line')) \gexec
\set ECHO all
SELECT mulberry.disable_voice_key('edge-5ec00000', 3, tenant => 'secure-edge');
\set ECHO none
SELECT format('COPY mulberry.voice_key_entry (tenant, key) FROM PROGRAM %L', format(E'printf ''secure-edge\t%%s\\n'' %s', :'first')) \gexec
\set ECHO all
SELECT count(*) AS enabled FROM mulberry_internal.voice_keys WHERE tenant = :'edge' AND enabled;

-- A key that cannot be read does not keep a mandate from being revoked.
DELETE FROM mulberry_internal.secrets WHERE tenant = :'tenant';
SET ROLE regress_secure_admin;
SELECT mulberry.revoke_mandate('12345678')->>'status' AS status;
SELECT status FROM mulberry.mandate_status WHERE mandate_id = '12345678';
SELECT error FROM mulberry.command_status WHERE mandate_id = '12345678';
RESET ROLE;
DROP OWNED BY regress_secure_admin, regress_secure_other, regress_secure_gateway;
DROP ROLE regress_secure_admin, regress_secure_other, regress_secure_gateway;

-- The other tests know nothing of all that.
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/sql/include/forget_tenant.sql'
\i :include
\set tenant :edge
\i :include
