/*
 * dtmf.c
 *	  The DTMF receiver as a stream: takes samples in any portions, brings them to
 *	  8 kHz, cuts them into hops of 4 ms and has them filtered and judged.
 *
 * Which hop is worked on, gated or skipped depends on the samples alone, never on how
 * they came.  What a digit is, is not decided here (dtmf_track.c, dtmf_judge.c).
 */
#include "core/audio/dtmf_internal.h"

#include <math.h>
#include <string.h>

/* Samples at the input's rate that go through the resampler at a time. */
#define RESAMPLE_PORTION 480
/* What they can become at 8 kHz at most, and what a flush can bring. */
#define RESAMPLE_SPACE 1024

/* Silence after the last sample that brings every filter and bridge to its end. */
#define FLUSH_HOPS 16

_Static_assert(DTMF_BLOCK <= 32, "the hops of a block are bits of a word");

/*
 * Hops that are worked on at once at least, 24 ms: for less, calls cost more than samples.  It
 * changes when a digit is told, never what.
 */
#define BATCH_HOPS 6

#define BLOCK_SAMPLES ((size_t) (DTMF_BLOCK * DTMF_HOP))

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
	if (!mb_resample_rate_known(sample_rate))
		return 0;
	return offsetof(mb_dtmf, resampler_memory) +
		   (sample_rate == 8000 ? 0 : mb_resampler_size(sample_rate, 8000));
}

/* Forgets the signal. */
static void
start(mb_dtmf *dtmf)
{
	memset(&dtmf->block, 0, sizeof(dtmf->block));
	dtmf->track.symbol = -1;
	dtmf->last_digit = '\0';
	dtmf->last_end = dtmf->last_onset = dtmf->last_duration = 0;
	dtmf->last_level = 0;
	dtmf->company = 0;
	dtmf->company_since = 0;
	dtmf->n_input = 0;
	dtmf->n_done = 0;
	dtmf->hop = 0;
	dtmf->was_loud = false;
	dtmf->was_active = 0;
}

