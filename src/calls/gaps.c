/*
 * gaps.c
 *	  One row a gap: found, opened, shortened, split and removed by direct access, so
 *	  that its cost does not grow with the number of gaps; and the session's memory of
 *	  the first gaps of the calls it serves, because each answer carries them.
 *
 * Whether a packet is late, a duplicate or too far ahead is decided in ingest.c.
 */
#include "server/compat.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"

#include "calls/call_relations.h"
#include "calls/gaps.h"
#include "calls/tracks.h"
#include "server/relations.h"

enum gaps_column
{
	Anum_gaps_call = 1,
	Anum_gaps_first,
	Anum_gaps_last,
	Natts_gaps = Anum_gaps_last
};

/*
 * The first gaps of a track as this session last saw them.  Every change of gaps
 * rewrites the row of the track, for the first one the call's (mulberry_settle_gaps), so an entry is right as long as
 * the row has the version it was made for: after a change by another
 * session, or a rollback of our own, the row has another one.  While gaps are changed
 * and the row is not yet rewritten the entry is "unsettled" and not believed, so
 * that an error in between cannot leave it wrong.
 *
 * It remembers more than an answer shows: gaps that are filled then do not
 * need the table read again each time.
 */
#define REMEMBERED_GAPS (2 * MULBERRY_MAX_RANGES)
#define REMEMBERED_CALLS 64

typedef struct known_gaps
{
	int64 call; /* 0: entry is empty */
	mulberry_version version;
	bool unsettled;
	LocalTransactionId transaction; /* of the unsettled change */
	SubTransactionId subtransaction;
	bool all; /* there are no gaps beyond these */
	int n;
	mulberry_range ranges[REMEMBERED_GAPS];
	text *shown; /* the ranges of answers; NULL: to be written */
} known_gaps;

static known_gaps *known = NULL;

static bool
same_version(const mulberry_version *a, const mulberry_version *b)
{
	return ItemPointerEquals((ItemPointer) &a->tid, (ItemPointer) &b->tid) && a->xmin == b->xmin &&
		   a->command == b->command;
}

/* The place where a call's gaps are remembered, whether or not they are. */
static known_gaps *
entry_of(int64 call)
{
	if (known == NULL)
		known = MemoryContextAllocZero(TopMemoryContext, REMEMBERED_CALLS * sizeof(known_gaps));
	return &known[call % REMEMBERED_CALLS];
}

/* The entry for a change that begins or goes on, or NULL when the gaps are not remembered. */
static known_gaps *
unsettle(const mulberry_track *track)
{
	known_gaps *entry = entry_of(track->id);

	if (entry->call != track->id || !same_version(&entry->version, &track->version))
		return NULL;
	if (entry->unsettled && (entry->transaction != my_local_transaction() ||
							 entry->subtransaction != GetCurrentSubTransactionId()))
	{
		/* Left behind by a change that failed. */
		entry->call = 0;
		return NULL;
	}
	entry->unsettled = true;
	entry->transaction = my_local_transaction();
	entry->subtransaction = GetCurrentSubTransactionId();
	return entry;
}

