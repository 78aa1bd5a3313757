/*
 * launcher.c
 *	  Keeps, for each database in mulberry.databases, one notifier and
 *	  mulberry.workers workers alive.  It is connected to the shared catalogs only
 *	  and holds nothing that would be in anybody's way.  It must not look into a
 *	  database: whether the extension exists there it learns from the notifier,
 *	  which is started first and leaves with a reason when there is none.
 *
 * A database is, from the launcher's point of view, in one of these states:
 *
 *	probing		its notifier is being started; workers wait for it to attach
 *	served		the notifier has attached: the extension exists; workers run
 *	absent		a process left because the extension is missing: nothing runs until
 *				the next look, LOOK_INTERVAL later or as soon as one is created
 *	unfit		the same for an extension of another version than this library, until
 *				it is updated, or else REST_INTERVAL later
 *	closed		the same where the workers' role has no worker access, until the next look
 *	held		some backend wants the database without us: nothing runs
 *	leaving		no longer wanted (list changed, dropped, renamed, other role):
 *				everything stops, then the slot is given back
 *
 * What comes from where:
 *
 *	statement								sends						the launcher
 *	DROP DATABASE d							hold on d, before			stops d, answers; at the
 *	ALTER DATABASE d RENAME, SET TABLESPACE								end of the transaction
 *	CREATE DATABASE x TEMPLATE d										looks again at what exists
 *	DROP EXTENSION mulberry (or one			hold on this database,		the same; and cancels who is
 *	  with CASCADE)							before						in a deadlock with it
 *	ALTER EXTENSION mulberry UPDATE			as DROP EXTENSION, and as	the same
 *											CREATE EXTENSION
 *	CREATE EXTENSION mulberry				"extension created",		probes absent and unfit
 *											after commit				databases at once
 *	CREATE DATABASE, ALTER DATABASE			wake-up, after commit		looks again at what exists
 *	pg_reload_conf()						SIGHUP						reads the settings, starts
 *																		and stops accordingly
 *	a process ends							SIGUSR1 (postmaster)		starts it again; after a
 *																		failure 1, 2, 4 … 60 s later
 */
#include "server/compat.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"
#include "utils/wait_event.h"

#include "server/guc.h"
#include "server/holds.h"
#include "server/monotonic.h"
#include "server/shared_state.h"
#include "worker/deadlock.h"
#include "worker/launcher.h"
#include "worker/process.h"
#include "worker/shared_catalogs.h"

#define LAUNCHER_RESTART_TIME 5 /* s */
#define LOOK_INTERVAL 5000		/* ms between looks for what is missing */
#define REST_INTERVAL 60000		/* ms between looks when all is well */
#define FULL_INTERVAL 10000		/* ms until the next try when no process can be registered */
#define DEADLOCK_INTERVAL 20	/* ms between looks for deadlocks with DROP EXTENSION */
#define MAX_DELAY 60			/* s, longest wait after failures */

typedef struct process
{
	BackgroundWorkerHandle *handle; /* NULL: none runs */
	bool told_to_stop;
	int failures; /* in a row */
	TimestampTz started_at;
	TimestampTz not_before; /* of the next start */
} process;

typedef struct database
{
	Oid oid; /* InvalidOid: this entry is free */
	NameData name;
	Oid role;				   /* that its processes run as; InvalidOid: the owner */
	bool wanted;			   /* in the list, and still the same database and role */
	bool served;			   /* the extension is known to exist */
	TimestampTz look_again;	   /* not before, when it is not */
	mulberry_exit_reason said; /* why nothing runs, as the log knows; a failure: nothing */
	mulberry_slot *slot;
	process processes[MULBERRY_PLACES];
} database;

static uint32 wait_event;

static database *databases = NULL;	   /* mulberry_max_databases entries */
static bool something_missing = false; /* look again after LOOK_INTERVAL */

/* What was already said to the log since the last reload. */
static bool said_no_slot = false;
static bool said_no_process = false;
static bool said_bad_list = false;
static bool said_no_role = false;

extern PGDLLEXPORT void mulberry_launcher_main(Datum arg);

static void stop_everything(int code, Datum arg);
static void reload(void);
static void look_at_databases(void);
static void want_database(const char *name, Oid role);
static database *find_database(Oid oid);
static void release_orphans(void);
static void tend(database *db, TimestampTz now, TimestampTz *wake_at);
static void reap(database *db, TimestampTz now);
static void process_failed(database *db, process *p, TimestampTz now);
static bool stop_processes(database *db);
static void stop_process(process *p);
static void start_process(database *db, int place, TimestampTz now, TimestampTz *wake_at);
static void answer_holds(void);

