/*
 * http.h
 *	  A small server for HTTP/1.1 and WebSocket, on one thread and one loop (loop.h).
 *
 * It listens, reads requests as strictly as core/web/http_head.h, and calls the functions of
 * http_handlers.  A request is answered with http_respond(), from within a handler or at any later
 * time, by its id: the client may be gone meanwhile, and then nothing happens.  Keep ids, not
 * pointers: a pointer to a request is good until the handler that was given it returns, and so is
 * every text that is read from one.
 *
 *		static void
 *		request(void *context, http_request *request)
 *		{
 *			http_respond(server, http_request_id(request),
 *						 &(http_answer){ .status = 200, .content_type = "text/plain",
 *										 .body = "hello\n", .length = 6 });
 *		}
 *
 *		loop = http_loop_new();
 *		server = http_server_new(loop, &(http_options){ 0 }, &(http_handlers){ .request = request }, NULL);
 *		http_listen(server, &(http_listener_options){ .address = "127.0.0.1", .port = 8080 }, &error);
 *		while (!stopped)
 *			http_loop_turn(loop, -1);
 *
 * One request of a connection is worked on at a time; what a client sends behind it waits, in bounded
 * memory.  Each phase of a request has its own deadline.  Nothing is global: a process may have
 * several servers, and each of them several listeners.  The program must ignore SIGPIPE.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdarg.h>

#include "core/web/http_head.h"
#include "core/web/websocket.h"
#include "loop.h"

typedef struct http_server http_server;
typedef struct http_request http_request;

/* Names a request, and the WebSocket that it became; never used again.  0 names none. */
typedef uint64_t http_id;

/* Bytes that belong to somebody else; not NUL-terminated.  data is NULL for "there is none". */
typedef struct http_text
{
	const char *data;
	size_t length;
} http_text;

/* --- bytes that are shared ------------------------------------------------------ */

/* Bytes with a count of their users; those that are there do not change while there is more than one. */
typedef struct http_blob http_blob;

/* All of them NULL when there is no memory; http_blob_take() then has freed the bytes. */
extern http_blob *http_blob_new(const void *bytes, size_t n); /* a copy */

/* In memory of the caller's, of whose "size" bytes it takes HTTP_BLOB_HEAD for itself; empty.  Told when it has no users. */
extern http_blob *http_blob_new_in(void *memory, size_t size, void (*gone)(void *memory));
#define HTTP_BLOB_HEAD 40

extern http_blob *http_blob_take(void *bytes, size_t n); /* bytes of malloc(), now its own */
extern http_blob *http_blob_share(http_blob *blob);		 /* one user more */
extern void http_blob_release(http_blob *blob);			 /* one less; NULL is allowed */
extern http_text http_blob_text(const http_blob *blob);

/* Adds as many of the bytes as there is room for in one with room; how many those are. */
extern size_t http_blob_add(http_blob *blob, const void *bytes, size_t n);

/* --- answers -------------------------------------------------------------------- */

/* Header lines of an answer, of the caller, all zero at the beginning. */
#define HTTP_HEADERS_SIZE 2048

typedef struct http_headers
{
	size_t length;
	bool overflowed; /* a line did not fit or was not allowed in one, and was left out */
	char text[HTTP_HEADERS_SIZE];
} http_headers;

/*
 * Adds a line.  What a name or value may not hold, such as a line feed that came from a request, makes
 * it false, and nothing is added.
 */
