/*
 * fuzz_multipart.c
 *	  Any content type and any body, cut anywhere: the same parts with the same contents come out.
 *
 * Fuzz with: -max_len=4096
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "core/web/multipart.h"

typedef struct reading
{
	uint64_t hash; /* of names and contents */
	bool whole;
	mb_status status;
} reading;

static void
mix(reading *r, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		r->hash = (r->hash ^ (unsigned char) text[i]) * 1099511628211u;
}

static reading
read_body(const char *type, size_t type_length, const char *body, size_t n, size_t step)
{
	static mb_multipart multipart;
	reading r = { .hash = 14695981039346656037u };

	r.status = mb_multipart_begin(&multipart, type, type_length);
	for (size_t i = 0; i < n && r.status == MB_OK; i += step)
	{
		size_t size = n - i < step ? n - i : step;
		char *copy = malloc(size);
		mb_multipart_outcome outcome;
		size_t at = 0;

		memcpy(copy, body + i, size);
		do
		{
			const char *piece;
			size_t used;
			size_t length;

			outcome = mb_multipart_feed(&multipart, copy + at, size - at, &used, &piece, &length);
			at += used;
			require(at <= size);
			if (outcome == MB_MULTIPART_PART)
			{
				require(strlen(multipart.name) <= MB_MULTIPART_MAX_NAME);
				mix(&r, multipart.name, strlen(multipart.name) + 1);
			}
			else if (outcome == MB_MULTIPART_DATA)
			{
				require(length > 0);
				mix(&r, piece, length);
			}
			else if (outcome == MB_MULTIPART_MORE)
				require(at == size);
		} while (outcome == MB_MULTIPART_PART || outcome == MB_MULTIPART_DATA);
		free(copy);
		r.status = multipart.status;
	}
	r.whole = r.status == MB_OK && mb_multipart_whole(&multipart);
	return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *type = (const char *) data;
	const char *end = memchr(data, '\n', size);
	size_t type_length = end != NULL ? (size_t) (end - type) : size;
	const char *body = end != NULL ? end + 1 : type + size;
	size_t n = (size_t) (type + size - body);
	reading one = read_body(type, type_length, body, n, n + 1);
	reading other = read_body(type, type_length, body, n, size > 0 ? 1 + data[size - 1] % 16 : 1);

	require(one.hash == other.hash && one.whole == other.whole && one.status == other.status);
	return 0;
}
