-- Shared work cannot be failed by one row: what fails is set aside, reported once in the server's log and
-- by health(), tried again later and later, and the rest goes on.

CREATE OR REPLACE FUNCTION set_aside(unit text, item text, tenant uuid, state text, error text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    entry mulberry_internal.set_aside;
BEGIN
    INSERT INTO mulberry_internal.set_aside AS s (unit, item, tenant, sqlstate, error, retry_at)
    VALUES (set_aside.unit, set_aside.item, set_aside.tenant, state, left(set_aside.error, 1000),
            clock_timestamp() + interval '1 minute')
        ON CONFLICT ON CONSTRAINT set_aside_pkey DO UPDATE
       SET sqlstate = excluded.sqlstate, error = excluded.error, times = least(s.times, 2147483646) + 1,
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
LANGUAGE sql STABLE
RETURN EXISTS (SELECT FROM mulberry_internal.set_aside s WHERE s.unit = $1 AND s.item = $2 AND s.retry_at > clock_timestamp());
COMMENT ON FUNCTION is_set_aside(text, text) IS 'whether an item failed and is not to be tried again yet (internal)';

CREATE OR REPLACE FUNCTION forget_set_aside() RETURNS void
LANGUAGE sql VOLATILE
AS $$
    -- it was to be tried again long ago, and has not failed since
    DELETE FROM mulberry_internal.set_aside s WHERE s.retry_at < clock_timestamp() - interval '1 hour'
$$;
COMMENT ON FUNCTION forget_set_aside() IS 'forgets what was set aside and is well again or gone; part of maintenance (internal)';
