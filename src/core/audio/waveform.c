/*
 * waveform.c
 *	  Gathers the envelope of a recording, column by column: see waveform.h.
 *
 * Also says whether what a picture shows is in order; waveform_svg.c draws it.
 */
#include "core/audio/waveform.h"

#include <math.h>
#include <string.h>

/* Symbols as in ITU-T Q.23; dtmf.h has their order, which does not matter here. */
#define SYMBOLS "0123456789ABCD*#"

size_t
mb_waveform_columns(int width, uint64_t total)
{
	uint64_t columns;

	if (width < MB_WAVEFORM_MIN_WIDTH || width > MB_WAVEFORM_MAX_WIDTH)
		return 0;
	columns = (uint64_t) (width - MB_WAVEFORM_LEFT_MARGIN - MB_WAVEFORM_RIGHT_MARGIN);
	return (size_t) (total < columns ? total : columns);
}

mb_status
mb_waveform_init(mb_waveform *waveform, mb_waveform_column *columns, size_t n_columns,
				 uint64_t total)
{
	if (total == 0 || n_columns == 0)
		return MB_ERR_EMPTY;
	*waveform = (mb_waveform){ .total = total, .n_columns = n_columns, .columns = columns };
	mb_level_init(&waveform->level);
	for (size_t i = 0; i < n_columns; i++)
		columns[i] = (mb_waveform_column){ 0 };
	return MB_OK;
}

/* First sample of a column; the product does not overflow for any signal that fits a memory. */
static uint64_t
column_begin(const mb_waveform *waveform, size_t column)
{
	uint64_t n = waveform->n_columns;

	return waveform->total / n * column + (waveform->total % n * column + n - 1) / n;
}

mb_status
mb_waveform_feed(mb_waveform *waveform, const int16_t *samples, size_t n)
{
	size_t column;

	if (n > waveform->total - waveform->position)
		return MB_ERR_RANGE;
	mb_level_feed(&waveform->level, samples, n);

	/* near the right column; the loop below corrects the rounding */
	column = (size_t) ((double) waveform->position / (double) waveform->total *
					   (double) waveform->n_columns);
	while (column > 0 && column_begin(waveform, column) > waveform->position)
		column--;
	while (n > 0)
	{
		mb_waveform_column *c;
		uint64_t end;
		size_t part;
		double squares = 0;

		while (column + 1 < waveform->n_columns &&
			   column_begin(waveform, column + 1) <= waveform->position)
			column++;
		c = &waveform->columns[column];
		end =
			column + 1 < waveform->n_columns ? column_begin(waveform, column + 1) : waveform->total;
		part = end - waveform->position < n ? (size_t) (end - waveform->position) : n;
		if (c->n == 0)
			c->minimum = c->maximum = samples[0];
		for (size_t i = 0; i < part; i++)
		{
			if (samples[i] < c->minimum)
				c->minimum = samples[i];
			if (samples[i] > c->maximum)
				c->maximum = samples[i];
			squares += (double) samples[i] * samples[i];
		}
		c->sum_of_squares += squares;
		c->n += part;
		waveform->position += part;
		samples += part;
		n -= part;
	}
	return MB_OK;
}

mb_status
mb_waveform_skip(mb_waveform *waveform, uint64_t n)
{
	if (n > waveform->total - waveform->position)
		return MB_ERR_RANGE;
	waveform->position += n;
	return MB_OK;
}

/* One ms is forgiven, because detectors round. */
static bool
span_is_valid(double start, double end, double seconds)
{
	return start >= 0 && start <= end && end <= seconds + 0.001;
}

static bool
spans_are_valid(const mb_waveform_span *spans, size_t n, double seconds)
{
	for (size_t i = 0; i < n; i++)
	{
		if (!span_is_valid(spans[i].start, spans[i].end, seconds) ||
			(i > 0 && spans[i].start < spans[i - 1].start))
			return false;
	}
	return true;
}

static mb_status
check_lane(const mb_waveform_lane *lane)
{
	double seconds = (double) lane->waveform->total / lane->sample_rate;

	if (!spans_are_valid(lane->speech, lane->n_speech, seconds) ||
		!spans_are_valid(lane->lost, lane->n_lost, seconds))
		return MB_ERR_RANGE;
	for (size_t i = 0; i < lane->n_digits; i++)
	{
		const mb_waveform_digit *digit = &lane->digits[i];

		if (!span_is_valid(digit->start, digit->end, seconds) ||
			(i > 0 && digit->start < digit[-1].start))
			return MB_ERR_RANGE;
		if (digit->symbol == '\0' || strchr(SYMBOLS, digit->symbol) == NULL)
			return MB_ERR_SYMBOL;
	}
	for (size_t i = 0; i < lane->n_words; i++)
	{
		const mb_waveform_word *word = &lane->words[i];

		if (!span_is_valid(word->start, word->end, seconds) ||
			(i > 0 && word->start < word[-1].start))
			return MB_ERR_RANGE;
	}
	for (size_t i = 0; i < lane->n_turns; i++)
	{
		const mb_waveform_turn *turn = &lane->turns[i];

		if (!span_is_valid(turn->start, turn->end, seconds) ||
			(i > 0 && turn->start < turn[-1].start))
			return MB_ERR_RANGE;
	}
	return MB_OK;
}

mb_status
mb_waveform_check(const mb_waveform_picture *picture)
{
	double seconds = 0;

	if (picture->width < MB_WAVEFORM_MIN_WIDTH || picture->width > MB_WAVEFORM_MAX_WIDTH ||
		picture->height < MB_WAVEFORM_MIN_HEIGHT || picture->height > MB_WAVEFORM_MAX_HEIGHT ||
		picture->n_lanes < 1 || picture->n_lanes > MB_WAVEFORM_MAX_LANES)
		return MB_ERR_RANGE;
	for (size_t i = 0; i < picture->n_lanes; i++)
	{
		const mb_waveform_lane *lane = &picture->lanes[i];
		mb_status status;

		if (lane->sample_rate < 1)
			return MB_ERR_RATE;
		if (i == 0)
			seconds = (double) lane->waveform->total / lane->sample_rate;
		if (fabs((double) lane->waveform->total / lane->sample_rate - seconds) > 0.001)
			return MB_ERR_RANGE;
		status = check_lane(lane);
		if (status != MB_OK)
			return status;
	}
	return picture->height < mb_waveform_least_height(picture) ? MB_ERR_RANGE : MB_OK;
}
