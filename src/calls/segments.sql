-- What was said when: segments of an engine's answers, as workers store and users read them.

CREATE OR REPLACE FUNCTION put_segments(call bigint, track integer, part integer, segments jsonb) RETURNS void
LANGUAGE sql AS $$
    -- the first part begins the track anew: there may be what an earlier job left
    DELETE FROM mulberry_internal.segments s WHERE s.call = $1 AND s.track = $2 AND $3 = 0;
    INSERT INTO mulberry_internal.segments (call, track, number, speaker, start_ms, end_ms, text, confidence, sentiment,
                                            sentiment_confidence, words)
    SELECT $1, $2, before.n + e.place - 1, e.segment->>'speaker', (e.segment->>'start_ms')::integer, (e.segment->>'end_ms')::integer,
           e.segment->>'text', (e.segment->>'confidence')::double precision, f.sentiment, f.confidence, e.segment->'words'
      FROM (SELECT coalesce(max(s.number) + 1, 0) AS n FROM mulberry_internal.segments s WHERE s.call = $1 AND s.track = $2) AS before
           CROSS JOIN jsonb_array_elements($4) WITH ORDINALITY AS e (segment, place)
           CROSS JOIN LATERAL mulberry.sentiment(e.segment->>'text') AS f
$$;
COMMENT ON FUNCTION put_segments(bigint, integer, integer, jsonb) IS
    'stores the segments of a part of a track behind those of the parts before it, each with its sentiment by the lexicon (internal)';

CREATE OR REPLACE FUNCTION keep_segments(job bigint, token bigint, part integer, segments jsonb) RETURNS void
LANGUAGE mulberry
SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    j mulberry_internal.job_queue;
BEGIN
    PERFORM mulberry_internal.limit_waits();
    j := mulberry_internal.leased_job(job, token);
    IF j.call IS NOT NULL THEN
        PERFORM mulberry_internal.put_segments(j.call, mulberry_internal.track_of_job(j), part, segments);
    END IF;
END
$$;
COMMENT ON FUNCTION keep_segments(bigint, bigint, integer, jsonb) IS
    'stores when it was said what an engine heard in a part of a call; nothing when the token is no longer the job''s';

CREATE OR REPLACE FUNCTION require_segments(call bigint, track integer, transcription text) RETURNS void
LANGUAGE sql AS $$
    SELECT mulberry_internal.put_segments($1, $2, 0, jsonb_build_array(jsonb_build_object('text', $3)))
     WHERE $3 <> '' AND NOT EXISTS (SELECT FROM mulberry_internal.segments s WHERE s.call = $1 AND s.track = $2)
$$;
COMMENT ON FUNCTION require_segments(bigint, integer, text) IS
    'makes a transcript of a track without segments one segment, without times (internal)';

CREATE OR REPLACE FUNCTION find_call(owner uuid, call_id text) RETURNS mulberry_internal.calls
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found_call mulberry_internal.calls;
BEGIN
    IF call_id IS NULL THEN
        RAISE EXCEPTION 'call id must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT c.* INTO found_call FROM mulberry_internal.calls c WHERE c.tenant = owner AND c.call_id = find_call.call_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'call "%" does not exist', call_id USING ERRCODE = 'undefined_object';
    END IF;
    RETURN found_call;
END
$$;
COMMENT ON FUNCTION find_call(uuid, text) IS 'a call of a tenant by its name; 42704 when there is none (internal)';

CREATE OR REPLACE FUNCTION segments_in_time(call bigint)
RETURNS TABLE (track text, speaker text, start_ms integer, end_ms integer, text text, confidence double precision,
               sentiment text, sentiment_confidence double precision, words jsonb)
LANGUAGE plpgsql STABLE ROWS 100 AS $$
DECLARE
    place jsonb;
BEGIN
    -- most calls have one track, whose time is that of call_audio()
    IF NOT EXISTS (SELECT FROM mulberry_internal.tracks t WHERE t.call = segments_in_time.call) THEN
        RETURN QUERY
            SELECT nullif(c.track, 'main'), s.speaker, s.start_ms, s.end_ms, s.text, s.confidence, s.sentiment,
                   s.sentiment_confidence, s.words
              FROM mulberry_internal.segments s
              JOIN mulberry_internal.calls c ON c.id = s.call
             WHERE s.call = segments_in_time.call
             ORDER BY s.start_ms, s.number;
        RETURN;
    END IF;
    -- from which place of a track on how much later it was in the call
    SELECT coalesce(jsonb_object_agg(t.track, t.places), '{}') INTO place
      FROM (SELECT p.track, jsonb_agg(jsonb_build_array(p.place_ms, p.time_ms - p.place_ms) ORDER BY p.place_ms DESC) AS places
              FROM mulberry_internal.track_times(segments_in_time.call) AS p GROUP BY p.track) AS t;
    RETURN QUERY
        SELECT k.name, s.speaker, (s.start_ms + later.ms)::integer, (s.end_ms + later.ms)::integer, s.text, s.confidence,
               s.sentiment, s.sentiment_confidence,
               CASE WHEN later.ms = 0 OR s.words IS NULL THEN s.words
                    ELSE (SELECT jsonb_agg(w.word || jsonb_strip_nulls(jsonb_build_object(
                                     'start_ms', (w.word->>'start_ms')::integer + later.ms,
                                     'end_ms', (w.word->>'end_ms')::integer + later.ms)) ORDER BY w.n)
                            FROM jsonb_array_elements(s.words) WITH ORDINALITY AS w (word, n)) END
          FROM mulberry_internal.segments s
          JOIN mulberry_internal.all_tracks k ON k.call = s.call AND k.number = s.track
          CROSS JOIN LATERAL (SELECT coalesce((SELECT (a.e->>1)::bigint FROM jsonb_array_elements(place->(k.id::text)) AS a (e)
                                                WHERE (a.e->>0)::bigint <= s.start_ms ORDER BY (a.e->>0)::bigint DESC LIMIT 1),
                                              0) AS ms) AS later
         WHERE s.call = segments_in_time.call
         ORDER BY 3, s.track, s.number;
