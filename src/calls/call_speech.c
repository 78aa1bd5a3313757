/*
 * call_speech.c
 *	  Where somebody speaks in a call: its packets, put together in time, through the detector
 *	  of voice activity.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "audio/audio_input.h"
#include "calls/call_arguments.h"
#include "calls/call_timeline.h"
#include "calls/timed_audio.h"
#include "calls/tracks.h"
#include "core/audio/vad.h"

PG_FUNCTION_INFO_V1(mulberry_call_speech);

/* Where the segments of a track go as rows. */
typedef struct speech_sink
{
	ReturnSetInfo *result;
	int sample_rate;
	Datum name; /* text; 0: the track has none */
} speech_sink;

static void
put_speech(void *arg, const mb_vad_event *event)
{
	const speech_sink *sink = arg;
	Datum values[] = { sink->name,
					   Int64GetDatum(mulberry_samples_to_ms(event->onset, sink->sample_rate)),
					   Int64GetDatum(mulberry_samples_to_ms(event->end, sink->sample_rate)),
					   Float8GetDatum(event->level_dbfs) };
	bool nulls[] = { sink->name == (Datum) 0, false, false, false };

	if (event->kind == MB_VAD_SPEECH_ENDED)
		tuplestore_putvalues(sink->result->setResult, sink->result->setDesc, values, nulls);
}

static void
hear_track(mulberry_timed_track *timed, speech_sink *sink)
{
	int16 *samples = palloc(MULBERRY_AUDIO_SLICE * sizeof(int16));
	mb_vad_options options = mb_vad_default_options;
	mulberry_timed_audio audio;
	mb_vad vad;
	size_t n;

	options.on_event = put_speech;
	options.arg = sink;
	mulberry_expect_ok(mb_vad_init(&vad, sink->sample_rate, &options));
	mulberry_begin_timed_audio(&audio, timed);
	while ((n = mulberry_next_timed_samples(&audio, samples, MULBERRY_AUDIO_SLICE)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		mb_vad_feed(&vad, samples, n);
	}
	mb_vad_flush(&vad);
	pfree(samples);
}

/* call_speech(call_id, tenant, track): the audio is heard as it is read, and never in memory as a whole. */
Datum
mulberry_call_speech(PG_FUNCTION_ARGS)
{
	speech_sink sink;
	mulberry_call call;
	mulberry_track wanted;
	mulberry_timed_track *tracks;
	int n;

	InitMaterializedSRF(fcinfo, 0);
	sink.result = (ReturnSetInfo *) fcinfo->resultinfo;
	mulberry_call_argument(fcinfo, &call);
	if (!PG_ARGISNULL(2))
	{
		mulberry_require_track(&call, PG_GETARG_TEXT_PP(2), GetActiveSnapshot(), &wanted);
		if (wanted.encoding == MULBERRY_ENCODING_TEXT)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
							errmsg("track \"%s\" has text and no audio", wanted.name)));
	}
	/* also of one only: when it begins is known by all */
	tracks = mulberry_open_call_tracks(&call, GetActiveSnapshot(), &n, NULL);
	for (int i = 0; i < n; i++)
	{
		const mulberry_track *track = &tracks[i].track;

		if (PG_ARGISNULL(2) || track->id == wanted.id)
		{
			/* as in call_segments() */
			const char *name = n == 1 ? mulberry_shown_track_name(track) : track->name;

			sink.sample_rate = track->sample_rate;
			sink.name = name[0] != '\0' ? CStringGetTextDatum(name) : (Datum) 0;
			hear_track(&tracks[i], &sink);
		}
		mulberry_close_call_samples(tracks[i].audio);
	}
	return (Datum) 0;
}
