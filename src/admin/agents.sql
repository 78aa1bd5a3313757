CREATE OR REPLACE FUNCTION mulberry.drop_agent(name text, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    target  uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
    dropped uuid := mulberry_internal.find_agent(target, name);
    problem text;
    hint    text;
BEGIN
    PERFORM mulberry_internal.check_texts('name', drop_agent.name);
    PERFORM FROM mulberry_internal.agents a WHERE a.tenant = target AND a.id = dropped FOR UPDATE;
    SELECT format('Mandate "%s" is %s.', m.id, m.status), 'Revoke its mandates first.'
      INTO problem, hint
      FROM mulberry_internal.mandates m
     WHERE m.tenant = target AND m.agent = dropped AND m.status NOT IN ('REVOKED', 'EXPIRED')
     ORDER BY m.id
     LIMIT 1;
    IF problem IS NULL THEN
        SELECT format('Command %s is %s.', c.id, c.state), 'Wait for its commands, or cancel them, first.'
          INTO problem, hint
          FROM mulberry_internal.commands c
         WHERE c.tenant = target AND c.agent = dropped AND c.state IN ('waiting', 'outstanding')
         ORDER BY c.id
         LIMIT 1;
    END IF;
    IF problem IS NULL THEN
        SELECT format('Voice key %s is enabled.', k.key_id), 'Disable its voice keys first.'
          INTO problem, hint
          FROM mulberry_internal.voice_keys k
         WHERE k.tenant = target AND k.agent = dropped AND k.enabled
         ORDER BY k.key_id
         LIMIT 1;
    END IF;
    IF problem IS NULL THEN
        BEGIN
            DELETE FROM mulberry_internal.voice_calls v USING mulberry_internal.commands c
             WHERE v.command = c.id AND c.tenant = target AND c.agent = dropped;
            DELETE FROM mulberry_internal.commands c WHERE c.tenant = target AND c.agent = dropped;
            DELETE FROM mulberry_internal.secrets s USING mulberry_internal.voice_keys k
             WHERE k.tenant = target AND k.agent = dropped AND s.tenant = target AND s.name = k.secret;
            DELETE FROM mulberry_internal.voice_keys k WHERE k.tenant = target AND k.agent = dropped;
            DELETE FROM mulberry_internal.mandates m WHERE m.tenant = target AND m.agent = dropped;
            DELETE FROM mulberry_internal.agents a WHERE a.tenant = target AND a.id = dropped;
        EXCEPTION WHEN foreign_key_violation THEN
            problem := SQLERRM;
            hint := 'Something was added to it meanwhile: try again.';
        END;
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'agent "%" cannot be dropped because it is still in use', name
            USING ERRCODE = 'dependent_objects_still_exist', DETAIL = problem, HINT = hint;
    END IF;
    PERFORM mulberry_internal.record_audit(target, 'AGENT_DROPPED', 'applied', NULL, dropped, NULL, NULL, jsonb_build_object('name', name));
END
$$;
COMMENT ON FUNCTION mulberry.drop_agent(text, text) IS
    'drops an agent with its settled commands, disabled voice keys and REVOKED or EXPIRED mandates; refused while it has others. The '
    'audit log keeps what was. Needs admin access';
