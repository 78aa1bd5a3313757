-- The state machine of calls: completion, grace, processing, and the guard
-- against statements written by hand.
SET search_path = mulberry, mulberry_internal;
CREATE FUNCTION pg_temp.id(call_id text) RETURNS bigint LANGUAGE sql AS
    $$ SELECT c.id FROM mulberry_internal.calls c WHERE c.call_id = $1 $$;
CREATE FUNCTION pg_temp.told(call_id text) RETURNS TABLE (event text, payload jsonb) LANGUAGE sql AS
    $$ SELECT e.event, e.payload FROM mulberry_internal.events e WHERE e.call_id = $1 ORDER BY e.id $$;
CREATE FUNCTION pg_temp.wait(call_id text) RETURNS TABLE (state text, grace text, jobs bigint, job_at_end_of_grace boolean) LANGUAGE sql AS $$
    SELECT c.state, CASE c.grace_until - c.completed_at WHEN '0' THEN 'none'
                        WHEN current_setting('mulberry.grace_period')::interval THEN 'whole' ELSE 'odd' END,
           count(j.id), bool_and(j.run_at = c.grace_until AND j.kind = 'transcribe')
      FROM mulberry_internal.calls c LEFT JOIN mulberry_internal.job_queue j ON j.call = c.id WHERE c.call_id = $1 GROUP BY c.id $$;

-- everything there: no grace is needed
SELECT count(*) FROM generate_series(0, 2) s, ingest_packet('whole', s, '\x0102');
SELECT * FROM complete_call('whole', 3);
SELECT * FROM pg_temp.wait('whole');
-- said again: the same answer, and nothing more happens; another total is an error
SELECT * FROM complete_call('whole', 3);
SELECT * FROM pg_temp.wait('whole');
SELECT complete_call('whole', 4);
SELECT * FROM pg_temp.told('whole');

-- something missing, inside or at the end: late packets have their time
SELECT count(*) FROM unnest('{0,2}'::integer[]) s, ingest_packet('gappy', s, '\x0102');
SELECT * FROM complete_call('gappy', 5);
SELECT * FROM pg_temp.wait('gappy');
SELECT missing_count, missing_sequences, first_missing_sequences, extra_packets FROM call_status WHERE call_id = 'gappy';
SELECT status, total_received, missing_sequences FROM ingest_packet('gappy', 1, '\x0102');
-- past the end of grace the state still decides: processing has not begun, so it will be heard
UPDATE calls SET grace_until = now() - interval '1 hour' WHERE call_id = 'gappy';
SELECT status, total_received FROM ingest_packet('gappy', 3, '\x0102');
-- more than announced is kept and told
SELECT status, total_received FROM ingest_packet('gappy', 6, '\x0102');
SELECT total_packets_received, expected_total_packets, missing_count, missing_sequences, extra_packets FROM call_status WHERE call_id = 'gappy';

-- from the start of processing on, packets are rejected; known ones are still duplicates
SELECT start_processing(pg_temp.id('gappy'));
SELECT start_processing(pg_temp.id('gappy'));
SELECT status, message, total_received, missing_sequences FROM ingest_packet('gappy', 4, '\x0102');
SELECT status, message FROM ingest_packet('gappy', 7, '\x0102');
SELECT status FROM ingest_packet('gappy', 0, '\x0102');
SELECT status, sequence, message FROM ingest_packets('{gappy,gappy,gappy}', '{4,0,7}', '{"\\x0102","\\x0102","\\x0102"}');
SELECT expected_total_packets, total_received FROM complete_call('gappy', 5);
-- the result names what was missing
SELECT finish_call(pg_temp.id('gappy'), 'hello', 'positive', 0.75, '{"model": "test", "attempts": 2}');
SELECT state, transcription, sentiment, confidence, ai_result, finished_at IS NOT NULL AS finished, failure_reason
  FROM call_status WHERE call_id = 'gappy';
SELECT status FROM ingest_packet('gappy', 4, '\x0102');
SELECT * FROM pg_temp.told('gappy');
SELECT finish_call(pg_temp.id('gappy'), 'again', 'positive', 0.75, NULL);
SELECT fail_call(pg_temp.id('gappy'), 'too late');
SELECT reopen_call(pg_temp.id('gappy'));
SELECT start_processing(pg_temp.id('gappy'));

