# Somebody calls a function and does not commit.  Whatever function that is, of one tenant or of all, what
# is shared goes on for everybody else: jobs, the numbers of events, the links of the audit log, what is sent to
# subscribers, and maintenance; and health() names who is in the way.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

use Mulberry::Cluster;
use Mulberry::SharedWork;
use Mulberry::StandIn;
use Mulberry::TenantCalls;

use constant BOUND => 20;    # s

my $ai = Mulberry::StandIn->new("$PostgreSQL::Test::Utils::tmp_check/open-stand-in.log");
# What waits for an agent still does at the end, however long that takes.
my $node = mulberry_cluster('open', conf => <<'CONF');
mulberry.workers = 1
mulberry.grace_period = 0
mulberry.maintenance_interval = 1
mulberry.idle_call_timeout = 0
mulberry.http_timeout = 600
mulberry.agent_online_time = 1h
mulberry.command_online_wait = 1h
log_min_messages = warning
CONF

sub one { return $node->safe_psql('postgres', $_[0]) }

my ($url, $gate) = ($ai->url('ok'), $ai->url('gate-never'));
my %call = working_calls($gate);
one(working_fixtures($url, $gate, $ai->url('status-400')));
one("COPY mulberry.secret_entry (tenant, name, value) FROM STDIN;\na\ttoken\tvalue\n\\.\n");
wait_for_true($node, "SELECT state = 'FAILED' FROM mulberry_internal.calls WHERE call_id = 'failed'", 'a call of a has failed');
one("SELECT mulberry.set_endpoint('own', 'json', '$gate', allow_http => true, allow_private => true, tenant => 'a')");
one("SELECT mulberry.ingest_packet('running', 0, '\\x0102', NULL, 's16le', 8000, 'a'), mulberry.complete_call('running', 1, 'a')");
wait_for_true($node, "SELECT state = 'PROCESSING_AI' FROM mulberry_internal.calls WHERE call_id = 'running'", 'a job of a is under way');
# Jobs of a whose service cannot be reached, so that they are probed again and again.
one("SELECT mulberry.set_endpoint('own', 'json', 'http://127.0.0.1:1', allow_http => true, allow_private => true, tenant => 'a')");
one("SELECT mulberry.ingest_packet('waiting', 0, '\\x0102', NULL, 's16le', 8000, 'a'), mulberry.complete_call('waiting', 1, 'a')");
wait_for_true($node, "SELECT count(*) > 0 FROM mulberry_internal.endpoint_state WHERE state <> 'closed'", 'the service of a is known to be away');

is(join(' ', missing_calls($node, %call)), '', 'each function is called');

