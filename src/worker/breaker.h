/*
 * breaker.h
 *	  What the last requests to each endpoint say about the next one that fails; the judgement is
 *	  core/state/outcomes.h's.  The workers of a database share what they saw, in memory; without
 *	  preloading a session that runs jobs knows its own.  What follows is in the table
 *	  endpoint_state, which is written only when something changes: a row that every finished
 *	  transfer writes would be one that all fight for.
 */
#ifndef MULBERRY_WORKER_BREAKER_H
#define MULBERRY_WORKER_BREAKER_H

#include "postgres.h"

#include "core/state/outcomes.h"
#include "worker/job.h"

/* From _PG_init. */
extern void mulberry_breaker_init(void);

/* Remembers what became of a job's request. */
extern mb_judgement mulberry_breaker_record(const mulberry_job *job, mb_outcome outcome);

#endif /* MULBERRY_WORKER_BREAKER_H */
