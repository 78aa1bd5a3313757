/*
 * outcomes.h
 *	  What became of the last requests to a service, and what that says of the next failure: is it the
 *	  service, what one tenant has there, or the job that was asked for?
 *
 * The rule in short: a service that serves somebody works, so what fails there meanwhile fails by
 * itself.  A run of failures in which nobody was served is the service's.
 */
#ifndef MB_STATE_OUTCOMES_H
#define MB_STATE_OUTCOMES_H

#include <stdbool.h>
#include <stdint.h>

#define MB_OUTCOMES 50 /* that are remembered */

/* A run of failures is the service's when it has this many, of this many jobs. */
#define MB_RUN_OF_JOBS 3 /* of two or more */
#define MB_RUN_OF_JOB 5	 /* of one alone */

/* Nor is it, where every so many requests fail anyway, while chance makes such a run this often. */
#define MB_RUN_BY_CHANCE 1e-4

/* While it comes back from an outage a less unlikely run, of whatever jobs, says that it is out again. */
#define MB_RUN_BY_CHANCE_BACK 1e-3

/*
 * A run that is the service's and lasts so long, until somebody is served, is an outage, which says
 * nothing about how often it fails while it is there: the next one would be seen later by as much.
 * In microseconds.
 */
#define MB_OUTAGE_LASTS INT64_C(1000000)

typedef enum mb_outcome
{
	MB_SERVED,
	MB_FAILED,
	MB_KEY_FAILED /* the tenant's own key was refused: that says nothing about the others */
} mb_outcome;

typedef struct mb_outcome_entry
{
	uint8_t tenant[16];
	int64_t job;
	int64_t at; /* microseconds, of whatever epoch */
	mb_outcome outcome;
	bool outage; /* part of one */
} mb_outcome_entry;

/* Of one service.  All zero: nothing is known. */
typedef struct mb_outcomes
{
	int64_t service;	   /* what it is known by; 0: none */
	int64_t configuration; /* another one is another service */
	int64_t used_at;
	mb_outcome_entry ring[MB_OUTCOMES];
	int used;
	int next;
	int64_t served_at; /* last; 0: never */
	int64_t served_job;
	int64_t other_served_at; /* last that was another job than served_job */
} mb_outcomes;

/* Whose a failure is. */
typedef enum mb_blame
{
	MB_BLAME_NOBODY, /* it is too early to say, or it is the job's */
	MB_BLAME_TENANT, /* what this tenant asks for fails, and others may be served */
	MB_BLAME_SERVICE
} mb_blame;

typedef struct mb_judgement
{
	mb_blame blame;
	int64_t since;		   /* when the run began */
	bool serves_others;	   /* somebody else was served since this job failed last */
	double others_failing; /* share of the other jobs' requests that failed; 0 while they are few */
} mb_judgement;

/*
 * Remembers an outcome, and judges it when it is a failure.  "shared": the service serves several
 * tenants; "coming_back": it was asked whether it is back from an outage, or had the request while it
 * comes back.  failed_at: when the job failed last, 0: never.
 */
extern mb_judgement
mb_outcomes_add(mb_outcomes *outcomes, const uint8_t tenant[16], bool shared, bool coming_back,
				int64_t job, mb_outcome outcome, int64_t failed_at, int64_t at);

/* The entry of a service among n, all zero when it is new; the one that was not used for longest goes. */
extern mb_outcomes *
mb_outcomes_find(mb_outcomes *all, int n, int64_t service, int64_t configuration, int64_t at);

#endif /* MB_STATE_OUTCOMES_H */
