-- Endpoints that are out: which, since when, who asks whether they are back, and what their jobs do meanwhile.

CREATE OR REPLACE FUNCTION every_tenant() RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '00000000-0000-0000-0000-000000000000'::uuid;
COMMENT ON FUNCTION every_tenant() IS 'endpoint_state.tenant of an endpoint as such (internal)';

CREATE OR REPLACE FUNCTION open_breaker(endpoint bigint, tenant uuid) RETURNS mulberry_internal.endpoint_state
LANGUAGE sql STABLE
AS $$
    SELECT s.* FROM mulberry_internal.endpoint_state s
     WHERE s.endpoint = $1 AND s.tenant IN (mulberry_internal.every_tenant(), $2) AND s.state <> 'closed'
     ORDER BY s.tenant LIMIT 1
$$;
COMMENT ON FUNCTION open_breaker(bigint, uuid) IS
    'what holds a tenant''s jobs for an endpoint: the state of the endpoint as such, or that of the tenant there; null: nothing (internal)';

CREATE OR REPLACE FUNCTION is_probe(job job_queue) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (SELECT FROM mulberry_internal.endpoint_state s
                    WHERE s.endpoint = (job).route AND s.state = 'half_open' AND s.probe = (job).id)
$$;
COMMENT ON FUNCTION is_probe(job_queue) IS 'whether a job asks an endpoint that is out whether it is back (internal)';

CREATE OR REPLACE FUNCTION endpoint_for(tenant uuid, purpose text, name text DEFAULT NULL, passed bigint[] DEFAULT NULL) RETURNS bigint
LANGUAGE sql STABLE
AS $$
    SELECT e.id
      FROM mulberry_internal.endpoints e
     WHERE (e.tenant = $1 OR e.tenant IS NULL)
       AND CASE WHEN $3 IS NULL THEN e.purpose = $2 ELSE e.name = $3 END
     ORDER BY e.tenant NULLS LAST, NOT e.enabled, e.id = ANY (coalesce($4, '{}'))
              OR EXISTS (SELECT FROM mulberry_internal.endpoint_state s
                          WHERE s.endpoint = e.id AND s.tenant IN (mulberry_internal.every_tenant(), $1) AND s.state <> 'closed'),
              e.priority, e.id
     LIMIT 1
$$;
COMMENT ON FUNCTION endpoint_for(uuid, text, text, bigint[]) IS
    'id of the endpoint that serves a tenant: by name, or by purpose the first in the order of priority that is enabled, not out and not '
    '"passed"; where none is the first; the tenant''s own before those of all tenants; null: there is none (internal)';

