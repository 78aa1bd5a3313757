-- Audio of calls that come in, both ways, as a stream: who may open one, what is heard first, and what became of it.

CREATE OR REPLACE FUNCTION mulberry.offer_media(call_id text DEFAULT NULL, from_number text DEFAULT NULL, to_number text DEFAULT NULL,
    tenant text DEFAULT NULL) RETURNS uuid
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner   CONSTANT uuid := mulberry_internal.resolve_tenant(offer_media.tenant, 'ingest');
    name    CONSTANT text := coalesce(offer_media.call_id, 'pbx-' || gen_random_uuid());
    version CONSTANT integer := (mulberry_internal.telephony_version(owner)).version;
    made    uuid;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', offer_media.call_id, 'from_number', offer_media.from_number,
        'to_number', offer_media.to_number);
    IF version IS NULL THEN
        RAISE EXCEPTION 'the tenant has no telephony settings' USING ERRCODE = 'undefined_object',
            HINT = 'set_telephony() makes the first ones.';
    ELSIF name = '' OR name ~ '^CA[0-9a-f]{32}$' THEN
        RAISE EXCEPTION 'invalid call id "%"', name USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'It must not be empty, and those of the form CA and 32 hexadecimal digits are Twilio''s.';
    END IF;
    INSERT INTO mulberry_internal.inbound_calls (tenant, sid, number, caller, version, place, state)
    VALUES (owner, name, coalesce(nullif(offer_media.to_number, ''), 'unknown'), nullif(offer_media.from_number, ''), version,
        '{"node": "begin"}', 'queued')
    ON CONFLICT ON CONSTRAINT inbound_calls_tenant_sid_key DO NOTHING
    RETURNING token INTO made;
    IF made IS NULL THEN
        RAISE EXCEPTION 'call "%" exists', name USING ERRCODE = 'unique_violation';
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION mulberry.offer_media(text, text, text, text) IS
    'tells of a call that a telephone system is about to bring as a stream of audio (AudioSocket, chan_websocket), and returns the token '
    'that opens it, once and within 60 seconds. call_id null: one is made up. Needs ingest access. Errors: 42704 the tenant has no '
    'telephony settings, 23505 there is such a call, 22023';

CREATE OR REPLACE FUNCTION mulberry.check_media_handshake(url text, signature text) RETURNS boolean
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    tenants CONSTANT uuid[] := mulberry.current_tenants('gateway');
BEGIN
    PERFORM mulberry_internal.check_texts('url', check_media_handshake.url, 'signature', check_media_handshake.signature);
    IF tenants = '{}' THEN
        PERFORM mulberry_internal.resolve_tenant(NULL, 'gateway');
    END IF;
    -- the accounts of those who have a call that waits for its stream; all of them are tried, and nobody's where there is none
    RETURN (SELECT coalesce(bool_or(mulberry_internal.check_twilio_socket(mulberry_internal.secret_tenant((w.e).tenant, s.name, w.tenant),
                       s.name, mulberry_internal.requested_url(w.e, check_media_handshake.url), check_media_handshake.signature)), false)
              FROM (SELECT i.tenant, mulberry_internal.telephony_endpoint(i.tenant) AS e
                      FROM (SELECT DISTINCT x.tenant FROM mulberry_internal.inbound_calls x
                             WHERE x.tenant = ANY (tenants) AND x.place->>'node' = 'agent' AND x.ended_at IS NULL
                               AND x.created_at > clock_timestamp() - interval '5 hours'
                             UNION ALL SELECT NULL) AS i) AS w
              LEFT JOIN LATERAL mulberry_internal.account_secrets(w.e) AS s (name) ON true);
END
$$;
COMMENT ON FUNCTION mulberry.check_media_handshake(text, text) IS
    'whether the upgrade to a WebSocket is signed by the account of any tenant that has a call that waits for its stream: url as Twilio '
    'requested it (or its path), signature the header X-Twilio-Signature. begin_media() then asks whose the call is. Needs gateway access';

-- What is said first, as far as there is audio for it, and what there is none for.
CREATE OR REPLACE FUNCTION media_opening(tenant uuid, sentences text[], OUT audio bytea, OUT unsaid text[])
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(string_agg(mulberry_internal.prompt_of($1, s.text), ''::bytea ORDER BY s.n), ''::bytea),
           coalesce(array_agg(s.text ORDER BY s.n) FILTER (WHERE mulberry_internal.prompt_of($1, s.text) IS NULL), '{}')
      FROM unnest($2) WITH ORDINALITY AS s (text, n) WHERE s.text IS NOT NULL
