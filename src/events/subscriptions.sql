CREATE OR REPLACE FUNCTION listen_channel(channel text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_listen_channel';
COMMENT ON FUNCTION listen_channel(text) IS 'LISTEN (internal)';

CREATE OR REPLACE FUNCTION mulberry.unlisten_channel(channel text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_unlisten_channel';
COMMENT ON FUNCTION mulberry.unlisten_channel(text) IS 'UNLISTEN (internal)';

CREATE OR REPLACE FUNCTION mulberry.remembered_channels() RETURNS SETOF text
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_remembered_channels';
COMMENT ON FUNCTION mulberry.remembered_channels() IS 'what this session has subscribed to, the current transaction included (internal)';

CREATE OR REPLACE FUNCTION mulberry.subscribe(only_tenant text DEFAULT NULL)
RETURNS TABLE (tenant text, channel text, last_seq bigint)
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
#variable_conflict use_column
DECLARE
    targets uuid[];
    held    bigint;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'cannot subscribe during recovery'
            USING ERRCODE = 'read_only_sql_transaction',
                  HINT = 'Subscribe on the primary, or poll events_since() here.';
    END IF;
    -- Until no revoke_access() takes a channel away in between: who comes after this lock sends its
    -- last word when we listen.
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
         WHERE NOT EXISTS (SELECT FROM mulberry_internal.event_channels c WHERE c.tenant = wanted)
         ORDER BY wanted
            ON CONFLICT DO NOTHING;
        PERFORM FROM mulberry_internal.event_channels c WHERE c.tenant = ANY (targets) ORDER BY c.tenant FOR KEY SHARE;
        GET DIAGNOSTICS held = ROW_COUNT;
        EXIT WHEN held = cardinality(targets);
    END LOOP;
    -- names that a revoke_access() has taken out of use
    PERFORM mulberry.unlisten_channel(old)
       FROM mulberry.remembered_channels() AS old
      WHERE NOT EXISTS (SELECT FROM mulberry_internal.event_channels c WHERE c.channel = old);
    UPDATE mulberry_internal.event_channels c SET told = c.told || mulberry_internal.outer_role()::oid
     WHERE c.tenant = ANY (targets) AND mulberry_internal.outer_role()::oid <> ALL (c.told);
    PERFORM mulberry_internal.listen_channel(c.channel)
       FROM mulberry_internal.event_channels c
      WHERE c.tenant = ANY (targets);
    IF NOT mulberry.notifier_lives() THEN
        RAISE WARNING 'no notifier serves this database, so no events are sent'
            USING HINT = 'Add mulberry to shared_preload_libraries and the database to mulberry.databases, or poll events_since().';
    END IF;

    RETURN QUERY
        SELECT t.name, c.channel, coalesce(n.last_seq, 0)
          FROM mulberry_internal.event_channels c
          JOIN mulberry_internal.tenants t ON t.id = c.tenant
          LEFT JOIN mulberry_internal.event_counters n ON n.tenant = c.tenant
         WHERE c.tenant = ANY (targets)
         ORDER BY t.name;
END
$$;
COMMENT ON FUNCTION mulberry.subscribe(text) IS
    'puts the session on LISTEN for the events of a tenant (null: all that the role may hear) from its commit on, and says where they '
    'come and what their last number is: what came before, and whatever is missed, is in events_since(). On a message "resubscribe" call '
    'it again; on "resync" read the state anew. Needs supervisor access';

CREATE OR REPLACE FUNCTION mulberry.unsubscribe() RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
    SELECT mulberry.unlisten_channel(known.channel)
      FROM (SELECT mulberry.remembered_channels() AS channel
            UNION
            SELECT l FROM pg_listening_channels() AS l WHERE l ~ '^mulberry_[0-9a-f]{32}$') AS known
$$;
COMMENT ON FUNCTION mulberry.unsubscribe() IS 'takes back every subscribe() of this session';

-- The channel is gone with its row; the next subscribe() makes another one.
CREATE OR REPLACE FUNCTION rotate_channels(tenant uuid) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    old record;
BEGIN
    FOR old IN
        DELETE FROM mulberry_internal.event_channels c
         WHERE tenant IS NULL OR c.tenant = tenant
        RETURNING c.channel, (SELECT t.name FROM mulberry_internal.tenants t WHERE t.id = c.tenant) AS tenant_name
    LOOP
        PERFORM pg_notify(old.channel, json_build_object('event', 'resubscribe', 'tenant', old.tenant_name)::text);
    END LOOP;
END
$$;
COMMENT ON FUNCTION rotate_channels(uuid) IS
    'gives a tenant (null: all) a new channel; who may still hear it is told to subscribe() again (internal)';

-- revoke_access() is not the only way to lose access: a role may be taken out of
-- the group that has it, or dropped.
CREATE OR REPLACE FUNCTION rotate_lost_channels() RETURNS bigint
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    RETURN (
        WITH hearing AS MATERIALIZED (
            SELECT a AS access FROM unnest(mulberry_internal.access_names()) AS a
             WHERE 'supervisor' = ANY (mulberry_internal.access_includes(a))
        ), lost AS MATERIALIZED (
            SELECT c.tenant FROM mulberry_internal.event_channels c
             WHERE EXISTS (
                   SELECT FROM unnest(c.told) AS told
                    WHERE NOT EXISTS (SELECT FROM pg_roles r
                                       WHERE r.oid = told
                                         AND pg_has_role(r.oid, (SELECT t.relowner FROM pg_class t
                                                                  WHERE t.oid = 'mulberry_internal.members'::regclass), 'USAGE'))
                      AND NOT EXISTS (SELECT FROM pg_roles r
                                        JOIN mulberry_internal.members m ON pg_has_role(r.oid, m.role::oid, 'USAGE')
                                       WHERE r.oid = told AND m.access IN (SELECT access FROM hearing)
                                         AND (m.tenant = c.tenant OR m.tenant IS NULL)))
        ), rotated AS MATERIALIZED (
            SELECT mulberry_internal.rotate_channels(l.tenant) FROM lost l
        )
        SELECT count(*) FROM rotated
    );
END
$$;
COMMENT ON FUNCTION rotate_lost_channels() IS
    'gives new channels to the tenants whose channel is known to a role that may not hear them any more, and says how many those are; '
    'the notifier calls it when roles have changed (internal)';

CREATE OR REPLACE FUNCTION notifier_channels() RETURNS TABLE (tenant uuid, name text, channel text)
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT t.id, t.name, c.channel FROM mulberry_internal.event_channels c JOIN mulberry_internal.tenants t ON t.id = c.tenant;
END
$$;
COMMENT ON FUNCTION notifier_channels() IS 'where the notifier sends the events of each tenant (internal)';
