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
		else if (c >= 0x7f)
		{
			/* one for a character of several bytes */
			if ((c & 0xc0) != 0x80)
				text[length++] = '?';
		}
		else if (!space)
			text[length++] = ' ';
		space = length == 0 || text[length - 1] == ' ';
	}
	text[length] = '\0';
	if (answer->content_type[0] && strncmp(answer->content_type, "application/json", 16) != 0)
		appendStringInfo(error, " (%s)", answer->content_type);
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

bool
mulberry_failure_of_endpoint(mulberry_failure failure)
{
	return failure == MULBERRY_FAILURE_UNREACHABLE || failure == MULBERRY_FAILURE_ENDPOINT ||
		   failure == MULBERRY_FAILURE_TIMEOUT;
}

/* Whether the body has one of the words, which are codes of errors. */
static bool
names_one_of(const mulberry_http_answer *answer, const char *const *words)
{
	size_t size = Min(answer->body_size, 8 * QUOTED_BYTES);

	for (; *words; words++)
	{
		size_t length = strlen(*words);

		for (size_t at = 0; at + length <= size; at++)
		{
			if (memcmp(answer->body + at, *words, length) == 0)
				return true;
		}
	}
	return false;
}

/*
 * What a status means that is no success.  Only what is said of the request itself is final; all
 * else would be said of any other request as well, until it is shown that it is not.
 */
static void
judge_status(const mulberry_http_answer *answer, mulberry_verdict *verdict)
{
	static const char *const about_account[] = { "insufficient_quota", "billing_hard_limit_reached",
												 "billing_not_active", "account_deactivated",
												 "invalid_api_key",	   NULL };
	static const char *const about_model[] = { "model_not_found", NULL };

	verdict->failure = MULBERRY_FAILURE_ENDPOINT;
	verdict->key_failed = answer->status == 401 || answer->status == 402 || answer->status == 403 ||
						  names_one_of(answer, about_account);
	if (verdict->key_failed || names_one_of(answer, about_model))
		return;
	switch (answer->status)
	{
		case 400:
		case 413:
		case 415:
		case 422:
			verdict->failure = MULBERRY_FAILURE_PERMANENT;
			break;
		case 409:
		case 425:
			verdict->failure = MULBERRY_FAILURE_TRANSIENT;
			break;
		case 429:
			verdict->failure = MULBERRY_FAILURE_LIMITED;
			break;
		default:
			break;
	}
	if (verdict->failure != MULBERRY_FAILURE_PERMANENT)
		verdict->retry_after = answer->retry_after;
}

mulberry_verdict
mulberry_judge_answer(const mulberry_http_answer *answer, int sent_seconds)
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
			break;
		case MULBERRY_HTTP_BROKEN:
			verdict.failure =
				answer->timed_out ? MULBERRY_FAILURE_TIMEOUT : MULBERRY_FAILURE_ENDPOINT;
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
			if (answer->status == 413 && sent_seconds > 0)
				appendStringInfo(&error, " (for %d s of audio, which is divided no further)",
								 sent_seconds);
			judge_status(answer, &verdict);
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
		case ERRCODE_PROTOCOL_VIOLATION: /* it is not what the service should say */
			return MULBERRY_FAILURE_ENDPOINT;
		default:
			return MULBERRY_FAILURE_TRANSIENT;
	}
}
