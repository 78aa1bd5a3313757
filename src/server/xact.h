/*
 * xact.h
 *	  What happens when a transaction or a subtransaction ends.  xact.c
 *	  registers the only two callbacks; every subject that needs the end of a
 *	  transaction says so here.
 */
#ifndef MULBERRY_XACT_H
#define MULBERRY_XACT_H

#include "postgres.h"

#include "access/xact.h"

#include "server/shared_state.h"

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
	MULBERRY_COMMIT_HOLDS_CALL = 1 << 7			/* the lock of a call goes with the session */
} mulberry_commit_action;

#define MULBERRY_NOTE_BUCKETS 64

/*
 * What one (sub)transaction has pending.  Dropped when it aborts, given to its
 * parent when it commits.  Lives in TopTransactionContext.
 */
typedef struct mulberry_xact_level
{
	int nest_level;
	struct mulberry_xact_level *parent;
	int actions; /* mulberry_commit_action */
	int nnotes;
	uint64 notes_lost; /* packet events beyond what may be pending */
	mulberry_pending_note *first;
	mulberry_pending_note *last;
	mulberry_pending_note *buckets[MULBERRY_NOTE_BUCKETS];
} mulberry_xact_level;

/* Registers the callbacks; from _PG_init, once. */
extern void mulberry_xact_init(void);

/* The level of the current (sub)transaction, made when it has none yet. */
extern mulberry_xact_level *mulberry_xact_current(void);

/* Has the commit of the current (sub)transaction do something more. */
extern void mulberry_xact_at_commit(int actions);

/* True when some (sub)transaction that is still open has asked for one of them. */
extern bool mulberry_xact_will(int actions);

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
