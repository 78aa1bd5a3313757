/*
 * dtmf_others.h
 *	  Signals without a digit that a DTMF receiver meets on a line: tones of the network,
 *	  fax and modems, noise, music.  One definition for the tests and for bench/.
 *
 * Seeded, at 8 kHz, made here.  Signalling that is meant to be like DTMF (R1 multifrequency, whose
 * 700 + 1500 Hz is within tolerance of 3) is left out.
 */
#ifndef DTMF_OTHERS_H
#define DTMF_OTHERS_H

#include "dtmf_signals.h"

/* Adds a burst of up to three tones, each of the level, and silence. */
static void
others_add_tones(signal_buffer *b, double f1, double f2, double level, double on_ms, double off_ms)
{
	size_t n = signal_samples(on_ms);
	double *x = signal_extend(b, n + signal_samples(off_ms));

	signal_add_sine(x, n, f1, signal_peak(level), 0);
	if (f2 > 0)
		signal_add_sine(x, n, f2, signal_peak(level), 1);
}

/* Ringing, busy, congestion, special information tones, call waiting, in turn. */
static void
others_network(signal_buffer *b, double seconds, check_random *random)
{
	size_t end = b->n + signal_samples(seconds * 1000);

	while (b->n < end)
	{
		double level = -6 - 30 * check_random_uniform(random);

		for (int i = 0; i < 2; i++)
		{
			others_add_tones(b, 440, 480, level, 2000, 1000);
			others_add_tones(b, 425, 0, level, 1000, 500);
			others_add_tones(b, 400, 450, level, 400, 200);
		}
		for (int i = 0; i < 6; i++)
		{
			others_add_tones(b, 480, 620, level, 500, 500);
			others_add_tones(b, 480, 620, level, 250, 250);
			others_add_tones(b, 425, 0, level, 240, 240);
		}
		others_add_tones(b, 950, 0, level, 330, 0);
		others_add_tones(b, 1400, 0, level, 330, 0);
		others_add_tones(b, 1800, 0, level, 330, 1000);
		others_add_tones(b, 913.8, 0, level, 380, 0);
		others_add_tones(b, 1370.6, 0, level, 274, 0);
		others_add_tones(b, 1776.7, 0, level, 380, 1000);
		others_add_tones(b, 350, 440, level, 1500, 100);
		others_add_tones(b, 1004, 0, level, 1000, 100);
	}
}

/* Frequency shift keying of random bits, phase continuous. */
static void
others_fsk(signal_buffer *b, double seconds, double zero, double one, double baud, double level,
		   check_random *random)
{
	size_t n = signal_samples(seconds * 1000);
	double *x = signal_extend(b, n);
	double phase = 0;
	double next = 0;
	bool bit = false;

	for (size_t i = 0; i < n; i++)
	{
		if ((double) i >= next)
		{
			bit = check_random_below(random, 2);
			next += SIGNAL_RATE / baud;
		}
		phase += (bit ? one : zero) / SIGNAL_RATE;
		x[i] += signal_peak(level) * sin(SIGNAL_TAU * phase);
	}
}

/* Phase shift keying of a carrier, as V.27 ter has it. */
static void
others_psk(signal_buffer *b, double seconds, double carrier, double baud, double level,
		   check_random *random)
{
	size_t n = signal_samples(seconds * 1000);
	double *x = signal_extend(b, n);
	double turn = 0;
	double last = 0;
	double next = 0;

	for (size_t i = 0; i < n; i++)
	{
		double blend;

		if ((double) i >= next)
		{
			last = turn;
			turn += (double) check_random_below(random, 8) / 8;
			next += SIGNAL_RATE / baud;
		}
		blend = fmin(1, ((double) i - next) * baud / SIGNAL_RATE + 1);
		x[i] += signal_peak(level) *
				((1 - blend) * sin(SIGNAL_TAU * (carrier * (double) i / SIGNAL_RATE + last)) +
				 blend * sin(SIGNAL_TAU * (carrier * (double) i / SIGNAL_RATE + turn)));
	}
}

/* Fax: calling and answering tones, V.21 both ways, V.27 ter, V.23; and Bell 103. */
static void
others_fax(signal_buffer *b, double seconds, check_random *random)
{
	size_t end = b->n + signal_samples(seconds * 1000);

	while (b->n < end)
	{
		double level = -6 - 20 * check_random_uniform(random);

		others_add_tones(b, 1100, 0, level, 500, 500);
		others_add_tones(b, 2100, 0, level, 3000, 75);
		others_fsk(b, 3, 1850, 1650, 300, level, random);
		others_fsk(b, 3, 1180, 980, 300, level, random);
		others_psk(b, 4, 1800, 1600, level, random);
		others_psk(b, 4, 1800, 1200, level, random);
		others_fsk(b, 3, 2100, 1300, 1200, level, random);
		others_fsk(b, 3, 1070, 1270, 300, level, random);
		others_fsk(b, 3, 2025, 2225, 300, level, random);
		signal_extend(b, 800);
	}
}

