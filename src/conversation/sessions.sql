-- Conversations as the gateway runs them: what it gives the turn engine, and what went into it, stored after the fact.

CREATE OR REPLACE FUNCTION turn_log_problem(records bytea[]) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_turn_log_problem';
COMMENT ON FUNCTION turn_log_problem(bytea[]) IS 'what is wrong with records of a turn log; null: nothing (internal)';

CREATE OR REPLACE FUNCTION replay_log(records bytea[], line boolean[], numbers integer[], lists text[],
    other_numbers integer[] DEFAULT NULL, other_lists text[] DEFAULT NULL)
RETURNS TABLE (turn integer, onset_ms integer, speech_end_ms integer, final_text_ms integer, asked_ms integer, committed_ms integer,
    first_piece_ms integer, first_sent_ms integer, interrupt_onset_ms integer, interrupted_ms integer, reply_end_ms integer,
    text_class text, interrupt_reason text, speculations integer, reopened integer, cut_offs integer, pauses integer,
    false_pauses integer, backchannels integer, filler boolean, apology boolean, said text, heard text, heard_cut boolean,
    fallbacks integer, whole_utterances integer, hedges integer, hedges_won integer)
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100000 ROWS 20 AS 'MODULE_PATHNAME', 'mulberry_replay_log';
COMMENT ON FUNCTION replay_log(bytea[], boolean[], integer[], text[], integer[], text[]) IS
    'the turns of a log, as they were, or as they would have been by other numbers and lists; a log that cannot be read is replayed up to '
    'there (internal)';

CREATE OR REPLACE FUNCTION find_conversation(owner uuid, call_id text) RETURNS mulberry_internal.conversations
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found_one mulberry_internal.conversations;
BEGIN
    IF call_id IS NULL THEN
        RAISE EXCEPTION 'call id must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT c.* INTO found_one FROM mulberry_internal.conversations c WHERE c.tenant = owner AND c.call_id = find_conversation.call_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'call "%" has no conversation', call_id USING ERRCODE = 'undefined_object';
    END IF;
    RETURN found_one;
END
$$;
COMMENT ON FUNCTION find_conversation(uuid, text) IS 'the conversation of a call; 42704 when there is none (internal)';

CREATE OR REPLACE FUNCTION replay_conversation(conversation mulberry_internal.conversations, settings jsonb DEFAULT NULL)
RETURNS SETOF mulberry_internal.conversation_turns
LANGUAGE sql STABLE AS $$
    SELECT conversation.id, r.*
      FROM mulberry_internal.replay_log(
               ARRAY(SELECT l.record FROM mulberry_internal.turn_log l WHERE l.conversation = conversation.id ORDER BY l.number),
               conversation.line, conversation.numbers, conversation.lists,
               CASE WHEN settings IS NOT NULL THEN mulberry_internal.turn_number_values(settings, conversation.numbers) END,
               CASE WHEN settings IS NOT NULL THEN mulberry_internal.turn_list_values(settings, conversation.lists) END) AS r
$$;
COMMENT ON FUNCTION replay_conversation(mulberry_internal.conversations, jsonb) IS
    'the turns of a conversation by its log, as they were, or with other settings (internal)';

CREATE OR REPLACE FUNCTION mulberry.begin_conversation(call_id text, abilities text[] DEFAULT '{}', tenant text DEFAULT NULL)
RETURNS TABLE (numbers integer[], lists text[], settings_version integer, plan jsonb)
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner   CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'gateway');
    known   CONSTANT text[] := ARRAY['clear', 'pause', 'marks', 'marks_tell', 'exact_queue', 'we_pace'];
    held    CONSTANT mulberry_internal.conversation_versions := mulberry_internal.conversation_version(owner);
    unknown text;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', begin_conversation.call_id,
        'abilities', array_to_string(begin_conversation.abilities, ' '));
    IF call_id IS NULL OR abilities IS NULL THEN
        RAISE EXCEPTION 'call id and abilities must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF call_id = '' THEN
        RAISE EXCEPTION 'call id must not be empty' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT a.name INTO unknown FROM unnest(abilities) AS a (name) WHERE (a.name = ANY (known)) IS NOT TRUE LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ability "%" is not known', left(unknown, 40) USING ERRCODE = 'invalid_parameter_value',
            DETAIL = format('Known are %s.', array_to_string(known, ', '));
    END IF;
    numbers := mulberry_internal.turn_number_values(coalesce(held.settings, '{}'));
    lists := mulberry_internal.turn_list_values(coalesce(held.settings, '{}'));
    settings_version := held.version;
    INSERT INTO mulberry_internal.conversations (tenant, call_id, version, numbers, lists, line)
    VALUES (owner, begin_conversation.call_id, held.version, numbers, lists,
            ARRAY(SELECT k.name = ANY (abilities) FROM unnest(known) WITH ORDINALITY AS k (name, place) ORDER BY k.place));
    plan := mulberry_internal.dialogue_plan(owner, begin_conversation.call_id, coalesce(held.settings, '{}'));
    RETURN NEXT;
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'call "%" has a conversation', call_id USING ERRCODE = 'duplicate_object';
END
$$;
COMMENT ON FUNCTION mulberry.begin_conversation(text, text[], text) IS
    'a conversation begins in a call; returns what the turn engine is to be given, by the settings that hold now, and plan: whether the '
    'agent talks, the services for listening, speaking and replies with their keys, and the sentences that are said. abilities of the '
    'peer: clear, pause, marks, marks_tell, exact_queue, we_pace. Needs gateway access. Errors: 22023, 42710 the call has one';

