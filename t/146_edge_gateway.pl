# "mulberry-edge send" and "capture" to a gateway: over TLS, sample by sample; what broke off goes on; the gateway and its database go away and
# come back; what wants to be left alone is; and what answers and is no gateway acknowledges nothing.
use strict;
use warnings;

use Digest::SHA qw(sha1_hex);
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::RealBin/lib";
use IO::Socket::INET;
use IPC::Run;
use Mulberry::Capture;
use Mulberry::Cluster;
use Mulberry::Edge;
use Mulberry::Gateway;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $dir = tempdir(CLEANUP => 1);
my $node = mulberry_cluster('edge_gateway', preload => 0);
sub sql { return $node->safe_psql('postgres', shift) }
sql(<<'SQL');
CREATE ROLE gate LOGIN;
SELECT mulberry.grant_access('gate', 'gateway', NULL);
SELECT mulberry.create_tenant('north', 's16le', 16000);
SQL
sub token_file { my ($name, $token) = @_; spew_raw("$dir/$name", "$token\n"); chmod 0600, "$dir/$name"; return "$dir/$name" }
my $ingest = token_file('ingest', sql(q{SELECT mulberry.create_token('pi', 'ingest')}));
my $north = token_file('north', sql(q{SELECT mulberry.create_token('north', 'ingest', 'north')}));
my $operator = token_file('operator', sql(q{SELECT mulberry.create_token('watcher', 'operator')}));

system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout $dir/key.pem -out $dir/ca.pem >$dir/openssl.log 2>&1") == 0 or die slurp_file("$dir/openssl.log");
my @unlimited = ('--rate-per-token', 0, '--rate-per-address', 0);
my $secure = start_gateway($node, @unlimited, '--tls-certificate', "$dir/ca.pem", '--tls-key', "$dir/key.pem");
my $gateway = start_gateway($node, @unlimited);
my @plain = ('--gateway', "http://127.0.0.1:$gateway->{port}", '--token-file', $ingest);
my @tls = ('--gateway', "https://localhost:$secure->{port}/", '--token-file', $ingest, '--ca-file', "$dir/ca.pem");
my ($status, $out, $err);
sub send_file { ($status, $out, $err) = edge('send', @_); return $status }
sub digest { return length($_[0]) . ' bytes, ' . sha1_hex($_[0]) }
sub stored { my ($call, $track) = @_; return digest(pack 'H*', sql("SELECT encode(string_agg(data, NULL ORDER BY sequence), 'hex') FROM mulberry.call_packets WHERE call_id = '$call'" . ($track ? " AND track = '$track'" : ''))) }
sub raw { return digest(pack 's<*', @_) }
sub call_is { my ($call) = @_; return sql("SELECT concat_ws(' ', tenant, state, encoding, sample_rate, total_packets_received, missing_count) FROM mulberry.call_status WHERE call_id = '$call'") }

# Stops a gateway, and has it again at the same port.
sub stop_gateway { my ($which) = @_; $which->{run}->kill_kill; return }
sub restart_gateway { my ($which, @flags) = @_; return start_gateway($node, @unlimited, '--listen', "127.0.0.1:$which->{port}", @flags) }

# --- files ------------------------------------------------------------------------

srand(9);
my @noise = map { int(rand 20000) - 10000 } 1 .. 23456;
my @other = reverse @noise;
wav("$dir/noise.wav", 8000, \@noise);
wav("$dir/stereo.wav", 16000, \@noise, \@other);

is(send_file("$dir/noise.wav", '--call', 'a call/é', '--call-encoding', 's16le', @tls), 0, 'a file over TLS') or diag $err;
is($err, '', 'without a complaint');
is($out, "a call/é: 2.932 s, s16le 8000 Hz, 1 track, 147 packets sent, 0 were there, complete\n", 'says what it did');
is(stored('a call/é'), raw(@noise), 'each sample is there');
is(call_is('a call/é'), 'default COMPLETED s16le 8000 147 0', 'and the call is complete');
is(send_file("$dir/noise.wav", '--call', 'a call/é', @tls), 0, 'the same again, whose encoding the gateway tells');
like($out, qr/ 0 packets sent, 147 were there/, 'sends nothing');
is(send_file("$dir/noise.wav", '--call', 'simple', @plain), 0, 'a file to this machine');
is(call_is('simple'), 'default COMPLETED mulaw 8000 147 0', 'is as calls are');

