# mulberry-speech by its HTTP interface: recognition and synthesis, every
# refusal, and its end.  Limits are in 021_speech_limits.pl.  Needs no PostgreSQL.
# MULBERRY_SPEECH names another build of the program.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run qw(run);
use JSON::PP;
use Test::More;

use Mulberry::Speech;

# --- the command line ----------------------------------------------------------

run([ $program, '--help' ], '>', \my $help, '2>', \my $help_error);
is($?, 0, '--help succeeds');
like($help, qr/--$_\b/, "--help tells of --$_")
    for qw(listen port port-file api-key-file transcribers queue max-body receive-timeout grace);
run([ $program, '--version' ], '>', \my $version);
like($version, qr/^mulberry-speech \d+\.\d+$/, '--version');

for my $case (
    [ 'an unknown option', 2, qr/there is no such flag/, '--nonsense' ],
    [ 'a stray argument', 2, qr/x: there is no such flag/, 'x' ],
    [ 'a port out of range', 2, qr/--port: "70000" is no number from 0 to 65535/, '--port', '70000' ],
    [ 'an address that is a name', 2, qr/must be a numeric/, '--listen', 'localhost' ],
    [ 'another address than loopback', 2, qr/not a loopback address.*--allow-remote/s, '--listen', '0.0.0.0' ],
    [ 'a missing model', 1, qr/could not read the dictionary/, '--dictionary', "$dir/none" ],
    [ 'a missing key file', 1, qr/could not open API key file/, '--api-key-file', "$dir/none" ],
    [ 'an empty key file', 1, qr/holds no key/, '--api-key-file', spew("$dir/empty.keys", "# none\n") ])
{
    my ($name, $status, $message, @options) = @$case;
    run([ $program, '--port', '0', @options ], '>', \my $out, '2>', \my $err);
    is($? >> 8, $status, "$name: exit status");
    like($err, $message, "$name: says why");
}

# --- what is there --------------------------------------------------------------

# its grace is longer than what it does at its end may take on a busy machine
my $server = start_server('--grace', 240);
ok($server->{port} > 0, 'the port file has the port');
wait_until(sub { $server->{run}->pump_nb; length $server->{out} });
is($server->{out}, "listening on http://127.0.0.1:$server->{port}\n", 'the chosen port is printed');

my $health = health($server);
is($health->{status}, 'ok', 'health');
is($http->head("$server->{url}/health")->{status}, 200, 'HEAD of health');
my $models = decode_json($http->get("$server->{url}/v1/models")->{content});
is(join(' ', map { $_->{id} } @{ $models->{data} }), 'pocketsphinx-en-us flite espeak-ng', 'models');
is(decode_json($http->get("$server->{url}/v1/models/flite")->{content})->{object}, 'model', 'one model');
my $voices = decode_json($http->get("$server->{url}/v1/audio/voices")->{content});
my %voice = map { $_->{id} => $_ } @{ $voices->{data} };
is($voice{slt}{engine}, 'flite', 'a voice of flite');
is($voice{alloy}{alias_of}, 'slt', 'an alias');
is($voice{de}{engine}, 'espeak-ng', 'a language of espeak-ng');

# --- recognition ----------------------------------------------------------------

my $sentence = 'I would like to change my appointment from Monday to Wednesday afternoon.';
my @sure = qw(would like change from monday to wednesday afternoon);

# Words that a transcript lacks.
sub missing_words
{
    my ($text, @words) = @_;
    return join ' ', grep { $text !~ /\b$_\b/ } @words;
}

run([ 'flite', '-voice', 'slt', '-t', $sentence, '-o', "$dir/flite.wav" ]) or die 'flite';
my $recording = slurp("$dir/flite.wav");
my $answer = transcribe($server, $recording, model => 'pocketsphinx-en-us', language => 'en');
is($answer->{status}, 200, 'a recording by flite is transcribed') or diag($answer->{content});
is(missing_words($answer->{json}{text}, @sure), '', 'with the words that were spoken') or diag($answer->{json}{text});
is($answer->{json}{usage}{type}, 'duration', 'with its usage');
like($answer->{headers}{'x-request-id'}, qr/^[0-9a-f]{16}$/, 'and a request id');

my $first = $answer->{content};
$answer = transcribe($server, $recording, response_format => 'text');
like($answer->{headers}{'content-type'}, qr{^text/plain}, 'text is text');
is(missing_words($answer->{content}, @sure), '', 'text has the words');

