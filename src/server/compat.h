/*
 * compat.h
 *	  The one place that knows how server versions differ: elsewhere nothing asks
 *	  for a version, which make lint sees to.  What a newer server wants has a
 *	  name here that every version can follow.
 */
#ifndef MULBERRY_COMPAT_H
#define MULBERRY_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "Mulberry needs PostgreSQL 15 or later"
#endif

#include "access/heapam.h"
#include "access/toast_internals.h"
#include "nodes/parsenodes.h"
#include "nodes/tidbitmap.h"

/* 16 made a function of it, which takes no pointer for a Datum; so mistakes are seen on 15 as well. */
#if PG_VERSION_NUM < 160000
#undef DatumGetPointer
static inline Pointer
DatumGetPointer(Datum value)
{
	return (Pointer) value;
}
#endif

/* 16 moved the macros of variable-length values out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 16 asks for the owners of all kinds of objects by one function. */
#if PG_VERSION_NUM < 160000
#define object_ownercheck(catalog, oid, role)                                                      \
	((catalog) == DatabaseRelationId ? pg_database_ownercheck(oid, role)                           \
									 : pg_extension_ownercheck(oid, role))
#endif

/*
 * 16 says which indexes need an entry for the new version of a row: after a HOT
 * update those that summarize blocks (BRIN) may, whereas before such a column
 * did not allow HOT.
 */
#if PG_VERSION_NUM < 160000
typedef enum TU_UpdateIndexes
{
	TU_None,
	TU_All,
	TU_Summarizing
} TU_UpdateIndexes;
#define insert_index_tuples(result, slot, estate, only_summarizing)                                \
	ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL)
#else
#define insert_index_tuples(result, slot, estate, only_summarizing)                                \
	ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL, only_summarizing)
#endif

/* Waits for nobody but who changes the row at the moment. */
static inline TM_Result
update_heap_tuple(Relation table, ItemPointer tid, HeapTuple tuple, CommandId command,
				  Snapshot crosscheck, TM_FailureData *failure, TU_UpdateIndexes *indexes)
{
	LockTupleMode mode;
#if PG_VERSION_NUM >= 160000
	return heap_update(table, tid, tuple, command, crosscheck, true, failure, &mode, indexes);
#else
	TM_Result result = heap_update(table, tid, tuple, command, crosscheck, true, failure, &mode);

	*indexes = HeapTupleIsHeapOnly(tuple) ? TU_None : TU_All;
	return result;
#endif
}

/* 16 renames what says in which file a table lies. */
#if PG_VERSION_NUM >= 160000
#define relation_file(relation) ((relation)->rd_locator)
#else
#define relation_file(relation) ((relation)->rd_node)
#endif

/* 17 puts the local transaction id into a struct. */
#if PG_VERSION_NUM >= 170000
#define my_local_transaction() (MyProc->vxid.lxid)
#else
#define my_local_transaction() (MyProc->lxid)
#endif

/* 17 has sets of wait events belong to a resource owner; with none they live until they are freed. */
#if PG_VERSION_NUM >= 170000
#define create_wait_event_set(n) CreateWaitEventSet(NULL, n)
#else
#define create_wait_event_set(n) CreateWaitEventSet(CurrentMemoryContext, n)
#endif

/* 17 lets an extension name what its processes wait for, in pg_stat_activity. */
#if PG_VERSION_NUM >= 170000
#define name_wait_event(name) WaitEventExtensionNew(name)
#else
#define name_wait_event(name) PG_WAIT_EXTENSION
#endif

/* 17 has one more setting that ends a session after some time; to be used in a list. */
#if PG_VERSION_NUM >= 170000
#define PIN_TRANSACTION_TIMEOUT { "transaction_timeout", "0" },
#else
#define PIN_TRANSACTION_TIMEOUT
#endif

/* 17 keeps rows for a snapshot however old it is. */
#if PG_VERSION_NUM >= 170000
#define refuse_old_snapshot(snapshot, table, page) ((void) 0)
#else
#define refuse_old_snapshot(snapshot, table, page) TestForOldSnapshot(snapshot, table, page)
#endif

