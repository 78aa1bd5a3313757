/*
 * test_forwarded.c
 *	  What a proxy says of where a request was sent to, what a configuration says of it.
 */
#include "core/web/forwarded.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

/* Copies without a NUL behind them, so that a byte too far is seen. */
static bool
origin_of(const char *proto, const char *host, char origin[MB_ORIGIN_SIZE])
{
	char *p = malloc(strlen(proto) + 1);
	char *h = malloc(strlen(host) + 1);
	bool found;

	memcpy(p, proto, strlen(proto));
	memcpy(h, host, strlen(host));
	p = realloc(p, strlen(proto) > 0 ? strlen(proto) : 1);
	h = realloc(h, strlen(host) > 0 ? strlen(host) : 1);
	found = mb_forwarded_origin(p, strlen(proto), h, strlen(host), origin);
	free(p);
	free(h);
	return found;
}

static void
origins_are_made(void)
{
	static const char *const good[][3] = {
		{ "https", "hooks.example", "https://hooks.example" },
		{ "http", "hooks.example:8080", "http://hooks.example:8080" },
		{ "HTTPS", "Hooks.Example", "https://Hooks.Example" },
		{ " https , http", "\tfirst.example , second.example", "https://first.example" },
		{ "https", "[2001:db8::1]:443", "https://[2001:db8::1]:443" },
		{ "https", "192.0.2.1", "https://192.0.2.1" },
		{ "https", "a_b-c.example", "https://a_b-c.example" },
	};
	char origin[MB_ORIGIN_SIZE];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
	{
		check(origin_of(good[i][0], good[i][1], origin));
		check(strcmp(origin, good[i][2]) == 0);
	}
}

static void
other_things_are_no_origins(void)
{
	static const char *const bad[][2] = {
		{ "", "hooks.example" },
		{ "https", "" },
		{ "https", "," },
		{ ",https", "hooks.example" },
		{ "ftp", "hooks.example" },
		{ "httpss", "hooks.example" },
		{ "https:", "hooks.example" },
		{ "https", "hooks.example/path" },
		{ "https", "hooks.example?x" },
		{ "https", "user@hooks.example" },
		{ "https", "hooks.example:" },
		{ "https", "hooks.example:123456" },
		{ "https", "hooks.example:80x" },
		{ "https", ":80" },
		{ "https", "two words" },
		{ "https", "[2001:db8::1" },
		{ "https", "[]" },
		{ "https", "[2001:db8::1]x" },
		{ "https", "h\xc3\xa4.example" },
	};
	char origin[MB_ORIGIN_SIZE] = "untouched";
	char name[300];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check(!origin_of(bad[i][0], bad[i][1], origin));
	memset(name, 'a', sizeof(name));
	check(!mb_forwarded_origin("https", 5, name, 256, origin));
	check(!mb_forwarded_origin("https", 5, "a\0b", 3, origin));
	check(strcmp(origin, "untouched") == 0);
	check(mb_forwarded_origin("https", 5, name, 255, origin));
	check(strlen(origin) == 8 + 255);
	check(!mb_forwarded_origin(NULL, 0, NULL, 0, origin));
}

static void
base_urls(void)
{
	static const char *const good[] = { "https://hooks.example",		"http://hooks.example:8080",
										"https://hooks.example/base",	"https://h.example/a/b-c.d",
										"HTTPS://[2001:db8::1]:8443/x", NULL };
	static const char *const bad[] = { "",
									   "hooks.example",
									   "https:/hooks.example",
									   "https://",
									   "https:///base",
									   "ftp://hooks.example",
									   "https://hooks.example/",
									   "https://hooks.example/base/",
									   "https://hooks.example?x",
									   "https://hooks.example/a?x",
									   "https://hooks.example/a#x",
									   "https://u@hooks.example",
									   "https://hooks.example:/a",
									   "https://hooks.example/a b",
									   NULL };

	for (int i = 0; good[i] != NULL; i++)
		check(mb_is_base_url(good[i]));
	for (int i = 0; bad[i] != NULL; i++)
		check(!mb_is_base_url(bad[i]));
}

int
main(void)
{
	check_run("a proxy says where a request was sent to", origins_are_made);
	check_run("what it says otherwise counts for nothing", other_things_are_no_origins);
	check_run("URLs that others are built upon", base_urls);
	return check_done();
}