is(send_file("$dir/stereo.wav", '--call', 'two', '--call-encoding', 's16le', '--call-rate', 16000, '--direction', 'inbound', '--from', '+12025550123', '--to', 'sip:"desk"@example.com',
    '--attributes', '{"tracks": [{"track": "left"}]}', @plain, '--token-file', $north), 0, 'two channels, of another tenant') or diag $err;
is(stored('two', 'left'), raw(@noise), 'one of them is a track');
is(stored('two', 'right'), raw(@other), 'and so is the other');
is(sql(q{SELECT concat_ws(' ', tenant, state, direction, from_number, to_number, attributes, tracks) FROM mulberry.calls(tenant => 'north') WHERE call_id = 'two'}),
    'north COMPLETED inbound +12025550123 sip:"desk"@example.com {"tracks": [{"track": "left"}]} {left,right}', 'with all that was told of it');
is(send_file("$dir/stereo.wav", '--call', 'part', '--complete=off', '--seconds', 1, '--call-encoding', 's16le', '--call-rate', 16000, @plain), 0, 'a part of it');
sql(q{SELECT count(*) FROM mulberry.ingest_packet('part', 60, '\x0000', track => 'left')});
is(send_file("$dir/stereo.wav", '--call', 'part', @plain), 0, 'and all of it') or diag $err;
like($out, qr/ 47 packets sent, 101 were there, complete/, 'sends the rest, gaps among it');
is(stored('part', 'right'), raw(@other), 'each sample is there once');
is(send_file("$dir/noise.wav", '--call', 'one', '--track', 'caller', '--complete=off', '--call-encoding', 's16le', @plain), 0, 'a track of a call that goes on');
is(send_file("$dir/noise.wav", '--call', 'one', '--track', 'agent', '--complete=off', @plain), 0, 'and another one');
is(stored('one', 'agent'), raw(@noise), 'as the call has it');

# --- the gateway, or its database, goes away meanwhile ------------------------------

wav("$dir/long.wav", 8000, [ (@noise) x 2 ]);
my ($long_out, $long_err) = ('', '');
my $long = IPC::Run::start([ $edge, 'send', "$dir/long.wav", '--call', 'long', '--call-encoding', 's16le', '--real-pace', '--patience', 600, @plain ], '<', \'', '>', \$long_out, '2>', \$long_err);
wait_for_true($node, q{SELECT sum(total_packets_received) >= 60 FROM mulberry.call_status WHERE call_id = 'long'}, 'some of it has come');
stop_gateway($gateway);
sleep 0.5;
$gateway = restart_gateway($gateway);
wait_for_true($node, q{SELECT sum(total_packets_received) >= 120 FROM mulberry.call_status WHERE call_id = 'long'}, 'more of it has come');
$node->stop('immediate');
sleep 0.5;
$node->start;
$long->finish;
is($long->result(0), 0, 'a gateway that went away, and its database') or diag $long_err;
is(stored('long'), raw((@noise) x 2), 'each sample is there once');
is(call_is('long'), 'default COMPLETED s16le 8000 294 0', 'none too many');

