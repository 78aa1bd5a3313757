-- Full-text search over transcripts.  The index holds the calls of all tenants; a word of its own in each entry stands
-- for tenant and language, so that a search reads what is its tenant's and no more.

CREATE OR REPLACE FUNCTION search_scope(tenant uuid, language text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN 'mulberry/' || tenant || '/' || language;
COMMENT ON FUNCTION search_scope(uuid, text) IS 'the word that stands for a tenant''s calls of a language in transcripts.search (internal)';

-- The index knows no positions: of a phrase it says which calls have its words, and each of those has to be read. So words
-- that stand next to each other are in an entry as pairs, too. What is indexed and what is asked for make them alike; two
-- pairs may have one hash, because what the index tells of phrases is looked at in any case.
CREATE OR REPLACE FUNCTION search_pair(word text, next_word text, distance integer) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_search_pair';
COMMENT ON FUNCTION search_pair(text, text, integer) IS
    'what stands in transcripts.search for two words 1 or 2 places apart; begins with a blank, as no word does (internal)';

CREATE OR REPLACE FUNCTION search_pairs(search tsvector) RETURNS tsvector
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mulberry_search_pairs';
COMMENT ON FUNCTION search_pairs(tsvector) IS 'the pairs of a transcript (internal)';

CREATE OR REPLACE FUNCTION search_query(words tsquery) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    word   CONSTANT text := $re$'(?:[^'\\]|''|\\.)*'$re$;
    tokens CONSTANT text[] := ARRAY(SELECT m[1] FROM regexp_matches(words::text, '(' || word || '|<-|<[0-9]+|[&|!()])', 'g') AS m);
    asked  tsquery := words;
    denied integer := 0;
BEGIN
    -- one alternative may do without the other's phrase
    IF '|' = ANY (tokens) THEN
        RETURN asked;
    END IF;
    FOR n IN 1 .. cardinality(tokens) LOOP
        -- within !( ... ) nothing is asked for
        denied := CASE WHEN tokens[n] = '(' AND (denied > 0 OR tokens[n - 1] = '!') THEN denied + 1
                       WHEN tokens[n] = ')' AND denied > 0 THEN denied - 1
                       ELSE denied END;
        IF denied = 0 AND tokens[n] IN ('<-', '<1', '<2') AND tokens[n - 1] ^@ '''' AND tokens[n + 1] ^@ ''''
           AND tokens[n - 2] IS DISTINCT FROM '!' THEN
            asked := asked && quote_literal(mulberry_internal.search_pair(
                         (tsvector_to_array(tokens[n - 1]::tsvector))[1], (tsvector_to_array(tokens[n + 1]::tsvector))[1],
                         CASE tokens[n] WHEN '<2' THEN 2 ELSE 1 END))::tsquery;
        END IF;
    END LOOP;
    RETURN asked;
END
$$;
COMMENT ON FUNCTION search_query(tsquery) IS 'the same with the pairs that a transcript has if it matches (internal)';

CREATE OR REPLACE FUNCTION search_entry(tenant uuid, language text, transcription text) RETURNS tsvector
LANGUAGE sql IMMUTABLE AS $$
    SELECT v.words || mulberry_internal.search_pairs(v.words) || array_to_tsvector(ARRAY[mulberry_internal.search_scope($1, $2)])
      FROM to_tsvector(('pg_catalog.' || $2)::regconfig, $3) AS v (words)
$$;
COMMENT ON FUNCTION search_entry(uuid, text, text) IS 'what transcripts.search has of a transcript (internal)';

