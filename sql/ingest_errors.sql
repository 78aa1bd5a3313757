-- Bad input: each kind has its SQLSTATE, says what is wrong and what is allowed,
-- and changes nothing.
SET search_path = mulberry, mulberry_internal;

-- Runs a command that must fail; shows how.
CREATE FUNCTION public.refused(command text, OUT state text, OUT message text, OUT detail text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    message := 'it was not refused';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
END
$$;
SELECT status FROM ingest_packet('good', 0, '\x0102', encoding => 's16le', sample_rate => 8000);
SELECT count(*) AS calls_before FROM calls \gset
SELECT count(*) AS packets_before FROM packets \gset
\x on

-- nulls
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet(NULL, 0, '\x0102')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', NULL, '\x0102')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 0, NULL)$$);
-- sequences
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', -1, '\x0102')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 2147483646, '\x0102')$$);
-- sizes
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 0, '')$$);
SET mulberry.max_packet_size = 100;
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 0, decode(repeat('00', 102), 'hex'))$$);
RESET mulberry.max_packet_size;
-- a jump, for a new call and within one
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 100001, '\x0102')$$);
SET mulberry.max_gap = 10;
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('good', 12, '\x0102')$$);
RESET mulberry.max_gap;
-- call ids: by bytes, not characters
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('', 0, '\x0102')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet(repeat('x', 129), 0, '\x0102')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet(repeat('é', 65), 0, '\x0102')$$);
-- encodings and rates
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 0, '\x0102', encoding => 'mp3')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 0, '\x0102', encoding => 'MULAW')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 0, '\x0102', sample_rate => 11025)$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 0, '\x010203', encoding => 's16le')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('good', 1, '\x0102', encoding => 'mulaw')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('good', 1, '\x0102', sample_rate => 16000)$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('good', 1, '\x010203')$$);
-- times that are none; in a batch the others go on
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 0, '\x0102', 'infinity')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 0, '\x0102', '-infinity')$$);
SELECT status, sequence, sqlstate, message FROM ingest_packets('{bad,good}', '{0,0}', '{"\\x0102","\\x0102"}', '{-infinity,now}');
-- text that is none
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 0, '\xff', encoding => 'text')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 0, '\x610062', encoding => 'text')$$);
-- totals
SELECT * FROM public.refused($$SELECT mulberry.complete_call('good', 0)$$);
SELECT * FROM public.refused($$SELECT mulberry.complete_call('good', -1)$$);
SELECT * FROM public.refused($$SELECT mulberry.complete_call('good', NULL)$$);
SELECT * FROM public.refused($$SELECT mulberry.complete_call(NULL, 1)$$);
SELECT * FROM public.refused($$SELECT mulberry.complete_call('good', 2147483647)$$);
-- unknown calls
SELECT * FROM public.refused($$SELECT mulberry.complete_call('unknown', 1)$$);
SELECT * FROM public.refused($$SELECT mulberry.complete_call(repeat('x', 1000), 1)$$);
SELECT * FROM public.refused($$SELECT mulberry.call_audio('unknown')$$);
SELECT * FROM public.refused($$SELECT * FROM mulberry.call_gaps('unknown')$$);
SELECT * FROM public.refused($$SELECT mulberry.erase_call('unknown')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 0, '\x0102', tenant => 'unknown')$$);
-- arrays
SELECT * FROM public.refused($$SELECT mulberry.ingest_packets(NULL, '{0}', '{"\\x0102"}')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packets('{bad}', NULL, '{"\\x0102"}')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packets('{bad}', '{0}', NULL)$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packets('{bad,NULL}', '{0,1}', '{"\\x0102","\\x0102"}')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packets('{bad,bad}', '{0,NULL}', '{"\\x0102","\\x0102"}')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packets('{bad,bad}', '{0,1}', '{"\\x0102",NULL}')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packets('{bad,bad}', '{0}', '{"\\x0102","\\x0102"}')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packets('{bad,bad}', '{0,1}', '{"\\x0102"}')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packets('{bad,bad}', '{0,1}', '{"\\x0102","\\x0102"}', '{now}')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packets('{{bad},{bad}}', '{0,1}', '{"\\x0102","\\x0102"}')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packets('{bad}', '{0}', '{"\\x0102"}', encoding => 'mp3')$$);
SET mulberry.max_batch_packets = 2;
SELECT * FROM public.refused($$SELECT mulberry.ingest_packets('{bad,bad,bad}', '{0,1,2}', '{"\\x0102","\\x0102","\\x0102"}')$$);
RESET mulberry.max_batch_packets;
SET mulberry.max_batch_calls = 1;
SELECT * FROM public.refused($$SELECT mulberry.ingest_packets('{bad,bad2}', '{0,1}', '{"\\x0102","\\x0102"}')$$);
RESET mulberry.max_batch_calls;
-- the same faults as rows of a batch
\x off
SELECT status, sqlstate, message
  FROM ingest_packets(ARRAY['bad', 'bad', 'bad', '', repeat('x', 129), 'good', 'bad'], '{-1,0,200000,0,0,1,1}',
                      '{"\\x0102","","\\x0102","\\x0102","\\x0102","\\x01","\\x0102"}', encoding => 's16le', sample_rate => 16000);
