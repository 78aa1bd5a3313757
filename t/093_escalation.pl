# A command that nobody confirmed reaches a person: an event, a call that says what happened, a report to
# an endpoint.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;
use Mulberry::StandIn;
use Mulberry::VoicePair;

my $pair = Mulberry::VoicePair->new('escalation');
my $twilio = $pair->{twilio};
my $ai = Mulberry::StandIn->new;
my $contact = '+491701234567';

sub one { return $pair->cloud($_[0]) }
sub events { return one("SELECT string_agg(event, ' ' ORDER BY id) FROM mulberry_internal.events WHERE (payload->>'command_id')::bigint = $_[0] AND event ~ 'escalat'") }

# A command that nobody answers, with a contact that behaves in some way.
sub escalated
{
    my ($behaviour, %option) = @_;
    $pair->telephony("mute,$behaviour", %option);
    my $command = $pair->revoke($pair->mandate);
    ok($pair->state($command, 'escalated'), "$behaviour: escalated") or diag $pair->story($command);
    return $command;
}

subtest 'without a contact' => sub {
    my $command = escalated('ok');
    is(events($command), 'escalated', 'an event');
    is(one('SELECT count(*) FROM mulberry_internal.job_queue'), '0', 'and nothing else');
};

subtest 'by telephone and by POST' => sub {
    my $url = $ai->url('ok');
    one("SELECT mulberry.set_endpoint('alarm', 'json', '$url', NULL, allow_http => true, allow_private => true)");
    one("SELECT mulberry.set_escalation_contact('$contact', 'alarm')");
    my $command = escalated('press=5');
    ok($pair->wait_for("SELECT state || ' ' || acknowledged || ' ' || outcome FROM mulberry_internal.voice_calls WHERE command = $command AND purpose = 'escalation'",
        'completed true acknowledged'), 'the person has heard it, and pressed a key') or diag $pair->story($command);
    my ($request) = grep { $_->{kind} eq 'create' && $_->{fields}{To} eq $contact } $twilio->entries('request');
    like($request->{fields}{Twiml}, qr{<Say>This is Mulberry\. The command revoke for mandate 1 0 0 0 0 0 0 2 was not confirmed by agent agent 1\. Calls placed: 3\. Please act\.</Say>},
        'digits one by one');
    unlike($request->{fields}{Twiml}, qr/<Play/, 'and no tones');
    ok(!exists $request->{fields}{Record}, 'nor is anybody recorded');
    ok($pair->wait_for('SELECT count(*) FROM mulberry_internal.job_queue', '0'), 'no job is left');
    my ($report) = $ai->requests('ok');
    is("$report->{fields}{event} $report->{fields}{mandate_id} $report->{fields}{agent} " . @{ $report->{fields}{calls} }, 'command_escalated 10000002 agent-1 3', 'the report');
    is(events($command), 'escalated escalation_acknowledged escalation_delivered', 'events');
    is(one("SELECT string_agg(action || ' ' || outcome, ', ' ORDER BY action) FROM mulberry_internal.audit WHERE command = $command AND action ~ '^ESCALATION'"),
        'ESCALATION_CALL acknowledged, ESCALATION_REPORT delivered', 'audit');
    is(one("SELECT attempts FROM mulberry_internal.commands WHERE id = $command"), '3', 'calls to the contact are not attempts of the command');
};

subtest 'a contact that is busy, a report that fails' => sub {
    my $url = $ai->url('first-2');
    one("SELECT mulberry.set_endpoint('alarm', 'json', '$url', NULL, allow_http => true, allow_private => true)");
    my $command = escalated('busy', webhooks => 0);
    for my $attempt (1 .. 3)
    {
        ok($pair->wait_for("SELECT outcome FROM mulberry_internal.voice_calls WHERE command = $command AND purpose = 'escalation' AND attempt = $attempt", 'busy'), "attempt $attempt: busy");
        # not a minute in a test
        one("UPDATE mulberry_internal.job_queue SET run_at = now() WHERE kind = 'call'");
        one('SELECT mulberry_internal.wake_workers()');
    }
    ok($pair->wait_for('SELECT count(*) FROM mulberry_internal.job_queue', '0'), 'no job is left');
    is(scalar(() = $ai->requests('first-2')), 3, 'the report is sent again');
    like(events($command), qr/escalation_failed/, 'who listens to events knows that nobody was reached');
};

