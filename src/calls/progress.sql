-- How far a call is, for who waits for its transcript.

CREATE OR REPLACE FUNCTION seconds_of_audio(call bigint, from_track integer) RETURNS double precision
LANGUAGE sql STABLE AS $$
    SELECT sum((last.sequence + 1 - k.missing_count) * last.size / CASE k.encoding WHEN 's16le' THEN 2 ELSE 1 END
               / k.sample_rate::double precision)
      FROM mulberry_internal.all_tracks k
     CROSS JOIN LATERAL (SELECT p.sequence, length(p.data) AS size FROM mulberry_internal.packets p
                          WHERE p.call = k.id ORDER BY p.sequence DESC LIMIT 1) AS last
     WHERE k.call = $1 AND k.number >= $2 AND k.encoding <> 'text'
$$;
COMMENT ON FUNCTION seconds_of_audio(bigint, integer) IS
    'about how much audio the tracks of a call have from that number on, as if all packets were as long as the last one; null: none '
    '(internal)';

CREATE OR REPLACE FUNCTION place_in_queue(j job_queue) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT count(*)::integer + 1
      FROM (SELECT FROM mulberry_internal.job_queue q
             WHERE q.route = (j).route AND q.tenant = (j).tenant AND q.run_at <= (j).run_at AND q.state = 'queued'
               AND (q.run_at < (j).run_at OR q.id < (j).id)
             LIMIT 10000) AS before
$$;
COMMENT ON FUNCTION place_in_queue(job_queue) IS
    'which of the waiting jobs of its tenant at its endpoint a job is, 1 for the next one; whoever is behind 10,000 is behind 10,000 '
    '(internal)';

CREATE OR REPLACE FUNCTION recent_speed(route bigint, kind text, OUT a_job double precision, OUT a_second double precision)
LANGUAGE sql STABLE AS $$
    -- started_at is when the last part of a divided one began
    SELECT avg(s.taken), sum(s.taken) FILTER (WHERE s.audio > 0) / sum(s.audio) FILTER (WHERE s.audio > 0)
      FROM (SELECT extract(epoch FROM h.finished_at - h.started_at)
                   * CASE jsonb_typeof(c.ai_result->'parts') WHEN 'number' THEN (c.ai_result->>'parts')::double precision
                          ELSE 1 END AS taken,
                   CASE jsonb_typeof(c.ai_result->'audio_seconds') WHEN 'number'
                        THEN (c.ai_result->>'audio_seconds')::double precision END AS audio
              FROM (SELECT * FROM mulberry_internal.job_history x ORDER BY x.finished_at DESC LIMIT 200) AS h
              LEFT JOIN mulberry_internal.calls c ON c.id = h.call
             WHERE h.route = $1 AND h.kind = $2 AND h.state = 'done') AS s
$$;
COMMENT ON FUNCTION recent_speed(bigint, text) IS
    'how many seconds an endpoint took for a job, and for a second of audio, among the last 200 jobs that ended; null: there was none '
    '(internal)';

