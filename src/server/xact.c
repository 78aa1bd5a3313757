/*
 * xact.c
 *	  The one transaction callback and the one subtransaction callback of
 *	  Mulberry.  It knows when things happen; what happens is in the files of
 *	  the subjects.
 *
 * At commit nothing here allocates or raises: the transaction is already
 * visible to others, and an error would turn into a PANIC or into a session that
 * believes to have failed.
 */
#include "server/compat.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "server/shared_state.h"
#include "server/xact.h"

PG_FUNCTION_INFO_V1(mulberry_in_transaction_block);
PG_FUNCTION_INFO_V1(mulberry_require_durable_commit_sql);

#define MAX_END_CALLBACKS 8
#define MAX_SUBJECTS 5

/*
 * What one (sub)transaction has pending.  Dropped when it aborts, given to its
 * parent when it commits.  Lives in TopTransactionContext.
 */
typedef struct xact_level
{
	int nest_level;
	struct xact_level *parent;
	int actions;			/* mulberry_commit_action */
	int call_locks;			/* taken by this one */
	int parents_call_locks; /* taken by those around it, which take no more before it ends */
	void *pending[MAX_SUBJECTS];
} xact_level;

static xact_level *current = NULL;
static mulberry_xact_subject subjects[MAX_SUBJECTS];
static int nsubjects = 0;
static bool own_transactions = false; /* see mulberry_xact_is_own() */
static mulberry_xact_end_callback end_callbacks[MAX_END_CALLBACKS];
static int nend_callbacks = 0;

static void xact_callback(XactEvent event, void *arg);
static void
subxact_callback(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg);
static xact_level *current_level(void);
static void wait_for_standbys(void);
static void refuse_prepare(void);
static void act_on_commit(const xact_level *level);
static void end_transaction(bool committed);

void
mulberry_xact_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

void
mulberry_xact_on_end(mulberry_xact_end_callback callback)
{
	if (nend_callbacks >= MAX_END_CALLBACKS)
		elog(ERROR, "too many callbacks at the end of a transaction");
	end_callbacks[nend_callbacks++] = callback;
}

int
mulberry_xact_register(const mulberry_xact_subject *subject)
{
	if (nsubjects >= MAX_SUBJECTS)
		elog(ERROR, "too many subjects of transactions");
	subjects[nsubjects] = *subject;
	return nsubjects++;
}

void **
mulberry_xact_pending(int subject)
{
	return &current_level()->pending[subject];
}

/* The level of the current (sub)transaction, made when it has none yet. */
static xact_level *
current_level(void)
{
	int nest_level = GetCurrentTransactionNestLevel();

	if (current == NULL || current->nest_level < nest_level)
	{
		xact_level *level = MemoryContextAllocZero(TopTransactionContext, sizeof(xact_level));

		level->nest_level = nest_level;
		level->parent = current;
		level->parents_call_locks = mulberry_xact_call_locks();
		current = level;
	}
	return current;
}

void
mulberry_xact_at_commit(int actions)
{
	current_level()->actions |= actions;
}

bool
mulberry_xact_will(int actions)
{
	for (xact_level *level = current; level != NULL; level = level->parent)
	{
		if (level->actions & actions)
			return true;
	}
	return false;
}

void
mulberry_xact_took_call_lock(void)
{
	current_level()->call_locks++;
}

int
mulberry_xact_call_locks(void)
{
	return current == NULL ? 0 : current->parents_call_locks + current->call_locks;
}

/*
 * The flush is forced at once, because that cannot be taken back anyway; raising
 * synchronous_commit for standbys is left to the end, so that a later SET of the
 * user in the same transaction does not undo it.
 */
void
mulberry_require_durable_commit(void)
{
	ForceSyncCommit();
	mulberry_xact_at_commit(MULBERRY_COMMIT_DURABLE);
}

void
mulberry_require_writable(const char *function)
{
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
	PreventCommandDuringRecovery(function);
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (current != NULL && (current->actions & MULBERRY_COMMIT_DURABLE))
				wait_for_standbys();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (mulberry_xact_will(MULBERRY_COMMIT_DURABLE | MULBERRY_COMMIT_COUNTS) ||
				mulberry_xact_call_locks() > 0)
				refuse_prepare();
			break;
		case XACT_EVENT_COMMIT:
			if (current != NULL)
				act_on_commit(current);
			end_transaction(true);
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			end_transaction(false);
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
			break;
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			current = NULL;
			break;
	}
}

