/*
 * multipart.c
 *	  Takes the parts out of a multipart/form-data body; see multipart.h.
 *
 * A carriage return can stand only at the beginning of a delimiter, so that what looked like one and
 * was none is found again without going back: its bytes are the delimiter's own.
 */
#include "core/web/multipart.h"

#include <string.h>

enum multipart_state
{
	PART_CONTENTS,	/* of a part, or the preamble before the first */
	PART_DELIMITED, /* behind a delimiter */
	PART_PADDING,	/* blanks behind it */
	PART_LINE_FEED, /* behind its carriage return */
	PART_HYPHEN,	/* behind the first of the two hyphens of the last one */
	PART_HEAD,
	PART_EPILOGUE
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Whether n bytes are this word in small letters, in any case. */
static bool
is_word(const char *text, size_t n, const char *word)
{
	if (strlen(word) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]) != word[i])
			return false;
	return true;
}

/*
 * The next parameter of a header's value, from *at on, where the semicolon stands: its name, and its
 * value without quotes and escapes, of which at most room bytes are kept.  *length is what it
 * would have been.  False at the end, and where the value cannot be read.
 */
static bool
next_parameter(const char *text, size_t n, size_t *at, const char **name, size_t *name_length,
			   char *value, size_t room, size_t *length)
{
	size_t i = *at;
	size_t begin;

	while (i < n && is_blank(text[i]))
		i++;
	if (i == n || text[i] != ';')
		return false;
	i++;
	while (i < n && is_blank(text[i]))
		i++;
	begin = i;
	while (i < n && text[i] != '=' && text[i] != ';')
		i++;
	if (i == n || text[i] != '=' || i == begin)
		return false;
	*name = text + begin;
	*name_length = i - begin;
	*length = 0;
	i++;
	if (i < n && text[i] == '"')
	{
		for (i++; i < n && text[i] != '"'; i++)
		{
			if (text[i] == '\\' && i + 1 < n && (text[i + 1] == '"' || text[i + 1] == '\\'))
				i++;
			if (*length < room)
				value[*length] = text[i];
			(*length)++;
		}
		if (i == n)
			return false;
		*at = i + 1;
		return true;
	}
	for (; i < n && text[i] != ';' && !is_blank(text[i]); i++)
	{
		if (*length < room)
			value[*length] = text[i];
		(*length)++;
	}
	*at = i;
	return true;
}

mb_status
mb_multipart_begin(mb_multipart *multipart, const char *content_type, size_t n)
{
	char *boundary = multipart->delimiter + 4;
	const char *name;
	size_t name_length;
	size_t length;
	size_t at = 0;

	memset(multipart, 0, sizeof(*multipart));
	while (at < n && content_type[at] != ';' && !is_blank(content_type[at]))
		at++;
	if (!is_word(content_type, at, "multipart/form-data"))
		return multipart->status = MB_ERR_UNSUPPORTED;
	do
	{
		if (!next_parameter(content_type, n, &at, &name, &name_length, boundary,
							MB_MULTIPART_MAX_BOUNDARY, &length))
			return multipart->status = MB_ERR_FORMAT;
	} while (!is_word(name, name_length, "boundary"));
	if (length == 0 || length > MB_MULTIPART_MAX_BOUNDARY)
		return multipart->status = MB_ERR_FORMAT;
	for (size_t i = 0; i < length; i++)
		if (boundary[i] < ' ' || boundary[i] == 0x7f)
			return multipart->status = MB_ERR_FORMAT;
	memcpy(multipart->delimiter, "\r\n--", 4);
	multipart->delimiter_length = length + 4;
	multipart->matched = 2; /* the first one may stand at the very beginning */
	return MB_OK;
}

/* Reads the headers of a part that head holds; only its name and whether it is a file matter. */
static mb_status
read_head(mb_multipart *multipart)
{
	const char *head = multipart->head;
	bool named = false;

	multipart->is_file = false;
	for (size_t begin = 0, n; begin < multipart->head_length; begin += n + 2)
	{
		const char *line = head + begin;
		const char *colon;
		const char *name;
		char value[MB_MULTIPART_MAX_NAME];
		size_t name_length;
		size_t length;
		size_t at;

		for (n = 0; line[n] != '\r' || line[n + 1] != '\n';)
			n++;
		colon = memchr(line, ':', n);
		if (n > 0 && colon == NULL)
			return MB_ERR_FORMAT;
		if (n == 0 || !is_word(line, (size_t) (colon - line), "content-disposition"))
			continue;
		at = (size_t) (colon + 1 - line);
		while (at < n && is_blank(line[at]))
			at++;
		if (n - at < 9 || !is_word(line + at, 9, "form-data"))
			return MB_ERR_FORMAT;
		at += 9;
		while (next_parameter(line, n, &at, &name, &name_length, value, sizeof(value), &length))
		{
			if (is_word(name, name_length, "filename") || is_word(name, name_length, "filename*"))
				multipart->is_file = true;
			if (!is_word(name, name_length, "name"))
				continue;
			if (length > MB_MULTIPART_MAX_NAME)
				return MB_ERR_SPACE;
			if (named || memchr(value, '\0', length) != NULL)
				return MB_ERR_FORMAT;
			memcpy(multipart->name, value, length);
			multipart->name[length] = '\0';
			named = true;
		}
	}
	return named ? MB_OK : MB_ERR_FORMAT;
}

