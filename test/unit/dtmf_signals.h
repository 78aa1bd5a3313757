/*
 * dtmf_signals.h
 *	  Test signals for DTMF receivers, and the list of conditions that docs/dtmf.md
 *	  promises: one definition for the unit tests and for the comparison in bench/.
 *
 * Everything is seeded and made here, in floating point and without the product's own
 * generator, so that a fault of that one cannot hide a fault of the receiver.  The header
 * knows no receiver; it is handed one as a function.
 *
 * Codecs that need a library (GSM 06.10, G.726) are functions that the including program may set.
 */
#ifndef DTMF_SIGNALS_H
#define DTMF_SIGNALS_H

#include "check.h"

#define SIGNAL_RATE 8000
#define SIGNAL_DBM0_PEAK 22651.0 /* ITU-T G.711 table 5: a sine of 0 dBm0 */
#define SIGNAL_TAU 6.283185307179586

typedef enum signal_codec
{
	CODEC_NONE,
	CODEC_MULAW,
	CODEC_ALAW,
	CODEC_IMA,	/* IMA ADPCM, 32 kbit/s */
	CODEC_G726, /* 32 kbit/s; by signal_codec_hook */
	CODEC_GSM	/* 06.10 full rate; by signal_codec_hook */
} signal_codec;

/* Codes and decodes n samples in place; false when the codec is not there. */
typedef bool (*signal_hook)(signal_codec codec, int16_t *samples, size_t n);

CHECK_UNUSED static signal_hook signal_codec_hook;

/*
 * One condition.  What is zero is absent; levels and times are of each symbol.
 */
typedef struct signal_condition
{
	const char *name;
	bool target;	  /* aimed at, beyond what is demanded */
	bool none;		  /* nothing may be received (and errors are false digits) */
	double max_error; /* errors per symbol that are allowed */
	double on_ms, off_ms;
	double level;		/* both tones together, dBm0 */
	double twist;		/* dB, low over high */
	double error[2];	/* frequency, fraction of low, of high */
	bool both_signs;	/* of each tone's frequency error, at random */
	double snr;			/* dB, white noise to 4 kHz; 0 is none, so 0.01 for 0 dB */
	double other_hz[2]; /* other tones, each … */
	double other_db;	/* … at the level of the two together less this … */
	bool has_other;		/* … if this */
	double echo_ms, echo_db;
	double clip_db;	   /* the peak is cut that much below its height */
	double dc;		   /* in samples' units */
	double dropout_ms; /* hole in the middle of a symbol */
	double split_ms;   /* symbol is sent twice with this pause */
	double slip_ms;	   /* up to that much is lost or repeated in each symbol */
	double loss;	   /* share of 20 ms packets that repeat the one before */
	signal_codec codec;
} signal_condition;

typedef struct signal_buffer
{
	double *x;
	size_t n, room;
} signal_buffer;

CHECK_UNUSED static const double signal_hz[8] = { 697, 770, 852, 941, 1209, 1336, 1477, 1633 };
CHECK_UNUSED static const char signal_symbols[] = "123A456B789C*0#D";

/* n more samples of silence at the end; where they begin */
static double *
signal_extend(signal_buffer *b, size_t n)
{
	if (b->n + n > b->room)
	{
		b->room = (b->n + n) * 2;
		b->x = realloc(b->x, b->room * sizeof(*b->x));
		if (b->x == NULL)
			abort();
	}
	memset(b->x + b->n, 0, n * sizeof(*b->x));
	b->n += n;
	return b->x + b->n - n;
}

CHECK_UNUSED static void
signal_free(signal_buffer *b)
{
	free(b->x);
	memset(b, 0, sizeof(*b));
}

static size_t
signal_samples(double ms)
{
	return (size_t) llround(ms * SIGNAL_RATE / 1000);
}

/* Adds a sine to n samples. */
static void
signal_add_sine(double *x, size_t n, double hz, double peak, double phase)
{
	for (size_t i = 0; i < n; i++)
		x[i] += peak * sin(SIGNAL_TAU * fmod(hz * (double) i / SIGNAL_RATE, 1.0) + phase);
}

/* Peak of a sine of that level. */
static double
signal_peak(double dbm0)
{
	return SIGNAL_DBM0_PEAK * pow(10, dbm0 / 20);
}

/* Appends one symbol at a random phase, hard on and off. */
static void
signal_add_symbol(signal_buffer *b, const signal_condition *c, int symbol, double ms,
				  check_random *random)
{
	size_t n = signal_samples(ms);
	double *x = signal_extend(b, n);
	double ratio = pow(10, c->twist / 10);
	double share[2] = { ratio / (1 + ratio), 1 / (1 + ratio) };

	for (int k = 0; k < 2; k++)
	{
		double hz = signal_hz[k == 0 ? symbol / 4 : 4 + symbol % 4];
		double error = c->error[k];

		if (c->both_signs && check_random_below(random, 2))
			error = -error;
		signal_add_sine(x, n, hz * (1 + error), signal_peak(c->level) * sqrt(share[k]),
						SIGNAL_TAU * check_random_uniform(random));
	}
}

