/*
 * gateway.h
 *	  Requests to a gateway, and what counts for an answer of one.
 *
 * A device stands behind all kinds of networks: some answer for whoever was asked, with a page that wants a password. So an
 * answer is JSON with status 200, 201 or 202 that did not come by way of another address, over TLS unless the gateway is on this
 * machine.
 */
#ifndef EDGE_GATEWAY_H
#define EDGE_GATEWAY_H

#include <signal.h>
#include <stdatomic.h>

#include <curl/curl.h>

#include "exits.h"

/* A body that comes. */
typedef struct edge_gateway_body
{
	char *text; /* ended by a NUL; NULL: nothing has come */
	size_t length;
	size_t room;
} edge_gateway_body;

typedef struct edge_gateway
{
	const char *url; /* "https://host", a port and a path behind it if it has them */
	const char *
		token_file; /* whose first line is the token; read for each request, so that it may be changed */
	const char *ca_file; /* who vouches for the gateway; NULL: whom the system trusts */
	const volatile sig_atomic_t *stop; /* a request ends when it becomes true */
	const _Atomic int64_t
		*deadline; /* edge_clock() after which it ends, too; 0: there is none; may be NULL */

	CURL *curl;
	edge_gateway_body body; /* of the last answer */
	long status;			/* of the last answer; 0: there was none */
	int retry_after;   /* seconds that the gateway wants to be left alone; 0: it has not said so */
	char problem[512]; /* what failed last, in words */
} edge_gateway;

/* Whether url and token can be used at all: OK, USAGE or CREDENTIALS. */
extern edge_exit edge_gateway_open(edge_gateway *gateway);
extern void edge_gateway_close(edge_gateway *gateway);

/*
 * Posts a JSON text to a path, or asks for what is there, and waits for the answer for so many seconds. OK, or why there is none:
 * CREDENTIALS and REFUSED are said by a gateway; UNREACHABLE is everything else, a stop included, and good to be tried again.
 */
extern edge_exit
edge_gateway_post(edge_gateway *gateway, const char *path, const char *body, int seconds);
extern edge_exit edge_gateway_get(edge_gateway *gateway, const char *path, int seconds);

/* Whether it is there, and knows us as one who posts. */
extern edge_exit edge_gateway_look(edge_gateway *gateway);

/* ---------------------------------------------------------------------------
 * Requests of one's own, several at a time
 * ---------------------------------------------------------------------------
 */

/* A request that may be made again and again, whose answers go there. NULL: out of memory. */
extern CURL *edge_gateway_request(edge_gateway *gateway, edge_gateway_body *body);

/* Says which path it is about; false: it is too long. */
extern bool edge_gateway_aim(edge_gateway *gateway, CURL *request, const char *path);

/* Adds who we are to its headers, as it is at the moment; other than OK comes with gateway->problem. */
extern edge_exit edge_gateway_authorize(edge_gateway *gateway, struct curl_slist **headers);

/* What has become of a request: OK, or why it is no answer, with problem and retry_after. said: what curl said of it. */
extern edge_exit edge_gateway_judge(edge_gateway *gateway, CURL *request, CURLcode code,
									const edge_gateway_body *body, const char *said);

#endif /* EDGE_GATEWAY_H */
