/*
 * webhook.c
 *	  Twilio's webhooks: handed to SQL as they came, and answered with what SQL says, or with an apology.
 *
 * A caller hears something in any case, and before Twilio's patience ends: when SQL has not answered by then, or cannot,
 * he hears a sentence from the configuration.  What is not spoken is answered with 503 then: nothing was stored, as far
 * as is known, and SQL knows one that comes again.
 */
#include "webhook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/web/forwarded.h"
#include "core/web/twiml.h"
#include "gateway.h"
#include "log.h"
#include "session.h"

#define MAX_BODY 65536 /* as handle_twilio_request() takes it */
#define XML "text/xml; charset=utf-8"
#define NOTHING "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>"

typedef struct path
{
	bool spoken; /* a caller waits for the answer */
	bool stream; /* becomes a stream of audio */
} path;

static const path spoken = { true, false };
static const path silent = { false, false };
static const path stream = { false, true };

static const http_route routes[] = {
	{ "POST", "/twilio/voice", &spoken },
	{ "GET", "/twilio/voice", &spoken },
	{ "POST", "/twilio/dtmf", &spoken },
	{ "GET", "/twilio/dtmf", &spoken },
	{ "POST", "/twilio/transfer", &spoken },
	{ "GET", "/twilio/transfer", &spoken },
	{ "POST", "/twilio/ack", &spoken },
	{ "GET", "/twilio/ack", &spoken },
	{ "POST", "/twilio/status", &silent },
	{ "GET", "/twilio/status", &silent },
	{ "POST", "/twilio/recording", &silent },
	{ "GET", "/twilio/recording", &silent },
	{ "POST", "/twilio/transcription", &silent },
	{ "GET", "/twilio/transcription", &silent },
	{ "GET", "/twilio/ws", &stream },
};

/* One that comes twice is answered as the first time. */
static const gw_statement handle_request = {
	"webhook",
	"SELECT status, content_type, body FROM mulberry.handle_twilio_request($1, $2::bytea, $3, $4, "
	"$5)",
	true
};

struct gw_webhooks
{
	struct gw_gateway *gateway;
	http_server *server;
	gw_database *database;
	char *apology; /* TwiML */
	size_t apology_length;
	gw_webhook_counters counters;
};

/* One under way. */
typedef struct webhook
{
	gw_unit unit;
	gw_webhooks *webhooks;
	http_id id;
	bool spoken;
	bool answered;
	http_timer patience;
	program_text url;
	program_text type;
	program_text signature;
	program_text token;
	program_text body;
} webhook;

/* ---------------------------------------------------------------------------
 * Answers
 * ---------------------------------------------------------------------------
 */

static void
respond(webhook *w, int status, const char *content_type, const char *body, size_t length)
{
	http_headers headers = { 0 };
	http_answer answer = { .status = status,
						   .content_type = status == 204 ? NULL : content_type,
						   .body = body,
						   .length = length,
						   .headers = &headers };

	if (status == 503)
		http_headers_add(&headers, "Retry-After", "1");
	http_respond(w->webhooks->server, w->id, &answer);
	w->answered = true;
}

/* Nothing can be said by SQL, for this reason. */
static void
apologise(webhook *w, const char *why)
{
	gw_webhook_counters *counters = &w->webhooks->counters;

	if (w->spoken)
	{
		counters->apologies++;
		gw_log(GW_ERROR, "a caller was told that nobody can take the call", "%s", why);
		respond(w, 200, XML, w->webhooks->apology, w->webhooks->apology_length);
	}
	else
	{
		counters->put_off++;
		gw_log(GW_WARNING, "a webhook was put off", "%s", why);
		respond(w, 503, "text/plain", "", 0);
	}
}

static void
refuse(webhook *w, int status)
{
	w->webhooks->counters.refused++;
	respond(w, status, w->spoken ? XML : "text/plain", w->spoken ? NOTHING : "",
			w->spoken ? strlen(NOTHING) : 0);
}

static void
time_is_over(void *arg)
{
	webhook *w = arg;

	w->webhooks->counters.late++;
	apologise(w, "the database has not answered in time");
}

static void
free_webhook(webhook *w)
{
	program_text_free(&w->url);
	program_text_free(&w->type);
	program_text_free(&w->signature);
	program_text_free(&w->token);
	program_text_free(&w->body);
	free(w);
}

/* A row of handle_twilio_request(). */
static void
answer_with(webhook *w, const PGresult *row)
{
	int status = atoi(PQgetvalue(row, 0, 0));

	if (status >= 500)
		w->webhooks->counters.put_off++;
	else if (status >= 400)
		w->webhooks->counters.refused++;
	else
		w->webhooks->counters.answered++;
	respond(w, status, strcmp(PQgetvalue(row, 0, 1), "text/xml") == 0 ? XML : "text/plain",
			PQgetvalue(row, 0, 2), (size_t) PQgetlength(row, 0, 2));
}

