-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_commands() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('command_generate', 'EXECUTE', 'operator gateway worker'),
    ('command_verify', 'EXECUTE', 'operator auditor gateway worker'),
    ('command_kinds', 'EXECUTE', 'supervisor auditor gateway worker'),
    ('command_frame_parse', 'EXECUTE', 'supervisor auditor gateway worker'),
    ('ack_frame_parse', 'EXECUTE', 'supervisor auditor gateway worker'),
    ('command_frame', 'EXECUTE', 'operator gateway'),
    ('advance_counters', 'EXECUTE', 'admin'),
    ('revoke_mandate', 'EXECUTE', 'operator'),
    ('suspend_mandate', 'EXECUTE', 'operator'),
    ('resume_mandate', 'EXECUTE', 'operator'),
    ('extend_mandate', 'EXECUTE', 'operator'),
    ('query_mandate', 'EXECUTE', 'operator'),
    ('ping_agent', 'EXECUTE', 'operator'),
    ('cancel_command', 'EXECUTE', 'operator'),
    ('retry_command', 'EXECUTE', 'operator'),
    ('await_command', 'EXECUTE', 'operator'),
    ('command_status', 'SELECT', 'supervisor auditor'),
    ('agent_sync', 'EXECUTE', 'gateway')
$$;
COMMENT ON FUNCTION access_rules_commands() IS 'which access needs which object of commands';
