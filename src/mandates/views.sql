CREATE OR REPLACE VIEW mulberry.agent_status WITH (security_barrier) AS
    SELECT t.name AS tenant, a.name AS agent, a.id, a.phone, a.allowed_callers,
           coalesce(a.online_until > clock_timestamp(), false) AS online, a.seen_at, a.online_until,
           (SELECT count(*) FROM mandates m WHERE m.tenant = a.tenant AND m.agent = a.id) AS mandates,
           a.mandates_version, a.created_at
      FROM agents a
      JOIN tenants t ON t.id = a.tenant
     WHERE a.tenant = ANY ((SELECT current_tenants(true, 'operator', 'auditor', 'gateway'))::uuid[]);
COMMENT ON VIEW mulberry.agent_status IS 'the agents, and whether they are on the online path now';
COMMENT ON COLUMN mulberry.agent_status.mandates_version IS 'grows with each change of one of its mandates';

CREATE OR REPLACE VIEW mulberry.mandate_status WITH (security_barrier) AS
    SELECT t.name AS tenant, m.id AS mandate_id, a.name AS agent, m.sponsor,
           CASE WHEN m.status = 'ACTIVE' AND m.expires_at <= greatest(clock_timestamp(), (SELECT max(c.at) FROM mandate_clock c))
                THEN 'EXPIRED' ELSE m.status END AS status,
           m.max_amount, m.spent, m.max_amount - m.spent AS remaining, m.currency, m.expires_at, m.version,
           m.created_at, m.updated_at
      FROM mandates m
      JOIN agents a ON a.tenant = m.tenant AND a.id = m.agent
      JOIN tenants t ON t.id = m.tenant
     WHERE m.tenant = ANY ((SELECT current_tenants(true, 'operator', 'auditor', 'gateway'))::uuid[]);
COMMENT ON VIEW mulberry.mandate_status IS 'the mandates as they are now';
COMMENT ON COLUMN mulberry.mandate_status.status IS 'EXPIRED as soon as expires_at is over';
COMMENT ON COLUMN mulberry.mandate_status.version IS 'grows with each change but spending';

CREATE OR REPLACE VIEW mulberry.mandate_history WITH (security_barrier) AS
    SELECT t.name AS tenant, v.mandate AS mandate_id, v.version, v.at, v.role, v.from_status, v.status, v.max_amount,
           v.expires_at, v.sponsor, v.cause, v.command AS command_id
      FROM mandate_versions v
      JOIN tenants t ON t.id = v.tenant
     WHERE v.tenant = ANY ((SELECT current_tenants(true, 'operator', 'auditor', 'gateway'))::uuid[]);
COMMENT ON VIEW mulberry.mandate_history IS 'what each mandate was after each of its changes but spending, and why';

CREATE OR REPLACE VIEW mulberry.mandate_spendings WITH (security_barrier) AS
    SELECT t.name AS tenant, s.mandate AS mandate_id, s.reference, s.amount, s.remaining, s.role, s.at
      FROM spendings s
      JOIN tenants t ON t.id = s.tenant
     WHERE s.tenant = ANY ((SELECT current_tenants(true, 'operator', 'auditor', 'gateway'))::uuid[]);
COMMENT ON VIEW mulberry.mandate_spendings IS 'what spend() has accepted';
COMMENT ON COLUMN mulberry.mandate_spendings.reference IS 'the payment: the same reference counts once';
COMMENT ON COLUMN mulberry.mandate_spendings.remaining IS 'of the mandate, after it';

CREATE OR REPLACE FUNCTION metrics_mandates(tenants uuid[], by_tenant boolean)
RETURNS TABLE (metric text, tenant uuid, labels jsonb, value double precision)
LANGUAGE sql STABLE
AS $$
    SELECT 'active_mandates', g.tenant, '{}'::jsonb, count(m.id)::double precision
      FROM (SELECT t.tenant FROM unnest(tenants) AS t (tenant) WHERE by_tenant UNION ALL SELECT NULL WHERE NOT by_tenant) AS g
      LEFT JOIN mulberry_internal.mandates m
        ON m.status = 'ACTIVE' AND m.expires_at > (SELECT mulberry_internal.mandate_now()) AND m.tenant = ANY (tenants)
       AND m.tenant = coalesce(g.tenant, m.tenant)
     GROUP BY g.tenant
$$;
COMMENT ON FUNCTION metrics_mandates(uuid[], boolean) IS 'metrics of mandates (internal)';
