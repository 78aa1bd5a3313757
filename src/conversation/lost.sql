-- Streams and conversations whose gateway is gone: nobody else says that they are over.

CREATE OR REPLACE FUNCTION end_lost_streams(max_rows integer) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '100ms'
AS $$
DECLARE
    patience CONSTANT interval := interval '5 minutes';    -- a gateway that is there has long told us
    longest  CONSTANT interval := interval '5 hours';      -- no call lasts so long
    n        integer := 0;
    lost     record;
    i        mulberry_internal.inbound_calls;
    one      mulberry_internal.conversations;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    FOR lost IN
        SELECT m.id, m.begun_at, m.inbound, m.peer
          FROM mulberry_internal.media_sessions m JOIN mulberry_internal.inbound_calls k ON k.id = m.inbound
         WHERE m.ended_at IS NULL
           AND (k.ended_at < clock_timestamp() - patience OR m.begun_at < clock_timestamp() - longest)
         ORDER BY m.begun_at LIMIT max_rows FOR UPDATE OF m SKIP LOCKED
    LOOP
        UPDATE mulberry_internal.media_sessions x SET ended_at = clock_timestamp(), reason = 'the gateway is gone' WHERE x.id = lost.id;
        UPDATE mulberry_internal.inbound_calls x SET state = 'completed', ended_at = clock_timestamp()
         WHERE x.id = lost.inbound AND x.ended_at IS NULL AND lost.peer <> 'twilio' RETURNING x.* INTO i;
        IF FOUND THEN
            PERFORM mulberry_internal.tell_inbound_call(i);
        END IF;
        n := n + 1;
    END LOOP;
    FOR one IN
        SELECT c.* FROM mulberry_internal.conversations c
         WHERE c.ended_at IS NULL
           AND EXISTS (SELECT FROM mulberry_internal.media_sessions m
                        WHERE m.tenant = c.tenant AND m.call_id = c.call_id
                          AND (m.ended_at < clock_timestamp() - patience OR m.reason = 'the gateway is gone'))
         ORDER BY c.started_at LIMIT max_rows FOR UPDATE OF c SKIP LOCKED
    LOOP
        UPDATE mulberry_internal.conversations c SET ended_at = clock_timestamp(), reason = 'lost' WHERE c.id = one.id;
        INSERT INTO mulberry_internal.conversation_turns SELECT r.* FROM mulberry_internal.replay_conversation(one) AS r;
        -- a gateway tells what the caller has said last with the turn that follows it, and what he added to that later still; the log
        -- may end before either
        INSERT INTO mulberry_internal.conversation_lines AS x (conversation, number, speaker, text)
        SELECT t.conversation, 4 * t.turn, 'caller', t.said FROM mulberry_internal.conversation_turns t
         WHERE t.conversation = one.id AND t.turn BETWEEN 1 AND 50000 AND t.said <> ''
            ON CONFLICT ON CONSTRAINT conversation_lines_pkey DO UPDATE SET text = excluded.text
             WHERE x.speaker = 'caller' AND length(x.text) < length(excluded.text);
        n := n + 1;
    END LOOP;
    RETURN n >= max_rows;
END
$$;
COMMENT ON FUNCTION end_lost_streams(integer) IS
    'ends streams that are open five minutes after their call was over, or after five hours, and conversations without a stream; '
    'their turns are stored as far as they are known; true when there is more to do; part of maintenance (internal)';
