/*
 * calls.c
 *	  The call lock and the row of a call: finding, creating and changing it.
 *
 * Packets, gaps and the state machine build on this file; it knows nothing of
 * them.  What is read here is the latest state and only sound under the call lock.
 */
#include "server/compat.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "calls/call_relations.h"
#include "calls/calls.h"
#include "calls/tracks.h"
#include "metrics/counters.h"
#include "server/catalog.h"
#include "server/guc.h"
#include "server/locks.h"
#include "server/plans.h"
#include "server/relations.h"
#include "server/xact.h"

#define CALL_NUMBER_BITS 40

static const char *const state_names[] = { "IN_PROGRESS", "COMPLETED", "PROCESSING_AI", "ARCHIVED",
										   "FAILED" };
static const char *const encoding_names[] = { "mulaw", "alaw", "s16le", "text" };

/* Position of a name of given length in a list, or -1. */
static int
find_name(const char *const *names, int n, const char *name, int length)
{
	for (int i = 0; i < n; i++)
		if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0)
			return i;
	return -1;
}

const char *
mulberry_call_state_name(mulberry_call_state state)
{
	return state_names[state];
}

mulberry_call_state
mulberry_call_state_from_name(const char *name, int length)
{
	int found = find_name(state_names, lengthof(state_names), name, length);

	if (found < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"%.*s\" is no state of a call", length, name)));
	return (mulberry_call_state) found;
}

const char *
mulberry_call_encoding_name(mulberry_call_encoding encoding)
{
	return encoding_names[encoding];
}

bool
mulberry_call_encoding_from_name(const char *name, int length, mulberry_call_encoding *encoding)
{
	int found = find_name(encoding_names, lengthof(encoding_names), name, length);

	*encoding = (mulberry_call_encoding) found;
	return found >= 0;
}

int32
mulberry_call_day(int64 call)
{
	return (int32) (call >> CALL_NUMBER_BITS);
}

int64
mulberry_first_call_of_day(int32 day)
{
	return (int64) day << CALL_NUMBER_BITS;
}

int32
mulberry_day_of(TimestampTz time)
{
	int64 day = time / USECS_PER_DAY;

	if (time < 0 && time % USECS_PER_DAY != 0)
		day--;
	return (int32) (day + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE));
}

uint64
mulberry_call_lock_key(const pg_uuid_t *tenant, const char *call_id, int length)
{
	uint64 seed;
	uint64 secret;

	/*
	 * A uuid is random enough to seed with one half and hash the other, but not
	 * secret: the default tenant's is a constant, and pg_locks shows this key to
	 * everybody.  The nonce, which never leaves the server, keeps others from telling
	 * which calls are going on, and from making up a call id that meets another's lock.
	 */
	memcpy(&seed, tenant->data, sizeof(seed));
	memcpy(&secret, GetMockAuthenticationNonce(), sizeof(secret));
	seed ^= secret;
	seed ^= hash_bytes_extended(tenant->data + sizeof(seed), UUID_LEN - sizeof(seed), 0);
	return hash_bytes_extended((const unsigned char *) call_id, length, seed);
}

static void
refuse_more_call_locks(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("transaction changes more calls than mulberry.max_batch_calls"),
			 errdetail("A transaction may change at most %d calls.", mulberry_max_batch_calls),
			 errhint("Commit before the next: the server's lock table has room for so many of each "
					 "client.")));
}

/*
 * Takes the lock of a call, unless the transaction has it.  Locks are held until it ends, in a table
 * that all share, so one transaction does not get more of them than one batch, call by call neither.
 * Who does not wait is shared work, which ends before that (see mulberry_call_locks_left()), or an
 * UPDATE of somebody who owns the table.
 */
static bool
lock_call(uint64 key, bool wait)
{
	bool full = wait && mulberry_xact_call_locks() >= mulberry_max_batch_calls;
	LockAcquireResult result =
		mulberry_take_lock(MULBERRY_LOCK_CALL, key, ExclusiveLock, wait && !full);

	if (full && result != LOCKACQUIRE_ALREADY_HELD)
		refuse_more_call_locks();
	if (result == LOCKACQUIRE_OK)
		mulberry_xact_took_call_lock();
	return result != LOCKACQUIRE_NOT_AVAIL;
}

int
mulberry_call_locks_left(void)
{
	return Max(mulberry_max_batch_calls - mulberry_xact_call_locks(), 0);
}

void
mulberry_require_call_locks(void)
{
	if (mulberry_call_locks_left() == 0)
		refuse_more_call_locks();
}

void
mulberry_lock_call_key(uint64 key)
{
	(void) lock_call(key, true);
}

void
mulberry_lock_call(const pg_uuid_t *tenant, const char *call_id, int length)
{
	mulberry_lock_call_key(mulberry_call_lock_key(tenant, call_id, length));
}

bool
mulberry_try_lock_call(const pg_uuid_t *tenant, const char *call_id, int length)
{
	return lock_call(mulberry_call_lock_key(tenant, call_id, length), false);
}

