/*
 * unit.c
 *	  A unit of work; see unit.h.
 */
#include "server/compat.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "server/catalog.h"
#include "server/patience.h"
#include "server/xact.h"
#include "worker/process.h"
#include "worker/unit.h"

#define UNIT_TRIES 3

static bool in_session = false;

void
mulberry_units_in_session(bool session)
{
	in_session = session;
	mulberry_xact_is_own(session);
}

/* What a unit must not swallow. */
static bool
ends_everything(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_QUERY_CANCELED || sqlerrcode == ERRCODE_ADMIN_SHUTDOWN ||
		   sqlerrcode == ERRCODE_CRASH_SHUTDOWN;
}

/* Takes the pending error into the context. */
static ErrorData *
take_error(MemoryContext context, mulberry_unit_error *error)
{
	ErrorData *data;

	MemoryContextSwitchTo(context);
	data = CopyErrorData();
	error->sqlerrcode = data->sqlerrcode;
	error->message = data->message ? data->message : pstrdup("unknown error");
	return data;
}

static bool
run_in_worker(const char *activity, void (*work)(void *), void *argument, bool private,
			  mulberry_unit_error *error)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool ok = true;

	PG_TRY();
	{
		mulberry_process_begin_unit(activity);
		SPI_connect();
		work(argument);
		SPI_finish();
		mulberry_process_end_unit();
	}
	PG_CATCH();
	{
		ok = false;
		take_error(context, error);
		mulberry_process_abort_unit(private);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return ok;
}

/*
 * In a session the transaction belongs to the procedure, so that an error
 * is caught by a subtransaction and the procedure's SPI connection survives.
 */
static bool
run_in_session(void (*work)(void *), void *argument, bool private, mulberry_unit_error *error)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool ok = true;

	PushActiveSnapshot(GetTransactionSnapshot());
	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		/*
		 * A procedure that commits cannot have a SET clause.  Without it, the
		 * session's search path would decide which operators our statements mean,
		 * and the session may be a superuser's.  The subtransaction's end undoes it.
		 */
		(void) set_config_option("search_path", MULBERRY_SAFE_SEARCH_PATH, PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		mulberry_limit_waits();
		SPI_connect();
		work(argument);
		SPI_finish();
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *data = take_error(context, error);

		ok = false;
		if (data->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
			mulberry_patience_spent();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (ends_everything(data->sqlerrcode))
			ReThrowError(data);
		if (!private && data->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ereport(WARNING, errcode(data->sqlerrcode), errmsg("%s", error->message));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	PopActiveSnapshot();
	SPI_commit();
	MemoryContextSwitchTo(context);
	return ok;
}

bool
mulberry_unit_run(const char *activity, void (*work)(void *argument), void *argument, bool private,
				  mulberry_unit_error *error)
{
	if (in_session)
		return run_in_session(work, argument, private, error);
	return run_in_worker(activity, work, argument, private, error);
}

bool
mulberry_unit_insist(const char *activity, void (*work)(void *argument), void *argument,
					 bool private, mulberry_unit_error *error)
{
	for (int i = 1;; i++)
	{
		if (mulberry_unit_run(activity, work, argument, private, error))
			return true;
		if (i >= UNIT_TRIES ||
			ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_TRANSACTION_ROLLBACK)
			return false;
	}
}
