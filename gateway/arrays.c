/*
 * arrays.c
 *	  Arrays of PostgreSQL in their binary form: number of dimensions, whether there are nulls, type of
 *	  the elements, their number and the lower bound; then each element behind its length.
 */
#include "arrays.h"

#include <arpa/inet.h>
#include <string.h>

#define HEADER 20
#define HAS_NULLS_AT 4
#define COUNT_AT 12

static void
begin_element(gw_array *array, int32_t length)
{
	if (array->count++ == 0)
	{
		gw_text_int32(&array->bytes, 1);
		gw_text_int32(&array->bytes, 0);
		gw_text_int32(&array->bytes, (int32_t) array->element);
		gw_text_int32(&array->bytes, 0);
		gw_text_int32(&array->bytes, 1);
	}
	gw_text_int32(&array->bytes, length);
}

static void
set(gw_array *array, size_t at, int32_t value)
{
	uint32_t network = htonl((uint32_t) value);

	if (!array->bytes.failed && array->bytes.length >= HEADER)
		memcpy(array->bytes.data + at, &network, sizeof(network));
}

void
gw_array_add(gw_array *array, const void *bytes, size_t n)
{
	begin_element(array, (int32_t) n);
	gw_text_add(&array->bytes, bytes, n);
}

void
gw_array_add_int64(gw_array *array, int64_t value)
{
	begin_element(array, sizeof(value));
	gw_text_int64(&array->bytes, value);
}

void
gw_array_add_null(gw_array *array)
{
	begin_element(array, -1);
	set(array, HAS_NULLS_AT, 1);
}

const gw_text *
gw_array_finish(gw_array *array)
{
	if (array->count == 0)
	{
		gw_text_int32(&array->bytes, 0);
		gw_text_int32(&array->bytes, 0);
		gw_text_int32(&array->bytes, (int32_t) array->element);
	}
	else
		set(array, COUNT_AT, array->count);
	return &array->bytes;
}

void
gw_array_free(gw_array *array)
{
	gw_text_free(&array->bytes);
	array->count = 0;
}