END
$$;
COMMENT ON FUNCTION segments_in_time(bigint) IS
    'the segments of a call, by their begin in the time of all its tracks; a track that is called main and the only one has no name '
    '(internal)';

CREATE OR REPLACE FUNCTION mulberry.call_segments(call_id text, tenant text DEFAULT NULL)
RETURNS TABLE (track text, speaker text, start_ms integer, end_ms integer, text text, confidence double precision,
               sentiment text, sentiment_confidence double precision, words jsonb)
LANGUAGE mulberry STABLE ROWS 100 SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', call_segments.call_id);
    RETURN QUERY SELECT s.*
                   FROM mulberry_internal.segments_in_time(
                       (mulberry_internal.find_call(mulberry_internal.resolve_tenant(call_segments.tenant, 'supervisor', 'auditor'),
                                                    call_segments.call_id)).id) AS s;
END
$$;
COMMENT ON FUNCTION mulberry.call_segments(text, text) IS
    'what was said in a call, piece by piece in order of time; times are those of call_audio() '
    'or, of several tracks, of call_audio_stereo(), null for a call of encoding text. '
    'words: [{"word", "start_ms", "end_ms", "confidence"}, ...]; confidence is the engine''s, 0 to 1';

CREATE OR REPLACE FUNCTION turns(call bigint) RETURNS TABLE (speaker text, text text, start_ms integer)
LANGUAGE sql STABLE AS $$
    SELECT t.speaker, string_agg(t.text, ' ' ORDER BY t.n), min(t.start_ms)
      FROM (SELECT c.*, count(*) FILTER (WHERE c.changes) OVER (ORDER BY c.n) AS turn
              FROM (SELECT s.n, coalesce(s.speaker, s.track) AS speaker, s.text, s.start_ms,
                           coalesce(s.speaker, s.track) IS DISTINCT FROM lag(coalesce(s.speaker, s.track)) OVER (ORDER BY s.n) AS changes
                      FROM mulberry_internal.segments_in_time($1) WITH ORDINALITY
                           AS s (track, speaker, start_ms, end_ms, text, confidence, sentiment, sentiment_confidence, words, n)) AS c) AS t
     GROUP BY t.turn, t.speaker
     ORDER BY t.turn
$$;
COMMENT ON FUNCTION turns(bigint) IS 'the segments of a call, those of one speaker that follow each other together (internal)';

CREATE OR REPLACE FUNCTION mulberry.call_transcript(call_id text, format text DEFAULT 'text', tenant text DEFAULT NULL) RETURNS text
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    c mulberry_internal.calls;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', call_transcript.call_id, 'format', call_transcript.format);
    IF format IS NULL THEN
        RAISE EXCEPTION 'format must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF format NOT IN ('text', 'srt', 'vtt', 'json') THEN
        RAISE EXCEPTION 'unknown format "%" of a transcript', format
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Formats are text, srt, vtt and json.';
    END IF;
    c := mulberry_internal.find_call(mulberry_internal.resolve_tenant(call_transcript.tenant, 'supervisor', 'auditor'),
                                     call_transcript.call_id);
    IF c.transcription IS NULL THEN
        RETURN NULL;
    END IF;
    IF format IN ('srt', 'vtt') AND c.encoding = 'text' THEN
        RAISE EXCEPTION 'call "%" has text and no audio', c.call_id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Its transcript has no times: ask for text or json.';
    END IF;
    CASE format
        WHEN 'text' THEN
            RETURN coalesce((SELECT string_agg(concat_ws(': ', t.speaker, t.text), E'\n') FROM mulberry_internal.turns(c.id) AS t),
                            c.transcription);
        WHEN 'json' THEN
            RETURN jsonb_build_object('call_id', c.call_id, 'text', c.transcription, 'language', c.ai_result->'language',
                'sentiment', c.sentiment, 'confidence', c.confidence,
                'segments', coalesce((SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(s)))
                                        FROM mulberry_internal.segments_in_time(c.id) AS s), '[]'));
        ELSE
            RETURN mulberry_internal.subtitles(c.id, format = 'vtt');
    END CASE;
END
$$;
COMMENT ON FUNCTION mulberry.call_transcript(text, text, text) IS
    'the transcript of a call in order of time: as text, a line a turn with its speaker; as subtitles srt (SubRip) or vtt (WebVTT); or as '
    'json with its segments and words. null: there is none yet';
