# Conversations for tests: a tenant with an agent that talks, callers with voices, and what was heard of it at the caller's ear.
package Mulberry::Talk;

use strict;
use warnings;

use MIME::Base64;
use Mulberry::Gateway;
use Mulberry::MediaCalls;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

use Exporter 'import';
our @EXPORT = qw(make_agent voice_of loudness sounds_between lines_of conversation_over caller);

# A tenant's own reply function, whose answers are a table; endpoints are set by the test.
sub make_agent
{
    my ($node, %option) = @_;
    my $tenant = $option{tenant} // 'clinic';
    my $settings = $option{settings} // '';
    $node->safe_psql('postgres', <<"SQL");
DO \$\$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'agent_author') THEN CREATE ROLE agent_author; END IF; END \$\$;
CREATE SCHEMA IF NOT EXISTS agent AUTHORIZATION agent_author;
SET ROLE agent_author;
CREATE TABLE IF NOT EXISTS agent.answers (pattern text, answer jsonb);
CREATE TABLE IF NOT EXISTS agent.asked (n serial, call_id text, said text);
CREATE OR REPLACE FUNCTION agent.reply(call_id text, said text) RETURNS jsonb LANGUAGE plpgsql AS \$\$
BEGIN
    INSERT INTO agent.asked (call_id, said) VALUES (call_id, said);
    RETURN coalesce((SELECT a.answer FROM agent.answers a WHERE said ~* a.pattern LIMIT 1), '{"say": "I did not get that."}');
END
\$\$;
RESET ROLE;
SELECT mulberry.set_conversation('{"reply_function": "agent.reply"$settings}', '$tenant');
SQL
    return;
}

my %voices;

# What somebody says, in mu-law with 8000 samples a second, by flite, without the silence around it.
sub voice_of
{
    my ($text, $voice) = @_;
    $voice //= 'slt';
    return $voices{"$voice $text"} //= do {
        my $dir = PostgreSQL::Test::Utils::tempdir();
        system('flite', '-voice', $voice, '-t', $text, '-o', "$dir/a.wav") == 0 or die 'flite';
        system('sox', '-q', "$dir/a.wav", '-r', '8000', '-c', '1', '-e', 'mu-law', '-t', 'raw', "$dir/a.ul",
            'norm', '-6', 'silence', '1', '0.01', '0.5%', 'reverse', 'silence', '1', '0.01', '0.5%', 'reverse') == 0 or die 'sox';
        slurp_file("$dir/a.ul");
    };
}

my @linear = map { my $b = ~$_ & 0xff; my $v = ((($b & 0xf) << 3) + 0x84 << (($b & 0x70) >> 4)) - 0x84; $b & 0x80 ? -$v : $v } 0 .. 255;

# The amplitude of each frame of 20 ms.
sub loudness
{
    my ($audio) = @_;
    my @frames;
    for (my $at = 0; $at + 160 <= length $audio; $at += 160)
    {
        my $sum = 0;
        $sum += $linear[$_]**2 foreach unpack 'C160', substr $audio, $at, 160;
        push @frames, sqrt($sum / 160);
    }
    return @frames;
}

