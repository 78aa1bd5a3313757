/*
 * timing.h
 *	  Times that a speech engine gives to what was said, made into times that can be relied
 *	  on: within the recording, in order, each with an end that is not before its start.
 *
 * What an engine says first was said first: the order of the pieces is never changed.
 */
#ifndef MB_TIMING_H
#define MB_TIMING_H

#include <stddef.h>

/* How far, in seconds, a time may lie outside of the recording and be taken for its edge. */
#define MB_TIMING_SLACK 1.0

/* A piece of speech: a segment, or a word in one. */
typedef struct mb_timing
{
	double start;	/* seconds; NaN: not known */
	double end;		/* the same */
	size_t speaker; /* one number a speaker, below the number of pieces */

	/* for mb_timing_mend() alone */
	size_t link;
	size_t tail;
	double next;
} mb_timing;

/*
 * Mends the times of n pieces of a recording, or a part of it, from "from" to "to" seconds:
 *
 * - A start is trusted when it is finite and lies in the recording (MB_TIMING_SLACK outside of it
 *   is taken for the edge) and is among the largest number of starts that never run backwards.
 * - Pieces without a trusted start are spread evenly between the end of the piece before (its start,
 *   where that end is not known) and the next trusted start.
 * - An end that is not finite, or lies before its start, becomes the start of the next piece, of the
 *   last one "to"; an end behind "to" becomes "to".
 * - A speaker does not speak over himself: an end behind the start of his next piece becomes that
 *   start.  Pieces of different speakers may overlap.
 *
 * Afterwards from <= start <= end <= to, and no start is less than the one before.  Takes
 * time in proportion to n log n.
 */
extern void mb_timing_mend(mb_timing *pieces, size_t n, double from, double to);

#endif /* MB_TIMING_H */
