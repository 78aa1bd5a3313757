# kill -9 of a worker in each phase of a transfer: the job comes back when its lease
# ends, at most 5 s later, and its call gets exactly one result.
#
# CRASH_ROUNDS rounds of each phase (default 2; the campaign runs 20).
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

use Mulberry::Cluster;
use Mulberry::StandIn;

my $rounds = $ENV{CRASH_ROUNDS} // 2;
my $ai = Mulberry::StandIn->new;
my $node = mulberry_cluster('crash', conf => <<'CONF');
restart_after_crash = on
mulberry.grace_period = 0
mulberry.lease_time = 1
mulberry.maintenance_interval = 1d
mulberry.ai_retry_delay = 100
CONF

sub one { return $node->safe_psql('postgres', $_[0]) }

sub endpoint
{
    my ($behaviour, $timeout) = @_;
    $timeout //= '6 s';
    one("SELECT mulberry.set_endpoint('ai', 'json', '@{[ $ai->url($behaviour) ]}', timeout => '$timeout', allow_http => true, allow_private => true)");
    return;
}

# Requests about one call.
sub asked
{
    my ($call_id) = @_;
    return scalar grep { $_->{fields}{call_id} eq $call_id } $ai->requests;
}

# Waits until the condition holds; false when that takes too long.
sub soon
{
    my ($condition) = @_;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    while (time < $deadline)
    {
        return 1 if $condition->();
        sleep 0.02;
    }
    return 0;
}

# Kills the worker and waits until the server is back.
sub kill_worker
{
    my ($pid) = @_;
    kill 'KILL', $pid;
    soon(sub { !kill 0, $pid });
    return $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mulberry worker' AND pid <> $pid");
}

# Stops (SIGSTOP) the worker when it has claimed a job and waits for a lock, which it does not do for long.
sub blocked
{
    my $watch = open_session($node);
    my $pid = backend_pid($node, 'mulberry worker');
    my $query = "SELECT count(*) > 0 FROM pg_stat_activity a, mulberry_internal.job_queue q
                  WHERE a.pid = $pid AND a.wait_event_type = 'Lock' AND q.state = 'running'";
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    my $caught = 0;
    while (!$caught && time < $deadline)
    {
        next unless $watch->query_safe($query) eq 't';
        kill 'STOP', $pid;
        while (slurp_file("/proc/$pid/stat") !~ /\) T /) { sleep 0.01 }
        $caught = $watch->query_safe($query) eq 't';
        kill 'CONT', $pid unless $caught;
    }
    $watch->quit;
    return $caught;
}

# Each phase stops the worker at one point of the job's way, by a lock that
# another session holds or by a service that does not answer until it is told to.
# %s stands for the call, %d for the round.
my %phase = (
    'claimed, before the request' => {
        lock => 'LOCK TABLE mulberry_internal.packets IN ACCESS EXCLUSIVE MODE',
        behaviour => 'ok',
        requests => 1,
        reached => \&blocked
    },
    'while the request is under way' => {
        behaviour => 'gate-under_way_%d',
        requests => 2,
        reached => sub { asked($_[0]) == 1 }
    },
    'after the answer, before the result is stored' => {
        lock => "SELECT FROM mulberry_internal.job_queue q JOIN mulberry_internal.calls c ON c.id = q.call WHERE c.call_id = '%s' FOR UPDATE OF q",
        lock_when => sub { asked($_[0]) == 1 },
        behaviour => 'gate-answered_%d',
        requests => 2,
        reached => \&blocked
    },
);

