# A running mulberry-speech and its HTTP interface, for the tests of that program.
package Mulberry::Speech;

use strict;
use warnings;

use Exporter 'import';
use FindBin;
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use IPC::Run qw(start finish);
use JSON::PP;
use Mulberry::RawHttp qw($patience resident_kb wait_until);
use Test::More;
use Time::HiRes qw(time sleep);

our @EXPORT = qw($dir $http $patience $program %multipart_header child_pids health multipart post raw_connection raw_transcription read_all
    refused_ok resident_kb samples send_headers silence slurp speak spew start_server stop_server transcribe vanish wait_until wav);

my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::Bin/..";
our $program = $ENV{MULBERRY_SPEECH} // "$programs/speech/mulberry-speech";
our $dir = tempdir(CLEANUP => 1);
our $http = HTTP::Tiny->new(timeout => 900);
my %sent_headers;
my %servers;

END
{
    my $status = $?;
    kill 'KILL', $_->{pid} for values %servers;
    $? = $status;
}

# Headers that every request has from now on, on connections of its own as well.
sub send_headers
{
    %sent_headers = @_;
    $http = HTTP::Tiny->new(timeout => 900, default_headers => {%sent_headers});
    return;
}

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

sub child_pids
{
    my ($server) = @_;
    return split ' ', slurp("/proc/$server->{pid}/task/$server->{pid}/children");
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

our %multipart_header = ('Content-Type' => 'multipart/form-data; boundary=XXbordXX');

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
    my $headers = join '', map { "$_: $sent_headers{$_}\r\n" } sort keys %sent_headers;
    return raw_connection($server, "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n$headers"
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

# A server that is killed.
sub vanish
{
    my ($server) = @_;
    delete $servers{ $server->{name} };
    kill 'KILL', $server->{pid};
    eval { finish $server->{run} };
    return;
}

1;
