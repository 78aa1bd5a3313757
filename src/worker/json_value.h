/*
 * json_value.h
 *	  JSON as services send and take it: answers become jsonb, whatever they are like, and values are
 *	  taken out of it by what they can be used for, not by their type alone.
 */
#ifndef MULBERRY_WORKER_JSON_VALUE_H
#define MULBERRY_WORKER_JSON_VALUE_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/*
 * The body of an answer as jsonb.  Bytes that are no text and characters that the database cannot
 * hold are replaced, and so are tokens that are no JSON (core/text/json_text.h).  Raises
 * ERRCODE_PROTOCOL_VIOLATION when there is no JSON in it.
 */
extern Jsonb *mulberry_json_read(const char *body, size_t size);

/* The same; NULL when there is none. */
extern Jsonb *mulberry_json_find(const char *body, size_t size);

/* JSON in text of the server's encoding; NULL when it is none. */
extern Jsonb *mulberry_json_try(const char *text, size_t size);

/* A member of an object in "value"; false when there is none of this name, or no object. */
extern bool mulberry_json_member(JsonbContainer *object, const char *name, JsonbValue *value);

/* The container in a value; NULL when it is a scalar. */
extern JsonbContainer *mulberry_json_container(const JsonbValue *value);

/* A string, palloc'd; NULL when the member is missing or is none. */
extern char *mulberry_json_string(JsonbContainer *object, const char *name);

/* A string, number or boolean as text; NULL when it is missing or is none of them. */
extern char *mulberry_json_text(JsonbContainer *object, const char *name);

/* A finite number, or the number in a string; false when the member is none. */
extern bool mulberry_json_number(JsonbContainer *object, const char *name, double *number);

/* Text in UTF-8 as text in the server's encoding, with ? for what that does not have. */
extern char *mulberry_from_utf8(const char *text, size_t size);

/* The reverse, in the given context. */
extern char *mulberry_to_utf8(const char *text, MemoryContext context);

/* Text without white space at its ends, in place. */
extern char *mulberry_trim(char *text);

#endif /* MULBERRY_WORKER_JSON_VALUE_H */
