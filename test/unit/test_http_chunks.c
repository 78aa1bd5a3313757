/*
 * test_http_chunks.c
 *	  Chunked bodies: what comes out of good ones however they are cut, and what is refused.
 */
#include "check.h"
#include "core/web/http_chunks.h"

/* Decodes in pieces of "step" bytes; returns the outcome and what came out as a string. */
static mb_http_chunks_outcome
decode(const char *text, size_t n, size_t step, uint64_t limit, char *out, size_t *left,
	   mb_http_violation *violation)
{
	mb_http_chunks chunks;
	mb_http_chunks_outcome outcome = MB_HTTP_CHUNKS_MORE;
	size_t length = 0;
	size_t i = 0;

	mb_http_chunks_begin(&chunks, limit);
	while (i < n && outcome == MB_HTTP_CHUNKS_MORE)
	{
		size_t end = n - i < step ? n : i + step;
		char *copy = malloc(end - i);
		size_t size = end - i;
		size_t at = 0;

		memcpy(copy, text + i, size);
		do
		{
			size_t used;
			size_t data;
			size_t data_length;

			outcome =
				mb_http_chunks_feed(&chunks, copy + at, size - at, &used, &data, &data_length);
			memcpy(out + length, copy + at + data, data_length);
			length += data_length;
			at += used;
		} while (outcome == MB_HTTP_CHUNKS_DATA);
		free(copy);
		i += at;
	}
	out[length] = '\0';
	*left = n - i;
	*violation = chunks.violation;
	return outcome;
}

static const size_t steps[] = { 1, 2, 3, 5, 1000 };
#define N_STEPS (sizeof(steps) / sizeof(steps[0]))

static void
good(const char *text, const char *wanted, const char *rest)
{
	char out[1000];
	size_t left;
	mb_http_violation violation;

	for (size_t i = 0; i < N_STEPS; i++)
	{
		check_int(decode(text, strlen(text), steps[i], 100, out, &left, &violation),
				  MB_HTTP_CHUNKS_END);
		check_string(out, wanted);
		check_string(text + strlen(text) - left, rest);
	}
}

static void
bad_bytes(const char *text, size_t n, mb_http_violation wanted)
{
	char out[1000];
	size_t left;
	mb_http_violation violation;

	for (size_t i = 0; i < N_STEPS; i++)
	{
		mb_http_chunks_outcome outcome = decode(text, n, steps[i], 100, out, &left, &violation);

		check_report(outcome == MB_HTTP_CHUNKS_REFUSED && violation == wanted, __FILE__, __LINE__,
					 "\"%.40s\": outcome %d, violation %d, expected %d", text, outcome, violation,
					 wanted);
	}
}

static void
bad(const char *text, mb_http_violation wanted)
{
	bad_bytes(text, strlen(text), wanted);
}

static void
bodies_come_out(void)
{
	good("0\r\n\r\n", "", "");
	good("5\r\nhello\r\n0\r\n\r\nGET /", "hello", "GET /");
	good("1\r\na\r\nA\r\n0123456789\r\n00\r\n\r\n", "a0123456789", "");
	good("5;name=value;other=\"a;b\\\"\\\\\";x;y=\"\"\r\nhello\r\n0;x\r\n\r\n", "hello", "");
	good("0\r\nContent-Length2: 5\r\nTransfer-Encodings: x\r\nTransfer-Encodin: x\r\n\r\n", "", "");
	good("2\r\n\r\n\r\n0\r\nTrailer: x\r\nA:\r\n\r\nrest", "\r\n", "rest");
	good("64\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
		 "23456789012345678 \r\n0\r\n\r\n",
		 "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
		 "9012345678 ",
		 "");
}

