/*
 * verdict.h
 *	  What an answer of a service means for the attempt that asked: success, or
 *	  which kind of failure, and what to say about it.
 */
#ifndef MULBERRY_WORKER_VERDICT_H
#define MULBERRY_WORKER_VERDICT_H

#include "postgres.h"

#include "worker/job.h"

typedef struct mulberry_verdict
{
	bool ok; /* an answer with status 2xx: look at its body */
	mulberry_failure failure;
	bool key_failed;   /* it is about the key, or the account behind it */
	int64 retry_after; /* s; 0: the service said nothing */
	char *error;	   /* palloc'd sentence, valid in the server's encoding */
	char *brief;	   /* the same without what the service said, which may be about the call */
} mulberry_verdict;

/* Whether a failure may be the endpoint's, and so says something about the jobs of others. */
extern bool mulberry_failure_of_endpoint(mulberry_failure failure);

/* Judges an answer to so many seconds of audio, which can be divided no further; 0: to something else. */
extern mulberry_verdict mulberry_judge_answer(const mulberry_http_answer *answer, int sent_seconds);

/*
 * What it means that a 2xx answer could not be used: "sqlerrcode" of the error
 * that reading it raised.  A body that is cut or garbled may be better next time; what a service
 * declined to answer will not.  When a lock on the call was not to be had,
 * nothing is wrong with the answer: the job goes back uncounted.
 */
extern mulberry_failure mulberry_answer_error_failure(int sqlerrcode);

/* A sentence, a colon and the beginning of the answer's body, palloc'd. */
extern char *mulberry_quote_answer(const char *sentence, const mulberry_http_answer *answer);

#endif /* MULBERRY_WORKER_VERDICT_H */
