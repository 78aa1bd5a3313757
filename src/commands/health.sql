CREATE OR REPLACE FUNCTION health_commands() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    number   bigint;
    urgent   bigint;
    oldest   timestamptz;
    patience CONSTANT interval := current_setting('mulberry.command_online_wait')::interval
        + current_setting('mulberry.command_max_attempts')::integer
          * (current_setting('mulberry.command_retry_delay')::interval + interval '3 minutes');
BEGIN
    -- no names: who may see health may not see every tenant
    item := 'escalated commands';
    SELECT count(*), count(*) FILTER (WHERE (mulberry_internal.command_kind(c.command)).urgent), min(c.escalated_at)
      INTO number, urgent, oldest
      FROM mulberry_internal.commands c WHERE c.state = 'escalated';
    status := CASE WHEN number = 0 THEN 'ok' WHEN urgent = 0 THEN 'warning' ELSE 'error' END;
    detail := format('%s wait for a person, %s of them revocations', number, urgent)
              || coalesce(', the oldest since ' || oldest, '');
    hint := CASE WHEN number > 0
                 THEN 'The view command_status says why. retry_command() sends one again, cancel_command() with a reason closes it.' END;
    RETURN NEXT;

    item := 'outstanding commands';
    SELECT count(*), count(*) FILTER (WHERE c.signed_at < clock_timestamp() - patience), min(c.signed_at)
      INTO number, urgent, oldest
      FROM mulberry_internal.commands c WHERE c.state = 'outstanding';
    status := CASE WHEN urgent = 0 THEN 'ok' ELSE 'warning' END;
    detail := format('%s are on their way, %s of them for longer than all their calls should take', number, urgent)
              || coalesce('; the oldest was signed at ' || oldest, '');
    hint := CASE WHEN urgent > 0 THEN 'See command_status and the jobs of kind call. Without workers nobody is phoned.' END;
    RETURN NEXT;

    item := 'waiting commands';
    SELECT count(*), min(c.created_at) INTO number, oldest
      FROM mulberry_internal.commands c
     WHERE c.state = 'waiting' AND NOT EXISTS (SELECT FROM mulberry_internal.commands o
                                                WHERE o.tenant = c.tenant AND o.agent = c.agent AND o.state = 'outstanding');
    status := CASE WHEN number = 0 THEN 'ok' ELSE 'warning' END;
    detail := CASE WHEN number = 0 THEN 'every one that waits has another one before it'
                   ELSE format('%s wait although nothing is outstanding, the oldest since %s', number, oldest) END;
    hint := CASE WHEN number > 0
                 THEN 'A copy sends nothing before resume_outbound(); otherwise maintenance(), which workers run, sends them.' END;
    RETURN NEXT;

    item := 'reach of agents';
    SELECT count(*) INTO number
      FROM mulberry_internal.agents a
     WHERE EXISTS (SELECT FROM mulberry_internal.mandates m
                    WHERE m.tenant = a.tenant AND m.agent = a.id AND m.status IN ('ACTIVE', 'SUSPENDED'))
       -- on the edge itself nobody sends commands
       AND NOT EXISTS (SELECT FROM mulberry_internal.voice_keys k WHERE k.tenant = a.tenant AND k.agent = a.id AND k.role = 'receiver')
       AND (mulberry_internal.voice_key_problem(a.tenant, a.id) IS NOT NULL OR a.phone IS NULL
            OR mulberry_internal.telephony_problem(a.tenant) IS NOT NULL);
    status := CASE WHEN number = 0 THEN 'ok' ELSE 'warning' END;
    detail := CASE WHEN number = 0 THEN 'every agent with a mandate can be phoned'
                   ELSE format('%s agents with mandates cannot be phoned', number) END;
    hint := CASE WHEN number > 0 THEN 'They need a voice key that was exported, a telephone number, and an endpoint for telephony of '
        'their tenant.' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_commands() IS
    'health of commands to agents: those that wait for a person or for too long, and agents that could not be phoned';
