/*
 * heads.c
 *	  What the core makes of requests, for the comparison with foreign parsers: reads cases, each four
 *	  bytes of length (the highest first) and the bytes, and writes a line for each:
 *
 *		accept METHOD TARGET BODY REST	BODY in hexadecimal digits ("-" for none), REST the bytes left
 *		refuse STATUS
 *		more
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/web/http_chunks.h"
#include "core/web/http_head.h"

#define MAX_BODY 1000000

static char body[MAX_BODY];

/* The body behind the head; its length, or -1 for "more", or -2 and the violation. */
static long
read_body(const mb_http_head *head, const char *bytes, size_t n, size_t *used,
		  mb_http_violation *violation)
{
	mb_http_chunks chunks;
	long length = 0;

	*used = 0;
	if (head->framing != MB_HTTP_CHUNKED)
	{
		if (head->content_length > MAX_BODY)
		{
			*violation = MB_HTTP_BODY_TOO_LARGE;
			return -2;
		}
		if (head->content_length > n)
			return -1;
		*used = (size_t) head->content_length;
		for (size_t i = 0; i < *used; i++)
			body[i] = bytes[i];
		return (long) *used;
	}
	mb_http_chunks_begin(&chunks, MAX_BODY);
	for (;;)
	{
		size_t taken;
		size_t at;
		size_t piece;

		switch (mb_http_chunks_feed(&chunks, bytes + *used, n - *used, &taken, &at, &piece))
		{
			case MB_HTTP_CHUNKS_MORE:
				return -1;
			case MB_HTTP_CHUNKS_REFUSED:
				*violation = chunks.violation;
				return -2;
			case MB_HTTP_CHUNKS_END:
				*used += taken;
				return length;
			case MB_HTTP_CHUNKS_DATA:
				for (size_t i = 0; i < piece; i++)
					body[length++] = bytes[*used + at + i];
				*used += taken;
				break;
		}
	}
}

static void
judge(const char *bytes, size_t n)
{
	mb_http_head head;
	mb_http_violation violation;
	size_t used;
	long length;

	mb_http_head_begin(&head);
	switch (mb_http_head_feed(&head, bytes, n))
	{
		case MB_HTTP_HEAD_MORE:
			printf("more\n");
			return;
		case MB_HTTP_HEAD_REFUSED:
			printf("refuse %d\n", mb_http_violation_status(head.violation));
			return;
		case MB_HTTP_HEAD_COMPLETE:
			break;
	}
	length = read_body(&head, bytes + head.size, n - head.size, &used, &violation);
	if (length == -1)
		printf("more\n");
	else if (length == -2)
		printf("refuse %d\n", mb_http_violation_status(violation));
	else
	{
		printf("accept %.*s %.*s ", head.method.length, bytes + head.method.at, head.target.length,
			   bytes + head.target.at);
		for (long i = 0; i < length; i++)
			printf("%02x", (unsigned char) body[i]);
		printf("%s %zu\n", length == 0 ? "-" : "", n - head.size - used);
	}
}

int
main(void)
{
	unsigned char size[4];

	while (fread(size, 1, 4, stdin) == 4)
	{
		size_t n =
			(size_t) size[0] << 24 | (size_t) size[1] << 16 | (size_t) size[2] << 8 | size[3];
		char *bytes = malloc(n + 1);

		if (bytes == NULL || fread(bytes, 1, n, stdin) != n)
			return 1;
		judge(bytes, n);
		free(bytes);
	}
	return 0;
}
