-- Agents, mandates, and spending from them: the state machine against everybody who writes,
-- expiry on the spot, numbers of changes, and every error.
\getenv srcdir PG_ABS_SRCDIR
\set errors :srcdir '/sql/include/errors.sql'
SET client_min_messages = warning;
SET timezone = 'UTC';
\i :errors
CREATE ROLE regress_m_admin;
CREATE ROLE regress_m_operator;
CREATE ROLE regress_m_gateway;
CREATE ROLE regress_m_auditor;
CREATE ROLE regress_m_other;
RESET client_min_messages;
\set VERBOSITY terse
\set SHOW_CONTEXT never
SELECT mulberry.create_tenant('bank') AS bank \gset
SELECT mulberry.create_tenant('rival') AS rival \gset
SELECT mulberry.grant_access('regress_m_admin', 'admin', 'bank');
SELECT mulberry.grant_access('regress_m_operator', 'operator', 'bank');
SELECT mulberry.grant_access('regress_m_gateway', 'gateway', 'bank');
SELECT mulberry.grant_access('regress_m_auditor', 'auditor', 'bank');
SELECT mulberry.grant_access('regress_m_other', 'operator', 'rival');

-- Agents.
SET ROLE regress_m_admin;
SELECT mulberry.create_agent('pi', '+821012345678', '{+12025550100}', '00000000-0000-4000-8000-00000000000a');
SELECT mulberry.create_agent('second', id => '00000000-0000-4000-8000-00000000000b');
SELECT agent, id, phone, allowed_callers, online, mandates, mandates_version FROM mulberry.agent_status ORDER BY agent;
SELECT call, pg_temp.error_of('SELECT mulberry.' || call) AS error
  FROM unnest(ARRAY[
       'create_agent(NULL)', $$create_agent('')$$, $$create_agent(' pi')$$, $$create_agent(E'a\nb')$$, $$create_agent(repeat('x', 101))$$,
       $$create_agent('00000000-0000-4000-8000-00000000000c')$$, $$create_agent('pi')$$,
       $$create_agent('third', id => '00000000-0000-4000-8000-00000000000a')$$,
       $$create_agent('third', '01012345678')$$, $$create_agent('third', '+82 10 1234')$$, $$create_agent('third', '')$$,
       $$create_agent('third', allowed_callers => '{+12025550100,anybody}')$$, $$create_agent('third', allowed_callers => '{NULL}')$$,
       $$create_agent('third', allowed_callers => '{{+12025550100}}')$$,
       $$create_agent('third', tenant => 'rival')$$, $$create_agent('third', tenant => 'nobody')$$,
       $$alter_agent('nobody', '+12025550100')$$, $$alter_agent(NULL)$$, $$alter_agent('pi', 'x')$$,
       $$alter_agent('pi', '+12025550100', remove_phone => true)$$, $$alter_agent('pi', new_name => 'second')$$,
       $$alter_agent('pi', new_name => '')$$, $$drop_agent('nobody')$$, $$drop_agent(NULL)$$]) AS call;
SELECT mulberry.alter_agent('second', '+12025550111', new_name => 'backup');
SELECT mulberry.alter_agent('backup', remove_phone => true, allowed_callers => '{}');
SELECT mulberry.alter_agent('pi', allowed_callers => '{+12025550100,+12025550101}');
SELECT agent, phone, allowed_callers FROM mulberry.agent_status ORDER BY agent;

-- Mandates.
SET ROLE regress_m_operator;
SELECT mulberry.create_mandate('12345678', 'pi', 'Acme', 100, 'EUR', '2100-01-01');
SELECT mulberry.create_mandate('00000001', 'pi', 'Acme', 9999999999999999.9999, 'JPY', '9999-12-31');
SELECT mandate_id, agent, sponsor, status, max_amount, spent, remaining, currency, expires_at, version
  FROM mulberry.mandate_status ORDER BY mandate_id;
