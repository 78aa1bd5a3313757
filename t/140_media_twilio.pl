# Twilio's Media Streams: what was said is stored sample by sample with gaps where chunks never came, what was said to the caller as far as it was
# played and when, keys that interrupt, who may open a stream and who not, and what must not be sent.
use strict;
use warnings;

use Digest::SHA 'hmac_sha1_base64';
use FindBin;
use lib "$FindBin::RealBin/lib";
use JSON::PP;
use MIME::Base64;
use Mulberry::Cluster;
use Mulberry::Gateway;
use Mulberry::MediaPeer;
use Mulberry::MediaCalls;
use Mulberry::RawHttp qw(connection read_answer);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs ws for node (Debian: node-ws)' if have_ws() eq '';

my $node = mulberry_cluster('media_twilio');
sub sql { return $node->safe_psql('postgres', @_) }
make_clinic($node);
my $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base);
my $peers = media_peers();

# ---- a call ----

my $call = inbound_call($gateway, 'a');
is($call->{url}, 'wss://hooks.example/base/twilio/ws', 'the call is connected to a stream');
my $voice = noise(1, 2.5 * 8000);
$peers->command(open => 'a', url => "ws://127.0.0.1:$gateway->{twilio}/twilio/ws", headers => { 'X-Twilio-Signature' => socket_signature() });
is($peers->await('a', qw(open refused))->{event}, 'open', 'signed by the account it opens');
$peers->command(start => 'a', %$call);
# a chunk within a packet, one that is a packet of its own after it, and so a whole packet
$peers->command(speak => 'a', audio => encode_base64($voice, ''), skip => [ 3, 31 .. 40, 70 ]);
$peers->await('a', 'spoken');
wait_for_gateway($gateway, qr/a stream has begun/);
# what is said to the caller is played to its end
poll_until(sub { $peers->command(ear => 'a'); length(decode_base64($peers->await('a', 'ear')->{audio})) >= 1.5 * 8000 }, 'the opening was played');
$peers->command(ear => 'a');
my $ear = $peers->await('a', 'ear');
is(length decode_base64($ear->{audio}), 1.5 * 8000, 'all of it') or diag explain $ear->{holes};
is(told(decode_base64($ear->{audio})), told(prompt('How can I help you?')), 'as it is stored');
$peers->command(stop => 'a', account => $media_account, call => $call->{call});
my $closed = $peers->await('a', 'closed');
is("$closed->{code} @{ $closed->{errors} }", '1000 ', 'it ends in order, and Twilio had nothing to complain of');
$node->poll_query_until('postgres', q{SELECT ended_at IS NOT NULL FROM mulberry_internal.media_sessions}) or die;
is(sql(q{SELECT peer, reason, figures->>'heard_ms', figures->>'lost_ms', figures->>'said_ms', figures->>'cleared_ms' FROM mulberry_internal.media_sessions}),
    'twilio|the other side stopped it|2260|240|1500|0', 'the session tells what went through it');
my $expected = $voice;
substr($expected, 160 * ($_ - 1), 160) = "\xff" x 160 foreach 3, 70;
substr($expected, 160 * 30, 1600) = '';
is(track($node, $call->{call}, 'caller'), told($expected), 'what was said is there, sample by sample');
is(sql(qq{SELECT first, last, start_ms, duration_ms FROM mulberry.call_gaps('$call->{call}', 'clinic', 'caller')}), '3|3|600|200', 'with a gap where ten chunks never came');
is(track($node, $call->{call}, 'agent'), told(prompt('How can I help you?')), 'and so is what was played');
is(sql(qq{SELECT k.expected_total_packets, k.missing_count FROM mulberry_internal.all_tracks k JOIN mulberry_internal.calls c ON c.id = k.call WHERE c.call_id = '$call->{call}' AND k.name = 'caller'}), '13|1', 'the call is complete');

# ---- where what is said was interrupted ----

