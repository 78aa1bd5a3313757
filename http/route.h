/*
 * route.h
 *	  Finds what a request is for in a table of methods and paths.
 *
 * Paths are compared as they came, segment by segment; what stands for a {name} is decoded by whoever
 * takes it (core/web/url_path.h).
 */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "http.h"

#define HTTP_MAX_PARAMETERS 4

typedef struct http_route
{
	const char *method; /* GET is for HEAD, too */
	const char *path; /* such as /v1/call/{call_id}: {} stands for one segment that is not empty */
	const void *target; /* of the user */
} http_route;

typedef enum http_route_outcome
{
	HTTP_ROUTE_FOUND,
	HTTP_ROUTE_NO_PATH,		 /* 404 */
	HTTP_ROUTE_OTHER_METHOD, /* 405, or the answer to OPTIONS: allow is set */
} http_route_outcome;

typedef struct http_match
{
	const http_route *route;
	http_text parameters[HTTP_MAX_PARAMETERS]; /* not decoded */
	int n_parameters;
	char allow[100]; /* for the header Allow */
} http_match;

/* Looks through n routes; those of one path with several methods may stand anywhere. */
extern http_route_outcome http_route_find(const http_route *routes, size_t n, http_text method,
										  http_text path, http_match *match);

#endif /* HTTP_ROUTE_H */
