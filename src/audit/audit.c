/*
 * audit.c
 *	  The audit log as an append-only table, and its one writer of numbers and hashes.
 *
 * Rows are inserted by the transactions that they tell of, without number and hash, so that
 * these do not queue up.  link_audit() gives both after commit, under a lock, in the order of ids: whoever
 * begins after a row was committed stands behind it.  The notifier calls it when rows
 * were committed; without a notifier whoever wants to see the chain does.
 *
 * What a broken chain looks like is audit_chain.c's.
 */
#include "server/compat.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "audit/audit.h"
#include "server/locks.h"
#include "server/monotonic.h"
#include "server/plans.h"
#include "server/shared_state.h"
#include "server/xact.h"

PG_FUNCTION_INFO_V1(mulberry_guard_audit);
PG_FUNCTION_INFO_V1(mulberry_link_audit);
PG_FUNCTION_INFO_V1(mulberry_await_audit_links);
PG_FUNCTION_INFO_V1(mulberry_erase_audit);

#define MAX_BATCH 10000	   /* rows that link_audit() takes at once */
#define AWAIT_TIMEOUT 1000 /* ms that readers wait for somebody else's linking */
#define AWAIT_STEP 5	   /* ms between looks */

/* Columns of "audit", by position. */
enum
{
	Anum_audit_seq = 12,
	Anum_audit_hash,
	Natts_audit = Anum_audit_hash
};

/* What this backend may do to rows that are there, only while it does it. */
typedef enum permitted_change
{
	NOTHING,
	LINKING, /* number and hash of rows that have none */
	ERASING
} permitted_change;

static permitted_change permitted = NOTHING;

/* Number and hash of the last row of a chain; none yet: 0 and zeros. */
typedef struct chain_head
{
	int64 seq;
	uint8 hash[MB_SHA256_SIZE];
} chain_head;

static int64 link_batch(int max_rows, const pg_uuid_t *tenant, bool careful);
static int64 link_singly(void);
static bool hash_row(HeapTuple tuple, TupleDesc desc, int64 id, Datum tenant, chain_head *head,
					 StringInfo buffer, bool careful);
static void set_row_aside(int64 id, Datum tenant, const ErrorData *error);
static bool lock_tenant(const pg_uuid_t *tenant);
static void read_head(chain_head *head, Datum tenant);
static void write_head(const chain_head *head, Datum tenant);
static void write_link(int64 id, const chain_head *link);
static bool is_linking(HeapTuple old, HeapTuple new, TupleDesc desc);
static bool lock_chain(bool wait);
static bool unlinked_since(int64 *last_id);
static void complain_of_unlinked(void);

/*
 * Trigger on "audit": before INSERT, UPDATE and DELETE of each row, and before
 * TRUNCATE.
 */
Datum
mulberry_guard_audit(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc desc;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("guard_audit() is a trigger before INSERT, UPDATE, DELETE and TRUNCATE")));
	desc = RelationGetDescr(trigger->tg_relation);
	if (desc->natts < Natts_audit)
		elog(ERROR, "guard_audit() is for table \"audit\"");

	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
	{
		mulberry_audit_require_renderable(trigger->tg_trigtuple, desc);
		if (heap_attisnull(trigger->tg_trigtuple, Anum_audit_seq, desc))
			mulberry_xact_at_commit(MULBERRY_COMMIT_LINK_AUDIT);
		return PointerGetDatum(trigger->tg_trigtuple);
	}
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) && permitted == LINKING &&
		is_linking(trigger->tg_trigtuple, trigger->tg_newtuple, desc))
		return PointerGetDatum(trigger->tg_newtuple);
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event) && permitted == ERASING)
		return PointerGetDatum(trigger->tg_trigtuple);
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("rows of the audit log cannot be changed or removed")));
}