$$;
COMMENT ON FUNCTION media_opening(uuid, text[]) IS 'the audio of sentences behind each other, and those that have none (internal)';

CREATE OR REPLACE FUNCTION keep_media(m media_sessions, i inbound_calls, owner_name text) RETURNS void
LANGUAGE sql
AS $$
    SELECT mulberry.begin_call($1.call_id, 'inbound', $2.caller, nullif($2.number, ''), encoding => $1.encoding,
        sample_rate => 8000, tracks => '{caller,agent}', tenant => $3)
$$;
COMMENT ON FUNCTION keep_media(media_sessions, inbound_calls, text) IS 'begins the call that keeps the audio of a session (internal)';

CREATE OR REPLACE FUNCTION mulberry.begin_media(peer text, token text, url text DEFAULT NULL, signature text DEFAULT NULL,
    params jsonb DEFAULT NULL, encoding text DEFAULT 'mulaw', OUT refusal text, OUT session bigint, OUT tenant text, OUT call_id text,
    OUT recorded boolean, OUT seconds integer, OUT opening bytea, OUT unsaid text[])
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    i        mulberry_internal.inbound_calls;
    e        mulberry_internal.endpoints;
    m        mulberry_internal.media_sessions;
    settings jsonb;
    genuine  boolean;
BEGIN
    PERFORM mulberry_internal.check_texts('peer', begin_media.peer, 'token', begin_media.token, 'url', begin_media.url,
        'signature', begin_media.signature, 'encoding', begin_media.encoding);
    PERFORM mulberry_internal.check_json('params', begin_media.params);
    IF peer IS NULL OR peer NOT IN ('twilio', 'asterisk', 'audiosocket', 'jambonz') THEN
        RAISE EXCEPTION 'invalid peer "%"', peer USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'Allowed are twilio, asterisk, audiosocket and jambonz.';
    ELSIF encoding IS NULL OR encoding NOT IN ('mulaw', 's16le') THEN
        RAISE EXCEPTION 'invalid encoding "%"', encoding USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Allowed are mulaw and s16le.';
    END IF;
    SELECT x.* INTO i FROM mulberry_internal.inbound_calls x
     WHERE x.tenant = ANY (mulberry.current_tenants('gateway'))
       AND x.token = CASE WHEN begin_media.token ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN begin_media.token::uuid END
       FOR UPDATE;
    IF peer = 'twilio' THEN
        e := mulberry_internal.telephony_endpoint(i.tenant);
        SELECT bool_or(mulberry_internal.check_twilio_socket(mulberry_internal.secret_tenant(e.tenant, s.name, i.tenant), s.name,
                   mulberry_internal.requested_url(e, begin_media.url), begin_media.signature)) INTO genuine
          FROM mulberry_internal.account_secrets(e) AS s (name);
        refusal := CASE WHEN i.id IS NULL THEN 'there is no such token'
                        WHEN NOT genuine OR genuine IS NULL OR NOT mulberry_internal.of_account(e, params) OR params->>'CallSid' <> i.sid
                            THEN 'it is not the account of the call'
                        WHEN i.place->>'node' <> 'agent' OR i.ended_at IS NOT NULL THEN 'the call does not wait for a stream' END;
    ELSE
        refusal := CASE WHEN i.id IS NULL THEN 'there is no such token'
                        -- who shows the token has shown another one before, of a tenant
                        WHEN params ? 'tenant'
                             AND params->>'tenant' <> (SELECT t.name FROM mulberry_internal.tenants t WHERE t.id = i.tenant)
                            THEN 'there is no such token'
                        WHEN i.turn > 0 THEN 'the token has been used'
                        WHEN i.state <> 'queued' OR i.place->>'node' <> 'begin' THEN 'the call does not wait for a stream'
                        WHEN i.created_at < clock_timestamp() - interval '60 s' THEN 'the token has expired' END;
        IF refusal IS NULL THEN
            UPDATE mulberry_internal.inbound_calls x SET state = 'in-progress', turn = 1, place = '{"node": "agent", "misses": 0}'
             WHERE x.id = i.id RETURNING x.* INTO i;
            PERFORM mulberry_internal.tell_inbound_call(i);
        END IF;
    END IF;
    IF refusal IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT v.settings INTO STRICT settings FROM mulberry_internal.telephony_versions v WHERE v.tenant = i.tenant AND v.version = i.version;
    INSERT INTO mulberry_internal.media_sessions (inbound, turn, tenant, call_id, peer, encoding)
    SELECT i.id, i.turn, i.tenant, i.sid || CASE WHEN EXISTS (SELECT FROM mulberry_internal.media_sessions k WHERE k.inbound = i.id)
                                                 THEN '/' || i.turn ELSE '' END, begin_media.peer,
           begin_media.encoding
    ON CONFLICT ON CONSTRAINT media_sessions_inbound_turn_key DO NOTHING
    RETURNING * INTO m;
    IF m.id IS NULL THEN
        refusal := 'the token has been used';
        RETURN;
    END IF;
    SELECT t.name INTO STRICT tenant FROM mulberry_internal.tenants t WHERE t.id = i.tenant;
    session := m.id;
    call_id := m.call_id;
    recorded := i.recorded OR mulberry_internal.may_be_recorded(settings, i.consent);
    seconds := greatest(1, coalesce(mulberry_internal.whole_number(settings->'max_duration'), 3600)
                           - floor(extract(epoch FROM clock_timestamp() - i.created_at))::integer);
    SELECT o.audio, o.unsaid INTO opening, unsaid
      FROM mulberry_internal.media_opening(i.tenant, CASE WHEN peer <> 'twilio' THEN ARRAY[settings->>'greeting', settings->>'consent'] END
               || mulberry_internal.ivr_sentence(settings, 'agent')) AS o;
    IF recorded THEN
        PERFORM mulberry_internal.keep_media(m, i, tenant);
    END IF;
