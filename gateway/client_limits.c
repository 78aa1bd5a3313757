/*
 * client_limits.c
 *	  How often clients may ask, and who a client is when a proxy stands before it.
 */
#include "client_limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/web/network.h"
#include "core/web/rate_limit.h"

struct gw_limits
{
	mb_network proxies[GW_MAX_RULES];
	size_t n_proxies;
	bool unix_proxy; /* what comes over a socket with a path comes from a proxy */
	mb_network unlimited[GW_MAX_RULES];
	size_t n_unlimited;
	mb_rate_limit addresses; /* without buckets: no limit */
	mb_rate_limit tokens;
	gw_limits_counters counters;
};

static bool
read_networks(const char *const *texts, int n, mb_network *networks, size_t *count, bool *local,
			  char *error, size_t error_size)
{
	for (int i = 0; i < n; i++)
	{
		if (local != NULL && strcmp(texts[i], "unix") == 0)
			*local = true;
		else if (!mb_network_parse(texts[i], &networks[(*count)++]))
		{
			snprintf(error, error_size, "\"%s\" is no network such as 10.0.0.0/8 or ::1", texts[i]);
			return false;
		}
	}
	return true;
}

/* rate 0: no limit. */
static bool
begin(mb_rate_limit *limit, int rate, int burst, size_t places)
{
	mb_rate_bucket *buckets;
	uint64_t seed[2];

	if (rate == 0)
		return true;
	buckets = calloc(places, sizeof(*buckets));
	if (buckets == NULL || getrandom(seed, sizeof(seed), 0) != (ssize_t) sizeof(seed))
	{
		free(buckets);
		return false;
	}
	mb_rate_limit_begin(limit, rate, burst == 0 ? rate : burst, buckets, places, seed);
	return true;
}

gw_limits *
gw_limits_new(const gw_options *options, char *error, size_t error_size)
{
	gw_limits *limits = calloc(1, sizeof(*limits));
	size_t places = mb_rate_limit_places((size_t) options->rate_table);

	snprintf(error, error_size, "out of memory");
	if (limits == NULL)
		return NULL;
	limits->counters.places = places;
	if (read_networks(options->proxy, options->n_proxy, limits->proxies, &limits->n_proxies,
					  &limits->unix_proxy, error, error_size) &&
		read_networks(options->unlimited, options->n_unlimited, limits->unlimited,
					  &limits->n_unlimited, NULL, error, error_size) &&
		begin(&limits->addresses, options->rate_per_address, options->burst_per_address, places) &&
		begin(&limits->tokens, options->rate_per_token, options->burst_per_token, places))
		return limits;
	gw_limits_free(limits);
	return NULL;
}

void
gw_limits_free(gw_limits *limits)
{
	free(limits->addresses.buckets);
	free(limits->tokens.buckets);
	free(limits);
}

http_options
gw_listener_limits(const gw_options *options, size_t max_body)
{
	return (http_options){ .max_connections = options->max_connections,
						   .max_body = max_body,
						   .max_buffered = (size_t) options->max_buffered,
						   .max_head = (size_t) options->max_head,
						   .max_fields = options->max_headers,
						   .head_ms = options->head_timeout * 1000,
						   .body_ms = options->body_timeout * 1000,
						   .send_ms = options->send_timeout * 1000,
						   .idle_ms = options->idle_timeout * 1000 };
}

/* All lines of X-Forwarded-For as one list; its length. */
static size_t
join_lines(const http_request *request, char *list, size_t size)
{
	const mb_http_head *head = http_request_head(request);
	const char *bytes = http_request_bytes(request);
	size_t n = 0;

	for (int i = -1; (i = mb_http_head_find(head, bytes, "X-Forwarded-For", i + 1)) >= 0;)
	{
		mb_http_span value = head->fields[i].value;

		if (n > 0)
			list[n++] = ',';
		memcpy(list + n, bytes + value.at, value.length);
		n += value.length;
		/* never: all of them lie in a head, which is smaller */
		if (n >= size)
			return 0;
	}
	return n;
}

bool
gw_limits_proxied(const gw_limits *limits, const http_request *request)
{
	static const uint8_t local[16];
	const unsigned char *peer = http_request_address_bytes(request);

	/* a socket with a path has no addresses: it is all zero */
	return memcmp(peer, local, 16) == 0
			   ? limits->unix_proxy
			   : mb_networks_contain(limits->proxies, limits->n_proxies, peer);
}

bool
gw_limits_client(gw_limits *limits, const http_request *request, uint8_t address[16])
{
	char list[2 * MB_HTTP_MAX_HEAD];

	memcpy(address, http_request_address_bytes(request), 16);
	if (!gw_limits_proxied(limits, request))
		return true;
	switch (mb_forwarded_for(list, join_lines(request, list, sizeof(list)), limits->proxies,
							 limits->n_proxies, address))
	{
		case MB_FORWARDED_CLIENT:
			return true;
		case MB_FORWARDED_NOBODY:
			limits->counters.unnamed++;
			return false;
		case MB_FORWARDED_MALFORMED:
			limits->counters.malformed++;
			return false;
	}
	return false;
}

/* In seconds, of which one has begun. */
static int
seconds(int64_t microseconds)
{
	return (int) ((microseconds + HTTP_SECOND - 1) / HTTP_SECOND);
}

int
gw_limits_take(gw_limits *limits, const uint8_t address[16], const gw_identity *identity)
{
	int64_t now = http_clock();
	uint8_t key[16];
	int64_t wait;

	if (limits->addresses.buckets != NULL &&
		!mb_networks_contain(limits->unlimited, limits->n_unlimited, address))
	{
		mb_address_fold(address, key);
		wait = mb_rate_limit_take(&limits->addresses, key, now);
		if (wait > 0)
		{
			limits->counters.by_address++;
			return seconds(wait);
		}
	}
	if (limits->tokens.buckets != NULL && identity != NULL && identity->token != NULL)
	{
		memcpy(key, identity->digest, sizeof(key));
		wait = mb_rate_limit_take(&limits->tokens, key, now);
		if (wait > 0)
		{
			limits->counters.by_token++;
			return seconds(wait);
		}
	}
	return 0;
}

bool
gw_limits_unlimited(const gw_limits *limits, const unsigned char *address)
{
	return mb_networks_contain(limits->proxies, limits->n_proxies, address) ||
		   mb_networks_contain(limits->unlimited, limits->n_unlimited, address);
}

const gw_limits_counters *
gw_limits_count(gw_limits *limits)
{
	int64_t now = http_clock();

	if (limits->addresses.buckets != NULL)
		limits->counters.addresses = mb_rate_limit_used(&limits->addresses, now);
	if (limits->tokens.buckets != NULL)
		limits->counters.tokens = mb_rate_limit_used(&limits->tokens, now);
	return &limits->counters;
}
