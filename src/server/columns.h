/*
 * columns.h
 *	  Reading columns of our own tables, past SQL, that the table declares NOT
 *	  NULL.
 */
#ifndef MULBERRY_COLUMNS_H
#define MULBERRY_COLUMNS_H

#include "postgres.h"

#include "access/htup_details.h"

/* A null where none can be means that the table is not the one we know. */
static inline Datum
mulberry_column(HeapTuple tuple, TupleDesc desc, int column)
{
	bool isnull;
	Datum value = heap_getattr(tuple, column, desc, &isnull);

	if (isnull)
		elog(ERROR, "column %d of a table of mulberry is null", column);
	return value;
}

#endif /* MULBERRY_COLUMNS_H */
