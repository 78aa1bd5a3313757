/*
 * call_completion.c
 *	  The end of a call: complete_call() by the sender, track by track or at once, silence instead
 *	  of it, and the grace period.
 *
 * Each takes the call lock, reads the state under it and changes it in the same
 * transaction as what follows from it (job, events).
 */
#include "server/compat.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "access/access.h"
#include "calls/call_arguments.h"
#include "calls/call_completion.h"
#include "calls/call_state.h"
#include "calls/packets.h"
#include "calls/tracks.h"
#include "jobs/jobs.h"
#include "server/catalog.h"
#include "server/guc.h"
#include "server/plans.h"
#include "server/row.h"
#include "server/texts.h"
#include "server/xact.h"

#define MS_PER_MINUTE 60000
#define MAY_COMPLETE (MULBERRY_ACCESS_INGEST | MULBERRY_ACCESS_OPERATOR)

/* Where tracks of a call stand. */
typedef struct track_figures
{
	int64 received;
	int64 missing;	/* in gaps, and announced behind the last one that arrived */
	int64 extra;	/* beyond what was announced */
	int64 expected; /* as far as it was announced */
	bool all_announced;
} track_figures;

static void
add_track(track_figures *figures, const mulberry_partition *partition, const mulberry_track *track)
{
	int64 next = mulberry_next_sequence(partition, track->id);

	figures->received += next - track->missing_count;
	figures->missing += track->missing_count;
	if (track->expected_total == MULBERRY_NO_TOTAL)
	{
		figures->all_announced = false;
		return;
	}
	figures->expected += track->expected_total;
	figures->missing += Max(0, track->expected_total - next);
	figures->extra += Max(0, next - track->expected_total);
}

/* Of one track of a call whose lock is held, or of all (NULL). */
static track_figures
read_figures(const mulberry_call *call, const mulberry_track *only)
{
	track_figures figures = { .all_announced = true };
	mulberry_partition partition;

	mulberry_open_partition(mulberry_call_day(call->id), RowExclusiveLock, &partition);
	if (only != NULL)
		add_track(&figures, &partition, only);
	else
	{
		ListCell *cell;

		foreach (cell, mulberry_list_tracks(call, SnapshotSelf))
			add_track(&figures, &partition, lfirst(cell));
	}
	mulberry_close_partition(&partition);
	return figures;
}

int64
mulberry_missing_packets(const mulberry_call *call)
{
	return read_figures(call, NULL).missing;
}

/* The endpoint that begin_call() or describe_call() has named for it; NULL: none. */
static char *
named_endpoint(const mulberry_call *call)
{
	static mulberry_statement statement = {
		"SELECT mulberry_internal.call_endpoint($1)", 1, { INT8OID }, NULL
	};
	MemoryContext context = CurrentMemoryContext;
	Datum id = Int64GetDatum(call->id);
	mulberry_identity before = mulberry_become_owner();
	char *name;

	SPI_connect();
	mulberry_statement_run(&statement, &id, NULL);
	name = mulberry_result_text(0, 1, context);
	SPI_finish();
	mulberry_leave_owner(before);
	return name;
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

	if (total != MULBERRY_NO_TOTAL)
		mulberry_change_column(&change, Anum_calls_expected_total_packets, Int32GetDatum(total));
	mulberry_change_column(&change, Anum_calls_completed_at, TimestampTzGetDatum(now));
	mulberry_change_column(&change, Anum_calls_grace_until, TimestampTzGetDatum(due));
	mulberry_move_call(calls, call, MULBERRY_COMPLETED, false, &change);
	mulberry_enqueue_job("transcribe", &call->tenant, call->id, named_endpoint(call), NULL, due);
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

/* The answer to the end of a call or of some tracks, a completion_result. */
static Datum
form_completion(FunctionCallInfo fcinfo, const mulberry_call *call, const track_figures *figures)
{
	mulberry_row row;

	mulberry_row_begin_named(&row, fcinfo);
	mulberry_row_add_text(&row, "accepted");
	mulberry_row_add_text(&row, call->state == MULBERRY_IN_PROGRESS
									? "Track completion signal received; other tracks are open"
									: "Call completion signal received");
	mulberry_row_add_text(&row, call->call_id);
	mulberry_row_add(&row, Int32GetDatum((int32) Min(figures->expected, PG_INT32_MAX)));
	mulberry_row_add(&row, Int64GetDatum(figures->received));
	mulberry_row_add(&row, Int64GetDatum(figures->missing));
	mulberry_row_add(&row, Int64GetDatum(figures->extra));
	return mulberry_row_end(&row);
}

/* What the sender says that it sent in a track. */
typedef struct announcement
{
	const text *track; /* NULL: the first */
	int32 total;
} announcement;

/* Nothing may have been sent in one of several tracks, but not in a call as a whole. */
static int32
check_total(int64 total, int least)
{
	if (total < least || total > MULBERRY_MAX_SEQUENCE + 1)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("total_packets %lld is out of range", (long long) total),
				 errdetail("It must lie between %d and %d.", least, MULBERRY_MAX_SEQUENCE + 1)));
	return (int32) total;
}

