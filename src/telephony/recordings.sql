-- Recordings: the acknowledgement that no webhook brought, or a spoken confirmation.

CREATE OR REPLACE FUNCTION unheard(v voice_calls, why text) RETURNS void
LANGUAGE sql
AS $$
    SELECT mulberry_internal.finish_voice_call($1.id, CASE WHEN $1.answered_by ~ '^(machine|fax)' THEN 'machine'
        ELSE 'no acknowledgement' END,
                                      concat_ws('; ', $2, 'answered by ' || $1.answered_by))
$$;
COMMENT ON FUNCTION unheard(voice_calls, text) IS 'finishes a call that was answered and brought no acknowledgement (internal)';

CREATE OR REPLACE FUNCTION answer_to_recordings(v voice_calls, sids text[], states text[], problem text) RETURNS timestamptz
LANGUAGE plpgsql
AS $$
DECLARE
    at       CONSTANT timestamptz := clock_timestamp();
    patience CONSTANT interval := interval '1 minute';    -- in which a recording gets ready
    listed   CONSTANT boolean := sids IS NOT NULL;
    ready    text;
BEGIN
    SELECT r.sid INTO ready FROM unnest(sids, states) AS r (sid, state) WHERE r.state = 'completed' LIMIT 1;
    IF ready IS NOT NULL THEN
        UPDATE mulberry_internal.voice_calls x SET recording_sid = ready WHERE x.id = v.id;
        RETURN at;
    END IF;
    IF v.finished_at IS NOT NULL THEN
        UPDATE mulberry_internal.voice_calls x SET delete_recording = false
         WHERE x.id = v.id AND listed AND at > v.finished_at + patience;
        RETURN CASE WHEN listed THEN at + interval '5 seconds' END;
    END IF;
    IF mulberry_internal.voice_call_rank(v.state) <> 6 THEN
        RETURN NULL;
    END IF;
    IF at > v.ended_at + patience
       OR (cardinality(sids) > 0
           AND NOT EXISTS (SELECT FROM unnest(states) AS r (state)
                            WHERE r.state IN ('in-progress', 'paused', 'stopped', 'processing'))) THEN
        PERFORM mulberry_internal.unheard(v, CASE WHEN NOT listed THEN problem ELSE 'there is no recording' END);
        RETURN NULL;
    END IF;
    RETURN CASE WHEN listed THEN at + interval '2 seconds' END;
END
$$;
COMMENT ON FUNCTION answer_to_recordings(voice_calls, text[], text[], text) IS
    'looks for a recording that is ready, for a minute after the end of the call. Returns when to go on; null: by the state of the call '
    '(internal)';

CREATE OR REPLACE FUNCTION answer_to_media(v voice_calls, status integer, body bytea, problem text) RETURNS timestamptz
LANGUAGE plpgsql
AS $$
DECLARE
    at CONSTANT timestamptz := clock_timestamp();
BEGIN
    IF mulberry_internal.voice_call_rank(v.state) <> 6 OR v.finished_at IS NOT NULL THEN
        RETURN NULL;
    END IF;
    IF status BETWEEN 200 AND 299 AND body IS NOT NULL THEN
        RETURN mulberry_internal.judge_recording(v, body);
    ELSIF at > v.ended_at + interval '2 minutes' THEN
        PERFORM mulberry_internal.unheard(v, 'the recording could not be fetched: ' || problem);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION answer_to_media(voice_calls, integer, bytea, text) IS
    'takes the recording of a call. Returns when to go on; null: by the state of the call (internal)';

