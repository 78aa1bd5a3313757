/*
 * tone.c
 *	  Tone generation: DTMF and the tones of call progress.
 *
 * Both are sequences of bursts, a pair of sines and the silence after it.  Nothing is
 * encoded or resampled here.
 */
#include "core/audio/tone.h"

#include <math.h>
#include <string.h>

#include "core/audio/dtmf.h"

#define TURN 6.283185307179586
/* Ramp of the tones of call progress. */
#define CALL_TONE_RAMP_MS 2
/* A continuous tone is one burst that does not end. */
#define ENDLESS UINT64_MAX

static const int row_hz[4] = MB_DTMF_ROW_HZ;
static const int column_hz[4] = MB_DTMF_COLUMN_HZ;

static const struct
{
	int hz[2];
	int on_ms, off_ms; /* off 0: continuous */
} call_tones[] = {
	[MB_TONE_DIAL] = { { 350, 440 }, 0, 0 },
	[MB_TONE_RINGING] = { { 440, 480 }, 2000, 4000 },
	[MB_TONE_BUSY] = { { 480, 620 }, 500, 500 },
	[MB_TONE_CONGESTION] = { { 480, 620 }, 250, 250 },
	[MB_TONE_DIAL_425] = { { 425, 0 }, 0, 0 },
	[MB_TONE_RINGING_425] = { { 425, 0 }, 1000, 4000 },
	[MB_TONE_BUSY_425] = { { 425, 0 }, 500, 500 },
	[MB_TONE_CONGESTION_425] = { { 425, 0 }, 250, 250 },
	[MB_TONE_FAX_CALLING] = { { 1100, 0 }, 500, 3000 },
};

#define N_CALL_TONES (sizeof(call_tones) / sizeof(call_tones[0]))

/* The sample at which a millisecond of the signal begins. */
static uint64_t
sample_at(uint64_t ms, int sample_rate)
{
	return ms / 1000 * (uint64_t) sample_rate + ms % 1000 * (uint64_t) sample_rate / 1000;
}

/* Turns per sample as a fraction of 2^64, rounded; hz is less than the rate. */
static uint64_t
step_of(int hz, int sample_rate)
{
	/* 2^64 * hz / rate without 128 bits: long division in two steps of 32 bits */
	uint64_t high = ((uint64_t) hz << 32) / (uint64_t) sample_rate;
	uint64_t rest = ((uint64_t) hz << 32) % (uint64_t) sample_rate;

	return (high << 32) + ((rest << 32) + (uint64_t) sample_rate / 2) / (uint64_t) sample_rate;
}

static bool
level_in_range(double level_dbm0)
{
	/* written so that a NaN fails */
	return level_dbm0 >= MB_TONE_MIN_LEVEL_DBM0 && level_dbm0 <= MB_TONE_MAX_LEVEL_DBM0;
}

/* The part of a burst's amplitude that sounds i samples after its begin. */
static double
envelope(const mb_tone_burst *burst, uint64_t i)
{
	uint64_t left = burst->end_on - burst->begin - 1 - i;
	uint64_t nearer = i < left ? i : left;

	if (nearer >= burst->ramp)
		return 1;
	return 0.5 - 0.5 * cos(TURN / 2 * ((double) nearer + 0.5) / (double) burst->ramp);
}

/* Samples position to position + n - 1 of the signal, all within the burst. */
static void
render(const mb_tone_burst *burst, uint64_t position, int16_t *out, size_t n)
{
	for (size_t k = 0; k < n; k++)
	{
		uint64_t i = position + k - burst->begin;
		double sum = 0;

		if (position + k >= burst->end_on)
		{
			memset(out + k, 0, (n - k) * sizeof(*out));
			return;
		}
		for (int tone = 0; tone < burst->n_tones; tone++)
		{
			/* the turns that are whole fall out of the 64 bits */
			int64_t phase = (int64_t) (burst->step[tone] * i);

			sum += burst->peak[tone] * sin((double) phase * (TURN / 18446744073709551616.0));
		}
		/* levels up to 0 dBm0 stay within 16 bits */
		out[k] = (int16_t) lrint(sum * envelope(burst, i));
	}
}

/* Fills in the tones of a burst: those of hz that are not 0. */
static void
set_tones(mb_tone_burst *burst, const int *hz, const double *peak, int sample_rate)
{
	burst->n_tones = 0;
	for (int i = 0; i < 2; i++)
	{
		if (hz[i] == 0)
			continue;
		burst->step[burst->n_tones] = step_of(hz[i], sample_rate);
		burst->peak[burst->n_tones++] = peak[i];
	}
}

static bool
is_pause(char symbol)
{
	return symbol == MB_TONE_SHORT_PAUSE || symbol == MB_TONE_LONG_PAUSE;
}

/* Milliseconds that a symbol sounds, and those of the silence after it. */
static void
durations(const mb_tone_dtmf_options *options, char symbol, uint64_t *on_ms, uint64_t *off_ms)
{
	*on_ms = is_pause(symbol) ? 0 : (uint64_t) options->on_ms;
	*off_ms = symbol == MB_TONE_SHORT_PAUSE	 ? MB_TONE_SHORT_PAUSE_MS
			  : symbol == MB_TONE_LONG_PAUSE ? MB_TONE_LONG_PAUSE_MS
											 : (uint64_t) options->off_ms;
}

