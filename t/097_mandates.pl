# Money: many sessions spend from one mandate at once, and it is never overspent and no
# payment made twice; kill -9 of the whole server, and every payment that was
# acknowledged is there, although synchronous_commit is off; the audit log is whole after each
# of it and is linked by the notifier alone; a standby answers and refuses.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = $ENV{MULBERRY_CRASHES} // 2;
my $clients = 6;

my $node = mulberry_cluster('mandates', init => [ allows_streaming => 1 ],
    conf => "mulberry.workers = 1\nfsync = on\nsynchronous_commit = off\nmax_connections = 40\n");
my $directory = PostgreSQL::Test::Utils::tempdir();
srand(4711);

sub sql { return $node->safe_psql('postgres', shift) }

sql(<<'SQL');
SELECT mulberry.create_tenant('empty');
SELECT mulberry.create_agent('pi');
SELECT mulberry.create_mandate('10000001', 'pi', 'Acme', 100, 'EUR', '2100-01-01');
SQL

# A client: a script, its answers in a file.  Each answer is "ack reference accepted duplicate amount".
sub write_client
{
    my ($name, $mandate, @payments) = @_;
    my $script = join '', map { ref $_
        ? "SELECT 'ack', '$_->[0]', accepted, duplicate, $_->[1] FROM mulberry.spend('$mandate', $_->[1], '$_->[0]');\n" : "$_;\n" } @payments;
    append_to_file("$directory/$name.sql", $script);
    return;
}

sub start_client
{
    my ($name) = @_;
    my $output = "$directory/$name.out";
    unlink $output;
    my $process = IPC::Run::start(
        [
            $node->installed_command('psql'), '-XqAt', '-F', ' ', '-v', 'ON_ERROR_STOP=1', '-d',
            $node->connstr('postgres'), '-f', "$directory/$name.sql"
        ],
        '>', $output, '2>', "$directory/$name.err");
    return { process => $process, output => $output, name => $name };
}

# What a client was told: [reference, accepted, duplicate, amount].
sub answers
{
    my ($client) = @_;
    return map { [ (split / /)[ 1 .. 4 ] ] } grep { /^ack \S+ [tf] [tf] \S+$/ } split /\n/, slurp_file($client->{output});
}

# Everything that must hold of a mandate whatever happened.
sub books
{
    my ($mandate) = @_;
    return sql(<<"SQL");
SELECT m.spent <= m.max_amount AND m.spent = coalesce(sum(s.amount), 0)
       AND count(s) = (SELECT count(*) FROM mulberry_internal.audit a
                        WHERE a.tenant = m.tenant AND a.mandate = m.id AND a.action = 'SPEND' AND a.outcome = 'accepted')
  FROM mulberry_internal.mandates m LEFT JOIN mulberry_internal.spendings s ON s.tenant = m.tenant AND s.mandate = m.id
 WHERE m.id = '$mandate' GROUP BY m.tenant, m.id
SQL
}

# ---- many at once, for more than there is, half of them the same payments ----

my @running;
foreach my $client (1 .. $clients)
{
    my @payments = map { $_ % 2 ? [ "shared-$_", sprintf('%.4f', $_ * 0.0137) ] : [ "own-$client-$_", '0.7301' ] } 1 .. 80;
    @payments = (@payments, $payments[3]);
    write_client("many-$client", '10000001', @payments);
}
write_client('switch', '10000001', map {
    my $status = $_;
    "SELECT mulberry_internal.set_mandate_status(id, '10000001', '$status', 'switched') FROM mulberry_internal.tenants"
} ('SUSPENDED', 'ACTIVE') x 20);
@running = map { start_client($_) } 'switch', map { "many-$_" } 1 .. $clients;
$_->{process}->finish foreach @running;
is(join('', map { slurp_file("$directory/$_->{name}.err") } @running), '', 'no session fails or deadlocks');
shift @running;

