# What "make install" of mulberry-edge puts where: the program, its units with the path that it has, the rule for udev and the
# example, under another root and another prefix as well; systemd takes the units.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use Test::More;

my $programs = $ENV{MULBERRY_PROGRAMS} // "$FindBin::RealBin/..";
my $dir = tempdir(CLEANUP => 1);
my @all = qw(bin/mulberry-edge lib/systemd/system/mulberry-edge-sync.service lib/systemd/system/mulberry-edge.service
    lib/udev/rules.d/77-mulberry-modem.rules share/doc/mulberry/examples/edge.conf);

# As a package would do it: not from a PostgreSQL's makefile, whose variables are others.
sub make { my (@words) = @_; delete local @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)}; return qx(make -s -C $programs/edge @words PROGRAM=$programs/edge/mulberry-edge 2>&1) }
sub files { my ($root) = @_; return join ' ', sort map { s/^\Q$root\E\///r } split /\n/, qx(find $root -type f) }
sub content { my ($path) = @_; open my $file, '<', $path or return "$path: $!"; local $/; return <$file> }

is(make("install DESTDIR=$dir/own"), '', 'installs');
is(files("$dir/own"), join(' ', map { "usr/local/$_" } @all), 'below /usr/local, where systemd and udev look as well');
is(make("install DESTDIR=$dir/package prefix=/usr"), '', 'installs as a package');
is(files("$dir/package"), join(' ', map { "usr/$_" } @all), 'below /usr');
is(make("install DESTDIR=$dir/top bindir=/usr/bin"), '', 'and by the name that the makefile at the top uses');
is(files("$dir/top"), files("$dir/package"), 'to the same places');
for my $unit (qw(mulberry-edge mulberry-edge-sync))
{
    like(content("$dir/package/usr/lib/systemd/system/$unit.service"), qr{^ExecStart=/usr/bin/mulberry-edge }m, "$unit starts the program that was installed");
    like(content("$dir/own/usr/local/lib/systemd/system/$unit.service"), qr{^ExecStart=/usr/local/bin/mulberry-edge }m, '... wherever that is');
    SKIP:
    {
        skip 'no systemd here', 1 if system('systemd-analyze --version >/dev/null 2>&1') != 0;
        # of its words only what is about the lines of the unit; paths are those of a machine on which it is installed
        my @complaints = grep { /\.service:\d+: / && !/not executable/ } split /\n/, qx(systemd-analyze verify $dir/package/usr/lib/systemd/system/$unit.service 2>&1);
        is("@complaints", '', 'systemd understands it');
    }
}
is(make("uninstall DESTDIR=$dir/package prefix=/usr"), '', 'is taken away');
is(files("$dir/package"), '', 'all of it');

done_testing();
