-- Bearer tokens, and transactions that are narrowed to one.
SET client_min_messages = warning;
CREATE ROLE regress_gate;
CREATE ROLE regress_gate_north;
CREATE ROLE regress_north;
RESET client_min_messages;
\set VERBOSITY sqlstate
\set SHOW_CONTEXT never
SELECT mulberry.create_tenant('tok-north') IS NOT NULL AS made, mulberry.create_tenant('tok-south') IS NOT NULL AS made_too;
SELECT mulberry.grant_access('regress_gate', 'gateway', NULL);
SELECT mulberry.grant_access('regress_gate_north', 'gateway', 'tok-north');
SELECT mulberry.grant_access('regress_north', 'admin', 'tok-north');
SELECT status FROM mulberry.ingest_packet('tokens_n', 0, 'north says', NULL, 'text', NULL, 'tok-north');
SELECT status FROM mulberry.ingest_packet('tokens_s', 0, 'south says', NULL, 'text', NULL, 'tok-south');

-- Who gets one: a name, once; nobody gives more than he holds.
SET ROLE regress_north;
SELECT mulberry.create_token('pbx', 'ingest', 'tok-north') AS pbx \gset
SELECT mulberry.create_token('desk', 'supervisor', 'tok-north', now() + interval '1 hour') AS desk \gset
SELECT mulberry.create_token('chief', 'admin', 'tok-north') AS chief \gset
SELECT mulberry.create_token('pbx', 'ingest', 'tok-north');
SELECT mulberry.create_token('pbx', 'ingest', 'tok-south');
SELECT mulberry.create_token('pbx', 'ingest', 'nowhere');
SELECT mulberry.create_token('pbx', 'ingest');
SELECT mulberry.create_token('pbx', 'ingest', NULL);
SELECT mulberry.create_token('x', 'gateway', 'tok-north');
SELECT mulberry.create_token('x', 'worker', 'tok-north');
SELECT mulberry.create_token('x', 'king', 'tok-north');
SELECT mulberry.create_token('x', NULL, 'tok-north');
SELECT mulberry.create_token('X', 'ingest', 'tok-north');
SELECT mulberry.create_token(NULL, 'ingest', 'tok-north');
SELECT mulberry.create_token('x', 'ingest', 'tok-north', now());
SELECT mulberry.create_token('x', 'ingest', 'tok-north', 'infinity');
RESET ROLE;
SELECT mulberry.create_token('pbx', 'ingest', 'tok-south') AS south_pbx \gset
SELECT mulberry.create_token('all', 'supervisor', NULL) AS everything \gset
SELECT :'pbx' ~ '^mulberry_[A-Za-z0-9_-]{43}$' AS opaque, :'pbx' <> :'south_pbx' AS own;
SELECT count(*) AS stored_nowhere FROM mulberry_internal.tokens t WHERE t::text ~ :'pbx';
SELECT t.name FROM mulberry_internal.tenants t JOIN mulberry_internal.tokens k ON k.tenant = t.id WHERE k.digest = sha256(:'pbx');
SELECT name, access, tenant, expires_at IS NOT NULL AS expires, last_used_at FROM mulberry.tokens ORDER BY tenant, name;
SET ROLE regress_north;
SELECT name, access, tenant FROM mulberry.tokens ORDER BY name;
SELECT action, evidence - 'expires_at' AS evidence FROM mulberry.audit_log ORDER BY id;
RESET ROLE;

-- What one is worth.
SET ROLE regress_north;
SELECT mulberry.authenticate(:'pbx');
RESET ROLE;
SET ROLE regress_gate;
SELECT mulberry.held_access(t.id), t.name FROM (VALUES ('6d756c62-6572-7279-8000-000000000001'::uuid, 'default')) AS t (id, name);
SELECT cardinality(mulberry.current_tenants()) > 1 AS several;
BEGIN;
SELECT name, access, tenant, expires_at, seconds_left, id IS NOT NULL AS id FROM mulberry.authenticate(:'pbx');
SELECT cardinality(mulberry.current_tenants()) AS tenants, cardinality(mulberry.current_tenants('supervisor', 'gateway')) AS of_others;
SELECT name, access FROM mulberry.tenant_access;
SELECT call_id FROM mulberry.call_status ORDER BY 1;
SELECT status, total_received FROM mulberry.ingest_packet('tokens_n', 1, 'more', NULL, 'text');
SAVEPOINT a;
SELECT mulberry.ingest_packet('tokens_s', 1, 'more', NULL, 'text', NULL, 'tok-south');
ROLLBACK TO a;
SELECT * FROM mulberry.call_packets;
SELECT * FROM mulberry.events_since(0, 10);
ROLLBACK TO a;
\set VERBOSITY terse
SELECT * FROM mulberry.events_since(0, 10);
\set VERBOSITY sqlstate
COMMIT;
-- is gone at its end, a failed one as well
SELECT cardinality(mulberry.current_tenants()) > 1 AS several, count(*) > 1 AS calls FROM mulberry.call_status;
BEGIN;
SELECT name FROM mulberry.authenticate(:'desk');
SELECT 1 / 0;
ROLLBACK;
SELECT cardinality(mulberry.current_tenants()) > 1 AS several;
BEGIN;
SELECT name, seconds_left BETWEEN 3500 AND 3600 AS an_hour FROM mulberry.authenticate(:'desk');
SELECT call_id, sequence FROM mulberry.call_packets ORDER BY 1, 2;
ROLLBACK;
BEGIN;
SELECT name, tenant FROM mulberry.authenticate(:'everything');
SELECT call_id, sequence FROM mulberry.call_packets WHERE call_id IN ('tokens_n', 'tokens_s') ORDER BY 1, 2;
ROLLBACK;

