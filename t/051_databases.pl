# The launcher: databases come, go, are copied, renamed and moved; the extension
# comes and goes under load; nobody has to stop Mulberry's processes by hand, and
# they come back by themselves.
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

my $limit = 30;    # seconds, what the statements may take: none waits for a timeout of ours, on a busy machine neither
my $node = mulberry_cluster('databases',
    conf => "mulberry.databases = 'postgres, first, \"Second One\", third'\nmulberry.workers = 2\nmulberry.max_databases = 3");

sub sql { return $node->safe_psql('postgres', shift) }

# Runs a statement that must succeed within the limit.
sub in_time
{
    my ($statement, $what, $database) = @_;
    my $started = time;
    my ($result, $out, $error) = $node->psql($database // 'postgres', $statement);
    my $took = time - $started;
    ok($result == 0 && $took < $limit, $what) or diag(sprintf '%.1f s, %s', $took, $error // '');
    return;
}

sub processes
{
    my $database = shift;
    return sql("SELECT count(*) FROM pg_stat_activity WHERE datname = '$database' AND backend_type LIKE 'mulberry %'");
}

sub wait_for_no_processes
{
    my $database = shift;
    return $node->poll_query_until('postgres',
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = '$database' AND backend_type LIKE 'mulberry %'");
}

# What the database "postgres" has counted: starts and work of its processes, packet events.
sub counters
{
    return sql(<<'SQL');
SELECT p.starts, p.done, p.failed, e.taken, e.dropped
  FROM mulberry_internal.packet_event_statistics() e,
       (SELECT sum(starts) AS starts, sum(done) AS done, sum(failed) AS failed FROM mulberry.process_statistics()) p
SQL
}

# None is less than before; with a number, so many more starts.
sub counters_stayed
{
    my ($before, $what, $starts) = @_;
    my $now = counters();
    my @before = split /\|/, $before;
    my @now = split /\|/, $now;
    ok(@now == 5 && !(grep { ($now[$_] || 0) < $before[$_] } 0 .. 4), "no counter has shrunk: $what") or diag("$before, then $now");
    cmp_ok($now[0] || 0, '>=', $before[0] + $starts, 'and starts are counted on') if $starts;
    return;
}

# Waits until another process has taken the place of one.
sub wait_for_another
{
    my ($pid, $type, $database) = @_;
    wait_for_true($node, <<"SQL", "another $type than $pid runs in $database");
SELECT count(*) = 1 AND bool_and(pid <> $pid) FROM pg_stat_activity WHERE datname = '$database' AND backend_type = '$type'
SQL
    return;
}

# Ingest of several clients; the handle's results are whatever happens to them.
my $directory = PostgreSQL::Test::Utils::tempdir();
my $ingest = "$directory/ingest.sql";
append_to_file($ingest, <<'SQL');
SELECT mulberry.ingest_packet('load-' || :client_id, (random() * 1000000)::int % 1000, 'x', NULL, 'text');
SQL

# Calls that begin, end and are looked at: locks of many tables, in several orders.
my $calls = "$directory/calls.sql";
append_to_file($calls, <<'SQL');
\set n random(1, 1000000)
SELECT mulberry.ingest_packet('c' || :n, i, 'x', NULL, 'text') FROM generate_series(0, 1) i;
SELECT count(*) FROM mulberry.call_status WHERE call_id = 'c' || :n;
BEGIN;
SELECT mulberry.complete_call('c' || :n, 2);
SELECT count(*) FROM mulberry.events_since(0, 10);
END;
SQL

sub start_load
{
    my ($database, $script) = @_;
    # to a file: nobody reads a pipe while the statement under test runs
    my $log = "$directory/load.log";
    my $load = IPC::Run::start(
        [ $node->installed_command('pgbench'), '-n', '-c', '8', '-j', '2', '-T', '30', '-f', $script, '-d', $node->connstr($database) ],
        '>', $log, '2>', $log, IPC::Run::timeout(120));
    $node->poll_query_until($database, 'SELECT count(*) > 20 FROM mulberry_internal.packets') or die 'no load';
    return $load;
}

# ---- a database that appears later ----

sql('CREATE DATABASE first');
sleep 1;
ok(wait_for_no_processes('first'), 'without the extension nothing stays');
my $started = time;
$node->safe_psql('first', 'CREATE EXTENSION mulberry CASCADE');
wait_for_workers($node, 'first', 2);
cmp_ok(time - $started, '<', $limit, 'the extension is noticed when it is created');

$node->safe_psql('first', 'DROP EXTENSION mulberry');
ok(wait_for_no_processes('first'), 'and when it is dropped');
$node->safe_psql('first', 'BEGIN; CREATE EXTENSION mulberry; ROLLBACK');
sleep 0.5;
ok(wait_for_no_processes('first'), 'one that was rolled back is none');
$node->safe_psql('first', 'CREATE EXTENSION mulberry');
wait_for_workers($node, 'first', 2);
my $first_notifier = backend_pid($node, 'mulberry notifier', 'first');
$node->safe_psql('first', 'BEGIN; DROP EXTENSION mulberry; ROLLBACK');
wait_for_another($first_notifier, 'mulberry notifier', 'first');
wait_for_workers($node, 'first', 2);
pass('they come back when the extension stays after all');

# ---- copies ----

in_time('CREATE DATABASE copy TEMPLATE first', 'a served database can be copied');
wait_for_workers($node, 'first', 2);
pass('its processes come back');
is(processes('copy'), 0, 'a copy that is not in the list has none');
sql('DROP DATABASE copy');

# ---- renaming, moving ----

in_time('ALTER DATABASE first RENAME TO "Second One"', 'a served database can be renamed');
wait_for_workers($node, 'Second One', 2);
pass('it is served under its new name, which is in the list');
in_time('ALTER DATABASE "Second One" RENAME TO elsewhere', 'renamed to a name that is not in the list');
sleep 1;
ok(wait_for_no_processes('elsewhere'), 'it is served no more');
in_time('ALTER DATABASE elsewhere RENAME TO first', 'and back');
wait_for_workers($node, 'first', 2);
$node->safe_psql('postgres', "SET allow_in_place_tablespaces = on; CREATE TABLESPACE room LOCATION ''");
in_time('ALTER DATABASE first SET TABLESPACE room', 'a served database can be moved');
wait_for_workers($node, 'first', 2);
in_time('ALTER DATABASE first SET TABLESPACE pg_default', 'and back');
wait_for_workers($node, 'first', 2);

# ---- statements that fail or are not allowed ----

my $session = Mulberry::Subscriber->new($node, database => 'first', subscribe => 0);
$session->query('SELECT 1;');
my ($result, $out, $error) = $node->psql('postgres', 'DROP DATABASE first');
like($error, qr/is being accessed by other users.*There is 1 other session/s, 'another session is in the way, ours are not');
wait_for_workers($node, 'first', 2);
pass('after a DROP DATABASE that failed they come back');
sql('CREATE ROLE stranger LOGIN; CREATE ROLE owner LOGIN CREATEDB');
$first_notifier = backend_pid($node, 'mulberry notifier', 'first');
for my $statement ('DROP DATABASE first', 'ALTER DATABASE first RENAME TO x', 'CREATE DATABASE x TEMPLATE first',
    'DROP DATABASE first WITH (FORCE)', 'BEGIN; DROP DATABASE first')
{
    ($result, $out, $error) = $node->psql('postgres', $statement, extra_params => [ '-U', 'stranger' ]);
    isnt($result, 0, "$statement by a stranger fails");
}
($result, $out, $error) = $node->psql('first', 'DROP EXTENSION mulberry', extra_params => [ '-U', 'stranger' ]);
like($error, qr/must be owner/, 'so does DROP EXTENSION');
is(backend_pid($node, 'mulberry notifier', 'first'), $first_notifier, 'and nothing of it stops a process');
$session->quit;

# ---- DROP DATABASE ----

in_time('DROP DATABASE first', 'DROP DATABASE with only our processes connected');
sql('CREATE DATABASE third OWNER owner');
$node->safe_psql('third', 'CREATE EXTENSION mulberry CASCADE');
wait_for_workers($node, 'third', 2);
sql('CREATE DATABASE first');
$node->safe_psql('first', 'CREATE EXTENSION mulberry CASCADE');
wait_for_workers($node, 'first', 2);
pass('the slot of a dropped database is free for another');

my $load = start_load('first', $ingest);
in_time('DROP DATABASE first WITH (FORCE)', 'DROP DATABASE WITH (FORCE) under load');
$load->finish;

$started = time;
($result, $out, $error) = $node->psql('postgres', 'DROP DATABASE third WITH (FORCE)', extra_params => [ '-U', 'owner' ]);
is($result, 0, 'DROP DATABASE WITH (FORCE) by an owner who may not terminate our processes') or diag($error);
cmp_ok(time - $started, '<', $limit, 'in time');

# ---- DROP EXTENSION under load ----

sql('CREATE DATABASE first');
$node->safe_psql('first', 'CREATE EXTENSION mulberry CASCADE');
wait_for_workers($node, 'first', 2);
for my $round (1 .. 4)
{
    $load = start_load('first', $round == 1 ? $ingest : $calls);
    in_time('DROP EXTENSION mulberry', "DROP EXTENSION under load ($round)", 'first');
    $load->finish;
    $node->safe_psql('first', 'CREATE EXTENSION mulberry');
    wait_for_workers($node, 'first', 2);
}

# ---- settings ----

$node->append_conf('postgresql.conf', "mulberry.databases = 'postgres'");
$node->reload;
ok(wait_for_no_processes('first'), 'a database taken from the list loses its processes');
$node->append_conf('postgresql.conf', "mulberry.databases = 'postgres, first'\nmulberry.workers = 1");
$node->reload;
wait_for_workers($node, 'first', 1);
wait_for_workers($node, 'postgres', 1);
pass('the list and the number of workers follow the configuration');

sql(q(SELECT mulberry.grant_access('owner', 'worker', NULL)));
my $counters = counters();
$node->append_conf('postgresql.conf', "mulberry.worker_role = 'owner'\nmulberry.databases = 'postgres'");
$node->reload;
ok($node->poll_query_until('postgres', <<'SQL'), 'the processes run as mulberry.worker_role');
SELECT count(*) = 2 FROM pg_stat_activity WHERE usename = 'owner' AND backend_type ~ '^mulberry (notifier|worker)$'
SQL
my $subscriber = Mulberry::Subscriber->new($node);
sql("SELECT mulberry.ingest_packet('by role', 0, 'x', NULL, 'text')");
sql("SELECT mulberry.complete_call('by role', 1)");
is(($subscriber->take_until_event('state_changed'))[-1]{call_id}, 'by role', 'which can do what they do');
counters_stayed($counters, 'the processes have another role', 2);

my $log = -s $node->logfile;
$counters = counters();
$node->append_conf('postgresql.conf', "mulberry.worker_role = 'gone'");
$node->reload;
ok(wait_for_no_processes('postgres'), 'with a role that does not exist none runs');
ok($node->wait_for_log(qr/role "gone" of mulberry.worker_role does not exist/, $log), 'and the log says why');
counters_stayed($counters, 'nobody serves the database');
$node->append_conf('postgresql.conf', "mulberry.worker_role = ''");
$node->reload;
wait_for_workers($node, 'postgres', 1);
ok($node->wait_for_log(qr/WARNING:  Mulberry's workers in database "postgres" run as role .*, a superuser/, $log),
    'running as a superuser is worth a warning');
counters_stayed($counters, 'it is served again', 2);

# others take the slots that are free; one's own is given to another last
$counters = counters();
$node->append_conf('postgresql.conf', "mulberry.databases = 'first'");
$node->reload;
ok(wait_for_no_processes('postgres'), 'a database that is taken out of the list');
wait_for_workers($node, 'first', 1);
counters_stayed($counters, 'it is served no more');
$node->append_conf('postgresql.conf', "mulberry.databases = 'postgres, first'");
$node->reload;
wait_for_workers($node, 'postgres', 1);
counters_stayed($counters, 'it is in the list again', 2);
$node->append_conf('postgresql.conf', "mulberry.databases = 'postgres'");
$node->reload;
ok(wait_for_no_processes('first'), 'the other one is taken out');

# ---- processes that end ----

# what was sent before, a resync of the last start among it, is not the subject
my $default = '6d756c62-6572-7279-8000-000000000001';
wait_for_true($node, 'SELECT mulberry.notifier_lives()', 'the notifier lives');
sql("SELECT mulberry_internal.emit_event('$default', 'call_erased', NULL, 'marker', '{\"role\": \"tester\"}')");
$subscriber->take_until_call('marker');
my $pid = backend_pid($node, 'mulberry notifier');
sql("SELECT pg_terminate_backend($pid)");
wait_for_another($pid, 'mulberry notifier', 'postgres');
wait_for_true($node, 'SELECT mulberry.notifier_lives()', 'the notifier lives');
wait_for_workers($node, 'postgres', 1);
pass('a terminated notifier is started again');
is(($subscriber->take_until_event('resync'))[-1]{tenant}, 'default', 'and tells subscribers that they may have missed something');

$pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'mulberry launcher'");
my $notifier = backend_pid($node, 'mulberry notifier');
sql("SELECT pg_terminate_backend($pid)");
wait_for_true($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mulberry launcher' AND pid <> $pid",
    'another launcher runs');
wait_for_another($notifier, 'mulberry notifier', 'postgres');
wait_for_workers($node, 'postgres', 1);
pass('a terminated launcher takes its processes along and starts them again');
ok( $node->poll_query_until('postgres', <<'SQL', '1 mulberry launcher, 1 mulberry notifier, 1 mulberry worker'), 'each of them once');
SELECT string_agg(n || ' ' || t, ', ' ORDER BY t)
  FROM (SELECT count(*) AS n, backend_type AS t FROM pg_stat_activity WHERE backend_type LIKE 'mulberry%' GROUP BY 2) x
SQL

$subscriber->quit;
$node->stop;

# ---- too little of something ----

my $small = mulberry_cluster('small', extension => 0,
    conf => "max_worker_processes = 2\nmulberry.databases = 'postgres, template1'\nmulberry.max_databases = 1");
$small->safe_psql('postgres', 'CREATE EXTENSION mulberry CASCADE');
ok($small->wait_for_log(qr/no background process left.*max_worker_processes is 2/s), 'too few processes are a warning with a hint');
ok($small->wait_for_log(qr/no room in shared memory for database "template1".*mulberry.max_databases is 1/s),
    'so is too little room for databases');
$small->safe_psql('postgres', 'SELECT pg_reload_conf()');
sleep 1;
my $said = () = slurp_file($small->logfile) =~ /no background process left/g;
cmp_ok($said, '<=', 2, 'said once a reload');
$small->stop;

done_testing();
