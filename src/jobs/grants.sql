-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_jobs() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('jobs', 'SELECT', 'operator auditor admin'),
    ('job_summary', 'SELECT', 'operator auditor admin'),
    ('endpoint_status', 'SELECT', 'operator auditor admin'),
    ('stat_workers', 'SELECT', 'operator auditor admin monitor'),
    ('job_purpose', 'EXECUTE', 'operator auditor admin'),
    ('job_kinds', 'EXECUTE', 'operator auditor admin'),
    ('endpoint_kinds', 'EXECUTE', 'operator auditor admin'),
    ('retry_job', 'EXECUTE', 'operator'),
    ('retry_jobs', 'EXECUTE', 'operator'),
    ('cancel_job', 'EXECUTE', 'operator'),
    ('set_endpoint', 'EXECUTE', 'admin'),
    ('alter_endpoint', 'EXECUTE', 'admin'),
    ('drop_endpoint', 'EXECUTE', 'admin'),
    ('claim_jobs', 'EXECUTE', 'worker'),
    ('sift_jobs', 'EXECUTE', 'worker'),
    ('next_job_due', 'EXECUTE', 'worker'),
    ('prepare_job', 'EXECUTE', 'worker'),
    ('fail_attempt', 'EXECUTE', 'worker'),
    ('release_jobs', 'EXECUTE', 'worker'),
    ('report_endpoint', 'EXECUTE', 'worker'),
    ('report_probe', 'EXECUTE', 'worker'),
    ('report_served', 'EXECUTE', 'worker'),
    ('note_objections', 'EXECUTE', 'worker'),
    ('note_division', 'EXECUTE', 'worker'),
    ('save_progress', 'EXECUTE', 'worker'),
    ('run_jobs', 'EXECUTE', 'worker')
$$;
COMMENT ON FUNCTION access_rules_jobs() IS 'which access needs which object of jobs';
