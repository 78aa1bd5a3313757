# WebSockets of http/, over raw sockets: the handshake, frames that break the rules, clients that are slow, mute
# or flood, and the end.  HTTP is in 022_http.pl.  Needs no PostgreSQL.  MULBERRY_HTTP_ECHO names another build.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time sleep);

use Mulberry::HttpEcho;
use Mulberry::RawHttp;

my $server = start_echo(close_ms => 1000);
my $upgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

# A socket, upgraded; what it sent with the request is sent in one piece.
sub socket_of
{
    my ($first, $more) = @_;
    my $socket = connection($server, $upgrade . ($more // '') . "\r\n" . ($first // ''));
    my $answer = read_answer($socket);
    return $answer->{status} == 101 ? $socket : undef;
}

# What comes back for these bytes, without the sentences of closes, when the client then closes if it has to.
sub reply_of
{
    my ($bytes) = @_;
    my $socket = socket_of($bytes) // return 'no socket';
    my $frames = frames_of($socket);
    $frames =~ s/(close \d+) .*/$1/;
    return $frames;
}

my $close = frame(8, pack 'n', 1000);

# --- the handshake ------------------------------------------------------------------------------------------------

my $socket = connection($server, "$upgrade\r\n");
my $answer = read_answer($socket);
is($answer->{status}, 101, 'an upgrade');
is($answer->{headers}{'sec-websocket-accept'}, 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'the accept of RFC 6455');
is($answer->{headers}{'x-client'}, '127.0.0.1', 'a header that every answer has');
ok(!exists $answer->{headers}{"sec-websocket-$_"}, "no $_") for 'protocol', 'extensions';
print $socket text('hello');
is_deeply(next_frame($socket), [ 1, 'hello' ], 'an echo');
print $socket $close;
is(frames_of($socket), 'close 1000', 'a close is answered, then the server closes');

$socket = connection($server, "${upgrade}Sec-WebSocket-Protocol: a, echo.v1\r\n\r\n");
is(read_answer($socket)->{headers}{'sec-websocket-protocol'}, 'echo.v1', 'a subprotocol that was offered');

for my $case (
    [ 'no upgrade', 426, "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n" ],
    [ 'another version', 426, $upgrade =~ s/Version: 13/Version: 8/r . "\r\n" ],
    [ 'a short key', 400, $upgrade =~ s/dGhl//r . "\r\n" ],
    [ 'no key', 400, $upgrade =~ s/Sec-WebSocket-Key.*\r\n//r . "\r\n" ],
    [ 'HTTP/1.0', 400, $upgrade =~ s/1\.1/1.0/r . "\r\n" ],
    [ 'a body', 400, "${upgrade}Content-Length: 1\r\n\r\nx" ])
{
    my ($name, $status, $bytes) = @$case;
    $answer = ask($server, $bytes);
    is($answer->{status}, $status, "$name: $status before any 101");
    is($answer->{headers}{'sec-websocket-version'}, '13', 'and tells the version') if $status == 426;
}

# --- frames that are in order --------------------------------------------------------------------------------------------

is(reply_of(text('with the request') . $close), 'text with the request, close 1000', 'frames that come with the request');
is(reply_of(frame(1, 'a', more => 1) . frame(9, 'p') . frame(0, 'b', more => 1) . frame(0, 'c') . $close), 'pong p, text abc, close 1000',
    'fragments with a ping between them');
is(reply_of(frame(2, "\xff\0") . $close), "bytes \xff\0, close 1000", 'bytes');
is(reply_of(text('') . $close), 'text , close 1000', 'an empty message');
is(reply_of(frame(10, 'unasked') . text('x') . $close), 'text x, close 1000', 'a pong that nobody asked for');
is(reply_of(text("\xe2\x82\xac") . $close), "text \xe2\x82\xac, close 1000", 'UTF-8');
for my $n (125, 126, 65535)
{
    is(length reply_of(text('x' x $n) . $close), $n + length 'text , close 1000', "a message of $n bytes");
}
is(reply_of(text('last 4001') . text('x') . $close), 'text the last, close 4001', 'what is sent before a close arrives before it');
is(reply_of(text('close 4002') . $close), 'close 4002', 'a close by the server');
is(reply_of(frame(8, '')), 'close', 'a close without a code');
my $long = text('the same byte by byte');
$socket = socket_of();
for my $byte (split //, $long . $close)
{
    syswrite $socket, $byte;
}
is(frames_of($socket), 'text the same byte by byte, close 1000', 'byte by byte');

# --- frames that are not -------------------------------------------------------------------------------------------------

for my $case (bad_frames())
{
    my ($name, $code, $bytes) = @$case;
    is(reply_of($bytes . text('behind it')), "close $code", "$name: $code and nothing behind it");
}
is(ask($server, "GET /raw HTTP/1.1\r\nHost: x\r\n\r\n")->{status}, 200, 'after all of them the server serves');
ok(wait_until(sub { counters($server)->{sockets} == 1 }), 'all are gone but the one that is open');
is(stop_echo($server), '0', 'and the server ends in order');

# --- clients that do not read, or do not answer --------------------------------------------------------------------------------

$server = start_echo(close_ms => 500);
my $before = resident_kb($server);
my $flood = socket_of();
$flood->blocking(0);
my $pings = frame(9, 'x' x 125) x 2000; # of 131 bytes
my $sent = 0;
my $silent = time;
my $end = time + 10;
while (time < $silent + 1 && time < $end)
{
    my $n = syswrite $flood, $pings, 65536, $sent % 131_000;
    $silent = time if $n;
    $sent += $n // 0;
    sleep 0.01 if !$n;
}
cmp_ok($sent, '<', 50_000_000, 'who pings and does not read is not read from') or diag($sent);
cmp_ok(resident_kb($server) - $before, '<', 8000, 'and costs little memory') unless $ENV{MULBERRY_HTTP_ECHO};
is(ask($server, "GET /raw HTTP/1.1\r\nHost: x\r\n\r\n")->{status}, 200, 'others are served meanwhile');
close $flood;
ok(wait_until(sub { counters($server)->{sockets} == 0 }), 'it is gone when it goes');

# a slow reader of many messages: its queue is bounded, all of them come
$socket = socket_of(text('push 500000'));
ok(wait_until(sub { counters($server)->{queued} > 0 && counters($server)->{queued} > 0 }), 'messages wait for a slow reader');
cmp_ok(counters($server)->{queued}, '<=', 100_500, 'as many as may');
my $n = 0;
while ($n < 500_000)
{
    my $frame = next_frame($socket) // last;
    $n++ if $frame->[1] eq '0123456789' x 4;
}
is($n, 500_000, 'when it reads it gets every one');
close $socket;

# one whose queue is dropped gets whole messages, and is told
$socket = socket_of(text('push 500000'));
ok(wait_until(sub { counters($server)->{queued} > 0 && counters($server)->{queued} > 0 }), 'messages wait for a slow reader');
print $socket text('drop');
my %seen = (whole => 0);
while (my $frame = next_frame($socket))
{
    last if $frame->[1] eq 'resync';
    $seen{ $frame->[1] eq '0123456789' x 4 ? 'whole' : 'other' }++;
}
ok(!$seen{other} && $seen{whole} < 500_000, 'a queue that is dropped ends between messages, and is told to be empty')
    or diag(explain(\%seen));
print $socket text('x');
is_deeply(next_frame($socket), [ 1, 'x' ], 'then it goes on');
close $socket;

# pings: the server's are answered, or the connection ends; this protocol has them every 0.5 s
$socket = socket_of('', "Sec-WebSocket-Protocol: echo.v1\r\n");
is_deeply(next_frame($socket), [ 9, '' ], 'a silent client is pinged');
print $socket frame(10, '');
is_deeply(next_frame($socket), [ 9, '' ], 'one that answers again');
ok(!defined next_frame($socket), 'one that does not is dropped');
$socket = socket_of(frame(2, 'x' x 10, length => 60000), "Sec-WebSocket-Protocol: echo.v1\r\n");
like(frames_of($socket), qr/^ping $/, 'so is one that stays in the middle of a message');
$socket = socket_of(text('close 4000'));
is(frames_of($socket), 'close 4000 as you wish', 'one that does not answer a close is dropped');

# --- the end -----------------------------------------------------------------------------------------------------------------------

$socket = socket_of();
kill 'TERM', $server->{pid};
is(frames_of($socket), 'text stopping, close 1001', 'at the end each is told 1001, behind a last message');
is(stop_echo($server, 1), '0', 'then the server ends');

# --- a foreign client, over TLS -----------------------------------------------------------------------------------------------------

my ($certificate, $key) = make_certificate();
$server = start_echo(cert => $certificate, key => $key);
my $client = <<"PYTHON";
import asyncio, ssl, websockets
async def main():
    context = ssl.create_default_context(cafile='$certificate')
    async with websockets.connect('wss://127.0.0.1:$server->{port}/ws', ssl=context, max_queue=None) as ws:
        await ws.send('hello'); print(await ws.recv())
        await ws.send(b'x' * 60000); print(len(await ws.recv()))
        await ws.send('push 20000')
        print(len([await ws.recv() for i in range(20000)]))
        await ws.send('last 4001'); print(await ws.recv())
        try:
            await ws.recv()
        except websockets.ConnectionClosed as e:
            print(e.code)
asyncio.run(main())
PYTHON
open my $script, '>', "$dir/client.py" or die;
print $script $client;
close $script;
is(`timeout $patience /usr/bin/python3 $dir/client.py`, "hello\n60000\n20000\nthe last\n4001\n", 'python3-websockets over TLS');
is(stop_echo($server), '0', 'the server ends in order');

done_testing();
