CREATE OR REPLACE VIEW mulberry.jobs WITH (security_barrier) AS
    WITH visible AS (SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin') AS tenants)
    SELECT q.id, q.kind, t.name AS tenant, c.call_id, coalesce(e.name, q.endpoint) AS endpoint,
           CASE WHEN q.state = 'running' AND q.run_at > now() THEN 'running'
                WHEN w.reason IS NOT NULL THEN 'held'
                ELSE 'queued' END AS state,
           CASE WHEN q.state = 'queued' OR q.run_at <= now() THEN w.reason END AS held_because,
           CASE WHEN q.state = 'queued' THEN q.run_at END AS run_at,
           CASE WHEN q.state = 'running' THEN q.run_at END AS lease_until,
           q.attempts, q.max_attempts, q.deferrals, CASE WHEN q.state = 'running' THEN q.worker END AS worker,
           q.last_error, q.created_at, q.started_at, NULL::timestamptz AS finished_at
      FROM mulberry_internal.job_queue q
      JOIN mulberry_internal.tenants t ON t.id = q.tenant
      LEFT JOIN mulberry_internal.calls c ON c.id = q.call
      LEFT JOIN mulberry_internal.endpoints e ON e.id = q.route
      LEFT JOIN LATERAL (SELECT b.endpoint, b.last_error FROM mulberry_internal.endpoint_state b
                          WHERE b.endpoint = q.route AND b.tenant IN ('00000000-0000-0000-0000-000000000000', q.tenant)
                            AND b.state <> 'closed'
                          ORDER BY b.tenant LIMIT 1) AS s ON true
     CROSS JOIN LATERAL (SELECT CASE
                WHEN NOT (SELECT mulberry.outbound_allowed())
                    THEN 'outgoing work of this copy of the database is held: resume_outbound()'
                WHEN q.route IS NULL AND q.endpoint IS NOT NULL THEN format('there is no endpoint "%s"', q.endpoint)
                WHEN q.route IS NULL THEN format('no endpoint serves %s', mulberry.job_purpose(q.kind))
                WHEN NOT e.enabled THEN format('endpoint "%s" is disabled', e.name)
                WHEN s.endpoint IS NOT NULL THEN format('endpoint "%s" is unavailable: %s', e.name, s.last_error)
            END AS reason) AS w
     WHERE q.tenant = ANY ((SELECT tenants FROM visible)::uuid[])
     UNION ALL
    SELECT h.id, h.kind, t.name, c.call_id, coalesce(e.name, h.endpoint), h.state, NULL, NULL, NULL,
           h.attempts, h.max_attempts, h.deferrals, NULL, h.last_error, h.created_at, h.started_at, h.finished_at
      FROM mulberry_internal.job_history h
      JOIN mulberry_internal.tenants t ON t.id = h.tenant
      LEFT JOIN mulberry_internal.calls c ON c.id = h.call
      LEFT JOIN mulberry_internal.endpoints e ON e.id = h.route
     WHERE h.tenant = ANY ((SELECT tenants FROM visible)::uuid[]);
COMMENT ON VIEW mulberry.jobs IS 'every job: queued, held (waits for what held_because says), running, done, dead, cancelled';
COMMENT ON COLUMN mulberry.jobs.attempts IS 'attempts that count; deferrals are those that do not';

-- Finished jobs are counted in the table itself: as part of the view jobs each would be joined to its call.
CREATE OR REPLACE VIEW mulberry.job_summary WITH (security_barrier) AS
    SELECT kind, state, count(*) AS jobs, min(created_at) AS oldest,
           count(*) FILTER (WHERE state IN ('queued', 'held') AND run_at < now()) AS overdue
      FROM mulberry.jobs
     -- decided once, before any job is looked at
     WHERE (SELECT cardinality(mulberry.current_tenants(true, 'operator', 'auditor', 'admin')) > 0)
       AND finished_at IS NULL
     GROUP BY kind, state
     UNION ALL
    SELECT kind, state, count(*), min(created_at), 0
      FROM mulberry_internal.job_history
     WHERE tenant = ANY ((SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin'))::uuid[])
     GROUP BY kind, state;
COMMENT ON VIEW mulberry.job_summary IS 'jobs by kind and state: how many, since when, and how many should have begun by now';

CREATE OR REPLACE VIEW mulberry.endpoint_status WITH (security_barrier) AS
    SELECT e.name, t.name AS tenant, e.kind, e.purpose, e.priority, e.base_url, e.model, e.options, e.secret, e.timeout,
           e.max_concurrency, e.allow_http, e.allow_private, e.enabled, e.seeded,
           coalesce(s.state, 'closed') AS breaker, s.retry_at, s.last_error, s.out_since, held.tenants AS held_tenants,
           q.queued, q.running
      FROM mulberry_internal.endpoints e
      LEFT JOIN mulberry_internal.tenants t ON t.id = e.tenant
      LEFT JOIN mulberry_internal.endpoint_state s ON s.endpoint = e.id AND s.tenant = '00000000-0000-0000-0000-000000000000'
     CROSS JOIN LATERAL (SELECT coalesce(array_agg(u.name::text ORDER BY u.name), '{}') AS tenants
                           FROM mulberry_internal.endpoint_state h
                           JOIN mulberry_internal.tenants u ON u.id = h.tenant
                          WHERE h.endpoint = e.id AND h.state <> 'closed'
                            AND h.tenant = ANY ((SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin'))::uuid[])) AS held
     CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE x.state = 'queued') AS queued,
                                count(*) FILTER (WHERE x.state = 'running' AND x.run_at > now()) AS running
                           FROM mulberry_internal.job_queue x
                          WHERE x.route = e.id
                            AND x.tenant = ANY ((SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin'))::uuid[])) AS q
     WHERE CASE WHEN e.tenant IS NULL
                THEN cardinality((SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin'))::uuid[]) > 0
                ELSE e.tenant = ANY ((SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin'))::uuid[]) END;
COMMENT ON VIEW mulberry.endpoint_status IS
    'endpoints as configured, whether they can be reached, and the jobs of one''s tenants that they serve';
COMMENT ON COLUMN mulberry.endpoint_status.tenant IS 'null: serves all tenants';
COMMENT ON COLUMN mulberry.endpoint_status.breaker IS
    'closed: requests flow; open: none until retry_at; half_open: one request asks whether it is back';
COMMENT ON COLUMN mulberry.endpoint_status.out_since IS 'when it began to fail; null: it does not';
COMMENT ON COLUMN mulberry.endpoint_status.held_tenants IS
    'of an endpoint of all tenants, those of one''s tenants whose own key is refused, or for whom alone it fails: their jobs wait';

CREATE OR REPLACE VIEW mulberry.stat_workers WITH (security_barrier) AS
    SELECT p.place AS worker, p.pid, p.started_at, p.starts, p.in_flight, p.done, p.failed, p.last_activity
      FROM mulberry.process_statistics() p
     WHERE p.type = 'worker'
       AND cardinality((SELECT mulberry.current_tenants(true, 'operator', 'auditor', 'admin', 'monitor'))::uuid[]) > 0;
COMMENT ON VIEW mulberry.stat_workers IS 'the workers of this database, alive (pid) or not; empty without preloading';
COMMENT ON COLUMN mulberry.stat_workers.starts IS 'how often a process has taken this place since the server started';
COMMENT ON COLUMN mulberry.stat_workers.in_flight IS 'requests under way';
COMMENT ON COLUMN mulberry.stat_workers.done IS 'jobs dealt with since the server started';
COMMENT ON COLUMN mulberry.stat_workers.failed IS 'attempts that failed since the server started';

CREATE OR REPLACE FUNCTION health_jobs() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE sql STABLE
AS $$
    WITH unavailable AS (
        SELECT e.id, e.name, s.tenant, t.name AS of_tenant, s.out_since, s.retry_at, s.last_error, other.name AS instead,
               coalesce(e.tenant, nullif(s.tenant, mulberry_internal.every_tenant())) IS NULL
               OR coalesce(e.tenant, s.tenant) = ANY ((SELECT mulberry.current_tenants())::uuid[]) AS known,
               -- what a service answers may repeat what it was sent
               cardinality((SELECT mulberry.current_tenants('operator', 'auditor', 'gateway', 'worker'))::uuid[]) > 0 AS tells
          FROM mulberry_internal.endpoint_state s
          JOIN mulberry_internal.endpoints e ON e.id = s.endpoint
          LEFT JOIN mulberry_internal.tenants t ON t.id = s.tenant
          LEFT JOIN LATERAL (SELECT o.name FROM mulberry_internal.endpoints o
                              WHERE o.tenant IS NOT DISTINCT FROM e.tenant AND o.purpose = e.purpose AND o.enabled AND o.id <> e.id
                                AND NOT EXISTS (SELECT FROM mulberry_internal.endpoint_state x
                                                 WHERE x.endpoint = o.id AND x.tenant IN (mulberry_internal.every_tenant(), s.tenant)
                                                   AND x.state <> 'closed')
                              ORDER BY o.priority, o.id LIMIT 1) AS other ON true
         WHERE s.state <> 'closed'
    )
    SELECT 'endpoint ' || u.name, CASE WHEN u.instead IS NULL THEN 'error' ELSE 'warning' END,
           concat(format('unavailable%s since %s, ', ' for tenant "' || u.of_tenant || '"', u.out_since),
                  'endpoint "' || u.instead || '" takes its place, ',
                  format('%s jobs wait, asked again at %s%s',
                         (SELECT count(*) FROM mulberry_internal.job_queue q
                           WHERE q.route = u.id AND u.tenant IN (mulberry_internal.every_tenant(), q.tenant)
                             AND q.tenant = ANY ((SELECT mulberry.current_tenants())::uuid[])),
                         u.retry_at, CASE WHEN u.tells THEN ': ' || u.last_error END)),
           'Its jobs wait, use up no attempts, and go on by themselves. See endpoint_status; test_endpoint() shows what it answers, '
           'alter_endpoint() changes it.'
      FROM unavailable u WHERE u.known
     UNION ALL
    -- no names: who may see health may not see every tenant
    SELECT 'endpoints of other tenants', 'error', format('%s are unavailable', count(*)),
           'Their jobs wait and go on by themselves.'
      FROM unavailable u WHERE NOT u.known HAVING count(*) > 0
     UNION ALL
    SELECT 'jobs without endpoint', 'error', format('%s jobs wait because no endpoint serves them', count(*)),
           'Configure one with set_endpoint().'
      FROM mulberry_internal.job_queue q WHERE q.route IS NULL HAVING count(*) > 0
     UNION ALL
    SELECT 'job queue',
           CASE WHEN count(*) FILTER (WHERE q.run_at < now() - interval '5 minutes') > 0 THEN 'warning' ELSE 'ok' END,
           format('%s jobs, %s of them more than 5 minutes overdue', count(*),
                  count(*) FILTER (WHERE q.run_at < now() - interval '5 minutes')),
           CASE WHEN count(*) FILTER (WHERE q.run_at < now() - interval '5 minutes') > 0
                THEN 'The view jobs says what each waits for. Without workers, a role with access worker calls run_jobs().' END
      FROM mulberry_internal.job_queue q
     UNION ALL
    SELECT 'dead jobs', CASE WHEN count(*) > 0 THEN 'warning' ELSE 'ok' END,
           format('%s were given up in the last 24 hours', count(*)),
           CASE WHEN count(*) > 0 THEN 'The view jobs has their last errors; retry_job() tries one again, retry_jobs() many.' END
      FROM mulberry_internal.job_history h WHERE h.state = 'dead' AND h.finished_at > now() - interval '1 day'
$$;
COMMENT ON FUNCTION health_jobs() IS 'health of jobs and endpoints';
