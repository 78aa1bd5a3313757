/*
 * plans.h
 *	  Statements of our own that a backend prepares once and keeps.
 */
#ifndef MULBERRY_PLANS_H
#define MULBERRY_PLANS_H

#include "postgres.h"

#include "executor/spi.h"

/* Prepares a statement for the life of the backend; inside SPI_connect(). */
extern SPIPlanPtr mulberry_keep_plan(const char *query, int nargs, Oid *types);

#endif /* MULBERRY_PLANS_H */
