# The spool of mulberry-edge: kill -9 at any moment, bounds, a disk that is full, read-only or damaged.  Nothing that was
# taken is lost but what is reported.  Needs no PostgreSQL.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use IPC::Open2;
use Test::More;
use Time::HiRes qw(sleep);

my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::Bin/..";
my $program = $ENV{MULBERRY_EDGE_SPOOL} // "$programs/build/edge-spool";
my $dir = tempdir(CLEANUP => 1);
my $segment = 40960;    # 80 records
my $in_segment = 80;
my $torn = qr/^torn segment/;

srand 12;

# A spool: {pid, in, out, first}, first being what it said when it was opened.
sub spool
{
    my ($name, %options) = @_;
    my $spool = {};
    my @command = ($program, "$dir/$name", $options{max} // 100 * $segment, $segment, $options{memory} // 4 * 131072, $options{free} // 0);
    $spool->{pid} = open2($spool->{out}, $spool->{in}, @command);
    $spool->{first} = [answer($spool)];
    return $spool;
}

# Lines up to "done" or the end.
sub answer
{
    my ($spool) = @_;
    my @lines;
    while (defined(my $line = readline $spool->{out}))
    {
        chomp $line;
        return @lines if $line eq 'done';
        push @lines, $line;
    }
    return @lines;
}

sub command
{
    my ($spool, $command) = @_;
    print { $spool->{in} } "$command\n";
    $spool->{in}->flush;
    return answer($spool);
}

sub close_spool
{
    my ($spool) = @_;
    my @lines = command($spool, 'close');
    waitpid $spool->{pid}, 0;
    is($?, 0, 'it ends in order');
    return @lines;
}

sub kill_spool
{
    my ($spool) = @_;
    kill 'KILL', $spool->{pid};
    my @lines = answer($spool);
    waitpid $spool->{pid}, 0;
    return @lines;
}

# Sequences of what was got, those with other bytes than were put left out.
sub sequences
{
    return map { /^got \S+ \S+ (-?\d+) / ? $1 : () } @_;
}

sub segments_of
{
    my ($name) = @_;
    opendir my $entries, "$dir/$name" or die "$name: $!";
    return map { "$dir/$name/$_" } sort grep { /\.spool$/ } readdir $entries;
}

sub write_at
{
    my ($file, $at, $bytes) = @_;
    open my $f, '+<:raw', $file or die "$file: $!";
    seek $f, $at, 0;
    print $f $bytes;
    close $f or die "$file: $!";
}

# --- kill -9 ------------------------------------------------------------------------------------------------

my @put;
my $next = 0;
my @odd;
for my $round (1 .. 25)
{
    my $spool = spool('killed');
    push @odd, @{ $spool->{first} };
    print { $spool->{in} } "flood call in $next\n";
    $spool->{in}->flush;
    my $seen = int rand 150;
    my @lines;
    while (@lines <= $seen)
    {
        push @lines, scalar readline $spool->{out};
    }
    sleep rand 0.003;
    push @lines, kill_spool($spool);
    my @new = map { /^put (\d+)$/ ? $1 : () } @lines;
    push @put, @new;
    # what it had not said yet may be there or not: begin behind it
    $next = $new[-1] + 1000;
}
my $spool = spool('killed');
my @got = command($spool, 'take 0');
my %got = map { $_ => 1 } sequences(@got);
is(scalar(grep { !$got{$_} } @put), 0, 'after 25 kills everything that was taken is there, of ' . @put);
is(scalar(grep { !/^(got|torn)/ } @odd, @got), 0, 'nothing else is told than what was being written');
is_deeply([sequences(@got)], [sort { $a <=> $b } sequences(@got)], 'in the order in which it was taken');
is(scalar(@{ [sequences(@got)] }), scalar(keys %got), 'each once');
# killed while it is acknowledged: what was not comes again, and numbers go on
my @numbers = map { /^got .* (\d+)$/ ? $1 : () } @got;
command($spool, "acknowledge $_ 1") for @numbers[0 .. $#numbers - 50];
kill_spool($spool);
$spool = spool('killed');
%got = map { $_ => 1 } sequences(command($spool, 'take 0'));
is(scalar(grep { !$got{$_} } (sequences(@got))[-50 .. -1]), 0, 'after a kill what was not acknowledged comes again');
cmp_ok(scalar(segments_of('killed')), '<', 5, 'segments with nothing else are gone');
my ($again) = grep { /^got/ } command($spool, 'put call in 900000 1'), command($spool, 'take 0');
like($again, qr/ 900000 (\d+)$/, 'it goes on');
cmp_ok($again =~ / (\d+)$/ ? $1 : 0, '>', $numbers[-1], 'and so do its numbers');
command($spool, "acknowledge 1 @{[$numbers[-1] + 1000]}");
is_deeply([sequences(command($spool, 'release'), command($spool, 'take 0'))], [], 'all acknowledged: nothing comes');
close_spool($spool);
is_deeply([segments_of('killed')], [], 'and no file is left');

# --- one process at a time ----------------------------------------------------------------------------------

$spool = spool('mine');
command($spool, 'put call in 0 3');
my $second = spool('mine');
like($second->{first}[0], qr/^not opened: Resource temporarily unavailable/, 'a second process is told that the spool is taken');
waitpid $second->{pid}, 0;
$second = spool('no/such/place');
like($second->{first}[0], qr/^not opened: No such file or directory/, 'a place that is not there');
waitpid $second->{pid}, 0;
is_deeply([sequences(command($spool, 'take 2'))], [0, 1], 'it goes record by record');
is_deeply([sequences(command($spool, 'take 0'))], [2], 'what is in hand does not come again');
is_deeply([sequences(command($spool, 'release'), command($spool, 'take 0'))], [0, 1, 2], 'but when it was released');
like((command($spool, 'sync'), command($spool, 'look'))[0], qr/safe 3$/, 'written through');
close_spool($spool);

# --- the bound ----------------------------------------------------------------------------------------------

$spool = spool('bound', max => 4 * $segment);
my @lines = (command($spool, "put one in 0 @{[3 * $in_segment]}"), command($spool, "put two out 0 @{[3 * $in_segment]}"));
my @dropped = grep { /^dropped/ } @lines;
is_deeply(
    \@dropped,
    ['dropped one in 0 79 records 80 ms 1600', 'dropped one in 80 159 records 80 ms 1600'],
    'the oldest goes, and it is told what and how long it was'
);
@lines = command($spool, 'take 0');
is(scalar(grep { /^got one in / } @lines), $in_segment, 'the youngest of one call stay');
is(scalar(grep { /^got two out / } @lines), 3 * $in_segment, 'and all of the other');
like((command($spool, 'look'))[0], qr/^disk @{[4 * $segment]} .* dropped 160 /, 'the bound holds');
# two tracks side by side, one of them acknowledged in part
command($spool, "acknowledge @{[2 * $in_segment + 1]} 70");
@lines = command($spool, 'put three in 0 1');
is_deeply([grep { /^dropped/ } @lines], ['dropped one in 230 239 records 10 ms 200'], 'what was acknowledged is not told as dropped');
close_spool($spool);

# --- a disk that takes nothing: full ------------------------------------------------------------------------

$spool = spool('full', memory => 3 * 131072);
command($spool, 'put call in 0 20');
command($spool, 'sync');
command($spool, 'put call in 20 10');
command($spool, 'limit 0');
@lines = command($spool, "put call in 30 200");
is((grep { /^disk lost/ } @lines)[0], 'disk lost: could not write into a segment: File too large', 'a full disk is told');
is(scalar(grep { /^disk lost/ } @lines), 1, 'once');
is(scalar(grep { /^put/ } @lines), 200, 'and everything is taken');
my ($look) = command($spool, 'look');
like($look, qr/ lost 1 dropped 0 damaged 0 safe 20$/, 'what was not written through is not counted as safe');
is_deeply([sequences(command($spool, 'take 0'))], [0 .. 229], 'all of it comes out, in order and once');
command($spool, 'release');
@lines = (command($spool, 'turn 11000'), command($spool, "put call in 230 900"));
is(scalar(grep { /^disk back/ } @lines), 0, 'a disk that is still full is not back');
@dropped = grep { /^dropped/ } @lines;
is($dropped[0] =~ /^dropped call in 20 (\d+) / ? 1 : 0, 1, 'memory is bounded, too: the oldest of it is dropped');
my ($lost) = map { /^dropped call in \d+ (\d+) / ? $1 : () } $dropped[-1];
command($spool, 'limit -1');
@lines = command($spool, 'turn 11000');
is_deeply(\@lines, ['disk back'], 'when there is room again, it is told');
like((command($spool, 'look'))[0], qr/ memory 0 .* lost 0 .* safe 1130$/, 'and what was in memory goes to disk');
is_deeply([sequences(command($spool, 'take 0'))], [0 .. 19, $lost + 1 .. 1129], 'all is delivered but what was told as dropped');
kill_spool($spool);
$spool = spool('full');
# ten that were dropped from memory had got to the disk after all
is_deeply([sequences(@{ $spool->{first} }, command($spool, 'take 0'))], [0 .. 29, $lost + 1 .. 1129], 'also by the next process');
close_spool($spool);

# what was written to a failing disk and is in memory, too, comes once, also when both got to the disk
$spool = spool('twice');
command($spool, 'put call in 0 10');
command($spool, 'limit 0');
command($spool, 'put call in 10 10');
command($spool, 'limit -1');
is((command($spool, 'turn 11000'))[0], 'disk back', 'a disk that failed for a moment');
kill_spool($spool);
$spool = spool('twice');
@lines = command($spool, 'take 0');
is_deeply([sequences(@lines)], [0 .. 19], 'each record once');
command($spool, 'acknowledge 1 20');
is_deeply([sequences(command($spool, 'release'), command($spool, 'take 0'))], [], 'and acknowledged it is gone');
is_deeply([segments_of('twice')], [], 'with its files');
close_spool($spool);

# the same when a part of the segment had been written through, and the kill came before anything was acknowledged
$spool = spool('half');
command($spool, 'put call in 0 10');
command($spool, 'sync');
command($spool, 'put call in 10 10');
command($spool, 'limit 0');
command($spool, 'put call in 20 10');
command($spool, 'limit -1');
is((command($spool, 'turn 11000'))[0], 'disk back', 'a disk that failed in the middle of a segment');
kill_spool($spool);
$spool = spool('half');
@lines = command($spool, 'take 0');
is_deeply([sequences(@lines)], [0 .. 29], 'what lies in two segments comes once');
command($spool, 'acknowledge 1 30');
is_deeply([sequences(command($spool, 'release'), command($spool, 'take 0'))], [], 'and acknowledged it is gone');
is_deeply([segments_of('half')], [], 'with its files');
close_spool($spool);

# the younger of the two got to the disk in part only: what it lacks comes from the older one
$spool = spool('less');
command($spool, 'put call in 0 10');
command($spool, 'sync');
command($spool, 'put call in 10 10');
command($spool, 'limit 0');
command($spool, 'put call in 20 10');
command($spool, 'limit -1');
command($spool, 'turn 11000');
command($spool, 'put call in 30 1');
kill_spool($spool);
write_at((segments_of('less'))[1], 512 * 5, "\0" x (512 * 15));
$spool = spool('less');
is_deeply([sort { $a <=> $b } sequences(command($spool, 'take 0'))], [0 .. 19, 30], 'what the younger segment lacks comes from the older one');
close_spool($spool);

# no room for the next segment
$spool = spool('next');
command($spool, 'put call in 0 79');
command($spool, "limit @{[$segment - 1]}");
@lines = command($spool, 'put call in 79 10');
is((grep { /^disk lost/ } @lines)[0] // '', 'disk lost: could not write into a segment: File too large', 'in the last place of a segment');
command($spool, 'limit -1');
is((command($spool, 'turn 11000'))[0], 'disk back', 'there is room again');
command($spool, 'put call in 89 1');
command($spool, "limit @{[$segment / 2]}");
@lines = command($spool, 'put call in 90 90');
is(scalar(grep { /^disk lost/ } @lines), 1, 'in the middle of one');
command($spool, 'limit 100');
command($spool, 'turn 11000');
is_deeply([sequences(command($spool, 'take 0'))], [0 .. 179], 'nothing is lost');
@lines = close_spool($spool);
is(scalar(grep { /^dropped/ } @lines), 1, 'what is in memory when it ends is told as dropped');

# --- read-only ----------------------------------------------------------------------------------------------

SKIP:
{
    skip 'root writes everywhere', 6 if $> == 0;
    $spool = spool('read-only');
    command($spool, 'put call in 0 70');
    chmod 0500, "$dir/read-only";
    @lines = command($spool, 'put call in 70 40');
    is(
        (grep { /^disk lost/ } @lines)[0],
        'disk lost: could not make a segment: Permission denied',
        'a directory that cannot be written is told'
    );
    is_deeply([sequences(command($spool, 'take 0'))], [0 .. 109], 'all is taken');
    kill_spool($spool);
    $spool = spool('read-only');
    is_deeply([sequences(command($spool, 'take 0'))], [0 .. 79], 'one that was so from the beginning can be read');
    command($spool, 'put call in 80 5');
    chmod 0700, "$dir/read-only";
    is((command($spool, 'turn 11000'))[0], 'disk back', 'and is written when it can be');
    close_spool($spool);
}

# --- files that may be open ---------------------------------------------------------------------------------

# a long outage: more segments than files may be open
$spool = spool('many');
command($spool, 'files 24');
@lines = command($spool, "put call in 0 @{[40 * $in_segment]}");
is(scalar(grep { /^disk lost/ } @lines), 0, 'forty segments are written with few open files');
is_deeply([sequences(command($spool, 'take 0'))], [0 .. 40 * $in_segment - 1], 'and read');
kill_spool($spool);
$spool = spool('many');
command($spool, 'files 24');
is_deeply([sequences(command($spool, 'take 0'))], [0 .. 40 * $in_segment - 1], 'and read by the next process');
close_spool($spool);

# none may be opened: what cannot be looked at is no damage
$spool = spool('none');
command($spool, "put call in 0 @{[3 * $in_segment]}");
close_spool($spool);
$spool = spool('none');
command($spool, 'files 0');
@lines = (command($spool, 'take 0'));
is(scalar(grep { /^(?:damaged|torn)/ } @lines), 0, 'a segment that cannot be opened is not told as damaged');
command($spool, 'files -1');
@lines = (@lines, command($spool, 'release'), command($spool, 'take 0'));
my %all = map { $_ => 1 } sequences(@lines);
is(scalar(keys %all), 3 * $in_segment, 'nor deleted: it comes when it can be opened');
close_spool($spool);

# --- the share of others ------------------------------------------------------------------------------------

$spool = spool('share');
command($spool, 'put call in 0 100');
close_spool($spool);
$spool = spool('share', free => 100);
@lines = command($spool, 'put call in 100 100');
is(
    (grep { /^disk lost/ } @lines)[0],
    "disk lost: could not keep the disk's share for others free: No space left on device",
    'a disk that others filled is told'
);
is_deeply([sequences(command($spool, 'take 0'))], [0 .. 199], 'and no reason to drop what is there');
kill_spool($spool);

# --- damage -------------------------------------------------------------------------------------------------

for my $case (['garbage', join('', map { chr int rand 256 } 1 .. 512)], ['zeroes', "\0" x 512], ['one byte', 'x'])
{
    my ($name, $bytes) = @$case;
    $spool = spool("damage $name");
    command($spool, 'put call in 0 300');
    close_spool($spool);
    my @files = segments_of("damage $name");
    is(scalar @files, 4, "$name: four segments");
    write_at($files[1], 512 * 13 + ($bytes eq 'x' ? 200 : 0), $bytes);
    $spool = spool("damage $name");
    @lines = (@{ $spool->{first} }, command($spool, 'take 0'));
    is_deeply([sequences(@lines)], [grep { $_ != 93 } 0 .. 299], "$name in a block: all but its record is delivered");
    is_deeply([grep { /^damaged/ } @lines], ['damaged segment 51 bytes 512 records 1'], "$name: and told, with its length");
    close_spool($spool);
}

# at random places of all segments
$spool = spool('wild');
command($spool, 'put call in 0 400');
close_spool($spool);
my %hit;
for my $i (1 .. 40)
{
    my @files = segments_of('wild');
    my $n = int rand @files;
    my $block = int rand($in_segment);
    write_at($files[$n], $block * 512 + int rand 390, chr int rand 256);
    $hit{ $n * $in_segment + $block } = 1;
}
$spool = spool('wild');
@lines = (@{ $spool->{first} }, command($spool, 'take 0'));
my %there = map { $_ => 1 } sequences(@lines);
is(scalar(grep { !$there{$_} && !$hit{$_} } 0 .. 399), 0, '40 damaged places: no record but theirs is lost');
is(scalar(grep { /^wrong/ } @lines), 0, 'and none is false');
my $bytes = 0;
$bytes += /^(?:damaged|torn) segment \S+ bytes (\d+)/ ? $1 : 0 for @lines;
is($bytes, 512 * (400 - keys %there), 'all that is lost is told');
# names that are none of ours, an empty file, a directory
close_spool($spool);
open my $f, '>', "$dir/wild/ffffffffffffff00.spool" or die;
close $f;
open $f, '>', "$dir/wild/notes.txt" or die;
close $f;
mkdir "$dir/wild/0000000000000000.spool";
$spool = spool('wild');
is(scalar(@{ [sequences(command($spool, 'take 0'))] }), scalar(keys %there), 'what else lies in the directory does not matter');
ok(-e "$dir/wild/notes.txt", 'and stays');
close_spool($spool);

# --- the latest time ----------------------------------------------------------------------------------------

$spool = spool('clock');
is((command($spool, 'latest'))[0], 'latest none', 'no time is known');
is((command($spool, 'latest 1700000000000000'))[0], 'latest 1700000000000000', 'one is');
is((command($spool, 'latest 1600000000000000'))[0], 'latest 1700000000000000', 'it does not go back');
is((command($spool, 'latest 1700000030000000'))[0], 'latest 1700000030000000', 'it goes on');
kill_spool($spool);
$spool = spool('clock');
is((command($spool, 'latest'))[0], 'latest 1700000000000000', 'after a kill it is at most a minute behind');
command($spool, 'latest 1700000070000000');
kill_spool($spool);
write_at("$dir/clock/latest-time", 4096, 'torn');
$spool = spool('clock');
like((command($spool, 'latest'))[0], qr/^latest 17000000(00|70)000000$/, 'one place damaged: the other is good');
close_spool($spool);

done_testing();
