# mulberry-gateway by HTTP: VoiceStream's own list of tests, its bodies to the letter, what FastAPI refuses and how, who may
# do what to which tenant, and what clients are told while the database is away.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run qw(run);
use JSON::PP;
use MIME::Base64;
use Mulberry::Cluster;
use Mulberry::Gateway;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# ---- the command line ----

my $program = $Mulberry::Gateway::program;
run([ $program, '--version' ], '>', \my $version);
like($version, qr/^mulberry-gateway \d+\.\d+$/, '--version');
run([ $program, '--help' ], '>', \my $help);
like($help, qr/--$_\b/, "--help tells of --$_") for qw(config database listen admin-listen anonymous tls-key check);
my $tmp = PostgreSQL::Test::Utils::tempdir();
append_to_file("$tmp/good", "# a comment\nlisten = 127.0.0.1:0\nconnections = 2\n\nshared = on\n");
append_to_file("$tmp/bad", "listen = 127.0.0.1:0\nconections = 2\nconnections = many\nnothing\n");
for my $case (
    [ 'good settings', 0, qr/the settings are good/, '--check', '--config', "$tmp/good", '--anonymous', 'ingest@default=10.0.0.0/8' ],
    [ 'a file with mistakes', 2, qr/bad:2: conections: there is no such.*bad:3: connections: "many" is no number from 1.*bad:4: nothing: is not/s, '--check', '--config', "$tmp/bad" ],
    [ 'a flag that is none', 2, qr/there is no such flag/, '--nonsense' ],
    [ 'a rule that is none', 2, qr/is not of the form access\@tenant=network/, '--check', '--anonymous', 'everybody' ],
    [ 'a rule of a strange network', 2, qr/has no network/, '--check', '--anonymous', 'ingest@default=10.0.0.0/33' ],
    [ 'a rule of a strange access', 2, qr/is not of the form/, '--check', '--anonymous', 'king@default=10.0.0.0/8' ],
    [ 'an address without a port', 2, qr/no address:port/, '--check', '--listen', '127.0.0.1' ],
    [ 'a certificate without its key', 2, qr/needs tls-key/, '--check', '--tls-certificate', "$tmp/good" ],
    [ 'a certificate that is none', 2, qr/good/, '--check', '--tls-certificate', "$tmp/good", '--tls-key', "$tmp/good" ])
{
    my ($name, $status, $message, @flags) = @$case;
    run([ $program, @flags ], '>', \my $out, '2>', \my $err);
    is($? >> 8, $status, "$name: exit status");
    like($out . $err, $message, "$name: says why");
}

run([ $program, '--check', '--config', "$ENV{MULBERRY_PROGRAMS}/gateway/gateway.conf.example" ], '>', \my $example, '2>&1');
like($example, qr/the settings are good/, 'the example of a configuration is good');
# the socket of an init system, which starts it at the first request
SKIP:
{
    skip 'needs systemd-socket-activate', 2 if system('command -v systemd-socket-activate >/dev/null') != 0;
    my $port = PostgreSQL::Test::Cluster::get_free_port();
    my $activated = IPC::Run::start([ 'systemd-socket-activate', '-l', "127.0.0.1:$port", $program, '--database', 'host=/nowhere' ], '<', '/dev/null', '>', '/dev/null', '2>', \my $said);
    my ($page, $tries) = ('', 0);
    until ($page =~ /VoiceStream/ || $tries++ > 600)
    {
        run([ 'curl', '-s', "http://127.0.0.1:$port/" ], '>', \$page);
        select undef, undef, undef, 0.1 if $page !~ /VoiceStream/;
    }
    like($page, qr/"status":"running"/, 'a request to an inherited socket');
    $activated->signal('TERM');
    $activated->finish;
    like($said, qr/on 1 sockets that were inherited.*"ended"/s, 'is served by it');
}

# ---- VoiceStream's own list of tests, for clients without a token ----

my $node = mulberry_cluster('gateway', conf => "mulberry.grace_period = '500ms'");
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE gate LOGIN; SELECT mulberry.grant_access('gate', 'gateway', NULL); SELECT mulberry.create_tenant('north');});
my $open = start_gateway($node, '--anonymous', 'ingest@default=127.0.0.0/8', '--origin', 'https://desk.example');
$node->poll_query_until('postgres', q{SELECT count(*) = 4 FROM pg_stat_activity WHERE application_name = 'mulberry-gateway'}) or die;

