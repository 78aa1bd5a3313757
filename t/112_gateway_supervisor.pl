# The supervisors' socket of mulberry-gateway, with a client of another maker (python3-websockets): VoiceStream's events with
# their fields, resuming from a number without a gap, filters, who may listen to what, and how it ends.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use JSON::PP;
use Mulberry::Cluster;
use Mulberry::Gateway;
use Mulberry::RawHttp qw(connection frame next_frame read_answer resident_kb);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $python = '/usr/bin/python3';
plan skip_all => 'needs python3-websockets' if system("$python -c 'import websockets' 2>/dev/null") != 0;

my $node = mulberry_cluster('supervisors', conf => "mulberry.grace_period = '300ms'");
sub sql { return $node->safe_psql('postgres', shift) }
sql(q{CREATE ROLE gate LOGIN; SELECT mulberry.grant_access('gate', 'gateway', NULL); SELECT mulberry.create_tenant('north');});
my %token = map { /(\S+) (\S+)/ } split /\n/, sql(<<'SQL');
SELECT 'pbx ' || mulberry.create_token('pbx', 'ingest', 'north') UNION ALL
SELECT 'desk ' || mulberry.create_token('desk', 'supervisor', 'north') UNION ALL
SELECT 'other ' || mulberry.create_token('other', 'supervisor') UNION ALL
SELECT 'all ' || mulberry.create_token('all', 'supervisor', NULL) UNION ALL
SELECT 'gone ' || mulberry.create_token('gone', 'supervisor', NULL);
SQL
my $gateway = start_gateway($node, '--anonymous', 'supervisor@default=127.0.0.0/8');
$node->poll_query_until('postgres', q{SELECT count(*) = 5 FROM pg_stat_activity WHERE application_name ~ '^mulberry-gateway'}) or die;
my $end = time + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.05 while ask_admin($gateway, '/metrics')->{content} !~ /^mulberry_gateway_listening 1/m && time < $end;

# A client; its lines so far are in ${ $client->{out} }.  Who is told that the database is busy comes again.
sub listen_to
{
    my $client;
    do { $client->{run}->finish if $client; $client = start_listening(@_); answered($client) } while (${ $client->{out} } =~ /^refused 503/);
    heard($client, qr/^(?:connected|refused|closed)/);
    return $client;
}

sub start_listening
{
    my ($query, @arguments) = @_;
    my $out = '';
    my $client = { out => \$out };
    my $port = $gateway->{port};
    @arguments = map { /^token=(.*)/ ? "Authorization=Bearer $1" : $_ } @arguments;
    $client->{run} = IPC::Run::start([ $python, "$FindBin::RealBin/lib/Mulberry/supervisor.py", "ws://127.0.0.1:$port/ws/supervisor$query", @arguments ], '<', '/dev/null', '>', \$out, '2>', '/dev/null');
    return $client;
}

# Waits until a line comes, any or a certain one.
sub answered
{
    my ($client, $pattern) = @_;
    $pattern //= qr/\n/;
    my $until = time + $PostgreSQL::Test::Utils::timeout_default;
    while (${ $client->{out} } !~ /$pattern/m && time < $until)
    {
        # one that has ended has written its last line
        last if !$client->{run}->pumpable;
        $client->{run}->pump_nb;
        sleep 0.02;
    }
    return;
}

