#!/bin/bash
# Packet ingest against bare INSERTs into an equal table, in one cluster and one
# run.  Each figure is the median of the ratios of interleaved pairs, because the
# peer alone varies by a third within a minute.
#
# usage: bench/ingest.sh [single] [tracks] [slow-flush] [batch] [growth] [gaps]	(default: all)
#	PAIRS=5 SECONDS_EACH=3	pairs of runs a figure, and how long each run takes
#	ROWS=10000000			rows that "growth" fills the tables with
#	KEEP=1					keep the temporary directory
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
. "$top/scripts/common.sh"
# shellcheck disable=SC2154 # $work, $as_user, $bindir, $pg_config come from there

experiments=${*:-single tracks slow-flush batch growth gaps}
pairs=${PAIRS:-5}
seconds=${SECONDS_EACH:-3}
rows=${ROWS:-10000000}
run=0

sql() {
    $as_user "$bindir/psql" -XqAt -v ON_ERROR_STOP=1 "$@"
}

start_cluster() { # environment for the server
    $as_user env "$@" "$bindir/pg_ctl" -D "$work/data" -l "$work/server.log" -w -t 120 start >/dev/null
}

stop_cluster() {
    $as_user "$bindir/pg_ctl" -D "$work/data" -m fast -w -t 120 stop >/dev/null
}

# One run of a script; prints transactions a second.  Every run has calls of
# its own, so that none begins where another ended.
tps() { # clients script arguments
    local clients=$1 script=$2
    shift 2
    run=$((run + 1))
    $as_user "$bindir/pgbench" -n -M prepared -c "$clients" -j 2 -T "$seconds" \
        -D run=$((run * 1000)) -D seq=-1 "$@" -f "$work/$script.sql" >"$work/pgbench.log" 2>&1 || {
        cat "$work/pgbench.log" >&2
        die "pgbench failed in $script"
    }
    sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$work/pgbench.log"
}

median() {
    sort -g | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'
}

# Interleaved pairs of two scripts, each pair in the other order than the one before.
compare() { # label clients ours peer arguments for both
    local label=$1 clients=$2 ours=$3 peer=$4 ratios='' a b pair
    shift 4
    tps "$clients" "$peer" "$@" >/dev/null # the first run after a change warms up
    run=$((run + 1))
    for pair in $(seq "$pairs"); do
        if [ $((pair % 2)) -eq 0 ]; then
            a=$(tps "$clients" "$ours" "$@")
            run=$((run + 1))
            b=$(tps "$clients" "$peer" "$@")
        else
            b=$(tps "$clients" "$peer" "$@")
            run=$((run + 1))
            a=$(tps "$clients" "$ours" "$@")
        fi
        run=$((run + 1))
        ratios="$ratios$(awk "BEGIN {print $a / $b}")
"
    done
    printf '%-58s %6.2f   (last pair: %.0f and %.0f a second)\n' "$label" \
        "$(printf '%s' "$ratios" | median)" "$a" "$b"
}