/* Whether nothing but number and hash is set, where there was none. */
static bool
is_linking(HeapTuple old, HeapTuple new, TupleDesc desc)
{
	if (!heap_attisnull(old, Anum_audit_seq, desc))
		return false;
	for (int column = 1; column <= desc->natts; column++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, column - 1);
		bool old_null, new_null;
		Datum old_value, new_value;

		if (column == Anum_audit_seq || column == Anum_audit_hash || attribute->attisdropped)
			continue;
		old_value = heap_getattr(old, column, desc, &old_null);
		new_value = heap_getattr(new, column, desc, &new_null);
		if (old_null != new_null ||
			(!old_null &&
			 !datum_image_eq(old_value, new_value, attribute->attbyval, attribute->attlen)))
			return false;
	}
	return true;
}

/*
 * link_audit(max_rows integer, only_tenant uuid, careful boolean): links what is committed and is not
 * yet, of one tenant or (null) of all, the oldest first, and
 * returns how many rows that were.  When careful, a row that cannot be hashed is set aside, and the
 * next one takes its place in the chain; otherwise it is an error.  Until the end of the transaction nobody else can link; so
 * whoever calls this should commit soon.
 */
Datum
mulberry_link_audit(PG_FUNCTION_ARGS)
{
	int64 last_id = PG_INT64_MAX;
	int64 linked = 0;
	int max_rows;

	mulberry_require_writable("link_audit()");
	if (IsolationUsesXactSnapshot())
		ereport(
			ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg(
				 "the audit log cannot be linked in a REPEATABLE READ or SERIALIZABLE transaction"),
			 errdetail("Its snapshot may be older than the end of the log.")));
	max_rows = PG_ARGISNULL(0) ? MAX_BATCH : PG_GETARG_INT32(0);
	if (max_rows < 1 || max_rows > MAX_BATCH)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("max_rows must be between 1 and %d", MAX_BATCH)));

	SPI_connect();
	if (unlinked_since(&last_id))
	{
		(void) lock_chain(/* wait */ true);
		linked = link_batch(max_rows, PG_ARGISNULL(1) ? NULL : PG_GETARG_UUID_P(1),
							!PG_ARGISNULL(2) && PG_GETARG_BOOL(2));
	}
	SPI_finish();
	PG_RETURN_INT64(linked);
}

/*
 * The lock is held.  Rows come tenant by tenant.  The commit is durable, because somebody may
 * keep the hash of a head that he was shown.
 */
static int64
link_batch(int max_rows, const pg_uuid_t *only_tenant, bool careful)
{
	static mulberry_statement statement = {
		"WITH fresh AS MATERIALIZED (SELECT * FROM "
		"mulberry_internal.audit u WHERE u.seq IS NULL "
		"AND NOT mulberry_internal.is_set_aside('linking', u.id::text) "
		"AND ($2 IS NULL OR u.tenant = $2) ORDER BY u.id LIMIT $1) "
		"SELECT " MULBERRY_AUDIT_COLUMNS " FROM fresh a ORDER BY a.tenant, a.id",
		2,
		{ INT4OID, UUIDOID }
	};
	MemoryContext row_context = AllocSetContextCreate(
		CurrentMemoryContext, "mulberry row of the audit log", ALLOCSET_DEFAULT_SIZES);
	Datum values[2] = { Int32GetDatum(max_rows), UUIDPGetDatum(only_tenant) };
	SPITupleTable *rows;
	StringInfoData buffer;
	chain_head head = { 0 };
	Datum tenant = (Datum) 0;
	uint64 count;
	int64 linked = 0;

	initStringInfo(&buffer);
	/* not read-only: takes a snapshot of its own, after the lock */
	mulberry_statement_run(&statement, values, only_tenant ? NULL : " n");
	rows = SPI_tuptable;
	count = SPI_processed;
	for (uint64 i = 0; i < count; i++)
	{
		HeapTuple tuple = rows->vals[i];
		bool isnull;
		Datum of = SPI_getbinval(tuple, rows->tupdesc, MULBERRY_AUDIT_TENANT, &isnull);
		int64 id = DatumGetInt64(SPI_getbinval(tuple, rows->tupdesc, MULBERRY_AUDIT_ID, &isnull));
		MemoryContext before;
		bool hashed;

		CHECK_FOR_INTERRUPTS();
		if (i == 0 || memcmp(DatumGetUUIDP(of), DatumGetUUIDP(tenant), UUID_LEN) != 0)
		{
			if (head.seq > 0)
				write_head(&head, tenant);
			tenant = of;
			(void) lock_tenant(DatumGetUUIDP(tenant));
			read_head(&head, tenant);
		}
		before = MemoryContextSwitchTo(row_context);
		hashed = hash_row(tuple, rows->tupdesc, id, tenant, &head, &buffer, careful);
		MemoryContextSwitchTo(before);
		MemoryContextReset(row_context);
		if (!hashed)
			continue;
		write_link(id, &head);
		linked++;
	}
	if (linked > 0)
	{
		if (head.seq > 0)
			write_head(&head, tenant);
		mulberry_require_durable_commit();
	}
	SPI_freetuptable(rows);
	MemoryContextDelete(row_context);
	return linked;
}

