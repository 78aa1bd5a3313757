-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_secrets() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('secret_entry', 'INSERT', 'admin'),
    ('secret_names', 'SELECT', 'admin'),
    ('load_secret', 'EXECUTE', 'admin'),
    ('drop_secret', 'EXECUTE', 'admin'),
    ('rotate_secret_key', 'EXECUTE', 'admin'),
    ('forget_secret_keys', 'EXECUTE', 'admin')
$$;
COMMENT ON FUNCTION access_rules_secrets() IS 'which access needs which object of secrets';
