-- What programs on machines at the edge say of themselves.

CREATE OR REPLACE FUNCTION edge_programs_kept() RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 100;
COMMENT ON FUNCTION edge_programs_kept() IS
    'how many programs of a tenant may have reported; then the one that is silent longest is forgotten';

CREATE OR REPLACE FUNCTION forget_edge_programs() RETURNS void
LANGUAGE sql AS $$
    DELETE FROM mulberry_internal.edge_programs p WHERE p.reported_at < clock_timestamp() - interval '7 days'
$$;
COMMENT ON FUNCTION forget_edge_programs() IS 'forgets the programs that were silent for a week; part of maintenance (internal)';

CREATE OR REPLACE FUNCTION check_edge_report(report jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    item    record;
    number  numeric;
    seconds CONSTANT text[] := ARRAY['running', 'heard', 'lost', 'late'];
    counts  CONSTANT text[] := ARRAY['overruns', 'suspends', 'departures', 'waiting', 'acknowledged', 'dropped', 'spool'];
    texts   CONSTANT text[] := ARRAY['version', 'state', 'device', 'call_id', 'under_voltage', 'problem'];
BEGIN
    IF report IS NULL OR jsonb_typeof(report) <> 'object' OR jsonb_typeof(report->'state') IS DISTINCT FROM 'string' THEN
        RAISE EXCEPTION 'report must be an object with a "state"' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR item IN SELECT * FROM jsonb_each(report) LOOP
        CONTINUE WHEN jsonb_typeof(item.value) = 'null';
        CONTINUE WHEN jsonb_typeof(item.value) = 'string' AND item.key = ANY (texts);
        IF jsonb_typeof(item.value) <> 'number' OR NOT item.key = ANY (seconds || counts) THEN
            RAISE EXCEPTION 'a report has no "%" of this type', left(item.key, 80)
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = format('Numbers are %s, texts %s.', array_to_string(seconds || counts, ', '),
                                      array_to_string(texts, ', '));
        END IF;
        number := (item.value #>> '{}')::numeric;
        IF number < 0 OR number > (CASE WHEN item.key = ANY (seconds) THEN 1e9 ELSE 1e18 END)
           OR (item.key = ANY (counts) AND number <> trunc(number)) THEN
            RAISE EXCEPTION '"%" of a report must be a number from 0 on', item.key
                USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Seconds are 10^9 at most, others whole, and 10^18 at most.';
        END IF;
    END LOOP;
    IF report->>'under_voltage' NOT IN ('now', 'before') THEN
        RAISE EXCEPTION '"under_voltage" of a report must be "now", "before" or null' USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
COMMENT ON FUNCTION check_edge_report(jsonb) IS 'an error (22023) unless that is a report of a program at the edge (internal)';

CREATE OR REPLACE FUNCTION mulberry.report_edge_status(name text, program text, report jsonb, tenant text DEFAULT NULL) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp
    SET lock_timeout = '100ms' AS $$
DECLARE
    owner  CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'ingest', 'operator');
    at     CONSTANT timestamptz := clock_timestamp();
    r      mulberry_internal.edge_programs;
BEGIN
    PERFORM mulberry_internal.check_texts('name', report_edge_status.name, 'program', report_edge_status.program);
    PERFORM mulberry_internal.check_json('report', report_edge_status.report);
    IF coalesce(name, '') = '' THEN
        RAISE EXCEPTION 'name must not be empty' USING ERRCODE = 'invalid_parameter_value';
    ELSIF program IS NULL OR program NOT IN ('capture', 'sync', 'answer') THEN
        RAISE EXCEPTION 'program must be capture, sync or answer' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM mulberry_internal.check_edge_report(report);
    r := jsonb_populate_record(NULL::mulberry_internal.edge_programs,
             jsonb '{"heard": 0, "lost": 0, "overruns": 0, "suspends": 0, "departures": 0, "late": 0, "waiting": 0, "acknowledged": 0,
                     "dropped": 0}'
             || jsonb_strip_nulls(report));
    r.tenant := owner;
    r.role := mulberry_internal.outer_role_name();
    r.name := name;
    r.program := program;
    r.reported_at := at;
    r.started_at := at - make_interval(secs => coalesce((report->>'running')::double precision, 0));
    r.dropped_at := CASE WHEN r.dropped > 0 THEN at END;
    IF NOT EXISTS (SELECT FROM mulberry_internal.edge_programs p
                    WHERE p.tenant = owner AND p.role = r.role AND p.name = r.name AND p.program = r.program) THEN
        DELETE FROM mulberry_internal.edge_programs p
         WHERE (p.tenant, p.role, p.name, p.program) IN
               (SELECT o.tenant, o.role, o.name, o.program FROM mulberry_internal.edge_programs o
                 WHERE o.tenant = owner
                 ORDER BY o.reported_at DESC OFFSET mulberry_internal.edge_programs_kept() - 1 FOR UPDATE SKIP LOCKED);
    END IF;
    INSERT INTO mulberry_internal.edge_programs AS p SELECT r.*
        ON CONFLICT ON CONSTRAINT edge_programs_pkey DO UPDATE
       SET version = excluded.version, state = excluded.state, device = excluded.device, heard = excluded.heard, lost = excluded.lost,
           overruns = excluded.overruns, suspends = excluded.suspends, departures = excluded.departures, late = excluded.late,
           call_id = excluded.call_id, waiting = excluded.waiting, acknowledged = excluded.acknowledged, dropped = excluded.dropped,
           spool = excluded.spool, under_voltage = excluded.under_voltage, problem = excluded.problem,
           started_at = excluded.started_at, reported_at = excluded.reported_at,
           -- a program that was started anew counts anew
           dropped_at = CASE WHEN excluded.dropped > CASE WHEN excluded.started_at > p.reported_at THEN 0 ELSE p.dropped END
                             THEN excluded.dropped_at ELSE p.dropped_at END;