/* One byte of a part's head; true when it is the last. */
static bool
take_head(mb_multipart *multipart, char c)
{
	const char *head = multipart->head;
	size_t n;

	if (multipart->head_length == sizeof(multipart->head))
	{
		multipart->status = MB_ERR_SPACE;
		return false;
	}
	multipart->head[multipart->head_length++] = c;
	n = multipart->head_length;
	if (c != '\n')
		return false;
	if (n < 2 || head[n - 2] != '\r')
		multipart->status = MB_ERR_FORMAT;
	else if (n == 2)
		multipart->status = MB_ERR_FORMAT; /* a part without a head has no name */
	else if (n >= 4 && head[n - 4] == '\r' && head[n - 3] == '\n')
	{
		multipart->status = read_head(multipart);
		return multipart->status == MB_OK;
	}
	return false;
}

/* One byte behind a delimiter, outside of contents and heads. */
static void
take_boundary_end(mb_multipart *multipart, char c)
{
	switch (multipart->state)
	{
		case PART_DELIMITED:
			if (c == '-')
			{
				multipart->state = PART_HYPHEN;
				return;
			}
			/* fall through */
		case PART_PADDING:
			multipart->state = c == '\r' ? PART_LINE_FEED : PART_PADDING;
			if (c != '\r' && !is_blank(c))
				multipart->status = MB_ERR_FORMAT;
			return;
		case PART_LINE_FEED:
			multipart->state = PART_HEAD;
			multipart->head_length = 0;
			if (c != '\n')
				multipart->status = MB_ERR_FORMAT;
			return;
		default: /* PART_HYPHEN */
			multipart->state = PART_EPILOGUE;
			if (c != '-')
				multipart->status = MB_ERR_FORMAT;
			return;
	}
}

/*
 * Contents from bytes on, up to a delimiter.  True when there is a piece; *used is set in any
 * case.
 */
static bool
take_contents(mb_multipart *multipart, const char *bytes, size_t n, size_t *used, const char **data,
			  size_t *length)
{
	size_t i = 0;

	if (multipart->matched == 0)
	{
		const char *stop = memchr(bytes, '\r', n);

		*data = bytes;
		*length = stop != NULL ? (size_t) (stop - bytes) : n;
		*used = *length;
		if (*length > 0)
			return true;
	}
	while (i < n && bytes[i] == multipart->delimiter[multipart->matched])
	{
		i++;
		if (++multipart->matched == multipart->delimiter_length)
		{
			multipart->matched = 0;
			multipart->state = PART_DELIMITED;
			*used = i;
			return false;
		}
	}
	*used = i;
	if (i == n)
		return false;
	/* it was none, and its bytes are contents; the first delimiter's CR LF has never been there */
	*data = multipart->delimiter;
	*length = multipart->matched;
	multipart->matched = 0;
	return true;
}

mb_multipart_outcome
mb_multipart_feed(mb_multipart *multipart, const char *bytes, size_t n, size_t *used,
				  const char **data, size_t *length)
{
	size_t at = 0;

	*length = 0;
	while (at < n && multipart->status == MB_OK)
	{
		size_t taken;

		switch (multipart->state)
		{
			case PART_EPILOGUE:
				at = n;
				break;
			case PART_CONTENTS:
				if (take_contents(multipart, bytes + at, n - at, &taken, data, length) &&
					multipart->in_part)
				{
					*used = at + taken;
					return MB_MULTIPART_DATA;
				}
				at += taken;
				break;
			case PART_HEAD:
				if (take_head(multipart, bytes[at++]))
				{
					multipart->state = PART_CONTENTS;
					multipart->in_part = true;
					multipart->matched = 0;
					*used = at;
					return MB_MULTIPART_PART;
				}
				break;
			default:
				take_boundary_end(multipart, bytes[at++]);
				break;
		}
	}
	*used = at;
	return multipart->status == MB_OK ? MB_MULTIPART_MORE : MB_MULTIPART_REFUSED;
}

bool
mb_multipart_whole(const mb_multipart *multipart)
{
	return multipart->status == MB_OK && multipart->state == PART_EPILOGUE;
}
