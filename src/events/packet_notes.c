/*
 * packet_notes.c
 *	  Packet events between the statement that reports them and the end of its
 *	  transaction: fixed-size notes, one a call and kind, kept by
 *	  (sub)transaction.  They must cost next to nothing, so there is no catalog,
 *	  no SPI and no JSON here.
 *
 * A transaction keeps at most as many notes as the ring has room for; what is
 * beyond counts as lost and leads to a "resync" message.
 */
#include "server/compat.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "events/events.h"
#include "events/packet_notes.h"
#include "server/shared_state.h"

/* The pending note about the same call and kind, or NULL. */
static mulberry_pending_note *
find_note(mulberry_xact_level *level, uint32 hash, int kind, const pg_uuid_t *tenant,
		  const char *call_id)
{
	mulberry_pending_note *pending = level->buckets[hash % MULBERRY_NOTE_BUCKETS];

	for (; pending != NULL; pending = pending->next_in_bucket)
	{
		if (pending->hash == hash && pending->note.kind == kind &&
			memcmp(&pending->note.tenant, tenant, sizeof(pg_uuid_t)) == 0 &&
			strcmp(pending->note.call_id, call_id) == 0)
			return pending;
	}
	return NULL;
}

static void
append_note(mulberry_xact_level *level, mulberry_pending_note *pending)
{
	mulberry_pending_note **bucket = &level->buckets[pending->hash % MULBERRY_NOTE_BUCKETS];

	pending->next = NULL;
	pending->next_in_bucket = *bucket;
	*bucket = pending;
	if (level->last == NULL)
		level->first = pending;
	else
		level->last->next = pending;
	level->last = pending;
	level->nnotes++;
}

void
mulberry_report_packet(const mulberry_packet_report *report)
{
	Size length = strlen(report->call_id);
	mulberry_xact_level *level;
	mulberry_pending_note *pending;
	mulberry_packet_note *note;
	uint32 hash;
	int nranges;

	if (mulberry_my_slot() == NULL || length > MULBERRY_MAX_CALL_ID)
		return;

	level = mulberry_xact_current();
	hash = hash_bytes((const unsigned char *) report->call_id, length) + report->kind;
	pending = find_note(level, hash, report->kind, &report->tenant, report->call_id);
	if (pending == NULL)
	{
		if (level->nnotes >= mulberry_event_ring_size)
		{
			level->notes_lost++;
			return;
		}
		pending = MemoryContextAlloc(TopTransactionContext, sizeof(mulberry_pending_note));
		note = &pending->note;
		pending->hash = hash;
		note->tenant = report->tenant;
		note->kind = report->kind;
		note->packets = 0;
		memcpy(note->call_id, report->call_id, length + 1);
		append_note(level, pending);
	}

	note = &pending->note;
	nranges = Min(report->nranges, MULBERRY_MAX_RANGES);
	note->call = report->call;
	note->total_received = report->total_received;
	note->missing_count = report->missing_count;
	note->sequence = report->sequence;
	note->packets++;
	note->nranges = nranges;
	if (nranges > 0)
		memcpy(note->ranges, report->ranges, nranges * sizeof(mulberry_range));
}

void
mulberry_notes_merge(mulberry_xact_level *parent, mulberry_xact_level *child)
{
	mulberry_pending_note *next;

	parent->notes_lost += child->notes_lost;
	for (mulberry_pending_note *pending = child->first; pending != NULL; pending = next)
	{
		const mulberry_packet_note *note = &pending->note;
		mulberry_pending_note *known =
			find_note(parent, pending->hash, note->kind, &note->tenant, note->call_id);

		next = pending->next;
		if (known != NULL)
		{
			int32 packets = known->note.packets + note->packets;

			mulberry_copy_note(&known->note, note);
			known->note.packets = packets;
			pfree(pending);
		}
		else if (parent->nnotes >= mulberry_event_ring_size)
		{
			parent->notes_lost++;
			pfree(pending);
		}
		else
			append_note(parent, pending);
	}
	child->first = child->last = NULL;
}

void
mulberry_notes_free(mulberry_xact_level *level)
{
	mulberry_pending_note *next;

	for (mulberry_pending_note *pending = level->first; pending != NULL; pending = next)
	{
		next = pending->next;
		pfree(pending);
	}
	level->first = level->last = NULL;
}
