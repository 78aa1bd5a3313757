-- What each access may use of this folder; see mulberry_internal.access_rules().  A gateway creates and alters for those whom it works for.
CREATE OR REPLACE FUNCTION access_rules_mandates() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('create_agent', 'EXECUTE', 'admin'),
    ('alter_agent', 'EXECUTE', 'admin'),
    ('agent_status', 'SELECT', 'operator auditor gateway'),
    ('create_mandate', 'EXECUTE', 'operator gateway'),
    ('alter_mandate', 'EXECUTE', 'operator gateway'),
    ('check_mandate', 'EXECUTE', 'operator gateway'),
    ('spend', 'EXECUTE', 'operator gateway'),
    ('mandate_status', 'SELECT', 'operator auditor gateway'),
    ('mandate_history', 'SELECT', 'operator auditor gateway'),
    ('reset_mandate_clock', 'EXECUTE', 'admin'),
    ('mandate_spendings', 'SELECT', 'operator auditor gateway')
$$;
COMMENT ON FUNCTION access_rules_mandates() IS 'which access needs which object of mandates';
