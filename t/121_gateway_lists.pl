# Calls found over HTTP: lists by page, search; recordings that are sent as a whole, as a body and in a form; and the end of a call.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use JSON::PP;
use Mulberry::Cluster;
use Mulberry::Gateway;
use Mulberry::RawHttp qw(connection read_all wait_until);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = mulberry_cluster('gateway_lists');
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE gate LOGIN; SELECT mulberry.grant_access('gate', 'gateway', NULL); SELECT mulberry.create_tenant('north'), mulberry.create_tenant('south')});
my %token;
foreach my $tenant (qw(north south))
{
    $token{"$tenant $_"} = sql("SELECT mulberry.create_token('$_', '$_', '$tenant')") foreach qw(ingest supervisor operator auditor admin);
}
# one transaction waits for another here as long as the machine needs
my $gateway = start_gateway($node, '--max-recording', 2_000_000, '--database',
    sprintf "host=%s port=%s dbname=postgres user=gate options='-c timezone=UTC -c lock_timeout=300s'", $node->host, $node->port);
sub as { my ($who, $method, $path, %option) = @_; return ask($gateway, $method, $path, token => $token{$who}, %option) }
sub told { my ($answer) = @_; return "$answer->{status} $answer->{content}" }

# ---- lists ----

# every third one began at the same time as others
sql(q{SELECT mulberry.begin_call('c' || lpad(n::text, 2, '0'), CASE n % 2 WHEN 0 THEN 'inbound' ELSE 'outbound' END, '+49' || n, '+4940', jsonb_build_object('queue', n % 5), 'mulaw', 8000, NULL,
    '2026-03-01 00:00:00+00'::timestamptz + (n / 3) * interval '1 hour', 'north') FROM generate_series(0, 40) AS n});
sql(q{SELECT mulberry.begin_call('c99', tenant => 'south')});
my $all = sql(q{SELECT string_agg(call_id, ' ') FROM mulberry.calls(tenant => 'north')});
sub ids { my ($answer) = @_; return join ' ', map { $_->{call_id} } @{ $answer->{json}{calls} } }
my $answer = as('north supervisor', 'GET', '/v1/calls');
is(ids($answer), $all, 'calls, the newest first');
is($answer->{json}{next_cursor}, undef, 'all of them');
is_deeply($answer->{json}{calls}[0], { tenant => 'north', call_id => 'c40', state => 'IN_PROGRESS', direction => 'inbound', from_number => '+4940', to_number => '+4940', attributes => { queue => 0 },
    tracks => ['main'], started_at => '2026-03-01T13:00:00+00:00', completed_at => undef, finished_at => undef, sentiment => undef }, 'with what is known of each') or diag($answer->{content});
