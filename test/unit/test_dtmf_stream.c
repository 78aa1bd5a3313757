/*
 * test_dtmf_stream.c
 *	  The DTMF receiver as a stream: any portions, any code path, any sample rate give the
 *	  same digits; and its life cycle.
 */
#include "dtmf_receive.h"
#include "dtmf_signals.h"
#include "core/audio/resample.h"

/* A signal with a bit of everything: digits in noise, over hum, quiet, clipped, and speech-like buzz. */
static int16_t *
mixed_signal(size_t *n)
{
	static const signal_condition parts[] = {
		{ .on_ms = 40, .off_ms = 40, .level = -15, .snr = 8 },
		{ .on_ms = 45, .off_ms = 35, .level = -44 },
		{ .on_ms = 70, .off_ms = 60, .level = -5, .clip_db = 6, .dc = 300 },
		{ .on_ms = 28, .off_ms = 30, .level = -20, .twist = 5 },
		{ .on_ms = 200,
		  .off_ms = 25,
		  .level = 0,
		  .has_other = true,
		  .other_hz = { 50 },
		  .other_db = 0 },
		{ .on_ms = 60, .off_ms = 600, .level = -30 },
	};
	int16_t *all = NULL;

	*n = 0;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
	{
		char digits[81];
		uint64_t onsets[80];
		size_t more;
		int16_t *samples = signal_make(&parts[i], 100 + i, 40, digits, onsets, &more);

		all = realloc(all, (*n + more) * sizeof(*all));
		if (all == NULL)
			abort();
		memcpy(all + *n, samples, more * sizeof(*all));
		*n += more;
		free(samples);
	}
	return all;
}

static void
check_same(const received *got, const received *want)
{
	check_int(got->n, want->n);
	for (size_t i = 0; i < got->n && i < want->n; i++)
	{
		check_int(got->events[i].digit, want->events[i].digit);
		check_int(got->events[i].onset, want->events[i].onset);
		check_int(got->events[i].duration, want->events[i].duration);
		check_bytes(&got->events[i].level_dbm0, &want->events[i].level_dbm0, sizeof(float));
		check_bytes(&got->events[i].twist_db, &want->events[i].twist_db, sizeof(float));
	}
}

static void
any_portions_give_the_same(void)
{
	static const size_t portions[] = { 1, 2, 7, 31, 32, 33, 160, 1023, 1024, 1025, 4000 };
	size_t n;
	int16_t *samples = mixed_signal(&n);
	received whole = receive(samples, n, 8000, 0, -1);
	check_random random = { 8 };
	received r = { 0 };
	mb_dtmf_options options = { MB_DTMF_DEFAULT_FLOOR_DBM0, received_add, &r };
	static mb_dtmf dtmf;

	check(whole.n > 180);
	for (size_t i = 0; i < sizeof(portions) / sizeof(portions[0]); i++)
	{
		received pieces = receive(samples, n, 8000, portions[i], -1);

		check_same(&pieces, &whole);
		received_free(&pieces);
	}
	mb_dtmf_init(&dtmf, 8000, &options);
	for (size_t at = 0; at < n;)
	{
		size_t part = check_random_below(&random, 700);

		part = part < n - at ? part : n - at;
		mb_dtmf_feed(&dtmf, samples + at, part);
		at += part;
	}
	mb_dtmf_flush(&dtmf);
	check_same(&r, &whole);
	received_free(&r);
	received_free(&whole);
	free(samples);
}

/* What sounds like two tones and is no digit is remembered, and weighs when the next digit is judged. */
static void
any_portions_leave_the_same_company(void)
{
	static const size_t portions[] = { 8000, 1, 160, 1024 };
	float first = 0;
	received r = { 0 };
	mb_dtmf_options options = { MB_DTMF_DEFAULT_FLOOR_DBM0, received_add, &r };
	static mb_dtmf dtmf;

	for (size_t i = 0; i < sizeof(portions) / sizeof(portions[0]); i++)
	{
		size_t portion = portions[i];

		mb_dtmf_init(&dtmf, 8000, &options);
		/* so quiet that they end within a window whose energy is below the floor */
		for (int quieter = 0; quieter < 10; quieter++)
		{
			signal_condition c = { .on_ms = 25, .off_ms = 70, .level = -50 - quieter };
			char digits[21];
			uint64_t onsets[20];
			size_t n;
			int16_t *samples = signal_make(&c, 30 + (uint64_t) quieter, 20, digits, onsets, &n);

			for (size_t at = 0; at < n; at += portion)
				mb_dtmf_feed(&dtmf, samples + at, n - at < portion ? n - at : portion);
			free(samples);
		}
		first = i == 0 ? dtmf.company : first;
		check(first > 1);
		check_bytes(&dtmf.company, &first, sizeof(first));
	}
	received_free(&r);
}

