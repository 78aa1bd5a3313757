# Peers that bring calls as streams (media_peer.js), driven by a test: commands go in, and what happens is waited for.
package Mulberry::MediaPeer;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IO::Handle;
use JSON::PP;
use POSIX ();
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
    local $ENV{NODE_PATH} = have_ws();
    my $dir = PostgreSQL::Test::Utils::tempdir();
    open my $complaints, '>', "$dir/err" or die "$dir/err: $!";
    pipe my $theirs, my $to or die "pipe: $!";
    pipe my $from, my $said or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0)
    {
        open STDIN, '<&', $theirs or POSIX::_exit(127);
        open STDOUT, '>&', $said or POSIX::_exit(127);
        open STDERR, '>&', $complaints or POSIX::_exit(127);
        exec 'node', dirname(abs_path(__FILE__)) . '/media_peer.js' or POSIX::_exit(127);
    }
    $to->autoflush(1);
    my $self = bless { pid => $pid, starter => $$, to => $to, from => $from, err => "$dir/err", line => '', seen => [] }, __PACKAGE__;
    push @started, $self;
    return $self;
}

END
{
    my $status = $?;
    for my $self (grep { $_->{starter} == $$ } @started)
    {
        kill KILL => $self->{pid};
        waitpid $self->{pid}, 0;
    }
    $? = $status;
}

sub command
{
    my ($self, $op, $id, %more) = @_;
    local $SIG{PIPE} = 'IGNORE';
    print { $self->{to} } $json->encode({ op => $op, id => $id, %more }), "\n" or die 'the peers have ended: ' . slurp_file($self->{err});
    return;
}

# Waits until something happens to a call, and takes it: { event, … }.
sub await
{
    my ($self, $id, @events) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    while (1)
    {
        for my $i (0 .. $#{ $self->{seen} })
        {
            my $e = $self->{seen}[$i];
            next unless $e->{id} eq $id && grep { $e->{event} eq $_ } @events;
            splice @{ $self->{seen} }, $i, 1;
            return $e;
        }
        vec(my $ready = '', fileno $self->{from}, 1) = 1;
        my $left = $end - time;
        last if $left <= 0 || select($ready, undef, undef, $left) == 0;
        sysread $self->{from}, $self->{line}, 1 << 20, length $self->{line} or die 'the peers have ended: ' . slurp_file($self->{err});
        push @{ $self->{seen} }, $json->decode($1) while $self->{line} =~ s/^([^\n]*)\n//;
    }
    die "no @events of $id: " . slurp_file($self->{err}) . $json->encode($self->{seen});
}

1;
