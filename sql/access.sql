-- Tenants, members and who may do what.
SET client_min_messages = warning;
CREATE ROLE regress_ann;
CREATE ROLE regress_bob;
CREATE ROLE regress_team;
CREATE ROLE regress_guest NOINHERIT;
CREATE ROLE "regress Odd ""role";
CREATE ROLE regress_boss;
GRANT regress_team TO regress_bob, regress_guest;
RESET client_min_messages;
\set VERBOSITY terse
\set SHOW_CONTEXT never

-- A fresh install has one tenant, whose id never changes.
SELECT id, name, default_encoding, default_sample_rate, retention FROM mulberry_internal.tenants;

-- Tenants.
SELECT mulberry.create_tenant('north') IS NOT NULL AS made;
SELECT mulberry.create_tenant('south', 'mulaw', 8000, '30 days') IS NOT NULL AS made;
\set VERBOSITY sqlstate
SELECT mulberry.create_tenant('north');
SELECT mulberry.create_tenant(NULL);
SELECT mulberry.create_tenant('North');
SELECT mulberry.create_tenant('');
SELECT mulberry.create_tenant(repeat('x', 64));
SELECT mulberry.create_tenant('x', 'mp3');
SELECT mulberry.create_tenant('x', 's16le', 11025);
SELECT mulberry.create_tenant('x', retention => '-1 day');
SELECT mulberry.alter_tenant('west', 'mulaw');
SELECT mulberry.alter_tenant('north', 'mp3');
SELECT mulberry.alter_tenant('north', retention => '1 day', reset_retention => true);
\set VERBOSITY terse
SELECT mulberry.create_tenant('x', 'mp3');
SELECT mulberry.create_tenant('north');
SELECT mulberry.alter_tenant('north', 'alaw', retention => '1 year');
SELECT mulberry.alter_tenant('south', reset_retention => true);
SELECT name, default_encoding, default_sample_rate, retention FROM mulberry.tenant_access ORDER BY name;

-- What an access is, and what it includes.
SELECT a AS access, mulberry_internal.access_includes(a) FROM unnest(mulberry_internal.access_names()) a;

-- Granting.
SELECT mulberry.grant_access('regress_ann', 'ingest', 'north');
SELECT mulberry.grant_access('regress_team', 'supervisor', 'south');
SELECT mulberry.grant_access('regress_team', 'operator', 'north');
SELECT mulberry.grant_access('"regress Odd ""role"', 'auditor', NULL);
SELECT mulberry.grant_access('regress_ann', 'ingest', 'north');     -- again: nothing changes
SELECT role, access, tenant, granted_by = CURRENT_USER AS by_us FROM mulberry.memberships
 ORDER BY role::text COLLATE "C", access, tenant;
SELECT has_schema_privilege('regress_ann', 'mulberry', 'USAGE') AS schema,
       has_function_privilege('regress_ann', 'mulberry.current_tenants(text[])', 'EXECUTE') AS own,
       has_function_privilege('regress_ann', 'mulberry.grant_access(regrole, text, text)', 'EXECUTE') AS admins;

-- Mistakes say what is allowed and change nothing.
SELECT mulberry.grant_access('regress_ann', 'boss');
SELECT mulberry.grant_access('regress_ann', 'ingest', 'west');
SELECT mulberry.grant_access('regress_nobody', 'ingest');
SELECT mulberry.grant_access('-', 'ingest');
SELECT mulberry.grant_access('4000000000', 'ingest');
SELECT mulberry.grant_access('regress_ann', 'worker');
SELECT mulberry.revoke_access('regress_ann', 'boss');
SELECT mulberry.revoke_access('regress_ann', 'ingest', 'south');
SELECT mulberry.revoke_access('regress_ann', 'supervisor', 'north');
\set VERBOSITY sqlstate
SELECT mulberry.grant_access('regress_ann', 'boss');
SELECT mulberry.grant_access(NULL, 'ingest');
SELECT mulberry.grant_access('regress_ann', NULL);
SELECT mulberry.grant_access('regress_ann', 'ingest', 'west');
SELECT mulberry.grant_access('-', 'ingest');
SELECT mulberry.grant_access('regress_ann', 'worker');
SELECT mulberry.revoke_access('regress_ann', 'ingest', 'south');
\set VERBOSITY terse
SELECT count(*) FROM mulberry_internal.members;

