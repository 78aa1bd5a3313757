# Supervisors in a call that is under way: they hear both sides as they are heard, speak to the caller and to the agent, put through and end, by
# HTTP and by SQL; who may not; who does not keep up.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use Mulberry::Cluster;
use Mulberry::Engines;
use Mulberry::Gateway;
use Mulberry::MediaCalls;
use Mulberry::MediaPeer;
use Mulberry::Talk;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $python = '/usr/bin/python3';
plan skip_all => 'needs ws for node (Debian: node-ws)' if have_ws() eq '';
plan skip_all => 'needs python3-websockets' if system("$python -c 'import websockets' 2>/dev/null") != 0;

my $engines = Mulberry::Engines->new;
my $node = mulberry_cluster('supervision');
sub sql { return $node->safe_psql('postgres', @_) }
make_clinic($node);
make_agent($node);
$engines->serve($node, 'clinic', [ 'ear', 'deepgram', 'v1', 'listen' ], [ 'mouth', 'openai', 'v1', 'speak' ]);
sql(q{INSERT INTO agent.answers VALUES ('story', '{"say": "Once upon a time there was a small house in the wood, and in it lived a man with his dog and two old cats, who were never tired of telling stories to each other."}'),
    ('.', '{"say": "We are open on Monday."}'); SELECT mulberry.create_tenant('other')});
my %token = map { /(\S+) (\S+)/ } split /\n/, sql(<<'SQL');
SELECT 'desk ' || mulberry.create_token('desk', 'supervisor', 'clinic') UNION ALL
SELECT 'all ' || mulberry.create_token('all', 'supervisor', NULL) UNION ALL
SELECT 'gone ' || mulberry.create_token('gone', 'supervisor', 'clinic') UNION ALL
SELECT 'reads ' || mulberry.create_token('reads', 'auditor', 'clinic') UNION ALL
SELECT 'other ' || mulberry.create_token('other', 'supervisor', 'other')
SQL
my $peers = media_peers();
my $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base);
my $dir = PostgreSQL::Test::Utils::tempdir();
my $until = time + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.05 while ask_admin($gateway, '/metrics')->{content} !~ /^mulberry_gateway_listening 1/m && time < $until;

my $files = 0;

# Somebody who listens; what he is told is in ${ $l->{out} }, what he hears in $l->{file}.
sub listener
{
    my ($call, $query, $token, @more) = @_;
    my $out = '';
    my $l = { out => \$out, file => "$dir/" . $files++ };
    $l->{run} = IPC::Run::start([ $python, "$FindBin::RealBin/lib/Mulberry/supervisor.py", "ws://127.0.0.1:$gateway->{port}/ws/listen/$call$query",
            "Authorization=Bearer $token", "write=$l->{file}", @more ], '<', '/dev/null', '>', \$out, '2>', '/dev/null');
    is_told($l, qr/^(?:connected|refused|closed)/m);
    return $l;
}

sub is_told
{
    my ($l, $pattern) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    while (${ $l->{out} } !~ $pattern && time < $end) { eval { $l->{run}->pump_nb }; sleep 0.02 }
    like(${ $l->{out} }, $pattern, "it is told $pattern");
    return;
}

# What was heard so far: the left side and the right one.
sub sides
{
    my ($l) = @_;
    my $both = -e $l->{file} ? slurp_file($l->{file}) : '';
    my $n = int(length($both) / 2);
    my @bytes = unpack 'C*', substr $both, 0, 2 * $n;
    return map { my $side = $_; pack 'C*', @bytes[ map { 2 * $_ + $side } 0 .. $n - 1 ] } 0, 1;
}

# Zero has two signs in mu-law.
sub plain { my ($audio) = @_; $audio =~ tr/\x7f/\xff/; return $audio }

sub audits { return sql(q{SELECT coalesce(string_agg(outcome || coalesce(' ' || (evidence->>'target'), ''), ', ' ORDER BY id), '') FROM mulberry_internal.audit WHERE action = 'CALL_SUPERVISION'}) }

# ---- who may not ----

