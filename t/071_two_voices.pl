# Who said what, and when: two voices of flite talk, at times both at once, in a stereo recording. What comes out of
# the speech program is held against what flite was told to say and when it said it.
use strict;
use warnings;

use IPC::Run qw(start);
use JSON::PP;
use List::Util qw(max min sum0);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

use Mulberry::Cluster;

my $rate = 16000;
my $overlap = 0.7;      # seconds that each one begins before the other has finished
my %voices = (caller => 'rms', agent => 'slt');
my @said = (
    [ caller => 'Hello, I would like to talk about my contract.' ],
    [ agent => 'Good morning, and thank you for calling. What is your name?' ],
    [ caller => 'My name is John Miller, and I live in London.' ],
    [ agent => 'Thank you. What can I do for you today?' ],
    [ caller => 'The telephone has not been working since last Monday.' ],
    [ agent => 'I am very sorry to hear that. Have you tried to turn it off and on again?' ],
    [ caller => 'Yes, of course I have. It did not help at all.' ],
    [ agent => 'Then we will send you a new telephone tomorrow morning.' ],
    [ caller => 'That is wonderful. Thank you very much for your help.' ],
    [ agent => 'You are welcome. Have a nice day, and goodbye.' ]);

my $dir = PostgreSQL::Test::Utils::tempdir;
system_or_bail($ENV{CC} // 'cc', '-o', "$dir/say_words", "$ENV{TESTDIR}/t/lib/say_words.c",
    qw(-lflite_cmu_us_rms -lflite_cmu_us_slt -lflite_usenglish -lflite_cmulex -lflite -lm));

# ---- the recording, and the truth: [word, start, end] of each track ----

