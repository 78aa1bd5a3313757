# A job that crashes the server as soon as a worker looks at it must be given up after its
# attempts, whether or not the server found the time to write its log in between.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Cluster;

my $node = mulberry_cluster('poison', conf => <<'CONF');
restart_after_crash = on
wal_writer_delay = 10s
synchronous_commit = off
mulberry.workers = 0
mulberry.grace_period = 0
mulberry.lease_time = 1
mulberry.ai_max_attempts = 3
CONF

# Reading the call kills the worker that reads it.
$node->safe_psql('postgres', <<'SQL');
SELECT mulberry.set_endpoint('ai', 'json', 'http://127.0.0.1:9', allow_http => true, allow_private => true, timeout => '1 s');
CREATE TABLE nothing ();
CREATE OR REPLACE FUNCTION mulberry_internal.transcription_input(call bigint, track integer DEFAULT NULL, OUT call_id text, OUT encoding text,
    OUT sample_rate integer, OUT audio bytea, OUT content text, OUT facts jsonb) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COPY public.nothing FROM PROGRAM ''kill -9 %s''', pg_backend_pid());
END
$$;
SQL
new_call($node, 'poison', 'hello');

my $log = -s $node->logfile;
$node->append_conf('postgresql.conf', 'mulberry.workers = 1');
$node->reload;

# Between two crashes there is time for few questions.
my $dead = 0;
my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
while (time < $deadline)
{
    my ($status, $answer) = $node->psql('postgres', "SELECT state FROM mulberry.jobs WHERE call_id = 'poison'");
    $dead = defined $answer && $answer eq 'dead';
    last if $dead;
    select(undef, undef, undef, 0.2);
}
ok($dead, 'the job is given up');
my $crashes = () = slurp_file($node->logfile, $log) =~ /was terminated by signal 9/g;
is($crashes, 3, 'after one crash for each attempt');
is($node->safe_psql('postgres', "SELECT state || ' ' || failure_reason FROM mulberry_internal.calls") =~ /^FAILED AI service failed after maximum retries: worker \d+ did not finish it/,
    1, 'its call is FAILED and says why');

$node->stop;
done_testing();
