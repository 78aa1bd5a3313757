-- What programs at the edge say of themselves: who may, about whom, what is taken, what is told, and how much is kept.
SET client_min_messages = warning;
CREATE ROLE regress_pi;
CREATE ROLE regress_till;
CREATE ROLE regress_auditor;
CREATE ROLE regress_other_pi;
RESET client_min_messages;
\set VERBOSITY terse
\set SHOW_CONTEXT never
SELECT mulberry.create_tenant('edges') IS NOT NULL AS made, mulberry.create_tenant('other-edges') IS NOT NULL AS made_too;
SELECT mulberry.grant_access('regress_pi', 'ingest', 'edges'), mulberry.grant_access('regress_till', 'operator', 'edges'),
       mulberry.grant_access('regress_auditor', 'auditor', 'edges'), mulberry.grant_access('regress_other_pi', 'ingest', 'other-edges');
CREATE TEMP VIEW programs AS
    SELECT * FROM mulberry_internal.edge_programs WHERE tenant = (SELECT id FROM mulberry_internal.tenants WHERE name = 'edges');

SET ROLE regress_pi;
SELECT mulberry.report_edge_status('front-desk', 'capture',
    '{"version": "1.0", "running": 3600, "state": "recording", "device": "S16_LE, 8000 Hz", "heard": 3590.5, "lost": 9.5, "overruns": 2,
      "suspends": 1, "departures": 0, "late": 0.25, "call_id": "front-desk-1", "waiting": 12, "acknowledged": 17000, "dropped": 0,
      "spool": 4096, "under_voltage": "before", "problem": null}');
SELECT tenant, name, program, role, version, state, silent, device, heard, lost, overruns, suspends, departures, late, call_id, waiting,
       acknowledged, dropped, dropped_at, spool, under_voltage, problem, reported_at - started_at AS running,
       reported_at BETWEEN now() - interval '1 hour' AND now() AS now
  FROM mulberry.edge_status \gx
-- the next report takes its place, and what it does not say is not known
SELECT mulberry.report_edge_status('front-desk', 'capture', '{"state": "device away", "dropped": 3, "problem": "the card is gone"}');
SELECT name, state, device, heard, call_id, dropped, dropped_at = reported_at AS dropped_now, problem FROM mulberry.edge_status;
SELECT mulberry.report_edge_status('front-desk', 'capture', '{"state": "recording", "running": 7200, "dropped": 3}');
SELECT state, dropped, dropped_at < reported_at AS dropped_before, problem FROM mulberry.edge_status;
-- one that was started anew counts anew
SELECT mulberry.report_edge_status('front-desk', 'capture', '{"state": "recording", "dropped": 2}');
SELECT dropped, dropped_at = reported_at AS dropped_now FROM mulberry.edge_status;
SELECT mulberry.report_edge_status('front-desk', 'sync', '{"state": "online"}', 'edges');
-- what is another role's is not written, and what is another tenant's not even seen
SET ROLE regress_till;
SELECT mulberry.report_edge_status('front-desk', 'sync', '{"state": "offline"}');
SELECT name, program, role, state FROM mulberry.edge_status ORDER BY program, role;
SET ROLE regress_other_pi;
SELECT mulberry.report_edge_status('front-desk', 'sync', '{"state": "online"}', 'edges');
SELECT mulberry.report_edge_status('front-desk', 'sync', '{"state": "online"}');
SELECT tenant, name, role FROM mulberry.edge_status;
SET ROLE regress_auditor;
SELECT mulberry.report_edge_status('front-desk', 'sync', '{"state": "online"}');
SELECT count(*) FROM mulberry.edge_status;
RESET ROLE;

