/*
 * http_chunks.c
 *	  Takes the body out of the chunked coding; see http_chunks.h.
 */
#include "core/web/http_chunks.h"

#include <string.h>

#include "core/text/hex.h"

/* More digits than any body that fits has. */
#define MAX_SIZE_DIGITS 15

enum chunk_state
{
	CHUNK_SIZE,		/* digits of a size */
	CHUNK_NAME,		/* of an extension, from its semicolon on */
	CHUNK_VALUE,	/* of an extension, from its equals sign on */
	CHUNK_QUOTED,	/* a value in quotes */
	CHUNK_ESCAPED,	/* behind a backslash in one */
	CHUNK_UNQUOTED, /* behind one */
	CHUNK_SIZE_END, /* the line feed behind it */
	CHUNK_DATA,
	CHUNK_DATA_CR, /* what stands behind the data */
	CHUNK_DATA_LF,
	CHUNK_LINE, /* the beginning of a line behind the last chunk */
	CHUNK_TRAILER_NAME,
	CHUNK_TRAILER_VALUE,
	CHUNK_TRAILER_LF,
	CHUNK_LAST_LF,
	CHUNK_ENDED
};

void
mb_http_chunks_begin(mb_http_chunks *chunks, uint64_t limit)
{
	memset(chunks, 0, sizeof(*chunks));
	chunks->limit = limit;
	chunks->state = CHUNK_SIZE;
}

/* One more byte of an extension or a trailer. */
static bool
count_extra(mb_http_chunks *chunks)
{
	return ++chunks->extras <= MB_HTTP_MAX_CHUNK_EXTRAS;
}

/* Extensions are name, name=token or name="text", RFC 9112 section 7.1.1, without blanks between. */
static mb_http_violation
take_extension(mb_http_chunks *chunks, char c)
{
	bool token = mb_http_is_token(&c, 1);
	bool first = chunks->name_length == 0;

	if (!count_extra(chunks))
		return MB_HTTP_BAD_CHUNK;
	chunks->name_length = 1;
	switch (chunks->state)
	{
		case CHUNK_QUOTED:
			if (c == '"')
				chunks->state = CHUNK_UNQUOTED;
			else if (c == '\\')
				chunks->state = CHUNK_ESCAPED;
			return mb_http_is_field_value(&c, 1) ? MB_HTTP_FINE : MB_HTTP_BAD_CHUNK;
		case CHUNK_ESCAPED:
			chunks->state = CHUNK_QUOTED;
			return mb_http_is_field_value(&c, 1) ? MB_HTTP_FINE : MB_HTTP_BAD_CHUNK;
		case CHUNK_VALUE:
			if (first && c == '"')
			{
				chunks->state = CHUNK_QUOTED;
				return MB_HTTP_FINE;
			}
			break;
		case CHUNK_NAME:
			if (!first && c == '=')
			{
				chunks->state = CHUNK_VALUE;
				chunks->name_length = 0;
				return MB_HTTP_FINE;
			}
			break;
		default: /* CHUNK_UNQUOTED */
			token = first = false;
			break;
	}
	if (token)
		return MB_HTTP_FINE;
	if (first || (c != ';' && c != '\r'))
		return MB_HTTP_BAD_CHUNK;
	chunks->state = c == ';' ? CHUNK_NAME : CHUNK_SIZE_END;
	chunks->name_length = 0;
	return MB_HTTP_FINE;
}

/*
 * One more letter of a trailer's name; false when, with its colon, it is one that would have said where
 * the body ends.
 */
static bool
take_name(mb_http_chunks *chunks, char c)
{
	size_t n = chunks->name_length;

	if (c == ':')
		return !(n == 14 && memcmp(chunks->name, "content-length", n) == 0) &&
			   !(n == 17 && memcmp(chunks->name, "transfer-encoding", n) == 0);
	if (n < sizeof(chunks->name))
		chunks->name[n] = c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
	if (n <= sizeof(chunks->name))
		chunks->name_length++;
	return true;
}

