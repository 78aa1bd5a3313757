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
