-- What each access may use of this folder; see mulberry_internal.access_rules().
CREATE OR REPLACE FUNCTION access_rules_events() RETURNS TABLE (object text, privilege text, accesses text)
LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('subscribe', 'EXECUTE', 'supervisor'),
    ('unsubscribe', 'EXECUTE', 'supervisor'),
    ('events_since', 'EXECUTE', 'supervisor auditor'),
    ('event_kinds', 'EXECUTE', 'supervisor auditor'),
    ('event_fields', 'EXECUTE', 'supervisor auditor'),
    ('number_events', 'EXECUTE', 'worker'),
    ('number_events_singly', 'EXECUTE', 'worker'),
    ('notifier_channels', 'EXECUTE', 'worker'),
    ('rotate_lost_channels', 'EXECUTE', 'worker'),
    ('purge_events', 'EXECUTE', 'worker')
$$;
COMMENT ON FUNCTION access_rules_events() IS 'which access needs which object of events';
