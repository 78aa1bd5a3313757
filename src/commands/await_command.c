/*
 * await_command.c
 *	  What the procedure await_command() cannot ask in SQL.
 */
#include "server/compat.h"

#include "access/xact.h"
#include "fmgr.h"

PG_FUNCTION_INFO_V1(mulberry_in_transaction_block);

/* in_transaction_block(): a procedure that is called between BEGIN and COMMIT cannot commit. */
Datum
mulberry_in_transaction_block(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(IsTransactionBlock());
}
