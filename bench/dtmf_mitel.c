/*
 * dtmf_mitel.c
 *	  The procedure of Mitel's test tape CM7291 for DTMF receivers, made here, over ours, libspandsp's and
 *	  multimon-ng's in the same run.
 *
 * The tape's first side: decoding of all symbols, bandwidth of each tone, twist, dynamic range, guard
 * time and noise, pulses of 50 ms with pauses of 50 ms where it does not say otherwise.  The other side is speech, for which
 * dtmf_talkoff.py has sets.  Steps are those of the tape; a figure is how far a receiver
 * follows without an error in SYMBOLS pulses.  Prints to standard output, writes no file.
 */
#include "dtmf_multimon.h"
#include "dtmf_receive.h"
#include "dtmf_spandsp.h"

#define SYMBOLS 20
#define LEVEL (-15)
#define MS 50

enum
{
	OURS,
	SPANDSP,
	MULTIMON,
	RECEIVERS
};

static int receivers = MULTIMON;

/* What a receiver hears of a signal, up to room - 1. */
static void
hear(int receiver, const int16_t *samples, size_t n, char *digits, size_t room)
{
	digits[0] = '\0';
	if (receiver == OURS)
	{
		received r = receive(samples, n, SIGNAL_RATE, 160, -1);

		snprintf(digits, room, "%s", received_digits(&r));
		received_free(&r);
	}
	else if (receiver == SPANDSP)
		spandsp_receive(samples, n, digits, room);
	else
		multimon_receive(samples, n, digits, room);
}

/* Pulses of one symbol that a receiver misses or makes up. */
static int
errors_of(int receiver, const signal_condition *c, int symbol, int pulses, uint64_t seed)
{
	check_random random = { seed };
	signal_buffer b = { 0 };
	char sent[1100], got[4096];
	double sigma = c->snr != 0 ? signal_peak(c->level) / sqrt(2) * pow(10, -c->snr / 20) : 0;
	int16_t *samples;

	signal_extend(&b, 800);
	for (int i = 0; i < pulses; i++)
	{
		int which = symbol >= 0 ? symbol : i % 16;

		sent[i] = signal_symbols[which];
		signal_add_symbol(&b, c, which, c->on_ms, &random);
		signal_extend(&b, signal_samples(c->off_ms) + check_random_below(&random, 80));
	}
	sent[pulses] = '\0';
	signal_extend(&b, 1600);
	samples = malloc(b.n * sizeof(*samples));
	for (size_t i = 0; i < b.n; i++)
		samples[i] = (int16_t) lrint(
			fmin(fmax(b.x[i] + sigma * check_random_normal(&random), INT16_MIN), INT16_MAX));
	hear(receiver, samples, b.n, got, sizeof(got));
	free(samples);
	signal_free(&b);
	return signal_distance(sent, got);
}

typedef enum change
{
	LOW_TONE,
	HIGH_TONE,
	TWIST,
	QUIETER
} change;

/*
 * How many steps a receiver follows a change of one symbol's pulses without an error, at most so many: by bisection, as a
 * receiver that has lost it does not find it again farther off.
 */
static int
follows(int receiver, int symbol, change what, int sign, int most)
{
	int kept = 0;

	while (kept < most)
	{
		int step = (kept + most + 1) / 2;
		signal_condition c = { .on_ms = MS, .off_ms = MS, .level = LEVEL };

		if (what == TWIST)
			c.twist = sign * step / 10.0;
		else if (what == QUIETER)
			c.level = -step;
		else
			c.error[what == HIGH_TONE] = sign * step / 1000.0;
		if (errors_of(receiver, &c, symbol, SYMBOLS, 100 + (uint64_t) step) == 0)
			kept = step;
		else
			most = step - 1;
	}
	return kept;
}

