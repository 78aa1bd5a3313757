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

# Several batches of one transaction get no more than one.
my $batches = <<'SQL';
DO $$
BEGIN
    FOR batch IN 1..4 LOOP
        PERFORM FROM mulberry.ingest_packets(ARRAY(SELECT 'several-' || batch || '-' || n FROM generate_series(1, 250) n),
                                             ARRAY(SELECT 0 FROM generate_series(1, 250)),
                                             ARRAY(SELECT 'a word'::bytea FROM generate_series(1, 250)), encoding => 'text');
        /* COMMIT */
    END LOOP;
END
$$;
SQL
my (undef, undef, $refused) = $node->psql('postgres', "\\set VERBOSITY verbose\n$batches");
like($refused, qr/ERROR:  54000: .*mulberry\.max_batch_calls.*at most 250 calls.*HINT:  Commit before the next/s, 'several batches of a transaction are refused what one is');
$node->safe_psql('postgres', $batches =~ s{/\* (COMMIT) \*/}{$1;}r);
is($node->safe_psql('postgres', "SELECT count(*) FROM mulberry_internal.calls WHERE call_id LIKE 'several-%'"), 4 * 250, '... and taken where each is committed');

# More than there is room for, because of what others hold.
my ($status, $out, $error) = $node->psql('postgres', <<'SQL');
\set VERBOSITY sqlstate
DO $$
DECLARE
    taken integer := 0;
BEGIN
    LOOP
        BEGIN
            PERFORM pg_advisory_xact_lock(taken, k) FROM generate_series(1, 100) AS k;
        EXCEPTION WHEN out_of_memory THEN
            EXIT;
        END;
        taken := taken + 1;
    END LOOP;
    PERFORM FROM mulberry.ingest_packets(ARRAY(SELECT 'large-' || n FROM generate_series(1, 250) n),
                                         ARRAY(SELECT 0 FROM generate_series(1, 250)),
                                         ARRAY(SELECT 'a word'::bytea FROM generate_series(1, 250)), encoding => 'text');
END
$$;
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
