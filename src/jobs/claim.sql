-- A lane is what one tenant has in the queue for one endpoint; endpoint 0 stands for none.
--
-- The tenants of what several share are found by a loose index scan, which costs a probe for each of
-- them however long their queues are.  Of very many it sees some, others each time.
CREATE OR REPLACE FUNCTION job_lanes()
RETURNS TABLE (route bigint, tenant uuid, max_concurrency integer, held_for uuid, not_before timestamptz,
               allowed integer, allowed_for uuid, lease interval, run_at timestamptz)
LANGUAGE plpgsql VOLATILE
-- a plan made while the queue was short must not read all of a long one
SET enable_seqscan = off
-- the price of what is switched off would have it compiled each time
SET jit = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN QUERY
        WITH RECURSIVE routes AS (
            SELECT e.id, e.tenant, e.max_concurrency,
                   coalesce(e.timeout, current_setting('mulberry.http_timeout')::interval)
                   + current_setting('mulberry.lease_time')::interval AS lease
              FROM mulberry_internal.endpoints e
             WHERE e.enabled
             UNION ALL
            SELECT 0, NULL, NULL, current_setting('mulberry.lease_time')::interval
        ), walk AS (
            SELECT r.id AS route, first.tenant, 1 AS step
              FROM routes r
             CROSS JOIN (VALUES (gen_random_uuid()), ('00000000-0000-0000-0000-000000000000')) AS start (tenant)
             CROSS JOIN LATERAL (SELECT q.tenant FROM mulberry_internal.job_queue q
                                  WHERE q.route = r.id AND q.tenant >= start.tenant ORDER BY q.tenant LIMIT 1) AS first
             WHERE r.tenant IS NULL
             UNION ALL
            SELECT w.route, following.tenant, w.step + 1
              FROM walk w
             CROSS JOIN LATERAL (SELECT q.tenant FROM mulberry_internal.job_queue q
                                  WHERE q.route = w.route AND q.tenant > w.tenant ORDER BY q.tenant LIMIT 1) AS following
             WHERE w.step < 64
        ), lanes AS (
            SELECT r.id AS route, r.tenant FROM routes r WHERE r.tenant IS NOT NULL
             UNION
            SELECT w.route, w.tenant FROM walk w
        )
        SELECT r.id, l.tenant, r.max_concurrency, held.tenant, held.retry_at, back.allowed, back.tenant, r.lease, due.run_at
          FROM lanes l
          JOIN routes r ON r.id = l.route
          LEFT JOIN LATERAL (SELECT s.tenant, s.retry_at FROM mulberry_internal.endpoint_state s
                              WHERE s.endpoint = r.id AND s.tenant IN (mulberry_internal.every_tenant(), l.tenant)
                                AND s.state <> 'closed'
                              ORDER BY s.tenant LIMIT 1) AS held ON true
          LEFT JOIN LATERAL (SELECT s.tenant, s.allowed FROM mulberry_internal.endpoint_state s
                              WHERE s.endpoint = r.id AND s.tenant IN (mulberry_internal.every_tenant(), l.tenant)
                                AND s.allowed IS NOT NULL
                              ORDER BY s.allowed LIMIT 1) AS back ON true
         CROSS JOIN LATERAL (SELECT q.run_at FROM mulberry_internal.job_queue q
                              WHERE q.route = l.route AND q.tenant = l.tenant
                              ORDER BY q.run_at LIMIT 1) AS due;
END
$$;
COMMENT ON FUNCTION job_lanes() IS
    'enabled endpoints with the tenants that have jobs there, all or a hundred of each endpoint, and when the first of these jobs is due; '
    'held_for, not_before: endpoint_state.tenant of the breaker that holds them, and until when; allowed, allowed_for: how many the '
    'endpoint may have while it comes back, and of whom (internal)';

