/*
 * handlers.c
 *	  From a request to the function that answers it: route, identity, access.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base64.h"
#include "core/crypto/digest.h"
#include "core/text/utf8.h"
#include "core/web/url_path.h"
#include "gateway.h"
#include "listen.h"
#include "log.h"
#include "routes.h"

#define MAX_WAITING 1000 /* requests, for the database to say what a token is worth */

/* ---------------------------------------------------------------------------
 * Whose it is
 * ---------------------------------------------------------------------------
 */

/* A unit that asks what a token is worth, for all requests that wait for it. */
typedef struct question
{
	gw_unit unit;
	gw_gateway *gateway;
	gw_identity *identity;
} question;

static void handle(gw_gateway *gateway, http_server *server, http_request *request,
				   gw_identity *identity, const http_match *match);

static void ask_database(question *q);

static void
answered(gw_unit *unit, gw_outcome outcome, const PGresult *identity_row, const PGresult *result)
{
	question *q = (question *) unit;
	gw_identity *identity = q->identity;
	http_id *waiting = identity->waiting;
	int n = identity->n_waiting;

	if (outcome == GW_COMMITTED && !gw_identity_is_good(identity, identity_row))
	{
		ask_database(q);
		return;
	}
	identity->waiting = NULL;
	identity->n_waiting = 0;
	if (outcome != GW_COMMITTED)
		identity->standing = GW_UNASKED;
	for (int i = 0; i < n; i++)
	{
		http_request *request = http_request_find(q->gateway->server, waiting[i]);
		http_match match;

		if (outcome != GW_COMMITTED)
			gw_answer_outcome(q->gateway, waiting[i], identity, outcome, result);
		else if (request != NULL &&
				 http_route_find(gw_client_routes, gw_n_client_routes, http_request_method(request),
								 http_request_path(request), &match) == HTTP_ROUTE_FOUND)
			handle(q->gateway, q->gateway->server, request, identity, &match);
	}
	free(waiting);
	gw_identity_release(identity);
	free(q);
}

static void
ask_database(question *q)
{
	gw_identity_is_asked(q->identity);
	q->unit = (gw_unit){ .done = answered };
	gw_unit_for(&q->unit, q->identity);
	gw_database_add(q->gateway->database, &q->unit);
}

/* Has a request wait until the database has said what its token is worth. */
static void
ask(gw_gateway *gateway, http_request *request, gw_identity *identity)
{
	http_id *waiting =
		realloc(identity->waiting, (size_t) (identity->n_waiting + 1) * sizeof(http_id));
	question *q;

	if (waiting == NULL || identity->n_waiting >= MAX_WAITING)
	{
		identity->waiting = waiting == NULL ? identity->waiting : waiting;
		gw_answer_detail(gateway, http_request_id(request), 503, "Too many requests wait");
		return;
	}
	identity->waiting = waiting;
	identity->waiting[identity->n_waiting++] = http_request_id(request);
	if (identity->standing == GW_ASKED)
		return;
	q = calloc(1, sizeof(*q));
	if (q == NULL)
	{
		identity->n_waiting--;
		gw_answer_detail(gateway, http_request_id(request), 503, "Out of memory");
		return;
	}
	q->gateway = gateway;
	q->identity = gw_identity_hold(identity);
	ask_database(q);
}

/* ---------------------------------------------------------------------------
 * Requests
 * ---------------------------------------------------------------------------
 */

/* The segments of a call, in one piece of memory; NULL when they cannot be text. */
static char *
decode_segments(gw_call *call, const http_match *match)
{
	size_t room = 1;
	char *decoded;
	char *at;

	for (int i = 0; i < match->n_parameters; i++)
		room += match->parameters[i].length + 1;
	at = decoded = malloc(room);
	for (int i = 0; i < match->n_parameters && decoded != NULL; i++)
	{
		http_text raw = match->parameters[i];
		size_t n;

		if (mb_percent_decode(raw.data, raw.length, at, &n) != MB_OK || mb_utf8_prefix(at, n) != n)
		{
			free(decoded);
			return NULL;
		}
		at[n] = '\0';
		call->segments[call->n_segments++] = (http_text){ at, n };
		at += n + 1;
	}
	return decoded;
}

static void
handle(gw_gateway *gateway, http_server *server, http_request *request, gw_identity *identity,
	   const http_match *match)
{
	const gw_action *action = match->route->target;
	gw_call call = { gateway, server, request, identity, action, { { NULL, 0 } }, 0 };
	char *decoded;

	if (action->access != 0 && (identity == NULL || (identity->access & action->access) == 0))
	{
		gw_answer_detail(gateway, http_request_id(request), 403,
						 "The token has not the access that this needs");
		return;
	}
	decoded = decode_segments(&call, match);
	if (decoded == NULL)
	{
		gw_answer_detail(gateway, http_request_id(request), 400,
						 "The path is not UTF-8 in percent-encoding");
		return;
	}
	action->handle(&call);
	free(decoded);
}

