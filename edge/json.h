/*
 * json.h
 *	  Looking up members in JSON that a gateway has sent, as it stands there: nothing is unescaped, nothing is copied.
 */
#ifndef EDGE_JSON_H
#define EDGE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A value: from its first byte to behind its last one. NULL: there is none. */
typedef struct edge_json
{
	const char *begin;
	const char *end;
} edge_json;

/* The value that a text begins with; none when it is not JSON. */
extern edge_json edge_json_value(const char *text, size_t n);

/* A member of an object; the elements of an array one after another, beginning with none. */
extern edge_json edge_json_member(edge_json object, const char *name);
extern bool edge_json_element(edge_json array, edge_json *element);

/* Whether it is that string, which has nothing that is escaped; a whole number, or "otherwise". */
extern bool edge_json_is(edge_json value, const char *string);
extern int64_t edge_json_integer(edge_json value, int64_t otherwise);

#endif /* EDGE_JSON_H */
