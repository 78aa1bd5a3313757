-- Events without preloading: stored, numbered on demand, read by number.
\set VERBOSITY terse
\set tenant '6d756c62-6572-7279-8000-000000000001'
SELECT mulberry.notifier_lives();
SELECT mulberry_internal.packet_event_statistics();
SELECT count(*) AS processes FROM mulberry.process_statistics();

-- the test begins with no events, whatever ran before
TRUNCATE mulberry_internal.events RESTART IDENTITY;
DELETE FROM mulberry_internal.event_counters;
DELETE FROM mulberry_internal.event_channels;

-- Numbers are given in the order of ids, beginning with 1.
SELECT mulberry_internal.emit_event(:'tenant', 'call_erased', NULL, 'first', '{"role": "tester"}');
SELECT mulberry_internal.emit_event(:'tenant', 'call_erased', 7, 'second', '{"role": "tester"}');
SELECT seq, event, call, call_id, payload FROM mulberry_internal.events ORDER BY id;
SELECT seq, prev, event, call_id, message::jsonb - 'time' AS message, (message ->> 'time')::timestamptz = created_at AS at,
       message ->> 'time' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$' AS iso
  FROM mulberry.events_since(0);
SELECT seq, event, call, call_id, payload FROM mulberry_internal.events ORDER BY id;
SELECT seq, prev, call_id AS event FROM mulberry.events_since(1);
SELECT seq, prev, call_id AS event FROM mulberry.events_since(2);
SELECT seq, prev, call_id AS event FROM mulberry.events_since(0, 1);
SELECT last_seq FROM mulberry_internal.event_counters;

-- What is rolled back leaves no hole in the numbers.
BEGIN;
SELECT mulberry_internal.emit_event(:'tenant', 'call_erased', NULL, 'rolled back', '{"role": "tester"}');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT mulberry_internal.emit_event(:'tenant', 'call_erased', NULL, 'rolled back to savepoint', '{"role": "tester"}');
ROLLBACK TO s;
SELECT mulberry_internal.emit_event(:'tenant', 'call_erased', NULL, 'after savepoint', '{"role": "tester"}');
COMMIT;
SELECT seq, prev, call_id AS event FROM mulberry.events_since(2);

-- Each tenant has numbers of its own.
SELECT mulberry.create_tenant('events-clinic') AS clinic \gset
SELECT mulberry_internal.emit_event(:'clinic', 'call_erased', NULL, 'elsewhere', '{"role": "tester"}');
SELECT mulberry_internal.emit_event(:'tenant', 'call_erased', NULL, 'here', '{"role": "tester"}');
SELECT seq, prev, call_id AS event FROM mulberry.events_since(0, tenant => 'events-clinic');
SELECT seq, prev, call_id AS event FROM mulberry.events_since(3);

-- number_events() returns what it numbered, and only that.
SELECT mulberry_internal.emit_event(:'tenant', 'call_erased', NULL, 'numbered', '{"role": "tester"}');
SELECT mulberry_internal.emit_event(:'clinic', 'call_erased', NULL, 'numbered', '{"role": "tester"}');
SELECT t.name, n.seq, n.call_id AS event, n.payload FROM mulberry_internal.number_events() n JOIN mulberry_internal.tenants t ON t.id = n.tenant ORDER BY 1;
SELECT * FROM mulberry_internal.number_events();
SELECT mulberry_internal.emit_event(:'tenant', 'call_erased', NULL, 'a', '{"role": "tester"}'), mulberry_internal.emit_event(:'tenant', 'call_erased', NULL, 'b', '{"role": "tester"}');
SELECT seq, call_id AS event FROM mulberry_internal.number_events(1);
SELECT seq, call_id AS event FROM mulberry_internal.number_events(1);

-- Where it cannot write, or would not see what it wrote, events_since() only reads.
SELECT mulberry_internal.emit_event(:'tenant', 'call_erased', NULL, 'unnumbered', '{"role": "tester"}');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT seq, call_id AS event FROM mulberry.events_since(6);
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM mulberry_internal.number_events();
ROLLBACK;
BEGIN READ ONLY;
SELECT seq, call_id AS event FROM mulberry.events_since(6);
SELECT * FROM mulberry_internal.number_events();
ROLLBACK;
SELECT seq, call_id AS event FROM mulberry.events_since(6);

