# Replicating out: another server subscribes to all tables, and has the calls, the
# events and the audit log as they are here, with what was changed and erased; it
# calls nobody.
use strict;
use warnings;

use FindBin;
use IPC::Run qw(finish pump);
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $here = mulberry_cluster('published', init => [ allows_streaming => 'logical' ]);
my $there = mulberry_cluster('subscribed', conf => "max_logical_replication_workers = 10\nmax_sync_workers_per_subscription = 4\n");

# The members of the one server are roles of the other.
foreach my $node ($here, $there)
{
    $node->safe_psql('postgres', 'CREATE ROLE pbx; CREATE ROLE lea');
}
my $calls = <<'SQL';
SELECT count(*) FROM (SELECT mulberry.ingest_packet('%1$s', n, 'words', encoding => 'text') FROM generate_series(0, 20) n WHERE n NOT IN (7, 8)) p;
SELECT status FROM mulberry.ingest_packet('%1$s', 7, 'late', encoding => 'text');
SQL
$here->safe_psql('postgres', "SELECT mulberry.grant_access('pbx', 'ingest'), mulberry.create_tenant('north'), mulberry.alter_tenant('default', retention => '1 year');"
      . sprintf($calls, 'before') . sprintf($calls, 'erased-before'));

# ---- the initial copy ----

$here->safe_psql('postgres', 'CREATE PUBLICATION everything FOR ALL TABLES');
# the partitions of today and the next days are made there as here
$there->safe_psql('postgres', 'SELECT mulberry.maintenance()');
my $publisher = $here->connstr('postgres') =~ s{'}{''}gr;
$there->safe_psql('postgres', "CREATE SUBSCRIPTION copied CONNECTION '$publisher' PUBLICATION everything");
$there->wait_for_subscription_sync($here, 'copied');
pass('the initial copy ends although both servers have the rows that CREATE EXTENSION makes');

sub content
{
    my ($node) = @_;
    return $node->safe_psql('postgres', <<'SQL');
SELECT 'call', c.call_id, c.state, c.missing_count::text FROM mulberry_internal.calls c
UNION ALL SELECT 'packet', c.call_id, p.sequence::text, convert_from(p.data, 'UTF8') FROM mulberry_internal.packets p JOIN mulberry_internal.calls c ON c.id = p.call
UNION ALL SELECT 'packet of nobody', p.call::text, p.sequence::text, '' FROM mulberry_internal.packets p WHERE NOT EXISTS (SELECT FROM mulberry_internal.calls c WHERE c.id = p.call)
UNION ALL SELECT 'gap', c.call_id, g.first::text, g.last::text FROM mulberry_internal.gaps g JOIN mulberry_internal.calls c ON c.id = g.call
UNION ALL SELECT 'tenant', t.name, t.retention::text, '' FROM mulberry_internal.tenants t
UNION ALL SELECT 'member', m.role::text, m.access, '' FROM mulberry_internal.members m
UNION ALL SELECT 'event', e.event, e.seq::text, e.call_id FROM mulberry_internal.events e
 ORDER BY 1, 2, 3, 4
SQL
}

sub caught_up { $here->wait_for_catchup('copied'); return }

caught_up();
is(content($there), content($here), 'what was there is there');

# ---- what happens from then on ----

$here->safe_psql('postgres', sprintf($calls, 'after') . <<'SQL');
SELECT mulberry.erase_call('erased-before');
SELECT mulberry.complete_call('before', 21);
SELECT mulberry.revoke_access('pbx', 'ingest');
SELECT mulberry.grant_access('lea', 'supervisor', 'north');
SQL
wait_for_true($here, "SELECT NOT EXISTS (SELECT FROM mulberry_internal.events WHERE seq IS NULL)");
wait_for_true($here, "SELECT state IN ('ARCHIVED', 'FAILED') FROM mulberry_internal.calls WHERE call_id = 'before'");
wait_for_true($here, "SELECT NOT EXISTS (SELECT FROM mulberry_internal.events WHERE seq IS NULL)");
caught_up();
is(content($there), content($here), 'changes and erasures arrive');
is($there->safe_psql('postgres', "SELECT count(*) FROM mulberry_internal.calls WHERE call_id = 'erased-before'"), '0', 'an erased call is gone there');

is($there->safe_psql('postgres', 'SELECT mulberry.outbound_allowed()'), 'f', 'the copy calls nobody');
like($there->safe_psql('postgres', "SELECT detail FROM mulberry.health() WHERE item = 'outgoing work'"), qr/held/, '... and says so');

# A session that sent the packet before takes its own for the next one, which another session has sent since.
my $send = q{SELECT status FROM mulberry.ingest_packet('doubled', %d, 'words %1$d', encoding => 'text')};
my ($in, $out) = ('', '');
my $sender = IPC::Run::start([ 'psql', '-XqAt', '-d', $here->connstr('postgres') ], '<', \$in, '>', \$out);
my $say = sub {
    $out = '';
    $in .= sprintf("$send;\n", $_[0]);
    pump $sender until $out =~ /\n/;
    return $out =~ s/\s+//gr;
};
is($say->(0), 'accepted', 'a packet of one session');
is($here->safe_psql('postgres', sprintf($send, 1)), 'accepted', 'the next one of another');
is($say->(1), 'duplicate', 'which the first sends as well');
is($say->(2), 'accepted', 'and goes on');
$in .= "\\q\n";
finish $sender;
caught_up();
is(content($there), content($here), 'a packet that came twice stands there once, and what follows arrives');

$there->safe_psql('postgres', 'DROP SUBSCRIPTION copied');
$here->stop;
$there->stop;
done_testing();