CREATE OR REPLACE FUNCTION lock_endpoint_soon(endpoint bigint) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
BEGIN
    PERFORM mulberry_internal.limit_waits();
    PERFORM FROM mulberry_internal.endpoints e WHERE e.id = endpoint FOR NO KEY UPDATE;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    PERFORM mulberry_internal.blocked();
    RETURN false;
END
$$;
COMMENT ON FUNCTION lock_endpoint_soon(bigint) IS
    'locks the row of an endpoint until the end of the transaction; false when another transaction keeps it for longer than one that '
    'commits (internal)';

CREATE OR REPLACE FUNCTION claim_jobs(worker integer, max_jobs integer, at timestamptz DEFAULT clock_timestamp(),
                           slots integer DEFAULT NULL, reserve integer DEFAULT 0,
                           held_routes bigint[] DEFAULT '{}', held_tenants uuid[] DEFAULT '{}')
RETURNS TABLE (id bigint, lease_token bigint, kind text, tenant uuid, call bigint, payload jsonb,
               attempts integer, max_attempts integer, route bigint, probe boolean, failed_at timestamptz)
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
-- a plan made while the queue was empty must not read all of a long one
SET enable_seqscan = off
-- the price of what is switched off would have it compiled each time
SET jit = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    candidate  record;
    lanes      record;
    -- by number of the lane, the endpoint, the tenant
    granted    integer[];
    of_route   integer[] := ARRAY[]::integer[];
    of_tenant  integer[] := ARRAY[]::integer[];
    more       integer := max_jobs;
    free       integer := coalesce(slots, max_jobs + cardinality(held_routes)) - cardinality(held_routes);
    -- how far to look into one lane when there are many
    deep       integer;
    room       integer;
    is_probe   boolean;
    ids        bigint[];
