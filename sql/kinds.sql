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
