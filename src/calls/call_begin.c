/*
 * call_begin.c
 *	  begin_call()'s part that needs the call lock: a call and its tracks before their first packets
 *	  come.  What is said of it beside (call_details) is SQL's, in metadata.sql.
 */
#include "server/compat.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "access/access.h"
#include "calls/ingest.h"
#include "calls/intake_checks.h"
#include "calls/tracks.h"
#include "server/row.h"
#include "server/texts.h"
#include "server/xact.h"

enum begin_argument
{
	Arg_call_id,
	Arg_tenant,
	Arg_encoding,
	Arg_sample_rate,
	Arg_tracks,
	Arg_started_at,
	Arg_first_sequence,
	Arg_counter_bits
};

static bool
same_text(const text *a, const text *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		   memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

/* The names of tracks (text *), checked; NIL when none are said. */
static List *
read_names(FunctionCallInfo fcinfo)
{
	ArrayType *array;
	Datum *values;
	bool *nulls;
	int n;
	List *names = NIL;

	if (PG_ARGISNULL(Arg_tracks))
		return NIL;
	array = PG_GETARG_ARRAYTYPE_P(Arg_tracks);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	if (n == 0 || ARR_NDIM(array) > 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("tracks must be a list of at least one name, or null")));
	if (n > MULBERRY_MAX_TRACKS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("%d are too many tracks", n),
				 errdetail("A call may have at most %d tracks.", MULBERRY_MAX_TRACKS)));
	for (int i = 0; i < n; i++)
	{
		text *name;
		mulberry_fault fault;
		ListCell *cell;

		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("tracks must not contain nulls")));
		name = DatumGetTextPP(values[i]);
		if (!mulberry_check_track_name(name, &fault))
			mulberry_raise_fault(&fault);
		foreach (cell, names)
			if (same_text(lfirst(cell), name))
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
								errmsg("track \"%s\" is named twice", text_to_cstring(name))));
		names = lappend(names, name);
	}
	return names;
}

/* A track as the first one is, under another name. */
static mulberry_track
another_track(const mulberry_track *first, const text *name)
{
	mulberry_track track = *first;

	track.name_length = VARSIZE_ANY_EXHDR(name);
	memcpy(track.name, VARDATA_ANY(name), track.name_length);
	track.name[track.name_length] = '\0';
	return track;
}

pg_noreturn static void refuse_other(const mulberry_call *call, const char *detail);

static void
refuse_other(const mulberry_call *call, const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("call \"%s\" has begun with other values", call->call_id),
					errdetail("%s", detail)));
	pg_unreachable();
}

static const text *
find_name(List *names, const mulberry_track *track)
{
	ListCell *cell;

	foreach (cell, names)
	{
		const text *name = lfirst(cell);

		if (VARSIZE_ANY_EXHDR(name) == track->name_length &&
			memcmp(VARDATA_ANY(name), track->name, track->name_length) == 0)
			return name;
	}
	return NULL;
}

/* Brings a call that exists together with what is said of it now; an error where that is not so. */
static void
join_call(Relation calls, mulberry_call *call, const mulberry_format *format, List *names)
{
	List *tracks = mulberry_list_tracks(call, SnapshotSelf);
	List *missing = list_copy(names);
	mulberry_call_change change = { 0 };
	mulberry_fault fault;
	ListCell *cell;

	foreach (cell, tracks)
	{
		const mulberry_track *track = lfirst(cell);

		if (!mulberry_check_format(call, track, format, &fault))
			refuse_other(call, fault.detail);
		if (names != NIL && find_name(names, track) == NULL)
			refuse_other(
				call, psprintf("It has the tracks %s.", mulberry_track_names(call, SnapshotSelf)));
		missing = list_delete_ptr(missing, unconstify(text *, find_name(names, track)));
	}
	if (missing == NIL && (names == NIL || call->tracks_named))
		return;
	if (call->tracks_named || call->state != MULBERRY_IN_PROGRESS)
		refuse_other(call,
					 psprintf("It has the tracks %s.", mulberry_track_names(call, SnapshotSelf)));
	foreach (cell, missing)
	{
		mulberry_track track = another_track(&call->track, lfirst(cell));

		if (track.counter_bits != 0)
			track.first_sequence = format->first_sequence;
		mulberry_create_track(call, &track);
	}
	mulberry_change_column(&change, Anum_calls_tracks_named, BoolGetDatum(true));
	mulberry_change_call(calls, call, &change);
}

