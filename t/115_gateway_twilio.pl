# Twilio's webhooks by HTTP: a whole call, who is believed and by which URL, what comes again, and what a caller hears while the database is
# held, slow, lost or away.
use strict;
use warnings;

use Digest::SHA 'hmac_sha1_base64';
use FindBin;
use lib "$FindBin::RealBin/lib";
use IO::Socket::INET;
use IPC::Run;
use Mulberry::Cluster;
use Mulberry::Gateway;
use Mulberry::TwilioCall;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# ---- settings that are refused ----

my $program = $Mulberry::Gateway::program;
for my $case (
    [ 'a public URL with a slash at its end', qr/public-url: .* is not of the form/, '--public-url', 'https://hooks.example/' ],
    [ 'a public URL without a scheme', qr/public-url: .* is not of the form/, '--public-url', 'hooks.example' ],
    [ 'a listener that clients have', qr/twilio-listen: 127.0.0.1:8001 is that of clients/, '--listen', '127.0.0.1:8001', '--twilio-listen', '127.0.0.1:8001' ],
    [ 'an apology that is none', qr/apology: text is empty/, '--apology', ' ' ],
    [ 'an apology that is too long', qr/apology: document would have 4,000/, '--apology', 'x' x 4000 ],
    [ 'a deadline beyond that of Twilio', qr/webhook-deadline: "15000" is no number from 100 to 14000/, '--webhook-deadline', 15000 ])
{
    my ($name, $message, @flags) = @$case;
    IPC::Run::run([ $program, '--check', '--twilio-listen', '127.0.0.1:0', @flags ], '>', \my $out, '2>', \my $err);
    is($? >> 8, 2, "$name is refused");
    like($err, $message, "$name: says why");
}

# ---- a clinic ----

my $node = mulberry_cluster('gateway_twilio', conf => 'mulberry.workers = 0');
sub sql { return $node->safe_psql('postgres', @_) }

my ($account, $token) = ('AC' . '1' x 32, 'secret of twilio');
my $base = 'https://hooks.example/base';
sql(<<"SQL");
CREATE ROLE gate LOGIN;
SELECT mulberry.grant_access('gate', 'gateway', NULL);
SELECT mulberry.create_tenant('clinic');
SELECT mulberry.set_endpoint('phone', 'twilio', purpose => 'telephony', secret => 'token', tenant => 'clinic',
    options => '{"account_sid": "$account", "from": "+15005550006", "public_url": "$base"}');
SELECT mulberry.set_telephony('{"numbers": ["+12025550100"], "greeting": "Welcome", "consent": "1 for yes, 2 for no", "recording": "consent", "transfer_number": "+12025550199",
    "menus": {"main": {"text": "Menu", "keys": {"1": {"action": "transfer", "text": "One moment"}, "2": {"action": "record"}, "3": {"action": "say", "text": "Nothing more"}}}}}', 'clinic');
-- a call that was placed, for a command that was given up
SET client_min_messages = error;
DO \$\$ BEGIN PERFORM mulberry.create_agent('pi', '+821012345671', tenant => 'clinic'); END \$\$;
INSERT INTO mulberry_internal.commands (tenant, agent, command, state, escalated_at) SELECT tenant, id, 'PING', 'escalated', now() FROM mulberry_internal.agents WHERE name = 'pi';
INSERT INTO mulberry_internal.voice_calls (tenant, command, purpose, attempt, to_number, from_number, state, sid, requested_at)
    SELECT c.tenant, c.id, 'escalation', 1, '+12025550177', '+15005550006', 'in-progress', 'CA' || repeat('c', 32), now() FROM mulberry_internal.commands c;
-- a call is stored slowly as long as there is a row here
CREATE TABLE slow ();
CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN IF EXISTS (SELECT FROM public.slow) THEN PERFORM pg_sleep(600); END IF; RETURN NULL; END \$\$;
CREATE TRIGGER stall AFTER INSERT ON mulberry_internal.webhook_answers FOR EACH ROW EXECUTE FUNCTION stall();
GRANT SELECT ON slow TO PUBLIC;
SQL
sql("COPY mulberry.secret_entry FROM stdin;\nclinic\ttoken\t$token\n\\.\n");
my $placed = sql('SELECT token FROM mulberry_internal.voice_calls');

