# Several endpoints for one purpose: the next one serves while the first is out, or when its time was up.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

use Mulberry::Cluster;
use Mulberry::StandIn;

my $first = Mulberry::StandIn->new;
my $second = Mulberry::StandIn->new;
my $node = mulberry_cluster('order', conf => <<'CONF');
mulberry.grace_period = 0
mulberry.ai_retry_delay = 50
mulberry.workers = 2
CONF

sub one
{
    my ($sql) = @_;
    return $node->safe_psql('postgres', $sql);
}

sub endpoint
{
    my ($name, $url, $more) = @_;
    $more = defined $more ? ", $more" : '';
    one("SELECT mulberry.set_endpoint('$name', 'openai', '$url/v1', allow_http => true, allow_private => true$more)");
    return;
}

sub call
{
    my ($call_id, $tenant) = @_;
    $tenant //= 'default';
    one(<<"SQL");
SELECT mulberry.ingest_packet('$call_id', 0, decode(repeat('002000e0', 800), 'hex'), NULL, 's16le', 8000, '$tenant');
SELECT mulberry.complete_call('$call_id', 1, '$tenant');
SQL
    return;
}

# Who transcribed a call, once it is over.
sub served_by
{
    my ($call_id) = @_;
    wait_for_true($node, "SELECT state IN ('ARCHIVED', 'FAILED') FROM mulberry_internal.calls WHERE call_id = '$call_id'",
        "$call_id is over");
    return one("SELECT coalesce(ai_result->>'endpoint', failure_reason) FROM mulberry_internal.calls WHERE call_id = '$call_id'");
}

sub breaker { my ($name) = @_; return "SELECT breaker <> 'closed' FROM mulberry.endpoint_status WHERE name = '$name'" }
sub status { my ($name) = @_; return one("SELECT status || ' ' || detail FROM mulberry.health() WHERE item = 'endpoint $name'") }

endpoint('first', $first->url('phase'));
endpoint('second', $second->url('phase'), 'priority => 2');

subtest 'the first in the order serves' => sub {
    call('a');
    is(served_by('a'), 'first', 'the one of lower priority');
    one("SELECT mulberry.alter_endpoint('second', priority => 0)");
    call('b');
    is(served_by('b'), 'second', 'until the order is another');
    one("SELECT mulberry.alter_endpoint('second', enabled => false)");
    call('c');
    is(served_by('c'), 'first', 'one that is disabled serves nobody');
    one("SELECT mulberry.alter_endpoint('second', enabled => true, priority => 2)");
    is(scalar($first->requests), 2, 'nobody else was asked');
};

for my $how ('refuse', 'status-401', 'down', 'not-json')
{
    subtest "$how: the next one serves while the first is out" => sub {
        $first->behave($how);
        my ($sent, $began) = (scalar($first->requests), time);
        call("$how-$_") for 1 .. 20;
        is(served_by("$how-$_"), 'second', "call $_") for 1 .. 20;
        # one that was under way when it was found out has lost one
        is(one("SELECT count(*) FROM mulberry.jobs WHERE call_id LIKE '$how-%' AND attempts > 2"), '0',
            'which cost no call more than an attempt');
        # by a job, when there is one after its time: on a fast machine none of those above
        my $asked_again = 'SELECT max(openings) > 1 FROM mulberry_internal.endpoint_state';
        for (my $n = 1; one($asked_again) eq 'f' && $n <= 600; $n++)
        {
            call("$how-again-$n");
            sleep 0.2;
        }
        is(one($asked_again), 't', 'the first is asked again');
        ok(one(breaker('first')), 'the first is out');
        like(status('first'), qr/^warning unavailable since .*, endpoint "second" takes its place, \d+ jobs wait/,
            'health says who takes its place');
        my $asked = $first->requests - $sent;
        cmp_ok($asked, '<=', 5 + time - $began, 'the first was asked once a second at most') unless $how eq 'refuse';

        # and it has them again when it is back, which one of the jobs finds out
        $first->behave('ok');
        my $n = 0;
        while (one(breaker('first')) eq 't' && $n < 100)
        {
            call("$how-back-" . ++$n);
            sleep 0.2;
        }
        is(one(breaker('first')), 'f', 'a job finds out that it is back');
        like(served_by("$how-back-$_"), qr/^(first|second)$/, "call $_ meanwhile") for 1 .. $n;
        call("$how-after");
        is(served_by("$how-after"), 'first', 'then it serves again');
        is(status('first'), '', 'and health has nothing to say');
    };
}

subtest 'time is up' => sub {
    one("SELECT mulberry.alter_endpoint('first', timeout => '500 ms')");
    call('well');
    is(served_by('well'), 'first', 'the first serves');
    $first->behave('hang');
    my $began = time;
    call('slow');
    is(served_by('slow'), 'second', 'what it does not answer in time goes to the next');
    is(one("SELECT attempts FROM mulberry.jobs WHERE call_id = 'slow'"), '2', 'after one attempt');
    $first->behave('ok');
    call('quick');
    is(served_by('quick'), 'first', 'the others stay');
    one("SELECT mulberry.alter_endpoint('first', clear => '{timeout}')");
};

subtest 'both are out' => sub {
    $_->behave('down') for $first, $second;
    call("both-$_") for 1 .. 6;
    wait_for_true($node, "SELECT count(*) = 2 FROM mulberry.endpoint_status WHERE breaker <> 'closed'", 'both are out');
    like(status($_), qr/^error unavailable since [^,]*, \d+ jobs wait/, "$_: nobody takes its place") for qw(first second);
    sleep 2;    # some probes in vain
    is(one("SELECT count(*) FROM mulberry_internal.job_queue"), '6', 'the calls wait');
    $second->behave('ok');
    is(served_by("both-$_"), 'second', "call $_ is served by the one that is back first") for 1 .. 6;
    $first->behave('ok');
    wait_for_true($node, "SELECT NOT EXISTS (SELECT FROM mulberry_internal.job_queue)", 'all is done');
};

subtest 'a tenant whose endpoints are out does not use those of all' => sub {
    one("SELECT mulberry.create_tenant('own')");
    endpoint('ours', $first->url('phase'), "tenant => 'own'");
    endpoint('everybody', $second->url('ok'), 'tenant => NULL');
    one("SELECT mulberry.alter_endpoint('ours', options => '{\"language\": \"en\"}', tenant => 'own')");
    $first->behave('status-403');
    call('kept', 'own');
    wait_for_true($node, "SELECT held_because LIKE 'endpoint \"ours\" is unavailable%' FROM mulberry.jobs WHERE call_id = 'kept'",
        'its call waits');
    $first->behave('ok');
    is(served_by('kept'), 'ours', 'for its own');
};

$node->stop;
$_->stop for $first, $second;
done_testing();
