/*
 * check.c
 *	  Settings that are fine each by itself and wrong together.
 */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/web/network.h"

static bool fine;

static void
wrong(const char *format, ...)
{
	va_list list;

	fine = false;
	fputs("mulberry-gateway: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputs("\n", stderr);
}

static void
strange(const char *format, ...)
{
	va_list list;

	fputs("mulberry-gateway: warning: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputs("\n", stderr);
}

static bool
is_path(const char *listener)
{
	return strchr(listener, '/') != NULL;
}

/* Port 0 is any free one, so it may be said twice. */
static bool
same(const char *one, const char *other)
{
	size_t n = strlen(one);

	return strcmp(one, other) == 0 && !(n > 2 && strcmp(one + n - 2, ":0") == 0);
}

static void
check_listeners(const gw_options *options)
{
	for (int i = 0; i < options->n_listen; i++)
	{
		if (options->shared && is_path(options->listen[i]))
			wrong("shared: several processes cannot listen on the path %s", options->listen[i]);
		for (int j = 0; j < i; j++)
		{
			if (same(options->listen[i], options->listen[j]))
				wrong("listen: %s is named twice", options->listen[i]);
		}
		for (int j = 0; j < options->n_twilio_listen; j++)
		{
			if (same(options->listen[i], options->twilio_listen[j]))
				wrong("twilio-listen: %s is that of clients, who must not take its connections",
					  options->listen[i]);
		}
		for (int j = 0; j < options->n_admin_listen; j++)
		{
			if (same(options->listen[i], options->admin_listen[j]))
				wrong("admin-listen: %s is that of clients, who must not see it",
					  options->listen[i]);
		}
	}
}

static void
check_limits(const gw_options *options)
{
	if (options->max_connections_per_address > options->max_connections)
		wrong("max-connections-per-address: is more than max-connections");
	if (options->max_buffered < options->max_body)
		wrong("max-buffered: is less than max-body, so that no request of that size could be read");
	if (options->max_buffered < options->max_recording)
		strange("max-recording: is more than max-buffered, so that none of that size can be read");
	if (options->burst_per_address > 0 && options->rate_per_address == 0)
		wrong("burst-per-address: needs rate-per-address");
	if (options->burst_per_token > 0 && options->rate_per_token == 0)
		wrong("burst-per-token: needs rate-per-token");
}

/* What a proxy makes strange.  Networks that are none are told elsewhere. */
static void
check_proxies(const gw_options *options)
{
	bool local = false;
	mb_network proxy;
	mb_network rule;

	for (int i = 0; i < options->n_proxy; i++)
	{
		const char *network = options->proxy[i];
		bool is_unix = strcmp(network, "unix") == 0;

		local = local || is_unix;
		if (is_unix || !mb_network_parse(network, &proxy))
			continue;
		if (proxy.bits == 0 || (proxy.bits == 96 && strchr(network, ':') == NULL))
			wrong("proxy: with %s anybody could say that he is somebody else", network);
		for (int j = 0; j < options->n_anonymous; j++)
		{
			const char *equals = strchr(options->anonymous[j], '=');

			if (equals != NULL && mb_network_parse(equals + 1, &rule) && rule.bits >= proxy.bits &&
				mb_network_contains(&proxy, rule.address))
				strange(
					"anonymous: %s is a network of the proxies %s, which count for nobody without "
					"X-Forwarded-For",
					options->anonymous[j], network);
		}
	}
	for (int i = 0; i < options->n_listen; i++)
	{
		if (!is_path(options->listen[i]))
			continue;
		if (!local && (options->rate_per_address > 0 || options->n_anonymous > 0))
			strange(
				"listen: who comes over %s has no address, unless proxy = unix says that a proxy "
				"does",
				options->listen[i]);
	}
}

bool
gw_options_fit(const gw_options *options)
{
	fine = true;
	if ((options->tls_certificate == NULL) != (options->tls_key == NULL))
		wrong("tls-certificate: needs tls-key, and the reverse");
	check_listeners(options);
	check_limits(options);
	check_proxies(options);
	return fine;
}