-- A message has VoiceStream's fields, its time, the tenant, and its numbers; a payload cannot replace them.
\set at '2026-07-14 11:30:05.5+02'
SELECT mulberry_internal.event_message('state_changed', 'call_001', 'default', 7, :'at', '{"from_state": "IN_PROGRESS", "to_state": "COMPLETED"}');
SELECT mulberry_internal.event_message('x', NULL, 'default', 1, :'at', '{"seq": 99, "event": "forged", "time": "forged", "tenant": "other", "prev": 5, "kept": null, "list": [true, {"a": 1.50}]}');
SELECT mulberry_internal.event_message('x', E'quote " and \\ backslash', 'default', 1, :'at', jsonb_build_object(E'k"ey\n', E'line\nbreak'));
-- Cut: strings between characters, the small fields stay, other large values go.
SELECT length(m::text) < 2049 AS fits, m->>'truncated' AS truncated, m->>'sentiment' AS sentiment, m->>'seq' AS seq,
       length(m->>'transcription') > 1700 AS has_text, (m->'transcription') IS NOT NULL AND m->'list' IS NULL AS list_left_out,
       repeat('word ', 1000) LIKE (m->>'transcription') || '%' AS is_prefix
  FROM mulberry_internal.event_message('ai_completed', 'c', 'default', 3, :'at',
           jsonb_build_object('transcription', repeat('word ', 1000), 'sentiment', 'positive',
                              'list', (SELECT jsonb_agg(i) FROM generate_series(1, 5000) i)), 2048) m;
SELECT octet_length(m::text) <= 2048 AS fits, length(m->>'t') > 200 AS has_text, rtrim(m->>'t', E'\x01') = '' AS escapes_whole
  FROM mulberry_internal.event_message('e', NULL, 'default', 1, :'at', jsonb_build_object('t', repeat(E'\x01', 4000)), 2048) m;
SELECT m->>'truncated' AS truncated
  FROM mulberry_internal.event_message('e', NULL, 'default', 1, :'at', jsonb_build_object('t', repeat('x', 1000)), 2048) m;
SELECT octet_length(mulberry_internal.event_message('e', repeat('x', 128), 'default', 9223372036854775807, :'at', jsonb_build_object(repeat('k', 5000), repeat('x', 9000)), 7999)::text) <= 7999 AS fits;

-- Bad input.
SELECT mulberry_internal.emit_event(NULL, 'call_erased', NULL, NULL, NULL);
SELECT mulberry_internal.emit_event(:'tenant', '', NULL, NULL, NULL);
SELECT mulberry_internal.emit_event(:'tenant', 'packet_received', NULL, NULL, NULL);     -- is never stored
SELECT mulberry_internal.emit_event(:'tenant', 'call_erased', NULL, NULL, '[1]');
SELECT mulberry_internal.emit_event('00000000-0000-0000-0000-000000000000', 'call_erased', NULL, 'x', '{"role": "tester"}');
SELECT * FROM mulberry.events_since(NULL);
SELECT * FROM mulberry.events_since(-1);
SELECT * FROM mulberry.events_since(0, 0);
SELECT * FROM mulberry.events_since(0, NULL);
SELECT * FROM mulberry.events_since(0, 10001);
SELECT * FROM mulberry.events_since(0, tenant => 'nobody');
SELECT * FROM mulberry_internal.number_events(0);
SELECT mulberry_internal.event_message('e', NULL, 'default', 1, :'at', '{}', 10);
SELECT mulberry_internal.purge_events(0);

