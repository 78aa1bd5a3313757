/*
 * route.c
 *	  Finds what a request is for; see route.h.
 */
#include "route.h"

#include <stdio.h>
#include <string.h>

#include "core/web/url_path.h"

/* Whether a path fits a pattern; the segments for its braces go into the match. */
static bool
fits(const char *pattern, http_text path, http_match *match)
{
	size_t pattern_length = strlen(pattern);
	size_t pattern_at = 0;
	size_t at = 0;

	match->n_parameters = 0;
	for (;;)
	{
		const char *wanted;
		const char *segment;
		size_t wanted_length;
		size_t length;
		bool more = mb_path_next(pattern, pattern_length, &pattern_at, &wanted, &wanted_length);

		if (mb_path_next(path.data, path.length, &at, &segment, &length) != more)
			return false;
		if (!more)
			return true;
		if (wanted_length > 0 && wanted[0] == '{')
		{
			if (length == 0 || match->n_parameters == HTTP_MAX_PARAMETERS)
				return false;
			match->parameters[match->n_parameters++] = (http_text){ segment, length };
		}
		else if (length != wanted_length || memcmp(segment, wanted, length) != 0)
			return false;
	}
}

static bool
is_method(http_text method, const char *name)
{
	return method.length == strlen(name) && memcmp(method.data, name, method.length) == 0;
}

/* One more method in the list for Allow. */
static void
allow(http_match *match, const char *method)
{
	size_t length = strlen(match->allow);

	snprintf(match->allow + length, sizeof(match->allow) - length, "%s%s", length > 0 ? ", " : "",
			 method);
}

http_route_outcome
http_route_find(const http_route *routes, size_t n, http_text method, http_text path,
				http_match *match)
{
	match->allow[0] = '\0';
	for (size_t i = 0; i < n; i++)
	{
		bool get = strcmp(routes[i].method, "GET") == 0;

		if (!fits(routes[i].path, path, match))
			continue;
		match->route = &routes[i];
		if (is_method(method, routes[i].method) || (get && is_method(method, "HEAD")))
			return HTTP_ROUTE_FOUND;
		allow(match, routes[i].method);
		if (get)
			allow(match, "HEAD");
	}
	match->route = NULL;
	if (match->allow[0] == '\0')
		return HTTP_ROUTE_NO_PATH;
	allow(match, "OPTIONS");
	return HTTP_ROUTE_OTHER_METHOD;
}
