CREATE OR REPLACE FUNCTION try_maintenance_lock() RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_try_maintenance_lock';
COMMENT ON FUNCTION try_maintenance_lock() IS
    'internal: false when another session does maintenance or retention; held until the end of the transaction';

CREATE OR REPLACE FUNCTION mulberry.maintenance(max_calls integer DEFAULT 500) RETURNS boolean
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    today   date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    silence interval;
    silent  bigint;
    done    integer := 0;
    erased  bigint;
    purged  bigint;
BEGIN
    PERFORM mulberry_internal.require_access_everywhere('admin', 'worker');
    IF max_calls IS NULL OR max_calls < 1 THEN
        RAISE EXCEPTION 'max_calls must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT mulberry_internal.try_maintenance_lock() THEN
        RETURN false;
    END IF;
    silence := current_setting('mulberry.idle_call_timeout')::interval;

    FOR ahead IN 0 .. current_setting('mulberry.partitions_ahead')::integer LOOP
        PERFORM mulberry_internal.make_partition(today + ahead);
    END LOOP;

    IF silence > '0' THEN
        FOR silent IN
            SELECT c.id
              FROM mulberry_internal.calls c
                   CROSS JOIN LATERAL (SELECT p.received_at FROM mulberry_internal.packets p
                                        WHERE p.call = c.id ORDER BY p.sequence DESC LIMIT 1) AS last
             WHERE c.state = 'IN_PROGRESS'
               AND greatest(c.updated_at, last.received_at) < clock_timestamp() - silence
             LIMIT max_calls
        LOOP
            IF mulberry_internal.complete_silent_call(silent, clock_timestamp() - silence) THEN
                done := done + 1;
            END IF;
        END LOOP;
    END IF;

    SELECT coalesce(sum(r.calls), 0) INTO erased FROM mulberry.retention(false, max_calls) r;
    PERFORM mulberry_internal.reroute_jobs(true);
    purged := greatest(mulberry_internal.purge_events(10 * max_calls), mulberry_internal.purge_jobs(clock_timestamp(), 10 * max_calls));
    -- late, because they take the locks of agents
    PERFORM mulberry_internal.sweep_voice_calls();
    PERFORM mulberry_internal.tend_queues();
    -- last, because nobody else can link until the end
    IF current_setting('transaction_isolation') LIKE 'read %committed' THEN
        PERFORM mulberry_internal.link_audit_soon();
    END IF;
    RETURN greatest(done, erased) >= max_calls OR purged >= 10 * max_calls;
END
$$;
COMMENT ON FUNCTION mulberry.maintenance(integer) IS
    'what workers do from time to time, and without workers a scheduler should: partitions ahead, calls whose sender fell silent, '
    'retention. True: there is more to do, call it again. Needs admin access to all tenants';
