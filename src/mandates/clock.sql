-- The time that mandates expire by.  A device may have no clock that runs without power, and whoever holds it may set it: time
-- that was known once is not given back.

CREATE OR REPLACE FUNCTION mandate_now() RETURNS timestamptz
LANGUAGE sql VOLATILE
RETURN greatest(clock_timestamp(), (SELECT max(c.at) FROM mulberry_internal.mandate_clock AS c));
COMMENT ON FUNCTION mandate_now() IS
    'now, or the latest time that this database has known, when the clock of the server was set back behind it (internal)';

CREATE OR REPLACE FUNCTION keep_mandate_time() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    -- Once a minute, and nobody waits for who is doing it.  Nor is anybody refused with 40001 for it: who works on a snapshot leaves
    -- it to others, of which maintenance is one.
    IF current_setting('transaction_isolation') LIKE 'read %committed'
       AND coalesce((SELECT max(c.at) FROM mulberry_internal.mandate_clock AS c) < clock_timestamp() - interval '1 minute', true) THEN
        WITH gone AS (
            DELETE FROM mulberry_internal.mandate_clock AS c
             WHERE c.ctid IN (SELECT k.ctid FROM mulberry_internal.mandate_clock AS k FOR UPDATE SKIP LOCKED)
        )
        INSERT INTO mulberry_internal.mandate_clock (at) VALUES (clock_timestamp()) ON CONFLICT DO NOTHING;
    END IF;
END
$$;
COMMENT ON FUNCTION keep_mandate_time() IS
    'remembers what time it is, to the minute: part of maintenance, of payments and of what a device hears of its mandates (internal)';

CREATE OR REPLACE FUNCTION mulberry.reset_mandate_clock(reason text) RETURNS timestamptz
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    known timestamptz;
BEGIN
    PERFORM mulberry_internal.require_access_everywhere('admin');
    PERFORM mulberry_internal.check_texts('reason', reset_mandate_clock.reason);
    IF coalesce(reason, '') = '' THEN
        RAISE EXCEPTION 'a reason is needed' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'The audit log keeps why mandates got time back.';
    END IF;
    known := (SELECT max(c.at) FROM mulberry_internal.mandate_clock AS c);
    -- what somebody else has in hand is no time that lies ahead, or is being reset
    DELETE FROM mulberry_internal.mandate_clock AS c
     WHERE c.ctid IN (SELECT k.ctid FROM mulberry_internal.mandate_clock AS k FOR UPDATE SKIP LOCKED);
    INSERT INTO mulberry_internal.mandate_clock (at) VALUES (clock_timestamp());
    IF known > clock_timestamp() THEN
        PERFORM mulberry_internal.record_audit(t.id, 'MANDATE_CLOCK_RESET', 'applied', NULL, NULL, NULL, NULL,
                                      jsonb_build_object('from', mulberry_internal.utc_text(known), 'to',
                                          mulberry_internal.utc_text(clock_timestamp()), 'reason', reason))
           FROM mulberry_internal.tenants AS t;
    END IF;
    PERFORM mulberry_internal.require_durable_commit();
    RETURN known;
END
$$;
COMMENT ON FUNCTION mulberry.reset_mandate_clock(text) IS
    'has mandates expire by the clock of the server again, where that was far ahead for a while and has been set right, and returns the '
    'time they expired by until now. Mandates that have become EXPIRED meanwhile stay so until they are extended. The audit log of every '
    'tenant keeps it. Needs admin access to all tenants';

CREATE OR REPLACE FUNCTION health_mandate_clock() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    known CONSTANT timestamptz := (SELECT max(c.at) FROM mulberry_internal.mandate_clock AS c);
BEGIN
    item := 'mandate clock';
    status := CASE WHEN known > clock_timestamp() + interval '1 minute' THEN 'warning' ELSE 'ok' END;
    detail := CASE WHEN status = 'ok' THEN 'mandates expire by the clock of the server'
                   ELSE format('the clock of the server is behind %s, which was known once: mandates expire by that',
                       mulberry_internal.utc_text(known)) END;
    hint := CASE WHEN status <> 'ok' THEN 'Set the clock right. If it was too far ahead before: reset_mandate_clock(reason).' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_mandate_clock() IS 'health of the time that mandates expire by';