SELECT call, pg_temp.error_of('SELECT mulberry.create_mandate(' || call || ')') AS error
  FROM unnest(ARRAY[
       $$NULL, 'pi', 'Acme', 1, 'EUR', '2100-01-01'$$, $$'1234567', 'pi', 'Acme', 1, 'EUR', '2100-01-01'$$,
       $$'1234567a', 'pi', 'Acme', 1, 'EUR', '2100-01-01'$$, $$'00000000', 'pi', 'Acme', 1, 'EUR', '2100-01-01'$$,
       $$E'12345678\n', 'pi', 'Acme', 1, 'EUR', '2100-01-01'$$,
       $$'12345678', 'pi', 'Acme', 1, 'EUR', '2100-01-01'$$, $$'12345678', 'backup', 'Acme', 1, 'EUR', '2100-01-01'$$,
       $$'22222222', NULL, 'Acme', 1, 'EUR', '2100-01-01'$$, $$'22222222', 'nobody', 'Acme', 1, 'EUR', '2100-01-01'$$,
       $$'22222222', 'pi', NULL, 1, 'EUR', '2100-01-01'$$, $$'22222222', 'pi', '', 1, 'EUR', '2100-01-01'$$,
       $$'22222222', 'pi', 'Acme', NULL, 'EUR', '2100-01-01'$$, $$'22222222', 'pi', 'Acme', 0, 'EUR', '2100-01-01'$$,
       $$'22222222', 'pi', 'Acme', -1, 'EUR', '2100-01-01'$$, $$'22222222', 'pi', 'Acme', 'NaN', 'EUR', '2100-01-01'$$,
       $$'22222222', 'pi', 'Acme', 'Infinity', 'EUR', '2100-01-01'$$, $$'22222222', 'pi', 'Acme', '-Infinity', 'EUR', '2100-01-01'$$,
       $$'22222222', 'pi', 'Acme', 10000000000000000, 'EUR', '2100-01-01'$$, $$'22222222', 'pi', 'Acme', 0.00001, 'EUR', '2100-01-01'$$,
       $$'22222222', 'pi', 'Acme', 1, 'eur', '2100-01-01'$$, $$'22222222', 'pi', 'Acme', 1, 'EURO', '2100-01-01'$$,
       $$'22222222', 'pi', 'Acme', 1, NULL, '2100-01-01'$$, $$'22222222', 'pi', 'Acme', 1, 'EUR', NULL$$,
       $$'22222222', 'pi', 'Acme', 1, 'EUR', '2000-01-01'$$, $$'22222222', 'pi', 'Acme', 1, 'EUR', 'infinity'$$,
       $$'22222222', 'pi', 'Acme', 1, 'EUR', '10000-01-01'$$,
       $$'22222222', 'pi', 'Acme', 1, 'EUR', '2100-01-01', 'rival'$$]) AS call;

-- Checking.
SET ROLE regress_m_gateway;
SELECT * FROM mulberry.check_mandate('12345678');
SELECT * FROM mulberry.check_mandate('12345678', 100);
SELECT * FROM mulberry.check_mandate('12345678', 100.0001);
SELECT * FROM mulberry.check_mandate('87654321', 1);
SELECT call, pg_temp.error_of('SELECT mulberry.' || call) AS error
  FROM unnest(ARRAY[
       'check_mandate(NULL)', $$check_mandate('1')$$, $$check_mandate('00000000')$$, $$check_mandate('12345678', NULL)$$,
       $$check_mandate('12345678', -0.0001)$$, $$check_mandate('12345678', 'NaN')$$, $$check_mandate('12345678', 'Infinity')$$,
       $$check_mandate('12345678', 1.00001)$$, $$check_mandate('12345678', 1, 'rival')$$]) AS call;

-- Spending.
SELECT * FROM mulberry.spend('12345678', 60, 'order 1');
SELECT * FROM mulberry.spend('12345678', 40.0001, 'order 2');
SELECT * FROM mulberry.spend('12345678', 39.99990, 'order 2');
SELECT * FROM mulberry.spend('87654321', 1, 'order 3');
-- again: as the first time, whatever happened since
SELECT accepted, duplicate, error, message ~ '^this was accepted at 20\d\d-' AS message, remaining, status, reason
  FROM mulberry.spend('12345678', 60.00, 'order 1');
