-- What shared work had to leave.

CREATE OR REPLACE FUNCTION health_set_aside() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    entry record;
    more  bigint;
BEGIN
    SELECT count(*) INTO more FROM mulberry_internal.set_aside s WHERE s.retry_at > clock_timestamp() - interval '10 minutes';
    item := 'shared work';
    status := CASE WHEN more = 0 THEN 'ok' ELSE 'error' END;
    detail := CASE WHEN more = 0 THEN 'nothing is set aside' ELSE format('%s items are set aside', more) END;
    hint := CASE WHEN more > 0 THEN 'Mend or remove what is named; it is tried again by itself, at least once an hour.' END;
    RETURN NEXT;
    FOR entry IN
        SELECT s.*, t.name FROM mulberry_internal.set_aside s LEFT JOIN mulberry_internal.tenants t ON t.id = s.tenant
         WHERE s.retry_at > clock_timestamp() - interval '10 minutes' ORDER BY s.since, s.unit, s.item LIMIT 10
    LOOP
        item := format('set aside by %s', entry.unit);
        status := 'error';
        -- what an error quotes may be another tenant's, or what a monitor is not to see
        detail := format('"%s"%s since %s, %s times', entry.item, coalesce(format(' of tenant "%s"', entry.name), ''), entry.since,
            entry.times)
            || CASE WHEN entry.tenant = ANY (mulberry.current_tenants('operator', 'auditor', 'gateway', 'worker'))
                      OR mulberry.has_access_everywhere('admin')
                    THEN ': ' || entry.error ELSE format(' (SQLSTATE %s)', entry.sqlstate) END;
        hint := CASE entry.unit WHEN 'claiming' THEN format('When it is mended: maintenance tries it again after %s, and '
            'retry_job(%s) at once.', entry.retry_at, entry.item) END;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION health_set_aside() IS 'health of shared work: what it had to set aside, so that the rest could go on';