foreach my $limit (1, 2, 3, 4, 7, 40, 41, 1000)
{
    my ($found, $cursor, $pages) = ('', undef, 0);
    do
    {
        $answer = as('north supervisor', 'GET', "/v1/calls?limit=$limit" . (defined $cursor ? "&cursor=$cursor" : ''));
        $found .= ($found eq '' ? '' : ' ') . ids($answer);
        $cursor = $answer->{json}{next_cursor};
        # what begins meanwhile is newer and moves nothing
        sql("SELECT mulberry.begin_call('new$limit', tenant => 'north')") if !$pages++ && defined $cursor;
    } while (defined $cursor && $pages < 100);
    is($found =~ s/\bnew\d+ //gr, $all, "page by page of $limit");
}
sql(q{SELECT mulberry.erase_call(call_id, 'north') FROM mulberry.calls(tenant => 'north') WHERE call_id ~ '^new'});
foreach my $case ([ 'number=%2B497', "number => '+497'" ], [ 'direction=inbound', "direction => 'inbound'" ], [ 'state=FAILED', "state => 'FAILED'" ], [ 'since=2026-03-01T05:00:00Z&until=2026-03-01T09:00:00Z', "since => '2026-03-01 05:00+00', until => '2026-03-01 09:00+00'" ],
    [ 'since=1772344800', "since => '2026-03-01 06:00+00'" ], [ 'attributes=%7B%22queue%22:3%7D', q{attributes => '{"queue": 3}'} ], [ 'tenant=north&direction=outbound&number=%2B4940', "direction => 'outbound', number => '+4940'" ])
{
    my ($query, $arguments) = @$case;
    is(ids(as('north supervisor', 'GET', "/v1/calls?$query")), sql("SELECT coalesce(string_agg(call_id, ' '), '') FROM mulberry.calls(tenant => 'north', $arguments)"), $query);
}
my %wrong = ('limit=0' => 'greater_than_equal', 'limit=1001' => 'less_than_equal', 'limit=x' => 'int_parsing', 'state=DONE' => 'literal_error', 'since=soon' => 'datetime_parsing', 'attributes=1' => 'dict_type', 'number=' => 'string_too_short');
foreach my $query (sort keys %wrong)
{
    $answer = as('north supervisor', 'GET', "/v1/calls?$query");
    is("$answer->{status} $answer->{json}{detail}[0]{type} $answer->{json}{detail}[0]{loc}[0]", "422 $wrong{$query} query", "refused: $query");
}
is(as('north supervisor', 'GET', '/v1/calls?attributes=%7B%7D')->{status}, 400, 'attributes that name nothing');
is(told(as('north supervisor', 'GET', "/v1/calls?cursor=$_")), '400 {"detail":"The cursor, or a filter, is none"}', "no cursor: $_") foreach 'x', 'abc', '00', 'ff', unpack('H*', 'x|1'), unpack('H*', '2026-03-01|y'), unpack('H*', '2026-03-01|2147483647');
is(told(as('north supervisor', 'GET', '/v1/calls?tenant=south')), '404 {"detail":"tenant \"south\" does not exist"}', 'another tenant is not there');
is(ids(as('south supervisor', 'GET', '/v1/calls')), 'c99', 'and has calls of its own');

# ---- search ----

sql(q{UPDATE mulberry_internal.calls c SET transcription = 'the ' || CASE WHEN call_id < 'c04' THEN 'broken telephone of ' ELSE 'walrus of ' END || call_id WHERE call_id ~ '^c0';
    SELECT mulberry_internal.index_transcript(id, tenant, transcription) FROM mulberry_internal.calls WHERE transcription IS NOT NULL});
$answer = as('north auditor', 'GET', '/v1/search?q=broken+telephone');
is(join(' ', map { $_->{call_id} } @{ $answer->{json}{results} }), 'c03 c02 c01 c00', 'calls that have words');
like($answer->{json}{results}[0]{headline}, qr/\*\*broken\*\* \*\*telephone\*\*/, 'with their place');
is($answer->{json}{next_cursor}, undef, 'all of them');
# page by page; three of them began at the same time
foreach my $limit (1, 2, 3, 4)
{
    my ($found, $cursor, $pages) = ('', undef, 0);
    do
    {
        $answer = as('north auditor', 'GET', "/v1/search?q=telephone&limit=$limit" . (defined $cursor ? "&cursor=$cursor" : ''));
        is($answer->{status}, 200, 'a page') or diag($answer->{content});
        $found .= join('', map { "$_->{call_id} " } @{ $answer->{json}{results} });
        $cursor = $answer->{json}{next_cursor};
    } while (defined $cursor && $pages++ < 10);
    is($found, 'c03 c02 c01 c00 ', "each call once, $limit at a time");
}
is(told(as('north auditor', 'GET', "/v1/search?q=telephone&cursor=$_")), '400 {"detail":"The cursor, or a filter, is none"}', "no cursor: $_") foreach 'x', 'abc', '00', 'ff', unpack('H*', '{}'), unpack('H*', '"c03"'), unpack('H*', '["north"]'), unpack('H*', '["north", null]');
is(as('north auditor', 'GET', '/v1/search?q=telephone&cursor=' . unpack('H*', '["' . $_->[0] . '","' . $_->[1] . '"]'))->{status}, 404, "@$_ is not there") foreach [ 'north', 'gone' ], [ 'south', 'c99' ], [ 'nobody', 'c03' ];
is_deeply(as('south auditor', 'GET', '/v1/search?q=telephone')->{json}, { results => [], next_cursor => undef }, 'nothing of another tenant');
is(as('north auditor', 'GET', '/v1/search')->{content}, '{"detail":[{"type":"missing","loc":["query","q"],"msg":"Field required","input":null,"url":"https://errors.pydantic.dev/2.5/v/missing"}]}', 'words are needed');
is(as('north auditor', 'GET', '/v1/search?q=%27%3B--+%22%26%7C%21%28')->{status}, 200, 'words that SQL would mind');

# ---- recordings ----

sub hex_of { return pack 'H*', sql("SELECT encode($_[0], 'hex')") }
my $mono = hex_of(q{mulberry.wav_encode(mulberry.dtmf_synthesize('159', 's16le', 8000), 's16le', 8000)});
my $stereo = hex_of(q{mulberry.wav_encode(mulberry.dtmf_synthesize('159', 's16le', 8000), 's16le', 8000, 2)});
$answer = as('north ingest', 'POST', '/v1/call/rec1/recording', body => $mono, headers => { 'Content-Type' => 'audio/wav' });
is($answer->{status}, 201, 'a recording') or diag($answer->{content});
is_deeply([ @{ $answer->{json}{tracks}[0] }{qw(track encoding sample_rate)} ], [ 'main', 's16le', 8000 ], 'became a track');
is(sql(q{SELECT string_agg(digit, '' ORDER BY start_ms) FROM mulberry.call_dtmf('rec1', 'north')}), '159', 'which has what was recorded');
$answer = as('north ingest', 'POST', '/v1/call/rec1/recording', body => $mono, headers => { 'Content-Type' => 'audio/wav' });
is(told($answer), '400 {"detail":"track \"main\" of call \"rec1\" has packets already"}', 'not twice');
$answer = as('north ingest', 'POST', '/v1/call/rec2/recording?tracks=caller&tracks=agent&encoding=mulaw&complete=true&packet_ms=20&started_at=2026-03-01T10:00:00Z', body => $stereo, headers => { 'Content-Type' => 'application/octet-stream' });
is(join(' ', $answer->{status}, map { "$_->{track} $_->{encoding}" } @{ $answer->{json}{tracks} }), '201 caller mulaw agent mulaw', 'of two tracks');
is(sql(q{SELECT state <> 'IN_PROGRESS' AND extract(epoch FROM started_at) = 1772359200 FROM mulberry.call_status WHERE call_id = 'rec2'}), 't', 'which is complete, and began then');
my $form = join "\r\n", '--xXx', 'Content-Disposition: form-data; name="comment"', '', 'none', '--xXx', 'Content-Disposition: form-data; name="file"; filename="a.wav"', 'Content-Type: audio/wav', '', $mono, '--xXx--', '';
$answer = as('north ingest', 'POST', '/v1/call/rec3/recording', body => $form, headers => { 'Content-Type' => 'multipart/form-data; boundary=xXx' });
is($answer->{status}, 201, 'as the file of a form') or diag($answer->{content});
is(sql(q{SELECT mulberry.call_audio('rec3', 'north') = mulberry.call_audio('rec1', 'north')}), 't', 'byte for byte');
foreach my $case ([ 'multipart/form-data', $form, '400 {"detail":"The form has no boundary"}' ], [ 'multipart/form-data; boundary=xXx', $form =~ s/; filename="a.wav"//r, '400 {"detail":"The form has no file"}' ],
    [ 'multipart/form-data; boundary=xXx', substr($form, 0, 500), '400 {"detail":"The form ends before its last boundary"}' ], [ 'multipart/form-data; boundary=xXx', '--xXx' . "\r\n\r\nx", '400 {"detail":"The form is malformed"}' ],
    [ 'application/json', '{}', '415 {"detail":"A recording is audio/wav, or the file of a form (multipart/form-data)"}' ])
{
    is(told(as('north ingest', 'POST', '/v1/call/rec4/recording', body => $case->[1], headers => { 'Content-Type' => $case->[0] })), $case->[2], $case->[2]);
}
like(told(as('north ingest', 'POST', '/v1/call/rec4/recording', body => $_, headers => { 'Content-Type' => 'audio/wav' })), qr/^400 /, 'what is no recording') foreach 'RIFF', 'x' x 1000, substr($mono, 0, 1000), "\0";
is(as('north ingest', 'POST', '/v1/call/rec4/recording', body => 'x' x 2_000_001, headers => { 'Content-Type' => 'audio/wav' })->{status}, 413, 'one that is too large');
like(as('north ingest', 'POST', '/v1/call/rec4/recording', body => 'x' x 1_500_000, headers => { 'Content-Type' => 'audio/wav' })->{content}, qr/RIFF|WAV/, 'while the limit of other bodies does not count');
is(as('north ingest', 'POST', '/v1/call/rec4/recording?complete=perhaps', body => $mono, headers => { 'Content-Type' => 'audio/wav' })->{json}{detail}[0]{type}, 'bool_parsing', 'a word for neither');
is(sql(q{SELECT count(*) FROM mulberry.call_status WHERE call_id = 'rec4'}), '0', 'nothing of that was stored');
# requests behind an upload, and a client that leaves
my $head = "Host: x\r\nAuthorization: Bearer $token{'north ingest'}\r\n";
my $socket = connection($gateway, "POST /v1/call/rec5/recording HTTP/1.1\r\n${head}Content-Type: audio/wav\r\nContent-Length: " . length($mono) . "\r\n\r\n${mono}GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
my @answers = read_all($socket) =~ m{HTTP/1\.1 (\d+)}g;
is("@answers", '201 200', 'what stands behind a recording is another request');
my $holder = $node->background_psql('postgres', on_error_stop => 1);
$holder->query_safe(q{BEGIN; SELECT mulberry.begin_call('rec6', tenant => 'north')});
my @sockets = map { connection($gateway, "POST /v1/call/rec6/recording HTTP/1.1\r\n${head}Content-Type: audio/wav\r\nContent-Length: " . length($mono) . "\r\n\r\n$mono") } 1 .. 4;
sub uploads { ask_admin($gateway, '/metrics')->{content} =~ /^mulberry_gateway_uploads (\d+)/m; return $1 }
ok(wait_until(sub { uploads() == 4 }), 'recordings wait for the database');
is(told(as('north ingest', 'POST', '/v1/call/rec7/recording', body => $mono, headers => { 'Content-Type' => 'audio/wav' })), '503 {"detail":"Too many recordings are under way"}', 'no more of them than the limit');
close $_ foreach @sockets;
$holder->query_safe('COMMIT');
$holder->quit;
ok(wait_until(sub { uploads() == 0 }), 'who leaves leaves nothing behind');

# ---- the end of a call ----

is(told(as('north admin', 'DELETE', '/v1/call/rec1')), '200 {"status":"accepted","message":"Call has been erased","call_id":"rec1"}', 'a call is erased');
is(sql(q{SELECT count(*) FROM mulberry.call_status WHERE call_id = 'rec1'}), '0', 'is not there any more');
is(told(as('north admin', 'DELETE', '/v1/call/rec1')), '404 {"detail":"Call rec1 not found"}', 'not twice');

# ---- who may ----

my @routes = ([ 'GET', '/v1/calls', [qw(supervisor operator admin)] ], [ 'GET', '/v1/search?q=x', [qw(supervisor operator auditor admin)] ], [ 'DELETE', '/v1/call/c00', ['admin'], qr/^404/ ],
    [ 'POST', '/v1/call/c00/recording?tracks=x', [qw(ingest admin)], qr/^400/ ]);
my $before = sql(q{SELECT count(*) FROM mulberry.call_status});
foreach my $route (@routes)
{
    my ($method, $path, $accesses, $foreign) = @$route;
    my @more = $method eq 'POST' ? (body => 'no recording', headers => { 'Content-Type' => 'audio/wav' }) : ();
    is(told(ask($gateway, $method, $path, @more)), '401 {"detail":"Not authenticated"}', "$method $path without a token");
    is(told(ask($gateway, $method, $path, @more, token => 'x' x 40)), '401 {"detail":"The token is not valid"}', 'with a wrong one');
    foreach my $access (qw(ingest supervisor operator auditor admin))
    {
        my $may = grep { $_ eq $access } @$accesses;
        $answer = told(as("south $access", $method, $path, @more));
        if (!$may) { is($answer, '403 {"detail":"The token has not the access that this needs"}', "as $access") }
        else { like($answer, $foreign // qr/^200/, "as $access of another tenant"); unlike($answer, qr/c0\d|\+49/, 'who sees nothing of it') if !$foreign }
    }
}
is(sql(q{SELECT count(*) FROM mulberry.call_status}), $before, 'nothing has changed');
done_testing();