subtest 'a report that is refused' => sub {
    my $url = $ai->url('status-404');
    one("SELECT mulberry.set_endpoint('alarm', 'json', '$url', NULL, allow_http => true, allow_private => true)");
    one("SELECT mulberry.set_escalation_contact(endpoint => 'alarm')");
    my $command = escalated('ok', webhooks => 0);
    ok($pair->wait_for("SELECT count(*) FROM mulberry_internal.events WHERE event = 'escalation_failed' AND (payload->>'command_id')::bigint = $command", '1'), 'is an event');
    my $job = one("SELECT id FROM mulberry.jobs WHERE kind = 'escalate' AND state = 'dead'");
    $url = $ai->url('ok');
    one("SELECT mulberry.set_endpoint('alarm', 'json', '$url', NULL, allow_http => true, allow_private => true)");
    one("SELECT mulberry.retry_job($job)");
    ok($pair->wait_for("SELECT state FROM mulberry.jobs WHERE id = $job", 'done'), 'and can be sent again');
};

subtest 'an agent that comes back for a moment' => sub {
    my $calls = "FROM mulberry_internal.voice_calls WHERE purpose = 'escalation' AND command";
    one("SELECT mulberry.set_escalation_contact('$contact')");
    $pair->telephony('hold=60');
    my $mandate = $pair->mandate;
    one("SELECT mulberry.alter_agent('agent-1', remove_phone => true)");
    my $command = one("SELECT mulberry.revoke_mandate('$mandate')->>'command_id'");
    ok($pair->wait_for("SELECT state $calls = $command", 'in-progress'), 'the contact is being told') or diag $pair->story($command);
    one(q{SELECT mulberry.agent_sync('agent-1')});
    is(one("SELECT state FROM mulberry_internal.commands WHERE id = $command"), 'outstanding', 'the agent is back');
    ok($pair->wait_for("SELECT outcome $calls = $command", 'superseded'), 'so the call is broken off') or diag $pair->story($command);
    $pair->telephony('press=1');
    one(<<"SQL");
UPDATE mulberry_internal.agents SET online_until = now() - interval '1 minute';
UPDATE mulberry_internal.commands SET signed_at = now() - interval '1 hour' WHERE id = $command;
SQL
    maintain($pair->{cloud});
    is(one("SELECT state FROM mulberry_internal.commands WHERE id = $command"), 'escalated', 'it has gone without an answer');
    ok($pair->wait_for("SELECT string_agg(outcome, ' ' ORDER BY id) $calls = $command", 'superseded acknowledged'), 'the contact is called again')
        or diag $pair->story($command);
};

subtest 'an agent that never answers online: told in time, not with the next maintenance' => sub {
    my %set = (command_online_wait => "'2s'", command_max_attempts => 1, command_retry_delay => "'1s'");
    one("ALTER SYSTEM SET mulberry.$_ = $set{$_}") for sort keys %set;
    $pair->{cloud}->reload;
    # a worker begins with maintenance, and the next is a day away then
    my $began = one('SELECT clock_timestamp()');
    one(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'mulberry worker'});
    ok($pair->wait_for("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mulberry worker' AND backend_start > '$began'", '1'), 'a new worker');
    one(q{SELECT mulberry.agent_sync('agent-1')});
    my $command = one(q{SELECT mulberry.ping_agent('agent-1')->>'command_id'});
    is(one("SELECT state || ' ' || online_only FROM mulberry_internal.commands WHERE id = $command"), 'outstanding true', 'there is no telephone');
    ok($pair->state($command, 'escalated'), 'escalated') or diag $pair->story($command);
    one("ALTER SYSTEM RESET mulberry.$_") for sort keys %set;
    $pair->{cloud}->reload;
};

$pair->stop;
$ai->stop;
done_testing();
