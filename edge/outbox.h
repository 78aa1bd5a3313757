/*
 * outbox.h
 *	  A thread that posts live calls, and the bounded queue before it.
 *
 * Whoever records never waits for the database: it puts into the queue, which holds so many seconds. When the database
 * is away for longer, the oldest packets are dropped first, and counted; the call then has a gap there.
 */
#ifndef EDGE_OUTBOX_H
#define EDGE_OUTBOX_H

#include "call.h"
#include "poster.h"
#include "status.h"

typedef struct edge_outbox edge_outbox;

typedef struct edge_outbox_options
{
	edge_server *server; /* the outbox's from now on; a session may be up */
	edge_call call;		 /* what all of them have in common: all but the id */
	const char *track[EDGE_MAX_CHANNELS];
	int n_tracks;
	edge_status *
		status; /* of which the outbox tells how it posts, and over whose session it is reported; may be NULL */
	int seconds;  /* of packets that may wait */
	int batch_ms; /* a packet waits at most so long for others */
	int grace;	  /* seconds to post what is left when it is stopped */
} edge_outbox_options;

typedef struct edge_outbox_state
{
	bool connected;
	uint64_t waiting; /* packets in the queue */
	bool full;		  /* the next block, of two packets a track at most, may cost the oldest */
	uint64_t acknowledged;
	uint64_t dropped; /* packets that waited too long, or the server refused */
	uint64_t sessions;
	int64_t answered;  /* edge_clock() when the server answered last; 0: it never did */
	char problem[512]; /* the last; empty: all is well */
} edge_outbox_state;

extern edge_outbox *edge_outbox_start(const edge_outbox_options *options);

/* A packet of a call, which begins with its first one. False: the server refuses that call; take another one. */
extern bool edge_outbox_put(edge_outbox *outbox, const char *call_id, const edge_packet *packet);

/* The call is over, with so many packets. */
extern void edge_outbox_complete(edge_outbox *outbox, const char *call_id, int64_t total);

extern void edge_outbox_look(edge_outbox *outbox, edge_outbox_state *state);

/* Posts what is left, for as long as the grace lasts, and ends. How many packets it left. */
extern uint64_t edge_outbox_stop(edge_outbox *outbox);

#endif /* EDGE_OUTBOX_H */
