/*
 * poster_gateway.c
 *	  Packets of calls to a gateway, a request each, several of them under way over connections that are kept; see poster.h.
 *
 * A packet is answered when the gateway says of that very packet that it was accepted, or had been there. What else
 * answers, such as the page of a network that wants a password, is none.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway_call.h"
#include "json.h"
#include "poster_kinds.h"

#define UNDER_WAY 16	  /* requests, each over a connection of its own */
#define ANSWER_SECONDS 60 /* beyond what the gateway waits for its database */
#define SLICE 200		  /* milliseconds after which the deadline is looked at */
#define MAX_HEADER 320

/* A packet, from when it is added until it is answered. */
typedef struct slot
{
	CURL *request; /* NULL: never used */
	edge_gateway_body body;
	char said[CURL_ERROR_SIZE];
	struct curl_slist *headers;
	char track[MAX_HEADER]; /* header; "": none */
	char when[64];			/* the same */
	int64_t sequence;
	bool taken;
	bool started; /* it is under way */
	bool again;	  /* it was sent before, and not answered */
} slot;

typedef struct gateway_poster
{
	edge_poster poster; /* first */
	edge_gateway *gateway;
	CURLM *multi;
	slot slots[UNDER_WAY];
} gateway_poster;

static gateway_poster *
of(edge_poster *poster)
{
	return (gateway_poster *) poster;
}

static edge_exit
out_of_memory(gateway_poster *p)
{
	snprintf(p->gateway->problem, sizeof(p->gateway->problem), "out of memory");
	return EDGE_EXIT_FAILED;
}

static edge_exit
refuse(gateway_poster *p, const char *what)
{
	snprintf(p->gateway->problem, sizeof(p->gateway->problem), "%s", what);
	return EDGE_EXIT_REFUSED;
}

/* ---------------------------------------------------------------------------
 * Packets
 * ---------------------------------------------------------------------------
 */

/* Not under way any more; it stays taken. */
static void
stop(gateway_poster *p, slot *s)
{
	if (s->started)
		curl_multi_remove_handle(p->multi, s->request);
	s->started = false;
	curl_slist_free_all(s->headers);
	s->headers = NULL;
}

static edge_exit
start(gateway_poster *p, slot *s)
{
	struct curl_slist *longer;
	char sequence[64];
	const char *lines[] = { "Content-Type: application/octet-stream", "Expect:", sequence, s->when,
							s->track };
	edge_exit status = edge_gateway_authorize(p->gateway, &s->headers);

	snprintf(sequence, sizeof(sequence), "Mulberry-Sequence: %" PRId64, s->sequence);
	for (size_t i = 0; status == EDGE_EXIT_OK && i < sizeof(lines) / sizeof(lines[0]); i++)
	{
		if (*lines[i] == '\0')
			continue;
		longer = curl_slist_append(s->headers, lines[i]);
		if (longer == NULL)
			status = out_of_memory(p);
		else
			s->headers = longer;
	}
	s->body.length = 0;
	s->said[0] = '\0';
	if (status == EDGE_EXIT_OK)
	{
		curl_easy_setopt(s->request, CURLOPT_HTTPHEADER, s->headers);
		if (curl_multi_add_handle(p->multi, s->request) != CURLM_OK)
			status = out_of_memory(p);
	}
	s->started = status == EDGE_EXIT_OK;
	if (!s->started)
		stop(p, s);
	return status;
}

/* What was said of a packet. */
static edge_exit
judge(gateway_poster *p, slot *s, CURLcode code)
{
	edge_exit status = edge_gateway_judge(p->gateway, s->request, code, &s->body, s->said);
	edge_json answer;
	edge_json what;
	char text[200];

	p->poster.wait = p->gateway->retry_after;
	if (status != EDGE_EXIT_OK)
		return status;
	answer = edge_json_value(s->body.text, s->body.length);
	what = edge_json_member(answer, "status");
	if (edge_json_integer(edge_json_member(answer, "sequence"), -1) != s->sequence)
	{
		snprintf(p->gateway->problem, sizeof(p->gateway->problem),
				 "%s answers, and not what it was asked", p->gateway->url);
		return EDGE_EXIT_UNREACHABLE;
	}
	if (edge_json_is(what, "duplicate"))
		p->poster.counters.duplicates += !s->again;
	else if (!edge_json_is(what, "accepted"))
	{
		edge_json message = edge_json_member(answer, "message");

		snprintf(text, sizeof(text), "packet %" PRId64 ": %.*s", s->sequence,
				 message.begin == NULL ? 8 : (int) (message.end - message.begin),
				 message.begin == NULL ? "rejected" : message.begin);
		return refuse(p, text);
	}
	s->taken = false;
	p->poster.counters.acknowledged++;
	edge_poster_answered(&p->poster);
	return EDGE_EXIT_OK;
}

