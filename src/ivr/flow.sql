-- What a caller hears next: TwiML by settings, by where the caller is and by what came.  Nothing here reads or writes a table, so
-- that a preview is what a call gets.

CREATE OR REPLACE FUNCTION ivr_say(settings jsonb, sentence text) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN sentence IS NULL THEN '[]'::jsonb
            ELSE jsonb_build_array(mulberry.twiml_say(sentence, settings->>'voice', settings->>'language')) END;
COMMENT ON FUNCTION ivr_say(jsonb, text) IS 'the verbs that say a sentence, if there is one, as settings want it said (internal)';

CREATE OR REPLACE FUNCTION ivr_sentence(settings jsonb, name text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN coalesce(settings->'sentences'->>name,
    CASE name COLLATE "C"
      WHEN 'closed' THEN 'Thank you for calling. We are closed at the moment.'
      WHEN 'goodbye' THEN 'Goodbye.'
      WHEN 'thanks' THEN 'Thank you.'
      WHEN 'unavailable' THEN 'Nobody can take your call at the moment.'
      WHEN 'not_understood' THEN 'That key is not in use.'
      WHEN 'time_over' THEN 'This call has reached its longest duration.'
      WHEN 'consent_refused' THEN 'We cannot go on without your consent.'
      WHEN 'agent' THEN 'How can I help you?'
      WHEN 'record' THEN 'Please leave a message after the tone, and press the hash key when you are done.'
      WHEN 'emergency' THEN 'This sounds like an emergency. If anybody is in danger, hang up and call your local emergency number now.'
    END);
COMMENT ON FUNCTION ivr_sentence(jsonb, text) IS 'a sentence that settings may have in their own words (internal)';

CREATE OR REPLACE FUNCTION sentence_names() RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN ARRAY['closed', 'goodbye', 'thanks', 'unavailable', 'not_understood', 'time_over', 'consent_refused', 'record', 'emergency',
             'agent'];
COMMENT ON FUNCTION sentence_names() IS 'the sentences that ivr_sentence() knows (internal)';

CREATE OR REPLACE FUNCTION ivr_url(context jsonb, path text) RETURNS text
LANGUAGE sql IMMUTABLE
-- in alphabetical order: what sorts the query of a URL on its way must not change what was signed
RETURN format('%s/twilio/%s?step=%s&token=%s', context->>'base', path, context->>'turn', context->>'token');
COMMENT ON FUNCTION ivr_url(jsonb, text) IS 'where the next webhook of a call goes; its step makes each another one (internal)';

CREATE OR REPLACE FUNCTION asks_consent(settings jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN coalesce((settings->>'consent_required')::boolean, false) OR coalesce(settings->>'recording' = 'consent', false);
COMMENT ON FUNCTION asks_consent(jsonb) IS 'whether a caller is asked for consent, and not only told (internal)';

CREATE OR REPLACE FUNCTION may_be_recorded(settings jsonb, consent boolean) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN CASE settings->>'recording' WHEN 'always' THEN true WHEN 'consent' THEN consent ELSE false END IS TRUE;
COMMENT ON FUNCTION may_be_recorded(jsonb, boolean) IS 'whether settings have a call recorded whose caller has answered so (internal)';

CREATE OR REPLACE FUNCTION ivr_keys(settings jsonb, context jsonb, sentence text, seconds integer DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_build_array(mulberry.twiml_gather(mulberry_internal.ivr_url(context, 'dtmf'), mulberry_internal.ivr_say(settings, sentence),
                                               1, coalesce(seconds, 8), 'none', 'dtmf', true, 'POST'));
COMMENT ON FUNCTION ivr_keys(jsonb, jsonb, text, integer) IS 'the verbs that say a sentence and wait for a key (internal)';

CREATE OR REPLACE FUNCTION ivr_agent(settings jsonb, context jsonb, recorded boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_build_array(
    mulberry.twiml_connect(regexp_replace(coalesce(nullif(context->>'base', ''), 'https://localhost'), '^https?', 'wss') || '/twilio/ws',
        jsonb_strip_nulls(jsonb_build_object('token', context->>'token', 'call_sid', context->>'sid', 'to_number', context->>'number',
            'from_number', left(context->>'caller', 200), 'settings', context->>'version', 'seconds', context->>'seconds',
            'recorded', recorded::text))),
    mulberry.twiml_redirect(mulberry_internal.ivr_url(context, 'transfer'), 'POST'));
COMMENT ON FUNCTION ivr_agent(jsonb, jsonb, boolean) IS
    'the verbs that connect a call to the automatic agent, and ask how it goes on when that has left it (internal)';

CREATE OR REPLACE FUNCTION ivr_dial(settings jsonb, context jsonb, number text, recorded boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_build_array(mulberry.twiml_dial(ARRAY[number], mulberry_internal.ivr_url(context, 'transfer'), 20,
                                             greatest((context->>'seconds')::integer, 1), method => 'POST'));
COMMENT ON FUNCTION ivr_dial(jsonb, jsonb, text, boolean) IS 'the verbs that hand a call to a person (internal)';

CREATE OR REPLACE FUNCTION ivr_end(settings jsonb, sentence text) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN mulberry_internal.ivr_say(settings, sentence) || jsonb_build_array(mulberry.twiml_hangup());
COMMENT ON FUNCTION ivr_end(jsonb, text) IS 'the verbs that end a call (internal)';

-- Whoever is in the call and has heard greeting and consent gets the menu or the agent.
CREATE OR REPLACE FUNCTION ivr_answer(settings jsonb, context jsonb, place jsonb, OUT verbs jsonb, OUT next_place jsonb, OUT deed jsonb)
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    recorded CONSTANT boolean := mulberry_internal.may_be_recorded(settings, (place->'consent')::boolean);
BEGIN
    deed := '{}';
    IF coalesce(settings->>'answer_with', CASE WHEN settings ? 'menus' THEN 'menu' ELSE 'agent' END) = 'agent' THEN
        -- what the agent hears is the recording
        next_place := place || '{"node": "agent", "misses": 0}';
        verbs := mulberry_internal.ivr_agent(settings, context, recorded);
        RETURN;
    END IF;
    next_place := place || '{"node": "menu", "menu": "main", "misses": 0}';
    verbs := mulberry_internal.ivr_keys(settings, context, settings->'menus'->'main'->>'text',
        mulberry_internal.whole_number(settings->'menus'->'main'->'timeout'));
    IF recorded THEN
        verbs := jsonb_build_array(mulberry.twiml_start_recording(
            format('%s/twilio/recording?token=%s', context->>'base', context->>'token'), 'dual')) || verbs;
        deed := '{"recorded": true}';
    END IF;
END
$$;
COMMENT ON FUNCTION ivr_answer(jsonb, jsonb, jsonb) IS 'how a call is answered once that is allowed: menu or automatic agent (internal)';

CREATE OR REPLACE FUNCTION ivr_begin(settings jsonb, context jsonb, OUT verbs jsonb, OUT next_place jsonb, OUT deed jsonb)
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    answer record;
BEGIN
    deed := '{}';
    IF NOT (context->>'open')::boolean THEN
        verbs := mulberry_internal.ivr_say(settings, coalesce(context->>'closed', mulberry_internal.ivr_sentence(settings, 'closed')));
        IF settings ? 'closed_menu' THEN
            next_place := jsonb_build_object('node', 'menu', 'menu', settings->>'closed_menu', 'misses', 0);
            verbs := verbs || mulberry_internal.ivr_keys(settings, context, settings->'menus'->(settings->>'closed_menu')->>'text',
                mulberry_internal.whole_number(settings->'menus'->(settings->>'closed_menu')->'timeout'));
        ELSE
            next_place := '{"node": "over"}';
            verbs := mulberry_internal.ivr_end(settings, coalesce(context->>'closed',
                mulberry_internal.ivr_sentence(settings, 'closed')));
        END IF;
        RETURN;
    END IF;
    verbs := mulberry_internal.ivr_say(settings, settings->>'greeting');
    IF mulberry_internal.asks_consent(settings) THEN
        next_place := '{"node": "consent", "misses": 0}';
        verbs := verbs || mulberry_internal.ivr_keys(settings, context, settings->>'consent');
        RETURN;
    END IF;
    verbs := verbs || mulberry_internal.ivr_say(settings, settings->>'consent');
    answer := mulberry_internal.ivr_answer(settings, context, '{}');
    verbs := verbs || answer.verbs;
    next_place := answer.next_place;
    deed := answer.deed;
END
$$;
COMMENT ON FUNCTION ivr_begin(jsonb, jsonb) IS 'what a caller hears first (internal)';

CREATE OR REPLACE FUNCTION ivr_consent(settings jsonb, context jsonb, place jsonb, digits text,
    OUT verbs jsonb, OUT next_place jsonb, OUT deed jsonb)
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    attempts_max CONSTANT integer := 3;
    misses       CONSTANT integer := coalesce((place->>'misses')::integer, 0) + 1;
    answer       record;
BEGIN
    IF digits IS DISTINCT FROM '1' AND digits IS DISTINCT FROM '2' AND misses < attempts_max THEN
        deed := '{}';
        next_place := place || jsonb_build_object('misses', misses);
        verbs := mulberry_internal.ivr_keys(settings, context, settings->>'consent');
    ELSIF digits IS DISTINCT FROM '1' AND (settings->>'consent_required')::boolean THEN
        deed := '{"consent": false}';
        next_place := '{"node": "over"}';
        verbs := mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'consent_refused'));
    ELSE
        answer := mulberry_internal.ivr_answer(settings, context, jsonb_build_object('consent', digits IS NOT DISTINCT FROM '1'));
        verbs := answer.verbs;
        next_place := answer.next_place;
        deed := answer.deed || jsonb_build_object('consent', digits IS NOT DISTINCT FROM '1');
    END IF;
END
$$;
COMMENT ON FUNCTION ivr_consent(jsonb, jsonb, jsonb, text) IS
    'what follows the question for consent: 1 gives it, 2 refuses it, and so does silence after three times (internal)';

CREATE OR REPLACE FUNCTION ivr_menu(settings jsonb, context jsonb, place jsonb, sentence text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN mulberry_internal.ivr_say(settings, sentence)
    || mulberry_internal.ivr_keys(settings, context, settings->'menus'->(place->>'menu')->>'text',
           mulberry_internal.whole_number(settings->'menus'->(place->>'menu')->'timeout'));
COMMENT ON FUNCTION ivr_menu(jsonb, jsonb, jsonb, text) IS 'the verbs of the menu where a caller is, behind a sentence (internal)';

CREATE OR REPLACE FUNCTION ivr_key(settings jsonb, context jsonb, place jsonb, digits text,
    OUT verbs jsonb, OUT next_place jsonb, OUT deed jsonb)
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    attempts_max CONSTANT integer := 3;
    misses       CONSTANT integer := coalesce((place->>'misses')::integer, 0) + 1;
    key          CONSTANT jsonb := settings->'menus'->(place->>'menu')->'keys'->left(digits, 1);
    said         CONSTANT jsonb := mulberry_internal.ivr_say(settings, key->>'text');
BEGIN
    deed := '{}';
    IF key IS NULL THEN
        IF misses >= attempts_max THEN
            next_place := '{"node": "over"}';
            verbs := mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'goodbye'));
        ELSE
            next_place := place || jsonb_build_object('misses', misses);
            verbs := mulberry_internal.ivr_menu(settings, context, place,
                CASE WHEN digits <> '' THEN mulberry_internal.ivr_sentence(settings, 'not_understood') END);
        END IF;
        RETURN;
    END IF;
    deed := jsonb_build_object('key', left(digits, 1), 'menu', place->>'menu', 'action', key->>'action');
    next_place := place || '{"misses": 0}';
    CASE key->>'action'
    WHEN 'say' THEN
        IF key->>'then' = 'hangup' THEN
            next_place := '{"node": "over"}';
            verbs := mulberry_internal.ivr_end(settings, key->>'text');
        ELSE
            verbs := said || mulberry_internal.ivr_menu(settings, context, place);
        END IF;
    WHEN 'menu' THEN
        next_place := next_place || jsonb_build_object('menu', key->>'menu');
        verbs := said || mulberry_internal.ivr_menu(settings, context, next_place);
    WHEN 'transfer' THEN
        next_place := next_place || '{"node": "transfer"}';
        verbs := said || mulberry_internal.ivr_dial(settings, context, coalesce(key->>'number', settings->>'transfer_number'), false);
    WHEN 'record' THEN
        next_place := next_place || '{"node": "record"}';
        verbs := mulberry_internal.ivr_say(settings, coalesce(key->>'text', mulberry_internal.ivr_sentence(settings, 'record')))
            || jsonb_build_array(mulberry.twiml_record(mulberry_internal.ivr_url(context, 'dtmf'),
                   least(coalesce(mulberry_internal.whole_number(key->'seconds'), 120), greatest((context->>'seconds')::integer, 1)),
                   5, '#',
                   recording_status_callback => format('%s/twilio/recording?token=%s', context->>'base', context->>'token'),
                   method => 'POST'))
            -- nothing was said
            || mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'goodbye'));
    WHEN 'agent' THEN
        next_place := next_place || '{"node": "agent"}';
        verbs := said || mulberry_internal.ivr_agent(settings, context, (context->'recorded')::boolean IS TRUE);
    WHEN 'emergency' THEN
        deed := deed || '{"emergency": true}';
        SELECT e.verbs, e.next_place INTO verbs, next_place FROM mulberry_internal.ivr_emergency(settings, context, key->>'text') AS e;
    END CASE;
