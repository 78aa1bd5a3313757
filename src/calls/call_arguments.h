/*
 * call_arguments.h
 *	  The call or track that an argument of an SQL function names.
 */
#ifndef MULBERRY_CALL_ARGUMENTS_H
#define MULBERRY_CALL_ARGUMENTS_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/rel.h"

#include "calls/calls.h"

/*
 * The call that a user names as (call_id text, tenant text), the first two arguments of an SQL
 * function, as the query's snapshot shows it.  Raises ERRCODE_UNDEFINED_OBJECT when there is
 * none, and what mulberry_resolve_tenant() raises for who may not read the tenant's calls.
 */
extern void mulberry_call_argument(FunctionCallInfo fcinfo, mulberry_call *call);

/* A track of it, its name in a further argument (null: the first); returns the track's id. */
extern int64 mulberry_track_argument(FunctionCallInfo fcinfo, int argument, mulberry_track *track);

/*
 * Takes the lock of the call whose id is argument 0.  False when the call is gone, or
 * busy and one does not "wait".  Needs the access, unless a function of ours calls that
 * runs as the owner and has decided who may call it.
 */
extern bool
mulberry_lock_call_argument(FunctionCallInfo fcinfo, Relation *calls, mulberry_call *call,
							int access, bool wait, const char *function);

#endif /* MULBERRY_CALL_ARGUMENTS_H */
