/*
 * holds.h
 *	  Holding a database: while somebody does, the launcher keeps our processes
 *	  out of it.
 */
#ifndef MULBERRY_HOLDS_H
#define MULBERRY_HOLDS_H

#include "postgres.h"

#define MULBERRY_MAX_HOLDS 64 /* databases held at once */

/* From _PG_init. */
extern void mulberry_holds_init(void);

/*
 * Holds the database until the end of the transaction and waits until none of
 * our processes is connected to it.  False when that took longer than the time,
 * or too many databases are held: the caller goes on all the same.
 */
extern bool mulberry_hold_database(Oid database, int timeout_ms);

/*
 * The same, and from then on the launcher decides deadlocks for this backend: the
 * other side is canceled.  For a statement that takes the locks of everything,
 * in an order of its own, from transactions that would fail after it anyway.
 */
extern bool mulberry_hold_database_and_win(Oid database, int timeout_ms);

/* The launcher's side. */
extern bool mulberry_database_is_held(Oid database);
extern void mulberry_report_stopped(Oid database);

/* The backends for which deadlocks are decided; at most "room", returns how many. */
extern int mulberry_winners(int *pids, int room);

/* The held databases that wait for an answer; at most "room", returns how many. */
extern int mulberry_unanswered_holds(Oid *databases, int room);

#endif /* MULBERRY_HOLDS_H */
