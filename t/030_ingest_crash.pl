# kill -9 of the whole server while packets come in, again and again.  After each
# recovery every acknowledged packet is there, once and with its data, and gaps and
# counts say what the tables hold; after everything was sent again, the gaps are
# what the clients never sent.
#
# MULBERRY_CRASHES: how often (default 3; the campaign takes 20).

use strict;
use warnings;

use List::Util qw(shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use Mulberry::Cluster;

my $crashes = $ENV{MULBERRY_CRASHES} // 3;
my $clients = 4;
my $packets = 1000;	   # of each client in each round

# The flush of each commit is what this is about.
my $node = mulberry_cluster('ingest_crash', preload => 0, conf => "fsync = on\nmax_connections = 30\n");
my $directory = PostgreSQL::Test::Utils::tempdir();

srand(4711);

# The data of a packet follow from its name.
sub data_of
{
    my ($call, $sequence) = @_;
    return sprintf "decode(md5('%s %d'), 'hex')", $call, $sequence;
}

# What a client of a round sends: a script, and the packets in it.  Client 0 sends
# one packet a transaction in order, 1 with losses and disorder, 2 batches over two
# calls, 3 several packets a transaction.
sub write_script
{
    my ($round, $client) = @_;
    my $call = "crash-$round-$client";
    my @sequences = $client == 0 ? (0 .. $packets - 1) : grep { rand() >= 0.1 } 0 .. $packets - 1;
    my %sent;
    my $sql = '';

    # disorder within a window, as a network makes it
    @sequences = map { shuffle(splice(@sequences, 0, 20)) } 0 .. $#sequences / 20 if $client > 0;
    if ($client == 2)
    {
        while (my @part = splice(@sequences, 0, 50))
        {
            my @names = map { $call . ($_ % 3 == 0 ? 'a' : 'b') } @part;
            $sent{"$names[$_] $part[$_]"} = 1 for 0 .. $#part;
            $sql .= sprintf "SELECT 'ack', call_id, sequence, status FROM mulberry.ingest_packets(ARRAY[%s], ARRAY[%s], ARRAY[%s]);\n",
              join(',', map { "'$_'" } @names), join(',', @part), join(',', map { data_of($names[$_], $part[$_]) } 0 .. $#part);
        }
    }
    else
    {
        my $n = 0;
        for my $sequence (@sequences)
        {
            $sent{"$call $sequence"} = 1;
            $sql .= "BEGIN;\n" if $client == 3 && $n % 5 == 0;
            $sql .= sprintf "SELECT 'ack', call_id, sequence, status FROM mulberry.ingest_packet('%s', %d, %s);\n",
              $call, $sequence, data_of($call, $sequence);
            $sql .= "COMMIT;\nSELECT 'commit';\n" if $client == 3 && ++$n % 5 == 0;
        }
        $sql .= "COMMIT;\nSELECT 'commit';\n" if $client == 3 && $n % 5 != 0;
    }
    append_to_file("$directory/$call.sql", $sql);
    return \%sent;
}

# Starts a client; returns its process and the file of its answers.
sub start_client
{
    my ($round, $client) = @_;
    my $call = "crash-$round-$client";
    my $output = "$directory/$call.out";
    unlink $output;
    my $process = IPC::Run::start(
        [
            $node->installed_command('psql'), '-XqAt', '-F', ' ', '-v', 'ON_ERROR_STOP=1', '-d',
            $node->connstr('postgres'), '-f', "$directory/$call.sql"
        ],
        '>', $output, '2>', "$directory/$call.err");
    return ($process, $output);
}

# Packets that a client knows to be taken.  Within a transaction an answer counts
# from its commit on.
sub acknowledged
{
    my ($output, $client) = @_;
    my (%known, @pending, %status);

    for my $line (split /\n/, slurp_file($output))
    {
        if ($line =~ /^ack (\S+) (\d+) (accepted|duplicate)$/)
        {
            push @pending, "$1 $2";
            $status{$3}++;
        }
        elsif ($line ne 'commit')
        {
            die "unexpected answer: $line";
        }
        if ($line eq 'commit' || $client != 3)
        {
            $known{$_} = 1 for @pending;
            @pending = ();
        }
    }
    return (\%known, \%status);
}

# What is stored, as "call sequence", and whether everything about it agrees.
sub stored
{
    my ($round) = @_;
    return map { $_ => 1 } split /\n/, $node->safe_psql('postgres',
        "SELECT c.call_id || ' ' || p.sequence FROM mulberry_internal.packets p JOIN mulberry_internal.calls c ON c.id = p.call WHERE c.call_id LIKE 'crash-$round-%'");
}

my $check = <<'SQL';
WITH truth AS (
    SELECT c.id, c.call_id, c.missing_count, count(p.sequence) AS packets, count(DISTINCT p.sequence) AS distinct_packets,
           max(p.sequence) + 1 AS next, range_agg(int4range(p.sequence, p.sequence, '[]')) AS present,
           bool_and(p.data = decode(md5(c.call_id || ' ' || p.sequence), 'hex')) AS data_is_right
      FROM mulberry_internal.calls c JOIN mulberry_internal.packets p ON p.call = c.id GROUP BY c.id
)
SELECT count(*) FILTER (WHERE packets <> distinct_packets) AS doubled,
       count(*) FILTER (WHERE NOT data_is_right) AS wrong_data,
       count(*) FILTER (WHERE t.missing_count <> next - packets) AS wrong_count,
       count(*) FILTER (WHERE coalesce((SELECT range_agg(int4range(g.first, g.last, '[]')) FROM mulberry_internal.gaps g WHERE g.call = t.id), '{}')
                              <> int4multirange(int4range(0, next)) - present) AS wrong_gaps,
       count(*) FILTER (WHERE s.total_packets_received <> packets OR s.expected_next_sequence <> next) AS wrong_status,
       (SELECT count(*) FROM mulberry_internal.calls c WHERE NOT EXISTS (SELECT FROM mulberry_internal.packets p WHERE p.call = c.id)) AS empty_calls,
       (SELECT count(*) FROM mulberry_internal.gaps g WHERE NOT EXISTS (SELECT FROM mulberry_internal.calls c WHERE c.id = g.call)) AS lost_gaps
  FROM truth t JOIN mulberry.call_status s USING (call_id)
SQL

for my $round (1 .. $crashes)
{
    my @sent = map { write_script($round, $_) } 0 .. $clients - 1;
    my @running = map { [start_client($round, $_)] } 0 .. $clients - 1;

    # at some point in the midst of it
    my $moment = 1 + int(rand($packets / 2));
    for (1 .. 18000)
    {
        last if slurp_file($running[0][1]) =~ tr/\n// >= $moment;
        usleep(10_000);
    }
    cmp_ok(kill_server($node), '>', $clients, "round $round: server killed under its clients");
    $_->[0]->finish for @running;
    $node->start;

    my %stored = stored($round);
    my ($known, $lost, $unknown, $unfinished) = (0, 0, 0, 0);
    for my $client (0 .. $clients - 1)
    {
        my ($acknowledged) = acknowledged($running[$client][1], $client);
        $known += keys %$acknowledged;
        $lost += grep { !$stored{$_} } keys %$acknowledged;
        $unfinished++ if keys %$acknowledged < keys %{ $sent[$client] };
    }
    my %all = map { %$_ } @sent;
    $unknown = grep { !$all{$_} } keys %stored;
    cmp_ok($known, '>', 0, "round $round: packets had been acknowledged ($known, stored " . scalar(keys %stored) . ')');
    cmp_ok($unfinished, '>', 0, "round $round: and not all of them");
    is($lost, 0, "round $round: no acknowledged packet is lost");
    is($unknown, 0, "round $round: nothing is stored that nobody sent");
    is($node->safe_psql('postgres', $check), '0|0|0|0|0|0|0', "round $round: no packet doubled, gaps and counts are right");

    # Clients do not know what became of the rest: they send everything again.
    @running = map { [start_client($round, $_)] } 0 .. $clients - 1;
    $_->[0]->finish for @running;
    my ($answers, $duplicates) = (0, 0);
    for my $client (0 .. $clients - 1)
    {
        my ($acknowledged, $status) = acknowledged($running[$client][1], $client);
        $answers += keys %$acknowledged;
        $duplicates += $status->{duplicate} // 0;
    }
    is($answers, scalar(keys %all), "round $round: sent again, each packet is answered");
    is($duplicates, scalar(keys %stored), "round $round: those that had been stored are duplicates, and only those");
    %stored = stored($round);
    is_deeply(\%stored, \%all, "round $round: what is stored is what was sent, so the gaps are the clients' ledger");
    is($node->safe_psql('postgres', $check), '0|0|0|0|0|0|0', "round $round: gaps and counts are right again");
    $node->safe_psql('postgres', "DELETE FROM mulberry_internal.calls WHERE call_id LIKE 'crash-$round-%'");
}

$node->stop;
done_testing();
