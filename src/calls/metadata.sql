-- What is known of a call beside its audio: who calls whom, which way, and whatever the sender wants to find it by.

CREATE OR REPLACE FUNCTION begin_tracks(call_id text, tenant text, encoding text, sample_rate integer, tracks text[],
    started_at timestamptz, first_sequence bigint, counter_bits integer, OUT call bigint, OUT begun boolean)
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_begin_tracks';
COMMENT ON FUNCTION begin_tracks(text, text, text, integer, text[], timestamptz, bigint, integer) IS
    'begin_call() without details: takes the lock of the call, creates it and its tracks, or makes sure that they are as said (internal)';

CREATE OR REPLACE FUNCTION check_details(direction text, from_number text, to_number text, attributes jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF direction NOT IN ('inbound', 'outbound', 'internal') THEN
        RAISE EXCEPTION 'unknown direction "%"', direction
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Directions are inbound, outbound and internal.';
    END IF;
    IF from_number = '' OR to_number = '' THEN
        RAISE EXCEPTION 'a number must not be empty'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'One that is not known is null.';
    END IF;
    IF jsonb_typeof(attributes) <> 'object' THEN
        RAISE EXCEPTION 'attributes must be a JSON object'
            USING ERRCODE = 'invalid_parameter_value', DETAIL = format('This is of type %s.', jsonb_typeof(attributes));
    END IF;
END
$$;
COMMENT ON FUNCTION check_details(text, text, text, jsonb) IS 'raises 22023 for what cannot be said of a call; nulls are fine (internal)';

CREATE OR REPLACE FUNCTION check_call_endpoint(tenant uuid, endpoint text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    wanted CONSTANT text := mulberry.job_purpose('transcribe');
    named  mulberry_internal.endpoints;
BEGIN
    IF endpoint IS NULL OR endpoint = '' THEN
        RETURN;
    END IF;
    SELECT e.* INTO named FROM mulberry_internal.endpoints e
     WHERE e.id = mulberry_internal.endpoint_for(check_call_endpoint.tenant, wanted, check_call_endpoint.endpoint);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'endpoint "%" does not exist', endpoint USING ERRCODE = 'undefined_object';
    END IF;
    IF coalesce(named.purpose, wanted) <> wanted OR NOT mulberry_internal.endpoint_serves(named.kind, wanted) THEN
        RAISE EXCEPTION 'endpoint "%" does not serve %', endpoint, wanted
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('It is of kind %s for %s.', named.kind, coalesce(named.purpose, 'nothing in particular'));
    END IF;
END
$$;
COMMENT ON FUNCTION check_call_endpoint(uuid, text) IS
    'raises 42704 or 22023 for an endpoint that cannot transcribe a call; null and empty are fine (internal)';

CREATE OR REPLACE FUNCTION call_endpoint(call bigint) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
    SELECT d.endpoint FROM mulberry_internal.call_details d WHERE d.call = $1
$$;
COMMENT ON FUNCTION call_endpoint(bigint) IS 'the endpoint that must transcribe a call; null: none was named (internal)';

CREATE OR REPLACE FUNCTION move_transcription(call bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE mulberry_internal.job_queue q
       SET endpoint = mulberry_internal.call_endpoint(q.call),
           route = mulberry_internal.job_route(q.kind, q.tenant, q.call, mulberry_internal.call_endpoint(q.call), q.passed)
     WHERE q.call = move_transcription.call AND q.kind = 'transcribe' AND q.state = 'queued'
       AND q.endpoint IS DISTINCT FROM mulberry_internal.call_endpoint(q.call);
    IF FOUND THEN
        PERFORM mulberry_internal.wake_workers();
    END IF;
END
$$;
COMMENT ON FUNCTION move_transcription(bigint) IS
    'sends the transcription of a call that waits to the endpoint that the call names now; its lock is held (internal)';

CREATE OR REPLACE FUNCTION lock_named_call(tenant uuid, call_id text) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mulberry_lock_named_call';
COMMENT ON FUNCTION lock_named_call(uuid, text) IS
    'takes the lock of a call until the end of the transaction and returns its id; null when there is none (internal)';

CREATE OR REPLACE FUNCTION tell_details(event text, call bigint) RETURNS void
LANGUAGE sql AS $$
    SELECT mulberry_internal.emit_event(c.tenant, $1, c.id, c.call_id, jsonb_strip_nulls(jsonb_build_object(
               'direction', d.direction, 'from_number', d.from_number, 'to_number', d.to_number,
               'attributes', nullif(d.attributes, '{}'), 'endpoint', d.endpoint,
               'tracks', CASE WHEN c.tracks_named THEN (SELECT jsonb_agg(t.name ORDER BY t.number)
                                                          FROM mulberry_internal.all_tracks t WHERE t.call = c.id) END,
               'started_at', to_char(c.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))))
      FROM mulberry_internal.calls c
      LEFT JOIN mulberry_internal.call_details d ON d.call = c.id
     WHERE c.id = $2
$$;
COMMENT ON FUNCTION tell_details(text, bigint) IS 'stores an event with all that is known of a call (internal)';

CREATE OR REPLACE FUNCTION mulberry.begin_call(
    call_id        text,
    direction      text DEFAULT NULL,
    from_number    text DEFAULT NULL,
    to_number      text DEFAULT NULL,
    attributes     jsonb DEFAULT NULL,
    encoding       text DEFAULT NULL,
    sample_rate    integer DEFAULT NULL,
    tracks         text[] DEFAULT NULL,
    started_at     timestamptz DEFAULT NULL,
    tenant         text DEFAULT NULL,
    first_sequence bigint DEFAULT NULL,
    counter_bits   integer DEFAULT NULL,
    endpoint       text DEFAULT NULL
) RETURNS boolean
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner uuid := mulberry_internal.resolve_tenant(begin_call.tenant, 'ingest');
    began record;
    known record;
    other text;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', begin_call.call_id, 'direction', begin_call.direction,
        'from_number', begin_call.from_number, 'to_number', begin_call.to_number, 'encoding', begin_call.encoding,
        'endpoint', begin_call.endpoint);
    PERFORM mulberry_internal.check_json('attributes', begin_call.attributes);
    PERFORM mulberry_internal.check_details(begin_call.direction, begin_call.from_number, begin_call.to_number, begin_call.attributes);
    begin_call.endpoint := nullif(begin_call.endpoint, '');
    IF NOT isfinite(begin_call.started_at) THEN
        RAISE EXCEPTION 'started_at must be finite' USING ERRCODE = 'datetime_field_overflow';
    END IF;
    SELECT b.call, b.begun INTO began
      FROM mulberry_internal.begin_tracks(begin_call.call_id, begin_call.tenant, begin_call.encoding, begin_call.sample_rate,
               begin_call.tracks, begin_call.started_at, begin_call.first_sequence, begin_call.counter_bits) AS b;
    SELECT c.started_at, d.call IS NOT NULL AS described, d.direction, d.from_number, d.to_number,
           nullif(d.attributes, '{}') AS attributes, d.endpoint
      INTO known
      FROM mulberry_internal.calls c
      LEFT JOIN mulberry_internal.call_details d ON d.call = c.id
     WHERE c.id = began.call;
    other := CASE WHEN known.direction <> begin_call.direction THEN format('Its direction is %s.', known.direction)
                  WHEN known.from_number <> begin_call.from_number THEN 'It comes from another number.'
                  WHEN known.to_number <> begin_call.to_number THEN 'It goes to another number.'
                  WHEN known.attributes <> begin_call.attributes THEN 'It has other attributes.'
                  WHEN known.endpoint <> begin_call.endpoint THEN format('Its endpoint is "%s".', known.endpoint)
                  WHEN known.started_at <> begin_call.started_at THEN 'It began at another time.' END;
    IF other IS NOT NULL THEN
        RAISE EXCEPTION 'call "%" has begun with other values', begin_call.call_id
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = other, HINT = 'describe_call() changes what is known of it.';
    END IF;
    IF begin_call.endpoint IS DISTINCT FROM known.endpoint THEN
        PERFORM mulberry_internal.check_call_endpoint(owner, begin_call.endpoint);
    END IF;
    IF begin_call.direction IS NULL AND begin_call.from_number IS NULL AND begin_call.to_number IS NULL
       AND begin_call.attributes IS NULL AND begin_call.endpoint IS NULL THEN
        NULL;
    ELSIF NOT known.described THEN
        INSERT INTO mulberry_internal.call_details (call, tenant, direction, from_number, to_number, attributes, endpoint)
        VALUES (began.call, owner, begin_call.direction, begin_call.from_number, begin_call.to_number,
                coalesce(begin_call.attributes, '{}'), begin_call.endpoint);
    ELSE
        UPDATE mulberry_internal.call_details d
           SET direction = coalesce(d.direction, begin_call.direction), from_number = coalesce(d.from_number, begin_call.from_number),
               to_number = coalesce(d.to_number, begin_call.to_number),
               attributes = coalesce(nullif(d.attributes, '{}'), begin_call.attributes, '{}'),
               endpoint = coalesce(d.endpoint, begin_call.endpoint)
         WHERE d.call = began.call
           AND (d.direction, d.from_number, d.to_number, nullif(d.attributes, '{}'), d.endpoint)
               IS DISTINCT FROM (coalesce(d.direction, begin_call.direction), coalesce(d.from_number, begin_call.from_number),
                                 coalesce(d.to_number, begin_call.to_number),
                                 coalesce(nullif(d.attributes, '{}'), nullif(begin_call.attributes, '{}')),
                                 coalesce(d.endpoint, begin_call.endpoint));
    END IF;
    IF NOT began.begun AND known.endpoint IS NULL AND begin_call.endpoint IS NOT NULL THEN
        PERFORM mulberry_internal.move_transcription(began.call);
    END IF;
    IF NOT began.begun AND known.started_at IS NULL AND begin_call.started_at IS NOT NULL THEN
        UPDATE mulberry_internal.calls c SET started_at = begin_call.started_at WHERE c.id = began.call;
    END IF;
    IF began.begun THEN
        PERFORM mulberry_internal.tell_details('call_began', began.call);
    ELSIF (known.direction, known.from_number, known.to_number, known.attributes, known.endpoint, known.started_at)
          IS DISTINCT FROM (coalesce(known.direction, begin_call.direction), coalesce(known.from_number, begin_call.from_number),
                            coalesce(known.to_number, begin_call.to_number),
                            coalesce(known.attributes, nullif(begin_call.attributes, '{}')),
                            coalesce(known.endpoint, begin_call.endpoint),
                            coalesce(known.started_at, begin_call.started_at)) THEN
        PERFORM mulberry_internal.tell_details('call_described', began.call);
    END IF;
    RETURN began.begun;
END
$$;
COMMENT ON FUNCTION mulberry.begin_call(text, text, text, text, jsonb, text, integer, text[], timestamptz, text, bigint, integer, text) IS
    'tells of a call before its first packet, which needs no such thing: direction inbound, outbound or internal; numbers as E.164, SIP '
    'URI or as they came; attributes, an object of at most 8 kB. It has the tracks that are named and no others, all of one encoding, rate '
    'and way of counting; see ingest_packet(). endpoint: the one that must transcribe it, also while it is out. Said again it changes '
    'nothing, and 55000 when the call has begun with other values. True when it has begun now. Needs ingest access. Errors: 42704 no such '
    'endpoint, 22023 it serves something else';

CREATE OR REPLACE FUNCTION mulberry.describe_call(
    call_id        text,
    direction      text DEFAULT NULL,
    from_number    text DEFAULT NULL,
    to_number      text DEFAULT NULL,
    attributes     jsonb DEFAULT NULL,
    tenant         text DEFAULT NULL,
    endpoint       text DEFAULT NULL
) RETURNS void
LANGUAGE mulberry SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner    uuid := mulberry_internal.resolve_tenant(describe_call.tenant, 'ingest', 'operator');
    described bigint;
    known    mulberry_internal.call_details;
    merged   jsonb;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', describe_call.call_id, 'direction', describe_call.direction,
        'from_number', describe_call.from_number, 'to_number', describe_call.to_number, 'endpoint', describe_call.endpoint);
    PERFORM mulberry_internal.check_json('attributes', describe_call.attributes);
    PERFORM mulberry_internal.check_details(describe_call.direction, describe_call.from_number, describe_call.to_number,
        describe_call.attributes);
    PERFORM mulberry_internal.check_call_endpoint(owner, describe_call.endpoint);
    IF describe_call.call_id IS NULL THEN
        RAISE EXCEPTION 'call id must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    described := mulberry_internal.lock_named_call(owner, describe_call.call_id);
    IF described IS NULL THEN
        RAISE EXCEPTION 'call "%" does not exist', describe_call.call_id USING ERRCODE = 'undefined_object';
    END IF;
    SELECT d.* INTO known FROM mulberry_internal.call_details d WHERE d.call = described;
    -- what is null in it goes
    merged := jsonb_strip_nulls(coalesce(known.attributes, '{}') || coalesce(describe_call.attributes, '{}'));
    PERFORM mulberry_internal.check_json('attributes', merged);
    IF known.call IS NULL THEN
        INSERT INTO mulberry_internal.call_details (call, tenant, direction, from_number, to_number, attributes, endpoint)
        VALUES (described, owner, describe_call.direction, describe_call.from_number, describe_call.to_number, merged,
                nullif(describe_call.endpoint, ''));
    ELSE
        UPDATE mulberry_internal.call_details d
           SET direction = coalesce(describe_call.direction, d.direction),
               from_number = coalesce(describe_call.from_number, d.from_number),
               to_number = coalesce(describe_call.to_number, d.to_number), attributes = merged,
               endpoint = nullif(coalesce(describe_call.endpoint, d.endpoint), '')
         WHERE d.call = described;
    END IF;
    IF describe_call.endpoint IS NOT NULL THEN
        PERFORM mulberry_internal.move_transcription(described);
    END IF;
    PERFORM mulberry_internal.tell_details('call_described', described);
END
$$;
COMMENT ON FUNCTION mulberry.describe_call(text, text, text, text, jsonb, text, text) IS
    'tells more of a call, whatever its state: what is not null takes the place of what was known, attributes are added to those that it '
    'has, and go where their value is null. endpoint: the one that must transcribe it, if that has not begun yet; empty: any. Needs ingest '
    'or operator access. Errors: 42704 no such call or endpoint, 22023 the endpoint serves something else';

-- Filters that are not given are not in the query, so that each finds its index.
CREATE OR REPLACE FUNCTION calls_query(number text, since timestamptz, until timestamptz, attributes jsonb, direction text, state text)
RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT concat('SELECT c.id FROM mulberry_internal.calls c',
               CASE WHEN num_nonnulls(number, attributes, direction) > 0 THEN
                   concat(' JOIN mulberry_internal.call_details d ON d.call = c.id AND d.tenant = ANY ($1)',
                       CASE WHEN number IS NOT NULL THEN ' AND (d.from_number = $2 OR d.to_number = $2)' END,
                       CASE WHEN attributes IS NOT NULL THEN ' AND d.attributes @> $5' END,
                       CASE WHEN direction IS NOT NULL THEN ' AND d.direction = $6' END) END,
               ' WHERE c.tenant = ANY ($1)',
               CASE WHEN since IS NOT NULL THEN ' AND coalesce(c.started_at, c.created_at) >= $3' END,
               CASE WHEN until IS NOT NULL THEN ' AND coalesce(c.started_at, c.created_at) < $4' END,
               CASE WHEN state IS NOT NULL THEN ' AND c.state = $7' END,
               ' ORDER BY coalesce(c.started_at, c.created_at) DESC, c.id DESC LIMIT $8')
$$;
COMMENT ON FUNCTION calls_query(text, timestamptz, timestamptz, jsonb, text, text) IS
    'the query by which calls() finds calls; its parameters are the tenants and, in order, the arguments of calls() (internal)';

CREATE OR REPLACE FUNCTION mulberry.calls(
    number     text DEFAULT NULL,
    since      timestamptz DEFAULT NULL,
    until      timestamptz DEFAULT NULL,
    attributes jsonb DEFAULT NULL,
    direction  text DEFAULT NULL,
    state      text DEFAULT NULL,
    tenant     text DEFAULT NULL,
    max_rows   integer DEFAULT 100
) RETURNS SETOF mulberry.call_summary
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    targets uuid[] := mulberry.current_tenants('supervisor');
BEGIN
    IF calls.tenant IS NOT NULL OR targets = '{}' THEN
        targets := ARRAY[mulberry_internal.resolve_tenant(calls.tenant, 'supervisor')];
    END IF;
    PERFORM mulberry_internal.check_texts('number', calls.number, 'direction', calls.direction, 'state', calls.state);
    PERFORM mulberry_internal.check_json('attributes', calls.attributes);
    PERFORM mulberry_internal.check_details(calls.direction, calls.number, NULL, calls.attributes);
    IF calls.attributes = '{}' THEN
        RAISE EXCEPTION 'attributes name nothing' USING ERRCODE = 'invalid_parameter_value', HINT = 'Null is for calls with any.';
    END IF;
    IF calls.until <= calls.since THEN
        RAISE EXCEPTION 'until must lie behind since' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF calls.state NOT IN (SELECT m.to_state FROM mulberry.state_machines() m WHERE m.table_name = 'calls') THEN
        RAISE EXCEPTION 'unknown state "%"', calls.state
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'States are IN_PROGRESS, COMPLETED, PROCESSING_AI, ARCHIVED and FAILED.';
    END IF;
    IF calls.max_rows IS NULL OR calls.max_rows < 1 OR calls.max_rows > 10000 THEN
        RAISE EXCEPTION 'max_rows must lie between 1 and 10000' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    EXECUTE format('SELECT t.name, c.call_id, c.state, d.direction, d.from_number, d.to_number, coalesce(d.attributes, ''{}''),'
                   ' c.track || coalesce((SELECT array_agg(k.name ORDER BY k.number) FROM mulberry_internal.tracks k'
                   ' WHERE k.call = c.id), ''{}''),'
                   ' coalesce(c.started_at, c.created_at), c.completed_at, c.finished_at, c.sentiment'
                   ' FROM (%s) AS found (id)'
                   ' JOIN mulberry_internal.calls c ON c.id = found.id'
                   ' JOIN mulberry_internal.tenants t ON t.id = c.tenant'
                   ' LEFT JOIN mulberry_internal.call_details d ON d.call = c.id'
                   ' ORDER BY coalesce(c.started_at, c.created_at) DESC, c.id DESC',
                mulberry_internal.calls_query(calls.number, calls.since, calls.until, calls.attributes, calls.direction, calls.state))
      USING targets, calls.number, calls.since, calls.until, calls.attributes, calls.direction, calls.state, calls.max_rows;
END
$$;
COMMENT ON FUNCTION mulberry.calls(text, timestamptz, timestamptz, jsonb, text, text, text, integer) IS
    'calls, the newest first: of a number (either side), that began since and before until, with these attributes ({"queue": "sales"}), '
    'of a direction, in a state; null: any. For the next ones say until => the started_at of the last. Needs supervisor access';