/* The snapshot that values stored out of line are read with; 18 has one for all. */
static inline Snapshot
stored_value_snapshot(SnapshotData *space)
{
#if PG_VERSION_NUM >= 180000
	(void) space;
	return get_toast_snapshot();
#else
	memset(space, 0, sizeof(*space)); /* it sets no more than the server's own reading looks at */
	init_toast_snapshot(space);
	return space;
#endif
}

/* 18 counts what an index scan does, for EXPLAIN. */
#if PG_VERSION_NUM >= 180000
#define begin_index_scan(table, index, snapshot, nkeys)                                            \
	index_beginscan(table, index, snapshot, NULL, nkeys, 0)
#else
#define begin_index_scan(table, index, snapshot, nkeys)                                            \
	index_beginscan(table, index, snapshot, nkeys, 0)
#endif

#if PG_VERSION_NUM >= 180000
#define begin_bitmap_scan(index, snapshot, nkeys)                                                  \
	index_beginscan_bitmap(index, snapshot, NULL, nkeys)
#else
#define begin_bitmap_scan(index, snapshot, nkeys) index_beginscan_bitmap(index, snapshot, nkeys)
#endif

/* 18 reads a bitmap by other functions. */
typedef struct mulberry_bitmap_pages
{
#if PG_VERSION_NUM >= 180000
	TBMPrivateIterator *iterator;
	OffsetNumber offsets[MaxHeapTuplesPerPage];
#else
	TBMIterator *iterator;
	const OffsetNumber *offsets;
#endif
	BlockNumber block;
	int noffsets; /* places on it that are in the bitmap */
	bool lossy;	  /* not known which: any may be */
	bool recheck;
} mulberry_bitmap_pages;

static inline void
begin_bitmap_pages(mulberry_bitmap_pages *pages, TIDBitmap *bitmap)
{
#if PG_VERSION_NUM >= 180000
	pages->iterator = tbm_begin_private_iterate(bitmap);
#else
	pages->iterator = tbm_begin_iterate(bitmap);
#endif
}

/* The next page in the order of blocks; false: there is none. */
static inline bool
next_bitmap_page(mulberry_bitmap_pages *pages)
{
#if PG_VERSION_NUM >= 180000
	TBMIterateResult page;

	if (!tbm_private_iterate(pages->iterator, &page))
		return false;
	pages->lossy = page.lossy;
	pages->noffsets =
		page.lossy ? 0 : tbm_extract_page_tuple(&page, pages->offsets, lengthof(pages->offsets));
	pages->block = page.blockno;
	pages->recheck = page.recheck;
#else
	const TBMIterateResult *page = tbm_iterate(pages->iterator);

	if (page == NULL)
		return false;
	pages->lossy = page->ntuples < 0;
	pages->noffsets = Max(page->ntuples, 0);
	pages->offsets = page->offsets;
	pages->block = page->blockno;
	pages->recheck = page->recheck;
#endif
	return true;
}

static inline void
end_bitmap_pages(mulberry_bitmap_pages *pages)
{
#if PG_VERSION_NUM >= 180000
	tbm_end_private_iterate(pages->iterator);
#else
	tbm_end_iterate(pages->iterator);
#endif
}

/* 18 has it before the function. */
#ifndef pg_noreturn
#define pg_noreturn pg_attribute_noreturn()
#endif

/* 18 shows a library's name and version in pg_get_loaded_modules(). */
#ifndef PG_MODULE_MAGIC_EXT
#define PG_MODULE_MAGIC_EXT(...) PG_MODULE_MAGIC
#endif

/* 16 keeps apart from the range table as whom a query may use which relation. */
#if PG_VERSION_NUM >= 160000
#define relations_as_users(estate) ((estate)->es_rteperminfos)
#else
#define relations_as_users(estate) ((estate)->es_range_table)
#endif

/* As whom it does (invalid: as its user) by an element of that list. */
static inline Oid
relation_as_user(const void *element, Oid *relation)
{
#if PG_VERSION_NUM >= 160000
	const RTEPermissionInfo *used = element;
#else
	const RangeTblEntry *used = element;
#endif

	*relation = used->relid;
	return used->checkAsUser;
}

#endif /* MULBERRY_COMPAT_H */
