CREATE OR REPLACE FUNCTION complete_silent_calls(max_calls integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    silence CONSTANT interval := current_setting('mulberry.idle_call_timeout')::interval;
    silent  record;
    done    integer := 0;
BEGIN
    IF silence <= '0' THEN
        RETURN 0;
    END IF;
    FOR silent IN
        SELECT c.id, c.tenant
          FROM mulberry_internal.calls c
               CROSS JOIN LATERAL (SELECT max((SELECT p.received_at FROM mulberry_internal.packets p
                                                WHERE p.call = k.id ORDER BY p.sequence DESC LIMIT 1)) AS received_at
                                     FROM mulberry_internal.all_tracks k
                                    WHERE k.call = c.id) AS last
         WHERE c.state = 'IN_PROGRESS'
           -- a packet that came later than now came before the clock was set back
           AND greatest(c.updated_at, CASE WHEN last.received_at < clock_timestamp() + interval '1 minute' THEN last.received_at END)
               < clock_timestamp() - silence
           AND NOT mulberry_internal.is_set_aside('silent calls', c.id::text)
         LIMIT max_calls
    LOOP
        EXIT WHEN mulberry_internal.call_locks_left() = 0;
        BEGIN
            IF mulberry_internal.complete_silent_call(silent.id, clock_timestamp() - silence) THEN
                done := done + 1;
            END IF;
        EXCEPTION
            WHEN lock_not_available OR transaction_rollback THEN
                PERFORM mulberry_internal.blocked();
            WHEN OTHERS THEN
                PERFORM mulberry_internal.set_aside('silent calls', silent.id::text, silent.tenant, SQLSTATE, SQLERRM);
        END;
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION complete_silent_calls(integer) IS
    'completes calls whose sender fell silent, at most max_calls, and returns how many; part of maintenance (internal)';

-- Steps in their order; the last ones take the locks of agents, and that of the audit log.
CREATE OR REPLACE FUNCTION maintenance_step(step text, max_calls integer, drop_partitions boolean) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    many CONSTANT integer := 10 * max_calls;
BEGIN
    CASE step
    WHEN 'partitions' THEN
        FOR ahead IN 0 .. current_setting('mulberry.partitions_ahead')::integer LOOP
            PERFORM mulberry_internal.make_partition((clock_timestamp() AT TIME ZONE 'UTC')::date + ahead);
        END LOOP;
    WHEN 'silent calls' THEN
        RETURN mulberry_internal.complete_silent_calls(max_calls) >= max_calls;
    WHEN 'retention' THEN
        RETURN (SELECT coalesce(sum(r.calls), 0) FROM mulberry_internal.apply_retention(false, max_calls, drop_partitions) r) >= max_calls;
    WHEN 'routes of jobs' THEN
        PERFORM mulberry_internal.reroute_jobs(true);
    WHEN 'patience' THEN
        RETURN mulberry_internal.give_up_waiting(many) >= many;
    WHEN 'clock' THEN
        PERFORM mulberry_internal.keep_mandate_time();
        PERFORM mulberry_internal.mend_due_times();
    WHEN 'old events' THEN
        RETURN mulberry_internal.purge_events(many) >= many;
    WHEN 'old jobs' THEN
        RETURN mulberry_internal.purge_jobs(clock_timestamp(), many) >= many;
    WHEN 'what was set aside' THEN
        PERFORM mulberry_internal.forget_set_aside();
        RETURN mulberry_internal.retry_jobs_set_aside(many) >= many;
    WHEN 'voice calls' THEN
        PERFORM mulberry_internal.sweep_voice_calls();
    WHEN 'inbound calls' THEN
        RETURN (SELECT bool_or(s.more) FROM (VALUES (mulberry_internal.sweep_inbound_calls(many)),
                                             (mulberry_internal.sweep_conversations(many)),
                                             (mulberry_internal.end_lost_streams(many))) AS s (more));
    WHEN 'edge programs' THEN
        PERFORM mulberry_internal.forget_edge_programs();
    WHEN 'commands' THEN
        PERFORM mulberry_internal.tend_queues();
    WHEN 'audit log' THEN
        -- nobody else can link until the end, so the notifier does where there is one
        IF current_setting('transaction_isolation') LIKE 'read %committed' AND NOT mulberry.notifier_lives() THEN
            PERFORM mulberry_internal.link_audit_soon(singly => true);
        END IF;
    END CASE;
    RETURN false;
END
$$;
COMMENT ON FUNCTION maintenance_step(text, integer, boolean) IS 'a step of maintenance(); true: there is more to do (internal)';

CREATE OR REPLACE FUNCTION maintenance_due() RETURNS timestamptz
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM mulberry_internal.require_access_everywhere('worker');
    RETURN (SELECT mulberry_internal.next_command_due() WHERE mulberry.outbound_allowed());
END
$$;
COMMENT ON FUNCTION maintenance_due() IS
    'when maintenance() has something to do that must not wait for mulberry.maintenance_interval; null: nothing';

CREATE OR REPLACE FUNCTION mulberry.maintenance(max_calls integer DEFAULT 500) RETURNS boolean
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
    SET lock_timeout = '100ms' AS $$
DECLARE
    alone CONSTANT boolean := NOT mulberry.in_transaction_block();
    step  text;
    more  boolean := false;
BEGIN
    PERFORM mulberry_internal.require_access_everywhere('admin', 'worker');
    IF max_calls IS NULL OR max_calls < 1 THEN
        RAISE EXCEPTION 'max_calls must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM mulberry_internal.require_call_locks();
    IF NOT mulberry_internal.try_maintenance_lock() THEN
        RETURN false;
    END IF;
    FOREACH step IN ARRAY ARRAY['partitions', 'silent calls', 'retention', 'routes of jobs', 'patience', 'clock', 'old events', 'old jobs',
                                'what was set aside', 'voice calls', 'inbound calls', 'edge programs', 'commands', 'audit log']
    LOOP
        CONTINUE WHEN mulberry_internal.is_set_aside('maintenance', step);
        BEGIN
            PERFORM mulberry_internal.limit_waits();
            more := mulberry_internal.maintenance_step(step, max_calls, alone) OR more;
        EXCEPTION
            -- a step that fails is not the end of the others
            WHEN lock_not_available OR transaction_rollback THEN
                PERFORM mulberry_internal.blocked();
            WHEN OTHERS THEN
                PERFORM mulberry_internal.set_aside('maintenance', step, NULL, SQLSTATE, SQLERRM);
        END;
    END LOOP;
    -- what ended because this transaction may lock no more calls goes on in the next
    RETURN more OR mulberry_internal.call_locks_left() = 0;
END
$$;
COMMENT ON FUNCTION mulberry.maintenance(integer) IS
    'what workers do from time to time, and without workers a scheduler should: partitions ahead, calls whose sender fell silent, '
    'retention. It waits for nobody, and what fails is set aside and reported by health(). True: there is more to do, call it again. '
    'Needs admin access to all tenants';
