# "mulberry-edge answer": commands that a cloud has signed are played into a telephone line as tones, with noise; the edge's database applies
# them, and what is played into the line as its answer is heard by other ears than ours (multimon-ng) and confirms the command in the cloud.
# Through a sound card (test/edge/fakemic.c), which has our echo on it.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use Mulberry::AnswerPair;
use Mulberry::Edge;
use Mulberry::Line;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time clock_gettime);

my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::RealBin/..";
my $dir = tempdir(CLEANUP => 1);
my $pair = Mulberry::AnswerPair->new('edge_answer');

sub median { my @sorted = sort { $a <=> $b } @_; return $sorted[ $#sorted / 2 ] }

# --- a sound card ---------------------------------------------------------------------------------------------

sub card
{
    my ($name, %option) = @_;
    mkdir "$dir/$name";
    my $settings = join ' ', map { "$_ $option{$_}" } keys %option;
    spew_raw("$dir/$name.conf", "</usr/share/alsa/alsa.conf>\npcm_type.fakemic { lib \"$programs/build/libfakemic.so\" }\n"
            . "pcm.mic { type fakemic dir \"$dir/$name\" line 1 rate 8000 $settings }\n");
    return { dir => "$dir/$name" };
}

sub answer
{
    my ($line, @flags) = @_;
    local $ENV{ALSA_CONFIG_PATH} = "$line->{dir}.conf";
    $line->{err} = '';
    $line->{run} = IPC::Run::start([ $edge, 'answer', @flags, '--database', $pair->database, '--batch', 100, '--grace', 300 ], '<', \'', '>', \my $out, '2>', \$line->{err});
    $line->{pid} = $line->{run}{KIDS}[0]{PID};
}

sub wait_for_line
{
    my ($line, $pattern) = @_;
    my $until = time + $PostgreSQL::Test::Utils::timeout_default;
    my $from = $line->{seen} // 0;
    while (substr($line->{err}, $from) !~ /$pattern/g)
    {
        die "waited in vain for $pattern: $line->{err}" if time > $until || !$line->{run}->pumpable;
        $line->{run}->pump_nb;
        sleep 0.02;
    }
    substr($line->{err}, $from) =~ /$pattern/g;
    $line->{seen} = $from + $+[0];
}

sub finish
{
    my ($line, $signal) = @_;
    kill $signal, $line->{pid} if $signal;
    $line->{run}->finish;
    return $line->{run}->result(0);
}

# The sample that the card records now.
sub now_at
{
    my ($line) = @_;
    open my $file, '<', "$line->{dir}/begun" or die "no card has been opened: $!";
    return int((clock_gettime(7) - <$file> / 1e9) * 8000);
}

# Plays mu-law into the line; the sample behind its last tone.
sub play
{
    my ($line, $audio) = @_;
    my $from = now_at($line) + 4000;
    open my $file, '+<:raw', "$line->{dir}/line" or die;
    seek $file, 2 * $from, 0;
    print $file pack 's<*', Mulberry::Line::linear($audio);
    close $file;
    return $from + length($audio) - Mulberry::Line::RATE * Mulberry::Line::PAUSE_MS / 1000;
}

sub played
{
    my ($line, $from) = @_;
    open my $file, '<:raw', "$line->{dir}/played" or return '';
    seek $file, 2 * $from, 0;
    local $/;
    return <$file> // '';
}

# What was played behind a sample: the digits, and how many samples behind it they begin.
sub answered
{
    my ($line, $from) = @_;
    my $until = time + $PostgreSQL::Test::Utils::timeout_default;
    while (time < $until)
    {
        my $bytes = played($line, $from);
        # a second of silence behind something
        if ($bytes =~ /[^\0]/ && (my $begin = int($-[0] / 2)) + 8000 < length($bytes) / 2)
        {
            my @samples = unpack 's<*', $bytes;
            my $last = $#samples;
            $last-- while $samples[$last] == 0;
            if ($#samples - $last >= 8000)
            {
                return (Mulberry::Line::hear(Mulberry::Line::mulaw(@samples[ $begin .. $last ])), $begin);
            }
        }
        $line->{run}->pump_nb;
        sleep 0.05;
    }
    die "nothing was played: $line->{err}";
}

{
    my $line = card('line', echo => 800);
    my @delays;
    answer($line, 'alsa:mic', '--name', 'card', '--silence', 5);
    wait_for_line($line, qr/listening/);

    for my $kind (qw(ping suspend resume query revoke))
    {
        my $frame = $pair->command($kind);
        my $end = play($line, Mulberry::Line::play($frame, noise => 15));
        my ($digits, $delay) = answered($line, $end);
        is($pair->settle($digits), 'confirmed', "$kind: confirmed by $digits");
        push @delays, $delay / 8;

    }
    is($pair->mandate_state, 'REVOKED', 'the edge has revoked the mandate');
    diag sprintf 'from the last tone of the frame to the first of the answer: %s ms, median %.0f', join(', ', map { int } @delays), median(@delays);
    wait_for_line($line, qr/is over/);
    is(finish($line, 'TERM'), 0, 'in order');

}

$pair->stop;
done_testing();