-- failure, and another try that leaves the name of who asked for it
SELECT status FROM ingest_packet('failing', 0, '\x0102');
SELECT start_processing(pg_temp.id('failing'));
SELECT fail_call(pg_temp.id('failing'), 'too early');
SELECT status FROM complete_call('failing', 1);
SELECT start_processing(pg_temp.id('failing'));
SELECT fail_call(pg_temp.id('failing'), 'no answer after 5 attempts');
SELECT state, failure_reason, finished_at IS NOT NULL AS finished FROM call_status WHERE call_id = 'failing';
CREATE ROLE regress_call_operator;
SELECT grant_access('regress_call_operator', 'operator');
GRANT USAGE ON SCHEMA mulberry_internal TO regress_call_operator;
GRANT EXECUTE ON FUNCTION reopen_call, fail_call, start_processing TO regress_call_operator;
SELECT pg_temp.id('failing') AS failing \gset
SET ROLE regress_call_operator;
SELECT fail_call(:failing, 'operators do not process');
SELECT reopen_call(:failing);
RESET ROLE;
SELECT state, failure_reason, finished_at FROM call_status WHERE call_id = 'failing';
SELECT finish_call(pg_temp.id('failing'), 'at last', NULL, NULL, NULL);
SELECT event, CASE WHEN event = 'call_reopened' THEN payload ELSE payload - 'missing_ranges' END AS payload FROM pg_temp.told('failing');
SELECT revoke_access('regress_call_operator', 'operator');
REVOKE ALL ON FUNCTION reopen_call, fail_call, start_processing FROM regress_call_operator;
REVOKE ALL ON SCHEMA mulberry_internal FROM regress_call_operator;
DROP ROLE regress_call_operator;

-- results that make no sense
SELECT status FROM ingest_packet('nonsense', 0, '\x0102');
SELECT status FROM complete_call('nonsense', 1);
SELECT start_processing(pg_temp.id('nonsense'));
SELECT finish_call(pg_temp.id('nonsense'), NULL, 'positive', 0.5, NULL);
SELECT finish_call(pg_temp.id('nonsense'), 'x', 'happy', 0.5, NULL);
SELECT finish_call(pg_temp.id('nonsense'), 'x', 'positive', 1.5, NULL);
SELECT finish_call(pg_temp.id('nonsense'), 'x', 'positive', 'NaN', NULL);
SELECT fail_call(pg_temp.id('nonsense'), NULL);
SELECT state FROM call_status WHERE call_id = 'nonsense';
-- calls that are gone are no error for a worker
SELECT start_processing(1), finish_call(1, 'x', 'neutral', 0, NULL), fail_call(1, 'x'), reopen_call(1), complete_silent_call(1, now());

-- every transition by hand: the valid ones happen and are told, the others name both states
DO $$
DECLARE
    states  text[] := '{IN_PROGRESS,COMPLETED,PROCESSING_AI,ARCHIVED,FAILED}';
    path    text[];
    told    bigint;
BEGIN
    FOR f IN 1 .. 5 LOOP
        FOR t IN 1 .. 5 LOOP
            CONTINUE WHEN f = t;
            PERFORM mulberry.ingest_packet('by-hand', 0, '\x0102');
            path := CASE states[f] WHEN 'IN_PROGRESS' THEN '{}' WHEN 'COMPLETED' THEN '{COMPLETED}'
                                   WHEN 'PROCESSING_AI' THEN '{COMPLETED,PROCESSING_AI}'
                                   ELSE ARRAY['COMPLETED', 'PROCESSING_AI', states[f]] END;
            FOR i IN 1 .. cardinality(path) LOOP
                UPDATE mulberry_internal.calls SET state = path[i] WHERE call_id = 'by-hand';
            END LOOP;
            SELECT count(*) INTO told FROM mulberry_internal.events WHERE call_id = 'by-hand';
            BEGIN
                UPDATE mulberry_internal.calls SET state = states[t] WHERE call_id = 'by-hand';
                SELECT count(*) - told INTO told FROM mulberry_internal.events WHERE call_id = 'by-hand';
                RAISE NOTICE '% to %: done, events: %', states[f], states[t], told;
            EXCEPTION WHEN object_not_in_prerequisite_state THEN
                RAISE NOTICE '%', SQLERRM;
            END;
            DELETE FROM mulberry_internal.calls WHERE call_id = 'by-hand';
        END LOOP;
    END LOOP;