/* Takes what has been answered. */
static edge_exit
take_answers(gateway_poster *p)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(p->multi, &left)) != NULL)
	{
		CURLcode code = message->data.result;
		slot *s = NULL;
		edge_exit status;

		if (message->msg != CURLMSG_DONE)
			continue;
		for (int i = 0; i < UNDER_WAY; i++)
		{
			if (p->slots[i].request == message->easy_handle)
				s = &p->slots[i];
		}
		if (s == NULL)
			continue;
		status = judge(p, s, code);
		stop(p, s);
		if (status != EDGE_EXIT_OK)
			return status;
	}
	return EDGE_EXIT_OK;
}

/* Waits until at most so many are under way, all of which are started. */
static edge_exit
wait_for(gateway_poster *p, int most)
{
	edge_exit status = EDGE_EXIT_OK;

	for (;;)
	{
		int running = 0;
		int taken = 0;

		for (int i = 0; i < UNDER_WAY && status == EDGE_EXIT_OK; i++)
		{
			if (p->slots[i].taken && !p->slots[i].started)
				status = start(p, &p->slots[i]);
		}
		if (status == EDGE_EXIT_OK && curl_multi_perform(p->multi, &running) != CURLM_OK)
			status = out_of_memory(p);
		if (status == EDGE_EXIT_OK)
			status = take_answers(p);
		if (status != EDGE_EXIT_OK)
			return status;
		for (int i = 0; i < UNDER_WAY; i++)
			taken += p->slots[i].taken;
		if (taken <= most)
			return EDGE_EXIT_OK;
		if (edge_poster_is_over(&p->poster))
		{
			snprintf(p->gateway->problem, sizeof(p->gateway->problem),
					 "the gateway does not answer");
			return EDGE_EXIT_UNREACHABLE;
		}
		curl_multi_poll(p->multi, NULL, 0, SLICE, NULL);
	}
}

static edge_exit
wait_or_recover(gateway_poster *p, int most)
{
	edge_exit status = wait_for(p, most);

	while (status != EDGE_EXIT_OK && status != EDGE_EXIT_REFUSED)
	{
		status = edge_poster_recover(&p->poster, status);
		if (status != EDGE_EXIT_OK)
			return status;
		status = wait_for(p, most);
	}
	return status;
}

static bool
write_header(char *header, size_t size, const char *name, const char *value)
{
	for (const char *c = value; *c != '\0'; c++)
	{
		if ((unsigned char) *c < ' ' || *c == 127)
			return false;
	}
	return snprintf(header, size, "%s: %s", name, value) < (int) size;
}

/* Puts a packet into a place of its own. */
static edge_exit
fill(gateway_poster *p, slot *s, const edge_packet *packet)
{
	char path[EDGE_GATEWAY_PATH];

	if (s->request == NULL)
	{
		s->request = edge_gateway_request(p->gateway, &s->body);
		if (s->request == NULL)
			return out_of_memory(p);
		curl_easy_setopt(s->request, CURLOPT_ERRORBUFFER, s->said);
		curl_easy_setopt(s->request, CURLOPT_TIMEOUT, (long) ANSWER_SECONDS);
		curl_easy_setopt(s->request, CURLOPT_BUFFERSIZE, 1024L);
		curl_easy_setopt(s->request, CURLOPT_POST, 1L);
	}
	s->track[0] = s->when[0] = '\0';
	if (packet->track != NULL &&
		!write_header(s->track, sizeof(s->track), "Mulberry-Track", packet->track))
		return refuse(p, "the name of the track cannot be a header of HTTP");
	if (packet->sent_at > 0)
		snprintf(s->when, sizeof(s->when), "Mulberry-Timestamp: %" PRId64 ".%06" PRId64,
				 packet->sent_at / 1000000, packet->sent_at % 1000000);
	if (!edge_gateway_call_path(path, "stream", packet->call) ||
		!edge_gateway_aim(p->gateway, s->request, path))
		return refuse(p, "the id of the call is too long");
	curl_easy_setopt(s->request, CURLOPT_POSTFIELDSIZE, (long) packet->n);
	if (curl_easy_setopt(s->request, CURLOPT_COPYPOSTFIELDS, packet->data) != CURLE_OK)
		return out_of_memory(p);
	s->sequence = packet->sequence;
	s->taken = true;
	s->again = false;
	p->poster.counters.sent++;
	return EDGE_EXIT_OK;
}

