# Calls over HTTP: what is told of them beside their packets, who may, what is refused and how, and what is said when nobody
# knows whether it was done.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use JSON::PP;
use Mulberry::Cluster;
use Mulberry::Gateway;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = mulberry_cluster('gateway_calls');
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE gate LOGIN; SELECT mulberry.grant_access('gate', 'gateway', NULL); SELECT mulberry.create_tenant('north'), mulberry.create_tenant('south')});
my %token;
foreach my $tenant (qw(north south))
{
    $token{"$tenant $_"} = sql("SELECT mulberry.create_token('$_', '$_', '$tenant')") foreach qw(ingest supervisor operator auditor admin);
}
my $gateway = start_gateway($node);
sub as { my ($who, $method, $path, @more) = @_; return ask($gateway, $method, $path, token => $token{$who}, @more) }
sub told { my ($answer) = @_; return "$answer->{status} $answer->{content}" }
sub known { my ($call) = @_; return sql("SELECT coalesce(string_agg(concat_ws(' ', c.tenant, direction, from_number, to_number, attributes, tracks), ','), '') FROM mulberry.calls(tenant => 'north') AS c WHERE call_id = '$call'") }

# ---- a call begins ----

my %details = (direction => 'inbound', from_number => '+4930123', to_number => '+4940456', attributes => { queue => 'sales' });
is(told(as('north ingest', 'POST', '/v1/call/begin/first', body => \%details)), '201 {"status":"accepted","message":"Call has begun","call_id":"first","begun":true}', 'a call begins');
is(known('first'), 'north inbound +4930123 +4940456 {"queue": "sales"} {main}', 'with all that was told of it');
is(told(as('north ingest', 'POST', '/v1/call/begin/first', body => \%details)), '200 {"status":"accepted","message":"Call had begun before","call_id":"first","begun":false}', 'said again');
my $answer = as('north ingest', 'POST', '/v1/call/begin/first', body => { %details, direction => 'outbound' });
is(told($answer), '400 {"detail":"call \"first\" has begun with other values"}', 'said otherwise');
$answer = as('north ingest', 'POST', '/v1/call/begin/full', body => { encoding => 'mulaw', sample_rate => '8000', tracks => [ 'caller', 'the "agent\\"' ], started_at => '2026-03-01T12:30:15.25+01:00', first_sequence => 65_530, counter_bits => 16 });
is($answer->{status}, 201, 'with tracks, a time and a counter');
is(sql(q{SELECT string_agg(track, ' ' ORDER BY track) FROM mulberry.call_tracks WHERE call_id = 'full' AND encoding = 'mulaw'}), 'caller the "agent\\"', 'named with what arrays mind');
is(sql(q{SELECT extract(epoch FROM started_at) FROM mulberry.calls() WHERE call_id = 'full'}), '1772364615.250000', 'began when it is said');
is(as('north ingest', 'POST', '/v1/call/begin/bare', headers => { 'Content-Length' => 0 })->{status}, 201, 'without a body');
is(as('north ingest', 'POST', '/v1/call/begin/a%2Fb%27%3B--')->{json}{call_id}, "a/b';--", 'a call id with a slash and what SQL would mind');
is(as('north ingest', 'POST', '/v1/call/begin/epoch', body => { started_at => 1772364615.25 })->{status}, 201, 'a time in seconds');
is(sql(q{SELECT extract(epoch FROM started_at) FROM mulberry.calls() WHERE call_id = 'epoch'}), '1772364615.250000', 'is the same');

# ---- what is wrong with it, all at once ----

