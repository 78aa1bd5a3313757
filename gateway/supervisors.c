/*
 * supervisors.c
 *	  WebSockets that hear what happens to calls.
 *
 * Each stored event has a number within its tenant and names the one before. Whoever hears one tenant
 * has the number of his last one: what does not follow it is not sent, but everything from there on is read
 * from the database, in a transaction of his own identity. So nothing is missing, whoever was away: he
 * himself (?since=), the session that listens, or the gateway.
 *
 * Events of packets come by the thousand. They are gathered per call for a tenth of a second, unless a
 * client has asked for that call; each is written once for all clients.
 */
#include "supervisors.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/utf8.h"
#include "core/web/form.h"
#include "gateway.h"
#include "past.h"
#include "supervisor.h"

#define MAX_QUERY 4096
#define GATHER (HTTP_SECOND / 10)
#define BUCKETS 1024
#define MAX_QUEUED (256 * 1024)
#define SUBPROTOCOL "mulberry.v1"

/* Events of the packets of a call that wait. */
typedef struct gathered
{
	char *key; /* tenant, event and call */
	char tenant[64];
	json_t *last;
	json_int_t packets;
	struct gathered *next;
} gathered;

struct gw_supervisors
{
	gw_gateway *gateway;
	gw_supervisor *clients;
	int n;
	gw_supervisor *coming; /* are let in when packets are heard */
	int n_coming;
	gathered *buckets[BUCKETS];
	http_timer flush;
	http_timer second;
};

/* ---------------------------------------------------------------------------
 * Sending
 * ---------------------------------------------------------------------------
 */

static const char *
text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* To all who want it; with_calls: to those alone who have asked for calls, or to the others. */
static void
send_packets(gw_supervisors *supervisors, const char *tenant, const json_t *message,
			 bool with_calls)
{
	char *text = json_dumps(message, JSON_COMPACT);
	http_blob *frame = text == NULL ? NULL : http_frame_new(true, text, strlen(text));
	const char *event = text_of(message, "event");
	const char *call_id = text_of(message, "call_id");

	for (gw_supervisor *c = supervisors->clients; c != NULL && frame != NULL; c = c->next)
	{
		if ((c->n_calls > 0) == with_calls && !gw_supervisor_is_doubted(c) &&
			gw_supervisor_wants(c, tenant, event, call_id))
			gw_supervisor_send_frame(c, frame);
	}
	http_blob_release(frame);
	free(text);
}

static void
flush(void *arg)
{
	gw_supervisors *supervisors = arg;

	for (int i = 0; i < BUCKETS; i++)
	{
		while (supervisors->buckets[i] != NULL)
		{
			gathered *g = supervisors->buckets[i];

			supervisors->buckets[i] = g->next;
			json_object_set_new(g->last, "packets", json_integer(g->packets));
			send_packets(supervisors, g->tenant, g->last, false);
			json_decref(g->last);
			free(g->key);
			free(g);
		}
	}
}

static void
gather(gw_supervisors *supervisors, const char *tenant, json_t *message)
{
	const char *event = text_of(message, "event");
	const char *call_id = text_of(message, "call_id");
	const char *track = text_of(message, "track");
	json_int_t packets = json_integer_value(json_object_get(message, "packets"));
	program_text key = { 0 };
	uint32_t hash = 2166136261u;
	gathered *g;

	program_text_printf(&key, "%s %s %s %s", tenant, event, track == NULL ? "" : track,
						call_id == NULL ? "" : call_id);
	if (key.failed)
		return;
	for (size_t i = 0; i < key.length; i++)
		hash = (hash ^ (unsigned char) key.data[i]) * 16777619u;
	for (g = supervisors->buckets[hash % BUCKETS]; g != NULL && strcmp(g->key, key.data) != 0;)
		g = g->next;
	if (g == NULL)
	{
		g = calloc(1, sizeof(*g));
		if (g == NULL)
		{
			program_text_free(&key);
			return;
		}
		g->key = key.data;
		snprintf(g->tenant, sizeof(g->tenant), "%s", tenant);
		g->next = supervisors->buckets[hash % BUCKETS];
		supervisors->buckets[hash % BUCKETS] = g;
		if (supervisors->flush.place == 0)
			http_loop_set_timer(supervisors->gateway->loop, &supervisors->flush,
								http_clock() + GATHER);
	}
	else
		program_text_free(&key);
	json_decref(g->last);
	g->last = json_incref(message);
	g->packets += packets > 0 ? packets : 1;
}

