/*
 * arrays.c
 *	  Arrays of SQL taken apart, whatever their elements are.
 */
#include "server/compat.h"

#include "utils/lsyscache.h"

#include "server/arrays.h"

Datum *
mulberry_array_elements(ArrayType *array, Oid type, int *n, bool **nulls)
{
	Datum *values;
	int16 length;
	bool by_value;
	char align;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	deconstruct_array(array, type, length, by_value, align, &values, nulls, n);
	return values;
}
