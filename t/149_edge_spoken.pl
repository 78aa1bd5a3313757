# The sentence of an answer of "mulberry-edge answer", spoken by espeak-ng behind the tones: on a sound card (test/edge/fakemic.c) and through
# modems; cut short by a digit, left out when the program that speaks is absent, fails, hangs, or writes what is no WAV, and the tones all the same.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run qw(run);
use Mulberry::AnswerPair;
use Mulberry::CardLine;
use Mulberry::Cluster;
use Mulberry::Edge;
use Mulberry::Line;
use Mulberry::ModemLine;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

use constant RATE => Mulberry::Line::RATE;

my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::RealBin/..";
my $dir = tempdir(CLEANUP => 1);
my $pair = Mulberry::AnswerPair->new('edge_spoken');
my $timeout = $PostgreSQL::Test::Utils::timeout_default;

sub script
{
    my ($name, $text) = @_;
    spew_raw("$dir/$name", "#!/bin/sh\n$text\n");
    chmod 0755, "$dir/$name";
    return "$dir/$name";
}

# The sentence of the last answer, and what espeak-ng makes of it at the rate of the line.
sub sentence { return $pair->edge('SELECT speech FROM mulberry_internal.key_frames ORDER BY accepted_at DESC LIMIT 1') }

sub spoken_by_espeak
{
    my ($text) = @_;
    my $wav = '';
    run([ 'espeak-ng', '--stdin', '--stdout' ], '<', \$text, '>', \$wav) or die 'espeak-ng';
    spew_raw("$dir/espeak.wav", $wav);
    my $raw = '';
    run([ 'sox', '-D', '--ignore-length', "$dir/espeak.wav", '-t', 'raw', '-r', RATE, '-e', 'signed', '-b', 16, '-' ], '>', \$raw) or die 'sox';
    my @samples = unpack 's<*', $raw;
    pop @samples while @samples && abs $samples[-1] < 30;
    return @samples;
}

# How much one is like the other where they are this far apart: 1 is equal but for the level.
sub likeness_at
{
    my ($said, $wanted, $offset, $step) = @_;
    my ($xy, $xx, $yy) = (0, 0, 0);
    for (my $i = $offset < 0 ? -$offset : 0; $i < @$wanted && $i + $offset < @$said; $i += $step)
    {
        my ($x, $y) = ($said->[ $i + $offset ], $wanted->[$i]);
        $xy += $x * $y;
        $xx += $x * $x;
        $yy += $y * $y;
    }
    return $xx && $yy ? $xy / sqrt($xx * $yy) : 0;
}

# The same at the best of the places within 50 ms of where it should be, looked for with a part of the samples. Another sentence is below 0.3; a
# machine that is busy may put a pause into this one.
sub likeness
{
    my ($said, $wanted) = @_;
    my ($first) = grep { abs $wanted->[$_] > 300 } 0 .. $#$wanted;
    my ($from) = grep { abs $said->[$_] > 300 } 0 .. $#$said;
    my ($best, $at) = (-1, 0);
    for my $offset ($from - $first - RATE / 20 .. $from - $first + RATE / 20)
    {
        my $like = likeness_at($said, $wanted, $offset, 11);
        ($best, $at) = ($like, $offset) if $like > $best;
    }
    return likeness_at($said, $wanted, $at, 1);
}