/* Position of the first remembered gap that begins at or behind a sequence. */
static int
position(const known_gaps *entry, int32 sequence)
{
	int low = 0;
	int high = entry->n;

	while (low < high)
	{
		int middle = (low + high) / 2;

		if (entry->ranges[middle].first < sequence)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The text of the ranges no longer fits them. */
static void
forget_shown(known_gaps *entry)
{
	if (entry->shown)
		pfree(entry->shown);
	entry->shown = NULL;
}

static void
remember_opened(known_gaps *entry, int32 first, int32 last)
{
	if (!entry->all)
		return;
	if (entry->n == REMEMBERED_GAPS)
		entry->all = false;
	else
	{
		if (entry->n < MULBERRY_MAX_RANGES)
			forget_shown(entry);
		entry->ranges[entry->n++] = (mulberry_range){ first, last };
	}
}

/* Replaces one gap by what is left of it: none, one or two. */
static void
remember_filled(known_gaps *entry, const mulberry_range *old, const mulberry_range *left, int nleft)
{
	int at = position(entry, old->first);
	int behind;

	if (at == entry->n)
		return; /* lies beyond what is remembered */
	if (at < MULBERRY_MAX_RANGES)
		forget_shown(entry);
	Assert(entry->ranges[at].first == old->first && entry->ranges[at].last == old->last);
	behind = entry->n - at - 1;
	if (entry->n + nleft - 1 > REMEMBERED_GAPS)
	{
		/* The last one drops out, which may be the second part of this one. */
		entry->all = false;
		if (behind == 0)
			nleft = 1;
		else
			behind--;
	}
	memmove(&entry->ranges[at + nleft], &entry->ranges[at + 1], behind * sizeof(mulberry_range));
	memcpy(&entry->ranges[at], left, nleft * sizeof(mulberry_range));
	entry->n = at + nleft + behind;
}

static Relation
open_gaps(LOCKMODE mode)
{
	return table_open(mulberry_get_relations()->gaps, mode);
}

static HeapTuple
form_gap(Relation gaps, int64 call, int32 first, int32 last)
{
	TupleDesc desc = RelationGetDescr(gaps);
	Datum values[MaxHeapAttributeNumber];
	bool nulls[MaxHeapAttributeNumber];

	mulberry_require_known_columns(gaps, Natts_gaps);
	values[Anum_gaps_call - 1] = Int64GetDatum(call);
	values[Anum_gaps_first - 1] = Int32GetDatum(first);
	values[Anum_gaps_last - 1] = Int32GetDatum(last);
	for (int i = 0; i < desc->natts; i++)
		nulls[i] = i >= Natts_gaps;
	return heap_form_tuple(desc, values, nulls);
}

static mulberry_range
read_range(TupleTableSlot *slot)
{
	slot_getsomeattrs(slot, Natts_gaps);
	return (mulberry_range){ DatumGetInt32(slot->tts_values[Anum_gaps_first - 1]),
							 DatumGetInt32(slot->tts_values[Anum_gaps_last - 1]) };
}

bool
mulberry_find_gap(const mulberry_track *track, int32 sequence, mulberry_gap *gap)
{
	Relation gaps = open_gaps(AccessShareLock);
	ScanKeyData keys[2];
	mulberry_scan scan;
	bool found;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(track->id));
	ScanKeyInit(&keys[1], 2, BTLessEqualStrategyNumber, F_INT4LE, Int32GetDatum(sequence));
	mulberry_begin_scan(&scan, gaps, mulberry_get_relations()->gaps_key, keys, 2);
	found = mulberry_next_row(&scan, BackwardScanDirection);
	if (found)
	{
		gap->range = read_range(scan.slot);
		gap->tid = scan.slot->tts_tid;
		found = sequence <= gap->range.last;
	}
	mulberry_end_scan(&scan);
	table_close(gaps, NoLock);
	return found;
}

void
mulberry_open_gap(const mulberry_track *track, int32 first, int32 last)
{
	known_gaps *entry = unsettle(track);
	Relation gaps = open_gaps(RowExclusiveLock);

	Assert(0 <= first && first <= last);
	mulberry_insert_row(gaps, form_gap(gaps, track->id, first, last));
	table_close(gaps, NoLock);
	if (entry)
		remember_opened(entry, first, last);
}

void
mulberry_fill_gap(const mulberry_track *track, const mulberry_gap *gap, int32 sequence)
{
	known_gaps *entry = unsettle(track);
	Relation gaps = open_gaps(RowExclusiveLock);
	ItemPointerData tid = gap->tid;
	mulberry_range left[2];
	int nleft = 0;

	Assert(gap->range.first <= sequence && sequence <= gap->range.last);
	if (gap->range.first < sequence)
		left[nleft++] = (mulberry_range){ gap->range.first, sequence - 1 };
	if (sequence < gap->range.last)
		left[nleft++] = (mulberry_range){ sequence + 1, gap->range.last };

	if (nleft == 0)
		mulberry_delete_row(gaps, &tid);
	else
		mulberry_replace_row(gaps, &tid, form_gap(gaps, track->id, left[0].first, left[0].last));
	if (nleft == 2)
		mulberry_insert_row(gaps, form_gap(gaps, track->id, left[1].first, left[1].last));
	table_close(gaps, NoLock);
	if (entry)
		remember_filled(entry, &gap->range, left, nleft);

	/* The same row may be changed again by this statement, which needs another command. */
	CommandCounterIncrement();
}

void
mulberry_settle_gaps(Relation calls, mulberry_call *call, mulberry_track *track,
					 int64 missing_count)
{
	known_gaps *entry = unsettle(track);

	mulberry_change_track(calls, call, track, MULBERRY_TRACK_MISSING_COUNT,
						  Int64GetDatum(missing_count));
	if (entry)
	{
		entry->version = track->version;
		entry->unsettled = false;
	}
}

void
mulberry_delete_gaps(int64 call)
{
	Relation gaps = open_gaps(RowExclusiveLock);

	mulberry_delete_rows(gaps, mulberry_get_relations()->gaps_key, call);
	table_close(gaps, NoLock);
	entry_of(call)->call = 0;
}

static void
read_gaps(const mulberry_track *track, known_gaps *entry)
{
	Relation gaps = open_gaps(AccessShareLock);
	ScanKeyData key;
	mulberry_scan scan;

	entry->call = 0; /* empty, should reading fail */
	forget_shown(entry);
	entry->n = 0;
	entry->all = true;
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(track->id));
	mulberry_begin_scan(&scan, gaps, mulberry_get_relations()->gaps_key, &key, 1);
	while (mulberry_next_row(&scan, ForwardScanDirection))
	{
		if (entry->n == REMEMBERED_GAPS)
		{
			entry->all = false;
			break;
		}
		entry->ranges[entry->n++] = read_range(scan.slot);
	}
	mulberry_end_scan(&scan);
	table_close(gaps, NoLock);
	entry->call = track->id;
	entry->version = track->version;
	entry->unsettled = false;
}

