-- The kinds: one definition each, which everything that branches on a kind reads.
\set SHOW_CONTEXT never

-- Jobs and endpoints.
SELECT kind, purpose, subject, text_is_result, retriable, persistent FROM mulberry.job_kinds();
SELECT kind, purpose, default_url, takes_text, needs_model, options FROM mulberry.endpoint_kinds();
SELECT kind, mulberry.job_purpose(kind) = purpose AS purpose, (mulberry_internal.job_kind(kind)).subject = subject AS subject
  FROM mulberry.job_kinds();
SELECT mulberry.job_purpose('dance') IS NULL AS no_kind;
SELECT mulberry_internal.job_kind('dance');

-- Some kind of endpoint serves every kind of job.
SELECT j.kind AS unserved FROM mulberry.job_kinds() j
 WHERE NOT EXISTS (SELECT FROM mulberry.endpoint_kinds() e WHERE e.purpose = j.purpose);

-- What an endpoint may be the default of; set_endpoint() and the table agree.
SELECT k.kind, p.purpose, mulberry_internal.endpoint_serves(k.kind, p.purpose) AS serves
  FROM unnest(ARRAY['openai', 'json', 'twilio', 'dance']) WITH ORDINALITY AS k (kind, a)
 CROSS JOIN unnest(ARRAY['transcription', 'chat', 'telephony', 'escalation', 'dance', NULL]) WITH ORDINALITY AS p (purpose, b)
 ORDER BY a, b;
SELECT mulberry.set_endpoint('e', 'dance', 'https://e.example');
SELECT mulberry.set_endpoint('e', 'json', 'https://e.example', purpose => 'dance');
SELECT mulberry.set_endpoint('e', 'json', 'https://e.example', purpose => 'escalation');
SELECT mulberry.set_endpoint('e', 'json', 'https://e.example', purpose => 'telephony');
SELECT mulberry.set_endpoint('e', 'twilio', purpose => 'chat');
SELECT mulberry.set_endpoint('e', 'openai', 'https://e.example', purpose => 'chat');
SELECT mulberry.set_endpoint('e', 'openai');
\set VERBOSITY terse
INSERT INTO mulberry_internal.endpoints (name, kind, base_url) VALUES ('e', 'dance', 'https://e.example');
INSERT INTO mulberry_internal.endpoints (name, kind, base_url, purpose) VALUES ('e', 'json', 'https://e.example', 'telephony');

-- Nor is there a job of another kind.
INSERT INTO mulberry_internal.job_queue (kind, tenant, run_at, max_attempts)
SELECT 'dance', id, now(), 1 FROM mulberry_internal.tenants WHERE name = 'default';
SELECT mulberry_internal.enqueue_job('dance', (SELECT id FROM mulberry_internal.tenants WHERE name = 'default'));

-- Commands.
\set VERBOSITY default
SELECT command, code, has_mandate AS mandate, least_argument AS least, most_argument AS most, changes_registry AS changes, sets_status, urgent,
       final, adds_up, challenged, asks
  FROM mulberry.command_kinds();
SELECT command, announcement, done, confirmation, mulberry_internal.confirms(command, 'The mandate ' || done) AS done_confirms
  FROM mulberry.command_kinds();
SELECT k.command, (mulberry_internal.command_kind(k.command)).urgent = k.urgent AS same, mulberry_internal.command_reversible(k.command) AS reversible
  FROM mulberry.command_kinds() k;
SELECT mulberry_internal.command_kind('DANCE');
SELECT mulberry_internal.command_kind(NULL) IS NULL AS of_nothing;
SELECT c.command, c.mandate, c.argument, mulberry_internal.command_means_something(c.command, c.mandate, c.argument) AS taken
  FROM (VALUES ('REVOKE', '12345678', 0), ('REVOKE', NULL, 0), ('REVOKE', '12345678', 1), ('EXTEND', '12345678', 0), ('EXTEND', '12345678', 1),
               ('EXTEND', '12345678', 99), ('EXTEND', '12345678', 100), ('PING', NULL, 0), ('PING', '00000000', 0), ('DANCE', '12345678', 0),
               (NULL, NULL, 0)) AS c (command, mandate, argument);
