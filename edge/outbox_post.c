/*
 * outbox_post.c
 *	  The thread of the outbox: what is live first, and of what is in the spool as much as the pace allows.
 *
 * Packets of one call are under way at a time, so that whatever the server does not take is known to be of that call.
 */
#include <stdio.h>
#include <stdlib.h>

#include "outbox_internal.h"
#include "thread.h"

#define MILLISECOND INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define UNSETTLED                                                                                  \
	(EDGE_POSTER_UNDER_WAY * EDGE_POSTER_BATCH) /* packets; then answers are waited for */
#define MOST_CREDIT SECOND /* of time in which nothing of the spool was posted */

void
outbox_report(edge_outbox *o, const char *problem)
{
	pthread_mutex_lock(&o->mutex);
	o->counters = *edge_poster_count(o->poster);
	if (problem != NULL)
		snprintf(o->problem, sizeof(o->problem), "%s", problem);
	pthread_mutex_unlock(&o->mutex);
}

/* It has arrived, or is given up. */
static void
acknowledge(edge_outbox *o, uint64_t number)
{
	if (o->keeper != NULL)
		edge_keeper_acknowledge(o->keeper, number);
}

/* The server does not take the call any more: what is left of it is dropped. */
static void
drop(edge_outbox *o, const edge_item *item)
{
	if (item->kind != EDGE_ITEM_PACKET)
		return;
	edge_posted_lose(o->current, item);
	acknowledge(o, item->number);
	pthread_mutex_lock(&o->mutex);
	o->dropped++;
	pthread_mutex_unlock(&o->mutex);
}

static void
give_up_call(edge_outbox *o)
{
	uint64_t lost = edge_poster_forget(o->poster);

	if (!o->current->begun)
		lost = o->n_unsettled;
	edge_complain("call %s: %s", o->current->known.call.id, edge_poster_problem(o->poster));
	outbox_report(o, edge_poster_problem(o->poster));
	o->current->refused = true;
	pthread_mutex_lock(&o->mutex);
	snprintf(o->refused, sizeof(o->refused), "%s", o->current->known.call.id);
	pthread_mutex_unlock(&o->mutex);
	while (o->unsettled != NULL)
	{
		edge_item *item = o->unsettled;

		/* the oldest have been answered */
		if (o->n_unsettled > lost)
			acknowledge(o, item->number);
		else
			drop(o, item);
		o->n_unsettled--;
		o->unsettled = item->next;
		free(item);
	}
	o->last_unsettled = &o->unsettled;
}

/* Waits until all that is under way is answered, and is done with it. False: that is not to be, not in this process. */
static bool
settle(edge_outbox *o)
{
	edge_exit status;

	if (o->over)
		return false;
	status = edge_poster_finish(o->poster);
	if (status == EDGE_EXIT_REFUSED && o->current != NULL)
	{
		give_up_call(o);
		return true;
	}
	outbox_report(o, NULL);
	if (status != EDGE_EXIT_OK)
	{
		o->over = true;
		return false;
	}
	while (o->unsettled != NULL)
	{
		edge_item *item = o->unsettled;

		acknowledge(o, item->number);
		o->unsettled = item->next;
		free(item);
	}
	o->last_unsettled = &o->unsettled;
	o->n_unsettled = 0;
	return true;
}

/* Another call's packets come now. */
static bool
turn_to(edge_outbox *o, edge_posted *call)
{
	if (o->current == call)
		return true;
	if (!settle(o))
		return false;
	if (o->current != NULL)
		edge_posted_say_lost(o->current);
	o->current = call;
	return true;
}

/* By what is known of the call, or by the name of the first track of it that comes, if there is one. */
static edge_exit
begin_call(edge_outbox *o, const char *track)
{
	edge_posted *call = o->current;
	edge_exit status;

	if (call->begun)
		return EDGE_EXIT_OK;
	if (call->n_tracks == 0)
		edge_posted_track(call, track);
	status = edge_poster_begin(o->poster, &call->known.call, call->tracks, call->n_tracks);
	call->begun = status == EDGE_EXIT_OK;
	return status;
}

/* The call is over, and is done with: all of it has arrived, or is given up. */
static void
end_call(edge_outbox *o)
{
	edge_posted_say_lost(o->current);
	acknowledge(o, o->current->begin);
	edge_posted_remove(&o->calls, o->current);
	o->current = NULL;
}