static void
any_code_path_gives_the_same(void)
{
	size_t n;
	int16_t *samples = mixed_signal(&n);
	received plain = receive(samples, n, 8000, 0, DTMF_PATH_PLAIN);
	int paths = 0;

	for (int path = DTMF_PATH_SSE2; path <= DTMF_PATH_AVX2; path++)
	{
		received r;

		if (mb_dtmf_kernel((dtmf_path) path) == NULL)
			continue;
		r = receive(samples, n, 8000, 333, path);
		check_same(&r, &plain);
		received_free(&r);
		paths++;
	}
	check(plain.n > 180);
	check_note("%d paths beside plain C", paths);
	received_free(&plain);
	free(samples);
}

/* Extremes: full-scale noise and square waves, where sums are largest. */
static void
code_paths_agree_on_extremes(void)
{
	enum
	{
		N = 8000
	};
	static int16_t samples[N];
	check_random random = { 2 };

	for (int kind = 0; kind < 6; kind++)
	{
		received plain;

		for (int i = 0; i < N; i++)
			samples[i] = kind == 0	 ? (int16_t) check_random_bits(&random)
						 : kind == 1 ? (check_random_bits(&random) & 1 ? INT16_MAX : INT16_MIN)
						 : kind == 2 ? INT16_MIN
						 : kind == 3 ? (i / 3 % 2 ? INT16_MAX : INT16_MIN)
						 : kind == 4 ? (i % 5 < 2 ? INT16_MIN : INT16_MAX)
									 : (sin(SIGNAL_TAU * 770 * i / 8000) > 0) * 32767 -
										   (sin(SIGNAL_TAU * 1336 * i / 8000) > 0) * 32768;
		plain = receive(samples, N, 8000, 0, DTMF_PATH_PLAIN);
		/* only the square waves of a digit's tones might be one */
		check_range((double) plain.n, 0, kind == 5);
		for (int path = DTMF_PATH_SSE2; path <= DTMF_PATH_AVX2; path++)
		{
			int32_t bin[2][DTMF_BLOCK][16];
			float power[2][DTMF_BLOCK][8];
			int16_t band[2][DTMF_BLOCK * DTMF_HALF_HOP];
			uint32_t energy[2][DTMF_BLOCK];
			uint32_t total[2][DTMF_BLOCK];
			int8_t best[2][DTMF_BLOCK];
			const dtmf_kernel *kernels[2] = { mb_dtmf_kernel(DTMF_PATH_PLAIN),
											  mb_dtmf_kernel((dtmf_path) path) };
			received r;

			if (kernels[1] == NULL)
				continue;
			for (int k = 0; k < 2; k++)
			{
				kernels[k]->band(samples, DTMF_BLOCK, band[k], energy[k], total[k]);
				kernels[k]->bins(band[k], DTMF_BLOCK - 1, bin[k], power[k]);
			}
			check_bytes(band[1], band[0], sizeof(band[0]));
			check_bytes(energy[1], energy[0], sizeof(energy[0]));
			check_bytes(total[1], total[0], sizeof(total[0]));
			check_bytes(bin[1], bin[0], sizeof(bin[0][0]) * (DTMF_BLOCK - 1));
			check_bytes(power[1], power[0], sizeof(power[0][0]) * (DTMF_BLOCK - 1));
			for (float share = 0; share <= 1e8f; share += 5e7f)
			{
				uint32_t tonal[2];

				for (int k = 0; k < 2; k++)
					tonal[k] =
						kernels[k]->tonal(power[k] + DTMF_DISTANCE, energy[k] + DTMF_DISTANCE,
										  DTMF_BLOCK - 1 - DTMF_DISTANCE, share, best[k]);
				check_bytes(best[1], best[0], DTMF_BLOCK - 1 - DTMF_DISTANCE);
				check_int(tonal[1], tonal[0]);
			}
			/* sums that pass the sign bit, and any number of hops */
			for (int hops = 1; hops <= DTMF_BLOCK - DTMF_WINDOW; hops++)
			{
				uint32_t window[2][DTMF_BLOCK] = { { 0 } };
				uint32_t floor = energy[0][hops] * (uint32_t) hops / 4;
				uint32_t active[2];

				for (int k = 0; k < 2; k++)
					active[k] =
						kernels[k]->windows(energy[k] + DTMF_WINDOW - 1, hops, floor, window[k]);
				check_bytes(window[1], window[0], sizeof(window[0]));
				check_int(active[1], active[0]);
			}
			for (int gate = 1; gate <= 16384; gate *= 2)
				check_int(kernels[1]->loud(samples, DTMF_BLOCK, gate),
						  kernels[0]->loud(samples, DTMF_BLOCK, gate));
			r = receive(samples, N, 8000, 0, path);
			check_same(&r, &plain);
			received_free(&r);
		}
		received_free(&plain);
	}
}

