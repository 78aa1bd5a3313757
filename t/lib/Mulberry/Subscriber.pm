# A session that listens: psql in the background that called
# mulberry.subscribe(), and the messages it has received so far.
package Mulberry::Subscriber;

use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

# A session of a role, subscribed unless subscribe => 0; connection => another one than to the server itself.
sub new
{
    my ($class, $node, %option) = @_;
    my $self = bless { messages => [], stdin => '', stdout => '', stderr => '', queries => 0 }, $class;

    $self->{timeout} = IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default);
    $self->{psql} = IPC::Run::start(
        [
            $node->installed_command('psql'), '-XqAt', '-v', 'VERBOSITY=terse', '-d',
            $option{connection} // $node->connstr($option{database} // 'postgres') . ($option{role} ? " user=$option{role}" : ''),
            '-f', '-'
        ],
        '<', \$self->{stdin}, '>', \$self->{stdout}, '2>', \$self->{stderr}, $self->{timeout});
    $self->subscribe if $option{subscribe} // 1;
    return $self;
}

# Runs SQL in the session and returns its result; what arrived goes to the messages.
sub query
{
    my ($self, $sql) = @_;
    my $end = 'end of query ' . ++$self->{queries};
    my @rest;

    $self->{timeout}->start($PostgreSQL::Test::Utils::timeout_default);
    $self->{stdin} .= "$sql\n\\echo $end\n";
    pump_until($self->{psql}, $self->{timeout}, \$self->{stdout}, qr/^\Q$end\E$/m)
      or die "the session of a subscriber ended: $self->{stderr}";
    $self->{stdout} =~ s/^(.*?)\Q$end\E\n//s;
    for my $line (split /\n/, $1)
    {
        if ($line =~ /^Asynchronous notification "(.*?)" with payload "(.*)" received from server process with PID (\d+)\.$/)
        {
            my $message = JSON::PP->new->utf8->decode($2);
            push @{ $self->{messages} },
              { %$message, _channel => $1, _bytes => length $2, _pid => $3, _text => $2 };
        }
        else
        {
            push @rest, $line;
        }
    }
    return join "\n", @rest;
}

# Subscribes, with a filter (calls => '...') if need be, and returns { tenant => { channel, last_seq } }.
sub subscribe
{
    my ($self, $tenant, %filter) = @_;
    my %answer;
    $filter{tenant} = $tenant if defined $tenant;
    my $argument = join ', ', map { "$_ => '$filter{$_}'" } sort keys %filter;

    for my $row (split /\n/, $self->query("SELECT * FROM mulberry.subscribe($argument);"))
    {
        my ($name, $channel, $last_seq) = split /\|/, $row;
        $answer{$name} = { channel => $channel, last_seq => $last_seq };
    }
    return \%answer;
}

# Everything received and not yet taken, in order.
sub take
{
    my $self = shift;
    my @taken = @{ $self->{messages} };
    $self->{messages} = [];
    return @taken;
}

# Waits until a message fulfils the condition, and takes all up to it.  Dies
# when that takes too long.
sub take_until
{
    my ($self, $condition) = @_;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

    while (1)
    {
        for my $i (0 .. $#{ $self->{messages} })
        {
            local $_ = $self->{messages}[$i];
            return splice @{ $self->{messages} }, 0, $i + 1 if $condition->();
        }
        die "no such message; received: " . join("\n", map { $_->{_text} } @{ $self->{messages} })
          if time > $deadline;
        sleep 0.02;
        $self->query('SELECT;');
    }
}

# The same for a message of this event.
sub take_until_event
{
    my ($self, $event) = @_;
    return $self->take_until(sub { $_->{event} eq $event });
}

# The same for a message about this call.
sub take_until_call
{
    my ($self, $call_id) = @_;
    return $self->take_until(sub { ($_->{call_id} // '') eq $call_id });
}

sub quit
{
    my $self = shift;
    $self->{stdin} .= "\\q\n";
    $self->{psql}->finish;
    return;
}

1;
