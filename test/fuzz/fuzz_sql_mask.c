/*
 * fuzz_sql_mask.c
 *	  Any text: what comes out fits, has no more statements to mask in it that were not masked, and is
 *	  the same when it is masked again.
 *
 * Fuzz with: -max_len=4096
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "core/text/sql_mask.h"

static const char *
prepared(const char *name, size_t length)
{
	return length > 0 && name[0] == 'p' ? "INSERT INTO secret_entry VALUES ($1)" : NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const relations[] = { "secret_entry", NULL };
	static const char *const functions[] = { "authenticate", NULL };
	mb_sql_mask mask = { "mulberry", relations, functions, size > 0 && data[0] == 'b', prepared };
	char *text = malloc(size);
	char *once = malloc(mb_sql_mask_size(size));
	char *twice;
	size_t length;

	if (size > 0)
		memcpy(text, data, size);
	if (mb_sql_mask_text(&mask, text, size, once) && memchr(text, '\0', size) == NULL)
	{
		length = strlen(once);
		require(length < mb_sql_mask_size(size));
		twice = malloc(mb_sql_mask_size(length));
		(void) mb_sql_mask_text(&mask, once, length, twice);
		require(strcmp(once, twice) == 0);
		free(twice);
	}
	free(once);
	free(text);
	return 0;
}
