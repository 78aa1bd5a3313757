-- A call may name the endpoint that transcribes it.
SET client_min_messages = warning;
\getenv srcdir PG_ABS_SRCDIR
\set errors :srcdir '/sql/include/errors.sql'
\i :errors
TRUNCATE mulberry_internal.job_queue, mulberry_internal.job_history;
SELECT mulberry.create_tenant('choosy', 'mulaw', 8000) IS NOT NULL AS created;
SELECT mulberry.set_endpoint(e, k, 'https://ai.example.com', purpose => p, model => 'm', tenant => 'choosy')
  FROM (VALUES ('first', 'openai', 'transcription'), ('strict', 'json', NULL), ('judge', 'openai', 'chat')) AS v (e, k, p);
CREATE FUNCTION pg_temp.jobs() RETURNS TABLE (call_id text, named text, endpoint text, job text, because text) LANGUAGE sql AS $$
    SELECT s.call_id, s.endpoint, j.endpoint, j.state, j.held_because FROM mulberry.call_status s
      LEFT JOIN mulberry.jobs j ON j.call_id = s.call_id AND j.tenant = s.tenant WHERE s.tenant = 'choosy' ORDER BY s.call_id
$$;
CREATE FUNCTION pg_temp.speak(call_id text) RETURNS void LANGUAGE sql AS $$
    SELECT mulberry.ingest_packet(call_id, 0, '\x7f7f', NULL, 'mulaw', 8000, 'choosy'), mulberry.complete_call(call_id, 1, 'choosy')
$$;

-- before it begins, while it goes on, when it is over; and not at all
SELECT mulberry.begin_call('before', endpoint => 'strict', tenant => 'choosy');
SELECT mulberry.begin_call('before', endpoint => 'strict', tenant => 'choosy') AS said_again;
SELECT mulberry.ingest_packet('during', 0, '\x7f7f', NULL, 'mulaw', 8000, 'choosy') IS NOT NULL AS sent;
SELECT mulberry.begin_call('during', endpoint => 'strict', tenant => 'choosy');
SELECT mulberry.ingest_packet('told', 0, '\x7f7f', NULL, 'mulaw', 8000, 'choosy') IS NOT NULL AS sent;
SELECT mulberry.describe_call('told', 'inbound', endpoint => 'strict', tenant => 'choosy');
SELECT pg_temp.speak(c) FROM unnest(ARRAY['after', 'any', 'before', 'during', 'told', 'twice']) AS c;
SELECT mulberry.describe_call('after', endpoint => 'strict', tenant => 'choosy');
SELECT mulberry.begin_call('twice', endpoint => 'strict', tenant => 'choosy');
SELECT mulberry.describe_call('twice', endpoint => '', tenant => 'choosy');
SELECT * FROM pg_temp.jobs();
SELECT e.event, e.call_id, e.payload->>'endpoint' AS endpoint FROM mulberry_internal.events e
 WHERE e.event IN ('call_began', 'call_described') AND e.tenant = (SELECT t.id FROM mulberry_internal.tenants t WHERE t.name = 'choosy')
 ORDER BY e.id;

-- what cannot transcribe it
SELECT s AS statement, pg_temp.error_of(format('SELECT mulberry.%s', s)) FROM unnest(ARRAY[
    'begin_call(''new'', endpoint => ''nobody'', tenant => ''choosy'')', 'begin_call(''new'', endpoint => ''judge'', tenant => ''choosy'')',
    'begin_call(''new'', endpoint => ''strict'')', 'begin_call(''before'', endpoint => ''first'', tenant => ''choosy'')',
    'describe_call(''before'', endpoint => ''nobody'', tenant => ''choosy'')',
    'describe_call(''before'', endpoint => ''judge'', tenant => ''choosy'')',
    'begin_call(''new'', endpoint => repeat(''x'', 256), tenant => ''choosy'')']) AS s;
SELECT count(*) AS begun FROM mulberry_internal.calls c WHERE c.call_id = 'new';