/* Of tones equally strong the first one counts, on every path. */
static void
code_paths_agree_on_equal_tones(void)
{
	enum
	{
		HOPS = 64 * DTMF_BLOCK
	};
	static float power[DTMF_DISTANCE + HOPS][8];
	static uint32_t window[HOPS];
	int8_t best[HOPS];
	uint32_t tonal[HOPS / DTMF_BLOCK];
	check_random random = { 3 };

	for (int hop = 0; hop < DTMF_DISTANCE + HOPS; hop++)
		for (int k = 0; k < 8; k++)
			power[hop][k] = (float) check_random_below(&random, 3);
	for (int hop = 0; hop < HOPS; hop++)
		window[hop] = (uint32_t) check_random_below(&random, 9);
	for (int path = DTMF_PATH_PLAIN; path <= DTMF_PATH_AVX2; path++)
	{
		const dtmf_kernel *kernel = mb_dtmf_kernel((dtmf_path) path);

		if (kernel == NULL)
			continue;
		for (int hop = 0; hop < HOPS; hop += DTMF_BLOCK)
			tonal[hop / DTMF_BLOCK] =
				kernel->tonal(power + DTMF_DISTANCE + hop, window + hop, DTMF_BLOCK, 1, best + hop);
		for (int hop = 0; hop < HOPS; hop++)
		{
			const float *then = power[hop];
			const float *now = power[hop + DTMF_DISTANCE];
			int row = 3;
			int column = 3;

			for (int k = 2; k >= 0; k--)
			{
				row = now[k] + then[k] >= now[row] + then[row] ? k : row;
				column =
					now[4 + k] + then[4 + k] >= now[4 + column] + then[4 + column] ? k : column;
			}
			check_int(best[hop], now[row] + then[row] + now[4 + column] + then[4 + column] >
										 (float) window[hop]
									 ? 4 * row + column
									 : -1);
			check_int(tonal[hop / DTMF_BLOCK] >> hop % DTMF_BLOCK & 1, best[hop] >= 0);
		}
	}
}

/*
 * Digits that share a tone and follow without a pause, the first of any length: the second must
 * not be told to begin before the first has ended (fuzz_dtmf found one that began earlier).
 */
static void
digits_without_pause_do_not_overlap(void)
{
	static const char pairs[][3] = { "05", "50", "12", "21", "14", "41", "9#", "D0" };
	static int16_t samples[8000];
	int told = 0;

	for (size_t p = 0; p < sizeof(pairs) / sizeof(pairs[0]); p++)
		for (int first_ms = 15; first_ms <= 60; first_ms++)
		{
			size_t n = 0;
			received r;
			uint64_t end = 0;

			memset(samples, 0, sizeof(samples));
			for (int k = 0; k < 2; k++)
			{
				static const double hz[8] = { 697, 770, 852, 941, 1209, 1336, 1477, 1633 };
				size_t length = 8 * (size_t) (k == 0 ? first_ms : 100);
				int row, column;

				REQUIRE(mb_dtmf_tones(pairs[p][k], &row, &column) == MB_OK);
				for (size_t i = 0; i < length; i++, n++)
					samples[n] =
						(int16_t) (6000 * (sin(SIGNAL_TAU * hz[row] * (double) i / 8000) +
										   sin(SIGNAL_TAU * hz[column] * (double) i / 8000)));
			}
			r = receive(samples, sizeof(samples) / sizeof(samples[0]), 8000, 160, -1);
			for (size_t i = 0; i < r.n; i++)
			{
				check(r.events[i].onset >= end);
				check(r.events[i].duration > 0);
				end = r.events[i].onset + r.events[i].duration;
			}
			check(end <= n + 40);
			told += r.n == 2;
			/* the second is long enough in any case */
			check(r.n > 0 && r.events[r.n - 1].digit == pairs[p][1]);
			received_free(&r);
		}
	check_range(told, 100, 8 * 46);
}

