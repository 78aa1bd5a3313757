# A batch whose answer was lost on its way, after its commit or before it, is sent again: its own packets are accepted, those that were there
# before are duplicates.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use JSON::PP;
use Mulberry::Cluster;
use Mulberry::Gateway;
use Mulberry::RawHttp qw(connection read_answer);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = mulberry_cluster('sent_again', conf => "wal_level = replica\nmax_wal_senders = 2");
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE gate LOGIN; SELECT mulberry.grant_access('gate', 'gateway', NULL)});
# one session, so that what comes while it waits is one batch
my $gateway = start_gateway($node, '--anonymous', 'ingest@default=127.0.0.0/8', '--connections', '1');

sub send_packet
{
    my ($call, $sequence, %more) = @_;
    my $body = encode_json(packet_body($sequence, %more));
    return connection($gateway, "POST /v1/call/stream/$call HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body");
}
sub status
{
    my $answer = read_answer(shift);
    my $said = eval { decode_json($answer->{body}) } // {};
    return join ' ', $answer->{status}, $said->{status} // '', ($said->{duplicate} // 0) ? 'twice' : 'once';
}
# the session of the gateway, once it waits for that
sub waiting_for
{
    my ($event) = @_;
    my $of = qq{FROM pg_stat_activity WHERE application_name = 'mulberry-gateway' AND $event};
    $node->poll_query_until('postgres', "SELECT count(*) = 1 $of") or die "the gateway does not wait for $event";
    return sql("SELECT pid $of");
}
sub gathered
{
    my ($n) = @_;
    for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
    {
        return if ask_admin($gateway, '/metrics')->{content} =~ /^mulberry_gateway_requests $n$/m;
        sleep 0.1;
    }
    die "no $n requests are under way";
}
sub lose { my ($pid) = @_; sql("SELECT pg_terminate_backend($pid)"); return }
sub stored { my ($call) = @_; return sql("SELECT string_agg(sequence || '=' || convert_from(data, 'UTF8'), ' ' ORDER BY sequence) FROM mulberry.call_packets WHERE call_id = '$call' AND track IS DISTINCT FROM 'agent'") }

my $lock = "wait_event_type = 'Lock'";
my $commit = "wait_event = 'SyncRep'";
my $holder = $node->background_psql('postgres');
# Holds calls until it ends: what comes for them waits.
sub hold { my @calls = @_; $holder->query_safe('BEGIN'); $holder->query_safe("SELECT mulberry.ingest_packet('$_', 0, 'x', encoding => 'text')") foreach @calls; return }
sub release { $holder->query_safe('ROLLBACK'); return }

is(status(send_packet('known', 0)), '202 accepted once', 'a packet that is there before');

# ---- as it is when nothing is lost: what comes while a batch waits is the next batch ----

hold('first');
my $first = send_packet('first', 1);
waiting_for($lock);
my @batch = map { send_packet(@$_) } [ 'known', 0 ], [ 'blocked', 1 ], [ 'known', 1 ];
gathered(4);
release();
is(status($first), '202 accepted once', 'a batch that another one waits for');
is(status(shift @batch), '202 duplicate twice', 'what was there is a duplicate');
is(status($_), '202 accepted once', 'the others are not') foreach @batch;

# ---- lost before its commit, while it waits for a call ----

hold('first');
$first = send_packet('first', 2);
waiting_for($lock);
@batch = map { send_packet(@$_) } [ 'known', 0 ], [ 'blocked', 2 ], [ 'known', 2 ];
gathered(4);
my $second_holder = $node->background_psql('postgres');
$second_holder->query_safe('BEGIN');
$second_holder->query_safe("SELECT mulberry.ingest_packet('blocked', 0, 'x', encoding => 'text')");
release();
is(status($first), '202 accepted once', 'the same again');
lose(waiting_for($lock));
$second_holder->query_safe('ROLLBACK');
is(status(shift @batch), '202 duplicate twice', 'of a batch that was rolled back and is sent again what was there is a duplicate');
is(status($_), '202 accepted once', 'the others are not') foreach @batch;
like(ask_admin($gateway, '/metrics')->{content}, qr/^mulberry_gateway_database_sent_again_total [1-9]/m, 'it was sent again');

# ---- lost after its commit, which waits for a standby that is not there ----

# Commits wait from now on, which is when one does.
sub miss_standby
{
    sql(q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
    sql('SELECT pg_reload_conf()');
    for my $n (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
    {
        my $probe = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', "SET application_name = 'probe $n'", '-c', "CREATE TABLE probe_$n ()" ], '<', '/dev/null', '>', '/dev/null', '2>', '/dev/null');
        my $of = "FROM pg_stat_activity WHERE application_name = 'probe $n' AND $commit";
        $node->poll_query_until('postgres', "SELECT to_regclass('probe_$n') IS NOT NULL OR EXISTS (SELECT $of)") or die 'a probe does nothing';
        my $waited = sql("SELECT count(pg_terminate_backend(pid)) $of");
        $probe->finish;
        return if $waited;
    }
    die 'commits wait for no standby';
}
hold('first');
$first = send_packet('first', 3);
waiting_for($lock);
# two with one number, of which the first is stored
@batch = ();
foreach my $packet ([ 'known', 2 ], [ 'blocked', 3 ], [ 'known', 3 ], [ 'known', 3, data => 'other' ], [ 'known', 3, track => 'agent' ])
{
    push @batch, send_packet(@$packet);
    gathered(1 + @batch);
}
$second_holder->query_safe('BEGIN');
$second_holder->query_safe("SELECT mulberry.ingest_packet('blocked', 0, 'x', encoding => 'text')");
release();
is(status($first), '202 accepted once', 'once more');
waiting_for($lock);
miss_standby();
$second_holder->query_safe('ROLLBACK');
lose(waiting_for($commit));
sql('ALTER SYSTEM RESET synchronous_standby_names');
sql('SELECT pg_reload_conf()');
is(status(shift @batch), '202 duplicate twice', 'of a batch that was committed and is sent again what was there is a duplicate');
is(status($_), '202 accepted once', 'and what it has stored is accepted') foreach splice @batch, 0, 2;
is(status(shift @batch), '202 duplicate twice', 'the second with a number that it has twice is a duplicate');
is(status(shift @batch), '202 accepted once', 'but the same number of another track is not');

# one whose packets all were there before
hold('known');
my $alone = send_packet('known', 0);
lose(waiting_for($lock));
release();
is(status($alone), '202 duplicate twice', 'what was there before is a duplicate, sent again by itself as well');
is(stored('known'), '0=packet_0 1=packet_1 2=packet_2 3=packet_3', 'all are stored, once');
$_->quit foreach $holder, $second_holder;
$node->stop;
done_testing();
