/*
 * event_numbers.c
 *	  Gives stored events their numbers: per tenant, without gaps, after commit.
 *
 * Numbers respect causality: whoever begins after an event was committed gets a
 * larger number for its own.  That follows from three things: an event's id is
 * drawn before its transaction commits; a numberer takes its snapshot after the
 * lock, which the one before it released after its commit; and within a snapshot
 * numbers go in the order of ids.
 *
 * A number is certain when the transaction that gave it has committed, durably:
 * subscribers are told afterwards.  Who reads events_since() in a transaction that is
 * rolled back later has read numbers that do not exist.
 *
 * Who has an event locked, or a tenant whose events cannot be numbered, must not keep the others from their
 * numbers: then number_events_singly() (events.sql) numbers each tenant by itself.
 *
 * It must not send anything.
 */
#include "server/compat.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "events/event_counts.h"
#include "server/locks.h"
#include "server/monotonic.h"
#include "server/plans.h"
#include "server/shared_state.h"
#include "server/xact.h"

PG_FUNCTION_INFO_V1(mulberry_number_events);
PG_FUNCTION_INFO_V1(mulberry_await_event_numbers);

#define MAX_BATCH 10000	   /* events that number_events() takes at once */
#define AWAIT_TIMEOUT 1000 /* ms that events_since() waits for somebody else's numbering */
#define AWAIT_STEP 5	   /* ms between looks */

static const char number_query[] =
	"WITH fresh AS MATERIALIZED ("
	"   SELECT e.id, e.tenant FROM mulberry_internal.events e "
	"    WHERE e.seq IS NULL AND ($2 IS NULL OR e.tenant = $2) ORDER BY e.id LIMIT $1"
	"), counted AS ("
	"   INSERT INTO mulberry_internal.event_counters AS c (tenant, last_seq)"
	"   SELECT f.tenant, count(*) FROM fresh f GROUP BY f.tenant"
	"   ON CONFLICT (tenant) DO UPDATE SET last_seq = c.last_seq + excluded.last_seq"
	"   RETURNING c.tenant, c.last_seq"
	"), placed AS ("
	"   SELECT f.id, c.last_seq - count(*) OVER (PARTITION BY f.tenant)"
	"          + row_number() OVER (PARTITION BY f.tenant ORDER BY f.id) AS seq"
	"     FROM fresh f JOIN counted c USING (tenant)"
	"), numbered AS ("
	"   UPDATE mulberry_internal.events e SET seq = p.seq FROM placed p WHERE e.id = p.id"
	"   RETURNING e.tenant, e.seq, e.event, e.call_id, e.payload, e.created_at"
	") SELECT tenant, seq, event, call_id, payload, created_at FROM numbered ORDER BY tenant, seq";

static void number_batch(int max_rows, const pg_uuid_t *tenant);
static bool number_singly(void);
static bool lock_numbers(bool wait);
static bool unnumbered_since(int64 *last_id);
static void complain_of_unnumbered(void);

/*
 * number_events(max_rows integer, only_tenant uuid): numbers what is committed and has no number
 * yet, the oldest first, and returns it; of one tenant or, null, of all.  Until the end of the transaction nobody else can
 * number; so whoever calls this should commit soon.
 */
Datum
mulberry_number_events(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int64 last_id = PG_INT64_MAX;
	int max_rows;

	mulberry_require_writable("number_events()");
	if (IsolationUsesXactSnapshot())
		ereport(
			ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("events cannot be numbered in a REPEATABLE READ or SERIALIZABLE transaction"),
			 errdetail("Its snapshot may be older than the last numbers.")));
	max_rows = PG_ARGISNULL(0) ? MAX_BATCH : PG_GETARG_INT32(0);
	if (max_rows < 1 || max_rows > MAX_BATCH)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("max_rows must be between 1 and %d", MAX_BATCH)));

	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	/*
	 * Looking first costs little, and does not wait when the table is locked
	 * against writing while there is nothing to write.
	 */
	if (!unnumbered_since(&last_id))
	{
		SPI_finish();
		return (Datum) 0;
	}
	(void) lock_numbers(/* wait */ true);
	number_batch(max_rows, PG_ARGISNULL(1) ? NULL : PG_GETARG_UUID_P(1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Datum values[6];
		bool nulls[6];

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls);
		mulberry_count_event(DatumGetUUIDP(values[0]), TextDatumGetCString(values[2]),
							 DatumGetJsonbP(values[4]));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	SPI_finish();
	return (Datum) 0;
}

