/*
 * reply.h
 *	  An answer to a request, before HTTP: status, type, body.  Errors have the
 *	  form that clients of OpenAI's interface expect:
 *	  {"error": {"message": …, "type": …, "param": …, "code": …}}.
 */
#ifndef SPEECH_REPLY_H
#define SPEECH_REPLY_H

#include <jansson.h>

#include "buffer.h"

#define SPEECH_CONTENT_TYPE_SIZE 64

/* All zero is "not answered yet". */
typedef struct speech_reply
{
	unsigned status; /* of HTTP; 0 while there is no answer */
	char content_type[SPEECH_CONTENT_TYPE_SIZE];
	speech_buffer body;
	double audio_seconds; /* heard or made, for the log */
	int retry_after;	  /* seconds, for the header of that name; 0 for none */
	const char *allow;	  /* for the header of that name; NULL for none */
} speech_reply;

/*
 * Makes an error of it, whatever it was before.  param names the offending
 * field of the request, code is for programs; both may be NULL.  The type follows from status.
 */
extern void
speech_reply_error(speech_reply *reply, unsigned status, const char *param, const char *code,
				   const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Answers 200 with a JSON value, which it takes over (NULL: out of memory). */
extern void speech_reply_json(speech_reply *reply, json_t *value);

/* Answers 200 with the bytes of body, which it takes over. */
extern void speech_reply_bytes(speech_reply *reply, const char *content_type, speech_buffer *body);

extern void speech_reply_out_of_memory(speech_reply *reply);

extern void speech_reply_free(speech_reply *reply);

#endif /* SPEECH_REPLY_H */