-- whose it may be: the tenant's own, or that of all tenants, behind its own of that name; and as one who may ingest for it
SELECT mulberry.create_tenant('picky', 'mulaw', 8000) IS NOT NULL AS created;
SELECT mulberry.set_endpoint(e, 'openai', 'https://ai.example.com', purpose => p, model => 'm', tenant => t)
  FROM (VALUES ('on-demand', NULL, NULL), ('talker', 'chat', NULL), ('private', 'transcription', 'picky'),
               ('first', 'transcription', 'picky')) AS v (e, p, t);
CREATE ROLE regress_choosy;
SELECT mulberry.grant_access('regress_choosy', 'ingest', 'choosy');
SET ROLE regress_choosy;
SELECT e AS endpoint, pg_temp.error_of(format('SELECT mulberry.begin_call(%L, endpoint => %L, tenant => ''choosy'')', 'of-' || e, e))
  FROM unnest(ARRAY['mulberry-speech', 'on-demand', 'first', 'talker', 'private']) AS e;
SELECT pg_temp.error_of('SELECT mulberry.begin_call(''theirs'', endpoint => ''private'', tenant => ''picky'')');
RESET ROLE;
SELECT pg_temp.speak('of-' || e) FROM unnest(ARRAY['mulberry-speech', 'on-demand', 'first']) AS e;
SELECT j.call_id, e.name, t.name AS whose
  FROM mulberry_internal.job_queue q
  JOIN mulberry.jobs j ON j.id = q.id
  JOIN mulberry_internal.endpoints e ON e.id = q.route
  LEFT JOIN mulberry_internal.tenants t ON t.id = e.tenant
 WHERE j.call_id LIKE 'of-%' ORDER BY j.call_id;
SELECT count(*) AS begun FROM mulberry_internal.calls c WHERE c.call_id IN ('of-talker', 'of-private', 'theirs');
SELECT mulberry.revoke_access('regress_choosy', 'ingest', 'choosy');
DROP ROLE regress_choosy;
SELECT count(mulberry.erase_call('of-' || e, 'choosy')) FROM unnest(ARRAY['mulberry-speech', 'on-demand', 'first']) AS e;
SELECT mulberry.drop_endpoint(e, t)
  FROM (VALUES ('on-demand', NULL), ('talker', NULL), ('private', 'picky'), ('first', 'picky')) AS v (e, t);
SELECT mulberry.drop_tenant('picky');

-- it is for that one alone, out or gone
SELECT mulberry_internal.report_endpoint(e.id, 'HTTP 502') FROM mulberry_internal.endpoints e WHERE e.name = 'strict';
SELECT * FROM pg_temp.jobs();
SELECT mulberry.drop_endpoint('strict', 'choosy');
SELECT * FROM pg_temp.jobs();
SELECT mulberry.begin_call('before', endpoint => 'strict', tenant => 'choosy') AS said_again;
-- until it says another one; a job that was given up goes there as well
SELECT mulberry.cancel_job(j.id) FROM mulberry.jobs j WHERE j.call_id = 'told' AND j.tenant = 'choosy';
SELECT mulberry.describe_call(c, endpoint => 'first', tenant => 'choosy') FROM unnest(ARRAY['before', 'told']) AS c;
SELECT mulberry.retry_job(j.id) FROM mulberry.jobs j WHERE j.call_id = 'told' AND j.tenant = 'choosy';
SELECT * FROM pg_temp.jobs();

TRUNCATE mulberry_internal.job_queue, mulberry_internal.job_history;
SELECT count(mulberry.erase_call(c.call_id, 'choosy')) FROM mulberry.call_status c WHERE c.tenant = 'choosy';
SELECT count(*) FROM mulberry_internal.call_details d WHERE d.endpoint IS NOT NULL;
SELECT mulberry.drop_endpoint(e, 'choosy') FROM unnest(ARRAY['first', 'judge']) AS e;
DELETE FROM mulberry_internal.events e USING mulberry_internal.tenants t WHERE t.id = e.tenant AND t.name = 'choosy';
SELECT mulberry.drop_tenant('choosy');
