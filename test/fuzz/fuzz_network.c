/*
 * fuzz_network.c
 *	  Any bytes as X-Forwarded-For: nothing left of an address that is no proxy changes who the client is, and it is never a proxy
 *	  while somebody else stands in the list.
 *
 * Fuzz with: -max_len=300
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "core/web/network.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const mb_network proxies[] = {
		{ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10 }, 104 },
		{ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, 128 },
	};
	static const char before[] = "9.9.9.9, x,";
	size_t n = sizeof(before) - 1;
	char *text = malloc(size + n + 1);
	uint8_t client[16];
	uint8_t other[16];
	mb_network network;
	mb_forwarded outcome;
	mb_forwarded longer;

	memcpy(text, before, n);
	memcpy(text + n, data, size);
	text[n + size] = '\0';
	outcome = mb_forwarded_for(text + n, size, proxies, 2, client);
	longer = mb_forwarded_for(text, size + n, proxies, 2, other);
	if (outcome == MB_FORWARDED_CLIENT && !mb_networks_contain(proxies, 2, client))
		require(longer == MB_FORWARDED_CLIENT && memcmp(client, other, 16) == 0);
	else
		require(longer == MB_FORWARDED_MALFORMED);
	if (mb_network_parse(text + n, &network))
	{
		require(network.bits >= 0 && network.bits <= 128);
		require(mb_network_contains(&network, network.address));
	}
	free(text);
	return 0;
}
