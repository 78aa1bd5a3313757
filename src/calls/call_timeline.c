/*
 * call_timeline.c
 *	  The tracks of a call in one time; what is made of them is in call_mix.c, and for transcripts
 *	  in track_times().
 */
#include "server/compat.h"

#include <math.h>

#include "access/detoast.h"
#include "access/relscan.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "calls/call_timeline.h"
#include "calls/packets.h"
#include "calls/partitions.h"
#include "calls/tracks.h"
#include "core/audio/timeline.h"
#include "server/relations.h"

/* Pauses together: so long, and so many times the audio of all tracks. */
#define MAX_PAUSES (INT64CONST(3600) * USECS_PER_SEC)
#define PAUSE_RATIO 4

static int64
to_microseconds(int64 samples, int sample_rate)
{
	return (int64) rint((double) samples * USECS_PER_SEC / sample_rate);
}

/*
 * A mark for each packet that has a time, which one that is infinite is not; false when the first one has no sent_at,
 * unless arrival is asked for.
 */
static bool
read_marks(mulberry_timed_track *timed, bool by_arrival, Snapshot snapshot, mb_time_mark **marks,
		   size_t *nmarks)
{
	const mulberry_track *track = &timed->track;
	int sample_size = mb_encoding_sample_size((mb_encoding) track->encoding);
	int column = by_arrival ? Anum_packets_received_at : Anum_packets_sent_at;
	int nsilences;
	const mulberry_silence *silences = mulberry_call_silences(timed->audio, &nsilences);
	mulberry_partition partition;
	mulberry_scan scan;
	ScanKeyData key;
	size_t room = 1024;
	int64 place = 0;
	int silence = 0;
	bool timed_from_start = true;
	bool first = true;

	*nmarks = 0;
	*marks = palloc(room * sizeof(mb_time_mark));
	mulberry_open_partition(mulberry_call_day(track->id), AccessShareLock, &partition);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(track->id));
	mulberry_begin_scan_with(&scan, partition.table, RelationGetRelid(partition.key), &key, 1,
							 snapshot);
	while (mulberry_next_row(&scan, ForwardScanDirection))
	{
		int32 sequence;
		int64 at;

		CHECK_FOR_INTERRUPTS();
		slot_getsomeattrs(scan.slot, Natts_packets);
		sequence = DatumGetInt32(scan.slot->tts_values[Anum_packets_sequence - 1]);
		if (silence < nsilences && silences[silence].first < sequence)
			place += silences[silence++].length;
		if (scan.slot->tts_isnull[column - 1] ||
			TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(scan.slot->tts_values[column - 1])))
			timed_from_start = timed_from_start && !first;
		else
		{
			if (*nmarks == room)
			{
				room *= 2;
				*marks = repalloc_huge(*marks, room * sizeof(mb_time_mark));
			}
			at = to_microseconds(place, track->sample_rate);
			(*marks)[(*nmarks)++] =
				(mb_time_mark){ at, DatumGetTimestampTz(scan.slot->tts_values[column - 1]) - at };
		}
		first = false;
		place += (toast_raw_datum_size(scan.slot->tts_values[Anum_packets_data - 1]) - VARHDRSZ) /
				 sample_size;
	}
	mulberry_end_scan(&scan);
	mulberry_close_partition(&partition);
	return timed_from_start;
}

/* The pieces of all tracks, by sent_at or by arrival; false when some track has no sent_at. */
static bool
fit_tracks(mulberry_timed_track *timed, int n, bool by_arrival, Snapshot snapshot)
{
	for (int i = 0; i < n; i++)
	{
		mb_time_mark *marks;
		mb_time_mark *scratch;
		size_t nmarks;

		if (!read_marks(&timed[i], by_arrival, snapshot, &marks, &nmarks))
			return false;
		scratch = palloc_extended(Max(nmarks, 1) * sizeof(mb_time_mark), MCXT_ALLOC_HUGE);
		timed[i].npieces = mb_timeline_fit(marks, nmarks, scratch);
		pfree(scratch);
		timed[i].pieces = palloc(Max(timed[i].npieces, 1) * sizeof(mulberry_time_piece));
		for (size_t k = 0; k < timed[i].npieces; k++)
			/* the silence in front of the first packet belongs to its piece */
			timed[i].pieces[k] =
				(mulberry_time_piece){ k == 0 ? 0 : marks[k].place,
									   (k == 0 ? 0 : marks[k].place) + marks[k].shift };
		pfree(marks);
	}
	return true;
}

static void
open_track(mulberry_timed_track *timed, const mulberry_track *track, Snapshot snapshot)
{
	timed->track = *track;
	timed->audio = mulberry_open_call_samples(track->id, snapshot);
	if (timed->audio == NULL)
		elog(ERROR, "a call went away within a snapshot");
}

