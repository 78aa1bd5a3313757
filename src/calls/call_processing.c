/*
 * call_processing.c
 *	  What moves a call through its states: complete_call() by the sender, silence
 *	  instead of it, and start, result, failure and reopening by the workers.
 *
 * Each takes the call lock, reads the state under it and changes it in the same
 * transaction as what follows from it (job, events).
 */
#include "server/compat.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "access/access.h"
#include "access/callers.h"
#include "calls/call_processing.h"
#include "calls/call_state.h"
#include "events/event_payload.h"
#include "calls/gaps.h"
#include "server/catalog.h"
#include "server/guc.h"
#include "server/row.h"
#include "server/texts.h"
#include "server/xact.h"
#include "jobs/jobs.h"
#include "calls/packets.h"

#define MAY_COMPLETE (MULBERRY_ACCESS_INGEST | MULBERRY_ACCESS_OPERATOR)
#define MAY_PROCESS MULBERRY_ACCESS_WORKER
#define MAY_REOPEN MULBERRY_ACCESS_OPERATOR

/* The next expected sequence of a call whose lock is held. */
static int32
next_sequence(const mulberry_call *call)
{
	mulberry_partition partition;
	int32 next;

	mulberry_open_partition(mulberry_call_day(call->id), RowExclusiveLock, &partition);
	next = mulberry_next_sequence(&partition, call->id);
	mulberry_close_partition(&partition);
	return next;
}

/* Announced packets behind the last one that arrived. */
static int64
missing_tail(const mulberry_call *call, int32 next)
{
	return Max(0, (int64) call->expected_total - next);
}

/*
 * IN_PROGRESS → COMPLETED.  Its transcription is due when late packets have had
 * their time, at once when there is nothing to wait for.
 */
static void
complete(Relation calls, mulberry_call *call, int32 total, bool wait)
{
	mulberry_call_change change = { 0 };
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = wait ? TimestampTzPlusMilliseconds(now, mulberry_grace_period) : now;

	if (total > 0)
		mulberry_change_column(&change, Anum_calls_expected_total_packets, Int32GetDatum(total));
	mulberry_change_column(&change, Anum_calls_completed_at, TimestampTzGetDatum(now));
	mulberry_change_column(&change, Anum_calls_grace_until, TimestampTzGetDatum(due));
	mulberry_move_call(calls, call, MULBERRY_COMPLETED, false, &change);
	mulberry_enqueue_job("transcribe", &call->tenant, call->id, NULL, NULL, due);
	mulberry_require_durable_commit();
}

