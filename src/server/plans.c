/*
 * plans.c
 *	  Plans and runs statements of our own; see plans.h.
 */
#include "server/compat.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "server/plans.h"

static void
prepare(mulberry_statement *statement)
{
	SPIPlanPtr plan;

	if (statement->plan != NULL)
		return;
	plan = SPI_prepare(statement->sql, statement->nargs, statement->types);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", statement->sql,
			 SPI_result_code_string(SPI_result));
	statement->plan = plan;
}

static uint64
run(mulberry_statement *statement, Datum *values, const char *nulls, bool read_only)
{
	int result;

	prepare(statement);
	result = SPI_execute_plan(statement->plan, values, nulls, read_only, 0);
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", statement->sql, SPI_result_code_string(result));
	return SPI_processed;
}

uint64
mulberry_statement_run(mulberry_statement *statement, Datum *values, const char *nulls)
{
	return run(statement, values, nulls, /* read_only */ false);
}

uint64
mulberry_statement_look(mulberry_statement *statement, Datum *values, const char *nulls)
{
	return run(statement, values, nulls, /* read_only */ true);
}

Portal
mulberry_statement_open(mulberry_statement *statement, Datum *values, const char *nulls)
{
	prepare(statement);
	return SPI_cursor_open(NULL, statement->plan, values, nulls, /* read_only */ true);
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
