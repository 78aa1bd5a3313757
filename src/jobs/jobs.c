/*
 * jobs.c
 *	  Puts work into the queue.  It neither claims nor runs anything: workers do
 *	  (src/worker), through the SQL functions of the section "jobs and endpoints".
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "server/catalog.h"
#include "server/guc.h"
#include "server/plans.h"
#include "server/xact.h"
#include "jobs/jobs.h"

PG_FUNCTION_INFO_V1(mulberry_enqueue_job_sql);
PG_FUNCTION_INFO_V1(mulberry_wake_workers_sql);

/* Kept for the life of the backend: enqueuing is part of completing a call. */
static mulberry_statement insert_statement = {
	"INSERT INTO mulberry_internal.job_queue"
	" (kind, tenant, call, endpoint, route, payload, run_at, max_attempts)"
	" VALUES ($1, $2, $3, $4, mulberry_internal.job_route($1, $2, $3, $4), $5, $6, $7)"
	" RETURNING id",
	7,
	{ TEXTOID, UUIDOID, INT8OID, TEXTOID, JSONBOID, TIMESTAMPTZOID, INT4OID }
};

/*
 * Inserts the row with the rights of the extension's owner, because the
 * caller of complete_call() has none on the table.  The route is resolved here, so that
 * workers can claim by endpoint with one index probe; it is resolved again
 * whenever an endpoint changes and when the job starts.
 */
int64
mulberry_enqueue_job(const char *kind, const pg_uuid_t *tenant, int64 call, const char *endpoint,
					 Jsonb *payload, TimestampTz run_at)
{
	Datum values[7];
	char nulls[8] = "       ";
	mulberry_identity caller;
	int64 id;

	values[0] = CStringGetTextDatum(kind);
	values[1] = UUIDPGetDatum(tenant);
	values[2] = Int64GetDatum(call);
	values[3] = endpoint ? CStringGetTextDatum(endpoint) : (Datum) 0;
	values[4] = payload ? JsonbPGetDatum(payload) : (Datum) 0;
	values[5] = TimestampTzGetDatum(run_at);
	values[6] = Int32GetDatum(mulberry_ai_max_attempts);
	if (call == 0)
		nulls[2] = 'n';
	if (endpoint == NULL)
		nulls[3] = 'n';
	if (payload == NULL)
		nulls[4] = 'n';

	caller = mulberry_become_owner();
	SPI_connect();
	if (mulberry_statement_run(&insert_statement, values, nulls) != 1)
		elog(ERROR, "could not insert a job");
	id = mulberry_result_int64(0, 1);
	SPI_finish();
	mulberry_leave_owner(caller);

	mulberry_xact_at_commit(MULBERRY_COMMIT_WAKE_WORKERS);
	return id;
}

/*
 * enqueue_job(kind text, tenant uuid, call bigint, endpoint text, payload jsonb,
 *			   run_at timestamptz) returns bigint
 */
Datum
mulberry_enqueue_job_sql(PG_FUNCTION_ARGS)
{
	char *kind;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("kind and tenant of a job must not be null"));
	kind = text_to_cstring(PG_GETARG_TEXT_PP(0));

	PG_RETURN_INT64(
		mulberry_enqueue_job(kind, PG_GETARG_UUID_P(1), PG_ARGISNULL(2) ? 0 : PG_GETARG_INT64(2),
							 PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3)),
							 PG_ARGISNULL(4) ? NULL : PG_GETARG_JSONB_P(4),
							 PG_ARGISNULL(5) ? GetCurrentTimestamp() : PG_GETARG_TIMESTAMPTZ(5)));
}

/* wake_workers() */
Datum
mulberry_wake_workers_sql(PG_FUNCTION_ARGS)
{
	mulberry_xact_at_commit(MULBERRY_COMMIT_WAKE_WORKERS);
	PG_RETURN_VOID();
}