# Stretches in which something sounds, as [first frame, frame behind]; pauses of less than "gap" frames belong to them.
sub sounds_between
{
    my ($frames, $gap) = @_;
    my @sounds;
    for my $i (0 .. $#$frames)
    {
        next if $frames->[$i] < 100;
        if (@sounds && $i - $sounds[-1][1] <= ($gap // 15)) { $sounds[-1][1] = $i + 1 }
        else { push @sounds, [ $i, $i + 1 ] }
    }
    return @sounds;
}

# What was said, as the database has it: "caller: …" and "agent: …", cut ones with "|" behind.
sub lines_of
{
    my ($node, $call) = @_;
    return $node->safe_psql('postgres', qq{SELECT string_agg(l.speaker || ': ' || l.text || CASE WHEN l.cut THEN '|' ELSE '' END, E'\\n' ORDER BY l.number)
        FROM mulberry_internal.conversation_lines l JOIN mulberry_internal.conversations c ON c.id = l.conversation WHERE c.call_id = '$call'});
}

sub conversation_over
{
    my ($node, $call) = @_;
    $node->poll_query_until('postgres', qq{SELECT ended_at IS NOT NULL FROM mulberry_internal.conversations WHERE call_id = '$call'}) or die "the conversation of $call is not over";
    return $node->safe_psql('postgres', qq{SELECT reason FROM mulberry_internal.conversations WHERE call_id = '$call'});
}

# A call that is connected, as a line; option: kind of peer (twilio), delay, noise, echo, echoDelay; ingest: a token of that access, of a
# telephone system; account, number, secret, early (see media_asterisk.js).
sub caller
{
    my ($peers, $gateway, $id, %option) = @_;
    my $kind = $option{kind} // 'twilio';
    my %self = $kind eq 'twilio' ? %{ inbound_call($gateway, $id, %option) } : (call => $id, uuid => offered($gateway, $id, %option));
    my $basic = { Authorization => 'Basic ' . encode_base64("pbx:" . ($option{ingest} // ''), '') };
    my %open = (
        twilio => sub { url => "ws://127.0.0.1:$gateway->{twilio}/twilio/ws", sid => "MZ$id", headers => { 'X-Twilio-Signature' => socket_signature($option{secret}) } },
        asterisk => sub { url => "ws://127.0.0.1:$gateway->{port}/asterisk/media?uuid=$self{uuid}", protocols => ['media'], headers => $basic },
        jambonz => sub { url => "ws://127.0.0.1:$gateway->{port}/jambonz/media?uuid=$self{uuid}", protocols => ['audio.jambonz.org'], headers => $basic },
        audiosocket => sub { port => $gateway->{audiosocket}, uuid => $self{uuid} });
    $peers->command(open => $id, kind => $kind, delay => $option{delay} // 0, $open{$kind}->());
    $peers->await($id, qw(open refused))->{event} eq 'open' or die 'refused';
    $peers->command(start => $id, from => '+12025550123', to => '+12025550100', %self, map { defined $option{$_} ? ($_ => $option{$_}) : () } qw(early));
    $peers->command(live => $id, map { defined $option{$_} ? ($_ => $option{$_}) : () } qw(noise echo echoDelay));
    return Mulberry::Talk::Caller->new(peers => $peers, id => $id, kind => $kind, %self);
}

# The token of a call that a telephone system is about to bring.
sub offered
{
    my ($gateway, $call, %option) = @_;
    my $answer = ask($gateway, 'GET', "/v1/audiosocket/new?call_id=$call&from=%2B12025550123&to=%2B12025550100", token => $option{ingest});
    $answer->{status} == 200 or die "no token: $answer->{content}";
    return $answer->{content};
}

package Mulberry::Talk::Caller;

use MIME::Base64;
use Time::HiRes qw(sleep time);

sub new { my ($class, %self) = @_; return bless {%self}, $class }

# Says something; with wait (ms) after silence.  Does not wait for it.
sub say
{
    my ($self, $audio, %option) = @_;
    $self->{peers}->command(say => $self->{id}, audio => encode_base64($audio, ''), %option);
    return;
}

# Frames of what was said, and when the last one was sent: [from, to, at].
sub said { my ($self) = @_; my $e = $self->{peers}->await($self->{id}, 'said'); return [ @$e{qw(from to at)} ] }

# When audio to be played came first behind such a time, ms.
sub arrival
{
    my ($self, $since) = @_;
    $self->{peers}->command(arrival => $self->{id}, since => $since);
    return $self->{peers}->await($self->{id}, 'arrival')->{at};
}

# All that was at the ear, in frames of the line that the caller speaks in.
sub ear
{
    my ($self) = @_;
    my $e = $self->_timeline;
    return substr decode_base64($e->{audio}), 160 * $e->{from};
}

# All that was at the ear since the call began, in the peer's encoding.
sub whole { my ($self) = @_; return decode_base64($self->_timeline->{audio}) }

sub _timeline
{
    my ($self) = @_;
    $self->{peers}->command(timeline => $self->{id});
    my $e = $self->{peers}->await($self->{id}, 'timeline');
    $self->{spoken} = $e->{spoken};
    return $e;
}

# The amplitude of each frame at the ear, from one on.
sub levels
{
    my ($self, $since) = @_;
    my $known = $self->{known_levels} //= [];
    $self->{peers}->command(levels => $self->{id}, since => scalar @$known);
    push @$known, @{ $self->{peers}->await($self->{id}, 'levels')->{levels} };
    return @$known[ $since .. $#$known ];
}

# Waits until something sounds at the ear behind a frame and then nothing for a time (frames); the stretch.
sub hears
{
    my ($self, $from, $quiet) = @_;
    $quiet //= 25;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    while (time < $end)
    {
        my @levels = $self->levels($from);
        my ($sound) = Mulberry::Talk::sounds_between(\@levels, $quiet);
        return [ $from + $sound->[0], $from + $sound->[1] ] if $sound && @levels - $sound->[1] > $quiet;
        sleep 0.2;
    }
    die 'nothing was heard';
}

# Waits until something sounds at the ear that began behind a frame; its first frame.
sub hears_begin
{
    my ($self, $from) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    while (time < $end)
    {
        my @levels = $self->levels($from);
        my ($first) = grep { $levels[$_] >= 100 } 0 .. $#levels;
        return $from + $first if defined $first;
        sleep 0.1;
    }
    die 'nothing was heard';
}

# All frames that were said, in the peer's encoding.
sub sent
{
    my ($self) = @_;
    $self->{peers}->command(sent => $self->{id});
    my $e = $self->{peers}->await($self->{id}, 'sent');
    $self->{errors} = $e->{errors};
    return decode_base64($e->{audio});
}

sub press { my ($self, $digit) = @_; $self->{peers}->command(press => $self->{id}, digit => $digit); return }
sub mute { my ($self, $on) = @_; $self->{peers}->command(mute => $self->{id}, on => $on ? \1 : \0); return }

# Goes without a word.
sub drop { my ($self) = @_; $self->{peers}->command(drop => $self->{id}); return $self->closed }

# Waits until the other side has ended it.
sub closed { my ($self) = @_; return $self->{peers}->await($self->{id}, 'closed') }

sub stop
{
    my ($self, $account) = @_;
    $self->{peers}->command(stop => $self->{id}, account => $self->{account}, call => $self->{call});
    return $self->{peers}->await($self->{id}, 'closed');
}

1;