static void
done(gw_unit *unit, gw_outcome outcome, const PGresult *identity, const PGresult *result)
{
	webhook *w = (webhook *) unit;
	const char *message;

	http_loop_clear_timer(w->webhooks->gateway->loop, &w->patience);
	if (!w->answered)
	{
		if (outcome == GW_COMMITTED && PQntuples(result) == 1)
			answer_with(w, result);
		else if (outcome == GW_FAILED && gw_status_of(gw_sqlstate(result)) == 400)
			refuse(w, 400);
		else if (outcome == GW_FAILED)
		{
			message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
			apologise(w, message == NULL ? "the database refused it" : message);
		}
		else
			apologise(w, outcome == GW_UNAVAILABLE
							 ? "the database cannot be reached"
							 : "the database was lost while it worked on this");
	}
	free_webhook(w);
}

/* ---------------------------------------------------------------------------
 * Requests
 * ---------------------------------------------------------------------------
 */

/* The value of a header that stands there once; else nothing. */
static http_text
header_of(const http_request *request, const char *name)
{
	return http_request_header_count(request, name) == 1 ? http_request_header(request, name)
														 : (http_text){ "", 0 };
}

/*
 * The URL that Twilio asked for, which is what it has signed: the path and the query as they came, behind the public
 * address from the settings, or that which a proxy of ours says.  Without either it begins with the path, and SQL takes
 * the address that the tenant's endpoint has.  What the request itself says of its host counts for nothing.
 */
static void
write_url(const gw_webhooks *webhooks, const http_request *request, program_text *url)
{
	const gw_options *options = webhooks->gateway->options;
	http_text target = http_request_target(request);
	http_text proto = header_of(request, "X-Forwarded-Proto");
	http_text host = header_of(request, "X-Forwarded-Host");
	char origin[MB_ORIGIN_SIZE];

	if (options->public_url != NULL)
		program_text_puts(url, options->public_url);
	else if (gw_limits_proxied(webhooks->gateway->limits, request) &&
			 mb_forwarded_origin(proto.data, proto.length, host.data, host.length, origin))
		program_text_puts(url, origin);
	program_text_add(url, target.data, target.length);
}

static void
set_text(webhook *w, int i, const program_text *text, bool present)
{
	w->unit.values[i] = present ? text->data : NULL;
	w->unit.lengths[i] = (int) text->length;
}

/* POST, or GET, /twilio/… */
static void
on_request(void *context, http_request *request)
{
	gw_webhooks *webhooks = context;
	gw_gateway *gateway = webhooks->gateway;
	http_text signature = header_of(request, "X-Twilio-Signature");
	http_text token = header_of(request, "I-Twilio-Idempotency-Token");
	http_text type = header_of(request, "Content-Type");
	http_text body = http_request_body(request);
	webhook *w = calloc(1, sizeof(*w));
	http_match match;

	if (w == NULL ||
		http_route_find(routes, sizeof(routes) / sizeof(routes[0]), http_request_method(request),
						http_request_path(request), &match) != HTTP_ROUTE_FOUND)
	{
		http_abort(webhooks->server, http_request_id(request));
		free(w);
		return;
	}
	write_url(webhooks, request, &w->url);
	if (((const path *) match.route->target)->stream)
	{
		gw_twilio_media_request(gateway, webhooks->server, request, w->url.data);
		free_webhook(w);
		return;
	}
	w->webhooks = webhooks;
	w->id = http_request_id(request);
	w->spoken = ((const path *) match.route->target)->spoken;
	program_text_add(&w->type, type.data, type.length);
	program_text_add(&w->signature, signature.data, signature.length);
	program_text_add(&w->token, token.data, token.length);
	program_text_add(&w->body, body.data, body.length);
	if (w->url.failed || w->type.failed || w->signature.failed || w->token.failed || w->body.failed)
	{
		apologise(w, "out of memory");
		free_webhook(w);
		return;
	}
	w->unit.statement = &handle_request;
	w->unit.n_parameters = 5;
	set_text(w, 0, &w->url, true);
	set_text(w, 1, &w->body, true);
	w->unit.formats[1] = 1;
	set_text(w, 2, &w->type, true);
	set_text(w, 3, &w->signature, signature.length > 0);
	set_text(w, 4, &w->token, token.length > 0);
	w->unit.done = done;
	w->patience = (http_timer){ .due = time_is_over, .arg = w };
	http_loop_set_timer(gateway->loop, &w->patience,
						http_request_started(request) +
							gateway->options->webhook_deadline * HTTP_MILLISECOND);
	gw_database_add(webhooks->database, &w->unit);
}

