/*
 * stored_values.c
 *	  Values that are stored out of line, read where they lie: see stored_values.h.
 *
 * Chunks are found through the index of the TOAST table and in its order, as the server does it.  Where a chunk is not what it
 * should be, or the table no heap, the server itself is asked, which knows what to say.
 */
#include "server/compat.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/heaptoast.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/toast_internals.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"

#include "server/page_rows.h"
#include "server/stored_values.h"

/* Columns of a TOAST table. */
enum
{
	TOAST_ID = 1,
	TOAST_NUMBER,
	TOAST_DATA
};

bool
mulberry_can_be_sliced(const struct varlena *value)
{
	struct varatt_external pointer;

	if (!VARATT_IS_EXTERNAL_ONDISK(value))
		return false;
	VARATT_EXTERNAL_GET_POINTER(pointer, value);
	return !VARATT_EXTERNAL_IS_COMPRESSED(pointer);
}

/* Bytes that the server is asked for at a time where chunks are not what they should be. */
#define SERVER_SLICE (64 * 1024)

/*
 * Bytes that are handed out at once at most.  With each the processor is told to fetch as many of the next chunk: told of all of them at
 * once, it stands still.
 */
#define PIECE 512

_Static_assert(TOAST_MAX_CHUNK_SIZE % 4 == 0 && SERVER_SLICE % 4 == 0 && PIECE % 4 == 0,
			   "no sample lies in two pieces");

struct mulberry_stored
{
	const struct varlena *value;
	size_t size; /* of it */
	size_t place;
	size_t end;
	bool by_chunks;		   /* else the server is asked */
	struct varlena *slice; /* what it gave last; NULL */
	Relation table;
	Relation *indexes;
	int n_indexes;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	SnapshotData snapshot;
	mulberry_page_rows rows;
	const uint8 *bytes; /* what is left of a chunk or a slice */
	size_t left;
	const char *ahead; /* what is still to be fetched of the next chunk */
	unsigned n_ahead;
};

/* Starts reading chunks from the one on that the place lies in. */
static void
open_chunks(mulberry_stored *stored, const struct varatt_external *pointer)
{
	int valid =
		toast_open_indexes(stored->table, AccessShareLock, &stored->indexes, &stored->n_indexes);
	Snapshot snapshot = stored_value_snapshot(&stored->snapshot);
	/* a condition costs something for each chunk */
	int n_keys = stored->end < stored->size ? 3 : 2;
	ScanKeyData keys[3];

	ScanKeyInit(&keys[0], TOAST_ID, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(pointer->va_valueid));
	ScanKeyInit(&keys[1], TOAST_NUMBER, BTGreaterEqualStrategyNumber, F_INT4GE,
				Int32GetDatum((int32) (stored->place / TOAST_MAX_CHUNK_SIZE)));
	ScanKeyInit(&keys[2], TOAST_NUMBER, BTLessEqualStrategyNumber, F_INT4LE,
				Int32GetDatum((int32) ((stored->end - 1) / TOAST_MAX_CHUNK_SIZE)));
	stored->scan = begin_index_scan(stored->table, stored->indexes[valid], snapshot, n_keys);
	stored->slot = table_slot_create(stored->table, NULL);
	index_rescan(stored->scan, keys, n_keys, NULL, 0);
	mulberry_begin_page_rows(&stored->rows, stored->table, snapshot);
	stored->by_chunks = true;
}

static void
close_chunks(mulberry_stored *stored)
{
	if (!stored->by_chunks)
		return;
	mulberry_end_page_rows(&stored->rows);
	ExecDropSingleTupleTableSlot(stored->slot);
	index_endscan(stored->scan);
	toast_close_indexes(stored->indexes, stored->n_indexes, AccessShareLock);
	stored->by_chunks = false;
}

mulberry_stored *
mulberry_open_stored(const struct varlena *value, size_t place, size_t n)
{
	mulberry_stored *stored = palloc0(sizeof(*stored));
	struct varatt_external pointer;

	VARATT_EXTERNAL_GET_POINTER(pointer, value);
	stored->value = value;
	stored->size = VARATT_EXTERNAL_GET_EXTSIZE(pointer);
	stored->place = place;
	stored->end = place + n;
	stored->table = table_open(pointer.va_toastrelid, AccessShareLock);
	if (n > 0 && mulberry_can_judge_pages(stored->table))
		open_chunks(stored, &pointer);
	return stored;
}