CREATE OR REPLACE FUNCTION mulberry.log_conversation(call_id text, first integer, records bytea[], ended text DEFAULT NULL,
    tenant text DEFAULT NULL) RETURNS integer
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner   CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'gateway');
    one     mulberry_internal.conversations;
    problem text;
    stored  integer;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', log_conversation.call_id, 'ended', log_conversation.ended);
    one := mulberry_internal.find_conversation(owner, call_id);
    IF first IS NULL OR records IS NULL THEN
        RAISE EXCEPTION 'first and records must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF first < 0 OR first > 10000000 OR cardinality(records) > 10000 THEN
        RAISE EXCEPTION 'records out of range' USING ERRCODE = 'numeric_value_out_of_range',
            DETAIL = 'They are numbered from 0 to 10000000, and at most 10000 at once.';
    END IF;
    problem := mulberry_internal.turn_log_problem(records);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'invalid records: %', problem USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT c.* INTO one FROM mulberry_internal.conversations c WHERE c.id = one.id FOR UPDATE;
    IF one.ended_at IS NOT NULL AND one.reason = ended
       AND NOT EXISTS (SELECT FROM unnest(records) WITH ORDINALITY AS r (record, place)
                         LEFT JOIN mulberry_internal.turn_log l
                                ON l.conversation = one.id AND l.number = log_conversation.first + r.place::integer - 1
                        WHERE l.record IS DISTINCT FROM r.record) THEN
        RETURN 0;    -- said again, because its answer was lost
    ELSIF one.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'the conversation of call "%" is over', call_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    INSERT INTO mulberry_internal.turn_log (conversation, number, record)
    SELECT one.id, log_conversation.first + r.place::integer - 1, r.record FROM unnest(records) WITH ORDINALITY AS r (record, place)
    ON CONFLICT ON CONSTRAINT turn_log_pkey DO NOTHING;
    GET DIAGNOSTICS stored = ROW_COUNT;
    IF ended <> '' THEN
        UPDATE mulberry_internal.conversations c SET ended_at = clock_timestamp(), reason = ended WHERE c.id = one.id;
        INSERT INTO mulberry_internal.conversation_turns SELECT r.* FROM mulberry_internal.replay_conversation(one) AS r;
        DELETE FROM mulberry_internal.call_orders o WHERE o.conversation = one.id;
    END IF;
    RETURN stored;
END
$$;
COMMENT ON FUNCTION mulberry.log_conversation(text, integer, bytea[], text, text) IS
    'stores what went into the turn engine of a call, records from number first on; a record that comes again is left as it is. ended: the '
    'reason why the conversation is over, and then its turns are stored; said again it answers 0. Returns how many records were new. Needs '
    'gateway access. Errors: 42704 no conversation, 55000 it is over otherwise, 22023, 22003';

CREATE OR REPLACE FUNCTION forget_conversation(owner uuid, call_id text) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM mulberry_internal.conversations c WHERE c.tenant = $1 AND c.call_id = $2
$$;
COMMENT ON FUNCTION forget_conversation(uuid, text) IS 'erases the conversation of a call, with its turns and its log (internal)';

CREATE OR REPLACE FUNCTION sweep_conversations(max_rows integer) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '100ms'
AS $$
DECLARE
    n     integer;
    swept integer;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    DELETE FROM mulberry_internal.conversations x
     WHERE x.id = ANY (ARRAY(
               SELECT c.id FROM mulberry_internal.retention_limits() l
                 JOIN mulberry_internal.conversations c ON c.tenant = l.tenant AND c.started_at < l.kept_since - interval '1 day'
                WHERE NOT EXISTS (SELECT FROM mulberry_internal.calls k WHERE k.tenant = c.tenant AND k.call_id = c.call_id)
                LIMIT max_rows FOR UPDATE OF c SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    -- sentences may have been about somebody
    DELETE FROM mulberry_internal.speech_cache x
     USING (SELECT c.tenant, c.digest FROM mulberry_internal.retention_limits() l
              JOIN mulberry_internal.speech_cache c ON c.tenant = l.tenant AND c.used_at < l.kept_since - interval '1 day'
             LIMIT max_rows FOR UPDATE OF c SKIP LOCKED) AS old
     WHERE x.tenant = old.tenant AND x.digest = old.digest;
    GET DIAGNOSTICS swept = ROW_COUNT;
    RETURN n >= max_rows OR swept >= max_rows;
END
$$;
COMMENT ON FUNCTION sweep_conversations(integer) IS
    'forgets conversations a day after retention says so, when their calls are gone, and sentences that nobody has said for as long; '
    'true when there is more to do; part of maintenance '
    '(internal)';
