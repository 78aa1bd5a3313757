/*
 * outbox.c
 *	  A thread that posts live calls, and the bounded queue before it; see outbox.h.
 */
#include "outbox.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_CALL_ID 128
#define MILLISECOND INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define PACKETS_A_SECOND (1000 / EDGE_BLOCK_MS)
#define STACK (512 * 1024)

/* A packet, or the end of a call. */
typedef struct item
{
	struct item *next;
	char call_id[MAX_CALL_ID + 1];
	bool complete;
	const char *track; /* of a constant text */
	int64_t sequence;  /* or the total */
	int64_t sent_at;
	size_t n;
	uint8_t data[];
} item;

struct edge_outbox
{
	edge_outbox_options options;
	edge_poster *poster;
	pthread_t thread;
	_Atomic int64_t deadline;

	pthread_mutex_t mutex; /* of all below */
	pthread_cond_t change;
	item *first;
	item **last;
	uint64_t waiting;
	uint64_t most;
	uint64_t dropped;
	bool stopping;
	bool urgent; /* a call is over */
	bool connected;
	edge_poster_counters counters;
	char refused[MAX_CALL_ID + 1];
	char problem[512];

	/* the thread's */
	edge_call call; /* the one that is under way, its id below */
	char call_id[MAX_CALL_ID + 1];
	int64_t total;
};

static void
report(edge_outbox *o, const char *problem)
{
	pthread_mutex_lock(&o->mutex);
	o->counters = *edge_poster_count(o->poster);
	if (problem != NULL)
		snprintf(o->problem, sizeof(o->problem), "%s", problem);
	pthread_mutex_unlock(&o->mutex);
}

/* A session was lost, or is back. */
static void
on_notice(void *arg, bool connected)
{
	edge_outbox *o = arg;
	bool news = o->connected != connected;

	pthread_mutex_lock(&o->mutex);
	o->connected = connected;
	pthread_mutex_unlock(&o->mutex);
	if (news && !connected)
		edge_complain("%s", o->options.server->problem);
	else if (news)
		edge_complain("the database is back");
	report(o, connected ? "" : o->options.server->problem);
}

/* ---------------------------------------------------------------------------
 * The thread
 * ---------------------------------------------------------------------------
 */

/* The server does not take that call any more: what is left of it is dropped. */
static void
give_up_call(edge_outbox *o)
{
	uint64_t lost = edge_poster_forget(o->poster);

	edge_complain("call %s: %s", o->call_id, o->options.server->problem);
	report(o, o->options.server->problem);
	pthread_mutex_lock(&o->mutex);
	o->dropped += lost;
	snprintf(o->refused, sizeof(o->refused), "%s", o->call_id);
	pthread_mutex_unlock(&o->mutex);
}

static edge_exit
begin_call(edge_server *server, void *arg)
{
	const edge_outbox *o = arg;
	edge_track tracks[EDGE_MAX_CHANNELS] = { 0 };
	edge_exit status;

	for (int i = 0; i < o->options.n_tracks; i++)
		tracks[i].name = o->options.track[i];
	status = edge_call_begin(server, &o->call, tracks, o->options.n_tracks);
	for (int i = 0; i < o->options.n_tracks; i++)
		edge_track_free(&tracks[i]);
	return status;
}

static edge_exit
complete_call(edge_server *server, void *arg)
{
	const edge_outbox *o = arg;
	edge_track tracks[EDGE_MAX_CHANNELS] = { 0 };
	int64_t totals[EDGE_MAX_CHANNELS];
	int64_t missing;

	for (int i = 0; i < o->options.n_tracks; i++)
	{
		tracks[i].name = o->options.track[i];
		totals[i] = o->total;
	}
	return edge_call_complete(server, &o->call, tracks, totals, o->options.n_tracks, &missing);
}

