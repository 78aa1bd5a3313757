# A standby starts nothing, subscribes nobody and numbers nothing, but reads; once
# promoted it does all of it, and goes on counting where the primary was.
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

my $default = '6d756c62-6572-7279-8000-000000000001';
my $primary = mulberry_cluster('primary', init => [ allows_streaming => 1 ], conf => "mulberry.workers = 0");
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $processes = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'mulberry%'";

$primary->safe_psql('postgres', "SELECT mulberry_internal.emit_event('$default', 'call_erased', NULL, 'before', '{\"role\": \"tester\"}') FROM generate_series(1, 3)");
wait_for_true($primary, 'SELECT last_seq = 3 FROM mulberry_internal.event_counters', 'three events are numbered');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
sleep 1;
is($standby->safe_psql('postgres', $processes), 0, 'a standby runs no process of ours');
is($standby->safe_psql('postgres', "SELECT string_agg(seq::text, ' ' ORDER BY seq) FROM mulberry.events_since(0)"), '1 2 3',
    'events can be read there');
my ($result, $out, $error) = $standby->psql('postgres', '\set VERBOSITY sqlstate' . "\nSELECT mulberry.subscribe()");
like($error, qr/25006/, 'subscribe() is an error there');
($result, $out, $error) = $standby->psql('postgres', '\set VERBOSITY sqlstate' . "\nSELECT mulberry_internal.number_events()");
like($error, qr/25006/, 'so is number_events()');
is($standby->safe_psql('postgres', 'SELECT mulberry.notifier_lives()'), 'f', 'no notifier lives there');

# An event that the primary has not numbered when it dies.
my $notifier = backend_pid($primary, 'mulberry notifier');
stop_process($primary, $notifier);
$primary->safe_psql('postgres', "SELECT mulberry_internal.emit_event('$default', 'call_erased', NULL, 'unnumbered', '{\"role\": \"tester\"}')");
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
is($standby->safe_psql('postgres', 'SELECT max(seq) FROM mulberry.events_since(0)'), 3, 'what has no number yet is not read there');
kill 'CONT', $notifier;
$primary->stop('immediate');

$standby->promote;
wait_for_workers($standby);
pass('the promoted server starts its processes');
my $subscriber = Mulberry::Subscriber->new($standby);
$standby->safe_psql('postgres', "SELECT mulberry_internal.emit_event('$default', 'call_erased', NULL, 'after', '{\"role\": \"tester\"}')");
my ($message) = ($subscriber->take_until_call('after'))[-1];
is_deeply([ @{$message}{qw(seq prev)} ], [ 5, 4 ], 'an event of the new primary arrives, numbered on');
is($standby->safe_psql('postgres', "SELECT call_id FROM mulberry.events_since(3, 1)"), 'unnumbered', 'the one from before was not lost');

$subscriber->quit;
$standby->stop;

# ---- an acknowledgement waits for synchronous standbys ----

my $first = mulberry_cluster('first', init => [ allows_streaming => 1 ],
    conf => "mulberry.workers = 0\nsynchronous_commit = off");
$first->backup('base');
my $second = PostgreSQL::Test::Cluster->new('second');
$second->init_from_backup($first, 'base', has_streaming => 1);
$second->start;
$first->wait_for_catchup($second);
$first->append_conf('postgresql.conf', "synchronous_standby_names = '*'");
$first->reload;
wait_for_true($first, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'", 'the standby is synchronous');

my $packet = "SELECT (mulberry.ingest_packet('sync', 0, 'x', NULL, 'text')).status";
is($first->safe_psql('postgres', $packet), 'accepted', 'with its standby there, a packet is acknowledged');
is($first->safe_psql('postgres', "BEGIN; $packet; COMMIT; SHOW synchronous_commit"), "duplicate\noff",
    'the setting of the session is as before');
$second->stop;
my $waiting = Mulberry::Subscriber->new($first, subscribe => 0);
$waiting->query('SELECT 1;');
my $session = IPC::Run::start([ $first->installed_command('psql'), '-XqAt', '-d', $first->connstr('postgres'), '-c',
        "SELECT (mulberry.ingest_packet('sync', 1, 'x')).status" ], '>', \my $answer, '2>', \my $complaint);
ok($first->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%ingest%'"),
    'without it, a packet is not acknowledged, whatever synchronous_commit says');
is($waiting->query("CREATE TABLE other (); SELECT 'committed';"), 'committed', 'what acknowledges nothing does not wait');
$second->start;
$session->finish;
is($answer, "accepted\n", 'when it is back, the packet is acknowledged');

$waiting->quit;
$second->stop;
$first->stop;
done_testing();
