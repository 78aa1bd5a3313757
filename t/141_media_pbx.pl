# Calls that a telephone system brings as streams: Asterisk's chan_websocket and AudioSocket, by peers that take nothing amiss and end what is amiss.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;
use Mulberry::Cluster;
use Mulberry::Gateway;
use Mulberry::MediaCalls;
use Mulberry::MediaPeer;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'needs ws for node (Debian: node-ws)' if have_ws() eq '';

my $node = mulberry_cluster('media_pbx');
sub sql { return $node->safe_psql('postgres', @_) }
make_clinic($node);
make_clinic($node, name => 'shop', number => '+12025550177', account => 'AC' . '2' x 32, settings => '"answer_with": "agent", "consent": "1 for yes, 2 for no", "recording": "consent", "consent_required": true');
my ($pbx, $theirs, $desk) = split /\|/, sql(q{SELECT mulberry.create_token('pbx', 'ingest', 'clinic'), mulberry.create_token('pbx', 'ingest', 'shop'), mulberry.create_token('desk', 'supervisor', 'clinic')});
my $gateway = start_gateway($node, '--audiosocket', '127.0.0.1:0');
my ($port) = log_of_gateway($gateway) =~ /"listening for audio sockets","detail":"127\.0\.0\.1:0, port (\d+)"/ or die;
my $peers = media_peers();

# ---- a token beforehand ----

