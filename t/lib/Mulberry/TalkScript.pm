# One script of TalkScripts.pm while it runs: a tenant, its services, its call, and what is asserted of it.  Results are told to who started it.
package Mulberry::TalkScript;

use strict;
use warnings;

use JSON::PP;
use List::Util qw(min);
use Mulberry::Gateway;
use Mulberry::MediaCalls qw(make_clinic audio_of session_of told);
use Mulberry::MediaPeer;
use Mulberry::Talk;
use PostgreSQL::Test::Utils;

# What is not the same with all peers.  linear: samples of 16 bits.  slack: samples by which what is stored may end elsewhere than what was heard,
# where something was cleared.
my %kinds = (
    twilio => { delay => 20, slack => 8 * 300 },
    asterisk => { delay => 20, slack => 0 },
    jambonz => { linear => 1, slack => 8 * 60 },
    audiosocket => { linear => 1, slack => 8 * 60 });

my $answer = 'stop that and tell me when you are open';

sub new { my ($class, %self) = @_; return bless { %self, %{ $kinds{ $self{kind} } }, results => [], calls => 0 }, $class }

sub run
{
    my ($self, $file) = @_;
    $self->{peers} = media_peers();
    eval { $self->make_tenant; $self->{script}{run}->($self) };
    my $problem = "$@";
    $problem .= "\nwhat was said: " . lines_of($self->{node}, $self->{c}{call}) . "\nturns: " . $self->sql(qq{SELECT to_jsonb(r) FROM mulberry_internal.conversations c, mulberry_internal.replay_conversation(c) r WHERE c.call_id = '$self->{c}{call}'}) . "\nasked: " . $self->sql(qq{SELECT string_agg(n || ': ' || said, ', ') FROM agent.asked WHERE call_id = '$self->{c}{call}'}) . "\nlevels: @{[ eval { map { int($_ / 100) } $self->{c}->levels(0) } ]}" if $problem && $self->{c};
    $problem .= "\nthe gateway says: " . join "\n", grep { /$self->{c}{call}/ } split /\n/, log_of_gateway($self->{gateway}) if $problem && $self->{c};
    my @wrong = eval { map { $_->wrong } $self->{engines}, $self->{second} };
    $self->is("@wrong", '', 'all services were asked in their forms');
    append_to_file($file, JSON::PP->new->encode({ problem => $problem, results => $self->{results} }));
    $self->{peers}->command('quit', 'x');
    return;
}

