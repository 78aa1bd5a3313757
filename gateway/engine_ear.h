/*
 * engine_ear.h
 *	  Speech to text as its forms see it: engine_ear.c is the connection, engine_ear_forms.c what is said over it.
 */
#ifndef GATEWAY_ENGINE_EAR_H
#define GATEWAY_ENGINE_EAR_H

#include "core/audio/resample.h"
#include "engine_service.h"

#define GW_EAR_TEXT                                                                                \
	4096 /* bytes of what was said since the last final text; more of it is left out */

typedef struct gw_ear_form
{
	int rate;			/* of the audio it takes */
	int chunk_ms;		/* of a message of it */
	int bytes_a_second; /* of messages */

	/* Adds to the URL, and says how the key goes with it. */
	void (*address)(const gw_service *service, program_text *url);
	const char *header;
	const char *scheme;

	/* Messages; a text of length 0 is not sent.  audio: in samples of that rate. */
	void (*hello)(const gw_service *service, program_text *message); /* NULL: none */
	void (*audio)(program_text *message, const int16_t *samples, size_t n);
	bool binary;							   /* that message is */
	const char *finalize;					   /* NULL: it cannot be asked */
	bool may_keep_silent;					   /* when it is asked and has heard nothing */
	const char *alive;						   /* NULL: not needed */
	const char *goodbye;					   /* NULL: none */
	void (*take)(gw_ear *ear, const json_t *); /* a message of the service */
} gw_ear_form;

extern const gw_ear_form *gw_ear_form_of(gw_form form);

struct gw_ear
{
	http_client *client;
	http_line *line;
	http_loop *loop;
	const gw_ear_form *form;
	gw_ear_events events;
	void *arg;
	int timeout_ms;
	bool opened;
	bool over;
	bool pending;	  /* a partial text waits for its final one */
	int64_t sent;	  /* when something was, last */
	int64_t answered; /* when something came, last */
	http_timer timer; /* of a final text that was asked for */
	http_timer alive;
	http_task task; /* to be freed, or to tell of what needs no answer, or of a failure */

	mb_resampler *resampler; /* NULL: 8000 Hz */
	int16_t *chunk;
	size_t n_chunk;
	size_t max_chunk;

	/* of the forms */
	char *text; /* what was said since the last final text */
	size_t text_room;
	size_t length;
	size_t given; /* bytes of a turn's text that were given as final before its end */
};

/* What the forms tell.  Of an error, the service's own words. */
extern void gw_ear_partial(gw_ear *ear, const char *text, size_t n);
extern void gw_ear_final(gw_ear *ear, const char *text, size_t n, bool turn_over);
extern void gw_ear_fail(gw_ear *ear, const char *why);

#endif /* GATEWAY_ENGINE_EAR_H */
