# What of statements reaches the server's log: the constants of those that write
# a secret do not, however they get there; everything else does, whatever words
# somebody puts into it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = mulberry_cluster('logged', extension => 0, conf => <<'CONF');
shared_preload_libraries = 'mulberry, pgaudit, auto_explain'
log_statement = all
log_duration = on
log_min_duration_statement = 0
log_min_error_statement = debug5
log_error_verbosity = verbose
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
auto_explain.log_min_duration = 0
auto_explain.log_nested_statements = on
mulberry.databases = ''
auto_explain.log_verbose = on
pgaudit.log = 'all'
pgaudit.log_parameter = on
CONF
$node->safe_psql('postgres', 'CREATE EXTENSION mulberry CASCADE; CREATE DATABASE elsewhere; CREATE ROLE anybody LOGIN');
$node->safe_psql('elsewhere', 'CREATE TABLE secret_entry (name text, value text); CREATE EXTENSION pgaudit; GRANT ALL ON secret_entry TO anybody');
$node->safe_psql('postgres', 'CREATE EXTENSION pgaudit; CREATE SCHEMA own AUTHORIZATION anybody');

# What a script in a session of its own puts into the log, up to a line that another session writes.
my $number = 0;
sub logged
{
    my ($script, %option) = @_;
    my $offset = -s $node->logfile;
    my $end = 'end of script ' . ++$number;
    my ($err, $out) = ('', '');
    $node->psql($option{database} // 'postgres', "\\set VERBOSITY verbose\n$script\n;\n",
        on_error_stop => 0, stderr => \$err, stdout => \$out,
        extra_params => $option{user} ? [ '-U', $option{user} ] : []);
    $node->safe_psql('postgres', "SELECT '$end'");
    $node->wait_for_log(qr/\Q$end\E/, $offset);
    return (slurp_file($node->logfile, $offset), $err);
}

# ---- secrets that somebody writes where they do not belong ----

my %mistakes = (
    'a token' => "SELECT * FROM mulberry.authenticate('leak-20')",
    'a token in a block' => "DO \$\$ BEGIN PERFORM mulberry.authenticate('leak-21'); EXCEPTION WHEN invalid_password THEN PERFORM 1; END \$\$",
    'a token of a prepared statement' => "PREPARE prove AS SELECT name FROM mulberry.authenticate(\$1);\nEXECUTE prove('leak-22')",
    'INSERT' => "INSERT INTO mulberry.secret_entry (name, value) VALUES ('x', 'leak-1')",
    'INSERT by search_path' => "SET search_path = mulberry; INSERT INTO secret_entry (name, value) VALUES ('x', E'leak-\\'2')",
    'INSERT with other spelling' => "insert/**/into\n\"mulberry\".\"secret_entry\" select null, 'x', \$leak\$leak-3\$leak\$",
    'INSERT that is none' => "INSERT INTO mulberry.secret_entry (name, value) VALUES ('x', 'leak-4' 'leak-5')",
    'a constant that does not fit' => "INSERT INTO mulberry.secret_entry (name, value) VALUES ('x', 'leak-6'::integer::text)",
    'WITH' => "WITH v AS (SELECT 'leak-7' AS s) INSERT INTO mulberry.secret_entry (name, value) SELECT 'x', s FROM v",
    'UPDATE' => "UPDATE mulberry.secret_entry SET value = 'leak-8'",
    'MERGE' => "MERGE INTO mulberry.secret_entry t USING (VALUES ('leak-9')) v (s) ON t.name = v.s WHEN MATCHED THEN DO NOTHING",
    'EXPLAIN' => "EXPLAIN (ANALYZE, VERBOSE) INSERT INTO mulberry.secret_entry (name, value) VALUES ('x', 'leak-10')",
    'PREPARE' => "PREPARE p AS INSERT INTO mulberry.secret_entry (name, value) VALUES ('x', 'leak-11')",
    'EXECUTE' => "PREPARE p (text) AS INSERT INTO mulberry.secret_entry (name, value) VALUES ('x', \$1::mulberry.secret_value);\n"
      . "EXECUTE p ('leak-12'); EXPLAIN EXECUTE p ('leak-13')",
    'a DO block' => "DO \$\$ BEGIN INSERT INTO mulberry.secret_entry (name, value) VALUES ('x', 'leak-14'); END \$\$",
    'a parameter' => "INSERT INTO mulberry.secret_entry (name, value) VALUES ('x', \$1) \\bind 'leak-15' \\g",
    'a key of voice commands' => "INSERT INTO mulberry.voice_key_entry (key) VALUES ('leak-16')",
    'COPY of a program' => "COPY mulberry.secret_entry (name, value) FROM PROGRAM 'echo leak-17'",
);
delete $mistakes{'a parameter'} if $node->pg_version < 16;    # psql has \bind since then
foreach my $mistake (sort keys %mistakes)
{
    my ($log, $err) = logged($mistakes{$mistake});
    unlike($log, qr/leak-/, "$mistake: the log has no constant of it");
    like($log, qr/secret_entry|voice_key_entry|authenticate|prove/, '... but the statement');
    like($log, qr/^.*ERROR:.*/m, '... and its error') if $err =~ /ERROR/;
}

