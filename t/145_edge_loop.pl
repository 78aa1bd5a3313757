# The whole loop, over two clusters: a mandate is revoked in the cloud, the device carries it out, and the cloud knows by a signed
# answer. Online, by the gateway, with the telephone down; and by telephone, with the network down: the cloud places a call, the line
# carries the tones of its frame into a sound card in real time, mulberry-edge hears them there, its database judges them, and the tones
# that it plays are what the cloud finds in the recording, or gets as digits while the call goes on.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use JSON::PP ();
use Mulberry::Edge;
use Mulberry::Gateway;
use Mulberry::VoicePair;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::RealBin/..";
my $dir = tempdir(CLEANUP => 1);
my $card = "$dir/card";
mkdir $card;
spew_raw("$dir/alsa.conf", "</usr/share/alsa/alsa.conf>\npcm_type.fakemic { lib \"$programs/build/libfakemic.so\" }\n"
        . "pcm.line { type fakemic dir \"$card\" rate 8000 line 1 }\n");

my $pair = Mulberry::VoicePair->new('loop', line => sub { return $card }, conf => 'mulberry.command_online_wait = 1h');
sub cloud { return $pair->cloud(@_) }
sub device { return $pair->edge(@_) }
my @mandates = map { $pair->mandate } 1 .. 3;
sub status_here { my ($mandate) = @_; return device("SELECT status FROM mulberry.mandate_status WHERE mandate_id = '$mandate'") }
sub may_spend { my ($mandate) = @_; return device("SELECT accepted FROM mulberry.spend('$mandate', 1, gen_random_uuid()::text, 'edge-1')") }
sub give { my ($mandate) = @_; return cloud("SELECT mulberry.revoke_mandate('$mandate', 'stolen', 'tester')->>'command_id'") }
sub how { my ($command) = @_; return cloud("SELECT concat_ws(' ', state, method, acknowledgement, mandate_state) FROM mulberry.command_status WHERE command_id = $command") }
sub calls_placed { return scalar $pair->placed(1) }

device(q{CREATE ROLE till LOGIN; SELECT mulberry.grant_access('till', 'operator', 'edge-1'), mulberry.grant_access('till', 'ingest', 'edge-1')});
my $database = $pair->{edge}->connstr('postgres') . ' user=till';
my $log = "$dir/programs.log";
my @running;
sub start
{
    my (@words) = @_;
    local $ENV{ALSA_CONFIG_PATH} = "$dir/alsa.conf";
    push @running, IPC::Run::start([ $edge, @words, '--tenant', 'edge-1', '--database', $database ], '<', \undef, '>', '/dev/null', '2>>', $log);
    return $running[-1];
}
END { my $status = $?; $_->kill_kill for @running; $? = $status }
sub log_of { return -e $log ? slurp_file($log) : '' }
sub wait_until
{
    my ($what, $condition) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    sleep 0.05 while !$condition->() && time < $end;
    ok($condition->(), $what) or die log_of();
    return;
}
is(may_spend($_), 't', 'the device lets spend') for @mandates;

# --- online, the telephone down -------------------------------------------------------------------

my $pi = cloud(q{SELECT id FROM mulberry.agent_status});
spew_raw("$dir/token", cloud("SELECT mulberry.create_token('$pi', 'agent')"));
chmod 0600, "$dir/token";
$pair->telephony('create=close');
my $gateway = start_gateway($pair->{cloud});
my $port = $gateway->{port};
my $sync = start('sync', '--gateway', "http://127.0.0.1:$port", '--token-file', "$dir/token");
wait_until('the device is online', sub { log_of() =~ /online: / });

my $command = give($mandates[0]);
ok($pair->state($command, 'confirmed'), 'a command is confirmed by the network') or diag(log_of(), $pair->story($command));
# the news of the registry may have come before it
like(how($command), qr/^confirmed api (?:applied|already so) REVOKED$/, 'in the words of the cloud');
is(status_here($mandates[0]), 'REVOKED', 'and the device has it revoked');
is(may_spend($mandates[0]), 'f', 'and lets nobody spend');
is(calls_placed(), 0, 'nobody was called');

# --- by telephone, the network down ------------------------------------------------------------------

$gateway->{run}->signal('KILL');
$gateway->{run}->finish;
wait_until('the device is offline', sub { log_of() =~ /offline: / });
cloud(q{ALTER SYSTEM SET mulberry.command_online_wait = '1s'; SELECT pg_reload_conf()});
my $answer = start('answer', 'alsa:line', '--name', 'device', '--silence', 3);
wait_until('somebody listens on the line', sub { log_of() =~ /listening: / });

$pair->telephony('ok', webhooks => 0, options => { repetitions => 2 });
$command = give($mandates[1]);
ok($pair->state($command, 'confirmed'), 'a command is confirmed by telephone') or diag(log_of(), $pair->story($command));
is(how($command), 'confirmed voice applied REVOKED', 'in the words of the cloud');
is(status_here($mandates[1]), 'REVOKED', 'and the device has it revoked');
is(may_spend($mandates[1]), 'f', 'and lets nobody spend');
cmp_ok(calls_placed(), '>=', 1, 'it was called');
cmp_ok(cloud("SELECT signatures FROM mulberry_internal.commands WHERE id = $command"), '<=', 2, 'with one frame, or one more');

