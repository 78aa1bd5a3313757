# A telephone line in real time whose other end is a sound card of test/edge/fakemic.c, with "line 1": what is said goes into the
# card's file "line", each sample at its place in the card's time, and what the card played comes from its file "played". Nothing
# that is too late is made up for: it was not heard, as on a line, and the file "said-late" says that this may be so.
package Mulberry::RealTimeLine;

use strict;
use warnings;

use Time::HiRes qw(clock_gettime CLOCK_BOOTTIME sleep time);

use Mulberry::Line;

use constant {
    LEAD => 0.3,     # seconds between writing what is said and when it is heard
    SETTLED => 0.3,  # and between what was played and reading it
};

# The card must have been opened. "wait" is called with how many seconds there are to wait, again and again.
sub new
{
    my ($class, $dir, $wait) = @_;
    open(my $file, '<', "$dir/begun") or die "$dir/begun: $!";
    my $begun = <$file>;
    my $self = bless { dir => $dir, begun => $begun / 1e9, wait => $wait // sub { sleep $_[0] } }, $class;
    $self->{at} = $self->now;
    return $self;
}

# The sample that is heard now.
sub now { my ($self) = @_; return int((clock_gettime(CLOCK_BOOTTIME) - $self->{begun}) * Mulberry::Line::RATE) }

# Says something in mu-law, and lets as much time pass: what was heard on the line from where the last such call ended, in both
# directions, ours and theirs.
sub carry
{
    my ($self, $ours) = @_;
    my $first = $self->{at};
    my $start = $first;
    if ($ours =~ /[^\xff]/)
    {
        my $soonest = $self->now + int(LEAD * Mulberry::Line::RATE);
        $start = $soonest if $start < $soonest;
        open(my $line, '+<:raw', "$self->{dir}/line") or die "$self->{dir}/line: $!";
        sysseek($line, $start * 2, 0);
        syswrite($line, pack 's<*', Mulberry::Line::linear($ours)) or die "$self->{dir}/line: $!";
        close $line;
        # the first of it may not have been heard
        if ($self->now > $start) { open(my $mark, '>', "$self->{dir}/said-late") }
    }
    $self->{at} = $start + length $ours;
    while ((my $left = $self->{at} / Mulberry::Line::RATE + SETTLED - (clock_gettime(CLOCK_BOOTTIME) - $self->{begun})) > 0)
    {
        $self->{wait}->($left);
    }
    my $n = $self->{at} - $first;
    my $theirs = '';
    if (open(my $played, '<:raw', "$self->{dir}/played"))
    {
        sysseek($played, $first * 2, 0);
        sysread($played, $theirs, $n * 2);
    }
    my @samples = unpack 's<*', $theirs;
    return (Mulberry::Line::SILENCE x ($start - $first) . $ours, Mulberry::Line::mulaw(@samples, (0) x ($n - @samples)));
}

1;
