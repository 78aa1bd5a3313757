-- What the answer means.

CREATE OR REPLACE FUNCTION telephony_answer(job bigint, token bigint, outcome text, status integer, retry_after interval, problem text,
    sids text[], to_numbers text[], from_numbers text[], inbound boolean[], created timestamptz[], states text[], answered_by text[],
    next_page text, recording bytea)
RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    at      CONSTANT timestamptz := clock_timestamp();
    j       mulberry_internal.job_queue;
    v       mulberry_internal.voice_calls;
    request text;
    rest    timestamptz;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    IF NOT mulberry_internal.lock_telephony_job_soon(job) THEN
        -- what has become of the request is found out by the next step
        PERFORM mulberry_internal.defer_job(job, token, 'the agent is locked by another transaction');
        RETURN;
    END IF;
    j := mulberry_internal.leased_job(job, token);
    IF j.id IS NULL THEN
        RETURN;
    END IF;
    IF j.kind = 'escalate' THEN
        PERFORM mulberry_internal.settle_job(job, 'done', NULL);
        PERFORM mulberry_internal.record_audit(c.tenant, 'ESCALATION_REPORT', 'delivered', c.mandate, c.agent, c.id, NULL,
            jsonb_build_object('endpoint', j.endpoint, 'status', status))
           FROM mulberry_internal.commands c WHERE c.id = (j.payload->>'command')::bigint;
        PERFORM mulberry_internal.record_audit(j.tenant, 'EMERGENCY_REPORT', 'delivered',
            evidence => jsonb_build_object('endpoint', j.endpoint, 'status', status, 'reference', j.payload->'report'->'reference'))
          WHERE j.payload ? 'report';
        RETURN;
    END IF;
    IF j.kind = 'fetch' THEN
        PERFORM mulberry_internal.take_fetched(j, recording);
        RETURN;
    END IF;
    SELECT x.* INTO v FROM mulberry_internal.voice_calls x WHERE x.id = (j.payload->>'voice_call')::bigint;
    IF NOT FOUND THEN
        PERFORM mulberry_internal.settle_job(job, 'cancelled', 'the call is gone');
        RETURN;
    END IF;
    request := v.request;
    status := coalesce(status, 0);
    problem := coalesce(problem, CASE WHEN status = 0 THEN 'no answer' ELSE format('HTTP %s', status) END);
    UPDATE mulberry_internal.voice_calls x SET request = NULL,
           failures = CASE WHEN telephony_answer.status BETWEEN 200 AND 299 THEN 0 ELSE x.failures + 1 END,
           detail = CASE WHEN telephony_answer.status BETWEEN 200 AND 299 THEN x.detail ELSE telephony_answer.problem END
     WHERE x.id = v.id RETURNING x.* INTO v;

    CASE request
    WHEN 'create' THEN
        rest := mulberry_internal.answer_to_create(v, outcome, status, sids[1], states[1], retry_after, problem);
    WHEN 'look' THEN
        rest := mulberry_internal.answer_to_look(v, status, sids, to_numbers, from_numbers, inbound, created, states, answered_by,
            next_page);
    WHEN 'poll' THEN
        IF status BETWEEN 200 AND 299 THEN
            PERFORM mulberry_internal.advance_voice_call(v.id, NULL, states[1], answered_by[1]);
        ELSIF status = 404 AND v.failures >= 3 THEN
            PERFORM mulberry_internal.advance_voice_call(v.id, NULL, 'failed', NULL, problem);
        END IF;
    WHEN 'end' THEN
        IF status BETWEEN 200 AND 299 THEN
            PERFORM mulberry_internal.advance_voice_call(v.id, NULL, states[1], answered_by[1]);
        ELSIF status = 404 THEN
            PERFORM mulberry_internal.advance_voice_call(v.id, NULL, 'canceled', NULL, problem);
        ELSIF status = 400 AND v.state = 'queued' THEN
            -- 21220: no longer to be cancelled, because it has begun
            PERFORM mulberry_internal.advance_voice_call(v.id, NULL, 'in-progress');
        ELSIF status = 400 AND v.failures >= 3 THEN
            PERFORM mulberry_internal.advance_voice_call(v.id, NULL, 'completed', NULL, problem);
        ELSIF status = 400 AND v.state = 'ringing' THEN
            UPDATE mulberry_internal.voice_calls x SET state = 'in-progress' WHERE x.id = v.id;
        END IF;
    WHEN 'end stray' THEN
        IF status BETWEEN 200 AND 299 OR status IN (400, 404) OR v.failures >= 10 THEN
            UPDATE mulberry_internal.voice_calls x SET stray_sids = x.stray_sids[2:] WHERE x.id = v.id;
            PERFORM mulberry_internal.record_audit(v.tenant, 'STRAY_CALL', CASE WHEN status = 0 THEN 'not ended' ELSE 'ended' END,
                c.mandate, c.agent, c.id, 'voice', jsonb_build_object('call_sid', v.stray_sids[1], 'status', status))
               FROM mulberry_internal.commands c WHERE c.id = v.command;
            rest := at;
        END IF;
    WHEN 'recordings' THEN
        rest := mulberry_internal.answer_to_recordings(v, sids, states, problem);
    WHEN 'media' THEN
        rest := mulberry_internal.answer_to_media(v, status, recording, problem);
    WHEN 'delete recording' THEN
        IF status BETWEEN 200 AND 299 OR status = 404 THEN
            UPDATE mulberry_internal.voice_calls x SET delete_recording = false WHERE x.id = v.id;
            rest := at;
        END IF;
    ELSE
        NULL;    -- another step has been taken meanwhile
    END CASE;

    -- When to go on, unless something above has said so, or has finished the call.
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = v.id;
    IF rest IS NULL THEN
        IF v.failures > 0 THEN
            rest := at + greatest(least(coalesce(nullif(retry_after, '0'), '0'), '1 minute'),
                                  least(interval '1 second' * 2 ^ least(v.failures - 1, 10), '15 seconds'));
        ELSIF mulberry_internal.voice_call_rank(v.state) = 6 OR v.finished_at IS NOT NULL OR NOT (v.acknowledged
            OR mulberry_internal.voice_call_wanted(v)) THEN
            rest := at;
        ELSE
            rest := at + (SELECT s.poll_interval
                            FROM mulberry_internal.telephony_settings((mulberry_internal.telephony_endpoint(v.tenant)).options) s);
        END IF;
    END IF;
    PERFORM mulberry_internal.rest_voice_call(v.id, rest, CASE WHEN status NOT BETWEEN 200 AND 299 THEN problem END);
