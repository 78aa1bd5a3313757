-- The lockout ladder.  It tightens and never deafens: a genuine frame gets through on every rung, if
-- need be by answering a challenge or a minute later.

CREATE OR REPLACE FUNCTION guard_limited(guard key_guard, at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    -- past 20 in a day
    SELECT coalesce(guard.forgeries[21] > at - interval '1 day', false)
$$;
COMMENT ON FUNCTION guard_limited(key_guard, timestamptz) IS 'true while at most one frame a minute is judged (internal)';

CREATE OR REPLACE FUNCTION guard_challenges(guard key_guard, at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(guard.challenge_until > at, false) OR mulberry_internal.guard_limited(guard, at)
$$;
COMMENT ON FUNCTION guard_challenges(key_guard, timestamptz) IS 'true in challenge mode (internal)';

CREATE OR REPLACE FUNCTION guard_defers(guard key_guard, at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    -- only failures use up the minute, so that a challenge can be answered in it
    SELECT mulberry_internal.guard_limited(guard, at) AND guard.forgeries[1] > at - interval '1 minute'
$$;
COMMENT ON FUNCTION guard_defers(key_guard, timestamptz) IS 'true when the frame of this minute was judged and found wrong (internal)';

-- A challenge holds for 60 s (MB_CHALLENGE_LIFETIME_S) from when it was played last, in whatever call, because where
-- no webhooks reach the sender it answers in another call.  A repetition of the frame plays it again: the same
-- digits, because others would let whoever has recorded the frame spoil the answer that is on its way.  It also
-- renews the time, but not beyond two minutes from when the digits were drawn, because he could else keep them good
-- for as long as it suits him and hold back the answer till then.  The digits tell him nothing: it is
-- the key that makes an answer of them.  Afterwards the answer is still understood, and
-- challenged anew, for ten minutes.
CREATE OR REPLACE FUNCTION challenge_holds(c challenges, at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT c.played_at > at - interval '60 seconds' AND c.drawn_at > at - interval '2 minutes'
$$;
COMMENT ON FUNCTION challenge_holds(challenges, timestamptz) IS 'whether a challenge can be answered (internal)';

CREATE OR REPLACE FUNCTION note_forgery(tenant uuid, key_id integer, agent uuid, at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    guard mulberry_internal.key_guard;
    what  jsonb;
    recent bigint;
BEGIN
    INSERT INTO mulberry_internal.key_guard (tenant, key_id) VALUES (note_forgery.tenant, note_forgery.key_id)
    ON CONFLICT DO NOTHING;
    SELECT g.* INTO guard
      FROM mulberry_internal.key_guard g
     WHERE g.tenant = note_forgery.tenant AND g.key_id = note_forgery.key_id FOR UPDATE;
    -- after a quiet day the ladder begins at its foot
    IF coalesce(guard.forgeries[1] < at - interval '1 day', true)
       AND coalesce(guard.challenge_until < at - interval '1 day', true) THEN
        guard.challenge_period := NULL;
    END IF;
    guard.forgeries := (at || guard.forgeries)[1:21];
    guard.in_row := guard.in_row + 1;
    SELECT count(*) INTO recent
      FROM unnest(guard.forgeries) AS f
     WHERE f > at - interval '1 hour' AND f > coalesce(guard.challenge_from, '-infinity');
    IF recent >= 5 THEN
        guard.challenge_period := least(interval '24 hours', coalesce(2 * guard.challenge_period, interval '1 hour'));
        guard.challenge_from := at;
        guard.challenge_until := at + guard.challenge_period;
        what := jsonb_build_object('key_id', note_forgery.key_id, 'until', guard.challenge_until);
        PERFORM mulberry_internal.record_audit(note_forgery.tenant, 'VOICE_KEY_CHALLENGE_MODE', 'entered', NULL, note_forgery.agent,
                                      NULL, NULL, what);
        PERFORM mulberry_internal.emit_event(note_forgery.tenant, 'voice_key_challenge_mode', NULL, NULL,
                                    what || jsonb_build_object('agent', note_forgery.agent));
    END IF;
    IF guard.in_row % 100 = 0 THEN
        what := jsonb_build_object('key_id', note_forgery.key_id, 'forgeries_in_row', guard.in_row);
        PERFORM mulberry_internal.record_audit(note_forgery.tenant, 'VOICE_KEY_ALARM', 'raised', NULL, note_forgery.agent, NULL, NULL,
            what);
        PERFORM mulberry_internal.emit_event(note_forgery.tenant, 'voice_key_alarm', NULL, NULL,
                                    what || jsonb_build_object('agent', note_forgery.agent));
    END IF;
    UPDATE mulberry_internal.key_guard g
       SET forgeries = guard.forgeries, in_row = guard.in_row, challenge_from = guard.challenge_from,
           challenge_until = guard.challenge_until, challenge_period = guard.challenge_period
     WHERE g.tenant = note_forgery.tenant AND g.key_id = note_forgery.key_id;
END
$$;
COMMENT ON FUNCTION note_forgery(uuid, integer, uuid, timestamptz) IS
    'counts a forgery against a key: 5 in an hour mean challenge mode for an hour, doubling to a day; 100 in a row an alarm (internal)';

CREATE OR REPLACE FUNCTION note_call_fault(tenant uuid, call_ref text, verdict text) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    ends boolean;
BEGIN
    IF note_call_fault.call_ref IS NULL THEN
        RETURN false;
    END IF;
    DELETE FROM mulberry_internal.received_calls c
     WHERE c.ctid IN (SELECT o.ctid FROM mulberry_internal.received_calls o
                       WHERE o.tenant = note_call_fault.tenant AND o.began_at < clock_timestamp() - interval '1 day'
                       LIMIT 100 FOR UPDATE SKIP LOCKED);
    INSERT INTO mulberry_internal.received_calls AS c (tenant, call_ref, forgeries, decode_errors)
    VALUES (note_call_fault.tenant, note_call_fault.call_ref,
            (note_call_fault.verdict = 'forgery')::integer, (note_call_fault.verdict = 'decode error')::integer)
    ON CONFLICT (tenant, call_ref) DO UPDATE
       SET forgeries = c.forgeries + EXCLUDED.forgeries, decode_errors = c.decode_errors + EXCLUDED.decode_errors
    RETURNING c.forgeries >= 3 OR c.decode_errors > 10 INTO ends;
    IF ends THEN
        UPDATE mulberry_internal.received_calls c SET hang_up = true
         WHERE c.tenant = note_call_fault.tenant AND c.call_ref = note_call_fault.call_ref;
    END IF;
    RETURN ends;
END
$$;
COMMENT ON FUNCTION note_call_fault(uuid, text, text) IS
    'counts a forgery or decode error against a call and says whether to hang up: after 3 forgeries, or when ten repeats were asked for '
    '(internal)';
