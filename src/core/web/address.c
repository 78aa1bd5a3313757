/*
 * address.c
 *	  Tells addresses of the public internet from all others; see address.h.
 */
#include "core/web/address.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

typedef struct prefix
{
	uint8_t bytes[16];
	int length; /* bits */
} prefix;

static const prefix ipv4_special[] = {
	{ { 0 }, 8 },			  /* "this network" (RFC 791) */
	{ { 10 }, 8 },			  /* private use (RFC 1918) */
	{ { 100, 64 }, 10 },	  /* shared address space (RFC 6598) */
	{ { 127 }, 8 },			  /* loopback (RFC 1122) */
	{ { 169, 254 }, 16 },	  /* link local, metadata services (RFC 3927) */
	{ { 172, 16 }, 12 },	  /* private use */
	{ { 192, 0, 0 }, 24 },	  /* IETF protocol assignments (RFC 6890) */
	{ { 192, 0, 2 }, 24 },	  /* documentation (RFC 5737) */
	{ { 192, 88, 99 }, 24 },  /* 6to4 relays, deprecated (RFC 7526) */
	{ { 192, 168 }, 16 },	  /* private use */
	{ { 198, 18 }, 15 },	  /* benchmarking (RFC 2544) */
	{ { 198, 51, 100 }, 24 }, /* documentation */
	{ { 203, 0, 113 }, 24 },  /* documentation */
	{ { 224 }, 4 },			  /* multicast (RFC 5771) */
	{ { 240 }, 4 },			  /* reserved, and limited broadcast */
};

/* Global unicast is 2000::/3; these are what is special inside it. */
static const prefix ipv6_special[] = {
	{ { 0x20, 0x01, 0x00 }, 23 },		/* IETF assignments with Teredo, ORCHID (RFC 2928) */
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* documentation (RFC 3849) */
	{ { 0x3f, 0xff, 0x00 }, 20 },		/* documentation (RFC 9637) */
};

static bool
matches(const uint8_t *address, const prefix *prefix)
{
	int whole = prefix->length / 8;
	int rest = prefix->length % 8;
	uint8_t mask = (uint8_t) (0xff << (8 - rest));

	if (memcmp(address, prefix->bytes, (size_t) whole) != 0)
		return false;
	return rest == 0 || (address[whole] & mask) == (prefix->bytes[whole] & mask);
}

bool
mb_ipv4_is_public(const uint8_t address[4])
{
	for (size_t i = 0; i < sizeof ipv4_special / sizeof ipv4_special[0]; i++)
	{
		if (matches(address, &ipv4_special[i]))
			return false;
	}
	return true;
}

bool
mb_ipv6_is_public(const uint8_t address[16])
{
	static const prefix mapped = { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 96 };
	static const prefix compatible = { { 0 }, 96 };
	static const prefix nat64 = { { 0x00, 0x64, 0xff, 0x9b }, 96 };
	static const prefix sixto4 = { { 0x20, 0x02 }, 16 };

	if (matches(address, &mapped) || matches(address, &compatible) || matches(address, &nat64))
		return mb_ipv4_is_public(address + 12);
	if (matches(address, &sixto4))
		return mb_ipv4_is_public(address + 2);
	if ((address[0] & 0xe0) != 0x20)
		return false;
	for (size_t i = 0; i < sizeof ipv6_special / sizeof ipv6_special[0]; i++)
	{
		if (matches(address, &ipv6_special[i]))
			return false;
	}
	return true;
}

bool
mb_address_is_literal_private(const char *text)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1)
		return !mb_ipv4_is_public(bytes);
	if (inet_pton(AF_INET6, text, bytes) == 1)
		return !mb_ipv6_is_public(bytes);
	return false;
}

static bool
in_address(char c)
{
	return c != '\0' && strchr("0123456789abcdefABCDEF.:%", c) != NULL;
}

static bool
is_address(const char *text)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/*
 * Length of the longest address that the n characters at text begin with; 0: they begin with none.
 * A port or the end of a sentence may follow.
 */
static size_t
address_length(const char *text, size_t n)
{
	char copy[INET6_ADDRSTRLEN];

	for (size_t length = n < sizeof copy ? n : sizeof copy - 1; length >= 2; length--)
	{
		if (length < n && strchr(".:%", text[length]) == NULL)
			continue;
		memcpy(copy, text, length);
		copy[length] = '\0';
		if (is_address(copy))
			return length;
	}
	return 0;
}

void
mb_hide_addresses(char *text, const char *known)
{
	for (char *at = text; *at;)
	{
		size_t n = 0;
		size_t length;
		char copy[INET6_ADDRSTRLEN];

		while (in_address(at[n]))
			n++;
		if (n == 0)
		{
			/* words are passed over as a whole */
			while (*at && !in_address(*at) && strchr(" ([<'\"=,;/@", *at) == NULL)
				at++;
			if (in_address(*at))
			{
				while (*at && strchr(" ([<'\"=,;/@", *at) == NULL)
					at++;
			}
			else if (*at)
				at++;
			continue;
		}
		length = address_length(at, n);
		if (length > 0)
		{
			memcpy(copy, at, length);
			copy[length] = '\0';
			if (strstr(known, copy) == NULL)
				memset(at, '*', length);
		}
		at += n;
	}
}
