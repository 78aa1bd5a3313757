# Calls that come in, by nothing but the webhooks that Twilio sends: from the greeting over keys, a person who does not answer and a message
# to the end.  A client that holds an agent keeps no webhook waiting, and every answer to a voice is TwiML.
use strict;
use warnings;

use Digest::SHA 'hmac_sha1_base64';
use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use Mulberry::TwilioCall;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'time';

my $node = mulberry_cluster('inbound_call', preload => 0);
sub sql { return $node->safe_psql('postgres', @_) }

my $account = 'AC' . '1' x 32;
sql(<<"SQL");
SELECT mulberry.create_tenant('clinic');
SELECT mulberry.set_endpoint('phone', 'twilio', purpose => 'telephony', secret => 'token', tenant => 'clinic',
    options => '{"account_sid": "$account", "from": "+15005550006", "public_url": "https://hooks.example"}');
SELECT mulberry.set_telephony('{"numbers": ["+12025550100"], "greeting": "Welcome", "consent": "1 for yes, 2 for no", "recording": "consent", "transfer_number": "+12025550199",
    "menus": {"main": {"text": "Menu", "keys": {"1": {"action": "transfer", "text": "One moment"}, "2": {"action": "record"}, "3": {"action": "menu", "menu": "more"}}}, "more": {"text": "More", "keys": {"1": {"action": "say", "text": "Nothing more"}}}}}', 'clinic');
CREATE ROLE gate LOGIN;
SELECT mulberry.grant_access('gate', 'gateway', 'clinic');
SQL
sql("COPY mulberry.secret_entry FROM stdin;\nclinic\ttoken\tsecret of twilio\n\\.\n");

# As the gateway asks, with what Twilio signs: [ status, content type, body, seconds ].
sub webhook
{
    my ($url, %params) = @_;
    my $call = $params{CallSid} // 'CA' . 'a' x 32;
    %params = (AccountSid => $account, From => '+12025550123', To => '+12025550100', CallStatus => 'in-progress', %params, CallSid => $call);
    my $signature = hmac_sha1_base64($url . join('', map { $_ . $params{$_} } sort keys %params), 'secret of twilio') . '=';
    my $body = join '&', map { my $v = $params{$_}; $v =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge; "$_=$v" } sort { $b cmp $a } keys %params;
    my $began = time;
    my $answer = sql("SET ROLE gate; SELECT status || E'\\t' || content_type || E'\\t' || body FROM mulberry.handle_twilio_request('$url', '$body', 'application/x-www-form-urlencoded; charset=UTF-8', '$signature')");
    return [ split(/\t/, $answer, 3), time - $began ];
}

# The verbs of an answer, which must be TwiML, and where it goes on.
sub heard
{
    my ($what, $answer, @expected) = @_;
    is("$answer->[0] $answer->[1]", '200 text/xml', "$what: answered");
    my @verbs = eval { Mulberry::TwilioCall::parse_twiml($answer->[2]) };
    is($@, '', "$what: TwiML");
    like($answer->[2], $_, $what) foreach @expected;
    my ($next) = $answer->[2] =~ /(?:action="|<Redirect[^>]*>)([^"<]+)/;
    $next =~ s/&amp;/&/g if $next;
    return $next;
}

# ---- a call ----

my $next = heard('it rings', webhook('https://hooks.example/twilio/voice', CallStatus => 'ringing'), qr/Welcome.*<Gather.*1 for yes, 2 for no/);
$next = heard('consent', webhook($next, Digits => '1'), qr/<Start><Recording channels="dual" recordingStatusCallback="[^"]*recording/, qr/<Gather.*Menu/);
$next = heard('a key that is not in use', webhook($next, Digits => '9'), qr/not in use.*Menu/);
$next = heard('a menu further down', webhook($next, Digits => '3'), qr/<Gather.*More/);
$next = heard('nothing pressed', webhook($next, Digits => ''), qr/<Gather.*More/);
$next = heard('what it says', webhook($next, Digits => '1'), qr/Nothing more.*<Gather.*More/);
my $second = heard('it rings elsewhere', webhook('https://hooks.example/twilio/voice', CallSid => 'CA' . 'b' x 32), qr/Welcome/);
$second = heard('no consent', webhook($second, CallSid => 'CA' . 'b' x 32, Digits => '2'), qr/Response><Gather.*Menu/);
$second = heard('a person', webhook($second, CallSid => 'CA' . 'b' x 32, Digits => '1'), qr{One moment.*<Dial[^>]*><Number>\+12025550199</Number>});
$second = heard('who does not answer', webhook($second, CallSid => 'CA' . 'b' x 32, DialCallStatus => 'no-answer'), qr/Nobody.*Menu/);
$second = heard('a message', webhook($second, CallSid => 'CA' . 'b' x 32, Digits => '2'), qr/<Record /);
heard('thanks', webhook($second, CallSid => 'CA' . 'b' x 32, RecordingUrl => 'https://evil.example', Digits => '#'), qr/Thank you.*<Hangup/);
is(webhook('https://hooks.example/twilio/status', CallStatus => 'completed', SequenceNumber => 2, CallDuration => 33, CallSid => 'CA' . 'b' x 32)->[0], 204, 'the end is taken');
is(sql(q{SELECT string_agg(substr(sid, 3, 1) || ' ' || state || ' ' || coalesce(consent::text, '-') || ' ' || recorded, ', ' ORDER BY sid) FROM mulberry_internal.inbound_calls}),
    'a in-progress true true, b completed false false', 'where the calls stand');
