# A modem (Mulberry::ModemLine) that "mulberry-edge answer" answers, in a process of its own, whose far end is a directory as that of a sound
# card of test/edge/fakemic.c, "begun", "line" and "played": so that Mulberry::RealTimeLine is at the other end of the telephone line. A call comes
# when dial() says so.
package Mulberry::ModemCard;

use strict;
use warnings;

use parent -norequire, 'Mulberry::ModemLine';

use Mulberry::Edge;
use Mulberry::Line;
use Mulberry::ModemLine;
use Time::HiRes qw(clock_gettime sleep time CLOCK_BOOTTIME);

use constant {
    RATE => Mulberry::Line::RATE,
    ASTRAY => 0.25,    # seconds that what is heard or played may be off the clock before it is set right
    CALLER => '+15005550006',
};

# Starts it on that directory, with flags of "answer"; what the program says is in the file "log".
sub start_card
{
    my ($class, $kind, $dir, @flags) = @_;
    mkdir $dir;
    my $begun = clock_gettime(CLOCK_BOOTTIME);
    spew_raw("$dir/line", '');
    spew_raw("$dir/played", '');
    spew_raw("$dir/log", '');
    spew_raw("$dir/begun", sprintf '%.0f', $begun * 1e9);
    my $pid = fork // die "fork: $!";
    return bless { dir => $dir, pid => $pid, owner => $$ }, 'Mulberry::ModemCard::Handle' if $pid;
    my $line = $class->new($kind);
    @$line{qw(dir begun_at)} = ($dir, $begun);
    eval { $line->run(@flags); 1 } or spew_raw("$dir/died", $@);
    POSIX::_exit(($line->{status} // 1) & 255);
}

sub now { my ($line) = @_; return int((clock_gettime(CLOCK_BOOTTIME) - $line->{begun_at}) * RATE) }

# What the far end says goes to the program, each sample when it is due.
sub give
{
    my ($line, $n) = @_;
    my $now = $line->now;
    $line->{given} = $now - $n if abs($now - $n - ($line->{given} // -RATE)) > ASTRAY * RATE;
    open my $file, '<:raw', "$line->{dir}/line" or die "line: $!";
    sysseek $file, 2 * $line->{given}, 0;
    sysread $file, my $bytes, 2 * $n;
    $line->{given} += $n;
    $line->{to_say} = $bytes . "\0" x (2 * $n - length $bytes);
    $line->SUPER::give($n);
}

# What the program plays, behind what it has played, or from now on.
sub take
{
    my ($line, $bytes) = @_;
    $line->{heard} = '';
    $line->SUPER::take($bytes);
    my $now = $line->now;
    $line->{taken} = $now if ($line->{taken} // 0) < $now - ASTRAY * RATE;
    open my $file, '+<:raw', "$line->{dir}/played" or die "played: $!";
    sysseek $file, 2 * $line->{taken}, 0;
    syswrite $file, $bytes;
    $line->{taken} += length($bytes) / 2;
}

# Until it is told to end.
sub run
{
    my ($line, @flags) = @_;
    my $m = $line->{modem};
    my $over = 0;
    my $said = 0;
    local $SIG{TERM} = sub { $over = 1 };
    # a landline has no list of calls: it is up between these two commands
    push @{ $m->{script} }, [ qr/^AT\+VLS=0$/, sub { $line->{up} = 0; "\r\nOK\r\n" } ];
    $line->start(@flags);
    while (!$m->{ended})
    {
        $m->turn;
        if (@{ $m->{lines} } > $said)
        {
            open my $log, '>>', "$line->{dir}/log" or die "log: $!";
            print $log "$m->{lines}[$said++]\n" while $said < @{ $m->{lines} };
        }
        $line->{up} = 1 if $line->{kind} eq 'v253' && $m->{stream};
        if (!$line->{up} && -e "$line->{dir}/dial" && unlink "$line->{dir}/dial")
        {
            $line->ring(CALLER);
        }
        if ($line->{up} && !-e "$line->{dir}/up") { spew_raw("$line->{dir}/up", '') }
        if (!$line->{up} && -e "$line->{dir}/up") { unlink "$line->{dir}/up" }
        if ($over == 1) { kill 'TERM', $m->{pid}; $over = 2 }
    }
    waitpid delete $m->{pid}, 0;
    $line->{status} = $? >> 8;
    return;
}

# Has the modem of a directory ring, and waits until it is answered: the directory.
sub dial
{
    my ($dir) = @_;
    my $end = time + 60;
    # who called before may not have been hung up yet
    sleep 0.05 while -e "$dir/up" && time < $end;
    spew_raw("$dir/dial", '');
    sleep 0.05 while !-e "$dir/up" && time < $end;
    return $dir;
}

package Mulberry::ModemCard::Handle;

# Ends the program: its exit status.
sub stop
{
    my ($handle) = @_;
    kill 'TERM', $handle->{pid};
    waitpid delete $handle->{pid}, 0;
    return $? >> 8;
}

sub DESTROY
{
    my ($handle) = @_;
    local $?;
    return if !$handle->{pid} || $handle->{owner} != $$;
    kill 'TERM', $handle->{pid};
    waitpid $handle->{pid}, 0;
}

1;
