/*
 * watchdog.c
 *	  A thread that ends the process when its loop hangs.  It shares one number with the loop and nothing else.
 */
#include "watchdog.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"

static struct
{
	atomic_uint_fast64_t turns;
	int seconds;
	http_loop *loop;
	http_timer timer;
} dog;

static void
turned(void *arg)
{
	atomic_fetch_add(&dog.turns, 1);
	http_loop_set_timer(dog.loop, &dog.timer, http_clock() + HTTP_SECOND);
}

static void *
watch(void *arg)
{
	uint_fast64_t seen = 0;
	int still = 0;

	for (;;)
	{
		uint_fast64_t turns = atomic_load(&dog.turns);

		still = turns == seen ? still + 1 : 0;
		seen = turns;
		if (still >= dog.seconds)
		{
			gw_log(GW_ERROR, "the loop hangs",
				   "it has not turned for %d seconds; this process ends itself", dog.seconds);
			abort();
		}
		sleep(1);
	}
	return NULL;
}

bool
gw_watchdog_start(http_loop *loop, int seconds)
{
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t before;
	pthread_t thread;
	bool started;

	dog.seconds = seconds;
	dog.loop = loop;
	dog.timer = (http_timer){ .due = turned };
	turned(NULL);
	/* signals are the loop's */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	started = pthread_create(&thread, &attributes, watch, NULL) == 0;
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}