/* One that is stored: in its place among the others, or everything from the gap on. */
static void
send_stored(gw_supervisors *supervisors, const char *tenant, const json_t *message,
			const char *payload)
{
	int64_t seq = json_integer_value(json_object_get(message, "seq"));
	int64_t prev = json_integer_value(json_object_get(message, "prev"));
	bool whole = !json_is_true(json_object_get(message, "truncated"));
	const char *event = text_of(message, "event");
	const char *call_id = text_of(message, "call_id");
	http_blob *frame = http_frame_new(true, payload, strlen(payload));

	for (gw_supervisor *c = supervisors->clients; c != NULL && frame != NULL; c = c->next)
	{
		if (c->tenant[0] == '\0')
		{
			if (!c->behind && gw_supervisor_wants(c, tenant, event, call_id))
				gw_supervisor_send_frame(c, frame);
			continue;
		}
		if (strcmp(c->tenant, tenant) != 0)
			continue;
		c->missed = c->missed || c->behind;
		if (c->behind || (c->seq >= 0 && seq <= c->seq))
			continue;
		if (c->seq < 0)
			c->seq = prev;
		if (prev > c->seq || !whole)
		{
			c->behind = true;
			gw_supervisor_read_on(c);
			continue;
		}
		c->seq = seq;
		if (gw_supervisor_wants(c, tenant, event, call_id))
			gw_supervisor_send_frame(c, frame);
	}
	http_blob_release(frame);
}

void
gw_supervisors_event(gw_supervisors *supervisors, const char *tenant, const char *payload)
{
	json_t *message = supervisors->clients == NULL ? NULL : json_loads(payload, 0, NULL);
	const char *event = text_of(message, "event");

	if (event == NULL)
		;
	else if (json_object_get(message, "seq") != NULL)
		send_stored(supervisors, tenant, message, payload);
	else if (strncmp(event, "packet_", 7) == 0)
	{
		/* as VoiceStream says it */
		if (strcmp(event, "packet_rejected") == 0)
			json_object_set_new(message, "reason", json_string("Call already completed"));
		send_packets(supervisors, tenant, message, true);
		gather(supervisors, tenant, message);
	}
	else if (strcmp(event, "resync") == 0)
	{
		for (gw_supervisor *c = supervisors->clients; c != NULL; c = c->next)
		{
			if (c->tenant[0] == '\0' || strcmp(c->tenant, tenant) == 0)
				gw_supervisor_send(c, payload, strlen(payload));
		}
	}
	json_decref(message);
}

/* Those with that token (NULL: all) are asked about; who is still to be let in, when he is. */
static void
doubt(gw_supervisors *supervisors, const char *id)
{
	for (gw_supervisor *c = supervisors->clients; c != NULL; c = c->next)
	{
		if (id != NULL && strcmp(c->identity->id, id) != 0)
			continue;
		gw_supervisor_doubt(c);
		gw_supervisor_read_on(c);
	}
	for (gw_supervisor *c = supervisors->coming; c != NULL; c = c->next)
	{
		if (id == NULL || strcmp(c->identity->id, id) == 0)
			gw_supervisor_doubt(c);
	}
}

void
gw_supervisors_missed(gw_supervisors *supervisors)
{
	doubt(supervisors, NULL);
}

void
gw_supervisors_writable(gw_supervisors *supervisors, http_id id)
{
	for (gw_supervisor *c = supervisors->clients; c != NULL; c = c->next)
	{
		if (c->id != id || !c->overflown)
			continue;
		c->overflown = false;
		gw_supervisor_send_resync(c);
		c->behind = c->behind || gw_supervisor_has_number(c);
		if (c->behind)
			gw_supervisor_read_on(c);
	}
}

/* ---------------------------------------------------------------------------
 * Coming and going
 * ---------------------------------------------------------------------------
 */