-- Nothing takes it back: savepoints, other roles, a second token, an exception, a setting.
BEGIN;
SAVEPOINT before;
SELECT name FROM mulberry.authenticate(:'pbx');
ROLLBACK TO before;
SELECT cardinality(mulberry.current_tenants()) AS tenants;
SAVEPOINT again;
SELECT mulberry.authenticate(:'south_pbx');
ROLLBACK TO again;
SELECT mulberry.authenticate_anonymous('ingest', 'tok-south');
ROLLBACK TO again;
DISCARD TEMP;
RESET ALL;
SELECT set_config('my.token', '', true), set_config('role', 'none', true);
SELECT cardinality(mulberry.current_tenants()) AS tenants, (SELECT count(*) FROM mulberry.call_status) AS calls;
RESET ROLE;
SELECT cardinality(mulberry.current_tenants()) AS of_a_superuser;
SET ROLE regress_north;
SELECT cardinality(mulberry.current_tenants()) AS of_another_role;
ROLLBACK;
SET ROLE regress_gate;
BEGIN;
DO $$
BEGIN
    PERFORM mulberry.authenticate('mulberry_nonsense');
EXCEPTION WHEN OTHERS THEN
    NULL;
END
$$;
SELECT cardinality(mulberry.current_tenants()) AS tenants, (SELECT count(*) FROM mulberry.call_status) AS calls;
SELECT mulberry.authenticate(:'pbx');
ROLLBACK;
-- a prepared statement was planned for more
PREPARE look AS SELECT count(*) FROM mulberry.call_status WHERE call_id IN ('tokens_n', 'tokens_s');
EXECUTE look;
EXECUTE look;
BEGIN;
SELECT name FROM mulberry.authenticate(:'pbx');
EXECUTE look;
COMMIT;
EXECUTE look;

-- Tokens that do not count.
\set VERBOSITY terse
SELECT mulberry.authenticate('');
SELECT mulberry.authenticate(NULL);
SELECT mulberry.authenticate(repeat('x', 255));
SELECT mulberry.authenticate(upper(:'pbx'));
SELECT mulberry.authenticate(encode(sha256(:'pbx'), 'hex'));
\set VERBOSITY sqlstate
SELECT mulberry.authenticate('');
SELECT mulberry.authenticate(repeat('x', 256));
RESET ROLE;
UPDATE mulberry_internal.tokens SET expires_at = now() - interval '1 second' WHERE name = 'desk';
SET ROLE regress_gate;
SELECT mulberry.authenticate(:'desk');
SET ROLE regress_gate_north;
SELECT mulberry.authenticate(:'south_pbx');
SELECT mulberry.authenticate(:'everything');
SELECT name FROM mulberry.authenticate(:'pbx');
RESET ROLE;

-- A gateway that loses its access loses it in the transaction of a token.
BEGIN;
SET LOCAL ROLE regress_gate_north;
SELECT name FROM mulberry.authenticate(:'pbx');
SELECT cardinality(mulberry.current_tenants()) AS tenants;
RESET ROLE;
DELETE FROM mulberry_internal.members WHERE role = 'regress_gate_north'::regrole;
SET LOCAL ROLE regress_gate_north;
SELECT cardinality(mulberry.current_tenants()) AS tenants;
ROLLBACK;

-- Somebody without a token: what the gateway's role holds itself, of one access to one tenant.
SET ROLE regress_gate;
BEGIN;
SELECT mulberry.authenticate_anonymous('ingest', 'tok-north');
SELECT name, access FROM mulberry.tenant_access;
ROLLBACK;
SELECT mulberry.authenticate_anonymous('operator', 'tok-north');
SELECT mulberry.authenticate_anonymous('ingest', 'nowhere');
SELECT mulberry.authenticate_anonymous('king', 'tok-north');
SELECT mulberry.authenticate_anonymous(NULL, 'tok-north');
SET ROLE regress_gate_north;
SELECT mulberry.authenticate_anonymous('ingest', 'tok-south');
BEGIN;
SAVEPOINT a;
SELECT mulberry.authenticate_anonymous('ingest', 'tok-south');
ROLLBACK TO a;
SELECT cardinality(mulberry.current_tenants()) AS tenants;
ROLLBACK;
RESET ROLE;