const mulberry_range *
mulberry_first_gaps(const mulberry_track *track, int *n)
{
	known_gaps *entry;

	*n = 0;
	if (track->missing_count == 0)
		return NULL;
	entry = entry_of(track->id);
	if (entry->call != track->id || entry->unsettled ||
		!same_version(&entry->version, &track->version) ||
		(!entry->all && entry->n < MULBERRY_MAX_RANGES))
		read_gaps(track, entry);
	*n = Min(entry->n, MULBERRY_MAX_RANGES);
	return entry->ranges;
}

/*
 * Writes ranges as the text form of an int8multirange, which has its upper bounds excluded, in the
 * numbers of a sender whose first one is "first_sequence".
 */
static text *
write_ranges(const mulberry_range *ranges, int n, int64 first_sequence)
{
	/* brackets, a comma between bounds and one between ranges, two integers of ten digits */
	text *written = MemoryContextAlloc(TopMemoryContext, VARHDRSZ + 2 + n * (4 + 2 * 11));
	char *to = VARDATA(written);

	*to++ = '{';
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			*to++ = ',';
		*to++ = '[';
		to += pg_lltoa(first_sequence + ranges[i].first, to);
		*to++ = ',';
		to += pg_lltoa(first_sequence + ranges[i].last + 1, to);
		*to++ = ')';
	}
	*to++ = '}';
	SET_VARSIZE(written, to - (char *) written);
	return written;
}

Datum
mulberry_first_gaps_text(const mulberry_track *track)
{
	static text *none = NULL;
	const mulberry_range *ranges;
	known_gaps *entry;
	int n;

	if (track->missing_count == 0)
	{
		if (none == NULL)
			none = write_ranges(NULL, 0, 0);
		return PointerGetDatum(none);
	}
	ranges = mulberry_first_gaps(track, &n);
	entry = entry_of(track->id);
	if (entry->shown == NULL)
		entry->shown = write_ranges(ranges, n, Max(0, track->first_sequence));
	return PointerGetDatum(entry->shown);
}
