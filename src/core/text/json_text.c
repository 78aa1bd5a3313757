/*
 * json_text.c
 *	  JSON as services really send it; see json_text.h.
 */
#include "core/text/json_text.h"

#include <string.h>

#include "core/text/utf8.h"

#define REPLACEMENT 0xFFFD
#define LONGEST_NUMBER 400 /* characters */
#define LONGEST_EXPONENT 4 /* digits */

/* The four hexadecimal digits at text, or -1. */
static int
hex4(const char *text, const char *end)
{
	int code = 0;

	if (end - text < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		char c = text[i];

		if (c >= '0' && c <= '9')
			code = code * 16 + c - '0';
		else if (c >= 'a' && c <= 'f')
			code = code * 16 + c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			code = code * 16 + c - 'A' + 10;
		else
			return -1;
	}
	return code;
}

/*
 * One escape, from its backslash on.  What is no escape is left to the reader to refuse.
 */
static const char *
copy_escape(const char *at, const char *end, char **to)
{
	int code = end - at > 2 && at[1] == 'u' ? hex4(at + 2, end) : -1;
	int low;

	if (code < 0)
	{
		*(*to)++ = *at++;
		if (at < end && (unsigned char) *at >= ' ' && (unsigned char) *at < 0x80)
			*(*to)++ = *at++;
		return at;
	}
	if (code > 0 && code < 0x80)
	{
		memcpy(*to, at, 6);
		*to += 6;
		return at + 6;
	}
	at += 6;
	if (code >= 0xd800 && code <= 0xdbff && end - at >= 6 && at[0] == '\\' && at[1] == 'u' &&
		(low = hex4(at + 2, end)) >= 0xdc00 && low <= 0xdfff)
	{
		*to += mb_utf8_put(*to, 0x10000 + ((uint32_t) (code - 0xd800) << 10) +
									(uint32_t) (low - 0xdc00));
		return at + 6;
	}
	if (code == 0 || (code >= 0xd800 && code <= 0xdfff))
		code = REPLACEMENT;
	*to += mb_utf8_put(*to, (uint32_t) code);
	return at;
}

/* A character of at most n bytes that is no part of an escape. */
static const char *
copy_character(const char *at, size_t n, char **to)
{
	size_t length = mb_utf8_length(at, n);

	if (length == 0)
	{
		*to += mb_utf8_put(*to, REPLACEMENT);
		return at + 1;
	}
	memcpy(*to, at, length);
	*to += length;
	return at + length;
}

/* A raw control character within a string; those without a short form become a space. */
static char *
put_control(char *to, char c)
{
	char letter = c == '\n' ? 'n' : c == '\t' ? 't' : c == '\r' ? 'r' : 0;

	if (letter)
	{
		*to++ = '\\';
		*to++ = letter;
	}
	else
		*to++ = ' ';
	return to;
}

static const char *
copy_string(const char *at, const char *end, char **to)
{
	*(*to)++ = *at++;
	while (at < end)
	{
		if (*at == '"')
		{
			*(*to)++ = *at++;
			break;
		}
		if (*at == '\\')
			at = copy_escape(at, end, to);
		else if ((unsigned char) *at < ' ')
			*to = put_control(*to, *at++);
		else
			at = copy_character(at, (size_t) (end - at), to);
	}
	return at;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* True for a number that a reader of JSON takes and whose size is bearable. */
static bool
is_number(const char *token, size_t n)
{
	const char *at = token;
	const char *end = token + n;
	const char *digits;

	if (n > LONGEST_NUMBER)
		return false;
	if (at < end && *at == '-')
		at++;
	digits = at;
	while (at < end && is_digit(*at))
		at++;
	if (at == digits || (*digits == '0' && at - digits > 1))
		return false;
	if (at < end && *at == '.')
	{
		digits = ++at;
		while (at < end && is_digit(*at))
			at++;
		if (at == digits)
			return false;
	}
	if (at < end && (*at == 'e' || *at == 'E'))
	{
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		digits = at;
		while (at < end && is_digit(*at))
			at++;
		if (at == digits || at - digits > LONGEST_EXPONENT)
			return false;
	}
	return at == end;
}

static bool
is_literal(const char *token, size_t n, const char *literal)
{
	return n == strlen(literal) && memcmp(token, literal, n) == 0;
}

/* True for characters of which tokens outside of strings are made. */
static bool
in_token(char c)
{
	return (unsigned char) c > ' ' && (unsigned char) c < 0x80 && strchr("{}[]:,\"", c) == NULL;
}

static const char *
copy_token(const char *at, const char *end, char **to)
{
	const char *token = at;
	size_t n;

	while (at < end && in_token(*at))
		at++;
	n = (size_t) (at - token);
	if (is_number(token, n) || is_literal(token, n, "true") || is_literal(token, n, "false"))
	{
		memcpy(*to, token, n);
		*to += n;
	}
	else
	{
		memcpy(*to, "null", 4);
		*to += 4;
	}
	return at;
}

size_t
mb_json_repair(const char *text, size_t n, char *to)
{
	const char *at = text;
	const char *end = text + n;
	char *start = to;

	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		at += 3;
	while (at < end)
	{
		if (*at == '"')
			at = copy_string(at, end, &to);
		else if (in_token(*at))
			at = copy_token(at, end, &to);
		else if (*at == '\0')
		{
			*to++ = ' ';
			at++;
		}
		else
			at = copy_character(at, (size_t) (end - at), &to);
	}
	*to = '\0';
	return (size_t) (to - start);
}

bool
mb_json_find_object(const char *text, size_t n, size_t *at, size_t *length)
{
	for (int openings = 0; *at < n && openings < MB_JSON_OPENINGS; openings++)
	{
		size_t depth = 0;
		bool in_string = false;
		const char *open = memchr(text + *at, '{', n - *at);

		if (open == NULL)
			break;
		*at = (size_t) (open - text);
		for (size_t i = *at; i < n; i++)
		{
			char c = text[i];

			if (in_string)
			{
				if (c == '\\')
					i++;
				else if (c == '"')
					in_string = false;
			}
			else if (c == '"')
				in_string = true;
			else if (c == '{')
				depth++;
			else if (c == '}' && --depth == 0)
			{
				*length = i + 1 - *at;
				return true;
			}
		}
		(*at)++;
	}
	return false;
}
