-- What an agent says in a conversation: by a function of the tenant, or by a language model that gets what was heard so far.

CREATE OR REPLACE FUNCTION run_as(role oid, query text, arguments text[], timeout_ms integer) RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_run_as';
COMMENT ON FUNCTION run_as(oid, text, text[], integer) IS
    'the only value of a query that runs as a role, which must be no superuser, and no longer than that: 57014 (internal)';

CREATE OR REPLACE FUNCTION service_key(tenant uuid, name text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_service_key';
COMMENT ON FUNCTION service_key(uuid, text) IS 'a secret in the clear, for the plan of a conversation that a gateway gets (internal)';

CREATE OR REPLACE FUNCTION dialogue_settings() RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN ARRAY['language', 'voice', 'prompt', 'reply_function', 'tools', 'filler', 'apology', 'farewell', 'silence', 'reply_timeout_ms',
    'whole_utterances', 'hedge_reply_ms', 'hedge_speak_ms'];
COMMENT ON FUNCTION dialogue_settings() IS 'the settings of conversations that are neither numbers nor lists of the turn engine (internal)';

-- A function that a tenant names: it runs as its owner, so whoever names it must have that owner's rights.
CREATE OR REPLACE FUNCTION dialogue_function(place text, written jsonb, role name DEFAULT NULL) RETURNS pg_catalog.pg_proc
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    words CONSTANT text := written #>> '{}';
    found pg_catalog.pg_proc;
    n     integer;
BEGIN
    PERFORM mulberry_internal.check_setting(place, written, 'string', '^[A-Za-z_][A-Za-z0-9_]{0,62}[.][A-Za-z_][A-Za-z0-9_]{0,62}$',
        'the name of a function with its schema, such as public.my_reply');
    SELECT p.* INTO found
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace s ON s.oid = p.pronamespace
     WHERE s.nspname = split_part(words, '.', 1) AND p.proname = split_part(words, '.', 2) AND p.prokind = 'f'
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid
                          AND d.deptype = 'e')
       AND s.nspname NOT IN ('pg_catalog', 'information_schema');
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n = 0 THEN
        RAISE EXCEPTION 'invalid setting %: function % does not exist', place, words USING ERRCODE = 'undefined_function';
    ELSIF (SELECT count(*) FROM pg_catalog.pg_proc p WHERE p.pronamespace = found.pronamespace AND p.proname = found.proname) > 1 THEN
        PERFORM mulberry_internal.refuse_setting(place, format('there are several functions %s', words), 'There must be one of that name.');
    ELSIF found.proretset OR found.provariadic <> 0 THEN
        PERFORM mulberry_internal.refuse_setting(place, format('function %s returns several rows, or takes any number of arguments', words),
            'It must return one value.');
    ELSIF (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.oid = found.proowner) THEN
        RAISE EXCEPTION 'invalid setting %: function % belongs to a superuser', place, words USING ERRCODE = 'insufficient_privilege',
            DETAIL = 'It would run with all rights, on words of strangers.', HINT = 'ALTER FUNCTION ... OWNER TO a role of the tenant.';
    ELSIF role IS NOT NULL AND NOT pg_catalog.pg_has_role(role, found.proowner, 'MEMBER') THEN
        RAISE EXCEPTION 'invalid setting %: function % is not yours', place, words USING ERRCODE = 'insufficient_privilege',
            DETAIL = 'It runs as its owner, so who names it must be a member of that role.';
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION dialogue_function(text, jsonb, name) IS
    'a function that a setting names; an error when there is none or several, it is of the system, an extension or a superuser, or not '
    'of a '
    'role (internal)';

CREATE OR REPLACE FUNCTION dialogue_owners(settings jsonb) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(jsonb_object_agg(n.name, (SELECT r.rolname FROM pg_catalog.pg_roles r
                        WHERE r.oid = (mulberry_internal.dialogue_function('function', to_jsonb(n.name))).proowner)), '{}')
      FROM (SELECT settings->>'reply_function' AS name UNION SELECT t->>'function' FROM jsonb_array_elements(settings->'tools') AS t) AS n
     WHERE n.name IS NOT NULL
$$;
COMMENT ON FUNCTION dialogue_owners(jsonb) IS 'whose the functions are that settings name (internal)';

