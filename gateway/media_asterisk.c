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

#include "core/web/websocket.h"
#include "gateway.h"
#include "log.h"

#define START_WITHIN (5 * HTTP_SECOND)
#define STATUS_WITHIN (HTTP_SECOND / 2)
#define MAX_MESSAGE 65536
#define MAX_EARLY 16000 /* bytes of audio before the beginning */
#define BUCKETS 256
#define POLICY 1008
#define STEP_MS 100
#define LEAD_MS 300
#define SUBPROTOCOL "media"

typedef struct line
{
	gw_gateway *gateway;
	http_id id;
	http_timer start;
	http_timer status; /* until what was asked for has come */
	gw_media_session *session;
	bool over;
	bool clearing;
	char token[64];
	char tenant[64];
	int frame;	  /* samples of one */
	size_t width; /* bytes of a sample */
	program_text early;
	struct line *next;
} line;

static line *lines[BUCKETS];

static line *
find(http_id id)
{
	line *l = lines[id % BUCKETS];

	while (l != NULL && l->id != id)
		l = l->next;
	return l;
}

static void
free_line(line *l)
{
	line **place = &lines[l->id % BUCKETS];

	while (*place != NULL && *place != l)
		place = &(*place)->next;
	if (*place != NULL)
		*place = l->next;
	http_loop_clear_timer(l->gateway->loop, &l->start);
	http_loop_clear_timer(l->gateway->loop, &l->status);
	program_text_free(&l->early);
	free(l);
}

/* ---------------------------------------------------------------------------
 * What is sent
 * ---------------------------------------------------------------------------
 */

static void
command(line *l, const char *name, const char *more)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "{\"command\":\"%s\"%s}", name, more);

	(void) http_socket_send(l->gateway->server, l->id, true, text, (size_t) n);
}

static void
send_audio(void *link, const uint8_t *audio, size_t n)
{
	line *l = link;

	(void) http_socket_send(l->gateway->server, l->id, false, audio, n);
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
	http_loop_clear_timer(l->gateway->loop, &l->status);
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
	http_loop_set_timer(l->gateway->loop, &l->status, http_clock() + STATUS_WITHIN);
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

	l->session = NULL;
	l->over = true;
	http_loop_clear_timer(l->gateway->loop, &l->status);
	http_socket_close(l->gateway->server, l->id, code, reason);
}

