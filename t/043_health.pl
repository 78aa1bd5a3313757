# health() says ok where all is well, and names what is not: as the server is
# set up wrongly in one way after the other.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# as many connections as a server has by default
my $node = mulberry_cluster('health', conf => 'max_connections = 100');

sub sql { return $node->safe_psql('postgres', shift) }

sub health
{
    my ($item, $database) = @_;
    return $node->safe_psql($database // 'postgres',
        "SELECT status || ': ' || detail FROM mulberry.health() WHERE item = '$item'");
}

# Changes a setting and waits until sessions that begin now have it.
sub set
{
    my ($setting, $value) = @_;
    sql("ALTER SYSTEM SET $setting = '$value'");
    $node->reload;
    $node->poll_query_until('postgres', "SELECT mulberry.outbound_allowed() IS NOT NULL AND current_setting('$setting') = '$value'")
      or die "$setting is not $value";
    return;
}

# ---- all is well ----

sql(q{CREATE ROLE workers LOGIN; SELECT mulberry.grant_access('workers', 'worker', NULL)});
set('mulberry.worker_role', 'workers');
wait_for_true($node, <<'SQL', 'notifier and worker run as the role');
SELECT count(*) = 2 AND bool_and(usename = 'workers') FROM pg_stat_activity WHERE backend_type ~ '^mulberry (notifier|worker)$'
SQL
my $complaints = q{SELECT string_agg(item || ' ' || status || ' ' || detail, E'\n') FROM mulberry.health()
          WHERE status <> 'ok' AND item NOT IN ('endpoints')};
# the processes have just begun, and partitions are the worker's to make
$node->poll_query_until('postgres', $complaints, '');
is(sql($complaints), '', 'a server that is set up has nothing to say');
like(health('workers'), qr/^ok: 1 of 1 workers and 1 of 1 notifiers are alive/, 'workers are counted');
like(health('worker role'), qr/^ok: role "workers" has what workers need/, 'their role is looked at');

# ---- the workers' role ----

sql(q{SELECT mulberry.revoke_access('workers', 'worker', NULL)});
like(health('worker role'), qr/^error: role "workers" lacks worker access in database "postgres": workers wait$/, 'missing rights are named');
sql(q{SELECT mulberry.grant_access('workers', 'worker', NULL); REVOKE USAGE ON SCHEMA mulberry FROM workers});
like(health('worker role'), qr/^error: role "workers" lacks USAGE on SCHEMA mulberry/, '... the one on the schema as well');
sql('SELECT mulberry.refresh_grants(); ALTER ROLE workers NOLOGIN');
like(health('worker role'), qr/^error: role "workers" may not log in/, 'a role that may not log in');
sql('ALTER ROLE workers LOGIN SUPERUSER');
like(health('worker role'), qr/^warning: role "workers" is a superuser/, 'a superuser');
sql('ALTER ROLE workers NOSUPERUSER');
set('mulberry.worker_role', 'nobody there');
like(health('worker role'), qr/^error: mulberry\.worker_role is "nobody there", and there is no such role/, 'a role that is not there');
set('mulberry.worker_role', '');
like(health('worker role'), qr/^warning: workers run as the owner/, 'none at all');

# ---- processes, settings ----

sql('CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION mulberry CASCADE');
# ---- a database in which the workers' role has no access: one line, here and in the log ----

sql('ALTER ROLE workers LOGIN; CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION mulberry CASCADE');
set('mulberry.databases', 'postgres,second');
set('log_min_messages', 'debug1');
my $log_start = -s $node->logfile;
set('mulberry.worker_role', 'workers');
my $waits = qr/WARNING:  Mulberry's workers in database "second" wait: role "workers" has no worker access there/;
$node->wait_for_log($waits, $log_start);
is(health('worker role', 'second'), 'error: role "workers" lacks worker access in database "second": workers wait', 'health() says it in a line');
# it is tried again
$node->wait_for_log(qr/(starting background worker process "mulberry notifier \(second\)".*){3}/s, $log_start);
my $log = slurp_file($node->logfile, $log_start);
is(scalar(() = $log =~ /$waits/g), 1, '... and the log once');
unlike($log, qr/permission denied/, '... and nothing is tried without access');
$node->safe_psql('second', q{SELECT mulberry.grant_access('workers', 'worker', NULL)});
wait_for_true($node, q{SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = 'second' AND backend_type ~ '^mulberry (notifier|worker)$'},
    'with access they work');
