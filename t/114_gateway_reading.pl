# Calls read over HTTP: state, transcripts, pictures; audio as a file, in ranges, by clients that are slow and of calls that change
# meanwhile; what a client has already is not sent again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Digest::SHA qw(sha256_hex);
use JSON::PP;
use Mulberry::Cluster;
use Mulberry::Gateway;
use Mulberry::RawHttp qw(connection read_all resident_kb wait_until);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = mulberry_cluster('gateway_reading');
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE gate LOGIN; SELECT mulberry.grant_access('gate', 'gateway', NULL); SELECT mulberry.create_tenant('north'), mulberry.create_tenant('south')});
my %token;
foreach my $tenant (qw(north south))
{
    $token{"$tenant $_"} = sql("SELECT mulberry.create_token('$_', '$_', '$tenant')") foreach qw(ingest supervisor operator auditor admin);
}
$token{everywhere} = sql(q{SELECT mulberry.create_token('everywhere', 'supervisor', NULL)});
my $gateway = start_gateway($node, '--max-answer', 200_000, '--max-downloads', 9);
sub as { my ($who, $path, %headers) = @_; return ask($gateway, 'GET', $path, token => $token{$who}, headers => \%headers) }
sub head { my ($who, $path, %headers) = @_; return ask($gateway, 'HEAD', $path, token => $token{$who}, headers => \%headers) }
sub told { my ($answer) = @_; return "$answer->{status} $answer->{content}" }

# a call of two tracks with a gap and a transcript; one of text; one that is long
sql(<<'SQL');
SELECT mulberry.begin_call('talk', 'inbound', '+4930123', '+4940456', '{"queue": "sales"}', 'mulaw', 8000, '{caller,agent}', '2026-03-01 11:30:15+00', 'north');
SELECT mulberry.ingest_packet('talk', s, decode(repeat(lpad(to_hex((s * 37) % 256), 2, '0'), 160), 'hex'), tenant => 'north', track => t)
  FROM generate_series(0, 99) AS s, unnest('{caller,agent}'::text[]) AS t WHERE s NOT IN (7, 8, 30);
SELECT mulberry.complete_call('talk', tenant => 'north', totals => '{"caller": 102, "agent": 100}');
SELECT mulberry.ingest_packet('words', 0, 'hello', encoding => 'text', tenant => 'north');
SELECT mulberry.ingest_packet('größe / "x"', 0, '\x0102', encoding => 'mulaw', sample_rate => 8000, tenant => 'north');
SELECT mulberry.ingest_packet('talk', 0, '\x0102', encoding => 'mulaw', sample_rate => 8000);
SELECT count(*) FROM generate_series(0, 524) AS s CROSS JOIN LATERAL mulberry.ingest_packet('long', s, decode(repeat(md5(s::text), 1000), 'hex'),
    encoding => 's16le', sample_rate => 8000, tenant => 'north') AS i WHERE i.status = 'accepted';
SQL
$node->poll_query_until('postgres', q{SELECT state <> 'COMPLETED' FROM mulberry.call_status WHERE call_id = 'talk' AND tenant = 'north'}) or die;
sql(<<'SQL');
UPDATE mulberry_internal.calls SET transcription = 'good <day> & "you"', sentiment = 'positive', confidence = 0.75 WHERE call_id = 'talk' AND tenant <> mulberry_internal.resolve_tenant('default', 'supervisor');
SELECT mulberry_internal.put_segments(c.id, 0, 0, '[{"text": "good <day>", "start_ms": 200, "end_ms": 600}]'), mulberry_internal.put_segments(c.id, 1, 0, '[{"text": "& \"you\"", "start_ms": 900, "end_ms": 1500}]')
  FROM mulberry_internal.calls c WHERE c.call_id = 'talk' AND c.transcription IS NOT NULL;
SQL

# ---- a call ----

my $answer = as('north supervisor', '/v1/call/talk');
is("$answer->{status} $answer->{headers}{'content-type'}", '200 application/json', 'a call');
my $call = $answer->{json};
is_deeply([ @$call{qw(call_id tenant direction from_number to_number started_at total_received expected_total_packets missing_count transcription sentiment confidence)} ],
    [ 'talk', 'north', 'inbound', '+4930123', '+4940456', '2026-03-01T11:30:15+00:00', 194, 102, 8, 'good <day> & "you"', 'positive', 0.75 ], 'what is known of it');
