/*
 * test_tone.c
 *	  Tone generation: length, level, twist, frequency over long runs, ramps, pauses,
 *	  the tones of call progress, and that portions do not matter.
 */
#include "check.h"
#include "core/audio/tone.h"

#define TAU 6.283185307179586

static const int rates[] = { 8000, 16000, 44100, 48000 };
#define RATES ((int) (sizeof(rates) / sizeof(rates[0])))

static const char symbols[] = "123A456B789C*0#D";
static const double hz[8] = { 697, 770, 852, 941, 1209, 1336, 1477, 1633 };

/* Generates a whole string in one go; *n is the length that was told before. */
static int16_t *
generate(const char *digits, const mb_tone_dtmf_options *options, int rate, size_t *n)
{
	mb_tone_dtmf tone;
	uint64_t told = 0;
	int16_t *samples;

	*n = 0;
	if (mb_tone_dtmf_samples(digits, strlen(digits), options, rate, &told, NULL) != MB_OK ||
		mb_tone_dtmf_init(&tone, digits, strlen(digits), options, rate) != MB_OK)
		abort();
	samples = malloc((told + 100) * sizeof(*samples));
	if (samples == NULL)
		abort();
	*n = mb_tone_dtmf_read(&tone, samples, told + 100);
	check_int(*n, told);
	return samples;
}

/* Amplitude of a frequency in n samples. */
static double
amplitude(const int16_t *x, size_t n, double f, int rate)
{
	double re = 0;
	double im = 0;

	for (size_t i = 0; i < n; i++)
	{
		double window = 1 - cos(TAU * ((double) i + 0.5) / (double) n);

		re += x[i] * window * cos(TAU * fmod(f * (double) i / rate, 1.0));
		im += x[i] * window * sin(TAU * fmod(f * (double) i / rate, 1.0));
	}
	return 2 * sqrt(re * re + im * im) / (double) n;
}

static double
dbm0(double peak)
{
	return 20 * log10(peak / MB_DBM0_PEAK);
}

static void
digits_have_their_tones_level_and_twist(void)
{
	static const double levels[] = { 0, -10, -35 };
	static const double twists[] = { 0, 6, -4 };

	for (int r = 0; r < RATES; r++)
		for (int i = 0; i < 3; i++)
			for (int s = 0; s < 16; s++)
			{
				mb_tone_dtmf_options options = MB_TONE_DTMF_DEFAULTS;
				char digits[2] = { symbols[s], '\0' };
				int16_t *x;
				size_t n;
				double low, high;

				options.level_dbm0 = levels[i];
				options.twist_db = twists[i];
				options.on_ms = 200;
				options.off_ms = 0;
				x = generate(digits, &options, rates[r], &n);
				/* clear of the ramps */
				low = amplitude(x + n / 20, n - n / 10, hz[s / 4], rates[r]);
				high = amplitude(x + n / 20, n - n / 10, hz[4 + s % 4], rates[r]);
				check_near(dbm0(sqrt(low * low + high * high)), levels[i], 0.05);
				check_near(20 * log10(low / high), twists[i], 0.1);
				free(x);
			}
}

static void
silence_follows_each_digit_and_lengths_are_told(void)
{
	for (int r = 0; r < RATES; r++)
	{
		mb_tone_dtmf_options options = MB_TONE_DTMF_DEFAULTS;
		int16_t *x;
		size_t n;
		int rate = rates[r];

		options.on_ms = 41;
		options.off_ms = 33;
		x = generate("12w3W4", &options, rate, &n);
		check_int(n, (4 * 74 + 1500) * (int64_t) rate / 1000);
		/* where the third digit is, counted from the beginning: 2 * 74 + 500 ms */
		for (int64_t i = 0; i < 648 * (int64_t) rate / 1000; i++)
		{
			int64_t tenths = i * 10000 / rate;
			bool silent = tenths >= 1480 || tenths % 740 >= 410;

			/* an edge may be rounded either way */
			if (tenths % 740 > 408 && tenths % 740 < 412)
				continue;
			if (silent && !check(x[i] == 0))
				break;
		}
		check(x[649 * (int64_t) rate / 1000 + 40] != 0 || x[649 * (int64_t) rate / 1000 + 41] != 0);
		free(x);
	}
}

/* A minute of one digit: at its end the phases are still those of exact frequencies. */
static void
frequencies_do_not_drift(void)
{
	for (int r = 0; r < RATES; r++)
	{
		mb_tone_dtmf_options options = MB_TONE_DTMF_DEFAULTS;
		mb_tone_dtmf tone;
		static int16_t x[48000];
		double begin_of_last;
		int rate = rates[r];
		double peak;

		options.on_ms = MB_TONE_MAX_MS;
		options.off_ms = 0;
		options.ramp_ms = 0;
		options.level_dbm0 = -3;
		REQUIRE(mb_tone_dtmf_init(&tone, "7", 1, &options, rate) == MB_OK);
		for (int second = 0; second < 60; second++)
			check_int(mb_tone_dtmf_read(&tone, x, (size_t) rate), rate);
		peak = MB_DBM0_PEAK * pow(10, -3 / 20.0) / sqrt(2);
		begin_of_last = 59.0;
		for (int i = 0; i < rate; i += 97)
		{
			double t = begin_of_last + (double) i / rate;
			double want = peak * (sin(TAU * fmod(852 * t, 1.0)) + sin(TAU * fmod(1209 * t, 1.0)));

			if (!check_range(x[i] - want, -0.51, 0.51))
				break;
		}
	}
}