static void
odd_sizes_are_refused(void)
{
	bad("\r\n", MB_HTTP_BAD_CHUNK);
	bad(";x\r\n", MB_HTTP_BAD_CHUNK);
	bad("-1\r\n", MB_HTTP_BAD_CHUNK);
	bad("+1\r\na\r\n", MB_HTTP_BAD_CHUNK);
	bad("0x1\r\na\r\n", MB_HTTP_BAD_CHUNK);
	bad(" 1\r\na\r\n", MB_HTTP_BAD_CHUNK);
	bad("1 \r\na\r\n", MB_HTTP_BAD_CHUNK);
	bad("1\t;x\r\na\r\n", MB_HTTP_BAD_CHUNK);
	bad("g\r\n", MB_HTTP_BAD_CHUNK);
	bad("0000000000000000\r\n", MB_HTTP_BAD_CHUNK);
	bad("65\r\n", MB_HTTP_BODY_TOO_LARGE);
	bad("ffffffffffffffff\r\n", MB_HTTP_BODY_TOO_LARGE);
	bad("10000000000000000\r\n", MB_HTTP_BODY_TOO_LARGE);
	bad("7fffffffffffff\r\n", MB_HTTP_BODY_TOO_LARGE);
	bad("32\r\n01234567890123456789012345678901234567890123456789\r\n33\r\n",
		MB_HTTP_BODY_TOO_LARGE);
}

static void
odd_line_ends_are_refused(void)
{
	bad("1\na\r\n", MB_HTTP_BAD_CHUNK);
	bad("1\r\r\na\r\n", MB_HTTP_BAD_CHUNK);
	bad("1\r\nab\r\n", MB_HTTP_BAD_CHUNK);
	bad("1\r\na\n", MB_HTTP_BAD_CHUNK);
	bad("1\r\na\rX", MB_HTTP_BAD_CHUNK);
	bad("1;a\nb\r\n", MB_HTTP_BAD_CHUNK);
	bad("1;\r\n", MB_HTTP_BAD_CHUNK);
	bad("1;;a\r\n", MB_HTTP_BAD_CHUNK);
	bad("1;a=\r\n", MB_HTTP_BAD_CHUNK);
	bad("1;=b\r\n", MB_HTTP_BAD_CHUNK);
	bad("1;a@b\r\n", MB_HTTP_BAD_CHUNK);
	bad("1;a=b \r\n", MB_HTTP_BAD_CHUNK);
	bad("1; a\r\n", MB_HTTP_BAD_CHUNK);
	bad("1;a=\"b\r\n", MB_HTTP_BAD_CHUNK);
	bad("1;a=\"b\"c\r\n", MB_HTTP_BAD_CHUNK);
	bad("1;a=b\"c\"\r\n", MB_HTTP_BAD_CHUNK);
	bad_bytes("1;\0\r\n", 5, MB_HTTP_BAD_CHUNK);
	bad("0\r\n\n", MB_HTTP_BAD_TRAILER);
	bad("0\r\n\rx", MB_HTTP_BAD_TRAILER);
}

static void
odd_trailers_are_refused(void)
{
	bad("0\r\n folded: x\r\n\r\n", MB_HTTP_BAD_TRAILER);
	bad("0\r\nname\r\n\r\n", MB_HTTP_BAD_TRAILER);
	bad("0\r\nname : x\r\n\r\n", MB_HTTP_BAD_TRAILER);
	bad("0\r\n: x\r\n\r\n", MB_HTTP_BAD_TRAILER);
	bad("0\r\nname: x\n\r\n", MB_HTTP_BAD_TRAILER);
	bad("0\r\nname: \x01\r\n\r\n", MB_HTTP_BAD_TRAILER);
	bad("0\r\nContent-Length: 5\r\n\r\n", MB_HTTP_BAD_TRAILER);
	bad("0\r\nA: b\r\ntransfer-ENCODING: chunked\r\n\r\n", MB_HTTP_BAD_TRAILER);
}

static void
extras_are_bounded(void)
{
	size_t n = MB_HTTP_MAX_CHUNK_EXTRAS + 20;
	char *text = malloc(n);

	memset(text, 'x', n);
	memcpy(text, "1;", 2);
	bad_bytes(text, n, MB_HTTP_BAD_CHUNK);
	memcpy(text, "0\r\nA:", 5);
	bad_bytes(text, n, MB_HTTP_BAD_TRAILER);
	free(text);
}

int
main(void)
{
	check_run("bodies come out, however they are cut", bodies_come_out);
	check_run("sizes are hexadecimal digits within the limit", odd_sizes_are_refused);
	check_run("lines end in CR LF, chunks where they said", odd_line_ends_are_refused);
	check_run("trailers are fields", odd_trailers_are_refused);
	check_run("extensions and trailers are bounded", extras_are_bounded);
	return check_done();
}
