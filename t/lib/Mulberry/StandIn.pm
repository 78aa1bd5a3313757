# A stand-in for AI services, for tests only: speaks the forms of the endpoint
# kinds "openai" and "json" over HTTP on loopback, and misbehaves as asked.  How it
# behaves is the first component of the path, so that one process serves every
# test: url('down') is the base URL of a service that is down.
#
#	ok				answers at once
#	slow			answers after 1 to 3 s
#	fail25			a quarter of the requests get 503
#	fail25-slow		both
#	fails-N-CODE	CODE to audio of N samples
#	first-N			the first N requests get 503
#	wait-S			answers after S seconds
#	gate-NAME		answers when open_gate('NAME') was called
#	down			always 503
#	status-CODE		always CODE, with a JSON error that repeats the bearer token
#	retry-after-S	first 429 with Retry-After: S, then ok
#	retry-date-S	the same with an HTTP date
#	hang			never answers
#	close			closes in the middle of the body
#	truncated		chunked, without the last chunk
#	says-WORDS		transcribes everything as these words, with spaces for hyphens
#	say-NAME		answers what say('NAME', …) was told
#	refuses-WORD	400 to a request whose text contains the word, with an error that names it
#	quota-N-S		N requests every S seconds; more get 429, without Retry-After
#	longest-S		400 to audio of more than S seconds, and to less than 0.1 s
#	largest-N		413 to requests of more than N bytes
#	too-large-N-M	413 to the requests with these numbers, the first of the behaviour being 1
#	echo-CODE		CODE, and repeats the Authorization header in whatever form
#	phase			whatever the last behave() said, for all URLs of it from then on
#	not-json, wrong-form, huge, drip, redirect, refusal
package Mulberry::StandIn;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;
use POSIX qw(:sys_wait_h strftime);
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use PostgreSQL::Test::Utils ();
use Time::HiRes qw(time sleep);

# Starts the service in a process of its own, which writes one JSON object a line about each
# request into a file of its own: programs run beside each other.
sub new
{
    my ($class) = @_;
    my $log = PostgreSQL::Test::Utils::tempdir() . '/requests';
    my $listener = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 512, ReuseAddr => 1, Blocking => 0)
        or die "could not listen: $!";
    my $self = bless { port => $listener->sockport, log => $log, owner => $$ }, $class;
    open(my $touch, '>', $log) or die "$log: $!";
    close $touch;

    $self->{pid} = fork() // die "could not fork: $!";
    if ($self->{pid} == 0)
    {
        $SIG{TERM} = sub { POSIX::_exit(0) };
        $SIG{PIPE} = 'IGNORE';
        eval { serve($listener, $log, getppid()) };
        warn $@ if $@;
        POSIX::_exit(1);
    }
    close $listener;
    return $self;
}

sub url
{
    my ($self, $behaviour) = @_;
    return "http://127.0.0.1:$self->{port}/$behaviour";
}

# Every request so far, of one behaviour or of all: time, behaviour, phase (how it was answered), path,
# status, bytes, in_flight (answers owed, this one included), key, fields, heard.
sub requests
{
    my ($self, $behaviour) = @_;
    open(my $file, '<', $self->{log}) or die "$self->{log}: $!";
    my @requests = map { decode_json($_) } <$file>;
    close $file;
    return grep { !defined $behaviour || $_->{behaviour} eq $behaviour } @requests;
}

# Waits until there have been that many requests of one behaviour; returns how
# many there are when it has them or has waited long enough.
sub wait_for_requests
{
    my ($self, $behaviour, $number) = @_;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    while (1)
    {
        my $there = scalar $self->requests($behaviour);
        return $there if $there >= $number || time > $deadline;
        sleep 0.05;
    }
}

# What "say-NAME" answers from now on: body, status (200), headers (a list of lines), type (of the body), chunked (in pieces of
# this size).
sub say
{
    my ($self, $name, $body, %how) = @_;
    open(my $file, '>', "$self->{log}.say-$name.new") or die "$self->{log}.say-$name: $!";
    print $file encode_json({ body => encode_base64($body), %how });
    close $file;
    rename "$self->{log}.say-$name.new", "$self->{log}.say-$name" or die $!;
    return;
}

# How "phase" behaves from now on; "refuse": nobody listens, for any behaviour.
sub behave
{
    my ($self, $behaviour) = @_;
    open(my $file, '>', "$self->{log}.phase.new") or die "$self->{log}.phase: $!";
    print $file $behaviour;
    close $file;
    rename "$self->{log}.phase.new", "$self->{log}.phase" or die $!;
    # it looks at least twice a second
    my $refused = sub { !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}) };
    sleep 0.05 until $refused->() == ($behaviour eq 'refuse');
    return;
}

