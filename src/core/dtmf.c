/*
 * dtmf.c
 *	  The DTMF receiver as a stream: takes samples in any portions, brings them to
 *	  8 kHz, cuts them into hops of 2 ms and has them filtered and judged.
 *
 * Which hop is worked on, gated or skipped depends on the samples alone, never on how
 * they came.  What a digit is, is not decided here (dtmf_track.c, dtmf_judge.c).
 */
#include "dtmf_internal.h"

#include <math.h>
#include <string.h>

/* Samples at the input's rate that go through the resampler at a time. */
#define RESAMPLE_PORTION 480
/* What they can become at 8 kHz at most, and what a flush can bring. */
#define RESAMPLE_SPACE 1024

/* Silence after the last sample that brings every filter and bridge to its end. */
#define FLUSH_HOPS 32

/* Hops of input that the band filter sees. */
#define BAND_HOPS 4

mb_status
mb_dtmf_tones(char symbol, int *row, int *column)
{
	const char *found = symbol != '\0' ? strchr(MB_DTMF_SYMBOLS, symbol) : NULL;

	if (found == NULL)
		return MB_ERR_SYMBOL;
	*row = (int) (found - MB_DTMF_SYMBOLS) / 4;
	*column = 4 + (int) (found - MB_DTMF_SYMBOLS) % 4;
	return MB_OK;
}

size_t
mb_dtmf_size(int sample_rate)
{
	if (!mb_rate_supported(sample_rate))
		return 0;
	return sample_rate == 8000 ? offsetof(mb_dtmf, resampler_memory) : sizeof(mb_dtmf);
}

/* Forgets the signal. */
static void
start(mb_dtmf *dtmf)
{
	memset(&dtmf->block, 0, sizeof(dtmf->block));
	dtmf->track.symbol = -1;
	dtmf->n_input = 0;
	dtmf->hop = 0;
	dtmf->quiet = BAND_HOPS;
}

mb_status
mb_dtmf_init(mb_dtmf *dtmf, int sample_rate, const mb_dtmf_options *options)
{
	double sum_of_squares;
	mb_status status;

	if (!mb_rate_supported(sample_rate))
		return MB_ERR_RATE;
	/* written so that a NaN fails */
	if (!(options->floor_dbm0 >= -70 && options->floor_dbm0 <= -10) || options->on_digit == NULL)
		return MB_ERR_RANGE;

	memset(dtmf, 0, offsetof(mb_dtmf, resampler_memory));
	dtmf->sample_rate = sample_rate;
	dtmf->path = mb_dtmf_best_path();
	dtmf->floor_dbm0 = options->floor_dbm0;
	dtmf->on_digit = options->on_digit;
	dtmf->arg = options->arg;

	/* both tones' squared amplitudes at the floor */
	sum_of_squares = MB_DBM0_PEAK * MB_DBM0_PEAK * pow(10, options->floor_dbm0 / 10);
	/*
	 * The filters run only where the band holds a sixteenth of that over a window, and
	 * only around samples that reach a quarter of the amplitude: in any 8 ms of a
	 * digit some sample does.
	 */
	dtmf->energy_floor = (uint32_t) (sum_of_squares * 7 / 8 / 16);
	dtmf->power_floor =
		(float) (sum_of_squares / 2 * 2 * DTMF_BIN_SCALE * DTMF_BIN_SCALE);
	dtmf->input_gate = 1;
	while (dtmf->input_gate * 2 <= sqrt(sum_of_squares / 2) / 4)
		dtmf->input_gate *= 2;

	if (sample_rate != 8000)
	{
		status = mb_resampler_init(&dtmf->resampler, &dtmf->resampler_memory,
								   sizeof(dtmf->resampler_memory), sample_rate, 8000);
		if (status != MB_OK)
			return status;
	}
	start(dtmf);
	return MB_OK;
}

bool
mb_dtmf_use_path(mb_dtmf *dtmf, dtmf_path path)
{
	if (mb_dtmf_kernel(path) == NULL)
		return false;
	dtmf->path = path;
	return true;
}

/* Some sample of the hop reaches the gate, a power of two. */
static inline bool
is_loud(const int16_t *x, int gate)
{
	uint64_t bits = 0;
	uint64_t four[4];
	const uint64_t mask = 0x0001000100010001u * (uint64_t) (uint16_t) -gate;

	/* a sample below the gate has only copies of its sign above the gate's bit */
	memcpy(four, x, sizeof(four));
	for (int i = 0; i < 4; i++)
	{
		uint64_t sign = (four[i] >> 15 & 0x0001000100010001u) * 0xFFFF;

		bits |= (four[i] ^ sign) & mask;
	}
	return bits != 0;
}

/*
 * Filters the hops in block.input and hands them on.
 */
