# "mulberry-edge answer" with modems, scripted on pseudo terminals (Mulberry::Modem): who is answered, commands that come over the line as tones,
# the answers as other ears than ours hear them (multimon-ng), and the end of a call, of mobile modems and a landline one.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::AnswerPair;
use Mulberry::Edge;
use Mulberry::Line;
use Mulberry::ModemLine;
use Test::More;
use Time::HiRes qw(time);

my $pair = Mulberry::AnswerPair->new('edge_answer_modems');

sub tell
{
    my ($kind, @delays) = @_;
    my @sorted = sort { $a <=> $b } @delays;
    diag sprintf '%s: from the last tone of a frame to the first of the answer: %s ms, median %.0f', $kind, join(', ', map { int } @delays), $sorted[ $#sorted / 2 ];
}

for my $case (
    [ 'sim7600', '+15550001', ['suspend', 'resume'], echo => 0.15 ],
    [ 'quectel', '+15550002', ['query'] ],
    [ 'v253', '5550003', ['ping', 'suspend'] ])
{
    my ($kind, $number, $commands, %option) = @$case;
    my $line = Mulberry::ModemLine->new($kind, %option);
    $line->start($pair->flags, '--name', $kind, '--silence', 45, '--allowed-callers', $number, '--call-encoding', 's16le');
    ok($line->says(qr/the modem is ready/), "$kind: a modem");

    $line->ring('+1666');
    ok($line->says(qr/\+1666 called, and is none of the callers allowed/), "$kind: who is not allowed");
    if ($kind eq 'v253')
    {
        # until it is taken not to ring any more
        my $idle = time + 10;
        $line->until(sub { time > $idle });
    }
    else
    {
        # one CHUP made it ready
        ok($line->told(qr/^AT\+CHUP$/) && $line->told(qr/^AT\+CHUP$/), "$kind: is hung up");
    }
    is(scalar(grep { /^AT(?:A|\+VLS=1)$/ } @{ $line->{modem}{commands} }), 0, "$kind: and not answered");

    $line->ring($number);
    ok($line->told(qr/^AT(?:A|\+VLS=1)$/), "$kind: who is allowed is answered");
    ok($line->says(qr/call \S+ from \Q$number\E/), "$kind: there is a call");
    ok($line->tone, "$kind: a tone says that we listen");
    my $ready = $line->{begun};
    $line->until(sub { time > $line->{loud_at} + 1 });
    is($line->digits, '', "$kind: which is no digit");

    my @delays;
    for my $command (@$commands)
    {
        my $result = $pair->confirm($line, $command, noise => 15);
        is($result->{state}, 'confirmed', "$kind: $command: confirmed by what was heard: @{ $result->{heard} }");
        push @delays, @{ $result->{delays} };
    }
    main::tell($kind, @delays);

    if ($kind eq 'sim7600')
    {
        my $command;
        ($command, my $forged) = $line->meanwhile(sub { my $frame = $pair->command('suspend'); ($pair->{command}, Mulberry::AnswerPair::forged($frame)) });
        $pair->{command} = $command;
        my $heard = 'A';
        for (my $tries = 0; $heard ne 'D' && $tries < 8; $tries++)
        {
            ($heard) = $line->ask(Mulberry::Line::play($forged, noise => 15));
        }
        is($heard, 'D', "$kind: a forged frame is answered with D");
        is(($line->meanwhile(sub { $pair->mandate_state }))[0], 'ACTIVE', "$kind: and changes nothing");
        # the command goes by the same call after all
        is($pair->confirm($line, undef, noise => 15)->{state}, 'confirmed', "$kind: the genuine one is accepted");
        is($pair->confirm($line, 'resume', noise => 15)->{state}, 'confirmed', "$kind: and the next");
    }

    ok($line->says(qr/call (\S+) is over/), "$kind: nobody plays anything: the call is over");
    ok($line->told($kind eq 'v253' ? qr/^AT\+VLS=0$/ : qr/^AT\+CHUP$/), "$kind: and hung up");
    is($line->stop, 0, "$kind: it ends in order");
    my ($call) = map { /call (\S+) is over/ ? $1 : () } @{ $line->{modem}{lines} };
    is($pair->edge("SELECT direction || ' ' || from_number FROM mulberry.call_status WHERE call_id = '$call'"), "inbound $number", "$kind: the call was posted with who called");
    is($pair->edge("SELECT string_agg(track, ' ' ORDER BY track) FROM mulberry.call_tracks WHERE call_id = '$call'"), 'inbound outbound', "$kind: both of its tracks");
    like($pair->edge("SELECT mulberry.dtmf_decode(substr(mulberry.call_audio('$call', track => 'outbound'), 45), 's16le', 8000)"), qr/^\*[0-9]{20}#/, "$kind: with what was played");
    is($pair->edge("SELECT DISTINCT evidence->>'caller' FROM mulberry.audit_log WHERE evidence->>'call_ref' = '$call'"), $number, "$kind: and the audit log says who called");
}

$pair->stop;
done_testing();
