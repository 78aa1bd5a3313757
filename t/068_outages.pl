# A long outage in every form, and failures now and then in between, under many calls: each of them has its transcript
# in the end, and while the service is out nobody asks more often than once a second.
#
# SECONDS_EACH form (default 5; the campaign 600, see scripts/campaign), SECONDS_BETWEEN two of them (default as many), CALLS of all phases
# together (default 200; 2,000 there).
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

use Mulberry::Cluster;
use Mulberry::StandIn;

my $seconds = $ENV{SECONDS_EACH} // 5;
my $between = $ENV{SECONDS_BETWEEN} // $seconds;
my $calls = $ENV{CALLS} // 200;
my @forms = qw(refuse status-401 status-502 not-json hang);
my $timeout = $seconds < 60 ? 2 : 10;    # of the endpoint, s
my $hurry = 0.15;                        # by how much less than a second two requests may lie apart as the service sees them

my $ai = Mulberry::StandIn->new;
my $node = mulberry_cluster('outages', conf => <<'CONF');
mulberry.grace_period = 0
mulberry.workers = 2
CONF

sub one
{
    my ($sql) = @_;
    return $node->safe_psql('postgres', $sql);
}

# All calls that are due by now in a phase that began then, evenly over it.
my $phases = 2 * @forms + 1;
my $made = 0;

sub make_calls
{
    my ($phase, $part) = @_;
    my $due = int($calls * ($phase + ($part > 1 ? 1 : $part)) / $phases + 0.5);
    return if $due <= $made;
    one(<<"SQL");
SELECT count(mulberry.ingest_packet('call-' || n, 0, decode(repeat('002000e0', 1000 + n), 'hex'), NULL, 's16le', 8000))
  FROM generate_series($made + 1, $due) AS n;
SELECT count(mulberry.complete_call('call-' || n, 1)) FROM generate_series($made + 1, $due) AS n;
SQL
    $made = $due;
    return;
}

sub waiting { return one('SELECT count(*) FROM mulberry_internal.job_queue') }

# How many attempts have begun.
sub claims
{
    return one(<<'SQL');
SELECT coalesce(sum(q.lease_token), 0) FROM (SELECT lease_token FROM mulberry_internal.job_queue
                                              UNION ALL SELECT lease_token FROM mulberry_internal.job_history) AS q
SQL
}

one("SELECT mulberry.set_endpoint('ai', 'openai', '@{[ $ai->url('phase') ]}/v1', timeout => '$timeout s',
    allow_http => true, allow_private => true)");
my @phase;
for my $form ('fail25', map { ($_, 'fail25') } @forms)
{
    my $phase = { form => $form };
    my $closed = "SELECT breaker = 'closed' FROM mulberry.endpoint_status WHERE name = 'ai'";
    push @phase, $phase;
    $ai->behave($form);
    if ($form eq 'fail25' && @phase > 1)
    {
        my $since = time;
        wait_for_true($node, $closed, "it is seen to be back after $phase[-2]{form}");
        $phase[-2]{back} = time - $since;
    }
    @$phase{qw(began claims)} = (time, claims());
    my $lasts = $form eq 'fail25' ? $between : $seconds;
    while (time < $phase->{began} + $lasts)
    {
        make_calls($#phase, (time - $phase->{began}) / $lasts);
        sleep 0.2;
    }
    make_calls($#phase, 1);
    @$phase{qw(ended claims waiting)} = (time, claims() - $phase->{claims}, waiting());
    next if $form eq 'fail25';
    $phase->{health} = one("SELECT status || ' ' || detail FROM mulberry.health() WHERE item = 'endpoint ai'");
    $phase->{seen} = one("SELECT extract(epoch FROM out_since) FROM mulberry.endpoint_status WHERE name = 'ai'");
}
$ai->behave('ok');
my $ended = time;
my ($left, $moved) = (waiting(), time);
while ($left > 0 && time - $moved < 2 * $PostgreSQL::Test::Utils::timeout_default)
{
    sleep 0.2;
    my $now = waiting();
    ($left, $moved) = ($now, time) if $now != $left;
}
my $drained = time - $ended;

is($left, '0', 'nothing is left to do')
    or diag one('SELECT row_to_json(j) FROM mulberry.jobs j WHERE finished_at IS NULL LIMIT 5');
is(one("SELECT count(*) FROM mulberry_internal.calls WHERE state = 'ARCHIVED'"), $calls, 'every call is archived')
    or diag one("SELECT call_id, state, failure_reason FROM mulberry_internal.calls WHERE state <> 'ARCHIVED' LIMIT 5");
is(one("SELECT count(*) FROM mulberry_internal.calls
         WHERE transcription LIKE '%: ' || 2000 + 2 * substr(call_id, 6)::integer || ' samples, %'"), $calls, 'and has its own transcript');
is(one("SELECT count(*) FROM mulberry.jobs WHERE state <> 'done'"), '0', 'no job was given up');

my @requests = sort { $a->{time} <=> $b->{time} } $ai->requests('phase');
for my $phase (@phase)
{
    my @asked = grep { $_->{time} >= $phase->{began} && $_->{time} < $phase->{ended} } @requests;
    $phase->{asked} = @asked;
    next if $phase->{form} eq 'fail25';
    my $name = sprintf '%s for %d s', $phase->{form}, $seconds;
    like($phase->{health}, qr/^error unavailable since .* jobs wait, asked again at/, "$name: health says so");
    # what was under way when it was found out may still arrive
    my @while_out = grep { $_->{time} > $phase->{seen} + 0.5 } @asked;
    my ($closest) = sort { $a <=> $b } 9e9, map { $while_out[$_]{time} - $while_out[ $_ - 1 ]{time} } 1 .. $#while_out;
    cmp_ok($closest, '>', 1 - $hurry, "$name: while it is out nobody asks more often than once a second");
    cmp_ok(scalar @while_out, '<=', 4 + $seconds / 25, "$name: nor more often than it backs off to");
    # whom nobody hears are counted by the claims
    cmp_ok($phase->{claims}, '<', 60 + $seconds / 25, "$name: few attempts are begun") if $phase->{form} eq 'refuse';
    $phase->{found_out} = $phase->{seen} - $phase->{began};
    $phase->{while_out} = @while_out;
    $phase->{closest} = $closest;
}
diag sprintf '%d calls in %d phases of %d s, %d s between them, %d requests; all done %.1f s after the last phase',
    $calls, scalar @forms, $seconds, $between, scalar @requests, $drained;
for my $phase (@phase)
{
    my $figures = sprintf '%-10s %4d requests, %4d attempts, %3d jobs wait at its end', @$phase{qw(form asked claims waiting)};
    $figures .= sprintf '; out after %.1f s, then %d requests%s; seen to be back after %.1f s', @$phase{qw(found_out while_out)},
        $phase->{while_out} > 1 ? sprintf(', at least %.2f s apart', $phase->{closest}) : '', $phase->{back}
      if $phase->{form} ne 'fail25';
    diag $figures;
}
my ($attempts, $deferrals) = split /\|/, one('SELECT max(attempts), max(deferrals) FROM mulberry.jobs');
diag "at most $attempts attempts counted of a job, $deferrals did not";

$node->stop;
$ai->stop;
done_testing();