CREATE OR REPLACE FUNCTION judge_recording(v voice_calls, wav bytea) RETURNS timestamptz
LANGUAGE plpgsql
AS $$
DECLARE
    at        CONSTANT timestamptz := clock_timestamp();
    time_for_listening CONSTANT interval := interval '30 seconds';
    -- what is said after our frame is said soon, and a recording may have any length
    seconds_listened_to CONSTANT integer := 300;
    -- Whoever answers the telephone can fill a recording with acknowledgements.  An agent has one for each frame.
    most      CONSTANT integer := 20;
    judged    integer := 0;
    unjudged  integer := 0;
    answers   CONSTANT text[] := ARRAY(SELECT lpad(s.key_id::text, 2, '0') || lpad(mulberry_internal.frame_counter(s.counter)::text, 4, '0')
                                         FROM mulberry_internal.command_signatures s WHERE s.command = v.command);
    source    CONSTANT jsonb := jsonb_build_object('call_sid', v.sid, 'recording_sid', v.recording_sid,
                                                   'sha256', encode(sha256(wav), 'hex'));
    part      record;
    heard     record;
    channel   integer := 1;
    channels  integer := 1;
    ours      integer;
    verdict   text;
    answered  text;
    challenged boolean := false;
    asked     record;
    e         mulberry_internal.endpoints;
    id_of_job bigint;
BEGIN
    WHILE channel <= channels LOOP
        BEGIN
            SELECT * INTO part FROM mulberry.wav_decode(wav, channel, true);
            IF part.sample_rate NOT IN (8000, 16000, 44100, 48000) THEN
                part.audio := mulberry.audio_convert(part.audio, part.encoding, part.sample_rate, part.encoding, 8000);
                part.sample_rate := 8000;
            END IF;
        EXCEPTION WHEN data_exception OR feature_not_supported OR program_limit_exceeded THEN
            PERFORM mulberry_internal.unheard(v, 'the recording cannot be read: ' || SQLERRM);
            RETURN NULL;
        END;
        channels := least(part.channels, 2);
        FOR heard IN
            -- each once, however often it is heard, and those first that answer this command
            SELECT f.frame, min(f.at_ms) AS at_ms
              FROM mulberry_internal.heard_frames(part.audio, part.encoding, part.sample_rate) f
             WHERE length(part.audio) > 0 AND (f.frame = v.frame OR length(f.frame) = 22)
             GROUP BY f.frame
             ORDER BY substr(f.frame, 2, 2) || substr(f.frame, 8, 4) = ANY (answers) DESC, min(f.at_ms)
        LOOP
            IF heard.frame = v.frame THEN
                ours := channel;
            ELSIF judged = most THEN
                unjudged := unjudged + 1;
            ELSE
                judged := judged + 1;
                verdict := mulberry_internal.accept_ack(v.command, heard.frame, 'voice',
                    source || jsonb_build_object('channel', channel, 'at_ms', heard.at_ms));
                IF NOT mulberry_internal.voice_call_wanted(v) THEN
                    UPDATE mulberry_internal.voice_calls x SET acknowledged = true WHERE x.id = v.id;
                    PERFORM mulberry_internal.finish_voice_call(v.id, 'acknowledged', NULL);
                    RETURN NULL;
                ELSIF verdict = 'challenge wanted' THEN
                    answered := heard.frame;
                END IF;
            END IF;
        END LOOP;
        IF answered IS NOT NULL AND NOT challenged THEN
            challenged := true;
            SELECT h.* INTO asked FROM mulberry_internal.heard_challenge(part.audio, part.encoding, part.sample_rate, answered) AS h;
        END IF;
        channel := channel + 1;
    END LOOP;
    IF unjudged > 0 THEN
        PERFORM mulberry_internal.record_audit(v.tenant, 'ACKNOWLEDGEMENT_REJECTED', 'not judged', NULL,
            (SELECT c.agent FROM mulberry_internal.commands c WHERE c.id = v.command), v.command, 'voice',
            source || jsonb_build_object('judged', judged, 'not_judged', unjudged));
    END IF;

    IF challenged THEN
        -- What was played in the call that is over is answered by the next one, if that is soon enough.
        UPDATE mulberry_internal.commands c
           SET challenged_at = least(c.challenged_at, v.ended_at - make_interval(secs => asked.ms_to_end / 1000.0))
         WHERE c.id = v.command AND asked.ms_to_end IS NOT NULL;
        verdict := mulberry_internal.accept_challenge(v.command, asked.digits);
        IF verdict = 'signed' THEN
            PERFORM mulberry_internal.finish_voice_call(v.id, 'challenged',
                'the agent wants a challenge answered, which the next call does');
        ELSIF verdict = 'too late' THEN
            PERFORM mulberry_internal.finish_voice_call(v.id, 'challenged', 'the agent''s challenge was heard too late to be answered');
        ELSE
            PERFORM mulberry_internal.unheard(v, 'the agent wants a challenge answered, and its digits were not understood');
        END IF;
        RETURN NULL;
    END IF;

    -- Nothing that is signed.  What was said is weaker, but better than nothing: without our own channel.
    SELECT x.* INTO e FROM mulberry_internal.endpoints x WHERE x.id = mulberry_internal.endpoint_for(v.tenant, 'transcription');
    IF e.id IS NULL OR NOT e.enabled
       OR (mulberry_internal.open_breaker(e.id, v.tenant)).endpoint IS NOT NULL THEN
        PERFORM mulberry_internal.unheard(v, coalesce('last frame heard: ' || verdict, 'no frame in the recording'));
        RETURN NULL;
    END IF;
    SELECT * INTO part FROM mulberry.wav_decode(wav, CASE WHEN channels = 2 AND ours IS NOT NULL THEN 3 - ours END, true);
    IF length(part.audio) = 0 THEN
        PERFORM mulberry_internal.unheard(v, 'the recording is empty');
        RETURN NULL;
    END IF;
    part.audio := substr(part.audio, 1, seconds_listened_to * part.sample_rate * CASE part.encoding WHEN 's16le' THEN 2 ELSE 1 END);
    UPDATE mulberry_internal.voice_calls x
       SET recording = mulberry.wav_encode(mulberry.audio_convert(part.audio, part.encoding, part.sample_rate, 's16le', 8000), 's16le',
           8000),
           give_up_at = at + time_for_listening
     WHERE x.id = v.id;
    id_of_job := mulberry_internal.enqueue_job('listen', v.tenant, NULL, NULL, jsonb_build_object('voice_call', v.id));
    UPDATE mulberry_internal.voice_calls x SET listen_job = id_of_job WHERE x.id = v.id;
    RETURN at + time_for_listening;
