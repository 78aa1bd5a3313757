/*
 * loop.c
 *	  The event loop; see loop.h.
 *
 * Timers are a heap.  One that is moved into the future stays where it is and is sorted anew when its
 * former time has come: the deadline of a connection moves with each request, and nearly never
 * comes.
 */
#include "loop.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* Events told at a time. */
#define BATCH 256

/* Tasks that defer tasks are let through so many times a turn, then descriptors have theirs. */
#define MAX_ROUNDS 16

/* A wait that was shorter has found its events there already. */
#define WAITED 50

struct http_loop
{
	int fd;
	int64_t now;
	int64_t came;

	struct epoll_event batch[BATCH];
	int n_batch;
	int in_batch; /* the event being told */

	http_timer **heap;
	size_t n_timers;
	size_t heap_room;

	http_task *first_task;
	http_task **last_task; /* where the next one is linked */
	size_t n_tasks;
};

int64_t
http_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * HTTP_SECOND + now.tv_nsec / 1000;
}

int64_t
http_loop_now(const http_loop *loop)
{
	return loop->now;
}

int64_t
http_loop_came(const http_loop *loop)
{
	return loop->came;
}

http_loop *
http_loop_new(void)
{
	http_loop *loop = calloc(1, sizeof(*loop));

	if (loop == NULL)
		return NULL;
	loop->fd = epoll_create1(EPOLL_CLOEXEC);
	loop->now = http_clock();
	loop->last_task = &loop->first_task;
	if (loop->fd >= 0)
		return loop;
	free(loop);
	return NULL;
}

void
http_loop_free(http_loop *loop)
{
	if (loop == NULL)
		return;
	close(loop->fd);
	free(loop->heap);
	free(loop);
}

/* --- watches ------------------------------------------------------------------- */

bool
http_loop_add(http_loop *loop, http_watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (epoll_ctl(loop->fd, EPOLL_CTL_ADD, watch->fd, &event) != 0)
		return false;
	watch->loop = loop;
	watch->events = events;
	return true;
}

bool
http_loop_change(http_watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (watch->loop == NULL || watch->events == events)
		return watch->loop != NULL;
	if (epoll_ctl(watch->loop->fd, EPOLL_CTL_MOD, watch->fd, &event) != 0)
		return false;
	watch->events = events;
	return true;
}

