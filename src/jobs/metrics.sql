CREATE OR REPLACE FUNCTION metrics_jobs(tenants uuid[], by_tenant boolean)
RETURNS TABLE (metric text, tenant uuid, labels jsonb, value double precision)
LANGUAGE sql STABLE
AS $$
    WITH queue AS (
        SELECT CASE WHEN by_tenant THEN q.tenant END AS tenant, q.kind,
               count(*) FILTER (WHERE q.state = 'queued' OR q.run_at <= now()) AS waiting,
               count(*) FILTER (WHERE q.state = 'running' AND q.run_at > now()) AS running,
               min(q.run_at) FILTER (WHERE q.run_at <= now()) AS oldest
          FROM mulberry_internal.job_queue q
         WHERE q.tenant = ANY (tenants)
         GROUP BY 1, 2
    ), owners AS (
        SELECT q.tenant, min(q.oldest) AS oldest FROM queue q GROUP BY q.tenant
         UNION ALL
        SELECT NULL, NULL WHERE NOT by_tenant AND NOT EXISTS (SELECT FROM queue)
    ), services AS (
        -- what one tenant's own key does at an endpoint of all is told of that tenant
        SELECT t.tenant, e.name,
               bool_and(NOT EXISTS (SELECT FROM mulberry_internal.endpoint_state s
                                     WHERE s.endpoint = e.id AND s.tenant IN (mulberry_internal.every_tenant(), t.tenant)
                                       AND s.state <> 'closed')) AS up
          FROM (SELECT x.tenant FROM unnest(tenants) AS x (tenant) WHERE by_tenant UNION ALL SELECT NULL WHERE NOT by_tenant) AS t
          JOIN mulberry_internal.endpoints e
            ON e.tenant IS NULL OR e.tenant = t.tenant OR (t.tenant IS NULL AND e.tenant = ANY (tenants))
         -- whom gateways ask, workers know nothing of
         WHERE e.enabled AND (e.purpose IN ('listen', 'speak', 'reply')) IS NOT TRUE
         GROUP BY 1, 2
    )
    SELECT m.metric, o.tenant, jsonb_build_object('kind', k.kind), m.value::double precision
      FROM owners o
     CROSS JOIN mulberry.job_kinds() k
      LEFT JOIN queue q ON q.tenant IS NOT DISTINCT FROM o.tenant AND q.kind = k.kind
     CROSS JOIN LATERAL (VALUES ('mulberry_jobs_waiting', coalesce(q.waiting, 0)),
                                ('mulberry_jobs_running', coalesce(q.running, 0))) AS m (metric, value)
     UNION ALL
    SELECT 'mulberry_job_queue_age_seconds', o.tenant, '{}',
           coalesce(extract(epoch FROM greatest(clock_timestamp() - o.oldest, '0')), 0)
      FROM owners o
     UNION ALL
    SELECT 'mulberry_endpoint_up', s.tenant, jsonb_build_object('endpoint', s.name), s.up::integer
      FROM services s
$$;
COMMENT ON FUNCTION metrics_jobs(uuid[], boolean) IS 'metrics of jobs and endpoints (internal)';