is_deeply($call->{attributes}, { queue => 'sales' }, 'its attributes');
is_deeply([ map { [ @$_{qw(track encoding sample_rate total_received expected_total_packets missing_count gaps)} ] } @{ $call->{tracks} } ],
    [ [ 'caller', 'mulaw', 8000, 97, 102, 5, [ [ 7, 8 ], [ 30, 30 ], [ 100, 101 ] ] ], [ 'agent', 'mulaw', 8000, 97, 100, 3, [ [ 7, 8 ], [ 30, 30 ] ] ] ], 'its tracks, with their gaps');
like($call->{state}, qr/^[A-Z_]+$/, 'its state');
is_deeply([ sort keys %{ $call->{progress} } ], [ sort qw(job track endpoint running parts_done parts queue_position waits_for until attempts audio_seconds estimated_seconds) ], 'how far it is');
$call = as('north ingest', '/v1/call/talk')->{json};
is_deeply([ @$call{qw(call_id from_number attributes)} ], [ 'talk', undef, undef ], 'who only ingests sees no numbers');
is(as('everywhere', '/v1/call/talk')->{json}{tenant}, 'default', 'who may see all tenants sees that of the default one');
is(as('everywhere', '/v1/call/talk?tenant=north')->{json}{tenant}, 'north', 'or that of one he names');
# of one that nobody works on: it stays as it is
my $etag = as('north supervisor', '/v1/call/long')->{headers}{etag};
like($etag, qr/^"[0-9a-f]{32}"$/, 'it has a version');
foreach my $match ($etag, "W/$etag", "\"x\", $etag", '*')
{
    $answer = as('north supervisor', '/v1/call/long', 'If-None-Match' => $match);
    is("$answer->{status} $answer->{content} $answer->{headers}{etag}", "304  $etag", "who has it already: $match");
}
is(as('north supervisor', '/v1/call/long', 'If-None-Match' => '"x"')->{status}, 200, 'who has another one');
sql(q{SELECT mulberry.describe_call('long', attributes => '{"agent": "Ann"}', tenant => 'north')});
isnt(as('north supervisor', '/v1/call/long', 'If-None-Match' => $etag)->{headers}{etag}, $etag, 'it changes');
$answer = head('north supervisor', '/v1/call/talk');
is("$answer->{status} $answer->{content}", '200 ', 'HEAD');
cmp_ok($answer->{headers}{'content-length'}, '>', 500, 'tells the length');

# ---- its transcript and its picture ----

foreach my $case ([ txt => 'text/plain; charset=utf-8', qr/^caller: good <day>\nagent: & "you"$/ ], [ srt => 'application/x-subrip; charset=utf-8', qr/^1\r?\n00:00:00,200 --> / ],
    [ vtt => 'text/vtt; charset=utf-8', qr/^WEBVTT/ ], [ json => 'application/json', qr/"segments"/ ], [ svg => 'image/svg+xml; charset=utf-8', qr/<svg.*good.*&lt;day&gt;/s ])
{
    my ($suffix, $type, $content) = @$case;
    my $path = '/v1/call/talk/' . ($suffix eq 'svg' ? 'waveform' : 'transcript') . ".$suffix";
    $answer = as('north supervisor', $path);
    is("$answer->{status} $answer->{headers}{'content-type'}", "200 $type", $path);
    like($answer->{content}, $content, 'as it is');
    is($answer->{headers}{'content-disposition'}, "inline; filename=\"talk.$suffix\"; filename*=UTF-8''talk.$suffix", 'with a name');
    is($answer->{headers}{'x-content-type-options'}, 'nosniff', 'and what it is');
    is(as('north supervisor', $path, 'If-None-Match' => $answer->{headers}{etag})->{status}, 304, 'not twice');
    is(told(as('north supervisor', $path =~ s/talk/nobody/r)), '404 {"detail":"Call nobody not found"}', 'of a call that is not there');
    is(told(as('north supervisor', $path =~ s/talk/long/r)), '404 {"detail":"Call long has no transcript yet"}', 'of a call that has none') if $suffix ne 'svg';
}
sql(q{UPDATE mulberry_internal.calls SET transcription = 'hello' WHERE call_id = 'words'});
is(told(as('north supervisor', '/v1/call/words/transcript.srt')), '400 {"detail":"call \"words\" has text and no audio"}', 'text has no times');
is(as('north supervisor', '/v1/call/talk/waveform.svg?width=x')->{json}{detail}[0]{type}, 'int_parsing', 'a width that is none');
like(as('north supervisor', '/v1/call/talk/waveform.svg?width=600&title=a%3Cb')->{content}, qr/<svg[^>]* width="600".*a&lt;b/s, 'a width, and a title');
like(as('north supervisor', '/v1/call/gr%C3%B6%C3%9Fe%20%2F%20%22x%22/audio.wav')->{headers}{'content-disposition'},
    qr/^inline; filename="gr____e____x_.wav"; filename\*=UTF-8''gr%C3%B6%C3%9Fe%20%2F%20%22x%22.wav$/, 'a name that is none for files');

