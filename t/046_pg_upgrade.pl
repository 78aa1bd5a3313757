# pg_upgrade: everything is there, and outgoing work is held until somebody says so.  From the older
# server that scripts/test is told of by OLDER_PG_CONFIG, or else from one of the same version, which
# makes every object anew just so.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Mulberry::Catalog;
use Mulberry::Cluster;
use Mulberry::StandIn;

my $conf = "mulberry.grace_period = 0\nmulberry.workers = 1";
my $ai = Mulberry::StandIn->new;
my $new = PostgreSQL::Test::Cluster->new('new');
my $bindir = $new->config_data('--bindir');
my $older = $ENV{MULBERRY_OLDER_SERVER} || $bindir =~ s{/bin$}{}r;
my $old = mulberry_cluster('old', install_path => $older, conf => $conf);

sub url { return $ai->url(shift) }
$old->safe_psql('postgres', <<"SQL");
CREATE ROLE anna LOGIN;
SELECT mulberry.create_tenant('north', 'text', 8000, '90 days');
SELECT mulberry.grant_access('anna', 'ingest', 'north');
SELECT mulberry.set_endpoint('ai', 'json', '@{[ url('ok') ]}', allow_http => true, allow_private => true);
SELECT mulberry.create_agent('pi', '+821012345678');
SELECT mulberry.create_mandate('12345678', 'pi', 'Acme', 100, 'EUR', '2100-01-01');
SELECT mulberry.spend('12345678', 12.3456, 'before');
SELECT mulberry.ingest_packet('open', s, '\\x00ff', encoding => 'mulaw', tenant => 'north') FROM generate_series(0, 9) s WHERE s <> 4;
SQL
$old->psql('postgres', "COPY mulberry.secret_entry FROM stdin;\ndefault\tkey\tvalue\n\\.\n", on_error_die => 1);
new_call($old, 'done', 'a wonderful day');
ok($old->poll_query_until('postgres', "SELECT state = 'ARCHIVED' FROM mulberry.call_status WHERE call_id = 'done'"), 'a call is archived');
$old->safe_psql('postgres', "SELECT mulberry.set_endpoint('ai', 'json', '@{[ url('waiting') ]}', allow_http => true, allow_private => true)");
# outgoing work that no worker takes before the upgrade
$old->append_conf('postgresql.conf', 'mulberry.databases = \'\'');
$old->restart;
new_call($old, 'waits', 'hello');
$old->safe_psql('postgres', 'SELECT mulberry_internal.number_events(); SELECT mulberry_internal.link_audit()');

# The members of the extension, what is said of them, and who else than the owner has which rights on them.
sub members
{
    my ($node) = @_;
    my $owner = $node->safe_psql('postgres', 'SELECT session_user');
    return join "\n", map { s/(?<=[ ,])\Q$owner\E=\w+,?//gr =~ s/,$//r } grep { /^(member|dumped) / } split /\n/, catalog_of($node, 'postgres');
}

# All rows of all tables, the same on both sides.
sub content
{
    my ($node) = @_;
    my @tables = split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT oid::regclass FROM pg_class WHERE relnamespace = 'mulberry_internal'::regnamespace AND relkind = 'r' ORDER BY oid::regclass::text COLLATE "C"
SQL
    return { map { $_ => $node->safe_psql('postgres', "SELECT t::text FROM $_ t ORDER BY t::text COLLATE \"C\"") } @tables };
}
my $before = content($old);
my $members = members($old);
my $checksums = $old->safe_psql('postgres', 'SHOW data_checksums');
is($old->safe_psql('postgres', q{SELECT count(*) FROM mulberry.jobs WHERE call_id = 'waits'}), '1', 'a job waits');
$old->stop;

# both with data checksums or both without; 18 makes new clusters with them, before it there is no option for none
my ($help) = run_command([ "$bindir/initdb", '--help' ]);
$new->init(extra => [ $checksums eq 'on' ? '--data-checksums' : $help =~ /--no-data-checksums/ ? '--no-data-checksums' : () ]);
$new->append_conf('postgresql.conf', "max_worker_processes = 20\nshared_preload_libraries = 'mulberry'\nmulberry.databases = 'postgres'\n$conf");
chdir PostgreSQL::Test::Utils::tempdir() or die; # it leaves files where it is
command_ok(
    [
        "$bindir/pg_upgrade", '--no-sync',
        '-b', "$older/bin", '-B', $bindir,
        '-d', $old->data_dir, '-D', $new->data_dir,
        '-s', $new->host, '-p', $old->port, '-P', $new->port,
    ],
    'pg_upgrade');
$new->start;
wait_for_workers($new);
note($new->safe_psql('postgres', 'SELECT version()'));

my $after = content($new);
is_deeply(differences($members, members($new)), [], 'the same members of the extension, with the same rights');
is_deeply([ sort keys %$after ], [ sort keys %$before ], 'the same tables');
# what says which database this is was written by a server with another identity, and the time goes on
for my $table (grep { !/^mulberry_internal\.(?:installation|mandate_clock)$/ } sort keys %$before)
{
    is($after->{$table}, $before->{$table}, "the same rows in $table");
}

is($new->safe_psql('postgres', 'SELECT mulberry.outbound_allowed()'), 'f', 'outgoing work is held');
like($new->safe_psql('postgres', "SELECT status || ': ' || detail FROM mulberry.health() WHERE item = 'outgoing work'"), qr/^warning: held/, 'health() says so');
is($new->safe_psql('postgres', "SELECT status FROM mulberry.health() WHERE item = 'secrets'"), 'error', 'the key of the secrets stays behind');
append_to_file($new->data_dir . '/mulberry.key', slurp_file($old->data_dir . '/mulberry.key'));
chmod 0600, $new->data_dir . '/mulberry.key';
is($new->safe_psql('postgres', "SELECT detail FROM mulberry.health() WHERE item = 'secrets'"), '1 secrets can be read', 'copied, it reads them');
is($new->safe_psql('postgres', 'SELECT bool_and(problem IS NULL) FROM mulberry.verify_audit()'), 't', 'the audit log is whole');
is($new->safe_psql('postgres', q{SELECT accepted, duplicate FROM mulberry.spend('12345678', 12.3456, 'before')}), 't|t', 'what was spent is known');
is($new->safe_psql('postgres', q{SELECT status, missing_count FROM mulberry.ingest_packet('open', 4, '\x00ff', tenant => 'north')}, extra_params => [ '-U', 'anna' ]),
    'accepted|0', 'calls go on');

new_call($new, 'later', 'hello');
$new->safe_psql('postgres', 'CALL mulberry.run_jobs()');
is($new->safe_psql('postgres', "SELECT count(*) FROM mulberry.jobs WHERE call_id IN ('waits', 'later')"), '2', 'jobs wait, an old and a new one');
is(scalar $ai->requests('waiting'), 0, 'nobody was asked');
is($new->safe_psql('postgres', 'SELECT mulberry.resume_outbound()'), 't', 'resume_outbound() lets it go on');
ok($new->poll_query_until('postgres', "SELECT count(*) = 2 FROM mulberry.call_status WHERE call_id IN ('waits', 'later') AND state = 'ARCHIVED'"),
    'and it is done');

$new->stop;
$ai->stop;
done_testing();