/* The tape's guard time: 500 pulses, each 0.1 ms shorter, from 49 ms to 10; the shortest heard if all longer are. */
static double
guard_time(int receiver, int symbol)
{
	char got[1024];
	check_random random = { 400 };
	signal_buffer b = { 0 };
	int16_t *samples;

	signal_extend(&b, 800);
	for (int step = 0; step < 390; step++)
	{
		signal_condition c = { .level = LEVEL };

		signal_add_symbol(&b, &c, symbol, 49 - step / 10.0, &random);
		signal_extend(&b, signal_samples(MS));
	}
	signal_extend(&b, 1600);
	samples = malloc(b.n * sizeof(*samples));
	for (size_t i = 0; i < b.n; i++)
		samples[i] = (int16_t) lrint(b.x[i]);
	hear(receiver, samples, b.n, got, sizeof(got));
	free(samples);
	signal_free(&b);
	return 49 - (double) strlen(got) / 10;
}

/* The least of what a receiver does over symbols of the keypad's diagonal, which have all tones, or the most. */
static const int diagonal[] = { 0, 5, 10, 15 };

typedef struct figures
{
	double low_off, high_off; /* percent to the worse side */
	double twist, reverse_twist, level, guard;
	int undecoded;
	double noise[4]; /* errors of 1000 symbols, percent */
} figures;

static const double noise_db[4] = { 24, 18, 12, 6 };

static figures
measure(int receiver)
{
	figures f = { 99, 99, 99, 99, 99, 0, 0, { 0 } };
	signal_condition c = { .on_ms = MS, .off_ms = MS, .level = LEVEL };

	f.undecoded = errors_of(receiver, &c, -1, 160, 1);
	for (size_t i = 0; i < sizeof(diagonal) / sizeof(diagonal[0]); i++)
	{
		int symbol = diagonal[i];

		for (int sign = -1; sign < 2; sign += 2)
		{
			f.low_off = fmin(f.low_off, follows(receiver, symbol, LOW_TONE, sign, 60) / 10.0);
			f.high_off = fmin(f.high_off, follows(receiver, symbol, HIGH_TONE, sign, 60) / 10.0);
		}
		f.twist = fmin(f.twist, follows(receiver, symbol, TWIST, 1, 200) / 10.0);
		f.reverse_twist = fmin(f.reverse_twist, follows(receiver, symbol, TWIST, -1, 200) / 10.0);
		f.level = fmin(f.level, follows(receiver, symbol, QUIETER, 1, 60));
		f.guard = fmax(f.guard, guard_time(receiver, symbol));
	}
	for (int k = 0; k < 4; k++)
	{
		c.snr = noise_db[k];
		f.noise[k] = errors_of(receiver, &c, -1, 1000, 500) / 10.0;
	}
	return f;
}

static void
line(const char *name, const char *format, double ours, double spandsp, double multimon)
{
	double v[RECEIVERS] = { ours, spandsp, multimon };

	printf("%-52s", name);
	for (int i = 0; i < receivers; i++)
	{
		printf("  ");
		printf(format, v[i]);
	}
	printf("\n");
}

int
main(void)
{
	figures f[RECEIVERS];

	memset(f, 0, sizeof(f));
	receivers = multimon_installed() ? RECEIVERS : MULTIMON;
	for (int i = 0; i < receivers; i++)
		f[i] = measure(i);
	printf("Mitel CM7291, %d pulses a step\n\n%-52s  %9s  %9s%s\n", SYMBOLS, "", "ours", "spandsp",
		   receivers == RECEIVERS ? "   multimon" : "");
#define LINE(name, format, field) line(name, format, f[0].field, f[1].field, f[2].field)
	LINE("1. of 160 symbols not decoded", "%9.0f", undecoded);
	LINE("2. low tone off by, %, either side (1.5 or more)", "%9.1f", low_off);
	LINE("   high tone off by, %", "%9.1f", high_off);
	LINE("3. twist, dB, low tone stronger (8 or more)", "%9.1f", twist);
	LINE("   high tone stronger (4 or more)", "%9.1f", reverse_twist);
	LINE("4. quietest level, dB below 0 dBm0 (25 or more)", "%9.0f", level);
	LINE("5. guard time, ms (40 or less)", "%9.1f", guard);
	for (int k = 0; k < 4; k++)
	{
		char name[60];

		snprintf(name, sizeof(name), "%s white noise %2.0f dB below, %% of 1000 missed",
				 k == 0 ? "6." : "  ", noise_db[k]);
		LINE(name, "%9.1f", noise[k]);
	}
	return 0;
}
