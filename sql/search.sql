-- search_calls() beside what PostgreSQL finds without any index of ours, over more calls than it looks at one by one.
SET client_min_messages = warning;
SELECT mulberry.create_tenant('se-other', language => 'english') IS NOT NULL AS made;

-- 4,000 calls over 20 days: words that all have, that few have, that only old or new calls have, that never meet
CREATE TEMP TABLE said AS
    SELECT n, ((date '2024-03-01' - date '1970-01-01' + n / 200)::bigint << 40) + 900000000 + n AS id,
           concat_ws(' ', 'hello', CASE WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END, CASE WHEN n % 3 = 0 THEN 'triple' END,
                     CASE WHEN n % 30 = 7 THEN 'cancel my contract' WHEN n % 3 = 1 THEN 'contract to cancel' END,
                     CASE WHEN n % 900 = 5 THEN 'walrus' END, CASE WHEN n < 2500 THEN 'early' ELSE 'late' END,
                     CASE WHEN n < 10 THEN 'first' END, 'goodbye') AS text
      FROM generate_series(0, 3999) n;
INSERT INTO mulberry_internal.calls (id, tenant, call_id, state, encoding, sample_rate, created_at, finished_at, transcription)
SELECT s.id, t.id, 'se-' || s.n, 'ARCHIVED', 'text', 8000,
       timestamptz '1970-01-01 00:00+00' + (s.id >> 40) * interval '1 day' + s.n % 200 * interval '400 s', now(), s.text
  FROM said s JOIN mulberry_internal.tenants t ON t.name = CASE WHEN s.n % 10 = 9 THEN 'se-other' ELSE 'default' END;
-- rows as wide as those of real calls, written in another order than that of the calls
INSERT INTO mulberry_internal.transcripts (call, tenant, language, search)
SELECT c.id, c.tenant, 'english',
       mulberry_internal.search_entry(c.tenant, 'english', c.transcription)
       || (SELECT array_to_tsvector(array_agg('filler' || f || repeat('x', 30))) FROM generate_series(1, 40) f)
  FROM mulberry_internal.calls c JOIN said s ON s.id = c.id ORDER BY s.n % 7, s.n;
-- rows that nobody sees any more
UPDATE mulberry_internal.transcripts SET search = search || 'walrus' WHERE call IN (SELECT id FROM said WHERE n % 100 = 50);
UPDATE mulberry_internal.transcripts SET search = ts_delete(search, 'walrus') WHERE call IN (SELECT id FROM said WHERE n % 100 = 50);
DELETE FROM mulberry_internal.calls WHERE id IN (SELECT id FROM said WHERE n % 500 = 499);
SELECT count(*) FROM mulberry_internal.transcripts x JOIN said s ON s.id = x.call;
ANALYZE mulberry_internal.transcripts;

-- the pairs are those of words one or two places apart, of whatever words
CREATE FUNCTION pg_temp.pairs(search tsvector) RETURNS tsvector LANGUAGE sql AS $$
    WITH places AS MATERIALIZED (SELECT u.lexeme, p.place FROM unnest($1) AS u CROSS JOIN LATERAL unnest(u.positions) AS p (place))
    SELECT coalesce(array_to_tsvector(array_agg(DISTINCT mulberry_internal.search_pair(a.lexeme, b.lexeme, b.place - a.place))), '')
      FROM places a JOIN places b ON b.place IN (a.place + 1, a.place + 2)
$$;
SELECT mulberry_internal.search_pairs(v) = pg_temp.pairs(v) AS same, length(mulberry_internal.search_pairs(v)) AS pairs
  FROM (VALUES (1, to_tsvector('english', 'I want to cancel my contract, and I want to cancel it now')), (2, ''), (3, 'alone:1'), (4, 'no places at all'),
               (5, 'a:1 b:1,2 c:2,3 d:3,6 e:16382,16383 f:16383 g:16383'), (6, 'a:1 a''a:3 '' '':2 ü:4'),
               (7, (SELECT to_tsvector('simple', string_agg('w' || n * n % 997, ' ')) FROM generate_series(1, 2000) n))) AS t (n, v) ORDER BY n;
CREATE FUNCTION pg_temp.found(query text, since timestamptz, before timestamptz, max_calls integer, tenants uuid[], older bigint DEFAULT NULL) RETURNS bigint[]
LANGUAGE sql SET search_path = pg_catalog, mulberry, mulberry_internal, pg_temp AS $$
    SELECT array_agg(f.call) FROM (SELECT m.call FROM mulberry_internal.matching_calls($5, $1, $2, $3, $4, $6) m ORDER BY m.call DESC LIMIT $4) f
$$;
CREATE TEMP TABLE there AS
    SELECT x.call, x.tenant, x.search, c.created_at FROM mulberry_internal.transcripts x JOIN mulberry_internal.calls c ON c.id = x.call;
CREATE FUNCTION pg_temp.wanted(query text, since timestamptz, before timestamptz, max_calls integer, tenants uuid[], older bigint DEFAULT NULL) RETURNS bigint[]
LANGUAGE sql AS $$
    SELECT array_agg(w.call)
      FROM (SELECT x.call FROM pg_temp.there x
             WHERE x.search @@ websearch_to_tsquery('english', $1) AND x.tenant = ANY ($5)
               AND ($2 IS NULL OR x.created_at >= $2) AND ($3 IS NULL OR x.created_at < $3) AND ($6 IS NULL OR x.call < $6)
             ORDER BY x.call DESC LIMIT $4) w
