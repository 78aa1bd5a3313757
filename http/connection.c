/*
 * connection.c
 *	  One connection as a stream of bytes: reading, writing, deadlines, its end.
 *
 * Events only read, and have requests read out of what came.  Everything else, such as writing, what
 * comes after an answer, and the end, is done at the end of the turn, by serve(): so a handler can do
 * what it wants to any connection, and several answers leave in one piece.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "internal.h"

/* Pieces handed to the kernel at a time. */
#define MAX_PIECES 256

/* Bytes of one write through TLS: a record. */
#define TLS_RECORD 16384

/* Requests of one connection answered in a turn, so that others have theirs. */
#define MAX_REQUESTS_A_TURN 16

static void ready(void *arg, uint32_t events);
static void due(void *arg);

void
http_connection_begin(const http_listener *listener, int fd, const unsigned char address[16],
					  bool counted)
{
	http_server *server = listener->server;
	http_request *request = calloc(1, sizeof(*request));

	if (request == NULL)
		goto refused;
	request->server = server;
	request->listener = listener;
	request->counted = counted;
	request->first = true;
	memcpy(request->address, address, 16);
	request->watch = (http_watch){ .fd = fd, .ready = ready, .arg = request };
	request->timer = (http_timer){ .due = due, .arg = request };
	mb_http_head_begin(&request->head);
	if ((listener->tls != NULL && !http_tls_begin(request, listener->tls)) ||
		!http_slot_take(request))
		goto refused;
	server->counters.connections++;
	http_connection_phase(request, PHASE_HEAD);
	if (!http_loop_add(server->loop, &request->watch, EPOLLIN | EPOLLRDHUP))
		http_connection_doom(request);
	return;

refused:
	if (counted)
		http_addresses_remove(server->addresses, address);
	if (request != NULL)
		http_tls_end(request, false);
	close(fd);
	free(request);
}

void
http_connection_wake(http_request *request)
{
	http_server *server = request->server;

	if (request->is_dirty)
		return;
	request->is_dirty = true;
	request->next_dirty = server->dirty;
	server->dirty = request;
	http_loop_defer(server->loop, &server->task);
}

void
http_connection_doom(http_request *request)
{
	request->doomed = true;
	http_connection_wake(request);
}

void
http_connection_end(http_request *request)
{
	http_server *server = request->server;

	request->doomed = true;
	http_request_done(request, false);
	http_loop_remove(&request->watch);
	http_loop_clear_timer(server->loop, &request->timer);
	http_socket_free(request);
	http_tls_end(request, false);
	close(request->watch.fd);
	server->counters.connections--;
	server->counters.buffered -= request->in_room;
	server->counters.queued -= request->out.bytes;
	http_queue_free(&request->out);
	if (request->counted)
		http_addresses_remove(server->addresses, request->address);
	http_slot_free(request);
	free(request->in);
	free(request);
}

/* --- deadlines ---------------------------------------------------------------------- */

/* When the phase has lasted too long; 0 for never. */
static int64_t
deadline_of(const http_request *request)
{
	const http_options *options = &request->server->options;
	int ms = 0;

	switch (request->phase)
	{
		case PHASE_HEAD:
			ms = request->in_size > 0 || request->first ? options->head_ms : options->idle_ms;
			break;
		case PHASE_BODY:
			ms = options->body_ms;
			break;
		case PHASE_PENDING:
			return 0;
		case PHASE_SENDING:
			/* it is not the client who is waited for */
			if (request->more_asked)
				return 0;
			ms = options->send_ms;
			break;
		case PHASE_SOCKET:
			return http_socket_deadline(request);
		case PHASE_LINGER:
		{
			/* as long as something comes, but not for ever */
			int64_t silent = request->heard + options->linger_ms * HTTP_MILLISECOND;
			int64_t end = request->phase_since + options->body_ms * HTTP_MILLISECOND;

			return silent < end ? silent : end;
		}
	}
	return request->phase_since + ms * HTTP_MILLISECOND;
}

static void
set_timer(http_request *request)
{
	int64_t at = deadline_of(request);

	if (at == 0)
		http_loop_clear_timer(request->server->loop, &request->timer);
	else if (!http_loop_set_timer(request->server->loop, &request->timer, at))
		http_connection_doom(request);
}

void
http_connection_phase(http_request *request, http_phase phase)
{
	request->phase = phase;
	request->phase_since = http_loop_now(request->server->loop);
	set_timer(request);
}

/* The deadline has come, unless it has moved meanwhile. */
static void
due(void *arg)
{
	http_request *request = arg;
	int64_t at = deadline_of(request);

	if (request->doomed || at == 0)
		return;
	if (request->phase == PHASE_SOCKET)
	{
		http_socket_due(request);
		set_timer(request);
		return;
	}
	if (at > http_loop_now(request->server->loop))
	{
		set_timer(request);
		return;
	}
	if (request->phase != PHASE_HEAD || request->in_size > 0)
		request->server->counters.timed_out += request->phase != PHASE_LINGER;
	if ((request->phase == PHASE_HEAD && request->in_size > 0) ||
		(request->phase == PHASE_BODY && !request->answered))
		http_refuse(request, 408, "the request did not arrive in time");
	else
		http_connection_doom(request);
}

