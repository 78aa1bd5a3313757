# The experiments of bench/jobs that need a cluster of their own:
#	latency		from the commit that completes a call to its request at the service, beside
#				a program that commits and then sends the request itself
#	failures	many jobs, a quarter of the requests fails, five attempts
#	memory		what the workers hold over many jobs
use strict;
use warnings;

use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time sleep);
use Test::More;

use Mulberry::Cluster;
use Mulberry::StandIn;

# what background_psql() notes of each statement
Test::More->builder->output('/dev/null');

my ($experiment, $number) = @ARGV;
my %experiments = (latency => \&latency, failures => \&failures, memory => \&memory);
my $run = $experiments{$experiment} or die "no experiment \"$experiment\"\n";
my $ai = Mulberry::StandIn->new;
# memory is not a matter of the disk
my $fsync = $experiment eq 'memory' ? 'off' : 'on';
my $node = mulberry_cluster($experiment, conf => <<"CONF");
fsync = $fsync
max_wal_size = 2GB
log_statement = none
mulberry.grace_period = 0
mulberry.workers = 2
mulberry.ai_retry_delay = 10
CONF
$run->($number || undef);
$node->stop;
$ai->stop;
done_testing();

sub one { return $node->safe_psql('postgres', $_[0]) }

sub endpoint
{
    one("SELECT mulberry.set_endpoint('ai', 'json', '@{[ $ai->url($_[0]) ]}', allow_http => true, allow_private => true)");
    return;
}

# Completed calls PREFIX-from .. PREFIX-to, each with one packet.
sub calls
{
    my ($prefix, $from, $to) = @_;
    while ($from <= $to)
    {
        my $last = $from + 499 < $to ? $from + 499 : $to;
        one(<<"SQL");
SELECT count(mulberry.ingest_packet('$prefix-' || n, 0, 'hello', NULL, 'text')) FROM generate_series($from, $last) AS n;
SELECT count(mulberry.complete_call('$prefix-' || n, 1)) FROM generate_series($from, $last) AS n;
SQL
        $from = $last + 1;
    }
    return;
}

# Waits until at most so many jobs are left.
sub drain
{
    my ($left) = @_;
    my ($seen, $moved) = (-1, time);
    for (;;)
    {
        my $now = one('SELECT count(*) FROM mulberry_internal.job_queue');
        return if $now <= $left;
        ($seen, $moved) = ($now, time) if $now != $seen;
        die "stuck with $now jobs\n" if time - $moved > 120;
        sleep 0.2;
    }
    return;
}

sub median
{
    my @sorted = sort { $a <=> $b } @_;
    return $sorted[ @sorted / 2 ];
}

sub failures
{
    my $jobs = shift // 10_000;
    endpoint('fail25');
    my $started = time;
    for (my $n = 1; $n <= $jobs; $n += 2000)
    {
        calls('job', $n, $n + 1999 < $jobs ? $n + 1999 : $jobs);
        drain(4000);
    }
    drain(0);
    my $seconds = time - $started;
    my ($archived, $failed) = split /\|/,
        one("SELECT count(*) FILTER (WHERE state = 'ARCHIVED'), count(*) FILTER (WHERE state = 'FAILED') FROM mulberry_internal.calls");
    my ($done, $dead) = split /\|/,
        one("SELECT count(*) FILTER (WHERE state = 'done'), count(*) FILTER (WHERE state = 'dead') FROM mulberry_internal.job_history");
    my %asked;
    $asked{ $_->{fields}{call_id} }++ for $ai->requests;
    my $requests = 0;
    $requests += $_ for values %asked;
    my $answered = one("SELECT count(*) FROM mulberry_internal.events WHERE event IN ('ai_completed', 'ai_failed')");
    my $expected = $jobs * 0.25**5;
    diag sprintf '%d jobs in %.0f s, %d requests (%.3f a job; 1.332 expected)', $jobs, $seconds, $requests, $requests / $jobs;
    diag sprintf '%d of them failed: %.3f %% (0.098 %% expected)', $failed, 100 * $failed / $jobs;
    is($archived + $failed, $jobs, 'every call has ended');
    is($done + $dead, $jobs, 'every job is in the history');
    is($dead, $failed, 'a call failed for each dead job');
    is($answered, $jobs, 'each call has one result event');
    is(scalar(keys %asked), $jobs, 'each call was asked for');
    is(scalar(grep { $_ > 5 } values %asked), 0, 'none more than five times');
    cmp_ok($failed, '<', $expected + 6 * sqrt($expected), 'failures are within six deviations of what chance gives');
    is(one('SELECT count(*) FROM mulberry_internal.endpoint_state'), 0, 'the breaker never opened');
    return;
}

