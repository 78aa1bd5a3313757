/*
 * audio_input.h
 *	  Audio as SQL functions get it: checks the arguments, and hands the samples out
 *	  in slices between which a query can be cancelled.
 */
#ifndef MULBERRY_AUDIO_INPUT_H
#define MULBERRY_AUDIO_INPUT_H

#include "postgres.h"

#include "core/mb.h"

/*
 * Samples handed out at a time.  Every analysis takes less than 100 ns a sample, so
 * interrupts are looked at each millisecond.
 */
#define MULBERRY_AUDIO_SLICE 8192

/*
 * A bytea argument that is being read.  A value stored out of line and not compressed is
 * fetched in windows, so that it is never in memory as a whole.
 */
typedef struct mulberry_bytes
{
	size_t n;					  /* of them all */
	const struct varlena *stored; /* fetched in windows; NULL: all of it is in the window */
	const uint8 *window;		  /* part of the value */
	size_t window_start;		  /* its place in bytes */
	size_t window_size;
	uint8 *own; /* memory of windows */
	size_t room;
} mulberry_bytes;

/* Raw audio that is being read. */
typedef struct mulberry_audio
{
	mulberry_bytes bytes;
	mb_encoding encoding;
	int sample_rate; /* 0 where it does not matter */
	size_t n_samples;
	size_t position; /* samples handed out */
	struct mulberry_stored
		*stored;		/* a stored value, open between the first sample and the last; NULL */
	const uint8 *piece; /* of it, and how many bytes of that are left */
	size_t left;
} mulberry_audio;

/* The encoding of that name; an error says which there are. */
extern mb_encoding mulberry_encoding(text *name);

/* Error unless calls can have this rate (mb_rate_supported), or audio can be converted from and to it. */
extern void mulberry_check_rate(int sample_rate);
extern void mulberry_check_convertible_rate(int rate);

/* Bytes of a bytea argument, which need not be fetched for that. */
extern size_t mulberry_bytea_size(Datum bytes);

/* Starts reading a bytea, which must stay where it is. */
extern void mulberry_bytes_open(mulberry_bytes *bytes, Datum value);

/*
 * The bytes from a place on, which lies inside the value, and how many of them are at hand:
 * "needed" ones at least, unless the value ends before.  The next call may move them.  Looks at
 * interrupts.
 */
extern const uint8 *
mulberry_bytes_at(mulberry_bytes *bytes, size_t place, size_t needed, size_t *n);

/* Copies n bytes from a place on, all of which exist. */
extern void mulberry_bytes_copy(mulberry_bytes *bytes, size_t place, size_t n, uint8 *destination);

/*
 * Starts reading audio, which must stay where it is.  Error for half a sample, for no
 * sample, and for a rate that calls cannot have.
 */
extern void
mulberry_audio_open(mulberry_audio *audio, Datum bytes, text *encoding, int sample_rate);

/* The same where the rate does not matter. */
extern void mulberry_audio_open_any_rate(mulberry_audio *audio, Datum bytes, text *encoding);

/*
 * Decodes the next slice into samples (MULBERRY_AUDIO_SLICE of them); returns how
 * many, 0 at the end.  Looks at interrupts.
 */
extern size_t mulberry_audio_next(mulberry_audio *audio, int16 *samples);

/* Back to the first sample. */
extern void mulberry_audio_rewind(mulberry_audio *audio);

/* A bytea of n bytes, not filled in; an error says what would not fit. */
extern bytea *mulberry_audio_result(uint64 n);

/* Memory for states of the core, which want more alignment than palloc gives; zeroed. */
extern void *mulberry_palloc_aligned(size_t size);

/* A place in the signal in whole milliseconds, rounded. */
extern int64 mulberry_samples_to_ms(uint64 samples, int sample_rate);

/* For a status that none of the checks above leaves over: an internal error. */
extern void mulberry_expect_ok(mb_status status);

#endif /* MULBERRY_AUDIO_INPUT_H */
