# mulberry-edge without a server: its flags, its configuration file, the exit status of each thing that is wrong, and what
# "listen" says of files of many kinds.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Mulberry::Edge;

my $dir = tempdir(CLEANUP => 1);
chdir $dir or die;

# --- flags, and a file of them --------------------------------------------------

my ($status, $out, $err) = edge('--help');
is($status, 0, '--help succeeds');
like($out, qr/$_/, "--help tells of $_") for qw(listen file: stdin: --config --rate), 'Exit status';
($status, $out) = edge('--version');
like($out, qr/^mulberry-edge \d+\.\d+$/, '--version');

my $digits = wav('digits.wav', 8000, tones(8000, '159D'), tones(8000, '*0#'));
spew_raw('good.conf', "# a comment\n\ndevice = file:digits.wav\n  seconds = 1\n");
spew_raw('bad.conf', "device = file:digits.wav\nsecond = 1\nseconds\n");

for my $case (
    [ 'no command', 2, qr/needs a command/ ],
    [ 'an unknown command', 2, qr/there is no command "play"/, 'play' ],
    [ 'two words', 2, qr/"b" is one word too many/, 'listen', 'a', 'b' ],
    [ 'an unknown flag', 2, qr/--loud: there is no such flag/, 'listen', '--loud' ],
    [ 'a flag without its value', 2, qr/--rate: needs a value/, 'listen', '--rate' ],
    [ 'a number out of range', 2, qr/--rate: "10" is no number from 1000 to 192000/, 'listen', '--rate', '10' ],
    [ 'a switch that is neither', 2, qr/--real-pace: must be on or off/, 'listen', '--real-pace=perhaps' ],
    [ 'an empty text', 2, qr/--device: must not be empty/, 'listen', '--device=' ],
    [ 'a missing configuration file', 2, qr/none.conf: No such file/, 'listen', '--config', 'none.conf' ],
    [ 'a directory in place of one', 2, qr/: Is a directory/, 'listen', 'file:digits.wav', '--config', '.' ],
    [ 'a bad configuration file', 2, qr/bad.conf:2: second: there is no such setting.*bad.conf:3: seconds: is not of the form/s,
        'listen', '--config', 'bad.conf' ],
    [ 'no device', 2, qr/listen needs a device/, 'listen' ],
    [ 'no kind of device', 2, qr/"tape" is no kind of device/, 'listen', 'tape:1' ],
    [ 'a missing file without a kind', 3, qr/none.wav: No such file/, 'listen', 'none.wav' ],
    [ 'a missing file', 3, qr/none.wav: No such file/, 'listen', 'file:none.wav' ],
    [ 'a directory', 6, qr/is a directory/i, 'listen', 'file:.' ],
    [ 'no audio', 6, qr/good.conf: cannot be read as audio/, 'listen', 'file:good.conf' ],
    [ 'samples without their rate', 2, qr/stdin: samples without a header need their rate/, 'listen', 'stdin:' ],
    [ 'samples in a strange encoding', 2, qr/stdin: must be s16le, mulaw or alaw/, 'listen', 'stdin:', '--rate', 8000, '--encoding', 'mp3' ])
{
    my ($name, $expected, $message, @arguments) = @$case;
    ($status, $out, $err) = edge(@arguments);
    is($status, $expected, "$name: exit status");
    like($err, $message, "$name: says why");
}

# --- what is heard ----------------------------------------------------------------

sub heard { my ($channel) = @_; return join '', $out =~ /$channel *digit (.),/g }

($status, $out, $err) = edge('listen', 'file:digits.wav');
is($status, 0, 'a file is listened to');
is($err, '', 'without a complaint');
like($out, qr/WAV.*8000 Hz, 2 channels/, 'what it is');
is(heard('channel 1'), '159D', 'the digits of one channel');
is(heard('channel 2'), '*0#', 'and of the other');
like($out, qr/^ +0\.500 s channel 1 digit 1, 100 ms, -8\.\d dBm0$/m, 'when and how loud');

($status, $out) = edge('listen', '--config', 'good.conf');
is(heard('channel 1'), '159', 'settings come from the file: one second of it');
($status, $out) = edge('listen', '--config', 'good.conf', '--seconds', '4');
is(heard('channel 1'), '159D', 'and flags behind it overrule it');

my $samples = pack 's<*', @{ tones(16000, '2580') };
($status, $out) = edge({ input => $samples }, 'listen', 'stdin:', '--rate', '16000');
is(heard(''), '2580', 'samples without a header');
($status, $out, $err) = edge({ input => substr $samples, 1 }, 'listen', 'stdin:', '--rate', '16000');
is($status, 6, 'half a sample at the end is another format');
($status, $out, $err) = edge({ input => do { local (@ARGV, $/) = ($digits); <> } }, 'listen', 'stdin:', '--rate', '16000');
is($status, 6, 'a file in their place is told');
like($err, qr/is a file, WAV, and no samples: file:- reads it/, 'and how to read it');
($status, $out, $err) = edge({ input => do { local (@ARGV, $/) = ($digits); <> } }, 'listen', 'file:-');
is(heard('channel 2'), '*0#', 'file:- reads it');

wav('silence.wav', 8000, [ (0) x 8000 ]);
($status, $out) = edge('listen', 'file:silence.wav');
like($out, qr/digital silence/, 'digital silence is told');
wav('loud.wav', 8000, [ map { $_ % 2 ? 32767 : -32768 } 1 .. 8000 ]);
($status, $out) = edge('listen', 'file:loud.wav');
like($out, qr/level -?0\.0 dBFS.*100\.000 % clipped/, 'so is what is clipped');
wav('empty.wav', 8000, []);
($status, $out) = edge('listen', 'file:empty.wav');
is($status, 0, 'an empty file is none to complain of');
like($out, qr/^nothing$/m, 'and holds nothing');

# as many kinds as libsndfile makes
for my $kind (qw(flac ogg mp3 aiff au w64 rf64))
{
    system("sndfile-convert digits.wav digits.$kind >convert.log 2>&1") == 0 or die "sndfile-convert: $kind";
    ($status, $out, $err) = edge('listen', "file:digits.$kind");
    is("$status " . heard('channel 1') . heard('channel 2'), '0 159D*0#', "digits are heard in $kind");
}

done_testing();
