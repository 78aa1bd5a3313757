/*
 * voices.h
 *	  Which voices there are and what they are called: flite's by name, espeak-ng's
 *	  by language, and OpenAI's names as aliases.
 */
#ifndef SPEECH_VOICES_H
#define SPEECH_VOICES_H

#include <jansson.h>
#include <stdbool.h>

typedef enum speech_engine
{
	SPEECH_ENGINE_FLITE,
	SPEECH_ENGINE_ESPEAK
} speech_engine;

#define SPEECH_DEFAULT_VOICE "slt"
#define SPEECH_VOICE_NAME_SIZE 64

typedef struct speech_voice
{
	speech_engine engine;
	char name[SPEECH_VOICE_NAME_SIZE]; /* the engine's own: "slt", "en-us+f3" */
} speech_voice;

/* Reads the lists of espeak-ng; false, and why on standard error, when its data are missing. */
extern bool speech_voices_load(void);

/*
 * The voice of a name: one of flite's, one of OpenAI's, an espeak-ng language
 * ("de"), perhaps with a variant ("de+f2"), perhaps with the engine in front
 * ("espeak-ng:en-us", "flite:rms").  False when there is none.
 */
extern bool speech_voice_from_name(const char *name, speech_voice *voice);

/* All names in one line, for messages; a static string. */
extern const char *speech_voice_names(void);

/* An array of objects that describe the voices. */
extern json_t *speech_voices_json(void);

extern void speech_voices_unload(void);

#endif /* SPEECH_VOICES_H */
