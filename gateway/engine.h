/*
 * engine.h
 *	  The services of a live conversation: speech to text, text to speech, a language model; asked by streams.
 *
 * A service is what SQL gives with the plan of a conversation (mulberry.begin_conversation).  Its form says how it is spoken to; nobody
 * else knows forms.  Audio is linear, 8000 Hz, at this side of every form.
 *
 * Events come from the loop, never from within a call of these functions; each of them may call these functions.
 */
#ifndef GATEWAY_ENGINE_H
#define GATEWAY_ENGINE_H

#include <jansson.h>

#include "client.h"

typedef enum gw_form
{
	GW_FORM_DEEPGRAM,
	GW_FORM_DEEPGRAM2, /* turns, "Flux" */
	GW_FORM_ELEVENLABS,
	GW_FORM_OPENAI
} gw_form;

typedef struct gw_service
{
	char *name; /* of the endpoint */
	gw_form form;
	char *url;	 /* before the paths of its form */
	char *key;	 /* "": none; in no log */
	char *model; /* "": the form's own */
	char *voice; /* "": the service's */
	char *language;
	json_t *options;
	bool allow_http;
	bool allow_private;
	int timeout_ms; /* of a stage: from asking to the first of what is asked for */
} gw_service;

/* NULL, and what is wrong with it. */
extern gw_service *gw_service_read(const json_t *json, const char **problem);
extern void gw_service_free(gw_service *service); /* NULL is allowed */

/* Opens a connection ahead of its first use. */
extern void gw_service_warm(http_client *client, const gw_service *service);

/* --- speech to text, of one call ---------------------------------------------------- */

typedef struct gw_ear gw_ear;

typedef struct gw_ear_events
{
	/* What was said since the last final text, as far as it is known. */
	void (*partial)(void *arg, const char *text, size_t n);

	/* This is what was said since; empty: nothing.  turn_over: the service thinks that the speaker is done. */
	void (*final)(void *arg, const char *text, size_t n, bool turn_over);

	/* The last that is heard of it. */
	void (*failed)(void *arg, const char *why);
} gw_ear_events;

/* NULL without memory.  Audio may come at once, and waits until there is a connection. */
extern gw_ear *
gw_ear_open(http_client *client, const gw_service *service, const gw_ear_events *events, void *arg);
extern void gw_ear_hear(gw_ear *ear, const int16_t *samples, size_t n);

/* A final text follows, perhaps an empty one, in the service's time, or it has failed. */
extern void gw_ear_finalize(gw_ear *ear);

/* No event follows.  Not after failed. */
extern void gw_ear_close(gw_ear *ear);

/* --- text to speech ------------------------------------------------------------------ */

typedef struct gw_utterance gw_utterance;

typedef struct gw_utterance_events
{
	void (*audio)(void *arg, const int16_t *samples, size_t n);

	/* One of the two is the last. */
	void (*done)(void *arg);
	void (*failed)(void *arg, const char *why);
} gw_utterance_events;

extern gw_utterance *
gw_utterance_start(http_client *client, const gw_service *service, const char *text, size_t n,
				   const gw_utterance_events *events, void *arg);

/* No event follows.  Not after the last. */
extern void gw_utterance_cancel(gw_utterance *utterance);

/* --- a language model ------------------------------------------------------------------ */

typedef struct gw_chat gw_chat;

typedef struct gw_chat_events
{
	void (*text)(void *arg, const char *text, size_t n);

	/* The model wants this function called, arguments as JSON; behind all text. */
	void (*tool)(void *arg, const char *id, const char *name, const char *arguments);
	void (*done)(void *arg);
	void (*failed)(void *arg, const char *why);
} gw_chat_events;

/* messages and tools (NULL: none) as of OpenAI's chat completions. */
extern gw_chat *
gw_chat_start(http_client *client, const gw_service *service, const json_t *messages,
			  const json_t *tools, const gw_chat_events *events, void *arg);
extern void gw_chat_cancel(gw_chat *chat);

#endif /* GATEWAY_ENGINE_H */