sub stream { my ($call, $sequence, %more) = @_; return ask($open, 'POST', "/v1/call/stream/$call", body => packet_body($sequence), %more) }
sub stored { my ($call) = @_; return sql("SELECT coalesce(string_agg(sequence || '=' || convert_from(data, 'UTF8'), ' ' ORDER BY sequence), '') FROM mulberry.call_packets WHERE call_id = '$call'") }

is(ask($open, 'GET', '/')->{content}, '{"service":"VoiceStream PBX Microservice","status":"running","version":"1.0.0"}', 'GET /');
my $answer = stream('test_call_001', 0);
is($answer->{status}, 202, 'a packet is accepted');
is($answer->{headers}{'content-type'}, 'application/json', 'in JSON');
is($answer->{content}, '{"status":"accepted","message":"Packet received successfully","call_id":"test_call_001","sequence":0,'
    . '"total_received":1,"missing_sequences":[],"duplicate":false}', 'to the letter');
is(stream('test_call_001', $_)->{json}{status}, 'accepted', "in order: $_") for 1, 2;
is(stored('test_call_001'), '0=packet_0 1=packet_1 2=packet_2', 'all are stored');
is(sql("SELECT extract(epoch FROM sent_at) FROM mulberry.call_packets WHERE call_id = 'test_call_001' AND sequence = 0"), '1234567890.500000', 'with their time');
is(stream('test_call_002', $_)->{json}{status}, 'accepted', "out of order: $_") for 0, 1, 2;
is(encode_json(stream('test_call_002', 5)->{json}{missing_sequences}), '[3,4]', 'a gap is told');
is(encode_json(stream('test_call_002', 4)->{json}{missing_sequences}), '[3]', 'a late packet fills it');
is(encode_json(stream('test_call_002', 100_000)->{json}{missing_sequences}), encode_json([ 3, 6 .. 104 ]), 'at most 100 are listed');
is(stream('test_call_003', 0)->{json}{duplicate}, JSON::PP::false, 'the first is none');
is(stream('test_call_003', 0)->{content}, '{"status":"duplicate","message":"Packet already received","call_id":"test_call_003","sequence":0,'
    . '"total_received":1,"missing_sequences":[],"duplicate":true}', 'a duplicate, to the letter');
# two at once
my @both = map { my $sequence = $_; IPC::Run::start([ 'curl', '-s', '-H', 'Content-Type: application/json', '-d', encode_json(packet_body($sequence)), "http://127.0.0.1:$open->{port}/v1/call/stream/race_test_001" ], '<', '/dev/null', '>', \my $out) } 0, 1;
$_->finish foreach @both;
is(stored('race_test_001'), '0=packet_0 1=packet_1', 'of two at once none is lost');

$answer = ask($open, 'POST', '/v1/call/complete/test_call_001', body => { total_packets => 3 });
is($answer->{status}, 202, 'complete');
is($answer->{content}, '{"status":"accepted","message":"Call completion signal received","call_id":"test_call_001","expected_total_packets":3}', 'to the letter');
$answer = ask($open, 'POST', '/v1/call/complete/nobody', body => { total_packets => 3 });
is("$answer->{status} $answer->{content}", '404 {"detail":"Call nobody not found"}', 'a call that is not there');
$answer = ask($open, 'POST', '/v1/call/complete/test_call_001', body => { total_packets => 4 });
is($answer->{status}, 400, 'another total');
$node->poll_query_until('postgres', q{SELECT state NOT IN ('IN_PROGRESS', 'COMPLETED') FROM mulberry.call_status WHERE call_id = 'test_call_001'}) or die;
$answer = stream('test_call_001', 3);
is("$answer->{status} $answer->{json}{status} $answer->{json}{message}", '202 rejected Call already completed, no longer accepting packets', 'a packet after the end is 202, rejected');
is($answer->{json}{duplicate}, JSON::PP::false, 'and no duplicate');

# ---- what FastAPI and pydantic refuse, and what they let pass ----

