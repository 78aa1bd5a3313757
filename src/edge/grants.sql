-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_edge() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('handle_command_symbols', 'EXECUTE', 'operator gateway'),
    ('handle_call_audio', 'EXECUTE', 'operator gateway'),
    ('apply_agent_sync', 'EXECUTE', 'operator gateway'),
    ('report_edge_status', 'EXECUTE', 'ingest operator'),
    ('edge_status', 'SELECT', 'operator auditor ingest')
$$;
COMMENT ON FUNCTION access_rules_edge() IS 'which access needs which object of edge';
