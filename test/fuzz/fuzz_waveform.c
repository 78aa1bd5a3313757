/*
 * fuzz_waveform.c
 *	  A picture of arbitrary lanes, marks, words and texts is refused, or it is well-formed UTF-8 and XML
 *	  and no larger than its size in pixels allows.
 *
 * The first bytes say how large it is and how long, the rest what is in it, in records of a kind and two times; those
 * of words are followed by their text.
 *
 * Fuzz with: -max_len=4096
 */
#include "fuzz.h"
#include "core/audio/waveform.h"
#include "core/text/utf8.h"

#include <string.h>

#define MARKS 2000
#define LANES 3

/* Of a picture of the largest width here and LANES lanes. */
#define LARGEST 1500000

static char svg[LARGEST + 1];
static size_t svg_size;

static void
collect(void *arg, const char *text, size_t n)
{
	(void) arg;
	require(n <= LARGEST - svg_size);
	memcpy(svg + svg_size, text, n);
	svg_size += n;
}

/* Elements are closed in the order in which they are opened, attributes and texts hold no markup. */
static void
require_well_formed(void)
{
	const char *open[32];
	size_t lengths[32];
	int depth = 0;
	size_t n;

	svg[svg_size] = '\0';
	require(strlen(svg) == svg_size);
	for (const char *p = svg; *p != '\0'; p += n)
	{
		uint32_t c = mb_utf8_next(p, &n);

		require(c != MB_NOT_UTF8 && mb_xml_character(c));
		if (c == '&')
		{
			size_t length = strcspn(p, ";");

			require(length > 1 && length < 8 && p[length] == ';');
			continue;
		}
		require(c != '>');
		if (c != '<')
			continue;
		n = strcspn(p + 1, "<>") + 2;
		require(p[n - 1] == '>');
		if (p[1] == '/')
		{
			require(depth > 0 && lengths[depth - 1] == n - 3);
			depth--;
			require(memcmp(open[depth], p + 2, n - 3) == 0);
		}
		else if (p[n - 2] != '/')
		{
			require(depth < 32);
			open[depth] = p + 1;
			lengths[depth++] = strcspn(p + 1, " >");
		}
	}
	require(depth == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static mb_waveform_column columns[LANES][2000];
	static mb_waveform_digit digits[MARKS];
	static mb_waveform_span speech[MARKS];
	static mb_waveform_span lost[MARKS];
	static mb_waveform_word words[MARKS];
	static char texts[8192];
	mb_waveform waveforms[LANES];
	mb_waveform_lane lanes[LANES] = { 0 };
	mb_waveform_picture picture = { .lanes = lanes };
	int16_t samples[64];
	size_t used = 0;
	uint64_t total;
	double unit;

	if (size < 8)
		return 0;
	picture.width = 200 + data[0] * 6;
	picture.height = data[1] * 8;
	picture.n_lanes = data[2] % (LANES + 1);
	total = (uint64_t) 1 << data[3] % 24;
	unit = (double) total / 8000 / 0xF000;
	for (int i = 0; i < 64; i++)
		samples[i] = (int16_t) ((data[4] - 128) * data[5] * (i % 3));
	for (size_t k = 0; k < picture.n_lanes; k++)
	{
		if (mb_waveform_init(&waveforms[k], columns[k], mb_waveform_columns(picture.width, total),
							 total) != MB_OK)
			return 0;
		(void) mb_waveform_feed(&waveforms[k], samples, 64);
		(void) mb_waveform_skip(&waveforms[k], (uint64_t) data[6] << 8);
		(void) mb_waveform_feed(&waveforms[k], samples, 64);
		lanes[k] = (mb_waveform_lane){ .waveform = &waveforms[k],
									   .sample_rate = 8000,
									   .digits = digits,
									   .speech = speech,
									   .lost = lost,
									   .words = words };
	}
	for (data += 8, size -= 8; size >= 5 && picture.n_lanes > 0;)
	{
		mb_waveform_lane *lane = &lanes[0];
		double start = (data[1] << 8 | data[2]) * unit;
		double end = start + (data[3] << 8 | data[4]) * unit;
		uint8_t kind = data[0];

		data += 5;
		size -= 5;
		if (kind % 4 == 0 && lane->n_digits < MARKS)
			digits[lane->n_digits++] =
				(mb_waveform_digit){ "0123456789ABCD*#"[kind / 4 % 16], start, end };
		else if (kind % 4 == 1 && lane->n_speech < MARKS)
			speech[lane->n_speech++] = (mb_waveform_span){ start, end };
		else if (kind % 4 == 2 && lane->n_lost < MARKS)
			lost[lane->n_lost++] = (mb_waveform_span){ start, end };
		else
		{
			size_t n = kind / 8 < size ? kind / 8 : size;
			char *text = texts + used;

			if (lane->n_words == MARKS || used + n + 1 > sizeof(texts))
				break;
			memcpy(text, data, n);
			text[n] = '\0';
			used += n + 1;
			data += n;
			size -= n;
			words[lane->n_words++] = (mb_waveform_word){ text, start, end, kind & 4 };
			/* the last ones are the texts of the picture as well */
			picture.title = text;
			lane->name = text;
		}
	}
	svg_size = 0;
	if (mb_waveform_write(&picture, collect, NULL) == MB_OK)
		require_well_formed();
	else
		require(svg_size == 0);
	return 0;
}
