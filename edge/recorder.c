/*
 * recorder.c
 *	  A thread that only moves what a device records into a ring; see recorder.h.
 */
#include "recorder.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "thread.h"

#define MILLISECOND INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define BLOCKS 128	  /* 2.5 s: what main has to be done with in the meantime */
#define READ_TIME 200 /* milliseconds after which it is looked whether to end */
#define PRIORITY 10	  /* of real time */
#define STACK (256 * 1024)
#define FIRST_PAUSE (SECOND / 2) /* until a device that is away is looked for again */
#define LAST_PAUSE (10 * SECOND)

struct edge_recorder
{
	edge_audio audio;
	const char *name;
	edge_audio_request request;
	edge_audio_traits traits;
	char detail[160];
	pthread_t thread;
	bool joined;
	int fd;
	size_t samples; /* of a block */
	int16_t *ring;
	edge_audio_block blocks[BLOCKS];
	atomic_uint written; /* blocks, by the thread */
	atomic_uint taken;	 /* by who empties it */
	atomic_bool stopping;

	/* the thread's */
	edge_audio_position before; /* what was counted before the device was opened again */
	uint64_t pending;			/* frames that are lost before the next block */
	int64_t expected;			/* edge_clock() of the next frame; 0: nobody knows */

	atomic_bool away;
	atomic_bool ended;
	edge_audio_status end; /* written before that, and not again */
	atomic_bool real_time;
	atomic_uint overruns;
	atomic_uint suspends;
	atomic_uint short_reads;
	atomic_uint departures;
	atomic_ullong late;
};

static void
wake(edge_recorder *r)
{
	uint64_t one = 1;

	if (write(r->fd, &one, sizeof(one)) < 0)
		return; /* it is readable already */
}

static void
pause_for(const edge_recorder *r, int64_t pause)
{
	int64_t until = edge_clock() + pause;

	while (!r->stopping && edge_clock() < until)
		nanosleep(&(struct timespec){ .tv_nsec = 20 * MILLISECOND }, NULL);
}

/* Looks for the device until it is there, as it was. */
static void
open_again(edge_recorder *r)
{
	int64_t pause = FIRST_PAUSE;

	r->before.overruns = r->overruns;
	r->before.suspends = r->suspends;
	r->before.short_reads = r->short_reads;
	edge_audio_close(&r->audio);
	r->departures++;
	r->away = true;
	wake(r);
	while (!r->stopping)
	{
		pause_for(r, pause);
		pause = pause * 2 < LAST_PAUSE ? pause * 2 : LAST_PAUSE;
		if (r->stopping || edge_audio_open(&r->audio, r->name, &r->request) != EDGE_AUDIO_OK)
			continue;
		if (r->audio.traits.sample_rate == r->traits.sample_rate &&
			r->audio.traits.channels == r->traits.channels)
		{
			r->away = false;
			wake(r);
			return;
		}
		edge_audio_close(&r->audio); /* another one of that name */
	}
}

/* A block that was read is in the ring where there was room, else lost. */
static void
keep(edge_recorder *r, edge_audio_block *block, bool first, bool room)
{
	double rate = r->traits.sample_rate;

	/* what was missed while the device was closed */
	if (first && r->expected != 0 && block->time != 0 && block->time > r->expected)
		block->lost += (uint64_t) ((double) (block->time - r->expected) * rate / (double) SECOND);
	if (block->time != 0)
		r->expected = block->time + (int64_t) ((double) block->frames * (double) SECOND / rate);
	block->lost += r->pending;
	r->pending = room ? 0 : block->lost + block->frames;
	if (!room)
	{
		r->late += block->frames;
		return;
	}
	r->blocks[r->written % BLOCKS] = *block;
	r->written++;
	wake(r);
}

/* Whether the ring has room; what nobody paces can wait for it. */
static bool
has_room(const edge_recorder *r)
{
	while (r->traits.pace == EDGE_PACED_BY_NOBODY && r->written - r->taken == BLOCKS &&
		   !r->stopping)
		nanosleep(&(struct timespec){ .tv_nsec = MILLISECOND }, NULL);
	return r->written - r->taken < BLOCKS;
}

static void *
record(void *arg)
{
	edge_recorder *r = arg;
	struct sched_param priority = { .sched_priority = PRIORITY };
	int16_t *spare = r->ring + BLOCKS * r->samples; /* for what finds no room */
	bool first = false;

