# Whatever goes wrong on the way by telephone: the agent does not answer, Twilio refuses, is busy, loses
# requests or answers, a command is settled while its call rings.  Nobody is dialled twice
# for the same command, and every command is confirmed or handed to a person.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

use Mulberry::StandIn;
use Mulberry::VoicePair;

my $pair = Mulberry::VoicePair->new('failures', agents => 3);
my $twilio = $pair->{twilio};

sub one { return $pair->cloud($_[0]) }

# A revocation under a behaviour, until it is in a state; the command.
sub revoke
{
    my ($behaviour, $state, %option) = @_;
    $pair->telephony($behaviour, %option);
    my $command = $pair->revoke($pair->mandate);
    ok($pair->state($command, $state), "$behaviour: $state") or diag $pair->story($command);
    return $command;
}

sub requests { my ($kind) = @_; return grep { $_->{kind} eq $kind } $twilio->entries('request') }
sub outcomes { return one("SELECT string_agg(outcome, ', ' ORDER BY id) FROM mulberry_internal.voice_calls WHERE command = $_[0] AND purpose = 'command'") }
sub settled { my ($command) = @_; return $pair->wait_for("SELECT count(*) FROM mulberry_internal.voice_calls WHERE command = $command AND finished_at IS NULL", '0') }

subtest 'an agent that does not answer' => sub {
    for my $case ([ 'busy', 'busy' ], [ 'no-answer', 'no-answer' ], [ 'failed', 'failed' ], [ 'mute', 'no acknowledgement' ],
        [ 'machine', 'machine', machine_detection => 'Enable' ])
    {
        my ($behaviour, $outcome, %options) = @$case;
        my $before = $pair->placed;
        my $command = revoke($behaviour, 'escalated', options => \%options);
        is(outcomes($command), join(', ', ($outcome) x 3), "$behaviour: three times");
        is($pair->placed - $before, 3, "$behaviour: three calls");
    }
    my $command = revoke('mute,recording=absent', 'escalated');
    is(outcomes($command), join(', ', ('no acknowledgement') x 3), 'no recording either');
    $command = revoke('busy', 'escalated', webhooks => 0);
    is(outcomes($command), 'busy, busy, busy', 'without webhooks');
};

subtest 'Twilio says no' => sub {
    my $before = () = requests('create');
    my $command = revoke('create=400', 'escalated');
    is(scalar(() = requests('create')) - $before, 1, 'what is refused for good is not asked again');
    like(one("SELECT error FROM mulberry_internal.commands WHERE id = $command"), qr/Twilio refused the call: HTTP 400, Twilio error/, 'and the error says what was wrong');
    is(one("SELECT attempts FROM mulberry_internal.commands WHERE id = $command"), '0', 'no call was placed');

    $before = () = requests('create');
    $command = revoke('create=429,retry=2,times=1', 'confirmed');
    my @tries = (requests('create'))[ $before .. $before + 1 ];
    cmp_ok($tries[1]{time} - $tries[0]{time}, '>=', 2, 'Retry-After is honoured');
    is(one("SELECT attempts || ' ' || (SELECT count(*) FROM mulberry_internal.voice_calls WHERE command = $command) FROM mulberry_internal.commands WHERE id = $command"), '1 1',
        'and does not count');
};