END
$$;
-- no such state; columns that others rely on
SELECT status FROM ingest_packet('by-hand', 0, '\x0102');
SELECT status FROM ingest_packet('by-hand', 2, '\x0102');
UPDATE calls SET state = 'LOST' WHERE call_id = 'by-hand';
UPDATE calls SET call_id = 'other' WHERE call_id = 'by-hand';
UPDATE calls SET encoding = 'alaw' WHERE call_id = 'by-hand';
UPDATE calls SET missing_count = 0 WHERE call_id = 'by-hand';
UPDATE calls SET expected_total_packets = 9 WHERE call_id = 'by-hand';
UPDATE calls SET expected_total_packets = 8 WHERE call_id = 'by-hand';
UPDATE calls SET expected_total_packets = NULL WHERE call_id = 'by-hand';
UPDATE calls SET expected_total_packets = 9, call_id = 'by-hand' WHERE call_id = 'by-hand';
-- a deleted call takes what hangs on it along
SELECT pg_temp.id('by-hand') AS deleted \gset
DELETE FROM calls WHERE call_id = 'by-hand';
SELECT (SELECT count(*) FROM packets WHERE call = :deleted) AS packets, (SELECT count(*) FROM gaps WHERE call = :deleted) AS gaps;

-- the last missing packet ends the grace period
SELECT status FROM ingest_packet('impatient', 0, '\x0102');
SELECT missing_count FROM complete_call('impatient', 4);
SELECT status FROM ingest_packet('impatient', 2, '\x0102');
SELECT * FROM pg_temp.wait('impatient');
SELECT status FROM ingest_packets('{impatient,impatient}', '{1,3}', '{"\\x0102","\\x0102"}');
SELECT j.run_at <= clock_timestamp() AS due, c.grace_until <= clock_timestamp() AS over
  FROM calls c JOIN job_queue j ON j.call = c.id WHERE c.call_id = 'impatient';
-- and one that is too many changes nothing
SELECT status FROM ingest_packet('impatient', 4, '\x0102');
SELECT state, missing_count, extra_packets FROM call_status WHERE call_id = 'impatient';

-- a sender that falls silent
SELECT status FROM ingest_packet('silent', 0, '\x0102');
SELECT complete_silent_call(pg_temp.id('silent'), now() - interval '1 hour');
SELECT state FROM call_status WHERE call_id = 'silent';
SELECT complete_silent_call(pg_temp.id('silent'), clock_timestamp());
SELECT * FROM pg_temp.wait('silent');
SELECT complete_silent_call(pg_temp.id('silent'), clock_timestamp());
-- it may still say how much it had sent, once
SELECT expected_total_packets, missing_count FROM complete_call('silent', 2);
SELECT complete_call('silent', 3);
SELECT count(*) FROM job_queue WHERE call = pg_temp.id('silent');
-- maintenance finds it by itself
SELECT status FROM ingest_packet('silent2', 0, '\x0102');
SELECT count(*) FROM generate_series(1, 5) s, ingest_packet('talking', s, '\x0102');
ALTER TABLE calls DISABLE TRIGGER guard_call;
UPDATE calls SET updated_at = now() - interval '1 year' WHERE call_id IN ('silent2', 'talking');
UPDATE packets SET received_at = now() - interval '1 year' WHERE call = pg_temp.id('silent2');
ALTER TABLE calls ENABLE TRIGGER guard_call;
SELECT maintenance();
SELECT call_id, state, expected_total_packets FROM call_status WHERE call_id IN ('silent2', 'talking') ORDER BY 1;

-- two states in one transaction, and a rollback of the second
BEGIN;
SELECT status FROM ingest_packet('savepoint', 0, '\x0102');
SAVEPOINT a;
SELECT status FROM complete_call('savepoint', 1);
ROLLBACK TO a;
SELECT status FROM ingest_packet('savepoint', 1, '\x0102');
SELECT expected_total_packets FROM complete_call('savepoint', 2);
COMMIT;
SELECT state, total_packets_received, expected_total_packets FROM call_status WHERE call_id = 'savepoint';
SELECT * FROM pg_temp.told('savepoint');
SELECT count(*) FROM job_queue WHERE call = pg_temp.id('savepoint');