BEGIN
    IF NOT mulberry.outbound_allowed() THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM mulberry_internal.endpoint_state s WHERE s.state <> 'closed') THEN
        PERFORM mulberry_internal.divert_jobs(at, 4 * max_jobs);
    END IF;
    SELECT array_agg(l.route) AS routes, array_agg(l.tenant) AS tenants, array_agg(l.room) AS rooms,
           array_agg(l.held_for) AS held_for, array_agg(coalesce(l.held_for, l.allowed_for)) AS limited_for,
           array_agg(l.lease) AS leases,
           array_agg(l.route_number) AS route_numbers, array_agg(l.tenant_number) AS tenant_numbers,
           count(*) AS number
      INTO lanes
      FROM (SELECT j.*, dense_rank() OVER (ORDER BY j.route)::integer AS route_number,
                   dense_rank() OVER (ORDER BY j.tenant)::integer AS tenant_number, r.room
              FROM mulberry_internal.job_lanes() j
             -- how many more the endpoint may have; null: any number
             CROSS JOIN LATERAL (SELECT CASE WHEN j.held_for IS NOT NULL THEN 1
                                             WHEN j.max_concurrency IS NOT NULL OR j.allowed IS NOT NULL THEN
                                                 (SELECT least(j.max_concurrency - count(*), j.allowed - count(*) FILTER
                                                               (WHERE j.allowed_for IN (mulberry_internal.every_tenant(), q.tenant)))
                                                    FROM mulberry_internal.job_queue q
                                                   WHERE q.route = j.route AND q.state = 'running' AND q.run_at > at)::integer
                                        END AS room) AS r
             WHERE j.run_at <= at AND (j.not_before IS NULL OR j.not_before <= at) AND (r.room IS NULL OR r.room > 0)
             -- locks of endpoints are taken in this order
             ORDER BY j.route, j.tenant) AS l;

    -- Who shall have how many.  The next job is that of the lane whose tenant or endpoint has least
    -- under way; chance decides between equals, so that with one slot, too, everybody has a turn.
    IF lanes.number = 1 AND free >= max_jobs THEN
        granted := ARRAY[least(max_jobs, lanes.rooms[1])];
    ELSIF lanes.number > 0 THEN
        granted := array_fill(0, ARRAY[lanes.number::integer]);
        deep := least(max_jobs, ceil(4.0 * max_jobs / lanes.number));
        FOR candidate IN
            WITH held AS MATERIALIZED (
                SELECT h.route, h.tenant FROM unnest(held_routes, held_tenants) AS h (route, tenant)
            )
            SELECT l.lane, l.route, l.route_number, l.tenant_number, l.room, l.by_route, l.by_tenant
              FROM (SELECT u.*, h.by_route,
                           -- at an endpoint with a limit what other workers run for the tenant counts
                           CASE WHEN u.room IS NULL THEN h.by_tenant
                                ELSE greatest(h.by_tenant,
                                    (SELECT count(*) FROM mulberry_internal.job_queue q
                                      WHERE q.route = u.route AND q.tenant = u.tenant AND q.run_at > at AND q.state = 'running'))
                           END AS by_tenant
                      FROM unnest(lanes.routes, lanes.tenants, lanes.rooms, lanes.route_numbers, lanes.tenant_numbers)
                           WITH ORDINALITY AS u (route, tenant, room, route_number, tenant_number, lane)
                     CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE h.route = u.route) AS by_route,
                                                count(*) FILTER (WHERE h.tenant = u.tenant) AS by_tenant
                                           FROM held h) AS h) AS l
             CROSS JOIN LATERAL (SELECT row_number() OVER () - 1 AS before
                                   FROM (SELECT FROM mulberry_internal.job_queue q
                                          WHERE q.route = l.route AND q.tenant = l.tenant AND q.run_at <= at
                                          ORDER BY q.run_at LIMIT deep) AS due) AS due
             ORDER BY greatest(l.by_route, l.by_tenant) + due.before, l.by_tenant + due.before, random()
        LOOP
            -- of what is held for one tenant one job asks, or so many are allowed, whatever the endpoint does for others
            CONTINUE WHEN CASE WHEN lanes.limited_for[candidate.lane] <> mulberry_internal.every_tenant() THEN granted[candidate.lane]
                               ELSE coalesce(of_route[candidate.route_number], 0) END >= candidate.room;
            IF candidate.route <> 0 THEN
                -- What is kept in reserve is for those who have less than half of what is left of it.
                CONTINUE WHEN free <= 0
                    AND 2 * greatest(candidate.by_route + coalesce(of_route[candidate.route_number], 0),
                                     candidate.by_tenant + coalesce(of_tenant[candidate.tenant_number], 0)) >= free + reserve;
                free := free - 1;
                of_tenant[candidate.tenant_number] := coalesce(of_tenant[candidate.tenant_number], 0) + 1;
            END IF;
            of_route[candidate.route_number] := coalesce(of_route[candidate.route_number], 0) + 1;
            granted[candidate.lane] := granted[candidate.lane] + 1;
            more := more - 1;
            EXIT WHEN more <= 0;
        END LOOP;
    END IF;

    -- Lanes without a limit together.
    RETURN QUERY
        WITH due AS (
            SELECT q.id, l.lease
              FROM unnest(lanes.routes, lanes.tenants, lanes.leases, lanes.rooms, granted) AS l (route, tenant, lease, room, granted)
             CROSS JOIN LATERAL (SELECT q.id FROM mulberry_internal.job_queue q
                                  WHERE q.route = l.route AND q.tenant = l.tenant AND q.run_at <= at
                                  ORDER BY q.run_at
                                  LIMIT l.granted
                                    FOR UPDATE SKIP LOCKED) AS q
             WHERE l.room IS NULL AND l.granted > 0
        )
        UPDATE mulberry_internal.job_queue q
           SET state = 'running', run_at = at + due.lease, attempts = q.attempts + 1,
               lease_token = q.lease_token + 1, worker = claim_jobs.worker, started_at = at,
               last_error = CASE q.state
                   WHEN 'running' THEN format('worker %s did not finish it within its lease', q.worker)
                   ELSE q.last_error END
          FROM due
         WHERE q.id = due.id
     RETURNING q.id, q.lease_token, q.kind, q.tenant, q.call, q.payload, q.attempts, q.max_attempts, q.route, false, q.failed_at;

    -- The others one by one, under a lock of their endpoint.
    FOR lane IN 1 .. lanes.number LOOP
        room := granted[lane];
        CONTINUE WHEN room = 0 OR lanes.rooms[lane] IS NULL;
        is_probe := false;
        IF lanes.held_for[lane] IS NOT NULL THEN
            -- One worker gets to ask; while an admin changes the endpoint nobody does.
            UPDATE mulberry_internal.endpoint_state s SET state = 'half_open', retry_at = at + lanes.leases[lane]
              FROM (SELECT x.endpoint, x.tenant FROM mulberry_internal.endpoint_state x
                     WHERE x.endpoint = lanes.routes[lane] AND x.tenant = lanes.held_for[lane]
                       AND x.state <> 'closed' AND x.retry_at <= at
                       FOR NO KEY UPDATE SKIP LOCKED) AS free
             WHERE s.endpoint = free.endpoint AND s.tenant = free.tenant;
            CONTINUE WHEN NOT FOUND;
            is_probe := true;
        END IF;
        -- Whoever counts here also claims here before the next one counts.
        room := CASE WHEN mulberry_internal.lock_endpoint_soon(lanes.routes[lane]) THEN room ELSE 0 END;
        -- Out meanwhile: what is allowed says nothing any more.
        IF NOT is_probe AND (mulberry_internal.open_breaker(lanes.routes[lane], lanes.tenants[lane])).endpoint IS NOT NULL THEN
            room := 0;
        END IF;
        room := least(room, (
            SELECT least((SELECT e.max_concurrency FROM mulberry_internal.endpoints e WHERE e.id = lanes.routes[lane]) - count(*),
                         (SELECT s.allowed FROM mulberry_internal.endpoint_state s
                           WHERE s.endpoint = lanes.routes[lane] AND s.tenant = lanes.limited_for[lane])
                         - count(*) FILTER (WHERE lanes.limited_for[lane] IN (mulberry_internal.every_tenant(), q.tenant)))
              FROM mulberry_internal.job_queue q
             WHERE q.route = lanes.routes[lane] AND q.state = 'running' AND q.run_at > at));

        ids := '{}';
        IF room > 0 THEN
            ids := ARRAY(SELECT q.id FROM mulberry_internal.job_queue q
                          WHERE q.route = lanes.routes[lane] AND q.tenant = lanes.tenants[lane] AND q.run_at <= at
                          ORDER BY q.run_at
                          LIMIT room
                            FOR UPDATE SKIP LOCKED);
            RETURN QUERY
                UPDATE mulberry_internal.job_queue q
                   SET state = 'running', run_at = at + lanes.leases[lane], attempts = q.attempts + 1,
                       lease_token = q.lease_token + 1, worker = claim_jobs.worker, started_at = at,
                       last_error = CASE q.state
                           WHEN 'running' THEN format('worker %s did not finish it within its lease', q.worker)
                           ELSE q.last_error END
                 WHERE q.id = ANY (ids)
             RETURNING q.id, q.lease_token, q.kind, q.tenant, q.call, q.payload, q.attempts, q.max_attempts,
                       q.route, is_probe, q.failed_at;
        END IF;
        IF is_probe THEN
            UPDATE mulberry_internal.endpoint_state s
               SET probe = ids[1], state = CASE WHEN ids = '{}' THEN 'open' ELSE s.state END,
                   retry_at = CASE WHEN ids = '{}' THEN at ELSE s.retry_at END
             WHERE s.endpoint = lanes.routes[lane] AND s.tenant = lanes.held_for[lane];
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION claim_jobs(integer, integer, timestamptz, integer, integer, bigint[], uuid[]) IS
    'takes jobs that are due under a lease of the endpoint''s timeout plus mulberry.lease_time, those whose lease has ended among them; '
    'the next is always of the tenant and the endpoint that have least under way. slots: transfers that the worker may run; reserve: '
    'further ones for tenants and endpoints that run few; held: endpoint and tenant of each that it runs';