/* The route of a request; answers when there is none. */
static bool
route(gw_gateway *gateway, http_server *server, http_request *request, const http_route *routes,
	  size_t n, http_match *match)
{
	http_headers headers = { 0 };
	http_text method = http_request_method(request);
	http_text asked = http_request_header(request, "Access-Control-Request-Headers");
	http_answer answer = { .content_type = "application/json", .headers = &headers };

	switch (http_route_find(routes, n, method, http_request_path(request), match))
	{
		case HTTP_ROUTE_FOUND:
			return true;
		case HTTP_ROUTE_NO_PATH:
			answer.status = 404;
			answer.body = "{\"detail\":\"Not Found\"}";
			break;
		case HTTP_ROUTE_OTHER_METHOD:
			http_headers_add(&headers, "Allow", "%s", match->allow);
			if (method.length == 7 && memcmp(method.data, "OPTIONS", 7) == 0)
			{
				/* before a page of another origin may send its request */
				http_headers_add(&headers, "Access-Control-Allow-Methods", "%s", match->allow);
				http_headers_add(&headers, "Access-Control-Max-Age", "600");
				if (asked.data != NULL)
					http_headers_add(&headers, "Access-Control-Allow-Headers", "%.*s",
									 (int) asked.length, asked.data);
				answer.status = 200;
				answer.content_type = "text/plain; charset=utf-8";
				answer.body = "OK";
			}
			else
			{
				answer.status = 405;
				answer.body = "{\"detail\":\"Method Not Allowed\"}";
			}
			break;
	}
	answer.length = strlen(answer.body);
	http_respond(server, http_request_id(request), &answer);
	return false;
}

/* A token that is the password of HTTP's Basic, whatever the user's name. */
static gw_identity *
by_password(gw_identities *identities, const http_request *request)
{
	http_text header = http_request_header(request, "Authorization");
	gw_identity *identity = NULL;
	unsigned char *pair;
	unsigned char *colon;
	size_t n;

	if (header.data == NULL || http_request_header_count(request, "Authorization") != 1 ||
		header.length < 6 || strncasecmp(header.data, "Basic ", 6) != 0)
		return NULL;
	pair = gw_base64_decode(header.data + 6, header.length - 6, &n);
	if (pair == NULL)
		return NULL;
	colon = memchr(pair, ':', n);
	if (colon != NULL)
		identity = gw_identities_find_token(identities, (const char *) colon + 1,
											(size_t) (pair + n - colon - 1));
	mb_forget(pair, n);
	free(pair);
	return identity;
}

/*
 * Whose a request is.  A browser's WebSocket cannot have the header: its token stands beside the subprotocol, as
 * "token.<…>"; or, for tools, in the query, which logs on the way may keep.
 */
static gw_identity *
identity_of(gw_gateway *gateway, http_request *request, const gw_action *action,
			const uint8_t *address)
{
	http_text query = http_request_query(request);
	http_text origin = http_request_header(request, "Origin");
	mb_http_walk walk = { 0 };
	http_text offered;

	if (action->basic)
		return by_password(gateway->identities, request);
	if (action->socket && http_request_header(request, "Authorization").data == NULL)
	{
		while (http_request_next_token(request, "Sec-WebSocket-Protocol", &walk, &offered))
		{
			if (offered.length > 6 && memcmp(offered.data, "token.", 6) == 0)
				return gw_identities_find_token(gateway->identities, offered.data + 6,
												offered.length - 6);
		}
		for (size_t at = 0; at + 6 < query.length; at++)
		{
			size_t n = 0;

			if ((at > 0 && query.data[at - 1] != '&') || memcmp(query.data + at, "token=", 6) != 0)
				continue;
			while (at + 6 + n < query.length && query.data[at + 6 + n] != '&')
				n++;
			gw_log(GW_WARNING, "a token came in a query", "logs on its way may have kept it");
			return gw_identities_find_token(gateway->identities, query.data + at + 6, n);
		}
	}
	/* any page that somebody with such an address looks at may have sent it, and made its host's name mean us */
	if (origin.data != NULL &&
		!gw_options_name_origin(gateway->options, origin.data, origin.length))
		address = NULL;
	return gw_identities_find(gateway->identities, request, action->access, address);
}

static void
answer_too_many(gw_gateway *gateway, http_id id, int wait)
{
	static const char body[] = "{\"detail\":\"Too Many Requests\"}";
	http_headers headers = { 0 };

	http_headers_add(&headers, "Retry-After", "%d", wait);
	http_respond(gateway->server, id,
				 &(http_answer){ .status = 429,
								 .content_type = "application/json",
								 .headers = &headers,
								 .body = body,
								 .length = sizeof(body) - 1 });
}

