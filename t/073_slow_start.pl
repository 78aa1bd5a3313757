# An endpoint that comes back from an outage gets what has waited by degrees; the first failure meanwhile has it asked by one job again.
use strict;
use warnings;

use List::Util qw(max);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

use Mulberry::Cluster;
use Mulberry::StandIn;

my $calls = 120;
my $ai = Mulberry::StandIn->new;
my $node = mulberry_cluster('slow_start', conf => <<'CONF');
mulberry.grace_period = 0
mulberry.workers = 2
mulberry.http_concurrency = 32
CONF

sub one { my ($sql) = @_; return $node->safe_psql('postgres', $sql) }

sub make_calls
{
    my ($name) = @_;
    one(<<"SQL");
SELECT count(mulberry.ingest_packet('$name-' || n, 0, decode(repeat('002000e0', 1000), 'hex'), NULL, 's16le', 8000))
  FROM generate_series(1, $calls) AS n;
SELECT count(mulberry.complete_call('$name-' || n, 1)) FROM generate_series(1, $calls) AS n;
SQL
    return;
}

# And what was under way when it went out has ended.
sub out
{
    my ($what) = @_;
    wait_for_true($node, "SELECT breaker <> 'closed' FROM mulberry.endpoint_status WHERE name = 'ai'", $what);
    wait_for_true($node, "SELECT count(*) <= 1 FROM mulberry.jobs WHERE state = 'running'", '... for whoever had begun');
    return;
}

one("SELECT mulberry.set_endpoint('ai', 'openai', '@{[ $ai->url('phase') ]}/v1', timeout => '60 s',
    allow_http => true, allow_private => true)");

# ---- it is out, and back ----

$ai->behave('status-502');
make_calls('a');
out('it is out');
$ai->behave('wait-1.5');    # long enough for a slow machine to have many under way
wait_for_true($node, "SELECT count(*) = $calls FROM mulberry_internal.calls WHERE state = 'ARCHIVED'", 'every call has been served');

# As many at once as are allowed when so many were served: two, and twice as many whenever so many were.
sub allowed
{
    my ($served) = @_;
    my $allowed = 2;
    while ($served >= $allowed) { $served -= $allowed; $allowed *= 2 }
    return $allowed;
}
my @requests = sort { $a->{time} <=> $b->{time} } grep { $_->{phase} eq 'wait-1.5' } $ai->requests('phase');
my (@too_many, @seen);
for my $n (1 .. $#requests)
{
    last if $requests[$n]{time} > $requests[0]{time} + 9;    # a window is over after ten seconds as well
    my $under_way = $requests[$n]{in_flight};
    push @seen, $under_way;
    push @too_many, "request $n: $under_way" if $under_way > allowed($n - $under_way);
}
is("@too_many", '', 'never were more under way than twice as many as had been served at once') or diag "@seen";
cmp_ok(max(map { $_->{in_flight} } @requests), '>=', 16, 'and yet they became many') or diag join ' ', map { $_->{in_flight} } @requests;
wait_for_true($node, 'SELECT bool_and(allowed IS NULL AND openings = 0) FROM mulberry_internal.endpoint_state', 'it has all it may have');

# ---- it fails again while it comes back ----

$ai->behave('status-502');
make_calls('b');
out('it is out again');
$ai->behave('wait-1');
wait_for_true($node, 'SELECT bool_or(allowed IS NOT NULL) FROM mulberry_internal.endpoint_state', 'it comes back');
$ai->behave('status-500');
wait_for_true($node, "SELECT breaker <> 'closed' FROM mulberry.endpoint_status WHERE name = 'ai'", 'and is out once more');
my @failed = grep { $_->{phase} eq 'status-500' } $ai->requests('phase');
my @served = grep { $_->{phase} eq 'wait-1' } $ai->requests('phase');
my $windows = int(($failed[-1]{time} - $served[0]{time}) / 10);
cmp_ok(scalar @failed, '<=', 2**$windows * allowed(scalar @served) + 1, 'after no more failures than requests were allowed at once');
is(one('SELECT openings >= 2 AND allowed IS NULL FROM mulberry_internal.endpoint_state'), 't', 'and it is left alone for longer than at first');
$ai->behave('ok');
wait_for_true($node, "SELECT count(*) = 2 * $calls FROM mulberry_internal.calls WHERE state = 'ARCHIVED'", 'in the end every call is served');
is(one("SELECT count(*) FROM mulberry.jobs WHERE state <> 'done'"), '0', 'and no job was given up');

$node->stop;
$ai->stop;
done_testing();