mb_status
mb_dtmf_init(mb_dtmf *dtmf, int sample_rate, const mb_dtmf_options *options)
{
	double sum_of_squares;
	mb_status status;

	if (!mb_resample_rate_known(sample_rate))
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
	dtmf->energy_floor = (uint32_t) (sum_of_squares * DTMF_WINDOW / 8 / 16);
	dtmf->power_floor = (float) (sum_of_squares / 2 * 2 * DTMF_BIN_SCALE * DTMF_BIN_SCALE);
	dtmf->input_gate = 1;
	while (dtmf->input_gate * 2 <= sqrt(sum_of_squares / 2) / 4)
		dtmf->input_gate *= 2;

	if (sample_rate != 8000)
	{
		status = mb_resampler_init(&dtmf->resampler, &dtmf->resampler_memory,
								   mb_resampler_size(sample_rate, 8000), sample_rate, 8000);
		if (status != MB_OK)
			return status;
		if (mb_resampler_output_bound(dtmf->resampler, RESAMPLE_PORTION) > RESAMPLE_SPACE ||
			mb_resampler_output_bound(dtmf->resampler, 0) > RESAMPLE_SPACE)
			return MB_ERR_SPACE;
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

/* From hop i on, how many of n hops are as active as that one; hops are bits. */
static inline int
run_length(uint32_t active, int i, int n)
{
	uint32_t others = active >> i;

	others = (others & 1) != 0 ? ~others : others;
	n -= i;
	if (others != 0 && __builtin_ctz(others) < n)
		n = __builtin_ctz(others);
	return n;
}

/* The band of n hops of the block from first on; silence where no hop is active. */
static void
filter_band(mb_dtmf *dtmf, const dtmf_kernel *kernel, const int16_t *input, int first, int n,
			uint32_t active)
{
	dtmf_block *b = &dtmf->block;

	for (int i = 0, run; i < n; i += run)
	{
		int hop = first + i;
		int16_t *band = b->band + DTMF_BAND_HISTORY + hop * DTMF_HALF_HOP;
		uint32_t *energy = b->energy + DTMF_BIN_HISTORY + hop;
		uint32_t *total = b->total + DTMF_BIN_HISTORY + hop;

		run = run_length(active, i, n);
		if ((active >> i & 1) != 0)
			kernel->band(input + hop * DTMF_HOP, run, band, energy, total);
		else
		{
			memset(band, 0, run * DTMF_HALF_HOP * sizeof(*band));
			memset(energy, 0, run * sizeof(*energy));
			memset(total, 0, run * sizeof(*total));
		}
	}
}

/* The half windows likewise. */
static void
filter_bins(mb_dtmf *dtmf, const dtmf_kernel *kernel, int first, int n, uint32_t active)
{
	dtmf_block *b = &dtmf->block;

	for (int i = 0, run; i < n; i += run)
	{
		int hop = first + i;
		int32_t(*bin)[16] = b->bin + DTMF_BIN_HISTORY + hop;
		float(*power)[8] = b->power + DTMF_BIN_HISTORY + hop;

		run = run_length(active, i, n);
		if ((active >> i & 1) != 0)
			kernel->bins(b->band + hop * DTMF_HALF_HOP, run, bin, power);
		else
		{
			memset(bin, 0, run * sizeof(*bin));
			memset(power, 0, run * sizeof(*power));
		}
	}
}

/*
 * Filters n hops of the block from first on and hands them on.  The block's samples are at input, those before it first.
 */
static void
process(mb_dtmf *dtmf, const int16_t *input, int first, int n)
{
	dtmf_block *b = &dtmf->block;
	const dtmf_kernel *kernel = mb_dtmf_kernel(dtmf->path);
	uint32_t *windows = b->window + DTMF_BIN_HISTORY + first;
	uint64_t active;
	uint32_t loud;

	/* the band filter sees a hop and the one before it */
	loud = kernel->loud(input + DTMF_INPUT_HISTORY + first * DTMF_HOP, n, dtmf->input_gate);
	filter_band(dtmf, kernel, input, first, n, loud | loud << 1 | dtmf->was_loud);
	dtmf->was_loud = loud >> (n - 1) & 1;

	active = kernel->windows(b->energy + DTMF_BIN_HISTORY + first, n, dtmf->energy_floor, windows);
	filter_bins(dtmf, kernel, first, n, (uint32_t) active);
	/* a window sees the half window of its hop and the one DTMF_DISTANCE before */
	active = active << DTMF_DISTANCE | dtmf->was_active;
	dtmf->was_active = (uint32_t) (active >> n);
	if (active != 0 || dtmf->track.symbol >= 0)
	{
		uint32_t tonal = kernel->tonal(b->power + DTMF_BIN_HISTORY + first, windows, n,
									   DTMF_TONAL_SHARE * DTMF_POWER_OVER_ENERGY, b->best + first);

		mb_dtmf_track(dtmf, first, n, tonal);
	}
}

/* Makes room in a block, whose samples are at input, of the hops that are done, but for what the next hop looks back to. */
static void
move_up(mb_dtmf *dtmf, const int16_t *input)
{
	dtmf_block *b = &dtmf->block;
	int done = dtmf->n_done;
	int left = dtmf->n_input - done * DTMF_HOP;

	memmove(b->input, input + done * DTMF_HOP, (DTMF_INPUT_HISTORY + left) * sizeof(*b->input));
	memmove(b->band, b->band + done * DTMF_HALF_HOP, DTMF_BAND_HISTORY * sizeof(*b->band));
	memmove(b->window, b->window + done, DTMF_BIN_HISTORY * sizeof(*b->window));
	memmove(b->energy, b->energy + done, DTMF_BIN_HISTORY * sizeof(*b->energy));
	memmove(b->total, b->total + done, DTMF_BIN_HISTORY * sizeof(*b->total));
	memmove(b->bin, b->bin + done, DTMF_BIN_HISTORY * sizeof(*b->bin));
	memmove(b->power, b->power + done, DTMF_BIN_HISTORY * sizeof(*b->power));
	dtmf->n_input = left;
	dtmf->n_done = 0;
	dtmf->hop += done;
}

/* Works on the hops that are complete. */
static void
process_ready(mb_dtmf *dtmf, int ready)
{
	if (ready > dtmf->n_done)
		process(dtmf, dtmf->block.input, dtmf->n_done, ready - dtmf->n_done);
	dtmf->n_done = ready;
}

/*
 * Takes samples at 8 kHz: whole blocks where they are, once those before them are there too, the others by the buffer.  Portions of one
 * size are worked on in batches of one size.
 */
static void
feed_8k(mb_dtmf *dtmf, const int16_t *samples, size_t n)
{
	const int16_t *begin = samples;

	while (n > 0)
	{
		size_t take;
		int ready;

		if (n > BLOCK_SAMPLES - dtmf->n_input && dtmf->n_done > 0)
			move_up(dtmf, dtmf->block.input);
		if (dtmf->n_input == 0 && n >= BLOCK_SAMPLES && samples - begin >= DTMF_INPUT_HISTORY)
		{
			process(dtmf, samples - DTMF_INPUT_HISTORY, 0, DTMF_BLOCK);
			dtmf->n_input = BLOCK_SAMPLES;
			dtmf->n_done = DTMF_BLOCK;
			move_up(dtmf, samples - DTMF_INPUT_HISTORY);
			samples += BLOCK_SAMPLES;
			n -= BLOCK_SAMPLES;
			continue;
		}
		take = n < BLOCK_SAMPLES - dtmf->n_input ? n : BLOCK_SAMPLES - dtmf->n_input;
		memcpy(dtmf->block.input + DTMF_INPUT_HISTORY + dtmf->n_input, samples,
			   take * sizeof(*samples));
		dtmf->n_input += (int) take;
		samples += take;
		n -= take;
		ready = dtmf->n_input / DTMF_HOP;
		if (ready - dtmf->n_done >= BATCH_HOPS)
			process_ready(dtmf, ready);
	}
}

static void
feed_other_rate(mb_dtmf *dtmf, const int16_t *samples, size_t n)
{
	int16_t at_8k[RESAMPLE_SPACE];

	while (n > 0)
	{
		size_t take = n < RESAMPLE_PORTION ? n : RESAMPLE_PORTION;

		feed_8k(dtmf, at_8k, mb_resampler_feed(dtmf->resampler, samples, take, at_8k));
		samples += take;
		n -= take;
	}
}

void
mb_dtmf_feed(mb_dtmf *dtmf, const int16_t *samples, size_t n)
{
	if (dtmf->resampler == NULL)
		feed_8k(dtmf, samples, n);
	else
		feed_other_rate(dtmf, samples, n);
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
	process_ready(dtmf, dtmf->n_input / DTMF_HOP);
	mb_dtmf_track_end(dtmf);
	start(dtmf);
}

bool
mb_dtmf_in_progress(const mb_dtmf *dtmf)
{
	return dtmf->track.symbol >= 0;
}
