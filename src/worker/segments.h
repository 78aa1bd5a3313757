/*
 * segments.h
 *	  When what was said was said: segments and words of an answer, read as services of any form
 *	  give them, and made into some that can be relied on.
 *
 * What is said of times is never a reason to lose the words: what cannot be used is left out, and times
 * that cannot be right are mended (core/text/timing.h).
 */
#ifndef MULBERRY_WORKER_SEGMENTS_H
#define MULBERRY_WORKER_SEGMENTS_H

#include "postgres.h"

#include "utils/jsonb.h"

/* Figures that are not known are NaN; times are seconds from the beginning of what was sent. */
typedef struct mulberry_word
{
	char *text;
	char *speaker; /* NULL: not said */
	double start;
	double end;
	double confidence; /* 0 to 1 */
} mulberry_word;

typedef struct mulberry_segment
{
	char *text;
	char *speaker; /* as the service tells them apart; NULL: it does not */
	double start;
	double end;
	double confidence; /* 0 to 1 */
	bool silent;	   /* the model itself takes it for silence: it is no part of the transcript */
	mulberry_word *words;
	int nwords;
} mulberry_segment;

typedef struct mulberry_segments
{
	mulberry_segment *list;
	int n;
	mulberry_word *words; /* those that are given beside the segments, not within them */
	int nwords;
} mulberry_segments;

/*
 * Reads "segments" and "words" of an object.  Segments for which is_silent (may be NULL) holds are
 * marked.
 */
extern void
mulberry_read_segments(JsonbContainer *object, bool (*is_silent)(JsonbContainer *segment),
					   mulberry_segments *segments);

/* The words of all segments that are not silent, joined; counts the others. */
extern char *mulberry_segments_text(const mulberry_segments *segments, int *dropped);

/*
 * Makes them the segments of a transcript of so many seconds: words are put into their segments, silent
 * segments go, times are mended.  What has words but no segments is cut at pauses and where the
 * speaker changes; what has neither is one segment.  Without duration (NaN: a text) times are not known.
 */
extern void mulberry_place_segments(mulberry_segments *segments, const char *text, double seconds);

/*
 * As JSON for SQL: an array of objects {"text", "speaker", "start_ms", "end_ms", "confidence", "words":
 * [{"word", "start_ms", "end_ms", "confidence"}]}, all times later by "offset" seconds.
 */
extern Jsonb *mulberry_segments_json(const mulberry_segments *segments, double offset);

#endif /* MULBERRY_WORKER_SEGMENTS_H */