/* A digit of the size, or what ends it. */
static mb_http_violation
take_size(mb_http_chunks *chunks, char c)
{
	int digit = mb_hex_value(c);

	if (digit >= 0)
	{
		if (++chunks->digits > MAX_SIZE_DIGITS)
			return chunks->left == 0 ? MB_HTTP_BAD_CHUNK : MB_HTTP_BODY_TOO_LARGE;
		chunks->left = chunks->left * 16 + (unsigned) digit;
		return MB_HTTP_FINE;
	}
	if (chunks->digits == 0 || (c != '\r' && c != ';'))
		return MB_HTTP_BAD_CHUNK;
	if (chunks->left > chunks->limit - chunks->total)
		return MB_HTTP_BODY_TOO_LARGE;
	chunks->total += chunks->left;
	chunks->state = c == ';' ? CHUNK_NAME : CHUNK_SIZE_END;
	chunks->name_length = 0;
	return MB_HTTP_FINE;
}

/* One byte of what is not data. */
static mb_http_violation
take_frame(mb_http_chunks *chunks, char c)
{
	switch (chunks->state)
	{
		case CHUNK_SIZE:
			return take_size(chunks, c);
		case CHUNK_NAME:
		case CHUNK_VALUE:
		case CHUNK_QUOTED:
		case CHUNK_ESCAPED:
		case CHUNK_UNQUOTED:
			return take_extension(chunks, c);
		case CHUNK_SIZE_END:
			chunks->state = chunks->left > 0 ? CHUNK_DATA : CHUNK_LINE;
			return c == '\n' ? MB_HTTP_FINE : MB_HTTP_BAD_CHUNK;
		case CHUNK_DATA_CR:
			chunks->state = CHUNK_DATA_LF;
			return c == '\r' ? MB_HTTP_FINE : MB_HTTP_BAD_CHUNK;
		case CHUNK_DATA_LF:
			chunks->state = CHUNK_SIZE;
			chunks->digits = 0;
			return c == '\n' ? MB_HTTP_FINE : MB_HTTP_BAD_CHUNK;
		case CHUNK_LINE:
			chunks->name_length = 0;
			chunks->state = c == '\r' ? CHUNK_LAST_LF : CHUNK_TRAILER_NAME;
			if (c != '\r' && (!mb_http_is_token(&c, 1) || !count_extra(chunks)))
				return MB_HTTP_BAD_TRAILER;
			take_name(chunks, c);
			return MB_HTTP_FINE;
		case CHUNK_TRAILER_NAME:
			if (c == ':')
				chunks->state = CHUNK_TRAILER_VALUE;
			else if (!mb_http_is_token(&c, 1) || !count_extra(chunks))
				return MB_HTTP_BAD_TRAILER;
			return take_name(chunks, c) ? MB_HTTP_FINE : MB_HTTP_BAD_TRAILER;
		case CHUNK_TRAILER_VALUE:
			if (c == '\r')
				chunks->state = CHUNK_TRAILER_LF;
			else if (!mb_http_is_field_value(&c, 1) || !count_extra(chunks))
				return MB_HTTP_BAD_TRAILER;
			return MB_HTTP_FINE;
		case CHUNK_TRAILER_LF:
			chunks->state = CHUNK_LINE;
			return c == '\n' ? MB_HTTP_FINE : MB_HTTP_BAD_TRAILER;
		default:
			chunks->state = CHUNK_ENDED;
			return c == '\n' ? MB_HTTP_FINE : MB_HTTP_BAD_TRAILER;
	}
}

mb_http_chunks_outcome
mb_http_chunks_feed(mb_http_chunks *chunks, const char *bytes, size_t n, size_t *used, size_t *at,
					size_t *length)
{
	size_t i = 0;

	*used = 0;
	*at = 0;
	*length = 0;
	while (chunks->violation == MB_HTTP_FINE && chunks->state != CHUNK_ENDED && i < n)
	{
		if (chunks->state == CHUNK_DATA)
		{
			size_t piece = n - i < chunks->left ? n - i : (size_t) chunks->left;

			*at = i;
			*length = piece;
			*used = i + piece;
			chunks->left -= piece;
			if (chunks->left == 0)
				chunks->state = CHUNK_DATA_CR;
			return MB_HTTP_CHUNKS_DATA;
		}
		chunks->violation = take_frame(chunks, bytes[i++]);
	}
	*used = i;
	if (chunks->violation != MB_HTTP_FINE)
		return MB_HTTP_CHUNKS_REFUSED;
	return chunks->state == CHUNK_ENDED ? MB_HTTP_CHUNKS_END : MB_HTTP_CHUNKS_MORE;
}
