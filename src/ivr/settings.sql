-- Telephony settings of tenants, and what a caller would hear.

CREATE OR REPLACE FUNCTION telephony_version(tenant uuid) RETURNS telephony_versions
LANGUAGE sql STABLE
AS $$
    SELECT v.* FROM mulberry_internal.telephony_versions v WHERE v.tenant = $1 ORDER BY v.version DESC LIMIT 1
$$;
COMMENT ON FUNCTION telephony_version(uuid) IS 'the settings of a tenant that hold (internal)';

CREATE OR REPLACE FUNCTION write_telephony(owner uuid, settings jsonb) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    before CONSTANT mulberry_internal.telephony_versions := mulberry_internal.telephony_version(owner);
    taken  text;
    made   integer;
BEGIN
    PERFORM mulberry_internal.check_telephony(settings);
    IF before.settings = settings THEN
        RETURN before.version;
    END IF;
    -- one after the other: of two who name the same number at once each would find it free
    LOCK TABLE mulberry_internal.phone_numbers IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM mulberry_internal.phone_numbers n WHERE n.tenant = owner AND NOT coalesce(settings->'numbers', '[]') ? n.number;
    -- of those whose calls one endpoint signs only the first would be called; others prove that it is theirs with each call
    SELECT n.number INTO taken
      FROM jsonb_array_elements_text(settings->'numbers') AS n (number)
      JOIN mulberry_internal.phone_numbers p ON p.number = n.number AND p.tenant <> owner
     WHERE mulberry_internal.endpoint_for(p.tenant, 'telephony') = mulberry_internal.endpoint_for(owner, 'telephony')
       AND NOT EXISTS (SELECT FROM mulberry_internal.phone_numbers o WHERE o.number = n.number AND o.tenant = owner)
     ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'number "%" is taken', taken USING ERRCODE = 'unique_violation',
            DETAIL = 'A number calls one tenant of an account.';
    END IF;
    INSERT INTO mulberry_internal.phone_numbers (number, tenant)
    SELECT DISTINCT n.number, owner FROM jsonb_array_elements_text(settings->'numbers') AS n (number) ORDER BY 1
    ON CONFLICT ON CONSTRAINT phone_numbers_pkey DO NOTHING;
    INSERT INTO mulberry_internal.telephony_versions (tenant, version, settings, role)
    VALUES (owner, coalesce(before.version, 0) + 1, settings, mulberry_internal.outer_role_name())
    RETURNING version INTO made;
    PERFORM mulberry_internal.record_audit(owner, 'TELEPHONY_SETTINGS', 'set', evidence => jsonb_build_object('version', made,
        'changed', (SELECT coalesce(jsonb_agg(k.name ORDER BY k.name), '[]')
                      FROM (SELECT jsonb_object_keys(settings) UNION SELECT jsonb_object_keys(before.settings)) AS k (name)
                     WHERE settings->k.name IS DISTINCT FROM before.settings->k.name)));
    RETURN made;
END
$$;
COMMENT ON FUNCTION write_telephony(uuid, jsonb) IS
    'checks settings and makes them those that hold; returns their version, which is another one only when they are. The caller has locked '
    'the tenant (internal)';

CREATE OR REPLACE FUNCTION mulberry.set_telephony(settings jsonb, tenant text DEFAULT NULL) RETURNS integer
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
BEGIN
    PERFORM mulberry_internal.check_json('settings', set_telephony.settings);
    PERFORM FROM mulberry_internal.tenants t WHERE t.id = owner FOR NO KEY UPDATE;
    RETURN mulberry_internal.write_telephony(owner, set_telephony.settings);
END
$$;
COMMENT ON FUNCTION mulberry.set_telephony(jsonb, text) IS
    'what callers of a tenant hear, as a whole, and returns the number of this version: {"numbers", "greeting", "voice", "language", '
    '"answer_with", "consent", "consent_required", "recording", "listening", "menus", "transfer_number", "max_duration", "time_zone", '
    '"hours", '
    '"holidays", '
    '"closed_menu", "emergency_words", "emergency_number", "sentences"}. Calls that are under way keep the version they began with. Needs '
    'admin access. Errors: 22023 names the setting and what is allowed, 23505 the number is another tenant''s of the same account';

CREATE OR REPLACE FUNCTION mulberry.alter_telephony(changes jsonb, tenant text DEFAULT NULL) RETURNS integer
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner  CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
    before mulberry_internal.telephony_versions;