mb_status
mb_tone_dtmf_samples(const char *digits, size_t n_digits, const mb_tone_dtmf_options *options,
					 int sample_rate, uint64_t *n_samples, size_t *position)
{
	uint64_t ms = 0;

	if (!mb_rate_supported(sample_rate))
		return MB_ERR_RATE;
	if (!level_in_range(options->level_dbm0) ||
		!(fabs(options->twist_db) <= MB_TONE_MAX_TWIST_DB) || options->on_ms < MB_TONE_MIN_ON_MS ||
		options->on_ms > MB_TONE_MAX_MS || options->off_ms < MB_TONE_MIN_OFF_MS ||
		options->off_ms > MB_TONE_MAX_MS || options->ramp_ms < 0 ||
		options->ramp_ms > MB_TONE_MAX_RAMP_MS || 2 * options->ramp_ms > options->on_ms)
		return MB_ERR_RANGE;
	for (size_t i = 0; i < n_digits; i++)
	{
		uint64_t on_ms, off_ms;
		int row, column;

		if (!is_pause(digits[i]) && mb_dtmf_tones(digits[i], &row, &column) != MB_OK)
		{
			if (position != NULL)
				*position = i;
			return MB_ERR_SYMBOL;
		}
		durations(options, digits[i], &on_ms, &off_ms);
		ms += on_ms + off_ms;
	}
	*n_samples = sample_at(ms, sample_rate);
	return MB_OK;
}

mb_status
mb_tone_dtmf_init(mb_tone_dtmf *tone, const char *digits, size_t n_digits,
				  const mb_tone_dtmf_options *options, int sample_rate)
{
	uint64_t n_samples;
	mb_status status =
		mb_tone_dtmf_samples(digits, n_digits, options, sample_rate, &n_samples, NULL);

	if (status != MB_OK)
		return status;
	memset(tone, 0, sizeof(*tone));
	tone->options = *options;
	tone->digits = digits;
	tone->n_digits = n_digits;
	tone->sample_rate = sample_rate;
	return MB_OK;
}

/* Goes on to the next symbol. */
static void
next_symbol(mb_tone_dtmf *tone)
{
	mb_tone_burst *burst = &tone->burst;
	char symbol = tone->digits[tone->next++];
	double ratio = pow(10, tone->options.twist_db / 10);
	double total = MB_DBM0_PEAK * pow(10, tone->options.level_dbm0 / 20);
	double peak[2] = { total * sqrt(ratio / (1 + ratio)), total * sqrt(1 / (1 + ratio)) };
	int hz[2] = { 0, 0 };
	uint64_t on_ms, off_ms;
	int row, column;

	if (mb_dtmf_tones(symbol, &row, &column) == MB_OK)
	{
		hz[0] = row_hz[row];
		hz[1] = column_hz[column - 4];
	}
	set_tones(burst, hz, peak, tone->sample_rate);
	durations(&tone->options, symbol, &on_ms, &off_ms);
	burst->begin = burst->end;
	burst->end_on = sample_at(tone->elapsed_ms + on_ms, tone->sample_rate);
	tone->elapsed_ms += on_ms + off_ms;
	burst->end = sample_at(tone->elapsed_ms, tone->sample_rate);
	burst->ramp = sample_at((uint64_t) tone->options.ramp_ms, tone->sample_rate);
}

size_t
mb_tone_dtmf_read(mb_tone_dtmf *tone, int16_t *out, size_t n)
{
	size_t done = 0;

	while (done < n)
	{
		uint64_t left = tone->burst.end - tone->position;
		size_t part = left < n - done ? (size_t) left : n - done;

		render(&tone->burst, tone->position, out + done, part);
		tone->position += part;
		done += part;
		if (tone->position < tone->burst.end)
			break;
		if (tone->next == tone->n_digits)
			break;
		next_symbol(tone);
	}
	return done;
}

int
mb_tone_cycle_ms(mb_call_tone kind)
{
	if ((size_t) kind >= N_CALL_TONES)
		return 0;
	return call_tones[kind].on_ms + call_tones[kind].off_ms;
}

mb_status
mb_tone_init(mb_tone *tone, mb_call_tone kind, double level_dbm0, int sample_rate)
{
	double peak[2];

	if (!mb_rate_supported(sample_rate))
		return MB_ERR_RATE;
	if (!level_in_range(level_dbm0) || (size_t) kind >= N_CALL_TONES)
		return MB_ERR_RANGE;
	memset(tone, 0, sizeof(*tone));
	tone->kind = kind;
	tone->sample_rate = sample_rate;
	peak[0] = MB_DBM0_PEAK * pow(10, level_dbm0 / 20);
	if (call_tones[kind].hz[1] != 0)
		peak[0] /= sqrt(2);
	peak[1] = peak[0];
	set_tones(&tone->burst, call_tones[kind].hz, peak, sample_rate);
	tone->burst.ramp = sample_at(CALL_TONE_RAMP_MS, sample_rate);
	if (mb_tone_cycle_ms(kind) == 0)
		tone->burst.end_on = tone->burst.end = ENDLESS;
	return MB_OK;
}

void
mb_tone_read(mb_tone *tone, int16_t *out, size_t n)
{
	mb_tone_burst *burst = &tone->burst;

	while (n > 0)
	{
		uint64_t left = burst->end - tone->position;
		size_t part = left < n ? (size_t) left : n;

		render(burst, tone->position, out, part);
		tone->position += part;
		out += part;
		n -= part;
		if (tone->position == burst->end)
		{
			burst->begin = burst->end;
			burst->end_on = sample_at(tone->elapsed_ms + (uint64_t) call_tones[tone->kind].on_ms,
									  tone->sample_rate);
			tone->elapsed_ms += (uint64_t) mb_tone_cycle_ms(tone->kind);
			burst->end = sample_at(tone->elapsed_ms, tone->sample_rate);
		}
	}
}
