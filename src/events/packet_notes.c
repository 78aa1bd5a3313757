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

#include "events/event_ring.h"
#include "events/events.h"
#include "events/packet_notes.h"
#include "server/guc.h"
#include "server/shared_state.h"
#include "server/xact.h"

#define BUCKETS 64

/* Of one (sub)transaction. */
typedef struct packet_notes
{
	int count;
	uint64 lost; /* beyond what may be pending */
	mulberry_pending_note *first;
	mulberry_pending_note *last;
	mulberry_pending_note *buckets[BUCKETS];
} packet_notes;

static int subject;

static void put_notes(void *pending);
static void merge_notes(void *parent_notes, void *child_notes);
static void free_notes(void *pending);

void
mulberry_packet_notes_init(void)
{
	subject = mulberry_xact_register(
		&(mulberry_xact_subject){ .commit = put_notes, .merge = merge_notes, .drop = free_notes });
}

/* The pending note about the same track of a call and kind, or NULL. */
static mulberry_pending_note *
find_note(packet_notes *notes, uint32 hash, int kind, const pg_uuid_t *tenant, const char *call_id,
		  const char *track)
{
	mulberry_pending_note *pending = notes->buckets[hash % BUCKETS];

	for (; pending != NULL; pending = pending->next_in_bucket)
	{
		if (pending->hash == hash && pending->note.kind == kind &&
			memcmp(&pending->note.tenant, tenant, sizeof(pg_uuid_t)) == 0 &&
			strcmp(pending->note.call_id, call_id) == 0 && strcmp(pending->note.track, track) == 0)
			return pending;
	}
	return NULL;
}

static void
append_note(packet_notes *notes, mulberry_pending_note *pending)
{
	mulberry_pending_note **bucket = &notes->buckets[pending->hash % BUCKETS];

	pending->next = NULL;
	pending->next_in_bucket = *bucket;
	*bucket = pending;
	if (notes->last == NULL)
		notes->first = pending;
	else
		notes->last->next = pending;
	notes->last = pending;
	notes->count++;
}

void
mulberry_report_packet(const mulberry_packet_report *report)
{
	Size length = strlen(report->call_id);
	void **place;
	packet_notes *notes;
	mulberry_pending_note *pending;
	mulberry_packet_note *note;
	uint32 hash;
	int nranges;

	if (mulberry_my_slot() == NULL || length > MULBERRY_MAX_CALL_ID)
		return;

	place = mulberry_xact_pending(subject);
	if (*place == NULL)
		*place = MemoryContextAllocZero(TopTransactionContext, sizeof(packet_notes));
	notes = *place;
	hash = hash_bytes((const unsigned char *) report->call_id, length) + report->kind;
	pending = find_note(notes, hash, report->kind, &report->tenant, report->call_id, report->track);
	if (pending == NULL)
	{
		if (notes->count >= mulberry_event_ring_size)
		{
			notes->lost++;
			return;
		}
		pending = MemoryContextAlloc(TopTransactionContext, sizeof(mulberry_pending_note));
		note = &pending->note;
		pending->hash = hash;
		note->tenant = report->tenant;
		note->kind = report->kind;
		note->packets = 0;
		memcpy(note->call_id, report->call_id, length + 1);
		strlcpy(note->track, report->track, sizeof(note->track));
		append_note(notes, pending);
	}

	note = &pending->note;
	nranges = Min(report->nranges, MULBERRY_MAX_RANGES);
	note->at = report->at;
	note->call = report->call;
	note->total_received = report->total_received;
	note->missing_count = report->missing_count;
	note->first_sequence = report->first_sequence;
	note->sequence = report->sequence;
	note->packets++;
	strlcpy(note->state, report->state == NULL ? "" : report->state, sizeof(note->state));
	note->nranges = nranges;
	if (nranges > 0)
		memcpy(note->ranges, report->ranges, nranges * sizeof(mulberry_range));
}

/* After the commit. */
static void
put_notes(void *pending)
{
	packet_notes *notes = pending;
	mulberry_slot *slot = mulberry_my_slot();

	if (slot == NULL || !mulberry_packets_are_wanted(slot))
		return;
	mulberry_ring_put(slot, notes->first, notes->lost);
	mulberry_wake_notifier(slot, /* events_stored */ false, /* audit_recorded */ false,
						   /* channels_changed */ false);
}

/* Gives the notes of a subtransaction to its parent. */
static void
merge_notes(void *parent_notes, void *child_notes)
{
	packet_notes *parent = parent_notes;
	packet_notes *child = child_notes;
	mulberry_pending_note *next;

	parent->lost += child->lost;
	for (mulberry_pending_note *pending = child->first; pending != NULL; pending = next)
	{
		const mulberry_packet_note *note = &pending->note;
		mulberry_pending_note *known =
			find_note(parent, pending->hash, note->kind, &note->tenant, note->call_id, note->track);

		next = pending->next;
		if (known != NULL)
		{
			int32 packets = known->note.packets + note->packets;

			mulberry_copy_note(&known->note, note);
			known->note.packets = packets;
			pfree(pending);
		}
		else if (parent->count >= mulberry_event_ring_size)
		{
			parent->lost++;
			pfree(pending);
		}
		else
			append_note(parent, pending);
	}
	pfree(child);
}

/* A subtransaction was rolled back. */
static void
free_notes(void *all)
{
	packet_notes *notes = all;
	mulberry_pending_note *next;

	for (mulberry_pending_note *pending = notes->first; pending != NULL; pending = next)
	{
		next = pending->next;
		pfree(pending);
	}
	pfree(notes);
}
