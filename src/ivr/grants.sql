-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_ivr() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('set_telephony', 'EXECUTE', 'admin'),
    ('alter_telephony', 'EXECUTE', 'admin'),
    ('preview_call', 'EXECUTE', 'supervisor admin'),
    ('handle_twilio_request', 'EXECUTE', 'gateway'),
    ('emergency_words', 'EXECUTE', 'supervisor gateway admin'),
    ('detect_emergency', 'EXECUTE', 'supervisor gateway admin'),
    ('note_partial', 'EXECUTE', 'gateway'),
    ('set_prompt', 'EXECUTE', 'admin'),
    ('prompt_status', 'SELECT', 'supervisor admin'),
    ('offer_media', 'EXECUTE', 'ingest'),
    ('media_next', 'EXECUTE', 'ingest'),
    ('check_media_handshake', 'EXECUTE', 'gateway'),
    ('begin_media', 'EXECUTE', 'gateway'),
    ('press_media_key', 'EXECUTE', 'gateway'),
    ('end_media', 'EXECUTE', 'gateway'),
    ('leave_media', 'EXECUTE', 'gateway'),
    ('media_session_status', 'SELECT', 'supervisor auditor'),
    ('telephony_sessions', 'EXECUTE', 'supervisor operator auditor'),
    ('active_telephone_calls', 'EXECUTE', 'gateway monitor'),
    ('inbound_call_status', 'SELECT', 'supervisor auditor'),
    ('emergency_status', 'SELECT', 'supervisor auditor'),
    ('telephony_status', 'SELECT', 'supervisor auditor admin'),
    ('phone_number_status', 'SELECT', 'supervisor auditor admin')
$$;
COMMENT ON FUNCTION access_rules_ivr() IS 'which access needs which object of ivr';
