-- The lockout ladder.  It tightens and never deafens: whatever has been forged, every frame is judged, and a genuine
-- command gets through, if need be by answering a challenge.  Its arithmetic is the core's (core/command/lockout.h);
-- here is what is stored and who is told.

CREATE OR REPLACE FUNCTION lockout_mode(guard key_guard, at timestamptz) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_lockout_mode';
COMMENT ON FUNCTION lockout_mode(key_guard, timestamptz) IS
    'normal; challenge: a genuine command must answer one; strict: likewise, and a call ends with its first forgery (internal)';

CREATE OR REPLACE FUNCTION lockout_forgery(guard key_guard, at timestamptz, OUT forgeries timestamptz[], OUT in_row bigint,
                                OUT since_entered integer, OUT challenge_until timestamptz, OUT challenge_period interval,
                                OUT entered boolean, OUT alarm boolean)
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_lockout_forgery';
COMMENT ON FUNCTION lockout_forgery(key_guard, timestamptz) IS
    'the row after one more forgery, and whether challenge mode was entered or an alarm is due (internal)';

CREATE OR REPLACE FUNCTION call_is_over(forgeries integer, decode_errors integer, strict boolean) RETURNS boolean
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_call_is_over';
COMMENT ON FUNCTION call_is_over(integer, integer, boolean) IS
    'whether a call with so many faults is to be hung up; strict: of a key in that mode (internal)';

CREATE OR REPLACE FUNCTION challenge_holds(drawn_at timestamptz, played_at timestamptz, at timestamptz) RETURNS boolean
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_challenge_holds';
COMMENT ON FUNCTION challenge_holds(timestamptz, timestamptz, timestamptz) IS
    'whether the answer to a challenge acts; false: it is understood and challenged anew; null: no more (internal)';

CREATE OR REPLACE FUNCTION note_forgery(tenant uuid, key_id integer, agent uuid, at timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    guard mulberry_internal.key_guard;
    after record;
    what  jsonb;
BEGIN
    INSERT INTO mulberry_internal.key_guard (tenant, key_id) VALUES (note_forgery.tenant, note_forgery.key_id)
    ON CONFLICT DO NOTHING;
    SELECT g.* INTO guard
      FROM mulberry_internal.key_guard g
     WHERE g.tenant = note_forgery.tenant AND g.key_id = note_forgery.key_id FOR UPDATE;
    after := mulberry_internal.lockout_forgery(guard, note_forgery.at);
    UPDATE mulberry_internal.key_guard g
       SET forgeries = after.forgeries, in_row = after.in_row, since_entered = after.since_entered,
           challenge_until = after.challenge_until, challenge_period = after.challenge_period
     WHERE g.tenant = note_forgery.tenant AND g.key_id = note_forgery.key_id RETURNING g.* INTO guard;
    IF after.entered THEN
        what := jsonb_build_object('key_id', note_forgery.key_id, 'until', guard.challenge_until);
        PERFORM mulberry_internal.record_audit(note_forgery.tenant, 'VOICE_KEY_CHALLENGE_MODE', 'entered', NULL, note_forgery.agent,
                                      NULL, NULL, what);
        PERFORM mulberry_internal.emit_event(note_forgery.tenant, 'voice_key_challenge_mode', NULL, NULL,
                                    what || jsonb_build_object('agent', note_forgery.agent));
    END IF;
    IF after.alarm THEN
        what := jsonb_build_object('key_id', note_forgery.key_id, 'forgeries_in_row', guard.in_row);
        PERFORM mulberry_internal.record_audit(note_forgery.tenant, 'VOICE_KEY_ALARM', 'raised', NULL, note_forgery.agent, NULL, NULL,
            what);
        PERFORM mulberry_internal.emit_event(note_forgery.tenant, 'voice_key_alarm', NULL, NULL,
                                    what || jsonb_build_object('agent', note_forgery.agent));
    END IF;
    RETURN mulberry_internal.lockout_mode(guard, note_forgery.at);
END
$$;
COMMENT ON FUNCTION note_forgery(uuid, integer, uuid, timestamptz) IS
    'counts a forgery against a key, tells what follows from it, and returns the mode that the key is in now (internal)';

CREATE OR REPLACE FUNCTION note_call_fault(tenant uuid, call_ref text, verdict text, mode text) RETURNS boolean
LANGUAGE plpgsql AS $$
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
    ON CONFLICT ON CONSTRAINT received_calls_pkey DO UPDATE
       SET forgeries = c.forgeries + EXCLUDED.forgeries, decode_errors = c.decode_errors + EXCLUDED.decode_errors
    RETURNING mulberry_internal.call_is_over(c.forgeries, c.decode_errors, coalesce(note_call_fault.mode = 'strict', false)) INTO ends;
    IF ends THEN
        UPDATE mulberry_internal.received_calls c SET hang_up = true
         WHERE c.tenant = note_call_fault.tenant AND c.call_ref = note_call_fault.call_ref;
    END IF;
    RETURN ends;
END
$$;
COMMENT ON FUNCTION note_call_fault(uuid, text, text, text) IS
    'counts a forgery, of a key in that mode, or a decode error against a call and says whether to hang up (internal)';
