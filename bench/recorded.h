/*
 * recorded.h
 *	  Recorded speech and made noises, for benchmarks of who listens to telephones.
 *
 * Noises are none, white, car (below 200 Hz), pink, babble (the speech itself, eight times over itself), hum (of the
 * mains, 50 Hz and its harmonics), buzz (60 Hz likewise), fan, rain, street, keys (of a keyboard), hail (on metal that
 * rings), applause (of a few), fire (that crackles) or typewriter (whose keys ring).
 */
#ifndef RECORDED_H
#define RECORDED_H

#include "core/audio/level.h"
#include "core/audio/wav.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RATE 8000
#define FRAME 160

typedef struct signal
{
	float *samples;
	size_t n;
	size_t capacity;
} signal;

static uint64_t random_state = 88172645463325252;

static double
uniform(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (double) (random_state >> 11) / 9007199254740992.0;
}

static double
normal(void)
{
	return sqrt(-2 * log(uniform() + 1e-300)) * cos(2 * M_PI * uniform());
}

static void
append(signal *s, float sample)
{
	if (s->n == s->capacity)
	{
		s->capacity = s->capacity * 2 + RATE;
		s->samples = realloc(s->samples, s->capacity * sizeof(float));
		if (s->samples == NULL)
			abort();
	}
	s->samples[s->n++] = sample;
}

/* A file's bytes; exits where there is none. */
static uint8_t *
read_file(const char *path, size_t *n)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0)
	{
		perror(path);
		exit(1);
	}
	*n = (size_t) ftell(file);
	rewind(file);
	bytes = malloc(*n + 1);
	if (bytes == NULL || fread(bytes, 1, *n, file) != *n)
		exit(1);
	fclose(file);
	return bytes;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return (x > y) - (x < y);
}

/* A recording behind a pause, at -26 dBFS while it is active; its frames' labels are added to "speech". */
static void
append_recording(signal *s, signal *speech, const char *path)
{
	size_t n;
	uint8_t *bytes = read_file(path, &n);
	mb_wav_info wav;
	int16_t *samples;
	size_t count;
	size_t frames;
	double *powers;
	double *sorted;
	double loud;
	double active = 0;
	size_t n_active = 0;
	float gain;

	if (mb_wav_read(bytes, n, &wav) != MB_OK || wav.sample_rate != RATE || wav.frames < 10 * FRAME)
	{
		free(bytes);
		return;
	}
	count = wav.frames;
	samples = malloc(count * sizeof(int16_t));
	if (samples == NULL || mb_wav_read_samples(&wav, 0, 0, count, samples) != MB_OK)
		abort();
	frames = count / FRAME;
	powers = calloc(2 * frames, sizeof(double));
	sorted = powers + frames;
	for (size_t f = 0; f < frames; f++)
	{
		for (int i = 0; i < FRAME; i++)
			powers[f] += (double) samples[f * FRAME + i] * samples[f * FRAME + i] / FRAME;
		sorted[f] = powers[f];
	}
	qsort(sorted, frames, sizeof(double), by_value);
	loud = sorted[frames * 95 / 100];
	for (size_t f = 0; f < frames; f++)
	{
		if (powers[f] > loud * pow(10, -2.5))
		{
			active += powers[f];
			n_active++;
		}
	}
	gain = (float) (sqrt(mb_power_from_dbfs(-26)) / sqrt(active / (double) n_active));

	for (int pause = 40 + (int) (uniform() * 80); pause > 0; pause--)
	{
		for (int i = 0; i < FRAME; i++)
			append(s, 0);
		append(speech, 0);
	}
	for (size_t f = 0; f < frames; f++)
	{
		for (int i = 0; i < FRAME; i++)
			append(s, gain * samples[f * FRAME + i]);
		append(speech, powers[f] > loud * pow(10, -2.5));
	}
	free(powers);
	free(samples);
	free(bytes);
}

/* Something struck by x that rings at this pitch and fades by this many seconds. */
static double
ring(double x, double hz, double fading)
{
	static double last[2];
	double r = exp(-1.0 / (fading * RATE));
	double out = x + 2 * r * cos(2 * M_PI * hz / RATE) * last[0] - r * r * last[1];

	last[1] = last[0];
	last[0] = out;
	return out;
}

