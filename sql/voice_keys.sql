-- Keys of voice commands: they are made, leave once, enter an edge, are followed by others and
-- end; commands are signed with the right one; their bytes are never seen.
SET client_min_messages = warning;
CREATE ROLE regress_admin;
CREATE ROLE regress_south_admin;
CREATE ROLE regress_operator;
RESET client_min_messages;
\set VERBOSITY terse
\set SHOW_CONTEXT never
SELECT mulberry.create_tenant('keys-north') IS NOT NULL AND mulberry.create_tenant('keys-south') IS NOT NULL AS made;
SELECT mulberry.grant_access('regress_admin', 'admin', 'keys-north'), mulberry.grant_access('regress_south_admin', 'admin', 'keys-south'),
       mulberry.grant_access('regress_operator', 'operator', 'keys-north');
-- the rows of these tenants, whatever other tests have left
SELECT format('CREATE TEMP VIEW %1$s AS SELECT * FROM mulberry_internal.%1$s WHERE tenant IN (SELECT id FROM mulberry_internal.tenants WHERE name LIKE ''keys-%%'')', name)
  FROM unnest('{voice_keys,mandates,commands,agents,audit,secrets}'::text[]) AS name \gexec
SET ROLE regress_admin;
SELECT mulberry.create_agent('pi', '+14155550100', id => 'ffeeddcc-bbaa-9988-7766-554433221100') IS NOT NULL AS made;
SELECT mulberry.create_agent('other', '+14155550101') IS NOT NULL AS made;
SELECT mulberry.create_mandate('12345678', 'pi', 'sponsor', 100, 'EUR', '2999-01-01');
RESET ROLE;

-- A command that nothing signs yet, as the queue makes it.
INSERT INTO mulberry_internal.commands (tenant, agent, command, mandate)
SELECT tenant, agent, 'REVOKE', id FROM mandates RETURNING id AS command \gset
SELECT mulberry_internal.voice_key_problem(tenant, id) FROM agents WHERE name = 'pi';
SELECT mulberry_internal.sign_command(:command);

-- Making.
SET ROLE regress_admin;
SELECT mulberry.create_voice_key('pi');
SELECT mulberry.create_voice_key('other', 0), mulberry.create_voice_key('other', 99, true);
SELECT agent, key_id, role, enabled, challenge_extend, signs, last_counter, acked_counter, exported_at, mode,
       fingerprint ~ '^[0-9a-f]{16}$' AS has_fingerprint
  FROM mulberry.voice_key_status ORDER BY agent DESC, key_id;
RESET ROLE;
SELECT count(*), count(DISTINCT fingerprint) AS different FROM voice_keys;
SELECT count(*) AS sealed, bool_and(octet_length(ciphertext) = 32) AS of_32_bytes
  FROM secrets WHERE name LIKE 'voice-key-s-%';
SELECT mulberry_internal.voice_key_problem(tenant, id) FROM agents WHERE name = 'pi';
SELECT mulberry_internal.sign_command(:command);

-- Leaving, once and for good; the line is complete.
SET ROLE regress_admin;
CALL mulberry.export_voice_key('pi', 1) \gset
SELECT regexp_replace(replace(:'line', t.id::text, 'TENANT'), '[0-9a-f]{64}:none:[0-9a-f]{8}$', 'KEY:none:CHECK') AS line
  FROM mulberry.tenant_access a, mulberry.current_tenants() c, unnest(c) t (id) WHERE a.name = 'keys-north';
