# Calls by the verb listen of jambonz: who may open one, what is heard and kept to the bit, keys, and what ends it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use MIME::Base64;
use Mulberry::Cluster;
use Mulberry::Gateway;
use Mulberry::MediaCalls;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $python = '/usr/bin/python3';
plan skip_all => 'needs python3-websockets' if system("$python -c 'import websockets' 2>/dev/null") != 0;

my $node = mulberry_cluster('jambonz');
sub sql { return $node->safe_psql('postgres', @_) }
make_clinic($node);
my ($ingest, $desk) = split /\n/, sql(q{SELECT mulberry.create_token(t, t, 'clinic') FROM unnest(ARRAY['ingest', 'supervisor']) WITH ORDINALITY AS x (t, n) ORDER BY n});
my $gateway = start_gateway($node);
my $dir = PostgreSQL::Test::Utils::tempdir();
my $first = '{"callSid":"a1","from":"+12025550123","to":"+12025550100","sampleRate":8000,"mixType":"mono"}';
my $n = 0;

sub offer { return ask($gateway, 'GET', "/v1/audiosocket/new?call_id=$_[0]&from=%2B12025550123&to=%2B12025550100", token => $ingest)->{content} }

# Runs a call to its end; its lines, and what was heard.
sub call
{
    my ($token, $password, $message, @script) = @_;
    my ($out, $err, $file) = ('', '', "$dir/" . $n++);
    IPC::Run::run([ $python, "$FindBin::RealBin/lib/Mulberry/jambonz.py", "ws://127.0.0.1:$gateway->{port}/jambonz/media?uuid=$token", $password, $message, $file, @script ],
        '>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default)) or diag($err);
    return ($out, -e $file ? slurp_file($file) : '');
}

my @linear = map { my $b = ~$_ & 0xff; my $v = ((($b & 0xf) << 3) + 0x84 << (($b & 0x70) >> 4)) - 0x84; $b & 0x80 ? -$v : $v } 0 .. 255;
sub linear { return pack 's<*', map { $linear[$_] } unpack 'C*', $_[0] }

# ---- who may ----

like((call(offer('no-1'), 'wrong', $first))[0], qr/^refused 401$/m, 'not without a token');
like((call(offer('no-2'), $desk, $first))[0], qr/^refused 403$/m, 'not with one of another access');
like((call('00000000-0000-4000-8000-000000000000', $ingest, $first))[0], qr/^closed 1008 there is no such token$/m, 'a call that was not offered');
my $used = offer('used');
call($used, $ingest, $first, 'close');
like((call($used, $ingest, $first))[0], qr/^closed 1008 the token has been used$/m, 'an offer is good once');

# ---- a call ----

my $spoken = linear(noise(4711, 4 * 8000));
append_to_file("$dir/spoken", $spoken);
my $token = offer('jam-1');
my ($out, $heard) = call($token, $ingest, $first, "audio $dir/spoken", 'close');
like($out, qr/^open audio\.jambonz\.org$/m, 'it is spoken to in its form');
cmp_ok(index($heard, linear(prompt('Welcome') . prompt('How can I help you?'))), '>=', 0, 'greeting and question are heard to the bit');
is(length($heard) % 320, 0, 'in whole frames');
is(session_of($node, 'jam-1'), 'the other side hung up', 'it ends as it did');
is(sql(q{SELECT peer || ' ' || (figures->>'heard_ms') FROM mulberry.media_session_status WHERE call_sid = 'jam-1'}), 'jambonz 4000', 'what was heard is counted');
is(track($node, 'jam-1', 'caller'), told($spoken), 'and kept to the bit');
is(ask($gateway, 'GET', "/v1/audiosocket/$token/next", token => $ingest)->{content}, 'hangup', 'and nothing follows');

# ---- a key ----

$token = offer('jam-2');
($out, $heard) = call($token, $ingest, $first, "audio $dir/spoken", 'text {"event":"mark","data":{"name":"x"}}', 'text {"event":"dtmf","dtmf":"1","duration":"1600"}');
like($out, qr/^\{"type":"disconnect"\}$/m, 'it is told that the verb is over');
like($out, qr/^closed 1000 left by a key$/m, 'because of a key');
is(ask($gateway, 'GET', "/v1/audiosocket/$token/next", token => $ingest)->{content}, 'transfer:+12025550199', 'which puts through');

# ---- what it must not send ----

for ([ 'rate', $first =~ s/8000/16000/r, qr/its audio is not of one side with 8000 samples a second/ ], [ 'mix', $first =~ s/mono/stereo/r, qr/its audio is not of one side/ ],
    [ 'nojson', 'hello', qr/a message is no object in JSON/ ], [ 'array', '[1]', qr/a message is no object in JSON/ ], [ 'early', '', qr/it has not begun/, 'binary 0000' ],
    [ 'half', $first, qr/its audio has half a sample/, 'binary 000000' ], [ 'key', $first, qr/a key is none/, 'text {"event":"dtmf","dtmf":"12"}' ],
    [ 'late', $first, qr/a message is no object in JSON/, "text \x{7b}" ])
{
    my ($name, $message, $why, @script) = @$_;
    like((call(offer("bad-$name"), $ingest, $message, @script))[0], qr/^closed 1008 $why/m, "$name ends it");
}
is(ask($gateway, 'GET', '/jambonz/media?uuid=x', headers => { Authorization => 'Basic ' . MIME::Base64::encode_base64("a:$ingest", '') })->{status}, 400, 'a token that is none');

$gateway->{run}->signal('TERM');
ok($gateway->{run}->finish, 'it ends well');
$node->stop;
done_testing();