/* The next sample of a noise of power 1, about. */
static double
noise(const char *kind, const signal *s, size_t at)
{
	static double low[4];
	static double pink[3];
	static double drop;
	double white = normal();
	double t = (double) at / RATE;

	if (strcmp(kind, "white") == 0)
		return white;
	if (strcmp(kind, "car") == 0)
	{
		/* four poles at 100 Hz */
		double k = 1 - exp(-2 * M_PI * 100 / RATE);

		low[0] += k * (white - low[0]);
		for (int i = 1; i < 4; i++)
			low[i] += k * (low[i - 1] - low[i]);
		return low[3] * 8.5;
	}
	if (strcmp(kind, "pink") == 0)
	{
		pink[0] = 0.99765 * pink[0] + white * 0.0990460;
		pink[1] = 0.96300 * pink[1] + white * 0.2965164;
		pink[2] = 0.57000 * pink[2] + white * 1.0526913;
		return (pink[0] + pink[1] + pink[2] + white * 0.1848) / 2.0;
	}
	if (strcmp(kind, "hum") == 0 || strcmp(kind, "buzz") == 0)
	{
		double hz = kind[0] == 'h' ? 50 : 60;
		double sum = 0;

		for (int h = 1; h <= 30; h++)
			sum += sin(2 * M_PI * h * (hz * t - floor(hz * t)) + h * h) / h;
		return sum / 0.9 + 0.03 * white;
	}
	if (strcmp(kind, "fan") == 0)
	{
		/* air, beating slowly, and the blades */
		double blades =
			sin(2 * M_PI * 140 * t) + 0.5 * sin(2 * M_PI * 280 * t) + 0.3 * sin(2 * M_PI * 420 * t);

		low[0] += 0.3 * (white - low[0]);
		return 2 * low[0] * (1 + 0.25 * sin(2 * M_PI * 3.1 * t)) + 0.5 * blades;
	}
	if (strcmp(kind, "rain") == 0)
	{
		/* a rush, and drops of any size */
		if (uniform() < 60.0 / RATE)
			drop = exp(1.2 * normal());
		drop *= exp(-1.0 / (0.004 * RATE));
		low[0] += 0.3 * (white - low[0]);
		return 0.52 * (white - low[0]) + 0.87 * drop * normal();
	}
	if (strcmp(kind, "street") == 0)
	{
		/* cars pass every seven seconds */
		double swell = pow(10, 0.4 * (sin(2 * M_PI * t / 7) - 1));

		low[0] += 0.25 * (white - low[0]);
		low[1] += 0.25 * (low[0] - low[1]);
		return 6.4 * low[1] * swell + 0.13 * white;
	}
	if (strcmp(kind, "keys") == 0)
	{
		/* six a second, each down and up */
		if (uniform() < 12.0 / RATE)
			drop = 0.5 + uniform();
		drop *= exp(-1.0 / (0.006 * RATE));
		return 5 * drop * normal() + 0.1 * white;
	}
	if (strcmp(kind, "hail") == 0)
	{
		double stone = uniform() < 40.0 / RATE ? 6 * exp(0.8 * normal()) : 0;

		return 0.48 * ring(0.05 * white + stone, 1700, 0.003);
	}
	if (strcmp(kind, "typewriter") == 0)
	{
		static double wait;

		wait -= 1.0 / RATE;
		if (wait <= 0)
		{
			wait = 0.09 + 0.06 * uniform();
			drop = 1;
		}
		drop *= exp(-1.0 / (0.002 * RATE));
		return 0.63 * ring(0.05 * white + 4 * drop * normal(), 900, 0.004);
	}
	if (strcmp(kind, "applause") == 0)
	{
		if (uniform() < 25.0 / RATE)
			drop = 0.3 + uniform();
		drop *= exp(-1.0 / (0.005 * RATE));
		low[0] += 0.6 * (white - low[0]);
		return 7.3 * drop * low[0] + 0.12 * normal();
	}
	if (strcmp(kind, "fire") == 0)
	{
		if (uniform() < 15.0 / RATE)
			drop = exp(normal());
		drop *= exp(-1.0 / (0.0015 * RATE));
		low[0] += 0.1 * (white - low[0]);
		return 4 * drop * normal() + 1.5 * low[0];
	}
	if (strcmp(kind, "babble") == 0)
	{
		double sum = 0;

		for (size_t voice = 1; voice <= 8; voice++)
			sum += s->samples[(at + voice * s->n / 9) % s->n];
		return sum / sqrt(8 * mb_power_from_dbfs(-29));
	}
	return 0;
}

#endif /* RECORDED_H */