/* False: the end could not be said in this process. */
static bool
complete_call(edge_outbox *o, const edge_item *end)
{
	edge_posted *call = o->current;
	int64_t totals[EDGE_MAX_CHANNELS];
	int64_t missing;
	edge_exit status = EDGE_EXIT_OK;

	if (!settle(o))
		return false;
	if (end != NULL && call->known.n_tracks == 0)
		edge_posted_learn(call, end);
	/* that its begin alone was kept does not say that the server has nothing of it */
	if (!call->refused)
		status = begin_call(o, NULL);
	for (int i = 0; i < call->n_tracks; i++)
		totals[i] = end != NULL ? end->sequence : call->tracks[i].next;
	if (status == EDGE_EXIT_OK && !call->refused && call->begun)
		status = edge_poster_complete(o->poster, &call->known.call, call->tracks, totals,
									  call->n_tracks, &missing);
	if (status == EDGE_EXIT_REFUSED)
		give_up_call(o);
	else if (status != EDGE_EXIT_OK)
		return false;
	if (end != NULL)
		acknowledge(o, end->number);
	end_call(o);
	return true;
}

static void
add_unsettled(edge_outbox *o, edge_item *item)
{
	item->next = NULL;
	*o->last_unsettled = item;
	o->last_unsettled = &item->next;
	o->n_unsettled++;
}

static edge_exit
add_packet(edge_outbox *o, edge_item *item)
{
	edge_posted *call = o->current;
	edge_track *track = edge_posted_track(call, item->track);
	edge_packet packet = { .call = &call->known.call,
						   .track = item->track,
						   .sequence = item->sequence,
						   .sent_at = edge_posted_time(
							   call, item,
							   o->keeper == NULL ? INT64_MIN : edge_keeper_latest(o->keeper)) };
	edge_exit status = begin_call(o, item->track);

	packet.data = edge_item_audio(item, &packet.n);
	if (track != NULL && item->sequence >= track->next)
		track->next = item->sequence + 1;
	add_unsettled(o, item);
	return status == EDGE_EXIT_OK ? edge_poster_add(o->poster, &packet) : status;
}

/* What becomes of an item whose call is at hand; false: it is kept until it is answered. */
static bool
post_of_call(edge_outbox *o, edge_item *item)
{
	edge_exit status;

	if (item->kind == EDGE_ITEM_END)
	{
		if (!complete_call(o, item))
			o->over = true;
		return true;
	}
	if (o->current->refused)
	{
		drop(o, item);
		return true;
	}
	status = add_packet(o, item);
	if (status == EDGE_EXIT_REFUSED)
		give_up_call(o);
	else if (status != EDGE_EXIT_OK)
		o->over = true;
	else if (o->n_unsettled >= UNSETTLED)
		(void) settle(o);
	return false;
}

/* An item that no call can be made of: what is in the spool and lacks only memory comes again. */
static void
give_up_item(edge_outbox *o, const edge_item *item)
{
	edge_item_call known;
	bool readable = edge_item_read_call(item, &known);

	edge_complain("call %s: %s", item->call_id,
				  readable ? "out of memory" : "what was kept of it cannot be read");
	if (readable && item->number != 0)
	{
		edge_keeper_let_go(o->keeper, item->number);
		return;
	}
	acknowledge(o, item->number);
	pthread_mutex_lock(&o->mutex);
	o->dropped += item->kind == EDGE_ITEM_PACKET;
	pthread_mutex_unlock(&o->mutex);
}

/* Posts an item, which is the thread's from now on. */
static void
post(edge_outbox *o, edge_item *item)
{
	edge_posted *call = edge_posted_find(&o->calls, item);

	if (call == NULL)
	{
		give_up_item(o, item);
		free(item);
		return;
	}
	if (item->number != 0 && item->number < edge_keeper_first(o->keeper))
		call->left = true;
	if (item->kind == EDGE_ITEM_BEGIN)
	{
		call->begin = item->number;
		free(item);
	}
	else if (o->over || !turn_to(o, call))
		add_unsettled(o, item);
	else if (post_of_call(o, item))
		free(item);
}

/* Calls that earlier processes began and did not live to end: all that was recorded of them has arrived. */
static void
complete_what_was_left(edge_outbox *o)
{
	edge_posted *call;

	if (o->left_done || !settle(o))
		return;
	o->left_done = true;
	while (true)
	{
		for (call = o->calls; call != NULL && !call->left; call = call->next)
			;
		if (call == NULL || !turn_to(o, call) || !complete_call(o, NULL))
			return;
	}
}

