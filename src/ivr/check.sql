-- What telephony settings may say.  Whatever is wrong is said with what is allowed, when they are written.

CREATE OR REPLACE FUNCTION refuse_setting(place text, problem text, allowed text) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RAISE EXCEPTION 'invalid setting %: %', left(place, 200), left(problem, 300) USING ERRCODE = 'invalid_parameter_value',
        DETAIL = allowed;
END
$$;
COMMENT ON FUNCTION refuse_setting(text, text, text) IS 'raises 22023 for a telephony setting (internal)';

CREATE OR REPLACE FUNCTION check_setting(place text, value jsonb, type text, form text DEFAULT NULL,
    form_text text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    words CONSTANT text := value #>> '{}';
BEGIN
    IF value IS NULL THEN
        RETURN;
    END IF;
    IF jsonb_typeof(value) <> (CASE WHEN type IN ('sentence', 'number of a telephone') THEN 'string' ELSE type END) THEN
        PERFORM mulberry_internal.refuse_setting(place, format('it is of type %s', jsonb_typeof(value)),
            format('It must be %s.', CASE WHEN type IN ('array', 'object') THEN 'an ' || type
                WHEN type IN ('sentence', 'number of a telephone') THEN 'a string' ELSE 'a ' || type END));
    ELSIF type = 'sentence' AND (length(words) NOT BETWEEN 1 AND 1000 OR trim(words) = '' OR mulberry_internal.has_controls(words)) THEN
        PERFORM mulberry_internal.refuse_setting(place, CASE WHEN length(words) > 1000 THEN format('it has %s characters', length(words))
            WHEN mulberry_internal.has_controls(words) THEN 'it has control characters' ELSE 'it is empty' END,
            'A sentence that is said has 1 to 1000 characters on one line.');
    ELSIF type = 'number of a telephone' AND NOT mulberry_internal.phone_valid(words) THEN
        PERFORM mulberry_internal.refuse_setting(place, format('"%s" is no telephone number', left(words, 40)),
            'E.164 has a plus sign, a country code that does not begin with 0, and at most 15 digits in all.');
    ELSIF form IS NOT NULL AND words COLLATE "C" !~ form THEN
        PERFORM mulberry_internal.refuse_setting(place, format('"%s" is not allowed', left(words, 60)), format('It must be %s.',
            form_text));
    END IF;
END
$$;
COMMENT ON FUNCTION check_setting(text, jsonb, text, text, text) IS
    'checks one telephony setting: its type in JSON, or a sentence that is said, or the number of a telephone; and its form (internal)';

CREATE OR REPLACE FUNCTION check_members(place text, value jsonb, allowed text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    unknown text;
BEGIN
    PERFORM mulberry_internal.check_setting(place, value, 'object');
    SELECT k.name INTO unknown FROM jsonb_object_keys(value) AS k (name) WHERE k.name <> ALL (allowed) ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        PERFORM mulberry_internal.refuse_setting(place, format('"%s" is not known', left(unknown, 60)),
            format('Known are %s.', array_to_string(allowed, ', ')));
    END IF;
END
$$;
COMMENT ON FUNCTION check_members(text, jsonb, text[]) IS 'raises 22023 for a member of an object that is not known (internal)';

CREATE OR REPLACE FUNCTION check_whole_number(place text, value jsonb, minimum integer, maximum integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    PERFORM mulberry_internal.check_setting(place, value, 'number');
    IF (value #>> '{}')::numeric NOT BETWEEN minimum AND maximum OR (value #>> '{}')::numeric % 1 <> 0 THEN
        PERFORM mulberry_internal.refuse_setting(place, format('%s is out of range', value),
            format('It must be a whole number from %s to %s.', minimum, maximum));
    END IF;
END
$$;
COMMENT ON FUNCTION check_whole_number(text, jsonb, integer, integer) IS
    'raises 22023 for a setting that is no number in a range (internal)';

CREATE OR REPLACE FUNCTION check_hours(settings jsonb) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    days CONSTANT text[] := ARRAY['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
    part record;
    span record;
BEGIN
    PERFORM mulberry_internal.check_setting('time_zone', settings->'time_zone', 'string');
    IF settings ? 'time_zone' AND (settings->>'time_zone' ~ '^(posix|right)/'
       OR NOT EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = settings->>'time_zone')) THEN
        PERFORM mulberry_internal.refuse_setting('time_zone', format('"%s" is not known', left(settings->>'time_zone', 60)),
            'It must be the name of a zone as IANA writes it, such as Europe/Berlin.');
    END IF;
    PERFORM mulberry_internal.check_members('hours', settings->'hours', days);
    PERFORM mulberry_internal.check_setting('holidays', settings->'holidays', 'object');
    IF (settings ? 'hours' OR settings ? 'holidays') AND NOT settings ? 'time_zone' THEN
        PERFORM mulberry_internal.refuse_setting('time_zone', 'it is missing', 'Hours and holidays need one, such as Europe/Berlin.');
    END IF;
    FOR part IN
        SELECT 'hours.' || h.name AS place, h.value AS spans, NULL::text AS day FROM jsonb_each(settings->'hours') AS h (name, value)
        UNION ALL
        SELECT 'holidays.' || h.name, h.value, h.name FROM jsonb_each(settings->'holidays') AS h (name, value)
         ORDER BY 1
    LOOP
        IF part.day IS NOT NULL THEN
            PERFORM mulberry_internal.check_members(part.place, part.spans, ARRAY['hours', 'closed']);
            PERFORM mulberry_internal.check_setting(part.place || '.closed', part.spans->'closed', 'sentence');
            BEGIN
                -- of a leap year, so that 02-29 is a day
                IF part.day COLLATE "C" !~ '^([0-9]{4}-)?[0-9]{2}-[0-9]{2}$'
                   OR to_char((CASE length(part.day) WHEN 5 THEN '2000-' ELSE '' END || part.day)::date, 'MM-DD') <> right(part.day, 5) THEN
                    RAISE datetime_field_overflow;
                END IF;
            EXCEPTION WHEN data_exception THEN
                PERFORM mulberry_internal.refuse_setting(part.place, 'this is no day', 'A holiday is YYYY-MM-DD, or MM-DD for every year.');
            END;
            part.spans := part.spans->'hours';
            part.place := part.place || '.hours';
        END IF;
        PERFORM mulberry_internal.check_setting(part.place, part.spans, 'array');
        FOR span IN SELECT s.value FROM jsonb_array_elements(part.spans) AS s (value) LOOP
            PERFORM mulberry_internal.check_setting(part.place, span.value, 'string');
            IF NOT mulberry_internal.hours_valid(span.value #>> '{}') THEN
                PERFORM mulberry_internal.refuse_setting(part.place, format('"%s" is no interval', left(span.value #>> '{}', 60)),
                    'Hours are written 09:00-17:30, 22:00-02:00 over midnight, or 00:00-24:00.');
            END IF;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION check_hours(jsonb) IS 'checks the business hours of telephony settings (internal)';

CREATE OR REPLACE FUNCTION check_key(settings jsonb, place text, key jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    PERFORM mulberry_internal.check_setting(place, key, 'object');
    PERFORM mulberry_internal.check_setting(place || '.action', coalesce(key->'action', 'null'), 'string',
        '^(say|transfer|record|emergency|agent|menu)$', 'say, transfer, record, emergency, agent or menu');
    PERFORM mulberry_internal.check_members(place, key, ARRAY['action', 'text'] || CASE key->>'action'
        WHEN 'say' THEN ARRAY['then'] WHEN 'transfer' THEN ARRAY['number'] WHEN 'record' THEN ARRAY['seconds']
        WHEN 'menu' THEN ARRAY['menu']
        ELSE '{}' END);
    PERFORM mulberry_internal.check_setting(place || '.text', key->'text', 'sentence');
    PERFORM mulberry_internal.check_setting(place || '.then', key->'then', 'string', '^(menu|hangup)$', 'menu or hangup');
    PERFORM mulberry_internal.check_setting(place || '.number', key->'number', 'number of a telephone');
    PERFORM mulberry_internal.check_whole_number(place || '.seconds', key->'seconds', 1, 3600);
    PERFORM mulberry_internal.check_setting(place || '.menu', key->'menu', 'string');
    IF key->>'action' = 'say' AND NOT key ? 'text' THEN
        PERFORM mulberry_internal.refuse_setting(place || '.text', 'it is missing', 'What is said must be there.');
    ELSIF key->>'action' = 'transfer' AND NOT key ? 'number' AND NOT settings ? 'transfer_number' THEN
        PERFORM mulberry_internal.refuse_setting(place || '.number', 'it is missing',
            'A transfer needs a number, here or as transfer_number.');
    ELSIF key->>'action' = 'menu' AND NOT settings->'menus' ? coalesce(key->>'menu', '') THEN
        PERFORM mulberry_internal.refuse_setting(place || '.menu',
            CASE WHEN key ? 'menu' THEN format('there is no menu "%s"', left(key->>'menu', 60)) ELSE 'it is missing' END,
            format('Menus are %s.', (SELECT string_agg(m.name, ', ' ORDER BY m.name)
                FROM jsonb_object_keys(settings->'menus') AS m (name))));
    END IF;
END
$$;
COMMENT ON FUNCTION check_key(jsonb, text, jsonb) IS 'checks what a key of a menu does (internal)';

CREATE OR REPLACE FUNCTION check_menus(settings jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    menus_max CONSTANT integer := 20;
    depth_max CONSTANT integer := 4;
    menus     CONSTANT jsonb := settings->'menus';
    m         record;
    k         record;
BEGIN
    PERFORM mulberry_internal.check_setting('menus', menus, 'object');
    IF (SELECT count(*) FROM jsonb_object_keys(menus)) > menus_max THEN
        PERFORM mulberry_internal.refuse_setting('menus', format('there are %s', (SELECT count(*) FROM jsonb_object_keys(menus))),
            format('There may be %s menus at most.', menus_max));
    ELSIF menus IS NOT NULL AND NOT menus ? 'main' THEN
        PERFORM mulberry_internal.refuse_setting('menus', 'there is none called main', 'The menu main is the first that a caller hears.');
    ELSIF settings->>'answer_with' = 'menu' AND menus IS NULL THEN
        PERFORM mulberry_internal.refuse_setting('answer_with', 'there is no menu',
            'Give menus with one called main, or answer with the agent.');
    ELSIF settings ? 'closed_menu' AND NOT coalesce(menus ? (settings->>'closed_menu'), false) THEN
        PERFORM mulberry_internal.refuse_setting('closed_menu', format('there is no menu "%s"', left(settings->>'closed_menu', 60)),
            'It must be the name of one of the menus.');
    END IF;
    FOR m IN SELECT e.key AS name, e.value FROM jsonb_each(menus) AS e ORDER BY e.key LOOP
        IF m.name COLLATE "C" !~ '^[a-z][a-z0-9_-]{0,31}$' THEN
            PERFORM mulberry_internal.refuse_setting('menus', format('"%s" is no name of a menu', left(m.name, 60)),
                'Names have a small letter and then at most 31 small letters, digits, - or _.');
        END IF;
        PERFORM mulberry_internal.check_members('menus.' || m.name, m.value, ARRAY['text', 'keys', 'timeout']);
        PERFORM mulberry_internal.check_setting(format('menus.%s.text', m.name), coalesce(m.value->'text', 'null'), 'sentence');
        PERFORM mulberry_internal.check_whole_number(format('menus.%s.timeout', m.name), m.value->'timeout', 1, 60);
        PERFORM mulberry_internal.check_setting(format('menus.%s.keys', m.name), coalesce(m.value->'keys', 'null'), 'object');
        FOR k IN SELECT e.key AS digit, e.value FROM jsonb_each(m.value->'keys') AS e ORDER BY e.key LOOP
            IF k.digit COLLATE "C" !~ '^[0-9*#]$' THEN
                PERFORM mulberry_internal.refuse_setting(format('menus.%s.keys', m.name), format('"%s" is no key of a telephone',
                    left(k.digit, 60)), 'Keys are 0 to 9, * and #.');
            END IF;
            PERFORM mulberry_internal.check_key(settings, format('menus.%s.keys.%s', m.name, k.digit), k.value);
        END LOOP;
    END LOOP;
    FOR m IN
        WITH RECURSIVE way AS (
            SELECT ARRAY[s.name] AS path, s.name FROM (SELECT DISTINCT u.name FROM unnest(ARRAY['main',
                settings->>'closed_menu']) AS u (name)
                                                        WHERE menus ? u.name) AS s
            UNION ALL
            SELECT w.path || (e.value->>'menu'), e.value->>'menu'
              FROM way w CROSS JOIN LATERAL jsonb_each(menus->w.name->'keys') AS e
             WHERE e.value->>'action' = 'menu' AND w.name <> ALL (trim_array(w.path, 1)) AND cardinality(w.path) <= depth_max
        )
        SELECT w.path, w.name <> ALL (trim_array(w.path, 1)) AS too_deep FROM way w
         WHERE w.name = ANY (trim_array(w.path, 1)) OR cardinality(w.path) > depth_max
         ORDER BY 2, 1 LIMIT 1
    LOOP
        PERFORM mulberry_internal.refuse_setting('menus',
            format(CASE WHEN m.too_deep THEN 'they lie too deep: %s' ELSE 'they go round: %s' END,
            array_to_string(m.path, ' > ')), format('A menu leads to others, %s in all behind each other, and to none that led to it.',
                depth_max));
    END LOOP;
    FOR m IN
        WITH RECURSIVE reached AS (
            SELECT s.name FROM unnest(ARRAY['main', settings->>'closed_menu']) AS s (name) WHERE menus ? s.name
            UNION
            SELECT e.value->>'menu' FROM reached r CROSS JOIN LATERAL jsonb_each(menus->r.name->'keys') AS e
                WHERE e.value->>'action' = 'menu'
        )
        SELECT n.name FROM jsonb_object_keys(menus) AS n (name) WHERE NOT EXISTS (SELECT FROM reached r
            WHERE r.name = n.name) ORDER BY 1 LIMIT 1
    LOOP
        PERFORM mulberry_internal.refuse_setting('menus.' || m.name, 'no key leads to it',
            'A menu is main, closed_menu, or where a key leads.');
    END LOOP;
END
$$;
COMMENT ON FUNCTION check_menus(jsonb) IS
    'checks the menus of telephony settings: keys, actions, names, depth, and that none goes round (internal)';

CREATE OR REPLACE FUNCTION check_documents(settings jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    -- as long as such a thing can be
    context CONSTANT jsonb := jsonb_build_object('base', 'https://' || repeat('x', 192), 'turn', 999999,
        'token', '00000000-0000-0000-0000-000000000000', 'sid', 'CA' || repeat('0', 32), 'number', '+000000000000000',
        'caller', repeat('x', 200), 'version', 999999, 'seconds', 3600, 'open', true);
    entry   record;
    made    record;
    problem text;
BEGIN
    FOR entry IN
        SELECT 'greeting' AS place, jsonb '{"node": "begin"}' AS state, jsonb '{}' AS input, jsonb '{}' AS more
        UNION ALL SELECT 'closed', '{"node": "begin"}', '{}', '{"open": false}'
        UNION ALL SELECT 'holidays.' || h.key, '{"node": "begin"}', '{}', jsonb_build_object('open', false, 'closed', h.value->>'closed')
                    FROM jsonb_each(settings->'holidays') AS h
        UNION ALL SELECT 'consent', '{"node": "consent"}', '{"digits": "1"}', '{}'
        UNION ALL SELECT 'menus.' || m.key, jsonb_build_object('node', 'menu', 'menu', m.key), '{"digits": "?"}', '{}'
                    FROM jsonb_each(settings->'menus') AS m
        UNION ALL SELECT format('menus.%s.keys.%s', m.key, k.key), jsonb_build_object('node', 'menu', 'menu', m.key),
                         jsonb_build_object('digits', k.key), '{}'
                    FROM jsonb_each(settings->'menus') AS m CROSS JOIN LATERAL jsonb_each(m.value->'keys') AS k
        UNION ALL SELECT 'sentences.unavailable', jsonb_build_object('node', 'transfer', 'menu', m.key), '{"dial_status": "busy"}', '{}'
                    FROM jsonb_each(settings->'menus') AS m
         ORDER BY 1
    LOOP
        BEGIN
            made := mulberry_internal.ivr_next(settings, context || entry.more, entry.state, entry.input);
            PERFORM mulberry.twiml(made.verbs);
        EXCEPTION WHEN invalid_parameter_value THEN
            GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT;
            PERFORM mulberry_internal.refuse_setting(entry.place, problem, 'All that is said in one go is one TwiML document.');
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION check_documents(jsonb) IS
    'makes every document that callers can get by settings once, so that none fails then (internal)';

CREATE OR REPLACE FUNCTION check_telephony(settings jsonb) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    numbers_max CONSTANT integer := 100;
    words_max   CONSTANT integer := 200;
    e           record;
    w           record;
BEGIN
    IF settings IS NULL THEN
        RAISE EXCEPTION 'settings must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM mulberry_internal.check_members('telephony', settings, ARRAY['numbers', 'greeting', 'voice', 'language',
        'answer_with', 'consent', 'consent_required', 'recording', 'menus', 'transfer_number', 'max_duration', 'time_zone', 'hours',
        'holidays', 'closed_menu', 'emergency_words', 'emergency_number', 'sentences', 'listening']);
    PERFORM mulberry_internal.check_setting('numbers', coalesce(settings->'numbers', '[]'), 'array');
    IF jsonb_array_length(settings->'numbers') > numbers_max THEN
        PERFORM mulberry_internal.refuse_setting('numbers', format('there are %s', jsonb_array_length(settings->'numbers')),
            format('A tenant may have %s numbers at most.', numbers_max));
    END IF;
    PERFORM mulberry_internal.check_setting('numbers', n.value, 'number of a telephone')
       FROM jsonb_array_elements(settings->'numbers') WITH ORDINALITY AS n (value, place) ORDER BY n.place;
    PERFORM mulberry_internal.check_setting('greeting', coalesce(settings->'greeting', 'null'), 'sentence');
    PERFORM mulberry_internal.check_setting('voice', settings->'voice', 'string', '^[A-Za-z0-9._-]{1,100}$', 'the name of a voice');
    PERFORM mulberry_internal.check_setting('language', settings->'language', 'string', '^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$',
        'a language tag such as en-US');
    PERFORM mulberry_internal.check_setting('answer_with', settings->'answer_with', 'string', '^(menu|agent)$', 'menu or agent');
    PERFORM mulberry_internal.check_setting('consent', settings->'consent', 'sentence');
    PERFORM mulberry_internal.check_setting('consent_required', settings->'consent_required', 'boolean');
    PERFORM mulberry_internal.check_setting('recording', settings->'recording', 'string', '^(never|consent|always)$',
        'never, consent or always');
    PERFORM mulberry_internal.check_setting('listening', settings->'listening', 'string', '^(never|recorded|always)$',
        'never, recorded or always');
    IF mulberry_internal.asks_consent(settings) AND NOT settings ? 'consent' THEN
        PERFORM mulberry_internal.refuse_setting('consent', 'it is missing',
            'Where consent is asked for, it is the question, which says that 1 means yes and 2 means no.');
    END IF;
    PERFORM mulberry_internal.check_setting('transfer_number', settings->'transfer_number', 'number of a telephone');
    PERFORM mulberry_internal.check_setting('emergency_number', settings->'emergency_number', 'number of a telephone');
    PERFORM mulberry_internal.check_whole_number('max_duration', settings->'max_duration', 30, 14400);
    PERFORM mulberry_internal.check_setting('closed_menu', settings->'closed_menu', 'string');
    PERFORM mulberry_internal.check_members('sentences', settings->'sentences', mulberry_internal.sentence_names());
    PERFORM mulberry_internal.check_setting('sentences.' || s.key, s.value, 'sentence') FROM jsonb_each(settings->'sentences') AS s;
    PERFORM mulberry_internal.check_setting('emergency_words', settings->'emergency_words', 'object');
    FOR e IN SELECT x.key, x.value FROM jsonb_each(settings->'emergency_words') AS x ORDER BY x.key LOOP
        IF e.key COLLATE "C" !~ '^[a-z]{2,3}$' THEN
            PERFORM mulberry_internal.refuse_setting('emergency_words', format('"%s" is no language', left(e.key, 60)),
                'Languages are written as en or de.');
        END IF;
        PERFORM mulberry_internal.check_setting('emergency_words.' || e.key, e.value, 'array');
        IF jsonb_array_length(e.value) > words_max THEN
            PERFORM mulberry_internal.refuse_setting('emergency_words.' || e.key, format('there are %s', jsonb_array_length(e.value)),
                format('There may be %s at most.', words_max));
        END IF;
        FOR w IN SELECT x.value FROM jsonb_array_elements(e.value) AS x LOOP
            PERFORM mulberry_internal.check_setting('emergency_words.' || e.key, w.value, 'sentence');
        END LOOP;
    END LOOP;
    PERFORM mulberry_internal.check_hours(settings);
    PERFORM mulberry_internal.check_menus(settings);
    PERFORM mulberry_internal.check_documents(settings);
END
$$;
COMMENT ON FUNCTION check_telephony(jsonb) IS 'raises 22023 for settings that cannot be, and says what is allowed (internal)';
