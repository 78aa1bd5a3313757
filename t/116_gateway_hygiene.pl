# The gateway over raw sockets, against clients that are malformed, hostile, slow, or try what is not theirs.  After each
# it lives; in the end it has grown by little, and nothing of all this is stored.  What http/ does with more kinds
# of them is in 022_http.pl and 023_websocket.pl.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Encode qw(encode_utf8);
use JSON::PP;
use Mulberry::Cluster;
use Mulberry::Gateway qw(start_gateway ask_admin log_of_gateway);
use Mulberry::RawHttp;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(SHUT_WR);
use Test::More;
use Time::HiRes qw(sleep time);

my $max_body = 100_000;
my $node = mulberry_cluster('gateway_hygiene', conf => 'mulberry.workers = 0');
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE gate LOGIN; SELECT mulberry.grant_access('gate', 'gateway', NULL); SELECT mulberry.create_tenant('north')});
my %token = map { /(\S+) (\S+)/ } split /\n/, sql(<<'SQL');
SELECT 'pbx ' || mulberry.create_token('pbx', 'ingest', 'north') UNION ALL
SELECT 'other ' || mulberry.create_token('pbx', 'ingest') UNION ALL
SELECT 'desk ' || mulberry.create_token('desk', 'supervisor', 'north') UNION ALL
SELECT 'brief ' || mulberry.create_token('brief', 'supervisor', 'north', clock_timestamp() + interval '10 seconds') UNION ALL
SELECT 'late ' || mulberry.create_token('late', 'ingest', 'north', clock_timestamp() + interval '1 second') UNION ALL
SELECT 'revoked ' || mulberry.create_token('revoked', 'ingest', 'north');
SQL
my $gateway = start_gateway($node, '--connections', 8, '--max-body', $max_body);
my $host = "Host: x\r\n";
my $open = "GET / HTTP/1.1\r\n$host\r\n";
my $kept = 'good';

# What a request to a path begins with, of whoever has the token.
sub post_to { my ($path, $token) = @_; return "POST $path HTTP/1.1\r\n$host" . (defined $token ? "Authorization: Bearer $token\r\n" : '') }

sub whole { my ($begin, $body, @headers) = @_; return $begin . join('', map { "$_\r\n" } @headers) . 'Content-Length: ' . length($body) . "\r\n\r\n$body" }

