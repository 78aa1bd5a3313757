/*
 * timed_audio.h
 *	  Reads the audio of a track in the time of its call: with silence where nothing was sent.
 */
#ifndef MULBERRY_TIMED_AUDIO_H
#define MULBERRY_TIMED_AUDIO_H

#include "postgres.h"

#include "calls/call_timeline.h"

/* A track while it is read; no field is for the caller. */
typedef struct mulberry_timed_audio
{
	mulberry_timed_track *timed;
	size_t piece; /* the next one */
	int64 place;  /* samples of audio read so far */
	int64 moment; /* in the time of the call */
	int64 silent; /* of what is missing, what mulberry_next_timed_samples() still has to hand out */
	int16 *samples; /* what is left of a slice of the audio */
	size_t at;
	size_t n;
} mulberry_timed_audio;

/* Starts reading a track, whose audio is at its first sample. */
extern void mulberry_begin_timed_audio(mulberry_timed_audio *audio, mulberry_timed_track *timed);

/* All samples of a track, pauses included, at its own rate. */
extern int64 mulberry_timed_length(const mulberry_timed_track *timed);

/*
 * The next samples, at most n; returns how many, and 0 with *lost > 0 where so many are missing in a
 * row, because packets are or nothing was sent; 0 with *lost 0 at the end.  Looks at interrupts.
 */
extern size_t
mulberry_next_heard_timed(mulberry_timed_audio *audio, int16 *to, size_t n, int64 *lost);

/* The same with silence for what is missing. */
extern size_t mulberry_next_timed_samples(mulberry_timed_audio *audio, int16 *to, size_t n);

#endif /* MULBERRY_TIMED_AUDIO_H */
