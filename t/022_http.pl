# The library of both servers, http/, over raw sockets: what is malformed, hostile, slow, early, late or gone.
# WebSockets are in 023_websocket.pl.  Needs no PostgreSQL.  MULBERRY_HTTP_ECHO names another build of the program.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(SHUT_WR);
use Test::More;
use Time::HiRes qw(time sleep);

use Mulberry::HttpEcho;
use Mulberry::RawHttp;

my $server = start_echo(max_body => 100000);
my $host = "Host: x\r\n";
my $post = "POST /echo HTTP/1.1\r\n${host}";
my $next = "GET /smuggled HTTP/1.1\r\n$host\r\n";

# --- what is refused: once, with its status, and nothing behind it is taken for a request --------------------

for my $case (bad_requests($post, '/echo', 100000))
{
    my ($name, $status, $bytes) = @$case;
    is(status_of($server, $bytes . $next), $status, "$name: $status, once");
}
unlike(ask($server, "GET /answers HTTP/1.1\r\n$host\r\n")->{body}, qr/smuggled/, 'nothing was smuggled');

# --- what is taken ------------------------------------------------------------------------------------------

my $answer = ask($server, "${post}Content-Length: 5\r\n\r\nhello");
is($answer->{body}, 'hello', 'a body');
is($answer->{headers}{'content-length'}, 5, 'its length');
like($answer->{headers}{date}, qr/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/, 'a date');
is($answer->{headers}{'x-client'}, '127.0.0.1', 'a header that every answer has');
ok(!exists $answer->{headers}{'x-bad'} && !exists $answer->{headers}{b}, 'a header with a line feed in its value is left out');

for my $target ('/raw/%2e%2e/..//a%2Fb%00?x=%00&y=%zz+', '/raw?', "/raw/~!\$&'()*+,;=:\@[]{}|\\^`\"<>")
{
    is(ask($server, "GET $target HTTP/1.1\r\n$host\r\n")->{body}, $target, "$target stays as it came");
}
is(ask($server, "GET /segments/a%2Fb/%2e%2e HTTP/1.1\r\n$host\r\n")->{body}, 'a/b|..', 'segments are decoded after they were told apart');
is(ask($server, "GET /segments/../%E2%82%AC HTTP/1.1\r\n$host\r\n")->{body}, "..|\xe2\x82\xac", 'dots climb nowhere');
is(ask($server, "GET /segments/a%00/b HTTP/1.1\r\n$host\r\n")->{status}, 400, 'a segment holds no NUL');
is(ask($server, "GET /segments//b HTTP/1.1\r\n$host\r\n")->{status}, 404, 'an empty segment is none');
is(ask($server, "GET /echo%2F HTTP/1.1\r\n$host\r\n")->{status}, 404, 'an encoded slash divides nothing');

is(ask($server, "GET / HTTP/1.1\r\n$host\r\n")->{status}, 404, 'a path that nobody has');
$answer = ask($server, "DELETE /echo HTTP/1.1\r\n$host\r\n");
is("$answer->{status} $answer->{headers}{allow}", '405 POST, PUT, GET, HEAD, OPTIONS', '405 with what is allowed');
$answer = ask($server, "OPTIONS /delay HTTP/1.1\r\n$host\r\n");
is("$answer->{status} $answer->{headers}{allow}", '204 GET, HEAD, POST, OPTIONS', 'OPTIONS');
ok(!exists $answer->{headers}{'content-length'}, '204 has no length');
my $socket = connection($server, "HEAD /large?1000 HTTP/1.1\r\n$host\r\nGET /raw HTTP/1.1\r\n$host\r\n");
is(read_answer($socket, head => 1)->{headers}{'content-length'}, 1000, 'HEAD has the length of GET');
is(read_answer($socket)->{body}, '/raw', 'and no body');
is(ask($server, "GET /headers HTTP/1.1\r\n$host" . join('', map { "A$_: b\r\n" } 1 .. 99) . "\r\n")->{body}, 100, 'a hundred headers');

