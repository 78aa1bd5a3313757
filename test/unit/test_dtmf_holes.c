/*
 * test_dtmf_holes.c
 *	  The DTMF receiver over lost packets: wherever one falls, a digit is one digit and two are two.
 */
#include "dtmf_receive.h"
#include "core/audio/dtmf_holes.h"
#include "core/audio/tone.h"

#define DIGITS "5550#119"
#define LEAD_MS 60

/* Digits of "on" and pauses of "off" ms, behind LEAD_MS of silence. */
static int16_t *
make(int rate, int on, int off, size_t *n)
{
	mb_tone_dtmf_options options = MB_TONE_DTMF_DEFAULTS;
	size_t lead = (size_t) (LEAD_MS * rate / 1000);
	mb_tone_dtmf tone;
	uint64_t length;
	int16_t *samples;

	options.on_ms = on;
	options.off_ms = off;
	if (mb_tone_dtmf_samples(DIGITS, strlen(DIGITS), &options, rate, &length, NULL) != MB_OK ||
		mb_tone_dtmf_init(&tone, DIGITS, strlen(DIGITS), &options, rate) != MB_OK)
		abort();
	*n = 2 * lead + (size_t) length;
	samples = calloc(*n, sizeof(int16_t));
	if (samples == NULL || mb_tone_dtmf_read(&tone, samples + lead, (size_t) length) != length)
		abort();
	return samples;
}

/* Hears packets of so many samples, of which those for which lost() holds are missing. */
static received
hear(const int16_t *samples, size_t n, int rate, size_t packet, size_t first_lost, size_t lost,
	 size_t every)
{
	received r = { 0 };
	mb_dtmf_options options = { MB_DTMF_DEFAULT_FLOOR_DBM0, received_add, &r };
	static mb_dtmf dtmf;
	mb_dtmf_holes holes;

	if (mb_dtmf_holes_init(&holes, &dtmf, rate, &options) != MB_OK)
		abort();
	for (size_t at = 0, number = 0; at < n; number++)
	{
		size_t part = packet < n - at ? packet : n - at;
		size_t place = number % every;

		if (place >= first_lost && place < first_lost + lost)
		{
			size_t missing = 0;

			/* a run of them is one hole */
			while (at < n && number % every >= first_lost && number % every < first_lost + lost)
			{
				part = packet < n - at ? packet : n - at;
				missing += part;
				at += part;
				number++;
			}
			number--;
			mb_dtmf_holes_lost(&holes, missing);
			continue;
		}
		mb_dtmf_holes_feed(&holes, samples + at, part);
		at += part;
	}
	mb_dtmf_holes_flush(&holes);
	return r;
}

static void
check_digits(const received *r, int rate, int on, int off, int tolerance_ms)
{
	check_string(received_digits(r), DIGITS);
	for (size_t i = 0; i < r->n && i < strlen(DIGITS); i++)
	{
		double onset = LEAD_MS + (double) i * (on + off);

		check_range((double) r->events[i].onset * 1000 / rate, onset - tolerance_ms,
					onset + tolerance_ms);
		check_range((double) r->events[i].duration * 1000 / rate, on - 2 * tolerance_ms,
					on + 2 * tolerance_ms);
	}
}

/* One packet of 20 ms in each 180: each place within a digit of 100 ms and a pause of 60 or 80 comes under it. */
static void
a_lost_packet_makes_no_second_digit(void)
{
	static const int rates[] = { 8000, 16000 };

	for (int r = 0; r < 2; r++)
	{
		for (int off = 60; off <= 80; off += 20)
		{
			size_t n;
			int16_t *samples = make(rates[r], 100, off, &n);
			size_t packet = (size_t) rates[r] / 50;

			for (size_t shift = 0; shift < packet; shift += packet / 5)
			{
				for (size_t first = 0; first < 9; first++)
				{
					received got = hear(samples + shift, n - shift, rates[r], packet, first, 1, 9);

					check_string(received_digits(&got), DIGITS);
					received_free(&got);
				}
			}
			free(samples);
		}
	}
}