/* --- reading ------------------------------------------------------------------------ */

/* Whether more bytes of the client are wanted now. */
static bool
wants_bytes(const http_request *request)
{
	if (request->ended || request->doomed)
		return false;
	switch (request->phase)
	{
		case PHASE_PENDING:
		case PHASE_SENDING:
			return request->in_size - request->raw < MAX_AHEAD;
		case PHASE_SOCKET:
			return !http_socket_is_flooded(request);
		default:
			return true;
	}
}

/* More than 0: so many bytes; 0: the client has ended; -1: not now; -2: broken. */
static int
receive(http_request *request, void *bytes, size_t n)
{
	ssize_t got;

	if (request->tls != NULL)
		return http_tls_read(request, bytes, (int) n);
	do
		got = recv(request->watch.fd, bytes, n, 0);
	while (got < 0 && errno == EINTR);
	if (got >= 0)
		return (int) got;
	return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : -2;
}

/* Appends to the input; false when there is no room for it or no memory. */
static bool
append(http_request *request, const char *bytes, size_t n)
{
	http_server *server = request->server;

	if (request->in_room - request->in_size < n)
	{
		size_t room = request->in_room > 0 ? request->in_room : 512;
		char *in;

		while (room - request->in_size < n)
			room *= 2;
		/* heads may always come, or nobody could be told that there is no room */
		if (room > 2 * MAX_AHEAD &&
			server->counters.buffered + room - request->in_room > server->options.max_buffered)
			return false;
		in = realloc(request->in, room);
		if (in == NULL)
			return false;
		server->counters.buffered += room - request->in_room;
		request->in = in;
		request->in_room = room;
	}
	memcpy(request->in + request->in_size, bytes, n);
	request->in_size += n;
	return true;
}

/* Reads once, and what of it TLS holds back. */
static void
read_some(http_request *request)
{
	http_server *server = request->server;
	size_t size = request->phase == PHASE_SOCKET ? SOCKET_READ_SIZE : READ_SIZE;

	do
	{
		int n = receive(request, server->scratch, size);

		if (n == -1)
			break;
		if (n < 0)
		{
			http_connection_doom(request);
			return;
		}
		if (n == 0)
		{
			request->ended = true;
			break;
		}
		server->counters.bytes_in += (unsigned) n;
		request->heard = http_loop_now(server->loop);
		if (request->phase == PHASE_LINGER)
		{
			request->lingered += (unsigned) n;
			if (request->lingered > MAX_LINGERED)
				http_connection_doom(request);
			continue;
		}
		if (request->in_size == 0 && request->phase == PHASE_HEAD)
		{
			request->started = request->heard;
			http_connection_phase(request, PHASE_HEAD);
		}
		if (!append(request, server->scratch, (size_t) n))
		{
			if (request->phase == PHASE_BODY && !request->answered)
				http_refuse(request, 503, "the server holds as many bytes of requests as it may");
			else
				http_connection_doom(request);
			return;
		}
	} while (request->tls != NULL && http_tls_holds_bytes(request) && wants_bytes(request));
}

/* The client has closed its side; bytes that it sent before may still wait. */
static void
take_end(http_request *request)
{
	http_server *server = request->server;

	switch (request->phase)
	{
		case PHASE_PENDING:
			if (server->handlers.half_closed != NULL)
				server->handlers.half_closed(server->context, request);
			break;
		case PHASE_SENDING:
			break;
		default:
			http_connection_doom(request);
			break;
	}
}

static void
ready(void *arg, uint32_t events)
{
	http_request *request = arg;
	bool reads = wants_bytes(request);

	if (request->doomed)
		return;
	/* an error leaves nothing to be read, but bytes that came before it are told with it */
	if (events & (EPOLLERR | EPOLLHUP) && !(events & EPOLLIN && reads))
	{
		http_connection_doom(request);
		return;
	}
	if (events & EPOLLOUT || request->tls != NULL)
		request->blocked = request->tls_wants_write = false;
	if (reads && (events & (EPOLLIN | EPOLLRDHUP) || request->tls != NULL))
	{
		read_some(request);
		if (!request->doomed)
			http_request_advance(request);
	}
	if ((request->ended || events & EPOLLRDHUP) && !request->end_told && !request->doomed &&
		(request->ended || !reads))
	{
		request->end_told = true;
		take_end(request);
	}
	http_connection_wake(request);
}

/* --- writing ------------------------------------------------------------------------ */

