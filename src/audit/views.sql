CREATE OR REPLACE VIEW mulberry.audit_log WITH (security_barrier) AS
    SELECT t.name AS tenant, a.seq, a.at, a.role, a.action, a.outcome, a.method, a.mandate AS mandate_id,
           g.name AS agent, a.agent AS agent_id, a.command AS command_id, a.evidence, encode(a.hash, 'hex') AS hash, a.id
      FROM audit a
      JOIN tenants t ON t.id = a.tenant
      LEFT JOIN agents g ON g.tenant = a.tenant AND g.id = a.agent
     WHERE a.tenant = ANY ((SELECT current_tenants(true, 'auditor'))::uuid[]);
COMMENT ON VIEW mulberry.audit_log IS 'who did what, when, with which outcome, by which way, and on which evidence';
COMMENT ON COLUMN mulberry.audit_log.seq IS 'number in the tenant''s log, without gaps; null for a moment after commit';
COMMENT ON COLUMN mulberry.audit_log.role IS 'the database role that asked';
COMMENT ON COLUMN mulberry.audit_log.agent IS 'its name now; null when it has been dropped';
COMMENT ON COLUMN mulberry.audit_log.evidence IS 'what the decision rests on; amounts and times as they were then';
COMMENT ON COLUMN mulberry.audit_log.hash IS 'SHA-256 of the row and the hash before it';
