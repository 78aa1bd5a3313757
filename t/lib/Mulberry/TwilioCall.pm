# What happens in a call of the stand-in for Twilio once it is answered: TwiML is executed, audio
# goes both ways, digits are gathered, a recording is made.  Methods of Mulberry::Twilio, which
# has the REST API, the webhooks and the description of how it behaves.
package Mulberry::TwilioCall;

use strict;
use warnings;

use Time::HiRes qw(time);

use Mulberry::RealTimeLine;
use Mulberry::Line;

use constant GATHER_TURN => 0.4;    # seconds after which it is looked for digits on a line in real time

sub answered
{
    my ($self, $call) = @_;
    my $b = $call->{behaviour};
    return unless Mulberry::Twilio::is_live($call);
    my @ends = $b->{calls} && $self->{ended}{ $call->{prefix} }++ >= $b->{calls} ? () : qw(busy no-answer failed);
    for my $end (@ends)
    {
        return $self->status($call, $end, SipResponseCode => $end eq 'busy' ? 486 : $end eq 'failed' ? 404 : 487) if $b->{$end} || ($b->{end} // '') eq $end;
    }
    $call->{answered_by} = $b->{machine} ? 'machine_start' : 'human' if $call->{fields}{MachineDetection};
    # everything else goes on while the line carries
    if (my $card = $self->{line} && $self->{line}->($call->{to})) { $call->{line} = Mulberry::RealTimeLine->new($card, sub { $self->turn($_[0]) }) }
    $self->status($call, 'in-progress');
    $self->later($b->{hold} // 0, sub { $self->execute($call) });
    return;
}

# A list of [name, attributes, children or text].
sub parse_twiml
{
    my ($xml) = @_;
    my $unescape = sub { my $x = shift; $x =~ s/&#x([0-9A-Fa-f]+);/chr hex $1/ge; $x =~ s/&lt;/</g; $x =~ s/&gt;/>/g; $x =~ s/&quot;/"/g; $x =~ s/&amp;/&/g; $x };
    $xml =~ s/^<\?xml version="1\.0" encoding="UTF-8"\?>// or die "no prolog\n";
    my @stack = ([ '', {}, [] ]);
    while ($xml =~ /\G(?:<(\/?)([A-Za-z]+)((?:\s+[A-Za-z]+="[^"<]*")*)\s*(\/?)>|([^<]+))/gc)
    {
        my ($closing, $name, $attributes, $empty, $text) = ($1, $2, $3, $4, $5);
        if (defined $text) { push @{ $stack[-1][2] }, $unescape->($text) }
        elsif ($closing)
        {
            my $done = pop @stack;
            die "</$name> closes <$done->[0]>\n" unless $done->[0] eq $name;
            push @{ $stack[-1][2] }, $done;
        }
        else
        {
            my %attributes;
            $attributes{$1} = $unescape->($2) while $attributes =~ /([A-Za-z]+)="([^"]*)"/g;
            push @stack, [ $name, \%attributes, [] ];
            push @{ $stack[-2][2] }, pop @stack if $empty;
        }
    }
    die "not well-formed\n" unless @stack == 1 && (pos $xml // 0) == length $xml;
    my @root = grep { ref } @{ $stack[0][2] };
    die "no <Response>\n" unless @root == 1 && $root[0][0] eq 'Response';
    for my $verb (map { $_, $_->[0] eq 'Gather' ? grep { ref } @{ $_->[2] } : () } grep { ref } @{ $root[0][2] })
    {
        die "unknown verb $verb->[0]\n" unless $verb->[0] =~ /^(Say|Play|Pause|Gather|Record|Dial|Connect|Start|Reject|Hangup|Redirect)$/;
        die "13430 invalid DTMF string\n" if $verb->[0] eq 'Play' && ($verb->[1]{digits} // '') !~ /^[0-9A-D*#wW]+$/;
    }
    return grep { ref } @{ $root[0][2] };
}

# Lets so many bytes pass on both sides; the other side speaks what it has to say.
sub pass
{
    my ($call, $ours) = @_;
    if ($call->{line})
    {
        ($ours, my $theirs) = $call->{line}->carry($ours);
        $theirs = Mulberry::Line::carry($theirs, %{ $call->{behaviour} });
        $call->{out} .= $ours;
        $call->{in} .= $theirs;
        return $theirs;
    }
    my $length = length $ours;
    my $theirs = substr($call->{pending}, 0, $length, '');
    $call->{out} .= $ours;
    $call->{heard} .= $ours;
    $call->{in} .= $theirs . Mulberry::Line::SILENCE x ($length - length $theirs);
    return;
}

# Gives the edge what it has not heard yet, and takes its answer.
sub let_edge_answer
{
    my ($self, $call) = @_;
    my $b = $call->{behaviour};
    my $audio = $call->{heard};
    $call->{heard} = '';
    return if $call->{line};    # it hears by itself
    return if $b->{mute} || $b->{machine} || $audio !~ /[^\xff]/ || length $call->{pending};
    my ($connection, $tenant) = $self->{edge} ? $self->{edge}->($call->{to}) : ();
    return unless defined $connection;
    my $started = time;
    my ($row) = $self->sql($connection, sprintf(
        q{SELECT coalesce(encode(ack_audio, 'hex'), ''), coalesce(speech, ''), coalesce(verdict, ''), hang_up FROM mulberry.handle_call_audio('\x%s', 'mulaw', 8000, '%s', '%s', '%s')},
        unpack('H*', $audio), $call->{from}, $call->{sid}, $tenant // 'default'));
    my ($hex, $speech, $verdict, $hang_up) = split /\|/, $row // '';
    $self->note('edge', sid => $call->{sid}, verdict => $verdict, speech => $speech, seconds => time - $started);
    my $answer = pack 'H*', $hex // '';
    if ($b->{garble} && length $answer > 20_000 && $call->{garbled}++ < $b->{garble})
    {
        # one tone of the acknowledgement is lost
        substr($answer, 8000, 1600) = Mulberry::Line::SILENCE x 1600;
    }
    $call->{pending} = Mulberry::Line::SILENCE x 2400 . Mulberry::Line::carry($answer, %$b) if length $answer;
    $call->{hang_up} = 1 if ($hang_up // '') eq 't';
    return;
}

sub execute
{
    my ($self, $call) = @_;
    my $document = $call->{fields}{Twiml};
    my $documents = 0;
    DOCUMENT: while (defined $document && Mulberry::Twilio::is_live($call) && $documents++ < 50)
    {
        my @verbs = parse_twiml($document);
        undef $document;
        for my $verb (@verbs)
        {
            my ($name, $attributes, $children) = @$verb;
            return unless Mulberry::Twilio::is_live($call);
            last DOCUMENT if $call->{hang_up};
            if ($name eq 'Say') { pass($call, speak(join '', grep { !ref } @$children)) }
            elsif ($name eq 'Play')
            {
                $self->note('play', sid => $call->{sid}, digits => $attributes->{digits});
                pass($call, Mulberry::Line::play($attributes->{digits}, %{ $call->{behaviour} }));
                $self->let_edge_answer($call);
            }
            elsif ($name eq 'Pause') { pass($call, Mulberry::Line::SILENCE x (8000 * ($attributes->{length} // 1))) }
            elsif ($name eq 'Hangup') { last DOCUMENT }
            elsif ($name eq 'Gather')
            {
                for my $child (grep { ref } @$children) { pass($call, speak(join '', grep { !ref } @{ $child->[2] })) if $child->[0] eq 'Say' }
                my $digits = $self->gather($call, $attributes);
                next unless length $digits || ($attributes->{actionOnEmptyResult} // '') eq 'true';
                my ($status, $type, $body) = $self->webhook($call, $attributes->{action}, CallStatus => 'in-progress', Digits => $digits);
                return unless Mulberry::Twilio::is_live($call);
                last DOCUMENT unless ($status // 0) == 200;
                $document = $body;
                next DOCUMENT;
            }
        }
    }
    $self->note('audio', sid => $call->{sid}, seconds => length($call->{out}) / 8000);
    $self->record($call);
    $self->status($call, 'completed', CallDuration => int(length($call->{out}) / 8000));
    return;
}

# Speech is a buzz that is no digit, 60 ms a letter.
sub speak { return ("\x90" x 40 . "\x10" x 40) x (6 * length $_[0]) }

sub gather
{
    my ($self, $call, $attributes) = @_;
    my $finish = $attributes->{finishOnKey} // '#';
    my $wanted = $attributes->{numDigits};
    if ($call->{behaviour}{press} && ($wanted // 0) == 1) { return $call->{behaviour}{press} }
    my $heard = $call->{digits} // '';
    $call->{digits} = '';
    return $self->gather_from_line($call, $finish, $wanted, $attributes->{timeout} // 5, $heard) if $call->{line};
    if (length $call->{pending})
    {
        my $audio = $call->{pending};
        pass($call, Mulberry::Line::SILENCE x length $audio);
        $call->{heard} = '';    # we say nothing meanwhile
        $heard .= Mulberry::Line::hear($audio);
    }
    if (!length $heard)
    {
        pass($call, Mulberry::Line::SILENCE x (8000 * ($attributes->{timeout} // 5)));
        return '';
    }
    return digits_of($call, $heard, $finish, $wanted);
}

# What of the digits heard a <Gather> is for; what follows is heard by the next one.
sub digits_of
{
    my ($call, $heard, $finish, $wanted) = @_;
    my $digits = $heard;
    if (length $finish && $heard =~ /^([^\Q$finish\E]*)[\Q$finish\E](.*)$/) { ($digits, $call->{digits}) = ($1, $2) }
    if (defined $wanted && length $digits > $wanted) { ($digits, $call->{digits}) = (substr($digits, 0, $wanted), substr($digits, $wanted)) }
    return $digits;
}

# Listens on a line in real time until the digits are complete, or none has come for so long.
sub gather_from_line
{
    my ($self, $call, $finish, $wanted, $timeout, $before) = @_;
    my $audio = '';
    my $heard = $before;
    my $silence = 0;
    while ($silence < $timeout && Mulberry::Twilio::is_live($call))
    {
        last if (length $finish && index($heard, $finish) >= 0) || (defined $wanted && length $heard >= $wanted);
        $audio .= pass($call, Mulberry::Line::SILENCE x (GATHER_TURN * Mulberry::Line::RATE));
        my $now = $before . Mulberry::Line::hear($audio);
        $silence = $now eq $heard ? $silence + GATHER_TURN : 0;
        $heard = $now;
    }
    return digits_of($call, $heard, $finish, $wanted);
}

sub record
{
    my ($self, $call) = @_;
    my $b = $call->{behaviour};
    return if ($call->{fields}{Record} // '') ne 'true' || ($b->{recording} // '') eq 'none';
    my $recording = $call->{recording} = { sid => 'RE' . Mulberry::Twilio::hex32(), status => 'processing' };
    $recording->{channels} = ($call->{fields}{RecordingChannels} // '') eq 'dual' ? [ @$call{qw(in out)} ] : [ Mulberry::Line::mix(@$call{qw(in out)}) ];
    $self->later(($b->{recording} // '') =~ /^([\d.]+)$/ ? $1 : 0.01, sub {
        $recording->{status} = ($b->{recording} // '') eq 'absent' ? 'absent' : 'completed';
        $self->webhook($call, $call->{fields}{RecordingStatusCallback}, RecordingSid => $recording->{sid}, RecordingStatus => $recording->{status},
            RecordingChannels => 0 + @{ $recording->{channels} }, RecordingSource => 'OutboundAPI',
            RecordingUrl => "https://api.twilio.com/2010-04-01/Accounts/$self->{account}/Recordings/$recording->{sid}") if $call->{fields}{RecordingStatusCallback};
    });
    return;
}

1;
