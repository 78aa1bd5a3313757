/*
 * xml_writer.c
 *	  Writes an XML 1.0 document into the caller's buffer; see xml_writer.h.
 */
#include "core/text/xml_writer.h"

#include "core/text/utf8.h"

#include <stdio.h>
#include <string.h>

bool
mb_xml_clean(const char *text)
{
	size_t n;

	for (; *text != '\0'; text += n)
	{
		if (!mb_xml_character(mb_utf8_next(text, &n)))
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
		uint32_t c = mb_utf8_next(text, &n);

		if (c == MB_NOT_UTF8 || (mb_xml_character(c) && c > ' '))
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
		uint32_t c = mb_utf8_next(text, &n);
		const char *escaped = entity(c, attribute);

		if (c == MB_NOT_UTF8)
			fail(xml, MB_XML_ENCODING);
		else if (escaped != NULL)
			append_ascii(xml, escaped);
		else if (mb_xml_character(c))
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
