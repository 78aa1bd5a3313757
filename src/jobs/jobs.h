/*
 * jobs.h
 *	  Putting work into the queue, from C.
 */
#ifndef MULBERRY_JOBS_H
#define MULBERRY_JOBS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/*
 * Enqueues a job in the current transaction; workers are woken after its commit.
 * call 0 for work that is about no call; endpoint NULL for the tenant's default of
 * that kind; payload may be NULL.  Returns the job's id.  The caller needs no
 * rights on the table.
 */
extern int64 mulberry_enqueue_job(const char *kind, const pg_uuid_t *tenant, int64 call,
								  const char *endpoint, Jsonb *payload, TimestampTz run_at);

#endif /* MULBERRY_JOBS_H */
