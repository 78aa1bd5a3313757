-- The audit log: append-only, chained as core/audit_record.h says, and what verify_audit() finds.
\getenv srcdir PG_ABS_SRCDIR
\set errors :srcdir '/sql/include/errors.sql'
SET client_min_messages = warning;
SET timezone = 'UTC';
\i :errors
CREATE ROLE regress_a_auditor;
CREATE ROLE regress_a_operator;
CREATE ROLE regress_a_other;
CREATE ROLE regress_a_boss;
RESET client_min_messages;
\set VERBOSITY terse
\set SHOW_CONTEXT never
SELECT mulberry.create_tenant('ledger') AS ledger \gset
SELECT mulberry.create_tenant('rival') AS rival \gset
SELECT mulberry.create_tenant('quiet') AS quiet \gset
SELECT mulberry.grant_access('regress_a_auditor', 'auditor', 'ledger');
SELECT mulberry.grant_access('regress_a_operator', 'operator', 'ledger');
SELECT mulberry.grant_access('regress_a_other', 'auditor', 'rival');
SELECT mulberry.grant_access('regress_a_boss', 'auditor', NULL);

-- Nothing yet.
SELECT * FROM mulberry.verify_audit('ledger');
SELECT * FROM mulberry.audit_head('ledger');

-- Rows of all kinds: every column null and not, numbers at their ends, JSON of all kinds, several tenants.
SELECT mulberry.create_agent('pi', id => '00000000-0000-4000-8000-00000000000d', tenant => 'ledger');
SELECT mulberry_internal.record_audit(:'ledger', 'first', 'applied');
SELECT mulberry_internal.record_audit(:'rival', 'elsewhere', 'applied');
SET ROLE regress_a_operator;
SELECT mulberry.create_mandate('12345678', 'pi', 'Acme', 100, 'EUR', '2100-01-01');
SELECT accepted FROM mulberry.spend('12345678', 60, 'a');
SELECT accepted FROM mulberry.spend('12345678', 60, 'b');
RESET ROLE;
SELECT mulberry_internal.record_audit(:'ledger', 'all', 'forgery', '12345678', '00000000-0000-4000-8000-00000000000d', -1, 'voice',
                             '{"b": 1.00, "aa": null, "nested": {"list": [1, "x\"\\y", true]}, "empty": ""}');
SELECT mulberry_internal.record_audit(:'ledger', '', '', '', '00000000-0000-4000-8000-00000000000e', 9223372036854775807, '', '[]');
INSERT INTO mulberry_internal.audit (tenant, role, action, outcome, at) VALUES (:'ledger', 'x', 'early', 'x', '1902-03-04 05:06:07.089+00');
SELECT count(*) FILTER (WHERE seq IS NULL) = count(*) AS unlinked FROM mulberry.audit_log WHERE tenant = 'ledger';
SELECT * FROM mulberry.verify_audit('ledger');
SELECT seq, nullif(role, session_user) AS role, action, outcome, method, mandate_id, agent, agent_id, command_id, evidence, length(hash) AS hash
  FROM mulberry.audit_log WHERE tenant = 'ledger' ORDER BY seq;

-- The bytes that are hashed, put together without our code.
CREATE FUNCTION pg_temp.part(value bytea) RETURNS bytea LANGUAGE sql AS $$
    SELECT CASE WHEN value IS NULL THEN '\xffffffff' ELSE int4send(octet_length(value)) || value END
$$;
CREATE FUNCTION pg_temp.hash_of(r mulberry_internal.audit, previous bytea) RETURNS bytea LANGUAGE sql AS $$
    SELECT sha256('MLBA'::bytea || '\x01' || coalesce(previous, decode(repeat('00', 32), 'hex')) || uuid_send(r.tenant)
                  || int8send(r.seq) || int8send(r.id) || int8send((extract(epoch FROM r.at) * 1000000)::bigint)
                  || pg_temp.part(convert_to(r.role::text, 'UTF8')) || pg_temp.part(convert_to(r.action, 'UTF8'))
                  || pg_temp.part(convert_to(r.outcome, 'UTF8')) || pg_temp.part(convert_to(r.method, 'UTF8'))
                  || pg_temp.part(convert_to(r.mandate, 'UTF8')) || pg_temp.part(uuid_send(r.agent))
                  || pg_temp.part(int8send(r.command)) || pg_temp.part(convert_to(r.evidence::text, 'UTF8')))
