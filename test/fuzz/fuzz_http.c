/*
 * fuzz_http.c
 *	  Any bytes as a request, cut anywhere: what comes out lies within them and means what the rules
 *	  say, and is the same however they were cut.
 *
 * Fuzz with: -max_len=20000
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "core/web/http_chunks.h"
#include "core/web/http_head.h"
#include "core/web/url_path.h"
#include "core/web/websocket.h"

static mb_http_head_outcome
feed(mb_http_head *head, const char *bytes, size_t n, size_t step)
{
	mb_http_head_outcome outcome = MB_HTTP_HEAD_MORE;

	mb_http_head_begin(head);
	for (size_t seen = 0; seen < n && outcome == MB_HTTP_HEAD_MORE;)
	{
		char *copy;

		seen = n - seen < step ? n : seen + step;
		copy = malloc(seen);
		memcpy(copy, bytes, seen);
		outcome = mb_http_head_feed(head, copy, seen);
		free(copy);
	}
	return outcome;
}

static void
check_span(mb_http_span span, size_t size)
{
	require((size_t) span.at + span.length <= size);
}

static void
check_head(const mb_http_head *head, const char *bytes)
{
	mb_http_walk walk = { 0 };
	mb_http_span token;
	mb_http_span key;
	size_t lengths = 0;

	require(head->size >= 16 && head->size <= MB_HTTP_MAX_HEAD); /* "G / HTTP/1.0" */
	require(memcmp(bytes + head->size - 4, "\r\n\r\n", 4) == 0);
	check_span(head->target, head->size);
	check_span(head->query, head->size);
	require(mb_http_is_token(bytes + head->method.at, head->method.length));
	require(bytes[head->target.at] == '/' && head->path.length >= 1);
	require(head->n_fields <= MB_HTTP_MAX_FIELDS);
	for (int i = 0; i < head->n_fields; i++)
	{
		const mb_http_field *field = &head->fields[i];

		check_span(field->name, head->size);
		check_span(field->value, head->size);
		require(mb_http_is_token(bytes + field->name.at, field->name.length));
		require(mb_http_is_field_value(bytes + field->value.at, field->value.length));
		require(bytes[field->name.at + field->name.length] == ':');
		require(bytes[field->name.at - 1] == '\n');
		lengths += mb_http_span_is_like(field->name, bytes, "content-length") ||
				   mb_http_span_is_like(field->name, bytes, "transfer-encoding");
	}
	require(lengths == (head->framing == MB_HTTP_NO_BODY ? 0 : 1));
	while (mb_http_head_next_token(head, bytes, "Connection", &walk, &token))
	{
		check_span(token, head->size);
		require(token.length > 0);
	}
	if (mb_websocket_check(head, bytes, &key) == MB_WEBSOCKET_FINE)
		require(key.length == 24);
}

/* The length of the body, or of what came before it was refused. */
static size_t
decode(const char *bytes, size_t n, size_t step, size_t *used, mb_http_chunks_outcome *outcome)
{
	mb_http_chunks chunks;
	size_t body = 0;

	mb_http_chunks_begin(&chunks, 1000);
	*outcome = MB_HTTP_CHUNKS_MORE;
	*used = 0;
	while (*used < n && (*outcome == MB_HTTP_CHUNKS_MORE || *outcome == MB_HTTP_CHUNKS_DATA))
	{
		size_t size = n - *used < step ? n - *used : step;
		char *copy = malloc(size);
		size_t taken;
		size_t at;
		size_t length;

		memcpy(copy, bytes + *used, size);
		*outcome = mb_http_chunks_feed(&chunks, copy, size, &taken, &at, &length);
		require(taken <= size && at + length <= taken);
		require((length > 0) == (*outcome == MB_HTTP_CHUNKS_DATA));
		require(*outcome != MB_HTTP_CHUNKS_MORE || taken == size);
		body += length;
		*used += taken;
		free(copy);
	}
	require(body <= 1000);
	return body;
}

static void
check_path(const char *path, size_t n)
{
	const char *segment;
	size_t length;
	size_t total = 0;
	size_t at = 0;

	while (mb_path_next(path, n, &at, &segment, &length))
	{
		char *text = malloc(length + 1);
		size_t decoded;

		require(segment >= path && segment + length <= path + n);
		require(memchr(segment, '/', length) == NULL);
		if (mb_percent_decode(segment, length, text, &decoded) == MB_OK)
			require(decoded <= length && memchr(text, '\0', decoded) == NULL);
		total += length + 1;
		free(text);
	}
	require(total == n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *) data;
	mb_http_head whole;
	mb_http_head cut;
	mb_http_head_outcome outcome = feed(&whole, bytes, size, size);
	/* the last byte says how it is cut; single bytes take quadratic time */
	size_t step = size > 0 ? 1 + data[size - 1] % 64 : 1;

	if (size > 4000)
		step += 200;
	require(feed(&cut, bytes, size, step) == outcome);
	require(cut.violation == whole.violation && cut.size == whole.size);
	require((outcome == MB_HTTP_HEAD_REFUSED) == (whole.violation != MB_HTTP_FINE));
	if (outcome == MB_HTTP_HEAD_COMPLETE)
	{
		mb_http_chunks_outcome one;
		mb_http_chunks_outcome other;
		size_t used_one;
		size_t used_other;

		require(cut.n_fields == whole.n_fields);
		require(memcmp(cut.fields, whole.fields, whole.n_fields * sizeof(whole.fields[0])) == 0);
		check_head(&whole, bytes);
		check_path(bytes + whole.path.at, whole.path.length);
		require(decode(bytes + whole.size, size - whole.size, size, &used_one, &one) ==
				decode(bytes + whole.size, size - whole.size, step, &used_other, &other));
		require((one == MB_HTTP_CHUNKS_END) == (other == MB_HTTP_CHUNKS_END));
		require((one == MB_HTTP_CHUNKS_REFUSED) == (other == MB_HTTP_CHUNKS_REFUSED));
		require(used_one == used_other);
	}
	return 0;
}
