/*
 * attempt.h
 *	  One attempt at a job, from claim to result: its request is prepared and
 *	  started, its answer taken, its failure recorded.
 *
 * Decides nothing about what jobs ask for or what answers mean (ai.c, verdict.c, the SQL
 * functions of the queue).  Functions run between units of work.
 */
#ifndef MULBERRY_WORKER_ATTEMPT_H
#define MULBERRY_WORKER_ATTEMPT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/ilist.h"
#include "storage/latch.h"

#include "worker/http.h"
#include "worker/job.h"

/* What a worker keeps between turns of its loop. */
typedef struct mulberry_worker
{
	MemoryContext context; /* lives as long as the worker; parent of the jobs' */
	MemoryContext turn;	   /* reset in each turn */
	mulberry_http *http;
	WaitEventSet *events;
	uint32 wait_event;		/* what its sleep is called */
	size_t request_memory;	/* of the jobs under way */
	TimestampTz next_claim; /* when to look into the queue without being woken */
	TimestampTz next_maintenance;
	bool maintains;		 /* one worker of a database does */
	bool waits_for_room; /* what may be due has to wait for the end of a transfer */
	int claimed;		 /* by the last claim */
	int held;			 /* jobs under this worker's lease */
	dlist_head jobs;	 /* these */
	int pending;		 /* those of them whose end could not be stored yet */
	size_t pending_memory;
	TimestampTz next_pending; /* when to try that again */
	uint64 settled;			  /* jobs that this worker has dealt with */
} mulberry_worker;

/* Prepares a claimed job and starts its request, if there is to be one. */
extern void mulberry_attempt_begin(mulberry_worker *worker, mulberry_job *job);

/* Puts a claimed job back, uncounted, because there is no memory for its request now. */
extern void mulberry_attempt_put_back(mulberry_worker *worker, mulberry_job *job);

/* Takes what became of a request. */
extern void mulberry_attempt_settle(mulberry_worker *worker, mulberry_http_answer *answer);

/*
 * Tries again to store how attempts ended for which that was not possible because somebody had
 * locked what they are about; when the time for that has come.
 */
extern void mulberry_attempt_settle_pending(mulberry_worker *worker);

#endif /* MULBERRY_WORKER_ATTEMPT_H */
