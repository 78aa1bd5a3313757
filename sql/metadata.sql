-- begin_call(), describe_call() and calls(): who called whom, which tracks there are, and finding it again.
SET search_path = mulberry, mulberry_internal;
SET client_min_messages = warning;
SET TimeZone = 'UTC';
\getenv srcdir PG_ABS_SRCDIR
\set errors :srcdir '/sql/include/errors.sql'
\i :errors

CREATE FUNCTION pg_temp.told(name text) RETURNS TABLE (event text, payload jsonb) LANGUAGE sql AS $$
    SELECT e.event, e.payload FROM mulberry_internal.events e WHERE e.call_id = name ORDER BY e.id
$$;

-- A call that is told of before its first packet; said again it is the same.
SELECT begin_call('told', 'inbound', '+12025550123', 'sip:sales@example.com', '{"queue": "sales", "skill": 3}', 'mulaw', 8000,
                  '{caller,agent}', '2024-02-06 09:30+00');
SELECT begin_call('told', 'inbound', '+12025550123', 'sip:sales@example.com', '{"queue": "sales", "skill": 3}', 'mulaw', 8000,
                  '{agent,caller}', '2024-02-06 09:30+00');
SELECT begin_call('told');
SELECT state, encoding, sample_rate, tracks, direction, from_number, to_number, attributes, started_at, total_packets_received, last_packet_at
  FROM call_status WHERE call_id = 'told';
SELECT track, number, encoding, expected_next_sequence FROM call_tracks WHERE call_id = 'told' ORDER BY number;
SELECT status, total_received FROM ingest_packet('told', 0, 'hello', track => 'agent');
SELECT pg_temp.error_of($$SELECT ingest_packet('told', 0, 'hello', track => 'supervisor')$$);
SELECT status, sqlstate FROM ingest_packets('{told,told}', '{0,0}', '{a,b}', tracks => '{caller,nobody}');
SELECT * FROM pg_temp.told('told');
-- otherwise it is an error that changes nothing
SELECT pg_temp.error_of('SELECT begin_call(''told'', ' || arguments || ')')
  FROM (VALUES ($$'outbound'$$), ($$from_number => '+1'$$), ($$to_number => 'x'$$), ($$attributes => '{"queue": "support"}'$$), ($$encoding => 'alaw'$$),
               ($$sample_rate => 16000$$), ($$tracks => '{caller}'$$), ($$tracks => '{caller,agent,third}'$$), ($$started_at => '2024-02-06 09:31+00'$$),
               ($$first_sequence => 7$$), ($$counter_bits => 16$$)) AS t (arguments);

-- After packets: what fits is added, what does not is an error.
SELECT status FROM ingest_packet('late', 0, 'hello', encoding => 'mulaw', track => 'agent');
SELECT begin_call('late', 'outbound', to_number => '110', tracks => '{caller,agent}', started_at => '2024-02-07 10:00+00');
SELECT begin_call('late', attributes => '{"queue": "sales"}');
SELECT begin_call('late', 'outbound', from_number => '+4930', attributes => '{"queue": "sales"}');
SELECT tracks, direction, from_number, to_number, attributes, started_at FROM call_status WHERE call_id = 'late';
SELECT * FROM pg_temp.told('late');
SELECT pg_temp.error_of($$SELECT begin_call('late', encoding => 'alaw')$$);
SELECT status FROM ingest_packet('unnamed', 0, 'hello!');
SELECT pg_temp.error_of($$SELECT begin_call('unnamed', tracks => '{caller,agent}')$$);

-- How tracks count can be said as well.
SELECT begin_call('counted', tracks => '{a,b}', first_sequence => 5);
SELECT status, sequence, missing_sequences FROM ingest_packet('counted', 6, 'xx', track => 'b');
SELECT begin_call('rtp', tracks => '{a,b}', counter_bits => 16);
SELECT status, sequence FROM ingest_packet('rtp', 65535, 'xx', track => 'b');
SELECT status, sequence, missing_sequences FROM ingest_packet('rtp', 1, 'xx', track => 'b');
SELECT status, sequence FROM ingest_packet('rtp', 77, 'xx', track => 'a');
SELECT track, first_sequence, counter_bits, expected_next_sequence FROM call_tracks WHERE call_id = 'rtp' ORDER BY number;

-- describe_call() says more, whatever the state.
SELECT describe_call('told', to_number => 'sip:support@example.com', attributes => '{"skill": null, "language": "de"}');
SELECT describe_call('unnamed', 'internal');
SELECT complete_call('unnamed', 1) IS NOT NULL AS completed;
SELECT describe_call('unnamed', attributes => '{"queue": "sales"}');
SELECT call_id, direction, from_number, to_number, attributes FROM call_status WHERE call_id IN ('told', 'unnamed') ORDER BY 1;
SELECT * FROM pg_temp.told('unnamed');

-- What cannot be said.
SELECT pg_temp.error_of('SELECT begin_call(' || arguments || ')')
  FROM (VALUES ('NULL'), ($$''$$), ($$'x', 'sideways'$$), ($$'x', from_number => ''$$), ($$'x', from_number => repeat('1', 256)$$), ($$'x', attributes => '[]'$$),
               ($$'x', attributes => '"queue"'$$), ($$'x', attributes => jsonb_build_object('x', repeat('x', 8192))$$), ($$'x', encoding => 'mp3'$$),
               ($$'x', sample_rate => 11025$$), ($$'x', tracks => '{}'$$), ($$'x', tracks => '{a,a}'$$), ($$'x', tracks => '{a,NULL}'$$), ($$'x', tracks => '{{a},{b}}'$$),
               ($$'x', tracks => ARRAY['']$$), ($$'x', tracks => ARRAY(SELECT 't' || i FROM generate_series(1, 17) i)$$), ($$'x', started_at => 'infinity'$$),
               ($$'x', counter_bits => 8$$), ($$'x', tenant => 'nowhere'$$)) AS t (arguments);
