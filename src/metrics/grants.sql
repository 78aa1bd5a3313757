-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_metrics() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('metric_kinds', 'EXECUTE', 'operator auditor admin monitor'),
    ('metrics', 'EXECUTE', 'operator auditor admin monitor'),
    ('metrics_text', 'EXECUTE', 'operator auditor admin monitor')
$$;
COMMENT ON FUNCTION access_rules_metrics() IS 'which access needs which object of metrics';
