/*
 * address.h
 *	  Tells addresses of the public internet from all others, so that a worker
 *	  that talks to a configured service cannot be led into the network it runs in.
 *
 * Classifies only; it resolves no names and opens nothing.
 */
#ifndef MB_ADDRESS_H
#define MB_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * True when packets to the address may leave for the public internet, i.e. it
 * is globally reachable unicast by the IANA special-purpose address registries
 * (RFC 6890, as of 2024).  Addresses that carry an IPv4 address (mapped,
 * compatible, NAT64 64:ff9b::/96, 6to4) count as that address.  Bytes in network order.
 */
extern bool mb_ipv4_is_public(const uint8_t address[4]);
extern bool mb_ipv6_is_public(const uint8_t address[16]);

/*
 * The same for text as inet_pton(3) takes it, without brackets or zone.  False
 * for what is public and for what is no address at all (a name, say): true means
 * "is an address, and not a public one".
 */
extern bool mb_address_is_literal_private(const char *text);

/*
 * Overwrites the addresses in a sentence with asterisks, except those that stand in "known" (the
 * URL that was asked for, say): what a name resolves to is not for everybody who reads errors.
 */
extern void mb_hide_addresses(char *text, const char *known);

#endif /* MB_ADDRESS_H */
