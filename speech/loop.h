/*
 * loop.h
 *	  The event loop of the one thread that serves: epoll over descriptors that
 *	  each name a function.  It owns no descriptor.
 */
#ifndef SPEECH_LOOP_H
#define SPEECH_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/* Caller-owned; must stay in place while it is added. */
typedef struct speech_watch
{
	int fd;
	void (*ready)(void *arg, uint32_t events); /* events as of epoll(7) */
	void *arg;
	bool added;
} speech_watch;

/* False when the system refuses, and errno says why. */
extern bool speech_loop_init(void);
extern bool speech_loop_add(speech_watch *watch, uint32_t events);

/* May be called for a watch that is not added. */
extern void speech_loop_remove(speech_watch *watch);

/*
 * Waits at most timeout_ms and calls at most one function.  One, so that a
 * function may remove any other watch without a stale event behind it.
 */
extern void speech_loop_turn(int timeout_ms);

/* Closes the loop's own descriptor, also in a child after fork(). */
extern void speech_loop_close(void);

/* Seconds of the monotonic clock. */
extern double speech_now(void);

#endif /* SPEECH_LOOP_H */