my @answers = map { answers($_) } @running;
is(scalar(@answers), $clients * 81, 'every payment is answered');
is(books('10000001'), 't', 'the mandate is not overspent, and the books fit');
my %first = map { $_->[0] => $_->[3] } grep { $_->[1] eq 't' && $_->[2] eq 'f' } @answers;
my %made = map { split / / } split /\n/, sql(q{SELECT reference || ' ' || amount FROM mulberry_internal.spendings WHERE mandate = '10000001'});
is_deeply({ map { $_ => $first{$_} + 0 } keys %first }, { map { $_ => $made{$_} + 0 } keys %made }, 'what was accepted is what was made');
is(scalar(grep { $_->[1] eq 't' && $_->[2] eq 'f' } @answers), scalar(keys %made), '... each once');
is(scalar(grep { $_->[1] eq 't' && !$made{ $_->[0] } } @answers), 0, 'a duplicate answers for a payment that is there');
cmp_ok(scalar(grep { $_->[1] eq 't' && $_->[2] eq 't' } @answers), '>', 0, '... and there were some');
cmp_ok(scalar(grep { $_->[1] eq 'f' } @answers), '>', 0, 'some were refused');

# the rest, to the last ten-thousandth
my $left = sql(q{SELECT remaining FROM mulberry.mandate_status WHERE mandate_id = '10000001'});
if ($left > 0)
{
    is(sql("SELECT accepted, remaining FROM mulberry.spend('10000001', $left, 'rest')"), 't|0.0000', 'what is left can be spent');
}
is(sql(q{SELECT accepted, reason FROM mulberry.spend('10000001', 0.0001, 'beyond')}), 'f|limit', 'and no more');

# ---- the audit log, which nobody here asked to be linked ----

wait_for_true($node, 'SELECT count(*) = 0 FROM mulberry_internal.audit WHERE seq IS NULL', 'the notifier has linked the audit log');
is(sql(q{SELECT rows = (SELECT count(*) FROM mulberry_internal.audit), problem IS NULL FROM mulberry.verify_audit('default')}), 't|t', 'the audit log is whole');
wait_for_true($node, q{SELECT count(*) = 41 FROM mulberry_internal.events WHERE event = 'mandate_changed' AND seq IS NOT NULL}, 'every change has its event');
is(sql(q{SELECT version, agent_version FROM mulberry_internal.mandates}), '41|41', '... and its numbers');

# ---- kill -9, again and again ----

foreach my $round (1 .. $rounds)
{
    my $mandate = 20000000 + $round;
    sql("SELECT mulberry.create_mandate('$mandate', 'pi', 'Acme', 1000000, 'EUR', '2100-01-01')");
    my %sent;
    foreach my $client (1 .. $clients)
    {
        my @payments = map { [ "r$round-c$client-$_", sprintf('%d.%04d', 1 + int(rand(9)), int(rand(10000))) ] } 1 .. 400;
        $sent{ $_->[0] } = $_->[1] foreach @payments;
        write_client("crash-$round-$client", $mandate, @payments);
    }
    @running = map { start_client("crash-$round-$_") } 1 .. $clients;
    my $moment = 20 + int(rand(100));
    foreach (1 .. 18000)
    {
        last if slurp_file($running[0]{output}) =~ tr/\n// >= $moment;
        usleep(10_000);
    }
    my @head = split /\|/, sql('SELECT seq, hash FROM mulberry.audit_head()');
    cmp_ok(kill_server($node), '>', $clients, "round $round: server killed under its clients");
    $_->{process}->finish foreach @running;
    $node->start;

    my %stored = map { split / / } split /\n/, sql("SELECT reference || ' ' || amount FROM mulberry_internal.spendings WHERE mandate = '$mandate'");
    my %acknowledged = map { $_->[0] => $_->[3] } grep { $_->[1] eq 't' } map { answers($_) } @running;
    cmp_ok(scalar(keys %acknowledged), '>=', $moment - 1, "round $round: " . scalar(keys %acknowledged) . ' payments were acknowledged');
    cmp_ok(scalar(keys %acknowledged), '<', scalar(keys %sent), "round $round: ... not all");
    is_deeply([ grep { !exists $stored{$_} || $stored{$_} != $acknowledged{$_} } sort keys %acknowledged ], [],
        "round $round: every one of them is there");
    is_deeply([ grep { !exists $sent{$_} || $stored{$_} != $sent{$_} } sort keys %stored ], [], "round $round: and nothing that nobody sent");
    is(books($mandate), 't', "round $round: the books fit");
    is(sql("SELECT problem FROM mulberry.verify_audit('default', $head[0], '$head[1]')"), '',
        "round $round: the audit log goes on behind row $head[0], which somebody was shown");

    # Clients do not know what became of the rest: they send everything again.
    @running = map { start_client("crash-$round-$_") } 1 .. $clients;
    $_->{process}->finish foreach @running;
    my @again = map { answers($_) } @running;
    is(scalar(grep { $_->[1] eq 't' } @again), scalar(keys %sent), "round $round: everything is accepted then");
    is(scalar(grep { $_->[2] eq 't' } @again), scalar(keys %stored), "round $round: ... what was there as duplicates");
    my $total = 0;
    $total += int($_ * 10000 + 0.5) foreach values %sent;
    is(sql("SELECT (spent * 10000)::bigint FROM mulberry_internal.mandates WHERE id = '$mandate'"), $total, "round $round: the sum is that of the payments");
}