-- Asking, as each of them.  SET ROLE is followed.
SELECT name, access FROM mulberry.tenant_access ORDER BY name;
SET ROLE regress_ann;
SELECT name, access FROM mulberry.tenant_access ORDER BY name;
SELECT cardinality(mulberry.current_tenants()) AS any_access, cardinality(mulberry.current_tenants('ingest')) AS ingest,
       cardinality(mulberry.current_tenants('supervisor', 'admin')) AS others;
SELECT mulberry.current_tenants('boss');
SELECT mulberry.current_tenants(NULL::text);
SELECT mulberry.create_tenant('mine');
SELECT mulberry.grant_access('regress_ann', 'admin');
SELECT * FROM mulberry.memberships;
SELECT * FROM mulberry_internal.tenants;
SELECT * FROM mulberry_internal.members;
SELECT mulberry_internal.resolve_tenant('north', 'ingest');
-- A member's rights are inherited …
SET ROLE regress_bob;
SELECT name, access FROM mulberry.tenant_access ORDER BY name;
-- … but not by who does not inherit.
SET ROLE regress_guest;
SELECT name FROM mulberry.tenant_access;
SET ROLE regress_team;
SELECT name FROM mulberry.tenant_access ORDER BY name;
SET ROLE "regress Odd ""role";
SELECT name, access FROM mulberry.tenant_access ORDER BY name;
SELECT role, access, tenant FROM mulberry.memberships ORDER BY role::text COLLATE "C", access, tenant;
RESET ROLE;

-- SECURITY DEFINER is not followed: a function of the superuser does not lend it.
CREATE FUNCTION lend() RETURNS bigint LANGUAGE sql SECURITY DEFINER
    AS 'SELECT cardinality(mulberry.current_tenants())::bigint';
SET ROLE regress_ann;
SELECT lend();
RESET ROLE;
SELECT lend();
DROP FUNCTION lend();

-- Which tenant a call is about, for functions of the owner.
CREATE FUNCTION resolve(name text, VARIADIC access text[]) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    RETURN (SELECT t.name FROM mulberry_internal.tenants t WHERE t.id = mulberry_internal.resolve_tenant(resolve.name, VARIADIC access));
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;
SELECT resolve(NULL, 'ingest') AS superuser, resolve('south', 'ingest') AS named, resolve('west', 'ingest') AS unknown;
SET ROLE regress_ann;
SELECT resolve(NULL, 'ingest') AS only_one, resolve('north', 'ingest') AS named;
-- another's tenant cannot be told from none, whatever is asked for
SELECT resolve('south', 'ingest') AS anothers, resolve('west', 'ingest') AS none;
SELECT resolve('north', 'admin') AS no_such_access, resolve('west', 'admin') AS none;
SET ROLE regress_bob;
SELECT resolve(NULL, 'operator') AS only_one, resolve(NULL, 'supervisor') AS which;
RESET ROLE;
SELECT mulberry.grant_access('regress_team', 'supervisor');
SET ROLE regress_bob;
SELECT resolve(NULL, 'supervisor') AS the_default;
RESET ROLE;
SELECT mulberry.revoke_access('regress_team', 'supervisor');

-- Parallel plans of views give the same.
SELECT name AS parallel FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query') \gset
SET :parallel = on;
SET ROLE regress_bob;
SELECT name FROM mulberry.tenant_access ORDER BY name;
RESET ROLE;
-- A function that is wrongly marked safe finds no rights in a worker, not the leader's.
CREATE FUNCTION wrongly_safe() RETURNS boolean LANGUAGE plpgsql PARALLEL SAFE AS
    $$ BEGIN RETURN cardinality(mulberry.current_tenants()) > 0; END $$;