\set VERBOSITY sqlstate
CALL mulberry.export_voice_key('pi', 1);
BEGIN;
CALL mulberry.export_voice_key('other', 0);
ROLLBACK;
DO $$ DECLARE line text; BEGIN CALL mulberry.export_voice_key('other', 0, NULL, line); EXCEPTION WHEN division_by_zero THEN NULL; END $$;
CALL mulberry.export_voice_key('pi', 2);
CALL mulberry.export_voice_key('nobody', 1);
CALL mulberry.export_voice_key('pi', NULL);
\set VERBOSITY terse
-- The line did not arrive: once more, for a reason that the audit log keeps.
SELECT mulberry.allow_voice_key_export('other', 0, 'too early');
SELECT mulberry.allow_voice_key_export('pi', 1, '');
SELECT mulberry.allow_voice_key_export('pi', 1, 'the courier lost it');
\set first :line
CALL mulberry.export_voice_key('pi', 1) \gset
SELECT :'first' = :'line' AS the_same_line;
\set VERBOSITY sqlstate
CALL mulberry.export_voice_key('pi', 1);
\set VERBOSITY terse
SELECT action, outcome, evidence->>'reason' AS reason FROM mulberry.audit_log WHERE action = 'VOICE_KEY_EXPORTED' ORDER BY id;
RESET ROLE;

-- Signing: the next counter, a frame that says the command, and nothing that was signed before.
SELECT mulberry_internal.sign_command(:command);
SELECT c.state, c.key_id, c.counter, c.signatures, f.valid, f.key_id AS kk, f.command, f.mandate_id, f.counter AS nnnn, k.last_counter
  FROM commands c, mulberry.command_frame_parse(c.frame) f, voice_keys k
 WHERE c.id = :command AND k.agent = c.agent AND k.key_id = 1;
SELECT frame AS first_frame, encode(message_digest, 'hex') AS first_digest FROM commands WHERE id = :command \gset
SELECT mulberry_internal.sign_command(:command, '493817');
SELECT counter, signatures, nonce, frame <> :'first_frame' AS another FROM commands WHERE id = :command;
\set VERBOSITY sqlstate
SELECT mulberry_internal.sign_command(:command, '49381');
SELECT mulberry_internal.sign_command(-1);
\set VERBOSITY terse
SET ROLE regress_operator;
SELECT mulberry.command_frame(:command) ~ '^\*010112345678000002[0-9]{12}#$' AS shown;
SET ROLE regress_south_admin;
\set VERBOSITY sqlstate
SELECT mulberry.command_frame(:command);
\set VERBOSITY terse
RESET ROLE;

-- Another server signs (a restored dump, a promoted standby): the counter jumps, once; and
-- never out of the receiver's window.
UPDATE voice_keys SET place = 'elsewhere' WHERE key_id = 1;
SELECT mulberry_internal.sign_command(:command);
SELECT mulberry_internal.sign_command(:command);
SELECT last_counter, place = mulberry_internal.voice_key_place() AS here FROM voice_keys WHERE key_id = 1;
UPDATE voice_keys SET place = 'elsewhere', last_counter = 4500 WHERE key_id = 1;
SELECT mulberry_internal.sign_command(:command);
SELECT last_counter FROM voice_keys WHERE key_id = 1;
-- ... and a copy that is held signs nothing, or both would use the same counters
INSERT INTO mulberry_internal.installation (system_identifier, database, approved_by) VALUES (0, 0, 'a dump');
SELECT mulberry_internal.sign_command(:command);
SELECT last_counter FROM voice_keys WHERE key_id = 1;
SELECT mulberry.resume_outbound();
UPDATE voice_keys SET last_counter = 10 WHERE key_id = 1;
SELECT mulberry_internal.sign_command(:command);
SELECT last_counter FROM voice_keys WHERE key_id = 1;

-- By hand.
SET ROLE regress_admin;
SELECT mulberry.advance_counters();
SELECT mulberry.advance_counters(4000);
SELECT key_id, last_counter FROM mulberry.voice_key_status WHERE agent = 'pi';
\set VERBOSITY sqlstate
SELECT mulberry.advance_counters(0);
SELECT mulberry.advance_counters(4001);
SELECT mulberry.advance_counters(NULL);
SELECT mulberry.advance_counters(1, 'keys-south');
SET ROLE regress_operator;
SELECT mulberry.advance_counters();
SET ROLE regress_admin;

