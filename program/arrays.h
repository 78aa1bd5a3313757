/*
 * arrays.h
 *	  Arrays of PostgreSQL in their binary form, built element by element.
 */
#ifndef PROGRAM_ARRAYS_H
#define PROGRAM_ARRAYS_H

#include "text.h"

/* Types of elements, by their OIDs. */
#define PROGRAM_OID_BYTEA 17
#define PROGRAM_OID_INT8 20
#define PROGRAM_OID_TEXT 25
#define PROGRAM_OID_TIMESTAMPTZ 1184
#define PROGRAM_OID_UUID 2950

/* All zero but for the type of the elements is empty. */
typedef struct program_array
{
	uint32_t element;
	int count;
	program_text bytes;
} program_array;

extern void program_array_add(program_array *array, const void *bytes, size_t n);
extern void program_array_add_int64(program_array *array, int64_t value);
extern void program_array_add_null(program_array *array);

/* Its bytes; after that nothing may be added. */
extern const program_text *program_array_finish(program_array *array);
extern void program_array_free(program_array *array);

#endif /* PROGRAM_ARRAYS_H */
