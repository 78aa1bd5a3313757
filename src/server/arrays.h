/*
 * arrays.h
 *	  Arrays of SQL taken apart.
 */
#ifndef MULBERRY_ARRAYS_H
#define MULBERRY_ARRAYS_H

#include "postgres.h"

#include "utils/array.h"

/* The n elements of an array of that type, and which of them are null; nulls NULL: none may be, which is an error. */
extern Datum *mulberry_array_elements(ArrayType *array, Oid type, int *n, bool **nulls);

#endif /* MULBERRY_ARRAYS_H */
