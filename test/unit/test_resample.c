/*
 * test_resample.c
 *	  Resampling measured: flatness, delay and alias rejection of every pair of
 *	  rates, independence of chunking, and the contract of the streaming object.
 */
#include "check.h"
#include "core/audio/resample.h"

#define PI 3.14159265358979323846

#define rates mb_resample_rates
#define N_RATES MB_RESAMPLE_N_RATES

/* What resample.h promises. */
#define RIPPLE_DB 0.05
#define REJECTION_DB 80.0
#define PASS_EDGE 0.425
#define STOP_EDGE 0.5

/* Amplitude of test tones; room for ripple, so that nothing clips. */
#define AMPLITUDE 32000.0

static _Alignas(16) unsigned char state_memory[MB_RESAMPLER_MAX_SIZE];

/* What resample() takes: the code for any processor. */
static bool force_plain;

/* Heap buffers sized exactly, so that the sanitizer sees a write beyond the promised bound. */
static int16_t *
resample(int from_rate, int to_rate, const int16_t *in, size_t n, size_t *n_out)
{
	mb_resampler *resampler;
	int16_t *out;
	int16_t *piece;
	size_t got;

	if (mb_resampler_init(&resampler, state_memory, sizeof(state_memory), from_rate, to_rate) !=
		MB_OK)
		abort();
	if (force_plain)
		mb_resampler_use_plain(resampler);
	out = malloc(sizeof(int16_t) * (mb_resample_length(n, from_rate, to_rate) + 1));
	piece = malloc(sizeof(int16_t) * mb_resampler_output_bound(resampler, n));
	got = mb_resampler_feed(resampler, in, n, piece);
	memcpy(out, piece, got * sizeof(int16_t));
	*n_out = got;
	free(piece);
	piece = malloc(sizeof(int16_t) * mb_resampler_output_bound(resampler, 0));
	got = mb_resampler_flush(resampler, piece);
	memcpy(out + *n_out, piece, got * sizeof(int16_t));
	*n_out += got;
	free(piece);
	return out;
}

static int16_t *
make_sine(int rate, double frequency, double amplitude, size_t n)
{
	int16_t *samples = malloc(sizeof(int16_t) * n);

	for (size_t i = 0; i < n; i++)
		samples[i] = (int16_t) lrint(amplitude * sin(2 * PI * frequency * (double) i / rate));
	return samples;
}

/*
 * Fits a sine of known frequency to samples [from, to) by least squares: gain
 * (amplitude / AMPLITUDE) and phase against a sine that begins at sample 0, and the
 * RMS of what is left.
 */
static void
fit_sine(const int16_t *samples, size_t from, size_t to, int rate, double frequency, double *gain,
		 double *phase, double *rest)
{
	double ss = 0;
	double cc = 0;
	double sc = 0;
	double xs = 0;
	double xc = 0;
	double sum = 0;

	for (size_t i = from; i < to; i++)
	{
		double s = sin(2 * PI * frequency * (double) i / rate);
		double c = cos(2 * PI * frequency * (double) i / rate);

		ss += s * s;
		cc += c * c;
		sc += s * c;
		xs += samples[i] * s;
		xc += samples[i] * c;
	}
	double determinant = ss * cc - sc * sc;
	double a = (xs * cc - xc * sc) / determinant;
	double b = (xc * ss - xs * sc) / determinant;

	for (size_t i = from; i < to; i++)
	{
		double d = samples[i] - a * sin(2 * PI * frequency * (double) i / rate) -
				   b * cos(2 * PI * frequency * (double) i / rate);

		sum += d * d;
	}
	*gain = hypot(a, b) / AMPLITUDE;
	*phase = atan2(b, a);
	*rest = sqrt(sum / (double) (to - from));
}

static double
decibel(double ratio)
{
	return 20 * log10(ratio > 1e-12 ? ratio : 1e-12);
}

/*
 * Tones all over the pass band keep level and place, and everything else that comes
 * out with them (images, noise) is 80 dB below.
 */
