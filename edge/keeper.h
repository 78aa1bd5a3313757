/*
 * keeper.h
 *	  A thread that keeps what was captured in the spool until it is acknowledged.
 *
 * Whoever records hands an item over and never waits for the disk; the thread puts it into the spool, a tenth of a second
 * later at most, and hands it on to be posted. What cannot be posted soon is let go, and comes again from the spool in its order. All
 * that is reported of the spool is said on standard error.
 */
#ifndef EDGE_KEEPER_H
#define EDGE_KEEPER_H

#include "item.h"
#include "spool.h"

typedef struct edge_keeper edge_keeper;

typedef struct edge_keeper_options
{
	const char *directory;
	uint64_t bytes;		 /* on disk */
	size_t memory_bytes; /* while the disk takes nothing */
	int free_percent;	 /* of the disk, which are not ours */
	int sync_ms;		 /* at most so long until something outlives the power */
	uint64_t most;		 /* packets that may wait for the disk; then the oldest are dropped */

	/* Takes items in their order, a list. */
	void (*kept)(void *arg, edge_item *list);
	/* Hears what was said, in words. */
	void (*said)(void *arg, const char *problem);
	void *arg;
} edge_keeper_options;

typedef struct edge_keeper_state
{
	edge_spool_state spool;
	uint64_t dropped; /* packets */
	int disk_error;	  /* errno while it takes nothing; else 0 */
} edge_keeper_state;

/* OK, or what is wrong with a directory: SPOOL_FULL, SPOOL or FAILED, with a sentence in problem. */
extern edge_exit
edge_keeper_check(const char *directory, int free_percent, char problem[static 512]);

/* NULL: *status and problem say why. A disk that takes nothing at the moment is no reason. */
extern edge_keeper *
edge_keeper_start(const edge_keeper_options *options, edge_exit *status, char problem[static 512]);

/* Takes an item; from then on it is the keeper's. False: for its sake the oldest packet was dropped that waited for the disk. */
extern bool edge_keeper_take(edge_keeper *keeper, edge_item *item);

/* Ends the thread, when all that it was handed is kept and handed on. */
extern void edge_keeper_stop(edge_keeper *keeper);
extern void edge_keeper_free(edge_keeper *keeper);

/* ---------------------------------------------------------------------------
 * Whoever posts, who may wait for the disk
 * ---------------------------------------------------------------------------
 */

/* Whether there may be something to be taken; the oldest that nobody has, NULL when there is none. */
extern bool edge_keeper_is_behind(edge_keeper *keeper);
extern edge_item *edge_keeper_next(edge_keeper *keeper);

/* It has arrived, or is given up; it is to come again. A number of 0 is let pass. */
extern void edge_keeper_acknowledge(edge_keeper *keeper, uint64_t number);
extern void edge_keeper_let_go(edge_keeper *keeper, uint64_t number);

/* The number of the first item of this process: those before are of others, which have ended. */
extern uint64_t edge_keeper_first(const edge_keeper *keeper);

/* The latest time that was ever known, as spool.h has it. */
extern int64_t edge_keeper_latest(const edge_keeper *keeper);

/* As it was a second ago at most, which does not wait for the disk; as it is, when the thread has ended. */
extern void edge_keeper_look(edge_keeper *keeper, edge_keeper_state *state);

#endif /* EDGE_KEEPER_H */