-- A job that cannot be claimed is out of the way for good (run_at), until somebody has mended what it fails for.
CREATE OR REPLACE FUNCTION sift_job(job bigint, tenant uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE mulberry_internal.job_queue q SET attempts = q.attempts + 1, lease_token = q.lease_token + 1 WHERE q.id = job;
    RAISE SQLSTATE 'MB000';    -- it can be claimed, and is not claimed here
EXCEPTION
    WHEN SQLSTATE 'MB000' THEN
        RETURN true;
    WHEN OTHERS THEN
        PERFORM mulberry_internal.set_aside('claiming', job::text, tenant, SQLSTATE, SQLERRM);
        BEGIN
            UPDATE mulberry_internal.job_queue q SET state = 'queued', worker = NULL, run_at = 'infinity', last_error = SQLERRM
             WHERE q.id = job;
        EXCEPTION WHEN OTHERS THEN
            -- nothing of it can be changed
            PERFORM mulberry_internal.settle_job(job, 'dead', SQLERRM);
        END;
        RETURN false;
END
$$;
COMMENT ON FUNCTION sift_job(bigint, uuid) IS 'whether a locked job can be claimed; one that cannot is set aside (internal)';

CREATE OR REPLACE FUNCTION retry_jobs_set_aside(max_jobs integer) RETURNS integer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    waiting record;
    well    integer := 0;
BEGIN
    FOR waiting IN
        SELECT q.id, q.tenant FROM mulberry_internal.job_queue q
         WHERE q.run_at = 'infinity' AND NOT mulberry_internal.is_set_aside('claiming', q.id::text)
         LIMIT max_jobs FOR UPDATE SKIP LOCKED
    LOOP
        IF mulberry_internal.sift_job(waiting.id, waiting.tenant) THEN
            UPDATE mulberry_internal.job_queue q SET run_at = clock_timestamp() WHERE q.id = waiting.id;
            well := well + 1;
        END IF;
    END LOOP;
    IF well > 0 THEN
        PERFORM mulberry_internal.wake_workers();
    END IF;
    RETURN well;
END
$$;
COMMENT ON FUNCTION retry_jobs_set_aside(integer) IS
    'makes jobs due again that were set aside because they could not be claimed and now can, and returns how many; part of maintenance '
    '(internal)';

CREATE OR REPLACE FUNCTION sift_jobs() RETURNS integer
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    due  record;
    bad  integer := 0;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    FOR due IN
        SELECT q.id, q.tenant FROM mulberry_internal.job_queue q
         WHERE q.run_at <= clock_timestamp() ORDER BY random() LIMIT 1000 FOR UPDATE SKIP LOCKED
    LOOP
        IF NOT mulberry_internal.sift_job(due.id, due.tenant) THEN
            bad := bad + 1;
        END IF;
    END LOOP;
    RETURN bad;
END
$$;
COMMENT ON FUNCTION sift_jobs() IS
    'sets aside due jobs that cannot be claimed, because claiming has failed, and returns how many; for workers (internal)';

CREATE OR REPLACE FUNCTION next_job_due() RETURNS timestamptz
LANGUAGE mulberry VOLATILE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    RETURN (SELECT min(greatest(j.run_at, j.not_before)) FROM mulberry_internal.job_lanes() j WHERE mulberry.outbound_allowed());
END
$$;
COMMENT ON FUNCTION next_job_due() IS 'when a job may be claimed next, if nothing changes; null: there is none';