/* Whether a page of that origin may listen: one of the list, or of the very host that it connects to. */
bool
gw_origin_may(const gw_gateway *gateway, const http_request *request)
{
	http_text origin = http_request_header(request, "Origin");
	http_text host = http_request_header(request, "Host");
	size_t scheme;

	if (origin.data == NULL)
		return true;
	if (gw_options_name_origin(gateway->options, origin.data, origin.length))
		return true;
	scheme = origin.length > 8 && memcmp(origin.data, "https://", 8) == 0  ? 8
			 : origin.length > 7 && memcmp(origin.data, "http://", 7) == 0 ? 7
																		   : 0;
	return scheme > 0 && host.length == origin.length - scheme &&
		   memcmp(host.data, origin.data + scheme, host.length) == 0;
}

/* Reads the query into a client; what is wrong with it, or NULL. */
static const char *
read_query(gw_supervisor *c, const http_request *request)
{
	http_text query = http_request_query(request);
	mb_form_field fields[3 * GW_MAX_FILTERS];
	char storage[MAX_QUERY];
	size_t n = 0;

	if (query.length > sizeof(storage) ||
		mb_form_parse(query.data, query.length, storage, fields, sizeof(fields) / sizeof(fields[0]),
					  &n) != MB_OK)
		return "The query is too long";
	for (size_t i = 0; i < n; i++)
	{
		const mb_form_field *f = &fields[i];
		char *value;
		char *end;

		if (memchr(f->value, '\0', f->value_length) != NULL ||
			mb_utf8_prefix(f->value, f->value_length) != f->value_length)
			return "The query is not UTF-8 in percent-encoding";
		value = strndup(f->value, f->value_length);
		if (value == NULL)
			return "Out of memory";
		if (mb_form_field_is(f, "call") && c->n_calls < GW_MAX_FILTERS)
			c->calls[c->n_calls++] = value;
		else if (mb_form_field_is(f, "kind") && c->n_kinds < GW_MAX_FILTERS)
			c->kinds[c->n_kinds++] = value;
		else if (mb_form_field_is(f, "since"))
		{
			errno = 0;
			c->seq = strtoll(value, &end, 10);
			if (*value < '0' || *value > '9' || *end != '\0' || errno != 0)
				c->seq = -2;
			free(value);
			if (c->seq < 0)
				return "since is the number of the last event that was seen, 0 for all";
		}
		else if (mb_form_field_is(f, "tenant") && strlen(value) < sizeof(c->tenant))
		{
			snprintf(c->tenant, sizeof(c->tenant), "%s", value);
			free(value);
		}
		else
		{
			bool known = mb_form_field_is(f, "token");

			free(value);
			if (!known)
				return "The query has since, tenant, at most 16 of call and of kind, and nothing "
					   "else";
		}
	}
	if (c->identity->tenant[0] != '\0')
	{
		if (c->tenant[0] != '\0' && strcmp(c->tenant, c->identity->tenant) != 0)
			return "There is no such tenant";
		snprintf(c->tenant, sizeof(c->tenant), "%s", c->identity->tenant);
	}
	if (c->seq >= 0 && c->tenant[0] == '\0')
		return "since is a number of one tenant: name it";
	return NULL;
}

/* A client becomes one, unless his request is no more. */
static void
let_in(gw_supervisors *supervisors, gw_supervisor *c)
{
	/* what waits in the kernel cannot be dropped, and would be old when it is read */
	http_socket_options options = { .max_message = 4096, .max_queued = MAX_QUEUED, .prompt = true };

	if (c->names_subprotocol)
		options.subprotocol = SUBPROTOCOL;
	if (!http_upgrade(supervisors->gateway->server, c->id, &options))
	{
		gw_supervisor_free(c);
		return;
	}
	c->next = supervisors->clients;
	supervisors->clients = c;
	supervisors->n++;
	gw_feed_hear(supervisors->gateway->feed, c->tenant);
	if (c->seq >= 0 || gw_supervisor_is_doubted(c))
	{
		c->behind = true;
		gw_supervisor_read_on(c);
	}
}