SELECT call, regexp_replace(pg_temp.error_of('SELECT mulberry.' || call), ' at 20\d\d-[^/]*Z', ' at TIME') AS error
  FROM unnest(ARRAY[
       $$spend('12345678', 61, 'order 1')$$,
       $$spend(NULL, 1, 'x')$$, $$spend('x', 1, 'x')$$, $$spend('12345678', NULL, 'x')$$, $$spend('12345678', 0, 'x')$$,
       $$spend('12345678', -1, 'x')$$, $$spend('12345678', 'NaN', 'x')$$, $$spend('12345678', 'Infinity', 'x')$$,
       $$spend('12345678', 0.00001, 'x')$$, $$spend('12345678', 1e17, 'x')$$,
       $$spend('12345678', 1, NULL)$$, $$spend('12345678', 1, '')$$, $$spend('12345678', 1, repeat('x', 201))$$,
       $$spend('12345678', 1, E'a\tb')$$, $$spend('12345678', 1, 'x', 'rival')$$]) AS call;
SELECT mandate_id, reference, amount, remaining, role FROM mulberry.mandate_spendings ORDER BY at;
SELECT spent, remaining FROM mulberry.mandate_status WHERE mandate_id = '12345678';
-- the last ten-thousandth can be spent, and nothing after it
SELECT accepted, remaining FROM mulberry.spend('12345678', 0.0001, 'rest');
SELECT accepted, reason, remaining FROM mulberry.spend('12345678', 0.0001, 'more');
-- what is taken back by its transaction was not spent
BEGIN;
SELECT accepted, remaining FROM mulberry.spend('00000001', 5, 'undone');
ROLLBACK;
SELECT accepted, duplicate, remaining FROM mulberry.spend('00000001', 5, 'undone');
-- it is an acknowledgement, which cannot be prepared
BEGIN;
SELECT accepted FROM mulberry.spend('00000001', 1, 'prepared');
PREPARE TRANSACTION 'spent';
RESET ROLE;

-- Where nothing can be stored, checking says what is so, and spending is refused.
BEGIN READ ONLY;
SELECT allowed, remaining FROM mulberry.check_mandate('00000001', 1, 'bank');
SELECT mulberry.spend('00000001', 1, 'x', 'bank');
ROLLBACK;

-- Altering.
SET ROLE regress_m_operator;
SELECT call, pg_temp.error_of('SELECT mulberry.alter_mandate(' || call || ')') AS error
  FROM unnest(ARRAY[
       $$'87654321', 5$$, $$'12345678', 99.9999$$, $$'12345678', 0$$, $$'12345678', expires_at => '2000-01-01'$$,
       $$'12345678', sponsor => ''$$, $$NULL$$, $$'12345678', 200, tenant => 'rival'$$]) AS call;
SELECT mulberry.alter_mandate('12345678', 150);
SELECT mulberry.alter_mandate('12345678', sponsor => 'Acme Ltd', expires_at => '2101-01-01');
SELECT mulberry.alter_mandate('12345678');
SELECT version, from_status, status, max_amount, expires_at, sponsor, role, cause, command_id
  FROM mulberry.mandate_history WHERE mandate_id = '12345678' ORDER BY version;
RESET ROLE;

-- The state machine, whoever writes: every change from every status.
INSERT INTO mulberry_internal.mandates (tenant, id, agent, sponsor, status, max_amount, currency, expires_at)
SELECT :'bank', '3000000' || n, '00000000-0000-4000-8000-00000000000b', 'Acme', status, 10, 'EUR', '2100-01-01'
  FROM unnest(ARRAY['ACTIVE', 'SUSPENDED', 'REVOKED', 'EXPIRED']) WITH ORDINALITY AS s (status, n);