SELECT wrongly_safe();
RESET :parallel;
DROP FUNCTION wrongly_safe();

-- Revoking takes back what nothing else needs.
SET ROLE regress_bob;
SELECT name FROM mulberry.tenant_access ORDER BY name;
RESET ROLE;
SELECT mulberry.revoke_access('regress_team', 'operator', 'north');
SELECT has_function_privilege('regress_bob', 'mulberry.health()', 'EXECUTE') AS operators,
       has_table_privilege('regress_bob', 'mulberry.tenant_access', 'SELECT') AS supervisors_too;
SET ROLE regress_bob;
SELECT name FROM mulberry.tenant_access ORDER BY name;
RESET ROLE;
SELECT mulberry.revoke_access('regress_team', 'supervisor', 'south');
SELECT has_schema_privilege('regress_bob', 'mulberry', 'USAGE') AS schema,
       has_table_privilege('regress_bob', 'mulberry.tenant_access', 'SELECT') AS view;

-- A grant counts at once in its own transaction, and not at all when it rolls back.
BEGIN;
SELECT mulberry.grant_access('regress_ann', 'admin', NULL);
SET ROLE regress_ann;
SELECT name, access FROM mulberry.tenant_access ORDER BY name;
ROLLBACK;
SET ROLE regress_ann;
SELECT name, access FROM mulberry.tenant_access ORDER BY name;
RESET ROLE;
BEGIN;
SAVEPOINT one;
SELECT mulberry.grant_access('regress_ann', 'supervisor', 'south');
SET LOCAL ROLE regress_ann;
SELECT name, access FROM mulberry.tenant_access ORDER BY name;
ROLLBACK TO one;
SET LOCAL ROLE regress_ann;
SELECT name, access FROM mulberry.tenant_access ORDER BY name;
COMMIT;

-- An admin of all tenants administers; one of a single tenant does not.
SELECT mulberry.grant_access('regress_boss', 'admin', 'north');
SET ROLE regress_boss;
SELECT mulberry.grant_access('regress_bob', 'ingest', 'north');
SELECT mulberry.create_tenant('east');
SELECT mulberry.alter_tenant('north', default_sample_rate => 8000);
SELECT mulberry.alter_tenant('south', default_sample_rate => 8000);
SELECT mulberry.alter_tenant('west', default_sample_rate => 8000);
SELECT role, access, tenant FROM mulberry.memberships ORDER BY role::text COLLATE "C", access, tenant;
RESET ROLE;
SELECT mulberry.grant_access('regress_boss', 'admin', NULL);
SET ROLE regress_boss;
SELECT mulberry.grant_access('regress_bob', 'ingest', 'north');
SELECT mulberry.create_tenant('east') IS NOT NULL AS made;
SELECT role, access, tenant, granted_by FROM mulberry.memberships
 WHERE role = 'regress_bob'::regrole;
SELECT mulberry.revoke_access('regress_bob', 'ingest', 'north');
RESET ROLE;

-- What a tenant still has keeps it; otherwise its members go with it.
SELECT mulberry.drop_tenant('default');
SELECT mulberry.drop_tenant('west');
SELECT mulberry.grant_access('regress_bob', 'ingest', 'east');
INSERT INTO mulberry_internal.secrets (tenant, name, nonce, ciphertext, tag, key_fingerprint)
SELECT id, 'x', decode(repeat('00', 12), 'hex'), 'x', decode(repeat('00', 16), 'hex'), repeat('0', 32)
  FROM mulberry_internal.tenants WHERE name = 'east';
SELECT mulberry.drop_tenant('east');
DELETE FROM mulberry_internal.secrets;
SELECT mulberry.drop_tenant('east');
SELECT has_schema_privilege('regress_bob', 'mulberry', 'USAGE') AS schema;
SELECT count(*) FROM mulberry_internal.members WHERE role = 'regress_bob'::regrole;