sub make_tenant
{
    my ($self) = @_;
    my $script = $self->{script};
    my $settings = join ', ', grep { defined && length } $script->{settings}, $script->{model} ? '"prompt": "You answer the telephone of a clinic."' : '"reply_function": "agent.reply"',
        ($script->{settings} // '') =~ /filler/ ? () : '"filler_ms": 0', ($script->{settings} // '') =~ /silence_prompt/ ? () : '"silence_prompt_ms": 0';
    $self->{tenant} = "talk_$self->{name}";
    @$self{qw(number account)} = (sprintf('+1202556%04d', $self->{number}), sprintf('AC%032x', 0x1000 + $self->{number}));
    make_clinic($self->{node}, name => $self->{tenant}, number => $self->{number}, account => $self->{account},
        settings => join ', ', '"recording": "always", "answer_with": "agent"', grep { defined } $script->{telephony});
    $self->sql("SELECT mulberry.set_conversation('{$settings}', '$self->{tenant}')");
    $self->{ingest} = $self->sql("SELECT mulberry.create_token('pbx', 'ingest', '$self->{tenant}')");
    my @places = $script->{second} ? ([ $self->{engines}, 1 ], [ $self->{second}, 2 ]) : ([ $self->{engines}, 1 ]);
    for (@places)
    {
        my ($engines, $n) = @$_;
        $engines->delays(ear => 150, mouth => 80);
        $engines->model(%{ $script->{model} // {} });
        $engines->serve($self->{node}, $self->{tenant}, timeout => $script->{timeout} // '8 s', [ "ear$n", 'deepgram', 'v1', 'listen', $n ], [ "mouth$n", 'openai', 'v1', 'speak', $n ],
            $script->{model} ? [ "model$n", 'openai', 'v1', 'reply', $n, 'm' ] : ());
    }
    return;
}

# ---- what happens ----

sub sql { my ($self, @query) = @_; return $self->{node}->safe_psql('postgres', @query) }
sub phrases { my ($self, @list) = @_; $self->{engines}->phrases(@list); return }

# A call, whose opening has not been heard.
sub connect
{
    my ($self, %option) = @_;
    my $id = sprintf '%030x%02x', $self->{number}, ++$self->{calls};
    $self->{late} = 0;
    return $self->{c} = caller($self->{peers}, $self->{gateway}, $id, kind => $self->{kind}, delay => $self->{delay}, ingest => $self->{ingest}, number => $self->{number}, account => $self->{account}, %option);
}

sub call
{
    my ($self, %option) = @_;
    my $c = $self->connect(%option);
    my $opening = $c->hears(0, 40);
    $self->ok($opening->[1] - $opening->[0] > 50, 'the agent begins', "@$opening");
    return $c;
}

# Says what is heard as it is; where it was said.
sub asks
{
    my ($self, $text) = @_;
    $self->phrases($text);
    $self->{c}->say(voice_of($text));
    return $self->{c}->said;
}

# Asks, and interrupts the reply some time after its beginning.
sub interrupts
{
    my ($self, $question, $after) = @_;
    my $c = $self->{c};
    $self->phrases($question, $answer);
    $c->say(voice_of($question));
    my $begin = $c->hears_begin($c->said->[1]);
    $c->hears_begin($begin + int($after / 20));
    $c->say(voice_of('stop that please and tell me when you are open'));
    my $said = $c->said;
    $self->cut_at($begin);
    $self->ok($self->{cut} > $said->[0], 'the agent was speaking when the caller began');
    $self->ok($self->{cut} < $said->[1], 'and is silent while he speaks');
    $self->like(20 * ($self->{cut} - $said->[0]), qr/^\d{1,3}$/, 'within a second');
    $c->hears($said->[1]);
    return;
}

# The first sound behind a place, of a call that is over.
sub sound_after
{
    my ($self, $from) = @_;
    my @levels = $self->{c}->levels($from);
    my ($sound) = Mulberry::Talk::sounds_between(\@levels, 25);
    return [ map { $from + $_ } $sound ? @$sound : (0, 0) ];
}

# What was heard from a place on is a reply that was cut.
sub cut_at
{
    my ($self, $begin) = @_;
    my @levels = $self->{c}->levels($begin);
    my ($sound) = Mulberry::Talk::sounds_between(\@levels, 12);
    @$self{qw(begin cut)} = ($begin, $begin + $sound->[1]);
    return;
}

sub tones
{
    my ($self, $digits) = @_;
    return pack 'H*', $self->sql("SELECT encode(mulberry.dtmf_synthesize('$digits', 'mulaw', 8000), 'hex')");
}

# A cough: noise that fades within 200 ms.
sub Mulberry::TalkScripts::cough
{
    return pack 'C*', map { my $v = int(12000 * exp(-$_ / 500) * (rand(2) - 1)); mulaw_of($v) } 1 .. 1600;
}

sub mulaw_of
{
    my ($v) = @_;
    my $sign = $v < 0 ? 0x80 : 0;
    $v = min(abs $v, 32635) + 0x84;
    my ($e, $mask) = (7, 0x4000);
    while ($e > 0 && !($v & $mask)) { $e--; $mask >>= 1 }
    return ~($sign | $e << 4 | ($v >> $e + 3 & 0xf)) & 0xff;
}

# ---- how it ends ----

sub hangs_up
{
    my ($self) = @_;
    $self->{closed} = $self->{c}->stop;
    return;
}

# The other side ends it; the code where there are some.
sub closes
{
    my ($self, $code) = @_;
    $self->{closed} = $self->{c}->closed;
    # what was on its way
    $self->{late} = 8 * 400;
    $self->is($self->{closed}{code}, $self->{kind} eq 'audiosocket' ? 1000 : $code, 'the stream is ended');
    return;
}

sub reason_of { my ($self) = @_; return session_of($self->{node}, $self->{c}{call}) }
sub reason
{
    my ($self, $stream, $conversation) = @_;
    $self->is($self->reason_of, $stream, 'why the stream ended is known');
    $self->is(conversation_over($self->{node}, $self->{c}{call}), $conversation, 'and the conversation');
    return;
}

# How the call goes on, as the dialplan is told, or Twilio's webhook.
sub goes_on
{
    my ($self, $expected, $what) = @_;
    my $c = $self->{c};
    my $next;
    if ($self->{kind} eq 'twilio')
    {
        $self->reason_of;
        $next = $self->sql(qq{SELECT CASE WHEN mulberry_internal.has_emergency(tenant, sid) THEN 'transfer:+12025550911' ELSE concat_ws(':', place->>'leave', place->>'number') END FROM mulberry_internal.inbound_calls WHERE sid = '$c->{call}'});
    }
    else { $next = ask($self->{gateway}, 'GET', "/v1/audiosocket/$c->{uuid}/next", token => $self->{ingest})->{content} }
    $self->is($next, $expected, $what // 'how the call goes on is known');
    return;
}

# ---- what is asserted ----

sub ok { my ($self, $ok, $what, $why) = @_; push @{ $self->{results} }, [ $ok ? 1 : 0, $what, $why // '' ]; return $ok }
sub is { my ($self, $got, $expected, $what) = @_; return $self->ok(($got // 'undef') eq $expected, $what, "         got: " . ($got // 'undef') . "\n    expected: $expected") }
sub like { my ($self, $got, $pattern, $what) = @_; return $self->ok(($got // '') =~ $pattern, $what, "         got: " . ($got // 'undef') . "\n    does not match $pattern") }
sub unlike { my ($self, $got, $pattern, $what) = @_; return $self->ok(($got // '') !~ $pattern, $what, "         got: $got\n    matches $pattern") }

# What was said in the conversation, as it is stored when it is over.
sub said
{
    my ($self) = @_;
    conversation_over($self->{node}, $self->{c}{call});
    # a telephone system leaves the greeting to us
    return split /\n/, lines_of($self->{node}, $self->{c}{call}) =~ s/^agent: Welcome /agent: /r;
}

sub lines
{
    my ($self, @expected) = @_;
    return $self->is(join("\n", $self->said), join("\n", @expected), 'the conversation is stored as it was');
}

# Of the first turn.
sub turn
{
    my ($self, $columns) = @_;
    return $self->sql(qq{SELECT $columns FROM mulberry_internal.conversation_turns t JOIN mulberry_internal.conversations c ON c.id = t.conversation WHERE c.call_id = '$self->{c}{call}' AND turn = 1});
}

sub figure
{
    my ($self, $name) = @_;
    $self->reason_of;
    return $self->sql(qq{SELECT figures->>'$name' FROM mulberry_internal.media_sessions WHERE call_id = '$self->{c}{call}'});
}

# Words of a line of the conversation.
sub Mulberry::TalkScripts::words_of { my ($line) = @_; return scalar(() = $line =~ s/^\w+: //r =~ /\w+/g) }

# Words at the ear between two places, by how long something sounds: the stand-ins' words have 250 ms, and a busy machine may break them.
sub words_heard
{
    my ($self, $from, $to) = @_;
    my @levels = $self->{c}->levels($from);
    splice @levels, $to - $from if @levels > $to - $from;
    return (grep { $_ >= 100 } @levels) / 13;
}

# A sound at the ear is that sentence.
sub as_long_as
{
    my ($self, $text, $sound, $what) = @_;
    my $expected = split ' ', $text;
    my $heard = $self->words_heard(@$sound);
    return $self->ok(abs($heard - $expected) <= 0.5, $what, "it has $heard words and not $expected");
}

# What is stored of a reply that was cut is what was heard of it, to a word; between: "begin" and "cut".
sub cut
{
    my ($self, $line, $cut, $whole) = @_;
    my $heard = $self->words_heard($self->{begin}, $self->{cut});
    my ($text) = $line =~ /^agent: (.*)\|$/ or return $self->ok(0, 'the reply was cut', $line);
    my $stored = Mulberry::TalkScripts::words_of($line);
    $self->ok(substr($whole, 0, length $text =~ s/\s*(?:\.\.\.|…)$//r) eq $text =~ s/\s*(?:\.\.\.|…)$//r, 'what is stored of the reply is its beginning', $text);
    return $self->ok(abs($stored - int $heard) <= 1, 'what is stored of it is what was heard, to a word', "stored are $stored words, $heard were heard");
}

# Samples that are no silence.
sub loud
{
    my ($self, $audio) = @_;
    return $self->{linear} ? pack 's<*', grep { $_ } unpack 's<*', $audio : $audio =~ tr/\x7f\xff//dr;
}

sub track { my ($self, $name) = @_; return pack 'H*', $self->sql(audio_of($self->{c}{call}, $name)) }

# What is stored is what was said, to the bit, and what was heard; cuts: how often something was cut; lost: samples that may not have come.
sub stored
{
    my ($self, %option) = @_;
    my $c = $self->{c};
    $self->reason_of;
    my ($said, $kept) = ($c->sent, $self->track('caller'));
    my $late = $option{lost} // $self->{late};
    if ($late) { $self->ok(index($said, $kept) == 0 && length($said) - length($kept) <= $late * ($self->{linear} ? 2 : 1), 'what was said is stored, to the bit', length($said) . ' bytes were said, ' . length($kept) . ' are stored') }
    else { $self->is(told($kept), told($said), 'what was said is stored, to the bit') }
    my ($heard, $agent) = map { $self->loud($_) } $c->whole, $self->track('agent');
    my $begin = common($heard, $agent);
    my $end = min(common(scalar reverse($heard), scalar reverse $agent), length($heard) - $begin, length($agent) - $begin);
    my $width = $self->{linear} ? 2 : 1;
    my ($only_heard, $only_kept) = map { (length($_) - $begin - $end) / $width } $heard, $agent;
    # a frame that had begun when the other side ended it
    my $slack = ($option{cuts} // 0) * $self->{slack} + ($option{lost} // 0) + ($self->{late} ? 160 : 0);
    $self->ok($only_heard <= $slack && $only_kept <= $slack, 'and what was heard', sprintf '%d samples were only heard, %d are only stored, of %d', $only_heard, $only_kept, length($heard) / $width);
    $self->is("@{ $c->{errors} }", '', 'and the other side had nothing to complain of');
    return;
}

# How long two texts are the same, from their beginning.
sub common { my ($x, $y) = @_; my $n = min(length $x, length $y); (substr($x, 0, $n) ^ substr($y, 0, $n)) =~ /^\0*/; return $+[0] }

1;