-- The audit log tells which token it was.
SELECT mulberry.grant_access('regress_gate', 'operator', 'tok-north');
SET ROLE regress_gate;
BEGIN;
SELECT mulberry.authenticate_anonymous('operator', 'tok-north');
SELECT name, access FROM mulberry.tenant_access;
ROLLBACK;
RESET ROLE;
BEGIN;
SELECT mulberry.create_agent('pi', '+821012345671', tenant => 'tok-north') IS NOT NULL AS made;
SELECT mulberry.create_token('ops', 'operator', 'tok-north') AS ops \gset
SET LOCAL ROLE regress_gate;
SELECT name FROM mulberry.authenticate(:'ops');
SELECT mulberry.create_mandate('10000000', 'pi', 'sponsor', 100, 'USD', now() + interval '1 day') IS NOT NULL AS made;
RESET ROLE;
SELECT role, action, evidence->>'token' AS token FROM mulberry_internal.audit WHERE mandate = '10000000' ORDER BY id;
ROLLBACK;

-- Uses, which gateways tell of now and then.
SET ROLE regress_gate_north;
SELECT mulberry.note_token_uses(array_agg(id)) FROM mulberry_internal.tokens;
RESET ROLE;
SELECT array_agg(id) AS ids FROM mulberry_internal.tokens \gset
SET ROLE regress_gate_north;
SELECT mulberry.note_token_uses(:'ids');
SELECT mulberry.note_token_uses(:'ids');
SELECT mulberry.note_token_uses(NULL);
RESET ROLE;
SELECT name, tenant FROM mulberry.tokens WHERE last_used_at IS NOT NULL ORDER BY tenant, name;

-- Revoked.
SET ROLE regress_north;
SELECT mulberry.revoke_token('pbx', 'tok-south');
SELECT mulberry.revoke_token('pbx');
SELECT mulberry.revoke_token('nobody', 'tok-north');
SELECT mulberry.revoke_token('all', NULL);
SELECT mulberry.revoke_token(NULL, 'tok-north');
SELECT mulberry.revoke_token('pbx', 'tok-north');
SELECT mulberry.create_token('pbx', 'ingest', 'tok-north') <> :'pbx' AS another;
RESET ROLE;
SET ROLE regress_gate;
SELECT mulberry.authenticate(:'pbx');
-- in the transaction that works for it
RESET ROLE;
BEGIN;
SELECT name FROM mulberry.authenticate(:'chief');
SELECT cardinality(mulberry.current_tenants('admin')) AS tenants;
SELECT mulberry.revoke_token('chief', 'tok-north');
SELECT cardinality(mulberry.current_tenants('admin')) AS tenants;
ROLLBACK;

-- A session of a gateway's that holds nothing before it says for whom it works.
\c -
SET ROLE regress_gate;
SELECT count(*) > 1 AS calls FROM mulberry.call_status WHERE call_id IN ('tokens_n', 'tokens_s');
SELECT mulberry.require_authentication();
SELECT count(*) AS calls FROM mulberry.call_status;
\set VERBOSITY terse
SELECT mulberry.ingest_packet('tokens_n', 7, 'x', NULL, 'text', NULL, 'tok-north');
BEGIN;
SELECT mulberry.authenticate_anonymous('ingest', 'tok-north');
SELECT call_id FROM mulberry.call_status;
COMMIT;
SELECT count(*) AS calls FROM mulberry.call_status;
DISCARD ALL;
SET ROLE regress_gate;
SELECT count(*) AS calls FROM mulberry.call_status;
\c -
SET ROLE regress_north;
SELECT mulberry.require_authentication();
RESET ROLE;

-- Tokens of a tenant keep nothing, and go with it.
SELECT mulberry.create_tenant('tok-west') IS NOT NULL AS made;
INSERT INTO mulberry_internal.tokens (tenant, name, access, digest, created_by)
SELECT id, 'x', 'ingest', sha256('x'), 'me' FROM mulberry_internal.tenants WHERE name = 'tok-west';
SELECT mulberry.drop_tenant('tok-west');
SELECT count(*) FROM mulberry_internal.tokens WHERE name = 'x';

SELECT mulberry.revoke_token(name, tenant) FROM mulberry.tokens ORDER BY tenant, name;
SET client_min_messages = warning;
SELECT mulberry.erase_call('tokens_n', 'tok-north') IS NOT NULL AS erased, mulberry.erase_call('tokens_s', 'tok-south') IS NOT NULL AS erased_too;
SELECT mulberry.revoke_access('regress_gate', 'gateway', NULL), mulberry.revoke_access('regress_gate', 'operator', 'tok-north'),
       mulberry.revoke_access('regress_gate_north', 'gateway', 'tok-north'), mulberry.revoke_access('regress_north', 'admin', 'tok-north');
DROP ROLE regress_gate, regress_gate_north, regress_north;
