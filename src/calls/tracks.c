/*
 * tracks.c
 *	  The rows of tracks: finding, creating and changing them.
 *
 * Like calls.c this knows nothing of packets and gaps; what it reads as the latest state is only
 * sound under the lock of the call.
 */
#include "server/compat.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "calls/call_relations.h"
#include "calls/tracks.h"
#include "server/catalog.h"
#include "server/plans.h"
#include "server/relations.h"
#include "server/texts.h"

void
mulberry_read_track_columns(TupleTableSlot *slot, const mulberry_track_columns *columns,
							mulberry_track *track)
{
	const Datum *values = slot->tts_values;
	const bool *nulls = slot->tts_isnull;
	text *name = DatumGetTextPP(values[columns->name - 1]);
	text *encoding = DatumGetTextPP(values[columns->encoding - 1]);

	track->name_length = VARSIZE_ANY_EXHDR(name);
	Assert(track->name_length <= MULBERRY_MAX_TRACK);
	memcpy(track->name, VARDATA_ANY(name), track->name_length);
	track->name[track->name_length] = '\0';
	if (!mulberry_call_encoding_from_name(VARDATA_ANY(encoding), VARSIZE_ANY_EXHDR(encoding),
										  &track->encoding))
		elog(ERROR, "track %lld has an unknown encoding", (long long) track->id);
	track->sample_rate = DatumGetInt32(values[columns->sample_rate - 1]);
	track->expected_total = nulls[columns->expected_total - 1]
								? MULBERRY_NO_TOTAL
								: DatumGetInt32(values[columns->expected_total - 1]);
	track->missing_count = DatumGetInt64(values[columns->missing_count - 1]);
	track->first_sequence = nulls[columns->first_sequence - 1]
								? MULBERRY_NO_FIRST
								: DatumGetInt64(values[columns->first_sequence - 1]);
	track->counter_bits =
		nulls[columns->counter_bits - 1] ? 0 : DatumGetInt16(values[columns->counter_bits - 1]);
	track->updated_at = DatumGetTimestampTz(values[columns->updated_at - 1]);
	mulberry_read_version(ExecFetchSlotHeapTuple(slot, false, NULL), &track->version);
}


static void
read_row(TupleTableSlot *slot, mulberry_track *track)
{
	static const mulberry_track_columns columns = {
		.name = Anum_tracks_name,
		.encoding = Anum_tracks_encoding,
		.sample_rate = Anum_tracks_sample_rate,
		.expected_total = Anum_tracks_expected_total_packets,
		.missing_count = Anum_tracks_missing_count,
		.first_sequence = Anum_tracks_first_sequence,
		.counter_bits = Anum_tracks_counter_bits,
		.updated_at = Anum_tracks_updated_at,
	};

	slot_getsomeattrs(slot, Natts_tracks);
	track->id = DatumGetInt64(slot->tts_values[Anum_tracks_id - 1]);
	track->number = DatumGetInt16(slot->tts_values[Anum_tracks_number - 1]);
	mulberry_read_track_columns(slot, &columns, track);
}

static bool
is_named(const mulberry_track *track, const char *name, int length)
{
	return track->name_length == length && memcmp(track->name, name, length) == 0;
}

static Relation
open_tracks(LOCKMODE mode)
{
	return table_open(mulberry_get_relations()->tracks, mode);
}

/*
 * Where this session last found rows of tracks; as in calls.c a place proves nothing, what is read
 * there does.
 */
#define KNOWN_PLACES 256

typedef struct known_place
{
	int64 call;
	uint32 name; /* hash */
	ItemPointerData tid;
} known_place;

static known_place known_places[KNOWN_PLACES];

