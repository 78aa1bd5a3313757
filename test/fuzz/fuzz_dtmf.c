/*
 * fuzz_dtmf.c
 *	  The DTMF receiver over arbitrary samples: no portions and no code path change what it
 *	  says, digits lie one after another inside the signal, and every figure is one.
 *
 * The first byte chooses the sample rate, the second seeds the cutting, the third is
 * the floor.  Then come records of four bytes: two of four say which tones sound (any of the
 * eight, and noise), one how loud, one how long; they reach digits where samples would not.  A
 * record of odd first byte is followed by raw samples instead.
 *
 * Fuzz with: -max_len=400
 */
#include "fuzz.h"
#include "core/audio/dtmf_internal.h"

#include <math.h>
#include <string.h>

#define MAX_EVENTS 2048
#define MAX_SAMPLES 200000

typedef struct heard
{
	int n;
	mb_dtmf_event events[MAX_EVENTS];
} heard;

static void
note_event(void *arg, const mb_dtmf_event *event)
{
	heard *h = arg;

	require(h->n < MAX_EVENTS);
	h->events[h->n++] = *event;
}

/* Samples from the records. */
static size_t
make(const uint8_t *data, size_t size, int rate, int16_t *samples)
{
	static const double hz[8] = { 697, 770, 852, 941, 1209, 1336, 1477, 1633 };
	uint32_t noise = 1;
	size_t n = 0;

	while (size >= 4)
	{
		/* up to 256 ms in units of one */
		size_t length = (size_t) (data[3] + 1) * (size_t) rate / 1000;

		length = length < MAX_SAMPLES - n ? length : MAX_SAMPLES - n;
		if (data[0] & 1 && size >= 4 + 64)
		{
			for (size_t i = 0; i < length; i++)
				samples[n + i] = (int16_t) (data[4 + 2 * i % 64] | data[5 + 2 * i % 64] << 8);
			data += 64;
			size -= 64;
		}
		else
		{
			double peak = 16384 * pow(10, -(data[2] & 63) / 20.0);

			for (size_t i = 0; i < length; i++)
			{
				double sum = 0;

				for (int k = 0; k < 8; k++)
					if (data[1] >> k & 1)
						sum += peak * sin(6.283185307179586 * hz[k] * (double) i / rate);
				noise = noise * 1664525 + 1013904223;
				if (data[0] & 2)
					sum += (double) (noise >> 16) * (data[0] >> 2) / 64 - 512.0 * (data[0] >> 2);
				samples[n + i] = (int16_t) fmin(fmax(sum, -32768), 32767);
			}
		}
		n += length;
		data += 4;
		size -= 4;
	}
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int rates[] = { 8000, 8000, 8000, 16000, 8000, 48000, 8000, 44100 };
	static int16_t samples[MAX_SAMPLES];
	static heard whole, pieces;
	static mb_dtmf dtmf;
	mb_dtmf_options options = { 0, note_event, &whole };
	uint32_t cut;
	uint64_t end = 0;
	size_t n;
	int rate;

	if (size < 3)
		return 0;
	rate = rates[data[0] & 7];
	cut = data[1];
	options.floor_dbm0 = -(float) (data[2] & 127);
	if (options.floor_dbm0 < -70 || options.floor_dbm0 > -10)
	{
		require(mb_dtmf_init(&dtmf, rate, &options) == MB_ERR_RANGE);
		options.floor_dbm0 = MB_DTMF_DEFAULT_FLOOR_DBM0;
	}
	n = make(data + 3, size - 3, rate, samples);

	whole.n = pieces.n = 0;
	require(mb_dtmf_init(&dtmf, rate, &options) == MB_OK);
	mb_dtmf_feed(&dtmf, samples, n);
	mb_dtmf_flush(&dtmf);
	for (int i = 0; i < whole.n; i++)
	{
		const mb_dtmf_event *event = &whole.events[i];

		require(event->digit != '\0' && strchr(MB_DTMF_SYMBOLS, event->digit) != NULL);
		require(event->onset >= end);
		end = event->onset + event->duration;
		require(event->duration > 0 && event->onset + event->duration <= n + (uint64_t) rate / 50);
		require(isfinite(event->level_dbm0) && event->level_dbm0 >= options.floor_dbm0 &&
				event->level_dbm0 < 10);
		require(isfinite(event->twist_db) && fabsf(event->twist_db) < 12);
	}

	options.arg = &pieces;
	require(mb_dtmf_init(&dtmf, rate, &options) == MB_OK);
	for (int path = DTMF_PATH_PLAIN; path <= (int) (cut & 3); path++)
		mb_dtmf_use_path(&dtmf, (dtmf_path) (path % 3));
	for (size_t at = 0; at < n;)
	{
		size_t part;

		cut = cut * 1664525 + 1013904223;
		part = cut >> 16 & (cut >> 8 & 1 ? 15 : 2047);
		part = part < n - at ? part : n - at;
		mb_dtmf_feed(&dtmf, samples + at, part);
		at += part;
	}
	mb_dtmf_flush(&dtmf);
	require(pieces.n == whole.n);
	for (int i = 0; i < whole.n; i++)
	{
		require(pieces.events[i].digit == whole.events[i].digit);
		require(pieces.events[i].onset == whole.events[i].onset);
		require(pieces.events[i].duration == whole.events[i].duration);
		require(pieces.events[i].level_dbm0 == whole.events[i].level_dbm0);
		require(pieces.events[i].twist_db == whole.events[i].twist_db);
	}
	return 0;
}
