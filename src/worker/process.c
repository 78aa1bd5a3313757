/*
 * process.c
 *	  What notifier and workers have in common: begin, unit of work, end.  It
 *	  knows nothing of what they do.
 */
#include "server/compat.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "access/access.h"
#include "server/catalog.h"
#include "server/extension.h"
#include "server/monotonic.h"
#include "server/patience.h"
#include "server/shared_state.h"
#include "worker/process.h"

#define COMPLAINT_INTERVAL 60000 /* ms between complaints that something is locked */

static mulberry_process_start my_start;
static Oid my_extension = InvalidOid;

static void leave(mulberry_exit_reason reason);
static void complain_about_version(const char *version);
static void complain_about_access(void);
static void become(Oid owner);
static void set_lock_timeout(int ms);

mulberry_slot *
mulberry_process_begin(void)
{
	mulberry_slot *slot;
	Oid owner = InvalidOid;
	char *version;

	/*
	 * die, not a flag: a process that waits for a lock or for the disk must
	 * leave as fast as one that waits for its latch.
	 */
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	memcpy(&my_start, MyBgworkerEntry->bgw_extra, sizeof(my_start));
	slot = mulberry_slot_by_index(my_start.slot);
	if (slot == NULL || mulberry_slot_database(slot) != my_start.database)
		proc_exit(0);

	BackgroundWorkerInitializeConnectionByOid(my_start.database, my_start.role, 0);
	mulberry_process_pin_settings();

	StartTransactionCommand();
	if (!mulberry_find_extension(&my_extension, &owner, &version))
		leave(MULBERRY_EXIT_NO_EXTENSION);
	if (!mulberry_fits(version))
	{
		complain_about_version(version);
		leave(MULBERRY_EXIT_OTHER_VERSION);
	}
	if (OidIsValid(my_start.role) && !mulberry_has_access_everywhere(MULBERRY_ACCESS_WORKER))
	{
		complain_about_access();
		leave(MULBERRY_EXIT_NO_ACCESS);
	}
	CommitTransactionCommand();

	if (!OidIsValid(my_start.role))
		become(owner);
	if (!mulberry_place_attach(slot, my_start.database, my_start.place))
		proc_exit(0);
	return slot;
}

/*
 * Ends the process without a line in the server's log: nothing is wrong.  The
 * launcher reads the reason.
 */
static void
leave(mulberry_exit_reason reason)
{
	mulberry_place_report_exit(mulberry_slot_by_index(my_start.slot), my_start.database,
							   my_start.place, reason);
	proc_exit(0);
}

/* Once, until they fit again. */
static void
complain_about_version(const char *version)
{
	if (my_start.said == MULBERRY_EXIT_OTHER_VERSION)
		return;
	ereport(WARNING,
			errmsg("Mulberry's workers in database \"%s\" wait: the library is version "
				   "%s, the extension there %s",
				   get_database_name(MyDatabaseId), mulberry_library_version, version),
			errhint("%s", mulberry_version_hint(version)));
}

/* Once, until they have it. */
static void
complain_about_access(void)
{
	const char *role;

	if (my_start.said == MULBERRY_EXIT_NO_ACCESS)
		return;
	role = GetUserNameFromId(my_start.role, false);
	ereport(WARNING,
			errmsg("Mulberry's workers in database \"%s\" wait: role \"%s\" has no worker "
				   "access there",
				   get_database_name(MyDatabaseId), role),
			errhint("SELECT mulberry.grant_access(%s, 'worker', NULL);", quote_literal_cstr(role)));
}

/*
 * Without mulberry.worker_role the process runs as the owner of the extension,
 * usually a superuser.  That works out of the box, and is worth a warning, which
 * the notifier writes for all processes of the database.
 */
static void
become(Oid owner)
{
	bool superuser_owner;

	StartTransactionCommand();
	superuser_owner = superuser_arg(owner);
	SetSessionAuthorization(owner, superuser_owner);
	if (my_start.place == MULBERRY_NOTIFIER_PLACE)
		ereport(WARNING, (errmsg("Mulberry's workers in database \"%s\" run as role \"%s\"%s",
								 get_database_name(MyDatabaseId), GetUserNameFromId(owner, false),
								 superuser_owner ? ", a superuser" : ""),
						  errhint("Create a LOGIN role, give it grant_access(role, 'worker', "
								  "null), and set mulberry.worker_role.")));
	CommitTransactionCommand();
}

void
mulberry_process_pin_settings(void)
{
	static const char *const pins[][2] = {
		{ "default_transaction_isolation", "read committed" },
		{ "default_transaction_read_only", "off" },
		{ "default_transaction_deferrable", "off" },
		{ "statement_timeout", "0" },
		{ "lock_timeout", "0" },
		{ "idle_in_transaction_session_timeout", "0" },
		{ "idle_session_timeout", "0" },
		PIN_TRANSACTION_TIMEOUT{ "search_path", MULBERRY_SAFE_SEARCH_PATH },
		{ "jit", "off" },
	};

	for (int i = 0; i < lengthof(pins); i++)
		SetConfigOption(pins[i][0], pins[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

static void
set_lock_timeout(int ms)
{
	char value[12];

	snprintf(value, sizeof(value), "%d", ms);
	SetConfigOption("lock_timeout", value, PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * The lock makes DROP EXTENSION wait for this unit and the next unit wait for
 * DROP EXTENSION, so that no unit finds half of its tables.  For anybody else's locks
 * a unit does not wait.
 */
void
mulberry_process_begin_unit(const char *activity)
{
	Oid extension;
	Oid owner;
	char *version;

	SetCurrentStatementStartTimestamp();
	set_lock_timeout(0);
	StartTransactionCommand();
	LockDatabaseObject(ExtensionRelationId, my_extension, 0, AccessShareLock);
	if (!mulberry_find_extension(&extension, &owner, &version) || extension != my_extension)
	{
		AbortCurrentTransaction();
		leave(MULBERRY_EXIT_NO_EXTENSION);
	}
	if (!mulberry_fits(version))
	{
		AbortCurrentTransaction();
		leave(MULBERRY_EXIT_OTHER_VERSION);
	}
	set_lock_timeout(mulberry_patience());
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, activity);
}

void
mulberry_process_end_unit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* True once in COMPLAINT_INTERVAL. */
static bool
may_complain(void)
{
	static TimestampTz last = 0;
	TimestampTz now = mulberry_monotonic();

	if (last != 0 && !TimestampDifferenceExceeds(last, now, COMPLAINT_INTERVAL))
		return false;
	last = now;
	return true;
}

void
mulberry_process_abort_unit(bool quiet)
{
	HOLD_INTERRUPTS();
	if (geterrcode() == ERRCODE_INSUFFICIENT_PRIVILEGE)
	{
		/* What an update brought is granted by refresh_grants(); until then each step fails alike. */
		if (!quiet && may_complain())
			EmitErrorReport();
	}
	else if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
	{
		if (!quiet)
			EmitErrorReport();
	}
	else
	{
		/* Who keeps a lock for long would fill the log otherwise; health() says who that is. */
		mulberry_patience_spent();
		if (!quiet && may_complain())
			EmitErrorReport();
	}
	AbortCurrentTransaction();
	FlushErrorState();
	pgstat_report_activity(STATE_IDLE, NULL);
	RESUME_INTERRUPTS();
}

bool
mulberry_process_try(void (*step)(void), bool quiet)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = true;

	PG_TRY();
	{
		step();
	}
	PG_CATCH();
	{
		mulberry_process_abort_unit(quiet);
		done = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return done;
}

void
mulberry_process_check_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}
