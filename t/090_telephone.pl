# A mandate is revoked by telephone: the cloud phones the edge through Twilio's REST API, tones
# go as audio over a line, the edge judges and applies, its acknowledgement comes back as tones: by
# webhook, and without any from the recording.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

use Mulberry::VoicePair;

my $pair = Mulberry::VoicePair->new('telephone', agents => 2);
my $twilio = $pair->{twilio};

# Revokes, and checks that it arrived; the command.
sub revoked
{
    my ($what, $state) = @_;
    my $mandate = $pair->mandate;
    my $command = $pair->revoke($mandate);
    ok($pair->state($command, $state // 'confirmed'), "$what: " . ($state // 'confirmed')) or diag $pair->story($command);
    is($pair->edge("SELECT status FROM mulberry_internal.mandates WHERE id = '$mandate'"), 'REVOKED', "$what: revoked on the edge") unless $state;
    return $command;
}

subtest 'by webhook' => sub {
    $pair->telephony('ok');
    my $before = $pair->placed;
    my $command = revoked('webhook');
    is($pair->placed - $before, 1, 'one call');
    ok($pair->wait_for("SELECT state || ' ' || outcome || ' ' || (sid IS NOT NULL) FROM mulberry_internal.voice_calls WHERE command = $command",
        'completed acknowledged true'), 'the call is finished') or diag $pair->story($command);
    my ($request) = grep { $_->{kind} eq 'create' } $twilio->entries('request');
    like($request->{fields}{Twiml}, qr{<Say>Mandate revocation</Say><Play digits="w\*[0-9]{30}#"/><Gather }, 'announcement, frame, gathering');
    is_deeply($request->{fields}{StatusCallbackEvent}, [qw(initiated ringing answered completed)], 'repeated keys');
    is($request->{user}, Mulberry::VoicePair::ACCOUNT, 'authenticated by name and token');
    cmp_ok(length $request->{fields}{Twiml}, '<', 4000, 'below 4,000 characters');
    is($pair->cloud("SELECT method || ' ' || attempts || ' ' || (evidence->>'call_sid' = (SELECT sid FROM mulberry_internal.voice_calls WHERE command = $command))
                       FROM mulberry_internal.commands WHERE id = $command"), 'voice 1 true', 'the evidence names the call');
    is(scalar(grep { $_->{kind} eq 'recordings' } $twilio->entries('request')), 0, 'no recording was needed');
    ok(!(grep { $_->{status} !~ /^(200|204)$/ } $twilio->entries('webhook')), 'every webhook was taken');
};

subtest 'without any webhook' => sub {
    $pair->telephony('ok', webhooks => 0);
    my $command = revoked('recording');
    my ($request) = reverse grep { $_->{kind} eq 'create' } $twilio->entries('request');
    unlike($request->{fields}{Twiml}, qr/<Gather/, 'nothing swallows the tones');
    is("@{[ map { $request->{fields}{$_} // 'none' } qw(Record StatusCallback) ]}", 'true none', 'recorded from the beginning');
    is($pair->cloud("SELECT evidence ? 'recording_sid' AND evidence ? 'sha256' FROM mulberry_internal.commands WHERE id = $command"), 't',
        'the evidence is the recording');
};

subtest 'webhooks that are lost' => sub {
    $pair->telephony('hooks=none');
    revoked('polling alone');
    $pair->telephony('hooks=none,recording=1');
    revoked('a recording that comes late');
};

subtest 'a recording with one channel' => sub {
    # as an account without dual channels gives it
    $pair->telephony('hooks=none,mono');
    revoked('mono');
};

subtest 'callbacks twice and in reverse' => sub {
    $pair->telephony('hooks=twice');
    my $command = revoked('twice');
    ok($pair->wait_for("SELECT outcome FROM mulberry_internal.voice_calls WHERE command = $command", 'acknowledged'), 'finished');
    ok(!(grep { defined $_->{same} && !$_->{same} } $twilio->entries('webhook')), 'a replay gets the answer of the first time');
    is($pair->cloud("SELECT count(*) FROM mulberry_internal.audit WHERE command = $command AND outcome = 'confirmed'"), '1', 'and does nothing');
    $pair->telephony('hooks=reversed');
    $command = revoked('reversed');
    ok($pair->wait_for("SELECT state || ' ' || outcome FROM mulberry_internal.voice_calls WHERE command = $command", 'completed acknowledged'), 'ended once');
    is($pair->cloud("SELECT string_agg(payload->>'status', ' ' ORDER BY id) FROM mulberry_internal.events WHERE event = 'voice_call' AND (payload->>'command_id')::bigint = $command") =~ s/.* //r,
        'completed', 'and stays ended');
};

subtest 'a line with noise, twist and loss' => sub {
    $pair->telephony('noise=15,twist=3,loss=0.2');
    revoked('bad line');
    $pair->telephony('garble=2');
    my $command = revoked('an acknowledgement that is not understood at first');
    is($pair->edge('SELECT count(*) FROM mulberry_internal.audit WHERE outcome ~ \'forger\''), '0', 'nothing is taken for a forgery');
};

subtest 'a challenge' => sub {
    $pair->telephony('ok');
    my $mandate = $pair->mandate;
    $pair->edge("UPDATE mulberry_internal.voice_keys SET challenge_extend = true");
    my $command = $pair->cloud("SELECT mulberry.extend_mandate('$mandate', 14, force_voice => true)->>'command_id'");
    ok($pair->state($command, 'confirmed'), 'confirmed') or diag $pair->story($command);
    is($pair->cloud("SELECT signatures || ' ' || (nonce IS NOT NULL) || ' ' || attempts FROM mulberry_internal.commands WHERE id = $command"), '2 true 1',
        'signed anew with the challenge, in the same call');
    is($pair->edge("SELECT round(extract(epoch FROM expires_at - now()) / 86400) FROM mulberry_internal.mandates WHERE id = '$mandate'"), '15', 'extended once');
    $pair->telephony('ok', webhooks => 0);
    $command = $pair->cloud("SELECT mulberry.extend_mandate('$mandate', 10, force_voice => true)->>'command_id'");
    ok($pair->state($command, 'confirmed'), 'without webhooks: confirmed') or diag $pair->story($command);
    is($pair->cloud("SELECT string_agg(attempt || ' ' || outcome, ', ' ORDER BY id) FROM mulberry_internal.voice_calls WHERE command = $command"),
        '1 challenged, 2 acknowledged', 'by the next call');
    $pair->edge("UPDATE mulberry_internal.voice_keys SET challenge_extend = false");
};

subtest 'an API key, and recordings that are deleted' => sub {
    my $key = 'SK' . '0' x 32;
    $pair->cloud("COPY mulberry.secret_entry (name, value) FROM stdin;\nkey-secret\tnot the right one\n\\.\n");
    $pair->telephony('ok', options => { api_key_sid => $key, api_key_secret => 'key-secret' });
    my $mandate = $pair->mandate;
    my $command = $pair->revoke($mandate);
    ok($pair->state($command, 'escalated'), 'a wrong key is not tried three times') or diag $pair->story($command);
    my ($request) = reverse $twilio->entries('request');
    is("$request->{user} $request->{status}", "$key 401", 'the key was sent');
    like($pair->cloud("SELECT error FROM mulberry_internal.commands WHERE id = $command"), qr/HTTP 401, Twilio error 20003: Authenticate/, 'the error says so');
    $pair->telephony('hooks=none', options => { delete_recordings => JSON::PP::true() });
    $command = revoked('deleted');
    ok($pair->wait_for("SELECT delete_recording::text || (SELECT count(*) FROM mulberry_internal.job_queue) FROM mulberry_internal.voice_calls WHERE command = $command", 'false0'), 'deleted');
    is(scalar(grep { $_->{kind} eq 'delete' && $_->{status} == 204 } $twilio->entries('request')), 1, 'by a request');
};

subtest 'how long it takes' => sub {
    $pair->telephony('ring=0.3');
    my @own;
    for (1 .. 7)
    {
        my $mandate = $pair->mandate;
        my ($command, $began) = split /\|/, $pair->cloud("SELECT mulberry.revoke_mandate('$mandate', force_voice => true)->>'command_id', extract(epoch FROM clock_timestamp())");
        ok($pair->state($command, 'confirmed'), "confirmed $_");
        my $took = $pair->cloud("SELECT extract(epoch FROM finished_at) - $began FROM mulberry_internal.commands WHERE id = $command");
        push @own, $took - 0.3;
    }
    @own = sort { $a <=> $b } @own;
    diag sprintf 'from revoke_mandate() to confirmed, without the ringing: median %.3f s, %.3f to %.3f s', @own[ @own / 2, 0, -1 ];
};

ok(!$twilio->entries('overlap'), 'nobody was dialled twice at once');
is($pair->cloud('SELECT count(*) FROM mulberry_internal.job_queue'), '0', 'no job is left');
unlike(slurp_file($pair->{cloud}->logfile), qr/@{[ Mulberry::VoicePair::TOKEN ]}/, 'the log has not');
is($pair->cloud("SELECT count(*) FROM mulberry_internal.events WHERE payload::text LIKE '%" . Mulberry::VoicePair::TOKEN . "%'"), '0', 'no event has the token');
# every call that was placed and is over is counted once, and as long as it was answered
is($pair->cloud(q{SELECT sum(value) FROM mulberry.metrics() WHERE name = 'voice_calls_total'}),
    $pair->cloud(q{SELECT count(*) FROM mulberry_internal.voice_calls WHERE finished_at IS NOT NULL AND state <> 'planned'}), 'metrics() counts the calls');
cmp_ok($pair->cloud(q{SELECT value FROM mulberry.metrics() WHERE name = 'voice_calls_total' AND labels = '{"status": "completed"}'}), '>=', 1, '... by status');
is($pair->cloud(q{SELECT value FROM mulberry.metrics() WHERE name = 'voice_call_duration_seconds_count'}),
    $pair->cloud(q{SELECT count(*) FROM mulberry_internal.voice_calls WHERE finished_at IS NOT NULL AND answered_at IS NOT NULL}), '... and how long they were');

$pair->stop;
done_testing();
