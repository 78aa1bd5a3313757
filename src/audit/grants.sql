-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_audit() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('audit_log', 'SELECT', 'auditor'),
    ('verify_audit', 'EXECUTE', 'auditor'),
    ('audit_head', 'EXECUTE', 'auditor'),
    ('erase_audit_log', 'EXECUTE', 'admin'),
    ('link_audit', 'EXECUTE', 'worker'),
    ('link_audit_soon', 'EXECUTE', 'worker'),
    ('store_refusals', 'EXECUTE', 'worker')
$$;
COMMENT ON FUNCTION access_rules_audit() IS 'which access needs which object of audit';
