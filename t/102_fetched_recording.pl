# Recordings of calls that came in: asked for by their names at the account, never at a URL that a webhook brings; stored once, as the tracks
# of the call, and transcribed; tried again while Twilio fails; and nobody's whose job is gone.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use Mulberry::StandIn;
use Mulberry::Twilio;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = mulberry_cluster('fetched_recording', conf => "mulberry.grace_period = '300ms'\nmulberry.ai_max_attempts = 6");
sub sql { return $node->safe_psql('postgres', @_) }
sub becomes { my ($what, $query, $expected) = @_; ok($node->poll_query_until('postgres', $query, $expected), $what) or diag sql($query); return }

my ($account, $token) = ('AC' . 'a' x 32, 'secret of twilio');
my $ai = Mulberry::StandIn->new;
my $dir = PostgreSQL::Test::Utils::tempdir();
my $twilio = Mulberry::Twilio->new(log => "$dir/twilio.log", account => $account, token => $token, psql => $node->installed_command('psql'));

# A WAV of PCM: a second for each channel, each of another loudness.
sub wav
{
    my (@levels) = @_;
    my $data = join '', map { my $n = $_; pack 's<*', map { $n % 20 < 10 ? $_ : -$_ } @levels } 0 .. 7999;
    return pack('A4 V A4 A4 V v v V V v v A4 V', 'RIFF', 36 + length $data, 'WAVE', 'fmt ', 16, 1, scalar @levels, 8000, 16000 * @levels, 2 * @levels, 16, 'data', length $data) . $data;
}
my %files = (two => wav(8000, 2000), one => wav(5000), broken => 'RIFF no sound at all');
foreach my $name (keys %files) { open my $file, '>:raw', "$dir/$name.wav" or die; print $file $files{$name}; close $file }

sql(<<"SQL");
SELECT mulberry.create_tenant('clinic');
SELECT mulberry.set_endpoint('ears', 'openai', '@{[ $ai->url('says-good-day') ]}/v1', tenant => 'clinic', allow_http => true, allow_private => true);
SQL
sub telephone
{
    my ($behaviour) = @_;
    sql(sprintf q{SELECT mulberry.set_endpoint('phone', 'twilio', '%s', purpose => 'telephony', secret => 'token', tenant => 'clinic', allow_http => true, allow_private => true,
        options => '{"account_sid": "%s", "from": "+15005550006", "public_url": "https://hooks.example"}')}, $twilio->url($behaviour), $account);
    return;
}
telephone('wav=two');
sql("COPY mulberry.secret_entry FROM stdin;\nclinic\ttoken\t$token\n\\.\n");
sql(q{SELECT mulberry.set_telephony('{"numbers": ["+12025550100"], "greeting": "Welcome", "recording": "always", "menus": {"main": {"text": "Menu", "keys": {"1": {"action": "record"}}}}}', 'clinic')});

# A webhook, signed in the database: status.
sub webhook
{
    my ($path, %params) = @_;
    my $pairs = join ', ', map { "'$_', '$params{$_}'" } sort keys %params;
    return sql(<<"SQL");
WITH p AS (SELECT jsonb_build_object('AccountSid', '$account', 'To', '+12025550100', 'From', '+12025550123', $pairs) AS params),
     u AS (SELECT 'https://hooks.example/twilio/' || replace('$path', 'TOKEN', coalesce((SELECT token::text FROM mulberry_internal.inbound_calls WHERE sid = '$params{CallSid}'), '')) AS url)
SELECT r.status FROM p, u, mulberry.handle_twilio_request(u.url, (SELECT convert_to(string_agg(key || '=' || replace(value, '+', '%2B'), '&'), 'UTF8') FROM jsonb_each_text(p.params)),
    'application/x-www-form-urlencoded', mulberry.twilio_signature(u.url, p.params, '$token')) AS r;
SQL
}
sub sid { my ($letter) = @_; return 'CA' . $letter x 32 }
sub recording { my ($digit) = @_; return 'RE' . $digit x 32 }
sub recorded
{
    my ($call, $digit, %more) = @_;
    return webhook('recording?token=TOKEN', CallSid => $call, RecordingSid => recording($digit), RecordingStatus => 'completed', RecordingDuration => 1,
        RecordingUrl => 'http://127.0.0.1:1/evil', %more);
}
sub asked { my ($digit) = @_; return grep { $_->{kind} eq 'media' && $_->{about} eq recording($digit) } $twilio->entries('request') }

# ---- a call on two channels ----

