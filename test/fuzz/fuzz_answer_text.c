/*
 * fuzz_answer_text.c
 *	  What is done to the text of answers before it is read: secrets are blotted out, JSON is mended,
 *	  objects are looked for.
 *
 * The first byte says how long the secret is; it follows, and the rest is the text.
 *
 * Fuzz with: -max_len=2048
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "core/text/json_text.h"
#include "core/web/blot.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t secret_length;
	const char *secret;
	size_t n;
	char *text;
	char *mended;
	char *again;
	size_t length;
	size_t at = 0;
	size_t found;

	if (size == 0)
		return 0;
	secret_length = data[0] < size ? data[0] : size - 1;
	secret = (const char *) data + 1;
	n = size - 1 - secret_length;
	text = malloc(n + 1);
	memcpy(text, data + 1 + secret_length, n);

	mb_blot_out(text, n, secret, secret_length);
	/* asterisks alone may be an occurrence again, of a secret made of them */
	if (secret_length >= MB_BLOT_LEAST && memchr(secret, '*', secret_length) == NULL)
	{
		for (size_t i = 0; i + secret_length <= n; i++)
		{
			if (memcmp(text + i, secret, secret_length) == 0)
				abort();
		}
	}

	mended = malloc(MB_JSON_REPAIR_SIZE(n));
	length = mb_json_repair(text, n, mended);
	if (length >= MB_JSON_REPAIR_SIZE(n) || strlen(mended) != length)
		abort();

	/* what is mended needs no mending */
	again = malloc(MB_JSON_REPAIR_SIZE(length));
	if (mb_json_repair(mended, length, again) != length || strcmp(again, mended) != 0)
		abort();

	while (mb_json_find_object(mended, length, &at, &found))
	{
		if (found < 2 || at + found > length || mended[at] != '{' || mended[at + found - 1] != '}')
			abort();
		at += found;
	}
	free(again);
	free(mended);
	free(text);
	return 0;
}
