# What supervisors get: the messages of packets and of stored events, to whom
# they go, what is not sent, and how a subscriber that missed something knows
# it and catches up.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use Mulberry::Subscriber;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $default = '6d756c62-6572-7279-8000-000000000001';
my $node = mulberry_cluster('events',
    init => [ extra => [ '--encoding=UTF8', '--locale=C' ] ],
    conf => "mulberry.workers = 0\nmulberry.event_ring_size = 64\nmulberry.grace_period = 0");

sub sql { return $node->safe_psql('postgres', shift) }

# An event that is known by the id of its call.
sub emit
{
    my ($tenant, $name) = @_;
    sql("SELECT mulberry_internal.emit_event('$tenant', 'call_erased', NULL, '$name', '{\"role\": \"tester\"}')");
    return;
}

# Ends what was sent: everything that came before it has come.
my $markers = 0;

sub marker
{
    my $name = 'marker_' . ++$markers;
    emit($default, $name);
    return $name;
}

sub without_markers { return grep { ($_->{call_id} // '') !~ /^marker_/ } @_ }

# A message says when it happened, in the one form that all have.
sub is_time
{
    my ($said, $query, $what) = @_;
    is($said->{time}, sql(qq(SELECT to_char(($query) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))), $what);
    return;
}

sub is_recent
{
    my ($said, $what) = @_;
    like($said->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/, "$what carries its time");
    is(sql("SELECT '$said->{time}'::timestamptz BETWEEN now() - interval '10 minutes' AND now()"), 't', '... which is that of sending');
    return;
}

my $subscriber = Mulberry::Subscriber->new($node);
sql("SELECT mulberry.ingest_packet('warm-up', 0, 'x', NULL, 'text')");
$subscriber->take_until_call(marker());

# ---- messages of packets ----

sql("SELECT mulberry.ingest_packet('call-1', 0, 'x', NULL, 'text')");
my ($message) = $subscriber->take_until_event('packet_received');
is_time($message, q(SELECT max(received_at) FROM mulberry_internal.packets), 'a packet carries the time at which it came');
delete $message->{time};
is_deeply(
    { map { $_ => $message->{$_} } grep { !/^_/ } keys %$message },
    {
        event => 'packet_received', call_id => 'call-1', tenant => 'default', sequence => 0,
        total_received => 1, missing_count => 0, missing_sequences => [], missing_ranges => [], packets => 1,
    },
    'a packet has the fields of VoiceStream, and no number');

sql("SELECT mulberry.ingest_packet('call-1', 5, 'x')");
($message) = $subscriber->take_until_event('packet_received');
is_deeply([ @{$message}{qw(sequence total_received missing_count missing_sequences missing_ranges)} ],
    [ 5, 2, 4, [ 1, 2, 3, 4 ], [ [ 1, 4 ] ] ], 'what is missing is named');

sql("SELECT mulberry.ingest_packet('call-1', 1000, 'x')");
($message) = $subscriber->take_until_event('packet_received');
is(scalar @{ $message->{missing_sequences} }, 100, 'at most 100 missing sequences are listed');
is_deeply($message->{missing_ranges}, [ [ 1, 4 ], [ 6, 999 ] ], 'the ranges tell all');

sql("SELECT mulberry.ingest_packet('call-1', 5, 'x')");
($message) = $subscriber->take_until_event('packet_duplicate');
is_deeply([ @{$message}{qw(call_id sequence total_received)} ], [ 'call-1', 5, 3 ], 'a duplicate is announced');

sql("BEGIN; SELECT mulberry.ingest_packet('ranges', 2 * i, 'x', NULL, 'text') FROM generate_series(0, 200) i; COMMIT");
($message) = $subscriber->take_until_event('packet_received');
is(scalar @{ $message->{missing_ranges} }, 100, 'at most 100 ranges are listed');
is($message->{missing_count}, 200, 'the count is right all the same');

# a track has numbers of its own, as the sender counts, and messages of its own
sql("SELECT mulberry.ingest_packet('tracks', 0, 'x', NULL, 'text')");
($message) = $subscriber->take_until_event('packet_received');
ok(!exists $message->{track}, 'the only track of a call has no name');
sql("SELECT mulberry.ingest_packets('{tracks,tracks}', '{0,7}', '{a,b}', tracks => '{agent}')");
($message) = $subscriber->take_until_event('packet_received');
is_deeply([ @{$message}{qw(call_id track sequence total_received missing_count packets)} ], [ 'tracks', 'agent', 7, 2, 6, 2 ],
    'a track is told apart from the first');
sql("SELECT mulberry.ingest_packet('tracks', 1, 'x')");
($message) = $subscriber->take_until_event('packet_received');
is_deeply([ @{$message}{qw(call_id track sequence total_received missing_count)} ], [ 'tracks', undef, 1, 2, 0 ], '... which goes on');
sql("SELECT mulberry.ingest_packets('{tracks,tracks}', '{65535,1}', '{a,b}', tracks => '{rtp}', counter_bits => 16)");
($message) = $subscriber->take_until_event('packet_received');
is_deeply([ @{$message}{qw(track sequence missing_sequences missing_ranges)} ], [ 'rtp', 65537, [65536], [ [ 65536, 65536 ] ] ],
    'a counter is told unwrapped');

# tracks whose packets come in one tick are not put together
$subscriber->take_until_call(marker());
my $sleeping = backend_pid($node, 'mulberry notifier');
stop_process($node, $sleeping);
sql("SELECT mulberry.ingest_packet('tracks', 2, 'x')");
sql("SELECT mulberry.ingest_packet('tracks', 8, 'x', track => 'agent')");
kill 'CONT', $sleeping;
is_deeply([ map { [ @{$_}{qw(track sequence packets)} ] } without_markers($subscriber->take_until_call(marker())) ],
    [ [ undef, 2, 1 ], [ 'agent', 8, 1 ] ], 'two tracks of a call have two messages, also in one tick');

# ---- a transaction's messages ----

sql(<<"SQL");
BEGIN;
SELECT mulberry.ingest_packet('call-2', i, 'x', NULL, 'text') FROM generate_series(0, 9) i;
SELECT mulberry.ingest_packet('call-3', 0, 'x', NULL, 'text');
COMMIT
SQL
my @received = without_markers($subscriber->take_until_call(marker()));
is_deeply([ map { [ @{$_}{qw(call_id sequence total_received packets)} ] } @received ],
    [ [ 'call-2', 9, 10, 10 ], [ 'call-3', 0, 1, 1 ] ], 'a transaction sends one message a call, the last state');

sql("BEGIN; SELECT mulberry.ingest_packet('call-4', 0, 'x', NULL, 'text'); ROLLBACK");
is(scalar without_markers($subscriber->take_until_call(marker())), 0, 'what is rolled back is not announced');

sql(<<"SQL");
BEGIN;
SELECT mulberry.ingest_packet('call-5', 0, 'x', NULL, 'text');
SAVEPOINT a;
SELECT mulberry.ingest_packet('call-5', 1, 'x');
SELECT mulberry.ingest_packet('call-6', 0, 'x', NULL, 'text');
ROLLBACK TO a;
SAVEPOINT b;
SELECT mulberry.ingest_packet('call-7', 0, 'x', NULL, 'text');
SAVEPOINT c;
SELECT mulberry.ingest_packet('call-7', 1, 'x');
RELEASE c;
RELEASE b;
COMMIT
SQL
@received = without_markers($subscriber->take_until_call(marker()));
is_deeply([ map { [ @{$_}{qw(call_id sequence total_received packets)} ] } @received ],
    [ [ 'call-5', 0, 1, 1 ], [ 'call-7', 1, 2, 2 ] ], 'a savepoint takes its packets along, a released one hands them on');

sql(<<"SQL");
DO \$\$
BEGIN
    FOR i IN 0 .. 20 LOOP
        BEGIN
            PERFORM mulberry.ingest_packet('call-8', i, 'x', NULL, 'text');
            IF i % 2 = 1 THEN RAISE division_by_zero; END IF;
        EXCEPTION WHEN division_by_zero THEN NULL;
        END;
    END LOOP;
END
\$\$
SQL
@received = without_markers($subscriber->take_until_call(marker()));
is_deeply([ map { [ @{$_}{qw(call_id sequence packets)} ] } @received ], [ [ 'call-8', 20, 11 ] ],
    'blocks with exceptions count what stayed');

# Ticks: the first message goes at once, what follows within the interval is put together.
$node->append_conf('postgresql.conf', "mulberry.event_interval = '8s'");
$node->reload;
wait_for_setting($node, 'mulberry.event_interval', '8s');
sql("SELECT mulberry.ingest_packet('ticks', 0, 'x', NULL, 'text')");
$subscriber->take_until(sub { ($_->{call_id} // '') eq 'ticks' });
# one session, five transactions
sql(join ";\n", map { "SELECT mulberry.ingest_packet('ticks', $_, 'x')" } 1 .. 5);
@received = grep { ($_->{call_id} // '') eq 'ticks' } $subscriber->take_until_call(marker());
is_deeply([ map { [ @{$_}{qw(sequence packets)} ] } @received ], [ [ 5, 5 ] ], 'transactions of one tick are put together');
$node->append_conf('postgresql.conf', "mulberry.event_interval = '5ms'");
$node->reload;
wait_for_setting($node, 'mulberry.event_interval', '5ms');

# ---- stored events ----

my $before = sql("SELECT last_seq FROM mulberry_internal.event_counters WHERE tenant = '$default'");
sql("SELECT mulberry.ingest_packet('stored', 0, 'x', NULL, 'text')");
sql("SELECT mulberry.complete_call('stored', 1)");
@received = $subscriber->take_until_event('state_changed');
is_deeply([ @{ $received[-1] }{qw(call_id from_state to_state seq prev)} ],
    [ 'stored', 'IN_PROGRESS', 'COMPLETED', $before + 1, $before ], 'a change of state carries its number and the one before');
is_time($received[-1], "SELECT created_at FROM mulberry_internal.events WHERE seq = $before + 1 AND tenant = '$default'",
    '... and the time at which it happened');
sql("SELECT mulberry_internal.start_processing(id) FROM mulberry_internal.calls WHERE call_id = 'stored'");
sql("SELECT mulberry.ingest_packet('stored', 1, 'x')");
ok((grep { $_->{event} eq 'packet_rejected' && $_->{call_id} eq 'stored' } $subscriber->take_until_event('packet_rejected')),
    'a rejected packet is announced');

sql(<<"SQL");
SELECT mulberry_internal.emit_event('$default', 'ai_completed', NULL, 'long', jsonb_build_object('transcription',
           repeat('h\x{c3}\x{a4}llo ', 3000), 'sentiment', 'positive', 'missing_packets', 0, 'missing_ranges', '[]'::jsonb))
SQL
($message) = ($subscriber->take_until_call('long'))[-1];
cmp_ok($message->{_bytes}, '<', 8000, 'a long message is cut to what NOTIFY takes');
cmp_ok($message->{_bytes}, '>', 7500, 'and not more than needed');
ok($message->{truncated}, 'it says so');
is($message->{sentiment}, 'positive', 'its small fields are whole');
is(index("h\x{e4}llo " x 3000, $message->{transcription}), 0, 'its text is cut between characters');
is( sql("SELECT length(message->>'transcription') FROM mulberry.events_since($message->{prev}, 1)"),
    18000, 'events_since() has it whole');

# A session sees its own event at once, although the notifier numbers.
# It waits a second at most, for which a busy machine may keep the notifier from running; not three times.
my $mine = 'f';
for my $try (1 .. 3)
{
    last if $mine eq 't';
    $mine = sql(<<"SQL");
SELECT mulberry_internal.emit_event('$default', 'call_erased', NULL, 'mine_$try', '{"role": "tester"}') \\g /dev/null
SELECT bool_or(call_id = 'mine_$try') FROM mulberry.events_since(0, 10000)
SQL
}
is($mine, 't', 'events_since() waits for the numbers of what was committed before');

# ---- who hears what ----

sql(<<"SQL");
SELECT mulberry.create_tenant('clinic');
CREATE ROLE listener LOGIN; CREATE ROLE other_listener LOGIN; CREATE ROLE stranger LOGIN;
SELECT mulberry.grant_access('listener', 'supervisor', 'clinic');
SELECT mulberry.grant_access('other_listener', 'supervisor', 'clinic');
SQL
my $clinic = sql("SELECT id FROM mulberry_internal.tenants WHERE name = 'clinic'");
my $listener = Mulberry::Subscriber->new($node, role => 'listener', subscribe => 0);
my $other = Mulberry::Subscriber->new($node, role => 'other_listener', subscribe => 0);
my $answer = $listener->subscribe;
is_deeply([ keys %$answer ], ['clinic'], 'subscribe() takes the tenants of the role');
$other->subscribe;
$subscriber->subscribe;    # the owner hears the new tenant as well from now on
$subscriber->take;
$subscriber->take_until_call(marker());
sql("SELECT mulberry.ingest_packet('theirs', 0, 'x', NULL, 'text', tenant => 'clinic')");
sql("SELECT mulberry.ingest_packet('ours', 0, 'x', NULL, 'text', tenant => 'default')");
emit($clinic, 'end');
@received = $listener->take_until_call('end');
is_deeply([ map { $_->{call_id} // $_->{event} } @received ], [ 'theirs', 'end' ], 'a role hears its tenants only');
is($received[-1]{seq}, 1, 'whose events have numbers of their own');
@received = $subscriber->take_until_call('end');
is_deeply([ sort map { $_->{call_id} // () } @received ], [ 'end', 'ours', 'theirs' ], 'the owner hears all');

# revoke_access(): a last word on the old channel, silence for who was revoked, and a way back for the rest
my $old_channel = $answer->{clinic}{channel};
sql("SELECT mulberry.revoke_access('other_listener', 'supervisor', 'clinic')");
($message) = ($listener->take_until_event('resubscribe'))[-1];
is($message->{_channel}, $old_channel, 'the last word comes on the old channel');
is_recent($message, 'resubscribe');
my $new_channel = $listener->subscribe->{clinic}{channel};
isnt($new_channel, $old_channel, 'the tenant has another channel');
emit($clinic, 'after revocation');
($message) = ($listener->take_until_call('after revocation'))[-1];
is($message->{_channel}, $new_channel, 'who may hear it goes on hearing');
$other->query('SELECT pg_sleep(0.1);');
is_deeply([ map { $_->{call_id} // $_->{event} } grep { $_->{event} ne 'packet_received' } $other->take ], [ 'end', 'resubscribe' ],
    'who was revoked hears nothing more');
is($listener->query('SELECT count(*) FROM pg_listening_channels();'), 1, 'the old channel is given up');

# ---- catching up ----

$listener->query('SELECT mulberry.unsubscribe();');
my $last = sql("SELECT last_seq FROM mulberry_internal.event_counters WHERE tenant = '$clinic'");
emit($clinic, "missed_$_") for 1 .. 3;
$subscriber->subscribe;
$subscriber->take_until_call(marker());    # whatever the notifier had to send before is sent now
$listener->take;
$answer = $listener->subscribe;
emit($clinic, 'heard');
($message) = ($listener->take_until_call('heard'))[-1];
cmp_ok($message->{prev}, '>', $last, 'who was away sees it by the number before');
is($listener->query("SELECT string_agg(call_id, ' ' ORDER BY seq) FROM mulberry.events_since($last) WHERE seq <= $message->{prev};"),
    'missed_1 missed_2 missed_3', 'and finds what it missed');

# ---- overflow ----

# More calls in a transaction than the ring has room for.
$subscriber->take_until_call(marker());
sql("BEGIN; SELECT mulberry.ingest_packet('many-' || i, 0, 'x', NULL, 'text') FROM generate_series(1, 100) i; COMMIT");
@received = $subscriber->take_until_call(marker());
my ($resync) = grep { $_->{event} eq 'resync' && $_->{tenant} eq 'default' } @received;
is($resync && $resync->{dropped}, 36, 'who cannot be told everything is told so');
is_recent($resync, 'resync');
is(scalar(grep { $_->{event} eq 'packet_received' } @received), 64, 'what there was room for is sent');

# More transactions than it has room for, while the notifier stands still.
my $notifier = backend_pid($node, 'mulberry notifier');
stop_process($node, $notifier);
sql("SELECT mulberry.ingest_packet('each-$_', 0, 'x', NULL, 'text')") for 1 .. 66;
my $stored = marker();
is(sql('SELECT waiting FROM mulberry_internal.packet_event_statistics()'), 64, 'the ring fills and no further');
kill 'CONT', $notifier;
@received = $subscriber->take_until_call($stored);
($resync) = grep { $_->{event} eq 'resync' && $_->{tenant} eq 'default' } @received;
is($resync && $resync->{dropped}, 2, 'a notifier that was late says what was lost');
like(sql('SELECT dropped FROM mulberry_internal.packet_event_statistics()'), qr/^38$/, 'the statistics say so, too');

# ---- numbers under load ----

# Each client knows the order of its own events; whole transactions roll back.
my $script = PostgreSQL::Test::Utils::tempdir() . '/events.sql';
PostgreSQL::Test::Utils::append_to_file($script, <<'SQL');
\set abort random(1, 4)
BEGIN;
SELECT mulberry_internal.emit_event('6d756c62-6572-7279-8000-000000000001', 'call_erased', NULL, 'load',
                           jsonb_build_object('role', 'client ' || :client_id));
\if :abort = 1
ROLLBACK;
\else
COMMIT;
\endif
SQL
$node->command_ok([ 'pgbench', '-n', '-c', '8', '-j', '2', '-t', '150', '-f', $script, 'postgres' ], 'events under load');
sql("SELECT count(*) FROM mulberry.events_since(0, 1)");
is( sql("SELECT count(*) = max(seq) AND count(*) = count(DISTINCT seq) AND min(seq) = 1 FROM mulberry_internal.events WHERE tenant = '$default'"),
    't', 'numbers have no gaps');
is( sql(<<"SQL"), 0, 'who comes after a commit gets a larger number');
SELECT count(*)
  FROM (SELECT seq, lag(seq) OVER (PARTITION BY payload->'role' ORDER BY created_at) AS before
          FROM mulberry_internal.events WHERE call_id = 'load') e
 WHERE before > seq
SQL
my $top = sql("SELECT max(seq) FROM mulberry_internal.events WHERE tenant = '$default'");
@received = $subscriber->take_until(sub { ($_->{seq} // 0) == $top && $_->{tenant} eq 'default' });
my $breaks = 0;
my $previous;
for (grep { defined $_->{seq} && $_->{tenant} eq 'default' } @received)
{
    $breaks++ if defined $previous && $_->{prev} != $previous;
    $previous = $_->{seq};
}
is($breaks, 0, 'a subscriber that listens all the time misses none');

# ---- rest ----

ok( $node->poll_query_until('postgres', <<'SQL'), 'a notifier that sleeps holds neither snapshot nor transaction');
SELECT wait_event_type = 'Extension' AND backend_xmin IS NULL AND backend_xid IS NULL AND xact_start IS NULL
  FROM pg_stat_activity WHERE backend_type = 'mulberry notifier'
SQL

$_->quit for $subscriber, $listener, $other;
$node->stop;
done_testing();
