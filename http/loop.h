/*
 * loop.h
 *	  The event loop of a server's one thread: epoll (level-triggered) over descriptors that each
 *	  name a function, timers, and tasks for the end of a turn.  It owns no descriptor but its own.
 *
 * Watches, timers and tasks are the caller's: all zero before their first use, in place while they
 * are added, set or deferred.  Any of them may be removed, changed or added from within any function
 * that the loop calls; what is removed is not called any more, not even for an event that the
 * kernel has told already.
 *
 * Times are microseconds of the monotonic clock.
 */
#ifndef HTTP_LOOP_H
#define HTTP_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_MILLISECOND ((int64_t) 1000)
#define HTTP_SECOND ((int64_t) 1000000)

typedef struct http_loop http_loop;

/* A descriptor, such as that of a connection to PostgreSQL (libpq may change it: then add anew). */
typedef struct http_watch
{
	int fd;
	void (*ready)(void *arg, uint32_t events); /* events as of epoll(7) */
	void *arg;

	http_loop *loop; /* the rest is the loop's; NULL while not added */
	uint32_t events;
} http_watch;

typedef struct http_timer
{
	void (*due)(void *arg); /* the timer is not set any more when it is called */
	void *arg;

	int64_t at; /* the rest is the loop's */
	int64_t sorted_by;
	size_t place; /* in the heap, from 1; 0 while not set */
} http_timer;

typedef struct http_task
{
	void (*run)(void *arg);
	void *arg;

	struct http_task *next; /* the rest is the loop's */
	bool deferred;
} http_task;

/* NULL when the system refuses, and errno says why. */
extern http_loop *http_loop_new(void);

/* Forgets everything that is still added; closes the loop's own descriptor. */
extern void http_loop_free(http_loop *loop);

/* False when the system refuses (errno).  The events are those of epoll(7), such as EPOLLIN. */
extern bool http_loop_add(http_loop *loop, http_watch *watch, uint32_t events);

/* Other events for a watch that is added; costs a system call only when they differ. */
extern bool http_loop_change(http_watch *watch, uint32_t events);

/* May be called for a watch that is not added.  Before its descriptor is closed. */
extern void http_loop_remove(http_watch *watch);

/* Sets a timer, or sets it anew.  To move it further into the future costs next to nothing.  False
 * when there is no memory. */
extern bool http_loop_set_timer(http_loop *loop, http_timer *timer, int64_t at);
extern void http_loop_clear_timer(http_loop *loop, http_timer *timer);

/*
 * Has a task run once when all events of this turn have been told: what they brought can be done
 * together then.  A task that is deferred already stays where it is.
 */
extern void http_loop_defer(http_loop *loop, http_task *task);
extern void http_loop_cancel(http_loop *loop, http_task *task);

/* Waits for events, a timer, or max_wait_ms (-1: as long as it takes), and calls what is due. */
extern void http_loop_turn(http_loop *loop, int max_wait_ms);

/* When the events of this turn were told, and the clock itself. */
extern int64_t http_loop_now(const http_loop *loop);

/* Not later than this turn's events came: when it was waited for them, they woke it up; else they may be as old as the turn before. */
extern int64_t http_loop_came(const http_loop *loop);
extern int64_t http_clock(void);

#endif /* HTTP_LOOP_H */
