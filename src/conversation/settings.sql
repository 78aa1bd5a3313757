-- What conversations of a tenant are conducted by.

CREATE OR REPLACE FUNCTION turn_numbers()
RETURNS TABLE (number integer, name text, minimum integer, maximum integer, standard integer, meaning text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 50 AS 'MODULE_PATHNAME', 'mulberry_turn_numbers';
COMMENT ON FUNCTION turn_numbers() IS 'the numbers of the turn engine, in their order (internal)';

CREATE OR REPLACE FUNCTION turn_lists() RETURNS TABLE (number integer, name text)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 10 AS 'MODULE_PATHNAME', 'mulberry_turn_lists';
COMMENT ON FUNCTION turn_lists() IS 'its lists of phrases, in their order (internal)';

CREATE OR REPLACE FUNCTION conversation_version(tenant uuid) RETURNS conversation_versions
LANGUAGE sql STABLE
AS $$
    SELECT v.* FROM mulberry_internal.conversation_versions v WHERE v.tenant = $1 ORDER BY v.version DESC LIMIT 1
$$;
COMMENT ON FUNCTION conversation_version(uuid) IS 'the settings of a tenant that hold (internal)';

CREATE OR REPLACE FUNCTION check_conversation(settings jsonb) RETURNS void
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    known CONSTANT text[] := ARRAY(SELECT n.name FROM mulberry_internal.turn_numbers() n
                                   UNION ALL SELECT l.name FROM mulberry_internal.turn_lists() l
                                   UNION ALL SELECT d.name FROM unnest(mulberry_internal.dialogue_settings()) AS d (name) ORDER BY 1);
    part  record;
BEGIN
    IF settings IS NULL THEN
        RAISE EXCEPTION 'settings must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM mulberry_internal.check_members('settings', settings, known);
    IF settings ? 'language' AND NOT EXISTS (SELECT FROM mulberry_internal.turn_words() w WHERE w.language = settings->>'language') THEN
        PERFORM mulberry_internal.refuse_setting('language', format('%s is not known', left(settings->>'language', 40)),
            format('Known are %s.', (SELECT string_agg(DISTINCT w.language, ', ' ORDER BY w.language)
                                       FROM mulberry_internal.turn_words() w)));
    END IF;
    PERFORM mulberry_internal.check_dialogue(settings);
    FOR part IN SELECT n.* FROM mulberry_internal.turn_numbers() n WHERE settings ? n.name LOOP
        PERFORM mulberry_internal.check_whole_number(part.name, settings->part.name, part.minimum, part.maximum);
    END LOOP;
    FOR part IN SELECT l.* FROM mulberry_internal.turn_lists() l WHERE settings ? l.name LOOP
        PERFORM mulberry_internal.check_setting(part.name, settings->part.name, 'array');
        IF jsonb_array_length(settings->part.name) > 200 THEN
            PERFORM mulberry_internal.refuse_setting(part.name, format('it has %s phrases', jsonb_array_length(settings->part.name)),
                'There are at most 200.');
        END IF;
        PERFORM mulberry_internal.check_setting(format('%s[%s]', part.name, e.place), e.phrase, 'sentence')
           FROM jsonb_array_elements(settings->part.name) WITH ORDINALITY AS e (phrase, place);
    END LOOP;
END
$$;
COMMENT ON FUNCTION check_conversation(jsonb) IS 'raises 22023 for settings of conversations that are not allowed (internal)';

CREATE OR REPLACE FUNCTION turn_number_values(settings jsonb, base integer[] DEFAULT NULL) RETURNS integer[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT array_agg(coalesce(mulberry_internal.whole_number(settings->n.name), base[n.number + 1], n.standard) ORDER BY n.number)
      FROM mulberry_internal.turn_numbers() AS n
$$;
COMMENT ON FUNCTION turn_number_values(jsonb, integer[]) IS
    'the numbers of the turn engine by settings: those that they do not name as in base, or the start values (internal)';

CREATE OR REPLACE FUNCTION turn_list_values(settings jsonb, base text[] DEFAULT NULL) RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT array_agg(coalesce((SELECT string_agg(e.phrase, E'\n' ORDER BY e.place)
                                 FROM jsonb_array_elements_text(settings->l.name) WITH ORDINALITY AS e (phrase, place)),
                              CASE WHEN settings ? l.name THEN '' END,
                              CASE WHEN NOT settings ? 'language' THEN base[l.number + 1] END,
                              (SELECT replace(w.phrases, '|', E'\n') FROM mulberry_internal.turn_words() w
                                WHERE w.list = l.name AND w.language = coalesce(settings->>'language', 'en')), '') ORDER BY l.number)
      FROM mulberry_internal.turn_lists() AS l
$$;
COMMENT ON FUNCTION turn_list_values(jsonb, text[]) IS
    'its lists by settings, one phrase a line: those that they do not name as in base, or by the language (internal)';

CREATE OR REPLACE FUNCTION mulberry.set_conversation(settings jsonb, tenant text DEFAULT NULL) RETURNS integer
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner  CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'admin');
    before mulberry_internal.conversation_versions;
    made   integer;
BEGIN
    PERFORM mulberry_internal.check_json('settings', set_conversation.settings);
    PERFORM FROM mulberry_internal.tenants t WHERE t.id = owner FOR NO KEY UPDATE;
    PERFORM mulberry_internal.check_conversation(set_conversation.settings);
    before := mulberry_internal.conversation_version(owner);
    IF before.settings = set_conversation.settings AND before.owners = mulberry_internal.dialogue_owners(set_conversation.settings) THEN
        RETURN before.version;
    END IF;
    INSERT INTO mulberry_internal.conversation_versions (tenant, version, settings, role, owners)
    VALUES (owner, coalesce(before.version, 0) + 1, set_conversation.settings, mulberry_internal.outer_role_name(),
            mulberry_internal.dialogue_owners(set_conversation.settings))
    RETURNING version INTO made;
    PERFORM mulberry_internal.record_audit(owner, 'CONVERSATION_SETTINGS', 'set', evidence => jsonb_build_object('version', made));
    RETURN made;
END
$$;
COMMENT ON FUNCTION mulberry.set_conversation(jsonb, text) IS
    'what conversations of a tenant are conducted by, as a whole, and returns the number of this version: {"language", numbers and lists '
    'of conversation_numbers(), "voice", "prompt", "reply_function", "tools", "filler", "apology", "farewell", "silence", '
    '"reply_timeout_ms", "whole_utterances", "hedge_reply_ms", "hedge_speak_ms"}. Conversations that are under way keep theirs. Needs '
    'admin access, for a function also the rights of its owner. '
    'Errors: 22023 names the setting and what is allowed, 42883 no such function, 42501 it is not yours';

CREATE OR REPLACE FUNCTION mulberry.conversation_numbers(tenant text DEFAULT NULL)
RETURNS TABLE (name text, value text, standard text, minimum integer, maximum integer, meaning text)
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'supervisor', 'admin');
    held  CONSTANT jsonb := coalesce((mulberry_internal.conversation_version(owner)).settings, '{}');
BEGIN
    PERFORM mulberry_internal.check_texts('tenant', conversation_numbers.tenant);
    RETURN QUERY
    SELECT n.name, (mulberry_internal.turn_number_values(held))[n.number + 1]::text, n.standard::text, n.minimum, n.maximum, n.meaning
      FROM mulberry_internal.turn_numbers() n
    UNION ALL
    SELECT l.name, replace((mulberry_internal.turn_list_values(held))[l.number + 1], E'\n', ', '),
           replace((mulberry_internal.turn_list_values('{}'))[l.number + 1], E'\n', ', '), NULL, NULL, 'a list of phrases'
      FROM mulberry_internal.turn_lists() l;
END
$$;
COMMENT ON FUNCTION mulberry.conversation_numbers(text) IS
    'the settings of conversations of a tenant: what holds, what it would be without, and what is allowed. Times are in ms. Needs '
    'supervisor or admin access';
