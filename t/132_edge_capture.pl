# "mulberry-edge capture" from a sound card that is paced by a clock and fails on command (test/edge/fakemic.c): each sample of it
# tells when it was recorded, so that it can be said of every one in the database whether it is where it belongs, also behind overruns, a
# machine that slept, a card that was unplugged, and a database that was away, stood still, or was away for too long.
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
use Time::HiRes qw(sleep time);

my $dir = tempdir(CLEANUP => 1);
my $node = mulberry_cluster('edge_capture', preload => 0);
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE pi LOGIN; SELECT mulberry.grant_access('pi', 'ingest')});
my $database = $node->connstr('postgres') . ' user=pi';

# Begins to capture; the calls that come of it have ids that begin with the name.
sub capture
{
    my ($name, @flags) = @_;
    return start_capture($name, 'alsa:mic', '--name', $name, '--database', $database, '--batch', 100, '--grace', 300, '--call-encoding', 's16le', @flags);
}

# Waits until the server has so many packets more than it had.
sub wait_for_packets
{
    my ($self, $more) = @_;
    my $count = "SELECT coalesce(sum(total_packets_received), 0) FROM mulberry.call_status WHERE call_id LIKE '$self->{name}-%'";
    my $now = sql($count);
    wait_for_true($node, "SELECT ($count) >= $now + $more", "$more more packets have come");
}

