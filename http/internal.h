/*
 * internal.h
 *	  What the files of this library share.  Users include http.h.
 *
 * A connection is one struct http_request for all the requests that it brings, one after another; the
 * generation in its id changes with each of them.  Nothing frees it but serve(), at the end of a turn:
 * whoever wants it to end dooms it.
 */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "core/web/http_chunks.h"
#include "http.h"

/* Bytes read at a time, of a request and of a WebSocket, which is many messages. */
#define READ_SIZE 65536
#define SOCKET_READ_SIZE 16384

/* What a client may send ahead while its request is being worked on. */
#define MAX_AHEAD MB_HTTP_MAX_HEAD

/* What is left of a body that is not wanted is read, and the connection kept, when it is less. */
#define MAX_SKIPPED 65536

/* What is read and forgotten so that an answer is not lost. */
#define MAX_LINGERED (64 * 1024 * 1024)

/* Pongs and the like that wait to be sent: beyond that nothing more is read. */
#define MAX_CONTROL 8192

/* --- addresses.c: how many connections each address has --------------------------- */

typedef struct http_addresses http_addresses;

extern http_addresses *http_addresses_new(void);
extern void http_addresses_free(http_addresses *addresses);

/* Counts one more; false, and nothing is counted, when there are "limit" or no memory. */
extern bool
http_addresses_add(http_addresses *addresses, const unsigned char address[16], int limit);
extern void http_addresses_remove(http_addresses *addresses, const unsigned char address[16]);

/* --- queue.c: what waits to be sent ------------------------------------------------ */

struct http_blob
{
	unsigned users;
	size_t length;
	size_t room; /* bytes of data that may be written, as long as there is one user */
	char *data;
	void (*gone)(void *memory); /* takes the memory that it lies in; NULL: free() */
};

typedef struct queue_piece
{
	http_blob *blob;
	size_t at; /* what is before it has been sent */
} queue_piece;

/* All zero is empty. */
typedef struct http_queue
{
	queue_piece *pieces; /* a ring */
	size_t room;
	size_t first;
	size_t n;
	size_t bytes;
} http_queue;

struct iovec;

/* False when there is no memory, then nothing was added.  The second shares the blob. */
extern bool http_queue_add(http_queue *queue, const void *bytes, size_t n);
extern bool http_queue_share(http_queue *queue, http_blob *blob);

/* The first bytes, in at most n pieces; how many pieces those are. */
extern int http_queue_look(const http_queue *queue, struct iovec *pieces, int n);
extern void http_queue_sent(http_queue *queue, size_t n);

/* Forgets everything but the first "keep" bytes and a piece already begun. */
extern void http_queue_drop(http_queue *queue, size_t keep);
extern void http_queue_free(http_queue *queue);

/* --- server.c --------------------------------------------------------------------- */

typedef struct http_listener
{
	http_server *server;
	http_watch watch;
	http_tls *tls;
	void *tag;
	bool local; /* a socket with a path: no addresses */
	struct http_listener *next;
} http_listener;

struct http_server
{
	http_loop *loop;
	http_options options;
	http_handlers handlers;
	void *context;
	http_counters counters;
	http_listener *listeners;
	http_addresses *addresses;
	http_timer listen_again; /* after the system had no descriptors left */
	bool stopping;

	http_request **slots;
	size_t n_slots;
	uint32_t *free_slots;
	size_t n_free;
	uint32_t generation;

	http_task task;		 /* serves those that are dirty */
	http_request *dirty; /* connections that want to be looked at at the end of the turn */

	time_t date_second;
	char date[40];
	char scratch[READ_SIZE];
};

typedef enum http_phase
{
	PHASE_HEAD,	   /* waits for a head, or is in it */
	PHASE_BODY,	   /* the head was taken, the body is coming */
	PHASE_PENDING, /* all of it is here, the answer is not */
	PHASE_SENDING, /* the answer is queued */
	PHASE_SOCKET,
	PHASE_LINGER /* the answer has left, the end is told: reads and forgets until the client ends too */
} http_phase;

struct http_request
{
	http_server *server;
	uint32_t slot;
	uint32_t generation;
	const http_listener *listener;
	unsigned char address[16];
	bool counted; /* in addresses */
	http_watch watch;
	http_timer timer;
	http_request *next_dirty;
	bool is_dirty;
	bool doomed;

