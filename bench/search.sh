#!/bin/bash
# search_calls() over many transcripts, for queries that hit indexes where it hurts: words that all calls have or
# none, that only old calls have, only what must not be there, phrases of the commonest words.
#
# Milliseconds of the processor that the session has had (which other work disturbs least) and of the clock, medians of five,
# the first run of each query, which reads from disk, left out.
#
# usage: bench/search.sh [transcripts]	(default: 100000, of 120 words each, in two tenants)
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$top/scripts/common.sh"
# shellcheck source=bench/cluster.sh
. "$top/bench/cluster.sh"
# shellcheck disable=SC2154 # $work, $bindir come from scripts/common.sh

transcripts=${1:-100000}

make_workplace
build
start_bench_cluster "jit = off" "autovacuum = off" "fsync = off" "mulberry.workers = 0"

# Words as often as in speech: the k-th most frequent one is said k times less often than the first.
"$bindir/psql" -XqAt -v ON_ERROR_STOP=1 -v transcripts="$transcripts" <<'SQL'
SET client_min_messages = warning;
SELECT mulberry.create_tenant('other') IS NOT NULL \g /dev/null
SELECT setseed(0.5) \g /dev/null
CREATE TEMP TABLE said AS
    SELECT n, ((extract(epoch FROM now())::bigint / 86400 - 30 + n * 26 / :transcripts) << 40) + n AS id,
           (SELECT string_agg('word' || floor(20000 ^ random())::int, ' ') FROM generate_series(1, 120 + n * 0))
           || CASE WHEN n % 10000 = 7 THEN ' zwieback' ELSE '' END
           || CASE WHEN n < :transcripts / 2 THEN ' early' ELSE ' late' END || CASE WHEN n <= 10 THEN ' oldest' ELSE '' END AS text
      FROM generate_series(1, :transcripts) n;
INSERT INTO mulberry_internal.calls (id, tenant, call_id, state, encoding, sample_rate, created_at, finished_at, transcription)
SELECT s.id, t.id, 'call-' || s.n, 'ARCHIVED', 'mulaw', 8000, timestamptz '1970-01-01 12:00+00' + (s.id >> 40) * interval '1 day', now(), s.text
  FROM said s JOIN mulberry_internal.tenants t ON t.name = CASE WHEN s.n % 10 = 0 THEN 'other' ELSE 'default' END;
INSERT INTO mulberry_internal.segments (call, track, number, start_ms, end_ms, text)
SELECT s.id, 0, k, k * 5000, k * 5000 + 4000, array_to_string((string_to_array(s.text, ' '))[k * 12 + 1 : k * 12 + 12], ' ')
  FROM said s, generate_series(0, 10) k;
SELECT count(mulberry_internal.index_transcript(c.id, c.tenant, c.transcription)) FROM mulberry_internal.calls c \g /dev/null
VACUUM ANALYZE mulberry_internal.calls, mulberry_internal.segments, mulberry_internal.transcripts;
-- milliseconds of the processor that this session has had
CREATE FUNCTION cpu_ms() RETURNS float8 LANGUAGE sql AS
    $$ SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::float8 / 1e6 $$;
CREATE FUNCTION measure(query text, OUT hits bigint, OUT cpu numeric, OUT clock numeric) LANGUAGE plpgsql AS $$
DECLARE
    cpus float8[];
    clocks float8[];
    c float8;
    t timestamptz;
BEGIN
    FOR run IN 0 .. 5 LOOP
        c := cpu_ms();
        t := clock_timestamp();
        SELECT count(*) INTO hits FROM mulberry.search_calls(query);
        IF run > 0 THEN
            clocks := clocks || extract(epoch FROM clock_timestamp() - t)::float8 * 1000;
            cpus := cpus || cpu_ms() - c;
        END IF;
    END LOOP;
    cpu := (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY m) FROM unnest(cpus) m)::numeric(9, 1);
    clock := (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY m) FROM unnest(clocks) m)::numeric(9, 1);
END $$;
SQL

say "search_calls() over $transcripts transcripts, milliseconds, wanted: below 50"
printf '%-28s %6s %8s %8s\n' query found cpu clock
while IFS= read -r query; do
    read -r found cpu clock < <("$bindir/psql" -XqAt -F ' ' -v query="$query" <<<"SELECT * FROM measure(:'query')")
    printf '%-28s %6s %8s %8s\n' "$query" "$found" "$cpu" "$clock"
done <<'QUERIES'
word1 word2
word17 word300
word9000
zwieback
word1 zwieback
oldest
early
early late
nobody
nobody word1
word9000 or zwieback
late -word1
-word1
-late
-early -late
"word12 word25"
"word12 word250"
"word1 word2" word5000
"word1 word2 word3"
"word1 word2 word3 word4"
"late early"
QUERIES
