/*
 * call_removal.c
 *	  The steps of erasure and retention that need the call lock: finding a call to be
 *	  erased, and removing a call with all that hangs on it.
 *
 * Which calls go, and when, is decided in SQL: erase_call() and retention().
 */
#include "server/compat.h"

#include "access/table.h"
#include "access/xact.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "calls/call_relations.h"
#include "calls/calls.h"
#include "calls/gaps.h"
#include "calls/packets.h"
#include "calls/tracks.h"
#include "server/relations.h"
#include "server/xact.h"

static void
delete_rows(Oid table, Oid key, int64 call)
{
	Relation relation = table_open(table, RowExclusiveLock);

	mulberry_delete_rows(relation, key, call);
	table_close(relation, NoLock);
}

void
mulberry_delete_belongings(const mulberry_call *call, bool with_packets)
{
	const mulberry_relations *relations = mulberry_get_relations();
	List *tracks = mulberry_list_tracks(call, SnapshotSelf);
	mulberry_partition partition;
	ListCell *cell;

	foreach (cell, tracks)
		mulberry_delete_gaps(((mulberry_track *) lfirst(cell))->id);
	delete_rows(relations->tracks, relations->tracks_key, call->id);
	delete_rows(relations->call_details, relations->call_details_key, call->id);
	delete_rows(relations->segments, relations->segments_key, call->id);
	delete_rows(relations->transcripts, relations->transcripts_key, call->id);
	if (!with_packets || !mulberry_partition_exists(mulberry_call_day(call->id)))
		return;
	mulberry_open_partition(mulberry_call_day(call->id), RowExclusiveLock, &partition);
	foreach (cell, tracks)
		mulberry_delete_packets(&partition, ((mulberry_track *) lfirst(cell))->id);
	mulberry_close_partition(&partition);
}

/* Removes a call whose lock is held, and its packets unless their partition goes as a whole. */
static void
remove_call(Relation calls, mulberry_call *call, bool with_packets)
{
	mulberry_delete_belongings(call, with_packets);
	mulberry_delete_row(calls, &call->track.version.tid);
	CommandCounterIncrement();
}

PG_FUNCTION_INFO_V1(mulberry_remove_call);

/*
 * remove_call(tenant uuid, call_id text) -> bigint: waits for the lock, removes
 * the call whatever its state is, and returns its id; null when there is none.
 */
Datum
mulberry_remove_call(PG_FUNCTION_ARGS)
{
	pg_uuid_t *tenant = PG_GETARG_UUID_P(0);
	text *call_id = PG_GETARG_TEXT_PP(1);
	int length = VARSIZE_ANY_EXHDR(call_id);
	Relation calls;
	mulberry_call call;
	bool found = false;

	mulberry_require_writable("remove_call()");
	if (length > MULBERRY_MAX_CALL_ID)
		PG_RETURN_NULL();
	calls = mulberry_open_calls();
	mulberry_lock_call(tenant, VARDATA_ANY(call_id), length);
	found = mulberry_find_call(calls, tenant, VARDATA_ANY(call_id), length, &call);
	if (found)
		remove_call(calls, &call, true);
	table_close(calls, NoLock);
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_INT64(call.id);
}

PG_FUNCTION_INFO_V1(mulberry_remove_finished_call);

/*
 * remove_finished_call(call bigint, with_packets boolean) -> boolean: false when
 * the call is gone, busy, or has been opened again.
 */
Datum
mulberry_remove_finished_call(PG_FUNCTION_ARGS)
{
	Relation calls;
	mulberry_call call;
	bool removed = false;

	mulberry_require_writable("remove_finished_call()");
	calls = mulberry_open_calls();
	if (mulberry_lock_call_by_id(calls, PG_GETARG_INT64(0), false, &call) &&
		(call.state == MULBERRY_ARCHIVED || call.state == MULBERRY_FAILED))
	{
		remove_call(calls, &call, PG_GETARG_BOOL(1));
		removed = true;
	}
	table_close(calls, NoLock);
	PG_RETURN_BOOL(removed);
}
