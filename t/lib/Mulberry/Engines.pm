# Stand-ins for services of live conversations (engines.js), driven by a test.
package Mulberry::Engines;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use Mulberry::MediaPeer;
use PostgreSQL::Test::Utils;

my $json = JSON::PP->new->canonical;
my @started;
END { my $status = $?; $_->{run}->kill_kill foreach @started; $? = $status }

sub new
{
    my ($class) = @_;
    my $self = bless { line => 'all', http => HTTP::Tiny->new(timeout => $PostgreSQL::Test::Utils::timeout_default) }, $class;
    my ($in, $out, $err) = ('', '', '');
    local $ENV{NODE_PATH} = have_ws();
    $self->{run} = IPC::Run::start([ 'node', dirname(abs_path(__FILE__)) . '/engines.js' ], '<', \$in, '>', \$out, '2>', \$err);
    push @started, $self;
    $self->{run}->pump until $out =~ /^(\d+)\n/;
    $self->{port} = $1;
    return $self;
}

# The same services for somebody else: what one line is to hear and say has nothing to do with another.
sub line { my ($self, $name) = @_; return bless { %$self, line => $name }, ref $self }

sub url { my ($self, $version) = @_; return "http://127.0.0.1:$self->{port}/$self->{line}/" . ($version // 'v1') }

sub _do
{
    my ($self, $op, %more) = @_;
    my $answer = $self->{http}->post($self->url('do'), { content => $json->encode({ op => $op, %more }) });
    $answer->{success} or die "the stand-ins do not $op: $answer->{content}";
    return $json->decode($answer->{content});
}
sub phrases { my ($self, @list) = @_; $self->_do('phrases', list => \@list); return }

# The same, and what has not been said is forgotten: how much that was.
sub only_phrases { my ($self, @list) = @_; my $left = $self->asked->{left}; $self->_do('phrases', list => \@list, instead => 1); return $left }
sub always { my ($self, $long, $short) = @_; $self->_do('always', long => $long, short => $short); return }
sub delays { my ($self, %delays) = @_; $self->_do('delays', delays => \%delays); return }
sub behave { my ($self, $who, $how) = @_; $self->_do('behave', who => $who, how => $how); return }
sub model { my ($self, %replies) = @_; $self->_do('model', replies => \%replies); return }
sub asked { my ($self) = @_; return $self->_do('asked') }

# What was not of the form that a service wants.
sub wrong { my ($self) = @_; return @{ $self->asked->{wrong} } }

# Endpoints of a tenant at these stand-ins; which: [ name, kind, version, purpose, priority, model, options ], behind "timeout => how long" if it is not 2 s.
sub serve
{
    my ($self, $node, $tenant, @which) = @_;
    my $timeout = $which[0] eq 'timeout' ? (splice @which, 0, 2)[1] : '2 s';
    $node->safe_psql('postgres', "COPY mulberry.secret_entry (tenant, name, value) FROM stdin;\n$tenant\tengines\tsk-test\n\\.\n");
    for (@which)
    {
        my ($name, $kind, $version, $purpose, $priority, $model, $more) = @$_;
        my $options = $more // ($kind eq 'deepgram' && $version eq 'v2' ? '{"version": 2}' : '{}');
        $node->safe_psql('postgres', sprintf q{SELECT mulberry.set_endpoint('%s', '%s', '%s', '%s', %s, 'engines', '%s', timeout => '%s', allow_http => true, allow_private => true, priority => %d, tenant => '%s')},
            $name, $kind, $self->url($version), $purpose, defined $model ? "'$model'" : 'NULL', $options, $timeout, $priority // 1, $tenant);
    }
    return;
}

1;
