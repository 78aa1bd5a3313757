/*
 * call_waveform.c
 *	  A call as a picture: its tracks one below the other in one time, with what is missing, the digits,
 *	  the speech, the turns and the words.
 *
 * Each track is read twice (audio/picture_lane.c) and never in memory as a whole; words come
 * from SQL, which knows where they are.
 */
#include "server/compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "audio/audio_input.h"
#include "audio/picture_lane.h"
#include "calls/call_timeline.h"
#include "calls/timed_audio.h"
#include "calls/tracks.h"
#include "server/arrays.h"

PG_FUNCTION_INFO_V1(mulberry_draw_call);

static size_t
next_samples(void *arg, int16 *samples, int64 *lost)
{
	return mulberry_next_heard_timed(arg, samples, MULBERRY_AUDIO_SLICE, lost);
}

static void
rewind_track(void *arg)
{
	mulberry_timed_audio *audio = arg;

	mulberry_rewind_call_samples(audio->timed->audio);
	mulberry_begin_timed_audio(audio, audio->timed);
}

/* Where packets are missing, in the time of the call. */
static void
fill_lost(mb_waveform_lane *lane, const mulberry_timed_track *timed, double seconds)
{
	int n;
	const mulberry_silence *silences = mulberry_call_silences(timed->audio, &n);
	double rate = timed->track.sample_rate;
	mb_waveform_span *lost;
	size_t piece = 0;

	if (n == 0)
		return;
	lost = palloc_extended(n * sizeof(*lost), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
	{
		double start = silences[i].start / rate;
		double later = 0;

		while (piece + 1 < timed->npieces &&
			   timed->pieces[piece + 1].place <= start * USECS_PER_SEC + 1)
			piece++;
		if (timed->npieces > 0)
			later =
				(double) (timed->pieces[piece].time - timed->pieces[piece].place) / USECS_PER_SEC;
		lost[i].start = Min(start + later, seconds);
		lost[i].end = Min(lost[i].start + silences[i].length / rate, seconds);
	}
	lane->lost = lost;
	lane->n_lost = n;
}

/* What was said in all tracks, as arrays of the same length; see draw_call(). */
typedef struct said
{
	int n;
	Datum *tracks; /* text; null: the only one */
	bool *no_track;
	Datum *words;
	Datum *starts;
	Datum *ends;
	Datum *firsts;
} said;

static Datum *
elements(FunctionCallInfo fcinfo, int argument, Oid type, int n, bool **nulls)
{
	bool *is_null;
	int found;
	Datum *values = mulberry_array_elements(PG_GETARG_ARRAYTYPE_P(argument), type, &found,
											nulls ? nulls : &is_null);

	if (found != n)
		elog(ERROR, "arrays of what is drawn differ in length");
	return values;
}

static void
read_said(FunctionCallInfo fcinfo, said *all)
{
	*all = (said){ 0 };
	if (PG_ARGISNULL(5))
		return;
	all->n = ArrayGetNItems(ARR_NDIM(PG_GETARG_ARRAYTYPE_P(5)), ARR_DIMS(PG_GETARG_ARRAYTYPE_P(5)));
	all->tracks = elements(fcinfo, 4, TEXTOID, all->n, &all->no_track);
	all->words = elements(fcinfo, 5, TEXTOID, all->n, NULL);
	all->starts = elements(fcinfo, 6, INT8OID, all->n, NULL);
	all->ends = elements(fcinfo, 7, INT8OID, all->n, NULL);
	all->firsts = elements(fcinfo, 8, BOOLOID, all->n, NULL);
}

/* Whether an element names this track. */
static bool
is_of(Datum name, const mulberry_track *track)
{
	text *value = DatumGetTextPP(name);

	return VARSIZE_ANY_EXHDR(value) == track->name_length &&
		   memcmp(VARDATA_ANY(value), track->name, track->name_length) == 0;
}

/* Those of one track; what an engine tells beyond the end is at the end. */
static void
fill_words(mb_waveform_lane *lane, const mulberry_track *track, const said *all, double seconds)
{
	mb_waveform_word *words = palloc_extended(Max(all->n, 1) * sizeof(*words), MCXT_ALLOC_HUGE);

	for (int i = 0; i < all->n; i++)
	{
		mb_waveform_word *word = &words[lane->n_words];

		if (!all->no_track[i] && !is_of(all->tracks[i], track))
			continue;
		word->text = mulberry_picture_text(DatumGetTextPP(all->words[i]));
		word->start = Min(Max(DatumGetInt64(all->starts[i]), 0) / 1000.0, seconds);
		word->end = Max(Min(DatumGetInt64(all->ends[i]) / 1000.0, seconds), word->start);
		word->first = DatumGetBool(all->firsts[i]);
		lane->n_words++;
	}
	lane->words = words;
}

/* Turns of a conversation in all tracks, as arrays of the same length; see draw_call(). */
typedef struct turns
{
	int n;
	Datum *tracks;
	Datum *labels;
	Datum *abouts;
	Datum *starts;
	Datum *ends;
	Datum *cuts;
	Datum *false_ones;
} turns;

static void
read_turns(FunctionCallInfo fcinfo, turns *all)
{
	*all = (turns){ 0 };
	if (PG_ARGISNULL(9))
		return;
	all->n = ArrayGetNItems(ARR_NDIM(PG_GETARG_ARRAYTYPE_P(9)), ARR_DIMS(PG_GETARG_ARRAYTYPE_P(9)));
	all->tracks = elements(fcinfo, 9, TEXTOID, all->n, NULL);
	all->labels = elements(fcinfo, 10, TEXTOID, all->n, NULL);
	all->abouts = elements(fcinfo, 11, TEXTOID, all->n, NULL);
	all->starts = elements(fcinfo, 12, TIMESTAMPTZOID, all->n, NULL);
	all->ends = elements(fcinfo, 13, TIMESTAMPTZOID, all->n, NULL);
	all->cuts = elements(fcinfo, 14, BOOLOID, all->n, NULL);
	all->false_ones = elements(fcinfo, 15, INT4OID, all->n, NULL);
}

/* When something was, in seconds of a picture that begins at "zero"; the clocks of a conversation and of its audio are two. */
static double
second_of(Datum at, TimestampTz zero, double seconds)
{
	double second = (double) (DatumGetTimestampTz(at) - zero) / USECS_PER_SEC;

	return Min(Max(second, 0), seconds);
}

/* Those of one track. */
static void
fill_turns(mb_waveform_lane *lane, const mulberry_track *track, const turns *all, TimestampTz zero,
		   double seconds)
{
	mb_waveform_turn *found = palloc_extended(Max(all->n, 1) * sizeof(*found), MCXT_ALLOC_HUGE);

	/* without packets nobody knows when the audio began */
	for (int i = 0; i < all->n && zero != DT_NOBEGIN; i++)
	{
		mb_waveform_turn *turn = &found[lane->n_turns];

		if (!is_of(all->tracks[i], track))
			continue;
		turn->start = second_of(all->starts[i], zero, seconds);
		turn->end = Max(second_of(all->ends[i], zero, seconds), turn->start);
		turn->label = mulberry_picture_text(DatumGetTextPP(all->labels[i]));
		turn->about = mulberry_picture_text(DatumGetTextPP(all->abouts[i]));
		turn->cut = DatumGetBool(all->cuts[i]);
		turn->false_ones = DatumGetInt32(all->false_ones[i]);
		lane->n_turns++;
	}
	lane->turns = found;
	lane->replies = strcmp(track->name, "agent") == 0;
}

/*
 * draw_call(call bigint, title text, width integer, height integer, tracks text[], words text[], starts bigint[],
 * ends bigint[], firsts boolean[], turn_tracks text[], turn_labels text[], turn_abouts text[], turn_starts timestamptz[],
 * turn_ends timestamptz[], turn_cuts boolean[], turn_false_ones integer[]) -> text: words, in ms, and turns in order of their starts
 */
Datum
mulberry_draw_call(PG_FUNCTION_ARGS)
{
	Snapshot snapshot = GetActiveSnapshot();
	mb_waveform_picture picture = { .width = PG_GETARG_INT32(2) };
	mb_waveform_lane lanes[MB_WAVEFORM_MAX_LANES] = { 0 };
	mulberry_timed_track *tracks;
	mulberry_track first;
	mulberry_call call;
	TimestampTz zero = DT_NOBEGIN;
	double seconds = 0;
	said all;
	turns conversation;
	int n;

	StaticAssertStmt(MB_WAVEFORM_MAX_LANES >= MULBERRY_MAX_TRACKS, "a picture shows every track");
	picture.height = PG_ARGISNULL(3) ? MULBERRY_GOOD_HEIGHT : PG_GETARG_INT32(3);
	mulberry_check_picture_size(picture.width,
								PG_ARGISNULL(3) ? MB_WAVEFORM_MIN_HEIGHT : picture.height);
	if (!mulberry_read_track(PG_GETARG_INT64(0), snapshot, &call, &first))
		elog(ERROR, "a call went away within a snapshot");
	if (!PG_ARGISNULL(1))
		picture.title = mulberry_picture_text(PG_GETARG_TEXT_PP(1));
	read_said(fcinfo, &all);
	read_turns(fcinfo, &conversation);
	tracks = mulberry_open_call_tracks(&call, snapshot, &n, conversation.n > 0 ? &zero : NULL);
	for (int i = 0; i < n; i++)
		seconds =
			Max(seconds, (double) mulberry_timed_length(&tracks[i]) / tracks[i].track.sample_rate);
	for (int i = 0; i < n; i++)
	{
		const mulberry_track *track = &tracks[i].track;
		mulberry_timed_audio audio;
		mulberry_lane_source source = { .next = next_samples,
										.rewind = rewind_track,
										.arg = &audio,
										.sample_rate = track->sample_rate };

		/* a call without audio has an empty picture of one second */
		source.total = seconds > 0 ? Max(mulberry_timed_length(&tracks[i]),
										 (int64) rint(seconds * track->sample_rate))
								   : track->sample_rate;
		mulberry_begin_timed_audio(&audio, &tracks[i]);
		mulberry_fill_lane(&lanes[i], &source, picture.width);
		/* who has never named a track need not see that it is called main */
		if (n > 1 || mulberry_shown_track_name(track)[0] != '\0')
			lanes[i].name = mulberry_picture_text(cstring_to_text(track->name));
		fill_lost(&lanes[i], &tracks[i], seconds);
		fill_words(&lanes[i], track, &all, seconds);
		fill_turns(&lanes[i], track, &conversation, zero, seconds);
		mulberry_close_call_samples(tracks[i].audio);
	}
	picture.lanes = lanes;
	picture.n_lanes = n;
	PG_RETURN_TEXT_P(mulberry_draw_picture(&picture));
}
