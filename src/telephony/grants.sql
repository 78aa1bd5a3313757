-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_telephony() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('telephony_step', 'EXECUTE', 'worker'),
    ('telephony_answer', 'EXECUTE', 'worker'),
    ('recording_input', 'EXECUTE', 'worker'),
    ('finish_listening', 'EXECUTE', 'worker'),
    ('handle_twilio_webhook', 'EXECUTE', 'gateway'),
    ('voice_call_status', 'SELECT', 'operator auditor'),
    ('set_escalation_contact', 'EXECUTE', 'admin'),
    ('escalation_contact_status', 'SELECT', 'operator auditor admin')
$$;
COMMENT ON FUNCTION access_rules_telephony() IS 'which access needs which object of telephony';
