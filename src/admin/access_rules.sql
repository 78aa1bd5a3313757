-- What each access may use: an object of the schema (all functions of that name,
-- or the view) and the accesses that need it, without those that include them
-- (access_includes).  Each part adds its own lines; what is not named here is
-- for the owner alone.
CREATE OR REPLACE FUNCTION access_rules() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, mulberry, pg_temp AS $$
    VALUES
    -- tenants and access
    ('current_tenants', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('held_access', 'EXECUTE', 'ingest supervisor auditor gateway worker'),
    ('has_access_everywhere', 'EXECUTE', 'auditor admin'),
    ('tenant_access', 'SELECT', 'ingest supervisor auditor gateway worker'),
    ('memberships', 'SELECT', 'auditor admin'),
    ('create_tenant', 'EXECUTE', 'admin'),
    ('alter_tenant', 'EXECUTE', 'admin'),
    ('drop_tenant', 'EXECUTE', 'admin'),
    ('grant_access', 'EXECUTE', 'admin'),
    ('revoke_access', 'EXECUTE', 'admin'),
    ('refresh_grants', 'EXECUTE', 'admin'),
    ('resume_outbound', 'EXECUTE', 'admin'),
    ('outbound_allowed', 'EXECUTE', 'operator auditor worker'),
    ('secret_entry', 'INSERT', 'admin'),
    ('secret_names', 'SELECT', 'admin'),
    ('load_secret', 'EXECUTE', 'admin'),
    ('drop_secret', 'EXECUTE', 'admin'),
    ('rotate_secret_key', 'EXECUTE', 'admin'),
    ('forget_secret_keys', 'EXECUTE', 'admin'),
    -- calls and packets
    ('ingest_packet', 'EXECUTE', 'ingest'),
    ('ingest_packets', 'EXECUTE', 'ingest'),
    ('complete_call', 'EXECUTE', 'ingest operator'),
    ('call_status', 'SELECT', 'ingest supervisor auditor'),
    ('call_packets', 'SELECT', 'supervisor'),
    ('call_audio', 'EXECUTE', 'supervisor'),
    ('call_gaps', 'EXECUTE', 'supervisor'),
    ('call_dtmf', 'EXECUTE', 'supervisor'),
    ('erase_call', 'EXECUTE', 'admin'),
    ('retention', 'EXECUTE', 'admin worker'),
    ('maintenance', 'EXECUTE', 'admin worker'),
    ('complete_silent_call', 'EXECUTE', 'worker'),
    ('start_processing', 'EXECUTE', 'worker'),
    ('finish_call', 'EXECUTE', 'worker'),
    ('fail_call', 'EXECUTE', 'worker'),

    -- events
    ('subscribe', 'EXECUTE', 'supervisor'),
    ('unsubscribe', 'EXECUTE', 'supervisor'),
    ('unlisten_channel', 'EXECUTE', 'supervisor'),
    ('remembered_channels', 'EXECUTE', 'supervisor'),
    ('events_since', 'EXECUTE', 'supervisor auditor'),
    ('notifier_lives', 'EXECUTE', 'supervisor auditor'),
    ('number_events', 'EXECUTE', 'worker'),
    ('notifier_channels', 'EXECUTE', 'worker'),
    ('rotate_lost_channels', 'EXECUTE', 'worker'),
    ('purge_events', 'EXECUTE', 'worker'),

    -- jobs and endpoints
    ('jobs', 'SELECT', 'operator auditor admin'),
    ('job_summary', 'SELECT', 'operator auditor admin'),
    ('endpoint_status', 'SELECT', 'operator auditor admin'),
    ('stat_workers', 'SELECT', 'operator auditor admin'),
    ('process_statistics', 'EXECUTE', 'operator auditor admin'),
    ('job_purpose', 'EXECUTE', 'operator auditor admin'),
    ('retry_job', 'EXECUTE', 'operator'),
    ('cancel_job', 'EXECUTE', 'operator'),
    ('set_endpoint', 'EXECUTE', 'admin'),
    ('drop_endpoint', 'EXECUTE', 'admin'),
    ('claim_jobs', 'EXECUTE', 'worker'),
    ('next_job_due', 'EXECUTE', 'worker'),
    ('prepare_job', 'EXECUTE', 'worker'),
    ('fail_attempt', 'EXECUTE', 'worker'),
    ('release_jobs', 'EXECUTE', 'worker'),
    ('report_endpoint', 'EXECUTE', 'worker'),
    ('transcription_input', 'EXECUTE', 'worker'),
    ('read_transcription', 'EXECUTE', 'worker'),
    ('sentiment_request', 'EXECUTE', 'worker'),
    ('read_sentiment', 'EXECUTE', 'worker'),
    ('finish_transcription', 'EXECUTE', 'worker'),
    ('finish_sentiment', 'EXECUTE', 'worker'),
    ('save_progress', 'EXECUTE', 'worker'),
    ('run_jobs', 'EXECUTE', 'worker'),
    ('telephony_step', 'EXECUTE', 'worker'),
    ('telephony_answer', 'EXECUTE', 'worker'),
    ('recording_input', 'EXECUTE', 'worker'),
    ('finish_listening', 'EXECUTE', 'worker'),

    -- audio
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
    ('dtmf_synthesize', 'EXECUTE', 'ingest supervisor auditor gateway worker'),

    -- voice commands
    ('command_generate', 'EXECUTE', 'operator gateway worker'),
    ('command_verify', 'EXECUTE', 'operator auditor gateway worker'),
    ('command_frame_parse', 'EXECUTE', 'supervisor auditor gateway worker'),
    ('ack_frame_parse', 'EXECUTE', 'supervisor auditor gateway worker'),
    ('command_frame', 'EXECUTE', 'operator gateway'),
    ('create_voice_key', 'EXECUTE', 'admin'),
    ('rotate_voice_key', 'EXECUTE', 'admin'),
    ('confirm_voice_key', 'EXECUTE', 'admin'),
    ('disable_voice_key', 'EXECUTE', 'admin'),
    ('export_voice_key', 'EXECUTE', 'admin'),
    ('mark_voice_key_exported', 'EXECUTE', 'admin'),
    ('take_exported_voice_key', 'EXECUTE', 'admin'),
    ('advance_counters', 'EXECUTE', 'admin'),
    ('voice_key_entry', 'INSERT', 'admin'),
    ('handle_command_symbols', 'EXECUTE', 'operator gateway'),
    ('handle_call_audio', 'EXECUTE', 'operator gateway'),
    ('apply_agent_sync', 'EXECUTE', 'operator gateway'),
    ('voice_key_status', 'SELECT', 'operator auditor'),
    ('voice_key_modes', 'EXECUTE', 'operator auditor'),
    ('revoke_mandate', 'EXECUTE', 'operator'),
    ('suspend_mandate', 'EXECUTE', 'operator'),
    ('resume_mandate', 'EXECUTE', 'operator'),
    ('extend_mandate', 'EXECUTE', 'operator'),
    ('query_mandate', 'EXECUTE', 'operator'),
    ('ping_agent', 'EXECUTE', 'operator'),
    ('cancel_command', 'EXECUTE', 'operator'),
    ('retry_command', 'EXECUTE', 'operator'),
    ('await_command', 'EXECUTE', 'operator'),
    ('in_transaction_block', 'EXECUTE', 'operator admin'),
    ('command_status', 'SELECT', 'supervisor auditor'),
    ('agent_sync', 'EXECUTE', 'gateway'),
    ('create_agent', 'EXECUTE', 'admin'),
    ('alter_agent', 'EXECUTE', 'admin'),
    ('drop_agent', 'EXECUTE', 'admin'),
    ('agent_status', 'SELECT', 'operator auditor gateway'),
    ('create_mandate', 'EXECUTE', 'operator'),
    ('alter_mandate', 'EXECUTE', 'operator'),
    ('check_mandate', 'EXECUTE', 'operator gateway'),
    ('spend', 'EXECUTE', 'operator gateway'),
    ('audit_log', 'SELECT', 'auditor'),
    ('verify_audit', 'EXECUTE', 'auditor'),
    ('audit_head', 'EXECUTE', 'auditor'),
    ('erase_audit_log', 'EXECUTE', 'admin'),
    ('link_audit', 'EXECUTE', 'worker'),
    ('link_audit_soon', 'EXECUTE', 'worker'),
    ('store_refusals', 'EXECUTE', 'worker'),
    ('mandate_status', 'SELECT', 'operator auditor gateway'),
    ('mandate_history', 'SELECT', 'operator auditor gateway'),
    ('mandate_spendings', 'SELECT', 'operator auditor gateway'),
    ('handle_twilio_webhook', 'EXECUTE', 'gateway'),
    ('voice_call_status', 'SELECT', 'operator auditor'),
    ('set_escalation_contact', 'EXECUTE', 'admin'),
    ('escalation_contact_status', 'SELECT', 'operator auditor admin'),

    -- administration
    ('sentiment', 'EXECUTE', 'supervisor auditor gateway worker'),
    ('health', 'EXECUTE', 'operator auditor gateway worker'),
    ('access_objects', 'EXECUTE', 'auditor admin')
$$;
COMMENT ON FUNCTION access_rules() IS 'which access needs which object, before included accesses are added';

CREATE OR REPLACE FUNCTION access_objects() RETURNS TABLE (access text, privilege text, object text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, mulberry, pg_temp AS $$
    WITH named AS (
        SELECT p.proname AS name, 'EXECUTE' AS privilege,
               format('%s %s', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
                      format('%I.%I(%s)', 'mulberry', p.proname, pg_get_function_identity_arguments(p.oid))) AS object
          FROM pg_proc p
         WHERE p.pronamespace = 'mulberry'::regnamespace
        UNION ALL
        SELECT c.relname, w.privilege, format('%I.%I', 'mulberry', c.relname)
          FROM pg_class c, (VALUES ('SELECT'), ('INSERT')) AS w (privilege)
         WHERE c.relnamespace = 'mulberry'::regnamespace AND c.relkind = 'v'
    )
    SELECT DISTINCT a.access, n.privilege, n.object
      FROM mulberry.access_rules() r
      JOIN named n ON n.name = r.object AND n.privilege = r.privilege
      JOIN unnest(mulberry.access_names()) AS a (access)
        ON string_to_array(r.accesses, ' ') && mulberry.access_includes(a.access)
$$;
COMMENT ON FUNCTION access_objects() IS
    'what each access may do with which object, included accesses counted: "privilege" ON "object"';