void
mulberry_end_grace(Relation calls, mulberry_call *call)
{
	mulberry_call_change change = { 0 };
	TimestampTz now = GetCurrentTimestamp();
	mulberry_identity before;
	Oid type = INT8OID;
	Datum id = Int64GetDatum(call->id);

	mulberry_change_column(&change, Anum_calls_grace_until, TimestampTzGetDatum(now));
	mulberry_change_call(calls, call, &change);

	/* A function with a search_path of its own: the session's may hold anybody's operators. */
	before = mulberry_become_owner();
	SPI_connect();
	if (SPI_execute_with_args("SELECT mulberry_internal.advance_transcription($1)", 1, &type, &id,
							  NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not advance the transcription of a call");
	SPI_finish();
	mulberry_leave_owner(before);
	mulberry_xact_at_commit(MULBERRY_COMMIT_WAKE_WORKERS);
}

/* The answer to the end of a call, a completion_result. */
static Datum
form_completion(FunctionCallInfo fcinfo, const mulberry_call *call, int32 next)
{
	mulberry_row row;

	mulberry_row_begin_named(&row, fcinfo);
	mulberry_row_add_text(&row, "accepted");
	mulberry_row_add_text(&row, "Call completion signal received");
	mulberry_row_add_text(&row, call->call_id);
	mulberry_row_add(&row, Int32GetDatum(call->expected_total));
	mulberry_row_add(&row, Int64GetDatum((int64) next - call->missing_count));
	mulberry_row_add(&row, Int64GetDatum(call->missing_count + missing_tail(call, next)));
	mulberry_row_add(&row, Int64GetDatum(Max(0, (int64) next - call->expected_total)));
	return mulberry_row_end(&row);
}

PG_FUNCTION_INFO_V1(mulberry_complete_call);

/*
 * complete_call(call_id text, total_packets integer, tenant text)
 */
Datum
mulberry_complete_call(PG_FUNCTION_ARGS)
{
	mulberry_tenant tenant = *mulberry_resolve_tenant(
		PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)), MAY_COMPLETE);
	text *call_id;
	int32 total;
	int32 next;
	Relation calls;
	mulberry_call call;

	mulberry_require_writable("complete_call()");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", PG_ARGISNULL(0) ? "call id" : "total_packets")));
	call_id = PG_GETARG_TEXT_PP(0);
	total = PG_GETARG_INT32(1);
	if (total <= 0 || total > MULBERRY_MAX_SEQUENCE + 1)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("total_packets %d is out of range", total),
						errdetail("It must lie between 1 and %d.", MULBERRY_MAX_SEQUENCE + 1)));

	mulberry_check_argument("call_id", call_id);
	calls = mulberry_open_calls();
	if (VARSIZE_ANY_EXHDR(call_id) <= MULBERRY_MAX_CALL_ID)
		mulberry_lock_call(&tenant.id, VARDATA_ANY(call_id), VARSIZE_ANY_EXHDR(call_id));
	if (VARSIZE_ANY_EXHDR(call_id) > MULBERRY_MAX_CALL_ID ||
		!mulberry_find_call(calls, &tenant.id, VARDATA_ANY(call_id), VARSIZE_ANY_EXHDR(call_id),
							&call))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("call \"%s\" does not exist", text_to_cstring(call_id))));

	next = next_sequence(&call);
	if (call.state == MULBERRY_IN_PROGRESS)
		complete(calls, &call, total, call.missing_count > 0 || next < total);
	else if (call.expected_total == 0)
	{
		/* Completed by silence; the sender only says now how much it had sent. */
		mulberry_call_change change = { 0 };

		mulberry_change_column(&change, Anum_calls_expected_total_packets, Int32GetDatum(total));
		mulberry_change_call(calls, &call, &change);
		mulberry_require_durable_commit();
	}
	else if (call.expected_total != total)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("call \"%s\" was already completed with another number of packets",
							   call.call_id),
						errdetail("It was completed with %d packets; this says %d.",
								  call.expected_total, total)));
	table_close(calls, NoLock);
	return form_completion(fcinfo, &call, next);
}

/*
 * Takes the lock of the call that argument 0 names.  False when the call is gone, or
 * busy and one does not "wait".  Needs the access, unless a function of ours calls that
 * runs as the owner and has decided who may call it.
 */
static bool
lock_argument(FunctionCallInfo fcinfo, Relation *calls, mulberry_call *call, int access, bool wait,
			  const char *function)
{
	mulberry_require_writable(function);
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("call must not be null")));
	*calls = mulberry_open_calls();
	if (!mulberry_lock_call_by_id(*calls, PG_GETARG_INT64(0), wait, call))
	{
		table_close(*calls, NoLock);
		return false;
	}
	if (!mulberry_acts_as_owner() && !mulberry_has_access(&call->tenant, access))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for %s", function)));
	return true;
}

PG_FUNCTION_INFO_V1(mulberry_complete_silent_call);

/*
 * complete_silent_call(call bigint, silent_since timestamptz) -> boolean:
 * completes a call that nothing has come for since then; false when that is not so.
 */
Datum
mulberry_complete_silent_call(PG_FUNCTION_ARGS)
{
	Relation calls;
	mulberry_call call;
	bool done = false;

	if (!lock_argument(fcinfo, &calls, &call, MAY_PROCESS, false, "complete_silent_call()"))
		PG_RETURN_BOOL(false);
	if (call.state == MULBERRY_IN_PROGRESS && !PG_ARGISNULL(1))
	{
		mulberry_partition partition;
		TimestampTz silent_since = PG_GETARG_TIMESTAMPTZ(1);

		/* The row's own time tells of late arrivals, the last packet's of those in order. */
		mulberry_open_partition(mulberry_call_day(call.id), RowExclusiveLock, &partition);
		done = call.updated_at < silent_since &&
			   mulberry_last_arrival(&partition, call.id) < silent_since;
		mulberry_close_partition(&partition);
		if (done)
			complete(calls, &call, 0, false);
	}
	table_close(calls, NoLock);
	PG_RETURN_BOOL(done);
}

