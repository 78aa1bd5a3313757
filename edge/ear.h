/*
 * ear.h
 *	  What is heard in a call: digits, and frames of digits. What we play ourselves comes back as an echo, so digits that begin while we
 *	  play are not taken for the caller's.
 */
#ifndef EDGE_EAR_H
#define EDGE_EAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct edge_ear edge_ear;

typedef struct edge_ear_options
{
	int sample_rate;
	/* A frame from its * to its #, or to a pause: nobody has judged it. */
	void (*on_frame)(void *arg, const char *symbols);
	/* A digit of the caller. */
	void (*on_digit)(void *arg, char digit);
	void *arg;
} edge_ear_options;

/* NULL: no digits can be heard at that rate, or out of memory. */
extern edge_ear *edge_ear_new(const edge_ear_options *options);
extern void edge_ear_free(edge_ear *ear);

/* Takes samples of one channel; says that so many are missing before the next. */
extern void edge_ear_feed(edge_ear *ear, const int16_t *samples, size_t n);
extern void edge_ear_lost(edge_ear *ear, uint64_t n);

/* Digits that begin between now and so many samples from now are our own echo. Said again it goes on. */
extern void edge_ear_deafen(edge_ear *ear, uint64_t samples);

/* Another call: what was heard so far is nothing. */
extern void edge_ear_reset(edge_ear *ear);

#endif /* EDGE_EAR_H */