# ---- its audio ----

sub audio { my ($what, $from, $n) = @_; return pack 'H*', sql('SELECT encode(' . (defined $from ? "substr($what, $from + 1, $n)" : $what) . ", 'hex')") }
my $caller = audio(q{mulberry.call_audio('talk', 'north')});
$answer = as('north supervisor', '/v1/call/talk/audio.wav');
is("$answer->{status} $answer->{headers}{'content-type'} $answer->{headers}{'accept-ranges'}", '200 audio/wav bytes', 'audio');
ok($answer->{content} eq $caller, 'of the first track');
ok(as('north supervisor', '/v1/call/talk/audio.wav?track=agent')->{content} eq audio(q{mulberry.call_audio('talk', 'north', 'agent')}), 'of another');
ok(as('north supervisor', '/v1/call/talk/audio.wav?layout=stereo')->{content} eq audio(q{mulberry.call_audio_stereo('talk', 'north')}), 'of two');
ok(as('north supervisor', '/v1/call/talk/audio.wav?layout=mono')->{content} eq audio(q{mulberry.call_audio_mixed('talk', 'north')}), 'of all in one');
is(told(as('north supervisor', '/v1/call/long/audio.wav?layout=mono')), '404 {"detail":"The audio of call long is too long for one answer: ask for a track"}', 'not beyond the limit');
is(as('north supervisor', '/v1/call/talk/audio.wav?layout=quadro')->{json}{detail}[0]{msg}, "Input should be 'stereo' or 'mono'", 'not in any other way');
is(told(as('north supervisor', '/v1/call/talk/audio.wav?track=nobody')), '404 {"detail":"call \"talk\" has no track \"nobody\""}', 'not of a track that is not there');
is(told(as('north supervisor', '/v1/call/words/audio.wav')), '400 {"detail":"call \"words\" has text and no audio"}', 'not of text');
is(told(as('north supervisor', '/v1/call/nobody/audio.wav')), '404 {"detail":"Call nobody not found"}', 'nor of a call that is not there');