$answer = transcribe($server, $recording, response_format => 'verbose_json');
my $verbose = $answer->{json};
my $seconds = (length($recording) - 44) / 32000;
is($verbose->{task}, 'transcribe', 'verbose_json: task');
is($verbose->{language}, 'english', 'language');
ok(abs($verbose->{duration} - $seconds) < 0.01, 'duration');
is(scalar @{ $verbose->{segments} }, 1, 'one segment');
is(join(' ', sort keys %{ $verbose->{segments}[0] }),
    'avg_logprob compression_ratio end id no_speech_prob seek start temperature text tokens', 'with all fields');
is($verbose->{segments}[0]{text}, $verbose->{text}, 'the segment has the text');
is(join(' ', map { $_->{word} } @{ $verbose->{words} }), $verbose->{text}, 'the words make the text');
my $disorder = 0;
my $end = 0;
for my $word (@{ $verbose->{words} })
{
    $disorder++ if $word->{start} < $end - 0.001 || $word->{end} <= $word->{start} || $word->{end} > $seconds + 0.01
        || $word->{probability} <= 0 || $word->{probability} > 1;
    $end = $word->{end};
}
is($disorder, 0, 'their times follow one another within the recording');

my $samples = substr($recording, 44);
my $late = transcribe($server, wav(silence(2) . $samples), response_format => 'verbose_json')->{json};
my %start = map { $_->{word} => $_->{start} } @{ $verbose->{words} };
my %late_start = map { $_->{word} => $_->{start} } @{ $late->{words} };
ok(abs($late_start{afternoon} - $start{afternoon} - 2) < 0.1, 'two seconds of silence before shift the times by two');

