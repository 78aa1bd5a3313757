# A stand-in for Twilio, for tests only: the REST API of 2010-04-01 as far as calls and
# recordings need it, over HTTP on loopback; calls that execute the TwiML they are given;
# signed webhooks.  What is played goes as audio (Mulberry::Line) to a cluster that plays the
# edge, whose tones come back as audio and are heard by multimon-ng; or over a line in real time to a sound
# card.  Webhooks are delivered by calling handle_twilio_webhook() in SQL, or by HTTP to a gateway.
#
# How it behaves is the first component of the path, a list with commas, so that one process
# serves every test: url('busy,ring=0.5').
#
#	ring=S				rings for S seconds (default 0.05)
#	hold=S				stays in progress for S seconds before its TwiML is executed
#	end=BUSY			busy, no-answer, failed: how it ends; "busy" alone does as well
#	calls=N				… but only the first N calls
#	stay				queued for ever, until it is ended by a request
#	machine				is answered by a machine, as machine detection says
#	mute				nobody answers the tones
#	garble=N			of the first N acknowledgements, a tone is lost
#	create=X, list=X, poll=X, end_call=X, recordings=X, media=X
#						what becomes of such requests: a status (429, 500, 401 …), close (nothing
#						is done), hang; with + behind it ("close+", "500+", "hang+") it is done nevertheless
#	times=N				… but only of the first N requests of each kind and call
#	retry=S				Retry-After of a 429
#	fail=P				P % of all requests fail in one of these ways; as many webhooks are lost, or
#						their answers are and they come again
#	gateway=PORT		webhooks go to a gateway on this port of 127.0.0.1
#	hooks=X				none, twice (each twice, and once more without its idempotency token), reversed
#	recording=X			absent, none (not made), S seconds late
#	wav=NAME			recordings, of calls that came in as well, are the file NAME.wav beside the log
#	mono				recordings have one channel, whatever was asked for
#	noise=DB, twist=DB, loss=P	the line
#	page=N				calls on a page of the list
#	fresh=N				the first N calls of the list say that they were created just now
package Mulberry::Twilio;

use strict;
use warnings;

use Digest::SHA qw(hmac_sha1_base64);
use File::Basename;
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use IPC::Open3;
use JSON::PP;
use List::Util qw(min);
use MIME::Base64;
use POSIX qw(strftime);
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time sleep);

use Mulberry::Line;
use Mulberry::TwilioCall;
use parent -norequire, 'Mulberry::TwilioCall';

my @terminal = qw(completed busy failed no-answer canceled);

# Starts the service in a process of its own.
#	log			file for one JSON object a line about each request, call and webhook
#	account		AccountSid;  token: its auth token;  api_key: [SID, secret]
#	cloud		connection string of the cluster that webhooks go to;  role: the role to be there
#	edge		called with the number dialled: connection string and tenant of the edge, or nothing
#	line		called with the number dialled: the directory of the card that is at the other end in real time (Mulberry::RealTimeLine), or nothing
#	psql		the program
sub new
{
    my ($class, %option) = @_;
    my $listener = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 512, ReuseAddr => 1, Blocking => 0)
        or die "could not listen: $!";
    my $self = bless { account => 'AC' . 'a' x 32, token => 'f' x 32, psql => 'psql', %option,
        port => $listener->sockport, owner => $$ }, $class;
    open(my $touch, '>>', $self->{log}) or die "$self->{log}: $!";
    close $touch;

    $self->{pid} = fork() // die "could not fork: $!";
    if ($self->{pid} == 0)
    {
        $SIG{TERM} = sub { POSIX::_exit(0) };
        $SIG{PIPE} = 'IGNORE';
        $self->{listener} = $listener;
        eval { $self->serve(getppid()) };
        warn $@ if $@;
        POSIX::_exit(1);
    }
    close $listener;
    return $self;
}

sub url
{
    my ($self, $behaviour) = @_;
    return "http://127.0.0.1:$self->{port}/" . ($behaviour || 'ok');
}