	/* TLS: the session, and the bytes of a write that must be repeated as it was */
	struct ssl_st *tls;
	size_t tls_again;
	bool tls_wants_write;

	/* input: a head, what of its body has been gathered, and from raw on what nobody has looked at */
	char *in;
	size_t in_size;
	size_t in_room;
	size_t raw;
	bool ended;	   /* the client has closed its side, and all before that is in the input */
	bool end_told; /* epoll has told of it, and so have we */
	int64_t heard; /* when the last bytes came */

	http_queue out;
	bool blocked; /* the kernel took not all of it: wait until it does */

	http_phase phase;
	int64_t phase_since;
	uint64_t lingered; /* bytes */
	bool first;		   /* no request yet on this connection */

	/* the request */
	mb_http_head head;
	mb_http_chunks chunks;
	int64_t started;
	bool active; /* done is owed */
	bool answered;
	bool body_done;
	bool streamed;
	bool continued; /* the client need not wait for "100 Continue" */
	bool close_after;
	bool refused; /* by the library: where the next request begins is not known */
	uint64_t max_body;
	uint64_t body_left; /* with a length */
	size_t body_size;	/* gathered, behind the head */
	void *user;
	int status;
	size_t answer_length;
	size_t left;	 /* of an answer in pieces: bytes that are still to come */
	bool more_asked; /* for the next one */

	/* the WebSocket */
	struct http_socket *socket;
};

/* A connection for a descriptor that was accepted; closes it when that cannot be. */
extern void http_connection_begin(const http_listener *listener, int fd,
								  const unsigned char address[16], bool counted);

/* Removes it from the server's tables and frees it. */
extern void http_slot_free(http_request *request);

/* A slot and an id for a connection; false when there is no memory. */
extern bool http_slot_take(http_request *request);

/* A new id, with the next request. */
extern void http_slot_renew(http_request *request);

/* --- connection.c ------------------------------------------------------------------ */

/* Has it looked at at the end of the turn; and also ended then. */
extern void http_connection_wake(http_request *request);
extern void http_connection_doom(http_request *request);
extern void http_connection_phase(http_request *request, http_phase phase);

/* Looks at what is dirty; the server's task. */
extern void http_serve_dirty(void *server);

/* Frees what a connection holds; calls done. */
extern void http_connection_end(http_request *request);

/* More than 0: so many bytes; 0: the client has ended; -1: not now; -2: broken. */
extern int http_tls_read(http_request *request, void *bytes, int n);
extern int http_tls_write(http_request *request, const void *bytes, int n);
extern bool http_tls_begin(http_request *request, http_tls *tls);
extern bool http_tls_holds_bytes(const http_request *request);
extern void http_tls_end(http_request *request, bool in_order);

/* --- request.c ---------------------------------------------------------------------- */

/* Reads what is in the input as far as it goes: head, body, calls of handlers. */
extern void http_request_advance(http_request *request);

/* The answer has left: done, and on to the next request, or to the end. */
extern void http_request_finish(http_request *request);

/* done(), once. */
extern void http_request_done(http_request *request, bool delivered);

/* --- answer.c ----------------------------------------------------------------------- */

/* Answers in the library's own name; the connection ends behind it. */
extern void http_refuse(http_request *request, int status, const char *reason);

/* Queues bytes; false, and the connection is doomed, when there is no memory. */
extern bool http_enqueue(http_request *request, const void *bytes, size_t n);

/* Queues the first lines of an answer, those that every one has; the empty line is still to come. */
extern bool http_enqueue_head(http_request *request, int status);

/* --- socket.c ----------------------------------------------------------------------- */

/* Reads what is in the input; writes what the protocol wants. */
extern void http_socket_advance(http_request *request);

/* Everything has been sent: true when that brought something new to send. */
extern bool http_socket_drained(http_request *request);

/* The closing handshake is over. */
extern bool http_socket_is_over(const http_request *request);

/* Some of it has been sent. */
extern void http_socket_progress(http_request *request);

/* When the next thing is due, and does it when it is. */
extern int64_t http_socket_deadline(const http_request *request);
extern void http_socket_due(http_request *request);

/* Too many control frames wait: read no more. */
extern bool http_socket_is_flooded(const http_request *request);

/* Closes with 1001. */
extern void http_socket_stop(http_request *request);
extern void http_socket_free(http_request *request);

#endif /* HTTP_INTERNAL_H */