# What the packets of a track say of themselves.
sub places
{
    my ($name, $track) = @_;
    return places_of(sql("SELECT sequence, encode(data, 'hex') FROM mulberry.call_packets WHERE call_id LIKE '$name-%'" . ($track ? " AND track = '$track'" : '') . ' ORDER BY sequence'),
        ($track // '') eq 'right');
}

# Whether the machine was so busy that a second of the card's buffer was not enough, by the card itself, or the ring. Only
# then may something be missing.
sub machine_lost { my ($self) = @_; return -e "$cards/$self->{name}/late" || (last_told($self, qr/late (\d+) samples/))[0] > 0 }
sub lost { my ($self) = @_; return (last_told($self, qr/lost ([\d.]+) s/))[0] }

sub status_of { my ($name) = @_; return sql("SELECT state || ' ' || missing_count FROM mulberry.call_status WHERE call_id LIKE '$name-%'") }

# Waits until the row that a capture keeps says so.
sub wait_for_row { my ($name, $what) = @_; wait_for_true($node, "SELECT bool_or($what) FROM mulberry.edge_status WHERE name = '$name' AND program = 'capture'", "its row says $what"); }

# --- sample by sample ---------------------------------------------------------------

card('clean', rate => 8000);
my $self = capture('clean', '--seconds', 3);
is(finish($self), 0, 'three seconds');
my $places = places('clean');
is($places->{packets} + $places->{mixed}, sql(q{SELECT count(*) FROM mulberry.call_packets WHERE call_id LIKE 'clean-%'}), 'each packet was looked at');
SKIP:
{
    skip 'the machine is too busy', 4 if machine_lost($self);
    is(lost($self), '0.000', 'nothing is lost');
    cmp_ok($places->{packets}, '>=', 150, 'are 150 packets');
    is($places->{shifts}, 1, 'in which each sample is where it belongs');
    is(status_of('clean'), 'COMPLETED 0', 'and the call is complete');
}
like(sql(q{SELECT call_id FROM mulberry.call_status WHERE call_id LIKE 'clean-%'}), qr/^clean-\d{8}T\d{6}Z-[0-9a-f]+-[0-9a-f]{8}$/, 'its id tells when it began, and has a part by chance');
like($self->{err}, qr/departures 0, short reads \d+, late \d+ samples/, 'and what befell it');
like($self->{err}, qr/heard \d\.\d+ s, .* call none; database connected; acknowledged \d+/, 'it says how it went');
my ($sent_first, $sent_last) = split /\|/, sql(q{SELECT extract(epoch FROM min(sent_at)), extract(epoch FROM max(sent_at)) FROM mulberry.call_packets WHERE call_id LIKE 'clean-%'});
cmp_ok(abs($sent_last - $sent_first - (sql(q{SELECT max(sequence) FROM mulberry.call_packets WHERE call_id LIKE 'clean-%'}) * 0.02)), '<', 0.001, 'times are those of the recording');

foreach my $case ([ 'S24_3LE', 8000 ], [ 'S32_LE', 8000 ])
{
    my ($format, $rate) = @$case;
    card($format, rate => $rate, format => $format, channels => 2);
    $self = capture($format, '--seconds', 1, '--channels', 2);
    is(finish($self), 0, "$format, two channels");
    cmp_ok(places($format, $_)->{packets}, '>', 0, "$format: $_ has come") for qw(left right);
    next if machine_lost($self);
    is(lost($self), '0.000', "$format: nothing is lost");
    is(places($format, $_)->{shifts}, 1, "$format: each sample of $_ is where it belongs") for qw(left right);
}
card('wide', rate => 48000, channels => 2, format => 'U8');
$self = capture('wide', '--seconds', 1, '--call-encoding', 'mulaw');
is(finish($self), 0, '8 bits, at 48,000 Hz, the first of two channels');
like($self->{err}, qr/recording: U8, 48000 Hz, 1 of 2 channels/, 'says what it found');
is(sql(q{SELECT concat_ws(' ', encoding, sample_rate) FROM mulberry.call_status WHERE call_id LIKE 'wide-%'}), 'mulaw 8000', 'becomes what calls are');

# --- what is lost is a gap of its length ---------------------------------------------

my $card = card('faults', rate => 8000);
$self = capture('faults');
wait_for_packets($self, 50);
touch("$card/overrun");
wait_for_packets($self, 60);
touch("$card/suspended");
sleep 1.2;
unlink "$card/suspended";
wait_for_packets($self, 60);
touch("$card/unplugged");
wait_for_line($self, qr/the device is away/);
wait_for_row('faults', q{state = 'device away' AND overruns >= 1 AND suspends = 1 AND departures = 1 AND lost > 1 AND call_id LIKE 'faults-%' AND role = 'pi'});
unlink "$card/unplugged";
wait_for_line($self, qr/the device is back/);
wait_for_packets($self, 60);
kill 'STOP', $self->{pid};    # much longer than the card's buffer
sleep 4;
kill 'CONT', $self->{pid};
wait_for_packets($self, 60);
kill 'USR1', $self->{pid};
wait_for_line($self, qr/recording; heard/);
is(finish($self, 'TERM'), 0, 'a card that fails in each way');
is(sql(q{SELECT concat_ws(' ', state, device LIKE 'S16_LE, 8000 Hz, 1 of 1 channels, %', call_id, waiting, dropped, problem, acknowledged = (SELECT sum(total_packets_received) FROM mulberry.call_status WHERE call_id LIKE 'faults-%'), heard > 5, version) FROM mulberry.edge_status WHERE name = 'faults'}),
    'ended t 0 0 t t ' . sql(q{SELECT extversion FROM pg_extension WHERE extname = 'mulberry'}), 'the row in the database says how it ended');
my ($overruns, $suspends, $departures) = last_told($self, qr/overruns (\d+), suspends (\d+), departures (\d+)/);
cmp_ok($overruns, '>=', 2, 'overruns are counted');
is($suspends, 1, 'so is that it slept');
is($departures, 1, 'and that it was away');
$places = places('faults');
cmp_ok($places->{packets}, '>', 250, 'what was heard is there');
cmp_ok(abs $places->{farthest}, '<', 400, 'and all of it where it belongs, within 50 ms');
cmp_ok($places->{mixed}, '<=', 2 * ($overruns + $suspends + $departures), 'but for the ends of gaps');
my ($state, $missing) = split / /, status_of('faults');
is($state, 'COMPLETED', 'the call is complete');
cmp_ok($missing, '>', 150, 'with what is missing told as missing');
cmp_ok(sql(q{SELECT count(*) FROM (SELECT unnest(missing_sequences) FROM mulberry.call_status WHERE call_id LIKE 'faults-%') AS gaps}), '>=', 3, 'in gaps');

# --- the database ----------------------------------------------------------------------

card('away', rate => 8000);
$self = capture('away', '--memory', 600);
wait_for_packets($self, 20);
$node->stop('immediate');
wait_for_line($self, qr/the session with the database|no session with the database/);
sleep 2;
$node->start;
wait_for_line($self, qr/the database is back/);
wait_for_packets($self, 50);
my ($backend) = split "\n", sql(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'mulberry-edge'});
kill 'STOP', $backend;
sleep 3;
kill 'CONT', $backend;
wait_for_packets($self, 50);
is(finish($self, 'TERM'), 0, 'a database that was away, and one that stood still');
$places = places('away');
SKIP:
{
    skip 'the machine is too busy', 4 if machine_lost($self);
    is(lost($self), '0.000', 'nothing of the card is lost');
    is($places->{mixed}, 0, 'nor silence in its place');
    is(status_of('away'), 'COMPLETED 0', 'lose nothing');
    is($places->{shifts}, 1, 'and each sample is where it belongs');
}

card('long', rate => 8000);
$self = capture('long', '--memory', 1);
wait_for_packets($self, 20);
$node->stop('immediate');
wait_for_line($self, qr/session with the database/);
sleep 4;
$node->start;
wait_for_line($self, qr/the database is back/);
wait_for_packets($self, 50);
is(finish($self, 'TERM'), 0, 'a database that is away for longer than the memory lasts');
my ($dropped) = last_told($self, qr/dropped (\d+) packets/);
cmp_ok($dropped, '>', 0, 'costs what is oldest, and that is said');
cmp_ok(abs places('long')->{farthest}, '<', 400, 'what is there is where it belongs');
($state, $missing) = split / /, status_of('long');
cmp_ok($missing, '>=', $dropped, 'what is not there is missing');

is(sql(q{SELECT concat_ws(' ', dropped, dropped_at IS NOT NULL, problem) FROM mulberry.edge_status WHERE name = 'long'}), "$dropped t", 'the row says that as well');

# nobody speaks, and the row is there all the same, also behind an outage
card('idle', rate => 8000);
$self = capture('idle', '--gate', 'dtmf');
wait_for_row('idle', q{state = 'recording' AND call_id IS NULL});
$node->stop('immediate');
wait_for_line($self, qr/session with the database/);
$node->start;
sql('CREATE TABLE restarted AS SELECT clock_timestamp() AS at');
wait_for_row('idle', q{reported_at > (SELECT at FROM restarted)});
is(finish($self, 'TERM'), 0, 'a capture that hears nothing keeps its row');

# whoever holds the row holds up nobody
my $holder = $node->background_psql('postgres');
$holder->query_safe(q{BEGIN; SELECT FROM mulberry_internal.edge_programs WHERE name = 'idle' FOR UPDATE});
card('held', rate => 8000);
$self = capture('idle');
wait_for_line($self, qr/the status cannot be reported: canceling statement due to lock timeout/);
wait_for_packets($self, 100);
is(finish($self, 'TERM'), 0, 'a row that somebody holds');
$holder->quit;

# --- calls that begin with what is heard ----------------------------------------------

my $twice = [ @{ tones(8000, '15') }, (0) x 24000, @{ tones(8000, '9#') }, (0) x 24000 ];
wav("$dir/twice.wav", 8000, $twice);
my ($status, $out, $err) = edge('capture', "file:$dir/twice.wav", '--gate', 'dtmf', '--hangover', 2, '--name', 'gate', '--database', $database);
is($status, 0, 'digits begin calls');
is(sql(q{SELECT string_agg((SELECT string_agg(digit, '' ORDER BY start_ms) FROM mulberry.call_dtmf(c.call_id)), ' ' ORDER BY c.call_id) FROM mulberry.call_status c WHERE call_id LIKE 'gate-%' AND state = 'COMPLETED' AND missing_count = 0}), '15 9#', 'each with those that belong to it, the first one, too');

($status, $out, $err) = edge('capture', "file:$dir/twice.wav", '--track', 'caller', '--from', '+12025550123', '--direction', 'inbound', '--name', 'named', '--database', $database);
is($status, 0, 'a track has a name');
is(sql(q{SELECT concat_ws(' ', tracks, state, direction, from_number) FROM mulberry.calls() WHERE call_id LIKE 'named-%'}), '{caller} COMPLETED inbound +12025550123', 'and its call what is known of it');

# a file is not live, and waits for the database
wav("$dir/minute.wav", 8000, [ map { $_ * 7919 % 65536 - 32768 } 1 .. 480_000 ]);
($status, $out, $err) = edge('capture', "file:$dir/minute.wav", '--memory', 2, '--name', 'minute', '--database', $database);
is($status, 0, 'a file that is read faster than it is posted');
is(sql(q{SELECT concat_ws(' ', state, total_packets_received, missing_count) FROM mulberry.call_status WHERE call_id LIKE 'minute-%'}), 'COMPLETED 3000 0', 'is posted as a whole') or diag $err;

# what cannot be read any further has ended, and does not begin anew
($status, $out, $err) = edge({ input => pack('s<*', @$twice) . 'x' }, 'capture', 'stdin:', '--rate', 8000, '--name', 'half', '--database', $database);
is($status, 6, 'half a sample at the end is said');
like($err, qr/stdin: ends within a sample/, 'in words');
unlike($err, qr/away/, 'and nothing is waited for');
is(sql(q{SELECT string_agg(state, ' ') FROM mulberry.call_status WHERE call_id LIKE 'half-%'}), 'COMPLETED', 'what came before it is a call');

# --- what is wrong ----------------------------------------------------------------------

wav("$dir/pair.wav", 8000, tones(8000, '1'), tones(8000, '2'));
$card = card('wrong', rate => 8000);
touch("$card/busy");
my @cases = ([ 'a card that is in use', 4, qr/in use by another program/, 'alsa:mic' ], [ 'a card that is not there', 3, qr/there is no such device/, 'alsa:none' ]);
foreach my $case (@cases)
{
    my ($name, $expected, $message, @arguments) = @$case;
    ($status, $out, $err) = edge('capture', @arguments, '--database', $database);
    is($status, $expected, "$name: exit status");
    like($err, qr/^mulberry-edge: [^\n]+\n\z/, "$name: one line");
    like($err, $message, "$name: says why");
}
unlink "$card/busy";
foreach my $case (
    [ 'a rate that it has not got', 6, qr/has no 16000 Hz, the nearest is 8000/, 'alsa:mic', '--rate', 16000 ],
    [ 'channels that it has not got', 6, qr/has not got 2 channels/, 'alsa:mic', '--channels', 2 ],
    [ 'a gate that is none', 2, qr/gate: must be off, voice or dtmf/, 'alsa:mic', '--gate', 'closed' ],
    [ 'an encoding that is none', 2, qr/call-encoding: must be/, 'alsa:mic', '--call-encoding', 'mp3' ],
    [ 'more tracks than channels', 2, qr/there are 1 channels, and 2 tracks are named/, 'alsa:mic', '--track', 'a', '--track', 'b' ],
    [ 'a track twice', 2, qr/each channel needs a track of its own/, "file:$dir/pair.wav", '--track', 'a', '--track', 'a' ],
    [ 'no device', 2, qr/capture needs a device/ ])
{
    my ($name, $expected, $message, @arguments) = @$case;
    ($status, $out, $err) = edge('capture', @arguments, '--database', $database);
    is($status, $expected, "$name: exit status");
    like($err, $message, "$name: says why");
}
($status, $out, $err) = edge('capture', 'alsa:mic', '--database', "$database user=stranger");
is($status, 9, 'a role that is none ends it at once');

done_testing();