SELECT count(*) AS commands, count(DISTINCT code) AS codes, count(*) FILTER (WHERE code !~ '^\d\d$') AS without_code FROM mulberry.command_kinds();

-- Events: those that are stored are checked, name and fields.
SELECT subject, delivery, string_agg(event || CASE WHEN evidence THEN ' (evidence)' ELSE '' END, ', ' ORDER BY place) AS events
  FROM (SELECT k.*, row_number() OVER () AS place FROM mulberry.event_kinds() k) AS k GROUP BY subject, delivery ORDER BY min(place);
SELECT count(*) AS events, count(DISTINCT event) AS names FROM mulberry.event_kinds();
SELECT event, field AS field_twice FROM mulberry.event_fields() GROUP BY event, field HAVING count(*) > 1;
SELECT f.event AS of_no_event FROM mulberry.event_fields() f WHERE f.event NOT IN (SELECT k.event FROM mulberry.event_kinds() k);
SELECT field AS own_field FROM mulberry.event_fields() WHERE field IN ('event', 'call_id', 'tenant', 'seq', 'prev', 'truncated');
CREATE FUNCTION pg_temp.emit(event text, payload jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mulberry_internal.emit_event((SELECT id FROM mulberry_internal.tenants WHERE name = 'default'), event, NULL, NULL, payload);
    RAISE EXCEPTION 'taken' USING ERRCODE = 'ZZZZZ';
EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
    RETURN 'taken';
WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT event, payload, pg_temp.emit(event, payload) FROM (VALUES
    ('ai_failed', '{"reason": "busy"}'::jsonb), ('ai_failed', '{}'), ('ai_failed', '{"reason": null}'), ('ai_failed', '{"reason": 7}'),
    ('ai_failed', '{"reason": "busy", "more": 1}'), ('ai_vanished', '{}'), ('resync', '{"dropped": 1}'),
    ('endpoint_available', '{"endpoint": "e"}'), ('endpoint_available', '{"endpoint": "e", "error": null}'),
    ('command_displaced', '{"command_id": 1, "command": "PING", "agent": "a", "state": "waiting", "attempts": 0}'),
    ('command_displaced', '{"command_id": 1, "command": "PING", "agent": "a", "state": "waiting"}'),
    ('command_displaced', '{"command_id": 1, "command": "PING", "agent": "a", "state": "waiting", "attempts": 0, "caller": "+1"}'),
    ('command_challenged', '{"command_id": 1, "command": "PING", "agent": "a", "state": "waiting", "attempts": 0, "caller": "+1"}'),
    ('command_challenged', '{"command_id": "1", "command": "PING", "agent": "a", "state": "waiting", "attempts": 0, "caller": "+1"}'),
    ('ai_completed', '{"transcription": "", "missing_packets": 0, "missing_ranges": []}'),
    ('ai_completed', '{"transcription": "", "missing_packets": 0, "missing_ranges": {}}'),
    ('escalated', '{"command_id": 1, "command": "PING", "agent": "a", "state": "escalated", "attempts": 0, "error": "e", "spoken": {}}'),
    ('escalated', '{"command_id": 1, "command": "PING", "agent": "a", "state": "escalated", "attempts": 0, "error": "e", "spoken": []}'),
    ('command_queued', '{"command_id": 1, "command": "PING", "agent": "a", "state": "waiting", "attempts": 0, "force_voice": true}'),
    ('command_queued', '{"command_id": 1, "command": "PING", "agent": "a", "state": "waiting", "attempts": 0, "force_voice": "yes"}')
) AS e (event, payload);
