/*
 * outbox.c
 *	  The bounded queue before the thread that posts live calls; see outbox.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "outbox_internal.h"
#include "thread.h"

#define SECOND INT64_C(1000000000)
#define PACKETS_A_SECOND (1000 / EDGE_BLOCK_MS)
#define STACK (512 * 1024)

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
		edge_complain("%s", edge_poster_problem(o->poster));
	else if (news)
		edge_complain("the %s is back", o->options.gateway != NULL ? "gateway" : "database");
	outbox_report(o, connected ? "" : edge_poster_problem(o->poster));
}

static void
on_said(void *arg, const char *problem)
{
	edge_outbox *o = arg;

	pthread_mutex_lock(&o->mutex);
	snprintf(o->problem, sizeof(o->problem), "%s", problem);
	pthread_mutex_unlock(&o->mutex);
}

/* ---------------------------------------------------------------------------
 * Begin
 * ---------------------------------------------------------------------------
 */

static void on_kept(void *arg, edge_item *list);

static edge_exit
start_keeper(edge_outbox *o)
{
	const edge_outbox_options *options = &o->options;
	size_t packet = MB_SPOOL_BLOCK;
	char problem[512];
	edge_exit status;
	edge_keeper_options keeping = { .directory = options->spool,
									.bytes = options->spool_bytes,
									.free_percent = options->spool_free,
									.sync_ms = options->spool_sync,
									.most = o->most,
									.kept = on_kept,
									.said = on_said,
									.arg = o };

	keeping.memory_bytes =
		o->most * packet > EDGE_SPOOL_MEMORY ? o->most * packet : EDGE_SPOOL_MEMORY;
	o->keeper = edge_keeper_start(&keeping, &status, problem);
	return o->keeper == NULL ? edge_fail(status, "%s", problem) : EDGE_EXIT_OK;
}

edge_outbox *
edge_outbox_start(const edge_outbox_options *options, edge_exit *status)
{
	edge_outbox *o = calloc(1, sizeof(*o));
	edge_poster_options posting = { .patience = -1, .notice = on_notice, .arg = o };

	*status = EDGE_EXIT_FAILED;
	if (o == NULL)
		return NULL;
	o->options = *options;
	o->last = &o->first;
	o->last_unsettled = &o->unsettled;
	o->most = (uint64_t) options->seconds * PACKETS_A_SECOND * (uint64_t) options->n_tracks;
	o->connected = options->gateway != NULL || options->server->pg != NULL;
	pthread_mutex_init(&o->mutex, NULL);
	edge_condition_init(&o->change);
	posting.deadline = &o->deadline;
	*status = options->spool == NULL ? EDGE_EXIT_OK : start_keeper(o);
	if (*status == EDGE_EXIT_OK)
	{
		o->poster = options->gateway != NULL ? edge_poster_to_gateway(options->gateway, &posting)
											 : edge_poster_to_database(options->server, &posting);
		if (o->poster != NULL && edge_thread_start(&o->thread, STACK, outbox_run, o))
			return o;
		*status = edge_fail(EDGE_EXIT_FAILED, "out of memory");
	}
	if (o->keeper != NULL)
		edge_keeper_stop(o->keeper);
	edge_keeper_free(o->keeper);
	edge_poster_free(o->poster);
	free(o);
	return NULL;
}

/* ---------------------------------------------------------------------------
 * Whoever records, and the keeper behind it
 * ---------------------------------------------------------------------------
 */

/* Takes the oldest packet that waits out of the queue: what is live comes first. */
static edge_item *
take_oldest(edge_outbox *o)
{
	edge_item **place = &o->first;
	edge_item *oldest;

	while (*place != NULL && (*place)->kind != EDGE_ITEM_PACKET)
		place = &(*place)->next;
	oldest = *place;
	if (oldest == NULL)
		return NULL;
	*place = oldest->next;
	if (o->last == &oldest->next)
		o->last = place;
	o->waiting--;
	o->queued--;
	return oldest;
}