my $url = 'https://errors.pydantic.dev/2.5/v';
sub entry
{
    my ($type, $field, $message, $input, $ctx) = @_;
    return sprintf '{"type":"%s","loc":["body"%s],"msg":"%s","input":%s%s,"url":"%s/%s"}', $type, defined $field ? qq{,"$field"} : '',
      $message, $input, $ctx ? qq{,"ctx":{$ctx}} : '', $url, $type;
}
my $good = '"data":"x","timestamp":1.5';
my %refused = (
    '{"data":"x","timestamp":1}' => entry('missing', 'sequence', 'Field required', '{"data":"x","timestamp":1}'),
    "{\"sequence\":-1,$good}" => entry('greater_than_equal', 'sequence', 'Input should be greater than or equal to 0', -1, '"ge":0'),
    "{\"sequence\":1.5,$good}" => entry('int_from_float', 'sequence', 'Input should be a valid integer, got a number with a fractional part', '1.5'),
    "{\"sequence\":\"x\",$good}" => entry('int_parsing', 'sequence', 'Input should be a valid integer, unable to parse string as an integer', '"x"'),
    "{\"sequence\":null,$good}" => entry('int_type', 'sequence', 'Input should be a valid integer', 'null'),
    "{\"sequence\":[],$good}" => entry('int_type', 'sequence', 'Input should be a valid integer', '[]'),
    "{\"sequence\":2147483646,$good}" => entry('less_than_equal', 'sequence', 'Input should be less than or equal to 2147483645', 2147483646, '"le":2147483645'),
    '{"sequence":1,"data":"","timestamp":1}' => entry('string_too_short', 'data', 'String should have at least 1 character', '""', '"min_length":1'),
    '{"sequence":1,"data":7,"timestamp":1}' => entry('string_type', 'data', 'Input should be a valid string', 7),
    '{"sequence":1,"data":"x","timestamp":0}' => entry('greater_than', 'timestamp', 'Input should be greater than 0', 0, '"gt":0.0'),
    '{"sequence":1,"data":"x","timestamp":"y"}' => entry('float_parsing', 'timestamp', 'Input should be a valid number, unable to parse string as a number', '"y"'),
    '{"sequence":1,"data":"x","timestamp":""}' => entry('float_parsing', 'timestamp', 'Input should be a valid number, unable to parse string as a number', '""'),
    '{"sequence":1,"data":"x","timestamp":"0x10"}' => entry('float_parsing', 'timestamp', 'Input should be a valid number, unable to parse string as a number', '"0x10"'),
    '{"sequence":1,"data":"x","timestamp":"nanx"}' => entry('float_parsing', 'timestamp', 'Input should be a valid number, unable to parse string as a number', '"nanx"'),
    '{"sequence":1,"data":"x","timestamp":{}}' => entry('float_type', 'timestamp', 'Input should be a valid number', '{}'),
    '{"sequence":-1,"data":""}' => join(',', entry('greater_than_equal', 'sequence', 'Input should be greater than or equal to 0', -1, '"ge":0'),
        entry('string_too_short', 'data', 'String should have at least 1 character', '""', '"min_length":1'),
        entry('missing', 'timestamp', 'Field required', '{"sequence":-1,"data":""}')),
    '[1]' => entry('model_attributes_type', undef, 'Input should be a valid dictionary or object to extract fields from', '[1]'),
    '' => entry('missing', undef, 'Field required', 'null'),
    '{"sequence":1' => q({"type":"json_invalid","loc":["body",13],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting ',' delimiter"}}),
    'nonsense' => q({"type":"json_invalid","loc":["body",0],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting value"}}),
);
foreach my $body (sort keys %refused)
{
    $answer = ask($open, 'POST', '/v1/call/stream/refused', body => $body, headers => { 'Content-Type' => 'application/json' });
    is("$answer->{status} $answer->{content}", "422 {\"detail\":[$refused{$body}]}", "refused: $body");
}
$answer = ask($open, 'POST', '/v1/call/stream/refused', body => '{"sequence":1}', headers => { 'Content-Type' => 'text/plain' });
is("$answer->{status} $answer->{json}{detail}[0]{type}", '422 model_attributes_type', 'what says that it is no JSON is taken for none');
foreach my $number ('NaN', 'Infinity', '-Infinity', '"NaN"', '"inf"')
{
    $answer = ask($open, 'POST', '/v1/call/stream/refused', body => "{\"sequence\":1,\"data\":\"x\",\"timestamp\":$number}");
    is($answer->{status}, 400, "$number is no number");
}
$answer = ask($open, 'POST', '/v1/call/stream/refused', body => "{\"sequence\":1,\"data\":\"\xff\",\"timestamp\":1}");
is($answer->{status}, 400, 'what is not UTF-8');
is(sql(q{SELECT count(*) FROM mulberry.call_status WHERE call_id = 'refused'}), '0', 'nothing of it was stored');
my %coerced = ('"5"' => 5, '" 6 "' => 6, '7.0' => 7, 'true' => 1, '"8.0"' => 8, '0' => 0);
foreach my $number (sort keys %coerced)
{
    $answer = ask($open, 'POST', '/v1/call/stream/coerced', body => "{\"sequence\":$number,\"data\":\"x\",\"timestamp\":\"123.5\",\"more\":1}");
    is("$answer->{status} " . ($answer->{json}{sequence} // ''), "202 $coerced{$number}", "$number passes for an integer");
}
is(ask($open, 'POST', '/v1/call/stream/coerced', body => packet_body(20), headers => { 'Content-Type' => 'application/vnd.x+json; charset=utf-8' })->{status}, 202, 'another type of JSON');

# ---- routes and methods ----

$answer = ask($open, 'GET', '/nowhere');
is("$answer->{status} $answer->{content}", '404 {"detail":"Not Found"}', 'no such path');
$answer = ask($open, 'GET', '/v1/call/stream/x');
is("$answer->{status} $answer->{content} $answer->{headers}{allow}", '405 {"detail":"Method Not Allowed"} POST, OPTIONS', 'no such method');
$answer = ask($open, 'OPTIONS', '/v1/call/stream/x', headers => { Origin => 'https://example.net', 'Access-Control-Request-Method' => 'POST', 'Access-Control-Request-Headers' => 'content-type' });
is("$answer->{status} $answer->{headers}{'access-control-allow-origin'} $answer->{headers}{'access-control-allow-headers'}", '200 * content-type', 'a page asks before');
$answer = stream('origin', 0, headers => { Origin => 'https://example.net' });
is("$answer->{status} $answer->{headers}{'access-control-allow-origin'}", '401 *', 'and needs a token, whatever the address of its browser');
is(stream('origin', 0, headers => { Origin => $_ })->{status}, $_ eq 'https://desk.example' ? 202 : 401, $_) foreach 'http://desk.example', 'null', "http://127.0.0.1:$open->{port}", 'https://desk.example';
is(stream('a%2Fb%20c%27%3B--', 0)->{json}{call_id}, "a/b c';--", 'a call id with a slash and what SQL would mind');
is(stream('%ff', 0)->{status}, 400, 'one that is not UTF-8');
is(stream('%00', 0)->{status}, 400, 'one with a NUL');
is(stream('x' x 256, 0)->{status}, 400, 'one that is too long');
is(ask($open, 'POST', '/v1/call/stream/large', body => 'x' x 1_100_000)->{status}, 413, 'a body that is too large');

# ---- audio, as base64 and as bytes; tracks ----

my $audio = join '', map { chr } 0 .. 255;
is(ask($open, 'POST', '/v1/call/stream/audio', body => packet_body(0, data => encode_base64($audio, ''), encoding => 'base64'))->{json}{status}, 'accepted', 'audio in base64');
is(ask($open, 'POST', '/v1/call/stream/audio', body => $audio, headers => { 'Content-Type' => 'application/octet-stream', 'Mulberry-Sequence' => 1, 'Mulberry-Timestamp' => '17.25' })->{json}{status},
    'accepted', 'audio as bytes');
is(ask($open, 'POST', '/v1/call/stream/audio', body => $audio, headers => { 'Content-Type' => 'application/octet-stream', 'Mulberry-Sequence' => 0, 'Mulberry-Track' => 'agent' })->{json}{status},
    'accepted', 'of another track');
is(sql(q{SELECT string_agg(track || ' ' || sequence || ' ' || md5(data), ', ' ORDER BY track, sequence) FROM mulberry.call_packets WHERE call_id = 'audio'}),
    sql(sprintf q{SELECT string_agg(t || ' ' || md5(decode('%s', 'hex')), ', ' ORDER BY n) FROM (VALUES (1, 'agent 0'), (2, 'main 0'), (3, 'main 1')) AS v (n, t)}, unpack('H*', $audio)), 'byte for byte');
is(sql(q{SELECT encoding FROM mulberry.call_status WHERE call_id = 'audio'}), 's16le', 'as the tenant has it');
is(ask($open, 'POST', '/v1/call/stream/audio', body => packet_body(2, data => 'a*b=', encoding => 'base64'))->{status}, 422, 'what is no base64');
is(ask($open, 'POST', '/v1/call/stream/audio', body => packet_body(2, encoding => 'opus'))->{status}, 422, 'what is no encoding');
is(ask($open, 'POST', '/v1/call/stream/audio', body => $audio, headers => { 'Content-Type' => 'application/octet-stream', 'Mulberry-Sequence' => $_ })->{status}, 400, "what is no sequence: $_")
  foreach '', '-1', '1.5', '1e3', '0x10', '99999999999';

# ---- plain bodies have a reader of their own: a member more, of which nobody knows, and the same is read by the other ----

my @bodies = (
    q({"sequence":0,"timestamp":1234567890.5,"data":"plain"}), q( {"data" : "ä€😀",	"timestamp":1764359999.1234567,"sequence":0}),
    q({"sequence":0,"timestamp":1,"data":"\\"\\\\\\/\\b\\f\\n\\r\\t"}), q({"sequence":0,"timestamp":1,"data":"\\u00e4"}), q({"sequence":0,"timestamp":1,"data":"a","track":""}),
    q({"sequence":0,"timestamp":1,"data":"QUI=","encoding":"base64","track":"agent"}), q({"sequence":0,"timestamp":1,"data":"QUI","encoding":"base64"}),
    q({"sequence":0,"timestamp":1,"data":"a","encoding":"text"}), q({"sequence":0,"timestamp":1,"data":"a","encoding":"utf8"}),
    q({"sequence":0,"timestamp":1,"data":"a","encoding":null,"track":null}), q({"sequence":0,"timestamp":0,"data":"a"}), q({"sequence":-1,"timestamp":1,"data":"a"}),
    q({"sequence":2147483646,"timestamp":1,"data":"a"}), q({"sequence":0,"timestamp":1e13,"data":"a"}), q({"sequence":0,"timestamp":1,"data":""}), q({"sequence":"0","timestamp":1,"data":"a"}));
my $number = 0;
foreach my $body (@bodies)
{
    my $both = sub {
        my ($call, $text) = @_;
        my $said = ask($open, 'POST', "/v1/call/stream/$call", body => $text);
        my $content = $said->{content} =~ s/plain-\d+-\w+/CALL/gr =~ s/, ?"more":0//gr;
        return join ' ', $said->{status}, $content,
            sql("SELECT string_agg(concat_ws(' ', sequence, track, data, extract(epoch FROM sent_at)), ',') FROM mulberry.call_packets WHERE call_id = '$call'");
    };
    my $call = 'plain-' . ++$number;
    is($both->("$call-short", $body), $both->("$call-long", $body =~ s/\}$/,"more":0}/r), "read in the same way: $body");
}

# ---- tokens ----

my %token = map { /(\S+) (\S+)/ } split /\n/, sql(<<'SQL');
SELECT 'north ' || mulberry.create_token('pbx', 'ingest', 'north') UNION ALL
SELECT 'south ' || mulberry.create_token('pbx', 'ingest') UNION ALL
SELECT 'desk ' || mulberry.create_token('desk', 'supervisor', 'north') UNION ALL
SELECT 'brief ' || mulberry.create_token('brief', 'ingest', 'north', clock_timestamp() + interval '3 seconds');
SQL
my $gateway = start_gateway($node);
sub say_packet { my ($token, $call, $sequence) = @_; return ask($gateway, 'POST', "/v1/call/stream/$call", body => packet_body($sequence), token => $token) }
is(say_packet($token{brief}, 'brief', 0)->{status}, 202, 'a token that expires soon');
$answer = say_packet(undef, 'x', 0);
is("$answer->{status} $answer->{headers}{'www-authenticate'} $answer->{content}", '401 Bearer {"detail":"Not authenticated"}', 'without a token');
is(ask($gateway, 'POST', '/v1/call/stream/x', body => packet_body(0), headers => { Authorization => $_ })->{status}, 401, "an odd Authorization: $_")
  foreach 'Bearer', 'Bearer ', 'Basic eDp5', $token{north}, "Bearer  $token{north}", "Bearer $token{north}x", "Bearer " . 'x' x 300;
is(say_packet("' OR true --", 'x', 0)->{status}, 401, 'a token with what SQL would mind');
is(say_packet($token{north}, 'same', 0)->{status}, 202, 'with one');
is(say_packet($token{south}, 'same', 0)->{json}{status}, 'accepted', 'a call of the same name at another tenant is another call');
is(sql(q{SELECT string_agg(tenant, ' ' ORDER BY tenant) FROM mulberry.call_status WHERE call_id = 'same'}), 'default north', 'each has its own');
$answer = ask($gateway, 'POST', '/v1/call/complete/only_here', body => { total_packets => 1 }, token => $token{north});
is(say_packet($token{south}, 'only_here', 0)->{status}, 202, 'a call of one tenant');
my $foreign = ask($gateway, 'POST', '/v1/call/complete/only_here', body => { total_packets => 1 }, token => $token{north});
is("$foreign->{status} $foreign->{content}", "$answer->{status} $answer->{content}", 'is for another tenant as if it were not there');
is(say_packet($token{desk}, 'x', 0)->{status}, 403, 'a token with another access');
is(ask($gateway, 'POST', '/v1/call/stream/x', body => '{}', token => 'wrong')->{status}, 401, 'a wrong token is refused before a wrong body');
# a revocation counts for the next request, and is heard of
my $log = log_of_gateway($gateway);
sql(q{SELECT mulberry.revoke_token('pbx', 'north')});
is(say_packet($token{north}, 'same', 1)->{status}, 401, 'revoked');
is(say_packet($token{south}, 'same', 1)->{status}, 202, 'the other one is not');
$node->poll_query_until('postgres', q{SELECT expires_at < clock_timestamp() FROM mulberry.tokens WHERE name = 'brief'}) or die;
is(say_packet($token{brief}, 'brief', 1)->{status}, 401, 'expired');
unlike(log_of_gateway($gateway), qr/\Q$_\E/, 'no token in the log') foreach values %token;
$node->poll_query_until('postgres', q{SELECT last_used_at IS NOT NULL FROM mulberry.tokens WHERE name = 'desk'}) or die;
pass('the database learns which were used');

# ---- health, metrics, and a database that is away ----

is(ask_admin($gateway, '/health/live')->{content}, '{"status":"alive"}', 'alive');
is(ask_admin($gateway, '/health/ready')->{content}, '{"status":"ready"}', 'ready');
is(ask($gateway, 'GET', '/metrics')->{status}, 404, 'clients see no metrics');
my $metrics = ask_admin($gateway, '/metrics');
is($metrics->{headers}{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8', 'metrics');
my %families;
foreach (split /\n/, $metrics->{content})
{
    if (/^# TYPE (\S+) (counter|gauge)$/) { $families{$1} = 0; like($1, $2 eq 'counter' ? qr/_total$/ : qr/(?<!_total)$/, "$1 is named as a $2") }
    # of talk, of which there is none here
    elsif (/^# TYPE (\S+) histogram$/) { like($1, qr/_(?:seconds|per_second)$/, "$1 is named with its unit") }
    elsif (/^(\w+)(?:\{\w+="[^"]*"(?:,\w+="[^"]*")*\})? \d+(?:\.\d+)?$/) { $families{$1}++ }
    elsif (!/^# HELP \S+ \S/) { fail("an odd line of metrics: $_") }
}
is_deeply([ grep { !$families{$_} } sort keys %families ], [], 'every family has its samples');
like($metrics->{content}, qr/^mulberry_gateway_packets_total\{status="accepted"\} [1-9]/m, 'packets are counted');

$node->stop('fast');
wait_for_gateway($gateway, qr/no connection to the database/);
$answer = say_packet($token{south}, 'same', 2);
is($answer->{status}, 503, 'without a database: 503');
like($answer->{headers}{'retry-after'}, qr/^[1-9]\d*$/, 'and when to come again');
is(ask_admin($gateway, '/health/live')->{status}, 200, 'it lives');
is(ask_admin($gateway, '/health/ready')->{status}, 503, 'and is not ready');
like(ask_admin($gateway, '/metrics')->{content}, qr/^mulberry_gateway_database_up 0$/m, 'metrics are there, and say so');
is(ask($gateway, 'GET', '/')->{status}, 200, 'GET / is answered');
$node->start;
my $tries = 0;
sleep 1 while ($answer = say_packet($token{south}, 'same', 2))->{status} == 503 && $tries++ < $PostgreSQL::Test::Utils::timeout_default;
is("$answer->{status} $answer->{json}{status}", '202 accepted', 'the database is back');

# ---- the end ----

kill 'TERM', $_->{pid} foreach $open, $gateway;
$_->{run}->finish foreach $open, $gateway;
is($_->{run}->result(0) // 0, 0, 'it ends') foreach $open, $gateway;
like(log_of_gateway($_), qr/"ended"/, 'and says so') foreach $open, $gateway;
is(join("\n", grep { !eval { decode_json($_) } } split /\n/, log_of_gateway($gateway)), '', 'every line of the log is JSON');
$node->stop;
done_testing();
