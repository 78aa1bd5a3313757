/*
 * request.c
 *	  Requests out of the bytes of a connection: head, body, the calls of handlers, and what handlers
 *	  may ask about them.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* Takes what has been done with out of the input, from "from" up to raw. */
static void
compact(http_request *request, size_t from)
{
	size_t rest = request->in_size - request->raw;

	if (request->raw == from)
		return;
	memmove(request->in + from, request->in + request->raw, rest);
	request->in_size = from + rest;
	request->raw = from;
}

/* Gives the memory of an empty input back: most connections are idle. */
static void
release_input(http_request *request)
{
	if (request->in_size > 0)
		return;
	request->server->counters.buffered -= request->in_room;
	free(request->in);
	request->in = NULL;
	request->in_room = 0;
}

void
http_request_done(http_request *request, bool delivered)
{
	http_server *server = request->server;

	if (!request->active)
		return;
	request->active = false;
	server->counters.requests--;
	if (server->handlers.done != NULL)
		server->handlers.done(server->context, request, delivered);
}

void
http_request_finish(http_request *request)
{
	http_request_done(request, true);
	compact(request, 0);
	release_input(request);
	mb_http_head_begin(&request->head);
	request->answered = false;
	request->started = http_loop_now(request->server->loop);
	http_connection_phase(request, PHASE_HEAD);
}

/* The head is there; true when the body comes next. */
static void
begin_request(http_request *request)
{
	http_server *server = request->server;

	http_slot_renew(request);
	request->first = false;
	request->raw = request->head.size;
	request->active = true;
	request->body_done = false;
	request->streamed = false;
	request->continued = false;
	request->close_after = false;
	request->max_body = server->options.max_body;
	request->body_left = request->head.content_length;
	request->body_size = 0;
	request->user = NULL;
	request->status = 0;
	request->answer_length = 0;
	request->left = 0;
	request->more_asked = false;
	server->counters.requests++;
	http_connection_phase(request, PHASE_BODY);
	if (server->handlers.head != NULL)
		server->handlers.head(server->context, request);
	if (request->doomed || request->answered)
		return;
	if (request->head.framing == MB_HTTP_LENGTH && request->body_left > request->max_body)
	{
		http_refuse(request, 413, mb_http_violation_message(MB_HTTP_BODY_TOO_LARGE));
		return;
	}
	mb_http_chunks_begin(&request->chunks, request->max_body);
	if (request->head.expect_continue && request->in_size == request->raw &&
		(request->head.framing == MB_HTTP_CHUNKED || request->body_left > 0))
	{
		http_enqueue(request, "HTTP/1.1 100 Continue\r\n\r\n", 25);
		http_connection_wake(request);
	}
	request->continued = true;
}

/* A head; false when it is not there yet. */
static bool
take_head(http_request *request)
{
	const http_options *options = &request->server->options;
	mb_http_head_outcome outcome = mb_http_head_feed(&request->head, request->in, request->in_size);

	/* the caps of this server, which are below those of the parser */
	if (outcome == MB_HTTP_HEAD_MORE
			? request->in_size > options->max_head
			: outcome == MB_HTTP_HEAD_COMPLETE && (request->head.size > options->max_head ||
												   request->head.n_fields > options->max_fields))
	{
		http_refuse(request, 431, "the head is larger than it may be");
		return false;
	}
	switch (outcome)
	{
		case MB_HTTP_HEAD_MORE:
			return false;
		case MB_HTTP_HEAD_REFUSED:
			http_refuse(request, mb_http_violation_status(request->head.violation),
						mb_http_violation_message(request->head.violation));
			return false;
		case MB_HTTP_HEAD_COMPLETE:
			break;
	}
	begin_request(request);
	return true;
}

/* A piece of the body, which lies at "at" in the input: gathered, handed on, or forgotten. */
static void
take_piece(http_request *request, size_t at, size_t n)
{
	http_server *server = request->server;

	if (request->answered || n == 0)
		return;
	if (request->streamed)
	{
		if (server->handlers.piece != NULL)
			server->handlers.piece(server->context, request, request->in + at, n);
		return;
	}
	if (at != request->head.size + request->body_size)
		memmove(request->in + request->head.size + request->body_size, request->in + at, n);
	request->body_size += n;
}

static void
take_chunks(http_request *request)
{
	while (request->raw < request->in_size && request->phase == PHASE_BODY && !request->doomed)
	{
		size_t from = request->raw;
		size_t used;
		size_t at;
		size_t length;
		mb_http_chunks_outcome outcome = mb_http_chunks_feed(
			&request->chunks, request->in + from, request->in_size - from, &used, &at, &length);

		request->raw += used;
		if (outcome == MB_HTTP_CHUNKS_REFUSED)
		{
			http_refuse(request, mb_http_violation_status(request->chunks.violation),
						mb_http_violation_message(request->chunks.violation));
			return;
		}
		if (outcome == MB_HTTP_CHUNKS_END)
		{
			request->body_done = true;
			return;
		}
		take_piece(request, from + at, length);
	}
}

