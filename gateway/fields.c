/*
 * fields.c
 *	  Takes the fields of a JSON body as FastAPI 0.109 with pydantic 2.5 does.
 */
#include "fields.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Of an answer that refuses: what it repeats of the body comes to no more, however much is wrong with how much. */
#define MAX_REPEATED 65536

#define URL "https://errors.pydantic.dev/2.5/v/"

/* The answer that refuses all of it. */
static void
refuse(gw_fields *fields, int status, const char *detail)
{
	fields->status = status;
	fields->error.length = 0;
	gw_text_puts(&fields->error, "{\"detail\":");
	gw_text_json(&fields->error, detail, strlen(detail));
	gw_text_puts(&fields->error, "}");
}

/* One more entry of the list; name NULL: the body as a whole; input NULL: null; context: members of ctx or NULL. */
static void
add_error(gw_fields *fields, const char *type, const char *name, const char *message,
		  const json_t *input, const char *context)
{
	gw_text *text = &fields->error;
	char *dump;

	if (fields->status != 0 && fields->status != 422)
		return;
	gw_text_puts(text, fields->status == 0 ? "{\"detail\":[" : ",");
	fields->status = 422;
	gw_text_printf(text, "{\"type\":\"%s\",\"loc\":[\"body\"", type);
	if (name != NULL)
		gw_text_printf(text, ",\"%s\"", name);
	gw_text_puts(text, "],\"msg\":");
	gw_text_json(text, message, strlen(message));
	dump = input == NULL
			   ? NULL
			   : json_dumps(input, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
	gw_text_printf(text, ",\"input\":%s",
				   dump == NULL || text->length + strlen(dump) > MAX_REPEATED ? "null" : dump);
	free(dump);
	if (context != NULL)
		gw_text_printf(text, ",\"ctx\":{%s}", context);
	gw_text_printf(text, ",\"url\":\"" URL "%s\"}", type);
}

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
		refuse(fields, 400, "There was an error parsing the body");
		return;
	}
	if (minus || strstr(error->text, "NaN") != NULL || strstr(error->text, "Infinity") != NULL)
	{
		refuse(fields, 400, "NaN and Infinity are no numbers of JSON");
		return;
	}
	fields->status = 422;
	gw_text_printf(&fields->error,
				   "{\"detail\":[{\"type\":\"json_invalid\",\"loc\":[\"body\",%zu],", at);
	gw_text_puts(&fields->error, "\"msg\":\"JSON decode error\",\"input\":{},\"ctx\":{\"error\":");
	gw_text_json(&fields->error, why, strlen(why));
	gw_text_puts(&fields->error, "}}");
}

