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

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/web/form.h"
#include "gateway.h"
#include "log.h"

#define MAX_FILTERS 16
#define MAX_QUERY 4096
#define ROWS 500
#define GATHER (HTTP_SECOND / 10)
#define BUCKETS 1024
#define MAX_QUEUED (256 * 1024)
#define SUBPROTOCOL "mulberry.v1"

typedef struct client
{
	gw_supervisors *supervisors;
	http_id id;
	gw_identity *identity;
	char tenant[64]; /* "": all of the identity's */
	char *calls[MAX_FILTERS];
	int n_calls;
	char *kinds[MAX_FILTERS];
	int n_kinds;
	int64_t seq;	/* of the last stored event, of one tenant; -1: from now on */
	bool behind;	/* reads from the database */
	bool asking;	/* a unit is under way */
	bool overflown; /* its queue was dropped */
	bool gone;		/* frees itself when the unit is done */
	struct client *next;
} client;

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
	client *clients;
	int n;
	gathered *buckets[BUCKETS];
	http_timer flush;
	http_timer expiry;
};

static void read_on(client *c);

/* ---------------------------------------------------------------------------
 * Sending
 * ---------------------------------------------------------------------------
 */

static bool
wants(const client *c, const char *tenant, const char *event, const char *call_id)
{
	bool found = c->n_calls == 0;

	if (c->tenant[0] != '\0' && strcmp(c->tenant, tenant) != 0)
		return false;
	for (int i = 0; i < c->n_calls && !found; i++)
		found = call_id != NULL && strcmp(c->calls[i], call_id) == 0;
	if (!found)
		return false;
	found = c->n_kinds == 0;
	for (int i = 0; i < c->n_kinds && !found; i++)
		found = strcmp(c->kinds[i], event) == 0;
	return found;
}

/* A client that does not keep up loses what waits for it, and is told so once it reads again. */
static void
overflow(client *c)
{
	if (c->overflown)
		return;
	c->overflown = true;
	http_socket_drop_queue(c->supervisors->gateway->server, c->id);
}

static void
send_frame(client *c, http_blob *frame)
{
	if (!c->overflown &&
		http_socket_send_frame(c->supervisors->gateway->server, c->id, frame) == HTTP_FULL)
		overflow(c);
}

static void
send_text(client *c, const char *text, size_t n)
{
	if (!c->overflown &&
		http_socket_send(c->supervisors->gateway->server, c->id, true, text, n) == HTTP_FULL)
		overflow(c);
}

