/*
 * page_rows.c
 *	  Rows of a heap that lie on one page, judged all at once: see page_rows.h.
 *
 * As a sequential scan does it, but for the rows of an index.  A pinned page keeps its rows where they are, and
 * what a snapshot shows does not change.
 */
#include "server/compat.h"

#include "access/heapam.h"
#include "access/xact.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"

#include "server/page_rows.h"

/* Bytes that a processor fetches at once, at least. */
#define CACHE_LINE 64

bool
mulberry_can_judge_pages(Relation table)
{
	return table->rd_tableam == GetHeapamTableAmRoutine() && !IsolationIsSerializable();
}

void
mulberry_begin_page_rows(mulberry_page_rows *rows, Relation table, Snapshot snapshot)
{
	rows->table = table;
	rows->snapshot = snapshot;
	rows->block = InvalidBlockNumber;
	rows->dense = false;
	rows->asked = 0;
	rows->buffer = InvalidBuffer;
	rows->blocks = 0;
}

static inline void
set_bit(uint64 *bits, OffsetNumber offset)
{
	bits[offset / 64] |= UINT64CONST(1) << offset % 64;
}

static inline bool
has_bit(const uint64 *bits, OffsetNumber offset)
{
	return (bits[offset / 64] >> offset % 64 & 1) != 0;
}

/* Nothing is said of a place that leads to another one (HOT), and of rows that have a newer version on the page. */
static void
judge_page(mulberry_page_rows *rows)
{
	Page page;
	bool all_shown;

	memset(rows->shown, 0, sizeof(rows->shown));
	memset(rows->hidden, 0, sizeof(rows->hidden));
	rows->buffer = ReadBuffer(rows->table, rows->block);
	LockBuffer(rows->buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(rows->buffer);
	refuse_old_snapshot(rows->snapshot, rows->table, page);
	rows->last = Min(PageGetMaxOffsetNumber(page), MaxHeapTuplesPerPage);
	all_shown = PageIsAllVisible(page) && !rows->snapshot->takenDuringRecovery;
	for (OffsetNumber offset = FirstOffsetNumber; offset <= rows->last; offset++)
	{
		ItemId item = PageGetItemId(page, offset);
		HeapTupleData tuple;

		if (!ItemIdIsNormal(item))
			continue;
		if (all_shown)
		{
			set_bit(rows->shown, offset);
			continue;
		}
		tuple.t_tableOid = RelationGetRelid(rows->table);
		tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
		tuple.t_len = ItemIdGetLength(item);
		ItemPointerSet(&tuple.t_self, rows->block, offset);
		if (HeapTupleSatisfiesVisibility(&tuple, rows->snapshot, rows->buffer))
			set_bit(rows->shown, offset);
		else if (!HeapTupleHeaderIsHotUpdated(tuple.t_data))
			set_bit(rows->hidden, offset);
	}
	LockBuffer(rows->buffer, BUFFER_LOCK_UNLOCK);
}

static void
forget_page(mulberry_page_rows *rows)
{
	if (BufferIsValid(rows->buffer))
		ReleaseBuffer(rows->buffer);
	rows->buffer = InvalidBuffer;
}

/* The row at a place of the page in hand. */
static inline void
take_row(const mulberry_page_rows *rows, OffsetNumber offset, HeapTuple tuple)
{
	Page page = BufferGetPage(rows->buffer);
	ItemId item = PageGetItemId(page, offset);

	tuple->t_tableOid = RelationGetRelid(rows->table);
	tuple->t_data = (HeapTupleHeader) PageGetItem(page, item);
	tuple->t_len = ItemIdGetLength(item);
	ItemPointerSet(&tuple->t_self, rows->block, offset);
}

/*
 * Has the processor fetch the row behind one while the caller works on that: from row to row one goes down a page, which no
 * processor expects.  Where the page changes meanwhile, nothing but time is lost.
 */
static inline void
fetch_row_behind(const mulberry_page_rows *rows, OffsetNumber offset)
{
	Page page = BufferGetPage(rows->buffer);
	const char *row;
	ItemId item;

	if (offset >= rows->last)
		return;
	item = PageGetItemId(page, OffsetNumberNext(offset));
	row = (const char *) page + ItemIdGetOffset(item);
	for (unsigned i = 0; i < ItemIdGetLength(item); i += CACHE_LINE)
		__builtin_prefetch(row + i);
}

mulberry_page_answer
mulberry_page_row(mulberry_page_rows *rows, const ItemPointerData *place, HeapTuple tuple)
{
	OffsetNumber offset = ItemPointerGetOffsetNumber(place);

	if (ItemPointerGetBlockNumber(place) != rows->block)
	{
		forget_page(rows);
		rows->block = ItemPointerGetBlockNumber(place);
		rows->dense = rows->asked > 1;
		rows->asked = 0;
	}
	rows->asked++;
	if (rows->asked == 1 && !rows->dense)
		return MULBERRY_ROW_UNKNOWN;
	if (!BufferIsValid(rows->buffer))
		judge_page(rows);
	if (offset > MaxHeapTuplesPerPage || !has_bit(rows->shown, offset))
		return offset <= MaxHeapTuplesPerPage && has_bit(rows->hidden, offset)
				   ? MULBERRY_ROW_HIDDEN
				   : MULBERRY_ROW_UNKNOWN;
	take_row(rows, offset, tuple);
	fetch_row_behind(rows, offset);
	return MULBERRY_ROW_SHOWN;
}

bool
mulberry_row_behind(mulberry_page_rows *rows, HeapTuple tuple)
{
	OffsetNumber offset = OffsetNumberNext(ItemPointerGetOffsetNumber(&tuple->t_self));

	if (offset > rows->last)
	{
		/* what a snapshot shows lies in the pages that there were when it was taken */
		if (rows->blocks == 0)
			rows->blocks = RelationGetNumberOfBlocks(rows->table);
		if (rows->block + 1 >= rows->blocks)
			return false;
		forget_page(rows);
		rows->block++;
		judge_page(rows);
		offset = FirstOffsetNumber;
	}
	if (offset > rows->last || !has_bit(rows->shown, offset))
		return false;
	take_row(rows, offset, tuple);
	return true;
}

void
mulberry_end_page_rows(mulberry_page_rows *rows)
{
	forget_page(rows);
}
