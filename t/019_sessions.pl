# The sessions in which tests ask (Mulberry::Sessions) are to a test what a psql for each text is: nothing is left behind by a text, behind
# an error nothing is done, no text is run twice, and what has ended is not asked.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use Mulberry::Sessions qw(without_sessions);
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = mulberry_cluster('sessions', preload => 0, extension => 0);
sub sql { return $node->safe_psql('postgres', shift) }
sub refused { my ($sql) = @_; return eval { sql($sql); 1 } ? 'nothing' : $@ }
my $which = 'SELECT pg_backend_pid()';

# ---- results and errors ----

is(sql("SELECT 1;\n\nSELECT 2 -- and;"), "1\n2", 'results, without the last line end');
is(sql("COPY (SELECT 'a') TO STDOUT"), 'a', 'COPY');
is(sql("CREATE TABLE copied (x text); COPY copied FROM stdin;\nb\n\\.\nTABLE copied"), 'b', 'data in the text');
is(sql("DO \$\$ BEGIN RAISE NOTICE 'heard'; END \$\$; SELECT 3"), '3', 'notices are no results');
my $pid = sql($which);
like(refused("SELECT 1;\nSELECT 1 / 0;\nCREATE TABLE never ()"),
    qr/error running SQL: 'psql:<stdin>:2: ERROR:  division by zero'/, 'an error');
like(refused("SELECT 'unended"), qr/unterminated quoted string/, 'a text without its end');
my ($out, $err);
my $fails = "\\set VERBOSITY verbose\nSELECT 1; SELECT 1 / 0; CREATE TABLE never ()";
is($node->psql('postgres', $fails, stdout => \$out, stderr => \$err), 3, 'the status of an error');
is($out, '1', '... what was before it');
like($err, qr/ERROR:  22012/, '... and itself');
is($node->psql('postgres', 'SELECT 1 / 0; SELECT 4', stdout => \$out, stderr => \$err, on_error_stop => 0), 0, 'one that does not stop');
is($out, '4', '... what follows');
like($err, qr/ERROR:  division/, '... in the usual words');
is(sql("SELECT to_regclass('never') IS NULL"), 't', 'nothing was done behind an error');
is(sql($which), $pid, 'in one session');

# ---- what is left behind ----

sql('CREATE ROLE anna LOGIN');
for (
    [ "SET application_name = 'x'", q{SELECT current_setting('application_name') <> 'x'} ],
    [ "SELECT set_config('application_name', 'x', false)", q{SELECT current_setting('application_name') <> 'x'} ],
    [ 'SET ROLE anna', q{SELECT current_user <> 'anna'} ],
    [ 'SET SESSION AUTHORIZATION anna', q{SELECT session_user <> 'anna'} ],
    [ 'BEGIN; CREATE TABLE never ()', q{SELECT to_regclass('never') IS NULL AND now() = statement_timestamp()} ],
    [ 'CREATE TEMPORARY TABLE never ()', q{SELECT to_regclass('never') IS NULL} ],
    [ 'PREPARE never AS SELECT 1', 'SELECT count(*) = 0 FROM pg_prepared_statements' ],
    [ 'LISTEN never', 'SELECT count(*) = 0 FROM pg_listening_channels()' ],
    [ 'SELECT pg_advisory_lock(1)', q{SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'} ])
{
    my ($text, $clean) = @$_;
    sql($text);
    is(sql($clean), 't', "$text: nothing is left");
}
like(refused('BEGIN; SET LOCAL ROLE anna; SELECT 1 / 0'), qr/division/, 'an error in a transaction');
is(sql(q{SELECT current_user <> 'anna' AND now() = statement_timestamp()}), 't', '... which is over');
is(sql($which), $pid, 'in one session');

# ---- others ----

is(($node->psql('postgres', 'SELECT session_user', extra_params => [ '-U', 'anna' ]))[1], 'anna', 'another role');
isnt(($node->psql('postgres', $which, extra_params => [ '-U', 'anna' ]))[1], $pid, '... has another session');
{
    local $ENV{PGOPTIONS} = '-c work_mem=1234';
    is(sql('SHOW work_mem'), '1234kB', 'another environment, too');
}
is(sql($which), $pid, '... and leaves the first');
my $child = fork // die;
POSIX::_exit(sql($which) == $pid ? 1 : 0) if $child == 0;
waitpid $child, 0;
is($?, 0, 'a child has sessions of its own');
is(sql($which), $pid, '... and leaves the first');
sql('CREATE DATABASE other');
is($node->safe_psql('other', 'SELECT current_database()'), 'other', 'another database');
sql('CREATE DATABASE another TEMPLATE other');
sql('DROP DATABASE other');
pass('nobody is in the way of who copies or drops it');
sql(q{ALTER ROLE CURRENT_USER SET work_mem = '4321kB'});
is(sql('SHOW work_mem'), '4321kB', 'what is set for a role counts at once');

# ---- what ends ----

my $before = sql($which);
kill 'TERM', $before;
while (kill 0, $before) { sleep 0.01 }
isnt(sql($which), $before, 'one that has ended is not asked');
sql('CREATE FUNCTION leave() RETURNS boolean RETURN pg_terminate_backend(pg_backend_pid())');
like(refused('CREATE TABLE once (); SELECT leave()'), qr/connection error/, 'one that ends while it is asked');
is(sql("SELECT to_regclass('once') IS NOT NULL"), 't', '... is not asked again');
$before = sql($which);
$node->restart;
isnt(sql($which), $before, 'a restart');
kill_server($node);
like(refused($which), qr/connection error/, 'a server that was killed');
$node->start;
is(sql('SELECT 5'), '5', '... and has come back');

without_sessions($node);
isnt(sql($which), sql($which), 'a node without sessions');

$node->stop;
done_testing();
