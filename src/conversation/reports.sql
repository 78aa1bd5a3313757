-- What conversations were like, and what other settings would have made of them.

CREATE OR REPLACE FUNCTION mulberry.replay_turns(call_id text, settings jsonb DEFAULT NULL, tenant text DEFAULT NULL)
RETURNS TABLE (turn integer, said text, text_class text, onset_ms integer, speech_end_ms integer, committed_ms integer,
    first_sent_ms integer, interrupted_ms integer, interrupt_reason text, reopened integer, cut_offs integer, false_pauses integer,
    backchannels integer, heard text, heard_cut boolean)
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'supervisor', 'auditor');
    one   mulberry_internal.conversations;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', replay_turns.call_id);
    PERFORM mulberry_internal.check_json('settings', replay_turns.settings);
    one := mulberry_internal.find_conversation(owner, call_id);
    IF settings IS NOT NULL THEN
        PERFORM mulberry_internal.check_conversation(settings);
    END IF;
    RETURN QUERY
    SELECT r.turn, r.said, r.text_class, r.onset_ms, r.speech_end_ms, r.committed_ms, r.first_sent_ms, r.interrupted_ms,
           r.interrupt_reason, r.reopened, r.cut_offs, r.false_pauses, r.backchannels, r.heard, r.heard_cut
      FROM mulberry_internal.replay_conversation(one, settings) AS r ORDER BY r.turn;
END
$$;
COMMENT ON FUNCTION mulberry.replay_turns(text, jsonb, text) IS
    'the turns of a conversation, decided anew from the log of what went into the turn engine: the same as they were, or with some '
    'settings otherwise (as in set_conversation()) what would have been. What the caller would have done otherwise is not known; replies '
    'take as long and are as long as they were. Needs supervisor or auditor access. Errors: 42704 no conversation, 22023';

CREATE OR REPLACE FUNCTION turn_figures(owner uuid, "from" timestamptz, "to" timestamptz, settings jsonb)
RETURNS TABLE (conversations bigint, turns bigint, cut_offs bigint, additions bigint, interruptions bigint, false_pauses bigint,
    backchannels bigint, end_of_turn_p50 integer, end_of_turn_p95 integer, voice_to_voice_p50 integer, voice_to_voice_p95 integer)
LANGUAGE sql STABLE AS $$
    SELECT count(DISTINCT c.id), count(r.turn), sum(r.cut_offs), sum(r.reopened - r.cut_offs), count(r.interrupted_ms),
           sum(r.false_pauses), sum(r.backchannels),
           percentile_disc(0.5) WITHIN GROUP (ORDER BY r.committed_ms - r.speech_end_ms)::integer,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY r.committed_ms - r.speech_end_ms)::integer,
           percentile_disc(0.5) WITHIN GROUP (ORDER BY r.first_sent_ms - r.speech_end_ms)::integer,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY r.first_sent_ms - r.speech_end_ms)::integer
      FROM mulberry_internal.conversations c
           LEFT JOIN LATERAL (
               SELECT x.* FROM mulberry_internal.conversation_turns x
                WHERE x.conversation = c.id AND c.ended_at IS NOT NULL AND settings IS NULL
               UNION ALL
               SELECT p.* FROM mulberry_internal.replay_conversation(c, settings) AS p WHERE c.ended_at IS NULL OR settings IS NOT NULL
           ) AS r ON true
     WHERE c.tenant = owner AND c.started_at >= "from" AND c.started_at < "to"
$$;
COMMENT ON FUNCTION turn_figures(uuid, timestamptz, timestamptz, jsonb) IS
    'the sums of turn_report() for conversations of a time, as they were or with other settings (internal)';

CREATE OR REPLACE FUNCTION mulberry.turn_report("from" timestamptz, "to" timestamptz, settings jsonb DEFAULT NULL,
    tenant text DEFAULT NULL)
RETURNS TABLE (case_of text, conversations bigint, turns bigint, cut_offs bigint, cut_off_percent numeric, interruptions bigint,
    false_pauses bigint, backchannels bigint, end_of_turn_p50 integer, end_of_turn_p95 integer, voice_to_voice_p50 integer,
    voice_to_voice_p95 integer)
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'supervisor', 'auditor');
BEGIN
    PERFORM mulberry_internal.check_json('settings', turn_report.settings);
    IF "from" IS NULL OR "to" IS NULL THEN
        RAISE EXCEPTION 'from and to must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF settings IS NOT NULL THEN
        PERFORM mulberry_internal.check_conversation(settings);
    END IF;
    RETURN QUERY
    SELECT k.name, f.conversations, f.turns, f.cut_offs + f.additions,
           round(100.0 * (f.cut_offs + f.additions) / nullif(f.turns, 0), 1),
           f.interruptions, f.false_pauses, f.backchannels, f.end_of_turn_p50, f.end_of_turn_p95, f.voice_to_voice_p50,
           f.voice_to_voice_p95
      FROM (VALUES ('as it was', NULL::jsonb), ('with these settings', settings)) AS k (name, settings)
           CROSS JOIN LATERAL mulberry_internal.turn_figures(owner, "from", "to", k.settings) AS f
     WHERE k.name = 'as it was' OR k.settings IS NOT NULL
     ORDER BY k.name;
