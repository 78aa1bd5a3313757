/*
 * plans.h
 *	  Statements of our own that a backend plans once, runs again and again, and
 *	  whose results it reads.
 *
 * Everything here is for use inside SPI_connect(), and running with a snapshot.
 */
#ifndef MULBERRY_PLANS_H
#define MULBERRY_PLANS_H

#include "postgres.h"

#include "executor/spi.h"

#define MULBERRY_STATEMENT_ARGUMENTS 16

typedef struct mulberry_statement
{
	const char *sql;
	int nargs;
	Oid types[MULBERRY_STATEMENT_ARGUMENTS];
	SPIPlanPtr plan; /* made at the first use */
} mulberry_statement;

/*
 * Runs it; returns the number of rows, which are in SPI_tuptable.  "nulls" as
 * for SPI_execute_plan, NULL when no argument is null.
 */
extern uint64
mulberry_statement_run(mulberry_statement *statement, Datum *values, const char *nulls);

/* The same by the snapshot of the statement that asks, whatever was committed since; for SELECT. */
extern uint64
mulberry_statement_look(mulberry_statement *statement, Datum *values, const char *nulls);

/* A cursor on what mulberry_statement_look() would see. */
extern Portal
mulberry_statement_open(mulberry_statement *statement, Datum *values, const char *nulls);

/*
 * A column of a row of the last result, by its number from 1; text is copied
 * into the given context and NULL stays NULL.  The others are 0 or false for NULL.
 */
extern char *mulberry_result_text(uint64 row, int column, MemoryContext context);
extern Datum mulberry_result_datum(uint64 row, int column, bool *isnull);
extern int64 mulberry_result_int64(uint64 row, int column);
extern int32 mulberry_result_int32(uint64 row, int column);
extern bool mulberry_result_bool(uint64 row, int column);

#endif /* MULBERRY_PLANS_H */