-- Bad input, each with its SQLSTATE.
SELECT mulberry.create_voice_key('nobody');
SELECT mulberry.create_voice_key(NULL);
SELECT mulberry.create_voice_key('pi', 1);
SELECT mulberry.create_voice_key('pi', -1);
SELECT mulberry.create_voice_key('pi', 100);
SELECT mulberry.create_voice_key('pi', 5, NULL);
SELECT mulberry.create_voice_key('pi', 5, false, 'keys-south');
SELECT mulberry.disable_voice_key('pi', 77);
SELECT mulberry.disable_voice_key('pi', NULL);
SELECT mulberry.disable_voice_key('pi', 1, 'both');
SELECT mulberry.disable_voice_key('pi', 1, 'receiver');
SELECT mulberry.confirm_voice_key('pi', 77);
SELECT mulberry.confirm_voice_key('other', 0);
SELECT mulberry.confirm_voice_key('pi', 1, '0000000000000000');
SET ROLE regress_operator;
SELECT mulberry.create_voice_key('pi');
SELECT mulberry.rotate_voice_key('pi');
CALL mulberry.export_voice_key('other', 0);
SELECT mulberry.confirm_voice_key('pi', 1);
SELECT mulberry.disable_voice_key('pi', 1);
SET ROLE regress_south_admin;
SELECT mulberry.create_voice_key('pi');
CALL mulberry.export_voice_key('other', 0, 'keys-north');
SELECT count(*) FROM mulberry.voice_key_status;
RESET ROLE;
-- what is named like a key's secret is none of a user's, and no service is told it
SET ROLE regress_admin;
COPY mulberry.secret_entry (name, value) FROM stdin;
voice-key-s-ffeeddcc-bbaa-9988-7766-554433221100-01	x
\.
SELECT mulberry.set_endpoint('thief', 'json', 'https://thief.example', secret => 'voice-key-s-ffeeddcc-bbaa-9988-7766-554433221100-01', tenant => 'keys-north');
RESET ROLE;
\set VERBOSITY terse

-- Entering, on an edge that is this database as well: in the tenant of the line or another one.
\set ECHO none
SELECT format('COPY mulberry.voice_key_entry (tenant, agent, key) FROM PROGRAM %L', format(E'printf ''keys-south\tpi on the edge\t%%s\\n'' %s', :'line')) \gexec
\set ECHO all
SELECT t.name AS tenant, a.name AS agent, k.role, k.key_id, p.name AS signed_for, k.last_counter, k.fingerprint = s.fingerprint AS same_key
  FROM voice_keys k
  JOIN mulberry_internal.tenants t ON t.id = k.tenant JOIN mulberry_internal.tenants p ON p.id = k.party_tenant
  JOIN agents a ON a.tenant = k.tenant AND a.id = k.agent
  JOIN voice_keys s ON s.role = 'sender' AND s.agent = k.agent AND s.key_id = k.key_id
 WHERE k.role = 'receiver';
SET ROLE regress_south_admin;
-- lines whose keys everybody knows: tests alone enter such
COPY mulberry.voice_key_entry (key) FROM stdin;
  mulberry-voice-key:1:00112233-4455-6677-8899-aabbccddeeff:11111111-2222-3333-4444-555555555555:09:0909090909090909090909090909090909090909090909090909090909090909:none:a3e69d57 
\.
SELECT agent, key_id, role, enabled, challenge_extend, mode FROM mulberry.voice_key_status ORDER BY key_id;
-- it is there; and an id belongs to one key at a time
COPY mulberry.voice_key_entry (key) FROM stdin;
mulberry-voice-key:1:00112233-4455-6677-8899-aabbccddeeff:11111111-2222-3333-4444-555555555555:09:0909090909090909090909090909090909090909090909090909090909090909:none:a3e69d57
\.
-- a disabled key cannot come back, because what was played for it could then be played again
SELECT mulberry.disable_voice_key('edge-11111111', 9);
COPY mulberry.voice_key_entry (key) FROM stdin;
mulberry-voice-key:1:00112233-4455-6677-8899-aabbccddeeff:11111111-2222-3333-4444-555555555555:09:0909090909090909090909090909090909090909090909090909090909090909:none:a3e69d57
\.
SELECT count(*) AS bytes_left FROM mulberry.secret_names WHERE name LIKE 'voice-key-r-11111111%';
-- each with its SQLSTATE, and nothing of the line in the message
\set VERBOSITY default
COPY mulberry.voice_key_entry (key) FROM stdin;
mulberry-voice-key:1:00112233-4455-6677-8899-aabbccddeeff:11111111-2222-3333-4444-555555555555:09:0909090909090909090909090909090909090909090909090909090909090908:none:a3e69d57
\.
\set VERBOSITY sqlstate
COPY mulberry.voice_key_entry (key) FROM stdin;
something else
\.
COPY mulberry.voice_key_entry (key) FROM stdin;
mulberry-voice-key:1:00112233-4455-6677-8899-aabbccddeeff:11111111
\.
COPY mulberry.voice_key_entry (key) FROM stdin;

