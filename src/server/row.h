/*
 * row.h
 *	  Building a row that a function returns, column by column from the left.
 *
 * For functions whose result is a composite type of at most MULBERRY_ROW_MAX columns.
 */
#ifndef MULBERRY_ROW_H
#define MULBERRY_ROW_H

#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
#include "utils/tuplestore.h"

#define MULBERRY_ROW_MAX 16

/* A row under construction. */
typedef struct mulberry_row
{
	TupleDesc desc;
	int n;
	Datum values[MULBERRY_ROW_MAX];
	bool nulls[MULBERRY_ROW_MAX];
} mulberry_row;

/* What the columns are is found out once for each place of a statement that calls the function. */
static inline void
mulberry_row_begin(mulberry_row *r, FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_extra == NULL)
	{
		MemoryContext caller;
		TupleDesc desc;

		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		Assert(desc->natts <= lengthof(r->values));
		caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		fcinfo->flinfo->fn_extra = BlessTupleDesc(CreateTupleDescCopy(desc));
		MemoryContextSwitchTo(caller);
	}
	r->desc = (TupleDesc) fcinfo->flinfo->fn_extra;
	r->n = 0;
	memset(r->values, 0, sizeof(r->values));
	memset(r->nulls, true, sizeof(r->nulls));
}

/* The same for a function that returns a type with a name, which costs less. */
static inline void
mulberry_row_begin_named(mulberry_row *r, FunctionCallInfo fcinfo)
{
	r->desc = lookup_rowtype_tupdesc(get_func_rettype(fcinfo->flinfo->fn_oid), -1);
	Assert(r->desc->natts <= lengthof(r->values));
	r->n = 0;
	memset(r->values, 0, sizeof(r->values));
	memset(r->nulls, true, sizeof(r->nulls));
}

static inline void
mulberry_row_add(mulberry_row *r, Datum value)
{
	r->values[r->n] = value;
	r->nulls[r->n++] = false;
}

/* Leaves a column null. */
static inline void
mulberry_row_skip(mulberry_row *r)
{
	r->n++;
}

/* A NULL pointer is a null. */
static inline void
mulberry_row_add_text(mulberry_row *r, const char *value)
{
	if (value == NULL)
		mulberry_row_skip(r);
	else
		mulberry_row_add(r, CStringGetTextDatum(value));
}

static inline void
mulberry_row_add_two_digits(mulberry_row *r, int value)
{
	mulberry_row_add_text(r, psprintf("%02d", value));
}

static inline void
mulberry_row_add_bytes(mulberry_row *r, const void *bytes, Size n)
{
	bytea *copy = palloc(VARHDRSZ + n);

	SET_VARSIZE(copy, VARHDRSZ + n);
	memcpy(VARDATA(copy), bytes, n);
	mulberry_row_add(r, PointerGetDatum(copy));
}

/* Fills the last column with an error, its code in front, and leaves those between null. */
static inline void
mulberry_row_add_error(mulberry_row *r, const char *code, const char *message)
{
	r->n = r->desc->natts - 1;
	mulberry_row_add_text(r, psprintf("%s: %s", code, message));
}

static inline Datum
mulberry_row_end(mulberry_row *r)
{
	HeapTuple tuple = heap_form_tuple(r->desc, r->values, r->nulls);

	ReleaseTupleDesc(r->desc);
	return HeapTupleGetDatum(tuple);
}

/* The columns of a row that is an argument, of a type with so many of them. */
static inline void
mulberry_row_columns(HeapTupleHeader row, int n, Datum *values, bool *nulls)
{
	TupleDesc desc =
		lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
	HeapTupleData tuple = { .t_len = HeapTupleHeaderGetDatumLength(row), .t_data = row };

	if (desc->natts != n)
		elog(ERROR, "a row of %d columns in the place of one of %d", desc->natts, n);
	heap_deform_tuple(&tuple, desc, values, nulls);
	ReleaseTupleDesc(desc);
}

/* Puts the row into the set that InitMaterializedSRF() began. */
static inline void
mulberry_row_put(mulberry_row *r, FunctionCallInfo fcinfo)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	tuplestore_putvalues(result->setResult, result->setDesc, r->values, r->nulls);
}

#endif /* MULBERRY_ROW_H */