/*
 * Leaves the numbered events in SPI's result.  A number that a subscriber has
 * seen must not be given again, so the commit is durable.
 */
static void
number_batch(int max_rows, const pg_uuid_t *tenant)
{
	static mulberry_statement statement = { number_query, 2, { INT4OID, UUIDOID } };
	Datum values[2] = { Int32GetDatum(max_rows), UUIDPGetDatum(tenant) };

	/* not read-only: takes a snapshot of its own, after the lock */
	mulberry_statement_run(&statement, values, tenant ? NULL : " n");
	if (SPI_processed > 0)
		mulberry_require_durable_commit();
}

/*
 * For a session that reads events: each tenant by itself, so that it neither waits for nor fails by
 * what is another's.  False when nothing could be numbered.
 */
static bool
number_singly(void)
{
	static mulberry_statement statement = {
		"SELECT count(*) > 0 FROM mulberry_internal.number_events_singly($1)", 1, { INT4OID }
	};
	Datum value = Int32GetDatum(MAX_BATCH);
	bool any;

	mulberry_statement_run(&statement, &value, NULL);
	any = mulberry_result_bool(0, 1);
	SPI_freetuptable(SPI_tuptable);
	return any;
}

/* The lock of those who number, until the end of the transaction. */
static bool
lock_numbers(bool wait)
{
	return mulberry_lock(MULBERRY_LOCK_EVENT_NUMBERS, 0, ExclusiveLock, wait);
}

/*
 * await_event_numbers(): what events_since() calls first, so that everything
 * committed before it has a number.  Without a notifier it numbers itself; with
 * one it waits until the notifier has been there.  Does nothing where that is
 * impossible, in recovery; read-only transactions and those that would not see the
 * numbers say so when events lack theirs.  Gives up after AWAIT_TIMEOUT.
 */
Datum
mulberry_await_event_numbers(PG_FUNCTION_ARGS)
{
	TimestampTz until = TimestampTzPlusMilliseconds(mulberry_monotonic(), AWAIT_TIMEOUT);
	int64 last_id = PG_INT64_MAX;

	if (RecoveryInProgress() || IsInParallelMode())
		PG_RETURN_VOID();
	if (XactReadOnly || IsolationUsesXactSnapshot())
	{
		complain_of_unnumbered();
		PG_RETURN_VOID();
	}
	/* the notifier cannot number what this transaction has not committed */
	if (mulberry_notifier_lives() && mulberry_xact_will(MULBERRY_COMMIT_WAKE_NOTIFIER))
		PG_RETURN_VOID();

	SPI_connect();
	while (unnumbered_since(&last_id))
	{
		CHECK_FOR_INTERRUPTS();
		if (mulberry_notifier_lives())
			mulberry_wake_notifier(mulberry_my_slot(), /* events_stored */ true,
								   /* audit_recorded */ false, /* channels_changed */ false);
		else if (lock_numbers(/* wait */ false) && number_singly())
			continue;
		if (mulberry_monotonic() >= until)
			break;
		pg_usleep(AWAIT_STEP * 1000L);
	}
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * For a transaction that can neither number nor see the numbers that others give: without a
 * notifier nobody would, and what it reads would look complete.
 */
static void
complain_of_unnumbered(void)
{
	int64 last_id = PG_INT64_MAX;
	bool some;

	if (mulberry_notifier_lives())
		return;
	SPI_connect();
	some = unnumbered_since(&last_id);
	SPI_finish();
	if (some)
		ereport(
			IsolationUsesXactSnapshot() ? ERROR : WARNING,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("there are events without a number, which a %s transaction cannot give them",
					IsolationUsesXactSnapshot() ? "REPEATABLE READ or SERIALIZABLE" : "READ ONLY"),
			 errdetail("No notifier serves this database."),
			 errhint("Read them in a READ WRITE transaction at READ COMMITTED, or have a "
					 "notifier: mulberry.databases.")));
}

/*
 * True when a committed event up to *last_id has no number.  The first look sets
 * *last_id, so that those who come later are not waited for.
 */
static bool
unnumbered_since(int64 *last_id)
{
	static mulberry_statement statement = {
		"SELECT max(e.id) FROM mulberry_internal.events e WHERE e.seq IS NULL AND e.id <= $1 "
		"AND NOT mulberry_internal.is_set_aside('numbering', e.tenant::text)",
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
