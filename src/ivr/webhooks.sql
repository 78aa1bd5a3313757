-- Webhooks of calls that come in.  Locks are taken in the order call, what is heard in it.

CREATE OR REPLACE FUNCTION signed_by_account(tenant uuid, e endpoints, url text, content_type text, body bytea, signature text)
RETURNS boolean
LANGUAGE sql
AS $$
    -- each is tried, whichever fits: the answer's time says nothing
    SELECT bool_or(mulberry_internal.check_twilio_body(mulberry_internal.secret_tenant(e.tenant, s.name, $1), s.name, $3, $4, $5, $6))
      FROM mulberry_internal.account_secrets(e) AS s (name)
$$;
COMMENT ON FUNCTION signed_by_account(uuid, endpoints, text, text, bytea, text) IS
    'whether a request is signed with the auth token of an endpoint, or the one before it while it is rotated (internal)';

CREATE OR REPLACE FUNCTION meet_inbound_call(owner uuid, params jsonb) RETURNS inbound_calls
LANGUAGE plpgsql
AS $$
DECLARE
    i mulberry_internal.inbound_calls;
BEGIN
    INSERT INTO mulberry_internal.inbound_calls (tenant, sid, number, caller, version, place)
    SELECT owner, params->>'CallSid', coalesce(params->>'To', params->>'Called'), nullif(left(coalesce(params->>'From',
        params->>'Caller'), 255), ''),
           v.version, '{"node": "begin"}'
      FROM mulberry_internal.telephony_version(owner) AS v
    ON CONFLICT ON CONSTRAINT inbound_calls_tenant_sid_key DO NOTHING;
    SELECT x.* INTO STRICT i FROM mulberry_internal.inbound_calls x WHERE x.tenant = owner AND x.sid = params->>'CallSid' FOR UPDATE;
    RETURN i;
END
$$;
COMMENT ON FUNCTION meet_inbound_call(uuid, jsonb) IS
    'the row of a call that comes in, locked; a new one gets the settings that hold now for all of its time (internal)';

CREATE OR REPLACE FUNCTION tell_inbound_call(i inbound_calls, seconds integer DEFAULT NULL) RETURNS void
LANGUAGE sql
AS $$
    SELECT mulberry_internal.emit_event(i.tenant, 'inbound_call', NULL, i.sid, jsonb_strip_nulls(jsonb_build_object('call_sid', i.sid,
               'from_number', i.caller, 'to_number', i.number, 'status', i.state, 'settings_version', i.version, 'seconds', $2)))
$$;
COMMENT ON FUNCTION tell_inbound_call(inbound_calls, integer) IS 'stores the event of a call that came in, or went on (internal)';

CREATE OR REPLACE FUNCTION go_on(INOUT i inbound_calls, base text, input jsonb, OUT document text)
LANGUAGE plpgsql
AS $$
DECLARE
    at       CONSTANT timestamptz := clock_timestamp();
    settings jsonb;
    made     record;
BEGIN
    SELECT v.settings INTO STRICT settings FROM mulberry_internal.telephony_versions v WHERE v.tenant = i.tenant AND v.version = i.version;
    made := mulberry_internal.ivr_next(settings,
        mulberry_internal.ivr_context(settings, base, i.token, i.turn + 1, i.sid, i.number, i.caller, i.version, i.created_at, at,
            i.recorded),
        i.place, input || jsonb_build_object('emergency', i.place->>'node' = 'agent' AND mulberry_internal.has_emergency(i.tenant, i.sid)));
    document := mulberry.twiml(made.verbs);
    UPDATE mulberry_internal.inbound_calls x
       SET place = made.next_place, turn = x.turn + 1, consent = coalesce((made.deed->>'consent')::boolean, x.consent),
           recorded = x.recorded OR made.deed ? 'recorded'
     WHERE x.id = i.id RETURNING x.* INTO i;
    IF made.deed ? 'key' THEN
        PERFORM mulberry_internal.emit_event(i.tenant, 'inbound_key', NULL, i.sid, jsonb_build_object('call_sid', i.sid,
            'menu', made.deed->'menu', 'key', made.deed->'key', 'action', made.deed->'action'));
    END IF;
    IF made.deed ? 'emergency' THEN
        PERFORM mulberry_internal.note_emergency(i.tenant, i.sid, NULL, 'key ' || (made.deed->>'key'), NULL, 'key',
            format('key %s of menu %s', made.deed->>'key', made.deed->>'menu'));
    END IF;
    IF made.deed ? 'transfer' THEN
        PERFORM mulberry_internal.emit_event(i.tenant, 'inbound_transfer', NULL, i.sid, jsonb_build_object('call_sid', i.sid,
            'status', made.deed->'transfer'));
    END IF;