my $url = 'https://errors.pydantic.dev/2.5/v';
sub entry
{
    my ($type, $field, $message, $input, $ctx) = @_;
    my $place = join ',', map { qq{"$_"} } split /\./, $field;
    return sprintf '{"type":"%s","loc":[%s],"msg":"%s","input":%s%s,"url":"%s/%s"}', $type, $place, $message, $input, $ctx ? qq{,"ctx":{$ctx}} : '', $url, $type;
}
my %refused = (
    '{"direction":7}' => entry('string_type', 'body.direction', 'Input should be a valid string', 7),
    '{"direction":"a\u0000b"}' => entry('string_type', 'body.direction', 'Input should be a valid string', '"a\u0000b"'),
    '{"from_number":""}' => entry('string_too_short', 'body.from_number', 'String should have at least 1 character', '""', '"min_length":1'),
    '{"attributes":[1]}' => entry('dict_type', 'body.attributes', 'Input should be a valid dictionary', '[1]'),
    '{"tracks":"caller"}' => entry('list_type', 'body.tracks', 'Input should be a valid list', '"caller"'),
    '{"tracks":["a",1]}' => entry('string_type', 'body.tracks', 'Input should be a valid string', 1),
    '{"sample_rate":"many"}' => entry('int_parsing', 'body.sample_rate', 'Input should be a valid integer, unable to parse string as an integer', '"many"'),
    '{"sample_rate":0}' => entry('greater_than_equal', 'body.sample_rate', 'Input should be greater than or equal to 1', 0, '"ge":1'),
    '{"started_at":"soon"}' => entry('datetime_parsing', 'body.started_at', 'Input should be a valid datetime, input is too short', '"soon"', '"error":"input is too short"'),
    '{"started_at":"2026-02-29T00:00:00Z"}' => entry('datetime_parsing', 'body.started_at', 'Input should be a valid datetime, day value is outside expected range',
        '"2026-02-29T00:00:00Z"', '"error":"day value is outside expected range"'),
    '{"started_at":[]}' => entry('datetime_type', 'body.started_at', 'Input should be a valid datetime', '[]'),
    '{"direction":7,"sample_rate":1.5}' => entry('string_type', 'body.direction', 'Input should be a valid string', 7) . ','
      . entry('int_from_float', 'body.sample_rate', 'Input should be a valid integer, got a number with a fractional part', '1.5'),
    '[1]' => '{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":[1],"url":"' . "$url/model_attributes_type\"}",
    '{"direction":' => '{"type":"json_invalid","loc":["body",13],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting value"}}',
);
foreach my $body (sort keys %refused)
{
    $answer = as('north ingest', 'POST', '/v1/call/begin/refused', body => $body);
    is(told($answer), "422 {\"detail\":[$refused{$body}]}", "refused: $body");
}
$answer = as('north ingest', 'POST', '/v1/call/begin/refused?tenant=', body => '{"direction":7}');
is(told($answer), '422 {"detail":[' . entry('string_too_short', 'query.tenant', 'String should have at least 1 character', '""', '"min_length":1') . ','
    . entry('string_type', 'body.direction', 'Input should be a valid string', 7) . ']}', 'query and body in one answer');
foreach my $case ([ '{"direction":"sideways"}', qr/unknown direction/ ], [ '{"sample_rate":8001}', qr/8001/ ], [ '{"encoding":"opus"}', qr/opus/ ])
{
    $answer = as('north ingest', 'POST', '/v1/call/begin/refused', body => $case->[0]);
    is($answer->{status}, 400, "the database refuses $case->[0]");
    like($answer->{json}{detail}, $case->[1], 'and says why');
}
is(as('north ingest', 'POST', "/v1/call/begin/refused$_")->{status}, 400, "a query that cannot be text: $_") foreach '?tenant=%ff', '?tenant=a%00b';
is(told(as('north ingest', 'POST', '/v1/call/begin/refused?tenant=nowhere')), '404 {"detail":"tenant \"nowhere\" does not exist"}', 'a tenant that is not there');
is(told(as('north ingest', 'POST', '/v1/call/begin/refused?tenant=south')), '404 {"detail":"tenant \"south\" does not exist"}', 'another tenant is not there either');
is(as('north ingest', 'POST', '/v1/call/begin/refused', body => { endpoint => 'refused1' })->{json}{detail}, 'endpoint "refused1" does not exist', 'an endpoint that is not there');
is(sql(q{SELECT count(*) FROM mulberry.call_status WHERE call_id = 'refused'}), '0', 'nothing of it was stored');

