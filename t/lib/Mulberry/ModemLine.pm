# A telephone line with a modem (Mulberry::Modem) that "mulberry-edge answer" answers: what is said into it and heard of it.  Samples are
# s16 at 8000 Hz here, whatever the modem makes of them; times are those of the machine.
package Mulberry::ModemLine;

use strict;
use warnings;

use Mulberry::Edge;
use Mulberry::Line;
use Mulberry::Modem;
use POSIX ();
use Time::HiRes qw(time);

use constant RATE => Mulberry::Line::RATE;
use constant PAUSE => RATE * Mulberry::Line::PAUSE_MS / 1000;
use constant PATIENCE => 8;    # seconds until who plays a frame that nobody answers plays it again
use constant TURN => 0.1;    # seconds that a landline modem takes to turn around

# kind: sim7600, quectel or v253; echo => seconds until what was played comes back at -20 dB.
sub new
{
    my ($class, $kind, %option) = @_;
    my $line = bless { kind => $kind, to_say => '', heard => '', echo => $option{echo} }, $class;
    my $modem = $line->{modem} = Mulberry::Modem->new(
        audio_port => $kind ne 'v253', burst => 160,
        source => sub { my ($m, $counted) = @_; $line->give(scalar @$counted) },
        on_spoken => sub { my ($m, $bytes) = @_; $line->take($bytes) });
    $modem->{script} = $kind eq 'v253' ? $line->landline : $line->mobile;
    return $line;
}

# What both ask each other when a call is up, as makers have it.
sub mobile
{
    my ($line) = @_;
    my ($start, $stop) = $line->{kind} eq 'sim7600' ? ('CPCMREG=1', 'CPCMREG=0') : ('QPCMV=1,0', 'QPCMV=0');
    my ($asked) = $start =~ /^(\w+)/;
    return [
        [qr/^ATA$/, sub { $line->{up} = 1; "\r\nOK\r\n\r\nVOICE CALL: BEGIN\r\n" }],
        [qr/^AT\+\Q$start\E$/, sub { $line->{modem}->begin_speaking; "\r\nOK\r\n" }],
        [qr/^AT\+$asked\?$/, "\r\n+$asked: 1\r\n\r\nOK\r\n"],
        [qr/^AT\+\Q$stop\E$/, sub { delete $line->{modem}{speaking}; "\r\nOK\r\n" }],
        [qr/^AT\+CLCC$/, sub { ($line->{up} ? "\r\n+CLCC: 1,1,0,0,0\r\n" : '') . "\r\nOK\r\n" }],
        [qr/^AT\+CHUP$/, sub { $line->{up} = 0; "\r\nOK\r\n" }],
    ];
}

