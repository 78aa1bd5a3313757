/*
 * poster.h
 *	  Packets of calls to whoever takes them: a database (poster_database.c), or a gateway (poster_gateway.c).
 *
 * Much is under way at a time. A packet is kept until it has been answered; when the session is lost, those that had not been
 * answered are sent again over the next one, where what had arrived after all is a duplicate, and so acknowledged.
 * Everything here waits.
 */
#ifndef EDGE_POSTER_H
#define EDGE_POSTER_H

#include <stdatomic.h>

#include "call.h"
#include "gateway.h"
#include "server.h"

#define EDGE_POSTER_UNDER_WAY 4
#define EDGE_POSTER_BATCH 50 /* packets, a second of one track */

typedef struct edge_poster edge_poster;

/* Texts of the call and the track stay where they are until it has been answered. */
typedef struct edge_packet
{
	const edge_call *call; /* with its encoding and rate, unless they are the database's to know */
	const char *track;	   /* NULL: the call's first */
	int64_t sequence;
	int64_t sent_at; /* microseconds since 1970; 0: nobody knows */
	int64_t time;	 /* edge_clock() of its first sample; 0: nobody knows */
	const uint8_t *data;
	size_t n;
} edge_packet;

typedef struct edge_poster_options
{
	int patience; /* seconds that the server may be away; -1: for ever, whatever it says but REFUSED */
	const _Atomic int64_t *
		deadline; /* edge_clock() after which nothing is waited for; 0: there is none yet; may be NULL */

	/* A session was lost, could not be begun, or something has been answered after that; may be NULL. */
	void (*notice)(void *arg, bool connected);
	void *arg;
} edge_poster_options;

typedef struct edge_poster_counters
{
	uint64_t sent; /* packets, each once */
	uint64_t acknowledged;
	uint64_t
		duplicates;	   /* of these, that were there already, and not because they were sent twice */
	uint64_t sessions; /* begun after the first one */
	int64_t answered;  /* edge_clock() when an answer came last */
} edge_poster_counters;

/* Over a session that is up, and stays the caller's while nothing is under way. NULL: out of memory. */
extern edge_poster *
edge_poster_to_database(edge_server *server, const edge_poster_options *options);

/* To a gateway that is open, and the poster's from now on. NULL: out of memory. */
extern edge_poster *
edge_poster_to_gateway(edge_gateway *gateway, const edge_poster_options *options);

extern void edge_poster_free(edge_poster *poster);

/* Takes a packet, and sends when there are enough. Anything but OK: no more of them, edge_poster_problem() says why. */
extern edge_exit edge_poster_add(edge_poster *poster, const edge_packet *packet);

/* Sends what has been added; waits until all of it has been answered. */
extern edge_exit edge_poster_send(edge_poster *poster);
extern edge_exit edge_poster_finish(edge_poster *poster);

/* What call.h has of a call, when all that was sent has been answered, and again as long as the server is away meanwhile. */
extern edge_exit
edge_poster_begin(edge_poster *poster, const edge_call *call, edge_track *tracks, int n);
extern edge_exit edge_poster_describe(edge_poster *poster, const edge_call *call);
extern edge_exit
edge_poster_complete(edge_poster *poster, const edge_call *call, const edge_track *tracks,
					 const int64_t *totals, int n, int64_t *missing);

/* Does something else over the session with a database, the same way; over none nothing is done. */
extern edge_exit
edge_poster_run(edge_poster *poster, edge_exit (*what)(edge_server *server, void *arg), void *arg);

/* Forgets what has not been answered, with its session: how many packets. */
extern uint64_t edge_poster_forget(edge_poster *poster);

extern const edge_poster_counters *edge_poster_count(const edge_poster *poster);

/* What failed last, in words. */
extern const char *edge_poster_problem(const edge_poster *poster);

#endif /* EDGE_POSTER_H */
