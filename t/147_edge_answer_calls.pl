# Simulated calls to "mulberry-edge answer" over noisy lines: on each line one command after the other, each in a call of its own, as tones at a
# ratio of 15 dB, with other digits before it now and then; heard by other ears than ours, each is confirmed, and played twice at most.
#
#	CALLS=N		in all (default: 4; make campaign: 100)
#	LINES=N		at a time (default: 2; 10)
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::RealBin/lib";
use Mulberry::AnswerPair;
use Mulberry::CardLine;
use POSIX ();
use Test::More;

my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::RealBin/..";
my $calls = $ENV{CALLS} // 4;
my $lines = $ENV{LINES} // 2;
my $dir = tempdir(CLEANUP => 1);
my $seed = $ENV{SEED} // time;
my $pair = Mulberry::AnswerPair->new('edge_answer_calls', agents => $lines);
my @kinds = qw(suspend resume query ping extend);
diag "SEED=$seed";

# The calls of one line; a row of each: kind, state, times it was played, milliseconds until the first answer, whether the machine was too busy
# for the card, and what was heard.
sub one_line
{
    my ($i) = @_;
    my $one = $pair->{each}[$i];
    srand $seed + $i;
    open my $out, '>', "$dir/$i.calls" or die;
    my $line = Mulberry::CardLine->new("$dir/$i", $programs, echo => 800)->start('--name', "line-$i", '--silence', 3, $one->flags);
    $line->says(qr/listening/);
    for (my $n = $i; $n < $calls; $n += $lines)
    {
        my $kind = $kinds[ $n / $lines % @kinds ];
        my $result = $one->confirm($line, $kind, noise => 15, before => $n % 3 == 1 ? '17#w' : '');
        my $busy = -e "$line->{dir}/late" || -e "$line->{dir}/dry" ? 1 : 0;
        unlink "$line->{dir}/$_" for qw(late dry);
        print $out join("\t", $kind, $result->{state}, $result->{times}, $result->{delays}[-1], $busy, "@{ $result->{heard} }"), "\n";
        $line->says(qr/is over/);
    }
    print $out "ended\t", $line->stop('TERM'), "\n";
    close $out or die;
}

my @pids;
for my $i (0 .. $lines - 1)
{
    my $pid = fork // die "fork: $!";
    if ($pid == 0)
    {
        # whatever becomes of it, the cluster and the directory are the parent's
        eval { one_line($i); 1 } or print STDERR $@;
        POSIX::_exit(0);
    }
    push @pids, $pid;
}
waitpid $_, 0 for @pids;

my ($made, $confirmed, $busy, $ended, %times, @delays) = (0, 0, 0, 0);
my @odd;
for my $i (0 .. $lines - 1)
{
    open my $rows, '<', "$dir/$i.calls" or next;
    while (my $row = <$rows>)
    {
        chomp $row;
        my ($kind, $state, $times, $delay, $was_busy) = split /\t/, $row;
        if ($kind eq 'ended') { $ended += $state == 0; next }
        $made++;
        $confirmed += $state eq 'confirmed';
        $busy += $was_busy;
        $times{$times}++;
        push @delays, $delay;
        push @odd, $row if $state ne 'confirmed' || ($times > 2 && !$was_busy);
    }
}
@delays = sort { $a <=> $b } @delays;
is($made, $calls, 'all calls were made');
is($confirmed, $calls, 'and all commands confirmed');
is($ended, $lines, 'the programs ended in order');
# where the machine did not read the card in time, by the card's own word, digits were lost on this side
is_deeply(\@odd, [], 'played twice at most');
diag sprintf '%d calls over %d lines, played %s; a busy machine in %d of them; from the last tone of a frame to the first of the answer: median %.0f, 95 %% %.0f, most %.0f ms',
    $made, $lines, join(', ', map { "$times{$_} of them " . ($_ == 1 ? 'once' : "$_ times") } sort { $a <=> $b } keys %times), $busy,
    map { $_ // 0 } @delays[ $#delays / 2, $#delays * 0.95, $#delays ];

$pair->stop;
done_testing();
