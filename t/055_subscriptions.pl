# Subscriptions to some of the events: of calls, of kinds, of a tenant.  Who has one gets what it wants and
# nothing else, knows when it missed something of that, and leaves nothing behind; and whoever comes through a
# pooler of transactions, which loses events, is told so.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IO::Socket::UNIX;
use Mulberry::Cluster;
use Mulberry::Subscriber;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# with sessions events would be numbered many at a time, and then those of different tenants come in another order
my $node = mulberry_cluster('subscriptions', sessions => 0, conf => "mulberry.workers = 0\nmulberry.grace_period = 0");

sub sql { return $node->safe_psql('postgres', shift) }

sql(q{SELECT mulberry.create_tenant('north'); SELECT mulberry.create_tenant('south')});

# An event that is known by the id of its call.
sub emit
{
    my ($tenant, @calls) = @_;
    sql(<<"SQL") foreach @calls;
SELECT mulberry_internal.emit_event(id, 'call_erased', NULL, '$_', '{"role": "tester"}') FROM mulberry_internal.tenants WHERE name = '$tenant'
SQL
    return;
}

sub packet
{
    my ($tenant, $call, $sequence) = @_;
    sql("SELECT mulberry.ingest_packet('$call', $sequence, 'x', NULL, 'text', tenant => '$tenant')");
    return;
}

# What a session has heard, after everything that was sent before: NOTIFY keeps the order.
my $all = Mulberry::Subscriber->new($node);
my $markers = 0;

