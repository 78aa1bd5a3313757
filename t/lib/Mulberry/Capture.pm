# "mulberry-edge capture" under the hands of a test, and the sound card that it records from (test/edge/fakemic.c).
package Mulberry::Capture;

use strict;
use warnings;

use Exporter 'import';
use File::Temp qw(tempdir);
use FindBin;
use IPC::Run;
use Mulberry::Edge;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw($cards card touch start_capture wait_for_line finish last_told card_sample places_of);

my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::RealBin/..";

# Where cards are, each a directory.
our $cards = tempdir(CLEANUP => 1);

my @started;
END { my $status = $?; $_->kill_kill foreach @started; $? = $status }

# A card of its own for each test, so that its samples begin anew. From now on it is "alsa:mic". Its directory.
sub card
{
    my ($name, %option) = @_;
    mkdir "$cards/$name";
    my $settings = join ' ', map { "$_ $option{$_}" } keys %option;
    spew_raw("$cards/$name.conf", "</usr/share/alsa/alsa.conf>\npcm_type.fakemic { lib \"$programs/build/libfakemic.so\" }\n"
            . "pcm.mic { type fakemic dir \"$cards/$name\" $settings }\n");
    $ENV{ALSA_CONFIG_PATH} = "$cards/$name.conf";
    return "$cards/$name";
}

sub touch { return spew_raw($_[0], '') }

# Begins to capture, with these arguments; what it says is in {err}.
sub start_capture
{
    my ($name, @arguments) = @_;
    my $self = { name => $name, err => '', in => '' };
    my @command = ref $arguments[0] ? @{ shift @arguments } : ();
    $self->{run} = IPC::Run::start([ @command, $edge, 'capture', @arguments ], '<', \$self->{in}, '>', \my $out, '2>', \$self->{err});
    push @started, $self->{run};
    $self->{pid} = $self->{run}{KIDS}[0]{PID};
    return $self;
}

sub wait_for_line
{
    my ($self, $pattern) = @_;
    my $until = time + $PostgreSQL::Test::Utils::timeout_default;
    while ($self->{err} !~ $pattern)
    {
        die "waited in vain for $pattern: $self->{err}" if time > $until || !$self->{run}->pumpable;
        $self->{run}->pump_nb;
        sleep 0.05;
    }
    return;
}

# Waits for its end, after a signal if there is one: the exit status.
sub finish
{
    my ($self, $signal) = @_;
    kill $signal, $self->{pid} if $signal;
    $self->{run}->finish;
    my $status = $self->{run}->result(0);
    diag "$self->{name}: $self->{err}" if $status != 0 && ($signal // '') ne 'KILL';
    return $status;
}

# What the status says that was told last.
sub last_told { my ($self, $pattern) = @_; my ($line) = reverse grep { /$pattern/ } split "\n", $self->{err}; return $line =~ $pattern }

# Which of the card's samples that is, modulo 65536.
my %inverse = do { my %i; for (0 .. 65535) { my $v = $_ * 7919 % 65536; $i{ $v > 32767 ? $v - 65536 : $v } = $_ } %i };
sub card_sample { my ($sample) = @_; return $inverse{$sample} }

# What packets, lines of "sequence|samples in hexadecimal", say of themselves: how many whole ones there are, how many different
# places they have against the card's clock, and by how many samples the farthest of them is off the first. The right
# channel's samples have all their bits turned.
sub places_of
{
    my ($lines, $right) = @_;
    my ($packets, $mixed, $farthest, $first, %shifts) = (0, 0, 0);
    foreach my $line (split "\n", $lines)
    {
        my ($sequence, $hex) = split /\|/, $line;
        my @samples = unpack 's<*', pack 'H*', $hex;
        @samples = map { -1 - $_ } @samples if $right;
        my @own = map { ($inverse{ $samples[$_] } - 160 * $sequence - $_) % 65536 } 0 .. $#samples;
        my %own = map { $_ => 1 } @own;
        if (keys %own > 1) { $mixed++; next }    # at an end of a gap, in part silence
        $packets++;
        $first //= $own[0];
        $shifts{ $own[0] }++;
        my $off = ($own[0] - $first + 32768) % 65536 - 32768;
        $farthest = $off if abs $off > abs $farthest;
    }
    return { packets => $packets, mixed => $mixed, shifts => scalar keys %shifts, farthest => $farthest };
}

1;