END
$$;
COMMENT ON FUNCTION mulberry.begin_media(text, text, text, text, jsonb, text) IS
    'opens the stream of a call that came in, by its token, once: peer twilio (url and signature of the upgrade, params AccountSid and '
    'CallSid), asterisk, audiosocket or jambonz (a token of offer_media()). refusal: why not; else session, whether its audio is kept '
    'in the call '
    'call_id with the tracks caller and agent, how many seconds it may last, and the audio (mu-law, 8000 a second) that is said first: '
    'the sentence "agent", where nobody has greeted yet after greeting and consent; unsaid are those that have no audio. Needs gateway '
    'access';

CREATE OR REPLACE FUNCTION media_call(session bigint, tenants uuid[], OUT m media_sessions, OUT i inbound_calls)
LANGUAGE plpgsql
AS $$
BEGIN
    SELECT x.* INTO m FROM mulberry_internal.media_sessions x
     WHERE x.id = session AND x.tenant = ANY (tenants);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'media session % does not exist', session USING ERRCODE = 'undefined_object';
    END IF;
    SELECT x.* INTO STRICT i FROM mulberry_internal.inbound_calls x WHERE x.id = m.inbound FOR UPDATE;
END
$$;
COMMENT ON FUNCTION media_call(bigint, uuid[]) IS 'a media session of these tenants, and its call, which is locked (internal)';

CREATE OR REPLACE FUNCTION mulberry.press_media_key(session bigint, digits text, OUT recorded boolean, OUT leave boolean, OUT says bytea,
    OUT unsaid text[])
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '500ms'
AS $$
DECLARE
    found     record;
    i         mulberry_internal.inbound_calls;
    m         mulberry_internal.media_sessions;
    settings  jsonb;
    sentences text[];
    key       jsonb;
