/*
 * options.c
 *	  The settings of a gateway: flags, and a configuration file whose names are the flags.
 */
#include "options.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "check.h"
#include "core/web/rate_limit.h"
#include "gateway.h"
#include "program/settings.h"

#define WRONG 2 /* the exit status of settings that are */
#define APOLOGY "Nobody can take your call at the moment. Please call again later."

static const program_setting list[] = {
	{ "database", PROGRAM_TEXT, offsetof(gw_options, database), 0, 0, 0,
	  "connection string of PostgreSQL [\"\": that of the environment]; an address, no name, or a "
	  "socket" },
	{ "connections", PROGRAM_NUMBER, offsetof(gw_options, connections), 0, 100, 1,
	  "how many of them [4]" },
	{ "listen", PROGRAM_TEXTS, offsetof(gw_options, listen), offsetof(gw_options, n_listen),
	  GW_MAX_LISTENERS, 0,
	  "address:port or path of a socket for clients, repeatable [127.0.0.1:8000]" },
	{ "admin-listen", PROGRAM_TEXTS, offsetof(gw_options, admin_listen),
	  offsetof(gw_options, n_admin_listen), GW_MAX_LISTENERS, 0,
	  "the same for health and metrics, repeatable [none]" },
	{ "anonymous", PROGRAM_TEXTS, offsetof(gw_options, anonymous),
	  offsetof(gw_options, n_anonymous), GW_MAX_RULES, 0,
	  "access@tenant=network for clients without a token, repeatable [none]" },
	{ "origin", PROGRAM_TEXTS, offsetof(gw_options, origin), offsetof(gw_options, n_origin),
	  GW_MAX_RULES, 0,
	  "of pages that may open WebSockets, and are served without a token if others there are, such "
	  "as https://desk.example, or *; repeatable [WebSockets: that of this host]" },
	{ "twilio-listen", PROGRAM_TEXTS, offsetof(gw_options, twilio_listen),
	  offsetof(gw_options, n_twilio_listen), GW_MAX_LISTENERS, 0,
	  "the same as listen for Twilio's webhooks alone, repeatable [none]" },
	{ "twilio-connections", PROGRAM_NUMBER, offsetof(gw_options, twilio_connections), 0, 100, 1,
	  "connections to the database that are kept for webhooks and conversations [8]" },
	{ "audiosocket", PROGRAM_TEXT, offsetof(gw_options, audiosocket), 0, 0, 0,
	  "IPv4 address:port for Asterisk's AudioSocket, which anybody who reaches it may try [none]" },
	{ "webhook-deadline", PROGRAM_NUMBER, offsetof(gw_options, webhook_deadline), 0, 14000, 100,
	  "milliseconds until a caller is told that nobody can take the call [8000]" },
	{ "public-url", PROGRAM_TEXT, offsetof(gw_options, public_url), 0, 0, 0,
	  "what stands before /twilio/ in the URLs that Twilio is given [what a proxy says, or "
	  "the tenant's endpoint]" },
	{ "apology", PROGRAM_TEXT, offsetof(gw_options, apology), 0, 0, 0,
	  "what a caller is told while the database is away [" APOLOGY "]" },
	{ "apology-voice", PROGRAM_TEXT, offsetof(gw_options, apology_voice), 0, 0, 0,
	  "the voice that says it, as Twilio names it [the account's]" },
	{ "apology-language", PROGRAM_TEXT, offsetof(gw_options, apology_language), 0, 0, 0,
	  "its language, such as de-DE [the voice's]" },
	{ "tls-certificate", PROGRAM_TEXT, offsetof(gw_options, tls_certificate), 0, 0, 0,
	  "PEM file with the certificate and its chain, for clients" },
	{ "tls-key", PROGRAM_TEXT, offsetof(gw_options, tls_key), 0, 0, 0, "PEM file with its key" },
	{ "proxy", PROGRAM_TEXTS, offsetof(gw_options, proxy), offsetof(gw_options, n_proxy),
	  GW_MAX_RULES, 0,
	  "network of proxies whose X-Forwarded-For names the client, and -Proto and -Host the URL of "
	  "a "
	  "webhook, or unix for those that come over a path; repeatable [none]" },
	{ "unlimited", PROGRAM_TEXTS, offsetof(gw_options, unlimited),
	  offsetof(gw_options, n_unlimited), GW_MAX_RULES, 0,
	  "network without limits per address, repeatable [none]" },
	{ "max-connections", PROGRAM_NUMBER, offsetof(gw_options, max_connections), 0, 1000000, 1,
	  "of clients [10000]" },
	{ "max-connections-per-address", PROGRAM_NUMBER,
	  offsetof(gw_options, max_connections_per_address), 0, 1000000, 0,
	  "of one address [0: no limit]" },
	{ "max-body", PROGRAM_NUMBER, offsetof(gw_options, max_body), 0, 256 * 1024 * 1024, 1024,
	  "bytes of a request's body [1048576]" },
	{ "max-buffered", PROGRAM_NUMBER, offsetof(gw_options, max_buffered), 0, INT_MAX, 1048576,
	  "bytes that all requests hold in memory [268435456]" },
	{ "max-head", PROGRAM_NUMBER, offsetof(gw_options, max_head), 0, MB_HTTP_MAX_HEAD, 256,
	  "bytes of a request's head [16384]" },
	{ "max-headers", PROGRAM_NUMBER, offsetof(gw_options, max_headers), 0, MB_HTTP_MAX_FIELDS, 8,
	  "lines of it [100]" },
	{ "head-timeout", PROGRAM_NUMBER, offsetof(gw_options, head_timeout), 0, 3600, 1,
	  "seconds for a head to come [10]" },
	{ "body-timeout", PROGRAM_NUMBER, offsetof(gw_options, body_timeout), 0, 3600, 1,
	  "seconds for a body to come [60]" },
	{ "send-timeout", PROGRAM_NUMBER, offsetof(gw_options, send_timeout), 0, 3600, 1,
	  "seconds for an answer to be taken [60]" },
	{ "idle-timeout", PROGRAM_NUMBER, offsetof(gw_options, idle_timeout), 0, 86400, 1,
	  "seconds of a connection between requests [60]" },
	{ "rate-per-address", PROGRAM_NUMBER, offsetof(gw_options, rate_per_address), 0,
	  MB_RATE_LIMIT_MAX_RATE, 0, "requests a second of one address [0: no limit]" },
	{ "burst-per-address", PROGRAM_NUMBER, offsetof(gw_options, burst_per_address), 0,
	  MB_RATE_LIMIT_MAX_RATE, 0, "requests of one address at once [0: as many as in a second]" },
	{ "rate-per-token", PROGRAM_NUMBER, offsetof(gw_options, rate_per_token), 0,
	  MB_RATE_LIMIT_MAX_RATE, 0, "requests a second with one token [0: no limit]" },
	{ "burst-per-token", PROGRAM_NUMBER, offsetof(gw_options, burst_per_token), 0,
	  MB_RATE_LIMIT_MAX_RATE, 0, "requests with one token at once [0: as many as in a second]" },
	{ "rate-table", PROGRAM_NUMBER, offsetof(gw_options, rate_table), 0, 16777216, 8,
	  "addresses, and as many tokens, that are counted at a time [65536]" },
	{ "metrics-token", PROGRAM_TEXT, offsetof(gw_options, metrics_token), 0, 0, 0,
	  "token of access monitor by which /metrics has the database's figures, too [none]" },
	{ "max-wait", PROGRAM_NUMBER, offsetof(gw_options, max_wait), 0, 3600, 0,
	  "seconds that an agent's request for its commands may wait [25]" },
	{ "max-tokens", PROGRAM_NUMBER, offsetof(gw_options, max_tokens), 0, 1000000, 16,
	  "tokens that are remembered [4096]" },
	{ "max-answer", PROGRAM_NUMBER, offsetof(gw_options, max_answer), 0, 256 * 1024 * 1024, 65536,
	  "bytes of audio that is put together of several tracks [16777216]" },
	{ "max-recording", PROGRAM_NUMBER, offsetof(gw_options, max_recording), 0, 512 * 1024 * 1024,
	  1024, "bytes of a recording that is sent as a whole [67108864]" },
	{ "max-uploads", PROGRAM_NUMBER, offsetof(gw_options, max_uploads), 0, 1000, 1,
	  "recordings that wait for the database at a time [4]" },
	{ "max-waiting-audio", PROGRAM_NUMBER, offsetof(gw_options, max_waiting_audio), 0, INT_MAX,
	  1048576,
	  "bytes of memory for what is heard and said in streams until the database has it; the oldest "
	  "of what is beyond is a gap [268435456]" },
	{ "max-downloads", PROGRAM_NUMBER, offsetof(gw_options, max_downloads), 0, 100000, 1,
	  "files of audio that are under way [100]" },
	{ "shared", PROGRAM_SWITCH, offsetof(gw_options, shared), 0, 0, 0,
	  "several processes listen on the same ports" },
	{ "check", PROGRAM_SWITCH, offsetof(gw_options, check), 0, 0, 0,
	  "read the settings, say whether they are good, and end" },
};