/* Code and decode a sample by G.711, written from the recommendation's segments. */
static int16_t
signal_g711(signal_codec codec, int16_t sample)
{
	int sign = sample < 0 ? -1 : 1;
	int magnitude = sample < 0 ? -(int) sample : sample;
	int segment = 0;
	int step;

	if (codec == CODEC_MULAW)
	{
		magnitude = (magnitude > 32635 ? 32635 : magnitude) + 132;
		while (magnitude >> (segment + 8))
			segment++;
		step = 1 << (segment + 3);
		return (int16_t) (sign * (magnitude / step * step + step / 2 - 132));
	}
	while (magnitude >> (segment + 8))
		segment++;
	step = segment == 0 ? 16 : 1 << (segment + 3);
	return (int16_t) (sign * (magnitude / step * step + step / 2));
}

/* IMA ADPCM there and back, as the IMA's recommended practices of 1992 say. */
static void
signal_ima(int16_t *samples, size_t count)
{
	static const int change[8] = { -1, -1, -1, -1, 2, 4, 6, 8 };
	int predicted = 0;
	int index = 0;

	for (size_t i = 0; i < count; i++)
	{
		/* the table of steps grows by 10 % each; this is its generator */
		int step = (int) floor(7 * pow(1.1, index) + 0.5);
		int difference = samples[i] - predicted;
		int sign = difference < 0 ? -1 : 1;
		int code = abs(difference) * 4 / step;
		int value;

		step = step > 32767 ? 32767 : step;
		code = code > 7 ? 7 : code;
		value = predicted + sign * (code * step / 4 + step / 8);
		predicted = value > 32767 ? 32767 : value < -32768 ? -32768 : value;
		samples[i] = (int16_t) predicted;
		index += change[code];
		index = index < 0 ? 0 : index > 88 ? 88 : index;
	}
}

static bool
signal_code(signal_codec codec, int16_t *samples, size_t n)
{
	switch (codec)
	{
		case CODEC_NONE:
			return true;
		case CODEC_MULAW:
		case CODEC_ALAW:
			for (size_t i = 0; i < n; i++)
				samples[i] = signal_g711(codec, samples[i]);
			return true;
		case CODEC_IMA:
			signal_ima(samples, n);
			return true;
		case CODEC_G726:
		case CODEC_GSM:
			return signal_codec_hook != NULL && signal_codec_hook(codec, samples, n);
	}
	return false;
}

/* Takes out or repeats a bit of the samples from begin to end; their number changes. */
static void
signal_slip(signal_buffer *b, size_t begin, double ms, check_random *random)
{
	size_t n = 8 + check_random_below(random, signal_samples(ms) - 7);
	size_t length = b->n - begin;
	size_t at = begin + length / 4 + check_random_below(random, length / 2 - n);

	if (check_random_below(random, 2))
	{
		memmove(b->x + at, b->x + at + n, (b->n - at - n) * sizeof(*b->x));
		b->n -= n;
	}
	else
	{
		signal_extend(b, n);
		memmove(b->x + at + n, b->x + at, (b->n - at - n) * sizeof(*b->x));
	}
}

/* What disturbs the line as a whole, in the order in which a line does it. */
static void
signal_disturb(signal_buffer *b, const signal_condition *c, check_random *random)
{
	double rms = signal_peak(c->level) / sqrt(2);

	if (c->echo_ms > 0)
	{
		size_t delay = signal_samples(c->echo_ms);
		double gain = pow(10, c->echo_db / 20);

		for (size_t i = b->n; i-- > delay;)
			b->x[i] += gain * b->x[i - delay];
	}
	if (c->clip_db > 0)
	{
		double limit = signal_peak(c->level) * sqrt(2) * pow(10, -c->clip_db / 20);

		for (size_t i = 0; i < b->n; i++)
			b->x[i] = fmin(fmax(b->x[i], -limit), limit);
	}
	if (c->has_other)
	{
		int tones = c->other_hz[1] > 0 ? 2 : 1;

		for (int k = 0; k < tones; k++)
			signal_add_sine(b->x, b->n, c->other_hz[k],
							signal_peak(c->level + c->other_db) / sqrt(tones),
							SIGNAL_TAU * check_random_uniform(random));
	}
	if (c->snr != 0)
	{
		double sigma = rms * pow(10, -c->snr / 20);

		for (size_t i = 0; i < b->n; i++)
			b->x[i] += sigma * check_random_normal(random);
	}
	if (c->loss > 0)
		for (size_t i = 160; i + 160 <= b->n; i += 160)
			if (check_random_uniform(random) < c->loss)
				memcpy(b->x + i, b->x + i - 160, 160 * sizeof(*b->x));
	for (size_t i = 0; i < b->n; i++)
		b->x[i] += c->dc;
}

