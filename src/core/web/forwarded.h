/*
 * forwarded.h
 *	  Where a request was sent to, as its client knows it: what a proxy says of that, or what a configuration does.
 */
#ifndef MB_FORWARDED_H
#define MB_FORWARDED_H

#include <stdbool.h>
#include <stddef.h>

/* Room for "https://", a host and its port. */
#define MB_ORIGIN_SIZE 280

/*
 * "https://host:port" from the values of X-Forwarded-Proto and X-Forwarded-Host, of which the first element counts:
 * that of the proxy that is nearest to the client.  False, and nothing is written, for what is no http or https, or no
 * host with or without a port.
 */
extern bool mb_forwarded_origin(const char *proto, size_t proto_length, const char *host,
								size_t host_length, char origin[MB_ORIGIN_SIZE]);

/* Whether a text is http:// or https:// with a host and perhaps a path, but no user, query or fragment, and no slash at its end. */
extern bool mb_is_base_url(const char *url);

#endif /* MB_FORWARDED_H */
