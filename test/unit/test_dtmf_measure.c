/*
 * test_dtmf_measure.c
 *	  What the DTMF receiver measures of a burst's edges and of the company it comes in.
 *
 * Stands in the place of the core's judge, so that every burst that can be measured is seen.
 */
#include "dtmf_others.h"
#include "dtmf_receive.h"

#define MOST 1000

static dtmf_measures seen[MOST];
static size_t n_seen;

bool
mb_dtmf_judge(const mb_dtmf *dtmf, const dtmf_measures *m, mb_dtmf_event *event)
{
	(void) dtmf;
	(void) event;
	if (n_seen < MOST)
		seen[n_seen++] = *m;
	return false;
}

/* Two tones of the digit 5 whose amplitude rises and falls in straight lines, and silence. */
static void
add_burst(signal_buffer *b, double rise_ms, double hold_ms, double fall_ms, double off_ms)
{
	size_t rise = signal_samples(rise_ms);
	size_t fall = signal_samples(fall_ms);
	size_t n = rise + signal_samples(hold_ms) + fall;
	double *x = signal_extend(b, n + signal_samples(off_ms));

	signal_add_sine(x, n, signal_hz[1], signal_peak(-15), 0.3);
	signal_add_sine(x, n, signal_hz[5], signal_peak(-15), 1.1);
	for (size_t i = 0; i < rise; i++)
		x[i] *= (double) i / (double) rise;
	for (size_t i = 0; i < fall; i++)
		x[n - 1 - i] *= (double) i / (double) fall;
}

/* Has it measured and gives it back empty. */
static void
measure(signal_buffer *b, size_t portion, int path)
{
	int16_t *samples = malloc(b->n * sizeof(*samples) + 1);
	received r;

	REQUIRE(samples != NULL);
	for (size_t i = 0; i < b->n; i++)
		samples[i] = (int16_t) lrint(fmin(fmax(b->x[i], -32768), 32767));
	n_seen = 0;
	r = receive(samples, b->n, SIGNAL_RATE, portion, path);
	received_free(&r);
	free(samples);
	b->n = 0;
}

/* From 0.3 to 0.8 of the amplitude a straight line takes half of its time; a hop is 4 ms. */
static void
edges_are_measured(void)
{
	/* what is longer than the track keeps its last hops' power alone */
	static const double holds[] = { 60, 100, 250, 2000 };
	static const double ramps[] = { 10, 20, 28 };
	signal_buffer b = { 0 };

	for (size_t h = 0; h < sizeof(holds) / sizeof(holds[0]); h++)
	{
		for (int place = 0; place < 8; place++)
		{
			signal_extend(&b, (size_t) (800 + 5 * place));
			add_burst(&b, 0, holds[h], 0, 100);
		}
		measure(&b, 0, -1);
		check_int(n_seen, 8);
		for (size_t i = 0; i < n_seen; i++)
		{
			/* a hard edge is as long as a filter sees it */
			check_range((double) seen[i].value[DTMF_RISE], 0.4, 1.3);
			check_range((double) seen[i].value[DTMF_FALL], 0.4, 1.3);
		}
		for (size_t k = 0; k < sizeof(ramps) / sizeof(ramps[0]); k++)
		{
			add_burst(&b, ramps[k], holds[h], 0, 200);
			add_burst(&b, 0, holds[h], ramps[k], 200);
			measure(&b, 0, -1);
			REQUIRE(n_seen == 2);
			check_near((double) seen[0].value[DTMF_RISE], fmax(0.9, ramps[k] / 8), 0.6);
			check_range((double) seen[0].value[DTMF_FALL], 0.4, 1.3);
			check_range((double) seen[1].value[DTMF_RISE], 0.4, 1.3);
			check_near((double) seen[1].value[DTMF_FALL], fmax(0.9, ramps[k] / 8), 0.6);
		}
	}
	signal_free(&b);
}

/*
 * A chord is held while a louder tone between its own comes, goes and comes: what is heard in the pause neither begins nor ends by
 * itself.  A digit is between louder tones that leave room for its edges.
 */
