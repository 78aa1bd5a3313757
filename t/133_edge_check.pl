# "mulberry-edge --check": what is wrong with settings, device, what is heard and the database, all of it told, in words that somebody can
# act on.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use Mulberry::Edge;
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
($status, $out, $err) = edge('capture', '--check', '--database', "$postgres user=pi");
is($status, 2, 'no device');

done_testing();
