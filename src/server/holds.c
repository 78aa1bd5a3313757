/*
 * holds.c
 *	  Holds on databases.  A backend that is about to drop, rename, move or copy
 *	  a database, or to drop or update the extension in it, holds it until the end of its
 *	  transaction; the launcher stops our processes there, answers, and starts
 *	  none before the last holder has let go.  So they come back by themselves
 *	  when the statement failed.
 *
 * A hold names a database, not a slot: the launcher may be about to give the
 * database a slot.  A hold survives neither its backend nor the server.
 */
#include "server/compat.h"

#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "server/holds.h"
#include "server/monotonic.h"
#include "server/shared_state.h"
#include "server/shared_state_private.h"
#include "server/xact.h"

/* What this backend holds; one statement holds one database. */
#define MAX_OWN_HOLDS 8

static Oid own_holds[MAX_OWN_HOLDS];
static int nown_holds = 0;
static uint32 wait_event = 0;

static bool add_hold(Oid database);
static void set_winner(Oid database);
static void let_go(bool committed);
static void let_go_at_exit(int code, Datum arg);
static mulberry_hold *find_hold(Oid database);
static bool is_stopped(Oid database);

void
mulberry_holds_init(void)
{
	mulberry_xact_on_end(let_go);
}

bool
mulberry_hold_database(Oid database, int timeout_ms)
{
	TimestampTz until = TimestampTzPlusMilliseconds(mulberry_monotonic(), timeout_ms);
	bool stopped;

	if (mulberry_shared == NULL)
		return true;
	if (!add_hold(database))
		return false;
	mulberry_wake_launcher(false);

	if (wait_event == 0)
		wait_event = name_wait_event("MulberryDatabaseStop");
	ConditionVariablePrepareToSleep(&mulberry_shared->stopped);
	for (;;)
	{
		long left;

		stopped = is_stopped(database) || mulberry_launcher_pid() == 0;
		left = TimestampDifferenceMilliseconds(mulberry_monotonic(), until);
		if (stopped || left <= 0)
			break;
		ConditionVariableTimedSleep(&mulberry_shared->stopped, left, wait_event);
	}
	ConditionVariableCancelSleep();
	return stopped;
}

bool
mulberry_hold_database_and_win(Oid database, int timeout_ms)
{
	bool stopped = mulberry_hold_database(database, timeout_ms);

	if (mulberry_shared != NULL)
	{
		set_winner(database);
		mulberry_wake_launcher(false);
	}
	return stopped;
}

static void
set_winner(Oid database)
{
	mulberry_hold *hold;

	LWLockAcquire(mulberry_shared->lock, LW_EXCLUSIVE);
	hold = find_hold(database);
	if (hold != NULL)
		hold->winner = MyProcPid;
	LWLockRelease(mulberry_shared->lock);
}

static bool
add_hold(Oid database)
{
	static bool exit_callback_registered = false;
	mulberry_hold *hold;

	for (int i = 0; i < nown_holds; i++)
	{
		if (own_holds[i] == database)
			return true;
	}
	if (nown_holds == MAX_OWN_HOLDS)
		return false;
	if (!exit_callback_registered)
	{
		before_shmem_exit(let_go_at_exit, (Datum) 0);
		exit_callback_registered = true;
	}

	LWLockAcquire(mulberry_shared->lock, LW_EXCLUSIVE);
	hold = find_hold(database);
	if (hold == NULL)
	{
		hold = find_hold(InvalidOid);
		if (hold != NULL)
		{
			hold->database = database;
			hold->stopped = false;
			hold->winner = 0;
		}
	}
	if (hold != NULL)
	{
		hold->holders++;
		own_holds[nown_holds++] = database;
	}
	LWLockRelease(mulberry_shared->lock);
	return hold != NULL;
}

/* At the end of a transaction; must not raise. */
static void
let_go(bool committed)
{
	if (nown_holds == 0)
		return;
	LWLockAcquire(mulberry_shared->lock, LW_EXCLUSIVE);
	while (nown_holds > 0)
	{
		mulberry_hold *hold = find_hold(own_holds[--nown_holds]);

		if (hold == NULL)
			continue;
		if (hold->winner == MyProcPid)
			hold->winner = 0;
		if (--hold->holders == 0)
			hold->database = InvalidOid;
	}
	LWLockRelease(mulberry_shared->lock);
	mulberry_wake_launcher(false);
}

static void
let_go_at_exit(int code, Datum arg)
{
	let_go(false);
}

/* The caller has the lock.  InvalidOid finds a free one. */
static mulberry_hold *
find_hold(Oid database)
{
	for (int i = 0; i < MULBERRY_MAX_HOLDS; i++)
	{
		if (mulberry_shared->holds[i].database == database)
			return &mulberry_shared->holds[i];
	}
	return NULL;
}

static bool
is_stopped(Oid database)
{
	mulberry_hold *hold;
	bool stopped;

	LWLockAcquire(mulberry_shared->lock, LW_SHARED);
	hold = find_hold(database);
	stopped = hold == NULL || hold->stopped;
	LWLockRelease(mulberry_shared->lock);
	return stopped;
}

bool
mulberry_database_is_held(Oid database)
{
	bool held;

	LWLockAcquire(mulberry_shared->lock, LW_SHARED);
	held = find_hold(database) != NULL;
	LWLockRelease(mulberry_shared->lock);
	return held;
}

void
mulberry_report_stopped(Oid database)
{
	mulberry_hold *hold;

	LWLockAcquire(mulberry_shared->lock, LW_EXCLUSIVE);
	hold = find_hold(database);
	if (hold != NULL)
		hold->stopped = true;
	LWLockRelease(mulberry_shared->lock);
	ConditionVariableBroadcast(&mulberry_shared->stopped);
}

int
mulberry_winners(int *pids, int room)
{
	int count = 0;

	LWLockAcquire(mulberry_shared->lock, LW_SHARED);
	for (int i = 0; i < MULBERRY_MAX_HOLDS && count < room; i++)
	{
		const mulberry_hold *hold = &mulberry_shared->holds[i];

		if (OidIsValid(hold->database) && hold->winner != 0)
			pids[count++] = hold->winner;
	}
	LWLockRelease(mulberry_shared->lock);
	return count;
}

int
mulberry_unanswered_holds(Oid *databases, int room)
{
	int count = 0;

	LWLockAcquire(mulberry_shared->lock, LW_SHARED);
	for (int i = 0; i < MULBERRY_MAX_HOLDS && count < room; i++)
	{
		const mulberry_hold *hold = &mulberry_shared->holds[i];

		if (OidIsValid(hold->database) && !hold->stopped)
			databases[count++] = hold->database;
	}
	LWLockRelease(mulberry_shared->lock);
	return count;
}
