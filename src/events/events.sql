CREATE OR REPLACE FUNCTION channels_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mulberry_channels_changed';
COMMENT ON FUNCTION channels_changed() IS 'trigger: has the notifier look again after commit who listens where';
CREATE OR REPLACE TRIGGER channels_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON event_channels
    FOR EACH STATEMENT EXECUTE FUNCTION channels_changed();
CREATE OR REPLACE TRIGGER channels_changed AFTER INSERT OR UPDATE ON channel_listeners
    FOR EACH STATEMENT EXECUTE FUNCTION channels_changed();

CREATE OR REPLACE FUNCTION emit_event(tenant uuid, event text, call bigint, call_id text, payload jsonb) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_emit_event';
COMMENT ON FUNCTION emit_event(uuid, text, bigint, text, jsonb) IS
    'stores an event in the current transaction; call, call_id and payload may be null (internal)';

CREATE OR REPLACE FUNCTION event_message(event text, call_id text, tenant text, seq bigint, created_at timestamptz, payload jsonb,
                              max_bytes integer DEFAULT NULL) RETURNS json
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_event_message';
COMMENT ON FUNCTION event_message(text, text, text, bigint, timestamptz, jsonb, integer) IS
    'the message of a stored event as subscribers get it, cut to max_bytes with "truncated": true; null: whole (internal)';

CREATE OR REPLACE FUNCTION number_events(max_rows integer DEFAULT 10000, only_tenant uuid DEFAULT NULL)
RETURNS TABLE (tenant uuid, seq bigint, event text, call_id text, payload jsonb, created_at timestamptz)
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS 'MODULE_PATHNAME', 'mulberry_number_events';
COMMENT ON FUNCTION number_events(integer, uuid) IS
    'gives committed events, of one tenant or (null) of all, their numbers, the oldest first, and returns them; nobody else can until '
    'the transaction ends (internal)';

CREATE OR REPLACE FUNCTION number_events_singly(max_rows integer)
RETURNS TABLE (tenant uuid, seq bigint, event text, call_id text, payload jsonb, created_at timestamptz)
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
    SET lock_timeout = '100ms'
AS $$
DECLARE
    waiting  uuid;
    more     integer := max_rows;
    numbered integer;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    FOR waiting IN
        SELECT u.tenant FROM (SELECT DISTINCT e.tenant FROM mulberry_internal.events e WHERE e.seq IS NULL) AS u
         WHERE NOT mulberry_internal.is_set_aside('numbering', u.tenant::text)
         ORDER BY random()
    LOOP
        BEGIN
            RETURN QUERY
                SELECT n.tenant, n.seq, n.event, n.call_id, n.payload, n.created_at
                  FROM mulberry_internal.number_events(more, waiting) n;
            GET DIAGNOSTICS numbered = ROW_COUNT;
            more := more - numbered;
            EXIT WHEN more <= 0;
        EXCEPTION
            WHEN lock_not_available OR transaction_rollback THEN
                PERFORM mulberry_internal.blocked();
            WHEN OTHERS THEN
                PERFORM mulberry_internal.set_aside('numbering', waiting::text, waiting, SQLSTATE, SQLERRM);
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION number_events_singly(integer) IS
    'number_events() when that does not work for all at once: tenants whose events somebody has locked wait, those whose events cannot be '
    'numbered are set aside (internal)';

CREATE OR REPLACE FUNCTION await_event_numbers() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_await_event_numbers';
COMMENT ON FUNCTION await_event_numbers() IS
    'returns when what was committed before has its number, or after a second: waits for the notifier, numbers itself when there is '
    'none, and does nothing where it cannot write (internal)';

CREATE OR REPLACE FUNCTION mulberry.events_since(since bigint, max_rows integer DEFAULT 1000, tenant text DEFAULT NULL)
RETURNS TABLE (seq bigint, prev bigint, event text, call_id text, message json, created_at timestamptz)
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid := mulberry_internal.resolve_tenant(tenant, 'supervisor', 'auditor');
BEGIN
    IF since IS NULL OR since < 0 THEN
        RAISE EXCEPTION 'events_since() begins after a number of 0 or more'
            USING ERRCODE = CASE WHEN since IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
                  HINT = 'Give the last number you have seen, 0 for all.';
    END IF;
    IF max_rows IS NULL OR max_rows NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'max_rows must be between 1 and 10000' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM mulberry_internal.await_event_numbers();
    RETURN QUERY
        SELECT e.seq, e.seq - 1, e.event, e.call_id,
               mulberry_internal.event_message(e.event, e.call_id, t.name, e.seq, e.created_at, e.payload), e.created_at
          FROM mulberry_internal.events e
          JOIN mulberry_internal.tenants t ON t.id = e.tenant
         WHERE e.tenant = target AND e.seq > since
         ORDER BY e.seq
         LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION mulberry.events_since(bigint, integer, text) IS
    'the stored events of a tenant after a number, at most max_rows (1 to 10000), as their messages. The prev of the first row is '
    'greater than "since" when older events have been purged. Needs supervisor or auditor access';

