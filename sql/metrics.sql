-- What is measured, without preloading: the catalogue, gauges, who sees what, the text format.  What is counted is t/075's.
SET client_min_messages = warning;
TRUNCATE mulberry_internal.job_queue, mulberry_internal.job_history;
SELECT mulberry.create_tenant('metrics-a') AS a \gset
SELECT mulberry.create_tenant('metrics-b') AS b \gset

-- names, types, units and labels as Prometheus has them
SELECT metric, type FROM mulberry.metric_kinds()
 WHERE metric !~ '^[a-z][a-z0-9_]*$' OR (metric ~ '_total$') <> (type = 'counter') OR metric ~ '_(bucket|sum|count|info_total)$'
    OR metric ~ '(_ms|_millis|_minutes|_kb|_percent)(_|$)' OR (type = 'histogram') <> (metric ~ '_duration_seconds$');
SELECT metric, labels FROM mulberry.metric_kinds(), unnest(labels) AS label
 WHERE label !~ '^[a-z][a-z_]*$' OR label IN ('le', 'tenant', 'job', 'instance');
-- a label has few values: never one for each call, number, agent or text
SELECT label FROM mulberry.metric_kinds(), unnest(labels) AS label GROUP BY label ORDER BY label COLLATE "C";
SELECT metric FROM mulberry.metric_kinds() WHERE help !~ '^[A-Z][^\n]*[.]$' OR metric !~ '^mulberry_' ORDER BY metric COLLATE "C";
SELECT count(*) = count(DISTINCT metric) AS no_name_twice FROM mulberry.metric_kinds();

-- nothing is counted here, and that is not 0
SELECT metric, type FROM mulberry.metrics() GROUP BY metric, type ORDER BY metric COLLATE "C";
SELECT count(*) AS of_no_kind FROM mulberry.metrics() WHERE type IS NULL OR value IS NULL OR labels IS NULL;
SELECT m.name, m.labels FROM mulberry.metrics() m JOIN mulberry.metric_kinds() k USING (metric)
 WHERE ARRAY(SELECT jsonb_object_keys(m.labels) ORDER BY 1) <> ARRAY(SELECT unnest(k.labels) ORDER BY 1);
SELECT mulberry.metrics(NULL);

-- two tenants with calls, jobs, an endpoint and mandates
SELECT count(mulberry.ingest_packet('metrics-' || n, 0, 'secret words', NULL, 'text', NULL, t))
  FROM generate_series(1, 3) n, unnest(ARRAY['metrics-a', 'metrics-b']) t WHERE n < 3 OR t = 'metrics-b';
SELECT count(mulberry.complete_call('metrics-1', 1, t)) FROM unnest(ARRAY['metrics-a', 'metrics-b']) t;
SELECT count(mulberry_internal.enqueue_job('sentiment', :'a', NULL, NULL, NULL, '2020-01-01')) FROM generate_series(1, 4);
SELECT mulberry.set_endpoint('metrics-engine', 'json', 'https://engine.example', tenant => 'metrics-b');
SELECT mulberry_internal.report_endpoint(id, 'HTTP 503 of +12025550123') FROM mulberry_internal.endpoints WHERE name = 'metrics-engine';
SELECT mulberry.create_agent('metrics-pi', tenant => 'metrics-a') IS NOT NULL AS agent;
SELECT count(mulberry.create_mandate(m, 'metrics-pi', 'sponsor', 100, 'USD', now() + interval '1 day', 'metrics-a'))
  FROM unnest(ARRAY['71000001', '71000002', '71000003']) m;
UPDATE mulberry_internal.mandates SET status = 'REVOKED' WHERE id = '71000002' AND tenant = :'a';
UPDATE mulberry_internal.mandates SET expires_at = now() - interval '1 s' WHERE id = '71000003' AND tenant = :'a';

