/*
 * calls.h
 *	  The call lock, and the row of a call as it is under that lock.
 */
#ifndef MULBERRY_CALLS_H
#define MULBERRY_CALLS_H

#include "postgres.h"

#include "access/htup.h"
#include "datatype/timestamp.h"
#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/snapshot.h"
#include "utils/uuid.h"

#include "access/access.h"
#include "core/mb.h"
#include "events/events.h"

typedef enum mulberry_call_state
{
	MULBERRY_IN_PROGRESS,
	MULBERRY_COMPLETED,
	MULBERRY_PROCESSING_AI,
	MULBERRY_ARCHIVED,
	MULBERRY_FAILED
} mulberry_call_state;

/* The encodings of the core, and packets that are words instead of audio. */
typedef enum mulberry_call_encoding
{
	MULBERRY_ENCODING_MULAW = MB_MULAW,
	MULBERRY_ENCODING_ALAW = MB_ALAW,
	MULBERRY_ENCODING_S16LE = MB_S16LE,
	MULBERRY_ENCODING_TEXT
} mulberry_call_encoding;

/* Columns of "calls", in the order of the table's definition. */
enum mulberry_calls_column
{
	Anum_calls_id = 1,
	Anum_calls_tenant,
	Anum_calls_call_id,
	Anum_calls_state,
	Anum_calls_encoding,
	Anum_calls_sample_rate,
	Anum_calls_expected_total_packets,
	Anum_calls_missing_count,
	Anum_calls_first_sequence,
	Anum_calls_counter_bits,
	Anum_calls_tracks_named,
	Anum_calls_track,
	Anum_calls_created_at,
	Anum_calls_updated_at,
	Anum_calls_completed_at,
	Anum_calls_grace_until,
	Anum_calls_finished_at,
	Anum_calls_transcription,
	Anum_calls_sentiment,
	Anum_calls_confidence,
	Anum_calls_ai_result,
	Anum_calls_failure_reason,
	Anum_calls_started_at,
	Natts_calls = Anum_calls_started_at
};

/*
 * Names one version of a call's row.  Two versions never share all three:
 * a place that is used again has another writer, and one transaction writes a place
 * under a command of its own each time.
 */
typedef struct mulberry_version
{
	ItemPointerData tid;
	TransactionId xmin;
	CommandId command;
} mulberry_version;

/*
 * A track of a call: what has sequences of its own.  The first is in the row of the call, the
 * others are in rows of "tracks" (tracks.h).
 */
typedef struct mulberry_track
{
	int64 id; /* that packets and gaps name; the first track's is the call's */
	int number;
	char name[MULBERRY_MAX_TRACK + 1];
	int name_length;
	mulberry_call_encoding encoding;
	int32 sample_rate;
	int32 expected_total; /* MULBERRY_NO_TOTAL: not announced */
	int64 missing_count;
	int64 first_sequence; /* what the sender calls packet 0; MULBERRY_NO_FIRST: not known yet */
	int counter_bits;	  /* the sender's numbers wrap after 2^16 or 2^32; 0: they do not */
	TimestampTz updated_at;
	mulberry_version version; /* of the row that it is in */
} mulberry_track;

/* What the first track is called unless somebody says otherwise. */
#define MULBERRY_FIRST_TRACK "main"

#define MULBERRY_NO_TOTAL (-1)
#define MULBERRY_NO_FIRST (-1)

/* Tracks of a call, the first included. */
#define MULBERRY_MAX_TRACKS 16

/* A call as its row says; only true while the call lock is held. */
typedef struct mulberry_call
{
	int64 id;
	pg_uuid_t tenant;
	char call_id[MULBERRY_MAX_CALL_ID + 1];
	int call_id_length;
	mulberry_call_state state;
	bool tracks_named;	  /* it has no tracks but those that begin_call() named */
	mulberry_track track; /* the first; its version is that of the call's row */
} mulberry_call;

extern void mulberry_read_version(HeapTuple tuple, mulberry_version *version);