# The same, and it is a result; returns all lines.
sub heard
{
    my ($client, $pattern) = @_;
    answered($client, $pattern);
    like(${ $client->{out} }, qr/$pattern/m, "heard $pattern");
    return split /\n/, ${ $client->{out} };
}
sub events { my ($client) = @_; return map { decode_json($_) } grep { /^\{/ } split /\n/, ${ $client->{out} } }
sub stream { my ($call, $sequence) = @_; my $answer = ask($gateway, 'POST', "/v1/call/stream/$call", body => packet_body($sequence), token => $token{pbx}); is($answer->{status}, 202, "$call $sequence"); return }

# ---- VoiceStream's events ----

# who hears of packets, by what the notifier goes by
sub heard_packets { return $node->safe_psql('postgres', q{SELECT count(*) > 0 FROM mulberry_internal.event_channels WHERE kinds IS NULL OR 'packet_received' = ANY (kinds)}) }
is(heard_packets(), 'f', 'without supervisors nobody hears of packets');
my $desk = listen_to('', "token=$token{desk}");
is(heard_packets(), 't', 'whoever is let in hears of them');
my $one = listen_to('?call=call_001', "token=$token{desk}");
my $kinds = listen_to('?kind=state_changed&kind=ai_completed', "token=$token{desk}");
my $other = listen_to('', "token=$token{other}");
my $all = listen_to('', "token=$token{all}");
my $anonymous = listen_to('');
stream('call_001', 0);
heard($one, qr/"event":"packet_received".*"sequence":0\b/);
stream('call_001', 3);
heard($one, qr/"event":"packet_received".*"sequence":3\b/);
my ($received) = grep { $_->{event} eq 'packet_received' && $_->{sequence} == 3 } events($one);
is_deeply([ @$received{qw(call_id sequence total_received missing_sequences)} ], [ 'call_001', 3, 2, [ 1, 2 ] ], 'packet_received, as VoiceStream says it');
heard($desk, qr/"event":"packet_received".*"sequence":3\b/);
stream('call_001', 3);
heard($one, qr/"event":"packet_duplicate"/);
stream('call_002', 0);
heard($desk, qr/"call_id":"call_002"/);
is(ask($gateway, 'POST', '/v1/call/complete/call_001', body => { total_packets => 4 }, token => $token{pbx})->{status}, 202, 'complete');
heard($_, qr/"to_state":\s*"PROCESSING_AI"/) foreach $desk, $one, $kinds, $all;
my ($changed) = grep { $_->{event} eq 'state_changed' } events($desk);
is_deeply([ @$changed{qw(call_id from_state to_state)} ], [ 'call_001', 'IN_PROGRESS', 'COMPLETED' ], 'state_changed, as VoiceStream says it');
is(scalar(grep { $_->{event} !~ /^(?:state_changed|ai_completed)$/ } events($kinds)), 0, 'of other kinds nothing comes');
is(scalar(grep { ($_->{call_id} // '') ne 'call_001' } events($one)), 0, 'of other calls nothing comes');
stream('call_001', 9);
heard($one, qr/"event":"packet_rejected".*"reason":"Call already completed"/);
my ($rejected) = grep { $_->{event} eq 'packet_rejected' } events($one);
like($rejected->{state}, qr/^(?:COMPLETED|PROCESSING_AI|ARCHIVED)$/, 'and in which state the call was');
is(scalar(events($_)), 0, 'of another tenant nothing comes') foreach $other, $anonymous;
is(scalar(grep { $_->{tenant} ne 'north' } events($all)), 0, 'who may hear all tenants is told which it is');

# ---- a token is revoked, or said to be ----

# whoever may connect to the database can say so: the gateway asks it
sql(q{NOTIFY mulberry_tokens});
heard($anonymous, qr/"event":"resync"/);
sql(q{SELECT mulberry.begin_call('still_heard')});
heard($anonymous, qr/"still_heard"/);
my $gone = listen_to('', "token=$token{gone}");
sql(q{ALTER ROLE gate CONNECTION LIMIT 0});
sql(q{SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'mulberry-gateway feed'});
sql(q{SELECT mulberry.revoke_token('gone', NULL)});
sql(q{ALTER ROLE gate CONNECTION LIMIT -1});
heard($gone, qr/^closed 1008/m);
heard($all, qr/"event":"resync"/);

# ---- from a number on ----

my @stored = grep { defined $_->{seq} } events($desk);
my $last = $stored[-1]{seq};
is(join(' ', map { $_->{seq} } @stored), join(' ', $stored[0]{seq} .. $last), 'stored events come in order, without a gap');
my $since = listen_to('?since=0', "token=$token{desk}");
heard($since, qr/"seq":\s*$last\b/);
is(join(' ', map { $_->{seq} } grep { defined $_->{seq} } events($since)), join(' ', 1 .. $last), 'since 0: all of them, once');
my $later = listen_to("?since=$last", "token=$token{desk}");
# events come while nobody listens to the database
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mulberry-gateway feed'});
sql(q{SELECT mulberry.begin_call('began_meanwhile', tenant => 'north')});
sql(q{SELECT mulberry.begin_call('began_too', tenant => 'north')});
heard($_, qr/"began_too"/) foreach $desk, $since, $later;
my @after = grep { defined $_->{seq} } events($later);
is(join(' ', map { $_->{seq} } @after), join(' ', $last + 1 .. $last + @after), 'after the session was lost: no gap, nothing twice');
@after = grep { defined $_->{seq} } events($since);
is(join(' ', map { $_->{seq} } @after), join(' ', 1 .. $after[-1]{seq}), 'nor for who was there before');

# ---- a tenant that is younger than the gateway ----

my $young = (split /\n/, sql(q{SELECT mulberry.create_tenant('young'); SELECT mulberry.create_token('young', 'ingest', 'young')}))[-1];
for my $sequence (0 .. 200)
{
    last if ${ $all->{out} } =~ /"call_id":"of_young"/;
    ask($gateway, 'POST', '/v1/call/stream/of_young', body => packet_body($sequence), token => $young);
    $all->{run}->pump_nb for 1 .. 5;
    sleep 0.1;
}
heard($all, qr/"call_id":"of_young"/);
sql(q{SELECT mulberry.begin_call('began_young', tenant => 'young')});
heard($all, qr/"began_young"/);

# another role has lost its access, and the tenant has another channel since, which has had an event before the gateway knows of it
kill 'STOP', $gateway->{pid} or die "could not stop the gateway: $!";
sql(q{CREATE ROLE eve; SELECT mulberry.grant_access('eve', 'supervisor', 'north'); SELECT mulberry.revoke_access('eve', 'supervisor', 'north');});
sql(q{SELECT mulberry.begin_call('began_after_eve', tenant => 'north')});
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM mulberry.events_since(0, 10000, 'north') WHERE call_id = 'began_after_eve'}) or die 'the event has no number';
kill 'CONT', $gateway->{pid};
heard($desk, qr/"began_after_eve"/);

# ---- who may ----

like(${ listen_to('', @$_)->{out} }, qr/^refused 401/, "refused: @$_") foreach [ 'token=wrong' ], [ 'Authorization=Basic eDp5' ], [ 'subprotocol=mulberry.v1', 'subprotocol=token.wrong' ];
like(${ listen_to('', "token=$token{pbx}")->{out} }, qr/^refused 403/, 'a token that may only send');
like(${ listen_to('?tenant=default', "token=$token{desk}")->{out} }, qr/^refused 400/, 'another tenant');
like(${ listen_to("?$_", "token=$token{desk}")->{out} }, qr/^refused 400/, "an odd query: $_") foreach 'since=-1', 'since=x', 'since=', 'colour=red';
like(${ listen_to('?since=0', "token=$token{all}")->{out} }, qr/^refused 400/, 'a number of no tenant');
like(${ listen_to('?since=0&tenant=north', "token=$token{all}")->{out} }, qr/^connected/, 'of one');
like(${ listen_to('', 'subprotocol=mulberry.v1', "subprotocol=token.$token{desk}")->{out} }, qr/^connected mulberry\.v1/, 'a token beside the subprotocol');
like(${ listen_to("?token=$token{desk}")->{out} }, qr/^connected/, 'a token in the query');
like(log_of_gateway($gateway), qr/"warning".*a token came in a query/, 'which is warned of');
unlike(log_of_gateway($gateway), qr/\Q$token{desk}\E/, 'without telling it');
like(${ listen_to('', "token=$token{desk}", 'Origin=https://evil.example')->{out} }, qr/^refused 403/, 'a page of another origin');
like(${ listen_to('', "token=$token{desk}", "Origin=http://127.0.0.1:$gateway->{port}")->{out} }, qr/^connected/, 'a page of this host');
like(${ listen_to('', "Origin=http://127.0.0.1:$gateway->{port}")->{out} }, qr/^refused 401/, 'which is not served for the address of its browser');
is(ask($gateway, 'GET', '/ws/supervisor', token => $token{desk})->{status}, 426, 'no WebSocket');

# ---- who comes while the database is away ----

$node->stop('fast');
wait_for_gateway($gateway, qr/no connection to the database/);
my $early = listen_to('?since=0', "token=$token{desk}");
like(${ $early->{out} }, qr/^connected/, 'whoever is known may listen');
# a loop that spins never gives its processor up by itself
my $waits = sub { return slurp_file("/proc/$gateway->{pid}/task/$gateway->{pid}/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m ? $1 : die };
my $waited = $waits->();
$end = time + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.1 while $waits->() < $waited + 3 && time < $end;
cmp_ok($waits->(), '>=', $waited + 3, 'the gateway waits for the database and does not spin');
$node->start;
sql(q{SELECT mulberry.begin_call('began_at_last', tenant => 'north')});
heard($early, qr/"began_at_last"/);
@after = grep { defined $_->{seq} } events($early);
is(join(' ', map { $_->{seq} } @after), join(' ', 1 .. $after[-1]{seq}), 'and then hears all of it, in order');

# ---- who does not read ----

sql(q{SELECT mulberry.create_tenant('busy')});
my $busy = sql(q{SELECT mulberry.create_token('busy', 'supervisor', 'busy')});
sub busy_socket
{
    my ($query) = @_;
    my $socket = connection($gateway, "GET /ws/supervisor$query HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $busy\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          . "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    is(read_answer($socket)->{status}, 101, 'a WebSocket');
    return $socket;
}
sub next_event
{
    my ($socket) = @_;
    while (my $frame = next_frame($socket))
    {
        return decode_json($frame->[1]) if $frame->[0] == 1;
        print $socket frame(10, $frame->[1]) if $frame->[0] == 9;
    }
    die 'no more events';
}
# all of it is asked for, so that it does not matter when the gateway begins to listen
my $slow = busy_socket('?since=0');
my $quick = busy_socket('?since=0&call=the_last');
my $resident = resident_kb($gateway);
# more than his queue and the kernel hold, unless that were without bounds
sql(q{SELECT count(mulberry.begin_call('busy_' || n, tenant => 'busy', attributes => jsonb_build_object('x', repeat('y', 7000)))) FROM generate_series(1, 200) n});
sql(q{SELECT mulberry.begin_call('the_last', tenant => 'busy')});
is(next_event($quick)->{call_id}, 'the_last', 'who reads hears what he has asked for');
cmp_ok(resident_kb($gateway) - $resident, '<', 8000, 'who does not read costs little') unless $ENV{MULBERRY_GATEWAY};
my (@heard, $resync, @rest);
while (1)
{
    my $event = next_event($slow);
    if ($event->{event} eq 'resync')
    {
        # what he has missed is there for him to read, and he goes on with what comes
        $resync = $event->{seq};
        sql(q{SELECT mulberry.begin_call('busy_last', tenant => 'busy')});
    }
    else { push @{ defined $resync ? \@rest : \@heard }, $event->{seq} }
    last if ($event->{call_id} // '') =~ /^(?:the_last|busy_last)$/;
}
is(join(' ', @heard), join(' ', $heard[0] .. $heard[-1]), 'he hears without a gap what was kept for him, ' . @heard . ' events');
cmp_ok($resync // -1, '>', $heard[-1], 'then that he has missed something');
is(join(' ', @rest), join(' ', $resync + 1 .. $rest[-1]), 'and from there on everything') if defined $resync;
close $_ foreach $slow, $quick;

# ---- many events, and the end ----

my $many = listen_to('', "token=$token{desk}");
sql(q{SELECT count(*) FROM mulberry.ingest_packets(array_fill('busy'::text, ARRAY[1000]), (SELECT array_agg(g::bigint) FROM generate_series(0, 999) g), array_fill('x'::bytea, ARRAY[1000]), NULL, 'text', NULL, 'north')});
heard($many, qr/"sequence":\s*999\b/);
my @busy = grep { $_->{event} eq 'packet_received' && $_->{call_id} eq 'busy' } events($many);
my $packets = 0;
$packets += $_->{packets} foreach @busy;
is($packets, 1000, 'packets are gathered, ' . @busy . ' messages for 1000, and counted');
sql(q{SELECT mulberry.revoke_token('desk', 'north')});
heard($_, qr/^closed 1008/m) foreach $desk, $one, $later, $early, $many;
# one more comes, and waits to be known until the gateway ends
my $ending = listen_to('', "token=$token{all}");
my $late = sql(q{SELECT mulberry.create_token('late', 'supervisor', 'north')});
my $holder = $node->background_psql('postgres', on_error_stop => 1);
$holder->query_safe('BEGIN; LOCK TABLE mulberry_internal.tokens IN ACCESS EXCLUSIVE MODE');
my $waiting = start_listening('', "token=$late");
$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'mulberry_internal.tokens'::regclass)}) or die;
kill 'TERM', $gateway->{pid};
heard($ending, qr/"event":"resync"[^\n]*\nclosed 1001/m);
$holder->query_safe('ROLLBACK');
$holder->quit;
heard($waiting, qr/^(?:refused 503|closed 1001)/m);
$_->{run}->kill_kill foreach $other, $anonymous, $kinds, $since, $all, $ending;
$gateway->{run}->finish;
$node->stop;
done_testing();
