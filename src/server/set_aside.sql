-- Shared work cannot be failed by one row: what fails is set aside, reported once in the server's log and
-- by health(), tried again later and later, and the rest goes on.

CREATE OR REPLACE FUNCTION set_aside(unit text, item text, tenant uuid, state text, error text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_variable
DECLARE
    entry mulberry_internal.set_aside;
BEGIN
    INSERT INTO mulberry_internal.set_aside AS s (unit, item, tenant, sqlstate, error, retry_at)
    VALUES (unit, item, tenant, state, left(error, 1000), clock_timestamp() + interval '1 minute')
        ON CONFLICT ON CONSTRAINT set_aside_pkey DO UPDATE
       SET sqlstate = excluded.sqlstate, error = excluded.error, times = s.times + 1,
           retry_at = clock_timestamp() + least(interval '1 minute' * 2 ^ least(s.times, 10), interval '1 hour')
    RETURNING * INTO entry;
    IF entry.times = 1 THEN
        RAISE LOG 'mulberry: % "%" is set aside: %', unit, item, entry.error
            USING DETAIL = 'The rest goes on. It is tried again later; health() lists what is set aside.';
    END IF;
END
$$;
COMMENT ON FUNCTION set_aside(text, text, uuid, text, text) IS
    'has shared work go on without one item, which failed with an error, and try it again later (internal)';

CREATE OR REPLACE FUNCTION is_set_aside(unit text, item text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM mulberry_internal.set_aside s WHERE s.unit = $1 AND s.item = $2 AND s.retry_at > clock_timestamp())
$$;
COMMENT ON FUNCTION is_set_aside(text, text) IS 'whether an item failed and is not to be tried again yet (internal)';

CREATE OR REPLACE FUNCTION forget_set_aside() RETURNS void
LANGUAGE sql VOLATILE
AS $$
    -- it was to be tried again long ago, and has not failed since
    DELETE FROM mulberry_internal.set_aside s WHERE s.retry_at < clock_timestamp() - interval '1 hour'
$$;
COMMENT ON FUNCTION forget_set_aside() IS 'forgets what was set aside and is well again or gone; part of maintenance (internal)';

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
        -- what an error quotes may be another tenant's
        detail := format('"%s"%s since %s, %s times', entry.item, coalesce(format(' of tenant "%s"', entry.name), ''), entry.since,
            entry.times)
            || CASE WHEN entry.tenant = ANY (mulberry.current_tenants()) OR mulberry.has_access_everywhere('admin')
                    THEN ': ' || entry.error ELSE format(' (SQLSTATE %s)', entry.sqlstate) END;
        hint := NULL;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION health_set_aside() IS 'health of shared work: what it had to set aside, so that the rest could go on';
