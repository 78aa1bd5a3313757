-- What each access may use of this folder; see mulberry_internal.access_rules().  A gateway erases for those whom it
-- works for (authenticate()): the function asks for admin access itself.
CREATE OR REPLACE FUNCTION access_rules_calls() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('begin_call', 'EXECUTE', 'ingest'),
    ('describe_call', 'EXECUTE', 'ingest operator'),
    ('calls', 'EXECUTE', 'supervisor'),
    ('ingest_packet', 'EXECUTE', 'ingest'),
    ('ingest_packets', 'EXECUTE', 'ingest'),
    ('ingest_recording', 'EXECUTE', 'ingest'),
    ('complete_call', 'EXECUTE', 'ingest operator'),
    ('call_status', 'SELECT', 'ingest supervisor auditor'),
    ('call_tracks', 'SELECT', 'ingest supervisor auditor'),
    ('call_progress', 'EXECUTE', 'ingest supervisor auditor'),
    ('call_packets', 'SELECT', 'supervisor'),
    ('call_audio', 'EXECUTE', 'supervisor'),
    ('call_audio_part', 'EXECUTE', 'supervisor'),
    ('call_audio_stereo', 'EXECUTE', 'supervisor'),
    ('call_audio_mixed', 'EXECUTE', 'supervisor'),
    ('call_gaps', 'EXECUTE', 'supervisor'),
    ('call_dtmf', 'EXECUTE', 'supervisor'),
    ('call_speech', 'EXECUTE', 'supervisor'),
    ('call_waveform', 'EXECUTE', 'supervisor'),
    ('call_segments', 'EXECUTE', 'supervisor auditor'),
    ('call_transcript', 'EXECUTE', 'supervisor auditor'),
    ('search_calls', 'EXECUTE', 'supervisor auditor'),
    ('erase_call', 'EXECUTE', 'admin gateway'),
    ('retention', 'EXECUTE', 'admin worker'),
    ('complete_silent_call', 'EXECUTE', 'worker'),
    ('start_processing', 'EXECUTE', 'worker'),
    ('finish_call', 'EXECUTE', 'worker'),
    ('transcription_input', 'EXECUTE', 'worker'),
    ('finish_transcription', 'EXECUTE', 'worker'),
    ('finish_sentiment', 'EXECUTE', 'worker'),
    ('fail_call', 'EXECUTE', 'worker'),
    ('keep_segments', 'EXECUTE', 'worker'),
    ('sentiment', 'EXECUTE', 'supervisor auditor gateway worker')
$$;
COMMENT ON FUNCTION access_rules_calls() IS 'which access needs which object of calls';
