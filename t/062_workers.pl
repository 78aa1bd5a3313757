# Workers as processes: many requests at once, an outage, a role without rights,
# stopping, and the database or the extension going away under them.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

use Mulberry::Cluster;
use Mulberry::StandIn;

my $ai = Mulberry::StandIn->new("$PostgreSQL::Test::Utils::tmp_check/stand-in.log");
my $node = mulberry_cluster('workers', conf => <<'CONF', extension => 0);
mulberry.grace_period = 0
mulberry.http_timeout = 30
mulberry.ai_retry_delay = 100
CONF
my $endpoint_options = 'allow_http => true, allow_private => true';

sub one
{
    my ($sql, $database) = @_;
    return $node->safe_psql($database // 'postgres', $sql);
}

# The services of the default tenant are of kind json: a text call suffices.
sub endpoint
{
    my ($behaviour, $more, $database) = @_;
    $more = defined $more ? ", $more" : '';
    one("SELECT mulberry.set_endpoint('ai', 'json', '@{[ $ai->url($behaviour) ]}', $endpoint_options$more)", $database);
    return;
}

sub calls
{
    my ($prefix, $number, $database) = @_;
    one(<<"SQL", $database);
SELECT count(mulberry.ingest_packet('$prefix-' || n, 0, 'hello', NULL, 'text')) FROM generate_series(1, $number) AS n;
SELECT count(mulberry.complete_call('$prefix-' || n, 1)) FROM generate_series(1, $number) AS n;
SQL
    return;
}

sub wait_for
{
    my ($prefix, $number, $state, $database) = @_;
    return $node->poll_query_until($database // 'postgres',
        "SELECT count(*) >= $number FROM mulberry.calls WHERE call_id LIKE '$prefix-%' AND state = '$state'");
}

# A worker without rights of its own, from the beginning.
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE mulberry_worker LOGIN;
CREATE EXTENSION mulberry CASCADE;
SELECT mulberry.grant_access('mulberry_worker', 'worker', NULL);
ALTER SYSTEM SET mulberry.worker_role = 'mulberry_worker';
SELECT pg_reload_conf();
SQL
wait_for_workers($node);
ok($node->poll_query_until('postgres',
        "SELECT bool_and(usename = 'mulberry_worker') FROM pg_stat_activity WHERE backend_type = 'mulberry worker'"),
    'workers run as mulberry.worker_role');
is(one("SELECT rolsuper FROM pg_roles WHERE rolname = 'mulberry_worker'"), 'f', 'which is no superuser');

subtest 'one worker keeps 64 requests in flight' => sub {
    endpoint('slow');
    calls('many', 300);
    ok(wait_for('many', 300, 'ARCHIVED'), '300 calls are archived');
    my $most = 0;
    for ($ai->requests('slow')) { $most = $_->{in_flight} if $_->{in_flight} > $most }
    cmp_ok($most, '>=', 60, 'the service saw 60 or more requests at once');
    cmp_ok($most, '<=', 64, 'and never more than mulberry.http_concurrency');
    is(scalar $ai->requests('slow'), 300, 'each call was asked for once');
    is(one("SELECT done >= 300 AND failed = 0 FROM mulberry.stat_workers"), 't', 'stat_workers counts them');
};

subtest 'a quarter of the requests fails' => sub {
    endpoint('fail25');
    calls('quarter', 400);
    $node->poll_query_until('postgres',
        "SELECT count(*) = 400 FROM mulberry.calls WHERE call_id LIKE 'quarter-%' AND state IN ('ARCHIVED', 'FAILED')");
    my $failed = one("SELECT count(*) FROM mulberry.calls WHERE call_id LIKE 'quarter-%' AND state = 'FAILED'");
    # 0.25 ^ 5 of 400 is 0.4; more than 8 has a probability below 1e-9
    cmp_ok($failed, '<=', 8, 'hardly any call fails');
    is(one('SELECT count(*) FROM mulberry.job_queue'), '0', 'no job is left');
    is(one('SELECT count(*) FROM mulberry.endpoint_state'), '0', 'the endpoint never counted as unavailable');
    my ($requests) = scalar $ai->requests('fail25');
    cmp_ok($requests, '>', 400, 'some were tried again');
};

subtest 'an outage uses up no attempts' => sub {
    my $started = time;
    endpoint('down');
    calls('outage', 60);
    ok($node->poll_query_until('postgres', "SELECT breaker <> 'closed' FROM mulberry.endpoint_status WHERE name = 'ai'"),
        'nine of ten failures open the breaker');
    sleep 3;
    my $before = scalar $ai->requests('down');
    is(one("SELECT count(*) FROM mulberry.jobs WHERE call_id LIKE 'outage-%' AND state = 'held'"),
        one("SELECT count(*) FROM mulberry.jobs WHERE call_id LIKE 'outage-%' AND state <> 'running' AND finished_at IS NULL"),
        'the jobs are held');
    is(one("SELECT count(*) FROM mulberry.calls WHERE call_id LIKE 'outage-%' AND state = 'FAILED'"), '0', 'no call has failed');
    is(one("SELECT status FROM mulberry.health() WHERE item = 'endpoint ai'"), 'error', 'health() says so');
    sleep 2;
    cmp_ok(scalar($ai->requests('down')) - $before, '<=', 2, 'one job at a time asks whether it is back');
    # the same row, as if the service had come back
    one("UPDATE mulberry.endpoints SET base_url = '@{[ $ai->url('ok') ]}' WHERE name = 'ai'");
    ok(wait_for('outage', 60, 'ARCHIVED'), 'it comes back, and all calls are archived');
    is(one("SELECT breaker FROM mulberry.endpoint_status WHERE name = 'ai'"), 'closed', 'the breaker is closed');
    is(one("SELECT string_agg(event, ' ' ORDER BY id) FROM mulberry.events WHERE event LIKE 'endpoint%'"),
        'endpoint_unavailable endpoint_available', 'events tell of both');
};

subtest 'nobody listens' => sub {
    one("SELECT mulberry.set_endpoint('ai', 'json', 'http://127.0.0.1:1', $endpoint_options)");
    calls('refused', 5);
    ok($node->poll_query_until('postgres',
            "SELECT count(*) = 5 FROM mulberry.jobs WHERE call_id LIKE 'refused-%' AND state = 'held' AND attempts = 0"),
        'the jobs are held and no attempt is counted');
    like(one("SELECT held_because FROM mulberry.jobs WHERE call_id = 'refused-1'"), qr/127\.0\.0\.1 port 1/, 'the view says why');
    endpoint('ok');
    ok(wait_for('refused', 5, 'ARCHIVED'), 'and they go on when the endpoint is mended');
};

subtest 'private addresses' => sub {
    one("SELECT mulberry.set_endpoint('ai', 'json', 'http://localhost:@{[ $ai->{port} ]}/ok', allow_http => true)");
    my $before = scalar $ai->requests('ok');
    calls('ssrf', 1);
    ok($node->poll_query_until('postgres',
            "SELECT held_because LIKE '%not public%' FROM mulberry.jobs WHERE call_id = 'ssrf-1'"),
        'a name that resolves to loopback is refused');
    is(scalar $ai->requests('ok'), $before, 'nothing was sent');
    endpoint('ok');
    ok(wait_for('ssrf', 1, 'ARCHIVED'), 'allow_private allows it');
    # the connection is kept open now; another endpoint must not use it without the permission
    one("SELECT mulberry.set_endpoint('ai', 'json', 'http://localhost:@{[ $ai->{port} ]}/ok', $endpoint_options)");
    calls('warm', 1);
    wait_for('warm', 1, 'ARCHIVED');
    one("SELECT mulberry.set_endpoint('ai', 'json', 'http://localhost:@{[ $ai->{port} ]}/ok', allow_http => true)");
    $before = scalar $ai->requests('ok');
    calls('reuse', 1);
    ok($node->poll_query_until('postgres',
            "SELECT held_because LIKE '%not public%' FROM mulberry.jobs WHERE call_id = 'reuse-1'"),
        'an open connection is not a way around');
    is(scalar $ai->requests('ok'), $before, 'nothing was sent');
    endpoint('ok');
    ok(wait_for('reuse', 1, 'ARCHIVED'), 'archived in the end');
};

subtest 'TLS' => sub {
    plan skip_all => 'no openssl' if system('openssl version >/dev/null 2>&1') != 0;
    my $dir = PostgreSQL::Test::Utils::tempdir();
    system("openssl req -x509 -newkey rsa:2048 -nodes -keyout $dir/key -out $dir/cert -days 1 -subj /CN=localhost 2>/dev/null");
    my $port = PostgreSQL::Test::Cluster::get_free_port();
    my $pid = fork() // die;
    if (!$pid) { open(STDOUT, '>', '/dev/null'); open(STDERR, '>', '/dev/null'); open(STDIN, '<', '/dev/null');
        exec 'openssl', 's_server', '-accept', "127.0.0.1:$port", '-key', "$dir/key", '-cert', "$dir/cert", '-www', '-quiet'; }
    sleep 0.5;
    one("SELECT mulberry.set_endpoint('ai', 'json', 'https://localhost:$port', allow_private => true)");
    calls('tls', 1);
    ok($node->poll_query_until('postgres',
            "SELECT held_because ~* 'certificate' FROM mulberry.jobs WHERE call_id = 'tls-1'"),
        'a certificate that nobody vouches for is refused') or diag one("SELECT held_because FROM mulberry.jobs WHERE call_id = 'tls-1'");
    kill 'TERM', $pid;
    waitpid $pid, 0;
    endpoint('ok');
    ok(wait_for('tls', 1, 'ARCHIVED'), 'archived in the end');
};

subtest 'a worker that is stopped puts its jobs back' => sub {
    endpoint('hang');
    calls('stop', 10);
    $node->poll_query_until('postgres', "SELECT count(*) = 10 FROM mulberry.jobs WHERE state = 'running'");
    my $pid = backend_pid($node, 'mulberry worker');
    my $before = time;
    one("UPDATE mulberry.endpoints SET base_url = '@{[ $ai->url('ok') ]}' WHERE name = 'ai'");
    kill 'TERM', $pid;
    ok(wait_for('stop', 10, 'ARCHIVED'), 'another one takes them over');
    cmp_ok(time - $before, '<', 30, 'without waiting for the leases, which last a minute');
    is(one("SELECT DISTINCT attempts || ' ' || deferrals FROM mulberry.jobs WHERE call_id LIKE 'stop-%'"), '1 1', 'the interrupted attempt does not count');
    unlike(slurp_file($node->logfile), qr/PANIC|SIGSEGV|signal 11/, 'nothing crashed');
};

subtest 'idle workers and requests under way hold neither snapshot nor transaction' => sub {
    endpoint('hang');
    calls('idle', 5);
    $node->poll_query_until('postgres', "SELECT count(*) = 5 FROM mulberry.jobs WHERE state = 'running'");
    sleep 0.5;
    is(one("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mulberry worker'
             AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL OR state <> 'idle')"), '0', 'no xmin, no xid, idle');
    one("SELECT mulberry.cancel_job(id) FROM mulberry.jobs WHERE call_id LIKE 'idle-%' AND finished_at IS NULL");
    is(one("SELECT count(*) FROM mulberry.calls WHERE call_id LIKE 'idle-%' AND state = 'FAILED'"), '5', 'cancelled');
};

subtest 'more workers' => sub {
    one('ALTER SYSTEM SET mulberry.workers = 3');
    one('SELECT pg_reload_conf()');
    wait_for_workers($node, 'postgres', 3);
    endpoint('slow');
    calls('three', 200);
    ok(wait_for('three', 200, 'ARCHIVED'), 'archived');
    is(one("SELECT count(*) FROM mulberry.stat_workers WHERE pid IS NOT NULL AND done > 0"), '3', 'all have worked');
    my @three = grep { $_->{fields}{call_id} =~ /^three-/ } $ai->requests('slow');
    is(scalar @three, 200, 'no call was asked for twice');
    one('ALTER SYSTEM SET mulberry.workers = 1');
    one('SELECT pg_reload_conf()');
    wait_for_workers($node, 'postgres', 1);
};

subtest 'DROP EXTENSION and DROP DATABASE while requests hang' => sub {
    one('CREATE DATABASE doomed');
    one('CREATE EXTENSION mulberry CASCADE', 'doomed');
    one("SELECT mulberry.grant_access('mulberry_worker', 'worker', NULL)", 'doomed');
    one("ALTER SYSTEM SET mulberry.databases = 'postgres,doomed'");
    one('SELECT pg_reload_conf()');
    wait_for_workers($node, 'doomed', 1);
    endpoint('hang', undef, 'doomed');
    calls('drop', 50, 'doomed');
    $node->poll_query_until('doomed', "SELECT count(*) = 50 FROM mulberry.jobs WHERE state = 'running'");
    my $before = time;
    one('SET statement_timeout = 20000; DROP EXTENSION mulberry CASCADE', 'doomed');
    cmp_ok(time - $before, '<', 5, 'DROP EXTENSION needs less than 5 s');
    one('CREATE EXTENSION mulberry CASCADE', 'doomed');
    one("SELECT mulberry.grant_access('mulberry_worker', 'worker', NULL)", 'doomed');
    wait_for_workers($node, 'doomed', 1);
    endpoint('hang', undef, 'doomed');
    calls('drop', 50, 'doomed');
    ok($node->poll_query_until('doomed', "SELECT count(*) = 50 FROM mulberry.jobs WHERE state = 'running'"),
        'a new extension gets a worker again');
    $before = time;
    one('SET statement_timeout = 20000; DROP DATABASE doomed');
    cmp_ok(time - $before, '<', 5, 'DROP DATABASE needs less than 5 s');
};

subtest 'a restored copy asks nobody' => sub {
    endpoint('ok');
    one('ALTER SYSTEM SET mulberry.workers = 0');
    one('SELECT pg_reload_conf()');
    $node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mulberry worker'");
    calls('copy', 3);
    my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
    $node->run_log([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', $dump, 'postgres' ]);
    one('CREATE DATABASE copy');
    $node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-d', 'copy', '-f', $dump ],
        'the dump restores');
    my $before = scalar $ai->requests('ok');
    is(one("SELECT count(*) FROM mulberry.jobs WHERE call_id LIKE 'copy-%' AND state = 'held' AND held_because LIKE '%resume_outbound%'", 'copy'),
        '3', 'its jobs are held');
    $node->psql('copy', 'CALL mulberry.run_jobs(2)');
    is(scalar $ai->requests('ok'), $before, 'run_jobs() asks nobody');
    one("ALTER SYSTEM SET mulberry.databases = 'copy'");
    one('ALTER SYSTEM SET mulberry.workers = 1');
    one('SELECT pg_reload_conf()');
    wait_for_workers($node, 'copy', 1);
    sleep 2;
    is(scalar $ai->requests('ok'), $before, 'neither does a worker');
    one('SELECT mulberry.resume_outbound()', 'copy');
    ok(wait_for('copy', 3, 'ARCHIVED', 'copy'), 'until resume_outbound()');
};

$node->stop;
$ai->stop;
done_testing();
