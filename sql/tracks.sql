-- Tracks: several in one call, each with sequences, encoding, gaps and a total of its own.
SET search_path = mulberry, mulberry_internal;
SET client_min_messages = warning;
\getenv srcdir PG_ABS_SRCDIR
\set errors :srcdir '/sql/include/errors.sql'
\i :errors
\set VERBOSITY default

-- What the view says of a call, and that what is stored fits.
CREATE FUNCTION pg_temp.tracks(name text)
RETURNS TABLE (track text, received bigint, next bigint, missing bigint, ranges int8multirange, extra bigint, stored bigint) LANGUAGE sql AS $$
    SELECT t.track, t.total_packets_received, t.expected_next_sequence, t.missing_count, t.missing_sequences, t.extra_packets,
           (SELECT count(*) FROM mulberry.call_packets p WHERE p.call_id = t.call_id AND p.track = t.track)
      FROM mulberry.call_tracks t WHERE t.call_id = name ORDER BY t.number
$$;

-- Two tracks with losses, late and doubled packets each; what happens in one is nothing to the other.
SELECT status, sequence, total_received, missing_count, missing_sequences FROM ingest_packet('two', 0, '\x0102', encoding => 'mulaw', track => 'caller');
SELECT status, sequence, total_received, missing_count, missing_sequences
  FROM ingest_packet('two', 3, '\x0102', encoding => 's16le', sample_rate => 16000, track => 'agent');
SELECT status, sequence, total_received, missing_count, missing_sequences FROM ingest_packet('two', 5, '\x01', track => 'caller');
SELECT status, sequence, total_received, missing_count, missing_sequences FROM ingest_packet('two', 1, '\x0304', track => 'agent');
SELECT status, sequence, total_received, missing_count, missing_sequences FROM ingest_packet('two', 1, '\x0304', track => 'agent');
SELECT status, sequence, total_received, missing_count, missing_sequences FROM ingest_packet('two', 2, '\x03', track => 'caller');
SELECT status, sequence, total_received, missing_count, missing_sequences FROM ingest_packet('two', 5, '\x03', track => 'caller');
-- without a name the first is meant
SELECT status, sequence, total_received, missing_count, missing_sequences FROM ingest_packet('two', 1, '\x03');
SELECT * FROM pg_temp.tracks('two');
SELECT encoding, sample_rate, total_packets_received, expected_next_sequence, missing_count, missing_sequences, tracks
  FROM call_status WHERE call_id = 'two';
SELECT first, last FROM call_gaps('two', track => 'agent');
SELECT length(call_audio('two')) AS first, length(call_audio('two', track => 'caller')) AS caller, length(call_audio('two', track => 'agent')) AS agent;
SELECT pg_temp.error_of($$SELECT call_audio('two', track => 'nobody')$$);

-- Batches: a track for each packet, or one for all; what is bad is a row.
SELECT status, call_id, sequence, total_received, missing_count, missing_sequences, sqlstate
  FROM ingest_packets('{batch,batch,batch,other,batch,batch,other}', '{0,0,1,4,2,0,4}', array_fill('\x0102'::bytea, '{7}'),
                      tracks => '{a,b,a,a,b,b,a}');
SELECT status, sequence, total_received, missing_count, missing_sequences
  FROM ingest_packets('{batch,batch}', '{1,4}', '{aa,bb}', tracks => '{b}');
SELECT status, sequence, total_received, missing_count
  FROM ingest_packets('{batch,batch,batch}', '{2,4,3}', '{aa,bb,cc}', tracks => '{NULL,a,NULL}');
SELECT * FROM pg_temp.tracks('batch');
SELECT status, sequence, sqlstate, message FROM ingest_packets('{batch,batch}', '{9,9}', '{aa,bb}', encoding => 'alaw', tracks => '{a,c}');
SELECT pg_temp.error_of($$SELECT ingest_packets('{x,x,x}', '{0,1,2}', '{a,b,c}', tracks => '{a,b}')$$);
SELECT status, sqlstate, message FROM ingest_packets('{x,x}', '{0,1}', '{a,b}', tracks => ARRAY['', repeat('x', 65)]);