CREATE OR REPLACE FUNCTION job_route(kind text, tenant uuid, call bigint, endpoint text, passed bigint[] DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    found_id CONSTANT bigint := mulberry_internal.endpoint_for(tenant, (mulberry_internal.job_kind(kind)).purpose, endpoint, passed);
BEGIN
    -- it asks whatever the state of its endpoint, which it therefore does not wait for
    IF (mulberry_internal.job_kind(kind)).subject = 'endpoint' THEN
        RETURN 0;
    END IF;
    IF (mulberry_internal.job_kind(kind)).text_is_result
       AND EXISTS (SELECT FROM mulberry_internal.calls c WHERE c.id = job_route.call AND c.encoding = 'text')
       AND NOT EXISTS (SELECT FROM mulberry_internal.endpoints e
                        WHERE e.id = found_id AND (mulberry_internal.endpoint_kind(e.kind, e.purpose)).takes_text)
    THEN
        RETURN 0;
    END IF;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION job_route(text, uuid, bigint, text, bigint[]) IS
    'job_queue.route of a job: id of the endpoint that serves it, 0 when it needs none, null when there is none';

-- The attempts that made an endpoint count as out were its own failures: those that were a job's first are given back.  Later ones
-- are counted only where others were served in between.
CREATE OR REPLACE FUNCTION give_attempts_back(endpoint bigint, tenant uuid, since timestamptz) RETURNS void
LANGUAGE sql
AS $$
    UPDATE mulberry_internal.job_queue q
       SET attempts = 0, deferrals = q.deferrals + 1
     WHERE q.id IN (SELECT x.id FROM mulberry_internal.job_queue x
                     WHERE x.route = $1 AND ($2 = mulberry_internal.every_tenant() OR x.tenant = $2) AND x.failed_at >= $3
                       AND x.state = 'queued' AND x.attempts = 1
                       FOR UPDATE SKIP LOCKED)
$$;
COMMENT ON FUNCTION give_attempts_back(bigint, uuid, timestamptz) IS
    'takes back the first attempts of jobs that failed through an endpoint since a time (internal)';

CREATE OR REPLACE FUNCTION announce_endpoint(endpoint bigint, tenant uuid, available boolean, error text) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    e     mulberry_internal.endpoints;
    event CONSTANT text := CASE WHEN available THEN 'endpoint_available' ELSE 'endpoint_unavailable' END;
BEGIN
    SELECT x.* INTO STRICT e FROM mulberry_internal.endpoints x WHERE x.id = endpoint;
    PERFORM mulberry_internal.emit_event(
        coalesce(e.tenant, nullif(tenant, mulberry_internal.every_tenant()),
                 (SELECT t.id FROM mulberry_internal.tenants t WHERE t.name = 'default')),
        event, NULL, NULL, jsonb_strip_nulls(jsonb_build_object('endpoint', e.name, 'error', CASE WHEN NOT available THEN error END)));
    RAISE LOG 'mulberry: endpoint "%" is %', e.name,
        CASE WHEN available THEN 'available again' ELSE 'unavailable: ' || coalesce(error, '') END;
    RETURN event;
END
$$;
COMMENT ON FUNCTION announce_endpoint(bigint, uuid, boolean, text) IS
    'event and log that an endpoint, or a tenant''s use of it, has failed or is back (internal)';

CREATE OR REPLACE FUNCTION report_probe(endpoint bigint, available boolean, probe bigint, error text DEFAULT NULL,
                             at timestamptz DEFAULT clock_timestamp(), key_of uuid DEFAULT NULL) RETURNS text
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    s mulberry_internal.endpoint_state;
BEGIN
    SELECT x.* INTO s FROM mulberry_internal.endpoint_state x
     WHERE x.endpoint = report_probe.endpoint AND x.probe = report_probe.probe AND x.state = 'half_open' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- a service that refuses a tenant's key is there for the others
    IF NOT available AND key_of <> s.tenant THEN
        available := true;
    END IF;
    IF available THEN
        UPDATE mulberry_internal.endpoint_state x
           SET state = 'closed', openings = least(x.openings, 1), retry_at = NULL, out_since = NULL, probe = NULL, changed_at = at,
               allowed = 2, served = 0
         WHERE x.endpoint = s.endpoint AND x.tenant = s.tenant;
        RETURN mulberry_internal.announce_endpoint(s.endpoint, s.tenant, true, NULL);
    END IF;
    UPDATE mulberry_internal.endpoint_state x
       SET state = 'open', probe = NULL, changed_at = at,
           openings = x.openings + (available IS NOT NULL)::integer,
           last_error = CASE WHEN available IS NULL THEN x.last_error ELSE left(report_probe.error, 1000) END,
           retry_at = at + CASE WHEN available IS NOT NULL
                                THEN least(interval '1 second' * 2 ^ least(x.openings, 10), interval '30 seconds')
                                ELSE '0' END
     WHERE x.endpoint = s.endpoint AND x.tenant = s.tenant;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION report_probe(bigint, boolean, bigint, text, timestamptz, uuid) IS
    'what a job learnt that asked an endpoint that is out: it is back, it is not, or (null) the request was not sent after all. key_of: '
    'tenant whose own key was refused. Returns the event that this was, if any';

-- All that have waited would fall upon it at once: it gets two at a time, and twice as many after each window in which it has
-- served them.  The first failure, where it does not fail now and then anyway, has it asked by one again: see MB_RUN_BY_CHANCE_BACK.
CREATE OR REPLACE FUNCTION report_served(endpoint bigint, tenant uuid, at timestamptz DEFAULT clock_timestamp()) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    -- whoever meets another who counts is not counted himself
    UPDATE mulberry_internal.endpoint_state x
       SET served = CASE WHEN w.is_over THEN 0 ELSE x.served + 1 END,
           allowed = CASE WHEN NOT w.is_over THEN x.allowed WHEN 2 * x.allowed < w.most THEN 2 * x.allowed END,
           openings = CASE WHEN w.is_over AND 2 * x.allowed >= w.most THEN 0 ELSE x.openings END,
           changed_at = CASE WHEN w.is_over THEN at ELSE x.changed_at END
      FROM (SELECT s.endpoint, s.tenant, s.served + 1 >= s.allowed OR s.changed_at <= at - interval '10 seconds' AS is_over,
                   coalesce(e.max_concurrency,
                            greatest(current_setting('mulberry.workers')::integer, 1)
                            * current_setting('mulberry.http_concurrency')::integer) AS most
              FROM mulberry_internal.endpoint_state s
              JOIN mulberry_internal.endpoints e ON e.id = s.endpoint
             WHERE s.endpoint = report_served.endpoint AND s.tenant IN (mulberry_internal.every_tenant(), report_served.tenant)
               AND s.allowed IS NOT NULL
               FOR NO KEY UPDATE OF s SKIP LOCKED) AS w
     WHERE x.endpoint = w.endpoint AND x.tenant = w.tenant;
END
$$;
COMMENT ON FUNCTION report_served(bigint, uuid, timestamptz) IS
    'counts a request that an endpoint has served which comes back from an outage: after as many as it may have at once, or ten seconds, '
    'it may have twice as many, until it may have all';

CREATE OR REPLACE FUNCTION report_endpoint(endpoint bigint, error text, at timestamptz DEFAULT clock_timestamp(),
                                tenant uuid DEFAULT '00000000-0000-0000-0000-000000000000', since timestamptz DEFAULT NULL) RETURNS text
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner uuid;
BEGIN
    SELECT e.tenant INTO owner FROM mulberry_internal.endpoints e WHERE e.id = report_endpoint.endpoint;
    IF NOT FOUND OR (mulberry_internal.open_breaker(endpoint, tenant)).endpoint IS NOT NULL THEN
        RETURN NULL;
    END IF;
    error := left(error, 1000);
    INSERT INTO mulberry_internal.endpoint_state (endpoint, tenant, state, changed_at)
    VALUES (report_endpoint.endpoint, report_endpoint.tenant, 'closed', at) ON CONFLICT DO NOTHING;
    UPDATE mulberry_internal.endpoint_state x
       SET state = 'open', openings = x.openings + 1, last_error = error, changed_at = at, out_since = at,
           retry_at = at + interval '1 second' * 2 ^ x.openings, allowed = NULL
     WHERE x.endpoint = report_endpoint.endpoint AND x.tenant = report_endpoint.tenant AND x.state = 'closed';
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM mulberry_internal.give_attempts_back(endpoint, tenant, since);
    RETURN mulberry_internal.announce_endpoint(endpoint, tenant, false, error);
END
$$;
COMMENT ON FUNCTION report_endpoint(bigint, text, timestamptz, uuid, timestamptz) IS
    'what a worker learnt of an endpoint: it fails, or what one tenant asks of it does; holds its jobs and gives back the attempts that '
    'have failed since a time. Returns the event that this was, if any';

-- Jobs whose endpoint is out go to the next one, some with each claim; one of them remains, or comes back, to ask.
CREATE OR REPLACE FUNCTION divert_jobs(at timestamptz, many integer) RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    gone  record;
    stays integer;
BEGIN
    FOR gone IN
        SELECT s.endpoint, s.tenant, s.state = 'open' AND s.retry_at <= at AS due, e.tenant AS owner, e.purpose
          FROM mulberry_internal.endpoint_state s
          JOIN mulberry_internal.endpoints e ON e.id = s.endpoint
         WHERE s.state <> 'closed' AND e.enabled
           AND EXISTS (SELECT FROM mulberry_internal.endpoints other
                        WHERE other.purpose = e.purpose AND other.tenant IS NOT DISTINCT FROM e.tenant AND other.enabled
                          AND other.id <> e.id)
         ORDER BY s.endpoint, s.tenant
    LOOP
        stays := gone.due::integer;
        UPDATE mulberry_internal.job_queue q SET route = r.route
          FROM (SELECT x.id, mulberry_internal.job_route(x.kind, x.tenant, x.call, x.endpoint, x.passed) AS route
                  FROM mulberry_internal.job_queue x
                 WHERE x.id IN (SELECT y.id FROM mulberry_internal.job_queue y
                                 WHERE y.route = gone.endpoint AND gone.tenant IN (mulberry_internal.every_tenant(), y.tenant)
                                   AND y.endpoint IS NULL AND y.state = 'queued' AND y.run_at <= at
                                OFFSET stays LIMIT many FOR UPDATE SKIP LOCKED)) AS r
         WHERE q.id = r.id AND q.route <> r.route;
        IF gone.due AND NOT EXISTS (SELECT FROM mulberry_internal.job_queue q
                                     WHERE q.route = gone.endpoint AND gone.tenant IN (mulberry_internal.every_tenant(), q.tenant)
                                       AND q.run_at <= at) THEN
            UPDATE mulberry_internal.job_queue q SET route = gone.endpoint
             WHERE q.id = (SELECT x.id
                             FROM mulberry_internal.endpoints other
                             JOIN mulberry_internal.job_queue x ON x.route = other.id
                            WHERE other.purpose = gone.purpose AND other.tenant IS NOT DISTINCT FROM gone.owner
                              AND other.id <> gone.endpoint
                              AND gone.tenant IN (mulberry_internal.every_tenant(), x.tenant)
                              AND x.endpoint IS NULL AND x.state = 'queued' AND x.run_at <= at
                            LIMIT 1 FOR UPDATE OF x SKIP LOCKED);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION divert_jobs(timestamptz, integer) IS
    'sends due jobs of endpoints that are out to the next one of their purpose, and sees to it that one is there to ask when it is time '
    '(internal)';

CREATE OR REPLACE FUNCTION give_up_waiting(max_jobs integer, at timestamptz DEFAULT clock_timestamp()) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    patience CONSTANT interval := current_setting('mulberry.endpoint_patience')::interval;
    tired    record;
    done     integer := 0;
BEGIN
    FOR tired IN
        SELECT q AS job, s.last_error AS why
          FROM mulberry_internal.endpoint_state s
          JOIN mulberry_internal.job_queue q ON q.route = s.endpoint
         WHERE s.state <> 'closed' AND s.out_since < at - patience AND s.tenant IN (mulberry_internal.every_tenant(), q.tenant)
           AND q.state = 'queued' AND q.waits_since < at - patience AND isfinite(q.run_at)
         LIMIT max_jobs
           FOR UPDATE OF q SKIP LOCKED
    LOOP
        EXIT WHEN mulberry_internal.call_locks_left() = 0;
        CONTINUE WHEN (tired.job).call IS NOT NULL AND NOT mulberry_internal.lock_call_soon((tired.job).call);
        BEGIN
            PERFORM mulberry_internal.give_up_job(tired.job, 'dead', tired.why,
                format('AI service was unavailable for %s: %s', current_setting('mulberry.endpoint_patience'), tired.why));
            done := done + 1;
        EXCEPTION
            WHEN lock_not_available OR transaction_rollback THEN
                PERFORM mulberry_internal.blocked();
        END;
    END LOOP;
    -- a tenant that was dropped
    DELETE FROM mulberry_internal.endpoint_state s
     WHERE s.tenant <> mulberry_internal.every_tenant()
       AND NOT EXISTS (SELECT FROM mulberry_internal.tenants t WHERE t.id = s.tenant);
    RETURN done;
END
$$;
COMMENT ON FUNCTION give_up_waiting(integer, timestamptz) IS
    'fails jobs whose endpoint has been out for mulberry.endpoint_patience, as long as they have waited, at most max_jobs, and returns how '
    'many; part of maintenance (internal)';
