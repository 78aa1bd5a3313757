/*
 * audio_analysis.c
 *	  How loud audio is and where somebody speaks: audio_level(), its aggregate, and
 *	  speech_segments().
 *
 * The detectors are the core's (level.h, vad.h); here are only arguments and rows.
 */
#include "server/compat.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"

#include "audio/audio_input.h"
#include "core/audio/level.h"
#include "core/audio/vad.h"
#include "server/row.h"

PG_FUNCTION_INFO_V1(mulberry_audio_level);
PG_FUNCTION_INFO_V1(mulberry_audio_level_transition);
PG_FUNCTION_INFO_V1(mulberry_audio_level_combine);
PG_FUNCTION_INFO_V1(mulberry_audio_level_serialize);
PG_FUNCTION_INFO_V1(mulberry_audio_level_deserialize);
PG_FUNCTION_INFO_V1(mulberry_audio_level_final);
PG_FUNCTION_INFO_V1(mulberry_speech_segments);

/* The row that audio_level() and its aggregate return. */
static Datum
level_row(FunctionCallInfo fcinfo, const mb_level *level)
{
	mulberry_row row;

	mulberry_row_begin_named(&row, fcinfo);
	mulberry_row_add(&row, Int64GetDatum((int64) level->n));
	mulberry_row_add(&row, Float8GetDatum(mb_level_rms_dbfs(level)));
	mulberry_row_add(&row, Float8GetDatum(mb_level_peak_dbfs(level)));
	mulberry_row_add(&row, Float8GetDatum(mb_level_rms_dbm0(level)));
	mulberry_row_add(&row, Float8GetDatum(mb_level_dc(level)));
	mulberry_row_add(&row, Int64GetDatum((int64) level->clipped));
	return mulberry_row_end(&row);
}

static void
feed_level(mb_level *level, mulberry_audio *audio)
{
	int16 samples[MULBERRY_AUDIO_SLICE];
	size_t n;

	while ((n = mulberry_audio_next(audio, samples)) > 0)
		mb_level_feed(level, samples, n);
}

/* audio_level(audio, encoding) */
Datum
mulberry_audio_level(PG_FUNCTION_ARGS)
{
	mulberry_audio audio;
	mb_level level;

	mulberry_audio_open_any_rate(&audio, PG_GETARG_DATUM(0), PG_GETARG_TEXT_PP(1));
	mb_level_init(&level);
	feed_level(&level, &audio);
	PG_RETURN_DATUM(level_row(fcinfo, &level));
}

/* A new state in the aggregate's memory. */
static mb_level *
new_level(FunctionCallInfo fcinfo)
{
	MemoryContext context;
	mb_level *level;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	level = MemoryContextAlloc(context, sizeof(*level));
	mb_level_init(level);
	return level;
}

/* Rows without audio, null or empty, count as nothing. */
Datum
mulberry_audio_level_transition(PG_FUNCTION_ARGS)
{
	mb_level *level = PG_ARGISNULL(0) ? NULL : (mb_level *) PG_GETARG_POINTER(0);

	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))
	{
		if (level == NULL)
			level = new_level(fcinfo);
		if (mulberry_bytea_size(PG_GETARG_DATUM(1)) > 0)
		{
			mulberry_audio audio;

			mulberry_audio_open_any_rate(&audio, PG_GETARG_DATUM(1), PG_GETARG_TEXT_PP(2));
			feed_level(level, &audio);
		}
	}
	if (level == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(level);
}

Datum
mulberry_audio_level_combine(PG_FUNCTION_ARGS)
{
	mb_level *level = PG_ARGISNULL(0) ? NULL : (mb_level *) PG_GETARG_POINTER(0);

	if (!PG_ARGISNULL(1))
	{
		if (level == NULL)
			level = new_level(fcinfo);
		mb_level_combine(level, (mb_level *) PG_GETARG_POINTER(1));
	}
	if (level == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(level);
}

Datum
mulberry_audio_level_serialize(PG_FUNCTION_ARGS)
{
	const mb_level *level = (mb_level *) PG_GETARG_POINTER(0);
	StringInfoData buffer;

	pq_begintypsend(&buffer);
	pq_sendint64(&buffer, level->n);
	pq_sendint64(&buffer, level->sum_of_squares);
	pq_sendint64(&buffer, (uint64) level->sum);
	pq_sendint64(&buffer, level->clipped);
	pq_sendint32(&buffer, (uint32) level->minimum);
	pq_sendint32(&buffer, (uint32) level->maximum);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buffer));
}

