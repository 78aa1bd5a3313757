/*
 * forwarded.c
 *	  Where a request was sent to, as its client knows it; see forwarded.h.
 */
#include "core/web/forwarded.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_HOST 255 /* of a name in the DNS; a literal address is shorter */

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* How many bytes at the front are of a set. */
static size_t
span_of(const char *text, size_t n, const char *set)
{
	size_t i = 0;

	while (i < n && text[i] != '\0' && strchr(set, text[i]) != NULL)
		i++;
	return i;
}

/* A name or an address, with or without a port, and how long it is: 0 for what is none. */
static size_t
host_and_port(const char *text, size_t n)
{
	size_t length;
	size_t digits;

	if (n > 0 && text[0] == '[')
	{
		size_t inside = span_of(text + 1, n - 1, DIGITS "abcdefABCDEF:.");

		if (inside < 2 || inside + 2 > n || text[inside + 1] != ']')
			return 0;
		length = inside + 2;
	}
	else
		length = span_of(text, n, LETTERS DIGITS ".-_");
	if (length == 0 || length > MAX_HOST)
		return 0;
	if (length == n || text[length] != ':')
		return length;
	digits = span_of(text + length + 1, n - length - 1, DIGITS);
	return digits >= 1 && digits <= 5 ? length + 1 + digits : 0;
}

/* The first element of a list, without the white space around it. */
static size_t
first_element(const char **text, size_t n)
{
	const char *comma = n > 0 ? memchr(*text, ',', n) : NULL;
	size_t before;

	if (comma != NULL)
		n = (size_t) (comma - *text);
	before = span_of(*text, n, " \t");
	*text += before;
	n -= before;
	while (n > 0 && ((*text)[n - 1] == ' ' || (*text)[n - 1] == '\t'))
		n--;
	return n;
}

/* "http" or "https"; NULL for anything else. */
static const char *
scheme_of(const char *text, size_t n)
{
	if (n == 4 && strncasecmp(text, "http", n) == 0)
		return "http";
	return n == 5 && strncasecmp(text, "https", n) == 0 ? "https" : NULL;
}

bool
mb_forwarded_origin(const char *proto, size_t proto_length, const char *host, size_t host_length,
					char origin[MB_ORIGIN_SIZE])
{
	size_t n = first_element(&proto, proto_length);
	const char *scheme = scheme_of(proto, n);

	n = first_element(&host, host_length);
	if (scheme == NULL || n == 0 || host_and_port(host, n) != n)
		return false;
	snprintf(origin, MB_ORIGIN_SIZE, "%s://%.*s", scheme, (int) n, host);
	return true;
}

bool
mb_is_base_url(const char *url)
{
	size_t scheme = span_of(url, strlen(url), LETTERS);
	const char *rest = url + scheme;
	size_t n;

	if (scheme_of(url, scheme) == NULL || strncmp(rest, "://", 3) != 0)
		return false;
	rest += 3;
	n = host_and_port(rest, strlen(rest));
	if (n == 0)
		return false;
	rest += n;
	return *rest == '\0' || (*rest == '/' && rest[strlen(rest) - 1] != '/' &&
							 rest[span_of(rest, strlen(rest), LETTERS DIGITS "/._~-%")] == '\0');
}
