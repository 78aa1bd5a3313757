-- What the worker asks Twilio next.

CREATE OR REPLACE FUNCTION next_voice_request(voice_call bigint) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    at     CONSTANT timestamptz := clock_timestamp();
    v      mulberry_internal.voice_calls;
    s      record;
    wanted boolean;
    u      mulberry_internal.voice_calls;
    reason text;
BEGIN
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    SELECT * INTO s FROM mulberry_internal.telephony_settings((mulberry_internal.telephony_endpoint(v.tenant)).options);
    wanted := mulberry_internal.voice_call_wanted(v);
    IF v.state = 'requested' THEN
        -- Whoever asked for it died, or could not store the answer.
        UPDATE mulberry_internal.voice_calls x SET state = 'uncertain', uncertain_since = at, looks = 0, page = NULL WHERE x.id = v.id;
        v.state := 'uncertain';
        v.uncertain_since := at;
    END IF;
    IF cardinality(v.stray_sids) > 0 THEN
        RETURN 'end stray';
    END IF;
    IF v.finished_at IS NOT NULL THEN
        IF v.delete_recording AND v.failures < 5 THEN
            RETURN CASE WHEN v.recording_sid IS NULL THEN 'recordings' ELSE 'delete recording' END;
        END IF;
        PERFORM mulberry_internal.settle_job(v.job, 'done', NULL);
        RETURN NULL;
    END IF;

    CASE mulberry_internal.voice_call_rank(v.state)
    WHEN 0 THEN
        IF NOT wanted THEN
            PERFORM mulberry_internal.finish_voice_call(v.id, 'superseded',
                'the command was settled or signed anew before the call was placed');
            RETURN NULL;
        END IF;
        reason := mulberry_internal.telephony_problem(v.tenant);
        IF reason IS NOT NULL OR at > v.give_up_at THEN
            PERFORM mulberry_internal.finish_voice_call(v.id, 'failed', coalesce(reason, 'it could not be placed: ' || v.detail));
            RETURN NULL;
        END IF;
        -- An earlier call of which nobody knows how it ended is taken over, never dialled beside.
        SELECT x.* INTO u FROM mulberry_internal.voice_calls x
         WHERE x.command = v.command AND x.purpose = v.purpose AND x.id < v.id AND x.finished_at IS NOT NULL
           AND mulberry_internal.voice_call_rank(x.state) BETWEEN 1 AND 5
         ORDER BY x.id DESC LIMIT 1;
        IF FOUND THEN
            UPDATE mulberry_internal.voice_calls x SET state = 'failed', sid = NULL WHERE x.id = u.id;
            UPDATE mulberry_internal.voice_calls x
               SET state = CASE WHEN u.sid IS NULL THEN 'uncertain' ELSE u.state END, sid = u.sid, requested_at = u.requested_at,
                   frame = u.frame, uncertain_since = at, looks = 0,
                   successor_at = CASE WHEN u.frame IS DISTINCT FROM v.frame THEN at END
             WHERE x.id = v.id;
            RETURN mulberry_internal.next_voice_request(v.id);
        END IF;
        -- The agent has one line, and so has the contact of many agents: who looks whether it is free
        -- has the oldest call for it locked.
        PERFORM FROM mulberry_internal.voice_calls x
          WHERE x.id = (SELECT min(y.id) FROM mulberry_internal.voice_calls y
                         WHERE y.tenant = v.tenant AND y.to_number = v.to_number AND y.finished_at IS NULL)
            FOR NO KEY UPDATE SKIP LOCKED;
        IF NOT FOUND OR EXISTS (SELECT FROM mulberry_internal.voice_calls x
                    WHERE x.tenant = v.tenant AND x.to_number = v.to_number AND x.id <> v.id AND x.finished_at IS NULL
                      AND mulberry_internal.voice_call_rank(x.state) BETWEEN 1 AND 5) THEN
            PERFORM mulberry_internal.rest_voice_call(v.id, at + interval '2 seconds');
            RETURN NULL;
        END IF;
        UPDATE mulberry_internal.voice_calls x
           SET state = 'requested', requested_at = at, placings = x.placings + 1, from_number = s.from_number, turn = s.repetitions,
               give_up_at = coalesce(x.give_up_at, at + interval '1 minute')
         WHERE x.id = v.id;
        PERFORM mulberry_internal.count_calls(v.command);
        RETURN 'create';
    WHEN 2 THEN
        IF at > v.uncertain_since + make_interval(secs => s.call_timeout + s.time_limit) + interval '1 minute' THEN
            -- Twilio does not even say what it has.  If there was a call, it is over.
            PERFORM mulberry_internal.finish_voice_call(v.id, 'failed', 'it is not known whether it was placed: ' || coalesce(v.detail,
                'no answer'));
            RETURN NULL;
        END IF;
        RETURN 'look';
    WHEN 6 THEN
        IF NOT wanted THEN
            PERFORM mulberry_internal.voice_call_over(v.id);
            RETURN NULL;
        ELSIF v.listen_job IS NOT NULL THEN
            PERFORM mulberry_internal.judge_transcript(v.id);
            RETURN NULL;
        END IF;
        RETURN CASE WHEN v.recording_sid IS NULL THEN 'recordings' ELSE 'media' END;
    ELSE
        IF NOT wanted AND NOT v.acknowledged THEN
            RETURN 'end';
        ELSIF at > v.requested_at + make_interval(secs => s.call_timeout + s.time_limit) + interval '10 minutes' THEN
            PERFORM mulberry_internal.finish_voice_call(v.id, 'failed', 'Twilio never said how it ended');
            RETURN NULL;
        END IF;
        RETURN 'poll';
    END CASE;
