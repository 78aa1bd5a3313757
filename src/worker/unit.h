/*
 * unit.h
 *	  A unit of work: one short transaction, in a background worker or in a
 *	  session that calls run_jobs().  Between units there is no snapshot.
 */
#ifndef MULBERRY_WORKER_UNIT_H
#define MULBERRY_WORKER_UNIT_H

#include "postgres.h"

typedef struct mulberry_unit_error
{
	int sqlerrcode;
	char *message; /* palloc'd in the caller's context */
} mulberry_unit_error;

/*
 * In a session: units commit the transactions of a procedure, which must have
 * connected to SPI with SPI_OPT_NONATOMIC.  False: back to background worker.
 */
extern void mulberry_units_in_session(bool in_session);

/*
 * Runs "work" in a transaction of its own, with SPI connected and a snapshot.
 * True when it was committed.  An error rolls it back and comes back in *error;
 * what ends the process or the caller's statement is not caught.  The error is written to
 * the log unless it is "private", because it may quote what a caller said.
 */
extern bool mulberry_unit_run(const char *activity, void (*work)(void *argument), void *argument,
							  bool private, mulberry_unit_error *error);

/* The same, again when it lost against another transaction (a deadlock, say). */
extern bool mulberry_unit_insist(const char *activity, void (*work)(void *argument), void *argument,
								 bool private, mulberry_unit_error *error);

#endif /* MULBERRY_WORKER_UNIT_H */