END
$$;
COMMENT ON FUNCTION telephony_answer(bigint, bigint, text, integer, interval, text, text[], text[], text[], boolean[], timestamptz[],
    text[], text[], text, bytea) IS
    'takes what became of the request of telephony_step(): outcome (answered, unreachable: never sent, broken: sent and no whole answer, '
    'too large), HTTP status, what the service says is wrong; calls or recordings, a column each and null when there was no list; '
    'where the list goes on; sound. Drops it when the token is no longer the job''s';

CREATE OR REPLACE FUNCTION answer_to_create(v voice_calls, outcome text, status integer, sid text, state text, retry_after interval,
    problem text) RETURNS timestamptz
LANGUAGE plpgsql
AS $$
DECLARE
    at    CONSTANT timestamptz := clock_timestamp();
    pause interval;
    last_try timestamptz;
BEGIN
    IF v.state <> 'requested' THEN
        RETURN NULL;    -- a callback was faster than the answer
    END IF;
    IF status BETWEEN 200 AND 299 AND sid IS NOT NULL THEN
        PERFORM mulberry_internal.advance_voice_call(v.id, sid, 'queued');
        PERFORM mulberry_internal.advance_voice_call(v.id, sid, state);
        RETURN NULL;
    END IF;
    IF status BETWEEN 400 AND 499 AND status NOT IN (408, 429) THEN
        UPDATE mulberry_internal.voice_calls x SET state = 'planned', placings = x.placings - 1 WHERE x.id = v.id;
        PERFORM mulberry_internal.finish_voice_call(v.id, 'refused', problem);
        RETURN NULL;
    END IF;
    IF status = 429 OR outcome = 'unreachable' THEN
        -- Not placed.  Too many requests are a matter of waiting; a service that cannot be reached may be so for long.
        pause := greatest(coalesce(retry_after, '0'), least(interval '1 second' * 2 ^ least(v.failures - 1, 10), '15 seconds'));
        UPDATE mulberry_internal.voice_calls x
           SET state = 'planned', placings = x.placings - 1,
               give_up_at = CASE WHEN status = 429 THEN greatest(x.give_up_at, x.due_at + interval '10 minutes') ELSE x.give_up_at END
         WHERE x.id = v.id RETURNING x.give_up_at INTO last_try;
        RETURN least(at + pause, last_try + interval '1 second');
    END IF;
    UPDATE mulberry_internal.voice_calls x SET state = 'uncertain', uncertain_since = at, looks = 0, page = NULL, failures = 0
        WHERE x.id = v.id;
    RETURN at + interval '1 second';
