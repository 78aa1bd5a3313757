-- Commands: how they are given, queued, sent and settled.
--
-- The lock of a queue is its agent's row: whoever changes a command holds it.  Each agent has at
-- most one command outstanding; urgent ones go first, all others in the order in which they were given.

CREATE OR REPLACE TRIGGER guard_state AFTER UPDATE ON commands
    FOR EACH ROW WHEN (old.state <> new.state) EXECUTE FUNCTION guard_state();

CREATE OR REPLACE FUNCTION lock_agent(tenant uuid, agent uuid) RETURNS agents
LANGUAGE sql VOLATILE
AS $$
    SELECT mulberry_internal.hold_agent($1, $2);
    -- A change and not only a lock: a transaction whose snapshot is older must fail with a
    -- serialization error, not judge a queue that it does not see.
    UPDATE mulberry_internal.agents a SET queue_changes = a.queue_changes + 1
     WHERE a.tenant = $1 AND a.id = $2
    RETURNING a.*
$$;
COMMENT ON FUNCTION lock_agent(uuid, uuid) IS 'takes the lock of an agent''s commands until the end of the transaction (internal)';

CREATE OR REPLACE FUNCTION lock_command(command bigint) RETURNS commands
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c mulberry_internal.commands;
BEGIN
    SELECT x.* INTO c FROM mulberry_internal.commands x WHERE x.id = lock_command.command;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'command % does not exist', command USING ERRCODE = 'undefined_object';
    END IF;
    PERFORM mulberry_internal.lock_agent(c.tenant, c.agent);
    SELECT x.* INTO c FROM mulberry_internal.commands x WHERE x.id = lock_command.command FOR NO KEY UPDATE;
    RETURN c;
END
$$;
COMMENT ON FUNCTION lock_command(bigint) IS
    'takes the locks of a command''s agent and of the command, and returns it; 42704: there is none (internal)';

CREATE OR REPLACE FUNCTION name_or_id_of_agent(tenant uuid, agent text) RETURNS uuid
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    found_id uuid;
BEGIN
    IF agent IS NULL THEN
        RAISE EXCEPTION 'an agent must be named' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT a.id INTO found_id FROM mulberry_internal.agents a
     WHERE a.tenant = name_or_id_of_agent.tenant
       AND (a.name = name_or_id_of_agent.agent OR a.id::text = lower(name_or_id_of_agent.agent COLLATE "C"))
     ORDER BY a.name = name_or_id_of_agent.agent DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'agent "%" does not exist', left(agent, 80) USING ERRCODE = 'undefined_object';
    END IF;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION name_or_id_of_agent(uuid, text) IS 'an agent of a tenant by its name or its uuid; 42704: there is none (internal)';

