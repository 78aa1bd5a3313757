-- What people are told about keys.

CREATE OR REPLACE FUNCTION mulberry.voice_key_modes() RETURNS TABLE (tenant uuid, role text, agent uuid, key_id integer, signs boolean,
    mode text,
                                                 challenge_until timestamptz, forgeries_in_row bigint, last_forgery_at timestamptz)
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    RETURN QUERY
        SELECT k.tenant, k.role, k.agent, k.key_id,
               CASE k.role WHEN 'sender' THEN k.key_id IS NOT DISTINCT FROM mulberry_internal.signing_key(k.tenant, k.agent) END,
               CASE WHEN k.role = 'sender' OR NOT k.enabled THEN NULL
                    WHEN l.mode = 'normal' AND k.place <> mulberry_internal.voice_key_place() THEN 'challenge'
                    ELSE l.mode END,
               CASE WHEN k.role = 'receiver' AND k.enabled AND g.challenge_until > clock_timestamp() THEN g.challenge_until END,
               CASE k.role WHEN 'receiver' THEN coalesce(g.in_row, 0) END,
               g.forgeries[1]
          FROM mulberry_internal.voice_keys k
          LEFT JOIN mulberry_internal.key_guard g ON g.tenant = k.tenant AND g.key_id = k.key_id AND k.role = 'receiver'
         CROSS JOIN LATERAL mulberry_internal.lockout_mode(g, clock_timestamp()) AS l (mode)
         WHERE k.tenant = ANY (mulberry.current_tenants('operator', 'auditor'));
END
$$;
COMMENT ON FUNCTION mulberry.voice_key_modes() IS
    'what voice_key_status says beyond the rows of voice_keys, for the tenants of the current role';

CREATE OR REPLACE VIEW mulberry.voice_key_status WITH (security_barrier) AS
    SELECT t.name AS tenant, a.name AS agent, k.key_id, k.role, k.enabled, k.fingerprint, k.challenge_extend, m.signs,
           k.last_counter, CASE k.role WHEN 'sender' THEN k.acked_counter END AS acked_counter,
           k.created_at, k.exported_at, k.confirmed_at, k.disabled_at, m.mode, m.challenge_until, m.forgeries_in_row, m.last_forgery_at
      FROM voice_keys k
      JOIN tenants t ON t.id = k.tenant
      JOIN agents a ON a.tenant = k.tenant AND a.id = k.agent
      JOIN voice_key_modes() m ON m.tenant = k.tenant AND m.role = k.role AND m.agent = k.agent AND m.key_id = k.key_id
     WHERE k.tenant = ANY ((SELECT current_tenants(true, 'operator', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.voice_key_status IS 'the keys of voice commands, without their bytes';
COMMENT ON COLUMN mulberry.voice_key_status.role IS 'sender in the cloud, receiver on the edge';
COMMENT ON COLUMN mulberry.voice_key_status.fingerprint IS 'the same on both sides; for confirm_voice_key()';
COMMENT ON COLUMN mulberry.voice_key_status.signs IS 'sender: whether the agent''s next command is signed with it';
COMMENT ON COLUMN mulberry.voice_key_status.mode IS
    'receiver: normal; challenge: every command must answer one; strict: likewise, and a call is hung up after its first forgery';
COMMENT ON COLUMN mulberry.voice_key_status.forgeries_in_row IS 'since the last genuine frame';

CREATE OR REPLACE FUNCTION health_voice_keys() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    total      bigint;
    unexported bigint;
    far        bigint;
    alarmed    bigint;
    severe     bigint;
    challenged bigint;
BEGIN
    item := 'voice keys';
    SELECT count(*), count(*) FILTER (WHERE k.role = 'sender' AND k.exported_at IS NULL),
           count(*) FILTER (WHERE k.role = 'sender' AND k.last_counter - k.acked_counter > mulberry_internal.counter_window() - 1000)
      INTO total, unexported, far
      FROM mulberry_internal.voice_keys k WHERE k.enabled;
    status := CASE WHEN far > 0 OR unexported > 0 THEN 'warning' ELSE 'ok' END;
    detail := format('%s keys are in use', total)
              || CASE WHEN unexported > 0 THEN format('; %s were not exported to their edge', unexported) ELSE '' END
              || CASE WHEN far > 0 THEN format('; %s are more than %s commands ahead of what was acknowledged', far,
                                                  mulberry_internal.counter_window() - 1000) ELSE '' END;
    hint := CASE WHEN far > 0 THEN format('An edge takes a counter %s ahead for an old one: rotate_voice_key().',
                                         mulberry_internal.counter_window())
                 WHEN unexported > 0 THEN 'export_voice_key() gives the line for the edge; see mulberry.voice_key_status.' END;
    RETURN NEXT;

    item := 'voice key forgeries';
    SELECT count(*) FILTER (WHERE g.in_row >= mulberry_internal.alarm_forgeries()),
           count(*) FILTER (WHERE m.mode = 'strict'), count(*) FILTER (WHERE m.mode <> 'normal')
      INTO alarmed, severe, challenged
      FROM mulberry_internal.key_guard g CROSS JOIN LATERAL mulberry_internal.lockout_mode(g, clock_timestamp()) AS m (mode);
    status := CASE WHEN alarmed > 0 THEN 'error' WHEN challenged > 0 THEN 'warning' ELSE 'ok' END;
    detail := CASE WHEN challenged = 0 AND alarmed = 0 THEN 'no key is in challenge mode'
                   ELSE format('%s keys are in challenge mode, for %s of them a call is hung up after its first forgery, and %s have '
                       'had %s forgeries in a row',
                               challenged, severe, alarmed, mulberry_internal.alarm_forgeries()) END;
    hint := CASE WHEN alarmed > 0 OR challenged > 0
                 THEN 'Somebody tries to forge commands, or the sender signs with another key: compare fingerprints in '
                     'mulberry.voice_key_status.' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_voice_keys() IS 'health of the keys of voice commands on both sides';
