# Streams while things fail: a gateway that is killed keeps what was acknowledged, one that is asked to end keeps everything, a database that
# is away is waited for, with as much memory as there may be; many streams at once, and what each costs in memory.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use MIME::Base64;
use Mulberry::Cluster;
use Mulberry::Gateway;
use Mulberry::MediaCalls;
use Mulberry::MediaPeer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs ws for node (Debian: node-ws)' if have_ws() eq '';

my $node = mulberry_cluster('media_crash');
sub sql { return $node->safe_psql('postgres', @_) }
make_clinic($node);
my $peers = media_peers();
my $gateway;
sub start { $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base, @_); return }
start();

sub stream
{
    my ($id) = @_;
    my $c = inbound_call($gateway, $id);
    $peers->command(open => $id, url => "ws://127.0.0.1:$gateway->{twilio}/twilio/ws", sid => "MZ$id", headers => { 'X-Twilio-Signature' => socket_signature() });
    $peers->await($id, qw(open refused))->{event} eq 'open' or die;
    $peers->command(start => $id, %$c);
    return $c;
}
sub stored { my ($call) = @_; return pack 'H*', sql(audio_of($call, 'caller')) }
sub id { return sprintf '%032x', shift }
sub metric { my ($name) = @_; return ask_admin($gateway, '/metrics')->{content} =~ /^mulberry_gateway_$name (\S+)$/m ? $1 : die "no $name" }

# Each has its opening to hear.
sub hear_opening
{
    my ($id) = @_;
    poll_until(sub { $peers->command(ear => $id); return length(decode_base64($peers->await($id, 'ear')->{audio})) >= 12000 }, "$id has heard the opening");
    return;
}

# ---- killed ----

my $voice = noise(1, 8000 * 3);
my $call = stream(id(1));
$peers->command(speak => id(1), audio => encode_base64(substr($voice, 0, 16000), ''));
$peers->await(id(1), 'spoken');
poll_until(sub { length stored($call->{call}) == 16000 }, 'two seconds are acknowledged');
$peers->command(speak => id(1), audio => encode_base64(substr($voice, 16000), ''), realtime => 1);
kill KILL => $gateway->{pid};
$gateway->{run}->finish;
my $closed = $peers->await(id(1), 'closed');
is($closed->{code}, 1006, 'a gateway that is killed says nothing');
my $kept = stored($call->{call});
cmp_ok(length $kept, '>=', 16000, 'what was acknowledged is there');
is(told($kept), told(substr $voice, 0, length $kept), 'as it was said, and no more');
is(sql(q{SELECT ended_at IS NULL FROM mulberry_internal.media_sessions}), 't', 'nobody could say why it ended');
start();

# ---- asked to end ----

$call = stream(id(2));
$peers->command(speak => id(2), audio => encode_base64($voice, ''));
$peers->await(id(2), 'spoken');
wait_for_gateway($gateway, qr/a stream has begun","detail":"call $call->{call}/);
kill TERM => $gateway->{pid};
is($peers->await(id(2), 'closed')->{code}, 1001, 'one that is asked to end says so, and the call goes on');
$gateway->{run}->finish;
is($gateway->{run}->result(0), 0, 'it ends');
is(session_of($node, $call->{call}), 'the gateway ended', 'that is why');
is(told(stored($call->{call})), told($voice), 'all of what was said is there');
start();

# ---- a database that is away ----

$call = stream(id(3));
$peers->command(speak => id(3), audio => encode_base64(substr($voice, 0, 8000), ''));
$peers->await(id(3), 'spoken');
poll_until(sub { length stored($call->{call}) == 8000 }, 'a second is acknowledged');
$node->stop('immediate');
$peers->command(speak => id(3), audio => encode_base64(substr($voice, 8000), ''));
$peers->await(id(3), 'spoken');
$node->start;
poll_until(sub { length stored($call->{call}) == length $voice }, 'what was said meanwhile is stored when it is back');
is(told(stored($call->{call})), told($voice), 'each sample once');
$peers->command(stop => id(3), account => $media_account, call => $call->{call});
is(session_of($node, $call->{call}), 'the other side stopped it', 'and it goes on');

# ---- a database that cannot store the end of one ----

sql(q{CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER no_room BEFORE UPDATE ON mulberry_internal.media_sessions FOR EACH ROW EXECUTE FUNCTION no_room()});
$call = stream(id(4));
$peers->command(speak => id(4), audio => encode_base64(substr($voice, 0, 8000), ''));
$peers->await(id(4), 'spoken');
$peers->command(stop => id(4), account => $media_account, call => $call->{call});
wait_for_gateway($gateway, qr/the end of a stream is not stored yet","detail":"call $call->{call}/);
sql('DROP FUNCTION no_room() CASCADE');
is(session_of($node, $call->{call}), 'the other side stopped it', 'is asked again');

# ---- many at once, of whom a batch may not have all ----

