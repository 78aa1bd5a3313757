/*
 * relations.h
 *	  Where the tables of calls and packets are, and the few steps that reading
 *	  and writing them without the executor has in common.
 */
#ifndef MULBERRY_RELATIONS_H
#define MULBERRY_RELATIONS_H

#include "postgres.h"

#include "access/genam.h"
#include "access/htup.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/*
 * Our classes of advisory locks, the fourth field of their tag; 1 and 2 belong
 * to SQL's pg_advisory_lock().  pg_locks shows them as objsubid.
 */
typedef enum mulberry_lock_class
{
	MULBERRY_LOCK_CALL = 27757,
	MULBERRY_LOCK_PARTITION,
	MULBERRY_LOCK_EVENT_NUMBERS,
	MULBERRY_LOCK_MAINTENANCE,
	MULBERRY_LOCK_AUDIT_CHAIN
} mulberry_lock_class;

/* Oids of what the ingest path opens. */
typedef struct mulberry_relations
{
	Oid calls;
	Oid calls_id_key;	/* (id) */
	Oid calls_name_key; /* (tenant, call_id) */
	Oid call_number;
	Oid gaps;
	Oid gaps_key; /* (call, first) */
	Oid packets;
} mulberry_relations;

/* The oids, from a cache that follows DROP and CREATE EXTENSION. */
extern const mulberry_relations *mulberry_get_relations(void);

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
} mulberry_scan;

extern void
mulberry_begin_scan(mulberry_scan *scan, Relation table, Oid index, ScanKey keys, int nkeys);
extern void mulberry_begin_scan_with(mulberry_scan *scan, Relation table, Oid index, ScanKey keys,
									 int nkeys, Snapshot snapshot);
extern bool mulberry_next_row(mulberry_scan *scan, ScanDirection direction);
extern void mulberry_end_scan(mulberry_scan *scan);

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
 * Refuses to write rows into a table that somebody has given further columns:
 * nothing here knows what belongs there.  What is left of columns that were dropped again does
 * no harm; a row is null there.
 */
extern void mulberry_require_known_columns(Relation table, int known);

/* Deletes all rows of a call from a table that has an index led by the call's id. */
extern void mulberry_delete_rows(Relation table, Oid index, int64 call);

/* Takes a lock of our own until the end of the (sub)transaction. */
extern bool mulberry_lock(mulberry_lock_class lock_class, uint64 key, LOCKMODE mode, bool wait);

/* Becomes the extension's owner; give the result to mulberry_leave_owner(). */
typedef struct mulberry_identity
{
	Oid user;
	int security_context;
} mulberry_identity;

extern mulberry_identity mulberry_become_owner(void);
extern void mulberry_leave_owner(mulberry_identity identity);

/*
 * Refuses to write where writing is not allowed: READ ONLY transactions,
 * recovery, parallel workers.
 */
extern void mulberry_require_writable(const char *function);

#endif /* MULBERRY_RELATIONS_H */
