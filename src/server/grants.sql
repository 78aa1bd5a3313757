-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_server() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('outbound_allowed', 'EXECUTE', 'operator auditor worker'),
    ('state_machines', 'EXECUTE', 'ingest supervisor auditor'),
    ('notifier_lives', 'EXECUTE', 'supervisor auditor'),
    ('process_statistics', 'EXECUTE', 'operator auditor admin monitor'),
    ('in_transaction_block', 'EXECUTE', 'operator admin')
$$;
COMMENT ON FUNCTION access_rules_server() IS 'which access needs which object of server';
