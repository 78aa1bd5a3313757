/*
 * client_limits.h
 *	  How often clients may ask, and who a client is when a proxy stands before it.
 *
 * Limits are kept per token and per address, by this process alone and in tables of fixed size.
 */
#ifndef GATEWAY_CLIENT_LIMITS_H
#define GATEWAY_CLIENT_LIMITS_H

#include "identity.h"
#include "options.h"

typedef struct gw_limits gw_limits;

/* NULL, with a sentence in error, when an option is no network, or without memory. */
extern gw_limits *gw_limits_new(const gw_options *options, char *error, size_t error_size);
extern void gw_limits_free(gw_limits *limits);

/* What a listener takes at most, by the options; its bodies have that many bytes.  No limit per address. */
extern http_options gw_listener_limits(const gw_options *options, size_t max_body);

/*
 * The address that a request comes from: that of the client whom a proxy names or, when no proxy stands
 * before it, of the peer.  False when the peer is a proxy that names nobody: then it is the proxy's own, which
 * must not give anybody rights.
 */
extern bool gw_limits_client(gw_limits *limits, const http_request *request, uint8_t address[16]);

/* Whether a request comes from a proxy that is believed. */
extern bool gw_limits_proxied(const gw_limits *limits, const http_request *request);

/*
 * Counts a request.  0 when it may be served; otherwise the seconds after which to try again.  identity: NULL for
 * nobody's.
 */
extern int
gw_limits_take(gw_limits *limits, const uint8_t address[16], const gw_identity *identity);

/* Whether an address may have as many connections as it likes: that of a proxy, or one that is named so. */
extern bool gw_limits_unlimited(const gw_limits *limits, const unsigned char *address);

typedef struct gw_limits_counters
{
	uint64_t by_address; /* requests that were refused */
	uint64_t by_token;
	uint64_t malformed; /* X-Forwarded-For */
	uint64_t unnamed;	/* requests of proxies without it */
	size_t addresses;	/* now, those that have asked just before */
	size_t tokens;
	size_t places; /* for each of them */
} gw_limits_counters;

extern const gw_limits_counters *gw_limits_count(gw_limits *limits);

#endif /* GATEWAY_CLIENT_LIMITS_H */