is(sql(q{SELECT string_agg(payload->>'key' || (payload->>'action'), ' ' ORDER BY id) FROM mulberry_internal.events WHERE event = 'inbound_key'}), '3menu 1say 1transfer 2record', 'keys were told');
is(webhook($second, CallSid => 'CA' . 'b' x 32, Digits => '1')->[2] =~ /Thank you/ ? 'same' : 'other', 'same', 'what comes again is answered as before, after the end too');

# ---- a client that does not commit ----

# an outgoing call for a command of an agent, and a session that holds that agent; and one that holds the row of the call that came in
my $command = sql(<<'SQL');
SET client_min_messages = error;
DO $$ BEGIN PERFORM mulberry.create_agent('pi', '+821012345671', tenant => 'clinic'); PERFORM mulberry.create_voice_key('pi', tenant => 'clinic'); END $$;
INSERT INTO mulberry_internal.commands (tenant, agent, command, state, escalated_at) SELECT tenant, id, 'PING', 'escalated', now() FROM mulberry_internal.agents WHERE name = 'pi';
INSERT INTO mulberry_internal.voice_calls (tenant, command, purpose, attempt, to_number, from_number, state, sid, requested_at)
    SELECT c.tenant, c.id, 'escalation', 1, '+12025550177', '+15005550006', 'in-progress', 'CA' || repeat('c', 32), now() FROM mulberry_internal.commands c RETURNING token;
SQL
my $holder = open_session($node, on_error_stop => 0);
$holder->query_safe('BEGIN; SELECT FROM mulberry_internal.agents FOR UPDATE; SELECT FROM mulberry_internal.inbound_calls FOR UPDATE');
my $ack = "https://hooks.example/twilio/ack?step=1&token=$command";
my $held = webhook($ack, CallSid => 'CA' . 'c' x 32, Digits => '5#');
my $again = heard('the agent is held', $held, qr/<Pause.*<Redirect/);
like($again, qr/digits=5%23/, 'the digits go with the redirection');
cmp_ok($held->[3], '<', 10, 'it did not wait for the client');
is(webhook("https://hooks.example/twilio/status?token=$command", CallSid => 'CA' . 'c' x 32, CallStatus => 'completed', SequenceNumber => 9)->[0], 503, 'a status that cannot be taken is refused');
my $later = heard('the call is held', webhook($next, Digits => '1'), qr/<Pause.*<Redirect/);
$holder->query_safe('COMMIT');
$holder->quit;
heard('a second later', webhook($again, CallSid => 'CA' . 'c' x 32), qr/Thank you/);
is(sql("SELECT acknowledged FROM mulberry_internal.voice_calls WHERE token = '$command'"), 't', 'the digits of the redirection were taken');
heard('the key of the other', webhook($later), qr/Nothing more/);

# ---- nobody else's ----

is(sql(q{SET ROLE gate; SELECT count(*) FROM mulberry.inbound_call_status}), '2', 'the gateway sees the calls of its tenant');
sql("CREATE ROLE other LOGIN; SELECT mulberry.create_tenant('shop'); SELECT mulberry.grant_access('other', 'gateway', 'shop')");
my ($url, $form) = ('https://hooks.example/twilio/voice', "AccountSid=$account&CallSid=CA" . 'd' x 32 . '&To=%2B12025550100');
my $signature = hmac_sha1_base64($url . "AccountSid${account}CallSidCA" . 'd' x 32 . 'To+12025550100', 'secret of twilio') . '=';
is(sql("SET ROLE other; SELECT status FROM mulberry.handle_twilio_request('$url', '$form', 'application/x-www-form-urlencoded', '$signature')"), '403', 'a gateway of another tenant answers no call of this one');
is(sql("SET ROLE gate; SELECT status FROM mulberry.handle_twilio_request('$url', '$form', 'application/x-www-form-urlencoded', '$signature')"), '200', 'and that of this one does');

$node->stop;
done_testing();