/* The same line at every rate: digits at the same times. */
static void
other_rates_give_the_same_digits(void)
{
	static const int rates[] = { 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000 };
	signal_condition c = { .on_ms = 40, .off_ms = 40, .level = -15, .snr = 20 };
	char digits[201];
	uint64_t onsets[200];
	size_t n;
	int16_t *samples = signal_make(&c, 31, 100, digits, onsets, &n);

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
	{
		void *memory = malloc(mb_resampler_size(8000, rates[i]) + 16);
		void *aligned = (void *) (((uintptr_t) memory + 15) / 16 * 16);
		mb_resampler *up;
		int16_t *out;
		size_t m;
		received r, pieces;

		REQUIRE(mb_resampler_init(&up, aligned, mb_resampler_size(8000, rates[i]), 8000,
								  rates[i]) == MB_OK);
		out = malloc((mb_resampler_output_bound(up, n) + mb_resampler_output_bound(up, 0)) *
					 sizeof(*out));
		m = mb_resampler_feed(up, samples, n, out);
		m += mb_resampler_flush(up, out + m);
		r = receive(out, m, rates[i], 0, -1);
		check_string(received_digits(&r), digits);
		for (size_t s = 0; s < r.n; s++)
			check_near((double) r.events[s].onset / rates[i] * 1000, (double) onsets[s] / 8, 3);
		pieces = receive(out, m, rates[i], 97, -1);
		check_same(&pieces, &r);
		received_free(&pieces);
		received_free(&r);
		free(out);
		free(memory);
	}
	free(samples);
}

static void
bad_options_are_refused(void)
{
	static mb_dtmf dtmf;
	mb_dtmf_options good = { MB_DTMF_DEFAULT_FLOOR_DBM0, received_add, NULL };
	mb_dtmf_options low = { -70.5f, received_add, NULL };
	mb_dtmf_options high = { -9, received_add, NULL };
	mb_dtmf_options nan = { NAN, received_add, NULL };
	mb_dtmf_options none = { -40, NULL, NULL };

	check_int(mb_dtmf_init(&dtmf, 8000, &good), MB_OK);
	check_int(mb_dtmf_init(&dtmf, 11024, &good), MB_ERR_RATE);
	check_int(mb_dtmf_init(&dtmf, 0, &good), MB_ERR_RATE);
	check_int(mb_dtmf_init(&dtmf, 8000, &low), MB_ERR_RANGE);
	check_int(mb_dtmf_init(&dtmf, 8000, &high), MB_ERR_RANGE);
	check_int(mb_dtmf_init(&dtmf, 8000, &nan), MB_ERR_RANGE);
	check_int(mb_dtmf_init(&dtmf, 8000, &none), MB_ERR_RANGE);
	check_int(mb_dtmf_size(11024), 0);
	/* a receiver at 8 kHz has no resampler to carry */
	check(mb_dtmf_size(8000) <= 16 * 1024);
	for (int i = 0; i < MB_RESAMPLE_N_RATES; i++)
		check_range((double) mb_dtmf_size(mb_resample_rates[i]), (double) mb_dtmf_size(8000),
					sizeof(mb_dtmf));
	check_note("%zu bytes at 8 kHz, %zu otherwise", mb_dtmf_size(8000), mb_dtmf_size(48000));
}

static void
symbols_have_their_tones(void)
{
	int row, column;

	for (int i = 0; i < 16; i++)
	{
		check_int(mb_dtmf_tones(signal_symbols[i], &row, &column), MB_OK);
		check_int(row, i / 4);
		check_int(column, 4 + i % 4);
	}
	check_int(mb_dtmf_tones('E', &row, &column), MB_ERR_SYMBOL);
	check_int(mb_dtmf_tones('a', &row, &column), MB_ERR_SYMBOL);
	check_int(mb_dtmf_tones('\0', &row, &column), MB_ERR_SYMBOL);
}

