# call_progress() while workers are at it: the parts of a long call as they are done, the places of those that wait, and an
# endpoint that is out.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

use Mulberry::Cluster;
use Mulberry::StandIn;

my $ai = Mulberry::StandIn->new;
my $node = mulberry_cluster('progress', conf => "mulberry.grace_period = 0\nmulberry.ai_retry_delay = 50");

sub one { return $node->safe_psql('postgres', $_[0]) }

sub engine
{
    my ($behaviour) = @_;
    one("SELECT mulberry.set_endpoint('engine', 'openai', '@{[ $ai->url($behaviour) ]}/v1', options => '{\"max_audio_seconds\": 10}',"
          . " max_concurrency => 1, allow_http => true, allow_private => true)");
    return;
}

# So many seconds of a tone.
sub call
{
    my ($call_id, $seconds) = @_;
    one(<<"SQL");
SELECT count(*) FROM mulberry.ingest_packets(array_fill('$call_id'::text, ARRAY[$seconds]), ARRAY(SELECT generate_series(0, $seconds - 1)),
    array_fill(decode(repeat('002000e0', 4000), 'hex'), ARRAY[$seconds]), NULL, 's16le', 8000);
SELECT mulberry.complete_call('$call_id', $seconds);
SQL
    return;
}

sub progress
{
    my ($call_id, $columns) = @_;
    return one("SELECT $columns FROM mulberry.call_progress('$call_id')");
}

sub becomes
{
    my ($call_id, $columns, $expected, $what) = @_;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    my $found;
    do { $found = progress($call_id, $columns) } until $found eq $expected || time > $deadline;
    is($found, $expected, $what);
    return;
}

subtest 'the parts of a long call' => sub {
    engine('wait-0.5');
    call('long', 60);
    my @seen;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    while (time < $deadline)
    {
        my $row = progress('long', q{concat_ws(' ', state, parts_done, parts, running, endpoint, estimated_seconds IS NOT NULL)});
        push @seen, $row unless @seen && $seen[-1] eq $row;
        last if $row =~ /^(ARCHIVED|FAILED)/;
        sleep 0.02;
    }
    my @parts = map { /^PROCESSING_AI (\d+) (\d+) t engine/ ? [ $1, $2 ] : () } @seen;
    my %done = map { $_->[0] => 1 } @parts;
    my %all = map { $_->[1] => 1 } @parts;
    is(join(' ', keys %all), 8, 'how many there are is known from the first on') or diag(join "\n", @seen);
    cmp_ok(scalar keys %done, '>=', 4, 'they are done one after the other') or diag(join "\n", @seen);
    is_deeply([ map { $_->[0] } @parts ], [ sort { $a <=> $b } map { $_->[0] } @parts ], '... and never fewer');
    ok((grep { /^PROCESSING_AI [1-7] 8 t engine t$/ } @seen), 'when it will be done is estimated from them') or diag(join "\n", @seen);
    is($seen[-1], 'ARCHIVED f', 'until it is done');
    is(scalar($ai->requests('wait-0.5')), 8, 'nothing was asked twice');
};

subtest 'a worker that dies goes on where it was' => sub {
    engine('gate-parts');
    call('again', 30);
    becomes('again', q{concat_ws(' ', parts_done, parts, running)}, '0 4 t', 'it began');
    $ai->wait_for_requests('gate-parts', 1);
    one(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'mulberry worker'});
    $ai->open_gate('parts');
    becomes('again', 'state', 'ARCHIVED', 'and is done by the next one');
};

subtest 'places in the queue' => sub {
    engine('gate-queue');
    call("queued-$_", 5) for 1 .. 5;
    becomes('queued-1', 'running', 't', 'the first one is under way');
    is(progress('queued-1', 'queue_position IS NULL AND waits_for IS NULL'), 't', '... and waits for nothing');
    is(progress("queued-$_", q{concat_ws(' ', state, running, waits_for, queue_position)}), 'COMPLETED f turn ' . ($_ - 1), "call $_ is behind it") for 2 .. 5;
    my @estimates = map { progress("queued-$_", 'estimated_seconds') } 1 .. 5;
    is_deeply([ sort { $a <=> $b } @estimates[ 1 .. 4 ] ], [ @estimates[ 1 .. 4 ] ], 'who is behind has longer to wait') or diag("@estimates");
    $ai->open_gate('queue');
    becomes("queued-$_", 'state', 'ARCHIVED', "call $_ has its turn") for 1 .. 5;
};

subtest 'an endpoint that is out' => sub {
    engine('phase');
    $ai->behave('refuse');
    call('patient', 5);
    becomes('patient', q{concat_ws(' ', waits_for, endpoint, estimated_seconds IS NULL)}, 'endpoint engine t', 'it is waited for');
    wait_for_true($node, q{SELECT until BETWEEN now() - interval '1 minute' AND now() + interval '1 minute' FROM mulberry.call_progress('patient') WHERE waits_for = 'endpoint'},
        'it is said when it is asked again');
    $ai->behave('ok');
    becomes('patient', 'state', 'ARCHIVED', 'and served when it is back');
};

$node->stop;
done_testing();