static void
process(mb_dtmf *dtmf, int hops)
{
	dtmf_block *b = &dtmf->block;
	const dtmf_kernel *kernel = mb_dtmf_kernel(dtmf->path);
	bool active[DTMF_BLOCK];
	bool any = false;
	uint32_t window = 0;

	for (int i = 0; i < hops; i++)
	{
		if (is_loud(b->input + DTMF_INPUT_HISTORY + i * DTMF_HOP, dtmf->input_gate))
			dtmf->quiet = 0;
		else
			dtmf->quiet++;
		active[i] = dtmf->quiet < BAND_HOPS;
	}
	for (int i = 0, end; i < hops; i = end)
	{
		int16_t *band = b->band + DTMF_BAND_HISTORY + i * DTMF_HALF_HOP;
		uint32_t *energy = b->energy + DTMF_BIN_HISTORY + i;
		uint32_t *total = b->total + DTMF_BIN_HISTORY + i;

		for (end = i + 1; end < hops && active[end] == active[i]; end++)
			;
		if (active[i])
			kernel->band(b->input + i * DTMF_HOP, end - i, band, energy, total);
		else
		{
			memset(band, 0, (end - i) * DTMF_HALF_HOP * sizeof(*band));
			memset(energy, 0, (end - i) * sizeof(*energy));
			memset(total, 0, (end - i) * sizeof(*total));
		}
	}
	for (int k = 1; k < DTMF_WINDOW; k++)
		window += b->energy[DTMF_BIN_HISTORY - k];
	for (int i = 0; i < hops; i++)
	{
		/* the sum over the window slides; 32 bits hold seven hops of at most 2^29 each */
		window += b->energy[DTMF_BIN_HISTORY + i];
		b->window[i] = window;
		window -= b->energy[DTMF_BIN_HISTORY + i - DTMF_WINDOW + 1];
		active[i] = b->window[i] >= dtmf->energy_floor;
		any |= active[i];
	}
	for (int i = 0, end; i < hops; i = end)
	{
		int32_t(*bin)[16] = b->bin + DTMF_BIN_HISTORY + i;
		float(*power)[8] = b->power + DTMF_BIN_HISTORY + i;

		for (end = i + 1; end < hops && active[end] == active[i]; end++)
			;
		if (active[i])
			kernel->bins(b->band + i * DTMF_HALF_HOP, end - i, bin, power);
		else
		{
			memset(bin, 0, (end - i) * sizeof(*bin));
			memset(power, 0, (end - i) * sizeof(*power));
		}
	}

	if (any || dtmf->track.symbol >= 0)
		mb_dtmf_track(dtmf, DTMF_BIN_HISTORY, hops);

	memmove(b->input, b->input + hops * DTMF_HOP,
			(DTMF_INPUT_HISTORY + dtmf->n_input - hops * DTMF_HOP) * sizeof(*b->input));
	memmove(b->band, b->band + hops * DTMF_HALF_HOP, DTMF_BAND_HISTORY * sizeof(*b->band));
	memmove(b->energy, b->energy + hops, DTMF_BIN_HISTORY * sizeof(*b->energy));
	memmove(b->total, b->total + hops, DTMF_BIN_HISTORY * sizeof(*b->total));
	memmove(b->bin, b->bin + hops, DTMF_BIN_HISTORY * sizeof(*b->bin));
	memmove(b->power, b->power + hops, DTMF_BIN_HISTORY * sizeof(*b->power));
	dtmf->n_input -= hops * DTMF_HOP;
	dtmf->hop += hops;
}

/* Takes samples at 8 kHz. */
static void
feed_8k(mb_dtmf *dtmf, const int16_t *samples, size_t n)
{
	while (n > 0)
	{
		size_t space = (size_t) (DTMF_BLOCK * DTMF_HOP - dtmf->n_input);
		size_t take = n < space ? n : space;

		memcpy(dtmf->block.input + DTMF_INPUT_HISTORY + dtmf->n_input, samples,
			   take * sizeof(*samples));
		dtmf->n_input += (int) take;
		samples += take;
		n -= take;
		if (dtmf->n_input >= DTMF_HOP)
			process(dtmf, dtmf->n_input / DTMF_HOP);
	}
}

void
mb_dtmf_feed(mb_dtmf *dtmf, const int16_t *samples, size_t n)
{
	int16_t at_8k[RESAMPLE_SPACE];

	if (dtmf->resampler == NULL)
	{
		feed_8k(dtmf, samples, n);
		return;
	}
	while (n > 0)
	{
		size_t take = n < RESAMPLE_PORTION ? n : RESAMPLE_PORTION;

		feed_8k(dtmf, at_8k, mb_resampler_feed(dtmf->resampler, samples, take, at_8k));
		samples += take;
		n -= take;
	}
}

void
mb_dtmf_flush(mb_dtmf *dtmf)
{
	static const int16_t silence[FLUSH_HOPS * DTMF_HOP];

	if (dtmf->resampler != NULL)
	{
		int16_t at_8k[RESAMPLE_SPACE];

		feed_8k(dtmf, at_8k, mb_resampler_flush(dtmf->resampler, at_8k));
	}
	feed_8k(dtmf, silence, sizeof(silence) / sizeof(silence[0]));
	mb_dtmf_track_end(dtmf);
	start(dtmf);
}

bool
mb_dtmf_in_progress(const mb_dtmf *dtmf)
{
	return dtmf->track.symbol >= 0;
}
