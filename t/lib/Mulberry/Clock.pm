# A clock that a test sets: processes that begin inside with_clock() see the time of day moved by what set_clock() says, now or later.
package Mulberry::Clock;

use strict;
use warnings;

use PostgreSQL::Test::Utils;

use Exporter 'import';
our @EXPORT = qw(with_clock set_clock);

my ($library, $offset);

# Whether there can be one: a C compiler makes it.
sub _make
{
    return $library if defined $library;
    my $compiler = $ENV{CC} // 'cc';
    my $directory = PostgreSQL::Test::Utils::tempdir();
    my $source = "$directory/clock.c";
    $offset = "$directory/offset";
    append_to_file($source, <<'C');
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long
moved(void)
{
	static volatile long *seconds;

	if (seconds == NULL)
	{
		int file = open(getenv("CLOCK_OFFSET"), O_RDONLY);

		seconds = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
		close(file);
	}
	return *seconds;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = (int) syscall(SYS_clock_gettime, clock, now);

	if (clock == CLOCK_REALTIME)
		now->tv_sec += moved();
	return result;
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec exact;
	int result = clock_gettime(CLOCK_REALTIME, &exact);

	now->tv_sec = exact.tv_sec;
	now->tv_usec = exact.tv_nsec / 1000;
	(void) zone;
	return result;
}

time_t
time(time_t *into)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (into)
		*into = now.tv_sec;
	return now.tv_sec;
}
C
    set_clock(0);
    $library = "$directory/clock.so";
    $library = '' if system("$compiler -shared -fPIC -O1 -o $library $source") != 0;
    return $library;
}

# Moves it by so many seconds from the true time.
sub set_clock
{
    my ($seconds) = @_;
    # in place: processes have the file mapped
    open(my $file, -e $offset ? '+<' : '>', $offset) or die "$offset: $!";
    syswrite $file, pack('l!', $seconds);
    close $file;
    return;
}

# What the code returns, whose processes have this clock; nothing where there is no C compiler.
sub with_clock
{
    my ($code) = @_;
    return if _make() eq '';
    local $ENV{LD_PRELOAD} = $library;
    local $ENV{CLOCK_OFFSET} = $offset;
    return $code->();
}

1;