void
http_loop_remove(http_watch *watch)
{
	http_loop *loop = watch->loop;

	if (loop == NULL)
		return;
	epoll_ctl(loop->fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->loop = NULL;
	/* events that were told with the one under way are not the watch's any more */
	for (int i = loop->in_batch + 1; i < loop->n_batch; i++)
		if (loop->batch[i].data.ptr == watch)
			loop->batch[i].data.ptr = NULL;
}

/* --- timers -------------------------------------------------------------------- */

static void
put(http_loop *loop, http_timer *timer, size_t place)
{
	loop->heap[place - 1] = timer;
	timer->place = place;
}

static void
sift_up(http_loop *loop, http_timer *timer, size_t place)
{
	while (place > 1 && loop->heap[place / 2 - 1]->sorted_by > timer->sorted_by)
	{
		put(loop, loop->heap[place / 2 - 1], place);
		place /= 2;
	}
	put(loop, timer, place);
}

static void
sift_down(http_loop *loop, http_timer *timer, size_t place)
{
	for (;;)
	{
		size_t child = 2 * place;

		if (child > loop->n_timers)
			break;
		if (child < loop->n_timers &&
			loop->heap[child]->sorted_by < loop->heap[child - 1]->sorted_by)
			child++;
		if (loop->heap[child - 1]->sorted_by >= timer->sorted_by)
			break;
		put(loop, loop->heap[child - 1], place);
		place = child;
	}
	put(loop, timer, place);
}

bool
http_loop_set_timer(http_loop *loop, http_timer *timer, int64_t at)
{
	/* what is due at once is so with the next turn, else a timer that sets itself would never end */
	if (at <= loop->now)
		at = loop->now + 1;
	timer->at = at;
	if (timer->place > 0)
	{
		if (at < timer->sorted_by)
		{
			timer->sorted_by = at;
			sift_up(loop, timer, timer->place);
		}
		return true;
	}
	if (loop->n_timers == loop->heap_room)
	{
		size_t room = loop->heap_room > 0 ? 2 * loop->heap_room : 64;
		http_timer **heap = realloc(loop->heap, room * sizeof(http_timer *));

		if (heap == NULL)
			return false;
		loop->heap = heap;
		loop->heap_room = room;
	}
	timer->sorted_by = at;
	sift_up(loop, timer, ++loop->n_timers);
	return true;
}

void
http_loop_clear_timer(http_loop *loop, http_timer *timer)
{
	size_t place = timer->place;
	http_timer *last;

	if (place == 0)
		return;
	timer->place = 0;
	last = loop->heap[--loop->n_timers];
	if (last == timer)
		return;
	if (place > 1 && loop->heap[place / 2 - 1]->sorted_by > last->sorted_by)
		sift_up(loop, last, place);
	else
		sift_down(loop, last, place);
}

/* Calls the timers whose time has come; those set meanwhile have their turn with the next. */
static void
run_timers(http_loop *loop)
{
	while (loop->n_timers > 0 && loop->heap[0]->sorted_by <= loop->now)
	{
		http_timer *timer = loop->heap[0];

		if (timer->at > timer->sorted_by)
		{
			timer->sorted_by = timer->at;
			sift_down(loop, timer, 1);
			continue;
		}
		http_loop_clear_timer(loop, timer);
		timer->due(timer->arg);
	}
}

/* --- tasks --------------------------------------------------------------------- */

void
http_loop_defer(http_loop *loop, http_task *task)
{
	if (task->deferred)
		return;
	task->deferred = true;
	task->next = NULL;
	*loop->last_task = task;
	loop->last_task = &task->next;
	loop->n_tasks++;
}

void
http_loop_cancel(http_loop *loop, http_task *task)
{
	http_task **place = &loop->first_task;

	if (!task->deferred)
		return;
	while (*place != task)
		place = &(*place)->next;
	*place = task->next;
	if (task->next == NULL)
		loop->last_task = place;
	task->deferred = false;
	loop->n_tasks--;
}

static void
run_tasks(http_loop *loop)
{
	for (int round = 0; round < MAX_ROUNDS && loop->first_task != NULL; round++)
	{
		/* those that are there now; what they defer is for the next round */
		for (size_t n = loop->n_tasks; n > 0 && loop->first_task != NULL; n--)
		{
			http_task *task = loop->first_task;

			http_loop_cancel(loop, task);
			task->run(task->arg);
		}
	}
}

/* --- turns --------------------------------------------------------------------- */

/* Milliseconds to wait, rounded up so that a timer is due when the wait is over. */
static int
wait_of(const http_loop *loop, int max_wait_ms)
{
	int64_t left;

	if (loop->first_task != NULL)
		return 0;
	if (loop->n_timers == 0)
		return max_wait_ms;
	left = loop->heap[0]->sorted_by - http_clock();
	if (left <= 0)
		return 0;
	left = (left + HTTP_MILLISECOND - 1) / HTTP_MILLISECOND;
	return max_wait_ms >= 0 && left > max_wait_ms ? max_wait_ms : left > 60000 ? 60000 : (int) left;
}

void
http_loop_turn(http_loop *loop, int max_wait_ms)
{
	int wait = wait_of(loop, max_wait_ms);
	int64_t since = http_clock();

	loop->n_batch = epoll_wait(loop->fd, loop->batch, BATCH, wait);
	loop->came = loop->now;
	loop->now = http_clock();
	if (loop->now - since >= WAITED)
		loop->came = loop->now;
	for (loop->in_batch = 0; loop->in_batch < loop->n_batch; loop->in_batch++)
	{
		http_watch *watch = loop->batch[loop->in_batch].data.ptr;

		if (watch != NULL)
			watch->ready(watch->arg, loop->batch[loop->in_batch].events);
	}
	loop->n_batch = 0;
	run_timers(loop);
	run_tasks(loop);
}
