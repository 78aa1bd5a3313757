-- What goes, and what must stay: partitions, retention, erasure.
SET search_path = mulberry, mulberry_internal;
\set SHOW_CONTEXT never
CREATE SCHEMA elsewhere;

-- partitions are made once, whatever the session's settings are, and never belong to the extension
SELECT make_partition('2020-02-28'), make_partition('2020-02-28'), make_partition('2020-02-29');
SET search_path = elsewhere;
SELECT mulberry_internal.make_partition('2020-03-01');
SET search_path = mulberry, mulberry_internal;
SELECT partition, day FROM packet_partitions() WHERE day < '2021-01-01' ORDER BY day;
SELECT pg_get_expr(relpartbound, oid) = format('FOR VALUES FROM (''%s'') TO (''%s'')', (date '2020-02-29' - '1970-01-01')::bigint << 40, (date '2020-03-01' - '1970-01-01')::bigint << 40) AS bounds_are_right
  FROM pg_class WHERE relname = 'packets_20200229';
SELECT count(*) FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
 WHERE e.extname = 'mulberry' AND d.objid IN (SELECT partition FROM packet_partitions());
SELECT indexdef FROM pg_indexes WHERE tablename = 'packets_20200229';
SELECT attname, attstorage FROM pg_attribute WHERE attrelid = 'packets_20200229'::regclass AND attname = 'data';
SELECT make_partition('infinity');
SELECT make_partition('1969-12-31');
-- rolled back, it can be made again
BEGIN;
SELECT make_partition('2020-03-05');
ROLLBACK;
SELECT make_partition('2020-03-05');
-- ahead
SELECT maintenance();
SELECT count(*) FROM packet_partitions()
 WHERE day BETWEEN (now() AT TIME ZONE 'UTC')::date AND (now() AT TIME ZONE 'UTC')::date + current_setting('mulberry.partitions_ahead')::integer;

-- Calls of past days, finished and not, of two tenants; brought in as a dump would.
SELECT create_tenant('regress-keeper') IS NOT NULL AS created;
CREATE FUNCTION pg_temp.past(name text, tenant text, day date, number bigint, state text, finished interval) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    made bigint := (past.day - date '1970-01-01')::bigint << 40 | past.number;
BEGIN
    PERFORM mulberry_internal.make_partition(day);
    INSERT INTO mulberry_internal.calls (id, tenant, call_id, state, encoding, sample_rate, missing_count, created_at, completed_at, finished_at)
    SELECT made, t.id, past.name, past.state, 'mulaw', 8000, 1, day, day, now() - finished
      FROM mulberry_internal.tenants t WHERE t.name = past.tenant;
    INSERT INTO mulberry_internal.gaps VALUES (made, 1, 1);
    INSERT INTO mulberry_internal.packets SELECT made, s, NULL, day, '\x0102' FROM unnest('{0,2}'::integer[]) s;
    -- a second track, with as much of its own
    INSERT INTO mulberry_internal.tracks (call, number, id, name, encoding, sample_rate, missing_count)
    VALUES (made, 1, made + 1000, 'agent', 'alaw', 8000, 1);
    INSERT INTO mulberry_internal.gaps VALUES (made + 1000, 1, 1);
    INSERT INTO mulberry_internal.packets SELECT made + 1000, s, NULL, day, '\x0304' FROM unnest('{0,2}'::integer[]) s;
    INSERT INTO mulberry_internal.call_details (call, tenant, from_number)
    SELECT made, t.id, '+1' || past.number FROM mulberry_internal.tenants t WHERE t.name = past.tenant;
END
$$;
SELECT pg_temp.past('old1', 'default', '2021-06-01', 9000001, 'ARCHIVED', '400 days'),
       pg_temp.past('old2', 'default', '2021-06-01', 9000002, 'FAILED', '400 days'),
       pg_temp.past('old3', 'default', '2021-06-02', 9000003, 'ARCHIVED', '400 days'),
       pg_temp.past('recent', 'default', '2021-06-02', 9000004, 'ARCHIVED', '10 days'),
       pg_temp.past('open', 'default', '2021-06-03', 9000005, 'PROCESSING_AI', NULL),
       pg_temp.past('kept', 'regress-keeper', '2021-06-04', 9000006, 'ARCHIVED', '400 days');
-- by default everything is kept; empty partitions of past days go
SELECT current_setting('mulberry.retention') = '' AS kept_for_ever;
SELECT * FROM retention(dry_run => true);
SELECT * FROM retention();
SELECT count(*) FROM calls WHERE id & 9000000 = 9000000 AND call_id IN ('old1', 'old2', 'old3', 'recent', 'open', 'kept');

