/*
 * xml_writer.c
 *	  Writes an XML 1.0 document into the caller's buffer; see xml_writer.h.
 */
#include "core/text/xml_writer.h"

#include <stdio.h>
#include <string.h>

/* Decoded from no UTF-8. */
#define NOT_UTF8 0xFFFFFFFFu

/*
 * Takes one character off a NUL-terminated text; its bytes are counted in *n.  Surrogates encoded
 * one by one are let through here, because they are to be taken out and not to be an error.
 */
static uint32_t
next_character(const char *text, size_t *n)
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
		return NOT_UTF8;

	/* a NUL is no continuation, so this does not run past the end */
	for (size_t i = 1; i <= more; i++)
	{
		if ((bytes[i] & 0xC0) != 0x80)
			return NOT_UTF8;
		c = c << 6 | (bytes[i] & 0x3F);
	}
	if (c < least || c > 0x10FFFF)
		return NOT_UTF8;
	*n = more + 1;
	return c;
}

/* XML 1.0, production 2 [Char]. */
static bool
xml_character(uint32_t c)
{
	return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c <= 0xD7FF) ||
		   (c >= 0xE000 && c <= 0xFFFD) || (c >= 0x10000 && c <= 0x10FFFF);
}

bool
mb_xml_clean(const char *text)
{
	size_t n;

	for (; *text != '\0'; text += n)
	{
		if (!xml_character(next_character(text, &n)))
			return false;
	}
	return true;
}

bool
mb_xml_blank(const char *text)
{
	size_t n;

	for (; *text != '\0'; text += n)
	{
		uint32_t c = next_character(text, &n);

		if (c == NOT_UTF8 || (xml_character(c) && c > ' '))
			return false;
	}
	return true;
}

static void
fail(mb_xml_writer *xml, mb_xml_status status)
{
	if (xml->status == MB_XML_OK)
		xml->status = status;
}

/* Appends bytes that make so many characters. */
static void
append(mb_xml_writer *xml, const char *bytes, size_t n, size_t characters)
{
	if (xml->status != MB_XML_OK)
		return;
	if (characters > xml->max_characters - xml->characters)
		fail(xml, MB_XML_TOO_LONG);
	else if (n >= xml->capacity - xml->length)
		fail(xml, MB_XML_SPACE);
	else
	{
		memcpy(xml->buffer + xml->length, bytes, n);
		xml->length += n;
		xml->characters += characters;
	}
}

/* ASCII only. */
static void
append_ascii(mb_xml_writer *xml, const char *text)
{
	size_t n = strlen(text);

	append(xml, text, n, n);
}

/* What stands for a character, or NULL for itself.  Text and attributes differ. */
static const char *
entity(uint32_t c, bool attribute)
{
	switch (c)
	{
		case '&':
			return "&amp;";
		case '<':
			return "&lt;";
		case '>':
			return attribute ? NULL : "&gt;";
		case '"':
			return attribute ? "&quot;" : NULL;
		case '\r':
			return "&#xD;";
		case '\n':
			return attribute ? "&#xA;" : NULL;
		case '\t':
			return attribute ? "&#x9;" : NULL;
		default:
			return NULL;
	}
}

static void
append_escaped(mb_xml_writer *xml, const char *text, bool attribute)
{
	size_t n;

	for (; *text != '\0' && xml->status == MB_XML_OK; text += n)
	{
		uint32_t c = next_character(text, &n);
		const char *escaped = entity(c, attribute);

		if (c == NOT_UTF8)
			fail(xml, MB_XML_ENCODING);
		else if (escaped != NULL)
			append_ascii(xml, escaped);
		else if (xml_character(c))
			append(xml, text, n, c > 0xFFFF ? 2 : 1);
	}
}

void
mb_xml_begin(mb_xml_writer *xml, char *buffer, size_t capacity, size_t max_characters)
{
	memset(xml, 0, sizeof(*xml));
	xml->buffer = buffer;
	xml->capacity = capacity;
	xml->max_characters = max_characters;
	append_ascii(xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
}

/* Ends a start tag that still takes attributes. */
static void
end_tag(mb_xml_writer *xml)
{
	if (xml->in_tag)
		append_ascii(xml, ">");
	xml->in_tag = false;
}

void
mb_xml_open(mb_xml_writer *xml, const char *element)
{
	if (xml->depth == MB_XML_MAX_DEPTH)
	{
		fail(xml, MB_XML_STRUCTURE);
		return;
	}
	end_tag(xml);
	append_ascii(xml, "<");
	append_ascii(xml, element);
	xml->open[xml->depth++] = element;
	xml->in_tag = true;
}

void
mb_xml_attribute(mb_xml_writer *xml, const char *name, const char *value)
{
	if (!xml->in_tag)
	{
		fail(xml, MB_XML_STRUCTURE);
		return;
	}
	append_ascii(xml, " ");
	append_ascii(xml, name);
	append_ascii(xml, "=\"");
	append_escaped(xml, value, true);
	append_ascii(xml, "\"");
}

void
mb_xml_attribute_int(mb_xml_writer *xml, const char *name, int value)
{
	char digits[12];

	(void) snprintf(digits, sizeof(digits), "%d", value);
	mb_xml_attribute(xml, name, digits);
}

void
mb_xml_text(mb_xml_writer *xml, const char *text)
{
	if (xml->depth == 0)
	{
		fail(xml, MB_XML_STRUCTURE);
		return;
	}
	end_tag(xml);
	append_escaped(xml, text, false);
}

void
mb_xml_close(mb_xml_writer *xml)
{
	if (xml->depth == 0)
	{
		fail(xml, MB_XML_STRUCTURE);
		return;
	}
	xml->depth--;
	if (xml->in_tag)
	{
		append_ascii(xml, "/>");
		xml->in_tag = false;
		return;
	}
	append_ascii(xml, "</");
	append_ascii(xml, xml->open[xml->depth]);
	append_ascii(xml, ">");
}

const char *
mb_xml_innermost(const mb_xml_writer *xml)
{
	return xml->depth > 0 ? xml->open[xml->depth - 1] : NULL;
}

mb_xml_status
mb_xml_end(mb_xml_writer *xml, size_t *length)
{
	if (xml->depth != 0)
		fail(xml, MB_XML_STRUCTURE);
	if (xml->status != MB_XML_OK)
		xml->length = 0;
	if (xml->capacity > 0)
		xml->buffer[xml->length] = '\0';
	*length = xml->length;
	return xml->status;
}
