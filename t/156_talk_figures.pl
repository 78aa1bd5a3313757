# What a caller hears of an agent, measured from the audio at his ear: how long he waits for an answer, how soon the agent is silent when he is
# interrupted, and how often for nothing. Services answer in 400 ms together. TURNS says how many turns there are in all, LINES how many
# callers at once; "make -C bench talk" has 300. NOISE is how far below the callers' voices the noise of the lines is (dB), ECHO the loss of what comes back
# of the agent's voice (dB), DELAY the longest way of the network, each way (ms, from 20).
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
use Time::HiRes qw(sleep time);

plan skip_all => 'needs ws for node (Debian: node-ws)' if have_ws() eq '';

my $turns = $ENV{TURNS} // 16;
my $lines = $ENV{LINES} // 4;
my $each = int($turns / $lines / 4) || 1;    # of each kind, for each caller
my $ms = 20;
my ($noise, $echo, $delay) = map { $ENV{$_} || undef } qw(NOISE ECHO DELAY);
sub delay_of { my ($n) = @_; return defined $delay ? 20 + int(($n * 0.618034 - int $n * 0.618034) * ($delay - 20)) : 0 }

my $engines = Mulberry::Engines->new;
my $node = mulberry_cluster('talk_figures');
make_clinic($node);
$engines->serve($node, 'clinic', [ 'ear', 'deepgram', 'v1', 'listen' ], [ 'mouth', 'elevenlabs', 'v1', 'speak', 1, undef, '{"voice": "ann"}' ], [ 'model', 'openai', 'v1', 'reply', 1, 'small' ]);
$node->safe_psql('postgres', q{SELECT mulberry.set_conversation('{"prompt": "You tell about the weather.", "silence_prompt_ms": 0}', 'clinic')});
my ($ear, $model, $mouth) = (100, 200, 100);
$engines->delays(ear => $ear, model => $model, voice => $mouth);
$engines->always('tell me about the weather please.', 'mhm');
my $answer = 'The weather is going to be fine today, and tomorrow there will be some clouds in the evening but no rain at all in the whole of the country.';
$engines->model('.' => $answer);
my $peers = media_peers();
my $gateway = start_gateway($node, '--twilio-listen', '127.0.0.1:0', '--public-url', $media_base);

my @voices = map { [ voice_of('tell me about the weather please', $_), voice_of('no I want to hear about another day', $_) ] } qw(slt rms awb kal16);
my $mhm = voice_of('hm', 'rms');
# a cough: noise that fades within 200 ms
my $cough = pack 'C*', map { my $v = int(12000 * exp(-$_ / 500) * (rand(2) - 1)); my $a = abs $v; my $s = $v < 0 ? 0x80 : 0; $a = 32635 if $a > 32635; $a += 0x84; my $e = 7; my $m = 0x4000; while ($e > 0 && !($a & $m)) { $e--; $m >>= 1 } ~($s | $e << 4 | ($a >> $e + 3 & 0xf)) & 0xff } 1 .. 1600;

# The noise of a line, against a voice where it sounds.
sub noise_of
{
    my ($voice) = @_;
    my @loud = grep { $_ > 300 } loudness($voice);
    my $sum = 0;
    $sum += $_**2 foreach @loud;
    return sqrt($sum / @loud) / 10**($noise / 20);
}

