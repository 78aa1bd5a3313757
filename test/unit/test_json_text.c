/*
 * test_json_text.c
 *	  JSON as services really send it: what is mended, what is left alone, and objects within prose.
 */
#include "core/text/json_text.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

/* The mended text; the buffer is as large as the header says and no larger. */
static const char *
repaired(const char *text, size_t n)
{
	static char kept[4096];
	char *to = malloc(MB_JSON_REPAIR_SIZE(n));
	size_t length = mb_json_repair(text, n, to);

	check_int(strlen(to), length);
	snprintf(kept, sizeof kept, "%s", to);
	free(to);
	return kept;
}

static void
check_repair(const char *text, const char *expected)
{
	check_string(repaired(text, strlen(text)), expected);
}

static void
left_alone(void)
{
	static const char *const good[] = {
		"{}",
		"[1, -2.5e3, true, false, null, \"a\\\"b\\\\\\n\"]",
		"{\"text\": \"na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80\"}",
		"\"\\u0041\\u001f\"",
		"  7 ",
		"",
		NULL
	};

	for (int i = 0; good[i]; i++)
		check_repair(good[i], good[i]);
}

static void
tokens(void)
{
	char many[600];

	check_repair("{\"a\": NaN, \"b\": -Infinity, \"c\": Infinity, \"d\": None}",
				 "{\"a\": null, \"b\": null, \"c\": null, \"d\": null}");
	check_repair("[1e400, -1e400, 1e99999, 01, 1., .5, +1, 0x10, 1e]",
				 "[1e400, -1e400, null, null, null, null, null, null, null]");
	memset(many, '9', sizeof many - 1);
	many[sizeof many - 1] = '\0';
	check_repair(many, "null");
	check_repair("x", "null");
	check_repair("\"NaN\"", "\"NaN\"");
}

static void
characters(void)
{
	check_repair("\xef\xbb\xbf{}", "{}");
	check_repair("\"\xff\xfe\"", "\"\xef\xbf\xbd\xef\xbf\xbd\"");
	check_repair("\"caf\xe9\"", "\"caf\xef\xbf\xbd\"");
	check_repair("\"\xed\xa0\x80\"", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	check_repair("\"\xc0\xaf\"", "\"\xef\xbf\xbd\xef\xbf\xbd\"");
	check_repair("\"a\xe2\x82", "\"a\xef\xbf\xbd\xef\xbf\xbd");
	check_repair("x\xffx\xffx\xff", "null\xef\xbf\xbdnull\xef\xbf\xbdnull\xef\xbf\xbd");
	check_repair("\"two\nlines\tand\x01\"", "\"two\\nlines\\tand \"");
	check_string(repaired("\"a\0b\"", 5), "\"a b\"");
	check_string(repaired("{}\0\0", 4), "{}  ");
}

static void
escapes(void)
{
	check_repair("\"\\u00e9 \\u20AC \\ud83d\\ude00\"",
				 "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
	check_repair("\"\\u0000\"", "\"\xef\xbf\xbd\"");
	check_repair("\"\\ud83d\"", "\"\xef\xbf\xbd\"");
	check_repair("\"\\ud83d\\u0041\"", "\"\xef\xbf\xbd\\u0041\"");
	check_repair("\"\\ude00\"", "\"\xef\xbf\xbd\"");
	/* no escapes: for the reader to refuse */
	check_repair("\"\\u12\"", "\"\\u12\"");
	check_repair("\"\\q\"", "\"\\q\"");
	check_repair("\"\\", "\"\\");
	check_repair("\"\\\xff\"", "\"\\\xef\xbf\xbd\"");
}

static void
check_objects(const char *text, const char *first, const char *second)
{
	size_t at = 0;
	size_t length = 0;
	const char *expected[] = { first, second };

	for (int i = 0; i < 2; i++)
	{
		bool there = mb_json_find_object(text, strlen(text), &at, &length);

		check_int(there, expected[i] != NULL);
		if (!there || !expected[i])
			return;
		check_int(length, strlen(expected[i]));
		check(strncmp(text + at, expected[i], length) == 0);
		at += length;
	}
}

static void
objects(void)
{
	char open[10001];
	size_t at = 0;
	size_t length;

	check_objects("{\"a\": 1}", "{\"a\": 1}", NULL);
	check_objects("Here you are:\n```json\n{\"a\": {\"b\": \"}\"}}\n```\nDone.",
				  "{\"a\": {\"b\": \"}\"}}", NULL);
	check_objects("<think>{x}</think> {\"a\": \"\\\"}\"}", "{x}", "{\"a\": \"\\\"}\"}");
	check_objects("{ never closed {\"a\": 1}", "{\"a\": 1}", NULL);
	check_objects("nothing", NULL, NULL);
	check_objects("", NULL, NULL);
	check_objects("{\"\\", NULL, NULL);
	memset(open, '{', 10000);
	open[10000] = '\0';
	check(!mb_json_find_object(open, 10000, &at, &length));
}

int
main(void)
{
	check_run("JSON that is in order is left alone", left_alone);
	check_run("tokens that no reader takes become null", tokens);
	check_run("characters that are none are replaced", characters);
	check_run("escapes become characters", escapes);
	check_run("objects are found in prose", objects);
	return check_done();
}
