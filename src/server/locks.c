/*
 * locks.c
 *	  Takes locks of our own; see locks.h.
 */
#include "server/compat.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"

#include "server/locks.h"

PG_FUNCTION_INFO_V1(mulberry_try_maintenance_lock);

LockAcquireResult
mulberry_take_lock(mulberry_lock_class lock_class, uint64 key, LOCKMODE mode, bool wait)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (key >> 32), (uint32) key, lock_class);
	return LockAcquire(&tag, mode, false, !wait);
}

bool
mulberry_lock(mulberry_lock_class lock_class, uint64 key, LOCKMODE mode, bool wait)
{
	return mulberry_take_lock(lock_class, key, mode, wait) != LOCKACQUIRE_NOT_AVAIL;
}

/* try_maintenance_lock() -> boolean: false when another session is at it. */
Datum
mulberry_try_maintenance_lock(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(mulberry_lock(MULBERRY_LOCK_MAINTENANCE, 0, ExclusiveLock, /* wait */ false));
}
