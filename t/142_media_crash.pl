# Streams while things fail: a gateway that is killed keeps what was acknowledged, one that is asked to end keeps everything, a database that
# is away is waited for; many streams at once, and what each costs in memory.
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

my $node = mulberry_cluster('media_crash', workers => 0);
sub sql { return $node->safe_psql('postgres', @_) }
make_clinic($node);
my $peers = media_peers();
my $gateway;
sub start { $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base); return }
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
# each has its opening to hear
poll_until(sub { my ($c) = @_; $peers->command(ear => $calls[-1]{id}); return length(decode_base64($peers->await($calls[-1]{id}, 'ear')->{audio})) >= 12000 }, 'the last one has heard the opening');
$peers->command(stop => $_->{id}, account => $media_account, call => $_->{call}{call}) foreach @calls;
$peers->await($_->{id}, 'closed') foreach @calls;
session_of($node, $_->{call}{call}) foreach @calls;
is(scalar(grep { told(stored($_->{call}{call})) ne told($_->{voice}) } @calls), 0, "$n streams at once: each sample is in its call");
is(sql(q{SELECT count(*) FROM mulberry_internal.media_sessions WHERE figures->>'dropped_packets' <> '0'}), '0', 'none was dropped');

$gateway->{run}->kill_kill;
$node->stop;
done_testing();
