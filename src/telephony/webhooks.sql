-- Webhooks.

CREATE OR REPLACE FUNCTION take_webhook(v voice_calls, e endpoints, kind text, query text, params jsonb, idempotency_token text,
    OUT status integer, OUT content_type text, OUT body text)
LANGUAGE plpgsql
AS $$
DECLARE
    keys text[];
BEGIN
    PERFORM mulberry_internal.lock_voice_call(v.id);
    keys := array_remove(ARRAY['token ' || nullif(idempotency_token, ''), concat_ws(' ', kind, params->>'CallSid', CASE kind
        WHEN 'ack' THEN substring(query FROM '&step=([0-9]+)')
        WHEN 'status' THEN coalesce(params->>'SequenceNumber', params->>'CallStatus')
        WHEN 'recording' THEN concat_ws(' ', params->>'RecordingSid', params->>'RecordingStatus') END)], NULL);
    SELECT w.status, w.content_type, w.body INTO status, content_type, body
      FROM mulberry_internal.webhook_answers w WHERE w.voice_call = v.id AND w.key = ANY (keys) LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;

    status := 204;
    content_type := 'text/plain';
    body := '';
    CASE kind
    WHEN 'ack' THEN
        status := 200;
        content_type := 'text/xml';
        body := mulberry_internal.take_digits(v.id, params->>'CallSid',
            -- a redirection of ours has them in its URL
            coalesce(params->>'Digits', replace(substring(query FROM '&digits=([^&]*)'), '%23', '#')), query ~ '&for=challenge(&|$)',
                e.options);
    WHEN 'status' THEN
        PERFORM mulberry_internal.take_call_status(v.id, params);
    WHEN 'recording' THEN
        PERFORM mulberry_internal.take_recording_status(v.id, params);
    END CASE;
    INSERT INTO mulberry_internal.webhook_answers (voice_call, key, status, content_type, body)
    SELECT v.id, k, take_webhook.status, take_webhook.content_type, take_webhook.body FROM unnest(keys) AS k;
END
$$;
COMMENT ON FUNCTION take_webhook(voice_calls, endpoints, text, text, jsonb, text) IS
    'takes a genuine webhook of a call that was placed, once; a replay gets the answer of the first time (internal)';

