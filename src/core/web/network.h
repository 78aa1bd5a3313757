/*
 * network.h
 *	  Networks of IP addresses, and the client whom a chain of proxies names (X-Forwarded-For).
 *
 * An address is 16 bytes in network order: IPv6, or IPv4 mapped into it (::ffff:0:0/96).
 */
#ifndef MB_NETWORK_H
#define MB_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mb_network
{
	uint8_t address[16];
	int bits; /* of 128 */
} mb_network;

/* An address, or a network such as 10.0.0.0/8 or 2001:db8::/32; false for anything else. */
extern bool mb_network_parse(const char *text, mb_network *network);

extern bool mb_network_contains(const mb_network *network, const uint8_t address[16]);

/* Whether one of n networks does. */
extern bool mb_networks_contain(const mb_network *networks, size_t n, const uint8_t address[16]);

/* What counts as one client: an IPv4 address, and of IPv6 a network of 64 bits, which is what a customer has. */
extern void mb_address_fold(const uint8_t address[16], uint8_t folded[16]);

typedef enum mb_forwarded
{
	MB_FORWARDED_CLIENT, /* client is set */
	MB_FORWARDED_NOBODY, /* nothing stands in it */
	MB_FORWARDED_MALFORMED
} mb_forwarded;

/*
 * The client of a request whose X-Forwarded-For has these n bytes (several lines are joined by commas, in their order), and
 * which came from a proxy that is trusted.  Each proxy adds the address it was called from at the right end, and what stands left
 * of an address that is not trusted may have been written by anybody: so it is the right-most address outside
 * the networks of proxies or, when all of them are proxies, the left-most one.  A port may follow an address; an IPv6 address may
 * stand in brackets.  Malformed is what is no address and stands where it counts.
 */
extern mb_forwarded mb_forwarded_for(const char *text, size_t n, const mb_network *proxies,
									 size_t n_proxies, uint8_t client[16]);

#endif /* MB_NETWORK_H */
