-- The state machines: every pair of states is tried by hand, and exactly those pass that the tables have.
SET search_path = mulberry, mulberry_internal;
\set SHOW_CONTEXT never
SELECT create_tenant('stateful') IS NOT NULL AS made;
SELECT id AS tenant FROM tenants WHERE name = 'stateful' \gset

-- What follows what; "(...)" under a condition.
SELECT table_name, coalesce(from_state, '(new)') AS from_state,
       string_agg(CASE WHEN conditional THEN format('(%s)', to_state) ELSE to_state END, ', ' ORDER BY place) AS to_states
  FROM (SELECT m.*, row_number() OVER () AS place FROM state_machines() m) AS m
 GROUP BY table_name, from_state ORDER BY min(place);

-- The tables take these states and no others.
SELECT t.relname AS table_name, count(*) AS states, count(*) FILTER (WHERE m.to_state IS NULL OR s.state IS NULL) AS of_one_side_only
  FROM pg_class t
  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname IN ('state', 'status')
  JOIN pg_constraint c ON c.contype = 'c' AND c.conrelid = t.oid AND c.conkey = ARRAY[a.attnum]
 CROSS JOIN LATERAL regexp_matches(pg_get_constraintdef(c.oid), '''([^'']+)''::text', 'g') AS x (m)
 CROSS JOIN LATERAL (SELECT x.m[1] AS state) AS s
  FULL JOIN (SELECT DISTINCT table_name, to_state FROM state_machines()) AS m ON m.table_name = t.relname AND m.to_state = s.state
 WHERE m.to_state IS NOT NULL OR t.relname IN (SELECT table_name FROM state_machines())
 GROUP BY t.relname ORDER BY 1;

-- Rows to try it with.
CREATE FUNCTION pg_temp.make(target text, state text) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    owner CONSTANT uuid := (SELECT t.id FROM mulberry_internal.tenants t WHERE t.name = 'stateful');
    made  text;
BEGIN
    CASE target
    WHEN 'calls' THEN
        INSERT INTO mulberry_internal.calls (id, tenant, call_id, state, encoding, sample_rate)
        VALUES (1, owner, 'tried', state, 'mulaw', 8000) RETURNING id INTO made;
    WHEN 'mandates' THEN
        INSERT INTO mulberry_internal.mandates (tenant, id, agent, sponsor, status, max_amount, currency, expires_at)
        SELECT owner, '10000000', a.id, 's', state, 10, 'EUR', now() - interval '1 hour'
          FROM mulberry_internal.agents a WHERE a.tenant = owner RETURNING id INTO made;
    WHEN 'commands' THEN
        INSERT INTO mulberry_internal.commands (tenant, agent, command, state, frame, counter, key_id)
        SELECT owner, a.id, 'PING', state, '*1#', 1, 1 FROM mulberry_internal.agents a WHERE a.tenant = owner RETURNING id INTO made;
    WHEN 'voice_calls' THEN
        INSERT INTO mulberry_internal.voice_calls (tenant, command, attempt, to_number, from_number, state)
        SELECT owner, c.id, 1, '+12025550100', '+12025550101', state FROM mulberry_internal.commands c WHERE c.tenant = owner
        RETURNING id INTO made;
    WHEN 'endpoint_state' THEN
        INSERT INTO mulberry_internal.endpoint_state (endpoint, state)
        SELECT min(e.id), state FROM mulberry_internal.endpoints e RETURNING endpoint INTO made;
    END CASE;
    RETURN made;
END
$$;
CREATE FUNCTION pg_temp.try(target text, from_state text, to_state text, more text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    key CONSTANT text := CASE target WHEN 'endpoint_state' THEN 'endpoint' ELSE 'id' END;
    col CONSTANT text := CASE target WHEN 'mandates' THEN 'status' ELSE 'state' END;
    made text;
    answer text;
    detail text;
BEGIN
    made := pg_temp.make(target, from_state);
    BEGIN
        EXECUTE format('UPDATE mulberry_internal.%I SET %I = %L%s WHERE %I::text = %L', target, col, to_state, more, key, made);
        RAISE EXCEPTION 'passes' USING ERRCODE = 'ZZZZZ';
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
        answer := CASE SQLSTATE WHEN 'ZZZZZ' THEN 'passes'
                                ELSE format('%s %s; %s', SQLSTATE, replace(SQLERRM, made, 'N'), detail) END;
    END;
    RAISE EXCEPTION '%', answer USING ERRCODE = 'ZZZZY';    -- takes the row back
EXCEPTION WHEN SQLSTATE 'ZZZZY' THEN
    RETURN SQLERRM;
END
$$;
SELECT create_agent('stateful-agent', phone => '+12025550100', tenant => 'stateful') IS NOT NULL AS agent;
INSERT INTO commands (tenant, agent, command, state) SELECT tenant, id, 'PING', 'cancelled' FROM agents WHERE tenant = :'tenant';

-- Every pair, by hand.
CREATE TEMP TABLE tried AS
    SELECT f.table_name, f.state AS from_state, t.state AS to_state, pg_temp.try(f.table_name, f.state, t.state) AS outcome
      FROM (SELECT DISTINCT table_name, to_state AS state FROM state_machines()) AS f
      JOIN (SELECT DISTINCT table_name, to_state AS state FROM state_machines()) AS t ON t.table_name = f.table_name AND t.state <> f.state;
SELECT table_name, count(*) AS pairs, count(*) FILTER (WHERE outcome = 'passes') AS pass,
       count(*) FILTER (WHERE outcome ~ format('^55000 .* cannot change from (state|status) %s to %s; ', from_state, to_state)) AS refused
  FROM tried GROUP BY table_name ORDER BY table_name;
-- exactly what the tables have without a condition
SELECT x.* FROM tried x
 WHERE (x.outcome = 'passes') <> EXISTS (SELECT FROM state_machines() m WHERE m.table_name = x.table_name AND m.from_state = x.from_state
                                            AND m.to_state = x.to_state AND NOT m.conditional);
-- and what others say of it
SELECT outcome FROM tried
 WHERE (table_name, from_state, to_state) IN (('calls', 'IN_PROGRESS', 'FAILED'), ('calls', 'FAILED', 'PROCESSING_AI'),
       ('mandates', 'EXPIRED', 'ACTIVE'), ('mandates', 'REVOKED', 'ACTIVE'), ('commands', 'confirmed', 'waiting'),
       ('commands', 'escalated', 'outstanding'), ('voice_calls', 'completed', 'in-progress'), ('voice_calls', 'planned', 'completed'),
       ('endpoint_state', 'closed', 'half_open')) ORDER BY table_name, from_state, to_state;
-- under their condition the others pass
SELECT pg_temp.try('mandates', 'EXPIRED', 'ACTIVE', ', expires_at = now() + interval ''1 day''');
SELECT pg_temp.try('mandates', 'EXPIRED', 'ACTIVE', ', expires_at = now() - interval ''1 minute''');
-- what stays where it is, is no transition
SELECT f.table_name, f.to_state, pg_temp.try(f.table_name, f.to_state, f.to_state) AS outcome
  FROM (SELECT DISTINCT table_name, to_state FROM state_machines()) AS f WHERE pg_temp.try(f.table_name, f.to_state, f.to_state) <> 'passes';

-- The trigger is for its tables only.
CREATE TEMP TABLE stateless (id integer, state text);
CREATE TRIGGER guard_state AFTER UPDATE ON stateless FOR EACH ROW EXECUTE FUNCTION mulberry_internal.guard_state();
INSERT INTO stateless VALUES (1, 'a');
UPDATE stateless SET state = 'b';
CREATE TRIGGER guard_before BEFORE UPDATE ON stateless FOR EACH ROW EXECUTE FUNCTION mulberry_internal.guard_state();
UPDATE stateless SET state = 'b';
DELETE FROM commands WHERE tenant = :'tenant';
DELETE FROM agents WHERE tenant = :'tenant';