-- subscribe() works without a notifier, and says that nothing will come.
SELECT tenant, channel ~ '^mulberry_[0-9a-f]{32}$' AS random_name, last_seq FROM mulberry.subscribe();
SELECT count(*) AS listening FROM pg_listening_channels();
SELECT tenant, last_seq FROM mulberry.subscribe(tenant => 'events-clinic');
SELECT count(*) AS listening FROM pg_listening_channels();
SELECT mulberry.unsubscribe();
SELECT count(*) AS listening FROM pg_listening_channels();
-- subscribed and unsubscribed in one transaction
BEGIN;
SELECT tenant FROM mulberry.subscribe(tenant => 'default');
SELECT mulberry.unsubscribe();
COMMIT;
SELECT count(*) AS listening FROM pg_listening_channels();
-- a failed transaction subscribes to nothing
BEGIN;
SELECT tenant FROM mulberry.subscribe(tenant => 'default');
ROLLBACK;
SELECT count(*) AS listening FROM pg_listening_channels();
SELECT mulberry.subscribe(tenant => 'nobody');

-- A filter gives the session a channel of its own: the same one for the same filter, whatever its order.
SELECT channel AS own, backend_pid = pg_backend_pid() AS mine
  FROM mulberry.subscribe(calls => '{b,a,b}', kinds => '{state_changed,ai_completed}', tenant => 'default') \gset
SELECT :'mine'::boolean AS mine, channel = :'own' AS same
  FROM mulberry.subscribe(calls => '{a,b}', kinds => '{ai_completed,state_changed}', tenant => 'default');
SELECT tenant, calls, kinds, listener = pg_backend_pid() AS mine, channel = :'own' AS own
  FROM mulberry_internal.notifier_channels() n WHERE listener <> 0;
SELECT tenant, channel = :'own' AS own FROM mulberry.subscribe(calls => '{a}');
SELECT tenant, channel = :'own' AS own FROM mulberry.subscribe(tenant => 'default');
SELECT count(*) AS listening FROM pg_listening_channels();
-- given up by hand, as by DISCARD ALL of a pooler
UNLISTEN *;
SELECT tenant FROM mulberry.subscribe(kinds => '{packet_received}', tenant => 'default');
SELECT calls, kinds FROM mulberry_internal.event_channels WHERE listener = pg_backend_pid();
BEGIN;
SELECT mulberry.unsubscribe();
SELECT count(*) AS own FROM mulberry_internal.event_channels WHERE listener = pg_backend_pid();
ROLLBACK;
SELECT count(*) AS own FROM mulberry_internal.event_channels WHERE listener = pg_backend_pid();
BEGIN READ ONLY;
SELECT mulberry.unsubscribe();
COMMIT;
SELECT count(*) AS listening FROM pg_listening_channels();
-- what a session that is gone has left
UPDATE mulberry_internal.event_channels SET listener = 0 WHERE listener IS NOT NULL;
SELECT mulberry_internal.rotate_lost_channels();
SELECT count(*) AS own FROM mulberry_internal.event_channels WHERE listener IS NOT NULL;
-- filters that say nothing, or what is not there
SELECT mulberry.subscribe(calls => '{}');
SELECT mulberry.subscribe(kinds => '{}');
SELECT mulberry.subscribe(calls => '{a,NULL}');
SELECT mulberry.subscribe(kinds => '{state_changed,no_such_event}');
SELECT mulberry.subscribe(kinds => '{resync}');
SELECT mulberry.subscribe(calls => ARRAY(SELECT i::text FROM generate_series(1, 1001) i));
SELECT mulberry.subscribe(calls => '{a}', tenant => 'nobody');
SET client_min_messages = error;
SELECT count(*) FROM generate_series(1, 1001) AS i, mulberry.subscribe(calls => ARRAY[i::text], tenant => 'default');
RESET client_min_messages;
SELECT count(*) AS own FROM mulberry_internal.event_channels WHERE listener IS NOT NULL;
SELECT mulberry.unsubscribe();

