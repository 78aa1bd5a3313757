# GET /v1/listen of mulberry-speech, with a client of another maker (python3-websockets): Deepgram's form of streaming
# recognition.  Needs no PostgreSQL.  MULBERRY_SPEECH names another build of the program.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);

use Mulberry::Speech;

my $python = '/usr/bin/python3';
plan skip_all => 'needs python3-websockets' if system("$python -c 'import websockets' 2>/dev/null") != 0;

my $server = start_server('--streams', 2, '--max-audio-seconds', 20);
my $first = samples($server, 'I would like to change my appointment.', voice => 'rms');
my $second = samples($server, 'The line is clear and the service is great.', voice => 'rms');
my $dialogue = spew("$dir/dialogue", silence(1) . $first . silence(1.5) . $second . silence(1.5));
my $wide = 'encoding=linear16&sample_rate=16000';

my $clients = 0;
sub start_listening
{
    my ($query, $script, @headers) = @_;
    my $out = '';
    my $client = { out => \$out };
    my $file = spew("$dir/script" . $clients++, join '', map { encode_json($_) . "\n" } @$script);
    $client->{run} = IPC::Run::start([ $python, "$FindBin::RealBin/lib/Mulberry/listener.py", "ws://127.0.0.1:$server->{port}/v1/listen?$query", @headers ],
        '<', $file, '>', \$out, '2>', "$dir/listener.err");
    return $client;
}
sub lines_of { my ($client) = @_; $client->{run}->finish; return split /\n/, ${ $client->{out} } }
sub listen_to { return lines_of(start_listening(@_)) }
sub heard_until
{
    my ($client, $pattern) = @_;
    my $until = time + $patience;
    while (${ $client->{out} } !~ $pattern && $client->{run}->pumpable && time < $until) { $client->{run}->pump_nb; sleep 0.02 }
    like(${ $client->{out} }, $pattern, "heard $pattern");
    return;
}
sub messages { return map { decode_json($_) } grep { /^\{/ } @_ }
sub results { return grep { $_->{type} eq 'Results' } messages(@_) }
sub finals { return grep { $_->{is_final} } results(@_) }
sub text { my ($result) = @_; return $result->{channel}{alternatives}[0]{transcript} }

# ---- what is said ----

my @close = ([ 'text', '{"type":"CloseStream"}' ]);
my @lines = listen_to("$wide&interim_results=true&vad_events=true&utterance_end_ms=1000&model=nova-3&smart_format=true&language=en-US",
    [ [ 'audio', $dialogue, 640 ], @close ]);
my @finals = finals(@lines);
is(join('|', map { text($_) } @finals), 'i would like to change my appointment|the line is clear and the service is great', 'two sentences') or diag(@lines);
is_deeply([ map { !!$_->{speech_final} } @finals ], [ !!1, !!1 ], 'each ended by a pause');
my @interim = grep { !$_->{is_final} } results(@lines);
cmp_ok(scalar @interim, '>', 4, 'and told while they were spoken');
is(text($interim[-1]), text($finals[1]), 'to their end');
my $starts = length($first) / 32000 + 2.5;
my ($begin, $end) = ($finals[1]{start}, $finals[1]{start} + $finals[1]{duration});
cmp_ok(abs($begin - $starts), '<', 0.5, "the second begins where it does: $begin, $starts");
cmp_ok(abs($end - $starts - length($second) / 32000), '<', 0.6, "and ends there: $end");
my @words = @{ $finals[1]{channel}{alternatives}[0]{words} };
is(join(' ', map { $_->{word} } @words), text($finals[1]), 'with its words');
ok(!(grep { $_->{start} < $begin || $_->{end} > $end || $_->{end} <= $_->{start} || $_->{confidence} <= 0 || $_->{confidence} > 1 } @words), 'their times and confidences');
is(join(' ', map { $_->{type} } grep { $_->{type} ne 'Results' } messages(@lines)), 'SpeechStarted UtteranceEnd SpeechStarted UtteranceEnd Metadata', 'who speaks is told');
my $metadata = (messages(@lines))[-1];
is($metadata->{duration}, (-s $dialogue) / 32000, 'and at the end how much was heard');
is($metadata->{request_id}, $finals[0]{metadata}{request_id}, 'under one name');
is($lines[-1], 'closed 1000 ', 'and it is over');

# ---- the same, however it comes ----

sub said { return join '|', map { encode_json([ text($_), $_->{start} . '', $_->{duration} . '' ]) } finals(@_) }
my @pair = map { start_listening($wide, [ [ 'audio', $dialogue, $_ ], @close ]) } 333, 100_000;
my @said = map { said(lines_of($_)) } @pair;
is($said[0], $said[1], 'pieces of any size, halves of samples among them, by two clients at once');
my $rate8 = spew("$dir/mulaw", speak($server, input => 'Thank you for calling.', voice => 'rms', response_format => 'ulaw')->{content} . "\xff" x 8000);
@lines = listen_to('encoding=mulaw&sample_rate=8000', [ [ 'audio', $rate8, 160 ], @close ]);
is((messages(@lines))[-1]{duration}, (-s $rate8) / 8000, 'mu-law at 8 kHz');
like(join(' ', map { text($_) } finals(@lines)), qr/you for calling/, 'is understood') or diag(@lines);

# ---- what a client asks for ----

my $half = spew("$dir/half", silence(1) . $first);
@lines = listen_to("$wide&endpointing=3000", [ [ 'audio', $half, 640 ], [ 'text', '{"type":"Finalize"}' ], [ 'await', '"from_finalize":true' ], [ 'text', '{"type":"Finalize"}' ], @close ]);
@finals = finals(@lines);
is(join('|', map { text($_) . " $_->{from_finalize}" } @finals), 'i would like to change my appointment 1| 1', 'Finalize: what was heard so far, once, and that there is no more') or diag(@lines);
@lines = listen_to("$wide&endpointing=false", [ [ 'audio', $dialogue, 6400 ], @close ]);
is_deeply([ map { !!$_->{speech_final} } finals(@lines) ], [ !!0, !!0 ], 'endpointing=false: pieces, and no end of speech');
spew("$dir/none", silence(0.5));
@lines = listen_to($wide, [ [ 'audio', "$dir/none", 640 ], @close ]);
is(scalar(finals(@lines)), 0, 'silence has no results');
is($lines[-1], 'closed 1000 ', 'and ends well');
@lines = listen_to($wide, [ @close ]);
is((messages(@lines))[-1]{duration}, 0, 'a stream without sound');

# ---- who asks for what is not there ----

sub refusal
{
    my ($query) = @_;
    my $answer = $http->get("$server->{url}/v1/listen?$query", { headers => { Upgrade => 'websocket', Connection => 'Upgrade', 'Sec-WebSocket-Version' => 13, 'Sec-WebSocket-Key' => 'AAAAAAAAAAAAAAAAAAAAAA==' } });
    $answer->{json} = eval { decode_json($answer->{content}) };
    return $answer;
}
my %wrong = (
    'sample_rate=8000' => [ 400, 'missing_required_parameter' ], 'encoding=mulaw' => [ 400, 'missing_required_parameter' ],
    'encoding=opus&sample_rate=8000' => [ 400, 'unsupported_audio' ], 'encoding=mulaw&sample_rate=7999' => [ 400, 'invalid_value' ],
    'encoding=mulaw&sample_rate=8000x' => [ 400, 'invalid_value' ], "$wide&channels=2" => [ 400, 'invalid_value' ], "$wide&interim_results=1" => [ 400, 'invalid_value' ],
    "$wide&endpointing=9" => [ 400, 'invalid_value' ], "$wide&utterance_end_ms=999" => [ 400, 'invalid_value' ], "$wide&language=de" => [ 422, 'unsupported_language' ],
    "$wide&model=none" => [ 404, 'model_not_found' ], "$wide&diarize=true" => [ 400, 'unknown_parameter' ], "$wide&x=%ff" => [ 400, 'invalid_value' ],
    join('&', map { "tag=$_" } 1 .. 41) => [ 400, 'invalid_value' ]);
refused_ok(refusal($_), @{ $wrong{$_} }, qr/./, $_) foreach sort keys %wrong;
refused_ok({ %{ $_ = $http->get("$server->{url}/v1/listen?$wide") }, json => decode_json($_->{content}) }, 426, 'malformed_request', qr/WebSocket/, 'no WebSocket');

my @both = map { start_listening($wide, [ [ 'audio', "$dir/none", 640 ], [ 'await', 'never' ] ]) } 1, 2;
heard_until($_, qr/^connected/) foreach @both;
my $answer = refusal($wide);
refused_ok($answer, 503, 'server_busy', qr/2 streams/, 'one too many');
is($answer->{headers}{'retry-after'}, 1, 'is told when to come again');
is_deeply([ @{ health($server)->{streams} }{qw(limit running refused)} ], [ 2, 2, 1 ], 'health tells of them');

# ---- ends ----

lines_of($_) foreach @both;
is((split /\n/, ${ $_->{out} })[-1], 'closed 1011 no audio and no KeepAlive came for 10 s', 'who says nothing for 10 s is gone') foreach @both;
like((listen_to($wide, [ [ 'text', '{"type":"Dance"}' ] ]))[-1], qr/^closed 1008 a text message must be JSON with the type/, 'an unknown message');
like((listen_to($wide, [ [ 'text', 'x' ] ]))[-2], qr/^\{"type": ?"Error", ?"variant": ?"DATA-0000"/, 'text that is no JSON');
@lines = listen_to($wide, [ [ 'audio', spew("$dir/long", $first . silence(20)), 32_000 ] ]);
is($lines[-1], 'closed 1008 the stream is longer than this server takes', 'a stream that is too long');
is(join('|', map { text($_) } finals(@lines)), 'i would like to change my appointment', 'is recognized up to there');
ok(wait_until(sub { health($server)->{streams}{running} == 0 && !child_pids($server) }), 'their processes are gone');

my $client = start_listening("$wide&interim_results=true", [ [ 'audio', $half, 640 ], [ 'await', '"is_final":false' ], ['vanish'] ]);
lines_of($client);
ok(wait_until(sub { health($server)->{streams}{running} == 0 && !child_pids($server) }), 'and that of who vanishes');
$client = start_listening("$wide&interim_results=true", [ [ 'audio', $half, 640 ], [ 'await', 'never' ] ]);
heard_until($client, qr/"is_final":false/);
kill 'KILL', child_pids($server);
is((lines_of($client))[-1], 'closed 1011 the recognizer failed', 'a process that dies ends its stream');
is(health($server)->{streams}{failed}, 1, 'which is counted');
$client = start_listening($wide, [ [ 'audio', "$dir/none", 640 ], [ 'await', 'never' ] ]);
heard_until($client, qr/^connected/);
is(stop_server($server), 0, 'SIGTERM');
like((lines_of($client))[-1], qr/^closed 1001/, 'ends streams');

$server = start_server('--api-key-file', spew("$dir/keys", "secret-key\n"));
is((listen_to($wide, [ @close ]))[0], 'refused 401', 'a key is asked for');
is((listen_to($wide, [ @close ], "Authorization=$_ secret-key"))[-1], 'closed 1000 ', "$_") foreach 'Token', 'Bearer';
is((listen_to($wide, [ [ 'audio', spew("$dir/flood", $second x 30), 500_000 ], @close ], 'Authorization=Token secret-key'))[-1],
    'closed 1008 sound comes faster than it can be recognized', 'what comes too fast ends a stream');
is(stop_server($server), 0, 'and ends');
done_testing();
