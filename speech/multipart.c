/*
 * multipart.c
 *	  Multipart bodies by way of libmicrohttpd's post processor; see multipart.h.
 */
#include "multipart.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Longest boundary, RFC 2046 section 5.1.1. */
#define MAX_BOUNDARY 70

/* The post processor's own buffer. */
#define PROCESSOR_BUFFER 8192

struct speech_form
{
	struct MHD_PostProcessor *processor;
	speech_form_status status;
	bool begun; /* there were bytes */
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
static bool
append(speech_form_part *part, const char *data, size_t n)
{
	if (!speech_buffer_reserve(&part->value, n + 1))
		return false;
	if (n > 0)
		memcpy(part->value.data + part->value.size, data, n);
	part->value.size += n;
	part->value.data[part->value.size] = '\0';
	return true;
}

/* Called by the post processor with each piece of a part; offset 0 begins one. */
static enum MHD_Result
take_piece(void *cls, enum MHD_ValueKind kind, const char *name, const char *filename,
		   const char *content_type, const char *transfer_encoding, const char *data,
		   uint64_t offset, size_t n)
{
	speech_form *form = cls;
	speech_form_part *part;

	(void) kind;
	(void) content_type;
	(void) transfer_encoding;
	if (name == NULL)
	{
		form->status = SPEECH_FORM_MALFORMED;
		return MHD_NO;
	}
	/* a piece of no bytes may come first */
	part = form->n_parts > 0 ? &form->parts[form->n_parts - 1] : NULL;
	if (offset == 0 && !(part != NULL && part->value.size == 0 && strcmp(part->name, name) == 0))
	{
		if (form->n_parts == SPEECH_FORM_MAX_PARTS)
			form->status = SPEECH_FORM_TOO_MANY;
		else if (strlen(name) > SPEECH_FORM_MAX_NAME)
			form->status = SPEECH_FORM_TOO_LONG;
		if (form->status != SPEECH_FORM_OK)
			return MHD_NO;
		part = &form->parts[form->n_parts++];
		memcpy(part->name, name, strlen(name) + 1);
		part->is_file = filename != NULL;
	}
	if (part == NULL)
		return MHD_NO;
	if (!part->is_file && part->value.size + n > SPEECH_FORM_MAX_VALUE)
		form->status = SPEECH_FORM_TOO_LONG;
	else if (!append(part, data, n))
		form->status = SPEECH_FORM_NO_MEMORY;
	return form->status == SPEECH_FORM_OK ? MHD_YES : MHD_NO;
}

/* Whether a Content-Type is multipart/form-data with a boundary of 1 to 70 characters, a single one in quotes. */
static bool
has_boundary(const char *content_type)
{
	static const char form_data[] = "multipart/form-data";
	const char *boundary;
	size_t length;

	if (content_type == NULL || strncasecmp(content_type, form_data, sizeof(form_data) - 1) != 0 ||
		strchr(" \t;", content_type[sizeof(form_data) - 1]) == NULL)
		return false;
	boundary = strcasestr(content_type, "boundary=");
	if (boundary == NULL)
		return false;
	boundary += strlen("boundary=");
	/* libmicrohttpd counts the quotes, and takes no boundary of one byte */
	if (*boundary != '"')
		return strlen(boundary) >= 2 && (length = strcspn(boundary, "; \t")) >= 1 &&
			   length <= MAX_BOUNDARY;
	length = strcspn(++boundary, "\"");
	return length >= 1 && length <= MAX_BOUNDARY;
}

speech_form *
speech_form_begin(struct MHD_Connection *connection)
{
	speech_form *form;

	if (!has_boundary(
			MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE)))
		return NULL;
	form = calloc(1, sizeof(*form));
	if (form == NULL)
		return NULL;
	form->processor = MHD_create_post_processor(connection, PROCESSOR_BUFFER, take_piece, form);
	if (form->processor == NULL)
	{
		free(form);
		return NULL;
	}
	return form;
}

speech_form_status
speech_form_feed(speech_form *form, const char *data, size_t n)
{
	form->begun = true;
	if (form->status == SPEECH_FORM_OK && MHD_post_process(form->processor, data, n) != MHD_YES &&
		form->status == SPEECH_FORM_OK)
		form->status = SPEECH_FORM_MALFORMED;
	return form->status;
}

speech_form_status
speech_form_end(speech_form *form)
{
	enum MHD_Result whole = MHD_destroy_post_processor(form->processor);

	form->processor = NULL;
	/* the post processor takes a body without any boundary for a long preamble */
	if ((whole != MHD_YES || (form->begun && form->n_parts == 0)) && form->status == SPEECH_FORM_OK)
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
	if (form->processor != NULL)
		MHD_destroy_post_processor(form->processor);
	for (int i = 0; i < form->n_parts; i++)
		speech_buffer_free(&form->parts[i].value);
	free(form);
}