# A card that is not served in time loses a tone, or breaks it in two.
sub too_busy { return scalar grep { -e "$card/$_" } qw(late dry said-late) }

# what was on the line is a call of the device's database, in both directions
my $call = q{(SELECT max(call_id) FROM mulberry.call_status WHERE call_id LIKE 'device-%')};
sub heard { my ($track) = @_; return device("SELECT string_agg(digit, '' ORDER BY start_ms) FROM mulberry.call_dtmf($call, 'edge-1', track => '$track')") }
wait_until('the call has ended', sub { device(q{SELECT bool_and(state = 'COMPLETED') FROM mulberry.call_status WHERE call_id LIKE 'device-%'}) eq 't' });
my $frame = cloud("SELECT frame FROM mulberry_internal.command_signatures WHERE command = $command ORDER BY signature DESC LIMIT 1");
my $ack = device(q{SELECT ack FROM mulberry_internal.key_frames ORDER BY accepted_at DESC LIMIT 1});
like(heard('inbound'), qr/\Q$frame\E/, 'what the line carried is the frame');
SKIP:
{
    skip 'the machine is too busy for a line in real time', 1 if too_busy();
    like(heard('outbound'), qr/\Q$ack\E/, 'and what the device played its acknowledgement');
}
my $picture = device("SELECT mulberry.call_waveform($call, 'edge-1')");
like($picture, qr/^<svg .*<\/svg>\s*\z/s, 'there is a picture of it');

# --- and with digits while the call goes on: webhooks of the telephone company reach the gateway, the device has no network ------------

$sync->signal('TERM');
$sync->finish;
$gateway = start_gateway($pair->{cloud}, '--twilio-listen', '127.0.0.1:0', '--public-url', 'https://hooks.example');
$pair->telephony("gateway=$gateway->{twilio}", options => { repetitions => 2, record => JSON::PP::false });
$command = give($mandates[2]);
ok($pair->state($command, 'confirmed'), 'a command is confirmed within the call') or diag(log_of(), log_of_gateway($gateway), $pair->story($command));
is(how($command), 'confirmed voice applied REVOKED', 'in the words of the cloud');
is(status_here($mandates[2]), 'REVOKED', 'and the device has it revoked');
my @digits = grep { $_->{what} eq 'webhook' && length($_->{params}{Digits} // '') } $pair->{twilio}->entries;
is($digits[-1]{status}, 200, 'the gateway took the digits');
cmp_ok(device(q{SELECT count(*) FROM mulberry_internal.audit WHERE outcome = 'forgery'}), '==', 0, 'none of it all was taken for a forgery');

# over a line with noise at 15 dB; COMMANDS says how many
my $commands = $ENV{COMMANDS} // 2;
my (@seconds, %plays);
$pair->telephony("gateway=$gateway->{twilio},noise=15", options => { repetitions => 2, record => JSON::PP::false, announcement => 'Mulberry' });
for my $n (1 .. $commands)
{
    my $mandate = $pair->mandate;
    my $began = time;
    my $noisy = give($mandate);
    ok($pair->state($noisy, 'confirmed'), "noise, command $n is confirmed") or diag(log_of(), $pair->story($noisy));
    push @seconds, time - $began;
    is(status_here($mandate), 'REVOKED', "noise, command $n was carried out");
    my %sids = map { $_ => 1 } split /\n/, cloud("SELECT sid FROM mulberry_internal.voice_calls WHERE command = $noisy");
    $plays{ scalar grep { $sids{ $_->{sid} } } $pair->{twilio}->entries('play') }++;
}
note(sprintf 'from revoke_mandate() to confirmed: median %.1f s, at most %.1f s; frames played: %s', (sort { $a <=> $b } @seconds)[ $#seconds / 2 ],
    (sort { $a <=> $b } @seconds)[-1], join ', ', map { "$_ for $plays{$_}" } sort keys %plays);
SKIP:
{
    skip 'the machine is too busy for a line in real time', 1 if too_busy();
    is(join(' ', grep { $_ > 2 } keys %plays), '', 'each with one repetition at most');
}

# the network is back, and nothing is undone by it
start('sync', '--gateway', "http://127.0.0.1:$gateway->{port}", '--token-file', "$dir/token");
wait_until('the device is online again', sub { cloud('SELECT online FROM mulberry.agent_status') eq 't' && device(q{SELECT count(*) FROM mulberry.edge_status WHERE program = 'sync' AND state = 'online'}) == 1 });
is(cloud(q{SELECT string_agg(DISTINCT state, ' ') FROM mulberry.command_status}), 'confirmed', 'each command is settled');
is(device(q{SELECT string_agg(DISTINCT status, ' ') FROM mulberry.mandate_status}), 'REVOKED', 'each mandate revoked');

$answer->signal('TERM');
$answer->finish;
is($answer->result(0), 0, 'the program that answers ends when it is told to');
wait_until('and says so', sub { device(q{SELECT count(*) FROM mulberry.edge_status WHERE program = 'answer' AND state = 'ended'}) == 1 });
$_->kill_kill for @running;
$pair->stop;
done_testing();