/* The same for a tone without end, over an hour. */
static void
endless_tones_do_not_drift(void)
{
	static int16_t x[8000];
	mb_tone tone;

	REQUIRE(mb_tone_init(&tone, MB_TONE_DIAL, -13, 8000) == MB_OK);
	for (int second = 0; second < 3600; second++)
		mb_tone_read(&tone, x, 8000);
	for (int i = 0; i < 8000; i += 31)
	{
		double peak = MB_DBM0_PEAK * pow(10, -13 / 20.0) / sqrt(2);
		double want = peak * (sin(TAU * 350 * i / 8000) + sin(TAU * 440 * i / 8000));

		if (!check_range(x[i] - want, -0.51, 0.51))
			break;
	}
}

/* What a tone with and without ramps puts where none of its frequencies is. */
static void
ramps_take_away_the_click(void)
{
	double splatter[2];

	for (int k = 0; k < 2; k++)
	{
		mb_tone_dtmf_options options = MB_TONE_DTMF_DEFAULTS;
		int16_t *x;
		size_t n;

		options.ramp_ms = k * 5;
		options.on_ms = 50;
		x = generate("1", &options, 48000, &n);
		splatter[k] = 0;
		for (double f = 6000; f < 20000; f += 500)
		{
			double re = 0;
			double im = 0;

			for (size_t i = 0; i < n; i++)
			{
				re += x[i] * cos(TAU * f * (double) i / 48000);
				im += x[i] * sin(TAU * f * (double) i / 48000);
			}
			splatter[k] += re * re + im * im;
		}
		free(x);
	}
	/* 20 dB less at least */
	check_range(splatter[1] / splatter[0], 0, 0.01);
}

static void
the_loudest_pair_does_not_clip(void)
{
	mb_tone_dtmf_options options = MB_TONE_DTMF_DEFAULTS;
	int16_t *x;
	size_t n;
	int highest = 0;

	options.level_dbm0 = MB_TONE_MAX_LEVEL_DBM0;
	options.on_ms = 2000;
	x = generate(symbols, &options, 48000, &n);
	for (size_t i = 0; i < n; i++)
		highest = abs(x[i]) > highest ? abs(x[i]) : highest;
	check_range(highest, 31900, 32124);
	free(x);
}

static void
portions_do_not_matter(void)
{
	mb_tone_dtmf_options options = MB_TONE_DTMF_DEFAULTS;
	check_random random = { 3 };

	for (int r = 0; r < RATES; r++)
	{
		size_t n;
		int16_t *whole = generate("19#w0D", &options, rates[r], &n);
		int16_t *pieces = malloc(n * sizeof(*pieces));
		static int16_t endless[2][60000];
		mb_tone_dtmf tone;
		mb_tone call;
		size_t at = 0;

		REQUIRE(mb_tone_dtmf_init(&tone, "19#w0D", 6, &options, rates[r]) == MB_OK);
		while (at < n)
		{
			size_t want = check_random_below(&random, 300);
			size_t part = want < n - at ? want : n - at;

			check_int(mb_tone_dtmf_read(&tone, pieces + at, part), part);
			at += part;
		}
		check_int(mb_tone_dtmf_read(&tone, pieces, 0), 0);
		check_bytes(pieces, whole, n * sizeof(*whole));
		check_int(mb_tone_dtmf_read(&tone, pieces, 1), 0);

		REQUIRE(mb_tone_init(&call, MB_TONE_BUSY, -20, rates[r]) == MB_OK);
		mb_tone_read(&call, endless[0], 60000);
		REQUIRE(mb_tone_init(&call, MB_TONE_BUSY, -20, rates[r]) == MB_OK);
		for (at = 0; at < 60000; at += 750)
			mb_tone_read(&call, endless[1] + at, 750);
		check_bytes(endless[1], endless[0], sizeof(endless[0]));
		free(pieces);
		free(whole);
	}
}

