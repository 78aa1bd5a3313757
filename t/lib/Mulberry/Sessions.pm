# What psql() and safe_psql() ask of a server is asked in one session for each database and role: to start a psql and a server process
# that knows nothing yet takes more than most of what they are asked.  What a text leaves behind in its session is cleared away; texts for
# which that cannot be done, or that change what a session reads at its beginning, have a psql of their own, and so has everything on a
# node without sessions (without_sessions()).
package Mulberry::Sessions;

use strict;
use warnings;

use IO::Handle;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

use Exporter 'import';
our @EXPORT_OK = qw(session_of begin_session end_session end_sessions ask without_sessions);

# What DISCARD ALL clears away: settings, roles, locks, temporary tables, channels and the like.
my $leaving = qr/
    (?:\A|;|^)\s*(?:SET|RESET|BEGIN|START|SAVEPOINT|PREPARE|LISTEN|DECLARE)\b
  | \bTEMP(?:ORARY)?\b | pg_temp | set_config | advisory | setseed
/ixm;
my $opening = qr/(?:\A|;|^)\s*(?:BEGIN|START)\b/im;

# What stays: psql's variables and forms of output, libraries, and what Mulberry knows of a session, whom it works for and what it hears.
my $staying = qr/
    (?:\A|;|^)\s*(?:LOAD|DISCARD)\b | \bdblink | subscribe | authenticat
  | (?<![^\s;])\\(?!set\ VERBOSITY\ \w+\n)
    (?:c|connect|set|unset|gset|gexec|o|out|pset|t|a|x|f|H|C|T|encoding|cd|setenv|prompt|timing|q|if|elif|else|endif|copy|password|!)(?!\w)
/ixm;

# What other sessions are in the way of, or would not know of.
my $for_all = qr/
    \b(?:CREATE|DROP|ALTER)\s+(?:DATABASE|EXTENSION|TABLESPACE|SUBSCRIPTION)\b
  | \bALTER\s+SYSTEM\b | \b(?:ALTER|DROP)\s+(?:ROLE|USER)\b
  | pg_terminate_backend | pg_reload_conf | pg_promote
/ixm;

my $all = "-- that is all --\n";
my $well = "-- and well --\n";

# Sessions by the node's directory and what they are made with; of this process alone, because a child has copies of its parent's.
my %sessions;
my $owner = $$;
my %without;
my $directory;

my %original;
{
    no strict 'refs';
    no warnings 'redefine';
    $original{$_} = \&{"PostgreSQL::Test::Cluster::$_"} foreach qw(psql stop restart kill9 reload promote);
    *PostgreSQL::Test::Cluster::psql = \&psql;
    for my $name (qw(stop restart kill9 reload promote))
    {
        *{"PostgreSQL::Test::Cluster::$name"} = sub { end_sessions($_[0]); goto &{ $original{$name} } };
    }
}

# From here on each text has a psql of its own.
sub without_sessions
{
    my ($node) = @_;
    end_sessions($node);
    $without{ $node->data_dir } = 1;
    return;
}

