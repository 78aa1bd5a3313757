/*
 * dtmf.c
 *	  DTMF in SQL: dtmf_decode(), its aggregate, dtmf_detect(), dtmf_synthesize().
 *
 * Receiver and generator are the core's (core/dtmf.h, core/tone.h).
 */
#include "server/compat.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "audio/audio_input.h"
#include "audio/dtmf.h"
#include "core/audio/dtmf.h"
#include "core/audio/g711.h"
#include "core/audio/tone.h"

PG_FUNCTION_INFO_V1(mulberry_dtmf_decode);
PG_FUNCTION_INFO_V1(mulberry_dtmf_decode_transition);
PG_FUNCTION_INFO_V1(mulberry_dtmf_decode_final);
PG_FUNCTION_INFO_V1(mulberry_dtmf_detect);
PG_FUNCTION_INFO_V1(mulberry_dtmf_synthesize);

static mb_dtmf_options
receiver_options(const NullableDatum *floor_dbm0, mb_dtmf_callback on_digit, void *arg)
{
	return (mb_dtmf_options){ .floor_dbm0 = floor_dbm0->isnull ? MB_DTMF_DEFAULT_FLOOR_DBM0
															   : DatumGetFloat4(floor_dbm0->value),
							  .on_digit = on_digit,
							  .arg = arg };
}

static void
expect_receiver(mb_status status, const mb_dtmf_options *options)
{
	if (status == MB_ERR_RANGE)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("floor_dbm0 %g is out of range", options->floor_dbm0),
				errdetail("It can be -70 to -10 dBm0."));
	mulberry_expect_ok(status);
}

mb_dtmf *
mulberry_dtmf_receiver(int sample_rate, const NullableDatum *floor_dbm0, mb_dtmf_callback on_digit,
					   void *arg)
{
	mb_dtmf *receiver = mulberry_palloc_aligned(mb_dtmf_size(sample_rate));
	mb_dtmf_options options = receiver_options(floor_dbm0, on_digit, arg);

	expect_receiver(mb_dtmf_init(receiver, sample_rate, &options), &options);
	return receiver;
}

mb_dtmf_holes *
mulberry_dtmf_holes_receiver(int sample_rate, const NullableDatum *floor_dbm0,
							 mb_dtmf_callback on_digit, void *arg)
{
	mb_dtmf *receiver = mulberry_palloc_aligned(mb_dtmf_size(sample_rate));
	mb_dtmf_holes *holes = palloc(sizeof(*holes));
	mb_dtmf_options options = receiver_options(floor_dbm0, on_digit, arg);

	expect_receiver(mb_dtmf_holes_init(holes, receiver, sample_rate, &options), &options);
	return holes;
}

static void
feed_receiver(mb_dtmf *receiver, mulberry_audio *audio)
{
	int16 samples[MULBERRY_AUDIO_SLICE];
	size_t n;

	while ((n = mulberry_audio_next(audio, samples)) > 0)
		mb_dtmf_feed(receiver, samples, n);
}

static void
append_digit(void *arg, const mb_dtmf_event *event)
{
	appendStringInfoChar((StringInfo) arg, event->digit);
}

/* Opens audio at any rate that the receiver brings to its own. */
static void
open_audio(mulberry_audio *audio, Datum bytes, text *encoding, int sample_rate)
{
	mulberry_check_convertible_rate(sample_rate);
	mulberry_audio_open_any_rate(audio, bytes, encoding);
	audio->sample_rate = sample_rate;
}

/* dtmf_decode(audio, encoding, sample_rate, floor_dbm0) */
Datum
mulberry_dtmf_decode(PG_FUNCTION_ARGS)
{
	mulberry_audio audio;
	StringInfoData digits;
	mb_dtmf *receiver;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	open_audio(&audio, PG_GETARG_DATUM(0), PG_GETARG_TEXT_PP(1), PG_GETARG_INT32(2));
	initStringInfo(&digits);
	receiver = mulberry_dtmf_receiver(audio.sample_rate, &fcinfo->args[3], append_digit, &digits);
	feed_receiver(receiver, &audio);
	mb_dtmf_flush(receiver);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(digits.data, digits.len));
}