END
$$;
COMMENT ON FUNCTION go_on(inbound_calls, text, jsonb) IS
    'takes a call that came in one step on, by the settings that it began with, and returns what is heard next (internal)';

CREATE OR REPLACE FUNCTION take_inbound_status(i inbound_calls, params jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    rank         CONSTANT integer := mulberry_internal.voice_call_rank(params->>'CallStatus');
    order_number CONSTANT integer := CASE WHEN params->>'SequenceNumber' ~ '^[0-9]{1,9}$' THEN (params->>'SequenceNumber')::integer END;
BEGIN
    IF rank IS NULL OR rank < 3 OR order_number <= i.sequence OR rank <= mulberry_internal.voice_call_rank(i.state) THEN
        RETURN;
    END IF;
    UPDATE mulberry_internal.inbound_calls x
       SET sequence = coalesce(order_number, x.sequence), state = params->>'CallStatus',
           ended_at = CASE WHEN rank = 6 THEN clock_timestamp() END
     WHERE x.id = i.id RETURNING x.* INTO i;
    PERFORM mulberry_internal.tell_inbound_call(i,
        CASE WHEN params->>'CallDuration' ~ '^[0-9]{1,6}$' THEN (params->>'CallDuration')::integer END);
END
$$;
COMMENT ON FUNCTION take_inbound_status(inbound_calls, jsonb) IS
    'takes a status callback of a call that came in; what is old, or not known, changes nothing (internal)';

CREATE OR REPLACE FUNCTION take_inbound_recording(i inbound_calls, params jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF params->>'RecordingStatus' IS DISTINCT FROM 'completed' OR coalesce(params->>'RecordingSid', '') !~ '^RE[0-9a-f]{32}$'
       OR params->>'RecordingSid' = ANY (i.recordings) THEN
        RETURN;
    END IF;
    UPDATE mulberry_internal.inbound_calls x SET recordings = x.recordings || (params->>'RecordingSid') WHERE x.id = i.id;
    PERFORM mulberry_internal.enqueue_job('fetch', i.tenant, NULL, NULL, jsonb_build_object('call_sid', i.sid,
        'recording_sid', params->>'RecordingSid',
        'started_at', clock_timestamp() - make_interval(secs => CASE WHEN params->>'RecordingDuration' ~ '^[0-9]{1,6}$'
            THEN (params->>'RecordingDuration')::integer ELSE 0 END)));
    PERFORM mulberry_internal.emit_event(i.tenant, 'inbound_recording', NULL, i.sid, jsonb_strip_nulls(jsonb_build_object(
        'call_sid', i.sid, 'recording_sid', params->>'RecordingSid',
        'seconds', CASE WHEN params->>'RecordingDuration' ~ '^[0-9]{1,6}$' THEN (params->>'RecordingDuration')::integer END,
        'channels', CASE WHEN params->>'RecordingChannels' ~ '^[12]$' THEN (params->>'RecordingChannels')::integer END)));
END
$$;
COMMENT ON FUNCTION take_inbound_recording(inbound_calls, jsonb) IS
    'takes a recording callback: notes that it is there, and has it fetched, once. Its URL is not looked at: the account is asked for it '
    'by its name (internal)';

CREATE OR REPLACE FUNCTION json_parameters(body bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each_text(convert_from(body, 'UTF8')::jsonb) AS e);
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION json_parameters(bytea) IS 'the members of a JSON object as texts; null: it is none (internal)';

CREATE OR REPLACE FUNCTION take_transcription(i inbound_calls, params jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF params->>'TranscriptionStatus' = 'completed' AND params->>'TranscriptionText' <> '' THEN
        UPDATE mulberry_internal.inbound_calls x SET transcript = left(concat_ws(E'\n', x.transcript, params->>'TranscriptionText'), 10000)
         WHERE x.id = i.id;
        PERFORM mulberry_internal.note_emergencies(i.tenant, i.sid, NULL, params->>'TranscriptionText', 'transcript');
    END IF;
END
$$;
COMMENT ON FUNCTION take_transcription(inbound_calls, jsonb) IS 'takes what Twilio heard in a recording (internal)';

-- What a caller hears when something goes wrong here.
CREATE OR REPLACE FUNCTION apology(url text, digits text, wait boolean) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN mulberry.twiml(CASE
    -- somebody else is busy with this call for a moment; a redirection has no digits but those in its URL
    WHEN wait THEN jsonb_build_array(mulberry.twiml_pause(1), mulberry.twiml_redirect(
        CASE WHEN digits <> '' AND url !~ '[?&]digits=' THEN replace(url, '?', format('?digits=%s&', replace(digits, '#',
            '%23'))) ELSE url END,
        'POST'))
    ELSE jsonb_build_array(mulberry.twiml_say(mulberry_internal.ivr_sentence('{}', 'unavailable')), mulberry.twiml_hangup()) END);
COMMENT ON FUNCTION apology(text, text, boolean) IS
    'the TwiML of a webhook that failed: try again in a second, or an apology and the end of the call (internal)';

CREATE OR REPLACE FUNCTION answer_inbound(owner uuid, i inbound_calls, kind text, query text, base text, params jsonb,
    idempotency_token text, OUT status integer, OUT document text)
LANGUAGE plpgsql
AS $$
DECLARE
    step   CONSTANT text := substring(query FROM '&step=([0-9]{1,9})(?:&|$)');
    digits CONSTANT text := regexp_replace(coalesce(params->>'Digits', replace(substring(query FROM '&digits=([^&]*)'), '%23', '#'), ''),
                                           '[^0-9*#]', '', 'g');
    keys   text[];
    made   record;
BEGIN
    IF i.id IS NULL AND kind = 'voice' THEN
        i := mulberry_internal.meet_inbound_call(owner, params);
    ELSE
        SELECT x.* INTO i FROM mulberry_internal.inbound_calls x
         WHERE x.id = i.id OR (x.tenant = owner AND x.sid = params->>'CallSid') FOR UPDATE;
    END IF;
    status := CASE WHEN kind IN ('voice', 'dtmf', 'transfer') THEN 200 ELSE 204 END;
    IF i.id IS NULL THEN
        -- the status of a call that was never answered here
        document := '';
        RETURN;
    END IF;
    keys := array_remove(ARRAY[format('token %s ', kind) || nullif(idempotency_token, ''), concat_ws(' ', kind, i.sid, CASE kind
        WHEN 'dtmf' THEN step
        WHEN 'transfer' THEN step
        WHEN 'status' THEN coalesce(params->>'SequenceNumber', params->>'CallStatus')
        WHEN 'recording' THEN concat_ws(' ', params->>'RecordingSid', params->>'RecordingStatus')
        WHEN 'transcription' THEN params->>'TranscriptionSid' END)], NULL);
    SELECT w.status, w.body INTO made FROM mulberry_internal.webhook_answers w
     WHERE w.voice_call = i.id AND w.key = ANY (keys) LIMIT 1;
    IF FOUND THEN
        status := made.status;
        document := made.body;
        RETURN;
    END IF;
    CASE kind
    WHEN 'voice' THEN
        IF i.turn > 0 THEN
            -- it came before, and what was answered is forgotten
            status := 404;
            document := mulberry.twiml('[]');
            RETURN;
        END IF;
        made := mulberry_internal.go_on(i, base, '{}');
        document := made.document;
        PERFORM mulberry_internal.tell_inbound_call(made.i);
    WHEN 'dtmf', 'transfer' THEN
        IF step IS NULL OR step::integer <> i.turn OR i.ended_at IS NOT NULL THEN
            status := 404;
            document := mulberry.twiml('[]');
            RETURN;
        END IF;
        document := (mulberry_internal.go_on(i, base, jsonb_strip_nulls(jsonb_build_object('digits', digits,
            'dial_status', params->>'DialCallStatus')))).document;
    WHEN 'status' THEN
        PERFORM mulberry_internal.take_inbound_status(i, params);
    WHEN 'recording' THEN
        PERFORM mulberry_internal.take_inbound_recording(i, params);
    WHEN 'transcription' THEN
        PERFORM mulberry_internal.take_transcription(i, params);
    END CASE;
    document := coalesce(document, '');
    INSERT INTO mulberry_internal.webhook_answers (voice_call, key, status, content_type, body)
    SELECT i.id, k, answer_inbound.status, CASE answer_inbound.status WHEN 200 THEN 'text/xml' ELSE 'text/plain' END, document
      FROM unnest(keys) AS k;
END
$$;
COMMENT ON FUNCTION answer_inbound(uuid, inbound_calls, text, text, text, jsonb, text) IS
    'answers a genuine webhook of a call that comes in, once; a replay gets the answer of the first time (internal)';

CREATE OR REPLACE FUNCTION mulberry.handle_twilio_request(url text, request_body bytea, request_type text, signature text,
    idempotency_token text DEFAULT NULL, OUT status integer, OUT content_type text, OUT body text)
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '500ms'
AS $$
DECLARE
    parts   text[];
    kind    text;
    query   text;
    params  jsonb;
    named   uuid;
    owner   uuid;
    claimant uuid;
    genuine boolean;
    v       mulberry_internal.voice_calls;
    i       mulberry_internal.inbound_calls;
    e       mulberry_internal.endpoints;
    spoken  boolean;
    problem text;
BEGIN
    PERFORM mulberry_internal.check_texts('url', handle_twilio_request.url, 'request_type', handle_twilio_request.request_type,
        'signature', handle_twilio_request.signature, 'idempotency_token', handle_twilio_request.idempotency_token);
    IF url IS NULL OR request_body IS NULL THEN
        RAISE EXCEPTION 'url and request_body must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF length(request_body) > 65536 THEN
        RAISE EXCEPTION 'request_body is too long' USING ERRCODE = 'string_data_right_truncation',
            DETAIL = format('It may have at most 65536 bytes and has %s.', length(request_body));
    END IF;
    parts := regexp_match(url, E'/twilio/(voice|dtmf|status|recording|transcription|transfer|ack)(?:\\?([^#]*))?(?:#.*)?$');
    kind := parts[1];
    query := '&' || coalesce(parts[2], '');
    spoken := coalesce(kind IN ('voice', 'dtmf', 'transfer', 'ack'), false);
    named := substring(query FROM '&token=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:&|$)')::uuid;
    -- a request without a body has them in its query: GET
    params := coalesce(CASE WHEN length(request_body) > 0
                            THEN coalesce(mulberry_internal.twilio_parameters(coalesce(request_type, ''), request_body),
                                          mulberry_internal.json_parameters(request_body))
                            ELSE mulberry_internal.twilio_parameters('application/x-www-form-urlencoded',
                                     convert_to(substr(query, 2), 'UTF8')) END, '{}');
    content_type := CASE WHEN spoken THEN 'text/xml' ELSE 'text/plain' END;
    body := CASE WHEN spoken THEN mulberry.twiml('[]') ELSE '' END;
    IF kind IS NULL THEN
        status := 404;
        RETURN;
    END IF;

    -- a call that was placed, or came in
    SELECT x.* INTO v FROM mulberry_internal.voice_calls x
     WHERE x.token = named AND x.tenant = ANY (mulberry.current_tenants('gateway'));
    SELECT x.* INTO i FROM mulberry_internal.inbound_calls x
     WHERE x.token = named AND x.tenant = ANY (mulberry.current_tenants('gateway'));
    owner := coalesce(v.tenant, i.tenant);
    IF named IS NULL AND kind IN ('voice', 'status') THEN
        -- whose a number is its account says, not who names it first
        FOR claimant IN SELECT n.tenant FROM mulberry_internal.phone_numbers n
                         WHERE n.number = coalesce(params->>'To', params->>'Called') COLLATE "C"
                           AND n.tenant = ANY (mulberry.current_tenants('gateway'))
                         ORDER BY n.created_at, n.tenant LOOP
            e := mulberry_internal.telephony_endpoint(claimant);
            CONTINUE WHEN NOT mulberry_internal.of_account(e, params);
            owner := claimant;
            genuine := mulberry_internal.signed_by_account(owner, e, mulberry_internal.requested_url(e, url),
                           coalesce(request_type, ''), request_body, signature);
            EXIT WHEN genuine;
        END LOOP;
    END IF;
    e := mulberry_internal.telephony_endpoint(owner);
    url := mulberry_internal.requested_url(e, url);
    -- the same work, and the same answer, whether there is such a number or call or not
    IF NOT coalesce(genuine, mulberry_internal.signed_by_account(owner, e, url, coalesce(request_type, ''), request_body, signature))
       OR NOT mulberry_internal.of_account(e, params) OR params->>'CallSid' <> i.sid THEN
        status := 403;
        RETURN;
    ELSIF (kind = 'ack' AND v.id IS NULL) OR (kind NOT IN ('ack', 'status', 'recording') AND v.id IS NOT NULL) THEN
        status := 404;
        RETURN;
    END IF;
    BEGIN
        IF v.id IS NOT NULL THEN
            SELECT w.* INTO status, content_type, body
              FROM mulberry_internal.take_webhook(v, e, kind, query, params, idempotency_token) AS w;
        ELSE
            SELECT a.status, a.document INTO status, body
              FROM mulberry_internal.answer_inbound(owner, i, kind, query,
                       coalesce(e.options->>'public_url', substring(url FROM '^(https?://.*)/twilio/')), params, idempotency_token) AS a;
        END IF;
    EXCEPTION
        WHEN lock_not_available THEN
            -- a client holds the call, or its agent
            status := CASE WHEN spoken THEN 200 ELSE 503 END;
            body := CASE WHEN spoken
                THEN mulberry_internal.apology(url, regexp_replace(params->>'Digits', '[^0-9A-D*#]', '', 'g'), true) ELSE '' END;
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT;
            RAISE WARNING 'webhook /twilio/% failed: %', kind, problem USING ERRCODE = SQLSTATE;
            status := CASE WHEN spoken THEN 200 ELSE 503 END;
            body := CASE WHEN spoken THEN mulberry_internal.apology(url, NULL, false) ELSE '' END;
    END;
END
$$;
COMMENT ON FUNCTION mulberry.handle_twilio_request(text, bytea, text, text, text) IS
    'answers a webhook of Twilio, of a call that comes in or was placed: url as Twilio requested it (or path and query, which the '
    'endpoint''s public_url completes), request_body and request_type as they came, signature the header X-Twilio-Signature, '
    'idempotency_token I-Twilio-Idempotency-Token. Paths /twilio/voice, dtmf, status, recording, transcription, transfer, ack. The tenant '
    'is that of the call, or the one who named the number first among those whose account signed it. 403: not signed with its auth token, '
    'or the one before it; 404: out of turn; 503: not now; a replay gets the answer of the first time. It waits for nobody longer than '
    '0.5 s: then what is spoken is asked for '
    'again a second later. What is answered is on disk. Needs gateway access';