/* Puts an item into the queue; what there is no room for any more is what comes back. */
static edge_item *
enqueue(edge_outbox *o, edge_item *item)
{
	bool is_packet = item->kind == EDGE_ITEM_PACKET;
	edge_item *oldest = is_packet && o->queued >= o->most ? take_oldest(o) : NULL;

	item->next = NULL;
	o->queued += is_packet;
	*o->last = item;
	o->last = &item->next;
	o->urgent = o->urgent || item->kind == EDGE_ITEM_END;
	return oldest;
}

/* Not for each packet, which would wake it fifty times a second. */
static void
wake(edge_outbox *o)
{
	if (o->urgent || o->queued >= EDGE_POSTER_BATCH)
		pthread_cond_signal(&o->change);
}

/* What is in the spool now is to be posted. */
static void
on_kept(void *arg, edge_item *list)
{
	edge_outbox *o = arg;

	while (list != NULL)
	{
		edge_item *item = list;
		edge_item *oldest;

		list = item->next;
		pthread_mutex_lock(&o->mutex);
		oldest = enqueue(o, item);
		/* one that the spool would not take is lost */
		o->dropped += oldest != NULL && oldest->number == 0;
		o->letting_go = oldest != NULL;
		wake(o);
		pthread_mutex_unlock(&o->mutex);
		if (oldest == NULL)
			continue;
		edge_keeper_let_go(o->keeper, oldest->number);
		free(oldest);
		/* its call must not be said to be complete before that */
		pthread_mutex_lock(&o->mutex);
		o->letting_go = 0;
		pthread_cond_signal(&o->change);
		pthread_mutex_unlock(&o->mutex);
	}
}

/* Takes the item, which may be NULL for want of memory. */
static bool
put(edge_outbox *o, edge_item *item)
{
	edge_item *oldest = NULL;
	bool is_packet = item != NULL && item->kind == EDGE_ITEM_PACKET;
	bool fine;

	pthread_mutex_lock(&o->mutex);
	fine = item == NULL || strcmp(item->call_id, o->refused) != 0;
	o->waiting += is_packet;
	if (item == NULL)
		o->dropped++;
	else if (o->keeper == NULL)
	{
		oldest = enqueue(o, item);
		o->dropped += oldest != NULL;
		wake(o);
	}
	pthread_mutex_unlock(&o->mutex);
	free(oldest);
	if (item != NULL && o->keeper != NULL && !edge_keeper_take(o->keeper, item))
	{
		pthread_mutex_lock(&o->mutex);
		o->waiting--;
		pthread_mutex_unlock(&o->mutex);
	}
	return fine;
}

/* The begin of a call, which comes with its first packet, recorded at that time. */
static void
put_begin(edge_outbox *o, const char *call_id, int64_t time)
{
	edge_item *item = edge_item_of_call(EDGE_ITEM_BEGIN, call_id, &o->options.call,
										o->options.track, o->options.n_tracks, 0);
	int64_t latest = o->keeper == NULL ? INT64_MIN : edge_keeper_latest(o->keeper);

	snprintf(o->recorded, sizeof(o->recorded), "%s", call_id);
	o->knows_time = edge_wall_is_known(latest);
	o->offset_us = edge_wall_of(0);
	/* without it the packets say enough */
	if (item == NULL)
		return;
	if (time != 0 && o->knows_time)
		item->wall = o->offset_us + time / 1000;
	put(o, item);
}

bool
edge_outbox_put(edge_outbox *o, const char *call_id, const edge_packet *packet)
{
	edge_packet timed = *packet;

	if (strcmp(o->recorded, call_id) != 0)
		put_begin(o, call_id, timed.time);
	if (timed.time != 0)
		timed.sent_at = o->knows_time ? o->offset_us + timed.time / 1000 : 0;
	return put(o, edge_item_packet(call_id, &timed, &o->options.call));
}

