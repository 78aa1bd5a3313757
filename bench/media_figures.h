/*
 * media_figures.h
 *	  What is measured of the callers of media_calls.c: values of which quantiles are told, and counts.
 */
#ifndef BENCH_MEDIA_FIGURES_H
#define BENCH_MEDIA_FIGURES_H

#include <stdbool.h>
#include <stddef.h>

typedef enum measure
{
	WAITS, /* end of a question to the first sound of the answer */
	STOPS, /* beginning of speech to silence */
	KEYS,  /* a key to the clear that follows */
	GAPS,  /* in answers */
	LATE,  /* our own frames */
	MEASURES
} measure;

typedef enum count
{
	ANSWERS,
	UNANSWERED,
	CUT,
	UNCUT,
	HEARD_FRAMES,
	COUNTS
} count;

/* Counts from now on, from nothing: before, nothing is kept. */
extern void figures_begin(void);

extern void figures_add(measure what, double milliseconds);
extern void figures_count(count what);

/* As members of an object of JSON, a comma behind each. */
extern void figures_print(void);

/* Ends the program. */
extern void die(const char *what) __attribute__((noreturn));

#endif /* BENCH_MEDIA_FIGURES_H */
