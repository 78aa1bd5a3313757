CREATE OR REPLACE FUNCTION listen_channel(channel text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_listen_channel';
COMMENT ON FUNCTION listen_channel(text) IS 'LISTEN (internal)';

CREATE OR REPLACE FUNCTION unlisten_channel(channel text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_unlisten_channel';
COMMENT ON FUNCTION unlisten_channel(text) IS 'UNLISTEN (internal)';

CREATE OR REPLACE FUNCTION remembered_channels() RETURNS SETOF text
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_remembered_channels';
COMMENT ON FUNCTION remembered_channels() IS 'what this session has subscribed to, the current transaction included (internal)';

CREATE OR REPLACE FUNCTION session_lives(pid integer) RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_session_lives';
COMMENT ON FUNCTION session_lives(integer) IS 'whether a process of this number serves this database (internal)';

-- A pooler does not know yet for whom it connects: it asks for no setting, and sets the application_name of each
-- client to whom it gives the session.  Clients say theirs when they connect, or later, but have asked for something else.
CREATE OR REPLACE FUNCTION looks_pooled() RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT s.setting <> '' AND s.reset_val = '' AND NOT EXISTS (SELECT FROM pg_settings AS asked WHERE asked.source = 'client')
      FROM pg_settings AS s WHERE s.name = 'application_name'
$$;
COMMENT ON FUNCTION looks_pooled() IS 'whether a pooler seems to have opened this session (internal)';

-- Sorted, each once; null stays null, and an empty one is refused: it would mean to hear nothing.
CREATE OR REPLACE FUNCTION subscription_filter(what text, wanted text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF wanted IS NULL THEN
        RETURN NULL;
    END IF;
    IF array_position(wanted, NULL) IS NOT NULL THEN
        RAISE EXCEPTION '% to subscribe to must not be null', what USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF '' = ANY (wanted) THEN
        RAISE EXCEPTION '% to subscribe to must not be empty', what USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF cardinality(wanted) NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'a subscription names 1 to 1000 %, not %', what, cardinality(wanted)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave them out to hear of all.';
    END IF;
    RETURN ARRAY(SELECT DISTINCT w COLLATE "C" FROM unnest(wanted) AS w ORDER BY 1);
END
$$;
COMMENT ON FUNCTION subscription_filter(text, text[]) IS 'calls or kinds of a subscription as they are stored';

CREATE OR REPLACE FUNCTION check_event_kinds(kinds text[]) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    unknown text;
BEGIN
    SELECT u INTO unknown
      FROM unnest(check_event_kinds.kinds) AS u
     WHERE NOT EXISTS (SELECT FROM mulberry.event_kinds() k WHERE k.event = u AND k.delivery <> 'control')
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'cannot subscribe to events of the kind "%"', unknown
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('Allowed are %s.',
                                  (SELECT string_agg(k.event, ', ') FROM mulberry.event_kinds() k WHERE k.delivery <> 'control')),
                  HINT = format('What is about the subscription itself comes always: %s.',
                                (SELECT string_agg(k.event, ', ') FROM mulberry.event_kinds() k WHERE k.delivery = 'control'));
    END IF;
END
$$;
COMMENT ON FUNCTION check_event_kinds(text[]) IS 'an error (22023) unless each is an event that subscribers may ask for';

-- Nobody waits for it, nor does it wait: what somebody holds goes with the session.
CREATE OR REPLACE FUNCTION drop_own_channels(channels text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    gone text[] := ARRAY(SELECT c.channel FROM mulberry_internal.event_channels c
                          WHERE c.channel = ANY (drop_own_channels.channels) AND c.listener IS NOT NULL
                          ORDER BY c.channel FOR UPDATE SKIP LOCKED);
BEGIN
    IF gone <> '{}' THEN
        DELETE FROM mulberry_internal.event_channels c WHERE c.channel = ANY (gone);
        DELETE FROM mulberry_internal.channel_listeners l WHERE l.channel = ANY (gone);
    END IF;
END
$$;
COMMENT ON FUNCTION drop_own_channels(text[]) IS 'takes channels out of use whose only listener has left';

-- The channels of the session for some of the events of these tenants, made where they are missing; null when one was taken
-- away meanwhile.
CREATE OR REPLACE FUNCTION own_channels(targets uuid[], calls text[], kinds text[]) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    chosen text[];
BEGIN
    -- of an earlier transaction, and given up since: by UNLISTEN, or DISCARD ALL of a pooler between two clients
    PERFORM mulberry_internal.drop_own_channels(ARRAY(
        SELECT c.channel FROM mulberry_internal.event_channels c
         WHERE c.listener = pg_backend_pid() AND c.created_at < now()
           AND c.channel NOT IN (SELECT pg_listening_channels())));
    INSERT INTO mulberry_internal.event_channels (tenant, channel, listener, calls, kinds)
    SELECT wanted, 'mulberry_' || replace(gen_random_uuid()::text, '-', ''), pg_backend_pid(), own_channels.calls, own_channels.kinds
      FROM unnest(targets) AS wanted
     WHERE NOT EXISTS (SELECT FROM mulberry_internal.event_channels c
                        WHERE c.tenant = wanted AND c.listener = pg_backend_pid()
                          AND c.calls IS NOT DISTINCT FROM own_channels.calls AND c.kinds IS NOT DISTINCT FROM own_channels.kinds);
    IF (SELECT count(*) FROM mulberry_internal.event_channels c WHERE c.listener = pg_backend_pid()) > 1000 THEN
        RAISE EXCEPTION 'a session may have at most 1000 subscriptions with a filter, one a tenant'
            USING ERRCODE = 'program_limit_exceeded',
                  HINT = 'Name the tenant, several calls in one subscription, or call unsubscribe() first.';
    END IF;
    chosen := ARRAY(SELECT c.channel FROM mulberry_internal.event_channels c
                     WHERE c.tenant = ANY (targets) AND c.listener = pg_backend_pid()
                       AND c.calls IS NOT DISTINCT FROM own_channels.calls AND c.kinds IS NOT DISTINCT FROM own_channels.kinds);
    RETURN CASE WHEN cardinality(chosen) = cardinality(targets) THEN chosen END;
END
$$;
COMMENT ON FUNCTION own_channels(uuid[], text[], text[]) IS 'channels of this session alone, for what it wants to hear of each tenant';

-- The channels for all events of these tenants, made where they are missing; null likewise.
CREATE OR REPLACE FUNCTION shared_channels(targets uuid[]) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
    chosen text[];
BEGIN
    INSERT INTO mulberry_internal.event_channels (tenant, channel)
    SELECT wanted, 'mulberry_' || replace(gen_random_uuid()::text, '-', '')
      FROM unnest(targets) AS wanted
     WHERE NOT EXISTS (SELECT FROM mulberry_internal.event_channels c WHERE c.tenant = wanted AND c.listener IS NULL);
    -- one for each tenant, that on which the session listens already, if any
    chosen := ARRAY(SELECT DISTINCT ON (c.tenant) c.channel
                      FROM mulberry_internal.event_channels c
                     WHERE c.tenant = ANY (targets) AND c.listener IS NULL
                     ORDER BY c.tenant, c.channel IN (SELECT r FROM mulberry_internal.remembered_channels() AS r) DESC,
                              c.created_at, c.channel);
    RETURN CASE WHEN cardinality(chosen) = cardinality(targets) THEN chosen END;
END
$$;
COMMENT ON FUNCTION shared_channels(uuid[]) IS 'channels on which all events of each tenant are sent';

CREATE OR REPLACE FUNCTION mulberry.subscribe(calls text[] DEFAULT NULL, kinds text[] DEFAULT NULL, tenant text DEFAULT NULL)
RETURNS SETOF mulberry.subscription
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    targets uuid[];
    chosen  text[];
BEGIN
    PERFORM mulberry_internal.check_texts('tenant', subscribe.tenant, 'calls', subscribe.calls::text, 'kinds', subscribe.kinds::text);
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'cannot subscribe during recovery'
            USING ERRCODE = 'read_only_sql_transaction',
                  HINT = 'Subscribe on the primary, or poll events_since() here.';
    END IF;
    subscribe.calls := mulberry_internal.subscription_filter('calls', subscribe.calls);
    subscribe.kinds := mulberry_internal.subscription_filter('kinds', subscribe.kinds);
    PERFORM mulberry_internal.check_event_kinds(subscribe.kinds);
    -- No row is locked: revoke_access() must not wait for whom it revokes.  Should it take a channel away before
    -- we listen to it, the notifier finds our row of channel_listeners and sends the last word again.
    LOOP
        IF subscribe.tenant IS NULL THEN
            targets := mulberry.current_tenants('supervisor');
        END IF;
        IF subscribe.tenant IS NOT NULL OR targets = '{}' THEN
            targets := ARRAY[mulberry_internal.resolve_tenant(subscribe.tenant, 'supervisor')];
        END IF;
        chosen := CASE WHEN subscribe.calls IS NULL AND subscribe.kinds IS NULL THEN mulberry_internal.shared_channels(targets)
                       ELSE mulberry_internal.own_channels(targets, subscribe.calls, subscribe.kinds) END;
        EXIT WHEN chosen IS NOT NULL;
    END LOOP;
    -- names that a revoke_access() has taken out of use
    PERFORM mulberry_internal.unlisten_channel(old)
       FROM mulberry_internal.remembered_channels() AS old
      WHERE NOT EXISTS (SELECT FROM mulberry_internal.event_channels c WHERE c.channel = old);
    INSERT INTO mulberry_internal.channel_listeners (channel, tenant, role, listener)
    SELECT c.channel, c.tenant, r, pg_backend_pid()
      FROM mulberry_internal.event_channels c, mulberry_internal.caller_roles() AS r
     WHERE c.channel = ANY (chosen);
    PERFORM mulberry_internal.listen_channel(c) FROM unnest(chosen) AS c;
    IF NOT mulberry.notifier_lives() THEN
        RAISE WARNING 'no notifier serves this database, so no events are sent'
            USING HINT = 'Add mulberry to shared_preload_libraries and the database to mulberry.databases, or poll events_since().';
    END IF;
    IF mulberry_internal.looks_pooled() THEN
        RAISE WARNING 'this session seems to belong to a connection pooler, which may keep its events from who subscribes'
            USING DETAIL = 'Its application_name was set after it began. Events come to a session; a pooler of transactions drops what '
                           'comes while no client uses that session, and may give it to another.',
                  HINT = 'Subscribe by a connection of its own, or one whose pool_mode is session; or poll events_since().';
    END IF;

    RETURN QUERY
        SELECT t.name, c.channel, coalesce(n.last_seq, 0), pg_backend_pid()
          FROM mulberry_internal.event_channels c
          JOIN mulberry_internal.tenants t ON t.id = c.tenant
          LEFT JOIN mulberry_internal.event_counters n ON n.tenant = c.tenant
         WHERE c.channel = ANY (chosen)
         ORDER BY t.name;
END
$$;
COMMENT ON FUNCTION mulberry.subscribe(text[], text[], text) IS
    'puts the session on LISTEN for the events of a tenant (null: all that the role may hear) from its commit on, and says where they '
    'come and what their last number is: what came before, and whatever is missed, is in events_since(). calls: only events about these '
    'calls, which need not have begun; kinds: only these events, see event_kinds(). Subscriptions of a session add up. On a message '
    '"resubscribe" call it again; on "resync" read the state anew. Needs a session of its own, which a pooler of transactions does not '
    'give, and supervisor access';

CREATE OR REPLACE FUNCTION mulberry.unsubscribe() RETURNS void
LANGUAGE mulberry VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM mulberry_internal.unlisten_channel(known.channel)
      FROM (SELECT mulberry_internal.remembered_channels() AS channel
            UNION
            SELECT l FROM pg_listening_channels() AS l WHERE l ~ '^mulberry_[0-9a-f]{32}$') AS known;
    IF NOT current_setting('transaction_read_only')::boolean THEN
        PERFORM mulberry_internal.drop_own_channels(ARRAY(
            SELECT c.channel FROM mulberry_internal.event_channels c WHERE c.listener = pg_backend_pid()));
        -- the role knows the name all the same
        IF EXISTS (SELECT FROM mulberry_internal.channel_listeners l WHERE l.listener = pg_backend_pid()) THEN
            UPDATE mulberry_internal.channel_listeners l SET listener = NULL WHERE l.listener = pg_backend_pid();
        END IF;
    END IF;
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

-- Who hears all tenants listens to the oldest channel that is shared, whatever else he hears, or to one of his own. Nothing is taken out of
-- use: who hears one tenant alone subscribes to it anew, and gets the channel that he has.
CREATE OR REPLACE FUNCTION tell_of_tenant() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM mulberry_internal.say_resubscribe(one.channel, one.tenant)
       FROM (SELECT DISTINCT ON (c.listener) c.channel, c.tenant FROM mulberry_internal.event_channels c
              ORDER BY c.listener, c.created_at, c.channel) AS one;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tell_of_tenant() IS 'trigger: has those subscribe again who hear all tenants, and so do not hear a new one yet';
CREATE OR REPLACE TRIGGER tell_of_tenant AFTER INSERT ON tenants FOR EACH STATEMENT EXECUTE FUNCTION tell_of_tenant();

CREATE OR REPLACE FUNCTION rotate_channels(tenant uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM mulberry_internal.retire_channels(ARRAY(
        SELECT c.channel FROM mulberry_internal.event_channels c
         WHERE c.listener IS NULL AND (rotate_channels.tenant IS NULL OR c.tenant = rotate_channels.tenant)));
    -- one that its only listener is giving up is not waited for: should he keep it after all, the notifier knows who he is
    PERFORM mulberry_internal.retire_channels(ARRAY(
        SELECT c.channel FROM mulberry_internal.event_channels c
         WHERE c.listener IS NOT NULL AND (rotate_channels.tenant IS NULL OR c.tenant = rotate_channels.tenant)
         ORDER BY c.channel FOR UPDATE SKIP LOCKED));
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
    PERFORM mulberry_internal.drop_own_channels(ARRAY(
        SELECT c.channel FROM mulberry_internal.event_channels c
         WHERE c.listener IS NOT NULL AND NOT mulberry_internal.session_lives(c.listener)));
    -- who listens to a channel that was gone before its commit, and what was said more than once
    FOR dead IN
        WITH said AS (
            SELECT x.id, x.lives, row_number() OVER (PARTITION BY x.channel, x.role ORDER BY x.lives DESC, x.id) AS of_role,
                   row_number() OVER (PARTITION BY x.channel, x.role, x.listener ORDER BY x.id) AS of_session
              FROM (SELECT l.*, coalesce(mulberry_internal.session_lives(l.listener), false) AS lives
                      FROM mulberry_internal.channel_listeners l) AS x
        ), over AS (
            SELECT l.id, e.channel IS NULL AS dead
              FROM mulberry_internal.channel_listeners l
              JOIN said s ON s.id = l.id
              LEFT JOIN mulberry_internal.event_channels e ON e.channel = l.channel
             WHERE e.channel IS NULL OR s.of_session > 1 OR (s.of_role > 1 AND NOT s.lives)
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
    'gives new channels to the tenants whose channel is known to a role that may not hear them any more, and takes those out of use whose '
    'session has ended; the notifier calls it when somebody has subscribed, or rights have changed (internal)';

CREATE OR REPLACE FUNCTION notifier_channels()
RETURNS TABLE (tenant uuid, name text, channel text, listener integer, calls text[], kinds text[], last_seq bigint, listeners integer[])
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT t.id, t.name, c.channel, coalesce(c.listener, 0), c.calls, c.kinds, coalesce(n.last_seq, 0),
               ARRAY(SELECT l.listener FROM mulberry_internal.channel_listeners l WHERE l.channel = c.channel AND l.listener IS NOT NULL)
          FROM mulberry_internal.event_channels c
          JOIN mulberry_internal.tenants t ON t.id = c.tenant
          LEFT JOIN mulberry_internal.event_counters n ON n.tenant = c.tenant
         WHERE c.channel NOT IN (SELECT mulberry_internal.lost_channels());
END
$$;
COMMENT ON FUNCTION notifier_channels() IS
    'where the notifier sends the events of each tenant, who alone listens there (0: all), what he wants, the last number, and the '
    'sessions that have subscribed to it (internal)';
