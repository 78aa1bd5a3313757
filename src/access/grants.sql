-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_access() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('current_tenants', 'EXECUTE', 'ingest supervisor auditor gateway worker monitor agent'),
    ('held_access', 'EXECUTE', 'ingest supervisor auditor gateway worker monitor agent'),
    ('has_access_everywhere', 'EXECUTE', 'auditor admin'),
    ('everywhere_through_views', 'EXECUTE', 'auditor admin'),
    ('tenant_access', 'SELECT', 'ingest supervisor auditor gateway worker monitor agent'),
    ('memberships', 'SELECT', 'auditor admin'),
    ('tokens', 'SELECT', 'auditor admin'),
    ('create_tenant', 'EXECUTE', 'admin'),
    ('alter_tenant', 'EXECUTE', 'admin'),
    ('drop_tenant', 'EXECUTE', 'admin'),
    ('grant_access', 'EXECUTE', 'admin'),
    ('revoke_access', 'EXECUTE', 'admin'),
    ('refresh_grants', 'EXECUTE', 'admin'),
    ('access_objects', 'EXECUTE', 'auditor admin')
$$;
COMMENT ON FUNCTION access_rules_access() IS 'which access needs which object of access';
