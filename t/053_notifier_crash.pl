# kill -9 of the notifier makes the server restart all its processes.  Nothing
# stored is lost, numbers stay without gaps and are never given twice, and those
# who listen find their way back by the number they have seen last.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run ();
use Mulberry::Cluster;
use Mulberry::Subscriber;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $default = '6d756c62-6572-7279-8000-000000000001';
my $rounds = $ENV{MULBERRY_CRASHES} // 3;
my $node = mulberry_cluster('crash', conf => "mulberry.workers = 0\nrestart_after_crash = on\nsynchronous_commit = off");

sub sql { return $node->safe_psql('postgres', shift) }

# Waits until the server takes connections again after a crash.
sub wait_for_server
{
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    while (time < $deadline)
    {
        my ($result) = $node->psql('postgres', 'SELECT 1');
        return if $result == 0;
        sleep 0.1;
    }
    die 'the server did not come back';
}

my $directory = PostgreSQL::Test::Utils::tempdir();
my $script = "$directory/events.sql";
append_to_file($script, <<'SQL');
SELECT mulberry_internal.emit_event('6d756c62-6572-7279-8000-000000000001', 'call_erased', NULL, 'load', '{"role": "tester"}');
SQL

my %told;    # what subscribers were told: event id by number
for my $round (1 .. $rounds)
{
    my $subscriber = Mulberry::Subscriber->new($node);
    my $load_log = "$directory/load.log";
    my $load = IPC::Run::start([ $node->installed_command('pgbench'), '-n', '-c', '4', '-T', '20', '-f', $script, '-d', $node->connstr('postgres') ],
        '>', $load_log, '2>', $load_log, IPC::Run::timeout(120));
    my @heard = $subscriber->take_until_call('load');
    sleep 0.5 + rand 1;
    $subscriber->query('SELECT;');
    my $top = 0;
    for my $message (@heard, $subscriber->take)
    {
        $top = $message->{seq} if ($message->{seq} // 0) > $top;
    }
    # what the subscriber knows by its number must stay true
    my ($seq, $id) = $top ? split(/\|/, sql("SELECT seq, id FROM mulberry_internal.events WHERE seq = $top")) : ();
    $told{$seq} = $id if defined $seq;

    my $notifier = backend_pid($node, 'mulberry notifier');
    kill 'KILL', $notifier;
    $load->finish;
    wait_for_server();
    wait_for_true($node, 'SELECT mulberry.notifier_lives()', 'the notifier lives');
    wait_for_true($node, 'SELECT count(*) = 0 FROM mulberry_internal.events WHERE seq IS NULL', 'every event has its number');
    isnt(backend_pid($node, 'mulberry notifier'), $notifier, "after kill -9 a notifier lives again ($round)");
    is( sql("SELECT count(*) - max(seq), count(DISTINCT seq) - max(seq), min(seq) FROM mulberry_internal.events WHERE tenant = '$default'"),
        '0|0|1', "numbers have neither gaps nor doubles ($round)");
    is( sql('SELECT count(*) FROM (VALUES (0::bigint, 0::bigint)' . join('', map { ", ($_, $told{$_})" } keys %told)
              . ') told (seq, id) JOIN mulberry_internal.events e USING (seq) WHERE e.id <> told.id'),
        0, "no number was given to another event ($round)");
}
cmp_ok(scalar(keys %told), '>', 0, 'subscribers were told something before the crashes');

my $subscriber = Mulberry::Subscriber->new($node);
my $last = sql('SELECT max(seq) FROM mulberry_internal.events');
sql("SELECT mulberry_internal.emit_event('$default', 'call_erased', NULL, 'after', '{\"role\": \"tester\"}')");
is(($subscriber->take_until_call('after'))[-1]{prev}, $last, 'events go out again, numbered on');
$subscriber->quit;

# What has nothing to do with the table of events goes on while that is locked.
my $locker = Mulberry::Subscriber->new($node, subscribe => 0);
$locker->query('BEGIN; LOCK TABLE mulberry_internal.events IN SHARE MODE;');
my $notifier = backend_pid($node, 'mulberry notifier');
$subscriber = Mulberry::Subscriber->new($node);
sleep 6;    # it looks for events every 5 s
sql("SELECT mulberry.ingest_packet('locked', 0, 'x', NULL, 'text')");
$subscriber->take_until_event('packet_received');
pass('packets are announced while the events are locked, as long as none is stored');
$locker->query('COMMIT;');

# One that fails again and again stays alive, backs off, and says why.
my $log = -s $node->logfile;
sql('ALTER TABLE mulberry_internal.event_counters ADD CONSTRAINT broken CHECK (last_seq < 0) NOT VALID');
sql("SELECT mulberry_internal.emit_event('$default', 'call_erased', NULL, 'unlucky', '{\"role\": \"tester\"}')");
ok($node->wait_for_log(qr/violates check constraint "broken"/, $log), 'an error while numbering is reported');
sleep 4;
my $said = () = slurp_file($node->logfile, $log) =~ /violates check constraint "broken"/g;
cmp_ok($said, '<=', 4, 'but not in a tight loop');
is(backend_pid($node, 'mulberry notifier'), $notifier, 'and does not end the notifier');
sql('ALTER TABLE mulberry_internal.event_counters DROP CONSTRAINT broken');
$subscriber->take_until_call('unlucky');
pass('the event goes out when the reason is gone');

$_->quit for $subscriber, $locker;
$node->stop;
done_testing();