Datum
mulberry_audio_level_deserialize(PG_FUNCTION_ARGS)
{
	bytea *serialized = PG_GETARG_BYTEA_PP(0);
	mb_level *level = palloc(sizeof(*level));
	StringInfoData buffer;

	/* reading needs a buffer of its own with a terminating zero */
	initStringInfo(&buffer);
	appendBinaryStringInfo(&buffer, VARDATA_ANY(serialized), VARSIZE_ANY_EXHDR(serialized));
	level->n = (uint64) pq_getmsgint64(&buffer);
	level->sum_of_squares = (uint64) pq_getmsgint64(&buffer);
	level->sum = pq_getmsgint64(&buffer);
	level->clipped = (uint64) pq_getmsgint64(&buffer);
	level->minimum = (int32) pq_getmsgint(&buffer, 4);
	level->maximum = (int32) pq_getmsgint(&buffer, 4);
	pq_getmsgend(&buffer);
	pfree(buffer.data);
	PG_RETURN_POINTER(level);
}

/* Null when there was no audio at all. */
Datum
mulberry_audio_level_final(PG_FUNCTION_ARGS)
{
	const mb_level *level = PG_ARGISNULL(0) ? NULL : (mb_level *) PG_GETARG_POINTER(0);

	if (level == NULL || level->n == 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(level_row(fcinfo, level));
}

/* What speech_segments() carries from event to event. */
typedef struct segment_sink
{
	ReturnSetInfo *result;
	int sample_rate;
} segment_sink;

static void
put_segment(void *arg, const mb_vad_event *event)
{
	segment_sink *sink = arg;
	int32 start_ms;
	Datum values[3];
	bool nulls[3] = { false };

	if (event->kind != MB_VAD_SPEECH_ENDED)
		return;
	start_ms = mulberry_samples_to_ms(event->onset, sink->sample_rate);
	values[0] = Int32GetDatum(start_ms);
	values[1] = Int32GetDatum(mulberry_samples_to_ms(event->end, sink->sample_rate) - start_ms);
	values[2] = Float8GetDatum(event->level_dbfs);
	tuplestore_putvalues(sink->result->setResult, sink->result->setDesc, values, nulls);
}

/*
 * speech_segments(audio, encoding, sample_rate, on_db, off_db, min_dbfs, min_speech_ms,
 * hangover_ms): a null option is the detector's own.
 */
Datum
mulberry_speech_segments(PG_FUNCTION_ARGS)
{
	mulberry_audio audio;
	mb_vad_options options = mb_vad_default_options;
	segment_sink sink;
	int16 *samples;
	mb_vad vad;
	size_t n;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return (Datum) 0;
	mulberry_audio_open(&audio, PG_GETARG_DATUM(0), PG_GETARG_TEXT_PP(1), PG_GETARG_INT32(2));
	if (!PG_ARGISNULL(3))
		options.on_db = PG_GETARG_FLOAT8(3);
	if (!PG_ARGISNULL(4))
		options.off_db = PG_GETARG_FLOAT8(4);
	if (!PG_ARGISNULL(5))
		options.min_dbfs = PG_GETARG_FLOAT8(5);
	if (!PG_ARGISNULL(6))
		options.start_ms = PG_GETARG_INT32(6);
	if (!PG_ARGISNULL(7))
		options.hangover_ms = PG_GETARG_INT32(7);

	sink.result = (ReturnSetInfo *) fcinfo->resultinfo;
	sink.sample_rate = audio.sample_rate;
	options.on_event = put_segment;
	options.arg = &sink;
	if (mb_vad_init(&vad, audio.sample_rate, &options) != MB_OK)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("option of the speech detector is out of range"),
				errdetail("on_db can be 3 to 40, off_db 1 to on_db, min_dbfs -90 to 0, "
						  "min_speech_ms 20 to 1000, hangover_ms 20 to 10000."));

	samples = palloc(MULBERRY_AUDIO_SLICE * sizeof(int16));
	while ((n = mulberry_audio_next(&audio, samples)) > 0)
		mb_vad_feed(&vad, samples, n);
	mb_vad_flush(&vad);
	return (Datum) 0;
}
