/*
 * multipart.c
 *	  The parts of a form, collected; see multipart.h.
 */
#include "multipart.h"

#include <stdlib.h>
#include <string.h>

struct speech_form
{
	mb_multipart multipart;
	speech_form_status status;
	int n_parts;
	speech_form_part parts[SPEECH_FORM_MAX_PARTS];
};

const char *
speech_form_message(speech_form_status status)
{
	switch (status)
	{
		case SPEECH_FORM_OK:
			return "the form is in order";
		case SPEECH_FORM_MALFORMED:
			return "the body is not a complete multipart/form-data body with the announced "
				   "boundary";
		case SPEECH_FORM_TOO_MANY:
			return "the form has too many fields";
		case SPEECH_FORM_TOO_LONG:
			return "a name or a value in the form is too long";
		case SPEECH_FORM_NO_MEMORY:
			return "out of memory";
	}
	return "unknown form status";
}

/* Appends a piece to a part and keeps a NUL behind it. */
static speech_form_status
append(speech_form_part *part, const char *data, size_t n)
{
	if (!part->is_file && part->value.size + n > SPEECH_FORM_MAX_VALUE)
		return SPEECH_FORM_TOO_LONG;
	if (!speech_buffer_reserve(&part->value, n + 1))
		return SPEECH_FORM_NO_MEMORY;
	if (n > 0)
		memcpy(part->value.data + part->value.size, data, n);
	part->value.size += n;
	part->value.data[part->value.size] = '\0';
	return SPEECH_FORM_OK;
}

/* Another part begins. */
static speech_form_status
add_part(speech_form *form)
{
	speech_form_part *part;

	if (form->n_parts == SPEECH_FORM_MAX_PARTS)
		return SPEECH_FORM_TOO_MANY;
	part = &form->parts[form->n_parts++];
	memcpy(part->name, form->multipart.name, sizeof(part->name));
	part->is_file = form->multipart.is_file;
	return append(part, NULL, 0);
}

speech_form *
speech_form_begin(const char *content_type, size_t n)
{
	speech_form *form = calloc(1, sizeof(*form));

	if (form == NULL || mb_multipart_begin(&form->multipart, content_type, n) == MB_OK)
		return form;
	free(form);
	return NULL;
}

speech_form_status
speech_form_feed(speech_form *form, const char *data, size_t n)
{
	for (size_t at = 0; form->status == SPEECH_FORM_OK;)
	{
		const char *piece;
		size_t used;
		size_t length;

		switch (mb_multipart_feed(&form->multipart, data + at, n - at, &used, &piece, &length))
		{
			case MB_MULTIPART_MORE:
				return SPEECH_FORM_OK;
			case MB_MULTIPART_PART:
				form->status = add_part(form);
				break;
			case MB_MULTIPART_DATA:
				form->status = append(&form->parts[form->n_parts - 1], piece, length);
				break;
			case MB_MULTIPART_REFUSED:
				form->status = form->multipart.status == MB_ERR_SPACE ? SPEECH_FORM_TOO_LONG
																	  : SPEECH_FORM_MALFORMED;
				break;
		}
		at += used;
	}
	return form->status;
}

speech_form_status
speech_form_end(speech_form *form)
{
	if (form->status == SPEECH_FORM_OK && !mb_multipart_whole(&form->multipart))
		form->status = SPEECH_FORM_MALFORMED;
	return form->status;
}

int
speech_form_count(const speech_form *form)
{
	return form->n_parts;
}

const speech_form_part *
speech_form_part_at(const speech_form *form, int i)
{
	return &form->parts[i];
}

void
speech_form_free(speech_form *form)
{
	if (form == NULL)
		return;
	for (int i = 0; i < form->n_parts; i++)
		speech_buffer_free(&form->parts[i].value);
	free(form);
}
