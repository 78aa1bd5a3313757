/*
 * kinds.h
 *	  For each kind of endpoint (jobs/kinds.h), how its requests are formed and how its answers are
 *	  read.  Each kind is in a file of its own.
 *
 * A service gets plain parameters and gives plain results.  What is asked, and what follows from an
 * answer, is decided by those who call it (ai.c, telephony.c, and the SQL behind them).
 *
 * The functions of a service belong inside a unit of work, because encodings are looked up; they
 * touch no table.  Requests are made in the job's memory, results in the current context.  An answer
 * that is not of the service's form raises ERRCODE_PROTOCOL_VIOLATION, and one that says that there is
 * none ERRCODE_NO_DATA_FOUND; what is usable of an answer is used, and the rest is named in "ignored".
 */
#ifndef MULBERRY_WORKER_KINDS_H
#define MULBERRY_WORKER_KINDS_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "worker/job.h"
#include "worker/segments.h"

/* What is to be transcribed: sound or, for a call that is text, that. */
typedef struct mulberry_utterance
{
	const char *call_id;
	const char *encoding;
	int sample_rate;
	const char
		*wav; /* PCM16, one channel; must stay until the transfer is released; NULL for text */
	size_t wav_size;
	const char *text;
} mulberry_utterance;

/* What was said, how, or both. */
typedef struct mulberry_transcript
{
	char *text;
	char *language;
	char *sentiment; /* positive, neutral or negative; NULL: not known */
	bool has_confidence;
	double confidence; /* 0 to 1 */
	mulberry_segments segments;
	int dropped_segments; /* which the model itself took for silence */
	char *ignored;		  /* what of the answer was not usable, one sentence; NULL: all was */
} mulberry_transcript;

/* What a refusal says about the request: the job is to ask again without that. */
typedef struct mulberry_objection
{
	const char *
		parameter; /* what the service does not take (job->refused); NULL: nothing that we could leave */
	int max_seconds; /* of audio in one request; 0: it did not object to that */
} mulberry_objection;

/* What is wanted of a telephone service. */
typedef enum mulberry_call_request
{
	MULBERRY_CALL_CREATE,
	MULBERRY_CALL_LIST, /* calls between two numbers, or a further page of them */
	MULBERRY_CALL_LOOK_AT,
	MULBERRY_CALL_END,
	MULBERRY_CALL_RECORDINGS, /* which there are of a call */
	MULBERRY_CALL_MEDIA,	  /* the sound of a recording */
	MULBERRY_CALL_DELETE_RECORDING
} mulberry_call_request;

/* What it needs to know for that; the others are NULL.  All is in the job's memory. */
typedef struct mulberry_call_order
{
	mulberry_call_request request;
	char *account;
	char *user; /* for authentication */
	char *sid;	/* the call, or the recording */
	char *to;
	char *from;
	char *document; /* what the call says and plays */
	int ring_seconds;
	int most_seconds; /* of the whole call */
	char *machine_detection;
	bool record;
	char *status_callback;
	char *recording_callback;
	char *status; /* how to end the call */
	char *page;
} mulberry_call_order;

/* A call, or a recording. */
typedef struct mulberry_call_entry
{
	char *sid; /* NULL: it has none that is one */
	char *to;
	char *from;
	bool inbound;
	bool has_created;
	int64 created; /* s since 1970 */
	char *status;
	char *answered_by;
} mulberry_call_entry;

typedef struct mulberry_call_answer
{
	char *problem; /* what the service says is wrong; NULL: nothing */
	bool listed;   /* "entries" are what was asked for */
	mulberry_call_entry *entries;
	int n;
	char *next_page;
	const char *body; /* sound; belongs to the transfer */
	size_t body_size;
} mulberry_call_answer;

/* How the endpoints of a kind are spoken to.  What it does not do is NULL. */
typedef struct mulberry_protocol
{
	bool takes_parts; /* long audio goes in several requests */

	void (*ask_transcript)(mulberry_job *job, const mulberry_utterance *utterance);
	void (*read_transcript)(Jsonb *answer, mulberry_transcript *transcript);
	void (*ask_sentiment)(mulberry_job *job, const char *transcription);
	void (*read_sentiment)(Jsonb *answer, mulberry_transcript *transcript);
	int (*max_audio_seconds)(const mulberry_job *job); /* 0: no limit that is known */
	mulberry_objection (*read_objection)(const mulberry_job *job,
										 const mulberry_http_answer *answer);

	void (*ask_report)(mulberry_job *job, const char *json);

	/* a whole answer of any status; it never raises an error over it */
	void (*ask_call)(mulberry_job *job, const mulberry_call_order *order);
	void (*read_call)(const mulberry_call_order *order, const mulberry_http_answer *answer,
					  mulberry_call_answer *result);
} mulberry_protocol;

/*
 * For services: "sentiment" and "confidence" of an object, and the same of the last JSON object in
 * what a model wrote, which may be prose or fenced, or the sentiment alone.  What is none stays NULL.
 */
extern void mulberry_read_sentiment(JsonbContainer *object, mulberry_transcript *transcript);
extern void mulberry_find_sentiment(char *content, mulberry_transcript *transcript);

extern const mulberry_protocol mulberry_openai;
extern const mulberry_protocol mulberry_json;
extern const mulberry_protocol mulberry_twilio;

extern const mulberry_protocol *mulberry_protocol_of(const mulberry_endpoint_kind *kind);

#endif /* MULBERRY_WORKER_KINDS_H */
