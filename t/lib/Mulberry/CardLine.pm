# A telephone line on a sound card (test/edge/fakemic.c) that "mulberry-edge answer" listens to: what is said into it, and what is
# heard of it, at the samples of the card's clock.
package Mulberry::CardLine;

use strict;
use warnings;

use IPC::Run;
use Mulberry::Edge;
use Mulberry::Line;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time clock_gettime);

use constant BOOTTIME => 7;
use constant PATIENCE => 8;    # seconds until who plays a frame that nobody answers plays it again
use constant PAUSE => Mulberry::Line::RATE * Mulberry::Line::PAUSE_MS / 1000;

# A card of its own in that directory, of Mulberry::Line's rate; options are the card's: echo => samples.
sub new
{
    my ($class, $dir, $programs, %option) = @_;
    mkdir $dir;
    my $settings = join ' ', map { "$_ $option{$_}" } keys %option;
    spew_raw("$dir.conf", "</usr/share/alsa/alsa.conf>\npcm_type.fakemic { lib \"$programs/build/libfakemic.so\" }\n"
            . "pcm.mic { type fakemic dir \"$dir\" line 1 rate 8000 $settings }\n");
    return bless { dir => $dir, err => '', seen => 0 }, $class;
}

# Begins to answer.
sub start
{
    my ($line, @flags) = @_;
    local $ENV{ALSA_CONFIG_PATH} = "$line->{dir}.conf";
    my @command = (@{ $line->{under} // [] }, $edge, 'answer', 'alsa:mic', '--batch', 100, '--grace', 300, @flags);
    $line->{run} = IPC::Run::start(\@command, '<', \'', '>', \$line->{out}, '2>', \$line->{err});
    $line->{pid} = $line->{run}{KIDS}[0]{PID};
    return $line;
}

# Waits until it says so, behind what was waited for last; what the pattern captures.
sub says
{
    my ($line, $pattern) = @_;
    my $until = time + $PostgreSQL::Test::Utils::timeout_default;
    while (1)
    {
        if (substr($line->{err}, $line->{seen}) =~ $pattern)
        {
            $line->{seen} += $+[0];
            return $1 // 1;
        }
        die "waited in vain for $pattern: $line->{err}" if time > $until || !$line->{run}->pumpable;
        $line->{run}->pump_nb;
        sleep 0.02;
    }
}

sub stop
{
    my ($line, $signal) = @_;
    kill $signal, $line->{pid} if $signal;
    $line->{run}->finish;
    delete $line->{pid};
    return $line->{run}->result(0);
}

sub DESTROY
{
    my ($line) = @_;
    local $?;
    kill 'KILL', $line->{pid} if $line->{pid};
}

# The sample that the card records now.
sub now
{
    my ($line) = @_;
    open my $file, '<', "$line->{dir}/begun" or die "no card has been opened: $!";
    return int((clock_gettime(BOOTTIME) - <$file> / 1e9) * Mulberry::Line::RATE);
}

# Says mu-law into the line, in half a second; the sample behind its last tone.
sub say
{
    my ($line, $audio) = @_;
    my $from = $line->now + Mulberry::Line::RATE / 2;
    open my $file, '+<:raw', "$line->{dir}/line" or die;
    seek $file, 2 * $from, 0;
    print $file pack 's<*', Mulberry::Line::linear($audio);
    close $file or die;
    return $from + length($audio) - PAUSE;
}

sub played
{
    my ($line, $from) = @_;
    open my $file, '<:raw', "$line->{dir}/played" or return '';
    seek $file, 2 * $from, 0;
    local $/;
    return <$file> // '';
}

# What was played behind a sample, up to a pause that is longer than that before a challenge: the digits, and how many milliseconds behind
# it they begin.
sub answer
{
    my ($line, $from) = @_;
    my $until = time + $PostgreSQL::Test::Utils::timeout_default;
    my $pause = 2 * 1.5 * Mulberry::Line::RATE;
    while (time < $until)
    {
        my $bytes = $line->played($from);
        my $first = $bytes =~ /[^\0]/ ? int($-[0] / 2) : length $bytes;
        if (length($bytes) - 2 * $first > $pause && substr($bytes, -$pause) !~ /[^\0]/)
        {
            my @samples = unpack 's<*', substr $bytes, 2 * $first;
            return (Mulberry::Line::hear(Mulberry::Line::mulaw(@samples)), $first * 1000 / Mulberry::Line::RATE);
        }
        $line->{run}->pump_nb;
        sleep 0.1;
    }
    die "nothing was played: $line->{err}";
}

# Whether something is played behind a sample, within the patience of who waits for it.
sub answered
{
    my ($line, $from) = @_;
    while ($line->played($from) !~ /[^\0]/)
    {
        return 0 if $line->now > $from + PATIENCE * Mulberry::Line::RATE;
        $line->{run}->pump_nb;
        sleep 0.05;
    }
    return 1;
}

# Says it, again where nobody answers: the sample behind it, and how often.
sub insist
{
    my ($line, $audio) = @_;
    my $from = $line->say($audio);
    my $times = 1;
    while (!$line->answered($from))
    {
        die "nothing was played: $line->{err}" if $times++ == 8;
        $from = $line->say($audio);
    }
    return ($from, $times);
}

# Does something while the line goes on: a card does by itself.
sub meanwhile { my ($line, $what) = @_; return $what->() }

# Says it, and returns what is answered, after how many milliseconds, and how often it had to be said.
sub ask
{
    my ($line, $audio) = @_;
    my ($from, $times) = $line->insist($audio);
    return ($line->answer($from), $times);
}

1;