static void
post(edge_outbox *o, const item *i)
{
	edge_packet packet = { .call_id = o->call_id,
						   .track = i->track,
						   .sequence = i->sequence,
						   .sent_at = i->sent_at,
						   .data = i->data,
						   .n = i->n };
	edge_exit status = EDGE_EXIT_OK;

	if (strcmp(i->call_id, o->refused) == 0)
	{
		pthread_mutex_lock(&o->mutex);
		o->dropped += !i->complete;
		pthread_mutex_unlock(&o->mutex);
		return;
	}
	if (strcmp(i->call_id, o->call_id) != 0)
	{
		/* all of the one before is there: its end says so */
		snprintf(o->call_id, sizeof(o->call_id), "%s", i->call_id);
		o->call.id = o->call_id;
		status = edge_poster_run(o->poster, begin_call, o);
	}
	o->total = i->sequence;
	if (status == EDGE_EXIT_OK)
		status = i->complete ? edge_poster_run(o->poster, complete_call, o)
							 : edge_poster_add(o->poster, &packet);
	if (status == EDGE_EXIT_REFUSED)
		give_up_call(o);
}

/* Waits until there is a batch, or what there is has waited long enough, or it is to end. */
static void
wait_for_batch(edge_outbox *o)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += o->options.batch_ms % 1000 * MILLISECOND;
	at.tv_sec += o->options.batch_ms / 1000 + at.tv_nsec / SECOND;
	at.tv_nsec %= SECOND;
	pthread_mutex_lock(&o->mutex);
	while (!o->urgent && !o->stopping && o->waiting < EDGE_POSTER_BATCH)
	{
		if (pthread_cond_timedwait(&o->change, &o->mutex, &at) != 0)
			break;
	}
	o->urgent = false;
	pthread_mutex_unlock(&o->mutex);
}

static item *
take(edge_outbox *o)
{
	item *i;

	pthread_mutex_lock(&o->mutex);
	i = o->first;
	if (i != NULL)
	{
		o->first = i->next;
		if (o->first == NULL)
			o->last = &o->first;
		o->waiting -= !i->complete;
	}
	pthread_mutex_unlock(&o->mutex);
	return i;
}

/* Over the session that is there anyway. */
static void
report_status(edge_outbox *o)
{
	edge_outbox_state posting;

	if (o->options.status == NULL)
		return;
	edge_outbox_look(o, &posting);
	edge_status_set_posting(o->options.status,
							&(edge_status_posting){ .waiting = posting.waiting,
													.acknowledged = posting.acknowledged,
													.dropped = posting.dropped,
													.spool = -1,
													.problem = posting.problem });
	edge_poster_run(o->poster, edge_status_report, o->options.status);
}

static void *
run(void *arg)
{
	edge_outbox *o = arg;
	bool stopping = false;

	while (!stopping)
	{
		item *i;

		wait_for_batch(o);
		while ((i = take(o)) != NULL)
		{
			post(o, i);
			free(i);
		}
		if (edge_poster_finish(o->poster) == EDGE_EXIT_REFUSED)
			give_up_call(o);
		report(o, NULL);
		report_status(o);
		pthread_mutex_lock(&o->mutex);
		stopping = o->stopping && (o->first == NULL || o->deadline < edge_clock());
		pthread_mutex_unlock(&o->mutex);
	}
	return NULL;
}

/* ---------------------------------------------------------------------------
 * Whoever records
 * ---------------------------------------------------------------------------
 */

edge_outbox *
edge_outbox_start(const edge_outbox_options *options)
{
	edge_outbox *o = calloc(1, sizeof(*o));
	edge_poster_options posting = { .tenant = options->call.tenant,
									.encoding = options->call.encoding,
									.sample_rate = options->call.sample_rate,
									.patience = -1,
									.notice = on_notice };
	pthread_condattr_t waiting;
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t before;
	bool fine;

	if (o == NULL)
		return NULL;
	o->options = *options;
	o->call = options->call;
	o->last = &o->first;
	o->most = (uint64_t) options->seconds * PACKETS_A_SECOND * (uint64_t) options->n_tracks;
	o->connected = options->server->pg != NULL;
	pthread_mutex_init(&o->mutex, NULL);
	/* the clock of the machine may be set by years while we wait */
	pthread_condattr_init(&waiting);
	pthread_condattr_setclock(&waiting, CLOCK_MONOTONIC);
	pthread_cond_init(&o->change, &waiting);
	pthread_condattr_destroy(&waiting);
	posting.deadline = &o->deadline;
	posting.arg = o;
	o->poster = edge_poster_new(options->server, &posting);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	fine = o->poster != NULL && pthread_create(&o->thread, &attributes, run, o) == 0;
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (fine)
		return o;
	edge_poster_free(o->poster);
	free(o);
	return NULL;
}

