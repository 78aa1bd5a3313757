/*
 * call_arguments.c
 *	  The call or track that an argument of an SQL function names; see call_arguments.h.
 */
#include "server/compat.h"

#include "access/table.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "access/access.h"
#include "access/callers.h"
#include "calls/call_arguments.h"
#include "calls/call_relations.h"
#include "calls/tracks.h"
#include "server/texts.h"
#include "server/xact.h"

void
mulberry_call_argument(FunctionCallInfo fcinfo, mulberry_call *call)
{
	mulberry_tenant tenant = *mulberry_resolve_tenant(
		PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)), MULBERRY_ACCESS_SUPERVISOR);
	Relation calls;
	text *call_id;
	bool found;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("call id must not be null")));
	call_id = PG_GETARG_TEXT_PP(0);
	calls = table_open(mulberry_get_relations()->calls, AccessShareLock);
	found = VARSIZE_ANY_EXHDR(call_id) <= MULBERRY_MAX_CALL_ID &&
			mulberry_read_named_call(calls, &tenant.id, VARDATA_ANY(call_id),
									 VARSIZE_ANY_EXHDR(call_id), GetActiveSnapshot(), call);
	table_close(calls, NoLock);
	if (!found)
	{
		mulberry_check_argument("call_id", call_id);
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("call \"%s\" does not exist", text_to_cstring(call_id))));
	}
}

int64
mulberry_track_argument(FunctionCallInfo fcinfo, int argument, mulberry_track *track)
{
	mulberry_call call;

	mulberry_call_argument(fcinfo, &call);
	mulberry_require_track(&call, PG_ARGISNULL(argument) ? NULL : PG_GETARG_TEXT_PP(argument),
						   GetActiveSnapshot(), track);
	return track->id;
}

bool
mulberry_lock_call_argument(FunctionCallInfo fcinfo, Relation *calls, mulberry_call *call,
							int access, bool wait, const char *function)
{
	mulberry_require_writable(function);
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("call must not be null")));
	*calls = mulberry_open_calls();
	if (!mulberry_lock_call_by_id(*calls, PG_GETARG_INT64(0), wait, call))
	{
		table_close(*calls, NoLock);
		return false;
	}
	if (!mulberry_acts_as_owner() && !mulberry_has_access(&call->tenant, access))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for %s", function)));
	return true;
}