void
mulberry_launcher_init(void)
{
	BackgroundWorker worker;

	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	/* a standby starts nothing before it is promoted */
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = LAUNCHER_RESTART_TIME;
	strlcpy(worker.bgw_library_name, "mulberry", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "mulberry_launcher_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "mulberry launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "mulberry launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

void
mulberry_launcher_main(Datum arg)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	mulberry_process_pin_settings();

	wait_event = name_wait_event("MulberryLauncher");
	databases = MemoryContextAllocZero(TopMemoryContext, sizeof(database) * mulberry_max_databases);
	before_shmem_exit(stop_everything, (Datum) 0);
	mulberry_launcher_attach();

	for (;;)
	{
		TimestampTz now;
		TimestampTz wake_at;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
			reload();

		look_at_databases();
		now = mulberry_monotonic();
		wake_at =
			TimestampTzPlusMilliseconds(now, something_missing ? LOOK_INTERVAL : REST_INTERVAL);
		for (int i = 0; i < mulberry_max_databases; i++)
		{
			if (OidIsValid(databases[i].oid))
				tend(&databases[i], now, &wake_at);
		}
		answer_holds();
		if (mulberry_break_deadlocks())
			wake_at = Min(wake_at, TimestampTzPlusMilliseconds(now, DEADLOCK_INTERVAL));

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 TimestampDifferenceMilliseconds(mulberry_monotonic(), wake_at),
						 wait_event);
		ResetLatch(MyLatch);
	}
}

/* Handles die with the launcher; processes without one could not be stopped any more. */
static void
stop_everything(int code, Datum arg)
{
	for (int i = 0; i < mulberry_max_databases; i++)
	{
		for (int place = 0; place < MULBERRY_PLACES; place++)
		{
			if (databases[i].processes[place].handle != NULL)
				TerminateBackgroundWorker(databases[i].processes[place].handle);
		}
	}
}

static void
reload(void)
{
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	said_no_slot = said_no_process = said_bad_list = said_no_role = false;
	for (int i = 0; i < mulberry_max_databases; i++)
	{
		/* somebody may just have repaired what made them fail */
		databases[i].look_again = 0;
		databases[i].said = MULBERRY_EXIT_FAILURE;
		for (int place = 0; place < MULBERRY_PLACES; place++)
		{
			databases[i].processes[place].failures = 0;
			databases[i].processes[place].not_before = 0;
		}
	}
}

/*
 * Compares the list of names with the databases that exist.  Names are looked up
 * each time, because databases come, go and are renamed.
 */
static void
look_at_databases(void)
{
	char *list;
	List *names = NIL;
	ListCell *cell;
	Oid role = InvalidOid;
	bool role_known = true;

	StartTransactionCommand();
	something_missing = false;
	for (int i = 0; i < mulberry_max_databases; i++)
		databases[i].wanted = false;

	if (mulberry_worker_role[0] != '\0')
	{
		role = mulberry_look_up_role(mulberry_worker_role);
		role_known = OidIsValid(role);
		if (!role_known)
		{
			something_missing = true;
			if (!said_no_role)
				ereport(WARNING, (errcode(ERRCODE_UNDEFINED_OBJECT),
								  errmsg("role \"%s\" of mulberry.worker_role does not exist, no "
										 "workers are started",
										 mulberry_worker_role)));
			said_no_role = true;
		}
		else
			said_no_role = false;
	}

	list = pstrdup(mulberry_databases);
	if (!SplitGUCList(list, ',', &names))
	{
		if (!said_bad_list)
			ereport(
				WARNING,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("mulberry.databases is not a list of names: \"%s\"", mulberry_databases),
				 errhint("Separate names by commas and put unusual ones in double quotes.")));
		said_bad_list = true;
		names = NIL;
	}
	if (role_known)
	{
		foreach (cell, names)
			want_database((const char *) lfirst(cell), role);
	}
	CommitTransactionCommand();
	release_orphans();

	if (mulberry_launcher_take_extension_created())
	{
		for (int i = 0; i < mulberry_max_databases; i++)
			databases[i].look_again = 0;
	}
}

