-- Who is in the way.

CREATE OR REPLACE FUNCTION transaction_of(locker xid) RETURNS TABLE (pid integer, role name, since timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    lockers xid[] := ARRAY[locker];
BEGIN
    FOR attempt IN 1 .. 2 LOOP
        RETURN QUERY
            SELECT a.pid, a.usename, a.xact_start
              FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
             WHERE l.locktype = 'transactionid' AND l.granted AND l.transactionid = ANY (lockers) AND l.pid <> pg_backend_pid()
             ORDER BY a.xact_start LIMIT 1;
        EXIT WHEN FOUND OR attempt = 2;
        -- several have the row locked: the number is that of a list
        BEGIN
            lockers := ARRAY(SELECT m.xid FROM pg_get_multixact_members(locker) m);
        EXCEPTION WHEN OTHERS THEN
            EXIT;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION transaction_of(xid) IS
    'the process, role and beginning of the transaction that has a row locked, by the row''s xmax; no row when it is over (internal)';

CREATE OR REPLACE FUNCTION refuse_to_wait(what text, locker xid) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    other record;
BEGIN
    SELECT * INTO other FROM mulberry_internal.transaction_of(locker);
    RAISE EXCEPTION '% is locked by another transaction', what
        USING ERRCODE = 'lock_not_available',
              DETAIL = coalesce(format('Process %s of role "%s" has been in it since %s.', other.pid, other.role, other.since),
                                'It is over by now, or prepared.'),
              HINT = 'Nothing was changed; try again. A client that leaves a transaction open is ended by '
                     'idle_in_transaction_session_timeout.';
END
$$;
COMMENT ON FUNCTION refuse_to_wait(text, xid) IS 'raises 55P03 and names the transaction that has a row locked (internal)';

CREATE OR REPLACE FUNCTION limit_wait_for_row() RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    longest CONSTANT interval := interval '3 seconds';
    before  CONSTANT text := current_setting('lock_timeout');
BEGIN
    IF before::interval = '0' OR before::interval > longest THEN
        PERFORM set_config('lock_timeout', (1000 * extract(epoch FROM longest))::integer::text, true);
    END IF;
    RETURN before;
END
$$;
COMMENT ON FUNCTION limit_wait_for_row() IS
    'sets lock_timeout to what who is called by a person waits for another transaction of the same tenant, and returns what it was '
    '(internal)';

CREATE OR REPLACE FUNCTION health_open_transactions() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    -- a transaction that only does its work is over by then
    patience CONSTANT interval := interval '5 seconds';
    other    record;
    any_open boolean := false;
BEGIN
    FOR other IN
        SELECT coalesce(format('open transaction of process %s', l.pid), format('prepared transaction "%s"', p.gid)) AS name,
               l.pid, coalesce(a.usename, p.owner) AS role, coalesce(a.state, 'prepared') AS state,
               coalesce(a.xact_start, p.prepared) AS since,
               string_agg(DISTINCT CASE WHEN l.locktype = 'relation' THEN c.relname::text
                                        WHEN l.objsubid = 27757 THEN 'calls' WHEN l.objsubid = 27758 THEN 'packets'
                                        WHEN l.objsubid = 27759 THEN 'the numbers of events'
                                        WHEN l.objsubid = 27760 THEN 'maintenance' ELSE 'the links of the audit log' END, ', ') AS held
          FROM pg_locks l
          LEFT JOIN pg_class c ON l.locktype = 'relation' AND c.oid = l.relation
                              AND c.relnamespace = 'mulberry_internal'::regnamespace AND c.relkind IN ('r', 'p')
          LEFT JOIN pg_stat_activity a ON a.pid = l.pid
          LEFT JOIN pg_prepared_xacts p ON l.pid IS NULL AND l.virtualtransaction = '-1/' || p.transaction
         WHERE l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
           AND l.granted AND l.mode <> 'AccessShareLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
           AND (c.oid IS NOT NULL OR (l.locktype = 'advisory' AND l.objsubid BETWEEN 27757 AND 27761))
           AND a.backend_type IS DISTINCT FROM 'mulberry worker' AND a.backend_type IS DISTINCT FROM 'mulberry notifier'
           AND coalesce(a.xact_start, p.prepared) < clock_timestamp() - patience
         GROUP BY l.pid, p.gid, a.usename, p.owner, a.state, a.xact_start, p.prepared
         ORDER BY since LIMIT 20
    LOOP
        any_open := true;
        item := other.name;
        status := 'warning';
        detail := format('role "%s" (%s) since %s holds rows or locks of %s', other.role, other.state, other.since, other.held);
        hint := CASE WHEN other.pid IS NULL THEN 'COMMIT PREPARED or ROLLBACK PREPARED ends it.'
            ELSE format('What it holds waits for its end. SELECT pg_terminate_backend(%s) ends it; idle_in_transaction_session_timeout '
                        'ends such transactions by itself.', other.pid) END;
        RETURN NEXT;
    END LOOP;
    IF NOT any_open THEN
        item := 'transactions';
        status := 'ok';
        detail := format('none that is older than %s holds anything', patience);
        hint := NULL;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION health_open_transactions() IS 'health of locks: transactions that were left open and are in the way';
