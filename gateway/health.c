/*
 * health.c
 *	  What a gateway says of itself: alive, ready, and in figures.  None of it asks the database, so that it is
 *	  answered whatever the database does.
 */
#include <string.h>

#include "gateway.h"
#include "talk_metrics.h"

/* Answers on the server that the request came to. */
static void
respond(gw_call *call, int status, const char *type, const program_text *body)
{
	http_headers headers = { 0 };
	http_answer answer = { .status = status, .content_type = type, .headers = &headers };

	if (status == 503)
		http_headers_add(&headers, "Retry-After", "%d",
						 gw_database_retry_after(call->gateway->database));
	answer.body = body->failed ? "" : body->data;
	answer.length = body->failed ? 0 : body->length;
	http_respond(call->server, http_request_id(call->request), &answer);
}

static void
respond_status(gw_call *call, int status, const char *word)
{
	program_text body = { 0 };

	program_text_printf(&body, "{\"status\":\"%s\"}", word);
	respond(call, status, "application/json", &body);
	program_text_free(&body);
}

/* GET / */
void
gw_handle_root(gw_call *call)
{
	program_text body = { 0 };

	program_text_puts(&body, "{\"service\":\"VoiceStream PBX "
							 "Microservice\",\"status\":\"running\",\"version\":\"1.0.0\"}");
	respond(call, 200, "application/json", &body);
	program_text_free(&body);
}

/* GET /health/live: this loop turns. */
void
gw_handle_live(gw_call *call)
{
	respond_status(call, 200, "alive");
}

/* GET /health/ready: requests can be served. */
void
gw_handle_ready(gw_call *call)
{
	if (call->gateway->stopping)
		respond_status(call, 503, "stopping");
	else if (!gw_database_up(call->gateway->database))
		respond_status(call, 503, "no database");
	else
		respond_status(call, 200, "ready");
}