-- The call is complete when every track is; one of them may have been silent, but not all.
SELECT status, message, expected_total_packets, total_received, missing_count, extra_packets FROM complete_call('two', 6, track => 'caller');
SELECT state FROM call_status WHERE call_id = 'two';
SELECT expected_total_packets, missing_count FROM complete_call('two', 6);
SELECT pg_temp.error_of($$SELECT complete_call('two', 7)$$);
SELECT pg_temp.error_of($$SELECT complete_call('two', 7, track => 'nobody')$$);
SELECT pg_temp.error_of($$SELECT complete_call('two')$$);
SELECT pg_temp.error_of($$SELECT complete_call('two', 7, totals => '{"agent": 7}')$$);
SELECT pg_temp.error_of(format('SELECT complete_call(%L, totals => %L)', 'two', totals))
  FROM (VALUES ('[]'), ('{}'), ('{"agent": "7"}'), ('{"agent": 1.5}'), ('{"agent": -1}'), ('{"agent": 1e10}'), ('{"nobody": 1}'),
               ('{"caller": 7, "agent": 4}')) AS t (totals);
SELECT message, expected_total_packets, total_received, missing_count FROM complete_call('two', totals => '{"caller": 6, "agent": 5}');
SELECT state, missing_count, grace_until > completed_at AS waits FROM call_status WHERE call_id = 'two';
SELECT * FROM pg_temp.tracks('two');
-- what is late comes into both, and the last missing one ends the waiting
SELECT status, missing_count FROM ingest_packets('{two,two,two,two}', '{3,4,0,2}', '{ab,ab,ab,ab}', tracks => '{NULL,NULL,agent,agent}');
SELECT missing_count, grace_until > clock_timestamp() AS waits FROM call_status WHERE call_id = 'two';
SELECT status, missing_count FROM ingest_packet('two', 4, '\x0102', track => 'agent');
SELECT missing_count, grace_until > clock_timestamp() AS waits FROM call_status WHERE call_id = 'two';
SELECT status FROM ingest_packet('half', 0, 'xx', track => 'a');
SELECT status FROM ingest_packet('half', 0, 'xx', track => 'b');
SELECT pg_temp.error_of($$SELECT complete_call('half', totals => '{"a": 0, "b": 0}')$$);

-- At most 16 tracks, one encoding each, names of 1 to 64 bytes.
SELECT count(*) FROM generate_series(1, 16) i, ingest_packet('crowd', 0, 'xx', track => 'track ' || i);
SELECT pg_temp.error_of($$SELECT ingest_packet('crowd', 0, 'xx', track => 'track 17')$$);
SELECT pg_temp.error_of($$SELECT ingest_packet('two', 9, 'xx', encoding => 'alaw', track => 'agent')$$);
SELECT pg_temp.error_of($$SELECT ingest_packet('two', 9, 'xx', sample_rate => 8000, track => 'agent')$$);
SELECT pg_temp.error_of($$SELECT ingest_packet('name', 0, 'xx', track => '')$$);
SELECT pg_temp.error_of($$SELECT ingest_packet('name', 0, 'xx', track => repeat('x', 65))$$);

-- Erasure takes all tracks along.
SELECT id AS call FROM calls WHERE call_id = 'batch' \gset
SELECT array_agg(id) AS ids FROM all_tracks WHERE call = :call \gset
SELECT erase_call('batch');
SELECT (SELECT count(*) FROM tracks WHERE call = :call) AS tracks, (SELECT count(*) FROM gaps WHERE call = ANY (:'ids')) AS gaps,
       (SELECT count(*) FROM packets WHERE call = ANY (:'ids')) AS packets;

-- Sequences that do not begin at 0: answers and views tell the sender's numbers.
SELECT status, sequence, total_received, missing_count, missing_sequences FROM ingest_packet('later', 1003, 'xx', first_sequence => 1001);
SELECT status, sequence, total_received, missing_count, missing_sequences FROM ingest_packet('later', 1001, 'xx');
SELECT * FROM pg_temp.tracks('later');
SELECT sequence FROM call_packets WHERE call_id = 'later' ORDER BY 1;
SELECT first, last, start_ms FROM call_gaps('later');
SELECT pg_temp.error_of($$SELECT ingest_packet('later', 1000, 'xx')$$);
SELECT pg_temp.error_of($$SELECT ingest_packet('later', 1002, 'xx', first_sequence => 1000)$$);
SELECT pg_temp.error_of($$SELECT ingest_packet('later', 1002, 'xx', counter_bits => 16)$$);
SELECT pg_temp.error_of($$SELECT ingest_packet('never', 0, 'xx', first_sequence => -1)$$);
SELECT pg_temp.error_of($$SELECT ingest_packet('never', 0, 'xx', first_sequence => 2147483646)$$);
SELECT pg_temp.error_of($$SELECT ingest_packet('never', 0, 'xx', counter_bits => 16, first_sequence => 65536)$$);
SELECT pg_temp.error_of($$SELECT ingest_packet('never', 0, 'xx', counter_bits => 24)$$);
SELECT pg_temp.error_of($$SELECT ingest_packet('never', 65536, 'xx', counter_bits => 16)$$);
SELECT pg_temp.error_of($$SELECT ingest_packet('never', 4294967296, 'xx', counter_bits => 32)$$);
SELECT pg_temp.error_of($$SELECT ingest_packet('never', 4294967295, 'xx')$$);

