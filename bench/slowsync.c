/*
 * slowsync.c
 *	  Delays fdatasync() by SLOWSYNC_US microseconds, for a server started with it in
 *	  LD_PRELOAD: a disk whose flushes take time, where group commit shows.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int
fdatasync(int fd)
{
	static int (*real)(int);
	static long delay = -1;

	if (delay < 0)
	{
		const char *wanted = getenv("SLOWSYNC_US");

		real = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
		delay = wanted ? atol(wanted) : 2000;
	}
	nanosleep(&(struct timespec){ delay / 1000000, delay % 1000000 * 1000 }, NULL);
	return real(fd);
}
