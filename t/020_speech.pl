# mulberry-speech by its HTTP interface: recognition and synthesis, every
# refusal, and what happens to it when clients are many, slow, gone or hostile.
# Needs no PostgreSQL.  MULBERRY_SPEECH names another build of the program.
use strict;
use warnings;

use FindBin;
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use IPC::Run qw(start run finish);
use JSON::PP;
use Test::More;
use Time::HiRes qw(time sleep);

my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::Bin/..";
my $program = $ENV{MULBERRY_SPEECH} // "$programs/speech/mulberry-speech";
my $dir = tempdir(CLEANUP => 1);
my $http = HTTP::Tiny->new(timeout => 900);
my %servers;

# A timeout for what should take a moment, on a machine that is busy.
my $patience = 300;

END
{
    my $status = $?;
    kill 'KILL', $_->{pid} for values %servers;
    $? = $status;
}

# --- helpers -----------------------------------------------------------------

# A running server: {pid, port, url, out, err, run}.
sub start_server
{
    my @options = @_;
    my $name = 'server' . (1 + keys %servers);
    my $server = { port_file => "$dir/$name.port", out => '', err => "$dir/$name.err" };

    $server->{run} = start([ $program, '--port', '0', '--nice', '0', '--port-file', $server->{port_file}, @options ],
        '<', \undef, '>', \$server->{out}, '2>', $server->{err});
    $server->{pid} = $server->{run}{KIDS}[0]{PID};
    wait_until(sub { -s $server->{port_file} || !kill 0, $server->{pid} });
    chomp($server->{port} = slurp($server->{port_file}));
    $server->{url} = "http://127.0.0.1:$server->{port}";
    $servers{$name} = $server;
    $server->{name} = $name;
    return $server;
}

# SIGTERM; returns the exit status.
sub stop_server
{
    my ($server) = @_;
    delete $servers{ $server->{name} };
    kill 'TERM', $server->{pid};
    finish $server->{run};
    return $server->{run}->full_result(0);
}

sub slurp
{
    my ($path) = @_;
    open my $file, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$file>;
}

sub spew
{
    my ($path, $content) = @_;
    open my $file, '>:raw', $path or die "$path: $!";
    print $file $content;
    close $file;
    return $path;
}

