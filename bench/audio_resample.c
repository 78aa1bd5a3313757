/*
 * audio_resample.c
 *	  The resampler beside speexdsp's, over the same noise in the same run.
 *
 * speexdsp has a quality from 0 to 10: its default is 4 in most programs; 8 is the one nearest to
 * what resample.h promises (80 dB).  Prints ns of one thread for each sample that comes out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <speex/speex_resampler.h>

#include "core/audio/resample.h"

#define RUNS 9
#define SECONDS 10
#define PORTION 4096

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static double
time_ours(mb_resampler *resampler, const int16_t *in, size_t n, int16_t *out)
{
	double begin = now();
	size_t given = 0;

	for (size_t i = 0; i < n; i += PORTION)
		given += mb_resampler_feed(resampler, in + i, n - i < PORTION ? n - i : PORTION, out);
	given += mb_resampler_flush(resampler, out);
	return (now() - begin) * 1e9 / (double) given;
}

static double
time_speex(int from, int to, int quality, const int16_t *in, size_t n, int16_t *out, size_t room)
{
	int error;
	SpeexResamplerState *state =
		speex_resampler_init(1, (spx_uint32_t) from, (spx_uint32_t) to, quality, &error);
	double begin = now();
	size_t given = 0;

	for (size_t i = 0; i < n; i += PORTION)
	{
		spx_uint32_t taken = n - i < PORTION ? (spx_uint32_t) (n - i) : PORTION;
		spx_uint32_t got = (spx_uint32_t) room;

		speex_resampler_process_int(state, 0, in + i, &taken, out, &got);
		given += got;
	}
	begin = now() - begin;
	speex_resampler_destroy(state);
	return begin * 1e9 / (double) given;
}

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return x < y ? -1 : x > y;
}

static double
median(double *v)
{
	qsort(v, RUNS, sizeof(*v), compare_doubles);
	return v[RUNS / 2];
}

int
main(void)
{
	static const int pairs[][2] = { { 16000, 8000 }, { 44100, 8000 }, { 48000, 8000 },
									{ 8000, 16000 }, { 8000, 48000 }, { 48000, 16000 },
									{ 44100, 48000 } };
	static const int qualities[] = { 4, 8 };

	printf("Resampling, ns a sample that comes out; medians of %d interleaved runs\n\n", RUNS);
	printf("%6s %6s %8s %8s %11s %11s\n", "from", "to", "ours", "plain", "speexdsp 4",
		   "speexdsp 8");
	for (size_t p = 0; p < sizeof(pairs) / sizeof(pairs[0]); p++)
	{
		int from = pairs[p][0], to = pairs[p][1];
		size_t n = (size_t) from * SECONDS;
		size_t size = (mb_resampler_size(from, to) + 63) / 64 * 64;
		int16_t *in = malloc(n * sizeof(*in));
		mb_resampler *best, *plain;
		double v[4][RUNS];
		uint32_t random = 1;
		size_t room;
		int16_t *out;

		for (size_t i = 0; i < n; i++)
		{
			random = random * 1664525 + 1013904223;
			in[i] = (int16_t) (random >> 17);
		}
		if (mb_resampler_init(&best, aligned_alloc(64, size), size, from, to) != MB_OK ||
			mb_resampler_init(&plain, aligned_alloc(64, size), size, from, to) != MB_OK)
			return 1;
		mb_resampler_use_plain(plain);
		room = mb_resampler_output_bound(best, PORTION);
		out = malloc(room * sizeof(*out));
		for (int run = 0; run < RUNS; run++)
		{
			v[0][run] = time_ours(best, in, n, out);
			v[1][run] = time_ours(plain, in, n, out);
			for (int q = 0; q < 2; q++)
				v[2 + q][run] = time_speex(from, to, qualities[q], in, n, out, room);
		}
		printf("%6d %6d %8.2f %8.2f %11.2f %11.2f\n", from, to, median(v[0]), median(v[1]),
			   median(v[2]), median(v[3]));
		fflush(stdout);
		free(in);
		free(out);
		free(best);
		free(plain);
	}
	printf("\nours: with AVX2 where there is; plain: the code for any processor.\n");
	return 0;
}
