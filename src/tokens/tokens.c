/*
 * tokens.c
 *	  Making bearer tokens.
 */
#include "server/compat.h"

#include "common/base64.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "core/crypto/digest.h"

#define TOKEN_SIZE 32 /* bytes of randomness */

PG_FUNCTION_INFO_V1(mulberry_random_token);

/* random_token() → text: base64url (RFC 4648) without padding */
Datum
mulberry_random_token(PG_FUNCTION_ARGS)
{
	char random[TOKEN_SIZE];
	char encoded[64];
	int length;
	text *result;

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random bytes")));
	length = pg_b64_encode((const void *) random, sizeof(random), encoded, sizeof(encoded));
	if (length < 0)
		elog(ERROR, "could not encode %d bytes", TOKEN_SIZE);
	while (length > 0 && encoded[length - 1] == '=')
		length--;
	for (int i = 0; i < length; i++)
		encoded[i] = encoded[i] == '+' ? '-' : encoded[i] == '/' ? '_' : encoded[i];
	result = cstring_to_text_with_len(encoded, length);
	mb_forget(random, sizeof(random));
	mb_forget(encoded, sizeof(encoded));
	PG_RETURN_TEXT_P(result);
}
