CREATE OR REPLACE FUNCTION check_agent_settings(name text, phone text, allowed_callers text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    caller text;
BEGIN
    IF name IS NULL THEN
        RAISE EXCEPTION 'an agent''s name must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF name = '' OR length(name) > 100 OR mulberry_internal.has_controls(name) OR name COLLATE "C" ~ E'^\\s|\\s$' THEN
        RAISE EXCEPTION 'an agent''s name is 1 to 100 characters, none of them a control character, without space at its ends'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF name COLLATE "C" ~* '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' THEN
        RAISE EXCEPTION 'an agent''s name must not look like an id' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT mulberry_internal.phone_valid(phone) THEN
        PERFORM mulberry_internal.refuse_phone(phone);
    END IF;
    IF array_ndims(allowed_callers) > 1 OR cardinality(allowed_callers) > 100 THEN
        RAISE EXCEPTION 'allowed_callers has one dimension and at most 100 numbers' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOREACH caller IN ARRAY coalesce(allowed_callers, '{}') LOOP
        IF caller IS NULL OR NOT mulberry_internal.phone_valid(caller) THEN
            PERFORM mulberry_internal.refuse_phone(coalesce(caller, 'null'), ' in allowed_callers');
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION check_agent_settings(text, text, text[]) IS 'raises an error that says which setting of an agent is wrong';

CREATE OR REPLACE FUNCTION find_agent(tenant uuid, name text) RETURNS uuid
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found uuid;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', find_agent.name);
    IF name IS NULL THEN
        RAISE EXCEPTION 'an agent must be named' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT a.id INTO found FROM mulberry_internal.agents a WHERE a.tenant = find_agent.tenant AND a.name = find_agent.name;
    IF found IS NULL THEN
        RAISE EXCEPTION 'agent "%" does not exist', name USING ERRCODE = 'undefined_object';
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION find_agent(uuid, text) IS 'id of the agent with that name; an error (42704) when there is none (internal)';

CREATE OR REPLACE FUNCTION mulberry.create_agent(name text, phone text DEFAULT NULL, allowed_callers text[] DEFAULT '{}',
                             id uuid DEFAULT NULL, tenant text DEFAULT NULL) RETURNS uuid
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
    made   uuid;
BEGIN
    PERFORM mulberry_internal.check_texts('name', create_agent.name,
        'phone', create_agent.phone, 'allowed_callers', array_to_string(create_agent.allowed_callers, ' '));
    PERFORM mulberry_internal.check_agent_settings(name, phone, allowed_callers);
    INSERT INTO mulberry_internal.agents (tenant, id, name, phone, allowed_callers)
    VALUES (target, coalesce(id, gen_random_uuid()), name, phone, coalesce(allowed_callers, '{}'))
    ON CONFLICT DO NOTHING
    RETURNING agents.id INTO made;
    IF made IS NULL THEN
        RAISE EXCEPTION 'an agent with the name "%" or that id already exists', name USING ERRCODE = 'unique_violation';
    END IF;
    PERFORM mulberry_internal.record_audit(target, 'AGENT_CREATED', 'applied', NULL, made, NULL, NULL,
                                  jsonb_build_object('name', name, 'phone', phone, 'allowed_callers', coalesce(allowed_callers, '{}')));
    RETURN made;
END
$$;
COMMENT ON FUNCTION mulberry.create_agent(text, text, text[], uuid, text) IS
    'makes an agent and returns its id, which is signed in its frames (null: a new one; on the edge, that of the cloud); phone is where '
    'commands are phoned to, allowed_callers from where the receiving side takes calls (empty: from anywhere), both E.164. Needs admin '
    'access';

CREATE OR REPLACE FUNCTION mulberry.alter_agent(name text, phone text DEFAULT NULL, allowed_callers text[] DEFAULT NULL,
                            new_name text DEFAULT NULL, remove_phone boolean DEFAULT false, tenant text DEFAULT NULL)
RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target  uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
    changed uuid := mulberry_internal.find_agent(target, name);
BEGIN
    PERFORM mulberry_internal.check_texts('name', alter_agent.name, 'phone', alter_agent.phone,
        'new_name', alter_agent.new_name, 'allowed_callers', array_to_string(alter_agent.allowed_callers, ' '));
    IF phone IS NOT NULL AND remove_phone THEN
        RAISE EXCEPTION 'phone cannot be set and removed at once' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM mulberry_internal.check_agent_settings(coalesce(new_name, name), phone, allowed_callers);
    BEGIN
        UPDATE mulberry_internal.agents a
           SET name = coalesce(alter_agent.new_name, a.name),
               phone = CASE WHEN remove_phone THEN NULL ELSE coalesce(alter_agent.phone, a.phone) END,
               allowed_callers = coalesce(alter_agent.allowed_callers, a.allowed_callers)
         WHERE a.tenant = target AND a.id = changed;
    EXCEPTION WHEN unique_violation THEN
        RAISE EXCEPTION 'agent "%" already exists', new_name USING ERRCODE = 'unique_violation';
    END;
    PERFORM mulberry_internal.record_audit(target, 'AGENT_ALTERED', 'applied', NULL, changed, NULL, NULL,
                                  (SELECT jsonb_build_object('name', a.name, 'phone', a.phone, 'allowed_callers', a.allowed_callers)
                                     FROM mulberry_internal.agents a WHERE a.tenant = target AND a.id = changed));
END
$$;
COMMENT ON FUNCTION mulberry.alter_agent(text, text, text[], text, boolean, text) IS
    'changes what is not null of an agent; remove_phone: commands do not phone it any more. Needs admin access';
