-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_telephony() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('telephony_step', 'EXECUTE', 'worker'),
    ('telephony_answer', 'EXECUTE', 'worker'),
    ('recording_input', 'EXECUTE', 'worker'),
    ('finish_listening', 'EXECUTE', 'worker'),
    ('twiml', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_say', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_play', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_pause', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_gather', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_record', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_dial', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_connect', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_start_recording', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_redirect', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_reject', 'EXECUTE', 'operator gateway worker admin'),
    ('twiml_hangup', 'EXECUTE', 'operator gateway worker admin'),
    ('twilio_signature', 'EXECUTE', 'operator gateway worker admin'),
    ('twilio_signature_valid', 'EXECUTE', 'operator gateway worker admin'),
    ('handle_twilio_webhook', 'EXECUTE', 'gateway'),
    ('voice_call_status', 'SELECT', 'operator auditor'),
    ('set_escalation_contact', 'EXECUTE', 'admin'),
    ('escalation_contact_status', 'SELECT', 'operator auditor admin')
$$;
COMMENT ON FUNCTION access_rules_telephony() IS 'which access needs which object of telephony';