/*
 * A signal of a condition: n symbols at random (a quarter of them repeat the one before),
 * with what should be received in digits and, where times are exact, the onsets.
 * Returns the samples (to be freed) and their number; NULL when a codec is missing.
 */
CHECK_UNUSED static int16_t *
signal_make(const signal_condition *c, uint64_t seed, int n, char *digits, uint64_t *onsets,
			size_t *n_samples)
{
	check_random random = { seed };
	signal_buffer b = { 0 };
	int16_t *samples;
	int symbol = 0;
	int sent = 0;

	signal_extend(&b, 1600 + check_random_below(&random, 400));
	for (int i = 0; i < n; i++)
	{
		size_t begin = b.n;

		if (i == 0 || check_random_below(&random, 4) != 0)
			symbol = (int) check_random_below(&random, 16);
		onsets[sent] = b.n;
		digits[sent++] = signal_symbols[symbol];
		signal_add_symbol(&b, c, symbol, c->on_ms, &random);
		if (c->dropout_ms > 0)
		{
			size_t hole = signal_samples(c->dropout_ms);

			memset(b.x + begin + (b.n - begin - hole) / 2, 0, hole * sizeof(*b.x));
		}
		if (c->slip_ms > 0)
			signal_slip(&b, begin, c->slip_ms, &random);
		if (c->split_ms > 0)
		{
			signal_extend(&b, signal_samples(c->split_ms));
			onsets[sent] = b.n;
			digits[sent++] = signal_symbols[symbol];
			signal_add_symbol(&b, c, symbol, c->on_ms, &random);
		}
		/* up to 10 ms more, so that symbols fall anywhere on a receiver's grid */
		signal_extend(&b, signal_samples(c->off_ms) + check_random_below(&random, 80));
	}
	digits[sent] = '\0';
	signal_extend(&b, 2400);
	signal_disturb(&b, c, &random);

	samples = malloc(b.n * sizeof(*samples));
	if (samples == NULL)
		abort();
	for (size_t i = 0; i < b.n; i++)
		samples[i] = (int16_t) lrint(fmin(fmax(b.x[i], -32768), 32767));
	*n_samples = b.n;
	signal_free(&b);
	if (!signal_code(c->codec, samples, *n_samples))
	{
		free(samples);
		return NULL;
	}
	return samples;
}

/*
 * Brings samples from one rate to another by a windowed sinc, slowly and well: for peers and
 * sources at rates that the product does not know.  *m samples, to be freed.
 */
CHECK_UNUSED static int16_t *
signal_resample(const int16_t *x, size_t n, int from, int to, size_t *m)
{
	double cut = to < from ? (double) to / from : 1;
	long half = lrint(16 / cut);
	int16_t *out;

	*m = (size_t) ((double) n * to / from);
	out = malloc(*m * sizeof(*out) + 1);
	if (out == NULL)
		abort();
	for (size_t i = 0; i < *m; i++)
	{
		double t = (double) i * from / to;
		long middle = (long) t;
		double sum = 0;

		for (long k = middle - half + 1; k <= middle + half; k++)
		{
			double d = t - (double) k;
			double turn = SIGNAL_TAU / 2 * d * cut;
			double sinc = fabs(turn) < 1e-9 ? 1 : sin(turn) / turn;

			if (k >= 0 && k < (long) n)
				sum += x[k] * sinc * cut * (0.5 + 0.5 * cos(SIGNAL_TAU / 2 * d / (double) half));
		}
		out[i] = (int16_t) lrint(fmin(fmax(sum, -32768), 32767));
	}
	return out;
}

/* Symbols that have to be inserted, taken out or changed to make one string of the other. */
CHECK_UNUSED static int
signal_distance(const char *a, const char *b)
{
	size_t m = strlen(b);
	int *row = malloc((m + 1) * sizeof(*row));
	int result;

	for (size_t j = 0; j <= m; j++)
		row[j] = (int) j;
	for (size_t i = 0; a[i] != '\0'; i++)
	{
		int diagonal = row[0];

		row[0] = (int) i + 1;
		for (size_t j = 0; j < m; j++)
		{
			int change = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			row[j + 1] = row[j + 1] + 1 < row[j] + 1 ? row[j + 1] + 1 : row[j] + 1;
			if (change < row[j + 1])
				row[j + 1] = change;
		}
	}
	result = row[m];
	free(row);
	return result;
}

#endif /* DTMF_SIGNALS_H */
