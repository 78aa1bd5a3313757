# A clinic whose calls go to its agent as a stream, and such calls, for tests of streams.
package Mulberry::MediaCalls;

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(hmac_sha1_base64);
use Mulberry::Gateway;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

use Exporter 'import';
our @EXPORT = qw($media_account $media_token $media_base make_clinic inbound_call socket_signature noise prompt told audio_of track poll_until session_of);

our $media_account = 'AC' . '1' x 32;
our $media_token = 'secret of twilio';
our $media_base = 'https://hooks.example/base';

# Audio that is no silence and none of whose frames is like another.
sub noise
{
    my ($seed, $n) = @_;
    my $state = $seed;
    # the lower half of mu-law's steps: no packet may look like a file
    return join '', map { $state = ($state * 1103515245 + 12345) % 2147483648; chr(($state >> 16 & 0x3f) | 0x20 | ($state >> 22 & 0x80)) } 1 .. $n;
}

# How sentences sound, mu-law: their length in seconds is in the list.
my %lengths = ('How can I help you?' => 1.5, 'Welcome' => 0.5, '1 for yes, 2 for no' => 0.5, 'Nothing more' => 0.4, 'Long story' => 8, 'One moment' => 0.4);
sub prompt
{
    my ($text) = @_;
    return noise(length($text) * 7919 + ord $text, $lengths{$text} * 8000);
}

# A tenant with settings, sentences that sound, and a role for the gateway.  Others: $more, members of its settings.
sub make_clinic
{
    my ($node, %option) = @_;
    my $name = $option{name} // 'clinic';
    my $number = $option{number} // '+12025550100';
    my $account = $option{account} // $media_account;
    my $settings = $option{settings} // '"recording": "always", "answer_with": "agent"';
    my $secret = $option{secret} // $media_token;
    my $prompts = join '', map { sprintf "SELECT mulberry.set_prompt('%s', mulberry.wav_encode('\\x%s', 'mulaw', 8000), '%s');\n", $_, unpack('H*', prompt($_)), $name } sort keys %lengths;
    $node->safe_psql('postgres', <<"SQL");
DO \$\$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gate') THEN CREATE ROLE gate LOGIN; PERFORM mulberry.grant_access('gate', 'gateway', NULL); END IF; END \$\$;
SELECT mulberry.create_tenant('$name');
SELECT mulberry.set_endpoint('phone', 'twilio', purpose => 'telephony', secret => 'token', tenant => '$name',
    options => '{"account_sid": "$account", "from": "+15005550006", "public_url": "$media_base"}');
SELECT mulberry.set_telephony('{"numbers": ["$number"], "greeting": "Welcome", "transfer_number": "+12025550199", $settings,
    "menus": {"main": {"text": "Menu", "keys": {"1": {"action": "transfer", "text": "One moment"}, "3": {"action": "say", "text": "Nothing more"}, "4": {"action": "say", "text": "Long story"}}}}}', '$name');
COPY mulberry.secret_entry FROM stdin;
$name\ttoken\t$secret
\\.
$prompts
SQL
    return;
}

sub signature { my ($url, $token, %params) = @_; return hmac_sha1_base64($url . join('', map { $_ . $params{$_} } sort keys %params), $token) . '=' }

# What the upgrade has.
sub socket_signature
{
    my ($token, $url) = @_;
    return signature($url // ($media_base =~ s/^https/wss/r) . '/twilio/ws', $token // $media_token);
}

# A call comes in and is connected: { url, call, token, account, next }.
sub inbound_call
{
    my ($gateway, $letter, %option) = @_;
    my $account = $option{account} // $media_account;
    my %params = (AccountSid => $account, CallSid => 'CA' . (length $letter == 32 ? $letter : $letter x 32), From => '+12025550123', To => $option{number} // '+12025550100', CallStatus => 'ringing');
    my $path = $option{path} // '/twilio/voice';
    %params = (%params, %{ $option{params} // {} });
    my $body = join '&', map { my $v = $params{$_}; $v =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge; "$_=$v" } sort keys %params;
    my $answer = ask($gateway, 'POST', $path, port => $gateway->{twilio}, body => $body,
        headers => { 'Content-Type' => 'application/x-www-form-urlencoded', 'X-Twilio-Signature' => signature($media_base . $path, $option{secret} // $media_token, %params) });
    my ($url) = $answer->{content} =~ /<Stream url="([^"]*)"/;
    my ($token) = $answer->{content} =~ /name="token" value="([^"]*)"/;
    my ($next) = $answer->{content} =~ /<Redirect[^>]*>\Q$media_base\E([^<]*)/;
    $next =~ s/&amp;/&/g if defined $next;
    return { url => $url, token => $token, call => $params{CallSid}, account => $account, next => $next, content => $answer->{content} };
}

# What is stored of a track, and what should be: its length and its digest, which are short enough to be shown.
sub told { my ($audio) = @_; return length($audio) . ' ' . md5_hex($audio) }

sub audio_of
{
    my ($call, $track) = @_;
    return qq{SELECT encode(string_agg(p.data, '' ORDER BY p.sequence), 'hex') FROM mulberry_internal.packets p JOIN mulberry_internal.all_tracks k ON k.id = p.call
        JOIN mulberry_internal.calls c ON c.id = k.call WHERE c.call_id = '$call' AND k.name = '$track'};
}
sub track { my ($node, @which) = @_; return told(pack 'H*', $node->safe_psql('postgres', audio_of(@which))) }

# The end of the last session of a call: reason and figures.
sub session_of
{
    my ($node, $call) = @_;
    $node->poll_query_until('postgres', qq{SELECT bool_and(m.ended_at IS NOT NULL) FROM mulberry_internal.media_sessions m JOIN mulberry_internal.inbound_calls i ON i.id = m.inbound WHERE i.sid = '$call'}) or die "$call has not ended";
    return $node->safe_psql('postgres', qq{SELECT m.reason FROM mulberry_internal.media_sessions m JOIN mulberry_internal.inbound_calls i ON i.id = m.inbound WHERE i.sid = '$call' ORDER BY m.id DESC LIMIT 1});
}

sub poll_until
{
    my ($look, $what) = @_;
    my $end = time + $PostgreSQL::Test::Utils::timeout_default;
    while (time < $end)
    {
        return 1 if $look->();
        sleep 0.05;
    }
    die "not in time: $what";
}

1;