static void
pass_band_is_flat_and_in_place(void)
{
	double worst_ripple = 0;
	double worst_rest = -200;
	double worst_shift = 0;

	for (int f = 0; f < N_RATES; f++)
	{
		for (int t = 0; t < N_RATES; t++)
		{
			int low = rates[f] < rates[t] ? rates[f] : rates[t];
			size_t n = (size_t) rates[f] / 8;

			if (f == t)
				continue;
			for (int k = 0; k <= 16; k++)
			{
				double frequency = k == 0 ? 50.0 : PASS_EDGE * low * k / 16;
				int16_t *in = make_sine(rates[f], frequency, AMPLITUDE, n);
				size_t n_out;
				int16_t *out = resample(rates[f], rates[t], in, n, &n_out);
				/* away from the ends, where the tone starts and stops */
				size_t margin = (size_t) rates[t] / 50;
				double gain;
				double phase;
				double rest;

				fit_sine(out, margin, n_out - margin, rates[t], frequency, &gain, &phase, &rest);
				check_near(decibel(gain), 0, RIPPLE_DB);
				/* delay in seconds: less than 0.1 us, a hundredth of a sample at any rate */
				check_near(phase / (2 * PI * frequency), 0, 1e-7);
				check_range(decibel(rest / (AMPLITUDE / sqrt(2))), -200, -REJECTION_DB);

				worst_ripple = fmax(worst_ripple, fabs(decibel(gain)));
				worst_rest = fmax(worst_rest, decibel(rest / (AMPLITUDE / sqrt(2))));
				worst_shift = fmax(worst_shift, fabs(phase / (2 * PI * frequency)));
				free(in);
				free(out);
			}
		}
	}
	check_note("worst ripple %.4f dB, images and noise %.1f dB, delay %.1e s", worst_ripple,
			   worst_rest, worst_shift);
}

/* Going down, tones from the stop edge to half the input rate come out 80 dB down or more. */
static void
aliases_are_rejected(void)
{
	double worst = -240;

	for (int f = 0; f < N_RATES; f++)
	{
		for (int t = 0; t < f; t++)
		{
			size_t n = (size_t) rates[f] / 8;
			double edge = STOP_EDGE * rates[t];

			for (int k = 0; k <= 24; k++)
			{
				/* close together at the edge, where aliasing would be worst */
				double frequency = edge + (rates[f] / 2.0 - 10 - edge) * k * k / 576.0;
				int16_t *in = make_sine(rates[f], frequency, AMPLITUDE, n);
				size_t n_out;
				int16_t *out = resample(rates[f], rates[t], in, n, &n_out);
				size_t margin = (size_t) rates[t] / 50;
				double sum = 0;
				double level;

				for (size_t i = margin; i < n_out - margin; i++)
					sum += (double) out[i] * out[i];
				level = decibel(sqrt(sum / (double) (n_out - 2 * margin)) / (AMPLITUDE / sqrt(2)));
				if (!check_range(level, -240, -REJECTION_DB))
					check_note("%d to %d Hz, tone of %.1f Hz", rates[f], rates[t], frequency);
				worst = fmax(worst, level);
				free(in);
				free(out);
			}
		}
	}
	check_note("loudest alias %.1f dB", worst);
}

/* Pieces of 1 sample, of odd sizes, of everything: the same output, sample by sample. */
static void
result_does_not_depend_on_chunking(void)
{
	static const size_t sizes[] = { 1, 7, 160, 255, 256, 257, 1000 };
	check_random random = { 20 };
	size_t n = 4999;
	int16_t *in = malloc(sizeof(int16_t) * n);

	for (size_t i = 0; i < n; i++)
		in[i] = (int16_t) check_random_bits(&random);
	for (int f = 0; f < N_RATES; f++)
	{
		for (int t = 0; t < N_RATES; t++)
		{
			size_t n_whole;
			int16_t *whole = resample(rates[f], rates[t], in, n, &n_whole);

			check_int(n_whole, mb_resample_length(n, rates[f], rates[t]));
			/* the last turn takes pieces of random sizes */
			for (size_t s = 0; s <= sizeof(sizes) / sizeof(sizes[0]); s++)
			{
				mb_resampler *resampler;
				int16_t *out = malloc(sizeof(int16_t) * n_whole);
				size_t n_out = 0;
				size_t position = 0;

				REQUIRE(mb_resampler_init(&resampler, state_memory, sizeof(state_memory), rates[f],
										  rates[t]) == MB_OK);
				while (position < n)
				{
					size_t size = s < sizeof(sizes) / sizeof(sizes[0])
									  ? sizes[s]
									  : check_random_below(&random, 600);
					int16_t *piece;
					size_t got;

					if (size > n - position)
						size = n - position;
					piece = malloc(sizeof(int16_t) * mb_resampler_output_bound(resampler, size));
					got = mb_resampler_feed(resampler, in + position, size, piece);
					REQUIRE(n_out + got <= n_whole);
					memcpy(out + n_out, piece, sizeof(int16_t) * got);
					n_out += got;
					position += size;
					free(piece);
				}
				REQUIRE(n_out + mb_resampler_output_bound(resampler, 0) >= n_whole);
				int16_t *piece = malloc(sizeof(int16_t) * mb_resampler_output_bound(resampler, 0));
				size_t got = mb_resampler_flush(resampler, piece);

				REQUIRE(n_out + got == n_whole);
				memcpy(out + n_out, piece, sizeof(int16_t) * got);
				check_bytes(out, whole, sizeof(int16_t) * n_whole);
				free(piece);
				free(out);
			}
			free(whole);
		}
	}
	free(in);
}

