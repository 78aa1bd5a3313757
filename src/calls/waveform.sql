-- A call as a picture.

CREATE OR REPLACE FUNCTION draw_call(call bigint, title text, width integer, height integer, tracks text[], words text[], starts bigint[],
    ends bigint[], firsts boolean[], turn_tracks text[], turn_labels text[], turn_abouts text[], turn_starts timestamptz[],
    turn_ends timestamptz[], turn_cuts boolean[], turn_false_ones integer[]) RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED COST 20000 AS 'MODULE_PATHNAME', 'mulberry_draw_call';
COMMENT ON FUNCTION draw_call(bigint, text, integer, integer, text[], text[], bigint[], bigint[], boolean[], text[], text[], text[],
    timestamptz[], timestamptz[], boolean[], integer[]) IS
    'draws a call; of each word, in order of time, its track (null: the only one), its text, its times in ms, and whether it begins a '
    'segment; of each turn its track, a label, what is told of it, when it was, whether it was cut, and how often it paused for nothing '
    '(internal)';

CREATE OR REPLACE FUNCTION words_in_time(call bigint)
RETURNS TABLE (track text, word text, start_ms bigint, end_ms bigint, first boolean)
LANGUAGE sql STABLE ROWS 1000 AS $$
    SELECT s.track, w.word, w.start_ms, w.end_ms, w.n = 1
      FROM mulberry_internal.segments_in_time($1) WITH ORDINALITY
           AS s (track, speaker, start_ms, end_ms, text, confidence, sentiment, sentiment_confidence, words, place)
           CROSS JOIN LATERAL (
               SELECT e.word->>'word', coalesce((e.word->>'start_ms')::bigint, s.start_ms),
                      coalesce((e.word->>'end_ms')::bigint, s.end_ms), e.n
                 FROM jsonb_array_elements(s.words) WITH ORDINALITY AS e (word, n)
                WHERE e.word->>'word' IS NOT NULL
               UNION ALL
               SELECT s.text, s.start_ms, s.end_ms, 1 WHERE s.words IS NULL OR s.words = '[]') AS w (word, start_ms, end_ms, n)
     WHERE s.start_ms IS NOT NULL
     ORDER BY w.start_ms, s.place, w.n
$$;
COMMENT ON FUNCTION words_in_time(bigint) IS
    'the words of a call in order of time; of a segment whose words have none, all of it (internal)';

CREATE OR REPLACE FUNCTION mulberry.call_waveform(call_id text, tenant text DEFAULT NULL, width integer DEFAULT 1000,
    height integer DEFAULT NULL, title text DEFAULT NULL) RETURNS text
LANGUAGE mulberry STABLE SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    c mulberry_internal.calls;
BEGIN
    PERFORM mulberry_internal.check_texts('call_id', call_waveform.call_id, 'title', call_waveform.title);
    c := mulberry_internal.find_call(mulberry_internal.resolve_tenant(call_waveform.tenant, 'supervisor'), call_waveform.call_id);
    RETURN (SELECT mulberry_internal.draw_call(c.id, coalesce(nullif(call_waveform.title, ''), c.call_id),
                       coalesce(call_waveform.width, 1000), call_waveform.height, w.tracks, w.words, w.starts, w.ends, w.firsts,
                       t.tracks, t.labels, t.abouts, t.starts, t.ends, t.cuts, t.false_ones)
              FROM (SELECT array_agg(x.track) AS tracks, array_agg(x.word) AS words, array_agg(x.start_ms) AS starts,
                           array_agg(x.end_ms) AS ends, array_agg(x.first) AS firsts
                      FROM mulberry_internal.words_in_time(c.id) AS x) AS w,
                   (SELECT array_agg(x.track) AS tracks, array_agg(x.label) AS labels, array_agg(x.about) AS abouts,
                           array_agg(x.start_at) AS starts, array_agg(x.end_at) AS ends, array_agg(x.cut) AS cuts,
                           array_agg(x.false_ones) AS false_ones
                      FROM mulberry_internal.turns_in_time(c.id) AS x) AS t);
END
$$;
COMMENT ON FUNCTION mulberry.call_waveform(text, text, integer, integer, text) IS
    'a call as an SVG picture: its tracks one below the other in one time, each with its wave, what is missing of it, the digits, where '
    'somebody speaks, and below it the words of the transcript, as many as have room. Of a conversation that is over the turns of the '
    'caller and the replies of the agent, and a line where one was interrupted. A height of null fits what there is to see; the title is '
    'the call''s id unless one is given';