BEGIN
    PERFORM mulberry_internal.check_json('changes', alter_telephony.changes);
    IF changes IS NULL THEN
        RAISE EXCEPTION 'changes must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF jsonb_typeof(changes) <> 'object' THEN
        RAISE EXCEPTION 'changes must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM FROM mulberry_internal.tenants t WHERE t.id = owner FOR NO KEY UPDATE;
    before := mulberry_internal.telephony_version(owner);
    IF before.version IS NULL THEN
        RAISE EXCEPTION 'the tenant has no telephony settings' USING ERRCODE = 'undefined_object',
            HINT = 'set_telephony() makes the first ones.';
    END IF;
    RETURN mulberry_internal.write_telephony(owner, jsonb_strip_nulls(before.settings || changes));
END
$$;
COMMENT ON FUNCTION mulberry.alter_telephony(jsonb, text) IS
    'set_telephony() with the settings that hold, in which these take the place of those of the same name; null takes one away. Needs '
    'admin access. Errors: those of set_telephony(), 42704 there are none';

CREATE OR REPLACE FUNCTION ivr_context(settings jsonb, base text, token uuid, turn integer, sid text, number text, caller text,
    version integer, began timestamptz, at timestamptz, recorded boolean DEFAULT false) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT jsonb_build_object('base', base, 'token', token, 'turn', turn, 'sid', sid, 'number', number, 'caller', caller,
               'version', version, 'seconds', coalesce(mulberry_internal.whole_number(settings->'max_duration'), 3600)
                                              - floor(extract(epoch FROM at - began)),
               'open', h.open, 'closed', h.closed, 'recorded', recorded)
      FROM mulberry_internal.business_hours(settings, at) AS h
$$;
COMMENT ON FUNCTION ivr_context(jsonb, text, uuid, integer, text, text, text, integer, timestamptz, timestamptz, boolean) IS
    'what ivr_next() is to know of a call (internal)';

CREATE OR REPLACE FUNCTION mulberry.preview_call(number text, at timestamptz DEFAULT now(), digits text DEFAULT NULL) RETURNS text
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner uuid;
    v     mulberry_internal.telephony_versions;
    made  record;
    place jsonb := '{"node": "begin"}'::jsonb;
    turn  integer := 0;
    digit text;
BEGIN
    PERFORM mulberry_internal.check_texts('number', preview_call.number, 'digits', preview_call.digits);
    SELECT n.tenant INTO owner FROM mulberry_internal.phone_numbers n
     WHERE n.number = preview_call.number COLLATE "C" AND n.tenant = ANY (mulberry.current_tenants('supervisor', 'operator', 'admin'))
     ORDER BY n.created_at, n.tenant LIMIT 1;
    IF owner IS NULL THEN
        RAISE EXCEPTION 'number "%" does not exist', left(number, 40) USING ERRCODE = 'undefined_object',
            HINT = 'The setting numbers of a tenant says which call it.';
    ELSIF at IS NULL OR NOT isfinite(at) THEN
        RAISE EXCEPTION 'at must be a time' USING ERRCODE = 'datetime_field_overflow';
    ELSIF digits COLLATE "C" !~ '^[0-9*#]{0,100}$' THEN
        RAISE EXCEPTION 'invalid digits "%"', left(digits, 40) USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'They are at most 100 of 0 to 9, * and #.';
    END IF;
    v := mulberry_internal.telephony_version(owner);
    FOREACH digit IN ARRAY ARRAY[''] || CASE WHEN digits <> '' THEN string_to_array(digits, NULL) ELSE '{}' END LOOP
        turn := turn + 1;
        made := mulberry_internal.ivr_next(v.settings,
            mulberry_internal.ivr_context(v.settings,
                coalesce((mulberry_internal.telephony_endpoint(owner)).options->>'public_url', 'https://localhost'),
                '00000000-0000-0000-0000-000000000000', turn, 'CA' || repeat('0', 32), number, 'anonymous', v.version, at, at),
            place, jsonb_build_object('digits', digit));
        place := made.next_place;
    END LOOP;
    RETURN mulberry.twiml(made.verbs);
END
$$;
COMMENT ON FUNCTION mulberry.preview_call(text, timestamptz, text) IS
    'the TwiML that a caller of a number gets who calls at a time, after these digits one by one; where no menu waits for a key, a digit '
    'stands for the end of what goes on there. Needs supervisor, operator or admin access. Errors: 42704 no such number, 22008, 22023';