int
gw_options_read(gw_options *options, int argc, char **argv)
{
	const program_settings settings = {
		.program = "mulberry-gateway",
		.version = MULBERRY_VERSION,
		.about =
			"mulberry-gateway serves HTTP and WebSocket in front of Mulberry's SQL functions.\n",
		.list = list,
		.n = sizeof(list) / sizeof(list[0]),
		.wrong = WRONG
	};
	int status;

	*options = (gw_options){ .database = "",
							 .connections = 4,
							 .twilio_connections = 8,
							 .webhook_deadline = 8000,
							 .apology = APOLOGY,
							 .max_connections = 10000,
							 .max_body = 1024 * 1024,
							 .max_buffered = 256 * 1024 * 1024,
							 .max_head = MB_HTTP_MAX_HEAD,
							 .max_headers = MB_HTTP_MAX_FIELDS,
							 .head_timeout = 10,
							 .body_timeout = 60,
							 .send_timeout = 60,
							 .idle_timeout = 60,
							 .rate_table = 65536,
							 .max_wait = 25,
							 .max_tokens = 4096,
							 .max_recording = 64 * 1024 * 1024,
							 .max_uploads = 4,
							 .max_waiting_audio = 256 * 1024 * 1024,
							 .max_answer = 16 * 1024 * 1024,
							 .max_downloads = 100 };
	status = program_settings_read(&settings, options, argc, argv);
	if (status == 1)
		return status;
	if (options->n_listen == 0)
		options->listen[options->n_listen++] = "127.0.0.1:8000";
	return gw_options_fit(options) && status == 0 ? 0 : WRONG + 1;
}

bool
gw_options_name_origin(const gw_options *options, const char *origin, size_t n)
{
	for (int i = 0; i < options->n_origin; i++)
	{
		const char *named = options->origin[i];

		if (strcmp(named, "*") == 0 || (strlen(named) == n && memcmp(named, origin, n) == 0))
			return true;
	}
	return false;
}