static edge_exit
add(edge_poster *poster, const edge_packet *packet)
{
	gateway_poster *p = of(poster);
	edge_exit status = wait_or_recover(p, UNDER_WAY - 1);

	for (int i = 0; i < UNDER_WAY && status == EDGE_EXIT_OK; i++)
	{
		if (p->slots[i].taken)
			continue;
		status = fill(p, &p->slots[i], packet);
		break;
	}
	/* it leaves now */
	return status == EDGE_EXIT_OK ? wait_or_recover(p, UNDER_WAY) : status;
}

static edge_exit
send_all(edge_poster *poster)
{
	return wait_or_recover(of(poster), UNDER_WAY);
}

static edge_exit
finish(edge_poster *poster)
{
	return wait_or_recover(of(poster), 0);
}

static void
disconnect(edge_poster *poster)
{
	gateway_poster *p = of(poster);

	for (int i = 0; i < UNDER_WAY; i++)
	{
		p->slots[i].again = p->slots[i].again || p->slots[i].started;
		stop(p, &p->slots[i]);
	}
}

/* Whether there is a gateway again: it says so itself. */
static edge_exit
again(edge_poster *poster)
{
	gateway_poster *p = of(poster);
	edge_exit status = edge_gateway_get(p->gateway, "/health", ANSWER_SECONDS);

	poster->counters.sessions++;
	poster->wait = p->gateway->retry_after;
	return status == EDGE_EXIT_REFUSED ? EDGE_EXIT_UNREACHABLE : status;
}

static uint64_t
forget(edge_poster *poster)
{
	gateway_poster *p = of(poster);
	uint64_t n = 0;

	for (int i = 0; i < UNDER_WAY; i++)
	{
		n += p->slots[i].taken;
		stop(p, &p->slots[i]);
		p->slots[i].taken = false;
	}
	return n;
}

/* ---------------------------------------------------------------------------
 * Calls
 * ---------------------------------------------------------------------------
 */

static edge_exit
with_wait(gateway_poster *p, edge_exit status)
{
	p->poster.wait = p->gateway->retry_after;
	return status;
}

static edge_exit
begin_call(edge_poster *poster, const edge_call *call, edge_track *tracks, int n)
{
	gateway_poster *p = of(poster);

	return with_wait(p, edge_gateway_call_begin(p->gateway, call, tracks, n));
}

static edge_exit
describe_call(edge_poster *poster, const edge_call *call)
{
	gateway_poster *p = of(poster);

	return with_wait(p, edge_gateway_call_describe(p->gateway, call));
}

static edge_exit
complete_call(edge_poster *poster, const edge_call *call, const edge_track *tracks,
			  const int64_t *totals, int n, int64_t *missing)
{
	gateway_poster *p = of(poster);

	*missing = 0; /* the gateway does not say */
	return with_wait(p, edge_gateway_call_complete(p->gateway, call, tracks, totals, n));
}

static const char *
problem(const edge_poster *poster)
{
	return ((const gateway_poster *) poster)->gateway->problem;
}

static void
free_poster(edge_poster *poster)
{
	gateway_poster *p = of(poster);

	(void) forget(poster);
	for (int i = 0; i < UNDER_WAY; i++)
	{
		if (p->slots[i].request != NULL)
			curl_easy_cleanup(p->slots[i].request);
		free(p->slots[i].body.text);
	}
	curl_multi_cleanup(p->multi);
	free(p);
}

static const edge_poster_kind gateway_kind = { .add = add,
											   .send = send_all,
											   .finish = finish,
											   .begin = begin_call,
											   .describe = describe_call,
											   .complete = complete_call,
											   .disconnect = disconnect,
											   .again = again,
											   .forget = forget,
											   .problem = problem,
											   .free = free_poster };

edge_poster *
edge_poster_to_gateway(edge_gateway *gateway, const edge_poster_options *options)
{
	gateway_poster *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->poster = (edge_poster){ .kind = &gateway_kind, .options = *options };
	p->gateway = gateway;
	gateway->deadline = options->deadline;
	p->multi = curl_multi_init();
	if (p->multi == NULL)
	{
		free(p);
		return NULL;
	}
	/* each connection is kept for the next request */
	curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long) UNDER_WAY);
	return &p->poster;
}