/* Before the body: what is refused anyway is refused here. */
static void
on_head(void *context, http_request *request)
{
	gw_gateway *gateway = context;
	const gw_action *action;
	gw_identity *identity;
	uint8_t address[16];
	http_match match;
	bool known;
	int wait;

	if (!route(gateway, gateway->server, request, gw_client_routes, gw_n_client_routes, &match))
		return;
	action = match.route->target;
	if (action->access == 0)
		return;
	known = gw_limits_client(gateway->limits, request, address);
	identity = identity_of(gateway, request, action, known ? address : NULL);
	wait = gw_limits_take(gateway->limits, address, identity);
	if (wait > 0)
	{
		answer_too_many(gateway, http_request_id(request), wait);
		return;
	}
	if (identity == NULL || identity->standing == GW_WORTHLESS)
	{
		gateway->unauthorized++;
		gw_answer_detail(gateway, http_request_id(request), 401,
						 identity == NULL ? "Not authenticated" : "The token is not valid");
		return;
	}
	http_request_set_user(request, gw_identity_hold(identity));
	if (action->large)
		http_request_limit(request, (size_t) gateway->options->max_recording);
}

static void
on_request(void *context, http_request *request)
{
	gw_gateway *gateway = context;
	gw_identity *identity = http_request_user(request);
	http_match match;

	if (http_route_find(gw_client_routes, gw_n_client_routes, http_request_method(request),
						http_request_path(request), &match) != HTTP_ROUTE_FOUND)
		return;
	if (identity != NULL && (identity->standing == GW_UNASKED || identity->standing == GW_ASKED))
		ask(gateway, request, identity);
	else
		handle(gateway, gateway->server, request, identity, &match);
}

static void
on_done(void *context, http_request *request, bool delivered)
{
	gw_gateway *gateway = context;
	gw_identity *identity = http_request_user(request);
	int status = http_request_status(request);

	if (status >= 100 && status < 600)
		gateway->answers[status / 100]++;
	if ((status == 200 || status == 206) && gateway->downloads != NULL)
		gw_download_gone(gateway, http_request_id(request));
	if (status == 101 && (gw_media_line_gone(http_request_id(request)) ||
						  gw_listener_gone(gateway->media, http_request_id(request))))
		;
	else if (status == 101)
		gw_supervisors_gone(gateway->supervisors, http_request_id(request));
	else
		gw_agents_gone(gateway->agents, http_request_id(request));
	if (identity != NULL)
		gw_identity_release(identity);
}

static void
on_half_closed(void *context, http_request *request)
{
	gw_agents_half_closed(((gw_gateway *) context)->agents, http_request_id(request));
}

static void
on_writable(void *context, http_request *socket)
{
	gw_supervisors_writable(((gw_gateway *) context)->supervisors, http_request_id(socket));
}

static void
on_more(void *context, http_request *request)
{
	gw_download_more(context, request);
}

static void
on_message(void *context, http_request *socket, bool text, const char *bytes, size_t n)
{
	gw_media_line_message(http_request_id(socket), text, bytes, n);
}

static void
on_stopping(void *context, http_request *socket)
{
	gw_media_line_stopping(http_request_id(socket));
	gw_supervisors_stopping(((gw_gateway *) context)->supervisors, http_request_id(socket));
}

/* What the library refuses is told in the same form. */
static void
on_refused(void *context, const http_request *request, const char *reason, http_answer *answer)
{
	static char body[400];
	program_text text = { 0 };

	program_text_puts(&text, "{\"detail\":");
	program_text_json(&text, reason, strlen(reason));
	program_text_puts(&text, "}");
	snprintf(body, sizeof(body), "%s", text.failed ? "{}" : text.data);
	program_text_free(&text);
	answer->content_type = "application/json";
	answer->body = body;
	answer->length = strlen(body);
}

/* Any page may use this service as far as its token lets it: it knows no cookies. */
static void
on_headers(void *context, const http_request *request, int status, http_headers *headers)
{
	if (http_request_header(request, "Origin").data != NULL)
		http_headers_add(headers, "Access-Control-Allow-Origin", "*");
}

/* A proxy brings the connections of many. */
static bool
on_unlimited(void *context, const unsigned char *address)
{
	return gw_limits_unlimited(((gw_gateway *) context)->limits, address);
}

static void
on_admin_request(void *context, http_request *request)
{
	gw_gateway *gateway = context;
	http_match match;

	if (route(gateway, gateway->admin, request, gw_admin_routes, gw_n_admin_routes, &match))
		handle(gateway, gateway->admin, request, NULL, &match);
}

const http_handlers gw_client_handlers = {
	.head = on_head,
	.request = on_request,
	.half_closed = on_half_closed,
	.done = on_done,
	.refused = on_refused,
	.headers = on_headers,
	.more = on_more,
	.writable = on_writable,
	.message = on_message,
	.stopping = on_stopping,
	.unlimited = on_unlimited,
};

const http_handlers gw_admin_handlers = {
	.request = on_admin_request,
	.refused = on_refused,
};