static void
tones_that_stay_have_no_edges(void)
{
	signal_buffer b = { 0 };

	for (int held = 0; held < 2; held++)
	{
		for (int place = 0; place < 8; place++)
		{
			size_t loud = signal_samples(300);
			size_t pause = signal_samples(300);
			double *x = signal_extend(&b, 800 + (size_t) (5 * place) + 2 * loud + pause) + 800;

			signal_add_sine(x, loud, 1050, 2 * signal_peak(-15), 0.3);
			signal_add_sine(x + loud + pause, loud, 1050, 2 * signal_peak(-15), 0.3);
			if (held == 0)
			{
				x += loud + signal_samples(60);
				pause -= 2 * signal_samples(60);
			}
			else
				pause += 2 * loud;
			signal_add_sine(x, pause, signal_hz[1], signal_peak(-15), 0.3);
			signal_add_sine(x, pause, signal_hz[5], signal_peak(-15), 1.1);
		}
		measure(&b, 0, -1);
		check_int(n_seen, 8);
		for (size_t i = 0; i < n_seen; i++)
		{
			check_range((double) seen[i].value[DTMF_RISE], held ? 3 : 0.4, held ? 8 : 1.3);
			check_range((double) seen[i].value[DTMF_FALL], held ? 3 : 0.4, held ? 8 : 1.3);
		}
	}
	signal_free(&b);
}

/* Bursts too short for a digit are company; it is halved in 3 s. */
static void
company_gathers_and_fades(void)
{
	signal_buffer b = { 0 };
	double company[3];

	add_burst(&b, 0, 60, 0, 200);
	measure(&b, 0, -1);
	REQUIRE(n_seen == 1);
	check_range((double) seen[0].value[DTMF_COMPANY], 0, 3);

	for (int times = 0; times < 3; times++)
	{
		for (int i = 0; i < 20; i++)
			add_burst(&b, 0, 22, 0, 60);
		signal_extend(&b, signal_samples(times * 3000));
		add_burst(&b, 0, 60, 0, 200);
		measure(&b, 0, -1);
		REQUIRE(n_seen == 1);
		company[times] = (double) seen[0].value[DTMF_COMPANY];
	}
	check(company[0] > 30);
	check_near(company[1] / company[0], 0.52, 0.05);
	check_near(company[2] / company[1], 0.56, 0.05);

	/* a digit is none, however long it is held or often it comes */
	for (int i = 0; i < 20; i++)
		add_burst(&b, 0, 60, 0, 60);
	add_burst(&b, 0, 3000, 0, 60);
	add_burst(&b, 0, 60, 0, 200);
	measure(&b, 0, -1);
	REQUIRE(n_seen == 22);
	check_range((double) seen[21].value[DTMF_COMPANY], 0, 10);
	signal_free(&b);
}

/* Portions of any size and every code path measure the same, bit for bit, in music too. */
static void
all_see_the_same(void)
{
	static const struct
	{
		size_t portion;
		int path;
	} ways[] = { { 160, -1 },
				 { 33, -1 },
				 { 7, -1 },
				 { 4001, DTMF_PATH_PLAIN },
				 { 0, DTMF_PATH_SSE2 },
				 { 1024, DTMF_PATH_AVX2 } };
	static dtmf_measures first[MOST];
	size_t n_first;

	for (size_t w = 0; w <= sizeof(ways) / sizeof(ways[0]); w++)
	{
		check_random random = { 3 };
		signal_buffer b = { 0 };

		if (w > 0 && ways[w - 1].path >= 0 && mb_dtmf_kernel((dtmf_path) ways[w - 1].path) == NULL)
			continue;
		for (int i = 0; i < 8; i++)
		{
			others_music(&b, 10, &random);
			add_burst(&b, 0, 60, 0, 30);
		}
		measure(&b, w > 0 ? ways[w - 1].portion : 0, w > 0 ? ways[w - 1].path : -1);
		signal_free(&b);
		if (w == 0)
		{
			check(n_seen > 8);
			memcpy(first, seen, sizeof(seen));
			n_first = n_seen;
		}
		check_int(n_seen, n_first);
		check_bytes(seen, first, n_first * sizeof(seen[0]));
	}
}

int
main(void)
{
	check_run("edges are measured", edges_are_measured);
	check_run("tones that stay have no edges", tones_that_stay_have_no_edges);
	check_run("company gathers and fades", company_gathers_and_fades);
	check_run("all see the same", all_see_the_same);
	return check_done();
}
