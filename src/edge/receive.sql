CREATE OR REPLACE FUNCTION forget_receiver_key() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    DELETE FROM mulberry_internal.key_frames f WHERE f.tenant = OLD.tenant AND f.key_id = OLD.key_id;
    DELETE FROM mulberry_internal.challenges c WHERE c.tenant = OLD.tenant AND c.key_id = OLD.key_id;
    DELETE FROM mulberry_internal.key_guard g WHERE g.tenant = OLD.tenant AND g.key_id = OLD.key_id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION forget_receiver_key() IS 'trigger: removes what was stored about the frames of a receiver''s key with the key';
CREATE OR REPLACE TRIGGER forget_receiver_key AFTER DELETE ON voice_keys
    FOR EACH ROW WHEN (OLD.role = 'receiver') EXECUTE FUNCTION forget_receiver_key();

CREATE OR REPLACE FUNCTION agent_takes_call(tenant uuid, agent uuid, caller text, path text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    -- without a known agent, whether any takes it, so that an unknown key looks like a known one
    SELECT path = 'sync'
           OR coalesce(bool_or(cardinality(a.allowed_callers) = 0 OR coalesce(caller = ANY (a.allowed_callers), false)), true)
      FROM mulberry_internal.agents a
     WHERE a.tenant = $1 AND (a.id = agent OR agent IS NULL)
$$;
COMMENT ON FUNCTION agent_takes_call(uuid, uuid, text, text) IS
    'whether calls of that number are taken (allowed_callers); a filter, never a proof (internal)';

-- One frame, from the symbols to the stored effect.  Locks: agent and key, then what the command changes,
-- then the key's guard.

CREATE OR REPLACE FUNCTION lock_receiver_keys(tenant uuid, key_ids integer[]) RETURNS void
LANGUAGE sql AS $$
    SELECT FROM mulberry_internal.agents a
     WHERE a.tenant = $1
       AND a.id IN (SELECT k.agent FROM mulberry_internal.voice_keys k WHERE k.tenant = $1 AND k.role = 'receiver' AND k.key_id = ANY ($2))
     ORDER BY a.id FOR NO KEY UPDATE;
    SELECT FROM mulberry_internal.voice_keys k
     WHERE k.tenant = $1 AND k.role = 'receiver' AND k.key_id = ANY ($2)
     ORDER BY k.key_id FOR NO KEY UPDATE;
$$;
COMMENT ON FUNCTION lock_receiver_keys(uuid, integer[]) IS
    'locks agents and keys, so that frames of a key are judged one after another (internal)';

CREATE OR REPLACE FUNCTION receive_frame(tenant uuid, frame received_frame, caller text, call_ref text, count_ref text, path text)
RETURNS command_answer
LANGUAGE plpgsql AS $$
DECLARE
    method   CONSTANT text := CASE receive_frame.path WHEN 'sync' THEN 'api' ELSE 'voice' END;
    here     CONSTANT text := mulberry_internal.voice_key_place();
    key      mulberry_internal.voice_keys;
    guard    mulberry_internal.key_guard;
    mode     text;
    asked    mulberry_internal.challenges;
    open     boolean;
    former   mulberry_internal.key_frames;
    older    mulberry_internal.voice_keys;
    digests  bytea[];
    judged   record;
    at       timestamptz;
    restored boolean;
    status   text;
    state    text;
    nonce    text;
    said     record;
    evidence jsonb;
    answer   mulberry.command_answer;
BEGIN
    evidence := jsonb_strip_nulls(jsonb_build_object('caller', receive_frame.caller, 'call_ref', receive_frame.call_ref));
    PERFORM mulberry_internal.require_durable_commit();
    IF EXISTS (SELECT FROM mulberry_internal.received_calls c
                WHERE c.tenant = receive_frame.tenant AND c.call_ref = receive_frame.count_ref AND c.hang_up) THEN
        answer := mulberry_internal.refusal('call ended', 'E002', 'the call was to be hung up');
        answer.hang_up := true;
        PERFORM mulberry_internal.record_audit(receive_frame.tenant, 'VOICE_FRAME', answer.verdict, NULL, NULL, NULL, method, evidence);
        RETURN answer;
    END IF;

    -- what is no frame costs nothing but a repeat
    IF frame.problem IS NOT NULL THEN
        answer := mulberry_internal.refusal('decode error', 'E007', frame.problem);
        answer.hang_up := mulberry_internal.note_call_fault(receive_frame.tenant, receive_frame.count_ref, answer.verdict, NULL);
        PERFORM mulberry_internal.record_audit(receive_frame.tenant, 'VOICE_FRAME', answer.verdict, NULL, NULL, NULL, method,
                                      evidence || jsonb_build_object('symbols', left(frame.symbols, 40), 'problem', frame.problem));
        RETURN answer;
    END IF;

    PERFORM mulberry_internal.lock_receiver_keys(receive_frame.tenant, ARRAY[frame.key_id]);
    SELECT k.* INTO key
      FROM mulberry_internal.voice_keys k
     WHERE k.tenant = receive_frame.tenant AND k.role = 'receiver' AND k.key_id = frame.key_id;
    evidence := evidence || jsonb_build_object('key_id', frame.key_id, 'counter', frame.counter,
                                               'frame_sha256', encode(sha256(convert_to(frame.symbols, 'SQL_ASCII')), 'hex'));
    IF NOT mulberry_internal.agent_takes_call(receive_frame.tenant, key.agent, receive_frame.caller, receive_frame.path) THEN
        answer := mulberry_internal.refusal('caller not allowed', 'E006', 'calls of this number are not taken');
        answer.hang_up := true;
        PERFORM mulberry_internal.record_audit(receive_frame.tenant, 'VOICE_FRAME', answer.verdict, NULL, key.agent, NULL, method,
            evidence);
        RETURN answer;
    END IF;

    -- what is stored about the key, as committed now that it is locked
    at := clock_timestamp();
    SELECT g.* INTO guard
      FROM mulberry_internal.key_guard g WHERE g.tenant = receive_frame.tenant AND g.key_id = frame.key_id;
    SELECT c.* INTO asked
      FROM mulberry_internal.challenges c
     WHERE c.tenant = receive_frame.tenant AND c.key_id = frame.key_id AND c.counter = key.last_counter
       AND mulberry_internal.challenge_holds(c.drawn_at, c.played_at, at) IS NOT NULL;
    open := coalesce(mulberry_internal.challenge_holds(asked.drawn_at, asked.played_at, at), false);
    digests := ARRAY(SELECT f.frame_digest FROM mulberry_internal.key_frames f
                      WHERE f.tenant = receive_frame.tenant AND f.key_id = frame.key_id
                      ORDER BY f.counter DESC LIMIT mulberry_internal.frames_remembered());
    restored := key.enabled AND key.place <> here;

    judged := mulberry_internal.judge_frame(receive_frame.tenant, frame, coalesce(key.last_counter, 0), digests,
                                   mulberry_internal.lockout_mode(guard, at) <> 'normal' OR coalesce(restored, false),
                                   coalesce(key.challenge_extend, false), asked.command, asked.mandate, asked.argument, asked.nonce,
                                   asked.counter, NOT open);

    IF judged.verdict IN ('forgery', 'stale', 'not judged') THEN
        answer := mulberry_internal.refusal(judged.verdict, judged.error,
                                   CASE judged.verdict WHEN 'stale' THEN 'the counter is behind'
                                                       WHEN 'forgery' THEN 'the tag is wrong'
                                                       ELSE 'the frame could not be judged' END);
        IF judged.verdict = 'forgery' THEN
            mode := mulberry_internal.note_forgery(receive_frame.tenant, frame.key_id, key.agent, at);
            IF receive_frame.path <> 'sync' THEN
                answer.hang_up := mulberry_internal.note_call_fault(receive_frame.tenant, receive_frame.count_ref, judged.verdict, mode);
            END IF;
        END IF;
        PERFORM mulberry_internal.record_audit(receive_frame.tenant, 'VOICE_FRAME', judged.verdict, NULL, key.agent, NULL, method,
            evidence);
        RETURN answer;
    END IF;

    IF judged.verdict = 'duplicate' THEN
        SELECT f.* INTO former
          FROM mulberry_internal.key_frames f
         WHERE f.tenant = receive_frame.tenant AND f.key_id = frame.key_id AND f.frame_digest = judged.frame_digest;
        PERFORM mulberry_internal.record_audit(receive_frame.tenant, 'VOICE_FRAME', judged.verdict, former.mandate, key.agent, NULL, method,
                                      evidence || jsonb_build_object('ack', former.ack));
        said := mulberry_internal.ack_names(former.ack_status, former.ack_state);
        IF open AND asked.counter = former.counter THEN
            UPDATE mulberry_internal.challenges c SET played_at = at WHERE c.tenant = key.tenant AND c.key_id = key.key_id;
        END IF;
        RETURN ROW(said.status_name IN ('applied', 'already so'), former.command, former.mandate, said.status_name, NULL, former.message,
                   former.ack, NULL, former.speech,
                   CASE WHEN open AND asked.counter = former.counter
                        THEN mulberry_internal.challenge_digits(asked.nonce) END,
                   judged.verdict, false, said.state_name, 1)::mulberry.command_answer;
    END IF;

    -- accepted: counter, digest, effect, acknowledgement and audit row in this one transaction
    answer := ROW(false, frame.command,
                  CASE WHEN (mulberry_internal.command_kind(frame.command)).has_mandate IS NOT FALSE THEN frame.mandate_id END,
                  NULL, NULL, NULL, NULL, NULL, NULL, NULL, judged.verdict, false, NULL, 1)::mulberry.command_answer;
    IF NOT judged.meaningful THEN
        status := 'refused';
        state := 'NONE';
        answer.error := 'E001';
    ELSIF judged.challenge_wanted THEN
        status := 'challenge wanted';
        nonce := mulberry_internal.draw_challenge();
        answer.challenge := mulberry_internal.challenge_digits(nonce);
        INSERT INTO mulberry_internal.challenges AS c (tenant, key_id, command, mandate, argument, nonce, counter)
        VALUES (key.tenant, key.key_id, frame.code, frame.mandate_id, frame.argument, nonce, judged.counter)
        ON CONFLICT ON CONSTRAINT challenges_pkey DO UPDATE
           SET command = EXCLUDED.command, mandate = EXCLUDED.mandate, argument = EXCLUDED.argument, nonce = EXCLUDED.nonce,
               counter = EXCLUDED.counter, drawn_at = EXCLUDED.drawn_at, played_at = EXCLUDED.played_at;
        state := mulberry_internal.mandate_ack_state(key.tenant, key.agent, answer.mandate_id);
    ELSIF (mulberry_internal.command_kind(frame.command)).has_mandate
          AND mulberry_internal.mandate_ack_state(key.tenant, key.agent, frame.mandate_id) = 'NONE' THEN
        -- another agent's mandate is none
        status := 'unknown mandate';
        state := 'NONE';
        answer.error := 'E003';
    ELSE
        SELECT n.status_name, n.state_name INTO status, state
          FROM mulberry_internal.apply_mandate_command(key.tenant, frame.command, frame.mandate_id, frame.argument,
                                              format('voice command by key %s', lpad(key.key_id::text, 2, '0')), NULL) r,
               mulberry_internal.ack_names(r.ack_status, r.ack_state) n;
        answer.error := CASE WHEN status = 'unknown mandate' THEN 'E003' WHEN status = 'refused' AND state = 'REVOKED' THEN 'E004'
                             WHEN status = 'refused' THEN 'E001' END;
    END IF;
    -- answered, or overtaken: its answer would have a counter that is used up
    DELETE FROM mulberry_internal.challenges c
     WHERE c.tenant = key.tenant AND c.key_id = key.key_id AND c.counter < judged.counter;

    said := mulberry_internal.spoken_result(frame.command, answer.mandate_id, frame.argument, status, state);
    answer.message := said.message;
    answer.speech := said.speech;
    answer.success := status IN ('applied', 'already so');
    answer.status := status;
    answer.mandate_state := state;
    answer.ack_digits := mulberry_internal.build_ack(key.tenant, key.agent, key.key_id, mulberry_internal.ack_status_code(status),
        mulberry_internal.mandate_state_code(state), judged.counter, judged.message_digest);

    INSERT INTO mulberry_internal.key_frames (tenant, key_id, counter, frame_digest, command, mandate, ack, ack_status, ack_state,
        message, speech)
    VALUES (key.tenant, key.key_id, judged.counter, judged.frame_digest, frame.command, answer.mandate_id, answer.ack_digits,
            mulberry_internal.ack_status_code(status), mulberry_internal.mandate_state_code(state), answer.message, answer.speech);
    DELETE FROM mulberry_internal.key_frames f
     WHERE f.tenant = key.tenant AND f.key_id = key.key_id
       AND f.counter <= (SELECT o.counter FROM mulberry_internal.key_frames o
                          WHERE o.tenant = key.tenant AND o.key_id = key.key_id ORDER BY o.counter DESC
                         OFFSET mulberry_internal.frames_remembered() LIMIT 1);
    UPDATE mulberry_internal.voice_keys k
       SET last_counter = judged.counter,
           place = CASE WHEN judged.challenge_answered OR NOT restored THEN here ELSE k.place END
     WHERE k.tenant = key.tenant AND k.role = 'receiver' AND k.key_id = key.key_id;
    UPDATE mulberry_internal.key_guard g SET in_row = 0
     WHERE g.tenant = key.tenant AND g.key_id = key.key_id AND g.in_row > 0;
    PERFORM mulberry_internal.record_audit(key.tenant, coalesce(frame.command, 'VOICE_FRAME'), answer.status, answer.mandate_id,
        key.agent, NULL, method,
                                  evidence || jsonb_strip_nulls(jsonb_build_object('counter', judged.counter, 'argument',
                                      nullif(frame.argument, 0),
                                      'ack', answer.ack_digits, 'challenge_answered', nullif(judged.challenge_answered, false),
                                      'error', answer.error)));
    PERFORM mulberry_internal.emit_event(key.tenant, 'voice_command_received', NULL, NULL,
                                jsonb_build_object('agent', key.agent, 'command', frame.command, 'mandate_id', answer.mandate_id,
                                                   'status', answer.status, 'mandate_state', answer.mandate_state, 'method', method));
    -- the cloud signs with this key now: those before it are not needed any more
    FOR older IN
        SELECT k.* FROM mulberry_internal.voice_keys k
         WHERE k.tenant = key.tenant AND k.role = 'receiver' AND k.agent = key.agent AND k.enabled
           AND k.created_at < key.created_at
         ORDER BY k.key_id FOR NO KEY UPDATE
    LOOP
        PERFORM mulberry_internal.disable_voice_key_row(older, 'succeeded');
    END LOOP;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION receive_frame(uuid, received_frame, text, text, text, text) IS
    'judges and applies one frame; count_ref names the call whose faults are counted (internal)';

CREATE OR REPLACE FUNCTION check_reception(path text, call_ref text) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF path IS NULL THEN
        RAISE EXCEPTION 'path must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF path NOT IN ('voice', 'sync') THEN
        RAISE EXCEPTION 'unknown path "%" of a command', path
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Paths are voice and sync.';
    ELSIF length(call_ref) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'call_ref has % characters', length(call_ref)
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It can have 1 to 200.';
    END IF;
END
$$;
COMMENT ON FUNCTION check_reception(text, text) IS 'raises an error for a path or call_ref that cannot be (internal)';

CREATE OR REPLACE FUNCTION mulberry.handle_command_symbols(symbols text, caller text DEFAULT NULL, call_ref text DEFAULT NULL,
                                       path text DEFAULT 'voice', tenant text DEFAULT NULL) RETURNS command_answer
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner uuid := mulberry_internal.resolve_tenant(handle_command_symbols.tenant, 'gateway', 'operator');
BEGIN
    PERFORM mulberry_internal.check_texts('symbols', handle_command_symbols.symbols, 'caller', handle_command_symbols.caller,
        'call_ref', handle_command_symbols.call_ref, 'path', handle_command_symbols.path);
    IF handle_command_symbols.symbols IS NULL THEN
        RAISE EXCEPTION 'symbols must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM mulberry_internal.check_reception(handle_command_symbols.path, handle_command_symbols.call_ref);
    RETURN mulberry_internal.receive_frame(owner, mulberry_internal.take_frame(handle_command_symbols.symbols),
                                  handle_command_symbols.caller, handle_command_symbols.call_ref, handle_command_symbols.call_ref,
                                  handle_command_symbols.path);
END
$$;
COMMENT ON FUNCTION mulberry.handle_command_symbols(text, text, text, text, text) IS
    'judges, applies and answers one command that an edge has received: a frame of 32 symbols. path: voice, or sync for what came '
    'online; call_ref names the call, so that faults are counted in it. ack_audio is null: dtmf_synthesize() makes it. Needs gateway or '
    'operator access';

CREATE OR REPLACE FUNCTION mulberry.handle_call_audio(audio bytea, encoding text, sample_rate integer, caller text DEFAULT NULL,
                                  call_ref text DEFAULT NULL, tenant text DEFAULT NULL) RETURNS command_answer
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner  uuid := mulberry_internal.resolve_tenant(handle_call_audio.tenant, 'gateway', 'operator');
    -- without a name for the call, what is wrong in it is counted for this audio alone
    counts text := coalesce(handle_call_audio.call_ref, gen_random_uuid()::text);
    -- Whoever calls can fill the audio with frames.  A sender plays a command a few times.
    most   CONSTANT integer := 100;
    heard  mulberry_internal.received_frame[];
    frame  mulberry_internal.received_frame;
    one    mulberry.command_answer;
    answer mulberry.command_answer;
    ranks  CONSTANT text[] := ARRAY['accepted', 'duplicate', 'stale', 'forgery', 'not judged', 'decode error', 'call ended',
        'caller not allowed'];
    ends   boolean := false;
BEGIN
    PERFORM mulberry_internal.check_texts('encoding', handle_call_audio.encoding,
        'caller', handle_call_audio.caller, 'call_ref', handle_call_audio.call_ref);
    IF handle_call_audio.audio IS NULL OR handle_call_audio.encoding IS NULL OR handle_call_audio.sample_rate IS NULL THEN
        RAISE EXCEPTION 'audio, encoding and sample_rate must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM mulberry_internal.check_reception('voice', handle_call_audio.call_ref);
    heard := ARRAY(SELECT mulberry_internal.take_frame(h.frame)
                     FROM mulberry_internal.heard_frames(handle_call_audio.audio, handle_call_audio.encoding,
                                                         handle_call_audio.sample_rate) h);
    -- keys are locked in one order, whatever order they are heard in
    PERFORM mulberry_internal.lock_receiver_keys(owner, ARRAY(SELECT h.key_id FROM unnest(heard[:most]) AS h));
    FOREACH frame IN ARRAY heard[:most] LOOP
        one := mulberry_internal.receive_frame(owner, frame, handle_call_audio.caller, handle_call_audio.call_ref, counts, 'voice');
        -- the last of the best: a repeat that was understood, whatever came before it
        IF answer.verdict IS NULL
           OR array_position(ranks, one.verdict) <= array_position(ranks, answer.verdict) THEN
            -- a repeat of what was done in this audio is no news
            IF NOT (one.verdict = 'duplicate' AND answer.verdict IS NOT DISTINCT FROM 'accepted') THEN
                answer := one;
            END IF;
        END IF;
        ends := ends OR one.hang_up;
        EXIT WHEN one.hang_up;
    END LOOP;
    IF answer.verdict IS NULL THEN
        answer := mulberry_internal.refusal('no frame', 'E007', 'no command was heard');
    END IF;
    IF NOT ends AND cardinality(heard) > most THEN
        PERFORM mulberry_internal.record_audit(owner, 'VOICE_FRAME', 'not judged', NULL, NULL, NULL, 'voice', jsonb_strip_nulls(
            jsonb_build_object('caller', handle_call_audio.caller, 'call_ref', handle_call_audio.call_ref, 'judged', most,
                               'not_judged', cardinality(heard) - most)));
    END IF;
    answer.hang_up := ends;
    answer.frames := cardinality(heard);
    answer.ack_audio := mulberry.dtmf_synthesize(concat_ws('W', answer.ack_digits, answer.challenge),
                                                 handle_call_audio.encoding, handle_call_audio.sample_rate);
    IF handle_call_audio.call_ref IS NULL THEN
        DELETE FROM mulberry_internal.received_calls c WHERE c.tenant = owner AND c.call_ref = counts;
    END IF;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION mulberry.handle_call_audio(bytea, text, integer, text, text, text) IS
    'hears the frames in the audio of a call (mulaw, alaw or s16le at 8, 16, 44.1 or 48 kHz; repeats do no harm), judges and applies '
    'them, the first 100 at most, and answers with the tones and the sentence to play, in the encoding and at the rate of the audio. '
    'call_ref names the call, so that faults are counted in it. Needs gateway or operator access';
