# mulberry-edge for tests, and files of audio for it.  MULBERRY_EDGE names another build of the program.
package Mulberry::Edge;

use strict;
use warnings;

use Exporter 'import';
use FindBin;
use IPC::Run qw(run);
use POSIX qw(floor);


our @EXPORT = qw($edge edge wav tones spew_raw);

our $edge = $ENV{MULBERRY_EDGE} // ($ENV{MULBERRY_PROGRAMS} // "$FindBin::Bin/..") . '/edge/mulberry-edge';

# Runs it: exit status, standard output and standard error.  {input} is its standard input.
sub edge
{
    my $option = ref $_[0] ? shift : {};
    my ($out, $err) = ('', '');
    run([ $edge, @_ ], '<', \($option->{input} // ''), '>', \$out, '2>', \$err);
    return ($? & 127 ? 'signal ' . ($? & 127) : $? >> 8, $out, $err);
}

sub spew_raw
{
    my ($path, $data) = @_;
    open my $file, '>:raw', $path or die "$path: $!";
    print $file $data;
    close $file or die "$path: $!";
    return $path;
}

# Writes a WAV file of 16 bits with these channels, arrays of samples.
sub wav
{
    my ($path, $rate, @channels) = @_;
    my @frames = map { my $i = $_; map { $_->[$i] // 0 } @channels } 0 .. $#{ $channels[0] };
    my $data = pack 's<*', @frames;
    my $head = pack 'A4 V A4 A4 V v v V V v v A4 V', 'RIFF', 36 + length $data, 'WAVE', 'fmt ', 16, 1, scalar @channels, $rate,
        $rate * 2 * @channels, 2 * @channels, 16, 'data', length $data;
    return spew_raw($path, $head . $data);
}

# Samples of digits as tones of 100 ms with 100 ms between, half a second of silence around them.
sub tones
{
    my ($rate, $digits) = @_;
    my @keys = split //, '123A456B789C*0#D';
    my %at = map { $keys[$_] => $_ } 0 .. 15;
    my @silence = (0) x ($rate / 10);
    my @samples = (@silence) x 5;
    for my $digit (split //, $digits)
    {
        my ($low, $high) = ((697, 770, 852, 941)[ $at{$digit} / 4 ], (1209, 1336, 1477, 1633)[ $at{$digit} % 4 ]);
        push @samples, map { my $t = 2 * 3.14159265358979 * $_ / $rate; floor(6000 * (sin($low * $t) + sin($high * $t)) + 0.5) }
            0 .. $rate / 10 - 1;
        push @samples, @silence;
    }
    return [ @samples, (@silence) x 4 ];
}

1;