# Answers what waits at a gate, and from now on at once.
sub open_gate
{
    my ($self, $name) = @_;
    open(my $file, '>', "$self->{log}.$name") or die "$self->{log}.$name: $!";
    close $file;
    return;
}

sub stop
{
    my ($self) = @_;
    return unless $self->{pid} && $self->{owner} == $$;
    kill 'TERM', $self->{pid};
    waitpid($self->{pid}, 0);
    delete $self->{pid};
    return;
}

sub DESTROY
{
    my ($self) = @_;
    local ($?, $@);
    $self->stop;
    return;
}

sub serve
{
    my ($listener, $log_name, $parent) = @_;
    my $select = IO::Select->new($listener);
    my (%client, %seen);
    open(my $log, '>>', $log_name) or die "$log_name: $!";
    $log->autoflush(1);

    my $port = $listener->sockport;
    while (kill 0, $parent)
    {
        my $now = time;
        my $wait = 0.5;
        my $refuses = phase_of($log_name) eq 'refuse';
        if ($refuses && $listener)
        {
            $select->remove($listener);
            close $listener;
            undef $listener;
            drop(\%client, $select, $_) for values %client;
        }
        elsif (!$refuses && !$listener)
        {
            $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 512, ReuseAddr => 1, Blocking => 0)
                or die "could not listen again: $!";
            $select->add($listener);
        }
        my @writers;
        for my $c (values %client)
        {
            if (defined $c->{gate})
            {
                if (-e "$log_name.$c->{gate}") { delete $c->{gate} }
                else { $wait = 0.02; next }
            }
            if (defined $c->{due})
            {
                if ($c->{due} <= $now) { push @writers, $c->{socket} }
                elsif ($c->{due} - $now < $wait) { $wait = $c->{due} - $now }
            }
        }
        my ($readable, $writable) =
            IO::Select->select($select, @writers ? IO::Select->new(@writers) : undef, undef, $wait);

        for my $socket (@{ $readable // [] })
        {
            if ($listener && $socket == $listener)
            {
                while (my $new = $listener->accept)
                {
                    $new->blocking(0);
                    setsockopt($new, IPPROTO_TCP, TCP_NODELAY, 1);
                    $select->add($new);
                    $client{ fileno $new } = { socket => $new, in => '' };
                }
                next;
            }
            my $c = $client{ fileno $socket } or next;
            my $n = sysread($socket, $c->{in}, 1 << 20, length $c->{in});
            if (!$n && !(!defined $n && $!{EAGAIN}))
            {
                drop(\%client, $select, $c);
                next;
            }
            my $request = take_request($c) or next;
            answer($c, $request, \%seen, $log_name);
            my $in_flight = grep { $_->{busy} } values %client;
            print $log encode_json({
                time => time, behaviour => $request->{behaviour}, phase => $c->{phase}, path => $request->{path}, status => $c->{status},
                bytes => length $request->{body}, in_flight => $in_flight, key => $request->{key},
                fields => $request->{fields}, heard => $request->{heard} }) . "\n";
        }
        for my $socket (@{ $writable // [] })
        {
            my $c = $client{ fileno $socket } or next;
            my $n = syswrite($socket, $c->{out}, $c->{drip} ? 1 : length $c->{out});
            if (!defined $n)
            {
                drop(\%client, $select, $c) unless $!{EAGAIN};
                next;
            }
            substr($c->{out}, 0, $n) = '';
            if ($c->{drip}) { $c->{due} = time + 0.2 }
            next if length $c->{out};
            delete @$c{qw(due busy)};
            drop(\%client, $select, $c) if $c->{close};
        }
    }
    return;
}

sub drop
{
    my ($clients, $select, $c) = @_;
    $select->remove($c->{socket});
    delete $clients->{ fileno $c->{socket} };
    close $c->{socket};
    return;
}

sub phase_of
{
    my ($log_name) = @_;
    return -e "$log_name.phase" ? PostgreSQL::Test::Utils::slurp_file("$log_name.phase") : 'ok';
}

# One whole request out of what a client has sent, or nothing yet.
sub take_request
{
    my ($c) = @_;
    my $end = index($c->{in}, "\r\n\r\n");
    return if $end < 0;
    my $head = substr($c->{in}, 0, $end);
    my ($length) = $head =~ /^content-length:\s*(\d+)/im;
    $length //= 0;
    return if length($c->{in}) < $end + 4 + $length;
    my $body = substr($c->{in}, $end + 4, $length);
    substr($c->{in}, 0, $end + 4 + $length) = '';

    my ($behaviour, $path) = $head =~ m{^POST /([^/ ]+)(/?\S*) HTTP};
    my ($key) = $head =~ /^authorization:\s*Bearer ([^\r\n]+)/im;
    my %request = (behaviour => $behaviour // 'ok', path => $path // '', body => $body, key => $key, fields => {});
    if ($head =~ /^content-type:\s*multipart\/form-data;\s*boundary=(\S+)/im)
    {
        for my $part (split /\r\n--\Q$1\E(?:--)?\r\n|^--\Q$1\E\r\n/, $body)
        {
            my ($name) = $part =~ /name="([^"]+)"/ or next;
            my $value = substr($part, index($part, "\r\n\r\n") + 4);
            if ($name eq 'file') { $request{heard} = listen_to($value) }
            else { $request{fields}{$name} = join ',', $request{fields}{$name} // (), $value }
        }
    }
    elsif ($head =~ /^content-type:\s*application\/json/im)
    {
        my $json = decode_json($body);
        $request{heard} = listen_to(decode_base64($json->{audio})) if defined $json->{audio};
        delete $json->{audio};
        $request{fields} = $json;
    }
    return \%request;
}

# What there is to hear in a WAV file of PCM16.
sub listen_to
{
    my ($wav) = @_;
    return { error => 'no WAV' } unless substr($wav, 0, 4) eq 'RIFF' && substr($wav, 8, 4) eq 'WAVE';
    my $rate = unpack 'V', substr($wav, 24, 4);
    my @samples = unpack 's<*', substr($wav, 44);
    return { rate => $rate, samples => scalar @samples, silent => scalar grep { $_ == 0 } @samples };
}

# Decides the answer and when it goes out.
sub answer
{
    my ($c, $request, $seen, $log_name) = @_;
    my $behaviour = $request->{behaviour} eq 'phase' ? phase_of($log_name) : $request->{behaviour};
    my $count = ++$seen->{$behaviour};
    my $heard = $request->{heard};
    my ($status, $delay, $body, $type, @headers) = (200, 0);

    $c->{busy} = 1;
    $c->{phase} = $behaviour;
    if ($request->{path} =~ /chat/)
    {
        my $verdict = $behaviour eq 'wrong-form' ? { sentiment => 'cheerful', confidence => 1 }
            : { sentiment => 'negative', confidence => 0.75 };
        $body = encode_json({ object => 'chat.completion', choices => [ { index => 0, finish_reason => 'stop',
            message => { role => 'assistant', content => encode_json($verdict),
                         refusal => $behaviour eq 'refusal' ? 'no' : undef } } ] });
    }
    elsif ($request->{path} =~ /transcriptions/)
    {
        my $text = "thank you, that was wonderful: $heard->{samples} samples, $heard->{silent} silent";
        $text = $1 =~ tr/-/ /r if $behaviour =~ /^says-(.*)/;
        my %answer = (text => $text);
        if (($request->{fields}{response_format} // '') eq 'verbose_json')
        {
            # as if it was spoken evenly from the beginning to the end
            my $seconds = $heard->{samples} / $heard->{rate};
            my @words = split ' ', $text;
            %answer = (%answer, task => 'transcribe', language => 'english', duration => $seconds, segments => [
                { id => 0, start => 0, end => $seconds, text => " $text", no_speech_prob => 0.1, avg_logprob => -0.2 } ]);
            $answer{words} = [ map { { word => $words[$_], start => $seconds * $_ / @words, end => $seconds * ($_ + 1) / @words } } 0 .. $#words ]
              if ($request->{fields}{'timestamp_granularities[]'} // '') =~ /word/;
        }
        $body = encode_json(\%answer);
    }
    else
    {
        my $text = defined $heard ? "$heard->{samples} samples, $heard->{silent} silent" : "read: $request->{fields}{text}";
        $body = encode_json({ transcription => $text, sentiment => 'positive', confidence => 0.9 });
    }

    my $fail = sub { ($status, $body) = ($_[0], encode_json({ error => { message => "stand-in says $_[0]" } })) };
    $delay = 1 + rand 2 if $behaviour =~ /slow/;
    if ($behaviour =~ /^fail25/) { $fail->(503) if rand() < 0.25 }
    elsif ($behaviour =~ /^fails-(\d+)-(\d+)/) { $fail->($2) if ($heard->{samples} // 0) == $1 }
    elsif ($behaviour =~ /^first-(\d+)/) { $fail->(503) if $count <= $1 }
    elsif ($behaviour =~ /^wait-([\d.]+)/) { $delay = $1 }
    elsif ($behaviour =~ /^gate-(\w+)/) { $c->{gate} = $1 }
    elsif ($behaviour eq 'down') { $fail->(503) }
    elsif ($behaviour =~ /^status-(\d+)/)
    {
        $status = $1;
        $body = encode_json({ error => { message => 'refused, key ' . ($request->{key} // 'none') . "\n\ttwice" } });
    }
    elsif ($behaviour =~ /^retry-(after|date)-(\d+)/ && $count == 1)
    {
        $fail->(429);
        push @headers, 'Retry-After: ' . ($1 eq 'after' ? $2
            : strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + $2 + 1)));
    }
    elsif ($behaviour =~ /^say-(\S+)/)
    {
        my $said = decode_json(PostgreSQL::Test::Utils::slurp_file("$log_name.say-$1"));
        $body = decode_base64($said->{body});
        $status = $said->{status} // 200;
        $type = $said->{type};
        @headers = @{ $said->{headers} // [] };
        $c->{chunked} = $said->{chunked};
    }
    elsif ($behaviour =~ /^refuses-(\S+)/ && index($request->{body}, $1) >= 0)
    {
        ($status, $body) = (400, encode_json({ error => { message => "Unsupported value: '$1' is not supported with this model.", code => 'unsupported_value' } }));
    }
    elsif ($behaviour =~ /^quota-(\d+)-(\d+)/)
    {
        my $window = \@{ $seen->{"$behaviour window"} };
        @$window = grep { $_ > time - $2 } @$window;
        if (@$window < $1) { push @$window, time }
        else { $fail->(429) }
    }
    elsif ($behaviour =~ /^longest-(\d+)/)
    {
        my $seconds = $heard->{samples} / $heard->{rate};
        ($status, $body) = (400, encode_json({ error => { message => $seconds < 0.1 ? 'Audio file is too short. Minimum audio length is 0.1 seconds.'
            : "audio duration $seconds seconds is longer than $1 seconds which is the maximum for this model" } })) if $seconds < 0.1 || $seconds > $1;
    }
    elsif ($behaviour =~ /^largest-(\d+)|^too-large((?:-\d+)+)$/)
    {
        my $too_large = defined $1 ? length $request->{body} > $1 : index("$2-", "-$count-") >= 0;
        ($status, $body, $type) = (413, '<html><head><title>413 Request Entity Too Large</title></head></html>', 'text/html') if $too_large;
    }
    elsif ($behaviour =~ /^echo-(\d+)/)
    {
        my $key = $request->{key};
        my $percent = join '', map { sprintf '%%%02X', ord } split //, $key;
        ($status, $body) = ($1, encode_json({ error => { message => "Bearer $key, " . encode_base64("Bearer $key", '') . ", $percent, $key" } }));
        push @headers, "X-Request-Id: $key";
    }
    elsif ($behaviour eq 'not-json') { $type = 'text/html'; $body = '<html>Bad Gateway</html>' }
    elsif ($behaviour eq 'wrong-form' && $request->{path} !~ /chat/) { $body = '{"words": []}' }
    elsif ($behaviour eq 'huge') { $body = '{"text": "' . ('x' x 3_000_000) . '"}' }
    elsif ($behaviour eq 'redirect') { $status = 302; push @headers, 'Location: /ok/v1' }

    $c->{status} = $status;
    $c->{drip} = $behaviour eq 'drip';
    return if $behaviour eq 'hang';
    push @headers, 'Content-Type: ' . ($type // 'application/json'), 'X-Request-Id: req_' . $count;
    if ($c->{chunked})
    {
        my @pieces = unpack "(a$c->{chunked})*", $body;
        $c->{out} = join("\r\n", "HTTP/1.1 $status Whatever", @headers, 'Transfer-Encoding: chunked', '', '')
            . join('', map { sprintf "%x\r\n%s\r\n", length, $_ } @pieces) . "0\r\n\r\n";
        delete $c->{chunked};
        $c->{due} = time + $delay;
        return;
    }
    if ($behaviour eq 'truncated')
    {
        $c->{out} = join("\r\n", "HTTP/1.1 200 OK", @headers, 'Transfer-Encoding: chunked', '', '')
            . sprintf("%x\r\n%s\r\n", length $body, $body);
        $c->{close} = 1;
    }
    elsif ($behaviour eq 'close')
    {
        $c->{out} = join("\r\n", "HTTP/1.1 200 OK", @headers, 'Content-Length: ' . length $body, '', '')
            . substr($body, 0, length($body) / 2);
        $c->{close} = 1;
    }
    else
    {
        $c->{out} = join("\r\n", "HTTP/1.1 $status Whatever", @headers, 'Content-Length: ' . length $body, '', $body);
    }
    $c->{due} = time + $delay;
    return;
}

1;
