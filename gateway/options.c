/*
 * options.c
 *	  The settings of a gateway: flags, and a configuration file whose names are the flags.
 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/web/rate_limit.h"
#include "gateway.h"

#define MAX_LINE 4096
#define APOLOGY "Nobody can take your call at the moment. Please call again later."

typedef enum setting_type
{
	TEXT,
	TEXTS,
	NUMBER,
	SWITCH
} setting_type;

static const struct setting
{
	const char *name;
	setting_type type;
	size_t offset;
	size_t count; /* of texts */
	int max;	  /* of texts, or the largest number */
	int min;
	const char *help;
} settings[] = {
	{ "database", TEXT, offsetof(gw_options, database), 0, 0, 0,
	  "connection string of PostgreSQL [\"\": that of the environment]; an address, no name, or a "
	  "socket" },
	{ "connections", NUMBER, offsetof(gw_options, connections), 0, 100, 1, "how many of them [4]" },
	{ "listen", TEXTS, offsetof(gw_options, listen), offsetof(gw_options, n_listen),
	  GW_MAX_LISTENERS, 0,
	  "address:port or path of a socket for clients, repeatable [127.0.0.1:8000]" },
	{ "admin-listen", TEXTS, offsetof(gw_options, admin_listen),
	  offsetof(gw_options, n_admin_listen), GW_MAX_LISTENERS, 0,
	  "the same for health and metrics, repeatable [none]" },
	{ "anonymous", TEXTS, offsetof(gw_options, anonymous), offsetof(gw_options, n_anonymous),
	  GW_MAX_RULES, 0, "access@tenant=network for clients without a token, repeatable [none]" },
	{ "origin", TEXTS, offsetof(gw_options, origin), offsetof(gw_options, n_origin), GW_MAX_RULES,
	  0,
	  "of pages that may open WebSockets, and are served without a token if others there are, such "
	  "as https://desk.example, or *; repeatable [WebSockets: that of this host]" },
	{ "twilio-listen", TEXTS, offsetof(gw_options, twilio_listen),
	  offsetof(gw_options, n_twilio_listen), GW_MAX_LISTENERS, 0,
	  "the same as listen for Twilio's webhooks alone, repeatable [none]" },
	{ "twilio-connections", NUMBER, offsetof(gw_options, twilio_connections), 0, 100, 1,
	  "connections to the database that are kept for webhooks [2]" },
	{ "webhook-deadline", NUMBER, offsetof(gw_options, webhook_deadline), 0, 14000, 100,
	  "milliseconds until a caller is told that nobody can take the call [8000]" },
	{ "public-url", TEXT, offsetof(gw_options, public_url), 0, 0, 0,
	  "what stands before /twilio/ in the URLs that Twilio is given [what a proxy says, or "
	  "the tenant's endpoint]" },
	{ "apology", TEXT, offsetof(gw_options, apology), 0, 0, 0,
	  "what a caller is told while the database is away [" APOLOGY "]" },
	{ "apology-voice", TEXT, offsetof(gw_options, apology_voice), 0, 0, 0,
	  "the voice that says it, as Twilio names it [the account's]" },
	{ "apology-language", TEXT, offsetof(gw_options, apology_language), 0, 0, 0,
	  "its language, such as de-DE [the voice's]" },
	{ "tls-certificate", TEXT, offsetof(gw_options, tls_certificate), 0, 0, 0,
	  "PEM file with the certificate and its chain, for clients" },
	{ "tls-key", TEXT, offsetof(gw_options, tls_key), 0, 0, 0, "PEM file with its key" },
	{ "proxy", TEXTS, offsetof(gw_options, proxy), offsetof(gw_options, n_proxy), GW_MAX_RULES, 0,
	  "network of proxies whose X-Forwarded-For names the client, and -Proto and -Host the URL of "
	  "a "
	  "webhook, or unix for those that come over a path; repeatable [none]" },
	{ "unlimited", TEXTS, offsetof(gw_options, unlimited), offsetof(gw_options, n_unlimited),
	  GW_MAX_RULES, 0, "network without limits per address, repeatable [none]" },
	{ "max-connections", NUMBER, offsetof(gw_options, max_connections), 0, 1000000, 1,
	  "of clients [10000]" },
	{ "max-connections-per-address", NUMBER, offsetof(gw_options, max_connections_per_address), 0,
	  1000000, 0, "of one address [0: no limit]" },
	{ "max-body", NUMBER, offsetof(gw_options, max_body), 0, 256 * 1024 * 1024, 1024,
	  "bytes of a request's body [1048576]" },
	{ "max-buffered", NUMBER, offsetof(gw_options, max_buffered), 0, INT_MAX, 1048576,
	  "bytes that all requests hold in memory [268435456]" },
	{ "max-head", NUMBER, offsetof(gw_options, max_head), 0, MB_HTTP_MAX_HEAD, 256,
	  "bytes of a request's head [16384]" },
	{ "max-headers", NUMBER, offsetof(gw_options, max_headers), 0, MB_HTTP_MAX_FIELDS, 8,
	  "lines of it [100]" },
	{ "head-timeout", NUMBER, offsetof(gw_options, head_timeout), 0, 3600, 1,
	  "seconds for a head to come [10]" },
	{ "body-timeout", NUMBER, offsetof(gw_options, body_timeout), 0, 3600, 1,
	  "seconds for a body to come [60]" },
	{ "send-timeout", NUMBER, offsetof(gw_options, send_timeout), 0, 3600, 1,
	  "seconds for an answer to be taken [60]" },
	{ "idle-timeout", NUMBER, offsetof(gw_options, idle_timeout), 0, 86400, 1,
	  "seconds of a connection between requests [60]" },
	{ "rate-per-address", NUMBER, offsetof(gw_options, rate_per_address), 0, MB_RATE_LIMIT_MAX_RATE,
	  0, "requests a second of one address [0: no limit]" },
	{ "burst-per-address", NUMBER, offsetof(gw_options, burst_per_address), 0,
	  MB_RATE_LIMIT_MAX_RATE, 0, "requests of one address at once [0: as many as in a second]" },
	{ "rate-per-token", NUMBER, offsetof(gw_options, rate_per_token), 0, MB_RATE_LIMIT_MAX_RATE, 0,
	  "requests a second with one token [0: no limit]" },
	{ "burst-per-token", NUMBER, offsetof(gw_options, burst_per_token), 0, MB_RATE_LIMIT_MAX_RATE,
	  0, "requests with one token at once [0: as many as in a second]" },
	{ "rate-table", NUMBER, offsetof(gw_options, rate_table), 0, 16777216, 8,
	  "addresses, and as many tokens, that are counted at a time [65536]" },
	{ "metrics-token", TEXT, offsetof(gw_options, metrics_token), 0, 0, 0,
	  "token of access monitor by which /metrics has the database's figures, too [none]" },
	{ "max-wait", NUMBER, offsetof(gw_options, max_wait), 0, 3600, 0,
	  "seconds that an agent's request for its commands may wait [25]" },
	{ "max-tokens", NUMBER, offsetof(gw_options, max_tokens), 0, 1000000, 16,
	  "tokens that are remembered [4096]" },
	{ "max-answer", NUMBER, offsetof(gw_options, max_answer), 0, 256 * 1024 * 1024, 65536,
	  "bytes of audio that is put together of several tracks [16777216]" },
	{ "max-recording", NUMBER, offsetof(gw_options, max_recording), 0, 512 * 1024 * 1024, 1024,
	  "bytes of a recording that is sent as a whole [67108864]" },
	{ "max-uploads", NUMBER, offsetof(gw_options, max_uploads), 0, 1000, 1,
	  "recordings that wait for the database at a time [4]" },
	{ "max-downloads", NUMBER, offsetof(gw_options, max_downloads), 0, 100000, 1,
	  "files of audio that are under way [100]" },
	{ "shared", SWITCH, offsetof(gw_options, shared), 0, 0, 0,
	  "several processes listen on the same ports" },
	{ "check", SWITCH, offsetof(gw_options, check), 0, 0, 0,
	  "read the settings, say whether they are good, and end" },
};