/* Whether the body is to be taken for JSON: without a type as well. */
static bool
is_json(http_text type)
{
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

	if (body.length == 0)
	{
		add_error(fields, "missing", NULL, "Field required", NULL, NULL);
		return false;
	}
	if (!is_json(http_request_header(request, "Content-Type")))
	{
		input = json_stringn(body.data, body.length < 1000 ? body.length : 1000);
		add_error(fields, "model_attributes_type", NULL,
				  "Input should be a valid dictionary or object to extract fields from", input,
				  NULL);
		json_decref(input);
		return false;
	}
	fields->body = json_loadb(body.data, body.length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	if (fields->body == NULL)
	{
		tell_bad_json(fields, body, &error);
		return false;
	}
	if (!json_is_object(fields->body))
	{
		if (json_is_null(fields->body))
			add_error(fields, "missing", NULL, "Field required", NULL, NULL);
		else
			add_error(fields, "model_attributes_type", NULL,
					  "Input should be a valid dictionary or object to extract fields from",
					  fields->body, NULL);
		return false;
	}
	return true;
}

/* The value of a required field; NULL, and it is told, without one. */
static const json_t *
required(gw_fields *fields, const char *name)
{
	const json_t *value = json_object_get(fields->body, name);

	if (value == NULL)
		add_error(fields, "missing", name, "Field required", fields->body, NULL);
	return value;
}

/* Without the white space around it; false when it is too long to be a number. */
static bool
strip(const json_t *string, char number[64])
{
	const char *text = json_string_value(string);
	size_t n = json_string_length(string);

	while (n > 0 && isspace((unsigned char) text[n - 1]))
		n--;
	while (n > 0 && isspace((unsigned char) *text))
	{
		text++;
		n--;
	}
	if (n == 0 || n >= 64 || memchr(text, '\0', n) != NULL)
		return false;
	memcpy(number, text, n);
	number[n] = '\0';
	return true;
}

/* Digits with a sign, and zeros behind a point: what pydantic takes a string of for an integer. */
static bool
integer_of_string(const json_t *string, int64_t *value)
{
	char number[64];
	char *end;

	if (!strip(string, number) ||
		!(isdigit((unsigned char) number[0]) ||
		  ((number[0] == '-' || number[0] == '+') && isdigit((unsigned char) number[1]))))
		return false;
	errno = 0;
	*value = strtoll(number, &end, 10);
	if (*end == '.')
	{
		if (end[1] == '\0')
			return false;
		end += 1 + strspn(end + 1, "0");
	}
	return *end == '\0';
}

int64_t
gw_fields_integer(gw_fields *fields, const char *name, int64_t least, bool as_gt, int64_t most)
{
	const json_t *value = required(fields, name);
	int64_t number = 0;
	char message[80];
	char context[40];

	if (value == NULL)
		return 0;
	if (json_is_integer(value))
		number = json_integer_value(value);
	else if (json_is_boolean(value))
		number = json_is_true(value);
	else if (json_is_real(value))
	{
		double real = json_real_value(value);

		if (real != trunc(real))
		{
			add_error(fields, "int_from_float", name,
					  "Input should be a valid integer, got a number with a fractional part", value,
					  NULL);
			return 0;
		}
		number = real > 9e18 ? INT64_MAX : real < -9e18 ? INT64_MIN : (int64_t) real;
	}
	else if (!json_is_string(value))
	{
		add_error(fields, "int_type", name, "Input should be a valid integer", value, NULL);
		return 0;
	}
	else if (!integer_of_string(value, &number))
	{
		add_error(fields, "int_parsing", name,
				  "Input should be a valid integer, unable to parse string as an integer", value,
				  NULL);
		return 0;
	}
	if (number < least)
	{
		snprintf(message, sizeof(message), "Input should be greater than %s%lld",
				 as_gt ? "" : "or equal to ", (long long) least - as_gt);
		snprintf(context, sizeof(context), "\"%s\":%lld", as_gt ? "gt" : "ge",
				 (long long) least - as_gt);
		add_error(fields, as_gt ? "greater_than" : "greater_than_equal", name, message, value,
				  context);
		return 0;
	}
	if (number > most)
	{
		snprintf(message, sizeof(message), "Input should be less than or equal to %lld",
				 (long long) most);
		snprintf(context, sizeof(context), "\"le\":%lld", (long long) most);
		add_error(fields, "less_than_equal", name, message, value, context);
		return 0;
	}
	return number;
}

double
gw_fields_positive(gw_fields *fields, const char *name)
{
	const json_t *value = required(fields, name);
	char text[64];
	char *end;
	double number;

	if (value == NULL)
		return 0;
	if (json_is_number(value))
		number = json_number_value(value);
	else if (json_is_boolean(value))
		number = json_is_true(value);
	else if (!json_is_string(value))
	{
		add_error(fields, "float_type", name, "Input should be a valid number", value, NULL);
		return 0;
	}
	else
	{
		/* no hexadecimal numbers, which strtod() takes */
		number = !strip(value, text) || strpbrk(text, "xX") != NULL ? NAN : strtod(text, &end);
		if (isinf(number) ||
			(isnan(number) && strip(value, text) && strcasestr(text, "nan") != NULL))
		{
			refuse(fields, 400, "NaN and Infinity are no numbers of JSON");
			return 0;
		}
		if (isnan(number) || *end != '\0')
		{
			add_error(fields, "float_parsing", name,
					  "Input should be a valid number, unable to parse string as a number", value,
					  NULL);
			return 0;
		}
	}
	if (!(number > 0))
		add_error(fields, "greater_than", name, "Input should be greater than 0", value,
				  "\"gt\":0.0");
	return number;
}

const char *
gw_fields_string(gw_fields *fields, const char *name, size_t *length)
{
	const json_t *value = required(fields, name);

	*length = 0;
	if (value == NULL)
		return "";
	if (!json_is_string(value))
	{
		add_error(fields, "string_type", name, "Input should be a valid string", value, NULL);
		return "";
	}
	*length = json_string_length(value);
	if (*length == 0)
		add_error(fields, "string_too_short", name, "String should have at least 1 character",
				  value, "\"min_length\":1");
	return json_string_value(value);
}

const char *
gw_fields_optional(gw_fields *fields, const char *name)
{
	const json_t *value = json_object_get(fields->body, name);

	if (value == NULL || json_is_null(value))
		return NULL;
	if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
	{
		add_error(fields, "string_type", name, "Input should be a valid string", value, NULL);
		return NULL;
	}
	return json_string_value(value);
}

void
gw_fields_refuse(gw_fields *fields, const char *name, const char *why)
{
	char message[200];
	gw_text context = { 0 };

	snprintf(message, sizeof(message), "Value error, %s", why);
	gw_text_puts(&context, "\"error\":");
	gw_text_json(&context, why, strlen(why));
	add_error(fields, "value_error", name, message, json_object_get(fields->body, name),
			  context.failed ? NULL : context.data);
	gw_text_free(&context);
}

bool
gw_fields_end(gw_fields *fields)
{
	if (fields->status == 0)
		return true;
	if (fields->status == 422)
		gw_text_puts(&fields->error, "]}");
	return false;
}

void
gw_fields_free(gw_fields *fields)
{
	json_decref(fields->body);
	gw_text_free(&fields->error);
	*fields = (gw_fields){ 0 };
}
