/*
 * fields.h
 *	  Takes the fields of a JSON body, or of a query, as FastAPI 0.109 with pydantic 2.5 does: the same values
 *	  pass, and what does not pass is told in the same form, all of it in one answer (422).
 *
 * Other than there, NaN and Infinity are no numbers (400), and integers have an upper bound.
 */
#ifndef GATEWAY_FIELDS_H
#define GATEWAY_FIELDS_H

#include <jansson.h>

#include "http.h"
#include "program/text.h"
#include "time_text.h"

/* All zero at the beginning; free it with gw_fields_free(). */
typedef struct gw_fields
{
	json_t *values;		/* an object, once it has been read */
	bool in_query;		/* and not in the body */
	int status;			/* of the answer that refuses it; 0: it is fine so far */
	program_text error; /* the body of that answer; complete after gw_fields_end() */
} gw_fields;

/* fields_body.c: whether a body is to be taken for JSON. */
extern bool gw_fields_may_begin(const http_request *request);

/* Reads the body of a request; false when there is no object to take fields from. */
extern bool gw_fields_begin(gw_fields *fields, const http_request *request);

/* The same with the query.  What was read before is gone, what was wrong with it is not. */
extern bool gw_fields_begin_query(gw_fields *fields, const http_request *request);

/*
 * One more entry of the list; name NULL: the body as a whole; input NULL: null; context: members of ctx or NULL.  And an
 * answer that refuses all of it.
 */
extern void gw_fields_add_error(gw_fields *fields, const char *type, const char *name,
								const char *message, const json_t *input, const char *context);
extern void gw_fields_refuse_all(gw_fields *fields, int status, const char *detail);

/* A required number above 0. */
extern double gw_fields_positive(gw_fields *fields, const char *name);

/* A required string of at least one character, and one that may be missing or null (then NULL); good as long as the fields. */
extern const char *gw_fields_string(gw_fields *fields, const char *name, size_t *length);
extern const char *gw_fields_optional(gw_fields *fields, const char *name);

/*
 * Fields that may be missing, or null, unless they are required: then, or when they are refused, they are NULL or false.
 * A text has from least to most characters (most 0: any number); a list holds texts.  Good as long as the fields.
 * That an integer is less than least is told as not "ge" of it, or, if above, as not "gt" of the number before.
 */
extern const char *
gw_fields_text(gw_fields *fields, const char *name, bool required, int64_t least, int64_t most);
extern const char *
gw_fields_choice(gw_fields *fields, const char *name, bool required, const char *const *choices);
extern bool gw_fields_integer(gw_fields *fields, const char *name, bool required, int64_t least,
							  bool above, int64_t most, int64_t *number);
extern bool gw_fields_boolean(gw_fields *fields, const char *name, bool required, bool *truth);
extern bool
gw_fields_time(gw_fields *fields, const char *name, bool required, char time[GW_TIME_SIZE]);
extern const json_t *gw_fields_object(gw_fields *fields, const char *name, bool required);
extern const json_t *gw_fields_texts(gw_fields *fields, const char *name, bool required);

/* Something else is wrong with a field: in pydantic's form for a value that a function of its own refuses. */
extern void gw_fields_refuse(gw_fields *fields, const char *name, const char *why);

/* True when all of it was fine; else status and error are the answer. */
extern bool gw_fields_end(gw_fields *fields);
extern void gw_fields_free(gw_fields *fields);

#endif /* GATEWAY_FIELDS_H */