CREATE ROLE regress_metrics_monitor;
CREATE ROLE regress_metrics_operator;
CREATE ROLE regress_metrics_auditor;
CREATE ROLE regress_metrics_supervisor;
SELECT mulberry.grant_access('regress_metrics_monitor', 'monitor', NULL);
SELECT mulberry.grant_access('regress_metrics_operator', 'operator', 'metrics-a');
SELECT mulberry.grant_access('regress_metrics_auditor', 'auditor', 'metrics-a');
SELECT mulberry.grant_access('regress_metrics_auditor', 'auditor', 'metrics-b');
SELECT mulberry.grant_access('regress_metrics_supervisor', 'supervisor', 'metrics-a');
SELECT count(*) > 0 AS numbered FROM mulberry_internal.number_events();
SET ROLE regress_metrics_operator;
SELECT metric, labels, CASE WHEN metric = 'mulberry_job_queue_age_seconds' THEN (value > 1e8)::integer ELSE value END AS value
  FROM mulberry.metrics() WHERE type = 'gauge' AND metric NOT IN ('mulberry_build_info', 'mulberry_processes') AND labels->>'kind' IS DISTINCT FROM 'test';
SELECT DISTINCT labels->>'tenant' AS tenant FROM mulberry.metrics(true);
SET ROLE regress_metrics_auditor;
SELECT labels, value FROM mulberry.metrics(true) WHERE metric = 'mulberry_calls';
SELECT labels, value FROM mulberry.metrics(true) WHERE metric IN ('active_mandates', 'mulberry_endpoint_up') AND labels->>'endpoint' IS DISTINCT FROM 'mulberry-speech';
SET ROLE regress_metrics_monitor;
SELECT bool_or(labels->>'tenant' = 'metrics-a') AND bool_or(labels->>'tenant' = 'metrics-b') AS every_tenant FROM mulberry.metrics(true);
-- no content: no call, number, agent, text, or what a service said
SELECT count(*) AS content FROM mulberry.metrics(true) m WHERE m::text ~ 'metrics-(1|2|3|pi)|\+1202|secret|7100000|HTTP';
SET ROLE regress_metrics_supervisor;
SELECT count(*) FROM mulberry.metrics();
RESET ROLE;
-- an operator that is none any more
SELECT mulberry.revoke_access('regress_metrics_operator', 'operator', 'metrics-a');
GRANT USAGE ON SCHEMA mulberry TO regress_metrics_operator;
GRANT EXECUTE ON FUNCTION mulberry.metrics(boolean) TO regress_metrics_operator;
SET ROLE regress_metrics_operator;
SELECT count(*) FROM mulberry.metrics();
RESET ROLE;
REVOKE EXECUTE ON FUNCTION mulberry.metrics(boolean) FROM regress_metrics_operator;
REVOKE USAGE ON SCHEMA mulberry FROM regress_metrics_operator;

-- the text: every line is a comment or a sample; help and type once, before the samples of their metric
SET extra_float_digits = 0;
CREATE TEMP TABLE lines AS
    SELECT line, number, coalesce((regexp_match(line, '^# (?:HELP|TYPE) ([a-z_0-9]+) '))[1], (regexp_match(line, '^[a-z_0-9]+'))[1]) AS metric
      FROM regexp_split_to_table(mulberry.metrics_text(true), '\n') WITH ORDINALITY AS x (line, number);
RESET extra_float_digits;
SELECT line FROM lines
 WHERE line !~ '^# (HELP [a-z_0-9]+ .*|TYPE [a-z_0-9]+ (counter|gauge|histogram))$'
   AND line <> '' AND line !~ '^[a-z_0-9]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? -?[0-9]+([.][0-9]+)?(e[-+][0-9]+)?$';
SELECT count(*) = count(DISTINCT line) AS no_line_twice FROM lines;
SELECT metric FROM lines GROUP BY metric HAVING max(number) - min(number) + 1 <> count(*) AND metric <> '';
SELECT line FROM lines WHERE metric = 'active_mandates' AND line ~ '^#|"metrics-' ORDER BY number;

DELETE FROM mulberry_internal.endpoint_state s USING mulberry_internal.endpoints e WHERE e.id = s.endpoint AND e.name = 'metrics-engine';
\getenv srcdir PG_ABS_SRCDIR
\set include :srcdir '/sql/include/forget_tenant.sql'
\set tenant :a
\i :include
\set tenant :b
\i :include
DROP OWNED BY regress_metrics_monitor, regress_metrics_operator, regress_metrics_auditor, regress_metrics_supervisor;
DROP ROLE regress_metrics_monitor, regress_metrics_operator, regress_metrics_auditor, regress_metrics_supervisor;
