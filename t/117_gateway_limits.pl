# The limits of mulberry-gateway: rates per token and per address, whom a proxy names and who may not, connections, heads, bodies and
# times; and which settings do not fit together.  Floods are sent until they are refused: no time is measured.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run qw(run);
use Mulberry::Cluster;
use Mulberry::Gateway;
use Mulberry::RawHttp qw(connection read_all read_answer resident_kb wait_until);
use PostgreSQL::Test::Utils;
use Test::More;

# ---- settings that do not fit together ----

for my $case (
    [ 'more connections of an address than of all', 2, qr/max-connections-per-address: is more/, qw(--max-connections 10 --max-connections-per-address 11) ],
    [ 'a body larger than all bodies', 2, qr/max-buffered: is less than max-body/, qw(--max-buffered 1048576 --max-body 2097152) ],
    [ 'a burst without a rate', 2, qr/burst-per-address: needs.*burst-per-token: needs/s, qw(--burst-per-address 5 --burst-per-token 5) ],
    [ 'a rate that is none', 2, qr/is no number from 0 to 1000000/, qw(--rate-per-token -1) ],
    [ 'a proxy that is none', 2, qr/"proxies" is no network/, qw(--proxy proxies) ],
    [ 'everybody as a proxy', 2, qr/proxy: with 0\.0\.0\.0\/0 anybody/, qw(--proxy 0.0.0.0/0) ],
    [ 'everybody with IPv6 as a proxy', 2, qr/proxy: with ::\/0 anybody/, qw(--proxy ::/0) ],
    [ 'an unlimited network that is none', 2, qr/"10\.0\.0\.0\/40" is no network/, qw(--unlimited 10.0.0.0/40) ],
    [ 'metrics for clients', 2, qr/admin-listen: 127\.0\.0\.1:8000 is that of clients/, qw(--admin-listen 127.0.0.1:8000) ],
    [ 'one listener twice', 2, qr/listen: \/tmp\/x is named twice/, qw(--listen /tmp/x --listen /tmp/x) ],
    [ 'a path for several processes', 2, qr/shared: .* \/tmp\/x/, qw(--shared --listen /tmp/x) ],
    [ 'all that is wrong in one go', 2, qr/burst-per-token.*with ::\/0/s, qw(--proxy ::/0 --burst-per-token 5) ],
    [ 'a rule for the proxies themselves', 0, qr/warning: anonymous: .*the settings are good/s, qw(--proxy 127.0.0.1/32 --anonymous ingest@default=127.0.0.1) ],
    [ 'a path without addresses', 0, qr/warning: listen: .*the settings are good/s, qw(--listen /tmp/x --rate-per-address 5) ],
    [ 'limits that fit', 0, qr/\A\S+ the settings are good\n\z/, qw(--listen /tmp/x --proxy unix --rate-per-address 5 --burst-per-address 10 --proxy 10.0.0.0/8 --proxy ::1 --unlimited 54.0.0.0/8) ])
{
    my ($name, $status, $message, @flags) = @$case;
    run([ $Mulberry::Gateway::program, '--check', @flags ], '>', \my $out, '2>', \my $err);
    is($? >> 8, $status, "$name: exit status");
    like($err . $out, $message, "$name: says why");
}

my $node = mulberry_cluster('limits');
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE gate LOGIN; SELECT mulberry.grant_access('gate', 'gateway', NULL)});
my %token = map { /(\S+) (\S+)/ } split /\n/, sql(q{SELECT name || ' ' || mulberry.create_token(name, 'ingest') FROM unnest('{one,other,third}'::text[]) AS name});

