# shellcheck shell=bash
# What benchmarks share: a private cluster in $work, preloaded, with the
# extension in the database "bench".  Sourced after scripts/common.sh; further
# lines of postgresql.conf are arguments.  Sets $PGHOST, $PGUSER, $PGDATABASE.
# shellcheck disable=SC2154 # $work, $as_user, $bindir come from scripts/common.sh

start_bench_cluster() {
    $as_user "$bindir/initdb" -D "$work/data" -A trust -U postgres -E UTF8 --locale=C >"$work/initdb.log" ||
        { cat "$work/initdb.log"; die "initdb failed"; }
    {
        printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$work'" \
            "shared_preload_libraries = 'mulberry'" "mulberry.databases = 'bench'" \
            "max_connections = 200" "shared_buffers = 256MB" "max_wal_size = 4GB" "$@"
    } >>"$work/data/postgresql.conf"
    $as_user "$bindir/pg_ctl" -D "$work/data" -l "$work/server.log" -w start >/dev/null ||
        { cat "$work/server.log"; die "the server did not start"; }
    export PGHOST=$work PGUSER=postgres PGDATABASE=bench
    "$bindir/createdb" bench
    "$bindir/psql" -Xq -v ON_ERROR_STOP=1 -c "SET client_min_messages = warning; CREATE EXTENSION mulberry CASCADE"
    for _ in $(seq 100); do
        [ "$("$bindir/psql" -XAtc 'SELECT mulberry.notifier_lives()')" = t ] && return
        sleep 0.1
    done
    cat "$work/server.log"
    die "no notifier was started"
}
