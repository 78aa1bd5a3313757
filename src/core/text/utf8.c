/*
 * utf8.c
 *	  Takes characters off UTF-8 texts; see utf8.h.
 */
#include "core/text/utf8.h"

uint32_t
mb_utf8_next(const char *text, size_t *n)
{
	const unsigned char *bytes = (const unsigned char *) text;
	uint32_t c = bytes[0];
	uint32_t least;
	size_t more;

	*n = 1;
	if (c < 0x80)
		return c;
	if (c >= 0xC2 && c <= 0xDF)
	{
		more = 1;
		least = 0x80;
		c &= 0x1F;
	}
	else if ((c & 0xF0) == 0xE0)
	{
		more = 2;
		least = 0x800;
		c &= 0x0F;
	}
	else if (c >= 0xF0 && c <= 0xF4)
	{
		more = 3;
		least = 0x10000;
		c &= 0x07;
	}
	else
		return MB_NOT_UTF8;

	/* a NUL is no continuation, so this does not run past the end */
	for (size_t i = 1; i <= more; i++)
	{
		if ((bytes[i] & 0xC0) != 0x80)
			return MB_NOT_UTF8;
		c = c << 6 | (bytes[i] & 0x3F);
	}
	if (c < least || c > 0x10FFFF)
		return MB_NOT_UTF8;
	*n = more + 1;
	return c;
}

bool
mb_xml_character(uint32_t c)
{
	return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c <= 0xD7FF) ||
		   (c >= 0xE000 && c <= 0xFFFD) || (c >= 0x10000 && c <= 0x10FFFF);
}