PG_FUNCTION_INFO_V1(mulberry_begin_tracks);

/*
 * begin_tracks(call_id text, tenant text, encoding text, sample_rate integer, tracks text[],
 *		started_at timestamptz, first_sequence bigint, counter_bits integer,
 *		OUT call bigint, OUT begun boolean)
 */
Datum
mulberry_begin_tracks(PG_FUNCTION_ARGS)
{
	mulberry_tenant tenant = *mulberry_resolve_tenant(
		PG_ARGISNULL(Arg_tenant) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(Arg_tenant)),
		MULBERRY_ACCESS_INGEST);
	TimestampTz now = GetCurrentTimestamp();
	mulberry_open_partitions partitions = { 0 };
	mulberry_intake intake;
	mulberry_format format;
	mulberry_fault fault;
	mulberry_row row;
	Relation calls;
	List *names;
	text *call_id;
	bool begun;

	mulberry_require_writable("begin_call()");
	if (PG_ARGISNULL(Arg_call_id))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("call id must not be null")));
	call_id = PG_GETARG_TEXT_PP(Arg_call_id);
	if (!mulberry_check_call_id(call_id, &fault))
		mulberry_raise_fault(&fault);
	mulberry_read_format(fcinfo, Arg_encoding, Arg_sample_rate, Arg_counter_bits,
						 Arg_first_sequence, &format);
	names = read_names(fcinfo);
	mulberry_row_begin(&row, fcinfo);

	mulberry_make_partition(mulberry_day_of(now));
	mulberry_lock_call(&tenant.id, VARDATA_ANY(call_id), VARSIZE_ANY_EXHDR(call_id));
	calls = mulberry_open_calls();
	mulberry_begin_intake(&intake, calls, &partitions, &tenant, call_id, NULL, &format, now, false);
	begun = !intake.exists;
	if (begun)
	{
		mulberry_call *call = &intake.call;
		ListCell *cell;

		call->tracks_named = names != NIL;
		if (names != NIL)
			call->track = another_track(&call->track, linitial(names));
		mulberry_create_call(calls, call, now,
							 PG_ARGISNULL(Arg_started_at) ? DT_NOBEGIN
														  : PG_GETARG_TIMESTAMPTZ(Arg_started_at));
		for_each_from(cell, names, 1)
		{
			mulberry_track track = another_track(&call->track, lfirst(cell));

			mulberry_create_track(call, &track);
		}
		mulberry_require_durable_commit();
	}
	else
		join_call(calls, &intake.call, &format, names);
	mulberry_end_intake(&intake, calls);
	mulberry_close_partitions(&partitions);
	table_close(calls, NoLock);
	mulberry_row_add(&row, Int64GetDatum(intake.call.id));
	mulberry_row_add(&row, BoolGetDatum(begun));
	return mulberry_row_end(&row);
}

PG_FUNCTION_INFO_V1(mulberry_lock_named_call);

/*
 * lock_named_call(tenant uuid, call_id text) -> bigint: its id, null when there is none.
 */
Datum
mulberry_lock_named_call(PG_FUNCTION_ARGS)
{
	pg_uuid_t *tenant = PG_GETARG_UUID_P(0);
	text *call_id = PG_GETARG_TEXT_PP(1);
	Relation calls;
	mulberry_call call;
	bool found;

	mulberry_require_writable("describe_call()");
	if (VARSIZE_ANY_EXHDR(call_id) > MULBERRY_MAX_CALL_ID)
		PG_RETURN_NULL();
	calls = mulberry_open_calls();
	mulberry_lock_call(tenant, VARDATA_ANY(call_id), VARSIZE_ANY_EXHDR(call_id));
	found =
		mulberry_find_call(calls, tenant, VARDATA_ANY(call_id), VARSIZE_ANY_EXHDR(call_id), &call);
	table_close(calls, NoLock);
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_INT64(call.id);
}
