/*
 * verdict.c
 *	  What an answer of a service means for the attempt that asked; see verdict.h.
 *
 * Nothing here raises an error over a bad answer: a judgement is the result.
 */
#include "server/compat.h"

#include "lib/stringinfo.h"

#include "worker/verdict.h"

#define QUOTED_BYTES 300 /* of a body, in an error */

/*
 * Appends the beginning of a body as far as it is printable ASCII, on one line.
 * For reading by people; a service's JSON is not taken apart for it.
 */
static void
append_quote(StringInfo error, const mulberry_http_answer *answer)
{
	static const char dots[] = "...";
	size_t size = Min(answer->body_size, 8 * QUOTED_BYTES);
	char *text;
	size_t length = 0;
	bool space = true;

	if (size == 0)
		return;
	text = palloc(size + sizeof dots);
	for (size_t i = 0; i < size; i++)
	{
		unsigned char c = (unsigned char) answer->body[i];

		if (c > ' ' && c < 0x7f)
			text[length++] = (char) c;
		else if (!space)
			text[length++] = c >= 0x7f ? '?' : ' ';
		space = length == 0 || text[length - 1] == ' ';
	}
	text[length] = '\0';
	if (length > QUOTED_BYTES)
		memcpy(text + QUOTED_BYTES, dots, sizeof dots);
	if (length > 0)
		appendStringInfo(error, ": %s", text);
}

char *
mulberry_quote_answer(const char *sentence, const mulberry_http_answer *answer)
{
	StringInfoData error;

	initStringInfo(&error);
	appendStringInfoString(&error, sentence);
	append_quote(&error, answer);
	return error.data;
}

mulberry_verdict
mulberry_judge_answer(const mulberry_http_answer *answer)
{
	mulberry_verdict verdict = { 0 };
	StringInfoData error;

	if (answer->outcome == MULBERRY_HTTP_ANSWERED && answer->status >= 200 && answer->status < 300)
	{
		verdict.ok = true;
		return verdict;
	}

	initStringInfo(&error);
	switch (answer->outcome)
	{
		case MULBERRY_HTTP_UNREACHABLE:
			verdict.failure = MULBERRY_FAILURE_UNREACHABLE;
			verdict.endpoint_failing = true;
			break;
		case MULBERRY_HTTP_BROKEN:
			verdict.failure = MULBERRY_FAILURE_TRANSIENT;
			verdict.endpoint_failing = true;
			break;
		case MULBERRY_HTTP_TOO_LARGE:
			verdict.failure = MULBERRY_FAILURE_PERMANENT;
			break;
		case MULBERRY_HTTP_ANSWERED:
			appendStringInfo(&error, "HTTP %ld", answer->status);
			if (answer->status >= 300 && answer->status < 400)
				appendStringInfoString(&error, " (redirects are not followed)");
			verdict.brief = pstrdup(error.data);
			append_quote(&error, answer);
			verdict.failure = MULBERRY_FAILURE_PERMANENT;
			if (answer->status == 408 || answer->status == 409 || answer->status == 425 ||
				answer->status == 429 || answer->status >= 500)
			{
				verdict.failure = MULBERRY_FAILURE_TRANSIENT;
				verdict.retry_after = answer->retry_after;
			}
			if (answer->status == 429)
				verdict.failure = MULBERRY_FAILURE_LIMITED;
			verdict.endpoint_failing = answer->status >= 500 || answer->status == 408;
			break;
	}
	if (answer->outcome != MULBERRY_HTTP_ANSWERED)
	{
		/* curl's sentences are in ASCII, but host names in them need not be. */
		appendStringInfoString(&error, answer->error);
		for (char *c = error.data; *c; c++)
		{
			if ((unsigned char) *c >= 0x7f || (unsigned char) *c < ' ')
				*c = '?';
		}
	}
	verdict.error = error.data;
	if (verdict.brief == NULL)
		verdict.brief = error.data;
	return verdict;
}

mulberry_failure
mulberry_answer_error_failure(int sqlerrcode)
{
	switch (sqlerrcode)
	{
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
		case ERRCODE_NO_DATA_FOUND: /* the service declined to answer */
			return MULBERRY_FAILURE_PERMANENT;
		case ERRCODE_LOCK_NOT_AVAILABLE: /* a transaction has the call and does not end */
			return MULBERRY_FAILURE_BLOCKED;
		default:
			return MULBERRY_FAILURE_TRANSIENT;
	}
}
