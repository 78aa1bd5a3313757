/*
 * dtmf_values.c
 *	  What the DTMF receiver measures of each burst that may be a digit, for the fit of its decision
 *	  (dtmf_fit.py): the receiver itself with a judgement that prints instead of deciding.
 *
 *		dtmf_values heard					bursts of raw samples at 8 kHz from standard input: none is a digit
 *		dtmf_values digits SYMBOLS SEED		bursts of digits, so many symbols a condition
 *
 * A line is what it is ("none"; "must", "target" or "mixture" for digits), its condition and the values.
 */
#include "dtmf_conditions.h"
#include "dtmf_receive.h"
#include "dtmf_spandsp.h"

/* Conditions drawn at random beside those of the table, and symbols of each. */
#define MIXTURES 800
#define MIXED_SYMBOLS 30

static const char *kind = "none";
static int condition;
/* The digits that were sent; NULL where none was. */
static const char *sent;
static const uint64_t *onsets;

/* Whether a burst that begins there is one of the digits sent: within 20 ms. */
static bool
was_sent(char digit, double onset)
{
	for (size_t i = 0; sent[i] != '\0'; i++)
		if (sent[i] == digit && fabs(onset - (double) onsets[i]) < 160)
			return true;
	return false;
}

/* In the place of the core's. */
bool
mb_dtmf_judge(const mb_dtmf *dtmf, const dtmf_measures *m, mb_dtmf_event *event)
{
	(void) event;
	if (sent != NULL &&
		!was_sent(MB_DTMF_SYMBOLS[dtmf->track.symbol],
				  ((double) dtmf->track.first_hop + (double) m->onset) * DTMF_HOP - DTMF_DELAY))
		return false;
	printf("%s %d", kind, condition);
	for (int i = 0; i < DTMF_VALUES; i++)
		printf(" %.9g", (double) m->value[i]);
	printf("\n");
	return false;
}

static void
send(const signal_condition *c, uint64_t seed, int symbols)
{
	char *digits = malloc(2 * (size_t) symbols + 1);
	uint64_t *begins = malloc(2 * (size_t) symbols * sizeof(*begins));
	size_t n;
	int16_t *samples = signal_make(c, seed, symbols, digits, begins, &n);
	received r;

	sent = digits;
	onsets = begins;
	r = receive(samples, n, SIGNAL_RATE, 0, -1);
	received_free(&r);
	free(samples);
	free(begins);
	free(digits);
}

/* A line with several faults at once, none of them worse than the table has it. */
static signal_condition
mixture(check_random *random)
{
#define CHANCE(p) (check_random_uniform(random) < (p))
#define BETWEEN(a, b) ((a) + ((b) - (a)) * check_random_uniform(random))
	static const signal_codec codecs[] = { CODEC_MULAW, CODEC_MULAW, CODEC_ALAW, CODEC_ALAW,
										   CODEC_IMA,	CODEC_G726,	 CODEC_NONE, CODEC_NONE };
	static const double tones[][2] = { { 350, 440 }, { 425 }, { 50 }, { 60 } };
	signal_condition c = { .on_ms = CHANCE(.5) ? 40 : BETWEEN(36, 120), .off_ms = BETWEEN(35, 95) };

	c.codec = codecs[check_random_below(random, sizeof(codecs) / sizeof(codecs[0]))];
	c.level = CHANCE(.3) ? -15 : BETWEEN(-42, -4);
	c.twist = CHANCE(.3) ? 0 : BETWEEN(-4, 8);
	c.both_signs = true;
	for (int k = 0; k < 2; k++)
		c.error[k] = CHANCE(.5) ? 0 : BETWEEN(0, .017);
	if (CHANCE(.5))
		c.snr = BETWEEN(8, 38);
	if ((c.has_other = CHANCE(.3)))
	{
		memcpy(c.other_hz, tones[check_random_below(random, 4)], sizeof(c.other_hz));
		c.other_db = BETWEEN(-15, 0);
	}
	if (CHANCE(.25))
	{
		c.echo_ms = BETWEEN(5, 80);
		c.echo_db = BETWEEN(-24, -14);
	}
	if (CHANCE(.1))
		c.clip_db = BETWEEN(0, 10);
	if (CHANCE(.1))
		c.dc = BETWEEN(0, 3000);
	if (c.on_ms >= 60 && CHANCE(.2))
		c.dropout_ms = BETWEEN(4, 10);
	return c;
#undef CHANCE
#undef BETWEEN
}

static void
send_all(int symbols, uint64_t seed)
{
	check_random random = { seed };

	signal_codec_hook = spandsp_codec;
	for (condition = 0; condition < SIGNAL_CONDITIONS; condition++)
	{
		kind = signal_conditions[condition].target ? "target" : "must";
		if (!signal_conditions[condition].none)
			send(&signal_conditions[condition], seed + (uint64_t) condition, symbols);
	}
	kind = "mixture";
	for (int i = 0; i < MIXTURES; i++)
	{
		signal_condition c = mixture(&random);

		send(&c, seed + 1000 + (uint64_t) i, MIXED_SYMBOLS);
	}
}

static void
listen(void)
{
	mb_dtmf_options options = { MB_DTMF_DEFAULT_FLOOR_DBM0, received_add, NULL };
	static mb_dtmf dtmf;
	int16_t samples[4096];
	size_t n;

	if (mb_dtmf_init(&dtmf, SIGNAL_RATE, &options) != MB_OK)
		abort();
	while ((n = fread(samples, sizeof(*samples), sizeof(samples) / sizeof(*samples), stdin)) > 0)
		mb_dtmf_feed(&dtmf, samples, n);
	mb_dtmf_flush(&dtmf);
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "heard") == 0)
		listen();
	else if (argc == 4 && strcmp(argv[1], "digits") == 0)
		send_all(atoi(argv[2]), (uint64_t) atoll(argv[3]));
	else
	{
		fprintf(stderr, "usage: dtmf_values heard | digits SYMBOLS SEED\n");
		return 2;
	}
	return 0;
}
