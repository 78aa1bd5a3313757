/*
 * subscriptions.c
 *	  What subscribe() and unsubscribe() need beyond SQL: LISTEN on a computed
 *	  name, the names this session listens to, and word to the notifier that
 *	  channels have changed.  Who may hear what is decided in SQL.
 */
#include "server/compat.h"

#include "commands/async.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "events/subscriptions.h"
#include "server/shared_state.h"
#include "server/xact.h"

PG_FUNCTION_INFO_V1(mulberry_listen_channel);
PG_FUNCTION_INFO_V1(mulberry_unlisten_channel);
PG_FUNCTION_INFO_V1(mulberry_remembered_channels);
PG_FUNCTION_INFO_V1(mulberry_channels_changed);
PG_FUNCTION_INFO_V1(mulberry_notifier_lives_sql);
PG_FUNCTION_INFO_V1(mulberry_session_lives);

/*
 * Names this session has ever subscribed to and not given up.  LISTEN becomes
 * effective at commit and pg_listening_channels() shows it only then, so the
 * names are kept here as well; one whose transaction failed does no harm.
 */
static List *remembered = NIL;

/* listen_channel(channel text): LISTEN, for any role, on a name it need not know. */
Datum
mulberry_listen_channel(PG_FUNCTION_ARGS)
{
	char *channel = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ListCell *cell;
	MemoryContext old_context;

	if (MyBackendType != B_BACKEND)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a background process cannot subscribe to events")));
	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot subscribe to events within a security-restricted operation")));
	Async_Listen(channel);

	foreach (cell, remembered)
	{
		if (strcmp((const char *) lfirst(cell), channel) == 0)
			PG_RETURN_VOID();
	}
	old_context = MemoryContextSwitchTo(TopMemoryContext);
	remembered = lappend(remembered, pstrdup(channel));
	MemoryContextSwitchTo(old_context);
	PG_RETURN_VOID();
}

/* unlisten_channel(channel text): UNLISTEN; without effect when nobody listens. */
Datum
mulberry_unlisten_channel(PG_FUNCTION_ARGS)
{
	char *channel = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ListCell *cell;

	Async_Unlisten(channel);
	foreach (cell, remembered)
	{
		char *name = lfirst(cell);

		if (strcmp(name, channel) == 0)
		{
			remembered = foreach_delete_current(remembered, cell);
			pfree(name);
			break;
		}
	}
	PG_RETURN_VOID();
}

/* remembered_channels() returns setof text. */
Datum
mulberry_remembered_channels(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell *cell;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	foreach (cell, remembered)
	{
		Datum value = CStringGetTextDatum((const char *) lfirst(cell));
		bool isnull = false;

		tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
	}
	return (Datum) 0;
}

/* Statement trigger on event_channels: after commit the notifier reads it again. */
Datum
mulberry_channels_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("mulberry_internal.channels_changed() must be called as a trigger")));
	mulberry_xact_at_commit(MULBERRY_COMMIT_CHANNELS_CHANGED);
	PG_RETURN_POINTER(NULL);
}

bool
mulberry_session_is_there(int pid)
{
	PGPROC *process = BackendPidGetProc(pid);

	return process != NULL && process->databaseId == MyDatabaseId;
}

/* session_lives(pid integer) returns boolean. */
Datum
mulberry_session_lives(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(mulberry_session_is_there(PG_GETARG_INT32(0)));
}

/* notifier_lives() returns boolean. */
Datum
mulberry_notifier_lives_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(mulberry_notifier_lives());
}
