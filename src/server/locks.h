/*
 * locks.h
 *	  Locks of our own, which are advisory ones to the server.
 */
#ifndef MULBERRY_LOCKS_H
#define MULBERRY_LOCKS_H

#include "postgres.h"

#include "storage/lock.h"

/*
 * Our classes of advisory locks, the fourth field of their tag; 1 and 2 belong
 * to SQL's pg_advisory_lock().  pg_locks shows them as objsubid.
 */
typedef enum mulberry_lock_class
{
	MULBERRY_LOCK_CALL = 27757,
	MULBERRY_LOCK_PARTITION,
	MULBERRY_LOCK_EVENT_NUMBERS,
	MULBERRY_LOCK_MAINTENANCE,
	MULBERRY_LOCK_AUDIT_CHAIN
} mulberry_lock_class;

/* Takes a lock of our own until the end of the (sub)transaction. */
extern LockAcquireResult
mulberry_take_lock(mulberry_lock_class lock_class, uint64 key, LOCKMODE mode, bool wait);

/* The same; false when another has it and it is not to be waited for. */
extern bool mulberry_lock(mulberry_lock_class lock_class, uint64 key, LOCKMODE mode, bool wait);

#endif /* MULBERRY_LOCKS_H */
