-- Turns of a conversation where they are in the audio of its call, for its picture.

CREATE OR REPLACE FUNCTION turns_in_time(call bigint)
RETURNS TABLE (track text, label text, about text, start_ms bigint, end_ms bigint, cut boolean, false_ones integer)
LANGUAGE sql STABLE ROWS 50 AS $$
    WITH c AS (
        SELECT v.id, round(extract(epoch FROM v.started_at - (
                   SELECT min(f.sent_at)
                     FROM mulberry_internal.all_tracks k
                     CROSS JOIN LATERAL (SELECT p.sent_at FROM mulberry_internal.packets p
                                          WHERE p.call = k.id ORDER BY p.sequence LIMIT 1) AS f
                    WHERE k.call = x.id)) * 1000)::bigint AS zero
          FROM mulberry_internal.calls x
          JOIN mulberry_internal.conversations v ON v.tenant = x.tenant AND v.call_id = x.call_id
         WHERE x.id = $1)
    SELECT s.track, t.turn::text, s.about, c.zero + s.start_ms, c.zero + s.end_ms, s.cut, s.false_ones
      FROM c
      JOIN mulberry_internal.conversation_turns t ON t.conversation = c.id
      CROSS JOIN LATERAL (
          VALUES ('caller', format('turn %s: %s', t.turn, t.said), t.onset_ms, coalesce(t.speech_end_ms, t.onset_ms), false, 0),
                 ('agent', concat_ws(', ', format('reply to turn %s: %s', t.turn, t.heard),
                               CASE WHEN t.heard_cut OR t.interrupted_ms IS NOT NULL THEN 'interrupted' END,
                               CASE WHEN t.false_pauses > 0 THEN format('paused for nothing: %s', t.false_pauses) END),
                  t.first_sent_ms, coalesce(t.reply_end_ms, t.interrupted_ms, t.first_sent_ms),
                  t.heard_cut OR t.interrupted_ms IS NOT NULL, t.false_pauses)) AS s (track, about, start_ms, end_ms, cut, false_ones)
     WHERE s.start_ms IS NOT NULL AND c.zero IS NOT NULL
     ORDER BY s.start_ms, t.turn
$$;
COMMENT ON FUNCTION turns_in_time(bigint) IS
    'of the conversation of a call, when it is over, the turns of the caller and the replies of the agent, in ms of the audio, as '
    'nearly as the clocks of database and gateway agree (internal)';
