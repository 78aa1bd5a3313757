/*
 * dtmf_count.c
 *	  Reads raw signed 16-bit samples at 8 kHz from standard input and prints what is heard in them by our receiver and by
 *	  libspandsp's: "seconds S ours N spandsp N ABC", the letters being the digits that ours tells.
 *
 * For signals in which there is no digit, so that a script can add up.
 */
#include "core/audio/dtmf.h"

#include <spandsp.h>
#include <stdio.h>

#define PACKET 160

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
	dtmf_rx_state_t *peer = dtmf_rx_init(NULL, NULL, NULL);
	char digits[129];
	int16_t samples[PACKET];
	double seconds = 0;
	size_t peer_heard = 0;
	size_t n;

	if (mb_dtmf_init(&dtmf, 8000, &options) != MB_OK)
		return 2;
	while ((n = fread(samples, sizeof(*samples), PACKET, stdin)) > 0)
	{
		mb_dtmf_feed(&dtmf, samples, n);
		dtmf_rx(peer, samples, (int) n);
		peer_heard += dtmf_rx_get(peer, digits, 128);
		seconds += (double) n / 8000;
	}
	mb_dtmf_flush(&dtmf);
	dtmf_rx_free(peer);
	printf("seconds %.1f ours %zu spandsp %zu %s\n", seconds, n_heard, peer_heard, heard);
	return 0;
}
