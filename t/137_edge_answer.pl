# "mulberry-edge answer" on a sound card (test/edge/fakemic.c) with our own echo on it: commands that a cloud has signed are played into the
# line as tones, with noise; the edge's database applies them, and what is played as its answer is heard by other ears than ours
# (multimon-ng) and confirms them in the cloud. What is forged changes nothing, and a database that is away loses nothing.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::AnswerPair;
use Mulberry::CardLine;
use Mulberry::Cluster;
use Mulberry::Edge;
use Mulberry::Line;
use PostgreSQL::Test::Utils;
use Test::More;

my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::RealBin/..";
my $dir = tempdir(CLEANUP => 1);
my $pair = Mulberry::AnswerPair->new('edge_answer', challenge_extend => 1);

# --- commands, one after the other in one call ----------------------------------------------------------------

my $line = Mulberry::CardLine->new("$dir/card", $programs, echo => 800)->start('--name', 'card', '--silence', 25, $pair->flags);
$line->says(qr/listening: .*plays as well/);
my @delays;
for my $kind (qw(ping suspend extend))
{
    my $result = $pair->confirm($line, $kind, noise => 15);
    is($result->{state}, 'confirmed', "$kind: confirmed by what was heard: @{ $result->{heard} }");
    push @delays, @{ $result->{delays} };
}
is($pair->mandate_state, 'SUSPENDED', 'the edge has done it');
my @sorted = sort { $a <=> $b } @delays;
diag sprintf 'from the last tone of a frame to the first of the answer: %s ms, median %.0f', join(', ', map { int } @delays), $sorted[ $#sorted / 2 ];

# --- what is forged -------------------------------------------------------------------------------------------

$pair->command('revoke');
my $forged = Mulberry::AnswerPair::forged($pair->frame);
my $heard = 'A';
# a frame with an error in it is asked for again, whoever plays it
for (my $tries = 0; $heard ne 'D' && $tries < 8; $tries++)
{
    ($heard) = $line->ask(Mulberry::Line::play($forged, noise => 15));
}
is($heard, 'D', 'a forged frame is answered with D');
is($pair->mandate_state, 'SUSPENDED', 'and changes nothing');

# --- the database stands still, judges nothing for us, and is away ----------------------------------------------

{
    my ($postmaster) = split /\n/, slurp_file($pair->{node}->data_dir . '/postmaster.pid');
    my @all = ($postmaster, split ' ', `ps -o pid= --ppid $postmaster`);
    kill 'STOP', @all;
    my ($answer, $delay) = eval { $line->ask(Mulberry::Line::play($forged)) };
    kill 'CONT', @all;
    is($answer, 'A', 'a database that stands still: the caller is asked to play it again');
    cmp_ok($delay, '<', 6000, 'and does not wait for longer than four seconds');
    $line->says(qr/not judged: .*does not answer/);
}
$pair->edge(q{SELECT mulberry.revoke_access('pi', 'operator', NULL)});
is(($line->ask(Mulberry::Line::play($forged)))[0], 'A', 'a role that may not have it judged');
wait_for_true($pair->{node}, q{SELECT count(*) = 1 FROM mulberry.edge_status WHERE program = 'answer' AND problem LIKE 'commands are not judged: permission denied%'}, 'is told in the row of the program', 'edge');
$pair->edge(q{SELECT mulberry.grant_access('pi', 'operator', NULL)});

$pair->{node}->stop('immediate');
my ($digits) = $line->ask(Mulberry::Line::play($forged));
is($digits, 'A', 'while the database is away the caller is asked to play it again');
$line->says(qr/not judged/);
$pair->{node}->start;
my $result = $pair->confirm($line, undef, noise => 15);
is($result->{state}, 'confirmed', "when it is back: confirmed by what was heard: @{ $result->{heard} }");
is($pair->mandate_state, 'REVOKED', 'the edge has revoked the mandate');

# --- the end of the call --------------------------------------------------------------------------------------

my $call = $line->says(qr/call (\S+) is over/);
kill 'USR1', $line->{pid};
like($line->says(qr/(device alsa:mic.*waiting for calls; call none; 1 calls, \d+ commands; database connected)/), qr/ 5 commands/, 'one call, in which our own echo was no digit, and five frames that were accepted');
is($line->stop('TERM'), 0, 'it ends in order');
is($pair->edge("SELECT count(*) FROM mulberry.audit_log WHERE evidence->>'call_ref' = '$call' AND action = 'REVOKE'"), 1, 'the audit log has the id of the call');
is($pair->edge("SELECT string_agg(track, ' ' ORDER BY track) FROM mulberry.call_tracks WHERE call_id = '$call'"), 'inbound outbound', 'the call was posted, both of its tracks');
is($pair->edge("SELECT direction FROM mulberry.call_status WHERE call_id = '$call'"), 'inbound', 'as one that came in');
# what was played, as the database has it
my $played = $pair->edge("SELECT mulberry.dtmf_decode(substr(mulberry.call_audio('$call', track => 'outbound'), 45), 's16le', 8000)");
like($played, qr/\*[0-9]{20}#.*D.*\*[0-9]{20}#/, 'with what was heard and played in it');

# --- one call at once, which the program ends with ------------------------------------------------------------

{
    my $once = Mulberry::CardLine->new("$dir/once", $programs)->start('--gate', 'off', '--silence', 2, $pair->flags);
    my $id = $once->says(qr/call (\S+)\n/);
    is($once->stop, 0, 'with --gate off there is one call');
    is($pair->edge("SELECT count(*) FROM mulberry.audit_log WHERE evidence->>'key_id' = '99'"), 0, 'the frame with which a session is made ready leaves no trace');
    my @samples = unpack 's<*', $once->played(0);
    my ($first) = grep { $samples[$_] != 0 } 0 .. $#samples;
    cmp_ok($first, '>=', 4000, 'half a second in it');
    my @tone = grep { $samples[$_] != 0 } $first .. $#samples;
    cmp_ok($tone[-1] - $first, '<=', 1600, 'a short tone says that we listen');
    is(Mulberry::Line::hear(Mulberry::Line::mulaw(@samples[ $first .. $tone[-1] ], (0) x 4000)), '', 'which is no digit');
}

# --- a spool --------------------------------------------------------------------------------------------------

{
    my @flags = ('--spool', "$dir/spool", '--spool-free', 0, '--name', 'spooled', $pair->flags);
    my $killed = Mulberry::CardLine->new("$dir/killed", $programs)->start(@flags);
    $killed->says(qr/listening: /);
    is($pair->confirm($killed, 'ping')->{state}, 'confirmed', 'with a spool: a command is confirmed');
    $pair->{node}->stop('immediate');
    is(($killed->ask(Mulberry::Line::play($forged)))[0], 'A', 'and the database is away');
    $killed->stop('KILL');
    $pair->{node}->start;
    my $next = Mulberry::CardLine->new("$dir/next", $programs)->start(@flags);
    wait_for_true($pair->{node}, q{SELECT bool_and(state = 'COMPLETED') FROM mulberry.call_status WHERE call_id LIKE 'spooled-%'}, 'the next process has ended the call of one that was killed', 'edge');
    is($next->stop('TERM'), 0, 'and ends in order');
    my ($id) = split /\n/, $pair->edge(q{SELECT call_id FROM mulberry.call_status WHERE call_id LIKE 'spooled-%'});
    sub track { my ($call, $track) = @_; return $pair->edge("SELECT string_agg(digit, '' ORDER BY start_ms) FROM mulberry.call_dtmf('$call', track => '$track')") }
    like(track($id, 'inbound'), qr/^\*[0-9]{28}[0-9]*#.*\Q$forged\E$/, 'all that was heard is posted, what the database did not see among it');
    like(track($id, 'outbound'), qr/^\*[0-9]{20}#.*A$/, 'and all that was played');
    is($pair->edge("SELECT string_agg(missing_count::text, ' ') FROM mulberry.call_tracks WHERE call_id = '$id'"), '0 0', 'without gaps');
    is(scalar(grep { 1 } glob "$dir/spool/*.spool"), 0, 'and the spool is empty');
}

# --- what is wrong --------------------------------------------------------------------------------------------

for my $case (
    [ 2, qr/needs a device/, 'no device', ],
    [ 2, qr/gate: of answer must be dtmf or off/, 'a gate that it has not got', 'alsa:mic', '--gate', 'voice' ],
    [ 2, qr/modem: must be sim7600, quectel or v253/, 'another modem', 'pcm-tty:/dev/null', '--modem', 'x' ],
    [ 2, qr/a modem needs --port/, 'no port', 'pcm-tty:/dev/null', '--modem', 'sim7600' ],
    [ 2, qr/nothing can be played/, 'a device that does not play', "$dir/card.conf" ],
    [ 9, qr/needs operator access/, 'a role without access', 'alsa:mic', '--database', $pair->{node}->connstr('edge') . ' user=nobody' ])
{
    my ($status, $pattern, $what, @arguments) = @$case;
    $pair->edge('CREATE ROLE nobody LOGIN') if $status == 9;
    my ($got, undef, $err) = edge('answer', $pair->flags, @arguments);
    is($got, $status, "$what: the status");
    like($err, $pattern, "$what: is said");
}

$pair->stop;
done_testing();