# What a card played from a sample on, as runs of sound with less than 0.4 s of silence in them: [first, samples].
sub runs
{
    my ($line, $from) = @_;
    my @samples = unpack 's<*', $line->played($from);
    my @runs;
    my $last;
    for my $i (grep { $samples[$_] != 0 } 0 .. $#samples)
    {
        push @runs, [ $i, $i ] if !defined $last || $i - $last > 0.4 * RATE;
        $runs[-1][1] = $last = $i;
    }
    # the last one may go on
    my $over = @samples - ($last // 0) > 0.5 * RATE;
    return ($over, map { [ $_->[0], [ @samples[ $_->[0] .. $_->[1] ] ] ] } @runs);
}

# Waits for so many of them.
sub wait_for_runs
{
    my ($line, $from, $n) = @_;
    my $until = time + $timeout;
    while (time < $until)
    {
        my ($over, @runs) = runs($line, $from);
        return @runs if @runs >= $n && ($over || @runs > $n);
        $line->{run}->pump_nb;
        sleep 0.2;
    }
    die "waited in vain for $n sounds: $line->{err}";
}

# Plays the frame of a command; the sample behind it.
sub give { my ($line, $kind) = @_; return ($line->insist(Mulberry::Line::play($pair->command($kind))))[0] }

sub confirmed
{
    my ($run, $what) = @_;
    my $digits = Mulberry::Line::hear(Mulberry::Line::mulaw(@{ $run->[1] }));
    is($pair->settle($digits), 'confirmed', "$what: the tones confirm it: $digits");
}

# --- behind the tones -----------------------------------------------------------------------------------------

my @flags = ($pair->flags, '--silence', 15);
my $card = Mulberry::CardLine->new("$dir/card", $programs, echo => 800)->start('--name', 'spoken', @flags, '--speech', 'espeak-ng --stdin --stdout');
$card->says(qr/listening: /);
{
    my $from = give($card, 'suspend');
    my ($tones, $speech) = wait_for_runs($card, $from, 2);
    confirmed($tones, 'suspend');
    my $gap = ($speech->[0] - $tones->[0] - @{ $tones->[1] }) / RATE;
    cmp_ok($gap, '>=', 0.95, 'the sentence comes a second behind the tones');
    cmp_ok($gap, '<', 4, 'and soon');
    my $text = sentence();
    like($text, qr/^Mandate [0-9 ]+ suspended\.$/, "it is that of the answer: $text");
    cmp_ok(likeness($speech->[1], [ spoken_by_espeak($text) ]), '>', 0.6, 'and what espeak-ng makes of it');
}

# --- a digit cuts it short ------------------------------------------------------------------------------------

{
    my $from = give($card, 'resume');
    my $whole = spoken_by_espeak('Mandate ' . join(' ', split //, $pair->{mandate}) . ' active again.');
    my $long = () = spoken_by_espeak('Mandate ' . join(' ', split //, $pair->{mandate}));
    my $until = time + $timeout;
    my @runs;
    while (time < $until)
    {
        (undef, @runs) = runs($card, $from);
        last if @runs >= 2;
        sleep 0.05;
    }
    is(scalar @runs, 2, 'a sentence begins');
    # at once, where the line is said something half a second ahead otherwise
    my $at = $card->say(Mulberry::Line::play('1'));
    @runs = wait_for_runs($card, $from, 2);
    my $end = $from + $runs[1][0] + @{ $runs[1][1] };
    cmp_ok($end, '<', $at + 2 * RATE, 'a digit cuts it short');
    cmp_ok(scalar @{ $runs[1][1] }, '<', $long, 'and it is not said to its end');
    confirmed($runs[0], 'resume');
}

# --- it is part of the call -----------------------------------------------------------------------------------

my $call = $card->says(qr/call (\S+) is over/);
is($card->stop('TERM'), 0, 'it ends in order');
{
    my @speech = spoken_by_espeak($pair->edge(q{SELECT speech FROM mulberry_internal.key_frames ORDER BY accepted_at LIMIT 1}));
    my $audio = $pair->edge("SELECT encode(mulberry.call_audio('$call', track => 'outbound'), 'hex')");
    my @samples = unpack 's<*', substr pack('H*', $audio), 44;
    # it begins where more than tones' pauses have been silent
    my ($quiet, $start) = (0, undef);
    my $tones;
    for my $i (0 .. $#samples)
    {
        $start //= $i if $tones && $quiet > 0.9 * RATE && abs $samples[$i] > 100;
        $tones ||= $quiet > 0 && abs $samples[$i] > 2000;
        $quiet = abs $samples[$i] > 100 ? 0 : $quiet + 1;
    }
    cmp_ok(likeness([ @samples[ $start .. $start + @speech + RATE / 2 ] ], \@speech), '>', 0.6, 'the track of what was said has the sentence');
}

# --- what speaks is not there, or goes wrong --------------------------------------------------------------------

my $hangs = script('hangs', "sleep 997 &\nsleep 998");
my $sees = script('sees', "ls -l /proc/self/fd >$dir/descriptors\ngrep -E '^Sig(Blk|Ign)' /proc/self/status >$dir/signals\nenv >$dir/environment\nexec espeak-ng --stdin --stdout");
for my $case (
    [ "$dir/nothing", qr/answers are not spoken: .*nothing: No such file or directory/, 'a program that is absent' ],
    [ script('fails', 'exit 3'), qr/answers are not spoken: .*it ended with status 3/, 'one that fails' ],
    [ script('writes', 'echo hello'), qr/answers are not spoken: .*it writes no WAV file/, 'one that writes no WAV' ],
    [ script('floods', 'exec cat /dev/zero'), qr/answers are not spoken: .*it writes more than 2097152 bytes/, 'one that never stops writing' ],
    [ $hangs, qr/answers are not spoken: .*it takes longer than 5 seconds/, 'one that hangs' ])
{
    my ($command, $pattern, $what) = @$case;
    my ($name) = $command =~ m{([a-z]+)$};
    my $line = Mulberry::CardLine->new("$dir/$name.card", $programs)->start(@flags, '--name', $name, '--speech', $command);
    $line->says(qr/listening: /);
    my $from = give($line, 'query');
    my ($tones) = wait_for_runs($line, $from, 1);
    confirmed($tones, $what);
    ok($line->says($pattern), "$what: is told in the log");
    $from = give($line, 'query');
    confirmed((wait_for_runs($line, $from, 1))[0], "$what: the next one");
    is($line->stop('TERM'), 0, "$what: it ends in order");
    is(scalar(() = $line->{err} =~ /are not spoken/g), 1, "$what: is told once");
    is(qx(pgrep -f 'sleep 99[78]'), '', "$what: what it has begun has ended") if $command eq $hangs;

    local $ENV{ALSA_CONFIG_PATH} = "$line->{dir}.conf";
    my ($status, undef, $err) = edge('answer', 'alsa:mic', '--check', '--seconds', 1, $pair->flags, '--speech', $command);
    like($err, qr/warning: answers are not spoken: .*: install espeak-ng, or say --speech off/, "$what: --check warns");
}

# --- what it is given -----------------------------------------------------------------------------------------

{
    local @ENV{qw(PGPASSWORD PGPASSFILE LC_NUMERIC)} = ('secret', "$dir/none", 'C');
    my $line = Mulberry::CardLine->new("$dir/sees.card", $programs)->start(@flags, '--name', 'sees', '--speech', $sees);
    $line->says(qr/listening: /);
    my $from = give($line, 'query');
    wait_for_runs($line, $from, 2);
    is($line->stop('TERM'), 0, 'a program that looks around');
    my @descriptors = slurp_file("$dir/descriptors") =~ /(\d+) -> (?!\/proc)/g;
    is("@descriptors", '0 1 2', 'has no descriptors of ours but its own three');
    my ($blocked, $ignored) = map { hex } slurp_file("$dir/signals") =~ /(?:SigBlk|SigIgn):\s*([0-9a-f]+)/g;
    is($blocked, 0, 'and no signals blocked');
    is($ignored & 1 << 12, 0, 'nor does it ignore a pipe that nobody reads');
    my $environment = slurp_file("$dir/environment");
    like($environment, qr/^PATH=.*^LC_NUMERIC=C$|^LC_NUMERIC=C$.*^PATH=/ms, 'it knows where things are, and the language');
    unlike($environment, qr/^PG|secret/m, 'but not how the database is reached');
}

# --- modems ---------------------------------------------------------------------------------------------------

for my $case ([ 'sim7600', '+15550001', 0.9 ], [ 'v253', '5550003', 3.9 ])
{
    my ($kind, $number, $least) = @$case;
    my $line = Mulberry::ModemLine->new($kind)->start($pair->flags, '--name', "spoken-$kind", '--silence', 20, '--speech', 'espeak-ng --stdin --stdout');
    ok($line->says(qr/the modem is ready/), "$kind: a modem");
    $line->ring($number);
    ok($line->says(qr/call \S+ from \Q$number\E/), "$kind: there is a call");
    ok($line->tone, "$kind: a tone says that we listen");
    $line->{sounds} = [];
    my ($frame) = $line->meanwhile(sub { $pair->command('ping'); $pair->frame });
    my ($digits) = $line->ask(Mulberry::Line::play($frame));
    like($digits, qr/^\*[0-9]{20}#/, "$kind: a command is answered: $digits");
    my ($text) = $line->meanwhile(sub { sentence() });
    my @wanted = spoken_by_espeak($text);
    # the tones have begun behind silence, too
    my $sentence = sub { return grep { $_->[0] >= $least && length($line->{heard}) - $_->[1] >= 2 * @wanted } @{ $line->{sounds} }[ 1 .. $#{ $line->{sounds} } ] };
    ok($line->until(sub { $sentence->() }), "$kind: a sentence begins, $least s behind the tones");
    my ($best) = sort { $b <=> $a } map { likeness([ unpack 's<*', substr $line->{heard}, $_->[1] ], \@wanted) } $sentence->();
    cmp_ok($best // 0, '>', 0.6, "$kind: and is what espeak-ng makes of it: $text");
    is($line->stop, 0, "$kind: it ends in order");
}

$pair->stop;
done_testing();