/* Drops the oldest packet that waits: what is live comes first. */
static void
drop_oldest(edge_outbox *o)
{
	item **place = &o->first;
	item *oldest;

	while (*place != NULL && (*place)->complete)
		place = &(*place)->next;
	oldest = *place;
	if (oldest == NULL)
		return;
	*place = oldest->next;
	if (o->last == &oldest->next)
		o->last = place;
	free(oldest);
	o->waiting--;
	o->dropped++;
}

/* Takes the item, which may be NULL for want of memory. */
static bool
put(edge_outbox *o, item *i)
{
	bool fine;

	pthread_mutex_lock(&o->mutex);
	fine = i == NULL || strcmp(i->call_id, o->refused) != 0;
	if (i == NULL)
		o->dropped++;
	else
	{
		if (!i->complete && o->waiting >= o->most)
			drop_oldest(o);
		o->waiting += !i->complete;
		*o->last = i;
		o->last = &i->next;
		o->urgent = o->urgent || i->complete;
		/* not for each packet, which would wake it fifty times a second */
		if (o->urgent || o->waiting >= EDGE_POSTER_BATCH)
			pthread_cond_signal(&o->change);
	}
	pthread_mutex_unlock(&o->mutex);
	return fine;
}

bool
edge_outbox_put(edge_outbox *o, const char *call_id, const edge_packet *packet)
{
	item *i = calloc(1, sizeof(*i) + packet->n);

	if (i != NULL)
	{
		snprintf(i->call_id, sizeof(i->call_id), "%s", call_id);
		i->track = packet->track;
		i->sequence = packet->sequence;
		i->sent_at = packet->sent_at;
		i->n = packet->n;
		memcpy(i->data, packet->data, packet->n);
	}
	return put(o, i);
}

void
edge_outbox_complete(edge_outbox *o, const char *call_id, int64_t total)
{
	item *i = calloc(1, sizeof(*i));

	if (i == NULL)
		return; /* the server completes it when it has been silent */
	snprintf(i->call_id, sizeof(i->call_id), "%s", call_id);
	i->complete = true;
	i->sequence = total;
	put(o, i);
}

void
edge_outbox_look(edge_outbox *o, edge_outbox_state *state)
{
	pthread_mutex_lock(&o->mutex);
	*state = (edge_outbox_state){ .connected = o->connected,
								  .waiting = o->waiting,
								  .full = o->waiting + 2 * (uint64_t) o->options.n_tracks > o->most,
								  .acknowledged = o->counters.acknowledged,
								  .dropped = o->dropped,
								  .sessions = o->counters.sessions,
								  .answered = o->counters.answered };
	snprintf(state->problem, sizeof(state->problem), "%s", o->problem);
	pthread_mutex_unlock(&o->mutex);
}

uint64_t
edge_outbox_stop(edge_outbox *o)
{
	uint64_t left;

	o->deadline = edge_clock() + o->options.grace * SECOND;
	pthread_mutex_lock(&o->mutex);
	o->stopping = true;
	pthread_cond_signal(&o->change);
	pthread_mutex_unlock(&o->mutex);
	pthread_join(o->thread, NULL);
	left = edge_poster_forget(o->poster);
	while (o->first != NULL)
	{
		item *i = o->first;

		o->first = i->next;
		left += !i->complete;
		free(i);
	}
	edge_poster_free(o->poster);
	free(o);
	return left;
}
