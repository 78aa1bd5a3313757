-- A call's way.  Locks are taken in the order agent, command, call, job.

CREATE OR REPLACE TRIGGER guard_state AFTER UPDATE ON voice_calls
    FOR EACH ROW WHEN (old.state <> new.state) EXECUTE FUNCTION guard_state();

CREATE OR REPLACE FUNCTION lock_voice_call(voice_call bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM FROM mulberry_internal.agents a
      JOIN mulberry_internal.commands c ON c.tenant = a.tenant AND c.agent = a.id
      JOIN mulberry_internal.voice_calls v ON v.command = c.id
     WHERE v.id = voice_call FOR NO KEY UPDATE OF a;
    PERFORM FROM mulberry_internal.commands c
      JOIN mulberry_internal.voice_calls v ON v.command = c.id
     WHERE v.id = voice_call FOR NO KEY UPDATE OF c;
    PERFORM FROM mulberry_internal.voice_calls v WHERE v.id = voice_call FOR UPDATE;
END
$$;
COMMENT ON FUNCTION lock_voice_call(bigint) IS 'locks the agent, the command and the row of a telephone call, in that order (internal)';

CREATE OR REPLACE FUNCTION lock_telephony_job(job bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM mulberry_internal.lock_voice_call((q.payload->>'voice_call')::bigint)
       FROM mulberry_internal.job_queue q WHERE q.id = job AND (mulberry_internal.job_kind(q.kind)).subject = 'voice_call';
END
$$;
COMMENT ON FUNCTION lock_telephony_job(bigint) IS
    'locks what a job is about that has a telephone call as its subject, before the job itself; of other kinds, and of a job that is '
    'gone, nothing (internal)';

CREATE OR REPLACE FUNCTION lock_telephony_job_soon(job bigint) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
BEGIN
    PERFORM mulberry_internal.limit_waits();
    PERFORM mulberry_internal.lock_telephony_job(job);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    PERFORM mulberry_internal.blocked();
    RETURN false;
END
$$;
COMMENT ON FUNCTION lock_telephony_job_soon(bigint) IS
    'lock_telephony_job(); false when another transaction keeps it from that, so that the worker can go on with other jobs '
    '(internal)';

CREATE OR REPLACE FUNCTION voice_call_wanted(v voice_calls) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (SELECT FROM mulberry_internal.commands c
                    WHERE c.id = v.command
                      AND CASE v.purpose WHEN 'command' THEN c.state = 'outstanding' AND c.frame = v.frame
                                         ELSE c.state = 'escalated' END)
$$;
COMMENT ON FUNCTION voice_call_wanted(voice_calls) IS 'whether the command of a call still waits for what the call plays (internal)';

CREATE OR REPLACE FUNCTION voice_call_rank(state text) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN CASE state WHEN 'planned' THEN 0 WHEN 'requested' THEN 1 WHEN 'uncertain' THEN 2 WHEN 'queued' THEN 3 WHEN 'initiated' THEN 3
                  WHEN 'ringing' THEN 4 WHEN 'in-progress' THEN 5 WHEN 'completed' THEN 6 WHEN 'busy' THEN 6 WHEN 'failed' THEN 6
                  WHEN 'no-answer' THEN 6 WHEN 'canceled' THEN 6 END;
COMMENT ON FUNCTION voice_call_rank(text) IS
    'how far a call has come: 0 planned to 6 ended; null for a status that is not known. States only go up, whatever order callbacks '
    'arrive in (internal)';

CREATE OR REPLACE FUNCTION count_calls(command bigint) RETURNS void
LANGUAGE sql
AS $$
    UPDATE mulberry_internal.commands c SET attempts = n.placed
      FROM (SELECT count(*) AS placed FROM mulberry_internal.voice_calls v
             WHERE v.command = $1 AND v.purpose = 'command' AND v.placings > 0) AS n
     WHERE c.id = $1 AND c.attempts <> n.placed
$$;
COMMENT ON FUNCTION count_calls(bigint) IS 'brings commands.attempts up to date: what Twilio refused or never got is no call (internal)';

CREATE OR REPLACE FUNCTION wake_voice_call(voice_call bigint, at timestamptz DEFAULT clock_timestamp()) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE mulberry_internal.job_queue q SET run_at = at
      FROM mulberry_internal.voice_calls v
     WHERE v.id = voice_call AND q.id = v.job AND q.state = 'queued' AND q.run_at > at;
    IF FOUND THEN
        PERFORM mulberry_internal.wake_workers();
    END IF;
END
$$;
COMMENT ON FUNCTION wake_voice_call(bigint, timestamptz) IS 'lets the job of a call run earlier than it would (internal)';

CREATE OR REPLACE FUNCTION place_call(command bigint, run_at timestamptz) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    c mulberry_internal.commands;
    a mulberry_internal.agents;
    v mulberry_internal.voice_calls;
    e mulberry_internal.endpoints;
    n integer;
BEGIN
    SELECT x.* INTO STRICT c FROM mulberry_internal.commands x WHERE x.id = place_call.command;
    SELECT x.* INTO STRICT a FROM mulberry_internal.agents x WHERE x.tenant = c.tenant AND x.id = c.agent;
    e := mulberry_internal.telephony_endpoint(c.tenant);
    IF a.phone IS NULL THEN
        RAISE EXCEPTION 'agent "%" has no telephone number', a.name USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT x.* INTO v FROM mulberry_internal.voice_calls x
     WHERE x.command = c.id AND x.purpose = 'command' AND x.finished_at IS NULL FOR UPDATE;
    -- one that was given up before it was placed, because it was of no use any more, is no attempt
    SELECT greatest(max(x.attempt), c.attempts_before) + 1 INTO n FROM mulberry_internal.voice_calls x
     WHERE x.command = c.id AND x.purpose = 'command' AND x.state <> 'planned' AND x.id IS DISTINCT FROM v.id;
    IF v.state = 'planned' THEN
        -- Nothing has been asked for yet: it is this call, another time and with what is to be played now.
        UPDATE mulberry_internal.voice_calls x
           SET frame = c.frame, to_number = a.phone, due_at = place_call.run_at, attempt = n, give_up_at = NULL
         WHERE x.id = v.id;
        UPDATE mulberry_internal.job_queue q SET run_at = place_call.run_at WHERE q.id = v.job AND q.state = 'queued';
        PERFORM mulberry_internal.wake_workers();
    ELSIF v.id IS NOT NULL THEN
        UPDATE mulberry_internal.voice_calls x SET successor_at = place_call.run_at WHERE x.id = v.id;
        PERFORM mulberry_internal.wake_voice_call(v.id);
    ELSE
        INSERT INTO mulberry_internal.voice_calls (tenant, command, attempt, to_number, from_number, frame, due_at)
        VALUES (c.tenant, c.id, n, a.phone, coalesce(e.options->>'from', ''), c.frame, place_call.run_at)
        RETURNING * INTO v;
        UPDATE mulberry_internal.voice_calls x
           SET job = mulberry_internal.enqueue_job('call', c.tenant, NULL, NULL, jsonb_build_object('voice_call', v.id), place_call.run_at)
         WHERE x.id = v.id;
    END IF;
END
$$;
COMMENT ON FUNCTION place_call(bigint, timestamptz) IS
    'plans a telephone call for a command that is outstanding, in the caller''s transaction; while another call for it is under way, the '
    'call comes after that one. The caller has locked agent and command (internal)';

-- What Twilio said of a call, by an answer or by a callback.
CREATE OR REPLACE FUNCTION advance_voice_call(voice_call bigint, sid text, status text, answered_by text DEFAULT NULL,
    detail text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    rank    CONSTANT integer := mulberry_internal.voice_call_rank(status);
    at      CONSTANT timestamptz := clock_timestamp();
    v       mulberry_internal.voice_calls;
BEGIN
    UPDATE mulberry_internal.voice_calls x
       SET sid = coalesce(x.sid, advance_voice_call.sid), answered_by = coalesce(advance_voice_call.answered_by, x.answered_by)
     WHERE x.id = voice_call RETURNING x.* INTO STRICT v;
    IF v.finished_at IS NOT NULL OR rank IS NULL OR rank <= mulberry_internal.voice_call_rank(v.state) THEN
        RETURN;
    END IF;
    UPDATE mulberry_internal.voice_calls x
       SET state = CASE status WHEN 'initiated' THEN 'queued' ELSE status END, page = NULL, failures = 0,
           answered_at = CASE WHEN status = 'in-progress' THEN at ELSE x.answered_at END,
           ended_at = CASE WHEN rank = 6 THEN at ELSE x.ended_at END,
           -- a request that failed before has been got over
           detail = advance_voice_call.detail
     WHERE x.id = v.id;
    PERFORM mulberry_internal.emit_event(v.tenant, 'voice_call', NULL, NULL, jsonb_strip_nulls(jsonb_build_object(
        'command_id', v.command, 'purpose', v.purpose, 'attempt', v.attempt, 'call_sid', v.sid, 'status', status,
        'answered_by', v.answered_by)));
    IF rank = 6 THEN
        PERFORM mulberry_internal.voice_call_over(v.id);
    ELSE
        PERFORM mulberry_internal.wake_voice_call(v.id, CASE WHEN mulberry_internal.voice_call_wanted(v) OR v.acknowledged
            THEN at + (SELECT s.poll_interval
                         FROM mulberry_internal.telephony_settings((mulberry_internal.telephony_endpoint(v.tenant)).options) s)
            ELSE at END);
    END IF;
END
$$;
COMMENT ON FUNCTION advance_voice_call(bigint, text, text, text, text) IS
    'moves a call on to what Twilio said of it; what is old, or not known, changes nothing. The caller has locked it (internal)';

CREATE OR REPLACE FUNCTION voice_call_over(voice_call bigint) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v       mulberry_internal.voice_calls;
    machine text;
BEGIN
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    machine := CASE WHEN v.answered_by ~ '^(machine|fax)' THEN 'machine' END;
    IF v.acknowledged THEN
        PERFORM mulberry_internal.finish_voice_call(v.id, 'acknowledged', NULL);
    ELSIF NOT mulberry_internal.voice_call_wanted(v) THEN
        PERFORM mulberry_internal.finish_voice_call(v.id, 'superseded', 'the command was settled or signed anew meanwhile');
    ELSIF v.state <> 'completed' THEN
        PERFORM mulberry_internal.finish_voice_call(v.id, v.state, coalesce(v.detail, 'Twilio says ' || v.state));
    ELSIF v.purpose = 'escalation' THEN
        PERFORM mulberry_internal.finish_voice_call(v.id, coalesce(machine, 'delivered'), v.answered_by);
    ELSIF (SELECT s.record
             FROM mulberry_internal.telephony_settings((mulberry_internal.telephony_endpoint(v.tenant)).options) s) IS NOT FALSE THEN
        -- the recording is what is left to listen to
        PERFORM mulberry_internal.wake_voice_call(v.id);
    ELSE
        PERFORM mulberry_internal.finish_voice_call(v.id, coalesce(machine, 'no acknowledgement'), v.answered_by);
    END IF;
END
$$;
COMMENT ON FUNCTION voice_call_over(bigint) IS
    'what follows from the end of a call: its recording is fetched, or it is finished (internal)';

CREATE OR REPLACE FUNCTION finish_voice_call(voice_call bigint, outcome text, detail text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v         mulberry_internal.voice_calls;
    wanted    boolean;
    delete_it boolean;
    other     bigint;
BEGIN
    SELECT x.* INTO v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    IF NOT FOUND OR v.finished_at IS NOT NULL THEN    -- it may have gone with its agent
        RETURN;
    END IF;
    wanted := mulberry_internal.voice_call_wanted(v);
    delete_it := (v.answered_at IS NOT NULL OR v.state = 'completed')
        AND (SELECT s.delete_recordings AND s.record
            FROM mulberry_internal.telephony_settings((mulberry_internal.telephony_endpoint(v.tenant)).options) s);
    UPDATE mulberry_internal.voice_calls x
       SET finished_at = clock_timestamp(), outcome = finish_voice_call.outcome, detail = left(finish_voice_call.detail, 500),
           state = CASE WHEN x.state = 'planned' AND finish_voice_call.outcome <> 'superseded' THEN 'failed' ELSE x.state END,
           request = NULL, page = NULL, recording = NULL, failures = 0, delete_recording = coalesce(delete_it, false)
     WHERE x.id = v.id;
    PERFORM mulberry_internal.count_metric('voice_calls_total', x.tenant, x.state),
            mulberry_internal.observe_metric('voice_call_duration_seconds', x.tenant,
                                             extract(epoch FROM coalesce(x.ended_at, x.finished_at) - x.answered_at))
       FROM mulberry_internal.voice_calls x WHERE x.id = v.id AND x.state <> 'planned';
    PERFORM mulberry_internal.count_calls(v.command);
    PERFORM mulberry_internal.record_audit(v.tenant, CASE v.purpose WHEN 'command' THEN 'VOICE_CALL' ELSE 'ESCALATION_CALL' END,
        finish_voice_call.outcome,
        c.mandate, c.agent, c.id, 'voice', jsonb_strip_nulls(jsonb_build_object('attempt', v.attempt, 'call_sid', v.sid, 'state', v.state,
            'answered_by', v.answered_by, 'detail', left(finish_voice_call.detail, 500), 'requested_at', v.requested_at, 'ended_at',
                v.ended_at)))
       FROM mulberry_internal.commands c WHERE c.id = v.command AND outcome <> 'superseded';
    IF v.listen_job IS NOT NULL THEN
        PERFORM mulberry_internal.settle_job(v.listen_job, 'cancelled', 'the call is finished');
    END IF;
    IF coalesce(delete_it, false) OR cardinality(v.stray_sids) > 0 THEN
        PERFORM mulberry_internal.wake_voice_call(v.id);
    ELSE
        PERFORM mulberry_internal.settle_job(v.job, 'done', NULL);
    END IF;
    -- Whoever waits for the line.
    FOR other IN SELECT x.id FROM mulberry_internal.voice_calls x
                  WHERE x.tenant = v.tenant AND x.to_number = v.to_number AND x.finished_at IS NULL
                    AND x.state = 'planned' AND x.due_at <= clock_timestamp() ORDER BY x.id LIMIT 1
    LOOP
        PERFORM mulberry_internal.wake_voice_call(other);
    END LOOP;
    IF v.purpose = 'escalation' THEN
        PERFORM mulberry_internal.escalation_call_ended(v.id, wanted);
    ELSIF wanted AND outcome = 'refused' THEN
        -- the same request would be refused again, so a person hears of it now
        PERFORM mulberry_internal.escalate_command(v.command, 'Twilio refused the call: ' || left(finish_voice_call.detail, 500));
        PERFORM mulberry_internal.next_command(c.tenant, c.agent) FROM mulberry_internal.commands c WHERE c.id = v.command;
    ELSIF wanted OR outcome = 'challenged' THEN
        PERFORM mulberry_internal.voice_attempt_ended(v.id, outcome, left(finish_voice_call.detail, 500));
    ELSIF v.successor_at IS NOT NULL
       AND EXISTS (SELECT FROM mulberry_internal.commands c WHERE c.id = v.command AND c.state = 'outstanding') THEN
        PERFORM mulberry_internal.place_call(v.command, greatest(v.successor_at, clock_timestamp()));
    END IF;
END
$$;
COMMENT ON FUNCTION finish_voice_call(bigint, text, text) IS
    'ends our interest in a call, and says what follows for its command. The caller has locked it (internal)';

CREATE OR REPLACE FUNCTION commands_moved_on() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    PERFORM mulberry_internal.wake_voice_call(v.id) FROM mulberry_internal.voice_calls v
      WHERE v.command = new.id AND v.finished_at IS NULL AND NOT v.acknowledged;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION commands_moved_on() IS 'trigger: a call for a command that is settled, or has another frame, is ended at once';
CREATE OR REPLACE TRIGGER commands_moved_on AFTER UPDATE OF state, frame ON commands FOR EACH ROW
    WHEN (old.state = 'outstanding' AND (new.state <> 'outstanding' OR new.frame IS DISTINCT FROM old.frame))
    EXECUTE FUNCTION commands_moved_on();

-- A job was given up: its worker died again and again, or somebody cancelled it.
CREATE OR REPLACE FUNCTION give_up_telephony(job job_queue, final_state text, error text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    c mulberry_internal.commands;
BEGIN
    CASE job.kind
    WHEN 'call' THEN
        PERFORM mulberry_internal.finish_voice_call((job.payload->>'voice_call')::bigint,
            CASE final_state WHEN 'cancelled' THEN 'canceled' ELSE 'failed' END, error);
    WHEN 'listen' THEN
        PERFORM mulberry_internal.wake_voice_call((job.payload->>'voice_call')::bigint);
    WHEN 'escalate' THEN
        PERFORM mulberry_internal.record_audit(job.tenant, 'EMERGENCY_REPORT', 'failed',
            evidence => jsonb_build_object('endpoint', job.endpoint, 'error', error, 'reference', job.payload->'report'->'reference'))
          WHERE job.payload ? 'report';
        SELECT x.* INTO c FROM mulberry_internal.commands x WHERE x.id = (job.payload->>'command')::bigint;
        IF FOUND THEN
            PERFORM mulberry_internal.record_audit(c.tenant, 'ESCALATION_REPORT', 'failed', c.mandate, c.agent, c.id, NULL,
                jsonb_build_object('endpoint', job.endpoint, 'error', error));
            PERFORM mulberry_internal.emit_event(c.tenant, 'escalation_failed', NULL, NULL,
                jsonb_build_object('command_id', c.id, 'endpoint', job.endpoint, 'error', error));
        END IF;
    END CASE;
END
$$;
COMMENT ON FUNCTION give_up_telephony(job_queue, text, text) IS
    'what follows when a job of kind call, listen or escalate is given up (internal)';

-- A call whose job cannot be claimed, because the endpoint is gone or disabled, must not be forgotten.
CREATE OR REPLACE FUNCTION sweep_voice_calls(at timestamptz DEFAULT clock_timestamp()) RETURNS integer
LANGUAGE plpgsql SET lock_timeout = '100ms'
AS $$
DECLARE
    patience CONSTANT interval := interval '2 minutes';
    stuck    record;
    n        integer := 0;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    DELETE FROM mulberry_internal.webhook_answers w
     WHERE w.ctid = ANY (ARRAY(SELECT x.ctid FROM mulberry_internal.webhook_answers x
                                WHERE x.at < sweep_voice_calls.at - interval '1 day' FOR UPDATE SKIP LOCKED));
    IF NOT mulberry.outbound_allowed() THEN
        RETURN 0;
    END IF;
    FOR stuck IN
        SELECT v.id, v.tenant, coalesce(mulberry_internal.telephony_problem(v.tenant), 'its job is gone') AS problem
          FROM mulberry_internal.voice_calls v
          LEFT JOIN mulberry_internal.job_queue q ON q.id = v.job
          LEFT JOIN mulberry_internal.endpoints e ON e.id = q.route
         WHERE v.finished_at IS NULL
           AND greatest(v.due_at, v.requested_at, v.ended_at) < sweep_voice_calls.at - patience
           AND (q.id IS NULL OR ((e.id IS NULL OR NOT e.enabled) AND q.run_at < sweep_voice_calls.at - patience))
           AND NOT mulberry_internal.is_set_aside('voice calls', v.id::text)
         ORDER BY v.id
    LOOP
        BEGIN
            PERFORM mulberry_internal.lock_voice_call(stuck.id);
            PERFORM mulberry_internal.finish_voice_call(stuck.id, 'failed', stuck.problem);
            n := n + 1;
        EXCEPTION
            WHEN lock_not_available OR transaction_rollback THEN
                PERFORM mulberry_internal.blocked();    -- the next time
            WHEN OTHERS THEN
                PERFORM mulberry_internal.set_aside('voice calls', stuck.id::text, stuck.tenant, SQLSTATE, SQLERRM);
        END;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION sweep_voice_calls(timestamptz) IS
    'ends calls that nothing drives any more, and forgets answers to webhooks after a day; part of maintenance (internal)';
