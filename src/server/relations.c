/*
 * relations.c
 *	  Direct access to tables: scans of the latest state, and writes through the
 *	  access methods.
 *
 * This file knows tables and rows.  What a row means, which locks make a step
 * sound, and who may take it is the business of its callers.
 */
#include "server/compat.h"

#include "access/heapam.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/fmgroids.h"

#include "server/relations.h"

void
mulberry_begin_scan(mulberry_scan *scan, Relation table, Oid index, ScanKey keys, int nkeys)
{
	mulberry_begin_scan_with(scan, table, index, keys, nkeys, SnapshotSelf);
}

void
mulberry_begin_scan_with(mulberry_scan *scan, Relation table, Oid index, ScanKey keys, int nkeys,
						 Snapshot snapshot)
{
	scan->table = table;
	scan->index = index_open(index, AccessShareLock);
	scan->slot = table_slot_create(table, NULL);
	scan->scan = begin_index_scan(table, scan->index, snapshot, nkeys);
	index_rescan(scan->scan, keys, nkeys, NULL, 0);
	/* rows of the latest state may change from one to the next */
	scan->by_page = IsMVCCSnapshot(snapshot) && mulberry_can_judge_pages(table);
	mulberry_begin_page_rows(&scan->rows, table, snapshot);
}

/* Moves to the next row, which is then in the slot or, when the answer is MULBERRY_ROW_SHOWN, on the page in hand. */
static inline bool
advance(mulberry_scan *scan, ScanDirection direction, mulberry_page_answer *answer)
{
	ItemPointer place;

	*answer = MULBERRY_ROW_UNKNOWN;
	if (!scan->by_page)
		return index_getnext_slot(scan->scan, direction, scan->slot);
	while ((place = index_getnext_tid(scan->scan, direction)) != NULL)
	{
		*answer = mulberry_page_row(&scan->rows, place, &scan->tuple);
		if (*answer == MULBERRY_ROW_SHOWN)
		{
			unsigned n;
			const char *ahead = mulberry_row_ahead(&scan->rows, place, &n);

			mulberry_prefetch(ahead, n);
			pgstat_count_heap_fetch(scan->index);
			return true;
		}
		if (*answer == MULBERRY_ROW_UNKNOWN && index_fetch_heap(scan->scan, scan->slot))
			return true;
	}
	return false;
}

bool
mulberry_next_row(mulberry_scan *scan, ScanDirection direction)
{
	BufferHeapTupleTableSlot *slot = (BufferHeapTupleTableSlot *) scan->slot;
	mulberry_page_answer answer;

	if (!advance(scan, direction, &answer))
		return false;
	if (answer == MULBERRY_ROW_SHOWN)
	{
		slot->base.tupdata = scan->tuple;
		ExecStoreBufferHeapTuple(&slot->base.tupdata, scan->slot, scan->rows.buffer);
	}
	return true;
}

HeapTuple
mulberry_next_tuple(mulberry_scan *scan, ScanDirection direction)
{
	mulberry_page_answer answer;
	bool copied;

	if (!advance(scan, direction, &answer))
		return NULL;
	/* every table of ours is a heap, whose slots have the row itself */
	return answer == MULBERRY_ROW_SHOWN ? &scan->tuple
										: ExecFetchSlotHeapTuple(scan->slot, false, &copied);
}

void
mulberry_end_scan(mulberry_scan *scan)
{
	mulberry_end_page_rows(&scan->rows);
	index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	index_close(scan->index, NoLock);
}

TupleTableSlot *
mulberry_row_at(Relation table, const ItemPointerData *place)
{
	ItemPointerData tid = *place;
	TupleTableSlot *slot;

	/* The table may have been truncated since. */
	if (ItemPointerGetBlockNumber(&tid) >= RelationGetNumberOfBlocks(table))
		return NULL;
	slot = table_slot_create(table, NULL);
	if (table_tuple_fetch_row_version(table, &tid, SnapshotSelf, slot))
		return slot;
	ExecDropSingleTupleTableSlot(slot);
	return NULL;
}

/*
 * Adds the index entries of a row, whatever indexes the table has: an
 * administrator may have added some, partial or on expressions.
 */
static void
insert_index_entries(Relation table, HeapTuple tuple, bool only_summarizing)
{
	EState *estate = CreateExecutorState();
	ResultRelInfo *result = makeNode(ResultRelInfo);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(table), &TTSOpsHeapTuple);

	InitResultRelInfo(result, table, 0, NULL, 0);
	ExecOpenIndices(result, false);
	ExecStoreHeapTuple(tuple, slot, false);
	slot->tts_tableOid = RelationGetRelid(table);
	if (result->ri_NumIndices > 0)
		insert_index_tuples(result, slot, estate, only_summarizing);
	ExecDropSingleTupleTableSlot(slot);
	ExecCloseIndices(result);
	FreeExecutorState(estate);
}

void
mulberry_require_known_columns(Relation table, int known)
{
	TupleDesc desc = RelationGetDescr(table);

	if (desc->natts < known)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("table \"%s\" lacks columns that this version of mulberry writes",
							   RelationGetRelationName(table)),
						errhint("ALTER EXTENSION mulberry UPDATE.")));
	for (int i = known; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" has a column \"%s\" that mulberry does not know",
							RelationGetRelationName(table), NameStr(attribute->attname)),
					 errhint("Drop the column, and keep what it was for in a table of your own.")));
	}
}

void
mulberry_insert_row(Relation table, HeapTuple tuple)
{
	heap_insert(table, tuple, GetCurrentCommandId(true), 0, NULL);
	insert_index_entries(table, tuple, false);
}

/*
 * The snapshot that must show a row before it may be changed: none at READ
 * COMMITTED, where the latest row is the right one.
 */
static Snapshot
crosscheck_snapshot(void)
{
	return IsolationUsesXactSnapshot() ? GetTransactionSnapshot() : InvalidSnapshot;
}

static void
require_changed(TM_Result result, Relation table)
{
	if (result == TM_Ok)
		return;
	if (IsolationUsesXactSnapshot() && (result == TM_Updated || result == TM_Deleted))
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("could not serialize access due to concurrent update")));
	/* The call lock keeps every writer out, so this is a row changed by hand with triggers off. */
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("row of table \"%s\" was changed by somebody who does not hold the call lock",
					RelationGetRelationName(table))));
}

void
mulberry_replace_row(Relation table, ItemPointer tid, HeapTuple tuple)
{
	TM_FailureData failure;
	TU_UpdateIndexes indexes;

	require_changed(update_heap_tuple(table, tid, tuple, GetCurrentCommandId(true),
									  crosscheck_snapshot(), &failure, &indexes),
					table);
	if (indexes != TU_None)
		insert_index_entries(table, tuple, indexes == TU_Summarizing);
}

void
mulberry_delete_row(Relation table, ItemPointer tid)
{
	TM_FailureData failure;

	require_changed(heap_delete(table, tid, GetCurrentCommandId(true), crosscheck_snapshot(), true,
								&failure, false),
					table);
}

void
mulberry_delete_rows(Relation table, Oid index, int64 call)
{
	ScanKeyData key;
	mulberry_scan scan;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(call));
	mulberry_begin_scan(&scan, table, index, &key, 1);
	while (mulberry_next_row(&scan, ForwardScanDirection))
	{
		CHECK_FOR_INTERRUPTS();
		mulberry_delete_row(table, &scan.slot->tts_tid);
	}
	mulberry_end_scan(&scan);
	CommandCounterIncrement();
}
