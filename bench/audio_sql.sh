#!/bin/bash
# Decoding an hour of audio in SQL beside the core alone: time, memory, and how soon a
# query ends that is cancelled.
#
# Times are those of the processor, which other work disturbs least.  The kernel counts them by
# ticks of 4 ms or so, hence each is the mean of many runs; each ratio is the median of the
# ratios of interleaved pairs.  "reading" is
# what fetching the stored value costs by itself, by a function of PostgreSQL's own;
# "call" is call_dtmf() of the same hour as 180,000 packets of 20 ms, "rows" what
# PostgreSQL takes to add up the lengths of those.
#
# usage: bench/audio_sql.sh DECODER	(audio_decode)
#	PAIRS=9 RUNS=12
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$top/scripts/common.sh"
# shellcheck source=bench/cluster.sh
. "$top/bench/cluster.sh"
# shellcheck disable=SC2154 # $work, $bindir come from scripts/common.sh

decoder=$1
pairs=${PAIRS:-9}
runs=${RUNS:-12}

sql() {
    "$bindir/psql" -XqAt -v ON_ERROR_STOP=1 "$@"
}

median() {
    sort -g | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'
}

make_workplace
build
start_bench_cluster "jit = off" "autovacuum = off" "fsync = off"

sql <<'SQL'
SET search_path = mulberry, mulberry_internal, public;
CREATE TABLE public.hours (signal text, audio bytea);
ALTER TABLE public.hours ALTER COLUMN audio SET STORAGE EXTERNAL;
INSERT INTO public.hours SELECT 'digits', dtmf_synthesize(repeat('1234567890*#ABCD', 1000), on_ms => 100, off_ms => 125);
INSERT INTO public.hours
    SELECT 'noise', (SELECT string_agg(gen_random_bytes(1000), '') FROM generate_series(1, 28800));
INSERT INTO public.hours SELECT 'silence', decode(repeat('ff', 28800000), 'hex');
-- the same as calls, with packets of 20 ms
SELECT 1 / (count(*) = 3 * 180000)::integer
  FROM public.hours AS h, generate_series(0, 179) AS batch,
       LATERAL (SELECT array_agg(substr(h.audio, p::integer * 160 + 1, 160) ORDER BY p) AS packets, array_agg(p ORDER BY p) AS sequences
                  FROM generate_series(batch * 1000::bigint, batch * 1000 + 999) AS p) AS b,
       ingest_packets(array_fill(h.signal, ARRAY[1000]), b.sequences, b.packets, encoding => 'mulaw', sample_rate => 8000)
 WHERE status = 'accepted' \g /dev/null
VACUUM ANALYZE packets;
-- milliseconds of the processor that this backend has had
CREATE FUNCTION public.cpu_ms() RETURNS float8 LANGUAGE sql AS
    $$ SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::float8 / 1e6 $$;
-- means of so many runs: in memory, stored and reading alone, as a call and its rows alone
CREATE FUNCTION public.times(signal text, runs integer)
    RETURNS TABLE (memory float8, stored float8, reading float8, call float8, rows float8) LANGUAGE plpgsql AS $$
DECLARE
    value bytea;
    began float8;
BEGIN
    SELECT h.audio || '' INTO value FROM hours AS h WHERE h.signal = times.signal;
    began := cpu_ms();
    FOR run IN 1..runs LOOP
        PERFORM dtmf_decode(value, 'mulaw', 8000);
    END LOOP;
    memory := (cpu_ms() - began) / runs;
    began := cpu_ms();
    FOR run IN 1..runs LOOP
        PERFORM dtmf_decode(h.audio, 'mulaw', 8000) FROM hours AS h WHERE h.signal = times.signal;
    END LOOP;
    stored := (cpu_ms() - began) / runs;
    began := cpu_ms();
    FOR run IN 1..runs LOOP
        PERFORM get_byte(h.audio, 28799999) FROM hours AS h WHERE h.signal = times.signal;
    END LOOP;
    reading := (cpu_ms() - began) / runs;
    began := cpu_ms();
    FOR run IN 1..runs LOOP
        PERFORM count(*) FROM call_dtmf(times.signal);
    END LOOP;
    call := (cpu_ms() - began) / runs;
    began := cpu_ms();
    FOR run IN 1..runs LOOP
        PERFORM sum(octet_length(p.data)) FROM packets AS p JOIN calls AS c ON c.id = p.call WHERE c.call_id = times.signal;
    END LOOP;
    rows := (cpu_ms() - began) / runs;
    RETURN NEXT;