/* The chunk's bytes from the place on; NULL when it is not what it should be. */
static const uint8 *
chunk_bytes(const mulberry_stored *stored, HeapTuple chunk, size_t *n)
{
	TupleDesc desc = RelationGetDescr(stored->table);
	size_t wanted = stored->place / TOAST_MAX_CHUNK_SIZE;
	size_t begin = wanted * TOAST_MAX_CHUNK_SIZE;
	size_t end = Min(begin + TOAST_MAX_CHUNK_SIZE, stored->size);
	bool is_null[2];
	Datum number = fastgetattr(chunk, TOAST_NUMBER, desc, &is_null[0]);
	const void *data = DatumGetPointer(fastgetattr(chunk, TOAST_DATA, desc, &is_null[1]));

	if (is_null[0] || is_null[1] || (size_t) DatumGetInt32(number) != wanted ||
		VARATT_IS_EXTERNAL(data) || VARATT_IS_COMPRESSED(data) ||
		VARSIZE_ANY_EXHDR(data) != end - begin)
		return NULL;
	*n = Min(end, stored->end) - stored->place;
	return (const uint8 *) VARDATA_ANY(data) + (stored->place - begin);
}

/* The next chunk by the index, from the place on; NULL when it is not there or not what it should be. */
static const uint8 *
next_chunk(mulberry_stored *stored, size_t *n)
{
	ItemPointer place;

	while ((place = index_getnext_tid(stored->scan, ForwardScanDirection)) != NULL)
	{
		HeapTupleData chunk;

		switch (mulberry_page_row(&stored->rows, place, &chunk))
		{
			case MULBERRY_ROW_SHOWN:
				stored->ahead = mulberry_row_ahead(&stored->rows, place, &stored->n_ahead);
				return chunk_bytes(stored, &chunk, n);
			case MULBERRY_ROW_HIDDEN:
				break;
			case MULBERRY_ROW_UNKNOWN:
				if (index_fetch_heap(stored->scan, stored->slot))
				{
					bool copied;
					HeapTuple fetched = ExecFetchSlotHeapTuple(stored->slot, false, &copied);

					/* a heap's slot holds the page, and what lies there stays */
					Assert(!copied);
					return chunk_bytes(stored, fetched, n);
				}
				break;
		}
	}
	return NULL;
}

/* Has the bytes from the place on in hand, as many as lie there. */
static void
take_bytes(mulberry_stored *stored)
{
	stored->n_ahead = 0;
	if (stored->by_chunks)
	{
		stored->bytes = next_chunk(stored, &stored->left);
		if (stored->bytes != NULL)
			return;
		close_chunks(stored);
		stored->n_ahead = 0;
	}
	if (stored->slice != NULL)
		pfree(stored->slice);
	stored->left = Min(SERVER_SLICE, stored->end - stored->place);
	stored->slice = detoast_attr_slice((struct varlena *) stored->value, (int32) stored->place,
									   (int32) stored->left);
	stored->bytes = (const uint8 *) VARDATA_ANY(stored->slice);
}

const uint8 *
mulberry_next_stored(mulberry_stored *stored, size_t *n)
{
	const uint8 *bytes;

	*n = 0;
	if (stored->place == stored->end)
		return NULL;
	if (stored->left == 0)
		take_bytes(stored);
	bytes = stored->bytes;
	*n = Min(stored->left, PIECE);
	stored->bytes += *n;
	stored->left -= *n;
	stored->place += *n;
	if (stored->n_ahead > 0)
	{
		/* all that is left with the last piece: a row has its header in front */
		unsigned fetched = stored->left == 0 ? stored->n_ahead : Min(stored->n_ahead, PIECE);

		mulberry_prefetch(stored->ahead, fetched);
		stored->ahead += fetched;
		stored->n_ahead -= fetched;
	}
	return bytes;
}

void
mulberry_close_stored(mulberry_stored *stored)
{
	close_chunks(stored);
	table_close(stored->table, AccessShareLock);
	if (stored->slice != NULL)
		pfree(stored->slice);
	pfree(stored);
}

void
mulberry_read_stored(const struct varlena *value, size_t place, size_t n, uint8 *destination)
{
	mulberry_stored *stored = mulberry_open_stored(value, place, n);
	const uint8 *bytes;
	size_t size;

	while ((bytes = mulberry_next_stored(stored, &size)) != NULL)
	{
		memcpy(destination, bytes, size);
		destination += size;
	}
	mulberry_close_stored(stored);
}