END
$$;
COMMENT ON FUNCTION mulberry.turn_report(timestamptz, timestamptz, jsonb, text) IS
    'conversations that began in a time (from included, to not), as they were and, with settings (as in set_conversation()), as they would '
    'have been: turns, those that were taken to be over too early, interruptions, pauses of the agent for nothing; ms from the end of '
    'speech to the end of the turn and to the first frame of the reply. Needs supervisor or auditor access. Errors: 22023, 22004';

CREATE OR REPLACE FUNCTION mulberry.conversation_report(call_id text, tenant text DEFAULT NULL) RETURNS jsonb
LANGUAGE mulberry STABLE
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
AS $$
DECLARE
    owner CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'supervisor', 'auditor');
    one   mulberry_internal.conversations;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', conversation_report.call_id);
    one := mulberry_internal.find_conversation(owner, call_id);
    RETURN (WITH t AS MATERIALIZED (
                SELECT x.* FROM mulberry_internal.conversation_turns x WHERE x.conversation = one.id AND one.ended_at IS NOT NULL
                UNION ALL
                -- one that is under way, or that nobody could end
                SELECT r.* FROM mulberry_internal.replay_conversation(one) AS r WHERE one.ended_at IS NULL)
            SELECT jsonb_build_object('call_id', one.call_id, 'started_at', one.started_at, 'ended_at', one.ended_at,
                       'reason', one.reason, 'settings_version', one.version, 'turns', count(t.turn),
                       'cut_offs', coalesce(sum(t.cut_offs), 0), 'additions', coalesce(sum(t.reopened - t.cut_offs), 0),
                       'interruptions', count(t.interrupted_ms), 'false_pauses', coalesce(sum(t.false_pauses), 0),
                       'backchannels', coalesce(sum(t.backchannels), 0), 'speculations', coalesce(sum(t.speculations), 0),
                       'fillers', count(*) FILTER (WHERE t.filler), 'apologies', count(*) FILTER (WHERE t.apology),
                       'fallbacks', coalesce(sum(t.fallbacks), 0), 'whole_utterances', coalesce(sum(t.whole_utterances), 0),
                       'hedges', coalesce(sum(t.hedges), 0), 'hedges_won', coalesce(sum(t.hedges_won), 0),
                       'end_of_turn_ms', percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY t.committed_ms - t.speech_end_ms),
                       'voice_to_voice_ms', percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY t.first_sent_ms - t.speech_end_ms),
                       'list', coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('turn', t.turn, 'said', t.said,
                           'heard', t.heard, 'heard_cut', t.heard_cut, 'text_class', t.text_class, 'onset_ms', t.onset_ms,
                           'speech_end_ms', t.speech_end_ms, 'end_of_turn_ms', t.committed_ms - t.speech_end_ms,
                           'final_text_ms', t.final_text_ms - t.speech_end_ms, 'reply_ms', t.first_piece_ms - t.asked_ms,
                           'first_frame_ms', t.first_sent_ms - t.first_piece_ms, 'voice_to_voice_ms', t.first_sent_ms - t.speech_end_ms,
                           'interrupted_ms', t.interrupted_ms, 'interruption_detection_ms', t.interrupted_ms - t.interrupt_onset_ms,
                           'interrupt_reason', t.interrupt_reason, 'cut_offs', nullif(t.cut_offs, 0),
                           'false_pauses', nullif(t.false_pauses, 0), 'fallbacks', nullif(t.fallbacks, 0),
                           'whole_utterances', nullif(t.whole_utterances, 0), 'hedges', nullif(t.hedges, 0),
                           'hedges_won', nullif(t.hedges_won, 0))) ORDER BY t.turn) FILTER (WHERE t.turn IS NOT NULL), '[]'))
              FROM t);
END
$$;
COMMENT ON FUNCTION mulberry.conversation_report(text, text) IS
    'a conversation in figures, and its turns one by one: what was said, what of the reply was heard, and the stages of its latency in ms '
    '(end_of_turn, reply: from asking to its first audio, first_frame, voice_to_voice). Needs supervisor or auditor access. Errors: 42704';
