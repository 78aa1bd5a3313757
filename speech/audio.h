/*
 * audio.h
 *	  Sound on its way in and out: a WAV file read as 16 kHz samples piece by piece, and
 *	  samples written as WAV, PCM or G.711.  Containers and codecs are the
 *	  core's (wav.h, g711.h); this file adds the rates.
 */
#ifndef SPEECH_AUDIO_H
#define SPEECH_AUDIO_H

#include <stdint.h>

#include "buffer.h"
#include "core/mb.h"
#include "core/audio/wav.h"

/* Rate of everything the recognizer hears. */
#define SPEECH_RATE 16000

/* Rates that recordings may have, in Hz. */
#define SPEECH_AUDIO_MIN_RATE 4000
#define SPEECH_AUDIO_MAX_RATE 192000

/* Opaque: a recording being read. */
typedef struct speech_audio speech_audio;

/* What a recording is; times in seconds. */
typedef struct speech_audio_facts
{
	int sample_rate;
	int channels;
	double seconds;
	uint64_t stated_bytes; /* what the file claims to hold, for MB_ERR_TRUNCATED */
	uint64_t present_bytes;
} speech_audio_facts;

/*
 * Opens a WAV file of n bytes that stay in place.  facts is filled in as far
 * as it is known.  Errors as mb_wav_read(), for which a file shorter than it claims is
 * MB_ERR_TRUNCATED; MB_ERR_EMPTY without a sample, MB_ERR_RATE for a rate out of
 * range, MB_ERR_SPACE without memory.  Then *audio is NULL.
 */
extern mb_status
speech_audio_open(speech_audio **audio, speech_audio_facts *facts, const uint8_t *bytes, size_t n);

/*
 * The next samples at SPEECH_RATE, one channel (the mean of all), about half a second.
 * They stay until the next call.  Returns their number, 0 at the end.
 */
extern size_t speech_audio_read(speech_audio *audio, const int16_t **samples);

extern void speech_audio_close(speech_audio *audio);

/* How speech is written. */
typedef enum speech_audio_format
{
	SPEECH_AUDIO_WAV,	/* RIFF with PCM of 16 bits */
	SPEECH_AUDIO_PCM,	/* 16 bits, little endian, no header */
	SPEECH_AUDIO_MULAW, /* G.711, no header */
	SPEECH_AUDIO_ALAW
} speech_audio_format;

/*
 * Writes one channel of samples into an empty body.  False when there is no memory.
 */
extern bool speech_audio_write(speech_audio_format format, const int16_t *samples, size_t n,
							   int sample_rate, speech_buffer *body);

#endif /* SPEECH_AUDIO_H */