/* Fits them, and says when the first audio of any of them was; PG_INT64_MAX without packets. */
static int64
fit_and_begin(mulberry_timed_track *timed, int n, Snapshot snapshot)
{
	int64 zero = PG_INT64_MAX;

	if (!fit_tracks(timed, n, false, snapshot))
		(void) fit_tracks(timed, n, true, snapshot);
	for (int i = 0; i < n; i++)
		if (timed[i].npieces > 0)
			zero = Min(zero, timed[i].pieces[0].time);
	return zero;
}

static mulberry_timed_track *
open_timed_tracks(const mulberry_call *call, List *tracks, Snapshot snapshot, int64 *zero)
{
	int n = list_length(tracks);
	mulberry_timed_track *timed = palloc0(n * sizeof(mulberry_timed_track));
	int64 audio = 0;

	for (int i = 0; i < n; i++)
	{
		open_track(&timed[i], list_nth(tracks, i), snapshot);
		audio +=
			to_microseconds(mulberry_call_sample_count(timed[i].audio), timed[i].track.sample_rate);
	}
	*zero = fit_and_begin(timed, n, snapshot);
	for (int i = 0; i < n; i++)
	{
		const mulberry_time_piece *last;

		if (timed[i].npieces == 0)
			continue;
		for (size_t k = 0; k < timed[i].npieces; k++)
			timed[i].pieces[k].time -= *zero;
		last = &timed[i].pieces[timed[i].npieces - 1];
		if (last->time - last->place > MAX_PAUSES + PAUSE_RATIO * audio)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("tracks of call \"%s\" are too far apart in time", call->call_id),
					 errdetail("Track \"%s\" has %lld s of pauses.", timed[i].track.name,
							   (long long) ((last->time - last->place) / USECS_PER_SEC)),
					 errhint("call_audio() has each track on its own.")));
	}
	return timed;
}

mulberry_timed_track *
mulberry_open_timed_tracks(const mulberry_call *call, List *tracks, Snapshot snapshot)
{
	int64 zero;

	return open_timed_tracks(call, tracks, snapshot, &zero);
}

/* Those of them that are no text (mulberry_track *). */
static List *
with_audio(const List *all)
{
	List *tracks = NIL;
	ListCell *cell;

	foreach (cell, all)
		if (((mulberry_track *) lfirst(cell))->encoding != MULBERRY_ENCODING_TEXT)
			tracks = lappend(tracks, lfirst(cell));
	return tracks;
}

mulberry_timed_track *
mulberry_open_call_tracks(const mulberry_call *call, Snapshot snapshot, int *n, TimestampTz *zero)
{
	List *all = mulberry_list_tracks(call, snapshot);
	List *tracks = with_audio(all);
	mulberry_timed_track *timed;
	int64 began = PG_INT64_MAX;

	*n = list_length(tracks);
	if (*n == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("call \"%s\" has text and no audio", call->call_id)));
	if (list_length(all) > 1)
		timed = open_timed_tracks(call, tracks, snapshot, &began);
	else
	{
		timed = palloc0(sizeof(mulberry_timed_track));
		open_track(timed, linitial(tracks), snapshot);
		if (zero != NULL)
		{
			/* its own time is without pauses: that of its pieces is looked at and no more */
			mulberry_timed_track pieces = *timed;

			began = fit_and_begin(&pieces, 1, snapshot);
		}
	}
	if (zero != NULL)
		*zero = began == PG_INT64_MAX ? DT_NOBEGIN : began;
	return timed;
}

PG_FUNCTION_INFO_V1(mulberry_track_times);

/*
 * track_times(call bigint) -> setof (track bigint, place_ms bigint, time_ms bigint)
 */
Datum
mulberry_track_times(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Snapshot snapshot = GetActiveSnapshot();
	mulberry_call call;
	mulberry_track first;
	mulberry_timed_track *timed;
	List *tracks;

	InitMaterializedSRF(fcinfo, 0);
	if (!mulberry_read_track(PG_GETARG_INT64(0), snapshot, &call, &first))
		return (Datum) 0;
	tracks = with_audio(mulberry_list_tracks(&call, snapshot));
	timed = mulberry_open_timed_tracks(&call, tracks, snapshot);
	for (int i = 0; i < list_length(tracks); i++)
	{
		for (size_t k = 0; k < timed[i].npieces; k++)
		{
			Datum values[] = { Int64GetDatum(timed[i].track.id),
							   Int64GetDatum(rint(timed[i].pieces[k].place / 1000.0)),
							   Int64GetDatum(rint(timed[i].pieces[k].time / 1000.0)) };
			bool nulls[] = { false, false, false };

			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		}
		mulberry_close_call_samples(timed[i].audio);
	}
	return (Datum) 0;
}