Relation
mulberry_open_calls(void)
{
	return table_open(mulberry_get_relations()->calls, RowExclusiveLock);
}

void
mulberry_read_version(HeapTuple tuple, mulberry_version *version)
{
	version->tid = tuple->t_self;
	version->xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
	version->command = HeapTupleHeaderGetRawCommandId(tuple->t_data);
}

/* Takes a call out of its row. */
static void
read_call(TupleTableSlot *slot, mulberry_call *call)
{
	static const mulberry_track_columns columns = {
		.name = Anum_calls_track,
		.encoding = Anum_calls_encoding,
		.sample_rate = Anum_calls_sample_rate,
		.expected_total = Anum_calls_expected_total_packets,
		.missing_count = Anum_calls_missing_count,
		.first_sequence = Anum_calls_first_sequence,
		.counter_bits = Anum_calls_counter_bits,
		.updated_at = Anum_calls_updated_at,
	};
	mulberry_track *track = &call->track;
	text *name;
	text *state;

	slot_getsomeattrs(slot, Anum_calls_updated_at);
	call->id = DatumGetInt64(slot->tts_values[Anum_calls_id - 1]);
	call->tenant = *DatumGetUUIDP(slot->tts_values[Anum_calls_tenant - 1]);

	/* None of these is long enough to be compressed or moved out of the row. */
	name = DatumGetTextPP(slot->tts_values[Anum_calls_call_id - 1]);
	call->call_id_length = VARSIZE_ANY_EXHDR(name);
	Assert(call->call_id_length <= MULBERRY_MAX_CALL_ID);
	memcpy(call->call_id, VARDATA_ANY(name), call->call_id_length);
	call->call_id[call->call_id_length] = '\0';
	state = DatumGetTextPP(slot->tts_values[Anum_calls_state - 1]);
	call->state = mulberry_call_state_from_name(VARDATA_ANY(state), VARSIZE_ANY_EXHDR(state));
	call->tracks_named = DatumGetBool(slot->tts_values[Anum_calls_tracks_named - 1]);
	track->id = call->id;
	track->number = 0;
	mulberry_read_track_columns(slot, &columns, track);
}

/*
 * Where this session last found the rows of calls, so that a packet need not descend
 * the index.  A place proves nothing: what is read there must be visible and be
 * the call, or the index is asked.
 */
#define KNOWN_PLACES 4096

typedef struct known_place
{
	uint64 key; /* of the call lock */
	ItemPointerData tid;
} known_place;

static known_place known_places[KNOWN_PLACES];

static bool
read_known_place(Relation calls, known_place *place, const pg_uuid_t *tenant, const char *call_id,
				 int length, mulberry_call *call)
{
	TupleTableSlot *slot = mulberry_row_at(calls, &place->tid);
	bool found;

	if (slot == NULL)
		return false;
	read_call(slot, call);
	found = call->call_id_length == length && memcmp(call->call_id, call_id, length) == 0 &&
			memcmp(&call->tenant, tenant, sizeof(*tenant)) == 0;
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

bool
mulberry_find_call(Relation calls, const pg_uuid_t *tenant, const char *call_id, int length,
				   mulberry_call *call)
{
	uint64 key = mulberry_call_lock_key(tenant, call_id, length);
	known_place *place = &known_places[key % KNOWN_PLACES];

	if (place->key == key && ItemPointerIsValid(&place->tid) &&
		read_known_place(calls, place, tenant, call_id, length, call))
		return true;
	if (!mulberry_read_named_call(calls, tenant, call_id, length, SnapshotSelf, call))
		return false;
	place->key = key;
	place->tid = call->track.version.tid;
	return true;
}

bool
mulberry_read_named_call(Relation calls, const pg_uuid_t *tenant, const char *call_id, int length,
						 Snapshot snapshot, mulberry_call *call)
{
	/* A text key on the stack: no longer than a call id may be. */
	union
	{
		text value;
		char space[VARHDRSZ + MULBERRY_MAX_CALL_ID];
	} name;
	ScanKeyData keys[2];
	mulberry_scan scan;
	bool found;

	SET_VARSIZE(&name.value, VARHDRSZ + length);
	memcpy(VARDATA(&name.value), call_id, length);
	ScanKeyEntryInitialize(&keys[0], 0, 1, BTEqualStrategyNumber, InvalidOid, InvalidOid, F_UUID_EQ,
						   UUIDPGetDatum(tenant));
	ScanKeyEntryInitialize(&keys[1], 0, 2, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
						   F_TEXTEQ, PointerGetDatum(&name.value));

	mulberry_begin_scan_with(&scan, calls, mulberry_get_relations()->calls_name_key, keys, 2,
							 snapshot);
	found = mulberry_next_row(&scan, ForwardScanDirection);
	if (found)
		read_call(scan.slot, call);
	mulberry_end_scan(&scan);
	return found;
}

bool
mulberry_read_call(Relation calls, int64 id, Snapshot snapshot, mulberry_call *call)
{
	ScanKeyData key;
	mulberry_scan scan;
	bool found;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(id));
	mulberry_begin_scan_with(&scan, calls, mulberry_get_relations()->calls_id_key, &key, 1,
							 snapshot);
	found = mulberry_next_row(&scan, ForwardScanDirection);
	if (found)
		read_call(scan.slot, call);
	mulberry_end_scan(&scan);
	return found;
}