/*
 * Raises synchronous_commit for the rest of this transaction, when standbys are
 * to be waited for and it is too low for that; never lowers it.
 */
static void
wait_for_standbys(void)
{
	if (max_wal_senders == 0 || SyncRepStandbyNames == NULL || SyncRepStandbyNames[0] == '\0' ||
		synchronous_commit >= SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
		return;
	(void) set_config_option("synchronous_commit", "on",
							 /* context */ PGC_USERSET, /* source */ PGC_S_SESSION,
							 /* action */ GUC_ACTION_LOCAL, /* changeVal */ true,
							 /* elevel */ 0, /* is_reload */ false);
}

static void
refuse_prepare(void)
{
	const char *what;
	const char *why;

	if (mulberry_xact_will(MULBERRY_COMMIT_DURABLE))
	{
		what = "has acknowledged something";
		why = "Packets taken, calls changed, money spent and commands applied hold from the commit "
			  "on.";
	}
	else if (mulberry_xact_call_locks() > 0)
	{
		what = "holds the lock of a call";
		why = "It would keep the call from everybody else until it is finished.";
	}
	else
	{
		what = "has ended a job or verified a frame";
		why = "What metrics() tells of is counted by the session that commits it.";
	}
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("cannot PREPARE a transaction that %s", what), errdetail("%s", why)));
}

static void
act_on_commit(const xact_level *level)
{
	mulberry_slot *slot = mulberry_my_slot();
	int actions = level->actions;

	/* before the packets are handed over that who has begun to listen wants */
	if (actions & MULBERRY_COMMIT_CHANNELS_CHANGED)
		mulberry_wake_notifier(slot, /* events_stored */ false, /* audit_recorded */ false,
							   /* channels_changed */ true);
	for (int i = 0; i < nsubjects; i++)
	{
		if (level->pending[i] != NULL)
			subjects[i].commit(level->pending[i]);
	}
	if (actions & (MULBERRY_COMMIT_WAKE_NOTIFIER | MULBERRY_COMMIT_LINK_AUDIT))
		mulberry_wake_notifier(slot, (actions & MULBERRY_COMMIT_WAKE_NOTIFIER) != 0,
							   (actions & MULBERRY_COMMIT_LINK_AUDIT) != 0,
							   /* channels_changed */ false);
	if (actions & MULBERRY_COMMIT_WAKE_WORKERS)
		mulberry_wake_workers(slot);
	if (actions & (MULBERRY_COMMIT_WAKE_LAUNCHER | MULBERRY_COMMIT_EXTENSION_CREATED))
		mulberry_wake_launcher((actions & MULBERRY_COMMIT_EXTENSION_CREATED) != 0);
}

static void
end_transaction(bool committed)
{
	current = NULL;
	for (int i = 0; i < nend_callbacks; i++)
		end_callbacks[i](committed);
}

static void
subxact_callback(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	int nest_level;
	xact_level *level = current;

	if (level == NULL || (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB))
		return;
	nest_level = GetCurrentTransactionNestLevel();
	if (level->nest_level < nest_level)
		return;

	/* A loop with a savepoint in each turn must not pile up what it leaves behind. */
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		current = level->parent;
		for (int i = 0; i < nsubjects; i++)
		{
			if (level->pending[i] != NULL)
				subjects[i].drop(level->pending[i]);
		}
		pfree(level);
	}
	else if (level->parent == NULL || level->parent->nest_level < nest_level - 1)
		level->nest_level = nest_level - 1;
	else
	{
		level->parent->actions |= level->actions;
		level->parent->call_locks += level->call_locks;
		for (int i = 0; i < nsubjects; i++)
		{
			if (level->pending[i] == NULL)
				continue;
			if (level->parent->pending[i] == NULL)
				level->parent->pending[i] = level->pending[i];
			else
				subjects[i].merge(level->parent->pending[i], level->pending[i]);
		}
		current = level->parent;
		pfree(level);
	}
}

void
mulberry_xact_is_own(bool own)
{
	own_transactions = own;
}

/* in_transaction_block(): a procedure that is called between BEGIN and COMMIT cannot commit. */
Datum
mulberry_in_transaction_block(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(IsTransactionBlock() && !own_transactions);
}

/* require_durable_commit() */
Datum
mulberry_require_durable_commit_sql(PG_FUNCTION_ARGS)
{
	mulberry_require_durable_commit();
	PG_RETURN_VOID();
}