static void
want_database(const char *name, Oid role)
{
	Oid oid = mulberry_look_up_database(name);
	database *db;

	if (!OidIsValid(oid))
	{
		something_missing = true;
		return;
	}

	db = find_database(oid);
	if (db == NULL)
	{
		mulberry_slot *slot;

		db = find_database(InvalidOid);
		slot = db != NULL ? mulberry_slot_claim(oid) : NULL;
		if (slot == NULL)
		{
			something_missing = true;
			if (!said_no_slot)
				ereport(WARNING,
						(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						 errmsg("no room in shared memory for database \"%s\"", name),
						 errhint("mulberry.max_databases is %d; raise it and restart the server.",
								 mulberry_max_databases)));
			said_no_slot = true;
			return;
		}
		memset(db, 0, sizeof(*db));
		db->oid = oid;
		db->role = role;
		db->slot = slot;
	}
	namestrcpy(&db->name, name);
	/* with another role, all leave first and are started again afterwards */
	db->wanted = db->role == role;
}

static database *
find_database(Oid oid)
{
	for (int i = 0; i < mulberry_max_databases; i++)
	{
		if (databases[i].oid == oid)
			return &databases[i];
	}
	return NULL;
}

/* Slots that a launcher before this one gave and could not take back. */
static void
release_orphans(void)
{
	mulberry_slot *slot;

	for (int i = 0; (slot = mulberry_slot_by_index(i)) != NULL; i++)
	{
		Oid oid = mulberry_slot_database(slot);
		bool empty = true;

		if (!OidIsValid(oid) || find_database(oid) != NULL)
			continue;
		for (int place = 0; place < MULBERRY_PLACES; place++)
			empty = empty && mulberry_slot_place_pid(slot, place) == 0;
		if (empty)
			mulberry_slot_release(slot);
		else
			something_missing = true;
	}
}

/*
 * Does what the state of a database asks for.  Lowers *wake_at to the time at
 * which something is to be done here.
 */
static void
tend(database *db, TimestampTz now, TimestampTz *wake_at)
{
	reap(db, now);
	if (!db->wanted)
	{
		if (stop_processes(db))
		{
			mulberry_slot_release(db->slot);
			db->oid = InvalidOid;
			something_missing = true;
			*wake_at = now; /* with another role it is wanted again */
		}
		return;
	}
	if (mulberry_database_is_held(db->oid))
	{
		stop_processes(db);
		return;
	}

	if (mulberry_slot_place_pid(db->slot, MULBERRY_NOTIFIER_PLACE) != 0)
	{
		db->served = true;
		db->said = MULBERRY_EXIT_FAILURE;
	}
	if (!db->served && now < db->look_again)
	{
		stop_processes(db);
		*wake_at = Min(*wake_at, db->look_again);
		return;
	}

	for (int place = 0; place < MULBERRY_PLACES; place++)
	{
		process *p = &db->processes[place];
		bool runs = place == MULBERRY_NOTIFIER_PLACE ||
					(db->served && place < MULBERRY_FIRST_WORKER_PLACE + mulberry_workers);

		if (!runs && p->handle != NULL)
			stop_process(p);
		else if (runs && p->handle == NULL)
			start_process(db, place, now, wake_at);
	}
}

/* Finds out which processes have ended, and why. */
static void
reap(database *db, TimestampTz now)
{
	for (int place = 0; place < MULBERRY_PLACES; place++)
	{
		process *p = &db->processes[place];
		pid_t pid;

		if (p->handle == NULL || GetBackgroundWorkerPid(p->handle, &pid) != BGWH_STOPPED)
			continue;
		pfree(p->handle);
		p->handle = NULL;
		if (p->told_to_stop)
		{
			p->failures = 0;
			p->not_before = 0;
			continue;
		}
		switch (mulberry_slot_exit_reason(db->slot, place))
		{
			case MULBERRY_EXIT_NO_EXTENSION:
				db->served = false;
				db->look_again = TimestampTzPlusMilliseconds(now, LOOK_INTERVAL);
				break;
			case MULBERRY_EXIT_NO_ACCESS:
				db->look_again = TimestampTzPlusMilliseconds(now, LOOK_INTERVAL);
				db->said = MULBERRY_EXIT_NO_ACCESS;
				db->served = false;
				break;
			case MULBERRY_EXIT_OTHER_VERSION:
				/* whoever notices while it works has not said so; a probe does, once */
				db->look_again = db->served ? now : TimestampTzPlusMilliseconds(now, REST_INTERVAL);
				db->said = db->served ? MULBERRY_EXIT_FAILURE : MULBERRY_EXIT_OTHER_VERSION;
				db->served = false;
				if (place != MULBERRY_NOTIFIER_PLACE)
					p->not_before = TimestampTzPlusMilliseconds(now, LOOK_INTERVAL);
				break;
			case MULBERRY_EXIT_RESTART:
				p->not_before = 0;
				break;
			case MULBERRY_EXIT_FAILURE:
				process_failed(db, p, now);
				break;
		}
	}
}

