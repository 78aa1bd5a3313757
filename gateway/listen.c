/*
 * listen.c
 *	  Who listens to a call; see listen.h.
 */
#include "listen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/audio/g711.h"
#include "log.h"
#include "media_session.h"
#include "query.h"
#include "session.h"
#include "supervisors.h"

#define SUBPROTOCOL "mulberry.v1"
#define MAX_LISTENERS 16			   /* to a call */
#define WAITS_MS 3000				   /* of audio wait for one of them */
#define AGENT_ROOM (2 * GW_MEDIA_RATE) /* samples of the agent's that wait for their time */
#define AGENT_LAG (GW_MEDIA_RATE / 16) /* it is told in pieces, not always on time */
#define SLICE 400					   /* samples at once */

typedef struct listener
{
	gw_unit unit; /* asks whether its token is still good */
	gw_gateway *gateway;
	http_id id;
	gw_identity *identity;
	mb_encoding encoding;
	gw_tap *tap; /* NULL: the call is over */
	bool asking;
	bool again;	  /* it may have been revoked since */
	bool doubted; /* nothing is sent */
	bool gone;
	uint64_t lost; /* bytes, in all */
	struct listener *next;
} listener;

struct gw_tap
{
	gw_media_session *session;
	listener *listeners;
	int n;
	int16_t agent[AGENT_ROOM];
	size_t n_agent;
	int lag; /* samples until what came first is due */
};

/* ---------------------------------------------------------------------------
 * Sound
 * ---------------------------------------------------------------------------
 */

static void
close_listener(listener *l, int code, const char *why)
{
	http_socket_close(l->gateway->server, l->id, code, why);
}

static size_t
width_of(mb_encoding encoding)
{
	return 2 * mb_encoding_sample_size(encoding);
}

static void
send_to(listener *l, http_blob *frame)
{
	http_server *server = l->gateway->server;
	char text[64];

	if (l->doubted)
		return;
	if (l->identity->expires != 0 && http_clock() >= l->identity->expires)
	{
		close_listener(l, 1008, "the token has expired");
		return;
	}
	if (http_socket_send_frame(server, l->id, frame) != HTTP_FULL)
		return;
	l->lost += http_socket_queued(server, l->id);
	http_socket_drop_queue(server, l->id);
	l->lost -= http_socket_queued(server, l->id);
	snprintf(text, sizeof(text), "{\"event\":\"lost\",\"ms\":%llu}",
			 (unsigned long long) (l->lost * 1000 / width_of(l->encoding) / GW_MEDIA_RATE));
	if (http_socket_send(server, l->id, true, text, strlen(text)) == HTTP_SENT)
		(void) http_socket_send_frame(server, l->id, frame);
}

/* Takes what of the agent is due, silence where nothing is. */
static void
take_agent(gw_tap *tap, int16_t *samples, size_t n)
{
	size_t late = tap->lag > 0 && tap->n_agent > 0 ? (size_t) tap->lag : 0;
	size_t part = late > n ? 0 : n - late;

	memset(samples, 0, n * sizeof(*samples));
	if (late > 0)
		tap->lag -= (int) (late < n ? late : n);
	if (part > tap->n_agent)
		part = tap->n_agent;
	memcpy(samples + (late < n ? late : n), tap->agent, part * sizeof(*samples));
	tap->n_agent -= part;
	memmove(tap->agent, tap->agent + part, tap->n_agent * sizeof(*samples));
}

static void
send_slice(gw_tap *tap, const int16_t *caller, size_t n)
{
	static const mb_encoding encodings[] = { MB_MULAW, MB_S16LE };
	int16_t both[2 * SLICE];
	int16_t agent[SLICE];

	take_agent(tap, agent, n);
	for (size_t i = 0; i < n; i++)
	{
		both[2 * i] = caller[i];
		both[2 * i + 1] = agent[i];
	}
	for (size_t e = 0; e < sizeof(encodings) / sizeof(encodings[0]); e++)
	{
		uint8_t bytes[2 * SLICE * sizeof(int16_t)];
		http_blob *frame = NULL;

		for (listener *l = tap->listeners; l != NULL; l = l->next)
		{
			if (l->encoding != encodings[e])
				continue;
			if (frame == NULL && mb_audio_encode(encodings[e], both, 2 * n, bytes) == MB_OK)
				frame = http_frame_new(false, bytes, n * width_of(encodings[e]));
			if (frame != NULL)
				send_to(l, frame);
		}
		if (frame != NULL)
			http_blob_release(frame);
	}
}

