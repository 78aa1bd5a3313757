/*
 * main.c
 *	  mulberry-gateway: HTTP and WebSocket in front of Mulberry's SQL functions, on one loop in one thread.  It
 *	  holds nothing that a restart would lose.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "gateway.h"
#include "log.h"
#include "media_audiosocket.h"
#include "trim.h"
#include "watchdog.h"

#define FIRST_INHERITED 3 /* sd_listen_fds(3) */
#define HANGS_AFTER 30	  /* seconds */

static gw_gateway gateway;
static int signals = -1;

#define GOODBYES_WITHIN (6 * HTTP_SECOND)
#define LOOK_EVERY (50 * HTTP_MILLISECOND)

static int64_t goodbyes_end;

/* The servers close what is open, once those who talk have said goodbye. */
static void
stop_servers(void *arg)
{
	static http_timer again = { .due = stop_servers };

	(void) arg;
	if (gw_media_talking(gateway.media) > 0 && http_clock() < goodbyes_end)
	{
		http_loop_set_timer(gateway.loop, &again, http_clock() + LOOK_EVERY);
		return;
	}
	http_server_stop(gateway.server);
	if (gateway.webhooks != NULL)
		http_server_stop(gw_webhooks_server(gateway.webhooks));
	/* whose answers then close their connections */
	gw_agents_stop(gateway.agents);
}

/* SIGTERM and SIGINT: the first asks to end, the second ends. */
static void
on_signal(void *arg, uint32_t events)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (gateway.stopping)
	{
		gw_log(GW_WARNING, "ending at once", NULL);
		_exit(1);
	}
	gw_log(GW_INFO, "ending", "%d requests are under way",
		   http_server_counters(gateway.server)->requests);
	gateway.stopping = true;
	gw_media_stop(gateway.media);
	goodbyes_end = http_clock() + GOODBYES_WITHIN;
	stop_servers(NULL);
}

/* "address:port", "[IPv6]:port" or a path: 0 when it is fine. */
static int
listen_on(http_server *server, const char *text, http_tls *tls, bool shared)
{
	char address[256];
	const char *colon = strrchr(text, ':');
	http_listener_options options = { .address = address, .tls = tls, .shared = shared };
	size_t n = strchr(text, '/') != NULL || colon == NULL ? strlen(text) : (size_t) (colon - text);
	char *end;
	long number;
	int port;

	if (n >= sizeof(address))
		n = sizeof(address) - 1;
	memcpy(address, text, n);
	address[n] = '\0';
	if (n > 2 && address[0] == '[' && address[n - 1] == ']')
	{
		memmove(address, address + 1, n - 2);
		address[n - 2] = '\0';
	}
	if (strchr(text, '/') == NULL)
	{
		number = colon == NULL ? -1 : strtol(colon + 1, &end, 10);
		if (number < 0 || number > 65535 || *end != '\0' || end == colon + 1)
		{
			fprintf(stderr, "mulberry-gateway: \"%s\" is no address:port and no path\n", text);
			return -1;
		}
		options.port = (int) number;
	}
	if (gateway.options->check)
		return 0;
	port = http_listen(server, &options);
	if (port < 0)
	{
		fprintf(stderr, "mulberry-gateway: cannot listen on %s: %s\n", text, strerror(errno));
		return -1;
	}
	gw_log(GW_INFO, "listening", port == 0 ? "%s" : "%s, port %d", text, port);
	return 0;
}

/* The sockets of an init system, for clients. */
static int
inherit(http_server *server, http_tls *tls)
{
	const char *pid = getenv("LISTEN_PID");
	const char *n = getenv("LISTEN_FDS");
	int taken = 0;

	if (pid == NULL || n == NULL || atol(pid) != (long) getpid())
		return 0;
	for (int fd = FIRST_INHERITED; fd < FIRST_INHERITED + atoi(n); fd++)
	{
		if (http_listen(server, &(http_listener_options){ .fd = fd, .tls = tls }) >= 0)
			taken++;
	}
	gw_log(GW_INFO, "listening", "on %d sockets that were inherited", taken);
	return taken;
}

static int
fail(const char *what)
{
	fprintf(stderr, "mulberry-gateway: %s\n", what);
	return 2;
}