# ---- a long log, linked in many batches ----

sql(<<'SQL');
INSERT INTO mulberry_internal.audit (tenant, role, action, outcome, evidence)
SELECT id, 'x', 'many', 'applied', jsonb_build_object('n', n) FROM mulberry_internal.tenants, generate_series(1, 20000) n WHERE name = 'default';
SQL
wait_for_true($node, 'SELECT count(*) = 0 FROM mulberry_internal.audit WHERE seq IS NULL', 'the notifier has linked many rows');
is(sql(q{SELECT rows = (SELECT count(*) FROM mulberry_internal.audit), problem IS NULL FROM mulberry.verify_audit('default')}), 't|t', 'a long log is whole');
is(sql(q{SELECT status FROM mulberry.health() WHERE item = 'audit log'}), 'ok', 'health() says so');

# ---- a standby ----

sql(<<'SQL');
SELECT mulberry.create_mandate('30000001', 'pi', 'Acme', 100, 'EUR', '2100-01-01');
SELECT mulberry.create_mandate('30000002', 'pi', 'Acme', 100, 'EUR', '2100-01-01');
UPDATE mulberry_internal.mandates SET expires_at = '2020-02-02' WHERE id = '30000002';
SQL
wait_for_true($node, 'SELECT count(*) = 0 FROM mulberry_internal.audit WHERE seq IS NULL', 'the notifier has linked the rest');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('mandates_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));

sub standby_sql { return $standby->safe_psql('postgres', shift) }
is(standby_sql(q{SELECT allowed, status FROM mulberry.check_mandate('30000001', 100)}), 't|ACTIVE', 'a standby says that a mandate allows it');
is(standby_sql(q{SELECT allowed, status, reason FROM mulberry.check_mandate('30000002', 1)}), 'f|EXPIRED|expired', '... and that one has expired');
is(standby_sql(q{SELECT rows > 20000, problem IS NULL FROM mulberry.verify_audit('default')}), 't|t', '... and verifies the audit log');
is(standby_sql('SELECT seq, hash FROM mulberry.audit_head()'), sql('SELECT seq, hash FROM mulberry.audit_head()'), '... which has the same head');
foreach my $call (
    q{mulberry.spend('30000001', 1, 'x')}, q{mulberry.spend('30000002', 1, 'x')}, q{mulberry.spend('99999999', 1, 'x')},
    q{mulberry.create_agent('x')}, q{mulberry.alter_agent('pi', '+12025550100')}, q{mulberry.drop_agent('pi')},
    q{mulberry.create_mandate('30000003', 'pi', 'Acme', 1, 'EUR', '2100-01-01')}, q{mulberry.alter_mandate('30000001', 5)},
    q{mulberry_internal.link_audit()}, q{mulberry.erase_audit_log('empty')})
{
    my (undef, undef, $error) = $standby->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT $call");
    like($error // '', qr/ERROR:  25006/, "$call is refused there");
}
is(sql(q{SELECT status FROM mulberry_internal.mandates WHERE id = '30000002'}), 'ACTIVE', 'what the standby found was not stored');

$node->stop('immediate');
$standby->promote;
wait_for_workers($standby, 'postgres', 1);
is(standby_sql(q{SELECT accepted FROM mulberry.spend('30000001', 1, 'after')}), 't', 'promoted, it spends');
is(standby_sql(q{SELECT reason FROM mulberry.spend('30000002', 1, 'after')}), 'expired', '... and refuses');
is(standby_sql(q{SELECT status FROM mulberry_internal.mandates WHERE id = '30000002'}), 'EXPIRED', '... and stores why');
wait_for_true($standby, 'SELECT count(*) = 0 FROM mulberry_internal.audit WHERE seq IS NULL', 'the promoted server has linked the audit log');
is(standby_sql(q{SELECT problem IS NULL FROM mulberry.verify_audit('default')}), 't', '... which is whole');
$standby->stop;
done_testing();
