-- Turns of a conversation when they were, for the picture of its call.

CREATE OR REPLACE FUNCTION turns_in_time(call bigint)
RETURNS TABLE (track text, label text, about text, start_at timestamptz, end_at timestamptz, cut boolean, false_ones integer)
LANGUAGE sql STABLE ROWS 50 AS $$
    SELECT s.track, t.turn::text, s.about, v.started_at + s.start_ms * interval '1 ms', v.started_at + s.end_ms * interval '1 ms', s.cut,
           s.false_ones
      FROM mulberry_internal.calls c
      JOIN mulberry_internal.conversations v ON v.tenant = c.tenant AND v.call_id = c.call_id
      JOIN mulberry_internal.conversation_turns t ON t.conversation = v.id
      CROSS JOIN LATERAL (
          VALUES ('caller', format('turn %s: %s', t.turn, t.said), t.onset_ms, coalesce(t.speech_end_ms, t.onset_ms), false, 0),
                 ('agent', concat_ws(', ', format('reply to turn %s: %s', t.turn, t.heard),
                               CASE WHEN t.heard_cut OR t.interrupted_ms IS NOT NULL THEN 'interrupted' END,
                               CASE WHEN t.false_pauses > 0 THEN format('paused for nothing: %s', t.false_pauses) END),
                  t.first_sent_ms, coalesce(t.reply_end_ms, t.interrupted_ms, t.first_sent_ms),
                  t.heard_cut OR t.interrupted_ms IS NOT NULL, t.false_pauses)) AS s (track, about, start_ms, end_ms, cut, false_ones)
     WHERE c.id = $1 AND s.start_ms IS NOT NULL
     ORDER BY s.start_ms, t.turn
$$;
COMMENT ON FUNCTION turns_in_time(bigint) IS
    'of the conversation of a call, when it is over, the turns of the caller and the replies of the agent, when they were by the clock of '
    'the database (internal)';