-- Row level security: a role that was granted a table by mistake sees nothing of it.
GRANT USAGE ON SCHEMA mulberry_internal TO regress_ann;
GRANT SELECT, INSERT, UPDATE, DELETE ON mulberry_internal.tenants, mulberry_internal.members TO regress_ann;
SET ROLE regress_ann;
SELECT count(*) FROM mulberry_internal.tenants;
SELECT count(*) FROM mulberry_internal.members;
INSERT INTO mulberry_internal.members (role, access, granted_by) VALUES ('regress_ann', 'admin', 'me');
UPDATE mulberry_internal.members SET tenant = NULL;
DELETE FROM mulberry_internal.tenants;
RESET ROLE;
REVOKE ALL ON mulberry_internal.tenants, mulberry_internal.members FROM regress_ann;
REVOKE ALL ON SCHEMA mulberry_internal FROM regress_ann;

-- refresh_grants() gives back what a restore without privileges has lost.
REVOKE USAGE ON SCHEMA mulberry FROM regress_ann;
REVOKE EXECUTE ON FUNCTION mulberry.current_tenants(text[]) FROM regress_ann;
SELECT status, detail ~ '^missing are [0-9]+ rights of members, as EXECUTE on .* to regress_ann$' AS named, hint
  FROM mulberry.health() WHERE item = 'members';
SELECT mulberry.refresh_grants();
SELECT item, status, detail FROM mulberry.health() WHERE item = 'members';

-- A role that is dropped leaves; its number must not become somebody else's access.
DROP ROLE regress_boss;
DROP OWNED BY regress_boss;
DROP ROLE regress_boss;
SELECT status, hint FROM mulberry.health() WHERE item = 'members';
SELECT mulberry.grant_access('regress_bob', 'ingest', 'north');
SELECT status FROM mulberry.health() WHERE item = 'members';

-- Outgoing work belongs to one server and database.
SELECT mulberry.outbound_allowed();
BEGIN;
UPDATE mulberry_internal.installation SET system_identifier = system_identifier + 1;
SELECT mulberry.outbound_allowed();
SELECT status, detail FROM mulberry.health() WHERE item = 'outgoing work';
SELECT mulberry.resume_outbound() AS was_held;
SELECT mulberry.outbound_allowed();
SELECT mulberry.resume_outbound() AS was_held;
UPDATE mulberry_internal.installation SET database = 1;
SELECT mulberry.outbound_allowed();
DELETE FROM mulberry_internal.installation;
SELECT mulberry.outbound_allowed();
ROLLBACK;
SELECT mulberry.outbound_allowed();
-- A dump brings the default tenant again: its settings count, and outgoing work is held.
BEGIN;
COPY mulberry_internal.tenants (id, name, default_encoding, default_sample_rate, retention, created_at) FROM stdin;
6d756c62-6572-7279-8000-000000000001	default	alaw	8000	7 days	2024-01-01
\.
SELECT name, default_encoding, default_sample_rate, retention FROM mulberry_internal.tenants WHERE name = 'default';
SELECT mulberry.outbound_allowed();
ROLLBACK;

-- The rights of members are looked up: all functions are read a few times, not once for each right.
BEGIN;
-- what was read before may be counted still
SELECT seq_tup_read AS read FROM pg_stat_xact_sys_tables WHERE relid = 'pg_proc'::regclass \gset
SELECT detail FROM mulberry.health() WHERE item = 'members';
SELECT seq_tup_read - :read < 10 * (SELECT count(*) FROM pg_proc) AS looked_up FROM pg_stat_xact_sys_tables WHERE relid = 'pg_proc'::regclass;
ROLLBACK;

SELECT mulberry.revoke_access('regress_bob', 'ingest', 'north');
SELECT mulberry.revoke_access('regress_ann', 'ingest', 'north');
SELECT mulberry.revoke_access('"regress Odd ""role"', 'auditor', NULL);
SELECT mulberry.drop_tenant('north');
SELECT mulberry.drop_tenant('south');
DROP ROLE regress_ann, regress_bob, regress_team, regress_guest, "regress Odd ""role";
SELECT count(*) FROM mulberry_internal.members;
