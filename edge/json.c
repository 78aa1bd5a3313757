/*
 * json.c
 *	  Looking up members in JSON; see json.h.
 */
#include "json.h"

#include <string.h>

#define MAX_DEPTH 32

static const edge_json none = { NULL, NULL };

static const char *
skip_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
		at++;
	return at;
}

/* Behind the string that begins there; NULL: it has no end. */
static const char *
skip_string(const char *at, const char *end)
{
	for (at++; at < end; at++)
	{
		if (*at == '\\')
			at++;
		else if (*at == '"')
			return at + 1;
	}
	return NULL;
}

/* Behind the value that begins there; NULL: it is none. Only its brackets and strings are looked at. */
static const char *
skip_value(const char *at, const char *end)
{
	int depth = 0;

	at = skip_space(at, end);
	do
	{
		if (at >= end)
			return NULL;
		if (*at == '"')
			at = skip_string(at, end);
		else if (*at == '{' || *at == '[')
		{
			depth++;
			at++;
		}
		else if (*at == '}' || *at == ']')
		{
			depth--;
			at++;
		}
		else if (depth > 0 && (*at == ',' || *at == ':'))
			at++;
		else
		{
			const char *begin = at;

			while (at < end && strchr(",:{}[]\" \t\r\n", *at) == NULL)
				at++;
			if (at == begin)
				return NULL;
		}
		if (at == NULL || depth < 0 || depth > MAX_DEPTH)
			return NULL;
		if (depth > 0)
			at = skip_space(at, end);
	} while (depth > 0);
	return at;
}

edge_json
edge_json_value(const char *text, size_t n)
{
	const char *begin = skip_space(text, text + n);
	const char *end = skip_value(begin, text + n);

	return end == NULL ? none : (edge_json){ begin, end };
}

edge_json
edge_json_member(edge_json object, const char *name)
{
	size_t length = strlen(name);
	const char *at = object.begin;

	if (at == NULL || *at != '{')
		return none;
	at++;
	while (at != NULL && at < object.end)
	{
		const char *key = skip_space(at, object.end);
		const char *behind;

		if (key >= object.end || *key != '"' || (behind = skip_string(key, object.end)) == NULL)
			return none;
		at = skip_space(behind, object.end);
		if (at >= object.end || *at != ':')
			return none;
		at = skip_space(at + 1, object.end);
		if ((size_t) (behind - key) == length + 2 && memcmp(key + 1, name, length) == 0)
			return edge_json_value(at, (size_t) (object.end - at));
		at = skip_value(at, object.end);
		if (at != NULL)
			at = skip_space(at, object.end);
		if (at != NULL && at < object.end && *at == ',')
			at++;
	}
	return none;
}

bool
edge_json_element(edge_json array, edge_json *element)
{
	const char *at = element->begin == NULL ? array.begin : element->end;

	*element = none;
	if (array.begin == NULL || *array.begin != '[')
		return false;
	at = skip_space(at, array.end);
	if (at >= array.end || (*at != '[' && *at != ',') || (*at == '[' && at != array.begin))
		return false;
	at = skip_space(at + 1, array.end);
	if (at >= array.end || *at == ']')
		return false;
	*element = edge_json_value(at, (size_t) (array.end - at));
	return element->begin != NULL;
}

bool
edge_json_is(edge_json value, const char *string)
{
	size_t length = strlen(string);

	return value.begin != NULL && (size_t) (value.end - value.begin) == length + 2 &&
		   *value.begin == '"' && memcmp(value.begin + 1, string, length) == 0;
}

int64_t
edge_json_integer(edge_json value, int64_t otherwise)
{
	bool negative = value.begin != NULL && *value.begin == '-';
	int64_t number = 0;

	if (value.begin == NULL || value.end - value.begin > 18 + negative ||
		value.begin + negative == value.end)
		return otherwise;
	for (const char *c = value.begin + negative; c < value.end; c++)
	{
		if (*c < '0' || *c > '9')
			return otherwise;
		number = number * 10 + (*c - '0');
	}
	return negative ? -number : number;
}
