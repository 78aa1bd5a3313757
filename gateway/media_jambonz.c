/*
 * media_jambonz.c
 *	  The verb listen of jambonz, /jambonz/media: the first message is about the call, in JSON, then binary ones are audio, 16 bits with 8000
 *	  samples a second, both ways (bidirectionalAudio with streaming).
 *
 * It plays what comes when it comes.  It has marks and a way to clear, but answers marks at once or not at all: so it is fed as it plays,
 * a frame each 20 ms and little ahead, and what was sent was heard.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/web/websocket.h"
#include "gateway.h"
#include "log.h"

#define START_WITHIN (5 * HTTP_SECOND)
#define MAX_MESSAGE 65536
#define BUCKETS 256
#define POLICY 1008
#define STEP_MS 20
#define LEAD_MS 60
#define WIDTH 2 /* bytes of a sample */
#define SUBPROTOCOL "audio.jambonz.org"

typedef struct line
{
	gw_gateway *gateway;
	http_id id;
	http_timer start;
	gw_media_session *session;
	bool over;
	char token[64];
	char tenant[64];
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
	free(l);
}

static void
send_audio(void *link, const uint8_t *audio, size_t n)
{
	line *l = link;

	(void) http_socket_send(l->gateway->server, l->id, false, audio, n);
}

/* Its application goes on behind the verb. */
static void
close_line(void *link, int code, const char *reason)
{
	static const char disconnect[] = "{\"type\":\"disconnect\"}";
	line *l = link;

	l->session = NULL;
	l->over = true;
	http_loop_clear_timer(l->gateway->loop, &l->start);
	(void) http_socket_send(l->gateway->server, l->id, true, disconnect, sizeof(disconnect) - 1);
	http_socket_close(l->gateway->server, l->id, code, reason);
}

static const gw_media_peer peer = { .name = "jambonz",
									.lead_ms = LEAD_MS,
									.step_ms = STEP_MS,
									.keeps_no_time = true,
									.tells_digits = true,
									.send = send_audio,
									.close = close_line };

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
take_start(line *l, const json_t *message)
{
	const char *mix = json_string_value(json_object_get(message, "mixType"));
	json_t *params = json_object();
	char *text;

	if (json_integer_value(json_object_get(message, "sampleRate")) != GW_MEDIA_RATE ||
		(mix != NULL && strcmp(mix, "mono") != 0))
	{
		json_decref(params);
		refuse(l, "its audio is not of one side with 8000 samples a second");
		return;
	}
	http_loop_clear_timer(l->gateway->loop, &l->start);
	/* "": a token that is good for all tenants */
	if (l->tenant[0] != '\0')
		json_object_set_new(params, "tenant", json_string(l->tenant));
	text = json_dumps(params, JSON_COMPACT);
	if (text != NULL)
		l->session = gw_media_open(l->gateway->media, &peer, l, MB_S16LE,
								   &(gw_media_proof){ .token = l->token, .params = text });
	free(text);
	json_decref(params);
	if (l->session == NULL)
		refuse(l, "out of memory");
}

static void
take_event(line *l, const json_t *message)
{
	const char *event = json_string_value(json_object_get(message, "event"));
	const char *digit = json_string_value(json_object_get(message, "dtmf"));

	/* others tell of what is nothing to us, such as marks */
	if (event == NULL || strcmp(event, "dtmf") != 0)
		return;
	if (digit == NULL || strlen(digit) != 1 || strchr("0123456789ABCD*#", *digit) == NULL)
		refuse(l, "a key is none");
	else
		gw_media_digit(l->session, *digit);
}

void
gw_jambonz_media_message(http_id id, bool text, const char *bytes, size_t n)
{
	line *l = find(id);
	json_t *message;

	if (l == NULL || l->over)
		return;
	if (n > MAX_MESSAGE)
		refuse(l, "a message is too long");
	else if (!text && l->session == NULL)
		refuse(l, "it has not begun");
	else if (!text && n % WIDTH != 0)
		refuse(l, "its audio has half a sample");
	else if (!text)
	{
		if (n > 0)
			gw_media_heard(l->session, (const uint8_t *) bytes, n, -1, 0);
	}
	else
	{
		message = json_loadb(bytes, n, 0, NULL);
		if (!json_is_object(message))
			refuse(l, "a message is no object in JSON");
		else if (l->session == NULL)
			take_start(l, message);
		else
			take_event(l, message);
		json_decref(message);
	}
}

bool
gw_jambonz_media_gone(http_id id)
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
gw_jambonz_media_stopping(http_id id)
{
	line *l = find(id);

	if (l == NULL || l->session == NULL)
		return;
	gw_media_over(l->session, "the gateway ended");
	l->session = NULL;
	l->over = true;
}

/* GET /jambonz/media?uuid=… */
void
gw_handle_jambonz_media(gw_call *call)
{
	http_text query = http_request_query(call->request);
	http_id id = http_request_id(call->request);
	http_socket_options options = { .max_message = 2 * MAX_MESSAGE, .prompt = true };
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