/* What is none of the paths, or too large, is refused before its body is read. */
static void
on_head(void *context, http_request *request)
{
	gw_webhooks *webhooks = context;
	http_text method = http_request_method(request);
	http_headers headers = { 0 };
	http_answer answer = { .headers = &headers };
	http_match match;

	http_request_limit(request, MAX_BODY);
	switch (http_route_find(routes, sizeof(routes) / sizeof(routes[0]), method,
							http_request_path(request), &match))
	{
		case HTTP_ROUTE_FOUND:
			/* a webhook that is looked at has been taken: there is no HEAD of it */
			if (method.length != 4 || memcmp(method.data, "HEAD", 4) != 0)
				return;
			/* fall through */
		case HTTP_ROUTE_OTHER_METHOD:
			answer.status = 405;
			http_headers_add(&headers, "Allow", "GET, POST");
			break;
		case HTTP_ROUTE_NO_PATH:
			answer.status = 404;
			break;
	}
	http_respond(webhooks->server, http_request_id(request), &answer);
}

/* Sockets are streams. */
static void
on_message(void *context, http_request *socket, bool text, const char *bytes, size_t n)
{
	gw_twilio_media_message(socket, text, bytes, n);
}

static void
on_stopping(void *context, http_request *socket)
{
	gw_twilio_media_stopping(socket);
}

static void
on_done(void *context, http_request *request, bool delivered)
{
	gw_twilio_media_gone(request);
}

static const http_handlers handlers = { .head = on_head,
										.request = on_request,
										.message = on_message,
										.stopping = on_stopping,
										.done = on_done };

/* ---------------------------------------------------------------------------
 * All of it
 * ---------------------------------------------------------------------------
 */

static bool
write_apology(gw_webhooks *webhooks, const gw_options *options, char *error, size_t error_size)
{
	mb_twiml_say_options how = { .voice = options->apology_voice,
								 .language = options->apology_language };
	char document[MB_TWIML_BUFFER_SIZE];
	mb_twiml twiml;
	mb_twiml_status status;

	mb_twiml_begin(&twiml, document, sizeof(document));
	mb_twiml_say(&twiml, options->apology, &how);
	mb_twiml_hangup(&twiml);
	status = mb_twiml_end(&twiml, &webhooks->apology_length);
	if (status != MB_TWIML_OK)
	{
		snprintf(error, error_size, "apology: %s", mb_twiml_status_message(status));
		return false;
	}
	webhooks->apology = strdup(document);
	return webhooks->apology != NULL;
}

/* False, with a sentence in error, when a setting cannot be used. */
static bool
take_settings(gw_webhooks *webhooks, const gw_options *options, char *error, size_t error_size)
{
	if (options->public_url != NULL && !mb_is_base_url(options->public_url))
	{
		snprintf(error, error_size,
				 "public-url: \"%s\" is not of the form https://host/path, without a slash at its "
				 "end",
				 options->public_url);
		return false;
	}
	return write_apology(webhooks, options, error, error_size);
}

gw_webhooks *
gw_webhooks_new(gw_gateway *gateway, char *error, size_t error_size)
{
	const gw_options *options = gateway->options;
	http_options limits = gw_listener_limits(options, MAX_BODY);
	gw_webhooks *webhooks = calloc(1, sizeof(*webhooks));

	snprintf(error, error_size, "out of memory");
	if (webhooks == NULL)
		return NULL;
	webhooks->gateway = gateway;
	/* no limit by address: all of Twilio may come through one proxy */
	if (take_settings(webhooks, options, error, error_size))
		webhooks->server = http_server_new(gateway->loop, &limits, &handlers, webhooks);
	if (webhooks->server == NULL)
	{
		gw_webhooks_free(webhooks);
		return NULL;
	}
	return webhooks;
}

bool
gw_webhooks_start(gw_webhooks *webhooks)
{
	const gw_options *options = webhooks->gateway->options;

	webhooks->database = gw_database_new(
		webhooks->gateway->loop, &(gw_database_options){ .conninfo = options->database,
														 .connections = options->twilio_connections,
														 .for_role = true });
	return webhooks->database != NULL;
}

void
gw_webhooks_free(gw_webhooks *webhooks)
{
	if (webhooks->database != NULL)
		gw_database_free(webhooks->database);
	if (webhooks->server != NULL)
		http_server_free(webhooks->server);
	free(webhooks->apology);
	free(webhooks);
}

void
gw_webhooks_ask(gw_webhooks *webhooks, gw_unit *unit)
{
	gw_database_add(webhooks->database, unit);
}

http_server *
gw_webhooks_server(gw_webhooks *webhooks)
{
	return webhooks->server;
}

const gw_webhook_counters *
gw_webhooks_count(const gw_webhooks *webhooks)
{
	return &webhooks->counters;
}
