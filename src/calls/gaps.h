/*
 * gaps.h
 *	  The sequences of a track that have not arrived although a later one has.
 */
#ifndef MULBERRY_GAPS_H
#define MULBERRY_GAPS_H

#include "postgres.h"

#include "calls/calls.h"
#include "events/events.h"

/* A row of "gaps": first..last, both included. */
typedef struct mulberry_gap
{
	mulberry_range range;
	ItemPointerData tid;
} mulberry_gap;

/*
 * The gap that a sequence lies in; false when it lies in none.  Under the lock of the
 * call, like everything here.
 */
extern bool mulberry_find_gap(const mulberry_track *track, int32 sequence, mulberry_gap *gap);

/* Opens a gap behind all others, shuts a sequence's part of one. */
extern void mulberry_open_gap(const mulberry_track *track, int32 first, int32 last);
extern void mulberry_fill_gap(const mulberry_track *track, const mulberry_gap *gap, int32 sequence);

/* Removes all gaps of a track that goes. */
extern void mulberry_delete_gaps(int64 track);

/*
 * Writes the count of missing sequences that belongs to the changes made since
 * the track was read.  Every change of gaps ends with this, so that the version of
 * the track's row names the state of its gaps.
 */
extern void mulberry_settle_gaps(Relation calls, mulberry_call *call, mulberry_track *track,
								 int64 missing_count);

/*
 * The first missing ranges, at most MULBERRY_MAX_RANGES, in order.  Valid until the
 * next call of a function of this file.
 */
extern const mulberry_range *mulberry_first_gaps(const mulberry_track *track, int *n);

/*
 * The same as text in the sender's numbers, in the form of an int8multirange; valid as long.  (As a value of
 * that type a hundred ranges took five times as long to send as the whole packet
 * to take, because multirange_out() calls an output function for each bound.)
 */
extern Datum mulberry_first_gaps_text(const mulberry_track *track);

#endif /* MULBERRY_GAPS_H */
