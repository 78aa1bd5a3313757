-- Full-text search over transcripts.  The index holds the calls of all tenants; a word of its own in each entry stands
-- for tenant and language, so that a search reads what is its tenant's and no more.

CREATE OR REPLACE FUNCTION search_scope(tenant uuid, language text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN 'mulberry/' || tenant || '/' || language;
COMMENT ON FUNCTION search_scope(uuid, text) IS 'the word that stands for a tenant''s calls of a language in transcripts.search (internal)';

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
                    to_tsvector(('pg_catalog.' || config)::regconfig, left(transcription, length))
                    || array_to_tsvector(ARRAY[mulberry_internal.search_scope(index_transcript.tenant, config)]))
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
                                          before timestamptz, max_calls integer) RETURNS bigint[]
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mulberry_newest_matches';
COMMENT ON FUNCTION newest_matches(uuid, text, tsquery, tsquery, timestamptz, timestamptz, integer) IS
    'the newest calls of a tenant and language whose transcripts match, newest first; scoped: words, and search_scope() (internal)';

CREATE OR REPLACE FUNCTION matching_calls(tenants uuid[], query text, since timestamptz, before timestamptz, max_calls integer)
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
                       quote_literal(mulberry_internal.search_scope(used.tenant, used.language))::tsquery && words,
                       coalesce(since, '-infinity'), coalesce(before, 'infinity'), max_calls)) AS f (call);
    END LOOP;
END
$$;
COMMENT ON FUNCTION matching_calls(uuid[], text, timestamptz, timestamptz, integer) IS
    'the newest calls of each of these tenants and languages whose transcripts match, and by which words (internal)';

CREATE OR REPLACE FUNCTION mulberry.search_calls(
    query     text,
    since     timestamptz DEFAULT NULL,
    before    timestamptz DEFAULT NULL,
    max_calls integer DEFAULT 20,
    tenant    text DEFAULT NULL
)
RETURNS TABLE (tenant_name text, call_id text, created_at timestamptz, headline text, rank real,
               track text, speaker text, start_ms integer)
LANGUAGE mulberry STABLE ROWS 20 SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
DECLARE
    -- of a transcript that is longer, headline and place come from its beginning
    looked_at CONSTANT integer := 100000;
    tenants uuid[];
BEGIN
    PERFORM mulberry_internal.check_texts('query', search_calls.query, 'tenant', search_calls.tenant);
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
    RETURN QUERY
        SELECT t.name, c.call_id, c.created_at,
               ts_headline(m.language, left(c.transcription, looked_at), m.words,
                           'StartSel=**, StopSel=**, MaxFragments=2, MaxWords=20, MinWords=8, FragmentDelimiter=" ... "'),
               ts_rank(x.search, m.words), p.track, p.speaker, p.start_ms
          FROM (SELECT h.* FROM mulberry_internal.matching_calls(tenants, query, since, before, max_calls) AS h
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
COMMENT ON FUNCTION mulberry.search_calls(text, timestamptz, timestamptz, integer, text) IS
    'calls whose transcripts match a query as web search has it (words that all must be there, "a phrase", or, -without), newest '
    'first: of one tenant or, for null, of all to which the role has supervisor or auditor access. The words found stand between ** in '
    'the headline, which is text as it was said and no HTML; track, speaker and start_ms tell where most of them are said together';