$answer = transcribe($server, $recording, response_format => 'verbose_json', 'timestamp_granularities[]' => 'word');
ok(exists $answer->{json}{words} && !exists $answer->{json}{segments}, 'timestamp_granularities[] selects the words');
$answer = transcribe($server, wav($samples . silence(1) . $samples), response_format => 'srt');
like($answer->{content}, qr/^1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\n[a-z' ]+\n\n2\n00:00:0\d,/, 'srt has two parts');
$answer = transcribe($server, $recording, response_format => 'vtt');
like($answer->{content}, qr/^WEBVTT\n\n00:00:0\d\.\d{3} --> 00:00:0\d\.\d{3}\n/, 'vtt');

$answer = transcribe($server, wav(silence(3)));
is($answer->{json}{text}, '', 'silence has no words');
is($answer->{status}, 200, 'and is no error');

# What the telephone makes of it; recognition is poorer, and depends on the voice.
my $mulaw = speak($server, input => $sentence, voice => 'rms', response_format => 'ulaw')->{content};
my $alaw = speak($server, input => $sentence, voice => 'rms', response_format => 'alaw')->{content};
for my $case (
    [ 'mu-law at 8 kHz', wav($mulaw, format => 7, rate => 8000, bits => 8) ],
    [ 'A-law at 8 kHz', wav($alaw, format => 6, rate => 8000, bits => 8) ],
    [ '16 bits at 8 kHz', wav(samples($server, $sentence, sample_rate => 8000, voice => 'rms'), rate => 8000) ],
    [ '16 bits at 24 kHz', wav(samples($server, $sentence, sample_rate => 24000), rate => 24000) ],
    [ '16 bits at 44.1 kHz', wav(samples($server, $sentence, sample_rate => 44100), rate => 44100) ],
    [ '8 bits', wav(pack('C*', map { ($_ + 32768) >> 8 } unpack('s<*', $samples)), bits => 8) ],
    [ 'two channels', wav(pack('s<*', map { ($_, $_) } unpack('s<*', $samples)), channels => 2) ])
{
    my ($name, $wav) = @$case;
    my $text = transcribe($server, $wav)->{json}{text} // '';
    is(missing_words($text, qw(monday wednesday)), '', "a recording of $name") or diag($text);
}

# Long recordings: pauses cut them, and so does the longest utterance where there is no pause.
my %spoken = (
    weather => 'The weather is cold and windy in the north.',
    doctor => 'Please call the doctor and tell him about it.',
    train => 'The train leaves at seven in the morning.',
    money => 'We are sorry and will return your money.',
    kitchen => 'The water in the kitchen is running.',
    office => 'Can you tell me when the office will open?',
    letter => 'We received your letter last week.',
    system => 'He said that the new system works well.');
my %said = map { $_ => samples($server, $spoken{$_}) } keys %spoken;

my $long = join silence(20), map { $said{$_} } sort keys %said;
my $transcript = transcribe($server, wav($long), response_format => 'verbose_json')->{json};
ok($transcript->{duration} > 150, 'a recording of some minutes');
is(scalar @{ $transcript->{segments} }, 8, 'has a segment for each thing said');
my $in_order = join '.*', sort keys %said;
like($transcript->{text}, qr/$in_order/, 'in its order');
ok($transcript->{words}[-1]{start} > 140, 'with its time');

my $breathless = wav($samples x 12);
$transcript = transcribe($server, $breathless, response_format => 'verbose_json')->{json};
my @monday = $transcript->{text} =~ /\bmonday\b/g;
ok(@monday >= 10, 'a minute without a pause') or diag($transcript->{text});
my ($longest) = sort { $b <=> $a } map { $_->{end} - $_->{start} } @{ $transcript->{segments} };
ok($longest <= 20.5, 'no utterance gets longer than 20 s') or diag($longest);

is(transcribe($server, $recording)->{content}, $first, 'the answer does not depend on what came before');

# --- several at once --------------------------------------------------------------

my %sockets = map { $_ => raw_transcription($server, wav($said{$_})) } sort keys %spoken;
for my $word (sort keys %sockets)
{
    my $text = read_all($sockets{$word}) // '';
    like($text, qr/^HTTP\/1.1 200 .*\b$word\b/s, "one of eight at once: $word");
}

# --- synthesis ---------------------------------------------------------------------

$answer = speak($server, model => 'tts-1', input => $sentence, voice => 'alloy');
is($answer->{headers}{'content-type'}, 'audio/wav', 'speech is WAV when nothing is said');
is(missing_words(transcribe($server, $answer->{content})->{json}{text}, @sure), '', 'what was spoken is understood');
$answer = speak($server, input => $sentence, response_format => 'pcm');
is($answer->{headers}{'content-type'}, 'audio/pcm;rate=24000;channels=1', 'pcm has the rate of OpenAI');
my $pcm_seconds = length($answer->{content}) / 48000;
ok(abs($pcm_seconds - length(speak($server, input => $sentence, response_format => 'ulaw')->{content}) / 8000) < 0.01, 'and lasts as long as mu-law at 8 kHz');
my $slow = length(speak($server, input => $sentence, response_format => 'pcm', speed => 0.5)->{content}) / 48000;
ok($slow > 1.7 * $pcm_seconds && $slow < 2.3 * $pcm_seconds, 'half the speed takes twice the time');
my %sounds = map { speak($server, input => 'Hello.', voice => $_)->{content} => $_ } qw(slt rms awb kal16 en-us de+f2);
is(scalar keys %sounds, 6, 'each voice sounds different');
ok(length(speak($server, input => "Gr\x{fc}\x{df} Gott, \x{4f60}\x{597d}", voice => 'zh')->{content}) > 10000, 'other scripts');
is(speak($server, input => "Caf\x{e9} \x{201c}na\x{ef}ve\x{201d} \x{1f600}")->{status}, 200, 'English voices read accents and skip emoji');
my $essay = speak($server, input => substr('This is one of many sentences, and it goes on for a while. ' x 100, 0, 4096), response_format => 'ulaw');
ok(length($essay->{content}) > 150 * 8000, 'a text of 4,096 characters');

# --- refusals ------------------------------------------------------------------------

sub transcription_refused
{
    my ($name, $status, $code, $message, $body, $headers) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    refused_ok(post($server, '/v1/audio/transcriptions', $body, $headers // \%multipart_header), $status, $code, $message, $name);
    return;
}

my $small = wav(silence(0.2));
transcription_refused('no file', 400, 'missing_required_parameter', qr/"file"/, multipart(model => 'whisper-1'));
transcription_refused('two files', 400, 'invalid_value', qr/only one file/, multipart(file => \$small, file => \$small));
transcription_refused('an empty file', 415, 'unsupported_audio', qr/not WAV/, multipart(file => \''));
transcription_refused('a file that is not WAV', 415, 'unsupported_audio', qr/not WAV/, multipart(file => \"ID3\x03" . 'x' x 5000));
transcription_refused('a size that lies', 400, 'invalid_audio', qr/claims 400000 bytes of sound and holds 6400/,
    multipart(file => \wav(silence(0.2), size => 400000)));
transcription_refused('a header cut short', 400, 'invalid_audio', qr/./, multipart(file => \substr($small, 0, 30)));
transcription_refused('no samples', 400, 'invalid_audio', qr/no sound/, multipart(file => \wav('')));
transcription_refused('a codec', 415, 'unsupported_audio', qr/codec/, multipart(file => \wav('x' x 100, format => 0x55, bits => 8)));
transcription_refused('a rate', 415, 'unsupported_audio', qr/sample rate of 1000 Hz/, multipart(file => \wav('xx' x 100, rate => 1000)));
transcription_refused('an unknown response_format', 400, 'invalid_value', qr/json, verbose_json, text, srt, vtt, not "yaml"/,
    multipart(file => \$small, response_format => 'yaml'));
transcription_refused('another language', 422, 'unsupported_language', qr/"de".*English/, multipart(file => \$small, language => 'de'));
transcription_refused('an unknown model', 404, 'model_not_found', qr/"gpt-9".*pocketsphinx-en-us/, multipart(file => \$small, model => 'gpt-9'));
transcription_refused('a model for speech', 404, 'model_not_found', qr/"flite"/, multipart(file => \$small, model => 'flite'));
transcription_refused('a temperature', 400, 'invalid_value', qr/from 0 to 1/, multipart(file => \$small, temperature => '1.5'));
transcription_refused('streaming', 400, 'unsupported_value', qr/stream/, multipart(file => \$small, stream => 'true'));
transcription_refused('granularities with json', 400, 'invalid_value', qr/verbose_json/, multipart(file => \$small, 'timestamp_granularities[]' => 'word'));
transcription_refused('an unknown granularity', 400, 'invalid_value', qr/word or segment/,
    multipart(file => \$small, response_format => 'verbose_json', 'timestamp_granularities[]' => 'letter'));
transcription_refused('an unknown field', 400, 'unknown_parameter', qr/"colour"/, multipart(file => \$small, colour => 'red'));
transcription_refused('a name that is not UTF-8', 400, 'unknown_parameter', qr/"colo\?r"/, multipart(file => \$small, "colo\xffr" => 'red'));
for my $field (qw(model language response_format prompt temperature stream chunking_strategy timestamp_granularities[]))
{
    transcription_refused("a value of $field that is not UTF-8", 400, 'invalid_value', qr/"\Q$field\E" is not valid UTF-8/,
        multipart(file => \$small, $field => "a\xff\xfeb"));
}
(my $short = multipart(file => \$small)) =~ s/XXbordXX/b/g;
is(post($server, '/v1/audio/transcriptions', $short, { 'Content-Type' => "multipart/form-data; boundary=$_" })->{status}, 200,
    "a boundary of one character, $_")
    for 'b', '"b"';
transcription_refused('too many fields', 400, 'invalid_form', qr/too many/, multipart(map { ("field$_" => 'x') } 1 .. 40));
transcription_refused('a field too long', 400, 'invalid_form', qr/too long/, multipart(file => \$small, prompt => 'x' x 70000));
transcription_refused('a form cut short', 400, 'invalid_form', qr/multipart/, substr(multipart(file => \$small), 0, -40));
transcription_refused('no multipart', 400, 'invalid_form', qr/multipart/, 'file=x');
transcription_refused('another content type', 415, 'unsupported_media_type', qr{multipart/form-data}, '{}', { 'Content-Type' => 'application/json' });
transcription_refused('a missing boundary', 415, 'unsupported_media_type', qr/boundary/, 'x', { 'Content-Type' => 'multipart/form-data' });
transcription_refused('a boundary too long', 415, 'unsupported_media_type', qr/boundary/, 'x',
    { 'Content-Type' => 'multipart/form-data; boundary=' . 'b' x 100 });

sub speech_refused
{
    my ($name, $status, $code, $message, $body) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $body = encode_json($body) if ref $body;
    refused_ok(post($server, '/v1/audio/speech', $body, { 'Content-Type' => 'application/json' }), $status, $code, $message, $name);
    return;
}

speech_refused('malformed JSON', 400, 'invalid_json', qr/line 1, column \d+/, '{"input": ');
speech_refused('JSON that is no object', 400, 'invalid_json', qr/object/, '[1]');
speech_refused('a member twice', 400, 'invalid_json', qr/duplicate/, '{"input": "a", "input": "b"}');
speech_refused('text that is not UTF-8', 400, 'invalid_json', qr/./, "{\"input\": \"\xff\xfe\"}");
speech_refused('no input', 400, 'missing_required_parameter', qr/input/, { voice => 'slt' });
speech_refused('empty input', 400, 'invalid_value', qr/input must not be empty/, { input => '' });
speech_refused('input without a word', 422, 'nothing_to_say', qr/no letter/, { input => " !? \x{2026} \x{1f600} " });
speech_refused('over-long input', 422, 'string_above_max_length', qr/4096 characters at most, and has 4097/, { input => 'x' x 4097 });
speech_refused('input of another type', 400, 'invalid_type', qr/string/, { input => 5 });
speech_refused('an unknown voice', 400, 'invalid_value', qr/no voice "bob"; there are: slt, rms.*alloy.*en-us/, { input => 'a', voice => 'bob' });
speech_refused('a voice that is a path', 400, 'invalid_value', qr/no voice/, { input => 'a', voice => '../../etc/passwd' });
speech_refused('an unknown variant', 400, 'invalid_value', qr/no voice/, { input => 'a', voice => 'de+nosuch' });
speech_refused('a voice of another model', 400, 'invalid_value', qr/does not belong/, { input => 'a', model => 'flite', voice => 'de' });
speech_refused('another script for an English voice', 422, 'unsupported_character', qr/U\+4F60/, { input => "\x{4f60}\x{597d}" });
speech_refused('an unknown format', 400, 'invalid_value', qr/wav, pcm, ulaw/, { input => 'a', response_format => 'mp3' });
speech_refused('a speed', 422, 'invalid_value', qr/0.25 to 4/, { input => 'a', speed => 9 });
speech_refused('a sample rate', 422, 'invalid_value', qr/8000 to 48000/, { input => 'a', sample_rate => 1 });
speech_refused('G.711 at 16 kHz', 422, 'invalid_value', qr/8000/, { input => 'a', response_format => 'ulaw', sample_rate => 16000 });
speech_refused('an unknown model', 404, 'model_not_found', qr/"x"/, { input => 'a', model => 'x' });
speech_refused('an unknown member', 400, 'unknown_parameter', qr/"colour"/, { input => 'a', colour => 'red' });
refused_ok(post($server, '/v1/audio/speech', 'input=a', { 'Content-Type' => 'application/x-www-form-urlencoded' }),
    415, 'unsupported_media_type', qr{application/json}, 'a form instead of JSON');
refused_ok(post($server, '/v1/audio/speech', '{"input": "' . 'x' x 500_000 . '"}', { 'Content-Type' => 'application/json' }),
    413, 'request_too_large', qr/bytes at most/, 'a very long text');

for my $case ([ 'GET', '/v1/audio/speech', 405, 'method_not_allowed' ], [ 'DELETE', '/health', 405, 'method_not_allowed' ],
    [ 'GET', '/v2/nothing', 404, 'unknown_url' ], [ 'GET', '/v1/models/none', 404, 'model_not_found' ])
{
    my ($method, $path, $status, $code) = @$case;
    $answer = $http->request($method, "$server->{url}$path");
    $answer->{json} = decode_json($answer->{content});
    refused_ok($answer, $status, $code, qr/./, "$method $path");
    is($answer->{headers}{allow}, $path eq '/health' ? 'GET, HEAD' : 'POST', 'and tells what is allowed') if $status == 405;
}

# --- memory ------------------------------------------------------------------------

my $word = wav(samples($server, 'Yes.'));
my $hundred = sub {
    for my $i (1 .. 25)
    {
        transcribe($server, $word);
        speak($server, input => 'Hello there.', voice => $i % 2 ? 'rms' : 'en-us');
        transcribe($server, "no sound $i");
        $http->get("$server->{url}/v1/audio/voices");
    }
};
$hundred->();
my $before = resident_kb($server);
$hundred->();
my $growth = resident_kb($server) - $before;
SKIP:
{
    skip 'the sanitizer keeps freed memory', 1 if slurp($program) =~ /__asan_init/;
    ok($growth < 4096, 'a hundred requests more leave the server as large as it was') or diag("$growth kB");
}
$health = health($server);
is($health->{buffered_bytes}, 0, 'nothing stays accounted for');
is($health->{transcription}{failed} + $health->{synthesis}{failed}, 0, 'no job has failed so far');

# --- an end in order -------------------------------------------------------------------

my $pending = raw_transcription($server, wav($samples));
wait_until(sub { health($server)->{transcription}{running} == 1 });
is(stop_server($server), 0, 'SIGTERM ends the server');
like(read_all($pending), qr/^HTTP\/1.1 200 .*wednesday/s, 'after the running request was answered');
ok(!-e $server->{port_file}, 'the port file is gone');
unlike(slurp($server->{err}), qr/monday|wednesday/i, 'the log holds nothing that was said');
unlike(slurp($server->{err}), qr/ERROR|runtime error|AddressSanitizer/, 'nor an error');

done_testing();