/* What has come of the body; false when there is more to come. */
static bool
take_body(http_request *request)
{
	http_server *server = request->server;

	if (request->head.framing == MB_HTTP_CHUNKED)
		take_chunks(request);
	else
	{
		size_t at = request->raw;
		size_t n = request->in_size - at;

		if (n > request->body_left)
			n = (size_t) request->body_left;
		request->raw += n;
		request->body_left -= n;
		take_piece(request, at, n);
		request->body_done = request->body_done || request->body_left == 0;
	}
	if (request->doomed || request->phase != PHASE_BODY)
		return !request->doomed;
	if (request->streamed || request->answered)
		compact(request, request->head.size + request->body_size);
	if (!request->body_done)
		return false;
	if (request->answered)
	{
		http_connection_phase(request, PHASE_SENDING);
		http_connection_wake(request);
		return false;
	}
	http_connection_phase(request, PHASE_PENDING);
	server->handlers.request(server->context, request);
	return true;
}

void
http_request_advance(http_request *request)
{
	bool more = true;

	while (more && !request->doomed)
	{
		switch (request->phase)
		{
			case PHASE_HEAD:
				more = request->in_size > 0 && take_head(request);
				break;
			case PHASE_BODY:
				more = take_body(request);
				break;
			case PHASE_SOCKET:
				http_connection_wake(request);
				return;
			default:
				return;
		}
	}
}

/* --- what handlers may ask ------------------------------------------------------------ */

static http_text
text_of(const http_request *request, mb_http_span span)
{
	return (http_text){ request->in != NULL ? request->in + span.at : "", span.length };
}

void
http_request_set_user(http_request *request, void *user)
{
	request->user = user;
}

void *
http_request_user(const http_request *request)
{
	return request->user;
}

http_text
http_request_method(const http_request *request)
{
	return text_of(request, request->head.method);
}

http_text
http_request_target(const http_request *request)
{
	return text_of(request, request->head.target);
}

http_text
http_request_path(const http_request *request)
{
	return text_of(request, request->head.path);
}

http_text
http_request_query(const http_request *request)
{
	return text_of(request, request->head.query);
}

http_text
http_request_header(const http_request *request, const char *name)
{
	int i = mb_http_head_find(&request->head, request->in, name, 0);

	return i >= 0 ? text_of(request, request->head.fields[i].value) : (http_text){ NULL, 0 };
}

int
http_request_header_count(const http_request *request, const char *name)
{
	int n = 0;

	for (int i = -1; (i = mb_http_head_find(&request->head, request->in, name, i + 1)) >= 0;)
		n++;
	return n;
}

bool
http_request_next_token(const http_request *request, const char *name, mb_http_walk *walk,
						http_text *token)
{
	mb_http_span span;

	if (!mb_http_head_next_token(&request->head, request->in, name, walk, &span))
		return false;
	*token = text_of(request, span);
	return true;
}

const mb_http_head *
http_request_head(const http_request *request)
{
	return &request->head;
}

const char *
http_request_bytes(const http_request *request)
{
	return request->in;
}

http_text
http_request_body(const http_request *request)
{
	return (http_text){ request->in != NULL ? request->in + request->head.size : "",
						request->body_size };
}

char *
http_request_take_body(http_request *request, size_t *at, size_t *length)
{
	size_t rest = request->in_size - request->raw;
	size_t room = request->head.size + rest;
	char *kept = malloc(room);
	char *taken = request->in;

	if (kept == NULL)
		return NULL;
	memcpy(kept, request->in, request->head.size);
	memcpy(kept + request->head.size, request->in + request->raw, rest);
	*at = request->head.size;
	*length = request->body_size;
	request->server->counters.buffered -= request->in_room - room;
	request->in = kept;
	request->in_size = request->in_room = room;
	request->raw = request->head.size;
	request->body_size = 0;
	return taken;
}

const char *
http_request_address(const http_request *request, char text[HTTP_ADDRESS_SIZE])
{
	const unsigned char *address = request->address;

	if (request->listener->local)
		snprintf(text, HTTP_ADDRESS_SIZE, "unix");
	else if (IN6_IS_ADDR_V4MAPPED((const struct in6_addr *) address))
		inet_ntop(AF_INET, address + 12, text, HTTP_ADDRESS_SIZE);
	else
		inet_ntop(AF_INET6, address, text, HTTP_ADDRESS_SIZE);
	return text;
}

const unsigned char *
http_request_address_bytes(const http_request *request)
{
	return request->address;
}

void *
http_request_listener(const http_request *request)
{
	return request->listener->tag;
}

bool
http_request_is_tls(const http_request *request)
{
	return request->listener->tls != NULL;
}

int64_t
http_request_started(const http_request *request)
{
	return request->started;
}

int
http_request_status(const http_request *request)
{
	return request->status;
}

size_t
http_request_answer_length(const http_request *request)
{
	return request->answer_length;
}

bool
http_request_in_pieces(const http_request *request)
{
	return request->left > 0;
}

void
http_request_limit(http_request *request, size_t max_body)
{
	request->max_body = max_body;
}

void
http_request_stream(http_request *request)
{
	request->streamed = true;
}
