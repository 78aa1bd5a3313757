/*
 * dtmf.c
 *	  DTMF in SQL: dtmf_decode(), its aggregate, and dtmf_detect().
 *
 * The receiver is the core's (core/dtmf.h).
 */
#include "compat.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "audio_input.h"
#include "core/dtmf.h"
#include "core/g711.h"

PG_FUNCTION_INFO_V1(mulberry_dtmf_decode);
PG_FUNCTION_INFO_V1(mulberry_dtmf_decode_transition);
PG_FUNCTION_INFO_V1(mulberry_dtmf_decode_final);
PG_FUNCTION_INFO_V1(mulberry_dtmf_detect);

/* A receiver in the current memory context; a null floor is the receiver's own. */
static mb_dtmf *
new_receiver(int sample_rate, const NullableDatum *floor_dbm0, mb_dtmf_callback on_digit, void *arg)
{
	mb_dtmf *receiver = mulberry_palloc_aligned(mb_dtmf_size(sample_rate));
	mb_dtmf_options options = { .floor_dbm0 = MB_DTMF_DEFAULT_FLOOR_DBM0,
								.on_digit = on_digit,
								.arg = arg };
	mb_status status;

	if (!floor_dbm0->isnull)
		options.floor_dbm0 = DatumGetFloat4(floor_dbm0->value);
	status = mb_dtmf_init(receiver, sample_rate, &options);
	if (status == MB_ERR_RANGE)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("floor_dbm0 %g is out of range", options.floor_dbm0),
				errdetail("It can be -70 to -10 dBm0."));
	mulberry_expect_ok(status);
	return receiver;
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

/* dtmf_decode(audio, encoding, sample_rate, floor_dbm0) */
Datum
mulberry_dtmf_decode(PG_FUNCTION_ARGS)
{
	mulberry_audio audio;
	StringInfoData digits;
	mb_dtmf *receiver;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	mulberry_audio_open(&audio, PG_GETARG_DATUM(0), PG_GETARG_TEXT_PP(1), PG_GETARG_INT32(2));
	initStringInfo(&digits);
	receiver = new_receiver(audio.sample_rate, &fcinfo->args[3], append_digit, &digits);
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

		mulberry_check_rate(PG_GETARG_INT32(3));
		state = palloc(sizeof(*state));
		state->sample_rate = PG_GETARG_INT32(3);
		initStringInfo(&state->digits);
		state->receiver = new_receiver(state->sample_rate, &no_floor, append_digit, &state->digits);
		MemoryContextSwitchTo(caller);
	}
	if (state->sample_rate != PG_GETARG_INT32(3))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("sample rate changes from %d to %d within the audio", state->sample_rate,
					   PG_GETARG_INT32(3)),
				errhint("Use audio_convert() to bring all pieces to one rate."));
	if (mulberry_bytea_size(PG_GETARG_DATUM(1)) > 0)
	{
		mulberry_audio_open(&audio, PG_GETARG_DATUM(1), PG_GETARG_TEXT_PP(2), state->sample_rate);
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

/* What dtmf_detect() carries from event to event. */
typedef struct digit_sink
{
	ReturnSetInfo *result;
	int sample_rate;
} digit_sink;

static void
put_digit(void *arg, const mb_dtmf_event *event)
{
	digit_sink *sink = arg;
	Datum values[5];
	bool nulls[5] = { false };

	values[0] = PointerGetDatum(cstring_to_text_with_len(&event->digit, 1));
	values[1] = Int32GetDatum(mulberry_samples_to_ms(event->onset, sink->sample_rate));
	values[2] = Int32GetDatum(mulberry_samples_to_ms(event->duration, sink->sample_rate));
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
	digit_sink sink;
	mb_dtmf *receiver;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return (Datum) 0;
	mulberry_audio_open(&audio, PG_GETARG_DATUM(0), PG_GETARG_TEXT_PP(1), PG_GETARG_INT32(2));
	sink.result = (ReturnSetInfo *) fcinfo->resultinfo;
	sink.sample_rate = audio.sample_rate;
	receiver = new_receiver(audio.sample_rate, &fcinfo->args[3], put_digit, &sink);
	feed_receiver(receiver, &audio);
	mb_dtmf_flush(receiver);
	return (Datum) 0;
}