card('card', rate => 8000);
my @capture = ('alsa:mic', '--name', 'card', '--batch', 100, '--grace', 300, '--call-encoding', 's16le', '--spool', "$dir/spool", '--spool-free', 0, '--memory', 1, @plain);
my $self = start_capture('card', @capture);
wait_for_true($node, q{SELECT sum(total_packets_received) >= 40 FROM mulberry.call_status WHERE call_id LIKE 'card-%'}, 'a card is heard');
stop_gateway($gateway);
wait_for_line($self, qr/127\.0\.0\.1/);
sleep 2;
kill 'USR1', $self->{pid};
wait_for_line($self, qr/gateway away; acknowledged/);
finish($self, 'KILL');
$gateway = restart_gateway($gateway);
$self = start_capture('card', @capture);
wait_for_true($node, q{SELECT count(*) = 2 AND count(*) FILTER (WHERE state = 'COMPLETED') = 1 FROM mulberry.call_status WHERE call_id LIKE 'card-%' AND total_packets_received > 0}, 'what was left of a process that was killed is completed');
$node->stop('immediate');
wait_for_line($self, qr/the gateway says 50\d/);
$node->start;
wait_for_line($self, qr/the gateway is back/);
is(finish($self, 'TERM'), 0, 'a card, over outages and a kill');
SKIP:
{
    skip 'the machine is too busy', 2 if -e "$cards/card/late";
    is(sql(q{SELECT string_agg(concat_ws(' ', state, missing_count), ', ') FROM mulberry.call_status WHERE call_id LIKE 'card-%'}), 'COMPLETED 0, COMPLETED 0', 'nothing is missing');
    is(join(' ', map { places_of(sql("SELECT sequence, encode(data, 'hex') FROM mulberry.call_packets WHERE call_id = '$_' ORDER BY sequence"))->{shifts} } split "\n", sql(q{SELECT call_id FROM mulberry.call_status WHERE call_id LIKE 'card-%'})),
        '1 1', 'and each sample is where it belongs');
}
is_deeply([ glob "$dir/spool/*.spool" ], [], 'the spool is empty');

# --- what answers and is none -------------------------------------------------------------