/* Two packets in a row are still a hole that hides no pause. */
static void
two_lost_packets_neither(void)
{
	size_t n;
	int16_t *samples = make(8000, 100, 100, &n);

	for (size_t first = 0; first < 9; first++)
	{
		received got = hear(samples, n, 8000, 160, first, 2, 10);

		check_string(received_digits(&got), DIGITS);
		received_free(&got);
	}
	free(samples);
}

static void
times_count_what_was_lost(void)
{
	size_t n;
	int16_t *samples = make(8000, 100, 100, &n);
	received whole = hear(samples, n, 8000, 160, 0, 0, 10);

	check_digits(&whole, 8000, 100, 100, 4);
	received_free(&whole);
	/* in the middle of each digit, which begins at 60 ms and each 200 */
	whole = hear(samples, n, 8000, 160, 5, 1, 10);
	check_digits(&whole, 8000, 100, 100, 4);
	received_free(&whole);
	/* in the pauses */
	whole = hear(samples, n, 8000, 160, 1, 1, 10);
	check_digits(&whole, 8000, 100, 100, 4);
	received_free(&whole);
	free(samples);
}

/* What is longer may hide a pause: it is silence, and parts what lies before and behind it. */
static void
long_holes_are_silence(void)
{
	size_t n;
	int16_t *samples = make(8000, 200, 100, &n);
	received got = { 0 };
	mb_dtmf_options options = { MB_DTMF_DEFAULT_FLOOR_DBM0, received_add, &got };
	static mb_dtmf dtmf;
	mb_dtmf_holes holes;

	/* 60 to 130 ms of the first digit, then 41 ms lost, then its rest */
	REQUIRE(mb_dtmf_holes_init(&holes, &dtmf, 8000, &options) == MB_OK);
	mb_dtmf_holes_feed(&holes, samples, 130 * 8);
	mb_dtmf_holes_lost(&holes, 41 * 8);
	mb_dtmf_holes_feed(&holes, samples + 171 * 8, n - 171 * 8);
	mb_dtmf_holes_flush(&holes);
	check_string(received_digits(&got), "5" DIGITS);
	received_free(&got);
	free(samples);
}

/* Far more holes than are remembered: times of later digits are right, and nothing is out of bounds. */
static void
many_holes_are_counted(void)
{
	size_t n;
	int16_t *samples = make(8000, 100, 100, &n);
	received got = { 0 };
	mb_dtmf_options options = { MB_DTMF_DEFAULT_FLOOR_DBM0, received_add, &got };
	static mb_dtmf dtmf;
	mb_dtmf_holes holes;

	REQUIRE(mb_dtmf_holes_init(&holes, &dtmf, 8000, &options) == MB_OK);
	for (int i = 0; i < 1000; i++)
	{
		mb_dtmf_holes_lost(&holes, 80);
		mb_dtmf_holes_feed(&holes, (const int16_t[8]){ 0 }, 8);
	}
	mb_dtmf_holes_feed(&holes, samples, n);
	mb_dtmf_holes_flush(&holes);
	check_string(received_digits(&got), DIGITS);
	REQUIRE(got.n > 0);
	check_range((double) got.events[0].onset / 8, 1000 * 11 + LEAD_MS - 4, 1000 * 11 + LEAD_MS + 4);
	received_free(&got);
	/* and afterwards it counts from 0 */
	mb_dtmf_holes_feed(&holes, samples, n);
	mb_dtmf_holes_flush(&holes);
	REQUIRE(got.n > 0);
	check_range((double) got.events[0].onset / 8, LEAD_MS - 4, LEAD_MS + 4);
	received_free(&got);
	free(samples);
}

int
main(void)
{
	check_run("a lost packet makes no second digit", a_lost_packet_makes_no_second_digit);
	check_run("two lost packets neither", two_lost_packets_neither);
	check_run("times count what was lost", times_count_what_was_lost);
	check_run("long holes are silence", long_holes_are_silence);
	check_run("many holes are counted", many_holes_are_counted);
	return check_done();
}