CREATE OR REPLACE FUNCTION command_action(command text, outcome text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN command || '_' || upper(replace(outcome, ' ', '_') COLLATE "C");
COMMENT ON FUNCTION command_action(text, text) IS 'what the audit log calls a step of a command, as REVOKE_INITIATED (internal)';

CREATE OR REPLACE FUNCTION note_command(c commands, outcome text, event text DEFAULT NULL, more jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM mulberry_internal.record_audit(c.tenant, mulberry_internal.command_action(c.command, outcome), outcome, c.mandate, c.agent,
        c.id,
                                  c.method, nullif(jsonb_strip_nulls(more), '{}'));
    IF event IS NOT NULL THEN
        PERFORM mulberry_internal.emit_event(c.tenant, event, NULL, NULL, jsonb_strip_nulls(jsonb_build_object(
            'command_id', c.id, 'command', c.command, 'mandate_id', c.mandate,
            'agent', (SELECT a.name FROM mulberry_internal.agents a WHERE a.tenant = c.tenant AND a.id = c.agent),
            'state', c.state, 'method', c.method, 'attempts', c.attempts) || more));
    END IF;
END
$$;
COMMENT ON FUNCTION note_command(commands, text, text, jsonb) IS
    'writes what happened to a command into the audit log and, under the name given, as an event (internal)';

CREATE OR REPLACE FUNCTION path_problem(a agents, force_voice boolean) RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    problem CONSTANT text := mulberry_internal.voice_key_problem(a.tenant, a.id);
BEGIN
    IF problem IS NOT NULL OR (a.online_until > clock_timestamp() AND NOT force_voice) THEN
        RETURN problem;
    END IF;
    IF a.phone IS NULL THEN
        RETURN CASE WHEN force_voice THEN 'it has no telephone number' ELSE 'it is offline and has no telephone number' END;
    END IF;
    RETURN mulberry_internal.telephony_problem(a.tenant);
END
$$;
COMMENT ON FUNCTION path_problem(agents, boolean) IS
    'why no command can reach an agent now, neither online (unless force_voice) nor by telephone; null: one can (internal)';

-- What later commands have made pointless.
CREATE OR REPLACE FUNCTION command_obsolete(c commands) RETURNS text
LANGUAGE sql STABLE
AS $$
    SELECT CASE WHEN (mulberry_internal.command_kind(c.command)).changes_registry AND NOT (mulberry_internal.command_kind(c.command)).final
                 AND (SELECT m.status FROM mulberry_internal.mandates m WHERE m.tenant = c.tenant AND m.id = c.mandate) = 'REVOKED'
                THEN 'the mandate was revoked meanwhile' END
$$;
COMMENT ON FUNCTION command_obsolete(commands) IS 'why a command need not reach its agent any more; null: it must (internal)';

CREATE OR REPLACE FUNCTION retell_mandate(c commands) RETURNS bigint
LANGUAGE sql VOLATILE
AS $$
    WITH numbered AS (
        UPDATE mulberry_internal.agents a SET mandates_version = a.mandates_version + 1
         WHERE a.tenant = c.tenant AND a.id = c.agent RETURNING a.mandates_version)
    INSERT INTO mulberry_internal.mandate_retellings AS r (tenant, mandate, number)
    SELECT c.tenant, c.mandate, n.mandates_version FROM numbered n
        ON CONFLICT ON CONSTRAINT mandate_retellings_pkey DO UPDATE SET number = excluded.number
    RETURNING r.number
$$;
COMMENT ON FUNCTION retell_mandate(commands) IS
    'has agent_sync() tell the mandate of a command once more, and returns under which number (internal)';

CREATE OR REPLACE FUNCTION finish_command(command bigint, state text, outcome text, event text, error text DEFAULT NULL,
                               more jsonb DEFAULT '{}') RETURNS commands
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c mulberry_internal.commands;
BEGIN
    UPDATE mulberry_internal.commands x
       SET state = finish_command.state, error = finish_command.error, finished_at = clock_timestamp(), voice_at = NULL
     WHERE x.id = finish_command.command RETURNING x.* INTO c;
    PERFORM mulberry_internal.note_command(c, outcome, event, jsonb_build_object('error', error) || more);
    IF (mulberry_internal.command_kind(c.command)).adds_up THEN
        PERFORM mulberry_internal.retell_mandate(c);
    END IF;
    RETURN c;
END
$$;
COMMENT ON FUNCTION finish_command(bigint, text, text, text, text, jsonb) IS 'brings a command into its last state (internal)';

CREATE OR REPLACE FUNCTION escalate_command(command bigint, error text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c     mulberry_internal.commands;
    again boolean;
BEGIN
    SELECT x.escalated_at IS NOT NULL INTO again FROM mulberry_internal.commands x WHERE x.id = escalate_command.command;
    UPDATE mulberry_internal.commands x
       SET state = 'escalated', error = escalate_command.error, voice_at = NULL,
           escalated_at = coalesce(x.escalated_at, clock_timestamp())
     WHERE x.id = escalate_command.command RETURNING x.* INTO c;
    IF again THEN
        -- the person knows of it; that the agent was back for a moment has not helped
        PERFORM mulberry_internal.note_command(c, 'escalated', NULL, jsonb_build_object('error', error, 'again', true));
        PERFORM mulberry_internal.resume_escalation(c);
        RETURN;
    END IF;
    PERFORM mulberry_internal.note_command(c, 'escalated', 'escalated',
        jsonb_build_object('error', error, 'reason', c.reason, 'requester', c.requester,
                           'spoken', c.evidence->'spoken'));
    PERFORM mulberry_internal.place_escalation(command);
END
$$;
COMMENT ON FUNCTION escalate_command(bigint, text) IS
    'hands a command that did not reach its agent to a person; who calls it gives the turn to the next one (internal)';

-- A frame has left when an answer of agent_sync() carried it or a call was asked for.
CREATE OR REPLACE FUNCTION command_has_left(c commands) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT c.offered_at IS NOT NULL
        OR EXISTS (SELECT FROM mulberry_internal.voice_calls v
                    WHERE v.command = c.id AND v.purpose = 'command' AND v.attempt > c.attempts_before AND v.state <> 'planned')
$$;
COMMENT ON FUNCTION command_has_left(commands) IS 'whether the agent may have received the frame of an outstanding command (internal)';

CREATE OR REPLACE FUNCTION displace_command(held commands) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c        mulberry_internal.commands;
    has_left CONSTANT boolean := mulberry_internal.command_has_left(held);
BEGIN
    IF held.escalated_at IS NOT NULL THEN
        PERFORM mulberry_internal.escalate_command(held.id, held.error);
        RETURN;
    END IF;
    UPDATE mulberry_internal.commands x
       SET state = 'waiting', method = NULL, voice_at = NULL, challenged_at = NULL, online_only = false
     WHERE x.id = held.id RETURNING x.* INTO c;
    PERFORM mulberry_internal.note_command(c, 'displaced', 'command_displaced');
    -- The others set a state, so saying them twice does no harm; two extensions add up.
    IF (mulberry_internal.command_kind(c.command)).adds_up AND has_left AND mulberry_internal.command_obsolete(c) IS NULL THEN
        PERFORM mulberry_internal.escalate_command(c.id,
            'a revocation took its turn after it was sent, so the agent may have carried it out; retry_command() extends again');
    END IF;
END
$$;
COMMENT ON FUNCTION displace_command(commands) IS 'takes the turn from the outstanding command of an agent (internal)';

CREATE OR REPLACE FUNCTION send_command(a agents, command bigint, online_only boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c        mulberry_internal.commands;
    online   boolean;
    by_voice boolean;
BEGIN
    -- Calls of earlier turns do not count against this one.
    UPDATE mulberry_internal.commands x
       SET attempts_before = greatest(x.attempts, (SELECT max(v.attempt) FROM mulberry_internal.voice_calls v
                                                    WHERE v.command = x.id AND v.purpose = 'command' AND v.state <> 'planned')),
           offered_at = NULL, challenged_at = NULL
     WHERE x.id = send_command.command RETURNING x.* INTO c;
    IF NOT mulberry_internal.sign_command(command) THEN
        RETURN;     -- a copy that may do no outgoing work: the command waits until it may
    END IF;
    online := a.online_until > clock_timestamp() AND NOT c.force_voice;
    by_voice := NOT online_only AND mulberry_internal.path_problem(a, true) IS NULL;
    UPDATE mulberry_internal.commands x
       SET method = CASE WHEN online THEN 'api' ELSE 'voice' END, online_only = NOT by_voice,
           voice_at = CASE WHEN NOT by_voice THEN NULL
                           WHEN online THEN clock_timestamp() + current_setting('mulberry.command_online_wait')::interval
                           ELSE clock_timestamp() END
     WHERE x.id = send_command.command RETURNING x.* INTO c;
    PERFORM mulberry_internal.note_command(c, 'sent', 'command_sent',
        jsonb_build_object('key_id', c.key_id, 'counter', c.counter, 'voice_at', c.voice_at));
    IF by_voice THEN
        PERFORM mulberry_internal.place_call(command, c.voice_at);
    END IF;
END
$$;
COMMENT ON FUNCTION send_command(agents, bigint, boolean) IS
    'signs a command, so that it is outstanding, and puts it on its way: to the online path when the agent is there, and to the '
    'telephone at once or when the online path had its time (internal)';

CREATE OR REPLACE FUNCTION next_command(tenant uuid, agent uuid) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    a       CONSTANT mulberry_internal.agents := mulberry_internal.lock_agent(tenant, agent);
    c       mulberry_internal.commands;
    held    mulberry_internal.commands;
    problem text;
BEGIN
    SELECT x.* INTO held FROM mulberry_internal.commands x
     WHERE x.tenant = next_command.tenant AND x.agent = next_command.agent AND x.state = 'outstanding' FOR NO KEY UPDATE;
    -- A revocation waits for nobody but another one; what was given up already makes way to all.
    IF FOUND AND EXISTS (SELECT FROM mulberry_internal.commands x
                          WHERE x.tenant = next_command.tenant AND x.agent = next_command.agent AND x.state = 'waiting'
                            AND (held.escalated_at IS NOT NULL
                                 OR (mulberry_internal.command_kind(x.command)).urgent
                                    AND NOT (mulberry_internal.command_kind(held.command)).urgent)) THEN
        PERFORM mulberry_internal.displace_command(held);
        held := NULL;
    END IF;
    FOR c IN
        SELECT x.* FROM mulberry_internal.commands x
         WHERE x.tenant = next_command.tenant AND x.agent = next_command.agent AND x.state = 'waiting'
           AND mulberry_internal.command_obsolete(x) IS NOT NULL
         ORDER BY x.id FOR NO KEY UPDATE
    LOOP
        PERFORM mulberry_internal.finish_command(c.id, 'cancelled', 'cancelled', 'command_cancelled',
            mulberry_internal.command_obsolete(c));
    END LOOP;
    IF held.id IS NOT NULL THEN
        RETURN;
    END IF;
    LOOP
        SELECT x.* INTO c FROM mulberry_internal.commands x
         WHERE x.tenant = next_command.tenant AND x.agent = next_command.agent AND x.state = 'waiting'
         ORDER BY (mulberry_internal.command_kind(x.command)).urgent DESC, x.id LIMIT 1 FOR NO KEY UPDATE;
        EXIT WHEN NOT FOUND;
        problem := mulberry_internal.path_problem(a, c.force_voice);
        IF problem IS NULL THEN
            BEGIN
                PERFORM mulberry_internal.send_command(a, c.id);
                EXIT;
            EXCEPTION WHEN data_corrupted OR config_file_error OR undefined_file OR io_error OR insufficient_privilege THEN
                -- A key that cannot be read must not take back that the registry is revoked.
                problem := 'no command can be signed: ' || SQLERRM;
            END;
        END IF;
        PERFORM mulberry_internal.escalate_command(c.id, 'the agent cannot be reached: ' || problem);
    END LOOP;
END
$$;
COMMENT ON FUNCTION next_command(uuid, uuid) IS
    'gives the turn to the next waiting command of an agent, if nothing is outstanding that it has to wait for (internal)';

CREATE OR REPLACE FUNCTION phone_again(c commands, at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    a       CONSTANT mulberry_internal.agents := mulberry_internal.lock_agent(c.tenant, c.agent);
    problem CONSTANT text := mulberry_internal.path_problem(a, true);
    online  CONSTANT boolean := coalesce(a.online_until > clock_timestamp(), false) AND NOT c.force_voice;
BEGIN
    IF problem IS NULL THEN
        UPDATE mulberry_internal.commands x SET voice_at = at WHERE x.id = c.id;
        PERFORM mulberry_internal.place_call(c.id, at);
    ELSIF online THEN
        UPDATE mulberry_internal.commands x SET voice_at = NULL, online_only = true WHERE x.id = c.id;
    ELSE
        -- the number or the endpoint was taken away meanwhile
        PERFORM mulberry_internal.escalate_command(c.id, 'the agent cannot be reached any more: ' || problem);
        PERFORM mulberry_internal.next_command(c.tenant, c.agent);
    END IF;
END
$$;
COMMENT ON FUNCTION phone_again(commands, timestamptz) IS
    'plans another call for an outstanding command, or finds another way when there can be none (internal)';

CREATE OR REPLACE FUNCTION voice_attempt_ended(voice_call bigint, outcome text, detail text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c       mulberry_internal.commands;
    v       mulberry_internal.voice_calls;
    made    integer;
    answers boolean;
    problem CONSTANT text := concat_ws(': ', outcome, detail);
BEGIN
    SELECT x.* INTO v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'voice call % does not exist', voice_call USING ERRCODE = 'undefined_object';
    END IF;
    c := mulberry_internal.lock_command(v.command);
    -- The calls of an earlier turn, and of what is settled, change nothing.
    IF c.state <> 'outstanding' OR v.attempt <= c.attempts_before
       OR v.attempt < (SELECT max(x.attempt) FROM mulberry_internal.voice_calls x WHERE x.command = c.id AND x.purpose = 'command') THEN
        RETURN;
    END IF;
    made := v.attempt - c.attempts_before;
    answers := outcome = 'challenged' AND c.nonce IS NOT NULL;
    IF NOT answers THEN
        UPDATE mulberry_internal.commands x SET error = problem WHERE x.id = c.id RETURNING x.* INTO c;
        PERFORM mulberry_internal.note_command(c, 'attempt failed', 'command_attempt_failed',
            jsonb_build_object('attempt', made, 'outcome', outcome, 'error', detail, 'call_sid', v.sid));
    END IF;
    IF made >= current_setting('mulberry.command_max_attempts')::integer THEN
        PERFORM mulberry_internal.escalate_command(c.id, format('%s calls brought no acknowledgement, the last: %s', made, problem));
        PERFORM mulberry_internal.next_command(c.tenant, c.agent);
        RETURN;
    END IF;
    IF answers THEN
        -- the answer is signed, and the agent does not wait for it for long
        PERFORM mulberry_internal.phone_again(c, clock_timestamp());
        RETURN;
    END IF;
    PERFORM mulberry_internal.refresh_signature(c);
    PERFORM mulberry_internal.phone_again(c, clock_timestamp() + current_setting('mulberry.command_retry_delay')::interval);
END
$$;
COMMENT ON FUNCTION voice_attempt_ended(bigint, text, text) IS
    'a call for a command has ended without an acknowledgement: calls again after mulberry.command_retry_delay, or escalates after '
    'mulberry.command_max_attempts. With the outcome challenged, when accept_challenge() has signed the answer, at once. Said again, or '
    'about a call of an earlier turn, it does nothing (internal)';

-- The online path.

CREATE OR REPLACE FUNCTION online_patience() RETURNS interval
LANGUAGE sql STABLE
RETURN current_setting('mulberry.command_online_wait')::interval
        + current_setting('mulberry.command_max_attempts')::integer * current_setting('mulberry.command_retry_delay')::interval;
COMMENT ON FUNCTION online_patience() IS
    'how long a command is tried on the online path alone before a person is told: as long as the calls would take (internal)';

CREATE OR REPLACE FUNCTION next_command_due() RETURNS timestamptz
LANGUAGE sql STABLE
AS $$
    SELECT min(c.signed_at) + mulberry_internal.online_patience()
      FROM mulberry_internal.commands c WHERE c.state = 'outstanding' AND c.online_only
$$;
COMMENT ON FUNCTION next_command_due() IS
    'when tend_queues() has to give up a command that no call is placed for; null: there is none (internal)';

CREATE OR REPLACE FUNCTION tend_queue(tenant uuid, agent uuid) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    a CONSTANT mulberry_internal.agents := mulberry_internal.lock_agent(tenant, agent);
    c mulberry_internal.commands;
BEGIN
    SELECT x.* INTO c FROM mulberry_internal.commands x
     WHERE x.tenant = tend_queue.tenant AND x.agent = tend_queue.agent AND x.state = 'outstanding' FOR NO KEY UPDATE;
    IF FOUND THEN
        IF NOT EXISTS (SELECT FROM mulberry_internal.voice_keys k
                        WHERE k.tenant = c.tenant AND k.role = 'sender' AND k.agent = c.agent AND k.key_id = c.key_id
                          AND k.enabled) THEN
            -- nobody can acknowledge what a disabled key has signed
            PERFORM mulberry_internal.displace_command(c);
        ELSIF c.online_only AND c.signed_at < clock_timestamp() - mulberry_internal.online_patience() THEN
            PERFORM mulberry_internal.escalate_command(c.id, CASE WHEN a.online_until > clock_timestamp()
                THEN 'the agent is online and does not answer' ELSE 'the agent went offline without an answer' END
                || coalesce('; ' || mulberry_internal.path_problem(a, true), ''));
        ELSIF NOT c.online_only AND c.voice_at < clock_timestamp() - interval '1 minute'
              AND NOT EXISTS (SELECT FROM mulberry_internal.voice_calls v
                               WHERE v.command = c.id AND v.purpose = 'command' AND v.finished_at IS NULL) THEN
            -- a call that nobody knows about any more
            PERFORM mulberry_internal.note_command(c, 'call lost');
            PERFORM mulberry_internal.phone_again(c, clock_timestamp());
        ELSIF c.challenged_at IS NOT NULL AND NOT mulberry_internal.challenge_is_open(c) AND a.online_until > clock_timestamp() THEN
            PERFORM mulberry_internal.refresh_signature(c);
        END IF;
    END IF;
    PERFORM mulberry_internal.next_command(tenant, agent);
END
$$;
COMMENT ON FUNCTION tend_queue(uuid, uuid) IS
    'gives up what was only tried online and has had its time, sends what was lost, and gives the turn to whoever waits (internal)';

CREATE OR REPLACE FUNCTION tend_queues() RETURNS void
LANGUAGE plpgsql VOLATILE SET lock_timeout = '100ms'
AS $$
DECLARE
    queue record;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    -- A copy has nobody to wait for: the agents talk to the original.
    IF NOT mulberry.outbound_allowed() THEN
        RETURN;
    END IF;
    FOR queue IN
        SELECT DISTINCT c.tenant, c.agent FROM mulberry_internal.commands c
         WHERE c.state IN ('waiting', 'outstanding') AND NOT mulberry_internal.is_set_aside('commands', c.agent::text) ORDER BY 1, 2
    LOOP
        BEGIN
            -- Whoever has it locked is at work on it, or does not end: the next time.
            PERFORM FROM mulberry_internal.agents a
              WHERE a.tenant = queue.tenant AND a.id = queue.agent FOR NO KEY UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
            PERFORM mulberry_internal.tend_queue(queue.tenant, queue.agent);
        EXCEPTION
            WHEN lock_not_available OR transaction_rollback THEN
                PERFORM mulberry_internal.blocked();
            WHEN OTHERS THEN
                -- one agent's trouble must not be that of all
                PERFORM mulberry_internal.set_aside('commands', queue.agent::text, queue.tenant, SQLSTATE, SQLERRM);
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION tend_queues() IS 'tend_queue() for every agent with commands; part of maintenance() (internal)';