/* State of the aggregate: one receiver for the pieces of one signal. */
typedef struct decode_state
{
	int sample_rate;
	mb_dtmf *receiver;
	StringInfoData digits;
} decode_state;

/*
 * dtmf_decode_agg(audio, encoding, sample_rate ORDER BY …): pieces are heard as one
 * signal, so a digit may begin in one and end in the next.  Empty and null ones
 * count as nothing.
 */
Datum
mulberry_dtmf_decode_transition(PG_FUNCTION_ARGS)
{
	decode_state *state = PG_ARGISNULL(0) ? NULL : (decode_state *) PG_GETARG_POINTER(0);
	MemoryContext context;
	mulberry_audio audio;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
	{
		if (state == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}
	if (state == NULL)
	{
		NullableDatum no_floor = { .isnull = true };
		MemoryContext caller = MemoryContextSwitchTo(context);

		mulberry_check_convertible_rate(PG_GETARG_INT32(3));
		state = palloc(sizeof(*state));
		state->sample_rate = PG_GETARG_INT32(3);
		initStringInfo(&state->digits);
		state->receiver =
			mulberry_dtmf_receiver(state->sample_rate, &no_floor, append_digit, &state->digits);
		MemoryContextSwitchTo(caller);
	}
	if (state->sample_rate != PG_GETARG_INT32(3))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("sample rate changes from %d to %d within the audio", state->sample_rate,
					   PG_GETARG_INT32(3)),
				errhint("Use audio_convert() to bring all pieces to one rate."));
	if (mulberry_bytea_size(PG_GETARG_DATUM(1)) > 0)
	{
		open_audio(&audio, PG_GETARG_DATUM(1), PG_GETARG_TEXT_PP(2), state->sample_rate);
		feed_receiver(state->receiver, &audio);
	}
	PG_RETURN_POINTER(state);
}

Datum
mulberry_dtmf_decode_final(PG_FUNCTION_ARGS)
{
	decode_state *state = PG_ARGISNULL(0) ? NULL : (decode_state *) PG_GETARG_POINTER(0);

	if (state == NULL)
		PG_RETURN_NULL();
	mb_dtmf_flush(state->receiver);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(state->digits.data, state->digits.len));
}

static Datum
milliseconds(const mulberry_digit_sink *sink, uint64 samples)
{
	int64 ms = mulberry_samples_to_ms(samples, sink->sample_rate);

	return sink->long_times ? Int64GetDatum(ms) : Int32GetDatum((int32) ms);
}

void
mulberry_put_digit(void *arg, const mb_dtmf_event *event)
{
	mulberry_digit_sink *sink = arg;
	Datum values[5];
	bool nulls[5] = { false };

	values[0] = PointerGetDatum(cstring_to_text_with_len(&event->digit, 1));
	values[1] = milliseconds(sink, event->onset);
	values[2] = milliseconds(sink, event->duration);
	values[3] = Float4GetDatum(event->level_dbm0);
	values[4] = Float4GetDatum(event->twist_db);
	tuplestore_putvalues(sink->result->setResult, sink->result->setDesc, values, nulls);
	pfree(DatumGetPointer(values[0]));
}

/* dtmf_detect(audio, encoding, sample_rate, floor_dbm0) */
Datum
mulberry_dtmf_detect(PG_FUNCTION_ARGS)
{
	mulberry_audio audio;
	mulberry_digit_sink sink;
	mb_dtmf *receiver;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return (Datum) 0;
	open_audio(&audio, PG_GETARG_DATUM(0), PG_GETARG_TEXT_PP(1), PG_GETARG_INT32(2));
	sink = (mulberry_digit_sink){ .result = (ReturnSetInfo *) fcinfo->resultinfo,
								  .sample_rate = audio.sample_rate };
	receiver =
		mulberry_dtmf_receiver(audio.sample_rate, &fcinfo->args[3], mulberry_put_digit, &sink);
	feed_receiver(receiver, &audio);
	mb_dtmf_flush(receiver);
	return (Datum) 0;
}

