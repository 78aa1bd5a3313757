/*
 * jobs.h
 *	  Runs work in child processes, a bounded number at once, with a bounded queue.
 *
 * A job is a fork of the server, which has the models loaded: children share them
 * (copy on write), start in milliseconds, and begin with the same state each time, so
 * that an answer does not depend on earlier requests.  What a library leaks
 * or breaks ends with the child, and a job whose client went away is killed.
 * The server has one thread, so forking it is safe.
 */
#ifndef SPEECH_JOBS_H
#define SPEECH_JOBS_H

#include <stdbool.h>

#include "http/loop.h"
#include "options.h"
#include "reply.h"

typedef enum speech_job_kind
{
	SPEECH_JOB_TRANSCRIPTION,
	SPEECH_JOB_SYNTHESIS
} speech_job_kind;

#define SPEECH_JOB_KINDS 2

typedef struct speech_job speech_job;

/* What to do.  work runs in the child, the others in the server. */
typedef struct speech_task
{
	void (*work)(const void *input, speech_reply *reply);
	void (*release)(void *input); /* frees the input once the child has it, or nobody wants it */
	void *input;
	void (*done)(void *owner, speech_reply *reply); /* takes the contents of reply */
	void *owner;
} speech_task;

typedef struct speech_job_stats
{
	int limit; /* jobs at once */
	int running;
	int queued;
	unsigned long done; /* the child gave an answer, be it an error */
	unsigned long failed;
	unsigned long cancelled;
	unsigned long refused; /* the queue was full */
} speech_job_stats;

/* Before anything else here.  SIGCHLD must be blocked; speech_jobs_reap() follows it. */
extern void speech_jobs_init(http_loop *loop, const speech_options *options);

/* Whether a job of that kind would be taken; else counts a refusal. */
extern bool speech_jobs_admit(speech_job_kind kind);

/*
 * Starts or queues a job.  NULL when there is no room, then the input still
 * belongs to the caller.  done is called once, never from within this
 * function, and the job is gone then.
 */
extern speech_job *speech_job_submit(speech_job_kind kind, const speech_task *task);

/* Kills a job that nobody waits for any more; done is not called. */
extern void speech_job_cancel(speech_job *job);

/* Looks for children that ended. */
extern void speech_jobs_reap(void);

/* Starts queued jobs where there is room and kills those out of time. */
extern void speech_jobs_tick(double now);

/* Refuses what is queued and what comes; running jobs go on. */
extern void speech_jobs_drain(void);

/* Refuses what is queued, kills what is running and waits until it is gone; the owners are told. */
extern void speech_jobs_kill(void);

/* Seconds after which a refused client may find room. */
extern int speech_jobs_retry_after(speech_job_kind kind);

extern speech_job_stats speech_jobs_stats(speech_job_kind kind);

#endif /* SPEECH_JOBS_H */
