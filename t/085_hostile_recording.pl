# Whoever answers the telephone can play acknowledgements for as long as the line stands.  What a recording full of them
# takes of the worker's time and memory and of the audit log is bounded by its size, and the work of others goes on.
#
# HOSTILE_SECONDS of it (default 300, and a fifth of that to compare with; 3900 is 31 MB).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use MIME::Base64 ();
use Mulberry::Cluster;
use Mulberry::SharedWork;
use Mulberry::VoicePair;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{HOSTILE_SECONDS} // 300;
my $pair = Mulberry::VoicePair->new('hostile', conf => "mulberry.workers = 1\nmulberry.grace_period = 0\n");
my $node = $pair->{cloud};
my $directory = $pair->{twilio}{log} =~ s{/[^/]*$}{}r;

# 22 symbols of 45 ms and as much silence are an acknowledgement; all differ, and answer some counter.
sub write_recording
{
    my ($name, $duration) = @_;
    my $acks = int($duration / (22 * 0.09));
    my $wav = $pair->cloud(<<"SQL");
SELECT encode(mulberry.wav_encode(string_agg(mulberry.dtmf_synthesize(
           '*' || d || lpad((98 - (d || '00')::numeric % 97)::text, 2, '0') || '#', 'mulaw', 8000, 45, 45), ''), 'mulaw', 8000), 'base64')
  FROM (SELECT '010003' || lpad((n % 10000)::text, 4, '0') || lpad(n::text, 8, '0') AS d FROM generate_series(1, $acks) n) AS s
SQL
    append_to_file("$directory/$name.wav", MIME::Base64::decode_base64($wav));
    return ($acks, -s "$directory/$name.wav");
}

# What the worker has had of the processor, s, and the most memory of its own, bytes.
sub used
{
    my ($pid) = @_;
    my @stat = split ' ', slurp_file("/proc/$pid/stat") =~ s/^.*\) //r;
    my ($peak) = slurp_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+) kB/m;
    return (($stat[11] + $stat[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK()), $peak * 1024);
}

my $shared = Mulberry::SharedWork->new($node);
is($shared->stopped, '', 'all goes on') or die 'the test itself does not work';
my %figures;
for my $size ([ small => $seconds / 5 ], [ large => $seconds ])
{
    my ($name, $duration) = @$size;
    my ($acks, $bytes) = write_recording($name, $duration);
    $pair->telephony("mute,wav=$name", webhooks => 0);
    my $rows = "SELECT count(*) FROM mulberry_internal.audit WHERE action = 'ACKNOWLEDGEMENT_REJECTED'";
    my $before = $pair->cloud($rows);
    my $pid = backend_pid($node, 'mulberry worker');
    my ($time, $memory) = used($pid);
    my $began = time;
    my $command = $pair->revoke($pair->mandate);
    is($shared->stopped, '', "$name: the work of others goes on meanwhile");
    # three calls, each with a recording
    ok($pair->state($command, 'escalated'), "$name: none of $acks forged acknowledgements in $bytes bytes confirms it") or diag $pair->story($command);
    my ($time_after, $memory_after) = used($pid);
    my $calls = $pair->cloud("SELECT count(*) FROM mulberry_internal.voice_calls WHERE command = $command AND recording_sid IS NOT NULL");
    $figures{$name} = { bytes => $bytes, time => $time_after - $time, memory => $memory_after - $memory, calls => $calls };
    is($calls, 3, "$name: three recordings were heard");
    is(backend_pid($node, 'mulberry worker'), $pid, "$name: the worker has gone through it");
    cmp_ok($pair->cloud($rows) - $before, '<=', $calls * 21, "$name: twenty of each are in the audit log, and a sentence about the others");
    note(sprintf '%s: %d bytes, %d recordings: %.2f s of the worker, %d bytes more memory, %.1f s in all', $name, $bytes, $calls,
        @{ $figures{$name} }{qw(time memory)}, time - $began);
}
my ($small, $large) = @figures{qw(small large)};
# five times the audio; what is quadratic takes 25 times as long, and half a second is for what else the worker does
cmp_ok($large->{time}, '<', 10 * $small->{time} + 0.5, 'time grows with the size');
cmp_ok($large->{memory}, '<', 8 * $large->{bytes} + 16 * 1024 * 1024, 'memory is a few times the size');

$shared->finish;
$pair->stop;
done_testing();
