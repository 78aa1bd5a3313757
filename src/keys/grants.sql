-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_keys() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('create_voice_key', 'EXECUTE', 'admin'),
    ('rotate_voice_key', 'EXECUTE', 'admin'),
    ('confirm_voice_key', 'EXECUTE', 'admin'),
    ('disable_voice_key', 'EXECUTE', 'admin'),
    ('export_voice_key', 'EXECUTE', 'admin'),
    ('allow_voice_key_export', 'EXECUTE', 'admin'),
    ('mark_voice_key_exported', 'EXECUTE', 'admin'),
    ('take_exported_voice_key', 'EXECUTE', 'admin'),
    ('voice_key_entry', 'INSERT', 'admin')
$$;
COMMENT ON FUNCTION access_rules_keys() IS 'which access needs which object of keys';