/*
 * Puts the hash of a row into the head, under the next number.  False when that is not possible and
 * the row is set aside: it stays outside the chain.
 */
static bool
hash_row(HeapTuple tuple, TupleDesc desc, int64 id, Datum tenant, chain_head *head,
		 StringInfo buffer, bool careful)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	uint8 hash[MB_SHA256_SIZE];
	ErrorData *volatile error = NULL;

	if (!careful)
		mulberry_audit_hash(tuple, desc, head->seq + 1, head->hash, buffer, hash);
	else
	{
		BeginInternalSubTransaction(NULL);
		MemoryContextSwitchTo(context);
		PG_TRY();
		{
			mulberry_audit_hash(tuple, desc, head->seq + 1, head->hash, buffer, hash);
			ReleaseCurrentSubTransaction();
		}
		PG_CATCH();
		{
			MemoryContextSwitchTo(context);
			error = CopyErrorData();
			FlushErrorState();
			RollbackAndReleaseCurrentSubTransaction();
		}
		PG_END_TRY();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	if (error != NULL)
	{
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		set_row_aside(id, tenant, error);
		return false;
	}
	head->seq++;
	memcpy(head->hash, hash, MB_SHA256_SIZE);
	return true;
}

static void
set_row_aside(int64 id, Datum tenant, const ErrorData *error)
{
	static mulberry_statement statement = {
		"SELECT mulberry_internal.set_aside('linking', $1::text, $2, $3, $4)",
		4,
		{ INT8OID, UUIDOID, TEXTOID, TEXTOID }
	};
	Datum values[4];

	values[0] = Int64GetDatum(id);
	values[1] = tenant;
	values[2] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[3] = CStringGetTextDatum(error->message ? error->message : "unknown error");
	mulberry_statement_run(&statement, values, NULL);
	SPI_freetuptable(SPI_tuptable);
}

/* For a session that reads the log: each tenant by itself. */
static int64
link_singly(void)
{
	static mulberry_statement statement = { "SELECT mulberry_internal.link_audit_soon($1, true)",
											1,
											{ INT4OID } };
	Datum value = Int32GetDatum(MAX_BATCH);
	int64 linked;

	mulberry_statement_run(&statement, &value, NULL);
	linked = mulberry_result_int64(0, 1);
	SPI_freetuptable(SPI_tuptable);
	return linked;
}

/*
 * A chain that has rows and no head is not begun anew: a dump is being restored, or somebody
 * has been at work.
 */
