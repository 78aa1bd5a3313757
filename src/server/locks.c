/*
 * locks.c
 *	  Takes locks of our own; see locks.h.
 */
#include "server/compat.h"

#include "miscadmin.h"
#include "storage/lock.h"

#include "server/locks.h"

bool
mulberry_lock(mulberry_lock_class lock_class, uint64 key, LOCKMODE mode, bool wait)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (key >> 32), (uint32) key, lock_class);
	return LockAcquire(&tag, mode, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
}
