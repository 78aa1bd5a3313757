/*
 * call_audio.h
 *	  The packets of a track of a call put together: samples one after another, one WAV, or one text.
 */
#ifndef MULBERRY_CALL_AUDIO_H
#define MULBERRY_CALL_AUDIO_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/snapshot.h"

#include "calls/calls.h"

/* Longest silence, in seconds, that stands for one run of missing packets. */
#define MULBERRY_MAX_SILENCE 60

/* All silence of a call together is at most MULBERRY_MAX_SILENCE and so many times its audio. */
#define MULBERRY_SILENCE_RATIO 4

/* A run of missing packets, and where its silence lies in the audio. */
typedef struct mulberry_silence
{
	int32 first; /* sequences, both included */
	int32 last;
	int64 start;  /* samples from the beginning */
	int64 length; /* samples */
} mulberry_silence;

/* What mulberry_call_wav() put together. */
typedef struct mulberry_audio_report
{
	int32 sample_rate; /* Hz */
	int64 samples;
	int64 packets;		   /* that are there */
	int64 missing_packets; /* that are not, the announced tail included */
	int usual_length;	   /* samples: the most frequent length of a packet */
	int nsilences;
	mulberry_silence *silences; /* all of them, in order */
} mulberry_audio_report;

/* The audio of a call that is being read, silence for missing packets included. */
typedef struct mulberry_call_samples mulberry_call_samples;

/*
 * Starts reading the audio of a track (by its id; that of a call is that of its first track), in the
 * current context; NULL when it is gone.
 * The samples are those of mulberry_call_wav(), whose snapshots it takes; audio that is too
 * long for a WAV can be read, without silence.  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE
 * for a call of encoding text.
 */
extern mulberry_call_samples *mulberry_open_call_samples(int64 track, Snapshot snapshot);

/* In Hz. */
extern int mulberry_call_sample_rate(const mulberry_call_samples *audio);

/* How many there are, silence included, and the silences among them. */
extern int64 mulberry_call_sample_count(mulberry_call_samples *audio);
extern const mulberry_silence *mulberry_call_silences(mulberry_call_samples *audio, int *n);

/*
 * Decodes the next samples (room for MULBERRY_AUDIO_SLICE of them); returns how many, 0 at
 * the end.  Looks at interrupts.
 */
extern size_t mulberry_next_call_samples(mulberry_call_samples *audio, int16 *samples);

/* Passes over the next n samples, or as many as there are, without decoding them. */
extern void mulberry_skip_call_samples(mulberry_call_samples *audio, int64 n);

/*
 * The same for who treats what is missing in its own way: returns 0 with *lost > 0 where so many samples are
 * missing, and 0 with *lost 0 at the end.
 */
extern size_t
mulberry_next_heard_samples(mulberry_call_samples *audio, int16 *samples, int64 *lost);

/* Back to the first sample. */
extern void mulberry_rewind_call_samples(mulberry_call_samples *audio);

extern void mulberry_close_call_samples(mulberry_call_samples *audio);

/*
 * The audio of a track as a WAV file, PCM of 16 bits, in the current context; NULL
 * when it is gone.  Each missing packet is silence of the usual length, a run of
 * them MULBERRY_MAX_SILENCE at most, and less where there are so many of them that all silence would be
 * more than MULBERRY_SILENCE_RATIO allows; "report" (may be NULL) lists them.
 *
 * Reads what "snapshot" shows; NULL takes the latest committed state, for workers that
 * have moved the call to PROCESSING_AI.  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE for a
 * call of encoding text, ERRCODE_PROGRAM_LIMIT_EXCEEDED when the audio alone does not fit
 * a bytea.
 */
extern bytea *mulberry_call_wav(int64 track, Snapshot snapshot, mulberry_audio_report *report);

/*
 * The packets of a track of encoding text, in order and joined by spaces; NULL
 * when it is gone.  Snapshot and errors as above.
 */
extern text *mulberry_call_text(int64 track, Snapshot snapshot);

#endif /* MULBERRY_CALL_AUDIO_H */