CREATE OR REPLACE FUNCTION purge_events(max_rows integer DEFAULT 10000, dry_run boolean DEFAULT false) RETURNS bigint
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    purged bigint;
BEGIN
    IF max_rows IS NULL OR max_rows < 1 THEN
        RAISE EXCEPTION 'max_rows must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    WITH kept AS (
        SELECT t.id AS tenant,
               now() - coalesce(t.retention, nullif(current_setting('mulberry.retention', true), '')::interval) AS since
          FROM mulberry_internal.tenants t
    ), old AS (
        SELECT e.id
          FROM mulberry_internal.events e
          JOIN kept k ON k.tenant = e.tenant
         WHERE e.created_at < (SELECT max(since) FROM kept)
           AND e.created_at < k.since
           AND e.seq IS NOT NULL
         LIMIT max_rows
           FOR UPDATE OF e SKIP LOCKED
    ), gone AS (
        DELETE FROM mulberry_internal.events e USING old WHERE e.id = old.id AND NOT dry_run RETURNING 1
    )
    SELECT CASE WHEN dry_run THEN (SELECT count(*) FROM old) ELSE (SELECT count(*) FROM gone) END
      INTO purged;
    RETURN purged;
END
$$;
COMMENT ON FUNCTION purge_events(integer, boolean) IS
    'deletes numbered events older than their tenant''s retention, at most max_rows, and returns how many; dry_run only counts. Numbers '
    'go on where they were (internal)';

CREATE OR REPLACE FUNCTION packet_event_statistics(OUT taken bigint, OUT dropped bigint, OUT waiting integer, OUT room integer)
LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_packet_event_statistics';
COMMENT ON FUNCTION packet_event_statistics() IS
    'packet events of this database in shared memory: taken over, lost to a full ring or a full NOTIFY queue, waiting, and how many may '
    'wait; null without preloading (internal)';

CREATE OR REPLACE FUNCTION metrics_events(tenants uuid[], by_tenant boolean)
RETURNS TABLE (metric text, tenant uuid, labels jsonb, value double precision)
LANGUAGE sql VOLATILE
AS $$
    SELECT 'mulberry_events_unnumbered', u.tenant, '{}'::jsonb, sum(u.number)::double precision
      FROM (SELECT CASE WHEN by_tenant THEN e.tenant END AS tenant, 1 AS number
              FROM mulberry_internal.events e WHERE e.seq IS NULL AND e.tenant = ANY (tenants)
             UNION ALL
            SELECT NULL, 0 WHERE NOT by_tenant) AS u
     GROUP BY u.tenant
     UNION ALL
    SELECT m.metric, NULL, '{}', m.value
      FROM mulberry_internal.packet_event_statistics() p
     CROSS JOIN LATERAL (VALUES ('mulberry_packet_events_total', p.taken),
                                ('mulberry_packet_events_lost_total', p.dropped)) AS m (metric, value)
     WHERE m.value IS NOT NULL
$$;
COMMENT ON FUNCTION metrics_events(uuid[], boolean) IS 'metrics of events (internal)';

CREATE OR REPLACE FUNCTION health_events() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    waiting bigint;
    oldest  interval;
    packets record;
BEGIN
    item := 'events';
    SELECT count(*), clock_timestamp() - min(e.created_at) INTO waiting, oldest
      FROM mulberry_internal.events e WHERE e.seq IS NULL;
    detail := format('%s stored events wait for their number', waiting);
    IF waiting = 0 OR oldest < interval '1 minute' OR NOT mulberry.notifier_lives() THEN
        status := 'ok';     -- without a notifier events_since() numbers them
    ELSE
        status := 'warning';
        detail := format('%s, the oldest since %s', detail, oldest);
        hint := 'Look for "mulberry notifier" in pg_stat_activity and in the server''s log.';
    END IF;
    RETURN NEXT;

    packets := mulberry_internal.packet_event_statistics();
    IF packets.taken IS NOT NULL THEN
        item := 'packet events';
        detail := format('%s of %s have been lost, %s wait', packets.dropped, packets.taken + packets.dropped, packets.waiting);
        IF packets.dropped * 100 <= packets.taken THEN
            status := 'ok';
            hint := NULL;
        ELSE
            status := 'warning';
            hint := 'Raise mulberry.event_ring_size, or look for sessions that listen and stay in a transaction.';
        END IF;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION health_events() IS 'health of the way from an event to its subscribers';