/* White, pink-ish and brown noise, steady and in bursts, from -50 to 0 dBm0. */
static void
others_noise(signal_buffer *b, double seconds, check_random *random)
{
	size_t end = b->n + signal_samples(seconds * 1000);

	for (int kind = 0; b->n < end; kind++)
	{
		size_t n = signal_samples(5000);
		double *x = signal_extend(b, n);
		double rms = signal_peak(-50 * check_random_uniform(random)) / sqrt(2);
		double state[3] = { 0, 0, 0 };

		for (size_t i = 0; i < n; i++)
		{
			double white = check_random_normal(random);
			double gate = kind / 3 % 2 && i / 400 % 3 == 0 ? 0 : 1;

			state[0] = 0.9 * state[0] + 0.44 * white;
			state[1] = 0.995 * state[1] + 0.1 * white;
			state[2] = 0.6 * state[2] + 0.8 * white;
			x[i] += gate * rms *
					(kind % 3 == 0	 ? white
					 : kind % 3 == 1 ? state[0] + state[1]
									 : state[2]);
		}
	}
}

/* One note of an instrument. */
static void
others_note(double *x, size_t n, double hz, double peak, int instrument, check_random *random)
{
	double decay = instrument == 1 || instrument == 3 ? 4 : 0.5;
	double vibrato = instrument == 2 ? 0.004 : 0;
	double start = check_random_uniform(random);
	double phase = start;

	for (size_t i = 0; i < n; i++)
	{
		double t = (double) i / SIGNAL_RATE;
		double envelope = exp(-decay * t) * fmin(1, t * 100) * fmin(1, (double) (n - i) / 80);
		double sum = 0;

		phase += hz * (1 + vibrato * sin(SIGNAL_TAU * 5.5 * t)) / SIGNAL_RATE;
		if (instrument == 3)
			sum = sin(SIGNAL_TAU * phase + 3 * exp(-6 * t) * sin(SIGNAL_TAU * 1.414 * phase));
		else
			for (int h = 1; h <= 16 && h * hz < 3800; h++)
			{
				double weight = instrument == 0	  ? 1.0 / h
								: instrument == 1 ? exp(-0.4 * h - 0.8 * h * t)
								: instrument == 2 ? 1.0 / (1 + (h - 3) * (h - 3))
												  : (h & 1 ? 1.0 / (h * h) : 0.1 / h);

				sum += weight * sin(SIGNAL_TAU * h * phase);
			}
		x[i] += peak * envelope * sum;
	}
}

/* Chords, a melody, a bass and drums in random keys and tempi. */
static void
others_music(signal_buffer *b, double seconds, check_random *random)
{
	static const int scale[7] = { 0, 2, 4, 5, 7, 9, 11 };
	static const int progression[4] = { 0, 3, 4, 5 };
	size_t end = b->n + signal_samples(seconds * 1000);

	while (b->n < end)
	{
		double tempo_ms = 180 + 400 * check_random_uniform(random);
		int key = 45 + (int) check_random_below(random, 12);
		int instruments[3] = { (int) check_random_below(random, 5),
							   (int) check_random_below(random, 5),
							   (int) check_random_below(random, 5) };
		size_t beat = signal_samples(tempo_ms);
		double *x = signal_extend(b, 32 * beat);
		double peak = signal_peak(-12 - 20 * check_random_uniform(random)) / 3;

		for (int bar = 0; bar < 8; bar++)
		{
			int root = progression[check_random_below(random, 4)];

			for (int voice = 0; voice < 3; voice++)
			{
				int degree = root + 2 * voice;
				int note = key + 12 + scale[degree % 7] + 12 * (degree / 7);

				others_note(x + (size_t) bar * 4 * beat, 4 * beat, 440 * pow(2, (note - 69) / 12.0),
							peak, instruments[0], random);
			}
			for (int i = 0; i < 4; i++)
			{
				int degree = (int) check_random_below(random, 14);
				int note = key + 24 + scale[degree % 7] + 12 * (degree / 7);
				double *at = x + ((size_t) bar * 4 + (size_t) i) * beat;

				others_note(at, beat, 440 * pow(2, (note - 69) / 12.0), 1.5 * peak, instruments[1],
							random);
				others_note(at, beat, 440 * pow(2, (key + scale[root % 7] - 81) / 12.0), 2 * peak,
							instruments[2], random);
				for (size_t k = 0; k < beat / 3; k++)
					at[k] += peak * (i & 1 ? 1 : 0.4) * exp(-(double) k / 200) *
							 check_random_normal(random);
			}
		}
	}
}

typedef void (*others_maker)(signal_buffer *b, double seconds, check_random *random);

CHECK_UNUSED static const struct
{
	const char *name;
	others_maker make;
} others[] = {
	{ "tones of the network", others_network },
	{ "fax and modems", others_fax },
	{ "noise", others_noise },
	{ "music", others_music },
};

#define OTHERS ((int) (sizeof(others) / sizeof(others[0])))

/* About that many seconds of one of them as samples, to be freed. */
CHECK_UNUSED static int16_t *
others_make(int which, double seconds, uint64_t seed, size_t *n)
{
	check_random random = { seed };
	signal_buffer b = { 0 };
	int16_t *samples;

	others[which].make(&b, seconds, &random);
	samples = malloc(b.n * sizeof(*samples));
	if (samples == NULL)
		abort();
	for (size_t i = 0; i < b.n; i++)
		samples[i] = (int16_t) lrint(fmin(fmax(b.x[i], -32768), 32767));
	*n = b.n;
	signal_free(&b);
	return samples;
}

#endif /* DTMF_OTHERS_H */
