/*
 * text.c
 *	  Text that grows, and JSON written into it.
 */
#include "text.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
program_text_free(program_text *text)
{
	free(text->data);
	*text = (program_text){ 0 };
}

static bool
make_room(program_text *text, size_t n)
{
	size_t room = text->room == 0 ? 256 : text->room;
	char *data;

	if (text->failed)
		return false;
	if (text->room - text->length > n)
		return true;
	while (room - text->length <= n)
		room *= 2;
	data = realloc(text->data, room);
	if (data == NULL)
	{
		text->failed = true;
		return false;
	}
	text->data = data;
	text->room = room;
	return true;
}

void
program_text_add(program_text *text, const void *bytes, size_t n)
{
	if (!make_room(text, n))
		return;
	if (n > 0)
		memcpy(text->data + text->length, bytes, n);
	text->length += n;
	text->data[text->length] = '\0';
}

void
program_text_puts(program_text *text, const char *string)
{
	program_text_add(text, string, strlen(string));
}

void
program_text_printf(program_text *text, const char *format, ...)
{
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(NULL, 0, format, list);
	va_end(list);
	if (n < 0 || !make_room(text, (size_t) n))
		return;
	va_start(list, format);
	vsnprintf(text->data + text->length, (size_t) n + 1, format, list);
	va_end(list);
	text->length += (size_t) n;
}

void
program_text_json(program_text *text, const char *bytes, size_t n)
{
	size_t done = 0;

	program_text_add(text, "\"", 1);
	for (size_t i = 0; i < n; i++)
	{
		unsigned char c = (unsigned char) bytes[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		program_text_add(text, bytes + done, i - done);
		done = i + 1;
		switch (c)
		{
			case '"':
				program_text_puts(text, "\\\"");
				break;
			case '\\':
				program_text_puts(text, "\\\\");
				break;
			case '\n':
				program_text_puts(text, "\\n");
				break;
			case '\r':
				program_text_puts(text, "\\r");
				break;
			case '\t':
				program_text_puts(text, "\\t");
				break;
			default:
				program_text_printf(text, "\\u%04x", c);
		}
	}
	program_text_add(text, bytes + done, n - done);
	program_text_add(text, "\"", 1);
}

void
program_text_int32(program_text *text, int32_t value)
{
	uint32_t network = htonl((uint32_t) value);

	program_text_add(text, &network, sizeof(network));
}

void
program_text_int64(program_text *text, int64_t value)
{
	uint64_t network = htobe64((uint64_t) value);

	program_text_add(text, &network, sizeof(network));
}
