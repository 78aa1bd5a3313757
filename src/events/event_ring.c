/*
 * event_ring.c
 *	  The ring of packet events in a database's slot.  Backends put notes in
 *	  after commit, the notifier takes them out.  A full ring drops what is new
 *	  and remembers that it did; it never waits.
 *
 * Nothing here allocates, touches catalogs or raises errors.
 */
#include "server/compat.h"

#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "events/event_ring.h"
#include "server/guc.h"

/* Protected by the slot's lock. */
typedef struct event_ring
{
	uint64 head;	/* notes ever put; position modulo room */
	uint64 tail;	/* notes ever taken */
	uint64 lost;	/* dropped since the notifier last asked */
	uint64 taken;	/* statistics: put into the ring */
	uint64 dropped; /* statistics: lost */
	int room;
	mulberry_packet_note notes[FLEXIBLE_ARRAY_MEMBER];
} event_ring;

static int section;

static Size
ring_size(void)
{
	return add_size(offsetof(event_ring, notes),
					mul_size(mulberry_event_ring_size, sizeof(mulberry_packet_note)));
}

static void
init_ring(void *memory)
{
	((event_ring *) memory)->room = mulberry_event_ring_size;
}

static void
reset_ring(void *memory)
{
	event_ring *ring = memory;

	ring->head = ring->tail = 0;
	ring->lost = ring->taken = ring->dropped = 0;
}

void
mulberry_event_ring_init(void)
{
	section = mulberry_register_section(
		&(mulberry_section){ .size = ring_size, .init = init_ring, .reset = reset_ring });
}

/* "lost": notes that the caller had to drop itself. */
void
mulberry_ring_put(mulberry_slot *slot, const mulberry_pending_note *first, uint64 lost)
{
	event_ring *ring = mulberry_slot_section(slot, section);

	LWLockAcquire(mulberry_slot_lock(slot), LW_EXCLUSIVE);
	if (mulberry_slot_database(slot) == MyDatabaseId)
	{
		for (const mulberry_pending_note *pending = first; pending != NULL; pending = pending->next)
		{
			if (ring->head - ring->tail >= ring->room)
			{
				lost++;
				continue;
			}
			mulberry_copy_note(&ring->notes[ring->head % ring->room], &pending->note);
			ring->head++;
			ring->taken++;
		}
		ring->lost += lost;
		ring->dropped += lost;
	}
	LWLockRelease(mulberry_slot_lock(slot));
}

int
mulberry_ring_take(mulberry_slot *slot, mulberry_packet_note *notes, int room, uint64 *lost)
{
	event_ring *ring = mulberry_slot_section(slot, section);
	int count = 0;

	LWLockAcquire(mulberry_slot_lock(slot), LW_EXCLUSIVE);
	while (count < room && ring->tail != ring->head)
	{
		mulberry_copy_note(&notes[count++], &ring->notes[ring->tail % ring->room]);
		ring->tail++;
	}
	*lost = ring->lost;
	ring->lost = 0;
	LWLockRelease(mulberry_slot_lock(slot));
	return count;
}

bool
mulberry_ring_is_empty(mulberry_slot *slot)
{
	event_ring *ring = mulberry_slot_section(slot, section);
	bool empty;

	LWLockAcquire(mulberry_slot_lock(slot), LW_SHARED);
	empty = ring->head == ring->tail && ring->lost == 0;
	LWLockRelease(mulberry_slot_lock(slot));
	return empty;
}

/* The notifier took these and could not send them. */
void
mulberry_ring_count_dropped(mulberry_slot *slot, uint64 notes)
{
	event_ring *ring = mulberry_slot_section(slot, section);

	LWLockAcquire(mulberry_slot_lock(slot), LW_EXCLUSIVE);
	ring->dropped += notes;
	LWLockRelease(mulberry_slot_lock(slot));
}

void
mulberry_ring_statistics_get(mulberry_slot *slot, mulberry_ring_statistics *result)
{
	event_ring *ring = mulberry_slot_section(slot, section);

	LWLockAcquire(mulberry_slot_lock(slot), LW_SHARED);
	result->taken = ring->taken;
	result->dropped = ring->dropped;
	result->waiting = (int) (ring->head - ring->tail);
	result->room = ring->room;
	LWLockRelease(mulberry_slot_lock(slot));
}
