-- What calls say: TwiML.

CREATE OR REPLACE FUNCTION mulberry.twiml(verbs jsonb) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_twiml';
COMMENT ON FUNCTION mulberry.twiml(jsonb) IS
    'a TwiML document of less than 4,000 characters from a list of verbs as twiml_say() and its like make them: say, play, pause, gather, '
    'record, dial, connect, start_recording, redirect, reject, hangup. Texts are escaped and lose what XML does not allow; 22023 says '
    'which verb is wrong';

CREATE OR REPLACE FUNCTION say_verb(sentence text, options jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_strip_nulls(jsonb_build_object('verb', 'say', 'text', sentence, 'voice', options->'voice', 'language',
     options->'language'));
COMMENT ON FUNCTION say_verb(text, jsonb) IS 'the TwiML verb that says a sentence as the options of an endpoint want it said (internal)';

CREATE OR REPLACE FUNCTION gather_verb(public_url text, token uuid, step integer, expected text) RETURNS jsonb
LANGUAGE sql IMMUTABLE
RETURN jsonb_build_object('verb', 'gather', 'input', 'dtmf', 'method', 'POST',
            -- in alphabetical order: what sorts the query of a URL on its way must not change what was signed
            'action', format('%s/twilio/ack?%sstep=%s&token=%s', public_url,
                             CASE expected WHEN 'challenge' THEN 'for=challenge&' END, step, token))
        || CASE expected
             WHEN 'acknowledgement' THEN '{"timeout": 8, "finish_on_key": "#"}'
             WHEN 'challenge' THEN '{"timeout": 15, "num_digits": 8, "finish_on_key": ""}'
             WHEN 'key' THEN '{"timeout": 5, "num_digits": 1, "finish_on_key": ""}'
           END::jsonb;
COMMENT ON FUNCTION gather_verb(text, uuid, integer, text) IS
    'the TwiML verb that waits for tones: an acknowledgement up to its #, the eight digits of a challenge, or one key. The step makes '
    'each request of a call another one (internal)';

CREATE OR REPLACE FUNCTION play_verb(frame text) RETURNS jsonb
LANGUAGE sql IMMUTABLE
-- half a second of silence before it, so that nothing said covers its first tone
RETURN jsonb_build_object('verb', 'play', 'digits', 'w' || frame);
COMMENT ON FUNCTION play_verb(text) IS 'the TwiML verb that plays a frame (internal)';

CREATE OR REPLACE FUNCTION spaced(digits text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN trim(regexp_replace(digits, '(.)', E'\\1 ', 'g'));
COMMENT ON FUNCTION spaced(text) IS 'digits apart from each other, so that a voice reads them one by one (internal)';

CREATE OR REPLACE FUNCTION voice_document(voice_call bigint, options jsonb) RETURNS text
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    s     record;
    v     mulberry_internal.voice_calls;
    c     mulberry_internal.commands;
    verbs jsonb;
BEGIN
    SELECT * INTO s FROM mulberry_internal.telephony_settings(options);
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    SELECT x.* INTO STRICT c FROM mulberry_internal.commands x WHERE x.id = v.command;
    IF v.purpose = 'escalation' THEN
        verbs := jsonb_build_array(mulberry_internal.say_verb(mulberry_internal.escalation_sentence(c.id), options),
            '{"verb": "pause", "length": 1}'::jsonb);
        FOR step IN 1 .. s.repetitions LOOP
            verbs := verbs || mulberry_internal.say_verb(mulberry_internal.escalation_sentence(c.id), options);
            IF s.public_url IS NOT NULL THEN
                verbs := verbs || (mulberry_internal.gather_verb(s.public_url, v.token, step, 'key')
                    || jsonb_build_object('verbs', jsonb_build_array(mulberry_internal.say_verb('Press any key to confirm that you '
                        'have heard this.', options))));
            ELSE
                verbs := verbs || '{"verb": "pause", "length": 2}'::jsonb;
            END IF;
        END LOOP;
        RETURN mulberry.twiml(verbs || '{"verb": "hangup"}'::jsonb);
    END IF;
    -- Words that would confirm (see confirming_words) are not among ours: recordings hold both sides.
    verbs := jsonb_build_array(mulberry_internal.say_verb(coalesce(s.announcement,
        (mulberry_internal.command_kind(c.command)).announcement), options));
    FOR step IN 1 .. s.repetitions LOOP
        verbs := verbs || mulberry_internal.play_verb(v.frame)
            || CASE WHEN s.public_url IS NOT NULL THEN mulberry_internal.gather_verb(s.public_url, v.token, step, 'acknowledgement')
                    ELSE '{"verb": "pause", "length": 8}' END;
    END LOOP;
    -- Without webhooks a challenge is answered in the next call, so that the last pause just holds one, and ends the call.
    IF s.public_url IS NOT NULL THEN
        verbs := verbs || mulberry_internal.say_verb('Goodbye', options);
    END IF;
    RETURN mulberry.twiml(verbs || '{"verb": "hangup"}'::jsonb);
END
$$;
COMMENT ON FUNCTION voice_document(bigint, jsonb) IS
    'the TwiML that a call begins with: announcement and frame, with gatherings of the acknowledgement where webhooks reach us and '
    'pauses for the recording where they do not; for an escalation, what happened (internal)';
