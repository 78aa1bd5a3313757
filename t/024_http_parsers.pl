# The reader of requests in the core against two foreign ones, node's and python3-h11's, over requests that are
# mutilated in many ways: what the core takes, both take, and mean the same by it.  It refuses more than they do.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use Test::More;

my $requests = 5000;
my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::Bin/..";
my $tools = "$programs/test/http";
my $dir = tempdir(CLEANUP => 1);

# Lines that a command writes.
sub lines_of
{
    my ($command) = @_;
    my @lines = `$command`;
    chomp @lines;
    is($?, 0, "$command ends in order");
    return @lines;
}

# The requests of a file.
sub requests_of
{
    my ($path) = @_;
    open my $file, '<:raw', $path or die "$path: $!";
    my $data = do { local $/; <$file> };
    my @requests;
    for (my $at = 0; $at < length $data; )
    {
        my $n = unpack 'N', substr $data, $at, 4;
        push @requests, substr $data, $at + 4, $n;
        $at += 4 + $n;
    }
    return @requests;
}

lines_of("/usr/bin/python3 $tools/requests.py make $dir/requests $requests");
my @requests = requests_of("$dir/requests");
my @ours = lines_of("$programs/build/http-heads < $dir/requests");
my @h11 = lines_of("/usr/bin/python3 $tools/requests.py h11 $dir/requests");
is(scalar @ours, $requests, 'each was judged');
is(scalar @h11, $requests, 'by h11, too');

my (@taken, @lenient, %count);
for my $i (0 .. $#ours)
{
    my ($verdict) = split ' ', $ours[$i];
    $count{$verdict}++;
    $count{'refused although h11 takes it'}++ if $verdict eq 'refuse' && $h11[$i] =~ /^accept/;
    next unless $verdict eq 'accept';
    push @taken, $i;
    push @lenient, $i if $h11[$i] ne $ours[$i];
}
cmp_ok($count{$_} // 0, '>', $requests / 10, "many of them: $_") for 'accept', 'refuse';
note(join ', ', map { "$_: $count{$_}" } sort keys %count);
is(scalar @lenient, 0, 'what the core takes, h11 takes, with the same method, target, body and rest')
    or diag(map { "$ours[$_] | $h11[$_]\n" } @lenient[ 0 .. ($#lenient < 9 ? $#lenient : 9) ]);

# Node is given what the core took for one request, without the rest: it must take exactly that for one, too.
# It knows no methods but those of its list.
my $methods = qr/^accept (?:GET|POST|PUT|DELETE|PATCH|OPTIONS) /;
@taken = grep { $ours[$_] =~ $methods } @taken;
open my $file, '>:raw', "$dir/taken" or die;
for my $i (@taken)
{
    my ($rest) = $ours[$i] =~ / (\d+)$/;
    my $request = substr $requests[$i], 0, length($requests[$i]) - $rest;
    print $file pack('N', length $request), $request;
}
close $file;
my @node = lines_of("node $tools/requests.js $dir/taken");
is(scalar @node, scalar @taken, 'each was judged by node');
@lenient = grep { $node[$_] ne $ours[ $taken[$_] ] =~ s/ \d+$//r } 0 .. $#taken;
is(scalar @lenient, 0, 'what the core takes, node takes, with the same method, target and body')
    or diag(map { "$ours[$taken[$_]] | $node[$_] | $requests[$taken[$_]]\n" } @lenient[ 0 .. ($#lenient < 9 ? $#lenient : 9) ]);

done_testing();
