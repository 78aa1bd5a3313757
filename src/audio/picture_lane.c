/*
 * picture_lane.c
 *	  Fills lanes of pictures and has them drawn; see picture_lane.h.
 *
 * Digits and speech are found as dtmf_detect() and speech_segments() find them, but for the
 * tones of digits, which are not shown as speech.  Drawing is the core's (waveform.h).
 */
#include "server/compat.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "audio/audio_input.h"
#include "audio/dtmf.h"
#include "audio/picture_lane.h"
#include "core/audio/vad.h"

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
	const mulberry_lane_source *source;
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
	int rate = found->source->sample_rate;

	if (event->kind != MB_VAD_SPEECH_ENDED)
		return;
	if (found->n_speech == found->speech_size)
	{
		found->speech_size *= 2;
		found->speech = repalloc_huge(found->speech, sizeof(*found->speech) * found->speech_size);
	}
	found->speech[found->n_speech++] = (mb_waveform_span){ .start = (double) event->onset / rate,
														   .end = (double) event->end / rate };
}

/* First pass: envelope and digits. */
static void
find_digits(findings *found, mb_waveform *waveform, int16 *samples)
{
	const mulberry_lane_source *source = found->source;
	NullableDatum no_floor = { .isnull = true };
	mb_dtmf_holes *receiver =
		mulberry_dtmf_holes_receiver(source->sample_rate, &no_floor, add_digit, found);
	int64 lost;
	size_t n;

	while ((n = source->next(source->arg, samples, &lost)) > 0 || lost > 0)
	{
		CHECK_FOR_INTERRUPTS();
		mulberry_expect_ok(mb_waveform_feed(waveform, samples, n));
		mulberry_expect_ok(mb_waveform_skip(waveform, lost));
		mb_dtmf_holes_lost(receiver, lost);
		mb_dtmf_holes_feed(receiver, samples, n);
	}
	mb_dtmf_holes_flush(receiver);
}

/* Blanks the digits, from one on, out of the n samples that end at a place; returns the first digit that may matter behind it. */
static int
blank_digits(const findings *found, int digit, int16 *samples, size_t n, uint64 end)
{
	/* tones ring on for a moment, and detected ends are rounded */
	uint64 margin = found->source->sample_rate / 100;
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
	return digit;
}

/* Second pass: speech, with the digits blanked out. */
static void
find_speech(findings *found, int16 *samples)
{
	const mulberry_lane_source *source = found->source;
	mb_vad_options options = mb_vad_default_options;
	uint64 position = 0;
	int digit = 0;
	mb_vad vad;
	int64 lost;
	size_t n;

	options.on_event = add_speech;
	options.arg = found;
	mulberry_expect_ok(mb_vad_init(&vad, source->sample_rate, &options));
	source->rewind(source->arg);
	while ((n = source->next(source->arg, samples, &lost)) > 0 || lost > 0)
	{
		position += n + lost;
		if (n > 0)
			digit = blank_digits(found, digit, samples, n, position);
		else
			memset(samples, 0, Min(lost, MULBERRY_AUDIO_SLICE) * sizeof(int16));
		do
		{
			CHECK_FOR_INTERRUPTS();
			if (lost > 0)
				n = Min(lost, MULBERRY_AUDIO_SLICE);
			mb_vad_feed(&vad, samples, n);
			lost -= n;
		} while (lost > 0);
	}
	mb_vad_flush(&vad);
}

void
mulberry_fill_lane(mb_waveform_lane *lane, const mulberry_lane_source *source, int width)
{
	findings found = { .source = source, .digits_size = 64, .speech_size = 64 };
	mb_waveform *waveform = palloc(sizeof(*waveform));
	int16 *samples = palloc(MULBERRY_AUDIO_SLICE * sizeof(int16));
	size_t n_columns = mb_waveform_columns(width, source->total);
	mb_waveform_digit *digits;

	mulberry_expect_ok(mb_waveform_init(waveform, palloc(sizeof(mb_waveform_column) * n_columns),
										n_columns, source->total));
	found.digits = palloc(sizeof(digit_span) * found.digits_size);
	found.speech = palloc(sizeof(*found.speech) * found.speech_size);
	find_digits(&found, waveform, samples);
	find_speech(&found, samples);
	pfree(samples);

	digits = palloc_extended(sizeof(*digits) * Max(found.n_digits, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < found.n_digits; i++)
	{
		/* a digit that lasts to the end may be rounded beyond it */
		uint64 end = Min(found.digits[i].end, (uint64) source->total);

		digits[i] =
			(mb_waveform_digit){ .symbol = found.digits[i].symbol,
								 .start = (double) found.digits[i].start / source->sample_rate,
								 .end = (double) end / source->sample_rate };
	}
	pfree(found.digits);
	lane->waveform = waveform;
	lane->sample_rate = source->sample_rate;
	lane->digits = digits;
	lane->n_digits = found.n_digits;
	lane->speech = found.speech;
	lane->n_speech = found.n_speech;
}

void
mulberry_check_picture_size(int width, int height)
{
	if (width < MB_WAVEFORM_MIN_WIDTH || width > MB_WAVEFORM_MAX_WIDTH)
		ereport(
			ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("width of the picture, %d, is out of range", width),
			errdetail("It can be %d to %d pixels.", MB_WAVEFORM_MIN_WIDTH, MB_WAVEFORM_MAX_WIDTH));
	if (height < MB_WAVEFORM_MIN_HEIGHT || height > MB_WAVEFORM_MAX_HEIGHT)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("height of the picture, %d, is out of range", height),
				errdetail("It can be %d to %d pixels.", MB_WAVEFORM_MIN_HEIGHT,
						  MB_WAVEFORM_MAX_HEIGHT));
}

char *
mulberry_picture_text(const text *value)
{
	char *server = text_to_cstring(value);

	return pg_server_to_any(server, strlen(server), PG_UTF8);
}

static void
append_svg(void *arg, const char *svg, size_t n)
{
	appendBinaryStringInfo((StringInfo) arg, svg, (int) n);
}

text *
mulberry_draw_picture(mb_waveform_picture *picture)
{
	int least = mb_waveform_least_height(picture);
	StringInfoData svg;
	char *server;

	if (picture->height == MULBERRY_GOOD_HEIGHT)
		picture->height = Min(mb_waveform_good_height(picture), MB_WAVEFORM_MAX_HEIGHT);
	if (picture->height < least)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("height of the picture, %d, is too low for what is in it", picture->height),
				errdetail("It needs %d pixels.", least));
	initStringInfo(&svg);
	mulberry_expect_ok(mb_waveform_write(picture, append_svg, &svg));
	server = pg_any_to_server(svg.data, svg.len, PG_UTF8);
	return server == svg.data ? cstring_to_text_with_len(svg.data, svg.len)
							  : cstring_to_text(server);
}
