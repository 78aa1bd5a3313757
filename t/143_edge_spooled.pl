# "mulberry-edge capture --spool": kill -9 at random moments, a database that is away or stands still, a bound that is reached, a
# spool that is damaged, full or read-only. Before each kill's successor begins the test reads for itself what is in the spool and in the
# table: all of that must be in the table in the end, but what was reported as dropped or damaged.
#
#	KILLS=50 OUTAGE_SECONDS=60	for the campaign (default: 5 and 3)
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Capture;
use Mulberry::Cluster;
use Mulberry::Edge;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(clock_gettime sleep time);

my $kills = $ENV{KILLS} // 5;
my $outage = $ENV{OUTAGE_SECONDS} // 3;
my $dir = tempdir(CLEANUP => 1);
my $node = mulberry_cluster('edge_spooled', preload => 0);
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE pi LOGIN; SELECT mulberry.grant_access('pi', 'ingest')});
my $database = $node->connstr('postgres') . ' user=pi';
my $boot_clock = 7;    # CLOCK_BOOTTIME
srand($ENV{SEED} // time);

# Begins to capture, from the card unless a device is named.
sub capture
{
    my ($name, %option) = @_;
    my @flags = @{ $option{flags} // [] };
    my @before = $option{before} ? ([ @{ $option{before} } ]) : ();
    return start_capture($name, @before, $option{device} // 'alsa:mic', '--name', $name, '--database', $database, '--batch', 100, '--grace', 300,
        '--call-encoding', 's16le', '--spool', "$dir/" . ($option{spool} // $name), '--spool-free', 0, '--spool-pace', 1000, @flags);
}

# What a spool has: { call => { sequence => 1 } }, and of which kinds its records are. Read as it is, without the program.
sub ledger
{
    my ($spool) = @_;
    my (%packets, %kinds, @at);
    foreach my $file (sort glob "$dir/$spool/*.spool")
    {
        my $bytes = slurp_file($file);
        for (my $at = 0; $at + 512 <= length $bytes; $at += 512)
        {
            next if substr($bytes, $at, 4) ne 'MSP1';
            my $head = substr $bytes, $at + 4, 508;
            my ($kind, $call_length) = unpack 'x8 C C', $head;
            my $call = substr $head, 64, $call_length;
            $kinds{$kind}{$call} = 1;
            next if $kind != 2;
            my $sequence = unpack 'x24 q<', $head;
            $packets{$call}{$sequence} = 1;
            push @at, [ $file, $at, $call, $sequence ];
        }
    }
    return { packets => \%packets, kinds => \%kinds, at => \@at };
}

# The same of the table.
sub table
{
    my ($like) = @_;
    my %packets;
    foreach my $line (split "\n", sql("SELECT call_id, sequence FROM mulberry.call_packets WHERE call_id LIKE '$like'"))
    {
        my ($call, $sequence) = split /\|/, $line;
        $packets{$call}{$sequence} = 1;
    }
    return \%packets;
}

sub add { my ($to, $from) = @_; foreach my $call (keys %$from) { $to->{$call}{$_} = 1 foreach keys %{ $from->{$call} } } return }

# What of the first is not in the second, as "call sequence".
sub without
{
    my ($all, $there) = @_;
    return map { my $call = $_; map { "$call $_" } grep { !$there->{$call}{$_} } sort { $a <=> $b } keys %{ $all->{$call} } } sort keys %$all;
}

# What was said to be dropped, as "call sequence".
sub dropped
{
    my ($err) = @_;
    my @all;
    while ($err =~ /dropped: call (\S+?)(?:, track \S+)?, packets (\d+) to (\d+), ([\d.]+) s/g)
    {
        my ($call, $first, $last, $seconds) = ($1, $2, $3, $4);
        is(sprintf('%.3f', ($last - $first + 1) * 0.02), $seconds, "packets $first to $last are said to be as long as they are");
        push @all, map { "$call $_" } $first .. $last;
    }
    return @all;
}

sub is_empty { my ($spool) = @_; return !grep { 1 } glob "$dir/$spool/*.spool" }
sub wait_until_all_is_complete { my ($name) = @_; wait_for_true($node, "SELECT count(*) > 0 AND bool_and(state <> 'IN_PROGRESS') FROM mulberry.call_status WHERE call_id LIKE '$name-%'", "all calls of $name are complete"); return }

# Whether the machine was so busy that the card's buffer or the ring was not enough, in any of the processes.
my $machine_was_late = 0;
sub was_late { my ($self, $name) = @_; $machine_was_late ||= -e "$cards/$name/late"; return }

# --- kills, and a database that comes and goes ------------------------------------------------

my $rate = 8000;
my $card = card('killed', rate => $rate);
my %recorded;
my %killed;    # call => where the card was at the kill, in samples
my ($up, $torn) = (1, 0);
for my $round (1 .. $kills)
{
    my $what = $round % 5;
    if ($what == 2) { $node->stop('immediate'); $up = 0 }
    if ($what == 4) { $node->start; $up = 1 }
    my $self = capture('killed');
    wait_for_line($self, qr/recording:/);
    sleep 0.3 + rand 1;
    my @stopped;
    if ($what == 0)
    {
        # one that stands still
        @stopped = split "\n", sql(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'mulberry-edge'});
        kill 'STOP', @stopped;
        sleep 0.5 + rand 1;
    }
    my $begun = slurp_file("$card/begun");
    my $killed_at = int((clock_gettime($boot_clock) - $begun / 1e9) * $rate);
    finish($self, 'KILL');
    kill 'CONT', @stopped;
    was_late($self, 'killed');
    my $found = ledger('killed');
    add(\%recorded, $found->{packets});
    add(\%recorded, table('killed-%')) if $up;
    unlike($self->{err}, qr/damaged|dropped:/, "round $round: nothing is lost") or diag $self->{err};
    $torn++ if $self->{err} =~ /was being written/;
    $killed{ ( sort { $a cmp $b } keys %{ $found->{packets} } )[-1] // '' } = $killed_at;
}
$node->start unless $up;
my $self = capture('killed');
wait_for_line($self, qr/recording:/);
wait_for_true($node, "SELECT count(*) FILTER (WHERE state = 'IN_PROGRESS') = 1 AND count(*) = @{[ 1 + keys %recorded ]} FROM mulberry.call_status WHERE call_id LIKE 'killed-%'",
    'what was left by processes that were killed is complete');
is(finish($self, 'TERM'), 0, "after $kills kills");
was_late($self, 'killed');
is(scalar(keys %recorded), $kills, 'each process made a call');
my $there = table('killed-%');
is_deeply([ without(\%recorded, $there) ], [], 'all packets that were in the spool or in the table at a kill are in the table, of ' . (map { my $n = 0; $n += keys %$_ foreach values %recorded; $n } 1)[0]);
is(sql(q{SELECT count(*) FROM mulberry.call_status WHERE call_id LIKE 'killed-%' AND state = 'IN_PROGRESS'}), 0, 'all calls are complete');
is(sql(q{SELECT count(*) FROM mulberry.call_status WHERE call_id LIKE 'killed-%' AND started_at > now() - interval '1 day' AND started_at < now()}), $kills + 1, 'and began when they did');
ok(is_empty('killed'), 'and the spool is empty');
SKIP:
{
    skip 'the machine is too busy', 2 if $machine_was_late;
    is(sql(q{SELECT count(*) FROM mulberry.call_status WHERE call_id LIKE 'killed-%' AND missing_count > 0}), 0, 'without gaps');
    my @wrong = grep { my $places = places_of(sql("SELECT sequence, encode(data, 'hex') FROM mulberry.call_packets WHERE call_id = '$_' ORDER BY sequence")); $places->{shifts} != 1 || $places->{mixed} > 0 } keys %$there;
    is_deeply(\@wrong, [], 'and each sample is where it belongs');
}
my @behind;
foreach my $call (grep { $there->{$_} } keys %killed)
{
    my ($hex) = split "\n", sql("SELECT encode(data, 'hex') FROM mulberry.call_packets WHERE call_id = '$call' ORDER BY sequence DESC LIMIT 1");
    push @behind, ($killed{$call} - card_sample((unpack 's<*', pack 'H*', $hex)[-1])) % 65536 * 1000 / $rate;
}
note sprintf '%d kills, %d torn records; of what the card had recorded when it was killed, the last %.0f ms were not in the spool yet, %.0f on the average',
    $kills, $torn, (sort { $b <=> $a } @behind)[0] // 0, eval { my $sum = 0; $sum += $_ foreach @behind; $sum / @behind } // 0;

# --- an outage that is longer than the memory lasts --------------------------------------------

card('outage', rate => $rate);
$self = capture('outage', flags => [ '--memory', 1 ]);
wait_for_true($node, q{SELECT sum(total_packets_received) > 20 FROM mulberry.call_status WHERE call_id LIKE 'outage-%'}, 'some of it has come');
$node->stop('immediate');
wait_for_line($self, qr/session with the database/);
sleep $outage;
$node->start;
wait_for_line($self, qr/the database is back/);
is(finish($self, 'TERM'), 0, "an outage of $outage s");
($machine_was_late) = 0;
was_late($self, 'outage');
is((last_told($self, qr/dropped (\d+) packets/))[0], 0, 'costs nothing');
SKIP:
{
    skip 'the machine is too busy', 2 if $machine_was_late;
    is(sql(q{SELECT state || ' ' || missing_count FROM mulberry.call_status WHERE call_id LIKE 'outage-%'}), 'COMPLETED 0', 'all of it is there');
    is(places_of(sql(q{SELECT sequence, encode(data, 'hex') FROM mulberry.call_packets WHERE call_id LIKE 'outage-%' ORDER BY sequence}))->{shifts}, 1, 'and where it belongs');
}
ok(is_empty('outage'), 'and the spool is empty');

# --- what is live comes first, and the rest at its pace -----------------------------------------

sub samples { my ($seconds) = @_; return spew_raw("$dir/samples", pack 's<*', map { $_ * 7919 % 65536 - 32768 } 1 .. $seconds * $rate) }
sub pour
{
    my ($name, $seconds, @flags) = @_;
    samples($seconds);
    my $poured = start_capture($name, [ 'sh', '-c', 'file=$1; shift; exec "$@" <"$file"', 'sh', "$dir/samples" ], 'stdin:', '--rate', $rate, '--name', $name, '--database', $database,
        '--call-encoding', 's16le', '--spool', "$dir/$name", '--spool-free', 0, @flags);
    return $poured;
}

$node->stop('immediate');
$self = pour('first', 120, '--grace', 0);
is(finish($self), 0, 'a database that is away while two minutes are recorded');
like($self->{err}, qr/\d{4} records stay in the spool/, 'leaves them in the spool');
my $before = ledger('first');
is_deeply([ sort { $a <=> $b } map { scalar keys %$_ } values %{ $before->{packets} } ], [6000], 'all of them');
$node->start;
card('first', rate => $rate);
$self = capture('first', flags => [ '--name', 'live', '--spool-pace', 1 ]);
wait_for_true($node, q{SELECT (SELECT sum(total_packets_received) FROM mulberry.call_status WHERE call_id LIKE 'live-%') > 50 AND (SELECT sum(total_packets_received) FROM mulberry.call_status WHERE call_id LIKE 'first-%') > 0}, 'both come');
cmp_ok(sql(q{SELECT sum(total_packets_received) FROM mulberry.call_status WHERE call_id LIKE 'first-%'}), '<', 6000, 'what is live does not wait for the rest');
finish($self, 'KILL');
card('rest', rate => $rate);
$self = capture('rest', spool => 'first');
wait_until_all_is_complete('first');
wait_until_all_is_complete('live');
is(finish($self, 'TERM'), 0, 'the rest');
is(sql(q{SELECT state || ' ' || missing_count || ' ' || total_packets_received FROM mulberry.call_status WHERE call_id LIKE 'first-%'}), 'COMPLETED 0 6000', 'comes, with its end, which was recorded');
is(sql(q{SELECT encode(sha256(string_agg(data, NULL ORDER BY sequence)), 'hex') FROM mulberry.call_packets WHERE call_id LIKE 'first-%'}),
    sql("SELECT encode(sha256(pg_read_binary_file('$dir/samples')), 'hex')"), 'sample by sample');

# what still fits into memory is not lost either when the program ends while the database is away
$node->stop('immediate');
$self = pour('short', 20, '--grace', 1);
is(finish($self), 0, 'an end while the database is away');
is_deeply([ map { scalar keys %$_ } values %{ ledger('short')->{packets} } ], [1000], 'leaves all in the spool');
$node->start;
card('next', rate => $rate);
$self = capture('next', spool => 'short');
wait_until_all_is_complete('short');
is(finish($self, 'TERM'), 0, 'and the next process posts it');
is(sql(q{SELECT state || ' ' || missing_count || ' ' || total_packets_received FROM mulberry.call_status WHERE call_id LIKE 'short-%'}), 'COMPLETED 0 1000', 'all of it');
$self = start_capture('lost', [ 'sh', '-c', 'exec "$@" <"$0"', "$dir/samples", ], 'stdin:', '--rate', $rate, '--name', 'lost', '--database', 'host=/nowhere', '--grace', 0);
is(finish($self), 10, 'without a spool that is an error');
like($self->{err}, qr/1000 packets were not posted/, 'which tells how much it is');

# of a call that was cut off its begin alone is in the spool, and the server has what was posted of it
$node->stop('immediate');
$self = pour('begun', 5, '--grace', 0);
is(finish($self), 0, 'five seconds in the spool');
my ($place) = @{ ledger('begun')->{at} };
truncate $place->[0], $place->[1] or die $!;
my $kept = ledger('begun');
is_deeply([ join(' ', keys %{ $kept->{kinds} }), scalar @{ $kept->{at} } ], [ 1, 0 ], 'of which the begin alone is left');
$node->start;
sql("SELECT mulberry.ingest_packets(ARRAY['$place->[2]', '$place->[2]'], '{0,1}', array_fill(decode(repeat('00', 320), 'hex'), '{2}'), NULL, 's16le', 8000)");
card('begun', rate => $rate);
$self = capture('after-begin', spool => 'begun');
wait_for_true($node, q{SELECT count(*) = 1 FROM mulberry.call_status WHERE call_id LIKE 'begun-%' AND state = 'COMPLETED'}, 'a call whose begin alone was kept is complete');
is(finish($self, 'TERM'), 0, 'and the program goes on');
is(sql(q{SELECT total_packets_received || ' ' || missing_count FROM mulberry.call_status WHERE call_id LIKE 'begun-%'}), '2 0', 'with what was posted of it');

# --- a clock that jumps by twenty years --------------------------------------------------------

SKIP:
{
    skip 'a sanitizer wants to be loaded first', 6 if $edge =~ /sanitize/;
    my @jumps = ('env', 'LD_PRELOAD=' . ($ENV{MULBERRY_PROGRAMS} // "$FindBin::RealBin/..") . '/build/libfakeclock.so', "FAKE_CLOCK=$dir/clock");
    spew_raw("$dir/clock", -20 * 365 * 86400);
    $node->stop('immediate');
    samples(20);
    $self = start_capture('jump', [ @jumps, 'sh', '-c', 'exec "$@" <"$0"', "$dir/samples" ], 'stdin:', '--rate', $rate, '--name', 'jump', '--database', $database,
        '--call-encoding', 's16le', '--spool', "$dir/jump", '--spool-free', 0, '--grace', 0);
    is(finish($self), 0, 'recorded while nobody knew what time it was');
    $node->start;
    card('jump', rate => $rate);
    $self = capture('unknown', before => [@jumps]);
    wait_for_true($node, q{SELECT sum(total_packets_received) > 20 FROM mulberry.call_status WHERE call_id LIKE 'unknown-%'}, 'the same over the database');
    spew_raw("$dir/clock", 0);
    wait_for_true($node, q{SELECT sum(total_packets_received) > 60 FROM mulberry.call_status WHERE call_id LIKE 'unknown-%'}, 'and it jumps');
    is(finish($self, 'TERM'), 0, 'also in the middle of a call');
    is(sql(q{SELECT count(sent_at) FROM mulberry.call_packets WHERE call_id LIKE 'unknown-%'}), 0, 'which has no times then, rather than two kinds');
    $self = capture('known', spool => 'jump', before => [@jumps]);
    wait_until_all_is_complete('jump');
    wait_for_true($node, q{SELECT sum(total_packets_received) > 20 FROM mulberry.call_status WHERE call_id LIKE 'known-%'}, 'and a call when it is known');
    is(finish($self, 'TERM'), 0, 'and posted when it was known');
    is(sql(q{SELECT concat_ws(' ', count(sent_at), extract(epoch FROM max(sent_at) - min(sent_at))::float8, max(abs(extract(epoch FROM sent_at - now()))) < 3600) FROM mulberry.call_packets WHERE call_id LIKE 'jump-%'}),
        '1000 19.98 t', 'has the times at which it was recorded after all');
    is(sql(q{SELECT count(*) FILTER (WHERE p.sent_at IS NULL) || ' ' || bool_and(round(1000 * extract(epoch FROM p.sent_at - f.sent_at)) = 20 * p.sequence) FROM mulberry.call_packets p, mulberry.call_packets f WHERE p.call_id LIKE 'known-%' AND f.call_id = p.call_id AND f.sequence = 0}),
        '0 true', 'so has what is recorded then');
}

# --- the bound -------------------------------------------------------------------------------------

$node->stop('immediate');
$self = pour('bound', 120, '--grace', 0, '--spool-size', 2, '--memory', 2);
is(finish($self), 0, 'more than the spool may hold');
my %dropped = map { $_ => 1 } dropped($self->{err});
cmp_ok(scalar(keys %dropped), '>', 1000, 'costs the oldest, and that is said');
my $bytes = 0;
$bytes += -s foreach glob "$dir/bound/*.spool";
cmp_ok($bytes, '<=', 2 * 1024 * 1024, 'the bound holds');
is((last_told($self, qr/dropped (\d+) packets/))[0] >= 1000, 1, 'the status counts them');
$node->start;
card('after', rate => $rate);
$self = capture('after', spool => 'bound');
wait_until_all_is_complete('bound');
is(finish($self, 'TERM'), 0, 'the rest is delivered');
my ($call) = split "\n", sql(q{SELECT call_id FROM mulberry.call_status WHERE call_id LIKE 'bound-%'});
is_deeply([ sort(without({ $call => { map { $_ => 1 } 0 .. 5999 } }, table('bound-%'))) ], [ sort keys %dropped ], 'and what is missing is what was said');
is(sql(q{SELECT state || ' ' || missing_count FROM mulberry.call_status WHERE call_id LIKE 'bound-%'}), 'COMPLETED ' . keys %dropped, 'also in the call');

# --- a damaged byte ---------------------------------------------------------------------------------

$node->stop('immediate');
$self = pour('damaged', 60, '--grace', 0);
is(finish($self), 0, 'a minute in the spool');
$before = ledger('damaged');
my $hit = $before->{at}[ rand @{ $before->{at} } ];
my $within = 4 + int rand 300;
open my $file, '+<:raw', $hit->[0] or die $!;
seek $file, $hit->[1] + $within, 0;
read $file, my $byte, 1;
seek $file, $hit->[1] + $within, 0;
print $file chr(ord($byte) ^ 1 << int rand 8);
close $file or die $!;
$node->start;
$self = capture('behind', spool => 'damaged');
wait_until_all_is_complete('damaged');
is(finish($self, 'TERM'), 0, "byte $within of packet $hit->[3] is damaged");
like($self->{err}, qr/the spool is damaged: \d+ bytes of segment [0-9a-f]{16} cannot be read|was being written/, 'that is said');
is_deeply([ without($before->{packets}, table('damaged-%')) ], ["$hit->[2] $hit->[3]"], 'and all others are delivered');

# --- a disk that takes nothing ------------------------------------------------------------------------

card('read-only', rate => $rate);
mkdir "$dir/read-only";
chmod 0500, "$dir/read-only";
$self = capture('read-only');
wait_for_line($self, qr/the spool's disk takes nothing, could not make a segment: Permission denied; what is captured is kept in memory/);
wait_for_true($node, q{SELECT sum(total_packets_received) > 50 FROM mulberry.call_status WHERE call_id LIKE 'read-only-%'}, 'it goes on');
is(finish($self, 'TERM'), 0, 'a spool that is read-only');
like($self->{err}, qr/its disk takes nothing/, 'is told in the status');
is(sql(q{SELECT state FROM mulberry.call_status WHERE call_id LIKE 'read-only-%'}), 'COMPLETED', 'and the call is complete');
card('full', rate => $rate);
$self = capture('full', before => [ 'sh', '-c', 'ulimit -f 100; exec "$@"', 'sh' ]);
wait_for_line($self, qr/the spool's disk takes nothing, could not take the room of a segment: File too large/);
$node->stop('immediate');
wait_for_line($self, qr/session with the database/);
sleep 1;
$node->start;
wait_for_line($self, qr/the database is back/);
is(finish($self, 'TERM'), 0, 'a spool that is full, and an outage');
is(sql(q{SELECT state FROM mulberry.call_status WHERE call_id LIKE 'full-%'}), 'COMPLETED', 'memory was enough for that');
is(sql(q{SELECT missing_count FROM mulberry.call_status WHERE call_id LIKE 'full-%'}), 0, 'for all of it') unless -e "$cards/full/late";

# --- what is wrong ---------------------------------------------------------------------------------------

my ($status, $out, $err);
wav("$dir/short.wav", $rate, tones($rate, '1'));
my @short = ("file:$dir/short.wav", '--database', $database);
$self = capture('taken');
wait_for_line($self, qr/recording:/);
foreach my $case (
    [ 'a place that is not there', 8, qr/spool "$dir\/no\/such": No such file or directory/, 'capture', @short, '--spool', "$dir/no/such" ],
    [ 'a spool that another process has', 8, qr/another process has it/, 'capture', @short, '--spool', "$dir/taken" ],
    [ 'one that is too small', 2, qr/spool-size/, 'capture', @short, '--spool', "$dir/small", '--spool-size', 1 ],
    [ '--check of a read-only one', 8, qr/spool "$dir\/read-only": Permission denied/, 'capture', @short, '--check', '--spool', "$dir/read-only" ])
{
    my ($name, $expected, $message, @arguments) = @$case;
    ($status, $out, $err) = edge(@arguments);
    is($status, $expected, "$name: exit status");
    like($err, $message, "$name: says why");
}
is(finish($self, 'TERM'), 0, 'it is not disturbed');
IPC::Run::run([ 'sh', '-c', 'ulimit -f 0; exec "$@"', 'sh', $edge, 'capture', @short, '--check', '--spool', "$dir/no-room" ], '<', \'', '>', \$out, '2>', \$err);
is($? >> 8, 7, '--check of a full one: exit status');
like($err, qr/spool "$dir\/no-room": File too large/, '--check of a full one: says why');

done_testing();