# the plans of auto_explain quote the statement in the way of their format, and parameters since version 16
my %explained = (
    'EXPLAIN' => "EXPLAIN INSERT INTO mulberry.secret_entry (name, value) VALUES ('x', 'leak-\"\n<19>');",
    'a condition' => "EXPLAIN (VERBOSE) INSERT INTO mulberry.secret_entry (name, value) SELECT c.relname, 'leak-20' FROM pg_class c WHERE c.relname > 'leak-21';",
    'EXECUTE' => "PREPARE q (text) AS INSERT INTO mulberry.secret_entry (name, value) SELECT 'x', 'leak-22'::mulberry.secret_value WHERE \$1 > '0';\n"
      . "SET plan_cache_mode = force_generic_plan; EXPLAIN EXECUTE q ('leak-23');",
);
foreach my $format ('text', 'json', 'xml', 'yaml')
{
    foreach my $what (sort keys %explained)
    {
        my ($log) = logged("LOAD 'auto_explain'; SET auto_explain.log_format = $format;\n$explained{$what}");
        unlike($log, qr/leak-/, "$what, its plan as $format: the log has no constant of it");
        like($log, qr/plan.*secret_entry/s, '... but that there was one');
    }
    my ($log) = logged("SET auto_explain.log_format = $format;\nSELECT 'seen-0' AS secret_entry;");
    like($log, qr/plan:.*seen-0/s, "$format: other plans are whole");
}

# pgbench sends parameters, on every version
my $script = "$PostgreSQL::Test::Utils::tmp_check/logged_parameter.sql";
my $token_script = "$PostgreSQL::Test::Utils::tmp_check/logged_token.sql";
append_to_file($script, "INSERT INTO mulberry.secret_entry (name, value) VALUES ('x', :secret);\n");
append_to_file($token_script, "SELECT name FROM mulberry.authenticate(:secret);\n");
foreach my $way (map { [ $_, $script ], [ $_, $token_script ] } 'extended', 'prepared')
{
    (my $protocol, $script) = @$way;
    my $offset = -s $node->logfile;
    $node->command_fails([ 'pgbench', '-n', '-t', '1', '-M', $protocol, '-D', 'secret=leak-18', '-f', $script, $node->connstr('postgres') ], "a parameter, $protocol");
    unlike(slurp_file($node->logfile, $offset), qr/leak-/, '... is not logged');
}

# ---- what nobody hides ----

my %seen = (
    'a comment' => [ "SELECT 'seen-1' /* insert into mulberry.secret_entry */" ],
    'a string' => [ "SELECT 'seen-2', 'INSERT INTO mulberry.secret_entry'" ],
    'a name' => [ "SELECT 'seen-3' AS \"insert into secret_entry\"" ],
    'a statement beside it' => [ "SELECT 'seen-4'\\; INSERT INTO mulberry.secret_entry (name) VALUES ('x')" ],
    'a block with a comment' => [ "DO \$\$ BEGIN RAISE NOTICE 'seen-5'; /* INSERT INTO mulberry.secret_entry */ END \$\$" ],
    'a statement in a block beside it' =>
      [ "DO \$\$ BEGIN RAISE NOTICE 'seen-6'; IF false THEN INSERT INTO mulberry.secret_entry (name) VALUES ('x'); END IF; END \$\$" ],
    'an error' => [ "SELECT 'seen-7'::integer -- insert secret_entry" ],
    'a function of that name' => [ "CREATE FUNCTION own.secret_entry() RETURNS integer LANGUAGE plpgsql AS \$\$ BEGIN RAISE 'seen-8 %', 'COPY secret_entry'; END \$\$;\nSELECT own.secret_entry()", user => 'anybody' ],
    'a table of that name in another schema' => [ "CREATE TABLE IF NOT EXISTS own.secret_entry (n integer);\nINSERT INTO own.secret_entry VALUES ('seen-9')", user => 'anybody' ],
    'COPY into such a table' => [ "CREATE TABLE IF NOT EXISTS own.secret_entry (n integer);\nCOPY own.secret_entry FROM stdin;\nseen-10\n\\.\n", user => 'anybody' ],
    'a function like ours in another schema' => [ "CREATE FUNCTION own.authenticate(text) RETURNS text LANGUAGE sql AS 'SELECT \$1';\nSELECT own.authenticate('seen-13')", user => 'anybody' ],
    'a database without the extension' => [ "INSERT INTO secret_entry VALUES ('seen-11', 'x')", database => 'elsewhere', user => 'anybody' ],
    'COPY in such a database' => [ "COPY secret_entry FROM stdin;\nseen-12\n\\.\n", database => 'elsewhere', user => 'anybody' ],
);
foreach my $what (sort keys %seen)
{
    my ($statement, %option) = @{ $seen{$what} };
    # the first statement of a session is when it becomes known what the database has
    my ($log) = logged("SELECT 1;\n$statement", %option);
    like($log, qr/seen-/, "$what hides nothing");
}

$node->stop;
done_testing();
