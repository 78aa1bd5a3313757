/*
 * patience.h
 *	  How long shared work waits for somebody else's lock: a tenth of a second, and all
 *	  waits of a process together no more than a tenth of the time, so that many
 *	  locked rows do not add up.
 */
#ifndef MULBERRY_PATIENCE_H
#define MULBERRY_PATIENCE_H

#include "postgres.h"

/* ms that the next wait for a lock may take, at least 1. */
extern int mulberry_patience(void);

/* A wait was in vain: it has cost what lock_timeout is now. */
extern void mulberry_patience_spent(void);

/* Sets lock_timeout to what is left, until the end of the function that sets it, or of the transaction. */
extern void mulberry_limit_waits(void);

#endif /* MULBERRY_PATIENCE_H */