CREATE FUNCTION pg_temp.try_change(mandate text, wanted text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE mulberry_internal.mandates SET status = wanted WHERE id = mandate;
    RAISE EXCEPTION USING ERRCODE = 'MB001', MESSAGE = 'taken back';
EXCEPTION WHEN SQLSTATE 'MB001' THEN
    RETURN 'yes';
WHEN object_not_in_prerequisite_state THEN
    RETURN 'no: ' || SQLERRM;
END
$$;
SELECT m.status AS from_status, wanted, pg_temp.try_change(m.id, wanted) AS changes
  FROM mulberry_internal.mandates m, unnest(ARRAY['ACTIVE', 'SUSPENDED', 'REVOKED', 'EXPIRED']) AS wanted
 WHERE m.id LIKE '3000000_' AND m.status <> wanted
 ORDER BY m.id, wanted;
-- out of EXPIRED by an extension into the future only
UPDATE mulberry_internal.mandates SET status = 'ACTIVE', expires_at = '2099-01-01' WHERE id = '30000004';
UPDATE mulberry_internal.mandates SET status = 'SUSPENDED', expires_at = '2102-01-01' WHERE id = '30000004';
UPDATE mulberry_internal.mandates SET expires_at = '1999-01-01' WHERE id = '30000004';
UPDATE mulberry_internal.mandates SET status = 'ACTIVE', expires_at = '2000-01-01' WHERE id = '30000004';
UPDATE mulberry_internal.mandates SET status = 'ACTIVE', expires_at = '2102-01-01' WHERE id = '30000004';
-- a REVOKED mandate does not change in any way
UPDATE mulberry_internal.mandates SET max_amount = 1000 WHERE id = '30000003';
UPDATE mulberry_internal.mandates SET expires_at = '2102-01-01' WHERE id = '30000003';
UPDATE mulberry_internal.mandates SET spent = 1 WHERE id = '30000003';
UPDATE mulberry_internal.mandates SET sponsor = 'x' WHERE id = '30000003';
-- nor do the fixed columns of any
UPDATE mulberry_internal.mandates SET id = '30000009' WHERE id = '30000001';
UPDATE mulberry_internal.mandates SET agent = '00000000-0000-4000-8000-00000000000a' WHERE id = '30000001';
UPDATE mulberry_internal.mandates SET tenant = :'rival' WHERE id = '30000001';
UPDATE mulberry_internal.mandates SET currency = 'USD' WHERE id = '30000001';
UPDATE mulberry_internal.mandates SET version = 7 WHERE id = '30000001';
UPDATE mulberry_internal.mandates SET agent_version = 7 WHERE id = '30000001';
UPDATE mulberry_internal.mandates SET spent = spent - 1 WHERE tenant = :'bank' AND id = '12345678';
UPDATE mulberry_internal.mandates SET spent = 11 WHERE id = '30000001';
UPDATE mulberry_internal.mandates SET status = 'PAUSED' WHERE id = '30000001';
UPDATE mulberry_internal.mandates SET expires_at = 'infinity' WHERE id = '30000001';
UPDATE mulberry_internal.mandates SET status = NULL WHERE id = '30000001';
INSERT INTO mulberry_internal.mandates (tenant, id, agent, sponsor, max_amount, currency, expires_at)
VALUES (:'bank', '30000010', '00000000-0000-4000-8000-0000000000ff', 'Acme', 10, 'EUR', '2100-01-01');
-- every change has its numbers, spending has none
UPDATE mulberry_internal.mandates SET status = 'SUSPENDED' WHERE id = '30000001';
UPDATE mulberry_internal.mandates SET spent = 3 WHERE id = '30000001';
UPDATE mulberry_internal.mandates SET status = status WHERE id = '30000001';
UPDATE mulberry_internal.mandates SET status = 'REVOKED' WHERE id = '30000001';
SELECT id, status, version, agent_version FROM mulberry_internal.mandates WHERE agent = '00000000-0000-4000-8000-00000000000b' ORDER BY id;
SELECT agent, mandates, mandates_version FROM mulberry.agent_status WHERE tenant = 'bank' ORDER BY agent;
SELECT mandate_id, version, from_status, status, expires_at FROM mulberry.mandate_history WHERE mandate_id LIKE '3000000_' ORDER BY mandate_id, version;
-- and its event
SELECT payload - 'expires_at' AS payload, payload ->> 'expires_at' AS expires_at
  FROM mulberry_internal.events WHERE tenant = :'bank' AND event = 'mandate_changed' AND payload ->> 'mandate_id' = '30000001' ORDER BY id;

-- A row with its numbers comes from a dump, and is taken as it is.
INSERT INTO mulberry_internal.mandates (tenant, id, agent, sponsor, status, max_amount, spent, currency, expires_at, version, agent_version)
VALUES (:'bank', '30000005', '00000000-0000-4000-8000-00000000000b', 'Acme', 'REVOKED', 10, 5, 'EUR', '2000-01-01', 17, 3);
SELECT version, agent_version, (SELECT count(*) FROM mulberry.mandate_history h WHERE h.mandate_id = m.id) AS history
  FROM mulberry_internal.mandates m WHERE id = '30000005';

-- What set_mandate_status() and extend_mandate_expiry() answer.
SELECT mulberry.create_mandate('40000001', 'pi', 'Acme', 10, 'EUR', '2100-01-01', 'bank');
SELECT step, mulberry_internal.set_mandate_status(:'bank', mandate, wanted, 'test', 7) AS answer
  FROM (VALUES (1, '40000001', 'ACTIVE'), (2, '40000001', 'SUSPENDED'), (3, '40000001', 'SUSPENDED'), (4, '40000001', 'ACTIVE'),
               (5, '99999999', 'ACTIVE'), (6, '40000001', 'EXPIRED'), (7, '40000001', 'SUSPENDED'), (8, '40000001', 'ACTIVE'),
               (9, '40000001', 'REVOKED'), (10, '40000001', 'REVOKED'), (11, '40000001', 'ACTIVE')) AS s (step, mandate, wanted)
 ORDER BY step;
SELECT version, from_status, status, cause, command_id FROM mulberry.mandate_history WHERE mandate_id = '40000001' ORDER BY version;
SELECT pg_temp.error_of(format('SELECT mulberry_internal.set_mandate_status(%L, %L, %L, NULL)', :'bank', '40000001', 'PAUSED')) AS unknown,
       pg_temp.error_of(format('SELECT mulberry_internal.extend_mandate_expiry(%L, %L, 100, NULL)', :'bank', '40000001')) AS too_long,
       mulberry_internal.extend_mandate_expiry(:'bank', '40000001', 1, NULL) AS revoked,
       mulberry_internal.extend_mandate_expiry(:'bank', '99999999', 1, NULL) AS none;

-- No mandate outlives the year 9999, by whatever way.
SELECT pg_temp.error_of(format('SELECT mulberry.create_mandate(%L, %L, %L, 10, %L, %L, %L)', '40000002', 'pi', 'Acme', 'EUR', '9999-12-31 23:59:59.5Z', 'bank')) AS created;
SELECT mulberry.create_mandate('40000002', 'pi', 'Acme', 10, 'EUR', '9999-12-01 00:00:00Z', 'bank');
SELECT pg_temp.error_of(format('SELECT mulberry.alter_mandate(%L, expires_at => %L, tenant => %L)', '40000002', '10000-01-01 00:00:00Z', 'bank')) AS altered;
SELECT mulberry_internal.extend_mandate_expiry(:'bank', '40000002', 10, NULL), mulberry_internal.extend_mandate_expiry(:'bank', '40000002', 99, NULL),
       mulberry_internal.extend_mandate_expiry(:'bank', '40000002', 99, NULL);
SELECT mulberry_internal.take_mandate(:'bank', agent, to_jsonb(m) || '{"mandate_id": "40000002", "expires_at": "infinity"}')
  FROM mulberry_internal.mandates m WHERE id = '40000002';
SELECT version, expires_at AT TIME ZONE 'UTC' AS expires_at FROM mulberry.mandate_history WHERE mandate_id = '40000002' ORDER BY version;

-- Commands, in terms of their acknowledgement: SS 0 applied, 1 already so, 2 unknown mandate, 3 refused;
-- QQ 0 none, 1 REVOKED, 2 SUSPENDED, 3 ACTIVE, 4 EXPIRED.
SELECT mulberry.create_mandate('50000001', 'pi', 'Acme', 10, 'EUR', '2100-01-01', 'bank');
CREATE TEMP TABLE command_steps (step serial, command text, mandate text, argument integer);
INSERT INTO command_steps (command, mandate, argument) VALUES
    ('QUERY', '50000001', 0), ('SUSPEND', '50000001', 0), ('SUSPEND', '50000001', 0), ('EXTEND', '50000001', 14),
    ('RESUME', '50000001', 0), ('RESUME', '50000001', 0), ('EXTEND', '50000001', 99), ('EXTEND', '50000001', 0),
    ('EXTEND', '50000001', 100), ('SUSPEND', '50000001', 1), ('DANCE', '50000001', 0), (NULL, '50000001', 0),
    ('PING', '00000000', 0), ('PING', '50000001', 0), ('PING', '00000000', 1), ('QUERY', '00000000', 0), ('REVOKE', '99999999', 0),
    ('REVOKE', '50000001', 0), ('REVOKE', '50000001', 0), ('SUSPEND', '50000001', 0), ('RESUME', '50000001', 0),
    ('EXTEND', '50000001', 1), ('QUERY', '50000001', 0);
DO $$
DECLARE
    s record; a record;
BEGIN
    FOR s IN SELECT * FROM command_steps ORDER BY step LOOP
        a := mulberry_internal.apply_mandate_command((SELECT id FROM mulberry_internal.tenants WHERE name = 'bank'), s.command, s.mandate, s.argument, 'voice', s.step);
        RAISE NOTICE '% % %: % %', coalesce(s.command, 'null'), s.mandate, s.argument, a.ack_status, a.ack_state;
    END LOOP;
END
$$;
SELECT version, from_status, status, expires_at, cause, command_id FROM mulberry.mandate_history WHERE mandate_id = '50000001' ORDER BY version;

-- Expiry on the spot.  Its time comes by an UPDATE here.
SELECT mulberry.create_mandate('6000000' || n, 'pi', 'Acme', 10, 'EUR', '2100-01-01', 'bank') FROM generate_series(1, 7) AS n;
SELECT mulberry_internal.set_mandate_status(:'bank', '60000003', 'SUSPENDED', NULL);
SELECT accepted FROM mulberry.spend('60000007', 4, 'before', 'bank');
UPDATE mulberry_internal.mandates SET expires_at = '2020-02-02' WHERE id LIKE '6000000_';
SELECT mandate_id, status FROM mulberry.mandate_status WHERE mandate_id LIKE '6000000_' ORDER BY mandate_id;
SELECT DISTINCT status FROM mulberry_internal.mandates WHERE id LIKE '6000000_' ORDER BY 1;
--   a reader says so and stores nothing
BEGIN READ ONLY;
SELECT allowed, message, status, reason FROM mulberry.check_mandate('60000001', 1, 'bank');
ROLLBACK;
SELECT status FROM mulberry_internal.mandates WHERE id = '60000001';
--   others store it: whoever checks, spends, asks or commands
SELECT allowed, message, status, reason FROM mulberry.check_mandate('60000001', 1, 'bank');
SELECT accepted, message, status, reason FROM mulberry.spend('60000002', 1, 'late', 'bank');
SELECT * FROM mulberry_internal.apply_mandate_command(:'bank', 'QUERY', '60000004', 0, NULL, NULL);
SELECT * FROM mulberry_internal.apply_mandate_command(:'bank', 'SUSPEND', '60000005', 0, NULL, NULL);
SELECT id, status FROM mulberry_internal.mandates WHERE id LIKE '6000000_' ORDER BY id;
SELECT version, from_status, status, cause FROM mulberry.mandate_history WHERE mandate_id = '60000002' ORDER BY version;
--   what was spent before is still the same payment
SELECT accepted, duplicate, remaining, status FROM mulberry.spend('60000007', 4, 'before', 'bank');
--   an extension brings it back, from now on
SELECT * FROM mulberry_internal.apply_mandate_command(:'bank', 'EXTEND', '60000001', 2, NULL, NULL);
SELECT status, expires_at BETWEEN now() + '47 hours' AND now() + '48 hours' AS from_now FROM mulberry_internal.mandates WHERE id = '60000001';
SELECT mulberry.alter_mandate('60000002', expires_at => '2100-01-01', tenant => 'bank');
SELECT status FROM mulberry_internal.mandates WHERE id = '60000002';
--   a suspension is not forgotten by it, and lifting it does not bring back what is over
SELECT allowed, status, reason FROM mulberry.check_mandate('60000003', 1, 'bank');
SELECT * FROM mulberry_internal.apply_mandate_command(:'bank', 'EXTEND', '60000003', 2, NULL, NULL);
SELECT allowed, status, reason FROM mulberry.check_mandate('60000003', 1, 'bank');
UPDATE mulberry_internal.mandates SET expires_at = '2020-02-02' WHERE id = '60000003';
SELECT * FROM mulberry_internal.apply_mandate_command(:'bank', 'RESUME', '60000003', 0, NULL, NULL);
SELECT * FROM mulberry_internal.apply_mandate_command(:'bank', 'RESUME', '60000003', 0, NULL, NULL);
--   and what has expired can still be revoked
SELECT * FROM mulberry_internal.apply_mandate_command(:'bank', 'REVOKE', '60000004', 0, NULL, NULL);
SELECT allowed, error, message, status, reason FROM mulberry.check_mandate('60000004', 1, 'bank');
SELECT accepted, error, message, status, reason FROM mulberry.spend('60000004', 1, 'x', 'bank');
SELECT pg_temp.error_of($$SELECT mulberry.alter_mandate('60000004', 5, tenant => 'bank')$$) AS revoked;

-- Who may.
SET ROLE regress_m_auditor;
SELECT count(*) FROM mulberry.mandate_status;
SELECT count(*) FROM mulberry.mandate_spendings;
SELECT mulberry.check_mandate('12345678');
SELECT mulberry.spend('12345678', 1, 'x');
SET ROLE regress_m_gateway;
SELECT mulberry.create_mandate('22222222', 'pi', 'Acme', 1, 'EUR', '2100-01-01');
SELECT mulberry.alter_mandate('12345678', 1000);
SET ROLE regress_m_operator;
SELECT mulberry.create_agent('third');
SELECT mulberry_internal.set_mandate_status(:'bank', '12345678', 'REVOKED', 'x');
SELECT mulberry_internal.change_mandate(:'bank', '12345678', 'REVOKED', NULL, NULL, NULL, NULL, NULL);
UPDATE mulberry_internal.mandates SET spent = 0;
SET ROLE regress_m_other;
SELECT count(*) FROM mulberry.mandate_status;
SELECT count(*) FROM mulberry.mandate_history;
SELECT count(*) FROM mulberry.agent_status;
SELECT message FROM mulberry.check_mandate('12345678');
SELECT message FROM mulberry.spend('12345678', 1, 'x');
SELECT mulberry.alter_mandate('12345678', 5);
SELECT mulberry.create_mandate('22222222', 'pi', 'Acme', 1, 'EUR', '2100-01-01');
RESET ROLE;

-- A mandate's time does not come back when the clock is set back: what was known once counts.
SELECT mulberry_internal.keep_mandate_time();
SELECT count(*) AS known, max(at) <= clock_timestamp() AS past FROM mulberry_internal.mandate_clock;
SELECT mulberry.create_mandate('77777777', 'pi', 'Acme', 10, 'EUR', now() + interval '10 days', 'bank');
SELECT allowed, status FROM mulberry.check_mandate('77777777', 1, 'bank');
SELECT at AS kept FROM mulberry_internal.mandate_clock \gset
-- as if a dump had brought the time of a server that is eleven days ahead
INSERT INTO mulberry_internal.mandate_clock VALUES (now() + interval '11 days');
SELECT status, detail ~ '^the clock of the server is behind' AS behind FROM mulberry.health() WHERE item = 'mandate clock';
SELECT status FROM mulberry.mandate_status WHERE mandate_id = '77777777';
BEGIN TRANSACTION READ ONLY;
SELECT allowed, status, reason FROM mulberry.check_mandate('77777777', 1, 'bank');
ROLLBACK;
SELECT accepted, status, reason FROM mulberry.spend('77777777', 1, 'r', 'bank');
SELECT pg_temp.error_of($$SELECT mulberry.create_mandate('77777778', 'pi', 'Acme', 10, 'EUR', now() + interval '10 days', 'bank')$$) AS in_the_past;
SELECT mulberry_internal.keep_mandate_time();
SELECT max(at) > now() + interval '10 days' AS not_set_back FROM mulberry_internal.mandate_clock;
SET ROLE regress_m_admin;
SELECT pg_temp.error_of($$SELECT mulberry.reset_mandate_clock('it was wrong')$$) AS of_all_tenants;
RESET ROLE;
SELECT pg_temp.error_of($$SELECT mulberry.reset_mandate_clock(NULL)$$) AS of_null, pg_temp.error_of($$SELECT mulberry.reset_mandate_clock('')$$) AS of_nothing;
SELECT mulberry.reset_mandate_clock('it was wrong') > now() + interval '10 days' AS was;
SELECT status FROM mulberry.health() WHERE item = 'mandate clock';
SELECT outcome, evidence->>'reason' AS reason FROM mulberry.audit_log WHERE tenant = 'bank' AND action = 'MANDATE_CLOCK_RESET';
-- what has become EXPIRED stays so
SELECT allowed, status FROM mulberry.check_mandate('77777777', 1, 'bank');

-- Dropping: an agent goes with what is over, and not before.
SET ROLE regress_m_admin;
SELECT pg_temp.error_of($$SELECT mulberry.drop_agent('pi')$$) AS in_use;
RESET ROLE;
SELECT mulberry.drop_tenant('bank');
SELECT count(mulberry_internal.set_mandate_status(:'bank', id, 'REVOKED', 'cleared')) AS revoked FROM mulberry_internal.mandates WHERE tenant = :'bank' AND status <> 'REVOKED';
SELECT mulberry.drop_agent('pi', 'bank');
SELECT mulberry.drop_agent('backup', 'bank');
SELECT (SELECT count(*) FROM mulberry_internal.mandates WHERE tenant = :'bank') AS mandates,
       (SELECT count(*) FROM mulberry_internal.mandate_versions WHERE tenant = :'bank') AS versions,
       (SELECT count(*) FROM mulberry_internal.spendings WHERE tenant = :'bank') AS spendings,
       (SELECT count(*) > 0 FROM mulberry.audit_log WHERE tenant = 'bank' AND action = 'SPEND' AND outcome = 'accepted') AS audited;
SELECT mulberry.revoke_access('regress_m_admin', 'admin', 'bank');
SELECT mulberry.revoke_access('regress_m_operator', 'operator', 'bank');
SELECT mulberry.revoke_access('regress_m_gateway', 'gateway', 'bank');
SELECT mulberry.revoke_access('regress_m_auditor', 'auditor', 'bank');
SELECT mulberry.revoke_access('regress_m_other', 'operator', 'rival');
SELECT rows > 0 AS erased FROM mulberry.erase_audit_log('bank');
SELECT rows > 0 AS erased FROM mulberry.erase_audit_log('rival');
DELETE FROM mulberry_internal.events WHERE tenant IN (:'bank', :'rival');
SELECT mulberry.drop_tenant('bank');
SELECT mulberry.drop_tenant('rival');
DROP ROLE regress_m_admin, regress_m_operator, regress_m_gateway, regress_m_auditor, regress_m_other;