BEGIN
    PERFORM mulberry_internal.check_texts('digits', press_media_key.digits);
    IF digits IS NULL OR digits COLLATE "C" !~ '^[0-9A-D*#]$' THEN
        RAISE EXCEPTION 'invalid digits "%"', digits USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'It is one of 0 to 9, A to D, * and #.';
    END IF;
    found := mulberry_internal.media_call(session, mulberry.current_tenants('gateway'));
    m := found.m;
    i := found.i;
    SELECT v.settings INTO STRICT settings FROM mulberry_internal.telephony_versions v WHERE v.tenant = i.tenant AND v.version = i.version;
    key := settings->'menus'->'main'->'keys'->digits;
    leave := false;
    IF m.ended_at IS NOT NULL OR i.ended_at IS NOT NULL THEN
        NULL;
    ELSIF m.peer <> 'twilio' AND i.consent IS NULL AND mulberry_internal.asks_consent(settings) AND digits IN ('1', '2') THEN
        -- others have not been asked before
        UPDATE mulberry_internal.inbound_calls x SET consent = digits = '1' WHERE x.id = i.id RETURNING x.* INTO i;
        IF mulberry_internal.may_be_recorded(settings, i.consent) THEN
            PERFORM mulberry_internal.keep_media(m, i, t.name) FROM mulberry_internal.tenants t WHERE t.id = i.tenant;
        ELSIF NOT i.consent AND (settings->>'consent_required')::boolean THEN
            leave := true;
            sentences := ARRAY[mulberry_internal.ivr_sentence(settings, 'consent_refused')];
        END IF;
    ELSIF key->>'action' = 'say' AND coalesce(key->>'then', 'menu') = 'menu' THEN
        sentences := ARRAY[key->>'text'];
        PERFORM mulberry_internal.emit_event(i.tenant, 'inbound_key', NULL, i.sid, jsonb_build_object('call_sid', i.sid,
            'menu', 'main', 'key', digits, 'action', 'say'));
    ELSIF key IS NOT NULL AND NOT i.place ? 'key' THEN
        -- what it does is done where the call goes on, as if it had been pressed in the menu
        leave := true;
        UPDATE mulberry_internal.inbound_calls x SET place = x.place || jsonb_build_object('key', digits) WHERE x.id = i.id;
    END IF;
    recorded := i.recorded OR mulberry_internal.may_be_recorded(settings, i.consent);
    SELECT o.audio, o.unsaid INTO says, unsaid FROM mulberry_internal.media_opening(i.tenant, sentences) AS o;
END
$$;
COMMENT ON FUNCTION mulberry.press_media_key(bigint, text) IS
    'takes a key that was pressed during a stream: it is that of the menu "main", or where nobody has asked before the answer to the '
    'question for consent. What it says is returned as audio (unsaid: what has none); leave: the stream is to end behind that, because '
    'what the key does is done where the call goes on. Needs gateway access. Errors: 42704 no such session, 22023';

CREATE OR REPLACE FUNCTION mulberry.leave_media(session bigint, how text, detail text DEFAULT NULL) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '500ms'
AS $$
DECLARE
    found record;
    m     mulberry_internal.media_sessions;
    i     mulberry_internal.inbound_calls;
    part  record;
BEGIN
    PERFORM mulberry_internal.check_texts('how', leave_media.how, 'detail', leave_media.detail);
    found := mulberry_internal.media_call(session, mulberry.current_tenants('gateway'));
    m := found.m;
    i := found.i;
    IF how IS NULL OR how NOT IN ('hangup', 'transfer', 'menu', 'emergency') THEN
        RAISE EXCEPTION 'invalid way "%" to leave a stream', how USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'Allowed are hangup, transfer, menu and emergency.';
    ELSIF how = 'transfer' AND NOT mulberry_internal.phone_valid(coalesce(detail, '')) THEN
        RAISE EXCEPTION 'invalid number "%"', left(detail, 40) USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'E.164 has a plus sign, a country code that does not begin with 0, and at most 15 digits in all.';
    ELSIF how = 'emergency' THEN
        -- told late, because there was no database, it is one all the same
        FOR part IN SELECT e.* FROM mulberry_internal.emergencies_in(i.tenant, detail) AS e LOOP
            PERFORM mulberry_internal.note_emergency(i.tenant, i.sid, NULL, part.phrase, part.language, 'transcript', part.excerpt,
                'caller');
        END LOOP;
        IF NOT mulberry_internal.has_emergency(i.tenant, i.sid) THEN
            PERFORM mulberry_internal.note_emergency(i.tenant, i.sid, NULL, left(coalesce(detail, 'emergency'), 100), NULL, 'transcript',
                left(coalesce(detail, 'emergency'), 200), 'caller');
        END IF;
        RETURN;
    ELSIF m.ended_at IS NOT NULL OR i.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'the stream is over' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE mulberry_internal.inbound_calls x
       SET place = x.place - 'key' || jsonb_strip_nulls(jsonb_build_object('leave', how, 'number', CASE WHEN how = 'transfer'
           THEN detail END))
     WHERE x.id = i.id;
