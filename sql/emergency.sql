-- Emergencies in what was said: phrases of several languages, whole words in whatever spelling, and not those that are denied.
SET client_min_messages = warning;
\pset tuples_only on
\pset format unaligned
SELECT mulberry.create_tenant('rescue') IS NOT NULL;
SELECT language, count(*) > 10 FROM mulberry.emergency_words() GROUP BY 1 ORDER BY 1;

CREATE FUNCTION pg_temp.hear(said text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(DISTINCT e.language || ': ' || e.phrase, ', ' ORDER BY e.language || ': ' || e.phrase), '-') FROM mulberry.detect_emergency(said, 'rescue') AS e
$$;
-- what is meant, and the same denied, language by language
SELECT said, pg_temp.hear(said), denied, pg_temp.hear(denied)
  FROM (VALUES ('This is an EMERGENCY!', 'this is not an emergency'), ('He is bleeding', 'nobody is bleeding'), (E'I can\u2019t breathe', 'it is not urgent'), ('no this is an emergency', 'I don''t think this is an emergency'),
               ('No, it is urgent', 'no urgent matter'), ('not breathing', 'without a seizure'),
               ('Das ist ein Notfall', 'das ist kein Notfall'), (E'\u00dcBERDOSIS', E'keine \u00fcberdosis'), ('es ist dringend', 'es ist nicht so dringend'), ('Er atmet nicht', E'er ist nicht bewu\u00dftlos'),
               ('c''est une urgence', 'ce n''est pas une urgence'), (E'une h\u00e9morragie', E'sans h\u00e9morragie'), ('es una emergencia', 'no es una emergencia'), ('no puedo respirar', 'no hay ninguna emergencia'),
               (E'\u00e8 un''emergenza', E'non \u00e8 un''emergenza'), (E'\u00e9 uma emerg\u00eancia', E'n\u00e3o \u00e9 uma emerg\u00eancia'), ('spoed', 'geen spoed'), (E'nag\u0142y wypadek', E'to nie jest nag\u0142y wypadek'),
               (E'\u0421\u0420\u041e\u0427\u041d\u041e', E'\u044d\u0442\u043e \u043d\u0435 \u0441\u0440\u043e\u0447\u043d\u043e'), (E'AC\u0130L DURUM', E'acil de\u011fil'), (E'\uc751\uae09 \uc0c1\ud669\uc774\uc5d0\uc694', E'\uc751\uae09 \uc0c1\ud669\uc774 \uc544\ub2c8\uc5d0\uc694'),
               (E'\u7dca\u6025\u4e8b\u614b\u3067\u3059', E'\u7dca\u6025\u3067\u306f\u3042\u308a\u307e\u305b\u3093'), (E'\u8fd9\u662f\u7d27\u6025\u60c5\u51b5', E'\u8fd9\u4e0d\u662f\u7d27\u6025\u60c5\u51b5')) AS v (said, denied);
-- borders of words, clauses, accents by themselves, nothing
SELECT said, pg_temp.hear(said)
  FROM unnest(ARRAY['emergencyroom', 'urgently', 'It is not raining. Emergency!', 'not now, urgent', E'e\u0301mergence', E'in\u00e9mergency', 'not urgent but he is dying', '', NULL, repeat('x ', 50000) || 'poison']) AS v (said) WHERE length(said) < 1000 OR said IS NULL;
SELECT phrase, excerpt FROM mulberry.detect_emergency(repeat('before ', 20) || E'he took p\u00f3ison ' || repeat('after ', 20), 'rescue');
SELECT phrase FROM mulberry.detect_emergency(repeat('x ', 500000) || 'poison', 'rescue');

