-- Endpoints of kind twilio: their options.

CREATE OR REPLACE FUNCTION check_twilio_options(options jsonb, secret text, allow_http boolean, allow_private boolean) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    rule  record;
    value jsonb;
BEGIN
    IF secret IS NULL THEN
        RAISE EXCEPTION 'an endpoint of kind twilio needs a secret' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'It is the name under which the auth token of the account is stored.';
    END IF;
    FOR rule IN
        SELECT o.name AS option, r.* FROM (VALUES
            ('account_sid', 'string', true, '^AC[0-9a-f]{32}$', 'AC and 32 lower-case hexadecimal digits', NULL::numeric, NULL::numeric),
            ('from', 'string', true, E'^\\+[1-9][0-9]{1,14}$', 'an E.164 number (+, country code, number, at most 15 digits)', NULL, NULL),
            ('api_key_sid', 'string', false, '^SK[0-9a-f]{32}$', 'SK and 32 lower-case hexadecimal digits', NULL, NULL),
            ('api_key_secret', 'string', false, '^(?!voice-key-)[^[:cntrl:]]{1,63}$', 'the name of a secret that is no voice key',
                NULL, NULL),
            ('public_url', 'string', false, '^https?://', 'an http or https URL', NULL, NULL),
            ('machine_detection', 'string', false, '^(Enable|DetectMessageEnd)$', 'Enable or DetectMessageEnd', NULL, NULL),
            ('announcement', 'string', false, '^[^[:cntrl:]]+$', '1 to 500 characters on one line', NULL, NULL),
            ('language', 'string', false, '^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$', 'a language tag such as en-US', NULL, NULL),
            ('voice', 'string', false, '^[A-Za-z0-9._-]{1,100}$', 'the name of a voice', NULL, NULL),
            ('call_timeout', 'number', false, NULL, NULL, 5, 600),
            ('time_limit', 'number', false, NULL, NULL, 30, 3600),
            ('repetitions', 'number', false, NULL, NULL, 1, 5),
            ('poll_interval', 'number', false, NULL, NULL, 0.1, 60),
            ('previous_secret', 'string', false, '^(?!voice-key-)[^[:cntrl:]]{1,63}$', 'the name of a secret that is no voice key',
                NULL, NULL),
            ('record', 'boolean', false, NULL, NULL, NULL, NULL),
            ('delete_recordings', 'boolean', false, NULL, NULL, NULL, NULL)
        ) AS r (name, type, needed, form, form_text, least, most)
         RIGHT JOIN unnest((mulberry_internal.endpoint_kind('twilio', NULL)).options) WITH ORDINALITY AS o (name, place) USING (name)
         ORDER BY o.place
    LOOP
        IF rule.type IS NULL THEN
            RAISE EXCEPTION 'option % of an endpoint of kind twilio has no rule', rule.option;
        END IF;
        value := options->rule.name;
        IF value IS NULL THEN
            IF rule.needed THEN
                RAISE EXCEPTION 'an endpoint of kind twilio needs the option "%"', rule.name
                    USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', rule.form_text);
            END IF;
        ELSIF jsonb_typeof(value) <> rule.type THEN
            RAISE EXCEPTION 'option % must be a %', rule.name, rule.type USING ERRCODE = 'invalid_parameter_value';
        ELSIF rule.form IS NOT NULL AND value #>> '{}' !~ rule.form THEN
            RAISE EXCEPTION 'invalid option %', rule.name USING ERRCODE = 'invalid_parameter_value',
                DETAIL = format('It must be %s.', rule.form_text);
        ELSIF rule.least IS NOT NULL AND ((value #>> '{}')::numeric NOT BETWEEN rule.least AND rule.most
              OR (rule.name <> 'poll_interval' AND (value #>> '{}')::numeric % 1 <> 0)) THEN
            RAISE EXCEPTION 'option % must be a % from % to %', rule.name,
                CASE rule.name WHEN 'poll_interval' THEN 'number' ELSE 'whole number' END, rule.least, rule.most
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;
    IF (options ? 'api_key_sid') <> (options ? 'api_key_secret') THEN
        RAISE EXCEPTION 'options api_key_sid and api_key_secret go together' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'api_key_secret is the name under which the key''s secret is stored.';
    END IF;
    IF options ? 'public_url' THEN
        BEGIN
            options := jsonb_set(options, '{public_url}',
                to_jsonb(mulberry_internal.normalize_endpoint_url(options->>'public_url', allow_http, allow_private)));
        EXCEPTION WHEN invalid_parameter_value THEN
            RAISE EXCEPTION 'invalid option public_url' USING ERRCODE = 'invalid_parameter_value',
                DETAIL = 'The rules are those of an endpoint''s own address: ' || SQLERRM || '.';
        END;
        IF length(options->>'public_url') > 200 THEN
            RAISE EXCEPTION 'option public_url has more than 200 characters' USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END IF;
    IF length(options->>'announcement') > 500 THEN
        RAISE EXCEPTION 'option announcement has more than 500 characters' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF coalesce((options->>'record')::boolean, true) = false AND NOT options ? 'public_url' THEN
        RAISE EXCEPTION 'without public_url acknowledgements are heard in recordings alone' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Set public_url, or leave record on.';
    END IF;
    RETURN options;
END
$$;
COMMENT ON FUNCTION check_twilio_options(jsonb, text, boolean, boolean) IS
    'checks the options of an endpoint of kind twilio and returns them with public_url in its normal form; 22023 says what is wrong '
    '(internal)';

CREATE OR REPLACE FUNCTION telephony_settings(options jsonb,
    OUT account_sid text, OUT api_key_sid text, OUT api_key_secret text, OUT from_number text, OUT public_url text,
    OUT machine_detection text, OUT call_timeout integer, OUT time_limit integer, OUT repetitions integer,
    OUT announcement text, OUT language text, OUT voice text, OUT record boolean, OUT delete_recordings boolean,
    OUT poll_interval interval)
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT options->>'account_sid', options->>'api_key_sid', options->>'api_key_secret', options->>'from',
           options->>'public_url', options->>'machine_detection', coalesce(mulberry_internal.whole_number(options->'call_timeout'), 60),
           coalesce(mulberry_internal.whole_number(options->'time_limit'), 180),
           coalesce(mulberry_internal.whole_number(options->'repetitions'), 3),
           options->>'announcement', options->>'language', options->>'voice',
           coalesce((options->>'record')::boolean, true), coalesce((options->>'delete_recordings')::boolean, false),
           -- callbacks tell what happens; polling is then for those that get lost
           make_interval(secs => coalesce((options->>'poll_interval')::double precision,
                                          CASE WHEN options ? 'public_url' THEN 10 ELSE 3 END));
END;
COMMENT ON FUNCTION telephony_settings(jsonb) IS
    'options of an endpoint of kind twilio, with the defaults of those that are not set (internal)';

CREATE OR REPLACE FUNCTION telephony_problem(tenant uuid) RETURNS text
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    e      CONSTANT mulberry_internal.endpoints := mulberry_internal.telephony_endpoint(tenant);
    needed text;
BEGIN
    IF e.id IS NULL THEN
        RETURN 'no endpoint serves telephony';
    END IF;
    IF NOT e.enabled THEN
        RETURN format('endpoint "%s" is disabled', e.name);
    END IF;
    FOREACH needed IN ARRAY array_remove(ARRAY[e.secret, e.options->>'api_key_secret'], NULL) LOOP
        IF NOT EXISTS (SELECT FROM mulberry_internal.secrets s
                        WHERE s.name = needed
                          AND s.tenant = mulberry_internal.secret_tenant(e.tenant, needed, telephony_problem.tenant)) THEN
            RETURN format('secret "%s" of endpoint "%s" does not exist', needed, e.name);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION telephony_problem(uuid) IS 'why no call can be placed for a tenant, one sentence; null: one can (internal)';
