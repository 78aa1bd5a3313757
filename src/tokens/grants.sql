-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_tokens() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('authenticate', 'EXECUTE', 'gateway'),
    ('authenticate_anonymous', 'EXECUTE', 'gateway'),
    ('require_authentication', 'EXECUTE', 'gateway'),
    ('note_token_uses', 'EXECUTE', 'gateway'),
    ('create_token', 'EXECUTE', 'admin'),
    ('revoke_token', 'EXECUTE', 'admin')
$$;
COMMENT ON FUNCTION access_rules_tokens() IS 'which access needs which object of tokens';