my @apology = ('--apology', 'Bitte rufen Sie später an.', '--apology-language', 'de-DE', '--apology-voice', 'Polly.Vicki');
my $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $base, '--anonymous', 'ingest@default=127.0.0.0/8', '--connections', 1,
    '--max-connections-per-address', 2, @apology);

# Waits until a gateway has its connections for webhooks, which a caller would not wait for.
sub wait_until_connected
{
    my ($n) = @_;
    $node->poll_query_until('postgres', "SELECT count(*) >= $n FROM pg_stat_activity WHERE application_name = 'mulberry-gateway' AND state = 'idle'") or die;
    return;
}
wait_until_connected(9);

sub escaped { my ($v) = @_; $v =~ s/([^A-Za-z0-9._-])/sprintf '%%%02x', ord $1/ge; $v =~ s/%20/+/g; return $v }
sub form { my (%params) = @_; return join '&', map { "$_=" . escaped($params{$_}) } sort { $b cmp $a } keys %params }
sub signature { my ($url, %params) = @_; return hmac_sha1_base64($url . join('', map { $_ . $params{$_} } sort keys %params), $token) . '=' }

# What is sent for a path, and signed: ( path, headers, body ).  With "-url" it is signed for that one.
sub request_for
{
    my ($path, %params) = @_;
    my %option = map { /^-(.*)/ ? ($1 => delete $params{$_}) : () } keys %params;
    %params = (AccountSid => $account, CallSid => 'CA' . 'a' x 32, From => '+12025550123', To => '+12025550100', CallStatus => 'in-progress', %params);
    my %headers = ('X-Twilio-Signature' => signature($option{url} // $base . $path, %params), 'Content-Type' => 'application/x-www-form-urlencoded; charset=UTF-8', %{ $option{headers} // {} });
    $headers{'I-Twilio-Idempotency-Token'} = $option{idempotency} if defined $option{idempotency};
    return ($path, \%headers, form(%params));
}

sub post { my ($to, $path, $headers, $body) = @_; return ask($to, 'POST', $path, port => $to->{twilio}, headers => $headers, body => $body) }
sub webhook { return post($gateway, request_for(@_)) }

# The verbs of an answer, which must be TwiML, and where it goes on.
sub heard
{
    my ($what, $answer, @expected) = @_;
    is("$answer->{status} $answer->{headers}{'content-type'}", '200 text/xml; charset=utf-8', "$what: answered");
    eval { Mulberry::TwilioCall::parse_twiml($answer->{content}) };
    is($@, '', "$what: TwiML");
    like($answer->{content}, $_, $what) foreach @expected;
    my ($next) = $answer->{content} =~ /(?:action="|<Redirect[^>]*>)\Q$base\E([^"<]+)/;
    $next =~ s/&amp;/&/g if $next;
    return $next;
}

# A line a table with what is in it.  Left out is what follows by itself, however long it takes: the notifier numbers events, the gateway
# subscribes anew when there is another tenant, and tells now and then when tokens were used.
sub everything
{
    return sql(<<'SQL');
SELECT string_agg(format('%s %s', c.oid::regclass, md5(query_to_xml(format(CASE c.relname WHEN 'events' THEN 'SELECT id, tenant, event, call_id, payload FROM %s x ORDER BY id'
                                                                                          ELSE 'SELECT * FROM %s x ORDER BY x::text' END, c.oid::regclass), true, true, '')::text)),
                  E'\n' ORDER BY c.oid::regclass::text)
  FROM pg_class c
 WHERE c.relnamespace IN ('mulberry'::regnamespace, 'mulberry_internal'::regnamespace) AND c.relkind = 'r'
   AND c.relname NOT IN ('token_uses', 'event_counters', 'event_channels', 'channel_listeners');
SQL
}

# ---- a call ----

my @first = request_for('/twilio/voice', CallStatus => 'ringing', CallerName => 'Jürgen & "Söhne" +', -idempotency => 'one');
my $next = heard('it rings', my $greeting = post($gateway, @first), qr/Welcome.*<Gather.*1 for yes, 2 for no/);
$next = heard('consent', webhook($next, Digits => '1', -idempotency => 'two'), qr/<Start><Recording channels="dual"/, qr/<Gather.*Menu/);
my $step = $next;
$next = heard('a key', my $third = webhook($step, Digits => '3'), qr/Nothing more.*Menu/);
$next = heard('a person', webhook($next, Digits => '1'), qr{One moment.*<Dial[^>]*><Number>\+12025550199</Number>});
$next = heard('who does not answer', webhook($next, DialCallStatus => 'no-answer'), qr/Nobody.*Menu/);
like($next, qr/^\/twilio\/dtmf\?step=5&token=/, 'it goes on with the next step');
my $inbound = sql(q{SELECT token FROM mulberry_internal.inbound_calls});
for my $silent (
    [ "/twilio/recording?token=$inbound", RecordingSid => 'RE' . '1' x 32, RecordingStatus => 'completed' ],
    [ "/twilio/transcription?token=$inbound", TranscriptionSid => 'TR1', TranscriptionStatus => 'completed', TranscriptionText => 'all is well' ],
    [ '/twilio/status', CallStatus => 'in-progress', SequenceNumber => 1 ])
{
    my $answer = webhook(@$silent);
    is("$answer->{status} [$answer->{content}]", '204 []', "$silent->[0] is taken");
}
is(sql(q{SELECT recordings, transcript, consent, recorded, turn, state FROM mulberry_internal.inbound_calls}), '{RE' . '1' x 32 . '}|all is well|t|t|5|in-progress', 'and stored');
# Twilio's form has been read as it was written
is(sql(q{SELECT count(*) FROM mulberry_internal.webhook_answers WHERE key = 'token voice one'}), '1', 'an idempotency token is kept');

# ---- what is under way ----

my ($desk, $pbx) = split /\|/, sql(q{SELECT mulberry.create_token('desk', 'supervisor', 'clinic'), mulberry.create_token('pbx', 'ingest', 'clinic')});
my $other = sql(q{SELECT mulberry.create_tenant('shop'); SELECT mulberry.create_token('other', 'supervisor', 'shop')});
$other =~ s/.*\n//s;
my $health = ask($gateway, 'GET', '/twilio/health');
is("$health->{status} $health->{content}", '200 {"status":"healthy","active_sessions":2}', 'a call that came in and one that was placed are under way');
is(ask($gateway, 'GET', '/twilio/sessions')->{status}, 401, 'which they are is for those who may know');
is(ask($gateway, 'GET', '/twilio/sessions', token => $pbx)->{status}, 403, 'and no one else');
my $sessions = ask($gateway, 'GET', '/twilio/sessions', token => $desk)->{json};
is($sessions->{active_sessions}, 2, 'both are told');
is(join(' ', map { "$_->{direction} $_->{call_sid} $_->{status} " . ($_->{place} // $_->{purpose}) } sort { $a->{direction} cmp $b->{direction} } @{ $sessions->{sessions} }),
    'inbound CA' . 'a' x 32 . ' in-progress menu outbound CA' . 'c' x 32 . ' in-progress escalation', 'with where they are');
is_deeply(ask($gateway, 'GET', '/twilio/sessions', token => $other)->{json}, { active_sessions => 0, sessions => [] }, 'and to no other tenant');
is(scalar @{ ask($gateway, 'GET', '/twilio/sessions?limit=1', token => $desk)->{json}{sessions} }, 1, 'as many as are wanted');
is(ask($gateway, 'GET', '/twilio/sessions?limit=0', token => $desk)->{status}, 422, 'none is no number');

# ---- who is believed ----

my $before = everything();
is(post($gateway, @first)->{content}, $greeting->{content}, 'what comes again is answered as before');
is(webhook('/twilio/voice', CallStatus => 'ringing')->{content}, $greeting->{content}, 'without its idempotency token, too');
is(webhook($step, Digits => '3')->{content}, $third->{content}, 'so is a key');
is(webhook($step, Digits => '1')->{content}, $third->{content}, 'whatever is pressed in a second request for the same step');
is(webhook("/twilio/dtmf?step=9&token=$inbound", Digits => '1')->{status}, 404, 'a step ahead');
my @genuine = request_for($next, Digits => '2');
my %wrong = (
    'another signature' => sub { my ($path, $headers, $body) = @_; ($path, { %$headers, 'X-Twilio-Signature' => signature("$base/twilio/voice") }, $body) },
    'no signature' => sub { my ($path, $headers, $body) = @_; ($path, { %$headers, 'X-Twilio-Signature' => '' }, $body) },
    'a truncated body' => sub { my ($path, $headers, $body) = @_; ($path, $headers, substr $body, 0, -1) },
    'no body' => sub { my ($path, $headers) = @_; ($path, $headers, '') },
    'a parameter more' => sub { my ($path, $headers, $body) = @_; ($path, $headers, "$body&x=1") },
    'another query' => sub { my ($path, $headers, $body) = @_; ("$path&x=1", $headers, $body) },
    'another order of the query' => sub { my ($path, $headers, $body) = @_; $path =~ s/\?(step=\d+)&(.*)/?$2&$1/; ($path, $headers, $body) },
    'another path' => sub { my ($path, $headers, $body) = @_; $path =~ s/dtmf/transfer/; ($path, $headers, $body) },
    'another type' => sub { my ($path, $headers, $body) = @_; ($path, { %$headers, 'Content-Type' => 'application/json' }, $body) },
    'signed for where it was sent' => sub { request_for($next, Digits => '2', -url => "http://127.0.0.1:$gateway->{twilio}$next") },
    'signed for what a stranger says he is' => sub { request_for($next, Digits => '2', -url => "https://evil.example$next", -headers => { 'X-Forwarded-Host' => 'evil.example', 'X-Forwarded-Proto' => 'https' }) },
);
for my $way (sort keys %wrong)
{
    my $answer = post($gateway, $wrong{$way}->(@genuine));
    is($answer->{status}, 403, "$way is refused");
    is($answer->{content}, '<?xml version="1.0" encoding="UTF-8"?><Response/>', "$way: with TwiML");
}
for my $other ([ 'PUT', $next, 405 ], [ 'HEAD', $next, 405 ], [ 'DELETE', '/twilio/status', 405 ], [ 'POST', '/twilio/dance', 404 ], [ 'POST', '/twilio/voice/', 404 ], [ 'POST', '/twilio//voice', 404 ],
    [ 'POST', '/x/twilio/voice', 404 ], [ 'GET', '/metrics', 404 ], [ 'GET', '/', 404 ], [ 'POST', '/v1/call/stream/x', 404 ])
{
    my ($method, $path, $status) = @$other;
    my (undef, $headers, $body) = request_for($path, Digits => '2');
    is(ask($gateway, $method, $path, port => $gateway->{twilio}, headers => $headers, $method eq 'HEAD' ? () : (body => $body))->{status}, $status, "$method $path");
}
is(post($gateway, request_for($next, Digits => '2', Padding => 'x' x 65536))->{status}, 413, 'what is larger than any webhook');
is(post($gateway, request_for($next, map { ("p$_" => 1) } 1 .. 600))->{status}, 400, 'what has more parameters than any webhook');
is(ask($gateway, 'POST', '/twilio/voice')->{status}, 404, 'clients have another port');
is(everything(), $before, 'and nothing of all that has changed anything');

# ---- by which URL ----

# A request by hand, with any header.
sub by_hand
{
    my ($port, $text) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die;
    print $socket $text;
    my $answer = do { local $/; <$socket> };
    return $answer =~ /^HTTP\/1\.1 (\d+)/ ? $1 : $answer;
}
my ($path, $headers, $body) = request_for('/twilio/status', CallStatus => 'in-progress', SequenceNumber => 2);
my $lines = join '', map { "$_: $headers->{$_}\r\n" } sort keys %$headers;
my $rest = "Connection: close\r\nContent-Length: " . length($body) . "\r\n$lines\r\n$body";
is(by_hand($gateway->{twilio}, "POST $path HTTP/1.1\r\nHost: anybody.example\r\n$rest"), 204, 'the host that a request names counts for nothing');
is(by_hand($gateway->{twilio}, "POST $path HTTP/1.1\r\nHost: x\r\nX-Twilio-Signature: x\r\n$rest"), 403, 'of two signatures none counts');

my $proxied = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--proxy', '10.0.0.0/8', '--proxy', '127.0.0.1');
my $plain = start_gateway($node, '--twilio-listen', '127.0.0.1:0');
wait_until_connected(9 + 12 + 12);
my %forwarded = ('X-Forwarded-Host' => 'Front.example:8443, inner', 'X-Forwarded-Proto' => 'https');
my @status = ('/twilio/status', CallStatus => 'in-progress');
is(post($proxied, request_for(@status, SequenceNumber => 3, -url => 'https://Front.example:8443/twilio/status', -headers => \%forwarded))->{status}, 204, 'a proxy of ours says what was asked for');
is(post($proxied, request_for(@status, SequenceNumber => 4))->{status}, 204, 'if it does not, the endpoint knows');
is(post($proxied, request_for(@status, SequenceNumber => 5, -headers => { %forwarded, 'X-Forwarded-Host' => 'a b' }))->{status}, 204, 'or says nonsense');
is(post($plain, request_for(@status, SequenceNumber => 6, -url => 'https://Front.example:8443/twilio/status', -headers => \%forwarded))->{status}, 403, 'anybody else does not');
is(post($plain, request_for(@status, SequenceNumber => 7, -headers => \%forwarded))->{status}, 204, 'whatever he says');

# ---- by GET, and in JSON ----

my %params = (AccountSid => $account, CallSid => 'CA' . 'b' x 32, From => '+12025550123', To => '+12025550100', CallStatus => 'ringing');
$path = '/twilio/voice?' . form(%params);
my $got = ask($gateway, 'GET', $path, port => $gateway->{twilio}, headers => { 'X-Twilio-Signature' => signature("$base$path") });
my $second = heard('a call by GET', $got, qr/Welcome/);
is(ask($gateway, 'GET', $path, port => $gateway->{twilio}, headers => { 'X-Twilio-Signature' => signature($base) })->{status}, 403, 'is signed as well');
heard('goes on', webhook($second, CallSid => 'CA' . 'b' x 32, Digits => '2'), qr/Menu/);
my $json = '{"AccountSid": "' . $account . '", "CallSid": "CA' . 'b' x 32 . '", "To": "+12025550100", "CallStatus": "in-progress", "SequenceNumber": "1"}';
$path = '/twilio/status?bodySHA256=' . Digest::SHA::sha256_hex($json);
is(post($gateway, $path, { 'Content-Type' => 'application/json', 'X-Twilio-Signature' => signature("$base$path") }, $json)->{status}, 204, 'JSON, whose digest is signed');
is(post($gateway, $path, { 'Content-Type' => 'application/json', 'X-Twilio-Signature' => signature("$base$path") }, "$json ")->{status}, 403, 'but no other');

# ---- nobody keeps it waiting ----

my $holder = $node->background_psql('postgres', on_error_stop => 0);
$holder->query_safe('BEGIN; SELECT FROM mulberry_internal.agents FOR UPDATE; SELECT FROM mulberry_internal.inbound_calls FOR UPDATE');
my $ack = "/twilio/ack?step=1&token=$placed";
my $again = heard('a client holds the agent', webhook($ack, CallSid => 'CA' . 'c' x 32, Digits => '5#'), qr/<Pause.*<Redirect/);
like($again, qr/digits=5%23/, 'the digits go with the redirection');
my $later = heard('and the call', webhook($next, Digits => '3'), qr/<Pause.*<Redirect/);
my $answer = webhook("/twilio/status?token=$placed", CallSid => 'CA' . 'c' x 32, CallStatus => 'completed', SequenceNumber => 9);
is("$answer->{status} $answer->{headers}{'retry-after'}", '503 1', 'what nobody hears is to come again');
$holder->query_safe('COMMIT');
heard('a second later', webhook($again, CallSid => 'CA' . 'c' x 32), qr/Thank you/);
is(sql("SELECT acknowledged FROM mulberry_internal.voice_calls WHERE token = '$placed'"), 't', 'the digits of the redirection were taken');
$next = heard('the key of the other', webhook($later), qr/Nothing more/);

# clients that wait for each other have their own connections
$holder->query_safe('BEGIN; LOCK mulberry_internal.calls');
my $client = IPC::Run::start([ 'curl', '-s', '-H', 'Content-Type: application/json', '-d', '{"sequence":0,"data":"x","timestamp":1}', "http://127.0.0.1:$gateway->{port}/v1/call/stream/held" ], '<', '/dev/null', '>', \my $packet);
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'mulberry-gateway' AND wait_event_type = 'Lock'}) or die;
is(webhook('/twilio/status', CallStatus => 'in-progress', SequenceNumber => 20)->{status}, 204, 'a packet that waits keeps no webhook waiting');
$holder->query_safe('COMMIT');
$client->finish;

# and by its address no caller is sent away: a proxy brings all of them
my @sockets = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $gateway->{twilio}) } 1 .. 20;
my @answers;
for my $i (0 .. $#sockets)
{
    my ($p, $h, $b) = request_for('/twilio/status', CallStatus => 'in-progress', SequenceNumber => 21 + $i);
    print { $sockets[$i] } "POST $p HTTP/1.1\r\nHost: x\r\n", map({ "$_: $h->{$_}\r\n" } keys %$h), 'Content-Length: ', length $b, "\r\n\r\n$b";
}
foreach my $socket (@sockets) { push @answers, scalar <$socket> }
is(scalar(grep { /^HTTP\/1\.1 204/ } @answers), 20, 'twenty connections of one address are served');

# ---- a connection that is lost ----

# while SQL works on it: nobody knows whether it was stored, and it is sent again
$before = sql('SELECT turn FROM mulberry_internal.inbound_calls WHERE token = ' . "'$inbound'");
sql('INSERT INTO slow DEFAULT VALUES');
my ($p, $h, $b) = request_for($next, Digits => '3', -idempotency => 'lost');
my $caller = IPC::Run::start([ 'curl', '-s', map({ ('-H', "$_: $h->{$_}") } sort keys %$h), '--data-binary', $b, "http://127.0.0.1:$gateway->{twilio}$p" ], '<', '/dev/null', '>', \my $said);
my $stalled = q{FROM pg_stat_activity WHERE application_name = 'mulberry-gateway' AND wait_event = 'PgSleep'};
$node->poll_query_until('postgres', "SELECT count(*) = 1 $stalled") or die;
sql("DELETE FROM slow; SELECT pg_terminate_backend(pid) $stalled");
$caller->finish;
like($said, qr/Nothing more/, 'a caller hears the answer when it was');
is(sql("SELECT turn FROM mulberry_internal.inbound_calls WHERE token = '$inbound'"), $before + 1, 'and the call has gone one step further');
is(webhook($next, Digits => '1', -idempotency => 'lost')->{content}, $said, 'if it was stored the same is answered again');
($next) = $said =~ /action="\Q$base\E([^"]+)/;
$next =~ s/&amp;/&/g;

