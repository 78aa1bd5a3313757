-- Supervisors in calls that are under way: they listen, speak to the caller or to the agent, put through, and end.
--
-- A gateway has the call, and nobody knows which: an order is a row, all gateways are told the number of the stream, and the one that
-- has it reads the row.  So this works from anywhere that reaches the database.

CREATE OR REPLACE FUNCTION supervised_call(owner uuid, call_id text, OUT m media_sessions, OUT i inbound_calls, OUT settings jsonb)
LANGUAGE plpgsql
AS $$
BEGIN
    IF call_id IS NULL THEN
        RAISE EXCEPTION 'call id must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT x.* INTO m FROM mulberry_internal.media_sessions x
     WHERE x.tenant = owner AND x.call_id = supervised_call.call_id ORDER BY x.id DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'call "%" has no stream', call_id USING ERRCODE = 'undefined_object';
    END IF;
    SELECT x.* INTO STRICT i FROM mulberry_internal.inbound_calls x WHERE x.id = m.inbound FOR UPDATE;
    -- it may have ended while we waited
    SELECT x.* INTO STRICT m FROM mulberry_internal.media_sessions x WHERE x.id = m.id;
    IF m.ended_at IS NOT NULL OR i.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'the stream of call "%" is over', call_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT v.settings INTO STRICT settings FROM mulberry_internal.telephony_versions v WHERE v.tenant = i.tenant AND v.version = i.version;
END
$$;
COMMENT ON FUNCTION supervised_call(uuid, text) IS
    'a call whose stream is under way, which is locked, and the settings it came in under; 42704 it has none, 55000 it is over (internal)';

