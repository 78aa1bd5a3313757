-- What is known about commands.

CREATE OR REPLACE VIEW command_states WITH (security_barrier) AS
    SELECT c.id AS command_id, c.tenant, a.name AS agent, c.command, c.mandate AS mandate_id, c.argument, c.state,
           CASE c.state WHEN 'confirmed' THEN 'success' WHEN 'refused' THEN 'failed'
                        WHEN 'escalated' THEN 'escalated' WHEN 'cancelled' THEN 'cancelled' ELSE 'pending' END AS status,
           coalesce(c.method, 'none') AS method, c.state = 'confirmed' AS confirmed, v.sid AS call_sid, v.state AS call_state,
           c.attempts, c.key_id, c.counter, c.signatures, ack.status AS acknowledgement, ack.mandate_state, m.status AS registry_status,
           c.reason, c.requester, c.force_voice, c.evidence, c.error, c.created_at, c.signed_at, c.voice_at, c.challenged_at,
           c.escalated_at, c.finished_at,
           -- in the form in which the original answered
           jsonb_build_object('status', CASE c.state WHEN 'confirmed' THEN 'success' WHEN 'refused' THEN 'failed'
                                                     WHEN 'escalated' THEN 'escalated' WHEN 'cancelled' THEN 'cancelled' ELSE 'pending' END,
                              'method', coalesce(c.method, 'none'), 'command_id', c.id, 'command', c.command,
                              'mandate_id', c.mandate, 'agent', a.name, 'call_sid', v.sid, 'confirmed', c.state = 'confirmed',
                              'attempts', c.attempts)
           || jsonb_strip_nulls(jsonb_build_object(
                  'error', c.error, 'registry_status', m.status,
                  'acknowledgement', CASE WHEN c.state IN ('confirmed', 'refused') THEN ack.status END,
                  'mandate_status', CASE WHEN c.state IN ('confirmed', 'refused') THEN nullif(ack.mandate_state, 'NONE') END,
                  'retry_scheduled', CASE WHEN c.state = 'outstanding' AND c.error IS NOT NULL THEN true END,
                  'latency', CASE WHEN c.state = 'confirmed' THEN round(extract(epoch FROM c.finished_at - c.created_at), 3) END)) AS answer
      FROM commands c
      JOIN agents a ON a.tenant = c.tenant AND a.id = c.agent
      LEFT JOIN mandates m ON m.tenant = c.tenant AND m.id = c.mandate
      LEFT JOIN LATERAL (SELECT x.sid, x.state FROM voice_calls x
                          WHERE x.command = c.id AND x.purpose = 'command' AND x.sid IS NOT NULL ORDER BY x.attempt DESC LIMIT 1) AS v
                              ON true
     CROSS JOIN LATERAL ack_frame_parse(coalesce(c.ack_frame, '')) AS ack;
COMMENT ON VIEW command_states IS 'commands of all tenants, for command_status and functions that have asked for access (internal)';

CREATE OR REPLACE FUNCTION answer_of_command(command bigint) RETURNS jsonb
-- not STABLE: it must see what the expression that calls it has done
LANGUAGE sql VOLATILE
AS $$
    SELECT s.answer FROM mulberry_internal.command_states s WHERE s.command_id = $1
$$;
COMMENT ON FUNCTION answer_of_command(bigint) IS 'a command in the form in which the original answered (internal)';

CREATE OR REPLACE VIEW mulberry.command_status WITH (security_barrier) AS
    SELECT s.command_id, t.name AS tenant, s.agent, s.command, s.mandate_id, s.argument, s.state, s.status, s.method,
           s.confirmed, s.call_sid, s.call_state, s.attempts, s.key_id, s.counter, s.signatures, s.acknowledgement,
           s.mandate_state, s.registry_status, s.reason, s.requester, s.force_voice, s.evidence, s.error, s.created_at,
           s.signed_at, s.voice_at, s.challenged_at, s.escalated_at, s.finished_at, s.answer
      FROM command_states s
      JOIN tenants t ON t.id = s.tenant
     WHERE s.tenant = ANY ((SELECT current_tenants(true, 'supervisor', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.command_status IS 'commands to agents of the tenants that one may see, and what became of them';
COMMENT ON COLUMN mulberry.command_status.state IS
    'waiting for its turn; outstanding: on its way; confirmed or refused by the agent; escalated: a person must act; cancelled';
COMMENT ON COLUMN mulberry.command_status.status IS 'the same as answers say it: pending, success, failed, escalated, cancelled';
COMMENT ON COLUMN mulberry.command_status.method IS 'api or voice: path of the answer, or the one that is being tried; none';
COMMENT ON COLUMN mulberry.command_status.call_sid IS 'Twilio''s name of the last call that was placed for it';
COMMENT ON COLUMN mulberry.command_status.mandate_state IS 'state of the mandate on the agent, by its answer; registry_status is ours';
COMMENT ON COLUMN mulberry.command_status.answer IS 'what await_command() returns';
COMMENT ON COLUMN mulberry.command_status.voice_at IS 'when the agent is phoned, if it has not answered by then';
