/*
 * audio_picture.c
 *	  waveform_svg(): a recording as a picture with its digits and speech.
 *
 * It finds digits and speech as dtmf_detect() and speech_segments() do, but for the
 * tones of digits, which are not drawn as speech.  Drawing is the core's (waveform.h).
 */
#include "server/compat.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "audio/audio_input.h"
#include "core/audio/dtmf.h"
#include "core/audio/vad.h"
#include "core/audio/waveform.h"

PG_FUNCTION_INFO_V1(mulberry_waveform_svg);

/* A digit, in samples. */
typedef struct digit_span
{
	char symbol;
	uint64 start;
	uint64 end;
} digit_span;

/* What the detectors found; arrays grow. */
typedef struct findings
{
	int sample_rate;
	int n_digits;
	int digits_size;
	digit_span *digits;
	int n_speech;
	int speech_size;
	mb_waveform_span *speech;
} findings;

static void
add_digit(void *arg, const mb_dtmf_event *event)
{
	findings *found = arg;

	if (found->n_digits == found->digits_size)
	{
		found->digits_size *= 2;
		found->digits = repalloc_huge(found->digits, sizeof(digit_span) * found->digits_size);
	}
	found->digits[found->n_digits++] = (digit_span){ .symbol = event->digit,
													 .start = event->onset,
													 .end = event->onset + event->duration };
}

static void
add_speech(void *arg, const mb_vad_event *event)
{
	findings *found = arg;

	if (event->kind != MB_VAD_SPEECH_ENDED)
		return;
	if (found->n_speech == found->speech_size)
	{
		found->speech_size *= 2;
		found->speech = repalloc_huge(found->speech, sizeof(*found->speech) * found->speech_size);
	}
	found->speech[found->n_speech++] =
		(mb_waveform_span){ .start = (double) event->onset / found->sample_rate,
							.end = (double) event->end / found->sample_rate };
}

/* First pass: envelope and digits. */
static void
find_digits(mulberry_audio *audio, mb_waveform *waveform, findings *found)
{
	mb_dtmf *receiver = mulberry_palloc_aligned(mb_dtmf_size(audio->sample_rate));
	mb_dtmf_options options = { .floor_dbm0 = MB_DTMF_DEFAULT_FLOOR_DBM0,
								.on_digit = add_digit,
								.arg = found };
	int16 samples[MULBERRY_AUDIO_SLICE];
	size_t n;

	mulberry_expect_ok(mb_dtmf_init(receiver, audio->sample_rate, &options));
	while ((n = mulberry_audio_next(audio, samples)) > 0)
	{
		mulberry_expect_ok(mb_waveform_feed(waveform, samples, n));
		mb_dtmf_feed(receiver, samples, n);
	}
	mb_dtmf_flush(receiver);
}

/* Second pass: speech, with the digits blanked out. */
static void
find_speech(mulberry_audio *audio, findings *found)
{
	/* tones ring on for a moment, and detected ends are rounded */
	uint64 margin = audio->sample_rate / 100;
	mb_vad_options options = mb_vad_default_options;
	int16 samples[MULBERRY_AUDIO_SLICE];
	mb_vad vad;
	int digit = 0;
	size_t n;

	options.on_event = add_speech;
	options.arg = found;
	mulberry_expect_ok(mb_vad_init(&vad, audio->sample_rate, &options));
	mulberry_audio_rewind(audio);
	while ((n = mulberry_audio_next(audio, samples)) > 0)
	{
		uint64 end = audio->position;
		uint64 start = end - n;

		while (digit < found->n_digits && found->digits[digit].end + margin <= start)
			digit++;
		for (int i = digit; i < found->n_digits && found->digits[i].start < end + margin; i++)
		{
			uint64 from = found->digits[i].start > margin ? found->digits[i].start - margin : 0;
			uint64 to = Min(found->digits[i].end + margin, end);

			from = Max(from, start);
			if (from < to)
				memset(samples + (from - start), 0, (to - from) * sizeof(int16));
		}
		mb_vad_feed(&vad, samples, n);
	}
	mb_vad_flush(&vad);
}

static void
append_svg(void *arg, const char *svg, size_t n)
{
	appendBinaryStringInfo((StringInfo) arg, svg, (int) n);
}

/* waveform_svg(audio, encoding, sample_rate, width, height, title) */
Datum
mulberry_waveform_svg(PG_FUNCTION_ARGS)
{
	mulberry_audio audio;
	mb_waveform_picture picture = { 0 };
	mb_waveform waveform;
	mb_waveform_digit *digits;
	findings found = { 0 };
	StringInfoData svg;
	size_t n_columns;

	for (int i = 0; i < 5; i++)
	{
		if (PG_ARGISNULL(i))
			PG_RETURN_NULL();
	}
	mulberry_audio_open(&audio, PG_GETARG_DATUM(0), PG_GETARG_TEXT_PP(1), PG_GETARG_INT32(2));
	picture.width = PG_GETARG_INT32(3);
	picture.height = PG_GETARG_INT32(4);
	picture.sample_rate = audio.sample_rate;
	if (!PG_ARGISNULL(5) && VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(5)) > 0)
		picture.title = text_to_cstring(PG_GETARG_TEXT_PP(5));
	if (picture.width < MB_WAVEFORM_MIN_WIDTH || picture.width > MB_WAVEFORM_MAX_WIDTH ||
		picture.height < MB_WAVEFORM_MIN_HEIGHT || picture.height > MB_WAVEFORM_MAX_HEIGHT)
		ereport(
			ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("size of the picture, %d by %d, is out of range", picture.width, picture.height),
			errdetail("Width can be %d to %d, height %d to %d pixels.", MB_WAVEFORM_MIN_WIDTH,
					  MB_WAVEFORM_MAX_WIDTH, MB_WAVEFORM_MIN_HEIGHT, MB_WAVEFORM_MAX_HEIGHT));

	found.sample_rate = audio.sample_rate;
	found.digits_size = 64;
	found.digits = palloc(sizeof(digit_span) * found.digits_size);
	found.speech_size = 64;
	found.speech = palloc(sizeof(*found.speech) * found.speech_size);
	n_columns = mb_waveform_columns(picture.width, audio.n_samples);
	mulberry_expect_ok(mb_waveform_init(&waveform, palloc(sizeof(mb_waveform_column) * n_columns),
										n_columns, audio.n_samples));
	find_digits(&audio, &waveform, &found);
	find_speech(&audio, &found);

	digits = palloc_extended(sizeof(*digits) * Max(found.n_digits, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < found.n_digits; i++)
	{
		/* a digit that lasts to the end may be rounded beyond it */
		uint64 end = Min(found.digits[i].end, (uint64) audio.n_samples);

		digits[i] =
			(mb_waveform_digit){ .symbol = found.digits[i].symbol,
								 .start = (double) found.digits[i].start / audio.sample_rate,
								 .end = (double) end / audio.sample_rate };
	}
	picture.digits = digits;
	picture.n_digits = found.n_digits;
	picture.speech = found.speech;
	picture.n_speech = found.n_speech;
	initStringInfo(&svg);
	mulberry_expect_ok(mb_waveform_write(&waveform, &picture, append_svg, &svg));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(svg.data, svg.len));
}