/* Full-scale noise through every pair, by the code for this processor and by that for any. */
static void
any_code_path_gives_the_same(void)
{
	enum
	{
		N = 3000
	};
	static int16_t in[N];
	check_random random = { 11 };

	for (int i = 0; i < N; i++)
		in[i] = (int16_t) check_random_bits(&random);
	for (int from = 0; from < N_RATES; from++)
		for (int to = 0; to < N_RATES; to++)
		{
			size_t n, n_plain;
			int16_t *best = resample(rates[from], rates[to], in, N, &n);
			int16_t *plain;

			force_plain = true;
			plain = resample(rates[from], rates[to], in, N, &n_plain);
			force_plain = false;
			check_int(n_plain, n);
			check_bytes(plain, best, n * sizeof(int16_t));
			free(best);
			free(plain);
		}
}

/* No sample comes later than the stated latency. */
static void
latency_is_as_stated(void)
{
	for (int f = 0; f < N_RATES; f++)
	{
		for (int t = 0; t < N_RATES; t++)
		{
			mb_resampler *resampler;
			int16_t out[4096];
			int16_t zero = 0;
			uint64_t given = 0;
			double grain = (double) rates[t] / rates[f] + 2;

			REQUIRE(mb_resampler_init(&resampler, state_memory, sizeof(state_memory), rates[f],
									  rates[t]) == MB_OK);
			REQUIRE(mb_resampler_output_bound(resampler, 1) <= 4096);
			check_range(mb_resampler_latency(resampler), 0, 0.0065);
			for (int n = 1; n <= 3000; n++)
			{
				double due =
					fmax((double) n / rates[f] - mb_resampler_latency(resampler), 0) * rates[t];

				given += mb_resampler_feed(resampler, &zero, 1, out);
				/* what one input sample brings, and the grain of the middle rate */
				check_range((double) given, due - grain, due + grain);
			}
		}
	}
}

/* Full-scale square waves overshoot; the result must clip, not wrap. */
static void
overshoot_saturates(void)
{
	size_t n = 4000;
	int16_t *in = malloc(sizeof(int16_t) * n);
	size_t n_out;
	int16_t *out;
	int clipped = 0;

	for (size_t i = 0; i < n; i++)
		in[i] = i / 40 % 2 ? 32767 : -32768;
	out = resample(8000, 48000, in, n, &n_out);
	for (size_t i = 1; i < n_out; i++)
	{
		/* a wrapped sample would jump by the whole range between neighbours */
		check(abs(out[i] - out[i - 1]) < 40000);
		clipped += out[i] == 32767 || out[i] == -32768;
	}
	check(clipped > 100);
	free(in);
	free(out);
}

/* Constant input stays exactly constant: phases have the same gain. */
static void
constant_input_stays_constant(void)
{
	size_t n = 3000;
	int16_t *in = malloc(sizeof(int16_t) * n);

	for (size_t i = 0; i < n; i++)
		in[i] = 20000;
	for (int f = 0; f < N_RATES; f++)
	{
		for (int t = 0; t < N_RATES; t++)
		{
			size_t n_out;
			int16_t *out = resample(rates[f], rates[t], in, n, &n_out);
			size_t margin = (size_t) rates[t] / 100;

			for (size_t i = margin; i + margin < n_out; i++)
				check_int(out[i], 20000);
			free(out);
		}
	}
	free(in);
}

