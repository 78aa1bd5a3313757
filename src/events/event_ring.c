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

#include "server/shared_state.h"
#include "server/shared_state_private.h"

/* Copies a note without the unused part of its ranges. */
void
mulberry_copy_note(mulberry_packet_note *to, const mulberry_packet_note *from)
{
	memcpy(to, from,
		   offsetof(mulberry_packet_note, ranges) + from->nranges * sizeof(mulberry_range));
}

/* "lost": notes that the caller had to drop itself. */
void
mulberry_ring_put(mulberry_slot *slot, const mulberry_pending_note *first, uint64 lost)
{
	LWLockAcquire(slot->lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u32(&slot->database) == MyDatabaseId)
	{
		for (const mulberry_pending_note *pending = first; pending != NULL; pending = pending->next)
		{
			if (slot->ring_head - slot->ring_tail >= slot->ring_size)
			{
				lost++;
				continue;
			}
			mulberry_copy_note(&slot->ring[slot->ring_head % slot->ring_size], &pending->note);
			slot->ring_head++;
			slot->notes_taken++;
		}
		slot->notes_lost += lost;
		slot->notes_dropped += lost;
	}
	LWLockRelease(slot->lock);
}

int
mulberry_ring_take(mulberry_slot *slot, mulberry_packet_note *notes, int room, uint64 *lost)
{
	int count = 0;

	LWLockAcquire(slot->lock, LW_EXCLUSIVE);
	while (count < room && slot->ring_tail != slot->ring_head)
	{
		mulberry_copy_note(&notes[count++], &slot->ring[slot->ring_tail % slot->ring_size]);
		slot->ring_tail++;
	}
	*lost = slot->notes_lost;
	slot->notes_lost = 0;
	LWLockRelease(slot->lock);
	return count;
}

bool
mulberry_ring_is_empty(mulberry_slot *slot)
{
	bool empty;

	LWLockAcquire(slot->lock, LW_SHARED);
	empty = slot->ring_head == slot->ring_tail && slot->notes_lost == 0;
	LWLockRelease(slot->lock);
	return empty;
}

/* The notifier took these and could not send them. */
void
mulberry_ring_count_dropped(mulberry_slot *slot, uint64 notes)
{
	LWLockAcquire(slot->lock, LW_EXCLUSIVE);
	slot->notes_dropped += notes;
	LWLockRelease(slot->lock);
}
