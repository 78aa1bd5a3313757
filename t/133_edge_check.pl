# "mulberry-edge --check": what is wrong with settings, device, what is heard and the database, all of it told, in words that somebody can
# act on.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use Mulberry::Edge;
use Mulberry::Modem;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::RealBin/..";
my $dir = tempdir(CLEANUP => 1);
my $node = mulberry_cluster('edge_check', preload => 0);
$node->safe_psql('postgres', q{CREATE ROLE pi LOGIN; SELECT mulberry.grant_access('pi', 'ingest');
    CREATE ROLE reader LOGIN; SELECT mulberry.grant_access('reader', 'supervisor')});
my $postgres = $node->connstr('postgres');
spew_raw("$dir/asound.conf", "</usr/share/alsa/alsa.conf>\npcm_type.fakemic { lib \"$programs/build/libfakemic.so\" }\npcm.mic { type fakemic dir \"$dir\" rate 8000 }\n");
$ENV{ALSA_CONFIG_PATH} = "$dir/asound.conf";
my ($status, $out, $err);
sub check { my ($device, $role, @flags) = @_; ($status, $out, $err) = edge('capture', $device, '--check', '--seconds', 1, '--database', "$postgres user=$role", @flags); return $status }

wav("$dir/good.wav", 8000, tones(8000, '12'));
wav("$dir/silent.wav", 8000, [ (0) x 8000 ]);
wav("$dir/quiet.wav", 8000, [ map { $_ % 2 ? 20 : -20 } 1 .. 8000 ]);
wav("$dir/loud.wav", 8000, [ map { $_ % 2 ? 32767 : -32768 } 1 .. 8000 ]);
wav("$dir/offset.wav", 8000, [ map { 5000 + ($_ % 2 ? 900 : -900) } 1 .. 8000 ]);
wav("$dir/half.wav", 8000, tones(8000, '12'), [ (0) x 8000 ]);

is((edge('--check', '--device', "file:$dir/good.wav", '--seconds', 1, '--database', "$postgres user=pi"))[0], 0, 'without a command as well');
is(check("file:$dir/good.wav", 'pi'), 0, 'what is good');
is($err, '', 'has no warnings');
like($out, qr/all is well/, 'and that is said');
foreach my $case (
    [ 'silent.wav', qr/warning: only digital silence: is it plugged in/ ],
    [ 'quiet.wav', qr/warning: very quiet, -64 dBFS: turn the capture volume up/ ],
    [ 'loud.wav', qr/warning: 100.0 % of it is clipped: turn the capture volume down/ ],
    [ 'offset.wav', qr/warning: an offset of 15 %/ ],
    [ 'half.wav', qr/warning: right: only digital silence/ ])
{
    my ($file, $message) = @$case;
    is(check("file:$dir/$file", 'pi'), 15, "$file: would work, and not well");
    like($err, $message, "$file: says why");
    unlike($out, qr/all is well/, "$file: and not that all is well");
}
# a busy machine may lose some of it, which is a warning
like(check('alsa:mic', 'pi'), qr/^(0|15)$/, 'a sound card');
like($out, qr/^alsa:mic: S16_LE, 8000 Hz, 1 of 1 channels, periods of 20 ms, buffer of 1000 ms$/m, 'what it is');
spew_raw("$dir/busy", '');
is(check('alsa:mic', 'pi'), 4, 'one that is in use');
is(check('alsa:none', 'pi'), 3, 'one that is not there');
is(check("file:$dir/good.wav", 'reader'), 9, 'a role that may not post');
like($err, qr/the role has no access "ingest" to the tenant: grant_access\(\) gives it/, 'says what it lacks');
is(check("file:$dir/good.wav", 'stranger'), 9, 'a role that is none');
is(check("file:$dir/good.wav", 'pi', '--tenant', 'north'), 9, 'a tenant that is not ours');
is(check("file:$dir/silent.wav", 'stranger'), 9, 'two things at once');
like($err, qr/role "stranger" does not exist.*only digital silence/s, 'are both told');

# --- a line that is answered: it has to play, and its role to judge ---------------------------------------------------------

$node->safe_psql('postgres', q{CREATE ROLE till LOGIN; SELECT mulberry.grant_access('till', 'ingest'), mulberry.grant_access('till', 'operator')});
unlink "$dir/busy";
my $line = "$dir/line";
mkdir $line;
spew_raw("$dir/asound.conf", slurp_file("$dir/asound.conf") . "pcm.line { type fakemic dir \"$line\" rate 8000 line 1 }\n");
sub check_answer { my ($device, $role, @flags) = @_; ($status, $out, $err) = edge('answer', $device, '--check', '--seconds', 1, '--database', "$postgres user=$role", @flags); return $status }
is(check_answer('alsa:line', 'till'), 15, 'a line on which nobody says anything');
like($out, qr/^alsa:line: .*plays as well/m, 'is opened for both');
like($err, qr/only digital silence/, 'and heard');
cmp_ok(-s "$line/played", '>', 8000, 'and played on');
is(check_answer('alsa:line', 'pi'), 9, 'a role that may post, and judge nothing');
like($err, qr/the role has no access "operator" to the tenant/, 'says what it lacks');
is(check_answer("file:$dir/good.wav", 'till'), 2, 'what cannot play');
like($err, qr/nothing can be played/, 'says so');
for my $case ([ 'v253', '', 0, qr/: a modem that takes its commands\n.*all is well/s ], [ 'sim7600', '', 0, qr/all is well/ ], [ 'v253', 'AT+VLS', 6, qr/the modem fails at AT\+VLS/ ], [ 'v253', 'AT', 6, qr/the modem fails at/ ])
{
    my ($kind, $deaf, $expected, $said) = @$case;
    my $modem = Mulberry::Modem->new(audio_port => $kind ne 'v253',
        script => [ $deaf eq 'AT' ? [ qr/./, sub { undef } ] : $deaf ne '' ? [ qr/^\Q$deaf\E/, "\r\nERROR\r\n" ] : (), [ qr/^AT\+VSM=\?$/, "\r\n128,\"8-BIT LINEAR\",(8000)\r\n\r\nOK\r\n" ] ]);
    my ($device, @port) = $kind eq 'v253' ? "v253:$modem->{name}" : ("pcm-tty:$modem->{pcm_name}", '--port', $modem->{name});
    $modem->start('/bin/sh', '-c', 'exec "$0" "$@" 2>&1', $edge, 'answer', $device, '--modem', $kind, @port, '--check', '--database', "$postgres user=till",
        $deaf eq 'AT+VLS' ? ('--modem-init', 'AT+VLS=0') : ());
    $modem->until(sub { $modem->{ended} });
    waitpid delete $modem->{pid}, 0;
    is($? >> 8, $expected, "a modem, $kind, deaf to \"$deaf\"");
    like(join("\n", @{ $modem->{lines} }, ''), $said, 'and what is said of it');
}
is(check_answer("v253:$dir/none", 'till', '--modem', 'v253'), 3, 'a modem that is not there');
is(check_answer("v253:$dir/none", 'till', '--modem', 'x'), 2, 'one of no kind');

($status, $out, $err) = edge('capture', '--check', '--database', "$postgres user=pi");
is($status, 2, 'no device');

done_testing();
