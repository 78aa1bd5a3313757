/*
 * ai.h
 *	  What the job kinds "transcribe", "listen" (a recording) and "sentiment" ask of a service, and
 *	  what they make of its answer.  Services are of the kinds "openai" and "json".
 *
 * Neither queue nor transfers are handled here.  The functions belong inside a
 * unit of work and raise errors; see mulberry_answer_error_failure() for what the
 * error of a bad answer means.
 */
#ifndef MULBERRY_WORKER_AI_H
#define MULBERRY_WORKER_AI_H

#include "postgres.h"

#include "worker/job.h"

/*
 * For a job that is ready: makes job->request, or settles the job where no
 * request is needed or possible.  True when there is a request to start.
 */
extern bool mulberry_ai_prepare(mulberry_job *job);

/*
 * Takes the body of a successful answer: stores the result and finishes the job,
 * or makes job->request for the next part of long audio.  True when there is a
 * further request to start.
 */
extern bool mulberry_ai_accept(mulberry_job *job, const mulberry_http_answer *answer);

#endif /* MULBERRY_WORKER_AI_H */
