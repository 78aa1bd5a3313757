/*
 * fields_body.c
 *	  The JSON body and the query of a request, of which fields are taken.
 */
#include "fields.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/text/utf8.h"
#include "core/web/form.h"

#define MAX_IN_QUERY 64

/* What Python's parser says where jansson says this. */
static const char *
as_python(const char *text)
{
	static const struct
	{
		const char *ours;
		const char *theirs;
	} sentences[] = {
		{ "string or '}' expected", "Expecting property name enclosed in double quotes" },
		{ "':' expected", "Expecting ':' delimiter" },
		{ "'}' expected", "Expecting ',' delimiter" },
		{ "']' expected", "Expecting ',' delimiter" },
		{ "end of file expected", "Extra data" },
		{ "control character", "Invalid control character at" },
		{ "unexpected newline", "Invalid control character at" },
		{ "invalid escape", "Invalid \\escape" },
		{ "invalid Unicode", "Invalid \\uXXXX escape" },
		{ "premature end of input", "Unterminated string starting at" },
		{ "too big", "Number out of range" },
		{ "overflow", "Number out of range" },
	};

	for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++)
	{
		if (strncmp(text, sentences[i].ours, strlen(sentences[i].ours)) == 0 ||
			(i >= 5 && strstr(text, sentences[i].ours) != NULL))
			return sentences[i].theirs;
	}
	return "Expecting value";
}

/* The place that the parser stands at, without the token that it has just read. */
static size_t
place_of(const json_error_t *error)
{
	const char *near = strstr(error->text, " near '");
	size_t at = error->position < 0 ? 0 : (size_t) error->position;
	size_t n;

	if (near == NULL)
		return at;
	n = strlen(near + 7);
	n -= n > 0;
	return n <= at ? at - n : 0;
}

static void
tell_bad_json(gw_fields *fields, http_text body, const json_error_t *error)
{
	const char *why = as_python(error->text);
	size_t at = place_of(error);
	bool minus =
		at < body.length && body.length - at >= 9 && memcmp(body.data + at, "-Infinity", 9) == 0;

	if (json_error_code(error) == json_error_invalid_utf8)
	{
		gw_fields_refuse_all(fields, 400, "There was an error parsing the body");
		return;
	}
	if (minus || strstr(error->text, "NaN") != NULL || strstr(error->text, "Infinity") != NULL)
	{
		gw_fields_refuse_all(fields, 400, "NaN and Infinity are no numbers of JSON");
		return;
	}
	fields->status = 422;
	program_text_printf(&fields->error,
						"{\"detail\":[{\"type\":\"json_invalid\",\"loc\":[\"body\",%zu],", at);
	program_text_puts(&fields->error,
					  "\"msg\":\"JSON decode error\",\"input\":{},\"ctx\":{\"error\":");
	program_text_json(&fields->error, why, strlen(why));
	program_text_puts(&fields->error, "}}");
}

/* Without a type as well. */
bool
gw_fields_may_begin(const http_request *request)
{
	http_text type = http_request_header(request, "Content-Type");
	size_t n = 0;

	if (type.data == NULL)
		return true;
	while (n < type.length && type.data[n] != ';')
		n++;
	while (n > 0 && (type.data[n - 1] == ' ' || type.data[n - 1] == '\t'))
		n--;
	if (n < 16 || strncasecmp(type.data, "application/", 12) != 0)
		return false;
	return (n == 16 && strncasecmp(type.data + 12, "json", 4) == 0) ||
		   (n > 17 && strncasecmp(type.data + n - 5, "+json", 5) == 0);
}

bool
gw_fields_begin(gw_fields *fields, const http_request *request)
{
	http_text body = http_request_body(request);
	json_error_t error;
	json_t *input;

	json_decref(fields->values);
	fields->values = NULL;
	fields->in_query = false;
	if (body.length == 0)
	{
		gw_fields_add_error(fields, "missing", NULL, "Field required", NULL, NULL);
		return false;
	}
	if (!gw_fields_may_begin(request))
	{
		input = json_stringn(body.data, body.length < 1000 ? body.length : 1000);
		gw_fields_add_error(fields, "model_attributes_type", NULL,
							"Input should be a valid dictionary or object to extract fields from",
							input, NULL);
		json_decref(input);
		return false;
	}
	fields->values = json_loadb(body.data, body.length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	if (fields->values == NULL)
	{
		tell_bad_json(fields, body, &error);
		return false;
	}
	if (!json_is_object(fields->values))
	{
		if (json_is_null(fields->values))
			gw_fields_add_error(fields, "missing", NULL, "Field required", NULL, NULL);
		else
			gw_fields_add_error(
				fields, "model_attributes_type", NULL,
				"Input should be a valid dictionary or object to extract fields from",
				fields->values, NULL);
		return false;
	}
	return true;
}

/* One more value of a query; false without memory. */
static bool
add_value(json_t *values, const mb_form_field *field)
{
	json_t *value = json_stringn(field->value, field->value_length);
	json_t *there = json_object_getn(values, field->name, field->name_length);
	json_t *list;

	if (value == NULL)
		return false;
	if (there == NULL)
		return json_object_setn_new(values, field->name, field->name_length, value) == 0;
	if (json_is_array(there))
		return json_array_append_new(there, value) == 0;
	list = json_array();
	if (list == NULL || json_array_append(list, there) != 0 ||
		json_array_append_new(list, value) != 0)
	{
		json_decref(list);
		return false;
	}
	return json_object_setn_new(values, field->name, field->name_length, list) == 0;
}

bool
gw_fields_begin_query(gw_fields *fields, const http_request *request)
{
	http_text query = http_request_query(request);
	mb_form_field found[MAX_IN_QUERY];
	char *storage = malloc(query.length + 1);
	size_t n = 0;

	json_decref(fields->values);
	fields->values = json_object();
	fields->in_query = true;
	if (storage == NULL || fields->values == NULL)
		gw_fields_refuse_all(fields, 503, "Out of memory");
	else if (mb_form_parse(query.data, query.length, storage, found, MAX_IN_QUERY, &n) != MB_OK)
		gw_fields_refuse_all(fields, 400, "The query has too many parts");
	for (size_t i = 0; i < n && fields->status == 0; i++)
	{
		if (mb_utf8_prefix(found[i].name, found[i].name_length) != found[i].name_length ||
			mb_utf8_prefix(found[i].value, found[i].value_length) != found[i].value_length ||
			memchr(found[i].name, '\0', found[i].name_length) != NULL ||
			memchr(found[i].value, '\0', found[i].value_length) != NULL)
			gw_fields_refuse_all(fields, 400, "The query is not UTF-8 in percent-encoding");
		else if (!add_value(fields->values, &found[i]))
			gw_fields_refuse_all(fields, 503, "Out of memory");
	}
	free(storage);
	return fields->status == 0;
}
