# Callers who pause inside of their sentences: how many of them the agent cuts off, and how long it waits when they are done, measured from the
# audio at their ears; beside it what silence of the same length alone would have done, which turn_report() knows of the same conversations.
# TURNS says how many sentences there are in all, LINES how many callers at once, WAIT how long the agent waits behind a neutral word (ms);
# "make -C bench talk-pauses" has 200 of each of two.  Pauses and their places are those of test/unit/test_turn_pauses.c.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use JSON::PP;
use POSIX ();
use Mulberry::Cluster;
use Mulberry::Engines;
use Mulberry::Gateway;
use Mulberry::MediaCalls;
use Mulberry::MediaPeer;
use Mulberry::Talk;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs ws for node (Debian: node-ws)' if have_ws() eq '';

my $lines = $ENV{LINES} // 3;
my $each = int(($ENV{TURNS} // 9) / $lines) || 1;
my $wait = $ENV{WAIT} // 600;
my %allowed = (600 => 15, 1000 => 5);    # percent
my $ms = 20;
my $answer = 'I have a table for two.';

# Where a pause is, in hundredths, and what was said before it.
my @places = ([ 25, 'I would like to' ], [ 15, 'I wanted to ask and' ], [ 15, 'well um' ], [ 10, 'it is about my' ], [ 10, 'I called last week,' ], [ 10, 'my number is five five' ], [ 5, 'I called last week' ], [ 10, 'I have a question.' ]);
my $rest = 'a table for two people';

# A lognormal distribution of the lengths of pauses, as a public comparison has them.
sub draw
{
    my ($place, $pause) = (rand 100);
    my $at = 0;
    $place -= $places[ $at++ ][0] while $place >= $places[$at][0];
    do { $pause = exp(5.78 + 0.9 * sqrt(-2 * log(1 - rand)) * cos(6.283185 * rand)) } until $pause >= 100 && $pause <= 5000;
    return ($places[$at][1], $ms * int($pause / $ms), rand 100 < 65);
}

# All settings of silence; none: what was said does not matter.
sub waits
{
    my ($of) = @_;
    return join ', ', map { sprintf '"commit_%s_ms": %d', $_, $of->{$_} } sort keys %$of;
}
my %usual = (answer => 200, terminal => 350, neutral => 600, open => 1300, digits => 1200, none => 800);
my $classes = waits({ map { $_ => $usual{$_} * $wait / 600 } keys %usual });
my $silence = waits({ map { $_ => $wait } keys %usual }) . qq{, "final_wait_ms": $wait, "factor_min": 1000, "factor_max": 1000};

my $engines = Mulberry::Engines->new;
my $node = mulberry_cluster('talk_pauses');
my @tenants;
for my $n (1 .. $lines)
{
    my %tenant = (name => "clinic$n", number => sprintf('+1202555%04d', 100 + $n), account => sprintf('AC%032d', $n), secret => "secret $n", line => $engines->line("line$n"));
    make_clinic($node, %tenant);
    $tenant{line}->serve($node, $tenant{name}, [ 'ear', 'deepgram', 'v1', 'listen' ], [ 'mouth', 'openai', 'v1', 'speak' ], [ 'model', 'openai', 'v1', 'reply', 1, 'small' ]);
    $tenant{line}->delays(ear => 100, model => 200, mouth => 100);
    $tenant{line}->always($rest, $rest);
    $tenant{line}->model('.' => $answer);
    $node->safe_psql('postgres', qq{SELECT mulberry.set_conversation('{"prompt": "You have tables.", "silence_prompt_ms": 0, $classes}', '$tenant{name}')});
    push @tenants, \%tenant;
}
my $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base);

# What a caller hears of his sentences: which were cut off, with their pauses, and how long he waited at the ends of the others, in ms.
sub talk
{
    my ($n) = @_;
    my $tenant = $tenants[$n];
    my $voice = (qw(slt rms awb kal16))[ $n % 4 ];
    srand 4711 + $n;
    my $peers = media_peers();
    my $c = caller($peers, $gateway, sprintf('%032x', 100 + $n), map { $_ => $tenant->{$_} } qw(number account secret));
    my $from = $c->hears(0, 40)->[1];
    my (@cut, @waited);
    my $misheard = 0;
    for (1 .. $each)
    {
        my ($before, $pause, $stop) = draw();
        my @halves = ($before, $rest . ($stop ? '.' : ''));
        # who listens takes less than that for one stretch
        $misheard += $tenant->{line}->only_phrases($pause < 300 ? "@halves" : @halves) > 0;
        $c->say(voice_of($before, $voice), wait => 600);
        $c->say(voice_of($rest, $voice), wait => $pause);
        $c->said;
        my $end = $c->said->[1];
        # what sounds up to its end is the agent's, who has taken it to be over
        my $spoken = $c->hears($end, 60);
        my @sounds = grep { $_->[1] > 5 } map { [ $_->[0] + $from, $_->[1] - $_->[0] ] } sounds_between([ $c->levels($from) ], 15);
        if (grep { $_->[0] < $end } @sounds) { push @cut, sprintf '"%s" %d ms', $before, $pause }
        else { push @waited, ($spoken->[0] - $end) * $ms }
        $from = $spoken->[1];
    }
    $c->stop;
    conversation_over($node, $c->{call});
    $peers->command('quit', 'x');
    return { misheard => $misheard, cut => \@cut, waited => \@waited };
}

# Each caller in a process of his own.
my @running;
for my $n (0 .. $lines - 1)
{
    pipe my $from, my $to or die;
    my $pid = fork // die;
    if ($pid == 0)
    {
        close $from;
        my $result = eval { talk($n) };
        print $to encode_json({ problem => "$@", result => $result });
        close $to;
        POSIX::_exit(0);
    }
    close $to;
    push @running, [ $pid, $from ];
}
my (@cut, @waited);
my $misheard = 0;
for (@running)
{
    my ($pid, $from) = @$_;
    local $/;
    my $told = decode_json(scalar <$from>);
    waitpid $pid, 0;
    is($told->{problem}, '', 'a caller has said what he wanted') or next;
    $misheard += $told->{result}{misheard};
    push @cut, @{ $told->{result}{cut} };
    push @waited, @{ $told->{result}{waited} };
}
my $n = $lines * $each;
my $cut = @cut;
my ($sum, $median) = (0, (sort { $a <=> $b } @waited)[ @waited / 2 ]);
$sum += $_ foreach @waited;
note(sprintf '%d sentences with a pause, %d ms behind a neutral word, services answer in 400 ms together: heard to be cut off %d, %.1f %% (%d); first sound behind the others: mean %.0f ms, median %s; misheard %d',
    $n, $wait, $cut, 100 * $cut / $n, $allowed{$wait} // 15, @waited ? $sum / @waited : 0, $median // 'none', $misheard);

note("cut off behind $_") foreach sort @cut;

# The same as the record has it, and as silence alone would have done it.
my %report;
for my $tenant (@tenants)
{
    for (split /\n/, $node->safe_psql('postgres', qq{SELECT case_of, turns, cut_offs, end_of_turn_p50 FROM mulberry.turn_report('-infinity', 'infinity', '{"prompt": "You have tables.", "silence_prompt_ms": 0, $silence}', '$tenant->{name}')}))
    {
        my ($case, $turns, $cut_offs, $waited) = split /\|/;
        $report{$case}{turns} += $turns;
        $report{$case}{cut_offs} += $cut_offs;
        push @{ $report{$case}{waited} }, $waited;
    }
}
for my $case (sort keys %report)
{
    my $r = $report{$case};
    note(sprintf '%s: %d turns, taken to be over too early %d (%.1f %% of the sentences); medians of the wait at their ends, by caller: %s ms', $case eq 'as it was' ? 'recorded' : 'silence alone, replayed', $r->{turns}, $r->{cut_offs}, 100 * $r->{cut_offs} / $n, join ' ', @{ $r->{waited} });
}
cmp_ok($cut, '<=', $n / 3, 'few of them were cut off');
cmp_ok($report{'as it was'}{cut_offs}, '<', $report{'with these settings'}{cut_offs}, 'fewer than by silence alone');
is_deeply([ map { $_->{line}->wrong } @tenants ], [], 'all services were asked in their forms');

$gateway->{run}->kill_kill;
$node->stop;
done_testing();
