-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_conversation() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('set_conversation', 'EXECUTE', 'admin'),
    ('conversation_numbers', 'EXECUTE', 'supervisor admin'),
    ('begin_conversation', 'EXECUTE', 'gateway'),
    ('log_conversation', 'EXECUTE', 'gateway'),
    ('prepare_reply', 'EXECUTE', 'gateway'),
    ('note_lines', 'EXECUTE', 'gateway'),
    ('call_tool', 'EXECUTE', 'gateway'),
    ('find_speech', 'EXECUTE', 'gateway'),
    ('keep_speech', 'EXECUTE', 'gateway'),
    ('conversation_lines', 'SELECT', 'supervisor auditor'),
    ('say_in_call', 'EXECUTE', 'supervisor'),
    ('whisper_to_agent', 'EXECUTE', 'supervisor'),
    ('take_over_call', 'EXECUTE', 'supervisor'),
    ('end_call', 'EXECUTE', 'supervisor'),
    ('listen_to_call', 'EXECUTE', 'supervisor'),
    ('read_call_orders', 'EXECUTE', 'gateway'),
    ('replay_turns', 'EXECUTE', 'supervisor auditor'),
    ('turn_report', 'EXECUTE', 'supervisor auditor'),
    ('conversation_report', 'EXECUTE', 'supervisor auditor')
$$;
COMMENT ON FUNCTION access_rules_conversation() IS 'which access needs which object of conversation';