END
$$;
COMMENT ON FUNCTION judge_recording(voice_calls, bytea) IS
    'looks for the acknowledgement in a recording, on each of its channels, and judges 20 different ones at most; without one, has its '
    'first five minutes transcribed where an endpoint does that. Returns when to go on; null: by the state of the call (internal)';

CREATE OR REPLACE FUNCTION recording_input(voice_call bigint,
    OUT call_id text, OUT encoding text, OUT sample_rate integer, OUT audio bytea, OUT content text, OUT facts jsonb)
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
BEGIN
    SELECT v.sid, 's16le', 8000, v.recording, NULL::text, '{}'::jsonb
      INTO call_id, encoding, sample_rate, audio, content, facts
      FROM mulberry_internal.voice_calls v WHERE v.id = recording_input.voice_call;
END
$$;
COMMENT ON FUNCTION recording_input(bigint) IS
    'what is transcribed of the recording of a telephone call, in the form of transcription_input()';

CREATE OR REPLACE FUNCTION finish_listening(job bigint, token bigint, transcription text) RETURNS boolean
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    j mulberry_internal.job_queue;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    PERFORM mulberry_internal.lock_telephony_job(job);
    j := mulberry_internal.leased_job(job, token);
    IF j.id IS NULL THEN
        RETURN false;
    END IF;
    PERFORM mulberry_internal.settle_job(job, 'done', NULL);
    UPDATE mulberry_internal.voice_calls v SET transcript = left(transcription, 10000) WHERE v.id = (j.payload->>'voice_call')::bigint;
    PERFORM mulberry_internal.wake_voice_call((j.payload->>'voice_call')::bigint);
    RETURN true;
END
$$;
COMMENT ON FUNCTION finish_listening(bigint, bigint, text) IS
    'stores what was said in a recording, and finishes its job; false when the token is no longer the job''s';