END
$$;
COMMENT ON FUNCTION answer_to_create(voice_calls, text, integer, text, text, interval, text) IS
    'what the answer to POST Calls means: placed, refused for good, not placed (429, never sent), or not known. Returns when to go on; '
    'null: by the state of the call (internal)';

CREATE OR REPLACE FUNCTION answer_to_look(v voice_calls, status integer, sids text[], to_numbers text[], from_numbers text[],
    inbound boolean[], created timestamptz[], states text[], answered_by text[], next_page text) RETURNS timestamptz
LANGUAGE plpgsql
AS $$
DECLARE
    at           CONSTANT timestamptz := clock_timestamp();
    clock_skew   CONSTANT interval := interval '30 seconds';    -- between Twilio's clock and ours
    looks_needed CONSTANT integer := 4;
    placings_max CONSTANT integer := 5;
    since        CONSTANT timestamptz := v.requested_at - clock_skew;
    adopted      record;
BEGIN
    IF v.state <> 'uncertain' OR status NOT BETWEEN 200 AND 299 OR sids IS NULL THEN
        UPDATE mulberry_internal.voice_calls x SET failures = greatest(x.failures, 1) WHERE x.id = v.id AND x.state = 'uncertain';
        RETURN NULL;
    END IF;
    SELECT c.* INTO adopted
      FROM unnest(sids, to_numbers, from_numbers, inbound, created, states, answered_by)
           AS c (sid, to_number, from_number, inbound, created, state, answered_by)
     WHERE c.to_number = v.to_number AND c.from_number = v.from_number AND NOT c.inbound AND c.created >= since
       AND NOT EXISTS (SELECT FROM mulberry_internal.voice_calls k WHERE k.sid = c.sid OR c.sid = ANY (k.stray_sids))
     ORDER BY c.created LIMIT 1;
    IF FOUND THEN
        PERFORM mulberry_internal.advance_voice_call(v.id, adopted.sid, 'queued');
        PERFORM mulberry_internal.advance_voice_call(v.id, adopted.sid, adopted.state, adopted.answered_by);
        RETURN NULL;
    END IF;
    -- older ones follow newer ones
    IF next_page IS NOT NULL AND EXISTS (SELECT FROM unnest(created) AS c (at) WHERE c.at >= since) THEN
        UPDATE mulberry_internal.voice_calls x SET page = next_page WHERE x.id = v.id;
        RETURN at;
    END IF;
    UPDATE mulberry_internal.voice_calls x SET looks = x.looks + 1, page = NULL WHERE x.id = v.id RETURNING x.looks INTO v.looks;
    IF v.looks < looks_needed THEN
        RETURN at + interval '1 second' * 2 ^ v.looks;
    END IF;
    IF v.placings >= placings_max THEN
        UPDATE mulberry_internal.voice_calls x SET state = 'planned' WHERE x.id = v.id;
        PERFORM mulberry_internal.finish_voice_call(v.id, 'failed', format('it could not be placed in %s tries: %s', v.placings, v.detail));
        RETURN NULL;
    END IF;
    -- Four looks over 14 s did not show it: it was not placed, and may be.
    UPDATE mulberry_internal.voice_calls x SET state = 'planned', uncertain_since = NULL, give_up_at = greatest(x.give_up_at,
        at + interval '1 minute')
     WHERE x.id = v.id;
    RETURN at;
END
$$;
COMMENT ON FUNCTION answer_to_look(voice_calls, integer, text[], text[], text[], boolean[], timestamptz[], text[], text[], text) IS
    'looks for a call that may have been placed in a page of the list of calls: adopts it, reads on, looks again later, or takes it for '
    'not placed. Returns when to go on; null: by the state of the call (internal)';
