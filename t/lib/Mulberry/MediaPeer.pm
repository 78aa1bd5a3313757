# Peers that bring calls as streams (media_peer.js), driven by a test: commands go in, and what happens is waited for.
package Mulberry::MediaPeer;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use Exporter 'import';
our @EXPORT = qw(media_peers have_ws);

my $json = JSON::PP->new->canonical;
my $module;
my @started;

# Where node finds ws: that of Debian (node-ws), or one from the registry of npm; "" where there is none.
sub have_ws
{
    return $module if defined $module;
    for my $path ($ENV{NODE_PATH} // '', '/usr/share/nodejs')
    {
        return $module = $path if length $path && -e "$path/ws";
    }
    my $dir = PostgreSQL::Test::Utils::tempdir();
    append_to_file("$dir/package.json", '{}');
    local $ENV{HOME} = $dir;
    return $module = system("cd $dir && npm install --silent --no-fund --no-audit --fetch-retries=1 ws\@8 >npm.log 2>&1") == 0 ? "$dir/node_modules" : '';
}

# A process that has any number of calls.
sub media_peers
{
    my $self = bless { in => '', out => '', err => '', seen => [] }, __PACKAGE__;
    local $ENV{NODE_PATH} = have_ws();
    $self->{run} = IPC::Run::start([ 'node', dirname(abs_path(__FILE__)) . '/media_peer.js' ], '<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err});
    push @started, $self;
    return $self;
}

END { my $status = $?; $_->{run}->kill_kill foreach @started; $? = $status }

sub command
{
    my ($self, $op, $id, %more) = @_;
    $self->{in} .= $json->encode({ op => $op, id => $id, %more }) . "\n";
    $self->{run}->pump_nb;
    return;
}

# Waits until something happens to a call, and takes it: { event, … }.
sub await
{
    my ($self, $id, @events) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    while (time < $end)
    {
        while ($self->{out} =~ s/^([^\n]*)\n//) { push @{ $self->{seen} }, $json->decode($1) }
        for my $i (0 .. $#{ $self->{seen} })
        {
            my $e = $self->{seen}[$i];
            next unless $e->{id} eq $id && grep { $e->{event} eq $_ } @events;
            splice @{ $self->{seen} }, $i, 1;
            return $e;
        }
        $self->{run}->pumpable or die "the peers have ended: $self->{err}";
        # wakes up for what comes, and to look at the time
        $self->{run}->pump_nb;
        select undef, undef, undef, 0.01;
    }
    die "no @events of $id: $self->{err} " . $json->encode($self->{seen});
}

1;
