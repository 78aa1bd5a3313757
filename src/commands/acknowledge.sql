-- Acknowledgements.

CREATE OR REPLACE FUNCTION settle_ack(tenant uuid, agent uuid, symbols text, method text, evidence jsonb, wanted bigint,
                           OUT verdict text, OUT command bigint)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    said    CONSTANT mulberry_internal.received_ack := mulberry_internal.take_ack(coalesce(symbols, ''));
    judged  record;
    s       mulberry_internal.command_signatures;
    c       mulberry_internal.commands;
    current boolean;
    proof   jsonb;
BEGIN
    verdict := 'decode error';
    IF said.problem IS NULL THEN
        verdict := 'other command';
        -- Key and counter name one signature; an older one with the same digits is thousands of commands back.
        SELECT x.* INTO s FROM mulberry_internal.command_signatures x
         WHERE x.tenant = settle_ack.tenant AND x.agent = settle_ack.agent AND x.key_id = said.key_id
           AND mulberry_internal.frame_counter(x.counter) = said.counter
           -- ids are given again: what a former key of that id signed is none of this one's
           AND x.signed_at >= (SELECT k.created_at FROM mulberry_internal.voice_keys k
                                WHERE k.tenant = settle_ack.tenant AND k.role = 'sender' AND k.agent = settle_ack.agent
                                  AND k.key_id = said.key_id)
         ORDER BY x.counter DESC LIMIT 1;
        IF FOUND THEN
            SELECT v.* INTO judged
              FROM mulberry_internal.verify_ack_frame(tenant, agent, s.key_id, s.counter, s.message_digest, said) AS v;
            verdict := judged.verdict;
        END IF;
    END IF;
    IF verdict <> 'genuine' THEN
        PERFORM mulberry_internal.record_audit(tenant, 'ACKNOWLEDGEMENT_REJECTED', verdict, NULL, agent, wanted, method,
            coalesce(evidence, '{}') || jsonb_build_object('symbols', left(symbols, 100)));
        IF verdict = 'forgery' THEN
            PERFORM mulberry_internal.emit_event(tenant, 'acknowledgement_forged', NULL, NULL, jsonb_strip_nulls(jsonb_build_object(
                'command_id', wanted, 'agent', (SELECT a.name FROM mulberry_internal.agents a
                                                   WHERE a.tenant = settle_ack.tenant AND a.id = settle_ack.agent),
                'method', method)));
        END IF;
        RETURN;
    END IF;

    PERFORM mulberry_internal.note_acked_key(tenant, agent, s.key_id, s.counter);
    command := s.command;
    SELECT x.* INTO c FROM mulberry_internal.commands x WHERE x.id = s.command FOR NO KEY UPDATE;
    current := (s.key_id, s.counter) = (c.key_id, c.counter);
    proof := coalesce(c.evidence, '{}') || coalesce(evidence, '{}')
             || jsonb_build_object('acknowledgement', symbols, 'signature', s.signature);
    IF wanted <> s.command THEN
        verdict := 'other command';
    END IF;

    IF c.state IN ('confirmed', 'refused', 'cancelled') THEN
        -- What is settled stays so, but that the agent has spoken is kept.
        IF c.ack_frame IS DISTINCT FROM symbols THEN
            PERFORM mulberry_internal.note_command(c, 'acknowledged after it was ' || c.state, NULL,
                                          proof || jsonb_build_object('status', judged.status_name));
            IF c.state = 'cancelled' THEN
                UPDATE mulberry_internal.commands x
                   SET ack_frame = symbols, ack_status = judged.status, ack_state = judged.state, evidence = proof
                 WHERE x.id = c.id;
            END IF;
        END IF;
    ELSIF judged.status_name IN ('applied', 'already so') THEN
        -- Of whatever signature: the agent has carried it out.
        PERFORM mulberry_internal.confirm_command(c.id, symbols, judged.status, judged.state, method, proof,
            jsonb_build_object('status', judged.status_name, 'mandate_state', judged.state_name,
                               'after', nullif(c.state, 'outstanding')));
    ELSIF judged.status_name IN ('unknown mandate', 'refused') AND (current OR c.state <> 'outstanding') THEN
        UPDATE mulberry_internal.commands x
           SET ack_frame = symbols, ack_status = judged.status, ack_state = judged.state, evidence = proof,
               method = settle_ack.method
         WHERE x.id = c.id;
        PERFORM mulberry_internal.finish_command(c.id, 'refused', 'refused by agent', 'command_refused',
            CASE judged.status_name WHEN 'unknown mandate' THEN 'E003: the agent does not know the mandate'
                                    ELSE 'the agent has refused it' END,
            proof || jsonb_build_object('status', judged.status_name, 'mandate_state', judged.state_name));
    ELSIF judged.status_name = 'challenge wanted' AND current AND c.state = 'outstanding' THEN
        verdict := 'challenge wanted';
        IF c.ack_frame IS DISTINCT FROM symbols THEN
            UPDATE mulberry_internal.commands x SET challenged_at = clock_timestamp(), ack_frame = symbols WHERE x.id = c.id;
            PERFORM mulberry_internal.note_command(c, 'challenge wanted', 'command_challenged', proof);
        END IF;
    ELSE
        PERFORM mulberry_internal.note_command(c, CASE WHEN judged.status_name IS NOT NULL THEN 'superseded acknowledgement'
                                              ELSE 'acknowledgement without a meaning' END,
                                      NULL, proof || jsonb_build_object('status', lpad(said.status::text, 2, '0')));
    END IF;
