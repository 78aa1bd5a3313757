/*
 * relations.h
 *	  The few steps that reading and writing tables without the executor has in
 *	  common.
 */
#ifndef MULBERRY_RELATIONS_H
#define MULBERRY_RELATIONS_H

#include "postgres.h"

#include "access/genam.h"
#include "access/htup.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "server/page_rows.h"

/*
 * An index scan that sees the latest state: what is committed and what this
 * transaction wrote, this command's rows included, but nothing of aborted
 * subtransactions.  Only sound under the call lock, which keeps writers out.
 */
typedef struct mulberry_scan
{
	Relation table;
	Relation index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	bool by_page; /* rows of one page are judged at once */
	mulberry_page_rows rows;
	HeapTupleData tuple; /* on a page in hand */
} mulberry_scan;

extern void
mulberry_begin_scan(mulberry_scan *scan, Relation table, Oid index, ScanKey keys, int nkeys);
extern void mulberry_begin_scan_with(mulberry_scan *scan, Relation table, Oid index, ScanKey keys,
									 int nkeys, Snapshot snapshot);
extern bool mulberry_next_row(mulberry_scan *scan, ScanDirection direction);
/* The same where the row is not wanted in the slot; it is there until the next one is asked for. */
extern HeapTuple mulberry_next_tuple(mulberry_scan *scan, ScanDirection direction);
extern void mulberry_end_scan(mulberry_scan *scan);

/*
 * The row at a place, if the latest state has one there, in a new slot that the caller drops; else NULL.  A place
 * that is remembered proves nothing: which row it is has to be looked at.  Sound as a scan is.
 */
extern TupleTableSlot *mulberry_row_at(Relation table, const ItemPointerData *place);

/*
 * Insert, replace and delete rows in a table opened with RowExclusiveLock, index
 * entries included.  Triggers do not fire and constraints other than unique
 * keys are not checked: the caller knows what it writes.  Replacing or deleting a row that the
 * snapshot of a REPEATABLE READ transaction does not show is ERRCODE_T_R_SERIALIZATION_FAILURE, as
 * it is for UPDATE.
 */
extern void mulberry_insert_row(Relation table, HeapTuple tuple);
extern void mulberry_replace_row(Relation table, ItemPointer tid, HeapTuple tuple);
extern void mulberry_delete_row(Relation table, ItemPointer tid);

/*
 * Refuses to write rows into a table that somebody (an update, before the library that belongs
 * to it) has given further columns, or that has not got ours yet: nothing here knows what belongs
 * there.  What is left of columns that were dropped again does
 * no harm; a row is null there.
 */
extern void mulberry_require_known_columns(Relation table, int known);

/* Deletes all rows of a call from a table that has an index led by the call's id. */
extern void mulberry_delete_rows(Relation table, Oid index, int64 call);

#endif /* MULBERRY_RELATIONS_H */