CREATE OR REPLACE FUNCTION index_transcript(call bigint, tenant uuid, transcription text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    config text;
    length integer := length(transcription);
BEGIN
    SELECT t.language INTO config
      FROM mulberry_internal.tenants t
      JOIN pg_ts_config g ON g.cfgname = t.language AND g.cfgnamespace = 'pg_catalog'::regnamespace
     WHERE t.id = index_transcript.tenant;
    config := coalesce(config, 'simple');
    LOOP
        BEGIN
            INSERT INTO mulberry_internal.transcripts AS x (call, tenant, language, search)
            VALUES (index_transcript.call, index_transcript.tenant, config,
                    mulberry_internal.search_entry(index_transcript.tenant, config, left(transcription, length)))
            ON CONFLICT ON CONSTRAINT transcripts_pkey
            DO UPDATE SET language = excluded.language, search = excluded.search;
            RETURN;
        EXCEPTION WHEN program_limit_exceeded THEN
            -- more words than a tsvector can hold
            IF length = 0 THEN
                RAISE;
            END IF;
            length := length / 2;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION index_transcript(bigint, uuid, text) IS
    'makes a transcript one that search_calls() finds; of one that is too long for that, its beginning (internal)';

CREATE OR REPLACE FUNCTION languages_in_use(tenants uuid[]) RETURNS TABLE (tenant uuid, language text)
LANGUAGE sql STABLE ROWS 10 AS $$
    -- from one to the next by the index, however many transcripts there are
    WITH RECURSIVE used (tenant, language) AS (
        (SELECT x.tenant, x.language
           FROM unnest($1) AS t (id)
                CROSS JOIN LATERAL (SELECT y.tenant, y.language FROM mulberry_internal.transcripts y
                                     WHERE y.tenant = t.id ORDER BY y.tenant, y.language LIMIT 1) AS x)
        UNION ALL
        SELECT u.tenant, (SELECT y.language FROM mulberry_internal.transcripts y
                           WHERE y.tenant = u.tenant AND y.language > u.language ORDER BY y.language LIMIT 1)
          FROM used u
         WHERE u.language IS NOT NULL
    )
    SELECT u.tenant, u.language FROM used u WHERE u.language IS NOT NULL
$$;
COMMENT ON FUNCTION languages_in_use(uuid[]) IS 'the languages in which transcripts of these tenants are indexed (internal)';

CREATE OR REPLACE FUNCTION newest_matches(tenant uuid, language text, words tsquery, scoped tsquery, since timestamptz,
                                          before timestamptz, max_calls integer, older_than bigint) RETURNS bigint[]
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_newest_matches';
COMMENT ON FUNCTION newest_matches(uuid, text, tsquery, tsquery, timestamptz, timestamptz, integer, bigint) IS
    'the newest calls of a tenant and language whose transcripts match, newest first, all older than a call; scoped: words, and '
    'search_scope() (internal)';

CREATE OR REPLACE FUNCTION matching_calls(tenants uuid[], query text, since timestamptz, before timestamptz, max_calls integer,
                                          older_than bigint)
RETURNS TABLE (call bigint, language regconfig, words tsquery)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    used record;
BEGIN
    FOR used IN SELECT u.tenant, u.language FROM mulberry_internal.languages_in_use(tenants) u LOOP
        language := ('pg_catalog.' || used.language)::regconfig;
        words := websearch_to_tsquery(language, query);
        CONTINUE WHEN numnode(words) = 0;
        RETURN QUERY
            SELECT f.call, language, words
              FROM unnest(mulberry_internal.newest_matches(
                       used.tenant, used.language, words,
                       quote_literal(mulberry_internal.search_scope(used.tenant, used.language))::tsquery
                       && mulberry_internal.search_query(words),
                       coalesce(since, '-infinity'), coalesce(before, 'infinity'), max_calls,
                       coalesce(older_than, 9223372036854775807))) AS f (call);
    END LOOP;
END
$$;
COMMENT ON FUNCTION matching_calls(uuid[], text, timestamptz, timestamptz, integer, bigint) IS
    'the newest calls of each of these tenants and languages whose transcripts match, and by which words (internal)';

CREATE OR REPLACE FUNCTION mulberry.search_calls(
    query      text,
    since      timestamptz DEFAULT NULL,
    before     timestamptz DEFAULT NULL,
    max_calls  integer DEFAULT 20,
    tenant     text DEFAULT NULL,
    older_than text[] DEFAULT NULL
)
RETURNS TABLE (tenant_name text, call_id text, created_at timestamptz, headline text, rank real,
               track text, speaker text, start_ms integer)
LANGUAGE mulberry STABLE ROWS 20 SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    -- of a transcript that is longer, headline and place come from its beginning
    looked_at CONSTANT integer := 100000;
    tenants uuid[];
    last    bigint;
BEGIN
    PERFORM mulberry_internal.check_texts('query', search_calls.query, 'tenant', search_calls.tenant, 'older_than', older_than[1],
        'older_than', older_than[2]);
    IF query IS NULL THEN
        RAISE EXCEPTION 'query must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF max_calls IS NULL OR max_calls NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'max_calls % is out of range', coalesce(max_calls::text, 'null')
            USING ERRCODE = 'numeric_value_out_of_range', DETAIL = 'It must lie between 1 and 1000.';
    END IF;
    IF search_calls.tenant IS NULL THEN
        tenants := mulberry.current_tenants('supervisor', 'auditor');
    ELSE
        tenants := ARRAY[mulberry_internal.resolve_tenant(search_calls.tenant, 'supervisor', 'auditor')];
    END IF;
    IF older_than IS NOT NULL THEN
        IF older_than <> ARRAY[older_than[1], older_than[2]] OR array_position(older_than, NULL) IS NOT NULL THEN
            RAISE EXCEPTION 'older_than must have two elements' USING ERRCODE = 'invalid_parameter_value',
                DETAIL = 'They are tenant_name and call_id of a row.';
        END IF;
        SELECT c.id INTO last
          FROM mulberry_internal.tenants t JOIN mulberry_internal.calls c ON c.tenant = t.id
         WHERE t.name = older_than[1] COLLATE "C" AND t.id = ANY (tenants) AND c.call_id = older_than[2] COLLATE "C";
        IF NOT FOUND THEN
            RAISE EXCEPTION 'call "%" does not exist', left(older_than[2], 40) USING ERRCODE = 'undefined_object',
                HINT = 'It may have been erased: begin again, with "before".';
        END IF;
    END IF;
    RETURN QUERY
        SELECT t.name, c.call_id, c.created_at,
               ts_headline(m.language, left(c.transcription, looked_at), m.words,
                           'StartSel=**, StopSel=**, MaxFragments=2, MaxWords=20, MinWords=8, FragmentDelimiter=" ... "'),
               ts_rank(x.search, m.words), p.track, p.speaker, p.start_ms
          FROM (SELECT h.* FROM mulberry_internal.matching_calls(tenants, query, since, before, max_calls, last) AS h
                 ORDER BY h.call DESC LIMIT max_calls) AS m
          JOIN mulberry_internal.calls c ON c.id = m.call
          JOIN mulberry_internal.tenants t ON t.id = c.tenant
          JOIN mulberry_internal.transcripts x ON x.call = m.call
               -- where it is said: the segment that has most of the words
               LEFT JOIN LATERAL (
                   SELECT s.track, s.speaker, s.start_ms
                     FROM mulberry_internal.segments_in_time(m.call) WITH ORDINALITY
                          AS s (track, speaker, start_ms, end_ms, text, confidence, sentiment, sentiment_confidence, words, n)
                    WHERE s.n <= 2000
                    ORDER BY ts_rank(to_tsvector(m.language, s.text), replace(m.words::text, '&', '|')::tsquery) DESC, s.n
                    LIMIT 1) AS p ON true
         ORDER BY m.call DESC;
END
$$;
COMMENT ON FUNCTION mulberry.search_calls(text, timestamptz, timestamptz, integer, text, text[]) IS
    'calls whose transcripts match a query as web search has it (words that all must be there, "a phrase", or, -without), newest '
    'first: of one tenant or, for null, of all to which the role has supervisor or auditor access. The words found stand between ** in '
    'the headline, which is text as it was said and no HTML; track, speaker and start_ms tell where most of them are said together. The '
    'next page has tenant_name and call_id of the last row as older_than. Errors: 22003, 22004, 22023, 42704 no such tenant, or call';
