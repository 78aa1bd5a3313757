# nginx in front of mulberry-gateway, by the very example that the manual names: TLS ends there, the client is named by X-Forwarded-For,
# WebSockets and requests that wait go through, the path stays byte for byte as it came.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run qw(run);
use Mulberry::Cluster;
use Mulberry::Gateway;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $nginx = '/usr/sbin/nginx';
plan skip_all => 'needs nginx and openssl' if !-x $nginx || system('command -v openssl >/dev/null') != 0;

my $node = mulberry_cluster('nginx');
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE gate LOGIN; SELECT mulberry.grant_access('gate', 'gateway', NULL); SELECT mulberry.create_agent('pi')});
my %token = map { /(\S+) (\S+)/ } split /\n/, sql(q{SELECT a || ' ' || mulberry.create_token(CASE a WHEN 'agent' THEN 'pi' ELSE a END, a) FROM unnest('{agent,supervisor,ingest}'::text[]) AS a});
my $gateway = start_gateway($node, qw(--proxy 127.0.0.1 --anonymous ingest@default=203.0.113.0/24 --anonymous ingest@default=127.0.0.0/8));
my $end = time + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.05 while ask_admin($gateway, '/health/ready')->{status} != 200 && time < $end;

# the example with the ports and files of this test
my $dir = PostgreSQL::Test::Utils::tempdir();
my $port = PostgreSQL::Test::Cluster::get_free_port();
run([ 'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', "$dir/key", '-out', "$dir/certificate", '-days', '2', '-subj', '/CN=127.0.0.1' ], '>', '/dev/null', '2>', '/dev/null') or die 'openssl';
my $example = slurp_file("$FindBin::RealBin/../gateway/nginx.conf.example");
my $changes = 0;
$changes += $example =~ s/127\.0\.0\.1:8000;/127.0.0.1:$gateway->{port};/;
$changes += $example =~ s/listen 443 ssl;/listen 127.0.0.1:$port ssl;/;
$changes += $example =~ s{/etc/ssl/calls\.example\.pem}{$dir/certificate};
$changes += $example =~ s{/etc/ssl/calls\.example\.key}{$dir/key};
is($changes, 4, 'the example has what is changed here');
append_to_file("$dir/conf", <<"CONF");
daemon off; pid $dir/pid; error_log $dir/errors;
events {}
http { access_log off; client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
$example
}
CONF
my $proxy = IPC::Run::start([ $nginx, '-p', $dir, '-c', "$dir/conf" ], '<', '/dev/null', '>', '/dev/null', '2>', "$dir/said");
END { my $status = $?; $proxy->kill_kill if $proxy; $? = $status }

# Status and body through nginx.
sub through
{
    my ($path, @options) = @_;
    run([ 'curl', '-sk', '-w', '\n%{http_code}', @options, "https://127.0.0.1:$port$path" ], '<', '/dev/null', '>', \my $out);
    my ($body, $status) = $out =~ /\A(.*)\n(\d+)\z/s;
    return ($status, $body);
}
my @json = ('-H', 'Content-Type: application/json');
$end = time + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.1 while (through('/'))[0] ne '200' && time < $end;
is((through('/'))[0], '200', 'by TLS');
my $packet = '{"sequence": 0, "data": "x", "timestamp": 1.5}';
# whoever calls nginx here has an address of a proxy, and so is what he says he is
my @as = map { my $of = $_; [ '-H', "X-Forwarded-For: $of" ] } '203.0.113.7', '198.51.100.7';
is((through('/v1/call/stream/x', @json, '-d', $packet, @{ $as[0] }))[0], '202', 'a client whose address has a rule');
is((through('/v1/call/stream/x', @json, '-d', $packet, @{ $as[1] }))[0], '401', 'one whose address has none, although that of the proxy has one');
is((through('/v1/call/stream/a%2Fb%20c', @json, '-d', $packet, '-H', "Authorization: Bearer $token{ingest}"))[0], '202', 'a path with what a proxy might decode');
is(sql(q{SELECT count(*) FROM mulberry.call_status WHERE call_id = 'a/b c'}), '1', 'comes as it was');
my ($status, $body) = through('/v1/agents/pi/sync?wait=1', @json, '-d', '{}', '-H', "Authorization: Bearer $token{agent}");
is($status, '200', 'a request that waits');
like($body, qr/"commands": \[\]/, 'is answered when its time is over');
SKIP:
{
    skip 'needs python3-websockets', 1 if system("/usr/bin/python3 -c 'import websockets' 2>/dev/null") != 0;
    run([ '/usr/bin/python3', '-c', <<'PYTHON', "wss://127.0.0.1:$port/ws/supervisor?since=0", $token{supervisor} ], '<', '/dev/null', '>', \my $heard, '2>&1');
import asyncio, ssl, sys, websockets
async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with websockets.connect(sys.argv[1], ssl=context, subprotocols=['mulberry.v1', 'token.' + sys.argv[2]]) as socket:
        await socket.ping()
        print('connected')
asyncio.run(main())
PYTHON
    like($heard, qr/^connected/, 'a WebSocket goes through');
}
kill 'TERM', $gateway->{pid};
$gateway->{run}->finish;
is((through('/'))[0], '502', 'without the gateway the proxy says so');
$proxy->signal('QUIT');
$proxy->finish;
$node->stop;
done_testing();