void
edge_outbox_complete(edge_outbox *o, const char *call_id, int64_t total)
{
	edge_item *item = edge_item_of_call(EDGE_ITEM_END, call_id, &o->options.call, o->options.track,
										o->options.n_tracks, total);

	/* without it the server completes the call when it has been silent */
	if (item != NULL)
		put(o, item);
}

void
edge_outbox_look(edge_outbox *o, edge_outbox_state *state)
{
	edge_keeper_state kept = { 0 };

	if (o->keeper != NULL)
		edge_keeper_look(o->keeper, &kept);
	pthread_mutex_lock(&o->mutex);
	*state = (edge_outbox_state){
		.connected = o->connected,
		.waiting = o->waiting,
		.full = o->waiting + 2 * (uint64_t) o->options.n_tracks > o->most,
		.acknowledged = o->counters.acknowledged,
		.dropped = o->dropped + kept.dropped,
		.sessions = o->counters.sessions,
		.answered = o->counters.answered,
		.has_spool = o->keeper != NULL,
		.disk_full = o->keeper != NULL &&
					 o->waiting - o->queued + 2 * (uint64_t) o->options.n_tracks > o->most,
		.spool_bytes = kept.spool.disk_bytes,
		.spool_unposted = kept.spool.left,
		.spool_error = kept.disk_error
	};
	snprintf(state->problem, sizeof(state->problem), "%s", o->problem);
	pthread_mutex_unlock(&o->mutex);
}

/* ---------------------------------------------------------------------------
 * End
 * ---------------------------------------------------------------------------
 */

/* Frees a list of items; how many packets of it are nowhere else. */
static uint64_t
free_items(const edge_outbox *o, edge_item *list)
{
	uint64_t n = 0;

	while (list != NULL)
	{
		edge_item *item = list;

		list = item->next;
		n += item->kind == EDGE_ITEM_PACKET && (o->keeper == NULL || item->number == 0);
		free(item);
	}
	return n;
}

static edge_exit
end_keeper(edge_outbox *o, uint64_t *left)
{
	edge_keeper_state kept;
	edge_exit status = EDGE_EXIT_OK;

	edge_keeper_look(o->keeper, &kept);
	if (kept.disk_error != 0 && kept.spool.memory_left > 0)
	{
		*left += kept.spool.memory_left;
		status = kept.disk_error == ENOSPC || kept.disk_error == EDQUOT || kept.disk_error == EFBIG
					 ? EDGE_EXIT_SPOOL_FULL
					 : EDGE_EXIT_SPOOL;
	}
	else if (kept.spool.left > 0)
		edge_complain("%" PRIu64
					  " records stay in the spool, and are posted by the next that uses it",
					  kept.spool.left);
	edge_keeper_free(o->keeper);
	return status;
}

edge_exit
edge_outbox_stop(edge_outbox *o)
{
	edge_exit status = EDGE_EXIT_OK;
	uint64_t left;

	o->deadline = edge_clock() + o->options.grace * SECOND;
	/* all that was recorded is in the queue then */
	if (o->keeper != NULL)
		edge_keeper_stop(o->keeper);
	pthread_mutex_lock(&o->mutex);
	o->stopping = true;
	pthread_cond_signal(&o->change);
	pthread_mutex_unlock(&o->mutex);
	pthread_join(o->thread, NULL);
	edge_poster_forget(o->poster);
	left = free_items(o, o->unsettled) + free_items(o, o->first);
	if (o->keeper != NULL)
		status = end_keeper(o, &left);
	while (o->calls != NULL)
	{
		edge_posted_say_lost(o->calls);
		edge_posted_remove(&o->calls, o->calls);
	}
	edge_poster_free(o->poster);
	free(o);
	if (left > 0)
		return edge_fail(status == EDGE_EXIT_OK ? EDGE_EXIT_UNREACHABLE : status,
						 "%" PRIu64 " packets were not posted", left);
	return EDGE_EXIT_OK;
}
