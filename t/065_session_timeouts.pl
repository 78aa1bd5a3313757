# Settings that end a statement, a wait, a transaction or a session after some time are meant for
# clients. Whatever the server's configuration says, Mulberry's processes live on.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;
use Mulberry::StandIn;

my $ai = Mulberry::StandIn->new;
my $node = mulberry_cluster('timeouts', conf => "mulberry.grace_period = 0\nmulberry.workers = 2");
my $processes = <<'SQL';
SELECT string_agg(pid || ' ' || backend_type, ', ' ORDER BY pid) FROM pg_stat_activity WHERE backend_type LIKE 'mulberry %'
SQL

my $url = $ai->url('ok');
$node->safe_psql('postgres', "SELECT mulberry.set_endpoint('ai', 'json', '$url', allow_http => true, allow_private => true)");

# All that the server has and a session may set, so that those of newer servers are among them.
my @timeouts = split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT name FROM pg_settings WHERE name LIKE '%\_timeout' AND name NOT LIKE 'mulberry.%' AND context IN ('user', 'superuser')
 ORDER BY name
SQL
for my $expected (qw(statement_timeout lock_timeout idle_in_transaction_session_timeout idle_session_timeout))
{
    ok((grep { $_ eq $expected } @timeouts), "$expected is among them");
}
# Long enough to connect, which no process can do otherwise, and shorter than what follows.
$node->append_conf('postgresql.conf', join("\n", map { "$_ = '3s'" } @timeouts) . "\n");
$ENV{PGOPTIONS} = join ' ', map { "-c $_=0" } grep { $_ ne 'deadlock_timeout' } @timeouts;
$node->restart;
wait_for_workers($node);
# The first time that a worker takes a job, and that the notifier numbers events, their transactions last longer.
$node->safe_psql('postgres', <<'SQL');
CREATE SEQUENCE public.slow_jobs;
CREATE SEQUENCE public.slow_events;
CREATE FUNCTION public.be_slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT backend_type LIKE 'mulberry %' FROM pg_stat_activity WHERE pid = pg_backend_pid()) AND nextval(TG_ARGV[0]) = 1 THEN
        PERFORM pg_sleep(5);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER be_slow AFTER UPDATE ON mulberry_internal.job_queue EXECUTE FUNCTION public.be_slow('public.slow_jobs');
CREATE TRIGGER be_slow AFTER UPDATE ON mulberry_internal.events EXECUTE FUNCTION public.be_slow('public.slow_events');
SQL
my $log = -s $node->logfile;
my $before = $node->safe_psql('postgres', $processes);
is(scalar(() = $before =~ /mulberry/g), 4, 'launcher, notifier and two workers');

new_call($node, "call-$_", 'hello') for 1 .. 20;
ok($node->poll_query_until('postgres', "SELECT count(*) = 20 FROM mulberry_internal.calls WHERE state = 'ARCHIVED'"),
    '20 calls are archived');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM mulberry_internal.events WHERE seq IS NULL'), 'and their events numbered');
is($node->safe_psql('postgres', 'SELECT j.is_called AND e.is_called FROM public.slow_jobs j, public.slow_events e'), 't', 'slowly');
is($node->safe_psql('postgres', $processes), $before, 'by the same processes');
unlike(slurp_file($node->logfile, $log), qr/due to [a-z -]*timeout/, 'none of which was told to end');

# Since 17 the server lets them say what they wait for.
my $named = $node->safe_psql('postgres', "SELECT current_setting('server_version_num')::int >= 170000") eq 't';
for my $process (qw(launcher notifier worker))
{
    my $name = $named ? "Mulberry\u$process" : 'Extension';
    ok($node->poll_query_until('postgres', <<"SQL"), "a $process sleeps in $name");
SELECT bool_and(wait_event_type = 'Extension' AND wait_event = '$name') FROM pg_stat_activity WHERE backend_type = 'mulberry $process'
SQL
}

$node->stop;
$ai->stop;
done_testing();