/* New values for columns of a call's row; see mulberry_change_call(). */
typedef struct mulberry_call_change
{
	Datum values[Natts_calls];
	bool nulls[Natts_calls];
	bool replace[Natts_calls];
} mulberry_call_change;

/*
 * The key of the call lock: a 64-bit hash of (tenant, call_id).  Calls whose
 * keys collide share a lock, which costs them time and nothing else.
 */
extern uint64 mulberry_call_lock_key(const pg_uuid_t *tenant, const char *call_id, int length);

/*
 * Takes the call lock until the end of the (sub)transaction.  It comes before any row
 * lock on the call, and before its state is read.  Who locks several calls, locks
 * them in the order of their keys.
 */
extern void mulberry_lock_call(const pg_uuid_t *tenant, const char *call_id, int length);
extern void mulberry_lock_call_key(uint64 key);
extern bool mulberry_try_lock_call(const pg_uuid_t *tenant, const char *call_id, int length);

/*
 * How many more calls this transaction may lock; mulberry_require_call_locks() raises 54000 when it is
 * none, as taking one would.
 */
extern int mulberry_call_locks_left(void);
extern void mulberry_require_call_locks(void);

/* "calls", opened for what follows; the lock stays until the end of the transaction. */
extern Relation mulberry_open_calls(void);

/* The row of a call whose lock is held; false when there is none. */
extern bool mulberry_find_call(Relation calls, const pg_uuid_t *tenant, const char *call_id,
							   int length, mulberry_call *call);

/*
 * The row of a call as a snapshot shows it, for readers who do not hold the
 * lock; its version means nothing then.
 */
extern bool mulberry_read_call(Relation calls, int64 id, Snapshot snapshot, mulberry_call *call);
extern bool mulberry_read_named_call(Relation calls, const pg_uuid_t *tenant, const char *call_id,
									 int length, Snapshot snapshot, mulberry_call *call);

/*
 * Takes the lock of the call with this id and reads its row; false when it is
 * gone, or when its lock is taken and one does not "wait".
 */
extern bool mulberry_lock_call_by_id(Relation calls, int64 id, bool wait, mulberry_call *call);

/*
 * Adds a call with what is in "call", but id, state and times, and brings it up to date.  It begins at
 * "began", whose day has a partition; "started" is what somebody says of that, else DT_NOBEGIN.  The
 * lock is held and mulberry_find_call() found nothing.
 */
extern void
mulberry_create_call(Relation calls, mulberry_call *call, TimestampTz began, TimestampTz started);

/*
 * Writes new values into the row, sets updated_at, and brings "call" up to
 * date.  Neither looks at what the state machine allows nor writes events.
 */
extern void mulberry_change_call(Relation calls, mulberry_call *call, mulberry_call_change *change);

/* Removes what hangs on a call that goes and whose lock is held; its row stays. */
extern void mulberry_delete_belongings(const mulberry_call *call, bool with_packets);

static inline void
mulberry_change_column(mulberry_call_change *change, int column, Datum value)
{
	change->values[column - 1] = value;
	change->nulls[column - 1] = false;
	change->replace[column - 1] = true;
}

static inline void
mulberry_clear_column(mulberry_call_change *change, int column)
{
	change->nulls[column - 1] = true;
	change->replace[column - 1] = true;
}

extern const char *mulberry_call_state_name(mulberry_call_state state);
extern mulberry_call_state mulberry_call_state_from_name(const char *name, int length);
extern const char *mulberry_call_encoding_name(mulberry_call_encoding encoding);
extern bool
mulberry_call_encoding_from_name(const char *name, int length, mulberry_call_encoding *encoding);

/* Days since 1970-01-01 (UTC): the day a call began, and that of a time. */
extern int32 mulberry_call_day(int64 call);
extern int32 mulberry_day_of(TimestampTz time);
extern int64 mulberry_first_call_of_day(int32 day);

/* A new id, of a call or a track, on that day. */
extern int64 mulberry_new_call_number(int32 day);

#endif /* MULBERRY_CALLS_H */
