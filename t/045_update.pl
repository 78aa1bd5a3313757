# From version to version: an artificial next version comes into databases full of data, under load, the
# SQL before the library and the library before the SQL. Nothing acknowledged is lost, the catalog is that of
# a fresh install, members keep their rights, and what an update forgets is mended or found.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Catalog;
use Mulberry::Cluster;
use Mulberry::NextVersion;
use Mulberry::StandIn;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $sources = "$FindBin::RealBin/..";
my $versions = Mulberry::NextVersion->new($sources);
my ($old, $new) = @$versions{qw(version next)};
my $ai = Mulberry::StandIn->new;
my $directory = PostgreSQL::Test::Utils::tempdir();
my $node = mulberry_cluster('update', extension => 0, install_path => $versions->install_path, conf => <<'CONF');
mulberry.databases = 'sql_first, library_first'
mulberry.grace_period = 0
mulberry.workers = 1
CONF

# ---- databases of this version, with members and data ----

$node->safe_psql('postgres', "CREATE ROLE $_ LOGIN") for qw(anna otto adele);
my @databases = qw(sql_first library_first);
for my $database (@databases)
{
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    $node->safe_psql($database, <<"SQL");
CREATE EXTENSION mulberry CASCADE;
SELECT mulberry.create_tenant('north');
SELECT mulberry.grant_access('anna', 'supervisor', 'north'), mulberry.grant_access('otto', 'operator'), mulberry.grant_access('adele', 'admin', NULL);
SELECT mulberry.set_endpoint('ai', 'json', '@{[ $ai->url('wait-0.2') ]}', allow_http => true, allow_private => true);
SELECT mulberry.create_agent('pi', '+821012345678');
SELECT mulberry.create_mandate('12345678', 'pi', 'Acme', 100, 'EUR', '2100-01-01');
SELECT mulberry.spend('12345678', 12.3456, 'before');
SELECT count(mulberry.ingest_packet('kept-' || n % 20, n / 20, 'kept', NULL, 'text', tenant => 'north')) FROM generate_series(0, 1999) AS n;
SQL
    wait_for_workers($node, $database);
}

# ---- load ----

# Calls of 50 packets, one after another; what is acknowledged is written down by the client.
my $loads = 0;

sub start_load
{
    my ($database) = @_;
    my $name = 'load-' . ++$loads;
    my $sql = '';
    for my $call (1 .. 400)
    {
        for my $sequence (0 .. 49)
        {
            $sql .= "SELECT 'packet', '$name-$call', $sequence, status FROM mulberry.ingest_packet('$name-$call', $sequence, '$name-$call $sequence', NULL, 'text');\n";
            $sql .= "SELECT pg_sleep(0.001) IS NULL AND NULL;\n" if $sequence % 5 == 0;
        }
        $sql .= "SELECT 'call', '$name-$call' FROM mulberry.complete_call('$name-$call', 50);\n";
    }
    append_to_file("$directory/$name.sql", $sql);
    my $load = { name => $name, database => $database, out => "$directory/$name.out" };
    $load->{process} = IPC::Run::start(
        [ $node->installed_command('psql'), '-XqAt', '-F', ' ', '-d', $node->connstr($database), '-f', "$directory/$name.sql" ],
        '>', $load->{out}, '2>', "$directory/$name.err");
    wait_for_answers($load, 300);
    return $load;
}

# The answers that there are by now, as "what name number".
sub answers { my ($load) = @_; return grep { /^(packet \S+ \d+ accepted|call \S+)/ } split /\n/, slurp_file($load->{out}) }

sub wait_for_answers
{
    my ($load, $more) = @_;
    my $wanted = answers($load) + $more;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    while (answers($load) < $wanted)
    {
        die 'the load does not go on: ' . slurp_file("$directory/$load->{name}.err") if time > $deadline;
        sleep 0.05;
    }
    return scalar answers($load);
}

sub stop_load { my ($load) = @_; $load->{process}->signal('TERM'); $load->{process}->finish; return }