	r->real_time = pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority) == 0;
	/* What is in memory stays there, so that nothing is read from an SD card again; where that is not allowed it is not so. */
	if (r->real_time)
		(void) mlockall(MCL_CURRENT | MCL_ONFAULT);
	while (!r->stopping)
	{
		edge_audio_position position;
		edge_audio_block block;
		bool room = has_room(r);
		int16_t *samples = room ? r->ring + r->written % BLOCKS * r->samples : spare;
		edge_audio_status status = edge_audio_read(&r->audio, samples, &block, READ_TIME);

		if (status == EDGE_AUDIO_OK)
		{
			keep(r, &block, first, room);
			first = false;
		}
		else if (status == EDGE_AUDIO_END ||
				 (status != EDGE_AUDIO_LATER && r->traits.pace == EDGE_PACED_BY_NOBODY))
		{
			r->end = status; /* a file that is opened again would begin anew */
			break;
		}
		else if (status != EDGE_AUDIO_LATER)
		{
			open_again(r);
			first = true;
			continue;
		}
		edge_audio_where(&r->audio, &position);
		r->overruns = r->before.overruns + position.overruns;
		r->suspends = r->before.suspends + position.suspends;
		r->short_reads = r->before.short_reads + position.short_reads;
	}
	r->ended = true;
	wake(r);
	return NULL;
}

edge_recorder *
edge_recorder_start(const char *name, const edge_audio_request *request, edge_audio_status *status,
					char *problem, size_t size)
{
	edge_recorder *r = calloc(1, sizeof(*r));

	if (r == NULL)
	{
		snprintf(problem, size, "out of memory");
		*status = EDGE_AUDIO_UNABLE;
		return NULL;
	}
	r->name = name;
	r->request = *request;
	*status = edge_audio_open(&r->audio, name, request);
	if (*status != EDGE_AUDIO_OK)
	{
		snprintf(problem, size, "%s", r->audio.problem);
		free(r);
		return NULL;
	}
	r->traits = r->audio.traits;
	snprintf(r->detail, sizeof(r->detail), "%s", r->traits.detail);
	r->traits.detail = r->detail;
	r->samples = r->traits.block * (size_t) r->traits.channels;
	r->ring = malloc((BLOCKS + 1) * r->samples * sizeof(int16_t));
	r->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (r->ring != NULL && r->fd >= 0 && edge_thread_start(&r->thread, STACK, record, r))
		return r;
	snprintf(problem, size, "out of memory");
	*status = EDGE_AUDIO_UNABLE;
	r->joined = true;
	edge_audio_close(&r->audio);
	edge_recorder_free(r);
	return NULL;
}

const edge_audio_traits *
edge_recorder_traits(const edge_recorder *r)
{
	return &r->traits;
}

const char *
edge_recorder_problem(const edge_recorder *r)
{
	return r->audio.problem;
}

int
edge_recorder_fd(const edge_recorder *r)
{
	return r->fd;
}

bool
edge_recorder_take(edge_recorder *r, const int16_t **samples, edge_audio_block *block)
{
	uint64_t events;

	if (r->written == r->taken)
	{
		/* what comes between the two looks is seen by the second */
		if (read(r->fd, &events, sizeof(events)) < 0 || r->written == r->taken)
			return false;
	}
	*block = r->blocks[r->taken % BLOCKS];
	*samples = r->ring + r->taken % BLOCKS * r->samples;
	return true;
}

void
edge_recorder_done(edge_recorder *r)
{
	r->taken++;
}

void
edge_recorder_look(const edge_recorder *r, edge_recorder_state *state)
{
	bool ended = r->ended;

	*state = (edge_recorder_state){ .away = r->away,
									.ended = ended,
									.end = ended ? r->end : EDGE_AUDIO_OK,
									.real_time = r->real_time,
									.overruns = r->overruns,
									.suspends = r->suspends,
									.short_reads = r->short_reads,
									.departures = r->departures,
									.late = r->late };
}

void
edge_recorder_stop(edge_recorder *r)
{
	if (r->joined)
		return;
	r->stopping = true;
	pthread_join(r->thread, NULL);
	r->joined = true;
	edge_audio_close(&r->audio);
}

void
edge_recorder_free(edge_recorder *r)
{
	if (r == NULL)
		return;
	edge_recorder_stop(r);
	if (r->fd >= 0)
		close(r->fd);
	free(r->ring);
	free(r);
}