sub landline
{
    my ($line) = @_;
    my $in = '';
    my $hearing;
    my $stream = sub {
        my ($m, $bytes) = @_;
        $in .= $bytes;
        if ($hearing)
        {
            return if $in !~ /\x10!/;
            $in = '';
            $hearing = 0;
            delete $m->{speaking};
            delete $m->{stream};
            $m->after(TURN, sub { $m->say("\x10\x03\r\nOK\r\n") });
            return;
        }
        while ($in =~ s/^(?:([^\x10]+)|\x10(.))//s)
        {
            my $said = defined $1 ? $1 : $2 eq "\x10" ? $2 : '';
            $line->take(pack 's<*', map { ($_ - 128) * 256 } unpack 'C*', $said) if $said ne '';
            next if defined $1 || $2 ne "\x03";
            delete $m->{stream};
            # what is in it is spoken before it says so
            my $left = ($line->{spoken_until} // 0) - time;
            $m->after(($left > 0 ? $left : 0) + TURN, sub { $m->say("\r\nOK\r\n") });
            last;
        }
    };
    return [
        [qr/^AT\+VSM=\?$/, "\r\n128,\"8-BIT LINEAR\",(8000)\r\n\r\nOK\r\n"],
        [qr/^AT\+VLS=1$/, "\r\nVCON\r\n"],
        [qr/^AT\+VRX$/, sub { my ($m) = @_; $m->say("\r\nCONNECT\r\n"); ($hearing, $in) = (1, ''); $m->{stream} = $stream; $m->begin_speaking; undef }],
        [qr/^AT\+VTX$/, sub { my ($m) = @_; $m->after(TURN, sub { $in = ''; $m->{stream} = $stream; $m->say("\r\nCONNECT\r\n") }); undef }],
    ];
}

# So many samples go to the program.
sub give
{
    my ($line, $n) = @_;
    my $m = $line->{modem};
    my $bytes = substr $line->{to_say}, 0, 2 * $n, '';
    # when the last of it that is no silence has been said
    $line->{said_at} = $m->{speaking} + ($m->{said} - $n + length($bytes) / 2) / RATE if $bytes =~ /[^\0]/;
    my @samples = (unpack('s<*', $bytes), (0) x ($n - length($bytes) / 2));
    if ($line->{echo} && length $line->{heard} > 2 * RATE * $line->{echo} + 2 * $n)
    {
        my @echo = unpack 's<*', substr $line->{heard}, -2 * (RATE * $line->{echo} + $n), 2 * $n;
        $samples[$_] += int($echo[$_] / 10) for 0 .. $#echo;
    }
    if ($line->{kind} ne 'v253')
    {
        $m->{pcm_out} .= pack 's<*', @samples;
        return;
    }
    $m->say(join '', map { my $byte = chr(($_ + 32768 & 0xFFFF) >> 8); $byte eq "\x10" ? "\x10\x10" : $byte } @samples);
}

# Samples that the program plays.
sub take
{
    my ($line, $bytes) = @_;
    my $now = time;
    $line->{begun} //= $now + $-[0] / 2 / RATE if $bytes =~ /[^\0]/;
    if ($bytes =~ /[^\0]/)
    {
        # a sound that began behind silence: how long that was, and where in what was heard it is
        my $last = $line->{loud_at} // 0;
        $last = $line->{spoken_until} if $line->{kind} eq 'v253' && ($line->{spoken_until} // 0) > $last;
        push @{ $line->{sounds} }, [ $now - $last, length $line->{heard} ] if $now - $last > 0.5;
        $line->{loud_at} = $now;
    }
    $line->{heard} .= $bytes;
    my $from = ($line->{spoken_until} // 0) > $now ? $line->{spoken_until} : $now;
    $line->{spoken_until} = $from + length($bytes) / 2 / RATE;
}

sub start
{
    my ($line, @flags) = @_;
    my $m = $line->{modem};
    my $device = $line->{kind} eq 'v253' ? "v253:$m->{name}" : "pcm-tty:$m->{pcm_name}";
    my @port = $line->{kind} eq 'v253' ? () : ('--port', $m->{name});
    $m->start('/bin/sh', '-c', 'exec "$0" "$@" 2>&1', $edge, 'answer', $device, '--modem', $line->{kind}, @port, '--batch', 100, '--grace', 300, @flags);
    return $line;
}

sub says { my ($line, $pattern) = @_; return $line->{modem}->says($pattern) }
sub told { my ($line, $pattern) = @_; return $line->{modem}->told($pattern) }

# Somebody calls.
sub ring
{
    my ($line, $number) = @_;
    my $ring = "\r\nRING\r\n";
    $line->{modem}->say($line->{kind} eq 'v253' ? "$ring\r\nDATE=0321\r\nTIME=1405\r\nNMBR=$number\r\n$ring" : "$ring\r\n+CLIP: \"$number\",145\r\n");
}

# Does something, which may take long, in a process of its own while the line goes on; what it returns, which are texts.
sub meanwhile
{
    my ($line, $what) = @_;
    pipe my $from, my $to or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0)
    {
        my @result = eval { $what->() };
        print $to pack '(N/a*)*', $@, @result;
        close $to;
        POSIX::_exit(0);
    }
    close $to;
    $from->blocking(0);
    my $text = '';
    $line->{modem}->until(
        sub {
            my $n = sysread $from, $text, 65536, length $text;
            $n = sysread $from, $text, 65536, length $text while $n;
            return defined $n;
        });
    waitpid $pid, 0;
    my ($problem, @result) = unpack '(N/a*)*', $text;
    die $problem // 'it ended' if ($problem // 'no') ne '';
    return @result;
}

# When the last sound that was heard was over; nothing: there was none.
sub quiet_since
{
    my ($line) = @_;
    my $since = $line->{loud_at};
    # what is played ahead is not heard yet
    $since = $line->{spoken_until} if defined $since && $line->{kind} eq 'v253' && $line->{spoken_until} > $since;
    return $since;
}

# Waits for the tone that says that somebody listens, to its end: it is no answer.
sub tone { my ($line) = @_; return $line->until(sub { my $since = $line->quiet_since // return 0; return time > $since + 0.5 }) }

# Plays mu-law, again where nobody answers; what is answered behind it, up to a pause that is longer than that before a challenge, after how
# many milliseconds, and how often it was played.
sub ask
{
    my ($line, $audio) = @_;
    my $m = $line->{modem};
    my $times = 0;
    do
    {
        die 'nothing was played: ' . join "\n", @{ $m->{lines} } if $times++ == 8 || $line->{to_say} ne '';
        delete @$line{qw(begun said_at loud_at)};
        $line->{heard} = '';
        $line->{to_say} .= pack 's<*', (0) x (RATE / 2), Mulberry::Line::linear(substr $audio, 0, length($audio) - PAUSE);
        $m->until(sub { $line->{begun} || $line->{to_say} eq '' && time > $line->{said_at} + PATIENCE });
    } while (!$line->{begun});
    my $answered = $m->until(
        sub {
            my $since = $line->quiet_since // return 0;
            return $line->{to_say} eq '' && time > $since + 1.5;
        });
    die 'nothing was played: ' . join "\n", @{ $m->{lines} } if !$answered;
    return ($line->digits, 1000 * ($line->{begun} - $line->{said_at}), $times);
}

# The digits that were heard since it was asked last.
sub digits
{
    my ($line) = @_;
    my ($digits) = $line->meanwhile(sub { Mulberry::Line::hear(Mulberry::Line::mulaw(unpack 's<*', $line->{heard})) });
    return $digits;
}

# Nobody says anything until the condition holds.
sub until { my ($line, $condition) = @_; return $line->{modem}->until($condition) }

sub stop
{
    my ($line) = @_;
    my $m = $line->{modem};
    kill 'TERM', $m->{pid};
    $m->until(sub { $m->{ended} });
    waitpid delete $m->{pid}, 0;
    return $? >> 8;
}

1;