SELECT pg_temp.error_of('SELECT describe_call(' || arguments || ')')
  FROM (VALUES ('NULL'), ($$'nothing'$$), ($$'told', 'sideways'$$), ($$'told', attributes => '7'$$),
               ($$'told', attributes => jsonb_build_object('x', repeat('x', 8150))$$)) AS t (arguments);
SELECT count(*) FROM calls WHERE call_id = 'x';

-- Filters: of a number, of a day, with an attribute.
CREATE FUNCTION pg_temp.found(number text DEFAULT NULL, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, attributes jsonb DEFAULT NULL,
                              direction text DEFAULT NULL, state text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(c.call_id, ' ' ORDER BY c.started_at DESC), 'none') FROM mulberry.calls($1, $2, $3, $4, $5, $6) c
$$;
SELECT pg_temp.found('+12025550123') AS by_from, pg_temp.found('110') AS by_to, pg_temp.found('111') AS by_none;
SELECT pg_temp.found(since => '2024-02-06', until => '2024-02-07') AS of_tuesday, pg_temp.found(since => '2024-02-06', until => '2024-02-08') AS two_days;
SELECT pg_temp.found(attributes => '{"queue": "sales"}', until => '2024-03-01') AS of_queue, pg_temp.found(attributes => '{"language": "de"}') AS of_language;
SELECT pg_temp.found(direction => 'outbound') AS outbound, pg_temp.found(state => 'COMPLETED', attributes => '{"queue": "sales"}') AS completed;
SELECT call_id, state, direction, from_number, to_number, attributes, tracks, started_at FROM calls(until => '2024-03-01');
SELECT call_id FROM calls(until => '2024-03-01', max_rows => 1);
SELECT pg_temp.error_of('SELECT * FROM mulberry.calls(' || arguments || ')')
  FROM (VALUES ($$''$$), ($$attributes => '{}'$$), ($$attributes => '[]'$$), ($$direction => 'sideways'$$), ($$state => 'GONE'$$),
               ($$since => '2024-01-02', until => '2024-01-02'$$), ('max_rows => 0'), ('max_rows => 10001'), ('max_rows => NULL'),
               ($$tenant => 'nowhere'$$)) AS t (arguments);

-- Each filter finds its index among many calls.
BEGIN;
INSERT INTO mulberry_internal.calls (id, tenant, call_id, encoding, sample_rate, started_at)
SELECT (7 * (1::bigint << 40)) + i, t.id, 'old ' || i, 'mulaw', 8000, '2010-01-01'::timestamptz + i * interval '1 hour'
  FROM tenants t, generate_series(1, 20000) i WHERE t.name = 'default';
INSERT INTO call_details (call, tenant, direction, from_number, to_number, attributes)
SELECT c.id, c.tenant, 'inbound', '+1' || c.call_id, '+2' || c.call_id, jsonb_build_object('queue', 'queue ' || c.id % 1000) FROM calls c WHERE c.call_id LIKE 'old %';
ANALYZE mulberry_internal.calls, call_details;
CREATE FUNCTION pg_temp.indexes(number text DEFAULT NULL, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL, attributes jsonb DEFAULT NULL)
RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || mulberry_internal.calls_query(number, since, until, attributes, NULL, NULL)
                  USING ARRAY(SELECT id FROM mulberry_internal.tenants WHERE name = 'default'), number, since, until, attributes, NULL::text, NULL::text, 100
    LOOP
        IF line ~ '(Index|Bitmap Index|Seq) (Only )?Scan' THEN
            RETURN NEXT regexp_replace(line, '^[ >-]*', '');
        END IF;
    END LOOP;
END
$$;
SELECT pg_temp.indexes('+1old 77');
SELECT pg_temp.indexes(since => '2011-02-01', until => '2011-02-02');
SELECT pg_temp.indexes(attributes => '{"queue": "queue 77"}');
SELECT count(*) FROM mulberry.calls('+1old 77');
SELECT count(*) FROM mulberry.calls(since => '2011-02-01', until => '2011-02-02');
SELECT count(*) FROM mulberry.calls(attributes => '{"queue": "queue 77"}');
ROLLBACK;

-- Numbers are for who has supervisor access; erasure takes them along.
CREATE ROLE mulberry_metadata_ingest;
CREATE ROLE mulberry_metadata_supervisor;
SELECT grant_access('mulberry_metadata_ingest', 'ingest');
SELECT grant_access('mulberry_metadata_supervisor', 'supervisor');
SET ROLE mulberry_metadata_ingest;
SELECT mulberry.begin_call('own', 'inbound', '+1999', attributes => '{"queue": "x"}');
SELECT direction, from_number, attributes, tracks FROM mulberry.call_status WHERE call_id = 'own';
SELECT pg_temp.error_of('SELECT * FROM mulberry.calls()');
RESET ROLE;
SET ROLE mulberry_metadata_supervisor;
SELECT direction, from_number, attributes, tracks FROM mulberry.call_status WHERE call_id = 'own';
SELECT call_id FROM mulberry.calls('+1999');
RESET ROLE;
SELECT erase_call('own');
SELECT * FROM pg_temp.told('own');
SELECT count(*) FROM call_details WHERE from_number = '+1999';
DROP OWNED BY mulberry_metadata_ingest, mulberry_metadata_supervisor;
DELETE FROM members WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = role) OR role::text LIKE 'mulberry_metadata%';
DROP ROLE mulberry_metadata_ingest, mulberry_metadata_supervisor;
