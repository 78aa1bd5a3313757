/*
 * receiver.c
 *	  The receiving side of voice commands, as far as it needs keys or samples: frames out of audio,
 *	  the judgement of one frame, acknowledgements.
 *
 * What is stored, the lockout ladder and the effect of a command are SQL's: handle_command_symbols() and what
 * it calls.  The rules of judgement are the core's (core/command_judge.h).
 */
#include "compat.h"

#include "fmgr.h"

#include "events.h"

PG_FUNCTION_INFO_V1(mulberry_require_durable_commit_sql);

/* require_durable_commit() */
Datum
mulberry_require_durable_commit_sql(PG_FUNCTION_ARGS)
{
	mulberry_require_durable_commit();
	PG_RETURN_VOID();
}