static void
flush_starts_anew_and_copies_go_on(void)
{
	check_random random = { 5 };
	static _Alignas(16) unsigned char copy_memory[MB_RESAMPLER_MAX_SIZE];
	mb_resampler *resampler;
	mb_resampler *copy = (mb_resampler *) (void *) copy_memory;
	int16_t in[500];
	int16_t first[8000];
	int16_t second[8000];
	size_t n_first;
	size_t n_second;

	for (int i = 0; i < 500; i++)
		in[i] = (int16_t) check_random_bits(&random);
	REQUIRE(mb_resampler_init(&resampler, state_memory, sizeof(state_memory), 8000, 44100) ==
			MB_OK);
	n_first = mb_resampler_feed(resampler, in, 500, first);
	n_first += mb_resampler_flush(resampler, first + n_first);

	n_second = mb_resampler_feed(resampler, in, 300, second);
	memcpy(copy_memory, state_memory, sizeof(copy_memory));
	memset(state_memory, 0xAA, sizeof(state_memory));
	n_second += mb_resampler_feed(copy, in + 300, 200, second + n_second);
	n_second += mb_resampler_flush(copy, second + n_second);
	check_int(n_first, n_second);
	check_bytes(second, first, n_first * sizeof(int16_t));
	/* nothing fed, nothing comes */
	check_int(mb_resampler_flush(copy, second), 0);
}

static void
sizes_suffice_and_bad_rates_are_refused(void)
{
	static const int bad[] = { 0, -8000, 8001, 11024, 22051, 96000 };
	mb_resampler *resampler = NULL;

	for (int f = 0; f < N_RATES; f++)
	{
		for (int t = 0; t < N_RATES; t++)
		{
			size_t size = mb_resampler_size(rates[f], rates[t]);

			check(size > 0 && size <= MB_RESAMPLER_MAX_SIZE);
			if (rates[t] == 8000)
				check(size <= MB_RESAMPLER_TO_8K_SIZE);
			check_int(mb_resampler_init(&resampler, state_memory, size - 1, rates[f], rates[t]),
					  MB_ERR_SPACE);
			/* a heap block of exactly this size, watched by the sanitizer */
			void *memory = aligned_alloc(16, (size + 15) / 16 * 16);

			check_int(mb_resampler_init(&resampler, memory, size, rates[f], rates[t]), MB_OK);
			free(memory);
		}
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		check_int(mb_resampler_size(bad[i], 8000), 0);
		check_int(mb_resampler_size(8000, bad[i]), 0);
		check_int(mb_resampler_init(&resampler, state_memory, sizeof(state_memory), bad[i], 8000),
				  MB_ERR_RATE);
		check_int(mb_resampler_init(&resampler, state_memory, sizeof(state_memory), 8000, bad[i]),
				  MB_ERR_RATE);
	}
}

static void
lengths_are_exact(void)
{
	check_int(mb_resample_length(0, 48000, 8000), 0);
	check_int(mb_resample_length(1, 48000, 8000), 1);
	check_int(mb_resample_length(6, 48000, 8000), 1);
	check_int(mb_resample_length(7, 48000, 8000), 2);
	check_int(mb_resample_length(441, 44100, 8000), 80);
	check_int(mb_resample_length(442, 44100, 8000), 81);
	check_int(mb_resample_length(8000, 8000, 44100), 44100);
	check_int(mb_resample_length(1, 8000, 44100), 6);
	/* a day at 48 kHz, beyond what 32 bits hold in products */
	check_int(mb_resample_length(48000ull * 86400, 48000, 44100), 44100ll * 86400);
}

int
main(void)
{
	check_run("the pass band is flat and keeps its place in time", pass_band_is_flat_and_in_place);
	check_run("aliases are rejected by 80 dB", aliases_are_rejected);
	check_run("the result does not depend on chunking", result_does_not_depend_on_chunking);
	check_run("any code path gives the same", any_code_path_gives_the_same);
	check_run("latency is as stated", latency_is_as_stated);
	check_run("overshoot saturates", overshoot_saturates);
	check_run("constant input stays constant", constant_input_stays_constant);
	check_run("flush starts anew, and a copied state goes on", flush_starts_anew_and_copies_go_on);
	check_run("sizes suffice and bad rates are refused", sizes_suffice_and_bad_rates_are_refused);
	check_run("lengths are exact", lengths_are_exact);
	return check_done();
}