CREATE OR REPLACE FUNCTION order_in_call(one conversations, session bigint, kind text, words text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM mulberry_internal.call_orders o
     WHERE o.conversation = one.id AND o.at NOT BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp() + interval '1 minute';
    IF kind = 'leave' THEN
        -- the last one counts, however often somebody says it
        DELETE FROM mulberry_internal.call_orders o WHERE o.conversation = one.id AND o.kind = 'leave';
    ELSIF (SELECT count(*) FROM mulberry_internal.call_orders o WHERE o.conversation = one.id) >= 20 THEN
        RAISE EXCEPTION 'call "%" has got 20 orders in a minute', one.call_id USING ERRCODE = 'program_limit_exceeded';
    END IF;
    INSERT INTO mulberry_internal.call_orders (conversation, session, kind, text) VALUES (one.id, session, kind, words);
    PERFORM pg_notify('mulberry_calls', session::text);
END
$$;
COMMENT ON FUNCTION order_in_call(conversations, bigint, text, text) IS 'writes an order, and tells gateways that there is one (internal)';

CREATE OR REPLACE FUNCTION audit_supervision(owner uuid, what text, call_id text, target text DEFAULT NULL) RETURNS void
LANGUAGE sql
AS $$
    SELECT mulberry_internal.record_audit($1, 'CALL_SUPERVISION', $2,
        evidence => jsonb_strip_nulls(jsonb_build_object('call_id', $3, 'target', $4)))
$$;
COMMENT ON FUNCTION audit_supervision(uuid, text, text, text) IS
    'writes into the audit log who did what in a call, without what was said (internal)';

CREATE OR REPLACE FUNCTION mulberry.say_in_call(call_id text, text text, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'supervisor');
    found record;
    one   mulberry_internal.conversations;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', say_in_call.call_id, 'text', say_in_call.text);
    PERFORM mulberry_internal.check_setting('text', coalesce(to_jsonb(say_in_call.text), 'null'), 'sentence');
    found := mulberry_internal.supervised_call(owner, say_in_call.call_id);
    one := mulberry_internal.open_conversation(owner, say_in_call.call_id);
    IF NOT mulberry_internal.dialogue_talks(owner, mulberry_internal.conversation_settings(one)) THEN
        RAISE EXCEPTION 'nobody speaks in call "%"', one.call_id USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'It is one of prompts and keys.';
    END IF;
    PERFORM mulberry_internal.order_in_call(one, (found.m).id, 'say', say_in_call.text);
    PERFORM mulberry_internal.audit_supervision(owner, 'said', one.call_id);
END
$$;
COMMENT ON FUNCTION mulberry.say_in_call(text, text, text) IS
    'has a sentence said to the caller by the agent''s voice, behind what is being said. It becomes part of the conversation; the audit '
    'log tells who, and not what. Needs supervisor access. Errors: 42704 the call has no stream, 55000 it is over, or nobody speaks in it, '
    '54000 more than 20 in a minute, 22023';

CREATE OR REPLACE FUNCTION mulberry.whisper_to_agent(call_id text, text text, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'supervisor');
    one   mulberry_internal.conversations;
    place integer;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', whisper_to_agent.call_id, 'text', whisper_to_agent.text);
    PERFORM mulberry_internal.check_setting('text', coalesce(to_jsonb(whisper_to_agent.text), 'null'), 'sentence');
    PERFORM mulberry_internal.supervised_call(owner, whisper_to_agent.call_id);
    one := mulberry_internal.open_conversation(owner, whisper_to_agent.call_id);
    IF NOT mulberry_internal.conversation_settings(one) ? 'prompt' OR mulberry_internal.conversation_settings(one) ? 'reply_function' THEN
        RAISE EXCEPTION 'the agent of call "%" has no ear for it', one.call_id USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'A language model can be told something, a function of the tenant cannot.';
    END IF;
    -- lines have even numbers: behind the last of them
    SELECT coalesce(max(l.number), 0) | 1 INTO place FROM mulberry_internal.conversation_lines l WHERE l.conversation = one.id;
    INSERT INTO mulberry_internal.conversation_lines AS x (conversation, number, speaker, text)
    VALUES (one.id, place, 'supervisor', whisper_to_agent.text)
    ON CONFLICT ON CONSTRAINT conversation_lines_pkey DO UPDATE SET text = x.text || E'\n' || excluded.text;
    IF (SELECT octet_length(l.text) FROM mulberry_internal.conversation_lines l WHERE l.conversation = one.id AND l.number = place) > 16000
        THEN
        RAISE EXCEPTION 'more than 16000 bytes were whispered at once' USING ERRCODE = 'program_limit_exceeded';
    END IF;
    PERFORM mulberry_internal.audit_supervision(owner, 'whispered', one.call_id);
END
$$;
COMMENT ON FUNCTION mulberry.whisper_to_agent(text, text, text) IS
    'tells the language model something in a call that the caller does not hear: it knows it from its next reply on. Needs supervisor '
    'access. Errors: 42704 the call has no stream, 55000 it is over, or a function replies in it, 54000, 22023';

CREATE OR REPLACE FUNCTION refuse_in_emergency(i inbound_calls) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF mulberry_internal.has_emergency(i.tenant, i.sid) THEN
        RAISE EXCEPTION 'call "%" is an emergency', i.sid USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'It hears the scripted answer and goes on to the number for emergencies.';
    END IF;
END
$$;
COMMENT ON FUNCTION refuse_in_emergency(inbound_calls) IS '55000 for a call in which an emergency was found (internal)';

CREATE OR REPLACE FUNCTION leave_by_order(owner uuid, call_id text, m media_sessions, i inbound_calls, how text, target text, why text)
    RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    one CONSTANT mulberry_internal.conversations := mulberry_internal.open_conversation(owner, call_id);
BEGIN
    PERFORM mulberry_internal.refuse_in_emergency(i);
    UPDATE mulberry_internal.inbound_calls x
       SET place = x.place - 'key' || jsonb_strip_nulls(jsonb_build_object('leave', how, 'number', target)) WHERE x.id = i.id;
    PERFORM mulberry_internal.order_in_call(one, m.id, 'leave', why);
END
$$;
COMMENT ON FUNCTION leave_by_order(uuid, text, media_sessions, inbound_calls, text, text, text) IS
    'has a stream end, and the call go on as a supervisor wants; 55000 in an emergency (internal)';

CREATE OR REPLACE FUNCTION mulberry.take_over_call(call_id text, target text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    owner  CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'supervisor');
    found  record;
    number text;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', take_over_call.call_id, 'target', take_over_call.target);
    found := mulberry_internal.supervised_call(owner, take_over_call.call_id);
    number := coalesce(nullif(target, ''), found.settings->>'transfer_number');
    IF number IS NULL THEN
        RAISE EXCEPTION 'there is no number to put the call through to' USING ERRCODE = 'null_value_not_allowed',
            HINT = 'Say a target, or set transfer_number.';
    ELSIF NOT mulberry_internal.phone_valid(number) THEN
        RAISE EXCEPTION 'invalid number "%"', left(number, 40) USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'E.164 has a plus sign, a country code that does not begin with 0, and at most 15 digits in all.';
    END IF;
    PERFORM mulberry_internal.leave_by_order(owner, take_over_call.call_id, found.m, found.i, 'transfer', number,
        'taken over by a supervisor');
    PERFORM mulberry_internal.audit_supervision(owner, 'taken over', take_over_call.call_id, number);
END
$$;
COMMENT ON FUNCTION mulberry.take_over_call(text, text, text) IS
    'ends the stream of a call, at once, and puts the caller through to target (null: the setting transfer_number). Needs supervisor '
    'access. Errors: 42704 the call has no stream, 55000 it is over or an emergency, 22004 no number, 22023';

CREATE OR REPLACE FUNCTION mulberry.end_call(call_id text, reason text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'supervisor');
    found record;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', end_call.call_id, 'reason', end_call.reason);
    found := mulberry_internal.supervised_call(owner, end_call.call_id);
    PERFORM mulberry_internal.leave_by_order(owner, end_call.call_id, found.m, found.i, 'hangup', NULL,
        left('ended by a supervisor' || coalesce(': ' || nullif(end_call.reason, ''), ''), 200));
    PERFORM mulberry_internal.audit_supervision(owner, 'ended', end_call.call_id);
END
$$;
COMMENT ON FUNCTION mulberry.end_call(text, text, text) IS
    'ends a call at once; reason is kept with its stream. Needs supervisor access. Errors: 42704 the call has no stream, 55000 it is '
    'over or an emergency';

CREATE OR REPLACE FUNCTION mulberry.listen_to_call(call_id text, tenant text DEFAULT NULL, OUT session bigint, OUT tenant_name text)
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'supervisor');
    found record;
    i     mulberry_internal.inbound_calls;
    may   boolean;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', listen_to_call.call_id);
    found := mulberry_internal.supervised_call(owner, listen_to_call.call_id);
    i := found.i;
    may := CASE coalesce(found.settings->>'listening', 'recorded')
               WHEN 'always' THEN true
               WHEN 'recorded' THEN i.recorded OR mulberry_internal.may_be_recorded(found.settings, i.consent)
               ELSE false END;
    IF NOT may THEN
        RAISE EXCEPTION 'nobody may listen to call "%"', listen_to_call.call_id USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = CASE found.settings->>'listening' WHEN 'never' THEN 'The setting listening of the tenant is "never".'
                          ELSE 'It is not recorded, and the setting listening of the tenant is not "always".' END;
    END IF;
    session := (found.m).id;
    SELECT t.name INTO STRICT tenant_name FROM mulberry_internal.tenants t WHERE t.id = owner;
    PERFORM mulberry_internal.audit_supervision(owner, 'listened', listen_to_call.call_id);