#define N_SETTINGS (sizeof(settings) / sizeof(settings[0]))

static void
help(void)
{
	printf("mulberry-gateway serves HTTP and WebSocket in front of Mulberry's SQL functions.\n\n"
		   "  --%-30s %s\n",
		   "config FILE", "settings, one \"name = value\" a line, named as these flags");
	for (size_t i = 0; i < N_SETTINGS; i++)
	{
		char flag[64];

		snprintf(flag, sizeof(flag), "%s%s", settings[i].name,
				 settings[i].type == SWITCH	  ? ""
				 : settings[i].type == NUMBER ? " NUMBER"
											  : " TEXT");
		printf("  --%-30s %s\n", flag, settings[i].help);
	}
	printf("  --%-30s %s\n  --%-30s %s\n", "version", "", "help", "");
}

/* Says what is wrong with a setting; false. */
static bool
wrong(const char *where, const char *name, const char *why)
{
	fprintf(stderr, "mulberry-gateway: %s%s: %s\n", where, name, why);
	return false;
}

static const struct setting *
find(const char *name, size_t n)
{
	for (size_t i = 0; i < N_SETTINGS; i++)
	{
		if (strlen(settings[i].name) == n && memcmp(settings[i].name, name, n) == 0)
			return &settings[i];
	}
	return NULL;
}

