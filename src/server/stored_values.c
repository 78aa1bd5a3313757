/*
 * stored_values.c
 *	  Slices of values that are stored out of line: see stored_values.h.
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

/* The slice that is being copied. */
typedef struct slice
{
	size_t size; /* of the value */
	size_t place;
	size_t end;
	uint8 *destination;
	size_t number; /* of the chunk that comes next */
} slice;

/* Takes of a chunk what belongs to the slice; false when it is not what it should be. */
static bool
take_chunk(slice *wanted, Relation table, HeapTuple chunk)
{
	TupleDesc desc = RelationGetDescr(table);
	size_t begin = wanted->number * TOAST_MAX_CHUNK_SIZE;
	size_t from = Max(begin, wanted->place);
	size_t to = Min(begin + TOAST_MAX_CHUNK_SIZE, wanted->end);
	bool is_null[2];
	Datum number = fastgetattr(chunk, TOAST_NUMBER, desc, &is_null[0]);
	const void *data = DatumGetPointer(fastgetattr(chunk, TOAST_DATA, desc, &is_null[1]));

	if (is_null[0] || is_null[1] || (size_t) DatumGetInt32(number) != wanted->number ||
		VARATT_IS_EXTERNAL(data) || VARATT_IS_COMPRESSED(data) ||
		VARSIZE_ANY_EXHDR(data) != Min(TOAST_MAX_CHUNK_SIZE, wanted->size - begin))
		return false;
	memcpy(wanted->destination + (from - wanted->place), VARDATA_ANY(data) + (from - begin),
		   to - from);
	wanted->number++;
	return true;
}

/* Copies the slice out of a TOAST table; false when not all of it was found. */
static bool
copy_chunks(slice *wanted, Relation table, Relation index, Oid id, Snapshot snapshot)
{
	IndexScanDesc scan = begin_index_scan(table, index, snapshot, 3);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	size_t last = (wanted->end - 1) / TOAST_MAX_CHUNK_SIZE;
	mulberry_page_rows rows;
	ScanKeyData keys[3];
	ItemPointer place;
	bool as_expected = true;

	ScanKeyInit(&keys[0], TOAST_ID, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(id));
	ScanKeyInit(&keys[1], TOAST_NUMBER, BTGreaterEqualStrategyNumber, F_INT4GE,
				Int32GetDatum((int32) wanted->number));
	ScanKeyInit(&keys[2], TOAST_NUMBER, BTLessEqualStrategyNumber, F_INT4LE,
				Int32GetDatum((int32) last));
	index_rescan(scan, keys, 3, NULL, 0);
	mulberry_begin_page_rows(&rows, table, snapshot);
	while (as_expected && wanted->number <= last &&
		   (place = index_getnext_tid(scan, ForwardScanDirection)) != NULL)
	{
		HeapTupleData chunk;

		switch (mulberry_page_row(&rows, place, &chunk))
		{
			case MULBERRY_ROW_SHOWN:
				as_expected = take_chunk(wanted, table, &chunk);
				break;
			case MULBERRY_ROW_HIDDEN:
				break;
			case MULBERRY_ROW_UNKNOWN:
				if (index_fetch_heap(scan, slot))
				{
					bool copied;
					HeapTuple fetched = ExecFetchSlotHeapTuple(slot, false, &copied);

					as_expected = take_chunk(wanted, table, fetched);
					if (copied)
						heap_freetuple(fetched);
				}
				break;
		}
	}
	mulberry_end_page_rows(&rows);
	ExecDropSingleTupleTableSlot(slot);
	index_endscan(scan);
	return as_expected && wanted->number > last;
}

void
mulberry_read_stored(const struct varlena *value, size_t place, size_t n, uint8 *destination)
{
	struct varatt_external pointer;
	slice wanted = { .place = place,
					 .end = place + n,
					 .destination = destination,
					 .number = place / TOAST_MAX_CHUNK_SIZE };
	Relation table;
	bool found = false;

	if (n == 0)
		return;
	VARATT_EXTERNAL_GET_POINTER(pointer, value);
	wanted.size = VARATT_EXTERNAL_GET_EXTSIZE(pointer);
	table = table_open(pointer.va_toastrelid, AccessShareLock);
	if (mulberry_can_judge_pages(table))
	{
		SnapshotData space;
		Relation *indexes;
		int n_indexes;
		int valid = toast_open_indexes(table, AccessShareLock, &indexes, &n_indexes);

		found = copy_chunks(&wanted, table, indexes[valid], pointer.va_valueid,
							stored_value_snapshot(&space));
		toast_close_indexes(indexes, n_indexes, AccessShareLock);
	}
	table_close(table, AccessShareLock);
	if (!found)
	{
		struct varlena *copy =
			detoast_attr_slice((struct varlena *) value, (int32) place, (int32) n);

		memcpy(destination, VARDATA_ANY(copy), n);
		pfree(copy);
	}
}