# ---- what is slow ----

my $hasty = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $base, '--webhook-deadline', 300, @apology);
wait_until_connected(9 + 12 + 12 + 12);
my $sorry = qr{<Response><Say voice="Polly.Vicki" language="de-DE">Bitte rufen Sie sp\xc3\xa4ter an.</Say><Hangup/></Response>};
sql('INSERT INTO slow DEFAULT VALUES');
heard('SQL takes its time', post($hasty, request_for($next, Digits => '3')), $sorry);
$answer = post($hasty, request_for('/twilio/status', CallStatus => 'in-progress', SequenceNumber => 50));
is("$answer->{status} $answer->{headers}{'retry-after'}", '503 1', 'a status comes again');
sql("DELETE FROM slow; SELECT pg_cancel_backend(pid) $stalled");
like(ask_admin($hasty, '/metrics')->{content}, qr/webhooks_total\{outcome="apology"\} 1\n.*outcome="put_off"\} 1\n.*webhooks_late_total 2\n/s, 'both were counted');

# ---- what is away ----

my %all = ('voice' => { CallSid => 'CA' . 'e' x 32 }, "dtmf?step=9&token=$inbound" => { Digits => 1 }, "transfer?step=9&token=$inbound" => {}, "ack?step=9&token=$placed" => { CallSid => 'CA' . 'c' x 32 });
$node->stop('immediate');
for my $spoken (sort keys %all)
{
    heard("no database: $spoken", webhook("/twilio/$spoken", %{ $all{$spoken} }), $sorry);
}
for my $silent ('status', "recording?token=$inbound", "transcription?token=$inbound")
{
    $answer = webhook("/twilio/$silent", CallStatus => 'completed', SequenceNumber => 99);
    is("$answer->{status} $answer->{headers}{'retry-after'}", '503 1', "no database: $silent");
}
my $until = time + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.1 while ask($gateway, 'GET', '/twilio/health')->{status} == 200 && time < $until;
is(ask($gateway, 'GET', '/twilio/health')->{content}, '{"status":"unavailable","active_sessions":null}', 'no database: health says so');
$node->start;
$until = time + $PostgreSQL::Test::Utils::timeout_default;
$answer = webhook('/twilio/voice', CallSid => 'CA' . 'f' x 32);
while ($answer->{content} =~ $sorry && time < $until)
{
    sleep 0.2;
    $answer = webhook('/twilio/voice', CallSid => 'CA' . 'f' x 32);
}
heard('when it is back', $answer, qr/Welcome/);
is(sql(q{SELECT count(*) FROM mulberry_internal.inbound_calls WHERE sid = 'CA' || repeat('f', 32)}), '1', 'the call is stored, once');