/* Texts are copied: they stand in a line of the file, or in argv. */
static bool
set(gw_options *options, const struct setting *setting, const char *value, const char *where)
{
	char *place = (char *) options + setting->offset;
	const char **text = (const char **) place;
	char *end;
	long number;
	int *count;

	switch (setting->type)
	{
		case TEXT:
			*text = strdup(value);
			return *text != NULL || wrong(where, setting->name, strerror(errno));
		case TEXTS:
			count = (int *) ((char *) options + setting->count);
			if (*count >= setting->max)
				return wrong(where, setting->name, "too many of them");
			text[*count] = strdup(value);
			return text[(*count)++] != NULL || wrong(where, setting->name, strerror(errno));
		case NUMBER:
			errno = 0;
			number = strtol(value, &end, 10);
			if (errno != 0 || end == value || *end != '\0' || number < setting->min ||
				number > setting->max)
			{
				fprintf(stderr, "mulberry-gateway: %s%s: \"%s\" is no number from %d to %d\n",
						where, setting->name, value, setting->min, setting->max);
				return false;
			}
			*(int *) place = (int) number;
			return true;
		case SWITCH:
			if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
				return wrong(where, setting->name, "must be on or off");
			*(bool *) place = strcmp(value, "on") == 0;
			return true;
	}
	return false;
}

/* The text between, without the white space around it. */
static char *
strip(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char) end[-1]))
		*--end = '\0';
	while (isspace((unsigned char) *text))
		text++;
	return text;
}

static bool
read_file(gw_options *options, const char *path)
{
	FILE *file = fopen(path, "r");
	char line[MAX_LINE];
	char where[PATH_MAX + 40];
	bool fine = true;

	if (file == NULL)
		return wrong("", path, strerror(errno));
	for (int n = 1; fgets(line, sizeof(line), file) != NULL; n++)
	{
		char *text = strip(line);
		char *equals = strchr(text, '=');
		const struct setting *setting;

		snprintf(where, sizeof(where), "%s:%d: ", path, n);
		if (*text == '\0' || *text == '#')
			continue;
		if (equals == NULL)
		{
			fine = wrong(where, text, "is not of the form name = value");
			continue;
		}
		*equals = '\0';
		setting = find(strip(text), strlen(strip(text)));
		if (setting == NULL)
			fine = wrong(where, text, "there is no such setting");
		else
			fine = set(options, setting, strip(equals + 1), where) && fine;
	}
	fclose(file);
	return fine;
}

int
gw_options_read(gw_options *options, int argc, char **argv)
{
	bool fine = true;

	*options = (gw_options){ .database = "",
							 .connections = 4,
							 .twilio_connections = 2,
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
							 .max_answer = 16 * 1024 * 1024,
							 .max_downloads = 100 };
	for (int i = 1; i < argc; i++)
	{
		const char *name = strncmp(argv[i], "--", 2) == 0 ? argv[i] + 2 : "";
		size_t n = strcspn(name, "=");
		const struct setting *setting = find(name, n);
		const char *value = name[n] == '=' ? name + n + 1 : NULL;

		if (strcmp(name, "help") == 0)
		{
			help();
			return 1;
		}
		if (strcmp(name, "version") == 0)
		{
			printf("mulberry-gateway %s\n", MULBERRY_VERSION);
			return 1;
		}
		if (setting != NULL && setting->type == SWITCH)
			value = value == NULL ? "on" : value;
		else if ((setting != NULL || (n == 6 && memcmp(name, "config", 6) == 0)) && value == NULL &&
				 i + 1 < argc)
			value = argv[++i];
		if (n == 6 && memcmp(name, "config", 6) == 0 && value != NULL)
			fine = read_file(options, value) && fine;
		else if (setting == NULL || value == NULL)
			fine = wrong("", argv[i],
						 setting == NULL ? "there is no such flag, see --help" : "needs a value");
		else
			fine = set(options, setting, value, "--") && fine;
	}
	if (options->n_listen == 0)
		options->listen[options->n_listen++] = "127.0.0.1:8000";
	fine = gw_options_fit(options) && fine;
	return fine ? 0 : 2 + 1;
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