# ---- packets and the end of a call, by a token of all tenants ----

$token{'all ingest'} = sql(q{SELECT mulberry.create_token('all', 'ingest', NULL)});
my %one_packet = (sequence => 0, data => 'hello', timestamp => 1700000000);
is(as('all ingest', 'POST', '/v1/call/stream/named?tenant=north', body => \%one_packet)->{status}, 202, 'a packet of a tenant that is named');
is(as('all ingest', 'POST', '/v1/call/stream/named?tenant=south', body => { %one_packet, data => 'hallo' })->{status}, 202, 'one of another with the same name');
is(as('all ingest', 'POST', '/v1/call/stream/named?tenant=south', body => 'welt', headers => { 'Content-Type' => 'application/octet-stream', 'Mulberry-Sequence' => 1 })->{status}, 202, 'one of bytes');
is(sql(q{SELECT string_agg(tenant || ' ' || total_packets_received, ', ' ORDER BY tenant) FROM mulberry.call_status WHERE call_id = 'named'}), 'north 1, south 2', 'each is in its tenant');
is(as('all ingest', 'POST', '/v1/call/complete/named?tenant=south', body => { total_packets => 2 })->{status}, 202, 'a call of a tenant that is named is complete');
is(sql(q{SELECT string_agg(tenant, ' ') FROM mulberry.call_status WHERE call_id = 'named' AND state = 'IN_PROGRESS'}), 'north', 'and that of the other is not');
foreach my $path ('/v1/call/stream/named', '/v1/call/complete/named')
{
    my $body = { %one_packet, total_packets => 1 };
    is(told(as('north ingest', 'POST', "$path?tenant=$_", body => $body)), "404 {\"detail\":\"tenant \\\"$_\\\" does not exist\"}", "$path: a tenant that is not there for him: $_") foreach 'south', 'nowhere';
    is(as('north ingest', 'POST', "$path?tenant=", body => $body)->{status}, 422, 'one without a name');
    is(as('north ingest', 'POST', "$path?tenant=%ff", body => $body)->{status}, 400, 'one that is no text');
}
sql(q{SELECT mulberry.erase_call('named', tenant) FROM mulberry.call_status WHERE call_id = 'named'});

# ---- and is described ----

is(told(as('north operator', 'POST', '/v1/call/describe/first', body => { direction => 'internal', attributes => { queue => undef, agent => 'Ann' } })),
    '200 {"status":"accepted","message":"Call has been described","call_id":"first"}', 'a call is described');
is(known('first'), 'north internal +4930123 +4940456 {"agent": "Ann"} {main}', 'is known so');
is(told(as('north ingest', 'POST', '/v1/call/describe/nobody', body => {})), '404 {"detail":"Call nobody not found"}', 'a call that is not there');
$answer = as('north ingest', 'GET', '/v1/call/describe/first');
is("$answer->{status} $answer->{headers}{allow}", '405 POST, OPTIONS', 'another method');

# ---- who may: nobody learns of a call what he may not ----