sql('ALTER SYSTEM SET mulberry.max_batch_calls = 8');
$node->reload;
wait_for_setting($node, 'mulberry.max_batch_calls', 8);
sub resident { my ($kb) = slurp_file("/proc/$gateway->{pid}/status") =~ /VmRSS:\s+(\d+)/; return $kb }
my $n = 50;
my $before = resident();
my @calls = map { { id => id(1000 + $_), voice => noise(1000 + $_, 4000 + 160 * $_) } } 1 .. $n;
$_->{call} = stream($_->{id}) foreach @calls;
$peers->command(speak => $_->{id}, audio => encode_base64($_->{voice}, ''), realtime => 1) foreach @calls;
poll_until(sub { sql(q{SELECT count(*) FROM mulberry_internal.media_sessions WHERE ended_at IS NULL AND call_id LIKE 'CA00%'}) >= $n }, 'all have begun');
my $each = (resident() - $before) / $n;
note(sprintf '%d streams, %.1f kB of memory each', $n, $each);
cmp_ok($each, '<', 128, 'a stream costs little memory');
$peers->await($_->{id}, 'spoken') foreach @calls;
hear_opening($calls[-1]{id});
$peers->command(stop => $_->{id}, account => $media_account, call => $_->{call}{call}) foreach @calls;
$peers->await($_->{id}, 'closed') foreach @calls;
session_of($node, $_->{call}{call}) foreach @calls;
is(scalar(grep { told(stored($_->{call}{call})) ne told($_->{voice}) } @calls), 0, "$n streams at once: each sample is in its call");
is(sql(q{SELECT count(*) FROM mulberry_internal.media_sessions WHERE figures->>'dropped_packets' <> '0'}), '0', 'none was dropped');

# ---- a database that is away for longer than there is memory ----

kill TERM => $gateway->{pid};
$gateway->{run}->finish;
my $budget = 1024 * 1024;
start('--max-waiting-audio', $budget);
my $seconds = 100;
my $long = noise(2000, 8000 * $seconds);
@calls = map { { id => id(2000 + $_), voice => substr($long, 160 * $_) . substr($long, 0, 160 * $_) } } 1 .. 6;
foreach (@calls)
{
    $_->{call} = stream($_->{id});
    $peers->command(speak => $_->{id}, audio => encode_base64(substr($_->{voice}, 0, 8000), ''));
}
$peers->await($_->{id}, 'spoken') foreach @calls;
hear_opening($_->{id}) foreach @calls;
poll_until(sub { metric('media_waiting_bytes') == 0 }, 'all is stored');
$before = resident();
$node->stop('immediate');
$peers->command(speak => $_->{id}, audio => encode_base64(substr($_->{voice}, 8000), '')) foreach @calls;
$peers->await($_->{id}, 'spoken') foreach @calls;
$peers->command(stop => $_->{id}, account => $media_account, call => $_->{call}{call}) foreach @calls;
$peers->await($_->{id}, 'closed') foreach @calls;
wait_for_gateway($gateway, qr/a stream has ended","detail":"call $_->{call}{call}/) foreach @calls;
my ($waiting, $dropped) = (metric('media_waiting_bytes'), metric('media_dropped_packets_total'));
my $more = 1024 * (resident() - $before);
note("$waiting bytes wait, $dropped packets are left out, $more bytes of memory more");
cmp_ok($more, '<', 3 * $budget, 'of five times as much memory does not grow by more than may wait and what sockets take');
cmp_ok($waiting, '<=', $budget, 'no more waits than may');
cmp_ok($waiting, '>', $budget / 2, 'and not much less');
like(log_of_gateway($gateway), qr/audio of calls is left out/, 'the log says that there was more');
$node->start;
is(session_of($node, $_->{call}{call}), 'the other side stopped it', 'told when the database is back') foreach @calls;
my $ids = join ',', map { "'$_->{call}{call}'" } @calls;
is(sql("SELECT DISTINCT figures->>'heard_ms' FROM mulberry_internal.media_sessions WHERE call_id IN ($ids)"), 1000 * $seconds, 'all was heard');
my ($wrong, $missing) = (0, 0);
foreach my $c (@calls)
{
    my %stored = map { split /\|/ } split /\n/, sql(qq{SELECT p.sequence, encode(p.data, 'hex') FROM mulberry_internal.packets p JOIN mulberry_internal.all_tracks k ON k.id = p.call
        JOIN mulberry_internal.calls c ON c.id = k.call WHERE c.call_id = '$c->{call}{call}' AND k.name = 'caller'});
    $wrong += grep { pack('H*', $stored{$_}) ne substr $c->{voice}, 1600 * $_, 1600 } keys %stored;
    my $gaps = sql(qq{SELECT missing_count FROM mulberry.call_status WHERE call_id = '$c->{call}{call}'});
    is(sql(qq{SELECT figures->>'dropped_packets' FROM mulberry_internal.media_sessions WHERE call_id = '$c->{call}{call}'}), $gaps, "$gaps packets are gaps of the call, and counted in its figures");
    cmp_ok(5 * $seconds - keys %stored, '<=', $gaps, 'the caller has no others');
    ok(defined $stored{ 5 * $seconds - 1 } && keys %stored > 20, 'and the newest');
    $missing += $gaps;
}
is($wrong, 0, 'what was kept is as it was said');
is($missing, $dropped, 'what was left out is what metrics say');
is(metric('media_waiting_bytes'), 0, 'nothing waits any more');

$gateway->{run}->kill_kill;
$node->stop;
done_testing();
