/*
 * fuzz_resample.c
 *	  Resampling between any two rates: the output is the same however the input is
 *	  cut, has the stated length, and never exceeds the bound that sizes buffers.
 *
 * The first two bytes choose the rates, the third seeds the cutting, the rest is
 * audio.
 *
 * Fuzz with: -max_len=1024
 */
#include "fuzz.h"
#include "core/audio/resample.h"

#include <stdlib.h>
#include <string.h>

/* One more than there are: the last is not supported. */
#define N_RATES (MB_RESAMPLE_N_RATES + 1)

static int
rate_of(int i)
{
	return i < MB_RESAMPLE_N_RATES ? mb_resample_rates[i] : 96000;
}

/* Designed once for each pair: the design costs more than all the rest. */
static mb_resampler *
resampler_for(int from, int to)
{
	static mb_resampler *made[N_RATES][N_RATES];

	if (made[from][to] == NULL)
	{
		size_t size = mb_resampler_size(rate_of(from), rate_of(to));
		void *memory;

		if (size == 0)
		{
			/* only for the rate that is not supported */
			if (from != MB_RESAMPLE_N_RATES && to != MB_RESAMPLE_N_RATES)
				abort();
			return NULL;
		}
		memory = aligned_alloc(16, (size + 15) / 16 * 16);
		if (mb_resampler_init(&made[from][to], memory, size, rate_of(from), rate_of(to)) != MB_OK)
			abort();
	}
	return made[from][to];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	mb_resampler *r;
	int from;
	int to;
	uint32_t cut;
	size_t n;
	size_t expected;
	size_t got;
	size_t position = 0;
	size_t n_cut = 0;
	int16_t *in;
	int16_t *whole;
	int16_t *pieces;
	int16_t *buffer;

	if (size < 3)
		return 0;
	from = data[0] % N_RATES;
	to = data[1] % N_RATES;
	cut = data[2];
	data += 3;
	n = (size - 3) / 2;
	r = resampler_for(from, to);
	if (r == NULL)
		return 0;

	in = malloc(n * sizeof(int16_t) + 1);
	memcpy(in, data, n * sizeof(int16_t));
	expected = (size_t) mb_resample_length(n, rate_of(from), rate_of(to));
	whole = malloc(expected * sizeof(int16_t) + 1);
	pieces = malloc(expected * sizeof(int16_t) + 1);

	buffer = malloc(mb_resampler_output_bound(r, n) * sizeof(int16_t) + 1);
	got = mb_resampler_feed(r, in, n, buffer);
	if (got > expected)
		abort();
	memcpy(whole, buffer, got * sizeof(int16_t));
	free(buffer);
	buffer = malloc(mb_resampler_output_bound(r, 0) * sizeof(int16_t) + 1);
	n_cut = mb_resampler_flush(r, buffer);
	if (got + n_cut != expected)
		abort();
	memcpy(whole + got, buffer, n_cut * sizeof(int16_t));
	free(buffer);

	n_cut = 0;
	while (position < n)
	{
		size_t piece;

		cut = cut * 1103515245u + 12345u;
		piece = (cut >> 16) % 64;
		if (piece > n - position)
			piece = n - position;
		buffer = malloc(mb_resampler_output_bound(r, piece) * sizeof(int16_t) + 1);
		got = mb_resampler_feed(r, in + position, piece, buffer);
		if (n_cut + got > expected)
			abort();
		memcpy(pieces + n_cut, buffer, got * sizeof(int16_t));
		free(buffer);
		n_cut += got;
		position += piece;
	}
	buffer = malloc(mb_resampler_output_bound(r, 0) * sizeof(int16_t) + 1);
	got = mb_resampler_flush(r, buffer);
	if (n_cut + got != expected)
		abort();
	memcpy(pieces + n_cut, buffer, got * sizeof(int16_t));
	free(buffer);
	if (expected > 0 && memcmp(whole, pieces, expected * sizeof(int16_t)) != 0)
		abort();
	free(in);
	free(whole);
	free(pieces);
	return 0;
}