/* Reads totals, {"caller": 1200, "agent": 1180}. */
static List *
read_totals(Jsonb *totals)
{
	List *list = NIL;
	JsonbIterator *iterator;
	JsonbValue key;
	JsonbValue value;

	if (!JB_ROOT_IS_OBJECT(totals) || JB_ROOT_COUNT(totals) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("totals must be an object with a number for each track")));
	iterator = JsonbIteratorInit(&totals->root);
	(void) JsonbIteratorNext(&iterator, &key, false); /* WJB_BEGIN_OBJECT */
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		announcement *said = palloc(sizeof(announcement));
		Datum number;

		(void) JsonbIteratorNext(&iterator, &value, true);
		said->track = cstring_to_text_with_len(key.val.string.val, key.val.string.len);
		number = value.type == jbvNumeric ? NumericGetDatum(value.val.numeric) : (Datum) 0;
		if (number == (Datum) 0 ||
			!DatumGetBool(DirectFunctionCall2(numeric_eq, number,
											  DirectFunctionCall1(numeric_floor, number))))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("total of track \"%s\" must be a whole number",
								   text_to_cstring(said->track))));
		said->total = check_total(DatumGetInt64(DirectFunctionCall1(numeric_int8, number)), 0);
		list = lappend(list, said);
	}
	return list;
}

/* What the arguments of complete_call() announce. */
static List *
read_announcements(FunctionCallInfo fcinfo)
{
	announcement *said;

	if (!PG_ARGISNULL(4))
	{
		if (!PG_ARGISNULL(1) || !PG_ARGISNULL(3))
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("totals says it for all tracks; total_packets and track must be null")));
		return read_totals(PG_GETARG_JSONB_P(4));
	}
	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("total_packets must not be null")));
	said = palloc(sizeof(announcement));
	said->track = PG_ARGISNULL(3) ? NULL : PG_GETARG_TEXT_PP(3);
	said->total = check_total(PG_GETARG_INT32(1), PG_ARGISNULL(3) ? 1 : 0);
	return list_make1(said);
}

/*
 * Notes what was announced of a track; true when that is news.  What is said of the first track is
 * not written, because it goes into the row of the call together with its state.
 */
static bool
announce(Relation calls, mulberry_call *call, mulberry_track *track, int32 total)
{
	if (track->expected_total == total)
		return false;
	if (track->expected_total != MULBERRY_NO_TOTAL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 track->number == 0
					 ? errmsg("call \"%s\" was already completed with another number of packets",
							  call->call_id)
					 : errmsg("track \"%s\" of call \"%s\" was already completed with another "
							  "number of packets",
							  track->name, call->call_id),
				 errdetail("It was completed with %d packets; this says %d.", track->expected_total,
						   total)));
	if (track->number == 0)
		call->track.expected_total = total;
	else
		mulberry_change_track(calls, call, track, MULBERRY_TRACK_EXPECTED_TOTAL,
							  Int32GetDatum(total));
	return true;
}