write_scripts() {
    # 320 bytes: 20 ms of s16le at 8 kHz, the form in which telephony sends
    local data="decode(repeat('5a', 320), 'hex')"

    cat >"$work/insert.sql" <<SQL
\\set seq :seq + 1
\\set call :run + :client_id
INSERT INTO peer (call, sequence, sent_at, received_at, data)
VALUES (:call, :seq, NULL, clock_timestamp(), $data) ON CONFLICT DO NOTHING;
SQL
    cat >"$work/ingest.sql" <<SQL
\\set seq :seq + 1
\\set call :run + :client_id
SELECT mulberry.ingest_packet('run-' || :call, :seq, $data);
SQL
    # packets of the second track of a call
    cat >"$work/second_track.sql" <<SQL
\\set seq :seq + 1
\\set call :run + :client_id
\\if :seq = 0
SELECT mulberry.begin_call('run-' || :call, tracks => ARRAY['caller', 'agent']);
\\endif
SELECT mulberry.ingest_packet('run-' || :call, :seq, $data, track => 'agent');
SQL
    # the same answer in columns, for which the executor sets up a function scan
    sed 's/^SELECT /SELECT * FROM /' "$work/ingest.sql" >"$work/ingest_columns.sql"
    # a NOTIFY for each packet, as a supervisor's feed would be made without the ring
    cat >"$work/notify.sql" <<SQL
\\set seq :seq + 1
\\set call :run + :client_id
WITH packet AS (INSERT INTO peer (call, sequence, sent_at, received_at, data)
    VALUES (:call, :seq, NULL, clock_timestamp(), $data) ON CONFLICT DO NOTHING RETURNING call, sequence)
SELECT pg_notify('packets', call::text || ' ' || sequence) FROM packet;
SQL
    # the usual way: a row lock, an INSERT and an UPDATE in PL/pgSQL
    cat >"$work/plpgsql.sql" <<SQL
\\set seq :seq + 1
\\set call :run + :client_id
SELECT * FROM peer_ingest('run-' || :call, :seq, $data);
SQL
    # batches of 50, of one call and of ten
    for calls in 1 10; do
        cat >"$work/insert_$calls.sql" <<SQL
\\set seq :seq + 50 / $calls
\\set call 10 * (:run + :client_id)
INSERT INTO peer (call, sequence, sent_at, received_at, data)
SELECT u.call, u.sequence, NULL, clock_timestamp(), u.data
  FROM unnest(ARRAY(SELECT :call::bigint + c FROM generate_series(1, $calls) c, generate_series(1, 50 / $calls) s),
              ARRAY(SELECT :seq::integer + s FROM generate_series(1, $calls) c, generate_series(1, 50 / $calls) s),
              array_fill($data, '{50}')) AS u (call, sequence, data)
ON CONFLICT DO NOTHING;
SQL
        cat >"$work/ingest_$calls.sql" <<SQL
\\set seq :seq + 50 / $calls
\\set call 10 * (:run + :client_id)
SELECT count(*)
  FROM mulberry.ingest_packets(
              ARRAY(SELECT 'run-' || (:call::bigint + c) FROM generate_series(1, $calls) c, generate_series(1, 50 / $calls) s),
              ARRAY(SELECT :seq::integer + s FROM generate_series(1, $calls) c, generate_series(1, 50 / $calls) s),
              array_fill($data, '{50}'));
SQL
    done
    # a call with many gaps: packets one after another, or every second one
    cat >"$work/in_order.sql" <<SQL
\\set seq :seq + 1
SELECT * FROM mulberry.ingest_packet(:call::text, :base::integer + :seq::integer, $data);
SQL
    cat >"$work/open.sql" <<SQL
\\set seq :seq + 1
SELECT * FROM mulberry.ingest_packet(:call::text, :base::integer + 2 * :seq::integer, $data);
SQL
    chmod 644 "$work"/*.sql
}

make_tables() {
    sql <<'SQL'
CREATE EXTENSION IF NOT EXISTS mulberry CASCADE;
SELECT mulberry.maintenance();
CREATE TABLE peer (call bigint NOT NULL, sequence integer NOT NULL, sent_at timestamptz,
                   received_at timestamptz NOT NULL, data bytea NOT NULL);
ALTER TABLE peer ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX ON peer (call, sequence);

CREATE TABLE peer_calls (id bigserial PRIMARY KEY, call_id text UNIQUE, next integer NOT NULL DEFAULT 0,
                         total integer NOT NULL DEFAULT 0, missing int4multirange NOT NULL DEFAULT '{}') WITH (fillfactor = 70);
CREATE FUNCTION peer_ingest(name text, sequence integer, data bytea, OUT status text, OUT total_received integer) LANGUAGE plpgsql AS $$
DECLARE
    c peer_calls;
BEGIN
    SELECT * INTO c FROM peer_calls p WHERE p.call_id = name FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO peer_calls (call_id) VALUES (name) ON CONFLICT DO NOTHING;
        SELECT * INTO c FROM peer_calls p WHERE p.call_id = name FOR UPDATE;
    END IF;
    IF sequence < c.next AND NOT c.missing @> sequence THEN
        status := 'duplicate';
        total_received := c.total;
        RETURN;
    END IF;
    INSERT INTO peer VALUES (c.id, peer_ingest.sequence, NULL, clock_timestamp(), peer_ingest.data);
    UPDATE peer_calls p
       SET next = greatest(c.next, peer_ingest.sequence + 1), total = c.total + 1,
           missing = CASE WHEN peer_ingest.sequence > c.next THEN c.missing + int4multirange(int4range(c.next, peer_ingest.sequence))
                          WHEN peer_ingest.sequence < c.next THEN c.missing - int4multirange(int4range(peer_ingest.sequence, peer_ingest.sequence, '[]'))
                          ELSE c.missing END
     WHERE p.id = c.id;
    status := 'accepted';
    total_received := c.total + 1;
END
$$;
SQL
}

single() {
    compare "ingest_packet / INSERT, 1 client (at least 0.9)" 1 ingest insert
    compare "ingest_packet / INSERT, 16 clients (at least 0.9)" 16 ingest insert
    compare "the same, SELECT * FROM ingest_packet" 16 ingest_columns insert
    compare "a PL/pgSQL function / INSERT, 16 clients" 16 plpgsql insert
}

tracks() {
    compare "packet of a second track / of the only one, 1 client (at least 0.91)" 1 second_track ingest
    compare "packet of a second track / of the only one, 16 clients (at least 0.91)" 16 second_track ingest
}

slow_flush() {
    stop_cluster
    start_cluster LD_PRELOAD="$work/slowsync.so" SLOWSYNC_US=2000
    # a subscriber that hears everything
    mkfifo "$work/listen"
    $as_user "$bindir/psql" -Xq <"$work/listen" >"$work/listen.log" 2>&1 &
    exec 9>"$work/listen"
    echo "SELECT mulberry.subscribe(); LISTEN packets;" >&9
    while sleep 1; do echo "SELECT 1 WHERE false;" >&9; done 2>/dev/null &
    local ticker=$!
    compare "ingest_packet / INSERT, flush + 2 ms, 64 clients (0.9)" 64 ingest insert
    compare "INSERT and NOTIFY / INSERT, flush + 2 ms, 64 clients" 64 notify insert
    kill $ticker
    exec 9>&-
    wait
    printf '%-58s %6d\n' "  messages that the subscriber heard meanwhile" \
        "$(grep -c 'packet_received' "$work/listen.log" || true)"
    stop_cluster
    start_cluster A=
}

batch() {
    compare "ingest_packets / INSERT ... unnest, 50 of one call (1.0)" 1 ingest_1 insert_1
    compare "ingest_packets / INSERT ... unnest, 50 of ten calls (1.0)" 1 ingest_10 insert_10
    compare "ingest_packets / INSERT ... unnest, 50 of ten, 8 clients" 8 ingest_10 insert_10
}

growth() {
    sql -c "TRUNCATE peer" -c "CHECKPOINT"
    compare "ingest_packet / INSERT, tables empty, 4 clients" 4 ingest insert
    sql -v rows="$rows" <<'SQL'
SELECT to_char(now() AT TIME ZONE 'UTC', '"mulberry_internal.packets_"YYYYMMDD') AS partition \gset
INSERT INTO mulberry_internal.calls (id, tenant, call_id, encoding, sample_rate)
SELECT (extract(epoch FROM now())::bigint / 86400) << 40 | nextval('mulberry_internal.call_number'), t.id, 'grown-' || n, 's16le', 16000
  FROM mulberry_internal.tenants t, generate_series(1, :rows / 1000) n WHERE t.name = 'default';
INSERT INTO :partition
SELECT c.id, s, NULL, now(), '\x5a5a5a5a5a5a5a5a' FROM mulberry_internal.calls c, generate_series(0, 999) s WHERE c.call_id LIKE 'grown-%';
INSERT INTO peer SELECT 100000000 + c, s, NULL, now(), '\x5a5a5a5a5a5a5a5a' FROM generate_series(1, :rows / 1000) c, generate_series(0, 999) s;
VACUUM ANALYZE;
CHECKPOINT;
SQL
    compare "ingest_packet / INSERT, $rows packets, 4 clients (same)" 4 ingest insert
}

# Packets of one call from where it stands: one after another, every second one, or
# every second one from its first gap on.
call_tps() { # in_order|open|fill call
    local base next='expected_next_sequence' script=$1
    [ "$1" = fill ] && next='first_missing_sequences[1]' && script=open
    base=$(sql -c "SELECT coalesce(max($next), 0) FROM mulberry.call_status WHERE call_id = '$2'")
    tps 1 "$script" -D call="$2" -D base="$base"
}

# How much longer a packet takes in a call with gaps than in one without.
compare_calls() { # label script peer_script
    local label=$1 ratios='' a b pair
    call_tps "$2" gappy >/dev/null
    for pair in $(seq "$pairs"); do
        a=$(call_tps "$2" gappy)
        b=$(call_tps "$3" "whole-$2-$pair")
        ratios="$ratios$(awk "BEGIN {print $b / $a}")
"
    done
    printf '%-58s %6.2f   (last pair: %.0f and %.0f a second)\n' "$label" \
        "$(printf '%s' "$ratios" | median)" "$a" "$b"
}

gaps() {
    sql <<'SQL'
DO $$
BEGIN
    FOR batch IN 0 .. 199 LOOP
        PERFORM mulberry.ingest_packets(array_fill('gappy'::text, '{500}'),
            ARRAY(SELECT 2 * (500 * batch + s) FROM generate_series(0, 499) s), array_fill('\x5a5a'::bytea, '{500}'));
    END LOOP;
    PERFORM mulberry.ingest_packet('gappy', 200000, '\x5a5a');
END
$$;
VACUUM ANALYZE mulberry_internal.gaps, mulberry_internal.calls;
SELECT '  gaps of the call: ' || count(*) FROM mulberry_internal.gaps;
SQL
    compare_calls "cost of a packet, call with 100,000 gaps / without (1.5)" in_order in_order
    compare_calls "cost of a packet that opens a gap, the same" open open
    compare_calls "cost of a packet that fills a gap / one in order without" fill in_order
}

started=$(date +%s)
install_packages build programs
make_workplace
say "building in $work"
build
cc -O2 -shared -fPIC -o "$work/slowsync.so" "$top/bench/slowsync.c" -ldl
$as_user "$bindir/initdb" -D "$work/data" -A trust -U postgres >/dev/null
cat >>"$work/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$work'
shared_buffers = '512MB'
max_wal_size = '8GB'
max_connections = 100
autovacuum = off
shared_preload_libraries = 'mulberry'
mulberry.databases = 'postgres'
mulberry.workers = 0
CONF
export PGHOST=$work PGUSER=postgres PGDATABASE=postgres
start_cluster A=
write_scripts
make_tables
say "median ratios of $pairs pairs of $seconds s"
for experiment in $experiments; do
    "${experiment//-/_}"
done
printf 'in %d s\n' $(($(date +%s) - started))
