# The whole product with real parts: a recording made by flite is streamed as
# wideband packets with losses, transcribed by mulberry-speech,
# judged, and followed by a subscriber.
use strict;
use warnings;

use IPC::Run qw(start);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

use Mulberry::Cluster;

my $speech = "$ENV{MULBERRY_PROGRAMS}/speech/mulberry-speech";
my $dir = PostgreSQL::Test::Utils::tempdir;
my $text = 'Thank you for calling. I have a wonderful new phone, and the service is great.';
system_or_bail('flite', '-voice', 'slt', '-t', $text, '-o', "$dir/call.wav");
system_or_bail('sox', "$dir/call.wav", '-r', '16000', '-c', '1', '-b', '16', '-e', 'signed-integer', '-t', 'raw',
    "$dir/call.raw");
my $audio = slurp_file("$dir/call.raw");

# at other programs' priority: else it may wait for them for minutes on a busy machine
my $engine = start([ $speech, '--port', '0', '--nice', '0', '--port-file', "$dir/port" ], '>', "$dir/speech.log", '2>&1');
for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
    last if -s "$dir/port";
    sleep 0.1;
}
chomp(my $port = slurp_file("$dir/port"));

my $node = mulberry_cluster('end_to_end', conf => "mulberry.grace_period = 500\n");
$node->safe_psql('postgres', <<"SQL");
CREATE ROLE pbx LOGIN;
SELECT mulberry.grant_access('pbx', 'ingest');
SELECT mulberry.set_endpoint('speech', kind => 'openai', base_url => 'http://127.0.0.1:$port/v1',
    timeout => '10 min', allow_http => true, allow_private => true);
SQL

# Packets of 20 ms; two are lost in the silence of the first tenth of a second,
# one comes ten packets late, one twice.
my @packets = unpack('(a640)*', $audio);
my $total = @packets;
my %lost = map { $_ => 1 } (1, 2);
my $late = 60;
my $sql = "SET ROLE pbx;\n";
sub packet
{
    my ($sequence) = @_;
    return sprintf "SELECT (p).status, (p).sequence FROM mulberry.ingest_packet('call', %d, '\\x%s', NULL, 's16le', 16000) p;\n",
      $sequence, unpack('H*', $packets[$sequence]);
}
for my $sequence (0 .. $total - 1)
{
    $sql .= packet($sequence) unless $lost{$sequence} || $sequence == $late;
    $sql .= packet($late) if $sequence == $late + 10;
    $sql .= packet($sequence) if $sequence == 90;
}
$sql .= "SELECT status FROM mulberry.complete_call('call', $total);\n";
my $answers = $node->safe_psql('postgres', $sql);
my @answers = split /\n/, $answers;

is(scalar(grep { /^accepted\|/ } @answers), $total - 2, 'every packet that was sent is accepted once');
is_deeply([ grep { /^duplicate/ } @answers ], ['duplicate|90'], 'the doubled one is a duplicate');

# a machine that does other things as well transcribes slowly
sub ends { return (ask_until($node, 'postgres', "SELECT state IN ('ARCHIVED', 'FAILED') FROM mulberry.call_status WHERE call_id = '$_[0]'", 't', 600))[0] }
ok(ends('call'), 'the call ends');
my ($state, $words, $sentiment, $missing) = split /\|/,
  $node->safe_psql('postgres', "SELECT state, transcription, sentiment, missing_sequences FROM mulberry.call_status");
is($state, 'ARCHIVED', 'it is archived') or diag(slurp_file($node->logfile), slurp_file("$dir/speech.log"));
like($words, qr/thank you for calling/i, 'the transcript has the beginning');
like($words, qr/service is great/i, 'and the end');
is($sentiment, 'positive', 'the customer is pleased');
is($missing, '{[1,3)}', 'the gaps are reported');
like($node->safe_psql('postgres', "CALL mulberry.test_endpoint('speech')"), qr/^200\|\d+\|one two three four five \w+\|$/,
    'what a test of the endpoint sends is speech');

