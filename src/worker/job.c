/*
 * job.c
 *	  The queue's side of a job's life in a worker; see job.h.
 */
#include "server/compat.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "server/plans.h"
#include "worker/job.h"
#include "worker/kinds.h"

static mulberry_statement claim_statement = {
	"SELECT id, lease_token, kind, tenant, call, payload, attempts, max_attempts, route, probe, "
	"failed_at"
	" FROM mulberry_internal.claim_jobs($1, $2, clock_timestamp(), $3, $4, $5, $6)",
	6,
	{ INT4OID, INT4OID, INT4OID, INT4OID, INT8ARRAYOID, UUIDARRAYOID },
	NULL
};

static mulberry_statement prepare_statement = {
	"SELECT ready, endpoint, kind, secret_tenant, base_url, model, secret, options,"
	" timeout_ms, allow_http, allow_private, shared, refused, configuration, own_key, coming_back"
	" FROM mulberry_internal.prepare_job($1, $2)",
	2,
	{ INT8OID, INT8OID },
	NULL
};

static mulberry_statement fail_statement = {
	"SELECT mulberry_internal.fail_attempt($1, $2, $3, $4, make_interval(secs => $5),"
	" serves_others => $6, others_failing => $7)",
	7,
	{ INT8OID, INT8OID, TEXTOID, TEXTOID, FLOAT8OID, BOOLOID, FLOAT8OID },
	NULL
};

static mulberry_statement release_statement = {
	"SELECT mulberry_internal.release_jobs($1)", 1, { INT4OID }, NULL
};

static mulberry_statement next_due_statement = {
	"SELECT (extract(epoch FROM mulberry_internal.next_job_due() - clock_timestamp()) * "
	"1000)::float8",
	0,
	{ 0 },
	NULL
};

static mulberry_statement report_statement = {
	"SELECT mulberry_internal.report_endpoint($1, $2, tenant => $3, since => $4)",
	4,
	{ INT8OID, TEXTOID, UUIDOID, TIMESTAMPTZOID },
	NULL
};

static mulberry_statement probe_statement = {
	"SELECT mulberry_internal.report_probe($1, $2, $3, $4, key_of => $5)",
	5,
	{ INT8OID, BOOLOID, INT8OID, TEXTOID, UUIDOID },
	NULL
};

static mulberry_statement served_statement = {
	"SELECT mulberry_internal.report_served($1, $2)", 2, { INT8OID, UUIDOID }, NULL
};

/* A jsonb column in the given context, NULL when it is null. */
static Jsonb *
result_jsonb(uint64 row, int column, MemoryContext context)
{
	bool isnull;
	Datum value = mulberry_result_datum(row, column, &isnull);
	MemoryContext old;
	Jsonb *copy;

	if (isnull)
		return NULL;
	old = MemoryContextSwitchTo(context);
	copy = DatumGetJsonbPCopy(value);
	MemoryContextSwitchTo(old);
	return copy;
}

/* A column of type text[] as strings in the given context. */
static List *
result_list(uint64 row, int column, MemoryContext context)
{
	bool isnull;
	Datum value = mulberry_result_datum(row, column, &isnull);
	List *list = NIL;
	MemoryContext old;
	Datum *elements;
	int n;

	if (isnull)
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL,
					  &n);
	old = MemoryContextSwitchTo(context);
	for (int i = 0; i < n; i++)
		list = lappend(list, TextDatumGetCString(elements[i]));
	MemoryContextSwitchTo(old);
	return list;
}