-- A counter of 16 bits that wraps three times, with losses, late and doubled packets at each wrap.
CREATE TEMP TABLE sent AS
    SELECT n, (60000 + n) % 65536 AS counter, decode(lpad(to_hex(n), 8, '0'), 'hex') AS data
      FROM generate_series(0, 2 * 65536 + 5536 + 1000) AS n;
-- around each wrap: 0 is lost, 65535 and 1 come 40 later, 65534 to 3 come twice
CREATE TEMP TABLE ways AS
    SELECT s.*, n + CASE WHEN counter IN (65535, 1) THEN 40 ELSE 0 END AS turn FROM sent s WHERE counter <> 0
    UNION ALL
    SELECT s.*, n + 60 FROM sent s WHERE counter IN (65534, 65535, 1, 2, 3);
SET mulberry.max_batch_packets = 1000;
SELECT r.status, count(*)
  FROM (SELECT array_agg(counter ORDER BY turn, n) AS counters, array_agg(data ORDER BY turn, n) AS data
          FROM ways GROUP BY turn / 900 ORDER BY turn / 900) AS b,
       ingest_packets(array_fill('wrapping'::text, ARRAY[cardinality(b.counters)]), b.counters, b.data, counter_bits => 16) AS r
 GROUP BY 1 ORDER BY 1;
SELECT total_packets_received, first_sequence, counter_bits, expected_next_sequence, missing_count, missing_sequences
  FROM call_tracks WHERE call_id = 'wrapping';
-- each where it belongs
SELECT count(*) AS right FROM call_packets p JOIN sent s ON p.data = s.data WHERE p.call_id = 'wrapping' AND p.sequence = 60000 + s.n;
-- the lost one of the last wrap finds its gap
SELECT status, sequence, missing_count FROM ingest_packet('wrapping', 0, (SELECT data FROM sent WHERE counter = 0 ORDER BY n DESC LIMIT 1));
SELECT status, sequence, missing_count FROM ingest_packet('wrapping', 0, (SELECT data FROM sent WHERE counter = 0 ORDER BY n DESC LIMIT 1), counter_bits => 16);
-- A counter that begins anew in mid-call is refused when it counts over what came before, with other data ...
SELECT pg_temp.error_of($$SELECT ingest_packet('wrapping', 50000, 'restarts')$$);
SELECT status, sequence, sqlstate, message
  FROM ingest_packets('{wrapping,wrapping,wrapping,wrapping}', '{1001,1002,1001,1002}', '{aa,bb,aa,cc}');
-- ... and when it lies further ahead than mulberry.max_gap; nearer it is a gap.
SET mulberry.max_gap = 10000;
SELECT pg_temp.error_of($$SELECT ingest_packet('wrapping', 20000, 'farahead')$$);
SELECT status, sequence, missing_count FROM ingest_packet('wrapping', 2000, 'near');
RESET mulberry.max_gap;
-- 32 bits
SELECT status, sequence, missing_sequences FROM ingest_packet('wide', 4294967294, 'aa', counter_bits => 32);
SELECT status, sequence, missing_sequences FROM ingest_packet('wide', 1, 'bb');
SELECT status, sequence, missing_sequences FROM ingest_packet('wide', 4294967295, 'bb');
SELECT * FROM pg_temp.tracks('wide');
SELECT first, last FROM call_gaps('wide');
SELECT pg_temp.error_of($$SELECT ingest_packet('wide', 4294967290, 'before first')$$);

-- The first packet of a track may not be the beginning of a file; later ones, and words, may be what they want.
SELECT pg_temp.error_of(format('SELECT ingest_packet(%L, 0, %L, encoding => %L)', 'file', start, encoding))
  FROM (VALUES ('\x524946462400000057415645666d7420'::bytea, 'mulaw'), ('\x494433040000000000000000', 's16le'), ('OggS....', 'alaw'),
               ('fLaC', 'mulaw'), ('.snd', 'mulaw'),
               (decode('fffb9064' || repeat('00', 413) || 'fffb9264', 'hex'), 'mulaw')) AS t (start, encoding);
SELECT status FROM ingest_packet('file', 0, 'words', encoding => 'mulaw');
SELECT status FROM ingest_packet('file', 1, 'fLaC');
SELECT status FROM ingest_packet('letter', 0, 'RIFF', encoding => 'text');
SELECT status, sqlstate, message FROM ingest_packets('{file}', '{0}', '{OggS}', tracks => '{other}');
