# A client that has a call locked and does not commit: the one worker must go on
# with the jobs of other calls, and that call is processed when the client is done.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;
use Mulberry::StandIn;

my $ai = Mulberry::StandIn->new;
my $node = mulberry_cluster('busy', conf => <<'CONF');
mulberry.workers = 1
mulberry.grace_period = 10s
mulberry.idle_call_timeout = 0
CONF

sub state_of
{
    my ($call_id) = @_;
    return $node->safe_psql('postgres', "SELECT state FROM mulberry_internal.calls WHERE call_id = '$call_id'");
}

sub wait_for_state
{
    my ($call_id, $state, $what) = @_;
    ok($node->poll_query_until('postgres', "SELECT state = '$state' FROM mulberry_internal.calls WHERE call_id = '$call_id'"),
        $what);
    return;
}

# Waits until a job has come back uncounted, and says how it stands.
sub wait_for_deferral
{
    my ($call_id) = @_;
    $node->poll_query_until('postgres', "SELECT deferrals > 0 FROM mulberry.jobs WHERE call_id = '$call_id'")
        or die "the job of $call_id was never put back";
    return;
}

my $client = open_session($node);

# It has sent a late packet.
new_call($node, 'slow', 'one', undef, 'three', undef, 'five');
$client->query_safe('BEGIN');
$client->query_safe("SELECT mulberry.ingest_packet('slow', 1, 'two')");
wait_for_deferral('slow');
new_call($node, 'quick', 'hello');
wait_for_state('quick', 'ARCHIVED', 'another call is processed while a client has one locked');
is(state_of('slow'), 'COMPLETED', 'that one waits');
$client->query_safe('COMMIT');
wait_for_state('slow', 'ARCHIVED', 'it is processed after the commit');
is($node->safe_psql('postgres', "SELECT transcription FROM mulberry_internal.calls WHERE call_id = 'slow'"),
    'one two three five', 'with the packet that was acknowledged');
is($node->safe_psql('postgres', "SELECT attempts FROM mulberry.jobs WHERE call_id = 'slow'"),
    1, 'waiting used up no attempt');

# It has a packet that was rejected, while the answer of the service comes.
my $url = $ai->url('gate-busy') . '/v1';
$node->safe_psql('postgres',
    "SELECT mulberry.set_endpoint('ai', 'openai', '$url', allow_http => true, allow_private => true)");
$node->safe_psql('postgres', <<'SQL');
SELECT mulberry.ingest_packet('audio', 0, decode(repeat('0102', 160), 'hex'), NULL, 's16le', 8000);
SELECT mulberry.complete_call('audio', 1);
SQL
wait_for_state('audio', 'PROCESSING_AI', 'a service is asked');
$client->query_safe('BEGIN');
is($client->query_safe(<<'SQL'), 'rejected', 'a packet comes too late');
SELECT status FROM mulberry.ingest_packet('audio', 1, decode(repeat('0102', 160), 'hex'))
SQL
$ai->open_gate('busy');
wait_for_deferral('audio');
new_call($node, 'quick2', 'hello');
wait_for_state('quick2', 'ARCHIVED', 'another call is processed while the answer cannot be stored');
is(state_of('audio'), 'PROCESSING_AI', 'the other waits');
is($node->safe_psql('postgres', "SELECT breaker FROM mulberry.endpoint_status WHERE name = 'ai'"),
    'closed', 'the service is not blamed');
$client->query_safe('COMMIT');
wait_for_state('audio', 'ARCHIVED', 'it is processed in the end');
is($node->safe_psql('postgres', "SELECT attempts FROM mulberry.jobs WHERE call_id = 'audio'"),
    1, 'without using up an attempt');

# Many at once: what each costs must not add up for the others.
my $many = 80;
$url = $ai->url('gate-many') . '/v1';
$node->safe_psql('postgres', "SELECT mulberry.create_tenant('other');
    SELECT mulberry.set_endpoint('ai', 'openai', '$url', allow_http => true, allow_private => true)");
$node->safe_psql('postgres', <<"SQL");
SELECT mulberry.ingest_packet('many ' || n, 0, decode(repeat('0102', 160), 'hex'), NULL, 's16le', 8000),
       mulberry.complete_call('many ' || n, 1) FROM generate_series(1, $many) n;
SQL
my $waiting = $node->safe_psql('postgres', "SELECT least($many, current_setting('mulberry.http_concurrency')::integer)");
ok($node->poll_query_until('postgres', "SELECT count(*) >= $waiting FROM mulberry_internal.calls WHERE call_id ~ '^many' AND state = 'PROCESSING_AI'"),
    'a service is asked about many calls');
$client->query_safe('BEGIN');
$client->query_safe("SELECT count(mulberry.ingest_packet('many ' || n, 1, '\\x0102')) FROM generate_series(1, $many) n");
$ai->open_gate('many');
my $begun = time;
for my $round (1 .. 5)
{
    $node->safe_psql('postgres', "SELECT mulberry.ingest_packet('of other $round', 0, 'hello', NULL, 'text', NULL, 'other'), mulberry.complete_call('of other $round', 1, 'other')");
    wait_for_state("of other $round", 'ARCHIVED', 'a call of another tenant is processed');
}
cmp_ok(time - $begun, '<', 30, 'without waiting for each of the many');
is($node->safe_psql('postgres', "SELECT count(*) FROM mulberry_internal.calls WHERE call_id ~ '^many' AND state = 'ARCHIVED'"), '0', 'which wait');
$client->query_safe('COMMIT');
ok($node->poll_query_until('postgres', "SELECT count(*) = $many FROM mulberry_internal.calls WHERE call_id ~ '^many' AND state = 'ARCHIVED'"),
    'and are processed in the end');
is($node->safe_psql('postgres', "SELECT max(attempts) FROM mulberry.jobs WHERE call_id ~ '^many'"), 1, 'without using up an attempt');

$client->quit;
$node->stop;
done_testing();
