# A scripted modem on pseudo terminals: a port for commands, and one for audio where the kind has one. It answers what its
# script says, in whatever pieces, and forgets what it is told to forget.
#
# Everything happens in until(), which goes on until its condition holds: commands are answered, audio comes at the pace of
# speech, and what the program says is collected.
package Mulberry::Modem;

use strict;
use warnings;

use Fcntl;
use IO::Handle;
use IPC::Open2;
use Time::HiRes qw(time);

my $TIOCGPTN = 0x80045430;
my $TIOCSPTLCK = 0x40045431;
my $limit = 120;    # seconds; only a program that hangs takes them

# A pseudo terminal: master, and the name of the slave, which is raw.
sub pty
{
    sysopen my $master, '/dev/ptmx', O_RDWR | O_NOCTTY | O_NONBLOCK or die "/dev/ptmx: $!";
    ioctl $master, $TIOCSPTLCK, my $unlock = pack 'i', 0 or die "TIOCSPTLCK: $!";
    ioctl $master, $TIOCGPTN, my $number = pack 'i', 0 or die "TIOCGPTN: $!";
    my $name = '/dev/pts/' . unpack 'i', $number;
    # kept open, or the master would see an end between two users
    sysopen my $slave, $name, O_RDWR | O_NOCTTY or die "$name: $!";
    system('stty', '-F', $name, 'raw', '-echo') == 0 or die 'stty';
    return ($master, $name, $slave);
}

# script => [[qr/^ATA$/, "answer" or code], ...], the first that fits counts; "OK" is answered to what does not.
sub new
{
    my ($class, %options) = @_;
    my $modem = bless {
        script => [], commands => [], lines => [], text => '', typed => '',
        said => 0, spoken => '', audio => '', step => 1, sample => 0, %options }, $class;
    @$modem{qw(at name at_slave)} = pty();
    @$modem{qw(pcm pcm_name pcm_slave)} = pty() if $options{audio_port};
    return $modem;
}

sub start
{
    my ($modem, $program, @arguments) = @_;
    $modem->{pid} = open2($modem->{out}, $modem->{in}, $program, @arguments);
    return $modem;
}

sub order
{
    my ($modem, $line) = @_;
    print { $modem->{in} } "$line\n";
    $modem->{in}->flush;
}

# The modem says lines; they go as they are, with what ends them.
sub say
{
    my ($modem, $bytes) = @_;
    $modem->{to_say} .= $bytes;
}

sub lines
{
    my ($modem, @lines) = @_;
    $modem->say(join '', map { "\r\n$_\r\n" } @lines);
}

# Answers one command.
sub answer
{
    my ($modem, $command) = @_;
    push @{ $modem->{commands} }, $command;
    $modem->say("$command\r") if $modem->{echo};
    for my $entry (@{ $modem->{script} })
    {
        my ($pattern, $reply) = @$entry;
        next if $command !~ $pattern;
        $reply = $reply->($modem, $command) if ref $reply;
        $modem->say($reply) if defined $reply;
        return;
    }
    $modem->lines('OK');
}

# Bytes from the program, on the port of commands.
sub take
{
    my ($modem, $bytes) = @_;
    if ($modem->{stream})
    {
        $modem->{stream}->($modem, $bytes);
        return;
    }
    $modem->{typed} .= $bytes;
    $modem->answer($1) while !$modem->{stream} && $modem->{typed} =~ s/^([^\r]*)\r//;
    # what came behind a command that began a stream is of the stream
    if ($modem->{stream} && $modem->{typed} ne '')
    {
        my $rest = $modem->{typed};
        $modem->{typed} = '';
        $modem->{stream}->($modem, $rest);
    }
}