static void
family(program_text *text, const char *name, const char *type, const char *help)
{
	program_text_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
single(program_text *text, const char *name, const char *type, const char *help, uint64_t value)
{
	family(text, name, type, help);
	program_text_printf(text, "%s %llu\n", name, (unsigned long long) value);
}

static void
limits(program_text *text, gw_gateway *gateway)
{
	const gw_limits_counters *counters = gw_limits_count(gateway->limits);

	family(text, "mulberry_gateway_limited_total", "counter",
		   "Requests that were refused by a rate: of their address, or of their token.");
	program_text_printf(text,
						"mulberry_gateway_limited_total{limit=\"address\"} %llu\n"
						"mulberry_gateway_limited_total{limit=\"token\"} %llu\n",
						(unsigned long long) counters->by_address,
						(unsigned long long) counters->by_token);
	family(text, "mulberry_gateway_counted_clients", "gauge",
		   "Addresses and tokens whose requests are counted now.");
	program_text_printf(text,
						"mulberry_gateway_counted_clients{limit=\"address\"} %zu\n"
						"mulberry_gateway_counted_clients{limit=\"token\"} %zu\n",
						counters->addresses, counters->tokens);
	family(text, "mulberry_gateway_nameless_total", "counter",
		   "Requests of proxies that name no client: without X-Forwarded-For, or with one that "
		   "cannot be read.");
	program_text_printf(text,
						"mulberry_gateway_nameless_total{header=\"missing\"} %llu\n"
						"mulberry_gateway_nameless_total{header=\"malformed\"} %llu\n",
						(unsigned long long) counters->unnamed,
						(unsigned long long) counters->malformed);
	single(text, "mulberry_gateway_max_connections", "gauge", "How many connections there may be.",
		   (uint64_t) gateway->options->max_connections);
	single(text, "mulberry_gateway_max_buffered_bytes", "gauge",
		   "How much memory requests may hold.", (uint64_t) gateway->options->max_buffered);
}

static void
write_webhooks(program_text *text, const gw_webhook_counters *counters)
{
	const struct
	{
		const char *outcome;
		uint64_t n;
	} outcomes[] = { { "answered", counters->answered },
					 { "refused", counters->refused },
					 { "apology", counters->apologies },
					 { "put_off", counters->put_off } };

	family(text, "mulberry_gateway_webhooks_total", "counter",
		   "Webhooks of Twilio's, by what they were answered.");
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
		program_text_printf(text, "mulberry_gateway_webhooks_total{outcome=\"%s\"} %llu\n",
							outcomes[i].outcome, (unsigned long long) outcomes[i].n);
	single(text, "mulberry_gateway_webhooks_late_total", "counter",
		   "Of these, those that the database had not answered in time.", counters->late);
}

/* What this gateway knows itself, in the text form of Prometheus. */
void
gw_write_metrics(gw_gateway *gateway, program_text *text)
{
	static const char *const packets[] = { "accepted", "duplicate", "rejected", "error" };
	const http_counters *http = http_server_counters(gateway->server);
	const gw_database_counters *database = gw_database_count(gateway->database);

	family(text, "mulberry_gateway_build_info", "gauge", "The version of the gateway.");
	program_text_printf(text, "mulberry_gateway_build_info{version=\"%s\"} 1\n", MULBERRY_VERSION);
	family(text, "mulberry_gateway_answers_total", "counter",
		   "Answers to requests, by class of status.");
	for (int i = 1; i <= 5; i++)
		program_text_printf(text, "mulberry_gateway_answers_total{class=\"%dxx\"} %llu\n", i,
							(unsigned long long) gateway->answers[i]);
	family(text, "mulberry_gateway_packets_total", "counter", "Packets, by what became of them.");
	for (int i = 0; i < 4; i++)
		program_text_printf(text, "mulberry_gateway_packets_total{status=\"%s\"} %llu\n",
							packets[i], (unsigned long long) gateway->packets[i]);
	single(text, "mulberry_gateway_batches_total", "counter", "Batches of packets.",
		   gateway->batches);
	single(text, "mulberry_gateway_unauthorized_total", "counter",
		   "Requests without a valid token.", gateway->unauthorized);
	single(text, "mulberry_gateway_connections", "gauge", "Connections of clients.",
		   (uint64_t) http->connections);
	single(text, "mulberry_gateway_sockets", "gauge", "WebSockets among them.",
		   (uint64_t) http->sockets);
	single(text, "mulberry_gateway_supervisors", "gauge", "Supervisors that listen.",
		   (uint64_t) gw_supervisors_count(gateway->supervisors));
	single(text, "mulberry_gateway_agents_waiting", "gauge",
		   "Requests of agents that wait for a command.",
		   (uint64_t) gw_agents_waiting(gateway->agents));
	single(text, "mulberry_gateway_agents_looks_total", "counter",
		   "Transactions that looked for commands.", gw_agents_looks(gateway->agents));
	single(text, "mulberry_gateway_downloads", "gauge", "Files of audio that are under way.",
		   (uint64_t) gateway->n_downloads);
	single(text, "mulberry_gateway_uploads", "gauge", "Recordings that wait for the database.",
		   (uint64_t) gateway->n_uploads);
	single(text, "mulberry_gateway_requests", "gauge", "Requests under way.",
		   (uint64_t) http->requests);
	single(text, "mulberry_gateway_buffered_bytes", "gauge", "Memory that requests hold.",
		   http->buffered);
	single(text, "mulberry_gateway_connections_total", "counter", "Connections taken.",
		   http->accepted);
	family(text, "mulberry_gateway_turned_away_total", "counter",
		   "Connections beyond a limit: of all, or of one address.");
	program_text_printf(text,
						"mulberry_gateway_turned_away_total{limit=\"all\"} %llu\n"
						"mulberry_gateway_turned_away_total{limit=\"address\"} %llu\n",
						(unsigned long long) http->turned_away,
						(unsigned long long) http->turned_away_address);
	limits(text, gateway);
	single(text, "mulberry_gateway_refused_total", "counter",
		   "Requests that were malformed, too large or too slow.", http->refused);
	single(text, "mulberry_gateway_timed_out_total", "counter", "Clients that were too slow.",
		   http->timed_out);
	single(text, "mulberry_gateway_database_up", "gauge", "Whether the database can be reached.",
		   gw_database_up(gateway->database));
	single(text, "mulberry_gateway_listening", "gauge",
		   "Whether revocations of tokens are heard of at once.", gw_feed_up(gateway->feed));
	single(text, "mulberry_gateway_database_connections", "gauge", "Connections to the database.",
		   (uint64_t) database->connections);
	single(text, "mulberry_gateway_database_busy", "gauge", "Of these, those that work.",
		   (uint64_t) database->busy);
	single(text, "mulberry_gateway_database_waiting", "gauge",
		   "Transactions that wait for a connection.", (uint64_t) database->waiting);
	single(text, "mulberry_gateway_database_transactions_total", "counter", "Transactions sent.",
		   database->units);
	single(text, "mulberry_gateway_database_lost_total", "counter", "Connections lost.",
		   database->lost);
	single(text, "mulberry_gateway_database_sent_again_total", "counter",
		   "Transactions sent again over another connection.", database->sent_again);
	single(text, "mulberry_gateway_database_timeouts_total", "counter",
		   "Transactions that waited too long.", database->timeouts);
	gw_talk_write_metrics(gateway->media, text);
	if (gateway->webhooks != NULL)
		write_webhooks(text, gw_webhooks_count(gateway->webhooks));
}
