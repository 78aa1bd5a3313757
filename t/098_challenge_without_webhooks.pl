# Whoever dials an edge with forged frames puts its key into challenge mode.  A cloud that no webhook
# reaches still revokes by telephone: it finds the challenge in the recording of one call and
# answers it in the next, whatever is played to the edge on another line meanwhile.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::VoicePair;

my $pair = Mulberry::VoicePair->new('challenge', agents => 3);
my $twilio = $pair->{twilio};

# Symbols of a frame whose check digits fit (ISO 7064 MOD 97-10) and whose tag is of no key.
sub forged
{
    my ($key, $mandate, $n) = @_;
    my $digits = sprintf '%02d01%s00%04d%010d', $key, $mandate, 1, 1_234_567_890 + $n;
    my $rest = 0;
    $rest = ($rest * 10 + $_) % 97 for split //, $digits . '00';
    return sprintf '*%s%02d#', $digits, 98 - $rest;
}

sub key_of
{
    my ($agent) = @_;
    return $pair->edge("SELECT k.key_id FROM mulberry_internal.voice_keys k JOIN mulberry_internal.tenants t ON t.id = k.tenant WHERE t.name = 'edge-$agent'");
}

# The edge of an agent hears some of them, each in a call of its own.
sub attack
{
    my ($agent, $mandate, $times) = @_;
    $times //= 5;
    my $key = key_of($agent);
    my @verdicts = map {
        my $symbols = forged($key, $mandate, $_);
        $pair->edge("SELECT verdict FROM mulberry.handle_command_symbols('$symbols', '+15559990000', 'CA-forger-$agent-$_', tenant => 'edge-$agent')");
    } 1 .. $times;
    is("@verdicts", join(' ', ('forgery') x $times), "$times calls with forged frames");
    is($pair->edge("SELECT mode FROM mulberry.voice_key_status WHERE tenant = 'edge-$agent'"), $times > 20 ? 'strict' : 'challenge', 'put the key into challenge mode');
    return;
}

# A second line to the edge of an agent, which goes on till it is told to end: ten times a second a call with a forged frame.
sub second_line
{
    my ($agent, $mandate) = @_;
    my $symbols = forged(key_of($agent), $mandate, 0);
    $pair->edge('CREATE TABLE IF NOT EXISTS going_on ()');
    return IPC::Run::start([ 'psql', '-XAtq', '-d', $pair->{edge}->connstr('postgres'), '-c', <<SQL ], '<', \undef, '>', \my $out);
DO \$\$ BEGIN
    WHILE to_regclass('going_on') IS NOT NULL LOOP
        PERFORM mulberry.handle_command_symbols('$symbols', '+15559990000', 'CA-forger-' || gen_random_uuid(), tenant => 'edge-$agent');
        COMMIT;
        PERFORM pg_sleep(0.1);
    END LOOP;
END \$\$
SQL
}

# What the edge has taken for forged since.
sub forgeries { return $pair->edge("SELECT count(*) FROM mulberry_internal.audit WHERE outcome = 'forgery' AND evidence->>'call_ref' !~ '^CA-forger'") }

sub calls
{
    my ($command) = @_;
    return $pair->cloud("SELECT string_agg(attempt || ' ' || outcome, ', ' ORDER BY id) FROM mulberry_internal.voice_calls WHERE command = $command");
}

subtest 'a challenge that is heard too late' => sub {
    # as if the first call had ended long before we hear of it
    $pair->cloud(<<'SQL');
CREATE FUNCTION ended_early() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    new.ended_at := new.ended_at - interval '50 s';
    RETURN new;
END $$;
CREATE TRIGGER ended_early BEFORE UPDATE ON mulberry_internal.voice_calls FOR EACH ROW
    WHEN (new.attempt = 1 AND new.ended_at IS DISTINCT FROM old.ended_at) EXECUTE FUNCTION ended_early();
SQL
    $pair->telephony('ok', webhooks => 0);
    my $mandate = $pair->mandate(3);
    attack(3, $mandate);
    my $command = $pair->revoke($mandate);
    ok($pair->state($command, 'confirmed'), 'confirmed') or diag $pair->story($command);
    is(calls($command), '1 challenged, 2 challenged, 3 acknowledged', 'by the third call');
    like($pair->cloud("SELECT detail FROM mulberry_internal.voice_calls WHERE command = $command AND attempt = 1"), qr/too late/, 'the first was too late');
    is($pair->cloud("SELECT count(*) FROM mulberry_internal.events WHERE event = 'command_attempt_failed' AND payload->>'command_id' = '$command'"), '1', 'and has failed');
    is($pair->cloud("SELECT signatures || ' ' || (SELECT string_agg((counter - 1)::text, ' ' ORDER BY counter) FROM mulberry_internal.command_signatures WHERE command = $command) FROM mulberry_internal.commands WHERE id = $command"),
        '3 0 2 3', 'the counter of the answer that was not given is left out');
    is(forgeries(), '0', 'nothing genuine was taken for forged');
    $pair->cloud('DROP TRIGGER ended_early ON mulberry_internal.voice_calls');
};

# A next call after the usual delay would come after the end of every test here.
$pair->cloud("ALTER SYSTEM SET mulberry.command_retry_delay = '30 min'");
$pair->cloud('SELECT pg_reload_conf()');
$pair->wait_for("SELECT current_setting('mulberry.command_retry_delay')", '30min') or die 'the setting has not arrived';