void
gw_tap_caller(gw_tap *tap, mb_encoding encoding, const uint8_t *audio, size_t n)
{
	size_t width = mb_encoding_sample_size(encoding);
	int16_t samples[SLICE];

	if (tap == NULL || tap->n == 0)
		return;
	for (n /= width; n > 0;)
	{
		size_t part = n < SLICE ? n : SLICE;

		if (mb_audio_decode(encoding, audio, part * width, samples) != MB_OK)
			return;
		send_slice(tap, samples, part);
		audio += part * width;
		n -= part;
	}
}

void
gw_tap_agent(gw_tap *tap, mb_encoding encoding, const uint8_t *audio, size_t n)
{
	size_t width = mb_encoding_sample_size(encoding);

	if (tap == NULL || tap->n == 0)
		return;
	n /= width;
	if (tap->n_agent == 0)
		tap->lag = AGENT_LAG;
	if (n > AGENT_ROOM)
	{
		audio += (n - AGENT_ROOM) * width;
		n = AGENT_ROOM;
	}
	if (tap->n_agent + n > AGENT_ROOM)
	{
		size_t oldest = tap->n_agent + n - AGENT_ROOM;

		tap->n_agent -= oldest;
		memmove(tap->agent, tap->agent + oldest, tap->n_agent * sizeof(*tap->agent));
	}
	if (mb_audio_decode(encoding, audio, n * width, tap->agent + tap->n_agent) == MB_OK)
		tap->n_agent += n;
}

/* ---------------------------------------------------------------------------
 * Going
 * ---------------------------------------------------------------------------
 */

static void
free_listener(listener *l)
{
	gw_identity_release(l->identity);
	free(l);
}

void
gw_tap_end(gw_tap *tap, const char *reason)
{
	if (tap == NULL)
		return;
	while (tap->listeners != NULL)
	{
		listener *l = tap->listeners;

		tap->listeners = l->next;
		l->tap = NULL;
		l->gone = true;
		if (reason != NULL)
			close_listener(l, 1000, reason);
		if (!l->asking)
			free_listener(l);
	}
	free(tap);
}

bool
gw_listener_gone(gw_media *media, http_id id)
{
	for (gw_media_session *s = media->sessions; s != NULL; s = s->next)
	{
		for (listener **place = s->tap == NULL ? NULL : &s->tap->listeners;
			 place != NULL && *place != NULL; place = &(*place)->next)
		{
			listener *l = *place;

			if (l->id != id)
				continue;
			*place = l->next;
			s->tap->n--;
			l->gone = true;
			if (!l->asking)
				free_listener(l);
			return true;
		}
	}
	return false;
}

static void ask(listener *l);

static void
have_asked(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	listener *l = (listener *) unit;

	(void) identity;
	(void) result;
	l->asking = false;
	if (l->gone)
		free_listener(l);
	else if (l->again)
		ask(l);
	else if (outcome == GW_COMMITTED)
		l->doubted = false;
	else
		close_listener(l, gw_may_pass(outcome, result) ? 1013 : 1008,
					   gw_may_pass(outcome, result)
						   ? "the database cannot say whether the token is valid"
						   : "the token is not valid");
}

static void
ask(listener *l)
{
	l->doubted = true;
	l->again = l->asking;
	if (l->asking)
		return;
	l->asking = true;
	l->unit = (gw_unit){ .done = have_asked };
	gw_unit_for(&l->unit, l->identity);
	gw_database_add(l->gateway->database, &l->unit);
}

void
gw_listeners_revoked(gw_media *media, const char *id)
{
	for (gw_media_session *s = media->sessions; s != NULL; s = s->next)
	{
		for (listener *l = s->tap == NULL ? NULL : s->tap->listeners; l != NULL; l = l->next)
		{
			if (id == NULL || strcmp(l->identity->id, id) == 0)
				ask(l);
		}
	}
}

/* ---------------------------------------------------------------------------
 * Coming
 * ---------------------------------------------------------------------------
 */

