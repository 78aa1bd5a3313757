/*
 * http.h
 *	  Outgoing HTTP of a worker: many transfers at once on one curl multi handle,
 *	  driven by one epoll descriptor that fits into a WaitEventSet.
 *
 * Knows nothing of jobs, endpoints or the database.  Everything here is local to
 * the process.  No function raises an error out of a curl callback; bodies are
 * bytes and are capped.  What an endpoint may not do is enforced here: no
 * redirects, https unless allowed otherwise, certificates verified, private
 * addresses refused after name resolution and again for reused connections.
 */
#ifndef MULBERRY_WORKER_HTTP_H
#define MULBERRY_WORKER_HTTP_H

#include "postgres.h"

typedef struct mulberry_http mulberry_http;
typedef struct mulberry_transfer mulberry_transfer;

/* One field of a multipart/form-data body. */
typedef struct mulberry_http_part
{
	const char *name;
	const char *filename;	  /* NULL: an ordinary field */
	const char *content_type; /* NULL: none */
	const char *data;		  /* must stay until the transfer is released */
	size_t size;
} mulberry_http_part;

typedef enum mulberry_http_method
{
	MULBERRY_HTTP_POST = 0,
	MULBERRY_HTTP_GET, /* GET and DELETE have neither body nor parts */
	MULBERRY_HTTP_DELETE
} mulberry_http_method;

typedef struct mulberry_http_request
{
	mulberry_http_method method;
	const char *url;
	const char *content_type; /* of "body" */
	const char *body;		  /* NULL when there are parts; must stay until release */
	size_t body_size;
	const mulberry_http_part *parts;
	int nparts;
	const char *accept; /* media type for Accept; NULL: anything */
	const char *user;	/* Basic authentication (RFC 7617) with this name; NULL: Bearer */
	const char
		*secret; /* its password, or the token; NULL: no Authorization.  Not needed after start */
	int timeout_ms; /* of the whole transfer */
	bool once; /* must not arrive twice: curl would send it again when a kept connection is dead */
	bool allow_http;
	bool allow_private;
	bool bytes;			 /* the body of a success is sound, say, and no text */
	size_t max_response; /* bytes of the answer's body */
	void *owner;		 /* comes back with the answer */
} mulberry_http_request;

typedef enum mulberry_http_outcome
{
	MULBERRY_HTTP_ANSWERED, /* a whole answer; see status */
	MULBERRY_HTTP_UNREACHABLE, /* nothing was sent: no address, refused, TLS failed, address not allowed */
	MULBERRY_HTTP_BROKEN,	/* sent, but no whole answer came: closed, timed out, garbage */
	MULBERRY_HTTP_TOO_LARGE /* the answer is longer than max_response */
} mulberry_http_outcome;

/*
 * What became of a transfer; valid until mulberry_http_release().  Whatever a service says passes
 * here: the secret that it was sent is blotted out of it, in each form (core/web/blot.h), and errors
 * name no address that the URL does not.
 */
typedef struct mulberry_http_answer
{
	mulberry_transfer *transfer;
	void *owner;
	mulberry_http_outcome outcome;
	long status;	   /* 0 unless answered */
	bool timed_out;	   /* broken because the time was over */
	const char *error; /* one sentence, unless answered */
	const char *body;  /* bytes, not NUL-terminated; NULL when empty */
	size_t body_size;
	int64
		retry_after; /* s, as the answer asked; of a 429 also until its quota begins anew; 0: not said */
	int duration_ms;
	char content_type[100]; /* of the body, printable ASCII; '' when absent */
	char request_id[128];	/* header x-request-id, printable ASCII; '' when absent */
} mulberry_http_answer;

extern mulberry_http *mulberry_http_create(int concurrency);
extern void mulberry_http_destroy(mulberry_http *http);

/* Transfers that there are descriptors for, at most the concurrency asked for. */
extern int mulberry_http_capacity(mulberry_http *http);

/* Begins a transfer.  NULL, or a sentence that says why that is not possible. */
extern const char *mulberry_http_start(mulberry_http *http, const mulberry_http_request *request);

/* Readable when mulberry_http_perform() has something to do. */
extern int mulberry_http_descriptor(mulberry_http *http);

/* Milliseconds until perform must be called in any case; -1: no such time. */
extern long mulberry_http_deadline(mulberry_http *http);

/* Moves all transfers on; never blocks. */
extern void mulberry_http_perform(mulberry_http *http);

/* The next finished transfer; false when there is none. */
extern bool mulberry_http_next(mulberry_http *http, mulberry_http_answer *answer);
extern void mulberry_http_release(mulberry_http *http, mulberry_transfer *transfer);

extern int mulberry_http_in_flight(mulberry_http *http);

/* Gives up all transfers without waiting for anything. */
extern void mulberry_http_abandon(mulberry_http *http);

#endif /* MULBERRY_WORKER_HTTP_H */
