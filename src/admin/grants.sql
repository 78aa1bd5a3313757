-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_admin() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('maintenance', 'EXECUTE', 'admin worker'),
    ('maintenance_due', 'EXECUTE', 'worker'),
    ('test_endpoint', 'EXECUTE', 'admin'),
    ('start_endpoint_test', 'EXECUTE', 'admin'),
    ('endpoint_test', 'EXECUTE', 'admin'),
    ('test_input', 'EXECUTE', 'worker'),
    ('finish_test', 'EXECUTE', 'worker'),
    ('health', 'EXECUTE', 'operator auditor gateway worker monitor'),
    ('resume_outbound', 'EXECUTE', 'admin'),
    ('drop_agent', 'EXECUTE', 'admin'),
    ('voice_key_status', 'SELECT', 'operator auditor'),
    ('voice_key_modes', 'EXECUTE', 'operator auditor')
$$;
COMMENT ON FUNCTION access_rules_admin() IS 'which access needs which object of admin';