$$;
CREATE TEMP TABLE asked AS
    SELECT q.query, d.since, d.before, m.max_calls, t.tenants, pg_temp.wanted(q.query, d.since, d.before, m.max_calls, t.tenants) AS wanted
      FROM (VALUES ('hello'), ('walrus'), ('hello walrus'), ('early walrus'), ('first'), ('hello first'), ('early late'), ('even odd'), ('-late'),
                   ('-hello'), ('-early -late'), ('even -triple -late'), ('"cancel my contract"'), ('"contract cancel"'), ('"cancel contract"'), ('-"cancel my contract" early'),
                   ('"even triple" first'), ('"early even"'), ('"cancel my contract" "hello even"'), ('-"early goodbye" "hello odd"'), ('"my contract" or walrus'), ('"contract-to cancel"'), ('walrus or first'), ('nobody or early'), ('nobody'), ('nobody hello'), ('triple* -wal')) q (query)
           CROSS JOIN (VALUES (NULL::timestamptz, NULL::timestamptz), ('2024-03-05 10:03+00', '2024-03-14 15:17:11+00'), ('2024-03-19 12:00+00', NULL),
                              (NULL, '2024-03-02 11:00+00'), ('2024-03-07 00:00+00', '2024-03-07 00:00+00'), ('-infinity', 'infinity'), ('infinity', '-infinity')) d (since, before)
           CROSS JOIN (VALUES (1), (20), (700)) m (max_calls)
           CROSS JOIN (SELECT array_agg(id) AS tenants FROM mulberry_internal.tenants
                       UNION ALL SELECT ARRAY[id] FROM mulberry_internal.tenants WHERE name = 'se-other') t
     WHERE m.max_calls = 20 OR (d.since IS NULL AND d.before IS NULL);
SELECT count(*) > 300 AS many, count(wanted) > 100 AS many_with_hits FROM asked;
SELECT * FROM asked WHERE pg_temp.found(query, since, before, max_calls, tenants) IS DISTINCT FROM wanted;
-- page by page
CREATE TEMP TABLE pages AS SELECT a.*, p.n, a.wanted[p.n] AS older FROM asked a CROSS JOIN (VALUES (1), (3), (20), (150)) p (n) WHERE a.wanted[p.n] IS NOT NULL;
SELECT count(*) > 200 AS many FROM pages;
SELECT * FROM pages p WHERE pg_temp.found(query, since, before, max_calls, tenants, older) IS DISTINCT FROM pg_temp.wanted(query, since, before, max_calls, tenants, older);
-- the same where the index of words knows no more than pages
SET work_mem = '64kB';
SELECT * FROM asked WHERE pg_temp.found(query, since, before, max_calls, tenants) IS DISTINCT FROM wanted;
RESET work_mem;
-- and without that index
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'mulberry_internal.transcripts_search'::regclass;
SELECT * FROM asked WHERE since IS NULL AND pg_temp.found(query, since, before, max_calls, tenants) IS DISTINCT FROM wanted;
UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'mulberry_internal.transcripts_search'::regclass;
-- what is asked of the index for phrases
SELECT q, mulberry_internal.search_query(websearch_to_tsquery('english', q)) FROM (VALUES ('"cancel my contract"'), ('cancel contract'), ('"one two three" four'),
    ('-"one two" three'), ('"one two" -"two three"'), ('"one two" or three'), ('"it''s o''clock"'), ('"c:\\dir file"'), ('')) v (q);
SELECT mulberry_internal.search_query('!a <-> b'::tsquery), mulberry_internal.search_query('(a & b) <-> c'::tsquery), mulberry_internal.search_query('a <-> (b <-> c)'::tsquery);
-- the next page, by the last row of the one before
SELECT call_id FROM mulberry.search_calls('walrus', max_calls => 4);
SELECT n.call_id FROM (SELECT array_agg(ARRAY[tenant_name, call_id]) AS rows FROM mulberry.search_calls('walrus', max_calls => 2)) s,
       mulberry.search_calls('walrus', max_calls => 2, older_than => ARRAY[s.rows[2][1], s.rows[2][2]]) n;
SELECT mulberry.search_calls('walrus', older_than => v.o::text[]) FROM (VALUES ('{}')) v (o);
SELECT mulberry.search_calls('walrus', older_than => '{default}');
SELECT mulberry.search_calls('walrus', older_than => '{default,NULL}');
SELECT mulberry.search_calls('walrus', older_than => '{{default,c}}');
SELECT mulberry.search_calls('walrus', older_than => '{default,c,d}');
SELECT mulberry.search_calls('walrus', older_than => '{default,nowhere}');
SELECT mulberry.search_calls('walrus', older_than => '{nobody,nowhere}');
-- a search sees what was there when its query began
SELECT call_id FROM mulberry.search_calls('walrus', max_calls => 2);
BEGIN ISOLATION LEVEL SERIALIZABLE;
UPDATE mulberry_internal.transcripts SET search = ts_delete(search, 'walrus') WHERE call = (SELECT id FROM said WHERE n = 3605);
SELECT call_id FROM mulberry.search_calls('walrus', max_calls => 2);
ROLLBACK;

DELETE FROM mulberry_internal.calls WHERE id IN (SELECT id FROM said);
SELECT count(*) FROM mulberry_internal.transcripts x JOIN said s ON s.id = x.call;