# (events_since() waits a second for the numbers, which a busy machine may need)
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM mulberry.events_since(0) WHERE event = 'ai_completed'");
is($node->safe_psql('postgres', "SELECT string_agg(message ->> 'to_state', ' ' ORDER BY seq) FROM mulberry.events_since(0) WHERE event = 'state_changed'"),
    'COMPLETED PROCESSING_AI ARCHIVED', 'every change of state is an event');
is($node->safe_psql('postgres', "SELECT message ->> 'transcription' FROM mulberry.events_since(0) WHERE event = 'ai_completed'"),
    $words, 'so is the transcript');

my $wav = $node->safe_psql('postgres', "SELECT encode(mulberry.call_audio('call'), 'hex')");
my $stored = pack('H*', $wav);
is(substr($stored, 0, 4), 'RIFF', 'the audio comes back as a WAV');
is(length($stored), 44 + length($audio), 'of the length of the recording, silence in the gaps');
is(substr($stored, 44 + 640, 1280), "\0" x 1280, 'the gap is silent');
is(substr($stored, 44 + 3 * 640), substr($audio, 3 * 640), 'the rest is what was sent');

# ---- two speakers on two tracks, whose words overlap ----

my %said = (caller => 'Hello, I would like to order a new telephone.', agent => 'Thank you for calling, the service is great.');
system_or_bail('flite', '-voice', 'rms', '-t', $said{caller}, '-o', "$dir/caller.wav");
system_or_bail('flite', '-voice', 'slt', '-t', $said{agent}, '-o', "$dir/agent.wav");
# the agent begins 1.5 s after the caller, who has not finished
system_or_bail('sox', "$dir/agent.wav", '-r', '16000', "$dir/late.wav", 'pad', '1.5');
system_or_bail('sox', '-M', '-v', '0.9', "$dir/caller.wav", '-v', '0.9', "$dir/late.wav", '-r', '16000', '-b', '16', "$dir/stereo.wav");
my $stereo = unpack('H*', slurp_file("$dir/stereo.wav"));
is($node->safe_psql('postgres', "SET ROLE pbx; SELECT count(*) FROM mulberry.ingest_recording('stereo', '\\x$stereo', '{caller,agent}', complete => true)"), '2', 'a stereo recording has two tracks');
ok(ends('stereo'), 'its call ends');
my $segments = $node->safe_psql('postgres', q{SELECT track, start_ms, end_ms, text FROM mulberry.call_segments('stereo')});
like($node->safe_psql('postgres', q{SELECT string_agg(text, ' ' ORDER BY start_ms) FROM mulberry.call_segments('stereo') WHERE track = 'caller'}), qr/hello.*telephone/i, 'the caller') or diag $segments;
like($node->safe_psql('postgres', q{SELECT string_agg(text, ' ' ORDER BY start_ms) FROM mulberry.call_segments('stereo') WHERE track = 'agent'}), qr/thank you for calling/i, '... and the agent are each heard') or diag $segments;
is($node->safe_psql('postgres', q{SELECT min(start_ms) BETWEEN 1300 AND 2000 FROM mulberry.call_segments('stereo') WHERE track = 'agent'}), 't', '... in the time of the call') or diag $segments;
like($node->safe_psql('postgres', q{SELECT mulberry.call_transcript('stereo', 'srt')}), qr/1\n00:00:0\d,\d+ --> 00:00:0\d,\d+\ncaller: .*agent: /s, 'subtitles name them');
is($node->safe_psql('postgres', q{SELECT count(*) FROM mulberry.jobs WHERE call_id = 'stereo' AND state = 'done'}), '2', 'a job for each track');
like($node->safe_psql('postgres', q{SELECT transcription FROM mulberry.call_status WHERE call_id = 'stereo'}), qr/hello.*\n.*thank you/is, 'the transcript is of both');

$engine->signal('TERM');
$engine->finish;
$node->stop;
done_testing();
