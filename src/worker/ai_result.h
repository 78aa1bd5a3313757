/*
 * ai_result.h
 *	  What an answer said, with what is known about the request, and how it is stored: at the end of a job,
 *	  part by part, or with the job when it could not be stored otherwise.
 *
 * The functions run SQL and belong inside a unit of work.
 */
#ifndef MULBERRY_WORKER_AI_RESULT_H
#define MULBERRY_WORKER_AI_RESULT_H

#include "postgres.h"

#include "worker/job.h"
#include "worker/kinds.h"

/* All that an answer said, with what is known about the request. */
typedef struct mulberry_ai_result
{
	mulberry_transcript said;
	char *heard_in_silence; /* words for audio in which nobody speaks; NULL: none */
	const char *request_id; /* NULL: not known */
	bool asked;				/* a service was */
	int status;				/* of HTTP */
	int request_ms;
	int parts;
	int part;		 /* whose segments these are */
	Jsonb *segments; /* when it was said, as mulberry_segments_json() has it; NULL: not asked */
} mulberry_ai_result;

/* True for the recording of a telephone call that we placed: its words are all that is wanted. */
extern bool mulberry_is_recording(const mulberry_job *job);

/* True where an endpoint is tested with speech, false where it is with a sentence. */
extern bool mulberry_tests_speech(const mulberry_job *job);

/* Ends a test of an endpoint; status 0: there was none, duration_ms -1: nothing was sent. */
extern void mulberry_ai_report_test(mulberry_job *job, int status, int duration_ms,
									const char *answer, const char *error);

/* Stores the result and finishes the job; a transcript without a sentiment has it found in SQL. */
extern void mulberry_ai_store(mulberry_job *job, const mulberry_ai_result *r);

/* Keeps what there is after a part, and that "parts_done" of them are done; the job goes on. */
/* Says into how many parts the audio was divided and which comes next, for who asks how far it is. */
extern void mulberry_ai_note_division(mulberry_job *job);
extern void mulberry_ai_store_part(mulberry_job *job, const mulberry_ai_result *r, int parts_done);

/* Keeps the result with the job. */
extern void mulberry_ai_keep_result(mulberry_job *job, const mulberry_ai_result *r);

/* The result that an earlier attempt has kept so.  True when there is one. */
extern bool mulberry_ai_kept(mulberry_job *job, mulberry_ai_result *r);

#endif /* MULBERRY_WORKER_AI_RESULT_H */
