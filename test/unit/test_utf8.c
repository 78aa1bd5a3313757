/*
 * test_utf8.c
 *	  Characters of UTF-8: every one comes back as it was written, and what is none is taken for none.
 */
#include "core/text/utf8.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

/* Bytes in memory of their own, so that a read past them is noticed. */
static size_t
length_of(const char *bytes, size_t n)
{
	char *copy = malloc(n > 0 ? n : 1);
	size_t length;

	memcpy(copy, bytes, n);
	length = mb_utf8_length(copy, n);
	free(copy);
	return length;
}

static void
there_and_back(void)
{
	uint32_t wrong = 0;

	for (uint32_t c = 1; c <= 0x10FFFF; c++)
	{
		char bytes[5] = "";
		size_t size = mb_utf8_put(bytes, c);
		size_t expected = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		bool surrogate = c >= 0xD800 && c <= 0xDFFF;
		size_t n;

		wrong += size != expected || mb_utf8_next(bytes, &n) != c || n != size;
		wrong += mb_utf8_length(bytes, size) != (surrogate ? 0 : size);
		wrong += mb_utf8_length(bytes, size - 1) != 0;
	}
	check_int(wrong, 0);
}

static void
what_is_none(void)
{
	static const struct
	{
		const char *bytes;
		size_t n;
	} none[] = { { "", 0 },
				 { "\x80", 1 },
				 { "\xbf", 1 },
				 { "\xc0\x80", 2 },
				 { "\xc1\xbf", 2 },
				 { "\xe0\x9f\xbf", 3 },
				 { "\xed\xa0\x80", 3 },
				 { "\xf0\x8f\xbf\xbf", 4 },
				 { "\xf4\x90\x80\x80", 4 },
				 { "\xf5\x80\x80\x80", 4 },
				 { "\xff", 1 },
				 { "\xc3", 1 },
				 { "\xe2\x82", 2 },
				 { "\xe2\x82x", 3 },
				 { "\xc3(", 2 } };

	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		check_int(length_of(none[i].bytes, none[i].n), 0);
	check_int(length_of("\0x", 2), 1);
}

static void
prefixes(void)
{
	check_int(mb_utf8_prefix("", 0), 0);
	check_int(mb_utf8_prefix("na\xc3\xafve", 6), 6);
	check_int(mb_utf8_prefix("na\xc3\xafve", 3), 2);
	check_int(mb_utf8_prefix("\xe2\x82\xac\xff"
							 "x",
							 5),
			  3);
	check_int(mb_utf8_prefix("a\0b", 3), 3);
}

int
main(void)
{
	check_run("characters come back as they were written", there_and_back);
	check_run("what is no character is none", what_is_none);
	check_run("a text up to what is none", prefixes);
	return check_done();
}