static bool
read_known_place(Relation tracks, const known_place *place, int64 call, const char *name,
				 int length, mulberry_track *track)
{
	TupleTableSlot *slot = mulberry_row_at(tracks, &place->tid);
	bool found;

	if (slot == NULL)
		return false;
	read_row(slot, track);
	found = DatumGetInt64(slot->tts_values[Anum_tracks_call - 1]) == call &&
			is_named(track, name, length);
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

static bool
find_by_name(Relation tracks, int64 call, const char *name, int length, mulberry_track *track)
{
	/* A text key on the stack: no longer than a name may be. */
	union
	{
		text value;
		char space[VARHDRSZ + MULBERRY_MAX_TRACK];
	} key;
	ScanKeyData keys[2];
	mulberry_scan scan;
	bool found;

	SET_VARSIZE(&key.value, VARHDRSZ + length);
	memcpy(VARDATA(&key.value), name, length);
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(call));
	ScanKeyEntryInitialize(&keys[1], 0, 2, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
						   F_TEXTEQ, PointerGetDatum(&key.value));
	mulberry_begin_scan(&scan, tracks, mulberry_get_relations()->tracks_name_key, keys, 2);
	found = mulberry_next_row(&scan, ForwardScanDirection);
	if (found)
		read_row(scan.slot, track);
	mulberry_end_scan(&scan);
	return found;
}

bool
mulberry_find_track(const mulberry_call *call, const char *name, int length, mulberry_track *track)
{
	uint32 hash;
	known_place *place;
	Relation tracks;
	bool found;

	if (is_named(&call->track, name, length))
	{
		*track = call->track;
		return true;
	}
	hash = hash_bytes((const unsigned char *) name, length);
	place = &known_places[(call->id + hash) % KNOWN_PLACES];
	tracks = open_tracks(AccessShareLock);
	found = place->call == call->id && place->name == hash &&
			read_known_place(tracks, place, call->id, name, length, track);
	if (!found)
	{
		found = find_by_name(tracks, call->id, name, length, track);
		if (found)
			*place = (known_place){ call->id, hash, track->version.tid };
	}
	table_close(tracks, NoLock);
	return found;
}

bool
mulberry_read_track(int64 id, Snapshot snapshot, mulberry_call *call, mulberry_track *track)
{
	Relation calls = table_open(mulberry_get_relations()->calls, AccessShareLock);
	bool found = mulberry_read_call(calls, id, snapshot, call);

	if (found)
		*track = call->track;
	else
	{
		Relation tracks = open_tracks(AccessShareLock);
		ScanKeyData key;
		mulberry_scan scan;
		int64 of = 0;

		ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(id));
		mulberry_begin_scan_with(&scan, tracks, mulberry_get_relations()->tracks_id_key, &key, 1,
								 snapshot);
		found = mulberry_next_row(&scan, ForwardScanDirection);
		if (found)
		{
			read_row(scan.slot, track);
			of = DatumGetInt64(scan.slot->tts_values[Anum_tracks_call - 1]);
		}
		mulberry_end_scan(&scan);
		table_close(tracks, NoLock);
		found = found && mulberry_read_call(calls, of, snapshot, call);
	}
	table_close(calls, NoLock);
	return found;
}

List *
mulberry_list_tracks(const mulberry_call *call, Snapshot snapshot)
{
	Relation tracks = open_tracks(AccessShareLock);
	mulberry_track *track = palloc(sizeof(mulberry_track));
	List *list;
	ScanKeyData key;
	mulberry_scan scan;

	*track = call->track;
	list = list_make1(track);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(call->id));
	mulberry_begin_scan_with(&scan, tracks, mulberry_get_relations()->tracks_key, &key, 1,
							 snapshot);
	while (mulberry_next_row(&scan, ForwardScanDirection))
	{
		track = palloc(sizeof(mulberry_track));
		read_row(scan.slot, track);
		list = lappend(list, track);
	}
	mulberry_end_scan(&scan);
	table_close(tracks, NoLock);
	return list;
}

const char *
mulberry_shown_track_name(const mulberry_track *track)
{
	return track->number == 0 && strcmp(track->name, MULBERRY_FIRST_TRACK) == 0 ? "" : track->name;
}

char *
mulberry_track_names(const mulberry_call *call, Snapshot snapshot)
{
	StringInfoData names;
	ListCell *cell;

	initStringInfo(&names);
	foreach (cell, mulberry_list_tracks(call, snapshot))
		appendStringInfo(&names, names.len > 0 ? ", %s" : "%s",
						 ((mulberry_track *) lfirst(cell))->name);
	return names.data;
}

