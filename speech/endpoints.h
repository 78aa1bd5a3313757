/*
 * endpoints.h
 *	  The routes of the server, each in a file of its own: api_transcription.c,
 *	  api_listen.c, api_speech.c, api_info.c.
 */
#ifndef SPEECH_ENDPOINTS_H
#define SPEECH_ENDPOINTS_H

#include "request.h"

extern const speech_endpoint speech_endpoint_transcriptions; /* POST /v1/audio/transcriptions */
extern const speech_endpoint speech_endpoint_listen;		 /* GET /v1/listen, a WebSocket */
extern const speech_endpoint speech_endpoint_speech;		 /* POST /v1/audio/speech */
extern const speech_endpoint speech_endpoint_voices;		 /* GET /v1/audio/voices */
extern const speech_endpoint speech_endpoint_models;		 /* GET /v1/models */
extern const speech_endpoint speech_endpoint_model;			 /* GET /v1/models/{model} */
extern const speech_endpoint speech_endpoint_health;		 /* GET /health */

/*
 * Models by what they do.  Names that clients of OpenAI use by default count as aliases, so that they
 * need no change; the answer of /v1/models lists the models' own names only.
 */
typedef enum speech_model
{
	SPEECH_MODEL_UNKNOWN,
	SPEECH_MODEL_POCKETSPHINX,
	SPEECH_MODEL_FLITE,
	SPEECH_MODEL_ESPEAK,
	SPEECH_MODEL_ANY_VOICE /* an alias: the voice decides */
} speech_model;

extern speech_model speech_model_from_name(const char *name);

/* Answers 404 as OpenAI does for a model that is unknown or does something else. */
extern void speech_model_refuse(speech_reply *reply, const char *name, const char *allowed);

/* Answers 422 for a language that is not the model's. */
extern void speech_take_language(speech_reply *reply, const char *value);

#endif /* SPEECH_ENDPOINTS_H */
