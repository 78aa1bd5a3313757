CREATE OR REPLACE FUNCTION metrics_calls(tenants uuid[], by_tenant boolean)
RETURNS TABLE (metric text, tenant uuid, labels jsonb, value double precision)
LANGUAGE sql STABLE
AS $$
    WITH unfinished AS (
        SELECT CASE WHEN by_tenant THEN c.tenant END AS tenant, c.state, count(*) AS number
          FROM mulberry_internal.calls c
         WHERE c.finished_at IS NULL AND c.tenant = ANY (tenants)
         GROUP BY 1, 2
    )
    SELECT 'mulberry_calls', u.tenant, jsonb_build_object('state', s.state), coalesce(n.number, 0)::double precision
      FROM (SELECT DISTINCT x.tenant FROM unfinished x UNION SELECT NULL WHERE NOT by_tenant) AS u
     CROSS JOIN (VALUES ('IN_PROGRESS'), ('COMPLETED'), ('PROCESSING_AI')) AS s (state)
      LEFT JOIN unfinished n ON n.tenant IS NOT DISTINCT FROM u.tenant AND n.state = s.state
$$;
COMMENT ON FUNCTION metrics_calls(uuid[], boolean) IS 'metrics of calls (internal)';
