/*
 * known_ends.h
 *	  The packet with the largest sequence of a track, as it was last known, and where its row is.
 *
 * Only where to begin to look: what is known may have been rolled back or erased since, or somebody may have
 * written a later one by hand.
 */
#ifndef MULBERRY_KNOWN_ENDS_H
#define MULBERRY_KNOWN_ENDS_H

#include "postgres.h"

#include "storage/itemptr.h"

typedef struct mulberry_known_end
{
	int32 sequence;
	ItemPointerData tid; /* invalid: nobody knows */
} mulberry_known_end;

/* False when nothing is known.  Under the call lock, like the other ones. */
extern bool mulberry_known_end_of(int64 track, mulberry_known_end *end);

/* That it is so: by the index. */
extern void mulberry_remember_end(int64 track, const mulberry_known_end *end);

/* That this one has been stored: a later one that is known stays the end. */
extern void mulberry_advance_end(int64 track, const mulberry_known_end *stored);

/* From _PG_init. */
extern void mulberry_known_ends_init(void);

#endif /* MULBERRY_KNOWN_ENDS_H */
