/*
 * spool.h
 *	  What was captured and is not acknowledged yet, kept on disk through kill -9, power loss, a full disk and a
 *	  damaged block, within a bound.
 *
 * A directory of segments, each a file of records (core/spool/record.h) named by the number of its first one. A
 * segment is preallocated, appended to and deleted, never rewritten. What put() took is in the page cache, which
 * outlives the process; since the last edge_spool_turn() that wrote it through it outlives the power, too:
 * edge_spool_safe() says up to where. When the disk takes nothing, records go to memory, within a bound of their own,
 * and to disk when it is back. When a bound is reached, the oldest segment goes, and it is reported what was in it.
 *
 * One thread uses a spool at a time. Nothing here waits but for the disk: not to be called from the thread that captures.
 */
#ifndef EDGE_SPOOL_H
#define EDGE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/spool/record.h"

#define EDGE_SPOOL_SEGMENT (1024 * 1024)
#define EDGE_SPOOL_MEMORY (1024 * 1024)
#define EDGE_SPOOL_FREE_PERCENT 10

typedef enum edge_spool_event
{
	/* for want of room, from "first" to "last" of a track; those among them that are in hand may get there yet */
	EDGE_SPOOL_DROPPED,
	EDGE_SPOOL_DAMAGED, /* bytes of a segment could not be read */
	EDGE_SPOOL_TORN,	/* the same at its end, where it was being written when the power failed */
	EDGE_SPOOL_DISK_LOST, /* records go to memory from now on */
	EDGE_SPOOL_DISK_BACK
} edge_spool_event;

/* What happened; of no meaning where the event does not say so. */
typedef struct edge_spool_report
{
	edge_spool_event event;
	const char *call; /* DROPPED: which, not terminated */
	size_t call_length;
	const char *track;
	size_t track_length;
	int64_t first; /* sequences */
	int64_t last;
	uint64_t duration_us; /* of what was dropped */
	uint64_t records;	  /* that were dropped, or are known to be lost */
	uint64_t bytes;		  /* DAMAGED, TORN */
	uint64_t segment;	  /* DAMAGED, TORN: number of its first record, as in its name */
	int error;			  /* DISK_LOST: errno */
	const char *what;	  /* DISK_LOST: that could not be done */
} edge_spool_report;

typedef struct edge_spool_options
{
	const char *directory; /* made when it is not there; its parent is not */
	uint64_t max_bytes;	   /* of segments on disk, at least two of them */
	size_t segment_bytes;  /* whole blocks, at least two of the largest records */
	size_t memory_bytes;
	int free_percent; /* of the disk, which are not ours */
	int64_t sync_us;  /* at most so long until a record is written through */
	int64_t retry_us; /* until a disk that took nothing is tried again */
	int64_t now_us;	  /* the clock of edge_spool_turn() */
	void (*report)(void *context, const edge_spool_report *report);
	void *context;
} edge_spool_options;

/* How full it is. */
typedef struct edge_spool_state
{
	uint64_t disk_bytes;
	uint64_t memory_bytes;
	unsigned segments;
	uint64_t
		left; /* records that are not acknowledged, as far as segments have been looked through */
	uint64_t memory_left; /* of these, in memory only */
	bool disk_lost;
	uint64_t dropped; /* records, since it was opened */
	uint64_t damaged; /* bytes */
} edge_spool_state;

typedef struct edge_spool edge_spool;

/* Everything but directory, max_bytes and report. */
extern void edge_spool_defaults(edge_spool_options *options);

/*
 * Opens the spool and looks at what the last process left. NULL, and errno: there is no such directory, it is not
 * ours, or another process has it (EWOULDBLOCK). A directory that cannot be written is no error: it is reported.
 */
extern edge_spool *edge_spool_open(const edge_spool_options *options);

/*
 * Takes a record; number is the spool's. In hand: the caller is about to send it, and edge_spool_next() leaves it
 * out until it is released. The record's number, or 0 when a part of it is too long.
 */
extern uint64_t edge_spool_put(edge_spool *spool, const mb_spool_record *record, bool in_hand);

/* The oldest record that is neither in hand nor acknowledged; it is in hand then, its texts stay until the next call. */
extern bool edge_spool_next(edge_spool *spool, mb_spool_record *record);

/* The record is where it should be; a segment without others is deleted. Numbers that are not here are let pass. */
extern void edge_spool_acknowledge(edge_spool *spool, uint64_t number);

/* One is not in hand any more, and comes again if it is not acknowledged; false: it is not here. */
extern bool edge_spool_let_go(edge_spool *spool, uint64_t number);

/* Nothing is in hand any more: what was not acknowledged comes again. */
extern void edge_spool_release(edge_spool *spool);

/* The number of the record that is put next. */
extern uint64_t edge_spool_number(const edge_spool *spool);

/* What is due: writing through (now, with "at_once"), trying the disk again. now_us only grows. */
extern void edge_spool_turn(edge_spool *spool, int64_t now_us, bool at_once);

/* Up to this number all records outlive the power. */
extern uint64_t edge_spool_safe(const edge_spool *spool);

extern void edge_spool_look(const edge_spool *spool, edge_spool_state *state);

/*
 * The latest time that was ever known for sure, microseconds since 1970; MB_SPOOL_NO_TIME: none. Only grows, also
 * when the clock was set back. What is raised by less than a minute is not written until it is more, or "at_once".
 */
extern int64_t edge_spool_latest(const edge_spool *spool);
extern void edge_spool_raise_latest(edge_spool *spool, int64_t wall_us, bool at_once);

/* Writes through; what is in memory only is dropped, and reported. */
extern void edge_spool_close(edge_spool *spool);

#endif /* EDGE_SPOOL_H */