/* Hands what is queued to the kernel; how many bytes it took, -1 for none now, -2 when broken. */
static int
transmit(http_request *request)
{
	struct iovec pieces[MAX_PIECES];
	int n = http_queue_look(&request->out, pieces, MAX_PIECES);
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = (size_t) n };
	ssize_t sent;

	if (request->tls != NULL)
	{
		char *scratch = request->server->scratch;
		size_t length = 0;

		for (int i = 0; i < n && length < TLS_RECORD; i++)
		{
			size_t size = pieces[i].iov_len;

			if (size > TLS_RECORD - length)
				size = TLS_RECORD - length;
			memcpy(scratch + length, pieces[i].iov_base, size);
			length += size;
		}
		return http_tls_write(request, scratch, (int) length);
	}
	do
		sent = sendmsg(request->watch.fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return (int) sent;
	return errno == EAGAIN || errno == EWOULDBLOCK ? -1 : -2;
}

static void
flush(http_request *request)
{
	http_server *server = request->server;

	while (request->out.bytes > 0 && !request->blocked && !request->doomed)
	{
		int n = transmit(request);

		if (n == -1)
			request->blocked = true;
		else if (n < 0)
			http_connection_doom(request);
		else
		{
			http_queue_sent(&request->out, (size_t) n);
			server->counters.queued -= (size_t) n;
			server->counters.bytes_out += (size_t) n;
			if (request->phase == PHASE_SOCKET)
				http_socket_progress(request);
		}
	}
}

/* --- the end of a turn -------------------------------------------------------------- */

/* Asks the kernel for the events that are wanted from now on. */
static void
set_events(http_request *request)
{
	uint32_t events = 0;

	/* an end that is known would be told again and again */
	if (!request->ended)
		events = (request->end_told ? 0 : EPOLLRDHUP) | (wants_bytes(request) ? EPOLLIN : 0);
	if (request->blocked || request->tls_wants_write)
		events |= EPOLLOUT;
	if (!http_loop_change(&request->watch, events))
		http_connection_doom(request);
}

/*
 * The answer has left, and the connection is to end behind it.  A close() over bytes that nobody has
 * read resets the connection, and the client may lose the answer: it is let finish first, unless it
 * has said itself that it sends no more.
 */
static void
begin_end(http_request *request, bool expects_more)
{
	request->heard = http_loop_now(request->server->loop);
	http_connection_phase(request, PHASE_LINGER);
	http_tls_end(request, true);
	request->in_size = request->raw = 0;
	if (!expects_more || request->ended || shutdown(request->watch.fd, SHUT_WR) != 0)
		http_connection_doom(request);
}

/* What there is to do on a connection; true when there may be more at once. */
static bool
serve(http_request *request)
{
	http_server *server = request->server;
	bool asked_to_end;

	/* what TLS has read already, epoll does not tell of */
	if (request->tls != NULL && http_tls_holds_bytes(request) && wants_bytes(request))
	{
		read_some(request);
		http_request_advance(request);
	}
	if (request->phase == PHASE_SOCKET)
		http_socket_advance(request);
	flush(request);
	if (request->doomed || request->out.bytes > 0)
		return false;
	if (request->phase == PHASE_SOCKET)
	{
		if (!http_socket_is_over(request))
			return http_socket_drained(request);
		http_request_done(request, true);
		begin_end(request, true);
		return false;
	}
	if (request->phase != PHASE_SENDING)
		return false;
	if (request->left > 0)
	{
		if (request->more_asked)
			return false;
		request->more_asked = true;
		set_timer(request);
		if (server->handlers.more != NULL)
			server->handlers.more(server->context, request);
		else
			http_connection_doom(request);
		return request->out.bytes > 0;
	}
	asked_to_end = !request->refused && !request->head.keep_alive;
	http_request_finish(request);
	/* a server that stops ends those that nothing is to be read from, as it did with the idle ones */
	if (request->close_after || ((request->ended || server->stopping) && request->in_size == 0))
	{
		begin_end(request, !asked_to_end || request->in_size > 0);
		return false;
	}
	http_request_advance(request);
	/* whole requests may wait behind the end, but half a one will stay half a one */
	if (request->ended && request->phase == PHASE_HEAD)
		http_connection_doom(request);
	return request->phase == PHASE_SENDING;
}

void
http_serve_dirty(void *arg)
{
	http_server *server = arg;
	http_request *dirty = server->dirty;

	server->dirty = NULL;
	while (dirty != NULL)
	{
		http_request *request = dirty;
		bool more = true;

		dirty = request->next_dirty;
		request->is_dirty = false;
		for (int n = 0; more && n < MAX_REQUESTS_A_TURN; n++)
			more = !request->doomed && serve(request);
		if (more && !request->doomed)
			http_connection_wake(request);
		if (!request->doomed && request->phase == PHASE_SOCKET)
			set_timer(request);
		if (!request->doomed)
			set_events(request);
		if (request->doomed)
		{
			/* serve() may have had it put on the new list */
			http_request **place = &server->dirty;

			while (request->is_dirty && *place != NULL && *place != request)
				place = &(*place)->next_dirty;
			if (*place == request)
				*place = request->next_dirty;
			http_connection_end(request);
		}
	}
}