/* Samples that the digits become, with an error for what the generator refuses. */
static uint64
synthesized_samples(text *digits, const mb_tone_dtmf_options *options, int sample_rate)
{
	const char *symbols = VARDATA_ANY(digits);
	int length = VARSIZE_ANY_EXHDR(digits);
	uint64 n_samples;
	size_t place = 0;

	switch (mb_tone_dtmf_samples(symbols, length, options, sample_rate, &n_samples, &place))
	{
		case MB_OK:
			break;
		case MB_ERR_SYMBOL:
			ereport(
				ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("\"%.*s\" is not a DTMF symbol", pg_mblen(symbols + place), symbols + place),
				errdetail("It is character %d of the digits.",
						  pg_mbstrlen_with_len(symbols, (int) place) + 1),
				errhint("Symbols are 0-9, A-D, * and #; \"%c\" is a pause of %d ms, "
						"\"%c\" one of %d ms.",
						MB_TONE_SHORT_PAUSE, MB_TONE_SHORT_PAUSE_MS, MB_TONE_LONG_PAUSE,
						MB_TONE_LONG_PAUSE_MS));
			break;
		case MB_ERR_RANGE:
			ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option of the tone generator is out of range"),
					errdetail("on_ms can be %d to %d, off_ms %d to %d, level_dbm0 %g to %g, "
							  "twist_db %g to %g, ramp_ms 0 to %d and at most half of on_ms.",
							  MB_TONE_MIN_ON_MS, MB_TONE_MAX_MS, MB_TONE_MIN_OFF_MS, MB_TONE_MAX_MS,
							  MB_TONE_MIN_LEVEL_DBM0, MB_TONE_MAX_LEVEL_DBM0, -MB_TONE_MAX_TWIST_DB,
							  MB_TONE_MAX_TWIST_DB, MB_TONE_MAX_RAMP_MS));
			break;
		default:
			elog(ERROR, "unexpected status of the tone generator");
	}
	if (n_samples == 0)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there are no digits"));
	return n_samples;
}

/*
 * dtmf_synthesize(digits, encoding, sample_rate, on_ms, off_ms, level_dbm0, twist_db, ramp_ms):
 * a null option is the generator's own.
 */
Datum
mulberry_dtmf_synthesize(PG_FUNCTION_ARGS)
{
	mb_tone_dtmf_options options = MB_TONE_DTMF_DEFAULTS;
	text *digits;
	mb_encoding encoding;
	int sample_rate;
	size_t sample_size;
	uint64 n_samples;
	uint64 position = 0;
	mb_tone_dtmf tone;
	bytea *result;
	int16 *samples;
	size_t n;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	digits = PG_GETARG_TEXT_PP(0);
	encoding = mulberry_encoding(PG_GETARG_TEXT_PP(1));
	sample_rate = PG_GETARG_INT32(2);
	mulberry_check_rate(sample_rate);
	if (!PG_ARGISNULL(3))
		options.on_ms = PG_GETARG_INT32(3);
	if (!PG_ARGISNULL(4))
		options.off_ms = PG_GETARG_INT32(4);
	if (!PG_ARGISNULL(5))
		options.level_dbm0 = PG_GETARG_FLOAT8(5);
	if (!PG_ARGISNULL(6))
		options.twist_db = PG_GETARG_FLOAT8(6);
	if (!PG_ARGISNULL(7))
		options.ramp_ms = PG_GETARG_INT32(7);

	n_samples = synthesized_samples(digits, &options, sample_rate);
	sample_size = mb_encoding_sample_size(encoding);
	result = mulberry_audio_result(n_samples * sample_size);
	samples = palloc(MULBERRY_AUDIO_SLICE * sizeof(int16));
	mulberry_expect_ok(mb_tone_dtmf_init(&tone, VARDATA_ANY(digits), VARSIZE_ANY_EXHDR(digits),
										 &options, sample_rate));
	while ((n = mb_tone_dtmf_read(&tone, samples, MULBERRY_AUDIO_SLICE)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		Assert(position + n <= n_samples);
		mulberry_expect_ok(mb_audio_encode(encoding, samples, n,
										   (uint8 *) VARDATA(result) + position * sample_size));
		position += n;
	}
	Assert(position == n_samples);
	PG_RETURN_BYTEA_P(result);
}
