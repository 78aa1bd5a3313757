-- What is forgotten of calls that came in, and when.

CREATE OR REPLACE FUNCTION forget_inbound_call(tenant uuid, call_id text) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    known boolean;
    beside text;
BEGIN
    -- recordings that wait to be fetched, and those that are calls of their own
    DELETE FROM mulberry_internal.job_queue j
     WHERE j.kind = 'fetch' AND j.tenant = forget_inbound_call.tenant AND j.payload->>'call_sid' = forget_inbound_call.call_id;
    DELETE FROM mulberry_internal.job_history j
     WHERE j.kind = 'fetch' AND j.tenant = forget_inbound_call.tenant AND j.payload->>'call_sid' = forget_inbound_call.call_id;
    FOR beside IN
        SELECT c.call_id
          FROM mulberry_internal.inbound_calls i CROSS JOIN unnest(i.recordings) AS r (sid)
          JOIN mulberry_internal.calls c ON c.tenant = i.tenant AND c.call_id = concat_ws('/', i.sid, r.sid)
         WHERE i.tenant = forget_inbound_call.tenant AND i.sid = forget_inbound_call.call_id
        UNION
        SELECT c.call_id
          FROM mulberry_internal.inbound_calls i
          JOIN mulberry_internal.media_sessions m ON m.inbound = i.id AND m.call_id <> i.sid
          JOIN mulberry_internal.calls c ON c.tenant = i.tenant AND c.call_id = m.call_id
         WHERE i.tenant = forget_inbound_call.tenant AND i.sid = forget_inbound_call.call_id
    LOOP
        PERFORM mulberry_internal.erase_call_of(forget_inbound_call.tenant, beside);
    END LOOP;
    DELETE FROM mulberry_internal.webhook_answers w USING mulberry_internal.inbound_calls i
     WHERE i.tenant = forget_inbound_call.tenant AND i.sid = forget_inbound_call.call_id AND w.voice_call = i.id;
    DELETE FROM mulberry_internal.inbound_calls i
     WHERE i.tenant = forget_inbound_call.tenant AND i.sid = forget_inbound_call.call_id;
    known := FOUND;
    DELETE FROM mulberry_internal.emergencies e
     WHERE e.tenant = forget_inbound_call.tenant AND e.call_id = forget_inbound_call.call_id;
    known := known OR FOUND;
    DELETE FROM mulberry_internal.job_queue j
     WHERE j.kind = 'escalate' AND j.tenant = forget_inbound_call.tenant
         AND j.payload->'report'->>'reference' = forget_inbound_call.call_id;
    DELETE FROM mulberry_internal.job_history j
     WHERE j.kind = 'escalate' AND j.tenant = forget_inbound_call.tenant
         AND j.payload->'report'->>'reference' = forget_inbound_call.call_id;
    -- the events keep their numbers, which have no gaps
    UPDATE mulberry_internal.events e SET payload = '{"erased": true}'
     WHERE e.tenant = forget_inbound_call.tenant AND e.call IS NULL AND known
       AND forget_inbound_call.call_id IN (e.payload->>'call_sid', e.payload->>'reference');
    RETURN known;
END
$$;
COMMENT ON FUNCTION forget_inbound_call(uuid, text) IS
    'erases what is known of a telephone call beside what was heard in it; false when nothing was (internal)';

-- With the calls of the same name, whose retention is a step before.
CREATE OR REPLACE FUNCTION sweep_inbound_calls(max_rows integer) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '100ms'
AS $$
DECLARE
    n integer;
    m integer;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    DELETE FROM mulberry_internal.inbound_calls x
     WHERE x.id = ANY (ARRAY(
               SELECT i.id FROM mulberry_internal.retention_limits() l
                 JOIN mulberry_internal.inbound_calls i ON i.tenant = l.tenant AND i.created_at < l.kept_since - interval '1 day'
                WHERE NOT EXISTS (SELECT FROM mulberry_internal.calls c WHERE c.tenant = i.tenant AND c.call_id = i.sid)
                LIMIT max_rows FOR UPDATE OF i SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    DELETE FROM mulberry_internal.emergencies x
     WHERE x.ctid = ANY (ARRAY(
               SELECT e.ctid FROM mulberry_internal.retention_limits() l
                 JOIN mulberry_internal.emergencies e ON e.tenant = l.tenant AND e.at < l.kept_since - interval '1 day'
                WHERE NOT EXISTS (SELECT FROM mulberry_internal.calls c WHERE c.tenant = e.tenant AND c.call_id = e.call_id)
                LIMIT max_rows FOR UPDATE OF e SKIP LOCKED));
    GET DIAGNOSTICS m = ROW_COUNT;
    -- a call that begins now refers to the last version, or waits for this to be over and then fails on its key: never to another
    DELETE FROM mulberry_internal.telephony_versions v
     WHERE v.version < (SELECT max(x.version) FROM mulberry_internal.telephony_versions x WHERE x.tenant = v.tenant)
       AND v.created_at < clock_timestamp() - interval '1 day'
       AND NOT EXISTS (SELECT FROM mulberry_internal.inbound_calls i WHERE i.tenant = v.tenant AND i.version = v.version);
    RETURN greatest(n, m) >= max_rows;
END
$$;
COMMENT ON FUNCTION sweep_inbound_calls(integer) IS
    'forgets telephone calls and emergencies a day after retention says so, and versions of settings that no call refers to any more; true '
    'when there is more to do; part of maintenance (internal)';
