/*
 * client.h
 *	  What a program asks of others, on the loop of loop.h: requests over HTTP and WebSockets.
 *
 * TCP, TLS and HTTP/1.1 are libcurl's; connections are kept and used again.  Nothing is followed or taken from the environment: no
 * redirects, no proxy, no user's file.  Certificates are verified.  A private address, and HTTP without TLS, have to be allowed.
 *
 * Functions that are given are called from the loop alone, never from within a call of these; each of them may call these.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "http.h"

typedef struct http_client http_client;

/* NULL when there is no memory. */
extern http_client *http_client_new(http_loop *loop);

extern http_loop *http_client_loop(const http_client *client);

/* Gives up what is under way, without a word. */
extern void http_client_free(http_client *client);

/* --- requests ---------------------------------------------------------------------- */

/* What a request may do and how long; the rest of the world is refused. */
typedef struct http_reach
{
	bool allow_http;	/* without TLS */
	bool allow_private; /* addresses that are not public */
	int connect_ms;		/* [2000] */
	int first_ms;		/* [5000] until the first byte of an answer's body, from the beginning */
	int idle_ms;		/* [10000] from one piece of it to the next */
	int whole_ms;		/* [60000] until its end */
} http_reach;

typedef struct http_ask
{
	const char *url;
	const char *const *headers; /* "Name: value", up to NULL; wiped when the request is over */
	const void *body;			/* POST of these bytes, which are copied; NULL: GET */
	size_t length;
	http_reach reach;
	size_t max_answer; /* [64 MB] bytes */

	/* A piece of the answer's body. */
	void (*piece)(void *arg, int status, const char *bytes, size_t n);

	/* The end, once.  why: NULL when the answer has come as a whole, whatever its status; else there may be no status. */
	void (*done)(void *arg, int status, const char *why);
	void *arg;
} http_ask;

typedef struct http_transfer http_transfer;

/* NULL when it cannot even be tried (no memory, no URL); done is not called then. */
extern http_transfer *http_client_ask(http_client *client, const http_ask *ask);

/* Nothing is heard of it any more.  Not after done. */
extern void http_transfer_cancel(http_transfer *transfer);

/* --- WebSockets -------------------------------------------------------------------- */

typedef struct http_dial
{
	const char *url; /* ws:, wss:, http: or https: */
	const char *const *headers;
	const char *subprotocol; /* NULL: none */
	http_reach reach;		 /* first_ms: until the other side has agreed */
	size_t max_message;		 /* [1 MB] of what comes */
	size_t max_queued;		 /* [1 MB] of what is sent and has not left */

	void (*open)(void *arg);
	void (*message)(void *arg, bool text, const char *bytes, size_t n);

	/*
	 * The last that is heard of it.  code: as of RFC 6455, or the status of HTTP that refused it, or 0 when nobody said
	 * anything; why is for people.
	 */
	void (*closed)(void *arg, int code, const char *why);
	void *arg;
} http_dial;

typedef struct http_line http_line;

/* NULL when it cannot even be tried. */
extern http_line *http_client_dial(http_client *client, const http_dial *dial);

/* HTTP_FULL before it is open when more than max_queued waits. */
extern http_sent http_line_send(http_line *line, bool text, const void *bytes, size_t n);

/* Closes it behind what was sent; nothing is heard of it any more.  Not after closed. */
extern void http_line_close(http_line *line);

#endif /* HTTP_CLIENT_H */
