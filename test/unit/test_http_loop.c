/*
 * test_http_loop.c
 *	  The event loop of http/: what is removed is not called any more, timers come in their order, tasks at
 *	  the end of a turn.
 */
#include <sys/epoll.h>
#include <unistd.h>

#include "check.h"
#include "../../http/loop.c"

static char said[200];

static void
say(const char *what)
{
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s ", what);
}

typedef struct pipe_watch
{
	http_watch watch;
	int write_end;
	const char *name;
	struct pipe_watch *victim; /* removed when this one is called */
} pipe_watch;

static void
pipe_ready(void *arg, uint32_t events)
{
	pipe_watch *own = arg;

	(void) events;
	say(own->name);
	if (own->victim != NULL)
		http_loop_remove(&own->victim->watch);
}

static bool
open_pipe(http_loop *loop, pipe_watch *own, const char *name)
{
	int ends[2];

	if (pipe(ends) != 0)
		return false;
	*own = (pipe_watch){ .watch = { .fd = ends[0], .ready = pipe_ready, .arg = own },
						 .write_end = ends[1],
						 .name = name };
	return http_loop_add(loop, &own->watch, EPOLLIN) && write(ends[1], "x", 1) == 1;
}

static void
close_pipe(pipe_watch *own)
{
	http_loop_remove(&own->watch);
	close(own->watch.fd);
	close(own->write_end);
}

/* Two descriptors are ready at once, and whichever is called first removes the other. */
static void
removed_watches_are_silent(void)
{
	http_loop *loop = http_loop_new();
	pipe_watch one;
	pipe_watch other;

	said[0] = '\0';
	REQUIRE(loop != NULL && open_pipe(loop, &one, "one") && open_pipe(loop, &other, "other"));
	one.victim = &other;
	other.victim = &one;
	http_loop_turn(loop, 0);
	check(strcmp(said, "one ") == 0 || strcmp(said, "other ") == 0);
	check(one.watch.loop == NULL || other.watch.loop == NULL);
	close_pipe(&one);
	close_pipe(&other);
	http_loop_free(loop);
}

static void
watches_change(void)
{
	http_loop *loop = http_loop_new();
	pipe_watch own;

	said[0] = '\0';
	REQUIRE(loop != NULL && open_pipe(loop, &own, "own"));
	check(http_loop_change(&own.watch, 0));
	http_loop_turn(loop, 0);
	check_string(said, "");
	check(http_loop_change(&own.watch, EPOLLIN));
	http_loop_turn(loop, 0);
	http_loop_turn(loop, 0);
	check_string(said, "own own ");
	http_loop_remove(&own.watch);
	http_loop_remove(&own.watch);
	check(!http_loop_change(&own.watch, EPOLLIN));
	http_loop_turn(loop, 0);
	check_string(said, "own own ");
	close_pipe(&own);
	http_loop_free(loop);
}

#define MANY 1000

typedef struct counted_timer
{
	http_timer timer;
	int64_t wanted;
	int calls;
} counted_timer;

static http_loop *timer_loop;
static int64_t last_wanted;
static bool in_order;

static void
timer_due(void *arg)
{
	counted_timer *own = arg;

	in_order = in_order && own->wanted >= last_wanted && own->wanted <= http_loop_now(timer_loop);
	last_wanted = own->wanted;
	own->calls++;
}

