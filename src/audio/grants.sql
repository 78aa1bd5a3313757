-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_audio() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('audio_convert', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('wav_encode', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('wav_decode', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('audio_level', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('audio_level_agg', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('speech_segments', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('waveform_svg', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('dtmf_decode', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('dtmf_decode_agg', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('dtmf_detect', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('dtmf_synthesize', 'EXECUTE', 'ingest supervisor auditor gateway worker')
$$;
COMMENT ON FUNCTION access_rules_audio() IS 'which access needs which object of audio';
