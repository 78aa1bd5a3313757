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
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"

#include "server/page_rows.h"

/* What of a page says where its rows lie, mostly. */
#define PAGE_HEAD 192

/* So many pages that lie behind one another make the next one worth a look ahead. */
#define ENOUGH_IN_LINE 3

/* Where the next page was not in the next buffer so often in a row, it is not looked for there until it is found there again. */
#define ENOUGH_MISSED 2

/* Rows of a page over those that a row is fetched ahead. */
#define ROWS_OVER_AHEAD 8

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
	rows->judged = InvalidBlockNumber;
	rows->in_line = 0;
	rows->next = InvalidBuffer;
	rows->missed = 0;
	rows->blocks = 0;
}

static inline void
set_bit(uint64 *bits, OffsetNumber offset)
{
	bits[offset / 64] |= UINT64CONST(1) << offset % 64;
}

static BlockNumber
blocks(mulberry_page_rows *rows)
{
	/* what a snapshot shows lies in the pages that there were when it was taken */
	if (rows->blocks == 0)
		rows->blocks = RelationGetNumberOfBlocks(rows->table);
	return rows->blocks;
}

static void
forget_next(mulberry_page_rows *rows)
{
	if (BufferIsValid(rows->next))
		ReleaseBuffer(rows->next);
	rows->next = InvalidBuffer;
}

/* Pins the page. */
static void
pin_page(mulberry_page_rows *rows)
{
	bool behind = rows->judged != InvalidBlockNumber && rows->block == rows->judged + 1;

	rows->in_line = behind ? rows->in_line + 1 : 0;
	rows->judged = rows->block;
	if (behind && BufferIsValid(rows->next))
	{
		rows->buffer = rows->next;
		rows->next = InvalidBuffer;
	}
	else
		rows->buffer = ReadBuffer(rows->table, rows->block);
}

/*
 * Pins the page behind the one in hand.  Pages that were written or read one after another lie in buffers one after another, mostly,
 * and to look there first spares the table of buffers.
 */
static Buffer
pin_next_page(mulberry_page_rows *rows)
{
	Relation table = rows->table;
	Buffer supposed = rows->buffer + 1;
	Buffer found;

	if (rows->missed < ENOUGH_MISSED && rows->buffer > 0 && rows->buffer < NBuffers &&
		ReadRecentBuffer(relation_file(table), MAIN_FORKNUM, rows->block + 1, supposed))
	{
		pgstat_count_buffer_read(table);
		pgstat_count_buffer_hit(table);
		found = supposed;
	}
	else
		found = ReadBuffer(table, rows->block + 1);
	rows->missed = found == supposed ? 0 : rows->missed + 1;
	return found;
}

/* Where pages are read one after another, has the next one on its way from memory. */
static void
look_ahead(mulberry_page_rows *rows)
{
	forget_next(rows);
	if (rows->in_line < ENOUGH_IN_LINE || rows->block + 1 >= blocks(rows))
		return;
	rows->next = pin_next_page(rows);
	mulberry_prefetch(BufferGetPage(rows->next), PAGE_HEAD);
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
	pin_page(rows);
	LockBuffer(rows->buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(rows->buffer);
	refuse_old_snapshot(rows->snapshot, rows->table, page);
	rows->last = Min(PageGetMaxOffsetNumber(page), MaxHeapTuplesPerPage);
	rows->ahead = Max(rows->last / ROWS_OVER_AHEAD, 1);
	all_shown = PageIsAllVisible(page) && !rows->snapshot->takenDuringRecovery;
	for (OffsetNumber offset = FirstOffsetNumber; !all_shown && offset <= rows->last; offset++)
		__builtin_prefetch((const char *) page + ItemIdGetOffset(PageGetItemId(page, offset)));
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
	look_ahead(rows);
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
	return MULBERRY_ROW_SHOWN;
}

const char *
mulberry_row_ahead(const mulberry_page_rows *rows, const ItemPointerData *place, unsigned *n)
{
	OffsetNumber offset = ItemPointerGetOffsetNumber(place) + rows->ahead;
	Buffer buffer = rows->buffer;
	Page page;
	ItemId item;

	*n = 0;
	if (offset > rows->last)
	{
		offset -= rows->last;
		buffer = rows->next;
	}
	if (!BufferIsValid(buffer))
		return NULL;
	page = BufferGetPage(buffer);
	item = PageGetItemId(page, offset);
	*n = ItemIdGetLength(item);
	return (const char *) page + ItemIdGetOffset(item);
}

bool
mulberry_page_behind(mulberry_page_rows *rows)
{
	if (rows->block + 1 >= blocks(rows))
		return false;
	forget_page(rows);
	rows->block++;
	judge_page(rows);
	return true;
}

void
mulberry_end_page_rows(mulberry_page_rows *rows)
{
	forget_page(rows);
	forget_next(rows);
}
