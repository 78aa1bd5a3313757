/*
 * audio_parts.h
 *	  Divides the audio of a long call into parts that a transcription service
 *	  takes: by the size of an upload, and by the duration that it can work through
 *	  before the request times out.
 *
 * Pure computation; the same audio and limits give the same parts, so that a
 * job that is tried again can go on where it was.
 */
#ifndef MULBERRY_WORKER_AUDIO_PARTS_H
#define MULBERRY_WORKER_AUDIO_PARTS_H

#include "postgres.h"

/* Largest upload: the OpenAI API takes files up to 25 MB. */
#define MULBERRY_MAX_UPLOAD (24 * 1024 * 1024)

typedef struct mulberry_audio_division
{
	const char *samples; /* PCM16, one channel, inside the WAV */
	size_t bytes;		 /* of samples */
	int sample_rate;	 /* Hz */
	size_t part_bytes;	 /* most that a part may have */
	int parts;			 /* at least 1 */
} mulberry_audio_division;

/*
 * Divides a WAV file (PCM16, one channel).  max_seconds 0: only the size limits.
 * Raises ERRCODE_DATA_EXCEPTION when it is no such file.
 */
extern void mulberry_audio_divide(bytea *wav, int max_seconds, mulberry_audio_division *division);

/* True when the audio goes as it is: it is one part, and not too short. */
extern bool mulberry_audio_is_whole(const mulberry_audio_division *division);

/* Length of a part in s, rounded up. */
extern int mulberry_audio_seconds(const mulberry_audio_division *division, int part);

/* Where a part begins, in s; of the part behind the last one, where the audio ends. */
extern double mulberry_audio_part_start(const mulberry_audio_division *division, int part);

/* Whether somebody speaks in a part, as speech_segments() would tell. */
extern bool mulberry_audio_has_speech(const mulberry_audio_division *division, int part);

/*
 * Part number "part" as a WAV file of its own, palloc'd.  Parts are cut where it
 * is quietest near the even division, rather than within a word.  What is shorter than services
 * take (0.1 s) has silence behind it.
 */
extern char *mulberry_audio_part(const mulberry_audio_division *division, int part, size_t *size);

#endif /* MULBERRY_WORKER_AUDIO_PARTS_H */
