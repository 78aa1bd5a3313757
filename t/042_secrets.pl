# Secrets at rest: what is entered is found nowhere on the server, neither in its
# log nor in its data nor in a dump; the key file is made once, is nobody else's,
# and is missed where it is missing: on a standby, after a loss.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Everything that a server can be told to log.
my $talkative = <<'CONF';
log_statement = all
log_min_messages = debug1
log_min_error_statement = debug5
log_error_verbosity = verbose
log_duration = on
log_min_duration_statement = 0
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
log_lock_waits = on
deadlock_timeout = 10ms
CONF

my $node = mulberry_cluster('secrets',
    preload => 0, conf => $talkative, init => [ allows_streaming => 1 ]);
my $data = $node->data_dir;
my $directory = PostgreSQL::Test::Utils::tempdir();
my $key_file = "$data/mulberry.key";

sub sql { return $node->safe_psql('postgres', shift) }

# What psql says about a script, in a session of its own.
sub errors_of
{
    my ($script, %option) = @_;
    my $err = '';
    ($option{node} // $node)->psql('postgres', "\\set VERBOSITY verbose\n$script", stderr => \$err,
        on_error_stop => $option{stop} // 0);
    return $err;
}

sub health_of_secrets
{
    my ($server) = @_;
    return ($server // $node)->safe_psql('postgres',
        "SELECT status || ': ' || detail FROM mulberry.health() WHERE item = 'secrets'");
}

# ---- a session that has not called us before makes a mistake at once ----

# The data of each begin with another marker, so that a leak names itself.
my %mistakes = (
    'one column too many' => "COPY mulberry.secret_entry (name, value) FROM stdin;\nx\tleak-extra\tleak-more\n\\.\n",
    'one too few' => "COPY mulberry.secret_entry (name, value) FROM stdin;\nleak-short\n\\.\n",
    'no such name' => "COPY mulberry.secret_entry (name, value) FROM stdin;\nNot A Name\tleak-badname\n\\.\n",
    'no such tenant' => "COPY mulberry.secret_entry FROM stdin;\nnowhere\tx\tleak-tenant\n\\.\n",
    'a header that does not match' =>
      "COPY mulberry.secret_entry (name, value) FROM stdin WITH (FORMAT csv, HEADER match);\nname,leak-header\n\\.\n",
    'a quote that does not end' =>
      "COPY mulberry.secret_entry (name, value) FROM stdin WITH (FORMAT csv);\nname,\"leak-quote\n\\.\n",
    'bytes that are no characters' => "COPY mulberry.secret_entry (name, value) FROM stdin;\nx\tleak-\xff\xfe-bytes\n\\.\n",
    'a condition that fails' =>
      "COPY mulberry.secret_entry (name, value) FROM stdin WHERE value::text::integer > 0;\nx\tleak-where\n\\.\n",
    'an empty value after a good one' =>
      "COPY mulberry.secret_entry (name, value) FROM stdin;\nx\tleak-before\ny\t\n\\.\n",
    'a value too long' => "COPY mulberry.secret_entry (name, value) FROM stdin;\nx\tleak-long" . 'x' x 70000 . "\n\\.\n",
    'a binary format that it is not' =>
      "COPY mulberry.secret_entry (name, value) FROM stdin WITH (FORMAT binary);\nx\tleak-binary\n\\.\n",
);
foreach my $mistake (sort keys %mistakes)
{
    like(errors_of($mistakes{$mistake}), qr/ERROR:/, "$mistake is an error");
}
is(sql('SELECT count(*) FROM mulberry_internal.secrets'), '0', 'and nothing is stored');

# ---- what is stored is nowhere in plain ----

is(errors_of("COPY mulberry.secret_entry (name, value) FROM stdin;\ngood\tleak-stored\nother\tleak-other\n\\.\n"), '',
    'a secret is stored');
PostgreSQL::Test::Utils::append_to_file("$data/mounted", "leak-mounted\n");
sql("SELECT mulberry.load_secret('mounted', 'mounted')");
unlink "$data/mounted";
is(sql("SELECT string_agg(name || ' ' || size, ', ' ORDER BY name) FROM mulberry.secret_names"),
    'good 11, mounted 12, other 10', 'with their lengths');

# A lock is waited for, which is logged with its context.
my ($in, $out, $err, $timer) = ('', '', '', IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
my $blocker = IPC::Run::start([ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('postgres') ],
    '<', \$in, '>', \$out, '2>', \$err, $timer);
$in .= "BEGIN; LOCK TABLE mulberry_internal.secrets IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n";
$blocker->pump until $out =~ /locked/ || $timer->is_expired;
my ($in2, $out2, $err2) = ('', '', '');
my $waiting = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres') ],
    '<', \$in2, '>', \$out2, '2>', \$err2, $timer);
$in2 .= "COPY mulberry.secret_entry (name, value) FROM stdin;\nlocked\tleak-waiting\n\\.\n";
$waiting->pump_nb;
$node->wait_for_log(qr/still waiting for \w+ on relation/);
$in .= "COMMIT;\n";
$blocker->pump_nb;
$waiting->finish;
$blocker->finish;
is($err2, '', 'a secret that waited for a lock is stored');

# A session is ended in the middle.
($in2, $out2, $err2) = ('', '', '');
my $ended = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres') ],
    '<', \$in2, '>', \$out2, '2>', \$err2, $timer);
