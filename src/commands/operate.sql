-- What a person may do about a command.

CREATE OR REPLACE FUNCTION visible_command(command bigint) RETURNS commands
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    IF command IS NULL THEN
        RAISE EXCEPTION 'command_id must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM FROM mulberry_internal.commands x
      WHERE x.id = visible_command.command AND x.tenant = ANY (mulberry.current_tenants('operator'));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'command % does not exist', command USING ERRCODE = 'undefined_object';
    END IF;
    RETURN mulberry_internal.lock_command(command);
END
$$;
COMMENT ON FUNCTION visible_command(bigint) IS
    'a command of a tenant that the outer user is operator of, locked; 42704: there is none (internal)';

CREATE OR REPLACE FUNCTION mulberry.cancel_command(command_id bigint, reason text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    -- operators only: visible_command() asks current_tenants()
    c        CONSTANT mulberry_internal.commands := mulberry_internal.visible_command(command_id);
    harmless CONSTANT boolean := NOT (mulberry_internal.command_kind(c.command)).changes_registry;
BEGIN
    PERFORM mulberry_internal.check_texts('reason', cancel_command.reason);
    IF c.state IN ('confirmed', 'refused', 'cancelled') THEN
        RAISE EXCEPTION 'command % is %', c.id, c.state USING ERRCODE = 'object_not_in_prerequisite_state';
    ELSIF c.state = 'escalated' AND nullif(btrim(reason), '') IS NULL THEN
        RAISE EXCEPTION 'command % waits for a person and is closed with a reason only', c.id
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Say what was found out about the agent.';
    ELSIF c.state <> 'escalated' AND (mulberry_internal.command_kind(c.command)).final THEN
        RAISE EXCEPTION 'a revocation cannot be cancelled' USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'The registry is revoked, and the agent must learn of it.';
    ELSIF c.state <> 'escalated' AND c.signatures > 0 AND NOT harmless THEN
        RAISE EXCEPTION 'command % is on its way', c.id USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'The agent may have carried it out without having said so.',
            HINT = 'Give the opposite command; it goes out when this one is settled.';
    END IF;
    PERFORM mulberry_internal.finish_command(c.id, 'cancelled', 'cancelled', 'command_cancelled',
        concat_ws(': ', format('cancelled by %s', mulberry_internal.outer_role_name()), nullif(btrim(reason), '')),
        jsonb_build_object('from_state', c.state));
    PERFORM mulberry_internal.next_command(c.tenant, c.agent);
    PERFORM mulberry_internal.require_durable_commit();
    RETURN mulberry_internal.answer_of_command(c.id);
END
$$;
COMMENT ON FUNCTION mulberry.cancel_command(bigint, text) IS
    'takes a command out of the queue that was never sent, or QUERY and PING at any time, or closes an escalated one with the reason of '
    'the person who has dealt with it. The registry stays as it is. Needs operator access. Errors: 42704 no such command; 55000 it is '
    'settled, is a revocation that is not escalated, or has been sent, so that the agent may have carried it out; 22004 no reason';

CREATE OR REPLACE FUNCTION mulberry.retry_command(command_id bigint) RETURNS jsonb
LANGUAGE mulberry VOLATILE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    -- operators only: visible_command() asks current_tenants()
    c       mulberry_internal.commands := mulberry_internal.visible_command(command_id);
    a       mulberry_internal.agents;
    later   bigint;
    problem text;
BEGIN
    IF c.state <> 'escalated' THEN
        RAISE EXCEPTION 'command % is %', c.id, c.state
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'Only escalated commands are tried again.';
    END IF;
    problem := mulberry_internal.command_obsolete(c);
    IF c.retold_as IS NOT NULL THEN
        problem := 'the online path tells the new expiry';
    ELSIF problem IS NULL AND mulberry_internal.command_reversible(c.command) THEN
        SELECT max(x.id) INTO later FROM mulberry_internal.commands x
         WHERE x.tenant = c.tenant AND x.mandate = c.mandate AND x.id > c.id AND x.state <> 'cancelled'
           AND mulberry_internal.command_reversible(x.command);
        IF later IS NOT NULL THEN
            problem := format('command %s about the same mandate came after it', later);
        END IF;
    END IF;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'command % is out of date', c.id USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = problem || '.', HINT = format('Close it: cancel_command(%s, reason).', c.id);
    END IF;
    a := mulberry_internal.lock_agent(c.tenant, c.agent);
    problem := mulberry_internal.path_problem(a, c.force_voice);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'agent "%" cannot be reached: %', a.name, problem USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE mulberry_internal.commands x SET state = 'waiting', method = NULL, error = NULL, escalated_at = NULL
     WHERE x.id = c.id RETURNING x.* INTO c;
    PERFORM mulberry_internal.note_command(c, 'retried', 'command_queued', jsonb_build_object('role',
        mulberry_internal.outer_role_name()));
    PERFORM mulberry_internal.next_command(c.tenant, c.agent);
    RETURN mulberry_internal.answer_of_command(c.id);
END
$$;
COMMENT ON FUNCTION mulberry.retry_command(bigint) IS
    'gives an escalated command its turn again, signed anew and with all its attempts; an extension that the agent carried out without '
    'saying so is carried out twice. Needs operator access. Errors: 42704 no such command; 55000 it is not escalated, a later command '
    'has made it pointless, or there is no way to the agent';

-- SECURITY INVOKER and without SET, because it commits: it sees what its caller sees.
CREATE OR REPLACE PROCEDURE mulberry.await_command(command_id bigint, timeout interval DEFAULT '3 minutes', INOUT result jsonb DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE
    began    CONSTANT timestamptz := pg_catalog.clock_timestamp();
    seconds  double precision;
    pause    double precision := 0.02;
    finished boolean;
BEGIN
    IF mulberry.in_transaction_block() THEN
        RAISE EXCEPTION 'await_command() cannot run inside a transaction block' USING ERRCODE = 'active_sql_transaction',
            DETAIL = 'It would never see what others commit.', HINT = 'Commit first: a command is given when its transaction is.';
    END IF;
    IF command_id IS NULL OR timeout IS NULL THEN
        RAISE EXCEPTION 'command_id and timeout must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    seconds := EXTRACT(epoch FROM timeout);
    IF seconds OPERATOR(pg_catalog.<) 0 OR seconds OPERATOR(pg_catalog.>) 86400 THEN
        RAISE EXCEPTION 'timeout must be between 0 and 24 hours' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    LOOP
        SELECT s.answer, s.finished_at IS NOT NULL OR s.status OPERATOR(pg_catalog.=) 'escalated'
          INTO result, finished
          FROM mulberry.command_status s WHERE s.command_id OPERATOR(pg_catalog.=) await_command.command_id;
        IF result IS NULL THEN
            RAISE EXCEPTION 'command % does not exist', command_id USING ERRCODE = 'undefined_object';
        END IF;
        EXIT WHEN finished;
        IF EXTRACT(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) began) OPERATOR(pg_catalog.>=) seconds THEN
            result := result OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('timed_out', true);
            EXIT;
        END IF;
        COMMIT;
        PERFORM pg_catalog.pg_sleep(pause);
        pause := LEAST(pause OPERATOR(pg_catalog.*) 1.5, 0.5);
    END LOOP;
END
$$;
COMMENT ON PROCEDURE mulberry.await_command(bigint, interval, jsonb) IS
    'waits until a command is settled or escalated, or for the timeout (at most 24 hours), and returns its answer: status success, '
    'failed, escalated, cancelled, or pending with "timed_out". Commits between looks; not inside a transaction block (25001). Needs '
    'operator access. Errors: 42704 no such command';