END
$$;
COMMENT ON FUNCTION next_voice_request(bigint) IS
    'what Twilio is asked next about a call: create, look (is there such a call?), poll, end, end stray, recordings, media, delete '
    'recording; null: nothing, the call is finished or rests. What has to be known should the answer be lost is written first. The '
    'caller has locked it (internal)';

CREATE OR REPLACE FUNCTION rest_voice_call(voice_call bigint, until timestamptz, error text DEFAULT NULL) RETURNS void
LANGUAGE sql
AS $$
    -- a step that came to its end leaves all attempts to the next one
    UPDATE mulberry_internal.job_queue q
       SET state = 'queued', run_at = $2, attempts = 0, deferrals = 0, worker = NULL, last_error = coalesce(left($3, 500), q.last_error)
      FROM mulberry_internal.voice_calls v WHERE v.id = $1 AND q.id = v.job
$$;
COMMENT ON FUNCTION rest_voice_call(bigint, timestamptz, text) IS 'puts the job of a call back into the queue until a time (internal)';

CREATE OR REPLACE FUNCTION telephony_step(job bigint, token bigint,
    OUT ready boolean, OUT kind text, OUT base_url text, OUT secret text, OUT secret_tenant uuid, OUT timeout_ms integer,
    OUT allow_http boolean, OUT allow_private boolean, OUT report jsonb,
    OUT request text, OUT account text, OUT user_name text, OUT sid text, OUT to_number text, OUT from_number text, OUT document text,
    OUT call_timeout integer, OUT time_limit integer, OUT machine_detection text, OUT recorded boolean, OUT status_callback text,
    OUT recording_callback text, OUT end_status text, OUT page text)
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    p record;
    j mulberry_internal.job_queue;
    v mulberry_internal.voice_calls;
    s record;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    ready := false;
    -- a client that takes its time to commit must not keep the worker from the jobs of others
    IF NOT mulberry_internal.lock_telephony_job_soon(job) THEN
        PERFORM mulberry_internal.defer_job(job, token, 'the agent is locked by another transaction');
        RETURN;
    END IF;
    PERFORM mulberry_internal.require_durable_commit();
    SELECT * INTO p FROM mulberry_internal.prepare_job(job, token);
    IF NOT p.ready THEN
        RETURN;
    END IF;
    SELECT q.* INTO STRICT j FROM mulberry_internal.job_queue q WHERE q.id = job;
    kind := p.kind;
    base_url := p.base_url;
    secret := p.secret;
    secret_tenant := p.secret_tenant;
    timeout_ms := p.timeout_ms;
    allow_http := p.allow_http;
    allow_private := p.allow_private;
    IF j.kind = 'escalate' THEN
        ready := true;
        report := coalesce(j.payload->'report', mulberry_internal.escalation_report((j.payload->>'command')::bigint));
        RETURN;
    END IF;

    IF j.kind = 'fetch' THEN
        request := 'media';
        v.recording_sid := j.payload->>'recording_sid';
    ELSE
        SELECT x.* INTO v FROM mulberry_internal.voice_calls x WHERE x.id = (j.payload->>'voice_call')::bigint;
        IF NOT FOUND THEN
            PERFORM mulberry_internal.settle_job(job, 'cancelled', 'the call is gone');
            RETURN;
        END IF;
        request := mulberry_internal.next_voice_request(v.id);
        IF request IS NULL THEN
            RETURN;
        END IF;
        UPDATE mulberry_internal.voice_calls x SET request = telephony_step.request WHERE x.id = v.id RETURNING x.* INTO v;
    END IF;

    SELECT * INTO s FROM mulberry_internal.telephony_settings(p.options);
    ready := true;
    account := s.account_sid;
    user_name := coalesce(s.api_key_sid, s.account_sid);
    IF s.api_key_sid IS NOT NULL THEN
        secret := s.api_key_secret;
        secret_tenant := mulberry_internal.secret_tenant((SELECT e.tenant FROM mulberry_internal.endpoints e WHERE e.id = j.route),
            secret, j.tenant);
    END IF;
    sid := v.sid;
    to_number := v.to_number;
    from_number := v.from_number;
    CASE request
    WHEN 'create' THEN
        call_timeout := s.call_timeout;
        time_limit := s.time_limit;
        machine_detection := s.machine_detection;
        document := mulberry_internal.voice_document(v.id, p.options);
        recorded := s.record AND v.purpose = 'command';
        IF s.public_url IS NOT NULL THEN
            status_callback := format('%s/twilio/status?token=%s', s.public_url, v.token);
            recording_callback := CASE WHEN recorded THEN format('%s/twilio/recording?token=%s', s.public_url, v.token) END;
        END IF;
    WHEN 'look' THEN
        page := v.page;
    WHEN 'end' THEN
        end_status := CASE WHEN v.state = 'in-progress' THEN 'completed' ELSE 'canceled' END;
    WHEN 'end stray' THEN
        request := 'end';
        sid := v.stray_sids[1];
        end_status := 'completed';
    WHEN 'media', 'delete recording' THEN
        sid := v.recording_sid;
    WHEN 'poll', 'recordings' THEN
        NULL;
    END CASE;
END
$$;
COMMENT ON FUNCTION telephony_step(bigint, bigint) IS
    'what a service is asked next for a job of kind call, escalate or fetch, in plain parameters, for the one who holds its token; ready '
    'is false when there is nothing: the job is settled or waits. report: it is sent that; otherwise request names what is wanted of a '
    'call: create, look (for calls between these numbers, or at a further page), poll, end, recordings, media, delete recording. The '
    'commit must be on disk before the request is sent';