PG_FUNCTION_INFO_V1(mulberry_lock_call_sql);

/*
 * lock_call(call bigint): takes the call lock; nothing to take when the call is gone.
 */
Datum
mulberry_lock_call_sql(PG_FUNCTION_ARGS)
{
	Relation calls = mulberry_open_calls();
	mulberry_call call;

	(void) mulberry_lock_call_by_id(calls, PG_GETARG_INT64(0), true, &call);
	table_close(calls, NoLock);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(mulberry_start_processing);

/*
 * start_processing(call bigint) -> boolean: from here on the call takes no packets.
 */
Datum
mulberry_start_processing(PG_FUNCTION_ARGS)
{
	Relation calls;
	mulberry_call call;
	mulberry_call_change change = { 0 };

	if (!lock_argument(fcinfo, &calls, &call, MAY_PROCESS, true, "start_processing()"))
		PG_RETURN_BOOL(false);
	if (call.state == MULBERRY_COMPLETED)
		mulberry_move_call(calls, &call, MULBERRY_PROCESSING_AI, false, &change);
	table_close(calls, NoLock);
	PG_RETURN_BOOL(call.state == MULBERRY_PROCESSING_AI);
}

/*
 * What was missing when the call was processed: the gaps, and the announced packets
 * behind the last one as a last range.
 */
static void
add_missing(mulberry_payload *payload, const mulberry_call *call)
{
	int32 next = next_sequence(call);
	mulberry_range ranges[MULBERRY_MAX_RANGES];
	const mulberry_range *gaps;
	int n;

	gaps = mulberry_first_gaps(call, &n);
	if (n > 0)
		memcpy(ranges, gaps, n * sizeof(mulberry_range));
	if (n < MULBERRY_MAX_RANGES && missing_tail(call, next) > 0)
		ranges[n++] = (mulberry_range){ next, call->expected_total - 1 };
	mulberry_payload_integer(payload, "missing_packets",
							 call->missing_count + missing_tail(call, next));
	mulberry_payload_ranges(payload, "missing_ranges", ranges, n);
}

static void
check_sentiment(const char *sentiment)
{
	if (strcmp(sentiment, "positive") != 0 && strcmp(sentiment, "neutral") != 0 &&
		strcmp(sentiment, "negative") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unknown sentiment \"%s\"", sentiment),
						errdetail("Sentiments are positive, neutral and negative.")));
}

PG_FUNCTION_INFO_V1(mulberry_finish_call);

/*
 * finish_call(call bigint, transcription text, sentiment text, confidence
 * double precision, ai_result jsonb) -> boolean: false when the call is gone.
 */