/* Waits longer after each failure; one that ran for long enough starts afresh. */
static void
process_failed(database *db, process *p, TimestampTz now)
{
	int delay;

	if (TimestampDifferenceExceeds(p->started_at, now, MAX_DELAY * 1000))
		p->failures = 0;
	delay = p->failures >= 6 ? MAX_DELAY : 1 << p->failures;
	p->failures++;
	p->not_before = TimestampTzPlusMilliseconds(now, delay * 1000);
	ereport(DEBUG1,
			(errmsg_internal("a process of database \"%s\" failed, starting it again in %d s",
							 NameStr(db->name), delay)));
}

/* True when none runs any more. */
static bool
stop_processes(database *db)
{
	bool all_gone = true;

	for (int place = 0; place < MULBERRY_PLACES; place++)
	{
		if (db->processes[place].handle != NULL)
		{
			stop_process(&db->processes[place]);
			all_gone = false;
		}
	}
	if (all_gone)
		db->served = false;
	return all_gone;
}

static void
stop_process(process *p)
{
	if (!p->told_to_stop)
		TerminateBackgroundWorker(p->handle);
	p->told_to_stop = true;
}

static void
start_process(database *db, int place, TimestampTz now, TimestampTz *wake_at)
{
	process *p = &db->processes[place];
	mulberry_process_start start;
	BackgroundWorker worker;
	const char *type = place == MULBERRY_NOTIFIER_PLACE ? "notifier" : "worker";
	MemoryContext old_context;
	bool registered;

	if (now < p->not_before)
	{
		*wake_at = Min(*wake_at, p->not_before);
		return;
	}
	mulberry_place_report_exit(db->slot, db->oid, place, MULBERRY_EXIT_FAILURE);

	start.database = db->oid;
	start.role = db->role;
	start.slot = mulberry_slot_index(db->slot);
	start.place = place;
	start.said = db->said;
	StaticAssertStmt(sizeof(start) <= BGW_EXTRALEN, "start message too large");

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART; /* that is the launcher's business */
	strlcpy(worker.bgw_library_name, "mulberry", BGW_MAXLEN);
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "mulberry_%s_main", type);
	snprintf(worker.bgw_type, BGW_MAXLEN, "mulberry %s", type);
	if (place == MULBERRY_NOTIFIER_PLACE)
		snprintf(worker.bgw_name, BGW_MAXLEN, "mulberry notifier (%s)", NameStr(db->name));
	else
		snprintf(worker.bgw_name, BGW_MAXLEN, "mulberry worker %d (%s)", place, NameStr(db->name));
	worker.bgw_notify_pid = MyProcPid;
	memcpy(worker.bgw_extra, &start, sizeof(start));

	old_context = MemoryContextSwitchTo(TopMemoryContext); /* for the handle */
	registered = RegisterDynamicBackgroundWorker(&worker, &p->handle);
	MemoryContextSwitchTo(old_context);
	if (!registered)
	{
		p->handle = NULL;
		p->not_before = TimestampTzPlusMilliseconds(now, FULL_INTERVAL);
		*wake_at = Min(*wake_at, p->not_before);
		if (!said_no_process)
			ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
							  errmsg("no background process left for \"%s\"", worker.bgw_name),
							  errhint("max_worker_processes is %d; each database needs 1 + "
									  "mulberry.workers, beside the launcher and what others use.",
									  max_worker_processes)));
		said_no_process = true;
		return;
	}
	p->told_to_stop = false;
	p->started_at = now;
}

/*
 * Tells those who hold a database that none of our processes is in it: it is
 * none of ours, or all of them have ended.
 */
static void
answer_holds(void)
{
	Oid held[MULBERRY_MAX_HOLDS];
	int count = mulberry_unanswered_holds(held, lengthof(held));

	for (int i = 0; i < count; i++)
	{
		database *db = find_database(held[i]);
		bool running = false;

		for (int place = 0; db != NULL && place < MULBERRY_PLACES; place++)
			running = running || db->processes[place].handle != NULL;
		if (!running)
			mulberry_report_stopped(held[i]);
	}
}
