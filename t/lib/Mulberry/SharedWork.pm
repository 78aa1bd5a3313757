# What is shared between tenants, tried for one of them: its calls are processed, its events numbered and sent, its
# audit log linked, and maintenance comes to its end.  For tests in which somebody else is in the way.
package Mulberry::SharedWork;

use strict;
use warnings;

use Mulberry::Cluster;
use Time::HiRes qw(time sleep);

use constant BOUND => 60;    # s; what waits for a lock, or fails each time, does so for ever

# Makes tenant "b" with somebody who listens to it.
sub new
{
    my ($class, $node) = @_;
    my $self = bless { node => $node, in => '', out => '', err => '', round => 0 }, $class;
    $node->safe_psql('postgres', "SELECT mulberry.create_tenant('b')");
    $node->safe_psql('postgres',
        "SELECT mulberry.create_agent('pi', tenant => 'b'), mulberry.create_mandate('10000001', 'pi', 'sponsor', 100000, 'EUR', '2999-01-01', 'b')");
    $self->{listener} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-f', '-' ],
        '<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err}, IPC::Run::timeout(1800));
    $self->{in} .= "SELECT last_seq FROM mulberry.subscribe(tenant => 'b');\n\\echo subscribed\n";
    $self->{listener}->pump until $self->{out} =~ /subscribed/;
    return $self;
}

# True when a query says so in time.
sub soon
{
    my ($self, $query) = @_;
    return (ask_until($self->{node}, 'postgres', $query, 't', BOUND))[0];
}

# What does not work, by name.
sub stopped
{
    my ($self) = @_;
    my $id = 'call ' . ++$self->{round};
    my $b = "(SELECT id FROM mulberry_internal.tenants WHERE name = 'b')";
    my @stopped;
    $self->{node}->safe_psql('postgres',
        "SELECT mulberry.ingest_packet('$id', 0, 'hello', NULL, 'text', NULL, 'b'), mulberry.complete_call('$id', 1, 'b');
         SELECT mulberry.spend('10000001', 1, '$id', 'b')");
    push @stopped, 'jobs' unless $self->soon("SELECT state = 'ARCHIVED' FROM mulberry_internal.calls WHERE tenant = $b AND call_id = '$id'");
    push @stopped, 'numbers' unless $self->soon("SELECT count(*) = 0 FROM mulberry_internal.events WHERE tenant = $b AND seq IS NULL");
    push @stopped, 'links' unless $self->soon("SELECT count(*) = 0 FROM mulberry_internal.audit WHERE tenant = $b AND seq IS NULL");
    push @stopped, 'messages' unless $self->heard($id);
    my ($status, $out, $err) = $self->{node}->psql('postgres', "SET statement_timeout = '${\BOUND}s'; SELECT mulberry.maintenance()");
    push @stopped, "maintenance ($err)" unless $status == 0;
    return join ' ', @stopped;
}

sub heard
{
    my ($self, $id) = @_;
    my $end = time + BOUND;
    while (time < $end)
    {
        $self->{in} .= "SELECT 1;\n";
        $self->{listener}->pump;
        return 1 if $self->{out} =~ /"\Q$id\E"[^\n]*"ARCHIVED"/;
        sleep 0.05;
    }
    return 0;
}

sub finish
{
    my ($self) = @_;
    $self->{in} .= "\\q\n";
    $self->{listener}->finish;
    return;
}

1;