/*
 * What the lock is made of is in the row, so the row is read once before the
 * lock: with an MVCC snapshot, because without the lock only that cannot miss a row
 * which is just being replaced.  An id's tenant and call_id never change.
 */
bool
mulberry_lock_call_by_id(Relation calls, int64 id, bool wait, mulberry_call *call)
{
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool found = mulberry_read_call(calls, id, snapshot, call);

	UnregisterSnapshot(snapshot);
	if (!found)
		return false;
	if (wait)
		mulberry_lock_call(&call->tenant, call->call_id, call->call_id_length);
	else if (!mulberry_try_lock_call(&call->tenant, call->call_id, call->call_id_length))
		return false;
	return mulberry_read_call(calls, id, SnapshotSelf, call);
}

int64
mulberry_new_call_number(int32 day)
{
	return mulberry_first_call_of_day(day) |
		   nextval_internal(mulberry_get_relations()->call_number, false);
}

/*
 * Creation goes through the executor, unlike everything after it, for the
 * table's constraints: it happens once a call.
 */
void
mulberry_create_call(Relation calls, mulberry_call *call, TimestampTz began, TimestampTz started)
{
	static mulberry_statement insert_statement = {
		"INSERT INTO mulberry_internal.calls (id, tenant, call_id, encoding, sample_rate, track,"
		" tracks_named, first_sequence, counter_bits, started_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		10,
		{ INT8OID, UUIDOID, TEXTOID, TEXTOID, INT4OID, TEXTOID, BOOLOID, INT8OID, INT2OID,
		  TIMESTAMPTZOID }
	};
	const mulberry_track *track = &call->track;
	mulberry_identity before;
	Datum values[10];
	char nulls[] = "          ";

	values[0] = Int64GetDatum(mulberry_new_call_number(mulberry_day_of(began)));
	values[1] = UUIDPGetDatum(&call->tenant);
	values[2] = PointerGetDatum(cstring_to_text_with_len(call->call_id, call->call_id_length));
	values[3] = CStringGetTextDatum(encoding_names[track->encoding]);
	values[4] = Int32GetDatum(track->sample_rate);
	values[5] = PointerGetDatum(cstring_to_text_with_len(track->name, track->name_length));
	values[6] = BoolGetDatum(call->tracks_named);
	values[7] = Int64GetDatum(track->first_sequence);
	values[8] = Int16GetDatum(track->counter_bits);
	values[9] = TimestampTzGetDatum(started);
	/* here and not by NULLIF, whose operator would be looked for in the session's search_path */
	if (track->first_sequence == MULBERRY_NO_FIRST)
		nulls[7] = 'n';
	if (track->counter_bits == 0)
		nulls[8] = 'n';
	if (started == DT_NOBEGIN)
		nulls[9] = 'n';

	before = mulberry_become_owner();
	SPI_connect();
	(void) mulberry_statement_run(&insert_statement, values, nulls);
	SPI_finish();
	mulberry_leave_owner(before);
	mulberry_count_named(MULBERRY_METRIC_CALL_TRANSITIONS,
						 mulberry_call_state_name(MULBERRY_IN_PROGRESS), NULL, &call->tenant);
	CommandCounterIncrement();

	if (!mulberry_find_call(calls, &call->tenant, call->call_id, call->call_id_length, call))
		elog(ERROR, "a call just created is not there");
}

void
mulberry_change_call(Relation calls, mulberry_call *call, mulberry_call_change *change)
{
	TupleTableSlot *slot = table_slot_create(calls, NULL);
	HeapTuple tuple;
	int columns[Natts_calls];
	Datum values[Natts_calls];
	bool nulls[Natts_calls];
	int ncolumns = 0;

	mulberry_change_column(change, Anum_calls_updated_at,
						   TimestampTzGetDatum(GetCurrentTimestamp()));
	if (!table_tuple_fetch_row_version(calls, &call->track.version.tid, SnapshotSelf, slot))
		elog(ERROR, "row of call \"%s\" went away under its lock", call->call_id);
	/* By columns, because somebody may have added some; those stay as they are. */
	for (int i = 0; i < Natts_calls; i++)
	{
		if (!change->replace[i])
			continue;
		columns[ncolumns] = i + 1;
		values[ncolumns] = change->values[i];
		nulls[ncolumns++] = change->nulls[i];
	}
	tuple = heap_modify_tuple_by_cols(ExecFetchSlotHeapTuple(slot, false, NULL),
									  RelationGetDescr(calls), ncolumns, columns, values, nulls);
	mulberry_replace_row(calls, &call->track.version.tid, tuple);
	CommandCounterIncrement();

	ExecForceStoreHeapTuple(tuple, slot, false);
	read_call(slot, call);
	ExecDropSingleTupleTableSlot(slot);
}
