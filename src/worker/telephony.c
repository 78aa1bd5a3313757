/*
 * telephony.c
 *	  Calls and escalations; see telephony.h.
 */
#include "server/compat.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "server/plans.h"
#include "worker/kinds.h"
#include "worker/telephony.h"
#include "worker/verdict.h"

#define MAX_RETRY_AFTER (24 * 60 * 60) /* s */

static mulberry_statement step_statement = {
	"SELECT ready, kind, base_url, secret, secret_tenant, timeout_ms, allow_http, allow_private, "
	"report::text,"
	" request, account, user_name, sid, to_number, from_number, document, call_timeout, time_limit,"
	" machine_detection, recorded, status_callback, recording_callback, end_status, page"
	" FROM mulberry_internal.telephony_step($1, $2)",
	2,
	{ INT8OID, INT8OID },
	NULL
};

static mulberry_statement answer_statement = { "SELECT mulberry_internal.telephony_answer($1, $2, "
											   "$3, $4, make_interval(secs => $5), $6, $7, $8, $9,"
											   " $10, $11, $12, $13, $14, $15)",
											   15,
											   { INT8OID, INT8OID, TEXTOID, INT4OID, FLOAT8OID,
												 TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
												 BOOLARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID,
												 TEXTARRAYOID, TEXTOID, BYTEAOID },
											   NULL };

/* The names that telephony_step() has for what is asked. */
static const char *const request_names[] = {
	[MULBERRY_CALL_CREATE] = "create",
	[MULBERRY_CALL_LIST] = "look",
	[MULBERRY_CALL_LOOK_AT] = "poll",
	[MULBERRY_CALL_END] = "end",
	[MULBERRY_CALL_RECORDINGS] = "recordings",
	[MULBERRY_CALL_MEDIA] = "media",
	[MULBERRY_CALL_DELETE_RECORDING] = "delete recording",
};

static mulberry_call_request
request_by_name(const char *name)
{
	for (int i = 0; i < lengthof(request_names); i++)
	{
		if (strcmp(request_names[i], name) == 0)
			return (mulberry_call_request) i;
	}
	elog(ERROR, "unknown request \"%s\" about a call", name);
}

/* The order of the step in the result. */
static mulberry_call_order *
read_order(mulberry_job *job)
{
	MemoryContext context = job->context;
	mulberry_call_order *order = MemoryContextAllocZero(context, sizeof(mulberry_call_order));

	order->request = request_by_name(mulberry_result_text(0, 10, CurrentMemoryContext));
	order->account = mulberry_result_text(0, 11, context);
	order->user = mulberry_result_text(0, 12, context);
	order->sid = mulberry_result_text(0, 13, context);
	order->to = mulberry_result_text(0, 14, context);
	order->from = mulberry_result_text(0, 15, context);
	order->document = mulberry_result_text(0, 16, context);
	order->ring_seconds = mulberry_result_int32(0, 17);
	order->most_seconds = mulberry_result_int32(0, 18);
	order->machine_detection = mulberry_result_text(0, 19, context);
	order->record = mulberry_result_bool(0, 20);
	order->status_callback = mulberry_result_text(0, 21, context);
	order->recording_callback = mulberry_result_text(0, 22, context);
	order->status = mulberry_result_text(0, 23, context);
	order->page = mulberry_result_text(0, 24, context);
	return order;
}

/* The endpoint of the step in the result. */
static void
read_endpoint(mulberry_job *job)
{
	bool isnull;
	Datum tenant;

	job->endpoint_kind =
		mulberry_endpoint_kind_by_name(mulberry_result_text(0, 2, CurrentMemoryContext));
	if (job->endpoint_kind == NULL)
		elog(ERROR, "the kind of the endpoint is not known");
	job->protocol = mulberry_protocol_of(job->endpoint_kind);
	job->base_url = mulberry_result_text(0, 3, job->context);
	job->secret = mulberry_result_text(0, 4, job->context);
	tenant = mulberry_result_datum(0, 5, &isnull);
	job->no_secret = isnull;
	if (!isnull)
		job->secret_tenant = *DatumGetUUIDP(tenant);
	job->timeout_ms = mulberry_result_int32(0, 6);
	job->allow_http = mulberry_result_bool(0, 7);
	job->allow_private = mulberry_result_bool(0, 8);
}

bool
mulberry_telephony_prepare(mulberry_job *job)
{
	Datum values[2] = { Int64GetDatum(job->id), Int64GetDatum(job->lease_token) };
	char *report;

	ForceSyncCommit();
	if (mulberry_statement_run(&step_statement, values, NULL) != 1 || !mulberry_result_bool(0, 1))
		return false;
	read_endpoint(job);
	report = mulberry_result_text(0, 9, CurrentMemoryContext);
	job->order = report ? NULL : read_order(job);
	if (report ? job->protocol->ask_report == NULL : job->protocol->ask_call == NULL)
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("endpoints of kind \"%s\" do no jobs of kind \"%s\"",
					   job->endpoint_kind->name, job->kind->name));
	if (report)
		job->protocol->ask_report(job, report);
	else
		job->protocol->ask_call(job, job->order);
	return true;
}

