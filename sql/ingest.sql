-- What the original system promised about packets: in order, out of order,
-- late, doubled; and what the tables hold afterwards.
SET search_path = mulberry, mulberry_internal;

-- A packet of a call, with its answer but for the words.
CREATE FUNCTION pg_temp.send(call_id text, VARIADIC sequences integer[])
RETURNS TABLE (status text, sequence integer, total bigint, missing bigint, ranges text, duplicate boolean)
LANGUAGE sql AS $$
    SELECT r.status, r.sequence, r.total_received, r.missing_count, r.missing_sequences, r.duplicate
      FROM unnest($2) WITH ORDINALITY AS u (sequence, n),
           LATERAL mulberry.ingest_packet($1, u.sequence, int4send(u.sequence), encoding => 'mulaw') AS r
     ORDER BY u.n
$$;
-- What is stored, against what the call says about itself.
CREATE FUNCTION pg_temp.stored(call_id text)
RETURNS TABLE (sequences text, total bigint, next bigint, missing int8multirange, list integer[])
LANGUAGE sql AS $$
    SELECT (SELECT string_agg(p.sequence::text, ' ' ORDER BY p.sequence) FROM mulberry.call_packets p WHERE p.call_id = $1),
           s.total_packets_received, s.expected_next_sequence, s.missing_sequences, s.first_missing_sequences
      FROM mulberry.call_status s WHERE s.call_id = $1
$$;

-- in order
SELECT * FROM ingest_packet('in-order', 0, '\x0102');
SELECT * FROM ingest_packet('in-order', 1, '\x0304', '2026-01-02 03:04:05+00');
SELECT * FROM ingest_packet('in-order', 2, '\x0506');
SELECT * FROM pg_temp.stored('in-order');
SELECT sequence, sent_at AT TIME ZONE 'UTC' AS sent_at, received_at > now() - interval '1 minute' AS just_now, size, data
  FROM call_packets WHERE call_id = 'in-order' ORDER BY sequence;
SELECT state, encoding, sample_rate FROM call_status WHERE call_id = 'in-order';

-- out of order: a gap opens, is shortened at both ends, split, and closed
SELECT * FROM pg_temp.send('out-of-order', 0, 1, 2, 9);
SELECT * FROM pg_temp.send('out-of-order', 3, 8, 5);
SELECT first, last FROM gaps g JOIN calls c ON c.id = g.call WHERE c.call_id = 'out-of-order' ORDER BY first;
SELECT * FROM pg_temp.send('out-of-order', 4, 7, 6);
SELECT * FROM pg_temp.stored('out-of-order');
SELECT count(*) AS gaps FROM gaps g JOIN calls c ON c.id = g.call WHERE c.call_id = 'out-of-order';

-- the first packet of a call need not be its first
SELECT * FROM pg_temp.send('late-start', 3, 0);
SELECT * FROM pg_temp.stored('late-start');

-- doubled: in order, late, and below a gap; nothing is written
SELECT * FROM pg_temp.send('doubled', 0, 0, 4, 4, 2, 2, 0);
SELECT * FROM pg_temp.stored('doubled');
SELECT * FROM ingest_packet('doubled', 0, '\xffff');
SELECT data <> '\xffff' AS first_one_kept FROM call_packets WHERE call_id = 'doubled' AND sequence = 0;

-- the largest jump and the largest sequence
SET mulberry.max_gap = 2147483645;
SELECT * FROM ingest_packet('largest', 2147483645, '\x0102');
SELECT * FROM ingest_packet('largest', 2147483644, '\x0102');
SELECT total_packets_received, expected_next_sequence, missing_count, missing_sequences, cardinality(first_missing_sequences)
  FROM call_status WHERE call_id = 'largest';
RESET mulberry.max_gap;

-- answers carry the first hundred ranges, whatever happens beyond them
SELECT count(*) FROM generate_series(0, 600, 2) s, LATERAL ingest_packet('ranges', s, '\x0102');
SELECT missing_count, (SELECT count(*) FROM unnest(missing_sequences::int8multirange)), upper(missing_sequences::int8multirange)
  FROM ingest_packet('ranges', 602, '\x0102');
SELECT missing_count, (SELECT count(*) FROM unnest(missing_sequences::int8multirange)), lower(missing_sequences::int8multirange), upper(missing_sequences::int8multirange)
  FROM ingest_packet('ranges', 1, '\x0102');
