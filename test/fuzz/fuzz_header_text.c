/*
 * fuzz_header_text.c
 *	  Texts of headers and of answers of services: what is read from them is within its bounds, and means the same when it is
 *	  read again.
 *
 * Fuzz with: -max_len=600
 */
#include "fuzz.h"
#include "core/web/address.h"
#include "core/web/forwarded.h"
#include "core/web/header_time.h"

#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1700000000)

static void
read_origin(const char *proto, size_t proto_n, const char *host, size_t host_n)
{
	char origin[MB_ORIGIN_SIZE];
	char again[MB_ORIGIN_SIZE];
	const char *at;

	if (!mb_forwarded_origin(proto, proto_n, host, host_n, origin))
		return;
	require(memchr(origin, '\0', sizeof(origin)) != NULL);
	at = strstr(origin, "://");
	require(at != NULL && (at == origin + 4 || at == origin + 5));
	require(strpbrk(at + 3, " /@?#,\"<>\r\n\t") == NULL);
	require(mb_is_base_url(origin));
	require(mb_forwarded_origin(origin, (size_t) (at - origin), at + 3, strlen(at + 3), again));
	require(strcmp(again, origin) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	char *bytes = malloc(size);
	const char *second;
	int64_t seconds;

	require(text != NULL && (bytes != NULL || size == 0));
	if (size > 0)
		memcpy(bytes, data, size);
	memcpy(text, data, size);
	text[size] = '\0';

	/* two values, a line each */
	second = size > 0 ? memchr(bytes, '\n', size) : NULL;
	if (second != NULL)
		read_origin(bytes, (size_t) (second - bytes), second + 1,
					size - (size_t) (second - bytes) - 1);
	read_origin("https", 5, bytes, size);
	(void) mb_is_base_url(text);
	require(mb_reset_delay(bytes, size, NOW) >= 0);
	if (mb_mail_date(text, &seconds))
		require(seconds > INT64_C(-100000000000) && seconds < INT64_C(1000000000000));
	(void) mb_address_is_literal_private(text);
	mb_hide_addresses(text, "http://10.0.0.1/");
	require(strlen(text) <= size);
	free(bytes);
	free(text);
	return 0;
}
