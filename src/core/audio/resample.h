/*
 * resample.h
 *	  Sample rate conversion between the common rates from 8 to 48 kHz: a streaming
 *	  object in memory that the caller owns.
 *
 * Polyphase Kaiser-windowed sinc filters with exact rational steps, so nothing drifts
 * over long runs.  With f the lower of the two rates:
 *
 *	pass band	0 … 0.425 f (3400 Hz at 8 kHz), flat within ±0.05 dB
 *	stop band	from 0.5 f, aliases and images at least 80 dB down
 *
 * (both proved by test_resample).  The filters have linear phase and the delay is
 * taken out: output sample k lies at time k / to_rate of the input, so onset times
 * need no correction.  The price is that the last samples come only with
 * mb_resampler_flush(); while streaming, output lags behind input by
 * mb_resampler_latency().  The result depends neither on how the input is cut
 * into pieces nor on the processor.  Values beyond 16 bits saturate.
 *
 * Nothing is allocated.  A state is flat: copied as bytes to memory of the same
 * alignment, it goes on there.  One thread at a time.
 */
#ifndef MB_RESAMPLE_H
#define MB_RESAMPLE_H

#include "core/mb.h"

/* Opaque; lives in the caller's memory. */
typedef struct mb_resampler mb_resampler;

/*
 * The rates that can be converted, in ascending order: those of calls
 * (mb_rate_supported) and those that speech engines and files come with.
 */
#define MB_RESAMPLE_N_RATES 9
extern const int mb_resample_rates[MB_RESAMPLE_N_RATES];

/* True for one of them. */
extern bool mb_resample_rate_known(int rate);

/* Bytes that suffice for every pair, and for what goes to 8 kHz. */
#define MB_RESAMPLER_MAX_SIZE (448 * 1024)
#define MB_RESAMPLER_TO_8K_SIZE (144 * 1024)

/* Memory to embed in another state: from any rate to 8 kHz. */
typedef union mb_resampler_to_8k
{
	_Alignas(16) unsigned char memory[MB_RESAMPLER_TO_8K_SIZE];
} mb_resampler_to_8k;

/* Bytes needed for this pair; 0 when a rate is not supported. */
extern size_t mb_resampler_size(int from_rate, int to_rate);

/*
 * Makes a resampler in memory (size bytes, aligned to 16) and points *resampler
 * to it.  Designs the filter, which takes up to some milliseconds for ratios of
 * large numbers.  MB_ERR_RATE, MB_ERR_SPACE.
 */
extern mb_status
mb_resampler_init(mb_resampler **resampler, void *memory, size_t size, int from_rate, int to_rate);

/* Forgets the signal, keeps the filter. */
extern void mb_resampler_reset(mb_resampler *resampler);

/* For tests: takes the code that every processor can run, whatever this one has. */
extern void mb_resampler_use_plain(mb_resampler *resampler);

/* Most samples that feeding n (or flushing, n = 0) can give. */
extern size_t mb_resampler_output_bound(const mb_resampler *resampler, size_t n);

/*
 * Takes n samples and writes what they complete to out, which has room for
 * mb_resampler_output_bound(resampler, n) samples.  Returns their number.
 */
extern size_t mb_resampler_feed(mb_resampler *resampler, const int16_t *in, size_t n, int16_t *out);

/*
 * Ends the signal (silence follows) and writes the rest, so that in all
 * ceil(n * to_rate / from_rate) samples have come; see mb_resample_length().
 * Afterwards the resampler is as after mb_resampler_reset().
 */
extern size_t mb_resampler_flush(mb_resampler *resampler, int16_t *out);

/* How far output lags behind input while streaming, in seconds. */
extern double mb_resampler_latency(const mb_resampler *resampler);

/* Samples that n samples become: ceil(n * to_rate / from_rate). */
extern uint64_t mb_resample_length(uint64_t n, int from_rate, int to_rate);

#endif /* MB_RESAMPLE_H */
