/*
 * deadlock.c
 *	  DROP EXTENSION takes the locks of everything in an order of its own, so
 *	  under load it runs into deadlocks, and the server's detector ends whoever
 *	  looks first: as a rule the DROP, which is the last to wait.  The launcher
 *	  looks earlier and cancels the other side instead, whose statements would
 *	  fail after the DROP anyway.
 *
 * Nobody is canceled who merely is in the way: a transaction that does not wait
 * for the winner is waited for, as always.
 */
#include "server/compat.h"

#include <signal.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "server/holds.h"
#include "worker/deadlock.h"

/* Processes looked at on the way from a blocker to the winner. */
#define MAX_PATH 256

static int blockers_of(int pid, int *blockers, int room);
static bool waits_for(int pid, int winner);

bool
mulberry_break_deadlocks(void)
{
	int winners[MULBERRY_MAX_HOLDS];
	int count = mulberry_winners(winners, lengthof(winners));
	MemoryContext context;
	MemoryContext old_context;

	if (count == 0)
		return false;
	context = AllocSetContextCreate(TopMemoryContext, "mulberry deadlocks", ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(context);
	for (int i = 0; i < count; i++)
	{
		int blockers[MAX_PATH];
		int nblockers = blockers_of(winners[i], blockers, lengthof(blockers));

		for (int j = 0; j < nblockers; j++)
		{
			if (!waits_for(blockers[j], winners[i]) || BackendPidGetProc(blockers[j]) == NULL)
				continue;
			ereport(LOG,
					(errmsg("canceling process %d, which is in a deadlock with the DROP EXTENSION "
							"of process %d",
							blockers[j], winners[i])));
			(void) kill(blockers[j], SIGINT);
		}
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
	return true;
}

/* Whom a process waits for, as pg_blocking_pids() says. */
static int
blockers_of(int pid, int *blockers, int room)
{
	ArrayType *array =
		DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(pid)));
	Datum *values;
	int nvalues;
	int count = 0;

	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT, &values, NULL, &nvalues);
	for (int i = 0; i < nvalues && count < room; i++)
	{
		/* 0 is a prepared transaction */
		if (DatumGetInt32(values[i]) != 0)
			blockers[count++] = DatumGetInt32(values[i]);
	}
	return count;
}

/* True when the process waits for the winner, or for somebody who does. */
static bool
waits_for(int pid, int winner)
{
	int known[MAX_PATH] = { pid };
	int nknown = 1;

	for (int next = 0; next < nknown; next++)
	{
		int blockers[MAX_PATH];
		int nblockers = blockers_of(known[next], blockers, lengthof(blockers));

		for (int i = 0; i < nblockers; i++)
		{
			bool seen = false;

			if (blockers[i] == winner)
				return true;
			for (int j = 0; j < nknown && !seen; j++)
				seen = known[j] == blockers[i];
			if (!seen && nknown < MAX_PATH)
				known[nknown++] = blockers[i];
		}
	}
	return false;
}
