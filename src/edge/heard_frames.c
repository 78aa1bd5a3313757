/*
 * heard_frames.c
 *	  The frames and challenges that can be heard in recorded audio: our DTMF receiver (core/dtmf.h)
 *	  and the collector of frames (core/frame_collector.h) over the whole of it.
 *
 * Audio comes from whoever has answered or dialled: it is gone through once, in slices between which a
 * query can be cancelled.  What a frame is worth is not judged here.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "audio/audio_input.h"
#include "core/audio/dtmf.h"
#include "core/command/frame_collector.h"
#include "server/row.h"

PG_FUNCTION_INFO_V1(mulberry_heard_frames);
PG_FUNCTION_INFO_V1(mulberry_heard_challenge);

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

/* Goes through the audio; on_digit of the options learns of each digit. */
static void
hear(mulberry_audio *audio, const mb_dtmf_options *options)
{
	int16 *samples = palloc(MULBERRY_AUDIO_SLICE * sizeof(int16));
	mb_dtmf *receiver = mulberry_palloc_aligned(mb_dtmf_size(audio->sample_rate));
	size_t n;

	mulberry_expect_ok(mb_dtmf_init(receiver, audio->sample_rate, options));
	while ((n = mulberry_audio_next(audio, samples)) > 0)
		mb_dtmf_feed(receiver, samples, n);
	mb_dtmf_flush(receiver);
	pfree(samples);
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
	hear(&audio, &options);
	collected = mb_frame_collector_silence(&sink.collector, PG_INT64_MAX, frame, &n);
	put_frame(&sink, collected, frame, n);
	return (Datum) 0;
}

/* Looks for the digits that follow an acknowledgement. */
typedef struct challenge_sink
{
	char ack[MB_ACK_FRAME_LENGTH + 1];
	char last[MB_ACK_FRAME_LENGTH];	   /* the digits heard last, in a ring */
	uint64 began[MB_ACK_FRAME_LENGTH]; /* their first samples */
	uint64 n;						   /* digits heard so far */

	/* what follows the acknowledgement that was heard last */
	bool following;
	uint64 ack_began;
	char digits[MB_CHALLENGE_LENGTH + 1];
	int n_digits;

	/* the best so far: the last that fitted its check, or else the last */
	bool found;
	bool found_fits;
	uint64 found_began;
	char found_digits[MB_CHALLENGE_LENGTH + 1];
} challenge_sink;

/* Takes what has followed. */
static void
end_challenge(challenge_sink *sink)
{
	char nonce[MB_NONCE_LENGTH + 1];
	bool fits;

	if (!sink->following)
		return;
	sink->following = false;
	sink->digits[sink->n_digits] = '\0';
	fits = mb_challenge_parse(sink->digits, sink->n_digits, nonce) == MB_FRAME_OK;
	if (sink->found_fits && !fits)
		return;
	sink->found = true;
	sink->found_fits = fits;
	sink->found_began = sink->ack_began;
	memcpy(sink->found_digits, sink->digits, sizeof(sink->found_digits));
}

static bool
just_heard_ack(const challenge_sink *sink)
{
	if (sink->n < MB_ACK_FRAME_LENGTH)
		return false;
	for (int i = 0; i < MB_ACK_FRAME_LENGTH; i++)
		if (sink->last[(sink->n + i) % MB_ACK_FRAME_LENGTH] != sink->ack[i])
			return false;
	return true;
}

static void
follow_digit(void *arg, const mb_dtmf_event *event)
{
	challenge_sink *sink = arg;

	if (sink->following)
	{
		sink->digits[sink->n_digits++] = event->digit;
		if (sink->n_digits == MB_CHALLENGE_LENGTH)
			end_challenge(sink);
	}
	sink->last[sink->n % MB_ACK_FRAME_LENGTH] = event->digit;
	sink->began[sink->n % MB_ACK_FRAME_LENGTH] = event->onset;
	sink->n++;
	if (just_heard_ack(sink))
	{
		sink->following = true;
		sink->n_digits = 0;
		sink->ack_began = sink->began[sink->n % MB_ACK_FRAME_LENGTH];
	}
}

/*
 * heard_challenge(audio bytea, encoding text, sample_rate integer, ack text,
 *				   OUT digits text, OUT ms_to_end integer)
 */
Datum
mulberry_heard_challenge(PG_FUNCTION_ARGS)
{
	mulberry_row r;
	mulberry_audio audio;
	challenge_sink sink = { 0 };
	mb_dtmf_options options = { .floor_dbm0 = MB_DTMF_DEFAULT_FLOOR_DBM0,
								.on_digit = follow_digit,
								.arg = &sink };
	text *ack = PG_GETARG_TEXT_PP(3);

	if (VARSIZE_ANY_EXHDR(ack) != MB_ACK_FRAME_LENGTH)
		elog(ERROR, "an acknowledgement has %d symbols", MB_ACK_FRAME_LENGTH);
	memcpy(sink.ack, VARDATA_ANY(ack), MB_ACK_FRAME_LENGTH);
	mulberry_row_begin(&r, fcinfo);
	mulberry_audio_open(&audio, PG_GETARG_DATUM(0), PG_GETARG_TEXT_PP(1), PG_GETARG_INT32(2));
	hear(&audio, &options);
	end_challenge(&sink);
	if (sink.found)
	{
		mulberry_row_add_text(&r, sink.found_digits);
		mulberry_row_add(&r, Int32GetDatum((int32) mulberry_samples_to_ms(
								 audio.n_samples - sink.found_began, audio.sample_rate)));
	}
	return mulberry_row_end(&r);
}