# What was logged, of one kind ("request", "call", "webhook", "overlap") or all.
sub entries
{
    my ($self, $what) = @_;
    open(my $file, '<', $self->{log}) or die "$self->{log}: $!";
    my @entries = map { decode_json($_) } <$file>;
    close $file;
    return grep { !defined $what || $_->{what} eq $what } @entries;
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

# ---- inside the process ----

sub note
{
    my ($self, $what, %facts) = @_;
    print { $self->{out} } encode_json({ what => $what, time => time, %facts }) . "\n";
    return;
}

# Runs something later.
sub later
{
    my ($self, $seconds, $do) = @_;
    push @{ $self->{timers} }, [ time + $seconds, $do ];
    return;
}

sub serve
{
    my ($self, $parent) = @_;
    $self->{select} = IO::Select->new($self->{listener});
    open($self->{out}, '>>', $self->{log}) or die "$self->{log}: $!";
    $self->{out}->autoflush(1);
    $self->{timers} = [];
    $self->{calls} = {};
    $self->{order} = [];
    $self->{client} = {};

    while (kill 0, $parent) { $self->turn(0.5) }
    return;
}

# Does what is due, and then what comes within so many seconds.
sub turn
{
    my ($self, $wait) = @_;
    my $now = time;
    my @due = sort { $a->[0] <=> $b->[0] } grep { $_->[0] <= $now } @{ $self->{timers} };
    $self->{timers} = [ grep { $_->[0] > $now } @{ $self->{timers} } ];
    $_->[1]->() for @due;

    for (@{ $self->{timers} }) { $wait = $_->[0] - $now if $_->[0] - $now < $wait }
    for my $socket ($self->{select}->can_read($wait < 0.001 ? 0.001 : $wait))
    {
        if ($socket == $self->{listener})
        {
            while (my $new = $self->{listener}->accept)
            {
                setsockopt($new, IPPROTO_TCP, TCP_NODELAY, 1);
                $self->{select}->add($new);
                $self->{client}{ fileno $new } = { socket => $new, in => '' };
            }
            next;
        }
        my $c = $self->{client}{ fileno $socket } or next;
        my $n = sysread($socket, $c->{in}, 1 << 20, length $c->{in});
        my $request = $n ? take_request($c) : undef;
        if (!$n || ($request && !$self->answer($c, $request)))
        {
            $self->{select}->remove($socket);
            delete $self->{client}{ fileno $socket };
            close $socket;
        }
    }
    return;
}

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

    my ($method, $behaviour, $path, $query) = $head =~ m{^(\S+) /([^/ ]*)(/[^ ?]*)?(?:\?(\S*))? HTTP} or return;
    my %behaviour = map { /^([^=]+)=(.*)$/ ? ($1 => $2) : ($_ => 1) } split /,/, $behaviour;
    my ($basic) = $head =~ /^authorization:\s*Basic (\S+)/im;
    my ($type) = $head =~ /^content-type:\s*(\S+)/im;
    return { method => $method, behaviour => \%behaviour, prefix => $behaviour, path => $path // '', user => defined $basic ? decode_base64($basic) : '',
             query => form($query // ''), fields => ($type // '') eq 'application/x-www-form-urlencoded' ? form($body) : {} };
}

# Decoded fields; repeated names as lists.
sub form
{
    my ($text) = @_;
    my %fields;
    for my $pair (split /&/, $text)
    {
        my ($name, $value) = map { my $x = $_ // ''; $x =~ tr/+/ /; $x =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge; $x } (split /=/, $pair, 2)[ 0, 1 ];
        if (!exists $fields{$name}) { $fields{$name} = $value }
        elsif (ref $fields{$name}) { push @{ $fields{$name} }, $value }
        else { $fields{$name} = [ $fields{$name}, $value ] }
    }
    return \%fields;
}

my %reasons = (200 => 'OK', 201 => 'CREATED', 204 => 'NO CONTENT');

sub reply
{
    my ($c, $status, $body, @headers) = @_;
    $body //= '';
    unshift @headers, 'Content-Type: application/json' unless grep { /^Content-Type/ } @headers;
    my $out = join("\r\n", "HTTP/1.1 $status " . ($reasons{$status} // 'ERROR'), @headers, 'Content-Length: ' . length $body, '', $body);
    my $at = 0;
    while ($at < length $out)
    {
        my $n = syswrite($c->{socket}, $out, length($out) - $at, $at) // return 0;
        $at += $n;
    }
    return 1;
}

# Twilio's form of an error.
sub failure
{
    my ($status, $code, $message) = @_;
    return ($status, encode_json({ code => $code, message => $message, status => $status,
        more_info => "https://www.twilio.com/docs/errors/$code" }));
}

# Decides what becomes of a request, before it is looked at.
sub mishap
{
    my ($self, $kind, $request, $about) = @_;
    my $b = $request->{behaviour};
    if ($b->{fail} && rand(100) < $b->{fail})
    {
        my @ways = $kind eq 'create' ? qw(429 500 500+ close close+ hang+) : qw(429 500 close hang);
        return $ways[ rand @ways ];
    }
    return unless defined $b->{$kind};
    return if $b->{times} && $self->{seen}{"$request->{prefix} $kind $about"}++ >= $b->{times};
    return $b->{$kind};
}

# Answers; false when the connection is to be closed.
sub answer
{
    my ($self, $c, $request) = @_;
    my $base = "/2010-04-01/Accounts/$self->{account}";
    my ($method, $path, $fields) = @$request{qw(method path fields)};
    my ($status, $body, @headers);
    my ($kind, $about, $do);

    if ($method eq 'POST' && $path eq "$base/Calls.json")
    {
        ($kind, $about, $do) = ('create', $fields->{To} // '', sub { $self->create_call($request) });
    }
    elsif ($method eq 'GET' && $path eq "$base/Calls.json")
    {
        ($kind, $about, $do) = ('list', $request->{query}{To} // '', sub { $self->list_calls($request) });
    }
    elsif ($path =~ m{^\Q$base\E/Calls/(CA[0-9a-f]{32})\.json$})
    {
        my $sid = $1;
        ($kind, $about) = ($method eq 'POST' ? 'end_call' : 'poll', $sid);
        $do = sub {
            my $call = $self->{calls}{$sid} or return failure(404, 20404, "The requested resource $path was not found");
            return (200, encode_json(call_json($call))) if $method eq 'GET';
            return $self->end_call($call, $fields->{Status} // '');
        };
    }
    elsif ($method eq 'GET' && $path =~ m{^\Q$base\E/Calls/(CA[0-9a-f]{32})/Recordings\.json$})
    {
        my $sid = $1;
        ($kind, $about) = ('recordings', $sid);
        $do = sub {
            my $call = $self->{calls}{$sid} or return failure(404, 20404, "The requested resource $path was not found");
            my $recording = $call->{recording};
            return (200, encode_json({ recordings => [ $recording ? { sid => $recording->{sid}, call_sid => $sid, status => $recording->{status},
                channels => 0 + @{ $recording->{channels} // [] }, source => 'OutboundAPI' } : () ], page => 0, page_size => 50, next_page_uri => undef }));
        };
    }
    elsif ($path =~ m{^\Q$base\E/Recordings/(RE[0-9a-f]{32})\.(wav|json)$})
    {
        my ($sid, $form) = ($1, $2);
        my ($recording) = grep { $_ && $_->{sid} eq $sid } map { $_->{recording} } values %{ $self->{calls} };
        ($kind, $about) = ($method eq 'DELETE' ? 'delete' : 'media', $sid);
        $do = sub {
            return failure(404, 20404, "The requested resource $path was not found") unless $request->{behaviour}{wav} || ($recording && $recording->{status} eq 'completed');
            if ($method eq 'DELETE')
            {
                $recording->{status} = 'deleted';
                return (204, '');
            }
            if (my $file = $request->{behaviour}{wav})
            {
                return (200, slurp(dirname($self->{log}) . "/$file.wav"), 'Content-Type: audio/x-wav');
            }
            my @channels = @{ $recording->{channels} };
            @channels = (Mulberry::Line::mix(@channels)) if $request->{behaviour}{mono} || ($request->{query}{RequestedChannels} // 1) != @channels;
            return (200, Mulberry::Line::wav(@channels), 'Content-Type: audio/x-wav');
        };
    }
    else
    {
        ($kind, $about, $do) = ('unknown', '', sub { failure(404, 20404, "The requested resource $path was not found") });
    }

    my $mishap = $self->mishap($kind, $request, $about);
    my $done = !defined $mishap || $mishap =~ /\+$/;
    if ($request->{user} ne "$self->{account}:$self->{token}" && (!$self->{api_key} || $request->{user} ne join ':', @{ $self->{api_key} }))
    {
        ($status, $body) = failure(401, 20003, 'Authenticate');
        $mishap = undef;
    }
    elsif ($done) { ($status, $body, @headers) = $do->() }
    my ($code) = ($mishap // '') =~ /^(\d+)/;
    ($status, $body, @headers) = failure($code, $code == 429 ? 20429 : $code == 401 ? 20003 : 20500, "stand-in says $code") if $code;
    push @headers, "Retry-After: $request->{behaviour}{retry}" if $code && $code == 429 && defined $request->{behaviour}{retry};
    $self->note('request', kind => $kind, method => $method, path => $path, behaviour => $request->{prefix}, about => $about, user => $request->{user} =~ s/:.*//r,
        query => $request->{query}, fields => $fields, status => $status, mishap => $mishap, done => $done ? 1 : 0);
    return 1 if defined $mishap && $mishap =~ /^hang/;
    return 0 if defined $mishap && $mishap =~ /^close/;
    return reply($c, $status, $body, @headers);
}

sub slurp { my ($path) = @_; open(my $file, '<:raw', $path) or die "$path: $!"; local $/; return scalar <$file> }

sub rfc_2822 { return strftime('%a, %d %b %Y %H:%M:%S +0000', gmtime $_[0]) }

sub call_json
{
    my ($call) = @_;
    return { sid => $call->{sid}, account_sid => $call->{account}, to => $call->{to}, from => $call->{from}, status => $call->{status},
             direction => 'outbound-api', answered_by => $call->{answered_by}, api_version => '2010-04-01', date_created => rfc_2822($call->{created}),
             date_updated => rfc_2822(time), start_time => $call->{answered} ? rfc_2822($call->{answered}) : undef,
             end_time => $call->{ended} ? rfc_2822($call->{ended}) : undef, duration => $call->{ended} ? '' . int(length($call->{out} // '') / 8000) : undef,
             price => undef, uri => "/2010-04-01/Accounts/$call->{account}/Calls/$call->{sid}.json" };
}

sub hex32 { return join '', map { sprintf '%04x', rand 65536 } 1 .. 8 }

sub is_live { my ($call) = @_; return !grep { $_ eq $call->{status} } @terminal }

sub create_call
{
    my ($self, $request) = @_;
    my $f = $request->{fields};
    my $b = $request->{behaviour};
    return failure(400, 21201, "No 'To' number is specified") unless length($f->{To} // '');
    return failure(400, 21211, "The phone number you are attempting to call, $f->{To}, is not valid.") if $f->{To} !~ /^\+[1-9]\d{6,14}$/;
    return failure(400, 21212, "Invalid 'From' phone number") if ($f->{From} // '') !~ /^\+[1-9]\d{6,14}$/;
    return failure(400, 21205, 'Url is not a valid URL') unless length($f->{Twiml} // '') && length($f->{Twiml}) <= 4000;
    return failure(400, 20001, 'Twiml is malformed') unless eval { Mulberry::TwilioCall::parse_twiml($f->{Twiml}); 1 };

    my ($other) = grep { $_->{to} eq $f->{To} && is_live($_) } values %{ $self->{calls} };
    my $call = { sid => 'CA' . hex32(), account => $self->{account}, to => $f->{To}, from => $f->{From}, status => 'queued', created => time,
                 fields => $f, behaviour => $b, prefix => $request->{prefix}, sequence => 0, out => '', in => '', heard => '', pending => '', held => [] };
    $self->{calls}{ $call->{sid} } = $call;
    unshift @{ $self->{order} }, $call;
    $self->note('overlap', sid => $call->{sid}, other => $other->{sid}, to => $f->{To}) if $other;
    $self->note('call', sid => $call->{sid}, to => $f->{To}, status => 'queued');
    my %created = %{ call_json($call) };
    unless ($b->{stay})
    {
        $self->later(0, sub { $self->status($call, 'initiated') });
        $self->later(0.002, sub { $self->status($call, 'ringing') });
        $self->later($b->{ring} // 0.05, sub { $self->answered($call) });
    }
    return (201, encode_json(\%created));
}

sub list_calls
{
    my ($self, $request) = @_;
    my $q = $request->{query};
    my $size = $request->{behaviour}{page} // $q->{PageSize} // 50;
    my $page = $q->{Page} // 0;
    my @calls = grep { (!defined $q->{To} || $_->{to} eq $q->{To}) && (!defined $q->{From} || $_->{from} eq $q->{From}) } @{ $self->{order} };
    $_ = { %$_, created => time } for @calls[ 0 .. min($request->{behaviour}{fresh} // 0, scalar @calls) - 1 ];
    my $more = @calls > ($page + 1) * $size;
    my $to = ($q->{To} // '') =~ s/\+/%2B/r;
    my $from = ($q->{From} // '') =~ s/\+/%2B/r;
    my $uri = "/2010-04-01/Accounts/$self->{account}/Calls.json?To=$to&From=$from&PageSize=$size";
    @calls = grep { defined } @calls[ $page * $size .. ($page + 1) * $size - 1 ];
    return (200, encode_json({ calls => [ map { call_json($_) } @calls ], page => $page + 0, page_size => $size + 0, uri => $uri,
        next_page_uri => $more ? "$uri&Page=" . ($page + 1) . '&PageToken=PA' . $calls[-1]{sid} : undef }));
}

# POST Status=… of a call.
sub end_call
{
    my ($self, $call, $wanted) = @_;
    my $early = $call->{status} =~ /^(queued|initiated|ringing)$/;
    return failure(400, 21220, 'Call is not in-progress. Cannot redirect.') if !is_live($call) || ($wanted eq 'canceled' && !$early);
    return failure(400, 20001, 'Invalid status') if $wanted !~ /^(canceled|completed)$/;
    $self->status($call, $early ? 'canceled' : 'completed');
    return (200, encode_json(call_json($call)));
}

# Moves a call on, with its callback.
sub status
{
    my ($self, $call, $status, %more) = @_;
    return unless is_live($call);
    $call->{status} = $status eq 'initiated' ? 'queued' : $status;
    $call->{answered} = time if $status eq 'in-progress';
    $call->{ended} = time unless is_live($call);
    $self->note('call', sid => $call->{sid}, to => $call->{to}, status => $status) if $status ne 'initiated';
    my $event = { 'in-progress' => 'answered', initiated => 'initiated', ringing => 'ringing' }->{$status} // 'completed';
    my $wanted = $call->{fields}{StatusCallbackEvent} // ['completed'];
    return unless $call->{fields}{StatusCallback} && grep { $_ eq $event } ref $wanted ? @$wanted : $wanted;
    my %params = (CallStatus => $status, SequenceNumber => $call->{sequence}++, CallbackSource => 'call-progress-events',
        Timestamp => rfc_2822(time), ($call->{answered_by} ? (AnsweredBy => $call->{answered_by}) : ()), %more);
    if (($call->{behaviour}{hooks} // '') eq 'reversed')
    {
        push @{ $call->{held} }, \%params;
        return if is_live($call);
        $self->webhook($call, $call->{fields}{StatusCallback}, %$_) for reverse @{ $call->{held} };
        return;
    }
    $self->webhook($call, $call->{fields}{StatusCallback}, %params);
    return;
}

# ---- webhooks ----

sub signature
{
    my ($self, $url, %params) = @_;
    my $text = $url . join '', map { $_ . $params{$_} } sort keys %params;
    return hmac_sha1_base64($text, $self->{token}) . '=';
}

sub quote { my $x = shift; $x =~ s/'/''/g; return "'$x'" }

# Delivers a webhook; status, content type and body of the answer.
sub webhook
{
    my ($self, $call, $url, %params) = @_;
    my $hooks = $call->{behaviour}{hooks} // '';
    return if $hooks eq 'none';
    %params = (%params, CallSid => $call->{sid}, AccountSid => $self->{account}, To => $call->{to}, From => $call->{from},
        ApiVersion => '2010-04-01', Direction => 'outbound-api');
    $_ = "$_" for values %params;    # a form knows strings only
    my $lost = $call->{behaviour}{fail} && rand(100) < $call->{behaviour}{fail};
    my $idempotency = hex32();
    my @answer;
    if ($lost && rand() < 0.5)
    {
        $self->note('webhook', sid => $call->{sid}, url => $url, status => 'lost');
        return;
    }
    # Twilio tries once more; a lost answer makes it a replay
    for my $token ($lost ? ($idempotency, $idempotency) : $hooks eq 'twice' ? ($idempotency, $idempotency, '') : $idempotency)
    {
        my $started = time;
        my @again = $call->{behaviour}{gateway} ? $self->post($call, $url, $token, %params) : $self->call_function($url, $token, %params);
        $self->note('webhook', sid => $call->{sid}, url => $url, params => \%params, status => $again[0], body => $again[2], seconds => time - $started,
            same => @answer ? (join('|', @answer) eq join('|', map { $_ // '' } @again) ? 1 : 0) : undef);
        @answer = map { $_ // '' } @again;
    }
    return @answer;
}

sub call_function
{
    my ($self, $url, $token, %params) = @_;
    my ($row) = $self->sql($self->{cloud}, sprintf(
        q{SELECT status, content_type, encode(convert_to(body, 'UTF8'), 'hex') FROM mulberry.handle_twilio_webhook(%s, %s, %s, %s)},
        quote($url), quote(encode_json(\%params)), quote($self->signature($url, %params)), length $token ? quote($token) : 'NULL'));
    my ($status, $type, $hex) = split /\|/, $row // '';
    return ($status, $type, pack 'H*', $hex // '');
}

sub post
{
    my ($self, $call, $url, $token, %params) = @_;
    my $http = HTTP::Tiny->new(timeout => 15);
    my $answer = $http->post("http://127.0.0.1:$call->{behaviour}{gateway}" . ($url =~ s{^https?://[^/]*}{}r), { content => $http->www_form_urlencode(\%params),
        headers => { 'Content-Type' => 'application/x-www-form-urlencoded', 'X-Twilio-Signature' => $self->signature($url, %params), length $token ? ('I-Twilio-Idempotency-Token' => $token) : () } });
    return ($answer->{status}, $answer->{headers}{'content-type'}, $answer->{content});
}

# Rows of a query by a psql that stays, and comes back when its server does.
sub sql
{
    my ($self, $connection, $query) = @_;
    for my $try (1 .. 40)
    {
        my $session = $self->{sessions}{$connection} //= do {
            my $pid = open3(my $in, my $out, '>&STDERR', $self->{psql}, '-XAtq', '-d', $connection);
            { in => $in, out => $out, pid => $pid, n => 0 };
        };
        my $mark = "end-of-answer-" . ++$session->{n};
        my @rows;
        my $complete = 0;
        if (print { $session->{in} } "$query;\n\\echo $mark\n" and $session->{in}->flush)
        {
            my $out = $session->{out};
            while (defined(my $line = <$out>))
            {
                chomp $line;
                if ($line eq $mark) { $complete = 1; last }
                push @rows, $line;
            }
        }
        return @rows if $complete;
        close $session->{in};
        close $session->{out};
        waitpid $session->{pid}, 0;
        delete $self->{sessions}{$connection};
        sleep 0.25;
    }
    return;
}

1;
