/*
 * dtmf_count.c
 *	  Reads raw signed 16-bit samples at 8 kHz from standard input and prints their
 *	  duration and the digits that the receiver hears in them: "seconds S digits N ABC".
 *
 * For signals in which there is no digit, so that a script can add up.
 */
#include "core/audio/dtmf.h"

#include <stdio.h>

static char heard[4096];
static size_t n_heard;

static void
on_digit(void *arg, const mb_dtmf_event *event)
{
	(void) arg;
	if (n_heard + 1 < sizeof(heard))
		heard[n_heard] = event->digit;
	n_heard++;
}

int
main(void)
{
	static mb_dtmf dtmf;
	mb_dtmf_options options = { MB_DTMF_DEFAULT_FLOOR_DBM0, on_digit, NULL };
	int16_t samples[4096];
	double seconds = 0;
	size_t n;

	if (mb_dtmf_init(&dtmf, 8000, &options) != MB_OK)
		return 2;
	while ((n = fread(samples, sizeof(*samples), sizeof(samples) / sizeof(*samples), stdin)) > 0)
	{
		mb_dtmf_feed(&dtmf, samples, n);
		seconds += (double) n / 8000;
	}
	mb_dtmf_flush(&dtmf);
	printf("seconds %.1f digits %zu %s\n", seconds, n_heard, heard);
	return 0;
}