my $long = audio(q{mulberry.call_audio('long', 'north')});
$answer = as('north supervisor', '/v1/call/long/audio.wav');
ok($answer->{status} == 200 && sha256_hex($answer->{content}) eq sha256_hex($long), 'a long one, in many parts');
my $version = $answer->{headers}{etag};
my $total = length $long;
$answer = head('north supervisor', '/v1/call/long/audio.wav');
is("$answer->{status} $answer->{headers}{'content-length'} $answer->{headers}{etag}", "200 $total $version", 'HEAD');
my $last = $total - 1;
foreach my $case ([ 'bytes=0-0', 0, 0 ], [ 'bytes=43-44', 43, 44 ], [ 'bytes=1000001-1000003', 1_000_001, 1_000_003 ], [ "bytes=$last-", $last, $last ], [ 'bytes=-5', $total - 5, $last ],
    [ "bytes=-" . ($total + 5), 0, $last ], [ 'bytes=524000-1600000', 524_000, 1_600_000 ], [ "bytes=10-" . ($total + 10), 10, $last ], [ 'BYTES=100-', 100, $last ])
{
    my ($range, $first, $end) = @$case;
    $answer = as('north supervisor', '/v1/call/long/audio.wav', Range => $range);
    is("$answer->{status} " . ($answer->{headers}{'content-range'} // ''), "206 bytes $first-$end/$total", $range);
    ok($answer->{content} eq substr($long, $first, $end - $first + 1), 'its bytes');
}
$answer = as('north supervisor', '/v1/call/long/audio.wav', Range => 'bytes=5-9', 'If-Range' => $version);
is("$answer->{status} " . length $answer->{content}, '206 5', 'a range of this file');
$answer = as('north supervisor', '/v1/call/long/audio.wav', Range => 'bytes=5-9', 'If-Range' => '"other"');
ok($answer->{status} == 200 && $answer->{content} eq $long, 'a range of another one is all of this one');
is(as('north supervisor', '/v1/call/long/audio.wav', 'If-None-Match' => $version)->{status}, 304, 'who has it already');
foreach my $range ("bytes=$total-", 'bytes=-0', 'bytes=99999999999-')
{
    $answer = as('north supervisor', '/v1/call/long/audio.wav', Range => $range);
    is("$answer->{status} $answer->{headers}{'content-range'}", "416 bytes */$total", "behind the end: $range");
}
foreach my $range ('bytes=5', 'bytes=9-5', 'bytes=a-b', 'bytes=1-2,5-6', 'lines=1-2', 'bytes=-', "bytes=" . '9' x 30 . '-')
{
    $answer = as('north supervisor', '/v1/call/talk/audio.wav', Range => $range);
    ok($answer->{status} == 200 && $answer->{content} eq $caller, "what is no range that is served is passed over: $range");
}

# ---- by clients that do not read, or of a call that changes ----

sub metric { my ($name) = @_; ask_admin($gateway, '/metrics')->{content} =~ /^mulberry_gateway_$name (\d+)/m; return $1 }
sub wait_for { my ($name, $value) = @_; wait_until(sub { metric($name) == $value }) or fail("$name is not $value") }
is(metric('downloads'), 0, 'no download is left');
my $before = resident_kb($gateway);
my @idle = map { connection($gateway, "GET /v1/call/long/audio.wav HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token{'north supervisor'}\r\nConnection: close\r\n\r\n") } 1 .. 9;
wait_for('downloads', 9);
is(told(as('north supervisor', '/v1/call/long/audio.wav')), '503 {"detail":"Too many downloads are under way"}', 'no more than the limit');
cmp_ok(resident_kb($gateway) - $before, '<', 9 * $total / 2048, 'they are not held in memory as a whole');
is(as('north supervisor', '/v1/call/talk')->{status}, 200, 'others are served meanwhile');
my $reader = shift @idle;
my $got = read_all($reader);
ok(substr($got, index($got, "\r\n\r\n") + 4) eq $long, 'who reads after all gets all of it');
# one more packet makes another file of it
sql(q{SELECT mulberry.ingest_packet('long', 525, '\x0102', tenant => 'north')});
foreach my $socket (@idle)
{
    $got = read_all($socket);
    my ($length) = $got =~ /^Content-Length: (\d+)/mi;
    cmp_ok(length($got), '<', $length, 'of a call that changed the rest is missing, and the client sees it');
    ok(substr($got, index($got, "\r\n\r\n") + 4) eq substr($long, 0, length($got) - index($got, "\r\n\r\n") - 4), 'what came is right');
}
wait_for('downloads', 0);
@idle = map { connection($gateway, "GET /v1/call/long/audio.wav HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token{'north supervisor'}\r\n\r\n") } 1 .. 5;
wait_for('downloads', 5);
close $_ foreach @idle;
wait_for('downloads', 0);
pass('who goes away leaves nothing behind');

# ---- who may ----

my %accesses = (map { ($_ => [qw(supervisor operator auditor admin)]) } map { "transcript.$_" } qw(txt srt vtt json));
$accesses{$_} = [qw(supervisor operator admin)] foreach qw(audio.wav waveform.svg);
$accesses{''} = [qw(ingest supervisor operator auditor admin)];
foreach my $what (sort keys %accesses)
{
    my $path = sub { my ($call) = @_; return "/v1/call/$call" . ($what ? "/$what" : '') };
    is(told(ask($gateway, 'GET', $path->('words'))), '401 {"detail":"Not authenticated"}', "without a token: $what");
    is(told(ask($gateway, 'GET', $path->('words'), token => 'x' x 40)), '401 {"detail":"The token is not valid"}', 'with a wrong one');
    foreach my $access (qw(ingest supervisor operator auditor admin))
    {
        my ($mine, $none) = map { told(ask($gateway, 'GET', $path->($_), token => $token{"north $access"})) =~ s/$_/CALL/gr } 'words', 'nobody';
        my ($foreign, $missing) = map { told(ask($gateway, 'GET', $path->($_), token => $token{"south $access"})) =~ s/$_/CALL/gr } 'words', 'nobody';
        if (grep { $_ eq $access } @{ $accesses{$what} })
        {
            isnt($mine, $none, "as $access: of a call that is there");
            is($foreign, $missing, 'for another tenant it is not');
            is($foreign, '404 {"detail":"Call CALL not found"}', 'as if it were not there');
        }
        else
        {
            is($_, '403 {"detail":"The token has not the access that this needs"}', "as $access") foreach $mine, $none, $foreign, $missing;
        }
    }
    $answer = ask($gateway, 'PUT', $path->('words'), token => $token{'north supervisor'}, body => {});
    like("$answer->{status} $answer->{headers}{allow}", qr/^405 GET, HEAD, (?:DELETE, )?OPTIONS$/, 'another method');
}

kill 'TERM', $gateway->{pid};
$gateway->{run}->finish;
is($gateway->{run}->result(0) // 0, 0, 'it ends');
done_testing();
