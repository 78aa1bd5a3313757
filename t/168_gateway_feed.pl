# The session by which the database tells a gateway something: when it waits for the database, when supervisors come meanwhile, and
# what it leaves when they have gone.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use Mulberry::Cluster;
use Mulberry::Gateway;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $python = '/usr/bin/python3';
plan skip_all => 'needs python3-websockets' if system("$python -c 'import websockets' 2>/dev/null") != 0;

my $node = mulberry_cluster('gateway_feed');
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE gate LOGIN; SELECT mulberry.grant_access('gate', 'gateway', NULL)});
my %token = map { $_ => sql("SELECT mulberry.create_token('$_', 'supervisor')") } qw(known late revoked);
my %gateway = map { $_ => start_gateway($node) } qw(held telling left);
$node->poll_query_until('postgres', q{SELECT count(*) = 3 FROM pg_stat_activity WHERE application_name = 'mulberry-gateway feed' AND state = 'idle'}) or die;

sub listen_to
{
    my ($gateway, $token) = @_;
    my $out = '';
    my $client = { out => \$out };
    $client->{run} = IPC::Run::start([ $python, "$FindBin::RealBin/lib/Mulberry/supervisor.py", "ws://127.0.0.1:$gateway{$gateway}{port}/ws/supervisor", "Authorization=Bearer $token{$token}" ],
        '<', '/dev/null', '>', \$out, '2>', '/dev/null', IPC::Run::timer(3 * $PostgreSQL::Test::Utils::timeout_default));
    return $client;
}

sub hears
{
    my ($client, $pattern, $what) = @_;
    $client->{run}->pump while ${ $client->{out} } !~ $pattern && $client->{run}->pumpable;
    like(${ $client->{out} }, $pattern, $what);
    return;
}

sub metric { my ($gateway, $name) = @_; return ask_admin($gateway{$gateway}, '/metrics')->{content} =~ /^mulberry_gateway_$name (\S+)/m ? $1 : -1 }
sub wait_until
{
    my ($what, $condition) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    while (!$condition->()) { die "waited in vain: $what" if time > $end; sleep 0.1 }
    return;
}

# who hears of packets, by what the notifier goes by
my $hearing = q{SELECT count(*) FROM mulberry_internal.event_channels WHERE 'packet_received' = ANY (kinds)};

# ---- who is left ----

my $known = listen_to('left', 'known');
hears($known, qr/^connected/m, 'a supervisor is let in');
is(sql($hearing), '1', 'packets are told while he is there');
my $left = sql(q{SELECT listener FROM mulberry_internal.event_channels WHERE 'packet_received' = ANY (kinds)});
$known->{run}->kill_kill;

# ---- who tells which tokens were used, and is kept ----

is(ask($gateway{telling}, 'GET', '/v1/calls', token => $token{late})->{status}, 200, 'a token is used');
my $uses = $node->background_psql('postgres');
$uses->query_safe(q{BEGIN; INSERT INTO mulberry_internal.token_uses (token) SELECT id FROM mulberry_internal.tokens WHERE name = 'late'});
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'mulberry-gateway feed' AND wait_event_type = 'Lock'}) or die 'nobody tells of tokens';
my ($revoked, $late) = map { listen_to('telling', $_) } qw(revoked late);
wait_until('both are to be let in', sub { metric('telling', 'supervisors') == 2 });
sql(q{SELECT mulberry.revoke_token('revoked')});
$uses->query_safe('COMMIT');
hears($revoked, qr/^closed 1008/m, 'whose token is revoked before he is let in does not stay');
hears($late, qr/^connected/m, 'another is let in');
sql(q{SELECT mulberry.begin_call('heard_late')});
hears($late, qr/"heard_late"/, 'and hears');

# ---- when nobody hears of packets any more ----

$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM mulberry_internal.event_channels WHERE listener = $left AND 'packet_received' = ANY (kinds)")
  or die 'packets are told to a gateway where nobody hears of them';
is(sql("SELECT count(*) FROM mulberry_internal.event_channels WHERE listener = $left"), '1', 'who has left is told of no packets, and the gateway of everything else');
my $again = listen_to('left', 'known');
hears($again, qr/^connected/m, 'who comes back is let in');
sql(q{SELECT mulberry.ingest_packet('packets', 0, 'one', encoding => 'text')});
hears($again, qr/"event":"packet_received"/, 'and hears of packets again');

# ---- a database that does not answer ----

my $channels = $node->background_psql('postgres');
$channels->query_safe('BEGIN; LOCK mulberry_internal.event_channels IN SHARE MODE');
my $patient = listen_to('held', 'known');
wait_until('somebody is to be let in', sub { metric('held', 'supervisors') == 1 });
wait_for_gateway($gateway{held}, qr/it does not answer/);
hears($patient, qr/^connected/m, 'who waits is let in without, as where the database is away');
$channels->query_safe('COMMIT');
sql(q{SELECT mulberry.begin_call('heard_at_last')});
hears($patient, qr/"heard_at_last"|"resync"/, 'and hears when it is back');

$_->{run}->kill_kill foreach $revoked, $late, $again, $patient, values %gateway;
$_->quit foreach $uses, $channels;
$node->stop;
done_testing();