# As many samples as are due, in bursts; they count up.
sub speak
{
    my ($modem) = @_;
    my $now = time;
    my $from = $modem->{speaking} // return;
    my $due = int(($now - $from) * 8000) - $modem->{said};
    return if $due < ($modem->{burst} // 160);
    $modem->{said} += $due;
    my $first = $modem->{sample};
    $modem->{sample} += $due * $modem->{step};
    my @samples = map { ($first + $_ * $modem->{step}) & 0xFFFF } 0 .. $due - 1;
    $modem->{source}->($modem, \@samples);
}

# The other side begins and ends to speak.
sub begin_speaking
{
    my ($modem) = @_;
    @$modem{qw(speaking said)} = (time, 0);
}

sub write_some
{
    my ($modem, $key, $handle) = @_;
    return if ($modem->{$key} // '') eq '';
    my $n = $modem->{piece} && $key eq 'to_say' ? $modem->{piece} : length $modem->{$key};
    my $written = syswrite $handle, $modem->{$key}, $n;
    substr $modem->{$key}, 0, $written, '' if $written;
}

# Does something after so many seconds, while it turns.
sub after
{
    my ($modem, $seconds, $what) = @_;
    push @{ $modem->{later} }, [ time + $seconds, $what ];
}

# One turn of everything.
sub turn
{
    my ($modem) = @_;
    $modem->speak;
    while (@{ $modem->{later} // [] } && $modem->{later}[0][0] <= time)
    {
        (shift @{ $modem->{later} })->[1]->();
    }
    $modem->write_some(to_say => $modem->{at});
    $modem->write_some(pcm_out => $modem->{pcm}) if $modem->{pcm};
    my $in = '';
    vec($in, fileno $_, 1) = 1 for grep { defined } $modem->{at}, $modem->{pcm}, $modem->{ended} ? undef : $modem->{out};
    # a signal leaves all of them as if they were ready
    return if select(my $ready = $in, undef, undef, 0.005) <= 0;
    for my $handle (grep { defined && vec $ready, fileno $_, 1 } $modem->{at}, $modem->{pcm}, $modem->{out})
    {
        my $n = sysread $handle, my $bytes, 65536;
        if ($handle == $modem->{out})
        {
            $modem->{ended} = 1 if !$n;
            $modem->{text} .= $bytes if $n;
            push @{ $modem->{lines} }, $1 while $modem->{text} =~ s/^([^\n]*)\n//;
        }
        elsif ($n && $handle == $modem->{at})
        {
            $modem->take($bytes);
        }
        elsif ($n)
        {
            $modem->{spoken} .= $bytes;
            $modem->{on_spoken}->($modem, $bytes) if $modem->{on_spoken};
        }
    }
}

# Goes on until the condition holds; false when it never did.
sub until
{
    my ($modem, $condition) = @_;
    my $end = time + $limit;
    while (time < $end)
    {
        return 1 if $condition->();
        return $condition->() ? 1 : 0 if $modem->{ended};
        $modem->turn;
    }
    return 0;
}

# Until the program says so, behind what was asked for last.
sub says
{
    my ($modem, $pattern) = @_;
    my $seen = \$modem->{seen};
    $$seen //= 0;
    return $modem->until(
        sub {
            while ($$seen < @{ $modem->{lines} })
            {
                return 1 if $modem->{lines}[$$seen++] =~ $pattern;
            }
            return 0;
        });
}

# Until the program told the modem so, behind what was asked for last.
sub told
{
    my ($modem, $pattern) = @_;
    my $seen = \$modem->{seen_command};
    $$seen //= 0;
    return $modem->until(
        sub {
            while ($$seen < @{ $modem->{commands} })
            {
                return 1 if $modem->{commands}[$$seen++] =~ $pattern;
            }
            return 0;
        });
}

# The status with which the program ends.
sub stop
{
    my ($modem) = @_;
    $modem->order('quit');
    $modem->until(sub { $modem->{ended} });
    waitpid $modem->{pid}, 0;
    delete $modem->{pid};
    return $?;
}

sub DESTROY
{
    my ($modem) = @_;
    local $?;
    return if !$modem->{pid};
    kill 'KILL', $modem->{pid};
    waitpid $modem->{pid}, 0;
}

1;
