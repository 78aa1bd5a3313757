/*
 * partitions.h
 *	  The partitions of "packets", one for the calls that began on one UTC day.
 */
#ifndef MULBERRY_PARTITIONS_H
#define MULBERRY_PARTITIONS_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"
#include "utils/rel.h"

/* A partition opened for reading or writing. */
typedef struct mulberry_partition
{
	Relation table;
	Relation key;  /* unique index on (call, sequence) */
	bool only_key; /* the table has no other index */
} mulberry_partition;

/*
 * Makes the partition of a day (days since 1970-01-01) unless it exists.
 * Returns true when it was made.  Call it before taking call locks.
 */
extern bool mulberry_make_partition(int32 day);

extern bool mulberry_partition_exists(int32 day);

/*
 * Opens the partition of a day with a lock that stays until the end of the
 * transaction: AccessShareLock to read, RowExclusiveLock to write.  ERRCODE_UNDEFINED_TABLE when there is none.
 */
extern void mulberry_open_partition(int32 day, LOCKMODE mode, mulberry_partition *partition);
extern void mulberry_close_partition(mulberry_partition *partition);

/*
 * Partitions that stay open from one call to the next, in memory of the current context; empty is all zero.  The one of a day is
 * opened as above, to write, unless it is open already.
 */
typedef struct mulberry_open_partitions
{
	List *days; /* of those in the other list */
	List *partitions;
} mulberry_open_partitions;

extern mulberry_partition *mulberry_partition_of_day(mulberry_open_partitions *open, int32 day);
extern void mulberry_close_partitions(mulberry_open_partitions *open);

#endif /* MULBERRY_PARTITIONS_H */
