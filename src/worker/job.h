/*
 * job.h
 *	  A job as a worker holds it between claim and finish, and the queue's side
 *	  of its life.  What a kind of job does is not known here.
 *
 * The functions run SQL and belong inside a unit of work.  Everything they may do
 * in the database they do through functions that the access "worker" is granted.
 */
#ifndef MULBERRY_WORKER_JOB_H
#define MULBERRY_WORKER_JOB_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/ilist.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "core/state/outcomes.h"
#include "jobs/kinds.h"
#include "worker/audio_parts.h"
#include "worker/http.h"

typedef struct mulberry_job
{
	MemoryContext context; /* holds the job and all it points to */
	dlist_node node;	   /* in the worker's list of jobs */
	int64 id;
	int64 lease_token;
	char *kind_name;
	const mulberry_job_kind *kind; /* NULL: none of that name is known here */
	pg_uuid_t tenant;
	int64 call;		/* 0: about none */
	Jsonb *payload; /* NULL: none */
	int attempts;	/* this one included */
	int max_attempts;
	int64 route;		   /* endpoints.id; 0: needs none */
	bool probe;			   /* asks a failing endpoint whether it is back */
	TimestampTz failed_at; /* when it failed last through its endpoint; 0: never */

	/* its endpoint, once prepared; NULL or 0 when it needs none */
	char *endpoint;
	const mulberry_endpoint_kind *endpoint_kind;
	char *base_url;
	char *model;
	char *secret;							  /* its name */
	pg_uuid_t secret_tenant;				  /* whose it is */
	bool no_secret;							  /* there is none by that name */
	bool shared;							  /* the endpoint serves all tenants */
	bool own_key;							  /* and the tenant has a key of its own there */
	bool coming_back;						  /* it had an outage, and gets its jobs by degrees */
	const struct mulberry_protocol *protocol; /* of its kind */
	Jsonb *options;
	List *refused;		 /* parameters that the service is known not to take, as strings */
	int64 configuration; /* of the endpoint: another number when it was set anew */
	int timeout_ms;
	bool allow_http;
	bool allow_private;

	/* its request, and what is known about what is in it */
	mulberry_http_request request;
	size_t request_memory;	 /* bytes */
	size_t accounted_memory; /* of these, as the worker has counted them */
	Jsonb *facts;

	/* long audio, which goes in parts one after another */
	bytea *audio; /* the whole WAV; NULL when it goes as JSON */
	mulberry_audio_division division;
	int parts;				/* 0 or 1: in one request */
	int part;				/* from 0 */
	double part_start;		/* of what is in the request, in s from the beginning of the call */
	double part_seconds;	/* its duration in s; NaN: it is text */
	char *part_wav;			/* NULL: the whole goes as it is */
	int sent_seconds;		/* of audio in the request, rounded up */
	char *heard_in_silence; /* words for audio in which nobody speaks; NULL: none */
	StringInfo text;		/* of the parts before */
	int dropped_segments;

	struct mulberry_call_order *order; /* what a telephone service is asked; NULL: nothing */

	/* what this attempt has learnt about the service; kept when its answer is taken */
	bool objected; /* "refused" has grown */
	bool unstored; /* an answer was read, and could not be stored so far */

	struct mulberry_pending *pending; /* what could not be stored yet, see attempt.c */
} mulberry_job;

/* How an attempt ended that did not succeed. */
typedef enum mulberry_failure
{
	MULBERRY_FAILURE_TRANSIENT,	  /* counts; tried again by the schedule */
	MULBERRY_FAILURE_ENDPOINT,	  /* may be the endpoint's; counts when that serves others */
	MULBERRY_FAILURE_TIMEOUT,	  /* the same, because the time was over */
	MULBERRY_FAILURE_LIMITED,	  /* too many requests; does not count */
	MULBERRY_FAILURE_PERMANENT,	  /* trying again would not help */
	MULBERRY_FAILURE_UNREACHABLE, /* nothing was sent; does not count */
	MULBERRY_FAILURE_BLOCKED,	  /* somebody has locked what it is about; does not count */
	MULBERRY_FAILURE_ABANDONED	  /* the worker stops; does not count */
} mulberry_failure;

/* What there is to do for a job that was claimed. */
typedef enum mulberry_job_status
{
	MULBERRY_JOB_READY,
	MULBERRY_JOB_SETTLED /* nothing more: not ours any more, given up, or sent back */
} mulberry_job_status;

/*
 * Claims at most "limit" due jobs; each gets a context below "parent".  "slots" transfers may
 * run at once, and "reserve" more for tenants and endpoints that run few of those in "held", a
 * list of mulberry_job.
 */
extern List *
mulberry_jobs_claim(int limit, int slots, int reserve, dlist_head *held, MemoryContext parent);

/* Moves the call on, finds the endpoint; see prepare_job(). */
extern mulberry_job_status mulberry_job_prepare(mulberry_job *job);

/*
 * Ends an attempt that failed: tried again later, or dead.  retry_after in
 * seconds, 0 when the endpoint said nothing; evidence: what is known of others there.
 */
extern void mulberry_job_fail(mulberry_job *job, mulberry_failure failure, const char *error,
							  int64 retry_after, const mb_judgement *evidence);

/* Puts back all jobs of this process that it has not finished, uncounted. */
extern void mulberry_jobs_release(void);

/* ms until some job may be due, at most "limit". */
extern long mulberry_jobs_next_due(long limit);

/*
 * An endpoint fails, as "evidence" has it: for all tenants, or for the job's.
 */
extern void
mulberry_endpoint_report(const mulberry_job *job, const mb_judgement *evidence, const char *error);

/* What a probe found; key_failed: the endpoint is there, and refuses the tenant's own key. */
extern void
mulberry_probe_report(const mulberry_job *job, bool available, bool key_failed, const char *error);

/* An endpoint that comes back from an outage has served a request. */
extern void mulberry_served_report(const mulberry_job *job);

/* A probe was not sent after all: the next job may be one. */
extern void mulberry_probe_withdraw(const mulberry_job *job);

#endif /* MULBERRY_WORKER_JOB_H */