-- rotate_channels() takes the channel out of use, the next subscribe() makes a new one and drops the old.
SELECT channel AS old FROM mulberry.subscribe(tenant => 'default') \gset
SELECT channel AS same FROM mulberry.subscribe(tenant => 'default') \gset
SELECT :'old' = :'same' AS stays;
SELECT channel AS of_clinic FROM mulberry_internal.event_channels WHERE tenant = :'clinic' \gset
BEGIN;
SELECT mulberry_internal.rotate_channels(:'tenant');
ROLLBACK;
SELECT channel = :'old' AS stays FROM mulberry_internal.event_channels WHERE tenant = :'tenant';
SELECT channel = :'of_clinic' AS stays FROM mulberry_internal.event_channels WHERE tenant = :'clinic';
SELECT mulberry.unsubscribe();
SELECT mulberry_internal.rotate_channels(:'tenant');
SELECT channel <> :'old' AS changed FROM mulberry.subscribe(tenant => 'default');
SELECT bool_and(c <> :'old') AS old_is_gone, count(*) FROM pg_listening_channels() c;
SELECT mulberry.unsubscribe();

-- Who may hear and read what.
CREATE ROLE regress_supervisor;
CREATE ROLE regress_auditor;
CREATE ROLE regress_ingest;
CREATE ROLE regress_nobody;
SELECT mulberry.grant_access('regress_supervisor', 'supervisor', 'events-clinic');
SELECT mulberry.grant_access('regress_auditor', 'auditor');
SELECT mulberry.grant_access('regress_ingest', 'ingest');
SET ROLE regress_supervisor;
SELECT seq, call_id AS event FROM mulberry.events_since(0);
SELECT tenant FROM mulberry.subscribe();
SELECT mulberry.subscribe(tenant => 'default');
SELECT mulberry.events_since(0, tenant => 'default');
SELECT * FROM mulberry_internal.events;
SELECT * FROM mulberry_internal.event_channels;
SELECT mulberry_internal.emit_event(:'clinic', 'call_erased', NULL, 'forged', '{"role": "tester"}');
SELECT mulberry_internal.number_events();
SELECT mulberry_internal.listen_channel('x');
SELECT mulberry_internal.rotate_channels(NULL);
SELECT mulberry_internal.purge_events();
SELECT mulberry_internal.notifier_channels();
SELECT mulberry.unsubscribe();
SET ROLE regress_auditor;
SELECT count(*) > 5 AS reads FROM mulberry.events_since(0);
SELECT mulberry.subscribe();
SET ROLE regress_ingest;
SELECT mulberry.events_since(0);
SELECT mulberry.subscribe();
SET ROLE regress_nobody;
SELECT mulberry.events_since(0);
RESET ROLE;
-- revoke_access() gives the tenant a new channel
SELECT channel AS before FROM mulberry_internal.event_channels WHERE tenant = :'clinic' \gset
SELECT mulberry.revoke_access('regress_supervisor', 'supervisor', 'events-clinic');
SELECT count(*) AS still_there FROM mulberry_internal.event_channels WHERE channel = :'before';
SELECT mulberry.revoke_access('regress_auditor', 'auditor');
SELECT mulberry.revoke_access('regress_ingest', 'ingest');
DROP ROLE regress_supervisor, regress_auditor, regress_ingest, regress_nobody;

-- Retention deletes old events, numbers go on.
UPDATE mulberry_internal.events SET created_at = created_at - interval '10 days' WHERE tenant = :'clinic';
SELECT mulberry_internal.purge_events();
SELECT mulberry.alter_tenant('events-clinic', retention => '7 days');
SELECT mulberry_internal.purge_events(dry_run => true), count(*) FROM mulberry_internal.events WHERE tenant = :'clinic';
SELECT mulberry_internal.purge_events(1);
SELECT mulberry_internal.purge_events();
SELECT mulberry_internal.emit_event(:'clinic', 'call_erased', NULL, 'after purge', '{"role": "tester"}');
SELECT seq, prev, call_id AS event FROM mulberry.events_since(0, tenant => 'events-clinic');

TRUNCATE mulberry_internal.events RESTART IDENTITY;
SELECT mulberry.drop_tenant('events-clinic');
DELETE FROM mulberry_internal.event_counters;
DELETE FROM mulberry_internal.event_channels;