-- the memory of ranges against the table, after each of many changes
DO $$
DECLARE
    sent    integer;
    answer  int8multirange;
    truth   int8multirange;
BEGIN
    PERFORM setseed(0.25);
    FOR i IN 1 .. 700 LOOP
        sent := floor(random() * 800);
        BEGIN
            answer := (mulberry.ingest_packet('ranges', sent, '\x0102')).missing_sequences;
            IF random() < 0.3 THEN
                RAISE EXCEPTION 'rolled back' USING ERRCODE = 'MB000';
            END IF;
        EXCEPTION WHEN SQLSTATE 'MB000' THEN
            answer := (mulberry.ingest_packet('ranges', 0, '\x0102')).missing_sequences;
        END;
        SELECT range_agg(int4range(g.first, g.last, '[]')) INTO truth
          FROM (SELECT g.first, g.last FROM mulberry_internal.gaps g JOIN mulberry_internal.calls c ON c.id = g.call
                 WHERE c.call_id = 'ranges' ORDER BY g.first LIMIT 100) g;
        IF answer IS DISTINCT FROM truth THEN
            RAISE EXCEPTION 'after packet % (sequence %): answered %, stored %', i, sent, answer, truth;
        END IF;
    END LOOP;
END
$$;
SELECT s.missing_count = (SELECT sum(last - first + 1) FROM gaps g WHERE g.call = c.id) AS count_is_right,
       s.total_packets_received = (SELECT count(*) FROM packets p WHERE p.call = c.id) AS total_is_right,
       s.missing_sequences = (SELECT int8multirange(int8range(0, s.expected_next_sequence))
                                     - range_agg(int8range(p.sequence, p.sequence, '[]'))
                                FROM packets p WHERE p.call = c.id) AS gaps_are_right
  FROM call_status s JOIN calls c USING (call_id) WHERE call_id = 'ranges';

-- a transaction that is rolled back leaves no trace, and the packet can be sent again
BEGIN;
SELECT status FROM ingest_packet('undone', 0, '\x0102');
SELECT status FROM ingest_packet('undone', 5, '\x0102');
ROLLBACK;
SELECT count(*) FROM calls WHERE call_id = 'undone';
SELECT status, total_received, missing_count FROM ingest_packet('undone', 0, '\x0102');
BEGIN;
SELECT status, missing_sequences FROM ingest_packet('undone', 1, '\x0102');
SAVEPOINT a;
SELECT status, missing_sequences FROM ingest_packet('undone', 9, '\x0102');
ROLLBACK TO a;
SELECT status, missing_sequences FROM ingest_packet('undone', 3, '\x0102');
SAVEPOINT b;
SELECT status, missing_sequences FROM ingest_packet('undone', 2, '\x0102');
ROLLBACK TO b;
SELECT status, missing_sequences FROM ingest_packet('undone', 3, '\x0102');
SELECT status, missing_sequences FROM ingest_packet('undone', 2, '\x0102');
COMMIT;
SELECT * FROM pg_temp.stored('undone');

-- several packets of one call in one statement see one another
SELECT status, total_received, missing_sequences
  FROM unnest('{0,2,2,1,0,3}'::integer[]) WITH ORDINALITY u (s, n), LATERAL ingest_packet('statement', s, '\x0102')
 ORDER BY n;

-- a batch: several calls, unsorted, doubled, bad ones among them
SELECT status, call_id, sequence, total_received, missing_sequences, duplicate, sqlstate, message
  FROM ingest_packets('{b1,b2,b1,b1,"",b2,b1,b1,b1}', '{2,0,0,2,0,-1,1,6,200000}',
                      ARRAY['\x0102','\x0102','\x0102','\xffff','\x0102','\x0102','\x','\x0102','\x0102']::bytea[]);
SELECT * FROM pg_temp.stored('b1');
SELECT sequence, data FROM call_packets WHERE call_id = 'b1' ORDER BY sequence;
SELECT status, call_id, sequence, total_received, missing_count
  FROM ingest_packets('{b1,b1,b2}', '{1,3,1}', ARRAY['\x0102','\x0102','\x0102']::bytea[],
                      ARRAY['2026-01-02 03:04:05+00', NULL, NULL]::timestamptz[]);