END
$$;
COMMENT ON FUNCTION mulberry.listen_to_call(text, text) IS
    'whether somebody may hear a call while it is under way, which the audit log tells then: one that is recorded, or what the setting '
    'listening of set_telephony() says. Needs supervisor access. Errors: 42704 the call has no stream, 55000 it is over, or nobody may';

CREATE OR REPLACE FUNCTION mulberry.read_call_orders(session bigint, after bigint DEFAULT 0)
RETURNS TABLE (id bigint, kind text, text text)
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    m mulberry_internal.media_sessions;
BEGIN
    SELECT x.* INTO m FROM mulberry_internal.media_sessions x
     WHERE x.id = read_call_orders.session AND x.tenant = ANY (mulberry.current_tenants('gateway'));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'media session % does not exist', read_call_orders.session USING ERRCODE = 'undefined_object';
    END IF;
    RETURN QUERY
    SELECT o.id, o.kind, o.text
      FROM mulberry_internal.conversations c
      JOIN mulberry_internal.call_orders o ON o.conversation = c.id AND o.session = m.id
     WHERE c.tenant = m.tenant AND c.call_id = m.call_id AND o.id > read_call_orders.after
         AND o.at > clock_timestamp() - interval '1 minute'
     ORDER BY o.id;
END
$$;
COMMENT ON FUNCTION mulberry.read_call_orders(bigint, bigint) IS
    'what supervisors want of a stream, behind the order that was read last; a gateway asks when it is told of the stream on the channel '
    'mulberry_calls. Needs gateway access. Errors: 42704 no such session';
