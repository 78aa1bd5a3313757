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
#include "storage/buf.h"
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
 * The row behind a shown one on the page in hand, or the first one of the next page, which is in hand then.  False when nothing is
 * shown there, or the place leads to another one: then the tuple is of no use any more.
 */
extern bool mulberry_row_behind(mulberry_page_rows *rows, HeapTuple tuple);

extern void mulberry_end_page_rows(mulberry_page_rows *rows);

#endif /* MULBERRY_PAGE_ROWS_H */