static const gw_media_peer peer = { .name = "asterisk",
									.lead_ms = LEAD_MS,
									.step_ms = STEP_MS,
									.tells_digits = true,
									.send = send_audio,
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
refuse(line *l, const char *why)
{
	if (l->over)
		return;
	gw_log(GW_WARNING, "a stream sent what it must not", "%s", why);
	if (l->session != NULL)
		gw_media_end(l->session, POLICY, why);
	else
		close_line(l, POLICY, why);
}

static void
is_late(void *arg)
{
	refuse(arg, "it has not begun in time");
}

static void
hear(line *l, const char *audio, size_t n)
{
	if (n % l->width != 0)
		refuse(l, "its audio has half a sample");
	else if (n > 0)
		gw_media_heard(l->session, (const uint8_t *) audio, n, -1, 0);
}

static void
take_start(line *l, const json_t *message)
{
	const char *format = json_string_value(json_object_get(message, "format"));
	json_t *params = json_object();
	char *text = NULL;
	int frame = (int) json_integer_value(json_object_get(message, "optimal_frame_size"));
	mb_encoding encoding = format != NULL && strcmp(format, "slin") == 0 ? MB_S16LE : MB_MULAW;

	if (l->session != NULL)
		refuse(l, "it begins twice");
	else if (format == NULL || (strcmp(format, "ulaw") != 0 && encoding == MB_MULAW))
		refuse(l, "its audio is neither ulaw nor slin");
	else
	{
		l->width = mb_encoding_sample_size(encoding);
		l->frame = frame > 0 && frame <= 3200 ? frame / (int) l->width : GW_MEDIA_RATE / 50;
		http_loop_clear_timer(l->gateway->loop, &l->start);
		/* "": a token that is good for all tenants */
		if (l->tenant[0] != '\0')
			json_object_set_new(params, "tenant", json_string(l->tenant));
		text = json_dumps(params, JSON_COMPACT);
		if (text != NULL)
			l->session = gw_media_open(l->gateway->media, &peer, l, encoding,
									   &(gw_media_proof){ .token = l->token, .params = text });
		if (l->session == NULL)
			refuse(l, "out of memory");
		else
			hear(l, l->early.data, l->early.length);
		program_text_free(&l->early);
	}
	free(text);
	json_decref(params);
}

static void
take_event(line *l, const char *event, const json_t *message)
{
	const char *digit = json_string_value(json_object_get(message, "digit"));
	const char *mark = json_string_value(json_object_get(message, "correlation_id"));
	json_int_t queued = json_integer_value(json_object_get(message, "queue_length"));

	if (strcmp(event, "MEDIA_START") == 0)
		take_start(l, message);
	else if (l->session == NULL)
		; /* others may come before it */
	else if (strcmp(event, "DTMF_END") == 0)
	{
		if (digit == NULL || strlen(digit) != 1 || strchr("0123456789ABCD*#", *digit) == NULL)
			refuse(l, "a key is none");
		else
			gw_media_digit(l->session, *digit);
	}
	else if (strcmp(event, "MEDIA_XOFF") == 0 || strcmp(event, "MEDIA_XON") == 0)
		gw_media_flow(l->session, event[strlen(event) - 1] == 'N');
	else if (strcmp(event, "MEDIA_MARK_PROCESSED") == 0 && mark != NULL)
		gw_media_marked(l->session, (unsigned) strtoul(mark, NULL, 10));
	else if (strcmp(event, "STATUS") == 0 && l->clearing)
	{
		flush(l);
		gw_media_cleared(l->session, queued < 0 ? 0 : (uint64_t) queued * (uint64_t) l->frame);
	}
}

void
gw_asterisk_media_message(http_id id, bool text, const char *bytes, size_t n)
{
	line *l = find(id);
	json_t *message;
	const char *event;

	if (l == NULL || l->over)
		return;
	if (n > MAX_MESSAGE)
		refuse(l, "a message is too long");
	else if (!text && l->session != NULL)
		hear(l, bytes, n);
	else if (!text)
	{
		if (l->early.length + n > MAX_EARLY)
			refuse(l, "it has not begun");
		else
			program_text_add(&l->early, bytes, n);
	}
	else
	{
		message = json_loadb(bytes, n, 0, NULL);
		event = json_string_value(json_object_get(message, "event"));
		if (event == NULL)
			refuse(l, "a message is no event in JSON");
		else
			take_event(l, event, message);
		json_decref(message);
	}
}

bool
gw_asterisk_media_gone(http_id id)
{
	line *l = find(id);

	if (l == NULL)
		return false;
	if (l->session != NULL)
		gw_media_over(l->session, "the other side hung up");
	free_line(l);
	return true;
}

void
gw_asterisk_media_stopping(http_id id)
{
	line *l = find(id);

	if (l == NULL || l->session == NULL)
		return;
	gw_media_over(l->session, "the gateway ended");
	l->session = NULL;
	l->over = true;
}

/* GET /asterisk/media?uuid=… */
void
gw_handle_asterisk_media(gw_call *call)
{
	http_text query = http_request_query(call->request);
	http_id id = http_request_id(call->request);
	http_socket_options options = { .max_message = 2 * MAX_MESSAGE,
									.ping_ms = INT_MAX,
									.prompt = true };
	line *l;

	if (query.length != 41 || memcmp(query.data, "uuid=", 5) != 0)
	{
		gw_answer_detail(call->gateway, id, 400, "The query must be uuid= and the token of a call");
		return;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL)
	{
		gw_answer_detail(call->gateway, id, 503, "Out of memory");
		return;
	}
	if (mb_websocket_offers(http_request_head(call->request), http_request_bytes(call->request),
							SUBPROTOCOL))
		options.subprotocol = SUBPROTOCOL;
	l->gateway = call->gateway;
	l->id = id;
	l->start = (http_timer){ .due = is_late, .arg = l };
	l->status = (http_timer){ .due = no_status, .arg = l };
	memcpy(l->token, query.data + 5, query.length - 5);
	snprintf(l->tenant, sizeof(l->tenant), "%s", call->identity->tenant);
	l->next = lines[id % BUCKETS];
	lines[id % BUCKETS] = l;
	if (!http_upgrade(call->gateway->server, id, &options))
	{
		free_line(l);
		return;
	}
	http_loop_set_timer(call->gateway->loop, &l->start, http_clock() + START_WITHIN);
}
