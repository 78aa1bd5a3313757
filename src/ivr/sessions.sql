-- The telephone calls that are under way: those that came in, and those that were placed.

CREATE OR REPLACE FUNCTION telephone_calls(tenants uuid[])
RETURNS TABLE (tenant uuid, call_sid text, direction text, from_number text, to_number text, status text, started_at timestamptz,
    place text, menu text, recorded boolean, settings_version integer, purpose text)
LANGUAGE sql STABLE
AS $$
    -- nobody may tell us that a call is over: then its longest duration does
    SELECT i.tenant, i.sid, 'inbound', i.caller, i.number, i.state, i.created_at, i.place->>'node', i.place->>'menu', i.recorded,
           i.version, NULL::text
      FROM mulberry_internal.inbound_calls i
      JOIN mulberry_internal.telephony_versions v ON v.tenant = i.tenant AND v.version = i.version
     WHERE i.tenant = ANY ($1) AND i.ended_at IS NULL AND i.place->>'node' <> 'over'
       AND (i.state <> 'queued' OR i.created_at > clock_timestamp() - interval '2 minutes')
       AND i.created_at > clock_timestamp() - interval '4 hours 5 minutes'
       AND i.created_at > clock_timestamp() -
               make_interval(secs => coalesce(mulberry_internal.whole_number(v.settings->'max_duration'), 3600) + 60)
    UNION ALL
    SELECT v.tenant, v.sid, 'outbound', v.from_number, v.to_number, v.state, v.requested_at, NULL, NULL, NULL, NULL, v.purpose
      FROM mulberry_internal.voice_calls v
     WHERE v.tenant = ANY ($1) AND v.finished_at IS NULL AND v.sid IS NOT NULL
       AND mulberry_internal.voice_call_rank(v.state) BETWEEN 3 AND 5
$$;
COMMENT ON FUNCTION telephone_calls(uuid[]) IS 'the telephone calls of tenants that are under way (internal)';

CREATE OR REPLACE FUNCTION mulberry.telephony_sessions(tenant text DEFAULT NULL, max_sessions integer DEFAULT 1000) RETURNS jsonb
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    tenants uuid[];
BEGIN
    PERFORM mulberry_internal.check_texts('tenant', telephony_sessions.tenant);
    IF max_sessions IS NULL OR max_sessions NOT BETWEEN 1 AND 10000 THEN
        RAISE EXCEPTION 'max_sessions must lie between 1 and 10000' USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    tenants := mulberry.current_tenants('supervisor', 'operator', 'auditor');
    IF tenant IS NOT NULL OR tenants = '{}' THEN
        tenants := ARRAY[mulberry_internal.resolve_tenant(tenant, 'supervisor', 'operator', 'auditor')];
    END IF;
    RETURN (WITH active AS MATERIALIZED (SELECT c.* FROM mulberry_internal.telephone_calls(tenants) AS c)
            SELECT jsonb_build_object('active_sessions', (SELECT count(*) FROM active), 'sessions', coalesce(jsonb_agg(
                       jsonb_strip_nulls(jsonb_build_object('call_sid', s.call_sid, 'tenant', t.name, 'direction', s.direction,
                           'from', s.from_number, 'to', s.to_number, 'status', s.status, 'started_at', s.started_at,
                           'duration_seconds', floor(extract(epoch FROM clock_timestamp() - s.started_at))::bigint, 'place', s.place,
                           'menu', s.menu, 'recorded', s.recorded, 'settings_version', s.settings_version, 'purpose', s.purpose))
                       ORDER BY s.started_at DESC, s.call_sid), '[]'))
              FROM (SELECT a.* FROM active a ORDER BY a.started_at DESC, a.call_sid LIMIT max_sessions) AS s
              JOIN mulberry_internal.tenants t ON t.id = s.tenant);
END
$$;
COMMENT ON FUNCTION mulberry.telephony_sessions(text, integer) IS
    'the telephone calls that are under way, of a tenant (null: of all that one sees), the youngest first and max_sessions at most: '
    '{"active_sessions": number of all, "sessions": [{"call_sid", "tenant", "direction", "from", "to", "status", "started_at", '
    '"duration_seconds", "place", ...}]}. Needs supervisor, operator or auditor access';

CREATE OR REPLACE FUNCTION mulberry.active_telephone_calls() RETURNS bigint
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    tenants uuid[] := mulberry.current_tenants('gateway', 'monitor');
BEGIN
    IF tenants = '{}' THEN
        PERFORM mulberry_internal.resolve_tenant(NULL, 'gateway', 'monitor');
    END IF;
    RETURN (SELECT count(*) FROM mulberry_internal.telephone_calls(tenants));
END
$$;
COMMENT ON FUNCTION mulberry.active_telephone_calls() IS
    'how many telephone calls are under way, of all tenants that one serves. Needs gateway or monitor access';