my $call = sid('a');
is(webhook('voice', CallSid => $call), 200, 'a call');
is(recorded($call, 1), 204, 'its recording is there');
becomes('it becomes a call that is transcribed', "SELECT state || ' ' || transcription FROM mulberry.call_status WHERE call_id = '$call'", "ARCHIVED good day\ngood day");
is(sql("SELECT string_agg(track || ' ' || encoding || ' ' || sample_rate || ' ' || packets, ', ' ORDER BY track) FROM (SELECT t.name AS track, t.encoding, t.sample_rate, (SELECT count(*) FROM mulberry.call_packets p WHERE p.call_id = c.call_id AND p.track = t.name) AS packets
    FROM mulberry_internal.all_tracks t JOIN mulberry_internal.calls c ON c.id = t.call WHERE c.call_id = '$call') AS x"), 'agent s16le 8000 10, caller s16le 8000 10', 'a track for each channel');
is(scalar(asked(1)), 1, 'asked for once');
my ($request) = asked(1);
is("$request->{user} $request->{path} $request->{query}{RequestedChannels}", "$account /2010-04-01/Accounts/$account/Recordings/" . recording(1) . '.wav 2', 'by its name, as the account');
is(sql(q{SELECT state FROM mulberry_internal.job_history WHERE kind = 'fetch'}), 'done', 'the job is done');
is(recorded($call, 1), 204, 'the callback again');
is(recorded($call, 1, RecordingChannels => 2), 204, 'and in another form');
is(sql(q{SELECT count(*) FROM mulberry_internal.job_queue WHERE kind = 'fetch'}), '0', 'never has it fetched again');

# ---- another one of the same call ----

telephone('wav=one');
is(recorded($call, 2), 204, 'a message, on one channel');
my $beside = "$call/" . recording(2);
becomes('becomes a call beside it', "SELECT state || ' ' || transcription FROM mulberry.call_status WHERE call_id = '$beside'", 'ARCHIVED good day');

# ---- a service that fails ----

telephone('wav=one,media=500,times=2');
my $patient = sid('b');
is(webhook('voice', CallSid => $patient), 200, 'another call');
is(recorded($patient, 3), 204, 'whose recording Twilio does not give at first');
becomes('it is asked for again', "SELECT transcription FROM mulberry.call_status WHERE call_id = '$patient'", 'good day');
cmp_ok(scalar(asked(3)), '>=', 3, 'until it comes');
telephone('wav=broken');
is(recorded($patient, 4), 204, 'a recording that is none');
becomes('is given up', q{SELECT state || ' ' || (last_error ~ 'cannot be kept') FROM mulberry_internal.job_history WHERE payload->>'recording_sid' = 'RE' || repeat('4', 32)}, 'dead true');
is(sql("SELECT count(*) FROM mulberry.call_status WHERE call_id ~ '^$patient/'"), '0', 'and leaves nothing');

# ---- nobody else's ----

# a worker has no way to store packets but by a job whose lease it holds
sql(q{CREATE ROLE labourer LOGIN; SELECT mulberry.grant_access('labourer', 'worker', NULL)});
for my $way (q{SELECT * FROM mulberry.ingest_recording('x', '\x00', tenant => 'clinic')}, q{SELECT mulberry_internal.ingest_packets_of(NULL, NULL, NULL, NULL, NULL, NULL, NULL)},
    q{SELECT mulberry_internal.store_recording(NULL, 'x', '\x00', NULL, NULL, NULL, NULL, true, 100, true)}, q{SELECT mulberry_internal.erase_call_of(NULL, 'x')}, q{SELECT mulberry_internal.complete_call_of('x', 1, NULL, NULL, NULL)})
{
    my ($ret, $out, $err) = $node->psql('postgres', "SET ROLE labourer; $way");
    like($err, qr/permission denied|has no ingest access/, "a worker may not: $way");
}
sql(q{SELECT mulberry_internal.telephony_answer(1, 1, 'answered', 200, '0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '\x00')});
is(sql('SELECT count(*) FROM mulberry.call_status'), '3', 'an answer without a lease is nothing');

# ---- what is erased ----

telephone('wav=one,media=500');
is(recorded($call, 5), 204, 'a recording that waits');
sql("SELECT mulberry.erase_call('$call', 'clinic')");
is(sql("SELECT count(*) FROM mulberry.call_status WHERE call_id ~ '^$call'"), '0', 'goes with its call, and so do those beside it');
is(sql(qq{SELECT count(*) FROM mulberry_internal.job_queue WHERE payload->>'call_sid' = '$call'}), '0', 'and the job');

$node->stop;
done_testing();
