/*
 * timing.c
 *	  Mends the times of pieces of speech; see timing.h.
 */
#include "core/text/timing.h"

#include <math.h>

#define NONE ((size_t) -1)

/* A time within the slack of the recording as one within it; NaN when it is none. */
static double
within(double time, double from, double to)
{
	if (!isfinite(time) || time < from - MB_TIMING_SLACK || time > to + MB_TIMING_SLACK)
		return NAN;
	return fmin(fmax(time, from), to);
}

/*
 * Leaves a start to the largest number of pieces whose starts do not run backwards.  While it works, "tail" of
 * the i-th piece belongs to the runs of i + 1 pieces: it is the piece that ends the one with the least
 * last start; "link" of a piece is the one before it in its run.
 */
static void
keep_what_runs_forwards(mb_timing *pieces, size_t n)
{
	size_t longest = 0;
	size_t at = NONE;

	for (size_t i = 0; i < n; i++)
	{
		size_t low = 0;
		size_t high = longest;

		if (isnan(pieces[i].start))
			continue;
		while (low < high)
		{
			size_t middle = low + (high - low) / 2;

			if (pieces[pieces[middle].tail].start <= pieces[i].start)
				low = middle + 1;
			else
				high = middle;
		}
		pieces[i].link = low > 0 ? pieces[low - 1].tail : NONE;
		pieces[low].tail = i;
		if (low == longest)
			longest++;
	}
	if (longest > 0)
		at = pieces[longest - 1].tail;
	for (size_t i = n; i-- > 0;)
	{
		if (i == at)
			at = pieces[i].link;
		else
			pieces[i].start = NAN;
	}
}

/* Spreads pieces without a start over the time that those around them leave. */
static void
spread(mb_timing *pieces, size_t n, double from, double to)
{
	size_t next;

	for (size_t i = 0; i < n; i = next)
	{
		double begin = from;
		double end = to;
		size_t shares;
		size_t first = i;

		next = i + 1;
		if (!isnan(pieces[i].start))
			continue;
		while (next < n && isnan(pieces[next].start))
			next++;
		if (next < n)
			end = pieces[next].start;
		shares = next - i;
		if (i > 0 && !isnan(pieces[i - 1].end) && pieces[i - 1].end >= pieces[i - 1].start)
			begin = fmin(pieces[i - 1].end, end);
		else if (i > 0)
		{
			/* which then has a share as well */
			begin = pieces[i - 1].start;
			shares++;
			first--;
		}
		for (size_t k = i; k < next; k++)
			pieces[k].start = begin + (end - begin) * (double) (k - first) / (double) shares;
	}
}

/* Gives every piece an end, and cuts it where its speaker goes on. */
static void
end_pieces(mb_timing *pieces, size_t n, double to)
{
	for (size_t i = 0; i < n; i++)
		pieces[i].next = NAN; /* where the speaker of that number begins next */
	for (size_t i = n; i-- > 0;)
	{
		mb_timing *piece = &pieces[i];
		double *next = &pieces[piece->speaker].next;

		if (isnan(piece->end) || piece->end < piece->start)
			piece->end = i + 1 < n ? pieces[i + 1].start : to;
		if (piece->end > *next)
			piece->end = *next;
		*next = piece->start;
	}
}

void
mb_timing_mend(mb_timing *pieces, size_t n, double from, double to)
{
	for (size_t i = 0; i < n; i++)
	{
		pieces[i].start = within(pieces[i].start, from, to);
		pieces[i].end = isfinite(pieces[i].end) ? fmin(pieces[i].end, to) : NAN;
	}
	keep_what_runs_forwards(pieces, n);
	spread(pieces, n, from, to);
	end_pieces(pieces, n, to);
}
