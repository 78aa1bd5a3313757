/*
 * ai.h
 *	  The job kinds "transcribe", "listen" (a recording), "sentiment" and "test": what is asked of a
 *	  service, and what follows from its answer.  How that is put into requests and read out of answers
 *	  is the service's affair (kinds.h).
 *
 * Neither queue nor transfers are handled here.  The functions belong inside a unit of work and raise
 * errors; see mulberry_answer_error_failure() for what the error of a bad answer means.
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

/*
 * Takes a refusal: when it is about something that need not be sent, makes job->request again without
 * that.  True when there is a further request to start.
 */
extern bool mulberry_ai_object(mulberry_job *job, const mulberry_http_answer *answer);

/*
 * The answer was read, but what it says could not be stored: keeps it with the job, so that the next
 * attempt need not ask again.
 */
extern void mulberry_ai_keep(mulberry_job *job, const mulberry_http_answer *answer);

#endif /* MULBERRY_WORKER_AI_H */