-- What strangers say goes to the function that was meant, not to one of that name which somebody else has made since.
CREATE OR REPLACE FUNCTION dialogue_callee(one conversations, place text, written jsonb) RETURNS pg_catalog.pg_proc
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    f     CONSTANT pg_catalog.pg_proc := mulberry_internal.dialogue_function(place, written);
    meant CONSTANT text := (SELECT v.owners->>(written #>> '{}') FROM mulberry_internal.conversation_versions v
                             WHERE v.tenant = one.tenant AND v.version = one.version);
BEGIN
    IF meant IS DISTINCT FROM (SELECT r.rolname::text FROM pg_catalog.pg_roles r WHERE r.oid = f.proowner) THEN
        RAISE EXCEPTION 'function % belongs to another role than when it was set', written #>> '{}'
            USING ERRCODE = 'insufficient_privilege',
            HINT = 'set_conversation() again says that it is meant.';
    END IF;
    RETURN f;
END
$$;
COMMENT ON FUNCTION dialogue_callee(conversations, text, jsonb) IS
    'a function that the settings of a conversation name, as long as it is of who had it then; 42501 (internal)';

CREATE OR REPLACE FUNCTION dialogue_name(f pg_catalog.pg_proc) RETURNS text
LANGUAGE sql STABLE
AS $$ SELECT format('%I.%I', s.nspname, f.proname) FROM pg_catalog.pg_namespace s WHERE s.oid = f.pronamespace $$;
COMMENT ON FUNCTION dialogue_name(pg_catalog.pg_proc) IS 'the name of a function with its schema, for a query (internal)';

CREATE OR REPLACE FUNCTION dialogue_tool(f pg_catalog.pg_proc, description text) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT jsonb_build_object('type', 'function', 'function', jsonb_build_object('name', f.proname, 'description', coalesce(description,
        ''),
               'parameters', jsonb_build_object('type', 'object',
                   'properties', coalesce(jsonb_object_agg(a.name, jsonb_build_object('type',
                       CASE WHEN a.type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN 'integer'
                            WHEN a.type IN ('numeric'::regtype, 'float4'::regtype, 'float8'::regtype) THEN 'number'
                            WHEN a.type = 'bool'::regtype THEN 'boolean' ELSE 'string' END))
                       FILTER (WHERE a.name <> 'call_id'), '{}'),
                   'required', coalesce(jsonb_agg(a.name ORDER BY a.place)
                       FILTER (WHERE a.name <> 'call_id' AND a.place <= f.pronargs - f.pronargdefaults), '[]'))))
      FROM unnest(f.proargtypes::oid[], f.proargnames[1:f.pronargs]) WITH ORDINALITY AS a (type, name, place)
$$;
COMMENT ON FUNCTION dialogue_tool(pg_catalog.pg_proc, text) IS
    'a function as language models are told of it: its arguments by their names, call_id excepted, which the call gives (internal)';

-- 0 and nothing: never; -1, said as "auto": by what the endpoint usually takes.
CREATE OR REPLACE FUNCTION hedge_ms(written jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN written = '"auto"' THEN -1 ELSE coalesce(mulberry_internal.whole_number(written), 0) END;
COMMENT ON FUNCTION hedge_ms(jsonb) IS
    'how long gateways wait for a service before they ask another one as well, as they are told of it (internal)';

CREATE OR REPLACE FUNCTION check_dialogue(settings jsonb) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    role CONSTANT name := mulberry_internal.outer_role_name();
    f    pg_catalog.pg_proc;
    tool record;
    part record;
BEGIN
    PERFORM mulberry_internal.check_setting('voice', settings->'voice', 'string', '^[A-Za-z0-9_.:+-]{1,100}$',
        'the name of a voice: letters, digits and _ . : + -');
    PERFORM mulberry_internal.check_setting('prompt', settings->'prompt', 'string');
    IF octet_length(settings->>'prompt') > 16000 THEN
        PERFORM mulberry_internal.refuse_setting('prompt', format('it has %s bytes', octet_length(settings->>'prompt')), 'At most 16000.');
    END IF;
    FOR part IN SELECT v.name FROM unnest(ARRAY['filler', 'apology', 'farewell']) AS v (name) LOOP
        PERFORM mulberry_internal.check_setting(part.name, settings->part.name, 'sentence');
    END LOOP;
    PERFORM mulberry_internal.check_setting('silence', settings->'silence', 'array');
    IF jsonb_array_length(settings->'silence') > 10 THEN
        PERFORM mulberry_internal.refuse_setting('silence', 'it has more than 10 sentences', 'At most 10, one after the other.');
    END IF;
    PERFORM mulberry_internal.check_setting(format('silence[%s]', e.place), e.sentence, 'sentence')
       FROM jsonb_array_elements(settings->'silence') WITH ORDINALITY AS e (sentence, place);
    PERFORM mulberry_internal.check_whole_number('reply_timeout_ms', settings->'reply_timeout_ms', 200, 20000);
    PERFORM mulberry_internal.check_setting('whole_utterances', settings->'whole_utterances', 'boolean');
    FOR part IN SELECT v.name FROM unnest(ARRAY['hedge_reply_ms', 'hedge_speak_ms']) AS v (name) LOOP
        IF settings->part.name IS DISTINCT FROM '"auto"' THEN
            PERFORM mulberry_internal.check_whole_number(part.name, settings->part.name, 0, 20000);
        END IF;
    END LOOP;
    IF settings ? 'reply_function' THEN
        f := mulberry_internal.dialogue_function('reply_function', settings->'reply_function', role);
        IF ARRAY(SELECT t FROM unnest(f.proargtypes::oid[]) AS t) <> ARRAY['text'::regtype, 'text'::regtype]::oid[]
            OR f.prorettype <> 'jsonb'::regtype THEN
            PERFORM mulberry_internal.refuse_setting('reply_function', format('function %s has other arguments',
                settings->>'reply_function'),
                'It takes the call_id and what was said, both text, and returns jsonb.');
        END IF;
    END IF;
    PERFORM mulberry_internal.check_setting('tools', settings->'tools', 'array');
    IF jsonb_array_length(settings->'tools') > 20 THEN
        PERFORM mulberry_internal.refuse_setting('tools', 'there are more than 20', 'At most 20.');
    END IF;
    FOR tool IN SELECT e.value, format('tools[%s]', e.place) AS place
                  FROM jsonb_array_elements(settings->'tools') WITH ORDINALITY AS e (value, place) LOOP
        PERFORM mulberry_internal.check_members(tool.place, tool.value, ARRAY['description', 'function']);
        PERFORM mulberry_internal.check_setting(tool.place || '.description', tool.value->'description', 'sentence');
        IF NOT tool.value ? 'function' THEN
            PERFORM mulberry_internal.refuse_setting(tool.place, 'it has no function',
                'It is {"function": "public.f", "description": "..."}.');
        END IF;
        f := mulberry_internal.dialogue_function(tool.place || '.function', tool.value->'function', role);
        IF f.pronargs > 0 AND (f.proargnames IS NULL OR '' = ANY (f.proargnames[1:f.pronargs])) THEN
            PERFORM mulberry_internal.refuse_setting(tool.place || '.function', 'its arguments have no names',
                'A language model gives them by their names.');
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION check_dialogue(jsonb) IS 'raises an error for settings of a dialogue that are not allowed (internal)';

-- It is secrets of others that cannot be read in a conversation which would not miss them.
CREATE OR REPLACE FUNCTION usable_key(service endpoints, owner uuid) RETURNS text
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN coalesce(mulberry_internal.service_key(mulberry_internal.secret_tenant(service.tenant, service.secret, owner), service.secret),
        '');
EXCEPTION WHEN config_file_error OR undefined_file OR insufficient_privilege OR io_error THEN
    RAISE WARNING 'endpoint "%" is left out of a conversation: %', service.name, SQLERRM;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION usable_key(endpoints, uuid) IS
    'the key of a service for a tenant, empty without one; null, with a warning, when there is one that cannot be read (internal)';

-- The services of a purpose: a tenant's own, or where it has none those of all tenants, in their order.
CREATE OR REPLACE FUNCTION dialogue_services(owner uuid, purpose text, settings jsonb) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'name', e.name,
               'form', CASE WHEN e.kind = 'deepgram' AND e.options->'version' = '2' THEN 'deepgram2'
                            WHEN e.purpose = 'transcription' OR e.options->'streaming' = 'false' THEN 'whole' ELSE e.kind END,
               'url', e.base_url, 'model', coalesce(e.model, ''), 'options', e.options, 'allow_http', e.allow_http,
               'allow_private', e.allow_private, 'language', coalesce(settings->>'language', 'en'),
               -- of jobs it is far longer than a caller waits
               'timeout_ms', least(greatest((extract(epoch FROM coalesce(e.timeout, '2 seconds')) * 1000)::integer, 100),
                                   CASE WHEN e.purpose = 'transcription' THEN 4000 ELSE 60000 END),
               'voice', coalesce(settings->>'voice', e.options->>'voice', ''),
               'key', k.key,
               'voice_key', encode(sha256(convert_to(concat_ws(E'\n', e.kind, e.base_url, e.model, coalesce(settings->>'voice',
                   e.options->>'voice'),
                   settings->>'language'), 'UTF8')), 'hex')) ORDER BY e.priority, e.id), '[]')
      FROM mulberry_internal.endpoints e
      -- each is read once
      CROSS JOIN LATERAL (SELECT mulberry_internal.usable_key(e, $1) AS key OFFSET 0) AS k
     WHERE e.purpose = $2 AND e.enabled AND mulberry_internal.asked_by_gateways(e) AND k.key IS NOT NULL
       AND e.tenant IS NOT DISTINCT FROM CASE WHEN EXISTS (SELECT FROM mulberry_internal.endpoints x WHERE x.tenant = $1 AND x.purpose = $2)
                                              THEN $1 END