my $shared = Mulberry::SharedWork->new($node);
is($shared->stopped, '', 'nothing is open') or die 'the test itself does not work';
for my $name (sort keys %call)
{
    next if $ENV{ONLY} && $name !~ /$ENV{ONLY}/;
    my ($before, $call) = ref $call{$name} ? @{ $call{$name} } : ('SELECT', $call{$name});
    my $client = open_session($node, on_error_stop => 0);
    # what has no number yet, or is due, is what may be in the way
    my $a = "(SELECT id FROM mulberry_internal.tenants WHERE name = 'a')";
    $client->query("UPDATE mulberry_internal.events SET seq = NULL WHERE tenant = $a;
        UPDATE mulberry_internal.job_queue SET run_at = now() WHERE tenant = $a AND state = 'queued';
        UPDATE mulberry_internal.endpoint_state SET state = 'open', retry_at = now();");
    my ($rows, $failed) = $client->query("$before; BEGIN; SELECT count(*) FROM (SELECT $call OFFSET 0) AS called");
    is($failed ? $client->{stderr} : '', '', "$name() is called");
    is($shared->stopped, '', "$name() open: nothing that is shared stops");
    $client->query('ROLLBACK');
    $client->quit;
}

# Procedures commit by themselves; what they wait for they wait for without a lock, or else nobody else would get on.
my $waiting = one("SELECT min(id) FROM mulberry_internal.commands WHERE tenant = (SELECT id FROM mulberry_internal.tenants WHERE name = 'a') AND state = 'waiting'");
my %procedure = (
    await_command => "mulberry.await_command($waiting, '1 hour')",
    export_voice_key => undef,    # waits for nothing
    run_jobs => undef,            # is what a worker is
    test_endpoint => "mulberry.test_endpoint('own', 'a', '1 hour')");
is(one(q{SELECT string_agg(p.proname, ' ' ORDER BY p.proname) FROM pg_proc p WHERE p.pronamespace = 'mulberry'::regnamespace AND p.prokind = 'p'}),
    join(' ', sort keys %procedure), 'each procedure is called');
one("SELECT mulberry.set_endpoint('own', 'json', '$gate', allow_http => true, allow_private => true, tenant => 'a')");
for my $name (sort grep { defined $procedure{$_} } keys %procedure)
{
    my ($in, $said) = ('', '');
    my $client = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "CALL $procedure{$name}" ], '<', \$in, '>&', \$said, IPC::Run::timeout(1800));
    my $session = "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL mulberry.$name%' AND pid <> pg_backend_pid()";
    ok($shared->soon($session), "$name() is called");
    is($shared->stopped, '', "$name() waits: nothing that is shared stops");
    is(one($session), 't', "$name() waits still") or diag $said;
    one("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL mulberry.$name%' AND pid <> pg_backend_pid()");
    $client->finish;
}

subtest 'health() names who is in the way' => sub {
    my $client = open_session($node);
    my $pid = $client->query_safe('SELECT pg_backend_pid()');
    $client->query_safe("BEGIN; SELECT mulberry.spend('10000001', 1, 'left open', 'a')");
    ok($shared->soon("SELECT count(*) = 1 FROM mulberry.health() WHERE status = 'warning' AND item = 'open transaction of process $pid'"), 'by its process');
    like(one("SELECT detail, hint FROM mulberry.health() WHERE item = 'open transaction of process $pid'"),
        qr/role "\w+".* since 20.*mandates.*idle_in_transaction_session_timeout/, 'role, since when, what it holds, and what helps');

    my $begun = time;
    my ($status, $answer, $error) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET statement_timeout = '60s'; SELECT mulberry.revoke_mandate('10000001', tenant => 'a')");
    cmp_ok(time - $begun, '<', BOUND, 'who must wait for it within the tenant does not wait for long');
    like($error, qr/55P03: mandate "10000001" is locked by another transaction.*Process $pid of role "\w+" has been in it since 20/s, 'and hears of whom');
    $client->query_safe('ROLLBACK');
    $client->quit;
    is(one("SELECT count(*) FROM mulberry.health() WHERE item ~ '^open transaction'"), '0', 'when it is over nothing is left of it');
};

# What waits for the row of a tenant: something of it stored for the first time, as its first subscriber does.
subtest 'dropping a tenant does not wait for what its people leave open' => sub {
    one("SELECT mulberry.create_tenant('new')");
    my $client = open_session($node);
    my $pid = $client->query_safe('SELECT pg_backend_pid()');
    $client->query_safe("BEGIN; SELECT count(*) FROM mulberry.subscribe(tenant => 'new')");
    my ($status, $answer, $error) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET statement_timeout = '60s'; SELECT mulberry.drop_tenant('new')");
    like($error, qr/55P03: tenant "new" is locked by another transaction.*Process $pid of role "\w+" has been in it since 20/s, 'it hears of whom');
    $client->query_safe('ROLLBACK');
    $client->quit;
    one("SELECT mulberry.drop_tenant('new')");
    is(one("SELECT count(*) FROM mulberry_internal.tenants WHERE name = 'new'"), '0', 'and drops it when that is over');
};

$shared->finish;
$node->stop;
done_testing();