void
mulberry_require_track(const mulberry_call *call, const text *name, Snapshot snapshot,
					   mulberry_track *track)
{
	ListCell *cell;

	if (name != NULL)
		mulberry_check_argument("track", name);
	foreach (cell, mulberry_list_tracks(call, snapshot))
	{
		*track = *(mulberry_track *) lfirst(cell);
		if (name == NULL || (track->name_length == VARSIZE_ANY_EXHDR(name) &&
							 memcmp(track->name, VARDATA_ANY(name), track->name_length) == 0))
			return;
	}
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("call \"%s\" has no track \"%s\"", call->call_id, text_to_cstring(name)),
					errdetail("It has the tracks %s.", mulberry_track_names(call, snapshot))));
}

/*
 * Through the executor, for the table's constraints, as with calls: it happens once a track.
 */
void
mulberry_create_track(const mulberry_call *call, mulberry_track *track)
{
	static mulberry_statement insert_statement = {
		"INSERT INTO mulberry_internal.tracks (call, number, id, name, encoding, sample_rate,"
		" first_sequence, counter_bits)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		8,
		{ INT8OID, INT2OID, INT8OID, TEXTOID, TEXTOID, INT4OID, INT8OID, INT2OID }
	};
	int number = list_length(mulberry_list_tracks(call, SnapshotSelf));
	mulberry_identity before;
	Datum values[8];
	char nulls[] = "        ";

	values[0] = Int64GetDatum(call->id);
	values[1] = Int16GetDatum(number);
	/* of the call's own day, whenever it begins, so that they have one partition */
	values[2] = Int64GetDatum(mulberry_new_call_number(mulberry_call_day(call->id)));
	values[3] = PointerGetDatum(cstring_to_text_with_len(track->name, track->name_length));
	values[4] = CStringGetTextDatum(mulberry_call_encoding_name(track->encoding));
	values[5] = Int32GetDatum(track->sample_rate);
	values[6] = Int64GetDatum(track->first_sequence);
	values[7] = Int16GetDatum(track->counter_bits);
	if (track->first_sequence == MULBERRY_NO_FIRST)
		nulls[6] = 'n';
	if (track->counter_bits == 0)
		nulls[7] = 'n';

	before = mulberry_become_owner();
	SPI_connect();
	(void) mulberry_statement_run(&insert_statement, values, nulls);
	SPI_finish();
	mulberry_leave_owner(before);
	CommandCounterIncrement();
	if (!mulberry_find_track(call, track->name, track->name_length, track))
		elog(ERROR, "a track just created is not there");
}

static void
change_row(mulberry_track *track, int column, Datum value)
{
	Relation tracks = open_tracks(RowExclusiveLock);
	TupleTableSlot *slot = table_slot_create(tracks, NULL);
	int columns[] = { column, Anum_tracks_updated_at };
	Datum values[] = { value, TimestampTzGetDatum(GetCurrentTimestamp()) };
	bool nulls[] = { false, false };
	HeapTuple tuple;

	if (!table_tuple_fetch_row_version(tracks, &track->version.tid, SnapshotSelf, slot))
		elog(ERROR, "row of track \"%s\" went away under the lock of its call", track->name);
	tuple = heap_modify_tuple_by_cols(ExecFetchSlotHeapTuple(slot, false, NULL),
									  RelationGetDescr(tracks), lengthof(columns), columns, values,
									  nulls);
	mulberry_replace_row(tracks, &track->version.tid, tuple);
	CommandCounterIncrement();

	ExecForceStoreHeapTuple(tuple, slot, false);
	read_row(slot, track);
	ExecDropSingleTupleTableSlot(slot);
	table_close(tracks, NoLock);
}

void
mulberry_change_track(Relation calls, mulberry_call *call, mulberry_track *track,
					  mulberry_track_field field, Datum value)
{
	static const struct
	{
		int in_calls;
		int in_tracks;
	} columns[] = {
		[MULBERRY_TRACK_EXPECTED_TOTAL] = { Anum_calls_expected_total_packets,
											Anum_tracks_expected_total_packets },
		[MULBERRY_TRACK_MISSING_COUNT] = { Anum_calls_missing_count, Anum_tracks_missing_count },
		[MULBERRY_TRACK_FIRST_SEQUENCE] = { Anum_calls_first_sequence, Anum_tracks_first_sequence },
	};
	mulberry_call_change change = { 0 };

	if (track->number > 0)
	{
		change_row(track, columns[field].in_tracks, value);
		return;
	}
	mulberry_change_column(&change, columns[field].in_calls, value);
	mulberry_change_call(calls, call, &change);
	if (track != &call->track)
		*track = call->track;
}
