/*
 * kinds.h
 *	  The kinds of jobs and of endpoints: every property that any code depends on.
 *
 * This is their one definition.  SQL reads it by job_kind(), job_kinds(), endpoint_kind() and
 * endpoint_kinds(), workers by the pointers below; whoever adds a kind adds an entry in kinds.c, and
 * the compiler names the switches that do not know it yet.
 */
#ifndef MULBERRY_JOB_KINDS_H
#define MULBERRY_JOB_KINDS_H

#include "postgres.h"

/* What endpoints are for. */
typedef enum mulberry_purpose
{
	MULBERRY_TRANSCRIPTION,
	MULBERRY_CHAT,
	MULBERRY_TELEPHONY,
	MULBERRY_ESCALATION, /* of no endpoint by itself: its jobs name theirs */
	MULBERRY_LISTEN,	 /* of live conversations, which gateways ask: no job does */
	MULBERRY_SPEAK,
	MULBERRY_REPLY
} mulberry_purpose;

#define MULBERRY_PURPOSES (MULBERRY_REPLY + 1)

/* What a job is about. */
typedef enum mulberry_job_subject
{
	MULBERRY_ABOUT_CALL,	   /* job_queue.call; it is processed, and fails, with its job */
	MULBERRY_ABOUT_VOICE_CALL, /* "voice_call" of the payload */
	MULBERRY_ABOUT_COMMAND,	   /* "command" of the payload */
	MULBERRY_ABOUT_RECORDING,  /* "recording_sid" of the payload */
	MULBERRY_ABOUT_ENDPOINT /* "endpoint" of the payload, whatever its state; nothing else waits for it */
} mulberry_job_subject;

#define MULBERRY_JOB_SUBJECTS (MULBERRY_ABOUT_ENDPOINT + 1)

typedef enum mulberry_job_kind_id
{
	MULBERRY_JOB_TRANSCRIBE,
	MULBERRY_JOB_SENTIMENT,
	MULBERRY_JOB_CALL,
	MULBERRY_JOB_LISTEN,
	MULBERRY_JOB_ESCALATE,
	MULBERRY_JOB_FETCH,
	MULBERRY_JOB_TEST
} mulberry_job_kind_id;

#define MULBERRY_JOB_KINDS (MULBERRY_JOB_TEST + 1)

typedef struct mulberry_job_kind
{
	mulberry_job_kind_id id;
	const char *name;
	mulberry_purpose purpose; /* of the endpoint that serves it, unless the job names one */
	mulberry_job_subject subject;
	bool
		text_is_result; /* of a text call the text is it: only an endpoint that takes text is asked */
	bool retriable;		/* retry_job() takes it when it is dead or cancelled */
	bool persistent;	/* tried again every few minutes, for a person shall hear of it, if later */
	bool decided_in_sql; /* what is asked next, and what an answer means, is */
	bool no_failures; /* SQL takes bad answers too, on a schedule of its own and without breaker: a
						  * revocation is urgent, and must end in a call or with a person */
	const char *meaning;
} mulberry_job_kind;

typedef enum mulberry_endpoint_kind_id
{
	MULBERRY_ENDPOINT_OPENAI,
	MULBERRY_ENDPOINT_JSON,
	MULBERRY_ENDPOINT_TWILIO,
	MULBERRY_ENDPOINT_DEEPGRAM,
	MULBERRY_ENDPOINT_ELEVENLABS
} mulberry_endpoint_kind_id;

#define MULBERRY_ENDPOINT_KINDS (MULBERRY_ENDPOINT_ELEVENLABS + 1)

/* What an endpoint of some kind can do. */
typedef struct mulberry_service
{
	mulberry_purpose purpose;
	bool needs_model;
	const char *options; /* the names it takes, with spaces between */
} mulberry_service;

typedef struct mulberry_endpoint_kind
{
	mulberry_endpoint_kind_id id;
	const char *name;
	const char *default_url; /* NULL: it must be said */
	const char *paths; /* below base_url, which must not end in them; the longer before its end */
	bool takes_text;   /* sees the text of a text call; others hear audio only */
	int nservices;
	mulberry_service services[5]; /* the first says what one without a purpose takes */
	const char *meaning;
} mulberry_endpoint_kind;

/* The definition of a kind; NULL when there is none of that name. */
extern const mulberry_job_kind *mulberry_job_kind_by_name(const char *name);
extern const mulberry_endpoint_kind *mulberry_endpoint_kind_by_name(const char *name);

/* From _PG_init. */
extern void mulberry_job_kinds_init(void);

extern const char *mulberry_purpose_name(mulberry_purpose purpose);

#endif /* MULBERRY_JOB_KINDS_H */