my (%samples, %truth);
my $now = 0.3;
for my $turn (@said)
{
    my ($who, $text) = @$turn;
    my ($words, $error) = run_command([ "$dir/say_words", $voices{$who}, $text, "$dir/turn.raw" ]);
    die $error if $error;
    my $turn_samples = slurp_file("$dir/turn.raw");
    my $begin = int($now * $rate);
    # they talk as loudly as each other, and over a line that is not quite silent
    $samples{$who} //= '';
    $samples{$who} .= "\0\0" x ($begin - length($samples{$who}) / 2);
    $samples{$who} .= $turn_samples;
    push @{ $truth{$who} }, map { my ($word, $start, $end) = split / /; [ $word, $start + $begin / $rate, $end + $begin / $rate ] } split /\n/, $words;
    $now = length($samples{$who}) / 2 / $rate - $overlap;
}
my $total = max(map { length($_) / 2 } values %samples);
my @left = unpack('s<*', $samples{caller});
my @right = unpack('s<*', $samples{agent});
my $data = pack('s<*', map { ($left[$_] // 0, $right[$_] // 0) } 0 .. $total - 1);
my $wav = pack('A4 V A4 A4 V v v V V v v A4 V', 'RIFF', 36 + length($data), 'WAVE', 'fmt ', 16, 1, 2, $rate, $rate * 4, 4, 16, 'data',
    length($data)) . $data;
my $both = 0;
for my $mine (@{ $truth{caller} })
{
    $both += sum0(map { max(0, min($mine->[2], $_->[2]) - max($mine->[1], $_->[1])) } @{ $truth{agent} });
}
cmp_ok($both, '>', 2, sprintf('they talk at once for %.1f s of %.1f', $both, $total / $rate));

# ---- in, and out again ----

my $engine = start([ "$ENV{MULBERRY_PROGRAMS}/speech/mulberry-speech", '--port', '0', '--nice', '0', '--port-file', "$dir/port" ], '>', "$dir/speech.log", '2>&1');
for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
    last if -s "$dir/port";
    sleep 0.1;
}
chomp(my $port = slurp_file("$dir/port"));
my $node = mulberry_cluster('two_voices', conf => "mulberry.grace_period = 500\n");
$node->safe_psql('postgres', sprintf q{SELECT mulberry.set_endpoint('speech', kind => 'openai', base_url => 'http://127.0.0.1:%d/v1',
    timeout => '10 min', allow_http => true, allow_private => true)}, $port);
$node->safe_psql('postgres', sprintf q{SELECT count(*) FROM mulberry.ingest_recording('talk', '\x%s', '{caller,agent}', complete => true)}, unpack('H*', $wav));
# a machine that does other things as well transcribes slowly
ok((ask_until($node, 'postgres', q{SELECT state IN ('ARCHIVED', 'FAILED') FROM mulberry.call_status WHERE call_id = 'talk'}, 't', 600))[0], 'the call ends');
is($node->safe_psql('postgres', q{SELECT state FROM mulberry.call_status WHERE call_id = 'talk'}), 'ARCHIVED', 'it is archived')
  or diag(slurp_file("$dir/speech.log"));
my $srt = $node->safe_psql('postgres', q{SELECT mulberry.call_transcript('talk', 'srt')});
my $json = decode_json($node->safe_psql('postgres', q{SELECT mulberry.call_transcript('talk', 'json')}));

# ---- the subtitles: who said it ----

sub seconds { my ($h, $m, $s, $ms) = $_[0] =~ /^(\d\d):(\d\d):(\d\d),(\d\d\d)$/ or die $_[0]; return $h * 3600 + $m * 60 + $s + $ms / 1000 }
sub words_of { return grep { /\w/ } map { s/[^\w']//gr } split ' ', lc $_[0] }

my @cues;
for (split /\n\n/, $srt)
{
    my ($number, $times, @lines) = split /\n/;
    my ($start, $end) = $times =~ /^(\S+) --> (\S+)$/ or die $times;
    my ($who, $rest) = "@lines" =~ /^(caller|agent): (.*)$/ or die $lines[0];
    push @cues, { number => $number, start => seconds($start), end => seconds($end), who => $who, words => [ words_of($rest) ],
        lines => \@lines };
}
is(join(' ', map { $_->{number} } @cues), join(' ', 1 .. @cues), 'the subtitles are numbered');
is_deeply([ map { $_->{start} } @cues ], [ sort { $a <=> $b } map { $_->{start} } @cues ], '... in order of time');

cmp_ok(max(map { $_->{end} - $_->{start} } @cues), '<=', 7, '... none for more than seven seconds');
cmp_ok(max(map { scalar @{ $_->{lines} } } @cues), '<=', 2, '... none of more than two lines');
cmp_ok(max(map { length } map { @{ $_->{lines} } } @cues), '<=', 42, '... none of more than 42 characters');

# Longest common subsequence of words: pairs of places in both.
sub aligned
{
    my ($heard, $true) = @_;
    my @best = map { [ (0) x (@$true + 1) ] } 0 .. @$heard;
    for my $i (reverse 0 .. $#$heard)
    {
        for my $k (reverse 0 .. $#$true)
        {
            $best[$i][$k] = $heard->[$i] eq $true->[$k] ? $best[$i + 1][$k + 1] + 1 : max($best[$i + 1][$k], $best[$i][$k + 1]);
        }
    }
    my ($i, $k, @pairs) = (0, 0);
    while ($i < @$heard && $k < @$true)
    {
        if ($heard->[$i] eq $true->[$k] && $best[$i][$k] == $best[$i + 1][$k + 1] + 1) { push @pairs, [ $i++, $k++ ] }
        elsif ($best[$i + 1][$k] >= $best[$i][$k + 1]) { $i++ }
        else { $k++ }
    }
    return @pairs;
}

# A word is recognised when somebody said it within a second of its subtitle; the speaker is right when it was he. Where both say the same, it counts for him.
my ($right, $wrong, $misheard) = (0, 0, 0);
for my $cue (@cues)
{
    my $other = $cue->{who} eq 'caller' ? 'agent' : 'caller';
    my ($own, $others) = map { [ grep { $_->[2] > $cue->{start} - 1 && $_->[1] < $cue->{end} + 1 } @{ $truth{$_} } ] } $cue->{who}, $other;
    my @right = aligned($cue->{words}, [ map { $_->[0] } @$own ]);
    my %rest = map { $_ => 1 } 0 .. $#{ $cue->{words} };
    delete $rest{ $_->[0] } for @right;
    my %by_other = map { $_->[0] => 1 } @$others;
    my @wrong = grep { $by_other{ $cue->{words}[$_] } } keys %rest;
    $right += @right;
    $wrong += @wrong;
    $misheard += keys(%rest) - @wrong;
}
my $spoken = sum0(map { scalar @$_ } values %truth);
note(sprintf('%d words said; of those heard %d have the right speaker, %d the wrong one, %d are none that was said', $spoken, $right, $wrong, $misheard));
cmp_ok($right, '>', 0.6 * $spoken, 'most words are recognised') or diag $srt;
cmp_ok($right, '>=', 0.95 * ($right + $wrong), 'the subtitles name the right speaker of 95 % of the words that were recognised') or diag $srt;

# ---- the words: when ----

my @errors;
for my $who (sort keys %voices)
{
    my @heard = map { my $w = $_; map { [ $_, $w->{start_ms} / 1000, $w->{end_ms} / 1000 ] } words_of($w->{word}) }
      map { @{ $_->{words} // [] } } grep { $_->{track} eq $who } @{ $json->{segments} };
    for (aligned([ map { $_->[0] } @heard ], [ map { $_->[0] } @{ $truth{$who} } ]))
    {
        my ($h, $t) = ($heard[ $_->[0] ], $truth{$who}[ $_->[1] ]);
        push @errors, [ $who, $h->[0], $h->[1] - $t->[1], $h->[2] - $t->[2] ];
    }
}
my @sizes = sort { $a <=> $b } map { (abs $_->[2], abs $_->[3]) } @errors;
my $within = grep { $_ <= 0.15 } @sizes;
note(sprintf('%d words with times: starts and ends within %.0f ms in the median, %.0f ms in 95 %%, %.0f ms at most; %.1f %% within 150 ms',
    scalar @errors, 1000 * $sizes[ $#sizes / 2 ], 1000 * $sizes[ $#sizes * 0.95 ], 1000 * $sizes[-1], 100 * $within / @sizes));
note(sprintf('mean of starts %.0f ms, of ends %.0f ms', map { my $i = $_; 1000 * sum0(map { $_->[$i] } @errors) / @errors } 2, 3));
for (grep { abs $_->[2] > 0.15 || abs $_->[3] > 0.15 } @errors) { note(sprintf('%s "%s": start %+.0f ms, end %+.0f ms', $_->[0], $_->[1], 1000 * $_->[2], 1000 * $_->[3])) }
cmp_ok(scalar @errors, '>', 0.6 * $spoken, 'most words have times');
cmp_ok($within, '>=', 0.95 * @sizes, 'words begin and end within 150 ms of when they were said');

$engine->signal('TERM');
$engine->finish;
$node->stop;
done_testing();