for my $name (sort keys %phase)
{
    my $phase = $phase{$name};
    subtest $name => sub {
        for my $round (1 .. $rounds)
        {
            my $call_id = "$round " . substr($name, 0, 7);
            (my $behaviour = $phase->{behaviour}) =~ s/%d/$round/;
            my ($gate) = $behaviour =~ /^gate-(.*)/;
            endpoint($behaviour);
            my $pid = backend_pid($node, 'mulberry worker');
            my $blocker = open_session($node);
            my $hold = sub { $blocker->query_safe('BEGIN; ' . sprintf($phase->{lock}, $call_id)) };
            $node->safe_psql('postgres', <<"SQL");
SELECT mulberry.ingest_packet('$call_id', 0, 'hello', NULL, 'text');
SELECT mulberry.ingest_packet('$call_id', 1, 'again', NULL, 'text');
SQL
            if ($phase->{lock} && !$phase->{lock_when})
            {
                # the queue first: complete_call() itself needs the table
                one("BEGIN; SELECT mulberry.complete_call('$call_id', 2); UPDATE mulberry_internal.job_queue SET run_at = now() + interval '1 h'; COMMIT");
                $hold->();
                one("UPDATE mulberry_internal.job_queue SET run_at = now(); SELECT mulberry_internal.wake_workers()");
            }
            else
            {
                new_completed($call_id);
            }
            if ($phase->{lock_when})
            {
                ok(soon(sub { $phase->{lock_when}->($call_id) }), "$round: the service has the request");
                $hold->();
                $ai->open_gate($gate);
            }
            ok(soon(sub { $phase->{reached}->($call_id) }), "$round: the worker is where it shall die");
            my ($job, $lease_end) = split /\|/, one("SELECT id, extract(epoch FROM run_at) FROM mulberry_internal.job_queue WHERE state = 'running'");
            ok(kill_worker($pid), "$round: server and worker are back");
            my $back = one('SELECT extract(epoch FROM clock_timestamp())');
            $ai->open_gate($gate) if defined $gate;
            eval { $blocker->quit };    # its connection is gone
            ok($node->poll_query_until('postgres', "SELECT state = 'ARCHIVED' FROM mulberry_internal.calls WHERE call_id = '$call_id'"),
                "$round: the call is archived");
            my ($taken, $attempts, $error) = split /\|/,
                one("SELECT extract(epoch FROM started_at), attempts, last_error FROM mulberry.jobs WHERE id = $job");
            cmp_ok($taken, '>=', $lease_end, "$round: nobody took the job before its lease ended");
            # 4 s after at the latest, and what a busy machine needs to start
            cmp_ok($taken - ($lease_end > $back ? $lease_end : $back), '<', 20, "$round: and somebody did soon after");
            is($attempts, 2, "$round: the crash counts as an attempt");
            like($error, qr/worker $pid did not finish it/, "$round: the job knows why");
            is(asked($call_id), $phase->{requests}, "$round: requests");
            is(one("SELECT string_agg(event || coalesce(' ' || (payload->>'to_state'), ''), ', ' ORDER BY id) FROM mulberry_internal.events WHERE call_id = '$call_id'"),
                'state_changed COMPLETED, state_changed PROCESSING_AI, state_changed ARCHIVED, ai_completed',
                "$round: each event once");
            is(one("SELECT transcription FROM mulberry_internal.calls WHERE call_id = '$call_id'"), 'read: hello again', "$round: the whole call was transcribed");
        }
        is(one('SELECT count(*) FROM mulberry_internal.job_queue'), '0', 'no job is left');
    };
}

sub new_completed
{
    my ($call_id) = @_;
    one("SELECT mulberry.complete_call('$call_id', 2)");
    return;
}

subtest 'in the thick of it, several times' => sub {
    endpoint('fail25-slow', '6 s');
    my $calls = 200;
    $node->safe_psql('postgres', <<"SQL");
SELECT count(mulberry.ingest_packet('thick-' || n, 0, 'hello', NULL, 'text')) FROM generate_series(1, $calls) AS n;
SELECT count(mulberry.complete_call('thick-' || n, 1)) FROM generate_series(1, $calls) AS n;
SQL
    one('UPDATE mulberry_internal.job_queue SET max_attempts = 30');
    for my $round (1 .. $rounds)
    {
        sleep 0.2 + rand 1.5;
        ok(kill_worker(backend_pid($node, 'mulberry worker')), "kill $round");
    }
    ok($node->poll_query_until('postgres', "SELECT count(*) = $calls FROM mulberry_internal.calls WHERE call_id LIKE 'thick-%' AND state = 'ARCHIVED'"),
        'all calls are archived');
    is(one("SELECT count(*) FROM mulberry_internal.events WHERE event = 'ai_completed' AND call_id LIKE 'thick-%'"), $calls, 'each once');
    is(one('SELECT count(*) FROM mulberry_internal.job_queue'), '0', 'no job is left');
};

$node->stop;
$ai->stop;
done_testing();
