/*
 * at_caller.c
 *	  Who calls, from what modems say of it; see at.h.
 */
#include "core/modem/at.h"

#include <string.h>

#include "core/text/hex.h"
#include "core/text/utf8.h"

#define FIELDS 8

/* A part of a line. */
typedef struct field
{
	const char *text;
	size_t length;
} field;

/* The fields behind the colon, without their quotes; returns how many there are, at most FIELDS. */
static size_t
split(const char *line, field fields[FIELDS])
{
	const char *at = strchr(line, ':');
	size_t n = 0;

	memset(fields, 0, FIELDS * sizeof(*fields));
	for (size_t i = 0; i < FIELDS; i++)
		fields[i].text = "";
	if (at == NULL)
		return 0;
	do
	{
		const char *end;

		at++;
		at += strspn(at, " ");
		if (*at == '"')
		{
			end = strchr(++at, '"');
			end = end != NULL ? end : at + strlen(at);
		}
		else
		{
			end = at + strcspn(at, ",");
			while (end > at && end[-1] == ' ')
				end--;
		}
		fields[n].text = at;
		fields[n++].length = (size_t) (end - at);
		at = end + strcspn(end, ",");
	} while (*at == ',' && n < FIELDS);
	return n;
}

static bool
of_number(uint32_t c)
{
	return (c >= '0' && c <= '9') || c == '+' || c == '*' || c == '#';
}

/* Four hexadecimal digits; MB_NOT_UTF8 for anything else. */
static uint32_t
unit_at(const char *text)
{
	uint32_t unit = 0;

	for (int i = 0; i < 4; i++)
	{
		int digit = mb_hex_value(text[i]);

		if (digit < 0)
			return MB_NOT_UTF8;
		unit = unit << 4 | (uint32_t) digit;
	}
	return unit;
}

/* UCS-2 in hexadecimal digits as UTF-8; false when it is none that somebody would send. */
static bool
from_ucs2(const char *text, size_t n, bool number, char *out, size_t space)
{
	size_t length = 0;

	if (n == 0 || n % 4 != 0)
		return false;
	for (size_t i = 0; i < n; i += 4)
	{
		uint32_t c = unit_at(text + i);
		char bytes[4];
		size_t size;

		if (c == MB_NOT_UTF8 || c < ' ' || (c >= 0xD800 && c <= 0xDFFF) ||
			(number && !of_number(c)))
			return false;
		size = mb_utf8_put(bytes, c);
		if (length + size > space)
			break;
		memcpy(out + length, bytes, size);
		length += size;
	}
	out[length] = '\0';
	return true;
}

static void
take_number(const char *text, size_t n, char number[MB_AT_NUMBER + 1])
{
	size_t length = 0;

	/* "0049…" is a number, "00340039" is one in UCS-2: no real one reads as digits both ways */
	if (from_ucs2(text, n, true, number, MB_AT_NUMBER))
		return;
	for (size_t i = 0; i < n && length < MB_AT_NUMBER; i++)
	{
		if (of_number((unsigned char) text[i]))
			number[length++] = text[i];
	}
	number[length] = '\0';
}

static void
take_name(const char *text, size_t n, char name[MB_AT_NAME + 1])
{
	bool letters = false;

	/* "BEEF" is a name: only what begins with an ASCII letter in UCS-2 or has eight digits is taken for it */
	for (size_t i = 0; i < n; i++)
		letters = letters || mb_hex_value(text[i]) < 0;
	if (!letters && n >= 8 && from_ucs2(text, n, false, name, MB_AT_NAME))
		return;
	n = n < MB_AT_NAME ? n : MB_AT_NAME;
	memcpy(name, text, n);
	name[n] = '\0';
}

/* What stands behind the equals sign, without blanks. */
static field
value_of(const char *line)
{
	field value;

	value.text = strchr(line, '=') + 1;
	value.text += strspn(value.text, " ");
	value.length = strlen(value.text);
	return value;
}

void
mb_at_caller(const mb_at_event *event, mb_at_caller_id *caller)
{
	field fields[FIELDS];
	field value;

	switch (event->kind)
	{
		case MB_AT_CLIP:
		case MB_AT_CCWA:
			memset(caller, 0, sizeof(*caller));
			split(event->text, fields);
			take_number(fields[0].text, fields[0].length, caller->number);
			if (event->kind == MB_AT_CLIP)
			{
				take_name(fields[4].text, fields[4].length, caller->name);
				caller->withheld = fields[5].length == 1 && fields[5].text[0] == '1';
			}
			else
				take_name(fields[3].text, fields[3].length, caller->name);
			break;
		case MB_AT_NUMBER_OF:
			value = value_of(event->text);
			caller->number[0] = '\0';
			caller->withheld = strcmp(value.text, "P") == 0 || strcmp(value.text, "PRIVATE") == 0;
			if (!caller->withheld)
				take_number(value.text, value.length, caller->number);
			break;
		case MB_AT_NAME_OF:
			value = value_of(event->text);
			take_name(value.text, value.length, caller->name);
			break;
		default:
			break;
	}
}

/* A number of one or two digits, or -1. */
static int
small(const field *field)
{
	int number = 0;

	if (field->length == 0 || field->length > 2)
		return -1;
	for (size_t i = 0; i < field->length; i++)
	{
		if (field->text[i] < '0' || field->text[i] > '9')
			return -1;
		number = number * 10 + (field->text[i] - '0');
	}
	return number;
}

bool
mb_at_call_of(const mb_at_event *event, mb_at_call *call)
{
	field fields[FIELDS];
	size_t n = split(event->text, fields);
	int direction = small(&fields[1]);
	int state = small(&fields[2]);
	int mode = small(&fields[3]);

	memset(call, 0, sizeof(*call));
	call->id = small(&fields[0]);
	if (event->kind != MB_AT_CALL || n < 4 || call->id < 0 || direction < 0 || direction > 1 ||
		state < 0 || state > MB_AT_CALL_WAITING || mode < 0)
		return false;
	call->incoming = direction == 1;
	call->state = (mb_at_call_state) state;
	call->voice = mode == 0;
	take_number(fields[5].text, fields[5].length, call->caller.number);
	take_name(fields[7].text, fields[7].length, call->caller.name);
	return true;
}
