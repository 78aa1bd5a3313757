/*
 * poster_kinds.h
 *	  What a kind of poster is, and what they have in common.
 */
#ifndef EDGE_POSTER_KINDS_H
#define EDGE_POSTER_KINDS_H

#include "poster.h"

typedef struct edge_poster_kind
{
	edge_exit (*add)(edge_poster *poster, const edge_packet *packet);
	edge_exit (*send)(edge_poster *poster);
	edge_exit (*finish)(edge_poster *poster);

	/* Each when all that was sent has been answered. */
	edge_exit (*begin)(edge_poster *poster, const edge_call *call, edge_track *tracks, int n);
	edge_exit (*describe)(edge_poster *poster, const edge_call *call);
	edge_exit (*complete)(edge_poster *poster, const edge_call *call, const edge_track *tracks,
						  const int64_t *totals, int n, int64_t *missing);

	/* NULL: there is no session with a database. */
	edge_exit (*run)(edge_poster *poster, edge_exit (*what)(edge_server *server, void *arg),
					 void *arg);

	/* Ends the session that is of no use; begins another one, and has all that was under way be so again. */
	void (*disconnect)(edge_poster *poster);
	edge_exit (*again)(edge_poster *poster);

	uint64_t (*forget)(edge_poster *poster);
	const char *(*problem)(const edge_poster *poster);
	void (*free)(edge_poster *poster);
} edge_poster_kind;

/* The first thing in a poster of each kind. */
struct edge_poster
{
	const edge_poster_kind *kind;
	edge_poster_options options;
	edge_poster_counters counters;
	int64_t failing_since; /* edge_clock(); 0, or before the last answer: it is not */
	int64_t pause;		   /* until the next attempt */
	bool lost;			   /* a session, and nothing has been answered since */
	int wait; /* seconds that the server wants to be left alone for; 0: it has not said so */
};

/* Whether nothing is waited for any more. */
extern bool edge_poster_is_over(const edge_poster *poster);

/* Something has been answered. */
extern void edge_poster_answered(edge_poster *poster);

/* Makes of a failure that time may mend a new session, for as long as there is patience. */
extern edge_exit edge_poster_recover(edge_poster *poster, edge_exit status);

#endif /* EDGE_POSTER_KINDS_H */
