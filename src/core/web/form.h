/*
 * form.h
 *	  Reads application/x-www-form-urlencoded text: bodies of webhooks and query strings (URL
 *	  Standard, section 5.1).
 *
 * Bytes are taken as they come; whether they are UTF-8 is for the caller.
 */
#ifndef MB_FORM_H
#define MB_FORM_H

#include "core/mb.h"

/* A decoded name and value; not NUL-terminated, and NULs may be within. */
typedef struct mb_form_field
{
	const char *name;
	size_t name_length;
	const char *value;
	size_t value_length;
} mb_form_field;

/*
 * Decodes n bytes into fields, in their order, repeated names included.  storage holds what is
 * decoded and the fields point into it: n bytes are enough.  '+' is a space, %XX a byte, a % that
 * two hex digits do not follow stays; a name without '=' has an empty value; empty
 * stretches between '&' are passed over.
 *
 * MB_ERR_SPACE when there are more than max_fields: *n_fields is then max_fields.
 */
extern mb_status mb_form_parse(const char *text, size_t n, char *storage, mb_form_field *fields,
							   size_t max_fields, size_t *n_fields);

/* True when the field has this name, a NUL-terminated one. */
extern bool mb_form_field_is(const mb_form_field *field, const char *name);

#endif /* MB_FORM_H */
