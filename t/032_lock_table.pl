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

# All hold their locks before the first gives them back; those that failed hold none.
append_to_file("$directory/batch.sql", <<'SQL');
BEGIN;
SELECT 1 / (count(*) FILTER (WHERE status = 'accepted') = :calls)::integer
  FROM mulberry.ingest_packets(ARRAY(SELECT current_setting('test.prefix') || '-' || :client_id || '-' || n FROM generate_series(1, :calls) n),
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

sub at_once
{
    my ($prefix, $calls, $waited_for) = @_;
    $node->safe_psql('postgres', 'DROP TABLE IF EXISTS passed; CREATE TABLE passed ()');
    local $ENV{PGOPTIONS} = "-c mulberry.max_batch_calls=$calls -c test.clients=$waited_for -c test.prefix=$prefix -c statement_timeout=${PostgreSQL::Test::Utils::timeout_default}s";
    my ($out, $err);
    my $done = IPC::Run::run [ 'pgbench', '-n', '-c', $clients, '-j', 2, '-t', 1, '-D', "calls=$calls", '-f', "$directory/batch.sql",
        $node->connstr('postgres') ], '>', \$out, '2>', \$err;
    return ($done, $err, $node->safe_psql('postgres', "SELECT count(*) FROM mulberry_internal.calls WHERE call_id LIKE '$prefix-%'"));
}

is($node->safe_psql('postgres', q{SELECT setting FROM pg_settings, mulberry.outbound_allowed() WHERE name = 'mulberry.max_batch_calls'}), '250', 'a batch is at most of so many calls');
# whoever makes a day's partition keeps the others waiting until it commits
$node->safe_psql('postgres', 'SELECT mulberry.maintenance()');
my ($done, $err, $stored) = at_once('fit', 250, $clients);
ok($done, 'sixteen of the largest batches at once') or diag $err;
is($stored, 16 * 250, '... are stored');

# The first to find the table full ends; nobody waits for it.
($done, $err, $stored) = at_once('large', 1000, 1);
unlike($err, qr/ERROR: (?! *out of shared memory)/, 'a batch is taken, or there is no room for it');
is($stored % 1000, 0, 'nothing is half taken');

is( $node->safe_psql('postgres', q{SET mulberry.max_batch_calls = 1000; SELECT status || ': ' || hint FROM mulberry.health() WHERE item = 'lock table'}),
    'warning: For 16 such batches at once set max_locks_per_transaction = 160 and restart, or lower mulberry.max_batch_calls.', 'health() says what it takes');
my ($status, $out, $error) = $node->psql('postgres', q{SELECT count(*) FROM mulberry.ingest_packets(ARRAY(SELECT 'x' || n FROM generate_series(1, 251) n),
    ARRAY(SELECT 0 FROM generate_series(1, 251)), ARRAY(SELECT 'w'::bytea FROM generate_series(1, 251)), encoding => 'text')});
like($error, qr/251 calls.*250/s, 'more calls than a batch may have are refused before anything is locked');

$node->stop;
done_testing();
