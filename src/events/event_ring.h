/*
 * event_ring.h
 *	  The ring of packet events that each database has in shared memory.
 */
#ifndef MULBERRY_EVENT_RING_H
#define MULBERRY_EVENT_RING_H

#include "postgres.h"

#include "events/packet_notes.h"
#include "server/shared_state.h"

/* From mulberry_events_init(). */
extern void mulberry_event_ring_init(void);

/*
 * Ring of packet events.  put: copies all or as many as fit; drops the rest and
 * remembers that.  Allocates nothing and never raises.  take: the oldest notes
 * in order, at most "room"; *lost tells how many were dropped since the last
 * time.
 */
extern void mulberry_ring_put(mulberry_slot *slot, const mulberry_pending_note *first, uint64 lost);
extern int
mulberry_ring_take(mulberry_slot *slot, mulberry_packet_note *notes, int room, uint64 *lost);
extern bool mulberry_ring_is_empty(mulberry_slot *slot);
extern void mulberry_ring_count_dropped(mulberry_slot *slot, uint64 notes);

/* What has gone through the ring since the database was first given its slot. */
typedef struct mulberry_ring_statistics
{
	uint64 taken;	/* packet events put into the ring */
	uint64 dropped; /* packet events lost to a full ring or queue */
	int waiting;
	int room;
} mulberry_ring_statistics;

extern void mulberry_ring_statistics_get(mulberry_slot *slot, mulberry_ring_statistics *result);

#endif /* MULBERRY_EVENT_RING_H */