static const char *
outcome_name(const mulberry_http_answer *answer)
{
	if (answer == NULL)
		return "unreachable";
	switch (answer->outcome)
	{
		case MULBERRY_HTTP_ANSWERED:
			return "answered";
		case MULBERRY_HTTP_UNREACHABLE:
			return "unreachable";
		case MULBERRY_HTTP_BROKEN:
			return "broken";
		case MULBERRY_HTTP_TOO_LARGE:
			return "too large";
	}
	return NULL;
}

/* The entries of an answer as arrays, a column each: what does not change of them is in "values". */
static void
entries_to_arrays(const mulberry_call_answer *said, Datum *values, char *nulls)
{
	enum
	{
		SID,
		TO,
		FROM,
		INBOUND,
		CREATED,
		STATUS,
		ANSWERED_BY,
		COLUMNS
	};
	static const struct
	{
		Oid type;
		int length;
		bool by_value;
		char align;
	} columns[COLUMNS] = {
		[SID] = { TEXTOID, -1, false, TYPALIGN_INT },
		[TO] = { TEXTOID, -1, false, TYPALIGN_INT },
		[FROM] = { TEXTOID, -1, false, TYPALIGN_INT },
		[INBOUND] = { BOOLOID, 1, true, TYPALIGN_CHAR },
		[CREATED] = { TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE },
		[STATUS] = { TEXTOID, -1, false, TYPALIGN_INT },
		[ANSWERED_BY] = { TEXTOID, -1, false, TYPALIGN_INT },
	};

	for (int c = 0; c < COLUMNS; c++)
	{
		Datum *elements = palloc0(sizeof(Datum) * (said->n + 1));
		bool *missing = palloc0(sizeof(bool) * (said->n + 1));
		int lower = 1;

		nulls[c] = said->listed ? ' ' : 'n';
		for (int i = 0; i < said->n; i++)
		{
			const mulberry_call_entry *entry = &said->entries[i];
			const char *texts[COLUMNS] = { [SID] = entry->sid,
										   [TO] = entry->to,
										   [FROM] = entry->from,
										   [STATUS] = entry->status,
										   [ANSWERED_BY] = entry->answered_by };

			if (c == INBOUND)
				elements[i] = BoolGetDatum(entry->inbound);
			else if (c == CREATED)
			{
				elements[i] =
					TimestampTzGetDatum(time_t_to_timestamptz((pg_time_t) entry->created));
				missing[i] = !entry->has_created;
			}
			else if (texts[c])
				elements[i] = CStringGetTextDatum(texts[c]);
			else
				missing[i] = true;
		}
		values[c] = PointerGetDatum(construct_md_array(elements, missing, 1, (int[]){ said->n },
													   &lower, columns[c].type, columns[c].length,
													   columns[c].by_value, columns[c].align));
	}
}

void
mulberry_telephony_answer(mulberry_job *job, const mulberry_http_answer *answer, const char *error)
{
	char nulls[16] = "               ";
	Datum values[15];
	bool answered = answer && answer->outcome == MULBERRY_HTTP_ANSWERED;
	mulberry_call_answer said = { 0 };
	bytea *sound = NULL;

	if (answered && job->order)
		job->protocol->read_call(job->order, answer, &said);
	if (!answered && error == NULL && answer)
		error = mulberry_judge_answer(answer, 0).error;
	if (answered && said.problem)
		error = said.problem;
	if (said.body_size > 0)
	{
		sound = palloc_extended(VARHDRSZ + said.body_size, MCXT_ALLOC_HUGE);
		SET_VARSIZE(sound, VARHDRSZ + said.body_size);
		memcpy(VARDATA(sound), said.body, said.body_size);
	}
	values[0] = Int64GetDatum(job->id);
	values[1] = Int64GetDatum(job->lease_token);
	values[2] = CStringGetTextDatum(outcome_name(answer));
	values[3] = Int32GetDatum(answered ? (int32) answer->status : 0);
	/* bounded, because a time so much later must exist */
	values[4] = Float8GetDatum(answered ? (double) Min(answer->retry_after, MAX_RETRY_AFTER) : 0);
	values[5] = error ? CStringGetTextDatum(error) : (Datum) 0;
	nulls[5] = error ? ' ' : 'n';
	entries_to_arrays(&said, &values[6], &nulls[6]);
	values[13] = said.next_page ? CStringGetTextDatum(said.next_page) : (Datum) 0;
	nulls[13] = said.next_page ? ' ' : 'n';
	values[14] = PointerGetDatum(sound);
	nulls[14] = sound ? ' ' : 'n';
	mulberry_statement_run(&answer_statement, values, nulls);
}
