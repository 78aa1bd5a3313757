/*
 * posted.h
 *	  A call that is being posted: what is known of it, and how far it is.
 */
#ifndef EDGE_POSTED_H
#define EDGE_POSTED_H

#include "item.h"

typedef struct edge_posted
{
	struct edge_posted *next;
	edge_item *told; /* what it was known from, whose texts are used */
	edge_item_call known;
	edge_track tracks[EDGE_MAX_CHANNELS]; /* of each, which sequence comes next */
	int n_tracks;
	uint64_t
		begin; /* number of its begin in the spool, which is kept until its end has arrived; 0: none */
	bool left;		   /* by a process that has ended, so that nobody else will say its end */
	bool begun;		   /* the server knows of it */
	bool refused;	   /* the server does not take it any more */
	bool has_offset;   /* of what was recorded while nobody knew the time, it is known now */
	bool looked;	   /* whether it is */
	int64_t offset_us; /* of the time to edge_clock() */

	/* what was refused and has not been said yet */
	uint64_t lost;
	int64_t first_lost;
	int64_t last_lost;
} edge_posted;

/* The call of an item among those of a list; taken up when it is not there. NULL: out of memory, or the item cannot be read. */
extern edge_posted *edge_posted_find(edge_posted **list, const edge_item *item);
/* Takes what an item says of its call in place of what was known; nothing of the call may be under way. */
extern bool edge_posted_learn(edge_posted *posted, const edge_item *item);
extern void edge_posted_remove(edge_posted **list, edge_posted *posted);

/* Which of its tracks that is; one that was not known is added. NULL: there are too many. */
extern edge_track *edge_posted_track(edge_posted *posted, const char *name);

/* When an item was recorded, microseconds since 1970; 0: nobody knows. latest: as edge_wall_is_known() has it. */
extern int64_t edge_posted_time(edge_posted *posted, const edge_item *item, int64_t latest);

/* Counts a packet that the server does not take; says what was counted. */
extern void edge_posted_lose(edge_posted *posted, const edge_item *item);
extern void edge_posted_say_lost(edge_posted *posted);

#endif /* EDGE_POSTED_H */