my $c = caller($peers, $gateway, 'a' x 32);
$c->hears(0);
my $call = $c->{call};
my %upgrade = (Connection => 'Upgrade', Upgrade => 'websocket', 'Sec-WebSocket-Version' => '13', 'Sec-WebSocket-Key' => 'AAAAAAAAAAAAAAAAAAAAAA==');
sub status_of { my ($path, %option) = @_; return ask($gateway, 'GET', "/ws/listen/$path", headers => { %upgrade, %{ $option{headers} // {} } }, token => $option{token})->{status} }
is(status_of($call), 401, 'nobody listens without a token');
is(status_of($call, token => $token{reads}), 403, 'nor with one of another access');
is(status_of($call, token => $token{other}), 404, 'nor with one of another tenant');
is(status_of("$call?tenant=other", token => $token{all}), 404, 'nor where the tenant has no such call');
is(status_of('nobody', token => $token{desk}), 404, 'a call that is not there');
is(status_of("$call?encoding=mp3", token => $token{desk}), 422, 'a form that there is not');
is(status_of($call, token => $token{desk}, headers => { Origin => 'https://evil.example' }), 403, 'nor a page of elsewhere');
is(ask($gateway, 'GET', "/ws/listen/$call", token => $token{desk})->{status}, 426, 'who asks without a WebSocket is told so');
is(audits(), '', 'and none of them has listened');
for (['say', { text => 'x' }], ['whisper', { text => 'x' }], ['take_over', { target => '+12025550198' }], ['end', {}])
{
    my ($what, $body) = @$_;
    is(ask($gateway, 'POST', "/v1/call/$call/$what", token => $token{other}, body => $body)->{status}, 404, "another tenant does not $what");
    is(ask($gateway, 'POST', "/v1/call/$call/$what", token => $token{reads}, body => $body)->{status}, 403, "nor does an auditor");
}

# ---- listening ----

my $slow = listener($call, '?encoding=pcm', $token{desk}, 'read=12', 'window=4096');
my $ear = listener($call, '', $token{desk});
my $fine = listener($call, '?encoding=pcm&tenant=clinic', $token{all});
my $gone = listener($call, '', $token{gone});
is_told($ear, qr/^\{"event":"start","call_id":"$call","encoding":"mulaw","sample_rate":8000,"channels":\["caller","agent"\]\}$/m);
is_told($fine, qr/"encoding":"pcm"/);
is(audits(), 'listened, listened, listened, listened', 'the audit log tells who listens');
$engines->phrases('tell me a story', 'stop that', 'when are you open');
$c->say(voice_of('tell me a story please'));
my $said = $c->said;
my $begin = $c->hears_begin($said->[1]);
$c->say(voice_of('stop that please and tell me when you are open'), wait => 2000);
$said = $c->said;
my $reply = $c->hears($said->[1]);
my @sounds = sounds_between([ loudness($c->ear) ], 15);
my ($cut) = grep { $_->[1] > $begin } @sounds;
my ($left, $right);
my $end = time + $PostgreSQL::Test::Utils::timeout_default;
do
{
    sleep 0.1;
    ($left, $right) = map { plain($_) } sides($ear);
} while (index($left, plain(voice_of('stop that please and tell me when you are open'))) < 0 || (sounds_between([ loudness($right) ], 25))[-1][1] * 160 > length($right) - 4000) && time < $end;
my $spoken = index $left, plain(voice_of('tell me a story please'));
my $again = index $left, plain(voice_of('stop that please and tell me when you are open'));
cmp_ok($spoken, '>=', 0, 'the caller is on the left, to the bit');
cmp_ok($again, '>', $spoken, 'all that he said');
my @agent = sounds_between([ loudness($right) ], 15);
my ($story) = grep { $_->[1] * 160 > $spoken + length voice_of('tell me a story please') } @agent;
note("at the ear the story lasted $cut->[0] to $cut->[1], for the listener $story->[0] to $story->[1]");
cmp_ok(abs(($cut->[1] - $cut->[0]) - ($story->[1] - $story->[0])), '<=', 12, 'the agent is on the right, as long as it was heard');
cmp_ok(abs(($cut->[1] - $said->[0]) - ($story->[1] - $again / 160)), '<=', 25, 'and when it was heard');
cmp_ok(-s $fine->{file}, '>', 3 * length $left, 'in 16 bits as well');

# ---- a word to the caller, by HTTP and by SQL ----

my $answer = ask($gateway, 'POST', "/v1/call/$call/say", token => $token{desk}, body => { text => 'A colleague will call you.' });
is($answer->{status}, 202, 'something is said');
is_deeply($answer->{json}, { status => 'accepted', message => 'It is said', call_id => $call }, 'and that is the answer');
ok($node->poll_query_until('postgres', qq{SELECT EXISTS (SELECT FROM mulberry.conversation_lines WHERE call_id = '$call' AND text ~ 'A colleague will call you\\.')}), 'the caller has heard it');
sql(qq{SELECT mulberry.say_in_call('$call', 'This is from the desk.', 'clinic')});
ok($node->poll_query_until('postgres', qq{SELECT EXISTS (SELECT FROM mulberry.conversation_lines WHERE call_id = '$call' AND text ~ 'This is from the desk\\.')}), 'from SQL as well');
is(sql(qq{SELECT count(*) FROM mulberry.conversation_lines, regexp_matches(text, 'colleague', 'g') WHERE call_id = '$call'}), '1', 'once');
is(ask($gateway, 'POST', "/v1/call/$call/say", token => $token{desk}, body => { text => '' })->{status}, 422, 'nothing is not said');
is(ask($gateway, 'POST', "/v1/call/$call/say", token => $token{desk}, body => {})->{status}, 422, 'nor no text');
is(ask($gateway, 'POST', "/v1/call/$call/whisper", token => $token{desk}, body => { text => 'psst' })->{status}, 409, 'a function has no ear for a whisper');
is(ask($gateway, 'POST', "/v1/call/nobody/say", token => $token{desk}, body => { text => 'x' })->{json}{detail}, 'call "nobody" has no stream', 'a call that is not there');

# ---- who may no more, and who does not keep up ----

sql(q{SELECT mulberry.revoke_token('gone', 'clinic')});
is_told($gone, qr/^closed 1008 the token is not valid/m);
sql(q{SELECT pg_notify('mulberry_tokens', 'anything'), pg_notify('mulberry_calls', '1'), pg_notify('mulberry_calls', 'x')});
is_told($slow, qr/^\{"event":"lost","ms":\d+\}$/m);
unlike(${ $ear->{out} }, qr/lost/, 'who reads loses nothing');
is(sql(qq{SELECT count(*) FROM mulberry_internal.media_sessions WHERE call_id = '$call' AND ended_at IS NULL}), '1', 'and the call goes on');

# ---- taking over, and the end ----

is(ask($gateway, 'POST', "/v1/call/$call/take_over", token => $token{desk}, body => { target => 'me' })->{status}, 400, 'nobody is put through to what is no number');
is(ask($gateway, 'POST', "/v1/call/$call/take_over", token => $token{desk}, body => { target => '+12025550198' })->{status}, 202, 'the caller is put through');
is_told($ear, qr/^closed 1000 the call is over/m);
$peers->await($c->{id}, 'closed');
is(session_of($node, $call), 'taken over by a supervisor', 'the stream has ended for that');
is(sql(qq{SELECT place->>'leave' || ' ' || (place->>'number') FROM mulberry_internal.inbound_calls WHERE sid = '$call'}), 'transfer +12025550198', 'and Twilio is told so with the next step');
is(ask($gateway, 'POST', "/v1/call/$call/say", token => $token{desk}, body => { text => 'x' })->{status}, 409, 'a call that is over is a conflict');
is(status_of($call, token => $token{desk}), 409, 'for who wants to listen as well');

$c = caller($peers, $gateway, 'b' x 32);
$c->hears(0);
sql(qq{SELECT mulberry.end_call('$c->{call}', 'enough', 'clinic')});
$peers->await($c->{id}, 'closed');
is(session_of($node, $c->{call}), 'ended by a supervisor: enough', 'a call is ended from SQL');
conversation_over($node, $c->{call});

# ---- a caller who has not agreed ----

sql(q{SELECT mulberry.alter_telephony('{"recording": "never"}', 'clinic')});
$c = caller($peers, $gateway, 'c' x 32);
$c->hears(0);
$answer = ask($gateway, 'GET', "/ws/listen/$c->{call}", headers => \%upgrade, token => $token{desk});
is($answer->{status}, 409, 'nobody hears whom nobody records');
is($answer->{json}{detail}, qq{nobody may listen to call "$c->{call}"}, 'and that is said');

# ---- the gateway ends while somebody listens ----

sql(q{SELECT mulberry.alter_telephony('{"listening": "always"}', 'clinic')});
$c->stop;
$c = caller($peers, $gateway, 'd' x 32);
$c->hears(0);
$ear = listener($c->{call}, '', $token{desk});
is_told($ear, qr/"event":"start"/);
$gateway->{run}->signal('TERM');
is_told($ear, qr/^closed 10\d\d/m);
ok($gateway->{run}->finish, 'it ends well');
is($gateway->{run}->full_result(0), 0, 'with no error');
$node->stop;
done_testing();