END
$$;
COMMENT ON FUNCTION settle_ack(uuid, uuid, text, text, jsonb, bigint) IS
    'judges an acknowledgement and settles the command whose signature it answers, which may be an older one; the agent''s lock is held, '
    'and who calls gives the turn to the next command (internal)';

CREATE OR REPLACE FUNCTION confirm_command(command bigint, symbols text, status integer, state integer, method text, evidence jsonb,
                                more jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c        mulberry_internal.commands;
    moot     bigint;
    registry text;
BEGIN
    UPDATE mulberry_internal.commands x
       SET ack_frame = symbols, ack_status = status, ack_state = confirm_command.state, evidence = confirm_command.evidence,
           method = confirm_command.method
     WHERE x.id = confirm_command.command RETURNING x.* INTO c;
    PERFORM mulberry_internal.finish_command(command, 'confirmed', 'confirmed', 'command_confirmed', NULL,
        evidence || more || jsonb_build_object(
            'latency', round(extract(epoch FROM clock_timestamp() - c.created_at)::numeric, 3)));
    -- Of those that wait for a person, the ones that this one has made pointless are closed.
    FOR moot IN
        SELECT x.id FROM mulberry_internal.commands x
         WHERE x.tenant = c.tenant AND x.mandate = c.mandate AND x.state = 'escalated' AND x.id < c.id
           AND ((mulberry_internal.command_kind(c.command)).final AND NOT (mulberry_internal.command_kind(x.command)).final
                OR mulberry_internal.command_reversible(c.command) AND mulberry_internal.command_reversible(x.command))
         ORDER BY x.id FOR NO KEY UPDATE
    LOOP
        PERFORM mulberry_internal.finish_command(moot, 'cancelled', 'cancelled', 'command_cancelled',
                                        format('command %s came after it and was confirmed', command));
    END LOOP;
    IF (mulberry_internal.command_kind(c.command)).asks THEN
        SELECT m.status INTO registry FROM mulberry_internal.mandates m WHERE m.tenant = c.tenant AND m.id = c.mandate;
        IF registry <> more->>'mandate_state' THEN
            PERFORM mulberry_internal.note_command(c, 'mandate differs', 'mandate_differs',
                jsonb_build_object('mandate_state', more->'mandate_state', 'registry_state', registry));
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION confirm_command(bigint, text, integer, integer, text, jsonb, jsonb) IS
    'settles a command as confirmed by its agent (internal)';

CREATE OR REPLACE FUNCTION accept_ack(command bigint, symbols text, method text, evidence jsonb DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c       CONSTANT mulberry_internal.commands := mulberry_internal.lock_command(command);
    settled record;
BEGIN
    SELECT x.* INTO settled FROM mulberry_internal.settle_ack(c.tenant, c.agent, symbols, method, evidence, command) AS x;
    IF settled.command IS NOT NULL THEN
        PERFORM mulberry_internal.next_command(c.tenant, c.agent);
    END IF;
    RETURN settled.verdict;
END
$$;
COMMENT ON FUNCTION accept_ack(bigint, text, text, jsonb) IS
    'takes the symbols that an agent answered a command with by the method voice or api: genuine (the command''s state says what '
    'follows), challenge wanted (accept_challenge() takes its digits), other command (which is settled, if it is genuine for that one), '
    'forgery, decode error (internal)';

-- An edge knows its challenge for so long from when it was played, which is before we hear of it.  The answer must
-- have the next counter of the same key.
CREATE OR REPLACE FUNCTION challenge_is_open(c commands) RETURNS boolean
LANGUAGE sql VOLATILE
AS $$
    SELECT coalesce(c.challenged_at > clock_timestamp() - (mulberry_internal.challenge_lifetime() - interval '5 seconds'), false)
       AND EXISTS (SELECT FROM mulberry_internal.voice_keys k
                    WHERE k.tenant = c.tenant AND k.role = 'sender' AND k.agent = c.agent AND k.key_id = c.key_id
                      AND k.last_counter = c.counter AND k.place = mulberry_internal.voice_key_place()
                      AND k.key_id = mulberry_internal.signing_key(c.tenant, c.agent))
$$;
COMMENT ON FUNCTION challenge_is_open(commands) IS 'whether the agent still knows the challenge that it answered a command with (internal)';

CREATE OR REPLACE FUNCTION challenge_nonce(digits text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_challenge_nonce';
COMMENT ON FUNCTION challenge_nonce(text) IS 'the six digits of a challenge of eight whose check digits fit; null otherwise (internal)';

CREATE OR REPLACE FUNCTION accept_challenge(command bigint, digits text) RETURNS text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c     mulberry_internal.commands := mulberry_internal.lock_command(command);
    nonce CONSTANT text := mulberry_internal.challenge_nonce(digits);
BEGIN
    IF c.state <> 'outstanding' OR c.challenged_at IS NULL THEN
        RETURN 'not wanted';
    ELSIF nonce IS NULL THEN
        PERFORM mulberry_internal.note_command(c, 'challenge not understood', NULL, jsonb_build_object('digits', left(digits, 100)));
        RETURN 'decode error';
    ELSIF c.nonce = nonce THEN
        RETURN 'signed';
    ELSIF NOT mulberry_internal.challenge_is_open(c) THEN
        PERFORM mulberry_internal.refresh_signature(c);
        RETURN 'too late';
    END IF;
    PERFORM mulberry_internal.sign_command(command, nonce);
    SELECT x.* INTO c FROM mulberry_internal.commands x WHERE x.id = accept_challenge.command;
    PERFORM mulberry_internal.note_command(c, 'challenge answered', NULL, jsonb_build_object('counter', c.counter));
    RETURN 'signed';
END
$$;
COMMENT ON FUNCTION accept_challenge(bigint, text) IS
    'takes the eight digits of a challenge that an outstanding command was answered with, and signs it with them: "signed" '
    '(commands.frame is to be sent now, within the 60 s), "decode error" (hear them again), "too late" (commands.frame is a new one '
    'without them), "not wanted" (internal)';

-- The frame that was answered by a challenge is used up, and so is one that answers a challenge
-- of which the agent knows no more.  Only an extension keeps the latter, unless it was challenged again: it may have
-- been carried out, and two add up.
CREATE OR REPLACE FUNCTION refresh_signature(c commands) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    IF c.challenged_at IS NULL
       OR ((mulberry_internal.command_kind(c.command)).adds_up AND c.nonce IS NOT NULL AND c.challenged_at < c.signed_at) THEN
        RETURN;
    END IF;
    UPDATE mulberry_internal.commands x SET challenged_at = NULL WHERE x.id = c.id;
    PERFORM mulberry_internal.sign_command(c.id);
    PERFORM mulberry_internal.note_command(c, 'signed anew');
END
$$;
COMMENT ON FUNCTION refresh_signature(commands) IS 'signs an outstanding command anew whose frame a challenge has used up (internal)';

CREATE OR REPLACE FUNCTION note_spoken_confirmation(command bigint, transcript text, evidence jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    c mulberry_internal.commands := mulberry_internal.lock_command(command);
BEGIN
    UPDATE mulberry_internal.commands x
       SET evidence = coalesce(x.evidence, '{}') || jsonb_build_object('spoken',
               coalesce(note_spoken_confirmation.evidence, '{}')
               || jsonb_build_object('transcript', left(transcript, 1000), 'at', clock_timestamp()))
     WHERE x.id = note_spoken_confirmation.command RETURNING x.* INTO c;
    PERFORM mulberry_internal.note_command(c, 'spoken confirmation', 'command_spoken', coalesce(evidence, '{}')
        || jsonb_build_object('transcript', left(transcript, 1000)));
END
$$;
COMMENT ON FUNCTION note_spoken_confirmation(bigint, text, jsonb) IS
    'keeps what a voice said on the telephone as evidence of a command. It settles nothing, because anybody can say it; it tells the '
    'person to whom the command is escalated (internal)';