-- a tenant's own words take the place of the list
SELECT mulberry.set_telephony('{"greeting": "x", "emergency_words": {"en": ["Code Red", "meltdown"], "de": ["Brand"]}, "emergency_number": "+12025550911", "sentences": {"emergency": "Stay where you are."}}', 'rescue');
SELECT said, pg_temp.hear(said) FROM unnest(ARRAY['emergency', 'this is CODE, red', 'this is a code-RED', 'no code red', 'kein Brand', 'Brandschutz', 'brand']) AS v (said);
SELECT mulberry.alter_telephony('{"emergency_words": {}}', 'rescue');
SELECT pg_temp.hear('emergency');
SELECT mulberry.alter_telephony('{"emergency_words": null}', 'rescue');

-- what is stored of a call: by the segments of an engine, once for each phrase however often they are stored
SELECT mulberry.begin_call('talk', 'inbound', '+12025550123', tracks => '{caller,agent}', tenant => 'rescue');
SELECT id AS call FROM mulberry_internal.calls WHERE call_id = 'talk' \gset
SELECT mulberry_internal.put_segments(:call, 0, 0, '[{"text": "Hello, my dog"}, {"text": "can''t"}, {"text": "breathe"}, {"text": "it is not"}, {"text": "urgent"}]');
SELECT mulberry_internal.put_segments(:call, 1, 0, '[{"text": "If this is an emergency, hang up"}]');
SELECT mulberry_internal.put_segments(:call, 0, 0, '[{"text": "Hello, my dog can''t breathe, he is dying"}]');
SELECT mulberry.note_partial('talk', 'he is dying and bleeding', 'caller', 'rescue');
SELECT mulberry.note_partial('talk', 'he is dying and bleeding', 'caller', 'rescue');
SELECT mulberry_internal.require_segments(:call, 0, 'x');
SELECT call_id, phrase, language, source, track FROM mulberry.emergency_status ORDER BY at;
SELECT e.event, c.call_id, e.payload - 'excerpt' FROM mulberry_internal.events e LEFT JOIN mulberry_internal.calls c ON c.id = e.call WHERE e.event = 'emergency_detected' ORDER BY e.id;
SELECT action, outcome, evidence FROM mulberry_internal.audit WHERE action LIKE 'EMERGENCY%' ORDER BY at;
-- and the contact is told, where there is one
SELECT mulberry.set_endpoint('alarm', 'json', 'https://alarm.example', NULL, tenant => 'rescue');
SELECT mulberry.set_escalation_contact(endpoint => 'alarm', tenant => 'rescue');
SELECT mulberry.note_partial('talk', 'overdose', 'caller', 'rescue');
SELECT kind, endpoint, max_attempts, (payload->'report') - 'at' FROM mulberry_internal.job_queue WHERE kind = 'escalate';
-- what cannot be looked through is stored all the same
INSERT INTO mulberry_internal.telephony_versions (tenant, version, settings, role)
SELECT id, 99, '{"emergency_words": []}', 'nobody' FROM mulberry_internal.tenants WHERE name = 'rescue';
SELECT mulberry_internal.put_segments(:call, 0, 0, '[{"text": "poison"}]');
SELECT text FROM mulberry_internal.segments WHERE call = :call AND track = 0;
DELETE FROM mulberry_internal.telephony_versions WHERE version = 99;
-- erased with the call
SELECT mulberry.erase_call('talk', 'rescue');
SELECT (SELECT count(*) FROM mulberry.emergency_status) AS emergencies, (SELECT count(*) FROM mulberry_internal.job_queue WHERE kind = 'escalate') AS jobs,
       (SELECT count(*) FROM mulberry_internal.events WHERE event = 'emergency_detected' AND payload <> '{"erased": true}') AS events;

SELECT mulberry.set_escalation_contact(tenant => 'rescue'), mulberry.drop_endpoint('alarm', 'rescue');
DELETE FROM mulberry_internal.events WHERE tenant = (SELECT id FROM mulberry_internal.tenants WHERE name = 'rescue');
SELECT rows > 0 FROM mulberry.erase_audit_log('rescue');
SELECT mulberry.drop_tenant('rescue');
