/*
 * engine_voice_internal.h
 *	  A voice as its files see it: engine_voice_socket.c keeps the sockets, engine_voice.c what is said over one.
 */
#ifndef GATEWAY_ENGINE_VOICE_INTERNAL_H
#define GATEWAY_ENGINE_VOICE_INTERNAL_H

#include "engine_voice.h"

#define GW_VOICE_BROKEN_FOR (30 * HTTP_SECOND) /* until a socket that failed is tried again */

typedef struct gw_voice gw_voice;

struct gw_sentence
{
	gw_utterance_events events;
	void *arg;
	char *text;
	size_t length;
	size_t said;	/* bytes of it whose times are known */
	int64_t over;	/* when the word at whose end that is was over, samples; -1: not known yet */
	size_t left;	/* characters whose audio is still to come, blanks not counted */
	size_t heard;	/* samples */
	bool cancelled; /* its audio is nobody's */
	gw_sentence *next;
};

struct gw_context
{
	gw_voice *voice; /* NULL: its socket is gone */
	char id[24];
	bool owned;				/* somebody may still speak in it */
	bool closed;			/* the service knows that nothing follows */
	bool over;				/* nothing comes any more */
	bool timed;				/* audio has come with the times of its characters */
	gw_sentence *sentences; /* whose audio has not come as a whole, in their order */
	http_timer patience;
	gw_context *next;
};

struct gw_voice
{
	http_client *client;
	http_loop *loop;
	char *url;
	char *header; /* with the key */
	char *owner;
	http_reach reach;
	int64_t timeout;
	http_line *line;
	bool opened;
	int64_t dialled;
	int64_t broken_until;
	int64_t sent;
	unsigned made; /* contexts */
	int holders;
	int n_contexts;
	gw_context *contexts;
	http_timer timer; /* to keep it alive, or to end it */
	gw_voice *next;
};

/* engine_voice_socket.c.  False: it does not take it. */
extern bool gw_voice_send(gw_voice *voice, const char *message, size_t n);

/* One with a socket and room for a context, NULL: there is none at present; any: also another one. */
extern gw_voice *gw_voice_find(http_client *client, const gw_service *service, bool any);

/* The socket is gone, or of no use; broken: for a while no other one is opened. */
extern void gw_voice_break(gw_voice *voice, const char *why, bool broken);

/* engine_voice.c */
extern void gw_voice_take(gw_voice *voice, const json_t *message);

/* Nothing comes of any context any more; without a word when nobody is to be told. */
extern void gw_voice_end_contexts(gw_voice *voice, const char *why);

/* So that the service does not close it for want of texts. */
extern void gw_voice_keep_alive(gw_voice *voice);

#endif /* GATEWAY_ENGINE_VOICE_INTERNAL_H */
