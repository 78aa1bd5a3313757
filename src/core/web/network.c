/*
 * network.c
 *	  Networks of IP addresses, and the client whom a chain of proxies names; see network.h.
 */
#include "core/web/network.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* An address, and how many bits it has in its own family; 0 when it is none. */
static int
parse_address(const char *text, uint8_t address[16])
{
	if (inet_pton(AF_INET, text, address + 12) == 1)
	{
		memcpy(address, mapped, sizeof mapped);
		return 32;
	}
	return inet_pton(AF_INET6, text, address) == 1 ? 128 : 0;
}

/* Digits alone, at most "max"; -1 otherwise. */
static int
parse_number(const char *text, size_t n, int max)
{
	int number = 0;

	if (n == 0 || n > 5)
		return -1;
	for (size_t i = 0; i < n; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return -1;
		number = number * 10 + (text[i] - '0');
	}
	return number <= max ? number : -1;
}

bool
mb_network_parse(const char *text, mb_network *network)
{
	char address[INET6_ADDRSTRLEN];
	size_t n = strcspn(text, "/");
	int width;
	int bits;

	if (n >= sizeof address)
		return false;
	memcpy(address, text, n);
	address[n] = '\0';
	width = parse_address(address, network->address);
	if (width == 0)
		return false;
	bits = text[n] == '\0' ? width : parse_number(text + n + 1, strlen(text + n + 1), width);
	network->bits = bits + 128 - width;
	return bits >= 0;
}

bool
mb_network_contains(const mb_network *network, const uint8_t address[16])
{
	int bytes = network->bits / 8;
	int rest = network->bits % 8;

	return memcmp(address, network->address, (size_t) bytes) == 0 &&
		   (rest == 0 || (address[bytes] ^ network->address[bytes]) >> (8 - rest) == 0);
}

bool
mb_networks_contain(const mb_network *networks, size_t n, const uint8_t address[16])
{
	for (size_t i = 0; i < n; i++)
	{
		if (mb_network_contains(&networks[i], address))
			return true;
	}
	return false;
}

void
mb_address_fold(const uint8_t address[16], uint8_t folded[16])
{
	memcpy(folded, address, 16);
	if (memcmp(address, mapped, sizeof mapped) != 0)
		memset(folded + 8, 0, 8);
}

/* One element of the list: an address, perhaps in brackets, perhaps with a port. */
static bool
parse_element(const char *text, size_t n, uint8_t address[16])
{
	const char *colon = memchr(text, ':', n);
	char copy[INET6_ADDRSTRLEN];
	size_t length = n;

	if (n > 0 && text[0] == '[')
	{
		const char *end = memchr(text, ']', n);
		size_t behind = end == NULL ? 0 : (size_t) (end - text) + 1;

		if (end == NULL ||
			(behind < n &&
			 (text[behind] != ':' || parse_number(text + behind + 1, n - behind - 1, 65535) < 0)))
			return false;
		text++;
		length = behind - 2;
	}
	else if (colon != NULL && memchr(colon + 1, ':', n - (size_t) (colon - text) - 1) == NULL)
	{
		/* a single colon is that of a port */
		length = (size_t) (colon - text);
		if (parse_number(colon + 1, n - length - 1, 65535) < 0)
			return false;
	}
	if (length == 0 || length >= sizeof copy || memchr(text, '\0', length) != NULL)
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return parse_address(copy, address) != 0;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

mb_forwarded
mb_forwarded_for(const char *text, size_t n, const mb_network *proxies, size_t n_proxies,
				 uint8_t client[16])
{
	size_t end = n;
	size_t blank = 0;

	while (blank < n && is_space(text[blank]))
		blank++;
	if (blank == n)
		return MB_FORWARDED_NOBODY;
	for (;;)
	{
		size_t begin = end;
		size_t first;
		size_t last = end;
		uint8_t address[16];

		while (begin > 0 && text[begin - 1] != ',')
			begin--;
		first = begin;
		while (first < last && is_space(text[first]))
			first++;
		while (last > first && is_space(text[last - 1]))
			last--;
		if (!parse_element(text + first, last - first, address))
			return MB_FORWARDED_MALFORMED;
		if (begin == 0 || !mb_networks_contain(proxies, n_proxies, address))
		{
			memcpy(client, address, 16);
			return MB_FORWARDED_CLIENT;
		}
		end = begin - 1;
	}
}