$in2 .= "COPY mulberry.secret_entry (name, value) FROM stdin;\nended\tleak-ended\nended2\tleak-en";
$ended->pump_nb;
$node->poll_query_until('postgres',
    "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'COPY mulberry.secret_entry%' AND state = 'active'");
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY mulberry.secret_entry%' AND state = 'active'");
$in2 .= "\n\\.\n";
$ended->finish;

$node->safe_psql('postgres', 'CHECKPOINT');
my $log = slurp_file($node->logfile);
my @leaks = $log =~ /(leak-\S+)/g;
is_deeply(\@leaks, [], 'the log quotes nothing that was entered');
like($log, qr/its lines are not shown/, '... although it has the messages');
is(system_log(qw(grep -rlaF leak-), $data), '', 'no file of the data directory has it');
$node->command_ok([ 'pg_dump', '-f', "$directory/dump.sql", $node->connstr('postgres') ], 'a dump is made');
unlike(slurp_file("$directory/dump.sql"), qr/leak-|[0-9a-f]{64}/, 'which has neither secrets nor key');

# Names of files that a command prints.
sub system_log
{
    my $found = '';
    IPC::Run::run(\@_, '>', \$found, '2>', '/dev/null');
    return $found;
}

# ---- a plain INSERT is refused, and its error does not repeat the statement ----

my $offset = -s $node->logfile;
# Without preloading, the log is watched from the first call of the session on.
like(errors_of("SELECT mulberry.outbound_allowed();\n"
          . "INSERT INTO mulberry.secret_entry (name, value) VALUES ('x', 'leak-insert');\n"),
    qr/0A000: a secret must not stand in the text/, 'INSERT is refused');
like(errors_of("SELECT mulberry.outbound_allowed();\nINSERT INTO mulberry.secret_entry (name, value) VALUES ('x', 'leak-syntax' 1);\n"),
    qr/syntax error/, 'so is one that is none');
# the extended protocol logs parameters apart from the text
my $extended = "$directory/insert.sql";
append_to_file($extended, <<'SQL');
SELECT mulberry.outbound_allowed();
INSERT INTO mulberry.secret_entry (name, value) VALUES ('x', :secret);
SQL
$node->command_fails([ 'pgbench', '-n', '-t', '1', '-M', 'extended', '-D', 'secret=leak-parameter', '-f', $extended, '-d', $node->connstr('postgres') ],
    'and one with parameters');
my $said = slurp_file($node->logfile, $offset);
unlike($said, qr/leak-/, 'without repeating the statement, whatever is logged');
like($said, qr/statement: INSERT INTO mulberry.secret_entry \(name, value\) VALUES \('\*\*\*', '\*\*\*'\)/, 'but for its constants');

# ---- the key file ----

is(sprintf('%o', (stat $key_file)[2] & 07777), '600', 'the key file is for the server alone');
like(slurp_file($key_file), qr/^[0-9a-f]{64}\n$/, 'and holds one key');
my $key = slurp_file($key_file);

chmod 0640, $key_file;
like(errors_of("COPY mulberry.secret_entry (name, value) FROM stdin;\nx\ty\n\\.\n"),
    qr/F0000: the key file for secrets cannot be used: others may read or write it\nHINT:  Its permissions should be u=rw/,
    'a key file that others may read is refused');
like(health_of_secrets(), qr/^error: the key file .* others may read/, 'health() says so');
chmod 0600, $key_file;

rename $key_file, "$key_file.away";
like(errors_of("COPY mulberry.secret_entry (name, value) FROM stdin;\nx\ty\n\\.\n"), qr/F0000: the key file for secrets is missing/,
    'a lost key file is not replaced by a new one');
ok(!-e $key_file, '... and none is made');
like(health_of_secrets(), qr/^error: the key file for secrets is missing/, 'health() says so');
like(errors_of('SELECT mulberry.rotate_secret_key()'), qr/F0000: the key file for secrets is missing/, 'nor rotated');

