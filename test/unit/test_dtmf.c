/*
 * test_dtmf.c
 *	  The DTMF receiver under every condition that docs/dtmf.md promises, and the times, levels
 *	  and twists that it tells.  Conditions and signals are those of the comparison in
 *	  bench/, which runs more symbols.
 *
 * Link with: -lspandsp
 */
#include "dtmf_conditions.h"
#include "dtmf_receive.h"
#include "dtmf_spandsp.h"

#define SYMBOLS 400
#define SEED 20240601

static const signal_condition *condition;

/* Errors per symbol; onsets within 5 ms in 95 of 100 where all came. */
static void
holds(void)
{
	char *digits = malloc(2 * SYMBOLS + 1);
	uint64_t *onsets = malloc(2 * SYMBOLS * sizeof(*onsets));
	size_t n;
	int16_t *samples = signal_make(condition, SEED + (uint64_t) (condition - signal_conditions),
								   SYMBOLS, digits, onsets, &n);
	received r;
	double sent = (double) strlen(digits);
	double errors;

	REQUIRE(samples != NULL);
	r = receive(samples, n, 8000, 160, -1);
	errors = condition->none ? (double) r.n : signal_distance(digits, received_digits(&r));
	check_range(errors / sent, 0, condition->max_error);
	if (!condition->none && errors == 0 && condition->slip_ms == 0 && condition->loss == 0)
	{
		int late = 0;

		for (size_t i = 0; i < r.n; i++)
			late += llabs((long long) r.events[i].onset - (long long) onsets[i]) > 5 * 8;
		check_range((double) late / (double) r.n, 0, 0.05);
	}
	received_free(&r);
	free(samples);
	free(onsets);
	free(digits);
}

/* A signal of all symbols; digits as in order of the keypad. */
static received
hear(const signal_condition *c, uint64_t seed, char *digits, uint64_t *onsets)
{
	size_t n;
	int16_t *samples = signal_make(c, seed, 100, digits, onsets, &n);
	received r = receive(samples, n, 8000, 0, -1);

	free(samples);
	return r;
}

static void
level_and_twist_are_told(void)
{
	static const double levels[] = { 0, -10, -25, -40 };
	static const double twists[] = { 7, 0, -3.5 };
	char digits[201];
	uint64_t onsets[200];

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		for (size_t k = 0; k < sizeof(twists) / sizeof(twists[0]); k++)
		{
			signal_condition c = {
				.on_ms = 60, .off_ms = 60, .level = levels[i], .twist = twists[k]
			};
			received r = hear(&c, 77 + i, digits, onsets);

			check_string(received_digits(&r), digits);
			for (size_t s = 0; s < r.n; s++)
			{
				check_near(r.events[s].level_dbm0, levels[i], 0.3);
				check_near(r.events[s].twist_db, twists[k], 0.4);
			}
			received_free(&r);
		}
}

static void
onset_and_duration_are_told(void)
{
	static const double durations[] = { 35, 50, 100, 135, 400, 3000 };
	char digits[201];
	uint64_t onsets[200];

	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
	{
		signal_condition c = { .on_ms = durations[i], .off_ms = 45, .level = -12 };
		received r = hear(&c, 5 + i, digits, onsets);

		check_string(received_digits(&r), digits);
		for (size_t s = 0; s < r.n; s++)
		{
			check_near((double) r.events[s].onset, (double) onsets[s], 12);
			/* the end of what is longer than the track is known to a hop */
			check_near((double) r.events[s].duration / 8, durations[i], durations[i] < 125 ? 2 : 6);
		}
		received_free(&r);
	}
}

/* The code words of ITU-T G.711 table 5 are 0 dBm0 by definition: a single tone, so no digit … */
static void
levels_are_those_of_g711(void)
{
	static const int16_t period[8] = { 8828, 20860, 20860, 8828, -8828, -20860, -20860, -8828 };
	double sum = 0;

	for (int i = 0; i < 8; i++)
		sum += (double) period[i] * period[i] / 8;
	/* … but it fixes the scale on which digits are told */
	check_near(10 * log10(2 * sum / (MB_DBM0_PEAK * MB_DBM0_PEAK)), 0, 0.01);
}