# Whether a condition comes true in time.
sub wait_until
{
    my ($condition, $seconds) = @_;
    my $end = time + ($seconds // $patience);
    while (time < $end)
    {
        return 1 if $condition->();
        sleep 0.05;
    }
    return 0;
}

sub child_pids
{
    my ($server) = @_;
    return split ' ', slurp("/proc/$server->{pid}/task/$server->{pid}/children");
}

sub resident_kb
{
    my ($server) = @_;
    return (slurp("/proc/$server->{pid}/status") =~ /VmRSS:\s+(\d+)/)[0];
}

sub health
{
    my ($server) = @_;
    return decode_json($http->get("$server->{url}/health")->{content});
}

# A WAV file around data.
sub wav
{
    my ($data, %is) = @_;
    my ($format, $rate, $bits, $channels) =
        ($is{format} // 1, $is{rate} // 16000, $is{bits} // 16, $is{channels} // 1);
    my $frame = $channels * $bits / 8;
    return pack('a4 V a4 a4 V v v V V v v a4 V', 'RIFF', 36 + length $data, 'WAVE', 'fmt ', 16,
        $format, $channels, $rate, $rate * $frame, $frame, $bits, 'data', $is{size} // length $data) . $data;
}

# Fields [name => value, …] as a multipart body; a value that is a reference is a file's content.
sub multipart
{
    my @fields = @_;
    my $body = '';
    while (my ($name, $value) = splice @fields, 0, 2)
    {
        my $disposition = "form-data; name=\"$name\"" . (ref $value ? '; filename="call.wav"' : '');
        $body .= "--XXbordXX\r\nContent-Disposition: $disposition\r\n\r\n" . (ref $value ? $$value : $value) . "\r\n";
    }
    return "$body--XXbordXX--\r\n";
}

my %multipart_header = ('Content-Type' => 'multipart/form-data; boundary=XXbordXX');

# The answer, with its JSON (if any) as {json}.
sub post
{
    my ($server, $path, $content, $headers) = @_;
    my $answer = $http->post("$server->{url}$path", { headers => $headers, content => $content });
    $answer->{json} = eval { decode_json($answer->{content}) };
    return $answer;
}

sub transcribe
{
    my ($server, $wav, @fields) = @_;
    return post($server, '/v1/audio/transcriptions', multipart(file => \$wav, @fields), \%multipart_header);
}

sub speak
{
    my ($server, %body) = @_;
    return post($server, '/v1/audio/speech', encode_json(\%body), { 'Content-Type' => 'application/json' });
}

# 16 kHz samples of a text, spoken by the engine itself.
sub samples
{
    my ($server, $text, %more) = @_;
    my $answer = speak($server, input => $text, voice => 'slt', response_format => 'pcm', sample_rate => 16000, %more);
    die "speech: $answer->{content}" unless $answer->{status} == 200;
    return $answer->{content};
}

sub silence { return "\0\0" x ($_[0] * 16000) }

# An error of OpenAI's form with this status and code, and a message that matches.
sub refused_ok
{
    my ($answer, $status, $code, $message, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $error = $answer->{json}{error} // {};
    my $fits = $answer->{status} == $status && ($error->{code} // '') eq $code &&
        ($error->{message} // '') =~ $message && exists $error->{param} &&
        ($error->{type} // '') eq ($status >= 500 ? 'server_error' : 'invalid_request_error');
    ok($fits, "$name: $status $code") or diag("got $answer->{status} $answer->{content}");
    return;
}

# A connection on which some bytes were sent.
sub raw_connection
{
    my ($server, $bytes) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server->{port}) or die "connect: $@";
    $socket->autoflush(1);
    print $socket $bytes if length $bytes;
    return $socket;
}

# A transcription under way on a connection of its own.
sub raw_transcription
{
    my ($server, $wav) = @_;
    my $body = multipart(file => \$wav);
    return raw_connection($server, "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            . "Content-Type: $multipart_header{'Content-Type'}\r\nContent-Length: " . length($body) . "\r\n\r\n$body");
}

# Everything until the other side closes; undef when it does not within the time.
sub read_all
{
    my ($socket, $seconds) = @_;
    my $end = time + ($seconds // $patience);
    my $all = '';
    while (time < $end)
    {
        next unless IO::Select->new($socket)->can_read(0.2);
        my $n = sysread $socket, my $piece, 65536;
        return $all if !$n;
        $all .= $piece;
    }
    return;
}

# --- the command line ----------------------------------------------------------

run([ $program, '--help' ], '>', \my $help, '2>', \my $help_error);
is($?, 0, '--help succeeds');
like($help, qr/--$_\b/, "--help tells of --$_")
    for qw(listen port port-file api-key-file transcribers queue max-body receive-timeout grace);
run([ $program, '--version' ], '>', \my $version);
like($version, qr/^mulberry-speech \d+\.\d+$/, '--version');

for my $case (
    [ 'an unknown option', 2, qr/unrecognized/, '--nonsense' ],
    [ 'a stray argument', 2, qr/unexpected argument "x"/, 'x' ],
    [ 'a port out of range', 2, qr/--port must be a number from 0 to 65535, not "70000"/, '--port', '70000' ],
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
    [ '8 bits', wav(pack('C*', map { ($_ >> 8) + 128 } unpack('s<*', $samples)), bits => 8) ],
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
    office => 'Can you tell me when the office is open?',
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
is(post($server, '/v1/audio/transcriptions', $short, { 'Content-Type' => 'multipart/form-data; boundary="b"' })->{status}, 200,
    'a boundary of one character, in quotes, is one');
transcription_refused('without quotes, which libmicrohttpd does not take', 415, 'unsupported_media_type', qr/single character in quotes/, $short,
    { 'Content-Type' => 'multipart/form-data; boundary=b' });
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

# --- limits ------------------------------------------------------------------------------

$server = start_server('--transcribers', 1, '--queue', 1, '--max-body', 1, '--max-buffered', 2, '--max-audio-seconds', 25,
    '--grace', 0, '--api-key-file', spew("$dir/keys", "# two keys\nfirst-key\nsecond-key\n"));
my %key = (Authorization => 'Bearer second-key');
$http = HTTP::Tiny->new(timeout => 900, default_headers => {%key});
my $keyless = HTTP::Tiny->new(timeout => 60);

for my $case ([ 'no key', undef ], [ 'a wrong key', 'Bearer third-key' ], [ 'the beginning of a key', 'Bearer second' ],
    [ 'another scheme', 'Basic second-key' ])
{
    my ($name, $value) = @$case;
    $answer = $keyless->get("$server->{url}/v1/models", { headers => { defined $value ? (Authorization => $value) : () } });
    $answer->{json} = decode_json($answer->{content});
    refused_ok($answer, 401, 'invalid_api_key', qr/Bearer/, $name);
}
is($http->get("$server->{url}/v1/models")->{status}, 200, 'a right key');
is($keyless->get("$server->{url}/health")->{status}, 200, 'health needs none');

refused_ok(transcribe($server, wav(silence(26))), 413, 'audio_too_long', qr/26 s, more than the 25 s/, 'a recording too long');
refused_ok(transcribe($server, wav(silence(40))), 413, 'request_too_large', qr/1048576 bytes/, 'a file too large');
refused_ok(transcribe($server, wav(silence(70))), 413, 'request_too_large', qr/bytes at most/, 'a body too large');
my @pieces = (multipart(file => \wav(silence(70)))) x 1;
refused_ok(post($server, '/v1/audio/transcriptions', sub { return shift @pieces }, \%multipart_header),
    413, 'request_too_large', qr/bytes at most/, 'a body too large that did not tell its size');
my $early = raw_connection($server, "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer first-key\r\n"
        . "Content-Type: $multipart_header{'Content-Type'}\r\nContent-Length: 9000000\r\nExpect: 100-continue\r\n\r\n");
like(read_all($early), qr/^HTTP\/1.1 413 /, 'who asks before sending too much is told before');

# What is announced counts against the memory for bodies, here 2 MB, before it comes.
my $announcement = "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer first-key\r\n"
    . "Content-Type: $multipart_header{'Content-Type'}\r\nContent-Length: 1000000\r\n\r\n";
my @announced = map { raw_connection($server, $announcement) } 1 .. 2;
ok(wait_until(sub { health($server)->{buffered_bytes} == 2_000_000 }), 'two bodies announced');
$answer = transcribe($server, wav(silence(10)));
refused_ok($answer, 503, 'server_busy', qr/bytes of requests/, 'a third that does not fit beside them');
is($answer->{headers}{'retry-after'}, 1, 'and tells when to try again');
close $_ for @announced;
ok(wait_until(sub { health($server)->{buffered_bytes} == 0 }), 'their room is free again');

# Half a request, and one that comes byte by byte, disturb nobody and are dropped.
my $patient_server = $server;
$server = start_server('--receive-timeout', 4, '--api-key-file', "$dir/keys");
my $half = raw_connection($server, "POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer first-key\r\n"
        . "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
my $mute = raw_connection($server, '');
my $drip = raw_connection($server, "GET /health HTTP/1.1\r\nX-Slow: ");
my $dropped = 0;
my $unserved = 0;
my $drip_end = time + $patience;
while (!$dropped && time < $drip_end)
{
    local $SIG{PIPE} = 'IGNORE';
    $unserved++ unless speak($server, input => 'Hello.')->{status} == 200;
    print $drip 'x';
    $dropped = IO::Select->new($drip)->can_read(0.4) && !sysread($drip, my $rest, 1000);
}
is($unserved, 0, 'others are served beside slow clients');
ok($dropped, 'a client that sends a byte now and then is dropped');
is(read_all($half), '', 'so is half a request');
is(read_all($mute), '', 'and a connection that says nothing');
is(stop_server($server), 0, 'it ends in order');
$server = $patient_server;

# One works, one waits, the third is turned away; synthesis does not wait.
my $work = wav(substr($samples x 6, 0, 32000 * 24));
sub key_transcription
{
    my ($wav) = @_;
    my $body = multipart(file => \$wav);
    return raw_connection($server, "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer first-key\r\n"
            . "Content-Type: $multipart_header{'Content-Type'}\r\nContent-Length: " . length($body) . "\r\n\r\n$body");
}
my $working = key_transcription($work);
ok(wait_until(sub { health($server)->{transcription}{running} == 1 && child_pids($server) }), 'one transcription runs');
my ($worker) = child_pids($server);
kill 'STOP', $worker;
my $waiting = key_transcription($word);
ok(wait_until(sub { health($server)->{transcription}{queued} == 1 }), 'one waits');
$answer = transcribe($server, $word);
refused_ok($answer, 503, 'server_busy', qr/queue is full/, 'the third');
ok($answer->{headers}{'retry-after'} >= 1, 'and tells when to try again');
is(speak($server, input => 'Hello.')->{status}, 200, 'synthesis does not wait for transcription');
close $working;
ok(wait_until(sub { !-e "/proc/$worker" }), 'when its client goes away, the work ends');
my $waited = '';
sysread $waiting, $waited, 65536 if IO::Select->new($waiting)->can_read($patience);
like($waited, qr/^HTTP\/1.1 200 /, 'and the one that waited gets its turn');
is(health($server)->{transcription}{cancelled}, 1, 'health tells of it');

# An engine that crashes takes its own request along and nothing else.
$working = key_transcription($work);
wait_until(sub { health($server)->{transcription}{running} == 1 && child_pids($server) });
kill 'SEGV', child_pids($server);
my $crashed = '';
sysread $working, $crashed, 65536 if IO::Select->new($working)->can_read($patience);
like($crashed, qr/^HTTP\/1.1 500 .*"engine_failed"/s, 'an engine that crashes: 500 engine_failed');
is(transcribe($server, $word)->{status}, 200, 'and the next request is served');

# Without grace, running work is ended and its client told.
$working = key_transcription($work);
wait_until(sub { health($server)->{transcription}{running} == 1 && child_pids($server) });
($worker) = child_pids($server);
is(stop_server($server), 0, 'SIGTERM without grace');
like(read_all($working), qr/^HTTP\/1.1 503 .*"shutting_down"/s, 'tells the client of running work');
ok(!-e "/proc/$worker", 'and leaves no process');

$server = start_server('--job-timeout', 1);
$http = HTTP::Tiny->new(timeout => 900);
refused_ok(transcribe($server, wav($samples x 40)), 504, 'engine_timeout', qr/within 1 s/, 'work that takes too long');

# Nothing outlives a server that is killed.
$pending = raw_transcription($server, wav($samples x 40));
wait_until(sub { health($server)->{transcription}{running} == 1 && child_pids($server) });
($worker) = child_pids($server);
delete $servers{ $server->{name} };
kill 'KILL', $server->{pid};
eval { finish $server->{run} };
ok(wait_until(sub { !-e "/proc/$worker" || slurp("/proc/$worker/stat") =~ /\) Z/ }), 'work ends with a server that is killed');

done_testing();
