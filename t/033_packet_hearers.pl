# Packet events are kept for who hears of them: for nobody none, for a subscriber all that come after his subscription, however close
# behind it they come.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use Mulberry::Subscriber;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = mulberry_cluster('packet_hearers', conf => 'mulberry.workers = 0');
my $sequence = 0;

sub sql { return $node->safe_psql('postgres', shift) }
sub packet { sql("SELECT mulberry.ingest_packet('heard', " . $sequence++ . ", 'x', NULL, 'text')"); return }
sub session { return Mulberry::Subscriber->new($node, subscribe => 0) }

# Whether the event of a packet is kept.
sub kept
{
    my $taken = 'SELECT taken FROM mulberry_internal.packet_event_statistics()';
    my $before = sql($taken);
    packet();
    return sql($taken) > $before;
}

sub nobody_hears
{
    my ($what) = @_;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    while (kept())
    {
        die "packet events are kept: $what" if time > $deadline;
        sleep 0.05;
    }
    pass("no packet event is kept $what");
    return;
}

nobody_hears('while nobody has subscribed');

# ---- a subscription and a packet in one transaction ----

foreach my $filter ('', q{calls => '{heard}'})
{
    my $client = session();
    $client->query("BEGIN; SELECT mulberry.subscribe($filter); SELECT mulberry.ingest_packet('heard', $sequence, 'x', NULL, 'text'); COMMIT;");
    $sequence++;
    is($client->take_until_call('heard')->{event}, 'packet_received', 'who subscribes and sends a packet at once hears of it');
    ok(kept(), '... and of those behind it');
    $client->quit;
    nobody_hears('after the session has ended');
}

# ---- who is there, and does not hear any more ----

my ($first, $second) = map { session() } 1 .. 2;
$_->subscribe foreach $first, $second;
$first->query('SELECT mulberry.unsubscribe();');
ok(kept(), 'one of two sessions hears on');
$second->query('SELECT mulberry.unsubscribe();');
nobody_hears('after both have called unsubscribe()');
$second->subscribe;
ok(kept(), 'who subscribes again hears again');
is(sql('SELECT count(DISTINCT channel) FROM mulberry_internal.event_channels'), 1, 'on the same channel');
$first->subscribe(undef, kinds => '{state_changed}');
$second->quit;
nobody_hears('for who hears of other events');
is(sql(q{SELECT count(*) FROM mulberry_internal.channel_listeners l JOIN mulberry_internal.event_channels c USING (channel) WHERE c.listener IS NULL}),
    1, 'of sessions that have ended one row stays, by which it is known who knows the channel');
$first->quit;

# ---- while the notifier has read the channels and not yet what is to be sent ----

sub emitting
{
    my ($call) = @_;
    return <<"SQL";
SELECT mulberry_internal.emit_event(id, 'call_erased', NULL, '$call', '{"role": "tester"}') FROM mulberry_internal.tenants WHERE name = 'default'
SQL
}

# Stops (SIGSTOP) the notifier while it waits for who gives events their numbers.
sub stop_notifier
{
    my $pid = backend_pid($node, 'mulberry notifier');
    my $watch = open_session($node);
    my $waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid";
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    while (time < $deadline)
    {
        sql(emitting('noise'));
        next unless $watch->query_safe($waits) eq 't';
        kill 'STOP', $pid;
        while (Mulberry::Cluster::state_of($pid) ne 'T') { sleep 0.01 }
        last if $watch->query_safe($waits) eq 't';
        kill 'CONT', $pid;
    }
    $watch->quit;
    return $pid;
}

my $notifier;
END { kill 'CONT', $notifier if defined $notifier }
my $numbering = open_session($node);
my $late = session();
# who has numbered an event keeps others from numbering until he has committed
$numbering->query_safe($_) foreach 'BEGIN', emitting('noise'), 'SELECT count(*) FROM mulberry_internal.number_events()';
$notifier = stop_notifier();
is(Mulberry::Cluster::state_of($notifier), 'T', 'the notifier is stopped');
$late->subscribe;
packet();
sql(emitting('late'));
$numbering->query_safe('COMMIT');
kill 'CONT', $notifier;
my @events = $late->take_until_call('late');
is_deeply([ grep { !/noise|resync/ } map { $_->{call_id} // $_->{event} } @events ], [ 'heard', 'late' ], 'who has subscribed meanwhile hears what came after that');

$node->stop;
done_testing();