is(status_of($server, "GET /raw HTTP/1.0\r\n\r\n$next"), 200, 'HTTP/1.0 without Host: one answer, then the end');
$socket = connection($server, "GET /raw HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
is(read_answer($socket)->{headers}{connection}, 'keep-alive', 'HTTP/1.0 may live on');
print $socket "GET /raw HTTP/1.1\r\n${host}Connection: close\r\n\r\n";
is(read_answer($socket)->{headers}{connection}, 'close', 'until it is told to close');
is(read_all($socket), '', 'and then does');

# --- chunked bodies --------------------------------------------------------------------------------------------

my $chunked = "${post}Transfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n00A\r\n0123456789\r\n0\r\nT: x\r\n\r\n";
$socket = connection($server, $chunked x 2);
is(read_answer($socket)->{body}, 'hello0123456789', 'chunks, with an extension and a trailer') for 1 .. 2;
for my $byte (split //, $chunked)
{
    print $socket $byte;
}
is(read_answer($socket)->{body}, 'hello0123456789', 'the same byte by byte');
my $big = join '', map { chr($_ % 251) } 1 .. 90000;
$socket = connection($server, "${post}Transfer-Encoding: chunked\r\n\r\n"
        . join('', map { sprintf "%x\r\n%s\r\n", length $_, $_ } unpack '(a777)*', $big) . "0\r\n\r\n");
ok(read_answer($socket)->{body} eq $big, 'a large body in many chunks');
my $huge = 'y' x 3_000_000;
print $socket "POST /stream HTTP/1.1\r\n${host}Content-Length: 3000000\r\n\r\n$huge";
like(read_answer($socket)->{body}, qr/^3000000 \d+ \d+$/, 'a body that is streamed');
print $socket "POST /stream HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n2dc6c0\r\n$huge\r\n0\r\n\r\n";
like(read_answer($socket)->{body}, qr/^3000000 \d+ \d+$/, 'also in chunks');
ok(wait_until(sub { counters($server)->{buffered} < 2048 }), 'of which nothing stays in memory');

# --- 100-continue, and answers before the body --------------------------------------------------------------------

$socket = connection($server, "${post}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
is(read_answer($socket)->{status}, 100, 'who waits is told to go on');
print $socket 'hello';
is(read_answer($socket)->{body}, 'hello', 'and answered');
print $socket "${post}Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello";
is(read_answer($socket)->{status}, 200, 'who does not wait is not');
is(status_of($server, "POST /early HTTP/1.1\r\n${host}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"), 401,
    'refused before the body, and the end');
is(status_of($server, "${post}Content-Length: 999999\r\nExpect: 100-continue\r\n\r\n"), 413, 'too large, without 100');
is(status_of($server, "POST /echo HTTP/1.0\r\n${host}Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello"), 200,
    'HTTP/1.0 knows no 100');

$socket = connection($server, "POST /early HTTP/1.1\r\n${host}Content-Length: 1000\r\n\r\n");
is(read_answer($socket)->{status}, 401, 'refused by its head while a short body comes');
print $socket 'x' x 1000, "GET /raw HTTP/1.1\r\n$host\r\n";
is(read_answer($socket)->{body}, '/raw', 'the body is passed over and the connection lives on');
$socket = connection($server, "POST /early HTTP/1.1\r\n${host}Content-Length: 9000000\r\n\r\n");
print $socket 'x' x 9_000_000;
like(read_all($socket), qr/^HTTP\/1.1 401 .*Connection: close/s, 'a long one is read to its end, so that the answer is not lost');

# --- pipelining and answers that are late ---------------------------------------------------------------------------

my $release = "GET /release HTTP/1.1\r\n$host\r\n";
$socket = connection($server, "GET /delay HTTP/1.1\r\n$host\r\n" . join '', map { "GET /raw/$_ HTTP/1.1\r\n$host\r\n" } 1 .. 50);
ok(wait_until(sub { counters($server)->{requests} == 2 }), 'a request waits for its answer, the counters for theirs');
ok(!IO::Select->new($socket)->can_read(0.3), 'those behind it have no answer before it has');
is(ask($server, $release)->{body}, 'released', 'another connection is served meanwhile');
is(join(' ', map { read_answer($socket)->{body} } 0 .. 50), join(' ', 'late', map { "/raw/$_" } 1 .. 50),
    'then all are answered in their order');

$socket = connection($server, "POST /delay HTTP/1.1\r\n${host}Content-Length: 3\r\n\r\nabc${post}Content-Length: 7\r\n\r\nx");
ok(wait_until(sub { counters($server)->{requests} == 2 }), 'behind a request that waits, half a one');
print $socket 'yz4567';
ask($server, $release);
is(join(' ', map { read_answer($socket)->{body} } 0 .. 1), 'late xyz4567', 'is put together while it waits');

# a client that sends and sends while its answer is being made
$socket = connection($server, "GET /delay HTTP/1.1\r\n$host\r\n");
$socket->blocking(0);
my $flood = "GET /raw HTTP/1.1\r\n$host\r\n" x 1000;
my $sent = 0;
my $silent = time;
while (time < $silent + 1 && $sent < 100_000_000)
{
    my $n = syswrite $socket, $flood;
    $silent = time if $n;
    $sent += $n // 0;
    sleep 0.01 if !$n;
}
ok($sent < 100_000_000, 'who floods while his answer is made is not read from') or diag($sent);
ok(counters($server)->{buffered} < 200_000, 'and costs little memory');
reset_connection($socket);
ok(wait_until(sub { counters($server)->{requests} == 1 }), 'a client that resets is gone');
is(ask($server, $release)->{body}, 'released', 'an answer for one who is gone goes nowhere');
like(ask($server, "GET /answers HTTP/1.1\r\n$host\r\n")->{body}, qr/^0 \/delay not delivered$/m, 'and the program was told');

# the place of one who is gone goes to another, the answer does not
$socket = connection($server, "GET /delay HTTP/1.1\r\n$host\r\n");
ok(wait_until(sub { counters($server)->{requests} == 2 }), 'one waits');
reset_connection($socket);
ok(wait_until(sub { counters($server)->{requests} == 1 }), 'and leaves');
my @others = map { connection($server, "${post}Content-Length: 5\r\n\r\nhel") } 1 .. 20;
ask($server, $release);
print $_ 'lo' for @others;
is(join(' ', map { read_answer($_)->{body} } @others), join(' ', ('hello') x 20), 'others in its place get their own answers');

$socket = connection($server, "GET /delay HTTP/1.1\r\n$host\r\n");
shutdown $socket, SHUT_WR;
ok(wait_until(sub { counters($server)->{requests} == 2 }), 'a client closes its side and waits');
sleep 0.3;
is(counters($server)->{requests}, 2, 'it is still waited for');
ask($server, $release);
like(read_all($socket), qr/^HTTP\/1.1 200 .*late$/s, 'and gets its answer');
$socket = connection($server, "${post}Content-Length: 5\r\n\r\nhelloGET /raw/2 HTTP/1.1\r\n$host\r\nGET /raw/3 HTTP/1.1\r\nHo");
shutdown $socket, SHUT_WR;
like(read_all($socket), qr/hello.*\/raw\/2$/s, 'whole requests before the end are answered, half a one is not');
is(status_of($server, "GET /gone HTTP/1.1\r\n$host\r\n"), '', 'a program may end a connection without an answer');

my $large = connection($server, "GET /large?20000000 HTTP/1.1\r\n$host\r\n");
ok(wait_until(sub { counters($server)->{queued} > 1_000_000 }), 'a large answer waits for its reader');
is(ask($server, "GET /raw HTTP/1.1\r\n$host\r\n")->{status}, 200, 'and keeps nobody');
is(length read_answer($large)->{body}, 20_000_000, 'it comes as a whole');
is(stop_echo($server), '0', 'the server ends in order');

# --- deadlines --------------------------------------------------------------------------------------------------------

$server = start_echo(head_ms => 700, body_ms => 700, idle_ms => 400, send_ms => 700, linger_ms => 300);
my $mute = connection($server);
my $half = connection($server, "GET /raw HTTP/1.1\r\nHo");
my $body = connection($server, "${post}Content-Length: 10\r\n\r\nhel");
my $idle = connection($server, "GET /raw HTTP/1.1\r\n$host\r\n");
my $slow_reader = connection($server, "GET /large?50000000 HTTP/1.1\r\n$host\r\n");
my $waiter = connection($server, "GET /delay HTTP/1.1\r\n$host\r\n");
my $drip_head = connection($server, "GET /raw HTTP/1.1\r\nX: ");
my $drip_body = connection($server, "POST /stream HTTP/1.1\r\n${host}Content-Length: 100000\r\n\r\n");
my %over;
my $end = time + $patience;
while (keys %over < 2 && time < $end)
{
    for my $drip ($drip_head, $drip_body)
    {
        print $drip 'x';
        $over{$drip} = 1 if IO::Select->new($drip)->can_read(0.05);
    }
}
like(read_all($drip_head), qr/^HTTP\/1.1 408 /, 'a head that comes byte by byte: 408');
like(read_all($drip_body), qr/^HTTP\/1.1 408 /, 'a body that comes byte by byte: 408');
like(read_all($half), qr/^HTTP\/1.1 408 /, 'half a head: 408');
like(read_all($body), qr/^HTTP\/1.1 408 /, 'half a body: 408');
is(read_all($mute), '', 'who says nothing is told nothing');
like(read_all($idle), qr/^HTTP\/1.1 200 .*\/raw$/s, 'an idle connection just ends');
ok(wait_until(sub { ask($server, "GET /answers HTTP/1.1\r\n$host\r\n")->{body} =~ /^200 \/large\?50000000 not delivered$/m }),
    'who does not read is dropped');
is(counters($server)->{requests}, 2, 'who waits for the program waits');
ask($server, $release);
like(read_answer($waiter)->{body}, qr/late/, 'as long as it takes');
ok(wait_until(sub { counters($server)->{connections} == 1 }), 'and then all are gone');
is(stop_echo($server), '0', 'the server ends in order');

# --- limits ---------------------------------------------------------------------------------------------------------------

$server = start_echo(max_connections => 5, max_buffered => 200_000, max_body => 1_000_000);
$socket = connection($server, "${post}Content-Length: 500000\r\n\r\n" . 'x' x 400_000);
is(read_answer($socket)->{status}, 503, 'a body that does not fit in the memory for all');
close $socket;
ok(wait_until(sub { counters($server)->{buffered} < 1000 }), 'is forgotten');
my @held = map { connection($server) } 1 .. 5;
like(read_all(connection($server)), qr/^HTTP\/1.1 503 .*Retry-After: 1/s, 'one connection too many');
close $_ for @held;
ok(wait_until(sub { my $c = eval { counters($server) }; ($c->{connections} // 0) == 1 }), 'room again');
ok(counters($server)->{turned_away} >= 1, 'it was counted');
is(stop_echo($server), '0', 'the server ends in order');

$server = start_echo(max_per_address => 3);
@held = map { connection($server, "GET /raw HTTP/1.1\r\n$host\r\n") } 1 .. 3;
read_answer($_) for @held;
like(read_all(connection($server)), qr/^HTTP\/1.1 503 /, 'one connection too many of an address');
close pop @held;
ok(wait_until(sub { my $c = eval { counters($server) }; defined $c->{connections} }), 'one that ends makes room');
is(stop_echo($server), '0', 'the server ends in order');

$server = start_echo(limit => 30);
@held = map { connection($server) } 1 .. 60;
my $cpu = sub { open my $f, '<', "/proc/$server->{pid}/stat" or die; my @w = split ' ', <$f>; $w[13] + $w[14] };
my $before = $cpu->();
sleep 1;
ok($cpu->() - $before < 50, 'without descriptors left it waits and does not spin');
close $_ for @held;
is(ask($server, "GET /raw HTTP/1.1\r\n$host\r\n")->{status}, 200, 'and serves when there are some again');
is(stop_echo($server), '0', 'the server ends in order');

# --- the end ------------------------------------------------------------------------------------------------------------------

$server = start_echo();
$idle = connection($server, "GET /raw HTTP/1.1\r\n$host\r\n");
read_answer($idle);
$waiter = connection($server, "GET /delay HTTP/1.1\r\n$host\r\nGET /raw HTTP/1.1\r\n$host\r\n");
my $opener = connection($server, "GET /rel");
ok(wait_until(sub { counters($server)->{connections} == 4 }), 'connections of all kinds');
kill 'TERM', $server->{pid};
is(read_all($idle), '', 'an idle one ends at once');
ok(wait_until(sub { !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server->{port}) }), 'no new ones are taken');
print $opener "ease HTTP/1.1\r\n$host\r\n";
like(read_all($opener), qr/^HTTP\/1.1 200 .*Connection: close.*released$/s, 'a request that has begun is answered');
like(read_all($waiter), qr/^HTTP\/1.1 200 .*Connection: close.*late$/s, 'one that waits gets its answer, and the last');
is(stop_echo($server, 1), '0', 'then the server ends');

# longer than anybody waits here: who keeps a connection does not keep the server
$server = start_echo(idle_ms => 3_600_000);
my $reader = connection($server, "GET /large?20000000 HTTP/1.1\r\n$host\r\n");
ok(wait_until(sub { counters($server)->{requests} == 2 }), 'an answer is on its way');
kill 'TERM', $server->{pid};
ok(wait_until(sub { !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server->{port}) }), 'an end meanwhile');
my $whole = read_all($reader) // '';
cmp_ok(length $whole, '>', 20_000_000, 'all of it arrives');
unlike(substr($whole, 0, 1000), qr/Connection: close/, 'although nobody had said that it is the last');
close $reader;
is(stop_echo($server, 1), '0', 'and with it the server ends');

$server = start_echo();
$waiter = connection($server, "GET /delay HTTP/1.1\r\n$host\r\n");
ok(wait_until(sub { counters($server)->{requests} == 2 }), 'one waits');
kill 'TERM', $server->{pid};
ok(wait_until(sub { !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server->{port}) }), 'an end that waits for it');
kill 'TERM', $server->{pid};
is(read_all($waiter), '', 'a second signal does not');
is(stop_echo($server, 1), '0', 'and ends in order, too');

# --- TLS ------------------------------------------------------------------------------------------------------------------------

my ($certificate, $key) = make_certificate();
$server = start_echo(cert => $certificate, key => $key, head_ms => 1500);
my $curl = "curl -s --max-time $patience --cacert $certificate";
is(`$curl -d hello https://127.0.0.1:$server->{port}/echo`, 'hello', 'TLS');
open my $file, '>', "$dir/huge" or die;
print $file $huge;
close $file;
like(`$curl --data-binary \@$dir/huge https://127.0.0.1:$server->{port}/stream`, qr/^3000000 \d+ \d+$/, 'a large body through TLS');
is(length `$curl "https://127.0.0.1:$server->{port}/large?20000000"`, 20_000_000, 'a large answer through TLS');
is(`$curl https://127.0.0.1:$server->{port}/raw/1 https://127.0.0.1:$server->{port}/raw/2`,
    '/raw/1/raw/2', 'two requests on one connection');
my $plain = read_all(connection($server, "GET / HTTP/1.1\r\n$host\r\n"));
unlike($plain // 'open', qr/HTTP\/1|open/, 'plain HTTP is not answered there');
is(read_all(connection($server, "\x16\x03\x01")) // 'open', '', 'half a handshake is dropped');
is(stop_echo($server), '0', 'the server ends in order');

done_testing();
