/*
 * telephony.h
 *	  The job kinds that are decided in SQL: "call" (a telephone call for a command, through
 *	  Twilio's REST API) and "escalate" (a POST to the tenant's contact).
 *
 * What is asked next, and what follows from an answer, is decided in SQL by telephony_step() and
 * telephony_answer(), in plain parameters and plain results; how that is put into requests and read
 * out of answers is the service's affair (kinds.h).  The functions belong inside a unit of work.
 */
#ifndef MULBERRY_WORKER_TELEPHONY_H
#define MULBERRY_WORKER_TELEPHONY_H

#include "postgres.h"

#include "worker/job.h"

/*
 * Makes job->request of the next step.  False when there is nothing to send: the job is settled or
 * sleeps.  What was decided is on disk when the unit's transaction has ended: a request is never
 * sent before the row that says so is durable.
 */
extern bool mulberry_telephony_prepare(mulberry_job *job);

/*
 * Hands over what became of the request; answer NULL: it was never sent, for the reason in "error".
 */
extern void
mulberry_telephony_answer(mulberry_job *job, const mulberry_http_answer *answer, const char *error);

#endif /* MULBERRY_WORKER_TELEPHONY_H */