sub offer
{
    my ($query, $token) = @_;
    return ask($gateway, 'GET', '/v1/audiosocket/new?' . $query, token => $token // $pbx);
}
my $uuid = qr/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;
my $first = offer('call_id=one&from=%2B12025550123&to=%2B12025550100');
is("$first->{status} $first->{headers}{'content-type'}", '200 text/plain; charset=utf-8', 'a token is a line of text');
like($first->{content}, qr/^$uuid$/, 'and a UUID');
is(offer('call_id=one')->{status}, 400, 'a call has one');
is(offer('call_id=x', $desk)->{status}, 403, 'not for everybody');
is(ask($gateway, 'GET', '/v1/audiosocket/new')->{status}, 401, 'nor for anybody');
sub token_of { return offer(@_)->{content} }

# ---- chan_websocket ----

sub basic { my ($token) = @_; return { Authorization => 'Basic ' . encode_base64("asterisk:$token", '') } }
sub media_start { my ($id, %more) = @_; $peers->command(send => $id, text => JSON::PP->new->encode({ event => 'MEDIA_START', connection_id => $id, channel => "WebSocket/x/$id", format => 'ulaw', optimal_frame_size => 160, ptime => 20, %more })); return }
sub connect_to
{
    my ($id, $query, $headers) = @_;
    $peers->command(open => $id, kind => 'asterisk', url => "ws://127.0.0.1:$gateway->{port}/asterisk/media$query", protocols => ['media'], headers => $headers);
    return $peers->await($id, qw(open refused));
}
is(connect_to('n1', "?uuid=$first->{content}", {})->{status}, 401, 'without a password nobody comes in');
is(connect_to('n2', "?uuid=$first->{content}", basic('wrong'))->{status}, 401, 'nor with another');
is(connect_to('n3', "?uuid=$first->{content}", basic($desk))->{status}, 403, 'nor with one that may not');
is(connect_to('n4', '', basic($pbx))->{status}, 400, 'nor without a call');
connect_to('n5', "?uuid=$first->{content}", basic($theirs));
media_start('n5');
is($peers->await('n5', 'closed')->{reason}, 'there is no such token', "another tenant's password opens no call of ours");

my $voice = noise(11, 12000);
is(connect_to('a', "?uuid=$first->{content}", basic($pbx))->{protocol}, 'media', 'the subprotocol is taken');
$peers->command(speak => 'a', audio => encode_base64(substr($voice, 0, 1600), ''));
$peers->await('a', 'spoken');
media_start('a');
$peers->command(speak => 'a', audio => encode_base64(substr($voice, 1600), ''));
$peers->await('a', 'spoken');
sub heard { my ($id) = @_; $peers->command(ear => $id); return decode_base64($peers->await($id, 'ear')->{audio}) }
my $opening = prompt('Welcome') . prompt('How can I help you?');
poll_until(sub { length heard('a') >= length $opening }, 'the opening was played');
is(told(heard('a')), told($opening), 'who has not been greeted is greeted');
$peers->command(press => 'a', digit => '4');
poll_until(sub { length heard('a') > 8000 + length $opening }, 'a second of the story was played');
$peers->command(press => 'a', digit => '3');
$peers->await('a', 'cleared');
poll_until(sub { heard('a') =~ /\Q@{[ prompt('Nothing more') ]}\E$/ }, 'what the next key says was played to its end: the pause was ended');
my $ear = heard('a');
$peers->command(press => 'a', digit => '1');
my $closed = $peers->await('a', 'closed');
is("$closed->{code} [@{ $closed->{errors} }]", '1000 []', 'a key that puts through ends it, and Asterisk had nothing to complain of');
is(session_of($node, 'one'), 'left by a key', 'and that is why');
is(ask($gateway, 'GET', "/v1/audiosocket/$first->{content}/next", token => $pbx)->{content}, 'transfer:+12025550199', 'the dialplan is told where to');
is(ask($gateway, 'GET', "/v1/audiosocket/$first->{content}/next", token => $theirs)->{status}, 404, 'and nobody else');
is(track($node, 'one', 'caller'), told($voice), 'what was said is stored, what came before the beginning included');
my $stored = pack 'H*', sql(audio_of('one', 'agent'));
# PAUSE_MEDIA and GET_STATUS say exactly what was not heard; a frame may have been on its way
my $kept = length($stored) - length($opening) - length prompt('Nothing more');
my $played = length($ear) - length($opening) - length prompt('Nothing more');
is($kept, $played, 'what was heard of the story is known to the sample');
is(told($stored), told($ear), 'and all of what was heard is stored');
connect_to('b', "?uuid=$first->{content}", basic($pbx));
media_start('b');
is($peers->await('b', 'closed')->{reason}, 'the token has been used', 'a token is good once');
connect_to('c', '?uuid=' . token_of('call_id=three'), basic($pbx));
media_start('c', format => 'opus');
is($peers->await('c', 'closed')->{reason}, 'its audio is neither ulaw nor slin', 'another format is refused');
foreach my $when ('behind its beginning', 'before it')
{
    my ($id) = $when =~ /^(\w+)/;
    connect_to("half-$id", '?uuid=' . token_of("call_id=half-$id"), basic($pbx));
    media_start("half-$id", format => 'slin') if $id eq 'behind';
    $peers->command(speak => "half-$id", audio => encode_base64('xxx', ''));
    media_start("half-$id", format => 'slin') if $id eq 'before';
    is($peers->await("half-$id", 'closed')->{reason}, 'its audio has half a sample', "half a sample, $when");
}
my $lost = token_of('call_id=four');
connect_to('d', "?uuid=$lost", basic($pbx));
media_start('d');
$peers->command(speak => 'd', audio => encode_base64(noise(4, 1600), ''));
$peers->await('d', 'spoken');
$peers->command(send => 'd', text => 'MEDIA_XOFF');
is($peers->await('d', 'closed')->{reason}, 'a message is no object in JSON', 'what is no JSON ends it');
is(track($node, 'four', 'caller'), told(noise(4, 1600)), 'and what was heard is kept') if session_of($node, 'four');

# ---- AudioSocket ----

# As Asterisk does: the rest of a message is waited for 5 ms, and two seconds of silence on both sides are the end.  A process of its own, so that
# nothing here keeps it waiting: it speaks what it is given in real time and writes what it heard to a file, with why it ended behind it.
sub audio_socket
{
    my ($token, $voice, %option) = @_;
    my $file = PostgreSQL::Test::Utils::tempdir() . '/heard';
    my $pid = fork() // die;
    return { pid => $pid, file => $file } if $pid;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or POSIX::_exit(9);
    setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;
    binmode $s;
    my $send = sub { my ($kind, $payload) = @_; syswrite $s, pack('Cn', $kind, length $payload) . $payload };
    $send->(1, pack 'H*', $token =~ s/-//gr) if defined $token;
    my ($in, $heard, $frames, $end, $due, $at, $idle) = ('', '', 0, '', time, 0, 0);
    my @keys = @{ $option{keys} // [] };
    while ($end eq '')
    {
        if ($at < length $voice && time >= $due)
        {
            $send->(0x10, substr $voice, $at, 320);
            $at += 320;
            $due += 0.02;
            $idle = 0;
        }
        while (@keys && $frames >= $keys[0][0]) { my $k = shift @keys; $send->($k->[1], $k->[2]) }
        $end = 'hung up' if $option{frames} && $frames >= $option{frames} && $at >= length $voice;
        $end = 'hung up' if defined $option{until} && index($heard, $option{until}) >= 0;
        # two seconds, in turns of this loop: on a busy machine they last longer, and so may the other side
        $end = 'silence' if ++$idle > 400;
        next unless IO::Select->new($s)->can_read(0.005);
        my $n = sysread $s, $in, 65536, length $in;
        if (!$n) { $end = 'closed'; last }
        $idle = 0;
        while (length $in >= 3)
        {
            my ($kind, $length) = unpack 'Cn', $in;
            # the machine, and not the other side, may have been late: what has come is looked at once more
            if (length $in < 3 + $length) { IO::Select->new($s)->can_read(0.005) && sysread $s, $in, 65536, length $in }
            if (length $in < 3 + $length) { $end = 'late'; last }
            my $payload = substr $in, 3, $length;
            $in = substr $in, 3 + $length;
            if ($kind == 0) { $end = 'told to hang up'; last }
            if ($kind != 0x10 || $length == 0 || $length % 2) { $end = "kind $kind of $length"; last }
            $heard .= $payload;
            $frames++;
        }
    }
    $send->(0, '') if $end eq 'hung up';
    open my $out, '>', $file;
    binmode $out;
    print $out "$end\n$heard";
    close $out;
    close $s;
    POSIX::_exit(0);
}
sub end_of
{
    my ($line) = @_;
    waitpid $line->{pid}, 0;
    return split /\n/, slurp_file($line->{file}), 2;
}
# linear, as the other side has it
sub linear { my ($mulaw) = @_; return pack 'H*', sql(sprintf q{SELECT encode(mulberry.audio_convert('\\x%s', 'mulaw', 8000, 's16le', 8000), 'hex')}, unpack 'H*', $mulaw) }

my $said = linear(noise(21, 8000));
my ($end, $heard) = end_of(audio_socket(token_of('call_id=five'), $said, frames => 120));
is($end, 'hung up', 'an audio socket lasts until it hangs up: nothing came late, and silence was filled');
is(session_of($node, 'five'), 'the other side hung up', 'and that is known');
like($heard, qr/^\Q@{[ linear($opening) ]}\E\0*$/, 'it has heard the opening, and then silence');
is(track($node, 'five', 'caller'), told($said), 'what was said is stored as it came') or diag sql(q{SELECT p.sequence, length(p.data), p.sent_at FROM mulberry_internal.packets p JOIN mulberry_internal.calls c ON c.id = p.call WHERE c.call_id = 'five' ORDER BY 1});
is(track($node, 'five', 'agent'), told(linear $opening), 'and what was played');

# keys, once as a tone and once as a message besides
my $tone = pack 'H*', sql(q{SELECT encode(mulberry.dtmf_synthesize('3', 's16le', 8000), 'hex')});
my $quiet = "\0" x (2 * 8000 * 2);
($end, $heard) = end_of(audio_socket(token_of('call_id=six'), $quiet . $tone . $quiet, until => linear(prompt('Nothing more'))));
is($end, 'hung up', 'a tone does what its key does');
is(sql(q{SELECT figures->>'digits' FROM mulberry.media_session_status WHERE call_id = 'six' AND ended_at IS NOT NULL}), '1', 'a key that is only heard counts') if session_of($node, 'six');
($end, $heard) = end_of(audio_socket(token_of('call_id=seven'), $quiet, frames => 150, keys => [ [ 50, 3, '3' ] ]));
is(sql(q{SELECT figures->>'digits' FROM mulberry.media_session_status WHERE call_id = 'seven'}), '1', 'so does one that is told') if session_of($node, 'seven');

# consent, where it is asked for
($end, $heard) = end_of(audio_socket(token_of('call_id=eight', $theirs), $quiet x 2 . $said, frames => 200, keys => [ [ 20, 3, '1' ] ]));
session_of($node, 'eight');
$stored = pack 'H*', sql(audio_of('eight', 'caller'));
cmp_ok(length $stored, '<', length($quiet x 2 . $said), 'before the consent nothing is kept');
is(told($stored), told(length $stored ? substr($quiet x 2 . $said, -length $stored) : ''), 'and from then on everything');
is(sql(q{SELECT coalesce(min(p.sequence), 0) FROM mulberry_internal.packets p JOIN mulberry_internal.calls c ON c.id = p.call WHERE c.call_id = 'eight'}), '0', 'counted from there');
($end, $heard) = end_of(audio_socket(token_of('call_id=nine', $theirs), $quiet x 3, keys => [ [ 20, 3, '2' ] ]));
like($end, qr/told to hang up|closed/, 'without it the call ends');
is(sql(q{SELECT count(*) FROM mulberry_internal.calls WHERE call_id = 'nine'}), '0', 'and nothing is kept') if session_of($node, 'nine');

# what must not be
for my $case ([ 'no UUID', undef ], [ 'one of nobody', '00000000-0000-4000-8000-000000000000' ], [ 'one that has been used', $first->{content} ])
{
    ($end) = end_of(audio_socket($case->[1], $quiet));
    like($end, qr/told to hang up|closed/, "$case->[0]: it is sent away");
}
for my $case ([ 'another rate', 0x12, 'xx', 'its audio has not 8000 samples a second' ], [ 'another kind', 0x44, 'xx', 'a message is of no known kind' ], [ 'half a sample', 0x10, 'xxx', 'its audio has half a sample' ],
    [ 'a key that is none', 3, 'x', 'a key is none' ], [ 'a second UUID', 1, 'x' x 16, 'its UUID is none, or the second one' ], [ 'too much at once', 0x10, 'x' x 5000, 'a message is too long' ], [ 'an error', 0xff, "\1", 'the other side told of an error' ])
{
    my ($what, $kind, $payload, $why) = @$case;
    my $id = $what =~ s/ /-/gr;
    ($end) = end_of(audio_socket(token_of("call_id=$id"), substr($said, 0, 3200), keys => [ [ 5, $kind, $payload ] ]));
    is(session_of($node, $id), $why, "$what ends it");
}

$gateway->{run}->kill_kill;
$node->stop;
done_testing();