/* Endpoints and tenants of jobs that have a transfer, as two arrays. */
static void
describe_held(dlist_head *held, Datum *routes, Datum *tenants)
{
	dlist_iter iter;
	int n = 0;
	Datum *route;
	Datum *tenant;

	dlist_foreach(iter, held) n++;
	route = palloc(sizeof(Datum) * (n + 1));
	tenant = palloc(sizeof(Datum) * (n + 1));
	n = 0;
	dlist_foreach(iter, held)
	{
		mulberry_job *job = dlist_container(mulberry_job, node, iter.cur);

		/* what is answered has no transfer any more */
		if (job->route == 0 || job->pending != NULL)
			continue;
		route[n] = Int64GetDatum(job->route);
		tenant[n++] = UUIDPGetDatum(&job->tenant);
	}
	*routes = PointerGetDatum(
		construct_array(route, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	*tenants = PointerGetDatum(
		construct_array(tenant, n, UUIDOID, UUID_LEN, /* elmbyval */ false, TYPALIGN_CHAR));
}

List *
mulberry_jobs_claim(int limit, int slots, int reserve, dlist_head *held, MemoryContext parent)
{
	Datum values[6] = { Int32GetDatum(MyProcPid), Int32GetDatum(limit), Int32GetDatum(slots),
						Int32GetDatum(reserve) };
	uint64 n;
	List *jobs = NIL;

	describe_held(held, &values[4], &values[5]);
	n = mulberry_statement_run(&claim_statement, values, NULL);

	for (uint64 row = 0; row < n; row++)
	{
		MemoryContext context = AllocSetContextCreate(parent, "mulberry job", ALLOCSET_SMALL_SIZES);
		mulberry_job *job = MemoryContextAllocZero(context, sizeof(mulberry_job));
		bool isnull;
		Datum failed_at;
		MemoryContext old;

		job->context = context;
		job->id = mulberry_result_int64(row, 1);
		job->lease_token = mulberry_result_int64(row, 2);
		job->kind_name = mulberry_result_text(row, 3, context);
		job->kind = mulberry_job_kind_by_name(job->kind_name);
		job->tenant = *DatumGetUUIDP(mulberry_result_datum(row, 4, &isnull));
		job->call = mulberry_result_int64(row, 5);
		job->payload = result_jsonb(row, 6, context);
		job->attempts = mulberry_result_int32(row, 7);
		job->max_attempts = mulberry_result_int32(row, 8);
		job->route = mulberry_result_int64(row, 9);
		job->probe = mulberry_result_bool(row, 10);
		failed_at = mulberry_result_datum(row, 11, &isnull);
		job->failed_at = isnull ? 0 : DatumGetTimestampTz(failed_at);
		old = MemoryContextSwitchTo(parent);
		jobs = lappend(jobs, job);
		MemoryContextSwitchTo(old);
	}
	return jobs;
}

mulberry_job_status
mulberry_job_prepare(mulberry_job *job)
{
	Datum values[2] = { Int64GetDatum(job->id), Int64GetDatum(job->lease_token) };
	bool isnull;
	Datum tenant;
	char *kind;

	if (mulberry_statement_run(&prepare_statement, values, NULL) != 1 ||
		!mulberry_result_bool(0, 1))
		return MULBERRY_JOB_SETTLED;

	job->endpoint = mulberry_result_text(0, 2, job->context);
	kind = mulberry_result_text(0, 3, CurrentMemoryContext);
	job->endpoint_kind = kind ? mulberry_endpoint_kind_by_name(kind) : NULL;
	tenant = mulberry_result_datum(0, 4, &isnull);
	job->no_secret = isnull;
	if (!isnull)
		job->secret_tenant = *DatumGetUUIDP(tenant);
	job->base_url = mulberry_result_text(0, 5, job->context);
	job->model = mulberry_result_text(0, 6, job->context);
	job->secret = mulberry_result_text(0, 7, job->context);
	job->options = result_jsonb(0, 8, job->context);
	job->timeout_ms = mulberry_result_int32(0, 9);
	job->allow_http = mulberry_result_bool(0, 10);
	job->allow_private = mulberry_result_bool(0, 11);
	job->shared = mulberry_result_bool(0, 12);
	job->refused = result_list(0, 13, job->context);
	job->configuration = mulberry_result_int64(0, 14);
	job->own_key = mulberry_result_bool(0, 15);
	job->coming_back = mulberry_result_bool(0, 16);
	job->protocol = job->endpoint_kind ? mulberry_protocol_of(job->endpoint_kind) : NULL;
	return MULBERRY_JOB_READY;
}

static const char *
failure_name(mulberry_failure failure)
{
	switch (failure)
	{
		case MULBERRY_FAILURE_TRANSIENT:
			return "transient";
		case MULBERRY_FAILURE_ENDPOINT:
			return "endpoint";
		case MULBERRY_FAILURE_TIMEOUT:
			return "timeout";
		case MULBERRY_FAILURE_LIMITED:
			return "limited";
		case MULBERRY_FAILURE_PERMANENT:
			return "permanent";
		case MULBERRY_FAILURE_UNREACHABLE:
			return "unreachable";
		case MULBERRY_FAILURE_BLOCKED:
			return "blocked";
		case MULBERRY_FAILURE_ABANDONED:
			return "abandoned";
	}
	return NULL;
}

void
mulberry_job_fail(mulberry_job *job, mulberry_failure failure, const char *error, int64 retry_after,
				  const mb_judgement *evidence)
{
	Datum values[7] = { Int64GetDatum(job->id),
						Int64GetDatum(job->lease_token),
						CStringGetTextDatum(failure_name(failure)),
						CStringGetTextDatum(error),
						Float8GetDatum((double) retry_after),
						BoolGetDatum(evidence->serves_others),
						Float8GetDatum(evidence->others_failing) };

	mulberry_statement_run(&fail_statement, values, retry_after > 0 ? NULL : "    n  ");
}

void
mulberry_jobs_release(void)
{
	Datum values[1] = { Int32GetDatum(MyProcPid) };

	mulberry_statement_run(&release_statement, values, NULL);
}

long
mulberry_jobs_next_due(long limit)
{
	bool isnull;
	Datum value;

	mulberry_statement_run(&next_due_statement, NULL, NULL);
	value = mulberry_result_datum(0, 1, &isnull);
	if (isnull || DatumGetFloat8(value) > limit)
		return limit;
	return Max(0, (long) DatumGetFloat8(value) + 1);
}

void
mulberry_endpoint_report(const mulberry_job *job, const mb_judgement *evidence, const char *error)
{
	pg_uuid_t every_tenant = { { 0 } };
	bool tenant_only = evidence->blame == MB_BLAME_TENANT;
	Datum values[4] = { Int64GetDatum(job->route), CStringGetTextDatum(error),
						UUIDPGetDatum(tenant_only ? &job->tenant : &every_tenant),
						TimestampTzGetDatum(evidence->since) };

	mulberry_statement_run(&report_statement, values, NULL);
}

void
mulberry_probe_report(const mulberry_job *job, bool available, bool key_failed, const char *error)
{
	Datum values[5] = { Int64GetDatum(job->route), BoolGetDatum(available), Int64GetDatum(job->id),
						error ? CStringGetTextDatum(error) : (Datum) 0,
						UUIDPGetDatum(&job->tenant) };
	char nulls[6] = "     ";

	nulls[3] = error ? ' ' : 'n';
	nulls[4] = key_failed ? ' ' : 'n';
	mulberry_statement_run(&probe_statement, values, nulls);
}

void
mulberry_served_report(const mulberry_job *job)
{
	Datum values[2] = { Int64GetDatum(job->route), UUIDPGetDatum(&job->tenant) };

	mulberry_statement_run(&served_statement, values, NULL);
}

void
mulberry_probe_withdraw(const mulberry_job *job)
{
	Datum values[5] = { Int64GetDatum(job->route), (Datum) 0, Int64GetDatum(job->id) };

	mulberry_statement_run(&probe_statement, values, " n nn");
}