END $$;
ALTER FUNCTION public.times SET search_path = mulberry, mulberry_internal, public;
-- a plan for each call would copy the value that it is for
ALTER FUNCTION public.times SET plan_cache_mode = force_generic_plan;
-- anonymous memory of this backend, bytes: now, and at most (shared memory only grows)
CREATE FUNCTION public.memory_now() RETURNS bigint LANGUAGE sql AS
    $$ SELECT (regexp_match(pg_read_file('/proc/self/status'), 'RssAnon:\s+(\d+)'))[1]::bigint * 1024 $$;
CREATE FUNCTION public.memory_peak() RETURNS bigint LANGUAGE sql AS
    $$ SELECT ((regexp_match(s, 'VmHWM:\s+(\d+)'))[1]::bigint - (regexp_match(s, 'RssShmem:\s+(\d+)'))[1]::bigint
               - (regexp_match(s, 'RssFile:\s+(\d+)'))[1]::bigint) * 1024 FROM pg_read_file('/proc/self/status') AS s $$;
SQL

echo "An hour of mu-law at 8 kHz, dtmf_decode() and call_dtmf(); milliseconds of the processor, and ratios to the core's"
echo
printf '%-8s %8s %10s %10s %10s %10s %10s\n' signal core memory stored reading call rows
for signal in digits noise silence; do
    sql -c "SELECT encode(audio, 'hex') FROM hours WHERE signal = '$signal'" |
        python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))' >"$work/hour"
    : >"$work/ratios"
    for _ in $(seq "$pairs"); do
        core=$("$decoder" "$work/hour" "$runs")
        # once before, so that the pages are mapped
        times=$(sql -F ' ' -c "SELECT * FROM times('$signal', 1)" -c "SELECT * FROM times('$signal', $runs)" | tail -n 1)
        echo "$core $times" >>"$work/ratios"
    done
    printf '%-8s %8.1f' "$signal" "$(awk '{print $1}' "$work/ratios" | median)"
    for column in 2 3 4 5 6; do
        printf ' %10.3f' "$(awk -v c=$column '{print $c / $1}' "$work/ratios" | median)"
    done
    echo
done

for kind in stored compressed; do
    # pglz makes silence small; then all of it has to be in memory
    signal=$([ $kind = stored ] && echo noise || echo silence)
    storage=$([ $kind = stored ] && echo EXTERNAL || echo EXTENDED)
    sql <<SQL
CREATE TABLE $kind (audio bytea);
ALTER TABLE $kind ALTER COLUMN audio SET STORAGE $storage;
INSERT INTO $kind SELECT audio || '' FROM hours WHERE signal = '$signal';
SQL
done

echo
echo "Memory of one decoding over the audio's size (28.8 MB), wanted: below 2"
echo
for kind in stored compressed; do
    printf '%-12s %6.2f\n' $kind "$(sql <<SQL | tail -n 1
SELECT mulberry.dtmf_decode('\xff', 'mulaw', 8000), memory_peak() \g /dev/null
SELECT memory_now() AS before \gset
SELECT length(mulberry.dtmf_decode(audio, 'mulaw', 8000)) FROM $kind;
SELECT (memory_peak() - :before) / 28800000.0;
SQL
)"
done

echo
echo "Cancelled while it decodes: from the request to the end of the query, ms, wanted: below 100"
echo
for kind in stored compressed; do
    {
        printf '%s\n' '\timing on'
        # as if at 48 kHz, which takes longer than the longest of these
        for ms in $(seq 5 1 64); do
            echo "SET statement_timeout = '${ms}ms' \\; SELECT mulberry.dtmf_decode(audio, 'mulaw', 48000) FROM $kind;"
            printf "%s\n" "\\echo after $ms"
        done
    } | "$bindir/psql" -XqAt >"$work/cancel" 2>&1
    awk -v kind=$kind '/^Time:/ {time = $2} /canceling statement/ {n++} /^after/ {print time - $2}
        END {if (n != 60) {print "only " n " of 60 were cancelled" > "/dev/stderr"; exit 1}}' "$work/cancel" |
        sort -g | awk -v kind=$kind '{v[NR] = $1}
            END {printf "%-12s median %.1f, longest %.1f of %d\n", kind, v[int((NR + 1) / 2)], v[NR], NR}'
done
