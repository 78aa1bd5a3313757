# Workers as processes: many requests at once, an outage, a role without rights,
# stopping, and the database or the extension going away under them.
use strict;
use warnings;

use List::Util qw(min);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

use Mulberry::Cluster;
use Mulberry::StandIn;

my $ai = Mulberry::StandIn->new;
my $node = mulberry_cluster('workers', conf => <<'CONF', extension => 0);
mulberry.grace_period = 0
mulberry.http_timeout = 600
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
    # of one transaction no more than mulberry.max_batch_calls
    for (my $first = 1; $first <= $number; $first += 200)
    {
        my $last = min($number, $first + 199);
        one(<<"SQL", $database);
SELECT count(mulberry.ingest_packet('$prefix-' || n, 0, 'hello', NULL, 'text')) FROM generate_series($first, $last) AS n;
SELECT count(mulberry.complete_call('$prefix-' || n, 1)) FROM generate_series($first, $last) AS n;
SQL
    }
    return;
}

sub wait_for
{
    my ($prefix, $number, $state, $database) = @_;
    return $node->poll_query_until($database // 'postgres',
        "SELECT count(*) >= $number FROM mulberry_internal.calls WHERE call_id LIKE '$prefix-%' AND state = '$state'");
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
    # the service answers none before it has 64
    endpoint('gate-many');
    calls('many', 300);
    is($ai->wait_for_requests('gate-many', 64), 64, 'the service gets 64 requests at once');
    sleep 1;
    is(scalar $ai->requests('gate-many'), 64, 'and no more than mulberry.http_concurrency');
    $ai->open_gate('many');
    ok(wait_for('many', 300, 'ARCHIVED'), '300 calls are archived');
    my $most = 0;
    for ($ai->requests('gate-many')) { $most = $_->{in_flight} if $_->{in_flight} > $most }
    is($most, 64, 'at no time there were more');
    is(scalar $ai->requests('gate-many'), 300, 'each call was asked for once');
    ok($node->poll_query_until('postgres', "SELECT done >= 300 AND failed = 0 FROM mulberry.stat_workers"), 'stat_workers counts them');
};

subtest 'a quarter of the requests fails' => sub {
    endpoint('fail25');
    calls('quarter', 400);
    ok($node->poll_query_until('postgres',
        "SELECT count(*) = 400 FROM mulberry_internal.calls WHERE call_id LIKE 'quarter-%' AND state IN ('ARCHIVED', 'FAILED')"),
        'every call ends');
    my $failed = one("SELECT count(*) FROM mulberry_internal.calls WHERE call_id LIKE 'quarter-%' AND state = 'FAILED'");
    # a quarter of all fails, so that a job is tried ten times: 0.25 ^ 10 of 400 is 0.0004
    is($failed, '0', 'no call fails');
    is(one('SELECT count(*) FROM mulberry_internal.job_queue'), '0', 'no job is left');
    my ($requests) = scalar $ai->requests('fail25');
    cmp_ok($requests, '>', 400, 'some were tried again');
};

