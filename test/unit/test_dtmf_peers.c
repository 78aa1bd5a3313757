/*
 * test_dtmf_peers.c
 *	  What the generator makes with default settings is understood by others: libspandsp and
 *	  multimon-ng decode every string, in each encoding and at each rate they take.
 *
 * multimon-ng is a program; where it is not installed its test is skipped.  It wants 22,050
 * samples a second, which the test makes by interpolation of its own.
 *
 * Link with: -lspandsp
 */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dtmf_multimon.h"
#include "dtmf_receive.h"
#include "dtmf_spandsp.h"
#include "core/audio/g711.h"
#include "core/audio/tone.h"

/* Frames of voice commands and acknowledgements, all symbols, and repeats. */
static const char *const strings[] = {
	"*070112345678000042608379340855#",
	"*070387654321149999682855456053#",
	"*999900000000000001869025457877#",
	"*07000100426040297750#",
	"0123456789ABCD*#",
	"DDCCBBAA##**00112233445566778899",
	"1111111111",
	"0",
	"#w*W#",
};
#define STRINGS ((int) (sizeof(strings) / sizeof(strings[0])))

static const mb_encoding encodings[] = { MB_MULAW, MB_ALAW, MB_S16LE };

/* A string as default settings make it, through an encoding, with silence around. */
static int16_t *
generate(const char *digits, mb_encoding encoding, size_t *n)
{
	mb_tone_dtmf_options options = MB_TONE_DTMF_DEFAULTS;
	mb_tone_dtmf tone;
	uint64_t told;
	int16_t *samples;
	uint8_t *code;
	const size_t around = 1600;

	if (mb_tone_dtmf_samples(digits, strlen(digits), &options, 8000, &told, NULL) != MB_OK ||
		mb_tone_dtmf_init(&tone, digits, strlen(digits), &options, 8000) != MB_OK)
		abort();
	*n = told + 2 * around;
	samples = calloc(*n, sizeof(*samples));
	code = malloc(*n * 2);
	if (samples == NULL || code == NULL)
		abort();
	mb_tone_dtmf_read(&tone, samples + around, told);
	if (mb_audio_encode(encoding, samples, *n, code) != MB_OK ||
		mb_audio_decode(encoding, code, *n * mb_encoding_sample_size(encoding), samples) != MB_OK)
		abort();
	free(code);
	return samples;
}

/* A string without its pauses; or one at random. */
static void
expected_of(const char *digits, char *out)
{
	for (; *digits; digits++)
		if (*digits != MB_TONE_SHORT_PAUSE && *digits != MB_TONE_LONG_PAUSE)
			*out++ = *digits;
	*out = '\0';
}

static void
random_string(check_random *random, char *digits)
{
	int n = 1 + (int) check_random_below(random, 40);

	for (int i = 0; i < n; i++)
		digits[i] = check_random_below(random, 3) == 0 && i > 0
						? digits[i - 1]
						: signal_symbols[check_random_below(random, 16)];
	digits[n] = '\0';
}

static void
spandsp_decodes_every_string(void)
{
	check_random random = { 21 };

	for (int i = 0; i < STRINGS + 60; i++)
	{
		char drawn[64], want[64], got[128];

		if (i >= STRINGS)
			random_string(&random, drawn);
		expected_of(i < STRINGS ? strings[i] : drawn, want);
		for (int e = 0; e < 3; e++)
		{
			size_t n;
			int16_t *samples = generate(i < STRINGS ? strings[i] : drawn, encodings[e], &n);

			spandsp_receive(samples, n, got, sizeof(got));
			check_string(got, want);
			free(samples);
		}
	}
}

static void
multimon_decodes_every_string(void)
{
	check_random random = { 22 };

	if (!multimon_installed())
		check_skip("multimon-ng is not installed");
	for (int e = 0; e < 3; e++)
	{
		/* one process an encoding, with all strings in a row */
		signal_buffer line = { 0 };
		char want[4096] = "";
		char got[4096];
		int16_t *all;

		for (int i = 0; i < STRINGS + 20; i++)
		{
			char drawn[64];
			size_t n;
			int16_t *samples;
			double *x;

			if (i >= STRINGS)
				random_string(&random, drawn);
			samples = generate(i < STRINGS ? strings[i] : drawn, encodings[e], &n);
			expected_of(i < STRINGS ? strings[i] : drawn, want + strlen(want));
			x = signal_extend(&line, n);
			for (size_t k = 0; k < n; k++)
				x[k] = samples[k];
			free(samples);
		}
		all = malloc(line.n * sizeof(*all));
		for (size_t k = 0; k < line.n; k++)
			all[k] = (int16_t) line.x[k];
		REQUIRE(multimon_receive(all, line.n, got, sizeof(got)));
		check_string(got, want);
		free(all);
		signal_free(&line);
	}
}

static void
our_receiver_decodes_every_string(void)
{
	check_random random = { 23 };

	for (int i = 0; i < STRINGS + 60; i++)
	{
		char drawn[64], want[64];

		if (i >= STRINGS)
			random_string(&random, drawn);
		expected_of(i < STRINGS ? strings[i] : drawn, want);
		for (int e = 0; e < 3; e++)
		{
			size_t n;
			int16_t *samples = generate(i < STRINGS ? strings[i] : drawn, encodings[e], &n);
			received r = receive(samples, n, 8000, 160, -1);

			check_string(received_digits(&r), want);
			received_free(&r);
			free(samples);
		}
	}
}

/* The generator's own output at every rate, as short as a digit may be. */
static void
our_receiver_decodes_every_rate(void)
{
	static const int rates[] = { 8000, 16000, 44100, 48000 };
	check_random random = { 24 };

	for (int r = 0; r < 4; r++)
		for (int i = 0; i < 12; i++)
		{
			mb_tone_dtmf_options options = MB_TONE_DTMF_DEFAULTS;
			mb_tone_dtmf tone;
			char digits[64];
			uint64_t n;
			int16_t *samples;
			received got;

			random_string(&random, digits);
			options.on_ms = 40;
			options.off_ms = 40;
			options.level_dbm0 = -(double) check_random_below(&random, 41);
			options.twist_db = (double) check_random_below(&random, 12) - 4;
			REQUIRE(mb_tone_dtmf_samples(digits, strlen(digits), &options, rates[r], &n, NULL) ==
					MB_OK);
			REQUIRE(mb_tone_dtmf_init(&tone, digits, strlen(digits), &options, rates[r]) == MB_OK);
			samples = malloc(n * sizeof(*samples));
			mb_tone_dtmf_read(&tone, samples, n);
			got = receive(samples, n, rates[r], 0, -1);
			check_string(received_digits(&got), digits);
			for (size_t k = 0; k < got.n; k++)
			{
				check_near(got.events[k].level_dbm0, options.level_dbm0, 0.4);
				check_near(got.events[k].twist_db, options.twist_db, 0.5);
				check_near((double) got.events[k].onset / rates[r] * 1000, 80.0 * (double) k, 3);
			}
			received_free(&got);
			free(samples);
		}
}

int
main(void)
{
	check_run("libspandsp decodes every string in each encoding", spandsp_decodes_every_string);
	check_run("multimon-ng decodes every string in each encoding", multimon_decodes_every_string);
	check_run("our receiver decodes every string in each encoding",
			  our_receiver_decodes_every_string);
	check_run("our receiver decodes what is generated at every rate",
			  our_receiver_decodes_every_rate);
	return check_done();
}
