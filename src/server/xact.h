/*
 * xact.h
 *	  What happens when a transaction or a subtransaction ends.  xact.c
 *	  registers the only two callbacks; every subject that needs the end of a
 *	  transaction says so here.
 */
#ifndef MULBERRY_XACT_H
#define MULBERRY_XACT_H

#include "postgres.h"

/* What a commit does beyond committing; a set of these. */
typedef enum mulberry_commit_action
{
	MULBERRY_COMMIT_WAKE_NOTIFIER = 1 << 0,		/* a stored event waits for its number */
	MULBERRY_COMMIT_WAKE_WORKERS = 1 << 1,		/* a job is due */
	MULBERRY_COMMIT_WAKE_LAUNCHER = 1 << 2,		/* a database came or went */
	MULBERRY_COMMIT_EXTENSION_CREATED = 1 << 3, /* an extension came */
	MULBERRY_COMMIT_CHANNELS_CHANGED = 1 << 4,	/* event_channels changed */
	MULBERRY_COMMIT_DURABLE = 1 << 5,			/* see mulberry_require_durable_commit() */
	MULBERRY_COMMIT_LINK_AUDIT = 1 << 6,		/* a row of the audit log waits for its link */
	MULBERRY_COMMIT_COUNTS = 1 << 7				/* something is counted, in memory */
} mulberry_commit_action;

/*
 * What a subject keeps until its (sub)transaction ends, allocated in TopTransactionContext.  None of
 * these may allocate or raise.
 */
typedef struct mulberry_xact_subject
{
	void (*commit)(void *pending);			  /* the transaction has committed */
	void (*merge)(void *parent, void *child); /* a subtransaction has: frees "child" */
	void (*drop)(void *pending);			  /* a subtransaction was rolled back: frees it */
} mulberry_xact_subject;

/* From _PG_init only; the result is for mulberry_xact_pending(). */
extern int mulberry_xact_register(const mulberry_xact_subject *subject);

/* Where a subject keeps what is pending in the current (sub)transaction; NULL there: nothing yet. */
extern void **mulberry_xact_pending(int subject);

/*
 * A procedure that commits each step by itself works in subtransactions, which look like somebody's
 * transaction block and are none.
 */
extern void mulberry_xact_is_own(bool own);

/* Registers the callbacks; from _PG_init, once. */
extern void mulberry_xact_init(void);

/* Has the commit of the current (sub)transaction do something more. */
extern void mulberry_xact_at_commit(int actions);

/* True when some (sub)transaction that is still open has asked for one of them. */
extern bool mulberry_xact_will(int actions);

/*
 * The current (sub)transaction has taken the lock of a call, which it did not have: counts it, and
 * has PREPARE TRANSACTION refused.  A subtransaction that is rolled back gives back what it took.
 */
extern void mulberry_xact_took_call_lock(void);

/* The locks of calls that this transaction has. */
extern int mulberry_xact_call_locks(void);

/*
 * Declares that this transaction acknowledges something: its commit is flushed
 * whatever synchronous_commit says, waits for synchronous standbys where there
 * are some, and PREPARE TRANSACTION is refused.
 */
extern void mulberry_require_durable_commit(void);

/*
 * Refuses to write where writing is not allowed: READ ONLY transactions,
 * recovery, parallel workers.
 */
extern void mulberry_require_writable(const char *function);

/*
 * Calls "callback" at the end of every top-level transaction of this backend.
 * From _PG_init only.  It must neither raise nor allocate.
 */
typedef void (*mulberry_xact_end_callback)(bool committed);
extern void mulberry_xact_on_end(mulberry_xact_end_callback callback);

#endif /* MULBERRY_XACT_H */
