/*
 * socket.c
 *	  WebSockets: whole messages are read here (frames.h), and all else by wslay, which writes the frames of the protocol itself, too.
 *
 * Messages to the client are framed here and go into the connection's own queue, as do wslay's pongs and
 * closes, so that everything leaves in the order in which it was sent and nothing is queued twice.
 * Of wslay 1.1.1 it is known that it queues pongs without limit: reading stops while too many wait.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "frames.h"
#include "internal.h"

/* wslay's own queue, filled by what one call of it reads. */
#define MAX_WSLAY_QUEUE 64

/* Of sockets that are to be prompt. */
#define PROMPT_SEND_BUFFER 32768
#define PROMPT_UNSENT 8192

typedef struct http_socket
{
	wslay_event_context_ptr wslay; /* NULL: between two messages, and nothing but those is due */
	http_frame_walk walk;		   /* of what it was given */
	size_t max_message;
	size_t max_queued;
	int64_t ping; /* microseconds */
	int64_t stall;
	int64_t pinged;	  /* when, and nothing was heard since; 0: it was not */
	int64_t progress; /* when the queue was empty, or something of it was sent */
	size_t control;	  /* bytes of the protocol's own in the queue */
	bool told_full;	  /* writable is owed */
	bool closing;	  /* a close is queued or was sent */
	bool broken;	  /* nothing more is read or written */
	bool given;		  /* to wslay, in this call of it */
	bool waits;		  /* what is left of the input is the beginning of a frame */
	int64_t closing_since;
} http_socket;

