/*
 * tracks.h
 *	  Tracks of a call beside its first: finding, creating and changing their rows.  Those of the
 *	  first are in the row of the call; what both have in common is here as well.
 */
#ifndef MULBERRY_TRACKS_H
#define MULBERRY_TRACKS_H

#include "postgres.h"

#include "executor/tuptable.h"
#include "nodes/pg_list.h"
#include "utils/snapmgr.h"

#include "calls/calls.h"

/* Columns of "tracks", in the order of the table's definition. */
enum mulberry_tracks_column
{
	Anum_tracks_call = 1,
	Anum_tracks_number,
	Anum_tracks_id,
	Anum_tracks_name,
	Anum_tracks_encoding,
	Anum_tracks_sample_rate,
	Anum_tracks_expected_total_packets,
	Anum_tracks_missing_count,
	Anum_tracks_first_sequence,
	Anum_tracks_counter_bits,
	Anum_tracks_updated_at,
	Natts_tracks = Anum_tracks_updated_at
};

/* Where a table has the columns of a track. */
typedef struct mulberry_track_columns
{
	int name;
	int encoding;
	int sample_rate;
	int expected_total;
	int missing_count;
	int first_sequence;
	int counter_bits;
	int updated_at;
} mulberry_track_columns;

/* Takes a track, but for its id and number, out of a row with these columns, which are deformed. */
extern void mulberry_read_track_columns(TupleTableSlot *slot, const mulberry_track_columns *columns,
										mulberry_track *track);

/*
 * The track of that name, the first included, of a call whose lock is held; false when there
 * is none.
 */
extern bool
mulberry_find_track(const mulberry_call *call, const char *name, int length, mulberry_track *track);

/*
 * The call and track with that id of a track, as a snapshot shows them; false when there is none.
 */
extern bool
mulberry_read_track(int64 id, Snapshot snapshot, mulberry_call *call, mulberry_track *track);

/*
 * All tracks of a call (mulberry_track *), in order, the first included, as a snapshot shows them.
 */
extern List *mulberry_list_tracks(const mulberry_call *call, Snapshot snapshot);

/*
 * The track of that name (NULL: the first) of a call as a snapshot shows it.  ERRCODE_UNDEFINED_OBJECT,
 * naming those that there are, when there is none.
 */
extern void mulberry_require_track(const mulberry_call *call, const text *name, Snapshot snapshot,
								   mulberry_track *track);

/* What answers and events call it: nothing for the only track of a call in which nobody names any. */
extern const char *mulberry_shown_track_name(const mulberry_track *track);

/* Their names, for messages: "a, b". */
extern char *mulberry_track_names(const mulberry_call *call, Snapshot snapshot);

/*
 * Adds a track, as "track" says but for its id and number, to a call whose lock is held, and
 * brings it up to date.  The call has less than MULBERRY_MAX_TRACKS.
 */
extern void mulberry_create_track(const mulberry_call *call, mulberry_track *track);

/* What may change in the row of a track. */
typedef enum mulberry_track_field
{
	MULBERRY_TRACK_EXPECTED_TOTAL,
	MULBERRY_TRACK_MISSING_COUNT,
	MULBERRY_TRACK_FIRST_SEQUENCE
} mulberry_track_field;

/*
 * Writes one of them, sets updated_at and brings "track" up to date, and "call" too when the track
 * is its first one.
 */
extern void mulberry_change_track(Relation calls, mulberry_call *call, mulberry_track *track,
								  mulberry_track_field field, Datum value);

/* What users know a packet by: the sender's number, unwrapped. */
static inline int64
mulberry_sender_number(const mulberry_track *track, int32 sequence)
{
	return Max(0, track->first_sequence) + sequence;
}

#endif /* MULBERRY_TRACKS_H */
