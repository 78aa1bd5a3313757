# Settings that end a statement, a wait, a transaction or a session after some time are meant for
# clients. However short they are in the server's configuration, Mulberry's processes live on.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;
use Mulberry::StandIn;

my $ai = Mulberry::StandIn->new;
my $node = mulberry_cluster('timeouts', conf => "mulberry.grace_period = 0\nmulberry.workers = 2");
my $processes = "SELECT string_agg(pid || ' ' || backend_type, ', ' ORDER BY pid) FROM pg_stat_activity WHERE backend_type LIKE 'mulberry %'";

$node->safe_psql('postgres', "SELECT mulberry.set_endpoint('ai', 'json', '@{[ $ai->url('ok') ]}', allow_http => true, allow_private => true)");

# All that the server has and a session may set, so that those of newer servers are among them.
my @timeouts = split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT name FROM pg_settings WHERE name LIKE '%\_timeout' AND name NOT LIKE 'mulberry.%' AND context IN ('user', 'superuser')
 ORDER BY name
SQL
for my $expected (qw(statement_timeout lock_timeout idle_in_transaction_session_timeout idle_session_timeout))
{
    ok((grep { $_ eq $expected } @timeouts), "$expected is among them");
}
$node->append_conf('postgresql.conf', join("\n", map { "$_ = 1" } @timeouts) . "\n");
$ENV{PGOPTIONS} = join ' ', map { "-c $_=0" } grep { $_ ne 'deadlock_timeout' } @timeouts;
$node->restart;
wait_for_workers($node);
my $log = -s $node->logfile;
my $before = $node->safe_psql('postgres', $processes);
is(scalar(() = $before =~ /mulberry/g), 4, 'launcher, notifier and two workers');

for my $round (1 .. 3)
{
    new_call($node, "call-$round-$_", 'hello') for 1 .. 20;
    ok($node->poll_query_until('postgres',
            "SELECT count(*) = 20 FROM mulberry_internal.calls WHERE call_id LIKE 'call-$round-%' AND state = 'ARCHIVED'"),
        "round $round: 20 calls are archived");
    ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM mulberry_internal.events WHERE seq IS NULL'),
        'and their events numbered');
}
is($node->safe_psql('postgres', $processes), $before, 'by the same processes');
unlike(slurp_file($node->logfile, $log), qr/due to [a-z -]*timeout/, 'none of which was told to end');

# Since 17 the server lets them say what they wait for.
my %sleep = map { $_ => $node->safe_psql('postgres', "SELECT current_setting('server_version_num')::int >= 170000") eq 't' ? "Mulberry\u$_" : 'Extension' }
  qw(launcher notifier worker);
for my $process (sort keys %sleep)
{
    ok($node->poll_query_until('postgres',
            "SELECT bool_and(wait_event_type = 'Extension' AND wait_event = '$sleep{$process}') FROM pg_stat_activity WHERE backend_type = 'mulberry $process'"),
        "a $process sleeps in $sleep{$process}");
}

$node->stop;
$ai->stop;
done_testing();
