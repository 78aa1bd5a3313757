/*
 * media_line.c
 *	  Sockets that bring calls: who comes, when they begin, and how they end; see media_line.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/web/websocket.h"
#include "log.h"
#include "media_line.h"

#define START_WITHIN (5 * HTTP_SECOND)
#define MAX_MESSAGE 65536
#define BUCKETS 256
#define POLICY 1008

static gw_media_line *lines[BUCKETS];

static gw_media_line *
find(http_id id)
{
	gw_media_line *l = lines[id % BUCKETS];

	while (l != NULL && l->id != id)
		l = l->next;
	return l;
}

static void
free_line(gw_media_line *l)
{
	gw_media_line **place = &lines[l->id % BUCKETS];

	while (*place != NULL && *place != l)
		place = &(*place)->next;
	if (*place != NULL)
		*place = l->next;
	http_loop_clear_timer(l->gateway->loop, &l->start);
	if (l->form->end != NULL)
		l->form->end(l);
	free(l);
}

void
gw_media_line_send(gw_media_line *l, bool text, const void *bytes, size_t n)
{
	(void) http_socket_send(l->gateway->server, l->id, text, bytes, n);
}

void
gw_media_line_send_audio(void *link, const uint8_t *audio, size_t n)
{
	gw_media_line_send(link, false, audio, n);
}

void
gw_media_line_close(void *link, int code, const char *reason)
{
	gw_media_line *l = link;

	l->session = NULL;
	l->over = true;
	http_loop_clear_timer(l->gateway->loop, &l->start);
	http_socket_close(l->gateway->server, l->id, code, reason);
}

void
gw_media_line_refuse(gw_media_line *l, const char *why)
{
	if (l->over)
		return;
	gw_log(GW_WARNING, "a stream sent what it must not", "%s", why);
	if (l->session != NULL)
		gw_media_end(l->session, POLICY, why);
	else
		l->form->peer->close(l, POLICY, why);
}

static void
is_late(void *arg)
{
	gw_media_line_refuse(arg, "it has not begun in time");
}

void
gw_media_line_begin(gw_media_line *l, mb_encoding encoding)
{
	json_t *params = json_object();
	char *text;

	http_loop_clear_timer(l->gateway->loop, &l->start);
	/* "": a token that is good for all tenants */
	if (l->tenant[0] != '\0')
		json_object_set_new(params, "tenant", json_string(l->tenant));
	text = json_dumps(params, JSON_COMPACT);
	if (text != NULL)
		l->session = gw_media_open(l->gateway->media, l->form->peer, l, encoding,
								   &(gw_media_proof){ .token = l->token, .params = text });
	free(text);
	json_decref(params);
	if (l->session == NULL)
		gw_media_line_refuse(l, "out of memory");
}

void
gw_media_line_heard(gw_media_line *l, const char *bytes, size_t n, size_t width)
{
	if (n % width != 0)
		gw_media_line_refuse(l, "its audio has half a sample");
	else if (n > 0)
		gw_media_heard(l->session, (const uint8_t *) bytes, n, -1, 0);
}

void
gw_media_line_digit(gw_media_line *l, const char *digit)
{
	if (gw_media_is_key(digit))
		gw_media_digit(l->session, *digit);
	else
		gw_media_line_refuse(l, "a key is none");
}

void
gw_media_line_message(http_id id, bool text, const char *bytes, size_t n)
{
	gw_media_line *l = find(id);
	json_t *message;

	if (l == NULL || l->over)
		return;
	if (n > MAX_MESSAGE)
		gw_media_line_refuse(l, "a message is too long");
	else if (!text)
		l->form->hear(l, bytes, n);
	else
	{
		message = json_loadb(bytes, n, 0, NULL);
		if (json_is_object(message))
			l->form->take(l, message);
		else
			gw_media_line_refuse(l, "a message is no object in JSON");
		json_decref(message);
	}
}

bool
gw_media_line_gone(http_id id)
{
	gw_media_line *l = find(id);

	if (l == NULL)
		return false;
	if (l->session != NULL)
		gw_media_over(l->session, "the other side hung up");
	free_line(l);
	return true;
}

void
gw_media_line_stopping(http_id id)
{
	gw_media_line *l = find(id);

	if (l == NULL || l->session == NULL)
		return;
	gw_media_over(l->session, "the gateway ended");
	l->session = NULL;
	l->over = true;
}

void
gw_media_line_request(gw_call *call, const gw_media_line_form *form)
{
	http_text query = http_request_query(call->request);
	http_id id = http_request_id(call->request);
	http_socket_options options = { .max_message = 2 * MAX_MESSAGE,
									.ping_ms = form->ping_ms,
									.prompt = true };
	gw_media_line *l;

	if (query.length != 41 || memcmp(query.data, "uuid=", 5) != 0)
	{
		gw_answer_detail(call->gateway, id, 400, "The query must be uuid= and the token of a call");
		return;
	}
	l = calloc(1, form->size);
	if (l == NULL)
	{
		gw_answer_detail(call->gateway, id, 503, "Out of memory");
		return;
	}
	if (mb_websocket_offers(http_request_head(call->request), http_request_bytes(call->request),
							form->subprotocol))
		options.subprotocol = form->subprotocol;
	l->gateway = call->gateway;
	l->id = id;
	l->form = form;
	l->start = (http_timer){ .due = is_late, .arg = l };
	memcpy(l->token, query.data + 5, query.length - 5);
	snprintf(l->tenant, sizeof(l->tenant), "%s", call->identity->tenant);
	l->next = lines[id % BUCKETS];
	lines[id % BUCKETS] = l;
	if (form->begin != NULL)
		form->begin(l);
	if (http_upgrade(call->gateway->server, id, &options))
		http_loop_set_timer(call->gateway->loop, &l->start, http_clock() + START_WITHIN);
	else
		free_line(l);
}
