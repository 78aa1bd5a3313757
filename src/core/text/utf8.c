/*
 * utf8.c
 *	  Characters of UTF-8 texts; see utf8.h.
 */
#include "core/text/utf8.h"

/* Bytes of a character by its first one, and the bits that are in it; 0 for no first byte. */
static size_t
first_byte(unsigned char first, uint32_t *bits)
{
	if (first < 0x80)
	{
		*bits = first;
		return 1;
	}
	if (first >= 0xC2 && first <= 0xDF)
	{
		*bits = first & 0x1F;
		return 2;
	}
	if ((first & 0xF0) == 0xE0)
	{
		*bits = first & 0x0F;
		return 3;
	}
	if (first >= 0xF0 && first <= 0xF4)
	{
		*bits = first & 0x07;
		return 4;
	}
	return 0;
}

/* Reads a character of so many bytes, of which *c has the bits of the first. */
static bool
read_rest(const unsigned char *bytes, size_t length, uint32_t *c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	/* a NUL is no continuation, so this does not run past the end of a terminated text */
	for (size_t i = 1; i < length; i++)
	{
		if ((bytes[i] & 0xC0) != 0x80)
			return false;
		*c = *c << 6 | (bytes[i] & 0x3F);
	}
	return *c >= least[length] && *c <= 0x10FFFF;
}

uint32_t
mb_utf8_next(const char *text, size_t *n)
{
	const unsigned char *bytes = (const unsigned char *) text;
	uint32_t c;
	size_t length = first_byte(bytes[0], &c);

	*n = 1;
	if (length == 0 || !read_rest(bytes, length, &c))
		return MB_NOT_UTF8;
	*n = length;
	return c;
}

size_t
mb_utf8_length(const char *text, size_t n)
{
	const unsigned char *bytes = (const unsigned char *) text;
	uint32_t c;
	size_t length = n == 0 ? 0 : first_byte(bytes[0], &c);

	if (length == 0 || length > n || !read_rest(bytes, length, &c) || (c >= 0xD800 && c <= 0xDFFF))
		return 0;
	return length;
}

size_t
mb_utf8_prefix(const char *text, size_t n)
{
	size_t at = 0;
	size_t length;

	while ((length = mb_utf8_length(text + at, n - at)) > 0)
		at += length;
	return at;
}

size_t
mb_utf8_put(char *out, uint32_t c)
{
	if (c < 0x80)
	{
		out[0] = (char) c;
		return 1;
	}
	if (c < 0x800)
	{
		out[0] = (char) (0xC0 | (c >> 6));
		out[1] = (char) (0x80 | (c & 0x3F));
		return 2;
	}
	if (c < 0x10000)
	{
		out[0] = (char) (0xE0 | (c >> 12));
		out[1] = (char) (0x80 | ((c >> 6) & 0x3F));
		out[2] = (char) (0x80 | (c & 0x3F));
		return 3;
	}
	out[0] = (char) (0xF0 | (c >> 18));
	out[1] = (char) (0x80 | ((c >> 12) & 0x3F));
	out[2] = (char) (0x80 | ((c >> 6) & 0x3F));
	out[3] = (char) (0x80 | (c & 0x3F));
	return 4;
}

bool
mb_xml_character(uint32_t c)
{
	return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c <= 0xD7FF) ||
		   (c >= 0xE000 && c <= 0xFFFD) || (c >= 0x10000 && c <= 0x10FFFF);
}
