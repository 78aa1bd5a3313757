-- What is measured: what src/metrics/metric_kinds.c defines.

CREATE OR REPLACE FUNCTION mulberry.metric_kinds()
RETURNS TABLE (metric text, type text, subject text, labels text[], of_server boolean, help text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 30
AS 'MODULE_PATHNAME', 'mulberry_metric_kinds';
COMMENT ON FUNCTION mulberry.metric_kinds() IS
    'the metrics that metrics() has: type (counter, gauge or histogram), labels, and what it means. of_server: of the processes as a '
    'whole, the others are also told by tenant';

CREATE OR REPLACE FUNCTION count_metric(metric text, tenant uuid, first text DEFAULT NULL, second text DEFAULT NULL) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_count_metric';
COMMENT ON FUNCTION count_metric(text, uuid, text, text) IS
    'adds 1 to a counter when the transaction commits; first, second: values of its labels (internal)';

CREATE OR REPLACE FUNCTION observe_metric(metric text, tenant uuid, value double precision, label text DEFAULT NULL) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_observe_metric';
COMMENT ON FUNCTION observe_metric(text, uuid, double precision, text) IS
    'adds a value to a histogram when the transaction commits; null, or one that no clock can mean, is left out (internal)';

CREATE OR REPLACE FUNCTION counted(everything boolean, tenants uuid[], by_tenant boolean)
RETURNS TABLE (metric text, tenant uuid, suffix text, labels jsonb, value double precision, place integer)
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 300 AS 'MODULE_PATHNAME', 'mulberry_counted';
COMMENT ON FUNCTION counted(boolean, uuid[], boolean) IS
    'the counters of some or (everything) all tenants, together or, without what is 0, each by itself; tenant null: together, or of those '
    'for which there was no room. Nothing without preloading (internal)';

CREATE OR REPLACE FUNCTION counting_since() RETURNS timestamptz
LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_counting_since';
COMMENT ON FUNCTION counting_since() IS 'when the counters of this database began at 0; null: nothing is counted (internal)';

-- What is read when it is asked for.  Each metrics_...() function answers for one subject, of the tenants given, together or each by
-- itself; metrics() calls all of them, so that a part adds its figures by adding such a function.

CREATE OR REPLACE FUNCTION metrics_processes(tenants uuid[], by_tenant boolean)
RETURNS TABLE (metric text, tenant uuid, labels jsonb, value double precision)
LANGUAGE sql VOLATILE
AS $$
    SELECT 'mulberry_build_info', NULL::uuid, jsonb_build_object('version', e.extversion), 1.0::double precision
      FROM pg_extension e WHERE e.extname = 'mulberry'
     UNION ALL
    SELECT 'mulberry_counting_start_time_seconds', NULL, '{}', extract(epoch FROM s.since)
      FROM mulberry_internal.counting_since() AS s (since) WHERE s.since IS NOT NULL
     UNION ALL
    SELECT m.metric, NULL, m.labels, sum(m.value)::double precision
      FROM mulberry.process_statistics() p
     CROSS JOIN LATERAL (VALUES
            ('mulberry_processes', jsonb_build_object('type', p.type), (p.pid IS NOT NULL)::integer),
            ('mulberry_process_starts_total', jsonb_build_object('type', p.type), p.starts),
            (CASE p.type WHEN 'notifier' THEN 'mulberry_notifications_total' END, '{}', p.done),
            (CASE p.type WHEN 'notifier' THEN 'mulberry_notifications_failed_total' END, '{}', p.failed),
            (CASE p.type WHEN 'worker' THEN 'mulberry_job_attempts_failed_total' END, '{}', p.failed),
            (CASE p.type WHEN 'worker' THEN 'mulberry_requests_in_flight' END, '{}', p.in_flight)) AS m (metric, labels, value)
     WHERE m.metric IS NOT NULL
     GROUP BY m.metric, m.labels
$$;
COMMENT ON FUNCTION metrics_processes(uuid[], boolean) IS 'metrics of what runs (internal)';

CREATE OR REPLACE FUNCTION mulberry.metrics(by_tenant boolean DEFAULT false)
RETURNS TABLE (metric text, type text, help text, name text, labels jsonb, value double precision)
LANGUAGE mulberry VOLATILE ROWS 300 SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    everything CONSTANT boolean := mulberry.has_access_everywhere('operator', 'auditor', 'admin', 'monitor');
    tenants    CONSTANT uuid[] := mulberry.current_tenants('operator', 'auditor', 'admin', 'monitor');
    parts      text;
BEGIN
    IF by_tenant IS NULL THEN
        RAISE EXCEPTION 'by_tenant must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT everything AND tenants = '{}' THEN
        RAISE EXCEPTION 'role "%" has no operator, auditor, admin or monitor access', mulberry_internal.outer_role_name()
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'An administrator can give it with mulberry.grant_access(role, access, tenant).';
    END IF;
    SELECT string_agg(format('SELECT m.metric, m.tenant, %L, m.labels, m.value, 0 FROM mulberry_internal.%I($1, $2) m', '', p.proname),
                      ' UNION ALL ' ORDER BY p.proname)
      INTO parts
      FROM pg_proc p
     WHERE p.pronamespace = 'mulberry_internal'::regnamespace AND p.proname ~ '^metrics_' AND p.pronargs = 2;
    RETURN QUERY EXECUTE format(
        $query$
        WITH samples AS MATERIALIZED (
            SELECT c.metric, c.tenant, c.suffix, c.labels, c.value, c.place FROM mulberry_internal.counted($3, $1, $2) c UNION ALL %s
        )
        SELECT s.metric, k.type, k.help, s.metric || s.suffix,
               CASE WHEN $2 AND NOT k.of_server THEN s.labels || jsonb_build_object('tenant', coalesce(t.name, '(others)'))
                    ELSE s.labels END,
               s.value
          FROM samples s
          LEFT JOIN mulberry.metric_kinds() WITH ORDINALITY AS k (metric, type, subject, labels, of_server, help, number)
            ON k.metric = s.metric
          LEFT JOIN mulberry_internal.tenants t ON t.id = s.tenant
         -- tenants that were dropped have no name to be told by
         WHERE s.tenant IS NULL OR t.id IS NOT NULL
         ORDER BY k.number, t.name NULLS LAST, s.labels - 'le', s.place
        $query$, parts) USING tenants, by_tenant, everything;
END
$$;
COMMENT ON FUNCTION mulberry.metrics(boolean) IS
    'what was counted and what is, as Prometheus has it: a row a sample, with its name, labels and value, and the metric that it belongs '
    'to with type and help (a histogram has several names). Of the tenants to which the caller has operator, auditor, admin or monitor '
    'access, together or by_tenant with the label tenant. Counters begin at 0 when the server starts '
    '(mulberry_counting_start_time_seconds), and are absent without preloading';

CREATE OR REPLACE FUNCTION mulberry.metrics_text(by_tenant boolean DEFAULT false) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, mulberry, pg_temp SET extra_float_digits = 1 AS $$
    WITH samples AS MATERIALIZED (
        SELECT m.*, row_number() OVER () AS number, row_number() OVER (PARTITION BY m.metric) AS within
          FROM mulberry.metrics($1) m
    )
    SELECT string_agg(
               CASE WHEN s.within = 1
                    THEN format(E'# HELP %s %s\n# TYPE %s %s\n', s.metric, replace(replace(s.help, E'\\', E'\\\\'), E'\n', E'\\n'),
                                s.metric, s.type)
                    ELSE '' END
               || s.name || coalesce('{' || l.list || '}', '') || ' ' || s.value || E'\n', '' ORDER BY s.number)
      FROM samples s
     CROSS JOIN LATERAL (SELECT string_agg(format('%s="%s"', e.key, replace(replace(replace(e.value, E'\\', E'\\\\'), '"', E'\\"'),
                                                                            E'\n', E'\\n')), ',' ORDER BY e.key) AS list
                           FROM jsonb_each_text(s.labels) e) AS l
$$;
COMMENT ON FUNCTION mulberry.metrics_text(boolean) IS
    'metrics() in the text format of Prometheus (0.0.4), to be served or written to a file as it is';