subtest 'an outage uses up no attempts' => sub {
    endpoint('down');
    calls('outage', 60);
    ok($node->poll_query_until('postgres', "SELECT breaker <> 'closed' FROM mulberry.endpoint_status WHERE name = 'ai'"),
        'failures of several calls open the breaker');
    # what was under way when it opened has come back; one job at most asks whether the service is there
    ok($node->poll_query_until('postgres',
            "SELECT count(*) >= 59 FROM mulberry.jobs WHERE call_id LIKE 'outage-%' AND state = 'held'"),
        'the jobs are held');
    my $before = scalar $ai->requests('down');
    my $openings = one("SELECT openings FROM mulberry_internal.endpoint_state");
    is(one("SELECT count(*) FROM mulberry_internal.calls WHERE call_id LIKE 'outage-%' AND state = 'FAILED'"), '0', 'no call has failed');
    is(one("SELECT status FROM mulberry.health() WHERE item = 'endpoint ai'"), 'error', 'health() says so');
    ok($node->poll_query_until('postgres', "SELECT openings >= $openings + 2 FROM mulberry_internal.endpoint_state"),
        'it is asked now and then, at growing intervals');
    my @probes = $ai->requests('down');
    @probes = @probes[ $before .. $#probes ];
    my $answered = one("SELECT openings FROM mulberry_internal.endpoint_state") - $openings;
    # one may not have been settled before, and one is not yet
    cmp_ok(scalar @probes, '<=', $answered + 2, 'by one job each time');
    is(scalar(grep { $_->{in_flight} > 1 } @probes), 0, 'and by one at a time');
    # the same row, as if the service had come back
    one("UPDATE mulberry_internal.endpoints SET base_url = '@{[ $ai->url('ok') ]}' WHERE name = 'ai'");
    ok(wait_for('outage', 60, 'ARCHIVED'), 'it comes back, and all calls are archived');
    is(one("SELECT breaker FROM mulberry.endpoint_status WHERE name = 'ai'"), 'closed', 'the breaker is closed');
    is(one("SELECT string_agg(event, ' ' ORDER BY id) FROM
            (SELECT event, id FROM mulberry_internal.events WHERE event LIKE 'endpoint%' ORDER BY id DESC LIMIT 2) AS last"),
        'endpoint_unavailable endpoint_available', 'events tell of both');
};

subtest 'nobody listens' => sub {
    one("SELECT mulberry.set_endpoint('ai', 'json', 'http://127.0.0.1:1', $endpoint_options)");
    calls('refused', 5);
    ok($node->poll_query_until('postgres',
            "SELECT count(*) = 5 FROM mulberry.jobs WHERE call_id LIKE 'refused-%' AND state = 'held' AND attempts = 0"),
        'the jobs are held and no attempt is counted');
    # one of them may just be asking
    like(one("SELECT max(held_because) FROM mulberry.jobs WHERE call_id LIKE 'refused-%'"), qr/127\.0\.0\.1( port |:)1\b/, 'the view says why');
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
    my $pid = fork() // die;
    if (!$pid) { open(STDOUT, '>', "$dir/said"); open(STDERR, '>', '/dev/null'); open(STDIN, '<', '/dev/null');
        exec 'openssl', 's_server', '-accept', '127.0.0.1:0', '-key', "$dir/key", '-cert', "$dir/cert", '-www'; }
    my ($port, $deadline) = (undef, time + $PostgreSQL::Test::Utils::timeout_default);
    while (!defined $port && time < $deadline)
    {
        sleep 0.05;
        ($port) = slurp_file("$dir/said") =~ /^ACCEPT \S+:(\d+)$/m if -e "$dir/said";
    }
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
    wait_for_true($node, "SELECT count(*) = 10 FROM mulberry.jobs WHERE state = 'running'", 'ten requests are under way');
    my $pid = backend_pid($node, 'mulberry worker');
    my $before = time;
    one("UPDATE mulberry_internal.endpoints SET base_url = '@{[ $ai->url('ok') ]}' WHERE name = 'ai'");
    kill 'TERM', $pid;
    ok(wait_for('stop', 10, 'ARCHIVED'), 'another one takes them over');
    cmp_ok(time - $before, '<', 200, 'without waiting for the leases, which last ten minutes');
    is(one("SELECT DISTINCT attempts || ' ' || deferrals FROM mulberry.jobs WHERE call_id LIKE 'stop-%'"), '1 1', 'the interrupted attempt does not count');
    unlike(slurp_file($node->logfile), qr/PANIC|SIGSEGV|signal 11/, 'nothing crashed');
};

subtest 'idle workers and requests under way hold neither snapshot nor transaction' => sub {
    endpoint('gate-idle');
    calls('idle', 5);
    wait_for_true($node, "SELECT count(*) = 5 FROM mulberry.jobs WHERE state = 'running'", 'five requests are under way');
    # when it sleeps, which it does nearly all the time
    ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mulberry worker'
             AND wait_event_type = 'Extension' AND backend_xmin IS NULL AND backend_xid IS NULL AND state = 'idle'"), 'no xmin, no xid, idle');
    one("SELECT mulberry.cancel_job(id) FROM mulberry.jobs WHERE call_id LIKE 'idle-%' AND finished_at IS NULL");
    is(one("SELECT count(*) FROM mulberry_internal.calls WHERE call_id LIKE 'idle-%' AND state = 'FAILED'"), '5', 'cancelled');
    $ai->open_gate('idle');
    ok($node->poll_query_until('postgres', 'SELECT in_flight = 0 FROM mulberry.stat_workers'), 'the answers are taken and dropped');
};

subtest 'more workers' => sub {
    one('ALTER SYSTEM SET mulberry.workers = 3');
    one('SELECT pg_reload_conf()');
    wait_for_workers($node, 'postgres', 3);
    endpoint('gate-three');
    calls('three', 200);
    is($ai->wait_for_requests('gate-three', 192), 192, 'each has its 64 requests under way');
    $ai->open_gate('three');
    ok(wait_for('three', 200, 'ARCHIVED'), 'archived');
    ok($node->poll_query_until('postgres', "SELECT count(*) = 3 FROM mulberry.stat_workers WHERE pid IS NOT NULL AND done > 0"), 'all have worked');
    my @three = $ai->requests('gate-three');
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
    wait_for_true($node, "SELECT count(*) = 50 FROM mulberry.jobs WHERE state = 'running'", 'fifty requests are under way', 'doomed');
    my $before = time;
    one('SET statement_timeout = 120000; DROP EXTENSION mulberry CASCADE', 'doomed');
    cmp_ok(time - $before, '<', 60, 'DROP EXTENSION waits for no request');
    one('CREATE EXTENSION mulberry CASCADE', 'doomed');
    one("SELECT mulberry.grant_access('mulberry_worker', 'worker', NULL)", 'doomed');
    wait_for_workers($node, 'doomed', 1);
    endpoint('hang', undef, 'doomed');
    calls('drop', 50, 'doomed');
    ok($node->poll_query_until('doomed', "SELECT count(*) = 50 FROM mulberry.jobs WHERE state = 'running'"),
        'a new extension gets a worker again');
    $before = time;
    one('SET statement_timeout = 120000; DROP DATABASE doomed');
    cmp_ok(time - $before, '<', 60, 'nor does DROP DATABASE');
};

subtest 'a restored copy asks nobody' => sub {
    endpoint('ok');
    one('ALTER SYSTEM SET mulberry.workers = 0');
    one('SELECT pg_reload_conf()');
    wait_for_true($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mulberry worker'", 'no worker runs');
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