static ssize_t
take_bytes(wslay_event_context_ptr wslay, uint8_t *buffer, size_t n, int flags, void *arg)
{
	http_request *request = arg;
	http_socket *socket = request->socket;
	size_t left = request->in_size - request->raw;

	(void) flags;
	if (left == 0 || request->doomed || wslay_event_get_queued_msg_count(wslay) > MAX_WSLAY_QUEUE ||
		(socket->given && http_frame_is_between(&socket->walk)))
	{
		wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	n = http_frame_follow(&socket->walk, request->in + request->raw, left, n);
	if (n == 0)
	{
		socket->waits = true;
		wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	socket->given = true;
	memcpy(buffer, request->in + request->raw, n);
	request->raw += n;
	return (ssize_t) n;
}

static ssize_t
give_bytes(wslay_event_context_ptr wslay, const uint8_t *bytes, size_t n, int flags, void *arg)
{
	http_request *request = arg;

	(void) flags;
	if (!http_enqueue(request, bytes, n))
	{
		wslay_event_set_error(wslay, WSLAY_ERR_CALLBACK_FAILURE);
		return -1;
	}
	request->socket->control += n;
	return (ssize_t) n;
}

/* From now on nothing more can be sent, and the client's close is waited for. */
static void
begin_closing(http_request *request)
{
	if (request->socket->closing)
		return;
	request->socket->closing = true;
	request->socket->closing_since = http_loop_now(request->server->loop);
}

/* Writes what wslay has queued into the connection's queue. */
static void
write_control(http_request *request)
{
	http_socket *socket = request->socket;

	if (request->out.bytes == 0)
		socket->progress = http_loop_now(request->server->loop);
	if (socket->wslay == NULL)
		return;
	while (wslay_event_want_write(socket->wslay) && !request->doomed)
		if (wslay_event_send(socket->wslay) != 0)
			http_connection_doom(request);
	if (wslay_event_get_close_sent(socket->wslay))
		begin_closing(request);
}

static void
tell_message(http_request *request, bool text, const char *bytes, size_t n)
{
	http_server *server = request->server;

	if (!request->doomed && !request->socket->closing && server->handlers.message != NULL)
		server->handlers.message(server->context, request, text, bytes, n);
}

static void
take_message(wslay_event_context_ptr wslay, const struct wslay_event_on_msg_recv_arg *message,
			 void *arg)
{
	http_request *request = arg;

	(void) wslay;
	/* the answers to pings before it come before the answer to it */
	write_control(request);
	if (message->opcode == WSLAY_TEXT_FRAME || message->opcode == WSLAY_BINARY_FRAME)
		tell_message(request, message->opcode == WSLAY_TEXT_FRAME, (const char *) message->msg,
					 message->msg_length);
}

static const struct wslay_event_callbacks callbacks = { .recv_callback = take_bytes,
														.send_callback = give_bytes,
														.on_msg_recv_callback = take_message };

/*
 * wslay calls some violations of the protocol a failure, and would close without a code: so we do, with
 * 1002.
 */
static void
break_off(http_request *request)
{
	static const char frame[] = { (char) (0x80 | WSLAY_CONNECTION_CLOSE), 2,
								  (char) (WSLAY_CODE_PROTOCOL_ERROR >> 8),
								  (char) (WSLAY_CODE_PROTOCOL_ERROR & 0xff) };

	if (!request->socket->closing)
		http_enqueue(request, frame, sizeof(frame));
	begin_closing(request);
	request->socket->broken = true;
	request->raw = request->in_size;
}

/* Has wslay do what is its; false, and the connection is doomed, without memory. */
static bool
need_wslay(http_request *request)
{
	http_socket *socket = request->socket;

	if (socket->wslay != NULL)
		return true;
	if (wslay_event_context_server_init(&socket->wslay, &callbacks, request) != 0)
	{
		socket->wslay = NULL;
		http_connection_doom(request);
		return false;
	}
	wslay_event_config_set_max_recv_msg_length(socket->wslay, socket->max_message);
	return true;
}

static void
let_wslay_go(http_socket *socket)
{
	wslay_event_context_free(socket->wslay);
	socket->wslay = NULL;
	socket->walk = (http_frame_walk){ 0 };
}

/* Takes a message that lies in the input as a whole. */
static http_frame_outcome
take_quickly(http_request *request)
{
	http_frame frame;
	http_frame_outcome outcome =
		http_frame_read(request->in + request->raw, request->in_size - request->raw, true,
						request->socket->max_message, &frame);

	if (outcome != HTTP_FRAME_WHOLE)
		return outcome;
	request->raw += frame.size;
	tell_message(request, frame.text, frame.bytes, frame.length);
	return outcome;
}

/* Gives wslay the next frame, or what there is of it; false: it takes no more. */
static bool
take_slowly(http_request *request)
{
	http_socket *socket = request->socket;
	size_t before = request->raw;

	if (!need_wslay(request))
		return false;
	socket->given = false;
	if (wslay_event_recv(socket->wslay) != 0)
	{
		break_off(request);
		return false;
	}
	write_control(request);
	/* after a close wslay reads no more */
	if (request->raw == before && !wslay_event_get_read_enabled(socket->wslay))
		request->raw = request->in_size;
	else if (request->raw == before)
		return false;
	if (http_frame_is_between(&socket->walk) && !socket->closing && !request->doomed &&
		wslay_event_get_read_enabled(socket->wslay) && !wslay_event_want_write(socket->wslay))
		let_wslay_go(socket);
	return true;
}

void
http_socket_advance(http_request *request)
{
	http_socket *socket = request->socket;

	if (socket->broken)
		return;
	socket->waits = false;
	while (request->raw < request->in_size && !socket->waits && !socket->broken &&
		   !http_socket_is_flooded(request) && !request->doomed)
	{
		http_frame_outcome outcome =
			socket->wslay == NULL ? take_quickly(request) : HTTP_FRAME_OTHER;

		socket->pinged = 0;
		socket->waits = outcome == HTTP_FRAME_MORE;
		if (outcome == HTTP_FRAME_OTHER && !take_slowly(request))
			break;
	}
	if (socket->broken)
		return;
	write_control(request);
	if (request->raw == request->in_size)
	{
		request->server->counters.buffered -= request->in_room;
		free(request->in);
		request->in = NULL;
		request->in_room = request->in_size = request->raw = 0;
	}
	else if (request->raw > 0)
	{
		memmove(request->in, request->in + request->raw, request->in_size - request->raw);
		request->in_size -= request->raw;
		request->raw = 0;
	}
}

bool
http_socket_is_flooded(const http_request *request)
{
	return request->socket->control > MAX_CONTROL;
}

bool
http_socket_is_over(const http_request *request)
{
	http_socket *socket = request->socket;

	return socket->broken || (socket->wslay != NULL && !wslay_event_want_read(socket->wslay) &&
							  !wslay_event_want_write(socket->wslay));
}

bool
http_socket_drained(http_request *request)
{
	http_server *server = request->server;
	http_socket *socket = request->socket;

	socket->control = 0;
	if (socket->told_full && !socket->closing)
	{
		socket->told_full = false;
		if (server->handlers.writable != NULL)
			server->handlers.writable(server->context, request);
	}
	return request->out.bytes > 0 || (request->in_size > 0 && !socket->waits);
}

void
http_socket_progress(http_request *request)
{
	request->socket->progress = http_loop_now(request->server->loop);
}

int64_t
http_socket_deadline(const http_request *request)
{
	const http_socket *socket = request->socket;
	int64_t at = socket->pinged > 0 ? socket->pinged + socket->ping : request->heard + socket->ping;

	if (socket->closing)
		at = socket->closing_since + request->server->options.close_ms * HTTP_MILLISECOND;
	if (request->out.bytes > 0 && socket->progress + socket->stall < at)
		at = socket->progress + socket->stall;
	return at;
}

void
http_socket_due(http_request *request)
{
	http_socket *socket = request->socket;
	int64_t now = http_loop_now(request->server->loop);
	char ping[HTTP_FRAME_HEAD];
	size_t n = http_frame_head(ping, WSLAY_PING, 0, NULL);

	if (now < http_socket_deadline(request))
		return;
	if (socket->closing || socket->pinged > 0 ||
		(request->out.bytes > 0 && now >= socket->progress + socket->stall))
	{
		request->server->counters.timed_out++;
		http_connection_doom(request);
		return;
	}
	socket->pinged = now;
	socket->control += n;
	(void) http_enqueue(request, ping, n);
	write_control(request);
	http_connection_wake(request);
}

static void
close_socket(http_request *request, int code, const char *reason)
{
	http_socket *socket = request->socket;

	if (socket->closing || !need_wslay(request))
		return;
	/* written at the end of the turn: this may be within a call of wslay */
	wslay_event_queue_close(socket->wslay, (uint16_t) code, (const uint8_t *) reason,
							strlen(reason));
	begin_closing(request);
	http_connection_wake(request);
}

void
http_socket_stop(http_request *request)
{
	http_server *server = request->server;

	if (request->doomed || request->socket->closing)
		return;
	if (server->handlers.stopping != NULL)
		server->handlers.stopping(server->context, request);
	close_socket(request, 1001, "");
}

void
http_socket_free(http_request *request)
{
	if (request->socket == NULL)
		return;
	request->server->counters.sockets--;
	let_wslay_go(request->socket);
	free(request->socket);
	request->socket = NULL;
}

/* --- for users ------------------------------------------------------------------------ */

/* The socket of an id, if it is one that can be sent to. */
static http_request *
find_socket(http_server *server, http_id id)
{
	http_request *request = http_request_find(server, id);

	return request != NULL && request->phase == PHASE_SOCKET && !request->socket->closing ? request
																						  : NULL;
}

/* What a socket has; false when there is no memory. */
static bool
make_socket(http_request *request, const http_socket_options *options)
{
	http_socket *socket = calloc(1, sizeof(*socket));

	if (socket == NULL)
		return false;
	socket->max_message = options->max_message > 0 ? options->max_message : 65536;
	socket->max_queued = options->max_queued > 0 ? options->max_queued : 262144;
	socket->ping = (options->ping_ms > 0 ? options->ping_ms : 30000) * HTTP_MILLISECOND;
	socket->stall = (options->stall_ms > 0 ? options->stall_ms : 30000) * HTTP_MILLISECOND;
	socket->progress = http_loop_now(request->server->loop);
	request->socket = socket;
	request->server->counters.sockets++;
	return true;
}

bool
http_upgrade(http_server *server, http_id id, const http_socket_options *options)
{
	http_request *request = http_request_find(server, id);
	char accept[MB_WEBSOCKET_ACCEPT_LENGTH + 1];
	char text[300];
	mb_http_span key;
	mb_websocket_verdict verdict;
	int n;

	if (request == NULL || request->phase != PHASE_PENDING)
		return false;
	/* those that are there have been told to end: nobody would tell this one */
	if (server->stopping)
	{
		http_refuse(request, 503, "the server ends");
		return false;
	}
	verdict = mb_websocket_check(&request->head, request->in, &key);
	if (verdict != MB_WEBSOCKET_FINE)
	{
		http_refuse(request, mb_websocket_verdict_status(verdict),
					mb_websocket_verdict_message(verdict));
		return false;
	}
	if (mb_websocket_accept(request->in + key.at, key.length, accept) != MB_OK ||
		!make_socket(request, options))
	{
		http_refuse(request, 500, "out of memory");
		return false;
	}
	request->status = 101;
	request->answered = true;
	server->counters.answered++;
	http_enqueue_head(request, 101);
	n = snprintf(text, sizeof(text),
				 "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n",
				 accept);
	if (options->subprotocol != NULL)
		n += snprintf(text + n, sizeof(text) - (size_t) n, "Sec-WebSocket-Protocol: %.100s\r\n",
					  options->subprotocol);
	http_enqueue(request, text, (size_t) n);
	if (options->headers != NULL)
		http_enqueue(request, options->headers->text, options->headers->length);
	http_enqueue(request, "\r\n", 2);
	if (options->prompt && !request->listener->local)
	{
		int buffer = PROMPT_SEND_BUFFER;
		int unsent = PROMPT_UNSENT;

		setsockopt(request->watch.fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
		setsockopt(request->watch.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	}
	/* frames may have come with the request; of the request itself nothing is kept */
	memmove(request->in, request->in + request->raw, request->in_size - request->raw);
	request->in_size -= request->raw;
	request->raw = 0;
	request->body_size = 0;
	mb_http_head_begin(&request->head);
	http_connection_phase(request, PHASE_SOCKET);
	http_connection_wake(request);
	return true;
}

/* The head of a frame with a whole message; its length. */
static size_t
frame_head(char head[HTTP_FRAME_HEAD], bool text, size_t n)
{
	return http_frame_head(head, text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, n, NULL);
}

/* Whether n bytes more may be queued. */
static http_sent
admit(http_request *request, size_t n)
{
	if (request == NULL)
		return HTTP_GONE;
	if (request->out.bytes > 0 && request->out.bytes + n > request->socket->max_queued)
	{
		request->socket->told_full = true;
		return HTTP_FULL;
	}
	if (request->out.bytes == 0)
		request->socket->progress = http_loop_now(request->server->loop);
	return HTTP_SENT;
}

http_sent
http_socket_send(http_server *server, http_id id, bool text, const void *bytes, size_t n)
{
	http_request *request = find_socket(server, id);
	http_sent sent = admit(request, n);
	char head[HTTP_FRAME_HEAD];

	if (sent != HTTP_SENT)
		return sent;
	if (!http_enqueue(request, head, frame_head(head, text, n)) || !http_enqueue(request, bytes, n))
		return HTTP_GONE;
	http_connection_wake(request);
	return HTTP_SENT;
}

http_blob *
http_frame_new(bool text, const void *bytes, size_t n)
{
	char head[HTTP_FRAME_HEAD];
	size_t length = frame_head(head, text, n);
	char *frame = malloc(length + n);

	if (frame == NULL)
		return NULL;
	memcpy(frame, head, length);
	memcpy(frame + length, bytes, n);
	return http_blob_take(frame, length + n);
}

http_sent
http_socket_send_frame(http_server *server, http_id id, http_blob *frame)
{
	http_request *request = find_socket(server, id);
	http_sent sent = admit(request, frame->length);

	if (sent != HTTP_SENT)
		return sent;
	if (!http_queue_share(&request->out, frame))
	{
		http_connection_doom(request);
		return HTTP_GONE;
	}
	server->counters.queued += frame->length;
	http_connection_wake(request);
	return HTTP_SENT;
}

size_t
http_socket_queued(http_server *server, http_id id)
{
	http_request *request = find_socket(server, id);

	return request != NULL ? request->out.bytes : 0;
}

void
http_socket_drop_queue(http_server *server, http_id id)
{
	http_request *request = find_socket(server, id);
	size_t before;

	if (request == NULL)
		return;
	before = request->out.bytes;
	http_queue_drop(&request->out, request->tls_again);
	server->counters.queued -= before - request->out.bytes;
	request->socket->told_full = true;
	http_connection_wake(request);
}

void
http_socket_close(http_server *server, http_id id, int code, const char *reason)
{
	http_request *request = find_socket(server, id);

	if (request != NULL)
		close_socket(request, code, reason);
}