static void
read_head(chain_head *head, Datum tenant)
{
	static mulberry_statement statement = {
		"SELECT h.last_seq, h.hash, EXISTS (SELECT FROM mulberry_internal.audit a "
		"WHERE a.tenant = t.id AND a.seq IS NOT NULL) "
		"FROM (SELECT $1) t (id) LEFT JOIN mulberry_internal.audit_heads h ON h.tenant = t.id",
		1,
		{ UUIDOID }
	};
	HeapTuple tuple;
	Datum value;
	bool isnull;

	if (mulberry_statement_run(&statement, &tenant, NULL) != 1)
		elog(ERROR, "could not read the head of the audit log");
	tuple = SPI_tuptable->vals[0];
	memset(head, 0, sizeof(*head));
	value = SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
	{
		head->seq = DatumGetInt64(value);
		memcpy(head->hash,
			   mulberry_audit_stored_hash(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &isnull)),
			   MB_SHA256_SIZE);
	}
	else if (DatumGetBool(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 3, &isnull)))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("the head of the audit log of tenant %s is missing",
							   DatumGetCString(DirectFunctionCall1(uuid_out, tenant)))));
	SPI_freetuptable(SPI_tuptable);
}

static bytea *
bytea_of_hash(const uint8 hash[MB_SHA256_SIZE])
{
	bytea *bytes = palloc(VARHDRSZ + MB_SHA256_SIZE);

	SET_VARSIZE(bytes, VARHDRSZ + MB_SHA256_SIZE);
	memcpy(VARDATA(bytes), hash, MB_SHA256_SIZE);
	return bytes;
}

static void
write_head(const chain_head *head, Datum tenant)
{
	static mulberry_statement statement = {
		"INSERT INTO mulberry_internal.audit_heads AS h (tenant, last_seq, "
		"hash) VALUES ($1, $2, $3) "
		"ON CONFLICT (tenant) DO UPDATE SET last_seq = excluded.last_seq, "
		"hash = excluded.hash, linked_at = excluded.linked_at",
		3,
		{ UUIDOID, INT8OID, BYTEAOID }
	};
	Datum values[3];

	values[0] = tenant;
	values[1] = Int64GetDatum(head->seq);
	values[2] = PointerGetDatum(bytea_of_hash(head->hash));
	mulberry_statement_run(&statement, values, NULL);
}

static void
write_link(int64 id, const chain_head *link)
{
	static mulberry_statement statement = {
		"UPDATE mulberry_internal.audit a SET seq = $2, hash = $3 "
		"WHERE a.id = $1 AND a.seq IS NULL",
		3,
		{ INT8OID, INT8OID, BYTEAOID }
	};
	Datum values[3];
	bytea *hash = bytea_of_hash(link->hash);

	values[0] = Int64GetDatum(id);
	values[1] = Int64GetDatum(link->seq);
	values[2] = PointerGetDatum(hash);
	PG_TRY();
	{
		permitted = LINKING;
		if (mulberry_statement_run(&statement, values, NULL) != 1)
			elog(ERROR, "could not link row " INT64_FORMAT " of the audit log", id);
	}
	PG_FINALLY();
	{
		permitted = NOTHING;
	}
	PG_END_TRY();
	pfree(hash);
}

/* The lock of those who link, until the end of the transaction. */
static bool
lock_chain(bool wait)
{
	return mulberry_lock(MULBERRY_LOCK_AUDIT_CHAIN, 0, ExclusiveLock, wait);
}

/* The lock of a tenant's chain, so that erasing one does not keep the others from being linked. */
static bool
lock_tenant(const pg_uuid_t *tenant)
{
	uint64 key = hash_bytes_extended(tenant->data, UUID_LEN, 0) | 1; /* 0 is the lock of all */

	return mulberry_lock(MULBERRY_LOCK_AUDIT_CHAIN, key, ExclusiveLock, /* wait */ true);
}

/*
 * await_audit_links(): what readers of the chain call first, so that everything committed
 * before is in it.  Without a notifier it links itself; with one it waits until the
 * notifier has been there.  Does nothing where that is impossible, in recovery; read-only
 * transactions and those that would not see it say so when rows are not linked.  Gives up after AWAIT_TIMEOUT.
 */