# Each packet that was acknowledged is there once and as it was sent; each call that was completed is done.
sub nothing_is_lost
{
    my ($load) = @_;
    my (@packets, @calls);
    for my $answer (answers($load))
    {
        my ($what, $call, $number) = split / /, $answer;
        if ($what eq 'packet') { push @packets, "$call $number" }
        else { push @calls, $call }
    }
    cmp_ok(scalar @calls, '>', 3, "$load->{name}: " . @calls . ' calls, ' . @packets . ' packets acknowledged');
    my %there = map { $_ => 1 } split /\n/, $node->safe_psql($load->{database},
        "SELECT call_id || ' ' || sequence FROM mulberry.call_packets WHERE call_id LIKE '$load->{name}-%' AND convert_from(data, 'UTF8') = call_id || ' ' || sequence");
    is_deeply([ grep { my ($call, $sequence) = split / /; !$there{"$call $sequence"} } @packets ], [], "$load->{name}: all of them are there");
    my $list = join ',', map { "'$_'" } @calls;
    wait_for_true($node, "SELECT count(*) = @{[ scalar @calls ]} FROM mulberry_internal.calls WHERE call_id IN ($list) AND state = 'ARCHIVED'",
        "$load->{name}: the calls are done", $load->{database});
    is($node->safe_psql($load->{database}, "SELECT count(*), count(DISTINCT call_id) FROM mulberry_internal.events WHERE event = 'ai_completed' AND call_id IN ($list)"),
        @calls . '|' . @calls, "$load->{name}: each completed call has one result");
    return;
}

sub health { my ($database, $item) = @_; return $node->safe_psql($database, "SELECT status || ': ' || detail || coalesce(' / ' || hint, '') FROM mulberry.health() WHERE item = '$item'") }

# ---- what must be the same ----

sub catalog { return catalog_of($node, shift) }

# The rules for every object, as the regression test has them.
sub rules
{
    my ($database) = @_;
    my $output = '';
    IPC::Run::run([ $node->installed_command('psql'), qw(-X -a -q -v HIDE_TABLEAM=on -v HIDE_TOAST_COMPRESSION=on -d), $node->connstr($database) ],
        '<', "$sources/sql/catalog.sql", '>', \$output, '2>&1');
    return $output;
}
my $expected_rules = slurp_file("$sources/expected/catalog.out");

# Who may do what, as far as members hold it.
sub rights_of_members
{
    my ($database) = @_;
    return join "\n", grep { /^member .*(anna|otto|adele)=/ } split /\n/, catalog($database);
}

# ---- the files of the next version are there; the server runs the old library ----

$versions->build;
is(health('sql_first', 'version'), "ok: library and SQL are $old", 'installing files changes nothing');
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION mulberry CASCADE');
my $fresh = catalog('fresh');
like($fresh, qr/^member \| function mulberry\.take_note\(text\)/m, 'the next version has what is new');

# An update without load, members or data is a fresh install, rights included.
$node->safe_psql('postgres', 'CREATE DATABASE updated');
$node->safe_psql('updated', "CREATE EXTENSION mulberry VERSION '$old' CASCADE");
isnt(catalog('updated'), $fresh, 'the versions differ');
$node->safe_psql('updated', 'ALTER EXTENSION mulberry UPDATE');
is_deeply(differences(catalog('updated'), $fresh), [], 'an updated database has the catalog of a fresh one');
is(rules('updated'), $expected_rules, 'and keeps the rules of all objects');

# The same script without its end is found out.
$versions->add_careless_update('careless');
$node->safe_psql('postgres', 'CREATE DATABASE careless');
$node->safe_psql('careless', "CREATE EXTENSION mulberry VERSION '$old' CASCADE; ALTER EXTENSION mulberry UPDATE TO 'careless'");
my @broken = map { s/^[+] //r =~ s/^\s+|\s+$//gr } @{ differences($expected_rules, rules('careless')) };
for my $object ('function mulberry.take_note(text)', 'function mulberry_internal.note_valid(text)', 'mulberry_internal.notes')
{
    ok(scalar(grep { $_ eq $object } @broken), "an update that forgets rights and row security is found out: $object") or diag join "\n", @broken;
}
isnt(catalog('careless'), $fresh, 'and is no fresh install');

# Somebody else's objects in our schemas could capture what the script calls.
$node->safe_psql('postgres', 'CREATE DATABASE planted');
$node->safe_psql('planted', "CREATE EXTENSION mulberry VERSION '$old' CASCADE; CREATE FUNCTION mulberry.format(text, text) RETURNS text LANGUAGE sql AS 'SELECT 1'");
my ($status, undef, $error) = $node->psql('planted', 'ALTER EXTENSION mulberry UPDATE');
like($error, qr/schema "mulberry" cannot be used for an update: function mulberry\.format\(text,text\) in it does not belong to the extension/, 'a planted object is refused');
$node->safe_psql('planted', 'DROP FUNCTION mulberry.format(text, text); GRANT CREATE ON SCHEMA mulberry_internal TO anna');
($status, undef, $error) = $node->psql('planted', 'ALTER EXTENSION mulberry UPDATE');
like($error, qr/schema "mulberry_internal" cannot be used for an update: anna has CREATE on it/, 'so is the right to plant one');
$node->safe_psql('planted', 'REVOKE CREATE ON SCHEMA mulberry_internal FROM anna; ALTER EXTENSION mulberry UPDATE');

# ---- SQL first, under load, with jobs under way ----

my $held = rights_of_members('sql_first');
my $load = start_load('sql_first');
wait_for_true($node, "SELECT count(*) > 0 FROM mulberry_internal.job_queue WHERE state = 'running'", 'a job is under way', 'sql_first');
$node->safe_psql('sql_first', 'ALTER EXTENSION mulberry UPDATE');
wait_for_answers($load, 300);
pass('packets are taken before and after the SQL is updated');
is(health('sql_first', 'version'), "error: the library is $old, the SQL of this database $new: workers wait / The library is older: install the one that belongs to the SQL, and restart the server.",
    'health() names both');
is($node->safe_psql('sql_first', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('mulberry worker') AND datname = 'sql_first'}), '0', 'workers wait');
stop_load($load);

