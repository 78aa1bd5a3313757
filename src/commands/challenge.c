/*
 * challenge.c
 *	  The digits of a challenge as they are heard, in SQL; VOICE_COMMANDS.md section 4.
 *
 * Who is challenged when, and what an answer is worth, is decided elsewhere.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "core/command/command.h"

PG_FUNCTION_INFO_V1(mulberry_challenge_nonce);

/* challenge_nonce(digits) → the six digits before their check, null when they do not fit it */
Datum
mulberry_challenge_nonce(PG_FUNCTION_ARGS)
{
	text *digits = PG_GETARG_TEXT_PP(0);
	char nonce[MB_NONCE_LENGTH + 1];

	if (mb_challenge_parse(VARDATA_ANY(digits), VARSIZE_ANY_EXHDR(digits), nonce) != MB_FRAME_OK)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(nonce));
}
