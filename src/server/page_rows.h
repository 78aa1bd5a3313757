/*
 * page_rows.h
 *	  Rows of a heap that lie on one page, judged all at once.
 *
 * Who fetches a row by its place pays for locking its page and for judging that one row.  Who reads many rows of a
 * page one after another, as they were written, pays for both once a page here.
 */
#ifndef MULBERRY_PAGE_ROWS_H
#define MULBERRY_PAGE_ROWS_H

#include "postgres.h"

#include "access/htup.h"
#include "access/htup_details.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

typedef struct mulberry_page_rows
{
	Relation table;
	Snapshot snapshot;
	BlockNumber block;	/* of the place asked for last */
	bool dense;			/* the block before was asked for more than once */
	int asked;			/* how often this one was */
	Buffer buffer;		/* it, pinned; invalid: it was not judged */
	OffsetNumber last;	/* place on it */
	OffsetNumber ahead; /* so many rows behind another one lies the one that is fetched ahead */
	BlockNumber judged; /* page that was in hand last */
	int in_line;		/* so many pages were in hand one behind another */
	Buffer next;		/* the page behind it, pinned; invalid: it was not asked for */
	int missed;			/* times in a row that such a page did not lie in the next buffer */
	BlockNumber blocks; /* of the table, once they were asked for; 0 */
	uint64 shown[(MaxHeapTuplesPerPage + 64) /
				 64]; /* a bit for each place on it whose row the snapshot shows */
	uint64 hidden[(MaxHeapTuplesPerPage + 64) / 64]; /* ... and for each whose row it does not */
} mulberry_page_rows;

typedef enum mulberry_page_answer
{
	MULBERRY_ROW_SHOWN,
	MULBERRY_ROW_HIDDEN,
	MULBERRY_ROW_UNKNOWN /* it has to be fetched in the ordinary way */
} mulberry_page_answer;

/*
 * Whether rows can be judged so: in a heap, and without what a serializable transaction has to note of each row
 * that it reads.
 */
extern bool mulberry_can_judge_pages(Relation table);

extern void mulberry_begin_page_rows(mulberry_page_rows *rows, Relation table, Snapshot snapshot);

/*
 * Asks for the row that an index has at a place; the tuple, if it is shown, stays where it is until another page is
 * asked for.  A page is judged when it is asked for twice in a row or the one before was, so that rows that lie far
 * apart cost no more than ever.
 */
extern mulberry_page_answer
mulberry_page_row(mulberry_page_rows *rows, const ItemPointerData *place, HeapTuple tuple);

/*
 * What lies some way behind a shown row, n bytes of it: for the processor to fetch while the caller works on that row, since from row to
 * row one goes down a page, which no processor expects.  It may change meanwhile; 0 bytes: not known.
 */
extern const char *
mulberry_row_ahead(const mulberry_page_rows *rows, const ItemPointerData *place, unsigned *n);

/* Has the page behind the one in hand in hand; false when there was none when the snapshot was taken. */
extern bool mulberry_page_behind(mulberry_page_rows *rows);

/* The row at a place of the page in hand; NULL when nothing is shown there, or the place leads to another one. */
static inline HeapTupleHeader
mulberry_row_at_offset(const mulberry_page_rows *rows, OffsetNumber offset)
{
	Page page = BufferGetPage(rows->buffer);

	if (offset > rows->last || (rows->shown[offset / 64] >> offset % 64 & 1) == 0)
		return NULL;
	return (HeapTupleHeader) PageGetItem(page, PageGetItemId(page, offset));
}

/* From the page in hand to the page behind it; 0: not known. */
static inline ptrdiff_t
mulberry_distance_behind(const mulberry_page_rows *rows)
{
	if (!BufferIsValid(rows->next))
		return 0;
	return (const char *) BufferGetPage(rows->next) - (const char *) BufferGetPage(rows->buffer);
}

/* Bytes that a processor fetches at once, at least. */
#define MULBERRY_CACHE_LINE 64

/*
 * Has the processor fetch bytes while the caller works on others.  Whether they are what they are thought to be makes no difference but
 * for the time.  Inlined always, since compilers take a function that does no more for one without any effect and leave its calls out.
 */
static pg_attribute_always_inline void
mulberry_prefetch(const char *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i += MULBERRY_CACHE_LINE)
		__builtin_prefetch(bytes + i);
}

extern void mulberry_end_page_rows(mulberry_page_rows *rows);

#endif /* MULBERRY_PAGE_ROWS_H */