void
gw_supervisors_heard(gw_supervisors *supervisors)
{
	gw_supervisor *coming = supervisors->coming;

	supervisors->coming = NULL;
	supervisors->n_coming = 0;
	while (coming != NULL)
	{
		gw_supervisor *c = coming;

		coming = c->next;
		let_in(supervisors, c);
	}
}

/* GET /ws/supervisor */
void
gw_handle_supervisor(gw_call *call)
{
	gw_supervisors *supervisors = call->gateway->supervisors;
	http_id id = http_request_id(call->request);
	gw_supervisor *c = calloc(1, sizeof(*c));
	const char *wrong;

	if (c == NULL)
	{
		gw_answer_detail(call->gateway, id, 503, "Out of memory");
		return;
	}
	c->gateway = call->gateway;
	c->id = id;
	c->identity = gw_identity_hold(call->identity);
	c->seq = -1;
	wrong = read_query(c, call->request);
	if (wrong != NULL || !gw_origin_may(call->gateway, call->request))
	{
		if (wrong != NULL)
			gw_answer_detail(call->gateway, id, 400, "%s", wrong);
		else
			gw_answer_detail(call->gateway, id, 403, "Pages of this origin may not listen");
		gw_supervisor_free(c);
		return;
	}
	c->names_subprotocol = mb_websocket_offers(http_request_head(call->request),
											   http_request_bytes(call->request), SUBPROTOCOL);
	if (gw_feed_hear_packets(call->gateway->feed))
		let_in(supervisors, c);
	else
	{
		c->next = supervisors->coming;
		supervisors->coming = c;
		supervisors->n_coming++;
	}
}

void
gw_supervisors_stopping(gw_supervisors *supervisors, http_id id)
{
	for (gw_supervisor *c = supervisors->clients; c != NULL; c = c->next)
	{
		if (c->id == id)
			gw_supervisor_send_resync(c);
	}
}

void
gw_supervisors_gone(gw_supervisors *supervisors, http_id id)
{
	for (gw_supervisor **place = &supervisors->clients; *place != NULL; place = &(*place)->next)
	{
		gw_supervisor *c = *place;

		if (c->id != id)
			continue;
		*place = c->next;
		supervisors->n--;
		c->gone = true;
		if (!c->asking)
			gw_supervisor_free(c);
		return;
	}
}

void
gw_supervisors_revoked(gw_supervisors *supervisors, const char *id)
{
	/* anybody who may connect to the database can say so */
	doubt(supervisors, id);
}

/* Once a second: tokens that expire while somebody listens, and who waits for the past in vain. */
static void
every_second(void *arg)
{
	gw_supervisors *supervisors = arg;
	int64_t now = http_clock();

	for (gw_supervisor *c = supervisors->clients; c != NULL; c = c->next)
	{
		if (c->identity->expires != 0 && now >= c->identity->expires)
			http_socket_close(supervisors->gateway->server, c->id, 1008, "the token has expired");
		else if (c->behind)
			gw_supervisor_read_on(c);
	}
	http_loop_set_timer(supervisors->gateway->loop, &supervisors->second, now + HTTP_SECOND);
}

gw_supervisors *
gw_supervisors_new(gw_gateway *gateway)
{
	gw_supervisors *supervisors = calloc(1, sizeof(*supervisors));

	if (supervisors == NULL)
		return NULL;
	supervisors->gateway = gateway;
	supervisors->flush = (http_timer){ .due = flush, .arg = supervisors };
	supervisors->second = (http_timer){ .due = every_second, .arg = supervisors };
	every_second(supervisors);
	return supervisors;
}

void
gw_supervisors_free(gw_supervisors *supervisors)
{
	http_loop_clear_timer(supervisors->gateway->loop, &supervisors->flush);
	http_loop_clear_timer(supervisors->gateway->loop, &supervisors->second);
	flush(supervisors);
	while (supervisors->coming != NULL)
	{
		gw_supervisor *c = supervisors->coming;

		supervisors->coming = c->next;
		gw_supervisor_free(c);
	}
	free(supervisors);
}

int
gw_supervisors_count(const gw_supervisors *supervisors)
{
	return supervisors->n + supervisors->n_coming;
}
