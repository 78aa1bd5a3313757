/*
 * plans.c
 *	  Plans and runs statements of our own; see plans.h.
 */
#include "server/compat.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "server/plans.h"

SPIPlanPtr
mulberry_keep_plan(const char *query, int nargs, Oid *types)
{
	SPIPlanPtr plan = SPI_prepare(query, nargs, types);

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", query, SPI_result_code_string(SPI_result));
	return plan;
}

uint64
mulberry_statement_run(mulberry_statement *statement, Datum *values, const char *nulls)
{
	int result;

	if (statement->plan == NULL)
		statement->plan = mulberry_keep_plan(statement->sql, statement->nargs, statement->types);
	result = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", statement->sql, SPI_result_code_string(result));
	return SPI_processed;
}

Datum
mulberry_result_datum(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

char *
mulberry_result_text(uint64 row, int column, MemoryContext context)
{
	bool isnull;
	Datum value = mulberry_result_datum(row, column, &isnull);
	MemoryContext old;
	char *copy;

	if (isnull)
		return NULL;
	old = MemoryContextSwitchTo(context);
	copy = TextDatumGetCString(value);
	MemoryContextSwitchTo(old);
	return copy;
}

int64
mulberry_result_int64(uint64 row, int column)
{
	bool isnull;
	Datum value = mulberry_result_datum(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

int32
mulberry_result_int32(uint64 row, int column)
{
	bool isnull;
	Datum value = mulberry_result_datum(row, column, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

bool
mulberry_result_bool(uint64 row, int column)
{
	bool isnull;
	Datum value = mulberry_result_datum(row, column, &isnull);

	return isnull ? false : DatumGetBool(value);
}