set('log_min_messages', 'warning');

like(health('workers', 'other'), qr/^warning: 0 of 1 workers/, 'a database that is not in mulberry.databases');
is($node->safe_psql('other', q{SELECT hint FROM mulberry.health() WHERE item = 'workers'}),
    'Add other to mulberry.databases and reload the server.', '... with what to do');

for my $case ([ 'a while', 'It is no interval' ], [ '90', 'The interval has no unit' ], [ '-1 day', 'longer than nothing' ],
    [ '0 days', 'longer than nothing' ], [ '1001 years', 'at most 1000 years' ], [ '1000000 years -360000000 days', 'no negative part' ])
{
    my ($status, $out, $err) = $node->psql('postgres', "ALTER SYSTEM SET mulberry.retention = '$case->[0]'");
    like($err, qr/invalid value for parameter "mulberry.retention": "\Q$case->[0]\E".*DETAIL:.*$case->[1]/s, "a retention of $case->[0] is refused");
}
set('mulberry.retention', $_) for 'P90D', '1 year 6 mons', '36:00';
set('mulberry.retention', '90 days');
like(health('retention'), qr/^ok: finished calls are kept for 90 days/, '... and one that does');

like(health('partitions', 'other'), qr/^warning: 4 of the partitions/, 'partitions that nobody has made');
$node->safe_psql('other', 'SELECT mulberry.maintenance()');
like(health('partitions', 'other'), qr/^ok: 0 of the partitions/, '... until somebody does');

# ---- what a restore may lose ----

$node->safe_psql('other', q{SELECT mulberry.ingest_packet('a call', 0, 'hello', encoding => 'text')});
like(health('members', 'other'), qr/^warning: there are calls, and nobody has access/, 'calls without a member');
sql('CREATE ROLE somebody');
$node->safe_psql('other', q{SELECT mulberry.grant_access('somebody', 'ingest')});
like(health('members', 'other'), qr/^ok/, '... and with one');
$node->safe_psql('other', q{SELECT mulberry.create_agent('till', phone => '+15005550006'); SELECT mulberry.create_voice_key('till');
    SELECT mulberry.set_endpoint('paid', kind => 'openai', purpose => 'chat', base_url => 'https://api.example.com/v1', model => 'm', secret => 'paid')});
like(health('secrets', 'other'), qr/^error: 1 secrets can be read; 1 are missing, as that of an endpoint$/, 'an endpoint without its secret');
$node->safe_psql('other', 'DELETE FROM mulberry_internal.secrets');
like(health('secrets', 'other'), qr/^error: 0 secrets can be read; 2 are missing, as that of a voice key$/, '... and a voice key');

# ---- the lock table holds what batches may take ----

like(health('lock table'), qr/^ok: room for 6400 locks; a batch may take 250 /, 'batches fit into the lock table');
set('mulberry.max_batch_calls', 1000);
is( sql("SELECT status || ': ' || hint FROM mulberry.health() WHERE item = 'lock table'"),
    'warning: For 16 such batches at once set max_locks_per_transaction = 160 and restart, or lower mulberry.max_batch_calls.',
    '... until they may be larger');
set('mulberry.max_batch_calls', 250);

# ---- one broken check does not hide the others ----

sql(q{CREATE FUNCTION mulberry_internal.health_broken() RETURNS TABLE (item text, status text, detail text, hint text)
      LANGUAGE sql AS $$ SELECT 'x', 'ok', (1 / 0)::text, NULL $$});
is(health('broken'), 'error: the check itself failed: division by zero', 'a check that fails says so');
like(health('workers'), qr/./, '... and the others answer');
sql('DROP FUNCTION mulberry_internal.health_broken()');

# ---- who may ask ----

sql(q{CREATE ROLE operators LOGIN; CREATE ROLE callers LOGIN;
      SELECT mulberry.grant_access('operators', 'operator'); SELECT mulberry.grant_access('callers', 'ingest')});
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM mulberry.health()', extra_params => [ '-U', 'operators' ]), '>', 5,
    'operators may ask');
my $err;
$node->psql('postgres', 'SELECT count(*) FROM mulberry.health()', stderr => \$err, extra_params => [ '-U', 'callers' ]);
like($err, qr/permission denied for function health/, 'who only sends packets may not');

$node->stop;
done_testing();