sub heard
{
    my @sessions = @_;
    my $marker = 'marker' . ++$markers;
    emit('north', $marker);
    $all->take_until_call($marker);
    my @heard;
    foreach my $session (@sessions)
    {
        $session->query('SELECT;');
        push @heard, [ grep { $_->{event} ne 'resync' && ($_->{call_id} // '') !~ /^marker/ } $session->take ];
    }
    return wantarray ? @heard : $heard[0];
}

sub session { return Mulberry::Subscriber->new($node, subscribe => 0) }
sub names { return [ map { "$_->{event} " . ($_->{call_id} // '') } @{ $_[0] } ] }

# ---- each gets what it wants ----

my ($of_call, $of_kind, $of_both, $of_packets) = map { session() } 1 .. 4;
$of_call->subscribe('north', calls => '{mine,later}');
$of_kind->subscribe('north', kinds => '{state_changed,packet_rejected}');
$of_both->subscribe('north', calls => '{mine}', kinds => '{state_changed}');
$of_packets->subscribe('north', calls => '{other}', kinds => '{packet_received}');
packet('north', $_, 0) foreach qw(mine other);
packet('south', 'mine', 0);
sql("SELECT mulberry.complete_call('$_', 1, 'north')") foreach qw(mine other);
packet('north', 'mine', 0);
sql("SELECT mulberry_internal.start_processing(id) FROM mulberry_internal.calls WHERE call_id = 'mine' AND state = 'COMPLETED'");
packet('north', 'mine', 1);
packet('north', 'later', 0);
emit('north', 'mine', 'third');
my @got = heard($of_call, $of_kind, $of_both, $of_packets);
is_deeply(names($got[0]),
    [ 'packet_received mine', 'state_changed mine', 'packet_duplicate mine', 'state_changed mine', 'packet_rejected mine', 'packet_received later', 'call_erased mine' ],
    'who names calls hears of them, of one that began later as well, and of no other tenant');
is_deeply(names($got[1]), [ 'state_changed mine', 'state_changed other', 'state_changed mine', 'packet_rejected mine' ], 'who names kinds hears those');
is_deeply(names($got[2]), [ 'state_changed mine', 'state_changed mine' ], 'who names both hears what is both');
is_deeply(names($got[3]), ['packet_received other'], 'packets of other calls are not sent');
is_deeply([ map { scalar keys %{ { map { $_->{_channel} => 1 } @$_ } } } @got ], [ 1, 1, 1, 1 ], 'each on one channel');
is(scalar keys %{ { map { $_->{_channel} => 1 } map { @$_ } @got } }, 4, '... of its own');

# subscriptions of a session add up
$of_both->subscribe('north', calls => '{third}');
emit('north', 'third');
packet('south', 'third', 0);
is_deeply(names(heard($of_both)), ['call_erased third'], 'another subscription of a session is heard as well');

# in all tenants that the role hears
my $everywhere = session();
is_deeply([ sort keys %{ $everywhere->subscribe(undef, kinds => '{call_erased}') } ], [ 'default', 'north', 'south' ], 'a filter counts for every tenant');
emit('south', 'there');
emit('north', 'here');
is_deeply(names(heard($everywhere)), [ 'call_erased there', 'call_erased here' ], 'from which it hears');

# ---- what was missed shows ----

# A client's rule: whenever "prev" is beyond what I know, something is missing.
sub misses
{
    my ($known, $messages) = @_;
    my $missed = 0;
    foreach (grep { $_->{seq} } @$messages)
    {
        $missed++ if $_->{prev} > $$known;
        $$known = $_->{seq} if $_->{seq} > $$known;
    }
    return $missed;
}
my $careful = session();
my $known = $careful->subscribe('north', calls => '{watched}')->{north}{last_seq};
foreach (1 .. 3) { emit('north', "noise$_"); emit('north', 'watched') }
my $messages = heard($careful);
is(scalar @$messages, 3, 'three events among others');
is(misses(\$known, $messages), 0, 'who hears some events sees nothing missing between them');
$careful->query('UNLISTEN *;');
emit('north', 'watched');
$messages = heard($careful);
is(scalar @$messages, 0, 'a client that does not listen for a while');
$careful->subscribe('north', calls => '{watched}');
emit('north', 'watched');
is(misses(\$known, heard($careful)), 1, '... sees by the next event that it missed one');
my $notifier = backend_pid($node, 'mulberry notifier');
sql("SELECT pg_terminate_backend($notifier)");
wait_for_true($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mulberry notifier' AND pid <> $notifier", 'another notifier runs');
emit('north', 'watched');
$messages = heard($careful);
is(scalar @$messages, 1, 'another notifier sends on');
my $own_channel = $messages->[-1]{_channel};

# ---- who loses access ----

sql(q{CREATE ROLE leaves LOGIN; CREATE ROLE stays LOGIN;
SELECT mulberry.grant_access(r, 'supervisor', 'north') FROM unnest('{leaves,stays}'::regrole[]) r});
my ($leaves, $during, $stays) = map { Mulberry::Subscriber->new($node, role => $_, subscribe => 0) } qw(leaves leaves stays);
$_->subscribe('north', kinds => '{call_erased}') foreach $leaves, $stays;
$during->query('BEGIN;');
$during->subscribe('north', calls => '{secret}');
emit('north', 'before');
is_deeply([ map { names($_) } heard($leaves, $stays) ], [ ['call_erased before'], ['call_erased before'] ], 'two that may hear');
sql(q{SELECT mulberry.revoke_access('leaves', 'supervisor', 'north')});
$during->query('COMMIT;');
$all->take_until_event('resubscribe');
$all->subscribe;
emit('north', 'secret');
@got = heard($leaves, $during, $stays);
is_deeply([ grep { /secret/ } map { @{ names($_) } } @got ], [], 'the channel is left');
is($got[2][0]{event}, 'resubscribe', '... and who may still hear is told so');
$stays->subscribe('north', kinds => '{call_erased}');
emit('north', 'secret');
@got = heard($leaves, $during, $stays);
is_deeply([ map { scalar grep { /secret/ } @{ names($_) } } @got ], [ 0, 0, 1 ], 'he hears on, and they nothing');
my ($result, $out, $error) = $node->psql('postgres', q{\set VERBOSITY sqlstate
SELECT mulberry.subscribe(kinds => '{call_erased}', tenant => 'north')}, extra_params => [ '-U', 'leaves' ]);
like($error, qr/42501/, 'nor may they subscribe again');

# ---- nothing is left behind ----

$_->quit foreach $of_call, $of_kind, $of_both, $of_packets, $everywhere, $leaves, $during;
$careful->query('SELECT mulberry.unsubscribe();');
is(sql("SELECT count(*) FROM mulberry_internal.event_channels WHERE channel = '$own_channel'"), 0, 'unsubscribe() takes the channel away');
session()->subscribe('north', calls => '{last}');
wait_for_true($node, <<'SQL', 'channels go with their sessions');
SELECT bool_and(listener IN (SELECT pid FROM pg_stat_activity)) FROM mulberry_internal.event_channels WHERE listener IS NOT NULL
SQL
pass('channels go with their sessions');
$_->quit foreach $careful, $stays, $all;

# ---- a client that says its name when it is connected, as that for Java does ----

(undef, undef, my $warned) = subscribe_raw($node->host . '/.s.PGSQL.' . $node->port, 'postgres', sql('SELECT current_user'),
    q{SET extra_float_digits = 3; SET application_name = 'PostgreSQL JDBC Driver'; SELECT backend_pid FROM mulberry.subscribe()},
    client_encoding => 'UTF8', DateStyle => 'ISO', TimeZone => 'UTC');
is($warned, '', 'who sets its name later but said something when it connected is no pooler');

# ---- through a pooler ----

my $pgbouncer = (grep { -x } map { "$_/pgbouncer" } '/usr/sbin', split /:/, $ENV{PATH})[0];
SKIP:
{
    skip 'pgbouncer is not installed', 9 unless $pgbouncer;
    my $directory = PostgreSQL::Test::Utils::tempdir_short();
    my $port = PostgreSQL::Test::Cluster::get_free_port();
    my $user = sql('SELECT current_user');
    append_to_file("$directory/users", "\"$user\" \"\"\n");
    append_to_file("$directory/ini", <<"INI");
[databases]
transactions = host=${\ $node->host} port=${\ $node->port} dbname=postgres pool_mode=transaction
sessions = host=${\ $node->host} port=${\ $node->port} dbname=postgres pool_mode=session
[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $directory
auth_type = trust
auth_file = $directory/users
default_pool_size = 2
logfile = $directory/log
pidfile = $directory/pid
INI
    system_or_bail($pgbouncer, '-q', '-d', "$directory/ini");
    my $pooler = slurp_until("$directory/pid");

    my ($known_pid, $said_pid) = subscribe_raw("$directory/.s.PGSQL.$port", 'transactions', $user, "SELECT backend_pid FROM mulberry.subscribe()");
    isnt($said_pid, $known_pid, 'behind a pooler the process that listens is another than the client knows');
    ($known_pid, $said_pid) = subscribe_raw($node->host . '/.s.PGSQL.' . $node->port, 'postgres', $user, "SELECT backend_pid FROM mulberry.subscribe()");
    is($said_pid, $known_pid, 'without one it is the same');

    my @psql = ($node->installed_command('psql'), '-XAt', '-h', $directory, '-p', $port, '-U', $user);
    IPC::Run::run([ @psql, '-d', 'transactions', '-c', 'SELECT tenant FROM mulberry.subscribe(tenant => $$north$$)' ], '>', \$out, '2>', \$error);
    like($out, qr/^north$/m, 'subscribe() through a pooler of transactions');
    like($error, qr/WARNING:  this session seems to belong to a connection pooler/, '... warns');
    (undef, $out, $error) = $node->psql('postgres', 'SELECT tenant FROM mulberry.subscribe(tenant => $$north$$)');
    is($error, '', 'a session of its own is not warned');
    (undef, $out, $error) = $node->psql('postgres', q{SET application_name = 'another'; SELECT tenant FROM mulberry.subscribe(tenant => 'north')});
    is($error, '', 'nor one that changes its name');

    # and why: the message comes while no client has the session
    my $lost = Mulberry::Subscriber->new($node, subscribe => 0, connection => "host=$directory port=$port user=$user dbname=transactions");
    $lost->subscribe('north', calls => '{pooled}');
    emit('north', 'pooled');
    my $log = "$directory/log";
    for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
    {
        last if slurp_file($log) =~ /got packet 'A' from server when not linked/;
        select undef, undef, undef, 0.1;
    }
    like(slurp_file($log), qr/got packet 'A' from server when not linked/, 'because a pooler of transactions drops events');
    is_deeply([ $lost->take ], [], '... which never come');
    my $kept = Mulberry::Subscriber->new($node, subscribe => 0, connection => "host=$directory port=$port user=$user dbname=sessions");
    $kept->subscribe('north', calls => '{pooled}');
    emit('north', 'pooled');
    $kept->take_until_call('pooled');
    pass('and one of sessions does not');
    $_->quit foreach $lost, $kept;
    kill 'INT', $pooler;
}

# The text of a file as soon as it has one.
sub slurp_until
{
    my ($file) = @_;
    for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
    {
        return slurp_file($file) + 0 if -s $file;
        select undef, undef, undef, 0.1;
    }
    die "$file does not come";
}

# As a client library speaks: the process that it is told when it connects, the answer to a query, and warnings.
sub subscribe_raw
{
    my ($path, $database, $user, $query, @settings) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => $path) or die "cannot connect to $path: $!";
    my $parameters = join("\0", 'user', $user, 'database', $database, @settings) . "\0\0";
    my ($pid, $answer);
    my $warnings = '';

    print $socket pack('NN', 8 + length $parameters, 3 << 16) . $parameters;
    while (1)
    {
        my ($head, $body) = ('', '');
        read($socket, $head, 5) == 5 or die 'the connection was closed';
        my ($type, $length) = unpack 'aN', $head;
        read($socket, $body, $length - 4) == $length - 4 or die 'the connection was closed' if $length > 4;
        die $body if $type eq 'E';
        $pid = unpack 'N', $body if $type eq 'K';
        $answer //= substr $body, 6 if $type eq 'D';
        $warnings .= $body if $type eq 'N';
        next if $type ne 'Z';
        last if defined $answer;
        print $socket 'Q' . pack('N', 5 + length $query) . "$query\0";
    }
    close $socket;
    return ($pid, $answer, $warnings);
}

$node->stop;
done_testing();