END
$$;
COMMENT ON FUNCTION ivr_key(jsonb, jsonb, jsonb, text) IS
    'what a key does in the menu where the caller is; one that is not in use, and none, has the menu said again, three times in all '
    '(internal)';

CREATE OR REPLACE FUNCTION ivr_emergency(settings jsonb, context jsonb, sentence text DEFAULT NULL, OUT verbs jsonb, OUT next_place jsonb)
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    sentence := coalesce(sentence, mulberry_internal.ivr_sentence(settings, 'emergency'));
    IF settings ? 'emergency_number' THEN
        next_place := '{"node": "transfer", "emergency": true}';
        verbs := mulberry_internal.ivr_say(settings, sentence)
            || mulberry_internal.ivr_dial(settings, context, settings->>'emergency_number', false);
    ELSE
        next_place := '{"node": "over"}';
        verbs := mulberry_internal.ivr_end(settings, sentence);
    END IF;
END
$$;
COMMENT ON FUNCTION ivr_emergency(jsonb, jsonb, text) IS
    'the scripted answer to an emergency: a sentence, and then the number that settings have for it, or the end of the call (internal)';

CREATE OR REPLACE FUNCTION ivr_next(settings jsonb, context jsonb, place jsonb, input jsonb,
    OUT verbs jsonb, OUT next_place jsonb, OUT deed jsonb)
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    dialled CONSTANT text := input->>'dial_status';
BEGIN
    deed := '{}';
    IF place->>'node' <> 'begin' AND (context->>'seconds')::integer <= 0 THEN
        next_place := '{"node": "over"}';
        verbs := mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'time_over'));
        RETURN;
    ELSIF (input->'emergency')::boolean AND NOT place ? 'emergency' THEN
        SELECT e.verbs, e.next_place INTO verbs, next_place FROM mulberry_internal.ivr_emergency(settings, context) AS e;
        RETURN;
    END IF;
    CASE place->>'node'
    WHEN 'begin' THEN
        SELECT n.* INTO verbs, next_place, deed FROM mulberry_internal.ivr_begin(settings, context) AS n;
    WHEN 'consent' THEN
        SELECT n.* INTO verbs, next_place, deed FROM mulberry_internal.ivr_consent(settings, context, place, input->>'digits') AS n;
    WHEN 'menu' THEN
        SELECT n.* INTO verbs, next_place, deed FROM mulberry_internal.ivr_key(settings, context, place, input->>'digits') AS n;
    WHEN 'record' THEN
        next_place := '{"node": "over"}';
        verbs := mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'thanks'));
    WHEN 'agent' THEN
        -- the agent has left the call, or could not be reached: for a key that was pressed there, or who has not come from the menu gets
        -- it, as far as there is one
        IF settings->'menus' ? 'main' AND place ? 'key' THEN
            SELECT n.* INTO verbs, next_place, deed
              FROM mulberry_internal.ivr_key(settings, context, place - 'key' || '{"node": "menu", "menu": "main", "misses": 0}',
                       place->>'key') AS n;
        ELSIF place->>'leave' = 'hangup' THEN
            next_place := '{"node": "over"}';
            verbs := jsonb_build_array(mulberry.twiml_hangup());
        ELSIF place->>'leave' = 'transfer' THEN
            next_place := place - 'leave' - 'number' || '{"node": "transfer"}';
            verbs := mulberry_internal.ivr_dial(settings, context, place->>'number', false);
        ELSIF settings->'menus' ? 'main' AND (NOT place ? 'menu' OR place->>'leave' = 'menu') THEN
            place := place - 'leave';
            next_place := place || '{"node": "menu", "menu": "main"}';
            verbs := mulberry_internal.ivr_menu(settings, context, next_place);
        ELSE
            next_place := '{"node": "over"}';
            verbs := mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'goodbye'));
        END IF;
    WHEN 'transfer' THEN
        deed := jsonb_strip_nulls(jsonb_build_object('transfer', dialled));
        IF dialled IN ('completed', 'answered') OR NOT place ? 'menu' THEN
            next_place := '{"node": "over"}';
            verbs := CASE WHEN dialled IN ('completed', 'answered') THEN mulberry_internal.ivr_end(settings, NULL)
                          ELSE mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'unavailable')) END;
        ELSIF coalesce((place->>'refused')::integer, 0) >= 2 THEN
            next_place := '{"node": "over"}';
            verbs := mulberry_internal.ivr_end(settings, mulberry_internal.ivr_sentence(settings, 'unavailable'));
        ELSE
            next_place := place || jsonb_build_object('node', 'menu', 'refused', coalesce((place->>'refused')::integer, 0) + 1);
            verbs := mulberry_internal.ivr_menu(settings, context, place, mulberry_internal.ivr_sentence(settings, 'unavailable'));
        END IF;
    ELSE
        next_place := '{"node": "over"}';
        verbs := jsonb_build_array(mulberry.twiml_hangup());
    END CASE;
END
$$;
COMMENT ON FUNCTION ivr_next(jsonb, jsonb, jsonb, jsonb) IS
    'what a caller hears next, where that leads, and what is to be noted, by settings, place and input ({"digits", "dial_status", '
    '"emergency"}); context: {"base", "token", "turn", "sid", "number", "caller", "version", "seconds", "open", "closed", "recorded"} '
    '(internal)';
