/*
 * refusals.h
 *	  Commands that were refused with an error, on their way to the audit log.
 *
 * The error takes back whatever its transaction has written, so who asked for what is kept in the database's slot
 * of shared memory until the notifier stores it in a transaction of its own.
 */
#ifndef MULBERRY_REFUSALS_H
#define MULBERRY_REFUSALS_H

#include "postgres.h"

/* From _PG_init. */
extern void mulberry_refusals_init(void);

#endif /* MULBERRY_REFUSALS_H */
