/*
 * plans.c
 *	  Statements of our own that a backend prepares once and keeps; see plans.h.
 */
#include "server/compat.h"

#include "server/plans.h"

SPIPlanPtr
mulberry_keep_plan(const char *query, int nargs, Oid *types)
{
	SPIPlanPtr plan = SPI_prepare(query, nargs, types);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	return plan;
}
