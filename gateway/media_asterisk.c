/*
 * media_asterisk.c
 *	  Asterisk's chan_websocket, /asterisk/media: binary messages are audio, text ones commands in JSON (the option f(json)).
 *
 * It keeps time itself, tells how much it has not played, pauses, and says when its queue is full.  What must not be sent: pings (until
 * January 2026 one hung up the call), fragments, a message of more than 65,500 bytes, a command of more than 128 or in a binary
 * message.  Audio may come before MEDIA_START; it is kept until then.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "media_line.h"
#include "program/text.h"

#define STATUS_WITHIN (HTTP_SECOND / 2)
#define MAX_EARLY 16000 /* bytes of audio before the beginning */
#define STEP_MS 100
#define LEAD_MS 300

typedef struct line
{
	gw_media_line shared;
	http_timer status; /* until what was asked for has come */
	bool clearing;
	int frame;	  /* samples of one */
	size_t width; /* bytes of a sample */
	program_text early;
} line;

/* ---------------------------------------------------------------------------
 * What is sent
 * ---------------------------------------------------------------------------
 */

static void
command(line *l, const char *name, const char *more)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "{\"command\":\"%s\"%s}", name, more);

	gw_media_line_send(&l->shared, true, text, (size_t) n);
}

static void
send_mark(void *link, unsigned number)
{
	char more[48];

	snprintf(more, sizeof(more), ",\"correlation_id\":\"%u\"", number);
	command(link, "MARK_MEDIA", more);
}

/* It does not end a pause by itself, whatever its description says. */
static void
flush(line *l)
{
	l->clearing = false;
	http_loop_clear_timer(l->shared.gateway->loop, &l->status);
	command(l, "FLUSH_MEDIA", "");
	command(l, "CONTINUE_MEDIA", "");
}

static void
no_status(void *arg)
{
	flush(arg);
}

/* What is in the queue while it is paused is exactly what nobody has heard. */
static void
send_clear(void *link)
{
	line *l = link;

	l->clearing = true;
	command(l, "PAUSE_MEDIA", "");
	command(l, "GET_STATUS", "");
	http_loop_set_timer(l->shared.gateway->loop, &l->status, http_clock() + STATUS_WITHIN);
}

static void
send_pause(void *link, bool paused)
{
	command(link, paused ? "PAUSE_MEDIA" : "CONTINUE_MEDIA", "");
}

static void
close_line(void *link, int code, const char *reason)
{
	line *l = link;

	http_loop_clear_timer(l->shared.gateway->loop, &l->status);
	gw_media_line_close(link, code, reason);
}

static const gw_media_peer peer = { .name = "asterisk",
									.lead_ms = LEAD_MS,
									.step_ms = STEP_MS,
									.tells_digits = true,
									.send = gw_media_line_send_audio,
									.mark = send_mark,
									.clear = send_clear,
									.tells_unheard = true,
									.pause = send_pause,
									.close = close_line };

/* ---------------------------------------------------------------------------
 * What comes
 * ---------------------------------------------------------------------------
 */

static void
begin(gw_media_line *shared)
{
	line *l = (line *) shared;

	l->status = (http_timer){ .due = no_status, .arg = l };
}

static void
end(gw_media_line *shared)
{
	line *l = (line *) shared;

	http_loop_clear_timer(shared->gateway->loop, &l->status);
	program_text_free(&l->early);
}

static void
hear(gw_media_line *shared, const char *bytes, size_t n)
{
	line *l = (line *) shared;

	if (shared->session != NULL)
		gw_media_line_heard(shared, bytes, n, l->width);
	else if (l->early.length + n > MAX_EARLY)
		gw_media_line_refuse(shared, "it has not begun");
	else
		program_text_add(&l->early, bytes, n);
}

static void
take_start(line *l, const json_t *message)
{
	const char *format = json_string_value(json_object_get(message, "format"));
	int frame = (int) json_integer_value(json_object_get(message, "optimal_frame_size"));
	mb_encoding encoding = format != NULL && strcmp(format, "slin") == 0 ? MB_S16LE : MB_MULAW;

	if (l->shared.session != NULL)
		gw_media_line_refuse(&l->shared, "it begins twice");
	else if (format == NULL || (strcmp(format, "ulaw") != 0 && encoding == MB_MULAW))
		gw_media_line_refuse(&l->shared, "its audio is neither ulaw nor slin");
	else
	{
		l->width = mb_encoding_sample_size(encoding);
		l->frame = frame > 0 && frame <= 3200 ? frame / (int) l->width : GW_MEDIA_RATE / 50;
		gw_media_line_begin(&l->shared, encoding);
		if (l->shared.session != NULL)
			gw_media_line_heard(&l->shared, l->early.data, l->early.length, l->width);
		program_text_free(&l->early);
	}
}

static void
take(gw_media_line *shared, const json_t *message)
{
	line *l = (line *) shared;
	const char *event = json_string_value(json_object_get(message, "event"));
	const char *mark = json_string_value(json_object_get(message, "correlation_id"));
	json_int_t queued = json_integer_value(json_object_get(message, "queue_length"));

	if (event == NULL)
		gw_media_line_refuse(shared, "a message has no event");
	else if (strcmp(event, "MEDIA_START") == 0)
		take_start(l, message);
	else if (shared->session == NULL)
		; /* others may come before it */
	else if (strcmp(event, "DTMF_END") == 0)
		gw_media_line_digit(shared, json_string_value(json_object_get(message, "digit")));
	else if (strcmp(event, "MEDIA_XOFF") == 0 || strcmp(event, "MEDIA_XON") == 0)
		gw_media_flow(shared->session, event[strlen(event) - 1] == 'N');
	else if (strcmp(event, "MEDIA_MARK_PROCESSED") == 0 && mark != NULL)
		gw_media_marked(shared->session, (unsigned) strtoul(mark, NULL, 10));
	else if (strcmp(event, "STATUS") == 0 && l->clearing)
	{
		flush(l);
		gw_media_cleared(shared->session, queued < 0 ? 0 : (uint64_t) queued * (uint64_t) l->frame);
	}
}

/* GET /asterisk/media?uuid=… */
void
gw_handle_asterisk_media(gw_call *call)
{
	static const gw_media_line_form form = { .peer = &peer,
											 .subprotocol = "media",
											 .ping_ms = INT_MAX,
											 .size = sizeof(line),
											 .begin = begin,
											 .end = end,
											 .hear = hear,
											 .take = take };

	gw_media_line_request(call, &form);
}