subtest 'an error that was got over is not in the report' => sub {
    # what Twilio answered to a request before says nothing of how the call went
    for my $first ('create=429,retry=1', 'create=500+', 'poll=503')
    {
        for my $webhooks (1, 0)
        {
            my $said = $webhooks ? 'SIP response 486' : 'Twilio says busy';
            my $case = $first . ($webhooks ? '' : ', polled');
            my $command = revoke("busy,ring=1,$first,times=1", 'escalated', webhooks => $webhooks);
            is(one("SELECT string_agg(DISTINCT concat_ws(': ', outcome, detail), ', ') FROM mulberry.voice_call_status WHERE command_id = $command"),
                "busy: $said", "$case: the calls");
            is(one("SELECT error FROM mulberry.command_status WHERE command_id = $command"),
                "3 calls brought no acknowledgement, the last: busy: $said", "$case: the command");
            is(one("SELECT string_agg(DISTINCT payload->>'error', ', ') FROM mulberry_internal.events
                     WHERE event = 'command_attempt_failed' AND payload->>'command_id' = '$command'"), $said, "$case: its events");
            is(one("SELECT string_agg(DISTINCT evidence->>'detail', ', ') FROM mulberry.audit_log WHERE action = 'VOICE_CALL' AND command_id = $command"),
                $said, "$case: the audit log");
        }
    }

    # nor does a call that brought nothing of the one that did
    my $command = revoke('busy,calls=1', 'confirmed');
    settled($command);
    is(outcomes($command), 'busy, acknowledged', 'a first call in vain, and another that is acknowledged');
    is(one("SELECT string_agg(payload->>'error', ', ') FROM mulberry_internal.events
             WHERE event = 'command_attempt_failed' AND payload->>'command_id' = '$command'"), 'SIP response 486', '... as an event said');
    is(one("SELECT concat_ws(', ', error, answer->>'error', answer->>'retry_scheduled') FROM mulberry.command_status WHERE command_id = $command"), '',
        'the command has no error any more');
    is(one("SELECT count(*) FILTER (WHERE payload::text ~* 'busy|error') || ' of ' || count(*) FROM mulberry_internal.events
             WHERE event = 'command_confirmed' AND payload->>'command_id' = '$command'"), '0 of 1', '... nor has its event');
    is(one("SELECT concat_ws(': ', outcome, detail) FROM mulberry.voice_call_status WHERE command_id = $command ORDER BY id DESC LIMIT 1"), 'acknowledged',
        '... nor the last call');
};

subtest 'answers that never come, calls that do' => sub {
    for my $behaviour ('create=500+', 'create=close+', 'create=hang+')
    {
        for my $webhooks (1, 0)
        {
            my $before = $pair->placed;
            $pair->telephony("$behaviour,times=1,hold=0.3" . ($webhooks ? '' : ',w'), timeout => '4 s', webhooks => $webhooks);
            my $command = $pair->revoke($pair->mandate);
            ok($pair->wait_for("SELECT bool_or(state <> 'planned') FROM mulberry_internal.voice_calls WHERE command = $command", 't'), "$behaviour: asked for");
            # the requests that are answered may take longer
            one("SELECT mulberry.alter_endpoint('twilio', timeout => '30 s')");
            ok($pair->state($command, 'confirmed'), '... and confirmed') or diag $pair->story($command);
            is($pair->placed - $before, 1, "$behaviour: one call" . ($webhooks ? '' : ', found in the list'));
            is(one("SELECT attempts FROM mulberry_internal.commands WHERE id = $command"), '1', "$behaviour: one attempt") or diag $pair->story($command);
        }
    }
    my $before = $pair->placed;
    revoke('create=500+,list=500,times=2', 'confirmed', webhooks => 0);
    is($pair->placed - $before, 1, 'found though the list fails at first');
};

subtest 'requests that never arrive' => sub {
    # both take their time: only after 14 s a call that cannot be found counts as not placed
    revoke('ok', 'confirmed');
    # which is as new as the one that is looked for, and so no reason to end with its page
    $pair->telephony('create=close,times=1,list=ok,page=1,fresh=1');
    my $before = $pair->placed;
    my $lists = () = requests('list');
    my $command = $pair->revoke($pair->mandate);
    ok($pair->wait_for("SELECT state FROM mulberry_internal.voice_calls WHERE command = $command", 'uncertain'), 'it is not known whether there is a call') or diag $pair->story($command);
    ok($pair->state($command, 'confirmed'), 'later it is placed') or diag $pair->story($command);
    is($pair->placed - $before, 1, 'once');
    cmp_ok(one("SELECT placings FROM mulberry_internal.voice_calls WHERE command = $command"), '==', 2, 'after two requests');
    my @looks = requests('list');
    splice @looks, 0, $lists;
    ok((grep { ($_->{query}{Page} // 0) >= 1 } @looks), 'each reads on past calls that are as new');
    @looks = grep { !$_->{query}{Page} } @looks;
    cmp_ok($looks[-1]{time} - $looks[-4]{time}, '>=', 13, 'four looks over 14 s lie between');

    one("SELECT mulberry.set_endpoint('twilio', 'twilio', 'http://127.0.0.1:9', 'telephony', secret => 'twilio', allow_http => true, allow_private => true,
           options => (SELECT options FROM mulberry_internal.endpoints WHERE name = 'twilio'))");
    $command = $pair->revoke($pair->mandate);
    ok($pair->wait_for("SELECT failures > 1 FROM mulberry_internal.voice_calls WHERE command = $command", 't'), 'Twilio cannot be reached');
    is(one("SELECT state || ' ' || placings FROM mulberry_internal.voice_calls WHERE command = $command"), 'planned 0', 'so there is no call');
    is(one('SELECT count(*) FROM mulberry_internal.endpoint_state s JOIN mulberry_internal.endpoints e ON e.id = s.endpoint WHERE e.kind = \'twilio\''), '0', 'and nobody else is held up');
    $pair->telephony('ok');
    ok($pair->state($command, 'confirmed'), 'when it is back, the call is placed');
    $pair->cloud("UPDATE mulberry_internal.endpoints SET enabled = false WHERE name = 'twilio'");
    $command = $pair->revoke($pair->mandate);
    ok($pair->state($command, 'escalated'), 'without an endpoint a person is told') or diag $pair->story($command);
};

subtest 'an outage does not go on for ever' => sub {
    $pair->telephony('create=503');
    one("SELECT mulberry.set_endpoint('twilio', 'twilio', 'http://127.0.0.1:9', 'telephony', secret => 'twilio', allow_http => true, allow_private => true,
           options => (SELECT options FROM mulberry_internal.endpoints WHERE name = 'twilio'))");
    my $command = $pair->revoke($pair->mandate);
    my $warp = sub {
        my ($attempt) = @_;
        ok($pair->wait_for("SELECT failures > 0 FROM mulberry_internal.voice_calls WHERE command = $command AND attempt = $attempt", 't'), "attempt $attempt: in vain");
        one("UPDATE mulberry_internal.voice_calls SET give_up_at = now() WHERE command = $command AND attempt = $attempt");
        one("UPDATE mulberry_internal.job_queue SET run_at = now() WHERE kind = 'call' AND run_at > now()");
        one('SELECT mulberry_internal.wake_workers()');
    };
    $warp->($_) for 1 .. 3;
    ok($pair->state($command, 'escalated'), 'after three attempts of a minute each a person is told') or diag $pair->story($command);
    like(one("SELECT error FROM mulberry_internal.commands WHERE id = $command"), qr/could not be placed: .*connect/i, 'and why');
};

subtest 'questions that fail' => sub {
    revoke('hooks=none,poll=500,times=2', 'confirmed');
    revoke('hooks=none,recordings=500,media=404,times=2', 'confirmed');
    revoke('hooks=none,media=hang,times=1', 'confirmed', timeout => '4 s');
};

subtest 'a command that is displaced, confirmed or cancelled while its call rings' => sub {
    $pair->telephony('stay');
    my $mandate = $pair->mandate(2);
    my $suspend = one("SELECT mulberry.suspend_mandate('$mandate', force_voice => true)->>'command_id'");
    ok($pair->wait_for("SELECT state FROM mulberry_internal.voice_calls WHERE command = $suspend", 'queued'), 'its call is queued');
    $pair->telephony('ok');
    my $revoke = $pair->revoke($mandate);
    ok($pair->state($revoke, 'confirmed'), 'the revocation displaces the suspension') or diag $pair->story($revoke);
    is(outcomes($suspend), 'superseded', 'whose call was ended');
    is((requests('end_call'))[-1]{fields}{Status}, 'canceled', 'by a request');

    $pair->telephony('stay');
    $mandate = $pair->mandate(2);
    my $command = $pair->revoke($mandate);
    ok($pair->wait_for("SELECT state FROM mulberry_internal.voice_calls WHERE command = $command", 'queued'), 'queued');
    my $frame = one("SELECT frame FROM mulberry_internal.commands WHERE id = $command");
    my $ack = $pair->edge("SELECT ack_digits FROM mulberry.handle_command_symbols('$frame', path => 'sync', tenant => 'edge-2')");
    is(one("SELECT mulberry_internal.accept_ack($command, '$ack', 'api', '{}')"), 'genuine', 'confirmed on the online path');
    ok(settled($command), 'the call is ended');
    is(outcomes($command), 'superseded', 'for nothing');

    $command = one("SELECT mulberry.ping_agent('agent-2', force_voice => true)->>'command_id'");
    ok($pair->wait_for("SELECT state FROM mulberry_internal.voice_calls WHERE command = $command", 'queued'), 'queued');
    one("SELECT mulberry.cancel_command($command)");
    ok(settled($command), 'cancelled, and ended');

    my $before = () = requests('create');
    one('BEGIN; SELECT mulberry.ping_agent(\'agent-2\', force_voice => true); SELECT mulberry.cancel_command(max(id)) FROM mulberry_internal.commands; COMMIT');
    ok($pair->wait_for('SELECT count(*) FROM mulberry_internal.job_queue', '0'), 'one that is cancelled before');
    is(scalar(() = requests('create')) - $before, 0, 'is never dialled');

    $command = one("SELECT mulberry.ping_agent('agent-2', force_voice => true)->>'command_id'");
    ok($pair->wait_for("SELECT state FROM mulberry_internal.voice_calls WHERE command = $command", 'queued'), 'queued');
    my $job = one("SELECT job FROM mulberry_internal.voice_calls WHERE command = $command");
    my $sid = one("SELECT sid FROM mulberry_internal.voice_calls WHERE command = $command");
    one("SELECT mulberry.cancel_job($job)");
    ok($pair->wait_for("SELECT attempt || ' ' || state FROM mulberry_internal.voice_calls WHERE sid = '$sid'", '2 queued'),
        'a job that is cancelled does not take its command with it: the next attempt takes the call over') or diag $pair->story($command);
    one("SELECT mulberry.cancel_command($command)");
    ok(settled($command), 'and ends it with the command');
    is(scalar(() = $twilio->entries('overlap')), 0, 'all the while the agent had one call');
};

subtest 'a spoken confirmation' => sub {
    my $ai = Mulberry::StandIn->new;
    my $listen = sub { one("SELECT mulberry.set_endpoint('ears', 'openai', '@{[ $ai->url($_[0]) ]}/v1', allow_http => true, allow_private => true)") };
    $listen->('says-mandate-one-two-three-revoked');
    # recordings of one channel have our own tones in them; on two, the agent's is silent
    my $command = revoke('mute,mono', 'escalated');
    is(outcomes($command), join(', ', ('spoken confirmation') x 3), 'is heard in the recording');
    is(one("SELECT evidence->'spoken'->>'transcript' FROM mulberry_internal.commands WHERE id = $command"), 'mandate one two three revoked', 'kept as evidence');
    my ($heard) = $ai->requests('says-mandate-one-two-three-revoked');
    cmp_ok($heard->{heard}{samples}, '>', 8000, 'what was transcribed is audio');
    is($heard->{heard}{rate}, 8000, 'as a telephone has it');
    is(outcomes(revoke('mute', 'escalated')), join(', ', ('no acknowledgement') x 3), 'words for silence are none');
    $listen->('says-it-could-not-be-revoked');
    is(outcomes(revoke('mute,mono', 'escalated')), join(', ', ('no acknowledgement') x 3), 'nor is its contrary');
    is(one('SELECT count(*) FROM mulberry_internal.voice_calls WHERE recording IS NOT NULL'), '0', 'recordings are not kept');
    one("SELECT mulberry.drop_endpoint('ears')");
    $ai->stop;
};

subtest 'webhooks that are not Twilio\'s, or of another call' => sub {
    $pair->telephony('stay');
    my $command = one("SELECT mulberry.ping_agent('agent-3', force_voice => true)->>'command_id'");
    ok($pair->wait_for("SELECT state FROM mulberry_internal.voice_calls WHERE command = $command", 'queued'), 'a call');
    my ($token, $sid) = split /\|/, one("SELECT token, sid FROM mulberry_internal.voice_calls WHERE command = $command");
    my $send = sub {
        my ($path, $signature, %params) = @_;
        %params = (AccountSid => Mulberry::VoicePair::ACCOUNT, CallSid => $sid, %params);
        my $url = "https://hooks.example/twilio/$path";
        $signature //= $twilio->signature($url, %params);
        return $pair->{cloud}->safe_psql('postgres', "SELECT status, content_type, body FROM mulberry.handle_twilio_webhook('$url', '"
            . JSON::PP::encode_json(\%params) . "', '$signature')", extra_params => [ '-U', 'gate' ]);
    };
    my $empty = '<?xml version="1.0" encoding="UTF-8"?><Response/>';
    is($send->("status?token=$token", 'A' x 27 . '=', CallStatus => 'completed', SequenceNumber => '9'), '403|text/plain|', 'a wrong signature');
    is($send->("ack?token=$token&step=1", '', Digits => '1'), "403|text/xml|$empty", 'none');
    is($send->("ack?token=" . '0' x 8 . substr($token, 8) . '&step=1', undef, Digits => '1'), "404|text/xml|$empty", 'no such call');
    is($send->("status?token=nonsense", undef, CallStatus => 'completed'), '404|text/plain|', 'no token');
    is($send->("status?token=$token", undef, AccountSid => 'AC' . '9' x 32, CallStatus => 'completed'), '403|text/plain|', 'another account');
    is(one("SELECT state FROM mulberry_internal.voice_calls WHERE command = $command"), 'queued', 'nothing has changed');
    is($send->("status?token=$token", undef, CallStatus => 'ringing', SequenceNumber => '5'), '204|text/plain|', 'a genuine one');
    is($send->("status?token=$token", undef, CallStatus => 'in-progress', SequenceNumber => '4'), '204|text/plain|', 'an older one');
    is(one("SELECT state FROM mulberry_internal.voice_calls WHERE command = $command"), 'ringing', 'does not count');
    like($send->("ack?token=$token&step=1", undef, Digits => '12345'), qr/^200\|text\/xml\|.*<Play digits="w\*/, 'digits that are no frame: it is played again');
    is($send->("ack?token=$token&step=1", undef, Digits => '12345'), $send->("ack?token=$token&step=1", undef, Digits => '12345'), 'the same step: the same answer');
    is(one("SELECT turn FROM mulberry_internal.voice_calls WHERE command = $command"), '5', 'and once');
    my $rounds = 1;
    for my $step (4 .. 40)
    {
        last if $send->("ack?token=$token&step=$step", undef, Digits => '12345') !~ /<Play/;
        $rounds++;
    }
    is($rounds, 5, 'five times at most');

    my $stray = 'CA' . 'e' x 32;
    is($send->("status?token=$token", undef, CallSid => $stray, CallStatus => 'ringing', SequenceNumber => '0'), '204|text/plain|', 'a call that nobody knows');
    ok($pair->wait_for("SELECT count(*) FROM mulberry_internal.audit WHERE action = 'STRAY_CALL'", '1'), 'is ended');
    ok((grep { $_->{path} =~ /$stray/ } requests('end_call')), 'by a request');
    one("SELECT mulberry.cancel_command($command)");
    ok(settled($command), 'and the known one as well');
};

ok(!$twilio->entries('overlap'), 'nobody was dialled twice at once');
is(one('SELECT count(*) FROM mulberry_internal.job_queue'), '0', 'no job is left');
is(one("SELECT count(*) FROM mulberry_internal.commands WHERE state IN ('waiting', 'outstanding')"), '0', 'no command either');
$pair->stop;
done_testing();