$$;
SELECT a.seq, a.hash = pg_temp.hash_of(a, b.hash) AS as_documented
  FROM mulberry_internal.audit a
  LEFT JOIN mulberry_internal.audit b ON b.tenant = a.tenant AND b.seq = a.seq - 1
 WHERE a.tenant = :'ledger'
 ORDER BY a.seq;

-- Rows stay as they are, whoever tries; linking is for link_audit() alone.
SELECT statement, pg_temp.error_of(statement) AS error
  FROM unnest(ARRAY[
       'UPDATE mulberry_internal.audit SET outcome = ''applied'' WHERE action = ''all''',
       'UPDATE mulberry_internal.audit SET seq = seq WHERE action = ''all''',
       'UPDATE mulberry_internal.audit SET hash = sha256(hash) WHERE action = ''all''',
       'DELETE FROM mulberry_internal.audit WHERE action = ''all''',
       'TRUNCATE mulberry_internal.audit']) AS statement;
SELECT mulberry_internal.record_audit(:'ledger', 'fresh', 'applied');
UPDATE mulberry_internal.audit SET seq = 99, hash = sha256('') WHERE action = 'fresh';
UPDATE mulberry_internal.audit SET seq = NULL, hash = NULL WHERE action = 'all';
SELECT mulberry_internal.link_audit();
SELECT mulberry_internal.link_audit(0);
SELECT mulberry_internal.link_audit(10001);
SELECT mulberry_internal.link_audit();

-- The order of commits counts where it can be seen, not that of a rollback's holes.
BEGIN;
SELECT mulberry_internal.record_audit(:'ledger', 'undone', 'applied');
ROLLBACK;
SELECT mulberry_internal.record_audit(:'ledger', 'kept', 'applied');
SELECT seq, hash AS kept_hash FROM mulberry.audit_head('ledger') \gset
SELECT :seq = (SELECT max(seq) FROM mulberry.audit_log WHERE tenant = 'ledger') AS is_the_last;
SELECT rows, first_broken, problem FROM mulberry.verify_audit('ledger', :seq, :'kept_hash');
-- in small batches
SELECT mulberry_internal.record_audit(:'ledger', 'batch ' || n, 'applied') FROM generate_series(1, 5) AS n \g /dev/null
SELECT mulberry_internal.link_audit(2), mulberry_internal.link_audit(2);
SELECT mulberry_internal.link_audit(2);
SELECT rows, first_broken, problem FROM mulberry.verify_audit('ledger', :seq, :'kept_hash');
SELECT rows AS last FROM mulberry.verify_audit('ledger') \gset