-- a tenant with a retention of its own
SELECT alter_tenant('default', retention => '1 year'), alter_tenant('regress-keeper', retention => '2 years');
SELECT * FROM retention(dry_run => true);
SELECT count(*) AS nothing_happened FROM calls WHERE call_id IN ('old1', 'old2', 'old3', 'recent', 'open', 'kept');
-- in small steps
SELECT * FROM retention(max_calls => 1);
SELECT * FROM retention(max_calls => 1);
SELECT * FROM retention();
SELECT * FROM retention();
SELECT call_id FROM calls WHERE call_id IN ('old1', 'old2', 'old3', 'recent', 'open', 'kept') ORDER BY 1;
SELECT c.call_id, t.number AS track, p.sequence FROM packets p LEFT JOIN all_tracks t ON t.id = p.call LEFT JOIN calls c ON c.id = t.call WHERE p.call < (date '2022-01-01' - date '1970-01-01')::bigint << 40 ORDER BY 1, 2, 3;
SELECT c.call_id, t.number AS track FROM gaps g LEFT JOIN all_tracks t ON t.id = g.call LEFT JOIN calls c ON c.id = t.call
 WHERE g.call < (date '2022-01-01' - date '1970-01-01')::bigint << 40 ORDER BY 1, 2;
SELECT c.call_id, t.name, d.from_number FROM tracks t FULL JOIN call_details d ON d.call = t.call LEFT JOIN calls c ON c.id = coalesce(t.call, d.call)
 WHERE coalesce(t.call, d.call) < (date '2022-01-01' - date '1970-01-01')::bigint << 40 ORDER BY 1;
SELECT partition FROM packet_partitions() WHERE day < '2022-01-01' ORDER BY day;
SELECT retention(max_calls => 0);
SELECT retention(dry_run => NULL);

-- the calls of a partition that somebody dropped: a clear error
DROP TABLE packets_20210603;
SELECT ingest_packet('open', 1, '\x01');
SELECT make_partition('2021-06-03');
SELECT ingest_packet('open', 1, '\x01');
SELECT start_processing(id), fail_call(id, 'test') FROM calls WHERE call_id = 'open';

-- a partition that is detached is not written to
ALTER TABLE packets DETACH PARTITION packets_20210604;
SELECT ingest_packet('kept', 1, '\x01', tenant => 'regress-keeper');
SELECT make_partition('2021-06-04');
DO $$ BEGIN EXECUTE format('ALTER TABLE mulberry_internal.packets ATTACH PARTITION mulberry_internal.packets_20210604 FOR VALUES FROM (%s) TO (%s)', (date '2021-06-04' - date '1970-01-01')::bigint << 40, (date '2021-06-05' - date '1970-01-01')::bigint << 40); END $$;
SELECT status FROM ingest_packet('kept', 1, '\x01', tenant => 'regress-keeper');
-- and one without its key neither
DROP INDEX packets_20210604_key;
SELECT ingest_packet('kept', 3, '\x01', tenant => 'regress-keeper');
CREATE UNIQUE INDEX anything ON packets_20210604 (call, sequence);
SELECT status FROM ingest_packet('kept', 1, '\x01', tenant => 'regress-keeper');

-- erasure takes everything that could tell what was said
SELECT count(*) FROM unnest('{0,3}'::integer[]) s, ingest_packet('private', s, convert_to('secret', 'UTF8'), encoding => 'text');
SELECT status FROM complete_call('private', 5);
SELECT id AS private FROM calls WHERE call_id = 'private' \gset
SELECT start_processing(:private), finish_call(:private, 'secret', 'neutral', 0.5, NULL);
SELECT erase_call('private');
SELECT (SELECT count(*) FROM calls WHERE call_id = 'private') AS calls, (SELECT count(*) FROM packets WHERE call = :private) AS packets,
       (SELECT count(*) FROM gaps WHERE call = :private) AS gaps,
       (SELECT count(*) FROM job_queue WHERE call = :private) + (SELECT count(*) FROM job_history WHERE call = :private) AS jobs,
       (SELECT count(*) FROM events WHERE payload::text LIKE '%secret%') AS words;
SELECT event, payload FROM events WHERE call_id = 'private' ORDER BY id;
-- the name can be used again, for another call
SELECT status, total_received FROM ingest_packet('private', 0, '\x0102');

SELECT alter_tenant('default', reset_retention => true);
SELECT erase_call(call_id, 'regress-keeper') FROM calls WHERE call_id = 'kept';
DELETE FROM events WHERE tenant = (SELECT id FROM tenants WHERE name = 'regress-keeper');
SELECT drop_tenant('regress-keeper');
DROP SCHEMA elsewhere;
