# Modems of mulberry-edge, over pseudo terminals with a modem that has all the vices that are known: SIM7600 and kin with raw
# audio on a port of their own, and landline modems with shielded audio on the port of commands.  Needs no PostgreSQL.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Mulberry::Modem;

my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::Bin/..";
my $program = $ENV{MULBERRY_EDGE_MODEM} // "$programs/build/edge-modem";
my $dir = tempdir(CLEANUP => 1);

# What was heard in the call that ended last: {samples, breaks, lost, written}.
sub heard
{
    my ($modem) = @_;
    my ($line) = grep { /^heard/ } reverse @{ $modem->{lines} };
    return { map { $_ eq 'heard' ? 'samples' : $_ } split / /, $line // '' };
}

# Samples that the modem was given, without silence before and behind them; undef when there is a break in them.
sub spoken
{
    my ($bytes) = @_;
    my @samples = unpack 's<*', $bytes;
    shift @samples while @samples && $samples[0] == 0;
    pop @samples while @samples && $samples[-1] == 0;
    for my $i (1 .. $#samples)
    {
        return undef if $samples[$i] != $samples[$i - 1] + 1;
    }
    return scalar @samples;
}

# --- SIM7600: a modem whose second call has no audio --------------------------------------------------------

{
    my %state = (registered => 0, keeps => 1);
    my $modem = Mulberry::Modem->new(
        audio_port => 1,
        echo => 1,
        piece => 7,    # bytes at once
        burst => 800,    # 100 ms
        source => sub {
            my ($m, $samples) = @_;
            $m->{pcm_out} .= pack 's<*', map { $_ > 32767 ? $_ - 65536 : $_ } @$samples if $state{registered};
        });
    $modem->{script} = [
        [qr/^ATE0$/, sub { my ($m) = @_; $m->lines('OK'); $m->{echo} = 0; undef }],
        [qr/^AT\+CPCMBANDWIDTH/, "\r\nERROR\r\n"],
        # rings and another caller between a command and its OK
        [qr/^ATA$/, sub { $state{up} = 1; "\r\nRING\r\n\r\n+CLIP: \"+1555\",145,,,\"OK\",0\r\n\r\nOK\r\n\r\nVOICE CALL: BEGIN\r\n" }],
        [
            qr/^AT\+CPCMREG=1$/,
            sub {
                my ($m) = @_;
                $state{registered} = $state{keeps};
                $m->begin_speaking;
                return "\r\n+CCWA: \"+1999\",145,1\r\n\r\nOK\r\n";
            }
        ],
        [qr/^AT\+CPCMREG\?$/, sub { "\r\n+CPCMREG: $state{registered}\r\n\r\nOK\r\n" }],
        [qr/^AT\+CPCMREG=0$/, sub { $state{registered} = 0; "\r\nOK\r\n" }],
        [qr/^AT\+CLCC$/, sub { ($state{up} ? "\r\n+CLCC: 1,1,0,0,0,\"+1555\",145\r\n" : '') . "\r\nOK\r\n" }],
        [qr/^AT\+CHUP$/, sub { $state{up} = 0; "\r\nVOICE CALL: END: 000004\r\n\r\nOK\r\n" }],
        [qr/^AT\+CRESET$/, sub { $state{keeps} = 1; "\r\nOK\r\n" }],
    ];
    my $ring = "\r\nRING\r\n\r\n+CLIP: \"+15551234\",145,,,\"OK\",0\r\n";

    $modem->start($program, 'sim7600', $modem->{name}, "pcm-tty:$modem->{pcm_name}", 1, 'allowed=+1555*,+49123', 'watchdog=8000');
    ok($modem->says(qr/^ready/), 'the modem is made ready, though it echoes and its lines come in pieces');
    is(scalar(grep { $_ eq 'AT+CLIP=1' } @{ $modem->{commands} }), 1, 'each command once');
    ok($modem->told(qr/^AT\+CHUP$/), 'a call that was left up when its program was killed is ended');

    # somebody else
    $modem->say("\r\nRING\r\n\r\n+CLIP: \"+1666\",145\r\n");
    ok($modem->says(qr/^refused \+1666$/), 'who is not on the list is refused');
    ok($modem->told(qr/^AT\+CHUP$/), 'and hung up');
    $modem->say("\r\nRING\r\n\r\n+CLIP: \"\",128,,,,1\r\n");
    ok($modem->says(qr/^refused $/), 'who does not say who he is, too');
    ok($modem->told(qr/^AT\+CHUP$/), 'and hung up');

    # a number in UCS-2
    $modem->say("\r\nRING\r\n\r\n+CLIP: \"" . join('', map { sprintf '%04X', ord } split //, '+15551234') . "\",145\r\n");
    ok($modem->says(qr/^called \+15551234$/), 'a call');
    my @commands = grep { /^AT(A|\+CPCMREG)/ } @{ $modem->{commands} };
    is_deeply([@commands[-3 .. -1]], ['ATA', 'AT+CPCMREG=1', 'AT+CPCMREG?'], 'audio is registered when the call is up');
    ok($modem->says(qr/^second 2$/), 'two seconds are heard');
    $modem->order('play 50');
    ok($modem->says(qr/^written/), 'one is played');
    ok($modem->until(sub { (spoken($modem->{spoken}) // 0) >= 8000 - 1 }), 'and comes whole, from silence to silence');
    my $fed = length $modem->{spoken};
    ok($modem->until(sub { length $modem->{spoken} > $fed + 16000 }), 'the modem is fed when nothing is played');
    is(length($modem->{spoken}) % 2, 0, 'with whole samples');
    $modem->say("\r\n+CCWA: \"+1999\",145,1\r\n");
    ok($modem->says(qr/^waiting/), 'a second caller is not answered');
    $modem->order('hang up');
    ok($modem->says(qr/^ended/), 'we hang up');
    my $heard = heard($modem);
    is("$heard->{breaks} $heard->{lost} $heard->{written}", '0 0 8000', 'nothing that came in bursts was lost');
    ok($modem->told(qr/^AT\+CHUP$/), 'the modem is told');

    # the second call
    $state{keeps} = 0;
    $modem->until(sub { !$state{up} });
    $modem->say($ring);
    ok($modem->says(qr/^problem AT\+CPCMREG\?/), 'the second call has no audio');
    ok($modem->told(qr/^AT\+CRESET$/), 'and the modem is reset');
    $modem->say("\0\xff\r\nRDY\r\n\r\n+CPIN: READY\r\n");
    ok($modem->told(qr/^ATE0$/), 'when it is back it is made ready');
    ok($modem->says(qr/^ready/), 'again');
    $modem->say($ring);
    ok($modem->says(qr/^called/), 'the third call has');

    # the modem falls silent, then begins anew in the middle of the call
    delete $modem->{speaking};
    ok($modem->says(qr/^no audio/), 'that there is no audio is noticed');
    ok($modem->says(qr/^second/), 'it is started once more, and comes');
    $modem->{echo} = 1;
    $state{up} = $state{registered} = 0;
    delete $modem->{speaking};
    $modem->say("\r\nRDY\r\n");
    ok($modem->says(qr/^ended/), 'a modem that begins anew ends the call');
    ok($modem->says(qr/^ready/), 'and is made ready');

    # the end is not told: the list of calls says it
    $modem->say($ring);
    ok($modem->says(qr/^called/), 'a fourth call');
    $state{up} = 0;
    ok($modem->says(qr/^ended/), 'whose end only the list of calls tells');
    ok($modem->told(qr/^AT\+CPCMREG=0$/), 'ends');
    is($modem->stop, 0, 'the program ends in order');
}

# --- a modem that loses audio, and a port that goes away ----------------------------------------------------

{
    my %state;
    my $modem = Mulberry::Modem->new(
        audio_port => 1,
        burst => 160,
        source => sub {
            my ($m, $samples) = @_;
            # what was spoken meanwhile is gone
            $m->{pcm_out} .= pack 's<*', map { $_ > 32767 ? $_ - 65536 : $_ } @$samples if !$state{loses};
        });
    $modem->{script} = [
        [qr/^ATA$/, sub { $state{up} = 1; "\r\nOK\r\n" }],
        [qr/^AT\+QPCMV=1,0$/, sub { $_[0]->begin_speaking; "\r\nOK\r\n" }],
        [qr/^AT\+QPCMV\?$/, "\r\n+QPCMV: 1,0\r\n\r\nOK\r\n"],
        [qr/^AT\+CLCC$/, sub { ($state{up} ? "\r\n+CLCC: 1,1,0,0,0\r\n" : '') . "\r\nOK\r\n" }],
    ];
    my $link = "$dir/port";
    symlink $modem->{name}, $link or die;
    $modem->start($program, 'quectel', $link, "pcm-tty:$modem->{pcm_name}", 1, 'answers=2', 'init=ATE0', 'watchdog=60000');
    ok($modem->says(qr/^ready/), 'another modem');
    ok($modem->told(qr/^AT\+CHUP$/), 'which has no call that was left up');
    $modem->say("\r\nRING\r\n");
    ok($modem->says(qr/^called $/), 'is answered without knowing who calls');
    ok($modem->says(qr/^second 2$/), 'and heard');
    $state{loses} = 1;
    my $from = $modem->{sample};
    $modem->until(sub { $modem->{sample} - $from > 6400 });
    $state{loses} = 0;
    ok($modem->says(qr/^gap (\d+)$/), 'what the modem lost is a gap');
    my ($gap) = map { /^gap (\d+)/ ? $1 : () } @{ $modem->{lines} };
    is($gap % 160, 0, 'of whole packets');
    cmp_ok($gap, '>=', 4800, 'of about its length');
    $state{up} = 0;
    $modem->say("\r\nNO CARRIER\r\n");
    ok($modem->says(qr/^ended/), 'the caller hangs up');
    ok($modem->told(qr/^AT\+CHUP$/), 'it is idle');

    # the port is unplugged, and is back under the same name
    unlink $link or die;
    delete $modem->{speaking};
    close $modem->{at_slave};
    close delete $modem->{at};
    my ($at, $name, $slave) = Mulberry::Modem::pty();
    @$modem{qw(at name at_slave)} = ($at, $name, $slave);
    symlink $name, $link or die;
    ok($modem->says(qr/^restarted/), 'a port that is gone is noticed');
    ok($modem->says(qr/^ready/), 'and the modem is made ready when it is back');
    ok($modem->told(qr/^AT\+CHUP$/), 'and hung up');

    # the limit
    $modem->say("\r\nRING\r\n\r\n+CLIP: \"+1\",145\r\n");
    ok($modem->says(qr/^called/), 'a second call is answered');
    $state{up} = 0;
    $modem->say("\r\nNO CARRIER\r\n");
    ok($modem->says(qr/^ended/), 'and ends');
    ok($modem->told(qr/^AT\+CHUP$/), 'it is idle');
    $modem->say("\r\nRING\r\n\r\n+CLIP: \"+1\",145\r\n");
    ok($modem->says(qr/^(?:limited|called)/), 'a third call within the hour');
    my ($last) = grep { /^(limited|called)/ } reverse @{ $modem->{lines} };
    like($last, qr/^limited/, 'is one too many, though the port was away meanwhile');
    is($modem->stop, 0, 'the program ends in order');
}

# --- a landline modem ---------------------------------------------------------------------------------------

{
    my %state = (heard => '');
    my $modem = Mulberry::Modem->new(
        step => 256,
        burst => 160,
        source => sub {
            my ($m, $samples) = @_;
            return if !$state{hearing};
            my $bytes = join '', map { my $byte = chr $_ >> 8; $byte eq "\x10" ? "\x10\x10" : $byte } @$samples;
            # codes in the middle of it: a digit with its beginning and end, silence, and one that nobody knows
            $bytes = "\x10/\x105\x10~\x10s\x10q\x10\x99" . $bytes if $state{codes}-- > 0;
            $m->say($bytes);
        });
    my $say = sub { my ($m, $bytes) = @_; $m->say($bytes); undef };
    my $stream = sub {
        my ($m, $bytes) = @_;
        $state{in} .= $bytes;
        if ($state{hearing})
        {
            return if $state{in} !~ /\x10!/;
            $state{in} = '';
            $state{hearing} = 0;
            delete $m->{speaking};
            delete $m->{stream};
            $m->say("\x10\x03\r\nOK\r\n");
            return;
        }
        while ($state{in} =~ s/^(?:([^\x10]+)|\x10(.))//s)
        {
            if (defined $1) { $state{heard} .= $1; next }
            if ($2 eq "\x10") { $state{heard} .= $2 }
            elsif ($2 eq "\x18") { $state{cleared}++ }
            elsif ($2 eq "\x03")
            {
                delete $m->{stream};
                $m->say("\x10u\r\nOK\r\n");
                last;
            }
        }
    };
    $modem->{script} = [
        [
            qr/^AT\+VSM=\?$/,
            join "\r\n", '', '129,"16-BIT LINEAR",(8000)', '131,"8-BIT ULAW",(8000)', '128,"8-BIT LINEAR",(7200,8000,11025)', '', 'OK', ''
        ],
        [qr/^AT\+VSD/, "\r\nERROR\r\n"],
        [qr/^AT\+VLS=1$/, "\r\nVCON\r\n"],
        [
            qr/^AT\+VRX$/,
            sub {
                my ($m) = @_;
                $m->say("\r\nCONNECT\r\n");
                @state{qw(hearing in)} = (1, '');
                $m->{stream} = $stream;
                $m->{sample} = int($m->{sample} / 256) * 256;
                $m->begin_speaking;
                return;
            }
        ],
        [qr/^AT\+VTX$/, sub { my ($m) = @_; $state{in} = ''; $m->{stream} = $stream; "\r\nCONNECT\r\n" }],
    ];
    $modem->start($program, 'v253', $modem->{name}, "v253:$modem->{name}", 256, 'allowed=5551234', 'watchdog=60000');
    ok($modem->says(qr/^ready/), 'a landline modem');
    ok($modem->told(qr/^ATH$/), 'which has no call that was left up');
    $modem->say("\r\nRING\r\n\r\nDATE=0321\r\nTIME=1405\r\nNMBR=5551234\r\nNAME=OK\r\n");
    my $turns = 0;
    $modem->until(sub { $turns++ > 100 });
    is(scalar(grep { /VLS=1/ } @{ $modem->{commands} }), 0, 'is not answered at the first ring');
    $modem->say("\r\nRING\r\n");
    ok($modem->says(qr/^called 5551234$/), 'but at the second, with the number that came between');
    ok($modem->says(qr/^audio voice modem, form 128/), 'the form of audio is chosen of those it offers');
    ok($modem->told(qr/^AT\+VSM=128,8000$/), 'and asked for');
    $state{codes} = 3;
    ok($modem->says(qr/^second 2$/), 'it is heard, with bytes that are doubled and codes between');
    $modem->order('play 30');
    ok($modem->says(qr/^written/), 'and spoken to, in turn');
    is(length $state{heard}, 30 * 160, 'all of it');
    my @bytes = unpack 'C*', $state{heard};
    my $breaks = grep { ($bytes[$_] - $bytes[$_ - 1]) % 256 != 1 } 1 .. $#bytes;
    is($breaks, 0, 'and nothing else');
    ok($modem->says(qr/^gap \d+$/), 'what was said meanwhile is a gap');
    ok($modem->says(qr/^second/), 'it is heard again');
    # the caller is gone: busy, for a second
    $modem->say("\x10b\x10b");
    ok($modem->says(qr/^audio ends/), 'a busy tone is the end');
    ok($modem->says(qr/^ended/), 'of the call');
    my $heard = heard($modem);
    is($heard->{breaks}, 0, 'no sample was taken for a code, and no code for a sample');
    ok($modem->told(qr/^ATH$/), 'it hangs up');

    # the program is killed while it hears, and while it speaks: the modem is in its stream, and off the hook
    for my $case (['hears', ''], ['speaks', 'play 2000'])
    {
        my ($what, $order) = @$case;
        ok($modem->told(qr/^AT\+FCLASS=8$/), 'it is idle');
        $modem->say("\r\nRING\r\n\r\nDATE=0321\r\nTIME=1405\r\nNMBR=5551234\r\n\r\nRING\r\n");
        ok($modem->says(qr/^second 1$/), "a call of a program that $what");
        $modem->order($order) if $order;
        ok($modem->told(qr/^AT\+VTX$/), 'it begins to') if $order;
        $modem->until(sub { length $state{heard} > 8000 }) if $order;
        kill 'KILL', $modem->{pid};
        waitpid $modem->{pid}, 0;
        # a port is let go when its last user is gone; this one has us as well
        ioctl $modem->{at_slave}, 0x540D, 0 or die "TIOCNXCL: $!";
        ok($modem->{stream}, 'when it is killed the modem is in its stream');
        $modem->{lines} = [];
        @$modem{qw(seen text ended)} = (0, '', 0);
        $modem->start($program, 'v253', $modem->{name}, "v253:$modem->{name}", 256, 'watchdog=60000');
        ok($modem->says(qr/^ready/), 'the next one has it ready');
        ok($modem->told(qr/^ATH$/), 'and hung up');
    }
    is($modem->stop, 0, 'the program ends in order');
}

# --- what cannot be opened ----------------------------------------------------------------------------------

for my $case (
    ["$dir/nothing", qr/there is no .*plugged in/, 'a port that is not there'],
    ['/dev/null', qr/is no serial port/, 'something that is no port'],
    ["$dir/nothing,12345", qr/is no serial port, such as/, 'a rate that there is not'])
{
    my ($port, $expected, $what) = @$case;
    my $modem = Mulberry::Modem->new->start($program, 'sim7600', $port, 'pcm-tty:x', 1);
    ok($modem->says(qr/^not opened: .*$expected/), "$what is said");
}
SKIP:
{
    skip 'root may open everything', 1 if $> == 0;
    my $first = Mulberry::Modem->new;
    $first->start($program, 'sim7600', $first->{name}, 'pcm-tty:x', 1);
    $first->told(qr/^ATE0/);
    my $second = Mulberry::Modem->new->start($program, 'sim7600', $first->{name}, 'pcm-tty:x', 1);
    ok($second->says(qr/^not opened: .* is taken by another program/), 'a port that another program has is said');
}

done_testing();
