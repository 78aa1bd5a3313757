/*
 * audit_keeper.c
 *	  Keeps the audit log; see audit_keeper.h.  What is done is audit.c's and refusals.c's.
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/timestamp.h"

#include "server/monotonic.h"
#include "server/plans.h"
#include "worker/audit_keeper.h"
#include "worker/process.h"

#define LOOK_INTERVAL 5000 /* ms between looks for rows that nobody announced */
#define LINKS_AT_ONCE 1000 /* rows of the audit log in a transaction */
#define RETRY_DELAY 60000  /* ms, after a step has failed */
#define BUSY_DELAY 1000	   /* ms, after somebody else kept us from linking */
#define CAREFUL_FOR 60000  /* ms, after linking as fast as possible has failed */

static bool more_links = false; /* the last batch was full */
static TimestampTz last_look = 0;
static TimestampTz no_links_before = 0;
static TimestampTz careful_until = 0;

static int64 run(mulberry_statement *statement, bool careful, bool *isnull);

/* Commands that were refused with an error, see refusals.h. */
static void
store_refusals(void)
{
	static mulberry_statement statement = {
		"SELECT mulberry_internal.store_refusals($2 AND $1 > 0)", 2, { INT4OID, BOOLOID }
	};
	bool isnull;

	mulberry_process_begin_unit("storing refusals");
	(void) run(&statement, mulberry_monotonic() < careful_until, &isnull);
	mulberry_process_end_unit();
}

static void
link_audit(void)
{
	static mulberry_statement statement = { "SELECT mulberry_internal.link_audit_soon($1, $2)",
											2,
											{ INT4OID, BOOLOID } };
	int64 linked;
	bool isnull;

	mulberry_process_begin_unit("linking the audit log");
	linked = run(&statement, mulberry_monotonic() < careful_until, &isnull);
	mulberry_process_end_unit();
	if (isnull)
		no_links_before = TimestampTzPlusMilliseconds(mulberry_monotonic(), BUSY_DELAY);
	else
		more_links = linked == LINKS_AT_ONCE;
}

static int64
run(mulberry_statement *statement, bool careful, bool *isnull)
{
	Datum arguments[2] = { Int32GetDatum(LINKS_AT_ONCE), BoolGetDatum(careful) };
	int64 result;

	SPI_connect();
	if (mulberry_statement_run(statement, arguments, NULL) != 1)
		elog(ERROR, "could not keep the audit log");
	result = DatumGetInt64(mulberry_result_datum(0, 1, isnull));
	SPI_finish();
	return *isnull ? 0 : result;
}

/* As fast as possible; when that fails, row by row, so that only what is wrong itself is left out. */
static bool
insist(void (*step)(void))
{
	TimestampTz now = mulberry_monotonic();

	if (now >= careful_until)
	{
		if (mulberry_process_try(step, /* quiet */ true))
			return true;
		careful_until = TimestampTzPlusMilliseconds(now, CAREFUL_FOR);
	}
	return mulberry_process_try(step, /* quiet */ false);
}

bool
mulberry_keep_audit(mulberry_slot *slot)
{
	TimestampTz now = mulberry_monotonic();
	bool due = mulberry_notifier_take_audit_recorded(slot) || more_links ||
			   TimestampDifferenceExceeds(last_look, now, LOOK_INTERVAL);

	if (!due || now < no_links_before)
		return more_links;
	more_links = false;
	last_look = now;
	/* what cannot be stored now must not keep what is there from being linked */
	if (!insist(store_refusals) | !insist(link_audit))
		no_links_before = TimestampTzPlusMilliseconds(now, RETRY_DELAY);
	return more_links;
}
