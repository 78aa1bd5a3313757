# The cloud and an edge as two databases of one cluster, whose commands go from one to the other as tones: for tests of
# "mulberry-edge answer".  Frames are signed by the one and acknowledged by the other; how they get there is the test's.
package Mulberry::AnswerPair;

use strict;
use warnings;

use Mulberry::Cluster;
use Mulberry::Line;

# An agent with one mandate, {mandate}.  With agents => N there are so many, each with a tenant of its own on the edge, which is its {tenant}: what
# is returned has them as {each}, and serves for none itself.
sub new
{
    my ($class, $name, %option) = @_;
    my $node = mulberry_cluster($name, preload => 0, extension => 0, conf => "mulberry.agent_online_time = '1d'\nmax_connections = 200\n");
    my $pair = bless { node => $node }, $class;
    $node->safe_psql('postgres', "CREATE DATABASE $_") for qw(cloud edge);
    $pair->$_('CREATE EXTENSION mulberry CASCADE') for qw(cloud edge);
    $pair->edge(q{CREATE ROLE pi LOGIN; SELECT mulberry.grant_access('pi', a, NULL) FROM unnest('{ingest,operator}'::text[]) AS a});
    my $n = $option{agents} // 1;
    for my $i (1 .. $n)
    {
        my $one = bless { %$pair, agent => "till-$i", tenant => $n == 1 ? 'default' : "till-$i", mandate => 12345677 + $i }, $class;
        $one->enter($i, $option{challenge_extend} ? 'true' : 'false');
        push @{ $pair->{each} }, $one;
    }
    return $n == 1 ? $pair->{each}[0] : $pair;
}

sub enter
{
    my ($pair, $i, $challenge) = @_;
    my ($agent, $tenant) = @$pair{qw(agent tenant)};
    $pair->cloud("SELECT mulberry.create_agent('$agent', phone => '+8210123' || lpad('$i', 5, '0'));
        SELECT mulberry.create_mandate('$pair->{mandate}', '$agent', 'sponsor', 50000, 'KRW', now() + interval '30 days')");
    my $key = $pair->cloud("SELECT mulberry.create_voice_key('$agent', challenge_extend => $challenge)");
    my $line = $pair->cloud("CALL mulberry.export_voice_key('$agent', $key)");
    $pair->edge("SELECT mulberry.create_tenant('$tenant')") if $tenant ne 'default';
    $pair->edge("COPY mulberry.voice_key_entry (tenant, key) FROM stdin;\n$tenant\t$line\n\\.\n");
    my $news = $pair->sync('[]');
    $pair->edge("SELECT mulberry.apply_agent_sync(\$news\$$news\$news\$, '$tenant')");
    return;
}

sub cloud { my ($pair, $sql) = @_; return $pair->{node}->safe_psql('cloud', $sql) }
sub edge { my ($pair, $sql) = @_; return $pair->{node}->safe_psql('edge', $sql) }

# What the program is told: a role that may, and whose line it is. Tones alone are heard of it, if nothing else is said.
sub flags { my ($pair) = @_; return ('--database', $pair->{node}->connstr('edge') . ' user=pi', '--tenant', $pair->{tenant}, '--speech', 'off') }

sub sync { my ($pair, $acks) = @_; return $pair->cloud("SELECT mulberry.agent_sync('$pair->{agent}', '$acks')") }

# The frame of a command that is given now: suspend, resume, query, revoke, ping, or extend.
sub command
{
    my ($pair, $kind) = @_;
    my $call = $kind eq 'ping' ? "ping_agent('$pair->{agent}')" : $kind eq 'extend' ? "extend_mandate('$pair->{mandate}', 3)" : "${kind}_mandate('$pair->{mandate}')";
    $pair->{command} = $pair->cloud("SELECT mulberry.$call->>'command_id'");
    return $pair->frame;
}

# That which the cloud plays now.
sub frame { my ($pair) = @_; return $pair->cloud("SELECT mulberry.agent_sync('$pair->{agent}') #>> '{commands,0,frame}'") }

# What becomes of the command by an acknowledgement that was heard.
sub settle
{
    my ($pair, $ack, $challenge) = @_;
    my $more = defined $challenge ? ", \"challenge\": \"$challenge\"" : '';
    $pair->sync("[{\"ack\": \"$ack\"$more}]");
    return $pair->state;
}

sub state { my ($pair) = @_; return $pair->cloud("SELECT state FROM mulberry.command_status WHERE command_id = $pair->{command}") }
sub mandate_state { my ($pair) = @_; return $pair->edge("SELECT status FROM mulberry.mandate_status WHERE mandate_id = '$pair->{mandate}' AND tenant = '$pair->{tenant}'") }

# The frame with another tag, and the check that fits it.
sub forged
{
    my ($frame) = @_;
    my $digits = substr $frame, 1, 28;
    substr $digits, 20, 1, (substr($digits, 20, 1) + 1) % 10;
    my $rest = 0;
    $rest = ($rest * 10 + $_) % 97 for split //, $digits . '00';
    return sprintf '*%s%02d#', $digits, 98 - $rest;
}

# Plays the frame of a command that is given now, or of the one that is outstanding, as a sender does: again until it is acknowledged, and
# answers a challenge. What the line's ask() says goes to the cloud. {state}, {times} it was played, and {delays} until the first tone
# of each answer, in milliseconds.
sub confirm
{
    my ($pair, $line, $kind, %carry) = @_;
    my %result = (times => 0, delays => [], heard => [], state => 'outstanding');
    ($pair->{command}) = $line->meanwhile(sub { $pair->command($kind); $pair->{command} }) if $kind;
    while ($result{times} < 8 && $result{state} eq 'outstanding')
    {
        my ($audio) = $line->meanwhile(sub { Mulberry::Line::play(($carry{before} // '') . $pair->frame, %carry) });
        my ($digits, $delay, $times) = $line->ask($audio);
        $result{times} += $times;
        push @{ $result{delays} }, $delay;
        push @{ $result{heard} }, $digits;
        my @ack = $digits =~ /^(\*[0-9]{20}#)([0-9]{8})?$/;
        ($result{state}) = $line->meanwhile(sub { @ack ? $pair->settle(@ack) : $pair->state });
    }
    return \%result;
}

sub stop { my ($pair) = @_; $pair->{node}->stop; return }

1;
