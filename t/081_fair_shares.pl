# One tenant's work does not keep the others' waiting: not by an endpoint that never
# answers, not by many such endpoints, not by a long queue in front of an
# endpoint that several share.
use strict;
use warnings;

use List::Util qw(min);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

use Mulberry::Cluster;
use Mulberry::StandIn;

my $slots = 16;
my $ai = Mulberry::StandIn->new;
my $node = mulberry_cluster('fair', conf => <<"CONF");
mulberry.workers = 1
mulberry.http_concurrency = $slots
mulberry.http_timeout = 3600
mulberry.grace_period = 0
mulberry.idle_call_timeout = 0
CONF

sub one { return $node->safe_psql('postgres', $_[0]) }

sub endpoint
{
    my ($tenant, $name, $behaviour, $more) = @_;
    $tenant = defined $tenant ? "'$tenant'" : 'NULL';
    $more = defined $more ? ", $more" : '';
    one("SELECT mulberry.set_endpoint('$name', 'json', '@{[ $ai->url($behaviour) ]}', allow_http => true, allow_private => true, tenant => $tenant$more)");
    return;
}

# Completed calls of a tenant, each with one packet.
sub calls
{
    my ($tenant, $prefix, $number) = @_;
    # of one transaction no more than mulberry.max_batch_calls
    for (my $first = 1; $first <= $number; $first += 200)
    {
        my $last = min($number, $first + 199);
        one(<<"SQL");
SELECT count(mulberry.ingest_packet('$prefix-' || n, 0, 'hello', NULL, 'text', tenant => '$tenant')) FROM generate_series($first, $last) AS n;
SELECT count(mulberry.complete_call('$prefix-' || n, 1, '$tenant')) FROM generate_series($first, $last) AS n;
SQL
    }
    return;
}

sub done_ok
{
    my ($prefix, $number, $what) = @_;
    ok($node->poll_query_until('postgres',
            "SELECT count(*) = $number FROM mulberry_internal.calls WHERE call_id LIKE '$prefix-%' AND state = 'ARCHIVED'"), $what)
        or diag one("SELECT tenant, state, count(*) FROM mulberry.jobs GROUP BY 1, 2");
    return;
}

one("SELECT mulberry.create_tenant(t) FROM unnest('{hanging,many,prompt,new,queue,single}'::text[]) AS t");

subtest 'an endpoint that never answers' => sub {
    endpoint('hanging', 'dead', 'gate-dead');
    endpoint('prompt', 'quick', 'ok');
    calls('hanging', 'stuck', 300);
    is($ai->wait_for_requests('gate-dead', $slots), $slots, 'its tenant alone may have every ordinary slot');
    for my $round (1 .. 10)
    {
        calls('prompt', "prompt$round", 5);
        done_ok("prompt$round", 5, "another tenant's calls are done all the same ($round)");
    }
    is(scalar $ai->requests('gate-dead'), $slots, 'what never answers got no more');
};

subtest 'many endpoints that never answer' => sub {
    endpoint('many', "dead$_", 'gate-dead', 'purpose => NULL') for 1 .. 10;
    one(<<'SQL');
SELECT count(mulberry.ingest_packet('many-' || n, 0, 'hello', NULL, 'text', tenant => 'many')) FROM generate_series(1, 200) AS n;
BEGIN;
SELECT count(mulberry.complete_call('many-' || n, 1, 'many')) FROM generate_series(1, 200) AS n;
UPDATE mulberry_internal.job_queue q SET endpoint = 'dead' || 1 + q.id % 10 FROM mulberry_internal.tenants t WHERE t.id = q.tenant AND t.name = 'many';
SELECT mulberry_internal.reroute_jobs();
COMMIT;
SQL
    calls('prompt', 'beside', 5);
    done_ok('beside', 5, 'the other tenant\'s calls are done');
    endpoint('new', 'quick', 'ok');
    calls('new', 'newcomer', 5);
    done_ok('newcomer', 5, 'so are those of one that comes later');
    1 while one('SELECT count(mulberry.cancel_job(id)) FROM (SELECT id FROM mulberry.jobs WHERE finished_at IS NULL LIMIT 200) AS j') > 0;
    $ai->open_gate('dead');
    wait_for_true($node, 'SELECT in_flight = 0 FROM mulberry.stat_workers', 'nothing is under way');
};

subtest 'what is free goes to who has least' => sub {
    endpoint('hanging', 'dead', 'gate-first');
    endpoint('prompt', 'quick', 'gate-second');
    calls('hanging', 'first', 200);
    is($ai->wait_for_requests('gate-first', $slots), $slots, 'one tenant has every ordinary slot');
    calls('prompt', 'second', 200);
    $ai->wait_for_requests('gate-second', 1);
    $ai->open_gate('first');
    # as they come free, they go to the other until both have the same
    cmp_ok($ai->wait_for_requests('gate-second', $slots / 2), '>=', $slots / 2, 'the other one gets half of them');
    $ai->open_gate('second');
    done_ok('first', 200, 'everything is done in the end');
    done_ok('second', 200, 'of both');
};

subtest 'a long queue in front of an endpoint that several share' => sub {
    # one request at a time: whose turn is it?
    endpoint(undef, 'shared', 'gate-shared', 'max_concurrency => 1');
    calls('queue', 'queued', 400);
    is($ai->wait_for_requests('gate-shared', 1), 1, 'the service works on the first of many');
    calls('single', 'single', 1);
    $ai->open_gate('shared');
    done_ok('single', 1, 'the other tenant\'s one call is done');
    done_ok('queued', 400, 'so are the many');
    my @order = map { $_->{fields}{call_id} } $ai->requests('gate-shared');
    my ($place) = grep { $order[$_] eq 'single-1' } 0 .. $#order;
    # by chance, one to one: more than 40 turns of the others have a probability of 2 ^ -40
    cmp_ok($place, '<', 41, 'it did not wait behind them');
};

$node->stop;
$ai->stop;
done_testing();
