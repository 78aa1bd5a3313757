/*
 * call_timeline.h
 *	  The tracks of a call in one time.
 *
 * Each track's audio is one packet after another; where it lies in time is told by sent_at where the
 * first packet of every track has it, else by the arrival of the packets (core/audio/timeline.h).
 */
#ifndef MULBERRY_CALL_TIMELINE_H
#define MULBERRY_CALL_TIMELINE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/snapshot.h"

#include "calls/call_audio.h"
#include "calls/calls.h"

/* From a place in the audio of a track on: where that lies in the call.  Both in microseconds. */
typedef struct mulberry_time_piece
{
	int64 place;
	int64 time;
} mulberry_time_piece;

/* A track in the time of its call, which begins with the first audio of any of the tracks at hand. */
typedef struct mulberry_timed_track
{
	mulberry_track track;
	mulberry_call_samples *audio; /* not read yet */
	mulberry_time_piece *pieces;  /* ascending; none for a track without packets */
	size_t npieces;
} mulberry_timed_track;

/*
 * Opens tracks of a call (mulberry_track *, audio and no text) as a snapshot shows them; returns an array as long
 * as the list.  ERRCODE_PROGRAM_LIMIT_EXCEEDED when they are further apart in time than
 * anybody could have talked.
 */
extern mulberry_timed_track *
mulberry_open_timed_tracks(const mulberry_call *call, List *tracks, Snapshot snapshot);

/*
 * All tracks of a call that have audio, and how many, in the time of mulberry.call_segments(): of the only track
 * of a call that of call_audio(), without pauses, and of several that of call_audio_stereo().
 * ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE when all are text, and errors as above.  "zero", unless NULL: when that time begins, by
 * the clock that told it; DT_NOBEGIN when there are no packets.
 */
extern mulberry_timed_track *
mulberry_open_call_tracks(const mulberry_call *call, Snapshot snapshot, int *n, TimestampTz *zero);

#endif /* MULBERRY_CALL_TIMELINE_H */