# A packet, the whole request.
sub packet
{
    my ($call, $sequence, %is) = @_;
    return whole(post_to('/v1/call/stream/' . ($is{raw} ? $call : escaped($call)), $is{token} // $token{pbx}),
        $is{body} // encode_json({ sequence => $sequence, data => $is{data} // 'x', timestamp => 1, %{ $is{fields} // {} } }), @{ $is{headers} // [] });
}
sub escaped { my ($text) = @_; return join '', map { sprintf '%%%02x', ord } split //, encode_utf8($text) }

sub lives
{
    my $status = ask($gateway, $open)->{status};
    return $status == 200 ? 'and lives' : "and says $status";
}

sub metric { my ($name) = @_; return ask_admin($gateway, '/metrics')->{content} =~ /^mulberry_gateway_\Q$name\E (\d+)$/m ? $1 : die $name }

ok(wait_until(sub { ask($gateway, packet($kept, 0))->{status} == 202 }), 'a packet that is good');
ask($gateway, packet($kept, $_)) for 1 .. 50;
my $before = resident_kb($gateway);

# ---- requests that are none, each behind a good token, and each with a good packet behind it ----

my $post = post_to('/v1/call/stream/bad', $token{pbx});
foreach my $case (bad_requests($post, '/v1/call/stream/bad', $max_body))
{
    my ($name, $status, $bytes) = @$case;
    is(status_of($gateway, $bytes . packet('smuggled', 0)) . ' ' . lives(), "$status and lives", "$name: $status, once");
}
foreach my $case (
    [ 'who has no token is refused before his body', 401, post_to('/v1/call/stream/bad') . "Content-Length: 90000\r\n\r\n" ],
    [ 'and is not told to go on with it', 401, post_to('/v1/call/stream/bad') . "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n" ],
    [ 'nor where there is nothing', 404, post_to('/nowhere', $token{pbx}) . "Content-Length: 90000\r\n\r\n" ],
    [ 'a method in small letters', 405, whole(post_to('/v1/call/stream/bad', $token{pbx}) =~ s/POST/post/r, 'x', 'Connection: close') ],
    [ 'a CONNECT', 400, "CONNECT db:5432 HTTP/1.1\r\n$host\r\n" ],
    [ 'a TRACE', 405, "TRACE / HTTP/1.1\r\n${host}Connection: close\r\n\r\n" ],
    [ 'an upgrade to HTTP/2', 200, "GET / HTTP/1.1\r\n${host}Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n" ],
    [ 'what begins as TLS', 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n" ],
    [ 'what begins as PostgreSQL', 400, "\x00\x00\x00\x08\x04\xd2\x16\x2f\r\n\r\n" ],
    [ 'nothing', '', '' ])
{
    my ($name, $status, $bytes) = @$case;
    my $socket = connection($gateway, $bytes);
    shutdown $socket, SHUT_WR;
    is(join(' ', (read_all($socket) // 'open') =~ /^HTTP\/1\.1 (\d+) /mg, lives()), join(' ', length $status ? $status : (), 'and lives'), "$name: $status");
}

# ---- paths: nothing climbs, nothing divides, nothing is cut ----

foreach my $path ('/v1/call/stream/../complete/good', '/v1/call/stream/good/../..', '/v1/call/stream//good', '/v1/call/stream/', '//v1/call/stream/good',
    '/v1/call/stream/good/', '/v1/call/./stream/good', '/v1%2fcall/stream/good', '/v1/call/%73tream/good', '/V1/call/stream/good', '/v1/call/stream;x/good', '/%2e%2e/metrics', '/metrics', '/health/live')
{
    is(ask($gateway, whole(post_to($path, $token{pbx}), '{"sequence":99,"data":"x","timestamp":1}'))->{status} . ' ' . lives(), '404 and lives', "$path: nothing there");
}
# a call may have that name, and is read or erased there
is(ask($gateway, whole(post_to('/v1/call/stream', $token{pbx}), '{"sequence":99,"data":"x","timestamp":1}'))->{status} . ' ' . lives(), '405 and lives', '/v1/call/stream: not by POST');
foreach my $call ('%00', 'a%00b', '%', '%4', '%zz', '%ff', '%c0%af', '%ed%a0%80', '%f4%90%80%80', 'x' x 300)
{
    is(ask($gateway, packet($call, 0, raw => 1))->{status} . ' ' . lives(), '400 and lives', 'a call named ' . substr $call, 0, 20);
}
my @literal = ('..', '.', 'a/b', '..%2f..', '%', '/v1/call/stream/good', '?', '#');
foreach my $call (@literal)
{
    is(decode_json(ask($gateway, packet($call, 0))->{body})->{call_id}, $call, "a call named $call is named just so");
}
is(sql(q{SELECT string_agg(sequence::text, ' ' ORDER BY sequence) FROM mulberry.call_packets WHERE call_id = 'good' AND sequence > 50}), '', 'the good call has none of them');

# ---- bodies that mean something to a parser, and to SQL ----

my $deep = '[' x 40_000;
foreach my $case (
    [ 'brackets that never end', 422, $deep ],
    [ 'a field of many brackets', 422, '{"sequence":1,"timestamp":1,"data":' . $deep . ']' x 40_000 . '}' ],
    [ 'an object in an object, and so on', 422, '{"a":' x 15_000 . '1' . '}' x 15_000 ],
    [ 'many members', 422, '{' . join(',', map { "\"$_\":0" } 1 .. 9000) . '}' ],
    [ 'a number of many digits', 422, '{"sequence":' . '9' x 90_000 . ',"data":"x","timestamp":1}' ],
    [ 'a number of many digits behind a point', 422, '{"sequence":0.' . '3' x 90_000 . ',"data":"x","timestamp":1}' ],
    [ 'a number of a large exponent', 422, '{"sequence":1e999999999,"data":"x","timestamp":1}' ],
    [ 'a time beyond all', 422, '{"sequence":1,"data":"x","timestamp":1e300}' ],
    [ 'half a surrogate', 422, '{"sequence":1,"data":"\ud800","timestamp":1}' ],
    [ 'two bodies', 422, '{"sequence":1,"data":"x","timestamp":1}{"sequence":2,"data":"x","timestamp":1}' ],
    [ 'a mark of the order of bytes', 422, "\xef\xbb\xbf{\"sequence\":1,\"data\":\"x\",\"timestamp\":1}" ],
    [ 'UTF-16', 400, "\xff\xfe{\0}\0" ],
    [ 'a NUL behind it', 422, "{\"sequence\":1,\"data\":\"x\",\"timestamp\":1}\0" ],
    [ 'a track with a NUL', 422, '{"sequence":1,"data":"x","timestamp":1,"track":"a\u0000b"}' ],
    [ 'an encoding of none', 422, '{"sequence":1,"data":"x","timestamp":1,"encoding":"text\u0000"}' ],
    [ 'half a group of base64', 422, '{"sequence":1,"data":"QQ","timestamp":1,"encoding":"base64"}' ],
    [ 'padding of base64 within', 422, '{"sequence":1,"data":"QQ==QQ==","timestamp":1,"encoding":"base64"}' ])
{
    my ($name, $status, $body) = @$case;
    my $answer = ask($gateway, packet('bad', 0, body => $body));
    is("$answer->{status} " . lives(), "$status and lives", $name);
    cmp_ok(length $answer->{body}, '<', 80_000, 'and is told in few words');
}
my $echo = ask($gateway, packet('bad', 0, body => '{"x":"' . 'y' x 90_000 . '"}'));
cmp_ok(length $echo->{body}, '<', 80_000, 'what is refused is not sent back many times');
is(join(' ', map { $_->{loc}[1] } @{ decode_json($echo->{body})->{detail} }), 'sequence data timestamp', 'but what is wrong with it');

my @odd = ("'; DROP TABLE mulberry_internal.calls; --", q{\\'; SELECT 1}, '$$', '$1', '%s%n', '{a,b}', '{', '"', 'NULL', '\\x00', "E'\\\\'", '\\N', '(1,2)', "a\nb", "\t", "\x1b[31m",
    "\x{1f4de}", "\x{202e}x", "\x{fffd}", '${jndi:ldap://x/}', '<script>alert(1)</script>', '../../etc/passwd', ' ');
foreach my $odd (@odd)
{
    (my $name = encode_utf8($odd)) =~ s/[^ -~]/./g;
    my $answer = ask($gateway, packet("odd $odd", 0, data => $odd));
    is("$answer->{status} " . decode_json($answer->{body})->{call_id} . ' ' . lives(), "202 odd $odd and lives", "a call named $name");
    is(ask($gateway, packet('bad', 0, fields => { encoding => $odd }))->{status}, 422, '... is no encoding');
    is(ask($gateway, packet('bad', 0, fields => { sequence => $odd }))->{status}, 422, '... no sequence');
    is(ask($gateway, packet('bad', 0, fields => { timestamp => $odd }))->{status}, 422, '... no time');
    $answer = ask($gateway, whole(post_to('/v1/call/complete/' . escaped("none $odd"), $token{pbx}), '{"total_packets":1}'));
    is("$answer->{status} " . decode_json($answer->{body})->{detail}, "404 Call none $odd not found", '... no call to complete');
    next if $odd =~ /[\n\x1b]/;
    is(ask($gateway, packet('bad', 0, token => encode_utf8($odd) =~ s/^\s*$/x/r))->{status}, 401, '... no token');
    is(ask($gateway, packet('bad', 0, headers => [ 'Content-Type: ' . encode_utf8($odd) ]))->{status}, 422, '... no type');
}
my $wanted = join ',', map { unpack 'H*', encode_utf8($_) } @odd;
is(sql(q{SELECT count(*) FROM mulberry.call_packets p JOIN unnest(string_to_array('} . $wanted . q{', ',')) AS h (h) ON p.data = decode(h, 'hex') AND p.call_id = 'odd ' || convert_from(decode(h, 'hex'), 'UTF8')}),
    scalar @odd, 'each is stored as it was sent');
is(sql(q{SELECT count(*) FROM mulberry.call_status WHERE call_id LIKE 'odd %' AND tenant <> 'north'}), 0, 'for whom it was');
is(sql(q{SELECT count(*) FROM mulberry.call_status WHERE tenant = 'north' AND call_id NOT LIKE 'odd %'}), 1 + @literal, 'and nothing else');

# ---- who may not ----

sql(q{SELECT mulberry.revoke_token('revoked', 'north')});
$node->poll_query_until('postgres', q{SELECT expires_at < clock_timestamp() FROM mulberry.tokens WHERE name = 'late'}) or die;
foreach my $case ([ 'a token that was revoked', 401, $token{revoked} ], [ 'one that has expired', 401, $token{late} ], [ 'one for something else', 403, $token{desk} ],
    [ 'none', 401, '' ], [ 'bytes that are no text', 401, "\xff\xfe" ], [ 'a long one', 401, 'x' x 8000 ], [ 'two in one', 401, "$token{pbx}, $token{pbx}" ], [ 'two of them', 401, "$token{pbx}\r\nAuthorization: Bearer $token{pbx}" ])
{
    my ($name, $status, $token) = @$case;
    is(ask($gateway, packet('bad', 0, token => $token))->{status} . ' ' . lives(), "$status and lives", "$name: $status");
}
ask($gateway, packet('shared', 0, token => $token{other}));
is(ask($gateway, whole(post_to('/v1/call/complete/shared', $token{pbx}), '{"total_packets":1}'))->{status}, 404, 'a call of another tenant');
is(sql(q{SELECT count(*) FROM mulberry.call_status WHERE call_id IN ('bad', 'smuggled')}), 0, 'nothing of all that was refused is stored');

# ---- requests behind one whose answer is late ----

# enough connections that each has one: what waits for a connection waits less long than what the database has
ok(wait_until(sub { metric('database_connections') == 8 }), 'all connections are there');
my @backends = split /\n/, sql(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'mulberry-gateway'});
kill 'STOP', @backends;
my $socket = connection($gateway, join '', map { packet('late', $_) } 0 .. 40);
my $half = connection($gateway, packet('late', 100) . substr packet('late', 101), 0, 150);
my $gone = connection($gateway, packet('late', 200));
my $closed = connection($gateway, packet('late', 300));
ok(wait_until(sub { metric('requests') == 4 }), 'requests wait for the database');
shutdown $closed, SHUT_WR;
my $flood = connection($gateway, packet('late', 400));
$flood->blocking(0);
my ($sent, $silent) = (0, time);
while (time < $silent + 1 && $sent < 50_000_000)
{
    my $n = syswrite $flood, $open x 1000;
    $silent = time if $n;
    $sent += $n // 0;
    sleep 0.01 if !$n;
}
cmp_ok($sent, '<', 50_000_000, 'who floods meanwhile is not read from');
cmp_ok(metric('buffered_bytes'), '<', 300_000, 'and costs little memory');
ok(!IO::Select->new($socket)->can_read(0.2), 'nobody is answered before the database has');
is(lives(), 'and lives', 'others are served');
reset_connection($_) for $gone, $flood;
ok(wait_until(sub { metric('requests') == 3 }), 'who resets is gone');
print $half substr packet('late', 101), 150;
kill 'CONT', @backends;
is(join(' ', map { decode_json(read_answer($socket)->{body})->{sequence} // 'none' } 0 .. 40), join(' ', 0 .. 40), 'then all are answered, in their order');
is(join(' ', map { decode_json(read_answer($half)->{body})->{sequence} // 'none' } 0 .. 1), '100 101', 'also one that came in two halves');
like(read_all($closed), qr/^HTTP\/1\.1 202 .*"sequence":300,/s, 'and one whose client had closed its side');
ok(wait_until(sub { sql(q{SELECT count(*) FROM mulberry.call_packets WHERE call_id = 'late' AND sequence IN (200, 400)}) == 2 }), 'what was sent by who is gone is stored, as it was taken');

# ---- chunks, and 100-continue ----

my $body = '{"sequence":0,"data":"in chunks","timestamp":1}';
my $chunked = post_to('/v1/call/stream/chunks', $token{pbx}) . "Transfer-Encoding: chunked\r\n\r\n" . join('', map { sprintf "%x;x=y\r\n%s\r\n", length, $_ } unpack '(a7)*', $body) . "0\r\nT: x\r\n\r\n";
is(decode_json(ask($gateway, $chunked)->{body})->{status}, 'accepted', 'a body in chunks');
$socket = connection($gateway);
print $socket $_ for split //, $chunked;
is(decode_json(read_answer($socket)->{body})->{status}, 'duplicate', 'byte by byte');
print $socket whole(post_to('/v1/call/stream/chunks', $token{pbx}), '', 'Expect: 100-continue') =~ s/Length: 0/'Length: ' . length $body/er;
is(read_answer($socket)->{status}, 100, 'who waits is told to go on');
print $socket $body;
is(decode_json(read_answer($socket)->{body})->{status}, 'duplicate', 'and answered');

# ---- WebSockets ----

sub upgrade
{
    my ($query, @headers) = @_;
    return "GET /ws/supervisor$query HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" . join('', map { "$_\r\n" } @headers) . "\r\n";
}
my $desk = "Authorization: Bearer $token{desk}";

# A socket, behind what is sent with the request; and the code that it is closed with.
sub socket_of { my ($bytes, @headers) = @_; my $ws = connection($gateway, upgrade('', @headers ? @headers : $desk) . ($bytes // '')); is(read_answer($ws)->{status}, 101, 'a WebSocket') if !defined $bytes; read_answer($ws) if defined $bytes; return $ws }
sub closed_with
{
    my ($ws) = @_;
    while (my $next = next_frame($ws))
    {
        return unpack('n', $next->[1]) // 'none' if $next->[0] == 8;
    }
    return 'an end';
}

foreach my $case (bad_frames())
{
    my ($name, $code, $bytes) = @$case;
    is(closed_with(socket_of($bytes . text('behind it'))) . ' ' . lives(), "$code and lives", "$name: $code");
}
foreach my $case (
    [ 'a page of another origin', 403, '', $desk, 'Origin: https://evil.example' ],
    [ 'a page of an origin that begins like this host', 403, '', $desk, 'Origin: http://x.evil.example' ],
    [ 'a page of none', 403, '', $desk, 'Origin: null' ],
    [ 'no token', 401, '' ],
    [ 'a token for something else', 403, '', "Authorization: Bearer $token{pbx}" ],
    [ 'a token that was revoked', 401, '', "Authorization: Bearer $token{revoked}" ],
    [ 'one in the query that is none', 401, "?token=$token{desk}x" ],
    [ 'one beside the subprotocol that is none', 401, '', 'Sec-WebSocket-Protocol: mulberry.v1, token.' ],
    [ 'another tenant', 400, '?tenant=default', $desk ],
    [ 'a tenant cut by a NUL', 400, '?tenant=north%00', $desk ],
    [ 'a call with a NUL', 400, '?call=a%00b', $desk ],
    [ 'a kind that is no text', 400, '?kind=%ff', $desk ],
    [ 'a number that fits in none', 400, '?since=99999999999999999999', $desk ],
    [ 'a number with more behind it', 400, '?since=1%00', $desk ],
    [ 'too many filters', 400, '?' . join('&', map { "call=$_" } 1 .. 17), $desk ],
    [ 'a query too long', 400, '?call=' . 'x' x 5000, $desk ],
    (map { [ 'a tenant named ' . encode_utf8($_) =~ s/[^ -~]/./gr, 400, '?tenant=' . escaped($_), $desk ] } @odd))
{
    my ($name, $status, $query, @headers) = @$case;
    is(status_of($gateway, upgrade($query, @headers, 'Connection: close')) . ' ' . lives(), "$status and lives", "$name: $status");
}
foreach my $odd (@odd)
{
    my $ws = connection($gateway, upgrade('?call=' . escaped($odd) . '&kind=' . escaped($odd), $desk));
    is(read_answer($ws)->{status} . ' ' . lives(), '101 and lives', 'a call and a kind named ' . encode_utf8($odd) =~ s/[^ -~]/./gr);
}
ok(wait_until(sub { metric('supervisors') == 0 }), 'none of them is left');

# pings without end, from who does not read
$socket = socket_of();
$socket->blocking(0);
my $pings = frame(9, 'x' x 125) x 2000;
($sent, $silent) = (0, time);
while (time < $silent + 1 && $sent < 50_000_000)
{
    my $n = syswrite $socket, $pings, 65536, $sent % 131_000;
    $silent = time if $n;
    $sent += $n // 0;
    sleep 0.01 if !$n;
}
cmp_ok($sent, '<', 50_000_000, 'who pings and does not read is not read from');
is(lives(), 'and lives', 'others are served');
close $socket;

# whoever listens until his token expires
my $brief = connection($gateway, upgrade('', "Authorization: Bearer $token{brief}"));
my $status = read_answer($brief)->{status};
is($status == 101 ? closed_with($brief) : 1008, 1008, 'a token that expires ends its WebSocket');
sql(q{SELECT mulberry.create_token('gone', 'supervisor', 'north')}) =~ /(\S+)/;
$socket = socket_of('', "Authorization: Bearer $1");
sql(q{SELECT mulberry.revoke_token('gone', 'north')});
is(closed_with($socket), 1008, 'one that is revoked, too');

# ---- what all this has cost, and told ----

cmp_ok(resident_kb($gateway) - $before, '<', 16_000, 'it has grown by little') unless $ENV{MULBERRY_GATEWAY};
is(join("\n", grep { !eval { decode_json($_) } } split /\n/, log_of_gateway($gateway)), '', 'every line of the log is JSON');
unlike(log_of_gateway($gateway), qr/\Q$_\E/, 'no token in the log') foreach values %token;
is(sql(q{SELECT count(*) FROM mulberry.call_status WHERE call_id IN ('bad', 'smuggled', 'bad/')}), 0, 'nothing bad is stored');
kill 'TERM', $gateway->{pid};
$gateway->{run}->finish;
is($gateway->{run}->result(0) // 0, 0, 'it ends in order');

# ---- clients that are slow, and too many ----

$gateway = start_gateway($node, '--max-connections', 8, map { ("--$_-timeout", 1) } qw(head body idle send));
$post = post_to('/v1/call/stream/slow', $token{pbx});
my $mute = connection($gateway);
my $idle = connection($gateway, $open);
my $half_head = connection($gateway, "GET / HTTP/1.1\r\nHo");
my $half_body = connection($gateway, "${post}Content-Length: 10\r\n\r\nhel");
my $drip_head = connection($gateway, "GET / HTTP/1.1\r\nX: ");
my $drip_body = connection($gateway, "${post}Transfer-Encoding: chunked\r\n\r\n");
my %over;
my $end = time + $patience;
while (keys %over < 2 && time < $end)
{
    foreach my $drip ([ $drip_head, 'x' ], [ $drip_body, "1\r\nx\r\n" ])
    {
        print { $drip->[0] } $drip->[1];
        $over{ $drip->[0] } = 1 if IO::Select->new($drip->[0])->can_read(0.05);
    }
}
like(read_all($_->[0]), qr/^HTTP\/1.1 408 .*"detail"/s, "$_->[1]: 408") for [ $drip_head, 'a head that comes byte by byte' ], [ $drip_body, 'a body in chunks of a byte' ],
  [ $half_head, 'half a head' ], [ $half_body, 'half a body' ];
is(read_all($mute), '', 'who says nothing is told nothing');
like(read_all($idle), qr/^HTTP\/1.1 200 .*running/s, 'an idle connection just ends');
ok(wait_until(sub { metric('connections') == 0 }), 'all are gone');
# these come and go with their timeout: what is turned away is counted
ok(wait_until(sub {
    my @held = map { connection($gateway) } 1 .. 9;
    return metric('turned_away_total{limit="all"}') > 0;
}), 'one connection too many is turned away');
ok(wait_until(sub { ask($gateway, $open)->{status} == 200 }), 'and then there is room again');
is(sql(q{SELECT count(*) FROM mulberry.call_status WHERE call_id = 'slow'}), 0, 'nothing of it is stored');
kill 'TERM', $gateway->{pid};
$gateway->{run}->finish;
$node->stop;
done_testing();