static void
the_floor_is_an_argument(void)
{
	signal_condition c = { .on_ms = 60, .off_ms = 60, .level = -40 };
	char digits[201];
	uint64_t onsets[200];
	size_t n;
	int16_t *samples = signal_make(&c, 9, 100, digits, onsets, &n);

	for (int floor = -30; floor >= -60; floor -= 2)
	{
		received r = { 0 };
		mb_dtmf_options options = { (float) floor, received_add, &r };
		static mb_dtmf dtmf;

		check_int(mb_dtmf_init(&dtmf, 8000, &options), MB_OK);
		mb_dtmf_feed(&dtmf, samples, n);
		mb_dtmf_flush(&dtmf);
		if (floor > -39)
			check_int(r.n, 0);
		else if (floor < -41)
			check_string(received_digits(&r), digits);
		received_free(&r);
	}
	free(samples);
}

/* The original decoder lost these: it told a digit only when it differed from the one before. */
static void
repeated_digits_are_told_apart(void)
{
	static const char sent[] = "1122##**0000DDAA";
	check_random random = { 4 };
	signal_condition c = { .level = -10 };
	signal_buffer b = { 0 };
	int16_t *samples;
	received r;

	for (const char *s = sent; *s; s++)
	{
		signal_add_symbol(&b, &c, (int) (strchr(signal_symbols, *s) - signal_symbols), 40, &random);
		signal_extend(&b, 320);
	}
	samples = malloc(b.n * sizeof(*samples));
	for (size_t i = 0; i < b.n; i++)
		samples[i] = (int16_t) lrint(b.x[i]);
	r = receive(samples, b.n, 8000, 0, -1);
	check_string(received_digits(&r), sent);
	received_free(&r);
	free(samples);
	signal_free(&b);
}

/* A key pressed again is one, a few dB weaker too; what comes back 8 dB weaker is its echo, unless it is too late for one. */
static void
echoes_are_told_from_repeats(void)
{
	static const struct
	{
		double loss, pause_ms, second_ms;
		size_t digits;
	} cases[] = {
		{ 0, 60, 60, 2 },	{ 6, 60, 60, 2 },	{ 10, 60, 60, 1 },	{ 10, 400, 60, 1 },
		{ 10, 700, 60, 2 }, { 10, 60, 120, 2 }, { 20, 250, 60, 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		check_random random = { 40 + i };
		signal_condition c = { .level = -12 };
		signal_buffer b = { 0 };
		int16_t *samples;
		received r;

		signal_extend(&b, 800);
		signal_add_symbol(&b, &c, 5, 60, &random);
		signal_extend(&b, signal_samples(cases[i].pause_ms));
		c.level -= cases[i].loss;
		signal_add_symbol(&b, &c, 5, cases[i].second_ms, &random);
		signal_extend(&b, 800);
		samples = malloc(b.n * sizeof(*samples));
		for (size_t k = 0; k < b.n; k++)
			samples[k] = (int16_t) lrint(b.x[k]);
		r = receive(samples, b.n, 8000, 0, -1);
		check_int(r.n, cases[i].digits);
		received_free(&r);
		free(samples);
		signal_free(&b);
	}
}

int
main(void)
{
	char name[120];

	signal_codec_hook = spandsp_codec;
	for (int i = 0; i < SIGNAL_CONDITIONS; i++)
	{
		condition = &signal_conditions[i];
		snprintf(name, sizeof(name), "%s: %s", condition->none ? "rejects" : "receives",
				 condition->name);
		check_run(name, holds);
	}
	check_run("level and twist are told", level_and_twist_are_told);
	check_run("onset and duration are told", onset_and_duration_are_told);
	check_run("levels are those of G.711", levels_are_those_of_g711);
	check_run("the floor is an argument", the_floor_is_an_argument);
	check_run("repeated digits are told apart", repeated_digits_are_told_apart);
	check_run("echoes are told from repeats", echoes_are_told_from_repeats);
	return check_done();
}
