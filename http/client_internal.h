/*
 * client_internal.h
 *	  What the files of the client share.
 */
#ifndef HTTP_CLIENT_INTERNAL_H
#define HTTP_CLIENT_INTERNAL_H

#include <curl/curl.h>
#include <wslay/wslay.h>

#include "client.h"
#include "frames.h"

struct http_client
{
	http_loop *loop;
	CURLM *multi;
	http_timer timer;
	struct http_transfer *transfers;
	struct http_line *lines;
	bool calling; /* libcurl is: nothing may be taken from it */
};

/* What a handle of libcurl belongs to; first in those who have one. */
typedef struct http_handle
{
	http_client *client;
	CURL *easy;
	struct curl_slist *headers;
	http_reach reach;
	bool refused; /* its address */
	char error[CURL_ERROR_SIZE];

	/* libcurl has no more to do. */
	void (*over)(struct http_handle *handle, CURLcode result);
} http_handle;

/* Whether a header is one line and no more. */
extern bool http_is_header_line(const char *line);

/* A handle with all that every one of ours has; false without memory.  Is to be begun then. */
extern bool http_handle_init(http_handle *handle, http_client *client, const char *url,
							 const char *const *headers, const http_reach *reach);
extern bool http_handle_begin(http_handle *handle);

/* Not from within a function that libcurl calls. */
extern void http_handle_end(http_handle *handle);

/* Why it failed, in words without an address that nobody asked for. */
extern const char *http_handle_problem(const http_handle *handle, CURLcode result);

/* --- client_socket.c and client_frames.c: WebSockets ------------------------------- */

#define HTTP_KEY_TEXT 25 /* of base64, and a NUL */

typedef enum http_line_state
{
	HTTP_LINE_CONNECTING,
	HTTP_LINE_SHAKING,
	HTTP_LINE_OPEN,
	HTTP_LINE_CLOSING, /* its owner has gone: what was sent leaves, and the other side answers */
	HTTP_LINE_OVER
} http_line_state;

struct http_line
{
	http_handle handle;
	http_dial dial; /* its texts are gone */
	http_line_state state;
	http_watch watch;
	http_timer patience;
	http_task task; /* to write, or to be freed */
	char *request;	/* of the handshake, as far as it has not left */
	size_t request_length;
	size_t requested;
	char *head; /* of the answer; NULL: it is over */
	size_t head_length;
	char key[HTTP_KEY_TEXT];
	wslay_event_context_ptr wslay; /* NULL: between two messages, and nothing but those is due */
	http_frame_walk walk;		   /* of what it was given */
	const char *feed;			   /* what it may be given, */
	size_t n_feed;
	bool given; /* and was, in this call of it */
	bool
		plain; /* without TLS: libcurl, which looks for a connection among all others each time, has */
	int fd;	   /* no more to do with it; -1: it has */
	bool drained; /* nothing more has come for now */
	size_t room;  /* bytes that may still be read in this turn */
	int pongs;	  /* that have not left: nothing is read while there are too many */
	http_timer more;
	char *in; /* what has come and was not read */
	size_t n_in;
	bool waits; /* that is the beginning of a frame */
	char *out;	/* frames that have not left; NULL: there are none */
	size_t n_out;
	size_t out_room;
	size_t out_sent; /* of them */
	bool lost;		 /* nobody reads or writes any more */
	http_line *next;
};

extern void http_line_drop(http_line *line);

/* It is over: the owner is told, unless he has gone. */
extern void http_line_fail(http_line *line, int code, const char *why);

/* Reads; -1: nothing for now; 0: the other side has ended. */
extern ssize_t http_line_receive(http_line *line, void *buffer, size_t room);

/* Writes; how many bytes were taken; -1: the connection is lost. */
extern ssize_t http_line_transmit(http_line *line, const char *bytes, size_t length);

/* Has the loop tell when it can be written to, if there is something to write. */
extern void http_line_watch(http_line *line);

/* Keeps what has come; without memory the connection is lost. */
extern void http_line_keep(http_line *line, const char *bytes, size_t n);

/* Queues a message; false without memory. */
extern bool http_line_queue(http_line *line, bool text, const char *bytes, size_t n);

/* Has wslay do what is its; false without memory. */
extern bool http_line_need_wslay(http_line *line);

/* Frames that have come, also the timer "more", and those that are to go, a task of the line. */
extern void http_line_read(void *line);
extern void http_line_write(void *line);

#endif /* HTTP_CLIENT_INTERNAL_H */