# Sends many requests at once over one connection, and reads as many statuses.
sub flood
{
    my ($gateway, $n, $make) = @_;
    my $socket = connection($gateway);
    my @statuses;
    # in portions that fit into what a client may send ahead
    for (my $i = 0; $i < $n;)
    {
        my $last = $i + 20 < $n ? $i + 20 : $n;
        print $socket map { $make->($_) } $i .. $last - 1;
        push @statuses, read_answer($socket)->{status} for $i .. $last - 1;
        $i = $last;
    }
    return @statuses;
}
sub request_of { my ($client, $more) = @_; return "GET /ws/supervisor HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: $client\r\n" . ($more // '') . "\r\n" }

# Floods until somebody is refused by a rate.  Who has no token is told 401 before.
sub is_limited
{
    my ($gateway, $make, $name) = @_;
    my %seen;
    for (1 .. 200)
    {
        $seen{$_}++ foreach flood($gateway, 50, $make);
        last if $seen{429};
    }
    like(join(' ', sort keys %seen), qr{^(?:401 )?429$}, $name);
    return;
}
sub metric
{
    my ($gateway, $name) = @_;
    return ask_admin($gateway, '/metrics')->{content} =~ /^\Qmulberry_gateway_$name\E (\d+)$/m ? $1 : undef;
}

# ---- per address, without a proxy: what a client says about itself does not count ----

my @slow = qw(--rate-per-address 1 --burst-per-address 5);
my $plain = start_gateway($node, @slow, '--anonymous', 'ingest@default=127.0.0.0/8');
my $n = 0;
is_limited($plain, sub { request_of('203.0.113.' . $n++ % 250) }, 'a flood is refused, whoever it says it is');
cmp_ok(metric($plain, 'limited_total{limit="address"}'), '>', 0, 'which metrics tell');
is(metric($plain, 'limited_total{limit="token"}'), 0, 'by what');
my $answer;
for (1 .. 1000)
{
    $answer = ask($plain, 'POST', '/v1/call/stream/x', body => '{');
    last if $answer->{status} == 429;
}
is("$answer->{status} $answer->{content}", '429 {"detail":"Too Many Requests"}', 'a body that is no JSON is not parsed');
like($answer->{headers}{'retry-after'}, qr/^[1-9]\d*$/, 'and it is said when to come again');
is($answer->{headers}{'content-type'}, 'application/json', 'in JSON');
for (1 .. 1000)
{
    $answer = read_answer(connection($plain, "POST /v1/call/stream/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"));
    last if $answer->{status} != 100;
}
is($answer->{status}, 429, 'the answer does not wait for the body');
is(ask($plain, 'GET', '/')->{status}, 200, 'what needs no access has no rate');
is(sql(q{SELECT count(*) FROM mulberry.call_status}), '0', 'nothing was stored');

# ---- per token ----

my $tokens = start_gateway($node, qw(--rate-per-token 1 --burst-per-token 3));
sub say_packet { my ($token, $call, $sequence) = @_; return ask($tokens, 'POST', "/v1/call/stream/$call", body => packet_body($sequence), token => $token) }
my ($accepted, $refused) = (0, 0);
for (my $sequence = 0; $sequence < 1000 && !$refused; $sequence++)
{
    $answer = say_packet($token{one}, 'limited', $sequence);
    $answer->{status} == 202 ? $accepted++ : $refused++;
}
is("$answer->{status} $answer->{content}", '429 {"detail":"Too Many Requests"}', 'a token that is used too often');
is(sql(q{SELECT count(*) FROM mulberry.call_packets WHERE call_id = 'limited'}), $accepted, 'what was accepted is stored, and no more');
is(say_packet($token{other}, 'other', 0)->{status}, 202, 'another token of the same address is served');
is(ask($tokens, 'POST', '/v1/call/stream/x', body => packet_body(0))->{status}, 401, 'and without one it is 401 as ever') for 1 .. 10;
is(metric($tokens, 'limited_total{limit="token"}'), $refused, 'metrics tell');
cmp_ok(metric($tokens, 'counted_clients{limit="token"}'), '<=', 2, 'how many are counted');
my $tries = 0;
do { $answer = say_packet($token{one}, 'limited', 5000) } while ($answer->{status} == 429 && $tries++ < 100_000);
is($answer->{status}, 202, 'later it is served again');

# ---- behind a proxy ----

my $proxied = start_gateway($node, @slow, qw(--rate-table 1000 --max-connections-per-address 2 --proxy 127.0.0.1 --proxy 10.0.0.0/8 --proxy 2001:db8:f::/48));
is_limited($proxied, sub { request_of('203.0.113.5') }, 'a client behind a proxy is refused');
is((flood($proxied, 1, sub { request_of('203.0.113.6') }))[0], 401, 'others are not');
is_limited($proxied, sub { request_of('198.51.100.' . $n++ % 250 . ', 203.0.113.7, 10.1.1.1') }, 'what stands left of it is not believed');
is_limited($proxied, sub { request_of('198.51.100.' . $n++ % 250, "X-Forwarded-For: 203.0.113.8\r\n") }, 'of several lines the last one counts');
is_limited($proxied, sub { request_of(sprintf '2001:db8:1:2:%x::1', $n++ % 65536) }, 'an IPv6 customer is one client, whatever address he takes');
is((flood($proxied, 1, sub { request_of('2001:db8:1:3::1') }))[0], 401, 'his neighbour is another one');
is_limited($proxied, sub { request_of('nobody' . $n++) }, 'who cannot be read is the proxy');
cmp_ok(metric($proxied, 'nameless_total{header="malformed"}'), '>', 0, 'which metrics tell');
is_limited($proxied, sub { "GET /ws/supervisor HTTP/1.1\r\nHost: x\r\n\r\n" }, 'and so is who is not named');
cmp_ok(metric($proxied, 'nameless_total{header="missing"}'), '>', 0, 'metrics tell that, too');
my @held = map { connection($proxied) } 1 .. 10;
is(metric($proxied, 'turned_away_total{limit="address"}'), 0, 'a proxy may have more connections than a client') if wait_until(sub { metric($proxied, 'connections') >= 10 });
close $_ foreach @held;

# many addresses in a table for a thousand: it stays that, and who floods is none the better for it
my $before = resident_kb($proxied);
flood($proxied, 20_000, sub { my ($i) = @_; request_of(sprintf '77.%d.%d.%d', $i >> 16, $i >> 8 & 255, $i & 255) });
cmp_ok(metric($proxied, 'counted_clients{limit="address"}'), '<=', 1024, 'no more are counted than there is room for');
cmp_ok(resident_kb($proxied) - $before, '<', 4096, 'and memory does not grow');
is_limited($proxied, sub { my ($i) = @_; request_of($i % 2 ? '203.0.113.9' : sprintf '78.%d.%d.%d', rand 256, rand 256, rand 256) }, 'a client among many others is refused all the same');

# ---- a proxy's address gives no rights ----

my $rules = start_gateway($node, qw(--proxy 127.0.0.1 --anonymous ingest@default=127.0.0.0/8 --anonymous ingest@default=192.0.2.0/24));
my %seen = map { $_ => ask($rules, 'POST', '/v1/call/stream/rules', body => packet_body(0), headers => { 'X-Forwarded-For' => $_ })->{status} }
  '192.0.2.7', '1.1.1.1, 192.0.2.7', '127.0.0.1', '203.0.113.5', '192.0.2.7, 203.0.113.5', 'unknown', '192.0.2.7, unknown';
is_deeply(\%seen, { '192.0.2.7' => 202, '1.1.1.1, 192.0.2.7' => 202, '127.0.0.1' => 202, '203.0.113.5' => 401, '192.0.2.7, 203.0.113.5' => 401, 'unknown' => 401, '192.0.2.7, unknown' => 401 },
    'rules for clients without a token go by the client');
is(ask($rules, 'POST', '/v1/call/stream/rules', body => packet_body(0))->{status}, 401, 'a proxy that names nobody is nobody');
is(ask($rules, 'POST', '/v1/call/stream/rules', body => packet_body(1), token => $token{third})->{status}, 202, 'a token counts wherever it comes from');

# ---- connections, heads, bodies, times ----

my $small = start_gateway($node, qw(--max-connections 12 --max-head 600 --max-headers 10 --max-body 2048 --max-buffered 1048576 --anonymous ingest@default=127.0.0.1));
my $host = "Host: x\r\n";
is(read_answer(connection($small, "GET / HTTP/1.1\r\n${host}A: " . 'a' x 500 . "\r\n\r\n"))->{status}, 200, 'a head that fits');
$answer = read_answer(connection($small, "GET / HTTP/1.1\r\n${host}A: " . 'a' x 600 . "\r\n\r\n"));
is("$answer->{status} $answer->{body}", '431 {"detail":"the head is larger than it may be"}', 'one that does not');
is(read_answer(connection($small, "GET / HTTP/1.1\r\n${host}A: " . 'a' x 700))->{status}, 431, 'before all of it is there');
is(read_answer(connection($small, "GET / HTTP/1.1\r\n$host" . "A: b\r\n" x 9 . "\r\n"))->{status}, 200, 'lines that fit');
is(read_answer(connection($small, "GET / HTTP/1.1\r\n$host" . "A: b\r\n" x 10 . "\r\n"))->{status}, 431, 'one more');
my $post = "POST /v1/call/stream/x HTTP/1.1\r\n${host}Content-Type: application/json\r\n";
is(read_answer(connection($small, "${post}Content-Length: 2049\r\n\r\n"))->{status}, 413, 'a body that is too large');
is(metric($small, 'max_connections'), 12, 'metrics tell the limit');

# on a machine that is busy a connection may end before its first byte has left: then another one
my $hasty = start_gateway($node, qw(--head-timeout 1 --body-timeout 1 --idle-timeout 1 --anonymous ingest@default=127.0.0.1));
sub first_answer
{
    my ($bytes) = @_;
    for (1 .. 100)
    {
        my $socket = connection($hasty, $bytes);
        $answer = read_answer($socket);
        return ($answer->{status}, $socket) if $answer->{status} > 0;
    }
    return (0);
}
is((first_answer('GET / HT'))[0], 408, 'a head that does not go on');
is((first_answer("${post}Content-Length: 100\r\n\r\n{"))[0], 408, 'a body that does not');
cmp_ok(metric($hasty, 'timed_out_total'), '>=', 2, 'metrics tell of those');
my ($status, $idle) = first_answer("GET / HTTP/1.1\r\n$host\r\n");
is($status, 200, 'a connection that is kept');
is(read_all($idle), '', 'ends without a word when nothing more comes');

my $capped = start_gateway($node, qw(--max-connections 12));
@held = map { connection($capped) } 1 .. 12;
wait_until(sub { metric($capped, 'connections') == 12 });
like(read_all(connection($capped)), qr/^HTTP\/1\.1 503 .*\r\nRetry-After: 1\r\n/s, 'one connection too many is told so at once');
is(metric($capped, 'turned_away_total{limit="all"}'), 1, 'metrics tell');
print { $held[0] } "GET / HTTP/1.1\r\n$host\r\n";
is(read_answer($held[0])->{status}, 200, 'those before are served');
close $held[1];
wait_until(sub { metric($capped, 'connections') == 11 });
is(read_answer(connection($capped, "GET / HTTP/1.1\r\n$host\r\n"))->{status}, 200, 'and there is room again');

my $each = start_gateway($node, qw(--max-connections-per-address 3));
@held = map { connection($each) } 1 .. 3;
wait_until(sub { metric($each, 'connections') == 3 });
like(read_all(connection($each)), qr/^HTTP\/1\.1 503 /, 'one address has too many');
is(metric($each, 'turned_away_total{limit="address"}'), 1, 'metrics tell');
my $unlimited = start_gateway($node, qw(--max-connections-per-address 3 --rate-per-address 1 --unlimited 127.0.0.0/8));
@held = map { connection($unlimited) } 1 .. 20;
wait_until(sub { metric($unlimited, 'connections') == 20 });
is(metric($unlimited, 'turned_away_total{limit="address"}'), 0, 'one that is named unlimited may');
is(join(' ', sort { $a <=> $b } keys %{ { map { $_ => 1 } flood($unlimited, 200, sub { request_of('1.1.1.1') }) } }), '401', 'and has no rate');

kill 'TERM', $_->{pid} foreach $plain, $tokens, $proxied, $rules, $small, $hasty, $capped, $each, $unlimited;
foreach ($plain, $tokens, $proxied, $rules, $small, $hasty, $capped, $each, $unlimited)
{
    $_->{run}->finish;
    like(log_of_gateway($_), qr/"ended"/, 'it ends');
}
$node->stop;
done_testing();
