-- An event belongs to a transaction that is prepared as any row does; what acknowledges something is not prepared.
-- expected/events_prepared_1.out is for servers with max_prepared_transactions = 0.
\set VERBOSITY terse
SELECT mulberry.create_tenant('events-prepared') AS tenant \gset
BEGIN;
SELECT mulberry_internal.emit_event(:'tenant', 'call_erased', NULL, 'prepared', '{"role": "tester"}');
PREPARE TRANSACTION 'events';
SELECT seq, call_id AS event FROM mulberry.events_since(0, tenant => 'events-prepared');
COMMIT PREPARED 'events';
SELECT seq, prev, call_id AS event FROM mulberry.events_since(0, tenant => 'events-prepared');
DELETE FROM mulberry_internal.events WHERE tenant = :'tenant';
DELETE FROM mulberry_internal.event_counters WHERE tenant = :'tenant';
SELECT mulberry.drop_tenant('events-prepared');
