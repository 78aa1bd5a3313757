# Line quality: signed frames over a bad line.  Each frame is played through white noise at 15 dB, a twist of
# up to 3 dB either way, and mu-law; what was not understood is played again.  At least 99.5 % are
# accepted at the first playing, the others after a repeat, and none is taken for a forgery.
#
# MULBERRY_LINE_FRAMES is the number of frames: 50, and 1,000 in the campaign.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::Cluster;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $frames = $ENV{MULBERRY_LINE_FRAMES} // 50;
my $snr_db = 15;
my $playings = 3;    # of each frame, at most
my $chunk = 50;

my $node = mulberry_cluster('line', preload => 0, conf => "fsync = off");
my $dir = PostgreSQL::Test::Utils::tempdir();

$node->safe_psql('postgres', <<'SQL');
SELECT mulberry.create_agent('pi');
SELECT mulberry.create_mandate('12345678', 'pi', 'sponsor', 100, 'EUR', '2999-01-01');
SELECT mulberry.create_voice_key('pi', 1);
CREATE TABLE line (frame integer, playing integer, audio text);
CREATE TABLE outcome (frame integer PRIMARY KEY, playings integer, verdicts text[], ack boolean);
SQL
append_to_file("$dir/key", $node->safe_psql('postgres', q{CALL mulberry.export_voice_key('pi', 1)}) . "\n");
$node->safe_psql('postgres', "\\copy mulberry.voice_key_entry (key) FROM '$dir/key'");

# A generator of our own (Lehmer's, MINSTD), so that a failure comes again wherever it is run.
my $state = 20_250_101;
sub uniform
{
    $state = ($state * 16_807) % 2_147_483_647;
    return $state / 2_147_483_647;
}

# 16-bit samples with white noise, $snr_db below the power of the tones while they sound.
sub noisy
{
    my ($bytes, $tone_power) = @_;
    my $sigma = sqrt($tone_power / 10**($snr_db / 10));
    my @samples = unpack('s<*', $bytes);
    for (my $i = 0; $i < @samples; $i += 2)
    {
        # Box and Muller
        my $radius = $sigma * sqrt(-2 * log(uniform()));
        my $angle = 6.283185307179586 * uniform();
        $samples[$i] += $radius * cos($angle);
        $samples[ $i + 1 ] += $radius * sin($angle) if $i + 1 < @samples;
    }
    return pack('s<*', map { $_ > 32767 ? 32767 : $_ < -32768 ? -32768 : $_ < 0 ? int($_ - 0.5) : int($_ + 0.5) } @samples);
}

# Mean square of the tones while they sound.
sub tone_power
{
    my @samples = unpack('s<320', substr(shift, 2 * 160, 640));    # 20 to 60 ms: within the first tone
    my $sum = 0;
    $sum += $_ * $_ foreach @samples;
    return $sum / @samples;
}

for (my $first = 1; $first <= $frames; $first += $chunk)
{
    my $last = $first + $chunk - 1 < $frames ? $first + $chunk - 1 : $frames;
    # commands of all kinds, with what the sender signs with
    my @clean = split /\n/, $node->safe_psql('postgres', <<"SQL");
SELECT n, encode(mulberry.dtmf_synthesize(f.frame, 's16le', 8000, twist_db => n % 7 - 3), 'hex')
  FROM generate_series($first, $last) n, mulberry_internal.voice_keys k,
       LATERAL (SELECT (ARRAY['SUSPEND', 'QUERY', 'RESUME', 'EXTEND'])[1 + n % 4] AS command) c,
       mulberry_internal.sign_frame(k.tenant, k.agent, k.key_id, c.command, '12345678', CASE c.command WHEN 'EXTEND' THEN 1 + n % 99 ELSE 0 END, n, NULL) f
 WHERE k.role = 'sender' ORDER BY n
SQL
    my $lines = '';
    foreach my $line (@clean)
    {
        my ($n, $hex) = split /\|/, $line;
        my $bytes = pack('H*', $hex);
        my $power = tone_power($bytes);
        $lines .= join("\t", $n, $_, unpack('H*', noisy($bytes, $power))) . "\n" foreach 1 .. $playings;
    }
    unlink "$dir/lines";
    append_to_file("$dir/lines", $lines);
    $node->safe_psql('postgres', "TRUNCATE line;\n\\copy line FROM '$dir/lines'\n" . <<'SQL');
DO $$
DECLARE
    played record;
    answer mulberry.command_answer;
BEGIN
    FOR played IN SELECT * FROM line ORDER BY frame, playing LOOP
        CONTINUE WHEN EXISTS (SELECT FROM outcome o WHERE o.frame = played.frame AND 'accepted' = ANY (o.verdicts));
        answer := mulberry.handle_call_audio(mulberry.audio_convert(decode(played.audio, 'hex'), 's16le', 8000, 'mulaw', 8000),
                                             'mulaw', 8000, NULL, 'CA' || played.frame);
        INSERT INTO outcome AS o VALUES (played.frame, 1, ARRAY[answer.verdict], answer.ack_digits ~ '^\*[0-9]{20}#$')
        ON CONFLICT (frame) DO UPDATE SET playings = o.playings + 1, verdicts = o.verdicts || answer.verdict, ack = EXCLUDED.ack;
    END LOOP;
END $$;
SQL
}

my ($all, $at_first, $in_the_end, $acked) = split /\|/, $node->safe_psql('postgres', <<'SQL');
SELECT count(*), count(*) FILTER (WHERE verdicts[1] = 'accepted'), count(*) FILTER (WHERE 'accepted' = ANY (verdicts)), count(*) FILTER (WHERE ack) FROM outcome
SQL
my $others = $node->safe_psql('postgres',
    q{SELECT coalesce(string_agg(DISTINCT v, ', '), '') FROM outcome, unnest(verdicts) v WHERE v NOT IN ('accepted', 'decode error', 'no frame')});
note(sprintf 'of %d frames %d were accepted at the first playing (%.2f %%), %d in the end', $all, $at_first, 100 * $at_first / $all, $in_the_end);
is($all, $frames, "$frames frames were played");
cmp_ok($at_first, '>=', 0.995 * $frames, 'at least 99.5 % are accepted at the first playing')
  or diag($node->safe_psql('postgres', q{SELECT frame, verdicts FROM outcome WHERE verdicts[1] <> 'accepted'}));
is($in_the_end, $frames, 'the rest after a repeat');
is($acked, $frames, '... and answered with an acknowledgement');
is($others, '', 'no other verdict, and so no forgery');
is($node->safe_psql('postgres', 'SELECT count(*) FROM mulberry_internal.key_guard WHERE cardinality(forgeries) > 0'), '0', '... nor was one counted');
is($node->safe_psql('postgres', q{SELECT last_counter FROM mulberry_internal.voice_keys WHERE role = 'receiver'}), $frames, 'the last counter is that of the last frame');

$node->stop;
done_testing();