\.
COPY mulberry.voice_key_entry (key) FROM stdin;
\N
\.
COPY mulberry.voice_key_entry (tenant, key) FROM stdin;
keys-north	mulberry-voice-key:1:00112233-4455-6677-8899-aabbccddeeff:11111111-2222-3333-4444-555555555555:09:0909090909090909090909090909090909090909090909090909090909090909:none:a3e69d57
\.
COPY mulberry.voice_key_entry (agent, key) FROM stdin;
pi on the edge	mulberry-voice-key:1:00112233-4455-6677-8899-aabbccddeeff:ffeeddcc-bbaa-9988-7766-000000000000:07:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f:none:00000000
\.
INSERT INTO mulberry.voice_key_entry (key) VALUES ('x');
SET ROLE regress_operator;
COPY mulberry.voice_key_entry (key) FROM stdin;
x
\.
SELECT * FROM mulberry.voice_key_entry;
RESET ROLE;
\set VERBOSITY terse

-- Acknowledgements: the edge signs them with its own copy of the key.
SELECT c.tenant AS cloud, c.agent, r.tenant AS edge, c.counter, '\x' || encode(c.message_digest, 'hex') AS digest
  FROM commands c, voice_keys r
 WHERE c.id = :command AND r.role = 'receiver' AND r.key_id = 1 \gset
SELECT mulberry_internal.build_ack(:'edge', :'agent', 1, 0, 1, :counter, :'digest') AS ack,
       mulberry_internal.build_ack(:'edge', :'agent', 1, 0, 1, :counter + 1, :'digest') AS other_counter,
       mulberry_internal.build_ack(:'edge', :'agent', 1, 0, 1, :counter + 10000, :'digest') AS forged,
       mulberry_internal.build_ack(:'edge', :'agent', 1, 0, 1, :counter, sha256('x')) AS of_other_message \gset
SELECT heard.kind, v.*
  FROM commands c,
       (VALUES (1, 'of another counter', :'other_counter'), (2, 'of a forger', :'forged'),
               (3, 'of another message', :'of_other_message'), (4, 'garbled', '*07000100426040297751#')) AS heard(n, kind, symbols),
       mulberry_internal.verify_ack_frame(c.tenant, c.agent, c.key_id, c.counter, c.message_digest, mulberry_internal.take_ack(heard.symbols)) v
 WHERE c.id = :command ORDER BY heard.n;
SELECT acked_counter, confirmed_at FROM voice_keys WHERE role = 'sender' AND key_id = 1;
SELECT v.*
  FROM commands c, mulberry_internal.verify_ack_frame(c.tenant, c.agent, c.key_id, c.counter, c.message_digest, mulberry_internal.take_ack(:'ack')) v
 WHERE c.id = :command;
SELECT mulberry_internal.note_acked_key(c.tenant, c.agent, c.key_id, c.counter) FROM commands c WHERE c.id = :command;
SELECT acked_counter = :counter AS acked, confirmed_at IS NOT NULL AS confirmed FROM voice_keys WHERE role = 'sender' AND key_id = 1;