# Anonymous memory of the workers, in kB.
sub memory_of_workers
{
    my @held;
    for my $pid (split /\n/, one("SELECT pid FROM mulberry.stat_workers WHERE pid IS NOT NULL ORDER BY worker"))
    {
        my ($kb) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m;
        push @held, $kb;
    }
    return @held;
}

sub memory
{
    my $jobs = shift // 100_000;
    my $step = int($jobs / 20) || 1;
    my @samples;
    my $started = time;
    endpoint('ok');
    one('ALTER SYSTEM SET mulberry.job_retention = 1');    # minutes: the history stays small as well
    one('SELECT pg_reload_conf()');
    for (my $n = 0; $n < $jobs; $n += $step)
    {
        calls('job', $n + 1, $n + $step);
        drain(0);
        push @samples, [ memory_of_workers() ];
        diag sprintf '%6d jobs: %s kB', $n + $step, join(', ', @{ $samples[-1] });
    }
    diag sprintf '%.0f jobs/s', $jobs / (time - $started);
    # after a fifth of the jobs every cache has what it needs
    for my $worker (0 .. $#{ $samples[0] })
    {
        my ($early, $late) = ($samples[ @samples / 5 ][$worker], $samples[-1][$worker]);
        cmp_ok($late, '<', $early * 1.05 + 1024, sprintf 'worker %d: %d kB early, %d kB late', $worker + 1, $early, $late);
    }
    return;
}

sub latency
{
    my $pairs = shift // 200;
    my $psql = $node->background_psql('postgres');
    my (@ours, @direct);
    endpoint('ok');
    for my $n (1 .. $pairs)
    {
        for my $kind ($n % 2 ? qw(ours direct) : qw(direct ours))
        {
            # who sends the request itself leaves the job to nobody
            my $state = $kind eq 'direct' ? "UPDATE mulberry_internal.job_queue SET run_at = 'infinity';" : '';
            $psql->query_safe("SELECT mulberry.ingest_packet('$kind-$n', 0, 'hello', NULL, 'text')");
            my $before = time;
            $psql->query_safe("BEGIN; SELECT mulberry.complete_call('$kind-$n', 1); $state COMMIT");
            if ($kind eq 'direct')
            {
                my $body = "{\"call_id\":\"$kind-$n\",\"encoding\":\"text\",\"text\":\"hello\"}";
                my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ai->{port}) or die $!;
                print $socket "POST /ok HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
                    . length($body) . "\r\n\r\n$body";
                $socket->flush;
                sysread($socket, my $answer, 4096);
                close $socket;
            }
            my $arrived;
            for (1 .. 500)
            {
                my ($request) = grep { ($_->{fields}{call_id} // '') eq "$kind-$n" } $ai->requests;
                $arrived = $request->{time} if $request;
                last if $arrived;
                sleep 0.01;
            }
            die "no request for $kind-$n\n" unless $arrived;
            push @{ $kind eq 'ours' ? \@ours : \@direct }, 1000 * ($arrived - $before);
        }
    }
    $psql->quit;
    my @sorted = sort { $a <=> $b } @ours;
    diag sprintf 'from the statement that completes a call to the request at the service, %d pairs:', $pairs;
    diag sprintf '  a worker                  median %.2f ms, p99 %.2f ms', median(@ours), $sorted[ 0.99 * $#sorted ];
    diag sprintf '  the client itself         median %.2f ms', median(@direct);
    diag sprintf '  ratio                     %.2f', median(map { $ours[$_] / $direct[$_] } 0 .. $#ours);
    ok(1, 'measured');
    return;
}