# Members keep what they had, and get what is new by refresh_grants().
is_deeply([ grep { /^-/ } @{ differences($held, rights_of_members('sql_first')) } ], [], 'members keep their rights');
is($node->safe_psql('sql_first', q{SELECT has_function_privilege('adele', 'mulberry.resume_outbound()', 'EXECUTE'), has_function_privilege('otto', 'mulberry.take_note(text)', 'EXECUTE')}),
    't|f', 'on a changed function; none on a new one yet');
like(health('sql_first', 'members'), qr{^error: missing are \d+ rights of members, as EXECUTE on FUNCTION mulberry\.take_note\(note text\) to \w+ / SELECT mulberry\.refresh_grants\(\);$}, 'health() says so');
$node->safe_psql('sql_first', 'SELECT mulberry.refresh_grants()');
is(health('sql_first', 'members'), 'ok: every member has the rights that its access needs', 'refresh_grants() gives them');
is($node->safe_psql('sql_first', q{SET ROLE otto; SELECT mulberry.take_note('used'); SELECT note FROM mulberry.noted}), "1\nused", 'and they are enough');

# ---- the library of the next version ----

my $untouched = start_load('library_first');
stop_load($untouched);
$node->restart;
wait_for_workers($node, 'sql_first');
nothing_is_lost($load);
is(health('sql_first', 'version'), "ok: library and SQL are $new", 'SQL first: all is well after the restart');

# ---- library first ----

is(health('library_first', 'version'), "error: the library is $new, the SQL of this database $old: workers wait / The SQL is older: ALTER EXTENSION mulberry UPDATE, then SELECT mulberry.refresh_grants().",
    'library first: health() names both');
is($node->safe_psql('library_first', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('mulberry worker') AND datname = 'library_first'}), '0', 'workers wait');
$load = start_load('library_first');
$node->safe_psql('library_first', 'ALTER EXTENSION mulberry UPDATE');
wait_for_workers($node, 'library_first');
wait_for_answers($load, 300);
stop_load($load);
nothing_is_lost($_) for $untouched, $load;
is(health('library_first', 'version'), "ok: library and SQL are $new", 'library first: all is well after the update');
$node->safe_psql('library_first', 'SELECT mulberry.refresh_grants()');

# ---- what has become of both ----

$node->safe_psql('fresh', "SELECT mulberry.create_tenant('north'); SELECT mulberry.grant_access('anna', 'supervisor', 'north'), mulberry.grant_access('otto', 'operator'), mulberry.grant_access('adele', 'admin', NULL)");
$fresh = catalog('fresh');
for my $database (@databases)
{
    is_deeply(differences(catalog($database), $fresh), [], "$database: the catalog of a fresh install with these members");
    is(rules($database), $expected_rules, "$database: the rules of all objects");
    is($node->safe_psql($database, q{SELECT count(*), count(DISTINCT (call_id, sequence)) FROM mulberry.call_packets WHERE tenant = 'north'}), '2000|2000', "$database: data of before");
    is($node->safe_psql($database, q{SELECT spent FROM mulberry_internal.mandates}), '12.3456', "$database: ... of mandates as well");
    is($node->safe_psql($database, q{SELECT problem IS NULL FROM mulberry.verify_audit('default')}), 't', "$database: the audit log is whole");

    # Rights that were given before, during and after the update come through a dump.
    $node->safe_psql('postgres', "CREATE DATABASE ${database}_copy");
    $node->command_ok([ 'pg_dump', '-f', "$directory/$database.sql", $node->connstr($database) ], "$database: a dump");
    $node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$directory/$database.sql", '-d', $node->connstr("${database}_copy") ], "$database: is restored");
    is_deeply(differences(catalog($database), catalog("${database}_copy")), [], "$database: with all rights");
}

unlike(slurp_file($node->logfile), qr/ (?:worker|notifier)\S* (?:ERROR|FATAL):(?!.*terminating)/, 'no process of ours has failed');
$node->stop;
$ai->stop;
done_testing();
