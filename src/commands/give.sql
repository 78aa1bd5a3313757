-- Giving commands.

CREATE OR REPLACE FUNCTION give_command(a agents, command text, mandate text, argument integer, reason text, requester text,
                             force_voice boolean, id bigint DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c mulberry_internal.commands;
BEGIN
    -- The same command that still waits, with nothing about the mandate behind it, will do.  Not so
    -- for extensions, which add up.
    SELECT x.* INTO c
      FROM mulberry_internal.commands x
     WHERE x.tenant = a.tenant AND x.agent = a.id AND x.state = 'waiting'
       AND x.command = give_command.command AND x.mandate IS NOT DISTINCT FROM give_command.mandate
       AND x.argument = give_command.argument AND NOT (mulberry_internal.command_kind(give_command.command)).adds_up
       AND NOT EXISTS (SELECT FROM mulberry_internal.commands y
                        WHERE y.tenant = x.tenant AND y.agent = x.agent AND y.state IN ('waiting', 'outstanding')
                          AND y.mandate IS NOT DISTINCT FROM x.mandate AND y.id > x.id)
       FOR NO KEY UPDATE;
    IF FOUND THEN
        UPDATE mulberry_internal.commands x SET force_voice = x.force_voice OR give_command.force_voice WHERE x.id = c.id;
        PERFORM mulberry_internal.note_command(c, 'folded', NULL, jsonb_build_object('reason', reason, 'requester', requester));
        RETURN c.id;
    END IF;
    INSERT INTO mulberry_internal.commands (id, tenant, agent, command, mandate, argument, reason, requester, force_voice)
    VALUES (coalesce(id, nextval('mulberry_internal.command_id')), a.tenant, a.id, command, mandate, argument, reason, requester,
        force_voice)
    RETURNING * INTO c;
    PERFORM mulberry_internal.note_command(c, 'initiated', 'command_queued',
        jsonb_build_object('reason', reason, 'requester', requester, 'argument', nullif(argument, 0),
                           'force_voice', nullif(force_voice, false)));
    PERFORM mulberry_internal.next_command(a.tenant, a.id);
    RETURN c.id;
END
$$;
COMMENT ON FUNCTION give_command(agents, text, text, integer, text, text, boolean, bigint) IS
    'queues a command for an agent whose lock is held, or folds it with the same one that waits, and says which (internal)';

CREATE OR REPLACE FUNCTION refuse_command(tenant uuid, command text, mandate text, agent uuid, sqlstate text, code text, message text,
                               hint text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    -- the error takes back what this transaction writes
    PERFORM mulberry_internal.note_refusal(tenant, mulberry_internal.command_action(command, 'refused'), mandate, agent, code, message);
    IF code IS NULL THEN
        RAISE EXCEPTION USING MESSAGE = message, ERRCODE = sqlstate, HINT = hint;
    END IF;
    RAISE EXCEPTION USING MESSAGE = message, ERRCODE = sqlstate, HINT = hint, DETAIL = format('Protocol error %s.', code);
END
$$;
COMMENT ON FUNCTION refuse_command(uuid, text, text, uuid, text, text, text, text) IS
    'raises the error of a command that is not given, and has it written down (internal)';

CREATE OR REPLACE FUNCTION already_answer(a agents, command text, mandate text, status text) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT jsonb_build_object('status', 'already_' || lower(status COLLATE "C"), 'method', 'none', 'mandate_id', mandate, 'agent', a.name,
                              'call_sid', NULL, 'confirmed', coalesce(c.state = 'confirmed', false))
           || jsonb_strip_nulls(jsonb_build_object('command_id', c.id, 'command_state', c.state,
                  'hint', CASE WHEN c.state = 'escalated'
                               THEN format('The agent has not confirmed it; retry_command(%s) tries again.', c.id) END))
      FROM (SELECT) AS one
      LEFT JOIN LATERAL (SELECT x.id, x.state FROM mulberry_internal.commands x
                          WHERE x.tenant = a.tenant AND x.mandate = $3 AND x.command = $2
                          ORDER BY x.id DESC LIMIT 1) AS c ON true
$$;
COMMENT ON FUNCTION already_answer(agents, text, text, text) IS
    'the answer to a command that the registry needs not, with the last one of its kind (internal)';

CREATE OR REPLACE FUNCTION command_mandate(tenant uuid, command text, mandate_id text, argument integer, reason text, requester text,
                                force_voice boolean) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    given   CONSTANT bigint := nextval('mulberry_internal.command_id');
    cause   CONSTANT text := concat_ws(': ', lower(command COLLATE "C"), nullif(reason, ''));
    kind    record;
    owner   uuid;
    a       mulberry_internal.agents;
    outcome text := 'changed';
    problem text;
    answer  jsonb;
BEGIN
    PERFORM mulberry_internal.check_texts('mandate_id', command_mandate.mandate_id,
        'reason', command_mandate.reason, 'requester', command_mandate.requester);
    PERFORM mulberry_internal.check_mandate_id(mandate_id);
    -- who fills in a form leaves fields empty
    reason := nullif(reason, '');
    requester := nullif(requester, '');
    IF force_voice IS NULL OR argument IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN argument IS NULL THEN 'days' ELSE 'force_voice' END
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT * INTO kind FROM mulberry_internal.command_kind(command);
    IF argument NOT BETWEEN kind.least_argument AND kind.most_argument THEN
        RAISE EXCEPTION 'a mandate cannot be extended by % days', argument
            USING ERRCODE = 'numeric_value_out_of_range',
                  DETAIL = format('It can be extended by %s to %s days at a time.', kind.least_argument, kind.most_argument);
    END IF;

    SELECT m.agent INTO owner FROM mulberry_internal.mandates m WHERE m.tenant = command_mandate.tenant AND m.id = mandate_id;
    IF NOT FOUND THEN
        PERFORM mulberry_internal.refuse_command(tenant, command, mandate_id, NULL, 'undefined_object', 'E003',
                                        format('mandate "%s" does not exist', mandate_id),
                                        'The view mandate_status shows the mandates of every tenant that you have access to.');
    END IF;
    a := mulberry_internal.lock_agent(tenant, owner);

    -- The registry first: payments are stopped here even if the agent is never reached.
    CASE
    WHEN NOT kind.changes_registry THEN
        NULL;
    WHEN kind.sets_status IS NOT NULL THEN
        outcome := mulberry_internal.set_mandate_status(tenant, mandate_id, kind.sets_status, cause, given);
    WHEN command = 'EXTEND' THEN
        outcome := mulberry_internal.extend_mandate_expiry(tenant, mandate_id, argument, cause, given);
    END CASE;
    IF outcome = 'already so' THEN
        answer := mulberry_internal.already_answer(a, command, mandate_id, kind.sets_status);
        PERFORM mulberry_internal.record_audit(tenant, mulberry_internal.command_action(command, outcome), outcome, mandate_id, a.id,
            (answer->>'command_id')::bigint, NULL,
            jsonb_strip_nulls(jsonb_build_object('reason', reason, 'requester', requester)));
        RETURN answer;
    ELSIF outcome = 'E004' THEN
        PERFORM mulberry_internal.refuse_command(tenant, command, mandate_id, a.id, 'object_not_in_prerequisite_state', 'E004',
                                        format('mandate "%s" is revoked', mandate_id), 'A revocation is final: make a new mandate.');
    ELSIF outcome = 'expired' THEN
        PERFORM mulberry_internal.refuse_command(tenant, command, mandate_id, a.id, 'object_not_in_prerequisite_state', NULL,
                                        format('mandate "%s" has expired', mandate_id), 'extend_mandate() gives it more time.');
    ELSIF outcome <> 'changed' THEN
        RAISE EXCEPTION 'a mandate''s change is "%"', outcome USING ERRCODE = 'internal_error';
    END IF;

    -- A revocation stands whether or not there is a way to the agent; next_command() hands it to a
    -- person then.  Anything else is refused whole.
    problem := mulberry_internal.path_problem(a, force_voice);
    IF problem IS NOT NULL AND NOT kind.final THEN
        PERFORM mulberry_internal.refuse_command(tenant, command, mandate_id, a.id, 'object_not_in_prerequisite_state', NULL,
            format('agent "%s" cannot be reached: %s', a.name, problem),
            'Nothing was changed. Commands need an exported voice key and, unless the agent is online, its telephone number and an '
                'endpoint for telephony.');
    END IF;
    answer := mulberry_internal.answer_of_command(mulberry_internal.give_command(a, command, mandate_id, argument, reason, requester,
        force_voice, given));
    IF problem IS NOT NULL THEN
        answer := answer || jsonb_build_object('hint',
            format('The registry is revoked. Tell the agent by other means, or mend this and say retry_command(%s).',
            answer->>'command_id'));
    END IF;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION command_mandate(uuid, text, text, integer, text, text, boolean) IS
    'changes the registry and gives the agent of a mandate the command (internal)';

CREATE OR REPLACE FUNCTION mulberry.revoke_mandate(mandate_id text, reason text DEFAULT NULL, requester text DEFAULT NULL,
                               force_voice boolean DEFAULT false, tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    RETURN mulberry_internal.command_mandate(mulberry_internal.resolve_tenant(tenant, 'operator'), 'REVOKE', mandate_id, 0, reason,
        requester, force_voice);
END
$$;
COMMENT ON FUNCTION mulberry.revoke_mandate(text, text, text, boolean, text) IS
    'revokes a mandate in the registry and commands its agent to do the same: online when it is there (unless force_voice), otherwise by '
    'telephone. Answers at once: status "pending" (await_command() waits for the outcome), "already_revoked", or "escalated" when there '
    'is no way to the agent, in which case the registry is revoked nevertheless. Needs operator access. Errors: 22023 not eight digits, '
    '42704 (E003) unknown mandate';

CREATE OR REPLACE FUNCTION mulberry.suspend_mandate(mandate_id text, reason text DEFAULT NULL, requester text DEFAULT NULL,
                                force_voice boolean DEFAULT false, tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    RETURN mulberry_internal.command_mandate(mulberry_internal.resolve_tenant(tenant, 'operator'), 'SUSPEND', mandate_id, 0, reason,
        requester, force_voice);
END
$$;
COMMENT ON FUNCTION mulberry.suspend_mandate(text, text, text, boolean, text) IS
    'suspends a mandate in the registry and on its agent, see revoke_mandate(); "already_suspended". Needs operator access. Errors '
    'besides: 55000 (E004) it is revoked, it has expired, or there is no way to the agent; then nothing is changed';

CREATE OR REPLACE FUNCTION mulberry.resume_mandate(mandate_id text, reason text DEFAULT NULL, requester text DEFAULT NULL,
                               force_voice boolean DEFAULT false, tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    RETURN mulberry_internal.command_mandate(mulberry_internal.resolve_tenant(tenant, 'operator'), 'RESUME', mandate_id, 0, reason,
        requester, force_voice);
END
$$;
COMMENT ON FUNCTION mulberry.resume_mandate(text, text, text, boolean, text) IS
    'ends the suspension of a mandate in the registry and on its agent, see revoke_mandate() and suspend_mandate(); "already_active". '
    'Needs operator access';

CREATE OR REPLACE FUNCTION mulberry.extend_mandate(mandate_id text, days integer, reason text DEFAULT NULL, requester text DEFAULT NULL,
                               force_voice boolean DEFAULT false, tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    RETURN mulberry_internal.command_mandate(mulberry_internal.resolve_tenant(tenant, 'operator'), 'EXTEND', mandate_id, days, reason,
        requester, force_voice);
END
$$;
COMMENT ON FUNCTION mulberry.extend_mandate(text, integer, text, text, boolean, text) IS
    'extends a mandate by 1 to 99 days, from its expiry or from now if that is past, in the registry and on its agent; see '
    'revoke_mandate(). Needs operator access. Errors besides: 22003 days, 55000 (E004) it is revoked, or there is no way to the agent; '
    'then nothing is changed';

CREATE OR REPLACE FUNCTION mulberry.query_mandate(mandate_id text, requester text DEFAULT NULL, force_voice boolean DEFAULT false,
                              tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    RETURN mulberry_internal.command_mandate(mulberry_internal.resolve_tenant(tenant, 'operator'), 'QUERY', mandate_id, 0, NULL,
        requester, force_voice);
END
$$;
COMMENT ON FUNCTION mulberry.query_mandate(text, text, boolean, text) IS
    'asks the agent of a mandate which state it has there; await_command() brings it as mandate_status, beside registry_status. Needs '
    'operator access. Errors: 22023, 42704 (E003), 55000 there is no way to the agent';

CREATE OR REPLACE FUNCTION mulberry.ping_agent(agent text, requester text DEFAULT NULL, force_voice boolean DEFAULT false,
                           tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner   CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'operator');
    a       mulberry_internal.agents;
    problem text;
BEGIN
    PERFORM mulberry_internal.check_texts('agent', ping_agent.agent, 'requester', ping_agent.requester);
    IF force_voice IS NULL THEN
        RAISE EXCEPTION 'force_voice must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    a := mulberry_internal.lock_agent(owner, mulberry_internal.name_or_id_of_agent(owner, agent));
    problem := mulberry_internal.path_problem(a, force_voice);
    IF problem IS NOT NULL THEN
        PERFORM mulberry_internal.refuse_command(owner, 'PING', NULL, a.id, 'object_not_in_prerequisite_state', NULL,
            format('agent "%s" cannot be reached: %s', a.name, problem),
            'Commands need an exported voice key and, unless the agent is online, its telephone number and an endpoint for telephony.');
    END IF;
    RETURN mulberry_internal.answer_of_command(mulberry_internal.give_command(a, 'PING', NULL, 0, NULL, nullif(requester, ''),
        force_voice));
END
$$;
COMMENT ON FUNCTION mulberry.ping_agent(text, text, boolean, text) IS
    'commands an agent (name or uuid) to answer and do nothing else. Needs operator access. Errors: 42704 unknown agent, 55000 there is '
    'no way to it';
