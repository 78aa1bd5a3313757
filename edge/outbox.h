/*
 * outbox.h
 *	  A thread that posts live calls, and the bounded queue before it.
 *
 * Whoever records never waits for the database, nor for a disk: it puts into the queue, which holds so many seconds. When
 * the database is away for longer, the oldest packets are dropped first, and counted; the call then has a gap there. With a
 * spool they are not dropped but stay in it (keeper.h), with what earlier processes left there, until there is time for them:
 * what is live is posted first, and of the rest so much more a second.
 */
#ifndef EDGE_OUTBOX_H
#define EDGE_OUTBOX_H

#include "poster.h"
#include "status.h"

typedef struct edge_outbox edge_outbox;

typedef struct edge_outbox_options
{
	edge_server *server;   /* the outbox's from now on; a session may be up */
	edge_gateway *gateway; /* in its place, if it is not NULL */
	edge_call call;		   /* what all of them have in common: all but the id */
	const char *track[EDGE_MAX_CHANNELS];
	int n_tracks;
	edge_status *
		status; /* of which the outbox tells how it posts, and over whose session it is reported; may be NULL */
	int seconds;  /* of packets that may wait */
	int batch_ms; /* a packet waits at most so long for others */
	int grace;	  /* seconds to post what is left when it is stopped */

	const char *spool; /* directory; NULL: none */
	uint64_t spool_bytes;
	int spool_free; /* percent of the disk that are not ours */
	int spool_sync; /* milliseconds until what is in it outlives the power */
	int spool_pace; /* of what is in it, seconds of audio a second */
} edge_outbox_options;

typedef struct edge_outbox_state
{
	bool connected;
	uint64_t waiting; /* packets in the queue */
	bool full;		  /* the next block, of two packets a track at most, may cost the oldest */
	uint64_t acknowledged;
	uint64_t
		dropped; /* packets that waited too long, found no room in the spool, or the server refused */
	uint64_t sessions;
	int64_t answered;  /* edge_clock() when the server answered last; 0: it never did */
	char problem[512]; /* the last; empty: all is well */

	bool has_spool;
	bool disk_full;		  /* the next block may cost the oldest that waits for the spool's disk */
	uint64_t spool_bytes; /* on disk */
	uint64_t spool_unposted; /* records that are not acknowledged, as of a second ago */
	int spool_error;		 /* errno while its disk takes nothing */
} edge_outbox_state;

/* NULL: *status says why, and on standard error. */
extern edge_outbox *edge_outbox_start(const edge_outbox_options *options, edge_exit *status);

/* A packet of a call, which begins with its first one. False: the server refuses that call; take another one. */
extern bool edge_outbox_put(edge_outbox *outbox, const char *call_id, const edge_packet *packet);

/* The call is over, with so many packets. */
extern void edge_outbox_complete(edge_outbox *outbox, const char *call_id, int64_t total);

extern void edge_outbox_look(edge_outbox *outbox, edge_outbox_state *state);

/*
 * Posts what is left, for as long as the grace lasts, and ends. OK when all of it is posted or in the spool; else what is
 * wrong, which was said.
 */
extern edge_exit edge_outbox_stop(edge_outbox *outbox);

#endif /* EDGE_OUTBOX_H */