END
$$;
COMMENT ON FUNCTION mulberry.leave_media(bigint, text, text) IS
    'says how a call goes on when its stream is over, which the gateway is about to end: hangup, transfer (detail: to which number), menu, '
    'or emergency (detail: what was said), which is noted and told, late too. Needs gateway access. Errors: 42704 no such session, '
    '55000 it is over, 22023';

CREATE OR REPLACE FUNCTION mulberry.end_media(session bigint, reason text, totals jsonb DEFAULT NULL, figures jsonb DEFAULT NULL)
RETURNS boolean
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    found record;
    m     mulberry_internal.media_sessions;
    i     mulberry_internal.inbound_calls;
BEGIN
    PERFORM mulberry_internal.check_texts('reason', end_media.reason);
    PERFORM mulberry_internal.check_json('totals', end_media.totals);
    PERFORM mulberry_internal.check_json('figures', end_media.figures);
    found := mulberry_internal.media_call(session, mulberry.current_tenants('gateway'));
    m := found.m;
    i := found.i;
    IF m.ended_at IS NOT NULL THEN
        RETURN false;
    END IF;
    UPDATE mulberry_internal.media_sessions x
       SET ended_at = clock_timestamp(), reason = nullif(end_media.reason, ''), figures = end_media.figures WHERE x.id = m.id;
    -- a call without any audio is left to its silence, which fails it
    IF EXISTS (SELECT FROM jsonb_each(totals) AS t WHERE t.value <> '0') THEN
        PERFORM mulberry_internal.complete_call_of(m.call_id, NULL, m.tenant, NULL, totals);
    END IF;
    IF m.peer <> 'twilio' AND i.ended_at IS NULL THEN
        UPDATE mulberry_internal.inbound_calls x SET state = 'completed', ended_at = clock_timestamp()
         WHERE x.id = i.id RETURNING x.* INTO i;
        PERFORM mulberry_internal.tell_inbound_call(i, extract(epoch FROM i.ended_at - m.begun_at)::integer);
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION mulberry.end_media(bigint, text, jsonb, jsonb) IS
    'says that a stream is over and why, once: totals completes the call that has its audio, as complete_call() does; figures is what went '
    'through it. False when it was over. Needs gateway access. Errors: 42704 no such session, those of complete_call()';

CREATE OR REPLACE FUNCTION mulberry.media_next(token uuid, tenant text DEFAULT NULL) RETURNS text
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner    CONSTANT uuid := mulberry_internal.resolve_tenant(media_next.tenant, 'ingest');
    i        mulberry_internal.inbound_calls;
    settings jsonb;
    key      jsonb;
    number   text;
BEGIN
    SELECT x.* INTO i FROM mulberry_internal.inbound_calls x WHERE x.token = media_next.token AND x.tenant = owner;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the call does not exist' USING ERRCODE = 'undefined_object';
    END IF;
    SELECT v.settings INTO STRICT settings FROM mulberry_internal.telephony_versions v WHERE v.tenant = i.tenant AND v.version = i.version;
    key := settings->'menus'->'main'->'keys'->(i.place->>'key');
    number := CASE WHEN mulberry_internal.has_emergency(i.tenant, i.sid) OR key->>'action' = 'emergency' THEN settings->>'emergency_number'
                   WHEN i.place->>'leave' = 'transfer' THEN i.place->>'number'
                   WHEN key->>'action' = 'transfer' THEN coalesce(key->>'number', settings->>'transfer_number') END;
    RETURN coalesce('transfer:' || number, 'hangup');
END
$$;
COMMENT ON FUNCTION mulberry.media_next(uuid, text) IS
    'where a call goes on whose stream is over and which a telephone system has brought, by the token of offer_media(): transfer:NUMBER '
    'for a key that puts through and for an emergency, else hangup. Needs ingest access. Errors: 42704 no such call';

CREATE OR REPLACE VIEW mulberry.media_session_status WITH (security_barrier) AS
    SELECT t.name AS tenant, i.sid AS call_sid, m.call_id, m.peer, m.begun_at, m.ended_at, m.reason, m.figures
      FROM mulberry_internal.media_sessions m
      JOIN mulberry_internal.inbound_calls i ON i.id = m.inbound
      JOIN mulberry_internal.tenants t ON t.id = m.tenant
     WHERE m.tenant = ANY ((SELECT mulberry.current_tenants(true, 'supervisor', 'operator', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.media_session_status IS 'streams of audio that calls had with us, and how each ended';
