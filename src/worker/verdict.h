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
	bool endpoint_failing; /* counts towards the endpoint's breaker */
	int64 retry_after;	   /* s; 0: the service said nothing */
	char *error;		   /* palloc'd sentence, valid in the server's encoding */
	char *brief;		   /* the same without what the service said, which may be about the call */
} mulberry_verdict;

/*
 * Judges an answer.  "secret" (may be NULL) is blotted out of what is quoted from
 * its body, because services like to repeat the key they refuse.
 */
extern mulberry_verdict
mulberry_judge_answer(const mulberry_http_answer *answer, const char *secret);

/*
 * What it means that a 2xx answer could not be used: "sqlerrcode" of the error
 * that reading it raised.  A body that is cut or garbled may be better next time;
 * text that no database can hold (\u0000) will not.  When a lock on the call was not to be had,
 * nothing is wrong with the answer: the job goes back uncounted.
 */
extern mulberry_failure mulberry_answer_error_failure(int sqlerrcode);

/*
 * The bytes as text of the server's encoding, palloc'd.  Raises
 * ERRCODE_CHARACTER_NOT_IN_REPERTOIRE when they are not UTF-8 or hold a NUL.
 */
extern char *mulberry_body_to_text(const char *body, size_t size);

/* Overwrites each occurrence of a secret (may be NULL) with asterisks. */
extern void mulberry_blot_out(char *text, size_t size, const char *secret);

#endif /* MULBERRY_WORKER_VERDICT_H */