-- Rotation: the old key signs until the new one is known to be there, and ends with its first acknowledgement.
SET ROLE regress_admin;
SELECT mulberry.rotate_voice_key('pi');
SELECT key_id, signs FROM mulberry.voice_key_status WHERE agent = 'pi' ORDER BY key_id;
SELECT mulberry.confirm_voice_key('pi', 2);
CALL mulberry.export_voice_key('pi', 2) \gset
SELECT key_id, signs FROM mulberry.voice_key_status WHERE agent = 'pi' ORDER BY key_id;
RESET ROLE;
\set ECHO none
SELECT format('COPY mulberry.voice_key_entry (tenant, key) FROM PROGRAM %L', format(E'printf ''keys-south\t%%s\\n'' %s', :'line')) \gexec
\set ECHO all
SET ROLE regress_south_admin;
SELECT fingerprint FROM mulberry.voice_key_status WHERE key_id = 2 \gset
SET ROLE regress_admin;
SELECT mulberry.confirm_voice_key('pi', 2, :'fingerprint');
SELECT key_id, signs FROM mulberry.voice_key_status WHERE agent = 'pi' ORDER BY key_id;
RESET ROLE;
SELECT mulberry_internal.sign_command(:command);
SELECT c.key_id, c.counter, '\x' || encode(c.message_digest, 'hex') AS digest FROM commands c WHERE c.id = :command \gset
SELECT :key_id AS signed_by, :counter AS counter;
SELECT v.verdict FROM commands c,
       mulberry_internal.verify_ack_frame(c.tenant, c.agent, c.key_id, c.counter, c.message_digest,
                                          mulberry_internal.take_ack(mulberry_internal.build_ack(:'edge', :'agent', 2, 1, 1, :counter, :'digest'))) v
 WHERE c.id = :command;
SELECT mulberry_internal.note_acked_key(c.tenant, c.agent, c.key_id, c.counter) FROM commands c WHERE c.id = :command;
SELECT t.name AS tenant, k.role, k.key_id, k.enabled, k.disabled_at IS NOT NULL AS ended, s.name IS NOT NULL AS has_bytes
  FROM voice_keys k JOIN mulberry_internal.tenants t ON t.id = k.tenant
  LEFT JOIN secrets s ON s.tenant = k.tenant AND s.name = k.secret
 WHERE k.agent = :'agent' ORDER BY 1, 2, 3;

-- Disabling.
SET ROLE regress_admin;
SELECT mulberry.disable_voice_key('pi', 2);
\set VERBOSITY sqlstate
SELECT mulberry.disable_voice_key('pi', 2);
CALL mulberry.export_voice_key('pi', 2);
SELECT mulberry.confirm_voice_key('pi', 2);
SELECT mulberry.rotate_voice_key('pi');
\set VERBOSITY terse
RESET ROLE;
SELECT mulberry_internal.sign_command(:command);
-- nobody can say any more what the destroyed key has signed
SELECT v.verdict FROM commands c,
       mulberry_internal.verify_ack_frame(c.tenant, c.agent, c.key_id, c.counter, c.message_digest,
                                          mulberry_internal.take_ack(mulberry_internal.build_ack(:'edge', :'agent', 2, 1, 1, :counter, :'digest'))) v
 WHERE c.id = :command;

-- Ids: those never used first, then those that ended longest ago; a hundred at a time.
SET ROLE regress_admin;
SELECT mulberry.create_voice_key('pi');
SELECT min(n), max(n), count(*) FROM (SELECT mulberry.create_voice_key('pi') AS n FROM generate_series(4, 102)) AS made;
\set VERBOSITY default
SELECT mulberry.create_voice_key('pi');
\set VERBOSITY terse
SELECT mulberry.disable_voice_key('pi', 50), mulberry.disable_voice_key('pi', 20);
SELECT mulberry.create_voice_key('pi');
SELECT mulberry.create_voice_key('pi');
RESET ROLE;

-- Everything is on record.
SELECT action, outcome, count(*) FROM audit WHERE action LIKE 'VOICE_KEY%' GROUP BY 1, 2 ORDER BY 1, 2;

SELECT item, status FROM mulberry.health() WHERE item = 'voice keys';
DELETE FROM secrets;
DROP OWNED BY regress_admin, regress_south_admin, regress_operator;
DROP ROLE regress_admin, regress_south_admin, regress_operator;
