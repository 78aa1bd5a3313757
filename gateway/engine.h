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
	GW_FORM_OPENAI,
	GW_FORM_WHOLE /* utterances as files, OpenAI's audio/transcriptions */
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
	char *owner;	/* the tenant, whose connections are nobody else's */
	bool plain;		/* it has refused the form of answer that says most */
	struct gw_voice *held;
} gw_service;

/* NULL, and what is wrong with it. */
extern gw_service *gw_service_read(const json_t *json, const char *owner, const char **problem);
extern void gw_service_free(gw_service *service); /* NULL is allowed */

/* Opens a connection ahead of its first use; of one that speaks, where it does so over a socket, that. */
extern void gw_service_warm(http_client *client, const gw_service *service);
extern void gw_speaker_warm(http_client *client, gw_service *service);

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

/* --- speech to text, an utterance at a time ------------------------------------------- */

typedef struct gw_scribe gw_scribe;

typedef struct gw_scribe_events
{
	/* What was said in the utterance; empty: nothing. */
	void (*text)(void *arg, const char *text, size_t n);

	/* The last that is heard of it. */
	void (*failed)(void *arg, const char *why);
} gw_scribe_events;

/* Connects to a service of the form GW_FORM_WHOLE, which fails at once when nobody is there.  NULL without memory. */
extern gw_scribe *
gw_scribe_open(http_client *client, gw_service *service, const gw_scribe_events *events, void *arg);

/* One utterance, mu-law, at a time; a text follows in the service's time, or it has failed. */
extern void gw_scribe_ask(gw_scribe *scribe, const uint8_t *mulaw, size_t n);
extern bool gw_scribe_is_busy(const gw_scribe *scribe);

/* No event follows.  Not after failed. */
extern void gw_scribe_close(gw_scribe *scribe);

/* --- text to speech ------------------------------------------------------------------ */

typedef struct gw_utterance gw_utterance;

/* Sentences that a service, if it can, speaks as one: those of a reply. */
typedef struct gw_context gw_context;

typedef struct gw_utterance_events
{
	void (*audio)(void *arg, const int16_t *samples, size_t n);

	/* One of the two is the last. */
	void (*done)(void *arg);
	void (*failed)(void *arg, const char *why);

	/* The socket of the service has failed, and it is asked by a request. */
	void (*fell_back)(void *arg, const char *why);

	/* So many bytes of the text, whole words, have been said when so much audio is over that is there, or comes next; NULL: not wanted. */
	void (*word)(void *arg, size_t bytes, int32_t ms);
} gw_utterance_events;

/* context: of the sentences said before and after it, NULL at first; or NULL, when it stands alone. */
extern gw_utterance *
gw_utterance_start(http_client *client, gw_service *service, gw_context **context, const char *text,
				   size_t n, const gw_utterance_events *events, void *arg);

/* No event follows.  Not after the last. */
extern void gw_utterance_cancel(gw_utterance *utterance);

/* Nothing more is said in it: what is under way and was not cancelled comes. */
extern void gw_context_close(gw_context *context);

/* Ends all sockets of those who speak, before the client is freed. */
extern void gw_voices_free(http_client *client);

/* --- a language model ------------------------------------------------------------------ */

typedef struct gw_chat gw_chat;

typedef struct gw_chat_events
{
	/* The first of its answer has come, which may be the beginning of a call of a function. */
	void (*begins)(void *arg);
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
