/*
 * process.h
 *	  How every process of Mulberry that serves a database begins, works in
 *	  transactions, and leaves.
 */
#ifndef MULBERRY_PROCESS_H
#define MULBERRY_PROCESS_H

#include "postgres.h"

#include "server/shared_state.h"

/* What the launcher tells the process it starts, in bgw_extra. */
typedef struct mulberry_process_start
{
	Oid database;
	Oid role; /* to run as; InvalidOid: the extension's owner */
	int slot;
	int place;
	mulberry_exit_reason said; /* what the log knows already; a failure: nothing */
} mulberry_process_start;

/*
 * First call of an entry point.  Sets signal handlers (SIGTERM: die, SIGHUP:
 * reload), connects, checks that the extension exists and is of the library's
 * version and that the role may work, becomes the role to run as, pins settings, and attaches to its place.
 * Returns the slot of its database; does not return when there is nothing to
 * serve.
 */
extern mulberry_slot *mulberry_process_begin(void);

/* What the settings of a database, a role or the server must not change under us, nor how long we may live. */
extern void mulberry_process_pin_settings(void);

/*
 * A unit of work.  begin starts a transaction, with the extension locked against
 * DROP EXTENSION; the process leaves when it is gone or of another version.  A snapshot is active until
 * the end.  Between units there is neither transaction nor snapshot.
 */
extern void mulberry_process_begin_unit(const char *activity);
extern void mulberry_process_end_unit(void);

/*
 * After an error in a unit, from PG_CATCH: reports it unless "quiet", and aborts.  That a lock was
 * not to be had is reported once a minute.
 */
extern void mulberry_process_abort_unit(bool quiet);

/*
 * Runs a step that is one unit; false when it raised an error, which is reported unless "quiet" and over
 * then.  The memory context stays the caller's.
 */
extern bool mulberry_process_try(void (*step)(void), bool quiet);

/*
 * Once a turn, after the latch was reset: handles interrupts (SIGTERM, barriers)
 * and reloads the configuration when asked to.
 */
extern void mulberry_process_check_interrupts(void);

#endif /* MULBERRY_PROCESS_H */