$$;
COMMENT ON FUNCTION dialogue_services(uuid, text, jsonb) IS
    'the services for a purpose whose keys can be read, with these, as gateways are told of them (internal)';

CREATE OR REPLACE FUNCTION dialogue_talks(owner uuid, settings jsonb) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT $2 ? 'reply_function' OR ($2 ? 'prompt' AND EXISTS (
               SELECT FROM mulberry_internal.endpoints e
                WHERE e.purpose = 'reply' AND e.enabled
                  AND e.tenant IS NOT DISTINCT FROM CASE WHEN EXISTS (SELECT FROM mulberry_internal.endpoints x
                                                                       WHERE x.tenant = $1 AND x.purpose = 'reply') THEN $1 END))
$$;
COMMENT ON FUNCTION dialogue_talks(uuid, jsonb) IS 'whether somebody replies by these settings (internal)';

CREATE OR REPLACE FUNCTION dialogue_plan(owner uuid, call_id text, settings jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    chat   CONSTANT jsonb := mulberry_internal.dialogue_services(owner, 'reply', settings);
    phone  jsonb;
    peer   text;
BEGIN
    IF NOT mulberry_internal.dialogue_talks(owner, settings) THEN
        RETURN '{"talk": false}'::jsonb;
    END IF;
    SELECT v.settings, m.peer INTO phone, peer
      FROM mulberry_internal.media_sessions m
      JOIN mulberry_internal.inbound_calls i ON i.id = m.inbound
      JOIN mulberry_internal.telephony_versions v ON v.tenant = i.tenant AND v.version = i.version
     WHERE m.tenant = owner AND m.call_id = dialogue_plan.call_id;
    RETURN jsonb_build_object('talk', true, 'language', coalesce(settings->>'language', 'en'),
        -- when none of the first can be had, who transcribes calls gets the utterances, if it is meant to
        'listen', mulberry_internal.dialogue_services(owner, 'listen', settings)
            || CASE WHEN coalesce((settings->>'whole_utterances')::boolean, true)
                    THEN mulberry_internal.dialogue_services(owner, 'transcription', settings) ELSE '[]' END,
        'speak', mulberry_internal.dialogue_services(owner, 'speak', settings),
        'chat', CASE WHEN settings ? 'reply_function' THEN '[]' ELSE chat END,
        'tools', coalesce(jsonb_array_length(settings->'tools'), 0) > 0,
        'reply', CASE WHEN settings ? 'reply_function' THEN 'function' ELSE 'chat' END,
        'reply_timeout_ms', coalesce(mulberry_internal.whole_number(settings->'reply_timeout_ms'), 2500),
        'hedge_reply_ms', mulberry_internal.hedge_ms(settings->'hedge_reply_ms'),
        'hedge_speak_ms', mulberry_internal.hedge_ms(settings->'hedge_speak_ms'),
        'texts', jsonb_build_object(
            'filler', coalesce(settings->>'filler', 'One moment, please.'),
            'apology', coalesce(settings->>'apology', 'I am sorry, something went wrong.'),
            'farewell', coalesce(settings->>'farewell', mulberry_internal.ivr_sentence(coalesce(phone, '{}'), 'goodbye')),
            'silence', coalesce(settings->'silence', '["Are you still there?", "I cannot hear you."]'),
            'emergency', mulberry_internal.ivr_sentence(coalesce(phone, '{}'), 'emergency')),
        'opening', (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', o.kind, 'text', o.text) ORDER BY o.place), '[]')
                      FROM (VALUES (1, 'greeting', CASE WHEN peer <> 'twilio' THEN phone->>'greeting' END),
                                   (2, 'consent', CASE WHEN peer <> 'twilio' THEN phone->>'consent' END),
                                   (3, 'greeting', mulberry_internal.ivr_sentence(coalesce(phone, '{}'), 'agent'))) AS o (place, kind, text)
                     WHERE o.text IS NOT NULL));
END
$$;
COMMENT ON FUNCTION dialogue_plan(uuid, text, jsonb) IS 'how a conversation is conducted, as begin_conversation() says it (internal)';

CREATE OR REPLACE FUNCTION store_lines(conversation bigint, lines jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    line record;
BEGIN
    IF lines IS NULL THEN
        RETURN;
    ELSIF jsonb_typeof(lines) <> 'array' OR jsonb_array_length(lines) > 1000 THEN
        RAISE EXCEPTION 'lines must be an array of at most 1000' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR line IN SELECT l.* FROM jsonb_to_recordset(lines) AS l (number integer, speaker text, text text, cut boolean) LOOP
        IF line.number IS NULL OR line.number NOT BETWEEN 0 AND 100000 OR line.speaker IS NULL
           OR line.speaker NOT IN ('caller', 'agent') OR line.text IS NULL OR octet_length(line.text) > 16000 THEN
            RAISE EXCEPTION 'invalid line' USING ERRCODE = 'invalid_parameter_value',
                DETAIL = 'A line is {"number": 0 to 100000, "speaker": "caller" or "agent", "text": at most 16000 bytes, '
                         '"cut": true or false}.';
        END IF;
        -- a turn that goes on after it was taken to be over is said again, as a whole
        INSERT INTO mulberry_internal.conversation_lines AS x (conversation, number, speaker, text, cut)
        VALUES (store_lines.conversation, line.number * 2, line.speaker, line.text, coalesce(line.cut, false))
        ON CONFLICT ON CONSTRAINT conversation_lines_pkey DO UPDATE SET speaker = excluded.speaker, text = excluded.text, cut = excluded.cut
         WHERE (x.speaker, x.text, x.cut) IS DISTINCT FROM (excluded.speaker, excluded.text, excluded.cut);
    END LOOP;
END
$$;
COMMENT ON FUNCTION store_lines(bigint, jsonb) IS
    'stores what was said; numbers are doubled, so that a supervisor''s word finds its place between (internal)';

CREATE OR REPLACE FUNCTION open_conversation(owner uuid, call_id text) RETURNS conversations
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    one CONSTANT mulberry_internal.conversations := mulberry_internal.find_conversation(owner, call_id);
BEGIN
    IF one.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'the conversation of call "%" is over', call_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN one;
END
$$;
COMMENT ON FUNCTION open_conversation(uuid, text) IS 'the conversation of a call that is not over; 42704, 55000 (internal)';

CREATE OR REPLACE FUNCTION conversation_settings(one conversations) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT coalesce((SELECT v.settings FROM mulberry_internal.conversation_versions v WHERE v.tenant = one.tenant
        AND v.version = one.version), '{}')
$$;
COMMENT ON FUNCTION conversation_settings(conversations) IS 'the settings that a conversation runs under (internal)';

CREATE OR REPLACE FUNCTION check_reply(reply jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    number text := reply->>'transfer';
BEGIN
    IF reply IS NULL OR jsonb_typeof(reply) <> 'object' THEN
        RAISE EXCEPTION 'invalid reply: it is no object' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'A reply is {"say", "transfer", "hangup", "collect", "wait", "attributes"}, all of them optional.';
    END IF;
    PERFORM mulberry_internal.check_members('reply', reply, ARRAY['attributes', 'collect', 'hangup', 'say', 'transfer', 'wait']);
    PERFORM mulberry_internal.check_setting('say', reply->'say', 'string');
    IF octet_length(reply->>'say') > 16000 THEN
        PERFORM mulberry_internal.refuse_setting('say', 'it is too long', 'At most 16000 bytes.');
    END IF;
    PERFORM mulberry_internal.check_setting('transfer', reply->'transfer', 'number of a telephone');
    PERFORM mulberry_internal.check_setting('hangup', reply->'hangup', 'boolean');
    PERFORM mulberry_internal.check_whole_number('wait', reply->'wait', 0, 120);
    IF reply ? 'wait' THEN
        reply := jsonb_set(reply, '{wait}', to_jsonb(mulberry_internal.whole_number(reply->'wait')));
    END IF;
    PERFORM mulberry_internal.check_setting('attributes', reply->'attributes', 'object');
    IF reply ? 'collect' THEN
        PERFORM mulberry_internal.check_members('collect', reply->'collect', ARRAY['digits', 'name']);
        PERFORM mulberry_internal.check_whole_number('collect.digits', reply->'collect'->'digits', 1, 32);
        PERFORM mulberry_internal.check_setting('collect.name', reply->'collect'->'name', 'string', '^[a-z][a-z0-9_]{0,62}$',
            'a name of lower-case letters, digits and _');
        IF NOT reply->'collect' ? 'digits' THEN
            PERFORM mulberry_internal.refuse_setting('collect', 'it has no digits', 'It is {"digits": 4, "name": "pin"}.');
        END IF;
        reply := jsonb_set(reply, '{collect,digits}', to_jsonb(mulberry_internal.whole_number(reply->'collect'->'digits')));
    END IF;
    RETURN reply;
END
$$;
COMMENT ON FUNCTION check_reply(jsonb) IS
    'the reply of a tenant''s function, its whole numbers written as such; raises 22023 for one that is not allowed (internal)';

CREATE OR REPLACE FUNCTION set_attributes(conversation bigint, attributes jsonb) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    part record;
BEGIN
    FOR part IN SELECT a.key, a.value, a.value #>> '{}' AS text FROM jsonb_each(attributes) AS a LOOP
        IF part.key COLLATE "C" !~ '^[a-z][a-z0-9_]{0,62}$' OR octet_length(part.text) > 1000
           OR jsonb_typeof(part.value) IN ('object', 'array') THEN
            PERFORM mulberry_internal.refuse_setting('attributes', format('"%s" is not allowed', left(part.key, 60)),
                'Names have lower-case letters, digits and _, values are texts of at most 1000 bytes, numbers, booleans or null.');
        ELSIF part.text IS NULL THEN
            DELETE FROM mulberry_internal.conversation_attributes x
             WHERE x.conversation = set_attributes.conversation AND x.name = part.key;
        ELSE
            INSERT INTO mulberry_internal.conversation_attributes AS x (conversation, name, value)
            VALUES (set_attributes.conversation, part.key, part.text)
            ON CONFLICT ON CONSTRAINT conversation_attributes_pkey DO UPDATE SET value = excluded.value WHERE x.value <> excluded.value;
        END IF;
    END LOOP;
    IF (SELECT count(*) FROM mulberry_internal.conversation_attributes x WHERE x.conversation = set_attributes.conversation) > 100 THEN
        RAISE EXCEPTION 'a conversation has at most 100 attributes' USING ERRCODE = 'program_limit_exceeded';
    END IF;
END
$$;
COMMENT ON FUNCTION set_attributes(bigint, jsonb) IS 'sets attributes of a conversation, and takes away those that are null (internal)';

CREATE OR REPLACE FUNCTION chat_messages(one conversations, settings jsonb, said text) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT jsonb_build_array(jsonb_build_object('role', 'system', 'content', concat_ws(E'\n', settings->>'prompt',
               'What you write is spoken on the telephone: plain short sentences, no lists, no markup.',
               'Where your own words end with an ellipsis, the caller interrupted you and has not heard the rest.',
               (SELECT 'Known of this call: ' || string_agg(format('%s = %s', a.name, a.value), '; ' ORDER BY a.name)
                  FROM mulberry_internal.conversation_attributes a WHERE a.conversation = one.id))))
        || coalesce((SELECT jsonb_agg(jsonb_build_object('role', CASE l.speaker WHEN 'caller' THEN 'user' WHEN 'agent'
            THEN 'assistant' ELSE 'system' END,
                                          'content', l.text || CASE WHEN l.cut THEN ' ...' ELSE '' END) ORDER BY l.number)
                       FROM (SELECT * FROM mulberry_internal.conversation_lines x WHERE x.conversation = one.id AND x.text <> ''
                              ORDER BY x.number DESC LIMIT 60) AS l), '[]')
        || jsonb_build_array(jsonb_build_object('role', 'user', 'content', said))
$$;
COMMENT ON FUNCTION chat_messages(conversations, jsonb, text) IS
    'what a language model is asked: the prompt, what was heard so far, and what was said now (internal)';

CREATE OR REPLACE FUNCTION mulberry.prepare_reply(call_id text, lines jsonb, said text, committed boolean, tenant text DEFAULT NULL)
    RETURNS jsonb
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner    CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'gateway');
    one      mulberry_internal.conversations;
    settings jsonb;
    f        pg_catalog.pg_proc;
    reply    jsonb;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', prepare_reply.call_id, 'said', prepare_reply.said);
    PERFORM mulberry_internal.check_json('lines', prepare_reply.lines);
    IF committed IS NULL THEN
        RAISE EXCEPTION 'committed must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    prepare_reply.said := coalesce(prepare_reply.said, '');
    one := mulberry_internal.open_conversation(owner, call_id);
    settings := mulberry_internal.conversation_settings(one);
    PERFORM mulberry_internal.store_lines(one.id, lines);
    IF NOT settings ? 'reply_function' THEN
        RETURN jsonb_build_object('messages', mulberry_internal.chat_messages(one, settings, said),
            'tools', CASE WHEN committed THEN (SELECT jsonb_agg(mulberry_internal.dialogue_tool(
                                mulberry_internal.dialogue_callee(one, 'tools', t->'function'), t->>'description'))
                           FROM jsonb_array_elements(settings->'tools') AS t) END);
    ELSIF NOT committed THEN
        RETURN '{}'::jsonb;    -- it may do what it likes, so it is asked when it is certain
    END IF;
    f := mulberry_internal.dialogue_callee(one, 'reply_function', settings->'reply_function');
    reply := mulberry_internal.check_reply(mulberry_internal.run_as(f.proowner,
        format('SELECT %s($1, $2)', mulberry_internal.dialogue_name(f)), ARRAY[call_id, said],
        coalesce(mulberry_internal.whole_number(settings->'reply_timeout_ms'), 2500))::jsonb);
    PERFORM mulberry_internal.set_attributes(one.id, reply->'attributes');
    RETURN jsonb_strip_nulls(reply - 'attributes');
END
$$;
COMMENT ON FUNCTION mulberry.prepare_reply(text, jsonb, text, boolean, text) IS
    'what an agent replies: after lines, [{"number", "speaker", "text", "cut"}], of what was heard so far, which are stored. By the '
    'function of the tenant, which is asked when the turn is over (committed): {"say", "transfer", "hangup", "collect", "wait"}, else {}; '
    'or for a language model {"messages", "tools"}, without tools before that. Needs gateway access. Errors: 42704 no conversation, '
    '55000 it '
    'is over, 57014 the function took too long, 22023 what it returned';

CREATE OR REPLACE FUNCTION mulberry.note_lines(call_id text, lines jsonb, attributes jsonb DEFAULT NULL, tenant text DEFAULT NULL)
    RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    one mulberry_internal.conversations;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', note_lines.call_id);
    PERFORM mulberry_internal.check_json('lines', note_lines.lines);
    PERFORM mulberry_internal.check_json('attributes', note_lines.attributes);
    one := mulberry_internal.find_conversation(mulberry_internal.resolve_tenant(tenant, 'gateway'), call_id);
    PERFORM mulberry_internal.check_setting('attributes', note_lines.attributes, 'object');
    PERFORM mulberry_internal.store_lines(one.id, lines);
    PERFORM mulberry_internal.set_attributes(one.id, attributes);
END
$$;
COMMENT ON FUNCTION mulberry.note_lines(text, jsonb, jsonb, text) IS
    'stores what was heard in a conversation, [{"number", "speaker", "text", "cut"}], and attributes such as digits that a caller entered. '
    'Needs gateway access. Errors: 42704 no conversation, 22023, 54000 too many attributes';

CREATE OR REPLACE FUNCTION mulberry.call_tool(call_id text, name text, arguments jsonb, tenant text DEFAULT NULL) RETURNS text
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner    CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'gateway');
    one      mulberry_internal.conversations;
    settings jsonb;
    tool     jsonb;
    f        pg_catalog.pg_proc;
    given    jsonb;
    unknown  text;
    query    text;
    vals     text[];
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', call_tool.call_id, 'name', call_tool.name);
    PERFORM mulberry_internal.check_json('arguments', call_tool.arguments);
    one := mulberry_internal.open_conversation(owner, call_id);
    settings := mulberry_internal.conversation_settings(one);
    SELECT t INTO tool FROM jsonb_array_elements(settings->'tools') AS t WHERE split_part(t->>'function', '.', 2) = call_tool.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tool "%" is not known', call_tool.name USING ERRCODE = 'undefined_object';
    ELSIF arguments IS NULL OR jsonb_typeof(arguments) <> 'object' THEN
        RAISE EXCEPTION 'arguments must be an object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    f := mulberry_internal.dialogue_callee(one, 'tools', tool->'function');
    given := arguments - 'call_id' || CASE WHEN 'call_id' = ANY (f.proargnames[1:f.pronargs])
                                           THEN jsonb_build_object('call_id', call_id) ELSE '{}' END;
    SELECT g.key INTO unknown FROM jsonb_object_keys(given) AS g (key) WHERE (g.key = ANY (f.proargnames[1:f.pronargs])) IS NOT TRUE
        LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'tool "%" has no argument "%"', call_tool.name, left(unknown, 60) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT format('SELECT to_jsonb(%s(%s)) #>> ''{}''', mulberry_internal.dialogue_name(f),
               coalesce(string_agg(format('%I => $%s::%s', g.key, g.place, format_type(a.type, NULL)), ', ' ORDER BY g.place), '')),
           coalesce(array_agg(g.value #>> '{}' ORDER BY g.place), '{}') INTO query, vals
      FROM jsonb_each(given) WITH ORDINALITY AS g (key, value, place)
      JOIN unnest(f.proargtypes::oid[], f.proargnames[1:f.pronargs]) AS a (type, name) ON a.name = g.key;
    RETURN coalesce(mulberry_internal.run_as(f.proowner, query, vals,
        coalesce(mulberry_internal.whole_number(settings->'reply_timeout_ms'), 2500)), 'done');
END
$$;
COMMENT ON FUNCTION mulberry.call_tool(text, text, jsonb, text) IS
    'calls a function that the tenant''s settings list as a tool, as the function''s owner and for a limited time, and returns what a '
    'language model is told. Needs gateway access. Errors: 42704 no conversation or tool, 55000 it is over, 22023, 57014 it took too long, '
    'and those of the function';

CREATE OR REPLACE FUNCTION speech_digest(text text, voice_key text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256(convert_to(voice_key || E'\n' || text, 'UTF8'));
COMMENT ON FUNCTION speech_digest(text, text) IS 'by which the sound of a sentence is found again (internal)';

CREATE OR REPLACE FUNCTION mulberry.find_speech(text text, voice_key text, tenant text DEFAULT NULL, OUT sound bytea, OUT words integer[])
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'gateway');
    used  timestamptz;
BEGIN
    PERFORM mulberry_internal.check_texts('text', find_speech.text, 'voice_key', find_speech.voice_key);
    sound := mulberry_internal.prompt_of(owner, find_speech.text);
    IF sound IS NULL THEN
        SELECT c.audio, c.words, c.used_at INTO sound, words, used FROM mulberry_internal.speech_cache c
         WHERE c.tenant = owner AND c.digest = mulberry_internal.speech_digest(find_speech.text, find_speech.voice_key);
        IF used < clock_timestamp() - interval '1 hour' THEN
            UPDATE mulberry_internal.speech_cache c SET used_at = clock_timestamp()
             WHERE c.tenant = owner AND c.digest = mulberry_internal.speech_digest(find_speech.text, find_speech.voice_key);
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION mulberry.find_speech(text, text, text) IS
    'how a sentence sounds, mu-law with 8000 samples a second: by set_prompt(), or by keep_speech() for this voice; null: nobody has said '
    'it. words: where each word ends, in bytes of the text, and when it is over, in ms; null: not known. Needs gateway access';

CREATE OR REPLACE FUNCTION mulberry.keep_speech(text text, voice_key text, sound bytea, tenant text DEFAULT NULL, words integer[] DEFAULT NULL)
RETURNS boolean
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    most  CONSTANT integer := 2000;
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'gateway');
BEGIN
    PERFORM mulberry_internal.check_texts('text', keep_speech.text, 'voice_key', keep_speech.voice_key);
    IF text IS NULL OR text = '' OR voice_key IS NULL OR voice_key = '' OR sound IS NULL THEN
        RAISE EXCEPTION 'text, voice_key and sound must not be null, nor text and voice_key empty' USING ERRCODE = 'null_value_not_allowed';
    ELSIF octet_length(sound) NOT BETWEEN 1 AND 960000 THEN
        RAISE EXCEPTION 'the sound has % bytes', octet_length(sound) USING ERRCODE = 'program_limit_exceeded',
            DETAIL = 'At most 960000, two minutes.';
    ELSIF cardinality(words) % 2 <> 0 OR cardinality(words) NOT BETWEEN 2 AND 128 OR array_position(words, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'words must have an end in the text and a time each, of 64 words at most' USING ERRCODE = 'array_subscript_error';
    END IF;
    INSERT INTO mulberry_internal.speech_cache (tenant, digest, audio, words)
    VALUES (owner, mulberry_internal.speech_digest(keep_speech.text, keep_speech.voice_key), sound, words)
    ON CONFLICT ON CONSTRAINT speech_cache_pkey DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- now and then: what was not said for the longest time goes
    IF random() < 0.02 THEN
        DELETE FROM mulberry_internal.speech_cache c
         WHERE c.tenant = owner AND c.digest = ANY (ARRAY(
                   SELECT o.digest FROM mulberry_internal.speech_cache o WHERE o.tenant = owner ORDER BY o.used_at DESC OFFSET most));
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION mulberry.keep_speech(text, text, bytea, text, integer[]) IS
    'keeps how a sentence sounds in a voice, for this tenant alone; about 2000 of them, those that were said last. words: of each word, '
    'where it ends in the text, in bytes, and when it is over, in ms. False: it was there. Needs gateway access. Errors: 22004, 2202E '
    'words that are no pairs or too many, 54000 too long';

CREATE OR REPLACE VIEW mulberry.conversation_lines WITH (security_barrier) AS
    SELECT t.name AS tenant, c.call_id, l.number, l.speaker, l.text, l.cut, l.at
      FROM mulberry_internal.conversation_lines l
      JOIN mulberry_internal.conversations c ON c.id = l.conversation
      JOIN mulberry_internal.tenants t ON t.id = c.tenant
     WHERE c.tenant = ANY ((SELECT mulberry.current_tenants(true, 'supervisor', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.conversation_lines IS 'what was said in conversations, as far as it was heard, while they go on and afterwards';
COMMENT ON COLUMN mulberry.conversation_lines.number IS 'their order';
COMMENT ON COLUMN mulberry.conversation_lines.speaker IS 'caller, agent, or supervisor: a word to the agent alone';
COMMENT ON COLUMN mulberry.conversation_lines.cut IS 'the caller interrupted it; the rest was not heard';