# A server of which a function makes the answers, of a request's line, headers and number.
my @servers;
END { my $code = $?; kill 'KILL', @servers; $? = $code }
sub pretend
{
    my ($answer) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 50) or die $!;
    my $log = "$dir/requests-" . $listener->sockport;
    my $pid = fork // die $!;
    if ($pid == 0)
    {
        $SIG{CHLD} = 'IGNORE';
        while (my $client = $listener->accept)
        {
            next if fork;
            my $head = '';
            while ($head !~ /\r\n\r\n/) { sysread($client, $head, 4096, length $head) or last }
            my ($length) = $head =~ /^Content-Length: (\d+)/mi;
            my $have = length($head) - index($head, "\r\n\r\n") - 4;
            while ($have < ($length // 0)) { my $more = sysread($client, my $rest, 4096) or last; $have += $more }
            open my $requests, '>>', $log or die $!;
            syswrite $requests, sprintf "%.3f %s\n", time, (split "\r\n", $head)[0] // '';
            my ($code, $type, $text, @headers) = $answer->($head, scalar(() = slurp_file($log) =~ m{POST /v1/call/stream}g));
            syswrite $client, join("\r\n", "HTTP/1.1 $code Status", "Content-Type: $type", 'Content-Length: ' . length $text, 'Connection: close', @headers, '', $text);
            close $client;
            POSIX::_exit(0);
        }
    }
    push @servers, $pid;
    return { url => 'http://127.0.0.1:' . $listener->sockport, log => $log };
}
sub accept_packet { my ($head) = @_; my ($sequence) = $head =~ /^Mulberry-Sequence: (\d+)/mi; return (202, 'application/json', qq({"status":"accepted","message":"m","call_id":"x","sequence":$sequence,"total_received":1,"missing_sequences":[],"duplicate":false})) }
sub begin_well { my ($head) = @_; return $head =~ m{^GET /v1/} ? (404, 'application/json', '{"detail":"no"}') : $head =~ m{^GET} ? (200, 'application/json', '{"status":"healthy"}') : (202, 'application/json', '{"status":"accepted"}') }

my $portal = pretend(sub { return (200, 'text/html', '<html>log in</html>') });
my @short = ("$dir/noise.wav", '--call', 'pretended', '--token-file', $ingest, '--patience', 1);
is(send_file(@short, '--gateway', $portal->{url}), 10, 'a page that wants a password is no gateway');
like($err, qr/text\/html, which no gateway does/, 'that is said');
my $later = pretend(sub { return $_[0] =~ m{POST /v1/call/stream} ? (200, 'text/html', '<html>log in</html>') : begin_well(@_) });
is(send_file(@short, '--gateway', $later->{url}), 10, 'nor when it comes later');
my $liar = pretend(sub { return $_[0] =~ m{POST /v1/call/stream} ? (202, 'application/json', '{"status":"accepted","sequence":4711}') : begin_well(@_) });
is(send_file(@short, '--gateway', $liar->{url}), 10, 'an answer to another packet is none');
like($err, qr/answers, and not what it was asked/, 'that is said');
my $elsewhere = pretend(sub { return $_[0] =~ m{POST /v1/call/stream} ? (302, 'text/html', '', 'Location: http://127.0.0.1:9/') : begin_well(@_) });
is(send_file(@short, '--gateway', $elsewhere->{url}), 10, 'one from another address neither');
my $busy = pretend(sub { return $_[0] =~ m{POST /v1/call/stream} && $_[1] < 2 ? (429, 'application/json', '{"detail":"later"}', 'Retry-After: 2') : $_[0] =~ m{POST /v1/call/stream} ? accept_packet(@_) : begin_well(@_) });
is(send_file("$dir/noise.wav", '--call', 'pretended', '--token-file', $ingest, '--patience', 600, '--gateway', $busy->{url}), 0, 'a gateway that wants to be left alone for a while') or diag $err;
my @seen = split "\n", slurp_file($busy->{log});
my ($first) = grep { /POST \/v1\/call\/stream/ } @seen;
my ($health) = grep { /GET \/health/ } @seen;
cmp_ok((split / /, $health)[0] - (split / /, $first)[0], '>=', 2, 'is, for as long as it said');

# --- what is wrong ---------------------------------------------------------------------------

my $over = pretend(sub { my ($code, $type, $text) = begin_well(@_); return ($code, $type, $text) if $_[0] !~ m{POST /v1/call/stream}; ($code, $type, $text) = accept_packet(@_); $text =~ s/"accepted","message":"m"/"rejected","message":"Call already completed, no longer accepting packets"/; return ($code, $type, $text) });
is(send_file("$dir/noise.wav", '--call', 'pretended', '--token-file', $ingest, '--gateway', $over->{url}), 14, 'a call that is complete takes no more');
like($err, qr/^mulberry-edge: packet \d+: .*no longer accepting packets.*\n\z/, 'in one line that says so');
wav("$dir/longer.wav", 8000, [ @noise, @noise ]);
is(send_file("$dir/longer.wav", '--call', 'simple', @plain), 14, 'another end than it has is refused');
like($err, qr/^mulberry-edge: [^\n]+\n\z/, 'in one line');
token_file('wrong', 'mulberry_wrong');
my $closed = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)->sockport;
foreach my $case (
    [ 'no token', 2, qr/--gateway needs --token-file/, '--gateway', "http://127.0.0.1:$gateway->{port}" ],
    [ 'a tenant', 2, qr/the token says whose calls they are/, @plain, '--tenant', 'north' ],
    [ 'a token in the clear', 2, qr/say https:/, '--gateway', 'http://example.com', '--token-file', $ingest ],
    [ 'a wrong token', 9, qr/says 401/, @plain, '--token-file', "$dir/wrong" ],
    [ 'a token that may not post', 9, qr/says 403/, @plain, '--token-file', $operator ],
    [ 'nobody there', 10, qr/127\.0\.0\.1:$closed/, '--gateway', "http://127.0.0.1:$closed", '--token-file', $ingest ],
    [ 'nobody vouches for it', 10, qr/certificate/i, '--gateway', "https://localhost:$secure->{port}", '--token-file', $ingest ])
{
    my ($name, $expected, $message, @flags) = @$case;
    is(send_file("$dir/noise.wav", '--call', 'refused', '--patience', 0, @flags), $expected, "$name: exit status");
    like($err, qr/^mulberry-edge: [^\n]+\n\z/, "$name: one line");
    like($err, $message, "$name: says why");
    next if $expected == 10 || $name eq 'a token that may not post';
    ($status, $out, $err) = edge('capture', "file:$dir/noise.wav", @flags);
    is($status, $expected, "$name: capture ends, too") or diag $err;
}
is((edge('capture', "file:$dir/noise.wav", '--check', '--seconds', 1, @plain, '--token-file', "$dir/wrong"))[0], 9, '--check asks the gateway');
is(sql(q{SELECT count(*) FROM mulberry.call_status WHERE call_id = 'refused'}), 0, 'of none of these there is a call');

done_testing();
