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
begin_element(program_array *array, int32_t length)
{
	if (array->count++ == 0)
	{
		program_text_int32(&array->bytes, 1);
		program_text_int32(&array->bytes, 0);
		program_text_int32(&array->bytes, (int32_t) array->element);
		program_text_int32(&array->bytes, 0);
		program_text_int32(&array->bytes, 1);
	}
	program_text_int32(&array->bytes, length);
}

static void
set(program_array *array, size_t at, int32_t value)
{
	uint32_t network = htonl((uint32_t) value);

	if (!array->bytes.failed && array->bytes.length >= HEADER)
		memcpy(array->bytes.data + at, &network, sizeof(network));
}

void
program_array_add(program_array *array, const void *bytes, size_t n)
{
	begin_element(array, (int32_t) n);
	program_text_add(&array->bytes, bytes, n);
}

void
program_array_add_int64(program_array *array, int64_t value)
{
	begin_element(array, sizeof(value));
	program_text_int64(&array->bytes, value);
}

void
program_array_add_null(program_array *array)
{
	begin_element(array, -1);
	set(array, HAS_NULLS_AT, 1);
}

const program_text *
program_array_finish(program_array *array)
{
	if (array->count == 0)
	{
		program_text_int32(&array->bytes, 0);
		program_text_int32(&array->bytes, 0);
		program_text_int32(&array->bytes, (int32_t) array->element);
	}
	else
		set(array, COUNT_AT, array->count);
	return &array->bytes;
}

void
program_array_free(program_array *array)
{
	program_text_free(&array->bytes);
	array->count = 0;
}
