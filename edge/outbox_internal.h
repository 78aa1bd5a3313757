/*
 * outbox_internal.h
 *	  What the files of the outbox share.
 */
#ifndef EDGE_OUTBOX_INTERNAL_H
#define EDGE_OUTBOX_INTERNAL_H

#include <pthread.h>

#include "keeper.h"
#include "outbox.h"
#include "posted.h"

struct edge_outbox
{
	edge_outbox_options options;
	edge_poster *poster;
	edge_keeper *keeper; /* NULL: there is no spool */
	pthread_t thread;
	_Atomic int64_t deadline;

	pthread_mutex_t mutex; /* of all below; nobody who holds it waits for a disk */
	pthread_cond_t change;
	edge_item *first;
	edge_item **last;
	uint64_t waiting; /* packets, in the queue and before it */
	uint64_t queued;  /* of these in the queue */
	uint64_t most;
	uint64_t dropped;
	unsigned letting_go; /* items that left the queue and are not the spool's again yet */
	bool stopping;
	bool urgent; /* a call is over */
	bool connected;
	edge_poster_counters counters;
	char refused[EDGE_MAX_CALL_ID + 1];
	char problem[512];

	/* whoever records */
	char recorded[EDGE_MAX_CALL_ID + 1]; /* call */
	bool knows_time;
	int64_t offset_us; /* of the time to edge_clock(), throughout a call */

	/* the thread's */
	edge_posted *calls;
	edge_posted *current; /* whose packets are under way */
	edge_item *unsettled; /* packets that are under way */
	edge_item **last_unsettled;
	uint64_t n_unsettled;
	bool over;		/* nothing is posted any more: what is left stays where it is */
	int64_t looked; /* edge_clock() until which the spool's time was used */
	int64_t credit; /* nanoseconds of audio of the spool that may be posted */
	bool left_done; /* what earlier processes left has been posted */
};

/* outbox_post.c: the thread. */
extern void *outbox_run(void *outbox);
extern void outbox_report(edge_outbox *outbox, const char *problem);

#endif /* EDGE_OUTBOX_INTERNAL_H */
