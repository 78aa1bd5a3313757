# Stand-ins for services of live conversations (engines.js), driven by a test.
package Mulberry::Engines;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run;
use JSON::PP;
use Mulberry::MediaPeer;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);

my $json = JSON::PP->new->canonical;
my @started;
END { my $status = $?; $_->{run}->kill_kill foreach @started; $? = $status }

sub new
{
    my ($class) = @_;
    my $self = bless { in => '', out => '', err => '', wrong => [] }, $class;
    local $ENV{NODE_PATH} = have_ws();
    $self->{run} = IPC::Run::start([ 'node', dirname(abs_path(__FILE__)) . '/engines.js' ], '<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err});
    push @started, $self;
    $self->{port} = $self->_await('port')->{port};
    return $self;
}

sub url { my ($self, $version) = @_; return "http://127.0.0.1:$self->{port}/" . ($version // 'v1') }

sub _await
{
    my ($self, $event) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    while (time < $end)
    {
        while ($self->{out} =~ s/^([^\n]*)\n//)
        {
            my $said = $json->decode($1);
            push @{ $self->{wrong} }, $said->{why} if $said->{event} eq 'wrong';
            return $said if $said->{event} eq $event;
        }
        $self->{run}->pumpable or die "the stand-ins have ended: $self->{err}";
        $self->{run}->pump_nb;
        select undef, undef, undef, 0.01;
    }
    die "the stand-ins do not say $event: $self->{err}";
}

sub _do { my ($self, $op, %more) = @_; $self->{in} .= $json->encode({ op => $op, %more }) . "\n"; $self->{run}->pump_nb; return $self->_await($op eq 'asked' ? 'asked' : 'did') }
sub phrases { my ($self, @list) = @_; $self->_do('phrases', list => \@list); return }
sub always { my ($self, $long, $short) = @_; $self->_do('always', long => $long, short => $short); return }
sub delays { my ($self, %delays) = @_; $self->_do('delays', delays => \%delays); return }
sub behave { my ($self, $who, $how) = @_; $self->_do('behave', who => $who, how => $how); return }
sub model { my ($self, %replies) = @_; $self->_do('model', replies => \%replies); return }
sub asked { my ($self) = @_; return $self->_do('asked')->{asked} }

# What was not of the form that a service wants.
sub wrong { my ($self) = @_; $self->asked; return @{ $self->{wrong} } }

# Endpoints of a tenant at these stand-ins; which: [ name, kind, version, purpose, priority, model ].
sub serve
{
    my ($self, $node, $tenant, @which) = @_;
    $node->safe_psql('postgres', "COPY mulberry.secret_entry (tenant, name, value) FROM stdin;\n$tenant\tengines\tsk-test\n\\.\n");
    for (@which)
    {
        my ($name, $kind, $version, $purpose, $priority, $model) = @$_;
        my $options = $kind eq 'deepgram' && $version eq 'v2' ? '{"version": 2}' : '{}';
        $node->safe_psql('postgres', sprintf q{SELECT mulberry.set_endpoint('%s', '%s', '%s', '%s', %s, 'engines', '%s', timeout => '2 s', allow_http => true, allow_private => true, priority => %d, tenant => '%s')},
            $name, $kind, $self->url($version), $purpose, defined $model ? "'$model'" : 'NULL', $options, $priority // 1, $tenant);
    }
    return;
}

1;