/* "Read the state anew": with the number from which on nothing is missing. */
static void
send_resync(client *c)
{
	char text[128];

	if (c->seq >= 0)
		snprintf(text, sizeof(text), "{\"event\":\"resync\",\"seq\":%lld}", (long long) c->seq);
	else
		snprintf(text, sizeof(text), "{\"event\":\"resync\"}");
	send_text(c, text, strlen(text));
}

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

	for (client *c = supervisors->clients; c != NULL && frame != NULL; c = c->next)
	{
		if ((c->n_calls > 0) == with_calls && wants(c, tenant, event, call_id))
			send_frame(c, frame);
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
	gw_text key = { 0 };
	uint32_t hash = 2166136261u;
	gathered *g;

	gw_text_printf(&key, "%s %s %s %s", tenant, event, track == NULL ? "" : track,
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
			gw_text_free(&key);
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
		gw_text_free(&key);
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

	for (client *c = supervisors->clients; c != NULL && frame != NULL; c = c->next)
	{
		if (c->tenant[0] == '\0')
		{
			if (wants(c, tenant, event, call_id))
				send_frame(c, frame);
			continue;
		}
		if (strcmp(c->tenant, tenant) != 0 || c->behind || (c->seq >= 0 && seq <= c->seq))
			continue;
		if (c->seq < 0)
			c->seq = prev;
		if (prev > c->seq || !whole)
		{
			c->behind = true;
			read_on(c);
			continue;
		}
		c->seq = seq;
		if (wants(c, tenant, event, call_id))
			send_frame(c, frame);
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
		for (client *c = supervisors->clients; c != NULL; c = c->next)
		{
			if (c->tenant[0] == '\0' || strcmp(c->tenant, tenant) == 0)
				send_text(c, payload, strlen(payload));
		}
	}
	json_decref(message);
}

void
gw_supervisors_missed(gw_supervisors *supervisors)
{
	for (client *c = supervisors->clients; c != NULL; c = c->next)
	{
		if (c->tenant[0] == '\0' || c->seq < 0)
			send_resync(c);
		else
		{
			c->behind = true;
			read_on(c);
		}
	}
}

/* ---------------------------------------------------------------------------
 * Reading what was
 * ---------------------------------------------------------------------------
 */

typedef struct reading
{
	gw_unit unit;
	client *client;
	char since[24];
	char rows[12];
} reading;

static void
free_client(client *c)
{
	for (int i = 0; i < c->n_calls; i++)
		free(c->calls[i]);
	for (int i = 0; i < c->n_kinds; i++)
		free(c->kinds[i]);
	gw_identity_release(c->identity);
	free(c);
}

static void
have_read(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	reading *r = (reading *) unit;
	client *c = r->client;
	int n = outcome == GW_COMMITTED ? PQntuples(result) : 0;

	free(r);
	c->asking = false;
	if (c->gone)
	{
		free_client(c);
		return;
	}
	if (outcome == GW_REFUSED || outcome == GW_FAILED)
	{
		http_socket_close(c->supervisors->gateway->server, c->id, 1008,
						  "the token is not valid, or does not allow this");
		return;
	}
	/* columns: seq, prev, event, call_id, message */
	for (int i = 0; i < n && !c->overflown; i++)
	{
		int64_t seq = strtoll(PQgetvalue(result, i, 0), NULL, 10);

		if (i == 0 && strtoll(PQgetvalue(result, i, 1), NULL, 10) > c->seq)
			send_resync(c);
		if (wants(c, c->tenant, PQgetvalue(result, i, 2),
				  PQgetisnull(result, i, 3) ? NULL : PQgetvalue(result, i, 3)))
			send_text(c, PQgetvalue(result, i, 4), (size_t) PQgetlength(result, i, 4));
		if (!c->overflown)
			c->seq = seq;
	}
	/* a page that is not full was the last one; what came meanwhile is told by what comes next */
	if (outcome == GW_COMMITTED && n < ROWS)
		c->behind = false;
	else if (!c->overflown)
		read_on(c);
}

/* The next page of events; nothing while the last one is on its way, or while the client does not read. */
static void
read_on(client *c)
{
	reading *r;

	if (c->asking || c->overflown)
		return;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return;
	c->asking = true;
	r->client = c;
	snprintf(r->since, sizeof(r->since), "%lld", (long long) c->seq);
	snprintf(r->rows, sizeof(r->rows), "%d", ROWS);
	r->unit.statement = GW_EVENTS;
	r->unit.n_parameters = 3;
	r->unit.values[0] = r->since;
	r->unit.values[1] = r->rows;
	r->unit.values[2] = c->tenant;
	r->unit.done = have_read;
	gw_unit_for(&r->unit, c->identity);
	gw_database_add(c->supervisors->gateway->database, &r->unit);
}

void
gw_supervisors_writable(gw_supervisors *supervisors, http_id id)
{
	for (client *c = supervisors->clients; c != NULL; c = c->next)
	{
		if (c->id != id || !c->overflown)
			continue;
		c->overflown = false;
		send_resync(c);
		if (c->tenant[0] != '\0' && c->seq >= 0)
		{
			c->behind = true;
			read_on(c);
		}
	}
}

/* ---------------------------------------------------------------------------
 * Coming and going
 * ---------------------------------------------------------------------------
 */

/* Whether a page of that origin may listen: one of the list, or of the very host that it connects to. */
static bool
origin_may(const gw_gateway *gateway, const http_request *request)
{
	http_text origin = http_request_header(request, "Origin");
	http_text host = http_request_header(request, "Host");
	size_t scheme;

	if (origin.data == NULL)
		return true;
	for (int i = 0; i < gateway->options->n_origin; i++)
	{
		const char *allowed = gateway->options->origin[i];

		if (strcmp(allowed, "*") == 0 ||
			(strlen(allowed) == origin.length && memcmp(allowed, origin.data, origin.length) == 0))
			return true;
	}
	scheme = origin.length > 8 && memcmp(origin.data, "https://", 8) == 0  ? 8
			 : origin.length > 7 && memcmp(origin.data, "http://", 7) == 0 ? 7
																		   : 0;
	return scheme > 0 && host.length == origin.length - scheme &&
		   memcmp(host.data, origin.data + scheme, host.length) == 0;
}

/* Reads the query into a client; what is wrong with it, or NULL. */
static const char *
read_query(client *c, const http_request *request)
{
	http_text query = http_request_query(request);
	mb_form_field fields[3 * MAX_FILTERS];
	char storage[MAX_QUERY];
	size_t n = 0;

	if (query.length > sizeof(storage) ||
		mb_form_parse(query.data, query.length, storage, fields, sizeof(fields) / sizeof(fields[0]),
					  &n) != MB_OK)
		return "The query is too long";
	for (size_t i = 0; i < n; i++)
	{
		const mb_form_field *f = &fields[i];
		char *value = strndup(f->value, f->value_length);
		char *end;

		if (value == NULL)
			return "Out of memory";
		if (mb_form_field_is(f, "call") && c->n_calls < MAX_FILTERS)
			c->calls[c->n_calls++] = value;
		else if (mb_form_field_is(f, "kind") && c->n_kinds < MAX_FILTERS)
			c->kinds[c->n_kinds++] = value;
		else if (mb_form_field_is(f, "since"))
		{
			c->seq = strtoll(value, &end, 10);
			if (*value < '0' || *value > '9' || *end != '\0')
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

/* GET /ws/supervisor */
void
gw_handle_supervisor(gw_call *call)
{
	gw_supervisors *supervisors = call->gateway->supervisors;
	http_id id = http_request_id(call->request);
	http_socket_options options = { .max_message = 4096, .max_queued = MAX_QUEUED };
	client *c = calloc(1, sizeof(*c));
	const char *wrong;

	if (c == NULL)
	{
		gw_answer_detail(call->gateway, id, 503, "Out of memory");
		return;
	}
	c->supervisors = supervisors;
	c->id = id;
	c->identity = gw_identity_hold(call->identity);
	c->seq = -1;
	wrong = read_query(c, call->request);
	if (wrong != NULL || !origin_may(call->gateway, call->request))
	{
		if (wrong != NULL)
			gw_answer_detail(call->gateway, id, 400, "%s", wrong);
		else
			gw_answer_detail(call->gateway, id, 403, "Pages of this origin may not listen");
		free_client(c);
		return;
	}
	if (mb_websocket_offers(http_request_head(call->request), http_request_bytes(call->request),
							SUBPROTOCOL))
		options.subprotocol = SUBPROTOCOL;
	if (!http_upgrade(call->gateway->server, id, &options))
	{
		free_client(c);
		return;
	}
	c->next = supervisors->clients;
	supervisors->clients = c;
	supervisors->n++;
	gw_feed_hear(call->gateway->feed, c->tenant);
	if (c->seq >= 0)
	{
		c->behind = true;
		read_on(c);
	}
}

void
gw_supervisors_stopping(gw_supervisors *supervisors, http_id id)
{
	for (client *c = supervisors->clients; c != NULL; c = c->next)
	{
		if (c->id == id)
			send_resync(c);
	}
}

void
gw_supervisors_gone(gw_supervisors *supervisors, http_id id)
{
	for (client **place = &supervisors->clients; *place != NULL; place = &(*place)->next)
	{
		client *c = *place;

		if (c->id != id)
			continue;
		*place = c->next;
		supervisors->n--;
		c->gone = true;
		if (!c->asking)
			free_client(c);
		return;
	}
}

void
gw_supervisors_revoked(gw_supervisors *supervisors, const char *id)
{
	for (client *c = supervisors->clients; c != NULL; c = c->next)
	{
		if (strcmp(c->identity->id, id) == 0)
			http_socket_close(supervisors->gateway->server, c->id, 1008, "the token was revoked");
	}
}

/* Tokens that expire while somebody listens. */
static void
expire(void *arg)
{
	gw_supervisors *supervisors = arg;
	int64_t now = http_clock();

	for (client *c = supervisors->clients; c != NULL; c = c->next)
	{
		if (c->identity->expires != 0 && now >= c->identity->expires)
			http_socket_close(supervisors->gateway->server, c->id, 1008, "the token has expired");
	}
	http_loop_set_timer(supervisors->gateway->loop, &supervisors->expiry, now + HTTP_SECOND);
}

gw_supervisors *
gw_supervisors_new(gw_gateway *gateway)
{
	gw_supervisors *supervisors = calloc(1, sizeof(*supervisors));

	if (supervisors == NULL)
		return NULL;
	supervisors->gateway = gateway;
	supervisors->flush = (http_timer){ .due = flush, .arg = supervisors };
	supervisors->expiry = (http_timer){ .due = expire, .arg = supervisors };
	expire(supervisors);
	return supervisors;
}

void
gw_supervisors_free(gw_supervisors *supervisors)
{
	http_loop_clear_timer(supervisors->gateway->loop, &supervisors->flush);
	http_loop_clear_timer(supervisors->gateway->loop, &supervisors->expiry);
	flush(supervisors);
	free(supervisors);
}

int
gw_supervisors_count(const gw_supervisors *supervisors)
{
	return supervisors->n;
}