# method, path without the call's id, body, accesses; in what differs for one who may and asks for a call that is not there
my @routes = (
    [ 'POST', '/v1/call/stream/%s', packet_body(0), [ 'ingest' ], 'makes' ],
    [ 'POST', '/v1/call/begin/%s', {}, [ 'ingest' ], 'makes' ],
    [ 'POST', '/v1/call/complete/%s', { total_packets => 5 }, [ 'ingest', 'operator' ] ],
    [ 'POST', '/v1/call/describe/%s', { direction => 'outbound' }, [ 'ingest', 'operator' ] ],
);
sub state_of { return sql(q{SELECT md5(string_agg(concat_ws('|', tenant, call_id, state, direction, from_number, to_number, attributes, tracks, started_at, completed_at), ',' ORDER BY tenant, call_id)) FROM mulberry.calls(max_rows => 1000)}) }
foreach my $route (@routes)
{
    my ($method, $path, $body, $may, $makes) = @$route;
    my $accesses = [ @$may, 'admin' ];    # which has them all
    my $ask = sub { my ($token, $call) = @_; my $answer = ask($gateway, $method, sprintf($path, $call), (defined $body ? (body => $body) : ()), (defined $token ? (token => $token) : ())); $answer->{content} =~ s/\Q$call\E/CALL/g; return told($answer) };
    my $before = state_of();
    is($ask->(undef, 'first'), '401 {"detail":"Not authenticated"}', "$method $path without a token");
    is($ask->('x' x 40, 'first'), '401 {"detail":"The token is not valid"}', 'with a wrong one');
    foreach my $access (grep { my $name = $_; !grep { $_ eq $name } @$accesses } qw(ingest supervisor operator auditor admin))
    {
        is($ask->($token{"north $access"}, 'first'), '403 {"detail":"The token has not the access that this needs"}', "as $access");
        is($ask->($token{"north $access"}, 'nobody_7'), $ask->($token{"north $access"}, 'first'), 'the same for a call that is not there');
    }
    is(state_of(), $before, 'nothing has changed');
    foreach my $access (@$accesses)
    {
        my $foreign = $ask->($token{"south $access"}, 'first');
        is($foreign, $ask->($token{"south $access"}, 'nobody_7'), "another tenant's $access: as if it were not there");
        like($foreign, $makes ? qr/^20[0-9]/ : qr/^404/, 'which is what it is for him');
    }
    sql(q{SELECT mulberry.erase_call(call_id, tenant) FROM mulberry.call_status WHERE tenant = 'south'});
    is(state_of(), $before, 'nothing has changed for whom it is of');
}

# ---- a connection that is lost while something is under way ----

sub waiting { my ($n) = @_; $node->poll_query_until('postgres', "SELECT count(*) = $n FROM pg_stat_activity WHERE application_name = 'mulberry-gateway' AND wait_event_type = 'Lock'") or die 'nobody waits' }
sub lost_while
{
    my ($path, $body) = @_;
    my $holder = $node->background_psql('postgres', on_error_stop => 1);
    $holder->query_safe(q{BEGIN; SELECT mulberry.describe_call('first', tenant => 'north')});
    my $out = '';
    my $request = IPC::Run::start([ 'curl', '-s', '-i', '-H', "Authorization: Bearer $token{'north ingest'}", '-H', 'Content-Type: application/json', '-d', encode_json($body), "http://127.0.0.1:$gateway->{port}$path" ],
        '<', '/dev/null', '>', \$out);
    waiting(1);
    sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mulberry-gateway' AND wait_event_type = 'Lock'});
    return ($holder, $request, \$out);
}
my $sent_again = sub { ask_admin($gateway, '/metrics')->{content} =~ /^mulberry_gateway_database_sent_again_total (\d+)/m; return $1 };
my $before = $sent_again->();
my ($holder, $request, $out) = lost_while('/v1/call/describe/first', { direction => 'outbound' });
$request->finish;
like($$out, qr/^HTTP.1.1 503 .*Retry-After: \d+.*whether it was done is not known/s, 'what is not safe to run again is not: its outcome is unknown');
is($sent_again->(), $before, 'it was not sent again');
$holder->query_safe('COMMIT');
$holder->quit;
is(known('first'), 'north internal +4930123 +4940456 {"agent": "Ann"} {main}', 'and was not done');
($holder, $request, $out) = lost_while('/v1/call/begin/first', { to_number => '+4940456' });
waiting(1);
$holder->query_safe('COMMIT');
$holder->quit;
$request->finish;
like($$out, qr/^HTTP.1.1 200 .*Call had begun before/s, 'what is safe to run again is');
is($sent_again->(), $before + 1, 'once');

done_testing();