-- What is no report changes nothing.
SET ROLE regress_pi;
CREATE TEMP TABLE before AS SELECT * FROM mulberry.edge_status;
SELECT mulberry.report_edge_status(NULL, 'sync', '{"state": "online"}');
SELECT mulberry.report_edge_status('', 'sync', '{"state": "online"}');
SELECT mulberry.report_edge_status('x', NULL, '{"state": "online"}');
SELECT mulberry.report_edge_status('x', 'send', '{"state": "online"}');
SELECT mulberry.report_edge_status('x', 'sync', NULL);
SELECT mulberry.report_edge_status('x', 'sync', '[]');
SELECT mulberry.report_edge_status('x', 'sync', '{}');
SELECT mulberry.report_edge_status('x', 'sync', '{"state": 1}');
SELECT mulberry.report_edge_status('x', 'sync', '{"state": null}');
\set VERBOSITY default
SELECT mulberry.report_edge_status('x', 'sync', '{"state": "online", "mood": "good"}');
SELECT mulberry.report_edge_status('x', 'sync', '{"state": "online", "heard": -1}');
\set VERBOSITY terse
SELECT mulberry.report_edge_status('x', 'sync', '{"state": "online", "heard": "1"}');
SELECT mulberry.report_edge_status('x', 'sync', '{"state": "online", "heard": 1e10}');
SELECT mulberry.report_edge_status('x', 'sync', '{"state": "online", "dropped": 1.5}');
SELECT mulberry.report_edge_status('x', 'sync', '{"state": "online", "dropped": 1e19}');
SELECT mulberry.report_edge_status('x', 'sync', '{"state": "online", "device": 1}');
SELECT mulberry.report_edge_status('x', 'sync', '{"state": "online", "under_voltage": "high"}');
SELECT mulberry.report_edge_status('x', 'sync', '{"state": "online", "role": "postgres"}');
SELECT mulberry.report_edge_status('x', 'sync', '{"state": "online", "reported_at": "infinity"}');
SELECT mulberry.report_edge_status('x', 'sync', jsonb_build_object('state', 'online', 'problem', repeat('x', 9000)));
-- but the largest of each are taken
SELECT mulberry.report_edge_status('front-desk', 'answer',
    '{"state": "in call", "running": 1e9, "heard": 1e9, "lost": 1e9, "late": 1e9, "overruns": 1e18, "suspends": 1e18, "departures": 1e18,
      "waiting": 1e18, "acknowledged": 1e18, "dropped": 1e18, "spool": 1e18}');
SELECT count(*) FILTER (WHERE program <> 'answer') AS others, (SELECT count(*) FROM before) AS before FROM mulberry.edge_status;
RESET ROLE;

-- health() says who fell silent and who drops.
CREATE FUNCTION pg_temp.pass(by interval) RETURNS void LANGUAGE sql AS $$
    UPDATE mulberry_internal.edge_programs SET reported_at = reported_at - by, started_at = started_at - by, dropped_at = dropped_at - by
$$;
SELECT status, detail, hint FROM mulberry.health() WHERE item = 'edge programs';
SELECT pg_temp.pass('2 hours');
SELECT mulberry.report_edge_status('front-desk', 'answer', '{"state": "ended"}', 'edges');
SET ROLE regress_till;
SELECT mulberry.report_edge_status('front-desk', 'sync', '{"state": "online", "under_voltage": "now"}');
SELECT program, role, state, silent FROM mulberry.edge_status ORDER BY program, role;
RESET ROLE;
SELECT status, detail FROM mulberry.health() WHERE item = 'edge programs';
-- a clock that was set back makes nobody fresh: what is ahead is set back as well
SELECT pg_temp.pass('-1 day');
SELECT mulberry_internal.mend_due_times() >= 5 AS mended;
SELECT bool_and(reported_at <= clock_timestamp()) AS past FROM programs;
-- maintenance forgets those that are silent for a week
SELECT pg_temp.pass('8 days');
SET ROLE regress_pi;
SELECT mulberry.report_edge_status('front-desk', 'capture', '{"state": "recording"}');
RESET ROLE;
SELECT mulberry_internal.maintenance_step('edge programs', 100, false);
SELECT name, program, role FROM programs;

-- Of a tenant there are so many, and the one that is silent longest makes room.
SET ROLE regress_pi;
SELECT count(mulberry.report_edge_status('edge ' || n, 'sync', '{"state": "online"}')) FROM generate_series(1, 250) AS n;
SELECT count(*), bool_or(name = 'edge 250') AS newest, bool_or(name IN ('front-desk', 'edge 150')) AS oldest FROM mulberry.edge_status;
RESET ROLE;

DELETE FROM mulberry_internal.edge_programs;
SELECT mulberry.drop_tenant('edges'), mulberry.drop_tenant('other-edges');
DROP OWNED BY regress_pi, regress_till, regress_auditor, regress_other_pi;
DROP ROLE regress_pi, regress_till, regress_auditor, regress_other_pi;
