# A telephone line for tests: DTMF tones made and heard without any code of
# Mulberry's, carried through mu-law with noise, twist and loss as asked.  Tones are
# those of ITU-T Q.23, mu-law is G.711's table, ears are multimon-ng's.
package Mulberry::Line;

use strict;
use warnings;

use IPC::Open2;
use POSIX qw(floor);

use constant RATE => 8000;
use constant { TONE_MS => 90, PAUSE_MS => 90 };
use constant SILENCE => "\xff";

my @rows = (697, 770, 852, 941);
my @columns = (1209, 1336, 1477, 1633);
my %tones;
{
    my @keys = split //, '123A456B789C*0#D';
    $tones{ $keys[$_] } = [ $rows[ $_ / 4 ], $columns[ $_ % 4 ] ] for 0 .. 15;
}

# G.711 mu-law: decoding by its definition, encoding by a table of all 14-bit values.
my @linear = map {
    my $code = ~$_ & 0xff;
    my $value = ((($code & 0x0f) << 3) + 0x84) << (($code & 0x70) >> 4);
    $code & 0x80 ? 0x84 - $value : $value - 0x84;
} 0 .. 255;
my @code;

sub mulaw
{
    my (@samples) = @_;
    unless (@code)
    {
        # nearest code of each value in steps of four
        my @by_value = sort { $linear[$a] <=> $linear[$b] } 1 .. 255;
        my $at = 0;
        for my $step (-8192 .. 8191)
        {
            my $value = $step * 4;
            $at++ while $at < $#by_value
                && abs($linear[ $by_value[ $at + 1 ] ] - $value) <= abs($linear[ $by_value[$at] ] - $value);
            $code[ $step + 8192 ] = $by_value[$at];
        }
    }
    return pack 'C*', map { $code[ floor(($_ > 32767 ? 32767 : $_ < -32768 ? -32768 : $_) / 4) + 8192 ] } @samples;
}

sub linear { return map { $linear[$_] } unpack 'C*', $_[0] }

# A normal deviate (Box and Muller).
sub gauss { return sqrt(-2 * log(1 - rand)) * cos(6.28318530718 * rand) }

# Digits as <Play digits> plays them: mu-law at 8 kHz; w is half a second, W one.
#	twist	dB by which the low tone is stronger
#	noise	ratio of signal to noise in dB
#	loss	per cent of packets of 20 ms that are lost
my %cache;
sub play
{
    my ($digits, %line) = @_;
    my $twist = $line{twist} // 0;
    my $audio = '';
    for my $digit (split //, $digits)
    {
        if (lc $digit eq 'w')
        {
            $audio .= SILENCE x (RATE * ($digit eq 'w' ? 0.5 : 1));
            next;
        }
        my $tone = $tones{$digit} or die "no DTMF symbol: \"$digit\"";
        $cache{"$digit $twist"} //= do {
            my $level = 4000;
            my ($low, $high) = ($level * 10**($twist / 40), $level * 10**(-$twist / 40));
            mulaw(map { $low * sin(6.28318530718 * $tone->[0] * $_ / RATE) + $high * sin(6.28318530718 * $tone->[1] * $_ / RATE) }
                  0 .. RATE * TONE_MS / 1000 - 1)
                . SILENCE x (RATE * PAUSE_MS / 1000);
        };
        $audio .= $cache{"$digit $twist"};
    }
    return carry($audio, %line);
}

# What is left of audio at the other end.
sub carry
{
    my ($audio, %line) = @_;
    if (defined $line{noise})
    {
        # two sines of 4000 have a power of 4000²
        my $sigma = 4000 / 10**($line{noise} / 20);
        $audio = mulaw(map { $_ + $sigma * gauss() } linear($audio));
    }
    if ($line{loss})
    {
        for (my $at = 0; $at + 160 <= length $audio; $at += 160)
        {
            substr($audio, $at, 160) = SILENCE x 160 if rand(100) < $line{loss};
        }
    }
    return $audio;
}

# The digits that multimon-ng hears; it listens at 22,050 samples a second.
sub hear
{
    my ($audio) = @_;
    my @in = (linear($audio), (0) x 4000);
    my $n = int(@in * 22050 / RATE) - 3;
    my @out = map {
        my $x = $_ * RATE / 22050;
        my $i = int $x;
        $in[$i] + ($in[ $i + 1 ] - $in[$i]) * ($x - $i);
    } 0 .. $n;
    my $pid = open2(my $from, my $to, 'multimon-ng', '-q', '-a', 'DTMF', '-t', 'raw', '-');
    binmode $to;
    # its output is a few hundred bytes, so that nobody waits for the other
    print $to pack 's<*', @out;
    close $to;
    my $digits = join '', map { /^DTMF: (.)/ ? $1 : () } <$from>;
    close $from;
    waitpid $pid, 0;
    return $digits;
}

# A WAV file (PCM of 16 bits) of mu-law channels, the shorter ones filled with silence.
sub wav
{
    my (@channels) = @_;
    my ($longest) = sort { $b <=> $a } map { length } @channels;
    my @samples = map { [ linear($_ . SILENCE x ($longest - length)) ] } @channels;
    my $data = pack 's<*', map { my $i = $_; map { $_->[$i] } @samples } 0 .. $longest - 1;
    my $n = @channels;
    return pack('a4Va4a4VvvVVvva4V', 'RIFF', 36 + length $data, 'WAVE', 'fmt ', 16, 1, $n, RATE, RATE * 2 * $n, 2 * $n, 16,
                'data', length $data) . $data;
}

# Channels mixed into one, as a recording without RecordingChannels has them.
sub mix
{
    my (@channels) = @_;
    my ($longest) = sort { $b <=> $a } map { length } @channels;
    my @samples = map { [ linear($_ . SILENCE x ($longest - length)) ] } @channels;
    return mulaw(map { my $i = $_; my $sum = 0; $sum += $_->[$i] for @samples; $sum } 0 .. $longest - 1);
}

1;
