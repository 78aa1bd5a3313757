-- Tables that an administrator has altered: a row must never be made of fewer values than its
-- table has columns, which read what happened to lie behind them and took the server down.
SET search_path = mulberry, mulberry_internal;
\set VERBOSITY sqlstate

BEGIN;
SELECT status FROM ingest_packet('altered', 0, 'one', encoding => 'text');
ALTER TABLE packets ADD COLUMN note text;
SAVEPOINT altered;
SELECT status FROM ingest_packet('altered', 1, 'two');
ROLLBACK TO altered;
SELECT status FROM ingest_packets('{altered,altered}', '{1,2}', '{two,three}');
ROLLBACK TO altered;
-- what remains of a column that was dropped again is in nobody's way
ALTER TABLE packets DROP COLUMN note;
SELECT status FROM ingest_packet('altered', 1, 'two');
SELECT status FROM ingest_packets('{altered,altered}', '{2,3}', '{three,four}');
ALTER TABLE gaps ADD COLUMN note text;
SAVEPOINT altered;
SELECT status FROM ingest_packet('altered', 7, 'eight');
ROLLBACK TO altered;
ALTER TABLE gaps DROP COLUMN note;
SELECT status, missing_count FROM ingest_packet('altered', 7, 'eight');
SELECT status, missing_count FROM ingest_packet('altered', 5, 'six');
-- calls may have more columns; they stay as they are
ALTER TABLE calls ADD COLUMN note text DEFAULT 'kept';
ALTER TABLE calls ADD COLUMN gone integer;
ALTER TABLE calls DROP COLUMN gone;
SELECT status, missing_count FROM complete_call('altered', 8);
UPDATE calls SET state = 'PROCESSING_AI' WHERE call_id = 'altered';
SELECT state, note, missing_count FROM calls WHERE call_id = 'altered';
SELECT sequence, convert_from(data, 'UTF8') FROM call_packets WHERE call_id = 'altered' ORDER BY sequence;
ROLLBACK;

-- An index that summarizes blocks gets its entry even where the row stays in its chain (HOT, since
-- PostgreSQL 16); a row that is missing in it would be missing in answers.
BEGIN;
CREATE INDEX summed_gaps ON gaps USING brin (last int4_bloom_ops);
CREATE INDEX summed_calls ON calls USING brin (missing_count int8_bloom_ops);
SELECT status, missing_count FROM ingest_packets('{summed,summed}', '{0,10007}', '{one,last}', encoding => 'text');
SELECT brin_summarize_new_values('summed_gaps'), brin_summarize_new_values('summed_calls') \g /dev/null
SELECT status, missing_count FROM ingest_packet('summed', 10006, 'late');
SET LOCAL enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT first, last FROM gaps WHERE last = 10005;
SELECT first, last FROM gaps WHERE last = 10005;
EXPLAIN (COSTS OFF) SELECT call_id FROM calls WHERE missing_count = bigint '10005';
SELECT call_id FROM calls WHERE missing_count = bigint '10005';
ROLLBACK;
