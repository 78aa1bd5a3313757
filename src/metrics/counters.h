/*
 * counters.h
 *	  Counting what metrics() shows: in shared memory, by tenant, since the database was given its slot.
 *
 * What a transaction counts is added when it has committed, and never when it is rolled back; so a
 * transaction that has counted cannot be prepared.  What a prepared transaction may do is counted
 * afterwards, when its events are numbered.
 *
 * Without preloading, and in a database that mulberry.databases has never named, nothing is counted.
 */
#ifndef MULBERRY_COUNTERS_H
#define MULBERRY_COUNTERS_H

#include "postgres.h"

#include "utils/uuid.h"

#include "metrics/metric_kinds.h"

/* From _PG_init. */
extern void mulberry_counters_init(void);

/*
 * Adds "n" to the counter that the i-th and the j-th value of the metric's labels name, 0 where it has
 * no such label.  It costs next to nothing and never waits.
 */
extern void mulberry_count(mulberry_metric metric, int i, int j, const pg_uuid_t *tenant, uint64 n);

/* The same by the values themselves, NULL where it has no such label.  One that is not known counts nothing. */
extern void mulberry_count_named(mulberry_metric metric, const char *first, const char *second,
								 const pg_uuid_t *tenant);

#endif /* MULBERRY_COUNTERS_H */
