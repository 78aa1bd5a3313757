/*
 * reply.c
 *	  Answers and errors; see reply.h.
 */
#include "reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digits of numbers in JSON: times of a day to the millisecond. */
#define REAL_DIGITS 8

#define OUT_OF_MEMORY                                                                              \
	"{\"error\": {\"message\": \"out of memory\", \"type\": \"server_error\", "                    \
	"\"param\": null, \"code\": \"out_of_memory\"}}\n"

static void
set_content_type(speech_reply *reply, const char *content_type)
{
	snprintf(reply->content_type, sizeof(reply->content_type), "%s", content_type);
}

/* Appends for json_dump_callback(). */
static int
append_json(const char *text, size_t n, void *buffer)
{
	return speech_buffer_append(buffer, text, n) ? 0 : -1;
}

/* Puts a JSON value with a line feed into the empty body; false when there is no memory. */
static bool
set_json(speech_reply *reply, const json_t *value)
{
	set_content_type(reply, "application/json");
	return value != NULL &&
		   json_dump_callback(value, append_json, &reply->body, JSON_REAL_PRECISION(REAL_DIGITS)) ==
			   0 &&
		   speech_buffer_append(&reply->body, "\n", 1);
}

void
speech_reply_out_of_memory(speech_reply *reply)
{
	speech_buffer_free(&reply->body);
	reply->status = 500;
	set_content_type(reply, "application/json");
	if (!speech_buffer_append(&reply->body, OUT_OF_MEMORY, strlen(OUT_OF_MEMORY)))
		speech_buffer_free(&reply->body);
}

/*
 * What quotes a request may be no UTF-8, or be cut within a character: then
 * what is not ASCII becomes a question mark.
 */
static void
make_valid(char *quoted)
{
	json_t *text = json_string(quoted);

	for (char *c = quoted; text == NULL && *c != '\0'; c++)
		if ((unsigned char) *c >= 0x80)
			*c = '?';
	json_decref(text);
}

void
speech_reply_error(speech_reply *reply, unsigned status, const char *param, const char *code,
				   const char *format, ...)
{
	char message[2048];
	char name[100];
	va_list args;
	json_t *value;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);

	make_valid(message);
	snprintf(name, sizeof(name), "%s", param != NULL ? param : "");
	make_valid(name);
	speech_buffer_free(&reply->body);
	reply->status = status;
	value = json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message", message, "type",
					  status >= 500 ? "server_error" : "invalid_request_error", "param",
					  param != NULL ? name : NULL, "code", code);
	if (!set_json(reply, value))
		speech_reply_out_of_memory(reply);
	json_decref(value);
}

void
speech_reply_json(speech_reply *reply, json_t *value)
{
	speech_buffer_free(&reply->body);
	reply->status = 200;
	if (!set_json(reply, value))
		speech_reply_out_of_memory(reply);
	json_decref(value);
}

void
speech_reply_bytes(speech_reply *reply, const char *content_type, speech_buffer *body)
{
	speech_buffer_free(&reply->body);
	reply->status = 200;
	set_content_type(reply, content_type);
	reply->body = *body;
	*body = (speech_buffer){ 0 };
}

void
speech_reply_free(speech_reply *reply)
{
	speech_buffer_free(&reply->body);
	*reply = (speech_reply){ 0 };
}
