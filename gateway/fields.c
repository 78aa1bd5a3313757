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

static const char *
place(const gw_fields *fields)
{
	return fields->in_query ? "query" : "body";
}

void
gw_fields_refuse_all(gw_fields *fields, int status, const char *detail)
{
	fields->status = status;
	fields->error.length = 0;
	program_text_puts(&fields->error, "{\"detail\":");
	program_text_json(&fields->error, detail, strlen(detail));
	program_text_puts(&fields->error, "}");
}

void
gw_fields_add_error(gw_fields *fields, const char *type, const char *name, const char *message,
					const json_t *input, const char *context)
{
	program_text *text = &fields->error;
	char *dump;

	if (fields->status != 0 && fields->status != 422)
		return;
	program_text_puts(text, fields->status == 0 ? "{\"detail\":[" : ",");
	fields->status = 422;
	program_text_printf(text, "{\"type\":\"%s\",\"loc\":[\"%s\"", type, place(fields));
	if (name != NULL)
		program_text_printf(text, ",\"%s\"", name);
	program_text_puts(text, "],\"msg\":");
	program_text_json(text, message, strlen(message));
	dump = input == NULL
			   ? NULL
			   : json_dumps(input, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
	program_text_printf(text, ",\"input\":%s",
						dump == NULL || text->length + strlen(dump) > MAX_REPEATED ? "null" : dump);
	free(dump);
	if (context != NULL)
		program_text_printf(text, ",\"ctx\":{%s}", context);
	program_text_printf(text, ",\"url\":\"" URL "%s\"}", type);
}

/* The value of a field; NULL without one, which is told if it is required. */
static const json_t *
value_of(gw_fields *fields, const char *name, bool required)
{
	const json_t *value = json_object_get(fields->values, name);

	/* of a query's values that have the same name the last one counts */
	if (fields->in_query && json_is_array(value))
		value = json_array_get(value, json_array_size(value) - 1);
	if (value == NULL && required)
		gw_fields_add_error(fields, "missing", name, "Field required",
							fields->in_query ? NULL : fields->values, NULL);
	return required || !json_is_null(value) ? value : NULL;
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

/* What an integer is, and whether it lies within the bounds; 0 when it was refused. */
static int64_t
integer_of(gw_fields *fields, const char *name, const json_t *value, int64_t least, bool as_gt,
		   int64_t most)
{
	int64_t number = 0;
	char message[80];
	char context[40];

	if (json_is_integer(value))
		number = json_integer_value(value);
	else if (json_is_boolean(value))
		number = json_is_true(value);
	else if (json_is_real(value))
	{
		double real = json_real_value(value);

		if (real != trunc(real))
		{
			gw_fields_add_error(
				fields, "int_from_float", name,
				"Input should be a valid integer, got a number with a fractional part", value,
				NULL);
			return 0;
		}
		number = real > 9e18 ? INT64_MAX : real < -9e18 ? INT64_MIN : (int64_t) real;
	}
	else if (!json_is_string(value))
	{
		gw_fields_add_error(fields, "int_type", name, "Input should be a valid integer", value,
							NULL);
		return 0;
	}
	else if (!integer_of_string(value, &number))
	{
		gw_fields_add_error(fields, "int_parsing", name,
							"Input should be a valid integer, unable to parse string as an integer",
							value, NULL);
		return 0;
	}
	if (number < least)
	{
		snprintf(message, sizeof(message), "Input should be greater than %s%lld",
				 as_gt ? "" : "or equal to ", (long long) least - as_gt);
		snprintf(context, sizeof(context), "\"%s\":%lld", as_gt ? "gt" : "ge",
				 (long long) least - as_gt);
		gw_fields_add_error(fields, as_gt ? "greater_than" : "greater_than_equal", name, message,
							value, context);
		return 0;
	}
	if (number > most)
	{
		snprintf(message, sizeof(message), "Input should be less than or equal to %lld",
				 (long long) most);
		snprintf(context, sizeof(context), "\"le\":%lld", (long long) most);
		gw_fields_add_error(fields, "less_than_equal", name, message, value, context);
		return 0;
	}
	return number;
}

bool
gw_fields_integer(gw_fields *fields, const char *name, bool required, int64_t least, bool above,
				  int64_t most, int64_t *number)
{
	const json_t *value = value_of(fields, name, required);

	if (value == NULL)
		return false;
	*number = integer_of(fields, name, value, least, above, most);
	return true;
}

/* As strtod() reads it, which takes NaN and Infinity too, but no hexadecimal numbers. */
static bool
real_of_string(const json_t *value, double *number)
{
	char text[64];
	char *end;

	if (!strip(value, text) || *text == '\0' || strpbrk(text, "xX") != NULL)
		return false;
	*number = strtod(text, &end);
	return *end == '\0';
}

double
gw_fields_positive(gw_fields *fields, const char *name)
{
	const json_t *value = value_of(fields, name, true);
	double number;

	if (value == NULL)
		return 0;
	if (json_is_number(value))
		number = json_number_value(value);
	else if (json_is_boolean(value))
		number = json_is_true(value);
	else if (!json_is_string(value))
	{
		gw_fields_add_error(fields, "float_type", name, "Input should be a valid number", value,
							NULL);
		return 0;
	}
	else if (!real_of_string(value, &number))
	{
		gw_fields_add_error(fields, "float_parsing", name,
							"Input should be a valid number, unable to parse string as a number",
							value, NULL);
		return 0;
	}
	if (!isfinite(number))
	{
		gw_fields_refuse_all(fields, 400, "NaN and Infinity are no numbers of JSON");
		return 0;
	}
	if (!(number > 0))
		gw_fields_add_error(fields, "greater_than", name, "Input should be greater than 0", value,
							"\"gt\":0.0");
	return number;
}

const char *
gw_fields_string(gw_fields *fields, const char *name, size_t *length)
{
	const json_t *value = value_of(fields, name, true);

	*length = 0;
	if (value == NULL)
		return "";
	if (!json_is_string(value))
	{
		gw_fields_add_error(fields, "string_type", name, "Input should be a valid string", value,
							NULL);
		return "";
	}
	*length = json_string_length(value);
	if (*length == 0)
		gw_fields_add_error(fields, "string_too_short", name,
							"String should have at least 1 character", value, "\"min_length\":1");
	return json_string_value(value);
}

const char *
gw_fields_text(gw_fields *fields, const char *name, bool required, int64_t least, int64_t most)
{
	const json_t *value = value_of(fields, name, required);
	const char *text = json_string_value(value);
	int64_t characters = 0;
	char message[80];
	char context[40];

	if (value == NULL)
		return NULL;
	if (text == NULL || strlen(text) != json_string_length(value))
	{
		gw_fields_add_error(fields, "string_type", name, "Input should be a valid string", value,
							NULL);
		return NULL;
	}
	for (const char *at = text; *at != '\0'; at++)
		characters += (*at & 0xC0) != 0x80;
	if (characters >= least && (most == 0 || characters <= most))
		return text;
	most = characters < least ? least : most;
	snprintf(message, sizeof(message), "String should have at %s %lld character%s",
			 characters < least ? "least" : "most", (long long) most, most == 1 ? "" : "s");
	snprintf(context, sizeof(context), "\"%s\":%lld",
			 characters < least ? "min_length" : "max_length", (long long) most);
	gw_fields_add_error(fields, characters < least ? "string_too_short" : "string_too_long", name,
						message, value, context);
	return NULL;
}

const char *
gw_fields_optional(gw_fields *fields, const char *name)
{
	return gw_fields_text(fields, name, false, 0, 0);
}

const char *
gw_fields_choice(gw_fields *fields, const char *name, bool required, const char *const *choices)
{
	const json_t *value = value_of(fields, name, required);
	const char *text = json_string_value(value);
	program_text expected = { 0 };
	program_text message = { 0 };
	program_text context = { 0 };

	if (value == NULL)
		return NULL;
	for (int i = 0; choices[i] != NULL; i++)
	{
		if (text != NULL && strlen(text) == json_string_length(value) &&
			strcmp(text, choices[i]) == 0)
			return text;
		program_text_printf(&expected, "%s'%s'",
							i == 0					 ? ""
							: choices[i + 1] == NULL ? " or "
													 : ", ",
							choices[i]);
	}
	program_text_printf(&message, "Input should be %s", expected.failed ? "" : expected.data);
	program_text_puts(&context, "\"expected\":");
	program_text_json(&context, expected.data, expected.length);
	if (!message.failed && !context.failed)
		gw_fields_add_error(fields, "literal_error", name, message.data, value, context.data);
	program_text_free(&expected);
	program_text_free(&message);
	program_text_free(&context);
	return NULL;
}

/* Words that stand for a truth value, in any case of letters. */
static int
truth_of(const char *text)
{
	static const char *const words[] = { "0",	  "1",	  "off", "on", "f",	 "t",
										 "false", "true", "n",	 "y",  "no", "yes" };

	for (int i = 0; i < (int) (sizeof(words) / sizeof(words[0])); i++)
	{
		if (strcasecmp(text, words[i]) == 0)
			return i % 2;
	}
	return -1;
}

bool
gw_fields_boolean(gw_fields *fields, const char *name, bool required, bool *truth)
{
	const json_t *value = value_of(fields, name, required);
	int known = -1;

	if (value == NULL)
		return false;
	if (json_is_boolean(value))
		known = json_is_true(value);
	else if (json_is_number(value))
		known = json_number_value(value) == 1 ? 1 : json_number_value(value) == 0 ? 0 : -1;
	else if (json_is_string(value))
		known = truth_of(json_string_value(value));
	else
	{
		gw_fields_add_error(fields, "bool_type", name, "Input should be a valid boolean", value,
							NULL);
		return false;
	}
	if (known < 0)
		gw_fields_add_error(fields, "bool_parsing", name,
							"Input should be a valid boolean, unable to interpret input", value,
							NULL);
	*truth = known == 1;
	return known >= 0;
}

bool
gw_fields_time(gw_fields *fields, const char *name, bool required, char time[GW_TIME_SIZE])
{
	const json_t *value = value_of(fields, name, required);
	char context[120];
	char message[120];
	char number[40];
	const char *why;

	if (value == NULL)
		return false;
	if (json_is_number(value))
	{
		snprintf(number, sizeof(number), "%.6f", json_number_value(value));
		why = gw_time_read(number, time);
	}
	else if (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value))
		why = gw_time_read(json_string_value(value), time);
	else
	{
		gw_fields_add_error(fields, "datetime_type", name, "Input should be a valid datetime",
							value, NULL);
		return false;
	}
	if (why == NULL)
		return true;
	snprintf(message, sizeof(message), "Input should be a valid datetime, %s", why);
	snprintf(context, sizeof(context), "\"error\":\"%s\"", why);
	gw_fields_add_error(fields, "datetime_parsing", name, message, value, context);
	return false;
}

const json_t *
gw_fields_object(gw_fields *fields, const char *name, bool required)
{
	const json_t *value = value_of(fields, name, required);
	json_error_t error;
	json_t *parsed;

	if (value == NULL || json_is_object(value))
		return value;
	/* a query can hold one as text only */
	if (fields->in_query && json_is_string(value))
	{
		parsed =
			json_loadb(json_string_value(value), json_string_length(value), JSON_ALLOW_NUL, &error);
		if (json_is_object(parsed) && json_object_set_new(fields->values, name, parsed) == 0)
			return parsed;
		json_decref(parsed);
	}
	gw_fields_add_error(fields, "dict_type", name, "Input should be a valid dictionary", value,
						NULL);
	return NULL;
}

const json_t *
gw_fields_texts(gw_fields *fields, const char *name, bool required)
{
	const json_t *value = json_object_get(fields->values, name);
	json_t *one;
	const json_t *element;
	size_t i;

	if (fields->in_query && json_is_string(value))
	{
		one = json_array();
		if (one == NULL || json_array_append(one, json_object_get(fields->values, name)) != 0 ||
			json_object_set_new(fields->values, name, one) != 0)
			return NULL;
		return one;
	}
	if (value == NULL || !json_is_array(value))
	{
		value = value_of(fields, name, required);
		if (value != NULL)
			gw_fields_add_error(fields, "list_type", name, "Input should be a valid list", value,
								NULL);
		return NULL;
	}
	json_array_foreach(value, i, element)
	{
		if (json_is_string(element) &&
			strlen(json_string_value(element)) == json_string_length(element))
			continue;
		gw_fields_add_error(fields, "string_type", name, "Input should be a valid string", element,
							NULL);
		return NULL;
	}
	return value;
}

void
gw_fields_refuse(gw_fields *fields, const char *name, const char *why)
{
	char message[200];
	program_text context = { 0 };

	snprintf(message, sizeof(message), "Value error, %s", why);
	program_text_puts(&context, "\"error\":");
	program_text_json(&context, why, strlen(why));
	gw_fields_add_error(fields, "value_error", name, message, json_object_get(fields->values, name),
						context.failed ? NULL : context.data);
	program_text_free(&context);
}

bool
gw_fields_end(gw_fields *fields)
{
	if (fields->status == 0)
		return true;
	if (fields->status == 422)
		program_text_puts(&fields->error, "]}");
	return false;
}

void
gw_fields_free(gw_fields *fields)
{
	json_decref(fields->values);
	program_text_free(&fields->error);
	*fields = (gw_fields){ 0 };
}