extern bool http_headers_add(http_headers *headers, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

typedef struct http_answer
{
	int status;				  /* 200 to 599 */
	const char *content_type; /* NULL: none */
	const void *body;		  /* length bytes, which are copied, or */
	size_t length;
	http_blob *blob;			 /* a blob, whose use it takes over */
	const http_headers *headers; /* more of them, or NULL */
	bool close;					 /* end the connection behind it */
	bool in_pieces; /* its body of length bytes comes by http_respond_more(), see handlers.more */
} http_answer;

/* --- a server ------------------------------------------------------------------- */

/* 0 stands for the value in brackets. */
typedef struct http_options
{
	int max_connections; /* [10000] of all listeners; one more is told 503 */
	int max_per_address; /* [none] of an IPv4 address or an IPv6 network of 64 bits */
	size_t max_body;	 /* [1 MB] of a request, unless http_request_limit() says otherwise */
	size_t max_buffered; /* [256 MB] all that requests hold in memory; beyond that 503 */
	size_t max_head;	 /* [16384, which is the most] bytes of a head */
	int max_fields;		 /* [100, which is the most] header lines of it */
	int head_ms;		 /* [10000] for a head, from its first byte, or from the connection */
	int body_ms;		 /* [60000] for a body */
	int send_ms;		 /* [60000] for an answer to leave */
	int idle_ms;		 /* [60000] between requests */
	int linger_ms; /* [5000] for a refused body to come to its end, so that the refusal is read */
	int close_ms;  /* [5000] for the client's part in closing a WebSocket */
} http_options;

/* What the library's users do.  context is that of http_server_new().  Only request is needed. */
typedef struct http_handlers
{
	/*
	 * The head is here, the body is not: the time to refuse, before a body is read, or to call
	 * http_request_limit() or http_request_stream().  A client that waits for "100 Continue" gets it
	 * behind this.
	 */
	void (*head)(void *context, http_request *request);

	/* A piece of a body that is streamed. */
	void (*piece)(void *context, http_request *request, const char *bytes, size_t n);

	/* All of it is here: answer now, or later by its id. */
	void (*request)(void *context, http_request *request);

	/*
	 * The client has closed its side while it waits for its answer.  It may still read: without this
	 * handler it gets the answer.  http_abort() gives the request up.
	 */
	void (*half_closed)(void *context, http_request *request);

	/*
	 * Once for each request that head (or request) was called for, and the last that is heard of it:
	 * the answer has been handed to the kernel as a whole, or never will be; or the WebSocket has
	 * ended.
	 */
	void (*done)(void *context, http_request *request, bool delivered);

	/*
	 * The library refuses a request (malformed, too large, too slow, no WebSocket): gives the answer
	 * its body.  Status and reason are its, answer->status is set; head() may never have been
	 * called.  Without this the body is the reason as text.
	 */
	void (*refused)(void *context, const http_request *request, const char *reason,
					http_answer *answer);

	/* Adds headers to every answer, those of the library included (CORS, an id of the request). */
	void (*headers)(void *context, const http_request *request, int status, http_headers *headers);

	/* Whether an address, in 16 bytes, has no max_per_address.  Without this none is without. */
	bool (*unlimited)(void *context, const unsigned char *address);

	/*
	 * All that was queued of an answer in pieces has been handed to the kernel: the time for the next piece, now or
	 * later.  Once for each piece.  A client that does not take a piece in send_ms is dropped.
	 */
	void (*more)(void *context, http_request *request);

	/* A message of a WebSocket's client: text, which is valid UTF-8, or bytes. */
	void (*message)(void *context, http_request *socket, bool text, const char *bytes, size_t n);

	/* A WebSocket's queue, which was full or was dropped, is empty: it can be sent to again. */
	void (*writable)(void *context, http_request *socket);

	/* The server is about to close this WebSocket with 1001, behind what is sent now. */
	void (*stopping)(void *context, http_request *socket);
} http_handlers;

/* NULL when there is no memory.  options and handlers are copied. */
extern http_server *http_server_new(http_loop *loop, const http_options *options,
									const http_handlers *handlers, void *context);

/* Closes everything at once; done is called for what is under way. */
extern void http_server_free(http_server *server);

/*
 * The beginning of an end: no more connections, idle ones are closed, answers close theirs, WebSockets
 * are closed with 1001.  Over when http_server_counters()->connections is 0.
 */
extern void http_server_stop(http_server *server);

typedef struct http_counters
{
	int connections; /* now, sockets included */
	int sockets;	 /* now, WebSockets */
	int requests;	 /* now, those that wait for their answer or its end */
	size_t buffered; /* now, bytes that requests hold in memory */
	size_t queued;	 /* now, bytes that wait to be sent */
	uint64_t accepted;
	uint64_t turned_away;		  /* connections beyond max_connections */
	uint64_t turned_away_address; /* beyond max_per_address */
	uint64_t answered;			  /* requests */
	uint64_t refused;			  /* by the library, see http_handlers.refused */
	uint64_t timed_out;			  /* connections, in any phase but the idle one */
	uint64_t bytes_in;
	uint64_t bytes_out;
} http_counters;

extern const http_counters *http_server_counters(const http_server *server);

/* --- listening ------------------------------------------------------------------- */

typedef struct http_tls http_tls;

typedef struct http_listener_options
{
	const char *address; /* numeric, IPv4 or IPv6, or the path of a socket when it has a slash */
	int port;			 /* 0: any free one */
	bool shared;		 /* several processes listen on it (SO_REUSEPORT) */
	int fd;				 /* above 0: this one, which listens already (socket activation) */
	http_tls *tls;		 /* NULL: none; it must outlive the server */
	void *tag;			 /* for http_request_listener() */
} http_listener_options;

/*
 * Listens.  Returns the port (0 for a socket with a path), or -1, and errno says why.
 */
extern int http_listen(http_server *server, const http_listener_options *options);

/*
 * The certificate chain and the key, PEM files, for TLS 1.2 and later.  NULL, with a sentence in
 * error, when they cannot be used.  To be loaded anew for another certificate.
 */
extern http_tls *
http_tls_new(const char *certificate_file, const char *key_file, char *error, size_t error_size);
extern void http_tls_free(http_tls *tls);

/* --- requests -------------------------------------------------------------------- */

extern http_id http_request_id(const http_request *request);

/* NULL when it is over. */
extern http_request *http_request_find(http_server *server, http_id id);

/* Something of the user's; NULL at the beginning of each request. */
extern void http_request_set_user(http_request *request, void *user);
extern void *http_request_user(const http_request *request);

/* As they came, nothing decoded.  A query is behind the question mark. */
extern http_text http_request_method(const http_request *request);
extern http_text http_request_target(const http_request *request);
extern http_text http_request_path(const http_request *request);
extern http_text http_request_query(const http_request *request);

/* The value of the first header of that name, and how many there are. */
extern http_text http_request_header(const http_request *request, const char *name);
extern int http_request_header_count(const http_request *request, const char *name);

/* The tokens of all headers of that name, one after another; begin with a walk of all zeroes. */
extern bool http_request_next_token(const http_request *request, const char *name,
									mb_http_walk *walk, http_text *token);

/* All of the head, and the bytes that its spans lie in, for functions of the core. */
extern const mb_http_head *http_request_head(const http_request *request);
extern const char *http_request_bytes(const http_request *request);

/* The whole body; empty when it was streamed. */
extern http_text http_request_body(const http_request *request);

/*
 * Takes the body over, which then belongs to the caller: memory of malloc() that it lies in, at a place.  NULL without
 * memory.  The texts of the request lie elsewhere from then on.
 */
extern char *http_request_take_body(http_request *request, size_t *at, size_t *length);

/* The client: its address as text ("unix" for a socket with a path) and in 16 bytes, IPv4 mapped. */
#define HTTP_ADDRESS_SIZE 46
extern const char *http_request_address(const http_request *request, char text[HTTP_ADDRESS_SIZE]);
extern const unsigned char *http_request_address_bytes(const http_request *request);
extern void *http_request_listener(const http_request *request);
extern bool http_request_is_tls(const http_request *request);

/* When its first byte came, and, once it was answered, with what. */
extern int64_t http_request_started(const http_request *request);
extern int http_request_status(const http_request *request);
extern size_t http_request_answer_length(const http_request *request);

/* For head: another limit for the body; and have the body in pieces. */
extern void http_request_limit(http_request *request, size_t max_body);
extern void http_request_stream(http_request *request);

/*
 * Answers.  True when the answer was taken: false when the request is over or has its answer, or there
 * is no memory (then the connection is closed).  The blob is used up in any case.
 */
extern bool http_respond(http_server *server, http_id id, const http_answer *answer);

/*
 * The next piece of an answer in pieces, at least a byte and not more than what is left of its length; the blob is
 * used up.  False when the request is over, and also when there is nothing left to be sent.
 */
extern bool http_respond_more(http_server *server, http_id id, http_blob *blob);

/* Whether the answer to a request comes in pieces, and some are still to come. */
extern bool http_request_in_pieces(const http_request *request);

/* Ends the connection without an answer, or without the rest of it. */
extern void http_abort(http_server *server, http_id id);

/* --- WebSockets ------------------------------------------------------------------ */

/* 0 stands for the value in brackets. */
typedef struct http_socket_options
{
	const char *subprotocol; /* NULL: none; one that the client offers, see mb_websocket_offers() */
	const http_headers *headers; /* of the answer 101, or NULL */
	size_t max_message;			 /* [64 kB] of the client; beyond that it is closed with 1009 */
	size_t max_queued;			 /* [256 kB] bytes that wait to be sent */
	int ping_ms;				 /* [30000] of silence before a ping, and again before the end */
	int stall_ms;				 /* [30000] in which a client takes nothing before the end */
	bool prompt; /* small buffers in the kernel, so that a client that stalls shows */
} http_socket_options;

/*
 * Makes a WebSocket of a request that has come as a whole and has no answer: 101.  False, and it has
 * been answered with 400 or 426, when it does not ask for one.  The id stays.
 */
extern bool http_upgrade(http_server *server, http_id id, const http_socket_options *options);

typedef enum http_sent
{
	HTTP_SENT,
	HTTP_FULL, /* it has max_queued bytes to send already: nothing was added; see writable */
	HTTP_GONE  /* over, or being closed, or there is no memory */
} http_sent;

/* Sends a message; everything that is sent in a turn leaves at its end in one piece. */
extern http_sent
http_socket_send(http_server *server, http_id id, bool text, const void *bytes, size_t n);

/* The same message for many: made once, sent (which uses up nothing) to each. */
extern http_blob *http_frame_new(bool text, const void *bytes, size_t n);
extern http_sent http_socket_send_frame(http_server *server, http_id id, http_blob *frame);

/* Bytes that wait; and forgets all of them but a message already begun.  writable is called later. */
extern size_t http_socket_queued(http_server *server, http_id id);
extern void http_socket_drop_queue(http_server *server, http_id id);

/* Closes behind what is queued.  code as of RFC 6455, section 7.4; a reason of 123 bytes at most. */
extern void http_socket_close(http_server *server, http_id id, int code, const char *reason);

#endif /* HTTP_HTTP_H */