/* Waits until there is a batch, or what there is has waited long enough, or it is to end. */
static void
wait_for_batch(edge_outbox *o)
{
	struct timespec at = edge_condition_until(o->options.batch_ms * MILLISECOND);

	pthread_mutex_lock(&o->mutex);
	while (!o->urgent && !o->stopping && o->queued < EDGE_POSTER_BATCH)
	{
		if (pthread_cond_timedwait(&o->change, &o->mutex, &at) != 0)
			break;
	}
	o->urgent = false;
	pthread_mutex_unlock(&o->mutex);
}

static edge_item *
take(edge_outbox *o)
{
	edge_item *i;

	pthread_mutex_lock(&o->mutex);
	i = o->first;
	if (i != NULL)
	{
		o->first = i->next;
		if (o->first == NULL)
			o->last = &o->first;
		o->waiting -= i->kind == EDGE_ITEM_PACKET;
		o->queued -= i->kind == EDGE_ITEM_PACKET;
	}
	pthread_mutex_unlock(&o->mutex);
	return i;
}

/* Whether the spool has something for us, what the keeper is letting go at this moment among it. */
static bool
is_behind(edge_outbox *o)
{
	pthread_mutex_lock(&o->mutex);
	while (o->letting_go > 0)
		pthread_cond_wait(&o->change, &o->mutex);
	pthread_mutex_unlock(&o->mutex);
	return edge_keeper_is_behind(o->keeper);
}

static void
post_live(edge_outbox *o)
{
	edge_item *item;

	while ((item = take(o)) != NULL)
	{
		/* packets of its call may be in the spool, which then has it behind them */
		if (item->kind == EDGE_ITEM_END && o->keeper != NULL && item->number != 0 && is_behind(o))
		{
			edge_keeper_let_go(o->keeper, item->number);
			free(item);
			continue;
		}
		post(o, item);
	}
	(void) settle(o);
}

/* Posts of what is in the spool as much as the pace allows, or all of it at the end. */
static void
post_spooled(edge_outbox *o, bool all)
{
	int64_t now = edge_clock();
	int64_t passed = now - o->looked < MOST_CREDIT ? now - o->looked : MOST_CREDIT;

	o->looked = now;
	o->credit += passed * o->options.spool_pace * o->options.n_tracks;
	while (edge_keeper_is_behind(o->keeper) && (o->credit > 0 || all))
	{
		edge_item *item = edge_keeper_next(o->keeper);
		bool live;

		if (item == NULL)
			break;
		if (item->number >= edge_keeper_first(o->keeper))
			complete_what_was_left(o);
		/* what of the call was not let go comes before its end */
		if (item->kind == EDGE_ITEM_END)
			post_live(o);
		o->credit -= item->duration_us * INT64_C(1000);
		post(o, item);
		pthread_mutex_lock(&o->mutex);
		live = o->queued >= EDGE_POSTER_BATCH || o->urgent;
		pthread_mutex_unlock(&o->mutex);
		if (live || (o->deadline != 0 && o->deadline < edge_clock()))
			break;
	}
	if (!edge_keeper_is_behind(o->keeper))
	{
		o->credit = 0;
		complete_what_was_left(o);
	}
	(void) settle(o);
}

/* Over the session that is there anyway. */
static void
report_status(edge_outbox *o)
{
	edge_outbox_state posting;

	if (o->options.status == NULL)
		return;
	edge_outbox_look(o, &posting);
	edge_status_set_posting(
		o->options.status,
		&(edge_status_posting){ .waiting = posting.waiting,
								.acknowledged = posting.acknowledged,
								.dropped = posting.dropped,
								.spool = posting.has_spool ? (int64_t) posting.spool_bytes : -1,
								.problem = posting.problem });
	edge_poster_run(o->poster, edge_status_report, o->options.status);
}

void *
outbox_run(void *arg)
{
	edge_outbox *o = arg;
	bool stopping = false;

	o->looked = edge_clock();
	while (!stopping)
	{
		bool behind;
		bool all;

		wait_for_batch(o);
		post_live(o);
		pthread_mutex_lock(&o->mutex);
		all = o->stopping;
		pthread_mutex_unlock(&o->mutex);
		if (o->keeper != NULL)
			post_spooled(o, all);
		report_status(o);
		behind = o->keeper != NULL && edge_keeper_is_behind(o->keeper);
		pthread_mutex_lock(&o->mutex);
		stopping = o->stopping && ((o->first == NULL && !behind) || o->deadline < edge_clock());
		pthread_mutex_unlock(&o->mutex);
	}
	return NULL;
}
