/*
 * call_processing.c
 *	  What moves a call that has ended through its states: start, result, failure and
 *	  reopening by the workers.
 *
 * Each takes the call lock, reads the state under it and changes it in the same
 * transaction as what follows from it (job, events).
 */
#include "server/compat.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "access/access.h"
#include "calls/call_arguments.h"
#include "calls/call_completion.h"
#include "calls/call_state.h"
#include "calls/gaps.h"
#include "calls/packets.h"
#include "calls/tracks.h"
#include "events/event_payload.h"
#include "server/catalog.h"
#include "server/plans.h"
#include "server/xact.h"

#define MAY_PROCESS MULBERRY_ACCESS_WORKER
#define MAY_REOPEN MULBERRY_ACCESS_OPERATOR

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

PG_FUNCTION_INFO_V1(mulberry_call_locks_left_sql);
PG_FUNCTION_INFO_V1(mulberry_require_call_locks_sql);

/* call_locks_left() -> integer */
Datum
mulberry_call_locks_left_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(mulberry_call_locks_left());
}

/* require_call_locks() */
Datum
mulberry_require_call_locks_sql(PG_FUNCTION_ARGS)
{
	mulberry_require_call_locks();
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

	if (!mulberry_lock_call_argument(fcinfo, &calls, &call, MAY_PROCESS, true,
									 "start_processing()"))
		PG_RETURN_BOOL(false);
	if (call.state == MULBERRY_COMPLETED)
		mulberry_move_call(calls, &call, MULBERRY_PROCESSING_AI, false, &change);
	table_close(calls, NoLock);
	PG_RETURN_BOOL(call.state == MULBERRY_PROCESSING_AI);
}

/* The gaps of a track, and the announced packets behind the last one as a last range. */
static void
add_missing_ranges(mulberry_payload *payload, const char *key, const mulberry_partition *partition,
				   const mulberry_track *track)
{
	int32 next = mulberry_next_sequence(partition, track->id);
	mulberry_range ranges[MULBERRY_MAX_RANGES];
	const mulberry_range *gaps;
	int n;

	gaps = mulberry_first_gaps(track, &n);
	if (n > 0)
		memcpy(ranges, gaps, n * sizeof(mulberry_range));
	if (n < MULBERRY_MAX_RANGES && track->expected_total > next)
		ranges[n++] = (mulberry_range){ next, track->expected_total - 1 };
	mulberry_payload_ranges(payload, key, mulberry_sender_number(track, 0), ranges, n);
}

/* What was missing when the call was processed. */
static void
add_missing(mulberry_payload *payload, const mulberry_call *call)
{
	List *tracks = mulberry_list_tracks(call, SnapshotSelf);
	mulberry_partition partition;

	mulberry_payload_integer(payload, "missing_packets", mulberry_missing_packets(call));
	mulberry_open_partition(mulberry_call_day(call->id), RowExclusiveLock, &partition);
	add_missing_ranges(payload, "missing_ranges", &partition, linitial(tracks));
	if (list_length(tracks) > 1)
	{
		mulberry_payload_begin_object(payload, "missing_tracks");
		for (int i = 1; i < list_length(tracks); i++)
		{
			const mulberry_track *track = list_nth(tracks, i);

			add_missing_ranges(payload, track->name, &partition, track);
		}
		mulberry_payload_end_object(payload);
	}
	mulberry_close_partition(&partition);
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

/* What is finished can be searched. */
static void
index_transcript(const mulberry_call *call, Datum transcription)
{
	static mulberry_statement statement = { "SELECT mulberry_internal.index_transcript($1, $2, $3)",
											3,
											{ INT8OID, UUIDOID, TEXTOID },
											NULL };
	Datum values[3] = { Int64GetDatum(call->id), UUIDPGetDatum(&call->tenant), transcription };
	mulberry_identity before = mulberry_become_owner();

	SPI_connect();
	mulberry_statement_run(&statement, values, NULL);
	SPI_finish();
	mulberry_leave_owner(before);
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
	if (!mulberry_lock_call_argument(fcinfo, &calls, &call, MAY_PROCESS, true, "finish_call()"))
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
	index_transcript(&call, PG_GETARG_DATUM(1));
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
	if (!mulberry_lock_call_argument(fcinfo, &calls, &call, MAY_PROCESS, true, "fail_call()"))
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

	if (!mulberry_lock_call_argument(fcinfo, &calls, &call, MAY_REOPEN, true, "reopen_call()"))
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
