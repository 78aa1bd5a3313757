# A PostgreSQL cluster with Mulberry, for the TAP tests: preloaded with workers
# for the database "postgres", or not.  What every test would otherwise write
# again; the subjects of the tests do not belong here.
package Mulberry::Cluster;

use strict;
use warnings;

use Mulberry::Sessions qw(session_of begin_session end_session end_sessions ask without_sessions);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

use Exporter 'import';
our @EXPORT = qw(mulberry_cluster maintain wait_for_workers wait_for_true wait_for_setting ask_until stop_process kill_server new_call backend_pid open_session);

# Asks one session again and again, where a psql for each time would take more than what is waited for: a machine with two processors
# has to run several tests that wait.
{
    no warnings 'redefine';
    *PostgreSQL::Test::Cluster::poll_query_until = \&poll_query_until;
}

sub poll_query_until
{
    my ($node, $database, $query, $expected) = @_;
    $expected //= 't';
    my ($found, $answer) = ask_until($node, $database, $query, $expected);
    diag "poll_query_until timed out executing this query:\n$query\nexpecting this output:\n$expected\nlast actual output:\n" . ($answer // 'none: there was no session') if !$found;
    return $found;
}

# Until the query gives the wanted text, for so many seconds (those of all tests) at most: whether it did, and what it gave last.
sub ask_until
{
    my ($node, $database, $query, $wanted, $seconds) = @_;
    my $end = time + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
    my ($own, $answer);
    while (1)
    {
        my $session = $own // session_of($node, $database, $query);
        $session //= $own = begin_session($node, $database);
        $answer = $session ? join "\n", grep { $_ ne '' } (ask($session, $query, end => $end))[ 0, 1 ] : undef;
        my $found = defined $answer && $answer eq $wanted ? 1 : 0;
        my $over = $found || time > $end;
        if ($own && ($over || $own->{ended}))
        {
            end_session($own);
            $own = undef;
        }
        return ($found, $answer) if $over;
        sleep 0.05;
    }
}

# A running cluster with the extension created.
#	preload		=> 0 leaves shared_preload_libraries alone (default 1)
#	conf		=> more lines for postgresql.conf
#	extension	=> 0 does not create the extension (default 1)
#	init		=> arguments of init(), e.g. [allows_streaming => 1]
#	install_path	=> of another PostgreSQL than the one on PATH
#	sessions	=> 0 has each safe_psql() make a session of its own (default 1)
sub mulberry_cluster
{
    my ($name, %option) = @_;
    die "mulberry_cluster() has no option \"$_\"" foreach grep { !/^(?:preload|conf|extension|init|install_path|sessions)$/ } keys %option;
    my $node = PostgreSQL::Test::Cluster->new($name, $option{install_path} ? (install_path => $option{install_path}) : ());
    my $preload = $option{preload} // 1;
    my $extension = $option{extension} // 1;
    without_sessions($node) if !($option{sessions} // 1);

    # scripts/test has made a directory with it: to create it anew takes a good part of a short test
    my $template = $extension && !$option{init} && !$option{install_path} ? $ENV{MULBERRY_TEMPLATE} : undef;
    {
        local %ENV = (%ENV, $template ? (INITDB_TEMPLATE => $template) : ());
        $node->init(@{ $option{init} // [] });
    }
    $node->append_conf('postgresql.conf', <<"CONF");
max_worker_processes = 20
log_min_messages = info
@{[ $preload ? "shared_preload_libraries = 'mulberry'\nmulberry.databases = 'postgres'" : '' ]}
@{[ $option{conf} // '' ]}
CONF
    $node->start;
    if ($extension)
    {
        $node->safe_psql('postgres', 'CREATE EXTENSION mulberry CASCADE') if !$template;
        wait_for_workers($node) if $preload;
    }
    return $node;
}

# Waits until the notifier and the workers of a database live.
sub wait_for_workers
{
    my ($node, $database, $workers) = @_;
    $database //= 'postgres';
    $workers //= $node->safe_psql($database, 'SHOW mulberry.workers');
    $node->poll_query_until($database, <<"SQL") or die "no workers in \"$database\"";
SELECT count(*) FILTER (WHERE backend_type = 'mulberry notifier') = 1
   AND count(*) FILTER (WHERE backend_type = 'mulberry worker') = $workers
  FROM pg_stat_activity WHERE datname = '$database'
SQL
    return;
}

# maintenance(), whose turn it is: one that finds another at it does nothing, and a worker may be at it at any time.
sub maintain
{
    my ($node, $database) = @_;
    return $node->safe_psql($database // 'postgres', <<'SQL');
BEGIN;
DO $$ BEGIN WHILE NOT mulberry_internal.try_maintenance_lock() LOOP PERFORM pg_sleep(0.05); END LOOP; END $$;
SELECT mulberry.maintenance();
COMMIT;
SQL
}

# Waits until a query answers true; dies, saying what it waited for, when that
# takes too long.
sub wait_for_true
{
    my ($node, $query, $what, $database) = @_;
    $node->poll_query_until($database // 'postgres', $query) or die "waited in vain until $what";
    return;
}

# Waits until the server has read a changed setting: the value is what SHOW says.
# Every process has the signal to read it, too, before it does anything else.
sub wait_for_setting
{
    my ($node, $setting, $value) = @_;
    wait_for_true($node, "SELECT current_setting('$setting') = '$value'", "$setting is $value");
    return;
}

# A session of psql that lasts as long as the test, however busy the machine: its timer would count from
# its beginning, not from a query's.
sub open_session
{
    my ($node, %option) = @_;
    return $node->background_psql('postgres', timeout => 100 * $PostgreSQL::Test::Utils::timeout_default, %option);
}

# Stops (SIGSTOP) a background process while it sleeps, so that it holds no lock
# that others would wait for.
sub stop_process
{
    my ($node, $pid) = @_;
    my $asleep = "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid";
    for (1 .. 100)
    {
        wait_for_true($node, $asleep, "process $pid sleeps");
        kill 'STOP', $pid or die "could not stop process $pid: $!";
        while (slurp_file("/proc/$pid/stat") !~ /\) T /) { sleep 0.01 }
        return if $node->safe_psql('postgres', $asleep) eq 't';
        kill 'CONT', $pid;
    }
    die "process $pid does not sleep";
}

# Kills the postmaster and then every child it had, as a power cut would; returns
# how many children those were.
sub kill_server
{
    my ($node) = @_;
    my $postmaster = $node->{_pid};
    end_sessions($node);
    # one that is stopped has no more children while they are counted: under load it would
    kill 'STOP', $postmaster;
    for (1 .. 1800)
    {
        last if state_of($postmaster) =~ /[TZ]/;
        sleep 0.1;
    }
    my @children = grep { $_ }
      map { my ($pid) = m{/proc/(\d+)/}; $pid }
      grep { my $stat = eval { slurp_file($_) } // ''; $stat =~ /^\d+ \(.*\) \S (\d+)/ && $1 == $postmaster }
      glob '/proc/[0-9]*/stat';
    kill 'KILL', $postmaster;
    kill 'KILL', @children;
    # the cluster object must see that it is gone
    $node->{_pid} = undef;
    for (1 .. 1800)
    {
        last unless grep { state_of($_) =~ /[^Z]/ } $postmaster, @children;
        sleep 0.1;
    }
    # a zombie has its lock files for valid, and stays one where the first process reaps nobody
    unlink $node->data_dir . '/postmaster.pid', $node->host . '/.s.PGSQL.' . $node->port . '.lock';
    return scalar @children;
}

# How the kernel calls the state of a process, in one letter; nothing when there is none.
sub state_of
{
    my ($pid) = @_;
    my $stat = eval { slurp_file("/proc/$pid/stat") } // '';
    return $stat =~ /^\d+ \(.*\) (\S)/ ? $1 : '';
}

# Pid of one background process by its type, e.g. 'mulberry worker'.
sub backend_pid
{
    my ($node, $type, $database) = @_;
    $database //= 'postgres';
    return $node->safe_psql($database,
        "SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' AND datname = '$database' LIMIT 1");
}

# A text call with the given packets, completed.
sub new_call
{
    my ($node, $call_id, @packets) = @_;
    my $sql = '';
    my $total = scalar @packets;
    for my $sequence (0 .. $#packets)
    {
        next unless defined $packets[$sequence];
        $sql .= "SELECT mulberry.ingest_packet('$call_id', $sequence, convert_to(\$t\$$packets[$sequence]\$t\$, 'UTF8'), NULL, 'text');\n";
    }
    $sql .= "SELECT mulberry.complete_call('$call_id', $total);\n";
    $node->safe_psql('postgres', $sql);
    return;
}

1;