CREATE OR REPLACE FUNCTION mulberry.call_progress(call_id text, tenant text DEFAULT NULL,
    OUT state text, OUT job text, OUT track text, OUT endpoint text, OUT running boolean, OUT parts_done integer, OUT parts integer,
    OUT queue_position integer, OUT waits_for text, OUT until timestamptz, OUT attempts integer,
    OUT audio_seconds double precision, OUT estimated_seconds double precision)
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    owner    CONSTANT uuid := mulberry_internal.resolve_tenant(tenant, 'ingest', 'supervisor', 'auditor');
    at       CONSTANT timestamptz := clock_timestamp();
    c        mulberry_internal.calls;
    j        mulberry_internal.job_queue;
    e        mulberry_internal.endpoints;
    breaker  mulberry_internal.endpoint_state;
    of_track integer;
    division jsonb;
    speed    record;
    slots    double precision;
    own      double precision;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', call_progress.call_id);
    c := mulberry_internal.find_call(owner, call_progress.call_id);
    state := c.state;
    SELECT q.* INTO j FROM mulberry_internal.job_queue q WHERE q.call = c.id ORDER BY q.id LIMIT 1;
    IF NOT FOUND THEN
        waits_for := CASE c.state WHEN 'IN_PROGRESS' THEN 'end of call' END;
        RETURN;
    END IF;
    SELECT x.* INTO e FROM mulberry_internal.endpoints x WHERE x.id = j.route;
    breaker := mulberry_internal.open_breaker(j.route, j.tenant);
    job := j.kind;
    endpoint := coalesce(e.name, j.endpoint);
    attempts := j.attempts;
    running := j.state = 'running' AND j.run_at > at;
    of_track := CASE j.kind WHEN 'transcribe' THEN mulberry_internal.track_of_job(j) END;
    track := (SELECT t.name FROM mulberry_internal.all_tracks t WHERE t.call = c.id AND t.number = of_track);
    division := j.payload->'division';
    IF of_track IS NOT NULL THEN
        audio_seconds := mulberry_internal.seconds_of_audio(c.id, of_track);
        parts := coalesce((division->>'parts')::integer, CASE WHEN running THEN 1 END);
        -- what was done of another division counts for nothing
        parts_done := CASE WHEN parts IS NULL THEN NULL
                           WHEN j.payload->'part_bytes' = division->'part_bytes' THEN coalesce((j.payload->>'parts_done')::integer, 0)
                           ELSE 0 END;
    END IF;

    IF NOT running THEN
        waits_for := CASE
            WHEN NOT mulberry.outbound_allowed() THEN 'resume_outbound()'
            WHEN j.route IS NULL OR e.enabled IS FALSE OR breaker.endpoint IS NOT NULL THEN 'endpoint'
            WHEN NOT isfinite(j.run_at) THEN 'retry_job()'
            WHEN j.run_at <= at THEN 'turn'
            WHEN j.attempts > 0 OR j.deferrals > 0 THEN 'next attempt'
            ELSE 'late packets' END;
        until := CASE waits_for WHEN 'endpoint' THEN breaker.retry_at WHEN 'next attempt' THEN j.run_at
                                WHEN 'late packets' THEN j.run_at END;
        queue_position := CASE WHEN j.route IS NOT NULL THEN mulberry_internal.place_in_queue(j) END;
    END IF;

    IF waits_for IN ('resume_outbound()', 'endpoint', 'retry_job()') THEN
        RETURN;    -- nobody knows
    END IF;
    speed := mulberry_internal.recent_speed(j.route, j.kind);
    own := coalesce(audio_seconds * speed.a_second * (1 - coalesce(parts_done::double precision / parts, 0)), speed.a_job);
    IF parts_done > (division->>'done_before')::integer THEN
        own := (parts - parts_done) * extract(epoch FROM j.started_at - (division->>'began')::timestamptz)
               / (parts_done - (division->>'done_before')::integer);
    END IF;
    IF running THEN
        estimated_seconds := CASE WHEN own IS NOT NULL THEN greatest(own - extract(epoch FROM at - j.started_at), 0) END;
    ELSE
        -- tenants with jobs there have turns; of those that are under way each is half done
        slots := least(e.max_concurrency,
                       current_setting('mulberry.workers')::integer * current_setting('mulberry.http_concurrency')::integer)
                 / (SELECT greatest(count(*), 1)::double precision
                      FROM mulberry_internal.job_lanes() l WHERE l.route = j.route AND l.run_at <= at);
        estimated_seconds := greatest(extract(epoch FROM until - at), 0,
                                      (queue_position - 1
                                       + (SELECT count(*) FROM mulberry_internal.job_queue q
                                           WHERE q.route = j.route AND q.tenant = j.tenant AND q.state = 'running' AND q.run_at > at) * 0.5)
                                      * speed.a_job / slots) + own;
    END IF;
END
$$;
COMMENT ON FUNCTION mulberry.call_progress(text, text) IS
    'how far a call is: its state, the job that is next or under way, of which track, at which endpoint; parts_done of parts, in which a '
    'long call is transcribed (null: not known before it begins); queue_position among the waiting jobs of its tenant at that endpoint (1: '
    'next). waits_for: end of call, late packets, turn, next attempt, endpoint (none, disabled, or out), retry_job() or resume_outbound() '
    'by somebody; until when, where that is known. estimated_seconds until that job is done, by what its endpoint did lately; null: '
    'there is nothing to go by. Errors: 42704 no such call';
