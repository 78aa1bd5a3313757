CREATE OR REPLACE FUNCTION listen_channel(channel text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_listen_channel';
COMMENT ON FUNCTION listen_channel(text) IS 'LISTEN (internal)';

CREATE OR REPLACE FUNCTION unlisten_channel(channel text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_unlisten_channel';
COMMENT ON FUNCTION unlisten_channel(text) IS 'UNLISTEN (internal)';

CREATE OR REPLACE FUNCTION remembered_channels() RETURNS SETOF text
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_remembered_channels';
COMMENT ON FUNCTION remembered_channels() IS 'what this session has subscribed to, the current transaction included (internal)';

CREATE OR REPLACE FUNCTION mulberry.subscribe(only_tenant text DEFAULT NULL)
RETURNS TABLE (tenant text, channel text, last_seq bigint)
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    targets uuid[];
    chosen  text[];
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'cannot subscribe during recovery'
            USING ERRCODE = 'read_only_sql_transaction',
                  HINT = 'Subscribe on the primary, or poll events_since() here.';
    END IF;
    -- No row is locked: revoke_access() must not wait for whom it revokes.  Should it take a channel away before
    -- we listen to it, the notifier finds our row of channel_listeners and sends the last word again.
    LOOP
        IF only_tenant IS NULL THEN
            targets := mulberry.current_tenants('supervisor');
        END IF;
        IF only_tenant IS NOT NULL OR targets = '{}' THEN
            targets := ARRAY[mulberry_internal.resolve_tenant(only_tenant, 'supervisor')];
        END IF;

        INSERT INTO mulberry_internal.event_channels (tenant, channel)
        SELECT wanted, 'mulberry_' || replace(gen_random_uuid()::text, '-', '')
          FROM unnest(targets) AS wanted
         WHERE NOT EXISTS (SELECT FROM mulberry_internal.event_channels c WHERE c.tenant = wanted);
        -- one for each tenant, that on which the session listens already, if any
        chosen := ARRAY(SELECT DISTINCT ON (c.tenant) c.channel
                          FROM mulberry_internal.event_channels c
                         WHERE c.tenant = ANY (targets)
                         ORDER BY c.tenant, c.channel IN (SELECT r FROM mulberry_internal.remembered_channels() AS r) DESC,
                                  c.created_at, c.channel);
        EXIT WHEN cardinality(chosen) = cardinality(targets);
    END LOOP;
    -- names that a revoke_access() has taken out of use
    PERFORM mulberry_internal.unlisten_channel(old)
       FROM mulberry_internal.remembered_channels() AS old
      WHERE NOT EXISTS (SELECT FROM mulberry_internal.event_channels c WHERE c.channel = old);
    INSERT INTO mulberry_internal.channel_listeners (channel, tenant, role)
    SELECT c.channel, c.tenant, r
      FROM mulberry_internal.event_channels c, mulberry_internal.caller_roles() AS r
     WHERE c.channel = ANY (chosen);
    PERFORM mulberry_internal.listen_channel(c) FROM unnest(chosen) AS c;
    IF NOT mulberry.notifier_lives() THEN
        RAISE WARNING 'no notifier serves this database, so no events are sent'
            USING HINT = 'Add mulberry to shared_preload_libraries and the database to mulberry.databases, or poll events_since().';
    END IF;

    RETURN QUERY
        SELECT t.name, c.channel, coalesce(n.last_seq, 0)
          FROM mulberry_internal.event_channels c
          JOIN mulberry_internal.tenants t ON t.id = c.tenant
          LEFT JOIN mulberry_internal.event_counters n ON n.tenant = c.tenant
         WHERE c.channel = ANY (chosen)
         ORDER BY t.name;
END
$$;
COMMENT ON FUNCTION mulberry.subscribe(text) IS
    'puts the session on LISTEN for the events of a tenant (null: all that the role may hear) from its commit on, and says where they '
    'come and what their last number is: what came before, and whatever is missed, is in events_since(). On a message "resubscribe" call '
    'it again; on "resync" read the state anew. Needs supervisor access';

CREATE OR REPLACE FUNCTION mulberry.unsubscribe() RETURNS void
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM mulberry_internal.unlisten_channel(known.channel)
      FROM (SELECT mulberry_internal.remembered_channels() AS channel
            UNION
            SELECT l FROM pg_listening_channels() AS l WHERE l ~ '^mulberry_[0-9a-f]{32}$') AS known;
END
$$;
COMMENT ON FUNCTION mulberry.unsubscribe() IS 'takes back every subscribe() of this session';

-- The channel is gone with its row; the next subscribe() makes another one.
CREATE OR REPLACE FUNCTION retire_channels(channels text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    old record;
BEGIN
    IF channels = '{}' THEN
        RETURN;     -- a statement without rows would have the notifier look again, too
    END IF;
    FOR old IN
        DELETE FROM mulberry_internal.event_channels c WHERE c.channel = ANY (channels) RETURNING c.channel, c.tenant
    LOOP
        PERFORM mulberry_internal.say_resubscribe(old.channel, old.tenant);
    END LOOP;
    DELETE FROM mulberry_internal.channel_listeners l WHERE l.channel = ANY (channels);
END
$$;
COMMENT ON FUNCTION retire_channels(text[]) IS 'takes channels out of use; who may still hear their tenants is told to subscribe() again';

CREATE OR REPLACE FUNCTION say_resubscribe(channel text, tenant uuid) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
    SELECT pg_notify($1, json_build_object('event', 'resubscribe',
                                           'time', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                                           'tenant', (SELECT t.name FROM mulberry_internal.tenants t WHERE t.id = $2))::text)
$$;
COMMENT ON FUNCTION say_resubscribe(text, uuid) IS 'the last word on a channel that is taken out of use';

CREATE OR REPLACE FUNCTION rotate_channels(tenant uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM mulberry_internal.retire_channels(ARRAY(
        SELECT c.channel FROM mulberry_internal.event_channels c
         WHERE rotate_channels.tenant IS NULL OR c.tenant = rotate_channels.tenant));
END
$$;
COMMENT ON FUNCTION rotate_channels(uuid) IS
    'gives a tenant (null: all) a new channel; who may still hear it is told to subscribe() again (internal)';

-- revoke_access() is not the only way to lose access: a role may be taken out of
-- the group that has it, or dropped.  And it does not see who is about to subscribe.
CREATE OR REPLACE FUNCTION lost_channels() RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
    WITH hearing AS MATERIALIZED (
        SELECT a AS access FROM unnest(mulberry_internal.access_names()) AS a
         WHERE 'supervisor' = ANY (mulberry_internal.access_includes(a))
    )
    SELECT c.channel FROM mulberry_internal.event_channels c
     WHERE EXISTS (
           SELECT FROM (SELECT DISTINCT l.role FROM mulberry_internal.channel_listeners l WHERE l.channel = c.channel) AS told
            WHERE NOT EXISTS (SELECT FROM pg_roles r
                               WHERE r.oid = told.role
                                 AND pg_has_role(r.oid, (SELECT t.relowner FROM pg_class t
                                                          WHERE t.oid = 'mulberry_internal.members'::regclass), 'USAGE'))
              AND NOT EXISTS (SELECT FROM pg_roles r
                                JOIN mulberry_internal.members m ON pg_has_role(r.oid, m.role::oid, 'USAGE')
                               WHERE r.oid = told.role AND m.access IN (SELECT access FROM hearing)
                                 AND (m.tenant = c.tenant OR m.tenant IS NULL)))
$$;
COMMENT ON FUNCTION lost_channels() IS 'channels that a role knows which may not hear them any more; nothing is sent on them (internal)';

-- Waits for nobody: what somebody holds is looked at again when he has finished.
CREATE OR REPLACE FUNCTION rotate_lost_channels() RETURNS void
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    dead record;
BEGIN
    PERFORM mulberry_internal.retire_channels(ARRAY(
        SELECT c.channel FROM mulberry_internal.event_channels c
         WHERE c.channel IN (SELECT mulberry_internal.lost_channels())
         ORDER BY c.channel FOR UPDATE SKIP LOCKED));
    -- who listens to a channel that was gone before its commit, and what was said more than once
    FOR dead IN
        WITH over AS (
            SELECT l.id, e.channel IS NULL AS dead
              FROM mulberry_internal.channel_listeners l
              LEFT JOIN mulberry_internal.event_channels e ON e.channel = l.channel
             WHERE e.channel IS NULL
                OR EXISTS (SELECT FROM mulberry_internal.channel_listeners o
                            WHERE o.channel = l.channel AND o.role = l.role AND o.id < l.id)
               FOR UPDATE OF l SKIP LOCKED
        ), gone AS (
            DELETE FROM mulberry_internal.channel_listeners l USING over o WHERE l.id = o.id
            RETURNING l.channel, l.tenant, o.dead
        )
        SELECT DISTINCT g.channel, g.tenant FROM gone g WHERE g.dead
    LOOP
        PERFORM mulberry_internal.say_resubscribe(dead.channel, dead.tenant);
    END LOOP;
END
$$;
COMMENT ON FUNCTION rotate_lost_channels() IS
    'gives new channels to the tenants whose channel is known to a role that may not hear them any more; the notifier calls it when '
    'somebody has subscribed, or rights have changed (internal)';

CREATE OR REPLACE FUNCTION notifier_channels() RETURNS TABLE (tenant uuid, name text, channel text)
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT t.id, t.name, c.channel
          FROM mulberry_internal.event_channels c
          JOIN mulberry_internal.tenants t ON t.id = c.tenant
         WHERE c.channel NOT IN (SELECT mulberry_internal.lost_channels());
END
$$;
COMMENT ON FUNCTION notifier_channels() IS 'where the notifier sends the events of each tenant (internal)';
