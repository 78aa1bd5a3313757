/*
 * rate.h
 *	  Sample rate conversion between any two rates: the core's resampler where it
 *	  knows both (8, 16, 44.1, 48 kHz), speexdsp's for the others (22.05, 24, 32 kHz …).
 *
 * The filters' delay is taken out, and n samples become ceil(n * to / from) in all.
 */
#ifndef SPEECH_RATE_H
#define SPEECH_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct speech_rate speech_rate;

/* NULL when there is no memory.  Rates from 1 Hz. */
extern speech_rate *speech_rate_new(int from_rate, int to_rate);

/* Most samples that feeding n (or flushing, n = 0) can give. */
extern size_t speech_rate_bound(const speech_rate *rate, size_t n);

/* Takes n samples, writes what they complete to out, returns how many those are. */
extern size_t speech_rate_feed(speech_rate *rate, const int16_t *in, size_t n, int16_t *out);

/* The signal has ended: writes the rest. */
extern size_t speech_rate_flush(speech_rate *rate, int16_t *out);

extern void speech_rate_free(speech_rate *rate);

/*
 * Converts a whole signal.  *out is allocated, for the caller to free; false when
 * there is no memory.
 */
extern bool speech_rate_convert(const int16_t *in, size_t n, int from_rate, int to_rate,
								int16_t **out, size_t *n_out);

#endif /* SPEECH_RATE_H */