sub psql
{
    my ($node, $database, $sql, %option) = @_;
    end_sessions($node) if $sql =~ $for_all;
    my $role = "@{ $option{extra_params} // [] }" =~ /^-U (\w+)\z/ ? $1 : undef;
    my $other = grep { !/^(?:stdout|stderr|on_error_stop|on_error_die)$/ && !($_ eq 'extra_params' && defined $role) } keys %option;
    my $session = $other ? undef : session_of($node, $database, $sql, $role);
    return $original{psql}->(@_) if !$session;

    my ($out, $err, $status) = ask($session, $sql, stop => $option{on_error_stop} // 1);
    my $command = "@{ $session->{command} }";
    if ($session->{ended})
    {
        $status = end_session($session);
        die "psql exited with signal @{[ $status & 127 ]}: '$err' while running '$command'" if $status & 127;
        $status >>= 8;
    }
    for ([ 'stdout', $out, \*STDOUT ], [ 'stderr', $err, \*STDERR ])
    {
        my ($name, $text, $handle) = @$_;
        if ($option{$name}) { ${ $option{$name} } = $text }
        elsif (!wantarray) { print $handle $text }
    }
    die "connection error: '$err'\nwhile running '$command'" if $option{on_error_die} && $status == 2;
    die "error running SQL: '$err'\nwhile running '$command' with sql '$sql'" if $option{on_error_die} && $status;
    return wantarray ? ($status, $out, $err) : $status;
}

# The session that lasts, begun where there is none that lives; nothing for a text that cannot have it, or where none can be begun.
sub session_of
{
    my ($node, $database, $sql, $role) = @_;
    return undef if !defined $node->{_pid} || $without{ $node->data_dir } || $sql =~ $staying || $sql =~ $for_all;
    leave_to_parent();
    my %env = $node->_get_env;
    my $kind = join "\n", $node->connstr($database), $role // '', map { "$_=" . ($env{$_} // '') } grep { /^PG/ } sort keys %env;
    my $place = \$sessions{ $node->data_dir }{$kind};
    return $$place if $$place && lives($$place, $node);
    end_session($$place) if $$place;
    return $$place = begin_session($node, $database, $role);
}

# One whose server process has ended, or whose server is another, is asked nothing: what was asked once may not be asked again.
sub lives
{
    my ($session, $node) = @_;
    return 0 if $session->{ended} || $session->{server} != $node->{_pid};
    return kill(0, $session->{backend}) && waitpid($session->{pid}, POSIX::WNOHANG) == 0;
}

# A psql that reads from us.
sub begin_session
{
    my ($node, $database, $role) = @_;
    local %ENV = $node->_get_env;
    my @command = ($node->installed_command('psql'), '-XAtq', '-d', $node->connstr($database), '-f', '-');
    push @command, '-U', $role if defined $role;
    pipe my $theirs, my $to or die "pipe: $!";
    pipe my $out, my $said or die "pipe: $!";
    pipe my $err, my $complained or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0)
    {
        open(STDIN, '<&', $theirs) && open(STDOUT, '>&', $said) && open(STDERR, '>&', $complained) && exec @command;
        POSIX::_exit(127);
    }
    # or its end would not be seen
    close $_ foreach $theirs, $said, $complained;
    $to->autoflush(1);
    my $session = { pid => $pid, to => $to, out => $out, err => $err, server => $node->{_pid} // 0, command => \@command };
    ($session->{backend}) = converse($session, 'SELECT pg_backend_pid();');
    chomp $session->{backend};
    return $session if !$session->{ended} && $session->{backend} =~ /^\d+$/;
    end_session($session);
    return undef;
}

# What it says to a text, what it complains of, and psql's status.  With "stop" nothing is done behind an error.  When there is no answer
# until "end", or its connection ends, it is {ended}.
sub ask
{
    my ($session, $text, %option) = @_;
    $directory //= PostgreSQL::Test::Utils::tempdir_short();
    my ($asked, $careful) = map { "$directory/$_-$$.sql" } qw(asked careful);
    write_file($asked, $text);
    # psql goes on behind a file in which it has stopped, but for what is left of the file that includes it
    write_file($careful, "\\set ON_ERROR_STOP 1\n\\i $asked\n\\echo $well") if !-e $careful;
    my $file = $option{stop} ? $careful : $asked;
    my ($out, $err) = converse($session, "\\i $file\n\\set ON_ERROR_STOP 0\n\\set VERBOSITY default", $option{end});
    my $status = !$option{stop} || $out =~ s/\Q$well\E\z// ? 0 : 3;
    # as if the text had come by standard input
    $err =~ s/^psql:\Q$asked\E:/psql:<stdin>:/mg;
    chomp($out, $err);
    if (!$session->{ended} && $text =~ $leaving)
    {
        my (undef, $problem) = converse($session, ($text =~ $opening ? "ROLLBACK;\n" : '') . 'DISCARD ALL;');
        die "what is left of \"$text\" cannot be cleared away: $problem" if $problem =~ /ERROR/;
    }
    return ($out, $err, $status);
}

sub write_file
{
    my ($file, $text) = @_;
    open my $handle, '>:raw', $file or die "$file: $!";
    print $handle $text;
    close $handle or die "$file: $!";
    return;
}

# What psql says to lines, on both its outputs.
sub converse
{
    my ($session, $lines, $end) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my %said = (out => '', err => '');
    print { $session->{to} } "$lines\n\\echo $all\\warn $all" or $session->{ended} = 1;
    my %reading = (out => $session->{out}, err => $session->{err});
    while (%reading)
    {
        my $ready = '';
        vec($ready, fileno $_, 1) = 1 foreach values %reading;
        my $left = defined $end ? $end + 1 - time : undef;
        my $found = defined $left && $left <= 0 ? 0 : select $ready, undef, undef, $left;
        next if $found < 0;
        if (!$found)
        {
            kill 'TERM', $session->{pid};
            $session->{ended} = 1;
            last;
        }
        for my $name (grep { vec $ready, fileno $reading{$_}, 1 } keys %reading)
        {
            my $read = sysread $reading{$name}, $said{$name}, 65536, length $said{$name};
            $session->{ended} = 1 if !$read;
            delete $reading{$name} if !$read || $said{$name} =~ s/\Q$all\E\z//;
        }
    }
    return @said{qw(out err)};
}

# Ends it; its status.
sub end_session
{
    my ($session) = @_;
    local ($?, $!);
    local $SIG{PIPE} = 'IGNORE';
    # a process that was forked may hold the pipe open
    print { $session->{to} } "\\q\n" if !$session->{ended};
    close $session->{$_} foreach qw(to out err);
    return waitpid($session->{pid}, 0) > 0 ? $? : 0;
}

# Those of a node, or all.
sub end_sessions
{
    my ($node) = @_;
    leave_to_parent();
    for my $of_node ($node ? $node->data_dir : keys %sessions)
    {
        end_session($_) foreach grep { $_ } values %{ delete $sessions{$of_node} // {} };
    }
    return;
}

sub leave_to_parent
{
    return if $owner == $$;
    %sessions = ();
    $owner = $$;
    return;
}

END { end_sessions() }

1;