PostgreSQL::Test::Utils::append_to_file($key_file, '0' x 64 . "\n");
chmod 0600, $key_file;
like(health_of_secrets(), qr/^error: 4 of 4 secrets cannot be read; .* fingerprint [0-9a-f]{32}, is not in the key file/,
    'a key file that does not fit is noticed');
PostgreSQL::Test::Utils::append_to_file($key_file, $key);
is(health_of_secrets(), 'ok: 4 secrets can be read', 'a second line with the right key does');
unlink $key_file;

PostgreSQL::Test::Utils::append_to_file($key_file, "not a key\n");
chmod 0600, $key_file;
like(health_of_secrets(), qr/^error: .* its content is not one to 16 lines/, 'nonsense is told apart');
unlink $key_file;
mkdir $key_file;
like(health_of_secrets(), qr/^error: .*(not a regular file|Is a directory)/, 'so is a directory');
rmdir $key_file;
system('mkfifo', $key_file) == 0 or die;
like(health_of_secrets(), qr/^error: .*not a regular file/, 'a FIFO does not hang the session');
unlink $key_file;
rename "$key_file.away", $key_file;
is(health_of_secrets(), 'ok: 4 secrets can be read', 'with the file back all is well');

# The path is the server's business.
unlike(errors_of("SELECT * FROM mulberry_internal.check_secrets()"), qr/mulberry\.key/, 'no error names the path');

# ---- standby ----

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
my $standby_key = $standby->data_dir . '/mulberry.key';
chmod 0600, $standby_key;    # which pg_basebackup keeps and the test's copying does not
$standby->start;
$node->wait_for_catchup($standby);
is(health_of_secrets($standby), 'ok: 4 secrets can be read', 'a standby from a base backup has the key');
like(errors_of("COPY mulberry.secret_entry (name, value) FROM stdin;\nx\ty\n\\.\n", node => $standby),
    qr/25006/, 'and takes no secrets');
is(sql('SELECT mulberry.rotate_secret_key()'), '4', 'the key is rotated');
$node->wait_for_catchup($standby);
like(health_of_secrets($standby), qr/^error: 4 of 4 secrets cannot be read/, 'the standby has not got the new one');
PostgreSQL::Test::Utils::append_to_file("$standby_key.copy", slurp_file($key_file));
chmod 0600, "$standby_key.copy";
rename "$standby_key.copy", $standby_key;
is(health_of_secrets($standby), 'ok: 4 secrets can be read', 'until it is copied');
unlink $standby_key;
like(health_of_secrets($standby), qr/^error: the key file for secrets is missing/, 'a standby without the file says so');
$standby->stop;

# ---- rotation survives a crash wherever it comes ----

is(scalar(split /\n/, slurp_file($key_file)), 2, 'the replaced key is kept');
($in, $out, $err) = ('', '', '');
$blocker = IPC::Run::start([ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('postgres') ],
    '<', \$in, '>', \$out, '2>', \$err, $timer);
$in .= "BEGIN; SELECT 'rotated ' || mulberry.rotate_secret_key();\n";
$blocker->pump until $out =~ /rotated 4/ || $timer->is_expired;
$node->stop('immediate');
eval { $blocker->finish };
$node->start;
is(scalar(split /\n/, slurp_file($key_file)), 3, 'the file has a key that no committed row uses');
is(health_of_secrets(), 'ok: 4 secrets can be read', 'and every secret can be read');
is(sql('SELECT mulberry.rotate_secret_key()'), '4', 'rotating again works');
is(sql('SELECT mulberry.forget_secret_keys()'), '3', 'the old ones are forgotten');
is(scalar(split /\n/, slurp_file($key_file)), 1, '... in the file');
is(health_of_secrets(), 'ok: 4 secrets can be read', 'and every secret can still be read');
ok(!-e "$key_file.new", 'no temporary file is left');
PostgreSQL::Test::Utils::append_to_file("$key_file.new", 'torn');
is(sql('SELECT mulberry.rotate_secret_key()'), '4', 'one left by a crash is no obstacle');

# ---- two first secrets at once ----

sql('SELECT mulberry.drop_secret(name, tenant) FROM mulberry.secret_names');
unlink $key_file;
my @sessions;
foreach my $n (1 .. 4)
{
    my ($script, $output) = ("COPY mulberry.secret_entry (name, value) FROM stdin;\nfirst$n\tx\n\\.\n", '');
    push @sessions, IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres') ], '<', \$script, '>&', \$output);
}
$_->finish foreach @sessions;
is(health_of_secrets(), 'ok: 4 secrets can be read', 'first secrets stored at once share one key');
is(scalar(split /\n/, slurp_file($key_file)), 1, '... in one file');

$node->stop;
done_testing();