# Each caller: a question whose answer is heard to its end; one that is interrupted, not at its beginning, which would continue the question; one with "mhm", one with a cough in it.
sub figures
{
    my ($n) = @_;
    my ($question, $other) = @{ $voices[ $n % @voices ] };
    my $way = delay_of($n);
    my $c = caller($peers, $gateway, sprintf('%032x', 100 + $n), delay => $way, defined $noise ? (noise => noise_of($question)) : (), defined $echo ? (echo => -$echo, echoDelay => 120) : ());
    $c->hears(0, 40);
    my (@waits, @shares, @stops, @played, %wrong);
    my $sounding;    # frames of an answer that is heard to its end
    for my $round (1 .. $each)
    {
        for my $kind (qw(plain interrupt mhm cough))
        {
            $c->say($question, wait => 600);
            my $said = $c->said;
            my $begin = $c->hears_begin($said->[1]);
            push @waits, ($begin - $said->[1]) * $ms;
            # what was said is known when 200 ms of silence have passed: then the model is asked, and the voice
            push @shares, $c->arrival($said->[2]) - $said->[2] - 200 - $model - $mouth - 2 * $way;
            my $sound = { interrupt => $other, mhm => $mhm, cough => $cough }->{$kind};
            if ($sound)
            {
                $c->say($sound, wait => $kind eq 'interrupt' ? 1200 + int rand 4000 : 1500);
                $said = $c->said;
            }
            $c->hears($begin, 150);
            my @frames = $c->levels($begin);
            # a pause of the agent's words is 50 ms
            my ($first) = map { [ $_->[0] + $begin, $_->[1] + $begin ] } sounds_between(\@frames, 12);
            my $length = ($first->[1] - $first->[0]) * $ms;
            my $whole = 300 * (split ' ', $answer) - 50;
            if ($kind eq 'interrupt')
            {
                if ($first->[1] <= $said->[0] || $length > $whole - 500) { $wrong{missed}++ }
                else
                {
                    push @stops, ($first->[1] - $said->[0]) * $ms;
                    # the answer to what is said comes behind its end: what sounds until then is of this one, in words of one length, of which the
                    # last may be cut
                    my @until = @frames[ 0 .. $said->[1] - $begin - 1 ];
                    push @played, int(grep({ $_ >= 100 } @until) / ($sounding / (split ' ', $answer)) + 0.1);
                    $wrong{again}++ if grep { $_ >= 100 } @until[ $first->[1] - $begin .. $#until ];
                }
            }
            # who goes on has said everything in the end, whether he paused or not, and within a word or not
            elsif ($kind eq 'plain') { $sounding = grep { $_ >= 100 } @frames }
            else
            {
                $wrong{"cut by $kind"}++ if grep({ $_ >= 100 } @frames) < $sounding - 6;
                $wrong{"paused for $kind"}++ if sounds_between(\@frames, 12) > 1;
            }
        }
    }
    $c->stop;
    conversation_over($node, $c->{call});
    # what was interrupted, as it is stored
    my @heard = split /\n/, $node->safe_psql('postgres', qq{SELECT cardinality(regexp_split_to_array(trim(t.heard), '\\s+')) FROM mulberry_internal.conversation_turns t JOIN mulberry_internal.conversations c ON c.id = t.conversation
        WHERE c.call_id = '$c->{call}' AND t.interrupted_ms IS NOT NULL AND t.heard_cut AND t.heard <> '' ORDER BY t.turn});
    return ([ map { $_ - 2 * $way } @waits ], [ map { $_ - 2 * $way } @stops ], \%wrong, [ map { [ $played[$_], $heard[$_] ] } @played == @heard ? 0 .. $#played : () ], scalar @played, \@shares);
}

# callers in processes of their own would need peers of their own: they take turns with the same ones here
my (@waits, @shares, @stops, @heard, %wrong);
my $played = 0;
my @running;
for my $n (1 .. $lines)
{
    pipe my $from, my $to or die;
    my $pid = fork // die;
    if ($pid == 0)
    {
        close $from;
        $peers = media_peers();
        my @result = eval { figures($n) };
        print $to JSON::PP->new->encode({ problem => "$@", result => \@result });
        close $to;
        $peers->command('quit', 'x');
        POSIX::_exit(0);
    }
    close $to;
    push @running, [ $pid, $from ];
}
for (@running)
{
    my ($pid, $from) = @$_;
    local $/;
    my $told = JSON::PP->new->decode(scalar <$from>);
    waitpid $pid, 0;
    is($told->{problem}, '', 'a caller had his turns');
    next if $told->{problem};
    push @waits, @{ $told->{result}[0] };
    push @stops, @{ $told->{result}[1] };
    push @shares, @{ $told->{result}[5] };
    push @heard, @{ $told->{result}[3] };
    $played += $told->{result}[4];
    $wrong{$_} += $told->{result}[2]{$_} foreach keys %{ $told->{result}[2] };
}
sub at { my ($share, @all) = @_; @all = sort { $a <=> $b } @all; return $all[ int($share * $#all + 0.5) ] // 'nothing' }
my $kinds = $each * $lines;
note(sprintf '%d turns, %d callers at once, services answer in %d ms together; noise %s, echo %s, network %s', scalar @waits, $lines, $ear + $model + $mouth,
    defined $noise ? "$noise dB below the voices" : 'none', defined $echo ? "at -$echo dB" : 'none', defined $delay ? "20 to $delay ms each way, which is not counted" : 'none');
note(sprintf 'end of speech to first audio at the ear: median %s ms, 95 %% %s ms (700)', at(0.5, @waits), at(0.95, @waits));
note(sprintf 'of it until the first audio came, beyond the 200 ms of silence, model and voice: median %.1f ms, 95 %% %.1f ms (20), most %.1f', at(0.5, @shares), at(0.95, @shares), at(1, @shares));
note(sprintf 'speech onset to silence at the ear: median %s ms, 95 %% %s ms of %d (300)', at(0.5, @stops), at(0.95, @stops), scalar @stops);
note(sprintf 'of %d each: interruptions missed %d, and the agent heard again during %d; cut by "mhm" %d, by a cough %d; a pause for "mhm" %d, for a cough %d', $kinds,
    map { $wrong{$_} // 0 } 'missed', 'again', 'cut by mhm', 'cut by cough', 'paused for mhm', 'paused for cough');
my %off;
$off{ abs($_->[0] - $_->[1]) }++ foreach @heard;
note(sprintf 'words heard of interrupted answers, as stored and as played: %s off by none, %s by one, %s by more, of %d; %d not told apart', map({ $off{$_} // 0 } 0, 1), scalar(grep { abs($_->[0] - $_->[1]) > 1 } @heard), scalar @heard, $played - @heard);
note("played $_->[0], stored $_->[1]") foreach grep { $_->[0] != $_->[1] } @heard;
is(scalar @waits, 4 * $kinds, 'each question was answered');
is(scalar(grep { abs($_->[0] - $_->[1]) > 1 } @heard), 0, 'what is stored as heard of an answer is off by one word at most');
cmp_ok($wrong{missed} // 0, '<', $kinds, 'interruptions interrupt');
cmp_ok($wrong{"cut by $_"} // 0, '<', $kinds, "and not each $_ does") foreach qw(mhm cough);
is_deeply([ $engines->wrong ], [], 'all services were asked in their forms');

$gateway->{run}->kill_kill;
$node->stop;
done_testing();