Datum
mulberry_await_audit_links(PG_FUNCTION_ARGS)
{
	TimestampTz until = TimestampTzPlusMilliseconds(mulberry_monotonic(), AWAIT_TIMEOUT);
	int64 last_id = PG_INT64_MAX;

	if (RecoveryInProgress() || IsInParallelMode())
		PG_RETURN_VOID();
	if (XactReadOnly || IsolationUsesXactSnapshot())
	{
		complain_of_unlinked();
		PG_RETURN_VOID();
	}
	/* the notifier cannot link what this transaction has not committed */
	if (mulberry_notifier_lives() && mulberry_xact_will(MULBERRY_COMMIT_LINK_AUDIT))
		PG_RETURN_VOID();

	SPI_connect();
	while (unlinked_since(&last_id))
	{
		CHECK_FOR_INTERRUPTS();
		if (mulberry_notifier_lives())
			mulberry_wake_notifier(mulberry_my_slot(), /* events_stored */ false,
								   /* audit_recorded */ true, /* channels_changed */ false);
		else if (lock_chain(/* wait */ false))
		{
			if (link_singly() > 0)
				continue;
		}
		if (mulberry_monotonic() >= until)
			break;
		pg_usleep(AWAIT_STEP * 1000L);
	}
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * For a transaction that can neither link nor see what others link: without a notifier nobody
 * would, and the log would look shorter than it is.
 */
static void
complain_of_unlinked(void)
{
	int64 last_id = PG_INT64_MAX;
	bool some;

	if (mulberry_notifier_lives())
		return;
	SPI_connect();
	some = unlinked_since(&last_id);
	SPI_finish();
	if (some)
		ereport(
			IsolationUsesXactSnapshot() ? ERROR : WARNING,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("there are rows of the audit log that are not linked, which a %s transaction "
					"cannot link",
					IsolationUsesXactSnapshot() ? "REPEATABLE READ or SERIALIZABLE" : "READ ONLY"),
			 errdetail("No notifier serves this database."),
			 errhint(
				 "Read the log in a READ WRITE transaction at READ COMMITTED, or have a notifier: "
				 "mulberry.databases.")));
}

/*
 * True when a committed row up to *last_id is not linked.  The first look sets *last_id, so
 * that those who come later are not waited for.
 */
static bool
unlinked_since(int64 *last_id)
{
	static mulberry_statement statement = {
		"SELECT max(a.id) FROM mulberry_internal.audit a WHERE a.seq IS NULL AND a.id <= $1 "
		"AND NOT mulberry_internal.is_set_aside('linking', a.id::text) "
		"AND NOT mulberry_internal.is_set_aside('linking', a.tenant::text)",
		1,
		{ INT8OID }
	};
	Datum value = Int64GetDatum(*last_id);
	bool isnull;

	mulberry_statement_run(&statement, &value, NULL);
	value = mulberry_result_datum(0, 1, &isnull);
	if (!isnull && *last_id == PG_INT64_MAX)
		*last_id = DatumGetInt64(value);
	SPI_freetuptable(SPI_tuptable);
	return !isnull;
}

/*
 * erase_audit(tenant uuid): removes the whole log of a tenant; whether that may be is decided by its
 * caller.
 */
Datum
mulberry_erase_audit(PG_FUNCTION_ARGS)
{
	static mulberry_statement statement = {
		"WITH head AS (DELETE FROM mulberry_internal.audit_heads h WHERE h.tenant = $1) "
		"DELETE FROM mulberry_internal.audit a WHERE a.tenant = $1",
		1,
		{ UUIDOID }
	};
	Datum tenant = PG_GETARG_DATUM(0);
	int64 erased = 0;

	mulberry_require_writable("erase_audit_log()");
	(void) lock_tenant(PG_GETARG_UUID_P(0));
	SPI_connect();
	PG_TRY();
	{
		permitted = ERASING;
		mulberry_statement_run(&statement, &tenant, NULL);
		erased = (int64) SPI_processed;
	}
	PG_FINALLY();
	{
		permitted = NOTHING;
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_INT64(erased);
}
