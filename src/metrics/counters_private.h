/*
 * counters_private.h
 *	  Layout of the counters in shared memory, for counters.c and counted.c only.
 */
#ifndef MULBERRY_COUNTERS_PRIVATE_H
#define MULBERRY_COUNTERS_PRIVATE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "utils/uuid.h"

#include "metrics/metric_kinds.h"
#include "server/shared_state.h"

/* Tenants that are counted apart, in a table with room enough that one is found soon. */
#define MULBERRY_COUNTED_TENANTS 400
#define MULBERRY_COUNTER_BLOCKS (1 + 512) /* the first is of all others */

typedef struct mulberry_counter_block
{
	pg_atomic_uint32 used; /* set when "tenant" is; never of the first */
	pg_uuid_t tenant;
	pg_atomic_uint64 cells[FLEXIBLE_ARRAY_MEMBER];
} mulberry_counter_block;

/* The section of a slot: this and the blocks. */
typedef struct mulberry_counters
{
	int ntenants;	   /* blocks in use; under the slot's lock */
	TimestampTz since; /* when all began at 0 */
} mulberry_counters;

extern mulberry_counters *mulberry_counters_of(mulberry_slot *slot);
extern mulberry_counter_block *mulberry_counter_block_at(mulberry_counters *counters, int i);

/* Cells of a tenant in all; the first that belongs to these values of a metric's labels, and how many do. */
extern int mulberry_metric_cells(void);
extern int mulberry_metric_cell(mulberry_metric metric, int i, int j);
extern int mulberry_metric_width(const mulberry_metric_kind *kind);

#endif /* MULBERRY_COUNTERS_PRIVATE_H */
