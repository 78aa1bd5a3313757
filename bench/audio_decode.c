/*
 * audio_decode.c
 *	  The DTMF receiver over a file of mu-law at 8 kHz by the core alone: what
 *	  dtmf_decode() is measured against (audio_sql.sh).
 *
 *		audio_decode FILE RUNS		milliseconds of the processor, the mean of so many runs
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/audio/dtmf.h"
#include "core/audio/g711.h"

/* Samples at a time, as SQL functions take them (MULBERRY_AUDIO_SLICE). */
#define SLICE 8192

static void
count_digit(void *arg, const mb_dtmf_event *event)
{
	(void) event;
	++*(long *) arg;
}

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return 1e3 * (double) t.tv_sec + 1e-6 * (double) t.tv_nsec;
}

int
main(int argc, char **argv)
{
	static mb_dtmf dtmf;
	FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL;
	double sum = 0;
	int runs = argc == 3 ? atoi(argv[2]) : 0;
	uint8_t *audio;
	long size;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) <= 0 || runs < 1)
	{
		fprintf(stderr, "usage: audio_decode FILE RUNS\n");
		return 2;
	}
	rewind(file);
	audio = malloc((size_t) size);
	if (audio == NULL || fread(audio, 1, (size_t) size, file) != (size_t) size)
		return 1;
	for (int run = 0; run < runs; run++)
	{
		int16_t samples[SLICE];
		long digits = 0;
		mb_dtmf_options options = { MB_DTMF_DEFAULT_FLOOR_DBM0, count_digit, &digits };
		double begin = now_ms();

		mb_dtmf_init(&dtmf, 8000, &options);
		for (long i = 0; i < size; i += SLICE)
		{
			size_t n = size - i < SLICE ? (size_t) (size - i) : SLICE;

			mb_audio_decode(MB_MULAW, audio + i, n, samples);
			mb_dtmf_feed(&dtmf, samples, n);
		}
		mb_dtmf_flush(&dtmf);
		sum += now_ms() - begin;
	}
	printf("%.3f\n", sum / runs);
	return 0;
}
