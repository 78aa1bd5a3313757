/*
 * synthesize.h
 *	  From text to samples: takes a text apart, prepares it for the voice's engine and
 *	  joins what the engine makes of it.
 */
#ifndef SPEECH_SYNTHESIZE_H
#define SPEECH_SYNTHESIZE_H

#include <stddef.h>
#include <stdint.h>

#include "voices.h"

/* Range of speed; 1 is the voice's own. */
#define SPEECH_MIN_SPEED 0.25
#define SPEECH_MAX_SPEED 4.0

/* Sound as an engine made it. */
typedef struct speech_sound
{
	int16_t *samples;
	size_t n;
	size_t capacity;
	int sample_rate;
	double max_seconds; /* more is refused */
} speech_sound;

typedef enum speech_synthesis_status
{
	SPEECH_SYNTHESIS_OK,
	SPEECH_SYNTHESIS_NOTHING,	/* no letter or digit in the text */
	SPEECH_SYNTHESIS_CHARACTER, /* a character the voice cannot read */
	SPEECH_SYNTHESIS_TOO_LONG,	/* more than max_seconds */
	SPEECH_SYNTHESIS_FAILED		/* the engine's fault */
} speech_synthesis_status;

/*
 * Speaks a text (UTF-8) into an empty sound with max_seconds set.  For CHARACTER
 * *code_point is the one.
 */
extern speech_synthesis_status
speech_synthesize(const char *text, const speech_voice *voice, double speed, speech_sound *sound,
				  uint32_t *code_point);

extern void speech_sound_free(speech_sound *sound);

/*
 * For the engines: appends samples; the first call sets the rate.  False when that is too
 * long or there is no memory.
 */
extern bool
speech_sound_append(speech_sound *sound, const int16_t *samples, size_t n, int sample_rate);
extern bool speech_sound_is_full(const speech_sound *sound);

/* The engines: speak one text that fits them. */
extern speech_synthesis_status
speech_flite_speak(const char *text, const char *voice, double speed, speech_sound *sound);
extern speech_synthesis_status
speech_espeak_speak(const char *text, const char *voice, double speed, speech_sound *sound);

/* Makes flite's voices known; once, in the server. */
extern void speech_flite_load(void);

#endif /* SPEECH_SYNTHESIZE_H */
