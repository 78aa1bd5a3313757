CREATE OR REPLACE FUNCTION remove_call(tenant uuid, call_id text) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_remove_call';
COMMENT ON FUNCTION remove_call(uuid, text) IS
    'internal: removes a call with its packets under its lock and returns its id; null when there is none';

CREATE OR REPLACE FUNCTION remove_finished_call(call bigint, with_packets boolean) RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_remove_finished_call';
COMMENT ON FUNCTION remove_finished_call(bigint, boolean) IS
    'internal: removes a call that is ARCHIVED or FAILED; false when it is gone, busy, or in another state. Without packets when their '
    'partition is about to be dropped';

CREATE OR REPLACE FUNCTION erase_call_of(owner uuid, call_id text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    erased bigint;
    beside boolean;
BEGIN
    -- Whoever works on a job holds its row before the call lock, so jobs go
    -- first; and once more, because one may have come meanwhile.
    DELETE FROM mulberry_internal.job_queue j USING mulberry_internal.calls c
     WHERE c.tenant = owner AND c.call_id = erase_call_of.call_id AND j.call = c.id;
    DELETE FROM mulberry_internal.job_history j USING mulberry_internal.calls c
     WHERE c.tenant = owner AND c.call_id = erase_call_of.call_id AND j.call = c.id;
    erased := mulberry_internal.remove_call(owner, call_id);
    PERFORM mulberry_internal.forget_conversation(owner, call_id);
    beside := mulberry_internal.forget_inbound_call(owner, call_id);
    IF erased IS NULL AND NOT beside THEN
        RETURN false;
    END IF;
    DELETE FROM mulberry_internal.job_queue j WHERE j.call = erased;
    DELETE FROM mulberry_internal.job_history j WHERE j.call = erased;
    -- the events keep their numbers, which have no gaps
    UPDATE mulberry_internal.events e SET payload = '{"erased": true}' WHERE e.call = erased;
    PERFORM mulberry_internal.emit_event(owner, 'call_erased', NULL, call_id,
                                jsonb_build_object('role', mulberry_internal.outer_role_name()));
    RETURN true;
END
$$;
COMMENT ON FUNCTION erase_call_of(uuid, text) IS
    'erase_call() for a tenant by its id; false when there is nothing of that name (internal)';

CREATE OR REPLACE FUNCTION mulberry.erase_call(call_id text, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', erase_call.call_id);
    IF call_id IS NULL THEN
        RAISE EXCEPTION 'call id must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF NOT mulberry_internal.erase_call_of(owner, call_id) THEN
        RAISE EXCEPTION 'call "%" does not exist', call_id USING ERRCODE = 'undefined_object';
    END IF;
END
$$;
COMMENT ON FUNCTION mulberry.erase_call(text, text) IS
    'removes a call, whatever its state: packets, transcript, jobs and what its events said; leaves the event call_erased. Needs admin '
    'access';

CREATE OR REPLACE FUNCTION packet_partitions()
RETURNS TABLE (partition regclass, relname name, day date, first_call bigint, end_call bigint)
LANGUAGE sql STABLE AS $$
    SELECT c.oid::regclass, c.relname, d.day,
           (d.day - date '1970-01-01')::bigint << 40, (d.day - date '1970-01-01' + 1)::bigint << 40
      FROM pg_inherits i
      JOIN pg_class c ON c.oid = i.inhrelid
           CROSS JOIN LATERAL (SELECT to_date(substr(c.relname, 9), 'YYYYMMDD') AS day) AS d
     WHERE i.inhparent = 'mulberry_internal.packets'::regclass AND c.relname ~ '^packets_[0-9]{8}$'
$$;
COMMENT ON FUNCTION packet_partitions() IS
    'internal: partitions of packets, their days (UTC), and the calls (from first_call to before end_call) they are for';

CREATE OR REPLACE FUNCTION drop_partition(partition regclass) RETURNS boolean
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms' AS $$
BEGIN
    PERFORM mulberry_internal.limit_waits();
    -- waiting for long readers would keep new ones out: better the next time
    LOCK TABLE ONLY mulberry_internal.packets IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', partition);
    -- A transaction that was open for long may just have committed a call that
    -- began on that day; an older snapshot would not show it.
    IF current_setting('transaction_isolation') <> 'read committed'
       OR EXISTS (SELECT FROM mulberry_internal.packet_partitions() p
                    JOIN mulberry_internal.calls c ON c.id >= p.first_call AND c.id < p.end_call
                   WHERE p.partition = drop_partition.partition) THEN
        RAISE lock_not_available;
    END IF;
    EXECUTE format('DROP TABLE %s', partition);
    RETURN true;
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    PERFORM mulberry_internal.blocked();
    RETURN false;
END
$$;
COMMENT ON FUNCTION drop_partition(regclass) IS
    'internal: drops a partition of packets that no call needs; false when one does after all, or somebody is reading';

CREATE OR REPLACE FUNCTION retention_limits() RETURNS TABLE (tenant uuid, name text, kept_since timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT t.id, t.name,
           clock_timestamp() - coalesce(t.retention, nullif(current_setting('mulberry.retention'), '')::interval)
      FROM mulberry_internal.tenants t
$$;
COMMENT ON FUNCTION retention_limits() IS
    'internal: since when a call of each tenant must have finished to be kept still; null: calls are kept for ever';

CREATE OR REPLACE FUNCTION day_expired(partition_day date) RETURNS boolean
LANGUAGE sql STABLE AS $$
    -- a day on which a slow clock might still begin calls is not over
    SELECT p.day < (clock_timestamp() AT TIME ZONE 'UTC')::date - 1
       AND NOT EXISTS (SELECT FROM mulberry_internal.calls c
                         JOIN mulberry_internal.retention_limits() r ON r.tenant = c.tenant
                        WHERE c.id >= p.first_call AND c.id < p.end_call
                          AND (c.finished_at < r.kept_since) IS NOT TRUE)
      FROM mulberry_internal.packet_partitions() p
     WHERE p.day = partition_day
$$;
COMMENT ON FUNCTION day_expired(date) IS
    'internal: true when no call that began on that day is kept any longer, so that its partition can go as a whole; null: there is no '
    'such partition';

CREATE OR REPLACE FUNCTION apply_retention(dry_run boolean, max_calls integer, drop_partitions boolean)
RETURNS TABLE (action text, object text, calls bigint)
LANGUAGE plpgsql
    SET lock_timeout = '100ms' AS $$
DECLARE
    limits  record;
    expired record;
    day     record;
    whole   jsonb := jsonb '{}'; -- day -> day_expired(day)
    left_to_do integer := max_calls;
    erased  bigint;
BEGIN
    IF NOT dry_run AND NOT mulberry_internal.try_maintenance_lock() THEN
        RETURN;
    END IF;
    PERFORM mulberry_internal.limit_waits();

    FOR limits IN
        SELECT r.tenant, r.name, r.kept_since FROM mulberry_internal.retention_limits() r WHERE r.kept_since IS NOT NULL ORDER BY r.name
    LOOP
        erased := 0;
        FOR expired IN
            SELECT c.id, date '1970-01-01' + (c.id >> 40)::integer AS day
              FROM mulberry_internal.calls c
             WHERE c.tenant = limits.tenant AND c.finished_at < limits.kept_since
               AND (dry_run OR NOT mulberry_internal.is_set_aside('retention', c.id::text))
             ORDER BY c.finished_at
             LIMIT CASE WHEN NOT dry_run THEN left_to_do END
        LOOP
            EXIT WHEN NOT dry_run AND mulberry_internal.call_locks_left() = 0;
            IF NOT dry_run THEN
                IF NOT whole ? expired.day::text THEN
                    whole := whole || jsonb_build_object(expired.day::text, mulberry_internal.day_expired(expired.day));
                END IF;
                BEGIN
                    CONTINUE WHEN NOT mulberry_internal.remove_finished_call(expired.id,
                        (whole ->> expired.day::text)::boolean IS NOT TRUE);
                EXCEPTION
                    WHEN lock_not_available OR transaction_rollback THEN
                        PERFORM mulberry_internal.blocked();
                        CONTINUE;
                    WHEN OTHERS THEN
                        PERFORM mulberry_internal.set_aside('retention', expired.id::text, limits.tenant, SQLSTATE, SQLERRM);
                        CONTINUE;
                END;
                left_to_do := left_to_do - 1;
            END IF;
            erased := erased + 1;
        END LOOP;
        IF erased > 0 THEN
            action := 'erase calls';
            object := limits.name;
            calls := erased;
            RETURN NEXT;
        END IF;
    END LOOP;

    FOR day IN
        SELECT p.partition, p.relname FROM mulberry_internal.packet_partitions() p
         WHERE CASE WHEN dry_run THEN mulberry_internal.day_expired(p.day)
                    ELSE p.day < (clock_timestamp() AT TIME ZONE 'UTC')::date - 1
                         AND NOT EXISTS (SELECT FROM mulberry_internal.calls c WHERE c.id >= p.first_call AND c.id < p.end_call)
               END
         ORDER BY p.day
    LOOP
        -- the lock of all packets, which nobody may keep
        CONTINUE WHEN NOT dry_run AND (NOT drop_partitions OR NOT mulberry_internal.drop_partition(day.partition));
        action := 'drop partition';
        object := day.relname;
        calls := NULL;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION apply_retention(boolean, integer, boolean) IS
    'retention(), which says what it is; drop_partitions is false in a transaction block, which might keep the lock of all packets '
    '(internal)';

CREATE OR REPLACE FUNCTION mulberry.retention(dry_run boolean DEFAULT false, max_calls integer DEFAULT 500)
RETURNS TABLE (action text, object text, calls bigint)
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM mulberry_internal.require_access_everywhere('admin', 'worker');
    IF dry_run IS NULL OR max_calls IS NULL OR max_calls < 1 THEN
        RAISE EXCEPTION 'dry_run must not be null and max_calls must be at least 1'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT dry_run THEN
        PERFORM mulberry_internal.require_call_locks();
    END IF;
    RETURN QUERY
        SELECT r.action, r.object, r.calls
          FROM mulberry_internal.apply_retention(dry_run, max_calls, NOT mulberry.in_transaction_block()) r;
END
$$;
COMMENT ON FUNCTION mulberry.retention(boolean, integer) IS
    'removes at most max_calls calls that finished longer ago than their tenant''s retention, and partitions of past days that no call '
    'needs; dry_run tells what it would do. Needs admin access to all tenants';