SELECT count(*) FROM call_packets WHERE call_id = 'bad';
SELECT status, sqlstate, message FROM ingest_packets('{bad}', '{2}', '{"\\x6102"}', encoding => 'text');
SELECT erase_call('bad');

-- read only
BEGIN READ ONLY;
\x on
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('good', 1, '\x0102')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packets('{good}', '{1}', '{"\\x0102"}')$$);
SELECT * FROM public.refused($$SELECT mulberry.complete_call('good', 1)$$);
COMMIT;
-- two-phase commit would acknowledge before it is decided
BEGIN;
SELECT status FROM ingest_packet('good', 1, '\x0102');
PREPARE TRANSACTION 'packet';
-- nor would a prepared transaction let go of the call that it has only looked at
BEGIN;
SELECT status FROM ingest_packet('good', 0, '\x0102');
PREPARE TRANSACTION 'duplicate';
BEGIN;
SAVEPOINT a;
SELECT status FROM ingest_packet('good', 0, '\x0102');
RELEASE a;
PREPARE TRANSACTION 'released';

-- access: none at all, another one, and another tenant's call, which might as well not exist
\x off
CREATE ROLE regress_ingest_none;
CREATE ROLE regress_ingest_sender;
CREATE ROLE regress_ingest_listener;
SELECT create_tenant('regress-other') IS NOT NULL AS created;
SELECT grant_access('regress_ingest_sender', 'ingest');
SELECT grant_access('regress_ingest_listener', 'supervisor', 'regress-other');
SELECT status FROM ingest_packet('theirs', 0, '\x0102', tenant => 'regress-other');
GRANT USAGE ON SCHEMA mulberry TO regress_ingest_none, regress_ingest_listener;
GRANT EXECUTE ON FUNCTION ingest_packet, complete_call, call_audio, erase_call TO regress_ingest_none, regress_ingest_sender, regress_ingest_listener;
\x on
SET ROLE regress_ingest_none;
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 0, '\x0102')$$);
SELECT * FROM public.refused($$SELECT mulberry.complete_call('good', 1)$$);
SET ROLE regress_ingest_listener;
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('bad', 0, '\x0102', tenant => 'regress-other')$$);
SELECT * FROM public.refused($$SELECT mulberry.call_audio('good')$$);
SELECT * FROM public.refused($$SELECT mulberry.erase_call('theirs')$$);
SELECT length(call_audio('theirs'));
SET ROLE regress_ingest_sender;
SELECT * FROM public.refused($$SELECT mulberry.complete_call('theirs', 1)$$);
SELECT * FROM public.refused($$SELECT mulberry.complete_call('unknown', 1)$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('theirs', 1, '\x0102', tenant => 'regress-other')$$);
SELECT * FROM public.refused($$SELECT mulberry.ingest_packet('theirs', 1, '\x0102', tenant => 'unknown')$$);
SELECT * FROM public.refused($$SELECT mulberry.call_audio('good')$$);
-- the same call_id in one's own tenant is another call
SELECT status, total_received FROM ingest_packet('theirs', 0, '\x0102');
SELECT tenant, call_id, total_packets_received FROM call_status WHERE call_id = 'theirs';
RESET ROLE;
\x off
SELECT erase_call('theirs'), erase_call('theirs', 'regress-other');

-- nothing of all this has been stored
SELECT count(*) - :calls_before AS more_calls FROM calls;
SELECT count(*) - :packets_before AS more_packets FROM packets;
SELECT missing_count, expected_total_packets, state FROM call_status WHERE call_id = 'good';
SELECT revoke_access('regress_ingest_sender', 'ingest'), revoke_access('regress_ingest_listener', 'supervisor', 'regress-other');
REVOKE ALL ON SCHEMA mulberry FROM regress_ingest_none, regress_ingest_sender, regress_ingest_listener;
REVOKE ALL ON FUNCTION ingest_packet, complete_call, call_audio, erase_call FROM regress_ingest_none, regress_ingest_sender, regress_ingest_listener;
DROP ROLE regress_ingest_none, regress_ingest_sender, regress_ingest_listener;
DELETE FROM events WHERE tenant = (SELECT id FROM tenants WHERE name = 'regress-other');
SELECT drop_tenant('regress-other');
DROP FUNCTION public.refused;
