# mulberry-speech when clients are many, slow, gone or hostile, and when it has a key.
# Needs no PostgreSQL.  MULBERRY_SPEECH names another build of the program.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use HTTP::Tiny;
use IO::Select;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);

use Mulberry::Speech;

my $server = start_server();
my $samples = samples($server, 'I would like to change my appointment from Monday to Wednesday afternoon.');
my $word = wav(samples($server, 'Yes.'));
is(stop_server($server), 0, 'a server that spoke what the others hear');

$server = start_server('--transcribers', 1, '--queue', 1, '--max-body', 1, '--max-buffered', 2, '--max-audio-seconds', 25,
    '--grace', 0, '--api-key-file', spew("$dir/keys", "# two keys\nfirst-key\nsecond-key\n"));
send_headers(Authorization => 'Bearer second-key');
my $keyless = HTTP::Tiny->new(timeout => 60);

for my $case ([ 'no key', undef ], [ 'a wrong key', 'Bearer third-key' ], [ 'the beginning of a key', 'Bearer second' ],
    [ 'another scheme', 'Basic second-key' ])
{
    my ($name, $value) = @$case;
    my $answer = $keyless->get("$server->{url}/v1/models", { headers => { defined $value ? (Authorization => $value) : () } });
    $answer->{json} = decode_json($answer->{content});
    refused_ok($answer, 401, 'invalid_api_key', qr/Bearer/, $name);
}
is($http->get("$server->{url}/v1/models")->{status}, 200, 'a right key');
is($keyless->get("$server->{url}/health")->{status}, 200, 'health needs none');

refused_ok(transcribe($server, wav(silence(26))), 413, 'audio_too_long', qr/26 s, more than the 25 s/, 'a recording too long');
refused_ok(transcribe($server, wav(silence(40))), 413, 'request_too_large', qr/1048576 bytes/, 'a file too large');
refused_ok(transcribe($server, wav(silence(70))), 413, 'request_too_large', qr/bytes at most/, 'a body too large');
my @pieces = (multipart(file => \wav(silence(70)))) x 1;
refused_ok(post($server, '/v1/audio/transcriptions', sub { return shift @pieces }, \%multipart_header),
    413, 'request_too_large', qr/bytes at most/, 'a body too large that did not tell its size');
my $early = raw_connection($server, "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer first-key\r\n"
        . "Content-Type: $multipart_header{'Content-Type'}\r\nContent-Length: 9000000\r\nExpect: 100-continue\r\n\r\n");
like(read_all($early), qr/^HTTP\/1.1 413 /, 'who asks before sending too much is told before');

# What is announced counts against the memory for bodies, here 2 MB, before it comes.
my $announcement = "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer first-key\r\n"
    . "Content-Type: $multipart_header{'Content-Type'}\r\nContent-Length: 1000000\r\n\r\n";
my @announced = map { raw_connection($server, $announcement) } 1 .. 2;
ok(wait_until(sub { health($server)->{buffered_bytes} == 2_000_000 }), 'two bodies announced');
my $answer = transcribe($server, wav(silence(10)));
refused_ok($answer, 503, 'server_busy', qr/bytes of requests/, 'a third that does not fit beside them');
is($answer->{headers}{'retry-after'}, 1, 'and tells when to try again');
close $_ for @announced;
ok(wait_until(sub { health($server)->{buffered_bytes} == 0 }), 'their room is free again');

# Half a request, and one that comes byte by byte, disturb nobody and are dropped.
my $patient_server = $server;
$server = start_server('--receive-timeout', 4, '--api-key-file', "$dir/keys");
my $half = raw_connection($server, "POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer first-key\r\n"
        . "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
my $mute = raw_connection($server, '');
my $drip = raw_connection($server, "GET /health HTTP/1.1\r\nX-Slow: ");
my $dropped = 0;
my $unserved = 0;
my $drip_end = time + $patience;
while (!$dropped && time < $drip_end)
{
    local $SIG{PIPE} = 'IGNORE';
    $unserved++ unless speak($server, input => 'Hello.')->{status} == 200;
    print $drip 'x';
    $dropped = IO::Select->new($drip)->can_read(0.4) && !sysread($drip, my $rest, 1000);
}
is($unserved, 0, 'others are served beside slow clients');
ok($dropped, 'a client that sends a byte now and then is dropped');
like(read_all($half), qr/^HTTP\/1.1 408 .*"request_timeout"/s, 'half a request is told so: 408');
is(read_all($mute), '', 'and a connection that says nothing');
is(stop_server($server), 0, 'it ends in order');
$server = $patient_server;

# One works, one waits, the third is turned away; synthesis does not wait.
my $work = wav(substr($samples x 6, 0, 32000 * 24));
my $working = raw_transcription($server, $work);
ok(wait_until(sub { health($server)->{transcription}{running} == 1 && child_pids($server) }), 'one transcription runs');
my ($worker) = child_pids($server);
kill 'STOP', $worker;
my $waiting = raw_transcription($server, $word);
ok(wait_until(sub { health($server)->{transcription}{queued} == 1 }), 'one waits');
$answer = transcribe($server, $word);
refused_ok($answer, 503, 'server_busy', qr/queue is full/, 'the third');
ok($answer->{headers}{'retry-after'} >= 1, 'and tells when to try again');
is(speak($server, input => 'Hello.')->{status}, 200, 'synthesis does not wait for transcription');
close $working;
ok(wait_until(sub { !-e "/proc/$worker" }), 'when its client goes away, the work ends');
my $waited = '';
sysread $waiting, $waited, 65536 if IO::Select->new($waiting)->can_read($patience);
like($waited, qr/^HTTP\/1.1 200 /, 'and the one that waited gets its turn');
is(health($server)->{transcription}{cancelled}, 1, 'health tells of it');

# An engine that crashes takes its own request along and nothing else.
$working = raw_transcription($server, $work);
wait_until(sub { health($server)->{transcription}{running} == 1 && child_pids($server) });
kill 'SEGV', child_pids($server);
my $crashed = '';
sysread $working, $crashed, 65536 if IO::Select->new($working)->can_read($patience);
like($crashed, qr/^HTTP\/1.1 500 .*"engine_failed"/s, 'an engine that crashes: 500 engine_failed');
is(transcribe($server, $word)->{status}, 200, 'and the next request is served');

# Without grace, running work is ended and its client told.
$working = raw_transcription($server, $work);
wait_until(sub { health($server)->{transcription}{running} == 1 && child_pids($server) });
($worker) = child_pids($server);
is(stop_server($server), 0, 'SIGTERM without grace');
like(read_all($working), qr/^HTTP\/1.1 503 .*"shutting_down"/s, 'tells the client of running work');
ok(!-e "/proc/$worker", 'and leaves no process');

$server = start_server('--job-timeout', 1);
send_headers();
refused_ok(transcribe($server, wav($samples x 40)), 504, 'engine_timeout', qr/within 1 s/, 'work that takes too long');

# Nothing outlives a server that is killed.
my $pending = raw_transcription($server, wav($samples x 40));
wait_until(sub { health($server)->{transcription}{running} == 1 && child_pids($server) });
($worker) = child_pids($server);
vanish($server);
ok(wait_until(sub { !-e "/proc/$worker" || slurp("/proc/$worker/stat") =~ /\) Z/ }), 'work ends with a server that is killed');

done_testing();