static Datum
complete_call(FunctionCallInfo fcinfo, mulberry_tenant tenant)
{
	text *call_id;
	List *announcements;
	ListCell *cell;
	Relation calls;
	mulberry_call call;
	mulberry_track track;
	track_figures all;
	track_figures answered;
	int32 first_total = MULBERRY_NO_TOTAL; /* that has to be written */
	bool news = false;

	mulberry_require_writable("complete_call()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("call id must not be null")));
	call_id = PG_GETARG_TEXT_PP(0);
	announcements = read_announcements(fcinfo);

	mulberry_check_argument("call_id", call_id);
	calls = mulberry_open_calls();
	if (VARSIZE_ANY_EXHDR(call_id) <= MULBERRY_MAX_CALL_ID)
		mulberry_lock_call(&tenant.id, VARDATA_ANY(call_id), VARSIZE_ANY_EXHDR(call_id));
	if (VARSIZE_ANY_EXHDR(call_id) > MULBERRY_MAX_CALL_ID ||
		!mulberry_find_call(calls, &tenant.id, VARDATA_ANY(call_id), VARSIZE_ANY_EXHDR(call_id),
							&call))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("call \"%s\" does not exist", text_to_cstring(call_id))));

	track = call.track;
	foreach (cell, announcements)
	{
		const announcement *said = lfirst(cell);

		mulberry_require_track(&call, said->track, SnapshotSelf, &track);
		if (!announce(calls, &call, &track, said->total))
			continue;
		news = true;
		if (track.number == 0)
			first_total = said->total;
	}
	all = read_figures(&call, NULL);
	if (all.expected == 0 && all.all_announced)
		check_total(0, 1);
	if (call.state == MULBERRY_IN_PROGRESS && all.all_announced)
		complete(calls, &call, first_total, all.missing > 0);
	else if (first_total != MULBERRY_NO_TOTAL)
		mulberry_change_track(calls, &call, &call.track, MULBERRY_TRACK_EXPECTED_TOTAL,
							  Int32GetDatum(first_total));
	if (news)
		mulberry_require_durable_commit();
	answered =
		PG_ARGISNULL(4) ? read_figures(&call, track.number == 0 ? &call.track : &track) : all;
	table_close(calls, NoLock);
	return form_completion(fcinfo, &call, &answered);
}

PG_FUNCTION_INFO_V1(mulberry_complete_call);
PG_FUNCTION_INFO_V1(mulberry_complete_call_of);

/*
 * complete_call(call_id text, total_packets integer, tenant text, track text, totals jsonb)
 */
Datum
mulberry_complete_call(PG_FUNCTION_ARGS)
{
	return complete_call(
		fcinfo, *mulberry_resolve_tenant(
					PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)), MAY_COMPLETE));
}

/* The same for a tenant by its id, whoever asks. */
Datum
mulberry_complete_call_of(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("tenant must not be null")));
	return complete_call(fcinfo, *mulberry_tenant_by_id(PG_GETARG_UUID_P(2)));
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

	if (!mulberry_lock_call_argument(fcinfo, &calls, &call, MULBERRY_ACCESS_WORKER, false,
									 "complete_silent_call()"))
		PG_RETURN_BOOL(false);
	if (call.state == MULBERRY_IN_PROGRESS && !PG_ARGISNULL(1))
	{
		mulberry_partition partition;
		TimestampTz silent_since = PG_GETARG_TIMESTAMPTZ(1);
		ListCell *cell;

		/* The row's own time tells of late arrivals, the last packet's of those in order. */
		mulberry_open_partition(mulberry_call_day(call.id), RowExclusiveLock, &partition);
		done = true;
		foreach (cell, mulberry_list_tracks(&call, SnapshotSelf))
		{
			const mulberry_track *track = lfirst(cell);
			TimestampTz arrived = mulberry_last_arrival(&partition, track->id);

			/* one that came later than now came before the clock was set back: the row's time, which is mended, counts */
			done = done && track->updated_at < silent_since &&
				   (arrived < silent_since ||
					arrived > TimestampTzPlusMilliseconds(GetCurrentTimestamp(), MS_PER_MINUTE));
		}
		mulberry_close_partition(&partition);
		if (done)
			complete(calls, &call, MULBERRY_NO_TOTAL, false);
	}
	table_close(calls, NoLock);
	PG_RETURN_BOOL(done);
}
