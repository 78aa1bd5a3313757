/*
 * arrays.h
 *	  Arrays of PostgreSQL in their binary form, built element by element.
 */
#ifndef GATEWAY_ARRAYS_H
#define GATEWAY_ARRAYS_H

#include "text.h"

/* Types of elements, by their OIDs. */
#define GW_BYTEA 17
#define GW_INT8 20
#define GW_TEXT 25
#define GW_TIMESTAMPTZ 1184
#define GW_UUID 2950

/* All zero but for the type of the elements is empty. */
typedef struct gw_array
{
	uint32_t element;
	int count;
	gw_text bytes;
} gw_array;

extern void gw_array_add(gw_array *array, const void *bytes, size_t n);
extern void gw_array_add_int64(gw_array *array, int64_t value);
extern void gw_array_add_null(gw_array *array);

/* Its bytes; after that nothing may be added. */
extern const gw_text *gw_array_finish(gw_array *array);
extern void gw_array_free(gw_array *array);

#endif /* GATEWAY_ARRAYS_H */
