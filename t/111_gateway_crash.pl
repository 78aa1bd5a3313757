# kill -9 of the gateway, and of PostgreSQL, while clients send: what a client was told is accepted is in the table, once,
# and what is in the table was told, once clients have sent again what had no answer.  MULBERRY_KILLS says how often each
# is killed (3).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use HTTP::Tiny;
use JSON::PP;
use Mulberry::Cluster;
use Mulberry::Gateway;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $kills = $ENV{MULBERRY_KILLS} // 3;
my $clients = 12;
my $node = mulberry_cluster('gateway_crash', preload => 0, conf => "fsync = on\nrestart_after_crash = on");
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE gate LOGIN; SELECT mulberry.grant_access('gate', 'gateway', NULL)});
my $token = sql(q{SELECT mulberry.create_token('pbx', 'ingest')});
# fewer connections than clients, so that batches have several packets; every gateway takes the port of the first one
my @connections = ('--connections', 3);
my $gateway = start_gateway($node, @connections);
my $port = $gateway->{port};
my $ledgers = PostgreSQL::Test::Utils::tempdir();
my $stop = "$ledgers/stop";

# Sends one packet after another, each until it has its answer, and writes each answer down.
sub client
{
    my ($n) = @_;
    my $http = HTTP::Tiny->new(timeout => 60, keep_alive => 1);
    my $json = JSON::PP->new;
    open my $ledger, '>', "$ledgers/$n" or die;
    $ledger->autoflush(1);
    for (my $sequence = 0; !-e $stop; $sequence++)
    {
        my $tries = 0;
        while (1)
        {
            my $answer = $http->post("http://127.0.0.1:$port/v1/call/stream/client_$n", { headers => { 'Content-Type' => 'application/json', Authorization => "Bearer $token" },
                content => qq({"sequence":$sequence,"data":"$n $sequence","timestamp":1}) });
            $tries++;
            if ($answer->{status} == 202)
            {
                print $ledger "$sequence ", $json->decode($answer->{content})->{status}, " $tries\n";
                last;
            }
            # anything else: not done, or not known
            die "client $n: $answer->{status} $answer->{content}\n" if $answer->{status} !~ /^(?:50[034]|599)$/ || $tries > 2000;
            sleep 0.1;
        }
    }
    return;
}

my @pids;
foreach my $n (1 .. $clients)
{
    my $pid = fork;
    if ($pid == 0)
    {
        eval { client($n) };
        print STDERR $@ if $@;
        POSIX::_exit($@ ? 1 : 0);
    }
    push @pids, $pid;
}
sub answers { return scalar map { split /\n/ } map { -e "$ledgers/$_" ? slurp_file("$ledgers/$_") : '' } 1 .. $clients }
sub wait_for_more
{
    my ($before, $end) = (answers(), time + $PostgreSQL::Test::Utils::timeout_default);
    sleep 0.05 while answers() < $before + 40 && time < $end;
    ok(answers() >= $before + 40, shift);
    return;
}

wait_for_more('clients send');
foreach my $round (1 .. $kills)
{
    # while a transaction of it is likely under way: the clients never pause
    kill 'KILL', $gateway->{pid};
    $gateway->{run}->finish;
    $gateway = start_gateway($node, @connections, '--listen', "127.0.0.1:$port");
    wait_for_more("gateway killed: $round");
    my $pid = sql(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'mulberry-gateway' ORDER BY random() LIMIT 1});
    kill 'KILL', $pid;
    $node->poll_query_until('postgres', 'SELECT true') or die;
    wait_for_more("a backend killed, and with it all: $round");
    kill_server($node);
    $node->start;
    wait_for_more("all of PostgreSQL killed: $round");
    $node->stop('immediate');
    $node->start;
    wait_for_more("PostgreSQL stopped at once: $round");
}
append_to_file($stop, '');
foreach my $pid (@pids)
{
    waitpid $pid, 0;
    is($?, 0, 'a client has ended well');
}

my ($again, $packets) = (0, 0);
foreach my $n (1 .. $clients)
{
    my @lines = split /\n/, slurp_file("$ledgers/$n");
    my @stored = split /\n/, sql("SELECT sequence || ' ' || convert_from(data, 'UTF8') FROM mulberry.call_packets WHERE call_id = 'client_$n' ORDER BY sequence");
    is_deeply(\@stored, [ map { my ($sequence) = split / /; "$sequence $n $sequence" } @lines ], "client $n: the ledger is the table, " . @lines . ' packets');
    # a duplicate is only what was asked for more than once
    is(scalar(grep { / duplicate 1$/ } @lines), 0, '... and nothing is called a duplicate that was sent once');
    $again += grep { !/ 1$/ } @lines;
    $packets += @lines;
}
ok($again > 0, "$again of $packets packets had to be sent again");
# what was killed had work: there are batches of more than one packet
my %count = ask_admin($gateway, '/metrics')->{content} =~ /^mulberry_gateway_(batches_total|packets_total\{status="accepted"\}) (\d+)$/mg;
cmp_ok($count{'packets_total{status="accepted"}'}, '>', $count{batches_total}, 'packets came in batches');
kill 'TERM', $gateway->{pid};
$gateway->{run}->finish;
$node->stop;
done_testing();
