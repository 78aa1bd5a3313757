# An endpoint that serves several tenants: what one of them sends, and the service fails over, does not close it for the
# others; and what works for one of them does not hide from the rest that for them it is out.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;
use Mulberry::StandIn;

my $ai = Mulberry::StandIn->new;
my $node = mulberry_cluster('shared', conf => <<'CONF');
mulberry.grace_period = 0
mulberry.workers = 1
mulberry.ai_retry_delay = 100
CONF

sub one { return $node->safe_psql('postgres', $_[0]) }

# Calls of a tenant, of so many samples: the service fails over those of 3,200.
sub calls
{
    my ($tenant, $series, $n, $samples) = @_;
    my $bytes = 2 * $samples;
    one(<<"SQL");
SELECT count(mulberry.ingest_packet('$series-' || n, 0, decode(repeat('002000e0', $bytes / 4), 'hex'), NULL, 's16le', 8000, '$tenant'))
  FROM generate_series(1, $n) AS n;
SELECT count(mulberry.complete_call('$series-' || n, 1, '$tenant')) FROM generate_series(1, $n) AS n;
SQL
    return;
}

sub all_archived
{
    my ($series, $n, $name) = @_;
    wait_for_true($node, "SELECT count(*) = $n FROM mulberry_internal.calls WHERE call_id LIKE '$series%' AND state = 'ARCHIVED'", $name);
    return is(one("SELECT count(*) FROM mulberry_internal.calls WHERE call_id LIKE '$series%' AND state = 'ARCHIVED'"), $n, $name);
}

# How many calls of a series have a job that waits for the endpoint, and how many were given up.
sub held { return one("SELECT count(*) FILTER (WHERE state = 'held') || ' held, ' || count(*) FILTER (WHERE state = 'dead') || ' dead' FROM mulberry.jobs WHERE call_id LIKE '$_[0]%'") }
sub status { return one("SELECT concat_ws(' ', breaker, array_to_string(held_tenants, ',')) FROM mulberry.endpoint_status WHERE name = 'all'") }

one("SELECT mulberry.create_tenant(t) FROM unnest(ARRAY['one', 'two', 'three', 'four']) AS t");
one("SELECT mulberry.set_endpoint('all', 'openai', '@{[ $ai->url('phase') ]}/v1', purpose => 'transcription', tenant => NULL,
    allow_http => true, allow_private => true)");

subtest 'the calls of one tenant, over which the service fails, do not close it for the others' => sub {
    $ai->behave('fails-3200-500');
    calls('one', 'bad', 20, 3200);
    wait_for_true($node, "SELECT held_tenants = '{one}' FROM mulberry.endpoint_status WHERE name = 'all'", 'it is out for this tenant');
    is(status(), 'closed one', '... and for no other');
    for my $round (1 .. 3)
    {
        calls('two', "good$round", 10, 1600);
        calls('one', "bad$round", 5, 3200);
        calls('three', "fine$round", 10, 800);
        all_archived("good$round", 10, "$round: those of another are transcribed");
        all_archived("fine$round", 10, "$round: those of a third are transcribed");
        is(status(), 'closed one', "$round: all that while");
    }
    is(one("SELECT max(attempts) || ' ' || max(deferrals) FROM mulberry.jobs WHERE tenant IN ('two', 'three')"), '1 0', 'by one attempt each');
    is(held('bad-'), '20 held, 0 dead', 'its own calls wait, and none is given up');
    like(one("SELECT string_agg(DISTINCT held_because, ' | ') FROM mulberry.jobs WHERE tenant = 'one' AND state = 'held'"), qr/^endpoint "all" is unavailable: HTTP 500$/,
        'because of the endpoint, and not in the words of an answer');
    $ai->behave('ok');
    all_archived('bad', 35, 'they are transcribed when the service is mended');
    wait_for_true($node, "SELECT coalesce(held_tenants, '{}') = '{}' FROM mulberry.endpoint_status WHERE name = 'all'", 'it is back');
};

subtest 'calls of one tenant that go well do not hide that it is out for the rest' => sub {
    $ai->behave('fails-3200-502');
    for my $round (1, 2)
    {
        calls('two', "well$round", 5, 1600);
        calls($_, "out$round$_", 5, 3200) for qw(one three four);
    }
    wait_for_true($node, "SELECT count(*) = 30 FROM mulberry.jobs WHERE call_id LIKE 'out%' AND state = 'held'", 'the rest wait');
    is(held('out'), '30 held, 0 dead', 'for the rest it is out');
    is(one("SELECT count(*) FROM mulberry.jobs WHERE attempts > 4"), '0', 'no attempts are used up');
    $ai->behave('ok');
    all_archived('out', 30, 'all are transcribed when it is back');
    all_archived('well', 10, '... and those of the one');
    is(one("SELECT count(*) FROM mulberry.jobs WHERE state = 'dead'"), '0', 'none was given up');
};

subtest 'an outage is one for all' => sub {
    $ai->behave('status-503');
    calls($_, "away$_", 10, 1600) for qw(one two three four);
    wait_for_true($node, "SELECT breaker <> 'closed' FROM mulberry.endpoint_status WHERE name = 'all'", 'it is seen to be out');
    like(status(), qr/^(half_)?open/, 'an endpoint that fails for all is out for all');
    $ai->behave('ok');
    all_archived('away', 40, 'all are transcribed when it is back');
    is(one("SELECT count(*) FROM mulberry.jobs WHERE state = 'dead'"), '0', 'none was given up');
};

$node->stop;
$ai->stop;
done_testing();