# A call that is connected and has begun: its id is the letter.
sub stream
{
    my ($letter, %option) = @_;
    my $c = inbound_call($gateway, $letter, %option);
    $peers->command(open => $letter, url => "ws://127.0.0.1:$gateway->{twilio}/twilio/ws", sid => 'MZ' . (length $letter == 32 ? $letter : $letter x 32), delay => $option{delay} // 0, headers => { 'X-Twilio-Signature' => socket_signature() });
    is($peers->await($letter, qw(open refused))->{event}, 'open', "$letter: opens");
    $peers->command(start => $letter, %$c);
    return $c;
}
sub heard { my ($letter) = @_; $peers->command(ear => $letter); return decode_base64($peers->await($letter, 'ear')->{audio}) }

# One interruption; returns by how many samples what is stored differs from what was heard.
sub interruption
{
    my ($letter, $delay) = @_;
    my $c = stream($letter, delay => $delay);
    poll_until(sub { length heard($letter) == 12000 }, 'the opening was played');
    $peers->command(press => $letter, digit => '4');
    poll_until(sub { length heard($letter) > 12000 + 8000 }, 'a second of the story was played');
    $peers->command(press => $letter, digit => '3');
    $peers->await($letter, 'cleared');
    poll_until(sub { heard($letter) =~ /\Q@{[ prompt('Nothing more') ]}\E$/ }, 'what the next key says was played to its end');
    my $ear = heard($letter);
    my $played = length($ear) - 12000 - length prompt('Nothing more');
    is(told(substr $ear, 12000, $played), told(substr prompt('Long story'), 0, $played), "delay $delay: a key interrupts what is said");
    $peers->command(stop => $letter, account => $media_account, call => $c->{call});
    $peers->await($letter, 'closed');
    is(session_of($node, $c->{call}), 'the other side stopped it', 'it ends');
    my $stored = pack 'H*', sql(audio_of($c->{call}, 'agent'));
    my $kept = length($stored) - 12000 - length prompt('Nothing more');
    note("delay $delay: heard @{[ $played / 8 ]} ms of the story, stored @{[ $kept / 8 ]}");
    is(told(substr $stored, 12000, $kept), told(substr prompt('Long story'), 0, $kept), 'what is stored is what was said');
    is(told(substr $stored, 12000 + $kept), told(prompt('Nothing more')), 'what followed is stored behind it');
    is(sql(qq{SELECT (figures->>'digits') || ' ' || (figures->>'interruptions') || ' ' || ((figures->>'cleared_ms')::integer > 0) FROM mulberry_internal.media_sessions m WHERE call_id = '$c->{call}'}), '2 1 true', 'the session tells of it');
    return abs($kept - $played);
}

# Where it was cut is known by when things arrive, and a busy machine may keep one of them: that does not happen each time.
for my $delay (0, 150)
{
    my ($least, $tries) = (8000, 0);
    while ($least > 8 * 60 && $tries++ < 6)
    {
        my $off = interruption(sprintf('%031x', $tries) . ($delay ? 'c' : 'b'), $delay);
        $least = $off if $off < $least;
    }
    cmp_ok($least, '<=', 8 * 60, "delay $delay: what is stored ends where it was cut, within 60 ms");
}

# ---- a key that leads elsewhere ----

my $left = stream('d');
$peers->command(press => 'd', digit => '1');
is($peers->await('d', 'closed')->{code}, 1000, 'a key that does something else ends the stream');
is(session_of($node, $left->{call}), 'left by a key', 'and that is why');
my $goes_on = inbound_call($gateway, 'd', path => $left->{next}, params => { CallStatus => 'in-progress' });
like($goes_on->{content}, qr{One moment.*<Dial[^>]*><Number>\+12025550199</Number>}, 'what it does is done where the call goes on');

# one that is connected and says nothing, which is noticed while the rest goes on
my $silent = stream('8');

# ---- who may open one ----

sub handshake
{
    my ($id, $headers, %more) = @_;
    $peers->command(open => $id, url => "ws://127.0.0.1:$gateway->{twilio}/twilio/ws", headers => $headers, %more);
    my $answer = $peers->await($id, qw(open refused));
    return $answer->{event} eq 'open' ? 'open' : $answer->{status};
}
make_clinic($node, name => 'shop', number => '+12025550177', account => 'AC' . '2' x 32, secret => 'another secret');
my $waits = inbound_call($gateway, 'e');
my $others = inbound_call($gateway, 'f', number => '+12025550177', account => 'AC' . '2' x 32, secret => 'another secret');
is(handshake('x1', {}), 403, 'without a signature');
is(handshake('x2', { 'X-Twilio-Signature' => socket_signature('wrong') }), 403, 'signed by somebody else');
is(handshake('x3', { 'X-Twilio-Signature' => socket_signature(undef, "$media_base/twilio/ws") }), 403, 'signed as https');
is(handshake('x4', { 'X-Twilio-Signature' => socket_signature(undef, 'wss://hooks.example:443/base/twilio/ws') }), 'open', 'signed with its port');

# a hundred calls may begin at once, while the database is slow to judge
{
    my $lock = open_session($node);
    $lock->query_safe('BEGIN; LOCK TABLE mulberry_internal.inbound_calls IN ACCESS EXCLUSIVE MODE');
    my $forged = join "\r\n", 'GET /twilio/ws HTTP/1.1', 'Host: hooks.example', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: ' . encode_base64('x' x 16, ''), 'X-Twilio-Signature: ' . encode_base64('y' x 20, ''), '', '';
    my @sockets = map { connection({ port => $gateway->{twilio} }, $forged) } 1 .. 100;
    # who comes last is turned away without the database: the others have been read by then
    is(ask($gateway, 'GET', '/twilio/ws', port => $gateway->{twilio})->{status}, 403, 'a hundred that come at once wait for the database');
    # some of those that wait are gone before it is their turn
    close $_ foreach splice @sockets, 90;
    $lock->query_safe('COMMIT');
    $lock->quit;
    my %answers;
    $answers{ read_answer($_)->{status} }++ foreach @sockets;
    is_deeply(\%answers, { 403 => 90 }, 'and each is judged');
}
my %refused = (
    'a token that is none' => [ socket_signature(), %$waits, token => 'x' ],
    'a token of nobody' => [ socket_signature(), %$waits, token => '00000000-0000-4000-8000-000000000000' ],
    'a token that has been used' => [ socket_signature(), %$call ],
    'the token of another call' => [ socket_signature(), %$waits, call => $call->{call} ],
    'the token of another tenant\'s call' => [ socket_signature(), %$others ],
    'that, said to be of ours' => [ socket_signature(), %$others, account => $media_account ],
    'ours, signed by another tenant' => [ socket_signature('another secret'), %$waits ]);
my $n = 0;
for my $what (sort keys %refused)
{
    my ($signature, %start) = @{ $refused{$what} };
    my $id = 'r' . ++$n;
    is(handshake($id, { 'X-Twilio-Signature' => $signature }), 'open', "$what: it may come");
    $peers->command(start => $id, %start);
    my $end = $peers->await($id, 'closed');
    is($end->{code}, 1008, "$what: is refused") or diag explain $end;
}
is(sql(qq{SELECT count(*) FROM mulberry_internal.media_sessions WHERE call_id IN ('$waits->{call}', '$others->{call}')}), '0', 'none of that has begun anything');
is(handshake('x5', { 'X-Twilio-Signature' => socket_signature() }), 'open', 'who says nothing');
my $late = $peers->await('x5', 'closed');
is("$late->{code} $late->{reason}", '1008 it has not begun in time', 'is sent away');

# ---- what must not be sent ----

my $media = sub { my (%m) = @_; return encode_json({ event => 'media', streamSid => 'MZ' . '0' x 32, %m }) };
my $chunk = encode_base64("\x55" x 160, '');
my @bad = (
    [ 'binary', 'a message is binary', binary => encode_base64('x' x 10, '') ],
    [ 'no JSON', 'a message is not JSON', text => '{"event":"media"' ],
    [ 'no object', 'a message is not JSON', text => '[]' ],
    [ 'no event', 'a message has no event', text => '{}' ],
    [ 'an event that is not known', 'an event is not known', text => '{"event":"dance"}' ],
    [ 'no base64', 'its audio is not base64', text => $media->(media => { track => 'inbound', chunk => '11', timestamp => '200', payload => '****' }) ],
    [ 'no audio', 'its audio is not base64', text => $media->(media => { track => 'inbound', chunk => '11', timestamp => '200', payload => '' }) ],
    [ 'no payload', 'a message of media has no audio, or no number', text => $media->(media => { track => 'inbound', chunk => '11' }) ],
    [ 'a chunk that came before', 'its audio is out of order', text => $media->(media => { track => 'inbound', chunk => '5', timestamp => '80', payload => $chunk }) ],
    [ 'a chunk far ahead', 'its audio is out of order', text => $media->(media => { track => 'inbound', chunk => '999999', timestamp => '200', payload => $chunk }) ],
    [ 'a chunk that is no number', 'a message of media has no audio, or no number', text => $media->(media => { track => 'inbound', chunk => '-5', payload => $chunk }) ],
    [ 'a chunk beyond all numbers', 'a message of media has no audio, or no number', text => $media->(media => { track => 'inbound', chunk => 9_000_000_000_000_000_000, timestamp => '200', payload => $chunk }) ],
    [ 'a message that came before', 'its messages are out of order', text => $media->(sequenceNumber => '2', media => { track => 'inbound', chunk => '11', timestamp => '200', payload => $chunk }) ],
    [ 'another stream', 'a message is of another stream', text => '{"event":"mark","streamSid":"MZ1","mark":{"name":"1"}}' ],
    [ 'a key that is none', 'a key is none', text => '{"event":"dtmf","dtmf":{"digit":"x"}}' ],
    [ 'a second beginning', 'it begins twice', text => '{"event":"start","start":{}}' ],
    [ 'too much at once', 'a message is too long', text => $media->(media => { track => 'inbound', chunk => '11', timestamp => '200', payload => 'A' x 70000 }) ]);
for my $i (0 .. $#bad)
{
    my ($what, $why, @message) = @{ $bad[$i] };
    my $id = sprintf '%032x', 0x1000 + $i;
    my $c = inbound_call($gateway, $id);
    is(handshake($id, { 'X-Twilio-Signature' => socket_signature() }), 'open', "$what: opens");
    $peers->command(start => $id, %$c);
    $peers->command(speak => $id, audio => encode_base64(noise($i, 1600), ''));
    $peers->await($id, 'spoken');
    $peers->command(send => $id, @message);
    my $end = $peers->await($id, 'closed');
    is("$end->{code} $end->{reason}", "1008 $why", "$what: ends it");
    is(session_of($node, $c->{call}), $why, "$what: is why");
    is(track($node, $c->{call}, 'caller'), told(noise($i, 1600)), "$what: what was heard before is kept");
}
for my $case ([ 'another rate', mediaFormat => { encoding => 'audio/x-mulaw', sampleRate => 16000, channels => 1 } ], [ 'another encoding', mediaFormat => { encoding => 'audio/opus', sampleRate => 8000, channels => 1 } ],
    [ 'two channels', mediaFormat => { encoding => 'audio/x-mulaw', sampleRate => 8000, channels => 2 } ], [ 'no format', mediaFormat => undef ], [ 'no parameters', customParameters => undef ])
{
    my ($what, @more) = @$case;
    my $id = 's' . ++$n;
    handshake($id, { 'X-Twilio-Signature' => socket_signature() });
    $peers->command(start => $id, %$waits, more => {@more});
    is($peers->await($id, 'closed')->{code}, 1008, "$what: is refused before the token is used");
}
handshake('s0', { 'X-Twilio-Signature' => socket_signature() });
$peers->command(send => 's0', text => $media->(media => { payload => $chunk }));
is($peers->await('s0', 'closed')->{reason}, 'it has not begun', 'audio before the beginning');
handshake('e', { 'X-Twilio-Signature' => socket_signature() }, sid => 'MZ' . 'e' x 32);
$peers->command(start => 'e', %$waits);
wait_for_gateway($gateway, qr/a stream has begun","detail":"call $waits->{call}/);
pass('and after all of that the token opens its stream');
is(ask($gateway, 'GET', '/twilio/ws', port => $gateway->{twilio})->{status}, 403, 'what is no WebSocket is none');
is(ask($gateway, 'POST', '/twilio/ws', port => $gateway->{twilio}, body => '')->{status}, 405, 'nor is a webhook');

is($peers->await('8', 'closed')->{code}, 1000, 'a stream without media');
is(session_of($node, $silent->{call}), 'no media for 15 seconds', 'ends by itself');
is(track($node, $silent->{call}, 'agent'), told(prompt('How can I help you?')), 'what was said in it is kept');

# ---- nobody listens in, and nothing is kept that may not be ----

make_clinic($node, name => 'quiet', number => '+12025550188', account => 'AC' . '3' x 32, secret => 'third', settings => '"answer_with": "agent"');
my $unkept = inbound_call($gateway, '9', number => '+12025550188', account => 'AC' . '3' x 32, secret => 'third');
handshake('q', { 'X-Twilio-Signature' => socket_signature('third') });
$peers->command(start => 'q', %$unkept);
$peers->command(speak => 'q', audio => encode_base64(noise(5, 16000), ''));
$peers->await('q', 'spoken');
poll_until(sub { length heard('q') == 12000 }, 'the opening was played');
$peers->command(drop => 'q');
is(session_of($node, $unkept->{call}), 'the connection was lost', 'a socket that is gone ends it');
is(sql(qq{SELECT count(*) FROM mulberry_internal.calls c JOIN mulberry_internal.tenants t ON t.id = c.tenant WHERE t.name = 'quiet'}), '0', 'without consent nothing of it is kept');
is(sql(qq{SET ROLE gate; SELECT count(*) FROM mulberry.media_session_status WHERE call_sid = '$unkept->{call}'}), '1', 'but that it was');

$gateway->{run}->kill_kill;
$node->stop;
done_testing();