/* Timers are set, moved both ways and cleared at random; each comes once, in the order of their times. */
static void
timers_come_in_order(void)
{
	static counted_timer timers[MANY];
	check_random random = { 5 };
	int64_t start;
	int n_set = 0;
	int calls = 0;

	timer_loop = http_loop_new();
	REQUIRE(timer_loop != NULL);
	start = http_loop_now(timer_loop);
	in_order = true;
	last_wanted = 0;
	for (int i = 0; i < MANY; i++)
		timers[i] = (counted_timer){ .timer = { .due = timer_due, .arg = &timers[i] } };
	for (int i = 0; i < 5 * MANY; i++)
	{
		counted_timer *own = &timers[check_random_below(&random, MANY)];

		own->wanted = start + 1000 + (int64_t) check_random_below(&random, 40000);
		if (check_random_below(&random, 5) == 0)
			http_loop_clear_timer(timer_loop, &own->timer);
		else
			REQUIRE(http_loop_set_timer(timer_loop, &own->timer, own->wanted));
	}
	for (int i = 0; i < MANY; i++)
		n_set += timers[i].timer.place > 0;
	while (timer_loop->n_timers > 0)
		http_loop_turn(timer_loop, 1000);
	check(in_order);
	for (int i = 0; i < MANY; i++)
	{
		check_range(timers[i].calls, 0, 1);
		calls += timers[i].calls;
	}
	check_int(calls, n_set);
	check_range(n_set, MANY / 2, MANY);
	http_loop_free(timer_loop);
}

static void
timer_again(void *arg)
{
	counted_timer *own = arg;

	own->calls++;
	http_loop_set_timer(timer_loop, &own->timer, 0);
}

static void
a_timer_that_sets_itself_ends_the_turn(void)
{
	counted_timer own = { .timer = { .due = timer_again, .arg = &own } };

	timer_loop = http_loop_new();
	REQUIRE(timer_loop != NULL && http_loop_set_timer(timer_loop, &own.timer, 0));
	while (own.calls < 3)
	{
		int before = own.calls;

		http_loop_turn(timer_loop, 1000);
		check_range(own.calls, before, before + 1);
	}
	http_loop_clear_timer(timer_loop, &own.timer);
	http_loop_turn(timer_loop, 0);
	check_int(own.calls, 3);
	http_loop_free(timer_loop);
}

typedef struct named_task
{
	http_task task;
	const char *name;
	struct named_task *next; /* deferred by this one */
	struct named_task *victim;
} named_task;

static http_loop *task_loop;

static void
run_named(void *arg)
{
	named_task *own = arg;

	say(own->name);
	if (own->next != NULL)
		http_loop_defer(task_loop, &own->next->task);
	if (own->victim != NULL)
		http_loop_cancel(task_loop, &own->victim->task);
}

#define TASK(variable)                                                                             \
	{                                                                                              \
		.task = { .run = run_named, .arg = &(variable) }, .name = #variable                        \
	}

static void
tasks_run_at_the_end_of_a_turn(void)
{
	named_task a = TASK(a);
	named_task b = TASK(b);
	named_task c = TASK(c);
	named_task d = TASK(d);
	named_task e = TASK(e);

	said[0] = '\0';
	task_loop = http_loop_new();
	REQUIRE(task_loop != NULL);
	a.next = &d;
	b.victim = &c;
	http_loop_defer(task_loop, &a.task);
	http_loop_defer(task_loop, &b.task);
	http_loop_defer(task_loop, &c.task);
	http_loop_defer(task_loop, &a.task);
	http_loop_turn(task_loop, 60000);
	check_string(said, "a b d ");
	http_loop_turn(task_loop, 0);
	check_string(said, "a b d ");

	e.next = &e;
	http_loop_defer(task_loop, &e.task);
	http_loop_turn(task_loop, 60000);
	check(strlen(said) < 100);
	http_loop_cancel(task_loop, &e.task);
	http_loop_cancel(task_loop, &e.task);
	said[0] = '\0';
	http_loop_defer(task_loop, &c.task);
	http_loop_turn(task_loop, 60000);
	check_string(said, "c ");
	http_loop_free(task_loop);
}

int
main(void)
{
	check_run("a watch that is removed is not called for an event of the same batch",
			  removed_watches_are_silent);
	check_run("watches change, and are removed twice", watches_change);
	check_run("timers come once and in order, however they were moved", timers_come_in_order);
	check_run("a timer that sets itself does not keep the turn",
			  a_timer_that_sets_itself_ends_the_turn);
	check_run("tasks run at the end of a turn, in order, and may be cancelled",
			  tasks_run_at_the_end_of_a_turn);
	return check_done();
}
