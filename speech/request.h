/*
 * request.h
 *	  One HTTP request from its headers to its answer: route, key, limits of size and
 *	  memory, the body, the wait for a job.  What a route does is its endpoint's.
 */
#ifndef SPEECH_REQUEST_H
#define SPEECH_REQUEST_H

#include <time.h>

#include "http/http.h"
#include "jobs.h"
#include "options.h"
#include "reply.h"

typedef struct speech_request speech_request;

/*
 * A route.  The functions run in the order in which they stand here, and not any more once one has
 * set request->reply.
 */
typedef struct speech_endpoint
{
	const char *path;	 /* one that ends in / is a prefix; the rest is request->object */
	const char *methods; /* allowed, as in an Allow header */
	bool open;			 /* no API key needed */

	/* For requests with a body, else NULL: its limit, and what to do with it. */
	size_t (*max_body)(const speech_options *options);
	void (*begin)(speech_request *request, http_text content_type);
	void (*take)(speech_request *request, const char *data, size_t n);

	/* The request is here: sets request->reply, or calls speech_request_submit() or speech_request_upgrade(). */
	void (*finish)(speech_request *request);
	void (*release)(void *state); /* may be NULL when state is never set */

	/* For WebSockets: a message of the client. */
	void (*message)(speech_request *request, bool text, const char *bytes, size_t n);
} speech_endpoint;

struct speech_request
{
	/* for endpoints */
	const speech_options *options;
	const char *object; /* what followed the endpoint's path */
	speech_reply reply; /* with a status: answered */
	void *state;		/* the endpoint's own */

	/* for request.c */
	const speech_endpoint *endpoint; /* NULL when there is no such route */
	char id[17];					 /* for the log and X-Request-Id */
	http_id http;					 /* whom to answer */
	char method[16];
	char url[128];
	double started;
	size_t body_size; /* received */
	size_t reserved;  /* bytes of this request in memory, as accounted */
	speech_job *job;
	bool counted; /* as pending */
	bool
		handed; /* the HTTP server has answered it, or made a WebSocket of it: state stays until its end */
};

/* The server's routes; the last has no path. */
extern void
speech_requests_init(const speech_options *options, const speech_endpoint *const *endpoints);

/* When speech_requests_init() ran: since when the server serves. */
extern time_t speech_requests_since(void);

/* For the HTTP server. */
extern const http_handlers *speech_request_handlers(void);

/*
 * For endpoints: hands input to a job whose answer becomes the request's.  Answers
 * 503 itself when the queue is full; input is released in any case.
 */
extern void speech_request_submit(speech_request *request, speech_job_kind kind,
								  void (*work)(const void *input, speech_reply *reply), void *input,
								  void (*release)(void *input));

/*
 * For endpoints: makes a WebSocket of the request, whose state is released when that ends.  False when it asks for
 * none, which the client has been told.
 */
extern bool speech_request_upgrade(speech_request *request, const http_socket_options *options);

/* For endpoints, in begin: refuses early when the queue is full. */
extern bool speech_request_admit(speech_request *request, speech_job_kind kind);

/* Requests that wait for a job or whose answer is on its way. */
extern int speech_requests_pending(void);

/* Bytes of bodies and answers in memory, and their limit is options->max_buffered. */
extern size_t speech_requests_buffered(void);

#endif /* SPEECH_REQUEST_H */
