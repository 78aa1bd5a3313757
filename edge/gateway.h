/*
 * gateway.h
 *	  Requests to a gateway, and what counts for an answer of one.
 *
 * A device stands behind all kinds of networks: some answer for whoever was asked, with a page that wants a password. So an
 * answer is JSON with status 200 that did not come by way of another address, over TLS unless the gateway is on this machine.
 */
#ifndef EDGE_GATEWAY_H
#define EDGE_GATEWAY_H

#include <signal.h>

#include <curl/curl.h>

#include "exits.h"

typedef struct edge_gateway
{
	const char *url; /* "https://host", a port and a path behind it if it has them */
	const char *
		token_file; /* whose first line is the token; read for each request, so that it may be changed */
	const char *ca_file; /* who vouches for the gateway; NULL: whom the system trusts */
	const volatile sig_atomic_t *stop; /* a request ends when it becomes true */

	CURL *curl;
	char *answer; /* the body of the last answer, ended by a NUL */
	size_t length;
	size_t room;
	int retry_after;   /* seconds that the gateway wants to be left alone; 0: it has not said so */
	char problem[512]; /* what failed last, in words */
} edge_gateway;

/* Whether url and token can be used at all: OK, USAGE or CREDENTIALS. */
extern edge_exit edge_gateway_open(edge_gateway *gateway);
extern void edge_gateway_close(edge_gateway *gateway);

/*
 * Posts a JSON text to a path, and waits for the answer for so many seconds. OK, or why there is none: CREDENTIALS and
 * REFUSED are said by a gateway; UNREACHABLE is everything else, a stop included, and good to be tried again.
 */
extern edge_exit
edge_gateway_post(edge_gateway *gateway, const char *path, const char *body, int seconds);

#endif /* EDGE_GATEWAY_H */
