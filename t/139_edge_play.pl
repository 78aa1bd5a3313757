# Playing on a sound card, through one that records each sample that it plays at the place of its clock (test/edge/fakemic.c): silence
# first, all samples in their order and nothing between them, what is dropped not, and what becomes of it when it runs
# dry, is unplugged, or sleeps.  Needs no PostgreSQL.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use IPC::Open2;
use Test::More;

my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::RealBin/..";
my $program = $ENV{MULBERRY_EDGE_PLAY} // "$programs/build/edge-play";
my $dir = tempdir(CLEANUP => 1);

sub spew { my ($path, $text) = @_; open my $file, '>', $path or die "$path: $!"; print $file $text; close $file }


# A card of its own for each test, and the program that plays on it: {detail} is what it said of the card.
sub card
{
    my ($name, $rate, $what, %option) = @_;
    my $settings = join ' ', map { "$_ $option{$_}" } keys %option;
    mkdir "$dir/$name";
    spew("$dir/$name.conf", "</usr/share/alsa/alsa.conf>\npcm_type.fakemic { lib \"$programs/build/libfakemic.so\" }\n"
            . "pcm.mic { type fakemic dir \"$dir/$name\" rate $rate $settings }\n");
    local $ENV{ALSA_CONFIG_PATH} = "$dir/$name.conf";
    my $card = { dir => "$dir/$name", rate => $rate };
    $card->{pid} = open2(my $out, my $in, $program, 'alsa:mic', $rate, $what // ());
    @$card{qw(out in)} = ($out, $in);
    chomp($card->{detail} = <$out>);
    return $card;
}

# What it answers to a line.
sub order
{
    my ($card, $line) = @_;
    print { $card->{in} } "$line\n";
    $card->{in}->flush;
    chomp(my $answer = readline($card->{out}) // 'nothing');
    return $answer;
}

sub finish { my ($card) = @_; close $card->{in}; waitpid $card->{pid}, 0; return $? }

# What was heard, as runs of samples that count up: [first sample, how many, silence before it].
sub runs
{
    my ($card) = @_;
    open my $file, '<:raw', "$card->{dir}/played" or return ();
    my @samples = unpack 's<*', do { local $/; <$file> };
    my ($silence, $started, @runs) = (0, 0);
    for my $sample (@samples)
    {
        if ($sample == 0) { $silence++; next }
        if (!@runs || $silence || $sample != ($runs[-1][0] + $runs[-1][1] - 1) % 32767 + 1)
        {
            push @runs, [ $sample, 0, $silence ];
            $silence = 0;
        }
        $runs[-1][1]++;
    }
    return @runs;
}

# A machine that was away for longer than the buffer holds lets it run dry, by the card's own word; then nothing can be said of it.
sub ran_dry { my ($card) = @_; return -e "$card->{dir}/dry" }

# --- as it should be -----------------------------------------------------------------------------------------

for my $case ([ 8000, 'S16_LE' ], [ 48000, 'S16_LE', channels => 2 ], [ 8000, 'S32_LE' ], [ 16000, 'S24_3LE', channels => 3 ])
{
    my ($rate, $format, %option) = @$case;
    my $what = join ' ', $rate, $format, $option{channels} // 1;
    my $card = card($what =~ s/ /-/gr, $rate, undef, format => $format, %option);
    like($card->{detail}, qr/^$format, $rate Hz, 1 of \d channels, .*plays$/, "$what: what it is");
    is(order($card, 'write 60'), 'wrote 60 OK', "$what: more than its buffer is written");
    is(order($card, 'drain'), 'drained OK', "$what: and drained");
  SKIP:
    {
        skip 'the machine was too busy', 2 if ran_dry($card) && runs($card) != 1;
        my $n = $rate / 50 * 60;
        is_deeply([ map { "$_->[0] $_->[1]" } runs($card) ], ["1 $n"], "$what: every sample was heard, one behind the other");
        is(order($card, 'where'), "played $n of $n, 0 underruns", "$what: it knows");
    }
    is(finish($card), 0, "$what: in order");
}

# --- silence first, and what is dropped ----------------------------------------------------------------------

{
    my $card = card('drop', 8000);
    like(order($card, 'fill'), qr/^filled (\d+) LATER$/, 'it takes what there is room for, and no more');
    my $answer = order($card, 'where');
    is(order($card, 'drop'), 'dropped', 'what was not heard is dropped');
    my ($written) = order($card, 'where') =~ /^played (\d+) of \1, 0 underruns$/;
    ok($written, 'and counts as played');
    my $heard = 0;
    $heard += $_->[1] for runs($card);
    cmp_ok($heard, '<', $written, 'it was not heard');
    is(order($card, 'write 1'), 'wrote 1 OK', 'then');
    is(order($card, 'drain'), 'drained OK', 'a block');
  SKIP:
    {
        skip 'the machine was too busy', 2 if ran_dry($card) && order($card, 'where') !~ / 0 underruns/;
        my @runs = runs($card);
        is("$runs[-1][0] $runs[-1][1]", join(' ', $written + 1, 160), 'is heard whole');
        cmp_ok($runs[-1][2], '>=', 320, 'with silence before it');
    }
    finish($card);
}

# --- underruns ------------------------------------------------------------------------------------------------

{
    my $card = card('underrun', 8000);
    is(order($card, 'write 20'), 'wrote 20 OK', 'a card');
    select undef, undef, undef, 0.01 while order($card, 'where') =~ /^played 0 /;
    spew("$card->{dir}/underrun", '');
    is(order($card, 'write 50'), 'wrote 50 OK', 'that underruns goes on');
    ok(!-e "$card->{dir}/underrun", 'it did underrun');
    is(order($card, 'drain'), 'drained OK', 'to its end');
    my ($underruns) = order($card, 'where') =~ /^played 11200 of 11200, (\d+) underruns$/;
    cmp_ok($underruns, '>=', 1, 'that is counted');
    my @runs = runs($card);
    cmp_ok(scalar @runs, '>=', 2, 'there is a hole');
    cmp_ok($runs[-1][2], '>=', 320, 'of silence');
    is($runs[-1][0] + $runs[-1][1] - 1, 11200, 'and what came behind it was heard to its end');
    finish($card);
}

# --- a machine that sleeps, a card that is unplugged ----------------------------------------------------------

{
    my $card = card('sleep', 8000);
    is(order($card, 'write 10'), 'wrote 10 OK', 'a machine');
    spew("$card->{dir}/suspended", '');
    print { $card->{in} } "write 50\n";
    $card->{in}->flush;
    select undef, undef, undef, 0.5;
    unlink "$card->{dir}/suspended" or die;
    chomp(my $answer = readline $card->{out});
    is($answer, 'wrote 50 OK', 'that slept goes on');
    is(order($card, 'drain'), 'drained OK', 'when it is awake');
    my @runs = runs($card);
    is($runs[-1][0] + $runs[-1][1] - 1, 9600, 'to the end');
    spew("$card->{dir}/unplugged", '');
    like(order($card, 'write 100'), qr/^wrote \d+ AWAY$/, 'a card that is unplugged is away');
    finish($card);
}

# --- both directions ------------------------------------------------------------------------------------------

{
    my $card = card('duplex', 8000, 'capture', line => 1);
    like($card->{detail}, qr/plays as well$/, 'a card that does both');
    is(order($card, 'read 5'), 'read OK lost 0', 'is read');
    is(order($card, 'write 10'), 'wrote 10 OK', 'and written');
    like(order($card, 'read 10'), qr/^read OK lost \d+$/, 'and read meanwhile');
    is(order($card, 'drain'), 'drained OK', 'and drained');
    finish($card);
}

{
    my $card = card('wrong', 8000);
    finish($card);
    spew("$dir/wrong/busy", '');
    $card = card('wrong', 8000);
    is($card->{detail}, 'alsa:mic: is in use by another program', 'one that is in use');
    finish($card);
    unlink "$dir/wrong/busy";
    local $ENV{ALSA_CONFIG_PATH} = "$dir/wrong.conf";
    is(scalar qx($program alsa:mic 11000), "alsa:mic: has no 11000 Hz, the nearest is 8000; plughw: in place of hw: converts\n",
        'a rate that it has not got');
    is(scalar qx($program alsa:nothing 8000), "alsa:nothing: there is no such device that plays; aplay -L lists them\n", 'one that is not there');
}

done_testing();
