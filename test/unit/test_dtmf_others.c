/*
 * test_dtmf_others.c
 *	  The DTMF receiver hears no digit in what is none: tones of the network, fax, noise,
 *	  music, silence, and a few minutes of synthetic speech.  Eight hours of speech are a
 *	  campaign of bench/.
 */
#include "dtmf_others.h"
#include "dtmf_receive.h"

#define SECONDS 120

static int which;

static void
hears_nothing(void)
{
	size_t n;
	int16_t *samples = others_make(which, SECONDS, 40 + (uint64_t) which, &n);
	received r = receive(samples, n, 8000, 0, -1);

	check(n >= SECONDS * SIGNAL_RATE);
	check_string(received_digits(&r), "");
	received_free(&r);
	free(samples);
}

/* Digital silence, DC, the idle patterns of both laws, the smallest steps. */
static void
hears_nothing_in_silence(void)
{
	enum
	{
		N = 80000
	};
	static int16_t x[N];
	check_random random = { 1 };

	for (int kind = 0; kind < 6; kind++)
	{
		received r;

		for (int i = 0; i < N; i++)
			x[i] = kind == 0   ? 0
				   : kind == 1 ? 12000
				   : kind == 2 ? (int16_t) (8 * (int) check_random_below(&random, 3) - 8)
				   : kind == 3 ? (i & 1 ? 8 : -8)
				   : kind == 4 ? INT16_MIN
							   : (int16_t) (check_random_below(&random, 3) - 1);
		r = receive(x, N, 8000, 0, -1);
		check_int(r.n, 0);
		received_free(&r);
	}
}

/* One tone of a pair, steady or in bursts, at any frequency that a digit has. */
static void
hears_nothing_in_single_tones(void)
{
	signal_buffer b = { 0 };
	int16_t *samples;
	received r;

	for (int i = 0; i < 8; i++)
		for (int k = 0; k < 6; k++)
			others_add_tones(&b, signal_hz[i], 0, -3 * k, 40 * (k + 1), 40);
	/* two of the same group */
	for (int i = 0; i < 8; i++)
		others_add_tones(&b, signal_hz[i], signal_hz[i / 4 * 4 + (i + 1) % 4], -12, 100, 60);
	samples = malloc(b.n * sizeof(*samples));
	for (size_t i = 0; i < b.n; i++)
		samples[i] = (int16_t) lrint(b.x[i]);
	r = receive(samples, b.n, 8000, 0, -1);
	check_string(received_digits(&r), "");
	received_free(&r);
	free(samples);
	signal_free(&b);
}

/*
 * A tone of a digit and one that is off by 3.5 % and more from all of the other group, up to where filters see nothing of it:
 * half windows 8 ms apart cannot tell 1209 Hz from 1084.
 */
static void
hears_nothing_in_half_of_a_digit(void)
{
	for (int tone = 0; tone < 8; tone++)
		for (int hz = 300; hz <= 3400; hz += 4)
		{
			const double *others = tone < 4 ? signal_hz + 4 : signal_hz;
			bool near = false;
			signal_buffer b = { 0 };
			int16_t *samples;
			received r;

			for (int i = 0; i < 4; i++)
				near = near || fabs(hz / others[i] - 1) < 0.035;
			if (near)
				continue;
			signal_extend(&b, 800 + (size_t) hz % 32);
			for (int k = 0; k < 3; k++)
			{
				double *x = signal_extend(&b, signal_samples(40 + 30 * k));

				signal_add_sine(x, signal_samples(40 + 30 * k), signal_hz[tone], signal_peak(-18),
								1);
				signal_add_sine(x, signal_samples(40 + 30 * k), hz, signal_peak(-20 + 2 * k), 0);
				signal_extend(&b, 400);
			}
			samples = malloc(b.n * sizeof(*samples));
			for (size_t i = 0; i < b.n; i++)
				samples[i] = (int16_t) lrint(b.x[i]);
			r = receive(samples, b.n, 8000, 0, -1);
			if (!check_string(received_digits(&r), ""))
				check_note("%g and %d Hz", signal_hz[tone], hz);
			received_free(&r);
			free(samples);
			signal_free(&b);
		}
}

/*
 * Two minutes of voices and texts that are in neither set of the experiment.  espeak-ng
 * writes 22,050 samples a second.
 */
static void
hears_nothing_in_speech(void)
{
	static const char *const sentences[] = {
		"Please hold the line. All our colleagues are talking to other customers.",
		"Your mandate number is one two three four five six seven eight. Is that right?",
		"Oh no, I did not hear you. Could you say that again, a little louder?",
		"We are going to revoke the authority that you gave us in February.",
		"Nine, nine, nine, star, hash. Hello? Hello! Who is there?",
		"The early bird eats all of the worms, or so they always say around here.",
		"Aaa eee iii ooo uuu. Mmm, I am not sure. Well, well, well.",
		"You have reached the mailbox of Marianne Lee. Leave a message after the tone.",
	};
	static const char *const voices[] = { "en-us+m5", "en-gb+f2", "sk", "ro", "ca" };
	double seconds = 0;

	if (system("command -v espeak-ng > /dev/null 2>&1") != 0)
		check_skip("espeak-ng is not installed");
	for (size_t v = 0; v < sizeof(voices) / sizeof(voices[0]); v++)
		for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++)
		{
			enum
			{
				MOST = 22050 * 30
			};
			static int16_t speech[MOST];
			char command[400];
			FILE *pipe;
			size_t n, m;
			int16_t *samples;
			received r;
			int status;

			snprintf(command, sizeof(command), "espeak-ng -v %s -p %zu -s %zu --stdout \"%s\"",
					 voices[v], 20 + 13 * (v + i) % 70, 120 + 17 * i % 80, sentences[i]);
			pipe = popen(command, "r");
			REQUIRE(pipe != NULL);
			/* the header of a WAV is 44 bytes here, a click if it were more */
			n = fread(speech, 1, 44, pipe);
			n = fread(speech, sizeof(*speech), MOST, pipe);
			status = pclose(pipe);
			REQUIRE(status == 0 && n > 22050);
			samples = signal_resample(speech, n, 22050, SIGNAL_RATE, &m);
			r = receive(samples, m, 8000, 160, -1);
			check_string(received_digits(&r), "");
			seconds += (double) m / SIGNAL_RATE;
			received_free(&r);
			free(samples);
		}
	check(seconds > 120);
	check_note("%.0f s of speech", seconds);
}

int
main(void)
{
	char name[80];

	for (which = 0; which < OTHERS; which++)
	{
		snprintf(name, sizeof(name), "hears nothing in %s", others[which].name);
		check_run(name, hears_nothing);
	}
	check_run("hears nothing in silence", hears_nothing_in_silence);
	check_run("hears nothing in single tones", hears_nothing_in_single_tones);
	check_run("hears nothing in half of a digit", hears_nothing_in_half_of_a_digit);
	check_run("hears nothing in speech", hears_nothing_in_speech);
	return check_done();
}