/* A digit that the signal's end cuts off after 40 ms is told by the flush; then all begins anew. */
static void
flush_ends_the_signal(void)
{
	static mb_dtmf dtmf;
	received r = { 0 };
	mb_dtmf_options options = { MB_DTMF_DEFAULT_FLOOR_DBM0, received_add, &r };
	signal_condition c = { .level = -10 };
	check_random random = { 6 };

	mb_dtmf_init(&dtmf, 8000, &options);
	for (int round = 0; round < 3; round++)
	{
		signal_buffer b = { 0 };
		int16_t samples[480] = { 0 };

		signal_extend(&b, 160);
		signal_add_symbol(&b, &c, 5, 40, &random);
		for (size_t i = 0; i < b.n; i++)
			samples[i] = (int16_t) lrint(b.x[i]);
		mb_dtmf_feed(&dtmf, samples, b.n);
		check_int(r.n, round);
		check(mb_dtmf_in_progress(&dtmf));
		mb_dtmf_flush(&dtmf);
		check(!mb_dtmf_in_progress(&dtmf));
		check_int(r.n, round + 1);
		check_int(r.events[round].digit, '5');
		check_near((double) r.events[round].onset, 160, 12);
		signal_free(&b);
	}
	mb_dtmf_flush(&dtmf);
	check_int(r.n, 3);
	received_free(&r);
}

/* The promise of dtmf.h: told at most 60 ms after the digit's end. */
static void
digits_are_told_in_time(void)
{
	signal_condition c = { .on_ms = 60, .off_ms = 200, .level = -20 };
	char digits[101];
	uint64_t onsets[100];
	size_t n;
	int16_t *samples = signal_make(&c, 12, 50, digits, onsets, &n);
	received r = { 0 };
	mb_dtmf_options options = { MB_DTMF_DEFAULT_FLOOR_DBM0, received_add, &r };
	static mb_dtmf dtmf;
	size_t before = 0;

	mb_dtmf_init(&dtmf, 8000, &options);
	for (size_t i = 0; i < n; i += 8)
	{
		mb_dtmf_feed(&dtmf, samples + i, n - i < 8 ? n - i : 8);
		if (r.n > before)
		{
			check_range(((double) i + 8 - (double) onsets[before]) / 8 - c.on_ms, 0, 60);
			before = r.n;
		}
	}
	check_string(received_digits(&r), digits);
	received_free(&r);
	free(samples);
}

/* At 8 kHz a state may be copied: both copies go on alike. */
static void
states_may_be_copied(void)
{
	size_t n;
	int16_t *samples = mixed_signal(&n);
	received r = { 0 };
	mb_dtmf_options options = { MB_DTMF_DEFAULT_FLOOR_DBM0, received_add, &r };
	received whole = receive(samples, n, 8000, 0, -1);
	mb_dtmf *first = malloc(mb_dtmf_size(8000));
	mb_dtmf *second = malloc(mb_dtmf_size(8000));

	mb_dtmf_init(first, 8000, &options);
	mb_dtmf_feed(first, samples, n / 2 + 13);
	memcpy(second, first, mb_dtmf_size(8000));
	free(first);
	mb_dtmf_feed(second, samples + n / 2 + 13, n - n / 2 - 13);
	mb_dtmf_flush(second);
	check_same(&r, &whole);
	free(second);
	received_free(&r);
	received_free(&whole);
	free(samples);
}

int
main(void)
{
	check_run("any portions give the same events", any_portions_give_the_same);
	check_run("any portions leave the same company", any_portions_leave_the_same_company);
	check_run("any code path gives the same events", any_code_path_gives_the_same);
	check_run("digits without a pause do not overlap", digits_without_pause_do_not_overlap);
	check_run("the code paths agree on extremes", code_paths_agree_on_extremes);
	check_run("the code paths agree on equal tones", code_paths_agree_on_equal_tones);
	check_run("other rates give the same digits", other_rates_give_the_same_digits);
	check_run("bad options are refused", bad_options_are_refused);
	check_run("symbols have their tones", symbols_have_their_tones);
	check_run("flush ends the signal", flush_ends_the_signal);
	check_run("digits are told in time", digits_are_told_in_time);
	check_run("states may be copied at 8 kHz", states_may_be_copied);
	return check_done();
}