CREATE OR REPLACE FUNCTION confirms(command text, transcript text) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN transcript COLLATE "C" ~* (mulberry_internal.command_kind(command)).confirmation
   AND transcript COLLATE "C" !~* E'\\m(not|cannot|can''t|couldn''t|refused|failed|failure|error|unknown|invalid)\\M';
COMMENT ON FUNCTION confirms(text, text) IS 'whether what was said sounds like the confirmation of a command (internal)';

CREATE OR REPLACE FUNCTION judge_transcript(voice_call bigint) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v mulberry_internal.voice_calls;
    c mulberry_internal.commands;
BEGIN
    SELECT x.* INTO STRICT v FROM mulberry_internal.voice_calls x WHERE x.id = voice_call;
    SELECT x.* INTO STRICT c FROM mulberry_internal.commands x WHERE x.id = v.command;
    IF v.transcript IS NULL AND clock_timestamp() < v.give_up_at
       AND EXISTS (SELECT FROM mulberry_internal.job_queue q WHERE q.id = v.listen_job) THEN
        PERFORM mulberry_internal.rest_voice_call(v.id, v.give_up_at);
        RETURN;
    END IF;
    IF mulberry_internal.confirms(c.command, v.transcript) THEN
        PERFORM mulberry_internal.note_spoken_confirmation(c.id, v.transcript,
            jsonb_build_object('call_sid', v.sid, 'recording_sid', v.recording_sid, 'attempt', v.attempt));
        PERFORM mulberry_internal.finish_voice_call(v.id, 'spoken confirmation', left(v.transcript, 200));
    ELSE
        PERFORM mulberry_internal.unheard(v, CASE WHEN v.transcript IS NULL THEN 'the recording was not transcribed in time'
            ELSE 'nothing said confirms it' END);
    END IF;
END
$$;
COMMENT ON FUNCTION judge_transcript(bigint) IS
    'draws the conclusion from the transcript of a recording, once it is there or its time is over (internal)';

-- Of a call that came in.  The job's lease has been checked: that is what lets a worker store packets of this tenant, and no others.
CREATE OR REPLACE FUNCTION take_fetched(j job_queue, wav bytea) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    call_sid CONSTANT text := j.payload->>'call_sid';
    -- a call of that name is what the automatic agent heard, or an earlier recording
    name     text := CASE WHEN EXISTS (SELECT FROM mulberry_internal.calls c
                                        WHERE c.tenant = j.tenant AND c.call_id = j.payload->>'call_sid')
                          THEN concat_ws('/', j.payload->>'call_sid', j.payload->>'recording_sid') ELSE j.payload->>'call_sid' END;
BEGIN
    IF coalesce(length(wav), 0) = 0 THEN
        PERFORM mulberry_internal.settle_job(j.id, 'dead', 'the recording is empty');
        RETURN;
    END IF;
    LOOP
        BEGIN
            PERFORM mulberry_internal.store_recording(j.tenant, name, wav,
                -- the second channel is what we said, or somebody to whom the caller was put through
                CASE d.channels WHEN 2 THEN ARRAY['caller', 'agent'] ELSE ARRAY['caller'] END, NULL, NULL,
                (j.payload->>'started_at')::timestamptz, true, 100, true)
               FROM mulberry.wav_decode(wav, 1, true) AS d;
            PERFORM mulberry_internal.settle_job(j.id, 'done', NULL);
            RETURN;
        EXCEPTION
            WHEN object_not_in_prerequisite_state THEN
                -- another recording of this call has come first
                IF name <> call_sid THEN
                    RAISE;
                END IF;
                name := concat_ws('/', call_sid, j.payload->>'recording_sid');
            WHEN data_exception OR feature_not_supported OR program_limit_exceeded THEN
                PERFORM mulberry_internal.settle_job(j.id, 'dead', left('the recording cannot be kept: ' || SQLERRM, 500));
                RETURN;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION take_fetched(job_queue, bytea) IS
    'stores the recording of a telephone call that came in as the tracks of the call of its name, caller and agent, or of one beside it, '
    'which is complete then, and finishes its job, whose lease the caller has checked (internal)';
