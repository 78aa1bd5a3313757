# The lock table of a server as PostgreSQL sets it up: sixteen clients hold the largest batches at once; larger ones, for
# which it has no room, fail as a whole.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;

my $node = mulberry_cluster('lock_table', preload => 0, conf => "fsync = off\nmax_connections = 100\nmax_locks_per_transaction = 64\nlog_statement = none");
my $directory = PostgreSQL::Test::Utils::tempdir();
my $clients = 16;

# All hold their locks before the first gives them back.
append_to_file("$directory/batch.sql", <<'SQL');
BEGIN;
SELECT 1 / (count(*) FILTER (WHERE status = 'accepted') = :calls)::integer
  FROM mulberry.ingest_packets(ARRAY(SELECT 'fit-' || :client_id || '-' || n FROM generate_series(1, :calls) n),
                               ARRAY(SELECT 0 FROM generate_series(1, :calls)),
                               ARRAY(SELECT 'a word'::bytea FROM generate_series(1, :calls)), encoding => 'text');
SELECT pg_advisory_xact_lock_shared(4711);
DO $$
BEGIN
    LOOP
        EXIT WHEN (SELECT count(*) >= current_setting('test.clients')::integer FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711)
               OR EXISTS (SELECT FROM passed);
        PERFORM pg_sleep(0.02);
    END LOOP;
END
$$;
INSERT INTO passed DEFAULT VALUES;
COMMIT;
SQL

is($node->safe_psql('postgres', q{SELECT setting FROM pg_settings, mulberry.outbound_allowed() WHERE name = 'mulberry.max_batch_calls'}), '250', 'a batch is at most of so many calls');
# whoever makes a day's partition keeps the others waiting until it commits
$node->safe_psql('postgres', 'SELECT mulberry.maintenance()');
$node->safe_psql('postgres', 'CREATE TABLE passed ()');
{
    local $ENV{PGOPTIONS} = "-c test.clients=$clients -c statement_timeout=${PostgreSQL::Test::Utils::timeout_default}s";
    $node->command_ok([ 'pgbench', '-n', '-c', $clients, '-j', 2, '-t', 1, '-D', 'calls=250', '-f', "$directory/batch.sql", 'postgres' ],
        'sixteen of the largest batches at once');
}
is($node->safe_psql('postgres', "SELECT count(*) FROM mulberry_internal.calls WHERE call_id LIKE 'fit-%'"), 16 * 250, '... are stored');

# More than there is room for, also by several batches of one transaction.
my ($status, $out, $error) = $node->psql('postgres', <<'SQL');
\set VERBOSITY sqlstate
SET mulberry.max_batch_calls = 10000;
BEGIN;
DO $$
BEGIN
    FOR batch IN 1..4 LOOP
        PERFORM FROM mulberry.ingest_packets(ARRAY(SELECT 'large-' || batch || '-' || n FROM generate_series(1, 10000) n),
                                             ARRAY(SELECT 0 FROM generate_series(1, 10000)),
                                             ARRAY(SELECT 'a word'::bytea FROM generate_series(1, 10000)), encoding => 'text');
    END LOOP;
END
$$;
COMMIT;
SQL
like($error, qr/ERROR: +53200/, 'for more there is no room');
is($node->safe_psql('postgres', "SELECT count(*) FROM mulberry_internal.calls WHERE call_id LIKE 'large-%'"), '0', '... and nothing is half taken');
is($node->safe_psql('postgres', "SELECT status FROM mulberry.ingest_packet('after', 0, 'a word', encoding => 'text')"), 'accepted', '... and the next is taken');

is( $node->safe_psql('postgres', q{SET mulberry.max_batch_calls = 1000; SELECT status || ': ' || hint FROM mulberry.health() WHERE item = 'lock table'}),
    'warning: For 16 such batches at once set max_locks_per_transaction = 160 and restart, or lower mulberry.max_batch_calls.', 'health() says what it takes');
($status, $out, $error) = $node->psql('postgres', q{SELECT count(*) FROM mulberry.ingest_packets(ARRAY(SELECT 'x' || n FROM generate_series(1, 251) n),
    ARRAY(SELECT 0 FROM generate_series(1, 251)), ARRAY(SELECT 'w'::bytea FROM generate_series(1, 251)), encoding => 'text')});
like($error, qr/251 calls.*250.*HINT:.*transaction of its own/s, 'more calls than a batch may have are refused before anything is locked');

$node->stop;
done_testing();
