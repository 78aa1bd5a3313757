/*
 * calls.h
 *	  The call lock and what other subjects need to know about calls.
 */
#ifndef MULBERRY_CALLS_H
#define MULBERRY_CALLS_H

#include "postgres.h"

#include "utils/uuid.h"

/*
 * Takes the call lock until the end of the transaction: a heavyweight lock of
 * our own class on a 64-bit hash of (tenant, call_id).  Taken before any row
 * lock on the call, and before its state is read.
 */
extern void mulberry_lock_call(const pg_uuid_t *tenant, const char *call_id, int length);

#endif							/* MULBERRY_CALLS_H */