END
$$;
COMMENT ON FUNCTION mulberry.report_edge_status(text, text, jsonb, text) IS
    'for programs at the edge: what one of them is and does, for the view edge_status. "program" is capture, sync or answer; "report" has '
    'a state and what else is known: version, running (seconds since its start), device, heard, lost and late (seconds), overruns, '
    'suspends, departures, call_id, waiting, acknowledged and dropped (packets), spool (bytes), under_voltage, problem. It takes the '
    'place of the one before of the same role, name and program. It waits for nobody. Needs ingest or operator access. Errors: 22023, '
    '55P03 somebody holds the row';

-- Silent: capture reports every 10 s, sync between two requests, which may take 45 s, and a pause of a minute between them.
CREATE OR REPLACE VIEW mulberry.edge_status WITH (security_barrier) AS
    SELECT t.name AS tenant, p.name, p.program, p.role, p.version, p.state, p.reported_at,
           p.state <> 'ended' AND p.reported_at < clock_timestamp() - interval '3 minutes' AS silent,
           p.started_at, p.device, p.heard, p.lost, p.overruns, p.suspends, p.departures, p.late, p.call_id,
           p.waiting, p.acknowledged, p.dropped, p.dropped_at, p.spool, p.under_voltage, p.problem
      FROM edge_programs p
      JOIN tenants t ON t.id = p.tenant
     WHERE p.tenant = ANY ((SELECT current_tenants(true, 'operator', 'auditor', 'ingest'))::uuid[]);
COMMENT ON VIEW mulberry.edge_status IS 'what the programs at the edge said of themselves last, as report_edge_status() was told';
COMMENT ON COLUMN mulberry.edge_status.silent IS 'it did not say that it ended, and has not reported for three minutes';

CREATE OR REPLACE FUNCTION health_edge_programs() RETURNS TABLE (item text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    n record;
BEGIN
    item := 'edge programs';
    SELECT count(*) AS known,
           count(*) FILTER (WHERE p.reported_at < clock_timestamp() - interval '3 minutes') AS silent,
           count(*) FILTER (WHERE p.dropped_at > clock_timestamp() - interval '1 hour') AS dropping,
           count(*) FILTER (WHERE p.state = 'device away') AS away,
           count(*) FILTER (WHERE p.under_voltage = 'now') AS weak
      INTO n
      FROM mulberry_internal.edge_programs p
     WHERE p.state <> 'ended';
    status := CASE WHEN n.silent + n.dropping + n.away + n.weak > 0 THEN 'warning' ELSE 'ok' END;
    detail := format('%s programs report', n.known - n.silent)
              || CASE WHEN n.silent > 0 THEN format('; %s fell silent', n.silent) ELSE '' END
              || CASE WHEN n.dropping > 0 THEN format('; %s dropped packets within the last hour', n.dropping) ELSE '' END
              || CASE WHEN n.away > 0 THEN format('; %s have lost their device', n.away) ELSE '' END
              || CASE WHEN n.weak > 0 THEN format('; %s have too little voltage', n.weak) ELSE '' END;
    hint := CASE WHEN status <> 'ok'
                 THEN 'The view edge_status says which. One that was taken out of service is forgotten a week later.' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION health_edge_programs() IS 'health of the programs at the edge: whether they report, and drop nothing';
