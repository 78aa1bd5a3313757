/*
 * fuzz_client_text.c
 *	  Times and base64 in bodies of clients: a time that is taken has one form, which is read as itself; what is decoded is encoded to the
 *	  same text, but for bits that nothing stands for.
 *
 * Link with: -I..
 * Fuzz with: -max_len=200
 */
#define _GNU_SOURCE
#include "fuzz.h"
#include "../../gateway/base64.c"
#include "../../gateway/time_text.c"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	char time_read[GW_TIME_SIZE];
	char again[GW_TIME_SIZE];
	unsigned char *bytes;
	size_t n;

	require(text != NULL);
	memcpy(text, data, size);
	bytes = gw_base64_decode(text, size, &n);
	if (bytes != NULL)
	{
		char *encoded = malloc(GW_BASE64_LENGTH(n) + 1);
		unsigned char *decoded;
		size_t m;

		require(encoded != NULL && GW_BASE64_LENGTH(n) == size);
		gw_base64_encode(bytes, n, encoded);
		decoded = gw_base64_decode(encoded, size, &m);
		require(decoded != NULL && m == n && memcmp(decoded, bytes, n) == 0);
		/* the last group may have bits beyond the last byte */
		require(size < 4 || memcmp(encoded, text, size - 4) == 0);
		free(decoded);
		free(encoded);
		free(bytes);
	}
	text[size] = '\0';
	if (gw_time_read(text, time_read) == NULL)
	{
		require(memchr(time_read, '\0', sizeof(time_read)) != NULL);
		require(gw_time_read(time_read, again) == NULL);
		require(strncmp(time_read, again, 19) == 0);
	}
	free(text);
	return 0;
}
