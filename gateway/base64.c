/*
 * base64.c
 *	  Bytes in base64; see base64.h.
 */
#include "base64.h"

#include <stdint.h>
#include <stdlib.h>

static int
value_of_base64(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

unsigned char *
gw_base64_decode(const char *text, size_t n, size_t *length)
{
	size_t padding = n > 0 && text[n - 1] == '=' ? (n > 1 && text[n - 2] == '=' ? 2 : 1) : 0;
	unsigned char *bytes = malloc(n / 4 * 3 + 3);
	uint32_t group = 0;

	*length = 0;
	if (bytes == NULL || n % 4 != 0)
	{
		free(bytes);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
	{
		int value = i >= n - padding ? 0 : value_of_base64(text[i]);

		if (value < 0)
		{
			free(bytes);
			return NULL;
		}
		group = group << 6 | (uint32_t) value;
		if (i % 4 == 3)
		{
			bytes[(*length)++] = (unsigned char) (group >> 16);
			bytes[(*length)++] = (unsigned char) (group >> 8);
			bytes[(*length)++] = (unsigned char) group;
			group = 0;
		}
	}
	*length -= padding;
	return bytes;
}

void
gw_base64_encode(const unsigned char *bytes, size_t n, char *text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3)
	{
		uint32_t group = (uint32_t) bytes[i] << 16 |
						 (i + 1 < n ? (uint32_t) bytes[i + 1] << 8 : 0) |
						 (i + 2 < n ? (uint32_t) bytes[i + 2] : 0);

		*text++ = digits[group >> 18];
		*text++ = digits[group >> 12 & 63];
		*text++ = i + 1 < n ? digits[group >> 6 & 63] : '=';
		*text++ = i + 2 < n ? digits[group & 63] : '=';
	}
}
