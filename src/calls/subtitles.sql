-- Subtitles: what was said, in pieces as people can read them. A cue has at most two lines of 42 characters and seven seconds.

CREATE OR REPLACE FUNCTION subtitle_time(ms integer, separator text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN format('%s:%s:%s%s%s', lpad((ms / 3600000)::text, 2, '0'), lpad((ms / 60000 % 60)::text, 2, '0'),
              lpad((ms / 1000 % 60)::text, 2, '0'), separator, lpad((ms % 1000)::text, 3, '0'));
COMMENT ON FUNCTION subtitle_time(integer, text) IS 'a time as subtitles write it, 00:00:00,000 or 00:00:00.000 (internal)';

-- An engine's words have no punctuation, or are cut elsewhere: letters are counted.
CREATE OR REPLACE FUNCTION subtitle_letters(word text) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN length(translate(word, ' .,;:!?-"()', ''));
COMMENT ON FUNCTION subtitle_letters(text) IS 'letters of a word, by which places of a text are found among an engine''s words (internal)';

CREATE OR REPLACE FUNCTION subtitle_words(said text, start_ms integer, end_ms integer, words jsonb,
    OUT word text, OUT begins integer, OUT ends integer, OUT is_glued boolean) RETURNS SETOF record
LANGUAGE plpgsql IMMUTABLE ROWS 20 AS $$
DECLARE
    said_letters CONSTANT integer := greatest(mulberry_internal.subtitle_letters(said), 1);
    -- the engine's: how many letters come before each, and its times
    place    integer[];
    starts   integer[];
    stops    integer[];
    all_heard integer;
    piece    record;
    first    double precision;
    last     double precision;
    done     integer := 0;
    k        integer := 1;
BEGIN
    SELECT array_agg(w.before ORDER BY w.n), array_agg(w.start_ms ORDER BY w.n), array_agg(w.end_ms ORDER BY w.n), sum(w.letters)
      INTO place, starts, stops, all_heard
      FROM (SELECT e.n, x.letters, (sum(x.letters) OVER (ORDER BY e.n) - x.letters)::integer AS before,
                   (e.word->>'start_ms')::integer AS start_ms, (e.word->>'end_ms')::integer AS end_ms
              FROM jsonb_array_elements(words) WITH ORDINALITY AS e (word, n)
                   CROSS JOIN LATERAL (SELECT mulberry_internal.subtitle_letters(e.word->>'word') AS letters) AS x) AS w;
    IF all_heard IS NULL OR all_heard = 0 OR array_position(starts, NULL) IS NOT NULL OR array_position(stops, NULL) IS NOT NULL THEN
        -- no times of words: as if it were one
        place := ARRAY[0];
        starts := ARRAY[start_ms];
        stops := ARRAY[end_ms];
        all_heard := said_letters;
    END IF;
    -- what is longer than a line is cut
    FOR piece IN SELECT m[1] AS space, m[2] AS word
                   FROM regexp_matches(said COLLATE "C", '([[:space:]]*)([^[:space:]]{1,42})', 'g') AS m LOOP
        word := piece.word;
        is_glued := piece.space = '';
        first := done::double precision * all_heard / said_letters;
        done := done + mulberry_internal.subtitle_letters(word);
        last := done::double precision * all_heard / said_letters;
        WHILE k < cardinality(place) AND place[k + 1] <= first LOOP
            k := k + 1;
        END LOOP;
        begins := starts[k] + (stops[k] - starts[k]) * least((first - place[k])
                  / greatest(coalesce(place[k + 1], all_heard) - place[k], 1), 1);
        WHILE k < cardinality(place) AND place[k + 1] < last LOOP
            k := k + 1;
        END LOOP;
        ends := greatest(begins, starts[k] + (stops[k] - starts[k]) * least(greatest(last - place[k], 0)
                / greatest(coalesce(place[k + 1], all_heard) - place[k], 1), 1));
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION subtitle_words(text, integer, integer, jsonb) IS
    'the words of a segment with times: those of the engine''s words, or else by their place in the text; glued: without a space before it '
    '(internal)';

CREATE OR REPLACE FUNCTION subtitle_lines(words text[], glued boolean[], first_room integer) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    room   CONSTANT integer := 42;
    line   text := '';
    whole  text := '';
    rest   integer;
    best   integer := 0;
    least_bad integer;
    bad    integer;
BEGIN
    FOR n IN 1 .. cardinality(words) LOOP
        whole := whole || CASE WHEN n = 1 OR glued[n] THEN '' ELSE ' ' END || words[n];
    END LOOP;
    IF length(whole) <= first_room THEN
        RETURN whole;
    END IF;
    -- two lines that are about as long, or a first one that ends with a part of the sentence
    FOR n IN 1 .. cardinality(words) - 1 LOOP
        line := line || CASE WHEN n = 1 OR glued[n] THEN '' ELSE ' ' END || words[n];
        rest := length(whole) - length(line) - CASE WHEN glued[n + 1] THEN 0 ELSE 1 END;
        CONTINUE WHEN length(line) > first_room OR rest > room;
        bad := abs(length(line) - rest) - CASE WHEN words[n] ~ '[.,;:!?]$' THEN 15 ELSE 0 END;
        IF least_bad IS NULL OR bad < least_bad THEN
            best := length(line);
            least_bad := bad;
        END IF;
    END LOOP;
    RETURN CASE WHEN best = 0 THEN whole ELSE left(whole, best) || E'\n' || ltrim(substr(whole, best + 1), ' ') END;
END
$$;
COMMENT ON FUNCTION subtitle_lines(text[], boolean[], integer) IS
    'the words of a cue in one line, or two; first_room: characters in the first one (internal)';

CREATE OR REPLACE FUNCTION subtitle_cues(said text, start_ms integer, end_ms integer, words jsonb, speaker_room integer,
    OUT begins integer, OUT ends integer, OUT lines text) RETURNS SETOF record
LANGUAGE plpgsql IMMUTABLE ROWS 2 AS $$
DECLARE
    longest    CONSTANT integer := 7000;
    room       CONSTANT integer := 42;
    first_room CONSTANT integer := greatest(room - speaker_room, room / 2);
    w          text[];
    from_ms    integer[];
    to_ms      integer[];
    glued      boolean[];
    first      integer := 1;
    stop       integer;
    best       integer;
    best_worth integer;
    worth      integer;
    line       integer;
    used       integer;
    size       integer;
BEGIN
    IF length(said) <= first_room AND end_ms - start_ms <= longest THEN
        lines := btrim(regexp_replace(said COLLATE "C", '[[:space:]]+', ' ', 'g'), ' ');
        begins := start_ms;
        ends := end_ms;
        IF lines <> '' THEN
            RETURN NEXT;
        END IF;
        RETURN;
    END IF;
    SELECT array_agg(t.word), array_agg(t.begins), array_agg(t.ends), array_agg(t.is_glued)
      INTO w, from_ms, to_ms, glued
      FROM mulberry_internal.subtitle_words(said, start_ms, end_ms, words) AS t;
    WHILE first <= cardinality(w) LOOP
        -- how many fit
        line := 1;
        used := 0;
        stop := first - 1;
        WHILE stop < cardinality(w) LOOP
            size := length(w[stop + 1]) + CASE WHEN used = 0 OR glued[stop + 1] THEN 0 ELSE 1 END;
            IF used > 0 AND used + size > (CASE line WHEN 1 THEN first_room ELSE room END) THEN
                EXIT WHEN line = 2;
                line := 2;
                used := length(w[stop + 1]);
            ELSE
                used := used + size;
            END IF;
            EXIT WHEN stop >= first
                AND CASE WHEN stop + 1 = cardinality(w) THEN end_ms ELSE to_ms[stop + 1] END
                    - CASE first WHEN 1 THEN start_ms ELSE from_ms[first] END > longest;
            stop := stop + 1;
        END LOOP;
        -- where it is cut: behind a sentence, a part of one, at a pause; else so that no short rest is left
        best := stop;
        IF stop < cardinality(w) THEN
            best_worth := 0;
            FOR n IN (first + stop) / 2 .. stop LOOP
                worth := CASE WHEN w[n] ~ '[.!?][")]*$' THEN 3
                              WHEN w[n] ~ '[,;:]$' THEN 2
                              WHEN from_ms[n + 1] - to_ms[n] >= 250 THEN 1
                              ELSE 0 END;
                IF worth > 0 AND worth >= best_worth THEN
                    best := n;
                    best_worth := worth;
                END IF;
            END LOOP;
            IF best_worth = 0 AND 3 * (cardinality(w) - stop) < stop - first + 1 THEN
                best := (first + cardinality(w)) / 2;
            END IF;
        END IF;
        begins := CASE first WHEN 1 THEN start_ms ELSE from_ms[first] END;
        ends := least(CASE best WHEN cardinality(w) THEN end_ms ELSE to_ms[best] END, begins + longest);
        ends := greatest(begins, ends);
        lines := mulberry_internal.subtitle_lines(w[first:best], glued[first:best], first_room);
        RETURN NEXT;
        first := best + 1;
    END LOOP;
END
$$;
COMMENT ON FUNCTION subtitle_cues(text, integer, integer, jsonb, integer) IS
    'a segment cut into cues of at most two lines of 42 characters and 7 s; speaker_room: characters that stand before the first line '
    '(internal)';

CREATE OR REPLACE FUNCTION subtitles(call bigint, vtt boolean) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN $2 THEN E'WEBVTT\n\n' ELSE '' END || coalesce(string_agg(
               CASE WHEN $2 THEN '' ELSE q.number || E'\n' END
               || mulberry_internal.subtitle_time(q.begins, q.separator) || ' --> '
               || mulberry_internal.subtitle_time(q.ends, q.separator) || E'\n'
               || CASE WHEN q.speaker IS NULL THEN '' WHEN $2 THEN format('<v %s>', q.speaker) ELSE q.speaker || ': ' END
               || q.lines || E'\n\n', '' ORDER BY q.number), '')
      FROM (SELECT row_number() OVER (ORDER BY c.begins, s.n, c.part) AS number, c.begins, c.ends,
                   CASE WHEN $2 THEN '.' ELSE ',' END AS separator,
                   -- WebVTT reads < and & as markup
                   CASE WHEN $2 THEN replace(replace(replace(c.lines, '&', '&amp;'), '<', '&lt;'), '>', '&gt;') ELSE c.lines END AS lines,
                   CASE WHEN $2 THEN translate(l.speaker, '<>&', '') ELSE l.speaker END AS speaker
              FROM mulberry_internal.segments_in_time($1) WITH ORDINALITY
                   AS s (track, speaker, start_ms, end_ms, text, confidence, sentiment, sentiment_confidence, words, n)
                   -- a line of its own would end a subtitle
                   CROSS JOIN LATERAL (SELECT regexp_replace(coalesce(s.speaker, s.track) COLLATE "C", E'\\s+', ' ', 'g') AS speaker) AS l
                   CROSS JOIN LATERAL mulberry_internal.subtitle_cues(
                       s.text, s.start_ms, s.end_ms, s.words, CASE WHEN $2 OR l.speaker IS NULL THEN 0 ELSE length(l.speaker) + 2 END)
                       WITH ORDINALITY AS c (begins, ends, lines, part)
             WHERE s.start_ms IS NOT NULL) AS q
$$;
COMMENT ON FUNCTION subtitles(bigint, boolean) IS 'the segments of a call as SubRip or WebVTT (internal)';
