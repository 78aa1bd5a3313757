/*
 * poster.c
 *	  What posters of all kinds have in common: patience, and sessions that come and go; see poster.h.
 */
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "poster_kinds.h"

#define SECOND INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)
#define FIRST_PAUSE (SECOND / 8)
#define MAX_PAUSE (30 * SECOND)

bool
edge_poster_is_over(const edge_poster *poster)
{
	int64_t deadline = poster->options.deadline == NULL ? 0 : *poster->options.deadline;

	return deadline != 0 && edge_clock() >= deadline;
}

/* Half of it by chance, so that many do not come at once; and as long as the server asked for. */
static void
pause_for(const edge_poster *poster, int64_t pause)
{
	uint32_t random = 0;
	int64_t until;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = 0;
	until = edge_clock() + poster->wait * SECOND + pause / 2 + (int64_t) random % (pause / 2 + 1);
	while (!edge_poster_is_over(poster) && edge_clock() < until)
		nanosleep(&(struct timespec){ .tv_nsec = 20 * MILLISECOND }, NULL);
}

/* Whether time may mend that, as far as there is patience. */
static bool
may_pass(const edge_poster *poster, edge_exit status, int64_t since)
{
	int patience = poster->options.patience;

	if (status == EDGE_EXIT_OK || status == EDGE_EXIT_REFUSED || edge_poster_is_over(poster))
		return false;
	return patience < 0 ||
		   (status == EDGE_EXIT_UNREACHABLE && edge_clock() - since < patience * SECOND);
}

static void
notice(const edge_poster *poster, bool connected)
{
	if (poster->options.notice != NULL)
		poster->options.notice(poster->options.arg, connected);
}

void
edge_poster_answered(edge_poster *poster)
{
	poster->counters.answered = edge_clock();
	if (poster->lost)
		notice(poster, true);
	poster->lost = false;
}

edge_exit
edge_poster_recover(edge_poster *poster, edge_exit status)
{
	/* a session that begins well and has no answer is no better than none */
	if (poster->failing_since == 0 || poster->counters.answered > poster->failing_since)
	{
		poster->failing_since = edge_clock();
		poster->pause = FIRST_PAUSE;
	}
	while (may_pass(poster, status, poster->failing_since))
	{
		poster->lost = true;
		notice(poster, false);
		poster->kind->disconnect(poster);
		pause_for(poster, poster->pause);
		poster->pause = poster->pause * 2 < MAX_PAUSE ? poster->pause * 2 : MAX_PAUSE;
		status = poster->kind->again(poster);
	}
	return status;
}

void
edge_poster_free(edge_poster *poster)
{
	if (poster != NULL)
		poster->kind->free(poster);
}

edge_exit
edge_poster_add(edge_poster *poster, const edge_packet *packet)
{
	return poster->kind->add(poster, packet);
}

edge_exit
edge_poster_send(edge_poster *poster)
{
	return poster->kind->send(poster);
}

edge_exit
edge_poster_finish(edge_poster *poster)
{
	return poster->kind->finish(poster);
}

edge_exit
edge_poster_begin(edge_poster *poster, const edge_call *call, edge_track *tracks, int n)
{
	edge_exit status = edge_poster_finish(poster);

	while (status == EDGE_EXIT_OK)
	{
		status = poster->kind->begin(poster, call, tracks, n);
		if (status == EDGE_EXIT_OK)
		{
			edge_poster_answered(poster);
			break;
		}
		status = edge_poster_recover(poster, status);
	}
	return status;
}

edge_exit
edge_poster_describe(edge_poster *poster, const edge_call *call)
{
	edge_exit status = edge_poster_finish(poster);

	while (status == EDGE_EXIT_OK)
	{
		status = poster->kind->describe(poster, call);
		if (status == EDGE_EXIT_OK)
		{
			edge_poster_answered(poster);
			break;
		}
		status = edge_poster_recover(poster, status);
	}
	return status;
}

edge_exit
edge_poster_complete(edge_poster *poster, const edge_call *call, const edge_track *tracks,
					 const int64_t *totals, int n, int64_t *missing)
{
	edge_exit status = edge_poster_finish(poster);

	while (status == EDGE_EXIT_OK)
	{
		status = poster->kind->complete(poster, call, tracks, totals, n, missing);
		if (status == EDGE_EXIT_OK)
		{
			edge_poster_answered(poster);
			break;
		}
		status = edge_poster_recover(poster, status);
	}
	return status;
}

edge_exit
edge_poster_run(edge_poster *poster, edge_exit (*what)(edge_server *server, void *arg), void *arg)
{
	edge_exit status = poster->kind->run == NULL ? EDGE_EXIT_OK : edge_poster_finish(poster);

	while (poster->kind->run != NULL && status == EDGE_EXIT_OK)
	{
		status = poster->kind->run(poster, what, arg);
		if (status == EDGE_EXIT_OK)
		{
			edge_poster_answered(poster);
			break;
		}
		status = edge_poster_recover(poster, status);
	}
	return status;
}

uint64_t
edge_poster_forget(edge_poster *poster)
{
	return poster->kind->forget(poster);
}

const edge_poster_counters *
edge_poster_count(const edge_poster *poster)
{
	return &poster->counters;
}

const char *
edge_poster_problem(const edge_poster *poster)
{
	return poster->kind->problem(poster);
}
