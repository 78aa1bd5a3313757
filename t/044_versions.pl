# Library and SQL of different versions, as between installing files and ALTER EXTENSION: workers
# wait and say so once, health() names both and what to do, packets are taken.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = mulberry_cluster('versions', conf => "log_min_messages = debug1\nmulberry.grace_period = 0");
my $library = sql('SELECT mulberry_internal.library_version()');

sub sql { return $node->safe_psql('postgres', shift) }
sub health { return sql("SELECT status, detail, hint FROM mulberry.health() WHERE item = 'version'") }
sub logged { my ($text) = @_; return scalar(() = slurp_file($node->logfile) =~ /$text/g) }
sub probes { return logged('registering background worker "mulberry notifier \(postgres\)"') }
sub complaints { return logged('WARNING:  Mulberry\'s workers in database "postgres" wait') }

# As an update would, but without the files of another version.
sub become_version { my ($version) = @_; sql("UPDATE pg_extension SET extversion = '$version' WHERE extname = 'mulberry'"); return }

sub processes_leave
{
    wait_for_true($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type IN ('mulberry notifier', 'mulberry worker')", 'all have left');
    return;
}

is(health(), "ok|library and SQL are $library|", 'of one version');

my %versions = (
    '0.9.1' => 'The SQL is older: ALTER EXTENSION mulberry UPDATE, then SELECT mulberry.refresh_grants().',
    '10.0' => 'The library is older: install the one that belongs to the SQL, and restart the server.');
for my $version (sort keys %versions)
{
    my $before = complaints();
    become_version($version);
    processes_leave();
    is(health(), "error|the library is $library, the SQL of this database $version: workers wait|$versions{$version}", "$version: health() says what to do");
    wait_for_true($node, 'SELECT true', 'it is there');
    ok($node->wait_for_log(qr/WARNING:  Mulberry's workers in database "postgres" wait: the library is version \Q$library\E, the extension there \Q$version\E/),
        "$version: the log says so");

    # each look finds it unfit again, and says nothing
    for my $look (1 .. 2)
    {
        my $probes = probes();
        sql("CREATE DATABASE elsewhere");
        $node->safe_psql('elsewhere', 'CREATE EXTENSION mulberry CASCADE');
        for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
        {
            last if probes() > $probes;
            select undef, undef, undef, 0.1;
        }
        cmp_ok(probes(), '>', $probes, "$version: look $look");
        $node->safe_psql('postgres', 'DROP DATABASE elsewhere');
    }
    processes_leave();
    is(complaints(), $before + 1, "$version: once");

    new_call($node, "call-$version", 'hello');
    is(sql("SELECT state FROM mulberry_internal.calls WHERE call_id = 'call-$version'"), 'COMPLETED', "$version: calls are taken");
    my ($status, undef, $error) = $node->psql('postgres', 'CALL mulberry.run_jobs(1)');
    like($error, qr/run_jobs\(\) waits until library and SQL are of one version\nDETAIL:  The library is \Q$library\E, the SQL of this database \Q$version\E\.\nHINT:  \Q$versions{$version}\E/,
        "$version: and no session does the work of workers");

    # and again as it was: within a minute by themselves, or at once
    become_version($library);
    $node->reload;
    wait_for_workers($node);
    wait_for_true($node, "SELECT state = 'ARCHIVED' FROM mulberry_internal.calls WHERE call_id = 'call-$version'", 'the call is archived');
    is(health(), "ok|library and SQL are $library|", "$version: all is well again");
}
unlike(slurp_file($node->logfile), qr/ERROR:(?!  run_jobs)/, 'nothing has failed meanwhile');

$node->stop;
done_testing();
