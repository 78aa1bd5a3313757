-- Batches of packets of several tracks, whose rows are stored together: each track goes on where it ends, also when
-- that is somewhere else than the server remembers.
SET search_path = mulberry, mulberry_internal;

CREATE FUNCTION pg_temp.send(call_ids text[], sequences bigint[], tracks text[] DEFAULT NULL)
RETURNS TABLE (status text, call_id text, sequence bigint, total bigint, missing text)
LANGUAGE sql AS $$
    SELECT r.status, r.call_id, r.sequence, r.total_received, r.missing_sequences
      FROM ingest_packets($1, $2, ARRAY(SELECT int8send(s) FROM unnest($2) s), NULL, 'mulaw', tracks => $3) AS r
$$;
CREATE FUNCTION pg_temp.stored(pattern text)
RETURNS TABLE (call_id text, track text, sequences text, total bigint, missing int8multirange)
LANGUAGE sql AS $$
    SELECT t.call_id, t.track, (SELECT string_agg(p.sequence::text, ' ' ORDER BY p.sequence) FROM call_packets p
                                 WHERE p.call_id = t.call_id AND p.track = t.track), t.total_packets_received, t.missing_sequences
      FROM call_tracks t WHERE t.call_id ~ ('^' || $1 || '$') ORDER BY 1, 2
$$;
-- A row that the server's functions have not written.
CREATE FUNCTION pg_temp.write_row(call_id text, sequence integer) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO packets (call, sequence, received_at, data) SELECT c.id, $2, now(), '\x00' FROM calls c WHERE c.call_id = $1
$$;

-- new calls and calls that go on, in order, doubled, with gaps
SELECT * FROM pg_temp.send('{a,b,c,a,b,a,b}', '{0,0,3,1,0,2,4}');
SELECT * FROM pg_temp.send('{a,b,c,a,b,c,c}', '{3,1,4,4,5,0,9}');
SELECT * FROM pg_temp.stored('[abc]');

-- a track by its name and by none
SELECT * FROM pg_temp.send('{named,named,named,named}', '{0,1,1,2}', ARRAY[NULL, NULL, 'main', 'main']);
SELECT * FROM pg_temp.send('{named,named,named,named}', '{3,4,5,0}', ARRAY[NULL, 'main', NULL, 'other']);
SELECT * FROM pg_temp.stored('named');

-- rows written by hand lie where the next packet of two calls of three belongs; the third one is none the worse
SELECT count(*) FROM pg_temp.send('{x,y,z}', '{0,0,0}');
SELECT pg_temp.write_row('x', 1), pg_temp.write_row('z', 1);
SELECT * FROM pg_temp.send('{x,y,z}', '{1,1,2}');
SELECT * FROM pg_temp.stored('[xyz]');
SELECT * FROM pg_temp.send('{x,y,z}', '{2,2,3}');
SELECT pg_temp.write_row('x', 3), pg_temp.write_row('y', 3), pg_temp.write_row('y', 4);
-- the first packet that is not the next one comes behind one that is there
SELECT * FROM pg_temp.send('{x,x,y,y,y,z}', '{3,6,3,4,5,4}');
SELECT * FROM pg_temp.stored('[xyz]');
SELECT count(*), count(DISTINCT (p.call, p.sequence)) FROM packets p JOIN calls c ON c.id = p.call WHERE c.call_id IN ('x', 'y', 'z');

-- of a track whose packets are all refused the answer says where it ends, also behind a late packet and a row written by hand
CREATE FUNCTION pg_temp.refused(call_id text) RETURNS TABLE (status text, total bigint, missing text)
LANGUAGE sql AS $$
    SELECT r.status, r.total_received, r.missing_sequences FROM ingest_packets(ARRAY[$1], '{100}', '{"\\x00"}') AS r
$$;
SELECT count(ingest_packet('odd', n, '\x0102', encoding => 's16le')) FROM generate_series(0, 99) AS n WHERE n <> 50;
SELECT total_received, missing_sequences FROM ingest_packet('odd', 50, '\x0102');
SELECT * FROM pg_temp.refused('odd');
SELECT pg_temp.write_row('odd', 100);
SELECT * FROM pg_temp.refused('odd');
-- a late packet is not taken for the end: no row is written behind it and taken back
CREATE VIEW pg_temp.rows AS
SELECT sum(n_tup_ins) AS stored, sum(n_tup_del) AS taken_back FROM pg_stat_xact_all_tables
 WHERE relid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'packets'::regclass);
BEGIN;
SELECT * FROM pg_temp.rows \gset before_
SELECT count(ingest_packet('late', n, '\x01', encoding => 'mulaw')) FROM unnest('{0,1,3,4}'::integer[]) AS n;
SELECT count(ingest_packet('late', n, '\x01')) FROM unnest('{2,3,5}'::integer[]) AS n;
SELECT stored - :before_stored AS stored, taken_back - :before_taken_back AS taken_back FROM pg_temp.rows;
COMMIT;

-- what was rolled back or erased is not remembered
BEGIN;
SELECT count(*) FROM pg_temp.send('{x,y,z}', '{7,6,5}');
ROLLBACK;
SELECT * FROM pg_temp.send('{x,y,z}', '{7,7,5}');
BEGIN;
SAVEPOINT s;
SELECT count(*) FROM pg_temp.send('{x,z,z}', '{8,6,7}');
ROLLBACK TO s;
SELECT * FROM pg_temp.send('{x,z}', '{8,6}');
COMMIT;
SELECT erase_call('z');
SELECT * FROM pg_temp.send('{x,y,z}', '{9,8,0}');

-- the last packet of a call that is complete but for it, with others of the call in the same batch
SELECT count(*) FROM pg_temp.send('{dozen,dozen,dozen}', '{0,1,0}', '{caller,caller,agent}');
SELECT status, missing_count FROM complete_call('dozen', totals => '{"caller": 3, "agent": 2}');
SELECT * FROM pg_temp.send('{dozen,x,dozen}', '{1,10,2}', '{agent,main,caller}');
SELECT state, grace_until <= clock_timestamp() AS at_once FROM calls WHERE call_id = 'dozen';

-- an index of somebody else's
DO $$ BEGIN EXECUTE format('CREATE INDEX another ON mulberry_internal.packets_%s (received_at)', to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')); END $$;
SELECT * FROM pg_temp.send('{x,y,x}', '{11,9,12}');
DROP INDEX mulberry_internal.another;
SELECT * FROM pg_temp.send('{x,y,x}', '{13,10,14}');
SELECT total_packets_received, missing_sequences FROM call_status WHERE call_id = 'x';

SELECT count(erase_call(c.call_id)) FROM calls c WHERE c.call_id IN ('a', 'b', 'c', 'named', 'x', 'y', 'z', 'dozen', 'odd', 'late');
