-- What each access may use of this folder; see mulberry_internal.access_rules().  A gateway calls what operators may for
-- those whom it works for (authenticate()): the functions ask for operator access themselves.
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
    ('revoke_mandate', 'EXECUTE', 'operator gateway'),
    ('suspend_mandate', 'EXECUTE', 'operator gateway'),
    ('resume_mandate', 'EXECUTE', 'operator gateway'),
    ('extend_mandate', 'EXECUTE', 'operator gateway'),
    ('query_mandate', 'EXECUTE', 'operator gateway'),
    ('ping_agent', 'EXECUTE', 'operator gateway'),
    ('cancel_command', 'EXECUTE', 'operator gateway'),
    ('retry_command', 'EXECUTE', 'operator gateway'),
    ('await_command', 'EXECUTE', 'operator'),
    ('command_status', 'SELECT', 'supervisor auditor'),
    ('agent_sync', 'EXECUTE', 'agent')
$$;
COMMENT ON FUNCTION access_rules_commands() IS 'which access needs which object of commands';
