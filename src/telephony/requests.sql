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
    OUT ready boolean, OUT method text, OUT url text, OUT names text[], OUT contents text[], OUT json_body text,
    OUT user_name text, OUT secret text, OUT secret_tenant uuid, OUT timeout_ms integer, OUT allow_http boolean,
    OUT allow_private boolean, OUT max_response integer, OUT accept text)
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '1s'
AS $$
DECLARE
    largest_recording CONSTANT integer := 32 * 1024 * 1024;    -- bytes
    p       record;
    j       mulberry_internal.job_queue;
    v       mulberry_internal.voice_calls;
    s       record;
    account text;
    asked   text;
BEGIN
    ready := false;
    -- a client that takes its time to commit must not keep the worker from the jobs of others
    IF NOT mulberry_internal.lock_telephony_job_soon(job, '100 milliseconds') THEN
        PERFORM mulberry_internal.defer_job(job, token, 'the agent is locked by another transaction');
        RETURN;
    END IF;
    PERFORM mulberry_internal.require_durable_commit();
    SELECT * INTO p FROM mulberry_internal.prepare_job(job, token);
    IF NOT p.ready THEN
        RETURN;
    END IF;
    SELECT q.* INTO STRICT j FROM mulberry_internal.job_queue q WHERE q.id = job;
    secret := p.secret;
    secret_tenant := p.secret_tenant;
    timeout_ms := p.timeout_ms;
    allow_http := p.allow_http;
    allow_private := p.allow_private;
    accept := 'application/json';
    IF j.kind = 'escalate' THEN
        ready := true;
        method := 'POST';
        url := p.base_url;
        json_body := mulberry_internal.escalation_report((j.payload->>'command')::bigint)::text;
        RETURN;
    END IF;

    SELECT x.* INTO v FROM mulberry_internal.voice_calls x WHERE x.id = (j.payload->>'voice_call')::bigint;
    IF NOT FOUND THEN
        PERFORM mulberry_internal.settle_job(job, 'cancelled', 'the call is gone');
        RETURN;
    END IF;
    asked := mulberry_internal.next_voice_request(v.id);
    IF asked IS NULL THEN
        RETURN;
    END IF;
    UPDATE mulberry_internal.voice_calls x SET request = asked WHERE x.id = v.id RETURNING x.* INTO v;

    SELECT * INTO s FROM mulberry_internal.telephony_settings(p.options);
    user_name := coalesce(s.api_key_sid, s.account_sid);
    IF s.api_key_sid IS NOT NULL THEN
        secret := s.api_key_secret;
        secret_tenant := mulberry_internal.secret_tenant((SELECT e.tenant FROM mulberry_internal.endpoints e WHERE e.id = j.route),
            secret, j.tenant);
    END IF;
    account := p.base_url || '/2010-04-01/Accounts/' || s.account_sid;
    ready := true;
    method := 'GET';
    CASE asked
    WHEN 'create' THEN
        method := 'POST';
        url := account || '/Calls.json';
        names := ARRAY['To', 'From', 'Timeout', 'TimeLimit', 'Twiml'];
        contents := ARRAY[v.to_number, v.from_number, s.call_timeout::text, s.time_limit::text, mulberry_internal.voice_document(v.id,
            p.options)];
        IF s.machine_detection IS NOT NULL THEN
            names := names || 'MachineDetection'::text;
            contents := contents || s.machine_detection;
        END IF;
        IF s.record AND v.purpose = 'command' THEN
            -- on channels of their own, tones are not covered by what the other side says
            names := names || ARRAY['Record', 'RecordingChannels'];
            contents := contents || ARRAY['true', 'dual'];
        END IF;
        IF s.public_url IS NOT NULL THEN
            names := names || ARRAY['StatusCallback', 'StatusCallbackMethod', 'StatusCallbackEvent', 'StatusCallbackEvent',
                                    'StatusCallbackEvent', 'StatusCallbackEvent'];
            contents := contents || ARRAY[format('%s/twilio/status?token=%s', s.public_url, v.token), 'POST',
                                          'initiated', 'ringing', 'answered', 'completed'];
            IF s.record AND v.purpose = 'command' THEN
                names := names || ARRAY['RecordingStatusCallback', 'RecordingStatusCallbackMethod', 'RecordingStatusCallbackEvent',
                                        'RecordingStatusCallbackEvent'];
                contents := contents || ARRAY[format('%s/twilio/recording?token=%s', s.public_url, v.token), 'POST', 'completed', 'absent'];
            END IF;
        END IF;
    WHEN 'look' THEN
        -- Not by StartTime: a call that has not begun has none.
        IF v.page IS NOT NULL THEN
            url := p.base_url || v.page;
        ELSE
            url := account || '/Calls.json';
            names := ARRAY['To', 'From', 'PageSize'];
            contents := ARRAY[v.to_number, v.from_number, '50'];
        END IF;
    WHEN 'poll' THEN
        url := format('%s/Calls/%s.json', account, v.sid);
    WHEN 'end' THEN
        method := 'POST';
        url := format('%s/Calls/%s.json', account, v.sid);
        names := ARRAY['Status'];
        contents := ARRAY[CASE WHEN v.state = 'in-progress' THEN 'completed' ELSE 'canceled' END];
    WHEN 'end stray' THEN
        method := 'POST';
        url := format('%s/Calls/%s.json', account, v.stray_sids[1]);
        names := ARRAY['Status'];
        contents := ARRAY['completed'];
    WHEN 'recordings' THEN
        url := format('%s/Calls/%s/Recordings.json', account, v.sid);
    WHEN 'media' THEN
        url := format('%s/Recordings/%s.wav', account, v.recording_sid);
        names := ARRAY['RequestedChannels'];
        contents := ARRAY['2'];
        accept := 'audio/*';
        max_response := largest_recording;
    WHEN 'delete recording' THEN
        method := 'DELETE';
        url := format('%s/Recordings/%s.json', account, v.recording_sid);
    END CASE;
END
$$;
COMMENT ON FUNCTION telephony_step(bigint, bigint) IS
    'the next request of a job of kind call or escalate, for the one who holds its token; ready is false when there is none: the job is '
    'settled or waits. The commit must be on disk before the request is sent';
