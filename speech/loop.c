/*
 * loop.c
 *	  The event loop; see loop.h.
 */
#include "loop.h"

#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static int loop_fd = -1;

bool
speech_loop_init(void)
{
	loop_fd = epoll_create1(EPOLL_CLOEXEC);
	return loop_fd >= 0;
}

bool
speech_loop_add(speech_watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (epoll_ctl(loop_fd, EPOLL_CTL_ADD, watch->fd, &event) != 0)
		return false;
	watch->added = true;
	return true;
}

void
speech_loop_remove(speech_watch *watch)
{
	if (!watch->added)
		return;
	epoll_ctl(loop_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->added = false;
}

void
speech_loop_turn(int timeout_ms)
{
	struct epoll_event event;
	speech_watch *watch;

	if (epoll_wait(loop_fd, &event, 1, timeout_ms) != 1)
		return;
	watch = event.data.ptr;
	watch->ready(watch->arg, event.events);
}

void
speech_loop_close(void)
{
	if (loop_fd >= 0)
		close(loop_fd);
	loop_fd = -1;
}

double
speech_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}