/* Everything but the database; 0 when it is fine. */
static int
prepare(const gw_options *options)
{
	http_options limits = gw_listener_limits(options, (size_t) options->max_body);
	http_tls *tls = NULL;
	char error[300];

	limits.max_per_address = options->max_connections_per_address;
	gateway.options = options;
	gateway.started = http_clock();
	gateway.loop = http_loop_new();
	gateway.identities = gw_identities_new((size_t) options->max_tokens);
	gateway.ingest = gw_ingest_new(&gateway);
	gateway.supervisors = gateway.loop == NULL ? NULL : gw_supervisors_new(&gateway);
	gateway.agents = gw_agents_new(&gateway);
	gateway.media = gw_media_new(&gateway);
	gateway.health = gw_health_new(&gateway);
	if (gateway.loop == NULL || gateway.supervisors == NULL || gateway.identities == NULL ||
		gateway.health == NULL || gateway.agents == NULL || gateway.ingest == NULL ||
		gateway.media == NULL)
		return fail("out of memory");
	gateway.limits = gw_limits_new(options, error, sizeof(error));
	if (gateway.limits == NULL)
		return fail(error);
	for (int i = 0; i < options->n_anonymous; i++)
	{
		if (!gw_identities_add_rule(gateway.identities, options->anonymous[i], error,
									sizeof(error)))
			return fail(error);
		gw_log(GW_WARNING, "clients without a token are served", "%s", options->anonymous[i]);
	}
	if (options->tls_certificate != NULL)
	{
		tls = http_tls_new(options->tls_certificate, options->tls_key, error, sizeof(error));
		if (tls == NULL)
			return fail(error);
	}
	gateway.server = http_server_new(gateway.loop, &limits, &gw_client_handlers, &gateway);
	gateway.admin = http_server_new(gateway.loop, &(http_options){ .max_connections = 100 },
									&gw_admin_handlers, &gateway);
	if (gateway.server == NULL || gateway.admin == NULL)
		return fail("out of memory");
	if (options->check || inherit(gateway.server, tls) == 0)
	{
		for (int i = 0; i < options->n_listen; i++)
		{
			if (listen_on(gateway.server, options->listen[i], tls, options->shared) != 0)
				return 2;
		}
	}
	for (int i = 0; i < options->n_admin_listen; i++)
	{
		if (listen_on(gateway.admin, options->admin_listen[i], NULL, false) != 0)
			return 2;
	}
	if (options->n_twilio_listen > 0)
	{
		gateway.webhooks = gw_webhooks_new(&gateway, error, sizeof(error));
		if (gateway.webhooks == NULL)
			return fail(error);
	}
	for (int i = 0; i < options->n_twilio_listen; i++)
	{
		if (listen_on(gw_webhooks_server(gateway.webhooks), options->twilio_listen[i], tls,
					  options->shared) != 0)
			return 2;
	}
	if (options->audiosocket != NULL && gw_audiosocket_listen(&gateway, options->audiosocket) != 0)
		return 2;
	return 0;
}

/* Whether somebody is still connected, or was and what was heard of him is not stored. */
static bool
busy(void)
{
	return gw_media_count(gateway.media) > 0 ||
		   http_server_counters(gateway.server)->connections > 0 ||
		   (gateway.webhooks != NULL &&
			http_server_counters(gw_webhooks_server(gateway.webhooks))->connections > 0);
}

int
main(int argc, char **argv)
{
	static gw_options options;
	http_watch watch = { .ready = on_signal };
	sigset_t handled;
	int status = gw_options_read(&options, argc, argv);

	if (status != 0)
		return status - 1;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&handled);
	sigaddset(&handled, SIGTERM);
	sigaddset(&handled, SIGINT);
	sigprocmask(SIG_BLOCK, &handled, NULL);
	signals = signalfd(-1, &handled, SFD_NONBLOCK | SFD_CLOEXEC);
	watch.fd = signals;
	status = prepare(&options);
	if (status != 0)
		return status;
	if (options.check)
	{
		printf("mulberry-gateway: the settings are good\n");
		return 0;
	}
	gateway.database =
		gw_database_new(gateway.loop, &(gw_database_options){ .conninfo = options.database,
															  .connections = options.connections });
	gateway.feed = gw_feed_new(&gateway);
	if (gateway.database == NULL || gateway.feed == NULL || signals < 0 ||
		(gateway.webhooks != NULL && !gw_webhooks_start(gateway.webhooks)) ||
		!http_loop_add(gateway.loop, &watch, EPOLLIN) ||
		!gw_watchdog_start(gateway.loop, HANGS_AFTER))
		return fail("cannot start");
	gw_trim_start(gateway.loop);
	gw_log(GW_INFO, "serving", "version %s", MULBERRY_VERSION);
	while (!gateway.stopping || busy())
		http_loop_turn(gateway.loop, -1);

	gw_feed_free(gateway.feed);
	gw_database_free(gateway.database);
	http_server_free(gateway.server);
	http_server_free(gateway.admin);
	if (gateway.webhooks != NULL)
		gw_webhooks_free(gateway.webhooks);
	gw_media_free(gateway.media);
	gw_health_free(gateway.health);
	gw_supervisors_free(gateway.supervisors);
	gw_agents_free(gateway.agents);
	gw_ingest_free(gateway.ingest);
	gw_identities_free(gateway.identities);
	gw_limits_free(gateway.limits);
	gw_log(GW_INFO, "ended", NULL);
	return 0;
}
