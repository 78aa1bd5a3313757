/*
 * test_media_track.c
 *	  From pieces of audio to packets: each sample once and in its place, gaps where whole packets never came, pauses where nothing was sent.
 *
 * Link with: -I..
 */
#define _GNU_SOURCE
#include "check.h"
#include "../../gateway/media_track.c"

#define PACKET 1600

static struct
{
	int64_t sequence;
	int64_t at;
	size_t n;
	uint8_t audio[2 * PACKET];
} packets[100];
static int n_packets;
static gw_media_track track;

static void
take(void *arg, gw_media_track *of, const uint8_t *audio, size_t n, int64_t at)
{
	(void) arg;
	packets[n_packets].sequence = of->sequence;
	packets[n_packets].at = at;
	packets[n_packets].n = n;
	memcpy(packets[n_packets++].audio, audio, n);
}

static void
begin(mb_encoding encoding)
{
	memset(&track, 0, sizeof(track));
	n_packets = 0;
	track.packet = take;
	check(gw_track_begin(&track, encoding, 8000));
}

static void
add(int value, size_t n, int64_t at_ms)
{
	uint8_t audio[8 * PACKET];

	memset(audio, value, n);
	gw_track_add(&track, audio, n, at_ms < 0 ? -1 : at_ms * 1000);
}

static void
pieces_of_any_size(void)
{
	static const size_t sizes[] = { 160, 1, 7, 1600, 33, 4000, 2, 5000 };

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
	{
		size_t total = 0;

		begin(MB_MULAW);
		for (int i = 0; total < 12345; i++)
		{
			size_t n = sizes[s] < 12345 - total ? sizes[s] : 12345 - total;

			add(i & 0xff, n, -1);
			total += n;
		}
		gw_track_flush(&track);
		check_int(n_packets, 8);
		check_int(track.sequence, 8);
		check_int(track.samples, 12345);
		for (int i = 0; i < n_packets; i++)
		{
			check_int(packets[i].sequence, i);
			check_int(packets[i].n, i < 7 ? PACKET : 12345 - 7 * PACKET);
			check_int(packets[i].at, i * 200000);
			check_int(packets[i].audio[0], (int) (i * PACKET / sizes[s]) & 0xff);
		}
		gw_track_free(&track);
	}
}

static void
what_never_came(void)
{
	begin(MB_MULAW);
	add(1, 480, 0);
	gw_track_lose(&track, 160);
	add(2, 960, 80);
	/* a packet and a half: one is a gap, the other half is silence */
	gw_track_lose(&track, PACKET + 800);
	add(3, 800, 500);
	gw_track_flush(&track);
	check_int(n_packets, 2);
	check_int(packets[0].sequence, 0);
	check_int(packets[1].sequence, 2);
	check_int(packets[1].at, 400000);
	check_int(packets[0].audio[479], 1);
	check_int(packets[0].audio[480], 0xff);
	check_int(packets[0].audio[639], 0xff);
	check_int(packets[0].audio[640], 2);
	check_int(packets[1].audio[799], 0xff);
	check_int(packets[1].audio[800], 3);
	check_int(track.lost, 160 + PACKET + 800);
	check_int(track.sequence, 3);
	gw_track_free(&track);
}

static void
what_was_not_sent(void)
{
	begin(MB_S16LE);
	add(1, 320, 1000);
	check_int(n_packets, 0);
	/* a delay is no pause */
	add(1, 320, 1090);
	check_int(n_packets, 0);
	add(2, 320, 5000);
	gw_track_flush(&track);
	check_int(n_packets, 2);
	check_int(packets[0].at, 1000000);
	check_int(packets[0].n, 640);
	check_int(packets[1].sequence, 1);
	check_int(packets[1].at, 5000000);
	check_int(track.lost, 0);
	gw_track_free(&track);
}

int
main(void)
{
	check_run("pieces of any size", pieces_of_any_size);
	check_run("what never came", what_never_came);
	check_run("what was not sent", what_was_not_sent);
	return check_done();
}
