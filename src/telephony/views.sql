CREATE OR REPLACE VIEW mulberry.voice_call_status WITH (security_barrier) AS
    SELECT v.id, t.name AS tenant, v.purpose, v.command AS command_id, c.command, c.mandate AS mandate_id, a.name AS agent, v.attempt,
           v.to_number, v.from_number, v.state, v.sid AS call_sid, v.answered_by, v.acknowledged, v.outcome, v.detail, v.transcript,
           v.due_at, v.requested_at, v.answered_at, v.ended_at, v.finished_at
      FROM mulberry_internal.voice_calls v
      JOIN mulberry_internal.tenants t ON t.id = v.tenant
      JOIN mulberry_internal.commands c ON c.id = v.command
      JOIN mulberry_internal.agents a ON a.tenant = c.tenant AND a.id = c.agent
     WHERE v.tenant = ANY ((SELECT mulberry.current_tenants(true, 'operator', 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.voice_call_status IS
    'telephone calls for commands, and to the contacts of escalations: where each stands and what it brought';