SELECT sequence, sent_at IS NOT NULL AS has_sent_at FROM call_packets WHERE call_id = 'b1' ORDER BY sequence;
SELECT count(*) FROM ingest_packets('{}', '{}', '{}');
-- more rows than go to the table at once, on several pages
SELECT status, count(*), min(total_received), max(total_received)
  FROM ingest_packets(array_fill('many'::text, '{300}'), ARRAY(SELECT generate_series(0, 299)),
                      ARRAY(SELECT decode(repeat(lpad(to_hex(s), 4, '0'), 160), 'hex') FROM generate_series(0, 299) s))
 GROUP BY status;
SELECT count(*), count(DISTINCT sequence), bool_and(data = decode(repeat(lpad(to_hex(sequence), 4, '0'), 160), 'hex')) AS data_is_right
  FROM call_packets WHERE call_id = 'many';

-- a packet large enough to be stored out of line, and one from such a place
SELECT status FROM ingest_packet('large', 0, decode(repeat('0123', 50000), 'hex'));
SELECT status FROM ingest_packet('large', 1, (SELECT data FROM call_packets WHERE call_id = 'large' AND sequence = 0));
SELECT sequence, size, md5(data) FROM call_packets WHERE call_id = 'large' ORDER BY sequence;

-- an administrator's own index on a partition is kept as well
DO $$
BEGIN
    EXECUTE format('CREATE INDEX by_arrival ON %s (received_at) WHERE sequence >= 0',
                   (SELECT DISTINCT p.tableoid::regclass FROM mulberry_internal.packets p
                     WHERE p.tableoid::regclass::text LIKE '%' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')));
END
$$;
SELECT status FROM ingest_packet('indexed', 0, '\x0102');
SELECT status FROM ingest_packets('{indexed,indexed}', '{1,2}', ARRAY['\x0102','\x0102']::bytea[]);
SET enable_seqscan = off;
SELECT count(*) FROM packets p JOIN calls c ON c.id = p.call
 WHERE c.call_id = 'indexed' AND p.sequence >= 0 AND p.received_at > now() - interval '1 hour';
RESET enable_seqscan;
DROP INDEX by_arrival;
SELECT status FROM ingest_packet('indexed', 3, '\x0102');

-- encodings: the call keeps what its first packet said; null means the call's
SELECT status FROM ingest_packet('alaw', 0, '\x01', encoding => 'alaw', sample_rate => 8000);
SELECT status FROM ingest_packet('alaw', 1, '\x01');
SELECT status FROM ingest_packet('alaw', 2, '\x01', encoding => 'alaw');
SELECT status FROM ingest_packet('words', 0, convert_to('grüß', 'UTF8'), encoding => 'text');
SELECT call_id, encoding, sample_rate FROM call_status WHERE call_id IN ('alaw', 'words') ORDER BY 1;

-- a batch says when the packet came that is stored: of a duplicate the one before
SELECT b.status, b.sequence, b.received_at IS NULL AS unknown, b.received_at = p.received_at AS as_before
  FROM ingest_packets('{alaw,alaw,""}', '{2,3,0}', ARRAY['\x01','\x01','\x01']::bytea[]) AS b
  LEFT JOIN call_packets p ON p.call_id = b.call_id AND p.sequence = b.sequence ORDER BY 2;

-- gaps of more calls in a batch than a session remembers: each has its own
SELECT count(*), count(*) FILTER (WHERE b.missing_sequences::text <> format('{[1,%s)}', substr(b.call_id, 5)::integer + 1))
  FROM ingest_packets(ARRAY(SELECT 'gap ' || n FROM generate_series(1, 200) n, generate_series(0, 1) k ORDER BY k, n),
           ARRAY(SELECT k * (n + 1) FROM generate_series(1, 200) n, generate_series(0, 1) k ORDER BY k, n), array_fill('\x0102'::bytea, '{400}')) AS b;

-- everything above adds up
SELECT count(*) FROM calls WHERE missing_count <> (SELECT coalesce(sum(g.last - g.first + 1), 0) FROM gaps g WHERE g.call = calls.id);
SELECT count(*) AS doubled FROM (SELECT call, sequence FROM packets GROUP BY 1, 2 HAVING count(*) > 1) d;
