# Many clients at once: they begin the first calls of a server without partitions,
# send the same packets against each other, complete calls under way, and a standby shows
# what came of it but takes nothing.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;

my $node = mulberry_cluster('ingest_concurrent', preload => 0, init => [ allows_streaming => 1 ],
    conf => "fsync = off\nmax_connections = 50\nlog_statement = none");
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('ingest_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

my $directory = PostgreSQL::Test::Utils::tempdir();

# A packet's data say who it is.
my $data = q{convert_to('call ' || :call || ' packet ' || :sequence, 'UTF8')};
append_to_file("$directory/first.sql", <<"SQL");
\\set call :client_id
\\set sequence 0
SELECT mulberry.ingest_packet('first-' || :call, :sequence, $data, encoding => 'text');
SQL
# few calls and few sequences, so that clients meet
append_to_file("$directory/single.sql", <<"SQL");
\\set call random(1, 6)
\\set sequence random_zipfian(1, 2000, 1.05) - 1
SELECT mulberry.ingest_packet('shared-' || :call, :sequence, $data, encoding => 'text');
SQL
append_to_file("$directory/batch.sql", <<'SQL');
\set from random(1, 2000) - 1
-- fails when a packet was refused
SELECT 1 / (count(*) FILTER (WHERE status NOT IN ('accepted', 'duplicate')) = 0)::integer
  FROM mulberry.ingest_packets(
      ARRAY(SELECT 'shared-' || 1 + (s * 7 + :from::integer) % 6 FROM generate_series(0, 29) s),
      ARRAY(SELECT (:from::integer + s * 13) % 2000 FROM generate_series(0, 29) s),
      ARRAY(SELECT convert_to('call ' || 1 + (s * 7 + :from::integer) % 6 || ' packet ' || (:from::integer + s * 13) % 2000, 'UTF8')
              FROM generate_series(0, 29) s), encoding => 'text');
SQL
# rolled back as often as not
append_to_file("$directory/undone.sql", <<"SQL");
\\set call random(1, 6)
\\set sequence random(1, 2000) - 1
BEGIN;
SELECT mulberry.ingest_packet('shared-' || :call, :sequence, $data, encoding => 'text');
SAVEPOINT a;
\\set sequence random(1, 2000) - 1
SELECT mulberry.ingest_packet('shared-' || :call, :sequence, $data, encoding => 'text');
ROLLBACK TO a;
\\if random(0, 1)
COMMIT;
\\else
ROLLBACK;
\\endif
SQL
append_to_file("$directory/complete.sql", <<'SQL');
\set call random(1, 6)
SELECT mulberry.complete_call('shared-' || :call, 2000) WHERE EXISTS (SELECT FROM mulberry.call_status WHERE call_id = 'shared-' || :call);
SQL

sub pgbench_ok
{
    my ($label, @arguments) = @_;
    my ($stdout, $stderr);
    my $result = IPC::Run::run(
        [ $node->installed_command('pgbench'), '-n', '-M', 'prepared', @arguments, 'postgres' ],
        '>', \$stdout, '2>', \$stderr, init => sub { $ENV{PGHOST} = $node->host; $ENV{PGPORT} = $node->port; });
    ok($result && $stdout =~ /number of failed transactions: 0 /, $label) or diag("$stdout\n$stderr");
    return;
}

# The first call of a day makes its partition; here 40 of them at once.
is($node->safe_psql('postgres', 'SELECT count(*) FROM mulberry_internal.packet_partitions()'), '0', 'a new database has no partition');
pgbench_ok('forty clients begin the first calls at once', '-c', 40, '-t', 1, '-f', "$directory/first.sql");
is($node->safe_psql('postgres', "SELECT count(*), sum(total_packets_received) FROM mulberry.call_status WHERE call_id LIKE 'first-%'"),
    '40|40', 'each has its call and its packet');

pgbench_ok('clients send the same packets to the same calls, one by one and in batches, and take some back',
    '-c', 12, '-j', 2, '-T', 6, '-f', "$directory/single.sql\@10", '-f', "$directory/undone.sql\@4",
    '-f', "$directory/batch.sql\@2", '-f', "$directory/complete.sql\@1");

my $check = <<'SQL';
WITH truth AS (
    SELECT c.id, count(p.sequence) AS packets, count(DISTINCT p.sequence) AS different, max(p.sequence) + 1 AS next,
           range_agg(int4range(p.sequence, p.sequence, '[]')) AS present,
           bool_and(convert_from(p.data, 'UTF8') = 'call ' || substr(c.call_id, 8) || ' packet ' || p.sequence) AS data_is_right
      FROM mulberry_internal.calls c JOIN mulberry_internal.packets p ON p.call = c.id WHERE c.call_id LIKE 'shared-%' GROUP BY c.id
)
SELECT count(*) AS calls, bool_and(packets = different) AS none_doubled, bool_and(data_is_right) AS data_is_right,
       bool_and(c.missing_count = next - packets) AS counts_are_right,
       bool_and(coalesce((SELECT range_agg(int4range(g.first, g.last, '[]')) FROM mulberry_internal.gaps g WHERE g.call = t.id), '{}')
                = int4multirange(int4range(0, next)) - present) AS gaps_are_right,
       bool_and(s.total_packets_received = packets AND s.expected_next_sequence = next) AS status_is_right
  FROM truth t JOIN mulberry_internal.calls c USING (id) JOIN mulberry.call_status s USING (call_id)
SQL
is($node->safe_psql('postgres', $check), '6|t|t|t|t|t', 'no packet doubled or mixed up, gaps and counts are right');
is($node->safe_psql('postgres', <<'SQL'), 't', 'each completed call has one job and one change of state');
SELECT bool_and((SELECT count(*) FROM mulberry_internal.job_queue j WHERE j.call = c.id) = (c.state = 'COMPLETED')::integer
                AND (SELECT count(*) FROM mulberry_internal.events e WHERE e.call = c.id) = (c.state = 'COMPLETED')::integer)
  FROM mulberry_internal.calls c WHERE c.call_id LIKE 'shared-%'
SQL

# A standby shows the same and takes nothing.
$node->wait_for_catchup($standby, 'replay');
is($standby->safe_psql('postgres', $check), '6|t|t|t|t|t', 'a standby shows the same');
$node->safe_psql('postgres', q{SELECT mulberry.ingest_packet('pcm', s, '\x01020304', encoding => 's16le') FROM unnest('{0,2}'::integer[]) s});
$node->wait_for_catchup($standby, 'replay');
is($standby->safe_psql('postgres', q{SELECT encode(substr(mulberry.call_audio('pcm'), 45), 'hex')}), '010203040000000001020304',
    'the audio of a call can be had from a standby');
is($standby->safe_psql('postgres', q{SELECT first, last FROM mulberry.call_gaps('pcm')}), '1|1', 'and its gaps');
for my $command ("ingest_packet('pcm', 1, '\\x0102')", "ingest_packets('{pcm}', '{1}', '{\"\\\\x0102\"}')", "complete_call('pcm', 3)", 'maintenance()')
{
    my ($status, undef, $error) = $standby->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT mulberry.$command");
    like($error, qr/25006/, "a standby refuses $command");
}

$standby->stop;
$node->stop;
done_testing();
