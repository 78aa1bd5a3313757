/*
 * test_url_path.c
 *	  Paths of requests: segments first, decoding afterwards.
 */
#include "check.h"
#include "core/web/url_path.h"

static void
split(const char *path, const char *wanted)
{
	char joined[200] = "";
	const char *segment;
	size_t length;
	size_t at = 0;

	while (mb_path_next(path, strlen(path), &at, &segment, &length))
		snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "[%.*s]", (int) length,
				 segment);
	check_string(joined, wanted);
}

static void
segments(void)
{
	split("/", "[]");
	split("/v1/call/stream/abc", "[v1][call][stream][abc]");
	split("/a//b/", "[a][][b][]");
	split("/a%2Fb/%2e%2e/../c", "[a%2Fb][%2e%2e][..][c]");
	split("", "");
	split("a/b", "");
}

static void
decode(const char *text, mb_status status, const char *wanted)
{
	size_t n = strlen(text);
	char *copy = malloc(n + 1);
	size_t length;

	memcpy(copy, text, n);
	check_int(mb_percent_decode(copy, n, copy, &length), status);
	copy[length] = '\0';
	check_string(copy, wanted);
	free(copy);
}

static void
decoding(void)
{
	decode("abc", MB_OK, "abc");
	decode("a%2Fb%2f", MB_OK, "a/b/");
	decode("%e2%82%AC+", MB_OK, "\xe2\x82\xac+");
	decode("%2525", MB_OK, "%25");
	decode("", MB_OK, "");
	decode("%", MB_ERR_FORMAT, "");
	decode("a%2", MB_ERR_FORMAT, "");
	decode("%zz", MB_ERR_FORMAT, "");
	decode("%%20", MB_ERR_FORMAT, "");
	decode("%u0041", MB_ERR_FORMAT, "");
	decode("a%00", MB_ERR_RANGE, "");
}

int
main(void)
{
	check_run("segments are the stretches between slashes as they came", segments);
	check_run("percent-encoding is strict and holds no NUL", decoding);
	return check_done();
}
