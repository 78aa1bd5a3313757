/*
 * heard_frames.c
 *	  The frames that can be heard in recorded audio: our DTMF receiver (core/dtmf.h) and the
 *	  collector of frames (core/frame_collector.h) over the whole of it.
 *
 * What a frame is worth is not judged here.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "audio/audio_input.h"
#include "core/audio/dtmf.h"
#include "core/command/frame_collector.h"

PG_FUNCTION_INFO_V1(mulberry_heard_frames);

typedef struct frame_sink
{
	ReturnSetInfo *result;
	mb_frame_collector collector;
	int sample_rate;
	int64 began_ms; /* the * of the frame under way */
} frame_sink;

static void
put_frame(frame_sink *sink, mb_collected collected, const char *frame, size_t n)
{
	Datum values[3];
	bool nulls[3] = { false };

	if (collected == MB_COLLECTED_NOTHING)
		return;
	values[0] = PointerGetDatum(cstring_to_text_with_len(frame, (int) n));
	values[1] = Int32GetDatum((int32) sink->began_ms);
	values[2] = BoolGetDatum(collected == MB_COLLECTED_FRAME);
	tuplestore_putvalues(sink->result->setResult, sink->result->setDesc, values, nulls);
	pfree(DatumGetPointer(values[0]));
}

static void
collect_digit(void *arg, const mb_dtmf_event *event)
{
	frame_sink *sink = arg;
	char frame[MB_COLLECTED_MAX + 1];
	size_t n = 0;
	int64 start = mulberry_samples_to_ms(event->onset, sink->sample_rate);
	mb_collected collected = mb_frame_collector_add(
		&sink->collector, event->digit, start,
		mulberry_samples_to_ms(event->duration, sink->sample_rate), frame, &n);

	put_frame(sink, collected, frame, n);
	if (event->digit == '*')
		sink->began_ms = start;
}

/*
 * heard_frames(audio bytea, encoding text, sample_rate integer,
 *				OUT frame text, OUT at_ms integer, OUT whole boolean)
 */
Datum
mulberry_heard_frames(PG_FUNCTION_ARGS)
{
	mulberry_audio audio;
	frame_sink sink = { 0 };
	mb_dtmf_options options = { .floor_dbm0 = MB_DTMF_DEFAULT_FLOOR_DBM0,
								.on_digit = collect_digit,
								.arg = &sink };
	int16 samples[MULBERRY_AUDIO_SLICE];
	mb_dtmf *receiver;
	char frame[MB_COLLECTED_MAX + 1];
	size_t n;
	mb_collected collected;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return (Datum) 0;
	mulberry_audio_open(&audio, PG_GETARG_DATUM(0), PG_GETARG_TEXT_PP(1), PG_GETARG_INT32(2));
	sink.result = (ReturnSetInfo *) fcinfo->resultinfo;
	sink.sample_rate = audio.sample_rate;
	mb_frame_collector_init(&sink.collector);
	receiver = mulberry_palloc_aligned(mb_dtmf_size(audio.sample_rate));
	mulberry_expect_ok(mb_dtmf_init(receiver, audio.sample_rate, &options));
	while ((n = mulberry_audio_next(&audio, samples)) > 0)
		mb_dtmf_feed(receiver, samples, n);
	mb_dtmf_flush(receiver);
	collected = mb_frame_collector_silence(&sink.collector, PG_INT64_MAX, frame, &n);
	put_frame(&sink, collected, frame, n);
	return (Datum) 0;
}