CREATE OR REPLACE FUNCTION of_account(e endpoints, params jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN coalesce(params->>'AccountSid' = e.options->>'account_sid' AND params->>'CallSid' ~ '^CA[0-9a-f]{32}$', false);
COMMENT ON FUNCTION of_account(endpoints, jsonb) IS 'whether a webhook is of a call of the account of an endpoint (internal)';

CREATE OR REPLACE FUNCTION account_secrets(e endpoints) RETURNS SETOF text
LANGUAGE sql IMMUTABLE
AS $$ SELECT $1.secret UNION ALL SELECT $1.options->>'previous_secret' WHERE $1.options ? 'previous_secret' $$;
COMMENT ON FUNCTION account_secrets(endpoints) IS
    'the names of the auth tokens that webhooks of an endpoint may be signed with: its own and, while that is rotated, the one before '
    '(internal)';

CREATE OR REPLACE FUNCTION requested_url(e endpoints, url text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN url !~ '^/' THEN url
            WHEN starts_with(url, substring(e.options->>'public_url' FROM '^https?://[^/]+(/.*)?$') || '/twilio/')
            THEN substring(e.options->>'public_url' FROM '^https?://[^/]+') || url
            ELSE coalesce(e.options->>'public_url', 'https://localhost') || url END;
COMMENT ON FUNCTION requested_url(endpoints, text) IS
    'a URL as Twilio requested it: a path and query alone are completed by the public URL of an endpoint, with the path that this may have '
    'in front of /twilio/ or without it (internal)';

CREATE OR REPLACE FUNCTION mulberry.handle_twilio_webhook(url text, params jsonb, signature text, idempotency_token text DEFAULT NULL,
                                      OUT status integer, OUT content_type text, OUT body text)
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    parts   text[];
    v       mulberry_internal.voice_calls;
    e       mulberry_internal.endpoints;
    genuine boolean;
BEGIN
    PERFORM mulberry_internal.check_texts('url', handle_twilio_webhook.url,
        'signature', handle_twilio_webhook.signature, 'idempotency_token', handle_twilio_webhook.idempotency_token);
    PERFORM mulberry_internal.check_json('params', handle_twilio_webhook.params);
    IF url IS NULL OR params IS NULL THEN
        RAISE EXCEPTION 'url and params must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    parts := regexp_match(url, E'/twilio/(ack|status|recording)\\?([^#]*)(?:#.*)?$');
    content_type := CASE WHEN url ~ '/twilio/ack' THEN 'text/xml' ELSE 'text/plain' END;
    body := CASE WHEN url ~ '/twilio/ack' THEN mulberry.twiml('[]') ELSE '' END;

    SELECT x.* INTO v FROM mulberry_internal.voice_calls x
     WHERE x.token = substring('&' || parts[2] FROM '&token=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:&|$)')::uuid
       AND x.tenant = ANY (mulberry.current_tenants('gateway'));
    e := mulberry_internal.telephony_endpoint(v.tenant);
    -- each is tried, whether there is such a call or not, and whichever fits: the answer's time says nothing
    SELECT bool_or(mulberry_internal.check_twilio_signature(mulberry_internal.secret_tenant(e.tenant, s.name, v.tenant), s.name,
               mulberry_internal.requested_url(e, url), params, signature)) INTO genuine
      FROM mulberry_internal.account_secrets(e) AS s (name);
    IF v.id IS NULL THEN
        status := 404;
    ELSIF NOT genuine OR NOT mulberry_internal.of_account(e, params) THEN
        status := 403;
    ELSE
        SELECT w.* INTO status, content_type, body
          FROM mulberry_internal.take_webhook(v, e, parts[1], '&' || parts[2], params, idempotency_token) AS w;
    END IF;
END
$$;
COMMENT ON FUNCTION mulberry.handle_twilio_webhook(text, jsonb, text, text) IS
    'answers a webhook of Twilio for a call that was placed: url as Twilio requested it (or path and query, which the endpoint''s '
    'public_url completes), params the decoded form {"name": "value" or ["value", ...]}, signature the header X-Twilio-Signature, '
    'idempotency_token I-Twilio-Idempotency-Token. Paths /twilio/ack, /twilio/status, /twilio/recording. 403: not signed by the account '
    'of the call; 404: no such call; a replay gets the answer of the first time. What is answered is on disk. Needs gateway access. '
    'Errors: 22004, 22023 parameters that are no form';

-- A call that is not the one we know of: the one that was asked for without an answer, or a stray one.
CREATE OR REPLACE FUNCTION meet_call(voice_call bigint, call_sid text) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v mulberry_internal.voice_calls;
BEGIN
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    IF v.sid = call_sid THEN
        RETURN true;
    ELSIF v.sid IS NULL AND v.requested_at IS NOT NULL AND v.finished_at IS NULL THEN
        IF v.state = 'planned' THEN
            -- taken for not placed; it counts after all
            UPDATE mulberry_internal.voice_calls x SET state = 'uncertain', placings = greatest(x.placings, 1) WHERE x.id = v.id;
        END IF;
        PERFORM mulberry_internal.advance_voice_call(v.id, call_sid, 'queued');
        RETURN true;
    ELSIF NOT EXISTS (SELECT FROM mulberry_internal.voice_calls k WHERE k.sid = call_sid OR call_sid = ANY (k.stray_sids)) THEN
        UPDATE mulberry_internal.voice_calls x SET stray_sids = x.stray_sids || call_sid WHERE x.id = v.id;
        IF EXISTS (SELECT FROM mulberry_internal.job_queue q WHERE q.id = v.job) THEN
            PERFORM mulberry_internal.wake_voice_call(v.id);
        ELSE
            UPDATE mulberry_internal.voice_calls x
               SET job = mulberry_internal.enqueue_job('call', v.tenant, NULL, NULL, jsonb_build_object('voice_call', v.id))
             WHERE x.id = v.id;
        END IF;
    END IF;
    RETURN false;
END
$$;
COMMENT ON FUNCTION meet_call(bigint, text) IS
    'whether a webhook is of the call that is known; it becomes known when its request had no answer, and is ended when there is another '
    '(internal)';

CREATE OR REPLACE FUNCTION take_call_status(voice_call bigint, params jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    call_status CONSTANT text := params->>'CallStatus';
    number      CONSTANT integer := CASE WHEN params->>'SequenceNumber' ~ '^[0-9]{1,9}$' THEN (params->>'SequenceNumber')::integer END;
    v           mulberry_internal.voice_calls;
BEGIN
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    -- one that was taken over by a later attempt is known there
    SELECT coalesce(max(x.id), v.id) INTO v.id FROM mulberry_internal.voice_calls x
     WHERE x.command = v.command AND x.sid = params->>'CallSid';
    IF mulberry_internal.voice_call_rank(call_status) = 6 AND v.sid IS DISTINCT FROM params->>'CallSid' AND v.sid IS NOT NULL THEN
        RETURN;    -- a stray call has ended
    END IF;
    IF NOT mulberry_internal.meet_call(v.id, params->>'CallSid') THEN
        RETURN;
    END IF;
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = v.id;
    IF number <= v.sequence THEN
        RETURN;
    END IF;
    UPDATE mulberry_internal.voice_calls x SET sequence = coalesce(number, x.sequence) WHERE x.id = v.id;
    PERFORM mulberry_internal.advance_voice_call(v.id, NULL, call_status, params->>'AnsweredBy',
        'SIP response ' || (params->>'SipResponseCode'));
END
$$;
COMMENT ON FUNCTION take_call_status(bigint, jsonb) IS 'takes a status callback, unless a later one has come before it (internal)';

CREATE OR REPLACE FUNCTION take_recording_status(voice_call bigint, params jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE mulberry_internal.voice_calls v SET recording_sid = params->>'RecordingSid'
     WHERE v.id = voice_call AND v.sid = params->>'CallSid' AND params->>'RecordingStatus' = 'completed'
       AND params->>'RecordingSid' ~ '^RE[0-9a-f]{32}$' AND v.recording_sid IS NULL;
    IF FOUND THEN
        PERFORM mulberry_internal.wake_voice_call(v.id) FROM mulberry_internal.voice_calls v
          WHERE v.id = voice_call AND mulberry_internal.voice_call_rank(v.state) = 6;
    ELSIF params->>'RecordingStatus' IN ('absent', 'failed') THEN
        PERFORM mulberry_internal.unheard(v, 'there is no recording') FROM mulberry_internal.voice_calls v
          WHERE v.id = voice_call AND v.sid = params->>'CallSid' AND v.state = 'completed' AND v.finished_at IS NULL
            AND v.listen_job IS NULL AND v.purpose = 'command';
    END IF;
END
$$;
COMMENT ON FUNCTION take_recording_status(bigint, jsonb) IS 'takes a recording callback: what is ready is fetched at once (internal)';

CREATE OR REPLACE FUNCTION take_digits(voice_call bigint, call_sid text, digits text, answers_challenge boolean, options jsonb) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    rounds   CONSTANT integer := 5;    -- answered beside the repetitions that the call began with
    thanks   CONSTANT jsonb := jsonb_build_array(mulberry_internal.say_verb('Thank you', options), '{"verb": "hangup"}'::jsonb);
    s        record;
    v        mulberry_internal.voice_calls;
    evidence CONSTANT jsonb := jsonb_build_object('call_sid', call_sid, 'digits', left(digits, 100));
    verdict  text;
    symbols  text;
BEGIN
    SELECT * INTO s FROM mulberry_internal.telephony_settings(options);
    PERFORM mulberry_internal.meet_call(voice_call, call_sid);
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    digits := regexp_replace(coalesce(digits, ''), '[^0-9A-D*#]', '', 'g');
    IF v.purpose = 'escalation' THEN
        IF digits <> '' AND NOT v.acknowledged THEN
            UPDATE mulberry_internal.voice_calls x SET acknowledged = true WHERE x.id = v.id;
            PERFORM mulberry_internal.emit_event(v.tenant, 'escalation_acknowledged', NULL, NULL,
                jsonb_build_object('command_id', v.command, 'phone', v.to_number, 'call_sid', call_sid));
        END IF;
        RETURN mulberry.twiml(thanks);
    END IF;
    IF NOT mulberry_internal.voice_call_wanted(v) THEN
        RETURN mulberry.twiml(thanks);
    END IF;

    IF answers_challenge THEN
        verdict := mulberry_internal.accept_challenge(v.command, digits);
    ELSE
        -- Twilio keeps the key that ended it to itself.
        symbols := coalesce((regexp_match(digits || '#', E'\\*[0-9]{20}#'))[1], CASE WHEN digits ~ '#$' THEN digits ELSE digits || '#' END);
        verdict := mulberry_internal.accept_ack(v.command, symbols, 'voice', evidence);
    END IF;
    IF NOT mulberry_internal.voice_call_wanted(v) THEN
        -- Settled, or signed anew for the challenge that was answered.
        UPDATE mulberry_internal.voice_calls x SET frame = c.frame
          FROM mulberry_internal.commands c
         WHERE x.id = v.id AND c.id = v.command AND c.state = 'outstanding' AND x.finished_at IS NULL
     RETURNING x.frame INTO v.frame;
        IF NOT FOUND THEN
            UPDATE mulberry_internal.voice_calls x SET acknowledged = true WHERE x.id = v.id;
            RETURN mulberry.twiml(thanks);
        END IF;
    END IF;

    UPDATE mulberry_internal.voice_calls x SET turn = x.turn + 2 WHERE x.id = v.id
        AND x.turn < s.repetitions + 2 * rounds RETURNING x.turn INTO v.turn;
    IF NOT FOUND THEN
        RETURN mulberry.twiml(jsonb_build_array(mulberry_internal.say_verb('Goodbye', options), '{"verb": "hangup"}'::jsonb));
    END IF;
    IF verdict = 'challenge wanted' THEN
        RETURN mulberry.twiml(jsonb_build_array(
            mulberry_internal.gather_verb(s.public_url, v.token, v.turn - 1, 'challenge'),
            mulberry_internal.play_verb(v.frame), mulberry_internal.gather_verb(s.public_url, v.token, v.turn, 'acknowledgement'),
            '{"verb": "hangup"}'::jsonb));
    END IF;
    RETURN mulberry.twiml(jsonb_build_array(
        mulberry_internal.play_verb(v.frame), mulberry_internal.gather_verb(s.public_url, v.token, v.turn - 1, 'acknowledgement'),
        mulberry_internal.play_verb(v.frame), mulberry_internal.gather_verb(s.public_url, v.token, v.turn, 'acknowledgement'),
        '{"verb": "hangup"}'::jsonb));
END
$$;
COMMENT ON FUNCTION take_digits(bigint, text, text, boolean, jsonb) IS
    'takes the digits that were gathered and says, in TwiML, how the call goes on: thanks when the command is settled, the digits of a '
    'challenge when one is wanted, else the frame once more, five times at most (internal)';