Datum
mulberry_finish_call(PG_FUNCTION_ARGS)
{
	Relation calls;
	mulberry_call call;
	mulberry_call_change change = { 0 };
	mulberry_payload missing;
	mulberry_payload payload;
	Datum result;
	char *transcription;

	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("transcription must not be null")));
	if (!PG_ARGISNULL(3) && !(PG_GETARG_FLOAT8(3) >= 0 && PG_GETARG_FLOAT8(3) <= 1))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("confidence %g is out of range", PG_GETARG_FLOAT8(3)),
						errdetail("It must lie between 0 and 1.")));
	if (!lock_argument(fcinfo, &calls, &call, MAY_PROCESS, true, "finish_call()"))
		PG_RETURN_BOOL(false);

	transcription = text_to_cstring(PG_GETARG_TEXT_PP(1));
	mulberry_begin_payload(&missing);
	add_missing(&missing, &call);
	mulberry_begin_payload(&payload);
	mulberry_payload_text(&payload, "transcription", transcription);
	if (!PG_ARGISNULL(2))
	{
		char *sentiment = text_to_cstring(PG_GETARG_TEXT_PP(2));

		check_sentiment(sentiment);
		mulberry_payload_text(&payload, "sentiment", sentiment);
		mulberry_change_column(&change, Anum_calls_sentiment, PG_GETARG_DATUM(2));
	}
	if (!PG_ARGISNULL(3))
	{
		mulberry_payload_float(&payload, "confidence", PG_GETARG_FLOAT8(3));
		mulberry_change_column(&change, Anum_calls_confidence, PG_GETARG_DATUM(3));
	}
	add_missing(&payload, &call);

	result = JsonbPGetDatum(mulberry_end_payload(&missing));
	if (!PG_ARGISNULL(4))
		result = DirectFunctionCall2(jsonb_concat, result, PG_GETARG_DATUM(4));
	mulberry_change_column(&change, Anum_calls_ai_result, result);
	mulberry_change_column(&change, Anum_calls_transcription, PG_GETARG_DATUM(1));
	mulberry_change_column(&change, Anum_calls_finished_at,
						   TimestampTzGetDatum(GetCurrentTimestamp()));
	mulberry_clear_column(&change, Anum_calls_failure_reason);
	mulberry_move_call(calls, &call, MULBERRY_ARCHIVED, false, &change);
	mulberry_store_event(&call.tenant, "ai_completed", call.id, call.call_id,
						 mulberry_end_payload(&payload));
	mulberry_require_durable_commit();
	table_close(calls, NoLock);
	PG_RETURN_BOOL(true);
}

PG_FUNCTION_INFO_V1(mulberry_fail_call);

/*
 * fail_call(call bigint, reason text) -> boolean: false when the call is gone.
 */
Datum
mulberry_fail_call(PG_FUNCTION_ARGS)
{
	Relation calls;
	mulberry_call call;
	mulberry_call_change change = { 0 };
	mulberry_payload payload;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("reason must not be null")));
	if (!lock_argument(fcinfo, &calls, &call, MAY_PROCESS, true, "fail_call()"))
		PG_RETURN_BOOL(false);
	mulberry_change_column(&change, Anum_calls_failure_reason, PG_GETARG_DATUM(1));
	mulberry_change_column(&change, Anum_calls_finished_at,
						   TimestampTzGetDatum(GetCurrentTimestamp()));
	mulberry_move_call(calls, &call, MULBERRY_FAILED, false, &change);
	mulberry_begin_payload(&payload);
	mulberry_payload_text(&payload, "reason", text_to_cstring(PG_GETARG_TEXT_PP(1)));
	mulberry_store_event(&call.tenant, "ai_failed", call.id, call.call_id,
						 mulberry_end_payload(&payload));
	mulberry_require_durable_commit();
	table_close(calls, NoLock);
	PG_RETURN_BOOL(true);
}

PG_FUNCTION_INFO_V1(mulberry_reopen_call);

/*
 * reopen_call(call bigint) -> boolean: FAILED → PROCESSING_AI for retry_job(); false
 * when the call is gone.  The event names who asked for it.
 */
Datum
mulberry_reopen_call(PG_FUNCTION_ARGS)
{
	Relation calls;
	mulberry_call call;
	mulberry_call_change change = { 0 };
	mulberry_payload payload;

	if (!lock_argument(fcinfo, &calls, &call, MAY_REOPEN, true, "reopen_call()"))
		PG_RETURN_BOOL(false);
	mulberry_clear_column(&change, Anum_calls_failure_reason);
	mulberry_clear_column(&change, Anum_calls_finished_at);
	mulberry_move_call(calls, &call, MULBERRY_PROCESSING_AI, true, &change);
	mulberry_begin_payload(&payload);
	mulberry_payload_text(&payload, "role", GetUserNameFromId(GetOuterUserId(), false));
	mulberry_store_event(&call.tenant, "call_reopened", call.id, call.call_id,
						 mulberry_end_payload(&payload));
	mulberry_require_durable_commit();
	table_close(calls, NoLock);
	PG_RETURN_BOOL(true);
}