$until = time + $PostgreSQL::Test::Utils::timeout_default;
sleep 0.2 while ask($gateway, 'GET', '/twilio/health')->{status} != 200 && time < $until;
is(ask($gateway, 'GET', '/twilio/health')->{json}{status}, 'healthy', 'the telephone is healthy again');

# what else SQL refuses: a role that may not, a function that is broken
sql(q{SELECT mulberry.revoke_access('gate', 'gateway', NULL)});
heard('a role that may not', webhook('/twilio/voice', CallSid => 'CA' . 'e' x 32), $sorry);
is(webhook('/twilio/status', CallStatus => 'completed', SequenceNumber => 98)->{status}, 503, 'a role that may not: status');
sql(q{SELECT mulberry.grant_access('gate', 'gateway', NULL)});
like(log_of_gateway($gateway), qr/"a caller was told that nobody can take the call"/, 'the log tells of them');
unlike(log_of_gateway($_), qr/12025550|\Q$token\E|CA[a-f]{32}/, 'and of no number, no token and no call') foreach $gateway, $hasty, $proxied, $plain;

# ---- the end ----

$gateway->{run}->signal('TERM');
$gateway->{run}->finish;
is($gateway->{run}->result(0) // 0, 0, 'it ends in order');
$holder->quit;
$node->stop;
done_testing();
