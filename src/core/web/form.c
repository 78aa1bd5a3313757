/*
 * form.c
 *	  Reads application/x-www-form-urlencoded text; see form.h.
 */
#include "core/web/form.h"

#include <string.h>

#include "core/text/hex.h"

/* Decodes n bytes to "to"; returns how many came out. */
static size_t
decode(const char *text, size_t n, char *to)
{
	size_t length = 0;

	for (size_t i = 0; i < n; i++)
	{
		char c = text[i];

		if (c == '+')
			c = ' ';
		else if (c == '%' && n - i > 2)
		{
			int high = mb_hex_value(text[i + 1]);
			int low = mb_hex_value(text[i + 2]);

			if (high >= 0 && low >= 0)
			{
				c = (char) (high * 16 + low);
				i += 2;
			}
		}
		to[length++] = c;
	}
	return length;
}

mb_status
mb_form_parse(const char *text, size_t n, char *storage, mb_form_field *fields, size_t max_fields,
			  size_t *n_fields)
{
	const char *end = text + n;

	*n_fields = 0;
	for (const char *at = text; at < end;)
	{
		const char *stop = memchr(at, '&', end - at);
		const char *equals;
		mb_form_field *field;

		if (stop == NULL)
			stop = end;
		if (stop == at)
		{
			at = stop + 1;
			continue;
		}
		if (*n_fields == max_fields)
			return MB_ERR_SPACE;
		field = &fields[(*n_fields)++];
		equals = memchr(at, '=', stop - at);
		if (equals == NULL)
			equals = stop;

		field->name = storage;
		field->name_length = decode(at, equals - at, storage);
		storage += field->name_length;
		field->value = storage;
		field->value_length = equals < stop ? decode(equals + 1, stop - equals - 1, storage) : 0;
		storage += field->value_length;
		at = stop < end ? stop + 1 : end;
	}
	return MB_OK;
}

bool
mb_form_field_is(const mb_form_field *field, const char *name)
{
	return field->name_length == strlen(name) && memcmp(field->name, name, field->name_length) == 0;
}