-- What somebody does who can switch triggers off, and what is found each time.
ALTER TABLE mulberry_internal.audit DISABLE TRIGGER guard_audit;
CREATE TEMP VIEW a AS SELECT * FROM mulberry_internal.audit WHERE tenant = (SELECT id FROM mulberry_internal.tenants WHERE name = 'ledger');
CREATE TEMP VIEW head AS SELECT * FROM mulberry_internal.audit_heads WHERE tenant = (SELECT id FROM mulberry_internal.tenants WHERE name = 'ledger');
CREATE FUNCTION pg_temp.found_after(deed text, kept_seq bigint DEFAULT NULL, kept_hash text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found record;
BEGIN
    BEGIN
        EXECUTE deed;
        -- the log as it is, before anything of it could be linked anew
        SELECT * INTO found
          FROM mulberry_internal.check_audit_chain((SELECT id FROM mulberry_internal.tenants WHERE name = 'ledger'), kept_seq, decode(kept_hash, 'hex'));
        RAISE EXCEPTION USING ERRCODE = 'MB001', MESSAGE = 'take it back';
    EXCEPTION WHEN SQLSTATE 'MB001' THEN
        RETURN format('%s fit, %s: %s', found.rows, coalesce(found.first_broken::text, 'none'), coalesce(found.problem, 'all is well'));
    END;
END
$$;
CREATE TEMP TABLE deeds (n serial, deed text);
\copy deeds (deed) FROM stdin
UPDATE a SET seq = seq
UPDATE a SET role = 'somebody' WHERE seq = 3
UPDATE a SET action = 'First' WHERE seq = 2
UPDATE a SET outcome = outcome || ' ' WHERE seq = 1
UPDATE a SET method = 'api' WHERE seq = 6
UPDATE a SET method = NULL WHERE seq = 6
UPDATE a SET mandate = NULL WHERE seq = 6
UPDATE a SET mandate = '' WHERE seq = 1
UPDATE a SET agent = gen_random_uuid() WHERE seq = 6
UPDATE a SET command = 1 WHERE seq = 6
UPDATE a SET evidence = jsonb_set(evidence, '{b}', '1.0') WHERE seq = 6
UPDATE a SET evidence = NULL WHERE seq = 7
UPDATE a SET at = at + interval '1 microsecond' WHERE seq = 8
UPDATE a SET id = -id WHERE seq = 5
UPDATE a SET action = outcome, outcome = action WHERE seq = 2
UPDATE a SET hash = sha256(hash) WHERE seq = 6
UPDATE a SET hash = 'x' WHERE seq = 6
UPDATE a SET tenant = (SELECT id FROM mulberry_internal.tenants WHERE name = 'quiet') WHERE seq = 4
DELETE FROM a WHERE seq = 1
DELETE FROM a WHERE seq = 5
DELETE FROM a WHERE seq BETWEEN 5 AND 7
DELETE FROM a WHERE seq = 5; UPDATE a SET seq = 1000 + seq WHERE seq > 5; UPDATE a SET seq = seq - 1001 WHERE seq > 1000; UPDATE head SET last_seq = last_seq - 1
UPDATE a SET seq = NULL, hash = NULL WHERE seq = 4
UPDATE a SET seq = 1000 WHERE seq = 4; UPDATE a SET seq = 4 WHERE seq = 5; UPDATE a SET seq = 5 WHERE seq = 1000
UPDATE a SET hash = (SELECT b.hash FROM a b WHERE b.seq = 9 - a.seq) WHERE seq IN (4, 5)
UPDATE a SET seq = seq + 1000 WHERE seq > 4; UPDATE a SET seq = seq - 999 WHERE seq > 1000; UPDATE head SET last_seq = last_seq + 1; INSERT INTO mulberry_internal.audit SELECT -1, tenant, at, role, action, outcome, method, mandate, agent, command, evidence, 5, hash FROM a WHERE seq = 4
INSERT INTO mulberry_internal.audit SELECT -1, tenant, at, role, action, outcome, method, mandate, agent, command, evidence, 0, hash FROM a WHERE seq = 1
DELETE FROM a WHERE seq = (SELECT last_seq FROM head)
DELETE FROM a WHERE seq > (SELECT last_seq - 3 FROM head)
UPDATE a SET seq = NULL, hash = NULL WHERE seq = (SELECT last_seq FROM head)
DELETE FROM a
DELETE FROM head
UPDATE head SET last_seq = last_seq - 1
UPDATE head SET hash = sha256(hash)
DELETE FROM a WHERE seq > 5; UPDATE head SET last_seq = 5, hash = (SELECT hash FROM a WHERE seq = 5)
DELETE FROM a; DELETE FROM head
\.
SELECT left(deed, 100) AS deed, pg_temp.found_after(deed) AS found FROM deeds ORDER BY n;
-- The last two cannot be found by the log alone, nor can one that was written anew by our own form ...
CREATE FUNCTION pg_temp.write_anew(since bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r        mulberry_internal.audit;
    previous bytea := (SELECT hash FROM a WHERE seq = since - 1);
BEGIN
    FOR r IN SELECT * FROM a WHERE seq >= since ORDER BY seq LOOP
        previous := pg_temp.hash_of(r, previous);
        UPDATE mulberry_internal.audit SET hash = previous WHERE id = r.id;
    END LOOP;
    UPDATE head SET hash = previous;
END
$$;
\set lie 'UPDATE a SET outcome = ''refused'' WHERE seq = 4; SELECT pg_temp.write_anew(4)'
SELECT pg_temp.found_after(:'lie') AS without_a_kept_head;
-- ... but by a head that was kept elsewhere.
SELECT deed, regexp_replace(pg_temp.found_after(deed, :seq, :'kept_hash'), 'row \d+', 'row N') AS with_a_kept_head
  FROM (SELECT deed FROM deeds WHERE n = 1 UNION ALL SELECT :'lie' UNION ALL SELECT deed FROM deeds WHERE n > (SELECT max(n) - 2 FROM deeds)) AS d;
ALTER TABLE mulberry_internal.audit ENABLE TRIGGER guard_audit;
SELECT rows = :last AS all_taken_back, first_broken, problem FROM mulberry.verify_audit('ledger', :seq, :'kept_hash');

-- A chain whose head is gone is not begun anew.
BEGIN;
DELETE FROM head;
SELECT mulberry_internal.record_audit(:'ledger', 'more', 'applied');
SELECT regexp_replace(pg_temp.error_of('SELECT mulberry_internal.link_audit()'), '[0-9a-f-]{36}', 'ID') AS refused;
ROLLBACK;

-- Errors of those who ask.
SELECT call, pg_temp.error_of('SELECT * FROM mulberry.' || call) AS error
  FROM unnest(ARRAY[
       $$verify_audit('nobody')$$, $$verify_audit('ledger', 1)$$, $$verify_audit('ledger', NULL, repeat('0', 64))$$,
       $$verify_audit('ledger', 0, repeat('0', 64))$$, $$verify_audit('ledger', 1, 'abc')$$, $$audit_head('nobody')$$,
       $$erase_audit_log(NULL)$$, $$erase_audit_log('nobody')$$, $$erase_audit_log('ledger')$$]) AS call;
BEGIN READ ONLY;
SELECT rows = :last AS readable, problem FROM mulberry.verify_audit('ledger');
SELECT mulberry_internal.link_audit();
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT rows = :last AS readable, problem FROM mulberry.verify_audit('ledger');
SELECT mulberry_internal.link_audit();
ROLLBACK;

-- Who may see what.
SET ROLE regress_a_auditor;
SELECT tenant, count(*) = :last AS all_rows FROM mulberry.audit_log GROUP BY tenant;
SELECT tenant, rows = :last AS all_rows, problem FROM mulberry.verify_audit();
SELECT seq = :last AS the_last FROM mulberry.audit_head();
SELECT * FROM mulberry.verify_audit('rival');
SELECT mulberry.erase_audit_log('ledger');
SELECT mulberry_internal.link_audit();
SET ROLE regress_a_other;
SELECT tenant, seq, action FROM mulberry.audit_log;
SELECT tenant, rows, problem FROM mulberry.verify_audit();
SET ROLE regress_a_boss;
SELECT tenant, problem FROM mulberry.verify_audit() WHERE tenant IN ('ledger', 'rival', 'quiet') ORDER BY tenant;
SELECT mulberry.erase_audit_log('ledger');
SET ROLE regress_a_operator;
SELECT count(*) FROM mulberry.audit_log;
SELECT mulberry.verify_audit();
INSERT INTO mulberry_internal.audit (tenant, role, action, outcome) VALUES (:'ledger', 'x', 'x', 'x');
SELECT mulberry_internal.record_audit(:'ledger', 'x', 'x');
RESET ROLE;

-- health() misses links that do not come.
BEGIN;
INSERT INTO mulberry_internal.audit (tenant, role, action, outcome, at) VALUES (:'ledger', 'x', 'old', 'x', now() - interval '2 minutes');
SELECT status, detail ~ '^[0-9]+ rows that are older than a minute are not linked$' AS said FROM mulberry.health() WHERE item = 'audit log';
ROLLBACK;
SELECT mulberry_internal.link_audit() >= 0 AS linked;
SELECT status, detail FROM mulberry.health() WHERE item = 'audit log';

-- Erasing, when nothing of the tenant's is left.
SELECT mulberry_internal.set_mandate_status(:'ledger', '12345678', 'REVOKED', 'cleared');
SELECT mulberry.drop_agent('pi', 'ledger');
SELECT mulberry.revoke_access('regress_a_auditor', 'auditor', 'ledger');
SELECT mulberry.revoke_access('regress_a_operator', 'operator', 'ledger');
SELECT mulberry.revoke_access('regress_a_other', 'auditor', 'rival');
SELECT mulberry.revoke_access('regress_a_boss', 'auditor', NULL);
DELETE FROM mulberry_internal.events WHERE tenant = :'ledger';
SELECT mulberry.drop_tenant('ledger');
SELECT seq AS last_seq, hash AS last_hash FROM mulberry.audit_head('ledger') \gset
SELECT rows = :last_seq AS rows, last_seq = :last_seq AS last_seq, hash = :'last_hash' AS hash FROM mulberry.erase_audit_log('ledger');
SELECT * FROM mulberry.verify_audit('ledger');
SELECT * FROM mulberry.erase_audit_log('quiet');
SELECT rows, last_seq, length(hash) AS hash FROM mulberry.erase_audit_log('rival');
SELECT mulberry.drop_tenant(t) FROM unnest('{ledger,rival,quiet}'::text[]) AS t;
DROP ROLE regress_a_auditor, regress_a_operator, regress_a_other, regress_a_boss;