subtest 'a revocation' => sub {
    $pair->telephony('ok', webhooks => 0);
    my $mandate = $pair->mandate(1);
    attack(1, $mandate, 21);
    my $line = second_line(1, $mandate);
    ok($pair->{edge}->poll_query_until('postgres', q{SELECT count(*) > 30 FROM mulberry_internal.audit WHERE outcome = 'forgery' AND evidence->>'call_ref' ~ '^CA-forger'}), 'and it goes on');
    my $command = $pair->revoke($mandate);
    ok($pair->state($command, 'confirmed'), 'confirmed') or diag $pair->story($command);
    is(calls($command), '1 challenged, 2 acknowledged', 'by the second call');
    $pair->edge('DROP TABLE going_on');
    ok($line->finish, 'the second line has played all the time');
    is($pair->edge(q{SELECT count(*) FROM mulberry_internal.audit WHERE outcome = 'not judged'}), '0', 'and every frame was judged');
    is($pair->edge("SELECT status FROM mulberry_internal.mandates WHERE id = '$mandate'"), 'REVOKED', 'revoked on the edge');
    is($pair->cloud("SELECT signatures || ' ' || (nonce IS NOT NULL) || ' ' || attempts || ' ' || (error IS NULL) FROM mulberry_internal.commands WHERE id = $command"),
        '2 true 2 true', 'signed with the digits of the challenge');
    is($pair->cloud("SELECT count(*) FROM mulberry_internal.events WHERE event = 'command_attempt_failed' AND payload->>'command_id' = '$command'"), '0', 'the first call has not failed');
    my ($second, $first) = reverse grep { $_->{kind} eq 'create' } $twilio->entries('request');
    my ($before, $after) = map { $_->{fields}{Twiml} =~ /digits="w(\*[0-9]{30}#)"/ } $first, $second;
    isnt($after, $before, 'the second call plays another frame');
    is(forgeries(), '0', 'nothing genuine was taken for forged');
    is($pair->edge('SELECT count(*) FROM mulberry_internal.challenges'), '0', 'the challenge is used up');
};

subtest 'a recording with one channel, and a noisy line' => sub {
    $pair->telephony('mono,noise=20,twist=3', webhooks => 0);
    my $mandate = $pair->mandate(2);
    attack(2, $mandate);
    my $command = $pair->revoke($mandate);
    ok($pair->state($command, 'confirmed'), 'confirmed') or diag $pair->story($command);
    is(calls($command), '1 challenged, 2 acknowledged', 'by the second call');
    is($pair->edge("SELECT status FROM mulberry_internal.mandates WHERE id = '$mandate'"), 'REVOKED', 'revoked on the edge');
    is(forgeries(), '0', 'nothing genuine was taken for forged');
};

subtest 'an extension by the policy of its key' => sub {
    $pair->edge('DELETE FROM mulberry_internal.key_guard');
    $pair->edge('UPDATE mulberry_internal.voice_keys SET challenge_extend = true');
    $pair->telephony('ok', webhooks => 0);
    my $mandate = $pair->mandate(1);
    my $command = $pair->cloud("SELECT mulberry.extend_mandate('$mandate', 14, force_voice => true)->>'command_id'");
    ok($pair->state($command, 'confirmed'), 'confirmed') or diag $pair->story($command);
    is(calls($command), '1 challenged, 2 acknowledged', 'by the second call');
    is($pair->edge("SELECT round(extract(epoch FROM expires_at - now()) / 86400) FROM mulberry_internal.mandates WHERE id = '$mandate'"), '15', 'extended once');
    is(forgeries(), '0', 'nothing genuine was taken for forged');
};

subtest 'an answer that comes too late' => sub {
    # It is challenged again, not taken for forged: the third call answers that.
    $pair->telephony('ok', webhooks => 0);
    my $mandate = $pair->mandate(1);
    # as if the first challenge had been played a minute ago when the answer comes
    $pair->edge(<<'SQL');
CREATE TABLE delayed ();
CREATE FUNCTION delay() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_catalog AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM delayed) THEN
        INSERT INTO delayed DEFAULT VALUES;
        new.played_at := new.played_at - interval '61 s';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER delay BEFORE INSERT ON mulberry_internal.challenges FOR EACH ROW EXECUTE FUNCTION delay();
SQL
    my $command = $pair->cloud("SELECT mulberry.extend_mandate('$mandate', 14, force_voice => true)->>'command_id'");
    ok($pair->state($command, 'confirmed'), 'confirmed') or diag $pair->story($command);
    is(calls($command), '1 challenged, 2 challenged, 3 acknowledged', 'by the third call');
    is($pair->edge("SELECT round(extract(epoch FROM expires_at - now()) / 86400) FROM mulberry_internal.mandates WHERE id = '$mandate'"), '15', 'extended once');
    is(forgeries(), '0', 'nothing genuine was taken for forged');
    $pair->edge('DROP TRIGGER delay ON mulberry_internal.challenges; DROP FUNCTION delay(); DROP TABLE delayed');
};

ok(!$twilio->entries('overlap'), 'nobody was dialled twice at once');
is($pair->cloud('SELECT count(*) FROM mulberry_internal.job_queue'), '0', 'no job is left');
$pair->stop;
done_testing();