static void
call_progress_tones_have_tones_and_cadence(void)
{
	static const struct
	{
		mb_call_tone kind;
		double hz[2];
		int on_ms, off_ms;
	} wanted[] = {
		{ MB_TONE_DIAL, { 350, 440 }, 0, 0 },
		{ MB_TONE_RINGING, { 440, 480 }, 2000, 4000 },
		{ MB_TONE_BUSY, { 480, 620 }, 500, 500 },
		{ MB_TONE_CONGESTION, { 480, 620 }, 250, 250 },
		{ MB_TONE_DIAL_425, { 425, 0 }, 0, 0 },
		{ MB_TONE_RINGING_425, { 425, 0 }, 1000, 4000 },
		{ MB_TONE_BUSY_425, { 425, 0 }, 500, 500 },
		{ MB_TONE_CONGESTION_425, { 425, 0 }, 250, 250 },
		{ MB_TONE_FAX_CALLING, { 1100, 0 }, 500, 3000 },
	};
	static int16_t x[8000 * 14];

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
	{
		mb_tone tone;
		int cycle = wanted[i].on_ms + wanted[i].off_ms;
		int tones = wanted[i].hz[1] > 0 ? 2 : 1;

		check_int(mb_tone_cycle_ms(wanted[i].kind), cycle);
		REQUIRE(mb_tone_init(&tone, wanted[i].kind, -10, 8000) == MB_OK);
		mb_tone_read(&tone, x, 8000 * 14);
		/* in the first and in the second cycle */
		for (int k = 0; k < 2; k++)
		{
			const int16_t *on = x + 8 * k * cycle;
			size_t n = (size_t) (8 * (cycle ? wanted[i].on_ms : 1000));

			for (int t = 0; t < tones; t++)
				check_near(dbm0(amplitude(on + n / 10, n - n / 5, wanted[i].hz[t], 8000)),
						   tones == 2 ? -13.01 : -10, 0.1);
			for (int s = 8 * wanted[i].on_ms; s < 8 * cycle; s++)
				if (!check_int(on[s], 0))
					break;
		}
	}
}

static void
bad_arguments_are_refused(void)
{
	static const struct
	{
		mb_tone_dtmf_options options;
		mb_status want;
	} cases[] = {
		{ { -10, 0, 80, 80, 2 }, MB_OK },
		{ { 0.1, 0, 80, 80, 2 }, MB_ERR_RANGE },
		{ { -60.1, 0, 80, 80, 2 }, MB_ERR_RANGE },
		{ { NAN, 0, 80, 80, 2 }, MB_ERR_RANGE },
		{ { -10, 20.1, 80, 80, 2 }, MB_ERR_RANGE },
		{ { -10, -20.1, 80, 80, 2 }, MB_ERR_RANGE },
		{ { -10, NAN, 80, 80, 2 }, MB_ERR_RANGE },
		{ { -10, 0, 9, 80, 2 }, MB_ERR_RANGE },
		{ { -10, 0, 60001, 80, 2 }, MB_ERR_RANGE },
		{ { -10, 0, 80, -1, 2 }, MB_ERR_RANGE },
		{ { -10, 0, 80, 60001, 2 }, MB_ERR_RANGE },
		{ { -10, 0, 80, 80, -1 }, MB_ERR_RANGE },
		{ { -10, 0, 80, 80, 21 }, MB_ERR_RANGE },
		{ { -10, 0, 10, 80, 6 }, MB_ERR_RANGE },
		{ { -10, 0, 10, 0, 5 }, MB_OK },
	};
	mb_tone_dtmf_options good = MB_TONE_DTMF_DEFAULTS;
	mb_tone_dtmf tone;
	mb_tone call;
	uint64_t n = 17;
	size_t position = 99;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		check_int(mb_tone_dtmf_samples("1", 1, &cases[i].options, 8000, &n, NULL), cases[i].want);
		check_int(mb_tone_dtmf_init(&tone, "1", 1, &cases[i].options, 8000), cases[i].want);
	}
	n = 17;
	check_int(mb_tone_dtmf_samples("12a4", 4, &good, 8000, &n, &position), MB_ERR_SYMBOL);
	check_int(position, 2);
	check_int(n, 17);
	check_int(mb_tone_dtmf_samples("1\0002", 3, &good, 8000, &n, &position), MB_ERR_SYMBOL);
	check_int(position, 1);
	check_int(mb_tone_dtmf_samples("1", 1, &good, 22050, &n, NULL), MB_ERR_RATE);
	check_int(mb_tone_dtmf_samples("", 0, &good, 8000, &n, NULL), MB_OK);
	check_int(n, 0);
	check_int(mb_tone_init(&call, MB_TONE_BUSY, -10, 22050), MB_ERR_RATE);
	check_int(mb_tone_init(&call, MB_TONE_BUSY, 1, 8000), MB_ERR_RANGE);
	check_int(mb_tone_init(&call, (mb_call_tone) 99, -10, 8000), MB_ERR_RANGE);
	check_int(mb_tone_cycle_ms((mb_call_tone) 99), 0);
}

int
main(void)
{
	check_run("digits have their tones, level and twist", digits_have_their_tones_level_and_twist);
	check_run("silence follows each digit, and lengths are told",
			  silence_follows_each_digit_and_lengths_are_told);
	check_run("frequencies do not drift in a minute of a digit", frequencies_do_not_drift);
	check_run("endless tones do not drift in an hour", endless_tones_do_not_drift);
	check_run("ramps take away the click", ramps_take_away_the_click);
	check_run("the loudest pair does not clip", the_loudest_pair_does_not_clip);
	check_run("portions do not matter", portions_do_not_matter);
	check_run("call progress tones have their tones and cadence",
			  call_progress_tones_have_tones_and_cadence);
	check_run("bad arguments are refused", bad_arguments_are_refused);
	return check_done();
}