static void
tell_head(listener *l)
{
	const gw_media_session *session = l->tap->session;
	program_text text = { 0 };

	program_text_puts(&text, "{\"event\":\"start\",\"call_id\":");
	program_text_json(&text, session->call_id, strlen(session->call_id));
	program_text_printf(
		&text, ",\"encoding\":\"%s\",\"sample_rate\":%d,\"channels\":[\"caller\",\"agent\"]}",
		l->encoding == MB_MULAW ? "mulaw" : "pcm", GW_MEDIA_RATE);
	if (!text.failed)
		(void) http_socket_send(l->gateway->server, l->id, true, text.data, text.length);
	program_text_free(&text);
}

/* The database allows it: row is its session, and the encoding. */
static void
begin(gw_query *query, const PGresult *row)
{
	gw_gateway *gateway = query->gateway;
	gw_media_session *session = gateway->media->sessions;
	http_request *request = http_request_find(gateway->server, query->id);
	http_socket_options options = { .max_message = 4096, .prompt = true };
	listener *l;

	while (session != NULL && (session->link == NULL || session->state != GW_MEDIA_OPEN ||
							   strcmp(session->id, PQgetvalue(row, 0, 0)) != 0))
		session = session->next;
	if (request == NULL)
		return;
	if (session == NULL)
	{
		gw_answer_detail(gateway, query->id, 409, "The call is in another gateway");
		return;
	}
	if (session->tap != NULL && session->tap->n == MAX_LISTENERS)
	{
		gw_answer_detail(gateway, query->id, 409, "%d listen to the call already", MAX_LISTENERS);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (session->tap == NULL)
		session->tap = calloc(1, sizeof(*session->tap));
	if (l == NULL || session->tap == NULL)
	{
		free(l);
		gw_answer_detail(gateway, query->id, 503, "Out of memory");
		return;
	}
	l->gateway = gateway;
	l->id = query->id;
	l->encoding = strcmp(PQgetvalue(row, 0, 1), "pcm") == 0 ? MB_S16LE : MB_MULAW;
	options.max_queued = WAITS_MS * GW_MEDIA_RATE / 1000 * width_of(l->encoding);
	if (mb_websocket_offers(http_request_head(request), http_request_bytes(request), SUBPROTOCOL))
		options.subprotocol = SUBPROTOCOL;
	if (!http_upgrade(gateway->server, query->id, &options))
	{
		free(l);
		return;
	}
	l->identity = gw_identity_hold(query->identity);
	l->tap = session->tap;
	l->tap->session = session;
	l->next = l->tap->listeners;
	l->tap->listeners = l;
	l->tap->n++;
	tell_head(l);
}

static bool
conflict(gw_query *query, gw_outcome outcome, const PGresult *error)
{
	if (outcome != GW_FAILED || strcmp(gw_sqlstate(error), "55000") != 0)
		return false;
	gw_answer_detail(query->gateway, query->id, 409, "%s",
					 PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY));
	return true;
}

static const char *const encodings[] = { "mulaw", "pcm", NULL };

static const gw_parameter of_listen[] = {
	{ GW_IN_PATH, "call_id", GW_STRING, .required = true },
	{ GW_IN_QUERY, "tenant", GW_STRING, .least = 1, .most = 1000,
	  .help = "where the token is for several" },
	{ GW_IN_QUERY, "encoding", GW_STRING, .choices = encodings,
	  .help =
		  "of the audio, 8000 samples a second and side: mulaw [unless said], or pcm, 16 bits" },
};

static const gw_statement listen_to = {
	"listen_to_call",
	"SELECT session, coalesce($3::text, 'mulaw') FROM mulberry.listen_to_call($1, $2)", false
};

const gw_plan gw_listen = {
	.statement = &listen_to, GW_PARAMETERS(of_listen), .answer = begin, .fail = conflict
};

/* GET /ws/listen/{call_id} */
void
gw_handle_listen(gw_call *call)
{
	http_id id = http_request_id(call->request);
	http_socket_options options = { 0 };

	/* who cannot hear is not noted as one who has */
	if (http_request_header(call->request, "Upgrade").data == NULL)
		(void) http_upgrade(call->gateway->server, id, &options);
	else if (!gw_origin_may(call->gateway, call->request))
		gw_answer_detail(call->gateway, id, 403, "Pages of this origin may not listen");
	else
		gw_handle_query(call);
}
